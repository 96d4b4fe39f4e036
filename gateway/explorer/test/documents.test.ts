import { readFileSync } from "node:fs";
import { buildSchema, parse, validate } from "graphql";
import { expect, test } from "vitest";
import * as documents from "../src/documents";
import { ALERTS, CHANGES } from "../src/live";

const schema = buildSchema(readFileSync(new URL("../../../schema/schema.graphql", import.meta.url), "utf8"), { assumeValidSDL: true });
const all = { ...documents, ALERTS: ALERTS.query, CHANGES: CHANGES.query };

test.each(Object.entries(all).filter(([, text]) => typeof text === "string"))("%s is answered by the schema", (_name, text) => {
  expect(validate(schema, parse(text as string)).map(({ message }) => message)).toEqual([]);
});

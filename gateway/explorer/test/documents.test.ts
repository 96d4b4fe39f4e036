import { readFileSync } from "node:fs";
import { buildSchema, parse, validate } from "graphql";
import { expect, test } from "vitest";
import { documentOf, MUTATIONS } from "../src/act";
import { unfolded } from "../src/api";
import { detailsOf, newestOf, standingOf } from "../src/built";
import * as operations from "../src/generated/operations";
import types from "../src/generated/types.json";
import { PLOTTED, plotsOf } from "../src/plotted";

const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");
const schema = buildSchema(read("../../../schema/schema.graphql"), { assumeValidSDL: true });
const trusted = new Set(Object.values(JSON.parse(read("../../operations/console_documents.json")) as Record<string, string>));

test("every document that a page may send is answered by the schema", () => {
  expect(trusted.size).toBeGreaterThan(150);
  for (const text of trusted) expect(validate(schema, parse(text)).map(({ message }) => message)).toEqual([]);
});

test("every document that a page sends is among those that are trusted", () => {
  for (const text of Object.values(operations)) expect(trusted).toContain(text);
  for (const type of Object.keys(PLOTTED)) expect(trusted).toContain(plotsOf(type));
  for (const mutation of Object.keys(MUTATIONS)) expect(trusted).toContain(documentOf(mutation));
  for (const [type, known] of Object.entries(unfolded(types as unknown as Parameters<typeof unfolded>[0]))) {
    expect(trusted).toContain(detailsOf(type, known));
    if (known.stateful) expect(trusted).toContain(standingOf(type));
    if (known.root) expect(trusted).toContain(newestOf(known.root));
  }
});

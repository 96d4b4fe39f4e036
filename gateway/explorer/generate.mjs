/** Writes src/mutations.json: what the page has to know of each mutation of one row, read from the schema. */

import { readFileSync, writeFileSync } from "node:fs";
import { buildSchema, getNamedType, isEnumType, isListType, isNonNullType } from "graphql";

const SCHEMA = new URL("../../schema/schema.graphql", import.meta.url);
/** Inputs that every mutation has, which the page fills in itself. */
const COMMON = new Set(["id", "to", "expectedVersion", "reason", "idempotencyKey", "dryRun", "force"]);

const firstSentence = (text) => /^.*?[.](?=\s|$)/s.exec(text ?? "")?.[0].replace(/\s+/g, " ") ?? "";

function mutations() {
  const schema = buildSchema(readFileSync(SCHEMA, "utf8"), { assumeValidSDL: true });
  const found = {};
  for (const { name, description, args } of Object.values(schema.getMutationType().getFields())) {
    const input = getNamedType(args.find((argument) => argument.name === "input")?.type);
    const fields = Object.values(input?.getFields?.() ?? {});
    if (!fields.some((field) => field.name === "id")) continue; // of many rows, or of none that is there yet
    const more = fields
      .filter((field) => !COMMON.has(field.name))
      .map((field) => {
        const named = getNamedType(field.type);
        return {
          name: field.name,
          about: firstSentence(field.description),
          type: named.name,
          ...(isNonNullType(field.type) && { required: true }),
          ...(isListType(isNonNullType(field.type) ? field.type.ofType : field.type) && { list: true }),
          ...(isEnumType(named) && { values: named.getValues().map((value) => value.name) }),
        };
      });
    const has = (one) => fields.some((field) => field.name === one);
    found[name] = { about: firstSentence(description), input: input.name, to: has("to"), force: has("force"), fields: more };
  }
  return `${JSON.stringify(found, null, 1)}\n`;
}

writeFileSync(new URL("src/mutations.json", import.meta.url), mutations());

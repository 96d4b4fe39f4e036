/**
 * Writes what the pages know of the schema: src/generated/mutations.json, types.json and operations.ts, whose types are
 * those of the answers; and ../operations/console_documents.json, every document that the pages send, for gateways that answer trusted
 * documents alone. With --check it writes nothing, and fails where one of them is not what the schema makes it.
 */

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { codegen } from "@graphql-codegen/core";
import * as operationTypes from "@graphql-codegen/typescript-operations";
import { buildSchema, getNamedType, isEnumType, isLeafType, isListType, isNonNullType, isObjectType, parse, visit } from "graphql";
import { changeOf, detailsOf, newestOf, rootOf, standingOf } from "./src/built.js";
import { PLOTTED, plotsOf } from "./src/plotted.js";

const SDL = readFileSync(new URL("../../schema/schema.graphql", import.meta.url), "utf8");
const OPERATIONS = new URL("src/operations/", import.meta.url);
/** Inputs that every mutation has, which the page fills in itself. */
const COMMON = new Set(["id", "to", "expectedVersion", "reason", "idempotencyKey", "dryRun", "force"]);
/** Units that say nothing beside a number. */
const UNTOLD = new Set(["COUNT", "ORDINAL", "DIMENSIONLESS", "ROW_SCALE"]);
/** What is told apart from the fields of a row. */
const APART = new Set(["id", "rowId", "rowVersion", "state"]);
const SCALARS = {
  ID: "string", UUID: "string", DateTime: "string", Date: "string", JSON: "unknown", BigInt: "number | bigint", Decimal: "string",
};

const schema = buildSchema(SDL, { assumeValidSDL: true });
const firstSentence = (text) => /^.*?[.](?=\s|$)/s.exec(text ?? "")?.[0].replace(/\s+/g, " ") ?? "";

/** The same, shorter: up to its first colon or semicolon. */
const firstClause = (text) => firstSentence(text).split(/[:;]/)[0].replace(/[.]$/, "");

function mutations() {
  const found = {};
  for (const { name, description, args, type } of Object.values(schema.getMutationType().getFields())) {
    if (getNamedType(type).name !== "TransitionResult") continue; // rows are recorded by programs
    const input = getNamedType(args.find((argument) => argument.name === "input")?.type);
    const fields = Object.values(input?.getFields?.() ?? {});
    if (!fields.some((field) => field.name === "id")) continue; // of many rows, or of none that is there yet
    const more = fields
      .filter((field) => !COMMON.has(field.name))
      .map((field) => {
        const named = getNamedType(field.type);
        return {
          name: field.name,
          about: firstClause(field.description),
          ...(named.name !== "String" && { type: named.name }),
          ...(isNonNullType(field.type) && { required: true }),
          ...(isListType(isNonNullType(field.type) ? field.type.ofType : field.type) && { list: true }),
          ...(isEnumType(named) && { values: named.getValues().map((value) => value.name) }),
        };
      });
    const has = (one) => fields.some((field) => field.name === one);
    if (input.name !== `${name[0].toUpperCase()}${name.slice(1)}Input`) throw new Error(`${name} takes ${input.name}`);
    found[name] = { about: firstSentence(description), ...(has("to") && { to: true }), ...(has("force") && { force: true }), ...(more.length && { fields: more }) };
  }
  return found;
}

/** The unit of a field, as `@fact` says it. */
function unitOf(field) {
  const fact = field.astNode?.directives?.find(({ name }) => name.value === "fact");
  return fact?.arguments?.find(({ name }) => name.value === "unit")?.value.value;
}

/** Plots say the units of what they show; those are the schema's. */
function checkPlots() {
  for (const [type, sources] of Object.entries(PLOTTED)) {
    for (const { list, plots } of sources) {
      const connection = getNamedType(schema.getType(type).getFields()[list].type).name;
      const fields = schema.getType(connection.slice(0, -"Connection".length)).getFields();
      for (const { title, unit, values } of plots) {
        for (const field of Object.values(values).map((value) => value.split(" ")[0])) {
          const known = field === "count" ? "COUNT" : unitOf(fields[field]);
          if (known !== unit) throw new Error(`${type}, ${title}: ${field} is in ${known}, not in ${unit}`);
        }
      }
    }
  }
}

/** Each type of a row: its list at the root, its plain fields with their units, its foreign keys and where they lead. */
function types() {
  const roots = new Map();
  for (const { name, type } of Object.values(schema.getQueryType().getFields())) {
    const named = getNamedType(type).name;
    if (named.endsWith("Connection")) roots.set(named.slice(0, -"Connection".length), name);
  }
  const found = {};
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || !type.getInterfaces().some(({ name }) => name === "Node")) continue;
    const all = Object.values(type.getFields());
    const plain = all.filter((field) => {
      const inner = isNonNullType(field.type) ? field.type.ofType : field.type;
      const leaf = isListType(inner) ? getNamedType(inner) : inner;
      return !field.args.length && isLeafType(leaf) && !APART.has(field.name);
    });
    const links = {};
    for (const field of all) {
      const named = getNamedType(field.type);
      const key = all.find(({ name }) => name === `${field.name}Id`);
      if (key && !field.args.length && isObjectType(named) && !isListType(field.type) && named.getInterfaces().some(({ name }) => name === "Node")) links[field.name] = key.name;
    }
    const stateful = getNamedType(type.getFields().lifecycle?.type ?? schema.getQueryType())?.name === "Lifecycle";
    found[type.name] = {
      ...(roots.has(type.name) && { root: roots.get(type.name) }),
      ...(stateful && { stateful }),
      fields: plain.map(({ name }) => name),
      links: Object.keys(links),
      units: Object.fromEntries(plain.map((field) => [field.name, unitOf(field)]).filter(([, unit]) => unit && !UNTOLD.has(unit))),
    };
  }
  return found;
}

/**
 * The same, as short as it goes: the list at the root where it is not the usual one, other lists as words, and of units those that most fields of a name have once, each with the
 * fields, and what differs from them in each type.
 */
function compact(known) {
  const votes = new Map();
  for (const { fields, units } of Object.values(known)) {
    for (const field of fields) votes.set(field, [...(votes.get(field) ?? []), units[field] ?? ""]);
  }
  const most = (all) => [...all].sort((a, b) => all.filter((one) => one === b).length - all.filter((one) => one === a).length)[0];
  const usual = Object.fromEntries([...votes].map(([field, all]) => [field, most(all)]).filter(([, unit]) => unit));
  const types = Object.entries(known).map(([name, { root = "", fields, links, units, ...rest }]) => {
    const other = fields.filter((field) => (units[field] ?? "") !== (usual[field] ?? "")).map((field) => [field, units[field] ?? ""]);
    return [name, { ...(root !== rootOf(name) && { root }), ...rest, fields: fields.join(" "), links: links.join(" "), ...(other.length && { units: Object.fromEntries(other) }) }];
  });
  const fieldsOf = {};
  for (const [field, unit] of Object.entries(usual)) fieldsOf[unit] = fieldsOf[unit] ? `${fieldsOf[unit]} ${field}` : field;
  return { usual: fieldsOf, types: Object.fromEntries(types) };
}

function kinds() {
  return schema.getType("LineageKind").getValues().map(({ name, description }) => ({ name, description: firstClause(description).split(",")[0] }));
}

/** The documents that are written down, by their names. */
function written() {
  const files = readdirSync(OPERATIONS).filter((name) => name.endsWith(".graphql")).sort();
  const texts = files.map((name) => readFileSync(new URL(name, OPERATIONS), "utf8").trim());
  return texts.map((text) => (text.includes("#") ? text : text.replace(/\s+/g, " "))); // one with a comment is shown to people
}

async function operations(texts) {
  // answers alone: the types of filters would be larger than all pages
  const asked = texts.map((text) => ({ document: visit(parse(text), { VariableDefinition: () => null }) }));
  const types = await codegen({
    filename: "operations.ts",
    schema: parse(SDL),
    schemaAst: schema,
    documents: asked,
    plugins: [{ types: {} }],
    pluginMap: { types: operationTypes },
    skipDocumentsValidation: true,
    config: { skipTypename: true, enumType: "string-literal", scalars: SCALARS, arrayInputCoercion: false },
  });
  const constants = texts.map((text) => {
    const { name, operation } = parse(text).definitions[0];
    const kind = operation[0].toUpperCase() + operation.slice(1);
    const constant = name.value.replace(/(?<=[a-z])([A-Z])/g, "_$1").toUpperCase();
    return `export const ${constant} = ${JSON.stringify(text)} as Operation<${name.value}${kind}>;`;
  });
  return `/* Written by generate.mjs from src/operations and the schema. */\n\n${types.replace(/export type \w+Variables = .*;\n+/g, "")}
/** The text of an operation; the type is that of its answer. */
export type Operation<T> = string & { readonly answers?: T };

${constants.join("\n")}\n`;
}

function documents(texts, knownTypes, knownMutations) {
  const all = [
    ...texts,
    ...Object.entries(knownTypes).flatMap(([type, known]) => [
      detailsOf(type, known),
      ...(known.stateful ? [standingOf(type)] : []),
      ...(known.root ? [newestOf(known.root)] : []),
    ]),
    ...Object.keys(PLOTTED).map((type) => plotsOf(type)),
    ...Object.keys(knownMutations).map((name) => changeOf(name)),
  ];
  return Object.fromEntries(all.map((text) => [createHash("sha256").update(text).digest("hex"), text]));
}

checkPlots();
const [texts, knownTypes, knownMutations] = [written(), types(), mutations()];
const checks = process.argv.includes("--check");
const stale = [];
const write = (path, value) => {
  const text = typeof value === "string" ? value : `${JSON.stringify(value, null, 1)}\n`;
  const url = new URL(path, import.meta.url);
  if (!checks) writeFileSync(url, text);
  else if (!existsSync(url) || readFileSync(url, "utf8") !== text) stale.push(path);
};
mkdirSync(new URL("src/generated", import.meta.url), { recursive: true });
write("src/generated/mutations.json", knownMutations);
write("src/generated/types.json", compact(knownTypes));
write("src/generated/kinds.json", kinds());
write("src/generated/operations.ts", await operations(texts));
write("../operations/console_documents.json", documents(texts, knownTypes, knownMutations));
if (stale.length) {
  console.error(`Not what the schema makes them, run make pages: ${stale.join(", ")}`);
  process.exit(1);
}

// Fills the stores of Apollo, urql and Relay with the gateway's answers, one after another, and reads each of them again.
//
// Standard input: { sdl, possibleTypes, operations: [{ name, query, variables, data }] }, where every selection asks for
// __typename, and for id where there is one, as these clients do themselves. Standard output: { store: { name: what is
// read now in place of what was answered } } for all that was overwritten, with the paths at which it differs.

import { text } from "node:stream/consumers";
import { InMemoryCache } from "@apollo/client/cache";
import { Client, createRequest } from "@urql/core";
import { cacheExchange } from "@urql/exchange-graphcache";
import { buildSchema, getNamedType, introspectionFromSchema, isListType, isNonNullType, isObjectType, parse, valueFromASTUntyped } from "graphql";
import relay from "relay-runtime";
import { filter, fromValue, mergeMap, pipe } from "wonka";

const { sdl, possibleTypes, operations } = JSON.parse(await text(process.stdin));
const schema = buildSchema(sdl);
for (const one of operations) one.document = parse(one.query);

/** The paths at which two JSON values differ, at most a few. */
function differences(was, is, path = "", found = []) {
  if (found.length > 4) return found;
  if (Array.isArray(was) && Array.isArray(is) && was.length === is.length) {
    was.forEach((one, place) => differences(one, is[place], `${path}[${place}]`, found));
  } else if (was && is && typeof was === "object" && typeof is === "object" && !Array.isArray(was)) {
    for (const key of Object.keys(was)) differences(was[key], is[key], `${path}.${key}`, found);
  } else if (was !== is) {
    found.push(`${path}: ${JSON.stringify(was)?.slice(0, 80)} is ${JSON.stringify(is)?.slice(0, 80)}`);
  }
  return found;
}

const isMutation = ({ document }) => document.definitions[0].operation === "mutation";

function apollo() {
  const cache = new InMemoryCache({ possibleTypes });
  for (const { document: query, variables, data, ...one } of operations) {
    cache.write({ dataId: isMutation({ document: query, ...one }) ? "ROOT_MUTATION" : "ROOT_QUERY", query, variables, result: data });
  }
  return ({ document: query, variables }) => cache.read({ query, variables, optimistic: false, returnPartialData: true });
}

async function urql() {
  const byKey = new Map();
  const keyOf = ({ query, variables }) => createRequest(query, variables).key;
  for (const one of operations) byKey.set(keyOf(one), one.data);
  const answers = () => (operations$) => {
    const asked = pipe(operations$, filter(({ kind }) => kind !== "teardown"));
    return pipe(asked, mergeMap((operation) => fromValue({ operation, data: structuredClone(byKey.get(operation.key)), stale: false, hasNext: false })));
  };
  const exchange = cacheExchange({ schema: introspectionFromSchema(schema), logger: () => {} });
  const client = new Client({ url: "http://localhost", preferGetMethod: false, exchanges: [exchange, answers] });
  for (const one of operations) {
    await (isMutation(one) ? client.mutation(one.query, one.variables) : client.query(one.query, one.variables, { requestPolicy: "network-only" })).toPromise();
  }
  return async (one) => (await client.query(one.query, one.variables, { requestPolicy: "cache-only" }).toPromise()).data;
}

/** A document as Relay's compiler would hand it to the runtime. */
function compiled({ document, variables }) {
  const [definition] = document.definitions;
  const root = schema.getRootType(definition.operation);
  const args = (nodes) => nodes.map(({ name, value }) =>
    value.kind === "Variable" ? { kind: "Variable", name: name.value, variableName: value.name.value }
      : { kind: "Literal", name: name.value, value: valueFromASTUntyped(value, variables) }).sort((a, b) => (a.name < b.name ? -1 : 1));
  const isPlural = (type) => (isNonNullType(type) ? isPlural(type.ofType) : isListType(type));
  const selections = (set, parent) => set.selections.map((node) => {
    if (node.kind === "InlineFragment") {
      const type = schema.getType(node.typeCondition.name.value);
      const abstractKey = isObjectType(type) ? null : `__is${type.name}`;
      return { kind: "InlineFragment", type: type.name, abstractKey, selections: selections(node.selectionSet, type) };
    }
    const name = node.name.value;
    const field = { alias: node.alias?.value ?? null, args: node.arguments.length ? args(node.arguments) : null, name, storageKey: null };
    if (!node.selectionSet) return { kind: "ScalarField", ...field };
    const { type } = parent.getFields()[name], named = getNamedType(type);
    const concreteType = isObjectType(named) ? named.name : null;
    return { kind: "LinkedField", ...field, concreteType, plural: isPlural(type), selections: selections(node.selectionSet, named) };
  });
  const all = selections(definition.selectionSet, root);
  const argumentDefinitions = (definition.variableDefinitions ?? []).map(({ variable }) => ({ kind: "LocalArgument", name: variable.name.value, defaultValue: null }));
  const request = {
    kind: "Request",
    fragment: { kind: "Fragment", name: "Q", type: root.name, abstractKey: null, metadata: null, argumentDefinitions, selections: all },
    operation: { kind: "Operation", name: "Q", argumentDefinitions, selections: all },
    params: { cacheID: document.loc.source.body, id: null, metadata: {}, name: "Q", operationKind: definition.operation, text: document.loc.source.body },
  };
  return relay.createOperationDescriptor(request, variables);
}

function inRelay() {
  const store = new relay.Store(new relay.RecordSource());
  const environment = new relay.Environment({ store, network: relay.Network.create(() => new Promise(() => {})) });
  const descriptors = new Map(operations.map((one) => [one.name, compiled(one)]));
  for (const one of operations) environment.retain(descriptors.get(one.name));
  for (const one of operations) environment.commitPayload(descriptors.get(one.name), structuredClone(one.data));
  return (one) => environment.lookup(descriptors.get(one.name).fragment).data;
}

const told = {};
for (const [name, fill] of Object.entries({ apollo, urql, relay: inRelay })) {
  const read = await fill();
  told[name] = {};
  for (const one of operations) {
    if (isMutation(one)) continue;
    const found = differences(one.data, (await read(one)) ?? null);
    if (found.length) told[name][one.name] = found;
  }
}
process.stdout.write(JSON.stringify(told));

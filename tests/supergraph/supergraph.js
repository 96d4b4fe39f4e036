// Composes the gateway's subgraph with two others, and asks Apollo's gateway over all three.
//
// Standard input: {sdl, url, operations: [{query, variables, authorization}]}. Standard output: {errors} where the
// subgraphs do not compose, else {answers: [...]}, each with the milliseconds that it took.

import { createServer } from 'node:http';
import { composeServices } from '@apollo/composition';
import { ApolloGateway, RemoteGraphQLDataSource } from '@apollo/gateway';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { graphql, getOperationAST, parse, validate } from 'graphql';

const LINK = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])\n';

/** Notes on models, which this subgraph knows by their ids alone. */
const notes = {
  sdl: `${LINK}
    type Query { noted: [Model!]! }
    type Model @key(fields: "id") { id: ID! notes: [Note!]! }
    type Note { text: String! }`,
  resolvers: {
    Query: { noted: () => given.noted.map((id) => ({ __typename: 'Model', id })) },
    Model: { __resolveReference: ({ id }) => ({ id }), notes: ({ id }) => [{ text: `a note on ${id}` }] },
  },
};

/** Releases of models, which this subgraph knows by name and version, and budgets of simulations. */
const releases = {
  sdl: `${LINK}
    type Query { releases: [Release!]! }
    type Release { tag: String! model: Model }
    type Model @key(fields: "modelName modelVersion") { modelName: String modelVersion: String releaseNotes: String }
    type TwinSimulation @key(fields: "id") { id: ID! budget: Int! }`,
  resolvers: {
    Query: { releases: () => given.releases.map((model, at) => ({ tag: `r${at}`, model: { __typename: 'Model', ...model } })) },
    Model: {
      __resolveReference: (model) => model,
      releaseNotes: ({ modelName, modelVersion }) => `${modelName} at ${modelVersion}`,
    },
    TwinSimulation: { __resolveReference: ({ id }) => ({ id }), budget: ({ id }) => id.length },
  },
};

/** A server of a subgraph on a free port; its URL. */
async function serve({ sdl, resolvers }) {
  const schema = buildSubgraphSchema([{ typeDefs: parse(sdl), resolvers }]);
  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const { query, variables } = JSON.parse(Buffer.concat(parts).toString());
    const answer = await graphql({ schema, source: query, variableValues: variables });
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer));
  });
  await new Promise((listens) => server.listen(0, '127.0.0.1', listens));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

/** What the gateway answers to an operation. */
async function ask({ executor, schema }, { query, variables = {}, authorization }) {
  const document = parse(query);
  const wrong = validate(schema, document);
  if (wrong.length) return { errors: wrong.map((one) => one.message) };
  const began = performance.now();
  const answer = await executor({
    document,
    request: { query, variables },
    operation: getOperationAST(document),
    operationName: null,
    queryHash: query,
    schema,
    context: { authorization },
    cache: undefined,
    metrics: {},
    logger: console,
    overallCachePolicy: { restrict() {} },
  });
  return { ...answer, milliseconds: Math.round(performance.now() - began) };
}

class AsCaller extends RemoteGraphQLDataSource {
  willSendRequest({ request, context }) {
    if (context?.authorization) request.http.headers.set('authorization', context.authorization);
  }
}

const read = [];
for await (const part of process.stdin) read.push(part);
const given = JSON.parse(Buffer.concat(read).toString());

const began = performance.now();
const servers = [await serve(notes), await serve(releases)];
const composed = composeServices([
  { name: 'e2i', url: given.url, typeDefs: parse(given.sdl) },
  { name: 'notes', url: servers[0].url, typeDefs: parse(notes.sdl) },
  { name: 'releases', url: servers[1].url, typeDefs: parse(releases.sdl) },
]);
if (composed.errors) {
  process.stdout.write(JSON.stringify({ errors: composed.errors.map((one) => one.message) }));
} else {
  const composing = Math.round(performance.now() - began);
  const gateway = new ApolloGateway({
    supergraphSdl: composed.supergraphSdl,
    buildService: ({ url }) => new AsCaller({ url }),
    logger: { debug() {}, info() {}, warn() {}, error: console.error },
  });
  const loaded = await gateway.load();
  const answers = [];
  for (const one of given.operations) answers.push(await ask(loaded, one));
  process.stdout.write(JSON.stringify({ composing, answers }));
  await gateway.stop();
}
for (const one of servers) one.close();

/** What the page asks of the public GraphQL API, and nothing else. */

import { HEALTHS } from "./documents";
import { parse } from "./format";
import { credentials, token } from "./session";

export type Side = "UPSTREAM" | "DOWNSTREAM";
export type Direction = Side | "BOTH";

export interface LineageNode {
  id: string;
  type: string;
  label: string;
  state: string | null;
  degree: { upstream: number; downstream: number; capped: boolean };
  /** Of a model: its health. Unknown as long as it was not asked for. */
  health?: string | null;
}
export interface LineageEdge {
  from: string;
  to: string;
  kind: string;
  closesCycle: boolean;
}
export interface Frontier {
  node: string;
  direction: Side;
  kind: string;
  type: string;
  depth: number;
  remaining: number;
  capped: boolean;
  cursor: string;
}
export interface Lineage {
  nodes: LineageNode[];
  edges: LineageEdge[];
  complete: boolean;
  reason: string | null;
  asOf: string;
  frontier: Frontier[];
  omitted: { type: string; count: number }[];
  missing: string[];
}
export interface Walk {
  from: string[];
  direction: Direction;
  maxDepth: number;
  perNodeLimit: number;
  maxNodes: number;
  through?: string[];
  after?: string[];
}
export interface Hit {
  id: string;
  type: string;
  label: string;
  why: string;
}
export interface Blocker {
  code: string;
  message: string;
  /** Whether `force` with a reason goes over it. */
  overridable: boolean;
  node: { id: string } | null;
}
export interface Lifecycle {
  state: string;
  /** What blocks a move, and the history, are null where the reader may not know of them; `problems` say why. */
  allowedTransitions: { to: string; mutations: string[]; blockedBy: Blocker[] | null }[] | null;
  history: {
    totalCount: number;
    nodes: { fromState: string | null; toState: string; actor: string; reason: string | null; occurredAt: string }[];
  } | null;
}
export interface Details {
  fields: { name: string; value: unknown; description: string }[];
  lifecycle: Lifecycle | null;
  problems: string[];
}

/** Something the reader can act on: no gateway, a refusal of the gateway, or an answer that is none. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly code: string,
  ) {
    super(message);
  }
}

interface Answer<T> {
  data: T | null;
  errors?: { message: string; path?: (string | number)[]; extensions?: { code?: string } }[];
}

/** The data of an answer, and what could not be answered, by its root field. */
export interface Answered<T> {
  data: T;
  errors: Map<string, string>;
}

/** Sends one operation. Raises for no answer or no data; errors beside data are returned with it. */
async function send<T>(query: string, variables: object): Promise<{ data: T; errors: NonNullable<Answer<T>["errors"]> }> {
  let response: Response;
  let text: string;
  try {
    response = await fetch("graphql", {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json", ...credentials() },
      body: JSON.stringify({ query, variables }),
    });
    text = await response.text();
  } catch {
    throw new ApiError("The gateway cannot be reached. Is it running?", "UNREACHABLE");
  }
  const answer = readable<T>(text);
  if (response.status === 401 || response.status === 403) throw refusal(response.status, answer?.errors?.[0]?.message);
  if (!answer) throw new ApiError(`The gateway answered ${response.status} without JSON.`, "UNREADABLE");
  const { data, errors = [] } = answer;
  const [first] = errors;
  const empty = !data || Object.values(data).every((value) => value === null);
  if (empty && first) throw new ApiError(first.message, first.extensions?.code ?? "ERROR");
  if (!data) throw new ApiError("The gateway answered without data.", "UNREADABLE");
  return { data, errors };
}

function readable<T>(text: string): Answer<T> | null {
  try {
    const answer = parse(text) as Answer<T> | null;
    return typeof answer === "object" ? answer : null;
  } catch {
    return null;
  }
}

/** Asks for what may be answered in part. */
export async function ask<T>(query: string, variables: object): Promise<Answered<T>> {
  const { data, errors } = await send<T>(query, variables);
  return { data, errors: new Map(errors.map(({ path, message }) => [String(path?.[0] ?? ""), message])) };
}

/** What a refused reader can do about it. */
function refusal(status: number, why = ""): ApiError {
  if (status === 403) return new ApiError(`You may not read this. ${why}`, "FORBIDDEN");
  const what = token() ? `The gateway does not take this token. ${why}` : why || "The gateway wants to know who asks.";
  return new ApiError(what, "UNAUTHENTICATED");
}

const NODE = "nodeId type label state degree { upstream downstream capped }";
const LINEAGE = `nodes { ${NODE} }
    edges { from to kind closesCycle }
    complete reason asOf missing
    omitted { type count }`;

/** A lineage, its nodes by the ids of their rows. */
async function walked(query: string, variables: object): Promise<Lineage> {
  type Asked = Omit<Lineage, "nodes"> & { nodes: (Omit<LineageNode, "id"> & { nodeId: string })[] };
  const { lineage: found } = (await send<{ lineage: Asked }>(query, variables)).data;
  return { ...found, nodes: found.nodes.map(({ nodeId, ...node }) => ({ ...node, id: nodeId })) };
}

/** A walk counts a thousand edges of a kind; of so few nodes the API counts further. */
export const COUNTED_AT_ONCE = 10;
const COUNTED = 100_000;

/** Nodes, their degrees counted as far as the API goes, and what there is of each kind. */
export async function counted(from: string[]): Promise<Pick<Lineage, "nodes" | "frontier">> {
  const query = `query Counted($from: [ID!]!, $most: Int, $far: Int) {
  lineage(from: $from, maxDepth: 0, maxNodes: $most, countUpTo: $far) {
    nodes { ${NODE} }
    frontier { node direction kind type depth remaining capped cursor }
  }
}`;
  return walked(query, { from, most: COUNTED_AT_ONCE, far: COUNTED });
}

export async function lineage(walk: Walk): Promise<Lineage> {
  const query = `query Lineage($from: [ID!]!, $direction: LineageDirection, $maxDepth: Int, $perNodeLimit: Int,
    $maxNodes: Int, $through: [LineageKind!], $after: [String!]) {
  lineage(from: $from, direction: $direction, maxDepth: $maxDepth, perNodeLimit: $perNodeLimit, maxNodes: $maxNodes,
    through: $through, after: $after) {
    ${LINEAGE}
    frontier { node direction kind type depth remaining capped cursor }
  }
}`;
  return walked(query, walk);
}

/** The named nodes and every edge among them: what is on screen, as one answer. */
export async function among(from: string[]): Promise<Pick<Lineage, "nodes" | "edges" | "missing">> {
  return walked(asGraphQL("$from", "($from: [ID!]!)"), { from });
}

/** The operation that answers what is on screen, to be pasted anywhere. */
export function viewAsGraphQL(ids: string[]): string {
  return asGraphQL(`[\n    ${ids.map((id) => JSON.stringify(id)).join("\n    ")}\n  ]`, "");
}

function asGraphQL(from: string, variables: string): string {
  return `query ExplorerView${variables} {
  # every node of the view and all edges among them; maxDepth 0 walks no further
  lineage(from: ${from}, maxDepth: 0) {
    ${LINEAGE}
  }
}
`;
}

interface Root {
  name: string;
  type: { name: string | null; ofType: { name: string | null } | null };
}
let roots: Promise<Map<string, string>> | undefined;

/** Each type's list at the root: `Model` at `models`. */
function lists(): Promise<Map<string, string>> {
  roots ??= send<{ __schema: { queryType: { fields: Root[] } } }>(
    "{ __schema { queryType { fields { name type { name ofType { name } } } } } }",
    {},
  ).then(({ data }) => {
    const found = new Map<string, string>();
    for (const { name, type } of data.__schema.queryType.fields) {
      const named = type.name ?? type.ofType?.name ?? "";
      if (named.endsWith("Connection")) found.set(named.slice(0, -"Connection".length), name);
    }
    return found;
  });
  roots.catch(() => (roots = undefined));
  return roots;
}

/** Nodes by name, id or external reference, typos forgiven by the API; and by type, forgiven here. */
export async function search(text: string): Promise<{ hits: Hit[]; note: string }> {
  const query = `query Search($text: String!) {
  search(text: $text, first: 12) { hits { field text node { __typename id } } }
}`;
  interface Found {
    search: { hits: { field: string; text: string; node: { __typename: string; id: string } | null }[] };
  }
  let note = "";
  const byType = ofType(text).catch((error: unknown) => {
    if (!hidesSchema(error)) throw error;
    note = "Types are not searched: this gateway does not show its schema.";
    return [];
  });
  const [named, typed] = await Promise.all([send<Found>(query, { text }), byType]);
  const hits = named.data.search.hits.flatMap(({ field, text: value, node }) =>
    node ? [{ id: node.id, type: node.__typename, why: `${field}: ${value}` }] : [],
  );
  const all = [...hits, ...typed.filter((one) => !hits.some((hit) => hit.id === one.id))].slice(0, 20);
  return { hits: await labelled(all), note };
}

async function labelled<T extends { id: string }>(found: T[]): Promise<(T & { label: string })[]> {
  if (!found.length) return [];
  const labels = new Map((await among(found.map(({ id }) => id))).nodes.map((node) => [node.id, node.label]));
  return found.map((one) => ({ ...one, label: labels.get(one.id) ?? one.id }));
}

/** Whether a failure is that of a gateway without introspection; the page then does without. */
function hidesSchema(error: unknown): boolean {
  return error instanceof ApiError && !["UNREACHABLE", "UNREADABLE", "UNAUTHENTICATED", "FORBIDDEN"].includes(error.code);
}

/** The newest rows of the type that the text names, if it names one, give or take two letters. */
async function ofType(text: string): Promise<{ id: string; type: string; why: string }[]> {
  const wanted = text.replace(/[\s_]/g, "").toLowerCase();
  if (wanted.length < 3) return [];
  const known = await lists();
  const slack = wanted.length > 6 ? 2 : 1;
  const near = [...known]
    .map(([type, root]) => {
      const distances = [type, root].map((name) => distance(wanted, name.toLowerCase()));
      return { type, root, away: Math.min(...distances) };
    })
    .filter(({ away }) => away <= slack)
    .sort((a, b) => a.away - b.away)[0];
  return near ? newest(near.type, near.root, 8) : [];
}

async function newest(type: string, root: string, first: number) {
  const { data } = await send<Record<string, { nodes: { id?: string }[] }>>(
    `query Newest($first: Int) { ${root}(first: $first) { nodes { ... on Node { id } } } }`,
    { first },
  );
  return (data[root]?.nodes ?? []).flatMap(({ id }) => (id ? [{ id, type, why: `newest of ${root}` }] : []));
}

/** Where a visitor without a link may start. */
export async function suggestions(): Promise<Hit[]> {
  return labelled(await newest("Experiment", "experiments", 6));
}

/** Edits between two words: insertions, deletions, substitutions. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}

/** Whether changes can be followed; where the schema is not shown that has to be tried. */
export function canFollow(): Promise<boolean> {
  return send<{ __schema: { subscriptionType: object | null } }>("{ __schema { subscriptionType { name } } }", {}).then(
    ({ data }) => data.__schema.subscriptionType !== null,
    hidesSchema,
  );
}

export async function kinds(): Promise<{ name: string; description: string }[]> {
  const query = `{ __type(name: "LineageKind") { enumValues { name description } } }`;
  const { data } = await send<{ __type: { enumValues: { name: string; description: string }[] } }>(query, {});
  return data.__type.enumValues;
}

interface Field {
  name: string;
  description: string;
  args: { name: string }[];
  type: { kind: string; name: string | null; ofType: { kind: string; name: string | null } | null };
}
const types = new Map<string, Promise<Field[]>>();

/** The fields of a type, asked once. */
function fieldsOf(type: string): Promise<Field[]> {
  const known = types.get(type);
  if (known) return known;
  const query = `query Type($name: String!) {
  __type(name: $name) { fields { name description args { name } type { kind name ofType { kind name } } } }
}`;
  const asked = send<{ __type: { fields: Field[] } }>(query, { name: type }).then(({ data }) => data.__type.fields);
  types.set(type, asked);
  asked.catch(() => types.delete(type));
  return asked;
}

/** A node's own fields, its lifecycle and history. */
export async function details(id: string, type: string): Promise<Details | null> {
  const problems: string[] = [];
  const fields = await fieldsOf(type).catch((error: unknown) => {
    if (!hidesSchema(error)) throw error;
    problems.push("Fields are not shown: this gateway does not show its schema.");
    return [];
  });
  const plain = fields.filter((field) => {
    const named = field.type.kind === "NON_NULL" ? field.type.ofType! : field.type;
    return ["SCALAR", "ENUM"].includes(named.kind) && !field.args.length && field.name !== "id";
  });
  const lifecycle = fields.some((field) => field.name === "lifecycle" && field.type.name === "Lifecycle");
  const moves = `lifecycle {
      state
      allowedTransitions { to mutations blockedBy { code message overridable node { id } } }
      history(first: 10) { totalCount nodes { fromState toState actor reason occurredAt } }
    }`;
  const query = `query Details($id: ID!) {
  node(id: $id) { id ... on ${type} { id ${plain.map((field) => field.name).join(" ")} ${lifecycle ? moves : ""} } }
}`;
  const { data, errors } = await send<{ node: Record<string, unknown> | null }>(query, { id });
  if (!data.node) return null;
  const row = data.node;
  return {
    fields: plain.map(({ name, description }) => ({ name, description, value: row[name] })),
    lifecycle: lifecycle ? (row.lifecycle as Lifecycle | null) : null,
    problems: [...problems, ...errors.map(({ message }) => message)],
  };
}

/** The health of models, as far as the caller may know it. */
export async function healths(ids: string[]): Promise<Map<string, string | null>> {
  const { data } = await ask<{ nodes: ({ id?: string; health?: { healthStatus: string | null } | null } | null)[] }>(HEALTHS, { ids });
  const found = new Map(data.nodes.map((row) => [row?.id, row?.health?.healthStatus]));
  return new Map(ids.map((id) => [id, found.get(id) ?? null]));
}

/** What the page asks of the public GraphQL API, and nothing else. */

import { detailsOf, newestOf, rootOf } from "./built";
import { parse } from "./format";
import { EXPLORER_VIEW, COUNTED, FOLLOWS, HEALTHS, LINEAGE, SEARCH, TYPE_FIELDS, type Operation } from "./generated/operations";
import type { Stack } from "./graph";
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
  /** What it stands for, where it is no row but many of them. */
  stack?: Stack;
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
  /** By what it was found. */
  why: string;
  state?: string | null;
  time: string | null;
  /** The label of what it belongs to. */
  of: string | null;
}
export interface Blocker {
  code: string;
  message: string;
  /** Whether `force` with a reason goes over it. */
  overridable: boolean;
  node: { id: string } | null;
}
/** A change of the row as it is now, and whether this caller may make it. */
export interface Possible {
  mutation: string;
  to: string | null;
  allowed: boolean;
  scope: string;
  /** What is in the way; null where that is not known to the reader, or depends on what is filled in. */
  blockedBy?: Pick<Blocker, "message" | "overridable">[] | null;
}
export interface Lifecycle {
  state: string;
  changes?: Possible[] | null;
  /** What blocks a move, and the history, are null where the reader may not know of them; `problems` say why. */
  allowedTransitions: { to: string; mutations: string[]; blockedBy?: Blocker[] | null }[] | null;
  history: {
    totalCount: number;
    totalCountIsExact: boolean;
    nodes: { id: string; fromState: string | null; toState: string; actor: string; reason: string | null; forced: boolean | null; occurredAt: string }[];
  } | null;
}
export interface Field {
  name: string;
  value: unknown;
  description: string;
  /** As `@fact` says it. */
  unit?: string;
  /** The row that a foreign key names. */
  link?: string;
}
export interface Details {
  fields: Field[];
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
async function send<T>(query: Operation<T>, variables: object): Promise<{ data: T; errors: NonNullable<Answer<T>["errors"]> }> {
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

/** Asks for what may be answered in part. That a reader may not know what is in the way of a change is no problem of the rows. */
export async function ask<T>(query: Operation<T>, variables: object): Promise<Answered<T>> {
  const { data, errors } = await send<T>(query, variables);
  const problems = errors.filter(({ path }) => path?.at(-1) !== "blockedBy");
  return { data, errors: new Map(problems.map(({ path, message }) => [String(path?.[0] ?? ""), message])) };
}

/** What a refused reader can do about it. */
function refusal(status: number, why = ""): ApiError {
  if (status === 403) return new ApiError(`You may not read this. ${why}`, "FORBIDDEN");
  const what = token() ? `The gateway does not take this token. ${why}` : why || "The gateway wants to know who asks.";
  return new ApiError(what, "UNAUTHENTICATED");
}

/** A lineage, its nodes by the ids of their rows. */
async function walked(query: string, variables: object): Promise<Lineage> {
  type Asked = Omit<Lineage, "nodes"> & { nodes: (Omit<LineageNode, "id"> & { nodeId: string })[] };
  const { lineage: found } = (await send<{ lineage: Asked }>(query, variables)).data;
  return { ...found, nodes: found.nodes.map(({ nodeId, ...node }) => ({ ...node, id: nodeId })) };
}

/** A walk counts a thousand edges of a kind; of so few nodes the API counts further. */
export const COUNTED_AT_ONCE = 10;
const COUNTED_UP_TO = 100_000;

/** Nodes, their degrees counted as far as the API goes, and what there is of each kind. */
export async function counted(from: string[]): Promise<Pick<Lineage, "nodes" | "frontier">> {
  return walked(COUNTED, { from, most: COUNTED_AT_ONCE, far: COUNTED_UP_TO });
}

export async function lineage(walk: Walk): Promise<Lineage> {
  return walked(LINEAGE, walk);
}

/** The named nodes and every edge among them: what is on screen, as one answer. */
export async function among(from: string[]): Promise<Pick<Lineage, "nodes" | "edges" | "missing">> {
  return walked(EXPLORER_VIEW, { from });
}

/** The operation that answers what is on screen, to be pasted anywhere. */
export function viewAsGraphQL(ids: string[]): string {
  const from = `[\n    ${ids.map((id) => JSON.stringify(id)).join("\n    ")}\n  ]`;
  return `${EXPLORER_VIEW.replace("($from: [ID!]!)", "").replace("$from", () => from)}\n`;
}

/** What is known of each type of a row: its list at the root, its fields, their units, and which keys (`modelId`) lead to rows. */
export interface Known {
  root?: string;
  stateful?: boolean;
  fields: string[];
  links: string[];
  units: Record<string, string>;
}
/** As `npm run generate` writes it, which is short. */
interface Compact {
  usual: Record<string, string>;
  types: Record<string, { root?: string; stateful?: boolean; fields: string; links: string; units?: Record<string, string> }>;
}
let knownTypes: Promise<Record<string, Known>> | undefined;

export function types(): Promise<Record<string, Known>> {
  return (knownTypes ??= import("./generated/types.json").then((module) => unfolded(module.default as unknown as Compact)));
}

export function unfolded({ usual: fieldsOf, types }: Compact): Record<string, Known> {
  const usual = Object.fromEntries(Object.entries(fieldsOf).flatMap(([unit, fields]) => fields.split(" ").map((field) => [field, unit])));
  const known = Object.entries(types).map(([name, { root = rootOf(name), fields: listed, links, units = {}, ...rest }]) => {
    const fields = listed.split(" ");
    const all = fields.map((field) => [field, units[field] ?? usual[field] ?? ""] as const).filter(([, unit]) => unit);
    return [name, { ...rest, root, fields, links: links.split(" ").filter(Boolean), units: Object.fromEntries(all) }] as const;
  });
  return Object.fromEntries(known);
}

/** What is searched: a text, and where it says `type:` or `state:`, in which type and state alone. */
export interface Wanted {
  text: string;
  type: string;
  state: string;
}

export function wantedIn(typed: string): Wanted {
  const wanted: Wanted = { text: "", type: "", state: "" };
  wanted.text = typed
    .replace(/(?:^|\s)(type|state):(\S*)/gi, (_all, name: string, value: string) => {
      wanted[name.toLowerCase() as "type" | "state"] = value;
      return " ";
    })
    .trim();
  return wanted;
}

/**
 * Nodes by name, id or external reference, typos forgiven by the API; and by type, forgiven here. An exact name comes
 * first, then rows of a type that is named, then what is merely like the text.
 */
export async function search(typed: string): Promise<{ hits: Hit[]; note: string }> {
  const { text, type, state } = wantedIn(typed);
  const known = await types();
  const only = type ? nearestType(type, known) : null;
  if (type && !only) return { hits: [], note: `There is no type like “${type}”.` };
  const named = text ? await found(text, only) : [];
  const of = only && !text ? only : type ? null : nearestType(text, known);
  const rows = of && known[of]!.root ? await newest(of, known[of]!.root!, 8) : [];
  const all = [...named, ...rows.filter((one) => !named.some((hit) => hit.id === one.id))];
  const hits = ranked(await labelled(all), text, state);
  return { hits: hits.slice(0, 20), note: "" };
}

type Found = Omit<Hit, "label">;

async function found(text: string, type: string | null): Promise<Found[]> {
  const { data } = await send(SEARCH, { text, types: type ? [type] : null, first: 20 });
  return (data.search?.hits ?? []).flatMap(({ field, text: value, time, node, belongsTo }) =>
    node ? [{ id: node.id, type: node.__typename, why: `${field}: ${value}`, time, of: belongsTo?.id ?? null }] : [],
  );
}

/** Hits in the order of how well they fit; those of another state than the wanted one are left out. */
export function ranked(hits: Hit[], text: string, state: string): Hit[] {
  const plain = (one: string) => one.toLowerCase().replace(/[\s_-]+/g, " ").trim();
  const rank = ({ label, id }: Hit) => (plain(label) === plain(text) || id === text ? 0 : 1);
  return hits
    .filter((hit) => !state || plain(hit.state ?? "").startsWith(plain(state)))
    .map((hit, at) => [hit, at] as const)
    .sort(([a, first], [b, second]) => rank(a) - rank(b) || first - second)
    .map(([hit]) => hit);
}

/** Hits with the labels and states of their rows, and the label of what each belongs to. */
async function labelled(found: Found[]): Promise<Hit[]> {
  if (!found.length) return [];
  const ids = new Set(found.flatMap(({ id, of }) => (of ? [id, of] : [id])));
  const rows = new Map((await among([...ids])).nodes.map((node) => [node.id, node]));
  return found.map((one) => ({
    ...one,
    label: rows.get(one.id)?.label ?? one.id,
    state: rows.get(one.id)?.state ?? null,
    of: one.of ? (rows.get(one.of)?.label ?? null) : null,
  }));
}

/** Whether a failure is that of a gateway without introspection; the page then does without. */
function hidesSchema(error: unknown): boolean {
  return error instanceof ApiError && !["UNREACHABLE", "UNREADABLE", "UNAUTHENTICATED", "FORBIDDEN"].includes(error.code);
}

/**
 * The type that a text names, if it names one: its name or its list's, in the singular or plural, its last word
 * ("alerts", "run"), give or take two letters.
 */
export function nearestType(text: string, known: Record<string, Known>): string | null {
  const wanted = text.replace(/[\s_-]/g, "").toLowerCase();
  if (wanted.length < 3) return null;
  const slack = wanted.length > 6 ? 2 : wanted.length > 4 ? 1 : 0;
  let best: { type: string; away: number } | null = null;
  for (const [type, { root }] of Object.entries(known)) {
    if (!root) continue;
    const last = /[A-Z][a-z0-9]+$/.exec(type)![0].toLowerCase();
    const names = [type.toLowerCase(), root.toLowerCase()];
    const short = [last, `${last}s`, type.toLowerCase().replace(/model$/, ""), `${type.toLowerCase().replace(/model$/, "")}s`];
    const away = Math.min(...names.map((name) => distance(wanted, name)), ...short.map((name) => (name === wanted ? (type === PLAIN[last] ? 0.4 : 0.5) : Infinity)));
    if (away <= slack || away < 1) if (!best || away < best.away) best = { type, away };
  }
  return best?.type ?? null;
}
/** Of types that end in one word, the one that is meant by it. */
const PLAIN: Record<string, string> = { alert: "MonitoringAlert", run: "TrainingRun", metric: "PerformanceMetric", step: "CompositionStep", twin: "TwinModel" };

async function newest(type: string, root: string, first: number): Promise<Found[]> {
  const { data } = await send<Record<string, { nodes: { id?: string }[] }>>(newestOf(root), { first });
  return (data[root]?.nodes ?? []).flatMap(({ id }) => (id ? [{ id, type, why: `newest of ${root}`, time: null, of: null }] : []));
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
  return send(FOLLOWS, {}).then(({ data }) => data.__schema.subscriptionType !== null, hidesSchema);
}

const described = new Map<string, Promise<Map<string, string>>>();

/** What the schema says of a type's fields, asked once; nothing where it is not shown. */
function descriptions(type: string): Promise<Map<string, string>> {
  const known = described.get(type);
  if (known) return known;
  const asked = send(TYPE_FIELDS, { name: type }).then(
    ({ data }) => new Map((data.__type?.fields ?? []).map(({ name, description }) => [name, description ?? ""])),
    (error: unknown) => {
      described.delete(type);
      if (!hidesSchema(error)) throw error;
      return new Map<string, string>();
    },
  );
  described.set(type, asked);
  return asked;
}

/** A node's own fields, its lifecycle and history. Null if it is gone. */
export async function details(id: string, type: string): Promise<Details | null> {
  const known = (await types())[type];
  if (!known) throw new ApiError(`This page knows no ${type}: it is older or newer than the gateway.`, "PAGE");
  const [{ data, errors }, about] = await Promise.all([
    send<{ node: Record<string, unknown> | null }>(detailsOf(type, known) as Operation<{ node: Record<string, unknown> | null }>, { id }),
    descriptions(type),
  ]);
  const row = data.node;
  if (!row) return null;
  const keys = new Map(known.links.map((link) => [`${link}Id`, (row[link] as { id: string } | null)?.id]));
  return {
    fields: known.fields.map((name) => ({
      name,
      value: row[name],
      description: about.get(name) ?? "",
      unit: known.units[name],
      link: keys.get(name),
    })),
    lifecycle: known.stateful ? (row.lifecycle as Lifecycle | null) : null,
    problems: errors.map(({ message }) => message),
  };
}

/** The health of models, as far as the caller may know it. */
export async function healths(ids: string[]): Promise<Map<string, string | null>> {
  const { data } = await ask<{ nodes: ({ id?: string; health?: { healthStatus: string | null } | null } | null)[] }>(HEALTHS as string, { ids });
  const found = new Map(data.nodes.map((row) => [row?.id, row?.health?.healthStatus]));
  return new Map(ids.map((id) => [id, found.get(id) ?? null]));
}

/** Changes: which may be offered for a row, how they are called, and how they are previewed and made. */

import { ask, type Blocker, type Lifecycle, type Possible } from "./api";
import { changeOf, standingOf } from "./built";
import { count } from "./format";
import known from "./generated/mutations.json";
import { IMPACT, LABELS } from "./generated/operations";
import { typeName, words } from "./tones";

export interface Field {
  name: string;
  about: string;
  type: string;
  required?: boolean;
  list?: boolean;
  values?: string[];
}
export interface Mutation {
  about: string;
  to: boolean;
  force: boolean;
  fields: Field[];
}
/** The mutations of one row, made from the schema by `npm run generate`. */
export const MUTATIONS: Record<string, Mutation> = Object.fromEntries(
  Object.entries(known as unknown as Record<string, Partial<Mutation>>).map(([name, { about = "", to = false, force = false, fields = [] }]) => [
    name,
    { about, to, force, fields: fields.map((field) => ({ ...field, type: field.type ?? "String" })) },
  ]),
);

/** A change that is offered: by which mutation, and to which state if it leads to one. */
export interface Offer {
  mutation: string;
  to: string | null;
  label: string;
  /** What is in the way, where that is known already. */
  blockedBy: Pick<Blocker, "message" | "overridable">[];
}
/** The row that is changed. */
export interface Row {
  id: string;
  type: string;
  label: string;
}

/** What another mutation does as well, and with less to fill in. */
const INSTEAD = new Set(["swapChampion"]);
/** What those who work with it say, in the order in which it is offered: before all that is called as the API calls it. */
const NAMES: Record<string, string> = {
  triggerRetraining: "Retrain",
  rollbackDeployment: "Roll back",
  setChampion: "Make it the champion",
  acknowledgeAlert: "Acknowledge",
  investigateAlert: "Investigate",
  resolveAlert: "Resolve",
  dismissAlert: "Dismiss",
  reopenAlert: "Reopen",
};
const ORDER = Object.keys(NAMES);

/** A change in words: Acknowledge, Promote to production, Move to draining. */
export function named(mutation: string, to: string | null): string {
  const name = NAMES[mutation];
  if (name) return name;
  if (MUTATIONS[mutation]?.to && to) return `${to === "PRODUCTION" ? "Promote" : "Move"} to ${words(to)}`;
  const apart = mutation.replace(/([A-Z])/g, " $1").toLowerCase();
  return apart[0]!.toUpperCase() + apart.slice(1);
}

/** What is known of the changes of a row. */
export type Moves = Pick<Lifecycle, "changes">;

/** What is offered for a row in its state, as the gateway says; what only writes a row stands last. */
export function offers({ changes }: Moves): Offer[] {
  const known = (changes ?? []).filter(({ mutation, to }) => MUTATIONS[mutation] && !INSTEAD.has(mutation) && (to || !MUTATIONS[mutation].to));
  const back = known.find(({ mutation }) => mutation === "rollbackDeployment");
  const rank = ({ mutation, to }: Possible) => (ORDER.includes(mutation) ? ORDER.indexOf(mutation) : ORDER.length + +!to);
  return known
    .filter(({ mutation, to }) => !(back && mutation !== back.mutation && to === back.to))
    .sort((a, b) => rank(a) - rank(b))
    .map(({ mutation, to, blockedBy }) => ({ mutation, to, label: named(mutation, to), blockedBy: blockedBy ?? [] }));
}

/**
 * Why a change cannot be made of the row as it is; null if it can be tried. What a move is given is written before
 * guards judge the row, and may be what they miss.
 */
export function impossible({ mutation, to, blockedBy }: Offer): string | null {
  const final = blockedBy.filter(({ overridable }) => !overridable);
  if (!final.length || (to && MUTATIONS[mutation]!.fields.length)) return null;
  return final.map(({ message }) => message).join("; ");
}

/** The document of a mutation. */
export function documentOf(mutation: string): string {
  return changeOf(mutation);
}

export interface Planned {
  nodeId: string | null;
  type: string;
  before: Record<string, unknown> | null;
  after: Record<string, unknown>;
}
interface Problem {
  code: string;
  message: string;
  path: string[];
}
export type Result =
  | { __typename: "TransitionApplied"; replayed: boolean; event: { id: string; occurredAt: string; actor: string }; alsoChanged: { id: string }[] }
  | { __typename: "TransitionPreview"; wouldForce: string[]; wouldChange: Planned[]; blockers: Blocker[] }
  | ({ __typename: "TransitionBlocked"; blockers: Blocker[] } & Problem)
  | ({ __typename: "StaleVersion" | "IllegalTransition" | "NotFound" | "Forbidden" | "InvalidInput" } & Problem);

export interface Filled {
  reason: string;
  force: boolean;
  values: Record<string, string>;
}

/** The input of a mutation, of what is filled in as text. Fields that are left empty are left out. */
export function inputOf({ mutation, to }: Offer, id: string, { reason, force, values }: Filled): Record<string, unknown> {
  const { to: moves, force: forces, fields } = MUTATIONS[mutation]!;
  const input: Record<string, unknown> = { id };
  if (moves) input.to = to;
  if (reason.trim()) input.reason = reason.trim();
  if (forces && force) input.force = true;
  for (const field of fields) {
    const text = values[field.name]?.trim();
    if (text) input[field.name] = field.list ? text.split(/\s*\n\s*/) : valueOf(field.type, text);
  }
  return input;
}

/** A text as the value of a scalar; what is none is sent as it is, and the gateway says what would be right. */
function valueOf(type: string, text: string): unknown {
  if (type === "Boolean") return text === "true";
  if (type === "Int" || type === "Float") return Number.isNaN(Number(text)) ? text : Number(text);
  if (type !== "JSON") return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** Required fields that are still empty. */
export function missing({ mutation }: Offer, { values }: Filled): Field[] {
  return MUTATIONS[mutation]!.fields.filter(({ name, required }) => required && !values[name]?.trim());
}

/** Makes a change, or previews it. */
export async function change(mutation: string, input: Record<string, unknown>): Promise<Result> {
  const { data } = await ask<{ result: Result }>(documentOf(mutation), { input });
  return data.result;
}

export interface Standing {
  rowVersion: string;
  /** Of a model: the champion that it stands beside. */
  experiment?: { champion: { id: string } | null } | null;
}

/** A row as it stands: its version, state and moves. Null if it is gone. */
export async function standing({ id, type }: Pick<Row, "id" | "type">): Promise<Standing | null> {
  return (await ask<{ node: Standing | null }>(standingOf(type), { id })).data.node;
}

/** What depends on a row that would move to a state, in words: 2 services, 1 alert. Empty if nothing does. */
export async function depending(id: string, to: string): Promise<{ said: string; complete: boolean }> {
  const { impact } = (await ask(IMPACT, { id, to })).data;
  if (!impact) return { said: "", complete: true };
  const types = new Map<string, number>();
  for (const { nodeId, type } of impact.nodes) if (nodeId !== id) types.set(type, (types.get(type) ?? 0) + 1);
  const said = [...types].map(([type, many]) => count(many, typeName(type).toLowerCase())).join(", ");
  return { said, complete: impact.complete };
}

/** What rows are called, and their states, by their ids; those of the first that a preview shows. */
export async function namesOf(ids: string[]): Promise<Map<string, { label: string; state: string | null }>> {
  const { lineage } = (await ask(LABELS, { ids: ids.slice(0, 40) })).data;
  return new Map((lineage?.nodes ?? []).map(({ nodeId, label, state }) => [nodeId, { label, state: state ?? null }]));
}

/** What may not be done by who asks, by mutation, as far as that was found out by trying. */
export const refused = new Map<string, string>();

/** Why a caller may not make a change, where that is known: from what the row's changes say, or by an earlier try. */
export function refusal({ mutation }: Offer, { changes }: Pick<Lifecycle, "changes">): string | null {
  const known = changes?.filter((one) => one.mutation === mutation) ?? [];
  if (known.length && !known.some(({ allowed }) => allowed)) return `This takes the scope ${known[0]!.scope}.`;
  return refused.get(mutation) ?? null;
}

/** Once it is sent, a key tells a change that is sent again from another. */
export function key(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // randomUUID is there over HTTPS alone
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The fields of a row that differ. Keys, and times that the database sets itself, are left out where others differ. */
export function differences({ before, after }: Planned): { field: string; before: unknown; after: unknown }[] {
  const all = Object.entries(after).map(([field, value]) => ({ field, before: before?.[field] ?? null, after: value }));
  const telling = all.filter(({ field }) => !/^(updatedAt|createdAt|.*Id)$/.test(field));
  return telling.length ? telling : all;
}

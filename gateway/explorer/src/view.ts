/** What the URL holds: where the view starts and what was opened since, so that a link shows it again. */

import type { Direction, Side } from "./api";
import kinds from "./generated/kinds.json";

/** A side of a node that was opened, and how many rows of each kind it shows. */
export interface Step {
  node: string;
  side: Side;
  limit: number;
}
/** A side of a node that was closed. */
export type Shut = Omit<Step, "limit">;
export interface View {
  from: string[];
  direction: Direction;
  depth: number;
  per: number;
  kinds: string[];
  /** The types and the states of the rows that stand out; with none all do. */
  types: string[];
  states: string[];
  open: Step[];
  shut: Shut[];
  /** Rows that stand for themselves among many of their kind. */
  pins: string[];
  /** Whether all rows do. */
  apart: boolean;
  selected: string | null;
  /** Changes of so many days are marked; none with nought. */
  since: number;
}

export const DEFAULTS: View = {
  from: [],
  direction: "BOTH",
  depth: 1,
  per: 3,
  kinds: [],
  types: [],
  states: [],
  open: [],
  shut: [],
  pins: [],
  apart: false,
  selected: null,
  since: 0,
};

const DIRECTIONS: readonly string[] = ["UPSTREAM", "DOWNSTREAM", "BOTH"];
const KINDS = new Set(kinds.map(({ name }) => name));

/** What a link asks for; what is not known here (a kind of edge of an older version, say) is left out. */
export function read(hash: string): View {
  const parameters = new URLSearchParams(hash.replace(/^#/, ""));
  const direction = parameters.get("direction") ?? DEFAULTS.direction;
  return {
    from: parameters.getAll("from").filter(Boolean),
    direction: DIRECTIONS.includes(direction) ? (direction as Direction) : DEFAULTS.direction,
    depth: whole(parameters.get("depth"), DEFAULTS.depth, 0, 30),
    per: whole(parameters.get("per"), DEFAULTS.per, 1, 500),
    kinds: (parameters.get("kinds") ?? "").split(",").filter((kind) => KINDS.has(kind)),
    types: (parameters.get("types") ?? "").split(",").filter(Boolean),
    states: (parameters.get("states") ?? "").split(",").filter(Boolean),
    open: parameters.getAll("open").flatMap(step),
    shut: parameters.getAll("shut").flatMap((text) => step(text.replace("~", "~1~")).map(({ node, side }) => ({ node, side }))),
    pins: parameters.getAll("pin").filter(Boolean),
    apart: parameters.get("siblings") === "apart",
    selected: parameters.get("select"),
    since: whole(parameters.get("since"), DEFAULTS.since, 0, 180),
  };
}

export function write(view: View): string {
  const parameters = new URLSearchParams();
  for (const id of view.from) parameters.append("from", id);
  if (view.direction !== DEFAULTS.direction) parameters.set("direction", view.direction);
  if (view.depth !== DEFAULTS.depth) parameters.set("depth", String(view.depth));
  if (view.per !== DEFAULTS.per) parameters.set("per", String(view.per));
  if (view.kinds.length) parameters.set("kinds", view.kinds.join(","));
  if (view.types.length) parameters.set("types", view.types.join(","));
  if (view.states.length) parameters.set("states", view.states.join(","));
  for (const { node, side, limit } of view.open) {
    parameters.append("open", `${side === "UPSTREAM" ? "up" : "down"}~${limit}~${node}`);
  }
  for (const { node, side } of view.shut) parameters.append("shut", `${side === "UPSTREAM" ? "up" : "down"}~${node}`);
  for (const id of view.pins) parameters.append("pin", id);
  if (view.apart) parameters.set("siblings", "apart");
  if (view.selected) parameters.set("select", view.selected);
  if (view.since) parameters.set("since", String(view.since));
  return `#${parameters.toString().replaceAll("%3A", ":").replaceAll("%7E", "~")}`;
}

function step(text: string): Step[] {
  const found = /^(up|down)~(\d+)~(.+)$/.exec(text);
  if (!found) return [];
  return [
    { side: found[1] === "up" ? "UPSTREAM" : "DOWNSTREAM", limit: whole(found[2]!, 25, 1, 1000), node: found[3]! },
  ];
}

function whole(text: string | null, otherwise: number, least: number, most: number): number {
  const value = Number.parseInt(text ?? "", 10);
  return Number.isNaN(value) ? otherwise : Math.min(Math.max(value, least), most);
}

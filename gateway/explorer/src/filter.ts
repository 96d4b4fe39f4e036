/** Which rows of a drawing stand out: those of some types, in some states. The others are drawn without words. */

import type { LineageNode } from "./api";
import type { Graph } from "./graph";
import { ailment } from "./tones";
import type { View } from "./view";

export type Filter = Pick<View, "types" | "states">;
/** The state of rows that have none. */
export const NO_STATE = "NONE";

/** What a row counts as: its state, and the health that it hides. */
function statesOf(row: LineageNode): string[] {
  return [row.state ?? NO_STATE, ailment(row)?.toUpperCase() ?? ""].filter(Boolean);
}

function passes(row: LineageNode, { types, states }: Filter): boolean {
  const among = row.stack?.members ?? [row];
  return (!types.length || types.includes(row.type)) && (!states.length || among.some((one) => statesOf(one).some((state) => states.includes(state))));
}

/** The nodes of a picture that a filter does not choose; none where it chooses none of all: that would hide everything. */
export function faded(picture: Graph, filter: Filter): ReadonlySet<string> {
  const others = [...picture.nodes.values()].filter((row) => !passes(row, filter));
  return new Set(others.length < picture.nodes.size ? others.map(({ id }) => id) : []);
}

/** The types and the states of the rows in view with how many rows each has, in the order of their names. */
export function choices(graph: Graph): { types: [string, number][]; states: [string, number][] } {
  const rows = [...graph.nodes.values()];
  return { types: tallied(rows.map(({ type }) => type)), states: tallied(rows.flatMap(statesOf)) };
}

function tallied(names: string[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].sort(([one], [other]) => one.localeCompare(other));
}

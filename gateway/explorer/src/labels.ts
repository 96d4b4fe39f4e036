/** Where the names of edges stand: between two columns, beside the far end of an edge, where each has a row of its own. */

import type { LineageEdge } from "./api";
import { around, leadsOn } from "./cards";
import { COLUMN, WIDTH, type Box, type Places } from "./layout";
import { words } from "./tones";

export interface Label {
  key: string;
  x: number;
  /** Of the baseline of its last line. */
  y: number;
  anchor: "start" | "middle" | "end";
  lines: string[];
  closing: boolean;
}

/** Pixels of a line, and of a character at most. */
export const LINE_HEIGHT = 13;
const CHARACTER = 6.6;
/** Characters that fit between two columns. */
const FITS = 14;
/** Between an arrow's tip and its name. */
const GAP = 12;

/** The names of the edges of a node, and of those that close a loop. */
export function labels(edges: Iterable<LineageEdge>, places: Places, selected: string | null): Label[] {
  const found = new Map<string, Label>();
  for (const { from, to, kind, closesCycle: closing } of edges) {
    const [start, end] = [places.get(from), places.get(to)];
    if (!start || !end || !(closing || from === selected || to === selected)) continue;
    const far = !leadsOn(start, end) ? "back" : to === selected ? "from" : "to";
    const key = far === "back" ? `${from} ${to}` : `${far} ${far === "to" ? to : from}`;
    const lines = [...(found.get(key)?.lines ?? []), ...broken(words(kind) + (closing ? " · closes the loop" : ""))];
    const at =
      far === "to" ? ({ x: end.x - WIDTH / 2 - GAP, y: end.y - 7, anchor: "end" } as const)
      : far === "from" ? ({ x: start.x + WIDTH / 2 + GAP, y: start.y - 7, anchor: "start" } as const)
      : ({ x: start.x - COLUMN / 2, y: around(start, end) - 5, anchor: "middle" } as const);
    found.set(key, { key, ...at, lines, closing });
  }
  const taken: Box[] = [];
  for (const label of found.values()) {
    // what would stand over another name goes up to where none is
    while (taken.some((other) => overlap(boxOf(label), other))) label.y -= LINE_HEIGHT;
    taken.push(boxOf(label));
  }
  return [...found.values()];
}

/** A name in two lines where it is wider than what is between two columns. */
function broken(name: string): string[] {
  const at = name.lastIndexOf(" ", FITS + 1);
  return name.length > FITS && at > 0 ? [name.slice(0, at), name.slice(at + 1)] : [name];
}

export function boxOf({ x, y, anchor, lines }: Label): Box {
  const width = Math.max(...lines.map((line) => line.length)) * CHARACTER;
  const height = lines.length * LINE_HEIGHT;
  return { x: anchor === "start" ? x : anchor === "end" ? x - width : x - width / 2, y: y + 3 - height, width, height };
}

export function overlap(a: Box, b: Box): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

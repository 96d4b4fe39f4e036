/** Where nodes are. The work is done in layout.worker.ts. */

import type { LineageEdge } from "./api";

export const WIDTH = 210;
export const HEIGHT = 58;
export const COLUMN = 320;
export const ROW = 74;

/** The centre of a node. */
export interface Place {
  x: number;
  y: number;
}
export type Places = ReadonlyMap<string, Place>;
export interface Asked {
  turn: number;
  ids: string[];
  edges: [string, string][];
  places: [string, Place][];
}
export interface Placed {
  turn: number;
  places: [string, Place][];
}

interface Waiting {
  resolve(places: Places): void;
  reject(why: Error): void;
}
const waiting = new Map<number, Waiting>();
let worker: Worker | undefined;
let turns = 0;

function working(): Worker {
  if (worker) return worker;
  const made = new Worker(new URL("./layout.worker.ts", import.meta.url), { type: "module" });
  made.onmessage = ({ data }: MessageEvent<Placed>) => {
    waiting.get(data.turn)?.resolve(new Map(data.places));
    waiting.delete(data.turn);
  };
  made.onerror = (event) => {
    made.terminate();
    worker = undefined; // the next drawing has another
    for (const { reject } of waiting.values()) reject(new Error(`The drawing could not be laid out. ${event.message ?? ""}`));
    waiting.clear();
  };
  return (worker = made);
}

/** Places for all nodes; those in `places` keep theirs. Edges that close a cycle do not order columns. */
export function place(ids: string[], edges: Iterable<LineageEdge>, places: Places): Promise<Places> {
  const forward: [string, string][] = [];
  for (const { from, to, closesCycle } of edges) if (!closesCycle && from !== to) forward.push([from, to]);
  const turn = ++turns;
  return new Promise((resolve, reject) => {
    waiting.set(turn, { resolve, reject });
    working().postMessage({ turn, ids, edges: forward, places: [...places] } satisfies Asked);
  });
}

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** The box around all nodes with their collapsed ends. */
export function bounds(places: Places): Box {
  if (!places.size) return { x: 0, y: 0, width: 1, height: 1 };
  const xs = [...places.values()].map((place) => place.x);
  const ys = [...places.values()].map((place) => place.y);
  const x = Math.min(...xs) - WIDTH / 2 - 90;
  const y = Math.min(...ys) - HEIGHT - 30;
  return { x, y, width: Math.max(...xs) + WIDTH / 2 + 90 - x, height: Math.max(...ys) + HEIGHT + 30 - y };
}

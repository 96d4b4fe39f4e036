/** Places nodes left to right. Nodes that have a place keep it. */

import { Graph, layout } from "@dagrejs/dagre";
import { COLUMN, HEIGHT, ROW, WIDTH, type Place } from "./layout";

/** Beyond this many edges, crossings cannot be read anyway: the order rests on the first edge to each node. */
const MANY = 300;
const TALL = 30;
/** Width by height of a usual window. */
const SHAPE = 1.3;

export function placed(ids: string[], edges: [string, string][], places: [string, Place][]): Map<string, Place> {
  return places.length ? grow(ids, edges, new Map(places)) : fresh(ids, edges);
}

function fresh(ids: string[], edges: [string, string][]): Map<string, Place> {
  const graph = new Graph();
  graph.setGraph({ rankdir: "LR", ranksep: COLUMN - WIDTH, nodesep: ROW - HEIGHT, ranker: "longest-path" });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const id of ids) graph.setNode(id, { width: WIDTH, height: HEIGHT });
  for (const [from, to] of edges.length > MANY ? tree(ids, edges) : edges) graph.setEdge(from, to);
  layout(graph);
  const columns = new Map<number, [string, number][]>();
  for (const id of ids) {
    const { x, y } = graph.node(id) as Place;
    const column = Math.round(x / COLUMN);
    columns.set(column, [...(columns.get(column) ?? []), [id, y]]);
  }
  return wrapped([...columns].sort(([a], [b]) => a - b).map(([, column]) => column.sort((a, b) => a[1] - b[1])));
}

/** A column that is taller than a window of this shape would show stands as several: a large view is no needle. */
function wrapped(columns: [string, number][][]): Map<string, Place> {
  const places = new Map<string, Place>();
  const count = columns.reduce((sum, column) => sum + column.length, 0);
  const most = Math.max(TALL, Math.round(Math.sqrt((count * COLUMN) / ROW / SHAPE)));
  const tall = columns.some((column) => column.length > most);
  let x = 0;
  for (const column of columns) {
    const parts = Math.ceil(column.length / most);
    const rows = Math.ceil(column.length / parts);
    column.forEach(([id, y], index) => {
      const row = index % rows;
      const at = tall ? (row - (Math.min(rows, column.length) - 1) / 2) * ROW : y;
      places.set(id, { x: x + Math.floor(index / rows) * COLUMN, y: Math.round(at) });
    });
    x += parts * COLUMN;
  }
  return places;
}

/** A spanning tree, breadth first from the first node (the start of the view). */
function tree(ids: string[], edges: [string, string][]): [string, string][] {
  const around = new Map<string, [string, string][]>(ids.map((id) => [id, []]));
  for (const edge of edges) for (const end of edge) around.get(end)?.push(edge);
  const seen = new Set<string>();
  const kept: [string, string][] = [];
  for (const root of ids) {
    if (seen.has(root)) continue;
    seen.add(root);
    for (const queue = [root]; queue.length; ) {
      const at = queue.shift()!;
      for (const edge of around.get(at) ?? []) {
        const other = edge[0] === at ? edge[1] : edge[0];
        if (seen.has(other)) continue;
        seen.add(other);
        kept.push(edge);
        queue.push(other);
      }
    }
  }
  return kept;
}

/** New nodes go to the column beside their neighbour, to the free place nearest to it. */
function grow(ids: string[], edges: [string, string][], places: Map<string, Place>): Map<string, Place> {
  const taken = new Map<number, number[]>();
  const take = (id: string, place: Place) => {
    places.set(id, place);
    taken.set(place.x, [...(taken.get(place.x) ?? []), place.y]);
  };
  const wanted = new Set(ids);
  for (const id of [...places.keys()]) if (!wanted.has(id)) places.delete(id);
  for (const [id, place] of [...places]) take(id, place);
  for (let open = ids.filter((id) => !places.has(id)); open.length; ) {
    const next = open.filter((id) => {
      const edge = edges.find(([from, to]) => (from === id && places.has(to)) || (to === id && places.has(from)));
      if (!edge) return true;
      const anchor = places.get(edge[0] === id ? edge[1] : edge[0])!;
      const x = anchor.x + (edge[0] === id ? -COLUMN : COLUMN);
      take(id, { x, y: free(taken.get(x) ?? [], anchor.y) });
      return false;
    });
    if (next.length === open.length) {
      take(next[0]!, { x: 0, y: free(taken.get(0) ?? [], 0) }); // nothing leads to it
      next.shift();
    }
    open = next;
  }
  return places;
}

function free(taken: number[], near: number): number {
  for (let away = 0; ; away++) {
    for (const y of [near + away * ROW, near - away * ROW]) {
      if (!taken.some((other) => Math.abs(other - y) < ROW - 1)) return y;
    }
  }
}

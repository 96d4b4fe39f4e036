import { expect, test } from "vitest";
import { bounds, COLUMN, ROW, type Place } from "../src/layout";
import { placed } from "../src/placing";

const apart = (places: Map<string, Place>) => new Set([...places.values()].map(({ x, y }) => `${x} ${y}`)).size;

test("edges lead from left to right", () => {
  const places = placed(["a", "b", "c"], [["a", "b"], ["b", "c"]], []);
  expect(places.get("a")!.x).toBeLessThan(places.get("b")!.x);
  expect(places.get("b")!.x).toBeLessThan(places.get("c")!.x);
});

test("nodes keep their places; new ones stand beside their neighbours, no two in one place", () => {
  const before = placed(["a", "b"], [["a", "b"]], []);
  const ids = ["a", "b", ...Array.from({ length: 50 }, (_, n) => `n${n}`), "alone"];
  const edges = ids.slice(2, -1).map((id): [string, string] => [id, "b"]);
  const after = placed(ids, [["a", "b"], ...edges], [...before]);
  for (const id of ["a", "b"]) expect(after.get(id)).toEqual(before.get(id));
  for (const [id] of edges) expect(after.get(id)!.x).toBe(before.get("b")!.x - COLUMN);
  expect(after.size).toBe(ids.length);
  expect(apart(after)).toBe(ids.length);
});

test("nodes that have gone leave their places", () => {
  const places = placed(["b"], [], [["a", { x: 0, y: 0 }], ["b", { x: COLUMN, y: ROW }]]);
  expect([...places]).toEqual([["b", { x: COLUMN, y: ROW }]]);
});

test("many nodes of one column stand as several columns", () => {
  const ids = ["root", ...Array.from({ length: 400 }, (_, n) => `n${n}`)];
  const places = placed(ids, ids.slice(1).map((id): [string, string] => ["root", id]), []);
  expect(apart(places)).toBe(ids.length);
  const { width, height } = bounds(places);
  expect(height).toBeLessThan(3 * width);
});

test("nothing has bounds, too", () => {
  expect(bounds(new Map())).toEqual({ x: 0, y: 0, width: 1, height: 1 });
  expect(placed([], [], [])).toEqual(new Map());
});

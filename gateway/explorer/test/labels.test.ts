import { expect, test } from "vitest";
import type { LineageEdge } from "../src/api";
import { boxOf, labels, overlap, type Label } from "../src/labels";
import { COLUMN, HEIGHT, ROW, WIDTH, type Place } from "../src/layout";
import { placed } from "../src/placing";

const edge = (from: string, to: string, kind: string, closesCycle = false): LineageEdge => ({ from, to, kind, closesCycle });
const crossed = (all: Label[]) => all.flatMap((one, at) => all.slice(at + 1).filter((other) => overlap(boxOf(one), boxOf(other)))).length;

test("fifty edges of one node have names that can be read, beside the other ends", () => {
  const ids = ["hub", ...Array.from({ length: 50 }, (_, n) => `n${n}`)];
  const edges = ids.slice(1).map((id, n) => (n % 2 ? edge("hub", id, "PREDICTED_VS_ACTUAL") : edge(id, "hub", "MONITORED_BY")));
  const places = placed(ids, edges.map(({ from, to }) => [from, to]), []);
  const told = labels(edges, places, "hub");
  expect(told).toHaveLength(50);
  expect(crossed(told)).toBe(0);
  const cards = [...places.values()].map(({ x, y }) => ({ x: x - WIDTH / 2, y: y - HEIGHT / 2, width: WIDTH, height: HEIGHT }));
  for (const one of told) for (const card of cards) expect(overlap(boxOf(one), card)).toBe(false);
});

test("two edges between the same rows are one name of both", () => {
  const places = new Map<string, Place>([["a", { x: 0, y: 0 }], ["b", { x: COLUMN, y: ROW }]]);
  const [one, ...others] = labels([edge("a", "b", "CONTAINS"), edge("a", "b", "PRODUCES"), edge("b", "c", "PRODUCES")], places, "a");
  expect([one!.lines, others]).toEqual([["contains", "produces"], []]);
});

test("only the edges of the node that is selected have a name, and those that close a loop", () => {
  const places = new Map<string, Place>([["a", { x: 0, y: 0 }], ["b", { x: COLUMN, y: 0 }], ["c", { x: 2 * COLUMN, y: 0 }]]);
  const edges = [edge("a", "b", "CONTAINS"), edge("b", "c", "PRODUCES"), edge("c", "a", "TRIGGERS", true)];
  expect(labels(edges, places, null).map(({ lines }) => lines)).toEqual([["triggers ·", "closes the loop"]]);
  expect(labels(edges, places, "b").map(({ lines }) => lines.join(" "))).toEqual(["contains", "produces", "triggers · closes the loop"]);
});

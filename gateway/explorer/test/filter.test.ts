import { expect, test } from "vitest";
import type { LineageNode } from "../src/api";
import { choices, faded, NO_STATE } from "../src/filter";
import { Graph } from "../src/graph";

const row = (id: string, state: string | null, more: Partial<LineageNode> = {}): LineageNode => ({
  id, type: id.split(":")[0]!, label: id, state, degree: { upstream: 0, downstream: 0, capped: false }, ...more,
});
const graphOf = (...rows: LineageNode[]): Graph => Object.assign(Object.create(Graph.prototype) as Graph, { nodes: new Map(rows.map((one) => [one.id, one])) });

const MODEL = row("Model:1", "PRODUCTION", { health: "critical" });
const RUN = row("TrainingRun:1", "FAILED");
const METRIC = row("PerformanceMetric:1", null);
const GRAPH = graphOf(MODEL, RUN, METRIC);

test.each([
  [[], [], []],
  [["Model"], [], [RUN, METRIC]],
  [["Model", "TrainingRun"], ["FAILED"], [MODEL, METRIC]],
  [[], ["CRITICAL", NO_STATE], [RUN]],
  [["Deployment"], [], []],
])("of types %s in states %s the others are faded, unless all are", (types, states, others) => {
  expect([...faded(GRAPH, { types, states })]).toEqual(others.map(({ id }) => id));
});

test("a card of many stands out where one of its rows does", () => {
  const stack = row("Stack:1", null, { type: "TrainingRun" });
  const members = [RUN, row("TrainingRun:2", "COMPLETED")];
  const picture = graphOf(MODEL, Object.assign(stack, { stack: { members } }));
  expect([...faded(picture, { types: [], states: ["FAILED"] })]).toEqual(["Model:1"]);
  expect([...faded(picture, { types: [], states: ["PRODUCTION"] })]).toEqual(["Stack:1"]);
});

test("what can be chosen is what is in view, health that a state hides included", () => {
  expect(choices(GRAPH)).toEqual({
    types: [["Model", 1], ["PerformanceMetric", 1], ["TrainingRun", 1]],
    states: [["CRITICAL", 1], ["FAILED", 1], ["NONE", 1], ["PRODUCTION", 1]],
  });
});

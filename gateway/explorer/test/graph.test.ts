import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ApiError, type Frontier, type LineageNode } from "../src/api";
import { Graph } from "../src/graph";
import { DEFAULTS, type View } from "../src/view";

const [MODEL, RUN, OTHER] = ["Model:1", "TrainingRun:1", "TrainingRun:2"];
const VIEW: View = { ...DEFAULTS, from: [MODEL!] };

interface Asked {
  query: string;
  variables: { from: string[]; after?: string[] };
}
const asked: Asked[] = [];
/** What is answered to one request after the other; a null is a gateway that is away. */
let answers: (object | null)[] = [];

const node = (id: string, more: Partial<LineageNode> = {}) => {
  const { id: nodeId, ...rest } = { type: id.split(":")[0]!, label: id, state: null, degree: { upstream: 2, downstream: 0, capped: false }, ...more, id };
  return { nodeId, ...rest };
};
const edge = (from: string, to: string) => ({ from, to, kind: "PRODUCES", closesCycle: false });
const cut = (cursor: string): Frontier => ({
  node: MODEL!, direction: "UPSTREAM", kind: "PRODUCES", type: "TrainingRun", depth: 0, remaining: 1, capped: false, cursor,
});
const lineage = (nodes: object[], edges: object[], frontier: Frontier[] = []) => ({
  lineage: { nodes, edges, complete: !frontier.length, reason: frontier.length ? "perNodeLimit" : null, asOf: "2026-01-01T00:00:00Z", frontier, omitted: [], missing: [] },
});

beforeEach(() => {
  vi.stubGlobal("sessionStorage", { getItem: () => null });
  vi.stubGlobal("fetch", async (_url: string, { body }: { body: string }) => {
    asked.push(JSON.parse(body) as Asked);
    const data = answers.shift();
    if (!data) throw new TypeError("Failed to fetch");
    return Response.json({ data });
  });
  asked.length = 0;
});
afterEach(() => vi.unstubAllGlobals());

async function loaded(): Promise<Graph> {
  const first = lineage([node(MODEL!), node(RUN!)], [edge(RUN!, MODEL!)], [cut("first")]);
  answers = [first, first];
  return Graph.load(VIEW);
}

test("a graph that is shown stays as it is while a side of it is opened", async () => {
  const graph = await loaded();
  const [nodes, edges, cuts] = [[...graph.nodes.keys()], [...graph.edges.keys()], [...graph.cuts.keys()]];
  const second = lineage([node(MODEL!), node(OTHER!)], [edge(OTHER!, MODEL!)]);
  answers = [second, lineage([node(MODEL!), node(RUN!), node(OTHER!)], [edge(RUN!, MODEL!), edge(OTHER!, MODEL!)])];
  const opening = graph.opened(MODEL!, ["UPSTREAM"], VIEW);
  expect([...graph.nodes.keys()]).toEqual(nodes);
  const { graph: grown, steps } = await opening;
  expect([[...graph.nodes.keys()], [...graph.edges.keys()], [...graph.cuts.keys()]]).toEqual([nodes, edges, cuts]);
  expect([...grown.nodes.keys()]).toEqual([MODEL, RUN, OTHER]);
  expect(grown.cuts.size).toBe(0);
  expect(grown.hidden(grown.nodes.get(MODEL!)!)).toEqual({ UPSTREAM: 0, DOWNSTREAM: 0 });
  expect(graph.hidden(graph.nodes.get(MODEL!)!)).toEqual({ UPSTREAM: 1, DOWNSTREAM: 0 });
  expect(steps).toEqual([{ node: MODEL, side: "UPSTREAM", limit: 28 }]);
});

test("where reading on fails, the place is kept and it can be read on from there", async () => {
  const graph = await loaded();
  answers = [null];
  await expect(graph.opened(MODEL!, ["UPSTREAM"], VIEW)).rejects.toThrow(ApiError);
  expect(graph.cutsOf(MODEL!, "UPSTREAM")).toHaveLength(1);
  answers = [lineage([node(OTHER!)], [edge(OTHER!, MODEL!)], [cut("second")]), lineage([], [])];
  const { graph: grown } = await graph.opened(MODEL!, ["UPSTREAM"], VIEW);
  expect(asked.at(-2)!.variables.after).toEqual(["first"]);
  expect(grown.cutsOf(MODEL!, "UPSTREAM").map(({ cursor }) => cursor)).toEqual(["second"]);
});

test("a side of which the second walk fails is opened as a whole the next time", async () => {
  const graph = await loaded();
  answers = [lineage([node(OTHER!)], [edge(OTHER!, MODEL!)]), null];
  await expect(graph.opened(MODEL!, ["UPSTREAM", "DOWNSTREAM"], VIEW)).rejects.toThrow("cannot be reached");
  expect([...graph.nodes.keys()]).toEqual([MODEL, RUN]);
});

test("a node that is read again is another, and the graph that has the old one keeps it", async () => {
  const graph = await loaded();
  answers = [lineage([node(RUN!, { state: "FAILED" })], [])];
  const better = await graph.refreshed(RUN!);
  expect(better.nodes.get(RUN!)!.state).toBe("FAILED");
  expect(graph.nodes.get(RUN!)!.state).toBeNull();
  expect(better.nodes.get(MODEL!)).toBe(graph.nodes.get(MODEL!));
});

test("a node that has gone, or is not on screen, changes nothing", async () => {
  const graph = await loaded();
  answers = [lineage([], [])];
  expect(await graph.refreshed(RUN!)).toBe(graph);
  expect(await graph.refreshed("Model:2")).toBe(graph);
  expect(graph.with([{ ...graph.nodes.get(RUN!)!, id: "Model:2" }]).nodes.size).toBe(2);
});

test("the outline has every node once, below the nearest that leads to it", async () => {
  const graph = await loaded();
  expect(graph.outline([MODEL!]).map(({ id, level, parent, lead }) => [id, level, parent, lead])).toEqual([
    [MODEL, 1, null, ""],
    [RUN, 2, MODEL, "← produces"],
  ]);
});

test("the health of models is asked for once, and again when they are read again", async () => {
  const graph = await loaded();
  expect(graph.unexamined()).toEqual([MODEL]);
  const known = graph.ailing(new Map([[MODEL!, "critical"]]));
  expect([known.unexamined(), known.nodes.get(MODEL!)!.health, known.nodes.get(RUN!)]).toEqual([[], "critical", graph.nodes.get(RUN!)]);
  expect(known.ailing(new Map([[MODEL!, "critical"]]))).toBe(known);
  answers = [lineage([node(MODEL!)], [])];
  expect((await known.refreshed(MODEL!)).unexamined()).toEqual([MODEL]);
});

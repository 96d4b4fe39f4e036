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

/** A model with so many runs, of which the first has a child. */
async function many(runs: number, more = 0): Promise<Graph> {
  const ids = Array.from({ length: runs }, (_, at) => `TrainingRun:${at}`);
  const nodes = [node(MODEL!, { degree: { upstream: 0, downstream: runs + more, capped: false } }), ...ids.map((id, at) => node(id, { state: at % 5 ? "completed" : "failed" })), node("ShapAnalysis:1")];
  const edges = [...ids.map((id) => edge(MODEL!, id)), edge(ids[0]!, "ShapAnalysis:1")];
  const cuts = more ? [{ ...cut("on"), direction: "DOWNSTREAM" as const, remaining: more, depth: 0 }] : [];
  answers = [lineage(nodes, edges, cuts), lineage(nodes, edges)];
  return Graph.load({ ...VIEW, depth: 2 });
}

test("many rows of a kind at one node are one node, which has them", async () => {
  const graph = await many(21, 11_979);
  const picture = graph.stacked(new Set([MODEL!, "TrainingRun:7"]));
  const name = `Stack:${MODEL}~DOWNSTREAM~PRODUCES~TrainingRun`;
  expect([...picture.nodes.keys()]).toEqual([MODEL, "TrainingRun:0", "TrainingRun:7", "ShapAnalysis:1", name]);
  const { label, stack } = picture.nodes.get(name)!;
  expect(label).toBe("11,998 training runs");
  expect([stack!.members.length, stack!.more, [...stack!.tones]]).toEqual([19, 11_979, [["good", 15], ["bad", 4]]]);
  expect(picture.neighbours(MODEL!, "DOWNSTREAM")).toContain(name);
  expect(picture.hidden(picture.nodes.get(MODEL!)!).DOWNSTREAM).toBe(11_979);
  expect(graph.nodes.has("TrainingRun:8")).toBe(true);
  expect((await many(8)).stacked(new Set()).nodes.size).toBe(10); // of eight the one with a child stands for itself
});

test("a closed side takes what hangs at it alone, and is opened anew", async () => {
  const graph = await many(3, 5);
  expect([...graph.beyond("TrainingRun:0", "DOWNSTREAM")]).toEqual(["ShapAnalysis:1"]);
  expect([...graph.beyond("TrainingRun:0", "UPSTREAM")]).toEqual([]); // the view starts there
  const closed = graph.closed(MODEL!, "DOWNSTREAM");
  expect([...closed.nodes.keys()]).toEqual([MODEL]);
  expect([closed.edges.size, closed.cuts.size, closed.hidden(closed.nodes.get(MODEL!)!).DOWNSTREAM]).toEqual([0, 0, 8]);
  expect(graph.nodes.size).toBe(5);
  const nodes = [...graph.nodes.values()].map(({ id, type, label, state, degree }) => ({ nodeId: id, type, label, state, degree }));
  answers = [lineage(nodes, [...graph.edges.values()]), lineage(nodes, [...graph.edges.values()])];
  const again = await Graph.load({ ...VIEW, shut: [{ node: MODEL!, side: "DOWNSTREAM" }] });
  expect([...again.nodes.keys()]).toEqual([MODEL]);
});

import { expect, test } from "vitest";
import { asRows, QUESTIONS, sentence, viewOf } from "../src/answers";
import type { Field, LineageNode } from "../src/api";
import { lines } from "../src/cards";
import { marks, type Diff } from "../src/diff";
import kinds from "../src/generated/kinds.json";
import { local } from "../src/format";
import type { Graph } from "../src/graph";
import { aligned, plotted, seriesOf } from "../src/plots";
import { timeline } from "../src/timeline";
import { verdict, type Comparison } from "../src/twin";

const node = (id: string, state: string | null = null): LineageNode => ({ id, type: id.split(":")[0]!, label: id, state, degree: { upstream: 0, downstream: 1, capped: false } });
const graph = (nodes: LineageNode[], whole = true) => ({ nodes: new Map(nodes.map((one) => [one.id, one])), whole }) as unknown as Graph;

test("an answer says what is there, and what of it is in a bad way", () => {
  const all = [node("Model:1"), node("TrainingRun:1"), node("ShapAnalysis:1"), node("ShapAnalysis:2")];
  const view = { from: ["Model:1"], direction: "UPSTREAM" as const, kinds: [], depth: 4 };
  expect(sentence(graph(all), view)).toBe("Model:1 came of 2 shap analyses and 1 training run. None of them is failed or alerting.");
  const bad = [node("Model:1"), node("Deployment:1", "FAILED"), node("Deployment:2", "ACTIVE")];
  expect(sentence(graph(bad), { ...view, direction: "DOWNSTREAM" })).toBe("On Model:1 depend 2 deployments. 1 is failed or alerting: Deployment:1.");
  expect(sentence(graph([node("Model:1")]), view)).toBe("");
  expect(sentence(graph(all), { ...view, from: ["Model:1", "TrainingRun:1"] })).toBe("");
  expect(sentence(graph(all), { ...view, from: ["Model:1", "TrainingRun:1", "ShapAnalysis:2"], depth: 0 })).toBe("From Model:1 to ShapAnalysis:2 it is 2 edges, over TrainingRun:1.");
});

test("of an answer in part nothing is said that the rest may belie", () => {
  const view = { from: ["Model:1"], direction: "DOWNSTREAM" as const, kinds: [], depth: 4 };
  const [model, well, bad] = [node("Model:1"), node("Deployment:2", "ACTIVE"), node("Deployment:1", "FAILED")];
  expect(sentence(graph([model, well], false), view)).toBe("On Model:1 depend at least 1 deployment. None of those that were read is failed or alerting.");
  expect(sentence(graph([model, well, bad], false), view)).toBe("On Model:1 depend at least 2 deployments. At least 1 is failed or alerting: Deployment:1.");
});

test("questions are views of the schema's own kinds of edges", () => {
  const known = kinds.map(({ name }) => name);
  for (const question of QUESTIONS) {
    const view = viewOf(question, "Model:1");
    expect(view).toMatchObject({ from: ["Model:1"], selected: "Model:1", open: [] });
    for (const kind of view.kinds!) expect(known).toContain(kind);
  }
});

test("a view is a table with a line for each node", () => {
  expect(asRows(graph([node("Model:1", "SHADOW")]))).toBe("id,type,label,state,health,upstream,downstream\r\nModel:1,Model,Model:1,SHADOW,,0,1\r\n");
});

test("a name stands in two lines, broken between words, its end is kept", () => {
  expect(lines("short 1.0")).toEqual(["short 1.0"]);
  expect(lines("kisqali-discontinuation-risk-model 1.1.0")).toEqual(["kisqali-", "discontinuation-…el 1.1.0"]);
  expect(lines("run of 2026-01-02T03:04:05.5Z").join(" ")).toBe(`run of ${local("2026-01-02T03:04:05Z")}`);
  for (const line of lines("MW".repeat(40))) expect(line.length).toBeLessThan(17); // wide letters fill a line sooner
  for (const line of lines("x".repeat(80))) expect(line.length).toBeLessThanOrEqual(22);
});

test("series are in the order of time, and side by side at the times of all", () => {
  const series = seriesOf([
    { name: "a", at: "2026-01-02T00:00:00Z", value: 2 },
    { name: "a", at: "2026-01-01T00:00:00Z", value: 1 },
    { name: "b", at: "2026-01-03T00:00:00Z", value: 3 },
    { name: "b", at: "2026-01-04T00:00:00Z", value: null },
  ]);
  expect(series.map(({ name, points }) => [name, points.map(([, value]) => value)])).toEqual([["a", [1, 2]], ["b", [3]]]);
  const [times, a, b] = aligned(series);
  expect(times).toHaveLength(3);
  expect([a, b]).toEqual([[1, 2, null], [null, null, 3]]);
});

test("plots are made of what a bucket, a group and a row hold", () => {
  const group = (variant: string, score: number) => ({ group: { createdAt: "2026-01-01T00:00:00Z", variant }, score: { avg: score }, latencyMs: { avg: null } });
  expect(plotted("PromptAbTest", { p0: { aggregate: [group("BASELINE", 0.5), group("TREATMENT", 0.7)] } })).toEqual([
    { title: "Score by day", unit: "FRACTION", series: [{ name: "baseline", points: [[Date.parse("2026-01-01"), 0.5]] }, { name: "treatment", points: [[Date.parse("2026-01-01"), 0.7]] }] },
  ]);
  const assigned = { p0: { aggregate: [{ group: { assignedAt: "2026-01-01T00:00:00Z" }, count: 7 }] }, p1: null, p2: { nodes: [] } };
  expect(plotted("Experiment", assigned).map(({ title, series }) => [title, series[0]!.points[0]![1]])).toEqual([["Units assigned by day", 7]]);
  const trials = [{ datetimeComplete: "2026-01-02T00:00:00Z", value: 2 }, { datetimeComplete: null, value: 3 }, { datetimeComplete: "2026-01-01T00:00:00Z", value: null }];
  expect(plotted("HpoStudy", { p0: { nodes: trials } })[0]!.series[0]!.points).toEqual([[Date.parse("2026-01-02"), 2]]);
});

test("a twin is judged by half of its errors, and only where enough is known", () => {
  const row = (predictionError: number | null, effectGrade: string | null, ciCoverage: boolean | null = true) => ({ predictionError, effectGrade, ciCoverage }) as Comparison;
  expect(verdict([row(0.1, "good"), row(0.05, "excellent"), row(null, null, null)])).toMatchObject({ tone: "none", said: "Too little is known", why: "2 predictions have been compared with a real experiment; it takes 3." });
  expect(verdict([row(-0.12, "good"), row(0.05, "excellent"), row(0.9, "poor", false)])).toEqual({
    tone: "good", said: "Good enough", why: "Half of 3 predictions were at most 12 % off (good); 2 of 3 were good or excellent. The real effect was within the predicted interval in 2 of 3.",
  });
  expect(verdict([row(0.3, "fair"), row(0.2, "fair"), row(0.9, "poor", null)])).toMatchObject({ tone: "busy", said: "Not without an A/B test: it is a hint" });
  expect(verdict([row(0.4, "poor"), row(0.5, "poor"), row(0.9, "poor")]).said).toBe("Not good enough");
});

test("recorded changes and the row's own times are one list", () => {
  const field = (name: string, value: unknown): Field => ({ name, value, description: "" });
  const told = timeline([field("createdAt", "2026-01-01T00:00:00Z"), field("updatedAt", "2026-01-09T00:00:00Z"), field("title", "x")], {
    totalCount: 1,
    totalCountIsExact: true,
    nodes: [{ id: "E:1", fromState: "ACTIVE", toState: "RESOLVED", actor: "ada", reason: "done", forced: true, occurredAt: "2026-01-02T00:00:00Z" }],
  });
  expect(told.map(({ what, event }) => [what, event])).toEqual([["active → resolved, forced", "E:1"], ["created", undefined]]);
});

test("what was added since is new, whatever became of it then", () => {
  const row = (nodeId: string) => ({ nodeId, type: "Model", label: nodeId, state: null });
  const change = (nodeId: string) => ({ node: row(nodeId), at: "2026-01-01T00:00:00Z", lifecycle: null, from: null, to: null, actor: null });
  const diff: Diff = { added: { nodes: [row("a")] }, removed: { nodes: [row("b")] }, changed: [change("a"), change("b"), change("c")], unknown: [], complete: true, reason: null };
  expect([...marks(diff)].sort()).toEqual([["a", "added"], ["b", "gone"], ["c", "changed"]]);
});

import { expect, test } from "vitest";
import { nearestType, ranked, unfolded, wantedIn, type Hit } from "../src/api";
import { asCsv } from "../src/csv";
import { unitName } from "../src/format";
import types from "../src/generated/types.json";
import { asked, readListed, writeListed, type Shape } from "../src/listing";
import { titled, titleOf } from "../src/saved";

const SHAPE: Shape = {
  columns: [{ name: "name", field: "MODEL_NAME" }, { name: "health" }],
  filters: [{ name: "stage", label: "Stage", values: ["SHADOW", "PRODUCTION"], where: (values) => ({ stage: { in: values } }) }],
  sort: "-name",
  find: (text) => ({ modelName: { iContains: text } }),
};

test("a link holds a list's filters, text, order and title", () => {
  const listed = { q: "csu & pnh", filters: { stage: ["SHADOW", "PRODUCTION"] }, sort: "name" };
  const hash = writeListed(listed, SHAPE, "Mine");
  expect(hash).toBe("#q=csu+%26+pnh&stage=SHADOW,PRODUCTION&sort=name&title=Mine");
  expect(readListed(hash, SHAPE)).toEqual(listed);
  expect(titleOf(hash)).toBe("Mine");
  expect(writeListed({ q: "", filters: {}, sort: "-name" }, SHAPE)).toBe("#");
});

test("of a link of another version is kept what is known", () => {
  expect(readListed("#stage=GONE,SHADOW&colour=red&sort=-health", SHAPE)).toEqual({ q: "", filters: { stage: ["SHADOW"] }, sort: "-name" });
});

test("what is asked of the API", () => {
  expect(asked({ q: " pnh ", filters: { stage: ["SHADOW"] }, sort: "-name" }, SHAPE)).toEqual({
    where: { and: [{ stage: { in: ["SHADOW"] } }, { modelName: { iContains: "pnh" } }] },
    orderBy: [{ field: "MODEL_NAME", direction: "DESC" }],
  });
  expect(asked({ q: " ", filters: {}, sort: "none" }, SHAPE)).toEqual({ where: {}, orderBy: [] });
});

test("a file keeps every digit, quotes what it must, and runs no formula", () => {
  const rows = [[1, 9007199254740993n, null, true], ['a "b", c', "=1+1", "-2", -2], [{ a: [1n] }, "ü\nz", undefined, ""]];
  expect(asCsv(["a", "b", "c", "d"], rows)).toBe(
    'a,b,c,d\r\n1,9007199254740993,,true\r\n"a ""b"", c",\'=1+1,\'-2,-2\r\n"{""a"":[1]}","ü\nz",,\r\n',
  );
});

test("a view's address takes a title, and another", () => {
  const hash = titled("#from=Model:1&open=up~25~Model:1", "Loop");
  expect(hash).toBe("#from=Model:1&open=up~25~Model:1&title=Loop");
  expect(titled(hash, "")).toBe("#from=Model:1&open=up~25~Model:1");
});

test("a search may say the type and the state", () => {
  expect(wantedIn("type:model csu state:shadow")).toEqual({ text: "csu", type: "model", state: "shadow" });
  expect(wantedIn("prototype:x")).toEqual({ text: "prototype:x", type: "", state: "" });
});

test("types are known by name, plural, short name and with a typo", () => {
  const known = unfolded(types as unknown as Parameters<typeof unfolded>[0]);
  const near = (text: string) => nearestType(text, known);
  expect(["model", "models", "alerts", "alert", "run", "training runs", "twin", "experimnet", "deployments"].map(near)).toEqual([
    "Model", "Model", "MonitoringAlert", "MonitoringAlert", "TrainingRun", "TrainingRun", "TwinModel", "Experiment", "Deployment",
  ]);
  expect(["ab", "fabhalta", "kisqali"].map(near)).toEqual([null, null, null]);
});

test("an exact name comes first, other states are left out", () => {
  const hit = (label: string, state = "SHADOW"): Hit => ({ id: label, type: "Model", label, why: "", state, time: null, of: null });
  const hits = [hit("pnh switch 2"), hit("other", "ARCHIVED"), hit("PNH-switch")];
  expect(ranked(hits, "pnh switch", "").map(({ label }) => label)).toEqual(["PNH-switch", "pnh switch 2", "other"]);
  expect(ranked(hits, "pnh switch", "archived").map(({ label }) => label)).toEqual(["other"]);
});

test("units are written where they are one", () => {
  expect([unitName("MILLISECONDS", " "), unitName("PERCENT"), unitName("FRACTION", " "), unitName("USD", " (", ")")]).toEqual([" ms", "%", "", " (USD)"]);
});

test("units are those of the schema, whatever other types have under the same name", () => {
  const known = unfolded(types as unknown as Parameters<typeof unfolded>[0]);
  expect(known.Deployment!.units).toMatchObject({ latencyP95Ms: "MILLISECONDS", errorRate: "FRACTION" });
  expect(known.ServingMetric!.units).toMatchObject({ errorRate: "PERCENT" });
  expect(known.MonitoringAlert!.links).toContain("model");
});

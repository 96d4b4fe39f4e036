import { expect, test } from "vitest";
import { within } from "../src/camera";
import { DEFAULTS, read, write, type View } from "../src/view";

test("a link holds the view", () => {
  const view: View = {
    from: ["Model:1", "Latency:a b&c~d"],
    direction: "UPSTREAM",
    depth: 4,
    per: 25,
    kinds: ["PRODUCES", "CONTAINS"],
    types: ["Model"],
    states: ["FAILED", "NONE"],
    open: [{ node: "Model:1~x", side: "DOWNSTREAM", limit: 53 }],
    shut: [{ node: "Model:1~x", side: "UPSTREAM" }],
    pins: ["ServingMetric:1", "ServingMetric:2"],
    apart: true,
    selected: "Model:1",
    since: 30,
  };
  expect(read(write(view))).toEqual(view);
  expect(read(write(DEFAULTS))).toEqual(DEFAULTS);
});

test.each([
  ["#depth=-3&per=0", { depth: 0, per: 1 }],
  ["#depth=99&per=1e9", { depth: 30, per: 1 }],
  ["#depth=x&per=", { depth: DEFAULTS.depth, per: DEFAULTS.per }],
  ["#direction=SIDEWAYS&kinds=a,WAS_A_KIND,PRODUCES,1)", { direction: "BOTH", kinds: ["PRODUCES"] }],
  ["#open=left~1~Model:1&open=up~x~Model:1&open=up~9999~Model:1", { open: [{ node: "Model:1", side: "UPSTREAM", limit: 1000 }] }],
  ["#since=-1", { since: 0 }],
  ["#since=9999", { since: 180 }],
  ["#from=&from=Model:1", { from: ["Model:1"] }],
])("what a link %s cannot mean is left out", (hash, told) => {
  expect(read(hash)).toMatchObject(told);
});

test("a window stays within the drawing where that is larger, and has all of it where that fits", () => {
  expect(within(1000, 0, 1000, 400)).toBe(800);
  expect(within(0, 0, 1000, 400)).toBe(200);
  expect(within(500, 0, 1000, 400)).toBe(500);
  expect(within(900, 0, 300, 400)).toBe(150);
});

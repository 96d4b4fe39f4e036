import { expect, test } from "vitest";
import { days } from "../src/charts";
import { isEmpty, ranked, type Champion, type Fleet } from "../src/home";
import { standing, tone, toneOf } from "../src/tones";

const champion = (id: string, healthStatus: string | null, activeAlerts = 0) =>
  ({ id, health: healthStatus === null ? null : { healthStatus, activeAlerts } }) as Champion;

test("champions in the worst health come first, then those with more alerts", () => {
  const all = [champion("a", "healthy"), champion("b", "warning", 1), champion("c", null), champion("d", "critical"), champion("e", "warning", 3)];
  expect(ranked(all).map(({ id }) => id)).toEqual(["d", "e", "b", "c", "a"]);
  expect(all.map(({ id }) => id)).toEqual(["a", "b", "c", "d", "e"]);
});

test("a database is empty that has no model, alert or deployment; one that cannot be read is not", () => {
  const none = { models: { totalCount: 0 }, alerts: { totalCount: 0, nodes: [] }, deployments: { aggregate: [] } };
  expect(isEmpty(none as unknown as Fleet)).toBe(true);
  expect(isEmpty({ ...none, models: null } as unknown as Fleet)).toBe(false);
  expect(isEmpty({ ...none, alerts: { totalCount: 1, nodes: [] } } as unknown as Fleet)).toBe(false);
});

test("days, over the end of a month", () => {
  expect(days("2026-02-27T23:00:00Z", "2026-03-01T01:00:00Z")).toEqual(["2026-02-27", "2026-02-28", "2026-03-01"]);
});

test("states have the tone of what they mean", () => {
  expect(["healthy", "warning", "critical", "unknown", "poor"].map((state) => tone(state))).toEqual(["good", "busy", "bad", "info", "bad"]);
  expect([tone("ACTIVE"), tone("ACTIVE", "MonitoringAlert"), tone(null)]).toEqual(["good", "bad", "none"]);
});

test("a model in production that is in a bad way is not shown as all well", () => {
  const model = { type: "Model", state: "PRODUCTION" };
  expect([toneOf(model), toneOf({ ...model, health: "healthy" }), toneOf({ ...model, health: "critical" })]).toEqual(["good", "good", "bad"]);
  expect([standing(model), standing({ ...model, health: "healthy" }), standing({ ...model, health: "critical" })]).toEqual(["production", "production", "production, critical"]);
});

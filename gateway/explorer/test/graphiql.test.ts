import { readFileSync } from "node:fs";
import { buildSchema, parse } from "graphql";
import { expect, test } from "vitest";
import { unitsOf } from "../../graphiql/src/units";

const schema = buildSchema(readFileSync(new URL("../../../schema/schema.graphql", import.meta.url), "utf8"), { assumeValidSDL: true });
const FACTS = new Map([
  ["Model.auc", "FRACTION"], ["Deployment.latencyP95Ms", "MILLISECONDS"], ["BentoServiceMetricsSummary.errorRate", "PERCENT"],
  ["Deployment.errorRate", "FRACTION"], ["TrainingRun.durationSeconds", "SECONDS"],
]);
const unit = (operation: string) => unitsOf(schema, parse(operation).definitions, FACTS);

test("the unit of a column is that of the field that it was made of, whatever it is called and wherever it stands", () => {
  const told = unit(`query One { models(first: 2) { nodes { score: auc deployments { nodes { slow: latencyP95Ms errorRate } } } } }`);
  expect(told("models.nodes", "score")).toBe("FRACTION");
  expect(told("models.nodes[1].deployments.nodes", "slow")).toBe("MILLISECONDS");
  expect(told("models.nodes[1].deployments.nodes", "errorRate")).toBe("FRACTION");
  const services = unit("{ bentoServices { nodes { metricsSummary { errorRate } } } }");
  expect(services("bentoServices.nodes", "metricsSummary.errorRate")).toBe("PERCENT");
});

test("fragments are followed, and every operation of the text", () => {
  const told = unit(`query A { now } query B { nodes(ids: []) { id ... on Deployment { ...D } ... on Model { value: auc } } }
    fragment D on Deployment { value: latencyP95Ms }`);
  expect(told("nodes", "value")).toBe("MILLISECONDS"); // the first that has it
});

test("what is made of many values is in their unit, their number in none", () => {
  const told = unit("{ trainingRuns { aggregate(groupBy: [{ field: ALGORITHM }]) { group { algorithm } count durationSeconds { p95 count } } } }");
  expect(told("trainingRuns.aggregate", "durationSeconds.p95")).toBe("SECONDS");
  expect(told("trainingRuns.aggregate", "durationSeconds.count")).toBe("");
  expect(told("trainingRuns.aggregate", "count")).toBe("");
});

test("what the operation does not have has no unit", () => {
  const told = unit("{ models { nodes { id auc } } }");
  expect([told("models.nodes", "id"), told("models.nodes", "brier"), told("experiments.nodes", "auc"), told("", "")]).toEqual(["", "", "", ""]);
});

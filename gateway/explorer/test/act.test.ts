import { readFileSync } from "node:fs";
import { buildSchema, getNamedType, isEnumType, isRequiredInputField, parse, validate, type GraphQLInputObjectType } from "graphql";
import { expect, test } from "vitest";
import { differences, documentOf, impossible, inputOf, missing, MUTATIONS, named, offers, type Filled, type Offer } from "../src/act";

const empty: Filled = { reason: "", force: false, values: {} };
const offer = (mutation: string, to: string | null = null): Offer => ({ mutation, to, label: "", blockedBy: [] });

const schema = buildSchema(readFileSync(new URL("../../../schema/schema.graphql", import.meta.url), "utf8"), { assumeValidSDL: true });

test("every mutation's document is answered by the schema", () => {
  expect(Object.keys(MUTATIONS).length).toBeGreaterThan(40);
  for (const mutation of Object.keys(MUTATIONS)) expect(validate(schema, parse(documentOf(mutation)))).toEqual([]);
});

test("what is known of the mutations' inputs holds; what was added since is known after npm run generate", () => {
  for (const [mutation, { to, force, fields }] of Object.entries(MUTATIONS)) {
    const argument = schema.getMutationType()!.getFields()[mutation]!.args.find(({ name }) => name === "input")!;
    const has = (getNamedType(argument.type) as GraphQLInputObjectType).getFields();
    expect([mutation, "to" in has, "force" in has]).toEqual([mutation, to, force]);
    for (const { name, type, required, values } of fields) {
      const named = getNamedType(has[name]!.type);
      expect([mutation, name, named.name, isRequiredInputField(has[name]!)]).toEqual([mutation, name, type, required ?? false]);
      if (isEnumType(named)) expect(named.getValues().map((value) => value.name)).toEqual(expect.arrayContaining(values!));
    }
    const needed = Object.values(has).filter(isRequiredInputField).map(({ name }) => name);
    expect(["id", "to", ...fields.map(({ name }) => name)]).toEqual(expect.arrayContaining(needed));
  }
});

test("an input has what was filled in, as the values that the schema wants", () => {
  const values = { simulatedAte: " 0.25 ", simulatedCiLower: "a", recommendation: "DEPLOY", recommendedSampleSize: "" };
  expect(inputOf(offer("completeSimulation"), "TwinSimulation:1", { reason: "  ", force: true, values })).toEqual({
    id: "TwinSimulation:1", simulatedAte: 0.25, simulatedCiLower: "a", recommendation: "DEPLOY",
  });
  expect(inputOf(offer("promoteModel", "PRODUCTION"), "Model:1", { ...empty, reason: " why ", force: true })).toEqual({
    id: "Model:1", to: "PRODUCTION", reason: "why", force: true,
  });
  const review = { checklistJson: '{"a": true}', validUntil: "2027-01-01" };
  expect(inputOf(offer("approveReview"), "ExpertReview:1", { ...empty, values: review })).toEqual({
    id: "ExpertReview:1", checklistJson: { a: true }, validUntil: "2027-01-01",
  });
  expect(inputOf(offer("rejectReview"), "ExpertReview:1", { ...empty, values: { concernsRaised: "one\n two" } }).concernsRaised).toEqual(["one", "two"]);
});

test("what is still needed is named", () => {
  expect(missing(offer("resolveAlert"), empty).map(({ name }) => name)).toEqual(["resolutionAction"]);
  expect(missing(offer("resolveAlert"), { ...empty, values: { resolutionAction: "RETRAINED" } })).toEqual([]);
});

test("changes are called what people say", () => {
  expect(named("promoteModel", "PRODUCTION")).toBe("Promote to production");
  expect(named("moveDeployment", "DRAINING")).toBe("Move to draining");
  expect(named("acknowledgeAlert", "ACKNOWLEDGED")).toBe("Acknowledge");
  expect(named("approveReview", "APPROVED")).toBe("Approve review");
});

const possible = (mutation: string, to: string | null = null, ...messages: string[]) => ({
  mutation, to, allowed: true, scope: "change", blockedBy: messages.map((message) => ({ message, overridable: false })),
});
const labelled = (...changes: ReturnType<typeof possible>[]) => offers({ changes }).map(({ label }) => label);

test("what is offered is what the gateway says, a roll back once and before what only moves", () => {
  const moves = [possible("moveDeployment", "DRAINING"), possible("moveDeployment", "ROLLED_BACK")];
  expect(labelled(...moves, possible("rollbackDeployment", "ROLLED_BACK"))).toEqual(["Roll back", "Move to draining"]);
  expect(labelled(...moves)).toEqual(["Move to draining", "Move to rolled back"]);
  expect(labelled(possible("promoteModel", "ARCHIVED"), possible("setChampion"), possible("swapChampion"))).toEqual(["Make it the champion", "Move to archived"]);
  expect(labelled(possible("unheardOf", "y"), possible("recordEpisodeFeedback"))).toEqual([]);
  expect(offers({ changes: null })).toEqual([]);
});

test("what nothing that is filled in can lift is impossible, with its reason", () => {
  const [back, promoted, approved, retrained] = offers({
    changes: [
      possible("rollbackDeployment", "ROLLED_BACK", "it replaced no other deployment"),
      { ...possible("promoteModel", "PRODUCTION"), blockedBy: [{ message: "no shadow", overridable: true }] },
      possible("approveReview", "APPROVED", "the checklist is incomplete"),
      possible("triggerRetraining", null, "the alert names no model"),
    ],
  }).sort((a, b) => ["Roll back", "Promote to production", "Approve review", "Retrain"].indexOf(a.label) - ["Roll back", "Promote to production", "Approve review", "Retrain"].indexOf(b.label));
  expect([back, promoted, approved, retrained].map((one) => impossible(one!))).toEqual(["it replaced no other deployment", null, null, "the alert names no model"]);
});

test("differences leave out keys and times of the database, unless there is nothing else", () => {
  const planned = { nodeId: "A:1", type: "A", before: { status: "a", updatedAt: "1" }, after: { status: "b", updatedAt: "2", modelId: "x" } };
  expect(differences(planned)).toEqual([{ field: "status", before: "a", after: "b" }]);
  expect(differences({ ...planned, after: { updatedAt: "2" } })).toEqual([{ field: "updatedAt", before: "1", after: "2" }]);
});

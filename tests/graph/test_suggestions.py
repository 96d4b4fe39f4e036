"""Wrong names: errors say what was probably meant, by words, by what people call things, and by who has the field."""

from __future__ import annotations

import csv
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLInputObjectType, ObjectValueNode, is_required_input_field, parse_value

from schema.names.shapes import shape
from schema.names.suggestions import Suggestion
from schema.names.words import similarity, stem, words
from schema.schema import build
from tests.support.client import Client, serving
from tests.support.databases import Database

NAMES = Path(__file__).parents[1] / "names"
LISTS = (
    "wrong_names.csv",
    "more_wrong_names.csv",
    "other_wrong_names.csv",
    "further_wrong_names.csv",
    "newer_wrong_names.csv",
    "another_authors_wrong_names.csv",
)
SUGGESTED = Path(__file__).parents[1] / "golden" / "suggested_names.txt"


@cache
def rows(name: str) -> tuple[dict[str, str], ...]:
    """Plausible wrong names, written down before there were aliases: kind, owner, name, and what would be right."""
    with (NAMES / name).open() as file:
        return tuple(csv.DictReader(file))


def meant(row: dict[str, str]) -> Suggestion:
    suggestions = build().suggestions
    match row["kind"]:
        case "field":
            return suggestions.field(row["on"], row["name"])
        case "argument":
            owner, field = row["on"].split(".")
            return suggestions.argument(owner, field, row["name"])
        case "input":
            return suggestions.input_field(row["on"], row["name"])
        case "enum":
            return suggestions.value(row["on"], row["name"])
        case _:
            return suggestions.type(row["name"])


def leads_right(row: dict[str, str]) -> bool:
    found, right = meant(row), set(row["right"].split("|"))
    own = {f"{row['on']}.{name}" if row["kind"] == "field" else name for name in found.names}
    return bool(right & (own | {one.place for one in found.elsewhere}))


@pytest.mark.slow
@pytest.mark.parametrize("name", LISTS)
def test_most_plausible_names_lead_right(name: str) -> None:
    """At least nine of ten are among the three names at most that are suggested; the contract is four of five."""
    lost = [f"{row['on']}.{row['name']}" for row in rows(name) if not leads_right(row)]
    assert len(rows(name)) > 60
    assert len(lost) <= 0.1 * len(rows(name)), lost


def told(row: dict[str, str]) -> str:
    """A wrong name with all that is suggested for it, in order."""
    found = meant(row)
    there = (*found.names, *(str(one) for one in found.elsewhere), *(f"... on {one}" for one in found.fragments))
    return f"{row['kind']} {row['on']} {row['name']}: {', '.join(there)}"


@pytest.mark.slow
def test_what_is_suggested_is_as_committed() -> None:
    """What is suggested for each wrong name, the right ones and the others: `make snapshot` writes it anew."""
    lines = [told(row) for name in LISTS for row in rows(name)]
    text = "\n".join(sorted(set(lines))) + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS") == "1":
        SUGGESTED.write_text(text)
    assert text.splitlines() == SUGGESTED.read_text().splitlines(), "run `make snapshot`, read the diff"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("{ alerts { id } }", "Did you mean 'monitoringAlerts'"),
        ("{ alerts { id } }", "Other types have `Experiment.alerts`, `Model.alerts` or `Feature.alerts`."),
        ("{ models { nodes { version } } }", "Did you mean 'modelVersion'"),
        ("{ models { nodes { errorRate } } }", "`Deployment.errorRate` (through 'latestDeployment')"),
        ("{ deployments { nodes { modelVersion } } }", "Other types have `Model.modelVersion` (through 'model')"),
        ("{ models { nodes { precisionRecallAuc } } }", "Did you mean 'prAuc'"),
        ("{ roiCalculations { nodes { roiRatio } } }", "Did you mean 'baseRoi'"),
        ("{ roiCalculations { nodes { status } } }", "Did you mean 'isActive'"),
        ("{ experiments { nodes { status } } }", "Did you mean `ExperimentHealth.status` (through 'health')"),
        ("{ srmChecks { nodes { status } } }", "Did you mean 'isSrmDetected' or 'severity'"),
        ("{ discoveryAlgorithmRuns { nodes { status } } }", "Did you mean 'converged'"),
        ("{ discoveredEdges { nodes { status } } }", "Did you mean `DiscoveredDag.gateDecision` (through 'dag')"),
        ("{ retrainings { nodes { success } } }", "Did you mean 'status'"),
        ("{ twinSimulations { nodes { name } } }", "Did you mean 'interventionType'"),
        ("{ championModels { nodes { experiment { id } } } }", "`Model.experiment` (through 'model')"),
        ("{ models { aggregate { avg { auc } } } }", "below the field that they are of: auc { avg }."),
        ("{ models { aggregate { avg } } }", "below the field that they are of: featureCount { avg }."),
        ("{ roiCostDetails { aggregate { sum { totalCost } } } }", "are of: totalCost { sum }."),
        ("{ trainingRuns { aggregate { average { auc } } } }", "{ avg }."),
        ("{ featureViews { nodes { status } } }", "`MaterializationJob.status` (through 'latestMaterializationJob')"),
        ("{ models(filter: 1) { totalCount } }", "Did you mean 'where'"),
        ("{ models(where: {version: {eq: 1}}) { totalCount } }", "Did you mean 'modelVersion'"),
        ('{ models(where: {modelName: {equals: "x"}}) { totalCount } }', "Did you mean 'eq'"),
        ("{ models(where: {stage: {eq: PROD}}) { totalCount } }", "Did you mean 'PRODUCTION'"),
        ('{ models(where: {stage: {eq: "production"}}) { totalCount } }', "Did you mean 'PRODUCTION'"),
        ("{ models(orderBy: {field: CREATED_AT}) { totalCount } }", "'REGISTERED_AT'"),
        ('{ node(id: "x") { ... on Alert { id } } }', "Did you mean 'MonitoringAlert'"),
        ('{ node(id: "x") { auc } }', "Did you mean to use an inline fragment on 'ChampionModel' or 'Model'?"),
        ("mutation @transaction(dry: true) { promoteModel { __typename } }", "Did you mean 'dryRun'"),
        ('{ models(where: {stage: {eq: "in production"}}) { totalCount } }', "Did you mean 'PRODUCTION'"),
        ("{ ml_drift_history { id } }", "Did you mean 'driftRecords'"),
        ("mutation { promote { __typename } }", "Did you mean 'promoteModel'"),
        ("{ models(stage: PRODUCTION) { totalCount } }", "of 'where': models(where: {stage: {eq: DEVELOPMENT}})."),
        ('{ models(name: "x") { totalCount } }', "of 'where': models(where: {modelName: {eq: \"<text>\"}})."),
        ("{ models(direction: DESC) { totalCount } }", "of 'orderBy': models(orderBy: [{direction: DESC}])."),
        ('mutation { acknowledgeAlert(alertId: "x") { __typename } }', 'acknowledgeAlert(input: {id: "<id>"}).'),
        ("mutation { acknowledgeAlert(dryRun: true) { __typename } }", "acknowledgeAlert(input: {dryRun: true})."),
        ("{ modelHealth(first: 3) { healthStatus } }", "The list 'modelHealths' has it."),
        ('{ lineage(id: "x") { complete } }', "Did you mean 'from'"),
        (
            "{ modelHealths(where: {healthStatus: {eq: CRITICAL}}) { totalCount } }",
            'value: CRITICAL. Write it in quotes: "CRITICAL".',
        ),
        ("{ models { items { id } } }", "Its fields: nodes, edges, pageInfo, "),
        (
            "{ monitoringAlerts { nodes { lifecycle { changes { name } } } } }",
            "Its fields: mutation, description, to, ",
        ),
    ],
)
async def test_errors_over_http_suggest(demo: Client, query: str, said: str) -> None:
    answer = await demo.ask(query)
    assert answer["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert any(said in error["message"] for error in answer["errors"]), answer["errors"]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"stage": {"eq": "PROD"}}, "Did you mean 'PRODUCTION'"),
        ({"version": {"eq": "1"}}, "Did you mean 'modelVersion'"),
        ({"modelName": {"equals": "1"}}, "Did you mean 'eq'"),
    ],
)
async def test_errors_of_variables_suggest(demo: Client, variables: dict[str, Any], said: str) -> None:
    error = await demo.error("query($w: ModelWhere) { models(where: $w) { totalCount } }", w=variables)
    assert said in error["message"]


async def test_a_closed_schema_suggests_nothing_and_tells_no_words(demo_database: Database) -> None:
    async with serving(demo_database.gateway_url, introspection=False) as client:
        for query in ("{ alerts { id } }", "{ models(where: {stage: {eq: PROD}}) { totalCount } }"):
            message = (await client.ask(query))["errors"][0]["message"]
            assert "mean" not in message
            assert "lsewhere" not in message
        error = await client.error('{ deployments(where: {environment: {eq: "Production"}}) { totalCount } }')
        assert error["message"] == 'where.environment.eq: "Production" is not a value of \u2026.'
        assert "values" not in error["extensions"]


def test_a_status_leads_to_what_judges_the_row() -> None:
    """On every type of a table that has no such field, on the type itself or through one of its relations."""
    suggestions, catalogue = build().suggestions, build().catalogue
    lost, astray = [], []
    for type_ in catalogue:
        if type_.is_derived or type_.is_view or "status" in build().graphql.type_map[type_.name].fields:
            continue
        found = suggestions.field(type_.name, "status")
        lost += [] if found.names or found.elsewhere else [type_.name]
        astray += [f"{type_.name}: {one}" for one in found.elsewhere if not one.through]
    assert lost == ["ToolDependency"]  # a pair of tools, which nothing judges
    assert not astray


async def test_a_name_that_says_nothing_gets_no_suggestion(demo: Client) -> None:
    for name in ("qqqq", "_", "x" * 5000):
        answer = await demo.ask(f"{{ {name} }}")
        assert "Did you mean" not in answer["errors"][0]["message"]


def test_names_are_cut_before_they_are_kept() -> None:
    """What a client sends may be as long as a document."""
    suggestions = build().suggestions
    suggestions.field("Query", "monitoringAlert" + "s" * 100_000)
    assert suggestions.field("Query", "zz" + "x" * 62) is suggestions.field("Query", "zz" + "x" * 90_000)


async def test_only_the_first_errors_of_a_document_are_looked_at(demo: Client) -> None:
    answer = await demo.ask("{ " + " ".join(f"alerts{place}: alerts {{ id }}" for place in range(15)) + " }")
    assert len(answer["errors"]) == 15
    assert sum("Did you mean" in error["message"] for error in answer["errors"]) == 5


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("p99LatencyMs", ("p99", "latency", "ms")),
        ("ml_model_registry", ("ml", "model", "registry")),
        ("cohortDefinitions", ("cohort", "definition")),
        ("shapAnalyses", ("shap", "analysis")),
        ("SHAPValues", ("shap", "value")),
        ("status", ("status",)),
        ("statsMsg", ("statistic", "message")),
        ("replicas", ("replica",)),
        ("alias", ("alias",)),
    ],
)
def test_words_of_names(name: str, parts: tuple[str, ...]) -> None:
    assert words(name) == parts


def test_forms_of_a_word_have_one_stem() -> None:
    assert stem("retrieved") == stem("retrieval") == stem("retrieving")
    assert similarity(words("createdOn"), words("createdAt")) > similarity(words("createdOn"), words("severity"))
    assert similarity((), words("a")) == 0


def test_every_input_has_an_example_that_names_a_field() -> None:
    """One that names the row to change, or the column to compare, and is written as GraphQL."""
    inputs = [one for one in build().graphql.type_map.values() if isinstance(one, GraphQLInputObjectType)]
    assert len(inputs) > 100
    for one in inputs:
        told = shape(one)
        if told.startswith("Such as "):
            example = parse_value(told.removeprefix("Such as ").partition(". Its fields: ")[0])
            assert isinstance(example, ObjectValueNode)
            named = {field.name.value for field in example.fields}
            needed = {name for name, field in one.fields.items() if is_required_input_field(field)}
            assert named, one.name
            assert needed <= named <= one.fields.keys(), one.name

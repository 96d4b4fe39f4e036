"""The README is true: its queries run on the demo data, the tests that it names are there."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from client import Client
from conftest import Database, connect
from sockets import listening, until

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
QUERIES = re.findall(r"```graphql\n(.*?)```", README, re.DOTALL)
COOKBOOK = re.findall(
    r"^\| ([^|]+) \| `(.+)` \|$",
    README.partition("<!-- cookbook -->")[2].partition("<!-- /cookbook -->")[0],
    re.MULTILINE,
)
EXAMPLES = sorted((ROOT / "gateway" / "static" / "graphiql-examples").glob("*.graphql"))


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
async def test_queries_of_the_readme(query: str, demo: Client) -> None:
    assert await demo.data(query)


@pytest.fixture(scope="module")
async def subjects(demo: Client) -> dict[str, str]:
    """What the cookbook's variables are: rows of the demo data about which there is something to tell."""
    data = await demo.data(
        """{ models(where: { stage: { eq: PRODUCTION }, driftStatus: { some: {} }, performanceMetrics: { some: {} } }) {
               nodes { id } }
             experiments(where: { fidelityComparisons: { some: {} }, interimAnalyses: { some: {} } }, first: 1) {
               nodes { id rowId } }
             twinModels(where: { fidelityHistory: { some: {} } }, first: 1) { nodes { id } } }"""
    )
    (model, other, *_), (experiment,), (twin,) = (one["nodes"] for one in data.values())
    return {
        "model: ID!": model["id"],
        "other: ID!": other["id"],
        "experiment: ID!": experiment["id"],
        "experiment: UUID!": experiment["rowId"],
        "twinModel: ID!": twin["id"],
    }


@pytest.mark.parametrize(("question", "operation"), COOKBOOK, ids=[question for question, _ in COOKBOOK])
async def test_cookbook(question: str, operation: str, demo: Client, subjects: dict[str, str]) -> None:
    variables = {named.split(":")[0]: subjects[named] for named in re.findall(r"\$(\w+: \w+!)", operation)}
    data = await demo.data(operation, **variables)
    assert leaves(data), "it has something to tell"


def leaves(value: object) -> int:
    """Values in an answer, ids and nulls aside."""
    if isinstance(value, dict):
        return sum(leaves(one) for one in value.values())
    if isinstance(value, list):
        return sum(leaves(one) for one in value)
    return value is not None


def test_the_cookbook_has_every_read_of_the_platform() -> None:
    assert len(COOKBOOK) == 20


async def test_the_change_of_the_readme(demo: Client) -> None:
    """The dry run of a promotion, on a model of the demo that has an AUC in its way; the answer is the README's."""
    (change,) = re.findall(r"```graphql change\n(.*?)```", README, re.DOTALL)
    found = await demo.data("{ models(where: { stage: { eq: SHADOW }, auc: { lt: 0.745 } }) { nodes { id } } }")
    (model,) = found["models"]["nodes"]
    data = await demo.data(change.replace("Model:1f0e...", model["id"]))
    preview = data["promoteModel"]
    assert preview["__typename"] == "TransitionPreview"
    assert preview["wouldForce"] == ["AUC_BELOW_MINIMUM"]
    assert preview["blockers"][0]["message"] in README


async def test_the_lineage_of_the_readme(demo: Client) -> None:
    """Its id comes from the query before it; what the README shows of the answer is there."""
    before, query, shown = re.findall(
        r"```graphql\n([^`]*)```[^`]*`model`[^`]*```graphql lineage\n(.*?)```\n\n```json\n(.*?)```", README, re.DOTALL
    )[0]
    model = (await demo.data(before))["model"]["id"]
    lineage = (await demo.data(query, model=model))["lineage"]
    assert lineage["complete"]
    labels = {node["label"]: node["type"] for node in lineage["nodes"]}
    told = re.findall(r'"type": "(\w+)", "label": "([^"]+)"', shown)
    assert len(told) == 3
    assert {label: type_ for type_, label in told}.items() <= labels.items()
    assert {"from": "Retraining", "to": "Model", "kind": "PRODUCES", "closesCycle": True} in [
        edge | {end: edge[end].split(":")[0] for end in ("from", "to")} for edge in lineage["edges"]
    ]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
async def test_example_tabs_of_graphiql(path: Path, demo: Client) -> None:
    """Where they speak of a model, of the newest in a stage, as GraphiQL fills it in."""
    text = path.read_text()
    variables = {}
    if "$model" in text:
        stage = "SHADOW" if "mutation" in text else "PRODUCTION"
        found = await demo.data(f"{{ models(first: 1, where: {{ stage: {{ eq: {stage} }} }}) {{ nodes {{ id }} }} }}")
        variables = {"model": found["models"]["nodes"][0]["id"]}
    data = await demo.data(text, **variables)
    told = ("nodes", "aggregate", "blockers", "wouldChange")
    assert all(any(answer.get(name) for name in told) for answer in data.values())


async def test_the_client_of_the_readme(database: Database) -> None:
    """It follows, outlasts a gateway that is started again, and hears everything once."""
    (source,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (query,) = re.findall(r"```graphql live\n(.*?)```", README, re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    heard: list[str] = []
    begun = asyncio.Event()

    def handle(change: dict[str, Any]) -> None:
        begun.set()
        if change["event"]:
            heard.append(change["event"]["reason"])

    sql = await connect(database.admin_url)
    async with listening(database.gateway_url) as gateway:
        following = asyncio.create_task(namespace["follow"](gateway.address, query, handle))
        await begun.wait()
        await promoted(sql, "one")
        await until(lambda: heard)
    await promoted(sql, "two")
    async with listening(database.gateway_url, port=gateway.port):
        await until(lambda: len(heard) == 2)
        await promoted(sql, "three")
        await until(lambda: len(heard) == 3)
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
    assert heard == ["one", "two", "three"]
    await sql.close()


async def promoted(sql: asyncpg.Connection, reason: str) -> None:
    await sql.execute(
        "INSERT INTO gateway.lifecycle_events "
        "(change_id, mutation, lifecycle, actor, reason, node_id, node_type, to_state) "
        "VALUES (gen_random_uuid(), 'promoteModel', 'stage', 'a', $1, 'Model:x', 'Model', 'PRODUCTION')",
        reason,
    )


def test_every_threat_has_a_test() -> None:
    """Each row says what is threatened, what is done, and at least one test; that it exists is tested below."""
    table = README.partition("| threat | what the gateway does | test |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]
    assert len(rows) >= 35
    for row in rows:
        assert len(row) == 3, row
        assert all(row), row
        assert re.fullmatch(
            r"`(?:drills/)?test_\w+\.py(?:::test_\w+)?`(?:, `(?:drills/)?test_\w+\.py(?:::test_\w+)?`)*", row[2]
        ), row


def test_tests_that_are_named_exist() -> None:
    tests = ROOT / "tests"
    named = set(re.findall(r"`((?:drills/)?test_\w+\.py)(?:::(test_\w+))?`", README))
    assert named
    for file, test in named:
        source = (tests / file).read_text()
        assert not test or f"def {test}(" in source, (file, test)

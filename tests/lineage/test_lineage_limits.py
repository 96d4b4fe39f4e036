"""What walks may read: bounded whatever they are asked, told by the answer, and refused by price where it is more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
import pytest

from gateway.operations.service import OperationService
from schema.lineage import answer as answers
from schema.lineage.walk import MAX_READ
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, execute

pytestmark = pytest.mark.slow

MODELS, METRICS = 60, 1_000
"""Of one experiment, and of each of these models: more rows two edges away than a walk may read."""
EXPERIMENT = f"Experiment:{UUID(int=7)}"
HOT = f"""
    INSERT INTO ml_experiments (id, experiment_name, prediction_target)
    VALUES ('{UUID(int=7)}', 'hot', 'trx');
    INSERT INTO ml_model_registry (id, experiment_id, model_name, model_version, algorithm)
    SELECT md5('hot' || n)::uuid, '{UUID(int=7)}', 'hot', n::text, 'a' FROM generate_series(1, {MODELS}) n;
    INSERT INTO ml_performance_metrics (id, model_id, metric_name, metric_value, data_split, measured_at)
    SELECT md5(n || 'of' || m)::uuid, md5('hot' || n)::uuid, 'roc_auc', 0.8, 'production', now() - m * interval '1 min'
    FROM generate_series(1, {MODELS}) n, generate_series(1, {METRICS}) m;
    ANALYZE ml_performance_metrics
"""
HIT = f"more than {MAX_READ:,} neighbours"


@pytest.fixture(scope="module")
async def hot(demo_template: Database, clone: Clone) -> AsyncIterator[Client]:
    """The small demo with an experiment of which there is much."""
    async with clone(demo_template) as copy:
        await execute(copy.admin_url, HOT)
        async with serving(copy.gateway_url) as client:
            yield client


async def metric(client: Client, version: int) -> str:
    """The id of a metric of a hot model."""
    where = f'modelName: {{ eq: "hot" }}, modelVersion: {{ eq: "{version}" }}'
    asked = f"{{ models(where: {{ {where} }}) {{ nodes {{ id }} }} }}"
    model = (await client.data(asked))["models"]["nodes"][0]["id"]
    found = await client.data(
        f'{{ node(id: "{model}") {{ ... on Model {{ performanceMetrics(first: 1) {{ nodes {{ id }} }} }} }} }}'
    )
    id_: str = found["node"]["performanceMetrics"]["nodes"][0]["id"]
    return id_


def read(answer: dict[str, Any]) -> int:
    """The rows that a request read."""
    rows: int = answer["extensions"]["cost"]["rows"]
    return rows


async def test_a_walk_reads_so_many_neighbours_and_says_so(hot: Client) -> None:
    query = f"""{{ lineageCounts(from: ["{EXPERIMENT}"], direction: DOWNSTREAM, maxDepth: 2, maxNodes: 10000) {{
        total complete reason counts {{ type depth count }} }} }}"""
    answer = await hot.ask(query)
    counts = answer["data"]["lineageCounts"]
    assert counts["total"] == 10_000
    assert not counts["complete"]
    assert HIT in counts["reason"]
    assert MAX_READ * 0.9 < read(answer) < MAX_READ * 1.01


async def test_what_a_walk_may_read_is_shared_by_all_nodes_of_a_level(hot: Client) -> None:
    """Each model is followed equally far, and none further than the others."""
    query = f"""{{ lineage(from: ["{EXPERIMENT}"], direction: DOWNSTREAM, maxDepth: 2, maxNodes: 500,
        perNodeLimit: 1000, types: ["Model"]) {{ reason frontier {{ node type }} nodes {{ nodeId }} }} }}"""
    data = (await hot.data(query))["lineage"]
    cut = [one for one in data["frontier"] if one["type"] == "PerformanceMetric"]
    assert HIT in data["reason"]
    assert {one["node"] for one in cut} == {one["nodeId"] for one in data["nodes"]}


async def test_no_node_is_followed_further_than_asked_where_its_neighbours_are_read_in_parts(hot: Client) -> None:
    """A level has so many nodes and edges that fewer of each are read at first."""
    query = f"""{{ lineageCounts(from: ["{EXPERIMENT}"], direction: DOWNSTREAM, maxDepth: 2, maxNodes: 10000,
        perNodeLimit: 100) {{ reason counts {{ type depth count }} }} }}"""
    found = (await hot.data(query))["lineageCounts"]
    assert {"type": "PerformanceMetric", "depth": 2, "count": MODELS * 100} in found["counts"]
    assert "more than 100 neighbours" in found["reason"]
    assert HIT not in found["reason"]


async def test_paths_read_so_many_neighbours_and_say_so(hot: Client) -> None:
    one, other = await metric(hot, 1), await metric(hot, 2)
    asked = f'paths(from: "{one}", to: "{other}", direction: BOTH, maxLength: 20, first: 100)'
    answer = await hot.ask(f"{{ {asked} {{ complete reason paths {{ length }} }} }}")
    found = answer["data"]["paths"]
    assert not found["complete"]
    assert HIT in found["reason"]
    assert read(answer) < MAX_READ * 1.1


async def test_five_times_the_paths_between_hot_nodes_are_refused(hot: Client) -> None:
    one, other = await metric(hot, 1), await metric(hot, 2)
    asked = f'paths(from: "{one}", to: "{other}", direction: BOTH, maxLength: 20, first: 100) {{ complete }}'
    error = await hot.error("{" + " ".join(f"p{place}: {asked}" for place in range(5)) + "}")
    assert error["code"] == "COST_LIMIT"
    assert error["extensions"]["value"] > 2_000_000


async def test_a_text_of_5000_nodes_stays_within_what_a_walk_reads(hot: Client) -> None:
    asked = f'from: ["{EXPERIMENT}"], maxDepth: 10, maxNodes: 5000, perNodeLimit: 1000, maxBytes: 1000000'
    answer = await hot.ask(f"{{ lineageText({asked}) }}")
    assert "errors" not in answer
    text = answer["data"]["lineageText"]
    assert "NOT COMPLETE" in text
    assert HIT in text
    assert read(answer) < MAX_READ * 1.1


@pytest.mark.parametrize("field", ["lineage", "lineageText"])
@pytest.mark.parametrize("size", [20_000, 400_000])
async def test_an_answer_is_not_put_together_a_dozen_times_to_fit(
    hot: Client, monkeypatch: pytest.MonkeyPatch, field: str, size: int
) -> None:
    """Each time takes tenths of a second; halving what is kept until it fits took 14 of them."""
    put_together = []
    assemble = answers.assemble
    monkeypatch.setattr(answers, "assemble", lambda *given: put_together.append(given[3:]) or assemble(*given))
    asked = f'from: ["{EXPERIMENT}"], maxDepth: 10, maxNodes: 5000, perNodeLimit: 1000, maxBytes: {size}'
    selected = "" if field == "lineageText" else "{ complete nodes { nodeId label } edges { from to } }"
    told = await hot.data(f"{{ found: {field}({asked}) {selected} }}")
    written = told["found"] if field == "lineageText" else orjson.dumps(told["found"]).decode()
    assert 0.95 * size < len(written) <= size
    assert len(put_together) <= 9, put_together


@pytest.mark.parametrize("field", ["lineageCounts", "lineage", "lineageText"])
async def test_two_of_the_largest_walks_are_refused(field: str, hot: Client) -> None:
    selected = "" if field == "lineageText" else "{ complete }"
    asked = f'{field}(from: ["{EXPERIMENT}"], maxNodes: 10000, perNodeLimit: 1000) {selected}'
    error = await hot.error(f"{{ a: {asked} b: {asked} }}")
    assert error["code"] == "COST_LIMIT"


async def test_a_hot_node_among_many_others_costs_what_may_be_read_of_it(hot: Client) -> None:
    """A price by the rows that a node has on average admitted sixteen such walks in one request."""
    endpoint: OperationService = hot.app.state.graphql
    facts = endpoint.access.facts
    many = dict.fromkeys(("ml_experiments", "ml_model_registry"), 300_000)
    endpoint.planner.learn_facts(replace(facts, rows={**facts.rows, **many}))
    try:
        asked = f'lineageCounts(from: ["{EXPERIMENT}"], maxNodes: 10000, perNodeLimit: 1000) {{ complete }}'
        cost = await hot.cost(f"{{ {asked} }}")
        assert cost["rows"] > MAX_READ
        assert cost["requested"] > 8 * MAX_READ, "a neighbour that is read takes eight points"
    finally:
        endpoint.planner.learn_facts(facts)


async def test_two_paths_between_hot_nodes_are_refused(hot: Client) -> None:
    """One takes more than a second of Postgres."""
    asked = f'paths(from: "{EXPERIMENT}", to: "{EXPERIMENT}", maxLength: 20) {{ complete }}'
    assert "errors" not in await hot.ask(f"{{ {asked} }}")
    error = await hot.error(f"{{ a: {asked} b: {asked} }}")
    assert error["code"] == "COST_LIMIT"


async def test_a_walk_of_few_nodes_is_cheap(hot: Client) -> None:
    answer = await hot.ask(f'{{ lineage(from: ["{EXPERIMENT}"]) {{ complete }} }}')
    assert answer["extensions"]["cost"]["requested"] < 25_000


async def test_counting_the_edges_of_many_nodes_is_priced_where_it_is_asked_for(hot: Client) -> None:
    asked = f'lineage(from: ["{EXPERIMENT}"], maxNodes: 10000)'
    assert "errors" not in await hot.ask(f"{{ {asked} {{ complete }} }}")
    for few in (asked, f'lineage(from: ["{EXPERIMENT}"], maxNodes: 5000, perNodeLimit: 1000)'):
        error = await hot.error(f"{{ {few} {{ nodes {{ degree {{ upstream }} }} }} }}")
        assert error["code"] == "COST_LIMIT"

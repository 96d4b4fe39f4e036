"""`totalCount` counts so far as it is set to, or all rows where that is asked for, and costs as much."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.agents import Agent
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect
from tests.support.executors import EXECUTORS

UP_TO = 3
BOTH = "totalCount totalCountIsExact all: totalCount(exact: true)"


@pytest.fixture(scope="module")
async def own(template: Database, clone: Clone) -> AsyncIterator[Database]:
    """Experiments with 0 to 5 models, five episodes, and a table that seems to be very large."""
    async with clone(template) as database:
        sql = await connect(database.admin_url)
        await sql.execute("""
            INSERT INTO ml_experiments (experiment_name, prediction_target)
                SELECT 'e' || n, 't' FROM generate_series(0, 5) AS n;
            INSERT INTO ml_model_registry (experiment_id, model_name, model_version, algorithm, stage)
                SELECT e.id, e.experiment_name, v::text, 'a', 'development'
                FROM ml_experiments AS e, generate_series(1, substr(e.experiment_name, 2)::int) AS v;
            INSERT INTO composer_episodes (composition_id, query_text, query_embedding, total_latency_ms, status)
                SELECT 'c' || n, 'q', ('[' || repeat('1,', 1535) || '1]')::vector, 1, 'COMPLETED'
                FROM generate_series(1, 5) AS n;
            UPDATE pg_class SET reltuples = 2e8, relpages = 4e6 WHERE relname = 'ml_bentoml_serving_metrics'
        """)
        await sql.close()
        yield database


@pytest.fixture(scope="module", params=EXECUTORS)
async def client(own: Database, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    async with serving(own.gateway_url, compiler=request.param, count_up_to=UP_TO) as client:
        yield client


async def test_longer_lists_are_counted_so_far_unless_all_is_asked_for(client: Client) -> None:
    answer = await client.ask(f"{{ experiments {{ {BOTH} again: totalCount(exact: false) }} }}")
    assert answer["data"]["experiments"] == {
        "totalCount": UP_TO + 1,
        "totalCountIsExact": False,
        "all": 6,
        "again": UP_TO + 1,
    }
    assert answer["extensions"]["cost"]["statements"] == client.statements(2), "one for those that count as far"


async def test_a_count_that_stopped_is_named_where_the_answer_does_not_say_so(client: Client) -> None:
    query = """{ experiments(first: 9) { number: totalCount all: totalCount(exact: true)
        nodes { models(first: 1) { totalCount } some: models { totalCount totalCountIsExact } } } }"""
    answer = await client.ask(query)
    assert answer["data"]["experiments"]["number"] == UP_TO + 1
    assert answer["extensions"]["more"] == [
        {"path": ["experiments", "nodes", "models", "totalCount"], "lists": 2},  # of four and of five
        {"path": ["experiments", "number"], "lists": 1},
    ]
    assert "more" not in (await client.ask("{ experiments { totalCount(exact: true) } }"))["extensions"]
    similar = "query($v: [Float!]) { similarEpisodes(embedding: $v, first: 1) { totalCount } }"
    answer = await client.ask(similar, v=[1.0] * 1536)
    assert answer["extensions"]["more"] == [{"path": ["similarEpisodes", "totalCount"], "lists": 1}]


async def test_a_list_of_just_so_many_rows_is_counted_exactly(client: Client) -> None:
    query = f"""{{ experiments(where: {{experimentName: {{in: ["e1", "e2", "e3"]}}}}) {{ {BOTH} }}
      none: experiments(where: {{experimentName: {{eq: "x"}}}}) {{ {BOTH} }} }}"""
    data = await client.data(query)
    assert data["experiments"] == {"totalCount": UP_TO, "totalCountIsExact": True, "all": UP_TO}
    assert data["none"] == {"totalCount": 0, "totalCountIsExact": True, "all": 0}


async def test_each_parent_has_its_own(client: Client) -> None:
    data = await client.data(f"{{ experiments {{ nodes {{ experimentName models(first: 2) {{ {BOTH} }} }} }} }}")
    found = {int(one["experimentName"][1:]): one["models"] for one in data["experiments"]["nodes"]}
    assert found == {
        rows: {"totalCount": min(rows, UP_TO + 1), "totalCountIsExact": rows <= UP_TO, "all": rows} for rows in range(6)
    }


async def test_a_variable_says_whether_it_is_exact(client: Client) -> None:
    query = "query($exact: Boolean) { experiments { totalCount(exact: $exact) } }"
    totals = [await client.data(query, **asked) for asked in ({"exact": True}, {"exact": False}, {"exact": None}, {})]
    assert [one["experiments"]["totalCount"] for one in totals] == [6, UP_TO + 1, UP_TO + 1, UP_TO + 1]


async def test_the_most_similar_are_counted_so_far(client: Client) -> None:
    query = f"query($v: [Float!]) {{ similarEpisodes(embedding: $v, first: 1) {{ {BOTH} nodes {{ __typename }} }} }}"
    data = await client.data(query, v=[1.0] * 1536)
    assert data["similarEpisodes"] == {
        "totalCount": UP_TO + 1,
        "totalCountIsExact": False,
        "all": 5,
        "nodes": [{"__typename": "ComposerEpisode"}],
    }


@pytest.mark.parametrize("compiler", [True, False])
async def test_a_gateway_may_count_all_rows_of_every_list(own: Database, *, compiler: bool) -> None:
    async with serving(own.gateway_url, compiler=compiler, count_up_to=0) as client:
        data = await client.data(f"{{ experiments {{ {BOTH} }} }}")
    assert data["experiments"] == {"totalCount": 6, "totalCountIsExact": True, "all": 6}


async def test_the_price_is_of_what_is_counted(own: Database) -> None:
    async with serving(own.gateway_url) as client:
        cost = (await client.cost("{ servingMetrics { totalCount } }"))["requested"]
        assert cost < 1_000, "10,001 rows, however many there are"
        error = await client.error("{ servingMetrics { totalCount(exact: true) } }")
    assert error["code"] == "COST_LIMIT"
    assert error["extensions"]["argument"] == "servingMetrics.totalCount"


async def test_agents_are_told_of_a_count_that_stopped(client: Client) -> None:
    asked = {"name": "query", "arguments": {"query": "{ experiments(first: 1) { number: totalCount nodes { id } } }"}}
    values = (await Agent(client).result("tools/call", asked))["structuredContent"]
    (warning,) = [one for one in values["warnings"] if "the count stopped" in one]
    assert warning.startswith("experiments.number: ")
    assert "totalCount(exact: true)" in warning

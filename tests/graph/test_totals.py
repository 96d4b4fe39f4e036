"""`totalCount` counts so far as it is set to, or all rows where that is asked for, and costs as much."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.agents import Agent
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect, connected
from tests.support.executors import EXECUTORS
from tests.support.plans import explained, recording

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
    query = """{ experiments(first: 6) { number: totalCount all: totalCount(exact: true)
        nodes { models(first: 1) { totalCount } some: models { totalCount totalCountIsExact } } } }"""
    answer = await client.ask(query)
    assert answer["data"]["experiments"]["number"] == 6, "a full page has as many"
    assert answer["extensions"]["more"] == [
        {"path": ["experiments", "nodes", "models", "totalCount"], "lists": 2},  # of four and of five
        {"path": ["experiments", "number"], "lists": 1},
    ]
    for whole in ("experiments { totalCount(exact: true) }", 'search(text: "none") { hits { field } }'):
        assert (await client.ask(f"{{ {whole} }}"))["extensions"].keys() == {"cost"}
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


ALGORITHM = 'algorithm: {ne: "b"}'
"""A filter that no index serves, and all models fulfil."""


async def test_a_filter_without_an_index_is_looked_at_for_some_rows(client: Client) -> None:
    """Of 15 models nine are looked at, and one of those that an index finds."""
    for served in ("", 'modelName: {gte: "e"},'):
        none = f'where: {{{served} algorithm: {{eq: "b"}}}}'
        data = await client.data(f"{{ models({none}) {{ {BOTH} }} }}")
        assert data["models"] == {"totalCount": 0, "totalCountIsExact": False, "all": 0}
    found = 'where: {modelName: {gte: "e"}, modelVersion: {eq: "1"}, algorithm: {ne: "b"}}'
    data = await client.data(f"{{ models({found}) {{ {BOTH} }} }}")
    assert not data["models"]["totalCountIsExact"]
    assert data["models"]["totalCount"] <= data["models"]["all"] == 5


async def test_a_page_tells_of_the_number(client: Client) -> None:
    """A list has no fewer rows than its page, and no more than one that is not full; a cursor may cut it."""
    asked = f'models(where: {{modelName: {{gte: "e"}}, {ALGORITHM}}}'
    rows = f"{BOTH} nodes {{ id }}"
    query = f"""{{ full: {asked}, first: 15) {{ {rows} }} whole: {asked}, first: 16) {{ {rows} }}
        last: {asked}, last: 16) {{ {BOTH} edges {{ cursor }} }}
        sized: {asked}, first: 15) {{ {BOTH} pageInfo {{ endCursor }} }}
        none: models(where: {{algorithm: {{eq: "b"}}}}) {{ {rows} }}
        nobody: models(where: {{algorithm: {{eq: "b"}}}}, first: 0) {{ {rows} }}
        each: experiments {{ nodes {{ models(where: {{{ALGORITHM}}}) {{ {rows} }} }} }} }}"""
    data = await client.data(query)
    for name, exact in (("full", False), ("sized", False), ("whole", True), ("last", True)):
        told = {field: data[name][field] for field in ("totalCount", "totalCountIsExact", "all")}
        assert told == {"totalCount": 15, "totalCountIsExact": exact, "all": 15}, name
    assert data["none"] == {"totalCount": 0, "totalCountIsExact": True, "all": 0, "nodes": []}
    assert data["nobody"] == {"totalCount": 0, "totalCountIsExact": False, "all": 0, "nodes": []}
    for one in data["each"]["nodes"]:
        models = one["models"]
        assert models["totalCount"] == models["all"] == len(models["nodes"])
        assert models["totalCountIsExact"]
    after = data["last"]["edges"][-2]["cursor"]
    rest = (await client.data(f'{{ rest: {asked}, after: "{after}") {{ {rows} }} }}'))["rest"]
    assert len(rest["nodes"]) == 1
    assert not rest["totalCountIsExact"], "there are fourteen before it"


async def test_what_an_index_finds_is_counted_exactly(client: Client) -> None:
    """One model at most, whatever else it has to fulfil."""
    query = f"""{{
        one: models(where: {{modelName: {{eq: "e1"}}, {ALGORITHM}}}) {{ {BOTH} }}
        again: models(where: {{and: [{{{ALGORITHM}}}, {{modelName: {{in: ["e1"]}}}}]}}) {{ {BOTH} }}
        none: models(where: {{or: [{{modelName: {{eq: "e1"}}}}, {{modelName: {{eq: "e0"}}}}], not: {{{ALGORITHM}}}}})
            {{ {BOTH} }}
        five: models(where: {{modelName: {{eq: "e5"}}, {ALGORITHM}}}) {{ {BOTH} }} }}"""
    data = await client.data(query)
    assert data["one"] == data["again"] == {"totalCount": 1, "totalCountIsExact": True, "all": 1}
    assert data["none"] == {"totalCount": 0, "totalCountIsExact": True, "all": 0}
    assert data["five"] == {"totalCount": 2, "totalCountIsExact": False, "all": 5}, "of the two rows that were read"


async def test_each_parent_has_rows_of_its_own_looked_at(client: Client) -> None:
    query = f"""{{ experiments {{ nodes {{ experimentName
        some: models(first: 1, where: {{{ALGORITHM}}}) {{ {BOTH} }}
        none: models(where: {{algorithm: {{eq: "b"}}}}) {{ {BOTH} }} }} }} }}"""
    data = await client.data(query)
    for one in data["experiments"]["nodes"]:
        rows = int(one["experimentName"][1:])
        exact = rows <= 1
        assert one["some"] == {"totalCount": min(rows, 2), "totalCountIsExact": exact, "all": rows}
        assert one["none"] == {"totalCount": 0, "totalCountIsExact": exact, "all": 0}


async def test_a_least_number_is_named_where_the_answer_does_not_say_so(client: Client) -> None:
    query = """{ models(where: {algorithm: {eq: "b"}}, first: 0) { totalCount nodes { id } }
        few: models(where: {modelName: {eq: "e1"}, algorithm: {eq: "b"}}, first: 1) { totalCount } }"""
    answer = await client.ask(query)
    assert answer["data"]["models"] == {"totalCount": 0, "nodes": []}
    assert answer["extensions"]["more"] == [{"path": ["models", "totalCount"], "lists": 1}]
    found = await Agent(client).result("tools/call", {"name": "query", "arguments": {"query": query}})
    (warning,) = [one for one in found["structuredContent"]["warnings"] if "totalCount" in one]
    assert warning.startswith("models.totalCount: there are at least so many")


async def test_a_wrong_value_is_told_by_its_place_in_the_filter(client: Client) -> None:
    where = 'where: {modelName: {eq: "e1"}, and: [{algorithm: {eq: "a"}}, {modelName: null}]}'
    error = await client.error(f"{{ models({where}) {{ totalCount }} }}")
    assert error["extensions"]["argument"].startswith("where.and[1].modelName")


@pytest.mark.parametrize("compiler", [True, False])
async def test_a_count_reads_the_rows_that_it_looks_at(own: Database, *, compiler: bool) -> None:
    """Of 20,000 metrics 300 in sequence, 50 of a model; none of them matches."""
    nothing = "metricValue: { gt: 2 }"
    async with connected(own.admin_url) as sql, serving(own.gateway_url, compiler=compiler, count_up_to=100) as client:
        await sql.execute("""
            INSERT INTO ml_performance_metrics (model_id, metric_name, metric_value)
                SELECT id, 'auc', 0.5 FROM (SELECT id FROM ml_model_registry LIMIT 1) AS m, generate_series(1, 20000);
            ANALYZE ml_performance_metrics
        """)
        model = await sql.fetchval("SELECT model_id FROM ml_performance_metrics LIMIT 1")
        for where in (nothing, f'modelId: {{ eq: "{model}" }}, {nothing}'):
            with recording(snapshots=True) as sent:
                data = await client.data(
                    f"{{ performanceMetrics(where: {{ {where} }}) {{ totalCount totalCountIsExact }} }}"
                )
            assert data["performanceMetrics"] == {"totalCount": 0, "totalCountIsExact": False}
            (statement,) = sent
            plan = (await explained(sql, statement, options="ANALYZE, BUFFERS, "))["Plan"]
            assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= 100
        await sql.execute("TRUNCATE ml_performance_metrics")


async def test_the_price_of_a_number_is_that_of_the_rows_looked_at(own: Database) -> None:
    async with serving(own.gateway_url) as client:
        asked = "servingMetrics(where: { p99LatencyMs: { gt: 1e9 } })"
        assert (await client.cost(f"{{ {asked} {{ totalCount }} }}"))["requested"] < 15_000
        assert (await client.error(f"{{ {asked} {{ totalCount(exact: true) }} }}"))["code"] == "COST_LIMIT"

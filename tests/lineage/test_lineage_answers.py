"""The loops of the platform, hot nodes, bad input, what is missing, and differences: lineage as its users meet it."""

from __future__ import annotations

import base64
import json
import random
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from db.base.lineage import LineageKind
from db.base.vocabulary import EdgeSpec, entities, relations
from db.engine.readers import HeldReader
from schema.catalogue.from_models import catalogue
from schema.lineage.edges import edges
from schema.lineage.walk import Walk
from tests.support.changing import add
from tests.support.client import Client
from tests.support.databases import Clone, Database, connect, connected, execute
from tests.support.plans import Statement, plan

pytestmark = pytest.mark.slow

Serve = Callable[[Database], AbstractAsyncContextManager[Client]]

LINEAGE = """
    query($from: [ID!]!, $direction: LineageDirection, $depth: Int, $perNode: Int, $nodes: Int, $bytes: Int,
        $types: [String!], $through: [LineageKind!], $since: DateTime, $until: DateTime, $after: [String!],
        $countUpTo: Int) {
      lineage(from: $from, direction: $direction, maxDepth: $depth, perNodeLimit: $perNode, maxNodes: $nodes,
          maxBytes: $bytes, types: $types, through: $through, since: $since, until: $until, after: $after,
          countUpTo: $countUpTo) {
        asOf complete reason missing
        nodes { id: nodeId type label state depth }
        edges { from to kind closesCycle }
        frontier { node direction kind type depth remaining capped cursor }
      }
    }"""


def test_every_relation_of_a_table_is_an_edge_or_says_why_not() -> None:
    for name, entity in entities().items():
        for field, relation in relations(entity).items():
            if not entity.__is_view__:
                assert relation.lineage, f"{name}.{field}: say its edge, or why it is none"


def test_every_table_is_a_node_with_edges_unless_nothing_leads_to_it() -> None:
    alone = {name for name, ends in edges().of.items() if not ends}
    assert alone == set()


def test_every_kind_is_used() -> None:
    used = {
        relation.lineage.kind
        for entity in entities().values()
        for relation in relations(entity).values()
        if isinstance(relation.lineage, EdgeSpec)
    }
    assert used == set(LineageKind)


def test_every_table_has_a_label_of_its_fields() -> None:
    for name in edges().of:
        type_ = catalogue()[name]
        assert type_.label
        assert all(type_.leaf(name) for name in type_.label)  # columns, and SQL over them


# -- the loops -------------------------------------------------------------------------------------------------------


@dataclass
class Loops:
    """The two loops of the platform, a row of each type on the way."""

    client: Client
    ids: dict[str, str]


@pytest.fixture(scope="module")
async def loops(template: Database, clone: Clone, serve: Serve) -> AsyncIterator[Loops]:
    async with clone(template) as database:
        connection = await connect(database.admin_url)
        try:
            ids = await _loops(connection)
        finally:
            await connection.close()
        async with serve(database) as client:
            yield Loops(client, ids)


LOOP_ROWS = """
    INSERT INTO ml_experiments (id, experiment_name, prediction_target) VALUES ('{Experiment}', 'e', 'x');
    INSERT INTO ml_model_registry (id, experiment_id, model_name, model_version, algorithm, stage)
    VALUES ('{Model}', '{Experiment}', 'm', '1', 'a', 'production'),
        ('{NewModel}', '{Experiment}', 'm', '2', 'a', 'staging');
    INSERT INTO ml_deployments (id, model_registry_id, deployment_name, environment, status)
    VALUES ('{Deployment}', '{Model}', 'd', 'production', 'active');
    INSERT INTO ml_bentoml_services (id, deployment_id, model_registry_id, service_name, bento_tag)
    VALUES ('{BentoService}', '{Deployment}', '{Model}', 's', 's:1');
    INSERT INTO ml_bentoml_serving_metrics (id, service_id, recorded_at)
    VALUES ('{ServingMetric}', '{BentoService}', '2026-01-08');
    INSERT INTO ml_drift_history (id, model_id, deployment_id, drift_type, test_type, baseline_start, baseline_end,
        current_start, current_end, drift_detected, severity)
    VALUES ('{DriftRecord}', '{Model}', '{Deployment}', 'data', 'psi', '2026-01-01', '2026-01-02',
        '2026-01-07', '2026-01-09', true, 'high');
    INSERT INTO ml_retraining_history (id, alert_id, model_id, trigger_type, trigger_reason, old_model_version,
        new_model_version)
    SELECT '{Retraining}', a.id, '{Model}', 'drift', 'r', '1', '2' FROM ml_monitoring_alerts a;
    INSERT INTO digital_twin_models (model_id, model_name, twin_type, model_version, feature_columns, target_columns,
        brand)
    VALUES ('{TwinModel}', 't', 'hcp', '1', '{{a}}', '{{b}}', 'All');
    INSERT INTO twin_simulations (simulation_id, model_id, intervention_type, target_population, twin_count, brand,
        recommendation, experiment_design_id, simulated_ate)
    VALUES ('{TwinSimulation}', '{TwinModel}', 'email_campaign', 'hcp', 1000, 'Kisqali', 'deploy', '{Experiment}', 0.1);
    INSERT INTO ab_experiment_assignments (id, experiment_id, unit_id, unit_type, variant, randomization_method,
        assignment_hash)
    VALUES ('{Assignment}', '{Experiment}', 'u', 'hcp', 'control', 'simple', 'h');
    INSERT INTO ab_experiment_enrollments (id, assignment_id) VALUES ('{Enrollment}', '{Assignment}');
    INSERT INTO twin_fidelity_tracking (tracking_id, simulation_id, simulated_ate, actual_ate, actual_experiment_id)
    VALUES ('{TwinFidelity}', '{TwinSimulation}', 0.1, 0.1, '{Experiment}');
"""
"""A row of each type on the way; a trigger raises the alert."""


async def _loops(connection: asyncpg.Connection) -> dict[str, str]:
    rng = random.Random(1)
    keys = {name: UUID(int=rng.getrandbits(128)) for name in re.findall(r"'\{(\w+)\}'", LOOP_ROWS)}
    await connection.execute(LOOP_ROWS.format(**keys))
    alert = await connection.fetchval("SELECT id FROM ml_monitoring_alerts")
    ids = {name: f"{'Model' if name == 'NewModel' else name}:{key}" for name, key in keys.items()}
    return ids | {"MonitoringAlert": f"MonitoringAlert:{alert}"}


def told(data: dict[str, Any]) -> dict[tuple[str, str], tuple[str, bool]]:
    return {(edge["from"], edge["to"]): (edge["kind"], edge["closesCycle"]) for edge in data["lineage"]["edges"]}


WAY = {
    "Model": "PRODUCES",
    "Deployment": "DEPLOYED_AS",
    "BentoService": "SERVED_BY",
    "ServingMetric": "EMITS",
    "DriftRecord": "FEEDS",
    "MonitoringAlert": "RAISES",
    "Retraining": "TRIGGERS",
    "NewModel": "PRODUCES",
}
"""The way from the experiment on, and by which kind of edge."""


async def test_the_loop_of_the_document(loops: Loops) -> None:
    """Experiment, model, deployment, service, metrics, drift, alert, retraining, and the model that came of it."""
    data = await loops.client.data(LINEAGE, **{"from": [loops.ids["Experiment"]]}, direction="DOWNSTREAM", depth=10)
    found = told(data)
    for upstream, (downstream, kind) in zip(["Experiment", *WAY], WAY.items(), strict=False):
        assert found[loops.ids[upstream], loops.ids[downstream]] == (kind, downstream == "NewModel")
    closing = {pair for pair, (_, closes) in found.items() if closes}
    assert closing == {
        (loops.ids["Retraining"], loops.ids["NewModel"]),
        (loops.ids["TwinFidelity"], loops.ids["TwinModel"]),
    }
    states = {node["id"]: node["state"] for node in data["lineage"]["nodes"]}
    assert states[loops.ids["Model"]] == "PRODUCTION"
    assert states[loops.ids["Deployment"]] == "ACTIVE"
    assert data["lineage"]["complete"]


async def test_the_loop_of_the_twin(loops: Loops) -> None:
    """A fidelity grade comes back to the very twin model that the simulation was made with."""
    data = await loops.client.data(LINEAGE, **{"from": [loops.ids["TwinModel"]]}, direction="DOWNSTREAM", depth=10)
    found = told(data)
    expected = {
        ("TwinModel", "TwinSimulation"): ("GENERATES", False),
        ("TwinSimulation", "Assignment"): ("RECOMMENDS", False),
        ("TwinSimulation", "Experiment"): ("RECOMMENDS", False),
        ("Assignment", "Enrollment"): ("ENROLLED_AS", False),
        ("TwinSimulation", "TwinFidelity"): ("PREDICTED_VS_ACTUAL", False),
        ("Experiment", "TwinFidelity"): ("ACTUAL_RESULTS", False),
        ("TwinFidelity", "TwinModel"): ("FIDELITY_GRADE", True),
    }
    for (upstream, downstream), what in expected.items():
        assert found[loops.ids[upstream], loops.ids[downstream]] == what


async def test_paths_along_the_loop(loops: Loops) -> None:
    data = await loops.client.data(
        """query($from: ID!, $to: ID!) { paths(from: $from, to: $to, through: [PRODUCES, DEPLOYED_AS, SERVED_BY, EMITS,
             FEEDS, RAISES, TRIGGERS]) { complete paths { length edges { kind closesCycle } } } }""",
        **{"from": loops.ids["Experiment"], "to": loops.ids["NewModel"]},
    )
    lengths = [path["length"] for path in data["paths"]["paths"]]
    assert lengths == [1, 7, 8], "made at once, and by way of what the old one came to; a service is served for both"
    assert data["paths"]["complete"]
    assert data["paths"]["paths"][-1]["edges"][-1] == {"kind": "PRODUCES", "closesCycle": True}


# -- the rows, in the same snapshot ----------------------------------------------------------------------------------


async def test_rows_come_with_their_nodes(demo: Client) -> None:
    """One statement for each type of which fields are asked, beside those of the walk."""
    start = (await demo.data("{ experiments(first: 1, where: {models: {some: {}}}) { nodes { id } } }"))["experiments"]
    query = """query($from: [ID!]!) { lineage(from: $from, direction: DOWNSTREAM, maxDepth: 1) { nodes { id: nodeId type
                 %s } } }"""
    below = "node { id __typename ... on Model { modelName experiment { id } } ... on Experiment { experimentName } }"
    plain = await demo.ask(query % "label", **{"from": [start["nodes"][0]["id"]]})
    answer = await demo.ask(query % below, **{"from": [start["nodes"][0]["id"]]})
    assert "errors" not in answer
    nodes = answer["data"]["lineage"]["nodes"]
    assert [node["id"] for node in nodes] == [node["node"]["id"] for node in nodes]
    models = [node["node"] for node in nodes if node["type"] == "Model"]
    assert models
    assert all(model["experiment"]["id"] == start["nodes"][0]["id"] for model in models)
    added = answer["extensions"]["cost"]["statements"] - plain["extensions"]["cost"]["statements"]
    assert added == 3, "experiments, models, and the models' experiments"


async def test_a_node_is_named_and_has_a_state(demo: Client) -> None:
    data = await demo.data("{ models(first: 1) { nodes { id modelName modelVersion stage } } }")
    (model,) = data["models"]["nodes"]
    data = await demo.data(LINEAGE, **{"from": [model["id"]]}, depth=0)
    (node,) = data["lineage"]["nodes"]
    assert node["label"] == f"{model['modelName']} {model['modelVersion']}"
    assert node["state"] == model["stage"]


async def test_an_answer_is_of_one_moment(
    demo_template: Database, clone: Clone, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that comes while the walk is under way is in the next answer."""
    async with clone(demo_template) as database, serve(database) as client:
        data = await client.data(
            "{ deployments(first: 1, where: {services: {some: {}}}) { nodes { id services { nodes { id } } } } }"
        )
        (deployment,) = data["deployments"]["nodes"]
        service = deployment["services"]["nodes"][0]["id"].split(":")[1]
        came: list[str] = []

        async def come() -> None:
            key = UUID(int=77)
            await execute(
                database.admin_url,
                "INSERT INTO ml_bentoml_serving_metrics (id, service_id, recorded_at) "
                f"VALUES ('{key}', '{service}', '2027-01-01')",
            )
            came.append(f"ServingMetric:{key}")

        expand = Walk._expand

        async def slowly(self: Walk, *given: Any) -> Any:
            found = await expand(self, *given)
            if not came:
                await come()
            return found

        monkeypatch.setattr(Walk, "_expand", slowly)
        question = {"from": [deployment["id"]], "direction": "DOWNSTREAM", "depth": 2}
        first = await client.data(LINEAGE, **question)
        second = await client.data(LINEAGE, **question)
        assert came
        assert came[0] not in {node["id"] for node in first["lineage"]["nodes"]}
        assert came[0] in {node["id"] for node in second["lineage"]["nodes"]}
        assert first["lineage"]["asOf"] < second["lineage"]["asOf"]


async def test_no_more_is_read_of_a_hot_node_than_is_answered(template: Database, clone: Clone, serve: Serve) -> None:
    """However many children there are: a page of them is read, and none of the others."""
    async with clone(template) as database:
        key = UUID(int=5)
        await execute(
            database.admin_url,
            f"INSERT INTO ml_bentoml_services (id, service_name, bento_tag) VALUES ('{key}', 'm', 'm:1')",
            "INSERT INTO ml_bentoml_serving_metrics (service_id, recorded_at) "
            f"SELECT '{key}', now() - n * interval '1 min' FROM generate_series(1, 20000) n",
            "INSERT INTO ml_bentoml_services (service_name, bento_tag) SELECT 'n', 'n:' || n "
            "FROM generate_series(1, 500) n",
            "INSERT INTO ml_bentoml_serving_metrics (service_id, recorded_at) "
            "SELECT s.id, now() - n * interval '1 min' FROM ml_bentoml_services s, generate_series(1, 40) n "
            "WHERE s.service_name = 'n'",
            "ANALYZE",
        )
        with recording_held() as statements:
            async with serve(database) as client:
                for since in (None, "2020-01-01T00:00:00Z"):
                    data = await client.data(LINEAGE, **{"from": [f"BentoService:{key}"]}, perNode=10, since=since)
                    assert len(data["lineage"]["nodes"]) == 11
                    (cut,) = data["lineage"]["frontier"]
                    assert (cut["remaining"], cut["capped"]) == (1000, True)
                    again = await client.data(
                        LINEAGE, **{"from": [f"BentoService:{key}"]}, perNode=10, since=since, after=[cut["cursor"]]
                    )
                    assert len(again["lineage"]["nodes"]) == 10
        async with serve(database) as client:
            data = await client.data(
                LINEAGE, **{"from": [f"BentoService:{key}"]}, perNode=10, nodes=20, countUpTo=50_000
            )
            (cut,) = data["lineage"]["frontier"]
            assert (cut["remaining"], cut["capped"]) == (19_990, False), "whoever wants to know it all can"
            data = await client.data(
                "query($id: ID!) { lineage(from: [$id], maxDepth: 0, maxNodes: 20, countUpTo: 15000) { nodes { "
                "degree { downstream capped } } } }",
                id=f"BentoService:{key}",
            )
            assert data["lineage"]["nodes"] == [{"degree": {"downstream": 15_000, "capped": True}}]
        connection = await connect(database.admin_url)
        try:
            touched = 0
            for statement in statements:
                for node in await plan(connection, statement, options="ANALYZE, "):
                    if node.get("Relation Name") == "ml_bentoml_serving_metrics":
                        touched += 1
                        read = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
                        assert read * node["Actual Loops"] <= 1002, node  # one more is the row that was the last
            assert touched >= 8
        finally:
            await connection.close()


@pytest.mark.parametrize("measured", [0, 3], ids=["none", "three"])
async def test_the_metrics_in_a_period_are_those_of_the_service(
    measured: int, template: Database, clone: Clone, serve: Serve
) -> None:
    """However many metrics other services have in the period of a drift test, they are not read."""
    async with clone(template) as database, connected(database.admin_url) as sql:
        begin, deployment = datetime.now(UTC) - timedelta(days=30), await add(sql, "ml_deployments")
        service = await add(sql, "ml_bentoml_services", deployment_id=deployment)
        await sql.execute(
            "INSERT INTO ml_bentoml_services (service_name, bento_tag) "
            "SELECT 'n', 'n:' || n FROM generate_series(1, 9) n"
        )
        await sql.execute(
            "INSERT INTO ml_bentoml_serving_metrics (service_id, recorded_at) "
            "SELECT s.id, now() - n * interval '1 min' FROM ml_bentoml_services s, generate_series(1, 4000) n "
            "WHERE s.service_name = 'n'"
        )
        await sql.execute(
            "INSERT INTO ml_bentoml_serving_metrics (service_id, recorded_at) SELECT $1, now() - n * interval '1 hour' "
            "FROM generate_series(1, $2::int) n",
            service, measured,
        )  # fmt: skip
        drift = await add(
            sql, "ml_drift_history", deployment_id=deployment, baseline_start=begin, baseline_end=begin,
            current_start=begin, current_end=begin + timedelta(days=31),
        )  # fmt: skip
        await sql.execute("ANALYZE")
        with recording_held() as statements:
            async with serve(database) as client:
                data = await client.data(LINEAGE, **{"from": [f"DriftRecord:{drift}"]}, depth=1)
        found = [node["id"] for node in data["lineage"]["nodes"] if node["id"].startswith("ServingMetric:")]
        assert len(found) == measured
        scans = [
            node
            for statement in statements
            for node in await plan(sql, statement, options="ANALYZE, ")
            if node.get("Relation Name") == "ml_bentoml_serving_metrics"
        ]
        assert scans
        for node in scans:
            assert node["Actual Rows"] + node.get("Rows Removed by Filter", 0) <= measured, node


@contextmanager
def recording_held() -> Iterator[list[Statement]]:
    """Every statement that is sent in a snapshot within the block, with its values."""
    found: list[Statement] = []
    fetch = HeldReader.fetch

    async def record(self: HeldReader, text: str, values: Any, *more: Any) -> Any:
        found.append(Statement(text, values))
        return await fetch(self, text, values, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HeldReader, "fetch", record)
        yield found


# -- bad input -------------------------------------------------------------------------------------------------------

NOBODY = "Model:00000000-0000-0000-0000-000000000000"

BAD = [
    ({"from": []}, "from", "1 to 1000"),
    ({"from": ["Model:x"]}, "from[0]", "UUID"),
    ({"from": [NOBODY, "Nothing:1"]}, "from[1]", "names no type"),
    ({"from": ["00000000-0000-0000-0000-000000000000"]}, "from[0]", "names no type"),
    ({"from": ["ModelHealth:00000000-0000-0000-0000-000000000000"]}, "from[0]", "views are not"),
    ({"from": [f"Model:{UUID(int=place)}" for place in range(1001)]}, "from", "1001 ids"),
    ({"from": [f"Model:{UUID(int=place)}" for place in range(501)]}, "maxNodes", "501"),
    ({"depth": -1}, "maxDepth", "0 to 100"),
    ({"depth": 10_000}, "maxDepth", "0 to 100"),
    ({"perNode": 0}, "perNodeLimit", "1 to 1,000"),
    ({"perNode": -5}, "perNodeLimit", "1 to 1,000"),
    ({"nodes": -1}, "maxNodes", "1 to 10,000"),
    ({"nodes": 10_001}, "maxNodes", "1 to 10,000"),
    ({"bytes": 10}, "maxBytes", "4,000"),
    ({"countUpTo": 0}, "countUpTo", "1,000 to 100,000"),
    ({"countUpTo": 100_001}, "countUpTo", "1,000 to 100,000"),
    ({"countUpTo": 50_000, "nodes": 21}, "countUpTo", "a maxNodes of at most 20"),
    ({"types": []}, "types", "is empty"),
    ({"types": ["Model", "Modle"]}, "types[1]", "did you mean Model?"),
    ({"through": []}, "through", "is empty"),
    ({"since": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "since", "not before"),
    ({"since": "2026-02-01T00:00:00Z", "until": "2026-02-01T00:00:00Z"}, "since", "not before"),
    ({"after": []}, "after", "1 to 1000"),
]


@pytest.mark.parametrize(
    ("variables", "argument", "why"), BAD, ids=[f"{one[1]}-{place}" for place, one in enumerate(BAD)]
)
async def test_bad_arguments(variables: dict[str, Any], argument: str, why: str, demo: Client) -> None:
    error = await demo.error(LINEAGE, **({"from": [NOBODY]} | variables))
    assert error["code"] == "BAD_USER_INPUT"
    assert error["extensions"]["argument"] == argument
    assert why in error["message"]


async def test_an_unknown_kind(demo: Client) -> None:
    error = await demo.error(LINEAGE, **{"from": [NOBODY]}, through=["PRODUCES", "BEGETS"])
    assert error["code"] == "BAD_USER_INPUT"
    assert "BEGETS" in error["message"]


async def test_starts_that_do_not_exist_are_named(demo: Client) -> None:
    data = await demo.data("{ models(first: 1) { nodes { id } } experiments(first: 1) { nodes { id } } }")
    known = [data[name]["nodes"][0]["id"] for name in ("models", "experiments")]
    many = [f"Deployment:{UUID(int=place)}" for place in range(998)]
    data = await demo.data(LINEAGE, **{"from": [*known, *many]}, depth=0, nodes=1000)
    assert data["lineage"]["missing"] == many
    assert [node["id"] for node in data["lineage"]["nodes"]] == known
    assert not data["lineage"]["complete"]
    assert "998 of the requested nodes do not exist" in data["lineage"]["reason"]


async def test_a_start_may_be_named_twice_and_in_any_form(demo: Client) -> None:
    data = await demo.data("{ models(first: 1) { nodes { id } } }")
    start = data["models"]["nodes"][0]["id"]
    name, key = start.split(":")
    data = await demo.data(LINEAGE, **{"from": [start, f"{name}:{key.upper()}", start]}, depth=0)
    assert [node["id"] for node in data["lineage"]["nodes"]] == [start]


def forged(cursor: str, place: int, value: Any) -> str:
    parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    parts[place] = value
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


async def test_cursors_that_do_not_belong_here(demo: Client) -> None:
    data = await demo.data(
        "{ experiments(first: 2, where: {models: {some: {}}}) { nodes { id } pageInfo { endCursor } } }"
    )
    start, other = (node["id"] for node in data["experiments"]["nodes"])
    data_ = await demo.data(LINEAGE, **{"from": [start]}, depth=2, perNode=1)
    cut = data_["lineage"]["frontier"]
    cursor = next(one["cursor"] for one in cut if one["depth"] == 0)
    foreign = [
        data["experiments"]["pageInfo"]["endCursor"],
        "",
        "nonsense",
        "é",
        base64.urlsafe_b64encode(b"[1,2]").decode(),
        forged(cursor, 2, "Model.nothing"),
        forged(cursor, 3, "Model:x"),
        forged(cursor, 4, "deep"),
        forged(cursor, 5, ["not a time", "not a UUID"]),
        forged(cursor, 5, ["\x00", "\x00"]),
        forged(cursor, 5, ["2026-01-01"]),
    ]
    for one in foreign:
        error = await demo.error(LINEAGE, **{"from": [start]}, depth=2, after=[cursor, one])
        assert error["code"] == "INVALID_CURSOR", one
        assert error["extensions"]["argument"].startswith("after")
    for question in (
        {"from": [other]},
        {"from": [start], "direction": "UPSTREAM"},
        {"from": [start], "through": ["EMITS"]},
    ):
        error = await demo.error(LINEAGE, **question, depth=2, after=[cursor])
        assert error["code"] == "INVALID_CURSOR"
        assert "belongs to another walk" in error["message"]
    deep = next(one["cursor"] for one in cut if one["depth"] == 2)
    error = await demo.error(LINEAGE, **{"from": [start]}, depth=1, after=[deep])
    assert error["code"] == "BAD_USER_INPUT"
    assert "pass a maxDepth of 2 to read edges there, or more" in error["message"]
    data = await demo.data(LINEAGE, **{"from": [start]}, depth=2, after=[deep])
    assert data["lineage"]["nodes"] == []
    assert data["lineage"]["edges"]
    assert data["lineage"]["reason"].startswith("maxDepth")
    data = await demo.data(LINEAGE, **{"from": [start]}, depth=3, after=[deep])
    assert data["lineage"]["nodes"]


async def test_a_size_without_room_for_what_must_be_said(demo: Client) -> None:
    """Ids that do not exist are named, whatever the size; where that has no room nothing is cut short."""
    many = [f"Deployment:{UUID(int=place)}" for place in range(500)]
    error = await demo.error(LINEAGE, **{"from": many}, bytes=4_000)
    assert error["extensions"]["argument"] == "maxBytes"
    assert "fewer ids in `from`" in error["message"]


async def test_a_node_that_is_deleted_between_pages_is_named(
    demo_template: Database, clone: Clone, serve: Serve
) -> None:
    async with clone(demo_template) as database, serve(database) as client:
        data = await client.data("{ bentoServices(first: 1, where: {metrics: {some: {}}}) { nodes { id } } }")
        start = data["bentoServices"]["nodes"][0]["id"]
        data = await client.data(LINEAGE, **{"from": [start]}, direction="DOWNSTREAM", perNode=2)
        assert len(data["lineage"]["nodes"]) == 3
        cursors = [one["cursor"] for one in data["lineage"]["frontier"]]
        key = start.split(":")[1]
        await execute(
            database.admin_url,
            f"DELETE FROM ml_bentoml_serving_metrics WHERE service_id = '{key}'",
            f"DELETE FROM ml_bentoml_services WHERE id = '{key}'",
        )
        data = await client.data(LINEAGE, **{"from": [start]}, direction="DOWNSTREAM", perNode=2, after=cursors)
        assert data["lineage"]["nodes"] == []
        assert data["lineage"]["missing"] == [start]
        assert not data["lineage"]["complete"]


@pytest.mark.parametrize(
    ("query", "argument"),
    [
        ('paths(from: "Model:x", to: "%s")', "from"),
        ('paths(from: "%s", to: "Nothing:1")', "to"),
        ('paths(from: "%s", to: "%s", maxLength: 21)', "maxLength"),
        ('paths(from: "%s", to: "%s", first: 0)', "first"),
        ('lineageCounts(from: ["%s"], maxDepth: -1)', "maxDepth"),
        ('lineageText(from: ["%s"], maxBytes: 5)', "maxBytes"),
        ('lineageDiff(from: ["%s"], between: ["2026-01-01T00:00:00Z"])', "between"),
        ('lineageDiff(from: ["%s"], between: ["2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"])', "between"),
    ],
)
async def test_bad_arguments_of_the_others(query: str, argument: str, demo: Client) -> None:
    selected = "" if query.startswith("lineageText") else "{ complete }"
    error = await demo.error(f"{{ {query.replace('%s', NOBODY)} {selected} }}")
    assert error["code"] == "BAD_USER_INPUT"
    assert error["extensions"]["argument"] == argument


async def test_paths_of_nodes_that_do_not_exist(demo: Client) -> None:
    data = await demo.data(
        f'{{ paths(from: "{NOBODY}", to: "{NOBODY}") {{ complete reason missing paths {{ length }} }} }}'
    )
    assert data["paths"]["paths"] == []
    assert not data["paths"]["complete"]
    assert set(data["paths"]["missing"]) == {NOBODY}


# -- a database that lacks something ---------------------------------------------------------------------------------


async def test_what_the_database_lacks_is_said(platform_database: Database, serve: Serve) -> None:
    async with serve(platform_database) as client:
        data = await client.data("{ deployments(first: 1) { nodes { id } } }")
        start = data["deployments"]["nodes"][0]["id"]
        data = await client.data(LINEAGE, **{"from": [start]}, depth=2)
        assert data["lineage"]["nodes"][0]["id"] == start


async def test_a_lacking_table_makes_an_answer_incomplete(demo_template: Database, clone: Clone, serve: Serve) -> None:
    async with clone(demo_template) as database:
        await execute(database.admin_url, "DROP TABLE ml_bentoml_serving_metrics CASCADE")
        async with serve(database) as client:
            data = await client.data("{ bentoServices(first: 1) { nodes { id } } }")
            start = data["bentoServices"]["nodes"][0]["id"]
            data = await client.data(LINEAGE, **{"from": [start]}, direction="DOWNSTREAM")
            assert not data["lineage"]["complete"]
            assert data["lineage"]["reason"] == "the connected database lacks ml_bentoml_serving_metrics."


# -- differences -----------------------------------------------------------------------------------------------------


DATED_ROWS = """
    INSERT INTO ml_experiments (id, experiment_name, prediction_target, created_at, updated_at)
    VALUES ('{experiment}', 'e', 'x', '2026-01-01', '2026-02-10');
    INSERT INTO ml_model_registry (id, experiment_id, model_name, model_version, algorithm, registered_at)
    VALUES ('{old}', '{experiment}', 'm', '1', 'a', '2026-01-02'),
        ('{new}', '{experiment}', 'm', '2', 'a', '2026-02-05'),
        ('{later}', '{experiment}', 'm', '3', 'a', '2026-03-05');
    INSERT INTO ml_deployments (id, model_registry_id, deployment_name, environment, created_at, deactivated_at)
    VALUES ('{deployment}', '{old}', 'd', 'production', '2026-01-03', '2026-02-06')
"""


async def test_what_happened_between_two_moments(template: Database, clone: Clone, serve: Serve) -> None:
    async with clone(template) as database:
        keys = {name: UUID(int=place) for place, name in enumerate(("experiment", "old", "new", "later", "deployment"))}
        await execute(database.admin_url, *DATED_ROWS.format(**keys).split(";"))
        async with serve(database) as client:
            data = await client.data(
                """query($from: [ID!]!, $between: [DateTime!]!) { lineageDiff(from: $from, between: $between) {
                     added { nodes { id: nodeId } edges { from to } } removed { nodes { id: nodeId } edges { from to } }
                     changed { node { id: nodeId } at lifecycle } unknown complete } }""",
                **{
                    "from": [f"Experiment:{keys['experiment']}"],
                    "between": ["2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"],
                },
            )
    diff = data["lineageDiff"]
    assert diff["added"] == {
        "nodes": [{"id": f"Model:{keys['new']}"}],
        "edges": [{"from": f"Experiment:{keys['experiment']}", "to": f"Model:{keys['new']}"}],
    }
    assert diff["removed"] == {
        "nodes": [{"id": f"Deployment:{keys['deployment']}"}],
        "edges": [{"from": f"Model:{keys['old']}", "to": f"Deployment:{keys['deployment']}"}],
    }
    assert [(one["node"]["id"], one["at"][:10]) for one in diff["changed"]] == [
        (f"Experiment:{keys['experiment']}", "2026-02-10")
    ]
    assert diff["complete"]
    assert any("deleted" in one for one in diff["unknown"])

"""The database changes its shape under a running gateway: what is asked next is answered by what there is now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from gateway.operations import shape
from gateway.operations.shape import ShapeWatch
from tests.live.test_live import alert
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect, execute
from tests.support.sockets import listening, peer

pytestmark = pytest.mark.slow

DEPLOYMENTS = "{ deployments(first: 3, orderBy: [{field: CREATED_AT}]) { nodes { deploymentName %s } } }"


@pytest.fixture
async def changing(demo_template: Database, clone: Clone) -> AsyncIterator[Database]:
    """The demo data, whose tables a test may alter."""
    async with clone(demo_template) as copy:
        yield copy


@asynccontextmanager
async def both(database: Database) -> AsyncIterator[list[Client]]:
    """Gateways over a database: ones that compile and ones that answer by loaders alone, each directly, with prepared
    statements, and as through a pooler."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                serving(database.gateway_url, pool_size=2, compiler=compiler, prepared_statements=prepared)
            )
            for compiler in (True, False)
            for prepared in (True, False)
        ]


def nodes(answer: dict[str, Any]) -> list[dict[str, Any]]:
    (page,) = answer["data"].values()
    found: list[dict[str, Any]] = page["nodes"]
    return found


async def test_a_column_that_was_dropped_fails_its_field_alone(changing: Database) -> None:
    async with both(changing) as clients:
        query = DEPLOYMENTS % "latencyP50Ms status"
        before = [nodes(await client.ask(query)) for client in clients]
        await execute(changing.owner_url, "ALTER TABLE ml_deployments DROP COLUMN latency_p50_ms CASCADE")
        for client, seen in zip(clients, before, strict=True):
            answer = await client.ask(query)
            assert {error["extensions"]["code"] for error in answer["errors"]} == {"MISSING_IN_DATABASE"}
            assert {error["path"][-1] for error in answer["errors"]} == {"latencyP50Ms"}
            assert nodes(answer) == [node | {"latencyP50Ms": None} for node in seen]
            assert client.app.state.graphql.shape.changes == 1
        await execute(changing.owner_url, "ALTER TABLE ml_deployments ADD COLUMN latency_p50_ms integer DEFAULT 7")
        for client in clients:
            client.app.state.graphql.shape._looked = 0  # as if some seconds had passed
            assert {node["latencyP50Ms"] for node in nodes(await client.ask(query))} == {7}


async def test_a_type_that_was_changed_costs_no_answer_on_any_connection(changing: Database) -> None:
    """Prepared statements of all pooled connections are stale: within snapshots, changes and plain reads."""
    paged = """{
        deployments(first: 2, where: {latencyP50Ms: {gte: 0}}) {
            totalCount edges { cursor node { id latencyP50Ms model { mlflowRunId } } }
        }
            lineage(from: ["%s"], maxDepth: 2) {
                nodes { label node { ... on Model { mlflowRunId } ... on Deployment { latencyP50Ms } } }
            }
    }"""
    async with both(changing) as clients:
        before = []
        paged %= nodes(await clients[0].ask("{ models(first: 1) { nodes { id } } }"))[0]["id"]
        for client in clients:
            answers = await asyncio.gather(*(client.data(paged) for _ in range(6)))
            assert all(answer == answers[0] for answer in answers)
            before.append(answers[0])
        await execute(
            changing.owner_url,
            "ALTER TABLE ml_deployments ALTER COLUMN latency_p50_ms TYPE bigint",
            "ALTER TABLE ml_model_registry ALTER COLUMN mlflow_run_id TYPE varchar(300)",
        )
        for client, seen in zip(clients, before, strict=True):
            for answer in await asyncio.gather(*(client.data(paged) for _ in range(6))):
                assert answer == seen


ACKNOWLEDGE = """
    mutation ($id: ID!) {
        acknowledgeAlert(input: {id: $id}) {
            __typename
            ... on TransitionApplied { node { ... on MonitoringAlert { status title } } }
        }
    }
"""


@pytest.mark.parametrize("prepared", [True, False], ids=["direct", "as through a pooler"])
async def test_changes_go_on_when_their_table_was_altered(changing: Database, *, prepared: bool) -> None:
    alerts = "{ monitoringAlerts(first: 9, where: {status: {eq: ACTIVE}}) { nodes { id } } }"
    async with serving(changing.gateway_url, pool_size=1, prepared_statements=prepared) as client:
        await execute(changing.owner_url, "UPDATE ml_monitoring_alerts SET status = 'active'")
        ids = [node["id"] for node in nodes(await client.ask(alerts))]
        for ddl in (
            "ALTER TABLE ml_monitoring_alerts ALTER COLUMN title TYPE text",
            "ALTER TABLE ml_monitoring_alerts ADD COLUMN team text",
            "ALTER TABLE ml_monitoring_alerts DROP COLUMN team",
            "ALTER TABLE ml_monitoring_alerts DROP COLUMN drift_type CASCADE",
        ):
            assert await applied(client, ids.pop()) == "ACKNOWLEDGED"
            await execute(changing.owner_url, ddl)
            assert await applied(client, ids.pop()) == "ACKNOWLEDGED", ddl


async def applied(client: Client, id_: str) -> str:
    answer = (await client.data(ACKNOWLEDGE, id=id_))["acknowledgeAlert"]
    assert answer["__typename"] == "TransitionApplied", answer
    status: str = answer["node"]["status"]
    return status


STEPS: dict[str, tuple[str, list[tuple[str, set[str]]]]] = {
    # what is asked before and after each statement, and the codes of the errors that it has then
    "a table is dropped and made again": (
        "{ featureRankings(first: 1) { nodes { featureName } } driverRankings(first: 1) { nodes { id } } }",
        [
            ("ALTER TABLE ml.feature_rankings RENAME TO away", {"MISSING_IN_DATABASE"}),
            ("ALTER TABLE ml.away RENAME TO feature_rankings", set()),
        ],
    ),
    "a schema is dropped and made again": (
        "{ featureRankings(first: 1) { nodes { featureName } } models(first: 1) { nodes { id } } }",
        [
            ("ALTER SCHEMA ml RENAME TO away", {"MISSING_IN_DATABASE"}),
            ("ALTER SCHEMA away RENAME TO ml", set()),
        ],
    ),
    "a view is replaced": (
        "{ activeAlertsSummaries(first: 1) { nodes { modelId criticalCount highCount } } }",
        [
            ("DROP VIEW ml_active_alerts_summary CASCADE", set()),
            ("CREATE VIEW ml_active_alerts_summary AS SELECT 'none' AS model_id, 7 AS critical_count", set()),
        ],
    ),
    "a type is made again": (
        "{ monitoringAlerts(first: 2, where: {status: {in: [ACTIVE, ACKNOWLEDGED]}}) { nodes { status title } } }",
        [
            (
                """
                DROP VIEW IF EXISTS ml_active_alerts_summary CASCADE; DROP VIEW IF EXISTS ml_model_health_dashboard;
                ALTER TYPE alert_status_enum RENAME TO old_status;
                CREATE TYPE alert_status_enum AS ENUM
                    ('active', 'acknowledged', 'investigating', 'resolved', 'dismissed', 'snoozed');
                ALTER TABLE ml_monitoring_alerts ALTER COLUMN status DROP DEFAULT;
                DO $$ DECLARE index text; BEGIN
                    FOR index IN SELECT indexrelid::regclass::text FROM pg_index
                        WHERE indrelid = 'ml_monitoring_alerts'::regclass AND indpred IS NOT NULL
                    LOOP EXECUTE 'DROP INDEX ' || index; END LOOP;
                END $$;
                ALTER TABLE ml_monitoring_alerts ALTER COLUMN status TYPE alert_status_enum
                    USING status::text::alert_status_enum;
                DROP TYPE old_status
                """,
                set(),
            ),
        ],
    ),
    "a label is renamed": (
        "{ monitoringAlerts(first: 2, where: {status: {in: [ACTIVE]}}) { nodes { title } } }",
        [
            ("ALTER TYPE alert_status_enum ADD VALUE 'snoozed'", set()),
            ("ALTER TYPE alert_status_enum RENAME VALUE 'dismissed' TO 'dropped'", set()),
        ],
    ),
    "a right is taken away": (
        "{ models(first: 1) { nodes { id modelName } } deployments(first: 1) { nodes { id } } }",
        [
            ("REVOKE ALL ON ml_deployments FROM e2i_gateway", {"MISSING_IN_DATABASE"}),
            ("GRANT SELECT ON ml_deployments TO e2i_gateway", set()),
        ],
    ),
}


@pytest.mark.parametrize("kind", STEPS)
async def test_each_kind_of_change_is_noticed(changing: Database, kind: str) -> None:
    query, steps = STEPS[kind]
    async with both(changing) as clients:
        for client in clients:
            await client.data(query)
        lacking = False
        for number, (ddl, codes) in enumerate(steps, 1):
            await execute(changing.owner_url, ddl)
            for client in clients:
                watch: ShapeWatch = client.app.state.graphql.shape
                if lacking:  # what comes back is noticed from time to time, all else by the statement that it fails
                    await look(watch)
                answer = await client.ask(query)
                assert {error["extensions"]["code"] for error in answer.get("errors", ())} == codes, (ddl, answer)
                await look(watch)
                assert watch.changes == number, ddl
                assert sum(value is not None for value in answer["data"].values()) >= len(answer["data"]) - 1
            lacking = bool(codes)


async def test_what_fails_no_statement_is_noticed_from_time_to_time(
    changing: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a request, and within a minute."""
    assert shape.LOOK_SECONDS < 60
    monkeypatch.setattr(shape, "LOOK_SECONDS", 0.05)
    await execute(changing.owner_url, "ALTER TABLE ml_deployments DROP COLUMN latency_p50_ms CASCADE")
    async with both(changing) as clients:
        await execute(changing.owner_url, "ALTER TABLE ml_deployments ADD COLUMN latency_p50_ms integer DEFAULT 7")
        for client in clients:
            async with asyncio.timeout(60):
                while not client.app.state.graphql.shape.changes:  # noqa: ASYNC110 - it is told to nobody
                    await asyncio.sleep(0.05)
            assert {node["latencyP50Ms"] for node in nodes(await client.ask(DEPLOYMENTS % "latencyP50Ms"))} == {7}


async def test_rows_with_a_label_that_was_added_are_answered_without_a_restart(changing: Database) -> None:
    """As a text where the enum is open, else with an error of its field alone."""
    alerts = "{ monitoringAlerts(first: 2, orderBy: [{field: TITLE}]) { nodes { title status } } }"
    spans = "{ observabilitySpans(first: 3%s) { totalCount nodes { agentName } } }"
    named = ', where: {agentName: {eq: "newcomer"}}'
    async with both(changing) as clients:
        before = [nodes(await client.ask(alerts)) for client in clients]
        assert all(
            [(await client.data(spans % each))["observabilitySpans"] for client in clients for each in ("", named)]
        )
        await execute(
            changing.owner_url,
            "ALTER TYPE alert_status_enum ADD VALUE 'snoozed'",
            "UPDATE ml_monitoring_alerts SET status = 'snoozed'",
            "ALTER TYPE agent_name_enum ADD VALUE 'newcomer'",
            "UPDATE ml_observability_spans SET agent_name = 'newcomer'",
        )
        for client, seen in zip(clients, before, strict=True):
            answer = await client.ask(alerts)
            assert nodes(answer) == [node | {"status": None} for node in seen]
            assert [error["path"] for error in answer["errors"]] == [
                ["monitoringAlerts", "nodes", place, "status"] for place in range(2)
            ]
            assert {error["extensions"]["code"] for error in answer["errors"]} == {"UNREPRESENTABLE_VALUE"}
            found = (await client.data(spans % named))["observabilitySpans"]
            assert found["nodes"] == [{"agentName": "newcomer"}] * 3
            assert found["totalCount"] == (await client.data(spans % ""))["observabilitySpans"]["totalCount"]


async def look(watch: ShapeWatch) -> None:
    """What the watch does from time to time."""
    await watch._since(asyncio.get_running_loop().time())


@pytest.mark.parametrize("type_", ["text", "timestamptz", "jsonb", "boolean", "numeric", "integer[]"])
async def test_a_column_of_a_wholly_other_type_fails_its_fields_alone(changing: Database, type_: str) -> None:
    values = {"text": "'fast'", "timestamptz": "now()", "jsonb": "'{}'", "numeric": "1.5", "integer[]": "'{1}'"}
    async with both(changing) as clients:
        await execute(
            changing.owner_url,
            f"ALTER TABLE ml_deployments ALTER COLUMN latency_p50_ms TYPE {type_} USING {values.get(type_, 'true')}",
        )
        for client in clients:
            await look(client.app.state.graphql.shape)
            answer = await client.ask(DEPLOYMENTS % "latencyP50Ms status")
            assert {error["extensions"]["code"] for error in answer["errors"]} == {"MISSING_IN_DATABASE"}
            assert all(node["latencyP50Ms"] is None and node["status"] for node in nodes(answer))
            filtered = await client.error("{ deployments(where: {latencyP50Ms: {gt: 3}}) { nodes { id } } }")
            assert (filtered["code"], filtered["path"]) == ("MISSING_IN_DATABASE", ["deployments"])


@pytest.mark.parametrize(
    ("column", "type_", "using"),
    [
        ("latency_p50_ms", "bigint", "latency_p50_ms::bigint"),
        ("created_at", "date", "created_at::date"),
        ("deployment_name", "citizens", "deployment_name::citizens"),
        ("deployed_by", "uuid", "gen_random_uuid()"),
    ],
)
async def test_a_column_of_a_type_that_reads_the_same_is_read(
    changing: Database, column: str, type_: str, using: str
) -> None:
    async with both(changing) as clients:
        await execute(
            changing.owner_url,
            "CREATE DOMAIN citizens AS varchar(300) CHECK (value <> '')",
            f"ALTER TABLE ml_deployments ALTER COLUMN {column} DROP DEFAULT",
            f"ALTER TABLE ml_deployments ALTER COLUMN {column} TYPE {type_} USING {using}",
        )
        for client in clients:
            await look(client.app.state.graphql.shape)
            assert nodes({"data": await client.data(DEPLOYMENTS % "latencyP50Ms createdAt deployedBy")})


async def test_a_subscription_goes_on_when_its_table_was_altered(changing: Database) -> None:
    query = "subscription { alerts { cursor alert { title message } } }"
    async with listening(changing.gateway_url) as gateway, peer(gateway) as one:
        stream = await one.followed(query)
        sql = await connect(changing.admin_url)
        await alert(sql, "before")
        assert (await stream.next())["alert"]["title"] == "before"
        await sql.execute("ALTER TABLE ml_monitoring_alerts ALTER COLUMN title TYPE text")
        await alert(sql, "wider")
        assert (await stream.next())["alert"] == {"title": "wider", "message": "m"}
        await sql.execute("ALTER TABLE ml_monitoring_alerts ALTER COLUMN message SET DEFAULT 'm'")
        await sql.execute("ALTER TABLE ml_monitoring_alerts RENAME COLUMN message TO words")
        await sql.execute(
            "INSERT INTO ml_monitoring_alerts (alert_type, title, severity, status) VALUES ('error', 'less', 'high', "
            "'active')"
        )
        payload = await one.payload(stream.id)
        await sql.close()
    assert payload["data"]["alerts"]["alert"] == {"title": "less", "message": None}
    (error,) = payload["errors"]
    assert (error["extensions"]["code"], error["path"]) == ("MISSING_IN_DATABASE", ["alerts", "alert", "message"])

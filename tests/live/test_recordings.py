"""Batches that are recorded, as they are told live: one message a batch, whoever records it and by whatever door."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from db.embedded.server import GATEWAY_ROLE
from tests.live.test_events import streaming, told
from tests.support.callers import JWT, token
from tests.support.changing import add
from tests.support.databases import Database, connect, execute
from tests.support.recording import record
from tests.support.sockets import Listening, listening, peer

pytestmark = pytest.mark.slow

RECORDINGS = """subscription($after: String, $types: [RecordedType!]) {
  recordings(after: $after, types: $types) {
    cursor
    recording { type mutation inserted updated kept purged firstAt lastAt actor requestId recordedAt }
  }
}"""


@pytest.fixture(scope="module")
async def gateway(module_database: Database) -> AsyncIterator[Listening]:
    async with listening(module_database.gateway_url) as one:
        yield one


@pytest.fixture
async def sql(module_database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(module_database.admin_url)
    yield connection
    await connection.close()


def metric(service: str, minute: int = 0) -> dict[str, Any]:
    return {"service": {"id": service}, "recordedAt": f"2026-05-01T12:{minute:02}:00Z", "requestsTotal": minute}


def bearer(*roles: str, **claims: Any) -> str:
    return f"Bearer {token(*roles, **claims)}"


async def test_a_batch_is_one_message_by_every_door(gateway: Listening, sql: asyncpg.Connection) -> None:
    """Its counts and times; neither a dry run, nor what is refused, nor a replay is told of."""
    service = str(await add(sql, "ml_bentoml_services"))
    rows = [metric(service, minute) for minute in range(50)]
    async with peer(gateway) as one:
        stream = await one.followed(RECORDINGS)
        await record(gateway.client, "recordServingMetrics", rows, dryRun=True)
        await record(gateway.client, "recordServingMetrics", [metric(service), metric("none")])
        for _ in range(2):
            await record(gateway.client, "recordServingMetrics", rows, idempotencyKey=service)
        batch = (await stream.next())["recording"]
        assert len(batch.pop("requestId")) > 0
        assert batch.pop("recordedAt") > "2026-01-01"
        assert batch == {
            "type": "ServingMetric", "mutation": "recordServingMetrics", "inserted": 50, "updated": 0, "kept": 0,
            "purged": 0, "firstAt": "2026-05-01T12:00:00.000000Z", "lastAt": "2026-05-01T12:49:00.000000Z",
            "actor": "anonymous",
        }  # fmt: skip
        lines = "\n".join(json.dumps(row) for row in rows * 200)
        answer = await gateway.http.post(
            "/record/servingMetrics", content=lines, headers={"content-type": "application/x-ndjson"}
        )
        assert answer.status_code == 200, answer.text
        told_ = (await stream.next())["recording"]
        assert (told_["mutation"], told_["inserted"], told_["lastAt"]) == (
            "recordServingMetrics", 10_000, "2026-05-01T12:49:00.000000Z",
        )  # fmt: skip
        await gateway.client.data(
            'mutation { purgeServingMetrics(input: {before: "1990-01-01T00:00:00Z"}) { __typename } }'
        )
        purge = (await stream.next())["recording"]
        assert (purge["mutation"], purge["inserted"], purge["purged"]) == ("purgeServingMetrics", 0, 0)


async def test_followed_from_a_cursor_by_any_gateway_and_transport(
    module_database: Database, gateway: Listening, sql: asyncpg.Connection
) -> None:
    """A batch of one gateway is told by another one, and what was missed comes first, of the types that are asked."""
    service = str(await add(sql, "ml_bentoml_services"))
    async with listening(module_database.gateway_url) as other, peer(other) as one:
        stream = await one.followed(RECORDINGS)
        await record(gateway.client, "recordServingMetrics", [metric(service)])
        first = await stream.next()
        assert first["recording"]["inserted"] == 1
        await sql.execute(
            "INSERT INTO gateway.recordings (mutation, node_type, inserted, updated, kept, actor, request_id, digest) "
            "VALUES ('recordDriftRecords', 'DriftRecord', 7, 0, 0, 'somebody', 'r', 'd')"
        )
        await record(gateway.client, "recordServingMetrics", [metric(service, n) for n in range(3)])
        assert (await stream.next())["recording"]["firstAt"] is None
        async with streaming(gateway, RECORDINGS, after=first["cursor"]) as missed:
            found = [(await told(missed, "recordings"))["recording"] for _ in range(2)]
        assert [(batch["type"], batch["inserted"]) for batch in found] == [("DriftRecord", 7), ("ServingMetric", 3)]
        async with streaming(gateway, RECORDINGS, after=first["cursor"], types=["ServingMetric"]) as missed:
            assert (await told(missed, "recordings"))["recording"]["inserted"] == 3


async def test_whoever_may_not_read_a_type_hears_nothing_of_it(
    module_database: Database, sql: asyncpg.Connection
) -> None:
    service = str(await add(sql, "ml_bentoml_services"))
    async with listening(module_database.gateway_url, **JWT) as gateway:
        gateway.http.headers["authorization"] = bearer("recorder")
        async with peer(gateway, initialise=False) as one, peer(gateway, initialise=False) as other:
            await one.initialise(authorization=bearer("read:feast_tracking"))
            await other.initialise(authorization=bearer("viewer"))
            seldom, often = await one.followed(RECORDINGS), await other.followed(RECORDINGS)
            await record(gateway.client, "recordServingMetrics", [metric(service)])
            await sql.execute(
                "INSERT INTO gateway.recordings "
                "(mutation, node_type, inserted, updated, kept, actor, request_id, digest) "
                "VALUES ('recordFeatureFreshness', 'FeatureFreshness', 2, 0, 0, 'a', 'r', 'd')"
            )
            assert (await seldom.next())["recording"]["type"] == "FeatureFreshness"
            assert (await often.next())["recording"]["type"] == "ServingMetric"
            id_ = await one.subscribe(RECORDINGS, types=["ServingMetric"])
            message = await one.hear()
            assert (message["id"], message["type"]) == (id_, "error")
            assert message["payload"][0]["extensions"] == {"code": "FORBIDDEN_FIELD", "scope": "read:bentoml_tracking"}


async def test_batches_of_a_table_with_policies_are_for_who_recorded_them(
    module_database: Database, sql: asyncpg.Connection
) -> None:
    role = f"e2i_user_{secrets.token_hex(6)}"
    await execute(
        module_database.admin_url,
        f"CREATE ROLE {role} NOLOGIN",
        f"GRANT {role} TO {GATEWAY_ROLE}",
        f"GRANT USAGE ON SCHEMA public, ml TO {role}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public, ml TO {role}",
        "ALTER TABLE ml_drift_history ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY data_alone ON ml_drift_history TO {role} USING (drift_type = 'data')",
    )
    settings = JWT | {"rls": True, "rls_roles": (role,), "rls_token_role": role}
    told_of = (
        "INSERT INTO gateway.recordings (mutation, node_type, inserted, updated, kept, actor, request_id, digest) "
        "VALUES ('m', $1, $2, 0, 0, $3, 'r', 'd')"
    )
    try:
        async with listening(module_database.gateway_url, **settings) as gateway:  # noqa: SIM117
            async with peer(gateway, initialise=False) as one:
                await one.initialise(authorization=bearer("viewer", role=role))
                stream = await one.followed(RECORDINGS)
                for name, rows, actor in (("DriftRecord", 1, "bob"), ("DriftRecord", 2, "ada"), ("SrmCheck", 3, "bob")):
                    await sql.execute(told_of, name, rows, actor)
                assert [(await stream.next())["recording"]["inserted"] for _ in range(2)] == [2, 3]
    finally:
        await execute(
            module_database.admin_url,
            "ALTER TABLE ml_drift_history DISABLE ROW LEVEL SECURITY",
            f"DROP OWNED BY {role}",
            f"DROP ROLE {role}",
        )

"""A database that is down, goes away in the middle, loses a table or is slow: typed errors, and then service again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from db.embedded import server as embedded
from db.migrations import setup
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect, execute

pytestmark = pytest.mark.slow

QUERY = "{ experiments(first: 1) { nodes { id models(first: 1) { nodes { id } } } } }"
KEY = "3b241101-e2bb-4255-8caf-4136c566a962"
SLOW = "CREATE OR REPLACE VIEW ml_monitoring_alerts AS SELECT * FROM ml_monitoring_alerts_real, pg_sleep(5)"


async def test_a_database_that_is_down_is_503_until_it_is_back(tmp_path: Path) -> None:
    server = await asyncio.to_thread(embedded.start, tmp_path / "data")
    try:
        _, url = await setup.prepare_embedded(server, "e2i")
        async with serving(url) as client:
            assert (await client.post(QUERY)).status_code == 200
            await asyncio.to_thread(server.stop)
            for _ in range(2):
                response = await client.post(QUERY)
                assert response.status_code == 503
                assert response.headers["retry-after"]
                assert response.json()["data"] is None
                assert [e["extensions"]["code"] for e in response.json()["errors"]] == ["DATABASE_UNAVAILABLE"]
            assert (await client.http.get("/readyz")).status_code == 503
            assert (await client.http.get("/healthz")).status_code == 200
            assert (await client.post("{ __typename }")).status_code == 200
            server = await asyncio.to_thread(embedded.start, tmp_path / "data")
            assert (await client.post(QUERY)).status_code == 200
            assert (await client.http.get("/readyz")).status_code == 200
    finally:
        await asyncio.to_thread(server.stop)


@asynccontextmanager
async def nobody(kind: str) -> AsyncIterator[str]:
    """The URL of a server that lets nobody in, each of its kinds in its own way."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if kind == "hangs up":
            writer.close()
        elif kind == "no TLS":
            await reader.read(8)
            writer.write(b"N")
        elif kind == "another protocol":
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    where = {"refuses": "127.0.0.1:1", "has no name": "nobody.invalid", "has a name too long": f"{'x' * 70}.invalid"}
    tls = "verify-full" if kind == "has no certificate" else "require" if kind == "no TLS" else "prefer"
    try:
        yield f"postgresql://u@{where.get(kind, f'127.0.0.1:{port}')}/d?connect_timeout=1&sslmode={tls}"
    finally:
        server.close()


KINDS = ["is silent", "hangs up", "refuses", "has no name", "has a name too long", "no TLS", "has no certificate",
         "another protocol"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
async def test_whatever_keeps_a_connection_from_being_opened(kind: str) -> None:
    queries = [
        QUERY,
        f'{{ experiments(first: 1) {{ nodes {{ id }} }} lineage(from: ["Model:{KEY}"]) {{ nodes {{ nodeId }} }} }}',
        f'mutation {{ promoteModel(input: {{id: "{KEY}", to: STAGING}}) {{ __typename }} }}',
    ]
    async with nobody(kind) as url, serving(url) as client:
        for query in queries:
            response = await client.post(query)
            assert response.status_code == 503
            codes = {error["extensions"]["code"] for error in response.json()["errors"]}
            assert codes == {"DATABASE_UNAVAILABLE"}
        assert (await client.http.get("/readyz")).status_code == 503


async def test_starting_before_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.operations.shape.RETRY_SECONDS", 0.05)
    server = await asyncio.to_thread(embedded.start, tmp_path / "data")
    try:
        _, url = await setup.prepare_embedded(server, "e2i")
        await asyncio.to_thread(server.stop)
        async with serving(url) as client:
            assert (await client.http.get("/readyz")).status_code == 503
            server = await asyncio.to_thread(embedded.start, tmp_path / "data")
            for _ in range(100):
                if (await client.http.get("/readyz")).status_code == 200:
                    break
                await asyncio.sleep(0.05)
            assert (await client.post(QUERY)).status_code == 200
    finally:
        await asyncio.to_thread(server.stop)


async def test_backends_killed_under_load_lose_their_request_only(demo_template: Database, clone: Clone) -> None:
    async with clone(demo_template) as copy, serving(copy.gateway_url) as client:
        killer = await connect(copy.admin_url)
        stop = asyncio.Event()
        statuses: list[int] = []

        async def ask() -> None:
            while not stop.is_set():
                response = await client.post(QUERY)
                statuses.append(response.status_code)
                codes = {e["extensions"]["code"] for e in response.json().get("errors", [])}
                assert codes <= {"DATABASE_UNAVAILABLE"}

        asking = [asyncio.create_task(ask()) for _ in range(4)]
        try:
            for _ in range(10):
                await asyncio.sleep(0.05)
                await killer.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'e2i-gateway' AND datname = current_database()"
                )
        finally:
            stop.set()
            await killer.close()
        await asyncio.gather(*asking)
        assert set(statuses) <= {200, 503}
        assert 200 in statuses
        assert (await client.post(QUERY)).status_code == 200


async def test_a_table_that_goes_missing_costs_its_fields(demo_template: Database, clone: Clone) -> None:
    async with clone(demo_template) as copy, serving(copy.gateway_url) as client:
        await execute(copy.owner_url, "DROP TABLE ml_training_runs CASCADE")
        answer = await client.ask(
            "{ experiments(first: 1) { nodes { trainingRuns { nodes { id } } models(first: 1) { totalCount } } } }"
        )
        node = answer["data"]["experiments"]["nodes"][0]
        assert node["trainingRuns"] is None
        assert node["models"]["totalCount"] > 0
        (error,) = answer["errors"]
        assert error["extensions"]["code"] == "MISSING_IN_DATABASE"
        assert error["path"] == ["experiments", "nodes", 0, "trainingRuns"]
        assert "SELECT" not in error["message"]


async def test_a_slow_statement_is_cancelled_by_the_database(demo_template: Database, clone: Clone) -> None:
    async with clone(demo_template) as copy:
        await execute(
            copy.owner_url,
            "ALTER TABLE ml_monitoring_alerts RENAME TO ml_monitoring_alerts_real",
            SLOW.replace("SELECT *", "SELECT ml_monitoring_alerts_real.*"),
            "GRANT SELECT ON ml_monitoring_alerts TO e2i_gateway",
        )
        for compiler in (False, True):
            async with serving(copy.gateway_url, statement_timeout=0.3, compiler=compiler) as client:
                answer = await client.ask(
                    "{ activeAlertsSummaries { nodes { id } } experiments(first: 1) { nodes { id } } }"
                )
                assert answer["data"]["activeAlertsSummaries"] is None
                # one statement for both roots has one time limit, and is not tried again in parts
                assert (answer["data"]["experiments"] is None) == compiler
                assert {e["extensions"]["code"] for e in answer["errors"]} == {"STATEMENT_TIMEOUT"}
                assert answer["extensions"]["cost"]["statements"] == (1 if compiler else 2)
        async with serving(copy.gateway_url, request_timeout=0.3) as client:
            response = await client.post("{ activeAlertsSummaries { nodes { id } } }")
            assert response.status_code == 504
            assert response.json()["errors"][0]["extensions"]["code"] == "REQUEST_TIMEOUT"
            assert (await client.post(QUERY)).status_code == 200


async def test_the_gateway_only_reads(demo: Client, demo_database: Database) -> None:
    connection: Any = await connect(demo_database.gateway_url)
    try:
        owner = await connection.fetchval("SELECT tableowner FROM pg_tables WHERE tablename = 'ml_experiments'")
        assert owner != await connection.fetchval("SELECT current_user")
    finally:
        await connection.close()
    assert (await demo.post(QUERY)).status_code == 200

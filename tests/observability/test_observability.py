"""What a gateway tells of itself: metrics for Prometheus, slow requests, and whether it can answer."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from gateway.observability.metrics import NAMES, OTHER
from gateway.observability.worker_metrics import WorkerMetrics
from gateway.server.uvicorn_server import MetricsRouter
from tests.support.changing import change, model_in
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect, empty_database, execute
from tests.support.proxy import proxied
from tests.support.sockets import listening, peer

pytestmark = pytest.mark.slow

PORT = 9464
PLAIN = "query Plain { experiments(first: 1) { nodes { id } } }"


@pytest.fixture
async def client(module_database: Database) -> AsyncIterator[Client]:
    """A gateway that has counted nothing yet."""
    async with serving(module_database.gateway_url) as client:
        yield client


def scraper(client: Client) -> httpx.AsyncClient:
    """What Prometheus sees: the metrics' port of a gateway."""
    app = MetricsRouter(
        client.app, ("localhost", PORT), frozenset(), WorkerMetrics(0, 1, None, client.app.state.metrics)
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://localhost:{PORT}")


async def scrape(client: Client) -> dict[str, float]:
    """Samples by name and labels, without the worker."""
    async with scraper(client) as http:
        text = (await http.get("/metrics")).text
    return samples(text)


def samples(text: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()) if name != "worker")
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def test_requests_are_counted_by_what_became_of_them(database: Database) -> None:
    await execute(database.owner_url, "DROP TABLE ml.feature_rankings")
    async with serving(database.gateway_url) as client:
        for _ in range(2):
            await client.data(PLAIN)
        await client.ask("{ featureRankings { nodes { featureName } } }")
        await client.ask("{ nothing }")
        await client.http.post("/graphql", content=b"x", headers={"content-type": "text/plain"})
        found = await scrape(client)
    assert {key: value for key, value in found.items() if key.startswith("e2i_requests_total")} == {
        "e2i_requests_total{outcome=ok}": 2,
        "e2i_requests_total{outcome=errors}": 1,
        "e2i_requests_total{outcome=refused}": 2,
    }
    assert found["e2i_request_seconds_count{operation=Plain}"] == 2
    assert found["e2i_request_seconds_bucket{le=+Inf,operation=Plain}"] == 2
    assert found["e2i_request_seconds_sum{operation=Plain}"] > 0
    assert found["e2i_request_seconds_count{operation=anonymous}"] == 3
    assert found["e2i_errors_total{code=MISSING_IN_DATABASE}"] == 1
    assert found["e2i_refusals_total{code=GRAPHQL_VALIDATION_FAILED}"] == 1
    assert found["e2i_refusals_total{code=UNSUPPORTED_MEDIA_TYPE}"] == 1


async def test_statements_rows_and_caches(client: Client) -> None:
    for _ in range(3):
        await client.data("{ tools(first: 2) { nodes { name } } }")
    found = await scrape(client)
    assert found["e2i_statements_total"] == 3
    assert found["e2i_rows_total"] >= 6
    by = "compiled" if client.compiles else "loaders"
    assert found[f"e2i_executed_total{{by={by}}}"] == 3
    for cache in ("plans", "documents"):
        assert found[f"e2i_cache_hits_total{{cache={cache}}}"] == 2
        assert found[f"e2i_cache_misses_total{{cache={cache}}}"] == 1
        assert found[f"e2i_cache_entries{{cache={cache}}}"] == 1


async def test_fallbacks_by_reason(database: Database) -> None:
    async with serving(database.gateway_url) as client:
        if not client.compiles:
            pytest.skip("nothing is compiled")
        await client.data(PLAIN)
        await execute(database.owner_url, "ALTER TABLE ml_experiments RENAME COLUMN description TO words")
        await client.ask("{ experiments(first: 1) { nodes { description } } }")
        assert (await scrape(client))["e2i_fallbacks_total{reason=MissingObjectError}"] == 1


async def test_operations_have_fifty_names(client: Client) -> None:
    for n in range(NAMES + 5):
        await client.data(f"query Name{n} {{ __typename }}")
    await client.ask("query Wrong { nothing }")
    found = await scrape(client)
    assert found[f"e2i_request_seconds_count{{operation=Name{NAMES - 1}}}"] == 1
    assert found[f"e2i_request_seconds_count{{operation={OTHER}}}"] == 5
    names = [key for key in found if key.startswith("e2i_request_seconds_count")]
    assert len(names) == NAMES + 2, "and those without a name, which are those without a valid document too"
    assert not any("Wrong" in name for name in names)


async def test_pools_and_the_process(module_database: Database) -> None:
    async with serving(module_database.gateway_url, pool_size=1) as client, held(module_database, "ml_experiments"):
        waiting = [asyncio.create_task(client.ask(PLAIN)) for _ in range(3)]
        found: dict[str, float] = {}
        while found.get("e2i_pool_waiting{pool=read}") != 2:
            await asyncio.sleep(0.01)
            found = await scrape(client)
        assert found["e2i_pool_in_use{pool=read}"] == found["e2i_pool_size{pool=read}"] == 1
        assert found["e2i_pool_in_use{pool=write}"] == found["e2i_pool_heavy{pool=write}"] == 0
        assert found["e2i_pool_heavy_waiting{pool=read}"] == 0
        while found["e2i_pool_heavy{pool=read}"] != 1:  # it has run for long
            await asyncio.sleep(0.01)
            found = await scrape(client)
        assert found["process_resident_memory_bytes"] > 1e7
        assert found["process_cpu_seconds_total"] > 0
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)


class held:  # noqa: N801 - reads as a function
    """Nobody can read a table while the block lasts."""

    def __init__(self, database: Database, table: str) -> None:
        self._url, self._table = database.owner_url, table

    async def __aenter__(self) -> None:
        self._connection = await connect(self._url)
        await self._connection.execute(f"BEGIN; LOCK TABLE {self._table}")

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()


async def test_sockets_and_subscriptions(module_database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """A subscription is counted once it has ended; however long it lasted, it was no slow request."""
    async with listening(module_database.gateway_url, slow_ms=0.001) as gateway, peer(gateway) as one:
        await one.payload(await one.subscribe("query Once { __typename }"))
        id_ = await one.subscribe("subscription Follow { lifecycleEvents { cursor } }")
        found: dict[str, float] = {}
        async with asyncio.timeout(30):
            while found.get("e2i_subscriptions") != 1:
                await asyncio.sleep(0.01)
                found = await scrape(gateway.client)
        assert found["e2i_sockets"] == 1
        assert found["e2i_requests_total{outcome=ok}"] == 1
        await one.say(id=id_, type="complete")
        async with asyncio.timeout(30):
            while found["e2i_requests_total{outcome=ok}"] != 2:
                await asyncio.sleep(0.01)
                found = await scrape(gateway.client)
    assert found["e2i_request_seconds_count{operation=Once}"] == 1
    assert "e2i_request_seconds_count{operation=Follow}" not in found
    assert [line["operation"] for line in slow_lines(caplog)] == ["Once"]


async def test_metrics_are_at_their_own_port_alone(client: Client) -> None:
    assert (await client.http.get("/metrics")).status_code == 404
    async with scraper(client) as http:
        for path in ("/graphql", "/", "/healthz", "/static/graphiql/index.html"):
            assert (await http.get(path)).status_code == 404
        assert (await http.post("/graphql", json={"query": PLAIN})).status_code == 404
        plain = await http.get("/metrics")
        assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert re.search(r'^e2i_build_info\{python="3.*",version="[\d.]+",worker="0"\} 1.0$', plain.text, re.MULTILINE)
        opened = await http.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
        assert opened.headers["content-type"].startswith("application/openmetrics-text")
        assert "e2i_requests" in {family.name for family in open_metrics(opened.text)}


@pytest.mark.parametrize("listens", ["127.0.0.2", "0.0.0.0"])
async def test_metrics_are_not_at_the_graphs_address_with_their_port(client: Client, listens: str) -> None:
    """Two addresses of a machine may have the same port."""
    worker_metrics = WorkerMetrics(0, 1, None, client.app.state.metrics)
    app = MetricsRouter(client.app, (listens, PORT), frozenset(), worker_metrics)

    async def asked(host: str, port: int = PORT) -> tuple[int, int]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}:{port}") as http:
            return (await http.get("/metrics")).status_code, (await http.get("/healthz")).status_code

    assert await asked("127.0.0.2") == (200, 404)
    assert await asked("127.0.0.1", PORT + 1) == (404, 200)
    assert await asked("[::1]") == (404, 200)
    if listens == "127.0.0.2":
        assert await asked("127.0.0.1") == (404, 200)


async def test_metrics_are_asked_by_the_servers_names(client: Client) -> None:
    """As the graph is; their own address is one of them, which no page of another can have."""
    worker_metrics = WorkerMetrics(0, 1, None, client.app.state.metrics)
    app = MetricsRouter(client.app, ("127.0.0.2", PORT), frozenset({b"localhost"}), worker_metrics)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://127.0.0.2:{PORT}") as http:
        for host, status in (
            (f"127.0.0.2:{PORT}", 200), ("127.0.0.2", 200), ("localhost", 200), ("e.vil", 421), (f"e.vil:{PORT}", 421),
            ("127.0.0.3", 421), ("", 421),
        ):  # fmt: skip
            assert (await http.get("/metrics", headers={"host": host})).status_code == status, host


async def test_workers_tell_each_other(client: Client, module_database: Database, tmp_path: Path) -> None:
    """A scrape of any of them has all, and says which one is silent."""
    async with serving(module_database.gateway_url) as other:
        await other.data(PLAIN)
        both = [client.app.state.metrics, other.app.state.metrics]
        workers = [WorkerMetrics(n, 3, tmp_path, metrics) for n, metrics in enumerate(both)]
        async with workers[0], workers[1]:
            app = MetricsRouter(client.app, ("g", PORT), frozenset(), workers[0])
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://g:{PORT}") as http:
                text = (await http.get("/metrics")).text
    assert 'e2i_requests_total{outcome="ok",worker="1"} 1.0' in text
    assert 'e2i_requests_total{outcome="ok",worker="0"}' not in text
    assert [f'e2i_worker_up{{worker="{n}"}} {up}' in text for n, up in ((0, 1.0), (1, 1.0), (2, 0.0))] == [True] * 3
    assert text.count("# TYPE e2i_requests_total counter") == 1


# -- slow requests -----------------------------------------------------------------------------------------------------


def slow_lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(record) for record in caplog.records if record.name == "gateway.slow"]


SECRET = "Patient Zero 4711"
BY_NAME = "query ByName($name: String!) { experiments(where: { experimentName: { eq: $name } }) { nodes { id } } }"


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG], ids=["info", "debug"])
async def test_a_slow_request_is_logged_with_its_plan(
    module_database: Database, caplog: pytest.LogCaptureFixture, level: int
) -> None:
    async with serving(module_database.gateway_url, slow_ms=0.001) as client:
        with caplog.at_level(level, "gateway.slow"):
            await client.data(BY_NAME, name=SECRET)
    (line,) = slow_lines(caplog)
    assert line["operation"] == "ByName"
    assert line["document"] == hashlib.sha256(BY_NAME.encode()).hexdigest()
    assert line["roots"] == ("experiments",)
    assert (line["statements"], line["rows"]) == (1, 0)
    if client.compiles:
        assert line["plan"] == "compiled"
        assert re.fullmatch(r"[0-9a-f]{16}", line["sql_hash"])
        assert ("sql" in line) is (level == logging.DEBUG)
    assert SECRET not in str(line)
    if "sql" in line:
        connection = await connect(module_database.gateway_url)
        assert await connection.execute(f"EXPLAIN (GENERIC_PLAN) {line['sql']}")
        await connection.close()


async def test_what_is_quick_is_not_slow(
    client: Client, module_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(module_database.gateway_url, slow_ms=0) as never:
        await client.data(PLAIN)
        await never.data(PLAIN)
    assert slow_lines(caplog) == []


async def test_no_value_is_in_any_line_of_the_log(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """Neither of queries nor of changes, whatever their level."""
    connection = await connect(database.owner_url)
    model = await model_in(connection, "development")
    await connection.close()
    async with serving(database.gateway_url, slow_ms=0.001) as client:
        with caplog.at_level(logging.DEBUG, "gateway"):
            await client.data(BY_NAME, name=SECRET)
            await change(client, "promoteModel", id=model, to="STAGING", reason=SECRET, idempotencyKey=SECRET)
    assert len(slow_lines(caplog)) == 2
    assert not [record for record in caplog.records if SECRET in orjson.dumps(vars(record), default=str).decode()]


# -- readiness ---------------------------------------------------------------------------------------------------------


async def until(condition: Callable[[], bool]) -> None:
    """Waits for something to come true, at most a minute."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the pool tells nobody
            await asyncio.sleep(0.01)


async def readiness(client: Client) -> tuple[int, dict[str, Any]]:
    response = await client.http.get("/readyz")
    return response.status_code, response.json()


async def test_ready_says_what_differs(platform_template: Database, clone: Clone) -> None:
    async with clone(platform_template) as copy, serving(copy.gateway_url) as client:
        status, body = await readiness(client)
        assert (status, body["status"]) == (200, "ok")
        assert "db check" in body["schema"]


async def test_an_empty_database_is_not_ready(server: Any) -> None:
    async with empty_database(server) as database, serving(database.owner_url) as client:
        status, body = await readiness(client)
        assert (status, body["status"], body["database"]) == (503, "unavailable", "ok")
        assert "none of the platform's tables" in body["schema"]
        assert (await client.http.get("/healthz")).json() == {"status": "ok"}


async def test_a_database_that_is_away_is_not_ready() -> None:
    async with serving("postgresql://nobody@127.0.0.1:1/nothing") as client:
        status, body = await readiness(client)
        assert (status, body["status"]) == (503, "unavailable")
        assert (body["database"], body["schema"]) == ("cannot be reached", "not looked at yet")


async def test_a_pool_may_be_busy_but_not_for_long(module_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.observability.health.TIMEOUT", 0.1)
    async with serving(module_database.gateway_url, pool_size=1) as client, held(module_database, "ml_experiments"):
        asked = asyncio.create_task(client.ask(PLAIN))
        await until(lambda: client.app.state.engine.pool.checkedout() == 1)
        status, body = await readiness(client)
        assert (status, body["database"]) == (200, "busy")
        monkeypatch.setattr("gateway.observability.health.BUSY", 0.0)
        status, body = await readiness(client)
        assert (status, body["database"]) == (503, "has no connection to spare")
        asked.cancel()
        await asyncio.wait([asked])
        await until(lambda: client.app.state.engine.pool.checkedout() == 0)
        assert (await readiness(client))[0] == 200


async def test_a_silent_database_is_not_ready(module_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer does not wait until the statement is given up: the database does not hear of that either."""
    monkeypatch.setattr("gateway.observability.health.TIMEOUT", 0.1)
    async with proxied(module_database.gateway_url) as (proxy, url), serving(url) as client:
        assert (await readiness(client))[0] == 200
        proxy.freeze()
        status, body = await readiness(client)
        assert (status, body["database"]) == (503, "does not answer in time")
        assert not client.app.state.health._probe.done()


async def test_other_parts_are_heard(client: Client) -> None:
    client.app.state.health.reports["listener"] = lambda: "connecting"
    assert await readiness(client) == (
        200,
        {"status": "ok", "database": "ok", "schema": "ok", "listener": "connecting"},
    )
    client.app.state.health.draining = True
    status, body = await readiness(client)
    assert (status, body["gateway"]) == (503, "is ending")

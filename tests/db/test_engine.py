"""How statements reach Postgres: settings, autocommit, snapshots, limits, cancellation, and what errors mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.adapters.asyncpg import STATEMENTS_SIZE
from db.attach import facts
from db.engine.engine import create_engine
from db.engine.errors import (
    DatabaseUnavailableError,
    DataError,
    InvalidValueError,
    MissingObjectError,
    OverloadedError,
    StatementTimeoutError,
)
from db.engine.readers import HeldReader, ShortReader, snapshot
from db.engine.url import database_url
from tests.support.client import serving
from tests.support.databases import Clone, Database, connect, execute

pytestmark = pytest.mark.slow


@asynccontextmanager
async def engine_on(url: str | URL, **settings: Any) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(url if isinstance(url, URL) else database_url(url), **({"read_only": True} | settings))
    try:
        yield engine
    finally:
        await engine.dispose()


@pytest.fixture
async def engine(module_database: Database) -> AsyncIterator[AsyncEngine]:
    """An engine as the gateway has it, in the gateway's role."""
    async with engine_on(module_database.gateway_url) as engine:
        yield engine


@pytest.fixture
async def engine_of_one(module_database: Database) -> AsyncIterator[AsyncEngine]:
    """The same with one connection."""
    async with engine_on(module_database.gateway_url, pool_size=1) as engine:
        yield engine


async def one(engine: AsyncEngine, statement: str, *values: Any) -> Any:
    return (await ShortReader(engine).fetch(statement, values))[0][0]


async def test_facts_are_read_with_joins_in_their_order(
    engine_of_one: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another the planner joins the statistics in loops: a second of Postgres on a small database. The connection
    goes back as it was."""
    limit, limits, spreads = "SHOW join_collapse_limit", [], facts.spreads

    async def told(connection: AsyncConnection, known: Mapping[str, Any]) -> Any:
        limits.append((await connection.exec_driver_sql(limit)).scalar_one())
        return await spreads(connection, known)

    before = await one(engine_of_one, limit)
    monkeypatch.setattr(facts, "spreads", told)
    await facts.read(engine_of_one)
    assert limits == ["1"] != [before]
    assert await one(engine_of_one, limit) == before


async def active(database: Database) -> list[str]:
    """What the gateway's connections are doing, but for resting."""
    connection = await connect(database.admin_url)
    try:
        rows = await connection.fetch(
            "SELECT state || ': ' || query AS doing FROM pg_stat_activity "
            "WHERE application_name = 'e2i-gateway' AND datname = $1 AND state <> 'idle'",
            database.name,
        )
    finally:
        await connection.close()
    return [row["doing"] for row in rows]


async def comes_to_rest(database: Database, seconds: float = 2) -> list[str]:
    """What still runs after that time at most."""
    for _ in range(round(seconds / 0.05)):
        if not await active(database):
            break
        await asyncio.sleep(0.05)
    return await active(database)


# -- what the server is told -------------------------------------------------------------------------------------------


class Wire:
    """A proxy before Postgres that keeps what clients send: SQL of simple queries and of prepared statements."""

    def __init__(self, target: URL) -> None:
        self.sent: list[str] = []
        self.names: list[str] = []
        self._target = target

    async def serve(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        host = str(self._target.query.get("host") or self._target.host)
        port = int(str(self._target.query.get("port") or self._target.port or 5432))
        if host.startswith("/"):
            server, forward = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            server, forward = await asyncio.open_connection(host, port)
        answers = asyncio.create_task(self._pass_on(server, answer))
        try:
            await self._listen(client, forward)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            forward.close()
            await answers

    async def _listen(self, client: asyncio.StreamReader, forward: asyncio.StreamWriter) -> None:
        kind = b""  # the first message has no kind
        while True:
            size = await client.readexactly(4)
            body = await client.readexactly(int.from_bytes(size, "big") - 4)
            if kind == b"Q":
                self.sent.append(body.rstrip(b"\0").decode())
            elif kind == b"P":
                name, text, _ = body.split(b"\0", 2)
                self.sent.append(text.decode())
                self.names.append(name.decode())
            forward.write(kind + size + body)
            await forward.drain()
            kind = await client.readexactly(1)

    async def _pass_on(self, server: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        try:
            while data := await server.read(65536):
                answer.write(data)
                await answer.drain()
        except ConnectionError:
            pass
        finally:
            answer.close()


@pytest.fixture
async def wire(module_database: Database, tmp_path: Path) -> AsyncIterator[tuple[Wire, URL]]:
    """The module's database behind a proxy, and its URL there."""
    target = make_url(module_database.gateway_url)
    proxy = Wire(target)
    path = f"{tmp_path}/.s.PGSQL.5432"
    assert len(path) < 104, "a socket's path is short"
    async with await asyncio.start_unix_server(proxy.serve, path):
        yield proxy, target.set(host=None, port=None, query={"host": str(tmp_path), "port": "5432"})


TRANSACTIONS = ("BEGIN", "START", "COMMIT", "ROLLBACK", "END", "SAVEPOINT", "RELEASE")


async def test_reads_are_single_statements_without_transactions(wire: tuple[Wire, URL]) -> None:
    proxy, url = wire
    async with engine_on(url) as engine:
        reader = ShortReader(engine)
        await reader.fetch("SELECT 1", ())
        proxy.sent.clear()
        for number in range(3):
            await reader.fetch("SELECT $1::int", (number,))
        with pytest.raises(MissingObjectError):
            await reader.fetch("SELECT nothing", ())
        await reader.fetch("SELECT 2", ())
    assert proxy.sent == ["SELECT $1::int", "SELECT nothing", "SELECT 2"]


async def test_kept_statements_are_bounded_by_their_size(engine_of_one: AsyncEngine) -> None:
    """However they are read; those used last are kept, and what is very long is not."""
    reader = ShortReader(engine_of_one)
    padding = "/* " + "x" * 20_000 + " */"
    for place in range(40):
        assert (await reader.fetch_one(f"SELECT {place} {padding}", []))[0] == place
        assert (await reader.fetch(f"SELECT -{place} {padding}", []))[0][0] == -place
        await reader.fetch("SELECT 'often'", [])
    async with snapshot(engine_of_one) as held:
        for place in range(10):
            await held.fetch(f"SELECT {place} AS held {padding}", [])
        assert (await held.fetch(f"SELECT 'long' {padding * 4}", []))[0][0] == "long"
    await reader.fetch_one(f"SELECT 'long one' {padding * 4}", [])
    kept = [text for (text,) in await reader.fetch("SELECT statement FROM pg_prepared_statements", [])]
    assert 10 < sum(padding in text for text in kept) < 20
    assert sum(map(len, kept)) < STATEMENTS_SIZE + 1_000
    assert "SELECT 'often'" in kept
    assert f"SELECT 9 AS held {padding}" in kept
    assert not any("'long" in text for text in kept)


async def test_a_statement_is_prepared_once(engine_of_one: AsyncEngine) -> None:
    """Whichever way it is read, and whatever is read in between."""
    reader = ShortReader(engine_of_one)
    for _ in range(3):
        await reader.fetch("SELECT 1 AS once", [])
        await reader.fetch_one("SELECT 1 AS once", [])
        async with snapshot(engine_of_one) as held:
            await held.fetch("SELECT 1 AS once", [])
    kept = await reader.fetch("SELECT statement FROM pg_prepared_statements", [])
    assert [text for (text,) in kept].count("SELECT 1 AS once") == 1


async def test_a_request_sends_its_statements_and_nothing_else(wire: tuple[Wire, URL]) -> None:
    proxy, url = wire
    async with serving(url.render_as_string(hide_password=False)) as client:
        await client.data("{ tools { totalCount } }")
        proxy.sent.clear()
        await client.data("{ tools(first: 1) { nodes { id } totalCount } }")
        assert len(proxy.sent) == client.statements(2)
    assert not [text for text in proxy.sent if text.upper().startswith(TRANSACTIONS)]


async def test_a_snapshot_is_one_transaction(wire: tuple[Wire, URL]) -> None:
    proxy, url = wire
    async with engine_on(url, pool_size=1) as engine:
        await one(engine, "SELECT 1")
        proxy.sent.clear()
        async with snapshot(engine) as reader:
            await reader.fetch("SELECT 2", ())
            await reader.fetch("SELECT 3", ())
        await one(engine, "SELECT 4")
    sent = [text.rstrip(";").upper() for text in proxy.sent if "SAVEPOINT" not in text.upper()]
    assert sent == ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "SELECT 2", "SELECT 3", "COMMIT", "SELECT 4"]


async def test_without_prepared_statements_none_has_a_name(wire: tuple[Wire, URL]) -> None:
    """A named statement belongs to a server connection, which a pooler gives to somebody else."""
    proxy, url = wire
    async with engine_on(url, prepared_statements=False) as engine:
        for _ in range(3):
            assert await one(engine, "SELECT $1::int", 7) == 7
    assert set(proxy.names) == {""}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("TimeZone", "UTC"),
        ("DateStyle", "ISO, YMD"),
        ("search_path", "public, extensions"),
        ("default_transaction_read_only", "on"),
        ("statement_timeout", "1500ms"),
        ("jit", "off"),
        ("max_parallel_workers_per_gather", "0"),
        ("application_name", "e2i-gateway"),
    ],
)
async def test_settings_of_every_connection(module_database: Database, setting: str, value: str) -> None:
    async with engine_on(module_database.gateway_url, statement_timeout=1.5) as engine:
        shown = await asyncio.gather(*(one(engine, f"SHOW {setting}") for _ in range(3)))
        assert shown == [value] * 3


async def test_parallel_workers_are_those_that_the_url_allows(module_database: Database) -> None:
    separator = "&" if "?" in module_database.gateway_url else "?"
    url = f"{module_database.gateway_url}{separator}options=-c%20max_parallel_workers_per_gather%3D3"
    async with engine_on(url) as engine:
        assert await one(engine, "SHOW max_parallel_workers_per_gather") == "3"


async def test_settings_hold_whatever_the_database_says(module_database: Database) -> None:
    async with engine_on(module_database.owner_url) as engine:
        name = module_database.name
        settings = {"TimeZone": "Asia/Tokyo", "DateStyle": "SQL, DMY", "search_path": "pg_catalog"}
        for setting, value in settings.items():
            await execute(module_database.admin_url, f"ALTER DATABASE {name} SET {setting} = '{value}'")
        try:
            moment = "timestamptz '2026-02-01 12:00Z'::text"
            assert await one(engine, f"SELECT {moment}") == "2026-02-01 12:00:00+00"
            assert await one(engine, "SELECT count(*) FROM tool_registry") > 0
        finally:
            await execute(module_database.admin_url, f"ALTER DATABASE {name} RESET ALL")


async def test_only_a_reading_engine_refuses_to_write(module_database: Database) -> None:
    write = "CREATE TEMPORARY TABLE written AS SELECT 1 AS x"
    statement = "INSERT INTO ml_experiments (experiment_name, prediction_target) VALUES ('x', 'x')"
    async with engine_on(module_database.owner_url) as reading:
        with pytest.raises(DBAPIError, match="read-only"):
            await one(reading, f"WITH w AS ({statement} RETURNING 1) SELECT * FROM w")
        async with snapshot(reading) as reader:
            with pytest.raises(DBAPIError, match="read-only"):
                await reader.fetch(f"WITH w AS ({statement} RETURNING 1) SELECT * FROM w", ())
    async with engine_on(module_database.owner_url, read_only=False) as writing, writing.connect() as connection:
        await connection.exec_driver_sql(write)
    async with engine_on(module_database.owner_url, read_only=False) as writing, snapshot(writing) as reader:
        with pytest.raises(DBAPIError, match="read-only"):
            await reader.fetch(f"WITH w AS ({statement} RETURNING 1) SELECT * FROM w", ())


# -- readers -----------------------------------------------------------------------------------------------------------


async def test_readers_count_statements_and_rows(engine: AsyncEngine) -> None:
    async def use(reader: ShortReader | HeldReader) -> None:
        await reader.fetch("SELECT * FROM generate_series(1, 5)", ())
        await reader.fetch("SELECT 1 WHERE false", ())
        assert (reader.statements, reader.rows) == (2, 5)

    await use(ShortReader(engine))
    async with snapshot(engine) as reader:
        await use(reader)
    failing = ShortReader(engine)
    with pytest.raises(MissingObjectError):
        await failing.fetch("SELECT nothing", ())
    assert (failing.statements, failing.rows) == (1, 0)


@pytest.mark.parametrize("parallel", [1, 3])
async def test_a_request_runs_so_many_statements_at_once(engine: AsyncEngine, parallel: int) -> None:
    reader = ShortReader(engine, parallel)
    watch = "SELECT clock_timestamp(), pg_sleep(0.1) IS NULL, clock_timestamp()"
    spans = [(row[0][0], row[0][2]) for row in await asyncio.gather(*(reader.fetch(watch, ()) for _ in range(7)))]
    assert max(sum(begin <= moment < end for begin, end in spans) for moment, _ in spans) == parallel


async def test_a_held_connection_takes_statements_one_after_the_other(engine: AsyncEngine) -> None:
    async with snapshot(engine) as reader:
        answers = await asyncio.gather(*(reader.fetch("SELECT $1::int, pg_sleep(0.01)", (n,)) for n in range(5)))
        assert [rows[0][0] for rows in answers] == list(range(5))
        assert len({(await reader.fetch("SELECT pg_backend_pid()", ()))[0][0] for _ in range(3)}) == 1


@pytest.mark.parametrize("sql", ["SELECT 1", "SELECT 1 / 0"])
async def test_a_snapshot_that_fails_costs_no_connection(engine: AsyncEngine, sql: str) -> None:
    """Whoever sends what is refused in the middle, again and again, has no process begun each time."""
    pids = set()
    for _ in range(3):
        with pytest.raises((ZeroDivisionError, DataError)):  # noqa: PT012 - the block is what fails
            async with snapshot(engine) as reader:
                pids.add((await reader.fetch("SELECT pg_backend_pid()", ()))[0][0])
                await reader.fetch(sql, ())
                raise ZeroDivisionError
    async with snapshot(engine) as reader:
        pids.add((await reader.fetch("SELECT pg_backend_pid()", ()))[0][0])
    assert len(pids) == 1


async def test_a_snapshot_sees_one_moment(module_database: Database, engine: AsyncEngine) -> None:
    count = "SELECT count(*) FROM ml_experiments"
    async with snapshot(engine) as reader:
        before = (await reader.fetch(count, ()))[0][0]
        insert = "INSERT INTO ml_experiments (experiment_name, prediction_target) VALUES ('later', 'p')"
        await execute(module_database.owner_url, insert)
        assert (await reader.fetch(count, ()))[0][0] == before
        assert await one(engine, count) == before + 1


@pytest.mark.parametrize("how", ["it ends", "an error of ours", "a statement that fails"])
async def test_nothing_of_a_snapshot_stays_with_its_connection(module_database: Database, how: str) -> None:
    async with engine_on(module_database.gateway_url, pool_size=1, connect_timeout=1) as engine:
        try:
            async with snapshot(engine) as reader:
                await reader.fetch("SELECT 1", ())
                if how == "an error of ours":
                    {}["missing"]
                if how == "a statement that fails":
                    await reader.fetch("SELECT nothing", ())
        except (LookupError, MissingObjectError):
            pass
        assert await active(module_database) == []
        assert await one(engine, "SHOW transaction_isolation") == "read committed"
        first, second = await one(engine, "SELECT now()"), await one(engine, "SELECT now()")
        assert first < second


async def test_a_statement_that_fails_costs_the_rest_of_a_snapshot_nothing(engine: AsyncEngine) -> None:
    """A field whose statement fails is null with its own error; its siblings are answered."""
    async with snapshot(engine) as reader:
        with pytest.raises(MissingObjectError):
            await reader.fetch("SELECT nothing", ())
        assert (await reader.fetch("SELECT 1", ()))[0][0] == 1


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "values", "meaning"),
    [
        ("SELECT * FROM no_such_table", (), MissingObjectError),
        ("SELECT no_such_column FROM ml_experiments", (), MissingObjectError),
        ("SELECT no_such_function()", (), MissingObjectError),
        ("SELECT NULL::no_such_type", (), MissingObjectError),
        ("SELECT no_such_schema.f()", (), MissingObjectError),
        ("SELECT $1::text::uuid", ("x",), InvalidValueError),
        ("SELECT $1::text::timestamptz", ("2026-13-01",), InvalidValueError),
        ("SELECT $1::text::int", ("99999999999",), InvalidValueError),
        ("SELECT $1::text", ("\0",), InvalidValueError),
        ("SELECT pg_sleep(5)", (), StatementTimeoutError),
        ("SELECT pg_terminate_backend(pg_backend_pid())", (), DatabaseUnavailableError),
    ],
)
async def test_what_an_error_means(
    module_database: Database, statement: str, values: tuple[Any, ...], meaning: type[Exception]
) -> None:
    async with engine_on(module_database.gateway_url, statement_timeout=0.2) as engine:
        with pytest.raises(meaning) as short:
            await one(engine, statement, *values)
        assert statement not in str(short.value)
        with pytest.raises(meaning):
            async with snapshot(engine) as reader:
                await reader.fetch(statement, values)
        assert await one(engine, "SELECT 1") == 1


async def test_a_value_that_the_driver_refuses_leaves_its_connection_clean(module_database: Database) -> None:
    async with engine_on(module_database.gateway_url, pool_size=1) as engine:
        for value in (2**31, "x"):
            with pytest.raises(InvalidValueError):
                await one(engine, "SELECT $1::int", value)
            assert await active(module_database) == []
            async with snapshot(engine) as reader:
                assert (await reader.fetch("SELECT 1", ()))[0][0] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"database": "no_such_database"},
        {"username": "no_such_role"},
        {"host": "127.0.0.1", "port": 1, "query": {}},
        {"host": "host.invalid", "port": 1, "query": {}},
        {"query": {"host": "/nowhere", "port": "5432"}},
    ],
    ids=["database", "role", "port", "host", "socket"],
)
@pytest.mark.parametrize("mode", ["short", "snapshot"])
async def test_a_database_that_cannot_be_reached(module_database: Database, change: dict[str, Any], mode: str) -> None:
    url = make_url(module_database.gateway_url).set(**change)
    ask = {"short": _short, "snapshot": _snapshot}[mode]
    async with engine_on(url, connect_timeout=2) as engine:
        with pytest.raises(DatabaseUnavailableError):
            await ask(engine)


async def test_no_connection_left_in_the_pool(module_database: Database) -> None:
    async with engine_on(module_database.gateway_url, pool_size=1, connect_timeout=0.3) as engine:
        busy = asyncio.create_task(one(engine, "SELECT 'done', pg_sleep(1)"))
        await asyncio.sleep(0.1)
        with pytest.raises(OverloadedError):
            await one(engine, "SELECT 1")
        assert await busy == "done"
        assert await one(engine, "SELECT 1") == 1


async def test_no_connection_left_in_the_server(module_database: Database, server: Any) -> None:
    await execute(server.admin_url, "CREATE ROLE crowded LOGIN CONNECTION LIMIT 1")
    try:
        url = make_url(module_database.gateway_url).set(username="crowded")
        async with engine_on(url) as first, first.connect(), engine_on(url) as second:
            with pytest.raises(DatabaseUnavailableError):
                await one(second, "SELECT 1")
    finally:
        await execute(server.admin_url, "DROP ROLE crowded")


async def test_a_table_that_the_role_may_not_read(demo_template: Database, clone: Clone) -> None:
    """On a database that is not ours this is a matter of rights, and the client is told which field it costs."""
    async with clone(demo_template) as copy, serving(copy.gateway_url) as client:
        role = make_url(copy.gateway_url).username
        await execute(copy.owner_url, f"REVOKE SELECT ON ml_training_runs FROM {role}")
        answer = await client.ask(
            "{ experiments(first: 1) { nodes { trainingRuns { nodes { id } } models(first: 1) { totalCount } } } }"
        )
        assert answer["data"]["experiments"]["nodes"][0]["models"]["totalCount"] > 0
        (error,) = answer["errors"]
        assert error["path"] == ["experiments", "nodes", 0, "trainingRuns"]
        assert error["extensions"]["code"] not in {"INTERNAL", "BAD_USER_INPUT"}
        assert "SELECT" not in error["message"]


# -- connections that die ----------------------------------------------------------------------------------------------


async def test_connections_that_the_server_closed_are_replaced(module_database: Database, engine: AsyncEngine) -> None:
    pid = "SELECT pg_backend_pid() FROM pg_sleep(0.05)"
    before = set(await asyncio.gather(*(one(engine, pid) for _ in range(4))))
    assert len(before) == 4
    kill = "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE application_name = 'e2i-gateway'"
    await execute(module_database.admin_url, f"{kill} AND datname = current_database()")
    after = set(await asyncio.gather(*(one(engine, pid) for _ in range(4))))
    assert len(after) == 4
    assert not before & after


Ask = Callable[[AsyncEngine], Any]


async def _short(engine: AsyncEngine) -> None:
    await ShortReader(engine).fetch("SELECT pg_sleep(60)", ())


async def _snapshot(engine: AsyncEngine) -> None:
    async with snapshot(engine) as reader:
        await reader.fetch("SELECT pg_sleep(60)", ())


async def _queued(engine: AsyncEngine) -> None:
    async with snapshot(engine) as reader:
        await asyncio.gather(*(reader.fetch("SELECT pg_sleep(60)", ()) for _ in range(3)))


@pytest.mark.parametrize("ask", [_short, _snapshot, _queued])
async def test_what_is_given_up_is_cancelled_in_the_server(module_database: Database, ask: Ask) -> None:
    async with engine_on(module_database.gateway_url, pool_size=2, connect_timeout=1) as engine:
        for _ in range(4):
            task = asyncio.create_task(ask(engine))
            async with asyncio.timeout(10):
                while not any("pg_sleep" in doing for doing in await active(module_database)):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await comes_to_rest(module_database) == []
        assert await asyncio.gather(*(one(engine, "SELECT $1::int, pg_sleep(0.05)", n) for n in range(4))) == [
            0,
            1,
            2,
            3,
        ]


SLEEPY = "ml_performance_metrics"


@pytest.mark.parametrize(
    "query",
    [
        "{ modelHealths { nodes { healthStatus } } }",
        '{ modelHealths(where: {healthStatus: {eq: "unknown"}}) { totalCount } models(first: 1) { nodes { id } } }',
        "{ models(first: 100) { nodes { health { healthStatus } } } }",
        "{ a: models { nodes { ...H } } b: models { nodes { ...H } } } fragment H on Model { health { healthStatus } }",
        "{ experiments { nodes { models(first: 100) { nodes { health { healthStatus } } } } } }",
    ],
)
async def test_a_request_that_is_given_up_leaves_nothing_running(
    demo_template: Database, clone: Clone, query: str
) -> None:
    async with clone(demo_template) as copy:
        await execute(
            copy.owner_url,
            f"ALTER TABLE {SLEEPY} RENAME TO quick",
            f"CREATE VIEW {SLEEPY} AS SELECT quick.* FROM quick, pg_sleep(60)",
            f"GRANT SELECT ON {SLEEPY} TO {make_url(copy.gateway_url).username}",
        )
        async with serving(copy.gateway_url, request_timeout=1.0, pool_size=2) as client:
            for _ in range(3):
                response = await client.post(query)
                assert response.status_code == 504
                assert await comes_to_rest(copy) == []
            await client.data("{ a: models { totalCount } b: models { totalCount } c: models { totalCount } }")


# -- URLs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("postgres://u:p@h:1/d", "postgresql+asyncpg://u:p@h:1/d"),
        ("postgresql://u@h/d?sslmode=require", "postgresql+asyncpg://u@h/d?sslmode=require"),
        ("postgresql+psycopg://h/d", "postgresql+asyncpg://h/d"),
        ("postgresql:///d?host=/a%20b", "postgresql+asyncpg:///d?host=%2Fa+b"),
    ],
)
def test_urls(given: str, made: str) -> None:
    assert database_url(given).render_as_string(hide_password=False) == made


@pytest.mark.parametrize("text", ["", "x", "mysql://h/d", "http://h", "postgresql://h:port/d"])
def test_what_is_no_url_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(ValueError, match="expected postgresql://"):
        database_url(text)

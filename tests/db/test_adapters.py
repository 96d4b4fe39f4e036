"""What the adapters take from libraries beyond their public interfaces is still there, and is what it was taken for.

A new version of a library that fails here is to be read before its bound in ``pyproject.toml`` is raised.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import strawberry
import uvicorn
from graphql import (
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    build_schema,
    graphql_sync,
    parse,
    validate,
)
from graphql.execution import Executor
from graphql.execution.values import VariableValues, get_variable_values
from packaging.requirements import Requirement
from strawberry.annotation import StrawberryAnnotation
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode

from db.adapters.asyncpg import SessionConnection, TerminableConnection, leave_jit
from db.engine.poolers import connection_class
from gateway.adapters import uvicorn as adapter
from gateway.server import http_protocol
from gateway.websocket import transport
from schema.adapters import graphql_core
from schema.adapters.graphql_core import (
    FieldDetailsList,
    VariableValueSource,
    get_variable_signature,
    has_too_many_tokens,
    is_nested_too_deeply,
)
from schema.adapters.strawberry import StrawberrySchema, annotate
from schema.execution.executor import AnswerExecutor, MutationExecutor
from tests.support.databases import Database, connect

ROOT = Path(__file__).parents[2]
LIBRARIES = {
    "db/adapters/asyncpg.py": ["asyncpg"],
    "gateway/adapters/uvicorn.py": ["uvicorn", "httptools", "websockets"],
    "schema/adapters/graphql_core.py": ["graphql-core"],
    "schema/adapters/strawberry.py": ["strawberry-graphql"],
}


def test_each_adapter_bounds_its_libraries() -> None:
    """The next minor version, and of what has come to 1 the next major one, is not taken unread."""
    found = {
        str(path.relative_to(ROOT))
        for room in ("db", "schema", "gateway")
        for path in ROOT.glob(f"{room}/adapters/*.py")
    }
    assert {path for path in found if not path.endswith("__init__.py")} == set(LIBRARIES)
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    wanted = {one.name: one.specifier for one in map(Requirement, asked)}
    for library in [name for names in LIBRARIES.values() for name in names]:
        major, minor, *_ = map(int, version(library).split("."))
        assert version(library) in wanted[library]
        further = f"{major + 1}.0" if major and library != "graphql-core" else f"{major}.{minor + 1}"
        assert further not in wanted[library], f"{library} {further} would be installed"


# -- asyncpg -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", [False, True])
async def test_asyncpg_turns_jit_off_where_it_is_not_kept_from_it(database: Database, left: bool) -> None:  # noqa: FBT001
    connection = await connect(database.admin_url)
    queries: list[str] = []
    try:
        await connection.execute("CREATE TYPE mood AS ENUM ('fair')")
        if left:
            leave_jit(connection)
        connection.add_query_logger(lambda query: queries.append(query.query))
        assert await connection.fetchval("SELECT 'fair'::mood") == "fair"
        await asyncio.sleep(0)  # loggers are called soon
    finally:
        await connection.close()
    assert any("typbasetype" in query for query in queries), "no type was asked for"
    assert any("set_config('jit'" in " ".join(query.split()) for query in queries) is not left


@pytest.mark.parametrize(
    ("base", "error"),
    [(asyncpg.Connection, AttributeError), (TerminableConnection, asyncpg.InterfaceError)],
    ids=["the driver's", "ours"],
)
async def test_asyncpg_is_terminated_between_two_steps(base: Any, error: type[Exception], database: Database) -> None:
    """Where the driver's own connection fails otherwise than a closed one, ours does not. Both are closed."""

    class Ended(base):  # type: ignore[misc]
        ended = False

        async def _get_statement(self, *args: Any, **options: Any) -> Any:
            found = await super()._get_statement(*args, **options)
            if self.ended:
                self.terminate()
            return found

    connection = await asyncpg.connect(database.gateway_url.replace("+asyncpg", "", 1), connection_class=Ended)
    assert await connection.fetchval("SELECT 1") == 1
    connection.ended = True
    with pytest.raises(error, match="closed" if base is TerminableConnection else "NoneType"):
        await connection.fetchval("SELECT 2")
    assert connection.is_closed()
    connection.terminate()
    await connection.close()
    with pytest.raises(asyncpg.InterfaceError, match="closed"):
        await connection.fetchval("SELECT 3")


async def test_asyncpg_keeps_statements_in_our_cache(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own bound and ours hold, whoever prepares; what is dropped is closed in the server, and what is used again
    is dropped later."""
    monkeypatch.setattr("db.adapters.asyncpg.STATEMENTS_SIZE", 300)
    dsn = database.gateway_url.replace("+asyncpg", "", 1)
    connection = await asyncpg.connect(
        dsn, connection_class=SessionConnection, statement_cache_size=5, max_cacheable_statement_size=200
    )

    async def kept() -> list[str]:
        asked = "SELECT statement FROM pg_prepared_statements"
        return sorted(row["statement"] for row in await connection.fetch(asked) if row["statement"] != asked)

    async def prepare(text: str) -> None:
        await (await connection.prepare(text)).fetch()

    long = {name: f"SELECT '{name * 80}'" for name in "abcd"}
    try:
        for run in (connection.fetch, prepare, connection.fetch):
            await run("SELECT 1")
            assert await kept() == ["SELECT 1"]
        for number in range(2, 9):
            await connection.fetch(f"SELECT {number}")
        assert len(await kept()) == 4, "five with the question itself"
        for name in "abacb":
            await (prepare if name == "b" else connection.fetch)(long[name])
        assert await kept() == [long["b"], long["c"]], "a has come before"
        await prepare(f"SELECT '{'x' * 200}'")
        await connection.fetch(f"SELECT '{'y' * 200}'")  # the driver closes what is let go when it makes another
        assert await kept() == [long["b"], long["c"]], "too large to be kept"
        await connection.reload_schema_state()
        assert await kept() == [], "all are dropped at once"
    finally:
        await connection.close()


async def test_asyncpg_begins_its_transactions_by_execute(database: Database) -> None:
    """Behind a pooler, settings go with BEGIN; and whatever is asked outside a transaction gets one of its own."""
    cls = connection_class({"work_mem": "123kB"}, read_only=True)
    dsn = database.gateway_url.replace("+asyncpg", "", 1)
    connection = await asyncpg.connect(dsn, connection_class=cls, statement_cache_size=0)
    asked = "SELECT current_setting('work_mem'), current_setting('transaction_read_only'), $1::text"
    try:
        expected = ("123kB", "on", "x")
        assert await connection.fetchrow(asked, "x") == expected
        assert await connection.fetch(asked, "x") == [expected]
        assert await connection.fetchval(asked, "x", column=1) == "on"
        assert await connection.execute(asked, "x") == "SELECT 1"
        async with connection.transaction():
            assert await (await connection.prepare(asked)).fetchrow("x") == expected
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.fetch("CREATE TABLE nowhere (id int)")
        assert not connection.is_in_transaction()
    finally:
        await connection.close()


# -- uvicorn -----------------------------------------------------------------------------------------------------------


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2)})
        self.written = b""
        self.protocol: Any = None

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol


async def _hello(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"hi"})


class Seen(adapter.HttpProtocol):
    """Notes which of its hooks are called."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.hooks: list[str] = []

    def answering(self, cycle: adapter.RequestResponseCycle, app: adapter.Application) -> adapter.Application:
        self.hooks.append(f"answer {cycle.scope['path']}")
        return super().answering(cycle, app)

    def becomes_socket(self) -> bool:
        self.hooks.append("socket")
        return False


async def _spoken(*parts: bytes) -> Seen:
    config = uvicorn.Config(_hello, interface="asgi3", lifespan="off", log_config=None)
    config.load()
    protocol = Seen(config, ServerState(), {})
    protocol.connection_made(Wire())
    for part in parts:
        protocol.data_received(part)
        await asyncio.sleep(0.01)
    return protocol


async def test_uvicorn_calls_the_hooks() -> None:
    protocol = await _spoken(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n", b"GET /b HTTP/1.1\r\nhost: a\r\n\r\n")
    assert protocol.hooks == ["answer /a", "answer /b"]
    wire: Any = protocol.transport
    assert wire.written.count(adapter.STATUS_LINE[200]) == 2
    assert protocol.cycle.response_complete
    assert protocol.timeout_keep_alive_task is not None
    protocol.stop_keep_alive()
    assert protocol.timeout_keep_alive_task is None


async def test_uvicorn_asks_whether_a_socket_is_opened() -> None:
    head = b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    assert "socket" in (await _spoken(head)).hooks


def _attributes(module: Any, of: str) -> Iterator[str]:
    """The attributes that a module's code reads or sets of what it calls so."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in {of, f"self._{of}", f"self.{of}"}:
            yield node.attr


async def test_uvicorn_has_what_the_connection_uses() -> None:
    """All that our connection takes from uvicorn's, and from the request that is answered on it."""
    protocol = await _spoken(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n")
    own = set(vars(http_protocol.ClientConnection))
    used = set(_attributes(http_protocol, "self")) - own - {"_app", "_cycle", "_connection"}
    assert len(used) > 10
    assert {name for name in used if not hasattr(protocol, name)} == set()
    of_cycle = set(_attributes(http_protocol, "cycle")) | set(_attributes(http_protocol, "_running"))
    assert len(of_cycle) > 10
    assert {name for name in of_cycle if not hasattr(protocol.cycle, name)} == set()


OVERRIDDEN = {
    http_protocol.ClientConnection: {
        "connection_made", "connection_lost", "data_received", "on_message_begin", "on_headers_complete",
        "on_message_complete", "pause_writing", "resume_writing", "on_response_complete", "timeout_keep_alive_handler",
        "answering", "becomes_socket",
    },
    transport.SocketProtocol: {
        "data_received", "handle_parser_exception", "handle_connect", "keepalive_timeout", "shutdown",
    },
    AnswerExecutor: {"complete_object_value", "complete_iterable_value"},
    MutationExecutor: {"execute_field"},
}  # fmt: skip


@pytest.mark.parametrize("cls", OVERRIDDEN, ids=lambda cls: cls.__name__)
def test_what_is_overridden_is_called_as_before(cls: type) -> None:
    base = cls.__mro__[1]
    for name in OVERRIDDEN[cls]:
        assert name in vars(cls)
        ours, theirs = (list(inspect.signature(getattr(one, name)).parameters) for one in (cls, base))
        assert ours == theirs, f"{base.__name__}.{name} takes {theirs}"


async def test_texts_are_framed_as_websockets_does() -> None:
    """Several in one write, as many as it may take; none while the peer does not read, or once the socket closes."""
    sizes = [0, 1, 125, 126, 2**16 - 1, 2**16, 1]
    texts = [b"x" * size for size in sizes]
    sent: list[tuple[int, bytes]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})

        def write(*some: bytes) -> None:
            wire.written = b""
            sent.append((scope["extensions"][transport.WRITE](some), wire.written))

        write(*texts)
        write(*texts[5:])
        write(texts[6])
        socket.pause_writing()
        write(texts[1])
        socket.resume_writing()
        write(texts[1])
        await send({"type": "websocket.close"})
        write(texts[1])

    wire: Any = Wire()
    config = uvicorn.Config(app, interface="asgi3", lifespan="off", log_config=None, ws_per_message_deflate=False)
    config.load()
    socket = transport.SocketProtocol(config, ServerState(), {})
    socket.connection_made(wire)
    head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    socket.data_received(f"{head}Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode())
    await asyncio.gather(*socket.tasks)
    frames = [Frame(Opcode.TEXT, text).serialize(mask=False) for text in texts]
    assert sent == [
        (5, b"".join(frames[:5])), (1, frames[5]), (1, frames[6]), (0, b""), (1, frames[1]), (0, b""),
    ]  # fmt: skip
    socket.connection_lost(None)
    assert socket.write(texts[:1]) == 0


async def test_uvicorn_has_what_the_socket_uses() -> None:
    config = uvicorn.Config(_hello, interface="asgi3", lifespan="off", log_config=None)
    config.load()
    socket = transport.SocketProtocol(config, ServerState(), {})
    socket.connection_made(Wire())
    used = set(_attributes(transport, "self"))
    assert {name for name in used if not hasattr(socket, name)} <= {"response", "scope", "close_timer"}
    for name in ("response", "scope", "close_timer"):  # which uvicorn knows from the handshake on
        assert f"self.{name}" in inspect.getsource(adapter.WebSocketProtocol), name
    assert {name for name in _attributes(transport, "conn") if not hasattr(socket.conn, name)} == set()


# -- Strawberry and graphql-core ---------------------------------------------------------------------------------------


def test_equal_annotations_of_classes_made_at_run_time_are_evaluated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated: list[object] = []
    evaluate = StrawberryAnnotation.evaluate

    def told(self: StrawberryAnnotation) -> type:
        evaluated.append(self.raw_annotation)
        return evaluate(self)

    monkeypatch.setattr(StrawberryAnnotation, "evaluate", told)
    made = []
    for name in ("One", "Two"):
        cls: Any = type(name, (), {})
        for field in ("a", "b"):
            setattr(cls, field, strawberry.field(description=field))
        annotate(cls, {"a": list[Decimal] | None, "b": list[Decimal] | None})
        made.append(strawberry.type(cls))
    query: Any = type("Query", (), {"one": strawberry.field(resolver=lambda: None, graphql_type=made[0] | None)})
    schema = StrawberrySchema(query=strawberry.type(query), types=made)
    assert evaluated.count(list[Decimal] | None) == 1
    assert {line.strip() for line in schema.as_str().splitlines() if ": [" in line} == {
        "a: [Decimal!]",
        "b: [Decimal!]",
    }


PLACES: list[tuple[str | None, str | None]] = []


@strawberry.type
class Leaf:
    @strawberry.field
    def name(self, info: strawberry.Info) -> str:
        before = info.path.prev
        while before is not None and before.typename is None:
            before = before.prev
        PLACES.append((info.path.typename, before and before.typename))
        return "n"


@strawberry.type
class Query:
    @strawberry.field
    def leaves(self) -> list[Leaf]:
        return [Leaf()]

    @strawberry.field
    def of(self, n: int = 3) -> int:
        return n


def test_strawberry_says_what_it_made() -> None:
    PLACES.clear()
    schema = StrawberrySchema(query=Query)
    assert isinstance(schema.graphql, GraphQLSchema)
    assert graphql_sync(schema.graphql, "{ l: leaves { name } }", Query()).data == {"l": [{"name": "n"}]}
    assert PLACES == [("Leaf", "Query")], "paths say the types of their parents"


def test_graphql_core_reads_variables_by_their_signatures() -> None:
    schema = StrawberrySchema(query=Query).graphql
    document = parse("query Q($n: Int! = 2) { of(n: $n) }")
    (operation,) = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    (definition,) = operation.variable_definitions or ()
    signature: Any = get_variable_signature(schema, definition)
    assert (signature.name, str(signature.type)) == ("n", "Int!")
    values = get_variable_values(schema, (definition,), {"n": 5})
    assert isinstance(values, VariableValues)
    assert values.coerced == {"n": 5}
    source: Any = values.sources["n"]
    assert isinstance(source, VariableValueSource)
    assert (source.signature.name, source.value) == ("n", 5)


def test_graphql_core_executes_fields_by_their_nodes() -> None:
    found: list[str] = []

    class Noting(Executor[Any]):
        def execute_field(self, parent_type: Any, source: Any, field_details_list: FieldDetailsList, *rest: Any) -> Any:
            found.append(f"{parent_type.name}.{field_details_list[0].node.name.value}")
            return super().execute_field(parent_type, source, field_details_list, *rest)

    graphql_sync(StrawberrySchema(query=Query).graphql, "{ a: of(n: 1) }", Query(), executor_class=Noting)
    assert found == ["Query.of"]


@pytest.mark.parametrize(
    ("pattern", "query", "found"),
    [
        ("UNKNOWN_FIELD", "{ wrong }", {"name": "wrong", "owner": "Query"}),
        ("UNKNOWN_ARGUMENT", "{ a(wrong: 1) }", {"name": "wrong", "owner": "Query", "field": "a"}),
        ("UNKNOWN_DIRECTIVE_ARGUMENT", "{ a @skip(wrong: 1) }", {"name": "wrong", "owner": "skip"}),
        ("UNKNOWN_INPUT_FIELD", "{ a(i: {wrong: 1}) }", {"name": "wrong", "owner": "I"}),
        ("UNKNOWN_TYPE", "query($v: Wrong) { a(i: $v) }", {"name": "Wrong"}),
        ("UNKNOWN_VALUE", "{ a(i: {e: WRONG}) }", {"name": "WRONG", "owner": "E"}),
        ("VALUE_AS_TEXT", '{ a(i: {e: "ONE"}) }', {"name": "ONE", "owner": "E"}),
    ],
)
def test_what_validation_says_of_unknown_names_is_read(pattern: str, query: str, found: dict[str, str]) -> None:
    """The words of its errors are no interface: a version that changes them costs suggestions, and is noticed here."""
    schema = build_schema("type Query { a(i: I): Int } input I { e: E } enum E { ONE TWO }")
    messages = [error.message for error in validate(schema, parse(query), hide_suggestions=True)]
    matches = [match for message in messages if (match := getattr(graphql_core, pattern).match(message))]
    assert matches, messages
    assert matches[0].groupdict() == found


def test_why_a_document_was_not_parsed_is_read() -> None:
    with pytest.raises(GraphQLSyntaxError) as many:
        parse("{ a b c }", max_lexical_tokens=3)
    with pytest.raises(GraphQLSyntaxError) as comments:
        parse("#\n" * 5 + "{ a }", max_comments=3)
    with pytest.raises(GraphQLSyntaxError) as deep:
        parse("{a" * 5_000 + "}" * 5_000)
    with pytest.raises(GraphQLSyntaxError) as other:
        parse("{ a ")
    raised = [many.value, comments.value, deep.value, other.value]
    assert [has_too_many_tokens(error) for error in raised] == [True, True, False, False]
    assert [is_nested_too_deeply(error) for error in raised] == [False, False, True, False]

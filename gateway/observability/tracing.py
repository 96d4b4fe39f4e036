"""Traces to OTLP: requests, operations over WebSocket, plans, transactions and statements.

The OTEL_* variables configure the exporter.

Imported only if traces are enabled. Spans follow the semantic conventions for HTTP, GraphQL and databases; values of
variables and parameters of statements are in no span.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib.metadata import version
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.semconv.attributes import db_attributes as db
from opentelemetry.semconv.attributes import (
    error_attributes,
    http_attributes,
    network_attributes,
    server_attributes,
    url_attributes,
)
from opentelemetry.trace import Span, SpanKind, StatusCode
from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from db.engine.errors import sqlstate
from gateway.operations.call import Call, RequestRecord
from gateway.operations.observers import AGENTS, Count, Observer
from gateway.operations.refusals import RefusedError
from gateway.settings import SettingsError

OPERATION_TYPE, OPERATION_NAME = "graphql.operation.type", "graphql.operation.name"
"""Attributes of the semantic conventions for GraphQL, whose module the library does not declare stable."""

_AROUND = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET", "SELECT set_config")
"""What commands around statements begin with: of transactions, savepoints and settings."""
TEXT = 4_000
"""Characters of a statement in a span."""


class _Headers(Getter[Mapping[str, Any]]):
    """Headers of an ASGI scope, for the W3C propagators of trace context and baggage."""

    def get(self, carrier: Mapping[str, Any], key: str) -> list[str] | None:
        wanted = key.lower().encode("latin-1")
        return [value.decode("latin-1") for name, value in carrier["headers"] if name == wanted] or None

    def keys(self, carrier: Mapping[str, Any]) -> list[str]:
        return [name.decode("latin-1") for name, _ in carrier["headers"]]


class Tracing(Observer):
    """Makes spans and exports them in batches, from a thread of its own.

    Raises:
        SettingsError: The variables name an unsupported protocol.
    """

    def __init__(self) -> None:
        protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        if protocol not in {None, "", "http/protobuf"}:
            raise SettingsError(f"OTEL_EXPORTER_OTLP_PROTOCOL: {protocol!r} is not supported; use http/protobuf")
        found = Resource.create()
        named = not str(found.attributes[SERVICE_NAME]).startswith("unknown_service")
        own = {SERVICE_VERSION: version("e2i-gateway")} | ({} if named else {SERVICE_NAME: "e2i-gateway"})
        self._provider = TracerProvider(resource=found.merge(Resource(own)))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("gateway", version("e2i-gateway"))
        self._headers = _Headers()

    def close(self) -> None:
        """Exports the remaining spans and stops. Blocking."""
        self._provider.shutdown()

    # -- requests --------------------------------------------------------------------------------------------------

    def app(self, app: ASGIApp, route: str) -> ASGIApp:
        """The application with a span around each request, whose parent is the client's."""
        return _Traced(app, route, self._tracer)

    @contextmanager
    def operation(self, call: Call) -> Iterator[None]:
        """A span around an operation over WebSocket; that of a subscription ends when it is set up."""
        connection = call.connection or {"headers": (), "path": "", "scheme": ""}
        attributes = {
            "e2i.request_id": call.id,
            network_attributes.NETWORK_PROTOCOL_NAME: "websocket",
            http_attributes.HTTP_ROUTE: connection["path"],
            url_attributes.URL_PATH: connection["path"],
            url_attributes.URL_SCHEME: connection["scheme"],
        }
        parent = propagate.extract(connection, getter=self._headers)
        span = self._tracer.start_span("GraphQL Operation", parent, SpanKind.SERVER, attributes)
        try:
            with _current(span):
                yield
        finally:
            span.end()

    @contextmanager
    def tool(self, call: Call, name: str) -> Iterator[None]:
        """A span around a call of a tool, within that of its request; over stdio it is a root span."""
        attributes = {
            "e2i.request_id": call.id,
            "mcp.method.name": "tools/call",
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
        }
        kind = SpanKind.INTERNAL if trace.get_current_span().is_recording() else SpanKind.SERVER
        span = self._tracer.start_span(f"tools/call {name}", kind=kind, attributes=attributes)
        try:
            with _current(span):
                yield
        except Exception as error:
            if code := getattr(error, "code", None):  # refusals of tools have a code; their messages may contain values
                span.set_attribute(error_attributes.ERROR_TYPE, str(code))
            raise
        finally:
            span.end()

    def planned(self, call: Call) -> None:
        """Adds a span for the planning of an operation."""
        if not trace.get_current_span().is_recording() or (plan := call.record.plan) is None:
            return
        ago = max(time.time_ns() - time.perf_counter_ns() for _ in range(3))  # interruptions make it smaller
        span = self._tracer.start_span("plan", start_time=ago + int(call.record.started * 1e9))
        span.set_attribute("e2i.plan", "loaders" if plan.statement is None else "compiled")
        span.end()

    def subscribed(self, call: Call) -> None:
        """Ends the span of a subscription, which itself goes on."""
        span = trace.get_current_span()
        self._describe(span, call.record)
        span.end()

    @contextmanager
    def messages(self, call: Call) -> Iterator[Count]:
        """A trace of its own for messages of a subscription, linked to the subscription's."""
        name = call.record.get("operation")
        attributes = {OPERATION_TYPE: "subscription", "e2i.request_id": call.id}
        attributes |= {OPERATION_NAME: name} if name else {}
        span = self._tracer.start_span(
            f"subscription {name} messages" if name else "subscription messages", Context(), SpanKind.SERVER,
            attributes, links=[trace.Link(trace.get_current_span().get_span_context())],
        )  # fmt: skip
        try:
            with _current(span):
                yield partial(span.set_attribute, "e2i.messages")
        except RefusedError as refused:
            span.set_attribute(error_attributes.ERROR_TYPE, str((refused.errors[0].extensions or {}).get("code")))
            raise
        finally:
            span.end()

    def finished(self, call: Call, transport: str, status: int) -> None:
        """Adds to the current span what became known of the request."""
        span = trace.get_current_span()
        if span.is_recording():
            self._describe(span, call.record, named=transport != AGENTS)
            if status >= 500:
                span.set_status(StatusCode.ERROR)

    def _describe(self, span: Span, record: RequestRecord, *, named: bool = True) -> None:
        """Sets a span's attributes; ``named``: its name becomes the operation's."""
        record["trace_id"] = trace.format_trace_id(span.get_span_context().trace_id)
        if kind := record.kind:
            name = record.get("operation")
            if named:
                span.update_name(f"{kind} {name}" if name else kind)
            span.set_attribute(OPERATION_TYPE, kind)
            if name:
                span.set_attribute(OPERATION_NAME, name)
        for key in ("cost", "statements", "rows", "compiled", "fallback"):
            if record.get(key) is not None:
                span.set_attribute(f"e2i.{key}", record[key])
        if codes := record.get("refused") or record.get("errors"):
            span.set_attribute("e2i.errors", [str(code) for code in codes])
            span.set_attribute(error_attributes.ERROR_TYPE, str(codes[0]))

    # -- the database ----------------------------------------------------------------------------------------------

    def transaction(self) -> AbstractContextManager[object]:
        """A span around a transaction, including the wait for a connection."""
        return self._tracer.start_as_current_span("transaction")

    def statements(self, engine: AsyncEngine) -> None:
        """A span for each statement of an engine, through SQLAlchemy or directly through the driver."""
        attributes = _of_database(engine.url)
        tracer = self._tracer

        def begin(_c: Any, _cursor: Any, sql: str, _values: Any, context: Any, _many: bool) -> None:  # noqa: FBT001
            context.traced = tracer.start_span(_name(sql), kind=SpanKind.CLIENT, attributes=attributes | _said(sql))

        def end(_c: Any, _cursor: Any, _sql: str, _values: Any, context: Any, _many: bool) -> None:  # noqa: FBT001
            context.traced.end()

        def fail(failed: Any) -> None:
            span: Span | None = getattr(failed.execution_context, "traced", None)
            if span is not None:
                _failed(span, failed.original_exception)
                span.end()

        def heard(query: Any) -> None:
            if query.query.startswith(_AROUND):
                return  # begins and ends of transactions, which have spans of their own
            now = time.time_ns()
            span = tracer.start_span(
                _name(query.query), kind=SpanKind.CLIENT, attributes=attributes | _said(query.query),
                start_time=now - int(query.elapsed * 1e9),
            )  # fmt: skip
            if query.exception is not None:
                _failed(span, query.exception)
            span.end(now)

        def connected(connection: Any, _record: Any) -> None:
            connection.driver_connection.add_query_logger(heard)

        event.listen(engine.sync_engine, "before_cursor_execute", begin)
        event.listen(engine.sync_engine, "after_cursor_execute", end)
        event.listen(engine.sync_engine, "handle_error", fail)
        event.listen(engine.sync_engine, "connect", connected)


class _Traced:
    """An ASGI application with a span around each request."""

    def __init__(self, app: ASGIApp, route: str, tracer: trace.Tracer) -> None:
        self._app = app
        self._route = route
        self._tracer = tracer
        self._headers = _Headers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        attributes = {
            http_attributes.HTTP_REQUEST_METHOD: scope["method"],
            http_attributes.HTTP_ROUTE: self._route,
            url_attributes.URL_PATH: scope["path"],
            url_attributes.URL_SCHEME: scope["scheme"],
        }
        name, parent = f"{scope['method']} {self._route}", propagate.extract(scope, getter=self._headers)
        with self._tracer.start_as_current_span(name, parent, SpanKind.SERVER, attributes) as span:

            async def seen(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _status(span, message)
                await send(message)

            await self._app(scope, receive, seen)


def _current(span: Span) -> AbstractContextManager[Span]:
    """Makes a span current; exception messages, which may contain values, are not recorded."""
    return trace.use_span(span, record_exception=False, set_status_on_exception=False)


def _status(span: Span, message: MutableMapping[str, Any]) -> None:
    span.set_attribute(http_attributes.HTTP_RESPONSE_STATUS_CODE, message["status"])
    if message["status"] >= 500:
        span.set_status(StatusCode.ERROR)
    for name, value in message.get("headers", ()):
        if name == b"x-request-id":
            span.set_attribute("e2i.request_id", value.decode("latin-1"))


def _of_database(url: URL) -> dict[str, Any]:
    found: dict[str, Any] = {db.DB_SYSTEM_NAME: "postgresql", db.DB_NAMESPACE: url.database or ""}
    if url.host:
        found |= {server_attributes.SERVER_ADDRESS: url.host, server_attributes.SERVER_PORT: url.port or 5432}
    return found


def _name(sql: str) -> str:
    return sql[:20].split(maxsplit=1)[0].upper() if sql.strip() else "SQL"


def _said(sql: str) -> dict[str, str]:
    return {db.DB_OPERATION_NAME: _name(sql), db.DB_QUERY_TEXT: sql[:TEXT]}


def _failed(span: Span, error: BaseException) -> None:
    """Records the class of an error and its SQLSTATE; its message may contain values."""
    span.set_attribute(error_attributes.ERROR_TYPE, type(error).__name__)
    if state := sqlstate(error):
        span.set_attribute(db.DB_RESPONSE_STATUS_CODE, state)
    span.set_status(StatusCode.ERROR)

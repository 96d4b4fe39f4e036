"""The Starlette application: lifespan, routes, and JSON bodies for refused requests."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy.engine import URL
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from db.engine.clock import CLOCK
from db.engine.connector import Connector
from db.engine.errors import translate
from db.engine.log_positions import Changes
from db.engine.marks import keep_marked
from db.engine.pool import dispose
from db.engine.stored_types import stored_types_of
from db.engine.timelines import Timelines
from db.engine.transaction import Transactions
from db.engine.url import target_of
from db.store.previews import PreviewStore
from gateway.auth.authentication import Authentication
from gateway.database import (
    count_again,
    engine_for,
    open_reads,
    warn_of_roles,
)
from gateway.http.assets import Assets
from gateway.http.endpoint import GraphQLEndpoint
from gateway.http.origins import cors, host_of, is_of_page, refuse_host
from gateway.http.record_endpoint import PREFIX, RecordEndpoint
from gateway.mcp.addresses import METADATA, PATH
from gateway.mcp.entry import McpEntry
from gateway.mcp.toolbox import Toolbox
from gateway.observability.gauges import caches, history, pools, readings, requests, rollup_units
from gateway.observability.health import Health
from gateway.observability.metrics import Metrics
from gateway.observability.request_log import RequestLog
from gateway.operations.current_state import StateUpkeep
from gateway.operations.embedding_service import check_library
from gateway.operations.housekeeping import Housekeeping
from gateway.operations.observers import Observer
from gateway.operations.persisted import document_registry, follow_table
from gateway.operations.rollups import RollupUpkeep
from gateway.operations.service import OperationService
from gateway.settings import Settings, SettingsError
from gateway.subscriptions.feed import ChangeFeed
from gateway.webhooks.managing import Webhooks
from gateway.webhooks.sender import WebhookSender
from gateway.websocket.protocol import WebSocketApp
from schema.error_codes import ErrorCode
from schema.schema import build

if TYPE_CHECKING:
    from gateway.observability.tracing import Tracing

log = logging.getLogger("gateway")

STATIC = Path(__file__).parent / "static"
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of pages: they load from this origin alone; Monaco, GraphiQL's editor, adds style
elements."""

FIXED = {"content-security-policy": CONTENT_POLICY, "x-content-type-options": "nosniff"}
"""Headers of every page and of what it loads."""

CONSOLE_PAGES = {
    **dict.fromkeys(("alerts", "models", "experiments", "twins", "deployments"), "lists"),
    "explorer": "explorer",
}
"""The console's pages beside its home, each with its built entry. They share one document, which renders by its path;
the entry's scripts are preloaded."""

_PROBES = frozenset({"/healthz", "/readyz"})
"""Paths of probes: they are answered under any Host, and send no data of the graph."""

_FOR_OUTCOMES = 2
"""Connections beyond one for each concurrent change: they read the outcome of a change whose connection was lost."""


class _Databases:
    """The connection pools of one gateway, and the services that read and change through them."""

    def __init__(self, settings: Settings, url: URL, tracing: Tracing | None, changed: Changes | None) -> None:
        self.timelines = Timelines()
        self.listener = Connector(target_of(settings.listen or url), self.timelines)
        pool, timelines = settings.pool_size, self.timelines
        self.engine = engine_for(settings, url, pool, timelines=timelines)
        stored = stored_types_of(self.engine)
        self.writer = engine_for(
            settings, url, pool, _FOR_OUTCOMES, read_only=False, timelines=timelines, stored=stored
        )
        self.reads = open_reads(settings, url, self.engine, changed)
        self.changes = Transactions(self.writer, pool, settings.turn_timeout)
        self.changes.tell_positions = bool(self.reads.standbys)
        self.engines = {"read": self.engine, "write": self.writer}
        for standby in self.reads.standbys:
            alone = len(self.reads.standbys) == 1
            self.engines["replica" if alone else f"replica {standby.name}"] = standby.engine
        if tracing is not None:
            self.changes.around = tracing.transaction
            for engine in self.engines.values():
                tracing.statements(engine)

    async def close(self) -> None:
        """Closes all connections."""
        await self.reads.close()
        await dispose(self.engine, self.writer)
        self.timelines.abandon()


def create_app(settings: Settings, url: URL, changed: Changes | None = None) -> Starlette:
    """The application over a database; its lifespan opens and closes the pool of connections.

    A database that cannot be reached does not keep the gateway from starting: until it can, ``/readyz`` reports it and
    every request gets a typed error. ``changed`` tells the other workers of this gateway about changes.

    Raises:
        TrustedDocumentsError: The trusted documents cannot be read.
        SettingsError: A library that the settings need is not installed.
    """
    check_library(settings)
    registry = document_registry(settings)
    tracing, request_log, health = _tracing(settings), RequestLog(settings), Health()
    observers: list[Observer] = [request_log] if tracing is None else [tracing, request_log]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        databases = _Databases(settings, url, tracing, changed)
        engine = databases.engine
        authentication = Authentication(settings, engine, databases.writer)
        feed = ChangeFeed(databases.listener, settings)
        schema = build(federated=settings.federation)
        service = OperationService(
            schema,
            databases.reads,
            databases.changes,
            feed,
            Webhooks(settings, databases.writer),
            settings,
            registry,
            observers,
        )
        endpoint = GraphQLEndpoint(service, authentication, settings)
        sockets = WebSocketApp(service, authentication, settings)
        box = Toolbox(schema, service, settings, PreviewStore(databases.writer))
        mcp = McpEntry(box, authentication, settings)
        app.state.engine, app.state.graphql, app.state.authentication = engine, service, authentication
        app.state.reads, app.state.feed, app.state.sockets = databases.reads, feed, sockets
        app.state.mcp = mcp
        app.state.answer_agents = mcp if tracing is None else tracing.app(mcp, PATH)
        door = RecordEndpoint(service, authentication, settings)
        app.state.record = door if tracing is None else tracing.app(door, f"{PREFIX}{{plural}}")
        app.state.events = endpoint.events
        assert isinstance(app, _Gateway)  # noqa: S101 - it is the one below
        app.answer = endpoint if tracing is None else tracing.app(endpoint, "/graphql")
        _measure(request_log.metrics, databases, service, sockets, feed)
        health.reports["listener"] = lambda: "ok" if feed.listens or not feed.subscribers else "does not listen"
        tasks = [
            asyncio.create_task(count_again(engine, service.learn_facts)),
            *_webhooks(WebhookSender(databases.listener, databases.writer, settings), settings, request_log.metrics),
            *await follow_table(engine, registry, service.documents, health.reports),
            *service.embeddings.prove(health.reports),
            asyncio.create_task(keep_marked(databases.writer)),
            asyncio.create_task(Housekeeping(databases.writer, settings).run()),
            *([asyncio.create_task(StateUpkeep(databases.writer).run())] if settings.uses_current_state else []),
            *_rollups(RollupUpkeep(databases.writer), settings, request_log.metrics),
        ]
        try:
            await service.shape.begin()
            await warn_of_roles(engine, settings)
        except Exception as error:  # noqa: BLE001 - any failure to connect or to inspect
            log.warning("the database cannot be reached yet: %s", translate(error))
        tasks.append(asyncio.create_task(service.shape.follow()))
        log.info("serving the database %s at %s", url.database, url.host or "the embedded server")
        try:
            yield
        finally:
            await mcp.close()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)  # messages being sent may finish
            for part in (health, feed, authentication, service, databases):
                await part.close()
            if tracing is not None:
                await asyncio.to_thread(tracing.close)

    app = _Gateway(settings, routes=_routes(settings), lifespan=lifespan, exception_handlers=_HANDLERS)
    app.state.metrics, app.state.health = request_log.metrics, health
    return app


def _measure(
    metrics: Metrics, databases: _Databases, service: OperationService, sockets: WebSocketApp, feed: ChangeFeed
) -> None:
    """Registers the gauges that are read at each scrape."""
    for tell in (
        pools(databases.engines, databases.changes),
        caches(service),
        readings(databases.reads),
        requests(service),
        history(databases.timelines),
    ):
        metrics.ask(tell)
    ahead = "Seconds by which the clock of the database is ahead of the host's."
    metrics.gauge("database_clock_ahead_seconds", ahead, lambda: CLOCK.ahead)
    metrics.gauge("sockets", "Open WebSockets.", lambda: len(sockets.open))
    metrics.gauge("subscriptions", "Active subscriptions.", lambda: feed.subscribers)


def _webhooks(sender: WebhookSender, settings: Settings, metrics: Metrics) -> list[asyncio.Task[None]]:
    """The task that sends webhooks, if this gateway sends them."""
    metrics.ask(sender.metrics)
    return [asyncio.create_task(sender.run())] if settings.webhooks else []


def _rollups(upkeep: RollupUpkeep, settings: Settings, metrics: Metrics) -> list[asyncio.Task[None]]:
    """The task that sums up rollups, if this gateway does."""
    metrics.ask(rollup_units(upkeep))
    return [asyncio.create_task(upkeep.run())] if settings.uses_rollups else []


def _routes(settings: Settings) -> list[BaseRoute]:
    agents: list[BaseRoute] = []
    if settings.mcp != "off":
        agents.append(Route(PATH, _Agents()))
        if settings.auth != ("none",):
            agents += [Route(METADATA + path, _resource_metadata) for path in ("", PATH)]
    return [
        *agents,
        Route("/", _home),
        WebSocketRoute("/graphql", _Socket()),
        *(Route(f"/{page}", _console) for page in CONSOLE_PAGES),
        Mount(PREFIX.removesuffix("/"), _Lines()),
        Route("/healthz", _healthz),
        Route("/readyz", _readyz),
        Route("/version", _version),
        Mount("/static", Assets(STATIC, FIXED)),
    ]


def _tracing(settings: Settings) -> Tracing | None:
    """The tracer, if traces are enabled.

    Raises:
        SettingsError: A library that traces need is missing.
    """
    if not settings.traces:
        return None
    try:
        from gateway.observability.tracing import Tracing  # noqa: PLC0415 - an extra, slow to import
    except ImportError as error:
        raise SettingsError(
            f"GATEWAY_TRACES: OpenTelemetry is not installed ({error}); install e2i-gateway[otel]"
        ) from error
    return Tracing()


async def _home(request: Request) -> Response:
    """The console for browsers; other clients are redirected to ``/graphql``."""
    if _is_browser(request):
        return _built_page("explorer", vary="accept")
    return RedirectResponse("/graphql", headers={"vary": "accept"})


class _Gateway(Starlette):
    """The application, with ``/graphql`` dispatched before the router: routing costs as much as a small query."""

    answer: ASGIApp
    """The endpoint of ``/graphql``; set once the connection pool is open."""

    def __init__(self, settings: Settings, **given: Any) -> None:
        super().__init__(**given)
        self._graphiql = settings.graphiql
        self._cors = cors(self._page_or_graph, settings) if settings.cors else None
        self._hosts = settings.known_hosts

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:  # type: ignore[override]
        return self._answers(scope)(scope, receive, send)

    def _answers(self, scope: Scope) -> ASGIApp:
        """The ASGI application for a request."""
        is_graph = scope["type"] == "http" and scope["path"] == "/graphql"
        if not is_graph and (scope["type"] == "lifespan" or scope["path"] in _PROBES):
            return super().__call__
        if self._hosts and host_of(scope) not in self._hosts:
            return refuse_host
        if not is_graph:
            return super().__call__
        if is_of_page(scope):
            return self._cors or self._page_or_graph
        return self.answer

    async def _page_or_graph(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._graphiql and scope["method"] == "GET" and _is_browser(Request(scope)):
            await _built_page("graphiql", vary="accept")(scope, receive, send)
        else:
            await self.answer(scope, receive, send)


class _Socket:
    """``/graphql`` over WebSocket, as an ASGI application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sockets: WebSocketApp = scope["app"].state.sockets
        await sockets(scope, receive, send)


class _Lines:
    """``/record/<plural>``, as an ASGI application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        door: ASGIApp = scope["app"].state.record
        await door(scope, receive, send)


class _Agents:
    """``/mcp``, as an ASGI application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: ASGIApp = scope["app"].state.answer_agents
        await answer(scope, receive, send)


async def _resource_metadata(request: Request) -> Response:
    """The metadata of ``/mcp`` for OAuth clients that have no token yet (RFC 9728)."""
    endpoint: McpEntry = request.app.state.mcp
    return await endpoint.metadata(request)


async def _console(request: Request) -> Response:
    """A page of the console other than its home; its scripts query ``/graphql`` like any client."""
    return _built_page("explorer", CONSOLE_PAGES[request.url.path.rpartition("/")[2]])


def _built_page(name: str, page: str = "index", **headers: str) -> Response:
    return FileResponse(STATIC / name / f"{page}.html", headers=FIXED | {"cache-control": "no-cache"} | headers)


def _is_browser(request: Request) -> bool:
    """Whether a browser opens the page: it accepts HTML, and the URL has no query."""
    wants_html = "text/html" in request.headers.get("accept", "")
    return wants_html and not request.query_params.keys() & {"query", "documentId", "extensions"}


async def _healthz(_request: Request) -> Response:
    """Liveness: the process runs."""
    return _json({"status": "ok"})


_YES, _NO = frozenset({"", "true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off"})


async def _readyz(request: Request) -> Response:
    """Readiness: whether requests can be answered; with ``changes``, whether changes can, too."""
    asked = request.query_params.get("changes", "false").lower()
    if asked not in _YES | _NO:
        return _json({"error": "changes: expected true or false, as in /readyz?changes=true"}, 400)
    health: Health = request.app.state.health
    state = request.app.state
    for_changes = asked in _YES
    status, body = await health.readiness(state.engine, state.graphql.planner, state.reads, for_changes=for_changes)
    return _json(body, status)


async def _version(_request: Request) -> Response:
    """The release, and the SHA-256 of the committed schema, which changes only with the schema."""
    return _json({"version": version("e2i-gateway"), "schema": _schema_digest()})


@cache
def _schema_digest() -> str:
    return hashlib.sha256(files("schema").joinpath("schema.graphql").read_bytes()).hexdigest()


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    code = {404: ErrorCode.NOT_FOUND, 405: ErrorCode.METHOD_NOT_ALLOWED}.get(error.status_code, ErrorCode.BAD_REQUEST)
    message = f"{error.detail}. The graph is at /graphql."
    body = {"errors": [{"message": message, "extensions": {"code": code}}]}
    return _json(body, error.status_code, error.headers)


async def _unexpected(_request: Request, _error: Exception) -> Response:
    body = {
        "errors": [{"message": "Something went wrong; it is in the log.", "extensions": {"code": ErrorCode.INTERNAL}}]
    }
    return _json(body, 500)


_HANDLERS = {HTTPException: _http_error, Exception: _unexpected}


def _json(body: object, status: int = 200, headers: object = None) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json", headers=headers)  # type: ignore[arg-type]

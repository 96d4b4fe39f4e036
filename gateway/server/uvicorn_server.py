"""A serving process: uvicorn on bound sockets, until a signal ends it."""

from __future__ import annotations

import asyncio
import logging
import select
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from sqlalchemy.engine import URL
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from db.engine.log_positions import Changes
from gateway.app import create_app
from gateway.http.headers import headers_of
from gateway.http.origins import host_of, refuse_host
from gateway.observability.metrics import exposition
from gateway.observability.worker_metrics import WorkerMetrics
from gateway.server.garbage import QuietCollections
from gateway.server.http_protocol import protocol
from gateway.settings import Settings
from gateway.websocket.transport import SocketProtocol

log = logging.getLogger("gateway")

LAST_REQUESTS = 0.5
"""Seconds after listening has ended in which open connections may still send requests."""


@dataclass(frozen=True)
class Worker:
    """A worker process: its index, the number of workers, and the folder of their sockets."""

    index: int = 0
    of: int = 1
    folder: Path | None = None


ALONE = Worker()


@dataclass(frozen=True)
class ListeningSockets:
    """The sockets of the graph and, if enabled, of the metrics."""

    graph: socket.socket
    metrics: socket.socket | None = None

    @property
    def all(self) -> list[socket.socket]:
        """The sockets that there are."""
        return [self.graph, *([self.metrics] if self.metrics else [])]


class ListenError(Exception):
    """Another program listens at a port that both had bound: the socket's ``place`` among those given."""

    def __init__(self, place: int, cause: OSError) -> None:
        super().__init__(cause.strerror or str(cause))
        self.place = place
        self.cause = cause


class MetricsRouter:
    """Serves ``/metrics``, and nothing else, at one address; the application at all others, without metrics.

    A reverse proxy connects to the other address, and cannot reach the metrics. ``address`` is that of the listening
    socket: a host, which may be a wildcard, and a port. The Host of scrapes is one of the graph's ``hosts`` (any, if
    there are none), or the address that they connect to, which no page can have as its origin.
    """

    def __init__(
        self, app: Starlette, address: tuple[str, int], hosts: frozenset[bytes], worker_metrics: WorkerMetrics
    ) -> None:
        self._app = app
        self._host, self._port = address
        self._hosts = hosts
        self._worker_metrics = worker_metrics

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        server = scope.get("server")
        if server and server[1] == self._port and self._is_here(server[0]):
            return self._tell(scope, receive, send)
        return self._app(scope, receive, send)

    def _is_here(self, host: str) -> bool:
        """Whether a connection to this local address was accepted by the metrics' socket."""
        return host == self._host or (self._host in _ALL_HOSTS and (":" in host) == (":" in self._host))

    async def _tell(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        own = f"[{host}]" if ":" in (host := scope["server"][0]) else host
        if self._hosts and host_of(scope) not in self._hosts | {own.lower().encode()}:
            await refuse_host(scope, receive, send)
        else:
            await (await self._answer(Request(scope)))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.url.path != "/metrics" or request.method not in {"GET", "HEAD"}:
            return Response("The metrics are at /metrics.\n", 404, media_type="text/plain")
        told, accept = await self._worker_metrics.told(), request.headers.get("accept", "")
        body, media = await asyncio.to_thread(exposition, told, accept)  # in a thread: it takes milliseconds
        return Response(body, headers={"content-type": media, "cache-control": "no-store"})


_ALL_HOSTS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound to


class _Forwarded:
    """uvicorn's middleware for headers of proxies, applied if there are any."""

    def __init__(self, app: ASGIApp, trusted: list[str] | str) -> None:
        self._app = app
        self._proxied: Any = ProxyHeadersMiddleware(app, trusted)  # type: ignore[arg-type]

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "lifespan" or _FORWARDED.isdisjoint(headers_of(scope)):
            return self._app(scope, receive, send)
        proxied: Awaitable[None] = self._proxied(scope, receive, send)
        return proxied


_FORWARDED = frozenset({b"x-forwarded-for", b"x-forwarded-proto"})


class Server(uvicorn.Server):
    """uvicorn with postponed garbage collections, and with a drain before its end."""

    def __init__(self, config: uvicorn.Config, app: Starlette, *, drain: float, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._app = app
        self._drain = drain
        self._on_start = on_start
        self._ends_at: float | None = None
        self._garbage = QuietCollections(lambda: app.state.graphql.limiter.taken > 0)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts the application, then listens: connections before that are refused, and retried elsewhere.

        Raises:
            ListenError: Another program listens at a port.
        """
        try:
            await super().startup(sockets)
        except OSError as error:
            await self.lifespan.shutdown()
            raise ListenError(len(self.servers), error) from error
        self._garbage.begin()  # the million objects of the schema are exempt from collections
        self._on_start()

    async def on_tick(self, counter: int) -> bool:
        self._garbage.tick()
        if not await super().on_tick(counter):
            return False
        if self._ends_at is None:
            self._ends_at = time.monotonic() + self._drain
            self._app.state.health.draining = True
        return self.force_exit or time.monotonic() >= self._ends_at

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops listening, answers requests on open connections, and asks clients in each response to close.

        If connections were closed at once, requests already in the kernel would be lost.
        """
        await _accept_pending(sockets or ())
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        self.server_state.default_headers.append((b"connection", b"close"))
        if self.started:  # WebSockets are closed separately; uvicorn would cut off their responses
            self._app.state.events.leave()
            await self._app.state.sockets.leave(self.config.timeout_graceful_shutdown or 0)
        until = time.monotonic() + LAST_REQUESTS
        while self.server_state.connections and time.monotonic() < until and not self.force_exit:  # noqa: ASYNC110 - uvicorn has no event
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)
        self._garbage.end()


async def _accept_pending(listeners: Sequence[socket.socket]) -> None:
    """Accepts pending connections: the loop accepts some at a time, and closing would reset the others.

    The loop of asyncio makes the transport of a connection one turn after it has accepted it, and not once its server
    is closed: the socket would never be closed.
    """
    queues = select.poll()
    for listener in listeners:
        queues.register(listener, select.POLLIN)
    until = time.monotonic() + LAST_REQUESTS
    await asyncio.sleep(0)
    while queues.poll(0) and time.monotonic() < until:  # noqa: ASYNC110 - the loop itself is waited for
        await asyncio.sleep(0)
    await asyncio.sleep(0)


def server_config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """The configuration of uvicorn."""
    config = uvicorn.Config(
        app,
        interface="asgi3",
        proxy_headers=False,
        loop="uvloop",
        http=protocol(settings.client_timeout),
        ws=SocketProtocol,
        ws_max_size=settings.max_body_bytes,
        ws_ping_interval=settings.ws_ping,
        ws_ping_timeout=settings.ws_ping,
        ws_per_message_deflate=False,  # its buffers would cost more memory than the rest of an idle socket
        log_config=None,
        access_log=False,
        server_header=False,  # the software is not disclosed
        timeout_keep_alive=settings.keep_alive,  # type: ignore[arg-type]  # a float, too
        timeout_graceful_shutdown=int(settings.request_timeout) + 1,
        lifespan="on",
    )
    config.app = _Forwarded(app, config.forwarded_allow_ips)
    return config


def run(
    settings: Settings,
    url: URL,
    sockets: ListeningSockets,
    *,
    on_start: Callable[[], None],
    asked_to_end: Callable[[], bool] = lambda: False,
    worker: Worker = ALONE,
) -> bool:
    """Serves until SIGINT or SIGTERM; returns whether it started.

    ``on_start`` is called once it listens; ``asked_to_end`` says whether a signal came before.
    """
    app = create_app(settings, url, Changes(worker.folder, worker.index, worker.of) if settings.replicas else None)
    served: ASGIApp = app
    worker_metrics = WorkerMetrics(worker.index, worker.of, worker.folder, app.state.metrics)
    if sockets.metrics:
        served = MetricsRouter(app, sockets.metrics.getsockname()[:2], settings.known_hosts, worker_metrics)
    config = server_config(served, settings)

    def started() -> None:
        server.should_exit = server.should_exit or asked_to_end()
        on_start()

    server = Server(config, app, drain=settings.drain, on_start=started)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(server, sockets.all, worker_metrics))
    return server.started


async def _serve(
    server: Server, sockets: Sequence[socket.socket], worker_metrics: AbstractAsyncContextManager[None]
) -> None:
    async with worker_metrics:
        await server.serve(list(sockets))

"""Opening connections: to a suitable host of a URL, within a timeout, and never to a former primary."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from db.adapters.asyncpg import TerminableConnection
from db.engine.errors import is_of_one_server
from db.engine.timelines import DivergedServerError, OutdatedServerError, Timelines
from db.engine.url import Host, Target

CONNECT_SECONDS = 5.0
"""The default timeout in seconds for opening a connection."""
LOOK_SECONDS = 1.5
"""Timeout in seconds of each host when all are asked for their timelines."""
STAGGER = 0.5
"""Seconds after which the next of several hosts is tried in parallel."""
TRIES = 4
"""The largest number of attempts to reach the required server at an address that leads to several."""


class UnreachableError(ConnectionError):
    """No connection could be opened; the message says to which hosts, and why."""


class AnotherServerError(ConnectionError):
    """An address led to a server other than the required one."""


Admit = Callable[[asyncpg.Connection], Awaitable[None]]
"""Checks a new connection; raises `AnotherServerError` if it must not be used."""


class Connector:
    """Opens the driver's connections to a target; the pools of one database share ``timelines``.

    ``admit`` is a further check of each connection.
    """

    def __init__(self, target: Target, timelines: Timelines | None = None, admit: Admit | None = None) -> None:
        self.target = target
        self.timelines = timelines or Timelines()
        self._admit = admit
        self._looked = False

    async def __call__(self, *_: Any, **arguments: Any) -> asyncpg.Connection:
        """A connection to the first suitable host; ``arguments`` are those of ``asyncpg.connect``.

        Raises:
            UnreachableError: No host answers in time, or the answer is not Postgres's protocol.
            OutdatedServerError: Only a former primary answers, or a server that lacks changes.
            asyncpg.PostgresError: The server refuses the connection.
        """
        if len(self.target.hosts) > 1 and not self._looked:
            self._looked = True
            await self.look(arguments)
        wanted = self.target.attributes
        failure: Exception = UnreachableError("there is no host")
        for attributes in ("standby", "any") if wanted == "prefer-standby" else (wanted,):
            try:
                return await self._open_first(attributes, arguments)
            except (OSError, asyncpg.PostgresError) as error:
                if not is_of_one_server(error):
                    raise
                failure = error
        raise failure

    async def _open_first(self, attributes: str, arguments: dict[str, Any]) -> asyncpg.Connection:
        """A connection to the first suitable host, in order; the next one is tried after `STAGGER` seconds.

        While a host does not answer, the others are retried: it may be a former primary, and one of them its successor.
        """
        hosts, refused, failure = deque(self.target.hosts), list[Host](), None
        opening: dict[asyncio.Task[asyncpg.Connection], Host] = {}
        first: set[asyncio.Task[asyncpg.Connection]] = set()
        try:
            while hosts or opening:
                if hosts:
                    host = hosts.popleft()
                    task = asyncio.create_task(self._open(host, attributes, arguments))
                    opening[task] = host
                    if len(first) < len(self.target.hosts):
                        first.add(task)
                done, _ = await asyncio.wait(opening, timeout=STAGGER, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    host, failed = opening.pop(task), task.exception()
                    if failed is None or not is_of_one_server(failed):
                        return task.result()
                    failure = failure if isinstance(failure, DivergedServerError) else failed
                    refused.append(host)
                if not hosts and not done and not first.isdisjoint(opening):
                    hosts.extend(refused)
                    refused.clear()
        finally:
            for task in opening:
                task.add_done_callback(_close_unused)
                task.cancel()
        raise failure or UnreachableError("there is no host")

    async def look(self, arguments: dict[str, Any] | None = None) -> None:
        """Reads the timeline of each of several hosts, so that a former primary among them is detected."""
        if len(self.target.hosts) > 1:
            await asyncio.gather(*(self._ask(host, arguments or {}) for host in self.target.hosts))

    async def _ask(self, host: Host, arguments: dict[str, Any]) -> None:
        plain = {name: value for name, value in arguments.items() if name in {"user", "password", "database"}}
        try:
            connection = await self._open(host, "any", plain | {"timeout": LOOK_SECONDS, "statement_cache_size": 0})
        except (OSError, asyncpg.PostgresError):
            return
        connection.terminate()

    async def _open(self, host: Host, attributes: str, arguments: dict[str, Any]) -> asyncpg.Connection:
        """A connection to a host; retried, `TRIES` times in all, if the address leads to another server."""
        for _ in range(TRIES - 1):
            try:
                return await self._open_once(host, attributes, arguments)
            except AnotherServerError:
                continue
        return await self._open_once(host, attributes, arguments)

    async def _open_once(self, host: Host, attributes: str, arguments: dict[str, Any]) -> asyncpg.Connection:
        name, port = host
        given: dict[str, Any] = {
            "timeout": CONNECT_SECONDS, "connection_class": TerminableConnection, **arguments, **self.target.arguments,
        }  # fmt: skip
        given |= {"host": name, "port": port, "target_session_attrs": attributes}
        if self.target.timeout is not None and arguments.get("timeout") != LOOK_SECONDS:
            given["timeout"] = self.target.timeout
        where = f"{name or 'this host'}{f':{port}' if port else ''}"
        try:
            async with asyncio.timeout(given["timeout"]):
                connection = await asyncpg.connect(**given)
                try:
                    await self.timelines.admit(connection, where)
                    if self._admit is not None:
                        await self._admit(connection)
                except BaseException:
                    connection.terminate()
                    raise
        except OutdatedServerError as error:
            raise type(error)(f"{where}: {error}") from error
        except AnotherServerError:
            raise
        except TimeoutError as error:
            raise UnreachableError(f"{where} did not answer within {given['timeout']:g} s") from error
        except asyncpg.TargetServerAttributeNotMatched as error:
            raise UnreachableError(f"{where} is up, and not {attributes}") from error
        except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError, ValueError, EOFError) as error:
            why = str(error) or type(error).__name__
            raise UnreachableError(why if where.split(":", 1)[0] in why else f"{where}: {why}") from error
        return connection


def _close_unused(task: asyncio.Task[asyncpg.Connection]) -> None:
    """Closes a connection that was opened in parallel and is not used."""
    if not task.cancelled() and task.exception() is None:
        task.result().terminate()


CONNECTOR = "gateway_connector"
"""The engine's execution option for its connector."""


def connector_of(engine: AsyncEngine) -> Connector:
    """The connector of an engine."""
    connector: Connector = engine.sync_engine.get_execution_options()[CONNECTOR]
    return connector

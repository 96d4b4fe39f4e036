"""Operations over a socket: queries and mutations as over HTTP, and subscriptions, message by message."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Literal
from uuid import uuid4

import orjson
from graphql import ExecutionResult, GraphQLError, OperationType
from starlette.types import Scope

from db.errors import DatabaseUnavailableError, OverloadedError
from gateway.auth.authentication import UnauthenticatedError
from gateway.context import Caller
from gateway.http.endpoint import Begun, Call, GraphQLEndpoint
from gateway.observability.logging import request_id as current_request_id
from gateway.operations.errors import Reporter
from gateway.operations.refusals import RefusedError
from gateway.settings import Settings
from gateway.subscriptions.feed import Feed
from gateway.subscriptions.stream import Told, follow
from schema.subscriptions import Topic, encode, told

TOGETHER = 50
"""Changes whose rows are read together."""
AT_ONCE = 4
"""Readings side by side; queries have the pool of connections too."""
KEPT_SECONDS = 1.0
"""How long others can have what was read, since a moment later the rows may be others."""
FIRST_DELAY, LAST_DELAY = 0.1, 5.0
"""Seconds between two attempts to read what a message holds: the first, and at most."""

Message = tuple[Literal["next", "error"], bytes]
Authenticate = Callable[[], Awaitable[Caller]]


def errors(*found: GraphQLError) -> list[dict[str, Any]]:
    """Errors as they are sent, of a request that nothing was run of."""
    return [Reporter("").public(error) for error in found]


class Operations:
    """Runs operations that come over sockets."""

    def __init__(self, graphql: GraphQLEndpoint, feed: Feed, settings: Settings) -> None:
        self.graphql = graphql
        self.feed = feed
        self.settings = settings
        self.readings = Readings()

    async def begin(self, payload: dict[str, Any], authenticate: Authenticate, scope: Scope) -> SocketOperation:
        """An operation that is ready to run, or to say why it is not; ``scope`` is that of its socket."""
        id_ = uuid4().hex
        current_request_id.set(id_)
        call = Call(id_)
        call.by_socket = True
        call.entry.started = time.perf_counter()
        begun: Begun | RefusedError
        try:
            call.caller = await authenticate()
            begun = await self.graphql.begin(payload, call, scope)
        except UnauthenticatedError as error:
            begun = RefusedError(error.status, error)
        except RefusedError as refused:
            begun = refused
        return self._made(begun, call, authenticate)

    def _made(self, begun: Begun | RefusedError, call: Call, authenticate: Authenticate) -> SocketOperation:
        return SocketOperation(self, begun, call, authenticate)


class Readings:
    """What messages hold is read a few at a time, and once for all subscribers that are told the same."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._kept: dict[Hashable, asyncio.Future[Sequence[ExecutionResult]]] = {}

    async def get(
        self, key: Hashable, read: Callable[[], Awaitable[Sequence[ExecutionResult]]]
    ) -> Sequence[ExecutionResult]:
        """What ``read`` returns, or has returned a moment ago to somebody with the same key."""
        reading = self._kept.get(key)
        if reading is None:
            reading = self._kept[key] = asyncio.ensure_future(self._in_turn(read))
            reading.add_done_callback(self._done)
            asyncio.get_running_loop().call_later(KEPT_SECONDS, self._forget, key, reading)
        try:
            results = await asyncio.shield(reading)  # whoever leaves does not take it from the others
        except Exception:
            self._forget(key, reading)
            raise
        if any(result.errors for result in results):
            self._forget(key, reading)
        return results

    async def _in_turn(self, read: Callable[[], Awaitable[Sequence[ExecutionResult]]]) -> Sequence[ExecutionResult]:
        async with self._turns:
            return await read()

    def _done(self, reading: asyncio.Future[Sequence[ExecutionResult]]) -> None:
        if not reading.cancelled():
            reading.exception()  # of which nobody may be left to hear

    def _forget(self, key: Hashable, reading: asyncio.Future[Sequence[ExecutionResult]]) -> None:
        if self._kept.get(key) is reading:
            del self._kept[key]


class SocketOperation:
    """One operation; ``lasts`` says whether it is a subscription."""

    def __init__(self, around: Operations, begun: Begun | RefusedError, call: Call, authenticate: Authenticate) -> None:
        self.lasts = isinstance(begun, Begun) and begun.known.definition.operation is OperationType.SUBSCRIPTION
        self._graphql = around.graphql
        self._readings = around.readings
        self._feed = around.feed
        self._settings = around.settings
        self._begun = begun
        self._call = call
        self._authenticate = authenticate
        self._status = 200

    async def messages(self) -> AsyncGenerator[Message]:
        """What is sent: answers as JSON, or the errors for which there are none, which end it."""
        entry = self._call.entry
        entry["messages"] = 0
        try:
            if isinstance(self._begun, RefusedError):
                raise self._begun
            async with aclosing(self._bodies(self._begun)) as bodies:
                async for body in bodies:
                    entry["messages"] += 1
                    yield "next", body
        except RefusedError as refused:
            yield self._refusal(refused.errors, refused.status)
        except GraphQLError as error:
            yield self._refusal([error])
        except DatabaseUnavailableError as error:
            yield self._refusal([GraphQLError(str(error), original_error=error)], 503)
        finally:
            entry["milliseconds"] = round((time.perf_counter() - entry.started) * 1000, 2)
            self._graphql.watch.finished("WEBSOCKET", self._status, self._call.id, entry)

    def _refusal(self, found: Sequence[GraphQLError], status: int = 400) -> Message:
        public = [self._call.reporter.public(error) for error in found]
        self._status = status
        self._call.entry["refused"] = [error["extensions"]["code"] for error in public]
        return "error", orjson.dumps(public)

    async def _bodies(self, begun: Begun) -> AsyncGenerator[bytes]:
        if not self.lasts:
            yield orjson.dumps(await self._graphql.finish(begun, self._call))
            return
        topic, arguments = self._graphql.followed(begun, self._call)
        matches = topic.asks(self._graphql.catalogue, arguments)

        def concerns(facts: Mapping[str, str | None]) -> bool:
            return matches(facts) and self._graphql.tells(facts, self._call)

        together = self._graphql.affordable(begun, TOGETHER)
        changes = follow(
            self._feed, topic.name, arguments.get("after"), concerns, self._settings.live_hours, self._following
        )
        async with aclosing(changes):
            async for some in changes:
                for start in range(0, len(some), together):
                    for result in await self._resolved(begun, topic, some[start : start + together]):
                        self._graphql.has_told(self._call, self._feed.written)
                        yield self._body(result)

    def _following(self) -> None:
        """A subscription is set up, and changes are told from now on."""

    async def _resolved(self, begun: Begun, topic: Topic, some: Sequence[Told]) -> Sequence[ExecutionResult]:
        """The messages of some changes; while the database is away, or the caller's budget is, they wait.

        Who asks is looked at each time, and nobody is told before that is known.

        Raises:
            RefusedError: They cannot be read in time, or cost more than there ever is.
        """
        delay = FIRST_DELAY
        paid = False
        while True:
            try:
                self._call.caller = await self._authenticate()
                if not paid:
                    await self._graphql.pay(begun, len(some), self._call)
                    paid = True
                results = await self._read(begun, topic, some)
            except RefusedError as refused:
                wait = float(refused.headers.get("retry-after", 0))
                if not wait:
                    raise
            except (DatabaseUnavailableError, OverloadedError, UnauthenticatedError):
                wait = delay
            else:
                if not any(_is_away(error) for result in results for error in result.errors or ()):
                    return results
                wait = delay
            await asyncio.sleep(wait)
            delay = min(delay * 2, LAST_DELAY)

    async def _read(self, begun: Begun, topic: Topic, some: Sequence[Told]) -> Sequence[ExecutionResult]:
        keys = [str(change.facts[topic.fact]) for change, _ in some if change is not None]
        visible = await self._graphql.visible(topic, keys, self._call) if keys else ()
        roots = [
            told(change, encode(place))
            for change, place in some
            if change is None or change.facts[topic.fact] in visible
        ]
        if not roots:
            return ()
        key = self._graphql.sameness(begun, self._call), tuple(root["cursor"] for root in roots)
        return await self._readings.get(key, partial(self._graphql.messages, begun, roots, self._call))

    def _body(self, result: ExecutionResult) -> bytes:
        body: dict[str, Any] = {"data": result.data}
        if result.errors:
            body["errors"] = [self._call.reporter.public(error) for error in result.errors]
        return orjson.dumps(body)


def _is_away(error: GraphQLError) -> bool:
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return isinstance(cause, DatabaseUnavailableError | OverloadedError)

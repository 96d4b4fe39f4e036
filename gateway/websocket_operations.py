"""Operations over a socket: queries and mutations as over HTTP, and subscriptions, message by message."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, Literal
from uuid import uuid4

import orjson
from graphql import ExecutionResult, GraphQLError, OperationType

from db.engine import DatabaseUnavailableError, OverloadedError
from gateway.asked import RefusedError, checked
from gateway.context import Caller
from gateway.endpoint import WEBSOCKET, GraphQLEndpoint, Prepared
from gateway.errors import Reporter, request_error
from gateway.following import Told, follow
from gateway.live import Feed
from gateway.settings import Settings
from gateway.telemetry import request_id as current_request_id
from gateway.telemetry import request_line
from schema.errors import GatewayError
from schema.subscriptions import encode, told

log = logging.getLogger("gateway.request")

TOGETHER = 50
"""Changes whose rows are read together."""
FIRST_DELAY, LAST_DELAY = 0.1, 5.0

Message = tuple[Literal["next", "error"], bytes]
Authenticate = Callable[[], Awaitable[Caller]]


def errors(*found: GraphQLError) -> list[dict[str, Any]]:
    """Errors as they are sent, of a request that nothing was run of."""
    return [Reporter("").public(error) for error in found]


class Operations:
    """Runs operations that come over sockets."""

    def __init__(self, graphql: GraphQLEndpoint, feed: Feed, settings: Settings) -> None:
        self._graphql = graphql
        self._feed = feed
        self._settings = settings

    async def begin(self, payload: dict[str, Any], authenticate: Authenticate) -> SocketOperation:
        """An operation that is ready to run, or to say why it is not."""
        caller = await authenticate()
        prepared: Prepared | RefusedError
        try:
            prepared = self._graphql.prepare(checked(payload), WEBSOCKET)
        except RefusedError as refused:
            prepared = refused
        return SocketOperation(self._graphql, self._feed, self._settings, prepared, caller, authenticate)


class SocketOperation:
    """One operation; ``lasts`` says whether it is a subscription."""

    def __init__(
        self,
        graphql: GraphQLEndpoint,
        feed: Feed,
        settings: Settings,
        prepared: Prepared | RefusedError,
        caller: Caller,
        authenticate: Authenticate,
    ) -> None:
        self.lasts = (
            isinstance(prepared, Prepared) and prepared.known.definition.operation is OperationType.SUBSCRIPTION
        )
        self._graphql = graphql
        self._feed = feed
        self._settings = settings
        self._prepared = prepared
        self._caller = caller
        self._authenticate = authenticate
        self._id = uuid4().hex
        self._reporter = Reporter(self._id)
        self._status = 200

    async def messages(self) -> AsyncGenerator[Message]:
        """What is sent: answers as JSON, or the errors for which there are none, which end it."""
        current_request_id.set(self._id)
        started = time.perf_counter()
        entry: dict[str, Any] = {"messages": 0}
        try:
            if isinstance(self._prepared, RefusedError):
                raise self._prepared
            if self.lasts:
                async with aclosing(self._followed(self._prepared, entry)) as bodies:
                    async for body in bodies:
                        entry["messages"] += 1
                        yield "next", body
            else:
                _, body = await self._graphql.answer(self._prepared, self._caller, self._reporter, self._id, entry)
                entry["messages"] = 1
                yield "next", body
        except RefusedError as refused:
            yield self._refusal(refused.errors, entry)
        except GatewayError as error:
            yield self._refusal([error], entry)
        except DatabaseUnavailableError as error:
            yield self._refusal([GraphQLError(str(error), original_error=error)], entry)
        finally:
            entry["milliseconds"] = round((time.perf_counter() - started) * 1000, 2)
            request_line(log, WEBSOCKET, self._status, self._id, entry)

    def _refusal(self, found: Sequence[GraphQLError], entry: dict[str, Any]) -> Message:
        public = [self._reporter.public(error) for error in found]
        self._status = 400
        entry["refused"] = [error["extensions"]["code"] for error in public]
        return "error", orjson.dumps(public)

    # -- subscriptions ---------------------------------------------------------------------------------------------

    async def _followed(self, prepared: Prepared, entry: dict[str, Any]) -> AsyncGenerator[bytes]:
        """The messages of a subscription.

        Raises:
            GatewayError: An argument cannot be used, or nothing can be followed.
            RefusedError: A message took too long; its cursor was not sent, so that it comes again.
        """
        entry |= {"operation": (prepared.asked.operation_name or "")[:80] or None, "cost": prepared.cost}
        topic, selection = self._graphql.followed(prepared)
        after = selection.arguments.get("after")
        matches = topic.asks(self._graphql.catalogue, selection.arguments)
        changes = follow(self._feed, topic.name, after, matches, self._settings.live_hours)
        async with aclosing(changes):
            async for some in changes:
                for start in range(0, len(some), TOGETHER):
                    caller = await self._authenticate()
                    for result in await self._resolved(prepared, some[start : start + TOGETHER], caller):
                        yield self._body(result)

    async def _resolved(self, prepared: Prepared, some: Sequence[Told], caller: Caller) -> list[ExecutionResult]:
        """The messages of some changes; where the database is away, when it is back."""
        roots = [told(change, encode(place)) for change, place in some]
        delay = FIRST_DELAY
        while True:
            try:
                results = await self._graphql.messages(prepared, roots, caller, self._id)
            except TimeoutError:
                seconds = self._settings.request_timeout
                message = f"A message took longer than {seconds:g} seconds to read. Select less, and subscribe again."
                raise RefusedError(504, request_error("REQUEST_TIMEOUT", message, limit=seconds)) from None
            if not any(_is_away(error) for result in results for error in result.errors or ()):
                return results
            await asyncio.sleep(delay)
            delay = min(delay * 2, LAST_DELAY)

    def _body(self, result: ExecutionResult) -> bytes:
        body: dict[str, Any] = {"data": result.data}
        if result.errors:
            body["errors"] = [self._reporter.public(error) for error in result.errors]
        return orjson.dumps(body)


def _is_away(error: GraphQLError) -> bool:
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return isinstance(cause, DatabaseUnavailableError | OverloadedError)

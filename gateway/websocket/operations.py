"""Operations over a WebSocket: queries and mutations as over HTTP, and subscriptions message by message."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, aclosing
from typing import Any, Literal
from uuid import uuid4

import orjson
from graphql import GraphQLError
from starlette.types import Scope

from db.engine.errors import DatabaseUnavailableError
from gateway.auth.authentication import UnauthenticatedError
from gateway.context import Caller
from gateway.observability.logging import request_id as current_request_id
from gateway.operations.call import Call
from gateway.operations.errors import Reporter
from gateway.operations.planner import PlannedOperation
from gateway.operations.refusals import RefusedError
from gateway.operations.service import OperationService

Messages = tuple[Literal[b"next", b"error"], Sequence[bytes]]
"""The type of some messages, and their payloads as JSON."""
Authenticate = Callable[[], Awaitable[Caller]]


def errors(*found: GraphQLError) -> list[dict[str, Any]]:
    """Errors of a request that was not executed, as they are sent."""
    return [Reporter("").public(error) for error in found]


class SocketOperation:
    """One operation on a socket with the ASGI scope ``scope``; all its work is inside `observed`."""

    lasts = False
    """Whether it is a subscription."""

    def __init__(self, service: OperationService, authenticate: Authenticate, scope: Scope) -> None:
        self._service = service
        self._call = Call(uuid4().hex)
        self._call.connection = scope
        self._call.authenticate = self._authenticate = authenticate
        self._begun: PlannedOperation | RefusedError
        self._status = 200

    def observed(self) -> AbstractContextManager[None]:
        """Surrounds all its work for observers."""
        return self._service.operation(self._call)

    async def begin(self, payload: dict[str, Any] | RefusedError) -> None:
        """Prepares it, or the errors that refuse it; the refusal of a payload that cannot be read is given."""
        call = self._call
        current_request_id.set(call.id)
        try:
            call.caller = await self._authenticate()
            if isinstance(payload, RefusedError):
                raise payload
            self._begun = await self._service.begin(self._service.parameters(payload), call)
            self.lasts = self._service.streams(self._begun)
        except UnauthenticatedError as error:
            self._begun = RefusedError(error.status, error)
        except RefusedError as refused:
            self._begun = refused

    async def messages(self) -> AsyncGenerator[Messages]:
        """The messages to send, those that are there at once together: results, or errors that end it."""
        record = self._call.record
        record["messages"] = 0
        try:
            if isinstance(self._begun, RefusedError):
                raise self._begun
            if not self.lasts:
                body = (await self._service.answer(self._begun, self._call)).as_json()
                record["messages"] = 1
                yield b"next", [body]
                return
            async with aclosing(self._service.messages(self._begun, self._call)) as results:
                async for some in results:
                    record["messages"] += len(some)
                    yield b"next", [result.as_json(self._call) for result in some]
        except RefusedError as refused:
            yield self._refusal(refused.errors, refused.status)
        except GraphQLError as error:
            yield self._refusal([error])
        except DatabaseUnavailableError as error:
            yield self._refusal([GraphQLError(str(error), original_error=error)], 503)
        finally:
            record["milliseconds"] = round((time.perf_counter() - record.started) * 1000, 2)
            self._service.finished(self._call, "WEBSOCKET", self._status)

    def _refusal(self, found: Sequence[GraphQLError], status: int = 400) -> Messages:
        public = [self._call.reporter.public(error) for error in found]
        self._status = status
        self._call.record["refused"] = [error["extensions"]["code"] for error in public]
        return b"error", [orjson.dumps(public)]

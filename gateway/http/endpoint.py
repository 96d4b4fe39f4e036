"""The GraphQL-over-HTTP endpoint: requests, responses, statuses and headers by the specification."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from random import getrandbits
from typing import Any

import orjson
from graphql import GraphQLError
from starlette.types import Receive, Scope, Send

from gateway.auth.authentication import Authentication, UnauthenticatedError
from gateway.context import ANONYMOUS
from gateway.http.events import EventStreams
from gateway.http.headers import Headers, headers_of
from gateway.http.request import RequestReader, disconnected
from gateway.http.response import (
    EVENTS,
    GRAPHQL_RESPONSE,
    WholeSend,
    encoding,
    entity_tag,
    is_known,
    negotiate,
    packed,
    respond,
    respond_in_parts,
    respond_unchanged,
)
from gateway.observability.logging import request_id as current_request_id
from gateway.operations import table_formats
from gateway.operations.answer import Answer
from gateway.operations.call import Call
from gateway.operations.deadline import Deadline, DisconnectedError
from gateway.operations.planner import PlannedOperation
from gateway.operations.refusals import RefusedDocumentError, RefusedError, request_error
from gateway.operations.request import Parameters
from gateway.operations.service import OperationService
from gateway.settings import Settings
from schema.error_codes import ErrorCode
from schema.errors import GatewayError

Body = dict[str, Any] | list[dict[str, Any]]


class HTTPCall(Call):
    """A request over HTTP."""

    by_get = False
    by_events = False
    """Whether the response is an event stream, which may have no end."""
    heard = False
    """Whether the request's body was read, or discarded."""

    def admit(self, kind: str) -> None:
        """Refuses mutations by GET, and subscriptions other than as event streams."""
        if kind == "subscription":
            if self.by_events:
                return
            raise RefusedDocumentError(GatewayError(ErrorCode.SUBSCRIPTION_OVER_HTTP))
        if self.by_get:
            message = f"A {kind} changes something and cannot be sent by GET; use POST."
            raise RefusedError(405, request_error(ErrorCode.METHOD_NOT_ALLOWED, message), allow="POST")


class GraphQLEndpoint:
    """Answers requests to ``/graphql``."""

    def __init__(self, service: OperationService, authentication: Authentication, settings: Settings) -> None:
        self._service = service
        self._authentication = authentication
        self._settings = settings
        self._reader = RequestReader(settings)
        self.events = EventStreams(service, authentication, settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = f"{getrandbits(128):032x}"  # identifies a request; not a secret
        current_request_id.set(request_id)
        given = headers_of(scope)
        call = HTTPCall(request_id)
        call.connection = scope
        call.by_get = scope["method"] == "GET"
        media = GRAPHQL_RESPONSE
        answer: Body
        try:
            if accept := given.get(b"accept"):
                asked = negotiate(accept)
                if asked == EVENTS:
                    await self._events(scope, given, receive, send, call)
                    return
                if asked in table_formats.FORMATS:
                    await self._table(scope, given, receive, send, call, asked)
                    return
                media = asked
            status, answer = await self._run(scope, given, receive, send, call)
        except RefusedError as error:
            status, answer = error.status_as(media), _refused(error, call)
            call.headers |= error.headers
        except UnauthenticatedError as error:
            status, answer = error.status, {"errors": [call.reporter.public(error)]}
            call.headers |= error.headers
            call.record["refused"] = [error.code]
        except DisconnectedError:
            status, answer = 499, {}
            call.record["gone"] = True
        except Exception as error:  # noqa: BLE001 - any error: the client gets a response, the log the details
            status, answer = 500, {"errors": [call.reporter.public(_as_graphql(error))]}
            status = _STATUS.get(answer["errors"][0]["extensions"]["code"], status)
        if status == 503:
            call.headers.setdefault("retry-after", "1")
        if not call.heard:
            await self._reader.linger(receive)
        await self._send(scope, given, send, call, status, orjson.dumps(answer), media)

    async def _send(
        self, scope: Scope, given: Headers, send: Send, call: HTTPCall, status: int, body: bytes, media: str
    ) -> None:
        """Sends a response in the accepted encoding, and notifies observers."""
        known = call.by_get and is_known(call.headers.get("etag"), given.get(b"if-none-match"))
        least = self._settings.compress_bytes
        accept = given.get(b"accept-encoding")
        if accept and len(body) >= least > 0 and not known and (how := encoding(accept)):
            body = await packed(body, how)
            call.headers["content-encoding"] = how
        self._finished(scope, call, 304 if known else status)
        if known:
            await respond_unchanged(send, call.id, call.headers)
        else:
            await respond(send, status, body, media, call.id, call.headers)

    async def _run(
        self, scope: Scope, given: Headers, receive: Receive, send: Send, call: HTTPCall
    ) -> tuple[int, Body]:
        """Reads a request and answers it within its deadline."""
        service = self._service
        deadline = Deadline(service.deadlines)
        try:
            with deadline:
                parameters = await self._asked(scope, given, receive, send, call)
                deadline.client_left = partial(disconnected, receive)
                async with service.limiter:
                    if isinstance(parameters, list):
                        return 200, await self._batch(parameters, call)
                    answer = await service.finish(await service.begin(parameters, call), call)
                    if call.by_get:
                        self._tag(parameters, answer, call)
                    return 503 if answer.unavailable else 200, answer.body
        except TimeoutError:
            if deadline.client_left is not None:
                raise service.too_late(call) from None
            raise self._not_arrived() from None

    async def _asked(
        self, scope: Scope, given: Headers, receive: Receive, send: Send, call: HTTPCall
    ) -> Parameters | list[Parameters]:
        """Authenticates the caller and reads the parameters."""
        authorization = given.get(b"authorization")
        call.caller = await self._authentication.authenticate(
            None if authorization is None else authorization.decode("latin-1")
        )
        if call.caller is not ANONYMOUS:
            call.record["caller"] = call.caller.name
        call.heard = True
        there = send.asked() if isinstance(send, WholeSend) else None
        return await self._reader.read(scope, given, receive, there)

    def _not_arrived(self) -> RefusedError:
        seconds = self._settings.request_timeout
        message = f"The request did not arrive within {seconds:g} seconds."
        error = request_error(ErrorCode.REQUEST_TIMEOUT, message, limit=seconds)
        return RefusedError(408, error, connection="close")

    async def _begun(
        self, scope: Scope, given: Headers, receive: Receive, send: Send, call: HTTPCall
    ) -> PlannedOperation:
        """The planned operation of a request whose response is streamed, with its cost charged."""
        try:
            with Deadline(self._service.deadlines):
                parameters = await self._asked(scope, given, receive, send, call)
                call.client_left = partial(disconnected, receive)
                if isinstance(parameters, list):
                    message = "A batch has no stream; send one operation."
                    raise RefusedError(400, request_error(ErrorCode.BAD_REQUEST, message))
                return await self._service.begin(parameters, call)
        except TimeoutError:
            raise (self._not_arrived() if call.client_left is None else self._service.too_late(call)) from None

    # -- events ----------------------------------------------------------------------------------------------------

    async def _events(self, scope: Scope, given: Headers, receive: Receive, send: Send, call: HTTPCall) -> None:
        """Answers with an event stream. Errors of the operation are events, too: a browser's EventSource does not
        expose other responses.

        Raises:
            Exception: Nothing was sent yet.
        """
        call.by_events = True
        begun: PlannedOperation | RefusedError
        try:
            begun = await self._begun(scope, given, receive, send, call)
        except RefusedDocumentError as refused:
            begun = refused
        authorization = given.get(b"authorization")
        credential = None if authorization is None else authorization.decode("latin-1")
        call.record["media"] = EVENTS
        status = 200
        try:
            await self.events.answer(begun, call, credential, receive, send)
        except DisconnectedError:
            call.record["gone"], status = True, 499
        self._finished(scope, call, status)

    # -- tables ----------------------------------------------------------------------------------------------------

    async def _table(
        self, scope: Scope, given: Headers, receive: Receive, send: Send, call: HTTPCall, media: str
    ) -> None:
        """Answers with a table as it is read.

        Raises:
            Exception: Nothing was sent yet.
        """
        planned = await self._begun(scope, given, receive, send, call)
        await table_formats.load()
        answer = self._service.table(planned, call, media)
        call.record["media"] = media

        async def begin(rows: int) -> None:
            call.headers |= {"x-rows": str(rows), "cache-control": "no-store"}
            await respond_in_parts(send, media, call.id, call.headers)

        async def write(data: bytes) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})

        try:
            await answer.write(begin, write)
        except Exception as error:
            if not answer.begun:
                raise
            await self._break_off(scope, send, call, error, answer.failed)
            return
        await send({"type": "http.response.body", "body": b""})
        self._finished(scope, call, 200)

    async def _break_off(
        self,
        scope: Scope,
        send: Send,
        call: HTTPCall,
        error: Exception,
        said: Callable[[Sequence[dict[str, Any]]], bytes],
    ) -> None:
        """Ends a response in the middle: with an error in its format if that has one, and by closing the connection, so
        that the client knows it to be incomplete."""
        if isinstance(error, DisconnectedError):
            call.record["gone"] = True
            self._finished(scope, call, 499)
            return
        if isinstance(error, RefusedError):
            found = [call.reporter.public(one) for one in error.errors]
        else:
            found = [call.reporter.public(_as_graphql(error))]
        call.record["errors"] = [one["extensions"]["code"] for one in found]
        if last := said(found):
            await send({"type": "http.response.body", "body": last, "more_body": True})
        self._finished(scope, call, 500)
        if isinstance(send, WholeSend):
            send.break_off()

    def _finished(self, scope: Scope, call: HTTPCall, status: int) -> None:
        """Notifies observers that a request is answered."""
        record = call.record
        record["milliseconds"] = round((time.perf_counter() - record.started) * 1000, 2)
        self._service.finished(call, scope["method"], status)

    async def _batch(self, batch: list[Parameters], call: HTTPCall) -> list[dict[str, Any]]:
        """One result for each request, in sequence; together they share the budget of one request."""
        service = self._service
        answers: list[dict[str, Any]] = []
        room = self._settings.max_cost
        for parameters in batch:
            try:
                answer = await service.finish(await service.begin(parameters, call, room), call)
                room -= answer.cost["requested"]
                answers.append(answer.body)
            except RefusedError as error:
                answers.append(_refused(error, call))
        call.record["batch"] = len(batch)
        return answers

    def _tag(self, parameters: Parameters, answer: Answer, call: HTTPCall) -> None:
        """Sets the entity tag of an answer that was requested by a document's id."""
        body = answer.body
        if "errors" in body or not (parameters.document_id or parameters.hash):
            call.headers["cache-control"] = "no-store"
            return
        data = orjson.dumps(body["data"])
        body["data"] = orjson.Fragment(data)
        seconds = self._settings.cache_seconds
        lasting = f"max-age={seconds}" if seconds else "no-cache"
        whose = "public" if call.caller is ANONYMOUS else "private"
        call.headers |= {"etag": entity_tag(data), "cache-control": f"{whose}, {lasting}"}


_STATUS = {
    ErrorCode.DATABASE_UNAVAILABLE: 503,
    ErrorCode.DATABASE_DIVERGED: 503,
    ErrorCode.OVERLOADED: 503,
    ErrorCode.LOCKED: 503,
    ErrorCode.OUT_OF_SPACE: 503,
    ErrorCode.STATEMENT_TIMEOUT: 504,
    ErrorCode.MISSING_IN_DATABASE: 400,
    ErrorCode.BAD_USER_INPUT: 400,
    ErrorCode.UNREPRESENTABLE_VALUE: 400,
}
"""The status of a request whose data is null by an error of a field."""


def _as_graphql(error: Exception) -> GraphQLError:
    return error if isinstance(error, GraphQLError) else GraphQLError("", original_error=error)


def _refused(error: RefusedError, call: Call) -> dict[str, Any]:
    call.record["refused"] = [(each.extensions or {}).get("code") for each in error.errors]
    return {"errors": [call.reporter.public(each) for each in error.errors]}

"""``POST /record/<plural>``: batches of rows as JSON lines, answered in JSON; problems by RFC 9457."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from random import getrandbits
from typing import Any
from urllib.parse import parse_qsl

import orjson
from graphql import GraphQLError
from starlette.types import Receive, Scope, Send

from gateway.auth.authentication import Authentication, UnauthenticatedError
from gateway.context import ANONYMOUS
from gateway.http.headers import Headers, headers_of
from gateway.http.lines import receive_lines
from gateway.http.request import RequestReader, disconnected
from gateway.http.response import PROBLEM, encoding, packed, respond
from gateway.observability.logging import request_id as current_request_id
from gateway.operations.call import Call
from gateway.operations.deadline import Deadline, DisconnectedError
from gateway.operations.recordings import MAX_LINES, RequestedBatch
from gateway.operations.refusals import JSON, RefusedError, request_error
from gateway.operations.request import bad_request
from gateway.operations.service import OperationService
from gateway.settings import Settings
from schema.changes.results import Problem
from schema.error_codes import ErrorCode, ProblemCode
from schema.recording.answers import Recorded, RowsRejected

PREFIX = "/record/"

_STATUS = {
    ErrorCode.DATABASE_UNAVAILABLE: 503, ErrorCode.DATABASE_DIVERGED: 503, ErrorCode.OUT_OF_SPACE: 503,
    ErrorCode.OVERLOADED: 503, ErrorCode.LOCKED: 503,
    ErrorCode.CHANGES_UNAVAILABLE: 503, ErrorCode.MISSING_IN_DATABASE: 503, ErrorCode.CONFLICT: 409,
    ErrorCode.STATEMENT_TIMEOUT: 504, ErrorCode.OUTCOME_UNKNOWN: 502, ErrorCode.BAD_USER_INPUT: 422,
    ProblemCode.FORBIDDEN: 403,
}  # fmt: skip
"""HTTP statuses by code; other problems have 422, other errors 500."""


class RecordEndpoint:
    """Answers requests that record lines."""

    def __init__(self, service: OperationService, authentication: Authentication, settings: Settings) -> None:
        self._service = service
        self._authentication = authentication
        self._settings = settings
        self._reader = RequestReader(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = f"{getrandbits(128):032x}"  # identifies a request; not a secret
        current_request_id.set(request_id)
        given = headers_of(scope)
        call = Call(request_id)
        call.connection = scope
        heard = _BodyReceive(receive)
        try:
            status, body = await self._run(scope, given, heard, call)
        except RefusedError as error:
            call.headers |= error.headers
            call.record["refused"] = [(each.extensions or {}).get("code") for each in error.errors]
            status, body = error.status, _problem(error.status, call.reporter.public(error.errors[0]))
        except UnauthenticatedError as error:
            call.headers |= error.headers
            call.record["refused"] = [error.code]
            status, body = error.status, _problem(error.status, call.reporter.public(error))
        except DisconnectedError:
            status, body = 499, {}
            call.record["gone"] = True
        except Exception as error:  # noqa: BLE001 - any error: the client gets a response, the log the details
            said = error if isinstance(error, GraphQLError) else GraphQLError("", original_error=error)
            public = call.reporter.public(said)
            call.record["errors"] = [code := public["extensions"]["code"]]
            status = _STATUS.get(code, 500)
            body = _problem(status, public)
        if status == 503:
            call.headers.setdefault("retry-after", "1")
        if not heard.all:
            await self._reader.linger(receive)
        await self._send(given, send, call, status, orjson.dumps(body | ({"requestId": call.id} if body else {})))

    async def _send(self, given: Headers, send: Send, call: Call, status: int, body: bytes) -> None:
        least = self._settings.compress_bytes
        accept = given.get(b"accept-encoding")
        if accept and len(body) >= least > 0 and (how := encoding(accept)):
            body = await packed(body, how)
            call.headers["content-encoding"] = how
        record = call.record
        record["milliseconds"] = round((time.perf_counter() - record.started) * 1000, 2)
        self._service.finished(call, "RECORD", status)
        await respond(send, status, body, JSON if status == 200 else PROBLEM, call.id, call.headers)

    async def _run(self, scope: Scope, given: Headers, heard: _BodyReceive, call: Call) -> tuple[int, dict[str, Any]]:
        service = self._service
        deadline = Deadline(service.deadlines)
        try:
            with deadline:
                authorization = given.get(b"authorization")
                call.caller = await self._authentication.authenticate(
                    None if authorization is None else authorization.decode("latin-1")
                )
                if call.caller is not ANONYMOUS:
                    call.record["caller"] = call.caller.name
                asked = self._asked(scope, given)
                if problem := service.recordings.check(asked, call):
                    return _answer(problem)
                body = await receive_lines(given, heard, self._settings.max_lines_bytes)
                deadline.client_left = partial(disconnected, heard)
                async with service.recordings.limiter, service.limiter:
                    lines = await body.lines(2 * MAX_LINES)
                    return _answer(await service.recordings.record(asked, lines, call), ids=asked.ids)
        except TimeoutError:
            if deadline.client_left is not None:
                raise service.too_late(call) from None
            seconds = self._settings.request_timeout
            message = f"The request did not arrive within {seconds:g} seconds."
            error = request_error(ErrorCode.REQUEST_TIMEOUT, message, limit=seconds)
            raise RefusedError(408, error, connection="close") from None

    def _asked(self, scope: Scope, given: Headers) -> RequestedBatch:
        if scope["method"] != "POST":
            message = f"{scope['method']} means nothing here; send rows by POST."
            raise RefusedError(405, request_error(ErrorCode.METHOD_NOT_ALLOWED, message), allow="POST")
        try:
            pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=20)
        except ValueError:
            raise bad_request("The URL has too many parameters.") from None
        names = [name for name, _ in pairs]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise bad_request(f"The option {twice[:80]!r} is given twice; give it once.")
        key = given.get(b"idempotency-key")
        return self._service.recordings.asked(
            scope["path"].removeprefix(PREFIX), dict(pairs), None if key is None else _key(key)
        )


class _BodyReceive:
    """An ASGI ``receive`` that knows whether the whole body has arrived."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.all = False

    async def __call__(self) -> Any:
        message = await self._receive()
        self.all = self.all or message["type"] == "http.disconnect" or not message.get("more_body", False)
        return message


def _key(header: bytes) -> str:
    """The value of ``Idempotency-Key``, which may be a quoted string of structured fields."""
    text = header.decode("latin-1").strip()
    with suppress(ValueError):
        text = header.decode().strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _answer(answer: Recorded | Problem, *, ids: bool = False) -> tuple[int, dict[str, Any]]:
    if isinstance(answer, Problem):
        status = _STATUS.get(ProblemCode[answer.code], 422)
        more: dict[str, Any] = {"path": answer.path[1:]} if answer.path[1:] else {}
        if isinstance(answer, RowsRejected):
            more["rows"] = [{**vars(one), "path": one.path[1:]} for one in answer.rows]
        return status, _described(status, ProblemCode[answer.code], answer.message) | more
    told: dict[str, Any] = {
        "inserted": answer.inserted, "updated": answer.updated, "kept": answer.kept, "differing": answer.differing,
        "replayed": answer.replayed, "dryRun": answer.dry_run,
    }  # fmt: skip
    if answer.differing:
        told["differingRows"] = [
            {"row": one.row, "nodeId": one.node_id, "fields": one.fields} for one in answer.differing_rows or ()
        ]
    return 200, told | ({"ids": answer.ids} if ids else {})


def _problem(status: int, error: dict[str, Any]) -> dict[str, Any]:
    extensions = {name: value for name, value in error["extensions"].items() if name != "code"}
    return extensions | _described(status, ErrorCode[error["extensions"]["code"]], error["message"])


def _described(status: int, code: ErrorCode | ProblemCode, detail: str) -> dict[str, Any]:
    return {"type": "about:blank", "title": code.meaning, "status": status, "code": code, "detail": detail}

"""GraphQL over HTTP: who asks, what the answer is, and with which status."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import orjson
from graphql import GraphQLError, OperationType
from graphql.execution.values import VariableValues
from starlette.types import Receive, Scope, Send

from db.facts import Facts
from db.replica import Reads, position_text
from db.transaction import Transactions
from gateway.access import Access
from gateway.asked import (
    GRAPHQL_RESPONSE,
    JSON,
    Asked,
    DisconnectedError,
    RefusedDocumentError,
    RefusedError,
    headers_of,
    negotiate,
    read,
)
from gateway.auth import Authentication, UnauthenticatedError
from gateway.context import Caller, Context
from gateway.errors import DATABASE_UNAVAILABLE, Reporter, request_error
from gateway.limits import DocumentError, Documents, Meter
from gateway.settings import Settings
from gateway.telemetry import request_id as current_request_id
from gateway.watch import Entry, Watch
from schema.answers import Execution, Outcome
from schema.errors import GatewayError
from schema.loaders import Loaders
from schema.plans import KnownOperation, Plans, variable_values
from schema.records import Missing
from schema.schema import Schema
from schema.selection import Operation


class GraphQLEndpoint:
    """Answers requests to ``/graphql``."""

    def __init__(
        self,
        schema: Schema,
        reads: Reads,
        changes: Transactions,
        settings: Settings,
        authentication: Authentication,
        watch: Watch,
    ) -> None:
        self.learned = False
        """Whether the database has been looked at."""
        self.access = Access()
        self._changes = changes
        self._authentication = authentication
        self._watch = watch
        self._schema = schema
        self._reads = reads
        self._settings = settings
        self.documents = Documents(schema.graphql, settings)
        self._meter = Meter(schema.graphql, schema.catalogue, settings)
        self.execution = Execution(schema)
        self.plans = self._no_plans()

    def learn(self, missing: Missing, facts: Facts) -> None:
        """What the database lacks and how large it is, once it could be asked."""
        self.access = Access(missing, facts)
        self.learned = True
        self.plans = self._no_plans()

    def learn_facts(self, facts: Facts) -> None:
        """How large the database is, as it grows."""
        self.access.learn(facts)
        self.plans.forget_prices()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = os.urandom(16).hex()
        current_request_id.set(request_id)
        started = time.perf_counter()
        reporter = Reporter(request_id)
        media = GRAPHQL_RESPONSE
        entry = Entry(started)
        headers: dict[str, str] = {}
        try:
            given = headers_of(scope)
            media = negotiate(given.get(b"accept", ""))
            caller = await self._authentication.authenticate(given.get(b"authorization"))
            asked = await read(scope, given, receive, self._settings.max_body_bytes)
            status, body = await self._answer(asked, scope["method"], caller, reporter, request_id, entry)
        except UnauthenticatedError as error:
            status, headers = error.status, error.headers
            body = orjson.dumps({"errors": [reporter.public(error)]})
            entry["refused"] = [error.code]
        except RefusedError as error:
            status, headers = error.status_as(media), error.headers
            body = orjson.dumps({"errors": [reporter.public(each) for each in error.errors]})
            entry["refused"] = [(each.extensions or {}).get("code") for each in error.errors]
        except DisconnectedError:
            status, body = 400, b""
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer, and the log the rest
            status, body = 500, orjson.dumps({"errors": [reporter.public(GraphQLError("", original_error=error))]})
        if status == 503:
            headers = {"retry-after": "1"} | headers
        entry["milliseconds"] = round((time.perf_counter() - started) * 1000, 2)
        self._watch.finished(scope["method"], status, request_id, entry)
        await respond(send, status, body, media, request_id, headers)

    # -- the answer ------------------------------------------------------------------------------------------------

    async def _answer(
        self,
        asked: Asked,
        method: str,
        caller: Caller,
        reporter: Reporter,
        request_id: str,
        entry: Entry,
    ) -> tuple[int, bytes]:
        entry.query = asked.query
        known, values = self._prepare(asked, method)
        name, entry.kind = known.definition.name, known.definition.operation.value
        entry["operation"] = name.value[:80] if name else None
        reads = self.access.of(caller.scopes)
        try:
            entry.plan, entry["cost"] = plan, cost = self.plans.get(known, values, reads)
        except GraphQLError as error:
            raise RefusedDocumentError(error) from None
        entry.planned = time.perf_counter()
        reader = self._reads.reader(self._settings.parallel_statements, caller.name, asked.after, caller.identity)

        def context(operation: Operation) -> Context:
            return Context(
                operation,
                Loaders(
                    self._schema.catalogue, reader, reads, self.access.facts_of(reads), compiles=self.plans.compiles
                ),
                caller,
                request_id,
                begin=partial(self._changes.open, caller.identity),
                key_hours=self._settings.idempotency_hours,
            )

        changes = known.definition.operation is OperationType.MUTATION
        try:
            async with asyncio.timeout(self._settings.request_timeout):
                result = await self.execution.run(known, plan, asked.variables, values, reader, context)
        except TimeoutError:
            seconds = self._settings.request_timeout
            message = f"The request took longer than {seconds:g} seconds and was given up. Ask for less at once."
            if changes:
                message += " A change that was being committed may have been made: the same idempotencyKey tells."
            raise RefusedError(504, request_error("REQUEST_TIMEOUT", message, limit=seconds)) from None
        finally:
            if changes:
                self._reads.changed(caller.name, reader.position)
        if result.fallback:
            entry["fallback"] = result.fallback
        entry["compiled"] = result.compiled
        entry |= {"statements": reader.statements, "rows": reader.rows}
        status, answer = _response(result, reporter)
        if result.errors:
            entry["errors"] = sorted({error["extensions"]["code"] for error in answer["errors"]})
        answer["extensions"] = {
            "cost": {"requested": cost, "actual": reader.rows, "statements": reader.statements, "rows": reader.rows}
        }
        if reader.position is not None:
            answer["extensions"]["position"] = position_text(reader.position)
        return status, orjson.dumps(answer)

    def _prepare(self, asked: Asked, method: str) -> tuple[KnownOperation, VariableValues]:
        """Parses, validates and checks the variables, before anything runs."""
        try:
            document = self.documents.get(asked.query)
            known = document.asked.get(asked.operation_name)
            if known is None:
                definition = document.operation(asked.operation_name)
                known = self.plans.asked(document.ast, definition, document.fragments)
                document.asked[asked.operation_name] = known
        except DocumentError as error:
            raise RefusedDocumentError(*error.errors) from None
        except GatewayError as error:
            raise RefusedDocumentError(error) from None
        kind = known.definition.operation
        if method == "GET" and kind is not OperationType.QUERY:
            message = f"A {kind.value} changes something and cannot be sent by GET; use POST."
            raise RefusedError(405, request_error("METHOD_NOT_ALLOWED", message), allow="POST")
        values = variable_values(self._schema.graphql, known, asked.variables)
        if isinstance(values, list):
            raise RefusedDocumentError(*values)
        return known, values

    def _measure(self, operation: Operation, reads: Missing) -> int:
        return self._meter.measure(operation, self.access.facts_of(reads))

    def _no_plans(self) -> Plans:
        compiles = self._settings.compiler
        return Plans(self._schema.graphql, self._schema.catalogue, self._measure, compiles=compiles)


def _response(result: Outcome, reporter: Reporter) -> tuple[int, dict[str, Any]]:
    """Status and body: a database that is away for every root is 503, so that proxies and clients try again."""
    if not result.errors:
        return 200, {"data": result.data}
    errors = [reporter.public(error) for error in result.errors]
    answered = result.data is not None and any(value is not None for value in result.data.values())
    if not answered and {error["extensions"]["code"] for error in errors} <= {DATABASE_UNAVAILABLE, "OVERLOADED"}:
        return 503, {"errors": errors[:1], "data": None}
    return 200, {"errors": errors, "data": result.data}


async def respond(
    send: Send, status: int, body: bytes, media: str, request_id: str, headers: Mapping[str, str]
) -> None:
    """Sends an answer."""
    sent = [
        (b"content-type", _CONTENT_TYPES[media]),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id.encode()),
        (b"vary", b"accept"),
        *((name.encode(), value.encode("latin-1")) for name, value in headers.items()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": body})


_CONTENT_TYPES = {media: f"{media}; charset=utf-8".encode() for media in (GRAPHQL_RESPONSE, JSON)}

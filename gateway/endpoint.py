"""GraphQL over HTTP, to the letter of the specification: what is asked, by which method, and with which status."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import uuid4

import orjson
from graphql import ExecutionResult, GraphQLError, OperationType
from graphql.execution.values import VariableValues
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from db.engine import ShortReader
from db.facts import Facts
from db.transaction import Transactions
from gateway.auth import Authentication, UnauthenticatedError
from gateway.context import Caller, Context
from gateway.errors import DATABASE_UNAVAILABLE, Reporter, request_error
from gateway.limits import DocumentError, Documents, Meter, refuse
from gateway.settings import Settings
from gateway.telemetry import request_id as current_request_id
from schema.answers import Execution, Outcome
from schema.catalogue import Catalogue
from schema.errors import GatewayError
from schema.loaders import Loaders
from schema.plans import KnownOperation, Plan, Plans, variable_values
from schema.records import Missing
from schema.schema import Schema
from schema.selection import Operation, Selection
from schema.subscriptions import TOPICS, Topic

log = logging.getLogger("gateway.request")

GRAPHQL_RESPONSE = "application/graphql-response+json"
JSON = "application/json"
WEBSOCKET = "WEBSOCKET"
"""In place of a method: the operation has come over a socket."""


@dataclass(frozen=True)
class Asked:
    """The parameters of a GraphQL request."""

    query: str
    operation_name: str | None
    variables: dict[str, Any]


class Prepared(NamedTuple):
    """An operation that may run."""

    asked: Asked
    known: KnownOperation
    values: VariableValues
    plan: Plan
    cost: int


class RefusedError(Exception):
    """A request that is refused as a whole: nothing was run."""

    def __init__(self, status: int, *errors: GraphQLError, **headers: str) -> None:
        super().__init__(errors[0].message)
        self.status = status
        self.errors = errors
        self.headers = headers

    def status_as(self, _media: str) -> int:
        return self.status


class RefusedDocumentError(RefusedError):
    """A well-formed request whose document, operation or variables are refused."""

    def __init__(self, *errors: GraphQLError) -> None:
        super().__init__(400, *errors)

    def status_as(self, media: str) -> int:
        """To clients of plain JSON the specification gives 200: they know no difference between errors and failures."""
        return 200 if media == JSON else self.status


class GraphQLEndpoint:
    """Answers requests to ``/graphql``."""

    def __init__(
        self,
        schema: Schema,
        engine: AsyncEngine,
        changes: Transactions,
        settings: Settings,
        authentication: Authentication,
    ) -> None:
        self.missing = Missing()
        self.facts = Facts()
        self._changes = changes
        self._authentication = authentication
        self._schema = schema
        self._engine = engine
        self._settings = settings
        self._documents = Documents(schema.graphql, settings)
        self._meter = Meter(schema.graphql, schema.catalogue, settings)
        self.execution = Execution(schema)
        self.plans = self._no_plans()

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue that the graph is made from."""
        return self._schema.catalogue

    def learn(self, missing: Missing, facts: Facts) -> None:
        """What the database lacks and how large it is, once it could be asked."""
        self.missing = missing
        self.plans = self._no_plans()
        self.learn_facts(facts)

    def learn_facts(self, facts: Facts) -> None:
        """How large the database is, as it grows."""
        self.facts = facts
        self.plans.forget_prices()

    async def __call__(self, request: Request) -> Response:
        request_id = uuid4().hex
        current_request_id.set(request_id)
        started = time.perf_counter()
        reporter = Reporter(request_id)
        media = GRAPHQL_RESPONSE
        entry: dict[str, Any] = {}
        try:
            media = _negotiate(request)
            caller = await self._authentication.authenticate(request.headers.get("authorization"))
            prepared = self.prepare(await self._asked(request), request.method)
            status, body, headers = await self.answer(prepared, caller, reporter, request_id, entry)
        except UnauthenticatedError as error:
            status, headers = 401, {"www-authenticate": error.challenge}
            body = orjson.dumps({"errors": [reporter.public(error)]})
            entry["refused"] = [error.code]
        except RefusedError as error:
            status, headers = error.status_as(media), error.headers
            body = orjson.dumps({"errors": [reporter.public(each) for each in error.errors]})
            entry["refused"] = [(each.extensions or {}).get("code") for each in error.errors]
        except ClientDisconnect:
            status, body, headers = 400, b"", {}
        entry["milliseconds"] = round((time.perf_counter() - started) * 1000, 2)
        log.info("%s %s", request.method, status, extra=entry)
        return Response(
            body,
            status,
            media_type=f"{media}; charset=utf-8",
            headers={"x-request-id": request_id, "vary": "accept"} | headers,
        )

    # -- what is asked ---------------------------------------------------------------------------------------------

    async def _asked(self, request: Request) -> Asked:
        if request.method not in {"GET", "POST"}:
            message = f"{request.method} means nothing here; send queries by GET or POST, mutations by POST."
            raise RefusedError(405, request_error("METHOD_NOT_ALLOWED", message), allow="GET, POST")
        if request.method == "GET":
            parameters: dict[str, Any] = dict(request.query_params)
            for name in ("variables", "extensions"):
                if name in parameters:
                    parameters[name] = _json(parameters[name].encode(), f"the parameter {name}")
            return checked(parameters)
        content_type, *options = request.headers.get("content-type", "").split(";")
        if content_type.strip().lower() != JSON:
            message = f"The content type {content_type or '(none)'!r} is not supported; send {JSON}."
            raise RefusedError(415, request_error("UNSUPPORTED_MEDIA_TYPE", message))
        for option in options:
            name, _, value = option.strip().lower().partition("=")
            if name == "charset" and value.strip('"') not in {"utf-8", "utf8"}:
                raise RefusedError(415, request_error("UNSUPPORTED_MEDIA_TYPE", f"Send UTF-8, not {value[:80]!r}."))
        return checked(_json(await self._body(request), "the body"))

    async def _body(self, request: Request) -> bytes:
        limit = self._settings.max_body_bytes
        announced = request.headers.get("content-length", "")
        size = int(announced) if announced.isdigit() else 0
        chunks: list[bytes] = []
        received = 0
        if size <= limit:
            async for chunk in request.stream():
                chunks.append(chunk)
                received += len(chunk)
                if received > limit:
                    break
        if max(size, received) > limit:
            advice = "Shorten the query, or send less in its variables."
            error = refuse("BODY_LIMIT", "The request body is too large, in bytes", limit, max(size, received), advice)
            raise RefusedError(413, error, connection="close")
        return b"".join(chunks)

    # -- the answer ------------------------------------------------------------------------------------------------

    async def answer(
        self, prepared: Prepared, caller: Caller, reporter: Reporter, request_id: str, entry: dict[str, Any]
    ) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers of a query's or mutation's answer; what is to be logged of it goes into ``entry``.

        Raises:
            RefusedError: It took too long.
        """
        asked, known, values, plan, cost = prepared
        entry |= {"operation": (asked.operation_name or "")[:80] or None, "cost": cost}
        reader = ShortReader(self._engine, self._settings.parallel_statements)

        def context(operation: Operation) -> Context:
            return self._context(operation, reader, caller, request_id)

        try:
            async with asyncio.timeout(self._settings.request_timeout):
                result = await self.execution.run(known, plan, asked.variables, values, reader, context)
        except TimeoutError:
            seconds = self._settings.request_timeout
            message = f"The request took longer than {seconds:g} seconds and was given up. Ask for less at once."
            if known.definition.operation is OperationType.MUTATION:
                message += " A change that was being committed may have been made: the same idempotencyKey tells."
            raise RefusedError(504, request_error("REQUEST_TIMEOUT", message, limit=seconds)) from None
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
        return status, orjson.dumps(answer), {"retry-after": "1"} if status == 503 else {}

    async def messages(
        self, prepared: Prepared, roots: Sequence[object], caller: Caller, request_id: str
    ) -> list[ExecutionResult]:
        """The messages of a subscription for what has happened, in that order; rows of all of them are read together.

        Raises:
            TimeoutError: It took longer than a request may.
        """
        reader = ShortReader(self._engine, self._settings.parallel_statements)
        known = prepared.known
        operation = Operation(self._schema.graphql, known.definition, known.fragments, prepared.values)
        context = self._context(operation, reader, caller, request_id)
        name = known.definition.name.value if known.definition.name else None
        async with asyncio.timeout(self._settings.request_timeout):
            return await asyncio.gather(
                *(self._schema.run(known.document, name, prepared.asked.variables, context, root) for root in roots)
            )

    def followed(self, prepared: Prepared) -> tuple[Topic, Selection]:
        """What a subscription follows, and the selection of its one field."""
        operation = Operation(
            self._schema.graphql, prepared.known.definition, prepared.known.fragments, prepared.values
        )
        (selection,) = operation.root.fields.values()
        return TOPICS[selection.name], selection

    def _context(self, operation: Operation, reader: ShortReader, caller: Caller, request_id: str) -> Context:
        return Context(
            operation,
            Loaders(self._schema.catalogue, reader, self.missing, self.facts),
            caller,
            request_id,
            begin=self._changes.open,
            key_hours=self._settings.idempotency_hours,
        )

    def prepare(self, asked: Asked, method: str) -> Prepared:
        """Parses, validates, checks the variables and plans, before anything runs.

        Raises:
            RefusedError: It cannot be run, or costs too much.
        """
        try:
            document = self._documents.get(asked.query)
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
        if method != WEBSOCKET and kind is OperationType.SUBSCRIPTION:
            message = "Subscriptions are answered over WebSocket: connect to this address by graphql-transport-ws."
            raise RefusedDocumentError(request_error("SUBSCRIPTION_OVER_HTTP", message))
        if method == "GET" and kind is not OperationType.QUERY:
            message = f"A {kind.value} changes something and cannot be sent by GET; use POST."
            raise RefusedError(405, request_error("METHOD_NOT_ALLOWED", message), allow="POST")
        values = variable_values(self._schema.graphql, known, asked.variables)
        if isinstance(values, list):
            raise RefusedDocumentError(*values)
        try:
            plan, cost = self.plans.get(known, values)
        except GraphQLError as error:
            raise RefusedDocumentError(error) from None
        return Prepared(asked, known, values, plan, cost)

    def _measure(self, operation: Operation) -> int:
        return self._meter.measure(operation, self.facts)

    def _no_plans(self) -> Plans:
        missing = self.missing if self._settings.compiler else None
        return Plans(self._schema.graphql, self._schema.catalogue, missing, self._measure)


def _response(result: Outcome, reporter: Reporter) -> tuple[int, dict[str, Any]]:
    """Status and body: a database that is away for every root is 503, so that proxies and clients try again."""
    if not result.errors:
        return 200, {"data": result.data}
    errors = [reporter.public(error) for error in result.errors]
    answered = result.data is not None and any(value is not None for value in result.data.values())
    if not answered and {error["extensions"]["code"] for error in errors} <= {DATABASE_UNAVAILABLE, "OVERLOADED"}:
        return 503, {"errors": errors[:1], "data": None}
    return 200, {"errors": errors, "data": result.data}


def _negotiate(request: Request) -> str:
    """The media type of the answer, from ``Accept``; no header or a wildcard means the GraphQL one."""
    accept = ",".join(request.headers.getlist("accept"))
    if not accept:
        return GRAPHQL_RESPONSE
    qualities: dict[str, float] = {}
    for item in accept.split(","):
        media, *options = (part.strip().lower() for part in item.split(";"))
        qualities.setdefault(media, next((_quality(option[2:]) for option in options if option.startswith("q=")), 1.0))

    def quality(media: str) -> float:
        return next((qualities[name] for name in (media, "application/*", "*/*") if name in qualities), 0.0)

    if max(quality(GRAPHQL_RESPONSE), quality(JSON)) > 0:
        return GRAPHQL_RESPONSE if quality(GRAPHQL_RESPONSE) >= quality(JSON) else JSON
    message = f"This endpoint answers {GRAPHQL_RESPONSE} or {JSON}, and the Accept header takes neither."
    raise RefusedError(406, request_error("NOT_ACCEPTABLE", message))


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0


def _json(raw: bytes, where: str) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise RefusedError(400, request_error("BAD_REQUEST", f"{where} is not UTF-8 JSON: {error}.")) from None


def checked(parameters: Any) -> Asked:
    """The parameters of a request with their types checked.

    Raises:
        RefusedError: One of them is of another type.
    """

    def refuse_parameter(message: str) -> RefusedError:
        return RefusedError(400, request_error("BAD_REQUEST", message))

    if isinstance(parameters, list):
        raise refuse_parameter("Batches are not supported; send one operation a request, with several root fields.")
    if not isinstance(parameters, dict):
        raise refuse_parameter('The body must be a JSON object such as {"query": "{ experiments { totalCount } }"}.')
    query = parameters.get("query")
    if not isinstance(query, str) or not query.strip():
        raise refuse_parameter("The parameter query is missing; it is the GraphQL document, a string.")
    operation_name = parameters.get("operationName")
    if operation_name is not None and not isinstance(operation_name, str):
        raise refuse_parameter("The parameter operationName must be a string or null.")
    for name in ("variables", "extensions"):
        if parameters.get(name) is not None and not isinstance(parameters[name], dict):
            raise refuse_parameter(f"The parameter {name} must be an object or null.")
    return Asked(query, operation_name or None, parameters.get("variables") or {})

"""GraphQL over HTTP, to the letter of the specification: what is answered, with which status, and at which price."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Hashable, Mapping, Sequence
from functools import cached_property, partial
from random import getrandbits
from typing import Any, NamedTuple

import orjson
from graphql import ExecutionResult, GraphQLError
from graphql.execution.values import VariableValues
from starlette.types import Receive, Scope, Send

from db.engine import ShortReader
from db.facts import Facts
from db.replica import Reads, position_text
from db.transaction import Transactions
from gateway.auth.authentication import Authentication, UnauthenticatedError
from gateway.auth.permissions import Access
from gateway.context import ANONYMOUS, Caller, Context
from gateway.http.headers import Headers, headers_of
from gateway.http.request import Asked, Asking, DisconnectedError
from gateway.http.response import (
    GRAPHQL_RESPONSE,
    encoding,
    entity_tag,
    is_known,
    negotiate,
    packed,
    respond,
    respond_unchanged,
)
from gateway.observability.logging import request_id as current_request_id
from gateway.observability.request_log import Entry, Watch
from gateway.operations.budgets import Budgets, Left, account, used
from gateway.operations.cost import Meter
from gateway.operations.deadline import Leash, Patience
from gateway.operations.documents import MAX_ERRORS, Document, Documents, check_objects
from gateway.operations.errors import Reporter
from gateway.operations.introspection import AboutSchema
from gateway.operations.limiter import Admission
from gateway.operations.persisted import KnownDocuments
from gateway.operations.refusals import RefusedDocumentError, RefusedError, refuse, request_error
from gateway.operations.shape import ShapeWatch
from gateway.settings import Settings
from schema import exact_json
from schema.answers import Execution, Outcome
from schema.catalogue import Catalogue
from schema.error_codes import ErrorCode
from schema.errors import GatewayError, missing_object
from schema.indexes import Indexes
from schema.loaders import Loaders
from schema.plans import KnownOperation, Plan, Plans, variable_values
from schema.records import Missing
from schema.schema import Schema
from schema.selection import Operation
from schema.sizes import Room, Sizes, too_large
from schema.subscriptions import TOPICS, Topic


class Call:
    """One request that is being answered."""

    by_get = False
    by_socket = False
    caller: Caller = ANONYMOUS
    account = ""
    """Whose budget it is on."""
    heard = False
    """Whether its body is read, or was thrown away."""
    changes = False
    """Whether it is a mutation."""

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.entry = Entry()
        """What the log says of it."""
        self.headers: dict[str, str] = {}

    @cached_property
    def reporter(self) -> Reporter:
        """Turns its errors into what is sent."""
        return Reporter(self.id)


class Begun(NamedTuple):
    """An operation that may run, and is paid for."""

    asked: Asked
    known: KnownOperation
    values: VariableValues
    plan: Plan
    cost: int
    reads: Missing
    left: Left | None


class GraphQLEndpoint:
    """Answers requests to ``/graphql``."""

    def __init__(
        self,
        schema: Schema,
        reads: Reads,
        changes: Transactions,
        settings: Settings,
        authentication: Authentication,
        known: KnownDocuments,
        watch: Watch,
    ) -> None:
        self.learned = False
        """Whether the database has been looked at."""
        self.access = Access()
        self._changes = changes
        self._authentication = authentication
        self._schema = schema
        self._graphql = schema.graphql
        self._reads = reads
        self._settings = settings
        self._asking = Asking(settings)
        self._known = known
        self.watch = watch
        self.documents = Documents(schema.graphql, settings)
        self._about_schema = AboutSchema(schema.graphql)
        self._meter = Meter(schema.graphql, schema.catalogue, settings)
        self._patience = Patience(settings.request_timeout)
        self.admission = Admission(settings.max_concurrent, settings.max_queued, settings.queue_timeout)
        limit = settings.budget_per_minute
        self._budgets = Budgets(limit, settings.redis_url) if limit else None
        self.execution = Execution(schema)
        self.plans = self._no_plans()
        self.shape = ShapeWatch(reads.primary, self.learn)
        known.check(self.documents)

    async def close(self) -> None:
        """Lets go of what is not the database's."""
        if self._budgets:
            await self._budgets.close()

    def learn(self, missing: Missing, facts: Facts) -> None:
        """What the database lacks and how large it is, once it could be asked."""
        self.access = Access(missing, facts)
        self.learned = True
        self.plans = self._no_plans()

    def learn_facts(self, facts: Facts) -> None:
        """How large the database is, as it grows."""
        known = self.access.facts
        self.access.learn(facts)
        if facts.reads_like(known):
            self.plans.forget_prices()
        else:
            self.plans = self._no_plans()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = f"{getrandbits(128):032x}"  # tells requests apart, and guards nothing
        current_request_id.set(request_id)
        started = time.perf_counter()
        given = headers_of(scope)
        call = Call(request_id)
        call.by_get = scope["method"] == "GET"
        media = GRAPHQL_RESPONSE
        answer: dict[str, Any] | list[dict[str, Any]]
        try:
            if accept := given.get(b"accept"):
                media = negotiate(accept)
            status, answer = await self._run(scope, given, receive, call)
        except RefusedError as error:
            status, answer = error.status_as(media), self._refused(error, call)
            call.headers |= error.headers
        except UnauthenticatedError as error:
            status, answer = error.status, {"errors": [call.reporter.public(error)]}
            call.headers |= error.headers
            call.entry["refused"] = [error.code]
        except DisconnectedError:
            status, answer = 499, {}
            call.entry["gone"] = True
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer, and the log the rest
            status, answer = 500, {"errors": [call.reporter.public(GraphQLError("", original_error=error))]}
        if status == 503:
            call.headers.setdefault("retry-after", "1")
        if not call.heard:
            await self._asking.linger(receive)
        body = orjson.dumps(answer)
        known = call.by_get and is_known(call.headers.get("etag"), given.get(b"if-none-match"))
        least = self._settings.compress_bytes
        accept = given.get(b"accept-encoding")
        if accept and len(body) >= least > 0 and not known and (how := encoding(accept)):
            body = await packed(body, how)
            call.headers["content-encoding"] = how
        call.entry["milliseconds"] = round((time.perf_counter() - started) * 1000, 2)
        call.entry.started = started
        self.watch.finished(scope["method"], 304 if known else status, request_id, call.entry)
        if known:
            await respond_unchanged(send, request_id, call.headers)
        else:
            await respond(send, status, body, media, request_id, call.headers)

    async def _run(
        self, scope: Scope, given: Headers, receive: Receive, call: Call
    ) -> tuple[int, dict[str, Any] | list[dict[str, Any]]]:
        """Reads a request and answers it in time."""
        leash = Leash(self._patience)
        try:
            with leash:
                authorization = given.get(b"authorization")
                call.caller = await self._authentication.authenticate(
                    None if authorization is None else authorization.decode("latin-1")
                )
                if call.caller is not ANONYMOUS:
                    call.entry["caller"] = call.caller.name
                if self._budgets:
                    call.account = account(call.caller.name, scope)
                call.heard = True
                asked = await self._asking.read(scope, given, receive)
                leash.receive = receive
                async with self.admission:
                    if isinstance(asked, list):
                        return 200, await self._batch(asked, call)
                    return await self._finish(await self._begin(asked, call, self._settings.max_cost), call)
        except TimeoutError:
            if leash.receive is None:
                seconds = self._patience.seconds
                message = f"The request did not arrive within {seconds:g} seconds."
                error = request_error(ErrorCode.REQUEST_TIMEOUT, message, limit=seconds)
                raise RefusedError(408, error, connection="close") from None
            raise self._too_late(call) from None

    def _too_late(self, call: Call) -> RefusedError:
        seconds = self._settings.request_timeout
        message = f"The request took longer than {seconds:g} seconds and was given up. Ask for less at once."
        if call.changes:
            message += " A change that was being committed may have been made: the same idempotencyKey tells."
        return RefusedError(504, request_error(ErrorCode.REQUEST_TIMEOUT, message, limit=seconds))

    async def _batch(self, batch: list[Asked], call: Call) -> list[dict[str, Any]]:
        """One answer for each request, one after another; together they may cost what one may."""
        answers: list[dict[str, Any]] = []
        room = self._settings.max_cost
        for asked in batch:
            try:
                _, answer = await self._finish(await self._begin(asked, call, room), call)
                room -= answer["extensions"]["cost"]["requested"]
            except RefusedError as error:
                answer = self._refused(error, call)
            answers.append(answer)
        call.entry["batch"] = len(batch)
        return answers

    def _refused(self, error: RefusedError, call: Call) -> dict[str, Any]:
        call.entry["refused"] = [(each.extensions or {}).get("code") for each in error.errors]
        return {"errors": [call.reporter.public(each) for each in error.errors]}

    # -- over a socket ---------------------------------------------------------------------------------------------

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue that the graph is made from."""
        return self._schema.catalogue

    async def begin(self, payload: dict[str, Any], call: Call, scope: Scope) -> Begun:
        """An operation that has come over a socket, ready to run.

        Raises:
            RefusedError: It may not.
        """
        if self._budgets:
            call.account = account(call.caller.name, scope)
        return await self._begin(self._asking.checked(payload), call, self._settings.max_cost)

    async def finish(self, begun: Begun, call: Call) -> dict[str, Any]:
        """The answer to a query or mutation, in time.

        Raises:
            RefusedError: There was too little time, or too much to do.
        """
        try:
            async with asyncio.timeout(self._settings.request_timeout), self.admission:
                _, answer = await self._finish(begun, call)
        except TimeoutError:
            raise self._too_late(call) from None
        return answer

    def followed(self, begun: Begun, call: Call) -> tuple[Topic, Mapping[str, Any]]:
        """What a subscription follows, and its arguments.

        Raises:
            GraphQLError: The caller may not read what it is about, or an argument is of another type.
        """
        known = begun.known
        (selection,) = Operation(
            self._schema.graphql, known.definition, known.fragments, begun.values
        ).root.fields.values()
        topic = TOPICS[selection.name]
        if withheld := self.access.of(call.caller.scopes).withholds([self.catalogue[topic.subject].table.fullname]):
            raise missing_object(withheld)
        return topic, selection.arguments

    def tells(self, facts: Mapping[str, str | None], call: Call) -> bool:
        """Whether a caller may know of a change."""
        return facts.get("type") not in self.access.of(call.caller.scopes).unrecorded

    async def visible(self, topic: Topic, keys: Sequence[str], call: Call) -> Collection[str]:
        """The keys of those rows that the database lets a caller see, where its policies decide too."""
        if call.caller.identity is None:
            return keys
        type_ = self.catalogue[topic.subject]
        sql = f"SELECT {type_.key[0]}::text FROM {type_.sql_name} WHERE {type_.key[0]} = ANY ($1::text[]::uuid[])"
        return {key for (key,) in await self._now(call).fetch(sql, (list(keys),))}

    def has_told(self, call: Call, position: int) -> None:
        """What a caller reads from now on is not older than what it is told, which is before this position."""
        self._reads.changed(call.caller.name, position)

    def _now(self, call: Call) -> ShortReader:
        """Reads from where changes are told of: a replica may not have them yet."""
        return ShortReader(self._reads.primary, self._settings.parallel_statements, call.caller.identity)

    def affordable(self, begun: Begun, most: int) -> int:
        """How many messages at once a budget can ever pay for; at least one, which may be refused."""
        return max(1, min(most, self._budgets.limit // max(begun.cost, 1))) if self._budgets else most

    async def pay(self, begun: Begun, messages: int, call: Call) -> None:
        """Takes the price of so many messages from the caller's budget.

        Raises:
            RefusedError: There is not so much left.
        """
        if self._budgets:
            await self._budgets.take(call.account, begun.cost * messages)

    def sameness(self, begun: Begun, call: Call) -> Hashable:
        """What messages depend on beside what has happened: they are the same for all callers where it is."""
        variables = exact_json.dumps(begun.asked.variables)
        return begun.known, variables, call.caller.scopes, call.caller.identity, self.access

    async def messages(self, begun: Begun, roots: Sequence[object], call: Call) -> list[ExecutionResult]:
        """The messages of a subscription for what has happened, in that order; rows of all of them are read together.

        Raises:
            RefusedError: There was too little time.
        """
        reads = self.access.of(call.caller.scopes)
        try:
            async with asyncio.timeout(self._settings.request_timeout):
                results = await self._messages(begun, roots, reads, call)
                if errors := [error for result in results for error in result.errors or ()]:
                    await self.shape.after(Outcome(None, errors))
                    if (anew := self.access.of(call.caller.scopes)) is not reads:
                        return await self._messages(begun, roots, anew, call)
                return results
        except TimeoutError:
            raise self._too_late(call) from None

    async def _messages(
        self, begun: Begun, roots: Sequence[object], reads: Missing, call: Call
    ) -> list[ExecutionResult]:
        known = begun.known
        operation = Operation(self._schema.graphql, known.definition, known.fragments, begun.values)
        context = self._context(reads, self._now(call), self._room(), call, operation)
        name = known.definition.name.value if known.definition.name else None
        return await asyncio.gather(
            *(self._schema.run(known.document, name, begun.asked.variables, context, root) for root in roots)
        )

    # -- one operation ---------------------------------------------------------------------------------------------

    async def _begin(self, asked: Asked, call: Call, room: int) -> Begun:
        """One operation that may cost ``room`` rows, ready to run."""
        reads = self.access.of(call.caller.scopes)
        try:
            known, values, trusted = self._prepare(asked, call)
            room = room if trusted else min(room, self._settings.max_untrusted_cost)
            plan, cost = await self._plan(known, values, reads, room)
        except RefusedDocumentError:
            if self._budgets:  # to find out has cost something, too
                await self._budgets.take(call.account, 1)
            raise
        call.entry.plan, call.entry["cost"] = plan, cost
        call.entry.planned = time.perf_counter()
        left = await self._budgets.take(call.account, cost) if self._budgets else None
        return Begun(asked, known, values, plan, cost, reads, left)

    def _reader(self, call: Call, after: int | None = None) -> ShortReader:
        caller = call.caller
        return self._reads.reader(self._settings.parallel_statements, caller.name, after, caller.identity)

    def _context(self, reads: Missing, reader: ShortReader, room: Room, call: Call, operation: Operation) -> Context:
        return Context(
            operation,
            Loaders(
                self._schema.catalogue,
                reader,
                reads,
                self.access.facts_of(reads),
                room,
                compiles=self.plans.compiles,
            ),
            call.caller,
            call.id,
            begin=partial(self._changes.open, call.caller.identity),
            key_hours=self._settings.idempotency_hours,
        )

    def _room(self) -> Room:
        return Room(self._settings.max_answer_bytes)

    async def _finish(self, begun: Begun, call: Call) -> tuple[int, dict[str, Any]]:
        """Its answer, with its status."""
        asked, cost, left = begun.asked, begun.cost, begun.left
        reader = self._reader(call, asked.after)
        started = time.perf_counter()
        try:
            result = await self._answer(begun, reader, call)
            fallback = result.fallback
            if (result.errors or fallback) and (anew := await self._planned_anew(begun, result, call)):
                result = await self._answer(anew, reader, call)
                fallback = result.fallback or fallback
        except BaseException:  # given up: what was taken is gone, and so is what was used beyond it
            if self._budgets and left:
                beyond = max(cost, 1) - used(reader.rows, 0, time.perf_counter() - started)
                self._budgets.settle(call.account, min(beyond, 0))
            raise
        call.entry.count(result.compiled, reader.statements, reader.rows)
        if fallback:
            call.entry["fallback"] = fallback
        status, answer = _judged(result, call)
        price: dict[str, Any] = {
            "requested": cost,
            "actual": reader.rows,
            "statements": reader.statements,
            "rows": reader.rows,
        }
        if self._budgets and left:
            unused = max(cost, 1) - used(reader.rows, result.size, time.perf_counter() - started)
            self._budgets.settle(call.account, unused)
            price["budget"] = left.public(given_back=unused)
        if call.by_get:
            self._tag(asked, answer, call)
        answer["extensions"] = {"cost": price}
        if result.cut:
            answer["extensions"]["more"] = [
                {"path": path, "lists": lists} for path, lists in sorted(result.cut.items())
            ]
        if reader.position is not None:
            answer["extensions"]["position"] = position_text(reader.position)
        return status, answer

    async def _answer(self, begun: Begun, reader: ShortReader, call: Call) -> Outcome:
        asked, known, values, plan, _, reads, _ = begun
        room = self._room()
        context = partial(self._context, reads, reader, room, call)
        try:
            if plan.statement is None and self._about_schema.concerns(known, plan):
                return await self._about_schema.answer(known, plan, asked.variables)
            result = await self.execution.run(known, plan, asked.variables, values, reader, context)
        finally:
            if call.changes:
                self._reads.changed(call.caller.name, reader.position)
        room.taken += result.size
        result.size = room.taken
        if room.is_full and not call.changes:  # what was changed is told, without what had no room
            return Outcome(None, [too_large(room.most)], size=room.taken, fallback=result.fallback)
        return result

    async def _planned_anew(self, begun: Begun, result: Outcome, call: Call) -> Begun | None:
        """The operation again, where it failed by a shape that the database had before, and has changed nothing."""
        if call.changes and any(value is not None for value in (result.data or {}).values()):
            return None
        await self.shape.after(result)
        reads = self.access.of(call.caller.scopes)
        if reads is begun.reads:
            return None
        try:
            plan, _ = self.plans.kept(begun.known, begun.values, reads) or await self.plans.made(
                begun.known, begun.values, reads
            )
        except GraphQLError:  # it would cost too much now
            return None
        return begun._replace(plan=plan, reads=reads)

    def _prepare(self, asked: Asked, call: Call) -> tuple[KnownOperation, VariableValues, bool]:
        """Parses, validates and checks the variables, before anything runs; and whether the document is trusted."""
        text = self._known.text(asked)
        if not self._settings.introspection:
            call.reporter.sent = text + exact_json.dumps(asked.variables).decode()
        document = self.documents.get(text)
        if asked.hash:
            self._known.register(asked, text)
        known = document.asked.get(asked.operation_name) or self._operation(document, asked.operation_name)
        call.entry.query, call.entry.kind = text, known.kind
        call.entry["operation"] = known.name and known.name[:80]
        if known.kind != "query":
            self._look_at_kind(known.kind, call)
        if known.objects:
            check_objects(known.objects, asked.variables)
        values = variable_values(
            self._graphql, known, asked.variables, MAX_ERRORS, hide=not self._settings.introspection
        )
        if isinstance(values, list):
            raise RefusedDocumentError(*values)
        return known, values, self._known.is_trusted(text)

    def _look_at_kind(self, kind: str, call: Call) -> None:
        if kind == "subscription" and not call.by_socket:
            raise RefusedDocumentError(GatewayError(ErrorCode.SUBSCRIPTION_OVER_HTTP))
        if call.by_get:
            message = f"A {kind} changes something and cannot be sent by GET; use POST."
            raise RefusedError(405, request_error(ErrorCode.METHOD_NOT_ALLOWED, message), allow="POST")
        call.changes = kind == "mutation"

    def _operation(self, document: Document, name: str | None) -> KnownOperation:
        try:
            known = self.plans.asked(document.ast, document.operation(name), document.fragments)
        except GatewayError as error:
            raise RefusedDocumentError(error) from None
        document.asked[name] = known
        return known

    async def _plan(self, known: KnownOperation, values: VariableValues, reads: Missing, room: int) -> tuple[Plan, int]:
        try:
            plan, cost = self.plans.kept(known, values, reads) or await self.plans.made(known, values, reads)
        except GraphQLError as error:
            raise RefusedDocumentError(error) from None
        if cost > room:
            advice = "Lower `first` on the lists along the path, or ask in requests of their own."
            if room == self._settings.max_untrusted_cost:
                advice = "Only trusted documents may ask for more. Lower `first` on the lists along the path."
            raise RefusedDocumentError(refuse(ErrorCode.COST_LIMIT, room, cost, advice))
        return plan, cost

    def _tag(self, asked: Asked, answer: dict[str, Any], call: Call) -> None:
        """What is read by a document's id can be kept by the client, and asked for again by its tag."""
        if "errors" in answer or not (asked.document_id or asked.hash):
            call.headers["cache-control"] = "no-store"
            return
        data = orjson.dumps(answer["data"])
        answer["data"] = orjson.Fragment(data)
        seconds = self._settings.cache_seconds
        lasting = f"max-age={seconds}" if seconds else "no-cache"
        whose = "public" if call.caller is ANONYMOUS else "private"
        call.headers |= {"etag": entity_tag(data), "cache-control": f"{whose}, {lasting}"}

    def _measure(self, operation: Operation, reads: Missing) -> int:
        return self._meter.measure(operation, self.access.facts_of(reads))

    def _no_plans(self) -> Plans:
        return Plans(
            self._schema.graphql,
            self._schema.catalogue,
            self._measure,
            Indexes(self.access.facts),
            Sizes(self.access.facts, self._settings.max_answer_bytes),
            compiles=self._settings.compiler,
        )


def _judged(result: Outcome, call: Call) -> tuple[int, dict[str, Any]]:
    """Status and body: a database that is away for every root is 503, so that proxies and clients try again."""
    if not result.errors:
        return 200, {"data": result.data}
    errors = [call.reporter.public(error) for error in result.errors]
    codes = {error["extensions"]["code"] for error in errors}
    call.entry["errors"] = sorted(codes)
    answered = result.data is not None and any(value is not None for value in result.data.values())
    if not answered and codes <= {ErrorCode.DATABASE_UNAVAILABLE, ErrorCode.OVERLOADED}:
        return 503, {"errors": errors[:1], "data": None}
    return 200, {"errors": errors, "data": result.data}

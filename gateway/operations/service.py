"""The service that prepares, charges, executes and finishes an operation, independent of transports.

A transport makes a `Call` for each request (its caller, its connection, the kinds of operations it supports) and gets
an `Answer` to the request's `Parameters`, a stream of messages, or a refusal::

    call = Call(id_)
    call.caller = caller
    answer = await service.run(service.parameters(payload), call)
    service.finished(call, "MCP", 200)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from graphql import OperationType

from db.attach.facts import Facts
from db.engine.log_positions import position_text
from db.engine.readers import ShortReader
from db.engine.replica import Reads
from db.engine.transaction import Transactions
from gateway.auth.permissions import Access
from gateway.operations.answer import Answer, LiveMessage, answer_of, more_of
from gateway.operations.budgets import ANONYMOUS, Budgets, account, used
from gateway.operations.call import Call
from gateway.operations.cost import POINT, Price
from gateway.operations.deadline import Deadline, Deadlines
from gateway.operations.documents import Documents
from gateway.operations.embeddings import Embeddings
from gateway.operations.limiter import RequestLimiter
from gateway.operations.observers import Observer, Observers
from gateway.operations.persisted import DocumentRegistry
from gateway.operations.planner import PlannedOperation, Planner
from gateway.operations.recordings import LineBatches
from gateway.operations.refusals import RefusedDocumentError, RefusedError, misled, too_late
from gateway.operations.request import Parameters, parameters_of
from gateway.operations.runner import Runner
from gateway.operations.shape import ShapeWatch
from gateway.operations.subscription import Subscriptions
from gateway.operations.tables import TableAnswer, TableService
from gateway.settings import Settings
from gateway.subscriptions.feed import ChangeFeed
from schema.catalogue.value_sizes import too_large
from schema.error_codes import ErrorCode
from schema.errors import GatewayError
from schema.execution.plans import Plans
from schema.runner import Execution, Outcome
from schema.schema import Schema
from schema.search.texts import searching_by
from schema.webhooks.manager import WebhookManager

TIMEOUT_FACTOR = 5
"""The factor by which Postgres may be slower than a point says, before an operation is ended that depends on it."""


class OperationService:
    """Answers operations for all transports, within the limits of the settings."""

    def __init__(
        self,
        schema: Schema,
        reads: Reads,
        changes: Transactions,
        feed: ChangeFeed,
        webhooks: WebhookManager,
        settings: Settings,
        registry: DocumentRegistry,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._settings = settings
        self._most = settings.max_answer_bytes
        self._parallel = settings.parallel_statements
        self._reads = reads
        self._observers = Observers(observers)
        self.finished = self._observers.finished
        """Called by a transport when it has answered a request; see `Observer.finished`."""
        self.planner = Planner(schema, settings, registry)
        self._runner = Runner(schema, self.planner, reads, changes, webhooks, settings)
        limit = settings.budget_per_minute
        self._budgets = Budgets(limit, settings.redis_url) if limit else None
        self.deadlines = Deadlines(settings.request_timeout)
        """The deadlines of requests; `too_late` makes the refusal of an expired one."""
        self.limiter = RequestLimiter(settings.max_concurrent, settings.queue_timeout, settings.max_queued)
        self._tables = TableService(schema, self.planner, self._runner, reads, self._budgets, settings)
        self.recordings = LineBatches(schema, self.planner, reads, changes, self._runner.shape, self._budgets, settings)
        """Records rows that are sent as lines."""
        self.embeddings = Embeddings(schema.catalogue, reads, lambda: self.planner.access.missing, settings)
        """Provides the vectors of search texts."""
        self.heavy = RequestLimiter(max(1, settings.max_concurrent // 2), queue=0)
        """Limits expensive requests: they queue for connections, and leave some to cheap ones."""
        self._subscriptions = Subscriptions(
            schema, self.planner, self._runner, feed, self._budgets, self._observers, settings
        )

    async def close(self) -> None:
        """Closes what is not part of the database."""
        await self.embeddings.close()
        if self._budgets:
            await self._budgets.close()

    # -- what is known ---------------------------------------------------------------------------------------------

    @property
    def access(self) -> Access:
        """The read permissions of callers."""
        return self.planner.access

    @property
    def plans(self) -> Plans:
        """The cached plans."""
        return self.planner.plans

    @property
    def documents(self) -> Documents:
        """The cached documents."""
        return self.planner.documents

    @property
    def execution(self) -> Execution:
        """The executor of plans."""
        return self._runner.execution

    @property
    def shape(self) -> ShapeWatch:
        """The watch for changes of the database's schema."""
        return self._runner.shape

    def learn_facts(self, facts: Facts) -> None:
        """Updates the size of the database."""
        self.planner.learn_facts(facts)

    # -- one operation ---------------------------------------------------------------------------------------------

    def parameters(self, given: Any) -> Parameters:
        """The parameters of a request.

        Raises:
            RefusedError: They are malformed, or too large.
        """
        return parameters_of(given, self._settings)

    def operation(self, call: Call) -> AbstractContextManager[None]:
        """Surrounds an operation of a transport whose connections carry several at once."""
        return self._observers.operation(call)

    def tool(self, call: Call, name: str) -> AbstractContextManager[None]:
        """Surrounds a call of an agent's tool."""
        return self._observers.tool(call, name)

    async def run(self, parameters: Parameters, call: Call) -> Answer:
        """The response to a query or mutation, from parsing on.

        Raises:
            RefusedError: It may not be executed, or exceeded its timeout.
        """
        planned = await self.begin(parameters, call)
        if self.streams(planned):
            raise RefusedDocumentError(GatewayError(ErrorCode.SUBSCRIPTION_OVER_HTTP))
        return await self.answer(planned, call)

    async def begin(self, parameters: Parameters, call: Call, room: int | None = None) -> PlannedOperation:
        """An operation that is planned and charged; its cost may be ``room`` rows, if that is below the limit.

        Raises:
            RefusedError: It may not be executed.
        """
        budgets = self._budgets
        if budgets and not call.account:
            name = call.caller.name
            call.account = account(name, call.address if name == ANONYMOUS else None)
        try:
            planned = await self.planner.plan(parameters, call, self._settings.max_cost if room is None else room)
        except RefusedDocumentError:
            if budgets:  # planning has a cost, too
                await budgets.take(call.account, 1)
            raise
        record = call.record
        record.plan, record["cost"] = planned.plan, planned.cost
        for tell in self._observers.of_plans:
            tell(call)
        if budgets:
            call.left = await budgets.take(call.account, planned.cost)
        return planned

    async def answer(self, planned: PlannedOperation, call: Call) -> Answer:
        """The response to a prepared query or mutation, within its deadline and the limits of concurrency.

        Raises:
            RefusedError: It exceeded its timeout, or the gateway is overloaded.
        """
        try:
            with Deadline(self.deadlines) as deadline:
                deadline.client_left = call.client_left
                async with self.limiter:
                    return await self.finish(planned, call)
        except TimeoutError:
            raise self.too_late(call) from None

    async def finish(self, planned: PlannedOperation, call: Call) -> Answer:
        """The response to a prepared query or mutation, within the limits of concurrency; the caller sets the
        deadline."""
        caller = call.caller
        reader = self._reads.reader(self._parallel, caller.name, planned.parameters.after, caller.identity)
        price = planned.cost
        if isinstance(price, Price) and price.worst > self._settings.max_cost:
            return await self._expected(planned, call, reader, price.path)
        return await self._in_lane(planned, call, reader)

    async def _in_lane(self, planned: PlannedOperation, call: Call, reader: ShortReader) -> Answer:
        if planned.cost < self._settings.heavy_cost:
            return await self._finish(planned, call, reader)
        reader.heavy = True
        async with self.heavy:
            return await self._finish(planned, call, reader)

    async def _expected(self, planned: PlannedOperation, call: Call, reader: ShortReader, path: str) -> Answer:
        """The response to an operation that is admitted by what statistics let expect; it is ended after
        `TIMEOUT_FACTOR` times the seconds of the highest price that is admitted otherwise."""
        seconds = round(TIMEOUT_FACTOR * POINT * self._settings.max_cost, 6)
        try:
            async with asyncio.timeout(seconds) as ended:
                return await self._in_lane(planned, call, reader)
        except TimeoutError:
            if ended.expired():
                raise misled(seconds, path) from None
            raise

    async def _finish(self, planned: PlannedOperation, call: Call, reader: ShortReader) -> Answer:
        left = call.left
        started = time.perf_counter()
        try:
            run = self._searched if planned.plan.texts else self._ran
            result = await run(planned, reader, call)
        except BaseException:  # cancelled: what was charged is kept, and usage beyond it is charged
            if self._budgets and left:
                beyond = max(planned.cost, 1) - used(reader.rows, 0, time.perf_counter() - started)
                self._budgets.settle(call.account, min(beyond, 0))
            raise
        most = self._most
        if result.size > most and not call.changes:  # changes are made by then, and told
            result = Outcome(None, [too_large(most)], size=result.size, fallback=result.fallback)
        record = call.record
        record.count(result.compiled, reader.statements, reader.rows)
        if result.fallback:
            record["fallback"] = result.fallback
        answer = answer_of(result, call)
        price: dict[str, Any] = {
            "requested": planned.cost,
            "actual": reader.rows,
            "statements": reader.statements,
            "rows": reader.rows,
        }
        if self._budgets and left:
            least = planned.cost if planned.known.records else 0  # recording rows has a cost even if none is read
            unused = max(planned.cost, 1) - max(used(reader.rows, result.size, time.perf_counter() - started), least)
            self._budgets.settle(call.account, unused)
            price["budget"] = left.public(given_back=unused)
        extensions: dict[str, Any] = {"cost": price}
        answer.body["extensions"] = extensions
        if result.cut:
            extensions["more"] = more_of(result.cut)
        if result.rolled_up:
            extensions["rollup"] = result.rolled_up
        if reader.position is not None:
            extensions["position"] = position_text(reader.position)
        return answer

    async def _ran(self, planned: PlannedOperation, reader: ShortReader, call: Call) -> Outcome:
        result = await self._runner.run(planned, reader, call)
        if result.errors or result.fallback:
            result = await self._runner.run_again(planned, result, reader, call)
        return result

    async def _searched(self, planned: PlannedOperation, reader: ShortReader, call: Call) -> Outcome:
        """Runs an operation that searches by texts, once they have vectors."""
        call.record["texts"] = len(planned.plan.texts)
        with searching_by(await self.embeddings.of(planned)):
            return await self._ran(planned, reader, call)

    def streams(self, planned: PlannedOperation) -> bool:
        """Whether an operation is a subscription, which has messages in place of a response."""
        return planned.known.definition.operation is OperationType.SUBSCRIPTION

    def messages(self, planned: PlannedOperation, call: Call) -> AsyncGenerator[Sequence[LiveMessage]]:
        """The messages of a prepared subscription; see `Subscriptions.messages`."""
        return self._subscriptions.messages(planned, call)

    def table(self, planned: PlannedOperation, call: Call, media: str) -> TableAnswer:
        """A prepared operation, to be answered as a table of a media type in `table_formats.FORMATS`.

        Raises:
            RefusedError: It cannot be a table.
        """
        return TableAnswer(self._tables, planned, call, media)

    def too_late(self, call: Call) -> RefusedError:
        """The refusal of an operation whose deadline has passed."""
        return too_late(self._settings.request_timeout, changes=call.changes)

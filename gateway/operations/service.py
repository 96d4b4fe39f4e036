"""The service that begins, prices, runs and finishes an operation; transports are its clients, and it knows none.

A transport makes a `Call` for each request (who asks, over what connection, which kinds of operations it carries) and
gets an `Answer` to the request's `Parameters`, a stream of messages, or a refusal::

    call = Call(id_)
    call.caller = caller
    answer = await service.run(service.parameters(payload), call)
    service.finished(call, "MCP", 200)
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from graphql import OperationType

from db.attach.facts import Facts
from db.engine.engine import ShortReader
from db.engine.replica import Reads, position_text
from db.engine.transaction import Transactions
from gateway.auth.permissions import Access
from gateway.operations.answer import Answer, LiveMessage, answer_of
from gateway.operations.budgets import ANONYMOUS, Budgets, account, used
from gateway.operations.call import Call
from gateway.operations.deadline import Deadline, Deadlines
from gateway.operations.documents import Documents
from gateway.operations.embeddings import Embeddings
from gateway.operations.limiter import RequestLimiter
from gateway.operations.observers import Observer, Observers
from gateway.operations.persisted import DocumentRegistry
from gateway.operations.planner import PlannedOperation, Planner
from gateway.operations.recordings import LineBatches
from gateway.operations.refusals import RefusedDocumentError, RefusedError, too_late
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
        """Is called by a transport when it has answered a request; see `Observer.finished`."""
        self.planner = Planner(schema, settings, registry)
        self._runner = Runner(schema, self.planner, reads, changes, webhooks, settings)
        limit = settings.budget_per_minute
        self._budgets = Budgets(limit, settings.redis_url) if limit else None
        self.deadlines = Deadlines(settings.request_timeout)
        """For each `Deadline` around a request; `too_late` says to clients that it is over."""
        self.limiter = RequestLimiter(settings.max_concurrent, settings.queue_timeout, settings.max_queued)
        self._tables = TableService(schema, self.planner, self._runner, reads, self._budgets, settings)
        self.recordings = LineBatches(schema, self.planner, reads, changes, self._runner.shape, self._budgets, settings)
        """Records rows that come as lines."""
        self.embeddings = Embeddings(schema.catalogue, reads, lambda: self.planner.access.missing, settings)
        """Makes vectors of the texts that operations search by."""
        self.heavy = RequestLimiter(max(1, settings.max_concurrent // 2), queue=0)
        """For requests that are heavy by their price: they wait for connections, and leave places to light ones."""
        self._subscriptions = Subscriptions(
            schema, self.planner, self._runner, feed, self._budgets, self._observers, settings
        )

    async def close(self) -> None:
        """Lets go of what is not the database's."""
        await self.embeddings.close()
        if self._budgets:
            await self._budgets.close()

    # -- what is known ---------------------------------------------------------------------------------------------

    @property
    def access(self) -> Access:
        """What each caller may read."""
        return self.planner.access

    @property
    def plans(self) -> Plans:
        """The plans that are kept."""
        return self.planner.plans

    @property
    def documents(self) -> Documents:
        """The documents that are kept."""
        return self.planner.documents

    @property
    def execution(self) -> Execution:
        """What runs plans."""
        return self._runner.execution

    @property
    def shape(self) -> ShapeWatch:
        """What notices that the database has another shape."""
        return self._runner.shape

    def learn_facts(self, facts: Facts) -> None:
        """How large the database is, as it grows."""
        self.planner.learn_facts(facts)

    # -- one operation ---------------------------------------------------------------------------------------------

    def parameters(self, given: Any) -> Parameters:
        """The parameters of a request as they were sent.

        Raises:
            RefusedError: They are none of GraphQL's, or too large.
        """
        return parameters_of(given, self._settings)

    def operation(self, call: Call) -> AbstractContextManager[None]:
        """Around an operation of a transport on whose connections there are several at once."""
        return self._observers.operation(call)

    def tool(self, call: Call, name: str) -> AbstractContextManager[None]:
        """Around the call of an agent's tool."""
        return self._observers.tool(call, name)

    async def run(self, parameters: Parameters, call: Call) -> Answer:
        """The answer to a query or mutation, from the beginning.

        Raises:
            RefusedError: It may not run, or there was too little time.
        """
        planned = await self.begin(parameters, call)
        if self.streams(planned):
            raise RefusedDocumentError(GatewayError(ErrorCode.SUBSCRIPTION_OVER_HTTP))
        return await self.answer(planned, call)

    async def begin(self, parameters: Parameters, call: Call, room: int | None = None) -> PlannedOperation:
        """An operation that is planned, priced and paid for; it may cost ``room`` rows, if that is less than the limit.

        Raises:
            RefusedError: It may not run.
        """
        budgets = self._budgets
        if budgets and not call.account:
            name = call.caller.name
            call.account = account(name, call.address if name == ANONYMOUS else None)
        try:
            planned = await self.planner.plan(parameters, call, self._settings.max_cost if room is None else room)
        except RefusedDocumentError:
            if budgets:  # to find out has cost something, too
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
        """The answer to a query or mutation that is begun, in its turn and in time.

        Raises:
            RefusedError: There was too little time, or too much to do.
        """
        try:
            with Deadline(self.deadlines) as deadline:
                deadline.client_left = call.client_left
                async with self.limiter:
                    return await self.finish(planned, call)
        except TimeoutError:
            raise self.too_late(call) from None

    async def finish(self, planned: PlannedOperation, call: Call) -> Answer:
        """The answer to a query or mutation, once it has its turn; its caller has a deadline around it."""
        caller = call.caller
        reader = self._reads.reader(self._parallel, caller.name, planned.parameters.after, caller.identity)
        if planned.cost >= self._settings.heavy_cost:
            reader.heavy = True
            async with self.heavy:
                return await self._finish(planned, call, reader)
        return await self._finish(planned, call, reader)

    async def _finish(self, planned: PlannedOperation, call: Call, reader: ShortReader) -> Answer:
        left = call.left
        started = time.perf_counter()
        try:
            run = self._searched if planned.plan.texts else self._ran
            result = await run(planned, reader, call)
        except BaseException:  # given up: what was taken is gone, and so is what was used beyond it
            if self._budgets and left:
                beyond = max(planned.cost, 1) - used(reader.rows, 0, time.perf_counter() - started)
                self._budgets.settle(call.account, min(beyond, 0))
            raise
        most = self._most
        if result.size > most and not call.changes:  # what was changed is told, without what had no room
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
            least = planned.cost if planned.known.records else 0  # rows that are recorded are work, if none is read
            unused = max(planned.cost, 1) - max(used(reader.rows, result.size, time.perf_counter() - started), least)
            self._budgets.settle(call.account, unused)
            price["budget"] = left.public(given_back=unused)
        extensions: dict[str, Any] = {"cost": price}
        answer.body["extensions"] = extensions
        if result.cut:
            extensions["more"] = [{"path": path, "lists": lists} for path, lists in sorted(result.cut.items())]
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
        """Whether an operation is a subscription, whose messages are asked for in place of an answer."""
        return planned.known.definition.operation is OperationType.SUBSCRIPTION

    def messages(self, planned: PlannedOperation, call: Call) -> AsyncGenerator[LiveMessage]:
        """The messages of a subscription that is begun; see `Subscriptions.messages`."""
        return self._subscriptions.messages(planned, call)

    def table(self, planned: PlannedOperation, call: Call, media: str) -> TableAnswer:
        """An operation that is begun, to be answered as a table of a media type of `WRITERS`.

        Raises:
            RefusedError: It is no table.
        """
        return TableAnswer(self._tables, planned, call, media)

    def too_late(self, call: Call) -> RefusedError:
        """What is said of an operation whose time is over."""
        return too_late(self._settings.request_timeout, changes=call.changes)

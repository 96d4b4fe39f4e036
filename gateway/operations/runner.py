"""Runs planned operations: readers, contexts, and a retry if the database's schema has changed since planning."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from copy import copy
from functools import partial

from graphql import DocumentNode, GraphQLError

from db.engine.readers import ShortReader, snapshot
from db.engine.replica import Reads
from db.engine.transaction import Transactions
from gateway.context import Context
from gateway.operations.answer import LiveMessage
from gateway.operations.call import Call
from gateway.operations.introspection import AboutSchema
from gateway.operations.planner import PlannedOperation, Planner
from gateway.operations.shape import ShapeWatch
from gateway.settings import Settings
from schema.catalogue.records import Missing
from schema.catalogue.selection import Operation
from schema.catalogue.value_sizes import Room
from schema.error_codes import ErrorCode
from schema.execution.loaders import Loaders
from schema.runner import Execution, Outcome
from schema.schema import Schema
from schema.webhooks.manager import WebhookManager


class Runner:
    """Runs planned operations: queries through ``reads``, mutations through ``changes``."""

    def __init__(
        self,
        schema: Schema,
        planner: Planner,
        reads: Reads,
        changes: Transactions,
        webhooks: WebhookManager,
        settings: Settings,
    ) -> None:
        self.execution = Execution(schema)
        self.reads = reads
        self.shape = ShapeWatch(reads.primary, planner.learn)
        self._schema = schema
        self._planner = planner
        self._changes = changes
        self._webhooks = webhooks
        self._settings = settings
        self._about_schema = AboutSchema(schema.graphql)

    def run(self, planned: PlannedOperation, reader: ShortReader, call: Call) -> Awaitable[Outcome]:
        """The outcome of an operation."""
        parameters, known, values, plan, _, reads = planned
        if plan.statement is None and self._about_schema.concerns(known, plan):
            return self._about_schema.answer(known, plan, dict(known.given(parameters.variables)))
        context = partial(self._context, reads, reader, call)
        running = self.execution.run(known, plan, values, reader, context)
        return self._change(running, reader, call) if call.changes else running

    async def _change(self, running: Awaitable[Outcome], reader: ShortReader, call: Call) -> Outcome:
        """Runs a mutation; afterwards its caller reads no older state, however it ended."""
        try:
            return await running
        finally:
            self.reads.changed(call.caller.name, reader.position)

    async def run_again(self, planned: PlannedOperation, result: Outcome, reader: ShortReader, call: Call) -> Outcome:
        """The outcome of a second attempt after the schema has changed, if the first failed by that and changed
        nothing."""
        changed = any(value is not None for value in (result.data or {}).values())
        if call.changes and (changed or any(_may_be_made(error) for error in result.errors or ())):
            return result
        await self.shape.after(result)
        anew = await self._planner.again(planned, call)
        if anew is None:
            return result
        fallback = result.fallback
        result = await self.run(anew, reader, call)
        result.fallback = result.fallback or fallback
        return result

    async def messages(self, planned: PlannedOperation, roots: Sequence[object], call: Call) -> list[LiveMessage]:
        """The messages of a subscription for some changes, in their order; their rows are read together."""
        access = self._planner.access
        reads = access.of(call.caller.scopes)
        results = await self._messages(planned, roots, reads, call)
        if errors := [error for result in results for error in result.errors or ()]:
            await self.shape.after(Outcome(None, errors))
            if (anew := self._planner.access.of(call.caller.scopes)) is not reads:
                return await self._messages(planned, roots, anew, call)
        return results

    async def _messages(
        self, planned: PlannedOperation, roots: Sequence[object], reads: Missing, call: Call
    ) -> list[LiveMessage]:
        known = planned.known
        operation = Operation(self._schema.graphql, known.definition, known.fragments, planned.values)
        context = self._context(reads, self.reader_of_now(call), call, operation)
        name = known.definition.name.value if known.definition.name else None
        return await asyncio.gather(*(self._message(known.document, name, context, root) for root in roots))

    async def _message(self, document: DocumentNode, name: str | None, shared: Context, root: object) -> LiveMessage:
        context = copy(shared)
        context.loaders = shared.loaders.counting()
        result = await self._schema.run(document, name, context, root)
        return LiveMessage(result.data, result.errors, context.loaders.cut)

    def reader_of_now(self, call: Call) -> ShortReader:
        """A reader of the database whose log is followed: a replica may lag behind."""
        return ShortReader(self.reads.primary, self._settings.parallel_statements, call.caller.identity)

    def _context(self, reads: Missing, reader: ShortReader, call: Call, operation: Operation) -> Context:
        planner = self._planner
        context = Context(
            operation,
            Loaders(
                self._schema.catalogue,
                reader,
                reads,
                planner.access.facts_of(reads),
                Room(self._settings.max_answer_bytes),
                compiles=planner.plans.compiles,
            ),
            call.caller,
            call.id,
            begin=partial(self._changes.open, call.caller.identity),
            key_hours=self._settings.idempotency_hours,
            after=partial(snapshot, self.reads.primary, call.caller.identity),
            webhooks=self._webhooks,
            answer_timeout=min(self._settings.change_read_timeout, self._settings.statement_timeout),
        )
        context.seen = call.seen
        return context


def _may_be_made(error: GraphQLError) -> bool:
    """Whether a change without an answer may have been committed."""
    return (error.extensions or {}).get("code") in {ErrorCode.ANSWER_UNREAD, ErrorCode.OUTCOME_UNKNOWN}

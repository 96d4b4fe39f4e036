"""Tables: all rows of a connection, in a table format, from one snapshot, at the pace of the client.

The cost of a table is that of its pages, once its rows are counted. Tables have a concurrency limit and a timeout of
their own, because each holds a database connection until it is read.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from graphql import GraphQLError, OperationType

from db.engine.copying import copying
from db.engine.errors import DatabaseError, InvalidValueError
from db.engine.readers import ShortReader
from db.engine.replica import Reads
from gateway.operations.budgets import Budgets, used
from gateway.operations.call import Call
from gateway.operations.deadline import Deadline, Deadlines
from gateway.operations.limiter import RequestLimiter
from gateway.operations.planner import PlannedOperation, Planner
from gateway.operations.refusals import RefusedDocumentError, RefusedError, refuse, request_error, too_late
from gateway.operations.runner import Runner
from gateway.operations.table_formats import TableWriter, writer_of
from gateway.settings import Settings
from schema.catalogue.selection import Operation, Selection
from schema.error_codes import ErrorCode
from schema.execution.tables import Table, Tables, connection_of, not_a_table, size_of
from schema.execution.unreadable import unreadable
from schema.runner import Outcome
from schema.schema import Schema
from schema.sql.indexes import Indexes

GO_ON = "Read `first` rows at a time, with `edges { cursor node { ... } }`, and continue with `after`, the last cursor."

Begin = Callable[[int], Awaitable[None]]
"""Takes the number of rows, before the first of them."""
Write = Callable[[bytes], Awaitable[None]]


class TableService:
    """Answers operations as tables."""

    def __init__(
        self,
        schema: Schema,
        planner: Planner,
        runner: Runner,
        reads: Reads,
        budgets: Budgets | None,
        settings: Settings,
    ) -> None:
        self.settings = settings
        self.planner = planner
        self.runner = runner
        self.reads = reads
        self.budgets = budgets
        self.deadlines = Deadlines(settings.table_timeout)
        self.limiter = RequestLimiter(settings.max_tables, settings.queue_timeout, settings.max_queued)
        self._schema = schema

    def table(self, planned: PlannedOperation) -> tuple[Selection, Table]:
        """The root connection of an operation, and its table.

        Raises:
            RefusedError: It cannot be a table, an argument is invalid, or tables are disabled.
        """
        known = planned.known
        if not self.settings.max_tables:
            message = "This gateway writes no tables (GATEWAY_MAX_TABLES is 0); read pages of JSON."
            raise RefusedError(406, request_error(ErrorCode.NOT_ACCEPTABLE, message))
        try:
            if known.definition.operation is not OperationType.QUERY:
                raise not_a_table(f"This is a {known.kind}.")
            operation = Operation(self._schema.graphql, known.definition, known.fragments, planned.values)
            selection = connection_of(operation, self._schema.catalogue)
        except GraphQLError as error:
            raise RefusedDocumentError(error) from None
        try:
            tables = Tables(self._schema.catalogue, planned.reads, Indexes(self.planner.access.facts))
            return selection, tables.table(selection, self.settings.max_table_rows)
        except GraphQLError as error:
            raise RefusedDocumentError(selection.located(error)) from None


class TableAnswer:
    """A prepared operation, to be answered as a table."""

    begun = False
    """Whether its first bytes were written."""

    def __init__(self, service: TableService, planned: PlannedOperation, call: Call, media: str) -> None:
        """Raises:
        RefusedError: It cannot be a table, an argument is invalid, or the format's library is missing.
        """
        self._service = service
        self._planned = planned
        self._call = call
        self._selection, self._table = service.table(planned)
        self._writer: TableWriter = writer_of(media, self._table)
        self._rows = self._size = 0
        self._waited = 0.0

    async def write(self, begin: Begin, write: Write) -> None:
        """Writes the table; an exception after ``begun`` ends the response in the middle.

        Raises:
            RefusedError: It is too large or too expensive, or exceeded its timeout.
            GraphQLError: A value has no form in the format, the database cannot read an argument, or it failed.
        """
        self._begin, self._write = begin, write
        service, call, table = self._service, self._call, self._table
        try:
            with Deadline(service.deadlines) as deadline:
                deadline.client_left = call.client_left
                async with service.limiter:
                    reader = service.reads.reader(
                        1, call.caller.name, self._planned.parameters.after, call.caller.identity
                    )
                    try:
                        await self._run(reader)
                    except InvalidValueError as error:
                        table = self._table
                        raise await unreadable(error, reader, table.where, table.positions) from error
        except TimeoutError:
            raise too_late(service.settings.table_timeout) from None
        except (GraphQLError, DatabaseError) as error:
            told = self._selection.located(error)
            await service.runner.shape.after(Outcome(None, [told]))
            raise told from error

    def failed(self, errors: Sequence[dict[str, Any]]) -> bytes:
        """The bytes by which the format reports errors in the middle of a response."""
        return self._writer.failed(errors)

    async def _run(self, reader: ShortReader) -> None:
        service, call = self._service, self._call
        async with copying(reader.engine, call.caller.identity, service.settings.table_timeout) as snapshot:
            counted, values = self._table.counted
            self._rows = await snapshot.value(counted, values)
            price = await self._pay()
            started = time.perf_counter()
            statement, values = self._writer.statement()
            try:
                await snapshot.copy(statement, values, self._take, self._writer.copied)
                await self._take(b"")
                await self._send(await self._writer.end())
            finally:
                call.record.count(1, 2, self._rows)
                seconds = time.perf_counter() - started - self._waited
                if service.budgets and call.left:  # a cancelled request is credited nothing
                    unused = price - used(self._rows, self._size, seconds)
                    service.budgets.settle(call.account, unused if snapshot.ended else min(unused, 0))

    async def _pay(self) -> int:
        """Charges the cost of the rows beyond what is charged already; returns the total.

        Raises:
            RefusedError: There are too many rows, or the budget is exceeded.
        """
        service, call, planned = self._service, self._call, self._planned
        most = self._table.most
        if size_of(self._selection) is None and self._rows > most:
            raise RefusedDocumentError(refuse(ErrorCode.TABLE_LIMIT, most, None, GO_ON, "The table has too many rows"))
        price = service.planner.price_of_rows(planned, self._selection.key, self._rows, call)
        call.record["cost"] = price
        paid = max(planned.cost, 1)
        if service.budgets and price > paid:
            call.left = await service.budgets.take(call.account, price - paid)
        return max(price, paid)

    async def _take(self, copied: bytes) -> None:
        if not self.begun:
            head = self._writer.begin()
            await self._begin(self._rows)
            self.begun = True
            await self._send(head)
        if copied:
            await self._send(await self._writer.rows(copied))

    async def _send(self, data: bytes) -> None:
        if not data:
            return
        self._size += len(data)
        if self._size > (most := self._service.settings.max_table_bytes):
            raise refuse(ErrorCode.TABLE_LIMIT, most, None, GO_ON, "The table has too many bytes")
        since = time.perf_counter()
        await self._write(data)
        self._waited += time.perf_counter() - since

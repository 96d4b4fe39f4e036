"""Batches of rows as JSON lines: options, cost and recording.

The same as the mutations that record rows, for more rows at once and without a document; independent of transports,
too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from graphql import GraphQLError

from db.engine.replica import Reads
from db.engine.transaction import Transaction, Transactions
from gateway.operations.budgets import ANONYMOUS, Budgets, account
from gateway.operations.call import Call
from gateway.operations.cost import batch_price
from gateway.operations.limiter import RequestLimiter
from gateway.operations.planner import Planner
from gateway.operations.refusals import RefusedError, refuse, request_error
from gateway.operations.shape import ShapeWatch
from gateway.settings import Settings
from schema.changes.mutation_steps import Surroundings
from schema.changes.refusals import Refused
from schema.changes.results import Problem
from schema.error_codes import ErrorCode
from schema.execution.change_answer import commit
from schema.execution.time_slices import background
from schema.recording.answers import OnConflict, Recorded
from schema.recording.lines import LineReader, values_in
from schema.recording.problems import RowsError
from schema.recording.record_types import RecordType, batch_mutations
from schema.recording.recorder import check_caller, record, rejected
from schema.runner import Outcome
from schema.schema import Schema

MAX_LINES = 10_000
"""Rows of one batch."""


@dataclass(frozen=True)
class RequestedBatch:
    """A requested batch, without its rows."""

    mutation: str
    """The mutation that does the same."""
    type: RecordType
    conflict: str | None = None
    key: str | None = None
    dry_run: bool = False
    ids: bool = False
    """Whether the ids of the rows are returned."""


class LineBatches:
    """Records batches of lines, within the limits of the settings."""

    def __init__(
        self,
        schema: Schema,
        planner: Planner,
        reads: Reads,
        changes: Transactions,
        shape: ShapeWatch,
        budgets: Budgets | None,
        settings: Settings,
    ) -> None:
        self._schema = schema
        self._planner = planner
        self._reads = reads
        self._changes = changes
        self._shape = shape
        self._budgets = budgets
        self._settings = settings
        self._readers: dict[str, LineReader] = {}
        self.limiter = RequestLimiter(settings.max_line_batches, settings.queue_timeout, settings.max_queued)
        """Concurrent batches: each holds its lines and their rows in memory."""

    @cached_property
    def plurals(self) -> Mapping[str, tuple[str, RecordType]]:
        """The recordable types and their mutations, by list field: ``servingMetrics``."""
        return {one.type.plural: (name, one) for name, one in batch_mutations().items()}

    def asked(self, plural: str, options: Mapping[str, str], key: str | None) -> RequestedBatch:
        """A batch by the list field of its rows, with its options as strings.

        Raises:
            RefusedError: There is no such list, or an option is unknown or invalid.
        """
        if plural not in self.plurals:
            known = f" They are: {', '.join(sorted(self.plurals))}." if self._settings.introspection else ""
            error = request_error(ErrorCode.NOT_FOUND, f"No rows of the name {plural[:80]!r} are recorded here.{known}")
            raise RefusedError(404, error)
        mutation, type_ = self.plurals[plural]
        if unknown := [name for name in options if name not in {"onConflict", "dryRun", "ids"}]:
            raise _bad_option(f"There is no option {unknown[0][:80]!r}; those are onConflict, dryRun and ids.")
        conflict = options.get("onConflict")
        if conflict is not None:
            if not type_.named_by:
                raise _bad_option(f"onConflict: {type_.name} rows have no natural key; leave it out.")
            if conflict not in OnConflict.__members__:
                raise _bad_option(f"onConflict: {conflict[:80]!r} is not one of {', '.join(OnConflict.__members__)}.")
        dry_run, ids = (_flag(name, options.get(name, "false")) for name in ("dryRun", "ids"))
        return RequestedBatch(mutation, type_, conflict, key, dry_run, ids)

    def check(self, asked: RequestedBatch, call: Call) -> Problem | None:
        """The problem that keeps the caller from recording such rows; None if there is none."""
        call.changes = True
        call.record.kind, call.record["operation"] = "mutation", asked.mutation
        try:
            check_caller(asked.mutation, asked.type, (), call.caller, dry_run=asked.dry_run)
        except Refused as refused:
            return refused.problem
        return None

    async def record(self, asked: RequestedBatch, lines: Sequence[bytes], call: Call) -> Recorded | Problem:
        """Records the rows, within a deadline of the caller of this method and one of the places for batches.

        Raises:
            RefusedError: There are too many, or the budget is exceeded.
            GraphQLError: As in mutations.
            DatabaseError: The database failed; nothing was recorded.
        """
        marks = await self._pay(asked, lines, call)
        try:
            rows = await self._reader(asked.mutation).read(lines, marks)
        except RowsError as error:
            return rejected(error)
        position = None
        try:
            async with self._changes.open(call.caller.identity) as transaction:
                try:
                    answer = await self._record(asked, rows, call, transaction)
                    if transaction.wanted:
                        await commit(transaction)
                        position = transaction.position
                    else:
                        await transaction.rollback()
                finally:
                    call.record.count(0, transaction.reader.statements, transaction.reader.rows)
        except Exception as error:
            await self._shape.after(Outcome(None, [GraphQLError("", original_error=error)]))
            raise
        finally:
            self._reads.changed(call.caller.name, position)
        await _let_go(rows)
        return answer

    async def _record(
        self, asked: RequestedBatch, rows: Sequence[Any], call: Call, transaction: Transaction
    ) -> Recorded | Problem:
        reads = self._planner.access.of(call.caller.scopes)
        around = Surroundings(
            transaction, self._schema.catalogue, reads, call.caller, call.id, self._settings.idempotency_hours, None
        )
        input_ = {
            "rows": rows, "onConflict": asked.conflict, "dryRun": asked.dry_run, "idempotencyKey": asked.key
        }  # fmt: skip
        facts = self._planner.access.facts_of(reads)
        answer: Recorded | Problem = await record(
            asked.mutation, "", asked.type, input_, around, facts, keys=asked.ids, most=MAX_LINES
        )
        return answer

    async def _pay(self, asked: RequestedBatch, lines: Sequence[bytes], call: Call) -> Sequence[int]:
        """Charges the rows' cost; returns the number of values that each line may hold."""
        count = len(lines)
        if count > MAX_LINES:
            advice = "Record them in several requests."
            raise RefusedError(
                413, refuse(ErrorCode.VALUE_LIMIT, MAX_LINES, count, advice, "The batch has too many rows")
            )
        marks = await values_in(lines)
        cost = call.record["cost"] = batch_price(count, values=sum(marks), updates=asked.conflict == "UPDATE")
        if cost > self._settings.max_cost:
            advice = "Record them in several requests."
            raise RefusedError(413, refuse(ErrorCode.COST_LIMIT, self._settings.max_cost, cost, advice))
        if self._budgets:
            name = call.caller.name
            call.account = account(name, call.address if name == ANONYMOUS else None)
            call.left = await self._budgets.take(call.account, cost)
        return marks

    def _reader(self, mutation: str) -> LineReader:
        if mutation not in self._readers:
            suggestions = self._schema.suggestions if self._settings.introspection else None
            depth, values = self._settings.max_value_depth, self._settings.max_recorded_values
            self._readers[mutation] = LineReader(self._schema.graphql, mutation, suggestions, depth, values)
        return self._readers[mutation]


async def _let_go(rows: list[Any]) -> None:
    """Frees rows in slices: freeing all at once would block the event loop for as long as a statement takes."""

    def free(places: range) -> None:
        del rows[-len(places) :]

    await background().parts(len(rows), free)


def _bad_option(message: str) -> RefusedError:
    return RefusedError(400, request_error(ErrorCode.BAD_REQUEST, message))


def _flag(name: str, text: str) -> bool:
    if text not in {"true", "false"}:
        raise _bad_option(f"{name}: {text[:80]!r} is neither true nor false.")
    return text == "true"

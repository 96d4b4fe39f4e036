"""Child rows within the input of their parent row: one level, in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from schema.changes.attempts import Attempt
from schema.changes.engine import Work
from schema.changes.rows import Key
from schema.recording.answers import RecordedChildren, differing_rows
from schema.recording.batches import RowBatch
from schema.recording.problems import Counts, RowsError, RowViolation, UnwritableError
from schema.recording.record_types import ChildRows
from schema.recording.recorder import (
    RecordStep,
    audit_batch,
    constants_of,
    derives_ids,
    digest_of,
    global_ids,
    known_ids,
    may_compare,
)


@dataclass(frozen=True)
class GivenChildren:
    """The child rows of one list of an input.

    ``seed`` is the text from which their ids are derived; None without an idempotency key.
    """

    children: ChildRows
    rows: Sequence[Mapping[str, Any]]
    seed: str | None

    @property
    def name(self) -> str:
        return self.children.name

    def conflict(self, step: RecordStep) -> str:
        """The conflict option of the rows: that of their parent, or ERROR if they have no natural key."""
        return step.conflict if self.children.type.key else "ERROR"

    def batch(self, step: RecordStep, parent: RowBatch) -> ChildBatch:
        """The rows as a batch in the transaction of their parent."""
        type_ = self.children.type
        batch = RowBatch(
            type_,
            self.rows,
            self.conflict(step),
            parent.catalogue,
            parent.missing,
            step.facts,
            constants_of(type_, step.around.caller.name, step.facts, parent.missing),
            self.seed,
            tells=step.conflict == "ERROR" or may_compare(type_, self.children.fields, self.rows, step.around),
            fields=self.children.fields,
            transaction=parent.transaction,
        )
        return ChildBatch(self, batch)

    def replayed(self, step: RecordStep, stored: Mapping[str, Any]) -> RecordedChildren:
        """The result of the first request, from the stored JSON."""
        derived = known_ids(self.children.type, self.rows, self.conflict(step), self.seed)
        return self.answer(Counts.of(stored["counts"]), stored["ids"] or derived or [])

    def answer(self, counts: Counts, ids_: Sequence[str]) -> RecordedChildren:
        found: list[Any] = list(ids_)
        return RecordedChildren(
            field=self.name, type=self.children.type.name, inserted=counts.inserted, updated=counts.updated,
            kept=counts.kept, differing=counts.differing, differing_rows=differing_rows(counts), ids=found,
        )  # fmt: skip


@dataclass
class ChildBatch:
    """The child rows of one list in an attempt to write them."""

    given: GivenChildren
    batch: RowBatch
    counts: Counts = field(default_factory=Counts)
    ids: list[str] = field(default_factory=list)

    async def prepare(self, parent: RowBatch) -> None:
        """Checks the rows before their parent is written.

        Raises:
            UnwritableError: The connected database does not support recording such rows.
            RowsError: Rows are invalid.
        """
        (key,) = parent.table.key
        (text, *_) = parent.values.get(key, [""])
        self.batch.filled[self.given.children.column] = text if isinstance(text, str) else ""
        try:
            await self.batch.prepare()
        except RowsError as error:
            raise self._placed(error) from None
        except UnwritableError as error:
            raise UnwritableError(f"{self.given.name}: {error}") from None

    async def write(self, step: RecordStep, attempt: Attempt, work: Work, parent: Key | None) -> None:
        """Writes the rows and their audit record, with the ``parent`` key.

        Raises:
            UnwritableError: The parent's key is unknown.
            RowsError: The database refuses rows; the transaction is to be rolled back.
            DatabaseError: The database fails otherwise.
        """
        batch = self.batch
        if parent is None:
            raise UnwritableError(f"{self.given.name}: the row that they are part of cannot be found again")
        batch.fill({self.given.children.column: parent[0]})
        try:
            there = await batch.there() if step.looks else []
            await work.look(batch.type.type, there)
            self.counts = await batch.write()
        except RowsError as error:
            raise self._placed(error) from None
        keys = await batch.keys() if step.looks or not step.dry_run else []
        if step.looks:
            step.note(work, batch, keys, there)
        if step.dry_run:
            return
        own = batch.tells or not (self.counts.kept or self.counts.updated)
        self.ids = await global_ids(batch.type, keys) if own else []
        digest = digest_of([step.digest, self.given.name])
        await audit_batch(attempt, step.around, step.name, digest, batch, self.counts)

    def _placed(self, error: RowsError) -> RowsError:
        return RowsError([replace(one, within=self.given.name) for one in error.found])

    def answer(self, *, dry_run: bool) -> RecordedChildren:
        return self.given.answer(self.counts, [] if dry_run else self.ids)

    def stored(self) -> Mapping[str, Any]:
        """The counts, and the ids unless they can be derived again, as JSON."""
        batch = self.batch
        derived = derives_ids(batch.type, batch.conflict, batch.seed)
        return {"counts": self.counts.stored(), "ids": [] if derived else self.ids}


async def prepare_together(parent: RowBatch, children: Sequence[ChildBatch]) -> None:
    """Checks a row and its child rows before any of them is written.

    Raises:
        UnwritableError: The connected database does not support recording such rows.
        RowsError: Rows are invalid; it has the problems of all of them.
    """
    found: list[RowViolation] = []
    try:
        await parent.prepare()
    except RowsError as error:
        found += error.found
    for one in children:
        try:
            await one.prepare(parent)
        except RowsError as error:
            found += error.found
    if found:
        raise RowsError(found)

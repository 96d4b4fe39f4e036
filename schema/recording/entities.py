"""Creating, updating and retiring one row of an entity; each change is recorded as one event."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import Any

from pgvector.sqlalchemy import Vector

from db.attach.facts import Facts
from db.base.lifecycles import lifecycle_of
from db.engine.errors import DataError, InvalidValueError, RefusedByDatabaseError
from schema.catalogue import exact_json, ids
from schema.changes.attempts import Attempt
from schema.changes.engine import Work
from schema.changes.mutation_steps import MAX_REASON, Surroundings, dry_run_of, run_step
from schema.changes.mutation_steps import key as key_of
from schema.changes.refusals import Refused, check_text, invalid
from schema.changes.rows import Key, Subject
from schema.changes.transactions import ChangeOptions, checked_key
from schema.recording import statements
from schema.recording.answers import Recorded
from schema.recording.batches import RowBatch
from schema.recording.children import ChildBatch, GivenChildren, prepare_together
from schema.recording.problems import Counts, RowsError, RowViolation, UnwritableError
from schema.recording.record_types import EntityMutation, Verb, child_rows
from schema.recording.recorder import MAX_ROWS, RecordStep, check_caller, conflict_of, digest_of, seed_of
from schema.recording.row_values import ABSENT
from schema.scopes import column_scope

log = logging.getLogger("gateway.recording")

ROW = "row"
"""The lifecycle that events of rows name if the change is not a transition of a declared lifecycle."""
BORN, UPDATED, RETIRED = "BORN", "UPDATED", "RETIRED"
"""The states of `ROW`."""

OPTIONS = frozenset({"id", "expectedVersion", "onConflict", "reason", "idempotencyKey", "dryRun"})
"""Input fields that are not columns; exception: the ``id`` of a row to be created is its key."""


@dataclass
class _EntityStep(RecordStep):
    """The common part of the steps that create and change one row."""

    _: KW_ONLY
    reason: str | None = None

    @property
    def meaning(self) -> Any:
        return [self.name, self.digest, self.reason]

    def _path(self, violation: RowViolation) -> list[str]:
        place = [violation.within, str(violation.row)] if violation.within else []
        return ["input", *place, *violation.fields[:2]]

    def _prefix(self, violation: RowViolation) -> str:
        return f"{violation.within}[{violation.row}]: " if violation.within else ""

    def _unusable(self, message: str) -> Refused:
        return invalid("input", message)

    @property
    def _reason(self) -> str | None:
        return self.reason


@dataclass
class CreateStep(_EntityStep):
    """The creation of a row with its child rows; recorded as an event of the type's lifecycle, if it has one."""

    _: KW_ONLY
    children: Sequence[GivenChildren] = ()
    batches: list[ChildBatch] = field(init=False, default_factory=list)
    """The child rows of the last attempt."""

    @cached_property
    def digest(self) -> str:
        """SHA-256, as hexadecimal text, of the input with its child rows."""
        given = [self.conflict, self.rows]
        return digest_of([*given, {one.name: one.rows for one in self.children}] if self.children else given)

    async def _prepare(self, batch: RowBatch) -> None:
        self.batches = [one.batch(self, batch) for one in self.children]
        await prepare_together(batch, self.batches)

    async def _write_children(self, attempt: Attempt, work: Work, keys: Sequence[Key | None]) -> None:
        for one in self.batches:
            await one.write(self, attempt, work, keys[0])

    @property
    def _wants_keys(self) -> bool:
        return bool(self.children) or super()._wants_keys

    def _answer(self, counts: Counts, ids_: Sequence[str], *, replayed: bool) -> Recorded:
        answer = super()._answer(counts, ids_, replayed=replayed)
        if not replayed:
            answer.children = [one.answer(dry_run=self.dry_run) for one in self.batches]
        return answer

    def stored(self) -> Any:
        return super().stored() | {"children": [one.stored() for one in self.batches]}

    def replayed(self, stored: Any) -> Recorded:
        answer = super().replayed(stored)
        kept = stored.get("children", ())
        answer.children = [one.replayed(self, told) for one, told in zip(self.children, kept, strict=True)]
        return answer

    async def _audit(self, attempt: Attempt, batch: RowBatch, counts: Counts, keys: Sequence[Key | None]) -> None:
        key = keys[0] if keys else None
        if key is None or counts.kept:  # nothing has changed
            return
        work, id_ = self._work(attempt), ids.encode(self.type.name, key)
        if counts.updated:
            names = [name for name, one in batch.fields.items() if one.column in self.type.plan.updates]
            await work.record(id_, ROW, BORN, UPDATED, {"columns": [name for name in names if name in self.rows[0]]})
            return
        lifecycle = lifecycle_of(self.type.name)
        if lifecycle is None:
            await work.record(id_, ROW, None, BORN, self._child_counts)
            return
        values = batch.values.get(lifecycle.column, [ABSENT])
        state = batch.constants.get(lifecycle.column) if values[0] is ABSENT else values[0]
        await work.record(id_, lifecycle.name, None, lifecycle.shown(state), self._child_counts)

    @property
    def _child_counts(self) -> Mapping[str, Any]:
        """The details of the event: numbers of child rows by list."""
        return {"children": {one.name: len(one.rows) for one in self.children}} if self.children else {}


@dataclass
class ChangeRowStep(_EntityStep):
    """The update or retirement of an existing row."""

    subject: Subject
    retires: bool = False

    @property
    def meaning(self) -> Any:
        return [*super().meaning, self.subject.key, self.subject.version]

    @property
    def subjects(self) -> Mapping[str, Sequence[Key]]:
        return {self.type.name: [self.subject.key]}

    async def make(self, attempt: Attempt) -> Recorded:
        work = self._work(attempt)
        (row,) = await work.lock(self.type.type, [self.subject])
        batch = self._batch(attempt)
        batch.fields = self.type.changeable
        try:
            before = await self._write(batch)
        except RowsError as error:
            raise Refused(self._rejected(error)) from None
        except UnwritableError as error:
            raise self._unusable(str(error)) from None
        except (RefusedByDatabaseError, DataError, InvalidValueError) as error:
            log.info("a change of a row is refused: %s", type(error).__name__)  # the message quotes values of rows
            raise self._unusable("the database cannot look for one of the values that name rows") from None
        if before is not None and not self.dry_run:
            details = {"columns": list(self._columns), "before": before}
            await work.record(row.id, ROW, BORN, RETIRED if self.retires else UPDATED, details)
        counts = Counts(kept=1) if before is None else Counts(updated=1)
        planned = []
        if self.dry_run and self.shows:
            work.subjects.append(row.id)
            planned = await work.planned(self.around.missing)
        return self._answered(counts, [row.id], planned)

    @cached_property
    def _columns(self) -> Mapping[str, str]:
        """The columns to write, by GraphQL name."""
        if self.retires:
            return {self.type.type.field_name(column): column for column in self.type.plan.declared.retired}
        return {name: one.column for name, one in self.type.changeable.items() if name in self.rows[0]}

    async def _write(self, batch: RowBatch) -> Mapping[str, Any] | None:
        """Writes the row. Returns the previous values by GraphQL name, None if nothing changed."""
        table = self.type.type
        if not self.retires:
            await batch.prepare_changes()
        shown = {
            name: column
            for name, column in self._columns.items()
            if not column_scope(table, column) and not isinstance(table.table.columns[column].type, Vector)
        }
        if self.retires:
            sql = statements.retirement(table, self.type.plan.declared.retired, shown)
        else:
            sql = statements.change(table, list(batch.values), shown)
        found = await batch.change(sql, [*batch.values.values(), *self.subject.key])
        return exact_json.loads(found[0][0]) if found else None


async def write(
    mutation: EntityMutation,
    field_: str,
    input_: Mapping[str, Any],
    around: Surroundings,
    facts: Facts,
    *,
    keys: bool,
    shows: bool,
) -> Any:
    """Creates, updates or retires a row. Returns the value of the field whose response key is ``field_``.

    ``keys``: whether the row's id is selected; ``shows``: whether the preview of a dry run is.

    Raises:
        GatewayError: ``CHANGES_UNAVAILABLE``, ``CONFLICT`` or ``MISSING_IN_DATABASE``.
        DatabaseError: The database failed otherwise; nothing was written.
    """
    together = around.together
    try:
        dry_run = dry_run_of(input_, together)
        key = checked_key(input_.get("idempotencyKey"))
        step = _step(mutation, field_, input_, around, facts, key, keys=keys, shows=shows, dry_run=dry_run)
    except Refused as refused:
        return refused.problem if together is None else await together.join(field_, refused)
    return await run_step(step, field_, ChangeOptions(around.caller.name, key, around.key_hours, dry_run), around)


def _step(
    mutation: EntityMutation,
    field_: str,
    input_: Mapping[str, Any],
    around: Surroundings,
    facts: Facts,
    key: str | None,
    *,
    keys: bool,
    shows: bool,
    dry_run: bool,
) -> _EntityStep:
    type_, makes = mutation.type, mutation.verb is Verb.CREATE
    fields = type_.fields if makes else type_.changeable
    row = {name: value for name, value in input_.items() if name in fields}
    check_caller(mutation.name, type_, row.keys(), around.caller, dry_run=dry_run)
    reason = input_.get("reason")
    if reason is not None:
        check_text("reason", reason, MAX_REASON)
        reason = reason.strip() or None
    conflict = conflict_of(input_)
    if makes:
        seed = seed_of(field_, type_, key, around)
        return CreateStep(
            mutation.name, type_, [row], conflict, around, facts, dry_run,
            True,  # noqa: FBT003 - the event needs the row's id, whether or not it is selected
            shows, seed, reason=reason,
            children=_children(mutation, input_, conflict, around, seed, dry_run=dry_run),
        )  # fmt: skip
    if mutation.verb is Verb.UPDATE and not row:
        names = ", ".join(list(fields)[:5])
        raise invalid("input", f"names no column that is to be another; a {type_.name} has {names} and others")
    id_ = input_["id"]
    subject = Subject(id_, key_of(around.catalogue, type_.name, id_, "id"), "id", input_.get("expectedVersion"))
    return ChangeRowStep(
        mutation.name, type_, [row], conflict, around, facts, dry_run, keys, shows, None, subject,
        mutation.verb is Verb.RETIRE, reason=reason,
    )  # fmt: skip


def _children(
    mutation: EntityMutation,
    input_: Mapping[str, Any],
    conflict: str,
    around: Surroundings,
    seed: str | None,
    *,
    dry_run: bool,
) -> list[GivenChildren]:
    """The child rows of an input, after checks of their scopes and their number.

    Raises:
        Refused: `Forbidden` or `InvalidInput`.
    """
    found = []
    count = 1
    for name, one in child_rows(mutation.type.name).items():
        rows = input_.get(name)
        if not rows:
            continue
        count += len(rows)
        if count > MAX_ROWS:
            raise invalid(
                name, f"makes {count:,} rows of the input; pass {MAX_ROWS:,} at most, the row itself included"
            )
        check_caller(mutation.name, one.type, set().union(*rows), around.caller, dry_run=dry_run)
        if conflict != "ERROR" and not one.type.key and seed is None:
            words = "have no natural key, by which those that are there would be found; leave onConflict out, or give"
            raise invalid(name, f"{words} an idempotencyKey")
        found.append(GivenChildren(one, rows, seed and f"{seed}\0{name}"))
    return found

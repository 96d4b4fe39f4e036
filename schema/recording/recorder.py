"""Recording of a batch within a transaction of changes: scopes, idempotency, audit record; all rows or none."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

from db.attach.facts import Facts
from db.engine.errors import DataError, InvalidValueError, RefusedByDatabaseError
from schema.catalogue import exact_json, ids
from schema.catalogue.records import Missing
from schema.changes.attempts import Attempt
from schema.changes.engine import Request, Work
from schema.changes.mutation_steps import Surroundings, dry_run_of, run_step
from schema.changes.mutations import Actor
from schema.changes.refusals import Refused, invalid
from schema.changes.results import Forbidden, PlannedChange
from schema.changes.rows import Key
from schema.changes.transactions import ChangeOptions, checked_key
from schema.error_codes import ProblemCode
from schema.execution.time_slices import background
from schema.recording.answers import MAX_SHOWN, Recorded, RowProblem, RowsRejected, differing_rows
from schema.recording.batches import RowBatch
from schema.recording.columns import bounds_of
from schema.recording.problems import Counts, RowsError, RowViolation, UnwritableError
from schema.recording.record_types import RecordType, RowField
from schema.recording.row_ids import derived_ids
from schema.recording.row_values import ABSENT, fields_given
from schema.scopes import PREVIEW, writing
from schema.sql.operators import as_sent, text_of

log = logging.getLogger("gateway.recording")

MAX_ROWS = 1_000
"""The largest number of rows of one mutation."""


@dataclass
class RecordStep:
    """The recording of a batch; its input is validated. It is executed again after a conflict of transactions."""

    name: str
    type: RecordType
    rows: Sequence[Mapping[str, Any]]
    conflict: str
    around: Surroundings
    facts: Facts
    dry_run: bool
    keys: bool
    """Whether the ids of the rows are selected."""
    shows: bool
    """Whether the preview of a dry run is selected."""
    seed: str | None
    """The text from which ids of rows are derived; None without an idempotency key."""
    made: Recorded = field(init=False)
    counts: Counts = field(init=False)
    """The counts of the last attempt."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the input, as hexadecimal text, independent of the order of its fields."""
        return digest_of([self.conflict, self.rows])

    @property
    def meaning(self) -> Any:
        """The request in canonical form."""
        return [self.name, self.digest]

    @property
    def subjects(self) -> Mapping[str, Sequence[Key]]:
        """Empty: a batch locks no existing rows in advance."""
        return {}

    async def make(self, attempt: Attempt) -> Recorded:
        """Records the batch.

        Raises:
            Refused: `RowsRejected`, or `InvalidInput` if the connected database does not support the batch.
        """
        batch, work = self._batch(attempt), self._work(attempt)
        try:
            await self._prepare(batch)
            there = await batch.there() if self.looks else []
            await work.look(self.type.type, there)
            counts = await batch.write()
            found = await batch.keys() if self._wants_keys else []
            if self.looks:
                self.note(work, batch, found, there)
            await self._write_children(attempt, work, found)
        except RowsError as error:
            raise Refused(self._rejected(error)) from None
        except UnwritableError as error:
            raise self._unusable(str(error)) from None
        except (RefusedByDatabaseError, DataError, InvalidValueError) as error:
            log.info("rows are refused: %s", type(error).__name__)  # the message quotes values of rows
            raise self._unusable("the database cannot look for one of the values that name rows") from None
        if not self.dry_run:
            await self._audit(attempt, batch, counts, found)
        planned = await work.planned(self.around.missing) if self.dry_run and self.shows else []
        own = self.tells or not (counts.kept or counts.updated)
        return self._answered(counts, await global_ids(self.type, found) if own else [], planned)

    async def _prepare(self, batch: RowBatch) -> None:
        """Checks the rows before any of them is written; raises as `RowBatch.prepare` does."""
        await batch.prepare()

    async def _write_children(self, attempt: Attempt, work: Work, keys: Sequence[Key | None]) -> None:
        """Writes child rows of the rows with these keys; raises as `RowBatch.write` does."""

    @property
    def _wants_keys(self) -> bool:
        is_kept = self.seed is not None and not self._derives
        return self.looks or (not self.dry_run and (self.keys or is_kept))

    @cached_property
    def tells(self) -> bool:
        """Whether the result may reveal ids and differences of existing rows, which the caller may then read."""
        return self.conflict == "ERROR" or may_compare(self.type, self.type.fields, self.rows, self.around)

    @property
    def looks(self) -> bool:
        """Whether existing rows are locked and read before the batch is written, for a preview."""
        together = self.around.together
        return (self.dry_run and self.shows) or (together is not None and together.seen is not None)

    @staticmethod
    def note(work: Work, batch: RowBatch, found: Sequence[Key | None], there: Collection[Key]) -> None:
        """Notes the rows that a batch has inserted, and the first `MAX_SHOWN` rows for the preview."""
        before = set(there)
        for row, key in zip(batch.rows, found, strict=True):
            if key is None:
                continue
            id_ = ids.encode(batch.type.name, key)
            if key not in before:
                work.added(id_, is_named=bool(row.get("id")) or not batch.type.makes_ids)
            if len(work.subjects) < MAX_SHOWN:
                work.subjects.append(id_)

    def _work(self, attempt: Attempt) -> Work:
        caller, request_id = self.around.caller.name, self.around.request_id
        return Work(attempt, Request(self.name, caller, request_id, self._reason, dry_run=self.dry_run))

    @property
    def _reason(self) -> str | None:
        """The reason, for the record of changes."""
        return None

    def _answered(self, counts: Counts, ids_: Sequence[str], planned: Sequence[PlannedChange]) -> Recorded:
        self.counts = counts
        self.made = self._answer(counts, ids_, replayed=False)
        self.made.would_change = list(planned)
        return self.made

    def stored(self) -> Any:
        """The counts, and the ids unless they can be derived again, as JSON."""
        return {"counts": self.counts.stored(), "ids": [] if self._derives else self.made.ids}

    def replayed(self, stored: Any) -> Recorded:
        derived = known_ids(self.type, self.rows, self.conflict, self.seed) if self.keys else None
        return self._answer(Counts.of(stored["counts"]), stored["ids"] or derived or [], replayed=True)

    def refused(self, refused: Refused) -> Any:
        return refused.problem

    @property
    def _derives(self) -> bool:
        """Whether the ids of the rows can be derived from the input and the idempotency key."""
        return derives_ids(self.type, self.conflict, self.seed)

    def _answer(self, counts: Counts, ids_: Sequence[str], *, replayed: bool) -> Recorded:
        found: list[Any] = [] if self.dry_run else list(ids_)
        return Recorded(
            inserted=counts.inserted, updated=counts.updated, kept=counts.kept, differing=counts.differing,
            differing_rows=differing_rows(counts), replayed=replayed, dry_run=self.dry_run, ids=found, children=[],
        )  # fmt: skip

    def _path(self, violation: RowViolation) -> list[str]:
        """The path of a problem in the input."""
        return _path_of_row(violation)

    def _unusable(self, message: str) -> Refused:
        return invalid("rows", message)

    def _rejected(self, error: RowsError) -> RowsRejected:
        return rejected(error, self._path, self._prefix)

    def _prefix(self, violation: RowViolation) -> str:
        """The prefix of a message that names the row."""
        return _prefix_of_row(violation)

    def _batch(self, attempt: Attempt) -> RowBatch:
        return RowBatch(
            self.type,
            self.rows,
            self.conflict,
            attempt.catalogue,
            attempt.missing,
            self.facts,
            constants_of(self.type, self.around.caller.name, self.facts, attempt.missing),
            self.seed,
            tells=self.tells,
            wants_ids=self.keys,
            transaction=attempt.transaction,
        )

    async def _audit(self, attempt: Attempt, batch: RowBatch, counts: Counts, _keys: Sequence[Key | None]) -> None:
        await audit_batch(attempt, self.around, self.name, self.digest, batch, counts)


async def audit_batch(
    attempt: Attempt, around: Surroundings, mutation: str, digest: str, batch: RowBatch, counts: Counts
) -> None:
    """Writes the audit record of a batch, which also proves its commit."""
    times = [one for one in batch.values.get(batch.type.time or "", ()) if one is not None and one is not ABSENT]
    numbers = [str(one) for one in (counts.inserted, counts.updated, counts.kept)]
    first, last = min(times, default=None), max(times, default=None)
    values = [
        mutation, batch.type.name, *numbers, around.caller.name, around.request_id, digest, first, last
    ]  # fmt: skip
    await attempt.transaction.record("gateway.recordings", "recording_id", _AUDIT, values)


def may_compare(
    type_: RecordType, fields: Mapping[str, RowField], rows: Sequence[Mapping[str, Any]], around: Surroundings
) -> bool:
    """Whether the caller may read the given columns of a type, and may therefore know how existing rows differ."""
    if not around.missing.withheld:
        return True
    table, given = type_.type.sql_name, set().union(*rows)
    columns = [f"{table}.{one.column}" for name, one in fields.items() if name in given]
    return around.missing.withholds([table, *columns]) is None


def digest_of(value: Any) -> str:
    """SHA-256 of a value as JSON, as hexadecimal text, independent of the order of fields and the notation of
    numbers."""
    return hashlib.sha256(_text_of(value)).hexdigest()


async def digest_of_rows(conflict: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """`digest_of` the list of both, computed in slices that return control to the event loop."""
    found = hashlib.sha256(b"[%b,[" % _text_of(conflict))

    def add(places: range) -> None:
        text = _text_of(rows[places.start : places.stop])[1:-1]
        found.update(b",%b" % text if places.start else text)

    await background().parts(len(rows), add)
    found.update(b"]]")
    return found.hexdigest()


def _text_of(value: Any) -> bytes:
    return exact_json.dumps(value, as_sent, orjson.OPT_SORT_KEYS, canonical=True)


async def global_ids(type_: RecordType, keys: Sequence[Key | None]) -> list[str]:
    """The global ids of rows by their keys; rows without a key are left out."""
    found: list[str] = []

    def encode(places: range) -> None:
        found.extend(ids.encode(type_.name, key) for key in keys[places.start : places.stop] if key)

    await background().parts(len(keys), encode)
    return found


def derives_ids(type_: RecordType, conflict: str, seed: str | None) -> bool:
    """Whether the ids of rows can be derived from the input and the idempotency key."""
    return seed is not None and type_.makes_ids and conflict == "ERROR"


def known_ids(
    type_: RecordType, rows: Sequence[Mapping[str, Any]], conflict: str, seed: str | None
) -> list[str] | None:
    """The global ids of rows if they can be derived from the input and the idempotency key, else None."""
    if seed is None or not derives_ids(type_, conflict, seed):
        return None
    made = derived_ids(seed, range(len(rows)))
    return [ids.encode(type_.name, (row.get("id") or made[place],)) for place, row in enumerate(rows)]


async def record(
    mutation: str,
    field_: str,
    type_: RecordType,
    input_: Mapping[str, Any],
    around: Surroundings,
    facts: Facts,
    *,
    keys: bool,
    shows: bool = False,
    most: int = MAX_ROWS,
) -> Any:
    """Records a batch of at most ``most`` rows. Returns the value of the field whose response key is ``field_``.

    ``keys``: whether the ids of the rows are selected; ``shows``: whether the preview of a dry run is.

    Raises:
        GatewayError: ``CHANGES_UNAVAILABLE``, ``CONFLICT`` or ``MISSING_IN_DATABASE``.
        DatabaseError: The database failed otherwise; nothing was recorded.
    """
    together = around.together
    try:
        dry_run = dry_run_of(input_, together)
        rows = input_["rows"]
        check_caller(mutation, type_, await fields_given(rows), around.caller, dry_run=dry_run)
        if not 1 <= len(rows) <= most:
            raise invalid("rows", f"has {len(rows)} rows; pass 1 to {most:,} at once")
        key = checked_key(input_.get("idempotencyKey"))
    except Refused as refused:
        return refused.problem if together is None else await together.join(field_, refused)
    seed = seed_of(field_, type_, key, around)
    step = RecordStep(mutation, type_, rows, conflict_of(input_), around, facts, dry_run, keys, shows, seed)
    step.digest = await digest_of_rows(step.conflict, rows)
    return await run_step(step, field_, ChangeOptions(around.caller.name, key, around.key_hours, dry_run), around)


def conflict_of(input_: Mapping[str, Any]) -> str:
    """The conflict option of an input: the name of a value of `OnConflict`."""
    conflict = input_.get("onConflict")
    return "ERROR" if conflict is None else text_of(conflict)


def seed_of(field_: str, type_: RecordType, key: str | None, around: Surroundings) -> str | None:
    """The text from which ids of rows are derived; None without an idempotency key."""
    together = around.together
    whole = key if together is None else together.key
    place = "" if together is None else field_
    return None if whole is None else f"{around.caller.name}\0{whole}\0{place}\0{type_.name}"


def check_scopes(mutation: str, needed: str, own: str | None, caller: Actor, *, dry_run: bool) -> None:
    """Checks that the caller has the scope ``needed`` and the type's ``own`` scope, if any.

    For a dry run `preview` replaces ``needed``.

    Raises:
        Refused: `Forbidden`.
    """
    for scope in (needed, own):
        if scope and not (caller.may(scope) or (dry_run and scope == needed and caller.may(PREVIEW))):
            raise _forbidden(f"{caller.name} may not use {mutation}: it needs the scope {scope}.")


def check_caller(mutation: str, type_: RecordType, given: Collection[str], caller: Actor, *, dry_run: bool) -> None:
    """Checks the scopes of a mutation, its type, and the ``given`` fields, before anything is read.

    Raises:
        Refused: `Forbidden`.
    """
    check_scopes(mutation, writing(type_.group), type_.scope, caller, dry_run=dry_run)
    for scope in {one.scope for one in type_.fields.values() if one.scope and not caller.may(one.scope)}:
        fields = {name for name, one in type_.fields.items() if one.scope == scope}
        if withheld := sorted(fields.intersection(given)):
            raise _forbidden(f"{caller.name} may not give {', '.join(withheld)}: it needs the scope {scope}.")


def _path_of_row(violation: RowViolation) -> list[str]:
    return ["input", "rows", str(violation.row), *violation.fields[:2]]


def _prefix_of_row(violation: RowViolation) -> str:
    return f"rows[{violation.row}]: "


def rejected(
    error: RowsError,
    path: Callable[[RowViolation], list[str]] = _path_of_row,
    prefix: Callable[[RowViolation], str] = _prefix_of_row,
) -> RowsRejected:
    """The problem for rejected rows; ``path`` and ``prefix`` give the path and the message's prefix of a row."""
    problems = [RowProblem(code=one.code, message=one.message, path=path(one), row=one.row) for one in error.found]
    first = problems[0]
    place = prefix(error.found[0])
    more = f" There are {len(problems)} problems." if len(problems) > 1 else ""
    return RowsRejected(
        code=ProblemCode.ROWS_REJECTED,
        message=f"{place}{first.message}; nothing was recorded.{more}",
        path=first.path,
        rows=problems,
    )


def _forbidden(message: str) -> Refused:
    return Refused(Forbidden(code=ProblemCode.FORBIDDEN, message=message, path=["input"]))


def constants_of(type_: RecordType, caller: str, facts: Facts, missing: Missing) -> dict[str, str]:
    """The columns, with their texts, that the gateway writes into every row: initial states and the actor.

    Columns that the database lacks or computes are left out.
    """
    known = facts.columns.get(type_.type.sql_name, {})
    constants = {column: text for column, text in type_.plan.births.items() if text}
    if actor := type_.plan.declared.actor:
        constants[actor] = caller[: bounds_of(type_.type, actor, known.get(actor)).length]
    return {
        column: text
        for column, text in constants.items()
        if not missing.first(type_.type, (column,)) and not (column in known and known[column].generated)
    }


_AUDIT = """
    INSERT INTO gateway.recordings
        (mutation, node_type, inserted, updated, kept, actor, request_id, digest, first_at, last_at)
    VALUES ($1::text, $2::text, $3::text::integer, $4::text::integer, $5::text::integer, $6::text, $7::text, $8::text,
        $9::timestamptz, $10::timestamptz)
"""

"""Recording a batch in the transaction that surrounds it: who may, once for each key, audited, all of it or nothing."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

from db.attach.facts import Facts
from db.engine.errors import DataError, InvalidValueError, RefusedByDatabaseError
from db.engine.transaction import Proof
from schema.catalogue import exact_json, ids
from schema.changes.engine import Attempt, Key, Refused, invalid
from schema.changes.mutations import Surroundings, dry_run_of
from schema.changes.results import Forbidden
from schema.changes.transactions import Terms, checked_key, make
from schema.error_codes import ProblemCode
from schema.recording.answers import Recorded, RowProblem, RowsRejected
from schema.recording.batches import Counts, RowBatch, RowsError, UnwritableError, derived
from schema.recording.columns import bounds_of
from schema.recording.record_types import RecordType
from schema.scopes import PREVIEW, writing
from schema.sql.filters import text_of

log = logging.getLogger("gateway.recording")

MAX_ROWS = 1_000
"""Rows of one field."""


@dataclass
class RecordStep:
    """A batch as it is asked for, its input checked for its form; it is recorded as often as others get in the way."""

    name: str
    type: RecordType
    rows: Sequence[Mapping[str, Any]]
    conflict: str
    around: Surroundings
    facts: Facts
    dry_run: bool
    keys: bool
    """Whether the ids of the rows are asked for."""
    seed: str | None
    """What the ids of rows are derived from, where there is a key."""
    made: Recorded = field(init=False)

    @cached_property
    def digest(self) -> str:
        """The hash of what is to be recorded, however its fields are ordered."""
        return hashlib.sha256(exact_json.dumps([self.conflict, self.rows], text_of, orjson.OPT_SORT_KEYS)).hexdigest()

    @property
    def meaning(self) -> Any:
        """What a key stands for."""
        return [self.name, self.digest]

    @property
    def subjects(self) -> Mapping[str, Sequence[Key]]:
        """Rows that are locked before any step is made: the rows of a batch are new."""
        return {}

    async def make(self, attempt: Attempt) -> Recorded:
        """Records the batch anew.

        Raises:
            Refused: `RowsRejected`, or `InvalidInput` where the database does not take such rows.
        """
        batch = self._batch(attempt)
        try:
            await batch.prepare()
            counts = await batch.write()
            is_kept = self.seed is not None and self._ids() is None
            found = await batch.keys() if not self.dry_run and (self.keys or is_kept) else []
        except RowsError as error:
            raise Refused(_rejected(error)) from None
        except UnwritableError as error:
            raise invalid("rows", str(error)) from None
        except (RefusedByDatabaseError, DataError, InvalidValueError) as error:
            log.info("a batch is refused: %s", type(error).__name__)  # its words hold values of rows
            raise invalid("rows", "the database cannot look for one of the values that name rows") from None
        if not self.dry_run:
            await self._audit(attempt, batch, counts)
        self.made = self._answer(vars(counts), found, replayed=False)
        return self.made

    def stored(self) -> Any:
        """The counts, and the ids where they cannot be derived again."""
        one = self.made
        counts = {"inserted": one.inserted, "updated": one.updated, "kept": one.kept, "differing": one.differing}
        return {"counts": counts, "ids": [] if self._ids() else one.ids}

    def replayed(self, stored: Any) -> Recorded:
        ids_ = stored["ids"]
        found = [id_.split(":", 1)[1] for id_ in ids_] or self._ids() or []
        return self._answer(stored["counts"], found, replayed=True)

    def refused(self, refused: Refused) -> Any:
        return refused.problem

    def _ids(self) -> list[str] | None:
        """The keys of the rows, where they follow from the input and its key alone."""
        if self.seed is None or not self.type.makes_ids or self.conflict != "ERROR":
            return None
        made = derived(self.seed, len(self.rows))
        return [row.get("id") or made[place] for place, row in enumerate(self.rows)]

    def _answer(self, counts: Mapping[str, int], keys: Sequence[str | None], *, replayed: bool) -> Recorded:
        found: list[Any] = [] if self.dry_run else [ids.encode(self.type.name, (key,)) for key in keys if key]
        return Recorded(**counts, replayed=replayed, dry_run=self.dry_run, ids=found)

    def _batch(self, attempt: Attempt) -> RowBatch:
        return RowBatch(
            self.type,
            self.rows,
            self.conflict,
            attempt.transaction,
            attempt.catalogue,
            attempt.missing,
            self.facts,
            _constants(self.type, self.around.caller.name, self.facts),
            self.seed,
        )

    async def _audit(self, attempt: Attempt, batch: RowBatch, counts: Counts) -> None:
        """Writes the record of the batch, which is also what tells afterwards whether it was committed."""
        around = self.around
        times = [one for one in batch.values.get(self.type.time or "", ()) if hasattr(one, "year")]
        numbers = [str(one) for one in (counts.inserted, counts.updated, counts.kept)]
        first, last = min(times, default=None), max(times, default=None)
        values = [
            self.name, self.type.name, *numbers, around.caller.name, around.request_id, self.digest, first, last
        ]  # fmt: skip
        ((recording,),) = await attempt.transaction.run_as_gateway(_AUDIT, values)
        attempt.transaction.proof = Proof("gateway.recordings", "recording_id = $1::text::uuid", (recording,))


async def record(
    mutation: str,
    field_: str,
    type_: RecordType,
    input_: Mapping[str, Any],
    around: Surroundings,
    facts: Facts,
    *,
    keys: bool,
) -> Any:
    """Records a batch; ``field_`` is its response key, ``keys`` says whether the ids of its rows are asked for.

    Raises:
        GatewayError: ``CHANGES_UNAVAILABLE``, ``CONFLICT`` or ``MISSING_IN_DATABASE``.
        DatabaseError: The database failed otherwise; nothing was recorded.
    """
    together = around.together
    try:
        dry_run = dry_run_of(input_, together)
        _check_caller(mutation, type_, input_, around, dry_run=dry_run)
        rows = input_["rows"]
        if not 1 <= len(rows) <= MAX_ROWS:
            raise invalid("rows", f"has {len(rows)} rows; pass 1 to {MAX_ROWS:,} at once")
        key = checked_key(input_.get("idempotencyKey"))
    except Refused as refused:
        return refused.problem if together is None else await together.join(field_, refused)
    conflict = input_.get("onConflict")
    name = "ERROR" if conflict is None else text_of(conflict)
    whole = key if together is None else together.key
    place = "" if together is None else field_
    seed = None if whole is None else f"{around.caller.name}\0{whole}\0{place}\0{type_.name}"
    step = RecordStep(mutation, type_, rows, name, around, facts, dry_run, keys, seed)
    if together is not None:
        return await together.join(field_, step)
    made = await make([step], Terms(around.caller.name, key, around.key_hours, dry_run), around)
    if isinstance(made.failure, Refused):
        return step.refused(made.failure)
    if made.failure is not None:
        raise made.failure
    return made.answers[0]


def _check_caller(
    mutation: str, type_: RecordType, input_: Mapping[str, Any], around: Surroundings, *, dry_run: bool
) -> None:
    """Before anything is read, so that a refusal says nothing of the rows."""
    caller, needed = around.caller, writing(type_.group)
    if not (caller.may(needed) or (dry_run and caller.may(PREVIEW))):
        raise _forbidden(f"{caller.name} may not use {mutation}: it needs the scope {needed}.")
    for scope in {one.scope for one in type_.fields.values() if one.scope and not caller.may(one.scope)}:
        fields = {name for name, one in type_.fields.items() if one.scope == scope}
        if given := sorted(fields & set().union(*input_["rows"])):
            raise _forbidden(f"{caller.name} may not give {', '.join(given)}: it needs the scope {scope}.")


def _forbidden(message: str) -> Refused:
    return Refused(Forbidden(code=ProblemCode.FORBIDDEN, message=message, path=["input"]))


def _constants(type_: RecordType, caller: str, facts: Facts) -> dict[str, str]:
    """What the server writes into every row: the states of lifecycles, and who recorded it."""
    constants = {column: text for column, text in type_.plan.births.items() if text}
    if actor := type_.plan.declared.actor:
        fact = facts.columns.get(type_.type.sql_name, {}).get(actor)
        constants[actor] = caller[: bounds_of(type_.type, actor, fact).length]
    return constants


def _rejected(error: RowsError) -> RowsRejected:
    problems = [
        RowProblem(
            code=one.code, message=one.message, path=["input", "rows", str(one.row), *one.fields[:2]], row=one.row
        )
        for one in error.found
    ]
    first = problems[0]
    more = f" There are {len(problems)} problems." if len(problems) > 1 else ""
    return RowsRejected(
        code=ProblemCode.ROWS_REJECTED,
        message=f"rows[{first.row}]: {first.message}; nothing was recorded.{more}",
        path=first.path,
        rows=problems,
    )


_AUDIT = """
    INSERT INTO gateway.recordings
        (mutation, node_type, inserted, updated, kept, actor, request_id, digest, first_at, last_at)
    VALUES ($1::text, $2::text, $3::text::integer, $4::text::integer, $5::text::integer, $6::text, $7::text, $8::text,
        $9::timestamptz, $10::timestamptz)
    RETURNING recording_id::text
"""

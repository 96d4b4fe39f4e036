"""The mutations that purge old rows: the oldest first, a limited number per mutation, no referenced rows."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Union

import orjson
import strawberry
from strawberry import UNSET

from db.engine.clock import CLOCK
from db.engine.errors import FOREIGN_KEY, ConflictError, RefusedByDatabaseError
from schema.catalogue.scalars import DateTime
from schema.changes.attempts import Attempt
from schema.changes.mutation_steps import MAX_REASON, Surroundings, dry_run_of, run_step
from schema.changes.refusals import Refused, check_text, invalid
from schema.changes.results import (
    Forbidden,
    InvalidInput,
    Problem,
    StaleVersion,
    TransactionUndone,
    TransitionBlocked,
)
from schema.changes.rows import Key
from schema.changes.transactions import ChangeOptions, checked_key
from schema.errors import missing_object
from schema.graph.types import Info, selection_of
from schema.recording.old_rows import FOREIGN_KEYS, REFERRED, OldRows, ReferredMeanwhileError, RemovedRows, columns_of
from schema.recording.record_types import RecordType, purge_mutations
from schema.recording.recorder import check_scopes
from schema.scopes import purging

MAX_PURGED = 5_000
"""The largest number of rows that one mutation removes."""
PURGED = 1_000
"""The default number of rows that one mutation removes."""

TRIES = 3
"""Attempts at a deletion that a foreign key refuses; the last refusal is reported."""

AUDIT = """
    INSERT INTO gateway.recordings
        (mutation, node_type, inserted, updated, kept, actor, request_id, digest, first_at, last_at, details)
    VALUES ($1::text, $2::text, 0, 0, 0, $3::text, $4::text, $5::text, $6::text::timestamptz, $7::text::timestamptz,
        $8::text::jsonb)
"""


@strawberry.input(description="Input of the mutations that remove old rows.")
class PurgeInput:
    before: DateTime = strawberry.field(
        description="Remove rows from before this time; each type has a minimum age. Relative times such as `now-90d` "
        "are allowed."
    )
    limit: int | None = strawberry.field(
        description=f"How many may go at once, the oldest first: 1 to {MAX_PURGED:,}, {PURGED:,} by default. Ask "
        "again while there are `more`.",
        default=UNSET,
    )
    reason: str | None = strawberry.field(description="Reason, kept in the record of changes.", default=UNSET)
    idempotency_key: str | None = strawberry.field(
        description="A key chosen by the client: a repeated request with the same key and input changes nothing.",
        default=UNSET,
    )
    dry_run: bool | None = strawberry.field(
        description="Runs the change, returns its result, and rolls back.", default=UNSET
    )


@strawberry.type(description="The old rows were removed in one transaction.")
class Purged:
    purged: int = strawberry.field(description="Number of rows that were removed.")
    more: bool = strawberry.field(
        description="Whether there are more such rows; send the same input again to remove them."
    )
    oldest: DateTime | None = strawberry.field(description="The earliest time of the removed rows.")
    newest: DateTime | None = strawberry.field(description="The latest time of the removed rows.")
    referred: int | None = strawberry.field(
        description="How many rows of that age stay since rows of other types, or younger ones, refer to them; counted "
        f"up to {REFERRED:,}. Null for a replay."
    )
    replayed: bool = strawberry.field(description="Whether an earlier request with the same idempotency key did this.")
    dry_run: bool = strawberry.field(description="Whether this was a dry run, which was rolled back.")


PurgeResult = Annotated[
    Union[Purged, StaleVersion, Forbidden, InvalidInput, TransitionBlocked, TransactionUndone],  # noqa: UP007 - as others
    strawberry.union("PurgeResult", description="Result of a purge."),
]


@dataclass
class PurgeStep:
    """The purge of old rows; its input is validated. ``before`` is ISO 8601 in UTC."""

    name: str
    type: RecordType
    before: str
    limit: int
    around: Surroundings
    dry_run: bool
    counts_referred: bool
    reason: str | None
    made: Purged = field(init=False)
    tried: int = field(init=False, default=0)

    @property
    def meaning(self) -> Any:
        """The request in canonical form."""
        return [self.name, self.before, self.limit, self.reason]

    @property
    def subjects(self) -> Mapping[str, Sequence[Key]]:
        """Empty: the rows are selected by the step itself."""
        return {}

    async def make(self, attempt: Attempt) -> Purged:
        """Deletes the rows.

        Raises:
            GatewayError: ``MISSING_IN_DATABASE``.
            ConflictError: A row was referenced concurrently; the next attempt leaves it out.
            DatabaseError: The database refuses the deletion, or fails.
        """
        if what := attempt.missing.first(self.type.type, columns_of(self.type)):
            raise missing_object(what)
        run = attempt.transaction.run
        keys = [tuple(row) for row in await run(FOREIGN_KEYS, [self.type.type.sql_name])]
        old = OldRows(self.type, keys, attempt.missing.first)
        removed = await self._removed(attempt, old)
        name = f"What {self.name} removes"
        attempt.outcomes[name] = f"{attempt.outcomes.get(name, '')} {removed.purged} {removed.more} {removed.which}"
        referred = 0
        if self.counts_referred and old.referred is not None:
            ((referred,),) = await run(old.referred, [self.before])
        if not self.dry_run:
            await self._audit(attempt, removed.purged, removed.first, removed.last)
        oldest: Any = removed.first
        newest: Any = removed.last
        self.made = Purged(
            purged=removed.purged, more=removed.more, oldest=oldest, newest=newest, referred=referred,
            replayed=False, dry_run=self.dry_run,
        )  # fmt: skip
        return self.made

    async def _removed(self, attempt: Attempt, old: OldRows) -> RemovedRows:
        self.tried += 1
        try:
            removed = await old.take(attempt.transaction.run, self.before, self.limit)
            await attempt.transaction.check_constraints()
        except ReferredMeanwhileError:
            raise ConflictError("somebody has begun to refer to a row that went") from None
        except RefusedByDatabaseError as error:
            if error.diagnostics.state == FOREIGN_KEY and self.tried < TRIES:
                raise ConflictError("a foreign key keeps a row that went") from None
            raise
        return removed

    async def _audit(self, attempt: Attempt, purged: int, first: str | None, last: str | None) -> None:
        """Writes the audit record, which also proves the commit."""
        caller, request_id = self.around.caller.name, self.around.request_id
        values = audit(self.name, self.type, caller, request_id, self.before, purged, first, last, self.reason)
        await attempt.transaction.record("gateway.recordings", "recording_id", AUDIT, values)

    def stored(self) -> Any:
        """The result as JSON."""
        one = self.made
        return {"purged": one.purged, "more": one.more, "oldest": one.oldest, "newest": one.newest}

    def replayed(self, stored: Any) -> Purged:
        return Purged(**stored, referred=None, replayed=True, dry_run=self.dry_run)

    def refused(self, refused: Refused) -> Problem:
        return refused.problem


def audit(
    mutation: str,
    type_: RecordType,
    actor: str,
    request_id: str,
    before: str,
    purged: int,
    first: str | None,
    last: str | None,
    reason: str | None,
) -> list[str | None]:
    """The values of `AUDIT`; times are ISO 8601."""
    details = {"purged": purged, "before": before, **({"reason": reason} if reason else {})}
    digest = hashlib.sha256(orjson.dumps([mutation, before, purged])).hexdigest()
    return [mutation, type_.name, actor, request_id, digest, first, last, orjson.dumps(details).decode()]


def too_young(type_: RecordType, before: datetime) -> str | None:
    """The reason why rows of this age may not be purged; None if they may."""
    retention = type_.plan.declared.retention
    assert retention is not None  # noqa: S101 - it is of a type whose rows go
    if before > CLOCK.now() - timedelta(days=retention.days):
        kept = f"for which {type_.name} rows are kept at least"
        return f"is less than {retention.days} days ago, {kept}; pass an earlier one"
    return None


def rows_of_purge(input_: Mapping[str, Any]) -> int:
    """The largest number of rows that a purge may remove, for its cost."""
    limit = input_.get("limit")
    return min(max(limit, 1), MAX_PURGED) if isinstance(limit, int) else PURGED


def purge_fields() -> dict[str, Any]:
    """The purge fields of the mutation type, by name."""
    return {name: _field(name, one) for name, one in sorted(purge_mutations().items())}


def _field(name: str, one: RecordType) -> Any:
    retention = one.plan.declared.retention
    assert retention is not None  # noqa: S101 - it is one of those
    states = f" in the states {' and '.join(retention.states)}" if retention.states else ""
    doc = (
        f"Removes the oldest {one.name} rows{states}, by their `{one.type.field_name(retention.by)}`, at least "
        f"{retention.days} days old. Those that other rows refer to stay."
    )
    resolve = _resolver(name, one)
    resolve.__annotations__ = {
        "info": Info,
        "input": Annotated[PurgeInput, strawberry.argument(description="Age and number of the rows to remove.")],
        "return": PurgeResult | None,
    }
    return strawberry.field(resolver=resolve, name=name, description=doc)


def _resolver(name: str, type_: RecordType) -> Callable[..., Awaitable[Any]]:
    async def resolve(info: Any, input: Any) -> Any:  # noqa: A002, ARG001 - read from the selection
        context = info.context
        around = Surroundings.of(context)
        selection = selection_of(info)
        counts = any(field_.name == "referred" for field_ in selection.on("Purged").values())
        return await purge(name, selection.key, type_, selection.arguments["input"], around, counts_referred=counts)

    return resolve


async def purge(
    mutation: str,
    field_: str,
    type_: RecordType,
    input_: Mapping[str, Any],
    around: Surroundings,
    *,
    counts_referred: bool,
) -> Any:
    """Purges old rows. Returns the value of the field whose response key is ``field_``.

    Raises:
        GatewayError: ``CHANGES_UNAVAILABLE``, ``CONFLICT`` or ``MISSING_IN_DATABASE``.
        DatabaseError: The database failed otherwise; nothing was removed.
    """
    together, caller = around.together, around.caller
    try:
        dry_run = dry_run_of(input_, together)
        check_scopes(mutation, purging(type_.group), type_.scope, caller, dry_run=dry_run)
        key = checked_key(input_.get("idempotencyKey"))
        step = _step(mutation, type_, input_, around, counts_referred=counts_referred, dry_run=dry_run)
    except Refused as refused:
        return refused.problem if together is None else await together.join(field_, refused)
    return await run_step(step, field_, ChangeOptions(caller.name, key, around.key_hours, dry_run), around)


def _step(
    mutation: str,
    type_: RecordType,
    input_: Mapping[str, Any],
    around: Surroundings,
    *,
    counts_referred: bool,
    dry_run: bool,
) -> PurgeStep:
    limit = input_.get("limit")
    if limit is None:
        limit = PURGED
    if not 1 <= limit <= MAX_PURGED:
        raise invalid("limit", f"is {limit}; pass 1 to {MAX_PURGED:,}")
    before = input_["before"]
    if words := too_young(type_, before):
        raise invalid("before", words)
    reason = input_.get("reason")
    if reason is not None:
        check_text("reason", reason, MAX_REASON)
        reason = reason.strip() or None
    moment = before.astimezone(UTC).isoformat()
    return PurgeStep(mutation, type_, moment, limit, around, dry_run, counts_referred, reason)

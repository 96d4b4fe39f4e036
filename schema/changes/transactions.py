"""Transactions of changes: a list of steps, one for each mutation field.

After a conflict it is repeated from the first step; a refused or failed step rolls back all of them.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from db.engine.constraints import closed
from db.engine.errors import (
    ConflictError,
    DataError,
    InvalidValueError,
    MissingObjectError,
    NotPermittedError,
    RefusedByDatabaseError,
)
from db.engine.transaction import Transaction
from schema.catalogue import ids
from schema.catalogue.catalogue import Catalogue
from schema.catalogue.records import Missing
from schema.changes import idempotency
from schema.changes.attempts import Attempt
from schema.changes.constraint_errors import unable, violation
from schema.changes.refusals import Refused, blocked, check_text, invalid
from schema.changes.results import Blocker, StaleVersion
from schema.changes.rows import Key
from schema.error_codes import ErrorCode, ProblemCode
from schema.errors import GatewayError

log = logging.getLogger("gateway.changes")

ATTEMPTS = 5
"""Attempts of a transaction that conflicts with others."""
DIRECTIVE = "transaction"


class ChangeStep(Protocol):
    """The change of one field: its input is validated, and it is executed again after conflicts."""

    @property
    def name(self) -> str:
        """The name of the mutation."""
        ...

    @property
    def meaning(self) -> Any:
        """The request in canonical form: ids as keys, times as instants. Idempotency hashes it."""
        ...

    @property
    def subjects(self) -> Mapping[str, Sequence[Key]]:
        """The rows that it changes, by type."""
        ...

    async def make(self, attempt: Attempt) -> Any:
        """Executes the change in an attempt; returns the field's value.

        Raises:
            Refused: The change is refused.
        """
        ...

    def stored(self) -> Any:
        """The result of the last attempt as JSON, stored with an idempotency key."""
        ...

    def replayed(self, stored: Any) -> Any:
        """The field's value for a stored result."""
        ...

    def refused(self, refused: Refused) -> Any:
        """The field's value for a refusal."""
        ...


@dataclass
class RowsSeen:
    """The rows that the changes of an operation have locked, with their versions before it.

    A preview records them; with ``expected`` the same changes apply to the same rows alone, in the same versions,
    including rows beside the subjects. Results beyond rows, such as the counts of a purge, must be equal, too.
    """

    expected: Mapping[str, str] | None = None
    """Versions by global id, as the preview recorded them."""
    found: dict[str, str] = field(default_factory=dict)
    """Those of the last attempt."""

    async def look(self, attempt: Attempt) -> None:
        """Records what an attempt has locked, without the rows that it has created.

        Raises:
            Refused: `StaleVersion`: a row has changed, or another row is affected.
        """
        own = (await attempt.transaction.run("SELECT pg_current_xact_id_if_assigned()::xid::text"))[0][0]
        found = {ids.encode(*row): _OWN if version == own else version for row, version in attempt.versions.items()}
        own_ids = {id_ for id_ in found if id_ in attempt.added or id_.split(":", 1)[1] in attempt.made}
        self.found = {id_: version for id_, version in found.items() if id_ not in own_ids} | attempt.outcomes
        if self.expected is None:
            return
        other = [id_ for id_ in {**self.expected, **self.found} if self.expected.get(id_) != self.found.get(id_)]
        if other:
            raise Refused(
                StaleVersion(
                    code=ProblemCode.STALE_VERSION,
                    message=f"{other[0]} is not as it was in the preview, or was not concerned then.",
                    path=["input"],
                    expected=self.expected.get(other[0], ""),
                    current_id=other[0] if ":" in other[0] else "",
                )
            )


_OWN = "own"
"""The version of a row that the transaction itself had written before it was locked."""


@dataclass(frozen=True)
class ChangeOptions:
    """The options of changes: the idempotency key, if any, and whether they are rolled back."""

    caller: str
    key: str | None
    key_hours: float
    dry_run: bool
    whole: bool = False
    """Whether it is the transaction of a whole operation, whatever its number of fields."""
    seen: RowsSeen | None = None
    """Records, or checks, the affected rows."""


@dataclass
class StepsOutcome:
    """The outcome of the steps: the value of each field, or the step that failed, and why."""

    answers: list[Any]
    failure: Exception | None = None
    place: int | None = None
    """The index of the failed step; None if the failure is not a single step's."""


class ChangeScope(Protocol):
    """What changes need of their request."""

    @property
    def transaction(self) -> Transaction: ...

    @property
    def catalogue(self) -> Catalogue: ...

    @property
    def missing(self) -> Missing: ...


async def make(steps: Sequence[ChangeStep], options: ChangeOptions, around: ChangeScope) -> StepsOutcome:
    """Executes changes in the transaction of ``around``.

    The transaction's ``wanted`` says whether to commit, after the answer was read inside it. After a failure the
    changes are rolled back before the answer is read.
    """
    transaction = around.transaction
    for attempt in range(ATTEMPTS):
        outcome = await _attempt(steps, options, around)
        if isinstance(outcome.failure, Refused):
            await transaction.restart()
        if not isinstance(outcome.failure, ConflictError):
            return outcome
        await transaction.restart()
        await asyncio.sleep(random.uniform(0, 0.02 * 2**attempt))  # noqa: S311 - backoff with jitter
    return StepsOutcome([], GatewayError(ErrorCode.CONFLICT))


async def _attempt(steps: Sequence[ChangeStep], options: ChangeOptions, around: ChangeScope) -> StepsOutcome:
    transaction = around.transaction
    attempt = Attempt(transaction, around.catalogue, around.missing.of_database)
    answers: list[Any] = []
    place: int | None = None
    try:
        if options.key is not None:
            before = await _translated(_claim(steps, options, options.key, transaction), around)
            if before is not None:
                return StepsOutcome([step.replayed(one) for step, one in zip(steps, before, strict=True)])
        if len(steps) > 1:
            await _translated(attempt.hold(_subjects(steps)), around)
        for place, step in enumerate(steps):
            answers.append(await _translated(_step(step, attempt, first=place == 0), around))
        place = None
        if options.seen is not None:
            await _translated(options.seen.look(attempt), around)
        if options.dry_run:
            await transaction.rollback()  # releases its locks before the answer is read
            return StepsOutcome(answers)
        if options.key is not None:
            stored = [step.stored() for step in steps]
            whole = {"steps": stored} if options.whole else stored[0]
            await _translated(idempotency.store(transaction, options.caller, options.key, whole), around)
    except Exception as error:  # noqa: BLE001 - reported by the fields
        return StepsOutcome([], error, place)
    transaction.wanted = True
    return StepsOutcome(answers)


async def _claim(
    steps: Sequence[ChangeStep], options: ChangeOptions, key: str, transaction: Transaction
) -> Sequence[Any] | None:
    """Claims the key; returns the stored result of each step, if there is one."""
    meant = [step.meaning for step in steps]
    name = f"@{DIRECTIVE}" if options.whole else steps[0].name
    hash_ = idempotency.digest([name, meant] if options.whole else meant[0])
    before = await idempotency.claim(transaction, options.caller, key, name, hash_, options.key_hours)
    if before is None:
        return None
    return before["steps"] if options.whole else [before]


def _subjects(steps: Sequence[ChangeStep]) -> Mapping[str, Sequence[Key]]:
    found: dict[str, dict[Key, None]] = {}
    for step in steps:
        for name, keys in step.subjects.items():
            found.setdefault(name, {}).update(dict.fromkeys(keys))
    return {name: list(keys) for name, keys in found.items()}


async def _step(step: ChangeStep, attempt: Attempt, *, first: bool) -> Any:
    if not first:  # the check below left them immediate
        attempt.transaction.defer_constraints()
    answer = await step.make(attempt)
    await attempt.transaction.check_constraints()  # deferred ones fail here, translated
    return answer


async def _translated(work: Awaitable[Any], around: ChangeScope) -> Any:
    """Converts refusals of the database to those of the graph.

    Raises:
        Refused: A constraint, a trigger, or a value outside its column's range.
        GatewayError: ``CHANGES_UNAVAILABLE``.
    """
    transaction = around.transaction
    try:
        return await work
    except RefusedByDatabaseError as error:
        await transaction.restart()
        if denied := await closed(error, transaction.run):
            raise await _unavailable(denied, around) from error
        code, message = await violation(error, around.catalogue, transaction.run)
        raise blocked(Blocker(code=code, message=message, overridable=False)) from error
    except (DataError, InvalidValueError) as error:
        log.info("the database cannot hold a value: %s", error)
        raise invalid("input", "the database cannot hold one of the values: it is too large, or of another form") from (
            error
        )
    except (NotPermittedError, MissingObjectError) as error:
        log.warning("nothing can be changed: %s", error)
        await transaction.restart()
        raise await _unavailable(error, around) from error


async def _unavailable(error: NotPermittedError | MissingObjectError, around: ChangeScope) -> GatewayError:
    why = await unable(error, around.catalogue, around.transaction.run)
    return GatewayError(ErrorCode.CHANGES_UNAVAILABLE, f"Nothing can be changed here: {why}")


def checked_key(key: str | None) -> str | None:
    """A valid idempotency key.

    Raises:
        Refused: `InvalidInput`.
    """
    if key is not None:
        check_text("idempotencyKey", key, idempotency.MAX_KEY)
        if not key.strip():
            raise invalid("idempotencyKey", "is empty; leave it out, or pass a text of your own such as a UUID")
    return key

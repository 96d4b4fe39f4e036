"""A mutation as a step of a transaction: its input is validated before any SQL, then it is executed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import Float, Numeric, String

from db.base.entity import camel
from db.base.lifecycles import Given
from db.engine.transaction import Transaction
from schema.catalogue import exact_json, ids
from schema.catalogue.catalogue import Catalogue
from schema.catalogue.records import Missing
from schema.changes.attempts import Attempt
from schema.changes.engine import Request, Work
from schema.changes.mutations import Actor, Mutation
from schema.changes.operation_transaction import OperationTransaction
from schema.changes.refusals import Refused, check_text, invalid
from schema.changes.registry import CHECKS
from schema.changes.results import Forbidden, TransitionPreview
from schema.changes.rows import MAX_ITEMS, Key, Subject
from schema.changes.transactions import ChangeOptions, ChangeStep, checked_key, make
from schema.error_codes import ProblemCode
from schema.errors import NUL
from schema.scopes import FORCE, PREVIEW
from schema.sql.operators import text_of

MAX_REASON = 4000


@dataclass(frozen=True)
class Surroundings:
    """What a change needs of its request."""

    transaction: Transaction
    catalogue: Catalogue
    missing: Missing
    caller: Actor
    request_id: str
    key_hours: float
    applied: Any
    """The type of a result with changes."""
    together: OperationTransaction | None = None
    """The transaction of the whole operation, if it has one."""

    @classmethod
    def of(cls, context: Any, applied: Any = None) -> Self:
        """The surroundings of the mutation that a context belongs to."""
        loaders = context.loaders
        return cls(
            context.transaction, loaders.catalogue, loaders.missing, context.caller, context.request_id,
            context.key_hours, applied, context.together,
        )  # fmt: skip


@dataclass
class MutationStep:
    """A validated mutation, which is executed again after conflicts."""

    mutation: Mutation
    around: Surroundings
    request: Request
    asked: Sequence[Subject]
    given: Mapping[str, Any]
    work: Work = field(init=False)
    """The change of the last attempt."""

    @property
    def name(self) -> str:
        return self.mutation.name

    @property
    def meaning(self) -> Any:
        """The same for equal ids, times and absent values in any notation, and for a dry run."""
        subjects = [[subject.key, subject.version] for subject in self.asked]
        return [self.name, subjects, self.given, self.request.reason, self.request.force]

    @property
    def subjects(self) -> Mapping[str, Sequence[Key]]:
        subject = self.mutation.subject
        return {subject: [one.key for one in self.asked]} if subject else {}

    async def make(self, attempt: Attempt) -> Any:
        self.work = work = Work(attempt, self.request, self.given, self.asked)
        await self.mutation.perform(work)
        if not self.request.dry_run:
            return self._applied(work.subjects, work.others, work.events, replayed=False)
        planned = await work.planned(self.around.missing)
        return TransitionPreview(blockers=[], would_force=work.overridden, would_change=planned)

    def stored(self) -> Any:
        return {"subjects": self.work.subjects, "others": self.work.others, "events": self.work.events}

    def replayed(self, stored: Any) -> Any:
        return self._applied(stored["subjects"], stored["others"], stored["events"], replayed=True)

    def _applied(self, subjects: Sequence[str], others: Sequence[str], events: Sequence[str], *, replayed: bool) -> Any:
        return self.around.applied(replayed=replayed, subjects=subjects, others=others, events_=events)

    def refused(self, refused: Refused) -> Any:
        """The problem as a result; in a dry run a preview with the blockers."""
        blockers = getattr(refused.problem, "blockers", None)
        if self.request.dry_run and blockers:
            forced = [one.code for one in blockers if one.overridable]
            return TransitionPreview(blockers=blockers, would_force=forced, would_change=[])
        return refused.problem


async def run(mutation_: Mutation, field_: str, input_: Mapping[str, Any], around: Surroundings) -> Any:
    """Executes a change in the transaction of ``around``; returns its result. ``field_`` is its response key.

    The transaction's ``wanted`` says whether to commit, after the answer was read inside it.

    Raises:
        GatewayError: ``CHANGES_UNAVAILABLE``, ``CONFLICT``, or ``MISSING_IN_DATABASE``.
        DatabaseError: The database failed; nothing was changed.
    """
    try:
        change = _change(mutation_, input_, around)
        key_ = checked_key(input_.get("idempotencyKey"))
    except Refused as refused:
        return refused.problem if around.together is None else await around.together.join(field_, refused)
    options = ChangeOptions(around.caller.name, key_, around.key_hours, change.request.dry_run)
    return await run_step(change, field_, options, around)


async def run_step(step: ChangeStep, field_: str, options: ChangeOptions, around: Surroundings) -> Any:
    """Executes a step by itself, or in the transaction of the operation. Returns the value of the field ``field_``.

    Raises:
        GatewayError: ``CHANGES_UNAVAILABLE``, ``CONFLICT`` or ``MISSING_IN_DATABASE``.
        DatabaseError: The database failed otherwise; nothing was recorded.
    """
    if around.together is not None:
        return await around.together.join(field_, step)
    outcome = await make([step], options, around)
    if isinstance(outcome.failure, Refused):
        return step.refused(outcome.failure)
    if outcome.failure is not None:
        raise outcome.failure
    return outcome.answers[0]


def dry_run_of(input_: Mapping[str, Any], together: OperationTransaction | None) -> bool:
    """Whether a field is a dry run; with `@transaction` the option and the key are given there alone.

    Raises:
        Refused: `InvalidInput`.
    """
    dry_run = bool(input_.get("dryRun"))
    if together is None:
        return dry_run
    if input_.get("idempotencyKey") is not None:
        raise invalid("idempotencyKey", "belongs to the whole transaction: pass it as @transaction(idempotencyKey:)")
    if dry_run and not together.dry_run:
        raise invalid("dryRun", "belongs to the whole transaction: pass it as @transaction(dryRun: true)")
    return together.dry_run


def _change(mutation_: Mutation, input_: Mapping[str, Any], around: Surroundings) -> MutationStep:
    dry_run = dry_run_of(input_, around.together)
    _check_caller(mutation_, input_, around, dry_run=dry_run)
    asked = _subjects(mutation_, input_, around.catalogue)
    given = _given(mutation_, input_, around.catalogue)
    return MutationStep(mutation_, around, _request(mutation_, input_, around, dry_run=dry_run), asked, given)


# -- the input, before any SQL ---------------------------------------------------------------------------------------


def _check_caller(mutation_: Mutation, input_: Mapping[str, Any], around: Surroundings, *, dry_run: bool) -> None:
    """Checks permissions before anything is read, so that a refusal reveals nothing about rows."""
    caller = around.caller
    previews = dry_run and caller.may(PREVIEW)
    if not (previews or mutation_.is_open_to(caller)):
        raise _forbidden(f"{caller.name} may not use {mutation_.name}: it needs the scope {mutation_.scope}.")
    if input_.get("force") and not caller.may(FORCE):
        raise _forbidden(f"{caller.name} may not override guards: it needs the scope {FORCE}.")
    if what := around.missing.withholds(sorted(mutation_.reads)):
        needs = f"it concerns what needs the scope {what.scope} to be read"
        raise _forbidden(f"{caller.name} may not use {mutation_.name}: {needs}.")


def _forbidden(message: str) -> Refused:
    return Refused(Forbidden(code=ProblemCode.FORBIDDEN, message=message, path=["input"]))


def _request(mutation_: Mutation, input_: Mapping[str, Any], around: Surroundings, *, dry_run: bool) -> Request:
    reason = input_.get("reason")
    if reason is not None:
        check_text("reason", reason, MAX_REASON)
        reason = reason.strip() or None
    force = bool(input_.get("force"))
    if reason is None and (mutation_.reason_due or force):
        why = "is required with `force`" if force else "is required for this change"
        raise invalid("reason", f"is missing or empty; it {why}")
    return Request(mutation_.name, around.caller.name, around.request_id, reason, force, dry_run)


def _subjects(mutation_: Mutation, input_: Mapping[str, Any], catalogue: Catalogue) -> list[Subject]:
    if mutation_.subject is None:
        return []
    if not mutation_.plural:
        version = input_.get("expectedVersion")
        return [Subject(input_["id"], key(catalogue, mutation_.subject, input_["id"], "id"), "id", version)]
    items = input_["items"]
    if not 1 <= len(items) <= MAX_ITEMS:
        raise invalid("items", f"has {len(items)} items; pass 1 to {MAX_ITEMS} at once")
    subjects: list[Subject] = []
    for place, item in enumerate(items):
        name = f"items[{place}].id"
        one = Subject(
            item["id"], key(catalogue, mutation_.subject, item["id"], name), name, item.get("expectedVersion")
        )
        if any(other.key == one.key for other in subjects):
            raise invalid(name, "is in the list a second time")
        subjects.append(one)
    return subjects


def key(catalogue: Catalogue, type_name: str, value: str, name: str) -> tuple[str, ...]:
    """The key in an id of the input.

    Raises:
        Refused: `InvalidInput`: it is invalid, or an id of another type.
    """
    type_ = catalogue[type_name]
    named = ids.type_of(value)
    if named != type_.name and named in catalogue.types:
        raise invalid(name, f"{value[:80]!r} is an id of {named}; an id of {type_.name} is expected")
    try:
        return ids.decode(value, type_.name, type_.key_kinds)
    except ids.MalformedIdError as error:
        raise invalid(name, str(error)) from None


def _given(mutation_: Mutation, input_: Mapping[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    """The values of the mutation's inputs by name, validated; ids as keys."""
    given: dict[str, Any] = {}
    if mutation_.states is not None:
        given["to"] = input_["to"]
    for name, one in mutation_.given.items():
        value = input_.get(camel(name))
        if value is None:
            continue
        if isinstance(one.type, str):
            value = _keys(one, value, camel(name), catalogue)
        else:
            _check(one, value, camel(name))
        given[name] = value
    for check in mutation_.checks:
        if wrong := CHECKS[check](given):
            raise invalid(camel(wrong[0]), wrong[1])
    return given


def _keys(given: Given, value: Any, name: str, catalogue: Catalogue) -> Any:
    """The key of an id, or the keys of a list of ids."""
    if not given.many:
        return key(catalogue, str(given.type), value, name)[0]
    _check_list(name, value)
    return [key(catalogue, str(given.type), id_, f"{name}[{place}]")[0] for place, id_ in enumerate(value)]


def _check(given: Given, value: Any, name: str) -> None:
    if isinstance(given.type, JSONB) and exact_json.holds_nul(exact_json.dumps(value, text_of).decode()):
        raise invalid(name, NUL)
    if isinstance(given.type, Numeric) and not isinstance(given.type, Float) and isinstance(value, int | float):
        scale = given.type.scale or 0
        digits = None if given.type.precision is None else given.type.precision - scale
        if reason := exact_json.wrong_numeric(value, digits, scale):
            raise invalid(name, reason)
    elif isinstance(value, str):
        length = getattr(given.type, "length", None) if isinstance(given.type, String) else None
        check_text(name, value, length or 1_000_000)
        if given.required and not value.strip():
            raise invalid(name, "is empty")
    elif isinstance(value, list):
        _check_list(name, value)


def _check_list(name: str, values: list[Any]) -> None:
    if len(values) > MAX_ITEMS:
        raise invalid(name, f"has {len(values)} items; pass at most {MAX_ITEMS}")
    for place, value in enumerate(values):
        if isinstance(value, str):
            check_text(f"{name}[{place}]", value, MAX_REASON)

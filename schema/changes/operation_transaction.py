"""The transaction of a whole operation, by the directive `@transaction`: its fields are changed in their order."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import strawberry
from graphql import DirectiveLocation, OperationDefinitionNode
from graphql.execution.values import VariableValues, get_directive_values
from strawberry import UNSET

from db.engine.errors import DatabaseUnavailableError, OverloadedError
from db.engine.transaction import Transaction
from schema.catalogue.catalogue import Catalogue
from schema.catalogue.records import Missing
from schema.changes.refusals import Refused
from schema.changes.results import Problem, TransactionUndone
from schema.changes.transactions import DIRECTIVE, ChangeOptions, ChangeStep, RowsSeen, StepsOutcome, checked_key, make
from schema.error_codes import ErrorCode, ProblemCode
from schema.errors import GatewayError


@strawberry.directive(
    locations=[DirectiveLocation.MUTATION],
    name=DIRECTIVE,
    description="Runs all fields of the mutation, in their order, in one transaction: all changes are made, or none. "
    "Where one answers a Problem, the others answer TransactionUndone; where one is null with an error, so are the "
    "others. Rows of the answer are those that the whole transaction leaves.",
)
def transaction_directive(
    idempotency_key: Annotated[
        str | None,
        strawberry.argument(
            description="A key chosen by the client, such as a UUID, for all fields: a repeated request with the same "
            "key and inputs returns the first answer and changes nothing."
        ),
    ] = UNSET,
    dry_run: Annotated[
        bool | None,
        strawberry.argument(
            description="Makes the changes one after the other, answers a preview for each of them, and undoes them."
        ),
    ] = UNSET,
) -> None:
    """Read from the operation, without a resolver."""


class OperationTransaction:
    """The changes of an operation with `@transaction`: each field joins with its step, then all are executed in
    order."""

    def __init__(self, key: str | None = None, *, dry_run: bool = False) -> None:
        self.key = key
        self.dry_run = dry_run
        self.seen: RowsSeen | None = None
        """Records, or checks, the affected rows, for callers that bind a change to its preview."""
        self._fields: list[str] = []
        self._joined: dict[str, ChangeStep | Refused] = {}
        self._left: set[str] = set()
        self._answers: dict[str, asyncio.Future[Any]] = {}
        self._complete = asyncio.Event()

    @classmethod
    def of(
        cls, schema: Any, definition: OperationDefinitionNode, variables: VariableValues
    ) -> OperationTransaction | None:
        """The transaction of an operation, None without the directive."""
        directive = schema.get_directive(DIRECTIVE)
        asked = get_directive_values(directive, definition, variables)
        if asked is None:
            return None
        return cls(asked.get("idempotencyKey"), dry_run=bool(asked.get("dryRun")))

    def expect(self, fields: Sequence[str]) -> None:
        """Sets the expected fields, by response key, in the order of the operation."""
        self._fields = list(fields)
        self._look()

    async def join(self, field_: str, step: ChangeStep | Refused) -> Any:
        """A field's value, once all steps are executed; `Refused` reports an invalid input."""
        self._joined[field_] = step
        self._answers[field_] = asyncio.get_running_loop().create_future()
        self._look()
        return await self._answers[field_]

    def leave(self, field_: str) -> None:
        """Reports that a field is resolved: if it has not joined, it failed before."""
        if field_ not in self._joined:
            self._left.add(field_)
            self._look()

    def _look(self) -> None:
        if self._fields and all(one in self._joined or one in self._left for one in self._fields):
            self._complete.set()

    def undone_error(self, cause: str) -> GatewayError:
        """The error of a field whose change was rolled back, or not started, because of another one's failure."""
        return GatewayError(ErrorCode.TRANSACTION_UNDONE, cause=cause)

    async def make(self, context: Any) -> None:
        """Executes the changes once all fields have joined, and resolves the fields."""
        await self._complete.wait()
        outcome = await self._make(context)
        if outcome.failure is None:
            answers: Mapping[str, Any] = dict(zip(self._fields, outcome.answers, strict=True))
        else:
            cause = None if outcome.place is None else self._fields[outcome.place]
            answers = {one: self._stopped(one, cause, outcome.failure) for one in self._fields}
        for one, future in self._answers.items():
            if not future.done():
                answer = answers[one]
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)

    async def _make(self, context: Any) -> StepsOutcome:
        try:
            checked_key(self.key)
        except Refused as refused:
            return StepsOutcome([], refused)
        for place, one in enumerate(self._fields):
            if one in self._left:
                return StepsOutcome([], _FailedBeforeError(), place)
            step = self._joined[one]
            if isinstance(step, Refused):
                return StepsOutcome([], step, place)
        steps: list[Any] = [self._joined[one] for one in self._fields]
        options = ChangeOptions(
            context.caller.name, self.key, context.key_hours, self.dry_run, whole=True, seen=self.seen
        )
        loaders = context.loaders
        try:
            return await make(steps, options, _OperationScope(context.transaction, loaders.catalogue, loaders.missing))
        except Exception as error:  # noqa: BLE001 - reported by each field
            return StepsOutcome([], error)

    def _stopped(self, field_: str, cause: str | None, failure: Exception) -> Any:
        """A field's value after a failure; an exception is its error."""
        if isinstance(failure, Refused):
            if cause is None:  # the key is invalid
                failure.problem.path = [f"@{DIRECTIVE}", *failure.problem.path[1:]]
                return failure.problem
            if field_ != cause:
                return undone(cause, failure.problem)
            step = self._joined[field_]
            return failure.problem if isinstance(step, Refused) else step.refused(failure)
        if cause in {None, field_} or isinstance(failure, _OF_ALL):
            return failure
        return self.undone_error(str(cause))


class _FailedBeforeError(Exception):
    """A field failed before anything could be changed; its error is reported already."""


_OF_ALL = (DatabaseUnavailableError, OverloadedError)
"""Errors that mean that the database executes none of the steps."""


@dataclass(frozen=True)
class _OperationScope:
    transaction: Transaction
    catalogue: Catalogue
    missing: Missing


def undone(cause: str, problem: Problem) -> TransactionUndone:
    """The value of a field whose change was rolled back, or not started, because of another one's problem."""
    return TransactionUndone(
        code=ProblemCode.TRANSACTION_UNDONE,
        message=f"Nothing was changed: {cause!r} answers {problem.code}, and the operation is one transaction.",
        path=[f"@{DIRECTIVE}"],
        cause=cause,
        cause_code=problem.code,
    )

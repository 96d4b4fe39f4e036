"""Results of changes: one union for all mutations. Failures implement `Problem`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Union

import strawberry
from strawberry import Private

from schema.catalogue.scalars import JSON
from schema.graph.types import Info, Node, selection_of


async def rows(info: Info, ids: Sequence[str]) -> list[Any]:
    """Rows by their global ids, as the change's transaction sees them."""
    return await info.context.loaders.nodes("ids", ids, selection_of(info)) if ids else []


async def row(info: Info, id_: str | None) -> Any:
    return await info.context.loaders.node(selection_of(info), id_) if id_ else None


async def _node_or_none(root: strawberry.Parent[Any], info: Info) -> Node | None:
    return await row(info, root.node_id)  # type: ignore[no-any-return]  # records stand for nodes


async def _node(root: strawberry.Parent[Any], info: Info) -> Node:
    return await row(info, root.node_id)  # type: ignore[no-any-return]


async def _current(root: strawberry.Parent[Any], info: Info) -> Node | None:
    return await row(info, root.current_id)  # type: ignore[no-any-return]


async def _first(root: strawberry.Parent[Any], info: Info) -> Node:
    return await row(info, root.subjects[0])  # type: ignore[no-any-return]


async def _subjects(root: strawberry.Parent[Any], info: Info) -> list[Node]:
    return await rows(info, root.subjects)


async def _others(root: strawberry.Parent[Any], info: Info) -> list[Node]:
    return await rows(info, root.others)


@strawberry.type(description="A condition that blocks a change.")
class Blocker:
    code: str = strawberry.field(description="Code of the blocker, stable and machine-readable.")
    message: str = strawberry.field(description="What blocks the change and what would remove the blocker.")
    overridable: bool = strawberry.field(description="Whether `force` with a reason overrides it.")
    node_id: Private[str | None] = None

    node: Node | None = strawberry.field(
        resolver=_node_or_none, description="The row that blocks the change, if it is a row."
    )


@strawberry.interface(description="The reason why a change was not made. Nothing was changed.")
class Problem:
    code: str = strawberry.field(description="Code of the problem, stable and machine-readable.")
    message: str = strawberry.field(description="What is wrong and what would be valid.")
    path: list[str] = strawberry.field(description="Path in the input, such as `input`, `items`, `3`, `id`.")


@strawberry.type(description="The lifecycle has no such transition; `force` does not allow it either.")
class IllegalTransition(Problem):
    from_: str = strawberry.field(name="from", description="The state that the row is in.")
    to: str = strawberry.field(description="The requested state.")
    allowed: list[str] = strawberry.field(description="The states that the row may move to.")
    node_id: Private[str] = ""

    node: Node = strawberry.field(resolver=_node, description="The row, unchanged.")


@strawberry.type(description="Guards block the transition; all of them are listed.")
class TransitionBlocked(Problem):
    blockers: list[Blocker] = strawberry.field(description="All blockers.")


@strawberry.type(description="The row has changed since the expected version.")
class StaleVersion(Problem):
    expected: str = strawberry.field(description="The expected version.")
    current_id: Private[str] = ""

    current: Node | None = strawberry.field(
        resolver=_current, description="The current row; pass its `rowVersion` to try again."
    )


@strawberry.type(description="No row has this id.")
class NotFound(Problem):
    node_id: strawberry.ID = strawberry.field(description="The requested id.")


@strawberry.type(description="The caller lacks a scope that the change needs.")
class Forbidden(Problem):
    pass


@strawberry.type(description="A value of the input cannot be used.")
class InvalidInput(Problem):
    field: str = strawberry.field(description="The field of the input, such as `reason` or `items[3].id`.")


@strawberry.type(
    description="Another field of the operation has a problem, and the operation is one transaction (`@transaction`)."
)
class TransactionUndone(Problem):
    cause: str = strawberry.field(description="Response key of the field that has the problem.")
    cause_code: str = strawberry.field(description="Code of that problem.")


@strawberry.type(
    description="A row that a change would update or insert. It has no `id` field, so that client caches do not "
    "mistake the preview for the row."
)
class PlannedChange:
    node_id: strawberry.ID | None = strawberry.field(
        description="Global id of the row; null for a row that would be inserted."
    )
    type: str = strawberry.field(description="The row's type.")
    before: JSON | None = strawberry.field(
        description="Stored values of the fields that would change, by GraphQL name; null for a row that would be "
        "inserted."
    )
    after: JSON = strawberry.field(
        description="The same fields after the change; for a row that would be inserted, its fields that are not null. "
        "Times are those of the dry run; references to rows that would be inserted are null."
    )


@strawberry.type(description="Result of a dry run: the change was made, read and rolled back.")
class TransitionPreview:
    blockers: list[Blocker] = strawberry.field(
        description="What blocks the change; nothing would change while there are any."
    )
    would_force: list[str] = strawberry.field(description="Codes of the guards that `force` would override.")
    would_change: list[PlannedChange] = strawberry.field(
        description="Every row that would change, the requested rows first; empty while there are blockers."
    )


class Results:
    """The types of all results; ``event_type`` is the type of recorded events."""

    def __init__(self, event_type: Any) -> None:
        self.applied = _applied(event_type)
        members = (
            self.applied, TransitionPreview, IllegalTransition, TransitionBlocked, StaleVersion, NotFound, Forbidden,
            InvalidInput, TransactionUndone,
        )  # fmt: skip
        named = strawberry.union("TransitionResult", description="Result of a mutation that changes state.")
        self.union: Any = Annotated[Union[members], named]  # noqa: UP007 - a tuple of classes


def _applied(event_type: Any) -> Any:
    async def event(root: strawberry.Parent[Any], info: Info) -> Any:
        return await row(info, root.events_[0])

    async def events(root: strawberry.Parent[Any], info: Info) -> Any:
        return await rows(info, root.events_)

    event.__annotations__["return"] = event_type
    events.__annotations__["return"] = list[event_type]

    class TransitionApplied:
        replayed: bool = strawberry.field(
            description="Whether an earlier request with the same idempotency key made the change; rows are shown as "
            "they are now."
        )
        subjects: Private[Sequence[str]] = ()
        others: Private[Sequence[str]] = ()
        events_: Private[Sequence[str]] = ()

        node: Node = strawberry.field(
            resolver=_first, description="The row that was changed; for a batch the first one."
        )
        nodes: list[Node] = strawberry.field(
            resolver=_subjects, description="All rows of the input that were changed, in its order."
        )
        also_changed: list[Node] = strawberry.field(
            resolver=_others, description="Other rows that the change updated or inserted."
        )

    made: Any = TransitionApplied
    made.event = strawberry.field(resolver=event, description="The record of the change; for a batch the first one.")
    made.events = strawberry.field(
        resolver=events,
        description="All records of the change: one for each row that changed its state, `alsoChanged` included.",
    )
    return strawberry.type(made, description="The change was made, and recorded in the same transaction.")

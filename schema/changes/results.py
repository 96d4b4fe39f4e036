"""Results of changes: one shared union of results for all mutations. Failures implement `Problem`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Union

import strawberry
from strawberry import Private

from schema.catalogue.scalars import JSON
from schema.graph.types import Info, Node, selection_of


async def rows(info: Info, ids: Sequence[str]) -> list[Any]:
    """Nodes by their global ids, as the transaction of the change sees them."""
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


@strawberry.type(description="Something that is in the way of a change.")
class Blocker:
    code: str = strawberry.field(description="What it is, stable and machine-readable.")
    message: str = strawberry.field(description="What is in the way, and what would be right.")
    overridable: bool = strawberry.field(description="Whether `force` with a reason overrides it.")
    node_id: Private[str | None] = None

    node: Node | None = strawberry.field(
        resolver=_node_or_none, description="The row that is in the way, where it is one."
    )


@strawberry.interface(description="Why a change was not made. Nothing was changed.")
class Problem:
    code: str = strawberry.field(description="What kind of problem it is, stable and machine-readable.")
    message: str = strawberry.field(description="What was wrong, and what would be right.")
    path: list[str] = strawberry.field(description="Where in the input, such as `input`, `items`, `3`, `id`.")


@strawberry.type(description="The move is not one of the lifecycle's; not even `force` makes it one.")
class IllegalTransition(Problem):
    from_: str = strawberry.field(name="from", description="The state that the row is in.")
    to: str = strawberry.field(description="The state that was asked for.")
    allowed: list[str] = strawberry.field(description="The states that the row may move to.")
    node_id: Private[str] = ""

    node: Node = strawberry.field(resolver=_node, description="The row, as it is.")


@strawberry.type(description="Guards are in the way of the move: all of them are named.")
class TransitionBlocked(Problem):
    blockers: list[Blocker] = strawberry.field(description="Everything that is in the way.")


@strawberry.type(description="The row has changed since the version that was expected.")
class StaleVersion(Problem):
    expected: str = strawberry.field(description="The version that was expected.")
    current_id: Private[str] = ""

    current: Node | None = strawberry.field(
        resolver=_current, description="The row, as it is now; its `rowVersion` is the one to expect."
    )


@strawberry.type(description="There is no row with this id.")
class NotFound(Problem):
    node_id: strawberry.ID = strawberry.field(description="The id that was asked for.")


@strawberry.type(description="The caller may not do this.")
class Forbidden(Problem):
    pass


@strawberry.type(description="A value of the input cannot be used.")
class InvalidInput(Problem):
    field: str = strawberry.field(description="The field of the input, such as `reason` or `items[3].id`.")


@strawberry.type(
    description="Another field of the operation was not changed, and the operation is one transaction (`@transaction`)."
)
class TransactionUndone(Problem):
    cause: str = strawberry.field(description="The response key of the field whose problem has stopped all of them.")
    cause_code: str = strawberry.field(description="The code of that problem.")


@strawberry.type(
    description="A row that a change would alter or make. It has no `id` field, so that a client's cache does not take "
    "what may never be for the row."
)
class PlannedChange:
    node_id: strawberry.ID | None = strawberry.field(
        description="Global id of the row; null for one that would be made, which has none yet."
    )
    type: str = strawberry.field(description="The row's type.")
    before: JSON | None = strawberry.field(
        description="The fields that would change, by their GraphQL names, as they are stored; null for a row that "
        "would be made."
    )
    after: JSON = strawberry.field(
        description="The same fields as the change would leave them; of a row that would be made, those that are not "
        "null. Times are those of the dry run, and references to rows that would be made are null."
    )


@strawberry.type(description="What a dry run found: the change was made, looked at and undone.")
class TransitionPreview:
    blockers: list[Blocker] = strawberry.field(description="What is in the way; nothing would change while there is.")
    would_force: list[str] = strawberry.field(description="Codes of the guards that `force` would override.")
    would_change: list[PlannedChange] = strawberry.field(
        description="Every row that would change, the change's own rows first; empty while something is in the way."
    )


class Results:
    """The types of all results; ``event_type`` is the type of the recorded events."""

    def __init__(self, event_type: Any) -> None:
        self.applied = _applied(event_type)
        members = (
            self.applied, TransitionPreview, IllegalTransition, TransitionBlocked, StaleVersion, NotFound, Forbidden,
            InvalidInput, TransactionUndone,
        )  # fmt: skip
        named = strawberry.union("TransitionResult", description="What a change answers.")
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
            description="Whether it was made before, by a request with the same idempotency key; rows are shown as "
            "they are now."
        )
        subjects: Private[Sequence[str]] = ()
        others: Private[Sequence[str]] = ()
        events_: Private[Sequence[str]] = ()

        node: Node = strawberry.field(
            resolver=_first, description="The row that the change is about; for a batch the first one."
        )
        nodes: list[Node] = strawberry.field(
            resolver=_subjects, description="All rows that the change is about, in the order of the input."
        )
        also_changed: list[Node] = strawberry.field(resolver=_others, description="Rows that changed with it.")

    made: Any = TransitionApplied
    made.event = strawberry.field(resolver=event, description="The record of the change; for a batch the first one.")
    made.events = strawberry.field(
        resolver=events, description="All records of the change: of every row that moved, also of those beside it."
    )
    return strawberry.type(made, description="The change was made, and recorded in the same transaction.")

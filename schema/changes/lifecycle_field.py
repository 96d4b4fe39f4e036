"""The field `lifecycle`: state, possible transitions with blockers, possible mutations, history."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import strawberry

from db.base.lifecycles import Lifecycle, lifecycle_of
from schema.catalogue import ids
from schema.catalogue.catalogue import CHANGES, LIFECYCLE, STATE, Join, RelationField, Type
from schema.catalogue.records import Key, Record, key_name
from schema.catalogue.selection import Selection
from schema.changes.engine import blocker
from schema.changes.guards import GuardedRow, allowed, obstacles, refuse_unread
from schema.changes.mutations import mutations_of
from schema.changes.registry import ROW_CHANGES
from schema.changes.results import Blocker
from schema.errors import GatewayError, missing_object
from schema.execution.loaders import Loaders
from schema.graph.types import Info, Node, Types, selection_of, taking
from schema.sql.lists import NESTED_PAGE


@dataclass(frozen=True)
class _Place:
    """A row with its lifecycle: the source of the fields below `lifecycle`."""

    record: Record
    type: Type
    lifecycle: Lifecycle

    @property
    def key(self) -> Key:
        return tuple(self.record[key_name(column)] for column in self.type.key)

    @property
    def text(self) -> str | None:
        text: str | None = self.record[key_name(STATE)]
        return text

    @property
    def state(self) -> str:
        return self.lifecycle.shown(self.text)


@strawberry.type(description="A state that a row may move to.")
class AllowedTransition:
    to: str = strawberry.field(description="The state, as mutations accept it.")
    mutations: list[str] = strawberry.field(description="The mutations that lead to it.")
    blocked_by: list[Blocker] | None = strawberry.field(
        description="What blocks the transition now; empty if nothing does."
    )


@strawberry.type(description="A mutation that applies to a row in its current state, and what its input requires.")
class PossibleChange:
    mutation: str = strawberry.field(description="The mutation.")
    description: str = strawberry.field(description="What it does.")
    to: str | None = strawberry.field(
        description="The state that it leads to; null for a mutation that is not a transition of this lifecycle."
    )
    input_type: str = strawberry.field(description="The type of its `input`.")
    id_field: str = strawberry.field(description="The field of the input that takes the row's id.")
    required: list[str] = strawberry.field(
        description="Required fields of the input for this state, the row's id included."
    )
    optional: list[str] = strawberry.field(description="Optional fields of the input.")
    allowed: bool = strawberry.field(description="Whether the caller's scopes allow it; a dry run may need fewer.")
    scope: str = strawberry.field(
        description="The scope that it needs. `change:<mutation>` also suffices, unless the mutation writes columns of "
        "the row (`write:<group>`)."
    )
    blocked_by: list[Blocker] | None = strawberry.field(
        description="What blocks the mutation now; empty if nothing does. Null if only a dry run can tell, as for "
        "every mutation that is not a transition."
    )


class LifecycleFields:
    """Creates the `lifecycle` field of each type; the types below it are shared."""

    def __init__(self) -> None:
        self._type: Any = None
        self._stateful: Any = type("Stateful", (Node,), {})

    def interface(self, type_: Type) -> type[Node]:
        """`Stateful` for types with a lifecycle, `Node` for others."""
        made: type[Node] = self._stateful if lifecycle_of(type_.name) else Node
        return made

    def __call__(self, types: Types, type_: Type) -> dict[str, Any]:
        """The fields of a type beside those of the catalogue."""
        if type_.is_record:
            return {
                "node": strawberry.field(
                    resolver=_node, description="The row that changed; null if it no longer exists."
                )
            }
        lifecycle = lifecycle_of(type_.name)
        if lifecycle is None:
            return {CHANGES: _changes_of(type_)} if CHANGES in type_.extras else {}
        if self._type is None:
            self._type = _lifecycle_type(types)
            self._define_interface()

        def place(root: Any) -> Any:
            """The row with its lifecycle, or the error of a missing column."""
            for column in type_.extras[LIFECYCLE]:
                if key_name(column) not in root:
                    return next(root[name] for name in (LIFECYCLE, _STATE) if name in root)
            return _Place(root, type_, lifecycle)

        def resolve(root: strawberry.Parent[Any]) -> Any:
            return place(root)

        def state(root: strawberry.Parent[Any]) -> str | None:
            found = place(root)
            return found.state if isinstance(found, _Place) else found

        resolve.__annotations__["return"] = self._type | None
        words = [lapse.doc for lapse in lifecycle.lapses]
        at = f"State of the row in its lifecycle ({lifecycle.name}), and its possible transitions."
        fields = {LIFECYCLE: _described(resolve, LIFECYCLE, " ".join([at, *words]))}
        if _STATE in type_.extras:
            doc = f"Current state ({lifecycle.name}), as mutations accept it."
            fields[_STATE] = _described(state, _STATE, " ".join([doc, *words]))
        return fields

    def _define_interface(self) -> None:
        cls = self._stateful
        cls.__annotations__ = {_STATE: str | None, LIFECYCLE: self._type | None}
        setattr(cls, _STATE, strawberry.field(name=_STATE, description="Current state."))
        setattr(
            cls,
            LIFECYCLE,
            strawberry.field(
                name=LIFECYCLE, description="State of the row in its lifecycle, and its possible transitions."
            ),
        )
        strawberry.interface(
            cls, name="Stateful", description="A row that has a lifecycle: `... on Stateful` selects it of any type."
        )


_STATE = "state"


def _described(resolver: Any, name: str, description: str) -> Any:
    return strawberry.field(resolver=resolver, name=name, description=description)


def _lifecycle_type(types: Types) -> Any:
    events = types.catalogue.record
    returns = types.connections[events.name] | None
    history = taking(types.list_arguments(events, NESTED_PAGE), returns, _history)
    cls: Any = type("Lifecycle", (), {"__annotations__": {"state": str}})
    cls.state = strawberry.field(description="Current state of the row, as mutations accept it.")
    cls.allowed_transitions = strawberry.field(
        resolver=_allowed_transitions,
        description="The states that the row may move to, and what blocks each transition.",
    )
    cls.changes = strawberry.field(
        resolver=_changes,
        description="All mutations that apply to the row in its current state, with what their inputs require: "
        "transitions, other changes, updates of its columns, and retirement.",
    )
    cls.history = strawberry.field(resolver=history, description="Every recorded change of the row, newest first.")
    return strawberry.type(cls, name="Lifecycle", description="The state of a row in its lifecycle.")


def _history(place: _Place, info: Info) -> Any:
    if what := info.context.loaders.missing.unrecorded.get(place.type.name):
        raise missing_object(what)
    return info.context.loaders.related_connection(
        place.record, history_of(place.type, info.context.loaders.catalogue.record), selection_of(info)
    )


def history_of(type_: Type, record: Type) -> RelationField:
    """The events of a row in ``record``, as a relation by its global id."""
    key = [(type_.column_kind(column).name, f"{{local}}.{column}") for column in type_.key]
    join = Join(f"{{remote}}.node_id = {ids.sql(type_.name, key)}", type_.key, ("node_id",), equality=False)
    return RelationField("history", "Every recorded change of the row.", record.name, join, many=True)


async def _allowed_transitions(root: strawberry.Parent[Any], info: Info) -> list[AllowedTransition]:
    place: _Place = root
    loaders: Loaders = info.context.loaders
    selection = selection_of(info)
    return await loaders.loader(selection, _ask(loaders, place, selection)).load((*place.key, place.text))  # type: ignore[no-any-return]


def _ask(loaders: Loaders, place: _Place, selection: Selection) -> Any:
    """A loader function: rows by key and state, all in one statement."""
    wants_blockers = any(child.name == "blockedBy" for child in selection.fields.values())
    lifecycle = place.lifecycle

    async def load(keys: list[Key]) -> list[list[AllowedTransition]]:
        asks = [GuardedRow(key[:-1], lifecycle.state(key[-1])) for key in keys]
        ways = [allowed(loaders.missing, place.type, lifecycle, ask.state) for ask in asks]
        if not wants_blockers:
            return [[_allowed(lifecycle, state, []) for state in states] for states in ways]
        try:
            refuse_unread(loaders.missing, lifecycle)
        except GatewayError as error:
            return [[_allowed(lifecycle, state, error) for state in states] for states in ways]
        found = await obstacles(loaders.reader.fetch, place.type, lifecycle, asks)
        return [
            [_allowed(lifecycle, state, [blocker(obstacle) for obstacle in answer[state]]) for state in states]
            for states, answer in zip(ways, found, strict=True)
        ]

    return load


def _allowed(lifecycle: Lifecycle, state: Any, blockers: list[Blocker] | GatewayError) -> AllowedTransition:
    names = [change.name for change in lifecycle.changes if not change.to or state in change.to]
    return AllowedTransition(to=state.name, mutations=names, blocked_by=blockers)  # type: ignore[arg-type]  # an error is the field's value


async def _changes(root: strawberry.Parent[Any], info: Info) -> list[PossibleChange]:
    place: _Place = root
    context: Any = info.context
    loaders: Loaders = context.loaders
    selection = selection_of(info)
    ways: list[AllowedTransition] = await loaders.loader(selection, _ask(loaders, place, selection)).load(
        (*place.key, place.text)
    )
    return _possible(context, place.type.name, place.lifecycle.name, ways)


def _changes_of(type_: Type) -> Any:
    """`changes` of a type without a lifecycle, which does not depend on the row."""

    async def resolve(info: Info) -> list[PossibleChange] | None:
        return _possible(info.context, type_.name, None, ())

    words = (
        "All mutations that may be made of the row, with what their inputs need: what writes its columns or retires it."
    )
    return strawberry.field(resolver=resolve, name=CHANGES, description=words)


def _possible(
    context: Any, type_name: str, lifecycle: str | None, ways: Sequence[AllowedTransition]
) -> list[PossibleChange]:
    """The mutations for a row, by the transitions that are possible for it."""
    found = []
    for mutation, id_field in mutations_of(type_name):
        withheld = context.loaders.missing.withholds(sorted(mutation.reads))
        is_move = lifecycle is not None and mutation.lifecycle == lifecycle
        for way in [way for way in ways if mutation.name in way.mutations] if is_move else [None]:
            state = None if way is None else way.to
            required, optional = mutation.inputs(state)
            blockers = None if way is None else way.blocked_by
            found.append(
                PossibleChange(
                    mutation=mutation.name,
                    description=mutation.doc,
                    to=state,
                    input_type=mutation.input_type,
                    id_field=id_field,
                    required=required,
                    optional=optional,
                    allowed=mutation.is_open_to(context.caller) and not withheld,
                    scope=mutation.scope,
                    blocked_by=blockers,
                )
            )
    return [*found, *_row_changes(type_name, context.caller.may)]


def _row_changes(type_name: str, may: Callable[[str], bool]) -> Iterator[PossibleChange]:
    """The mutations that write columns of a type's rows; ``may`` says whether the caller has a scope."""
    for one in (one for changes in ROW_CHANGES for one in changes(type_name)):
        yield PossibleChange(
            mutation=one.mutation,
            description=one.doc,
            to=None,
            input_type=one.input_type,
            id_field="id",
            required=list(one.required),
            optional=list(one.optional),
            allowed=all(map(may, one.scopes)),
            scope=one.scopes[0],
            blocked_by=None,
        )


async def _node(root: strawberry.Parent[Any], info: Info) -> Node | None:
    return await info.context.loaders.node(selection_of(info), root[key_name("node_id")])  # type: ignore[no-any-return]

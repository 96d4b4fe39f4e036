"""The field `lifecycle`: state, possible transitions with blockers, possible mutations, history."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import strawberry

from db.base.guards import Guard
from db.base.lifecycles import Lifecycle, lifecycle_of, lifecycles_of
from db.base.vocabulary import Labels
from schema.catalogue import ids
from schema.catalogue.catalogue import CHANGES, LIFECYCLE, STATE, Join, RelationField, Type
from schema.catalogue.records import Key, Record, key_name
from schema.catalogue.selection import Selection
from schema.changes.engine import blocker
from schema.changes.guards import GuardedRow, allowed, obstacles, unread
from schema.changes.mutations import Mutation, mutations_of
from schema.changes.registry import ROW_CHANGES
from schema.changes.results import Blocker
from schema.errors import GatewayError, missing_object
from schema.execution.loaders import Loaders
from schema.graph.types import Info, Node, Types, selection_of, taking
from schema.sql.lists import NESTED_PAGE

Blockers = list[Blocker] | GatewayError | None


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
        description="What blocks the mutation now; empty if nothing does. Null if only a dry run can tell."
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
    ask = _ask_transitions(loaders, place.type, place.lifecycle, wants_blockers=_wants_blockers(selection))
    return await loaders.loader(selection, ask, place.type.name).load((*place.key, place.text))  # type: ignore[no-any-return]


def _wants_blockers(selection: Selection) -> bool:
    return any(child.name == "blockedBy" for child in selection.fields.values())


def _ask_transitions(loaders: Loaders, type_: Type, lifecycle: Lifecycle, *, wants_blockers: bool) -> Any:
    """The loader's function: rows by key and state, all of them in one statement."""

    async def load(keys: list[Key]) -> list[list[AllowedTransition]]:
        states = [lifecycle.state(text) for *_, text in keys]
        ways = [allowed(loaders.missing, type_, lifecycle, state) for state in states]
        guards = [
            [lifecycle.guards(state, to) if wants_blockers and state else None for to in targets]
            for state, targets in zip(states, ways, strict=True)
        ]
        found = await _blockers(loaders, type_, [key[:-1] for key in keys], guards)
        return [
            [_transition(type_, lifecycle, to, blockers) for to, blockers in zip(targets, told, strict=True)]
            for targets, told in zip(ways, found, strict=True)
        ]

    return load


def _transition(type_: Type, lifecycle: Lifecycle, to: Labels, blockers: Blockers) -> AllowedTransition:
    names = [
        one.name
        for one, _ in mutations_of(type_.name)
        if one.moves and one.moves[0] is lifecycle and (not one.moves[1] or to in one.moves[1])
    ]
    return AllowedTransition(to=to.name, mutations=names, blocked_by=blockers)  # type: ignore[arg-type]  # an error is what the field answers


async def _blockers(
    loaders: Loaders, type_: Type, keys: Sequence[Key], guards: Sequence[Sequence[Sequence[Guard] | None]]
) -> list[list[Blockers]]:
    """What the guards of each change of each row say; None without guards, an error where the caller cannot be told."""
    unread_: dict[tuple[int, ...], GatewayError | None] = {}

    def refused(way: Sequence[Guard]) -> GatewayError | None:
        ids = tuple(map(id, way))
        if ids not in unread_:
            unread_[ids] = unread(loaders.missing, way)
        return unread_[ids]

    asked = []
    for key, ways in zip(keys, guards, strict=True):
        wanted = {id(guard): guard for way in ways if way and not refused(way) for guard in way}
        asked.append(GuardedRow(key, list(wanted.values())))
    found = await obstacles(loaders.reader.fetch, type_, asked)
    answers: list[list[Blockers]] = []
    for ways, told in zip(guards, found, strict=True):
        answers.append(
            [
                None
                if way is None
                else refused(way) or [blocker(one) for guard in way for one in told if one.guard is guard]
                for way in ways
            ]
        )
    return answers


@dataclass(frozen=True)
class _Way:
    """A mutation that applies to a row as it is, and the state of the shown lifecycle that it leads to, if any."""

    mutation: Mutation
    id_field: str
    to: Labels | None = None
    guards: Sequence[Guard] | None = None


async def _changes(root: strawberry.Parent[Any], info: Info) -> list[PossibleChange]:
    place: _Place = root
    others = lifecycles_of(place.type.name)[1:]
    texts = [place.record.get(key_name(one.column), _UNKNOWN) for one in others]
    return await _possible(info, place.type, place.key, (place.text, *texts))


def _changes_of(type_: Type) -> Any:
    """`changes` of a type without a lifecycle; only guards depend on the row."""

    async def resolve(root: strawberry.Parent[Any], info: Info) -> list[PossibleChange] | None:
        return await _possible(info, type_, tuple(root[key_name(column)] for column in type_.key), ())

    words = (
        "All mutations that may be made of the row, with what their inputs need: what writes its columns or retires it."
    )
    return strawberry.field(resolver=resolve, name=CHANGES, description=words)


_UNKNOWN = "\x00"
"""Stands for the state of a lifecycle whose column the database lacks; no text of Postgres holds it."""


async def _possible(info: Info, type_: Type, key: Key, texts: Key) -> list[PossibleChange]:
    """What may be made of a row that its lifecycles say these texts of."""
    context: Any = info.context
    loaders: Loaders = context.loaders
    selection = selection_of(info)
    wants_blockers = _wants_blockers(selection)

    async def load(asked: list[Key]) -> list[list[tuple[_Way, Blockers]]]:
        ways = [list(_ways(loaders, type_, one[len(type_.key) :])) for one in asked]
        guards = [[way.guards if wants_blockers else None for way in row] for row in ways]
        found = await _blockers(loaders, type_, [one[: len(type_.key)] for one in asked], guards)
        return [list(zip(row, told, strict=True)) for row, told in zip(ways, found, strict=True)]

    found = await loaders.loader(selection, load, type_.name).load((*key, *texts))
    return [
        *(_change(context, way, blockers) for way, blockers in found),
        *_row_changes(type_.name, context.caller.may),
    ]


def _ways(loaders: Loaders, type_: Type, texts: Key) -> Iterator[_Way]:
    """The mutations that apply to a row, by name and state."""
    lives = lifecycles_of(type_.name)
    states = {one.key: one.state(text) for one, text in zip(lives, texts, strict=True) if text != _UNKNOWN}
    for mutation, id_field in mutations_of(type_.name):
        if mutation.moves is None or mutation.subject != type_.name or mutation.moves[0].key not in states:
            yield _Way(mutation, id_field, guards=None if mutation.moves else mutation.guards)
            continue
        lifecycle, targets = mutation.moves
        state = states[lifecycle.key]
        reached = [one for one in allowed(loaders.missing, type_, lifecycle, state) if not targets or one in targets]
        guards = [
            None if state is None or mutation.guards is None else [*lifecycle.guards(state, to), *mutation.guards]
            for to in reached
        ]
        if lifecycle is lives[0]:
            yield from (_Way(mutation, id_field, to, judged) for to, judged in zip(reached, guards, strict=True))
        elif reached:  # where it leads to several states the input says which, and with it what judges it
            yield _Way(mutation, id_field, guards=guards[0] if all(one == guards[0] for one in guards) else None)


def _change(context: Any, way: _Way, blockers: Blockers) -> PossibleChange:
    mutation, to = way.mutation, way.to.name if way.to else None
    required, optional = mutation.inputs(to)
    withheld = context.loaders.missing.withholds(sorted(mutation.reads))
    return PossibleChange(
        mutation=mutation.name,
        description=mutation.doc,
        to=to,
        input_type=mutation.input_type,
        id_field=way.id_field,
        required=required,
        optional=optional,
        allowed=mutation.is_open_to(context.caller) and not withheld,
        scope=mutation.scope,
        blocked_by=blockers,  # type: ignore[arg-type]  # an error is what the field answers
    )


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

"""`impact`: what a transition would affect.

Without postponed annotations: Strawberry could not resolve names of classes that a function creates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import strawberry

from db.base.lifecycles import Lifecycle, lifecycle_of, lifecycles
from db.base.vocabulary import Labels
from db.engine.readers import Reader
from schema.catalogue.catalogue import Type
from schema.catalogue.records import CUT, Record
from schema.catalogue.scalars import DateTime
from schema.catalogue.selection import cut_unsaid
from schema.changes.engine import blocker
from schema.changes.guards import GuardedRow, obstacles, refuse_unread
from schema.changes.guards import allowed as possible
from schema.changes.results import Blocker
from schema.errors import bad_argument, missing_object
from schema.execution.loaders import Loaders
from schema.execution.time_slices import aside
from schema.graph.root_field import RootField
from schema.graph.types import Info, Types, selection_of, taking
from schema.lineage import arguments as parsing
from schema.lineage import impact
from schema.lineage.answer import assemble, is_complete, limits, reason
from schema.lineage.edges import edges
from schema.lineage.fields.types import (
    DEGREE,
    TOLD,
    LineageNode,
    NodeReader,
    argument,
    classes,
    edge_record,
    node_record,
    node_rows,
    walk_price,
)
from schema.lineage.statements import Branch, Spot, Statements, Window, key_of
from schema.lineage.walk import DOWNSTREAM, UPSTREAM, Walk, WalkParameters
from schema.sql import builder as sql

DEPTH = 10
NEIGHBOURS = 100
"""The largest number of affected rows that are read per row."""


@strawberry.input(description="A change of state.")
class LineageTransition:
    to: str = strawberry.field(description="The new state, as the graph names it: PRODUCTION.")
    lifecycle: str | None = strawberry.field(
        default=None,
        description="Lifecycle of the transition; the type's main one, such as stage or status, by default.",
    )


@dataclass(frozen=True)
class Move:
    """The requested transition."""

    id: str
    type: Type
    lifecycle: Lifecycle
    to: Labels


def _move(loaders: Loaders, arguments: Mapping[str, Any]) -> Move:
    id_ = parsing.node_id(loaders.catalogue, "of", arguments["of"])
    type_, _ = key_of(loaders.catalogue, id_)
    asked = arguments["if"]
    names = [one.name for one in lifecycles() if one.entity == type_.name]
    if not names:
        raise bad_argument("of", f"{type_.name} has no lifecycle, so it has no moves")
    lifecycle = lifecycle_of(type_.name, asked.get("lifecycle"))
    if lifecycle is None:
        raise bad_argument("if.lifecycle", f"{type_.name} has none of that name; it has {', '.join(names)}")
    if asked["to"] not in lifecycle.states.__members__:
        states = ", ".join(state.name for state in lifecycle.states)
        raise bad_argument("if.to", f"{asked['to'][:80]!r} is not a state of {lifecycle.key}; its states are {states}")
    return Move(id_, type_, lifecycle, lifecycle.states[asked["to"]])


class Impact:
    """The impact of one transition, read on one snapshot."""

    def __init__(self, loaders: Loaders, reader: Reader, move: Move) -> None:
        self._loaders = loaders
        self._reader = reader
        self._move = move
        self._statements = Statements(loaders.lists)
        self._chains: dict[str, list[str]] = {}

    async def origin(self) -> tuple[Labels | None, str]:
        """The state in the row's column, from which it moves, and the name of its effective state.

        Raises:
            GatewayError: ``BAD_USER_INPUT``: there is no such row; ``MISSING_IN_DATABASE``: there is no such column.
        """
        move, missing = self._move, self._loaders.missing
        refuse_unread(missing, move.lifecycle)
        if what := missing.table(move.type) or missing.first(move.type, [move.lifecycle.column]):
            raise missing_object(what)
        bind = sql.Binds()
        state = move.lifecycle.read("t", lambda columns: missing.first(move.type, columns))
        select = [f"t.{move.lifecycle.column}::text", state]
        rows = await self._reader.fetch(
            sql.by_keys(move.type, select, [key_of_move(self._loaders, move)], bind), bind.values
        )
        if not rows:
            raise bad_argument("of", f"{move.id} does not exist")
        return move.lifecycle.state(rows[0][1]), move.lifecycle.shown(rows[0][2])

    async def blockers(self, origin: Labels) -> list[Blocker]:
        """The blockers of the transition."""
        move = self._move
        ask = GuardedRow(key_of_move(self._loaders, move), move.lifecycle.guards(origin, move.to))
        (found,) = await obstacles(self._reader.fetch, move.type, [ask])
        return [blocker(obstacle) for obstacle in found]

    async def concerned(self, origin: Labels) -> list[str]:
        """The ids of the rows that the effects of the transition would change, or read to decide."""
        move = self._move
        found: dict[str, None] = {}
        for way in impact.ways(move.lifecycle, origin, move.to):
            found |= dict.fromkeys(await self._follow([move.id], way))
        found.pop(move.id, None)
        return list(found)

    async def _follow(self, ids: Sequence[str], way: Sequence[str]) -> list[str]:
        """The nodes at the end of a path; a step with ``*`` is followed transitively, its start included."""
        for name in way:
            if name.endswith("*"):
                ids = await self._chain(ids, name.removesuffix("*"))
                continue
            end = edges().by_name[name]
            if not ids or self._statements.lacking(end):
                return []
            spots = [Spot(id_, key_of(self._loaders.catalogue, id_)[1]) for id_ in ids]
            rows = await self._reader.fetch(*self._statements.neighbours([Branch((end,), spots)], NEIGHBOURS, Window()))
            ids = list(dict.fromkeys(row[2] for row in rows if row[2] is not None))
        return list(ids)

    async def _chain(self, ids: Sequence[str], name: str) -> list[str]:
        """The transitive neighbours along an end's edges; read once, however many paths begin with it."""
        if name not in self._chains:
            end = edges().by_name[name]
            direction = DOWNSTREAM if end.downstream else UPSTREAM
            chain = WalkParameters(ids, direction, parsing.MAX_DEPTH, NEIGHBOURS, parsing.NODES, frozenset({end.kind}))
            self._chains[name] = list((await Walk(self._loaders.lists, self._reader, chain).run()).found)
        return self._chains[name]


def key_of_move(loaders: Loaders, move: Move) -> tuple[str, ...]:
    """The key of the row to be moved."""
    return key_of(loaders.catalogue, move.id)[1]


async def _impact(info: Info) -> Record:
    """What a transition would affect.

    Raises:
        GatewayError: ``BAD_USER_INPUT``, naming the argument.
    """
    loaders, selection = info.context.loaders, selection_of(info)
    move = _move(loaders, selection.arguments)
    room = parsing.number(selection.arguments, "maxNodes", parsing.NODES, 1, parsing.MAX_NODES)
    async with loaders.reader.snapshot() as reader:
        asked = Impact(loaders, reader, move)
        origin, shown = await asked.origin()
        type_ = loaders.catalogue[move.lifecycle.entity]
        allowed = origin is not None and move.to in possible(loaders.missing, type_, move.lifecycle, origin)
        blockers = await asked.blockers(origin) if origin is not None and allowed else []
        concerned = await asked.concerned(origin) if origin is not None and allowed else []
        starts = [move.id, *concerned][:room]
        question = WalkParameters(starts, DOWNSTREAM, DEPTH, NEIGHBOURS, room, frozenset(impact.SERVING))
        walked = await Walk(loaders.lists, reader, question).run()
        answer = await aside(walked.read, assemble, walked, question, None)
        records = {node.id: node_record(node) for node in answer.nodes}
        await NodeReader(loaders, reader, selection).fill(answer.nodes, list(records.values()))
    cut = len(starts) <= len(concerned)
    reached = {"maxNodes"} if cut else limits(answer, walked) & {"maxNodes"}
    return {
        CUT: cut_unsaid(selection, reached, ["changes", "nodes", "edges"], TOLD),
        "node": records[move.id],
        "lifecycle": move.lifecycle.name,
        "from_": shown,
        "to": move.to.name,
        "allowed": allowed,
        "blocked_by": blockers,
        "changes": [records[id_] for id_ in concerned if id_ in records],
        "nodes": list(records.values()),
        "edges": [edge_record(link, closes=closes) for link, closes in answer.links.items()],
        "unknown": impact.unknown(move.lifecycle, origin, move.to) if origin is not None and allowed else [],
        "complete": not cut and is_complete(answer, walked),
        "reason": f"maxNodes: the change affects more than {room} rows." if cut else reason(answer, walked, question),
        "as_of": walked.as_of,
    }


@cache
def _result(types: Types) -> Any:
    edges_: Any = list[classes(types).edge]  # type: ignore[misc]  # a class that refers to an enum of the models

    @strawberry.type(description="What a change of state would affect. Nothing is changed.")
    class LineageImpact:
        node: LineageNode = strawberry.field(description="The row that would change its state.")
        lifecycle: str = strawberry.field(description="Lifecycle of the transition.")
        from_: str | None = strawberry.field(name="from", description="Current state.")
        to: str = strawberry.field(description="State after the transition.")
        allowed: bool = strawberry.field(
            description="Whether the lifecycle has this transition; if not, nothing is followed."
        )
        blocked_by: list[Blocker] = strawberry.field(
            description="What blocks the transition now; empty if nothing does."
        )
        changes: list[LineageNode] = strawberry.field(
            description="Other rows that the transition may change: the rows that its effects read. A dry run of the "
            "mutation shows which of them change."
        )
        nodes: list[LineageNode] = strawberry.field(
            description="These rows and the rows downstream of them, which depend on the change."
        )
        edges: edges_ = strawberry.field(description="The edges among them.")
        unknown: list[str] = strawberry.field(description="What the transition would change that no edge leads to.")
        complete: bool = strawberry.field(description="Whether nothing was truncated.")
        reason: str | None = strawberry.field(description="What was truncated; null if nothing was.")
        as_of: DateTime = strawberry.field(description="Time of the snapshot from which everything was read.")

    return LineageImpact


def _make(types: Types) -> Any:
    taken = {
        "of": argument(strawberry.ID, "Global id of the row that would change its state."),
        "if_": argument(LineageTransition, "The change of state.", name="if"),
        "maxNodes": argument(int | None, f"Maximum number of nodes: 1 to {parsing.MAX_NODES}.", parsing.NODES),
    }
    return strawberry.field(
        resolver=taking(taken, _result(types) | None, lambda _root, info: _impact(info)),
        description="What a change of state, such as a promotion or a rollback, would affect: its blockers, the rows "
        "that change with it, and the rows that depend on them.",
    )


def _reads(_types: object, arguments: Mapping[str, Any], sizes: Mapping[str, int]) -> int:
    return walk_price(node_rows(arguments)["node"], NEIGHBOURS, sizes)


IMPACT = RootField(_make, node_rows, _reads, DEGREE)

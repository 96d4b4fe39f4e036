"""Changes of a lineage between two times, from timestamps of rows and the record of changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from db.engine.readers import Reader
from schema.catalogue.catalogue import Catalogue, Type
from schema.catalogue.records import Missing
from schema.lineage.answer import LineageAnswer, Link
from schema.lineage.edges import ENDS
from schema.lineage.walk import WalkedNode
from schema.sql import builder as sql

UPDATED = ("updated_at", "last_validated_at")
MAX_EVENTS = 1000


@dataclass(frozen=True)
class NodeChange:
    """A changed node: a recorded transition, or an update without details."""

    node: WalkedNode
    at: str
    lifecycle: str | None = None
    origin: str | None = None
    to: str | None = None
    actor: str | None = None


@dataclass
class LineageChanges:
    """Nodes and edges that were added, retired and changed; ``unknown`` lists what cannot be determined."""

    added: list[WalkedNode]
    removed: list[WalkedNode]
    added_links: list[Link]
    removed_links: list[Link]
    changes: list[NodeChange]
    unknown: list[str]


@dataclass(frozen=True)
class _Times:
    """The times of a row: its creation relative to the interval, and its update or end within it."""

    came: str | None
    updated: str | None
    ended: str | None


class DiffReader:
    """Reads differences on one snapshot."""

    def __init__(self, catalogue: Catalogue, missing: Missing, reader: Reader) -> None:
        self._catalogue = catalogue
        self._missing = missing
        self._reader = reader

    async def between(self, answer: LineageAnswer, since: datetime, until: datetime) -> LineageChanges:
        """The changes of a result's nodes and edges after ``since``, up to ``until``."""
        times = await self._times(answer.nodes, since, until)
        added = [node for node in answer.nodes if times[node.id].came == "within"]
        removed = [node for node in answer.nodes if times[node.id].ended is not None]
        came = {node.id for node in added}
        gone = {node.id for node in removed}
        later = {id_ for id_, one in times.items() if one.came == "after"}
        links = [link for link in answer.links if not {link.upstream, link.downstream} & later]
        shown = [node for node in answer.nodes if node.type not in self._missing.unrecorded]
        recorded = await self._events([node for node in shown if node.id not in later], since, until)
        moved = {change.node.id for change in recorded or ()}
        updates = [
            NodeChange(node, str(times[node.id].updated))
            for node in answer.nodes
            if times[node.id].updated and node.id not in came | gone | moved | later
        ]
        return LineageChanges(
            added,
            removed,
            [link for link in links if {link.upstream, link.downstream} & came],
            [link for link in links if {link.upstream, link.downstream} & gone],
            [*(recorded or ()), *updates],
            [*_unknown(answer.nodes, times, told=recorded is not None), *self._untold(answer.nodes)],
        )

    def _untold(self, nodes: Sequence[WalkedNode]) -> list[str]:
        """The types whose recorded changes the caller may not read."""
        withheld = {node.type: self._missing.unrecorded.get(node.type) for node in nodes}
        return [
            f"Recorded changes of {name} rows are shown only to callers with the scope {what.scope}."
            for name, what in sorted(withheld.items())
            if what is not None
        ]

    async def _times(self, nodes: Sequence[WalkedNode], since: datetime, until: datetime) -> Mapping[str, _Times]:
        """The times of nodes, in one statement."""
        by_type: dict[str, list[WalkedNode]] = {}
        for node in nodes:
            by_type.setdefault(node.type, []).append(node)
        bind = sql.Binds()
        interval = tuple(bind(moment.isoformat(), "text::timestamptz") for moment in (since, until))
        branches = []
        for name, of_type in by_type.items():
            type_ = self._catalogue[name]
            select = [f"'{name}'", *self._columns(type_, interval)]
            rows = sql.by_keys(type_, select, [node.key for node in of_type], bind)
            branches.append(f"SELECT r.* FROM ({rows}) AS r (ord, type, came, updated, ended)")
        times: dict[str, _Times] = {}
        if branches:
            for place, name, *of_row in await self._reader.fetch(" UNION ALL ".join(branches), bind.values):
                times[by_type[name][place - 1].id] = _Times(*of_row)
        return times

    def _columns(self, type_: Type, interval: tuple[str, ...]) -> list[str]:
        since, until = interval

        def first(names: Sequence[str | None]) -> str | None:
            there = (name for name in names if name is not None and name in type_.table.columns)
            column = next((name for name in there if not self._missing.first(type_, [name])), None)
            timed = column is not None and type_.column_kind(column).graphql in {"DateTime", "Date"}
            return f"t.{column}::timestamptz" if timed else None

        def within(time: str | None) -> str:
            if time is None:
                return "NULL::text"
            return f"CASE WHEN {time} > {since} AND {time} <= {until} THEN {_WIRE.replace('{c}', time)} END"

        came = first(("created_at", None if type_.is_derived else type_.ordered_by))
        when = (
            f"CASE WHEN {came} > {until} THEN 'after' WHEN {came} > {since} THEN 'within' "
            f"WHEN {came} IS NOT NULL THEN 'before' END"
        )
        return [when if came else "NULL::text", within(first(UPDATED)), within(first(tuple(ENDS)))]

    async def _events(self, nodes: Sequence[WalkedNode], since: datetime, until: datetime) -> list[NodeChange] | None:
        """The recorded changes of nodes; None if the database has no record."""
        type_ = self._catalogue.record
        if self._missing.table(type_):
            return None
        bind = sql.Binds()
        by_id = {node.id: node for node in nodes}
        ids = bind(list(by_id), "text[]")
        after, to = (bind(moment.isoformat(), "text::timestamptz") for moment in (since, until))
        when = _WIRE.replace("{c}", "t.occurred_at")
        rows = await self._reader.fetch(
            f"SELECT t.node_id, {when}, t.lifecycle, t.from_state, t.to_state, t.actor "
            f"FROM {type_.sql_name} AS t WHERE t.node_id = ANY ({ids}) AND t.occurred_at > {after} "
            f"AND t.occurred_at <= {to} ORDER BY t.occurred_at, t.event_id LIMIT {MAX_EVENTS}",
            bind.values,
        )
        return [NodeChange(by_id[row[0]], *row[1:]) for row in rows]


_WIRE = "to_char({c} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"


def _unknown(nodes: Sequence[WalkedNode], times: Mapping[str, _Times], *, told: bool) -> list[str]:
    """What the database does not record."""
    said = [
        "Rows that were deleted leave no trace: what is not there today is neither in `added` nor in `removed`.",
        "When an edge between two older rows was set is not recorded: edges are as old as their younger end.",
        "Of a row that was updated several times only the last time is known, and not what was changed.",
    ]
    if told:
        said.append(f"Changes by other writers are not recorded; of recorded changes at most {MAX_EVENTS} are shown.")
    else:
        said.append("This database has no record of changes: states may have changed without being shown.")
    untimed = Counter(node.type for node in nodes if times[node.id].came is None)
    said += [
        f"{count} {name} rows have no time: when they came to be is unknown." for name, count in sorted(untimed.items())
    ]
    return said

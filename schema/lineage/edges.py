"""Edges as data: every relation that is an edge, from both ends, with labels and states of nodes.

Derived from the models; the walk names no table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from db.base.lifecycles import Lifecycle, lifecycle_of
from db.base.lineage import LineageKind
from db.base.vocabulary import EdgeSpec, RowClass, derived, entities, is_own, relations, table_of
from schema.catalogue.catalogue import Join, Type
from schema.catalogue.from_models import joins
from schema.catalogue.records import Missing


@dataclass(frozen=True)
class End:
    """An edge seen from one of its ends: from a row of ``type`` to rows of ``target``, found by ``join``.

    ``downstream``: the target is the downstream end. ``name`` is unique: ``Model.experiment``, and with a ``~``
    appended for the other end.
    """

    name: str
    type: str
    target: str
    join: Join
    kind: LineageKind
    downstream: bool
    closes_loop: bool


class Edges:
    """The ends of all edges, by the type that they start from: tables, and derived SELECTs with edges."""

    def __init__(self) -> None:
        self.of: dict[str, tuple[End, ...]] = {}
        self.by_name: dict[str, End] = {}
        for name, entity in entities().items():
            if not entity.__is_view__ and not is_own(table_of(entity)):
                self.of.setdefault(name, ())
        classes: dict[str, RowClass] = {**entities(), **derived()}
        for name, rows in classes.items():
            for field, relation in relations(rows).items():
                if isinstance(relation.lineage, EdgeSpec):
                    for end in _ends(name, field, relation.target, relation.lineage, joins(rows, relation)):
                        self.of[end.type] = (*self.of.get(end.type, ()), end)
                        self.by_name[end.name] = end

    @property
    def types(self) -> list[str]:
        """The types that are nodes of the lineage."""
        return list(self.of)


def _ends(type_: str, field: str, target: str, edge: EdgeSpec, ways: tuple[Join, Join]) -> Iterator[End]:
    kind = edge.kind
    assert isinstance(kind, LineageKind)  # noqa: S101 - edges have no other vocabulary
    downstream = not edge.target_is_upstream
    name = f"{type_}.{field}"
    yield End(name, type_, target, ways[0], kind, downstream, edge.closes_loop)
    yield End(f"{name}~", target, type_, ways[1], kind, not downstream, edge.closes_loop)


@cache
def edges() -> Edges:
    """The edges of all models."""
    return Edges()


STATES = ("status", "overall_status", "state", "gate")
"""Columns with the state of a row without a lifecycle; the first that a table has is used."""
ENDS = {
    "deleted_at": "DELETED",
    "deprecated_at": "DEPRECATED",
    "retired_at": "RETIRED",
    "deactivated_at": "INACTIVE",
    "deactivation_date": "INACTIVE",
}
"""Columns with the end of a row, and the state that each implies without a state column."""
IN_USE = "is_active"
"""The column that says whether a row is in use; it takes precedence over times, which may be stale."""
LABEL_LENGTH = 120


@dataclass(frozen=True)
class NodeDisplay:
    """How a type's nodes are shown: SQL over ``{row}`` of the label and the state, NULL if it has none.

    ``ended`` is SQL of whether a row has ended, None for a type whose rows do not end.
    """

    label: str
    state: str
    ended: str | None
    state_column: str | None
    lifecycle: Lifecycle | None


def face(type_: Type, missing: Missing) -> NodeDisplay:
    """How nodes of a type are shown, by the columns that the database has."""
    there = [column.name for column in type_.table.columns if not missing.first(type_, [column.name])]
    leaves = (type_.leaf(name) for name in type_.label)
    named = ", ".join(f"{leaf.sql}::text" for leaf in leaves if not missing.first(type_, leaf.columns))
    lifecycle = lifecycle_of(type_.name)
    state = next((column for column in ((lifecycle.column,) if lifecycle else STATES) if column in there), None)
    if lifecycle and state:
        read = lifecycle.read("{row}", lambda columns: missing.first(type_, columns))
    else:
        read = f"{{row}}.{state}::text" if state else _in_use(there)
    over = [f"{{row}}.{column} IS NOT NULL" for column in ENDS if column in there]
    over = [f"{{row}}.{IN_USE} IS FALSE"] if IN_USE in there else over
    if lifecycle and state and lifecycle.ended:
        labels = ", ".join(f"'{lifecycle.text(one)}'" for one in lifecycle.ended)
        over.append(f"coalesce({read} IN ({labels}), false)")
    return NodeDisplay(
        f"nullif(left(concat_ws(' ', {named}), {LABEL_LENGTH}), '')" if named else "NULL::text",
        read,
        f"({' OR '.join(over)})" if over else None,
        state,
        lifecycle,
    )


def _in_use(columns: Sequence[str]) -> str:
    """SQL of the state of a row with an end column only: ACTIVE, or how it ended."""
    if IN_USE in columns:
        return f"CASE {{row}}.{IN_USE} WHEN true THEN 'ACTIVE' WHEN false THEN 'INACTIVE' END"
    ends = "".join(
        f" WHEN {{row}}.{column} IS NOT NULL THEN '{name}'" for column, name in ENDS.items() if column in columns
    )
    return f"CASE{ends} ELSE 'ACTIVE' END" if ends else "NULL::text"


def state_name(type_: Type, face_: NodeDisplay, text: str | None) -> str | None:
    """A state as the graph names it: by lifecycle, by enum, or the text itself."""
    if face_.state_column is None:
        return text
    if face_.lifecycle is not None:
        return face_.lifecycle.shown(text)
    if text is None:
        return None
    labels = type_.column_kind(face_.state_column).labels
    if labels is None:
        return text
    return next((member.name for member in labels if member.value == text), text)

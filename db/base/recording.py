"""What recording a row through the gateway takes, worked out from the declaration on its model (``__record__``).

What is not declared is derived: which columns are the server's from their names, from lifecycles and from computed
columns; what is required and what refers to other rows from the columns themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Column

from db.base.lifecycles import Lifecycle, lifecycles
from db.base.markers import Recordable
from db.base.vocabulary import Entity, entities, key_columns, relations, table_of

TIMES_OF_THE_ROW = frozenset({"created_at", "updated_at"})
"""Columns that say when the row was written, not when what it tells of has happened."""


def recordables() -> Iterator[tuple[type[Entity], Recordable]]:
    """The entities whose rows are recorded through the gateway, in order of declaration."""
    for one in entities().values():
        if one.__record__ is not None:
            yield one, one.__record__


@dataclass(frozen=True)
class RowReference:
    """A relation by which a row names another one: the column that holds the key of ``target``."""

    name: str
    column: str
    target: str
    doc: str


@dataclass(frozen=True)
class RecordPlan:
    """What of an entity's columns a caller gives, and what the server fills."""

    entity: type[Entity]
    declared: Recordable
    inputs: tuple[str, ...]
    """Columns that a caller may give, in the table's order; those of ``refs`` are among them."""
    refs: Mapping[str, RowReference]
    """By column."""
    births: Mapping[str, str]
    """Columns of lifecycles that the server writes at birth: their texts, empty for null."""
    state: Lifecycle | None
    """The lifecycle whose state a caller may give, where a row may be born in more than one."""
    required: frozenset[str]
    """Inputs that are NOT NULL and have no default."""
    server: frozenset[str]
    """Columns that are no inputs."""

    @property
    def name(self) -> str:
        return self.entity.__name__


@cache
def plan_of(one: type[Entity]) -> RecordPlan:
    """The plan of a recordable entity."""
    declared = one.__record__
    if declared is None:
        raise ValueError(f"{one.__name__} is not recorded through the gateway")
    table = table_of(one)
    own = [lifecycle for lifecycle in lifecycles() if lifecycle.entity == one.__name__]
    births: dict[str, str] = {}
    server = {*declared.server, *(TIMES_OF_THE_ROW & set(table.columns.keys()))}
    server |= {column.name for column in table.columns if column.computed is not None}
    server |= {declared.actor} if declared.actor else set()
    state = None
    for place, lifecycle in enumerate(own):
        born = declared.born if place == 0 else ()
        if len(born) > 1:
            state = lifecycle
        else:
            births[lifecycle.column] = lifecycle.text(lifecycle.states[born[0]] if born else lifecycle.initial)
            server.add(lifecycle.column)
        if not set(born) - {lifecycle.initial.name}:  # else its work is done, and the caller says when
            server |= {column for column in _stamped(lifecycle) if column not in table.primary_key.columns}
    inputs = tuple(column.name for column in table.columns if column.name not in server)
    refs = {ref.column: ref for ref in _refs(one) if ref.column in inputs}
    required = frozenset(name for name in inputs if _is_required(table.columns[name]))
    return RecordPlan(one, declared, inputs, refs, births, state, required, frozenset(server))


def _stamped(lifecycle: Lifecycle) -> Iterator[str]:
    """The columns that moves write beside the state."""
    for step in (*lifecycle.entering.values(), *lifecycle.leaving.values()):
        yield from step.stamps


def _is_required(column: Column[Any]) -> bool:
    serial = column.primary_key and column.autoincrement is True
    return not column.nullable and column.server_default is None and not serial


def _refs(one: type[Entity]) -> Iterator[RowReference]:
    """Relations by a foreign key to the one key of another table."""
    table = table_of(one)
    for name, relation in relations(one).items():
        if len(relation.on) != 1:
            continue
        ((column, remote),) = relation.on.items()
        target = entities()[relation.target]
        if key_columns(target) == [remote] and table.columns[column].foreign_keys:
            yield RowReference(name, column, relation.target, relation.doc)

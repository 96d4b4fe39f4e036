"""Plans for recording rows, derived from the declaration on each model (``__record__``).

Undeclared parts are derived: the server's columns from their names, from lifecycles and from generated columns;
required inputs and references from the columns themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Column

from db.base.lifecycles import Lifecycle, lifecycles
from db.base.markers import Recordable, RowNature
from db.base.vocabulary import Entity, entities, key_columns, relations, table_of

TIMES_OF_THE_ROW = frozenset({"created_at", "updated_at"})
"""Columns with the time of writing, rather than of the recorded fact."""


def recordables() -> Iterator[tuple[type[Entity], Recordable]]:
    """The entities whose rows are recorded through the gateway, in order of declaration."""
    for one in entities().values():
        if one.__record__ is not None:
            yield one, one.__record__


@dataclass(frozen=True)
class RowReference:
    """A relation by which a row refers to another: the column with the key of ``target``."""

    name: str
    column: str
    target: str
    doc: str


@dataclass(frozen=True)
class RecordPlan:
    """The columns of an entity that a caller gives, and those that the server fills."""

    entity: type[Entity]
    declared: Recordable
    inputs: tuple[str, ...]
    """Columns that a caller may give, in the table's order, including those of ``refs``."""
    refs: Mapping[str, RowReference]
    """By column."""
    births: Mapping[str, str]
    """Columns of lifecycles that the server writes at creation, with their texts, empty for null."""
    state: Lifecycle | None
    """The lifecycle whose state a caller may give, if a row may be created in several."""
    required: frozenset[str]
    """Inputs that are NOT NULL without a default."""
    server: frozenset[str]
    """Columns that are not inputs."""
    updates: tuple[str, ...]
    """Columns of an entity that a caller may update, in the table's order."""

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
    server = {*declared.server, *declared.retired, *(TIMES_OF_THE_ROW & set(table.columns.keys()))}
    server |= {column.name for column in table.columns if column.computed is not None or _is_serial(column)}
    server |= {declared.actor} if declared.actor else set()
    state = None
    moved: set[str] = set()
    for place, lifecycle in enumerate(own):
        born = declared.born if place == 0 else ()
        if len(born) > 1:
            state = lifecycle
        else:
            births[lifecycle.column] = lifecycle.text(lifecycle.states[born[0]] if born else lifecycle.initial)
            server.add(lifecycle.column)
        stamped = set(_stamped(lifecycle))
        moved |= {lifecycle.column, *stamped, *_given(lifecycle)}
        if not any(not lifecycle.allowed(lifecycle.states[name]) for name in born):
            server |= stamped - set(table.primary_key.columns.keys())  # else callers give the times of finished work
    inputs = tuple(column.name for column in table.columns if column.name not in server)
    refs = {ref.column: ref for ref in _refs(one) if ref.column in table.columns}
    required = frozenset(name for name in inputs if _is_required(table.columns[name]))
    named = {*declared.key, *table.primary_key.columns.keys()}
    updates = [name for name in inputs if name not in named and name not in moved]
    if declared.nature is RowNature.FACT:
        updates = []
    elif declared.updates is not None:
        updates = [column.name for column in table.columns if column.name in declared.updates]
    return RecordPlan(one, declared, inputs, refs, births, state, required, frozenset(server), tuple(updates))


def _stamped(lifecycle: Lifecycle) -> Iterator[str]:
    """The columns that transitions write beside the state."""
    for step in (*lifecycle.entering.values(), *lifecycle.leaving.values()):
        yield from step.stamps


def _given(lifecycle: Lifecycle) -> Iterator[str]:
    """The columns that inputs of transitions write."""
    for change in lifecycle.changes:
        yield from (name for name, one in change.given.items() if one.stored)


def _is_required(column: Column[Any]) -> bool:
    return not column.nullable and column.server_default is None and not _is_serial(column)


def _is_serial(column: Column[Any]) -> bool:
    """Whether the database generates sequential keys."""
    return bool(column.primary_key and column.autoincrement is True)


def _refs(one: type[Entity]) -> Iterator[RowReference]:
    """Relations by a foreign key to the single key column of another table."""
    table = table_of(one)
    for name, relation in relations(one).items():
        if len(relation.on) != 1:
            continue
        ((column, remote),) = relation.on.items()
        target = entities()[relation.target]
        if key_columns(target) == [remote] and table.columns[column].foreign_keys:
            yield RowReference(name, column, relation.target, relation.doc)

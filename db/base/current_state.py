"""The current state of the rows of a table: rows of views over it, stored in the schema `gateway`.

A trigger on each table that the views read marks the keys of the rows that a statement inserts, updates or deletes, in
the same transaction. A query reads, in one snapshot, the stored rows of unmarked keys, and the views for marked ones;
its result is that of the views.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

from sqlalchemy import Table

from db.base import views
from db.base.entity import OWN_SCHEMA, entities, key_columns, table_of
from db.base.quoting import identifier, literal
from db.base.reached import Kept

TRIGGER = "e2i_state"
"""Prefix of the triggers' names."""
PREFIX = "current_"
"""Prefix of the names of tables with stored rows."""


@dataclass(frozen=True)
class StoredView:
    """A view whose rows are stored: those of each value of the first column of its ``key``."""

    view: Table
    key: Sequence[str]
    kept: Kept

    @property
    def name(self) -> str:
        """The name of the table of stored rows, without the schema."""
        return f"{PREFIX}{self.view.name}"

    @property
    def table(self) -> str:
        """SQL of the table of stored rows."""
        return f"{OWN_SCHEMA}.{identifier(self.name)}"

    @property
    def columns(self) -> Sequence[str]:
        """The stored columns: all but those that change with time."""
        return [column.name for column in self.view.columns if column.name not in self.kept.current]

    @property
    def select(self) -> str:
        """The SELECT of the view, whose tables the search path finds."""
        return views.selects()[self.view.name]


@dataclass(frozen=True)
class CurrentState:
    """The views over a table that are stored together, and the tables that they read."""

    of: str
    """The table that each stored key is a row of."""
    views: Sequence[StoredView]

    @property
    def sources(self) -> Mapping[str, str]:
        """The tables that the views read, each with its column of the key."""
        return {table: column for one in self.views for table, column in one.kept.keys.items()}

    @property
    def definition(self) -> str:
        """What identifies the definitions of the views: rows that were stored by others are not read."""
        said = [f"{one.name} {one.select} {one.columns} {sorted(one.kept.keys.items())}" for one in self.views]
        return sha256("\n".join(said).encode()).hexdigest()[:32]


@cache
def current_states() -> Sequence[CurrentState]:
    """Every current state that can be stored."""
    found: dict[str, list[StoredView]] = {}
    for entity in entities().values():
        if entity.__kept__ is not None and entity.__over__ is not None:
            one = StoredView(table_of(entity), key_columns(entity), entity.__kept__)
            found.setdefault(entity.__over__.table, []).append(one)
    return [CurrentState(of, stored) for of, stored in found.items()]


@cache
def stored_views() -> Mapping[str, tuple[CurrentState, StoredView]]:
    """The views whose rows can be stored, by name."""
    return {one.view.fullname: (state, one) for state in current_states() for one in state.views}


def rows(view: str, order: str = "") -> str:
    """The FROM item of a view's rows by what is stored: each part in an ``order`` over ``{row}``, if one is given.

    The statement itself checks that the stored rows may be read; where they may not, it reads the view.
    """
    state, one = stored_views()[view]
    first, names = identifier(one.key[0]), [column.name for column in one.view.columns]
    current = {name: one.kept.current.get(name, f"k.{identifier(name)}") for name in names}
    stored = ", ".join(f"{value} AS {identifier(name)}" for name, value in current.items())
    computed = ", ".join(f"w.{identifier(name)}" for name in names)
    is_kept = f"(SELECT {OWN_SCHEMA}.is_kept({literal(state.of)}, {literal(state.definition)}))"
    marks = f"SELECT m.key FROM {OWN_SCHEMA}.state_marks AS m WHERE m.name = {literal(state.of)}"
    of_key = f"SELECT * FROM ({one.select}) AS v WHERE v.{first} = c.key OFFSET 0"  # key by key
    unmarked = f"NOT EXISTS ({marks} AND m.key = {{row}}.{first})"
    marked = f"(SELECT DISTINCT m.key FROM ({marks}) AS m) AS c CROSS JOIN LATERAL ({of_key}) AS w"
    others = f"({one.select}) AS w WHERE NOT {is_kept} AND {unmarked.format(row='w')}"
    kept = f"SELECT k.* FROM {one.table} AS k WHERE {is_kept} AND {unmarked.format(row='k')}{_by(order, 'k')}"
    parts = [
        f"SELECT {stored} FROM ({kept}) AS k",  # what changes with time is computed after a sort, for what is read
        f"SELECT {computed} FROM {marked}{_by(order, 'w')}",
        f"SELECT {computed} FROM {others}{_by(order, 'w')}",
    ]
    return "(" + " UNION ALL ".join(f"({part})" for part in parts) + ")"


def _by(order: str, row: str) -> str:
    return f" ORDER BY {order.replace('{row}', row)}" if order else ""

"""The SQL of recording: inserts from arrays, lookups by unique keys, comparison with existing rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from db.base.quoting import identifier, literal
from schema.catalogue.catalogue import Type
from schema.recording.columns import array_of, compared

KEEP, UPDATE = "KEEP", "UPDATE"


@dataclass(frozen=True)
class Insertion:
    """How rows of a type are added: which columns, as arrays or with one value, and what if their key is taken."""

    type: Type
    columns: tuple[str, ...]
    constants: tuple[str, ...]
    """Columns that have one text in all rows, which come after the arrays among the parameters."""
    arbiter: tuple[str, ...] = ()
    conflict: str = "ERROR"
    changeable: frozenset[str] | None = None
    """The columns that a row which is there gets; None for all that are given."""

    @property
    def sql(self) -> str:
        """Gives how many rows were added, and how many were added or changed."""
        written = ", ".join((*self.columns, *self.constants))
        made = "xmax = 0" if self.conflict == UPDATE else "true"
        return (
            f"WITH w AS (INSERT INTO {self.type.sql_name} AS t ({written}) {self._select()}{self._on_conflict()} "
            f"RETURNING {made} AS made) SELECT count(*) FILTER (WHERE made), count(*) FROM w"
        )

    def _select(self) -> str:
        arrays = [array_of(self.type, column) for column in self.columns]
        items = [array.read.replace("{v}", f"v.c{place}") for place, array in enumerate(arrays)]
        for place, column in enumerate(self.constants, len(arrays) + 1):
            items.append(f"${place}::text::{self.type.column_kind(column).pg_type}")
        bound = ", ".join(f"${place}::{array.bound_as}" for place, array in enumerate(arrays, 1))
        names = ", ".join(f"c{place}" for place in range(len(arrays)))
        return f"SELECT {', '.join(items)} FROM unnest({bound}) AS v ({names})"

    def _on_conflict(self) -> str:
        if not self.arbiter:
            return ""
        target = f" ON CONFLICT ({', '.join(self.arbiter)})"
        changed = [
            column
            for column in self.columns
            if column not in {*self.arbiter, *self.type.key} and (self.changeable is None or column in self.changeable)
        ]
        if self.conflict == KEEP or not changed:
            return f"{target} DO NOTHING"
        assigned = ", ".join(f"{column} = excluded.{column}" for column in changed)
        old, new = (", ".join(f"{row}.{column}" for column in changed) for row in ("t", "excluded"))
        return f"{target} DO UPDATE SET {assigned} WHERE ({old}) IS DISTINCT FROM ({new})"


def by_columns(type_: Type, columns: Sequence[str], shown: Sequence[str] = ()) -> str:
    """Finds rows by equal columns; gives the place in the arrays and the texts of the key, or of what else is shown."""
    arrays = [array_of(type_, column) for column in columns]
    bound = ", ".join(f"${place}::{array.bound_as}" for place, array in enumerate(arrays, 1))
    names = ", ".join(f"c{place}" for place in range(len(arrays)))
    equal = " AND ".join(
        f"t.{column} = {array.read.replace('{v}', f'v.c{place}')}"
        for place, (column, array) in enumerate(zip(columns, arrays, strict=True))
    )
    keys = ", ".join(f"t.{column}::text" for column in shown or type_.key)
    return (
        f"SELECT v.place, {keys} FROM unnest({bound}) WITH ORDINALITY AS v ({names}, place) "
        f"JOIN {type_.sql_name} AS t ON {equal}"
    )


def differing(type_: Type, key: Sequence[str], columns: Sequence[str], own: str | None, most: int) -> str:
    """Finds rows that are there with other values.

    Gives, of the first ``most``, the places in the arrays, how many there are in all, which of the columns are others,
    and the texts of the keys.

    ``own`` is the column of ids that were made for rows, by which those that were added are told from those before.
    """
    every = (*key, *columns, *((own,) if own else ()))
    arrays = {column: array_of(type_, column) for column in every}
    bound = ", ".join(f"${place}::{array.bound_as}" for place, array in enumerate(arrays.values(), 1))
    names = ", ".join(f"c{place}" for place in range(len(arrays)))
    items = _items(type_, tuple(arrays), {column: array.read for column, array in arrays.items()})
    equal = " AND ".join(f"t.{column} = {items[column]}" for column in key)
    old = ", ".join(f"t.{column}" for column in columns)
    new = ", ".join(items[column] for column in columns)
    other = f" AND t.{own} <> {items[own]}" if own else ""
    others = ", ".join(f"t.{column} IS DISTINCT FROM {items[column]}" for column in columns)
    keys = ", ".join(f"t.{column}::text" for column in type_.key)
    return (
        f"SELECT v.place, count(*) OVER (), ARRAY[{others}], {keys} FROM unnest({bound}) WITH ORDINALITY AS v "
        f"({names}, place) JOIN {type_.sql_name} AS t ON {equal}{other} WHERE ({old}) IS DISTINCT FROM ({new}) "
        f"ORDER BY 1 LIMIT {most}"
    )


def failing(
    type_: Type, columns: Sequence[str], constants: Sequence[str], stored: Mapping[str, str], conditions: Sequence[str]
) -> str:
    """Finds rows for which one of some conditions over columns is false; gives the places in the arrays.

    ``stored`` are the types of columns, as which they are compared; ``constants`` come after the arrays.
    """
    arrays = [array_of(type_, column) for column in columns]
    items = {
        column: array.read.replace("{v}", f"v.c{place}")
        for place, (column, array) in enumerate(zip(columns, arrays, strict=True))
    }
    items |= {column: f"${place}::text" for place, column in enumerate(constants, len(arrays) + 1)}
    shown = ", ".join(f"({item})::{stored[column]} AS {identifier(column)}" for column, item in items.items())
    bound = ", ".join(f"${place}::{array.bound_as}" for place, array in enumerate(arrays, 1))
    names = ", ".join(f"c{place}" for place in range(len(arrays)))
    false = " OR ".join(f"NOT ({condition})" for condition in conditions)
    return (
        f'SELECT "row of the batch" FROM (SELECT v.place AS "row of the batch", {shown} '
        f"FROM unnest({bound}) WITH ORDINALITY AS v ({names}, place)) AS t WHERE {false} ORDER BY 1"
    )


def change(type_: Type, columns: Sequence[str], shown: Mapping[str, str]) -> str:
    """Gives columns of one row other values, from arrays of one item, then the texts of its key.

    Gives what stood in the columns of ``shown`` before, by its names, as JSON; no row where nothing is another.
    """
    arrays = {column: array_of(type_, column) for column in columns}
    bound = ", ".join(f"${place}::{array.bound_as}" for place, array in enumerate(arrays.values(), 1))
    names = ", ".join(f"c{place}" for place in range(len(arrays)))
    items = _items(type_, tuple(arrays), {column: array.read for column, array in arrays.items()})
    assigned = ", ".join(f"{column} = {item}" for column, item in items.items())
    old, new = ", ".join(f"t.{column}" for column in columns), ", ".join(items.values())
    return (
        f"UPDATE {type_.sql_name} AS t SET {assigned} FROM unnest({bound}) AS v ({names}), {type_.sql_name} AS o "
        f"WHERE {_is_row(type_, len(columns))} AND ({old}) IS DISTINCT FROM ({new}) RETURNING {_shown(shown)}"
    )


def retirement(type_: Type, retired: Mapping[str, str], shown: Mapping[str, str]) -> str:
    """Writes what stands in a row that is out of use, by the texts of its key; gives as much as `change` does.

    A time that is written already stays.
    """
    assigned = ", ".join(f"{column} = {sql}" for column, sql in retired.items())
    used = " OR ".join(
        f"t.{column} IS NULL" if sql == "now()" else f"t.{column} IS DISTINCT FROM {sql}"
        for column, sql in retired.items()
    )
    return (
        f"UPDATE {type_.sql_name} AS t SET {assigned} FROM {type_.sql_name} AS o "
        f"WHERE {_is_row(type_, 0)} AND ({used}) RETURNING {_shown(shown)}"
    )


def _is_row(type_: Type, before: int) -> str:
    return " AND ".join(
        f"t.{column} = ${place}::text::{type_.column_kind(column).pg_type} AND o.{column} = t.{column}"
        for place, column in enumerate(type_.key, before + 1)
    )


def _shown(columns: Mapping[str, str]) -> str:
    pairs = ", ".join(f"{literal(name)}, o.{column}" for name, column in columns.items())
    return f"jsonb_build_object({pairs})::text"


def _items(type_: Type, columns: Sequence[str], reads: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for place, column in enumerate(columns):
        item = reads[column].replace("{v}", f"v.c{place}")
        stored = compared(type_, column)
        found[column] = f"({item})::{stored}" if stored else item
    return found

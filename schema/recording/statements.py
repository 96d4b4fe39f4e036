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
    """An INSERT of rows of a type; ``columns`` are passed as one array each.

    ``arbiter`` are the columns of the unique index for ON CONFLICT, ``conflict`` is the option if their key exists.
    """

    type: Type
    columns: tuple[str, ...]
    constants: tuple[str, ...]
    """Columns with one text in all rows; their parameters follow the arrays."""
    arbiter: tuple[str, ...] = ()
    conflict: str = "ERROR"
    changeable: frozenset[str] | None = None
    """The columns that an update of an existing row may write; None for all given ones."""
    partitioned: bool = False
    """Whether the table is partitioned: Postgres returns no system columns of its new rows."""

    @property
    def sql(self) -> str:
        """Returns the number of inserted rows, and of inserted or updated rows."""
        written = ", ".join((*self.columns, *self.constants))
        made = self._made if self.conflict == UPDATE else "true"
        return (
            f"WITH w AS (INSERT INTO {self.type.sql_name} AS t ({written}) {self._select()}{self._on_conflict()} "
            f"RETURNING {made} AS made) SELECT count(*) FILTER (WHERE made), count(*) FROM w"
        )

    @property
    def _made(self) -> str:
        """Whether a row is new; in a partitioned table, whether the statement's snapshot has none with its key."""
        if not self.partitioned:
            return "xmax = 0"
        same = " AND ".join(f"o.{column} = t.{column}" for column in self.arbiter)
        return f"NOT EXISTS (SELECT FROM {self.type.sql_name} AS o WHERE {same})"

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
    """Selects rows by equal columns: the index, from 1, in the arrays, and the texts of the key or of ``shown``."""
    arrays = [array_of(type_, column) for column in columns]
    bound = ", ".join(f"${place}::{array.bound_as}" for place, array in enumerate(arrays, 1))
    names = ", ".join(f"c{place}" for place in range(len(arrays)))
    equal = " AND ".join(
        f"{_stored(type_, column)} = {array.read.replace('{v}', f'v.c{place}')}"
        for place, (column, array) in enumerate(zip(columns, arrays, strict=True))
    )
    keys = ", ".join(f"t.{column}::text" for column in shown or type_.key)
    return (
        f"SELECT v.place, {keys} FROM unnest({bound}) WITH ORDINALITY AS v ({names}, place) "
        f"JOIN {type_.sql_name} AS t ON {equal}"
    )


def differing(type_: Type, key: Sequence[str], columns: Sequence[str], own: str | None, most: int) -> str:
    """Selects existing rows whose values differ from the given ones.

    Returns, for the first ``most``: the index, from 1, in the arrays, the number of all such rows, an array of booleans
    that says which columns differ, and the texts of the key.

    ``own`` is the column of generated ids, which distinguishes inserted rows from those that existed before.
    """
    every = (*key, *columns, *((own,) if own else ()))
    arrays = {column: array_of(type_, column) for column in every}
    bound = ", ".join(f"${place}::{array.bound_as}" for place, array in enumerate(arrays.values(), 1))
    names = ", ".join(f"c{place}" for place in range(len(arrays)))
    items = _items(type_, tuple(arrays), {column: array.read for column, array in arrays.items()})
    equal = " AND ".join(f"{_stored(type_, column)} = {items[column]}" for column in key)
    old = ", ".join(_stored(type_, column) for column in columns)
    new = ", ".join(items[column] for column in columns)
    other = f" AND {_stored(type_, own)} <> {items[own]}" if own else ""
    others = ", ".join(f"{_stored(type_, column)} IS DISTINCT FROM {items[column]}" for column in columns)
    keys = ", ".join(f"t.{column}::text" for column in type_.key)
    return (
        f"SELECT v.place, count(*) OVER (), ARRAY[{others}], {keys} FROM unnest({bound}) WITH ORDINALITY AS v "
        f"({names}, place) JOIN {type_.sql_name} AS t ON {equal}{other} WHERE ({old}) IS DISTINCT FROM ({new}) "
        f"ORDER BY 1 LIMIT {most}"
    )


def failing(
    type_: Type, columns: Sequence[str], constants: Sequence[str], stored: Mapping[str, str], conditions: Sequence[str]
) -> str:
    """Selects rows for which one of ``conditions`` over the columns is false: the index, from 1, in the arrays.

    ``stored`` are the types of the columns, to which values are cast; the parameters of ``constants`` follow the
    arrays.
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
    """Updates columns of one row; parameters are arrays of one item per column, then the texts of the key.

    Returns the previous values of the columns of ``shown``, by its names, as JSON; no row if nothing differs.
    """
    arrays = {column: array_of(type_, column) for column in columns}
    bound = ", ".join(f"${place}::{array.bound_as}" for place, array in enumerate(arrays.values(), 1))
    names = ", ".join(f"c{place}" for place in range(len(arrays)))
    items = _items(type_, tuple(arrays), {column: array.read for column, array in arrays.items()})
    assigned = ", ".join(f"{column} = {item}" for column, item in items.items())
    old, new = ", ".join(_stored(type_, column) for column in columns), ", ".join(items.values())
    return (
        f"UPDATE {type_.sql_name} AS t SET {assigned} FROM unnest({bound}) AS v ({names}), {type_.sql_name} AS o "
        f"WHERE {_is_row(type_, len(columns))} AND ({old}) IS DISTINCT FROM ({new}) RETURNING {_shown(shown)}"
    )


def retirement(type_: Type, retired: Mapping[str, str], shown: Mapping[str, str]) -> str:
    """Writes the columns that mark a row as retired; parameters are the texts of its key. Returns as `change` does.

    A time that is set already remains.
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
        f"{_stored(type_, column)} = ${place}::text::{type_.column_kind(column).pg_type} AND o.{column} = t.{column}"
        for place, column in enumerate(type_.key, before + 1)
    )


def _stored(type_: Type, column: str) -> str:
    """A column of the row ``t``, in the type of the values that it is compared with, in which Postgres may not store
    it."""
    kind = type_.column_kind(column)
    return f"t.{column}::{kind.pg_type}" if kind.is_converted else f"t.{column}"


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

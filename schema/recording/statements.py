"""The SQL of recording: rows added from arrays, looked up by what is unique, and compared with those that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
        changed = [column for column in self.columns if column not in {*self.arbiter, *self.type.key}]
        if self.conflict == KEEP or not changed:
            return f"{target} DO NOTHING"
        assigned = ", ".join(f"{column} = excluded.{column}" for column in changed)
        old, new = (", ".join(f"{row}.{column}" for column in changed) for row in ("t", "excluded"))
        return f"{target} DO UPDATE SET {assigned} WHERE ({old}) IS DISTINCT FROM ({new})"


def by_columns(type_: Type, columns: Sequence[str]) -> str:
    """Finds the keys of rows by equal columns; gives the place in the arrays and the key's text, once a row."""
    arrays = [array_of(type_, column) for column in columns]
    bound = ", ".join(f"${place}::{array.bound_as}" for place, array in enumerate(arrays, 1))
    names = ", ".join(f"c{place}" for place in range(len(arrays)))
    equal = " AND ".join(
        f"t.{column} = {array.read.replace('{v}', f'v.c{place}')}"
        for place, (column, array) in enumerate(zip(columns, arrays, strict=True))
    )
    return (
        f"SELECT v.place, t.{type_.key[0]}::text FROM unnest({bound}) WITH ORDINALITY AS v ({names}, place) "
        f"JOIN {type_.sql_name} AS t ON {equal}"
    )


def differing(type_: Type, key: Sequence[str], columns: Sequence[str], own: str | None) -> str:
    """Finds rows that are there with other values; gives their places in the arrays.

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
    return (
        f"SELECT v.place FROM unnest({bound}) WITH ORDINALITY AS v ({names}, place) JOIN {type_.sql_name} AS t "
        f"ON {equal}{other} WHERE ({old}) IS DISTINCT FROM ({new}) ORDER BY 1"
    )


def _items(type_: Type, columns: Sequence[str], reads: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for place, column in enumerate(columns):
        item = reads[column].replace("{v}", f"v.c{place}")
        stored = compared(type_, column)
        found[column] = f"({item})::{stored}" if stored else item
    return found

"""Statements over columns that a database stores in other types than the models have.

SQL of relations, guards, views and effects compares columns in the models' types. Postgres compares no UUID with a text
and no domain over an enum with a label: such a statement reads each table as a SELECT that casts those columns. A text
that is no value of the type makes it fail; it is read as null then, which equals nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from db.base.quoting import identifier
from db.base.system_catalog import enum_name
from db.base.vocabulary import enum_types
from db.engine.errors import is_no_text_of_its_type, types_differ

Casts = Mapping[str, Mapping[str, str]]
"""By table the types that its columns are read in, all columns in their order; an empty one is the stored type."""

KEPT = 2_000
"""Statements that are kept with their other form."""

_NO_ALIAS = (
    "cross|except|fetch|for|full|group|having|inner|intersect|join|left|limit|natural|offset|on|order|returning|right|"
    "set|union|using|where|window"
)
_WHOLE = re.compile(r"(?:\w\.|\bSELECT )\*", re.IGNORECASE)
_WORDS = re.compile(r"\w+")
_SYSTEM = ("xmin",)
"""System columns that statements read."""
_UUID = r"^(([0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4}|\{([0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4}\})$"
"""The texts that Postgres reads as UUIDs."""
_KEY = re.compile(r"(?<![\w.])((?:\w+\.)?c[0-9]+)::uuid\b(?!\[)")
"""A part of a key among those of a batch, as statements cast it."""
_STORED = "{} as stored"
"""The name of a column as it is stored, beside the one that is cast."""


class StoredTypes:
    """The casts of one database, which its engines share; without any, every statement is sent as it is."""

    def __init__(self) -> None:
        self.casts: Casts = {}
        self._table: re.Pattern[str] | None = None
        self._target: re.Pattern[str] | None = None
        self._cast: dict[str, str] = {}
        """The other form of statements that are sent in it."""

    def learn(self, casts: Casts) -> None:
        """Sets the tables whose columns are cast."""
        self.casts, self._cast = casts, {}
        names = "|".join(re.escape(name) for name in sorted(casts, key=len, reverse=True))
        alias = rf"(?:\s+(?:AS\s+)?(?!(?:{_NO_ALIAS})\b)([a-z_]\w*))?"
        pattern = rf"((?<!DELETE )\bFROM|\bJOIN|,)\s+(?:public\.)?({names})(?![\w.]){alias}"
        self._table = re.compile(pattern, re.IGNORECASE) if casts else None
        self._target = re.compile(rf"\b(?:UPDATE|DELETE FROM)\s+({names})\s+AS\s+(\w+)") if casts else None

    def sent(self, sql: str) -> str:
        """A reading statement as it is sent: with casts, if Postgres has refused it without."""
        return self._cast.get(sql, sql) if self._cast else sql

    def after(self, sql: str, sent: str, error: BaseException) -> str | None:
        """The statement with casts, if it has failed for the lack of them; it is sent so from now on."""
        if self._table is None or sent != sql or not types_differ(error):
            return None
        cast = self.cast(sql)
        return None if cast == sql else cast

    def after_text(self, sql: str, sent: str, error: BaseException) -> str | None:
        """The statement with casts that read other texts as null, if it has failed for such a text."""
        if self._table is None or not is_no_text_of_its_type(error):
            return None
        lenient = self._lenient(sql)
        return None if lenient == sent else lenient

    def cast(self, sql: str) -> str:
        """The statement with casts: of the columns themselves where they are those of a change's target."""
        if self._table is None or self._target is None:
            return sql
        cast = self._cast.get(sql)
        if cast is None:
            columns = _columns(sql)
            cast = self._table.sub(lambda table: self._read(table, columns, _cast), sql)
            for table, alias in self._target.findall(sql):
                for column, type_ in self.casts[table].items():
                    if type_:
                        cast = re.sub(rf"\b{alias}\.{column}\b(?!::)", f"{alias}.{column}::{type_}", cast)
            if len(self._cast) >= KEPT:
                self._cast.clear()
            self._cast[sql] = cast
        return cast

    def _lenient(self, sql: str) -> str:
        """The statement with casts that read texts of no value as null; where they are shown, they are as stored."""
        assert self._table is not None  # noqa: S101 - there are casts
        columns = _columns(sql)
        read = _KEY.sub(lambda key: _value(key[1], "uuid"), sql)
        read = self._table.sub(lambda table: self._read(table, columns, _lenient_cast), read)
        if "GROUP BY" in sql:  # what is shown must be what is grouped by
            return read
        tables: dict[str, set[str]] = defaultdict(set)
        for _, name, alias in self._table.findall(sql):
            tables[alias or name.rpartition(".")[2]].add(name.lower())
        for alias, names in tables.items():
            for column in set.intersection(*(self._cast_in(name) for name in names)):
                stored = identifier(_STORED.format(column))
                shown = rf"coalesce({alias}.{column}::text, {alias}.{stored})"
                read = re.sub(rf"(?<![\w.]){alias}\.{column}::text(?!\[)\b", shown, read)
        return read

    def _cast_in(self, table: str) -> set[str]:
        return {column for column, type_ in self.casts[table].items() if type_ and type_ != "uuid[]"}

    def _read(
        self, table: re.Match[str], columns: frozenset[str] | None, cast: Callable[[str, str], Sequence[str]]
    ) -> str:
        """A table of a statement as the SELECT that stands for it, with those of its columns that the statement names,
        since the role may lack rights on others."""
        before, name, alias = table.groups()
        items: list[str] = []
        for column, type_ in self.casts[name.lower()].items():
            if columns is None or column in columns:
                items += cast(column, type_) if type_ else [identifier(column)]
        items += [column for column in _SYSTEM if columns and column in columns]
        return f"{before} (SELECT {', '.join(items) or 'NULL'} FROM {name}) AS {alias or name.rpartition('.')[2]}"


def _columns(sql: str) -> frozenset[str] | None:
    """The names in a statement, among which are those of its columns; None if it may read all of a table."""
    return None if _WHOLE.search(sql) else frozenset(_WORDS.findall(sql))


def _cast(column: str, type_: str) -> Sequence[str]:
    return [f"{identifier(column)}::{type_} AS {identifier(column)}"]


def _lenient_cast(column: str, type_: str) -> Sequence[str]:
    name = identifier(column)
    if type_ == "uuid[]":
        items = f"unnest({name}::text[]) WITH ORDINALITY AS u (e, n) ORDER BY n"
        return [f"CASE WHEN {name} IS NOT NULL THEN ARRAY(SELECT {_value('e', 'uuid')} FROM {items}) END AS {name}"]
    return [f"{_value(name, type_)} AS {name}", f"{name}::text AS {identifier(_STORED.format(column))}"]


def _value(value: str, type_: str) -> str:
    """A value in a type, null for a text that is none of its values."""
    if type_ == "uuid":
        return f"CASE WHEN {value}::text ~ '{_UUID}' THEN {value}::uuid END"
    if type_ in map(enum_name, enum_types()):
        return f"CASE WHEN {value}::text = ANY (enum_range(NULL::{type_})::text[]) THEN {value}::text::{type_} END"
    return f"{value}::{type_}"


STORED_TYPES = "gateway_stored_types"
"""The engine's execution option for its casts."""


def stored_types_of(engine: AsyncEngine) -> StoredTypes:
    """The casts of an engine."""
    types: StoredTypes = engine.sync_engine.get_execution_options()[STORED_TYPES]
    return types

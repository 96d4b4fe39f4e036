"""Statements over columns that a database stores in other types than the models have.

SQL of relations, guards, views and effects compares columns in the models' types. Postgres compares no UUID with a text
and no domain over an enum with a label: such a statement reads each table as a SELECT that casts those columns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncEngine

from db.base.quoting import identifier
from db.engine.errors import types_differ

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

    def cast(self, sql: str) -> str:
        """The statement with casts: of the columns themselves where they are those of a change's target."""
        if self._table is None or self._target is None:
            return sql
        cast = self._cast.get(sql)
        if cast is None:
            columns = None if _WHOLE.search(sql) else frozenset(_WORDS.findall(sql))
            cast = self._table.sub(lambda table: self._read(table, columns), sql)
            for table, alias in self._target.findall(sql):
                for column, type_ in self.casts[table].items():
                    if type_:
                        cast = re.sub(rf"\b{alias}\.{column}\b(?!::)", f"{alias}.{column}::{type_}", cast)
            if len(self._cast) >= KEPT:
                self._cast.clear()
            self._cast[sql] = cast
        return cast

    def _read(self, table: re.Match[str], columns: frozenset[str] | None) -> str:
        """A table of a statement as the SELECT that stands for it, with those of its columns that the statement names,
        since the role may lack rights on others."""
        before, name, alias = table.groups()
        items = [
            f"{identifier(column)}::{type_} AS {identifier(column)}" if type_ else identifier(column)
            for column, type_ in self.casts[name.lower()].items()
            if columns is None or column in columns
        ]
        items += [column for column in _SYSTEM if columns and column in columns]
        return f"{before} (SELECT {', '.join(items) or 'NULL'} FROM {name}) AS {alias or name.rpartition('.')[2]}"


STORED_TYPES = "gateway_stored_types"
"""The engine's execution option for its casts."""


def stored_types_of(engine: AsyncEngine) -> StoredTypes:
    """The casts of an engine."""
    types: StoredTypes = engine.sync_engine.get_execution_options()[STORED_TYPES]
    return types

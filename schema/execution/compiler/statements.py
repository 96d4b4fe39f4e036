"""Parts of compiled statements: objects with their lateral queries, and parameters."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from schema.sql import builder as sql
from schema.sql.parameters import Parameter, Variables, filled

MAX_NAME = 63
"""The longest name in Postgres, which truncates longer ones; response keys are column names here."""
MAX_PAIRS = 49
"""Key-value pairs per function call: a function has at most a hundred arguments."""

EMPTY = "'[]'::json"

BEFORE = "/*before*/"
"""The marker in a query that counts its bytes, for the SQL of the bytes of preceding queries."""
SHORT = 20
"""Bytes of a number or a short word, with its key and punctuation."""
PART = 50
"""Lists that can exceed this fraction of a response (one in so many) count their bytes while they are built."""


class NotCompilableError(Exception):
    """The loaders have to execute a selection; the message says why."""


@dataclass
class InlineBinds(sql.Binds):
    """Binds parameters, and inlines what a plan fixes: numbers and plain words, so that the planner of a prepared
    statement knows limits, labels and flags."""

    def __call__(self, value: Any, pg_type: str) -> str:
        if isinstance(value, int):
            return str(value)
        if value is None:
            return f"NULL::{pg_type}"
        if isinstance(value, str) and value.replace("_", "").isalnum() and value.isascii():
            return f"'{value}'::{pg_type}"
        return super().__call__(value, pg_type)


class Query(str):
    """A query of JSON, with the approximate upper bound of its bytes."""

    __slots__ = ("size",)
    size: int

    @classmethod
    def of(cls, text: str, size: int) -> Query:
        """A query of ``size`` bytes."""
        made = cls(text)
        made.size = size
        return made


_TOO_LARGE = re.compile(r"bytes of the answer: (\d+)")


def counted(rows: str, most: int) -> str:
    """The same rows, whose JSON is ``j``; the statement fails as soon as they exceed ``most`` bytes together.

    The size of a row's JSON includes a header of four bytes, of which two stand for the separator in a list.
    """
    size = "sum(pg_column_size(s$.j) - 2) OVER (ROWS UNBOUNDED PRECEDING)"
    sized = f"SELECT s$.*, {size} AS size FROM ({rows} OFFSET 0) s$"
    so_far = f"(z$.size{BEFORE})"
    over = f"('bytes of the answer: ' || {so_far})::integer IS NULL"
    return f"SELECT * FROM ({sized}) z$ WHERE CASE WHEN {so_far} > {most} THEN {over} ELSE true END"


def bytes_over(error: Exception) -> int | None:
    """The size at which a compiled statement exceeded the limit of a response; None for other errors."""
    found = _TOO_LARGE.search(str(error))
    return int(found[1]) if found else None


@dataclass
class Object:
    """A JSON object of a response: SQL by response key, and the lateral queries beside the row."""

    fields: list[tuple[str, str]] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    counts: list[str] = field(default_factory=list)
    cuts: list[str] = field(default_factory=list)
    """The columns in which these queries report cut lists."""
    size: int = 0
    """The approximate upper bound of its bytes."""
    counted: list[str] = field(default_factory=list)
    """The aliases of its queries that count their bytes."""

    def add(self, key: str, expression: str, size: int | None = None) -> None:
        """Adds a field, of ``size`` bytes with its key, or of a short value."""
        self.fields.append((key, expression))
        self.size += len(key) + SHORT if size is None else size

    def query(self, query: Query, alias: str) -> str:
        """Adds a lateral query; returns the SQL of its JSON."""
        self.size += query.size
        if BEFORE in query:
            before = "".join(f" + coalesce(pg_column_size({one}.j) - 4, 0)" for one in self.counted)
            query = Query(query.replace(BEFORE, before + BEFORE))
            self.counted.append(alias)
        self.beside.append(f" LEFT JOIN LATERAL ({query}) {alias} ON true")
        self.counts.append(f"{alias}.n")
        self.cuts.append(f"{alias}.m")
        return f"{alias}.j"

    @property
    def select(self) -> str:
        """The object as a row, which `json` converts."""
        if self._has_names:
            return "SELECT " + ", ".join(f'{expression} AS "{key}"' for key, expression in self.fields)
        values = ", ".join(f"{expression} AS f{place}" for place, (_, expression) in enumerate(self.fields))
        return f"SELECT {self._written}::json AS j FROM (SELECT {values}) v$"

    @property
    def _has_names(self) -> bool:
        """Whether all keys are valid column names."""
        return all(len(key) <= MAX_NAME for key, _ in self.fields)

    @property
    def _written(self) -> str:
        """The text of the object, concatenated from its values, which are columns of ``v$``."""
        pairs = [
            f"""'{"," if place else "{"}"{key}":', coalesce(to_json(v$.f{place})::text, 'null')"""
            for place, (key, _) in enumerate(self.fields)
        ]
        parts = [f"concat({', '.join(pairs[at : at + MAX_PAIRS])})" for at in range(0, len(pairs), MAX_PAIRS)]
        return f"({' || '.join(parts)} || '}}')"

    def json(self, alias: str) -> str:
        """The JSON of the row with an alias."""
        return f"row_to_json({alias})" if self._has_names else f"{alias}.j"

    @property
    def below(self) -> str:
        """SQL of the number of rows that its queries have read."""
        return "".join(f" + coalesce({one}, 0)" for one in self.counts)

    @property
    def listed(self) -> str:
        """The JSON of a list of such objects, with the alias ``o$``."""
        return f"coalesce(json_agg({'o$' if self._has_names else 'o$.j'}), {EMPTY})"

    def list(self, source: str, limit: int, most: int, *, tells: bool) -> Query:
        """The list of at most ``limit`` such objects, one for each row of a source.

        If it can be large, its bytes are counted while it is built, so that the statement fails at ``most`` bytes
        instead of growing further.
        """
        size = limit * self.size
        source = f"{source}{''.join(self.beside)} CROSS JOIN LATERAL ({self.select}) o$"
        if size <= most // PART:
            total = f"sum(1{self.below})" if self.counts else "count(*)"
            told = f", string_agg({self.told()}, '') AS m" if tells else ""
            return Query.of(f"SELECT {self.listed} AS j, coalesce({total}, 0)::int AS n{told} FROM {source}", size)
        told, telling = (f", {self.told()} AS m", ", string_agg(w$.m, '') AS m") if tells else ("", "")
        rows = f"SELECT {self.json('o$')} AS j, 1{self.below} AS n{told} FROM {source}"
        total = f"coalesce(json_agg(w$.j), {EMPTY}) AS j, coalesce(sum(w$.n), 0)::int AS n{telling}"
        return Query.of(f"SELECT {total} FROM ({counted(rows, most)}) w$", min(size, most))

    def told(self, *own: str) -> str:
        """SQL of the reports of its queries on cut lists, with that of a list of its own."""
        return f"concat({', '.join([*own, *self.cuts])})" if own or self.cuts else "NULL::text"


@dataclass(frozen=True)
class Statement:
    """A compiled statement: one row with a column of JSON bytes per root, and the number of rows in them."""

    sql: str
    binds: tuple[Any, ...]
    keys: tuple[str, ...]
    """The response keys of the roots, in the order of the columns."""
    checks: tuple[Parameter, ...]
    """Values that no parameter uses but that must be valid: the cursor of a list of which only the length is read."""
    settings: Mapping[str, str]
    """Database settings with which it is planned and executed."""
    lists: tuple[tuple[str, ...], ...] = ()
    """The paths of lists selected without a size: if there are any, a column before the number of rows reports which
    are cut, by their indices here."""
    rolled_up: bool | Mapping[str, float] = False
    """Whether aggregates are read off rollups, where these are up to date; with the error of percentiles."""

    def cut(self, told: str | None) -> Counter[tuple[str, ...]]:
        """The numbers of cut lists by path."""
        return Counter(self.lists[int(number)] for number in (told or "").split(",") if number)

    @cached_property
    def _readers(self) -> list[Callable[[Variables], Any]]:
        return [bind.read if isinstance(bind, Parameter) else partial(filled, bind) for bind in self.binds]

    def values(self, variables: Variables) -> list[Any]:
        """The parameters for a request.

        Raises:
            GatewayError: An argument is invalid.
        """
        for place in self.checks:
            place.read(variables)
        return [read(variables) for read in self._readers]

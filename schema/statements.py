"""What compiled statements are made of: objects with the queries beside them, and what requests fill in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from schema import sql
from schema.places import Place, Variables, filled

MAX_NAME = 63
"""Characters of a name in Postgres, which cuts longer ones; response keys are names of columns here."""

EMPTY = "'[]'::json"


class NotCompilableError(Exception):
    """A selection that the loaders have to answer; the message says why."""


@dataclass
class InlineBinds(sql.Binds):
    """Binds what requests fill in, and writes out what a plan fixes: numbers and plain words, so that the plan of a
    prepared statement knows limits, labels and flags."""

    def __call__(self, value: Any, pg_type: str) -> str:
        if isinstance(value, int):
            return str(value)
        if value is None:
            return f"NULL::{pg_type}"
        if isinstance(value, str) and value.replace("_", "").isalnum() and value.isascii():
            return f"'{value}'::{pg_type}"
        return super().__call__(value, pg_type)


@dataclass
class Object:
    """A JSON object of an answer: SQL by response key, and the queries that stand beside the row."""

    fields: list[tuple[str, str]] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    counts: list[str] = field(default_factory=list)
    cuts: list[str] = field(default_factory=list)
    """The columns in which these queries say which lists are cut, where they do."""

    def add(self, key: str, expression: str) -> None:
        if len(key) > MAX_NAME:
            raise NotCompilableError(f"the alias {key[:20]}... is longer than {MAX_NAME} characters")
        self.fields.append((key, expression))

    def query(self, query: str, alias: str) -> str:
        """Puts a query beside the row; returns its JSON."""
        self.beside.append(f" LEFT JOIN LATERAL ({query}) {alias} ON true")
        self.counts.append(f"{alias}.n")
        self.cuts.append(f"{alias}.m")
        return f"{alias}.j"

    @property
    def select(self) -> str:
        """The object as a row, to be written as JSON."""
        return "SELECT " + ", ".join(f'{expression} AS "{key}"' for key, expression in self.fields)

    @property
    def below(self) -> str:
        """How many rows its queries have read, as SQL: what is added to the count of its own."""
        return "".join(f" + coalesce({one}, 0)" for one in self.counts)

    def list(self, *, tells: bool) -> str:
        """The select items of a list of such objects, which go by the alias ``o$``."""
        total = f"sum(1{self.below})" if self.counts else "count(*)"
        told = f", string_agg({self.told()}, '') AS m" if tells else ""
        return f"coalesce(json_agg(o$), {EMPTY}) AS j, coalesce({total}, 0)::int AS n{told}"

    def told(self, *own: str) -> str:
        """What its queries say of lists that are cut, as SQL, with what is said of one of its own."""
        return f"concat({', '.join([*own, *self.cuts])})" if own or self.cuts else "NULL::text"


@dataclass(frozen=True)
class Statement:
    """A compiled statement: one row of a column of JSON bytes for each root, and the number of rows in them."""

    sql: str
    binds: tuple[Any, ...]
    keys: tuple[str, ...]
    """The response keys of the roots, in the order of the columns."""
    checks: tuple[Place, ...]
    """What no parameter needs, and may be wrong nevertheless: the cursor of a list of which only the length is read."""
    settings: Mapping[str, str]
    """Settings of the database under which it is planned and runs."""
    lists: tuple[tuple[str, ...], ...] = ()
    """The paths of lists of which no size is asked for, where there are any: a column before the number of rows tells
    which of them are cut, by their places here."""

    def cut(self, told: str | None) -> Counter[tuple[str, ...]]:
        """How many lists are cut, by their paths."""
        return Counter(self.lists[int(number)] for number in (told or "").split(",") if number)

    @cached_property
    def _readers(self) -> list[Callable[[Variables], Any]]:
        return [bind.read if isinstance(bind, Place) else partial(filled, bind) for bind in self.binds]

    def values(self, variables: Variables) -> list[Any]:
        """The parameters for a request.

        Raises:
            GatewayError: An argument cannot be used.
        """
        for place in self.checks:
            place.read(variables)
        return [read(variables) for read in self._readers]

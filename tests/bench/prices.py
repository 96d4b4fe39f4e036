"""The prices of questions beside what Postgres reads for them, both in points.

A point is about two microseconds of Postgres (`gateway.operations.scans`): a row that is sent costs one. What is read
is taken from the executed plan, not from the estimates of the prices: the rows that its nodes handled, each for what
that takes of a point, and the buffers. At two microseconds a point, a million rows filtered, sorted, grouped or counted
on an idle machine come within a factor of two of their time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import asyncpg
from graphql import FragmentDefinitionNode, OperationDefinitionNode, parse
from graphql.execution.values import VariableValues, get_variable_values

from db.attach.facts import Facts
from db.attach.spreads import Spread, Spreads
from db.base.sums import rollups, sums_table
from db.base.vocabulary import OWN_SCHEMA
from gateway.operations.cost import Meter
from gateway.settings import Settings
from schema.catalogue.catalogue import Catalogue
from schema.catalogue.from_models import catalogue
from schema.catalogue.selection import Operation
from schema.schema import build
from tests.support.plans import Statement, explained, nodes_of

HANDLED = 20
"""Rows that a node of a plan reads or hands on, or buffers, to a point."""
WEIGHED = 5
"""Rows that a node compares with a filter, sorts or groups, to a point."""
RANKED = 3
"""Rows that are sorted for percentiles to a point."""
WITHIN = 5
"""The factor by which a price may differ from what is read."""
LEAST = 100
"""Points below which a price is right whatever is read: a statement costs as much by itself."""
SHARE = 0.95
"""The share of questions whose price has to be within the factor."""
RANKS = re.compile(r"WITHIN GROUP \(ORDER BY ([^)]*)\)")
PATTERNS = re.compile(r"~~|<%|%>|similarity")
"""Operators of which a row costs a point."""
OPTIONS = "ANALYZE, BUFFERS, VERBOSE, TIMING OFF, "
SLOW = 3_000.0
"""Milliseconds from which a statement is run once only."""


class Work(NamedTuple):
    """What Postgres did for a question: points of rows and buffers, buffers, milliseconds."""

    points: int
    buffers: int
    ms: float


@dataclass(frozen=True)
class Priced:
    """A question's price and what is read for it, in points."""

    name: str
    price: int
    read: int

    @property
    def times(self) -> float:
        """How many times what is read the price is; 1 for small ones."""
        return max(self.price, LEAST) / max(self.read, LEAST)

    @property
    def is_right(self) -> bool:
        return 1 / WITHIN <= self.times <= WITHIN


class Prices:
    """Prices operations by facts, whatever their limits."""

    def __init__(self) -> None:
        self._schema = build(federated=True).graphql
        self._catalogue: Catalogue = catalogue()
        settings = Settings(max_cost=10**9, max_answer_bytes=10**9)
        self._meter = Meter(self._schema, self._catalogue, settings)

    def of(self, query: str, variables: Mapping[str, Any], facts: Facts) -> int:
        """The price of a query in points."""
        document = parse(query)
        (definition,) = (one for one in document.definitions if isinstance(one, OperationDefinitionNode))
        fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
        values = get_variable_values(self._schema, definition.variable_definitions or (), dict(variables))
        assert isinstance(values, VariableValues), values
        return self._meter.measure(Operation(self._schema, definition, fragments, values), facts)


async def work(sql: asyncpg.Connection, sent: Sequence[Statement], rows: int) -> Work:
    """What some statements, which send ``rows`` rows, do at their second run; their effects are undone."""
    points, buffers, ms = float(rows), 0, 0.0
    for statement in sent:
        transaction = sql.transaction()
        await transaction.start()
        found = await explained(sql, statement, options=OPTIONS)
        if found["Execution Time"] < SLOW:
            found = await explained(sql, statement, options=OPTIONS)
        await transaction.rollback()
        buffers += found["Plan"]["Shared Hit Blocks"] + found["Plan"]["Shared Read Blocks"]
        ms += found["Execution Time"]
        points += sum(_points(node) for node in nodes_of(found["Plan"]))
    return Work(round(points + buffers / HANDLED), buffers, ms)


def _points(node: Mapping[str, Any]) -> float:
    """The points of the rows that a node handles itself."""
    below = node.get("Plans", ())
    given = sum(_rows(one) for one in below)
    ranked = sum(len(set(RANKS.findall(output))) for output in node.get("Output", ()))
    if node["Node Type"] in {"Sort", "Incremental Sort", "WindowAgg", "Group"} or node.get("Group Key"):
        return given / WEIGHED + given * ranked / RANKED
    if node["Node Type"] == "Aggregate":
        return given / HANDLED + given * ranked / RANKED
    removed = sum(rows for name, rows in node.items() if name.startswith("Rows Removed by"))
    rows = _rows(node) + removed * node["Actual Loops"]
    if "Filter" in node:
        return rows if PATTERNS.search(node["Filter"]) else rows / WEIGHED
    return rows / HANDLED


def _rows(node: Mapping[str, Any]) -> float:
    """The rows that a node returns in all its runs."""
    return float(node["Actual Rows"] * node["Actual Loops"])


def prolonged(facts: Facts, tables: Iterable[str], times: int) -> Facts:
    """The facts of a database whose tables have so many times the rows, of a history so many times as long."""
    grown = set(tables)
    sums = {f"{OWN_SCHEMA}.{sums_table(table.name)}" for table, _ in rollups() if table.fullname in grown}
    return replace(
        facts,
        rows={name: rows * times if name in grown | sums else rows for name, rows in facts.rows.items()},
        pages={name: pages * times if name in grown | sums else pages for name, pages in facts.pages.items()},
        spreads={
            name: {column: _prolonged(one, times) for column, one in columns.items()} if name in grown else columns
            for name, columns in facts.spreads.items()
        },
    )


def _prolonged(spreads: Spreads, times: int) -> Spreads:
    last = max(spread.bounds[-1] for _, spread in spreads.parts)
    return replace(
        spreads,
        parts=tuple(
            (share, Spread(tuple(last - (last - bound) * times for bound in one.bounds), one.divided))
            for share, one in spreads.parts
        ),
    )


def foreseen(small: Work, large: Work, grown: float, times: float) -> int:
    """The points that are read when a database that has grown ``grown``-fold grows ``times``-fold: the question goes on
    growing by the same power of the rows."""
    power = math.log(max(large.points, 1) / max(small.points, 1)) / math.log(grown)
    return round(large.points * math.pow(times, min(max(power, 0.0), 1.0)))


def table(title: str, priced: Sequence[Priced]) -> tuple[list[str], float]:
    """Lines of prices beside what is read, and the share of right ones."""
    lines = [title, f"{'question':<42} {'price':>11} {'read':>11} {'times':>7}"]
    for one in priced:
        mark = "" if one.is_right else "  (off)"
        lines.append(f"{one.name:<42} {one.price:>11,} {one.read:>11,} {one.times:>7.2f}{mark}")
    share = sum(one.is_right for one in priced) / len(priced)
    return [*lines, f"{share:.0%} are within {WITHIN} times"], share

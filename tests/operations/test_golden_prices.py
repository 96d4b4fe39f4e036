"""The price of many operations, or their refusal, to the point.

``tests/golden/prices.txt`` has them, each behind its price; tables have sizes of their own there, not the demo data's.
``make snapshot`` rewrites the prices, to be read as a diff: one that moves lets callers ask for more, or for less.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from graphql import GraphQLError, OperationDefinitionNode, VariableValues, parse, validate
from graphql.language import FragmentDefinitionNode

from db.attach.facts import Facts
from db.attach.spreads import Spread, Spreads
from db.engine.clock import CLOCK
from gateway.operations.cost import Meter
from gateway.operations.service import OperationService
from gateway.settings import Settings
from schema.catalogue.from_models import catalogue
from schema.catalogue.selection import Operation
from schema.schema import build
from tests.support.client import Client

pytestmark = pytest.mark.slow  # it builds the schema of the subgraph

PRICES = Path(__file__).parents[1] / "golden" / "prices.txt"
LIMITS = Settings(max_cost=50_000, max_answer_bytes=2_000_000, max_depth=14, max_fields=1_500, max_root_fields=12)
DAY = 86_400.0
NEW_YEAR = 1_767_225_600.0  # of 2026
YEAR = Spread(tuple(NEW_YEAR + 36.5 * DAY * part for part in range(11)))


def golden() -> list[tuple[str, str]]:
    """Prices, or refusals, and their operations."""
    lines = PRICES.read_text(encoding="utf-8").splitlines()
    return [(price, query) for price, _, query in (line.partition("\t") for line in lines)]


@pytest.fixture(scope="module")
def facts(demo: Client) -> Facts:
    """The demo's, with tables of 1,000 to 60,000 rows, values of 3 to 22 bytes, and times over a year.

    Nothing is known of pages and labels.
    """
    service: OperationService = demo.app.state.graphql
    known = service.access.facts
    tables = {table: zlib.crc32(table.encode()) for table in sorted({*known.indexes, *known.rows, *known.columns})}
    return replace(
        known,
        rows={table: 1_000 + number % 59_000 for table, number in tables.items()},
        widths={
            table: {column: 3 + len(column) % 20 for column in known.columns[table]}
            for table, number in tables.items()
            if number % 2 and table in known.columns
        },
        apart={table: 300 for table, number in tables.items() if number % 4 == 1},
        pages={},
        frequencies={},
        correlations={},
        shares={},
        spreads={
            type_.sql_name: {
                leaf.columns[0]: Spreads(((1.0, YEAR),), 50, 20)
                for leaf in type_.columns.values()
                if leaf.kind.graphql == "DateTime"
            }
            for type_ in catalogue()
            if not type_.is_view
        },
    )


@pytest.fixture(scope="module")
def meter() -> Meter:
    return Meter(build(federated=True).graphql, catalogue(), LIMITS)


def told(meter: Meter, facts: Facts, query: str) -> str:
    """The price, or the refusal with its numbers."""
    schema = build(federated=True).graphql
    document = parse(query)
    assert not validate(schema, document), query
    (definition,) = (one for one in document.definitions if isinstance(one, OperationDefinitionNode))
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    try:
        return str(meter.measure(Operation(schema, definition, fragments, VariableValues({}, {})), facts))
    except GraphQLError as error:
        said = error.extensions or {}
        return " ".join(
            str(said[name]) for name in ("code", "limit", "value", "argument") if said.get(name) is not None
        )


def repriced(meter: Meter, facts: Facts) -> Iterator[str]:
    yield from (f"{told(meter, facts, query)}\t{query}\n" for _, query in golden())


@pytest.mark.migrated("prices depend on indexes, and the platform has others")
def test_every_operation_has_its_price(meter: Meter, facts: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    end = datetime.fromtimestamp(YEAR.bounds[-1], UTC)
    monkeypatch.setattr(CLOCK, "now", lambda: end)  # windows end with the statistics
    found = list(repriced(meter, facts))
    if os.environ.get("UPDATE_SNAPSHOTS") == "1":
        PRICES.write_text("".join(found), encoding="utf-8")
    assert len(found) > 150
    assert "".join(found) == PRICES.read_text(encoding="utf-8"), "run `make snapshot`, read the diff"

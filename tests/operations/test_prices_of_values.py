"""Filters that an index finds rows for by values cost what is read for these, as statistics tell, beside any order."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from db.attach.facts import Facts
from db.attach.frequencies import Frequencies, Stored
from db.attach.spreads import Spread, Spreads
from gateway.operations.service import OperationService
from tests.bench.prices import LEAST, WITHIN, Prices, work
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connected
from tests.support.plans import plan, recording

pytestmark = [
    pytest.mark.slow,  # it fills a table with 120,000 rows
    pytest.mark.migrated("prices depend on indexes, and the platform has others"),
]

SPANS = "ml_observability_spans"
ROWS, HUGE = 120_000, 50_000_000
USUAL = "usual"
"""The trace of a third of the spans; each other one has five."""
FILL = f"""
    INSERT INTO {SPANS} (trace_id, span_id, agent_name, agent_tier, operation_type, started_at, duration_ms, status)
    SELECT CASE WHEN n % 3 = 0 THEN '{USUAL}' ELSE 'trace-' || n / 15 * 15 + n % 3 END, 'span-' || n,
        s.agent_name, s.agent_tier, 'work', now() - n * interval '4 minutes', n * 7919 % 10000, 'success'
    FROM generate_series(1, {ROWS}) AS n, (SELECT * FROM {SPANS} LIMIT 1) AS s
"""


@dataclass(frozen=True)
class World:
    """A gateway over many spans, another connection, and prices by what is known of the database."""

    client: Client
    sql: asyncpg.Connection
    prices: Prices
    facts: Facts
    rare: tuple[str, str]
    spans: tuple[str, str]

    @property
    def huge(self) -> Facts:
        """The same as if the spans were 50 million."""
        known = self.facts
        times = HUGE // known.rows[SPANS]
        pages = {**known.pages, SPANS: known.pages[SPANS] * times}
        return replace(known, rows={**known.rows, SPANS: HUGE}, pages=pages)

    def price(self, query: str, facts: Facts | None = None) -> int:
        return self.prices.of(query, {}, facts or self.facts)

    async def read(self, query: str) -> int:
        """The points that are read for a query, its rows among them."""
        with recording(snapshots=True) as sent:
            answer = await self.client.ask(query)
        assert not answer.get("errors"), answer
        return (await work(self.sql, list(sent), answer["extensions"]["cost"]["rows"])).points


@pytest.fixture(scope="module")
async def world(demo_template: Database, clone: Clone) -> AsyncIterator[World]:
    async with clone(demo_template) as copy, connected(copy.admin_url) as sql:
        await sql.execute(FILL)
        await sql.execute(f"VACUUM ANALYZE {SPANS}")
        rare = await sql.fetch(
            f"SELECT trace_id FROM {SPANS} WHERE trace_id LIKE 'trace-%' GROUP BY 1 HAVING count(*) = 5 LIMIT 2"
        )
        async with serving(copy.gateway_url, max_cost=10**9) as client:
            service: OperationService = client.app.state.graphql
            traces = (rare[0]["trace_id"], rare[1]["trace_id"])
            yield World(client, sql, Prices(), service.access.facts, traces, ("span-11", "span-4242"))


def quoted(values: tuple[str, ...]) -> str:
    return ", ".join(f'"{one}"' for one in values)


def filters(traces: tuple[str, str], spans: tuple[str, str]) -> Mapping[str, str]:
    """Filters by two values of each kind."""
    one, other = traces
    return {
        "one": f'traceId: {{ eq: "{one}" }}',
        "list": f"traceId: {{ in: [{quoted(traces)}] }}",
        "alternatives": f'or: [{{ traceId: {{ eq: "{one}" }} }}, {{ traceId: {{ in: ["{other}"] }} }}]',
        "alternatives in a conjunction": (
            f'and: [{{ or: [{{ traceId: {{ eq: "{one}" }}, durationMs: {{ gte: 0 }} }}, '
            f'{{ spanId: {{ eq: "{spans[0]}" }} }}] }}]'
        ),
        "unique": f'spanId: {{ eq: "{spans[0]}" }}',
        "unique ones": f"spanId: {{ in: [{quoted(spans)}] }}",
    }


ASKED = {
    "another order": ("orderBy: [{ field: DURATION_MS }]", "nodes { id }"),
    "a page": ("first: 5", "nodes { id }"),
    "sums": ("first: 0", "aggregate { count durationMs { avg max } }"),
    "percentiles": ("first: 0", "aggregate(groupBy: [{ field: STATUS }]) { count durationMs { p95 } }"),
    "all counted": ("first: 0", "totalCount(exact: true)"),
}


def query(where: str, asked: str) -> str:
    arguments, selection = ASKED[asked]
    return f"{{ observabilitySpans({arguments}, where: {{ {where} }}) {{ {selection} }} }}"


@pytest.mark.parametrize("asked", ASKED)
async def test_rare_values_cost_their_rows_whatever_the_size_of_the_table(world: World, asked: str) -> None:
    """They cost 1 to 100 per cent of the table, and were refused where it has 50 million rows."""
    for name, where in filters(world.rare, world.spans).items():
        asking = query(where, asked)
        read = await world.read(asking)
        assert read < LEAST * WITHIN, name
        for facts in (world.facts, world.huge):
            assert world.price(asking, facts) <= WITHIN * max(read, LEAST), name


@pytest.mark.parametrize("asked", ["another order", "sums", "percentiles"])
async def test_most_common_values_cost_no_less_than_is_read(world: World, asked: str) -> None:
    for name, where in filters((USUAL, world.rare[0]), world.spans).items():
        if "unique" in name:
            continue
        asking = query(where, asked)
        read, price = await world.read(asking), world.price(asking)
        assert read > 1_000, name
        assert read / WITHIN <= price <= read * WITHIN, (name, read, price)
        assert world.price(asking, world.huge) > 100 * price, name


@pytest.mark.parametrize("asked", ["another order", "sums"])
async def test_values_of_scattered_rows_cost_the_whole_table(world: World, asked: str) -> None:
    """Postgres reads a table from end to end for a third of its rows, to sort them or to sum them up."""
    for name in ("one", "alternatives"):
        asking = query(filters((USUAL, world.rare[0]), world.spans)[name], asked)
        with recording() as sent:
            await world.client.ask(asking)
        nodes = [node for one in sent for node in await plan(world.sql, one)]
        assert any(node["Node Type"] == "Seq Scan" for node in nodes), name
        assert world.price(asking, world.huge) > HUGE / 5 + HUGE / 3 / 20, name


async def test_each_request_has_the_price_of_its_own_value(world: World) -> None:
    asking = (
        "query($of: String!) { observabilitySpans(where: { traceId: { eq: $of } }, orderBy: [{ field: DURATION_MS }])"
        " { nodes { id } } }"
    )
    for _ in range(2):
        for trace in (world.rare[0], USUAL):
            own = world.price(asking.replace("query($of: String!) ", "").replace("$of", f'"{trace}"'))
            assert (await world.client.cost(asking, of=trace))["requested"] == own


@pytest.mark.parametrize(
    "where",
    [
        'or: [{ traceId: { eq: "a" } }, { errorType: { eq: "b" } }]',
        'or: [{ traceId: { eq: "a" } }, {}]',
        'or: [{ traceId: { eq: "a" } }, { traceId: { ne: "b" } }]',
        'or: [{ traceId: { eq: "a" } }, { parent: { traceId: { eq: "b" } } }]',
        'or: [{ traceId: { eq: "a" } }, { traceId: { eq: "b" }, parent: { durationMs: { gt: 1 } } }]',
        'not: { traceId: { eq: "a" } }',
    ],
    ids=["another column", "all", "another operator", "relation", "relation beside a value", "not"],
)
async def test_what_not_every_alternative_has_an_index_for_costs_the_table(world: World, where: str) -> None:
    assert world.price(query(where, "sums"), world.huge) > HUGE / 20


async def test_without_statistics_no_alternatives_are_cheap(world: World) -> None:
    unknown = replace(world.huge, frequencies={}, spreads={})
    for name in ("alternatives", "alternatives in a conjunction"):
        assert world.price(query(filters(world.rare, world.spans)[name], "sums"), unknown) > HUGE / 5, name
    assert world.price(query(filters(world.rare, world.spans)["one"], "sums"), unknown) > HUGE / 200


async def test_frequencies_are_read_off_the_statistics_of_large_tables(world: World) -> None:
    known = world.facts.frequencies[SPANS]
    rows = world.facts.rows[SPANS]
    there = await world.sql.fetchval(f"SELECT count(*) FROM {SPANS} WHERE trace_id = $1", USUAL)
    assert known["trace_id"].rows(rows, USUAL) == pytest.approx(there, rel=0.1)
    assert known["trace_id"].rows(rows, world.rare[0]) <= 50
    assert known["span_id"].rows(rows, "span-11") <= 2
    assert known["trace_id"].kind is Stored.TEXT
    small = [
        (table, column)
        for table, columns in world.facts.frequencies.items()
        for column, one in columns.items()
        if table != SPANS and one.kind is not Stored.LABEL
    ]
    assert not small, "of small tables those of labels are known"


def test_rows_with_a_value() -> None:
    keys = Frequencies({"00000000-0000-0000-0000-00000000000a": 0.5}, kind=Stored.UUID, alike=10.0)
    assert keys.rows(1_000, "0000000000000000000000000000000A") == 500, "however it is written"
    assert keys.rows(1_000, "00000000-0000-0000-0000-00000000000b") == 10
    assert keys.rows(10**9, "00000000-0000-0000-0000-00000000000b") == 10, "more rows have more values"
    assert keys.rows(1_000, "no key") == keys.rows(1_000, "")
    few = Frequencies({"a": 0.25}, others=0.01, unseen=70, kind=Stored.TEXT)
    assert few.rows(1_000, "a") == 250
    assert few.rows(1_000, "b") == 80, "all rows written since may have a new value"


@pytest.mark.parametrize("length", [24, 24 * 366])
async def test_a_view_of_the_last_day_costs_the_rows_of_a_day(world: World, length: int) -> None:
    now = datetime.now(UTC)
    last = Spread(tuple((now - timedelta(hours=length * part / 100)).timestamp() for part in range(100, -1, -1)))
    facts = replace(world.huge, spreads={SPANS: {"started_at": Spreads(((1.0, last),))}})
    price = world.price("{ agentLatencySummaries { nodes { agentName totalSpans p95Ms } } }", facts)
    day = HUGE * 24 / length
    assert day / 100 < price < day
    assert price >= math.floor(day / 20)
    unindexed: dict[str, Any] = {"indexes": {**facts.indexes, SPANS: ()}}
    assert world.price("{ agentLatencySummaries { nodes { p95Ms } } }", replace(facts, **unindexed)) > HUGE / 100

"""Which index serves an order, and how the order is said then; the paging itself is tested by `test_walks`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from db.attach import facts
from db.attach.facts import Facts, Index, IndexColumn
from db.engine.engine import create_engine
from db.engine.url import database_url
from schema.catalogue.catalogue import OrderTerm, Type
from schema.catalogue.from_models import catalogue
from schema.sql import builder as sql
from schema.sql.conditions import equal_columns
from schema.sql.indexes import Indexes, Served
from tests.support.client import serving
from tests.support.databases import Clone, Database, connect
from tests.support.many_rows import fill
from tests.support.plans import Statement
from tests.support.platform_indexes import replace_indexes, turn_indexes

METRICS = catalogue()["ServingMetric"]
TABLE = METRICS.sql_name


def index(name: str, *columns: str, **others: Any) -> Index:
    """``index("i", "service_id", "recorded_at DESC NULLS FIRST")``."""
    made = []
    for column in columns:
        column_name, _, words = column.partition(" ")
        made.append(IndexColumn(column_name, "DESC" in words, "NULLS FIRST" in words))
    return Index(name, tuple(made), **others)


def serves(order: tuple[OrderTerm, ...], equal: set[str], *indexes: Index) -> Served | None:
    return Indexes(Facts(indexes={TABLE: indexes})).serves(METRICS, order, equal)


def by(column: str, *, descending: bool, nulls_first: bool = False, type_: Type = METRICS) -> tuple[OrderTerm, ...]:
    term = type_.order_term(type_.leaf(column), descending=descending, nulls_first=nulls_first)
    return (term, *type_.key_order({column}, descending=descending))


NEWEST = METRICS.order
OURS = index("ours", "recorded_at DESC NULLS LAST", "id DESC NULLS FIRST")
PLATFORMS = index("platform's", "recorded_at DESC NULLS FIRST")
OF_SERVICE = index("of a service", "service_id NULLS LAST", "recorded_at DESC NULLS FIRST")


def test_an_index_as_the_order_is_serves_it_whole_and_one_with_other_nulls_apart() -> None:
    assert serves(NEWEST, set(), OURS) == Served(OURS, 0, 2, apart=False)
    assert serves(NEWEST, set(), PLATFORMS) == Served(PLATFORMS, 0, 1, apart=True)
    assert serves(NEWEST, set(), PLATFORMS, OURS) == Served(OURS, 0, 2, apart=False)
    assert serves(by("recorded_at", descending=False), set(), PLATFORMS) == Served(PLATFORMS, 0, 1, apart=False)
    assert serves(by("recorded_at", descending=False), set(), OURS) == Served(OURS, 0, 2, apart=True)
    first = by("recorded_at", descending=True, nulls_first=True)
    assert serves(first, set(), PLATFORMS) == Served(PLATFORMS, 0, 1, apart=False)
    assert serves(NEWEST, set(), index("ascending", "recorded_at")) is not None, "it is read backward"
    other_ways = index("two ways", "recorded_at DESC NULLS LAST", "id")
    assert serves(NEWEST, set(), other_ways) == Served(other_ways, 0, 1, apart=False), "a key in the other direction"


def test_equal_columns_lead_to_the_index_that_begins_with_them() -> None:
    assert serves(NEWEST, {"service_id"}, OURS, OF_SERVICE) == Served(OF_SERVICE, 1, 1, apart=True)
    assert serves(NEWEST, set(), OF_SERVICE) is None
    assert serves(NEWEST, {"error_rate"}, OF_SERVICE) is None
    without_order = index("of a service alone", "service_id")
    assert serves(NEWEST, {"service_id"}, without_order) is None


def test_full_indexes_are_led_by_their_first_column() -> None:
    """Which is unique by itself in a unique index of it alone; neither parts of a table nor expressions count."""
    found = Indexes(
        Facts(
            indexes={
                TABLE: (
                    index("alone", "service_id", unique=True),
                    index("with another", "recorded_at", "service_id", unique=True),
                    index("again", "service_id", "recorded_at"),
                    index("of some rows", "error_rate", predicate="(error_rate > 0)"),
                    index("without an order", "requests_total", method="hash"),
                    Index("of an expression", (IndexColumn(""),)),
                )
            }
        )
    )
    assert found.leading(METRICS) == {"service_id": True, "recorded_at": False}


def test_a_filter_by_one_value_of_a_column_leads_to_its_index() -> None:
    """Wherever it stands among conditions that all must hold; an id is no value of its column."""
    one = {"eq": "x"}
    where = {
        "serviceId": one,
        "and": [{"errorRate": {"eq": 1}}, {"and": [{"recordedAt": one}]}],
        "cpuPercent": {"gt": 1},
    }
    assert list(equal_columns(METRICS, where)) == ["service_id", "error_rate", "recorded_at"]
    for none in ({"id": one}, {"rowVersion": one}, {"or": [{"serviceId": one}]}, {"serviceId": {"eq": None}}, None):
        assert list(equal_columns(METRICS, none)) == [], none


def test_no_other_index_serves_an_order() -> None:
    for one in (
        index("of some", "recorded_at DESC NULLS FIRST", predicate="(error_rate > 0.1)"),
        index("hashed", "recorded_at", method="hash"),
        index("an expression", "", "recorded_at"),
        index("another column", "id", "recorded_at"),
    ):
        assert serves(NEWEST, set(), one) is None, one.name
    some = index("of those with a time", "recorded_at DESC NULLS FIRST", predicate="(recorded_at IS NOT NULL)")
    assert serves(NEWEST, set(), some) == Served(some, 0, 1, apart=True)
    assert serves(by("recorded_at", descending=False), set(), some) is None, "rows without a time are not in it"


def test_a_column_that_refuses_null_needs_no_branch() -> None:
    known = Facts(indexes={TABLE: (PLATFORMS,)}, not_null={TABLE: frozenset({"recorded_at", "id"})})
    order = Indexes(known).follow(METRICS, NEWEST)
    page = sql.page(TABLE, ["t.id AS f0"], sql.Page(order, 10, ("2026-01-01", "x")), sql.Binds())
    assert "UNION" not in page
    assert "NULL" not in page
    assert "(t.recorded_at, t.id::uuid) < (" in page


def test_many_rows_without_a_value_are_read_by_themselves_where_no_index_serves() -> None:
    known = Facts(many_nulls={TABLE: frozenset({"recorded_at"})})
    order = Indexes(known).follow(METRICS, NEWEST)
    backward = tuple(term.reversed() for term in order)
    page = sql.page(TABLE, ["t.id AS f0"], sql.Page(backward, 10), sql.Binds())
    nulls, values = page.split(" UNION ALL ")
    assert "(t.recorded_at IS NULL) ORDER BY t.id::uuid LIMIT" in nulls
    assert "(t.recorded_at IS NOT NULL) ORDER BY t.recorded_at" in values
    assert Indexes(known).follow(METRICS, NEWEST, {"service_id"}) == NEWEST, "a parent has few"
    assert Indexes(known).follow(METRICS, by("error_rate", descending=True)) == by("error_rate", descending=True)
    served = Facts(many_nulls=known.many_nulls, indexes={TABLE: (OURS,)})
    assert Indexes(served).follow(METRICS, NEWEST) == NEWEST, "an index has them in their place"


def test_rows_of_a_view_without_a_value_of_their_table_are_read_by_themselves() -> None:
    champions = catalogue()["ChampionModel"]
    few, many = (
        Indexes(Facts(many_nulls={"ml_model_registry": frozenset(columns)})).follow(champions, champions.order)
        for columns in ((), ("trained_at",))
    )
    assert [term.apart for term in few] == [False] * 3
    assert [term.apart for term in many] == [True, False, False]


@pytest.mark.parametrize("nulls_first", [False, True], ids=["nulls last", "nulls first"])
@pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
async def test_pages_by_an_index_with_the_nulls_at_the_other_end_meet_every_row_once(
    demo_database: Database, *, descending: bool, nulls_first: bool
) -> None:
    """Behind the last row with a value, and behind each without one."""
    rows = (
        "(SELECT md5(n::text)::uuid AS id, CASE WHEN n % 3 > 0 THEN n % 4 END::numeric AS error_rate "
        "FROM generate_series(1, 17) AS n)"
    )
    head, *rest = by("error_rate", descending=descending, nulls_first=nulls_first)
    order = (replace(head, apart=True), *rest)
    connection = await connect(demo_database.gateway_url)
    way = "DESC" if descending else "ASC"
    expected = await connection.fetch(
        f"SELECT t.error_rate::text, t.id::text FROM {rows} t "
        f"ORDER BY t.error_rate {way} NULLS {'FIRST' if nulls_first else 'LAST'}, t.id {way}"
    )
    for size in (1, 2, 5):
        found: list[tuple[str | None, ...]] = []
        more = True
        while more:
            bind = sql.Binds()
            at = sql.Page(order, size, found[-1] if found else None)
            text = sql.page(rows, ["t.error_rate::text AS f0", "t.id::text AS f1"], at, bind)
            page = [tuple(row)[:2] for row in await connection.fetch(text, *bind.values)]
            more = len(page) == size and len(found) <= len(expected)
            found += page
        assert found == [tuple(row) for row in expected], size
    await connection.close()


def test_what_an_index_serves_as_it_is_is_asked_as_before() -> None:
    known = Facts(indexes={TABLE: (PLATFORMS, OURS)})
    for position in (None, ("2026-01-01", "x"), (None, "x")):
        before = sql.page(TABLE, ["t.id AS f0"], sql.Page(NEWEST, 10, position), sql.Binds())
        followed = sql.Page(Indexes(known).follow(METRICS, NEWEST), 10, position)
        assert sql.page(TABLE, ["t.id AS f0"], followed, sql.Binds()) == before


@pytest.mark.slow
@pytest.mark.parametrize("whose", ["ours", "the platform's"])
async def test_the_facts_are_those_of_the_database(whose: str, template: Database, clone: Clone) -> None:
    own = whose == "ours"
    async with clone(template) as copy:
        connection = await connect(copy.admin_url)
        try:
            if not own:
                await replace_indexes(connection)
            await fill(connection, 100 * facts.MANY_NULLS, [catalogue()["Enrollment"]])
            await connection.execute(
                "CREATE INDEX odd ON ml_experiments (lower(experiment_name), experiment_name text_pattern_ops)"
            )
            await connection.execute("CREATE INDEX few ON ml_experiments (created_at) WHERE created_at IS NOT NULL")
            await connection.execute(
                "CREATE FUNCTION same() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "
                "CREATE TRIGGER same BEFORE INSERT ON ml_training_runs FOR EACH ROW EXECUTE FUNCTION same()"
            )
        finally:
            await connection.close()
        engine = create_engine(database_url(copy.gateway_url), read_only=True)
        found = await facts.read(engine)
        await engine.dispose()
    assert "enrolled_at" in found.many_nulls["ab_experiment_enrollments"]
    assert "id" not in found.many_nulls["ab_experiment_enrollments"]
    of_metrics = {one.columns for one in found.indexes[TABLE]}
    service, newest = IndexColumn("service_id"), IndexColumn("recorded_at", descending=True, nulls_first=not own)
    assert ((service, newest) in of_metrics) is not own
    assert ((service, newest, IndexColumn("id", descending=True, nulls_first=True)) in of_metrics) is own
    by_name = {one.name: one for one in found.indexes["ml_experiments"]}
    assert by_name["odd"].columns == (IndexColumn(""), IndexColumn("")), "neither is in the order of its type"
    assert by_name["few"].predicate == "(created_at IS NOT NULL)"
    assert by_name["pk_ml_experiments"].unique
    assert "id" in found.not_null[TABLE]
    assert "recorded_at" not in found.not_null[TABLE]
    assert TABLE in found.settled
    assert "ml_training_runs" not in found.settled, "its trigger may do anything"
    assert "ml_model_registry" not in found.settled, "its champion is checked at the commit"


async def test_indexes_are_looked_at_again_while_the_gateway_runs(
    template: Database, clone: Clone, recorded: list[Statement]
) -> None:
    query = "{ servingMetrics(first: 5) { nodes { id } } }"
    async with clone(template) as copy, serving(copy.gateway_url) as client:
        await client.data(query)
        connection = await connect(copy.admin_url)
        await turn_indexes(connection)
        await connection.close()
        await client.app.state.graphql.shape._since(asyncio.get_running_loop().time())
        await client.data(query)
    before, after = [statement.text for statement in recorded if TABLE in statement.text]
    assert "ORDER BY t.recorded_at DESC NULLS LAST, t.id::uuid DESC" in before
    assert "ORDER BY t.recorded_at DESC, t.id::uuid DESC" in after

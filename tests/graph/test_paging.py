"""Keyset paging through HTTP against an order computed here from plain SQL rows: newest first, nulls last, key down."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.catalogue.catalogue import Type
from schema.catalogue.from_models import catalogue
from schema.sql import cursors
from tests.support import platform_indexes
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect
from tests.support.plans import Statement, plan

pytestmark = pytest.mark.slow

Serve = Callable[[Database], AbstractAsyncContextManager[Client]]

QUICK = settings(max_examples=12, deadline=None)


@dataclass(frozen=True)
class Listed:
    """A root, the relation behind it, its time and its key, as the contract names them."""

    root: str
    type: str
    relation: str
    time: str | None
    key: tuple[str, ...]


LISTS = {
    each.root: each
    for each in (
        Listed("experiments", "Experiment", "ml_experiments", "created_at", ("id",)),
        Listed("models", "Model", "ml_model_registry", "registered_at", ("id",)),
        Listed("cohortDefinitions", "CohortDefinition", "ml_cohort_definitions", "created_date", ("cohort_id",)),
        Listed("cohortEligibilityLogs", "CohortEligibilityLog", "ml_cohort_eligibility_log", "applied_at", ("log_id",)),
        Listed(
            "patientCohortAssignments",
            "PatientCohortAssignment",
            "ml_patient_cohort_assignments",
            "assigned_at",
            ("patient_journey_id", "cohort_id", "execution_id"),
        ),
        Listed(
            "latestDataQualities",
            "LatestDataQuality",
            "v_latest_data_quality",
            "run_at",
            ("table_name", "data_split"),
        ),
        Listed(
            "agentLatencySummaries",
            "AgentLatencySummary",
            "v_agent_latency_summary",
            None,
            ("agent_name", "agent_tier"),
        ),
        Listed(
            "driftTrends7d", "DriftTrend7d", "ml_drift_trend_7d", "check_date", ("model_id", "drift_type", "check_date")
        ),
    )
}

TIME = "CASE WHEN n % 5 < 3 THEN timestamptz '2026-01-01' + (n % 3) * interval '1 microsecond' END"
"""Three times within two microseconds, and two rows in five without any."""

ROWS = f"""
    SET session_replication_role = replica;  -- no triggers and no references: rows for paging, not a story
    INSERT INTO ml_experiments (id, experiment_name, prediction_target, created_at)
        SELECT gen_random_uuid(), 'e' || n, 'p', {TIME} FROM generate_series(1, 29) n;
    INSERT INTO ml_experiments (experiment_name, prediction_target, created_at)
        VALUES ('end of time', 'p', 'infinity'), ('before all', 'p', '-infinity');
    INSERT INTO ml_model_registry (experiment_id, model_name, model_version, algorithm, registered_at)
        SELECT e.id, 'm', e.experiment_name || '-' || n, 'a', {TIME}
        FROM ml_experiments e, generate_series(1, 7) n WHERE e.experiment_name IN ('e1', 'e2', 'e3') AND n < 7
          OR e.experiment_name = 'e4' AND n = 1;
    INSERT INTO ml_model_registry (model_name, model_version, algorithm, registered_at)
        SELECT 'orphan', n::text, 'a', {TIME} FROM generate_series(1, 4) n;
    INSERT INTO ml_cohort_definitions
        (cohort_id, brand, indication, cohort_name, inclusion_criteria, exclusion_criteria, created_date)
        SELECT key, 'b' || n, 'i', 'c', '[]', '[]', {TIME}
        FROM unnest(ARRAY['', ':', '%', '%3A', '%25', 'a:b%c', 'CohortDefinition:x', 'Model:x', 'Zürich', 'zz', '🙂',
                          ' ', E'tab\\tnew\\nline', '"', '\\', '''', 'null', '{{}}', repeat('long', 600)])
            WITH ORDINALITY AS k(key, n);
    INSERT INTO ml_cohort_eligibility_log
        (cohort_id, execution_id, criterion_order, criterion_name, criterion_type, operator, removed_count,
         remaining_count, applied_at)
        SELECT 'c', 'x', n, 'c', 'inclusion', '=', 0, 0, {TIME} FROM generate_series(1, 17) n;
    INSERT INTO ml_patient_cohort_assignments (patient_journey_id, cohort_id, execution_id, is_eligible, assigned_at)
        SELECT patient, cohort, 'x' || n, true, {TIME}
        FROM unnest(ARRAY['p:1', 'p', '%']) patient, unnest(ARRAY['c', ':c', 'ç']) cohort, generate_series(1, 4) n;
    INSERT INTO ml_data_quality_reports
        (report_name, table_name, overall_status, expectations_evaluated, expectations_passed, expectations_failed,
         data_split, run_at)
        SELECT 'r', 't' || n, 'passed', 1, 1, 0,
               (enum_range(NULL::data_split_type))[1 + n % 3], {TIME} FROM generate_series(1, 12) n;
    INSERT INTO ml_observability_spans (trace_id, span_id, agent_name, agent_tier, started_at)
        SELECT 't', 's' || n, (enum_range(NULL::agent_name_enum))[n], (enum_range(NULL::agent_tier_enum))[1 + n % 2],
               now() - interval '1 hour' FROM generate_series(1, 7) n;
    INSERT INTO ml_drift_history
        (model_id, drift_type, feature_name, test_type, baseline_start, baseline_end, current_start,
         current_end, created_at)
        SELECT m.id, (enum_range(NULL::drift_type_enum))[1 + n % 2], 'f', 'psi',
               now(), now(), now(), now(), now() - interval '1 day' * (n % 3)
        FROM (SELECT id FROM ml_model_registry ORDER BY id LIMIT 3) m, generate_series(1, 6) n;
"""


@pytest.fixture(scope="module")
async def paged_template(template: Database, clone: Clone) -> AsyncIterator[Database]:
    """Tables with many equal and null times, odd text keys and composite ones. Do not connect: clone it."""
    async with clone(template) as copy:
        await _insert(copy)
        yield copy


async def _insert(database: Database) -> None:
    connection = await connect(database.admin_url)
    try:
        await connection.execute(ROWS)
    finally:
        await connection.close()


@pytest.fixture(scope="module", params=["our indexes", "nulls first"])
async def paged(
    request: pytest.FixtureRequest, paged_template: Database, clone: Clone, serve: Serve
) -> AsyncIterator[tuple[Client, Database]]:
    """The gateway over those tables, with indexes of either form. Only to be read."""
    async with clone(paged_template) as copy:
        if request.param == "nulls first":
            connection = await connect(copy.admin_url)
            await platform_indexes.turn_indexes(connection)
            await connection.close()
        async with serve(copy) as client:
            yield client, copy


async def in_order(database: Database, listed: Listed, where: str = "true") -> list[str]:
    """The ids of a list in the default order, sorted here; of one text or label the database says which is greater."""
    # agents are text in the graph, whatever the database says
    compared = [f"{column}::text" if column == "agent_name" else column for column in listed.key]
    ranks = ", ".join(f"dense_rank() OVER (ORDER BY {column})::int" for column in compared)
    keys = ", ".join(f"{column}::text" for column in listed.key)
    time = f"dense_rank() OVER (ORDER BY {listed.time})::int" if listed.time else "0"
    missing = f"{listed.time} IS NULL" if listed.time else "false"
    connection = await connect(database.admin_url)
    try:
        rows = await connection.fetch(
            f"SELECT ARRAY[{ranks}] AS ranks, ARRAY[{keys}] AS key, {missing} AS missing, {time} AS time "
            f"FROM {listed.relation} t WHERE {where}"
        )
    finally:
        await connection.close()

    def newest_first(row: asyncpg.Record) -> tuple[Any, ...]:
        return row["missing"], 0 if row["missing"] else -row["time"], [-rank for rank in row["ranks"]]

    return [global_id(listed.type, row["key"]) for row in sorted(rows, key=newest_first)]


def global_id(type_name: str, key: Sequence[str]) -> str:
    return ":".join([type_name, *(part.replace("%", "%25").replace(":", "%3A") for part in key)])


PAGE = (
    "edges { cursor node { id } } nodes { id } totalCount "
    "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
)


def arguments(size: int, *, backward: bool, cursor: str | None) -> str:
    ends = ("last", "before") if backward else ("first", "after")
    return f"{ends[0]}: {size}" + (f", {ends[1]}: {json.dumps(cursor)}" if cursor else "")


async def walk(client: Client, root: str, size: int, *, backward: bool = False) -> list[list[str]]:
    """The ids of every page, until the connection says that there is no further one; each page checked in itself."""
    pages: list[list[str]] = []
    cursor = None
    while True:
        asked = arguments(size, backward=backward, cursor=cursor)
        page = (await client.data(f"{{ {root}({asked}) {{ {PAGE} }} }}"))[root]
        ids = [node["id"] for node in page["nodes"]]
        info = page["pageInfo"]
        assert [edge["node"]["id"] for edge in page["edges"]] == ids
        assert len(ids) <= size
        cursors = [edge["cursor"] for edge in page["edges"]]
        assert (info["startCursor"], info["endCursor"]) == ((cursors[0], cursors[-1]) if ids else (None, None))
        behind, ahead = ("hasNextPage", "hasPreviousPage") if backward else ("hasPreviousPage", "hasNextPage")
        assert info[behind] is bool(pages)
        assert not {id_ for page in pages for id_ in page} & {*ids}, "a row comes again, and the walk may not end"
        pages.append(ids)
        if not info[ahead]:
            return pages
        assert ids, "an empty page promises another one"
        cursor = cursors[0] if backward else cursors[-1]


def chunks(ids: list[str], size: int) -> list[list[str]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)] or [[]]


@QUICK
@given(root=st.sampled_from(sorted(LISTS)), size=st.integers(1, 40), backward=st.booleans())
async def test_a_walk_meets_every_row_once_in_order(
    paged: tuple[Client, Database], *, root: str, size: int, backward: bool
) -> None:
    client, database = paged
    expected = await in_order(database, LISTS[root])
    pages = await walk(client, root, size, backward=backward)
    if backward:
        assert [page[::-1] for page in pages] == chunks(expected[::-1], size)
    else:
        assert pages == chunks(expected, size)


@pytest.mark.parametrize("root", sorted(LISTS))
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
async def test_every_list_row_by_row(paged: tuple[Client, Database], root: str, *, backward: bool) -> None:
    """Pages of one and of three rows put a page's end on every row: within equal times, and among the nulls."""
    client, database = paged
    expected = await in_order(database, LISTS[root])
    assert len(expected) > 5
    for size in (1, 3):
        pages = await walk(client, root, size, backward=backward)
        assert [id_ for page in pages for id_ in (page[::-1] if backward else page)] == (
            expected[::-1] if backward else expected
        )


async def test_the_lists_have_what_makes_paging_hard(paged: tuple[Client, Database]) -> None:
    """Equal times and null ones, and keys with the characters that ids escape: or the walks would show little."""
    client, database = paged
    connection = await connect(database.admin_url)
    try:
        for listed in LISTS.values():
            if listed.time:
                distinct, nulls, rows = await connection.fetchrow(
                    f"SELECT count(DISTINCT {listed.time}), count(*) FILTER (WHERE {listed.time} IS NULL), count(*) "
                    f"FROM {listed.relation}"
                )
                assert distinct + nulls < rows or listed.relation.startswith("v_"), listed
                assert nulls > 1 or listed.time == "check_date", listed
    finally:
        await connection.close()
    data = await client.data("{ cohortDefinitions(first: 50) { nodes { id cohortId } } }")
    assert {"", ":", "%", "🙂"} < {node["cohortId"] for node in data["cohortDefinitions"]["nodes"]}


@pytest.mark.parametrize("root", ["cohortDefinitions", "patientCohortAssignments", "latestDataQualities"])
async def test_an_id_finds_its_row_whatever_its_text(paged: tuple[Client, Database], root: str) -> None:
    client, database = paged
    ids = await in_order(database, LISTS[root])
    singular = {"latestDataQualities": "latestDataQuality"}.get(root, root[:-1])
    assert [node["id"] for node in (await client.data(query_nodes(), ids=ids))["nodes"]] == ids
    for id_ in ids:
        assert await client.data(f"query($id: ID!) {{ {singular}(id: $id) {{ id }} }}", id=id_) == {
            singular: {"id": id_}
        }


def query_nodes() -> str:
    return "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"


@pytest.mark.parametrize("type_", [type_ for type_ in catalogue() if not type_.is_view], ids=lambda type_: type_.name)
async def test_every_table_of_the_demo(demo: Client, demo_database: Database, type_: Type) -> None:
    """Three pages of each table, forward and backward, in the order that its model declares."""
    entity_time = type_.ordered_by
    listed = Listed(type_.plural, type_.name, type_.sql_name, entity_time, type_.key)
    expected = await in_order(demo_database, listed)
    assert expected
    size = min(math.ceil(len(expected) / 3), 1000)
    assert [id_ for page in await walk(demo, type_.plural, size) for id_ in page] == expected
    pages = await walk(demo, type_.plural, size, backward=True)
    assert [id_ for page in reversed(pages) for id_ in page] == expected


# -- below a parent ----------------------------------------------------------------------------------------------------


@settings(QUICK, max_examples=6)
@given(size=st.integers(1, 8), backward=st.booleans())
async def test_pages_below_parents(paged: tuple[Client, Database], *, size: int, backward: bool) -> None:
    """Each parent is walked by its own cursors and has its own total; the first pages of all come together."""
    client, database = paged
    asked = arguments(size, backward=backward, cursor=None)
    data = await client.data(f"{{ experiments(first: 100) {{ nodes {{ id models({asked}) {{ {PAGE} }} }} }} }}")
    assert {node["models"]["totalCount"] for node in data["experiments"]["nodes"]} == {0, 1, 6}
    for experiment in data["experiments"]["nodes"]:
        key = experiment["id"].removeprefix("Experiment:")
        expected = await in_order(database, LISTS["models"], f"experiment_id = '{key}'")
        found: list[str] = []
        page, cursor = experiment["models"], None
        while True:
            assert page["totalCount"] == len(expected)
            ids = [node["id"] for node in page["nodes"]]
            found = ids + found if backward else found + ids
            info = page["pageInfo"]
            assert info["hasPreviousPage" if backward else "hasNextPage"] is (len(found) < len(expected))
            assert info["hasNextPage" if backward else "hasPreviousPage"] is (cursor is not None)
            if len(found) == len(expected):
                break
            cursor = info["startCursor" if backward else "endCursor"]
            asked = arguments(size, backward=backward, cursor=cursor)
            query = f"query($id: ID!) {{ experiment(id: $id) {{ models({asked}) {{ {PAGE} }} }} }}"
            page = (await client.data(query, id=experiment["id"]))["experiment"]["models"]
        assert found == expected


async def test_one_cursor_for_all_parents_cuts_each_where_it_stands(paged: tuple[Client, Database]) -> None:
    """A cursor is tied to type and order, not to a parent: it is a place in the order of all rows."""
    client, database = paged
    models = await in_order(database, LISTS["models"])
    edges = (await client.data("{ models(first: 100) { edges { cursor node { id } } } }"))["models"]["edges"]
    for place in range(0, len(models), 4):
        data = await client.data(
            "query($c: String) { experiments(first: 100) { nodes { id models(first: 100, after: $c) { nodes { id } "
            "pageInfo { hasPreviousPage hasNextPage } } } } }",
            c=edges[place]["cursor"],
        )
        for experiment in data["experiments"]["nodes"]:
            key = experiment["id"].removeprefix("Experiment:")
            own = await in_order(database, LISTS["models"], f"experiment_id = '{key}'")
            behind = [id_ for id_ in own if models.index(id_) > place]
            assert [node["id"] for node in experiment["models"]["nodes"]] == behind
            assert experiment["models"]["pageInfo"] == {
                "hasPreviousPage": len(behind) < len(own),
                "hasNextPage": False,
            }


# -- ends and gaps -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
async def test_pages_of_no_rows(paged: tuple[Client, Database], *, backward: bool) -> None:
    """``first: 0`` says what lies on both sides of a place; a page behind the last row is empty and says so."""
    client, database = paged
    ids = await in_order(database, LISTS["experiments"])
    edges = (await client.data("{ experiments(first: 100) { edges { cursor node { id } } } }"))["experiments"]["edges"]
    assert [edge["node"]["id"] for edge in edges] == ids
    behind, ahead = ("hasNextPage", "hasPreviousPage") if backward else ("hasPreviousPage", "hasNextPage")

    async def info(size: int, cursor: str | None) -> dict[str, Any]:
        asked = arguments(size, backward=backward, cursor=cursor)
        page = (await client.data(f"{{ experiments({asked}) {{ {PAGE} }} }}"))["experiments"]
        assert page["nodes"] == page["edges"] == []
        assert page["totalCount"] == len(ids)
        assert page["pageInfo"]["startCursor"] is page["pageInfo"]["endCursor"] is None
        return {"behind": page["pageInfo"][behind], "ahead": page["pageInfo"][ahead]}

    first, last = (edges[-1], edges[0]) if backward else (edges[0], edges[-1])
    assert await info(0, None) == {"behind": False, "ahead": True}
    assert await info(0, first["cursor"]) == {"behind": True, "ahead": True}
    assert await info(0, last["cursor"]) == {"behind": True, "ahead": False}
    assert await info(5, last["cursor"]) == {"behind": True, "ahead": False}


async def test_an_empty_table(database: Database, serve: Serve) -> None:
    async with serve(database) as client:
        for asked in ("", "(first: 0)", "(last: 3)", "(first: 1000)"):
            data = await client.data(f"{{ experiments{asked} {{ {PAGE} }} }}")
            assert data["experiments"] == {
                "edges": [],
                "nodes": [],
                "totalCount": 0,
                "pageInfo": {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None},
            }


async def test_a_cursor_outlives_its_row(paged_template: Database, clone: Clone, serve: Serve) -> None:
    """The page behind a deleted row is the same; what lies before it is still said exactly, also when nothing does."""
    async with clone(paged_template) as copy, serve(copy) as client:
        ids = await in_order(copy, LISTS["experiments"])
        edges = (await client.data("{ experiments(first: 100) { edges { cursor node { id } } } }"))["experiments"][
            "edges"
        ]
        connection = await connect(copy.admin_url)
        try:
            await connection.execute("SET session_replication_role = replica")  # models keep their dangling references
            for place, edge in enumerate(edges[:-1]):  # each row goes, from the newest on
                key = uuid.UUID(edge["node"]["id"].removeprefix("Experiment:"))
                page = f"experiments(first: 2, after: $c) {{ {PAGE} }}"
                before = (await client.data(f"query($c: String) {{ {page} }}", c=edge["cursor"]))["experiments"]
                assert before["pageInfo"]["hasPreviousPage"] is True
                await connection.execute("DELETE FROM ml_experiments WHERE id = $1", key)
                after = (await client.data(f"query($c: String) {{ {page} }}", c=edge["cursor"]))["experiments"]
                assert [node["id"] for node in after["nodes"]] == ids[place + 1 : place + 3]
                assert after["pageInfo"]["hasPreviousPage"] is False
                assert after["pageInfo"]["hasNextPage"] is before["pageInfo"]["hasNextPage"]
                back = f"query($c: String) {{ experiments(last: 2, before: $c) {{ {PAGE} }} }}"
                nothing = (await client.data(back, c=edge["cursor"]))["experiments"]
                assert nothing["nodes"] == []
                assert nothing["pageInfo"]["hasPreviousPage"] is False
                assert nothing["pageInfo"]["hasNextPage"] is True
        finally:
            await connection.close()


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
async def test_rows_inserted_during_a_walk(
    paged_template: Database, clone: Clone, serve: Serve, *, backward: bool
) -> None:
    """What was there at the start is met exactly once, in order, wherever new rows fall: also at the same times."""
    async with clone(paged_template) as copy, serve(copy) as client:
        there = await in_order(copy, LISTS["experiments"])
        connection = await connect(copy.admin_url)
        met: list[str] = []
        cursor, more = None, True
        try:
            while more:
                asked = arguments(2, backward=backward, cursor=cursor)
                page = (await client.data(f"{{ experiments({asked}) {{ {PAGE} }} }}"))["experiments"]
                ids = [node["id"] for node in page["nodes"]]
                met += ids[::-1] if backward else ids
                more = page["pageInfo"]["hasPreviousPage" if backward else "hasNextPage"] and len(met) < 500
                cursor = page["pageInfo"]["startCursor" if backward else "endCursor"]
                if len(met) < 60:
                    await connection.execute(
                        "INSERT INTO ml_experiments (experiment_name, prediction_target, created_at) "
                        f"SELECT 'new', 'p', {TIME} FROM generate_series(1, 5) n"
                    )
        finally:
            await connection.close()
        assert len(set(met)) == len(met)
        old = set(there)
        assert [id_ for id_ in met if id_ in old] == (there[::-1] if backward else there)
        assert len(met) > len(there)


async def test_times_that_python_cannot_hold(paged_template: Database, clone: Clone, serve: Serve) -> None:
    """The years before 1 and after 9999 are ordered as the others are; only their own field is an error."""
    async with clone(paged_template) as copy, serve(copy) as client:
        connection = await connect(copy.admin_url)
        try:
            await connection.execute(
                "INSERT INTO ml_experiments (experiment_name, prediction_target, created_at) "
                "VALUES ('then', 'p', '0044-03-15 BC'), ('far', 'p', '20000-01-01')"
            )
        finally:
            await connection.close()
        expected = await in_order(copy, LISTS["experiments"])
        pages = await walk(client, "experiments", 1)
        assert [id_ for page in pages for id_ in page] == expected
        pages = await walk(client, "experiments", 1, backward=True)
        assert [id_ for page in pages for id_ in page] == expected[::-1]


# -- plans -------------------------------------------------------------------------------------------------------------


def sorts_and_scans(nodes: list[dict[str, Any]], relation: str) -> list[str]:
    """What a page must not do: sort rows, or read a table from end to end.

    Postgres 18 knows where a column has no nulls; what it then sorts is a constant nothing in place of their branch.
    """
    name = relation.rpartition(".")[2]
    return [
        node["Node Type"]
        for node in nodes
        if ("Sort" in node["Node Type"] and not is_nothing(node) and not turns_round(node))
        or (node["Node Type"] == "Seq Scan" and node["Relation Name"] == name)
    ]


def turns_round(node: dict[str, Any]) -> bool:
    """Whether a node only turns round a page that was read backward, as compiled statements do."""
    return all(key.endswith(".at_ DESC") or "row_number()" in key for key in node["Sort Key"])


def is_nothing(node: dict[str, Any]) -> bool:
    """Whether a node gets its rows from a condition that is known to be false."""
    return [below.get("One-Time Filter") for below in node["Plans"]] == ["false"]


@pytest.fixture(scope="module")
async def explaining(demo_database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A connection that sorts or scans a table only where no index serves: tables of a few rows have plans of many."""
    connection = await connect(demo_database.admin_url)
    for setting in ("enable_seqscan", "enable_sort", "enable_bitmapscan"):
        await connection.execute(f"SET {setting} = off")
    yield connection
    await connection.close()


TABLES = [type_ for type_ in catalogue() if not type_.is_view]


@pytest.mark.migrated("it is about our own indexes, and test_platform_plans.py about the platform's")
@pytest.mark.parametrize("type_", TABLES, ids=lambda type_: type_.name)
async def test_an_index_serves_every_default_order(
    demo: Client, explaining: asyncpg.Connection, recorded: list[Statement], type_: Type
) -> None:
    rows = f"{type_.plural}(first: 1000) {{ edges {{ cursor }} }}"
    edges = (await demo.data(f"{{ {rows} }}"))[type_.plural]["edges"]
    cursor = edges[len(edges) // 2]["cursor"]
    for backward in (False, True):
        for where in (None, cursor):
            recorded.clear()
            asked = arguments(2, backward=backward, cursor=where)
            await demo.data(f"{{ {type_.plural}({asked}) {{ nodes {{ id }} }} }}")
            (statement,) = recorded
            nodes = await plan(explaining, statement)
            assert sorts_and_scans(nodes, type_.sql_name) == [], statement[0]


@pytest.mark.migrated("it is about our own indexes, and test_platform_plans.py about the platform's")
@pytest.mark.parametrize("type_", TABLES, ids=lambda type_: type_.name)
async def test_an_index_serves_every_relation(
    demo: Client, explaining: asyncpg.Connection, recorded: list[Statement], type_: Type
) -> None:
    """Relations by equal columns; the few by other predicates are not a list of one index."""
    for relation in type_.relations.values():
        target = catalogue()[relation.target]
        if target.is_view or not relation.join.equality:
            continue
        page = "(first: 2) { nodes { id } }" if relation.many else "{ id }"
        recorded.clear()
        await demo.data(f"{{ {type_.plural}(first: 20) {{ nodes {{ {relation.name} {page} }} }} }}")
        for statement in recorded[1:] or recorded:
            found = sorts_and_scans(await plan(explaining, statement), target.sql_name)
            if relation.many:
                assert found == [], statement[0]
            else:  # one row by a unique key may be sorted
                assert "Seq Scan" not in found, statement[0]


@pytest.mark.migrated("it is about our own indexes, and test_platform_plans.py about the platform's")
@pytest.mark.parametrize(
    ("root", "relation", "parent"),
    [
        ("models", "ml_model_registry", None),
        ("models", "ml_model_registry", "experiments"),
        ("metrics", "ml_bentoml_serving_metrics", "bentoServices"),
        ("servingMetrics", "ml_bentoml_serving_metrics", None),
    ],
)
async def test_the_planner_takes_the_index_by_itself(
    many: tuple[Client, Database], recorded: list[Statement], root: str, relation: str, parent: str | None
) -> None:
    """With Postgres's own settings, over many rows: at the start, in the middle, among the nulls, both ways."""
    client, database = many
    connection = await connect(database.admin_url)
    try:
        flat = {"metrics": "servingMetrics"}.get(root, root)
        time = {"ml_model_registry": "registered_at"}.get(relation, "recorded_at")
        for condition in (f"{time} IS NOT NULL", f"{time} IS NULL"):
            key = await connection.fetchval(
                f"SELECT id FROM {relation} WHERE {condition} ORDER BY {time} DESC, id DESC OFFSET 4000 LIMIT 1"
            )
            type_ = next(type_ for type_ in catalogue() if type_.plural == flat)
            stamp = await connection.fetchval(f"SELECT {time}::text FROM {relation} WHERE id = $1", key)
            cursor = cursors.encode(cursors.start(type_, type_.order), [stamp, str(key)])
            for backward in (False, True):
                for where in (None, cursor):
                    page = f"{root}({arguments(10, backward=backward, cursor=where)}) {{ nodes {{ id }} }}"
                    recorded.clear()
                    await client.data(f"{{ {parent}(first: 5) {{ nodes {{ {page} }} }} }}" if parent else f"{{{page}}}")
                    nodes = await plan(connection, recorded[-1])
                    found = sorts_and_scans(nodes, relation)
                    if parent and client.compiles:  # the few parents are in the same statement, and may be sorted
                        assert "Seq Scan" not in found, recorded[-1][0]
                    else:
                        assert found == [], recorded[-1][0]
                    assert nodes[0]["Total Cost"] < 1000
    finally:
        await connection.close()


@pytest.fixture(scope="module")
async def many(template: Database, clone: Clone, serve: Serve) -> AsyncIterator[tuple[Client, Database]]:
    """Tens of thousands of rows, a third of them without a time."""
    async with clone(template) as copy:
        connection = await connect(copy.admin_url)
        try:
            await connection.execute("""
                SET session_replication_role = replica;
                INSERT INTO ml_experiments (experiment_name, prediction_target)
                    SELECT 'e' || n, 'p' FROM generate_series(1, 20) n;
                INSERT INTO ml_bentoml_services (service_name, bento_tag, created_at) SELECT 's' || n, 't' || n, now()
                    FROM generate_series(1, 20) n;
            """)
            time = "CASE WHEN n % 3 > 0 THEN timestamptz '2026-01-01' - n * interval '1 second' END"
            await connection.execute(f"""
                INSERT INTO ml_model_registry (experiment_id, model_name, model_version, algorithm, registered_at)
                    SELECT e.id, e.experiment_name, n::text, 'a', {time}
                    FROM ml_experiments e, generate_series(1, 1000) n;
                INSERT INTO ml_bentoml_serving_metrics (service_id, recorded_at)
                    SELECT s.id, {time} FROM ml_bentoml_services s, generate_series(1, 2000) n;
                ANALYZE;
            """)
        finally:
            await connection.close()
        async with serve(copy) as client:
            yield client, copy


@pytest.mark.parametrize("compiler", [True, False])
async def test_page_info_by_several_aliases(demo_database: Database, *, compiler: bool) -> None:
    """Each says what it is asked for, whatever stands in the last of them."""
    info = "pageInfo { hasNextPage } b: pageInfo { hasPreviousPage } last: pageInfo { __typename }"
    async with serving(demo_database.gateway_url, compiler=compiler) as client:
        page = await client.data("{ models(first: 3) { edges { cursor } } }")
        cursor = page["models"]["edges"][1]["cursor"]
        before = (await client.data(f'{{ models(before: "{cursor}") {{ {info} }} }}'))["models"]
        after = (await client.data(f'{{ models(first: 1, after: "{cursor}") {{ {info} }} }}'))["models"]
    assert (before["pageInfo"]["hasNextPage"], before["b"]["hasPreviousPage"]) == (True, False)
    assert (after["pageInfo"]["hasNextPage"], after["b"]["hasPreviousPage"]) == (True, True)

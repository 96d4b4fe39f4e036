"""Lists of the rows whose elements (an array's or a JSON list's) name their parent: few rows, many rows, or none, of a
large table.

Pages are the rows that SQL finds, whatever the index of the order looks like, and read little of the table. Indexes are
our own, of elements too, and the same in the platform's form: nulls first, no key.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import pytest

from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect
from tests.support.executors import EXECUTORS
from tests.support.plans import explained, plan, recording
from tests.support.platform_indexes import turn_indexes

pytestmark = [pytest.mark.slow, pytest.mark.migrated("it has no index of elements")]

ROWS = 10_000
READ = 150
"""Buffers that a page may read; the order's index leads through 250 to 500 to the end of a table."""
FREQUENT, RARE, UNKNOWN = (str(UUID(int=place)) for place in (1, 2, 3))
"""Elements of every other row, of some of the oldest and of those without a time, and of none."""


@dataclass(frozen=True)
class Elements:
    """A relation by elements: its parent's type, the table behind it, its columns of elements, time and key, and what
    inserts rows with ``{elements}`` and a ``{time}``, or a ``{moment}`` where it is required."""

    parent: str
    relation: str
    table: str
    column: str
    time: str
    key: str
    insert: str

    @property
    def elements(self) -> str:
        """SQL of the elements of the row ``n``."""
        known = f"CASE WHEN n % 2 = 0 THEN '{FREQUENT}' WHEN n > {ROWS - 100} OR n % 291 = 0 THEN '{RARE}' ELSE 'x' END"
        if self.parent == "Feature":
            listed = f"ARRAY['other', {known}]"
            return f"to_jsonb({listed})" if self.table == "ml_training_runs" else listed
        return f"ARRAY[nullif({known}, 'x')]::uuid[]"


RELATIONS = [
    Elements(
        "Feature", "trainingRuns", "ml_training_runs", "feature_names", "started_at", "id",
        "(algorithm, training_samples, feature_names, started_at) SELECT 'a', 1, {elements}, {time}",
    ),
    Elements(
        "Feature", "alerts", "ml_monitoring_alerts", "affected_features", "created_at", "id",
        "(alert_type, title, severity, message, affected_features, created_at) "
        "SELECT 'error', 't', 'low', repeat('m', 100), {elements}, {time}",
    ),
    Elements(
        "Model", "monitoringRuns", "ml_monitoring_runs", "model_ids", "started_at", "id",
        "(run_type, model_ids, deployment_ids, started_at) SELECT 'scheduled', {elements}, {elements}, {moment}",
    ),
    Elements("Deployment", "monitoringRuns", "ml_monitoring_runs", "deployment_ids", "started_at", "id", ""),
    Elements(
        "CausalValidation", "relatedReviews", "expert_reviews", "related_validation_ids", "created_at", "review_id",
        "(review_type, reviewer_id, related_validation_ids, created_at) "
        "SELECT (enum_range(NULL::expert_review_type))[1], 'r', {elements}, {time}",
    ),
]  # fmt: skip
PARENTS = """
    INSERT INTO ml_feature_store (id, feature_name, data_type)
        SELECT id, id::text, 'float' FROM unnest($1::uuid[]) AS id;
    INSERT INTO ml_model_registry (id, model_name, model_version, algorithm)
        SELECT id, id::text, '1', 'a' FROM unnest($1::uuid[]) AS id;
    INSERT INTO ml_deployments (id, model_registry_id, deployment_name, environment)
        SELECT id, id, id::text, 'staging' FROM unnest($1::uuid[]) AS id;
    INSERT INTO causal_validations (validation_id, estimate_id, estimate_source, test_type, status, original_effect)
        SELECT id, id, 'causal_paths', (enum_range(NULL::refutation_test_type))[1],
            (enum_range(NULL::validation_status))[1], 1 FROM unnest($1::uuid[]) AS id
"""
MOMENT = "timestamptz '2026-06-01' - n * interval '1 minute'"


@pytest.fixture(scope="module", params=["our indexes", "the platform's form of them"])
async def filled(template: Database, clone: Clone, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    async with clone(template) as copy:
        sql = await connect(copy.admin_url)
        await sql.execute("SET session_replication_role = replica")
        for statement in PARENTS.split(";"):
            await sql.execute(statement, [FREQUENT, RARE, UNKNOWN])
        for one in RELATIONS:
            if one.insert:
                time = f"CASE WHEN n % 97 > 0 THEN {MOMENT} END"
                rows = one.insert.format(elements=one.elements, time=time, moment=MOMENT)
                await sql.execute(f"INSERT INTO {one.table} {rows} FROM generate_series(1, {ROWS}) AS n")
        if request.param != "our indexes":
            await turn_indexes(sql)
        await sql.execute("VACUUM ANALYZE")
        await sql.close()
        yield copy


@pytest.fixture(scope="module", params=EXECUTORS)
async def client(filled: Database, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    async with serving(filled.gateway_url, compiler=request.param) as client:
        yield client


@pytest.fixture
async def sql(filled: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(filled.admin_url)
    yield connection
    await connection.close()


def listed(one: Elements, parent: str, arguments: str, fields: str) -> str:
    root = one.parent[0].lower() + one.parent[1:]
    return f'{{ {root}(id: "{one.parent}:{parent}") {{ list: {one.relation}({arguments}) {{ {fields} }} }} }}'


async def buffers(sql: asyncpg.Connection, client: Client, query: str) -> int:
    """The buffers that the statements of a query read, by EXPLAIN."""
    with recording(snapshots=True) as sent:
        await client.data(query)
    found = [(await explained(sql, one, options="ANALYZE, BUFFERS, TIMING OFF, "))["Plan"] for one in sent]
    return sum(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] for plan in found)


@pytest.mark.parametrize("one", RELATIONS, ids=lambda one: f"{one.parent}.{one.relation}")
async def test_pages_have_the_rows_that_sql_finds(client: Client, sql: asyncpg.Connection, one: Elements) -> None:
    """From either end, behind cursors among the newest rows, the oldest and those without a time."""
    for parent in (RARE, FREQUENT, UNKNOWN):
        element = "ARRAY[$1::text]" if one.parent == "Feature" else "ARRAY[$1::text::uuid]"
        contained = f"to_jsonb({element})" if one.column == "feature_names" else element
        rows = await sql.fetch(
            f"SELECT {one.key}::text FROM {one.table} WHERE {one.column} @> {contained} "
            f"ORDER BY {one.time} DESC NULLS LAST, {one.key} DESC",
            parent,
        )
        expected = [row[0] for row in rows]
        assert (len(expected) > ROWS // 3) if parent == FREQUENT else (60 < len(expected) < 90 or not expected)
        size = 1000 if parent == FREQUENT else 25
        for take, side, cursor, wanted in (
            ("first", "after", "endCursor", expected), ("last", "before", "startCursor", expected[::-1]),
        ):  # fmt: skip
            met: list[str] = []
            at = ""
            while True:
                fields = "nodes { id } pageInfo { startCursor endCursor hasNextPage hasPreviousPage }"
                data = await client.data(listed(one, parent, f"{take}: {size}{at}", fields))
                (row,) = data.values()
                page = row["list"]
                ids = [node["id"].split(":")[1] for node in page["nodes"]]
                met += ids if take == "first" else ids[::-1]
                if not page["pageInfo"]["hasNextPage" if take == "first" else "hasPreviousPage"]:
                    break
                at = f", {side}: {json.dumps(page['pageInfo'][cursor])}"
            assert met == wanted


@pytest.mark.parametrize("one", RELATIONS, ids=lambda one: f"{one.parent}.{one.relation}")
async def test_a_page_reads_little_of_a_table_that_is_read_in_no_order(
    client: Client, sql: asyncpg.Connection, one: Elements
) -> None:
    for parent in (RARE, FREQUENT, UNKNOWN):
        read = await buffers(sql, client, listed(one, parent, "first: 10", "nodes { id }"))
        assert read <= READ, parent


async def test_lineage_finds_neighbours_by_their_elements(client: Client, sql: asyncpg.Connection) -> None:
    with recording(snapshots=True) as sent:
        await client.data(
            f'{{ lineage(from: ["Model:{UNKNOWN}"], direction: BOTH, maxDepth: 1) {{ nodes {{ node {{ id }} }} }} }}'
        )
    nodes = [node for one in sent for node in await plan(sql, one, options="ANALYZE, TIMING OFF, ")]
    used = {node["Index Name"] for node in nodes if "Index Name" in node and node["Actual Loops"]}
    assert "ix_ml_monitoring_runs_model_ids_gin" in used

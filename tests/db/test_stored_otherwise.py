"""Columns that are domains, and UUIDs that are stored as text, answer and are written as those of our own types."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from db.attach.attach import check
from db.base.lifecycles import lifecycles_of
from db.migrations import setup
from db.store import current_state
from db.store.alerts import AlertsLook
from schema.catalogue.catalogue import Type
from schema.catalogue.from_models import catalogue
from schema.changes.mutations import mutations_of
from tests.changes.test_offered_changes import OFFERED, ROWS, given, tried
from tests.changes.test_offered_changes import TYPES as CHANGED
from tests.graph.test_every_table import TYPES, everything
from tests.graph.test_golden import QUERIES
from tests.support import rollups
from tests.support.changing import add, change
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connected
from tests.support.recording import record, write

pytestmark = pytest.mark.slow

ASKED = ("Experiment", "Model", "Feature", "Deployment", "ExpertReview", "ComposerEpisode")
"""Types whose columns have all kinds: keys, enums, numbers, times, dates, JSON, vectors, lists of texts and UUIDs."""

MOST = 40
"""Lists in one operation."""

FREED = """
    DO $$
    DECLARE one record;
    BEGIN
        FOR one IN SELECT format('DROP TRIGGER %I ON %s', t.tgname, t.tgrelid::regclass) AS statement
            FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
            JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE NOT t.tgisinternal AND n.nspname IN ('public', 'ml')
            UNION ALL
            SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname)
            FROM pg_constraint AS k JOIN pg_namespace AS n ON n.oid = k.connamespace
            WHERE k.contype IN ('f', 'c') AND k.conrelid <> 0 AND n.nspname IN ('public', 'ml')
            UNION ALL
            SELECT format('DROP VIEW IF EXISTS %I.%I CASCADE', n.nspname, c.relname)
            FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE c.relkind = 'v' AND n.nspname IN ('public', 'ml')
        LOOP EXECUTE one.statement; END LOOP;
    END $$;
"""
"""Takes away what keeps columns of the platform from having another type."""

COLUMNS = """
    SELECT c.oid::regclass AS name, a.attname, y.typtype AS kind, a.atthasdef AS filled,
        format_type(a.atttypid, a.atttypmod) AS type,
        a.attnum % 2 = 0 AS twice, format('domain_%s_%s', c.oid, a.attnum) AS domain
    FROM pg_attribute AS a
    JOIN pg_type AS y ON y.oid = a.atttypid
    JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname IN ('public', 'ml') AND a.attnum > 0 AND NOT a.attisdropped
"""

IN_DOMAINS = f"""
    {FREED}
    DO $$
    DECLARE one record; base text;
    BEGIN
        FOR one IN {COLUMNS} LOOP
            CONTINUE WHEN one.kind = 'e';
            base := one.type;
            IF one.twice THEN
                EXECUTE format('CREATE DOMAIN %I AS %s', one.domain || '_below', base);
                base := one.domain || '_below';
            END IF;
            EXECUTE format('CREATE DOMAIN %I AS %s', one.domain, base);
            BEGIN
                EXECUTE format('ALTER TABLE %s ALTER COLUMN %I TYPE %I', one.name, one.attname, one.domain);
            EXCEPTION WHEN feature_not_supported OR undefined_function OR datatype_mismatch
                OR invalid_table_definition OR invalid_column_definition THEN
            END;
        END LOOP;
    END $$
"""
"""Every column of the platform's but its enums in a domain, half of them in a domain over a domain; what a
generated column or the predicate of an index reads stays as it is."""

AS_TEXT = """
    {freed}
    DO $$
    DECLARE one record;
    BEGIN
        FOR one IN {columns} AND format_type(a.atttypid, a.atttypmod) IN ('uuid', 'uuid[]') AND {chosen} LOOP
            IF one.filled THEN
                EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', one.name, one.attname);
            END IF;
            EXECUTE format('ALTER TABLE %s ALTER COLUMN %I TYPE %s', one.name, one.attname,
                replace(one.type, 'uuid', 'text'));
            IF one.filled AND one.type = 'uuid' THEN
                EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT gen_random_uuid()::text',
                    one.name, one.attname);
            END IF;
        END LOOP;
    END $$
"""
"""UUIDs of the platform's as text, where ``chosen`` holds."""

TEXT_IDS = AS_TEXT.format(freed=FREED, columns=COLUMNS, chosen="true")

HALF_TEXT = AS_TEXT.format(freed=FREED, columns=COLUMNS, chosen="hashtext(c.relname || a.attname) & 1 = 1")
"""Half of the UUIDs: keys whose references are UUIDs, and the other way round."""

ENUMS_IN_DOMAINS = f"""
    DO $$
    DECLARE one record; filled text;
    BEGIN
        FOR one IN SELECT i.indexrelid::regclass AS name FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
            JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE n.nspname IN ('public', 'ml') AND i.indpred IS NOT NULL
                AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid)
        LOOP EXECUTE format('DROP INDEX %s', one.name); END LOOP;
        FOR one IN {COLUMNS} AND y.typtype = 'e' LOOP
            filled := (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef AS d
                JOIN pg_attribute AS a ON (a.attrelid, a.attnum) = (d.adrelid, d.adnum)
                WHERE a.attrelid = one.name AND a.attname = one.attname);
            EXECUTE format('CREATE DOMAIN %I AS %s', one.domain, one.type);
            EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', one.name, one.attname);
            EXECUTE format('ALTER TABLE %s ALTER COLUMN %I TYPE %I', one.name, one.attname, one.domain);
            IF filled IS NOT NULL THEN
                EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT %s', one.name, one.attname, filled);
            END IF;
        END LOOP;
    END $$
"""
"""Every enum of the platform's in a domain, which Postgres compares with no label."""

ENUMS = "enums alone in domains"
WORLDS = {
    "domains": f"{IN_DOMAINS}; {ENUMS_IN_DOMAINS}",
    ENUMS: f"{FREED}; {ENUMS_IN_DOMAINS}",
    "half text": HALF_TEXT,
    "text ids": TEXT_IDS,
}
HALF = pytest.param("half text", marks=pytest.mark.slow)
THOROUGH = pytest.mark.parametrize("worlds", ["domains", HALF], indirect=True)
"""Tests of everything are in two worlds, in which each kind of difference is."""
Worlds = tuple[Client, list[Client], Database]


@pytest.fixture(scope="module", params=["domains", HALF, "text ids"])
async def worlds(demo_template: Database, clone: Clone, request: pytest.FixtureRequest) -> AsyncIterator[Worlds]:
    """The demo data as it is, and both executors on the same data stored otherwise."""
    async with clone(demo_template) as plain, clone(demo_template) as copy, AsyncExitStack() as stack:
        for database, made in ((plain, FREED), (copy, WORLDS[request.param])):
            async with connected(database.admin_url) as sql:
                await sql.execute(made)
        there = await stack.enter_async_context(serving(plain.gateway_url))
        both = [
            await stack.enter_async_context(serving(copy.gateway_url, compiler=compiler)) for compiler in (True, False)
        ]
        yield there, both, copy


async def test_domains_are_no_difference_and_text_is_said(worlds: Worlds, request: pytest.FixtureRequest) -> None:
    written: list[str] = []
    await check(worlds[2].gateway_url, written.append)
    told = "".join(written)
    assert "domain_" not in told
    text = "ml_deployments.id is text, not uuid: it is compared as uuid"
    assert "answer with an error (" not in told
    assert (text in told) is (request.node.callspec.params["worlds"] == "text ids")


async def same(worlds: Worlds, query: str, variables: dict[str, Any] | None = None) -> Any:
    """What all three answer."""
    there, both, _ = worlds
    expected = await there.data(query, **(variables or {}))
    for one in both:
        assert await one.data(query, **(variables or {})) == expected
    return expected


QUICK = "Feature"
"""The type of these that is asked by `make test-quick` too."""


@pytest.mark.parametrize(
    "type_",
    [pytest.param(catalogue()[name], id=name, marks=() if name == QUICK else pytest.mark.slow) for name in ASKED],
)
async def test_columns_are_read_filtered_and_ordered(worlds: Worlds, type_: Type) -> None:
    of, fields = type_.plural, await inputs(worlds[0], type_)
    every = everything(type_, without=frozenset({"rowVersion"}))
    row = (await same(worlds, f"{{ {of}(first: 4) {{ totalCount nodes {{ {every} }} }} }}"))[of]["nodes"]
    found: dict[str, Any] = {}
    for node in row:
        found |= {name: value for name, value in node.items() if value is not None and name not in found}
    wheres = [
        f"{name}: {{ {operator}: {literal(found[name], kind)} }}"
        for name, kind in fields.items()
        if name in found and isinstance(found[name], str | int | float) and name not in {"id", "rowVersion"}
        for operator in (["eq", "ne"] if kind == "BooleanFilter" else ["eq", "in", "notIn"])
    ]
    for start in range(0, len(wheres), MOST):
        some = enumerate(wheres[start : start + MOST])
        asked = (f"w{n}: {of}(first: 2, where: {{ {where} }}) {{ totalCount nodes {{ id }} }}" for n, where in some)
        await same(worlds, f"{{ {' '.join(asked)} }}")
    page, names = "pageInfo { endCursor } nodes { id }", await orderable(worlds[0], type_)
    orders = {name: f"orderBy: [{{field: {name}}}]" for name in names}
    first = await same(
        worlds, f"{{ {' '.join(f'{n}: {of}(first: 2, {by}) {{ {page} }}' for n, by in orders.items())} }}"
    )
    after = {name: first[name]["pageInfo"]["endCursor"] for name in orders}
    then = (f'{name}: {of}(first: 2, {by}, after: "{after[name]}") {{ {page} }}' for name, by in orders.items())
    await same(worlds, f"{{ {' '.join(then)} }}")


async def inputs(client: Client, type_: Type) -> dict[str, str]:
    """The filters of a type's columns, by name."""
    data = await client.data(f'{{ __type(name: "{type_.name}Where") {{ inputFields {{ name type {{ name }} }} }} }}')
    return {one["name"]: one["type"]["name"] for one in data["__type"]["inputFields"] if one["type"]["name"]}


async def orderable(client: Client, type_: Type) -> list[str]:
    data = await client.data(f'{{ __type(name: "{type_.name}Field") {{ enumValues {{ name }} }} }}')
    return [one["name"] for one in data["__type"]["enumValues"]][:25]


def literal(value: Any, kind: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    enums = kind.removesuffix("Filter") not in {"String", "UUID", "DateTime", "Date", "ID", "JSON"}
    return str(value) if enums else '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


@THOROUGH
@pytest.mark.parametrize("type_", TYPES, ids=lambda type_: type_.name)
async def test_all_fields_relations_guards_and_states_are_read(worlds: Worlds, type_: Type) -> None:
    every = everything(type_, without=frozenset({"rowVersion"}))
    await same(worlds, f"{{ {type_.plural}(first: 8) {{ totalCount nodes {{ {every} }} }} }}")


@THOROUGH
@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
async def test_golden_queries(worlds: Worlds, path: Path) -> None:
    await same(worlds, path.read_text())


@THOROUGH
@pytest.mark.parametrize("name", CHANGED)
async def test_every_change_is_tried(worlds: Worlds, name: str) -> None:
    """A dry run of each offered change of a type, on a row of each state."""
    there, (client, _), _ = worlds
    type_ = catalogue()[name]
    offered = f"lifecycle {{ state {OFFERED} }}" if lifecycles_of(name) else OFFERED
    rows = (await same(worlds, f"{{ rows: {type_.plural}(first: {ROWS}) {{ nodes {{ id {offered} }} }} }}"))["rows"]
    own = {one.name: one for one, field in mutations_of(name) if field == "id" and one.subject == name}
    ways = {
        (way["mutation"], way["to"], bool(way["blockedBy"])): row["id"]
        for row in rows["nodes"]
        for way in row.get("lifecycle", row)["changes"]
        if way["mutation"] in own
    }
    for (mutation, to, _), id_ in ways.items():
        one = own[mutation]
        if one.guards is None or (one.states and to is None):
            continue  # its input decides
        input_ = {"id": id_, "reason": "a test", **given(one, to), **({"to": to} if one.states else {})}
        expected, found = [await tried(each, one, input_) for each in (there, client)]
        assert told(found) == told(expected), (mutation, to, found, expected)


def told(result: dict[str, Any]) -> Any:
    """The result of a dry run; of what it writes, which has ids and times of its own, the columns alone."""
    changed = [(one["type"], str(one["before"]), sorted(one["after"] or ())) for one in result.get("wouldChange", ())]
    return {**result, "wouldChange": sorted(changed)}


BOUND = """
    CREATE DOMAIN short AS varchar(5);
    CREATE DOMAIN needed AS short NOT NULL;
    CREATE DOMAIN share AS numeric(5,4) CHECK (VALUE <> 0.5);
    ALTER TABLE ml_feature_store ALTER COLUMN data_type TYPE short USING left(data_type, 5);
    ALTER TABLE ml_feature_store ALTER COLUMN entity_type DROP DEFAULT;
    ALTER TABLE ml_feature_store ALTER COLUMN entity_type TYPE needed USING left(entity_type, 5);
    ALTER TABLE ml_feature_store ALTER COLUMN global_importance TYPE share;
"""


@pytest.fixture
async def bound(database: Database) -> AsyncIterator[tuple[Client, asyncpg.Connection]]:
    async with connected(database.admin_url) as sql:
        await sql.execute(BOUND)
        async with serving(database.gateway_url) as client:
            yield client, sql


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, None),
        ({"entityType": "abcde", "globalImportance": 0.25}, None),
        ({"entityType": "abcdef"}, "entityType has 6 characters; at most 5 are kept"),
        ({"dataType": "abcdef"}, "dataType has 6 characters; at most 5 are kept"),
        ({"entityType": None}, "entityType needs a value in this database"),
        ({"globalImportance": 10}, "globalImportance is too large: the column has 1 digit before the point"),
        ({"globalImportance": 0.5}, "a check of the database does not allow"),
    ],
)
async def test_what_a_domain_demands_is_said_of_the_row(
    bound: tuple[Client, asyncpg.Connection], given: dict[str, Any], says: str | None
) -> None:
    client, sql = bound
    row = {"featureName": "one", "featureVersion": "1", "dataType": "float", "entityType": "hcp", **given}
    result = await write(client, "createFeature", **row)
    if says is None:
        assert result["__typename"] == "Recorded", result
        stored = await sql.fetchrow("SELECT * FROM ml_feature_store WHERE feature_name = 'one'")
        assert stored["entity_type"] == row["entityType"]
    else:
        assert result["__typename"] == "RowsRejected", result
        assert says in result["rows"][0]["message"]


async def test_a_number_that_a_narrower_column_cannot_hold(database: Database) -> None:
    async with connected(database.admin_url) as sql:
        await sql.execute("ALTER TABLE ml_hpo_trials ALTER COLUMN value TYPE numeric(4,2)")
        study = await add(sql, "ml_hpo_studies")
        trial = await add(sql, "ml_hpo_trials", study_id=study, state="RUNNING")
        async with serving(database.gateway_url) as client:
            result = await change(client, "moveTrial", id=str(trial), to="COMPLETE", value=100)
        assert (result["__typename"], result["field"]) == ("InvalidInput", "input")
        assert "the database cannot hold one of the values" in result["message"]
        assert await sql.fetchval("SELECT state FROM ml_hpo_trials WHERE id = $1", trial) == "RUNNING"


async def test_rows_are_changed_and_recorded(worlds: Worlds) -> None:
    _, (client, _), copy = worlds
    async with connected(copy.admin_url) as sql:
        key = await add(sql, "ml_model_registry", stage="staging")
        service = await sql.fetchval("SELECT id FROM ml_bentoml_services LIMIT 1")
    moved = await change(client, "promoteModel", id=f"Model:{key}", to="SHADOW")
    assert moved["node"]["stage"] == "SHADOW", moved
    rows = [{"service": {"id": f"BentoService:{service}"}, "requestsTotal": count} for count in (1, 2)]
    assert (await record(client, "recordServingMetrics", rows))["inserted"] == 2
    assert (await write(client, "updateModel", id=f"Model:{key}", algorithm="other"))["updated"] == 1


async def test_new_alerts_are_noticed(worlds: Worlds) -> None:
    async with connected(worlds[2].admin_url) as sql:
        look = AlertsLook()
        await look.step(sql)
        while look.unfinished:
            await look.step(sql)
        seen = "SELECT count(*) FROM ml_monitoring_alerts AS a JOIN gateway.alerts_seen AS s ON s.alert_id = a.id::uuid"
        assert await sql.fetchval(seen) == await sql.fetchval("SELECT count(*) FROM ml_monitoring_alerts")


@pytest.fixture
async def changed(demo_template: Database, clone: Clone, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """The demo data stored otherwise, for a test that makes something."""
    async with clone(demo_template) as copy:
        async with connected(copy.admin_url) as sql:
            await sql.execute(WORLDS[request.param])
        yield copy


@pytest.mark.parametrize("changed", WORLDS, indirect=True)
async def test_rollups_are_those_of_the_rows(changed: Database) -> None:
    """Keys and times of sums have the models' types, whatever the table has."""
    assert all("from now on" in told for told in await rollups.make(changed.owner_url))
    async with connected(changed.admin_url) as sql:
        await sql.execute("UPDATE ml_bentoml_serving_metrics SET requests_total = requests_total + 1 "
                          "WHERE id = (SELECT id FROM ml_bentoml_serving_metrics LIMIT 1)")  # fmt: skip
        service = await sql.fetchval("SELECT service_id::text FROM ml_bentoml_serving_metrics LIMIT 1")
    await rollups.sum_up(changed.gateway_url)
    by_service = "groupBy: [{ field: SERVICE_ID }]) { count requestsTotal { sum } group { serviceId } }"
    by_day = "groupBy: [{ field: RECORDED_AT, bucket: DAY }]) { count requestsTotal { sum } group { recordedAt } }"
    queries = (
        f"{{ servingMetrics {{ aggregate({by_service} }} }}",
        f'{{ servingMetrics(where: {{ serviceId: {{ eq: "{service}" }} }}) {{ aggregate({by_day} }} }}',
        "{ bentoServices { nodes { id metrics { aggregate { count requestsTotal { sum } } } } } }",
        "{ observabilitySpans { aggregate(groupBy: [{ field: AGENT_NAME }]) { count group { agentName } } } }",
    )
    async with serving(changed.gateway_url, rollups=True) as kept, serving(changed.gateway_url) as plain:
        for query in queries:
            found = await kept.ask(query)
            assert found.get("data") == await plain.data(query), (query, found)
            assert bool(found["extensions"].get("rollup")) is kept.compiles, query


@pytest.mark.parametrize("changed", ["text ids"], indirect=True)
async def test_a_unit_with_a_text_that_is_no_key_stays_marked(changed: Database) -> None:
    """The others are summed up, until it is corrected."""
    await rollups.make(changed.owner_url)
    async with connected(changed.admin_url) as sql:
        of_one = "UPDATE ml_bentoml_serving_metrics SET service_id = $1 WHERE id = $2"
        row = await sql.fetchrow("SELECT id, service_id FROM ml_bentoml_serving_metrics LIMIT 1")
        await sql.execute(of_one, "no uuid", row["id"])
        await rollups.sum_up(changed.gateway_url)
        failed = "SELECT count(*), max(error) FROM gateway.rollup_marks WHERE error IS NOT NULL"
        count, error = await sql.fetchrow(failed)
        assert (count, "no uuid" in error) == (1, True)
        assert await sql.fetchval("SELECT count(*) > 50 FROM gateway.rollup_ml_bentoml_serving_metrics")
        await sql.execute(of_one, row["service_id"], row["id"])
        await rollups.sum_up(changed.gateway_url)
        assert (await sql.fetchrow(failed))[0] == 0


@pytest.mark.parametrize("changed", WORLDS, indirect=True)
async def test_no_state_is_stored_of_models_without_uuids_or_enums(
    changed: Database, request: pytest.FixtureRequest
) -> None:
    """It is said why, and lists are answered as by the views."""
    async with setup.connect(changed.admin_url) as connection, connection.begin():
        (told,) = await current_state.make(connection)
    assert "no state is stored: " in told
    assert "the database refuses" not in told, told
    if request.node.callspec.params["changed"] == ENUMS:
        assert "compare enums, and these columns are in domains: ml_drift_history." in told
        assert "ml_monitoring_alerts.status (the domain domain_" in told
    else:
        assert "no uuid" in told
    query = "{ modelHealths(first: 50) { totalCount nodes { modelId healthStatus activeAlerts } } }"
    async with serving(changed.gateway_url, current_state=True) as kept, serving(changed.gateway_url) as plain:
        assert await kept.data(query) == await plain.data(query)


@pytest.fixture(scope="module")
async def no_uuids(demo_template: Database, clone: Clone) -> AsyncIterator[tuple[list[Client], str]]:
    """Both executors on text ids, where the newest deployment has no UUID of its model, and the oldest none itself."""
    async with clone(demo_template) as copy, AsyncExitStack() as stack:
        async with connected(copy.admin_url) as sql:
            await sql.execute(TEXT_IDS)
            newest = await sql.fetchval("SELECT id FROM ml_deployments ORDER BY created_at DESC NULLS LAST LIMIT 1")
            await sql.execute("UPDATE ml_deployments SET model_registry_id = 'no uuid' WHERE id = $1", newest)
            await sql.execute(
                "UPDATE ml_deployments SET id = 'nor this' WHERE id = (SELECT d.id FROM ml_deployments AS d "
                "JOIN ml_model_registry AS m ON m.id = d.model_registry_id ORDER BY d.created_at, d.id LIMIT 1)"
            )
        clients = [
            await stack.enter_async_context(serving(copy.gateway_url, compiler=compiler)) for compiler in (True, False)
        ]
        yield clients, f"Deployment:{newest}"


async def test_a_text_that_is_no_uuid_is_shown_and_equals_nothing(no_uuids: tuple[list[Client], str]) -> None:
    """Lists, relations either way, filters and orders of all other rows are answered as if it were null."""
    clients, newest = no_uuids
    own = "modelRegistryId model { id }"
    queries = {
        "page": f"{{ deployments(first: 3) {{ totalCount nodes {{ id {own} }} pageInfo {{ endCursor }} }} }}",
        "one": f'{{ deployment(id: "{newest}") {{ {own} }} }}',
        "below": "{ models(first: 100) { nodes { id deployments(first: 20) { totalCount nodes { id } } } } }",
        "where": f'{{ deployments(where: {{modelRegistryId: {{ne: "{uuid.UUID(int=1)}"}}}}) {{ totalCount }} }}',
        "through": "{ deployments(first: 100, where: {model: {stage: {isNull: false}}}) { totalCount nodes { id } } }",
        "ordered": "{ deployments(first: 99, orderBy: [{field: MODEL_REGISTRY_ID}]) { nodes { id modelRegistryId } } }",
        "groups": "{ deployments { aggregate(groupBy: [{field: MODEL_REGISTRY_ID}]) { count } } }",
        "lineage": f'{{ lineage(from: ["{newest}"], maxDepth: 1) {{ complete nodes {{ nodeId }} }} }}',
        "oldest": "{ deployments(last: 1) { nodes { id rowId model { id } } } }",
    }
    found = [{name: await client.data(query) for name, query in queries.items()} for client in clients]
    assert found[0] == found[1]
    told = found[0]
    count = told["page"]["deployments"]["totalCount"]
    assert told["page"]["deployments"]["nodes"][0] == {"id": newest, "modelRegistryId": "no uuid", "model": None}
    assert all(row["model"] for row in told["page"]["deployments"]["nodes"][1:])
    assert told["one"]["deployment"] == {"modelRegistryId": "no uuid", "model": None}
    below = [row["id"] for model in told["below"]["models"]["nodes"] for row in model["deployments"]["nodes"]]
    through = [row["id"] for row in told["through"]["deployments"]["nodes"]]
    assert sorted(below) == sorted(through)
    assert newest not in below
    assert len(below) == told["through"]["deployments"]["totalCount"] == count - 1
    assert told["where"]["deployments"]["totalCount"] == count
    ordered = told["ordered"]["deployments"]["nodes"]
    assert [row["modelRegistryId"] for row in ordered if row["id"] == newest] == ["no uuid"]
    assert len(ordered) == count
    assert sum(group["count"] for group in told["groups"]["deployments"]["aggregate"]) == count
    (oldest,) = told["oldest"]["deployments"]["nodes"]
    assert (oldest["id"], oldest["rowId"]) == ("Deployment:nor this", "nor this")
    assert oldest["id"] in below
    around = "query($of: [ID!]!) { lineage(from: $of, maxDepth: 2, maxNodes: 200) { complete nodes { nodeId } } }"
    walked = [await client.data(around, of=[oldest["model"]["id"]]) for client in clients]
    assert walked[0] == walked[1]
    ids = [node["nodeId"] for node in walked[0]["lineage"]["nodes"]]
    assert None not in ids
    assert len(ids) > 1

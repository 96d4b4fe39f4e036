"""The platform's tables in other schemas than ``public``: the gateway looks for them where `GATEWAY_SCHEMAS` says."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pydantic import ValidationError

from db.attach.attach import attach, check
from db.attach.detach import detach
from db.base.current_state import current_states
from db.engine.url import database_url, with_schemas
from db.migrations import setup
from db.store import current_state
from db.store.grants import role_sql
from gateway.doctor.examine import examine
from gateway.doctor.findings import as_sql
from gateway.settings import Settings
from schema.catalogue.from_models import catalogue
from schema.execution.explain import explain
from tests.support.changing import change
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connected, execute
from tests.support.plans import recording
from tests.support.rollups import make, sum_up

pytestmark = [pytest.mark.slow, pytest.mark.migrated("its tables are moved to other schemas")]

SCHEMAS = ("registry", "ml")
MOVE = """
    CREATE SCHEMA registry;
    ALTER SCHEMA registry OWNER TO e2i_owner;
    GRANT USAGE ON SCHEMA registry, ml TO PUBLIC;
    DO $$
    DECLARE what record;
    BEGIN
        FOR what IN
            SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind, c.oid::regclass AS name,
                CASE WHEN c.relname LIKE 'ml_%' THEN 'registry' ELSE 'ml' END AS target
            FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v')
                AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')
        LOOP
            EXECUTE format('ALTER %s %s SET SCHEMA %I', what.kind, what.name, what.target);
        END LOOP;
        FOR what IN SELECT t.oid::regtype AS name FROM pg_type AS t
            WHERE t.typnamespace = 'public'::regnamespace AND t.typtype = 'e' LOOP
            EXECUTE format('ALTER TYPE %s SET SCHEMA registry', what.name);
        END LOOP;
        FOR what IN SELECT p.oid::regprocedure AS name FROM pg_proc AS p
            WHERE p.pronamespace = 'public'::regnamespace
                AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e') LOOP
            EXECUTE format('ALTER FUNCTION %s SET search_path = registry, ml, public, pg_temp', what.name);
            EXECUTE format('ALTER FUNCTION %s SET SCHEMA ml', what.name);
        END LOOP;
    END $$;
"""


def there(url: str) -> str:
    """A URL with the schemas."""
    return with_schemas(database_url(url), SCHEMAS).render_as_string(hide_password=False)


@pytest.fixture(scope="module")
async def moved(demo_template: Database, clone: Clone) -> AsyncIterator[Database]:
    """The demo with its tables in two schemas, for tests that read."""
    async with clone(demo_template) as copy:
        await execute(copy.admin_url, MOVE)
        yield copy


@pytest.fixture(scope="module")
async def client(moved: Database) -> AsyncIterator[Client]:
    async with serving(there(moved.gateway_url)) as client:
        yield client


@pytest.fixture
async def written(demo_template: Database, clone: Clone) -> AsyncIterator[Database]:
    async with clone(demo_template) as copy:
        await execute(copy.admin_url, MOVE)
        yield copy


async def test_nothing_differs_but_the_place(moved: Database, demo_database: Database) -> None:
    found, in_public = await attach(there(moved.owner_url)), await attach(demo_database.owner_url)
    assert {note.message for note in found.notes} == {note.message for note in in_public.notes}
    assert not found.missing_tables
    elsewhere = await check(moved.owner_url, lambda _: None)
    assert elsewhere == 1  # all tables are missing in public


LISTS = [
    f"{{ {type_.plural}(first: 5) {{ totalCount nodes {{ __typename "
    f"{' '.join(name for name, leaf in type_.columns.items() if name != 'rowVersion')} }} }} }}"
    for type_ in catalogue()
    if not any(one.argument.required for one in type_.arguments.values())
]


@pytest.mark.slow
async def test_every_list_has_the_rows_that_it_has_in_public(client: Client, demo: Client) -> None:
    for query in LISTS:
        assert await client.data(query) == await demo.data(query), query


@pytest.mark.parametrize(
    "query",
    [
        "{ models(first: 3) { nodes { health { healthStatus } driftStatus { nodes { severity } } isChampion } } }",
        '{ search(text: "churn", first: 9) { hits { score node { id } } } }',
        "{ models(first: 5, where: { deployments: { some: { status: { eq: ACTIVE } } } }) { nodes { id } } }",
        "{ servingMetrics { aggregate(groupBy: [{ field: SERVICE_ID }]) { count p99LatencyMs { p95 } } } }",
        '{ modelHealths(first: 5, where: { healthStatus: { eq: "critical" } }) { totalCount nodes { modelId } } }',
        "{ discoveredDags(first: 3) { nodes { id } } }",
    ],
)
async def test_what_is_computed_is_the_same(client: Client, demo: Client, query: str) -> None:
    assert (await client.ask(query)).get("data") == (await demo.ask(query)).get("data") is not None


async def test_lineage_is_walked(client: Client, demo: Client) -> None:
    model = (await demo.data("{ models(first: 1) { nodes { id } } }"))["models"]["nodes"][0]["id"]
    query = f'{{ lineage(from: ["{model}"], maxDepth: 3, direction: BOTH) {{ nodes {{ node {{ id }} }} }} }}'
    assert (await client.ask(query)).get("data") == (await demo.ask(query)).get("data")


async def test_changes_and_recordings_are_written_where_the_tables_are(written: Database) -> None:
    async with serving(there(written.gateway_url)) as client, connected(written.admin_url) as sql:
        alert = await sql.fetchval("SELECT id::text FROM registry.ml_monitoring_alerts WHERE status = 'active' LIMIT 1")
        found = await change(client, "acknowledgeAlert", id=f"MonitoringAlert:{alert}")
        assert found["__typename"] == "TransitionApplied", found
        status = await sql.fetchval("SELECT status::text FROM registry.ml_monitoring_alerts WHERE id = $1", alert)
        assert status == "acknowledged"
        service = await sql.fetchval("SELECT id::text FROM registry.ml_bentoml_services LIMIT 1")
        row = f'{{ service: {{ id: "{service}" }}, requestsTotal: 7919 }}'
        await client.data(f"mutation {{ recordServingMetrics(input: {{ rows: [{row}] }}) {{ __typename }} }}")
        kept = "SELECT count(*) FROM registry.ml_bentoml_serving_metrics WHERE requests_total = 7919"
        assert await sql.fetchval(kept) == 1
        events = "{ lifecycleEvents(first: 1) { nodes { mutation } } }"
        assert (await client.data(events))["lifecycleEvents"]["nodes"] == [{"mutation": "acknowledgeAlert"}]


async def test_of_two_tables_of_a_name_the_first_schemas_is_read(written: Database) -> None:
    await execute(
        written.admin_url,
        "CREATE TABLE ml.ml_experiments (id uuid, experiment_name integer)",
        "CREATE TABLE public.ml_experiments AS SELECT * FROM registry.ml_experiments LIMIT 1",
        "GRANT SELECT ON ml.ml_experiments, public.ml_experiments TO PUBLIC",
    )
    found = await attach(there(written.owner_url), explain)
    assert not found.missing_columns
    async with serving(there(written.gateway_url)) as client, connected(written.admin_url) as sql:
        data = await client.data("{ experiments(first: 1) { totalCount nodes { experimentName } } }")
        count = await sql.fetchval("SELECT count(*) FROM registry.ml_experiments")
        assert data["experiments"]["totalCount"] == count > 1


@pytest.mark.slow
async def test_the_doctors_indexes_are_made_there_and_removed(platform_template: Database, clone: Clone) -> None:
    async with clone(platform_template) as copy:
        await execute(copy.admin_url, MOVE)
        url, settings = there(copy.admin_url), Settings(auth="token", schemas=",".join(SCHEMAS))
        await attach(url, explain)
        found = await examine(settings, database_url(url))
        assert [one.level for one in found if one.check == "database.session"] == ["ok"]
        script = as_sql(found, SCHEMAS)
        assert script.startswith("SET search_path = registry, ml, extensions, public;\n")
        async with connected(copy.admin_url) as sql:
            for statement in filter(None, script.split(";\n")):
                if statement.startswith(("SET", "CREATE INDEX")):
                    await sql.execute(statement)
            made = "SELECT count(*) FROM pg_indexes WHERE schemaname = 'registry' AND indexname LIKE 'e2i_gateway_%'"
            assert await sql.fetchval(made) > 5
            assert len((await detach(url, confirmed=True)).indexes) == script.count("CREATE INDEX")
            assert await sql.fetchval(made) == 0


async def test_the_role_to_serve_with_reads_those_schemas(written: Database) -> None:
    async with connected(written.owner_url) as sql:
        await sql.execute("REVOKE ALL ON ALL TABLES IN SCHEMA registry, ml FROM e2i_gateway")
    await execute(written.owner_url, role_sql("e2i_gateway", SCHEMAS))
    async with serving(there(written.gateway_url)) as client:
        assert (await client.data("{ experiments { totalCount } }"))["experiments"]["totalCount"] > 0


async def test_policies_that_empty_a_table_are_told(written: Database) -> None:
    await execute(written.admin_url, "ALTER TABLE registry.ml_experiments ENABLE ROW LEVEL SECURITY")
    found = await examine(Settings(auth="token", schemas=",".join(SCHEMAS)), database_url(there(written.gateway_url)))
    assert any("ml_experiments" in one.message and one.level != "ok" for one in found)


@pytest.mark.slow
async def test_rollups_are_kept_in_another_schema(written: Database) -> None:
    assert all("from now on" in told for told in await make(there(written.admin_url)))
    await sum_up(there(written.gateway_url))
    query = "{ servingMetrics { aggregate(groupBy: [{ field: SERVICE_ID }]) { count group { serviceId } } } }"
    url = there(written.gateway_url)
    async with serving(url, rollups=True) as kept, serving(url) as plain:
        found = await kept.ask(query)
        assert found["extensions"].get("rollup") is (True if kept.compiles else None)
        assert found["data"] == await plain.data(query)


async def test_current_state_is_stored_of_another_schema(written: Database) -> None:
    url = there(written.gateway_url)
    async with setup.connect(there(written.admin_url)) as connection, connection.begin():
        (told,) = await current_state.make(connection)
    assert "from now on" in told

    async def refreshed() -> None:
        async with setup.connect(url) as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")
            for state in current_states():
                async with connection.begin():
                    made = await current_state.step(connection, state, 10_000)
                assert made is not None

    query = "{ modelHealths(first: 50) { totalCount nodes { modelId healthStatus activeAlerts } } }"
    async with connected(written.admin_url) as sql, serving(url) as plain:
        await refreshed()
        assert await sql.fetchval("SELECT state FROM gateway.current_states") == "ready"
        async with serving(url, current_state=True) as kept:
            for write in (
                "UPDATE registry.ml_monitoring_alerts SET status = 'active'",
                "DELETE FROM registry.ml_performance_metrics",
            ):
                for _ in range(2):  # with models marked, and without
                    with recording() as sent:
                        assert await kept.data(query) == await plain.data(query)
                    assert any("gateway.current_ml_" in one.text for one in sent)
                    await refreshed()
                    assert await sql.fetchval("SELECT count(*) FROM gateway.state_marks") == 0
                await sql.execute(write)
                assert await sql.fetchval("SELECT count(*) FROM gateway.state_marks") > 0
            assert await kept.data(query) == await plain.data(query)


@pytest.mark.parametrize("names", ["", "ml,", "ml,ml", "gateway", 'a"b', "public,extensions"])
def test_names_that_are_none(names: str) -> None:
    with pytest.raises(ValidationError, match="schemas="):
        Settings(schemas=names)


async def test_own_tables_are_built_in_public_alone(moved: Database) -> None:
    with pytest.raises(setup.SetupError, match="GATEWAY_SCHEMAS"):
        await setup.migrate(there(moved.owner_url))

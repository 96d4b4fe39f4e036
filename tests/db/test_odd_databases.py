"""Every command about the database says in words what it met, whatever the database is like: never with a traceback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from db.attach.attach import attach, check
from db.engine.errors import DatabaseUnavailableError
from db.engine.url import database_url
from db.migrations.setup import SetupError
from gateway.doctor.examine import examine
from gateway.doctor.findings import as_sql, as_text
from gateway.settings import Settings
from schema.execution.explain import explain
from tests.support.changing import add, change
from tests.support.client import serving
from tests.support.databases import Clone, Database, connected, execute

pytestmark = pytest.mark.slow

READ_ONLY = """
    DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$
"""
ODD: dict[str, list[str]] = {
    "no schema ml": ["DROP SCHEMA ml CASCADE"],
    "no schema public": ["DROP SCHEMA public CASCADE"],
    "no schema gateway": ["DROP SCHEMA gateway CASCADE"],
    "no schema of ours at all": ["DROP SCHEMA ml CASCADE", "DROP SCHEMA gateway CASCADE", "DROP SCHEMA public CASCADE"],
    "no rights on a schema": ["REVOKE ALL ON SCHEMA ml FROM PUBLIC, e2i_gateway"],
    "no rights on any schema": ["REVOKE ALL ON SCHEMA ml, public, gateway FROM PUBLIC, e2i_gateway"],
    "read-only": [READ_ONLY],
    "no pgvector": ["DROP EXTENSION vector CASCADE"],
    "a table that is a view": [
        "ALTER TABLE ml_deployments RENAME TO away", "CREATE VIEW ml_deployments AS SELECT * FROM away"],
    "a table that is a materialized view": [
        "ALTER TABLE ml_deployments RENAME TO away", "CREATE MATERIALIZED VIEW ml_deployments AS SELECT * FROM away"],
    "a table that is partitioned": [
        "ALTER TABLE ml_deployments RENAME TO away",
        "CREATE TABLE ml_deployments (LIKE away) PARTITION BY RANGE (created_at)"],
    "a table that is foreign": [
        "ALTER TABLE ml_deployments RENAME TO away",
        "CREATE FOREIGN DATA WRAPPER nowhere", "CREATE SERVER elsewhere FOREIGN DATA WRAPPER nowhere",
        "CREATE FOREIGN TABLE ml_deployments (id uuid, status text) SERVER elsewhere"],
    "columns of wholly other types": [
        "ALTER TABLE ml_deployments ALTER COLUMN latency_p50_ms TYPE jsonb USING '{}'",
        "ALTER TABLE ml_deployments ALTER COLUMN created_at DROP DEFAULT",
        "ALTER TABLE ml_deployments ALTER COLUMN created_at TYPE jsonb USING NULL",
        "ALTER TABLE composer_episodes DROP COLUMN query_embedding CASCADE",
        "ALTER TABLE composer_episodes ADD COLUMN query_embedding text"],
    "an enum that is text": [
        "ALTER TABLE ml_hpo_trials ALTER COLUMN state DROP DEFAULT",
        'ALTER TYPE alert_status_enum RENAME TO "Odd name"'],
    "names with capitals": ['ALTER TABLE ml_deployments RENAME TO "ML_Deployments"'],
}  # fmt: skip


@pytest.fixture
async def odd(template: Database, clone: Clone) -> AsyncIterator[Database]:
    async with clone(template) as copy:
        yield copy


@pytest.mark.parametrize("kind", ODD)
async def test_no_command_ends_with_a_traceback(odd: Database, kind: str) -> None:
    """What a command raises beside these is a traceback; what it finds, it says."""
    await execute(odd.admin_url, *ODD[kind])
    for url in (odd.gateway_url, odd.owner_url):
        written: list[str] = []
        with suppress(SetupError, DatabaseUnavailableError):
            await check(url, written.append, explain)
            assert written
        with suppress(SetupError, DatabaseUnavailableError):
            await attach(url, explain)
        found = await examine(Settings(auth="token"), database_url(url))
        assert found
        assert as_text(found)
        assert as_sql(found) is not None


FAILING = """
    ALTER TABLE ml_feature_store RENAME TO features_away;
    CREATE MATERIALIZED VIEW ml_feature_store AS SELECT * FROM features_away WITH NO DATA;
    ALTER TABLE ml_training_runs RENAME TO runs_away;
    CREATE FUNCTION refuse() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$;
    CREATE VIEW ml_training_runs AS SELECT * FROM runs_away WHERE refuse();
    ALTER TABLE ml_bentoml_services RENAME TO services_away;
    CREATE VIEW ml_bentoml_services AS SELECT * FROM services_away UNION ALL SELECT * FROM services_away;
    ALTER TABLE ml_hpo_studies ENABLE ROW LEVEL SECURITY;
    CREATE POLICY itself ON ml_hpo_studies USING (EXISTS (SELECT FROM ml_hpo_studies));
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO e2i_gateway;
"""
FOUND = {
    "features": "MISSING_IN_DATABASE",
    "trainingRuns": "UNREPRESENTABLE_VALUE",
    "hpoStudies": "MISSING_IN_DATABASE",
}


@pytest.mark.parametrize("compiler", [True, False])
async def test_what_fails_in_the_database_costs_its_fields_alone(
    demo_template: Database,
    clone: Clone,
    compiler: bool,  # noqa: FBT001
) -> None:
    """A materialized view without rows, a view that raises, keys that are not unique, a policy that leads to itself."""
    lists = " ".join(f"{plural}(first: 2) {{ nodes {{ id }} }}" for plural in [*FOUND, "models"])
    drift = "{ servingMetrics(first: 2) { nodes { id driftHistory { totalCount nodes { id } } } } }"
    async with clone(demo_template) as copy:
        await execute(copy.admin_url, FAILING)
        async with serving(copy.gateway_url, compiler=compiler) as client:
            answer = await client.ask(f"{{ {lists} }}")
            assert {error["path"][0]: error["extensions"]["code"] for error in answer["errors"]} == FOUND
            assert len(answer["data"]["models"]["nodes"]) == 2
            twice = await client.ask(drift)
            assert {error["extensions"]["code"] for error in twice.get("errors", ())} <= {"UNREPRESENTABLE_VALUE"}
            assert len(twice["data"]["servingMetrics"]["nodes"]) == 2


async def test_changes_of_rows_with_nulls_where_there_should_be_none(database: Database) -> None:
    """A guard whose message would name what is null says what it is about; a parent that is missing is not touched."""
    async with connected(database.admin_url) as sql, serving(database.gateway_url) as client:
        for column in ("model_id", "simulation_status", "simulated_ate"):
            await sql.execute(f"ALTER TABLE twin_simulations ALTER COLUMN {column} DROP NOT NULL")
        key = await add(sql, "twin_simulations")
        asked = {"id": f"TwinSimulation:{key}", "actualAte": 0.25, "reason": "measured"}
        await sql.execute("UPDATE twin_simulations SET model_id = NULL, simulation_status = NULL, simulated_ate = NULL")
        (blocker,) = (await change(client, "recordActualEffect", **asked))["blockers"]
        assert blocker["message"] == "The simulation must be completed with a predicted effect."
        await sql.execute("UPDATE twin_simulations SET simulation_status = 'completed', simulated_ate = 0.2")
        assert [node["id"] for node in (await change(client, "recordActualEffect", **asked))["alsoChanged"]] != []

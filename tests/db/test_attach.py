"""Attaching to a database that the platform made: it is left as it was, and what is different is said in words."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from db.attach.attach import Differences, Severity, attach, check, inspect
from db.embedded.server import GATEWAY_ROLE
from db.engine.engine import create_engine
from db.engine.url import database_url
from db.migrations.revise import differences as unmigrated
from db.migrations.setup import connect as connect_owner
from db.migrations.setup import platform_tables
from schema.catalogue.from_models import catalogue
from schema.execution.explain import explain
from tests.support.databases import (
    MISSING_COLUMN,
    MISSING_VIEW,
    UNKNOWN_COLUMN,
    UNKNOWN_LABEL,
    Clone,
    Database,
    Server,
    connect,
    empty_database,
    execute,
)
from tests.support.many_rows import fill

pytestmark = pytest.mark.slow

# Everything that a definition could hide in, with its rights and its comment.
SNAPSHOT = {
    name: f"SELECT to_jsonb(x)::text FROM {name} AS x"
    for name in (
        "pg_class", "pg_attribute", "pg_attrdef", "pg_constraint", "pg_index", "pg_trigger", "pg_proc", "pg_type",
        "pg_enum", "pg_namespace", "pg_rewrite", "pg_policy", "pg_description", "pg_extension", "pg_default_acl",
        "pg_event_trigger",
    )
}  # fmt: skip


@pytest.fixture
async def platform(platform_template: Database, clone: Clone) -> AsyncIterator[Database]:
    async with clone(platform_template) as copy:
        yield copy


async def snapshot(database: Database) -> dict[str, set[str]]:
    connection = await connect(database.admin_url)
    # Statistics and the age of rows change by themselves.
    moving = " - 'relpages' - 'reltuples' - 'relallvisible' - 'relallfrozen' - 'relfrozenxid' - 'relminmxid'"
    taken = {
        name: {row[0] for row in await connection.fetch(sql.replace("to_jsonb(x)", f"(to_jsonb(x){moving})"))}
        for name, sql in SNAPSHOT.items()
    }
    await connection.close()
    return taken


async def inspect_as(url: str) -> Differences:
    engine = create_engine(database_url(url), read_only=True)
    try:
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="READ COMMITTED")
            async with connection.begin():
                return await inspect(connection, explain)
    finally:
        await engine.dispose()


def of(found: Differences, kind: str) -> dict[str, str]:
    return {note.object: note.message for note in found.notes if note.kind == kind}


async def test_our_own_database_has_no_difference(database: Database) -> None:
    for url in (database.owner_url, database.gateway_url):
        assert await inspect_as(url) == Differences()
    assert await attach(database.owner_url) == Differences()


ALTERED = {
    "DROP TABLE ml_shap_analyses CASCADE": ("add_table", "missing table", "ml_shap_analyses"),
    "CREATE TABLE surplus (id int)": ("remove_table", "unknown table", "surplus"),
    "ALTER TABLE ml_experiments DROP brand CASCADE": ("add_column", "missing column", "ml_experiments.brand"),
    "ALTER TABLE ml_experiments ADD surplus text": ("remove_column", "unknown column", "ml_experiments.surplus"),
    "ALTER TABLE ml_hpo_studies ALTER error_message TYPE varchar(9)": (
        "modify_type", "other type", "ml_hpo_studies.error_message",
    ),
    "ALTER TABLE ml_hpo_trials ALTER trial_number DROP NOT NULL": (
        "modify_nullable", "other nullability", "ml_hpo_trials.trial_number",
    ),
    "ALTER TABLE ml_experiments DROP CONSTRAINT valid_auc": (
        "add_constraint", "missing constraint", "ml_experiments (valid_auc)",
    ),
    "ALTER TABLE ml_cohort_definitions DROP CONSTRAINT uq_ml_cohort_definitions_brand_indication_version": (
        "add_constraint", "missing constraint", "ml_cohort_definitions (brand, indication, version)",
    ),
    "ALTER TABLE ab_srm_checks DROP CONSTRAINT fk_ab_srm_checks_experiment_id": (
        "add_fk", "missing constraint", "ab_srm_checks (experiment_id)",
    ),
    "DROP INDEX ix_composer_episodes_query_embedding_hnsw": (
        "add_index", "missing index", "composer_episodes (query_embedding)",
    ),
    "DROP TYPE improvement_priority": ("add_enum", "missing enum", "improvement_priority"),
}  # fmt: skip
"""Changes of a database: what the missing migration does, what attaching calls the difference, and where it is."""


async def test_both_comparers_find_what_both_look_at(database: Database) -> None:
    """One writes migrations, the other tells consequences: decision 0018."""
    await execute(database.owner_url, *ALTERED)
    missing = "\n".join(await unmigrated(database.owner_url))
    told = {(note.kind, note.object) for note in (await inspect_as(database.owner_url)).notes}
    for migration, kind, place in ALTERED.values():
        assert f"'{migration}'" in missing
        assert (kind, place) in told


async def test_attaching_changes_nothing_but_makes_its_schema(platform: Database) -> None:
    before = await snapshot(platform)
    await attach(platform.admin_url)
    after = await snapshot(platform)
    assert {name: before[name] - after[name] for name in SNAPSHOT} == {name: set() for name in SNAPSHOT}
    schemas = after["pg_namespace"] - before["pg_namespace"]
    assert len(schemas) == 1
    assert '"nspname": "gateway"' in next(iter(schemas))
    await attach(platform.admin_url)
    assert await snapshot(platform) == after
    await execute(platform.admin_url, "DROP SCHEMA gateway CASCADE")
    assert await snapshot(platform) == before, "everything that was added is in that schema"


OWN = """
    SELECT 'column', a.attrelid::regclass::text || '.' || a.attname,
        concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
            col_description(a.attrelid, a.attnum))
    FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind = 'r'
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'gateway'::regnamespace AND a.attnum > 0 AND c.relname = ANY ($1)
    UNION ALL
    SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid)
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
    WHERE c.relnamespace = 'gateway'::regnamespace AND c.relname = ANY ($1)
    UNION ALL
    SELECT 'trigger', tgname, pg_get_triggerdef(t.oid) || t.tgenabled::text
    FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid WHERE c.relnamespace = 'gateway'::regnamespace
        AND NOT t.tgisinternal
    UNION ALL
    SELECT 'function', p.proname, pg_get_functiondef(p.oid) || obj_description(p.oid)
    FROM pg_proc AS p WHERE p.pronamespace = 'gateway'::regnamespace
    UNION ALL
    SELECT 'right', table_name, privilege_type
    FROM information_schema.role_table_grants
    WHERE table_schema = 'gateway' AND grantee = 'e2i_gateway' AND table_name = ANY ($1)
"""


async def test_attaching_makes_what_the_migrations_make(platform: Database, database: Database) -> None:
    await attach(platform.admin_url)
    found = []
    for one in (platform, database):
        connection = await connect(one.admin_url)
        rows = await connection.fetch(OWN, ["lifecycle_events", "idempotency_keys"])
        found.append({tuple(row) for row in rows})
        await connection.close()
    assert found[0] == found[1]
    assert {row[2] for row in found[0] if row[:2] == ("right", "lifecycle_events")} == {"SELECT", "INSERT"}


async def test_inspecting_changes_nothing_at_all(platform: Database) -> None:
    before = await snapshot(platform)
    await inspect_as(platform.admin_url)
    assert await snapshot(platform) == before


async def test_what_is_missing_is_named_for_the_catalogue(platform_database: Database) -> None:
    found = await inspect_as(platform_database.gateway_url)
    assert found.missing_tables == {"gateway.lifecycle_events"}, "a view is worked out from its tables"
    assert found.missing_columns == {MISSING_COLUMN}
    assert found.breaks


async def test_each_surprise_is_told_in_words(platform_database: Database) -> None:
    found = await inspect_as(platform_database.gateway_url)
    assert of(found, "missing column") == {
        "ml_deployments.production_metrics": "the column ml_deployments.production_metrics is missing: "
        "Deployment.productionMetrics answers with an error"
    }
    assert of(found, "missing view") == {
        MISSING_VIEW: f"there is no view {MISSING_VIEW}: the graph answers by a definition of its own"
    }
    assert of(found, "unknown label")[".".join(UNKNOWN_LABEL)] == (
        "the enum alert_status_enum has a label that the graph does not know, snoozed: where a row has it, "
        "MonitoringAlert.status answers with an error"
    )
    columns = next(iter(of(found, "unknown column")))
    assert f"{UNKNOWN_COLUMN[0]}.{UNKNOWN_COLUMN[1]}" in columns.split(", ")
    assert "the gateway's own schema is missing" in of(found, "missing schema")["gateway"]
    indexes = of(found, "missing index")
    assert "the whole table is read for TrainingRun.mlflowModels" in indexes["ml_model_registry (mlflow_run_id)"]
    assert "is sorted for a page of trainingRuns" in indexes["ml_training_runs (started_at)"]
    assert {note.kind for note in found.of(Severity.BREAKS)} == {
        "missing column", "unknown label", "missing schema",
    }  # fmt: skip


async def test_the_planner_says_which_indexes_serve(platform: Database) -> None:
    """Whatever they are called: one that begins with a column less serves, and one of other nulls; one of few rows,
    or with the column behind another, does not."""
    found = of(await inspect_as(platform.gateway_url), "missing index")
    served = {
        "ml_observability_spans (trace_id, parent_span_id)", "ml_observability_spans (agent_name, agent_tier)",
        "ml_hpo_studies (id, best_trial_number)", "ml_data_quality_reports (table_name, data_split)",
        "twin_simulations (experiment_design_id)",  # partial: of those that have one
        "ml_bentoml_serving_metrics (recorded_at)", "ml_bentoml_serving_metrics (service_id, recorded_at)",
        "ml_monitoring_alerts (created_at)", "ab_interim_analyses (performed_at)",
    }  # fmt: skip
    assert served & found.keys() == set()
    assert "finds rows by cohort_id" in found["ml_patient_cohort_assignments (cohort_id)"]
    assert "the live feed looks for alerts" in found["ml_monitoring_alerts (updated_at)"]
    assert "filtered by status and severity" in found["ml_monitoring_alerts (status, severity)"], "those are partial"
    await execute(
        platform.admin_url,
        "CREATE INDEX ON ml_training_runs (started_at) WHERE is_best_trial",
        "DROP INDEX idx_bentoml_metrics_service_time",
        "CREATE INDEX idx_bentoml_metrics_service_time ON ml_bentoml_serving_metrics (service_id)",
    )
    found = of(await inspect_as(platform.gateway_url), "missing index")
    assert "is sorted for a page of trainingRuns" in found["ml_training_runs (started_at)"]
    sorted_ = found["ml_bentoml_serving_metrics (service_id, recorded_at)"]
    assert "all rows of one service_id, about 1, are sorted for a page of BentoService.metrics" in sorted_


async def test_many_rows_that_are_sorted_for_a_page_cost(platform: Database) -> None:
    what = "ml_drift_history (model_id, created_at)"
    notes = {note.object: note for note in (await inspect_as(platform.gateway_url)).notes}
    assert notes[what].severity is Severity.INFORMS
    connection = await connect(platform.admin_url)
    await fill(connection, 60_000, [catalogue()["DriftRecord"]])
    await connection.close()
    notes = {note.object: note for note in (await inspect_as(platform.gateway_url)).notes}
    assert notes[what].severity is Severity.COSTS
    assert "all rows of one model_id, about 1,200, are sorted for a page of Model.driftHistory" in notes[what].message
    await execute(platform.admin_url, notes[what].remedy)
    notes = {note.object: note for note in (await inspect_as(platform.gateway_url)).notes}
    assert what not in notes


async def test_the_text_has_the_gravest_first_and_what_would_help_last(platform_database: Database) -> None:
    lines = (await inspect_as(platform_database.gateway_url)).text().splitlines()
    headings = [line for line in lines if line and not line.startswith(" ")]
    assert [heading.split(" (")[0] for heading in headings] == [
        "Fields that answer with an error", "What costs speed or certainty", "Only to know",
        "The owner of the tables may run:",
    ]  # fmt: skip
    assert max(map(len, lines)) < 400


CHANGES: list[tuple[str, Severity, str, str, str]] = [
    ("DROP TABLE ml.feature_rankings", Severity.BREAKS, "missing table", "ml.feature_rankings",
     "is missing: featureRanking, featureRankings, DriverRanking.featureRankings and Feature.rankings"),
    ("ALTER TABLE ml_deployments DROP COLUMN model_registry_id CASCADE", Severity.BREAKS, "missing column",
     "ml_deployments.model_registry_id", "Deployment.modelRegistryId, Deployment.model"),
    ("ALTER TABLE ml_deployments ALTER COLUMN latency_p50_ms TYPE text", Severity.BREAKS, "other type",
     "ml_deployments.latency_p50_ms", "is text, not integer: Deployment.latencyP50Ms answers with an error"),
    ("ALTER TABLE ml_deployments ALTER COLUMN latency_p50_ms TYPE bigint", Severity.INFORMS, "other type",
     "ml_deployments.latency_p50_ms", "is bigint, not integer: Deployment.latencyP50Ms shows what is there"),
    ("ALTER TABLE composer_episodes ALTER COLUMN query_embedding TYPE vector(3)", Severity.BREAKS, "other type",
     "composer_episodes.query_embedding", "is vector(3), not vector(1536)"),
    ("ALTER TABLE ml_experiments ALTER COLUMN experiment_name DROP NOT NULL", Severity.INFORMS, "other nullability",
     "ml_experiments.experiment_name", "allows null"),
    ("ALTER TYPE alert_status_enum RENAME VALUE 'dismissed' TO 'dropped'", Severity.INFORMS, "missing label",
     "alert_status_enum",
     "lacks dismissed: no row has it, MonitoringAlert.status never equals it, and no change leads to it"),
    ("ALTER TYPE agent_name_enum ADD VALUE 'newcomer'", Severity.INFORMS, "unknown label",
     "agent_name_enum.newcomer", "newcomer: it is shown as text"),
    ("DROP TYPE improvement_priority", Severity.INFORMS, "missing enum", "improvement_priority",
     "no column of ours has it"),
    ("DROP INDEX ix_ml_deployments_model_registry_id_created_at", Severity.COSTS, "missing index",
     "ml_deployments (model_registry_id)", "the whole table is read for Model.deployments"),
    ("DROP INDEX ix_composer_episodes_query_embedding_hnsw", Severity.COSTS, "missing index",
     "composer_episodes (query_embedding)", "no hnsw index"),
    ("DROP INDEX uq_optimized_instructions_active", Severity.COSTS, "missing constraint",
     "optimized_instructions (agent_name, predictor_name)", "unique where is_active"),
    ("ALTER TABLE ml_model_registry DROP CONSTRAINT uq_ml_model_registry_model_name_model_version", Severity.COSTS,
     "missing constraint", "ml_model_registry (model_name, model_version)", "there may be several"),
    ("ALTER TABLE ml_deployments DROP CONSTRAINT fk_ml_deployments_model_registry_id", Severity.INFORMS,
     "missing constraint", "ml_deployments (model_registry_id)", "is no foreign key to ml_model_registry"),
    ("ALTER TABLE ml_experiments DROP CONSTRAINT valid_auc", Severity.INFORMS, "missing constraint",
     "ml_experiments (valid_auc)", "is missing, or has another name"),
    ("ALTER TABLE ml_model_registry DISABLE TRIGGER USER", Severity.COSTS, "missing trigger", "ml_model_registry",
     "the database does not keep at most one champion per experiment"),
    ("DROP FUNCTION can_use_estimate", Severity.INFORMS, "missing function", "can_use_estimate",
     "the graph answers by a definition of its own"),
    ("REVOKE SELECT ON ml_model_registry FROM e2i_gateway", Severity.BREAKS, "not readable", "ml_model_registry",
     "e2i_gateway may not read ml_model_registry: model, models"),
    ("DROP TABLE gateway.lifecycle_events", Severity.BREAKS, "missing own table", "gateway.lifecycle_events",
     "changes are refused, histories answer with an error, and nothing can be subscribed to; run `e2i-gateway db"),
    ("DROP TABLE gateway.service_tokens", Severity.INFORMS, "missing own table", "gateway.service_tokens",
     "there are no service tokens; run `e2i-gateway db migrate`"),
    ("DROP TABLE gateway.trusted_documents", Severity.INFORMS, "missing own table", "gateway.trusted_documents",
     "there are no trusted documents in the database; run `e2i-gateway db migrate`"),
    ("REVOKE ALL ON gateway.idempotency_keys FROM e2i_gateway", Severity.BREAKS, "not readable",
     "gateway.idempotency_keys", "e2i_gateway may not use gateway.idempotency_keys: changes are refused"),
    ("CREATE TABLE of_somebody_else (id int)", Severity.INFORMS, "unknown table", "of_somebody_else",
     "1 unknown table that the graph does not show"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "severity", "kind", "what", "words"), CHANGES, ids=[c[0] for c in CHANGES])
async def test_one_change_is_one_difference(
    database: Database, change: str, severity: Severity, kind: str, what: str, words: str
) -> None:
    if "query_embedding TYPE" in change:
        await execute(database.owner_url, "DROP INDEX ix_composer_episodes_query_embedding_hnsw")
    if "latency_p50" in change:  # views that read it stand in the way of another type
        await execute(database.owner_url, "DROP VIEW IF EXISTS ml_model_health_dashboard CASCADE")
    await execute(database.owner_url, change)
    found = await inspect_as(database.gateway_url)
    note = next(note for note in found.notes if (note.kind, note.object) == (kind, what))
    assert note.severity is severity
    assert words in note.message
    assert note.message in found.text()


async def test_a_remedy_helps(database: Database) -> None:
    await execute(
        database.owner_url,
        "DROP INDEX ix_ml_deployments_model_registry_id_created_at, ix_ml_deployments_created_at",
        "DROP INDEX ix_composer_episodes_query_embedding_hnsw, ix_ml_training_runs_feature_names",
        "REVOKE SELECT ON ml_experiments FROM e2i_gateway",
        "DROP SCHEMA gateway CASCADE",
    )
    found = await inspect_as(database.gateway_url)
    assert len(found.notes) == 6
    await execute(database.admin_url, *(note.remedy for note in found.notes))
    (lacking,) = (await inspect_as(database.gateway_url)).notes
    assert lacking.kind == "missing own table"
    assert lacking.object.split(", ") == [
        *(f"gateway.{name}" for name in (
            "lifecycle_events", "idempotency_keys", "recordings", "live_log", "alerts_seen", "rollups", "rollup_marks",
            "rollup_ml_observability_spans", "rollup_ml_bentoml_serving_metrics",
        ))
    ]  # fmt: skip
    assert await attach(database.gateway_url) == Differences(), "the schema is the role's own now"
    assert await inspect_as(database.gateway_url) == Differences()


async def test_a_role_that_may_only_read_is_enough(platform: Database, server: Server) -> None:
    await execute(platform.admin_url, "DROP ROLE IF EXISTS e2i_test_reader", "CREATE ROLE e2i_test_reader")
    try:
        await execute(platform.admin_url, "GRANT SELECT ON ALL TABLES IN SCHEMA public, ml TO e2i_test_reader",
                      "GRANT USAGE ON SCHEMA public, ml, extensions TO e2i_test_reader")  # fmt: skip
        expected = {(note.kind, note.object) for note in (await inspect_as(platform.gateway_url)).notes}
        before = await snapshot(platform)
        async with connect_owner(platform.admin_url) as connection, connection.begin():
            await connection.execute(text("SET LOCAL ROLE e2i_test_reader"))
            found = await inspect(connection, explain)
        assert {(note.kind, note.object) for note in found.notes} == expected
        assert await snapshot(platform) == before
    finally:
        await execute(platform.admin_url, "DROP OWNED BY e2i_test_reader", "DROP ROLE e2i_test_reader")


async def test_a_role_that_may_not_make_a_schema_is_told_so(platform: Database) -> None:
    before = await snapshot(platform)
    found = await attach(platform.gateway_url)
    assert await snapshot(platform) == before
    note = next(note for note in found.notes if note.kind == "missing schema")
    assert note.remedy == f"CREATE SCHEMA gateway AUTHORIZATION {GATEWAY_ROLE}"


async def test_a_role_without_rights_sees_that_it_may_read_nothing(database: Database) -> None:
    await execute(database.owner_url, f"REVOKE USAGE ON SCHEMA ml FROM {GATEWAY_ROLE}")
    found = await inspect_as(database.gateway_url)
    assert set(of(found, "not readable")) == {name for name in platform_tables() if name.startswith("ml.")}


async def test_pgvector_in_extensions_is_no_difference_but_where_it_is_not_found_is(database: Database) -> None:
    await execute(
        database.admin_url,
        "CREATE SCHEMA extensions",
        f"GRANT USAGE ON SCHEMA extensions TO {GATEWAY_ROLE}",
        "ALTER EXTENSION vector SET SCHEMA extensions",
    )
    assert await inspect_as(database.gateway_url) == Differences()
    await execute(database.admin_url, "ALTER EXTENSION vector SET SCHEMA gateway")
    found = await inspect_as(database.gateway_url)
    assert "vector of the schema gateway, where e2i_gateway does not find it" in found.text()
    assert len(of(found, "pgvector not found")) == len(found.notes) == 2


async def test_an_empty_database_is_one_difference(server: Server) -> None:
    async with empty_database(server) as database:
        found = await inspect_as(database.admin_url)
    assert [note.kind for note in found.notes] == ["empty database"]
    assert found.missing_tables == {*platform_tables(), "gateway.lifecycle_events"}
    assert "e2i-gateway db migrate" in found.text()


async def test_check_prints_and_its_status_says_whether_fields_break(
    database: Database, platform_database: Database
) -> None:
    written: list[Any] = []
    assert await check(database.owner_url, written.append) == 0
    assert written == ["The database has everything that the graph needs.\n"]
    await execute(database.owner_url, "DROP INDEX ix_ml_deployments_created_at")
    assert await check(database.owner_url, written.append) == 0
    assert await check(platform_database.gateway_url, written.append) == 1
    assert written[-1].startswith("Fields that answer with an error (3):")

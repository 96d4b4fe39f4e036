"""The demo data: complete, the same in every run, consistent in itself, and telling the stories that it promises."""

from __future__ import annotations

import asyncio
import hashlib
import io
import re
from collections.abc import AsyncIterator, Coroutine, Generator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from random import Random
from typing import Any

import asyncpg
import pytest

from db import demo
from db.base.vocabulary import Entity, Labels, Relation, entities, is_own, relations, table_of
from db.demo.load import CAST, CHUNK
from db.demo.progress import ProgressBar
from db.demo.rows import RowBuffer, Writer
from db.demo.world import SIZES
from db.migrations import setup
from db.models.g04_tool_composer import ComposerEpisode
from tests.support import platform_db
from tests.support.databases import DEMO_NOW, Clone, Database, connect

TABLES = {name: entity for name, entity in entities().items() if not entity.__is_view__}
RELATIONS = [
    (name, field, relation) for name, entity in TABLES.items() for field, relation in relations(entity).items()
]
# Columns that no row of the demo fills, and why.
NEVER_FILLED = {
    ("tool_registry", "deprecated_at"): "all default tools are in use",
}
# Labels that no column has, and why.
NEVER_USED: set[tuple[str, str]] = set()


async def load(database: Database, **options: Any) -> dict[str, int]:
    async with setup.connect(database.owner_url) as connection, connection.begin():
        return await demo.load(connection, **({"size": "small"} | options))


@pytest.fixture(scope="module")
async def current(template: Database, clone: Clone) -> AsyncIterator[asyncpg.Connection]:
    """A connection to demo data that lead up to this hour."""
    async with clone(template) as copy:
        await load(copy)
        connection = await connect(copy.admin_url)
        yield connection
        await connection.close()


async def one(connection: asyncpg.Connection, sql: str, *values: Any) -> Any:
    found = await connection.fetchrow(sql, *values)
    assert found is not None, sql
    return found


async def none_of(connection: asyncpg.Connection, sql: str) -> None:
    """No row contradicts."""
    found = await connection.fetch(f"{sql} LIMIT 3")
    assert not found, [dict(row) for row in found]


def test_every_table_has_an_entity() -> None:
    assert {table_of(entity).fullname for entity in TABLES.values() if not is_own(table_of(entity))} == set(
        platform_db.tables()
    )
    assert [name for name, entity in TABLES.items() if is_own(table_of(entity))] == ["LifecycleEvent"]


async def test_every_table_is_filled_and_counted(database: Database) -> None:
    counts = await load(database)
    connection = await connect(database.admin_url)
    try:
        for entity in TABLES.values():
            table = table_of(entity).fullname
            assert counts[table] == await connection.fetchval(f"SELECT count(*) FROM {table}") > 0, table
    finally:
        await connection.close()
    assert sum(counts.values()) < 50_000


async def checksums(database: Database) -> dict[str, str]:
    """Of each table its rows as text, but for the tools, which the migrations made."""
    connection = await connect(database.admin_url)
    try:
        found = {}
        for entity in TABLES.values():
            table = table_of(entity)
            if table.name in {"tool_registry", "tool_dependencies"}:
                continue
            key = ", ".join(column.name for column in table.primary_key)
            rows = await connection.fetch(f"SELECT t::text FROM {table.fullname} AS t ORDER BY {key}")
            found[table.fullname] = hashlib.sha256("\n".join(row[0] for row in rows).encode()).hexdigest()
        return found
    finally:
        await connection.close()


@pytest.mark.slow
async def test_same_seed_same_rows(demo_database: Database, database: Database) -> None:
    # A load that is undone leaves no trace in the next one.
    async with setup.connect(database.owner_url) as connection, connection.begin() as transaction:
        await demo.load(connection, size="small", seed=5, now=DEMO_NOW)
        await transaction.rollback()
    await load(database, seed=1, now=DEMO_NOW)
    assert await checksums(database) == await checksums(demo_database)


class Stopped:
    """Awaits something, and has its task cancelled when it waits for the time ``at``."""

    def __init__(self, work: Coroutine[Any, Any, None], at: int) -> None:
        self._work = work
        self._at = at
        self.waits = 0

    def __await__(self) -> Generator[Any, None, None]:
        steps = self._work.__await__()
        go_on = partial(next, steps)
        while True:
            try:
                waited = go_on()
            except StopIteration:
                return
            self.waits += 1
            if self.waits == self._at and (task := asyncio.current_task()):
                task.cancel()
            try:
                yield waited
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is for those that are awaited
                go_on = partial(steps.throw, error)
            else:
                go_on = partial(next, steps)


async def test_a_load_that_is_cancelled_ends_wherever_it_waits(database: Database) -> None:
    """Rows with vectors are long: the driver would send them in parts, and wait for an answer between two of them."""

    async def stopped(at: int) -> bool:
        rows = RowBuffer(Random(at))
        for number in range(60):
            rows.add(
                ComposerEpisode,
                composition_id=f"c{number}", query_text="q", query_embedding=[0.123456] * 1536, total_latency_ms=1.0,
                status="COMPLETED", created_at=datetime.now(UTC),
            )  # fmt: skip
        connection = await connect(database.admin_url)
        try:
            await connection.execute("BEGIN")
            work = Stopped(Writer(connection, set(), "public.vector", None, 60).flush(rows), at)

            async def run() -> None:
                await work

            task = asyncio.create_task(run())
            ended, _ = await asyncio.wait({task}, timeout=30)
            assert ended, f"cancelled when it waited for the {at}. time, it never ended"
            assert task.cancelled() == (work.waits >= at)
            return not task.cancelled()
        finally:
            connection.terminate()

    waits = 0
    for at in count(1):
        waits = at
        if await stopped(at):
            break
    assert waits > 3


@pytest.mark.slow
async def test_another_seed_other_rows(demo_database: Database, database: Database) -> None:
    await load(database, seed=2, now=DEMO_NOW)
    other = await checksums(database)
    same = {table for table, digest in (await checksums(demo_database)).items() if other[table] == digest}
    # Nothing in these is left to chance.
    assert same <= {"ml_cohort_comparisons", "ml_cohort_definitions", "ml_cohort_eligibility_log"}


async def test_rows_are_refused_and_left_alone(database: Database) -> None:
    connection = await connect(database.admin_url)
    try:
        await connection.execute(
            "INSERT INTO ml_experiments (experiment_name, prediction_target) VALUES ('mine', 'trx')"
        )
        with pytest.raises(demo.DemoError, match=r"empty tables only.*public\.ml_experiments"):
            await load(database)
        assert await connection.fetchval("SELECT array_agg(experiment_name) FROM ml_experiments") == ["mine"]
    finally:
        await connection.close()


async def test_a_tool_of_ones_own_is_refused(database: Database) -> None:
    connection = await connect(database.admin_url)
    try:
        await connection.execute(
            "INSERT INTO tool_registry (name, description, category, source_agent) "
            "VALUES ('mine', 'Mine.', 'CAUSAL', 'causal_impact')"
        )
    finally:
        await connection.close()
    with pytest.raises(demo.DemoError, match=r"tool_registry \(mine\)"):
        await load(database)


@pytest.mark.slow
async def test_twice_is_refused(database: Database) -> None:
    await load(database)
    before = await checksums(database)
    with pytest.raises(demo.DemoError):
        await load(database)
    assert await checksums(database) == before


async def test_without_tools_or_tables_it_says_so(database: Database) -> None:
    connection = await connect(database.admin_url)
    try:
        await connection.execute("DELETE FROM tool_dependencies")
        await connection.execute("DELETE FROM tool_registry WHERE name = 'risk_scorer'")
        with pytest.raises(demo.DemoError, match="risk_scorer"):
            await load(database)
        await connection.execute("DROP TABLE ml_cohort_comparisons")
        with pytest.raises(demo.DemoError, match="run the migrations"):
            await load(database)
    finally:
        await connection.close()


async def test_now_needs_a_time_zone(database: Database) -> None:
    with pytest.raises(ValueError, match="time zone"):
        await load(database, now=DEMO_NOW.replace(tzinfo=None))


@pytest.mark.slow
async def test_the_connections_own_transaction(database: Database) -> None:
    """Without a transaction of the caller's the load commits by itself."""
    async with setup.connect(database.owner_url) as connection:
        await demo.load(connection, size="small")
    connection = await connect(database.admin_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM ml_experiments") == 12
        disabled = "SELECT tgname FROM pg_trigger WHERE tgenabled NOT IN ('O', 'A')"
        assert not await connection.fetch(disabled)
    finally:
        await connection.close()


@pytest.mark.slow
async def test_progress_only_grows_and_ends(database: Database) -> None:
    told: list[tuple[str, int, int]] = []
    counts = await load(database, progress=lambda *step: told.append(step))
    done = [step[1] for step in told]
    assert done == sorted(done)
    assert all(step[1] <= step[2] for step in told)
    assert told[-1] == ("", told[-1][1], told[-1][1])
    assert told[-1][1] == sum(counts.values()) - counts["tool_registry"] - counts["tool_dependencies"]
    assert 0.8 < told[0][2] / told[-1][1] < 1.25, "the expectation is far off"


def test_a_bar_is_for_terminals() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    silent, drawn = io.StringIO(), Terminal()
    for stream in (silent, drawn):
        bar = ProgressBar(stream)
        bar("ml_experiments", 1, 4)
        bar("", 4, 4)
    assert silent.getvalue() == ""
    assert "25%" in drawn.getvalue()
    assert drawn.getvalue().endswith("\n")
    assert all(len(line) < 120 for line in re.split(r"[\r\n]", drawn.getvalue()))


async def test_every_column_is_filled_somewhere(current: asyncpg.Connection) -> None:
    empty = set()
    for entity in TABLES.values():
        table = table_of(entity)
        counts = ", ".join(f"count({column.name}) AS {column.name}" for column in table.columns)
        row = await one(current, f"SELECT {counts} FROM {table.fullname}")
        empty |= {(table.fullname, name) for name, count in row.items() if count == 0}
    assert empty == set(NEVER_FILLED)


async def test_every_enum_label_is_used(current: asyncpg.Connection) -> None:
    used: dict[type[Labels], set[str]] = {}
    for entity in TABLES.values():
        for column in table_of(entity).columns:
            labels = getattr(column.type, "enum_class", None)
            if labels is None:
                continue
            found = await current.fetch(f"SELECT DISTINCT {column.name}::text FROM {table_of(entity).fullname}")
            used.setdefault(labels, set()).update(row[0] for row in found)
    missing = {
        (labels.__name__, member.value)
        for labels, seen in used.items()
        for member in labels
        if member.value not in seen
    }
    assert missing == NEVER_USED


@pytest.mark.parametrize(
    ("name", "field", "relation"), RELATIONS, ids=lambda value: value if isinstance(value, str) else ""
)
async def test_every_relation_relates_rows(
    current: asyncpg.Connection, name: str, field: str, relation: Relation
) -> None:
    target: type[Entity] = entities()[relation.target]
    this, that = table_of(TABLES[name]).fullname, table_of(target).fullname
    join = " AND ".join(f"this.{ours} = that.{theirs}" for ours, theirs in relation.on.items())
    join = join or (relation.sql or "").replace("{this}", "this").replace("{that}", "that")
    assert await current.fetchval(f"SELECT EXISTS (SELECT FROM {this} AS this JOIN {that} AS that ON {join})")


@pytest.mark.parametrize(
    ("table", "column", "target", "key"),
    [
        ("ml_monitoring_alerts", "retraining_job_id", "ml_retraining_history", "id"),
        ("twin_simulations", "experiment_design_id", "ml_experiments", "id"),
        ("twin_fidelity_tracking", "actual_experiment_id", "ml_experiments", "id"),
        ("expert_reviews", "supersedes_review_id", "expert_reviews", "review_id"),
        ("roi_calculations", "experiment_id", "ml_experiments", "id"),
        ("tool_performance", "composition_id", "composer_episodes", "composition_id"),
        ("ml_training_runs", "optuna_study_name", "ml_hpo_studies", "study_name"),
    ],
)
async def test_soft_links_lead_somewhere(
    current: asyncpg.Connection, table: str, column: str, target: str, key: str
) -> None:
    await none_of(
        current,
        f"SELECT this.* FROM {table} AS this WHERE this.{column} IS NOT NULL "
        f"AND NOT EXISTS (SELECT FROM {target} AS that WHERE that.{key} = this.{column})",
    )


CONTRADICTIONS = {
    "requests and latencies": """ml_bentoml_serving_metrics
        WHERE successful_requests + failed_requests <> requests_total
        OR NOT (p50_latency_ms <= avg_latency_ms AND avg_latency_ms <= p95_latency_ms)
        OR NOT (p95_latency_ms <= p99_latency_ms AND p99_latency_ms <= max_latency_ms)
        OR abs(error_rate - 100.0 * failed_requests / requests_total) > 0.001 OR memory_percent > 100""",
    "errors by type": """ml_bentoml_serving_metrics WHERE failed_requests <>
        coalesce((error_types ->> 'timeout')::int, 0) + coalesce((error_types ->> 'validation_error')::int, 0)""",
    "metrics outside of service": """ml_bentoml_serving_metrics AS m JOIN ml_bentoml_services AS s ON s.id = service_id
        WHERE m.recorded_at < s.started_at OR m.recorded_at > s.stopped_at""",
    "deployments": """ml_deployments WHERE error_rate > 1 OR latency_p50_ms > latency_p95_ms
        OR latency_p95_ms > latency_p99_ms OR created_at > deployed_at OR deployed_at > deactivated_at
        OR (status = 'rolled_back') <> (rollback_reason IS NOT NULL AND rolled_back_at IS NOT NULL)""",
    "deployed before registered": """ml_deployments AS d JOIN ml_model_registry AS m ON m.id = d.model_registry_id
        WHERE d.created_at < m.registered_at""",
    "models": """ml_model_registry AS m JOIN ml_experiments AS e ON e.id = m.experiment_id
        WHERE m.trained_at > m.registered_at OR m.promoted_at < m.registered_at OR m.registered_at < e.created_at
        OR m.is_champion <> (m.stage = 'production')""",
    "training runs": """ml_training_runs WHERE completed_at < started_at
        OR (status = 'running') <> (completed_at IS NULL)""",
    "spans within their parents": """ml_observability_spans AS s JOIN ml_observability_spans AS p
        ON p.trace_id = s.trace_id AND p.span_id = s.parent_span_id
        WHERE s.started_at < p.started_at OR s.ended_at > p.ended_at""",
    "spans": "ml_observability_spans WHERE ended_at < started_at OR total_tokens <> input_tokens + output_tokens",
    "data quality": """ml_data_quality_reports WHERE expectations_passed + expectations_failed <> expectations_evaluated
        OR expectations_failed <> jsonb_array_length(failed_expectations)""",
    "alerts": """ml_monitoring_alerts WHERE acknowledged_at < created_at OR resolved_at < acknowledged_at
        OR (status IN ('resolved', 'dismissed')) <> (resolved_at IS NOT NULL)
        OR (status = 'active') <> (acknowledged_at IS NULL)""",
    "drift without its alert": """ml_drift_history AS d WHERE (d.severity >= 'medium') <> EXISTS
        (SELECT FROM ml_monitoring_alerts AS a WHERE a.drift_history_id = d.id AND a.created_at = d.created_at)""",
    "performance": "ml_performance_metrics WHERE abs(metric_value - baseline_value - delta) > 0.00001",
    "monitoring runs": """ml_monitoring_runs WHERE alerts_generated <> critical_count + high_count + medium_count
        OR drift_detected_count <> critical_count + high_count + medium_count + low_count""",
    "retrainings": """ml_retraining_history WHERE completed_at < triggered_at
        OR abs(new_metric_value - old_metric_value - improvement) > 0.0001""",
    "roi sums": """roi_calculations AS c WHERE NOT ci_lower <= ci_median OR NOT ci_median <= ci_upper
        OR abs(attributed_value - incremental_value * attribution_rate) > 0.01 OR incremental_value <>
        (SELECT sum(total_value) FROM roi_value_driver_details AS d WHERE d.calculation_id = c.calculation_id)
        OR implementation_cost <>
        (SELECT sum(total_cost) FROM roi_cost_details AS d WHERE d.calculation_id = c.calculation_id)""",
    "value drivers": "roi_value_driver_details WHERE quantity * unit_value <> total_value",
    "studies": """ml_hpo_studies AS s WHERE status = 'completed' AND (n_trials <> n_completed + n_pruned + n_failed
        OR n_trials <> (SELECT count(*) FROM ml_hpo_trials AS t WHERE t.study_id = s.id)
        OR best_value <> (SELECT max(value) FROM ml_hpo_trials AS t WHERE t.study_id = s.id))""",
    "funnels": """(SELECT *, lag(remaining_count) OVER (PARTITION BY execution_id ORDER BY criterion_order) AS before
        FROM ml_cohort_eligibility_log) AS l WHERE before - removed_count <> remaining_count""",
    "executions": """ml_cohort_executions AS e WHERE status <> 'failed'
        AND (input_row_count <> eligible_row_count + excluded_row_count OR excluded_row_count <>
        (SELECT sum(removed_count) FROM ml_cohort_eligibility_log AS l WHERE l.execution_id = e.execution_id)
        OR execution_time_ms <>
        validate_config_ms + apply_criteria_ms + validate_temporal_ms + generate_metadata_ms)""",
    "edges": """ml.discovered_dags AS d
        WHERE n_edges <> (SELECT count(*) FROM ml.discovered_edges AS e WHERE e.dag_id = d.id)""",
    "votes": "ml.discovered_edges WHERE algorithm_votes <> cardinality(algorithms)",
    "observations": """prompt_ab_tests AS t WHERE (baseline_requests, treatment_requests) <>
        (SELECT count(*) FILTER (WHERE variant IN ('baseline', 'control')),
        count(*) FILTER (WHERE variant IN ('gepa', 'gepa_v2'))
        FROM prompt_ab_test_observations AS o WHERE o.test_id = t.test_id)""",
    "latencies of compositions": """composer_episodes WHERE 0.11 < abs(total_latency_ms
        - coalesce(decompose_latency_ms, 0) - coalesce(plan_latency_ms, 0)
        - coalesce(execute_latency_ms, 0) - coalesce(synthesize_latency_ms, 0))""",
    "steps": "composition_steps AS s, unnest(depends_on_steps) AS n WHERE n >= step_number",
    "interim analyses": "ab_interim_analyses WHERE effect_estimate NOT BETWEEN effect_ci_lower AND effect_ci_upper",
    "assigned units": """ab_experiment_results AS r WHERE analysis_method = 'itt' AND control_n + treatment_n <>
        (SELECT count(*) FROM ab_experiment_assignments AS a WHERE a.experiment_id = r.experiment_id)""",
    "enrollments": """ab_experiment_enrollments AS e JOIN ab_experiment_assignments AS a ON a.id = assignment_id
        WHERE e.enrolled_at < a.assigned_at OR e.consent_timestamp > e.enrolled_at
        OR (enrollment_status = 'withdrawn') <> (withdrawal_timestamp IS NOT NULL)""",
    "staleness": """ml_feast_feature_freshness
        WHERE extract(epoch FROM recorded_at - last_materialization_time) <> staleness_seconds""",
    "refutations after their review": """expert_reviews AS r JOIN causal_validations AS v
        ON v.validation_id = ANY (r.related_validation_ids) WHERE v.created_at > r.created_at""",
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
async def test_rows_do_not_contradict(current: asyncpg.Connection, name: str) -> None:
    await none_of(current, f"SELECT * FROM {CONTRADICTIONS[name]}")


@pytest.mark.slow
async def test_a_large_load_goes_on_like_a_small_one(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    few = replace(SIZES["large"], experiments=CAST + CHUNK + 1, metrics=12, traces=3, trial_units=10, queries=2)
    monkeypatch.setitem(SIZES, "large", few)
    counts = await load(database, size="large")
    assert counts["ml_experiments"] == CAST + CHUNK + 1 + 6
    connection = await connect(database.admin_url)
    try:
        for name, contradiction in CONTRADICTIONS.items():
            assert not await connection.fetch(f"SELECT * FROM {contradiction} LIMIT 3"), name
        assert await connection.fetchval(
            "SELECT count(*) FROM ml_experiments WHERE experiment_name IN ('Remibrutinib CSU adoption', "
            "'Kisqali NRx propensity', 'Fabhalta PNH switch', 'Fabhalta C3G patient finding', "
            "'Remibrutinib email cadence', 'Kisqali rep visit effect')"
        ) == 6  # fmt: skip
    finally:
        await connection.close()


async def test_nothing_happens_after_now(demo_database: Database) -> None:
    connection = await connect(demo_database.admin_url)
    try:
        for entity in TABLES.values():
            table = table_of(entity)
            if table.name in {"tool_registry", "tool_dependencies"}:
                continue
            for column in table.columns:
                if "TIMESTAMP" not in str(column.type):
                    continue
                latest = await connection.fetchval(
                    f"SELECT max({column.name} AT TIME ZONE 'UTC') FROM {table.fullname}"
                )
                latest = latest.replace(tzinfo=None) if latest else None
                assert latest is None or latest <= DEMO_NOW.replace(tzinfo=None), (table.name, column.name, latest)
    finally:
        await connection.close()


async def test_views_of_today_have_content(current: asyncpg.Connection) -> None:
    assert await current.fetchval("SELECT count(*) FROM v_agent_latency_summary") == 21
    for view in ("v_champion_models", "v_latest_data_quality", "ml_drift_status_latest", "ml_drift_trend_7d"):
        assert await current.fetchval(f"SELECT count(*) FROM {view}") > 3, view
    assert await current.fetchval("SELECT count(*) FROM ml_active_alerts_summary") > 0
    verdicts = await current.fetch("SELECT DISTINCT health_status FROM ml_model_health_dashboard")
    assert {"healthy", "warning"} <= {row[0] for row in verdicts}


async def test_a_champion_came_all_the_way(current: asyncpg.Connection) -> None:
    path = await current.fetch(
        "SELECT d.environment, d.shadow_metrics, d.status, s.health_status FROM ml_deployments AS d "
        "JOIN ml_model_registry AS m ON m.id = d.model_registry_id JOIN ml_experiments AS e ON e.id = m.experiment_id "
        "JOIN ml_bentoml_services AS s ON s.deployment_id = d.id "
        "WHERE e.experiment_name = 'Remibrutinib CSU adoption' AND m.is_champion ORDER BY d.deployed_at"
    )
    assert [row["environment"] for row in path] == ["development", "staging", "staging", "production"]
    for key in ("duration_hours", "requests", "error_rate", "latency_p99_ms"):
        assert key in path[2]["shadow_metrics"]
    assert (path[-1]["status"], path[-1]["health_status"]) == ("active", "healthy")


async def test_a_drift_led_to_a_new_version(current: asyncpg.Connection) -> None:
    told = await one(
        current,
        "SELECT d.feature_name, a.status, a.resolution_action, a.retraining_job_id = r.id AS linked, n.is_champion, "
        "n.model_version, p.previous_deployment_id IS NOT NULL AS replaced "
        "FROM ml_retraining_history AS r JOIN ml_monitoring_alerts AS a ON a.id = r.alert_id "
        "JOIN ml_drift_history AS d ON d.id = a.drift_history_id JOIN ml_model_registry AS o ON o.id = r.model_id "
        "JOIN ml_model_registry AS n ON n.model_name = o.model_name AND n.model_version = r.new_model_version "
        "JOIN ml_deployments AS p ON p.id = r.deployment_id AND p.model_registry_id = n.id",
    )
    assert dict(told) == {
        "feature_name": "payer_mix_commercial_share", "status": "resolved", "resolution_action": "retrained",
        "linked": True, "is_champion": True, "model_version": "1.4.0", "replaced": True,
    }  # fmt: skip


async def test_a_chain_of_four_was_rolled_back_once(current: asyncpg.Connection) -> None:
    chain = await current.fetch(
        "WITH RECURSIVE chain AS (SELECT d.*, 1 AS place FROM ml_deployments AS d "
        "WHERE deployment_name = 'fabhalta-pnh-switch-model-1.1.0-rollback' "
        "UNION ALL SELECT d.*, place + 1 FROM chain JOIN ml_deployments AS d ON d.id = chain.previous_deployment_id) "
        "SELECT status, rollback_reason, model_registry_id FROM chain ORDER BY place"
    )
    assert [row["status"] for row in chain] == ["active", "rolled_back", "draining", "draining"]
    assert chain[1]["rollback_reason"]
    assert chain[0]["model_registry_id"] == chain[2]["model_registry_id"]


async def test_twins_get_every_grade(current: asyncpg.Connection) -> None:
    grades = await current.fetch("SELECT fidelity_grade::text FROM twin_fidelity_tracking ORDER BY 1")
    assert [row[0] for row in grades] == ["excellent", "fair", "good", "poor", "unvalidated"]
    poor = await one(
        current,
        "SELECT e.experiment_name, s.recommendation::text, c.fidelity_grade, t.actual_ate = r.effect_estimate AS same "
        "FROM twin_fidelity_tracking AS t JOIN twin_simulations AS s USING (simulation_id) "
        "JOIN ml_experiments AS e ON e.id = t.actual_experiment_id AND e.id = s.experiment_design_id "
        "JOIN ab_fidelity_comparisons AS c ON c.twin_simulation_id = s.simulation_id "
        "JOIN ab_experiment_results AS r ON r.id = c.results_id WHERE t.fidelity_grade = 'poor'",
    )
    assert tuple(poor) == ("Remibrutinib email cadence", "deploy", "poor", True)


async def test_gates_of_the_estimates(current: asyncpg.Connection) -> None:
    rows = await current.fetch(
        "SELECT DISTINCT v.treatment_variable AS what, get_validation_gate(v.estimate_id)::text AS gate, "
        "can_use_estimate(v.estimate_id, v.details_json ->> 'dag_hash', v.brand) AS usable "
        "FROM causal_validations AS v "
        "WHERE v.treatment_variable IN ('speaker_programs', 'email_campaign', 'copay_card', 'msl_visits') "
        "OR v.estimate_id = (SELECT id FROM ml_experiments WHERE experiment_name = 'Kisqali rep visit effect')"
    )
    assert {row["what"]: (row["gate"], row["usable"]) for row in rows} == {
        "rep_visits_90d": ("proceed", True),
        "speaker_programs": ("block", False),
        "email_campaign": ("review", True),
        "copay_card": ("review", False),
        "msl_visits": ("review", False),
    }
    statuses = await current.fetch("SELECT DISTINCT approval_status FROM expert_reviews")
    assert {row[0] for row in statuses} == {"approved", "rejected", "expired", "pending"}


async def test_the_best_trial_became_a_model(current: asyncpg.Connection) -> None:
    told = await one(
        current,
        "SELECT r.is_best_trial, r.hyperparameters = s.best_params AS same, m.model_version FROM ml_hpo_studies AS s "
        "JOIN ml_training_runs AS r ON r.optuna_study_name = s.study_name "
        "AND r.optuna_trial_number = s.best_trial_number JOIN ml_model_registry AS m ON m.id = r.model_registry_id "
        "AND m.auc = s.best_value WHERE s.study_name = 'fabhalta-c3g-xgb'",
    )
    assert tuple(told) == (True, True, "1.0.0")


async def test_the_best_candidate_won_and_is_active(current: asyncpg.Connection) -> None:
    told = await one(
        current,
        "SELECT i.is_active, i.parent_indices, t.winner::text, t.rolled_out, "
        "t.treatment_score_avg > t.baseline_score_avg "
        "FROM prompt_optimization_runs AS r JOIN optimized_instructions AS i ON i.run_id = r.run_id "
        "AND i.candidate_idx = r.best_candidate_idx JOIN prompt_ab_tests AS t "
        "ON t.treatment_instruction_id = i.instruction_id WHERE r.run_name = 'causal-impact-gepa-1'",
    )
    assert tuple(told) == (True, [4, 5], "gepa", True, True)


async def test_a_composition_of_four_tools(current: asyncpg.Connection) -> None:
    steps = await current.fetch(
        "SELECT s.tool_name, s.depends_on_steps, p.success FROM composer_episodes AS e JOIN composition_steps AS s "
        "USING (episode_id) JOIN tool_performance AS p "
        "ON p.step_id = s.step_id AND p.composition_id = e.composition_id "
        "JOIN classification_logs AS c ON c.classification_id = e.classification_id "
        "AND c.routing_pattern = 'TOOL_COMPOSER' WHERE e.composition_id = 'comp-kisqali-midwest' ORDER BY s.step_number"
    )
    assert [tuple(row) for row in steps] == [
        ("causal_effect_estimator", [], True), ("cate_analyzer", [1], True), ("segment_ranker", [2], True),
        ("roi_estimator", [1, 3], True),
    ]  # fmt: skip


async def test_embeddings_come_in_clusters(current: asyncpg.Connection) -> None:
    near, far = await one(
        current,
        "SELECT max(1 - (a.query_embedding <=> b.query_embedding)), min(1 - (a.query_embedding <=> b.query_embedding)) "
        "FROM composer_episodes AS a JOIN composer_episodes AS b ON a.episode_id < b.episode_id",
    )
    assert 0.7 < near < 1
    assert abs(far) < 0.2


async def test_feature_views_are_fresh_stale_and_critical(current: asyncpg.Connection) -> None:
    rows = await current.fetch(
        "SELECT DISTINCT ON (feature_view_name) feature_view_name, freshness_status FROM ml_feast_feature_freshness "
        "ORDER BY feature_view_name, recorded_at DESC"
    )
    status = dict(map(tuple, rows))
    assert status["hcp_engagement_daily"] == "fresh"
    assert status["payer_mix_weekly"] == "stale"
    assert status["patient_clinical_daily"] == "critical"


async def test_evaluations_have_every_priority(current: asyncpg.Connection) -> None:
    rows = await current.fetch(
        "SELECT DISTINCT width_bucket(0.4 * ragas_aggregate + 0.6 * (rubric_aggregate - 1) / 4, "
        "ARRAY[0.4, 0.55, 0.7, 0.85]) FROM evaluation_results WHERE learning_signal_id IS NOT NULL"
    )
    assert {row[0] for row in rows} == {0, 1, 2, 3, 4}

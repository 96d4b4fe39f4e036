"""What the functions, triggers and views of db/sql do."""

import asyncio
import math
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import example as also
from hypothesis import strategies as st
from sqlalchemy import text

from db.embedded.server import GATEWAY_ROLE
from db.migrations import setup
from db.models.grades import grade_of
from db.seed.tools import default_tools, seed_tools, tool_id
from tests.support import platform_db
from tests.support.changing import add
from tests.support.databases import Clone, Database

pytestmark = pytest.mark.migrated("it is about the functions and triggers of our own migrations")

Add = Callable[..., Awaitable[uuid.UUID]]
Connect = Callable[[], Awaitable[asyncpg.Connection]]

NOW = datetime.now(UTC)
TODAY = NOW.date()
LARGEST = sys.float_info.max

# Every example of a property runs in a savepoint of its own.
properties = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


# ----------------------------------------------------------------------------------------------------------------------
# The database
# ----------------------------------------------------------------------------------------------------------------------
@pytest.fixture
async def db(module_database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the superuser's in a transaction that is rolled back."""
    connection = await module_database.server.connect(module_database.name)
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


@pytest.fixture(scope="module")
async def committed_database(template: Database, clone: Clone) -> AsyncIterator[Database]:
    """A second one, for what must be committed."""
    async with clone(template) as copy:
        yield copy


@pytest.fixture
async def connect(committed_database: Database) -> AsyncIterator[Connect]:
    """Opens connections that commit; a test uses rows of its own making."""
    opened: list[asyncpg.Connection] = []

    async def another() -> asyncpg.Connection:
        opened.append(await committed_database.server.connect(committed_database.name))
        return opened[-1]

    yield another
    for connection in opened:
        connection.terminate()


@asynccontextmanager
async def example(connection: asyncpg.Connection) -> AsyncIterator[None]:
    savepoint = connection.transaction()
    await savepoint.start()
    yield
    await savepoint.rollback()


async def waits(observer: asyncpg.Connection, waiting: asyncpg.Connection) -> None:
    """Returns once the other connection waits for a lock."""
    for _ in range(2000):
        if await observer.fetchval(
            "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $1", waiting.get_server_pid()
        ):
            return
        await asyncio.sleep(0.005)
    pytest.fail("nothing waited for a lock")


# ----------------------------------------------------------------------------------------------------------------------
# All files
# ----------------------------------------------------------------------------------------------------------------------
async def test_the_files_may_be_run_again(db: asyncpg.Connection) -> None:
    definitions = """
        SELECT array_agg(x ORDER BY x) FROM (
            SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
            UNION ALL SELECT pg_get_functiondef(p.oid) FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
                WHERE p.pronamespace = 'public'::regnamespace AND l.lanname IN ('sql', 'plpgsql')
            UNION ALL SELECT pg_get_viewdef(oid) FROM pg_class
                WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'
        ) AS all_of_them (x)
    """
    before = await db.fetchval(definitions)
    await platform_db.apply_sql(db)
    assert await db.fetchval(definitions) == before


async def test_views_have_the_documented_columns_run_as_the_caller_and_say_what_they_mean(
    db: asyncpg.Connection,
) -> None:
    found = await db.fetch("""
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) AS type,
               c.reloptions @> '{security_invoker=true}' AS invoker,
               obj_description(c.oid) IS NOT NULL AND col_description(c.oid, a.attnum) IS NOT NULL AS described
        FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
        WHERE c.relkind = 'v' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0
        ORDER BY c.relname, a.attnum
    """)
    columns: dict[str, list[list[str]]] = {}
    for row in found:
        columns.setdefault(row["relname"], []).append([row["attname"], row["type"]])
        assert row["invoker"]
        assert row["described"]
    assert columns == platform_db.catalog()["view_columns"]


async def test_row_level_security_of_the_caller_applies_to_a_view(db: asyncpg.Connection) -> None:
    for brand in ("Kisqali", "Fabhalta"):
        experiment = await add(db, "ml_experiments", brand=brand)
        await add(db, "ml_model_registry", experiment_id=experiment, is_champion=True, model_name=brand)
    await db.execute("""
        CREATE ROLE analyst; GRANT SELECT ON ALL TABLES IN SCHEMA public TO analyst;
        ALTER TABLE ml_experiments ENABLE ROW LEVEL SECURITY;
        CREATE POLICY one_brand ON ml_experiments TO analyst USING (brand = 'Kisqali');
        SET ROLE analyst
    """)
    assert [row["model_name"] for row in await db.fetch("SELECT * FROM v_champion_models")] == ["Kisqali"]


async def test_the_gateways_role_may_do_what_fires_triggers(db: asyncpg.Connection) -> None:
    experiment, twin = await add(db, "ml_experiments"), await add(db, "digital_twin_models")
    parent = await add(db, "twin_simulations", model_id=twin)
    before, model = [await add(db, "ml_model_registry", experiment_id=experiment) for _ in range(2)]
    await db.execute("UPDATE ml_model_registry SET is_champion = true WHERE id = $1", before)
    await add_drift(db, model_id=model, severity="critical")
    await db.execute(f"SET ROLE {GATEWAY_ROLE}")
    await db.execute("UPDATE ml_model_registry SET is_champion = true, stage = 'production' WHERE id = $1", model)
    await add(db, "twin_fidelity_tracking", simulation_id=parent, simulated_ate=1, actual_ate=1)
    assert await champions(db, experiment) == [model]
    assert (await health(db, model))["health_status"] == "critical"
    assert await fidelity(db, twin) == (1.0, 1)
    assert await db.fetchval("SELECT can_use_estimate(gen_random_uuid(), 'dag')") is False


TOUCHED = [
    (table, column.name)
    for table, columns in platform_db.tables().items()
    for column in columns
    if column.name in {"updated_at", "updated_date"}
]


@pytest.mark.parametrize(("table", "column"), TOUCHED)
async def test_updates_set_the_time_of_the_last_change(db: asyncpg.Connection, table: str, column: str) -> None:
    key = await add(db, table, **{column: "2020-01-01"})
    name = platform_db.key_of(table)[0]
    assert (await db.fetchval(f"SELECT {column} FROM {table} WHERE {name} = $1", key)).year == 2020
    await db.execute("SET TIME ZONE 'Pacific/Kiritimati'")
    updated = await db.fetchval(
        f"UPDATE {table} SET {name} = {name}, {column} = '2021-01-01' WHERE {name} = $1 RETURNING {column}", key
    )
    now = await db.fetchval("SELECT now()")
    assert updated.replace(tzinfo=UTC) == now


def test_every_table_that_tells_its_last_change_is_tested() -> None:
    assert len(TOUCHED) == 17


# ----------------------------------------------------------------------------------------------------------------------
# One champion per experiment
# ----------------------------------------------------------------------------------------------------------------------
async def champions(connection: asyncpg.Connection, experiment: uuid.UUID) -> list[uuid.UUID]:
    rows = await connection.fetch(
        "SELECT id FROM ml_model_registry WHERE experiment_id = $1 AND is_champion", experiment
    )
    return [row["id"] for row in rows]


@pytest.fixture
async def contest(db: asyncpg.Connection) -> tuple[uuid.UUID, list[uuid.UUID]]:
    """An experiment with three models, the first champion, and registered in their order."""
    experiment = await add(db, "ml_experiments")
    models = [
        await add(
            db,
            "ml_model_registry",
            experiment_id=experiment,
            is_champion=n == 0,
            registered_at=NOW + timedelta(hours=n),
        )
        for n in range(3)
    ]
    return experiment, models


async def test_a_new_champion_takes_the_flag(db: asyncpg.Connection, contest: Any) -> None:
    experiment, models = contest
    await db.execute("UPDATE ml_model_registry SET is_champion = true WHERE id = $1", models[1])
    assert await champions(db, experiment) == [models[1]]
    inserted = await add(db, "ml_model_registry", experiment_id=experiment, is_champion=True)
    assert await champions(db, experiment) == [inserted]
    await db.execute("UPDATE ml_model_registry SET is_champion = false WHERE id = $1", inserted)
    assert await champions(db, experiment) == []


async def test_a_champion_that_moves_to_another_experiment_takes_the_flag_there(
    db: asyncpg.Connection, contest: Any
) -> None:
    experiment, _ = contest
    other = await add(db, "ml_experiments")
    mover = await add(db, "ml_model_registry", experiment_id=other, is_champion=True)
    await db.execute("UPDATE ml_model_registry SET experiment_id = $1 WHERE id = $2", experiment, mover)
    assert await champions(db, experiment) == [mover]
    assert await champions(db, other) == []


@pytest.mark.parametrize("chosen", [0, 1, 2])
async def test_one_statement_swaps_whatever_the_order_of_the_rows(
    db: asyncpg.Connection, contest: Any, chosen: int
) -> None:
    experiment, models = contest
    await db.execute(
        "UPDATE ml_model_registry SET is_champion = (id = $2) WHERE experiment_id = $1", experiment, models[chosen]
    )
    assert await champions(db, experiment) == [models[chosen]]


async def test_of_several_appointed_by_one_statement_the_newest_stays(db: asyncpg.Connection, contest: Any) -> None:
    experiment, models = contest
    await db.execute("UPDATE ml_model_registry SET is_champion = true WHERE experiment_id = $1", experiment)
    assert await champions(db, experiment) == [models[2]]
    await db.execute("""
        INSERT INTO ml_model_registry (experiment_id, model_name, model_version, algorithm, is_champion, registered_at)
        SELECT $1, 'bulk', n::text, 'gbm', true, $2::timestamptz + n * interval '1 day' FROM generate_series(1, 50) AS n
    """, experiment, NOW)  # fmt: skip
    (stays,) = await champions(db, experiment)
    assert await db.fetchval("SELECT model_version FROM ml_model_registry WHERE id = $1", stays) == "50"


async def test_two_updates_within_one_statement_leave_one_champion(db: asyncpg.Connection, contest: Any) -> None:
    experiment, models = contest
    await db.execute("""
        WITH one AS (UPDATE ml_model_registry SET is_champion = true WHERE id = $1)
        UPDATE ml_model_registry SET is_champion = true WHERE id = $2
    """, models[1], models[2])  # fmt: skip
    assert len(await champions(db, experiment)) == 1


async def test_an_upsert_leaves_one_champion(db: asyncpg.Connection, contest: Any) -> None:
    experiment, models = contest
    await db.execute("""
        INSERT INTO ml_model_registry (experiment_id, model_name, model_version, algorithm)
        SELECT experiment_id, model_name, model_version, algorithm FROM ml_model_registry WHERE id = $1
        ON CONFLICT (model_name, model_version) DO UPDATE SET is_champion = true
    """, models[2])  # fmt: skip
    assert await champions(db, experiment) == [models[2]]


async def test_models_without_an_experiment_do_not_compete(db: asyncpg.Connection) -> None:
    models = [await add(db, "ml_model_registry", is_champion=True) for _ in range(2)]
    assert await db.fetchval("SELECT bool_and(is_champion) FROM ml_model_registry WHERE id = ANY ($1)", models)


async def appoint(connection: asyncpg.Connection, way: str, experiment: uuid.UUID, model: uuid.UUID) -> None:
    if way == "update":
        await connection.execute("UPDATE ml_model_registry SET is_champion = true WHERE id = $1", model)
    elif way == "insert":
        await add(connection, "ml_model_registry", experiment_id=experiment, is_champion=True)
    else:
        mover = await add(connection, "ml_model_registry", is_champion=True)
        await connection.execute("UPDATE ml_model_registry SET experiment_id = $1 WHERE id = $2", experiment, mover)


@pytest.mark.parametrize("first_way", ["update", "insert", "move"])
@pytest.mark.parametrize("second_way", ["update", "insert", "move"])
@pytest.mark.parametrize("crowned", [False, True])
async def test_two_sessions_leave_one_champion(
    connect: Connect, first_way: str, second_way: str, *, crowned: bool
) -> None:
    first, second, observer = await connect(), await connect(), await connect()
    experiment = await add(observer, "ml_experiments")
    one, two = [await add(observer, "ml_model_registry", experiment_id=experiment) for _ in range(2)]
    if crowned:
        await add(observer, "ml_model_registry", experiment_id=experiment, is_champion=True)
    transaction = first.transaction()
    await transaction.start()
    await appoint(first, first_way, experiment, one)
    later = asyncio.create_task(appoint(second, second_way, experiment, two))
    await waits(observer, second)
    await transaction.commit()
    await later
    (champion,) = await champions(observer, experiment)
    assert champion != one
    if second_way == "update":
        assert champion == two


@pytest.mark.slow
async def test_a_deadlock_ends_in_an_error_and_one_champion(connect: Connect) -> None:
    first, second, observer = await connect(), await connect(), await connect()
    experiment = await add(observer, "ml_experiments")
    champion, one, two = [
        await add(observer, "ml_model_registry", experiment_id=experiment, is_champion=n == 0) for n in range(3)
    ]
    outer, inner = first.transaction(), second.transaction()
    await outer.start()
    await inner.start()
    await second.execute("UPDATE ml_model_registry SET auc = 0.9 WHERE id = $1", champion)
    late = asyncio.create_task(appoint(first, "update", experiment, one))  # holds the lock, wants the champion's row
    await waits(observer, first)
    results = await asyncio.gather(late, appoint(second, "update", experiment, two), return_exceptions=True)
    assert [type(result) for result in results].count(asyncpg.DeadlockDetectedError) == 1
    for transaction, result in zip((outer, inner), results, strict=True):
        await (transaction.rollback() if result else transaction.commit())
    assert len(await champions(observer, experiment)) == 1


async def test_many_sessions_leave_one_champion_in_each_experiment(connect: Connect) -> None:
    observer = await connect()
    experiments = [await add(observer, "ml_experiments") for _ in range(3)]
    models = [
        (experiment, await add(observer, "ml_model_registry", experiment_id=experiment))
        for experiment in experiments
        for _ in range(4)
    ]

    async def session(number: int) -> None:
        connection = await connect()
        for experiment, model in models[number:] + models[:number]:
            appointed = False
            while not appointed:
                # a session holds its own row while it waits to clear the other's: Postgres may refuse one of the two
                with suppress(asyncpg.DeadlockDetectedError):
                    await appoint(connection, "update", experiment, model)
                    appointed = True

    await asyncio.gather(*(session(number) for number in range(6)))
    for experiment in experiments:
        assert len(await champions(observer, experiment)) == 1


async def test_a_snapshot_that_cannot_see_the_other_champion_fails(connect: Connect) -> None:
    first, second = await connect(), await connect()
    experiment = await add(first, "ml_experiments")
    one, two = [await add(first, "ml_model_registry", experiment_id=experiment) for _ in range(2)]
    snapshot = second.transaction(isolation="repeatable_read")
    await snapshot.start()
    await second.fetchval("SELECT count(*) FROM ml_experiments")
    await appoint(first, "update", experiment, one)
    await appoint(second, "update", experiment, two)
    with pytest.raises(asyncpg.ExclusionViolationError):
        await snapshot.commit()
    assert await champions(first, experiment) == [one]


# ----------------------------------------------------------------------------------------------------------------------
# Drift raises one alert
# ----------------------------------------------------------------------------------------------------------------------
async def add_drift(connection: asyncpg.Connection, **values: Any) -> uuid.UUID:
    given = {"drift_type": "data", "drift_detected": True, "severity": "medium", "test_type": "psi"} | values
    return await add(connection, "ml_drift_history", **given)


async def alerts(connection: asyncpg.Connection, drift: uuid.UUID) -> list[asyncpg.Record]:
    return await connection.fetch("SELECT * FROM ml_monitoring_alerts WHERE drift_history_id = $1", drift)


@pytest.mark.parametrize("detected", [True, False])
@pytest.mark.parametrize(("severity", "raises"), [
    ("none", 0), ("low", 0), ("medium", 1), ("high", 1), ("critical", 1),
])  # fmt: skip
async def test_detected_drift_from_medium_on_raises_one_alert(
    db: asyncpg.Connection, severity: str, raises: int, *, detected: bool
) -> None:
    drift = await add_drift(db, severity=severity, drift_detected=detected)
    assert len(await alerts(db, drift)) == (raises if detected else 0)


async def test_the_alert_says_what_drifted(db: asyncpg.Connection) -> None:
    experiment = await add(db, "ml_experiments")
    model = await add(db, "ml_model_registry", experiment_id=experiment)
    deployment = await add(db, "ml_deployments", model_registry_id=model)
    drift = await add_drift(
        db, model_id=model, experiment_id=experiment, deployment_id=deployment, feature_name="age", severity="critical",
        drift_score="0.8125", test_statistic="3.5", p_value="0.001",
    )  # fmt: skip
    (alert,) = await alerts(db, drift)
    shown = {"alert_type", "title", "severity", "status", "model_id", "experiment_id", "deployment_id", "message",
             "affected_features", "drift_type", "recommended_priority"}  # fmt: skip
    assert {name: alert[name] for name in shown} == {
        "alert_type": "drift",
        "title": "Critical data drift in age",
        "severity": "critical",
        "status": "active",
        "model_id": model,
        "experiment_id": experiment,
        "deployment_id": deployment,
        "message": "The psi test found critical data drift in age, statistic 3.500000, p-value 0.0010000000, "
        "drift score 0.8125.",
        "affected_features": ["age"],
        "drift_type": "data",
        "recommended_priority": "immediate",
    }
    assert alert["composite_drift_score"] == Fraction("0.8125")
    assert "Retrain" in alert["recommended_action"]


async def test_an_alert_about_little_is_still_complete(db: asyncpg.Connection) -> None:
    drift = await add_drift(db, drift_type="concept", feature_name=None, drift_score="NaN")
    (alert,) = await alerts(db, drift)
    assert alert["title"] == "Medium concept drift"
    assert alert["affected_features"] is None


async def test_the_longest_names_fit(db: asyncpg.Connection) -> None:
    drift = await add_drift(db, feature_name="f" * 255)
    assert len(await alerts(db, drift)) == 1


async def test_drift_that_becomes_severe_raises_its_alert_once(db: asyncpg.Connection) -> None:
    drift = await add_drift(db, severity="low")
    for severity in ("medium", "critical", "none", "high"):
        await db.execute("UPDATE ml_drift_history SET severity = $2 WHERE id = $1", drift, severity)
        assert len(await alerts(db, drift)) == 1
    await db.execute("UPDATE ml_monitoring_alerts SET status = 'dismissed' WHERE drift_history_id = $1", drift)
    await db.execute("UPDATE ml_drift_history SET severity = 'low' WHERE id = $1", drift)
    await db.execute("UPDATE ml_drift_history SET severity = 'high' WHERE id = $1", drift)
    assert len(await alerts(db, drift)) == 1
    unseen = await add_drift(db, severity="high", drift_detected=False)
    await db.execute("UPDATE ml_drift_history SET drift_detected = true WHERE id = $1", unseen)
    assert len(await alerts(db, unseen)) == 1


async def test_two_sessions_raise_one_alert(connect: Connect) -> None:
    first, second, observer = await connect(), await connect(), await connect()
    drift = await add_drift(observer, severity="low")
    worsen = "UPDATE ml_drift_history SET severity = 'high' WHERE id = $1"
    transaction = first.transaction()
    await transaction.start()
    await first.execute(worsen, drift)
    later = asyncio.create_task(second.execute(worsen, drift))
    await waits(observer, second)
    await transaction.commit()
    await later
    assert len(await alerts(observer, drift)) == 1


# ----------------------------------------------------------------------------------------------------------------------
# Twin fidelity
# ----------------------------------------------------------------------------------------------------------------------
EXTREMES = [
    math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, -5e-324, 1e-308, 2.2e-308, 1e-150, 1e150, 1e308, -1e308, LARGEST,
    -LARGEST, 1.0, -1.0, 0.1, 1.1, 1.2, 1.35,
]  # fmt: skip
effects = st.none() | st.sampled_from(EXTREMES) | st.floats() | st.floats(-10, 10)
known_effects = effects.filter(lambda value: value is not None)
every_extreme = [(predicted, actual, 0.9, actual) for predicted in EXTREMES for actual in EXTREMES]


def finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def saturated(exact: Fraction) -> float:
    return float(max(min(exact, Fraction(LARGEST)), -Fraction(LARGEST)))


def written(value: float) -> Fraction:
    """The decimal that a double is written as, exactly."""
    return Fraction(repr(value))


def exact_error(predicted: float | None, actual: float | None) -> Fraction | None:
    """Relative to the actual effect, or to the prediction where that is zero."""
    predicted, actual = finite(predicted), finite(actual)
    if predicted is None or actual is None:
        return None
    if actual == 0:
        return Fraction((predicted > 0) - (predicted < 0))
    return (written(predicted) - written(actual)) / written(actual)


def relative_error(predicted: float | None, actual: float | None) -> float | None:
    error = exact_error(predicted, actual)
    return None if error is None else saturated(error)


def difference(predicted: float | None, actual: float | None) -> float | None:
    predicted, actual = finite(predicted), finite(actual)
    return None if predicted is None or actual is None else saturated(written(predicted) - written(actual))


def covers(lower: float | None, upper: float | None, value: float | None) -> bool | None:
    value = finite(value)
    if value is None or lower is None or upper is None or math.isnan(lower) or math.isnan(upper):
        return None
    return lower <= value <= upper


def grade(predicted: float | None, actual: float | None) -> str | None:
    error = exact_error(predicted, actual)
    if error is None:
        return None
    percent = abs(error) * 100
    return "excellent" if percent < 10 else "good" if percent < 20 else "fair" if percent <= 35 else "poor"


def same(found: float | None, expected: float | None) -> bool:
    if found is None or expected is None:
        return found is expected
    return math.isclose(found, expected, rel_tol=1e-13, abs_tol=1e-14)


@pytest.mark.slow
@properties
@also(rows=every_extreme)
@given(rows=st.lists(st.tuples(known_effects, effects, effects, effects), min_size=1, max_size=10))
async def test_validations_are_graded_like_the_written_rule(db: asyncpg.Connection, rows: list[Any]) -> None:
    async with example(db):
        parent = await add(db, "twin_simulations")
        for simulated, actual, lower, upper in rows:
            key = await add(
                db, "twin_fidelity_tracking", simulation_id=parent, simulated_ate=simulated, actual_ate=actual,
                simulated_ci_lower=lower, simulated_ci_upper=upper,
            )  # fmt: skip
            row = await db.fetchrow("SELECT * FROM twin_fidelity_tracking WHERE tracking_id = $1", key)
            assert same(row["prediction_error"], relative_error(simulated, actual))
            expected = difference(simulated, actual)
            assert same(row["absolute_error"], None if expected is None else abs(expected))
            assert row["ci_coverage"] == covers(lower, upper, actual)
            assert row["fidelity_grade"] == (grade(simulated, actual) or "unvalidated")
            worked_out = f"SELECT {grade_of('t.simulated_ate', 't.actual_ate')} FROM twin_fidelity_tracking AS t"
            assert await db.fetchval(f"{worked_out} WHERE tracking_id = $1", key) == grade(simulated, actual)
            assert (row["validated_at"] is not None) == (finite(actual) is not None)
            for name in ("prediction_error", "absolute_error"):
                assert row[name] is None or math.isfinite(row[name])


@pytest.mark.parametrize(("simulated", "actual", "error", "expected"), [
    (109, 100, 0.09, "excellent"), (91, 100, -0.09, "excellent"), (110, 100, 0.1, "good"), (90, 100, -0.1, "good"),
    (119, 100, 0.19, "good"), (120, 100, 0.2, "fair"), (135, 100, 0.35, "fair"), (65, 100, -0.35, "fair"),
    (136, 100, 0.36, "poor"), (-100, -100, 0.0, "excellent"), (100, -100, -2.0, "poor"), (1, 0, 1.0, "poor"),
    (-1, 0, -1.0, "poor"), (0, 0, 0.0, "excellent"), (0, 1, -1.0, "poor"), (1, None, None, "unvalidated"),
    (0.27, 0.2, 0.35, "fair"), (0.11, 0.1, 0.1, "good"), (0.24, 0.2, 0.2, "fair"), (-0.27, -0.2, 0.35, "fair"),
])  # fmt: skip
async def test_grades_at_their_limits(
    db: asyncpg.Connection, simulated: float, actual: float | None, error: float | None, expected: str
) -> None:
    await add(
        db,
        "twin_fidelity_tracking",
        simulation_id=await add(db, "twin_simulations"),
        simulated_ate=simulated,
        actual_ate=actual,
    )
    row = await db.fetchrow("SELECT prediction_error, fidelity_grade FROM twin_fidelity_tracking")
    assert tuple(row) == (error, expected)


@pytest.mark.parametrize("limit", [0.1, 0.2, 0.35])
async def test_grades_one_step_to_either_side_of_their_limits(
    db: asyncpg.Connection, comparison_of: dict[str, Any], limit: float
) -> None:
    """For actual effects of one to three digits: the prediction on the limit, and the next double on either side."""
    parent, met = await add(db, "twin_simulations"), set()
    for actual in (0.1, 0.2, -0.2, 0.3, 0.7, 1.1, 0.013, 4.9, 100.0, -37.0, 1e-9):
        for side in (1 - written(limit), 1 + written(limit)):
            on = float(side * written(actual))
            for simulated in (math.nextafter(on, -math.inf), on, math.nextafter(on, math.inf)):
                key = await add(
                    db, "twin_fidelity_tracking", simulation_id=parent, simulated_ate=simulated, actual_ate=actual
                )
                found = await db.fetchval(
                    "SELECT fidelity_grade FROM twin_fidelity_tracking WHERE tracking_id = $1", key
                )
                assert found == grade(simulated, actual), (simulated, actual)
                key = await add(
                    db, "ab_fidelity_comparisons", **comparison_of, predicted_effect=simulated, actual_effect=actual
                )
                compared = await db.fetchrow(
                    f"SELECT fidelity_grade, {grade_of('predicted_effect', 'actual_effect')} "
                    "FROM ab_fidelity_comparisons WHERE id = $1",
                    key,
                )
                assert tuple(compared) == (found, found)
                met.add((found, abs(written(simulated) - written(actual)) == written(limit) * abs(written(actual))))
    below, above = {0.1: ("excellent", "good"), 0.2: ("good", "fair"), 0.35: ("fair", "poor")}[limit]
    on_it = below if limit == 0.35 else above
    assert met == {(below, False), (above, False), (on_it, True)}


async def test_grades_do_not_depend_on_how_a_session_writes_numbers(db: asyncpg.Connection) -> None:
    await db.execute("SET extra_float_digits = -15")
    parent = await add(db, "twin_simulations")
    await add(db, "twin_fidelity_tracking", simulation_id=parent, simulated_ate=0.27000001, actual_ate=0.2)
    assert await db.fetchval("SELECT fidelity_grade FROM twin_fidelity_tracking") == "poor"


async def test_validation_has_the_time_of_its_outcome(db: asyncpg.Connection) -> None:
    key = await add(db, "twin_fidelity_tracking", simulation_id=await add(db, "twin_simulations"), simulated_ate=1)

    async def validated(assignments: str) -> Any:
        return await db.fetchval(
            f"UPDATE twin_fidelity_tracking SET {assignments} WHERE tracking_id = $1 RETURNING validated_at", key
        )

    assert await validated("validation_notes = 'waiting'") is None
    assert await validated("actual_ate = 1.5") == await db.fetchval("SELECT now()")
    long_ago = datetime(2025, 1, 1, tzinfo=UTC)
    assert await validated("validated_at = '2025-01-01Z'") == long_ago
    assert await validated("actual_ate = 1.4") == long_ago
    assert await validated("actual_ate = NULL") is None


async def fidelity(connection: asyncpg.Connection, model: uuid.UUID) -> tuple[float | None, int]:
    row = await connection.fetchrow(
        "SELECT fidelity_score, fidelity_sample_count FROM digital_twin_models WHERE model_id = $1", model
    )
    return row[0], row[1]


async def test_a_model_has_the_mean_fidelity_of_its_last_ten_validations(db: asyncpg.Connection) -> None:
    model = await add(db, "digital_twin_models")
    parents = [await add(db, "twin_simulations", model_id=model) for _ in range(2)]
    assert await fidelity(db, model) == (None, 0)
    for day, simulated in enumerate([10] * 5 + [1] * 10):
        await add(
            db, "twin_fidelity_tracking", simulation_id=parents[day % 2], simulated_ate=simulated, actual_ate=1,
            validated_at=NOW + timedelta(days=day),
        )  # fmt: skip
    assert await fidelity(db, model) == (1.0, 10)
    await add(
        db, "twin_fidelity_tracking", simulation_id=parents[0], simulated_ate=1.5, actual_ate=1,
        validated_at=NOW + timedelta(days=99),
    )  # fmt: skip
    assert await fidelity(db, model) == (0.95, 10)
    updated = await db.fetchval("SELECT last_fidelity_update FROM digital_twin_models WHERE model_id = $1", model)
    assert updated == await db.fetchval("SELECT now()")
    await db.execute("UPDATE twin_fidelity_tracking SET actual_ate = NULL WHERE validated_at > $1", NOW)
    assert await fidelity(db, model) == (0.0, 1)
    await db.execute("DELETE FROM twin_fidelity_tracking")
    assert await fidelity(db, model) == (None, 0)


operations = st.lists(
    st.tuples(
        st.sampled_from(["insert", "outcome", "withdraw", "delete", "move", "move simulation", "delete simulation"]),
        st.integers(0, 5),
        st.integers(0, 5),
        st.sampled_from([0.0, 1.0, 1.05, 1.5, 3.0, 1e-308, 1e308, math.nan]),
    ),
    min_size=1,
    max_size=25,
)


@pytest.mark.slow
@properties
@given(steps=operations)
async def test_fidelity_follows_every_change(db: asyncpg.Connection, steps: list[tuple[str, int, int, float]]) -> None:
    async with example(db):
        models = [await add(db, "digital_twin_models") for _ in range(3)]
        simulations = [await add(db, "twin_simulations", model_id=models[n % 3]) for n in range(6)]
        tracked: list[uuid.UUID] = []
        for step, (action, a, b, value) in enumerate(steps):
            chosen = tracked[a % len(tracked)] if tracked else None
            if action == "insert":
                tracked.append(
                    await add(
                        db, "twin_fidelity_tracking", simulation_id=simulations[a % len(simulations)],
                        simulated_ate=value, actual_ate=1 if b else None,
                        validated_at=NOW + timedelta(hours=step) if b > 2 else None,
                    )
                )  # fmt: skip
            elif action == "move simulation":
                await db.execute(
                    "UPDATE twin_simulations SET model_id = $2 WHERE simulation_id = $1",
                    simulations[a % len(simulations)], models[b % 3],
                )  # fmt: skip
            elif action == "delete simulation" and len(simulations) > 1:
                gone = simulations.pop(a % len(simulations))
                await db.execute("DELETE FROM twin_fidelity_tracking WHERE simulation_id = $1", gone)
                await db.execute("DELETE FROM twin_simulations WHERE simulation_id = $1", gone)
                tracked = [row[0] for row in await db.fetch(
                    "SELECT tracking_id FROM twin_fidelity_tracking WHERE tracking_id = ANY ($1)", tracked
                )]  # fmt: skip
            elif chosen and action == "outcome":
                await db.execute(
                    "UPDATE twin_fidelity_tracking SET actual_ate = $2 WHERE tracking_id = $1", chosen, value
                )
            elif chosen and action == "withdraw":
                await db.execute("UPDATE twin_fidelity_tracking SET actual_ate = NULL WHERE tracking_id = $1", chosen)
            elif chosen and action == "delete":
                await db.execute("DELETE FROM twin_fidelity_tracking WHERE tracking_id = $1", chosen)
                tracked.remove(chosen)
            elif chosen and action == "move":
                await db.execute(
                    "UPDATE twin_fidelity_tracking SET simulation_id = $2 WHERE tracking_id = $1",
                    chosen, simulations[b % len(simulations)],
                )  # fmt: skip
        rows = await db.fetch(
            "SELECT t.*, s.model_id FROM twin_fidelity_tracking AS t JOIN twin_simulations AS s USING (simulation_id)"
        )
        for model in models:
            errors = [
                row["prediction_error"]
                for row in sorted(rows, key=lambda row: (row["validated_at"] or NOW, row["tracking_id"]), reverse=True)
                if row["model_id"] == model and row["prediction_error"] is not None
            ][:10]
            score, count = await fidelity(db, model)
            assert count == len(errors)
            assert same(score, sum(max(0.0, 1 - abs(e)) for e in errors) / len(errors) if errors else None)


async def test_deleting_simulations_in_cascade_recomputes_the_model(db: asyncpg.Connection) -> None:
    key = await db.fetchval("""
        SELECT conname FROM pg_constraint
        WHERE conrelid = 'twin_fidelity_tracking'::regclass AND confrelid = 'twin_simulations'::regclass
    """)
    await db.execute(f"""
        ALTER TABLE twin_fidelity_tracking DROP CONSTRAINT {key};
        ALTER TABLE twin_fidelity_tracking ADD FOREIGN KEY (simulation_id) REFERENCES twin_simulations ON DELETE CASCADE
    """)
    model = await add(db, "digital_twin_models")
    kept, gone = await add(db, "twin_simulations", model_id=model), await add(db, "twin_simulations", model_id=model)
    await add(db, "twin_fidelity_tracking", simulation_id=kept, simulated_ate=1, actual_ate=1)
    await add(db, "twin_fidelity_tracking", simulation_id=gone, simulated_ate=9, actual_ate=1)
    assert await fidelity(db, model) == (0.5, 2)
    await db.execute("DELETE FROM twin_simulations WHERE simulation_id = $1", gone)
    assert await fidelity(db, model) == (1.0, 1)


async def test_two_sessions_that_validate_one_model_both_count(connect: Connect) -> None:
    first, second, observer = await connect(), await connect(), await connect()
    model = await add(observer, "digital_twin_models")
    parent = await add(observer, "twin_simulations", model_id=model)
    transaction = first.transaction()
    await transaction.start()
    await add(first, "twin_fidelity_tracking", simulation_id=parent, simulated_ate=1, actual_ate=1)
    later = asyncio.create_task(
        add(second, "twin_fidelity_tracking", simulation_id=parent, simulated_ate=9, actual_ate=1)
    )
    await waits(observer, second)
    await transaction.commit()
    await later
    assert await fidelity(observer, model) == (0.5, 2)


# ----------------------------------------------------------------------------------------------------------------------
# Fidelity of comparisons
# ----------------------------------------------------------------------------------------------------------------------
@pytest.fixture
async def comparison_of(db: asyncpg.Connection) -> dict[str, Any]:
    return {"experiment_id": await add(db, "ml_experiments"), "twin_simulation_id": await add(db, "twin_simulations")}


@pytest.mark.slow
@properties
@also(rows=every_extreme)
@given(rows=st.lists(st.tuples(known_effects, effects, effects, effects), min_size=1, max_size=10))
async def test_comparisons_are_graded_like_the_written_rule(
    db: asyncpg.Connection, comparison_of: dict[str, Any], rows: list[Any]
) -> None:
    async with example(db):
        for predicted, actual, lower, upper in rows:
            key = await add(
                db, "ab_fidelity_comparisons", **comparison_of, predicted_effect=predicted, actual_effect=actual,
                predicted_ci_lower=lower, predicted_ci_upper=upper, fidelity_score=0.5, fidelity_grade="stale",
            )  # fmt: skip
            row = await db.fetchrow("SELECT * FROM ab_fidelity_comparisons WHERE id = $1", key)
            error, relative, covered = (
                difference(predicted, actual), relative_error(predicted, actual), covers(lower, upper, actual),
            )  # fmt: skip
            assert same(row["prediction_error"], error)
            assert same(row["absolute_prediction_error"], None if error is None else abs(error))
            assert same(row["relative_prediction_error"], relative)
            assert row["confidence_interval_coverage"] == covered
            signs = {(value > 0) - (value < 0) for value in (predicted, actual) if error is not None}
            assert row["direction_match"] == (None if error is None else len(signs) == 1)
            assert row["fidelity_grade"] == grade(predicted, actual)
            if relative is None:
                assert row["fidelity_score"] is None
            else:
                parts = [(0.5, max(0.0, 1 - abs(relative))), (0.3, len(signs) == 1)] + [(0.2, covered)] * (
                    covered is not None
                )
                score = sum(weight * part for weight, part in parts) / sum(weight for weight, _ in parts)
                assert same(row["fidelity_score"], score)
                assert 0 <= row["fidelity_score"] <= 1


async def test_a_comparison_is_graded_when_the_outcome_arrives(
    db: asyncpg.Connection, comparison_of: dict[str, Any]
) -> None:
    await add(
        db,
        "ab_fidelity_comparisons",
        **comparison_of,
        predicted_effect=1.1,
        predicted_ci_lower=0.9,
        predicted_ci_upper=1.3,
    )
    assert await db.fetchval("SELECT fidelity_grade FROM ab_fidelity_comparisons") is None
    await db.execute("UPDATE ab_fidelity_comparisons SET actual_effect = 1")
    row = await db.fetchrow("SELECT fidelity_grade, fidelity_score, direction_match FROM ab_fidelity_comparisons")
    assert tuple(row) == ("good", pytest.approx(0.95), True)
    await db.execute("UPDATE ab_fidelity_comparisons SET actual_effect = 0")
    row = await db.fetchrow(
        "SELECT fidelity_grade, fidelity_score, prediction_error, direction_match FROM ab_fidelity_comparisons"
    )
    assert tuple(row) == ("poor", pytest.approx(0), 1.1, False)


# ----------------------------------------------------------------------------------------------------------------------
# Causal gate
# ----------------------------------------------------------------------------------------------------------------------
TESTS = ["placebo_treatment", "random_common_cause", "data_subset", "bootstrap", "sensitivity_e_value"]
REQUIRED = {"placebo_treatment", "random_common_cause", "sensitivity_e_value"}

validations = st.lists(
    st.tuples(
        st.sampled_from(TESTS),
        st.sampled_from(["passed"] * 12 + ["failed", "warning", "skipped"]),
        st.sampled_from(["0.9"] * 9 + ["0.7", "0.699", None, "NaN", "1.5", "-0.1"]),
        st.integers(0, 5),
    ),
    max_size=4,
)
reviews = st.lists(
    st.tuples(
        st.sampled_from(["approved", "approved", "pending", "rejected", "expired"]),
        st.sampled_from([None, -1, 0, 1]),
        st.sampled_from([None, "Kisqali", "Fabhalta"]),
        st.sampled_from([0, 0, -1, 1]),
        st.integers(0, 3),
        st.none() | st.none() | st.integers(0, 4),
    ),
    max_size=5,
)


def flowchart(rows: list[tuple[str, str, str | None, int, uuid.UUID]]) -> str:
    latest = {row[0]: row for row in sorted(rows, key=lambda row: (row[3], row[4]))}
    if any(test in REQUIRED and row[1] == "failed" for test, row in latest.items()):
        return "block"
    if set(latest) != set(TESTS) or any(row[1] != "passed" for row in latest.values()):
        return "review"
    scores = [float(row[2]) if row[2] is not None else math.nan for row in latest.values()]
    return "proceed" if all(0.7 <= score <= 1 for score in scores) else "review"


@pytest.mark.slow
@properties
@given(
    complete=st.booleans(),
    extra=validations,
    reviewed=reviews,
    brand=st.sampled_from([None, "Kisqali", "Fabhalta"]),
)
async def test_the_gate_follows_the_flowchart(
    db: asyncpg.Connection, *, complete: bool, extra: list[Any], reviewed: list[Any], brand: str | None
) -> None:
    async with example(db):
        estimate, dag = uuid.uuid4(), uuid.uuid4().hex
        rows: list[tuple[str, str, str | None, int, uuid.UUID]] = []
        for test, status, confidence, hour in [(test, "passed", "0.8", 1) for test in TESTS] * complete + extra:
            key = await add(
                db, "causal_validations", estimate_id=estimate, test_type=test, status=status,
                confidence_score=confidence, created_at=NOW + timedelta(hours=hour),
            )  # fmt: skip
            rows.append((test, status, confidence, hour, key))
        gate = flowchart(rows)
        assert await db.fetchval("SELECT get_validation_gate($1)", estimate) == gate

        keys = [uuid.uuid4() for _ in reviewed]
        today = (await db.fetchval("SELECT now()")).date()
        decided = []
        superseded = set()
        for key, (status, until, newer_brand, begins, _, n) in zip(keys, reviewed, strict=True):
            if n is None or keys[n % len(keys)] == key:
                continue
            valid = status == "approved" and begins <= 0 and (until is None or until >= 0)
            if valid and newer_brand in {None, reviewed[n % len(keys)][2]}:
                superseded.add(keys[n % len(keys)])
        for key, (status, until, reviewed_brand, begins, hour, supersedes) in zip(keys, reviewed, strict=True):
            await add(
                db, "expert_reviews", review_id=key, review_type="dag_approval", dag_version_hash=dag,
                approval_status=status, brand=reviewed_brand, valid_from=today + timedelta(days=begins),
                valid_until=None if until is None else today + timedelta(days=until),
                created_at=NOW + timedelta(hours=hour),
                supersedes_review_id=None if supersedes is None else keys[supersedes % len(keys)],
            )  # fmt: skip
            counts = status != "pending" and not (status == "approved" and begins > 0)
            if counts and (brand is None or reviewed_brand in {None, brand}):
                valid = status == "approved" and (until is None or until >= 0)
                decided.append((key not in superseded, hour, key, valid))
        approved = max(decided)[3] if decided else False
        assert await db.fetchval("SELECT is_dag_approved($1, $2)", dag, brand) == approved
        usable = gate == "proceed" or (gate == "review" and approved)
        assert await db.fetchval("SELECT can_use_estimate($1, $2, $3)", estimate, dag, brand) == usable
        assert await db.fetchval("SELECT can_use_estimate($1)", estimate) == (gate == "proceed")
        assert await db.fetchval("SELECT can_use_estimate($1, 'another dag')", estimate) == (gate == "proceed")


def gate_row(test: str, status: str = "passed", confidence: str | None = "0.7") -> tuple[str, str, str | None]:
    return test, status, confidence


@pytest.mark.parametrize(("changed", "expected"), [
    ([], "proceed"),
    ([gate_row("bootstrap", confidence="0.699")], "review"),
    ([gate_row("bootstrap", confidence=None)], "review"),
    ([gate_row("bootstrap", "failed")], "review"),
    ([gate_row("data_subset", "failed")], "review"),
    ([gate_row("data_subset", "warning")], "review"),
    ([gate_row("placebo_treatment", "skipped")], "review"),
    ([gate_row("placebo_treatment", "warning")], "review"),
    ([gate_row("placebo_treatment", "failed")], "block"),
    ([gate_row("random_common_cause", "failed")], "block"),
    ([gate_row("sensitivity_e_value", "failed")], "block"),
    ([gate_row("sensitivity_e_value", "failed"), gate_row("sensitivity_e_value")], "proceed"),
])  # fmt: skip
async def test_gate_by_the_latest_row_of_each_test(
    db: asyncpg.Connection, changed: list[tuple[str, str, str | None]], expected: str
) -> None:
    estimate = uuid.uuid4()
    for hour, (test, status, confidence) in enumerate([*map(gate_row, TESTS), *changed]):
        await add(
            db, "causal_validations", estimate_id=estimate, test_type=test, status=status, confidence_score=confidence,
            created_at=NOW + timedelta(hours=hour),
        )  # fmt: skip
    assert await db.fetchval("SELECT get_validation_gate($1)", estimate) == expected


async def test_nothing_known_is_a_review_and_not_usable(db: asyncpg.Connection) -> None:
    row = await db.fetchrow("""
        SELECT get_validation_gate(gen_random_uuid()), get_validation_gate(NULL), can_use_estimate(gen_random_uuid()),
               is_dag_approved('unknown'), is_dag_approved(NULL), can_use_estimate(NULL, NULL, NULL)
    """)
    assert tuple(row) == ("review", "review", False, False, False, False)


async def test_an_approval_holds_to_the_end_of_its_last_day_in_utc(db: asyncpg.Connection) -> None:
    today: date = (await db.fetchval("SELECT now()")).date()
    for zone in ("UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"):
        await db.execute(f"SET TIME ZONE '{zone}'")
        for days, approved in ((0, True), (-1, False)):
            dag = uuid.uuid4().hex
            await add(
                db, "expert_reviews", dag_version_hash=dag, approval_status="approved", valid_from=None,
                valid_until=today + timedelta(days=days),
            )  # fmt: skip
            assert await db.fetchval("SELECT is_dag_approved($1)", dag) is approved


@pytest.mark.parametrize(
    ("brand", "of", "approved"),
    [
        ("Kisqali", "Kisqali", True), ("Kisqali", "Fabhalta", False), ("Kisqali", None, False),
        (None, "Kisqali", True), (None, None, True),
    ],
)  # fmt: skip
async def test_an_approval_supersedes_reviews_of_its_own_brands(
    db: asyncpg.Connection, brand: str | None, of: str | None, *, approved: bool
) -> None:
    """Also one that was made after it, which decides otherwise."""
    dag = uuid.uuid4().hex
    rejected = await add(
        db, "expert_reviews", dag_version_hash=dag, approval_status="rejected", brand=of, created_at=NOW,
    )  # fmt: skip
    await add(
        db, "expert_reviews", dag_version_hash=dag, approval_status="approved", brand=brand, valid_from=None,
        valid_until=None, created_at=NOW - timedelta(hours=1), supersedes_review_id=rejected,
    )  # fmt: skip
    assert await db.fetchval("SELECT is_dag_approved($1)", dag) is approved


async def test_the_gate_functions_are_stable_parallel_and_run_as_the_caller(db: asyncpg.Connection) -> None:
    rows = await db.fetch("""
        SELECT proname, provolatile, proparallel, prosecdef, proconfig FROM pg_proc
        WHERE proname IN ('is_dag_approved', 'get_validation_gate', 'can_use_estimate')
    """)
    assert {tuple(row)[1:4] for row in rows} == {(b"s", b"s", False)}
    assert len(rows) == 3
    assert all("search_path" in row["proconfig"][0] for row in rows)


# ----------------------------------------------------------------------------------------------------------------------
# Views
# ----------------------------------------------------------------------------------------------------------------------
async def test_champions_that_are_retired_are_not_active(db: asyncpg.Connection) -> None:
    for stage in ("production", "staging", "shadow", "development", "archived", "deprecated", None):
        experiment = await add(db, "ml_experiments", experiment_name=stage or "without a stage")
        await add(db, "ml_model_registry", experiment_id=experiment, is_champion=True, stage=stage, auc="0.9")
        await add(db, "ml_model_registry", experiment_id=experiment, is_champion=False, stage=stage)
    found = await db.fetch("SELECT experiment_name FROM v_champion_models ORDER BY 1")
    assert [row[0] for row in found] == ["development", "production", "shadow", "staging", "without a stage"]


async def test_the_latest_report_of_each_table_and_split(db: asyncpg.Connection) -> None:
    for table, split, run_at, rate in [
        ("a", "train", NOW, 0.5), ("a", "train", NOW - timedelta(days=1), 0.1), ("a", "train", None, 0.2),
        ("a", "test", NOW - timedelta(days=9), 0.6), ("b", "train", None, 0.7), (None, "train", NOW, 0.8),
        ("c", "holdout", NOW, 0.9),
    ]:  # fmt: skip
        await add(
            db, "ml_data_quality_reports", table_name=table, data_split=split, run_at=run_at, success_rate=rate,
            overall_status="passed",
        )  # fmt: skip
    for id_ in (2, 3, 1):  # of one moment, the greatest id
        await add(
            db, "ml_data_quality_reports", id=uuid.UUID(int=id_), table_name="d", data_split="train", run_at=NOW,
            success_rate=id_ / 10, overall_status="passed",
        )  # fmt: skip
    found = await db.fetch(
        "SELECT table_name, data_split, success_rate::float FROM v_latest_data_quality ORDER BY 1, 2"
    )
    assert [tuple(row) for row in found] == [
        ("a", "train", 0.5), ("a", "test", 0.6), ("b", "train", 0.7), ("c", "holdout", 0.9),
        ("d", "train", 0.3),
    ]  # fmt: skip


async def test_latency_of_the_last_day(db: asyncpg.Connection) -> None:
    for n in range(1, 101):
        await add(
            db, "ml_observability_spans", agent_name="causal_impact", agent_tier="causal_analytics", started_at=NOW,
            duration_ms=n, status="error" if n <= 5 else "success", fallback_used=n <= 20, total_tokens=2,
        )  # fmt: skip
    await add(
        db, "ml_observability_spans", agent_name="causal_impact", agent_tier="causal_analytics", duration_ms=9999,
        started_at=NOW - timedelta(hours=25),
    )  # fmt: skip
    (row,) = await db.fetch("SELECT * FROM v_agent_latency_summary")
    assert tuple(row)[2:] == (
        100, Fraction("50.5"), 50.5, pytest.approx(95.05), pytest.approx(99.01), Fraction("0.05"), Fraction("0.2"), 200,
    )  # fmt: skip


async def test_the_latest_drift_of_a_model_is_the_worst_of_its_last_run(db: asyncpg.Connection) -> None:
    model, other = await add(db, "ml_model_registry"), await add(db, "ml_model_registry")
    # Ids that rise from row to row, so that only the severity can lift the second of a run.
    for n, (owner, kind, hours, severity, feature) in enumerate([
        (model, "data", 2, "critical", "old"), (model, "data", 1, "low", "x"), (model, "data", 1, "high", "y"),
        (model, "data", 1, "none", "z"), (model, "concept", 5, "none", None), (other, "data", 0, "medium", "w"),
        (None, "data", 0, "critical", "nobody's"), (other, "concept", None, "low", "without a time"),
    ]):  # fmt: skip
        await add_drift(
            db, id=uuid.UUID(int=n), model_id=owner, drift_type=kind, severity=severity, feature_name=feature,
            created_at=None if hours is None else NOW - timedelta(hours=hours),
        )  # fmt: skip
    found = await db.fetch("SELECT model_id, drift_type, severity, feature_name FROM ml_drift_status_latest")
    assert {tuple(row) for row in found} == {
        (model, "data", "high", "y"), (model, "concept", "none", None), (other, "data", "medium", "w"),
        (other, "concept", "low", "without a time"),
    }  # fmt: skip


async def test_the_trend_compares_severities_and_not_words(db: asyncpg.Connection) -> None:
    model = await add(db, "ml_model_registry")
    day = datetime.combine(TODAY, datetime.min.time(), UTC) - timedelta(days=2)
    for severity, score, detected in [("none", "0.1", False), ("critical", "0.9", True), ("medium", "0.5", True)]:
        await add_drift(
            db, model_id=model, severity=severity, drift_score=score, drift_detected=detected,
            created_at=day + timedelta(hours=23, minutes=59),
        )  # fmt: skip
    await add_drift(db, model_id=model, severity="high", created_at=NOW - timedelta(days=8))
    await db.execute("SET TIME ZONE 'Asia/Tokyo'")
    (row,) = await db.fetch("SELECT * FROM ml_drift_trend_7d")
    assert tuple(row) == (model, "data", day.date(), 3, 2, Fraction("0.5"), "critical")


async def test_open_alerts_are_counted_by_model(db: asyncpg.Connection) -> None:
    model = await add(db, "ml_model_registry")
    for hours, (status, severity) in enumerate([
        ("active", "critical"), ("acknowledged", "high"), ("investigating", "medium"), ("active", "low"),
        ("resolved", "critical"), ("dismissed", "critical"),
    ]):  # fmt: skip
        await add(
            db, "ml_monitoring_alerts", model_id=model, status=status, severity=severity,
            created_at=NOW - timedelta(hours=hours),
        )  # fmt: skip
    await add(db, "ml_monitoring_alerts", model_id=None, severity="critical")
    (row,) = await db.fetch("SELECT * FROM ml_active_alerts_summary")
    assert tuple(row) == (model, 4, 1, 1, 1, NOW - timedelta(hours=3), NOW)


async def health(connection: asyncpg.Connection, model: uuid.UUID) -> dict[str, Any]:
    row = await connection.fetchrow("SELECT * FROM ml_model_health_dashboard WHERE model_id = $1", model)
    return dict(row)


async def test_health_of_a_model_that_nobody_watched(db: asyncpg.Connection) -> None:
    model = await add(db, "ml_model_registry", stage="production", model_name="m")
    assert await health(db, model) == {
        "model_id": model, "model_name": "m", "model_stage": "production", "has_active_drift": False,
        "max_drift_severity": None, "drift_check_count": 0, "active_alerts": 0, "critical_alerts": 0,
        "latest_metric_value": None, "primary_metric": None, "performance_degraded": None, "health_status": "unknown",
    }  # fmt: skip
    await db.execute("UPDATE ml_model_registry SET stage = 'staging' WHERE id = $1", model)
    assert await db.fetchval("SELECT count(*) FROM ml_model_health_dashboard") == 0


@pytest.mark.parametrize(
    ("value", "degraded", "expected"),
    [("0.9", False, "healthy"), ("NaN", False, "unknown"), ("0.9", None, "unknown"), ("NaN", True, "warning")],
)
async def test_a_measurement_that_says_nothing_is_not_healthy(
    db: asyncpg.Connection, *, value: str, degraded: bool | None, expected: str
) -> None:
    model = await add(db, "ml_model_registry", stage="production")
    await add(
        db, "ml_performance_metrics", model_id=model, metric_name="roc_auc", metric_value=value, is_degraded=degraded,
        segment=None, measured_at=NOW,
    )  # fmt: skip
    assert (await health(db, model))["health_status"] == expected


async def test_health_looks_at_the_latest_of_everything(db: asyncpg.Connection) -> None:
    model = await add(db, "ml_model_registry", stage="production")

    async def status() -> str:
        return (await health(db, model))["health_status"]

    for hours, metric, value, degraded, segment in [
        (2, "roc_auc", "0.5", True, None), (1, "precision", "0.7", True, None), (1, "roc_auc", "0.9", False, None),
        (0, "roc_auc", "0.1", True, "midwest"),
    ]:  # fmt: skip
        await add(
            db, "ml_performance_metrics", model_id=model, metric_name=metric, metric_value=value, is_degraded=degraded,
            segment=segment, measured_at=NOW - timedelta(hours=hours),
        )  # fmt: skip
    found = await health(db, model)
    assert (found["primary_metric"], found["latest_metric_value"], found["performance_degraded"]) == (
        "roc_auc", Fraction("0.9"), False,
    )  # fmt: skip
    assert found["health_status"] == "healthy"

    await add_drift(
        db,
        model_id=model,
        severity="none",
        drift_detected=False,
        drift_type="model",
        created_at=NOW - timedelta(days=9),
    )
    found = await health(db, model)
    assert (found["max_drift_severity"], found["drift_check_count"]) == ("none", 0)
    assert found["health_status"] == "healthy"

    await add_drift(db, model_id=model, severity="high", created_at=NOW - timedelta(hours=3))
    found = await health(db, model)
    assert (found["has_active_drift"], found["max_drift_severity"], found["drift_check_count"]) == (True, "high", 1)
    assert (found["active_alerts"], found["critical_alerts"], found["health_status"]) == (1, 0, "warning")

    await add_drift(db, model_id=model, drift_type="concept", severity="low", created_at=NOW)
    assert (await health(db, model))["max_drift_severity"] == "high"

    await add_drift(db, model_id=model, severity="critical", created_at=NOW - timedelta(hours=2))
    assert await status() == "critical"
    await add_drift(db, model_id=model, severity="none", drift_detected=False, created_at=NOW - timedelta(hours=1))
    assert await status() == "critical"  # by its alert, which is open
    await db.execute("UPDATE ml_monitoring_alerts SET status = 'resolved' WHERE severity = 'critical'")
    assert await status() == "warning"
    await db.execute("UPDATE ml_monitoring_alerts SET status = 'dismissed'")
    assert await status() == "warning"  # by the drift that the latest concept check still sees
    await db.execute("UPDATE ml_drift_history SET drift_detected = false WHERE drift_type = 'concept'")
    assert await status() == "healthy"
    await db.execute("UPDATE ml_performance_metrics SET is_degraded = true")
    assert await status() == "warning"


# ----------------------------------------------------------------------------------------------------------------------
# Rollups
# ----------------------------------------------------------------------------------------------------------------------
STORES = """
    CREATE TABLE plain (at timestamptz);
    CREATE TABLE parent (at timestamptz);
    CREATE TABLE child () INHERITS (parent);
    CREATE VIEW shown AS SELECT * FROM plain;
    CREATE TABLE parts (at timestamptz) PARTITION BY RANGE (at);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
    CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY RANGE (at);
    CREATE TABLE parts_21 PARTITION OF parts_2 FOR VALUES FROM ('2025-01-01') TO ('2025-02-01');
    CREATE TABLE abroad (at timestamptz) PARTITION BY RANGE (at);
    CREATE FOREIGN DATA WRAPPER nowhere;
    CREATE SERVER elsewhere FOREIGN DATA WRAPPER nowhere;
    CREATE FOREIGN TABLE abroad_1 PARTITION OF abroad FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') SERVER elsewhere;
"""


@pytest.mark.parametrize(
    ("table", "stores"),
    [
        ("plain", ["public.plain"]),
        ("parts", ["public.parts", "public.parts_1", "public.parts_2", "public.parts_21"]),
        ("parts_2", ["public.parts_2", "public.parts_21"]),
        ("child", ["public.child"]),
        ("parent", None),
        ("shown", None),
        ("abroad", None),
    ],
)
async def test_where_the_rows_of_a_table_are_stored(
    db: asyncpg.Connection, table: str, stores: list[str] | None
) -> None:
    await db.execute(STORES)
    assert await db.fetchval("SELECT gateway.stores_of($1::text::regclass)", table) == stores


async def test_what_is_written_marks_its_units_of_time(db: asyncpg.Connection) -> None:
    """The first and the last moment that are marked, one before and one after them, and no time at all."""
    await db.execute("CREATE TABLE written (n integer, at timestamptz)")
    for operation, rows in (
        ("INSERT", "NEW TABLE AS new_rows"),
        ("UPDATE", "OLD TABLE AS old_rows NEW TABLE AS new_rows"),
        ("DELETE", "OLD TABLE AS old_rows"),
    ):
        await db.execute(
            f"CREATE TRIGGER mark_{operation} AFTER {operation} ON written REFERENCING {rows} FOR EACH STATEMENT "
            f"EXECUTE FUNCTION gateway.mark_rollup('written', 'at', '1 hour', 'sums')"
        )

    async def marked(statement: str) -> set[str]:
        await db.execute("DELETE FROM gateway.rollup_marks")
        await db.execute(statement)
        marks = await db.fetch("SELECT name, (at AT TIME ZONE 'UTC')::text FROM gateway.rollup_marks ORDER BY at")
        assert {name for name, _ in marks} <= {"written"}
        assert len(set(marks)) == len(marks), "each unit once for a statement"
        return {at for _, at in marks}

    assert await marked("INSERT INTO written VALUES (1, '1969-12-31 23:59:59.999999Z'), (2, NULL)") == set()
    assert await marked("INSERT INTO written VALUES (3, '1970-01-01Z'), (4, '1970-01-01 00:59:59.999999Z')") == {
        "1970-01-01 00:00:00"
    }
    assert await marked("INSERT INTO written VALUES (5, '2199-12-31 23:59:59.999999Z'), (6, '2200-01-01Z')") == {
        "2199-12-31 23:00:00"
    }
    assert await marked("UPDATE written SET at = '2024-05-05 05:05Z' WHERE n = 5") == {
        "2024-05-05 05:00:00",
        "2199-12-31 23:00:00",
    }
    assert await marked("DELETE FROM written WHERE n IN (5, 6)") == {"2024-05-05 05:00:00"}


# ----------------------------------------------------------------------------------------------------------------------
# Default tools
# ----------------------------------------------------------------------------------------------------------------------
async def test_seeding_tools_twice_adds_nothing_and_changes_nothing(module_database: Database) -> None:
    async with setup.connect(module_database.owner_url) as connection:
        await connection.execute(text("TRUNCATE tool_registry CASCADE"))
        await connection.execute(
            text("""
                INSERT INTO tool_registry (name, description, category, source_agent)
                VALUES ('cate_analyzer', 'our own', 'SEGMENTATION', 'us')
            """)
        )
        await seed_tools(connection)
        await seed_tools(connection)
        tools = (await connection.execute(text("SELECT name, tool_id, description FROM tool_registry"))).all()
        edges = (
            await connection.execute(
                text("""
                    SELECT consumer.name, producer.name, output_field, input_field
                    FROM tool_dependencies
                    JOIN tool_registry AS consumer ON consumer.tool_id = consumer_tool_id
                    JOIN tool_registry AS producer ON producer.tool_id = producer_tool_id
                """)
            )
        ).all()
        await connection.rollback()
    seed = default_tools()
    descriptions = {tool["name"]: tool["description"] for tool in seed["tools"]}
    assert len(tools) == 13
    for name, identifier, description in tools:
        ours = name == "cate_analyzer"
        assert (identifier == tool_id(name)) is not ours
        assert description == ("our own" if ours else descriptions[name])
    assert {tuple(edge) for edge in edges} == {
        (edge["consumer"], edge["producer"], edge["output_field"], edge["input_field"]) for edge in seed["dependencies"]
    }

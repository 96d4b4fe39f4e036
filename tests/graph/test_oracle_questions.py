"""Questions over periods and the views answer what the data dictionary says, worked out in Python over the rows
themselves: windows of any length that end at any time, groups, percentiles, the newest of each, and verdicts."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from tests.support import platform_db
from tests.support.changing import add
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect
from tests.support.executors import EXECUTORS
from tests.support.oracle import percentile

pytestmark = pytest.mark.slow

NOW = datetime.now(UTC).replace(second=0, microsecond=0)
AGENTS = [("causal_impact", "causal_analytics"), ("drift_monitor", "monitoring"), ("causal_impact", "monitoring")]
SEVERITIES = ["none", "low", "medium", "high", "critical"]
OPEN = {None, "active", "acknowledged", "investigating"}
Row = dict[str, Any]


@dataclass
class World:
    client: Client
    rows: dict[str, list[Row]]


async def put(sql: asyncpg.Connection, rng: random.Random, table: str, **choices: list[Any]) -> Any:
    """A row with one of the choices in each column; now and then nothing, where the column may have nothing."""
    columns = {column.name: column for column in platform_db.tables()[table]}
    chosen = {
        name: None if len(values) > 1 and columns[name].nullable and rng.random() < 0.15 else rng.choice(values)
        for name, values in choices.items()
    }
    return await add(sql, table, **chosen)


async def fill(sql: asyncpg.Connection, rng: random.Random) -> None:
    """Rows at hours around which windows end, many of them at once, with values that are missing."""
    times = [NOW - timedelta(hours=hours) for hours in (0.5, 1.5, 5.5, 23.5, 24.5, 47.5, 100.5, 167.5, 168.5, 300.5)]
    for _ in range(90):
        agent, tier = rng.choice(AGENTS)
        await put(
            sql, rng, "ml_observability_spans", agent_name=[agent], agent_tier=[tier], started_at=times,
            duration_ms=[*range(1, 500, 7)], status=["error", "success", "timeout"], fallback_used=[True, False],
            total_tokens=[1, 20, 300],
        )  # fmt: skip
    stages = [*["production"] * 5, "archived", "deprecated", "shadow"]
    models = [
        await put(
            sql, rng, "ml_model_registry", stage=stages, is_champion=[place % 2 == 0], model_name=[f"m{place}"],
        )
        for place in range(14)
    ]  # fmt: skip
    for place in range(110):
        await put(
            sql, rng, "ml_drift_history", model_id=models, drift_type=[["data", "model", "concept"][place % 3]],
            created_at=times, severity=SEVERITIES, drift_detected=[True, False], drift_score=["0.1", "0.25", "0.9"],
        )  # fmt: skip
    await sql.execute("DELETE FROM ml_monitoring_alerts")  # those that drift has raised
    for _ in range(30):
        await put(
            sql, rng, "ml_monitoring_alerts", model_id=models[:9], severity=SEVERITIES[1:], created_at=times,
            status=["active", "acknowledged", "investigating", "resolved", "dismissed", "resolved"],
            drift_history_id=[None],
        )  # fmt: skip
    for _ in range(40):
        await put(
            sql, rng, "ml_performance_metrics", model_id=models[:11], measured_at=times,
            metric_name=["accuracy", "roc_auc", "zeta"], segment=["north", None], metric_value=["0.5", "0.75", "NaN"],
            is_degraded=[True, False],
        )  # fmt: skip
    for _ in range(40):
        await put(
            sql, rng, "ml_data_quality_reports", table_name=["a", "b", "c"], run_at=times,
            data_split=["train", "test", "holdout"], overall_status=["passed", "failed"],
        )  # fmt: skip


TABLES = {
    "spans": "ml_observability_spans", "models": "ml_model_registry", "drift": "ml_drift_history",
    "alerts": "ml_monitoring_alerts", "metrics": "ml_performance_metrics", "reports": "ml_data_quality_reports",
    "experiments": "ml_experiments",
}  # fmt: skip


@pytest.fixture(scope="module")
async def filled(template: Database, clone: Clone) -> AsyncIterator[tuple[Database, dict[str, list[Row]]]]:
    async with clone(template) as copy:
        sql = await connect(copy.admin_url)
        await fill(sql, random.Random(7))
        rows = {
            name: [dict(row) for row in await sql.fetch(f"SELECT * FROM {table}")] for name, table in TABLES.items()
        }
        await sql.close()
        yield copy, rows


@pytest.fixture(scope="module", params=EXECUTORS)
async def world(request: pytest.FixtureRequest, filled: tuple[Database, dict[str, list[Row]]]) -> AsyncIterator[World]:
    database, rows = filled
    async with serving(database.gateway_url, compiler=request.param) as client:
        yield World(client, rows)


def grouped(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def newest(rows: list[Row], time: str, *ties: Callable[[Row], Any]) -> Row:
    """The row of the latest time; one without a time only where no row has one."""
    least = datetime(1, 1, 1, tzinfo=UTC)
    return max(rows, key=lambda row: (row[time] is not None, row[time] or least, *(tie(row) for tie in ties)))


def known(rows: list[Row], name: str) -> list[float]:
    return [float(row[name]) for row in rows if row[name] is not None]


def mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def close(value: float | None) -> Any:
    return None if value is None else pytest.approx(value, rel=1e-9)


def inside(moment: datetime | None, length: timedelta, until: datetime | None) -> bool:
    start = (until or datetime.now(UTC)) - length
    return moment is not None and start <= moment and (until is None or moment < until)


def latencies(spans: Iterable[Row]) -> dict[tuple[str, str], Row]:
    """What spans come to by agent and tier."""
    found = {}
    for key, rows in grouped(spans, lambda row: (row["agent_name"], row["agent_tier"].upper())).items():
        durations = known(rows, "duration_ms")
        tokens = known(rows, "total_tokens")
        found[key] = {
            "totalSpans": len(rows),
            "avgDurationMs": close(mean(durations)),
            **{f"p{part}Ms": close(percentile(durations, part / 100)) if durations else None for part in (50, 95, 99)},
            "errorRate": close(sum(row["status"] == "error" for row in rows) / len(rows)),
            "fallbackRate": close(sum(row["fallback_used"] is True for row in rows) / len(rows)),
            "totalTokensUsed": sum(tokens) if tokens else None,
        }
    return found


LATENCY = "agentName agentTier totalSpans avgDurationMs p50Ms p95Ms p99Ms errorRate fallbackRate totalTokensUsed"


def by_agent(nodes: list[Row]) -> dict[tuple[str, str], Row]:
    return {(node.pop("agentName"), node.pop("agentTier")): node for node in nodes}


async def test_latency_in_windows_of_any_length(world: World) -> None:
    rng = random.Random(11)
    query = f"""query($hours: Int, $until: DateTime) {{
        agentLatency(windowHours: $hours, until: $until) {{ nodes {{ {LATENCY} }} }} }}"""
    for _ in range(25):
        hours, until = rng.randint(1, 320), rng.choice([None, NOW - timedelta(hours=rng.randint(0, 300))])
        asked = {"hours": hours, "until": until and until.isoformat()}
        found = (await world.client.data(query, **asked))["agentLatency"]["nodes"]
        spans = [one for one in world.rows["spans"] if inside(one["started_at"], timedelta(hours=hours), until)]
        assert by_agent(found) == latencies(spans), asked
    found = (await world.client.data(f"{{ agentLatencySummaries {{ nodes {{ {LATENCY} }} }} }}"))[
        "agentLatencySummaries"
    ]
    day = [one for one in world.rows["spans"] if inside(one["started_at"], timedelta(hours=24), None)]
    assert by_agent(found["nodes"]) == latencies(day)


def trends(records: Iterable[Row]) -> dict[tuple[str, str, str], Row]:
    """What drift records come to by model, type and day in UTC."""
    found = {}
    whose = [row for row in records if row["model_id"] is not None]
    groups = grouped(
        whose, lambda row: (str(row["model_id"]), row["drift_type"].upper(), str(row["created_at"].date()))
    )
    for key, rows in groups.items():
        scores, severities = known(rows, "drift_score"), [row["severity"] for row in rows if row["severity"]]
        found[key] = {
            "checkCount": len(rows),
            "driftCount": sum(row["drift_detected"] is True for row in rows),
            "avgDriftScore": close(mean(scores)),
            "maxDriftScore": max(scores, default=None),
            "maxSeverity": max(severities, key=SEVERITIES.index).upper() if severities else None,
        }
    return found


async def test_drift_in_windows_of_any_length(world: World) -> None:
    rng = random.Random(12)
    columns = "modelId driftType checkDate checkCount driftCount avgDriftScore maxSeverity"
    query = f"""query($days: Int, $until: DateTime) {{
        found: driftTrend(days: $days, until: $until, first: 500) {{ nodes {{ {columns} maxDriftScore }} }} }}"""

    def by_key(nodes: list[Row]) -> dict[tuple[str, str, str], Row]:
        return {(node.pop("modelId"), node.pop("driftType"), node.pop("checkDate")): node for node in nodes}

    for _ in range(20):
        days, until = rng.randint(1, 14), rng.choice([None, NOW - timedelta(hours=rng.randint(0, 300))])
        asked = {"days": days, "until": until and until.isoformat()}
        nodes = (await world.client.data(query, **asked))["found"]["nodes"]
        records = [one for one in world.rows["drift"] if inside(one["created_at"], timedelta(days=days), until)]
        assert by_key(nodes) == trends(records), asked
    nodes = (await world.client.data(f"{{ found: driftTrends7d(first: 500) {{ nodes {{ {columns} }} }} }}"))["found"]
    week = trends(one for one in world.rows["drift"] if inside(one["created_at"], timedelta(hours=168), None))
    for one in week.values():
        del one["maxDriftScore"]
        one["maxSeverity"] = one["maxSeverity"] and one["maxSeverity"].lower()  # a text in the view
    assert by_key(nodes["nodes"]) == week


def latest_drift(world: World) -> dict[tuple[str, str], Row]:
    """The newest record by model and type: of one instant the worst, one without severity before all."""

    def worst(row: Row) -> int:
        return SEVERITIES.index(row["severity"]) if row["severity"] else len(SEVERITIES)

    whose = [row for row in world.rows["drift"] if row["model_id"]]
    groups = grouped(whose, lambda row: (str(row["model_id"]), row["drift_type"].upper()))
    return {key: newest(rows, "created_at", worst, lambda row: row["id"]) for key, rows in groups.items()}


async def test_the_newest_of_each(world: World) -> None:
    data = await world.client.data("""{
        driftStatuses(first: 500) { nodes { modelId driftType driftDetected severity lastChecked } }
        latestDataQualities(first: 500) { nodes { tableName dataSplit overallStatus runAt } } }""")

    def stamp(moment: datetime | None) -> str | None:
        return moment and moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    assert {(one["modelId"], one["driftType"]): one for one in data["driftStatuses"]["nodes"]} == {
        key: {
            "modelId": key[0], "driftType": key[1], "driftDetected": row["drift_detected"],
            "severity": row["severity"] and row["severity"].upper(), "lastChecked": stamp(row["created_at"]),
        }
        for key, row in latest_drift(world).items()
    }  # fmt: skip
    named = [row for row in world.rows["reports"] if row["table_name"] is not None]
    groups = grouped(named, lambda row: (row["table_name"], row["data_split"].upper()))
    reports = {key: newest(rows, "run_at", lambda row: row["id"]) for key, rows in groups.items()}
    found = {(one["tableName"], one["dataSplit"]): one for one in data["latestDataQualities"]["nodes"]}
    assert {key: (one["overallStatus"], one["runAt"]) for key, one in found.items()} == {
        key: (row["overall_status"].upper(), stamp(row["run_at"])) for key, row in reports.items()
    }


async def test_champions_and_open_alerts(world: World) -> None:
    data = await world.client.data("""{ championModels(first: 500) { nodes { modelName stage } }
        activeAlertsSummaries(first: 500) { nodes {
            modelId totalActive criticalCount highCount mediumCount oldestAlert newestAlert } } }""")
    champions = {
        (row["model_name"], row["stage"] and row["stage"].upper())
        for row in world.rows["models"]
        if row["is_champion"] and row["experiment_id"] and row["stage"] not in {"archived", "deprecated"}
    }
    assert {(one["modelName"], one["stage"]) for one in data["championModels"]["nodes"]} == champions
    opened = [row for row in world.rows["alerts"] if row["model_id"] and row["status"] in OPEN]
    found = {one.pop("modelId"): one for one in data["activeAlertsSummaries"]["nodes"]}
    assert found == {
        key: {
            "totalActive": len(rows),
            **{f"{name}Count": sum(row["severity"] == name for row in rows) for name in ("critical", "high", "medium")},
            "oldestAlert": min(row["created_at"] for row in rows).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "newestAlert": max(row["created_at"] for row in rows).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        for key, rows in grouped(opened, lambda row: str(row["model_id"])).items()
    }


def health(world: World, model: Any) -> Row:
    """The health of a production model."""
    latest = [row for (key, _), row in latest_drift(world).items() if key == str(model)]
    verdicts = [row["drift_detected"] for row in latest if row["drift_detected"] is not None]
    found = [row["severity"] for row in latest if row["drift_detected"] and row["severity"]]
    worst = max(found, key=SEVERITIES.index, default="none") if latest else None
    alerts = [row for row in world.rows["alerts"] if row["model_id"] == model and row["status"] in OPEN]
    measured = [row for row in world.rows["metrics"] if row["model_id"] == model and row["segment"] is None]
    first = {"roc_auc": 2, "accuracy": 1, "zeta": 0}
    last = (
        newest(measured, "measured_at", lambda row: first[row["metric_name"]], lambda row: row["id"])
        if measured
        else None
    )
    degraded = last and (last["is_degraded"] if last["is_degraded"] or not last["metric_value"].is_nan() else None)
    critical = sum(row["severity"] == "critical" for row in alerts)
    drifts = any(verdicts)
    if critical or worst == "critical":
        status = "critical"
    elif drifts or alerts or degraded:
        status = "warning"
    else:
        status = "unknown" if not verdicts and degraded is None else "healthy"
    week = [row for row in world.rows["drift"] if row["model_id"] == model]
    return {
        "hasActiveDrift": drifts,
        "maxDriftSeverity": worst and worst.upper(),
        "driftCheckCount": sum(inside(row["created_at"], timedelta(hours=168), None) for row in week),
        "activeAlerts": len(alerts),
        "criticalAlerts": critical,
        "primaryMetric": last and last["metric_name"],
        "performanceDegraded": degraded,
        "healthStatus": status,
    }


async def test_health_of_production_models(world: World) -> None:
    columns = "hasActiveDrift maxDriftSeverity driftCheckCount activeAlerts criticalAlerts primaryMetric"
    data = await world.client.data(
        f"{{ modelHealths(first: 100) {{ nodes {{ modelId {columns} performanceDegraded healthStatus }} }} }}"
    )
    found = {one.pop("modelId"): one for one in data["modelHealths"]["nodes"]}
    production = [row["id"] for row in world.rows["models"] if row["stage"] == "production"]
    assert found == {str(model): health(world, model) for model in production}
    assert {one["healthStatus"] for one in found.values()} >= {"critical", "warning"}

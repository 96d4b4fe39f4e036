"""The questions that `make bench-growth` asks: what the table of the documentation lists, and those of `make bench`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import asyncpg

from tests.bench.cases import OUR_ORDERS, cases
from tests.bench.history import MODEL, SERVICE, today


@dataclass(frozen=True)
class Question:
    """What is asked, and whether it should read the same whatever the length of the history.

    ``monthly`` questions ask every month of a table that is partitioned.
    """

    name: str
    document: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    flat: bool = True
    monthly: bool = False


def _metrics(name: str, arguments: str, fields: str, *, flat: bool = False, monthly: bool = True) -> Question:
    arguments = f"({arguments})" if arguments else ""
    return Question(name, f"{{ servingMetrics{arguments} {{ {fields} }} }}", flat=flat, monthly=monthly)


def _by(unit: str) -> str:
    return f"aggregate(groupBy: [{{ field: RECORDED_AT, bucket: {unit} }}]) {{ count avgLatencyMs {{ avg max }} }}"


async def questions(sql: asyncpg.Connection) -> list[Question]:
    """The questions about the rows that a database of `tests.bench.history` has."""
    services = [
        str(row[0])
        for row in await sql.fetch(
            f"SELECT id FROM ml_bentoml_services WHERE service_name LIKE '{SERVICE}%' ORDER BY id"
        )
    ]
    model = await sql.fetchval(f"SELECT id FROM ml_model_registry WHERE model_name LIKE '{MODEL}%' ORDER BY id LIMIT 1")
    metric = await sql.fetchval("SELECT id FROM ml_bentoml_serving_metrics WHERE service_id = $1 LIMIT 1", services[0])
    session = await sql.fetchval(
        "SELECT session_id FROM ml_observability_spans WHERE session_id IS NOT NULL ORDER BY started_at DESC LIMIT 1"
    )
    experiments = [str(row[0]) for row in await sql.fetch("SELECT id FROM ml_experiments ORDER BY id LIMIT 5")]
    week, day, evening = ((today() - timedelta(days=days)).isoformat().replace("+00:00", "Z") for days in (7, 3, 2.25))
    end = (today() - timedelta(days=2)).isoformat().replace("+00:00", "Z")
    a_day = f'recordedAt: {{ gte: "{day}", lt: "{end}" }}'
    of_one = f'serviceId: {{ eq: "{services[0]}" }}'
    some = ", ".join(f'"{one}"' for one in services[:4])
    slow = "p99LatencyMs: { gt: 139.9 }"
    newest = "{ field: P99_LATENCY_MS, direction: DESC }"
    return [
        _metrics("a page in the default order", "first: 50", "nodes { id recordedAt }", flat=True),
        _metrics("a page behind a time in the past", f'first: 50, where: {{ recordedAt: {{ lt: "{week}" }} }}',
                 "nodes { id }", flat=True),
        _metrics("a page with the number of all rows", "first: 50", "totalCount nodes { id }", flat=True),
        Question("fifty services with their newest five",
                 "{ bentoServices(first: 50) { nodes { id metrics(first: 5) { nodes { id recordedAt } } } } }",
                 monthly=True),
        Question("a row by its id", f'{{ servingMetric(id: "{metric}") {{ id service {{ id }} }} }}', monthly=True),
        _metrics("one service's six hours by hour",
                 f'where: {{ {of_one}, recordedAt: {{ gte: "{evening}", lt: "{end}" }} }}', _by("HOUR"), flat=True,
                 monthly=False),
        _metrics("one service's day by hour", f"where: {{ {of_one}, {a_day} }}", _by("HOUR"), flat=True, monthly=False),
        Question("one service's summary of a day",
                 f'{{ bentoService(id: "{services[0]}") {{ metricsSummary(since: "{day}", until: "{end}") '
                 "{ measurements maxP99LatencyMs } } }"),
        Question("open critical alerts, newest first",
                 """{ monitoringAlerts(first: 20, where: { status: { eq: ACTIVE }, severity: { eq: CRITICAL } }) {
                     totalCount nodes { id } } }"""),
        Question("health of a model", f'{{ model(id: "{model}") {{ health {{ healthStatus activeAlerts }} }} }}'),
        Question("drift of a model",
                 f'{{ model(id: "{model}") {{ driftStatus(first: 3) {{ nodes {{ lastChecked }} }} }} }}'),
        Question("the newest spans", "{ observabilitySpans(first: 50) { nodes { id startedAt } } }", monthly=True),
        Question("spans of a session",
                 f'{{ observabilitySpans(where: {{ sessionId: {{ eq: "{session}" }} }}) {{ nodes {{ id }} }} }}',
                 flat=False, monthly=True),
        Question("changes of a row",
                 '{ lifecycleEvents(first: 20, where: { nodeId: { eq: "Model:77" } }) { nodes { id } } }'),
        Question("health of all models, filtered",
                 '{ modelHealths(first: 20, where: { healthStatus: { eq: "critical" } }) { nodes { modelId } } }'),
        Question("newest drift status of all models", "{ driftStatuses(first: 20) { nodes { modelId lastChecked } } }"),
        _metrics("a filter without an index or a match", "first: 20, where: { p99LatencyMs: { gt: 1e9 } }",
                 "nodes { id }"),
        _metrics("a filter without an index, counted", f"first: 20, where: {{ {slow} }}", "totalCount nodes { id }"),
        _metrics("an order without an index", f"first: 20, orderBy: [{newest}]", "nodes { id }"),
        _metrics("the exact number of all rows", "", "totalCount(exact: true)"),
        _metrics("a day: filter and order", f"first: 20, where: {{ {a_day}, {slow} }}, orderBy: [{newest}]",
                 "nodes { id }", monthly=False),
        _metrics("percentiles of a day", f"where: {{ {a_day} }}", "aggregate { p99LatencyMs { p50 p95 } }",
                 monthly=False),
        _metrics("a day of all services by hour", f"where: {{ {a_day} }}", _by("HOUR"), monthly=False),
        _metrics("four services by hour, a week",
                 f'where: {{ serviceId: {{ in: [{some}] }}, recordedAt: {{ gte: "{week}" }} }}', _by("HOUR"),
                 monthly=False),
        _metrics("one service by day", f"where: {{ {of_one} }}", _by("DAY")),
        _metrics("everything by day", "", _by("DAY")),
        Question("lineage of a hot model",
                 f'{{ lineage(from: ["Model:{model}"], direction: BOTH, maxDepth: 3) '
                 "{ nodes { node { id } } } }",
                 flat=False, monthly=True),
        Question("search with a typo", '{ search(text: "grwon modle 77") { hits { node { id } } } }', flat=False),
        Question("latency of agents, 30 days",
                 "{ agentLatency(windowHours: 720) { nodes { agentName totalSpans p95Ms } } }", flat=False),
        Question("spans by agent",
                 "{ observabilitySpans { aggregate(groupBy: [{ field: AGENT_NAME }]) { count durationMs { avg } } } }",
                 flat=False, monthly=True),
        Question("changes by an actor, counted",
                 '{ lifecycleEvents(first: 20, where: { actor: { eq: "actor 7" } }) { totalCount nodes { id } } }',
                 flat=False),
        *[Question(case.name, case.query, case.variables[0], flat=False, monthly=True)
          for case in cases(experiments, services[:5], week, day, OUR_ORDERS)],
    ]  # fmt: skip

"""Serving metrics: the largest table; its rows are generated as tuples and streamed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

from db.demo.world import DeploymentCase, World

COLUMNS = (
    "id", "service_id", "recorded_at", "requests_total", "requests_per_second", "successful_requests",
    "failed_requests", "avg_latency_ms", "p50_latency_ms", "p95_latency_ms", "p99_latency_ms", "max_latency_ms",
    "error_rate", "error_types", "memory_mb", "memory_percent", "cpu_percent", "predictions_count", "batch_size_avg",
    "model_load_time_ms", "inference_time_avg_ms",
)  # fmt: skip

DAY = [0.35 + 0.65 * max(0.0, math.sin(math.pi * (hour - 6) / 16)) for hour in range(24)]
"""Traffic by hour (UTC), as a fraction of its peak."""


def serving_metrics(world: World, deployments: list[DeploymentCase]) -> Iterator[tuple[Any, ...]]:
    """Metrics of the deployments' services up to now or to the end of a service, oldest first."""
    for deployment in deployments:
        if deployment.status not in {"pending", "deploying"}:
            yield from _of_service(world, deployment)


def _of_service(world: World, deployment: DeploymentCase) -> Iterator[tuple[Any, ...]]:
    rng = world.rng
    count, step = world.size.metrics, world.size.metric_minutes
    last = deployment.ended or world.now
    if deployment.status == "failed":  # measured during its start
        last = deployment.started + timedelta(minutes=step * count)
    last = min(last, world.now)
    first = max(last - timedelta(minutes=step * (count - 1)), deployment.started)
    period = step * 60
    peak = rng.uniform(0.4, 12.0) * period * (3 if deployment.environment == "production" else 0.3)
    usual = rng.uniform(18, 60)
    share = {"failed": 0.35, "rolled_back": 0.041}.get(deployment.status, rng.uniform(0.0005, 0.006))
    memory, load_time = rng.uniform(600, 1500), round(rng.uniform(800, 4000), 1)
    service = deployment.service
    draw, bits, minutes = rng.random, rng.getrandbits, timedelta(minutes=step)
    moment = first
    while moment <= last:
        a, b, c = draw(), draw(), draw()
        traffic = DAY[moment.hour]
        requests = int(peak * traffic * (0.85 + 0.3 * a)) + 1
        failed = min(requests, int(requests * share * (0.4 + 1.2 * b) + c))
        p50 = usual * (0.85 + 0.2 * traffic + 0.1 * b)
        p95 = p50 * (1.8 + 0.6 * c)
        p99 = p95 * (1.25 + 0.5 * a)
        average = p50 * 1.15
        used = memory * (0.95 + 0.1 * c)
        timeouts = failed * 2 // 3
        yield (
            UUID(int=bits(128), version=4),
            service,
            moment,
            requests,
            round(requests / period, 4),
            requests - failed,
            failed,
            round(average, 2),
            round(p50, 2),
            round(p95, 2),
            round(p99, 2),
            round(p99 * (1.1 + b), 2),
            round(100 * failed / requests, 4),
            f'{{"timeout": {timeouts}, "validation_error": {failed - timeouts}}}' if failed else "{}",
            round(used, 1),
            round(used / 20.48, 2),
            round(8 + 70 * traffic * (0.7 + 0.3 * a), 2),
            requests - failed,
            round(1 + 7 * traffic * b, 2),
            load_time,
            round(average * 0.7, 2),
        )
        moment += minutes

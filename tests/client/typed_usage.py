"""The client as a pipeline uses it, for mypy: `make lint` checks it, and that what is marked as wrong is an error."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from gateway.client import AsyncGateway, Changed, Gateway
from gateway.client.typed import CreateModelInput, ServingMetricRow


def metrics(service: str) -> list[ServingMetricRow]:
    right: ServingMetricRow = {"service": {"id": service}, "recordedAt": datetime.now(UTC), "p50LatencyMs": 12.5}
    unknown: ServingMetricRow = {"service": {"id": service}, "p50Latency": 12.5}  # type: ignore[typeddict-unknown-key]
    kind: ServingMetricRow = {"service": {"id": service}, "requestsTotal": "7"}  # type: ignore[typeddict-item]
    missing: ServingMetricRow = {"requestsTotal": 7}  # type: ignore[typeddict-item]
    return [right, unknown, kind, missing]


def blocking(gateway: Gateway) -> str:
    model: CreateModelInput = {"modelName": "m", "modelVersion": "1", "algorithm": "a", "id": uuid.uuid4()}
    made: Changed = gateway.create_model(model, key="k")
    gateway.create_model({"modelName": "m"})  # type: ignore[typeddict-item]
    gateway.promote_model({"id": made.id, "to": "STAGING"})
    gateway.promote_model({"id": made.id, "to": "staging"})  # type: ignore[typeddict-item]
    gateway.create_training_run(
        {
            "algorithm": "a",
            "trainingSamples": 1,
            "experiment": {"mlflowExperimentId": "e"},
            "model": {"version": {"modelName": "m", "modelVersion": "1"}},
        }
    )
    gateway.create_training_run(
        {"algorithm": "a", "trainingSamples": 1, "experiment": {"name": "e"}}  # type: ignore[typeddict-item]
    )
    inserted: int = gateway.record_serving_metrics(metrics("s"), ids=True, on_conflict="KEEP").inserted
    gateway.record_serving_metrics(metrics("s"), on_conflict="MERGE")  # type: ignore[arg-type]
    gateway.record_serving_metrics([{"service": {"id": "s"}, "errorRate": None}])
    with gateway.transaction(key="t") as changes:
        pending = changes.create_model(model)
    return f"{pending.changed.id} {inserted}"


async def by_coroutines(gateway: AsyncGateway) -> int:
    made: Changed = await gateway.create_model({"modelName": "m", "modelVersion": "1", "algorithm": "a"})
    async with gateway.transaction() as changes:
        changes.retire_tool({"id": made.id})
    return (await gateway.record_serving_metrics(metrics("s"))).inserted

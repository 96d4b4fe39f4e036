"""Group 11, BentoML tracking: services that serve models, and what their serving costs and yields over time."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import TEXT, VARCHAR, BigInteger, Double, ForeignKey, Integer, Uuid
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds, Unit
from db.base.lineage import LineageKind, comes_from
from db.base.markers import Group, Retention, entity, facts
from db.base.rollups import DAY, HOUR, Rollup
from db.base.vocabulary import (
    EMPTY_OBJECT,
    NEW_UUID,
    NOW,
    Argument,
    Entity,
    belongs_to,
    column,
    computed_object,
    pg_enum,
)
from db.models.g01_mlops_serving import DeploymentStatus


class BentoService(Entity):
    """A BentoML service that serves a model, with its health, its resources and its endpoints."""

    __group__ = Group.BENTOML_TRACKING
    __aliases__ = ("service", "bento", "endpoint")
    __tablename__ = "ml_bentoml_services"
    __record__ = entity(actor="created_by")
    __order__ = "created_at"
    __filtered__ = ("bento_tag",)
    __search__ = ("service_name", "bento_tag", "bento_version", "serving_endpoint")

    id: Mapped[UUID] = column(Uuid(), "Service identifier.", primary_key=True, server_default=NEW_UUID)
    service_name: Mapped[str] = column(VARCHAR(255), "Service name.", holds=Holds.IDENTIFIER)
    bento_tag: Mapped[str] = column(
        VARCHAR(255), "Bento tag (name:version), the BentoML reference of the build.", holds=Holds.IDENTIFIER
    )
    bento_version: Mapped[str | None] = column(VARCHAR(100), "Version part of the Bento tag.", holds=Holds.IDENTIFIER)
    model_registry_id: Mapped[UUID | None] = column(
        Uuid(), "Linked model, the one that is served.", ForeignKey("ml_model_registry.id")
    )
    deployment_id: Mapped[UUID | None] = column(
        Uuid(), "Linked deployment, the one that the service carries out.", ForeignKey("ml_deployments.id")
    )
    container_image: Mapped[str | None] = column(
        TEXT(), "Container image that the service runs.", holds=Holds.IDENTIFIER
    )
    container_tag: Mapped[str | None] = column(VARCHAR(255), "Tag of the container image.", holds=Holds.IDENTIFIER)
    replicas: Mapped[int | None] = column(Integer(), "Number of replicas.", server_default="1", unit=Unit.COUNT)
    resources: Mapped[Any | None] = column(
        JSONB(),
        "CPU and memory config of a replica: cpu in cores, memory with its unit.",
        server_default=EMPTY_OBJECT,
        holds=Holds.DATA,
    )
    environment: Mapped[str | None] = column(
        VARCHAR(50),
        "Environment that the service runs in: development, staging or production.",
        server_default="staging",
        values=("development", "staging", "production"),
    )
    health_status: Mapped[str | None] = column(
        VARCHAR(50),
        "Health of the service: healthy, unhealthy, degraded or unknown.",
        server_default="unknown",
        holds=Holds.STATE,
        aliases=("health",),
    )
    last_health_check: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When its health was last checked.")
    health_check_failures: Mapped[int | None] = column(
        Integer(), "Number of failed health checks.", server_default="0", unit=Unit.COUNT
    )
    serving_endpoint: Mapped[str | None] = column(
        TEXT(), "External endpoint URL.", holds=Holds.IDENTIFIER, aliases=("url", "address")
    )
    internal_endpoint: Mapped[str | None] = column(TEXT(), "Endpoint URL inside the cluster.", holds=Holds.IDENTIFIER)
    status: Mapped[DeploymentStatus | None] = column(
        pg_enum(DeploymentStatus),
        "Deployment lifecycle status of the service: pending, deploying, active, draining, rolled_back or failed.",
        server_default=DeploymentStatus.PENDING.value,
    )
    created_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was created.", server_default=NOW)
    started_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it started to serve.")
    stopped_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it stopped serving.")
    updated_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When it was last changed.", server_default=NOW
    )
    created_by: Mapped[str | None] = column(
        VARCHAR(100), "User or agent that created the service.", holds=Holds.IDENTIFIER
    )
    labels: Mapped[Any | None] = column(
        JSONB(), "Labels of the service, as names and values.", server_default=EMPTY_OBJECT, holds=Holds.DATA
    )

    model = belongs_to(
        "Model",
        "model_registry_id",
        "The model that the service serves.",
        inverse="services",
        inverse_doc="BentoML services that serve the model.",
        lineage=comes_from(LineageKind.SERVED_BY),
    )
    deployment = belongs_to(
        "Deployment",
        "deployment_id",
        "The deployment that the service serves.",
        inverse="services",
        inverse_doc="BentoML services that the deployment is served by.",
        lineage=comes_from(LineageKind.SERVED_BY),
    )
    metrics_summary = computed_object(
        "Summary of the service's metrics in a period; its values are null without metrics.",
        {
            "measurements": ("count(*)", BigInteger(), "Number of measurements.", Unit.COUNT),
            "first_at": ("min(m.recorded_at)", TIMESTAMP(timezone=True), "When the first one was taken."),
            "last_at": ("max(m.recorded_at)", TIMESTAMP(timezone=True), "When the last one was taken."),
            "requests_total": ("sum(m.requests_total)", BigInteger(), "Number of requests.", Unit.COUNT),
            "avg_latency_ms": (
                (
                    "sum(m.avg_latency_ms * m.requests_total) / nullif(sum(m.requests_total) "
                    "FILTER (WHERE m.avg_latency_ms IS NOT NULL), 0)"
                ),
                Double(),
                "Average latency, in milliseconds, weighted by requests.",
                Unit.MILLISECONDS,
            ),
            "max_p99_latency_ms": (
                "max(m.p99_latency_ms)",
                Double(),
                "Greatest 99th percentile, in milliseconds.",
                Unit.MILLISECONDS,
            ),
            "error_rate": (
                (
                    "sum(m.error_rate * m.requests_total) / nullif(sum(m.requests_total) "
                    "FILTER (WHERE m.error_rate IS NOT NULL), 0)"
                ),
                Double(),
                "Error percentage (0-100), weighted by requests.",
                Unit.PERCENT,
            ),
            "max_memory_mb": ("max(m.memory_mb)", Double(), "Greatest memory usage, in MB.", Unit.MEGABYTES),
            "avg_cpu_percent": ("avg(m.cpu_percent)", Double(), "Average CPU utilization, in percent.", Unit.PERCENT),
        },
        # bounds that are never null prune partitions, and lead an index, in plans for any values too
        source="FROM (SELECT * FROM ml_bentoml_serving_metrics AS s WHERE s.service_id = {row}.id "
        "AND s.recorded_at >= coalesce({since}, '-infinity') AND s.recorded_at < coalesce({until}, 'infinity') "
        "UNION ALL SELECT * FROM ml_bentoml_serving_metrics AS s WHERE s.service_id = {row}.id "
        "AND s.recorded_at IS NULL AND {since} IS NULL AND {until} IS NULL) AS m",
        columns=("id",),
        sums_up="ServingMetric",
        arguments={
            "since": Argument(TIMESTAMP(timezone=True), "From this time on; without a lower limit by default."),
            "until": Argument(TIMESTAMP(timezone=True), "Before this time; without an upper limit by default."),
        },
    )


class ServingMetric(Entity):
    """One periodic measurement of a BentoML service: throughput, latency, errors and resource usage."""

    __group__ = Group.BENTOML_TRACKING
    __aliases__ = ("serving metric", "service metric", "serving statistics")
    __tablename__ = "ml_bentoml_serving_metrics"
    __record__ = facts(retention=Retention("recorded_at", days=7))
    __label__ = ("recorded_at",)
    __order__ = "recorded_at"
    __rollup__ = Rollup("recorded_at", ("service_id",), (HOUR, DAY), sketched=("avg_latency_ms",))

    id: Mapped[UUID] = column(Uuid(), "Metric record identifier.", primary_key=True, server_default=NEW_UUID)
    service_id: Mapped[UUID] = column(Uuid(), "Parent service.", ForeignKey("ml_bentoml_services.id"))
    recorded_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "Measurement timestamp.", server_default=NOW, aliases=("measured at",)
    )
    requests_total: Mapped[int | None] = column(
        Integer(), "Total requests in period.", server_default="0", unit=Unit.COUNT
    )
    requests_per_second: Mapped[float | None] = column(
        Double(), "Throughput, in requests per second.", unit=Unit.PER_SECOND, aliases=("throughput", "rps", "qps")
    )
    successful_requests: Mapped[int | None] = column(
        Integer(), "Requests in period that were answered without an error.", server_default="0", unit=Unit.COUNT
    )
    failed_requests: Mapped[int | None] = column(
        Integer(), "Requests in period that failed.", server_default="0", unit=Unit.COUNT
    )
    avg_latency_ms: Mapped[float | None] = column(Double(), "Average latency, in milliseconds.", unit=Unit.MILLISECONDS)
    p50_latency_ms: Mapped[float | None] = column(Double(), "Median latency, in milliseconds.", unit=Unit.MILLISECONDS)
    p95_latency_ms: Mapped[float | None] = column(
        Double(), "95th percentile latency, in milliseconds.", unit=Unit.MILLISECONDS
    )
    p99_latency_ms: Mapped[float | None] = column(
        Double(), "99th percentile latency, in milliseconds.", unit=Unit.MILLISECONDS, aliases=("p99", "tail latency")
    )
    max_latency_ms: Mapped[float | None] = column(
        Double(), "Longest latency in period, in milliseconds.", unit=Unit.MILLISECONDS
    )
    error_rate: Mapped[float | None] = column(
        Double(),
        "Error percentage of the requests in period (percent, 0-100).",
        unit=Unit.PERCENT,
        aliases=("failure rate", "share of failed requests"),
    )
    error_types: Mapped[Any | None] = column(
        JSONB(), "Number of errors in period by type of error.", server_default=EMPTY_OBJECT, holds=Holds.DATA
    )
    memory_mb: Mapped[float | None] = column(
        Double(), "Memory usage, in megabytes.", unit=Unit.MEGABYTES, aliases=("ram", "memory usage")
    )
    memory_percent: Mapped[float | None] = column(
        Double(), "Memory usage, as a share of the limit (percent, 0-100).", unit=Unit.PERCENT
    )
    cpu_percent: Mapped[float | None] = column(
        Double(), "CPU utilization (percent).", unit=Unit.PERCENT, aliases=("cpu usage",)
    )
    predictions_count: Mapped[int | None] = column(
        Integer(), "Predictions made in period.", server_default="0", unit=Unit.COUNT
    )
    batch_size_avg: Mapped[float | None] = column(Double(), "Average number of predictions per batch.", unit=Unit.COUNT)
    model_load_time_ms: Mapped[float | None] = column(
        Double(), "Time to load the model, in milliseconds.", unit=Unit.MILLISECONDS
    )
    inference_time_avg_ms: Mapped[float | None] = column(
        Double(), "Average time of the model's inference alone, in milliseconds.", unit=Unit.MILLISECONDS
    )

    service = belongs_to(
        "BentoService",
        "service_id",
        "The service that the measurement was taken on.",
        inverse="metrics",
        latest="latest_metric",
        inverse_doc="Serving metrics that the service emits, newest first.",
        lineage=comes_from(LineageKind.EMITS),
    )

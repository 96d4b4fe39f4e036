"""Group 1, MLOps core: deployments and spans."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    TEXT,
    VARCHAR,
    Boolean,
    ForeignKey,
    Integer,
    Numeric,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds, Unit
from db.base.lineage import LineageKind, comes_from
from db.base.markers import Group, Retention, entity, facts
from db.base.rollups import DAY, FIVE_MINUTES, HOUR, SIX_HOURS, WEEK, CountedRows, Rollup
from db.base.vocabulary import (
    EMPTY_LIST,
    EMPTY_OBJECT,
    NEW_UUID,
    NOW,
    Entity,
    Labels,
    belongs_to,
    column,
    linked_by,
    pg_enum,
)
from db.models.shared import AgentName, AgentTier


class DeploymentStatus(Labels, pg_name="deployment_status_enum"):
    """Lifecycle status of a deployment or of a service."""

    PENDING = "pending", "Requested; nothing has started yet."
    DEPLOYING = "deploying", "Being rolled out."
    ACTIVE = "active", "Serving requests."
    DRAINING = "draining", "Finishing requests in flight; accepts no new ones."
    ROLLED_BACK = "rolled_back", "Replaced by an earlier deployment."
    FAILED = "failed", "The roll-out or the service failed."


class Deployment(Entity):
    """One deployment of a model: its environment, its shadow mode test, its SLA figures and its rollback chain."""

    __group__ = Group.MLOPS_CORE
    __aliases__ = ("release", "rollout")
    __tablename__ = "ml_deployments"
    __record__ = entity(
        door="startDeployment",
        why="a deployment is linked to the one that it replaces",
        updates=(
            "endpoint_name", "endpoint_url", "deployment_config", "shadow_metrics", "production_metrics",
            "latency_p50_ms", "latency_p95_ms", "latency_p99_ms", "error_rate",
        ),
    )  # fmt: skip
    __order__ = "created_at"
    __filtered__ = ("status",)
    __search__ = ("deployment_name", "endpoint_name", "endpoint_url")

    id: Mapped[UUID] = column(Uuid(), "Deployment identifier.", primary_key=True, server_default=NEW_UUID)
    model_registry_id: Mapped[UUID] = column(Uuid(), "Deployed model.", ForeignKey("ml_model_registry.id"))
    deployment_name: Mapped[str] = column(VARCHAR(255), "Deployment label.", holds=Holds.IDENTIFIER)
    environment: Mapped[str] = column(
        VARCHAR(50),
        "Target environment: development, staging, or production.",
        values=("development", "staging", "production"),
        aliases=("env", "stage"),
    )
    endpoint_name: Mapped[str | None] = column(
        VARCHAR(255), "Name of the endpoint that answers requests.", holds=Holds.IDENTIFIER
    )
    endpoint_url: Mapped[str | None] = column(
        TEXT(), "URL of the endpoint that answers requests.", holds=Holds.IDENTIFIER, aliases=("url", "address")
    )
    status: Mapped[DeploymentStatus | None] = column(
        pg_enum(DeploymentStatus),
        "Current deployment status.",
        server_default=DeploymentStatus.PENDING.value,
        aliases=("state",),
    )
    deployed_by: Mapped[str | None] = column(
        VARCHAR(100), "User or agent that deployed it.", holds=Holds.IDENTIFIER, aliases=("owner",)
    )
    deployment_config: Mapped[Any | None] = column(
        JSONB(),
        "How it is deployed: replicas, resources, traffic and the like.",
        server_default=EMPTY_OBJECT,
        holds=Holds.DATA,
    )
    shadow_metrics: Mapped[Any | None] = column(
        JSONB(), "Metrics from shadow mode.", server_default=EMPTY_OBJECT, holds=Holds.DATA
    )
    production_metrics: Mapped[Any | None] = column(
        JSONB(), "Metrics after promotion.", server_default=EMPTY_OBJECT, holds=Holds.DATA
    )
    previous_deployment_id: Mapped[UUID | None] = column(
        Uuid(), "Rollback chain reference: the deployment that this one replaced.", ForeignKey("ml_deployments.id")
    )
    rollback_reason: Mapped[str | None] = column(
        TEXT(), "Why it was rolled back, if it was.", holds=Holds.PROSE, aliases=("why rolled back",)
    )
    rolled_back_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was rolled back.")
    created_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was requested.", server_default=NOW)
    deployed_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it became active.")
    deactivated_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it stopped serving.")
    latency_p50_ms: Mapped[int | None] = column(
        Integer(),
        "50th percentile latency, in milliseconds.",
        unit=Unit.MILLISECONDS,
        aliases=("p50", "median latency"),
    )
    latency_p95_ms: Mapped[int | None] = column(
        Integer(), "95th percentile latency, in milliseconds.", unit=Unit.MILLISECONDS, aliases=("p95",)
    )
    latency_p99_ms: Mapped[int | None] = column(
        Integer(), "99th percentile latency, in milliseconds.", unit=Unit.MILLISECONDS, aliases=("p99", "tail latency")
    )
    error_rate: Mapped[Decimal | None] = column(
        Numeric(5, 4),
        "Serving error rate, a fraction of requests (0-1).",
        unit=Unit.FRACTION,
        aliases=("failure rate", "share of failed requests"),
    )

    model = belongs_to(
        "Model",
        "model_registry_id",
        "The model that is deployed.",
        inverse="deployments",
        latest="latest_deployment",
        inverse_doc="Deployments of the model.",
        lineage=comes_from(LineageKind.DEPLOYED_AS),
    )
    previous_deployment = belongs_to(
        "Deployment",
        "previous_deployment_id",
        "The deployment that this one replaced, the next link of the rollback chain.",
        inverse="next_deployments",
        inverse_doc="Deployments that replaced this one.",
        lineage=comes_from(LineageKind.ROLLS_BACK_TO),
        aliases=("predecessor", "rolled back to", "earlier deployment"),
        inverse_aliases=("successor",),
    )
    # UNION, not UNION ALL: the recursion ends at a cycle
    rollback_chain = linked_by(
        "Deployment",
        "{that}.id = ANY (ARRAY(WITH RECURSIVE chain (id) AS (SELECT {this}.previous_deployment_id UNION "
        "SELECT d.previous_deployment_id FROM chain AS c JOIN ml_deployments AS d ON d.id = c.id) "
        "SELECT id FROM chain WHERE id IS NOT NULL))",
        "Every deployment that this one could be rolled back to, by following `previousDeployment`; cycles are cut.",
        this_columns=("previous_deployment_id",),
        that_columns=("id",),
        inverse="succeeding_deployments",
        inverse_doc="Every deployment whose rollback chain contains this one; cycles are cut.",
        inverse_sql="{this}.id = ANY (ARRAY(WITH RECURSIVE chain (id) AS (SELECT d.id FROM ml_deployments AS d "
        "WHERE d.previous_deployment_id = {that}.id UNION SELECT d.id FROM chain AS c "
        "JOIN ml_deployments AS d ON d.previous_deployment_id = c.id) SELECT id FROM chain))",
        lineage="the chain of previous deployments, link by link an edge",
        aliases=("rollback history", "deployments before"),
    )


class ObservabilitySpan(Entity):
    """One Opik span of a distributed trace: an agent's operation, its LLM token usage and its fallback chain."""

    __group__ = Group.MLOPS_CORE
    __aliases__ = ("span", "trace", "agent call")
    __tablename__ = "ml_observability_spans"
    __record__ = facts(key=("trace_id", "span_id"), retention=Retention("started_at"))
    __label__ = ("agent_name", "operation_type")
    __table_args__ = (UniqueConstraint("trace_id", "span_id"),)
    __order__ = "started_at"
    __filtered__ = ("span_id", "status")
    __rollup__ = Rollup(
        "started_at",
        ("agent_name", "agent_tier"),
        (FIVE_MINUTES, HOUR, SIX_HOURS, DAY, WEEK),
        sketched=("duration_ms",),
        counted=(
            CountedRows("errors", "{row}.status = 'error'", ("status",)),
            CountedRows("fallbacks", "{row}.fallback_used", ("fallback_used",)),
        ),
    )
    __references__ = ("trace_id", "span_id")

    id: Mapped[UUID] = column(Uuid(), "Span record identifier.", primary_key=True, server_default=NEW_UUID)
    trace_id: Mapped[str] = column(VARCHAR(100), "Distributed trace ID, Opik's own.", holds=Holds.IDENTIFIER)
    span_id: Mapped[str] = column(VARCHAR(100), "Span ID within trace, Opik's own.", holds=Holds.IDENTIFIER)
    parent_span_id: Mapped[str | None] = column(
        VARCHAR(100),
        "Parent span (for nesting), by its span ID within the same trace; null for a root span.",
        holds=Holds.IDENTIFIER,
        aliases=("parent id",),
    )
    agent_name: Mapped[AgentName] = column(pg_enum(AgentName), "Which agent executed.", holds=Holds.LABEL)
    agent_tier: Mapped[AgentTier] = column(pg_enum(AgentTier), "Agent tier (0-5).")
    operation_type: Mapped[str | None] = column(
        VARCHAR(100),
        "Kind of operation: inference, training, shap_computation, etc.",
        holds=Holds.LABEL,
        aliases=("operation", "action"),
    )
    started_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), "When the operation started.")
    ended_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When the operation ended; null if running.")
    duration_ms: Mapped[int | None] = column(
        Integer(), "Execution duration, in milliseconds.", unit=Unit.MILLISECONDS, aliases=("latency", "elapsed")
    )
    model_name: Mapped[str | None] = column(
        VARCHAR(100), "LLM that the operation called, if any.", holds=Holds.IDENTIFIER, aliases=("llm",)
    )
    input_tokens: Mapped[int | None] = column(Integer(), "LLM tokens sent.", unit=Unit.TOKENS)
    output_tokens: Mapped[int | None] = column(Integer(), "LLM tokens received.", unit=Unit.TOKENS)
    total_tokens: Mapped[int | None] = column(
        Integer(), "LLM tokens consumed.", unit=Unit.TOKENS, aliases=("token usage",)
    )
    status: Mapped[str | None] = column(
        VARCHAR(50),
        "Outcome of the operation: success, error or timeout.",
        server_default="success",
        values=("success", "error", "timeout"),
    )
    error_type: Mapped[str | None] = column(VARCHAR(100), "Kind of error, if it failed.", holds=Holds.LABEL)
    error_message: Mapped[str | None] = column(TEXT(), "What went wrong, if it failed.", holds=Holds.PROSE)
    fallback_used: Mapped[bool | None] = column(Boolean(), "Whether fallback model was used.", server_default="false")
    fallback_chain: Mapped[Any | None] = column(
        JSONB(), "Sequence of models attempted.", server_default=EMPTY_LIST, holds=Holds.DATA
    )
    attributes: Mapped[Any | None] = column(
        JSONB(),
        "Custom attributes that the agent attached to the span.",
        server_default=EMPTY_OBJECT,
        holds=Holds.PROSE,
    )
    experiment_id: Mapped[UUID | None] = column(
        Uuid(), "Experiment that the operation was for.", ForeignKey("ml_experiments.id")
    )
    training_run_id: Mapped[UUID | None] = column(
        Uuid(), "Training run that the operation was part of.", ForeignKey("ml_training_runs.id")
    )
    deployment_id: Mapped[UUID | None] = column(
        Uuid(), "Deployment that carried out the operation.", ForeignKey("ml_deployments.id")
    )
    user_id: Mapped[str | None] = column(VARCHAR(100), "User on whose behalf the agent worked.", holds=Holds.IDENTIFIER)
    session_id: Mapped[str | None] = column(
        VARCHAR(100), "User session that the operation belongs to.", holds=Holds.IDENTIFIER
    )

    experiment = belongs_to(
        "Experiment",
        "experiment_id",
        "The experiment that the operation was for.",
        inverse="spans",
        inverse_doc="Spans of operations for the experiment.",
        lineage=comes_from(LineageKind.TRACED_BY),
    )
    training_run = belongs_to(
        "TrainingRun",
        "training_run_id",
        "The training run that the operation was part of.",
        inverse="spans",
        inverse_doc="Spans of the run's operations.",
        lineage=comes_from(LineageKind.TRACED_BY),
    )
    deployment = belongs_to(
        "Deployment",
        "deployment_id",
        "The deployment that carried out the operation.",
        inverse="spans",
        inverse_doc="Spans of operations that the deployment carried out.",
        lineage=comes_from(LineageKind.TRACED_BY),
    )
    model = linked_by(
        "Model",
        "{that}.id = coalesce("
        "(SELECT d.model_registry_id FROM ml_deployments d WHERE d.id = {this}.deployment_id), "
        "(SELECT r.model_registry_id FROM ml_training_runs r WHERE r.id = {this}.training_run_id))",
        "The model that the span belongs to: its deployment's, else its training run's.",
        this_columns=("deployment_id", "training_run_id"),
        that_columns=("id",),
        many=False,
        inverse="spans",
        inverse_doc="Spans that the model is traced by: its deployments' and, if they name none, its training runs'.",
        inverse_sql="({this}.deployment_id = ANY (ARRAY("
        "SELECT d.id FROM ml_deployments d WHERE d.model_registry_id = {that}.id)) "
        "OR {this}.deployment_id IS NULL AND {this}.training_run_id = ANY (ARRAY("
        "SELECT r.id FROM ml_training_runs r WHERE r.model_registry_id = {that}.id))) "
        # Always true here; it lowers the planner's estimate of rows. Otherwise the planner scans all spans in the order
        # of time to find the few of a model: 190 ms per model in a million spans; with the two indexes it takes 1 ms.
        "AND coalesce({this}.deployment_id, {this}.training_run_id) = CASE WHEN {this}.deployment_id IS NULL "
        "THEN {this}.training_run_id ELSE {this}.deployment_id END",
        lineage=comes_from(LineageKind.TRACED_BY),
    )
    parent = belongs_to(
        "ObservabilitySpan",
        {"trace_id": "trace_id", "parent_span_id": "span_id"},
        "The span that this one is nested in.",
        inverse="children",
        inverse_doc="Spans nested directly in this one.",
        lineage=comes_from(LineageKind.CONTAINS),
        aliases=("parent span", "caller"),
        inverse_aliases=("child spans", "sub spans", "calls"),
    )
    agent_latency = belongs_to(
        "AgentLatencySummary",
        {"agent_name": "agent_name", "agent_tier": "agent_tier"},
        "Latency and errors of the agent over the last 24 hours; null if it started no span in that time.",
        inverse="spans",
        inverse_doc="The agent's spans, newest first; also those before the last 24 hours.",
        lineage="a view that sums spans up",
    )

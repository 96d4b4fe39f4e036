"""Group 12, Feast tracking: feature views, their materialization, and how fresh their features are."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import TEXT, VARCHAR, BigInteger, Boolean, Double, ForeignKey, Index, Integer, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds, Unit
from db.base.lineage import LineageKind, comes_from, leads_to
from db.base.markers import Group, Retention, entity, facts
from db.base.vocabulary import EMPTY_LIST, EMPTY_OBJECT, NEW_UUID, NOW, Entity, belongs_to, column, linked_by


class FeatureView(Entity):
    """A Feast feature view: its features, entities, source, time-to-live and online serving."""

    __group__ = Group.FEAST_TRACKING
    __aliases__ = ("feast view",)
    __tablename__ = "ml_feast_feature_views"
    __record__ = entity(key=("name", "project"), retired={"deleted_at": "now()"})
    __table_args__ = (
        UniqueConstraint("name", "project"),
        Index("ix_ml_feast_feature_views_features", "features", postgresql_using="gin"),
    )
    __order__ = "created_at"
    __search__ = ("name", "source_name")

    id: Mapped[UUID] = column(Uuid(), "Feature view identifier.", primary_key=True, server_default=NEW_UUID)
    name: Mapped[str] = column(VARCHAR(255), "Feature view name.", holds=Holds.IDENTIFIER)
    project: Mapped[str | None] = column(
        VARCHAR(100),
        "Feast project (default: e2i_causal_analytics).",
        server_default="e2i_causal_analytics",
        holds=Holds.IDENTIFIER,
    )
    description: Mapped[str | None] = column(TEXT(), "What the feature view is for, in prose.", holds=Holds.PROSE)
    entities: Mapped[Any | None] = column(
        JSONB(), "Names of the entities.", server_default=EMPTY_LIST, holds=Holds.DATA
    )
    entity_join_keys: Mapped[Any | None] = column(
        JSONB(), "Join keys of the entities.", server_default=EMPTY_LIST, holds=Holds.DATA
    )
    features: Mapped[Any | None] = column(
        JSONB(), "Feature names and types.", server_default=EMPTY_LIST, holds=Holds.DATA
    )
    feature_count: Mapped[int | None] = column(Integer(), "Number of features.", server_default="0", unit=Unit.COUNT)
    source_type: Mapped[str | None] = column(
        VARCHAR(50), "Kind of source: batch, stream, or request.", values=("batch", "stream", "request")
    )
    source_name: Mapped[str | None] = column(VARCHAR(255), "Name of the source.", holds=Holds.IDENTIFIER)
    ttl_seconds: Mapped[int | None] = column(
        Integer(), "Time-to-live for freshness, in seconds.", unit=Unit.SECONDS, aliases=("time to live",)
    )
    online_enabled: Mapped[bool | None] = column(
        Boolean(), "Whether online serving is active.", server_default="true", aliases=("online",)
    )
    batch_source_enabled: Mapped[bool | None] = column(
        Boolean(), "Whether the batch source is active.", server_default="true"
    )
    tags: Mapped[Any | None] = column(
        JSONB(), "Tags, as names and values.", server_default=EMPTY_OBJECT, holds=Holds.DATA
    )
    owner: Mapped[str | None] = column(
        VARCHAR(100), "Person or team that owns the feature view.", holds=Holds.IDENTIFIER
    )
    created_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was created.", server_default=NOW)
    updated_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When it was last changed.", server_default=NOW
    )
    deleted_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When it was retired; null while it is in use."
    )

    served_features = linked_by(
        "Feature",
        "{that}.feature_name <> '' AND "
        "{that}.feature_name = ANY (ARRAY(SELECT coalesce(e ->> 'name', e #>> '{}') FROM jsonb_array_elements("
        "CASE jsonb_typeof({this}.features) WHEN 'array' THEN {this}.features END) AS e))",
        "Features of the feature store that the view serves, by name, in every version of theirs.",
        this_columns=("features",),
        that_columns=("feature_name",),
        inverse="feature_views",
        inverse_doc="Feast feature views that serve the feature, by its name.",
        inverse_sql="{that}.feature_name <> '' AND "
        "({this}.features @> jsonb_build_array(jsonb_build_object('name', {that}.feature_name)) "
        "OR {this}.features @> jsonb_build_array({that}.feature_name))",
        elements="features",
        lineage=leads_to(LineageKind.CONTAINS),
    )


class MaterializationJob(Entity):
    """One materialization of a feature view over a time window, with its resource usage."""

    __group__ = Group.FEAST_TRACKING
    __aliases__ = ("materialization", "job", "feast job")
    __tablename__ = "ml_feast_materialization_jobs"
    __record__ = entity(key=("job_id",), born=("PENDING", "SUCCESS", "COMPLETED", "FAILED"))
    __label__ = ("feature_view_name", "job_type")
    __order__ = "created_at"
    __search__ = ("job_id",)

    id: Mapped[UUID] = column(Uuid(), "Job identifier.", primary_key=True, server_default=NEW_UUID)
    feature_view_id: Mapped[UUID | None] = column(
        Uuid(), "Target feature view.", ForeignKey("ml_feast_feature_views.id")
    )
    feature_view_name: Mapped[str] = column(VARCHAR(255), "Name of the target feature view.", holds=Holds.IDENTIFIER)
    job_id: Mapped[str | None] = column(
        VARCHAR(255), "Identifier of the job in the system that ran it.", holds=Holds.IDENTIFIER
    )
    job_type: Mapped[str | None] = column(
        VARCHAR(50),
        "Kind of materialization: full or incremental.",
        server_default="incremental",
        values=("full", "incremental"),
    )
    start_time: Mapped[datetime] = column(TIMESTAMP(timezone=True), "Materialization window start.")
    end_time: Mapped[datetime] = column(TIMESTAMP(timezone=True), "Materialization window end.")
    status: Mapped[str | None] = column(
        VARCHAR(50), "State of the job: pending, running, success, failed.", server_default="pending", holds=Holds.STATE
    )
    error_message: Mapped[str | None] = column(TEXT(), "Why the job failed, if it did.", holds=Holds.PROSE)
    rows_materialized: Mapped[int | None] = column(
        Integer(), "Rows written.", server_default="0", unit=Unit.COUNT, aliases=("row count",)
    )
    bytes_written: Mapped[int | None] = column(BigInteger(), "Bytes written.", unit=Unit.BYTES)
    duration_seconds: Mapped[float | None] = column(Double(), "Job wall-clock time, in seconds.", unit=Unit.SECONDS)
    online_store_rows_written: Mapped[int | None] = column(
        Integer(), "Rows written to the online store.", unit=Unit.COUNT
    )
    online_store_latency_ms: Mapped[float | None] = column(
        Double(), "Latency of writes to the online store, in milliseconds.", unit=Unit.MILLISECONDS
    )
    cpu_seconds: Mapped[float | None] = column(Double(), "CPU time used, in seconds.", unit=Unit.SECONDS)
    memory_peak_mb: Mapped[float | None] = column(
        Double(), "Peak memory usage, in megabytes.", unit=Unit.MEGABYTES, aliases=("ram",)
    )
    created_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was created.", server_default=NOW)
    started_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it started.")
    completed_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it ended.")

    feature_view = belongs_to(
        "FeatureView",
        "feature_view_id",
        "The feature view that was materialized.",
        inverse="materialization_jobs",
        latest="latest_materialization_job",
        inverse_doc="Materialization jobs of the feature view, newest first.",
        lineage=comes_from(LineageKind.MATERIALIZED_BY),
    )


class FeatureFreshness(Entity):
    """One reading of a feature view's freshness, judged by staleness thresholds."""

    __group__ = Group.FEAST_TRACKING
    __aliases__ = ("freshness", "staleness")
    __tablename__ = "ml_feast_feature_freshness"
    __record__ = facts(retention=Retention("recorded_at", days=7))
    __label__ = ("feature_view_name", "freshness_status")
    __order__ = "recorded_at"

    id: Mapped[UUID] = column(Uuid(), "Freshness record identifier.", primary_key=True, server_default=NEW_UUID)
    feature_view_id: Mapped[UUID | None] = column(
        Uuid(), "Feature view monitored.", ForeignKey("ml_feast_feature_views.id")
    )
    feature_view_name: Mapped[str] = column(VARCHAR(255), "Name of the feature view monitored.", holds=Holds.IDENTIFIER)
    recorded_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When freshness was read.", server_default=NOW
    )
    last_materialization_time: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the feature view was last materialized."
    )
    staleness_seconds: Mapped[int | None] = column(
        Integer(), "Time since last materialization, in seconds.", unit=Unit.SECONDS, aliases=("age",)
    )
    data_lag_seconds: Mapped[int | None] = column(
        Integer(), "Lag between source and online store, in seconds.", unit=Unit.SECONDS
    )
    null_rate: Mapped[float | None] = column(
        Double(),
        "Percentage of null values among the features' values (percent, 0-100).",
        unit=Unit.PERCENT,
        aliases=("missing values", "missingness"),
    )
    unique_count: Mapped[int | None] = column(Integer(), "Number of distinct values.", unit=Unit.COUNT)
    freshness_status: Mapped[str | None] = column(
        VARCHAR(50),
        "Freshness: fresh, stale, critical, unknown.",
        server_default="unknown",
        values=("fresh", "stale", "critical", "unknown"),
        aliases=("status",),
    )
    staleness_threshold_seconds: Mapped[int | None] = column(
        Integer(), "Staleness above which the feature view is stale, in seconds.", unit=Unit.SECONDS
    )
    critical_threshold_seconds: Mapped[int | None] = column(
        Integer(), "Staleness above which the feature view is critical, in seconds.", unit=Unit.SECONDS
    )

    feature_view = belongs_to(
        "FeatureView",
        "feature_view_id",
        "The feature view that was monitored.",
        inverse="freshness",
        latest="latest_freshness",
        inverse_doc="Freshness readings of the feature view, newest first.",
        lineage=comes_from(LineageKind.MONITORED_BY),
    )

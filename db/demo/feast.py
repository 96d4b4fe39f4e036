"""Feast: feature views, their materialization and their freshness.

``hcp_engagement_daily`` is fresh, ``payer_mix_weekly`` is stale because a job failed, ``patient_clinical_daily`` is
critical because three failed, and ``referral_network_v1`` is retired.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from db.demo.vocabulary import FEATURES
from db.demo.world import World, seconds
from db.models.g12_feast_tracking import FeatureFreshness, FeatureView, MaterializationJob

HOUR, DAY, WEEK = 3_600, 86_400, 604_800


@dataclass(frozen=True)
class ViewSpec:
    """A feature view: the interval of its materialization, and the number of its latest jobs that failed."""

    name: str
    group: str
    entity: str
    ttl: int
    every: int
    failures: int = 0
    source: str = "batch"
    retired: bool = False


VIEWS = (
    ViewSpec("hcp_engagement_daily", "engagement", "hcp", DAY, DAY // 2),
    ViewSpec("hcp_prescriptions_daily", "prescriptions", "hcp", DAY, DAY // 2),
    ViewSpec("hcp_profile_weekly", "profile", "hcp", WEEK, 3 * DAY),
    ViewSpec("payer_mix_weekly", "access", "hcp", 6 * DAY, WEEK, failures=1),
    ViewSpec("patient_clinical_daily", "clinical", "patient", DAY, DAY, failures=3),
    ViewSpec("patient_journey_daily", "journey", "patient", DAY, DAY // 2),
    ViewSpec("trigger_events_stream", "treatment", "treatment", HOUR, HOUR // 2, source="stream"),
    ViewSpec("request_context", "demographics", "patient", HOUR, 0, source="request"),
    ViewSpec("referral_network_v1", "network", "hcp", WEEK, WEEK, retired=True),
)


def add_story(world: World, jobs: int) -> None:
    """The feature views with ``jobs`` materialization jobs each."""
    for spec in VIEWS:
        identity = _view(world, spec)
        last = _jobs(world, spec, identity, jobs) if spec.every and not spec.retired else None
        _readings(world, spec, identity, last)


def _view(world: World, spec: ViewSpec) -> UUID:
    features = [
        {"name": feature.name, "type": "Float64" if feature.kind == "numeric" else "String"}
        for feature in FEATURES
        if feature.group == spec.group
    ]
    born = world.ago(days=world.rng.randint(200, 500))
    retired = world.ago(days=60) if spec.retired else None
    row = world.rows.add(
        FeatureView,
        name=spec.name,
        project="e2i_causal_analytics",
        description=f"Features of the group {spec.group} per {spec.entity}.",
        entities=[spec.entity],
        entity_join_keys=[f"{spec.entity}_id"],
        features=features,
        feature_count=len(features),
        source_type=spec.source,
        source_name=f"{spec.group}_{spec.source}_source",
        ttl_seconds=spec.ttl,
        online_enabled=not spec.retired,
        batch_source_enabled=spec.source == "batch",
        tags={"tier": "gold" if spec.entity == "hcp" else "silver"},
        owner="feature-platform",
        created_at=born,
        updated_at=retired or born + timedelta(days=30),
        deleted_at=retired,
    )
    identity: UUID = row["id"]
    return identity


def _jobs(world: World, spec: ViewSpec, view: UUID, jobs: int) -> datetime:
    """Jobs up to the latest due time; returns the end of the last successful window."""
    latest = world.now - timedelta(seconds=min(spec.every // 2, 5 * HOUR))
    good = latest
    for number in range(jobs):
        end = latest - timedelta(seconds=spec.every * number)
        failed = number < spec.failures
        if number == spec.failures:
            good = end
        _job(world, spec, view, end, "failed" if failed else "success", full=number == jobs - 1)
    if spec.source == "stream":
        _job(world, spec, view, world.now, "running", full=False)
    elif spec.failures:
        _job(world, spec, view, world.now, "pending", full=False)
    return good


def _job(world: World, spec: ViewSpec, view: UUID, end: datetime, status: str, *, full: bool) -> None:
    good, ended = status == "success", status in {"success", "failed"}
    rows = world.rng.randint(4_000, 90_000) if good else 0
    lasted = world.between(20, 600, 2) if ended else None
    asked = end if ended else world.now - timedelta(minutes=4)
    started = None if status == "pending" else asked + timedelta(seconds=5)
    world.rows.add(
        MaterializationJob,
        feature_view_id=view,
        feature_view_name=spec.name,
        job_id=f"mat-{world.hex(10)}",
        job_type="full" if full else "incremental",
        start_time=end - timedelta(seconds=spec.every),
        end_time=end,
        status=status,
        error_message="Source table is locked by a rebuild." if status == "failed" else None,
        rows_materialized=rows,
        bytes_written=rows * 220 if good else None,
        duration_seconds=lasted,
        online_store_rows_written=rows if good else None,
        online_store_latency_ms=world.between(0.4, 6, 2) if good else None,
        cpu_seconds=round(lasted * 1.7, 2) if lasted else None,
        memory_peak_mb=world.between(300, 3_000, 1) if ended else None,
        created_at=asked,
        started_at=started,
        completed_at=started + timedelta(seconds=lasted) if started and lasted else None,
    )


def _readings(world: World, spec: ViewSpec, view: UUID, last: datetime | None) -> None:
    """Readings of the last day up to now; staleness is the time since the last successful job."""
    for hours in (18, 12, 6, 0):
        moment = world.now - timedelta(hours=hours, minutes=2)
        known = last
        while known and known > moment:  # successful jobs are evenly spaced
            known -= timedelta(seconds=spec.every)
        stale = seconds(known, moment) if known else None
        world.rows.add(
            FeatureFreshness,
            feature_view_id=view,
            feature_view_name=spec.name,
            recorded_at=moment,
            last_materialization_time=known,
            staleness_seconds=stale,
            data_lag_seconds=world.rng.randint(30, 900) if known else None,
            null_rate=world.between(0.0, 0.06),
            unique_count=world.rng.randint(100, 40_000),
            freshness_status=_status(spec, stale),
            staleness_threshold_seconds=spec.ttl,
            critical_threshold_seconds=2 * spec.ttl,
        )


def _status(spec: ViewSpec, stale: int | None) -> str:
    if stale is None:
        return "unknown"
    return "fresh" if stale <= spec.ttl else "stale" if stale <= 2 * spec.ttl else "critical"

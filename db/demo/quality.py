"""The feature store, data quality reports and SHAP analyses."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from uuid import UUID

from db.demo.rows import Row
from db.demo.vocabulary import FEATURES, REGIONS, SPECIALTIES, FeatureSpec
from db.demo.world import Case, Document, ModelCase, World
from db.models.g01_mlops_data import DataQualityReport, Feature, ShapAnalysis

SOURCES = {"hcp": "hcp_profiles", "patient": "patient_journeys", "treatment": "triggers"}
DIMENSIONS = ("completeness", "validity", "uniqueness", "consistency", "timeliness", "accuracy")
SUITES = {
    "patient_journeys": ("expect_column_values_to_not_be_null", "diagnosis_date"),
    "hcp_profiles": ("expect_column_values_to_be_in_set", "specialty"),
    "trx_weekly": ("expect_column_values_to_be_between", "trx"),
}


def feature_store(world: World) -> None:
    """Every feature with the statistics of its train split; a few have an older, inactive version."""
    scores = sorted((world.between(0.002, 0.12, 5) for _ in FEATURES), reverse=True)
    for rank, (spec, score) in enumerate(zip(world.rng.sample(FEATURES, len(FEATURES)), scores, strict=True), 1):
        born = world.ago(days=world.rng.randint(300, 600))
        if rank % 8 == 0:
            _feature(world, spec, "1.0", born, None, None)
            _feature(world, spec, "2.0", born + timedelta(days=120), score, rank)
        else:
            _feature(world, spec, "1.0", born, score, rank)


def _feature(
    world: World, spec: FeatureSpec, version: str, born: datetime, score: float | None, rank: int | None
) -> None:
    in_python = spec.group == "network"
    table = SOURCES[spec.entity]
    world.rows.add(
        Feature,
        feature_name=spec.name,
        feature_version=version,
        feature_group=spec.group,
        description=spec.doc,
        data_type=spec.kind,
        entity_type=spec.entity,
        computation_sql=None if in_python else f"SELECT {spec.entity}_id, {spec.name} FROM features.{table}",
        computation_python=f"network.{spec.name}(referrals)" if in_python else None,
        source_tables=[table, "trx_weekly"] if spec.group == "prescriptions" else [table],
        train_statistics=_statistics(world, spec),
        global_importance=score,
        importance_rank=rank,
        is_active=rank is not None,
        created_at=born,
        updated_at=born + timedelta(days=world.rng.randint(1, 100)),
        data_split="train",
    )


def _statistics(world: World, spec: FeatureSpec) -> Document:
    if spec.kind == "categorical":
        return {"null_rate": world.between(0.0, 0.03), "cardinality": world.rng.randint(2, 12)}
    return {
        "mean": spec.mean,
        "std": spec.deviation,
        "min": spec.within(spec.mean - 2.5 * spec.deviation),
        "max": round(spec.mean + 3.5 * spec.deviation, 3),
        "null_rate": world.between(0.0, 0.06),
        "histogram": [world.rng.randint(20, 4_000) for _ in range(10)],
    }


def reports(world: World, case: Case) -> None:
    """Data quality reports of an experiment's tables and splits, with the training runs for which they were made."""
    for made in case.models:
        for place, run in enumerate(made.runs[:1]):
            table = list(SUITES)[(place + len(case.models)) % len(SUITES)]
            for split in ("train", "validation", "test"):
                _report(world, case, table, split, made.registered - timedelta(hours=3), run)
    table = world.pick(list(SUITES))
    _report(world, case, table, "holdout", world.ago(days=world.rng.randint(1, 20)), None)
    _report(world, case, table, "unassigned", world.ago(hours=world.rng.randint(1, 20)), None)


def _report(world: World, case: Case, table: str, split: str, moment: datetime, run: UUID | None) -> None:
    status = world.rng.choices(("passed", "warning", "failed", "skipped"), (14, 3, 1.5, 0.7))[0]
    total = 0 if status == "skipped" else world.rng.randint(18, 64)
    bad = {"passed": 0, "skipped": 0, "warning": 1}.get(status, world.rng.randint(2, 6))
    leaking = status == "failed" and world.chance(0.3)
    expectation, field = SUITES[table]
    scores: Document = {
        f"{name}_score": None if status == "skipped" else round(1 - world.rng.betavariate(1, 30 if bad < 2 else 8), 4)
        for name in DIMENSIONS
    }
    world.rows.add(
        DataQualityReport,
        report_name=f"{table} {split} for {case.name}"[:255],
        expectation_suite_name=f"{table}_suite",
        table_name=table,
        brand=case.topic.brand,
        region=world.pick((None, None, None, *REGIONS)),
        overall_status=status,
        expectations_evaluated=total,
        expectations_passed=total - bad,
        expectations_failed=bad,
        success_rate=round((total - bad) / total, 4) if total else None,
        failed_expectations=[
            {"expectation": expectation, "column": field, "observed": world.between(0.9, 0.99)} for _ in range(bad)
        ],
        leakage_detected=leaking,
        leakage_details={"patients_in_both": world.rng.randint(3, 90), "splits": ["train", "test"]} if leaking else {},
        run_by="data_preparer",
        run_at=moment,
        duration_seconds=world.rng.randint(8, 300),
        data_split=split,
        training_run_id=run,
        **scores,
    )


def shap(world: World, case: Case) -> None:
    """A global analysis of each model; for serving models also segments, and patients or HCPs."""
    for made in case.models:
        importance = _importance(world, made)
        _analysis(world, made, "global", importance, {"top_interactions": _interactions(importance)})
        if made.stage not in {"production", "shadow"}:
            continue
        region = world.pick(REGIONS)
        _analysis(
            world, made, "segment", _importance(world, made),
            {"segment_name": region, "segment_filter": {"region": region}},
        )  # fmt: skip
        for _ in range(2):
            _local(world, made)


def _importance(world: World, made: ModelCase) -> dict[str, float]:
    weights = sorted((world.between(0.001, 0.2, 5) for _ in made.case.features), reverse=True)
    return dict(zip(world.rng.sample(made.case.features, len(weights)), weights, strict=True))


def _interactions(importance: dict[str, float]) -> list[Document]:
    first, second, third = list(importance)[:3]
    return [
        {"features": [first, second], "strength": round(importance[second] / 3, 5)},
        {"features": [first, third], "strength": round(importance[third] / 4, 5)},
    ]


def _analysis(world: World, made: ModelCase, kind: str, importance: dict[str, float], more: Document) -> Row:
    drivers = list(importance)[:5]
    values: Document = {
        "model_registry_id": made.id,
        "analysis_type": kind,
        "global_importance": importance if kind != "local" else {},
        "natural_language_explanation": f"{drivers[0]} and {drivers[1]} move the predictions of {made.name} most.",
        "key_drivers": drivers,
        "actionable_features": [name for name in drivers if name in {"rep_visits_90d", "email_open_rate"}],
        "sample_size": world.rng.randint(500, 5_000),
        "computation_method": "KernelExplainer" if "DML" in made.algorithm else "TreeExplainer",
        "computed_at": world.after(made.registered, 30, 300),
        "computation_duration_seconds": world.rng.randint(4, 900),
        "data_split": "test",
    }
    return world.rows.add(ShapAnalysis, **(values | more))


def _local(world: World, made: ModelCase) -> None:
    """Analyses of single HCPs or patients: base value and SHAP values add up to the prediction."""
    entity = made.case.topic.entity
    number = world.rng.randrange(10_000, 99_999)
    shares = {name: world.between(-0.08, 0.1, 5) for name in world.rng.sample(made.case.features, 6)}
    base = world.between(0.1, 0.3, 5)
    prediction = round(min(0.99, max(0.01, base + math.fsum(shares.values()))), 5)
    asked = world.ago(hours=world.rng.randint(1, 200))
    specialty = world.pick(SPECIALTIES.get(made.case.topic.brand, ("internist",)))
    ordered = dict(sorted(shares.items(), key=lambda item: -abs(item[1])))
    _analysis(world, made, "local", ordered, {
        "entity_type": entity,
        "entity_id": f"{entity}-{number}",
        "local_shap_values": ordered,
        "prediction_value": prediction,
        "base_value": base,
        "natural_language_explanation": f"For this {entity} ({specialty}), {next(iter(ordered))} weighs most.",
        "sample_size": 1,
        "computed_at": asked,
        "computation_duration_seconds": 0,
        "explanation_id": f"exp-{world.hex(8)}",
        f"{entity}_id": f"{entity}-{number}",
        "request_timestamp": asked,
        "response_time_ms": world.between(60, 900, 1),
        "prediction_class": "positive" if prediction >= 0.5 else "negative",
        "prediction_probability": prediction if prediction >= 0.5 else round(1 - prediction, 5),
        "top_k_requested": world.pick((3, 5, 10)),
        "format_requested": world.pick(("top_k", "narrative", "full")),
        "narrative_generated": True,
        "api_version": "4.1.0",
        "actionable_features": list(ordered)[:1],
    })  # fmt: skip

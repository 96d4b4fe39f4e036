"""ROI calculations, whose figures are the sums of their value drivers and costs.

The story is ``Kisqali rep visit targeting``: a first calculation was superseded by one with the effect of an A/B test.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from db.demo.rows import Row
from db.demo.world import Case, Document, World
from db.models.g05_roi_calculations import RoiCalculation, RoiCostDetail, RoiValueDriverDetail

DRIVERS: dict[str, Document] = {
    "trx_lift": {"quantity": (800, 4_000), "unit_value": 850},
    "patient_identification": {"quantity": (40, 300), "unit_value": 1_200},
    "action_rate": {"quantity": (2_000, 9_000), "unit_value": 45, "trigger_count": 12_000},
    "intent_to_prescribe": {"quantity": (100, 900), "unit_value": 320, "hcp_count": 640},
    "data_quality": {"quantity": (300, 2_000), "unit_value": 200, "fp_reduction": 240, "fn_reduction": 90},
    "drift_prevention": {
        "quantity": (1, 4), "unit_value": 90_000, "auc_drop_prevented": 0.06, "baseline_model_value": 1_500_000,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """A kind of cost: the range of its quantity, in days or months, and the USD per unit."""

    category: str
    finer: str
    units: tuple[int, int]
    unit_cost: int
    one_time: bool


COSTS = (
    Cost("engineering", "feature development", (20, 160), 2_500, one_time=True),
    Cost("data_acquisition", "claims feed", (1, 12), 9_000, one_time=False),
    Cost("change_management", "field training", (2, 30), 1_800, one_time=True),
    Cost("infrastructure", "serving", (6, 24), 1_100, one_time=False),
)
INITIATIVES = (
    "data_source_integration", "new_ml_model", "algorithm_optimization", "dashboard_enhancement", "trigger_redesign",
    "ab_test_implementation", "other",
)  # fmt: skip
ATTRIBUTION = {"full": 1.0, "partial": 0.65, "shared": 0.35, "minimal": 0.12}
RISK = {"low": 0.0, "medium": 0.06, "high": 0.14}
RISKS = (
    "risk_technical_complexity", "risk_organizational_change", "risk_data_dependencies", "risk_timeline_uncertainty",
)  # fmt: skip


def add_story(world: World, case: Case, causal_path: UUID) -> None:
    """The superseded calculation, and the current one, which depends on a validated causal path."""
    common: Document = {"brand": case.topic.brand, "experiment_id": case.id, "workstream": "WS1"}
    current = calculate(
        world, "Kisqali rep visit targeting", "new_ml_model", ("trx_lift", "action_rate"), "partial", days=10,
        causal_path_id=causal_path, npv_value=2_950_000, npv_roi=4.2, npv_years=3, **common,
    )  # fmt: skip
    calculate(
        world, "Kisqali rep visit targeting", "new_ml_model", ("trx_lift",), "shared", days=60, is_active=False,
        superseded_by=current["calculation_id"], notes="Before the A/B test; superseded by its result.", **common,
    )  # fmt: skip


def every_kind(world: World) -> None:
    """Calculations for every kind of initiative, driver and attribution."""
    drivers, levels = list(DRIVERS), list(ATTRIBUTION)
    for number, kind in enumerate(INITIATIVES):
        calculate(
            world, f"Portfolio {kind.replace('_', ' ')}", kind, (drivers[number % 6], drivers[(number + 2) % 6]),
            levels[number % 4], days=5 + number, brand="other" if kind == "other" else None,
            workstream=("WS1", "WS2", "WS3")[number % 3],
        )  # fmt: skip


def plain(world: World, case: Case) -> None:
    """A calculation for an experiment."""
    drivers = tuple(world.rng.sample(list(DRIVERS), 2))
    calculate(
        world, f"{case.name} roll-out", world.pick(INITIATIVES), drivers, world.pick(list(ATTRIBUTION)),
        days=world.rng.randint(1, 80), brand=case.topic.brand, experiment_id=case.id, workstream="WS2",
    )  # fmt: skip


def calculate(
    world: World, name: str, kind: str, drivers: tuple[str, ...], level: str, *, days: int, **more: Any
) -> Row:
    """A calculation with its drivers and costs; all figures are computed from quantities and risks."""
    identity = world.rows.uuid()
    moment = world.ago(days=days)
    value = {driver: _driver(world, identity, driver, moment) for driver in drivers}
    cost = {item.category: _cost(world, identity, item, moment) for item in world.rng.sample(COSTS, 3)}
    incremental, total = sum(value.values(), Decimal(0)), sum(cost.values(), Decimal(0))
    rate = ATTRIBUTION[level]
    attributed = round(incremental * Decimal(str(rate)), 2)
    risks = {risk: world.pick(list(RISK)) for risk in RISKS}
    adjustment = round(sum(RISK[label] for label in risks.values()), 4)
    base = float(attributed / total)
    adjusted = base * (1 - adjustment)
    values: Document = {
        "calculation_id": identity,
        "initiative_name": name,
        "initiative_type": kind,
        "initiative_description": f"{name}: value from {', '.join(drivers)}.",
        "brand": None,
        "incremental_value": incremental,
        "attributed_value": attributed,
        "implementation_cost": total,
        "base_roi": base,
        "risk_adjusted_roi": adjusted,
        "ci_lower": adjusted * 0.62,
        "ci_median": adjusted * 0.99,
        "ci_upper": adjusted * 1.45,
        "probability_positive": min(0.999, round(0.5 + adjusted / 8, 4)),
        "probability_target": max(0.001, min(0.95, round(adjusted / 10, 4))),
        "target_roi": 5,
        "simulation_count": 1_000,
        "attribution_level": level,
        "attribution_rate": rate,
        "total_risk_adjustment": adjustment,
        "value_by_driver": {driver: float(amount) for driver, amount in value.items()},
        "cost_breakdown": {category: float(amount) for category, amount in cost.items()},
        "sensitivity_results": {
            "attribution_rate": {"low": round(adjusted * 0.7, 2), "high": round(adjusted * 1.3, 2)},
            "unit_value": {"low": round(adjusted * 0.85, 2), "high": round(adjusted * 1.15, 2)},
        },
        "npv_value": None,
        "npv_roi": None,
        "npv_years": None,
        "discount_rate": 0.1,
        "calculated_at": moment,
        "calculated_by": "gap_analyzer",
        "methodology_version": "1.0",
        "gap_id": world.rows.uuid(),
        "causal_path_id": None,
        "experiment_id": None,
        "is_active": True,
        "superseded_by": None,
        "notes": None,
    }
    return world.rows.add(RoiCalculation, **(values | risks | more))


def _driver(world: World, calculation: UUID, driver: str, moment: datetime) -> Decimal:
    spec = DRIVERS[driver]
    quantity = world.rng.randint(*spec["quantity"])
    total = Decimal(quantity * spec["unit_value"])
    values: Document = {
        "hcp_count": None, "trigger_count": None, "fp_reduction": None, "fn_reduction": None,
        "auc_drop_prevented": None, "baseline_model_value": None,
    }  # fmt: skip
    values |= spec | {"quantity": quantity}
    world.rows.add(
        RoiValueDriverDetail, calculation_id=calculation, driver_type=driver, total_value=total, uncertainty_std=0.15,
        created_at=moment, **values,
    )  # fmt: skip
    return total


def _cost(world: World, calculation: UUID, cost: Cost, moment: datetime) -> Decimal:
    quantity = world.rng.randint(*cost.units)
    total = Decimal(quantity * cost.unit_cost)
    world.rows.add(
        RoiCostDetail,
        calculation_id=calculation,
        category=cost.category,
        subcategory=cost.finer,
        quantity=quantity,
        unit_cost=cost.unit_cost,
        total_cost=total,
        is_one_time=cost.one_time,
        recurrence_months=None if cost.one_time else quantity,
        created_at=moment,
    )
    return total

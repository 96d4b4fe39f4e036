"""Group 5, ROI calculations: return on investment of initiatives, by value driver and cost."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import TEXT, VARCHAR, Boolean, ForeignKey, Integer, Numeric, Uuid
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds, Unit
from db.base.lineage import LineageKind, comes_from, leads_to
from db.base.markers import Group, entity, facts
from db.base.vocabulary import (
    EMPTY_OBJECT,
    NEW_UUID,
    NOW,
    Entity,
    Labels,
    belongs_to,
    column,
    computed_object,
    linked_by,
    pg_enum,
)
from db.models.shared import Brand, Workstream


class ValueDriver(Labels, pg_name="value_driver_type"):
    """Where the value of an initiative comes from."""

    TRX_LIFT = "trx_lift", "More total prescriptions (TRx)."
    PATIENT_IDENTIFICATION = "patient_identification", "More patients identified."
    ACTION_RATE = "action_rate", "More triggers acted on."
    INTENT_TO_PRESCRIBE = "intent_to_prescribe", "Greater intent to prescribe among HCPs."
    DATA_QUALITY = "data_quality", "Fewer false positives and false negatives through better data."
    DRIFT_PREVENTION = "drift_prevention", "Loss of model value avoided by catching drift."


class AttributionLevel(Labels, pg_name="attribution_level_type"):
    """How much of the incremental value is attributed to the initiative."""

    FULL = "full", "100% of the value: the initiative is its sole driver."
    PARTIAL = "partial", "50-80% of the value: the initiative is its primary driver."
    SHARED = "shared", "20-50% of the value: several initiatives contribute."
    MINIMAL = "minimal", "Less than 20% of the value: the initiative is a minor contributor."


class RiskLevel(Labels, pg_name="risk_level_type"):
    """Level of a risk factor of an initiative."""

    LOW = "low", "Low risk."
    MEDIUM = "medium", "Medium risk."
    HIGH = "high", "High risk."


class InitiativeType(Labels, pg_name="initiative_type"):
    """Category of an initiative."""

    DATA_SOURCE_INTEGRATION = "data_source_integration", "Integration of a new data source."
    NEW_ML_MODEL = "new_ml_model", "A new ML model."
    ALGORITHM_OPTIMIZATION = "algorithm_optimization", "Optimization of an existing algorithm."
    DASHBOARD_ENHANCEMENT = "dashboard_enhancement", "Enhancement of a dashboard."
    TRIGGER_REDESIGN = "trigger_redesign", "Redesign of triggers."
    AB_TEST_IMPLEMENTATION = "ab_test_implementation", "Implementation of an A/B test."
    OTHER = "other", "Any other initiative."


class RoiCalculation(Entity):
    """Complete ROI analysis of an initiative, with confidence intervals from bootstrap simulation.

    The Gap Analyzer computes it: value by driver, cost, attribution, risk adjustment, and NPV for multi-year
    initiatives.
    """

    __group__ = Group.ROI_CALCULATIONS
    __aliases__ = ("roi", "return on investment", "business case", "initiative")
    __tablename__ = "roi_calculations"
    __record__ = entity(actor="calculated_by", updates=("superseded_by", "notes"), retired={"is_active": "false"})
    __order__ = "calculated_at"
    __filtered__ = ("causal_path_id",)
    __search__ = ("initiative_name", "methodology_version")

    calculation_id: Mapped[UUID] = column(Uuid(), "Calculation identifier.", primary_key=True, server_default=NEW_UUID)
    initiative_name: Mapped[str] = column(VARCHAR(200), "Initiative label.", holds=Holds.IDENTIFIER)
    initiative_type: Mapped[InitiativeType] = column(
        pg_enum(InitiativeType), "Category of initiative.", server_default=InitiativeType.OTHER.value
    )
    initiative_description: Mapped[str | None] = column(TEXT(), "What the initiative is, in prose.", holds=Holds.PROSE)
    brand: Mapped[Brand | None] = column(pg_enum(Brand), "Target brand; null for all brands.")
    workstream: Mapped[Workstream | None] = column(pg_enum(Workstream), "Workstream that the initiative belongs to.")
    incremental_value: Mapped[Decimal] = column(
        Numeric(15, 2), "Total incremental value, in USD.", unit=Unit.USD, aliases=("benefit", "gain")
    )
    attributed_value: Mapped[Decimal] = column(
        Numeric(15, 2), "Value after attribution discount, in USD.", unit=Unit.USD
    )
    implementation_cost: Mapped[Decimal] = column(
        Numeric(15, 2), "Total cost, in USD.", unit=Unit.USD, aliases=("investment", "spend", "budget")
    )
    base_roi: Mapped[Decimal] = column(
        Numeric(8, 2),
        "ROI before risk adjustment, as a multiple of the cost.",
        unit=Unit.MULTIPLE,
        aliases=("return on investment",),
    )
    risk_adjusted_roi: Mapped[Decimal] = column(
        Numeric(8, 2),
        "ROI after risk adjustment, as a multiple of the cost.",
        unit=Unit.MULTIPLE,
        aliases=("return on investment",),
    )
    ci_lower: Mapped[Decimal] = column(
        Numeric(8, 2), "2.5th percentile ROI of the bootstrap, as a multiple of the cost.", unit=Unit.MULTIPLE
    )
    ci_median: Mapped[Decimal] = column(
        Numeric(8, 2), "Median ROI of the bootstrap, as a multiple of the cost.", unit=Unit.MULTIPLE
    )
    ci_upper: Mapped[Decimal] = column(
        Numeric(8, 2), "97.5th percentile ROI of the bootstrap, as a multiple of the cost.", unit=Unit.MULTIPLE
    )
    probability_positive: Mapped[Decimal | None] = column(
        Numeric(5, 4),
        "P(ROI > 1x): probability that the initiative pays for itself (0-1).",
        unit=Unit.FRACTION,
        aliases=("pays off", "break even"),
    )
    probability_target: Mapped[Decimal | None] = column(
        Numeric(5, 4), "P(ROI > target): probability that the target ROI is exceeded (0-1).", unit=Unit.FRACTION
    )
    target_roi: Mapped[Decimal | None] = column(
        Numeric(8, 2), "Target ROI, as a multiple of the cost.", server_default="5.0", unit=Unit.MULTIPLE
    )
    simulation_count: Mapped[int | None] = column(
        Integer(), "Number of bootstrap simulations.", server_default="1000", unit=Unit.COUNT
    )
    attribution_level: Mapped[AttributionLevel] = column(
        pg_enum(AttributionLevel),
        "Causal attribution strength: full (100%), partial (50-80%), shared (20-50%) or minimal (<20%).",
        server_default=AttributionLevel.PARTIAL.value,
    )
    attribution_rate: Mapped[Decimal] = column(
        Numeric(5, 4), "Share of the incremental value that is attributed to the initiative (0-1).", unit=Unit.FRACTION
    )
    risk_technical_complexity: Mapped[RiskLevel | None] = column(
        pg_enum(RiskLevel), "Risk from technical complexity: low, medium or high.", server_default=RiskLevel.LOW.value
    )
    risk_organizational_change: Mapped[RiskLevel | None] = column(
        pg_enum(RiskLevel), "Risk from organizational change: low, medium or high.", server_default=RiskLevel.LOW.value
    )
    risk_data_dependencies: Mapped[RiskLevel | None] = column(
        pg_enum(RiskLevel), "Risk from data dependencies: low, medium or high.", server_default=RiskLevel.LOW.value
    )
    risk_timeline_uncertainty: Mapped[RiskLevel | None] = column(
        pg_enum(RiskLevel), "Risk from an uncertain timeline: low, medium or high.", server_default=RiskLevel.LOW.value
    )
    total_risk_adjustment: Mapped[Decimal | None] = column(
        Numeric(5, 4), "Combined risk adjustment of the four risk factors (0-1).", unit=Unit.FRACTION
    )
    value_by_driver: Mapped[Any] = column(
        JSONB(), "Incremental value by type of value driver, in USD.", server_default=EMPTY_OBJECT, holds=Holds.DATA
    )
    cost_breakdown: Mapped[Any] = column(
        JSONB(), "Implementation cost by category, in USD.", server_default=EMPTY_OBJECT, holds=Holds.DATA
    )
    sensitivity_results: Mapped[Any | None] = column(
        JSONB(), "Tornado diagram data: the range of the ROI by parameter varied.", holds=Holds.DATA
    )
    npv_value: Mapped[Decimal | None] = column(
        Numeric(15, 2),
        "Net present value (NPV) of a multi-year initiative, in USD.",
        unit=Unit.USD,
        aliases=("net present value",),
    )
    npv_roi: Mapped[Decimal | None] = column(
        Numeric(8, 2), "ROI at net present value, as a multiple of the cost.", unit=Unit.MULTIPLE
    )
    npv_years: Mapped[int | None] = column(
        Integer(), "Years that the net present value is taken over.", unit=Unit.YEARS
    )
    discount_rate: Mapped[Decimal | None] = column(
        Numeric(5, 4), "Yearly discount rate of the net present value (0-1).", server_default="0.10", unit=Unit.FRACTION
    )
    calculated_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), "When it was calculated.", server_default=NOW)
    calculated_by: Mapped[str | None] = column(
        VARCHAR(100), "User or agent that made the calculation.", holds=Holds.IDENTIFIER
    )
    methodology_version: Mapped[str | None] = column(
        VARCHAR(20), "Version of the ROI methodology.", server_default="1.0", holds=Holds.IDENTIFIER
    )
    gap_id: Mapped[UUID | None] = column(
        Uuid(), "Performance gap that the initiative addresses, as the Gap Analyzer numbers it."
    )
    causal_path_id: Mapped[UUID | None] = column(
        Uuid(), "Causal path that the value rests on, by its id in causal_paths."
    )
    experiment_id: Mapped[UUID | None] = column(Uuid(), "Experiment that the initiative is tested in, by its id.")
    created_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), "When it was recorded.", server_default=NOW)
    updated_at: Mapped[datetime] = column(
        TIMESTAMP(timezone=True), "When it was last changed; set by a trigger.", server_default=NOW
    )
    is_active: Mapped[bool | None] = column(
        Boolean(), "Whether the calculation is in force; false once it is superseded.", server_default="true"
    )
    superseded_by: Mapped[UUID | None] = column(
        Uuid(), "Calculation that replaces this one.", ForeignKey("roi_calculations.calculation_id")
    )
    notes: Mapped[str | None] = column(TEXT(), "Remarks on the calculation.", holds=Holds.PROSE)

    superseded_by_calculation = belongs_to(
        "RoiCalculation",
        {"superseded_by": "calculation_id"},
        "The calculation that replaces this one.",
        inverse="supersedes_calculations",
        inverse_doc="Calculations that this one replaces.",
        lineage=leads_to(LineageKind.SUPERSEDES),
        aliases=("replaced by", "newer calculation"),
        inverse_aliases=("replaces", "earlier calculations"),
    )
    experiment = belongs_to(
        "Experiment",
        "experiment_id",
        "The experiment that the initiative is tested in.",
        inverse="roi_calculations",
        inverse_doc="ROI calculations of initiatives tested in the experiment.",
        lineage=comes_from(LineageKind.VALUED_BY),
    )
    causal_validations = linked_by(
        "CausalValidation",
        "{that}.estimate_id = {this}.causal_path_id AND {that}.estimate_source = 'causal_paths'",
        "Refutation tests of the causal path that the value depends on.",
        this_columns=("causal_path_id",),
        that_columns=("estimate_id", "estimate_source"),
        inverse="roi_calculations",
        inverse_doc="ROI calculations whose value depends on the tested causal path.",
        lineage=comes_from(LineageKind.VALIDATES),
    )
    breakdown = computed_object(
        "Totals of the itemized value drivers and costs, to compare with the totals of the calculation.",
        {
            "value_total": (
                (
                    "(SELECT sum(v.total_value) FROM roi_value_driver_details AS v "
                    "WHERE v.calculation_id = {row}.calculation_id)"
                ),
                Numeric(),
                "Sum of the value drivers, in USD; null where none is itemised.",
                Unit.USD,
            ),
            "cost_total": (
                "(SELECT sum(c.total_cost) FROM roi_cost_details AS c WHERE c.calculation_id = {row}.calculation_id)",
                Numeric(),
                "Sum of the costs, in USD; null where none is itemised.",
                Unit.USD,
            ),
            "one_time_cost": (
                (
                    "(SELECT sum(c.total_cost) FROM roi_cost_details AS c "
                    "WHERE c.calculation_id = {row}.calculation_id AND c.is_one_time)"
                ),
                Numeric(),
                "Part of the costs that is spent once, in USD.",
                Unit.USD,
            ),
            "recurring_cost": (
                (
                    "(SELECT sum(c.total_cost) FROM roi_cost_details AS c "
                    "WHERE c.calculation_id = {row}.calculation_id AND NOT c.is_one_time)"
                ),
                Numeric(),
                "Part of the costs that recurs, in USD.",
                Unit.USD,
            ),
        },
        columns=("calculation_id",),
    )


class RoiValueDriverDetail(Entity):
    """One value driver of an ROI calculation: units, value per unit and what they come to."""

    __group__ = Group.ROI_CALCULATIONS
    __aliases__ = ("value driver", "benefit")
    __tablename__ = "roi_value_driver_details"
    __record__ = facts(part_of="calculation_id")
    __label__ = ("driver_type",)
    __order__ = "created_at"

    detail_id: Mapped[UUID] = column(Uuid(), "Detail identifier.", primary_key=True, server_default=NEW_UUID)
    calculation_id: Mapped[UUID] = column(
        Uuid(), "Parent ROI calculation.", ForeignKey("roi_calculations.calculation_id")
    )
    driver_type: Mapped[ValueDriver] = column(pg_enum(ValueDriver), "Type of value driver.")
    quantity: Mapped[Decimal] = column(Numeric(12, 2), "Number of units.", unit=Unit.COUNT)
    unit_value: Mapped[Decimal] = column(Numeric(10, 2), "Dollar value per unit, in USD.", unit=Unit.USD)
    total_value: Mapped[Decimal] = column(
        Numeric(15, 2), "quantity x unit_value, in USD.", unit=Unit.USD, aliases=("amount", "benefit")
    )
    hcp_count: Mapped[int | None] = column(
        Integer(), "Number of HCPs reached, for intent_to_prescribe.", unit=Unit.COUNT
    )
    trigger_count: Mapped[int | None] = column(Integer(), "Number of triggers sent, for action_rate.", unit=Unit.COUNT)
    fp_reduction: Mapped[int | None] = column(
        Integer(), "Number of false positives avoided, for data_quality.", unit=Unit.COUNT
    )
    fn_reduction: Mapped[int | None] = column(
        Integer(), "Number of false negatives avoided, for data_quality.", unit=Unit.COUNT
    )
    auc_drop_prevented: Mapped[Decimal | None] = column(
        Numeric(5, 4), "Drop of ROC AUC prevented (0-1), for drift_prevention.", unit=Unit.FRACTION
    )
    baseline_model_value: Mapped[Decimal | None] = column(
        Numeric(15, 2), "Value of the model without drift, in USD, for drift_prevention.", unit=Unit.USD
    )
    uncertainty_std: Mapped[Decimal | None] = column(
        Numeric(5, 4),
        "Standard deviation of the value, as a fraction of its mean (0-1).",
        server_default="0.15",
        unit=Unit.FRACTION,
    )
    created_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), "When it was recorded.", server_default=NOW)

    calculation = belongs_to(
        "RoiCalculation",
        {"calculation_id": "calculation_id"},
        "The calculation that the value driver is part of.",
        inverse="value_drivers",
        inverse_doc="Value drivers of the calculation, itemized.",
        lineage=comes_from(LineageKind.CONTAINS),
    )


class RoiCostDetail(Entity):
    """One cost of an ROI calculation, one-time or recurring."""

    __group__ = Group.ROI_CALCULATIONS
    __aliases__ = ("cost", "cost item", "expense")
    __tablename__ = "roi_cost_details"
    __record__ = facts(part_of="calculation_id")
    __label__ = ("category",)
    __order__ = "created_at"

    detail_id: Mapped[UUID] = column(Uuid(), "Detail identifier.", primary_key=True, server_default=NEW_UUID)
    calculation_id: Mapped[UUID] = column(
        Uuid(), "Parent ROI calculation.", ForeignKey("roi_calculations.calculation_id")
    )
    category: Mapped[str] = column(
        VARCHAR(50), "Cost category (engineering, data_acquisition, etc.).", holds=Holds.LABEL
    )
    subcategory: Mapped[str | None] = column(VARCHAR(100), "Finer category of the cost.", holds=Holds.LABEL)
    quantity: Mapped[Decimal | None] = column(
        Numeric(10, 2), "Number of units, such as engineering days.", unit=Unit.COUNT
    )
    unit_cost: Mapped[Decimal | None] = column(Numeric(10, 2), "Cost per unit, in USD.", unit=Unit.USD)
    total_cost: Mapped[Decimal] = column(
        Numeric(15, 2), "Total cost amount, in USD.", unit=Unit.USD, aliases=("amount", "spend")
    )
    is_one_time: Mapped[bool | None] = column(
        Boolean(), "One-time vs. recurring: true for a one-time cost.", server_default="true"
    )
    recurrence_months: Mapped[int | None] = column(Integer(), "Duration if recurring, in months.", unit=Unit.MONTHS)
    created_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), "When it was recorded.", server_default=NOW)

    calculation = belongs_to(
        "RoiCalculation",
        {"calculation_id": "calculation_id"},
        "The calculation that the cost is part of.",
        inverse="costs",
        inverse_doc="Costs of the calculation, itemized.",
        lineage=comes_from(LineageKind.CONTAINS),
    )

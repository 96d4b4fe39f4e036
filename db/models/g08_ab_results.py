"""Group 8, A/B testing: results, sample ratios and fidelity."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import TEXT, VARCHAR, Boolean, Double, ForeignKey, Integer, Uuid
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds, Unit
from db.base.lineage import LineageKind, comes_from
from db.base.markers import Group, Retention, entity
from db.base.vocabulary import (
    EMPTY_LIST,
    EMPTY_OBJECT,
    NEW_UUID,
    NOW,
    Entity,
    Labels,
    belongs_to,
    column,
    computed,
    pg_enum,
)
from db.models.grades import GRADES, grade_of


class AnalysisType(Labels, pg_name="ab_analysis_type"):
    """When in the experiment a result was computed."""

    INTERIM = "interim", "While the experiment was running."
    FINAL = "final", "At the end of the experiment, as planned."
    POST_HOC = "post_hoc", "After the end, exploratory."


class AnalysisMethod(Labels, pg_name="ab_analysis_method"):
    """Which units a result counts, and in which arm."""

    ITT = "itt", "Intention to treat: every unit in the arm that it was assigned to."
    PER_PROTOCOL = "per_protocol", "Only units that kept to the protocol."
    AS_TREATED = "as_treated", "Every unit in the arm whose treatment it received."
    CACE = "cace", "Complier average causal effect: the effect among units that comply with their assignment."


class SrmSeverity(Labels, pg_name="srm_severity"):
    """How severe a sample ratio mismatch is."""

    NONE = "none", "No mismatch."
    MINOR = "minor", "Slight mismatch: p > 0.01."
    MODERATE = "moderate", "Clear mismatch: 0.001 < p <= 0.01."
    SEVERE = "severe", "Gross mismatch: p <= 0.001."


class ExperimentResult(Entity):
    """A computed result of an experiment: effect estimate, inference and effects by segment."""

    __group__ = Group.AB_TESTING
    __aliases__ = ("ab result", "ab test", "test result", "treatment effect")
    __tablename__ = "ab_experiment_results"
    __record__ = entity(actor="computed_by", server=("approved_by", "approval_timestamp"), updates=())
    __label__ = ("analysis_type", "primary_metric")
    __order__ = "computed_at"

    id: Mapped[UUID] = column(Uuid(), "Result identifier.", primary_key=True, server_default=NEW_UUID)
    experiment_id: Mapped[UUID] = column(Uuid(), "Parent experiment.", ForeignKey("ml_experiments.id"))
    analysis_type: Mapped[AnalysisType] = column(
        pg_enum(AnalysisType), "When the result was computed: interim, final, or post_hoc."
    )
    analysis_method: Mapped[AnalysisMethod] = column(
        pg_enum(AnalysisMethod),
        "Analysis population: itt, per_protocol, as_treated, or cace.",
        server_default=AnalysisMethod.ITT.value,
    )
    computed_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the result was computed.", server_default=NOW
    )
    primary_metric: Mapped[str] = column(VARCHAR(100), "Primary outcome metric.", holds=Holds.LABEL)
    primary_metric_type: Mapped[str | None] = column(
        VARCHAR(50),
        "Kind of the primary metric: continuous, binary, count or time_to_event.",
        server_default="continuous",
        values=("continuous", "binary", "count", "time_to_event"),
    )
    control_mean: Mapped[float | None] = column(
        Double(), "Mean of the primary metric in the control arm.", unit=Unit.ROW_SCALE
    )
    control_std: Mapped[float | None] = column(
        Double(), "Standard deviation of the primary metric in the control arm.", unit=Unit.ROW_SCALE
    )
    control_median: Mapped[float | None] = column(
        Double(), "Median of the primary metric in the control arm.", unit=Unit.ROW_SCALE
    )
    control_n: Mapped[int] = column(Integer(), "Control arm sample size.", unit=Unit.COUNT)
    treatment_mean: Mapped[float | None] = column(
        Double(), "Mean of the primary metric in the treatment arm.", unit=Unit.ROW_SCALE
    )
    treatment_std: Mapped[float | None] = column(
        Double(), "Standard deviation of the primary metric in the treatment arm.", unit=Unit.ROW_SCALE
    )
    treatment_median: Mapped[float | None] = column(
        Double(), "Median of the primary metric in the treatment arm.", unit=Unit.ROW_SCALE
    )
    treatment_n: Mapped[int] = column(Integer(), "Treatment arm sample size.", unit=Unit.COUNT)
    effect_estimate: Mapped[float] = column(
        Double(),
        "Point estimate of effect, on the scale of effect_type.",
        unit=Unit.ROW_SCALE,
        aliases=("treatment effect", "uplift", "lift"),
    )
    effect_type: Mapped[str | None] = column(
        VARCHAR(50),
        "Scale of the effect: absolute, relative, odds_ratio, risk_ratio or hazard_ratio.",
        server_default="absolute",
        values=("absolute", "relative", "odds_ratio", "risk_ratio", "hazard_ratio"),
    )
    effect_ci_lower: Mapped[float | None] = column(
        Double(),
        "Lower bound of the effect's confidence interval.",
        unit=Unit.ROW_SCALE,
        aliases=("confidence interval",),
    )
    effect_ci_upper: Mapped[float | None] = column(
        Double(),
        "Upper bound of the effect's confidence interval.",
        unit=Unit.ROW_SCALE,
        aliases=("confidence interval",),
    )
    confidence_level: Mapped[float | None] = column(
        Double(), "Level of the confidence intervals (0-1).", server_default="0.95", unit=Unit.FRACTION
    )
    test_statistic: Mapped[float | None] = column(
        Double(), "Test statistic value, on the scale of the test.", unit=Unit.ROW_SCALE
    )
    test_type: Mapped[str | None] = column(
        VARCHAR(50),
        "Statistical test used: t_test, z_test, chi_squared, mann_whitney or log_rank.",
        values=("t_test", "z_test", "chi_squared", "mann_whitney", "log_rank"),
    )
    p_value: Mapped[float | None] = column(
        Double(), "Statistical significance: p-value of the test (0-1).", unit=Unit.FRACTION, aliases=("significance",)
    )
    is_significant: Mapped[bool | None] = column(Boolean(), "Whether effect is significant.")
    adjusted_p_value: Mapped[float | None] = column(
        Double(), "P-value adjusted for multiple testing (0-1).", unit=Unit.FRACTION
    )
    observed_power: Mapped[float | None] = column(
        Double(), "Power of the test at the observed effect (0-1).", unit=Unit.FRACTION
    )
    minimum_detectable_effect: Mapped[float | None] = column(
        Double(),
        "Least effect that the test could detect with its sample size, on the scale of effect_type.",
        unit=Unit.ROW_SCALE,
    )
    secondary_metrics: Mapped[Any | None] = column(
        JSONB(),
        "Secondary metrics, each with its means, effect, p-value and significance.",
        server_default=EMPTY_LIST,
        holds=Holds.DATA,
    )
    segment_results: Mapped[Any | None] = column(
        JSONB(),
        "Heterogeneous treatment effects by specialty, decile, etc.",
        server_default=EMPTY_OBJECT,
        holds=Holds.DATA,
    )
    covariates_adjusted: Mapped[Any | None] = column(
        JSONB(),
        "Names of the covariates that the adjusted effect accounts for.",
        server_default=EMPTY_LIST,
        holds=Holds.DATA,
    )
    adjusted_effect_estimate: Mapped[float | None] = column(
        Double(), "Covariate-adjusted effect, on the scale of effect_type.", unit=Unit.ROW_SCALE
    )
    adjusted_ci_lower: Mapped[float | None] = column(
        Double(), "Lower bound of the adjusted effect's confidence interval.", unit=Unit.ROW_SCALE
    )
    adjusted_ci_upper: Mapped[float | None] = column(
        Double(), "Upper bound of the adjusted effect's confidence interval.", unit=Unit.ROW_SCALE
    )
    missing_rate_control: Mapped[float | None] = column(
        Double(), "Share of the control arm without an outcome (0-1).", unit=Unit.FRACTION
    )
    missing_rate_treatment: Mapped[float | None] = column(
        Double(), "Share of the treatment arm without an outcome (0-1).", unit=Unit.FRACTION
    )
    outliers_removed: Mapped[int | None] = column(
        Integer(), "Number of outliers that were left out.", server_default="0", unit=Unit.COUNT
    )
    computed_by: Mapped[str | None] = column(
        VARCHAR(100), "User or agent that computed the result.", holds=Holds.IDENTIFIER
    )
    approved_by: Mapped[str | None] = column(VARCHAR(100), "Who approved the result.", holds=Holds.IDENTIFIER)
    approval_timestamp: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When the result was approved.")
    created_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the result was recorded.", server_default=NOW
    )

    experiment = belongs_to(
        "Experiment",
        "experiment_id",
        "The experiment that the result was computed for.",
        inverse="results",
        latest="latest_result",
        inverse_doc="Computed results of the experiment, newest first.",
        lineage=comes_from(LineageKind.PRODUCES),
    )


class SrmCheck(Entity):
    """A check of an experiment for sample ratio mismatch, by a chi-squared test."""

    __group__ = Group.AB_TESTING
    __aliases__ = ("sample ratio mismatch", "srm")
    __tablename__ = "ab_srm_checks"
    __record__ = entity(
        server=("root_cause", "resolution_action", "resolved_at", "resolved_by"),
        updates=("investigation_notes",),
        retention=Retention("checked_at", days=365),
    )
    __label__ = ("severity", "checked_at")
    __order__ = "checked_at"

    id: Mapped[UUID] = column(Uuid(), "Check identifier.", primary_key=True, server_default=NEW_UUID)
    experiment_id: Mapped[UUID] = column(Uuid(), "Parent experiment.", ForeignKey("ml_experiments.id"))
    checked_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the check was made.", server_default=NOW
    )
    check_type: Mapped[str | None] = column(
        VARCHAR(50),
        "What called for the check: scheduled, triggered or manual.",
        server_default="scheduled",
        values=("scheduled", "triggered", "manual"),
    )
    expected_ratio: Mapped[Any] = column(JSONB(), "Expected allocation per variant, as shares (0-1).", holds=Holds.DATA)
    actual_counts: Mapped[Any] = column(JSONB(), "Observed counts per variant.", holds=Holds.DATA)
    chi_squared_statistic: Mapped[float | None] = column(
        Double(), "Chi-squared test statistic.", unit=Unit.DIMENSIONLESS
    )
    degrees_of_freedom: Mapped[int | None] = column(
        Integer(),
        "Degrees of freedom of the test: number of variants less one.",
        server_default="1",
        unit=Unit.DIMENSIONLESS,
    )
    p_value: Mapped[float | None] = column(
        Double(), "Statistical significance: p-value of the test (0-1).", unit=Unit.FRACTION
    )
    is_srm_detected: Mapped[bool] = column(
        Boolean(), "Whether a mismatch was detected.", server_default="false", aliases=("sample ratio mismatch",)
    )
    severity: Mapped[SrmSeverity] = column(
        pg_enum(SrmSeverity),
        "Severity of the mismatch: none, minor, moderate, severe.",
        server_default=SrmSeverity.NONE.value,
    )
    deviation_percent: Mapped[float | None] = column(
        Double(), "Absolute deviation of the observed from the expected allocation (percent).", unit=Unit.PERCENT
    )
    investigation_notes: Mapped[str | None] = column(
        TEXT(), "What the investigation went through, in prose.", holds=Holds.PROSE
    )
    root_cause: Mapped[str | None] = column(
        VARCHAR(100),
        "Investigation finding: bot_traffic, tracking_bug, assignment_bug, unknown, etc.",
        holds=Holds.LABEL,
    )
    resolution_action: Mapped[str | None] = column(TEXT(), "What was done about the mismatch.", holds=Holds.PROSE)
    resolved_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When the mismatch was resolved.")
    resolved_by: Mapped[str | None] = column(VARCHAR(100), "Who resolved the mismatch.", holds=Holds.IDENTIFIER)
    created_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the check was recorded.", server_default=NOW
    )

    experiment = belongs_to(
        "Experiment",
        "experiment_id",
        "The experiment that was checked.",
        inverse="srm_checks",
        latest="latest_srm_check",
        inverse_doc="Sample ratio mismatch checks of the experiment, newest first.",
        lineage=comes_from(LineageKind.ANALYZED_BY),
    )


class FidelityComparison(Entity):
    """A comparison of a digital twin's prediction with the actual result of an experiment.

    Prediction errors and fidelity scores are computed by triggers.
    """

    __group__ = Group.AB_TESTING
    __aliases__ = ("twin comparison", "predicted versus actual")
    __tablename__ = "ab_fidelity_comparisons"
    __record__ = entity(
        key=("experiment_id", "twin_simulation_id", "comparison_type"),
        server=(
            "prediction_error", "absolute_prediction_error", "relative_prediction_error",
            "confidence_interval_coverage", "direction_match", "fidelity_score", "fidelity_grade",
        ),
        actor="compared_by",
    )  # fmt: skip
    __label__ = ("effect_grade",)
    __order__ = "comparison_timestamp"

    id: Mapped[UUID] = column(Uuid(), "Comparison identifier.", primary_key=True, server_default=NEW_UUID)
    experiment_id: Mapped[UUID] = column(Uuid(), "Parent experiment.", ForeignKey("ml_experiments.id"))
    twin_simulation_id: Mapped[UUID] = column(
        Uuid(), "Digital Twin simulation that made the prediction.", ForeignKey("twin_simulations.simulation_id")
    )
    results_id: Mapped[UUID | None] = column(
        Uuid(), "Experiment results that were compared.", ForeignKey("ab_experiment_results.id")
    )
    comparison_timestamp: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the comparison was made.", server_default=NOW
    )
    comparison_type: Mapped[str | None] = column(
        VARCHAR(50), "Results compared with: interim or final.", server_default="final", values=("interim", "final")
    )
    predicted_effect: Mapped[float] = column(
        Double(), "Twin-predicted effect.", unit=Unit.ROW_SCALE, aliases=("simulated effect",)
    )
    predicted_ci_lower: Mapped[float | None] = column(
        Double(), "Lower bound of the predicted effect's confidence interval.", unit=Unit.ROW_SCALE
    )
    predicted_ci_upper: Mapped[float | None] = column(
        Double(), "Upper bound of the predicted effect's confidence interval.", unit=Unit.ROW_SCALE
    )
    predicted_sample_size: Mapped[int | None] = column(
        Integer(), "Sample size that the twin recommended.", unit=Unit.COUNT
    )
    actual_effect: Mapped[float | None] = column(
        Double(), "Real experiment effect.", unit=Unit.ROW_SCALE, aliases=("observed effect",)
    )
    actual_ci_lower: Mapped[float | None] = column(
        Double(), "Lower bound of the real effect's confidence interval.", unit=Unit.ROW_SCALE
    )
    actual_ci_upper: Mapped[float | None] = column(
        Double(), "Upper bound of the real effect's confidence interval.", unit=Unit.ROW_SCALE
    )
    actual_sample_size: Mapped[int | None] = column(Integer(), "Sample size of the real experiment.", unit=Unit.COUNT)
    prediction_error: Mapped[float | None] = column(
        Double(), "Predicted minus real effect; set by a trigger.", unit=Unit.ROW_SCALE
    )
    absolute_prediction_error: Mapped[float | None] = column(
        Double(), "Absolute value of the prediction error; set by a trigger.", unit=Unit.ROW_SCALE
    )
    relative_prediction_error: Mapped[float | None] = column(
        Double(),
        "Prediction error as a fraction of the real effect; set by a trigger, null where the real effect is zero.",
        unit=Unit.FRACTION,
    )
    confidence_interval_coverage: Mapped[bool | None] = column(
        Boolean(), "Whether the real effect fell within the predicted confidence interval; set by a trigger."
    )
    direction_match: Mapped[bool | None] = column(Boolean(), "Whether effect direction matched; set by a trigger.")
    fidelity_score: Mapped[float | None] = column(
        Double(),
        "Prediction accuracy (0-1, higher is better), set by a trigger: 0.5 for a small relative error, 0.3 for the "
        "right direction, 0.2 for a predicted interval that covers the real effect; null where nothing can be graded.",
        unit=Unit.FRACTION,
    )
    fidelity_grade: Mapped[str | None] = column(
        VARCHAR(20),
        "Grade of the relative error: excellent (below 0.10), good (below 0.20), fair (up to 0.35) or poor.",
        values=GRADES,
    )
    calibration_adjustment: Mapped[Any | None] = column(
        JSONB(),
        "Adjustment for future predictions: bias correction, variance scaling, adjustments by segment.",
        server_default=EMPTY_OBJECT,
        holds=Holds.DATA,
    )
    feedback_applied_to_model: Mapped[bool | None] = column(
        Boolean(), "Whether the adjustment has been applied to the twin model.", server_default="false"
    )
    feedback_applied_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the adjustment was applied to the twin model."
    )
    compared_by: Mapped[str | None] = column(
        VARCHAR(100), "User or agent that made the comparison.", holds=Holds.IDENTIFIER
    )
    created_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the comparison was recorded.", server_default=NOW
    )

    effect_grade = computed(
        grade_of("{row}.predicted_effect", "{row}.actual_effect"),
        TEXT(),
        "Grade of the predicted effect against the actual one, by one rule on every database, independent of the "
        "stored grade: excellent (an error below 10 % of the actual effect), good (below 20 %), fair (up to 35 %) or "
        "poor; null if either effect is missing.",
        columns=("predicted_effect", "actual_effect"),
        values=GRADES,
        aliases=("exact grade",),
    )

    experiment = belongs_to(
        "Experiment",
        "experiment_id",
        "The experiment that the prediction was compared with.",
        inverse="fidelity_comparisons",
        inverse_doc="Comparisons of twin predictions with the experiment's results, newest first.",
        lineage=comes_from(LineageKind.ACTUAL_RESULTS),
    )
    simulation = belongs_to(
        "TwinSimulation",
        {"twin_simulation_id": "simulation_id"},
        "The digital twin simulation that made the prediction.",
        inverse="fidelity_comparisons",
        inverse_doc="Comparisons of the simulation's prediction with experiment results, newest first.",
        lineage=comes_from(LineageKind.ALSO_COMPARED_IN),
    )
    result = belongs_to(
        "ExperimentResult",
        "results_id",
        "The experiment result that the prediction was compared with.",
        inverse="fidelity_comparisons",
        inverse_doc="Comparisons of twin predictions with this result.",
        lineage=comes_from(LineageKind.ACTUAL_RESULTS),
    )

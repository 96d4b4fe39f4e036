"""Group 8, questions about A/B tests: an experiment's health in one row, and its results by segment."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import TEXT, VARCHAR, BigInteger, Boolean, Double, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds, Unit
from db.base.markers import Group
from db.base.vocabulary import Derived, Labels, Over, belongs_to, column, linked_by, pg_enum
from db.models.g08_ab_results import SrmSeverity
from db.models.g08_ab_testing import EnrollmentStatus, InterimDecision
from db.models.grades import GRADES, grade_of


class AbTestHealth(Labels):
    """Status of an A/B test: the first of these that applies."""

    CRITICAL = "critical", "The newest SRM check is severe and unresolved, or the newest decision is stop_safety."
    STOPPED = "stopped", "The newest interim decision stops the test: for efficacy or for futility."
    WARNING = (
        "warning",
        (
            "The newest SRM check detects a mismatch, a fifth of the enrolled units have left, or the decision is to "
            "modify the sample."
        ),
    )
    NOT_STARTED = "not_started", "No unit has been assigned."
    HEALTHY = "healthy", "None of the above."


def _newest(table: str, time: str, columns: str) -> str:
    return f"""
        LEFT JOIN LATERAL (
            SELECT {columns} FROM {table} AS x WHERE x.experiment_id = e.id
            ORDER BY x.{time} DESC NULLS LAST, x.id DESC LIMIT 1
        )"""


class ExperimentHealth(Derived):
    """State of an experiment's A/B test: assignments, enrollments, SRM, decisions, result and fidelity."""

    __group__ = Group.AB_TESTING
    __aliases__ = ("ab test health", "trial health")
    __select__ = f"""
        SELECT h.*,
            CASE
                WHEN cardinality(h.critical) > 0 THEN 'critical'
                WHEN h.latest_decision IN ('stop_efficacy', 'stop_futility') THEN 'stopped'
                WHEN cardinality(h.warnings) > 0 THEN 'warning'
                WHEN h.assignments = 0 THEN 'not_started'
                ELSE 'healthy'
            END AS status,
            h.critical || CASE WHEN h.latest_decision IN ('stop_efficacy', 'stop_futility')
                THEN ARRAY[format('The newest interim decision is %s.', h.latest_decision)] ELSE ARRAY[]::text[] END
                || h.warnings AS reasons
        FROM (
            SELECT
                e.id AS experiment_id,
                a.assignments, a.variants, a.last_assigned_at,
                n.*,
                (n.withdrawn + n.lost_to_followup)::float8 / nullif(n.enrollments, 0) AS attrition_rate,
                n.enrollments::float8 / nullif(a.assignments, 0) AS enrollment_rate,
                s.is_srm_detected AS srm_detected, s.severity AS srm_severity, s.p_value AS srm_p_value,
                s.resolved_at IS NOT NULL AS srm_resolved,
                i.interim_analyses, d.decision AS latest_decision, d.information_fraction,
                r.effect_estimate, r.p_value AS effect_p_value, r.is_significant,
                f.fidelity_score, f.fidelity_grade,
                array_remove(ARRAY[
                    CASE WHEN s.is_srm_detected AND s.resolved_at IS NULL AND s.severity = 'severe'
                        THEN 'The newest SRM check finds a severe mismatch of the arms.' END,
                    CASE WHEN d.decision = 'stop_safety' THEN 'The newest interim decision is stop_safety.' END
                ], NULL) AS critical,
                array_remove(ARRAY[
                    CASE WHEN s.is_srm_detected AND s.resolved_at IS NULL AND s.severity IS DISTINCT FROM 'severe'
                        THEN format('The newest SRM check finds a %s mismatch of the arms.',
                            coalesce(s.severity::text, 'an unknown')) END,
                    CASE WHEN n.withdrawn + n.lost_to_followup >= 0.2 * n.enrollments AND n.enrollments > 0
                        THEN format('%s of %s enrolled units withdrew or were lost.',
                            n.withdrawn + n.lost_to_followup, n.enrollments) END,
                    CASE WHEN d.decision = 'modify_sample' THEN 'The newest interim decision is modify_sample.' END
                ], NULL) AS warnings
            FROM ml_experiments AS e
            LEFT JOIN LATERAL (
                SELECT count(*) AS assignments, count(DISTINCT x.variant) AS variants,
                    max(x.assigned_at) AS last_assigned_at
                FROM ab_experiment_assignments AS x WHERE x.experiment_id = e.id
            ) AS a ON true
            LEFT JOIN LATERAL (
                SELECT
                    count(*) AS enrollments,
                    {
        ", ".join(
            f"count(*) FILTER (WHERE x.enrollment_status = '{status.value}') AS {status.value}"
            for status in EnrollmentStatus
        )
    }
                FROM ab_experiment_enrollments AS x
                JOIN ab_experiment_assignments AS y ON y.id = x.assignment_id
                WHERE y.experiment_id = e.id
            ) AS n ON true
            LEFT JOIN LATERAL (
                SELECT count(*) AS interim_analyses FROM ab_interim_analyses AS x WHERE x.experiment_id = e.id
            ) AS i ON true
            {
        _newest("ab_srm_checks", "checked_at", "x.is_srm_detected, x.severity, x.p_value, x.resolved_at")
    } AS s ON true
            {_newest("ab_interim_analyses", "performed_at", "x.decision, x.information_fraction")} AS d ON true
            {
        _newest("ab_experiment_results", "computed_at", "x.effect_estimate, x.p_value, x.is_significant")
    } AS r ON true
            {
        _newest(
            "ab_fidelity_comparisons",
            "comparison_timestamp",
            f"x.fidelity_score, {grade_of('x.predicted_effect', 'x.actual_effect')} AS fidelity_grade",
        )
    } AS f ON true
        ) AS h
    """
    __reads__ = (
        "Experiment",
        "Assignment",
        "Enrollment",
        "InterimAnalysis",
        "SrmCheck",
        "ExperimentResult",
        "FidelityComparison",
    )
    __plural__ = "experimentHealthReports"
    __over__ = Over("ml_experiments", {"experiment_id": "id"})

    experiment_id: Mapped[UUID] = column(Uuid(), "The experiment.", primary_key=True)
    status: Mapped[AbTestHealth] = column(pg_enum(AbTestHealth), "Verdict on the A/B test.")
    reasons: Mapped[list[str]] = column(
        ARRAY(TEXT()), "Why it is not healthy, in words; empty where it is.", holds=Holds.PROSE
    )
    assignments: Mapped[int] = column(BigInteger(), "Units assigned to a variant.", unit=Unit.COUNT)
    variants: Mapped[int] = column(BigInteger(), "Variants that units were assigned to.", unit=Unit.COUNT)
    last_assigned_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When a unit was last assigned.")
    enrollments: Mapped[int] = column(BigInteger(), "Enrolments of assigned units, in any status.", unit=Unit.COUNT)
    active: Mapped[int] = column(BigInteger(), "Enrolments that are active.", unit=Unit.COUNT)
    withdrawn: Mapped[int] = column(BigInteger(), "Enrolments that were withdrawn.", unit=Unit.COUNT)
    excluded: Mapped[int] = column(BigInteger(), "Enrolments that were excluded.", unit=Unit.COUNT)
    completed: Mapped[int] = column(BigInteger(), "Enrolments that were completed.", unit=Unit.COUNT)
    lost_to_followup: Mapped[int] = column(BigInteger(), "Enrolments that were lost to follow-up.", unit=Unit.COUNT)
    enrollment_rate: Mapped[float | None] = column(
        Double(), "Enrolments per assigned unit (1 is all of them).", unit=Unit.FRACTION
    )
    attrition_rate: Mapped[float | None] = column(
        Double(),
        "Fraction of enrolments withdrawn or lost (0-1).",
        unit=Unit.FRACTION,
        aliases=("drop out rate", "dropouts"),
    )
    srm_detected: Mapped[bool | None] = column(
        Boolean(), "Whether the newest SRM check detects a mismatch; null where none was made."
    )
    srm_severity: Mapped[SrmSeverity | None] = column(pg_enum(SrmSeverity), "Severity in the newest SRM check.")
    srm_p_value: Mapped[float | None] = column(Double(), "P-value of the newest SRM check (0-1).", unit=Unit.FRACTION)
    srm_resolved: Mapped[bool | None] = column(Boolean(), "Whether the newest SRM check is marked as resolved.")
    interim_analyses: Mapped[int] = column(BigInteger(), "Interim analyses made so far.", unit=Unit.COUNT)
    latest_decision: Mapped[InterimDecision | None] = column(
        pg_enum(InterimDecision), "Decision of the newest interim analysis."
    )
    information_fraction: Mapped[float | None] = column(
        Double(), "Proportion of total data collected at the newest interim analysis (0-1).", unit=Unit.FRACTION
    )
    effect_estimate: Mapped[float | None] = column(
        Double(), "Effect in the newest result, on its scale.", unit=Unit.ROW_SCALE
    )
    effect_p_value: Mapped[float | None] = column(Double(), "P-value of that effect (0-1).", unit=Unit.FRACTION)
    is_significant: Mapped[bool | None] = column(Boolean(), "Whether that effect is significant.")
    fidelity_score: Mapped[float | None] = column(
        Double(), "Accuracy of the twin's prediction in the newest comparison (0-1).", unit=Unit.FRACTION
    )
    fidelity_grade: Mapped[str | None] = column(
        VARCHAR(20),
        "Grade of that prediction, by its effects: excellent, good, fair or poor.",
        values=GRADES,
    )

    experiment = belongs_to(
        "Experiment",
        "experiment_id",
        "The experiment.",
        inverse="health",
        inverse_doc="State of the experiment's A/B test, in one row.",
        inverse_many=False,
    )
    champion_health = linked_by(
        "ModelHealth",
        "{that}.model_id = (SELECT m.id FROM ml_model_registry AS m WHERE m.experiment_id = {this}.experiment_id "
        "AND m.is_champion ORDER BY m.registered_at DESC NULLS LAST, m.id DESC LIMIT 1)",
        "Health of the experiment's champion, which does not affect the status of the A/B test; null without a "
        "champion in production.",
        this_columns=("experiment_id",),
        that_columns=("model_id",),
        many=False,
        inverse="experiments_health",
        inverse_doc="State of the A/B tests of the experiments whose champion is the model.",
        inverse_sql="{this}.experiment_id = (SELECT m.experiment_id FROM ml_model_registry AS m "
        "WHERE m.id = {that}.model_id AND m.is_champion)",
    )


def _number(*keys: str) -> str:
    """SQL of the value of the first of these keys that has a number."""
    tried = (f"CASE jsonb_typeof(s.value->'{key}') WHEN 'number' THEN (s.value->>'{key}')::float8 END" for key in keys)
    return f"coalesce({', '.join(tried)})"


def _object(value: str) -> str:
    return f"CASE jsonb_typeof({value}) WHEN 'object' THEN {value} ELSE '{{}}' END"


# the last argument makes errors silent: a value that is not an object gives null, here false
_NESTED = "coalesce(jsonb_path_exists({value}, 'strict $.* ? (@.type() == \"object\")', '{}', true), false)"


class SegmentResult(Derived):
    """The treatment effect of a result in one segment, read from the result's `segment_results`.

    Two forms are read: segment -> effect, and dimension -> segment -> effect, where an effect is a number or an object.
    """

    __group__ = Group.AB_TESTING
    __aliases__ = ("subgroup effect", "segment effect")
    __select__ = f"""
        SELECT
            s.result_id, s.experiment_id, s.dimension, s.segment, s.value AS details,
            CASE jsonb_typeof(s.value)
                WHEN 'number' THEN (s.value #>> ARRAY[]::text[])::float8
                ELSE {_number("effect", "effect_estimate", "treatment_effect", "ate", "cate")}
            END AS effect,
            {_number("ci_lower", "effect_ci_lower")} AS ci_lower,
            {_number("ci_upper", "effect_ci_upper")} AS ci_upper,
            {_number("p_value")} AS p_value,
            {_number("n", "sample_size")} AS sample_size
        FROM (
            SELECT r.id AS result_id, r.experiment_id, '' AS dimension, one.key AS segment, one.value
            FROM ab_experiment_results AS r
            CROSS JOIN LATERAL jsonb_each({_object("r.segment_results")}) AS one
            WHERE NOT {_NESTED.replace("{value}", "one.value")}
            UNION ALL
            SELECT r.id, r.experiment_id, one.key, two.key, two.value
            FROM ab_experiment_results AS r
            CROSS JOIN LATERAL jsonb_each({_object("r.segment_results")}) AS one
            CROSS JOIN LATERAL jsonb_each({_object("one.value")}) AS two
            WHERE {_NESTED.replace("{value}", "one.value")}
        ) AS s
    """
    __reads__ = ("ExperimentResult",)
    __order__ = "segment"
    __ascending__ = True

    result_id: Mapped[UUID] = column(Uuid(), "The result.", primary_key=True)
    experiment_id: Mapped[UUID] = column(Uuid(), "The experiment that the result is of.")
    dimension: Mapped[str] = column(
        TEXT(),
        "Dimension of the segment (specialty, decile, ...); empty if the result has none.",
        primary_key=True,
        holds=Holds.LABEL,
    )
    segment: Mapped[str] = column(TEXT(), "Name of the segment.", primary_key=True, holds=Holds.LABEL)
    effect: Mapped[float | None] = column(
        Double(), "Effect in the segment, on the scale of the result.", unit=Unit.ROW_SCALE
    )
    ci_lower: Mapped[float | None] = column(Double(), "Lower bound of its confidence interval.", unit=Unit.ROW_SCALE)
    ci_upper: Mapped[float | None] = column(Double(), "Upper bound of its confidence interval.", unit=Unit.ROW_SCALE)
    p_value: Mapped[float | None] = column(Double(), "P-value of the effect in the segment (0-1).", unit=Unit.FRACTION)
    sample_size: Mapped[float | None] = column(Double(), "Number of units in the segment.", unit=Unit.COUNT)
    details: Mapped[Any | None] = column(JSONB(), "What the result stores of the segment.", holds=Holds.PROSE)

    result = belongs_to(
        "ExperimentResult",
        {"result_id": "id"},
        "The result.",
        inverse="segments",
        inverse_doc="Treatment effects by segment.",
    )
    experiment = belongs_to(
        "Experiment",
        "experiment_id",
        "The experiment that the result is of.",
        inverse="segment_results",
        inverse_doc="Treatment effects by segment, of all results of the experiment.",
    )

"""Group 14, the funnel of a cohort execution: what each criterion left over."""

from __future__ import annotations

from sqlalchemy import TEXT, Double, Integer
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds, Unit
from db.base.markers import Group
from db.base.vocabulary import Derived, belongs_to, column


class CohortFunnelStep(Derived):
    """One step of a cohort execution's funnel: how many patients a criterion removed, and how many are left."""

    __group__ = Group.COHORT_CONSTRUCTOR
    __aliases__ = ("funnel", "cohort funnel", "attrition")
    __select__ = """
        SELECT
            l.log_id, l.cohort_id, l.execution_id, l.criterion_order, l.criterion_name, l.criterion_type,
            l.removed_count + l.remaining_count AS entered_count,
            l.removed_count, l.remaining_count,
            l.removed_count::float8 / nullif(l.removed_count + l.remaining_count, 0) AS removed_rate,
            l.remaining_count::float8 / nullif(x.input_row_count, 0) AS remaining_rate
        FROM ml_cohort_eligibility_log AS l
        JOIN ml_cohort_executions AS x ON x.execution_id = l.execution_id
    """
    __reads__ = ("CohortEligibilityLog", "CohortExecution")
    __order__ = "criterion_order"
    __ascending__ = True

    log_id: Mapped[int] = column(
        Integer(), "Log entry that the step is read from.", primary_key=True, unit=Unit.ORDINAL
    )
    cohort_id: Mapped[str] = column(TEXT(), "Cohort definition.", holds=Holds.IDENTIFIER)
    execution_id: Mapped[str] = column(TEXT(), "Execution run.", holds=Holds.IDENTIFIER)
    criterion_order: Mapped[int] = column(
        Integer(), "Application order: position of the criterion in the execution.", unit=Unit.ORDINAL
    )
    criterion_name: Mapped[str] = column(TEXT(), "Criterion label.", holds=Holds.IDENTIFIER)
    criterion_type: Mapped[str] = column(
        TEXT(),
        "Type of the criterion: inclusion, exclusion, or temporal.",
        values=("inclusion", "exclusion", "temporal"),
    )
    entered_count: Mapped[int] = column(Integer(), "Patients that the criterion was applied to.", unit=Unit.COUNT)
    removed_count: Mapped[int] = column(
        Integer(), "Patients excluded by this criterion.", unit=Unit.COUNT, aliases=("excluded patients",)
    )
    remaining_count: Mapped[int] = column(Integer(), "Patients remaining after this criterion.", unit=Unit.COUNT)
    removed_rate: Mapped[float | None] = column(
        Double(), "Fraction of those it was applied to that it removed (0-1).", unit=Unit.FRACTION
    )
    remaining_rate: Mapped[float | None] = column(
        Double(), "Fraction of the execution's input that remains after it (0-1).", unit=Unit.FRACTION
    )

    execution = belongs_to(
        "CohortExecution",
        {"execution_id": "execution_id"},
        "The execution.",
        inverse="funnel",
        inverse_doc="The funnel of the execution, in the order in which criteria were applied.",
        inverse_aliases=("attrition", "drop off"),
    )
    log_entry = belongs_to(
        "CohortEligibilityLog",
        {"log_id": "log_id"},
        "The log entry that the step is read from.",
        inverse="funnel_step",
        inverse_doc="The entry as a step of its execution's funnel.",
        inverse_many=False,
    )

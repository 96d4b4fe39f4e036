"""Group 14, lifecycles: cohort definitions and their executions."""

from __future__ import annotations

from sqlalchemy import TEXT, Integer

from db.base.lifecycles import Change, Given, Lifecycle
from db.base.vocabulary import Labels


class CohortStatus(Labels):
    """State of a cohort definition."""

    DRAFT = "draft", "Being written."
    ACTIVE = "active", "In use; can still be changed."
    LOCKED = "locked", "In use; its criteria cannot change any more."
    ARCHIVED = "archived", "Kept for the record."


COHORT = Lifecycle(
    "status",
    "CohortDefinition",
    "status",
    CohortStatus,
    CohortStatus.DRAFT,
    {
        CohortStatus.DRAFT: (CohortStatus.ACTIVE, CohortStatus.ARCHIVED),
        CohortStatus.ACTIVE: (CohortStatus.LOCKED, CohortStatus.ARCHIVED),
        CohortStatus.LOCKED: (CohortStatus.ARCHIVED,),
    },
    changes=(Change("moveCohortDefinition", "Moves a cohort definition to a state of its lifecycle."),),
    ended=(CohortStatus.ARCHIVED,),
)


class ExecutionStatus(Labels):
    """How an execution of a cohort definition ended."""

    SUCCESS = "success", "Every node of it ended well."
    PARTIAL = "partial", "Some of its nodes ended well; it can still be completed, or given up."
    FAILED = "failed", "Ended by an error."


EXECUTION = Lifecycle(
    "status",
    "CohortExecution",
    "status",
    ExecutionStatus,
    ExecutionStatus.SUCCESS,
    {ExecutionStatus.PARTIAL: (ExecutionStatus.SUCCESS, ExecutionStatus.FAILED)},
    changes=(
        Change(
            "completeCohortExecution",
            "Completes an execution of which a part had ended well, with what came of the whole.",
            (ExecutionStatus.SUCCESS,),
            {
                "eligible_row_count": Given(Integer(), "Eligible population size, in patients."),
                "excluded_row_count": Given(Integer(), "Excluded population size, in patients."),
                "output_dataset": Given(TEXT(), "Dataset that the eligible patients were written to."),
                "execution_time_ms": Given(Integer(), "Total execution time, in ms."),
            },
            checks=("counts_not_negative",),
            many=False,
        ),
        Change(
            "failCohortExecution",
            "Gives up an execution of which a part had ended well.",
            (ExecutionStatus.FAILED,),
            {
                "error_message": Given(TEXT(), "Why the execution failed.", required=True),
                "error_code": Given(TEXT(), "Error code, CC_001 through CC_007."),
            },
            many=False,
        ),
    ),
)

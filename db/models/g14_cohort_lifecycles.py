"""Group 14, lifecycles: cohort definitions and their executions."""

from __future__ import annotations

from sqlalchemy import TEXT, Integer

from db.base.lifecycles import Change, Given, Lifecycle
from db.base.vocabulary import Labels


class CohortStatus(Labels):
    """State of a cohort definition."""

    DRAFT = "draft", "Being drafted."
    ACTIVE = "active", "In use; its criteria can still change."
    LOCKED = "locked", "In use; its criteria can no longer change."
    ARCHIVED = "archived", "No longer in use; kept for the record."


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

    SUCCESS = "success", "All nodes succeeded."
    PARTIAL = "partial", "Some nodes succeeded; the execution can still be completed or marked as failed."
    FAILED = "failed", "Ended with an error."


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
            "Completes a partial execution with its final result.",
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
            "Marks a partial execution as failed.",
            (ExecutionStatus.FAILED,),
            {
                "error_message": Given(TEXT(), "Why the execution failed.", required=True),
                "error_code": Given(TEXT(), "Error code, CC_001 through CC_007."),
            },
            many=False,
        ),
    ),
)

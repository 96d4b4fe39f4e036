"""Group 12, lifecycles: materialization jobs."""

from __future__ import annotations

from sqlalchemy import TEXT, Integer

from db.base.lifecycles import NOW, Change, Given, Lifecycle, Step, duration_since
from db.base.vocabulary import Labels


class JobStatus(Labels):
    """Status of a materialization job."""

    PENDING = "pending", "Queued; has not started yet."
    RUNNING = "running", "Writing."
    SUCCESS = "success", "Everything was written."
    COMPLETED = "completed", "Everything was written; another label of the platform for `success`."
    FAILED = "failed", "Ended with an error."


_ENDED = {"completed_at": NOW, "duration_seconds": duration_since("started_at")}

JOB = Lifecycle(
    "status",
    "MaterializationJob",
    "status",
    JobStatus,
    JobStatus.PENDING,
    {
        JobStatus.PENDING: (JobStatus.RUNNING,),
        JobStatus.RUNNING: (JobStatus.SUCCESS, JobStatus.FAILED, JobStatus.COMPLETED),
    },
    entering={
        JobStatus.RUNNING: Step(stamps={"started_at": NOW}),
        JobStatus.SUCCESS: Step(stamps=_ENDED),
        JobStatus.FAILED: Step(stamps=_ENDED),
        JobStatus.COMPLETED: Step(stamps=_ENDED),
    },
    changes=(
        Change(
            "moveMaterializationJob",
            "Starts or ends a materialization job.",
            given={
                "rows_materialized": Given(Integer(), "Rows written."),
                "error_message": Given(TEXT(), "Why the job failed; needed for FAILED."),
            },
            needs={JobStatus.FAILED: ("error_message",)},
            checks=("rows_not_negative",),
            many=False,
        ),
    ),
)

"""Group 6, lifecycles: the trials of a study."""

from __future__ import annotations

from sqlalchemy import TEXT, Numeric

from db.base.effects import Effect, Writes
from db.base.lifecycles import NOW, Change, Given, Lifecycle, Step, duration_since
from db.base.vocabulary import Labels


class TrialState(Labels):
    """State of an Optuna trial."""

    WAITING = "WAITING", "Queued; has not started yet."
    RUNNING = "RUNNING", "Being evaluated."
    COMPLETE = "COMPLETE", "Ended with a value."
    PRUNED = "PRUNED", "Stopped early because other trials were better."
    FAIL = "FAIL", "Ended with an error."


_ENDED = {"datetime_complete": NOW, "duration_seconds": duration_since("datetime_start", "9999999")}

COUNT_TRIALS = Effect(
    "count_trials",
    writes=(
        Writes(
            "HpoStudy",
            columns=(
                "n_trials", "n_completed", "n_pruned", "n_failed", "best_trial_number", "best_value", "best_params",
            ),
        ),
    ),
    ways=(("HpoTrial.study",),),
)  # fmt: skip


class StudyStatus(Labels):
    """Status of a study."""

    RUNNING = "running", "Trials are running."
    COMPLETED = "completed", "All trials have run."
    FAILED = "failed", "Ended with an error."
    PRUNED = "pruned", "Ended early, without useful results."


COUNT_OWN_TRIALS = Effect(
    "count_own_trials",
    writes=(Writes("HpoStudy", columns=COUNT_TRIALS.writes[0].columns),),
    reads=("HpoTrial",),
)
_STUDY_ENDED = Step(
    stamps={"completed_at": NOW, "duration_seconds": duration_since("started_at")}, effects=(COUNT_OWN_TRIALS,)
)

STUDY = Lifecycle(
    "status",
    "HpoStudy",
    "status",
    StudyStatus,
    StudyStatus.RUNNING,
    {StudyStatus.RUNNING: (StudyStatus.COMPLETED, StudyStatus.FAILED, StudyStatus.PRUNED)},
    entering=dict.fromkeys((StudyStatus.COMPLETED, StudyStatus.FAILED, StudyStatus.PRUNED), _STUDY_ENDED),
    changes=(
        Change(
            "completeHpoStudy",
            "Completes a study; its counts and best trial are computed from its trials, if it has any.",
            (StudyStatus.COMPLETED,),
            many=False,
        ),
        Change(
            "endHpoStudy",
            "Ends a study before all trials have run.",
            (StudyStatus.FAILED, StudyStatus.PRUNED),
            {"error_message": Given(TEXT(), "Why the study failed; needed for FAILED.")},
            needs={StudyStatus.FAILED: ("error_message",)},
            many=False,
        ),
    ),
)

TRIAL = Lifecycle(
    "state",
    "HpoTrial",
    "state",
    TrialState,
    TrialState.WAITING,
    {
        TrialState.WAITING: (TrialState.RUNNING,),
        TrialState.RUNNING: (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL),
    },
    entering={
        TrialState.RUNNING: Step(stamps={"datetime_start": NOW}),
        **{
            end: Step(stamps=_ENDED, effects=(COUNT_TRIALS,))
            for end in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        },
    },
    changes=(
        Change(
            "moveTrial",
            "Starts or ends a trial; the counts and the best trial of its study are updated.",
            given={
                "value": Given(
                    Numeric(10, 6), "Objective function value, on the scale of the study's metric; needed for COMPLETE."
                )
            },
            needs={TrialState.COMPLETE: ("value",)},
            many=False,
        ),
    ),
    # trials of one study end serially, so that its counts include each of them
    queue="hashtext('ml_hpo_trials.state'), hashtext({row}.study_id::text)",
)

"""Group 4, lifecycles: compositions and their steps, and the feedback on classifications and compositions."""

from __future__ import annotations

from itertools import pairwise

from sqlalchemy import TEXT, Double, Integer
from sqlalchemy.dialects.postgresql import JSONB

from db.base.effects import Effect, Writes
from db.base.guards import Guard
from db.base.lifecycles import NOW, Change, Given, Lifecycle, Step, seconds_since
from db.base.vocabulary import Labels
from db.models.g04_tool_composer import CompositionStatus, RoutingPattern


class RoutingFeedback(Labels):
    """Feedback on the routing of a query."""

    PENDING = "pending", "No feedback yet."
    CORRECT = "correct", "The routing was correct."
    INCORRECT = "incorrect", "Another routing would have been correct."


class EpisodeFeedback(Labels):
    """Feedback on a composition."""

    PENDING = "pending", "No feedback yet."
    SUCCESS = "success", "The composition was successful."
    FAILURE = "failure", "The composition was not successful."


_PHASES = (
    CompositionStatus.PENDING,
    CompositionStatus.DECOMPOSING,
    CompositionStatus.PLANNING,
    CompositionStatus.EXECUTING,
    CompositionStatus.SYNTHESIZING,
    CompositionStatus.COMPLETED,
)
_BROKEN = (CompositionStatus.FAILED, CompositionStatus.TIMEOUT)
_ENDS = (CompositionStatus.COMPLETED, *_BROKEN)

EPISODE = Lifecycle(
    "status",
    "ComposerEpisode",
    "status",
    CompositionStatus,
    CompositionStatus.PENDING,
    {phase: (following, *_BROKEN) for phase, following in pairwise(_PHASES)},
    entering={end: Step(stamps={"completed_at": NOW}) for end in _ENDS},
    changes=(
        Change(
            "moveEpisode",
            "Moves a composition to its next phase, or ends it.",
            given={
                "sub_questions": Given(JSONB(), "Decomposed sub-questions (array), the result of phase 1."),
                "tool_plan": Given(JSONB(), "Execution plan, the result of phase 2."),
                "tool_outputs": Given(JSONB(), "Outputs of the tools, the result of phase 3."),
                "synthesized_response": Given(TEXT(), "The response, the result of phase 4."),
                "total_latency_ms": Given(Double(), "End-to-end latency, in ms."),
                "error_message": Given(TEXT(), "Why the composition failed; needed for FAILED."),
            },
            needs={CompositionStatus.FAILED: ("error_message",)},
            checks=("latency_not_negative",),
            many=False,
        ),
    ),
)

MEASURES_STEPS = r"insert\s+into\s+(\w+\.)?tool_performance"
"""A regular expression, of Python and of Postgres, for the source of a trigger function that measures steps."""

NEVER_STARTED = Guard(
    "STEP_NEVER_STARTED",
    "The step has neither a start in the past nor a latency, and a trigger of the database records the latency of steps"
    " that complete or fail. Pass `latencyMs`.",
    f"""SELECT 'the step never started, so its latency is not known; pass latencyMs, which a trigger of the database '
        'records as the latency of its tool', NULL::text
    WHERE {{row}}.latency_ms IS NULL AND {seconds_since("{row}.started_at")} IS NULL AND EXISTS (
        SELECT FROM pg_trigger AS g JOIN pg_proc AS f ON f.oid = g.tgfoid
        WHERE g.tgrelid = 'composition_steps'::regclass AND g.tgenabled IN ('O', 'A')
            AND f.prosrc ~* '{MEASURES_STEPS}'
    )""",
)

_STEP_ENDED = {
    "completed_at": NOW,
    # written with the state, since triggers of this statement may read it
    "latency_ms": f"coalesce(latency_ms, ({seconds_since('started_at')} * 1000)::float8)",
}

MEASURE_TOOL = Effect(
    "measure_tool",
    writes=(
        Writes("Tool", columns=("avg_latency_ms", "success_rate")),
        Writes(
            "ToolPerformance",
            added=(
                "tool_id", "tool_name", "latency_ms", "success", "error_type", "composition_id", "step_id",
                "called_by",
            ),
        ),
    ),
    reads=("ComposerEpisode",),
    ways=(("CompositionStep.tool",), ("ToolPerformance.step~",)),
)  # fmt: skip

STEP = Lifecycle(
    "status",
    "CompositionStep",
    "status",
    CompositionStatus,
    CompositionStatus.PENDING,
    {
        CompositionStatus.PENDING: (CompositionStatus.EXECUTING, *_BROKEN),
        CompositionStatus.EXECUTING: _ENDS,
    },
    entering={
        CompositionStatus.EXECUTING: Step(stamps={"started_at": NOW}),
        **{
            end: Step(
                # the platform's trigger leaves steps that time out to the effect
                guards=() if end is CompositionStatus.TIMEOUT else (NEVER_STARTED,),
                stamps=_STEP_ENDED,
                effects=(MEASURE_TOOL,),
            )
            for end in _ENDS
        },
    },
    changes=(
        Change(
            "moveStep",
            "Starts or ends a step of a composition; the end records a measurement of its tool.",
            given={
                "output_result": Given(JSONB(), "Output data."),
                "latency_ms": Given(
                    Double(),
                    "Step execution time, in ms; by default the time since its start, null if it never started.",
                ),
                "error_message": Given(TEXT(), "Why the step failed; needed for FAILED."),
            },
            needs={CompositionStatus.FAILED: ("error_message",)},
            checks=("latency_not_negative",),
            many=False,
        ),
    ),
)

CLASSIFICATION_FEEDBACK = Lifecycle(
    "feedback",
    "ClassificationLog",
    "was_correct",
    RoutingFeedback,
    RoutingFeedback.PENDING,
    {RoutingFeedback.PENDING: (RoutingFeedback.CORRECT, RoutingFeedback.INCORRECT)},
    changes=(
        Change(
            "recordClassificationFeedback",
            "Records whether a query was routed correctly.",
            (RoutingFeedback.CORRECT, RoutingFeedback.INCORRECT),
            {
                "correct_pattern": Given(RoutingPattern, "The correct routing."),
                "feedback_notes": Given(TEXT(), "The feedback, in prose."),
            },
            checks=("correct_pattern_of_a_wrong_routing",),
            many=False,
        ),
    ),
    stored={RoutingFeedback.PENDING: "", RoutingFeedback.CORRECT: "true", RoutingFeedback.INCORRECT: "false"},
)

EPISODE_FEEDBACK = Lifecycle(
    "feedback",
    "ComposerEpisode",
    "success",
    EpisodeFeedback,
    EpisodeFeedback.PENDING,
    {EpisodeFeedback.PENDING: (EpisodeFeedback.SUCCESS, EpisodeFeedback.FAILURE)},
    entering={
        EpisodeFeedback.SUCCESS: Step(stamps={"feedback_at": NOW}),
        EpisodeFeedback.FAILURE: Step(stamps={"feedback_at": NOW}),
    },
    changes=(
        Change(
            "recordEpisodeFeedback",
            "Records whether a composition was successful for its user.",
            (EpisodeFeedback.SUCCESS, EpisodeFeedback.FAILURE),
            {
                "user_rating": Given(Integer(), "The user's rating of the response (1-5)."),
                "feedback_text": Given(TEXT(), "The user's feedback, in prose."),
            },
            checks=("rating_in_range",),
            many=False,
        ),
    ),
    stored={EpisodeFeedback.PENDING: "", EpisodeFeedback.SUCCESS: "true", EpisodeFeedback.FAILURE: "false"},
)

"""Group 10, lifecycles: optimization runs, which instructions are in use, and prompt A/B tests."""

from __future__ import annotations

from sqlalchemy import TEXT, Numeric

from db.base.effects import Effect, Moves, Writes
from db.base.lifecycles import NOW, REASON, Change, Given, Guard, Lifecycle, Step, activation, duration_since
from db.base.vocabulary import Labels
from db.models.g03_twin_lifecycles import Activation
from db.models.g10_gepa_optimization import AbTestVariant, OptimizationStatus


class PromptTestStatus(Labels):
    """Where a prompt A/B test stands."""

    DRAFT = "draft", "Planned; gets no traffic."
    RUNNING = "running", "Gets its share of the traffic."
    COMPLETED = "completed", "Ended with a winner."
    STOPPED = "stopped", "Ended without one."


class Rollout(Labels):
    """Whether the winner of a test has been promoted."""

    PENDING = "pending", "Not yet."
    ROLLED_OUT = "rolled_out", "Its instruction is the active one."


_IN_USE = "OptimizedInstruction.activation"
_MAKES_ROOM = "The instruction that the agent and predictor use makes room: no edge leads there."
_SETTLED = Writes("OptimizedInstruction", columns=("is_active",))
DEACTIVATE_OTHER_INSTRUCTIONS = Effect(
    "deactivate_other_instructions", moves=(Moves(_IN_USE, (Activation.INACTIVE,)),), beyond=_MAKES_ROOM
)
SETTLE_INSTRUCTIONS = Effect("settle_instructions", writes=(_SETTLED,))
TAKE_BACK_INSTRUCTIONS = Effect(
    "take_back_instructions",
    moves=(Moves(_IN_USE, (Activation.ACTIVE, Activation.INACTIVE)),),
    writes=(_SETTLED,),
    ways=(("OptimizedInstruction.run~",),),
    beyond="What was in use before the run's instructions comes back: no edge leads there.",
)
ACTIVATE_WINNER = Effect(
    "activate_winner",
    moves=(Moves(_IN_USE, (Activation.ACTIVE, Activation.INACTIVE)),),
    writes=(_SETTLED,),
    ways=(("PromptAbTest.baseline_instruction",), ("PromptAbTest.treatment_instruction",)),
    beyond=_MAKES_ROOM,
)

_ENDED = {"completed_at": NOW, "duration_seconds": f"({duration_since('started_at', '2147483647')})::integer"}

OPTIMIZATION_RUN = Lifecycle(
    "status",
    "PromptOptimizationRun",
    "status",
    OptimizationStatus,
    OptimizationStatus.PENDING,
    {
        OptimizationStatus.PENDING: (OptimizationStatus.RUNNING,),
        OptimizationStatus.RUNNING: (
            OptimizationStatus.COMPLETED, OptimizationStatus.FAILED, OptimizationStatus.CANCELLED,
        ),
        OptimizationStatus.COMPLETED: (OptimizationStatus.ROLLED_BACK,),
    },
    entering={
        OptimizationStatus.RUNNING: Step(stamps={"started_at": NOW}),
        OptimizationStatus.COMPLETED: Step(stamps=_ENDED),
        OptimizationStatus.FAILED: Step(stamps=_ENDED),
        OptimizationStatus.CANCELLED: Step(stamps=_ENDED),
        OptimizationStatus.ROLLED_BACK: Step(effects=(TAKE_BACK_INSTRUCTIONS,)),
    },
    changes=(
        Change(
            "moveOptimizationRun",
            "Moves an optimization run to a status of its lifecycle. Rolled back, the versions before its instructions "
            "are active again.",
            given={
                "baseline_score": Given(Numeric(5, 4), "Score before optimization (0-1)."),
                "optimized_score": Given(Numeric(5, 4), "Score after optimization (0-1)."),
                "error_message": Given(TEXT(), "Why the run failed; needed for FAILED."),
            },
            needs={OptimizationStatus.FAILED: ("error_message",)},
            checks=("scores_in_range",),
            many=False,
        ),
    ),
)  # fmt: skip

# A database may keep (agent_name, predictor_name, is_active) unique, and nulls not distinct: of an agent's and a
# predictor's instructions one is in use, one is not, and one more has no value, which counts as not in use.
_UNIQUE = """
    SELECT i.indexrelid::regclass::text AS name,
        coalesce(to_jsonb(i) ->> 'indnullsnotdistinct' = 'true', false) AS holds_nulls
    FROM pg_index AS i
    WHERE i.indrelid = to_regclass('optimized_instructions') AND i.indisunique AND i.indpred IS NULL AND (
        SELECT a.attnum FROM pg_attribute AS a WHERE a.attrelid = i.indrelid AND a.attname = 'is_active'
    ) = ANY (i.indkey::smallint[])
"""
_OTHERS = (
    "SELECT o.instruction_id FROM optimized_instructions AS o WHERE o.agent_name = {row}.agent_name "
    "AND o.predictor_name = {row}.predictor_name AND o.instruction_id <> {row}.instruction_id AND o.is_active"
)
OUT_OF_USE = (
    f"CASE WHEN EXISTS ({_UNIQUE}) AND EXISTS ({_OTHERS.replace('{row}', 't')} = false) THEN NULL ELSE false END"
)
"""What stands in `is_active` of an instruction ``t`` that is taken out of use: null where the database keeps false for
another one."""


def _no_room(where: str) -> Guard:
    return Guard(
        "NO_ROOM_FOR_INSTRUCTION",
        "Where the database keeps an agent's and a predictor's instructions unique by their use, there must be room.",
        f"""
        SELECT 'the database''s constraint ' || u.name || ' allows one instruction in use and two that are not for '
                || {{row}}.agent_name || ' and ' || {{row}}.predictor_name
                || ', and they cannot change places; remove one that is not, or the constraint',
            'OptimizedInstruction:' || {{row}}.instruction_id
        FROM ({_UNIQUE}) AS u WHERE u.holds_nulls AND {where}
        """,
        reads=("OptimizedInstruction",),
    )


_ROOM_TO_REPLACE = _no_room(f"EXISTS ({_OTHERS}) AND EXISTS ({_OTHERS} IS NOT TRUE)")
_ROOM_TO_LEAVE = _no_room(f"EXISTS ({_OTHERS} = false) AND EXISTS ({_OTHERS} IS NULL)")

INSTRUCTION = activation(
    "OptimizedInstruction",
    what="an instruction",
    instead_of="the one that its agent and predictor use",
    activate="activateOptimizedInstruction",
    deactivate="deactivateOptimizedInstruction",
    activated="activated_at",
    deactivated="deactivated_at",
    states=Activation,
    before=(DEACTIVATE_OTHER_INSTRUCTIONS,),
    effects=(SETTLE_INSTRUCTIONS,),
    guards=((_ROOM_TO_REPLACE,), (_ROOM_TO_LEAVE,)),
    out_of_use=OUT_OF_USE,
    queue="hashtext('optimized_instructions.is_active'), hashtext({row}.agent_name || ' ' || {row}.predictor_name)",
)

AB_TEST = Lifecycle(
    "status",
    "PromptAbTest",
    "status",
    PromptTestStatus,
    PromptTestStatus.DRAFT,
    {
        PromptTestStatus.DRAFT: (PromptTestStatus.RUNNING,),
        PromptTestStatus.RUNNING: (PromptTestStatus.COMPLETED, PromptTestStatus.STOPPED),
    },
    entering={
        PromptTestStatus.RUNNING: Step(stamps={"started_at": NOW}),
        PromptTestStatus.COMPLETED: Step(stamps={"ended_at": NOW, "decision_reason": REASON}),
        PromptTestStatus.STOPPED: Step(stamps={"ended_at": NOW, "decision_reason": REASON}),
    },
    changes=(
        Change("startPromptAbTest", "Starts a prompt A/B test.", (PromptTestStatus.RUNNING,)),
        Change(
            "concludePromptAbTest",
            "Ends a prompt A/B test with its winner.",
            (PromptTestStatus.COMPLETED,),
            {
                "winner": Given(AbTestVariant, "Which variant won.", required=True),
                "p_value": Given(Numeric(5, 4), "Statistical significance: p-value of the difference in score (0-1)."),
            },
            checks=("scores_in_range",),
            reason_due=True,
            many=False,
        ),
        Change("stopPromptAbTest", "Ends a prompt A/B test without a winner.", (PromptTestStatus.STOPPED,)),
    ),
)

_WINNER = (
    "CASE WHEN {row}.winner IN ('baseline', 'control') THEN {row}.baseline_instruction_id "
    "ELSE {row}.treatment_instruction_id END"
)

ROLLOUT_OF_WINNER = Lifecycle(
    "rollout",
    "PromptAbTest",
    "rolled_out",
    Rollout,
    Rollout.PENDING,
    {Rollout.PENDING: (Rollout.ROLLED_OUT,)},
    entering={
        Rollout.ROLLED_OUT: Step(
            guards=(
                Guard(
                    "NOT_CONCLUDED",
                    "A test must have ended with a winner.",
                    """
                    SELECT 'the test is ' || coalesce({row}.status, 'draft') || CASE WHEN {row}.winner IS NULL
                        THEN ' and has no winner' ELSE '' END, 'PromptAbTest:' || {row}.test_id
                    WHERE ({row}.status = 'completed') IS NOT TRUE OR {row}.winner IS NULL
                    """,
                ),
                Guard(
                    "NO_INSTRUCTION",
                    "The winner must have an instruction that can be activated.",
                    f"""
                    SELECT 'the winner ' || {{row}}.winner || ' has no instruction', 'PromptAbTest:' || {{row}}.test_id
                    WHERE {{row}}.winner IS NOT NULL AND ({_WINNER}) IS NULL
                    """,
                ),
            ),
            effects=(ACTIVATE_WINNER,),
        )
    },
    changes=(
        Change(
            "rollOutPromptAbTest",
            "Activates the instruction of a test's winner.",
            (Rollout.ROLLED_OUT,),
            many=False,
        ),
    ),
    stored={Rollout.PENDING: "false", Rollout.ROLLED_OUT: "true"},
)

"""Group 10, lifecycles: optimization runs, which instructions are in use, and prompt A/B tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import TEXT, Numeric

from db.base.effects import Effect, Moves, Writes
from db.base.guards import Guard
from db.base.lifecycles import NOW, REASON, Change, Given, Lifecycle, Step, activation, duration_since
from db.base.vocabulary import Labels
from db.models.g03_twin_lifecycles import Activation
from db.models.g10_gepa_optimization import AbTestVariant, OptimizationStatus


class PromptTestStatus(Labels):
    """Status of a prompt A/B test."""

    DRAFT = "draft", "Planned; gets no traffic."
    RUNNING = "running", "Gets its share of the traffic."
    COMPLETED = "completed", "Ended with a winner."
    STOPPED = "stopped", "Ended without one."


class Rollout(Labels):
    """Whether the winner of a test has been promoted."""

    PENDING = "pending", "Not yet."
    ROLLED_OUT = "rolled_out", "Its instruction is the active one."


_IN_USE = "OptimizedInstruction.activation"
_REPLACED = "The active instruction of the agent and predictor is replaced; no edge leads to it."
_SETTLED = Writes("OptimizedInstruction", columns=("is_active",))
DEACTIVATE_OTHER_INSTRUCTIONS = Effect(
    "deactivate_other_instructions", moves=(Moves(_IN_USE, (Activation.INACTIVE,)),), beyond=_REPLACED
)
SETTLE_INSTRUCTIONS = Effect("settle_instructions", writes=(_SETTLED,))
DEACTIVATE_OTHER_DESCRIPTIONS = Effect(
    "deactivate_other_descriptions",
    moves=(Moves("OptimizedToolDescription.activation", (Activation.INACTIVE,)),),
    beyond="The active description of the agent's tool is replaced; no edge leads to it.",
)
SETTLE_DESCRIPTIONS = Effect(
    "settle_descriptions", writes=(Writes("OptimizedToolDescription", columns=("is_active",)),)
)
TAKE_BACK_INSTRUCTIONS = Effect(
    "take_back_instructions",
    moves=(Moves(_IN_USE, (Activation.ACTIVE, Activation.INACTIVE)),),
    writes=(_SETTLED,),
    ways=(("OptimizedInstruction.run~",),),
    beyond="The versions before the run's instructions are activated again; no edge leads to them.",
)
ACTIVATE_WINNER = Effect(
    "activate_winner",
    moves=(Moves(_IN_USE, (Activation.ACTIVE, Activation.INACTIVE)),),
    writes=(_SETTLED,),
    ways=(("PromptAbTest.baseline_instruction",), ("PromptAbTest.treatment_instruction",)),
    beyond=_REPLACED,
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
            "Moves an optimization run to a status of its lifecycle. A rollback activates the versions before its "
            "instructions again.",
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


@dataclass(frozen=True)
class Slot:
    """A group of rows of which at most one is active: those of ``entity`` that are equal in ``columns``.

    A database may have a unique index over these columns and ``is_active``, with nulls not distinct. Of such a group
    one row is true, one is false, and one is null, which counts as inactive.
    """

    entity: str
    table: str
    key: str
    columns: tuple[str, str]
    what: str

    @property
    def _unique(self) -> str:
        return f"""
    SELECT i.indexrelid::regclass::text AS name,
        coalesce(to_jsonb(i) ->> 'indnullsnotdistinct' = 'true', false) AS holds_nulls
    FROM pg_index AS i
    WHERE i.indrelid = to_regclass('{self.table}') AND i.indisunique AND i.indpred IS NULL AND (
        SELECT a.attnum FROM pg_attribute AS a WHERE a.attrelid = i.indrelid AND a.attname = 'is_active'
    ) = ANY (i.indkey::smallint[])
"""

    def _others(self, row: str) -> str:
        same = " AND ".join(f"o.{column} = {row}.{column}" for column in self.columns)
        other = f"o.{self.key} <> {row}.{self.key}"
        return f"SELECT o.{self.key} FROM {self.table} AS o WHERE {same} AND {other} AND o.is_active"

    @property
    def out_of_use(self) -> str:
        """SQL of ``is_active`` of a row ``t`` to be deactivated: null if a unique index reserves false for another row,
        else false.
        """
        return f"CASE WHEN EXISTS ({self._unique}) AND EXISTS ({self._others('t')} = false) THEN NULL ELSE false END"

    @property
    def queue(self) -> str:
        """The arguments of the advisory lock that serializes changes of the group."""
        first, second = self.columns
        return f"hashtext('{self.table}.is_active'), hashtext({{row}}.{first} || ' ' || {{row}}.{second})"

    def guards(self) -> tuple[Sequence[Guard], Sequence[Guard]]:
        """The guards of activation and of deactivation: that a unique index admits the values of both rows."""
        others = self._others("{row}")
        replacing = f"EXISTS ({others}) AND EXISTS ({others} IS NOT TRUE)"
        leaving = f"EXISTS ({others} = false) AND EXISTS ({others} IS NULL)"
        return (self._room(replacing),), (self._room(leaving),)

    def _room(self, where: str) -> Guard:
        first, second = self.columns
        return Guard(
            f"NO_ROOM_FOR_{self.what.upper()}",
            f"If the database allows only one active {self.what}, no other one may be active.",
            f"""
        SELECT 'the database''s constraint ' || u.name || ' allows one {self.what} in use and two that are not for '
                || {{row}}.{first} || ' and ' || {{row}}.{second}
                || ', and they cannot change places; remove one that is not, or the constraint',
            '{self.entity}:' || {{row}}.{self.key}
        FROM ({self._unique}) AS u WHERE u.holds_nulls AND {where}
        """,
            reads=(self.entity,),
        )


INSTRUCTION_SLOT = Slot(
    "OptimizedInstruction", "optimized_instructions", "instruction_id", ("agent_name", "predictor_name"), "instruction"
)
DESCRIPTION_SLOT = Slot(
    "OptimizedToolDescription",
    "optimized_tool_descriptions",
    "tool_description_id",
    ("agent_name", "tool_name"),
    "description",
)

INSTRUCTION = activation(
    "OptimizedInstruction",
    what="an instruction",
    instead_of="the active one of its agent and predictor",
    activate="activateOptimizedInstruction",
    deactivate="deactivateOptimizedInstruction",
    activated="activated_at",
    deactivated="deactivated_at",
    states=Activation,
    before=(DEACTIVATE_OTHER_INSTRUCTIONS,),
    effects=(SETTLE_INSTRUCTIONS,),
    guards=INSTRUCTION_SLOT.guards(),
    out_of_use=INSTRUCTION_SLOT.out_of_use,
    queue=INSTRUCTION_SLOT.queue,
)

DESCRIPTION = activation(
    "OptimizedToolDescription",
    what="a tool's description",
    instead_of="the active one of its agent",
    activate="activateOptimizedToolDescription",
    deactivate="deactivateOptimizedToolDescription",
    states=Activation,
    before=(DEACTIVATE_OTHER_DESCRIPTIONS,),
    effects=(SETTLE_DESCRIPTIONS,),
    guards=DESCRIPTION_SLOT.guards(),
    out_of_use=DESCRIPTION_SLOT.out_of_use,
    queue=DESCRIPTION_SLOT.queue,
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
            "Activates the winning instruction of a test.",
            (Rollout.ROLLED_OUT,),
            many=False,
        ),
    ),
    stored={Rollout.PENDING: "false", Rollout.ROLLED_OUT: "true"},
)

"""Group 9, lifecycles: improvement actions, and which prompts and retrieval configuration are in use."""

from __future__ import annotations

from sqlalchemy import Boolean

from db.base.effects import Effect, Moves, Writes
from db.base.lifecycles import NOW, REASON, Change, Given, Lifecycle, Step, activation
from db.base.vocabulary import Labels
from db.models.g03_twin_lifecycles import Activation


class ActionStatus(Labels):
    """Status of an improvement action."""

    PENDING = "pending", "Proposed; not applied yet."
    APPLIED = "applied", "Applied."
    ROLLED_BACK = "rolled_back", "Rolled back."


DEACTIVATE_OTHER_CONFIGURATIONS = Effect(
    "deactivate_other_configurations",
    moves=(Moves("RetrievalConfiguration.activation", (Activation.INACTIVE,)),),
    beyond="The active configuration is replaced; no edge leads to it.",
)

DEACTIVATE_OTHER_PROMPTS = Effect(
    "deactivate_other_prompts",
    moves=(Moves("PromptConfiguration.activation", (Activation.INACTIVE,)),),
    beyond="The active version of the agent's prompt is replaced; no edge leads to it.",
)

PROMPT = activation(
    "PromptConfiguration",
    what="a version of a prompt",
    instead_of="the active one of its agent",
    activate="activatePromptConfiguration",
    deactivate="deactivatePromptConfiguration",
    activated="activated_at",
    deactivated="deactivated_at",
    states=Activation,
    before=(DEACTIVATE_OTHER_PROMPTS,),
    queue=(
        "hashtext('prompt_configurations.is_active'), "
        "hashtext({row}.prompt_name || ' ' || coalesce({row}.agent_name, ''))"
    ),
)

RETRIEVAL = activation(
    "RetrievalConfiguration",
    what="a retrieval configuration",
    instead_of="the active one",
    activate="activateRetrievalConfiguration",
    deactivate="deactivateRetrievalConfiguration",
    activated="activated_at",
    deactivated="deactivated_at",
    states=Activation,
    before=(DEACTIVATE_OTHER_CONFIGURATIONS,),
    queue="hashtext('retrieval_configurations.is_active'), 0",
)

ACTION = Lifecycle(
    "status",
    "ImprovementAction",
    "status",
    ActionStatus,
    ActionStatus.APPLIED,
    {
        ActionStatus.PENDING: (ActionStatus.APPLIED, ActionStatus.ROLLED_BACK),
        ActionStatus.APPLIED: (ActionStatus.ROLLED_BACK,),
    },
    entering={ActionStatus.ROLLED_BACK: Step(stamps={"rolled_back_at": NOW, "rollback_reason": REASON})},
    changes=(
        Change("applyImprovement", "Applies a proposed improvement.", (ActionStatus.APPLIED,)),
        Change("rollBackImprovement", "Rolls an improvement back.", (ActionStatus.ROLLED_BACK,), reason_due=True),
    ),
)

RECORD_APPLICATION = {
    "succeeded": Given(Boolean(), "Whether the lesson helped.", required=True, stored=False),
}
"""Inputs of the report of an applied lesson."""

RECORDING_APPLICATION = Effect(
    "recordKnowledgeApplication",
    writes=(Writes("ExperimentKnowledge", columns=("times_applied", "success_rate")),),
    guards=(),
)

"""Instructions, tool descriptions, prompts and retrieval configurations: one active each, winners of tests, rollback of
a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from db.base.lifecycles import Lifecycle
from db.models.g03_twin_lifecycles import Activation
from db.models.g09_improvement_lifecycles import (
    DEACTIVATE_OTHER_CONFIGURATIONS,
    DEACTIVATE_OTHER_PROMPTS,
    PROMPT,
    RETRIEVAL,
)
from db.models.g10_prompt_lifecycles import (
    ACTIVATE_WINNER,
    DEACTIVATE_OTHER_DESCRIPTIONS,
    DEACTIVATE_OTHER_INSTRUCTIONS,
    DESCRIPTION,
    DESCRIPTION_SLOT,
    INSTRUCTION,
    INSTRUCTION_SLOT,
    SETTLE_DESCRIPTIONS,
    SETTLE_INSTRUCTIONS,
    TAKE_BACK_INSTRUCTIONS,
    Slot,
)
from schema.changes.engine import Transition, Work
from schema.changes.registry import check, effect
from schema.changes.rows import Row


@check
def scores_in_range(given: Mapping[str, Any]) -> tuple[str, str] | None:
    for name in ("baseline_score", "optimized_score", "p_value"):
        if not 0 <= given.get(name, 0) <= 1:
            return name, f"{given[name]} is out of range; pass 0 to 1"
    return None


@effect(DEACTIVATE_OTHER_CONFIGURATIONS)
async def deactivate_other_configurations(work: Work, transition: Transition) -> None:
    """One retrieval configuration is in use."""
    for other in await work.find(
        "RetrievalConfiguration", "t.is_active AND t.config_id::uuid <> $1::text::uuid", transition.row["config_id"]
    ):
        await work.shift(RETRIEVAL, other, Activation.INACTIVE)


@effect(DEACTIVATE_OTHER_PROMPTS)
async def deactivate_other_prompts(work: Work, transition: Transition) -> None:
    """One version of an agent's prompt is in use."""
    same = "t.prompt_name = $2::text AND t.agent_name IS NOT DISTINCT FROM $3::text"
    row = transition.row
    for other in await work.find(
        "PromptConfiguration",
        f"t.is_active AND t.prompt_id::uuid <> $1::text::uuid AND {same}",
        row["prompt_id"],
        row["prompt_name"],
        row["agent_name"],
    ):
        await work.shift(PROMPT, other, Activation.INACTIVE)


@effect(DEACTIVATE_OTHER_INSTRUCTIONS)
async def deactivate_other_instructions(work: Work, transition: Transition) -> None:
    """One instruction per agent and predictor is in use."""
    await _make_room(work, INSTRUCTION, INSTRUCTION_SLOT, transition.row)


@effect(DEACTIVATE_OTHER_DESCRIPTIONS)
async def deactivate_other_descriptions(work: Work, transition: Transition) -> None:
    """One description per agent and tool is in use."""
    await _make_room(work, DESCRIPTION, DESCRIPTION_SLOT, transition.row)


async def _make_room(work: Work, lifecycle: Lifecycle, slot: Slot, row: Row) -> None:
    same = " AND ".join(f"t.{column} = ${place}::text" for place, column in enumerate(slot.columns, 2))
    others = f"t.is_active AND t.{slot.key}::uuid <> $1::text::uuid AND {same}"
    values = [row[slot.key], *(row[column] for column in slot.columns)]
    for other in await work.find(slot.entity, others, *values):
        await work.shift(lifecycle, other, Activation.INACTIVE)


async def _settle(work: Work, slot: Slot, row: Row) -> None:
    """Sets a row of this change without a value to inactive, once its slot has room."""
    prefix = f"{slot.entity}:"
    moved = [node.removeprefix(prefix) for node, _ in work.recorded if node.startswith(prefix)]
    same = " AND ".join(f"{{row}}.{column} = ${place}::text" for place, column in enumerate(slot.columns, 2))
    await work.fetch(
        f"UPDATE {slot.table} AS t SET is_active = false WHERE t.{slot.key}::uuid = ANY ($1::text[]::uuid[]) "
        f"AND {same.replace('{row}', 't')} AND t.is_active IS NULL AND NOT EXISTS ("
        f"SELECT FROM {slot.table} AS o WHERE {same.replace('{row}', 'o')} AND o.is_active = false)",
        moved,
        *(row[column] for column in slot.columns),
    )


@effect(SETTLE_INSTRUCTIONS)
async def settle_instructions(work: Work, transition: Transition) -> None:
    """An instruction that stood without a value while others changed places is inactive by its value again."""
    await _settle(work, INSTRUCTION_SLOT, transition.row)


@effect(SETTLE_DESCRIPTIONS)
async def settle_descriptions(work: Work, transition: Transition) -> None:
    """A description that stood without a value while others changed places is inactive by its value again."""
    await _settle(work, DESCRIPTION_SLOT, transition.row)


async def _activate(work: Work, instruction: str) -> None:
    """Activates an instruction, unless it is active, in place of the active one of its agent and predictor."""
    await work.queue(INSTRUCTION, [(instruction,)])
    for row in await work.find("OptimizedInstruction", "t.instruction_id::uuid = $1::text::uuid", instruction):
        if row["is_active"] != "true":
            await _make_room(work, INSTRUCTION, INSTRUCTION_SLOT, row)
            await work.shift(INSTRUCTION, row, Activation.ACTIVE)
            await _settle(work, INSTRUCTION_SLOT, row)


@effect(ACTIVATE_WINNER)
async def activate_winner(work: Work, transition: Transition) -> None:
    """The winner's instruction is put into use."""
    side = "baseline" if transition.row["winner"] in {"baseline", "control"} else "treatment"
    instruction = transition.row[f"{side}_instruction_id"]
    if instruction is not None:
        await _activate(work, instruction)


# The previously active instruction: neither of the run itself nor of another run that was rolled back since.
_BEFORE = """
    SELECT i.instruction_id::text
    FROM optimized_instructions AS i
    JOIN prompt_optimization_runs AS r ON r.run_id = i.run_id
    WHERE i.agent_name = $1::text AND i.predictor_name = $2::text
        AND i.deactivated_at IS NOT NULL AND i.is_active IS NOT TRUE
        AND i.run_id::uuid <> $3::text::uuid AND r.status::text IS DISTINCT FROM 'rolled_back'
    ORDER BY i.deactivated_at DESC, i.instruction_id DESC
    LIMIT 1
"""


@effect(TAKE_BACK_INSTRUCTIONS)
async def take_back_instructions(work: Work, transition: Transition) -> None:
    """What a run had put into use gives way to what was in use before it, where there was something.

    What another run had made that was rolled back does not come back.
    """
    made = "t.is_active AND t.run_id::uuid = $1::text::uuid"
    run = transition.row["run_id"]
    keys = await work.fetch(f"SELECT t.instruction_id::text FROM optimized_instructions AS t WHERE {made}", run)
    await work.queue(INSTRUCTION, [(key,) for (key,) in keys])
    for row in await work.find("OptimizedInstruction", made, run):
        before = await work.fetch(_BEFORE, row["agent_name"], row["predictor_name"], run)
        await work.shift(INSTRUCTION, row, Activation.INACTIVE)
        if before:
            await _activate(work, before[0][0])

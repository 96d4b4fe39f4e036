"""Instructions and retrieval configurations: one in use, the winner of a test, and what a run's rollback puts back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from db.models.g03_twin_lifecycles import Activation
from db.models.g09_improvement_lifecycles import RETRIEVAL
from db.models.g10_prompt_lifecycles import INSTRUCTION
from schema.effects import check, effect
from schema.lifecycle import Moved, Row, Work


@check
def scores_in_range(given: Mapping[str, Any]) -> tuple[str, str] | None:
    for name in ("baseline_score", "optimized_score", "p_value"):
        if not 0 <= given.get(name, 0) <= 1:
            return name, f"{given[name]} is out of range; pass 0 to 1"
    return None


@effect
async def deactivate_other_configurations(work: Work, moved: Moved) -> None:
    """One retrieval configuration is in use."""
    for other in await work.find(
        "RetrievalConfiguration", "t.is_active AND t.config_id <> $1::text::uuid", moved.row["config_id"]
    ):
        await work.shift(RETRIEVAL, other, Activation.INACTIVE)


@effect
async def deactivate_other_instructions(work: Work, moved: Moved) -> None:
    """One instruction per agent and predictor is in use."""
    await _make_room(work, moved.row)


async def _make_room(work: Work, row: Row) -> None:
    for other in await work.find(
        "OptimizedInstruction",
        "t.is_active AND t.agent_name = $1::text AND t.predictor_name = $2::text AND "
        "t.instruction_id <> $3::text::uuid",
        row["agent_name"],
        row["predictor_name"],
        row["instruction_id"],
    ):
        await work.shift(INSTRUCTION, other, Activation.INACTIVE)


async def _activate(work: Work, instruction: str) -> None:
    """Puts an instruction into use unless it is, in place of its agent's and predictor's other one."""
    await work.queue(INSTRUCTION, [(instruction,)])
    for row in await work.find("OptimizedInstruction", "t.instruction_id = $1::text::uuid", instruction):
        if row["is_active"] != "true":
            await _make_room(work, row)
            await work.shift(INSTRUCTION, row, Activation.ACTIVE)


@effect
async def activate_winner(work: Work, moved: Moved) -> None:
    """The winner's instruction is put into use."""
    side = "baseline" if moved.row["winner"] in {"baseline", "control"} else "treatment"
    instruction = moved.row[f"{side}_instruction_id"]
    if instruction is not None:
        await _activate(work, instruction)


@effect
async def take_back_instructions(work: Work, moved: Moved) -> None:
    """What a run had put into use gives way to what was in use before it, where there was something."""
    active = await work.find("OptimizedInstruction", "t.is_active AND t.run_id = $1::text::uuid", moved.row["run_id"])
    await work.queue(INSTRUCTION, [row.key for row in active])
    for row in active:
        await work.shift(INSTRUCTION, row, Activation.INACTIVE)
        before = await work.fetch(
            "SELECT instruction_id::text FROM optimized_instructions WHERE agent_name = $1::text "
            "AND predictor_name = $2::text AND run_id <> $3::text::uuid AND deactivated_at IS NOT NULL "
            "ORDER BY deactivated_at DESC, instruction_id DESC LIMIT 1",
            row["agent_name"],
            row["predictor_name"],
            row["run_id"],
        )
        if before:
            await _activate(work, before[0][0])

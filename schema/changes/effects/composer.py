"""Compositions: the end of a step records a measurement of its tool and updates the tool's averages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from db.models.g04_composer_lifecycles import MEASURE_TOOL
from db.models.g04_tool_composer import CompositionStatus
from schema.changes.engine import Transition, Work
from schema.changes.registry import check, effect
from schema.changes.rows import Row, Sql

ROLLING = 100
"""The number of recent measurements in a tool's moving averages."""


@check
def latency_not_negative(given: Mapping[str, Any]) -> tuple[str, str] | None:
    for name in ("latency_ms", "total_latency_ms"):
        if given.get(name, 0) < 0:
            return name, f"{given[name]} is negative"
    return None


@check
def rating_in_range(given: Mapping[str, Any]) -> tuple[str, str] | None:
    if not 1 <= given.get("user_rating", 1) <= 5:
        return "user_rating", f"{given['user_rating']} is out of range; pass 1 to 5"
    return None


@check
def correct_pattern_of_a_wrong_routing(given: Mapping[str, Any]) -> tuple[str, str] | None:
    if given.get("correct_pattern") is not None and given["to"].value == "correct":
        return "correct_pattern", "is for a routing that was not correct"
    return None


_MEASURED = """
    SELECT p.performance_id::text, p.xmin::text = pg_current_xact_id()::xid::text FROM tool_performance AS p
    WHERE p.step_id::uuid = $1::text::uuid
    UNION ALL
    SELECT p.performance_id::text, true FROM tool_performance AS p
    WHERE p.step_id IS NULL AND p.tool_id::uuid = $2::text::uuid AND p.executed_at >= now()
        AND p.xmin::text = pg_current_xact_id()::xid::text
"""


@effect(MEASURE_TOOL)
async def measure_tool(work: Work, transition: Transition) -> None:
    """Adds the step's end to `tool_performance` and refreshes the tool's latency and success rate.

    Where a trigger of the database has just written the measurement, or whoever ran the tool has, it is left to them.
    A step that never started measures nothing.
    """
    step = await work.again(transition.row)
    # the tool first, so that steps that end concurrently count each other
    tools = await work.find("Tool", "t.tool_id::uuid = $1::text::uuid", step["tool_id"])
    measured = await work.fetch(_MEASURED, step["step_id"], step["tool_id"])
    if not measured and step["latency_ms"] is not None:
        measured = [(await _measured(work, step, transition), True)]
    for key, just_now in measured:
        if just_now:
            work.made(f"ToolPerformance:{key}")
    if not measured:
        return
    for tool in tools:
        recent = (
            "(SELECT avg({what}) FROM (SELECT nullif(p.latency_ms, 'NaN') AS latency_ms, p.success "
            "FROM tool_performance AS p WHERE p.tool_id = t.tool_id "
            f"ORDER BY p.executed_at DESC, p.performance_id DESC LIMIT {ROLLING}) AS recent)"
        )
        await work.write(
            tool,
            {
                "avg_latency_ms": Sql(recent.replace("{what}", "latency_ms")),
                "success_rate": Sql(recent.replace("{what}", "success::integer::float8")),
            },
        )
        work.touched(tool.id)


async def _measured(work: Work, step: Row, transition: Transition) -> str:
    """Inserts the measurement; returns its key."""
    episodes = await work.fetch(
        "SELECT composition_id FROM composer_episodes WHERE episode_id::uuid = $1::text::uuid", step["episode_id"]
    )
    broken = None if transition.to is CompositionStatus.COMPLETED else transition.to.value.lower()
    row = await work.insert(
        "ToolPerformance",
        {
            "tool_id": step["tool_id"],
            "tool_name": step["tool_name"],
            "latency_ms": step["latency_ms"],
            "success": "false" if broken else "true",
            "error_type": broken,
            "composition_id": episodes[0][0] if episodes else None,
            "step_id": step["step_id"],
            "called_by": "composer",
        },
    )
    return row.key[0]

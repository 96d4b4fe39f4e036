"""The Tool Composer: classified queries, compositions with their steps, and measurements of tool calls.

The story is the composition ``comp-kisqali-midwest``: a query of four dependent sub-questions, classified as
TOOL_COMPOSER, executed as estimate -> effects by segment -> ranking -> ROI, and rated with five stars.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from db.demo.embeddings import embedding
from db.demo.rows import Row
from db.demo.vocabulary import PEOPLE, QUERIES
from db.demo.world import Document, World, sha256, spread
from db.models.g04_tool_composer import ClassificationLog, ComposerEpisode, CompositionStep, ToolPerformance


@dataclass(frozen=True)
class ToolUse:
    """A planned step: the tool, the steps that it depends on, and its output."""

    tool: str
    after: tuple[int, ...]
    serves: str
    output: Document


@dataclass(frozen=True)
class Composition:
    """A composition: the query, its sub-questions with the dependencies between them, and its steps."""

    topic: str
    query: str
    questions: tuple[str, ...]
    dependencies: tuple[tuple[str, str, str], ...]
    steps: tuple[ToolUse, ...]


STORY = Composition(
    "causal",
    "What do rep visits do for Kisqali TRx, for whom most, and is it worth targeting them?",
    (
        "What is the causal effect of rep visits on Kisqali TRx?",
        "Which segments respond most?",
        "Which of those are the best targets?",
        "If they were targeted, what would be the ROI?",
    ),
    (("Q2", "Q1", "LOGICAL_SEQUENCE"), ("Q3", "Q2", "REFERENCE_CHAIN"), ("Q4", "Q3", "CONDITIONAL")),
    (
        ToolUse("causal_effect_estimator", (), "Q1", {"ate": 1.42, "ci_lower": 1.1, "ci_upper": 1.74, "n": 4_812}),
        ToolUse("cate_analyzer", (1,), "Q2", {"segment_effects": {"oncologists, decile 8-10": 2.3}, "p_value": 0.003}),
        ToolUse("segment_ranker", (2,), "Q3", {"ranked_segments": ["oncologists, decile 8-10", "community practices"]}),
        ToolUse("roi_estimator", (1, 3), "Q4", {"incremental_value": 2_350_000, "risk_adjusted_roi": 3.9}),
    ),
)
PLANS = (
    STORY,
    Composition(
        "monitoring", "Has the payer mix of Kisqali drifted since the formulary change, and what moved with it?",
        ("Has the payer mix drifted?", "Which features moved with it?"),
        (("Q2", "Q1", "ENTITY_TRANSFORMATION"),),
        (
            ToolUse("psi_calculator", (), "Q1", {"psi": 0.31, "severity": "high"}),
            ToolUse("distribution_comparator", (1,), "Q2", {"drifted_count": 3}),
        ),
    ),
    Composition(
        "experiment", "What do e-mails do for Remibrutinib NRx, and how large a test would show it?",
        ("What is the effect of e-mails on NRx?", "How many HCPs would a test need?"),
        (("Q2", "Q1", "LOGICAL_SEQUENCE"),),
        (
            ToolUse("propensity_estimator", (), "Q1", {"auc": 0.74, "overlap": 0.93}),
            ToolUse("causal_effect_estimator", (1,), "Q1", {"ate": 0.17, "n": 2_904}),
            ToolUse("power_calculator", (2,), "Q2", {"n_treatment": 214, "n_control": 214}),
            ToolUse("counterfactual_simulator", (2,), "Q2", {"simulated_ate": 0.15, "recommendation": "deploy"}),
        ),
    ),
)  # fmt: skip
PATTERNS = (
    ("SINGLE_AGENT", 6), ("PARALLEL_DELEGATION", 3), ("TOOL_COMPOSER", 3), ("CLARIFICATION_NEEDED", 1),
)  # fmt: skip
AGENT_OF = {
    "causal": "causal_impact", "segmentation": "heterogeneous_optimizer", "gap": "gap_analyzer",
    "experiment": "experiment_designer", "prediction": "prediction_synthesizer", "monitoring": "drift_monitor",
    "roi": "gap_analyzer", "cohort": "cohort_constructor",
}  # fmt: skip


def add_story(world: World) -> Row:
    """The composition ``comp-kisqali-midwest``; returns its episode."""
    moment = world.ago(hours=5)
    logged = classify(world, STORY.query, "causal", "TOOL_COMPOSER", moment, plan=STORY, was_correct=True)
    return compose(
        world, STORY, logged, moment, composition_id="comp-kisqali-midwest", status="COMPLETED", success=True,
        user_rating=5, feedback_text="Exactly the segments we meant.", feedback_at=moment + timedelta(hours=1),
        synthesized_response=(
            "One more visit brings 1.42 TRx per quarter (95% CI 1.10 to 1.74), 2.3 among oncologists in deciles 8-10. "
            "Targeting these returns 3.9 times its cost."
        ),
    )  # fmt: skip


def add_unfinished(world: World) -> None:
    """Compositions in every phase, a failed one and one with a timeout; the first was misclassified."""
    phases = ("PENDING", "DECOMPOSING", "PLANNING", "EXECUTING", "SYNTHESIZING", "FAILED", "TIMEOUT")
    plan = PLANS[2]
    for number, status in enumerate(phases):
        moment = world.ago(minutes=1 + 40 * (number > 4) * number)
        verdict = None if number else False
        logged = classify(world, plan.query, plan.topic, "TOOL_COMPOSER", moment, plan=plan, was_correct=verdict)
        compose(world, plan, logged, moment, status=status)


def queries(world: World, count: int) -> None:
    """Classified queries, with the compositions of those that need one."""
    for _ in range(count):
        topic, query = world.pick(QUERIES)
        pattern = spread(PATTERNS, world.rng)
        hours = world.rng.uniform(0.5, 24) if world.chance(0.5) else world.rng.uniform(24, 700)
        moment = world.ago(hours=hours)
        plan = world.pick(PLANS) if pattern == "TOOL_COMPOSER" else None
        if plan:
            topic, query = plan.topic, plan.query
        logged = classify(world, query, topic, pattern, moment, plan=plan)
        if plan:
            failed = world.chance(0.1)
            compose(
                world, plan, logged, moment, status="FAILED" if failed else "COMPLETED",
                success=world.pick((True, None)) if not failed else False,
            )  # fmt: skip
        else:
            name = world.pick(list(world.tools))
            _measured(world, name, moment, None, None, called_by=world.pick(("agent", "direct")))


def classify(
    world: World,
    query: str,
    topic: str,
    pattern: str,
    moment: datetime,
    *,
    plan: Composition | None,
    was_correct: bool | None = None,
) -> Row:
    """A classification; unless ``was_correct`` is given, it gets feedback at random."""
    llm = world.chance(0.4)
    if was_correct is None and world.chance(0.3):
        was_correct = world.chance(0.85)
    questions = [{"id": f"Q{n}", "text": text} for n, text in enumerate(plan.questions, 1)] if plan else []
    links = [{"from": a, "to": b, "type": kind} for a, b, kind in plan.dependencies] if plan else []
    agents = [AGENT_OF[topic]] if pattern == "SINGLE_AGENT" else [AGENT_OF[topic], "explainer"]
    if pattern == "CLARIFICATION_NEEDED":
        agents = []
    return world.rows.add(
        ClassificationLog,
        query_text=query,
        query_hash=sha256(query),
        routing_pattern=pattern,
        target_agents=["tool_composer"] if plan else agents,
        confidence=world.between(0.45, 0.6) if not agents else world.between(0.72, 0.99),
        features_extracted={"entities": ["Kisqali"] if "Kisqali" in query else [], "length": len(query)},
        domain_mapping={"domains": [topic.upper()]},
        dependency_analysis={"has_dependencies": bool(links)},
        sub_questions=questions,
        dependencies=links,
        used_llm_layer=llm,
        classification_latency_ms=world.between(300, 1_400, 1) if llm else world.between(4, 40, 1),
        session_id=f"session-{world.hex(8)}",
        user_id=world.pick(PEOPLE),
        is_followup=world.chance(0.2),
        was_correct=was_correct,
        correct_pattern="PARALLEL_DELEGATION" if was_correct is False else None,
        feedback_notes="Two agents should have been asked." if was_correct is False else None,
        created_at=moment,
    )


DONE = {"EXECUTING": 2, "SYNTHESIZING": 99, "COMPLETED": 99, "FAILED": 2, "TIMEOUT": 1}
"""The number of executed steps, by the status of the composition."""


def compose(world: World, plan: Composition, logged: Row, asked: datetime, *, status: str, **more: Any) -> Row:
    """A composition with its steps and tool calls; its latency is the sum of those of its phases."""
    identity = world.rows.uuid()
    composition = more.get("composition_id") or f"comp-{world.hex(12)}"
    begun = asked + timedelta(seconds=1)
    decomposed, planned, synthesized = (
        world.between(low, high, 1) for low, high in ((300, 900), (400, 1_200), (500, 1_500))
    )
    ran, executed = DONE.get(status, 0), 0.0
    moment = begun + timedelta(milliseconds=decomposed + planned)
    for number, step in enumerate(plan.steps, 1):
        executed += _step(
            world, identity, composition, number, step, moment + timedelta(milliseconds=executed),
            _status(number, ran, status),
        )  # fmt: skip
    finished = status in {"COMPLETED", "FAILED", "TIMEOUT"}
    phases = {
        "decompose_latency_ms": decomposed if status not in {"PENDING", "DECOMPOSING"} else None,
        "plan_latency_ms": planned if status not in {"PENDING", "DECOMPOSING", "PLANNING"} else None,
        "execute_latency_ms": round(executed, 1) if executed else None,
        "synthesize_latency_ms": synthesized if status == "COMPLETED" else None,
    }
    total = round(sum(value or 0 for value in phases.values()), 1)
    error = {"FAILED": "Step 2 failed: no overlap between the arms.", "TIMEOUT": "No result within 120 s."}.get(status)
    together: dict[tuple[int, ...], list[int]] = {}
    for number, step in enumerate(plan.steps, 1):
        together.setdefault(step.after, []).append(number)
    values: Document = {
        "episode_id": identity,
        "composition_id": composition,
        "query_text": plan.query,
        "query_embedding": embedding(world.rng, plan.topic),
        "sub_questions": logged["sub_questions"],
        "tool_plan": {"steps": [{"number": n, "tool": step.tool} for n, step in enumerate(plan.steps, 1)]},
        "parallelizable_groups": [group for group in together.values() if len(group) > 1],
        "tool_outputs": {
            step.tool: step.output
            for number, step in enumerate(plan.steps, 1)
            if _status(number, ran, status) == "COMPLETED"
        },
        "synthesized_response": "See the outputs of the tools." if status == "COMPLETED" else None,
        "total_latency_ms": total,
        "status": status,
        "error_message": error,
        "session_id": logged["session_id"],
        "user_id": logged["user_id"],
        "classification_id": logged["classification_id"],
        "created_at": begun,
        "completed_at": begun + timedelta(milliseconds=total) if finished else None,
    }
    return world.rows.add(ComposerEpisode, **(values | phases | more))


def _status(number: int, ran: int, status: str) -> str:
    if number < ran or (number == ran and status not in {"FAILED", "EXECUTING", "TIMEOUT"}):
        return "COMPLETED"
    if number == ran:
        return status
    return "COMPLETED" if ran == 99 else "PENDING"


def _step(
    world: World, episode: UUID, composition: str, number: int, step: ToolUse, moment: datetime, status: str
) -> float:
    """A step with its tool call; returns its latency in ms, 0 if it was not executed."""
    ended = status in {"COMPLETED", "FAILED", "TIMEOUT"}
    latency = world.between(120, 6_000, 1) if ended else 0.0
    row = world.rows.add(
        CompositionStep,
        episode_id=episode,
        step_number=number,
        step_name=step.tool.replace("_", " "),
        tool_id=world.tools[step.tool],
        tool_name=step.tool,
        input_params={"brand": "Kisqali", "region": "midwest", "from_steps": list(step.after)},
        output_result=step.output if status == "COMPLETED" else None,
        depends_on_steps=list(step.after),
        serves_sub_question=step.serves,
        started_at=moment if status != "PENDING" else None,
        completed_at=moment + timedelta(milliseconds=latency) if ended else None,
        latency_ms=latency or None,
        status=status,
        error_message=None if status not in {"FAILED", "TIMEOUT"} else f"{step.tool} gave no result.",
        retry_count=1 if status == "FAILED" else 0,
        created_at=moment,
    )
    if ended:
        _measured(world, step.tool, moment, row, composition, called_by="composer")
    return latency


def _measured(
    world: World, name: str, moment: datetime, step: Row | None, composition: str | None, *, called_by: str
) -> None:
    success = step["status"] == "COMPLETED" if step else world.chance(0.96)
    world.rows.add(
        ToolPerformance,
        tool_id=world.tools[name],
        tool_name=name,
        context_type=world.pick(("regional_comparison", "segment_analysis", "what_if")),
        input_complexity=world.rng.randint(1, 10),
        latency_ms=step["latency_ms"] if step else world.between(120, 6_000, 1),
        success=success,
        error_type=None if success else world.pick(("timeout", "no_overlap", "invalid_input")),
        composition_id=composition,
        step_id=step["step_id"] if step else None,
        called_by=called_by,
        executed_at=moment,
    )

"""Traces: questions to the orchestrator with the agents and LLM calls below them, and the work of tier 0."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from db.demo.rows import Row
from db.demo.vocabulary import AGENTS, LLMS, PEOPLE
from db.demo.world import Case, Document, World
from db.models.g01_mlops_serving import ObservabilitySpan

ANSWERING = [agent for agent, tier in AGENTS.items() if tier not in {"ml_foundation", "coordination"}]
OPERATIONS = {
    "ml_foundation": ("training", "shap_computation", "data_validation", "deployment"),
    "coordination": ("routing", "composition"),
    "causal_analytics": ("effect_estimation", "gap_analysis", "segmentation"),
    "monitoring": ("drift_check", "experiment_design", "health_check"),
    "ml_predictions": ("inference", "allocation"),
    "self_improvement": ("explanation", "feedback"),
}
ERRORS = (
    ("RateLimitError", "429 from the LLM provider, no fallback left."),
    ("ValidationError", "The agent's answer did not match its schema."),
    ("TimeoutError", "No answer within 30 s."),
)


def traces(world: World, case: Case) -> None:
    """Traces of an experiment, most of them of the last 24 hours; a third is of training and deployment."""
    for number in range(world.size.traces):
        hours = world.rng.uniform(0.1, 23) if world.chance(0.6) else world.rng.uniform(24, 24 * 14)
        begun = world.now - timedelta(seconds=round(hours * 3600))
        if number % 3 == 2:
            _groundwork(world, case, begun)
        else:
            _question(world, case, begun)


def _question(world: World, case: Case, begun: datetime) -> None:
    trace, session = world.hex(32), f"session-{world.hex(8)}"
    live = [deployment for made in case.models for deployment in made.deployments if deployment.status == "active"]
    deployment = world.pick(live).id if live else None
    person = world.pick(PEOPLE)
    common: Document = {"experiment_id": case.id, "user_id": person, "session_id": session}
    root = _span(world, trace, None, "orchestrator", begun, world.rng.randint(900, 9_000), common)
    moment = begun + timedelta(milliseconds=60)
    composed = world.chance(0.25)
    parent = root
    if composed:
        parent = _span(world, trace, root, "tool_composer", moment, round(root["duration_ms"] * 0.9), common)
    for agent in world.rng.sample(ANSWERING, 2 if composed else 1):
        uses = {"deployment_id": deployment} if AGENTS[agent] == "ml_predictions" else {}
        lasted = max(40, round(parent["duration_ms"] * world.between(0.25, 0.42)))
        child = _span(world, trace, parent, agent, moment, lasted, common | uses)
        _span(world, trace, child, agent, moment, max(20, lasted - 30), common | uses, llm=world.pick(LLMS))
        moment += timedelta(milliseconds=lasted + 10)


def _groundwork(world: World, case: Case, begun: datetime) -> None:
    """A trace of tier 0 for a training run or a deployment."""
    trace = world.hex(32)
    made = world.pick(case.models)
    run: UUID | None = made.runs[0]
    deployment = made.deployments[-1].id if made.deployments and world.chance(0.4) else None
    agents: tuple[str, ...] = ("data_preparer", "model_trainer")
    if deployment:
        agents = ("model_deployer", "observability_connector")
    elif world.chance(0.5):
        agents = ("scope_definer", "cohort_constructor", "model_selector", "feature_analyzer")
    common: Document = {"experiment_id": case.id, "training_run_id": None if deployment else run}
    common |= {"deployment_id": deployment, "user_id": None, "session_id": None}
    root = _span(world, trace, None, agents[0], begun, world.rng.randint(12_000, 90_000), common)
    for place, agent in enumerate(agents[1:]):
        _span(world, trace, root, agent, begun + timedelta(seconds=place + 1), world.rng.randint(800, 6_000), common)


def _span(
    world: World,
    trace: str,
    parent: Row | None,
    agent: str,
    begun: datetime,
    lasted: int,
    common: Document,
    *,
    llm: str | None = None,
) -> Row:
    failed = world.chance(0.03)
    timeout = failed and world.chance(0.3)
    running = parent is None and not failed and world.chance(0.004)
    fallback = llm is not None and world.chance(0.06)
    sent, received = (world.rng.randint(400, 9_000), world.rng.randint(60, 1_800)) if llm else (None, None)
    error, message = (ERRORS[2] if timeout else world.pick(ERRORS[:2])) if failed else (None, None)
    values: Document = {
        "trace_id": trace,
        "span_id": world.hex(16),
        "parent_span_id": parent["span_id"] if parent else None,
        "agent_name": agent,
        "agent_tier": AGENTS[agent],
        "operation_type": "llm_call" if llm else world.pick(OPERATIONS[AGENTS[agent]]),
        "started_at": begun,
        "ended_at": None if running else begun + timedelta(milliseconds=lasted),
        "duration_ms": None if running else lasted,
        "model_name": llm,
        "input_tokens": sent,
        "output_tokens": received,
        "total_tokens": (sent or 0) + (received or 0) if llm else None,
        "status": "timeout" if timeout else "error" if failed else "success",
        "error_type": error,
        "error_message": message,
        "fallback_used": fallback,
        "fallback_chain": ["claude-opus-4", llm] if fallback else [],
        "attributes": {"cache_hit": world.chance(0.2)} if llm else {},
        "experiment_id": None,
        "training_run_id": None,
        "deployment_id": None,
        "user_id": None,
        "session_id": None,
    }
    row = values | common
    world.rows.add(ObservabilitySpan, **row)
    # children are within the parent's time, even if the parent has no end yet
    return row | {"duration_ms": lasted}

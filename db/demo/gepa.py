"""Prompt optimization: GEPA runs with their Pareto lineage, and the A/B test of the best candidate.

The story is the run ``causal-impact-gepa-1``: eight candidates evolved from the seed; candidate 6 was the best, won the
test ``causal-impact-gepa-vs-miprov2`` against the instruction of an earlier MIPROv2 run, and is active.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean, median
from typing import Any
from uuid import UUID

from db.demo.rows import Row
from db.demo.vocabulary import AGENTS, PEOPLE, TIERS
from db.demo.world import Document, World, seconds, sha256
from db.models.g01_mlops_core import TrainingRun
from db.models.g10_gepa_optimization import (
    OptimizedInstruction,
    OptimizedToolDescription,
    PromptAbTest,
    PromptAbTestObservation,
    PromptOptimizationRun,
)

PARENTS: dict[int, list[int]] = {0: [], 1: [0], 2: [0], 3: [1], 4: [1, 2], 5: [3], 6: [4, 5], 7: [6]}
"""The parents of each candidate of the story, by index."""
SCORES = (0.61, 0.64, 0.63, 0.69, 0.71, 0.7, 0.78, 0.74)
HYBRID = {"orchestrator", "tool_composer", "heterogeneous_optimizer"}
DEEP = {"explainer", "feedback_learner", "causal_impact"}
CALLS = {"light": 500, "medium": 2_000, "heavy": 4_000, "custom": 1_250}


@dataclass(frozen=True)
class Candidate:
    """A candidate of a run: its instruction and its score."""

    id: UUID
    score: float


def add_story(world: World) -> None:
    """The earlier MIPROv2 run, the GEPA run, its instructions and tool descriptions, and the test that it won."""
    old_day, day, won = world.ago(days=90), world.ago(days=30), world.ago(days=9)
    before = optimize(world, "causal-impact-miprov2", "causal_impact", "miprov2", "light", old_day, (0.55, 0.61))
    baseline = _instructions(
        world, before, {0: [], 1: [0]}, (0.55, 0.61), best=1, prefix="miprov2", activated=old_day, deactivated=won,
        is_baseline=True,
    )  # fmt: skip
    run = optimize(
        world, "causal-impact-gepa-1", "causal_impact", "gepa", "medium", day, (SCORES[0], SCORES[6]), best=6,
        enable_tool_optimization=True, pareto_frontier_size=3, num_candidates_explored=len(PARENTS),
    )  # fmt: skip
    candidates = _instructions(world, run, PARENTS, SCORES, best=6, prefix="gepa", activated=won)
    _tools(world, run)
    ab_test(
        world, "causal-impact-gepa-vs-miprov2", "causal_impact", (baseline[1], candidates[6]),
        world.ago(days=16), won, requests=80,
    )  # fmt: skip


def every_kind(world: World) -> None:
    """Runs of every optimizer, budget and status, and tests that are drafts, running, or stopped."""
    kinds = (
        ("bootstrap_fewshot", "light", "completed"), ("copro", "custom", "failed"), ("simba", "heavy", "cancelled"),
        ("manual", "custom", "rolled_back"), ("gepa", "heavy", "running"), ("gepa", "medium", "pending"),
    )  # fmt: skip
    agents = ("explainer", "gap_analyzer", "heterogeneous_optimizer", "orchestrator", "tool_composer", "drift_monitor")
    made = []
    for number, ((optimizer, budget, status), agent) in enumerate(zip(kinds, agents, strict=True)):
        begun = world.ago(hours=1) if status in {"running", "pending"} else world.ago(days=20 + number)
        run = optimize(world, f"{agent}-{optimizer}", agent, optimizer, budget, begun, (0.6, 0.66), status=status)
        if status in {"completed", "rolled_back"}:
            made.append((agent, _instructions(world, run, {0: [], 1: [0]}, (0.6, 0.66), best=1, prefix=optimizer)))
    (agent, pair), (other, rest) = made
    ab_test(
        world, f"{agent}-control", agent, (pair[0], pair[1]), world.ago(days=4), None, requests=24,
        variants=("control", "gepa_v2"),
    )  # fmt: skip
    ab_test(world, f"{other}-draft", other, (rest[0], rest[1]), None, None, requests=0)
    ab_test(world, f"{other}-stopped", other, (rest[0], rest[1]), world.ago(days=12), world.ago(days=11), requests=10)


def plain(world: World, number: int) -> None:
    """A run with its candidates and a test of the best one; none of them is active."""
    agent = world.pick(list(AGENTS))
    begun = world.ago(days=world.rng.randint(20, 200))
    scores = tuple(world.around(score, 0.02) for score in SCORES)
    best = max(range(len(scores)), key=lambda index: scores[index])
    run = optimize(
        world, f"{agent}-gepa-{number + 2}", agent, "gepa", "medium", begun, (scores[0], scores[best]), best=best
    )
    made = _instructions(world, run, PARENTS, scores, best=best, prefix="gepa")
    ab_test(
        world, f"{agent}-gepa-{number + 2}-test", agent, (made[0], made[best]), begun + timedelta(days=2),
        begun + timedelta(days=9), requests=40,
    )  # fmt: skip


def optimize(
    world: World, name: str, agent: str, optimizer: str, budget: str, begun: datetime, scores: tuple[float, float],
    *, best: int | None = 1, status: str = "completed", **more: Any,
) -> Row:  # fmt: skip
    """A run; unless it completed, it has no optimized score."""
    finished = status in {"completed", "rolled_back"}
    ended = (
        begun + timedelta(minutes=world.rng.randint(25, 300)) if finished or status in {"failed", "cancelled"} else None
    )
    before, after = scores
    config = {"optimizer": optimizer, "budget": budget, "auto": budget != "custom"}
    values: Document = {
        "run_name": name,
        "agent_name": agent,
        "agent_tier": TIERS.index(AGENTS[agent]),
        "agent_type": "hybrid" if agent in HYBRID else "deep" if agent in DEEP else "standard",
        "optimizer_type": optimizer,
        "budget_preset": budget,
        "max_metric_calls": CALLS[budget],
        "reflection_model": "claude-opus-4",
        "reflection_minibatch_size": 3,
        "enable_tool_optimization": False,
        "candidate_selection_strategy": "pareto",
        "trainset_size": 120,
        "valset_size": 40,
        "trainset_hash": sha256(f"{name} train"),
        "valset_hash": sha256(f"{name} val"),
        "status": status,
        "started_at": None if status == "pending" else begun,
        "completed_at": ended,
        "duration_seconds": seconds(begun, ended) if ended else None,
        "baseline_score": before,
        "optimized_score": after if finished else None,
        "improvement_percent": round(100 * (after - before) / before, 2) if finished else None,
        "total_metric_calls": CALLS[budget] - world.rng.randint(0, 90) if finished else None,
        "num_candidates_explored": 8 if best != 1 else 2,
        "pareto_frontier_size": 2 if finished else None,
        "log_dir": f"/var/log/gepa/{name}",
        "mlflow_run_id": world.hex(32),
        "best_candidate_idx": best if finished else None,
        "error_message": "The reflection model was not available." if status == "failed" else None,
        "config_json": config,
        "seed": 42,
        "created_by": world.pick(PEOPLE),
        "created_at": begun - timedelta(minutes=2),
    }
    row = world.rows.add(PromptOptimizationRun, **(values | more))
    if ended and status == "completed":
        world.rows.add(
            TrainingRun,
            id=UUID(row["mlflow_run_id"]),  # derived from the run, so that no random number is drawn for it
            run_name=name,
            mlflow_run_id=row["mlflow_run_id"],
            algorithm=optimizer,
            hyperparameters=config,
            training_samples=row["trainset_size"],
            validation_samples=row["valset_size"],
            validation_metrics={"score": after},
            status="completed",
            started_at=begun,
            completed_at=ended,
            duration_seconds=seconds(begun, ended),
        )
    return row


def _instructions(
    world: World,
    run: Row,
    parents: dict[int, list[int]],
    scores: tuple[float, ...],
    *,
    best: int,
    prefix: str,
    activated: datetime | None = None,
    deactivated: datetime | None = None,
    is_baseline: bool = False,
) -> list[Candidate]:
    """The candidates of a run; the best one may have been deployed."""
    agent, made = run["agent_name"], []
    begun: datetime = run["created_at"] + timedelta(minutes=5)
    for index, parent_indices in parents.items():
        moment = begun + timedelta(minutes=2 * index)
        text = (
            f"You are {agent.replace('_', ' ')}. Candidate {index} of {run['run_name']}: say the effect, its interval "
            f"and what refutes it."
        )
        chosen = index == best and activated is not None
        row = world.rows.add(
            OptimizedInstruction,
            run_id=run["run_id"],
            agent_name=agent,
            predictor_name="respond",
            version=f"{prefix}_v{index}_{moment:%Y%m%d_%H%M%S}",
            is_active=chosen and deactivated is None,
            is_baseline=is_baseline and index == best,
            instruction_text=text,
            instruction_hash=sha256(text),
            val_score=scores[index],
            val_score_components={
                "faithfulness": round(scores[index] + 0.05, 4),
                "brevity": round(scores[index] - 0.08, 4),
            },
            candidate_idx=index,
            parent_indices=parent_indices,
            discovery_eval_count=60 + 90 * index,
            created_at=moment,
            activated_at=activated if chosen else None,
            deactivated_at=deactivated if chosen else None,
        )
        made.append(Candidate(row["instruction_id"], scores[index]))
    return made


def _tools(world: World, run: Row) -> None:
    """Descriptions of DoWhy and EconML tools; the first two are of tools in the registry, or similar to them."""
    texts = {
        "causal_effect_estimator": "Estimates an average effect; use it before any refutation.",
        "causal_forest": "Heterogeneous effects by a causal forest; use it with more than 2000 rows.",
        "linear_dml": "A linear effect by double machine learning; use it with few effect modifiers.",
    }
    for number, (tool, text) in enumerate(texts.items()):
        world.rows.add(
            OptimizedToolDescription,
            run_id=run["run_id"],
            agent_name=run["agent_name"],
            tool_name=tool,
            version="gepa_v1",
            is_active=number != 2,
            description_text=text,
            argument_descriptions={"treatment": "The column that is changed.", "outcome": "The column that answers."},
            description_hash=sha256(text),
            original_description=f"Runs {tool}.",
            original_arguments={"treatment": "treatment", "outcome": "outcome"},
            tool_selection_accuracy=world.between(0.84, 0.97),
            created_at=run["completed_at"],
        )


def ab_test(
    world: World,
    name: str,
    agent: str,
    pair: tuple[Candidate, Candidate],
    begun: datetime | None,
    ended: datetime | None,
    *,
    requests: int,
    variants: tuple[str, str] = ("baseline", "gepa"),
) -> None:
    """An A/B test of two instructions; its counts and means are those of its observations."""
    identity = world.rows.uuid()
    treated = {variant: place == 1 for place, variant in enumerate(variants)}
    seen: dict[str, list[Row]] = {variant: [] for variant in variants}
    until = ended or world.now
    for number in range(requests):
        variant = variants[number % 2]
        moment = begun + (until - begun) * number / requests if begun else until
        seen[variant].append(
            _observation(world, identity, variant, pair[treated[variant]], moment, success=number % 17 != 16)
        )
    status = "draft" if begun is None else "running" if ended is None else "stopped" if requests < 20 else "completed"
    done = status == "completed"
    means = [round(fmean(row["score"] for row in rows), 4) if rows else None for rows in seen.values()]
    delays = [round(median(row["latency_ms"] for row in rows)) if rows else None for rows in seen.values()]
    gain = (means[1] or 0) - (means[0] or 0)
    won = done and gain > 0.02
    world.rows.add(
        PromptAbTest,
        test_id=identity,
        test_name=name,
        agent_name=agent,
        baseline_instruction_id=pair[0].id,
        treatment_instruction_id=pair[1].id,
        traffic_split=0.5,
        status=status,
        started_at=begun,
        ended_at=ended,
        target_sample_size=max(requests, 80),
        baseline_requests=len(seen[variants[0]]),
        treatment_requests=len(seen[variants[1]]),
        baseline_score_avg=means[0],
        treatment_score_avg=means[1],
        baseline_latency_p50=delays[0],
        treatment_latency_p50=delays[1],
        p_value=(0.0004 if won else 0.21) if done else None,
        confidence_interval_lower=round(gain - (0.03 if not won else gain / 2), 4) if done else None,
        confidence_interval_upper=round(gain + (0.03 if not won else gain / 2), 4) if done else None,
        is_significant=won if done else None,
        winner=variants[won] if done else None,
        decision_reason="Higher score at the same latency." if won else "No difference." if done else None,
        rolled_out=won,
        created_by=world.pick(PEOPLE),
        created_at=(begun or world.ago(days=1)) - timedelta(hours=1),
        updated_at=ended or begun or world.ago(days=1),
    )


def _observation(
    world: World, test: UUID, variant: str, candidate: Candidate, moment: datetime, *, success: bool
) -> Row:
    return world.rows.add(
        PromptAbTestObservation,
        test_id=test,
        request_id=f"req-{world.hex(12)}",
        variant=variant,
        score=world.around(candidate.score, 0.12) if success else 0.0,
        latency_ms=world.rng.randint(700, 4_200),
        success=success,
        error_type=None if success else "llm_timeout",
        user_id=world.pick(PEOPLE),
        session_id=f"session-{world.hex(8)}",
        created_at=moment.replace(microsecond=0),
    )

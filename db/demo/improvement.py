"""Self-improvement: evaluations of every priority, the resulting actions, and lessons.

The story is the learning signal of the critical evaluations: insufficient contexts led to a retrieval configuration
with more documents and a reranker, and vague answers to version 2 of ``causal_impact_system``; both improved scores. A
change of routing did not, and was rolled back.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from db.demo.embeddings import TOPICS, embedding
from db.demo.vocabulary import QUERIES
from db.demo.world import Case, Document, World
from db.models.g09_self_improvement import (
    Evaluation,
    ExperimentKnowledge,
    ImprovementAction,
    PromptConfiguration,
    RetrievalConfiguration,
)

COMBINED = {"critical": 0.31, "high": 0.48, "medium": 0.63, "low": 0.78, "none": 0.91}
"""A combined score (0-1) within the range of each priority."""
RUBRIC = ("causal_validity", "actionability", "evidence_chain", "regulatory_awareness", "uncertainty_communication")
RAGAS = ("faithfulness", "answer_relevancy", "context_precision", "context_recall")
LESSONS = (
    ("effect_size", "Rep visits move TRx most in deciles 8 to 10"),
    ("design", "E-mail tests need opt-outs as a stratum"),
    ("data_quality", "LDH comes in two units; convert before scoring"),
    ("timing", "Formulary changes shift payer mix within a week"),
    ("segment", "Community practices follow academic peers by a quarter"),
    ("fidelity", "Patient twins overstate digital engagement"),
)


def add_story(world: World) -> None:
    """Evaluations of all priorities, two retrieval and two prompt configurations, and the actions between them."""
    signals = {priority: world.rows.uuid() for priority in COMBINED}
    for priority, signal in signals.items():
        for _ in range(3):
            evaluate(world, COMBINED[priority], world.ago(days=world.rng.randint(20, 30)), signal)
    before, after = _retrieval(world)
    prompts = _prompts(world)
    moment = world.ago(days=18)
    _action(
        world, signals["critical"], "retrieval", moment, 0.31, 0.22, "Retrieves 20 documents and reranks them.",
        ({"k_value": 10, "rerank_enabled": False}, {"k_value": 20, "rerank_enabled": True}), retrieval_config_id=after,
    )  # fmt: skip
    _action(
        world, signals["high"], "prompt", moment + timedelta(days=2), 0.48, 0.11, "Asks for an interval with effects.",
        ({"prompt_version": 1}, {"prompt_version": 2}), prompt_config_id=prompts[-1],
    )  # fmt: skip
    _action(
        world, signals["medium"], "workflow", moment + timedelta(days=4), 0.63, -0.05, "Asks the explainer first.",
        ({"order": ["gap_analyzer", "explainer"]}, {"order": ["explainer", "gap_analyzer"]}), undone=True,
    )  # fmt: skip
    _action(
        world, signals["none"], "none", moment + timedelta(days=6), 0.91, None, "Nothing to change.", ({}, {}),
        retrieval_config_id=before,
    )  # fmt: skip


def evaluate(world: World, combined: float, moment: datetime, signal: UUID | None) -> None:
    """An evaluation with this combined score: 0.4 RAGAS + 0.6 rubric, the rubric scaled to 0-1."""
    _, query = world.pick(QUERIES)
    rubric = {name: world.around(1 + 4 * combined, 0.04, 2) for name in RUBRIC}
    rubric_aggregate = round(sum(rubric.values()) / len(rubric), 4)
    ragas_aggregate = round(min(1.0, max(0.0, (combined - 0.6 * (rubric_aggregate - 1) / 4) / 0.4)), 4)
    contexts = [{"source": f"kb-{world.rng.randint(1, 400)}", "score": world.between(0.4, 0.95)} for _ in range(4)]
    world.rows.add(
        Evaluation,
        learning_signal_id=signal,
        cognitive_cycle_id=world.rows.uuid(),
        query=query,
        response="The effect is positive."
        if combined < 0.6
        else "The effect is 1.42 TRx per visit (95% CI 1.10 to 1.74).",
        ground_truth="1.4 TRx per visit" if world.chance(0.5) else None,
        retrieved_contexts=contexts,
        context_count=len(contexts),
        answer_correctness=round(ragas_aggregate * 0.95, 4),
        ragas_aggregate=ragas_aggregate,
        rubric_aggregate=rubric_aggregate,
        evaluation_model="claude-sonnet-4",
        evaluation_duration_ms=world.rng.randint(900, 6_000),
        created_at=moment,
        **{name: min(1.0, world.around(ragas_aggregate, 0.05)) for name in RAGAS},
        **rubric,
    )


def plain(world: World) -> None:
    """An evaluation of a random priority."""
    combined = COMBINED[world.pick(("critical", "high", "medium", "low", "low", "none", "none"))]
    evaluate(world, combined, world.ago(hours=world.rng.randint(1, 700)), None)


def _retrieval(world: World) -> tuple[UUID, UUID]:
    changed = world.ago(days=18)
    made = []
    for version, k, weights, score in ((1, 10, (0.4, 0.3, 0.3), 0.58), (2, 20, (0.5, 0.25, 0.25), 0.79)):
        current = version == 2
        row = world.rows.add(
            RetrievalConfiguration,
            config_name="hybrid_default",
            config_version=version,
            k_value=k,
            chunk_size=512,
            chunk_overlap=50,
            vector_weight=weights[0],
            fulltext_weight=weights[1],
            graph_weight=weights[2],
            rerank_enabled=current,
            rerank_model="cross-encoder/ms-marco-MiniLM-L-12-v2",
            rerank_top_k=5,
            avg_context_precision=score,
            avg_context_recall=round(score - 0.04, 2),
            avg_faithfulness=round(score + 0.08, 2),
            evaluation_count=world.rng.randint(80, 300),
            is_active=current,
            is_baseline=not current,
            created_at=changed - timedelta(days=0 if current else 90),
            activated_at=changed - timedelta(days=0 if current else 89),
            deactivated_at=None if current else changed,
        )
        made.append(row["config_id"])
    return made[0], made[1]


PROMPTS = (
    (1, "You estimate causal effects.", 0.52, None, 120, 40),
    (2, "You estimate causal effects. Give the interval with each.", 0.66, "Answers left out uncertainty.", 40, 16),
    (3, "You estimate causal effects. Give the interval and the refutations.", 0.74, "Evidence was thin.", 16, None),
)


def _prompts(world: World) -> list[UUID]:
    made: list[UUID] = []
    for version, text, score, reason, born, gone in PROMPTS:
        row = world.rows.add(
            PromptConfiguration,
            prompt_name="causal_impact_system",
            prompt_version=version,
            agent_name="causal_impact",
            system_prompt=text,
            few_shot_examples=[{"question": "Effect of visits?", "answer": "1.42 TRx (1.10 to 1.74)."}]
            if version > 1
            else [],
            avg_answer_relevancy=round(score + 0.12, 2),
            avg_rubric_score=round(1 + 4 * score, 2),
            avg_combined_score=score,
            evaluation_count=world.rng.randint(60, 300),
            is_active=gone is None,
            is_baseline=version == 1,
            parent_prompt_id=made[-1] if made else None,
            change_reason=reason,
            created_at=world.ago(days=born),
            activated_at=world.ago(days=born),
            deactivated_at=world.ago(days=gone) if gone is not None else None,
        )
        made.append(row["prompt_id"])
    return made


def _action(
    world: World,
    signal: UUID,
    kind: str,
    moment: datetime,
    score: float,
    delta: float | None,
    description: str,
    configs: tuple[Document, Document],
    *,
    undone: bool = False,
    retrieval_config_id: UUID | None = None,
    prompt_config_id: UUID | None = None,
) -> None:
    world.rows.add(
        ImprovementAction,
        learning_signal_id=signal,
        trigger_score=score,
        improvement_type=kind,
        action_description=description,
        before_config=configs[0],
        after_config=configs[1],
        retrieval_config_id=retrieval_config_id,
        prompt_config_id=prompt_config_id,
        outcome_measured=delta is not None,
        outcome_improved=None if delta is None else delta > 0,
        outcome_delta=delta,
        status="rolled_back" if undone else "applied",
        rolled_back_at=moment + timedelta(days=4) if undone else None,
        rollback_reason="The combined score fell." if undone else None,
        created_at=moment,
        measured_at=None if delta is None else moment + timedelta(days=3),
    )


def knowledge(world: World, case: Case) -> None:
    """A lesson from an experiment; its embedding is similar to those of its topic."""
    kind, title = world.pick(LESSONS)
    learned = world.ago(days=world.rng.randint(1, 80))
    validated = world.chance(0.6)
    used = world.rng.randint(0, 30)
    general = world.chance(0.1)
    world.rows.add(
        ExperimentKnowledge,
        source_type="literature" if general else "experiment",
        source_id=None if general else case.id,
        lesson_type=kind,
        title=title,
        description=f"{title}. Learned from {case.name}.",
        knowledge_json={"effect": world.between(-0.2, 1.5), "target": case.topic.target},
        applicable_brands=[case.topic.brand],
        applicable_contexts=[case.topic.entity, "us"],
        embedding=embedding(world.rng, world.pick(TOPICS)),
        confidence_level=world.between(0.5, 0.97),
        validated=validated,
        validation_date=(learned + timedelta(days=1)).date() if validated else None,
        times_applied=used,
        success_rate=world.between(0.5, 1.0) if used else None,
        created_at=learned,
        updated_at=learned + timedelta(hours=20),
        is_active=not world.chance(0.1),
    )

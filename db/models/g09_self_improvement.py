"""Group 9, self-improvement: RAGAS and rubric evaluations, tuned configurations, actions taken and lessons kept."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from pgvector.sqlalchemy import Vector
from sqlalchemy import (
    TEXT,
    VARCHAR,
    Boolean,
    CheckConstraint,
    Date,
    Double,
    ForeignKey,
    Index,
    Integer,
    Uuid,
    literal_column,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds, Unit
from db.base.lineage import LineageKind, comes_from, leads_to
from db.base.markers import Group, entity, facts
from db.base.vocabulary import (
    EMPTY_LIST,
    EMPTY_OBJECT,
    NEW_UUID,
    NOW,
    Entity,
    Labels,
    Nearest,
    belongs_to,
    column,
    computed,
    linked_by,
    pg_enum,
)


class ImprovementType(Labels, pg_name="improvement_type"):
    """What an improvement changes."""

    RETRIEVAL = "retrieval", "Retrieval tuning: number of documents, chunks, hybrid weights, reranking."
    PROMPT = "prompt", "Prompt optimization: system prompts and few-shot examples."
    WORKFLOW = "workflow", "Workflow changes: routing and priority of agents."
    NONE = "none", "No improvement needed."


class ImprovementPriority(Labels, pg_name="improvement_priority"):
    """How urgent an improvement is, by the combined score of an evaluation (0-1)."""

    CRITICAL = "critical", "Combined score below 0.40."
    HIGH = "high", "Combined score 0.40-0.54 (at least 0.40, below 0.55)."
    MEDIUM = "medium", "Combined score 0.55-0.69 (at least 0.55, below 0.70)."
    LOW = "low", "Combined score 0.70-0.84 (at least 0.70, below 0.85)."
    NONE = "none", "Combined score 0.85 or above: no improvement needed."


# Computed in numeric, so that binary rounding does not move a score across a threshold. NaN equals itself in Postgres.
_COMBINED_SCORE = (
    "CASE WHEN {row}.ragas_aggregate <> 'NaN' AND {row}.rubric_aggregate <> 'NaN'"
    " THEN 0.4 * {row}.ragas_aggregate::text::numeric + 0.6 * ({row}.rubric_aggregate::text::numeric - 1) / 4 END"
)


class Evaluation(Entity):
    """RAGAS and domain-rubric scores of one query-response pair.

    RAGAS metrics run from 0 to 1, rubric criteria from 1 to 5; together they decide what is to be improved.
    """

    __group__ = Group.SELF_IMPROVEMENT
    __aliases__ = ("ragas score", "quality score", "answer quality")
    __tablename__ = "evaluation_results"
    __record__ = facts()
    __label__ = ("query",)
    __table_args__ = (
        Index(
            "ix_evaluation_results_learning_signal_id_created_at",
            "learning_signal_id",
            literal_column("created_at DESC NULLS LAST"),
            literal_column("evaluation_id DESC"),
        ),
    )
    __order__ = "created_at"

    evaluation_id: Mapped[UUID] = column(Uuid(), "Evaluation identifier.", primary_key=True, server_default=NEW_UUID)
    learning_signal_id: Mapped[UUID | None] = column(
        Uuid(), "Linked learning signal (learning_signals.signal_id of the agentic memory)."
    )
    cognitive_cycle_id: Mapped[UUID | None] = column(
        Uuid(), "Cognitive cycle that produced the response (cognitive_cycles.cycle_id of the agentic memory)."
    )
    query: Mapped[str] = column(TEXT(), "Input query.", holds=Holds.PROSE, aliases=("question", "prompt"))
    response: Mapped[str] = column(TEXT(), "Agent response.", holds=Holds.PROSE, aliases=("answer",))
    ground_truth: Mapped[str | None] = column(
        TEXT(), "Reference answer, where one is known.", holds=Holds.PROSE, aliases=("reference", "expected answer")
    )
    retrieved_contexts: Mapped[Any] = column(
        JSONB(), "Contexts that were retrieved for the response (array).", server_default=EMPTY_LIST, holds=Holds.PROSE
    )
    context_count: Mapped[int | None] = column(Integer(), "Number of retrieved contexts.", unit=Unit.COUNT)
    faithfulness: Mapped[float | None] = column(
        Double(), "RAGAS faithfulness (0-1).", unit=Unit.FRACTION, aliases=("groundedness", "hallucination")
    )
    answer_relevancy: Mapped[float | None] = column(Double(), "RAGAS answer relevancy (0-1).", unit=Unit.FRACTION)
    context_precision: Mapped[float | None] = column(Double(), "RAGAS context precision (0-1).", unit=Unit.FRACTION)
    context_recall: Mapped[float | None] = column(Double(), "RAGAS context recall (0-1).", unit=Unit.FRACTION)
    answer_correctness: Mapped[float | None] = column(
        Double(), "RAGAS answer correctness against the ground truth (0-1).", unit=Unit.FRACTION
    )
    ragas_aggregate: Mapped[float | None] = column(
        Double(), "Weighted RAGAS composite (0-1).", unit=Unit.FRACTION, aliases=("ragas score",)
    )
    causal_validity: Mapped[float | None] = column(
        Double(), "Domain rubric: causal validity (1-5).", unit=Unit.POINTS_OF_5
    )
    actionability: Mapped[float | None] = column(Double(), "Domain rubric: actionability (1-5).", unit=Unit.POINTS_OF_5)
    evidence_chain: Mapped[float | None] = column(
        Double(), "Domain rubric: evidence chain (1-5).", unit=Unit.POINTS_OF_5
    )
    regulatory_awareness: Mapped[float | None] = column(
        Double(), "Domain rubric: regulatory awareness (1-5).", unit=Unit.POINTS_OF_5
    )
    uncertainty_communication: Mapped[float | None] = column(
        Double(), "Domain rubric: communication of uncertainty (1-5).", unit=Unit.POINTS_OF_5
    )
    rubric_aggregate: Mapped[float | None] = column(
        Double(), "Weighted rubric composite (1-5).", unit=Unit.POINTS_OF_5, aliases=("rubric score",)
    )
    evaluation_model: Mapped[str | None] = column(
        VARCHAR(100), "Model that judged the response.", holds=Holds.IDENTIFIER
    )
    evaluation_duration_ms: Mapped[int | None] = column(
        Integer(), "Time that the evaluation took, in ms.", unit=Unit.MILLISECONDS
    )
    created_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the response was evaluated.", server_default=NOW
    )

    improvement_score = computed(
        f"({_COMBINED_SCORE})::double precision",
        Double(),
        "Combined score (0-1): 0.4 * ragas_aggregate + 0.6 * (rubric_aggregate - 1) / 4; null if either is missing.",
        columns=("ragas_aggregate", "rubric_aggregate"),
        unit=Unit.FRACTION,
    )
    improvement_priority = computed(
        "(SELECT CASE WHEN combined.score < 0.40 THEN 'critical' WHEN combined.score < 0.55 THEN 'high'"
        " WHEN combined.score < 0.70 THEN 'medium' WHEN combined.score < 0.85 THEN 'low'"
        f" WHEN combined.score >= 0.85 THEN 'none' END FROM (SELECT {_COMBINED_SCORE} AS score) AS combined)",
        pg_enum(ImprovementPriority),
        "How urgent an improvement is, by the combined score 0.4 * ragas_aggregate + 0.6 * (rubric_aggregate - 1) / 4:"
        " critical below 0.40, high 0.40-0.54, medium 0.55-0.69, low 0.70-0.84, none from 0.85; null if either "
        "aggregate is missing.",
        columns=("ragas_aggregate", "rubric_aggregate"),
    )


class RetrievalConfiguration(Entity):
    """A version of the RAG retrieval parameters, with the performance measured under it."""

    __group__ = Group.SELF_IMPROVEMENT
    __aliases__ = ("retrieval settings", "rag configuration")
    __tablename__ = "retrieval_configurations"
    __record__ = entity(key=("config_name", "config_version"))
    __label__ = ("config_name", "config_version")
    __table_args__ = (
        CheckConstraint("ABS(vector_weight + fulltext_weight + graph_weight - 1.0) < 0.001", name="weights_sum"),
    )
    __order__ = "created_at"
    __search__ = ("config_name",)

    config_id: Mapped[UUID] = column(Uuid(), "Configuration identifier.", primary_key=True, server_default=NEW_UUID)
    config_name: Mapped[str] = column(VARCHAR(100), "Name of the configuration.", holds=Holds.IDENTIFIER)
    config_version: Mapped[int | None] = column(
        Integer(), "Version of the configuration.", server_default="1", unit=Unit.ORDINAL
    )
    k_value: Mapped[int] = column(
        Integer(),
        "Number of documents to retrieve.",
        server_default="10",
        unit=Unit.COUNT,
        aliases=("top k", "documents retrieved"),
    )
    chunk_size: Mapped[int] = column(
        Integer(), "Document chunk size, in tokens.", server_default="512", unit=Unit.TOKENS
    )
    chunk_overlap: Mapped[int | None] = column(
        Integer(), "Overlap of neighbouring chunks, in tokens.", server_default="50", unit=Unit.TOKENS
    )
    vector_weight: Mapped[float] = column(
        Double(),
        "Hybrid RAG: vector search weight (0-1; the three weights sum to 1).",
        server_default="0.4",
        unit=Unit.FRACTION,
    )
    fulltext_weight: Mapped[float] = column(
        Double(),
        "Hybrid RAG: full-text search weight (0-1; the three weights sum to 1).",
        server_default="0.3",
        unit=Unit.FRACTION,
    )
    graph_weight: Mapped[float] = column(
        Double(),
        "Hybrid RAG: graph search weight (0-1; the three weights sum to 1).",
        server_default="0.3",
        unit=Unit.FRACTION,
    )
    rerank_enabled: Mapped[bool | None] = column(Boolean(), "Whether reranking is active.", server_default="true")
    rerank_model: Mapped[str | None] = column(
        VARCHAR(100),
        "Model that reranks.",
        server_default="cross-encoder/ms-marco-MiniLM-L-12-v2",
        holds=Holds.IDENTIFIER,
    )
    rerank_top_k: Mapped[int | None] = column(
        Integer(), "Number of documents kept after reranking.", server_default="5", unit=Unit.COUNT
    )
    avg_context_precision: Mapped[float | None] = column(
        Double(), "Average RAGAS context precision under the configuration (0-1).", unit=Unit.FRACTION
    )
    avg_context_recall: Mapped[float | None] = column(
        Double(), "Average RAGAS context recall under the configuration (0-1).", unit=Unit.FRACTION
    )
    avg_faithfulness: Mapped[float | None] = column(
        Double(), "Average RAGAS faithfulness under the configuration (0-1).", unit=Unit.FRACTION
    )
    evaluation_count: Mapped[int | None] = column(
        Integer(), "Number of evaluations behind the averages.", server_default="0", unit=Unit.COUNT
    )
    is_active: Mapped[bool | None] = column(
        Boolean(), "Whether this is the currently deployed configuration.", server_default="false"
    )
    is_baseline: Mapped[bool | None] = column(
        Boolean(), "Whether this is the baseline that others are compared with.", server_default="false"
    )
    created_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was created.", server_default=NOW)
    activated_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was last deployed.")
    deactivated_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was last taken out of use.")


class PromptConfiguration(Entity):
    """A version of a prompt template, with its lineage and the performance measured under it."""

    __group__ = Group.SELF_IMPROVEMENT
    __aliases__ = ("prompt", "prompt template", "prompt version")
    __tablename__ = "prompt_configurations"
    __record__ = entity(key=("prompt_name", "prompt_version"))
    __label__ = ("prompt_name", "prompt_version")
    __order__ = "created_at"
    __search__ = ("prompt_name",)

    prompt_id: Mapped[UUID] = column(Uuid(), "Prompt identifier.", primary_key=True, server_default=NEW_UUID)
    prompt_name: Mapped[str] = column(VARCHAR(100), "Configuration name.", holds=Holds.IDENTIFIER)
    prompt_version: Mapped[int | None] = column(
        Integer(), "Version of the prompt.", server_default="1", unit=Unit.ORDINAL
    )
    agent_name: Mapped[str | None] = column(
        VARCHAR(100), "Target agent; null when the prompt is shared.", holds=Holds.LABEL, aliases=("agent",)
    )
    system_prompt: Mapped[str] = column(
        TEXT(), "System prompt content.", holds=Holds.PROSE, aliases=("prompt text", "template")
    )
    few_shot_examples: Mapped[Any | None] = column(
        JSONB(), "Few-shot examples (array).", server_default=EMPTY_LIST, holds=Holds.PROSE
    )
    avg_answer_relevancy: Mapped[float | None] = column(
        Double(), "Average RAGAS answer relevancy under the prompt (0-1).", unit=Unit.FRACTION
    )
    avg_rubric_score: Mapped[float | None] = column(
        Double(), "Average rubric composite under the prompt (1-5).", unit=Unit.POINTS_OF_5
    )
    avg_combined_score: Mapped[float | None] = column(
        Double(),
        "Performance metric: average combined RAGAS and rubric score under the prompt (0-1).",
        unit=Unit.FRACTION,
    )
    evaluation_count: Mapped[int | None] = column(
        Integer(), "Number of evaluations behind the averages.", server_default="0", unit=Unit.COUNT
    )
    is_active: Mapped[bool | None] = column(
        Boolean(), "Whether the prompt is currently deployed.", server_default="false"
    )
    is_baseline: Mapped[bool | None] = column(
        Boolean(), "Whether this is the baseline that others are compared with.", server_default="false"
    )
    parent_prompt_id: Mapped[UUID | None] = column(
        Uuid(),
        "Lineage reference: the prompt that this one was changed from.",
        ForeignKey("prompt_configurations.prompt_id"),
    )
    change_reason: Mapped[str | None] = column(TEXT(), "Why the prompt was changed from its parent.", holds=Holds.PROSE)
    created_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was created.", server_default=NOW)
    activated_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was last deployed.")
    deactivated_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was last taken out of use.")

    parent_prompt = belongs_to(
        "PromptConfiguration",
        {"parent_prompt_id": "prompt_id"},
        "The prompt that this one was changed from.",
        inverse="child_prompts",
        inverse_doc="Prompts that were changed from this one.",
        lineage=comes_from(LineageKind.EVOLVES_INTO),
        aliases=("derived from", "previous version", "predecessor"),
        inverse_aliases=("next versions", "successors"),
    )
    # UNION, not UNION ALL: the recursion ends at a cycle
    ancestors = linked_by(
        "PromptConfiguration",
        "{that}.prompt_id = ANY (ARRAY(WITH RECURSIVE chain (id) AS (SELECT {this}.parent_prompt_id UNION "
        "SELECT p.parent_prompt_id FROM chain AS c JOIN prompt_configurations AS p ON p.prompt_id = c.id) "
        "SELECT id FROM chain WHERE id IS NOT NULL))",
        "Every prompt that this one descends from; cycles are cut.",
        this_columns=("parent_prompt_id",),
        that_columns=("prompt_id",),
        inverse="descendants",
        inverse_doc="Every prompt that descends from this one; cycles are cut.",
        inverse_sql="{this}.prompt_id = ANY (ARRAY(WITH RECURSIVE chain (id) AS (SELECT p.prompt_id "
        "FROM prompt_configurations AS p WHERE p.parent_prompt_id = {that}.prompt_id UNION SELECT p.prompt_id "
        "FROM chain AS c JOIN prompt_configurations AS p ON p.parent_prompt_id = c.id) SELECT id FROM chain))",
        lineage="the chain of parents, link by link an edge",
        aliases=("version history",),
        inverse_aliases=("later versions",),
    )


class ImprovementAction(Entity):
    """One self-improvement that was applied: what was changed, from what to what, and whether it helped."""

    __group__ = Group.SELF_IMPROVEMENT
    __aliases__ = ("improvement", "self improvement")
    __tablename__ = "improvement_actions"
    __record__ = entity(born=("PENDING",))
    __label__ = ("improvement_type",)
    __table_args__ = (
        Index(
            "ix_improvement_actions_learning_signal_id_created_at",
            "learning_signal_id",
            literal_column("created_at DESC NULLS LAST"),
            literal_column("action_id DESC"),
        ),
    )
    __order__ = "created_at"

    action_id: Mapped[UUID] = column(Uuid(), "Action identifier.", primary_key=True, server_default=NEW_UUID)
    learning_signal_id: Mapped[UUID | None] = column(
        Uuid(), "Learning signal that triggered the action (learning_signals.signal_id of the agentic memory)."
    )
    trigger_score: Mapped[float | None] = column(
        Double(), "Combined score that triggered the action (0-1).", unit=Unit.FRACTION
    )
    improvement_type: Mapped[ImprovementType] = column(
        pg_enum(ImprovementType), "What was improved: retrieval, prompt, or workflow."
    )
    action_description: Mapped[str] = column(TEXT(), "What was done, in prose.", holds=Holds.PROSE)
    before_config: Mapped[Any] = column(JSONB(), "State before change.", holds=Holds.PROSE)
    after_config: Mapped[Any] = column(JSONB(), "State after change.", holds=Holds.PROSE)
    retrieval_config_id: Mapped[UUID | None] = column(
        Uuid(),
        "Retrieval configuration that the action put in place.",
        ForeignKey("retrieval_configurations.config_id"),
    )
    prompt_config_id: Mapped[UUID | None] = column(
        Uuid(), "Prompt configuration that the action put in place.", ForeignKey("prompt_configurations.prompt_id")
    )
    outcome_measured: Mapped[bool | None] = column(
        Boolean(), "Whether the outcome has been measured.", server_default="false"
    )
    outcome_improved: Mapped[bool | None] = column(Boolean(), "Whether improvement was positive; null until measured.")
    outcome_delta: Mapped[float | None] = column(
        Double(),
        "Score change (combined score after minus before); null until measured.",
        unit=Unit.FRACTION,
        aliases=("effect", "gain"),
    )
    status: Mapped[str | None] = column(
        VARCHAR(20), "State of the action: applied or rolled_back.", server_default="applied", holds=Holds.STATE
    )
    rolled_back_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was rolled back, if it was.")
    rollback_reason: Mapped[str | None] = column(TEXT(), "Why it was rolled back, if it was.", holds=Holds.PROSE)
    created_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was applied.", server_default=NOW)
    measured_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When its outcome was measured.")

    retrieval_configuration = belongs_to(
        "RetrievalConfiguration",
        {"retrieval_config_id": "config_id"},
        "The retrieval configuration that the action put in place.",
        inverse="improvement_actions",
        inverse_doc="Improvement actions that put the configuration in place.",
        lineage=leads_to(LineageKind.APPLIES),
    )
    prompt_configuration = belongs_to(
        "PromptConfiguration",
        {"prompt_config_id": "prompt_id"},
        "The prompt configuration that the action put in place.",
        inverse="improvement_actions",
        inverse_doc="Improvement actions that put the prompt in place.",
        lineage=leads_to(LineageKind.APPLIES),
    )
    evaluations = linked_by(
        "Evaluation",
        "{that}.learning_signal_id = {this}.learning_signal_id",
        "Evaluations behind the learning signal that triggered the action.",
        this_columns=("learning_signal_id",),
        that_columns=("learning_signal_id",),
        inverse="improvement_actions",
        inverse_doc="Improvement actions that the evaluation's learning signal triggered.",
        lineage=comes_from(LineageKind.TRIGGERS),
    )


class ExperimentKnowledge(Entity):
    """A lesson that the organization learned from its experiments, found again by the similarity of its embedding."""

    __group__ = Group.SELF_IMPROVEMENT
    __aliases__ = ("knowledge", "lesson", "lesson learned", "insight")
    __tablename__ = "experiment_knowledge_store"
    __record__ = entity(
        key=("source_type", "source_id"), server=("times_applied", "success_rate"), retired={"is_active": "false"}
    )
    __table_args__ = (
        Index(
            "ix_experiment_knowledge_store_embedding_hnsw",
            "embedding",
            postgresql_using="hnsw",
            postgresql_ops={"embedding": "vector_cosine_ops"},
        ),
        Index(
            "ix_experiment_knowledge_store_source_id_created_at",
            "source_id",
            literal_column("created_at DESC NULLS LAST"),
            literal_column("knowledge_id DESC"),
        ),
    )
    __order__ = "created_at"
    __search__ = ("title",)
    __plural__ = "experimentKnowledgeEntries"

    knowledge_id: Mapped[UUID] = column(Uuid(), "Knowledge identifier.", primary_key=True, server_default=NEW_UUID)
    source_type: Mapped[str] = column(
        VARCHAR(50),
        "What the lesson was learned from (e.g., experiment); says what source_id identifies.",
        holds=Holds.LABEL,
    )
    source_id: Mapped[UUID | None] = column(
        Uuid(), "Identifier of the source: an experiment's id when source_type names an experiment."
    )
    lesson_type: Mapped[str] = column(VARCHAR(50), "Category of learning.", holds=Holds.LABEL, aliases=("category",))
    title: Mapped[str] = column(VARCHAR(200), "Concise title.", holds=Holds.PROSE)
    description: Mapped[str] = column(TEXT(), "Full description.", holds=Holds.PROSE, aliases=("lesson",))
    knowledge_json: Mapped[Any] = column(
        JSONB(), "Structured knowledge.", server_default=EMPTY_OBJECT, holds=Holds.PROSE
    )
    applicable_brands: Mapped[list[str] | None] = column(
        ARRAY(TEXT()), "Brands that the lesson applies to.", holds=Holds.LABEL
    )
    applicable_contexts: Mapped[list[str] | None] = column(
        ARRAY(TEXT()), "Contexts that the lesson applies to.", holds=Holds.LABEL
    )
    embedding: Mapped[Any | None] = column(
        Vector(1536), "Embedding of the lesson (1536 dimensions), for similarity search."
    )
    confidence_level: Mapped[float | None] = column(Double(), "Confidence in the lesson (0-1).", unit=Unit.FRACTION)
    validated: Mapped[bool | None] = column(Boolean(), "Whether the lesson has been validated.", server_default="false")
    validation_date: Mapped[date | None] = column(Date(), "Day on which it was validated.")
    times_applied: Mapped[int | None] = column(
        Integer(), "Usage counter: number of times the lesson was applied.", server_default="0", unit=Unit.COUNT
    )
    success_rate: Mapped[float | None] = column(
        Double(), "Application success rate: fraction of applications that succeeded (0-1).", unit=Unit.FRACTION
    )
    created_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the lesson was recorded.", server_default=NOW
    )
    updated_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When it was last changed.", server_default=NOW
    )
    is_active: Mapped[bool | None] = column(
        Boolean(), "Whether the lesson is in use; false once it is retired.", server_default="true"
    )

    experiment = linked_by(
        "Experiment",
        "{that}.id = {this}.source_id AND strpos(lower({this}.source_type), 'experiment') > 0",
        "The experiment that the lesson was learned from, when source_type names an experiment.",
        this_columns=("source_type", "source_id"),
        that_columns=("id",),
        many=False,
        inverse="knowledge",
        inverse_doc="Lessons learned from the experiment.",
        lineage=comes_from(LineageKind.LEARNED_AS),
    )
    similar = Nearest(
        "similar_knowledge",
        "embedding",
        "knowledge_id",
        "Lessons that are most similar to a given one, by the cosine similarity of their embeddings.",
        {
            "only_active": ("{row}.is_active", "Only active lessons."),
            "only_validated": ("{row}.validated", "Only lessons that have been validated."),
        },
        (
            "{row}.description",
            "{row}.title",
            "concat_ws(E'\\n', {row}.title, {row}.description)",
            "concat_ws(': ', {row}.title, {row}.description)",
            "concat_ws(' ', {row}.title, {row}.description)",
        ),
    )

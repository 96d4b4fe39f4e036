"""Group 4, Tool Composer: the tool registry, query classification, compositions and what each tool call cost."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pgvector.sqlalchemy import Vector
from sqlalchemy import (
    TEXT,
    VARCHAR,
    Boolean,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    Integer,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds, Unit
from db.base.lineage import LineageKind, comes_from, leads_to
from db.base.markers import Group, Retention, entity, facts
from db.base.quoting import literals
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


class RoutingPattern(Labels, pg_name="routing_pattern"):
    """How the Orchestrator routes a query."""

    SINGLE_AGENT = "SINGLE_AGENT", "One agent answers the query."
    PARALLEL_DELEGATION = "PARALLEL_DELEGATION", "Several agents answer independent parts of it at once."
    TOOL_COMPOSER = "TOOL_COMPOSER", "Its parts depend on each other: the Tool Composer plans and runs a DAG of tools."
    CLARIFICATION_NEEDED = "CLARIFICATION_NEEDED", "Too ambiguous to route; the user is asked to clarify."


class DependencyType(Labels, pg_name="dependency_type"):
    """Why one sub-question of a query depends on another."""

    REFERENCE_CHAIN = "REFERENCE_CHAIN", "Refers to an earlier result, such as 'that' or 'those'."
    CONDITIONAL = "CONDITIONAL", "Asked only if an earlier result holds (if X, then Y)."
    LOGICAL_SEQUENCE = "LOGICAL_SEQUENCE", "The order follows from logic: cause, effect, intervention."
    ENTITY_TRANSFORMATION = (
        "ENTITY_TRANSFORMATION",
        "Uses entities that an earlier step filtered or transformed.",
    )


class ToolCategory(Labels, pg_name="tool_category"):
    """Capability domain of a tool, after the agent that exposes it."""

    CAUSAL = "CAUSAL", "Causal effects and their refutation."
    SEGMENTATION = "SEGMENTATION", "Heterogeneous effects and segments."
    GAP = "GAP", "Performance gaps and their ROI."
    EXPERIMENT = "EXPERIMENT", "Experiment design, power and simulation."
    PREDICTION = "PREDICTION", "Predictions and risk scores."
    MONITORING = "MONITORING", "Drift and distribution checks."


class CompositionStatus(Labels, pg_name="composition_status"):
    """Status of a composition or of one of its steps."""

    PENDING = "PENDING", "Queued; nothing has started yet."
    DECOMPOSING = "DECOMPOSING", "Phase 1: breaking the query into sub-questions."
    PLANNING = "PLANNING", "Phase 2: planning the DAG of tools."
    EXECUTING = "EXECUTING", "Phase 3: running the tools."
    SYNTHESIZING = "SYNTHESIZING", "Phase 4: combining the tools' outputs into a response."
    COMPLETED = "COMPLETED", "Finished with a result."
    FAILED = "FAILED", "Ended with an error."
    TIMEOUT = "TIMEOUT", "Ended at its time limit."


class Tool(Entity):
    """A composable tool that a Tier 2-4 agent exposes to the Tool Composer."""

    __group__ = Group.TOOL_COMPOSER
    __aliases__ = ("registered tool", "tool registry", "capability")
    __tablename__ = "tool_registry"
    __record__ = entity(key=("name",), retired={"deprecated_at": "now()"})
    __order__ = "created_at"
    __search__ = ("name", "version")

    tool_id: Mapped[UUID] = column(Uuid(), "Tool identifier.", primary_key=True, server_default=NEW_UUID)
    name: Mapped[str] = column(
        VARCHAR(100), "Tool name (e.g., causal_effect_estimator).", unique=True, holds=Holds.IDENTIFIER
    )
    description: Mapped[str] = column(TEXT(), "What the tool does, as the planner reads it.", holds=Holds.PROSE)
    category: Mapped[ToolCategory] = column(pg_enum(ToolCategory), "Capability domain.")
    source_agent: Mapped[str] = column(
        VARCHAR(50), "Owning agent: the agent that exposes the tool.", holds=Holds.LABEL, aliases=("owner",)
    )
    input_schema: Mapped[Any] = column(
        JSONB(), "JSON Schema for inputs.", server_default=EMPTY_OBJECT, holds=Holds.PROSE
    )
    output_schema: Mapped[Any] = column(
        JSONB(), "JSON Schema for outputs.", server_default=EMPTY_OBJECT, holds=Holds.PROSE
    )
    composable: Mapped[bool] = column(Boolean(), "Whether Tool Composer can use it.", server_default="true")
    avg_latency_ms: Mapped[float | None] = column(
        Double(),
        "Rolling average latency of the tool's calls, in ms.",
        server_default="500.0",
        unit=Unit.MILLISECONDS,
        aliases=("speed",),
    )
    success_rate: Mapped[float | None] = column(
        Double(), "Rolling success rate of the tool's calls (0-1).", server_default="0.95", unit=Unit.FRACTION
    )
    version: Mapped[str | None] = column(
        VARCHAR(20), "Semantic version of the tool.", server_default="1.0.0", holds=Holds.IDENTIFIER
    )
    created_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), "When the tool was registered.", server_default=NOW)
    updated_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), "When it was last changed.", server_default=NOW)
    deprecated_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When it was deprecated; null while it is in use."
    )


class ToolDependency(Entity):
    """One tool can consume the output of another: an edge of the DAGs that the Planner builds."""

    __group__ = Group.TOOL_COMPOSER
    __aliases__ = ("tool edge",)
    __tablename__ = "tool_dependencies"
    __record__ = facts(key=("consumer_tool_id", "producer_tool_id"), part_of="consumer_tool_id")
    __label__ = ("output_field", "input_field")
    __table_args__ = (
        CheckConstraint("consumer_tool_id <> producer_tool_id", name="no_self_dependency"),
        UniqueConstraint("consumer_tool_id", "producer_tool_id"),
    )
    __order__ = "created_at"

    dependency_id: Mapped[UUID] = column(
        Uuid(), "Dependency record identifier.", primary_key=True, server_default=NEW_UUID
    )
    consumer_tool_id: Mapped[UUID] = column(Uuid(), "Tool that consumes data.", ForeignKey("tool_registry.tool_id"))
    producer_tool_id: Mapped[UUID] = column(Uuid(), "Tool that produces data.", ForeignKey("tool_registry.tool_id"))
    output_field: Mapped[str | None] = column(
        VARCHAR(100), "Specific producer output field; null for the entire output.", holds=Holds.IDENTIFIER
    )
    input_field: Mapped[str | None] = column(
        VARCHAR(100), "Specific consumer input field; null when it is mapped automatically.", holds=Holds.IDENTIFIER
    )
    transform_expression: Mapped[str | None] = column(
        TEXT(), "Optional jq/JSONPath transformation of the output into the input.", holds=Holds.PROSE
    )
    created_at: Mapped[datetime] = column(
        TIMESTAMP(timezone=True), "When the dependency was declared.", server_default=NOW
    )

    consumer_tool = belongs_to(
        "Tool",
        {"consumer_tool_id": "tool_id"},
        "The tool that consumes the data.",
        inverse="consumes",
        inverse_doc="Dependencies in which the tool is the consumer of another tool's output.",
        lineage=leads_to(LineageKind.CONSUMES),
        aliases=("consumer", "downstream tool", "target tool"),
        inverse_aliases=("dependencies", "upstream tools", "inputs from"),
    )
    producer_tool = belongs_to(
        "Tool",
        {"producer_tool_id": "tool_id"},
        "The tool that produces the data.",
        inverse="feeds",
        inverse_doc="Dependencies in which the tool is the producer for another tool.",
        lineage=comes_from(LineageKind.FEEDS),
        aliases=("producer", "upstream tool", "source tool"),
        inverse_aliases=("dependents", "downstream tools", "outputs to"),
    )


class ClassificationLog(Entity):
    """One classification decision of the Orchestrator for a query, with the feedback on it."""

    __group__ = Group.TOOL_COMPOSER
    __aliases__ = ("routing decision", "query routing", "classification", "query log")
    __tablename__ = "classification_logs"
    __record__ = facts(server=("correct_pattern", "feedback_notes"))
    __label__ = ("query_text",)
    __order__ = "created_at"

    classification_id: Mapped[UUID] = column(Uuid(), "Log identifier.", primary_key=True, server_default=NEW_UUID)
    query_text: Mapped[str] = column(TEXT(), "Original user query.", holds=Holds.PROSE, aliases=("question",))
    query_hash: Mapped[str] = column(VARCHAR(64), "SHA-256 of the query, for deduplication.", holds=Holds.IDENTIFIER)
    routing_pattern: Mapped[RoutingPattern] = column(pg_enum(RoutingPattern), "Determined routing.", aliases=("route",))
    target_agents: Mapped[list[str]] = column(
        ARRAY(TEXT()), "Agents that the query was routed to.", server_default=text("'{}'"), holds=Holds.LABEL
    )
    confidence: Mapped[float] = column(Double(), "Classification confidence (0-1).", unit=Unit.FRACTION)
    features_extracted: Mapped[Any] = column(
        JSONB(), "Features of the query that the classifier extracted.", server_default=EMPTY_OBJECT, holds=Holds.PROSE
    )
    domain_mapping: Mapped[Any] = column(
        JSONB(), "Capability domains that the query was mapped to.", server_default=EMPTY_OBJECT, holds=Holds.DATA
    )
    dependency_analysis: Mapped[Any] = column(
        JSONB(),
        "The classifier's analysis of how the parts of the query depend on each other.",
        server_default=EMPTY_OBJECT,
        holds=Holds.PROSE,
    )
    sub_questions: Mapped[Any | None] = column(
        JSONB(), "Sub-questions of a query of several parts (array).", server_default=EMPTY_LIST, holds=Holds.PROSE
    )
    dependencies: Mapped[Any | None] = column(
        JSONB(),
        "Dependencies between the sub-questions (array), each with its dependency type.",
        server_default=EMPTY_LIST,
        holds=Holds.PROSE,
    )
    used_llm_layer: Mapped[bool] = column(Boolean(), "Whether the LLM classifier was invoked.", server_default="false")
    classification_latency_ms: Mapped[float] = column(
        Double(), "Time that the classification took, in ms.", unit=Unit.MILLISECONDS
    )
    session_id: Mapped[str | None] = column(
        VARCHAR(100), "Session in which the query was asked.", holds=Holds.IDENTIFIER
    )
    user_id: Mapped[str | None] = column(VARCHAR(100), "User who asked.", holds=Holds.IDENTIFIER)
    is_followup: Mapped[bool | None] = column(
        Boolean(), "Whether the query follows up an earlier one of its session.", server_default="false"
    )
    was_correct: Mapped[bool | None] = column(
        Boolean(), "Feedback: whether the routing was correct; null while pending.", aliases=("feedback",)
    )
    correct_pattern: Mapped[RoutingPattern | None] = column(
        pg_enum(RoutingPattern), "The routing that would have been right, when was_correct is false."
    )
    feedback_notes: Mapped[str | None] = column(TEXT(), "The feedback, in prose.", holds=Holds.PROSE)
    created_at: Mapped[datetime] = column(
        TIMESTAMP(timezone=True), "When the query was classified.", server_default=NOW
    )

    dependency_types = computed(
        "ARRAY(SELECT known.label FROM unnest(ARRAY["
        + literals(member.value for member in DependencyType)
        + "]) WITH ORDINALITY AS known(label, place)"
        " WHERE {row}.dependencies @> jsonb_build_array(jsonb_build_object('type', known.label))"
        " OR {row}.dependencies @> jsonb_build_array(jsonb_build_object('dependency_type', known.label))"
        " ORDER BY known.place)",
        ARRAY(pg_enum(DependencyType)),
        "Distinct dependency types between the query's sub-questions, as named in dependencies (key type or "
        "dependency_type); empty when there are none, unknown strings ignored.",
        columns=("dependencies",),
    )


class ComposerEpisode(Entity):
    """One tool composition: the query, its sub-questions, the plan, the response and the feedback.

    Episodes are the Tool Composer's memory: similar ones, found by the query's embedding, shape future plans.
    """

    __group__ = Group.TOOL_COMPOSER
    __aliases__ = ("episode", "composition", "tool composition")
    __tablename__ = "composer_episodes"
    __record__ = entity(
        key=("composition_id",),
        born=("PENDING", "COMPLETED", "FAILED", "TIMEOUT"),
        server=("user_rating", "feedback_text", "feedback_at"),
    )
    __label__ = ("query_text",)
    __table_args__ = (
        Index(
            "ix_composer_episodes_query_embedding_hnsw",
            "query_embedding",
            postgresql_using="hnsw",
            postgresql_ops={"query_embedding": "vector_cosine_ops"},
        ),
    )
    __order__ = "created_at"
    __search__ = ("composition_id",)

    episode_id: Mapped[UUID] = column(Uuid(), "Episode identifier.", primary_key=True, server_default=NEW_UUID)
    composition_id: Mapped[str] = column(
        VARCHAR(100),
        "Identifier of the composition at run time, as tool performance records name it.",
        holds=Holds.IDENTIFIER,
    )
    query_text: Mapped[str] = column(TEXT(), "Original query.", holds=Holds.PROSE, aliases=("question",))
    query_embedding: Mapped[Any | None] = column(
        Vector(1536), "Embedding of the query (1536 dimensions), for similarity search (pgvector)."
    )
    sub_questions: Mapped[Any] = column(
        JSONB(),
        "Decomposed sub-questions (array), the result of phase 1.",
        server_default=EMPTY_LIST,
        holds=Holds.PROSE,
    )
    tool_plan: Mapped[Any] = column(
        JSONB(), "Execution plan, the result of phase 2.", server_default=EMPTY_OBJECT, holds=Holds.PROSE
    )
    parallelizable_groups: Mapped[Any | None] = column(
        JSONB(), "Groups of steps that can run in parallel (array).", server_default=EMPTY_LIST, holds=Holds.DATA
    )
    tool_outputs: Mapped[Any | None] = column(
        JSONB(), "Outputs of the tools, the result of phase 3.", server_default=EMPTY_OBJECT, holds=Holds.PROSE
    )
    synthesized_response: Mapped[str | None] = column(
        TEXT(), "The response, the result of phase 4.", holds=Holds.PROSE, aliases=("answer", "reply")
    )
    total_latency_ms: Mapped[float] = column(
        Double(), "End-to-end latency, in ms.", unit=Unit.MILLISECONDS, aliases=("duration",)
    )
    decompose_latency_ms: Mapped[float | None] = column(
        Double(), "Latency of phase 1, decomposition, in ms.", unit=Unit.MILLISECONDS
    )
    plan_latency_ms: Mapped[float | None] = column(
        Double(), "Latency of phase 2, planning, in ms.", unit=Unit.MILLISECONDS
    )
    execute_latency_ms: Mapped[float | None] = column(
        Double(), "Latency of phase 3, tool execution, in ms.", unit=Unit.MILLISECONDS
    )
    synthesize_latency_ms: Mapped[float | None] = column(
        Double(), "Latency of phase 4, synthesis, in ms.", unit=Unit.MILLISECONDS
    )
    status: Mapped[CompositionStatus] = column(
        pg_enum(CompositionStatus), "Execution status.", server_default=CompositionStatus.PENDING.value
    )
    error_message: Mapped[str | None] = column(TEXT(), "Why the composition failed, if it did.", holds=Holds.PROSE)
    success: Mapped[bool | None] = column(
        Boolean(),
        "Feedback on composition quality: whether it was a success; null while pending.",
        aliases=("succeeded",),
    )
    user_rating: Mapped[int | None] = column(
        Integer(), "The user's rating of the response (1-5).", unit=Unit.POINTS_OF_5, aliases=("stars", "satisfaction")
    )
    feedback_text: Mapped[str | None] = column(TEXT(), "The user's feedback, in prose.", holds=Holds.PROSE)
    session_id: Mapped[str | None] = column(
        VARCHAR(100), "Session in which the query was asked.", holds=Holds.IDENTIFIER
    )
    user_id: Mapped[str | None] = column(VARCHAR(100), "User who asked.", holds=Holds.IDENTIFIER)
    classification_id: Mapped[UUID | None] = column(
        Uuid(),
        "Classification that routed the query to the Tool Composer.",
        ForeignKey("classification_logs.classification_id"),
    )
    created_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), "When the episode began.", server_default=NOW)
    completed_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it ended.")
    feedback_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When the feedback was given.")

    classification = belongs_to(
        "ClassificationLog",
        {"classification_id": "classification_id"},
        "The classification that routed the query to the Tool Composer.",
        inverse="episodes",
        inverse_doc="Compositions that the classified query led to.",
        lineage=comes_from(LineageKind.ROUTED_TO),
    )
    similar = Nearest(
        "similar_episodes",
        "query_embedding",
        "episode_id",
        "Compositions whose queries are most similar to a given one, by the cosine similarity of their embeddings.",
        {"only_successful": ("{row}.success", "Only episodes whose feedback is a success.")},
        ("{row}.query_text",),
    )


class CompositionStep(Entity):
    """One step of a composition: a tool called with its inputs, after the steps that it depends on."""

    __group__ = Group.TOOL_COMPOSER
    __aliases__ = ("step", "tool call")
    __tablename__ = "composition_steps"
    __record__ = facts(
        key=("episode_id", "step_number"), born=("PENDING", "COMPLETED", "FAILED", "TIMEOUT"), part_of="episode_id"
    )
    __label__ = ("step_number", "tool_name")
    __order__ = "created_at"

    step_id: Mapped[UUID] = column(Uuid(), "Step identifier.", primary_key=True, server_default=NEW_UUID)
    episode_id: Mapped[UUID] = column(Uuid(), "Parent composition.", ForeignKey("composer_episodes.episode_id"))
    step_number: Mapped[int] = column(
        Integer(), "Execution order: number of the step within its composition.", unit=Unit.ORDINAL
    )
    step_name: Mapped[str] = column(VARCHAR(100), "Name of the step.", holds=Holds.IDENTIFIER)
    tool_id: Mapped[UUID] = column(Uuid(), "Tool executed.", ForeignKey("tool_registry.tool_id"))
    tool_name: Mapped[str] = column(VARCHAR(100), "Name of the tool when it was executed.", holds=Holds.IDENTIFIER)
    input_params: Mapped[Any] = column(
        JSONB(), "Input data.", server_default=EMPTY_OBJECT, holds=Holds.PROSE, aliases=("arguments",)
    )
    output_result: Mapped[Any | None] = column(
        JSONB(), "Output data; null until the step has run.", holds=Holds.PROSE, aliases=("result",)
    )
    depends_on_steps: Mapped[list[int] | None] = column(
        ARRAY(Integer()),
        "Step dependencies: numbers of the steps of the same composition that must have run before.",
        server_default=text("'{}'"),
        unit=Unit.ORDINAL,
    )
    serves_sub_question: Mapped[str | None] = column(
        VARCHAR(20), "Sub-question that the step helps to answer (e.g., Q1).", holds=Holds.PROSE
    )
    started_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When the step started.")
    completed_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it ended.")
    latency_ms: Mapped[float | None] = column(
        Double(), "Step execution time, in ms.", unit=Unit.MILLISECONDS, aliases=("duration",)
    )
    status: Mapped[CompositionStatus] = column(
        pg_enum(CompositionStatus), "Execution status of the step.", server_default=CompositionStatus.PENDING.value
    )
    error_message: Mapped[str | None] = column(TEXT(), "Why the step failed, if it did.", holds=Holds.PROSE)
    retry_count: Mapped[int | None] = column(
        Integer(), "Number of times the step was retried.", server_default="0", unit=Unit.COUNT
    )
    created_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), "When the step was planned.", server_default=NOW)

    episode = belongs_to(
        "ComposerEpisode",
        {"episode_id": "episode_id"},
        "The composition that the step belongs to.",
        inverse="steps",
        inverse_doc="Steps of the composition.",
        lineage=comes_from(LineageKind.CONTAINS),
    )
    tool = belongs_to(
        "Tool",
        {"tool_id": "tool_id"},
        "The tool that the step executes.",
        inverse="steps",
        inverse_doc="Composition steps that executed the tool.",
        lineage=comes_from(LineageKind.EXECUTED_AS),
    )
    depends_on = linked_by(
        "CompositionStep",
        "{that}.episode_id = {this}.episode_id AND {that}.step_number = ANY({this}.depends_on_steps)",
        "Steps of the same composition that must have run before this one.",
        this_columns=("episode_id", "depends_on_steps"),
        that_columns=("episode_id", "step_number"),
        inverse="required_by",
        inverse_doc="Steps of the same composition that wait for this one.",
        lineage=comes_from(LineageKind.CONSUMES),
        aliases=("dependencies", "previous steps"),
        inverse_aliases=("dependents", "next steps"),
    )


class ToolPerformance(Entity):
    """One execution of a tool: its latency, its outcome and who called it, for the planner's decisions."""

    __group__ = Group.TOOL_COMPOSER
    __aliases__ = ("tool call", "tool execution", "tool metric")
    __tablename__ = "tool_performance"
    __record__ = facts(retention=Retention("executed_at"))
    __label__ = ("tool_name",)
    __order__ = "executed_at"

    performance_id: Mapped[UUID] = column(Uuid(), "Record identifier.", primary_key=True, server_default=NEW_UUID)
    tool_id: Mapped[UUID] = column(Uuid(), "Tool measured.", ForeignKey("tool_registry.tool_id"))
    tool_name: Mapped[str] = column(VARCHAR(100), "Name of the tool when it was measured.", holds=Holds.IDENTIFIER)
    context_type: Mapped[str | None] = column(
        VARCHAR(50),
        "Kind of task the tool was called for (e.g., regional_comparison, segment_analysis).",
        holds=Holds.LABEL,
    )
    input_complexity: Mapped[int | None] = column(
        Integer(), "Rough measure of the input's size and complexity.", unit=Unit.DIMENSIONLESS
    )
    latency_ms: Mapped[float] = column(
        Double(), "Execution latency, in ms.", unit=Unit.MILLISECONDS, aliases=("duration",)
    )
    success: Mapped[bool] = column(
        Boolean(), "Whether the execution succeeded (success/failure).", aliases=("succeeded",)
    )
    error_type: Mapped[str | None] = column(
        VARCHAR(100), "Error classification; null when it succeeded.", holds=Holds.LABEL
    )
    composition_id: Mapped[str | None] = column(
        VARCHAR(100),
        "Composition the tool was called for, by the composition_id of its episode.",
        holds=Holds.IDENTIFIER,
    )
    step_id: Mapped[UUID | None] = column(
        Uuid(), "Composition step that made the call.", ForeignKey("composition_steps.step_id")
    )
    called_by: Mapped[str | None] = column(
        VARCHAR(50), "Who called the tool: composer, agent, or direct.", values=("composer", "agent", "direct")
    )
    executed_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), "When the tool ran.", server_default=NOW)

    tool = belongs_to(
        "Tool",
        {"tool_id": "tool_id"},
        "The tool that was measured.",
        inverse="performance",
        inverse_doc="Measured executions of the tool.",
        lineage=comes_from(LineageKind.MEASURED_BY),
    )
    step = belongs_to(
        "CompositionStep",
        {"step_id": "step_id"},
        "The composition step that made the call.",
        inverse="performance",
        inverse_doc="Measured tool executions of the step.",
        lineage=comes_from(LineageKind.MEASURED_BY),
    )
    episode = belongs_to(
        "ComposerEpisode",
        {"composition_id": "composition_id"},
        "The composition that the tool was called for, by its composition_id.",
        inverse="tool_performance",
        inverse_doc="Measured tool executions of the composition, by its composition_id.",
        lineage=comes_from(LineageKind.MEASURED_BY),
    )

"""Group 10, GEPA optimization: optimization runs, the prompts they produced and the A/B tests that judge these."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    TEXT,
    VARCHAR,
    Boolean,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    SmallInteger,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped

from db.base.column_facts import Holds, Unit
from db.base.lineage import LineageKind, comes_from
from db.base.markers import Group, entity, facts
from db.base.vocabulary import NEW_UUID, NOW, Entity, Labels, belongs_to, column, computed_object, linked_by, pg_enum


class OptimizerType(Labels, pg_name="optimizer_type"):
    """Optimizer that produced a prompt."""

    MIPROV2 = "miprov2", "DSPy MIPROv2, the previous optimizer and usual baseline."
    GEPA = "gepa", "GEPA: evolution of prompts along a Pareto frontier."
    BOOTSTRAP_FEWSHOT = "bootstrap_fewshot", "DSPy BootstrapFewShot."
    COPRO = "copro", "DSPy COPRO."
    SIMBA = "simba", "DSPy SIMBA."
    MANUAL = "manual", "Prompts written by hand."


class GepaBudgetPreset(Labels, pg_name="gepa_budget_preset"):
    """Computational budget of an optimization run, in metric calls."""

    LIGHT = "light", "About 500 metric calls."
    MEDIUM = "medium", "About 2000 metric calls."
    HEAVY = "heavy", "About 4000 metric calls or more."
    CUSTOM = "custom", "As many metric calls as max_metric_calls says."


class OptimizationStatus(Labels, pg_name="optimization_status"):
    """Lifecycle status of an optimization run."""

    PENDING = "pending", "Scheduled; has not started yet."
    RUNNING = "running", "Optimizing."
    COMPLETED = "completed", "Finished with a result."
    FAILED = "failed", "Ended with an error."
    CANCELLED = "cancelled", "Cancelled by a person."
    ROLLED_BACK = "rolled_back", "Its result was taken back in favour of the previous version."


class AbTestVariant(Labels, pg_name="ab_test_variant"):
    """Variant of a prompt A/B test."""

    BASELINE = "baseline", "The baseline prompt (MIPROv2 or manual)."
    GEPA = "gepa", "The GEPA-optimized prompt."
    GEPA_V2 = "gepa_v2", "The second iteration of GEPA."
    CONTROL = "control", "The control: an unoptimized prompt."


class PromptOptimizationRun(Entity):
    """One prompt optimization session (GEPA or another optimizer). Each run optimizes one agent."""

    __group__ = Group.GEPA_OPTIMIZATION
    __aliases__ = ("gepa run", "prompt optimization", "optimization")
    __tablename__ = "prompt_optimization_runs"
    __record__ = entity(key=("run_name",), server=("optimized_score", "error_message"), actor="created_by")
    __label__ = ("agent_name", "run_name")
    __order__ = "created_at"
    __search__ = ("run_name", "mlflow_run_id")

    run_id: Mapped[UUID] = column(Uuid(), "Run identifier.", primary_key=True, server_default=NEW_UUID)
    run_name: Mapped[str] = column(VARCHAR(255), "Human-readable name of the run.", holds=Holds.IDENTIFIER)
    agent_name: Mapped[str] = column(VARCHAR(100), "Agent being optimized.", holds=Holds.LABEL)
    agent_tier: Mapped[int] = column(
        SmallInteger(), "Tier of the agent: 0 (ML foundation) to 5 (self-improvement).", unit=Unit.ORDINAL
    )
    agent_type: Mapped[str] = column(
        VARCHAR(20), "Type of the agent: standard, hybrid or deep.", values=("standard", "hybrid", "deep")
    )
    optimizer_type: Mapped[OptimizerType] = column(
        pg_enum(OptimizerType), "Optimizer used: gepa, miprov2, etc.", server_default=OptimizerType.GEPA.value
    )
    budget_preset: Mapped[GepaBudgetPreset] = column(
        pg_enum(GepaBudgetPreset), "Computational budget.", server_default=GepaBudgetPreset.MEDIUM.value
    )
    max_metric_calls: Mapped[int | None] = column(
        Integer(), "Most metric calls that the run may make.", unit=Unit.COUNT
    )
    reflection_model: Mapped[str | None] = column(
        VARCHAR(100), "LLM that reflects on failures to propose prompts.", holds=Holds.IDENTIFIER
    )
    reflection_minibatch_size: Mapped[int | None] = column(
        Integer(), "Number of examples per reflection.", server_default="3", unit=Unit.COUNT
    )
    enable_tool_optimization: Mapped[bool | None] = column(
        Boolean(), "Whether tool descriptions are optimized too.", server_default="false"
    )
    candidate_selection_strategy: Mapped[str | None] = column(
        VARCHAR(20),
        "How the next candidate to evolve is selected (e.g., pareto).",
        server_default="pareto",
        holds=Holds.LABEL,
    )
    trainset_size: Mapped[int] = column(Integer(), "Number of training examples.", unit=Unit.COUNT)
    valset_size: Mapped[int | None] = column(Integer(), "Number of validation examples.", unit=Unit.COUNT)
    trainset_hash: Mapped[str | None] = column(
        VARCHAR(64), "SHA256 of the training set, for reproducibility.", holds=Holds.IDENTIFIER
    )
    valset_hash: Mapped[str | None] = column(
        VARCHAR(64), "SHA256 of the validation set, for reproducibility.", holds=Holds.IDENTIFIER
    )
    status: Mapped[OptimizationStatus] = column(
        pg_enum(OptimizationStatus), "Status of the run.", server_default=OptimizationStatus.PENDING.value
    )
    started_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When the run started.")
    completed_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it ended.")
    duration_seconds: Mapped[int | None] = column(
        Integer(), "Wall-clock time of the run, in seconds.", unit=Unit.SECONDS
    )
    baseline_score: Mapped[Decimal | None] = column(
        Numeric(5, 4), "Score before optimization (0-1).", unit=Unit.FRACTION
    )
    optimized_score: Mapped[Decimal | None] = column(
        Numeric(5, 4), "Score after optimization (0-1).", unit=Unit.FRACTION, aliases=("final score",)
    )
    improvement_percent: Mapped[Decimal | None] = column(
        Numeric(5, 2),
        "Percentage improvement of the score over the baseline, in percent.",
        unit=Unit.PERCENT,
        aliases=("gain", "lift"),
    )
    total_metric_calls: Mapped[int | None] = column(Integer(), "Metric calls that the run made.", unit=Unit.COUNT)
    num_candidates_explored: Mapped[int | None] = column(
        Integer(), "Number of candidate prompts explored.", unit=Unit.COUNT
    )
    pareto_frontier_size: Mapped[int | None] = column(
        Integer(), "Number of candidates on the Pareto frontier.", unit=Unit.COUNT
    )
    log_dir: Mapped[str | None] = column(VARCHAR(500), "Directory of the run's logs.", holds=Holds.IDENTIFIER)
    mlflow_run_id: Mapped[str | None] = column(
        VARCHAR(100), "MLflow run that records the optimization.", holds=Holds.IDENTIFIER
    )
    best_candidate_idx: Mapped[int | None] = column(
        Integer(), "Index of the best candidate of the run.", unit=Unit.ORDINAL
    )
    error_message: Mapped[str | None] = column(TEXT(), "Why the run failed, if it did.", holds=Holds.PROSE)
    config_json: Mapped[Any | None] = column(JSONB(), "Full config for reproducibility.", holds=Holds.DATA)
    seed: Mapped[int | None] = column(Integer(), "Random seed of the run.", server_default="42", unit=Unit.ORDINAL)
    created_by: Mapped[str | None] = column(VARCHAR(100), "User or agent that created the run.", holds=Holds.IDENTIFIER)
    created_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was created.", server_default=NOW)
    updated_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When it was last changed.", server_default=NOW
    )

    training_run = belongs_to(
        "TrainingRun",
        {"mlflow_run_id": "mlflow_run_id"},
        "The training run that MLflow recorded as the same run.",
        inverse="prompt_optimizations",
        inverse_doc="Prompt optimizations that MLflow recorded as the same run.",
        lineage=comes_from(LineageKind.LINKED_TO),
    )
    best_instructions = linked_by(
        "OptimizedInstruction",
        "{that}.run_id = {this}.run_id AND {that}.candidate_idx = {this}.best_candidate_idx",
        "Instructions of the run's best candidate, one per predictor.",
        this_columns=("run_id", "best_candidate_idx"),
        that_columns=("run_id", "candidate_idx"),
        inverse="best_of_run",
        inverse_doc="The run, when the instruction belongs to its best candidate.",
        inverse_many=False,
        lineage="the best ones are some of the run's instructions",
        aliases=("best prompt", "winner"),
    )
    active_instructions = linked_by(
        "OptimizedInstruction",
        "{that}.run_id = {this}.run_id AND {that}.is_active",
        "Instructions of the run that are deployed today, one per predictor.",
        this_columns=("run_id",),
        that_columns=("run_id", "is_active"),
        inverse="active_of_run",
        inverse_doc="The run that produced the instruction, while it is deployed.",
        inverse_many=False,
        lineage="the active ones are some of the run's instructions",
        aliases=("active prompt", "current prompt"),
    )


class OptimizedInstruction(Entity):
    """A version of an agent's instruction that an optimization run produced, with its Pareto lineage.

    At most one instruction per agent and predictor is active.
    """

    __group__ = Group.GEPA_OPTIMIZATION
    __aliases__ = ("instruction", "optimized prompt", "prompt")
    __tablename__ = "optimized_instructions"
    __record__ = entity(key=("instruction_hash",), updates=("val_score", "val_score_components"))
    __label__ = ("agent_name", "predictor_name", "version")
    __table_args__ = (
        Index(
            "uq_optimized_instructions_active",
            "agent_name",
            "predictor_name",
            unique=True,
            postgresql_where=text("is_active"),
        ),
    )
    __order__ = "created_at"
    __search__ = ("predictor_name", "version", "instruction_hash")

    instruction_id: Mapped[UUID] = column(Uuid(), "Instruction identifier.", primary_key=True, server_default=NEW_UUID)
    run_id: Mapped[UUID] = column(
        Uuid(), "Optimization run that produced this.", ForeignKey("prompt_optimization_runs.run_id")
    )
    agent_name: Mapped[str] = column(VARCHAR(100), "Target agent.", holds=Holds.LABEL)
    predictor_name: Mapped[str] = column(VARCHAR(100), "DSPy predictor within agent.", holds=Holds.IDENTIFIER)
    version: Mapped[str] = column(
        VARCHAR(50), "Version of the instruction (e.g., gepa_v1_20251224_143052).", holds=Holds.IDENTIFIER
    )
    is_active: Mapped[bool | None] = column(
        Boolean(), "Whether the instruction is currently deployed.", server_default="false"
    )
    is_baseline: Mapped[bool | None] = column(
        Boolean(), "Whether this is the baseline that others are compared with.", server_default="false"
    )
    instruction_text: Mapped[str] = column(
        TEXT(), "The optimized prompt.", holds=Holds.PROSE, aliases=("prompt", "prompt text")
    )
    instruction_hash: Mapped[str] = column(
        VARCHAR(64), "SHA256 of the instruction, for deduplication.", holds=Holds.IDENTIFIER
    )
    val_score: Mapped[Decimal | None] = column(
        Numeric(5, 4), "Validation score (0-1).", unit=Unit.FRACTION, aliases=("score",)
    )
    val_score_components: Mapped[Any | None] = column(
        JSONB(), "Validation score by metric component.", holds=Holds.DATA
    )
    candidate_idx: Mapped[int | None] = column(Integer(), "Index of the candidate within its run.", unit=Unit.ORDINAL)
    parent_indices: Mapped[list[int] | None] = column(
        ARRAY(Integer()),
        "GEPA evolution lineage: candidate_idx of the candidates of the same run that this one evolved from.",
        unit=Unit.ORDINAL,
    )
    discovery_eval_count: Mapped[int | None] = column(
        Integer(), "Budget consumed when the candidate was discovered, in metric calls.", unit=Unit.COUNT
    )
    created_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was produced.", server_default=NOW)
    activated_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was last deployed.")
    deactivated_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was last taken out of use.")

    run = belongs_to(
        "PromptOptimizationRun",
        {"run_id": "run_id"},
        "The optimization run that produced the instruction.",
        inverse="instructions",
        inverse_doc="Instructions that the run produced.",
        lineage=comes_from(LineageKind.PRODUCES),
        inverse_aliases=("candidates", "prompts"),
    )
    parents = linked_by(
        "OptimizedInstruction",
        "{that}.run_id = {this}.run_id AND {that}.candidate_idx = ANY({this}.parent_indices)",
        "Instructions of the candidates of the same run that this one evolved from.",
        this_columns=("run_id", "parent_indices"),
        that_columns=("run_id", "candidate_idx"),
        inverse="children",
        inverse_doc="Instructions of the same run that evolved from this one's candidate.",
        lineage=comes_from(LineageKind.EVOLVES_INTO),
    )


class OptimizedToolDescription(Entity):
    """An optimized description of a DoWhy/EconML tool, produced by a run with tool optimization enabled."""

    __group__ = Group.GEPA_OPTIMIZATION
    __aliases__ = ("tool description",)
    __tablename__ = "optimized_tool_descriptions"
    __record__ = facts()
    __order__ = "created_at"
    __search__ = ("tool_name", "version", "description_hash")

    tool_description_id: Mapped[UUID] = column(
        Uuid(), "Description identifier.", primary_key=True, server_default=NEW_UUID
    )
    run_id: Mapped[UUID] = column(Uuid(), "Optimization run.", ForeignKey("prompt_optimization_runs.run_id"))
    agent_name: Mapped[str] = column(VARCHAR(100), "Agent that uses the tool.", holds=Holds.LABEL)
    tool_name: Mapped[str] = column(
        VARCHAR(100), "Tool described, e.g., causal_forest, linear_dml.", holds=Holds.IDENTIFIER
    )
    version: Mapped[str] = column(VARCHAR(50), "Version of the description.", holds=Holds.IDENTIFIER)
    is_active: Mapped[bool | None] = column(
        Boolean(), "Whether the description is currently deployed.", server_default="false"
    )
    description_text: Mapped[str] = column(TEXT(), "Optimized description.", holds=Holds.PROSE)
    argument_descriptions: Mapped[Any | None] = column(
        JSONB(), "Optimized descriptions of the tool's arguments.", holds=Holds.PROSE
    )
    description_hash: Mapped[str] = column(
        VARCHAR(64), "SHA256 of the description, for deduplication.", holds=Holds.IDENTIFIER
    )
    original_description: Mapped[str | None] = column(
        TEXT(), "Original description, for comparison.", holds=Holds.PROSE
    )
    original_arguments: Mapped[Any | None] = column(
        JSONB(), "Original descriptions of the tool's arguments, for comparison.", holds=Holds.PROSE
    )
    tool_selection_accuracy: Mapped[Decimal | None] = column(
        Numeric(5, 4),
        "How often correct tool selected: fraction of selections under the description (0-1).",
        unit=Unit.FRACTION,
    )
    created_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was produced.", server_default=NOW)

    run = belongs_to(
        "PromptOptimizationRun",
        {"run_id": "run_id"},
        "The optimization run that produced the description.",
        inverse="tool_descriptions",
        inverse_doc="Tool descriptions that the run produced.",
        lineage=comes_from(LineageKind.PRODUCES),
    )
    tool = belongs_to(
        "Tool",
        {"tool_name": "name"},
        "The registered tool of that name, if there is one.",
        inverse="optimized_descriptions",
        inverse_doc="Optimized descriptions of the tool, by its name.",
        lineage=comes_from(LineageKind.DESCRIBED_BY),
    )


class PromptAbTest(Entity):
    """An A/B test of a GEPA-optimized prompt against the baseline of the same agent."""

    __group__ = Group.GEPA_OPTIMIZATION
    __aliases__ = ("prompt test", "prompt experiment", "ab test")
    __tablename__ = "prompt_ab_tests"
    __record__ = entity(key=("test_name",), server=("p_value", "winner"), actor="created_by")
    __order__ = "created_at"
    __search__ = ("test_name",)

    test_id: Mapped[UUID] = column(Uuid(), "Test identifier.", primary_key=True, server_default=NEW_UUID)
    test_name: Mapped[str] = column(VARCHAR(255), "Human-readable name of the test.", holds=Holds.IDENTIFIER)
    agent_name: Mapped[str] = column(VARCHAR(100), "Agent under test.", holds=Holds.LABEL)
    baseline_instruction_id: Mapped[UUID | None] = column(
        Uuid(), "Baseline prompt version.", ForeignKey("optimized_instructions.instruction_id")
    )
    treatment_instruction_id: Mapped[UUID | None] = column(
        Uuid(), "GEPA-optimized version.", ForeignKey("optimized_instructions.instruction_id")
    )
    traffic_split: Mapped[Decimal] = column(
        Numeric(3, 2),
        "Fraction routed to treatment (0-1).",
        server_default="0.10",
        unit=Unit.FRACTION,
        aliases=("allocation",),
    )
    status: Mapped[str | None] = column(
        VARCHAR(20),
        "State of the test: draft, running, completed or stopped.",
        server_default="draft",
        holds=Holds.STATE,
    )
    started_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When the test started.")
    ended_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it ended.")
    target_sample_size: Mapped[int | None] = column(
        Integer(), "Number of requests that the test is to reach.", unit=Unit.COUNT
    )
    baseline_requests: Mapped[int | None] = column(
        Integer(), "Requests answered by the baseline.", server_default="0", unit=Unit.COUNT
    )
    treatment_requests: Mapped[int | None] = column(
        Integer(), "Requests answered by the treatment.", server_default="0", unit=Unit.COUNT
    )
    baseline_score_avg: Mapped[Decimal | None] = column(
        Numeric(5, 4), "Average score of the baseline (0-1).", unit=Unit.FRACTION
    )
    treatment_score_avg: Mapped[Decimal | None] = column(
        Numeric(5, 4), "Average score of the treatment (0-1).", unit=Unit.FRACTION
    )
    baseline_latency_p50: Mapped[int | None] = column(
        Integer(), "Median latency of the baseline, in ms.", unit=Unit.MILLISECONDS
    )
    treatment_latency_p50: Mapped[int | None] = column(
        Integer(), "Median latency of the treatment, in ms.", unit=Unit.MILLISECONDS
    )
    p_value: Mapped[Decimal | None] = column(
        Numeric(5, 4), "Statistical significance: p-value of the difference in score (0-1).", unit=Unit.FRACTION
    )
    confidence_interval_lower: Mapped[Decimal | None] = column(
        Numeric(5, 4), "Lower bound of the confidence interval of the difference in score.", unit=Unit.FRACTION
    )
    confidence_interval_upper: Mapped[Decimal | None] = column(
        Numeric(5, 4), "Upper bound of the confidence interval of the difference in score.", unit=Unit.FRACTION
    )
    is_significant: Mapped[bool | None] = column(
        Boolean(), "Whether the difference in score is statistically significant."
    )
    winner: Mapped[AbTestVariant | None] = column(
        pg_enum(AbTestVariant), "Which variant won.", aliases=("best variant",)
    )
    decision_reason: Mapped[str | None] = column(TEXT(), "Why the winner was chosen.", holds=Holds.PROSE)
    rolled_out: Mapped[bool | None] = column(Boolean(), "Whether winner was promoted.", server_default="false")
    created_by: Mapped[str | None] = column(
        VARCHAR(100), "User or agent that created the test.", holds=Holds.IDENTIFIER
    )
    created_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True), "When it was created.", server_default=NOW)
    updated_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When it was last changed.", server_default=NOW
    )

    baseline_instruction = belongs_to(
        "OptimizedInstruction",
        {"baseline_instruction_id": "instruction_id"},
        "The instruction that is the baseline.",
        inverse="baseline_in_tests",
        inverse_doc="A/B tests in which the instruction is the baseline.",
        lineage=comes_from(LineageKind.COMPARED_IN),
        aliases=("control", "control prompt", "champion"),
    )
    treatment_instruction = belongs_to(
        "OptimizedInstruction",
        {"treatment_instruction_id": "instruction_id"},
        "The instruction that is the treatment.",
        inverse="treatment_in_tests",
        latest="latest_ab_test",
        inverse_doc="A/B tests in which the instruction is the treatment.",
        lineage=comes_from(LineageKind.COMPARED_IN),
        aliases=("variant", "challenger", "candidate"),
    )
    outcome = computed_object(
        "Outcome of the test: the treatment compared with the baseline.",
        {
            "winner": ("{row}.winner", pg_enum(AbTestVariant), "Which variant won; null while nothing is decided."),
            "treatment_won": (
                "{row}.winner IN ('gepa', 'gepa_v2')",
                Boolean(),
                "Whether an optimized variant won; null while the test is undecided.",
            ),
            "score_lift": (
                "{row}.treatment_score_avg - {row}.baseline_score_avg",
                Numeric(),
                "Average score of the treatment minus that of the baseline.",
                Unit.FRACTION,
            ),
            "relative_lift": (
                "({row}.treatment_score_avg - {row}.baseline_score_avg) / nullif({row}.baseline_score_avg, 0)",
                Numeric(),
                "That difference as a fraction of the baseline's score (0.1 is 10 %).",
                Unit.FRACTION,
            ),
            "latency_change_ms": (
                "{row}.treatment_latency_p50 - {row}.baseline_latency_p50",
                Integer(),
                "Median latency of the treatment minus that of the baseline, in ms.",
                Unit.MILLISECONDS,
            ),
            "p_value": ("{row}.p_value", Numeric(), "P-value of the difference in score (0-1).", Unit.FRACTION),
            "is_significant": ("{row}.is_significant", Boolean(), "Whether the difference is significant."),
            "rolled_out": ("{row}.rolled_out", Boolean(), "Whether the winner was promoted."),
        },
        columns=(
            "winner",
            "treatment_score_avg",
            "baseline_score_avg",
            "treatment_latency_p50",
            "baseline_latency_p50",
            "p_value",
            "is_significant",
            "rolled_out",
        ),
    )


class PromptAbTestObservation(Entity):
    """One request observed in a prompt A/B test: its variant, score and latency."""

    __group__ = Group.GEPA_OPTIMIZATION
    __aliases__ = ("observation",)
    __tablename__ = "prompt_ab_test_observations"
    __record__ = facts(key=("test_id", "request_id"))
    __label__ = ("variant",)
    __order__ = "created_at"

    observation_id: Mapped[UUID] = column(Uuid(), "Observation identifier.", primary_key=True, server_default=NEW_UUID)
    test_id: Mapped[UUID] = column(Uuid(), "Parent A/B test.", ForeignKey("prompt_ab_tests.test_id"))
    request_id: Mapped[str] = column(VARCHAR(100), "Request that was observed.", holds=Holds.IDENTIFIER)
    variant: Mapped[AbTestVariant] = column(
        pg_enum(AbTestVariant), "Variant that answered: baseline, gepa, control, etc."
    )
    score: Mapped[Decimal | None] = column(Numeric(5, 4), "Response quality score (0-1).", unit=Unit.FRACTION)
    latency_ms: Mapped[int | None] = column(Integer(), "Response latency, in ms.", unit=Unit.MILLISECONDS)
    success: Mapped[bool | None] = column(Boolean(), "Whether request succeeded.")
    error_type: Mapped[str | None] = column(
        VARCHAR(100), "Error classification; null when it succeeded.", holds=Holds.LABEL
    )
    user_id: Mapped[str | None] = column(VARCHAR(100), "User who made the request.", holds=Holds.IDENTIFIER)
    session_id: Mapped[str | None] = column(
        VARCHAR(100), "Session in which the request was made.", holds=Holds.IDENTIFIER
    )
    created_at: Mapped[datetime | None] = column(
        TIMESTAMP(timezone=True), "When the request was observed.", server_default=NOW
    )

    test = belongs_to(
        "PromptAbTest",
        {"test_id": "test_id"},
        "The A/B test that the observation belongs to.",
        inverse="observations",
        inverse_doc="Requests observed in the test.",
        lineage=comes_from(LineageKind.CONTAINS),
    )

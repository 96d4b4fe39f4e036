"""initial"""

# ruff: noqa: E501, PLR0915 - a comment is one string, and one migration one function

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import Vector
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Changes a database at revision nothing into one at 0001."""
    op.execute("CREATE SCHEMA ml")
    op.execute("CREATE TYPE brand_type AS ENUM ('Remibrutinib', 'Fabhalta', 'Kisqali', 'competitor', 'other')")
    op.execute("CREATE TYPE data_split_type AS ENUM ('train', 'validation', 'test', 'holdout', 'unassigned')")
    op.execute("CREATE TYPE region_type AS ENUM ('northeast', 'south', 'midwest', 'west')")
    op.execute("CREATE TYPE workstream_type AS ENUM ('WS1', 'WS2', 'WS3')")
    op.execute(
        "CREATE TYPE agent_tier_enum AS ENUM ('ml_foundation', 'coordination', 'causal_analytics', 'monitoring', 'ml_predictions', 'self_improvement')"
    )
    op.execute(
        "CREATE TYPE agent_name_enum AS ENUM ('scope_definer', 'cohort_constructor', 'data_preparer', 'feature_analyzer', 'model_selector', 'model_trainer', 'model_deployer', 'observability_connector', 'orchestrator', 'tool_composer', 'causal_impact', 'gap_analyzer', 'heterogeneous_optimizer', 'experiment_designer', 'experiment_monitor', 'drift_monitor', 'health_score', 'prediction_synthesizer', 'resource_optimizer', 'explainer', 'feedback_learner')"
    )
    op.execute(
        "CREATE TYPE model_stage_enum AS ENUM ('development', 'staging', 'shadow', 'production', 'archived', 'deprecated')"
    )
    op.execute("CREATE TYPE dq_status_enum AS ENUM ('passed', 'failed', 'warning', 'skipped')")
    op.execute(
        "CREATE TYPE deployment_status_enum AS ENUM ('pending', 'deploying', 'active', 'draining', 'rolled_back', 'failed')"
    )
    op.execute(
        "CREATE TYPE refutation_test_type AS ENUM ('placebo_treatment', 'random_common_cause', 'data_subset', 'bootstrap', 'sensitivity_e_value')"
    )
    op.execute("CREATE TYPE validation_status AS ENUM ('passed', 'failed', 'warning', 'skipped')")
    op.execute("CREATE TYPE gate_decision AS ENUM ('proceed', 'review', 'block')")
    op.execute(
        "CREATE TYPE expert_review_type AS ENUM ('dag_approval', 'methodology_review', 'quarterly_audit', 'ad_hoc_validation')"
    )
    op.execute("CREATE TYPE twin_type AS ENUM ('hcp', 'patient', 'territory')")
    op.execute("CREATE TYPE simulation_status AS ENUM ('pending', 'running', 'completed', 'failed')")
    op.execute("CREATE TYPE simulation_recommendation AS ENUM ('deploy', 'skip', 'refine')")
    op.execute("CREATE TYPE fidelity_grade AS ENUM ('excellent', 'good', 'fair', 'poor', 'unvalidated')")
    op.execute(
        "CREATE TYPE routing_pattern AS ENUM ('SINGLE_AGENT', 'PARALLEL_DELEGATION', 'TOOL_COMPOSER', 'CLARIFICATION_NEEDED')"
    )
    op.execute(
        "CREATE TYPE dependency_type AS ENUM ('REFERENCE_CHAIN', 'CONDITIONAL', 'LOGICAL_SEQUENCE', 'ENTITY_TRANSFORMATION')"
    )
    op.execute(
        "CREATE TYPE tool_category AS ENUM ('CAUSAL', 'SEGMENTATION', 'GAP', 'EXPERIMENT', 'PREDICTION', 'MONITORING')"
    )
    op.execute(
        "CREATE TYPE composition_status AS ENUM ('PENDING', 'DECOMPOSING', 'PLANNING', 'EXECUTING', 'SYNTHESIZING', 'COMPLETED', 'FAILED', 'TIMEOUT')"
    )
    op.execute(
        "CREATE TYPE value_driver_type AS ENUM ('trx_lift', 'patient_identification', 'action_rate', 'intent_to_prescribe', 'data_quality', 'drift_prevention')"
    )
    op.execute("CREATE TYPE attribution_level_type AS ENUM ('full', 'partial', 'shared', 'minimal')")
    op.execute("CREATE TYPE risk_level_type AS ENUM ('low', 'medium', 'high')")
    op.execute(
        "CREATE TYPE initiative_type AS ENUM ('data_source_integration', 'new_ml_model', 'algorithm_optimization', 'dashboard_enhancement', 'trigger_redesign', 'ab_test_implementation', 'other')"
    )
    op.execute("CREATE TYPE drift_type_enum AS ENUM ('data', 'model', 'concept')")
    op.execute("CREATE TYPE drift_severity_enum AS ENUM ('none', 'low', 'medium', 'high', 'critical')")
    op.execute(
        "CREATE TYPE alert_status_enum AS ENUM ('active', 'acknowledged', 'investigating', 'resolved', 'dismissed')"
    )
    op.execute(
        "CREATE TYPE statistical_test_enum AS ENUM ('psi', 'ks', 'chi_square', 'wasserstein', 'js_divergence', 'importance_correlation')"
    )
    op.execute("CREATE TYPE ab_unit_type AS ENUM ('hcp', 'patient', 'territory', 'account')")
    op.execute("CREATE TYPE randomization_method AS ENUM ('simple', 'stratified', 'block', 'cluster', 'adaptive')")
    op.execute(
        "CREATE TYPE enrollment_status AS ENUM ('active', 'withdrawn', 'excluded', 'completed', 'lost_to_followup')"
    )
    op.execute(
        "CREATE TYPE interim_decision AS ENUM ('continue', 'stop_efficacy', 'stop_futility', 'stop_safety', 'modify_sample')"
    )
    op.execute("CREATE TYPE ab_analysis_type AS ENUM ('interim', 'final', 'post_hoc')")
    op.execute("CREATE TYPE ab_analysis_method AS ENUM ('itt', 'per_protocol', 'as_treated', 'cace')")
    op.execute("CREATE TYPE srm_severity AS ENUM ('none', 'minor', 'moderate', 'severe')")
    op.execute("CREATE TYPE improvement_type AS ENUM ('retrieval', 'prompt', 'workflow', 'none')")
    op.execute("CREATE TYPE improvement_priority AS ENUM ('critical', 'high', 'medium', 'low', 'none')")
    op.execute(
        "CREATE TYPE optimizer_type AS ENUM ('miprov2', 'gepa', 'bootstrap_fewshot', 'copro', 'simba', 'manual')"
    )
    op.execute("CREATE TYPE gepa_budget_preset AS ENUM ('light', 'medium', 'heavy', 'custom')")
    op.execute(
        "CREATE TYPE optimization_status AS ENUM ('pending', 'running', 'completed', 'failed', 'cancelled', 'rolled_back')"
    )
    op.execute("CREATE TYPE ab_test_variant AS ENUM ('baseline', 'gepa', 'gepa_v2', 'control')")
    op.execute(
        "CREATE TYPE ml.discovery_algorithm AS ENUM ('ges', 'pc', 'fci', 'lingam', 'direct_lingam', 'ica_lingam')"
    )
    op.execute("CREATE TYPE ml.gate_decision AS ENUM ('accept', 'review', 'reject', 'augment')")
    op.execute("CREATE TYPE ml.edge_type AS ENUM ('directed', 'undirected', 'bidirected')")
    op.create_table(
        "causal_validations",
        sa.Column(
            "validation_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Validation record identifier.",
        ),
        sa.Column(
            "estimate_id",
            sa.Uuid(),
            nullable=False,
            comment="ID of the estimate being validated; estimate_source names its table (no foreign key).",
        ),
        sa.Column(
            "estimate_source",
            sa.VARCHAR(length=50),
            server_default="causal_paths",
            nullable=True,
            comment="Source table of the estimate: causal_paths or ml_experiments.",
        ),
        sa.Column(
            "test_type",
            postgresql.ENUM(name="refutation_test_type", create_type=False),
            nullable=False,
            comment="Which DoWhy refutation test was run.",
        ),
        sa.Column(
            "status",
            postgresql.ENUM(name="validation_status", create_type=False),
            nullable=False,
            comment="Per-test pass/fail result: passed, failed, warning or skipped.",
        ),
        sa.Column(
            "original_effect",
            sa.Numeric(precision=12, scale=6),
            nullable=True,
            comment="Causal effect before refutation, in units of the outcome.",
        ),
        sa.Column(
            "refuted_effect",
            sa.Numeric(precision=12, scale=6),
            nullable=True,
            comment="Effect after refutation manipulation, in units of the outcome.",
        ),
        sa.Column(
            "p_value",
            sa.Numeric(precision=6, scale=5),
            nullable=True,
            comment="Statistical significance: p-value of the test (0-1).",
        ),
        sa.Column(
            "delta_percent",
            sa.Numeric(precision=8, scale=4),
            nullable=True,
            comment="Change from the original to the refuted effect, in percent of the original.",
        ),
        sa.Column(
            "confidence_score",
            sa.Numeric(precision=4, scale=3),
            nullable=True,
            comment="Weighted confidence (0-1); the gate wants at least 0.7.",
        ),
        sa.Column(
            "gate_decision",
            postgresql.ENUM(name="gate_decision", create_type=False),
            server_default="review",
            nullable=False,
            comment="The decision as it was stored with this test: proceed, review, or block. The estimate's own gate is computed from the latest row of each test.",
        ),
        sa.Column(
            "test_config",
            postgresql.JSONB(),
            nullable=True,
            comment="Parameters of the test: number of simulations, thresholds.",
        ),
        sa.Column("details_json", postgresql.JSONB(), nullable=True, comment="Full output of the DoWhy refuter."),
        sa.Column(
            "agent_activity_id",
            sa.VARCHAR(length=100),
            nullable=True,
            comment="Agent activity that ran the test (agent_activities.activity_id, outside this graph).",
        ),
        sa.Column(
            "brand",
            sa.VARCHAR(length=50),
            nullable=True,
            comment="Brand that the estimate is about: Remibrutinib, Fabhalta, or Kisqali.",
        ),
        sa.Column("analysis_context", sa.TEXT(), nullable=True, comment="What was being analyzed, in prose."),
        sa.Column("treatment_variable", sa.VARCHAR(length=100), nullable=True, comment="Treatment being analyzed."),
        sa.Column("outcome_variable", sa.VARCHAR(length=100), nullable=True, comment="Outcome being measured."),
        sa.Column(
            "data_split",
            sa.VARCHAR(length=20),
            nullable=True,
            comment="Which data split the test used: train, validation, test or holdout.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the result was recorded.",
        ),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was last changed; set by a trigger.",
        ),
        sa.PrimaryKeyConstraint("validation_id", name=op.f("pk_causal_validations")),
        comment="The result of one DoWhy refutation test on one causal estimate.",
    )
    op.create_index(
        "ix_causal_validations_created_at",
        "causal_validations",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("validation_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_causal_validations_estimate_id_created_at",
        "causal_validations",
        ["estimate_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("validation_id DESC")],
        unique=False,
    )
    op.create_table(
        "classification_logs",
        sa.Column(
            "classification_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Log identifier.",
        ),
        sa.Column("query_text", sa.TEXT(), nullable=False, comment="Original user query."),
        sa.Column(
            "query_hash", sa.VARCHAR(length=64), nullable=False, comment="SHA-256 of the query, for deduplication."
        ),
        sa.Column(
            "routing_pattern",
            postgresql.ENUM(name="routing_pattern", create_type=False),
            nullable=False,
            comment="Determined routing.",
        ),
        sa.Column(
            "target_agents",
            postgresql.ARRAY(sa.TEXT()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="Agents that the query was routed to.",
        ),
        sa.Column("confidence", sa.Double(), nullable=False, comment="Classification confidence (0-1)."),
        sa.Column(
            "features_extracted",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Features of the query that the classifier extracted.",
        ),
        sa.Column(
            "domain_mapping",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Capability domains that the query was mapped to.",
        ),
        sa.Column(
            "dependency_analysis",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="The classifier's analysis of how the parts of the query depend on each other.",
        ),
        sa.Column(
            "sub_questions",
            postgresql.JSONB(),
            server_default=sa.text("'[]'::jsonb"),
            nullable=True,
            comment="Sub-questions of a query of several parts (array).",
        ),
        sa.Column(
            "dependencies",
            postgresql.JSONB(),
            server_default=sa.text("'[]'::jsonb"),
            nullable=True,
            comment="Dependencies between the sub-questions (array), each with its dependency type.",
        ),
        sa.Column(
            "used_llm_layer",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="Whether the LLM classifier was invoked.",
        ),
        sa.Column(
            "classification_latency_ms",
            sa.Double(),
            nullable=False,
            comment="Time that the classification took, in ms.",
        ),
        sa.Column("session_id", sa.VARCHAR(length=100), nullable=True, comment="Session in which the query was asked."),
        sa.Column("user_id", sa.VARCHAR(length=100), nullable=True, comment="User who asked."),
        sa.Column(
            "is_followup",
            sa.Boolean(),
            server_default="false",
            nullable=True,
            comment="Whether the query follows up an earlier one of its session.",
        ),
        sa.Column(
            "was_correct",
            sa.Boolean(),
            nullable=True,
            comment="Feedback: whether the routing was correct; null while pending.",
        ),
        sa.Column(
            "correct_pattern",
            postgresql.ENUM(name="routing_pattern", create_type=False),
            nullable=True,
            comment="The routing that would have been right, when was_correct is false.",
        ),
        sa.Column("feedback_notes", sa.TEXT(), nullable=True, comment="The feedback, in prose."),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the query was classified.",
        ),
        sa.PrimaryKeyConstraint("classification_id", name=op.f("pk_classification_logs")),
        comment="One classification decision of the Orchestrator for a query, with the feedback on it.",
    )
    op.create_index(
        "ix_classification_logs_created_at",
        "classification_logs",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("classification_id DESC")],
        unique=False,
    )
    op.create_table(
        "digital_twin_models",
        sa.Column(
            "model_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Model identifier.",
        ),
        sa.Column("model_name", sa.VARCHAR(length=200), nullable=False, comment="Human-readable name."),
        sa.Column("model_description", sa.TEXT(), nullable=True, comment="What the model is for, in prose."),
        sa.Column(
            "twin_type",
            postgresql.ENUM(name="twin_type", create_type=False),
            nullable=False,
            comment="What its twins stand for: hcp, patient, or territory.",
        ),
        sa.Column("model_version", sa.VARCHAR(length=50), nullable=False, comment="Version of the model."),
        sa.Column(
            "mlflow_run_id", sa.VARCHAR(length=100), nullable=True, comment="MLflow run that produced the model."
        ),
        sa.Column(
            "mlflow_model_uri", sa.VARCHAR(length=500), nullable=True, comment="MLflow model URI of the artifact."
        ),
        sa.Column(
            "training_config",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Algorithm, n_estimators, max_depth, cv_folds and the like.",
        ),
        sa.Column(
            "feature_columns", postgresql.ARRAY(sa.TEXT()), nullable=False, comment="Columns that the model reads."
        ),
        sa.Column(
            "target_columns", postgresql.ARRAY(sa.TEXT()), nullable=False, comment="Columns that the model predicts."
        ),
        sa.Column(
            "performance_metrics",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="r2_score, rmse, mae and cv_scores of the model.",
        ),
        sa.Column(
            "fidelity_score",
            sa.Double(),
            nullable=True,
            comment="0-1 fidelity against real outcomes; set by a trigger from the last validations.",
        ),
        sa.Column(
            "fidelity_sample_count",
            sa.Integer(),
            server_default="0",
            nullable=True,
            comment="Number of validations that the fidelity score was computed from.",
        ),
        sa.Column(
            "last_fidelity_update",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When the fidelity score was last computed.",
        ),
        sa.Column(
            "is_active",
            sa.Boolean(),
            server_default="true",
            nullable=True,
            comment="Whether the model is currently deployed.",
        ),
        sa.Column(
            "activation_date", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it was activated."
        ),
        sa.Column(
            "deactivation_date", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it was deactivated."
        ),
        sa.Column("deactivation_reason", sa.TEXT(), nullable=True, comment="Why it was deactivated, if it was."),
        sa.Column(
            "brand",
            sa.VARCHAR(length=100),
            nullable=False,
            comment="Brand that the twins are about: Remibrutinib, Fabhalta, Kisqali, or All.",
        ),
        sa.Column(
            "geographic_scope",
            sa.VARCHAR(length=100),
            server_default="national",
            nullable=True,
            comment="Area that the twins stand for, such as national.",
        ),
        sa.Column("created_by", sa.VARCHAR(length=100), nullable=True, comment="User or agent that created the model."),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was created.",
        ),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was last changed; set by a trigger.",
        ),
        sa.PrimaryKeyConstraint("model_id", name=op.f("pk_digital_twin_models")),
        comment="A trained ML model that generates digital twins: synthetic HCP, patient, or territory populations. Its fidelity is tracked against the outcomes of real experiments.",
    )
    op.create_index(
        "ix_digital_twin_models_created_at",
        "digital_twin_models",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("model_id DESC")],
        unique=False,
    )
    op.create_table(
        "evaluation_results",
        sa.Column(
            "evaluation_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Evaluation identifier.",
        ),
        sa.Column(
            "learning_signal_id",
            sa.Uuid(),
            nullable=True,
            comment="Linked learning signal (learning_signals.signal_id of the agentic memory).",
        ),
        sa.Column(
            "cognitive_cycle_id",
            sa.Uuid(),
            nullable=True,
            comment="Cognitive cycle that produced the response (cognitive_cycles.cycle_id of the agentic memory).",
        ),
        sa.Column("query", sa.TEXT(), nullable=False, comment="Input query."),
        sa.Column("response", sa.TEXT(), nullable=False, comment="Agent response."),
        sa.Column("ground_truth", sa.TEXT(), nullable=True, comment="Reference answer, where one is known."),
        sa.Column(
            "retrieved_contexts",
            postgresql.JSONB(),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
            comment="Contexts that were retrieved for the response (array).",
        ),
        sa.Column("context_count", sa.Integer(), nullable=True, comment="Number of retrieved contexts."),
        sa.Column("faithfulness", sa.Double(), nullable=True, comment="RAGAS faithfulness (0-1)."),
        sa.Column("answer_relevancy", sa.Double(), nullable=True, comment="RAGAS answer relevancy (0-1)."),
        sa.Column("context_precision", sa.Double(), nullable=True, comment="RAGAS context precision (0-1)."),
        sa.Column("context_recall", sa.Double(), nullable=True, comment="RAGAS context recall (0-1)."),
        sa.Column(
            "answer_correctness",
            sa.Double(),
            nullable=True,
            comment="RAGAS answer correctness against the ground truth (0-1).",
        ),
        sa.Column("ragas_aggregate", sa.Double(), nullable=True, comment="Weighted RAGAS composite (0-1)."),
        sa.Column("causal_validity", sa.Double(), nullable=True, comment="Domain rubric: causal validity (1-5)."),
        sa.Column("actionability", sa.Double(), nullable=True, comment="Domain rubric: actionability (1-5)."),
        sa.Column("evidence_chain", sa.Double(), nullable=True, comment="Domain rubric: evidence chain (1-5)."),
        sa.Column(
            "regulatory_awareness", sa.Double(), nullable=True, comment="Domain rubric: regulatory awareness (1-5)."
        ),
        sa.Column(
            "uncertainty_communication",
            sa.Double(),
            nullable=True,
            comment="Domain rubric: communication of uncertainty (1-5).",
        ),
        sa.Column("rubric_aggregate", sa.Double(), nullable=True, comment="Weighted rubric composite (1-5)."),
        sa.Column("evaluation_model", sa.VARCHAR(length=100), nullable=True, comment="Model that judged the response."),
        sa.Column(
            "evaluation_duration_ms", sa.Integer(), nullable=True, comment="Time that the evaluation took, in ms."
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the response was evaluated.",
        ),
        sa.PrimaryKeyConstraint("evaluation_id", name=op.f("pk_evaluation_results")),
        comment="RAGAS and domain-rubric scores of one query-response pair. RAGAS metrics run from 0 to 1, rubric criteria from 1 to 5; together they decide what is to be improved.",
    )
    op.create_index(
        "ix_evaluation_results_created_at",
        "evaluation_results",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("evaluation_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_evaluation_results_learning_signal_id_created_at",
        "evaluation_results",
        [
            "learning_signal_id",
            sa.literal_column("created_at DESC NULLS LAST"),
            sa.literal_column("evaluation_id DESC"),
        ],
        unique=False,
    )
    op.create_table(
        "experiment_knowledge_store",
        sa.Column(
            "knowledge_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Knowledge identifier.",
        ),
        sa.Column(
            "source_type",
            sa.VARCHAR(length=50),
            nullable=False,
            comment="What the lesson was learned from (e.g., experiment); says what source_id identifies.",
        ),
        sa.Column(
            "source_id",
            sa.Uuid(),
            nullable=True,
            comment="Identifier of the source: an experiment's id when source_type names an experiment.",
        ),
        sa.Column("lesson_type", sa.VARCHAR(length=50), nullable=False, comment="Category of learning."),
        sa.Column("title", sa.VARCHAR(length=200), nullable=False, comment="Concise title."),
        sa.Column("description", sa.TEXT(), nullable=False, comment="Full description."),
        sa.Column(
            "knowledge_json",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Structured knowledge.",
        ),
        sa.Column(
            "applicable_brands",
            postgresql.ARRAY(sa.TEXT()),
            nullable=True,
            comment="Brands that the lesson applies to.",
        ),
        sa.Column(
            "applicable_contexts",
            postgresql.ARRAY(sa.TEXT()),
            nullable=True,
            comment="Contexts that the lesson applies to.",
        ),
        sa.Column(
            "embedding",
            Vector(1536),
            nullable=True,
            comment="Embedding of the lesson (1536 dimensions), for similarity search.",
        ),
        sa.Column("confidence_level", sa.Double(), nullable=True, comment="Confidence in the lesson (0-1)."),
        sa.Column(
            "validated",
            sa.Boolean(),
            server_default="false",
            nullable=True,
            comment="Whether the lesson has been validated.",
        ),
        sa.Column("validation_date", sa.Date(), nullable=True, comment="Day on which it was validated."),
        sa.Column(
            "times_applied",
            sa.Integer(),
            server_default="0",
            nullable=True,
            comment="Usage counter: number of times the lesson was applied.",
        ),
        sa.Column(
            "success_rate",
            sa.Double(),
            nullable=True,
            comment="Application success rate: fraction of applications that succeeded (0-1).",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the lesson was recorded.",
        ),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was last changed.",
        ),
        sa.Column(
            "is_active",
            sa.Boolean(),
            server_default="true",
            nullable=True,
            comment="Whether the lesson is in use; false once it is retired.",
        ),
        sa.PrimaryKeyConstraint("knowledge_id", name=op.f("pk_experiment_knowledge_store")),
        comment="A lesson that the organization learned from its experiments, found again by the similarity of its embedding.",
    )
    op.create_index(
        "ix_experiment_knowledge_store_created_at",
        "experiment_knowledge_store",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("knowledge_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_experiment_knowledge_store_embedding_hnsw",
        "experiment_knowledge_store",
        ["embedding"],
        unique=False,
        postgresql_using="hnsw",
        postgresql_ops={"embedding": "vector_cosine_ops"},
    )
    op.create_index(
        "ix_experiment_knowledge_store_source_id_created_at",
        "experiment_knowledge_store",
        ["source_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("knowledge_id DESC")],
        unique=False,
    )
    op.create_table(
        "expert_reviews",
        sa.Column(
            "review_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Review identifier.",
        ),
        sa.Column(
            "review_type",
            postgresql.ENUM(name="expert_review_type", create_type=False),
            nullable=False,
            comment="Type of review: dag_approval, methodology_review, quarterly_audit or ad_hoc_validation.",
        ),
        sa.Column(
            "dag_version_hash",
            sa.VARCHAR(length=64),
            nullable=True,
            comment="SHA256 hash of DAG for versioning: the structure that was reviewed.",
        ),
        sa.Column("reviewer_id", sa.VARCHAR(length=100), nullable=False, comment="Reviewer user ID."),
        sa.Column("reviewer_name", sa.VARCHAR(length=200), nullable=True, comment="Reviewer's display name."),
        sa.Column(
            "reviewer_role",
            sa.VARCHAR(length=100),
            nullable=True,
            comment="Reviewer's role: commercial_ops, medical_affairs, data_science.",
        ),
        sa.Column("reviewer_email", sa.VARCHAR(length=200), nullable=True, comment="Reviewer's email address."),
        sa.Column(
            "approval_status",
            sa.VARCHAR(length=30),
            server_default="pending",
            nullable=False,
            comment="State of the review: pending, approved, rejected, expired.",
        ),
        sa.Column("checklist_json", postgresql.JSONB(), nullable=True, comment="Completed review checklist."),
        sa.Column("comments_json", postgresql.JSONB(), nullable=True, comment="Reviewer's notes and feedback."),
        sa.Column(
            "concerns_raised",
            postgresql.ARRAY(sa.TEXT()),
            nullable=True,
            comment="Concerns that the reviewer raised, one by one.",
        ),
        sa.Column("conditions", sa.TEXT(), nullable=True, comment="Conditions on which the approval depends."),
        sa.Column(
            "brand",
            sa.VARCHAR(length=50),
            nullable=True,
            comment="Brand that the review is about: Remibrutinib, Fabhalta, or Kisqali; null for every brand.",
        ),
        sa.Column("analysis_context", sa.TEXT(), nullable=True, comment="Analysis that the review covers, in prose."),
        sa.Column("treatment_variable", sa.VARCHAR(length=100), nullable=True, comment="Treatment being analyzed."),
        sa.Column("outcome_variable", sa.VARCHAR(length=100), nullable=True, comment="Outcome being measured."),
        sa.Column(
            "valid_from",
            sa.Date(),
            server_default=sa.text("CURRENT_DATE"),
            nullable=True,
            comment="First day on which an approval is valid.",
        ),
        sa.Column(
            "valid_until",
            sa.Date(),
            nullable=True,
            comment="Expiration date for approval, its last valid day; null means without end.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was requested.",
        ),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was last changed; set by a trigger.",
        ),
        sa.Column(
            "approved_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When it was approved, if it was.",
        ),
        sa.Column(
            "related_validation_ids",
            postgresql.ARRAY(sa.Uuid()),
            nullable=True,
            comment="Causal validations that the review is about, by their ids (no foreign key).",
        ),
        sa.Column(
            "supersedes_review_id",
            sa.Uuid(),
            nullable=True,
            comment="Replaces a previous review: that review's id (no foreign key).",
        ),
        sa.PrimaryKeyConstraint("review_id", name=op.f("pk_expert_reviews")),
        comment="A domain expert's review of a causal DAG or a methodology. Approvals may be limited in time, for quarterly audit cycles. An approved and valid review lets an estimate proceed whose gate says review.",
    )
    op.create_index(
        "ix_expert_reviews_created_at",
        "expert_reviews",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("review_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_expert_reviews_dag_version_hash_created_at",
        "expert_reviews",
        ["dag_version_hash", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("review_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_expert_reviews_related_validation_ids",
        "expert_reviews",
        ["related_validation_ids"],
        unique=False,
        postgresql_using="gin",
    )
    op.create_index(
        "ix_expert_reviews_supersedes_review_id_created_at",
        "expert_reviews",
        ["supersedes_review_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("review_id DESC")],
        unique=False,
    )
    op.create_table(
        "discovered_dags",
        sa.Column(
            "id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False, comment="DAG identifier."
        ),
        sa.Column(
            "session_id",
            sa.Uuid(),
            nullable=True,
            comment="User session in which it was discovered (ml.user_sessions.id of the platform).",
        ),
        sa.Column(
            "discovery_timestamp",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the DAG was discovered.",
        ),
        sa.Column("n_samples", sa.Integer(), nullable=False, comment="Data samples used."),
        sa.Column("n_features", sa.Integer(), nullable=False, comment="Features in graph."),
        sa.Column(
            "feature_names",
            postgresql.JSONB(),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
            comment="Names of the features (array).",
        ),
        sa.Column(
            "algorithms_used",
            postgresql.ARRAY(sa.TEXT()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="Algorithms in ensemble.",
        ),
        sa.Column(
            "ensemble_threshold",
            sa.Double(),
            server_default="0.5",
            nullable=False,
            comment="Voting threshold: fraction of the algorithms that must find an edge (0-1).",
        ),
        sa.Column(
            "alpha",
            sa.Double(),
            server_default="0.05",
            nullable=False,
            comment="Significance level of the conditional independence tests (0-1).",
        ),
        sa.Column("n_edges", sa.Integer(), server_default="0", nullable=False, comment="Edges discovered."),
        sa.Column(
            "n_nodes", sa.Integer(), server_default="0", nullable=False, comment="Nodes in the discovered graph."
        ),
        sa.Column(
            "edge_list",
            postgresql.JSONB(),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
            comment="Full edge list (array).",
        ),
        sa.Column(
            "gate_decision",
            postgresql.ENUM(name="gate_decision", schema="ml", create_type=False),
            nullable=True,
            comment="The gate's decision: accept, review, reject, or augment.",
        ),
        sa.Column("gate_confidence", sa.Double(), nullable=True, comment="Gate confidence score (0-1)."),
        sa.Column(
            "gate_reasons",
            postgresql.JSONB(),
            server_default=sa.text("'[]'::jsonb"),
            nullable=True,
            comment="Reasons for the gate's decision (array).",
        ),
        sa.Column(
            "total_runtime_seconds", sa.Double(), nullable=True, comment="Discovery wall-clock time, in seconds."
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was recorded.",
        ),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was last changed.",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_discovered_dags")),
        schema="ml",
        comment="A causal DAG discovered by an ensemble of algorithms, with the gate's decision about its use.",
    )
    op.create_index(
        "ix_discovered_dags_discovery_timestamp",
        "discovered_dags",
        [sa.literal_column("discovery_timestamp DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
        schema="ml",
    )
    op.create_table(
        "ml_cohort_comparisons",
        sa.Column("comparison_id", sa.TEXT(), nullable=False, comment="Comparison identifier."),
        sa.Column("comparison_name", sa.TEXT(), nullable=False, comment="Human-readable label."),
        sa.Column("comparison_description", sa.TEXT(), nullable=True, comment="What was compared and why, in prose."),
        sa.Column(
            "compared_at",
            postgresql.TIMESTAMP(),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the cohorts were compared.",
        ),
        sa.Column("compared_by", sa.TEXT(), nullable=True, comment="User or agent that compared them."),
        sa.Column("cohort_ids", postgresql.JSONB(), nullable=False, comment="Array of compared cohort IDs."),
        sa.Column("input_dataset", sa.TEXT(), nullable=True, comment="Dataset that the comparison was made on."),
        sa.Column("input_row_count", sa.Integer(), nullable=True, comment="Size of that dataset, in patients."),
        sa.Column("comparison_results", postgresql.JSONB(), nullable=True, comment="Statistical comparison results."),
        sa.Column("visualization_config", postgresql.JSONB(), nullable=True, comment="Visualization parameters."),
        sa.PrimaryKeyConstraint("comparison_id", name=op.f("pk_ml_cohort_comparisons")),
        comment="A comparison of several cohort definitions, with the analysis of their overlap.",
    )
    op.create_index(
        "ix_ml_cohort_comparisons_cohort_ids_gin",
        "ml_cohort_comparisons",
        ["cohort_ids"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"cohort_ids": "jsonb_path_ops"},
    )
    op.create_index(
        "ix_ml_cohort_comparisons_compared_at",
        "ml_cohort_comparisons",
        [sa.literal_column("compared_at DESC NULLS LAST"), sa.literal_column("comparison_id DESC")],
        unique=False,
    )
    op.create_table(
        "ml_cohort_definitions",
        sa.Column("cohort_id", sa.TEXT(), nullable=False, comment="Cohort identifier."),
        sa.Column("brand", sa.TEXT(), nullable=False, comment="Target brand."),
        sa.Column("indication", sa.TEXT(), nullable=False, comment="Clinical indication."),
        sa.Column("cohort_name", sa.TEXT(), nullable=False, comment="Human-readable name of the cohort."),
        sa.Column("version", sa.TEXT(), server_default="1.0.0", nullable=True, comment="Semantic version."),
        sa.Column(
            "created_date",
            postgresql.TIMESTAMP(),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was created.",
        ),
        sa.Column(
            "updated_date",
            postgresql.TIMESTAMP(),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was last changed.",
        ),
        sa.Column("created_by", sa.TEXT(), nullable=True, comment="User or agent that created the definition."),
        sa.Column(
            "inclusion_criteria",
            postgresql.JSONB(),
            nullable=False,
            comment="Inclusion criteria array (field, operator, value).",
        ),
        sa.Column(
            "exclusion_criteria",
            postgresql.JSONB(),
            nullable=False,
            comment="Exclusion criteria array (field, operator, value).",
        ),
        sa.Column(
            "lookback_days",
            sa.Integer(),
            server_default="180",
            nullable=True,
            comment="Data lookback period before the index date, in days (default 180).",
        ),
        sa.Column(
            "followup_days",
            sa.Integer(),
            server_default="90",
            nullable=True,
            comment="Required follow-up after the index date, in days (default 90).",
        ),
        sa.Column(
            "index_date_field",
            sa.TEXT(),
            server_default="diagnosis_date",
            nullable=True,
            comment="Field that gives a patient's index date.",
        ),
        sa.Column(
            "required_fields",
            postgresql.JSONB(),
            nullable=True,
            comment="Fields that the input data must have (array).",
        ),
        sa.Column("initial_population", sa.Integer(), nullable=True, comment="Patients before any criterion."),
        sa.Column(
            "eligible_population", sa.Integer(), nullable=True, comment="Population passing all criteria, in patients."
        ),
        sa.Column("excluded_population", sa.Integer(), nullable=True, comment="Patients excluded by the criteria."),
        sa.Column(
            "exclusion_rate", sa.Numeric(precision=5, scale=4), nullable=True, comment="Fraction excluded (0-1)."
        ),
        sa.Column(
            "status",
            sa.TEXT(),
            server_default="active",
            nullable=True,
            comment="State of the definition: active, draft, archived, locked.",
        ),
        sa.Column("clinical_rationale", sa.TEXT(), nullable=True, comment="Clinical rationale of the criteria."),
        sa.Column(
            "regulatory_justification", sa.TEXT(), nullable=True, comment="Regulatory justification of the criteria."
        ),
        sa.Column(
            "config_hash", sa.TEXT(), nullable=True, comment="SHA256 of the configuration, for version tracking."
        ),
        sa.PrimaryKeyConstraint("cohort_id", name=op.f("pk_ml_cohort_definitions")),
        sa.UniqueConstraint(
            "brand", "indication", "version", name=op.f("uq_ml_cohort_definitions_brand_indication_version")
        ),
        comment="A versioned cohort: the inclusion and exclusion criteria for a brand and indication.",
    )
    op.create_index(
        "ix_ml_cohort_definitions_created_date",
        "ml_cohort_definitions",
        [sa.literal_column("created_date DESC NULLS LAST"), sa.literal_column("cohort_id DESC")],
        unique=False,
    )
    op.create_table(
        "ml_experiments",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Experiment identifier.",
        ),
        sa.Column("experiment_name", sa.VARCHAR(length=255), nullable=False, comment="Human-readable name."),
        sa.Column(
            "mlflow_experiment_id", sa.VARCHAR(length=100), nullable=True, comment="MLflow experiment reference."
        ),
        sa.Column("description", sa.TEXT(), nullable=True, comment="What the experiment is for, in prose."),
        sa.Column("prediction_target", sa.VARCHAR(length=100), nullable=False, comment="What the experiment predicts."),
        sa.Column("target_population", sa.TEXT(), nullable=True, comment="Population that the prediction is made for."),
        sa.Column("observation_window_days", sa.Integer(), nullable=True, comment="Data lookback window, in days."),
        sa.Column(
            "prediction_horizon_days", sa.Integer(), nullable=True, comment="Forward prediction period, in days."
        ),
        sa.Column(
            "minimum_auc",
            sa.Numeric(precision=4, scale=3),
            nullable=True,
            comment="Success threshold: the least ROC AUC that a model must reach (0.5-1.0).",
        ),
        sa.Column(
            "minimum_precision_at_k",
            sa.Numeric(precision=4, scale=3),
            nullable=True,
            comment="Success threshold: the least precision among the top k predictions (0-1).",
        ),
        sa.Column(
            "maximum_fpr",
            sa.Numeric(precision=4, scale=3),
            nullable=True,
            comment="Success threshold: the highest false positive rate that a model may have (0-1).",
        ),
        sa.Column(
            "brand",
            postgresql.ENUM(name="brand_type", create_type=False),
            nullable=True,
            comment="Brand in scope: Remibrutinib, Fabhalta, or Kisqali.",
        ),
        sa.Column(
            "region",
            postgresql.ENUM(name="region_type", create_type=False),
            nullable=True,
            comment="Region in scope; null for all regions.",
        ),
        sa.Column(
            "created_by", sa.VARCHAR(length=100), nullable=True, comment="User or agent that created the experiment."
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was created.",
        ),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was last changed; set by a trigger.",
        ),
        sa.Column(
            "data_split",
            postgresql.ENUM(name="data_split_type", create_type=False),
            server_default="unassigned",
            nullable=True,
            comment="Which data split the row belongs to (train/validation/test tracking).",
        ),
        sa.CheckConstraint("minimum_auc BETWEEN 0.5 AND 1.0", name=op.f("valid_auc")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ml_experiments")),
        sa.UniqueConstraint("mlflow_experiment_id", name=op.f("uq_ml_experiments_mlflow_experiment_id")),
        comment="An ML experiment: its scope, its success criteria and its MLflow reference. Everything that is trained, deployed, tested or simulated for one prediction target hangs below it.",
    )
    op.create_index(
        "ix_ml_experiments_created_at",
        "ml_experiments",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "ml_feast_feature_views",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Feature view identifier.",
        ),
        sa.Column("name", sa.VARCHAR(length=255), nullable=False, comment="Feature view name."),
        sa.Column(
            "project",
            sa.VARCHAR(length=100),
            server_default="e2i_causal_analytics",
            nullable=True,
            comment="Feast project (default: e2i_causal_analytics).",
        ),
        sa.Column("description", sa.TEXT(), nullable=True, comment="What the feature view is for, in prose."),
        sa.Column(
            "entities",
            postgresql.JSONB(),
            server_default=sa.text("'[]'::jsonb"),
            nullable=True,
            comment="Names of the entities.",
        ),
        sa.Column(
            "entity_join_keys",
            postgresql.JSONB(),
            server_default=sa.text("'[]'::jsonb"),
            nullable=True,
            comment="Join keys of the entities.",
        ),
        sa.Column(
            "features",
            postgresql.JSONB(),
            server_default=sa.text("'[]'::jsonb"),
            nullable=True,
            comment="Feature names and types.",
        ),
        sa.Column("feature_count", sa.Integer(), server_default="0", nullable=True, comment="Number of features."),
        sa.Column(
            "source_type", sa.VARCHAR(length=50), nullable=True, comment="Kind of source: batch, stream, or request."
        ),
        sa.Column("source_name", sa.VARCHAR(length=255), nullable=True, comment="Name of the source."),
        sa.Column("ttl_seconds", sa.Integer(), nullable=True, comment="Time-to-live for freshness, in seconds."),
        sa.Column(
            "online_enabled",
            sa.Boolean(),
            server_default="true",
            nullable=True,
            comment="Whether online serving is active.",
        ),
        sa.Column(
            "batch_source_enabled",
            sa.Boolean(),
            server_default="true",
            nullable=True,
            comment="Whether the batch source is active.",
        ),
        sa.Column(
            "tags",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Tags, as names and values.",
        ),
        sa.Column("owner", sa.VARCHAR(length=100), nullable=True, comment="Person or team that owns the feature view."),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was created.",
        ),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was last changed.",
        ),
        sa.Column(
            "deleted_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When it was retired; null while it is in use.",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ml_feast_feature_views")),
        sa.UniqueConstraint("name", "project", name=op.f("uq_ml_feast_feature_views_name_project")),
        comment="A Feast feature view: its features, entities, source, time-to-live and online serving.",
    )
    op.create_index(
        "ix_ml_feast_feature_views_created_at",
        "ml_feast_feature_views",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "ml_feature_store",
        sa.Column(
            "id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False, comment="Feature identifier."
        ),
        sa.Column("feature_name", sa.VARCHAR(length=255), nullable=False, comment="Feature name."),
        sa.Column(
            "feature_version",
            sa.VARCHAR(length=50),
            server_default="1.0",
            nullable=True,
            comment="Version of the feature's definition; unique together with the name.",
        ),
        sa.Column("feature_group", sa.VARCHAR(length=100), nullable=True, comment="Logical grouping."),
        sa.Column("description", sa.TEXT(), nullable=True, comment="What the feature means, in prose."),
        sa.Column(
            "data_type", sa.VARCHAR(length=50), nullable=False, comment="Data type (numeric, categorical, etc.)."
        ),
        sa.Column(
            "entity_type",
            sa.VARCHAR(length=50),
            nullable=True,
            comment="Entity that it describes: patient, hcp, or treatment.",
        ),
        sa.Column("computation_sql", sa.TEXT(), nullable=True, comment="SQL computation logic."),
        sa.Column(
            "computation_python", sa.TEXT(), nullable=True, comment="Python computation logic, where SQL is not enough."
        ),
        sa.Column(
            "source_tables",
            postgresql.JSONB(),
            server_default=sa.text("'[]'::jsonb"),
            nullable=True,
            comment="Names of the tables that the feature is computed from.",
        ),
        sa.Column(
            "train_statistics",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Mean, std, min, max, null_rate and histogram of the feature, on the train split only.",
        ),
        sa.Column(
            "global_importance",
            sa.Numeric(precision=6, scale=5),
            nullable=True,
            comment="SHAP global importance score: mean absolute SHAP value.",
        ),
        sa.Column(
            "importance_rank", sa.Integer(), nullable=True, comment="Rank by importance; 1 is the most important."
        ),
        sa.Column(
            "is_active", sa.Boolean(), server_default="true", nullable=True, comment="Whether the feature is in use."
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was created.",
        ),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was last changed; set by a trigger.",
        ),
        sa.Column(
            "data_split",
            postgresql.ENUM(name="data_split_type", create_type=False),
            server_default="train",
            nullable=True,
            comment="Which data split the statistics were computed on; train, to prevent leakage.",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ml_feature_store")),
        sa.UniqueConstraint(
            "feature_name", "feature_version", name=op.f("uq_ml_feature_store_feature_name_feature_version")
        ),
        comment="A feature's metadata: how it is computed, what it looks like and how much it matters. Statistics are computed on the train split only, to prevent data leakage.",
    )
    op.create_index(
        "ix_ml_feature_store_created_at",
        "ml_feature_store",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "ml_monitoring_runs",
        sa.Column(
            "id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False, comment="Run identifier."
        ),
        sa.Column(
            "run_type",
            sa.VARCHAR(length=100),
            nullable=False,
            comment="What was checked: data_drift, model_drift, concept_drift, performance or full.",
        ),
        sa.Column(
            "trigger_type",
            sa.VARCHAR(length=50),
            server_default="scheduled",
            nullable=False,
            comment="What started the run: scheduled, manual, or event.",
        ),
        sa.Column("model_ids", postgresql.ARRAY(sa.Uuid()), nullable=True, comment="Models checked in the run."),
        sa.Column(
            "deployment_ids", postgresql.ARRAY(sa.Uuid()), nullable=True, comment="Deployments checked in the run."
        ),
        sa.Column(
            "started_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it started.",
        ),
        sa.Column("completed_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it ended."),
        sa.Column(
            "duration_seconds",
            sa.Numeric(precision=10, scale=2),
            nullable=True,
            comment="Wall-clock time of the run, in seconds.",
        ),
        sa.Column("total_checks", sa.Integer(), server_default="0", nullable=True, comment="Number of checks made."),
        sa.Column(
            "drift_detected_count",
            sa.Integer(),
            server_default="0",
            nullable=True,
            comment="Number of checks that detected drift.",
        ),
        sa.Column(
            "alerts_generated", sa.Integer(), server_default="0", nullable=True, comment="Number of alerts produced."
        ),
        sa.Column(
            "critical_count", sa.Integer(), server_default="0", nullable=True, comment="Critical severity findings."
        ),
        sa.Column("high_count", sa.Integer(), server_default="0", nullable=True, comment="High severity findings."),
        sa.Column("medium_count", sa.Integer(), server_default="0", nullable=True, comment="Medium severity findings."),
        sa.Column("low_count", sa.Integer(), server_default="0", nullable=True, comment="Low severity findings."),
        sa.Column(
            "overall_health_score",
            sa.Numeric(precision=5, scale=2),
            nullable=True,
            comment="Health score (0-100, higher is better).",
        ),
        sa.Column(
            "requires_attention",
            sa.Boolean(),
            server_default="false",
            nullable=True,
            comment="Whether a person should look at the findings.",
        ),
        sa.Column(
            "status",
            sa.VARCHAR(length=50),
            server_default="running",
            nullable=True,
            comment="State of the run: running, completed or failed.",
        ),
        sa.Column("error_message", sa.TEXT(), nullable=True, comment="Why the run failed, if it did."),
        sa.Column(
            "summary",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Findings of the run in detail.",
        ),
        sa.Column(
            "created_by",
            sa.VARCHAR(length=100),
            server_default="celery_beat",
            nullable=True,
            comment="User, agent or scheduler that started the run.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the run was recorded.",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ml_monitoring_runs")),
        comment="One execution of a monitoring job over some models or deployments: what it checked and what it found.",
    )
    op.create_index(
        "ix_ml_monitoring_runs_deployment_ids_gin",
        "ml_monitoring_runs",
        ["deployment_ids"],
        unique=False,
        postgresql_using="gin",
    )
    op.create_index(
        "ix_ml_monitoring_runs_model_ids_gin", "ml_monitoring_runs", ["model_ids"], unique=False, postgresql_using="gin"
    )
    op.create_index(
        "ix_ml_monitoring_runs_started_at",
        "ml_monitoring_runs",
        [sa.literal_column("started_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "prompt_configurations",
        sa.Column(
            "prompt_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Prompt identifier.",
        ),
        sa.Column("prompt_name", sa.VARCHAR(length=100), nullable=False, comment="Configuration name."),
        sa.Column("prompt_version", sa.Integer(), server_default="1", nullable=True, comment="Version of the prompt."),
        sa.Column(
            "agent_name", sa.VARCHAR(length=100), nullable=True, comment="Target agent; null when the prompt is shared."
        ),
        sa.Column("system_prompt", sa.TEXT(), nullable=False, comment="System prompt content."),
        sa.Column(
            "few_shot_examples",
            postgresql.JSONB(),
            server_default=sa.text("'[]'::jsonb"),
            nullable=True,
            comment="Few-shot examples (array).",
        ),
        sa.Column(
            "avg_answer_relevancy",
            sa.Double(),
            nullable=True,
            comment="Average RAGAS answer relevancy under the prompt (0-1).",
        ),
        sa.Column(
            "avg_rubric_score", sa.Double(), nullable=True, comment="Average rubric composite under the prompt (1-5)."
        ),
        sa.Column(
            "avg_combined_score",
            sa.Double(),
            nullable=True,
            comment="Performance metric: average combined RAGAS and rubric score under the prompt (0-1).",
        ),
        sa.Column(
            "evaluation_count",
            sa.Integer(),
            server_default="0",
            nullable=True,
            comment="Number of evaluations behind the averages.",
        ),
        sa.Column(
            "is_active",
            sa.Boolean(),
            server_default="false",
            nullable=True,
            comment="Whether the prompt is currently deployed.",
        ),
        sa.Column(
            "is_baseline",
            sa.Boolean(),
            server_default="false",
            nullable=True,
            comment="Whether this is the baseline that others are compared with.",
        ),
        sa.Column(
            "parent_prompt_id",
            sa.Uuid(),
            nullable=True,
            comment="Lineage reference: the prompt that this one was changed from.",
        ),
        sa.Column("change_reason", sa.TEXT(), nullable=True, comment="Why the prompt was changed from its parent."),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was created.",
        ),
        sa.Column(
            "activated_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it was last deployed."
        ),
        sa.Column(
            "deactivated_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When it was last taken out of use.",
        ),
        sa.ForeignKeyConstraint(
            ["parent_prompt_id"],
            ["prompt_configurations.prompt_id"],
            name=op.f("fk_prompt_configurations_parent_prompt_id"),
        ),
        sa.PrimaryKeyConstraint("prompt_id", name=op.f("pk_prompt_configurations")),
        comment="A version of a prompt template, with its lineage and the performance measured under it.",
    )
    op.create_index(
        "ix_prompt_configurations_created_at",
        "prompt_configurations",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("prompt_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_prompt_configurations_parent_prompt_id_created_at",
        "prompt_configurations",
        ["parent_prompt_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("prompt_id DESC")],
        unique=False,
    )
    op.create_table(
        "prompt_optimization_runs",
        sa.Column(
            "run_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False, comment="Run identifier."
        ),
        sa.Column("run_name", sa.VARCHAR(length=255), nullable=False, comment="Human-readable name of the run."),
        sa.Column("agent_name", sa.VARCHAR(length=100), nullable=False, comment="Agent being optimized."),
        sa.Column(
            "agent_tier",
            sa.SmallInteger(),
            nullable=False,
            comment="Tier of the agent: 0 (ML foundation) to 5 (self-improvement).",
        ),
        sa.Column(
            "agent_type", sa.VARCHAR(length=20), nullable=False, comment="Type of the agent: standard, hybrid or deep."
        ),
        sa.Column(
            "optimizer_type",
            postgresql.ENUM(name="optimizer_type", create_type=False),
            server_default="gepa",
            nullable=False,
            comment="Optimizer used: gepa, miprov2, etc.",
        ),
        sa.Column(
            "budget_preset",
            postgresql.ENUM(name="gepa_budget_preset", create_type=False),
            server_default="medium",
            nullable=False,
            comment="Computational budget.",
        ),
        sa.Column("max_metric_calls", sa.Integer(), nullable=True, comment="Most metric calls that the run may make."),
        sa.Column(
            "reflection_model",
            sa.VARCHAR(length=100),
            nullable=True,
            comment="LLM that reflects on failures to propose prompts.",
        ),
        sa.Column(
            "reflection_minibatch_size",
            sa.Integer(),
            server_default="3",
            nullable=True,
            comment="Number of examples per reflection.",
        ),
        sa.Column(
            "enable_tool_optimization",
            sa.Boolean(),
            server_default="false",
            nullable=True,
            comment="Whether tool descriptions are optimized too.",
        ),
        sa.Column(
            "candidate_selection_strategy",
            sa.VARCHAR(length=20),
            server_default="pareto",
            nullable=True,
            comment="How the next candidate to evolve is selected (e.g., pareto).",
        ),
        sa.Column("trainset_size", sa.Integer(), nullable=False, comment="Number of training examples."),
        sa.Column("valset_size", sa.Integer(), nullable=True, comment="Number of validation examples."),
        sa.Column(
            "trainset_hash",
            sa.VARCHAR(length=64),
            nullable=True,
            comment="SHA256 of the training set, for reproducibility.",
        ),
        sa.Column(
            "valset_hash",
            sa.VARCHAR(length=64),
            nullable=True,
            comment="SHA256 of the validation set, for reproducibility.",
        ),
        sa.Column(
            "status",
            postgresql.ENUM(name="optimization_status", create_type=False),
            server_default="pending",
            nullable=False,
            comment="Status of the run.",
        ),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When the run started."),
        sa.Column("completed_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it ended."),
        sa.Column("duration_seconds", sa.Integer(), nullable=True, comment="Wall-clock time of the run, in seconds."),
        sa.Column(
            "baseline_score",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="Score before optimization (0-1).",
        ),
        sa.Column(
            "optimized_score",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="Score after optimization (0-1).",
        ),
        sa.Column(
            "improvement_percent",
            sa.Numeric(precision=5, scale=2),
            nullable=True,
            comment="Percentage improvement of the score over the baseline, in percent.",
        ),
        sa.Column("total_metric_calls", sa.Integer(), nullable=True, comment="Metric calls that the run made."),
        sa.Column(
            "num_candidates_explored", sa.Integer(), nullable=True, comment="Number of candidate prompts explored."
        ),
        sa.Column(
            "pareto_frontier_size", sa.Integer(), nullable=True, comment="Number of candidates on the Pareto frontier."
        ),
        sa.Column("log_dir", sa.VARCHAR(length=500), nullable=True, comment="Directory of the run's logs."),
        sa.Column(
            "mlflow_run_id", sa.VARCHAR(length=100), nullable=True, comment="MLflow run that records the optimization."
        ),
        sa.Column("best_candidate_idx", sa.Integer(), nullable=True, comment="Index of the best candidate of the run."),
        sa.Column("error_message", sa.TEXT(), nullable=True, comment="Why the run failed, if it did."),
        sa.Column("config_json", postgresql.JSONB(), nullable=True, comment="Full config for reproducibility."),
        sa.Column("seed", sa.Integer(), server_default="42", nullable=True, comment="Random seed of the run."),
        sa.Column("created_by", sa.VARCHAR(length=100), nullable=True, comment="User or agent that created the run."),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was created.",
        ),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was last changed.",
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_prompt_optimization_runs")),
        comment="One prompt optimization session (GEPA or another optimizer). Each run optimizes one agent.",
    )
    op.create_index(
        "ix_prompt_optimization_runs_created_at",
        "prompt_optimization_runs",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("run_id DESC")],
        unique=False,
    )
    op.create_table(
        "retrieval_configurations",
        sa.Column(
            "config_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Configuration identifier.",
        ),
        sa.Column("config_name", sa.VARCHAR(length=100), nullable=False, comment="Name of the configuration."),
        sa.Column(
            "config_version", sa.Integer(), server_default="1", nullable=True, comment="Version of the configuration."
        ),
        sa.Column(
            "k_value", sa.Integer(), server_default="10", nullable=False, comment="Number of documents to retrieve."
        ),
        sa.Column(
            "chunk_size", sa.Integer(), server_default="512", nullable=False, comment="Document chunk size, in tokens."
        ),
        sa.Column(
            "chunk_overlap",
            sa.Integer(),
            server_default="50",
            nullable=True,
            comment="Overlap of neighbouring chunks, in tokens.",
        ),
        sa.Column(
            "vector_weight",
            sa.Double(),
            server_default="0.4",
            nullable=False,
            comment="Hybrid RAG: vector search weight (0-1; the three weights sum to 1).",
        ),
        sa.Column(
            "fulltext_weight",
            sa.Double(),
            server_default="0.3",
            nullable=False,
            comment="Hybrid RAG: full-text search weight (0-1; the three weights sum to 1).",
        ),
        sa.Column(
            "graph_weight",
            sa.Double(),
            server_default="0.3",
            nullable=False,
            comment="Hybrid RAG: graph search weight (0-1; the three weights sum to 1).",
        ),
        sa.Column(
            "rerank_enabled", sa.Boolean(), server_default="true", nullable=True, comment="Whether reranking is active."
        ),
        sa.Column(
            "rerank_model",
            sa.VARCHAR(length=100),
            server_default="cross-encoder/ms-marco-MiniLM-L-12-v2",
            nullable=True,
            comment="Model that reranks.",
        ),
        sa.Column(
            "rerank_top_k",
            sa.Integer(),
            server_default="5",
            nullable=True,
            comment="Number of documents kept after reranking.",
        ),
        sa.Column(
            "avg_context_precision",
            sa.Double(),
            nullable=True,
            comment="Average RAGAS context precision under the configuration (0-1).",
        ),
        sa.Column(
            "avg_context_recall",
            sa.Double(),
            nullable=True,
            comment="Average RAGAS context recall under the configuration (0-1).",
        ),
        sa.Column(
            "avg_faithfulness",
            sa.Double(),
            nullable=True,
            comment="Average RAGAS faithfulness under the configuration (0-1).",
        ),
        sa.Column(
            "evaluation_count",
            sa.Integer(),
            server_default="0",
            nullable=True,
            comment="Number of evaluations behind the averages.",
        ),
        sa.Column(
            "is_active",
            sa.Boolean(),
            server_default="false",
            nullable=True,
            comment="Whether this is the currently deployed configuration.",
        ),
        sa.Column(
            "is_baseline",
            sa.Boolean(),
            server_default="false",
            nullable=True,
            comment="Whether this is the baseline that others are compared with.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was created.",
        ),
        sa.Column(
            "activated_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it was last deployed."
        ),
        sa.Column(
            "deactivated_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When it was last taken out of use.",
        ),
        sa.CheckConstraint(
            "ABS(vector_weight + fulltext_weight + graph_weight - 1.0) < 0.001", name=op.f("weights_sum")
        ),
        sa.PrimaryKeyConstraint("config_id", name=op.f("pk_retrieval_configurations")),
        comment="A version of the RAG retrieval parameters, with the performance measured under it.",
    )
    op.create_index(
        "ix_retrieval_configurations_created_at",
        "retrieval_configurations",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("config_id DESC")],
        unique=False,
    )
    op.create_table(
        "roi_calculations",
        sa.Column(
            "calculation_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Calculation identifier.",
        ),
        sa.Column("initiative_name", sa.VARCHAR(length=200), nullable=False, comment="Initiative label."),
        sa.Column(
            "initiative_type",
            postgresql.ENUM(name="initiative_type", create_type=False),
            server_default="other",
            nullable=False,
            comment="Category of initiative.",
        ),
        sa.Column("initiative_description", sa.TEXT(), nullable=True, comment="What the initiative is, in prose."),
        sa.Column(
            "brand",
            postgresql.ENUM(name="brand_type", create_type=False),
            nullable=True,
            comment="Target brand; null for all brands.",
        ),
        sa.Column(
            "workstream",
            postgresql.ENUM(name="workstream_type", create_type=False),
            nullable=True,
            comment="Workstream that the initiative belongs to.",
        ),
        sa.Column(
            "incremental_value",
            sa.Numeric(precision=15, scale=2),
            nullable=False,
            comment="Total incremental value, in USD.",
        ),
        sa.Column(
            "attributed_value",
            sa.Numeric(precision=15, scale=2),
            nullable=False,
            comment="Value after attribution discount, in USD.",
        ),
        sa.Column(
            "implementation_cost", sa.Numeric(precision=15, scale=2), nullable=False, comment="Total cost, in USD."
        ),
        sa.Column(
            "base_roi",
            sa.Numeric(precision=8, scale=2),
            nullable=False,
            comment="ROI before risk adjustment, as a multiple of the cost.",
        ),
        sa.Column(
            "risk_adjusted_roi",
            sa.Numeric(precision=8, scale=2),
            nullable=False,
            comment="ROI after risk adjustment, as a multiple of the cost.",
        ),
        sa.Column(
            "ci_lower",
            sa.Numeric(precision=8, scale=2),
            nullable=False,
            comment="2.5th percentile ROI of the bootstrap, as a multiple of the cost.",
        ),
        sa.Column(
            "ci_median",
            sa.Numeric(precision=8, scale=2),
            nullable=False,
            comment="Median ROI of the bootstrap, as a multiple of the cost.",
        ),
        sa.Column(
            "ci_upper",
            sa.Numeric(precision=8, scale=2),
            nullable=False,
            comment="97.5th percentile ROI of the bootstrap, as a multiple of the cost.",
        ),
        sa.Column(
            "probability_positive",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="P(ROI > 1x): probability that the initiative pays for itself (0-1).",
        ),
        sa.Column(
            "probability_target",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="P(ROI > target): probability that the target ROI is exceeded (0-1).",
        ),
        sa.Column(
            "target_roi",
            sa.Numeric(precision=8, scale=2),
            server_default="5.0",
            nullable=True,
            comment="Target ROI, as a multiple of the cost.",
        ),
        sa.Column(
            "simulation_count",
            sa.Integer(),
            server_default="1000",
            nullable=True,
            comment="Number of bootstrap simulations.",
        ),
        sa.Column(
            "attribution_level",
            postgresql.ENUM(name="attribution_level_type", create_type=False),
            server_default="partial",
            nullable=False,
            comment="Causal attribution strength: full (100%), partial (50-80%), shared (20-50%) or minimal (<20%).",
        ),
        sa.Column(
            "attribution_rate",
            sa.Numeric(precision=5, scale=4),
            nullable=False,
            comment="Share of the incremental value that is attributed to the initiative (0-1).",
        ),
        sa.Column(
            "risk_technical_complexity",
            postgresql.ENUM(name="risk_level_type", create_type=False),
            server_default="low",
            nullable=True,
            comment="Risk from technical complexity: low, medium or high.",
        ),
        sa.Column(
            "risk_organizational_change",
            postgresql.ENUM(name="risk_level_type", create_type=False),
            server_default="low",
            nullable=True,
            comment="Risk from organizational change: low, medium or high.",
        ),
        sa.Column(
            "risk_data_dependencies",
            postgresql.ENUM(name="risk_level_type", create_type=False),
            server_default="low",
            nullable=True,
            comment="Risk from data dependencies: low, medium or high.",
        ),
        sa.Column(
            "risk_timeline_uncertainty",
            postgresql.ENUM(name="risk_level_type", create_type=False),
            server_default="low",
            nullable=True,
            comment="Risk from an uncertain timeline: low, medium or high.",
        ),
        sa.Column(
            "total_risk_adjustment",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="Combined risk adjustment of the four risk factors (0-1).",
        ),
        sa.Column(
            "value_by_driver",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Incremental value by type of value driver, in USD.",
        ),
        sa.Column(
            "cost_breakdown",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Implementation cost by category, in USD.",
        ),
        sa.Column(
            "sensitivity_results",
            postgresql.JSONB(),
            nullable=True,
            comment="Tornado diagram data: the range of the ROI by parameter varied.",
        ),
        sa.Column(
            "npv_value",
            sa.Numeric(precision=15, scale=2),
            nullable=True,
            comment="Net present value (NPV) of a multi-year initiative, in USD.",
        ),
        sa.Column(
            "npv_roi",
            sa.Numeric(precision=8, scale=2),
            nullable=True,
            comment="ROI at net present value, as a multiple of the cost.",
        ),
        sa.Column("npv_years", sa.Integer(), nullable=True, comment="Years that the net present value is taken over."),
        sa.Column(
            "discount_rate",
            sa.Numeric(precision=5, scale=4),
            server_default="0.10",
            nullable=True,
            comment="Yearly discount rate of the net present value (0-1).",
        ),
        sa.Column(
            "calculated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was calculated.",
        ),
        sa.Column(
            "calculated_by", sa.VARCHAR(length=100), nullable=True, comment="User or agent that made the calculation."
        ),
        sa.Column(
            "methodology_version",
            sa.VARCHAR(length=20),
            server_default="1.0",
            nullable=True,
            comment="Version of the ROI methodology.",
        ),
        sa.Column(
            "gap_id",
            sa.Uuid(),
            nullable=True,
            comment="Performance gap that the initiative addresses, as the Gap Analyzer numbers it.",
        ),
        sa.Column(
            "causal_path_id",
            sa.Uuid(),
            nullable=True,
            comment="Causal path that the value rests on, by its id in causal_paths.",
        ),
        sa.Column(
            "experiment_id", sa.Uuid(), nullable=True, comment="Experiment that the initiative is tested in, by its id."
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was recorded.",
        ),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was last changed; set by a trigger.",
        ),
        sa.Column(
            "is_active",
            sa.Boolean(),
            server_default="true",
            nullable=True,
            comment="Whether the calculation is in force; false once it is superseded.",
        ),
        sa.Column("superseded_by", sa.Uuid(), nullable=True, comment="Calculation that replaces this one."),
        sa.Column("notes", sa.TEXT(), nullable=True, comment="Remarks on the calculation."),
        sa.ForeignKeyConstraint(
            ["superseded_by"], ["roi_calculations.calculation_id"], name=op.f("fk_roi_calculations_superseded_by")
        ),
        sa.PrimaryKeyConstraint("calculation_id", name=op.f("pk_roi_calculations")),
        comment="Complete ROI analysis of an initiative, with confidence intervals from bootstrap simulation. The Gap Analyzer computes it: value by driver, cost, attribution, risk adjustment, and NPV for multi-year initiatives.",
    )
    op.create_index(
        "ix_roi_calculations_calculated_at",
        "roi_calculations",
        [sa.literal_column("calculated_at DESC NULLS LAST"), sa.literal_column("calculation_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_roi_calculations_experiment_id_calculated_at",
        "roi_calculations",
        ["experiment_id", sa.literal_column("calculated_at DESC NULLS LAST"), sa.literal_column("calculation_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_roi_calculations_superseded_by_calculated_at",
        "roi_calculations",
        ["superseded_by", sa.literal_column("calculated_at DESC NULLS LAST"), sa.literal_column("calculation_id DESC")],
        unique=False,
    )
    op.create_table(
        "tool_registry",
        sa.Column(
            "tool_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Tool identifier.",
        ),
        sa.Column("name", sa.VARCHAR(length=100), nullable=False, comment="Tool name (e.g., causal_effect_estimator)."),
        sa.Column("description", sa.TEXT(), nullable=False, comment="What the tool does, as the planner reads it."),
        sa.Column(
            "category",
            postgresql.ENUM(name="tool_category", create_type=False),
            nullable=False,
            comment="Capability domain.",
        ),
        sa.Column(
            "source_agent",
            sa.VARCHAR(length=50),
            nullable=False,
            comment="Owning agent: the agent that exposes the tool.",
        ),
        sa.Column(
            "input_schema",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="JSON Schema for inputs.",
        ),
        sa.Column(
            "output_schema",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="JSON Schema for outputs.",
        ),
        sa.Column(
            "composable",
            sa.Boolean(),
            server_default="true",
            nullable=False,
            comment="Whether Tool Composer can use it.",
        ),
        sa.Column(
            "avg_latency_ms",
            sa.Double(),
            server_default="500.0",
            nullable=True,
            comment="Rolling average latency of the tool's calls, in ms.",
        ),
        sa.Column(
            "success_rate",
            sa.Double(),
            server_default="0.95",
            nullable=True,
            comment="Rolling success rate of the tool's calls (0-1).",
        ),
        sa.Column(
            "version",
            sa.VARCHAR(length=20),
            server_default="1.0.0",
            nullable=True,
            comment="Semantic version of the tool.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the tool was registered.",
        ),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was last changed.",
        ),
        sa.Column(
            "deprecated_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When it was deprecated; null while it is in use.",
        ),
        sa.PrimaryKeyConstraint("tool_id", name=op.f("pk_tool_registry")),
        sa.UniqueConstraint("name", name=op.f("uq_tool_registry_name")),
        comment="A composable tool that a Tier 2-4 agent exposes to the Tool Composer.",
    )
    op.create_index(
        "ix_tool_registry_created_at",
        "tool_registry",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("tool_id DESC")],
        unique=False,
    )
    op.create_table(
        "ab_experiment_assignments",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Assignment identifier.",
        ),
        sa.Column("experiment_id", sa.Uuid(), nullable=False, comment="Parent experiment."),
        sa.Column(
            "unit_id",
            sa.VARCHAR(length=255),
            nullable=False,
            comment="Identifier of the HCP, patient, territory or account assigned.",
        ),
        sa.Column(
            "unit_type",
            postgresql.ENUM(name="ab_unit_type", create_type=False),
            nullable=False,
            comment="Unit type: hcp, patient, territory or account.",
        ),
        sa.Column(
            "variant",
            sa.VARCHAR(length=50),
            nullable=False,
            comment="Variant assigned: control, treatment_a, treatment_b, etc.",
        ),
        sa.Column(
            "assigned_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the unit was assigned.",
        ),
        sa.Column(
            "randomization_method",
            postgresql.ENUM(name="randomization_method", create_type=False),
            server_default="simple",
            nullable=False,
            comment="Randomization strategy: simple, stratified, block, cluster or adaptive.",
        ),
        sa.Column(
            "stratification_key",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Stratification variables used, with the unit's values.",
        ),
        sa.Column(
            "block_id", sa.VARCHAR(length=100), nullable=True, comment="Block of the unit, for block randomization."
        ),
        sa.Column(
            "assignment_hash",
            sa.VARCHAR(length=64),
            nullable=True,
            comment="SHA-256 for reproducible verification of the assignment, in hexadecimal.",
        ),
        sa.Column(
            "created_by", sa.VARCHAR(length=100), nullable=True, comment="User or agent that made the assignment."
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the assignment was recorded.",
        ),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["ml_experiments.id"], name=op.f("fk_ab_experiment_assignments_experiment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ab_experiment_assignments")),
        sa.UniqueConstraint(
            "experiment_id", "unit_id", name=op.f("uq_ab_experiment_assignments_experiment_id_unit_id")
        ),
        comment="Assignment of a unit to a variant of an experiment, with randomization metadata and a reproducible hash.",
    )
    op.create_index(
        "ix_ab_experiment_assignments_assigned_at",
        "ab_experiment_assignments",
        [sa.literal_column("assigned_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ab_experiment_assignments_experiment_id_assigned_at",
        "ab_experiment_assignments",
        ["experiment_id", sa.literal_column("assigned_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "ab_experiment_results",
        sa.Column(
            "id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False, comment="Result identifier."
        ),
        sa.Column("experiment_id", sa.Uuid(), nullable=False, comment="Parent experiment."),
        sa.Column(
            "analysis_type",
            postgresql.ENUM(name="ab_analysis_type", create_type=False),
            nullable=False,
            comment="When the result was computed: interim, final, or post_hoc.",
        ),
        sa.Column(
            "analysis_method",
            postgresql.ENUM(name="ab_analysis_method", create_type=False),
            server_default="itt",
            nullable=False,
            comment="Analysis population: itt, per_protocol, as_treated, or cace.",
        ),
        sa.Column(
            "computed_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the result was computed.",
        ),
        sa.Column("primary_metric", sa.VARCHAR(length=100), nullable=False, comment="Primary outcome metric."),
        sa.Column(
            "primary_metric_type",
            sa.VARCHAR(length=50),
            server_default="continuous",
            nullable=True,
            comment="Kind of the primary metric: continuous, binary, count or time_to_event.",
        ),
        sa.Column("control_mean", sa.Double(), nullable=True, comment="Mean of the primary metric in the control arm."),
        sa.Column(
            "control_std",
            sa.Double(),
            nullable=True,
            comment="Standard deviation of the primary metric in the control arm.",
        ),
        sa.Column(
            "control_median", sa.Double(), nullable=True, comment="Median of the primary metric in the control arm."
        ),
        sa.Column("control_n", sa.Integer(), nullable=False, comment="Control arm sample size."),
        sa.Column(
            "treatment_mean", sa.Double(), nullable=True, comment="Mean of the primary metric in the treatment arm."
        ),
        sa.Column(
            "treatment_std",
            sa.Double(),
            nullable=True,
            comment="Standard deviation of the primary metric in the treatment arm.",
        ),
        sa.Column(
            "treatment_median", sa.Double(), nullable=True, comment="Median of the primary metric in the treatment arm."
        ),
        sa.Column("treatment_n", sa.Integer(), nullable=False, comment="Treatment arm sample size."),
        sa.Column(
            "effect_estimate",
            sa.Double(),
            nullable=False,
            comment="Point estimate of effect, on the scale of effect_type.",
        ),
        sa.Column(
            "effect_type",
            sa.VARCHAR(length=50),
            server_default="absolute",
            nullable=True,
            comment="Scale of the effect: absolute, relative, odds_ratio, risk_ratio or hazard_ratio.",
        ),
        sa.Column(
            "effect_ci_lower", sa.Double(), nullable=True, comment="Lower bound of the effect's confidence interval."
        ),
        sa.Column(
            "effect_ci_upper", sa.Double(), nullable=True, comment="Upper bound of the effect's confidence interval."
        ),
        sa.Column(
            "confidence_level",
            sa.Double(),
            server_default="0.95",
            nullable=True,
            comment="Level of the confidence intervals (0-1).",
        ),
        sa.Column(
            "test_statistic", sa.Double(), nullable=True, comment="Test statistic value, on the scale of the test."
        ),
        sa.Column(
            "test_type",
            sa.VARCHAR(length=50),
            nullable=True,
            comment="Statistical test used: t_test, z_test, chi_squared, mann_whitney or log_rank.",
        ),
        sa.Column(
            "p_value", sa.Double(), nullable=True, comment="Statistical significance: p-value of the test (0-1)."
        ),
        sa.Column("is_significant", sa.Boolean(), nullable=True, comment="Whether effect is significant."),
        sa.Column(
            "adjusted_p_value", sa.Double(), nullable=True, comment="P-value adjusted for multiple testing (0-1)."
        ),
        sa.Column(
            "observed_power", sa.Double(), nullable=True, comment="Power of the test at the observed effect (0-1)."
        ),
        sa.Column(
            "minimum_detectable_effect",
            sa.Double(),
            nullable=True,
            comment="Least effect that the test could detect with its sample size, on the scale of effect_type.",
        ),
        sa.Column(
            "secondary_metrics",
            postgresql.JSONB(),
            server_default=sa.text("'[]'::jsonb"),
            nullable=True,
            comment="Secondary metrics, each with its means, effect, p-value and significance.",
        ),
        sa.Column(
            "segment_results",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Heterogeneous treatment effects by specialty, decile, etc.",
        ),
        sa.Column(
            "covariates_adjusted",
            postgresql.JSONB(),
            server_default=sa.text("'[]'::jsonb"),
            nullable=True,
            comment="Names of the covariates that the adjusted effect accounts for.",
        ),
        sa.Column(
            "adjusted_effect_estimate",
            sa.Double(),
            nullable=True,
            comment="Covariate-adjusted effect, on the scale of effect_type.",
        ),
        sa.Column(
            "adjusted_ci_lower",
            sa.Double(),
            nullable=True,
            comment="Lower bound of the adjusted effect's confidence interval.",
        ),
        sa.Column(
            "adjusted_ci_upper",
            sa.Double(),
            nullable=True,
            comment="Upper bound of the adjusted effect's confidence interval.",
        ),
        sa.Column(
            "missing_rate_control",
            sa.Double(),
            nullable=True,
            comment="Share of the control arm without an outcome (0-1).",
        ),
        sa.Column(
            "missing_rate_treatment",
            sa.Double(),
            nullable=True,
            comment="Share of the treatment arm without an outcome (0-1).",
        ),
        sa.Column(
            "outliers_removed",
            sa.Integer(),
            server_default="0",
            nullable=True,
            comment="Number of outliers that were left out.",
        ),
        sa.Column(
            "computed_by", sa.VARCHAR(length=100), nullable=True, comment="User or agent that computed the result."
        ),
        sa.Column("approved_by", sa.VARCHAR(length=100), nullable=True, comment="Who approved the result."),
        sa.Column(
            "approval_timestamp",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When the result was approved.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the result was recorded.",
        ),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["ml_experiments.id"], name=op.f("fk_ab_experiment_results_experiment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ab_experiment_results")),
        comment="A computed result of an experiment: effect estimate, inference and effects by segment.",
    )
    op.create_index(
        "ix_ab_experiment_results_computed_at",
        "ab_experiment_results",
        [sa.literal_column("computed_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ab_experiment_results_experiment_id_computed_at",
        "ab_experiment_results",
        ["experiment_id", sa.literal_column("computed_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "ab_interim_analyses",
        sa.Column(
            "id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False, comment="Analysis identifier."
        ),
        sa.Column("experiment_id", sa.Uuid(), nullable=False, comment="Parent experiment."),
        sa.Column(
            "analysis_number",
            sa.Integer(),
            nullable=False,
            comment="Sequential analysis index within the experiment, from 1.",
        ),
        sa.Column(
            "performed_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the analysis was performed.",
        ),
        sa.Column(
            "analysis_type",
            sa.VARCHAR(length=50),
            server_default="scheduled",
            nullable=False,
            comment="What called for the analysis: scheduled, ad_hoc or triggered.",
        ),
        sa.Column(
            "information_fraction", sa.Double(), nullable=False, comment="Proportion of total data collected (0-1)."
        ),
        sa.Column(
            "sample_size_at_analysis",
            sa.Integer(),
            nullable=False,
            comment="Number of units in the analysis, over all arms.",
        ),
        sa.Column("target_sample_size", sa.Integer(), nullable=True, comment="Planned number of units, over all arms."),
        sa.Column(
            "spending_function",
            sa.VARCHAR(length=50),
            server_default="obrien_fleming",
            nullable=False,
            comment="Alpha-spending function: obrien_fleming or other.",
        ),
        sa.Column("alpha_spent", sa.Double(), nullable=False, comment="Type I error spent at this analysis (0-1)."),
        sa.Column(
            "cumulative_alpha_spent",
            sa.Double(),
            nullable=False,
            comment="Type I error spent up to and with this analysis (0-1).",
        ),
        sa.Column(
            "adjusted_alpha",
            sa.Double(),
            nullable=False,
            comment="Adjusted significance threshold that this analysis is judged against (0-1).",
        ),
        sa.Column(
            "test_statistic", sa.Double(), nullable=True, comment="Test statistic value, on the scale of the test."
        ),
        sa.Column("standard_error", sa.Double(), nullable=True, comment="Standard error of the effect estimate."),
        sa.Column(
            "p_value", sa.Double(), nullable=True, comment="Statistical significance: p-value of the test (0-1)."
        ),
        sa.Column(
            "effect_estimate",
            sa.Double(),
            nullable=True,
            comment="Point estimate of effect at this analysis, in units of the primary metric.",
        ),
        sa.Column(
            "effect_ci_lower", sa.Double(), nullable=True, comment="Lower bound of the effect's confidence interval."
        ),
        sa.Column(
            "effect_ci_upper", sa.Double(), nullable=True, comment="Upper bound of the effect's confidence interval."
        ),
        sa.Column(
            "conditional_power",
            sa.Double(),
            nullable=True,
            comment="Probability of significance at the end given current data (0-1); low values speak for futility.",
        ),
        sa.Column(
            "predictive_probability",
            sa.Double(),
            nullable=True,
            comment="Predictive probability of success at the end (0-1).",
        ),
        sa.Column(
            "decision",
            postgresql.ENUM(name="interim_decision", create_type=False),
            server_default="continue",
            nullable=False,
            comment="Decision taken: continue, stop_efficacy, stop_futility, stop_safety or modify_sample.",
        ),
        sa.Column("decision_rationale", sa.TEXT(), nullable=True, comment="Why it was decided so, in prose."),
        sa.Column(
            "metrics_snapshot",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Primary and secondary metrics and sample sizes per arm at this analysis.",
        ),
        sa.Column(
            "performed_by", sa.VARCHAR(length=100), nullable=True, comment="User or agent that performed the analysis."
        ),
        sa.Column("approved_by", sa.VARCHAR(length=100), nullable=True, comment="Who approved the decision."),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the analysis was recorded.",
        ),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["ml_experiments.id"], name=op.f("fk_ab_interim_analyses_experiment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ab_interim_analyses")),
        comment="An interim analysis of an experiment: O'Brien-Fleming alpha spending, conditional power and the decision.",
    )
    op.create_index(
        "ix_ab_interim_analyses_experiment_id_performed_at",
        "ab_interim_analyses",
        ["experiment_id", sa.literal_column("performed_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ab_interim_analyses_performed_at",
        "ab_interim_analyses",
        [sa.literal_column("performed_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "ab_srm_checks",
        sa.Column(
            "id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False, comment="Check identifier."
        ),
        sa.Column("experiment_id", sa.Uuid(), nullable=False, comment="Parent experiment."),
        sa.Column(
            "checked_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the check was made.",
        ),
        sa.Column(
            "check_type",
            sa.VARCHAR(length=50),
            server_default="scheduled",
            nullable=True,
            comment="What called for the check: scheduled, triggered or manual.",
        ),
        sa.Column(
            "expected_ratio",
            postgresql.JSONB(),
            nullable=False,
            comment="Expected allocation per variant, as shares (0-1).",
        ),
        sa.Column("actual_counts", postgresql.JSONB(), nullable=False, comment="Observed counts per variant."),
        sa.Column("chi_squared_statistic", sa.Double(), nullable=True, comment="Chi-squared test statistic."),
        sa.Column(
            "degrees_of_freedom",
            sa.Integer(),
            server_default="1",
            nullable=True,
            comment="Degrees of freedom of the test: number of variants less one.",
        ),
        sa.Column(
            "p_value", sa.Double(), nullable=True, comment="Statistical significance: p-value of the test (0-1)."
        ),
        sa.Column(
            "is_srm_detected",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="Whether a mismatch was detected.",
        ),
        sa.Column(
            "severity",
            postgresql.ENUM(name="srm_severity", create_type=False),
            server_default="none",
            nullable=False,
            comment="Severity of the mismatch: none, minor, moderate, severe.",
        ),
        sa.Column(
            "deviation_percent",
            sa.Double(),
            nullable=True,
            comment="Absolute deviation of the observed from the expected allocation (percent).",
        ),
        sa.Column(
            "investigation_notes", sa.TEXT(), nullable=True, comment="What the investigation went through, in prose."
        ),
        sa.Column(
            "root_cause",
            sa.VARCHAR(length=100),
            nullable=True,
            comment="Investigation finding: bot_traffic, tracking_bug, assignment_bug, unknown, etc.",
        ),
        sa.Column("resolution_action", sa.TEXT(), nullable=True, comment="What was done about the mismatch."),
        sa.Column(
            "resolved_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When the mismatch was resolved."
        ),
        sa.Column("resolved_by", sa.VARCHAR(length=100), nullable=True, comment="Who resolved the mismatch."),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the check was recorded.",
        ),
        sa.ForeignKeyConstraint(["experiment_id"], ["ml_experiments.id"], name=op.f("fk_ab_srm_checks_experiment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ab_srm_checks")),
        comment="A check of an experiment for sample ratio mismatch, by a chi-squared test.",
    )
    op.create_index(
        "ix_ab_srm_checks_checked_at",
        "ab_srm_checks",
        [sa.literal_column("checked_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ab_srm_checks_experiment_id_checked_at",
        "ab_srm_checks",
        ["experiment_id", sa.literal_column("checked_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "composer_episodes",
        sa.Column(
            "episode_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Episode identifier.",
        ),
        sa.Column(
            "composition_id",
            sa.VARCHAR(length=100),
            nullable=False,
            comment="Identifier of the composition at run time, as tool performance records name it.",
        ),
        sa.Column("query_text", sa.TEXT(), nullable=False, comment="Original query."),
        sa.Column(
            "query_embedding",
            Vector(1536),
            nullable=True,
            comment="Embedding of the query (1536 dimensions), for similarity search (pgvector).",
        ),
        sa.Column(
            "sub_questions",
            postgresql.JSONB(),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
            comment="Decomposed sub-questions (array), the result of phase 1.",
        ),
        sa.Column(
            "tool_plan",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Execution plan, the result of phase 2.",
        ),
        sa.Column(
            "parallelizable_groups",
            postgresql.JSONB(),
            server_default=sa.text("'[]'::jsonb"),
            nullable=True,
            comment="Groups of steps that can run in parallel (array).",
        ),
        sa.Column(
            "tool_outputs",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Outputs of the tools, the result of phase 3.",
        ),
        sa.Column("synthesized_response", sa.TEXT(), nullable=True, comment="The response, the result of phase 4."),
        sa.Column("total_latency_ms", sa.Double(), nullable=False, comment="End-to-end latency, in ms."),
        sa.Column(
            "decompose_latency_ms", sa.Double(), nullable=True, comment="Latency of phase 1, decomposition, in ms."
        ),
        sa.Column("plan_latency_ms", sa.Double(), nullable=True, comment="Latency of phase 2, planning, in ms."),
        sa.Column(
            "execute_latency_ms", sa.Double(), nullable=True, comment="Latency of phase 3, tool execution, in ms."
        ),
        sa.Column("synthesize_latency_ms", sa.Double(), nullable=True, comment="Latency of phase 4, synthesis, in ms."),
        sa.Column(
            "status",
            postgresql.ENUM(name="composition_status", create_type=False),
            server_default="PENDING",
            nullable=False,
            comment="Execution status.",
        ),
        sa.Column("error_message", sa.TEXT(), nullable=True, comment="Why the composition failed, if it did."),
        sa.Column(
            "success",
            sa.Boolean(),
            nullable=True,
            comment="Feedback on composition quality: whether it was a success; null while pending.",
        ),
        sa.Column("user_rating", sa.Integer(), nullable=True, comment="The user's rating of the response (1-5)."),
        sa.Column("feedback_text", sa.TEXT(), nullable=True, comment="The user's feedback, in prose."),
        sa.Column("session_id", sa.VARCHAR(length=100), nullable=True, comment="Session in which the query was asked."),
        sa.Column("user_id", sa.VARCHAR(length=100), nullable=True, comment="User who asked."),
        sa.Column(
            "classification_id",
            sa.Uuid(),
            nullable=True,
            comment="Classification that routed the query to the Tool Composer.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the episode began.",
        ),
        sa.Column("completed_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it ended."),
        sa.Column(
            "feedback_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When the feedback was given."
        ),
        sa.ForeignKeyConstraint(
            ["classification_id"],
            ["classification_logs.classification_id"],
            name=op.f("fk_composer_episodes_classification_id"),
        ),
        sa.PrimaryKeyConstraint("episode_id", name=op.f("pk_composer_episodes")),
        comment="One tool composition: the query, its sub-questions, the plan, the response and the feedback. Episodes are the Tool Composer's memory: similar ones, found by the query's embedding, shape future plans.",
    )
    op.create_index(
        "ix_composer_episodes_classification_id_created_at",
        "composer_episodes",
        ["classification_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("episode_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_composer_episodes_composition_id_created_at",
        "composer_episodes",
        ["composition_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("episode_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_composer_episodes_created_at",
        "composer_episodes",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("episode_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_composer_episodes_query_embedding_hnsw",
        "composer_episodes",
        ["query_embedding"],
        unique=False,
        postgresql_using="hnsw",
        postgresql_ops={"query_embedding": "vector_cosine_ops"},
    )
    op.create_table(
        "improvement_actions",
        sa.Column(
            "action_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Action identifier.",
        ),
        sa.Column(
            "learning_signal_id",
            sa.Uuid(),
            nullable=True,
            comment="Learning signal that triggered the action (learning_signals.signal_id of the agentic memory).",
        ),
        sa.Column(
            "trigger_score", sa.Double(), nullable=True, comment="Combined score that triggered the action (0-1)."
        ),
        sa.Column(
            "improvement_type",
            postgresql.ENUM(name="improvement_type", create_type=False),
            nullable=False,
            comment="What was improved: retrieval, prompt, or workflow.",
        ),
        sa.Column("action_description", sa.TEXT(), nullable=False, comment="What was done, in prose."),
        sa.Column("before_config", postgresql.JSONB(), nullable=False, comment="State before change."),
        sa.Column("after_config", postgresql.JSONB(), nullable=False, comment="State after change."),
        sa.Column(
            "retrieval_config_id",
            sa.Uuid(),
            nullable=True,
            comment="Retrieval configuration that the action put in place.",
        ),
        sa.Column(
            "prompt_config_id", sa.Uuid(), nullable=True, comment="Prompt configuration that the action put in place."
        ),
        sa.Column(
            "outcome_measured",
            sa.Boolean(),
            server_default="false",
            nullable=True,
            comment="Whether the outcome has been measured.",
        ),
        sa.Column(
            "outcome_improved",
            sa.Boolean(),
            nullable=True,
            comment="Whether improvement was positive; null until measured.",
        ),
        sa.Column(
            "outcome_delta",
            sa.Double(),
            nullable=True,
            comment="Score change (combined score after minus before); null until measured.",
        ),
        sa.Column(
            "status",
            sa.VARCHAR(length=20),
            server_default="applied",
            nullable=True,
            comment="State of the action: applied or rolled_back.",
        ),
        sa.Column(
            "rolled_back_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When it was rolled back, if it was.",
        ),
        sa.Column("rollback_reason", sa.TEXT(), nullable=True, comment="Why it was rolled back, if it was."),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was applied.",
        ),
        sa.Column(
            "measured_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When its outcome was measured."
        ),
        sa.ForeignKeyConstraint(
            ["prompt_config_id"],
            ["prompt_configurations.prompt_id"],
            name=op.f("fk_improvement_actions_prompt_config_id"),
        ),
        sa.ForeignKeyConstraint(
            ["retrieval_config_id"],
            ["retrieval_configurations.config_id"],
            name=op.f("fk_improvement_actions_retrieval_config_id"),
        ),
        sa.PrimaryKeyConstraint("action_id", name=op.f("pk_improvement_actions")),
        comment="One self-improvement that was applied: what was changed, from what to what, and whether it helped.",
    )
    op.create_index(
        "ix_improvement_actions_created_at",
        "improvement_actions",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("action_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_improvement_actions_learning_signal_id_created_at",
        "improvement_actions",
        ["learning_signal_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("action_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_improvement_actions_prompt_config_id_created_at",
        "improvement_actions",
        ["prompt_config_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("action_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_improvement_actions_retrieval_config_id_created_at",
        "improvement_actions",
        ["retrieval_config_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("action_id DESC")],
        unique=False,
    )
    op.create_table(
        "discovered_edges",
        sa.Column(
            "id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False, comment="Edge identifier."
        ),
        sa.Column("dag_id", sa.Uuid(), nullable=False, comment="Parent DAG."),
        sa.Column("source_node", sa.VARCHAR(length=255), nullable=False, comment="Cause variable."),
        sa.Column("target_node", sa.VARCHAR(length=255), nullable=False, comment="Effect variable."),
        sa.Column(
            "edge_type",
            postgresql.ENUM(name="edge_type", schema="ml", create_type=False),
            server_default="directed",
            nullable=False,
            comment="Kind of edge: directed, undirected, or bidirected.",
        ),
        sa.Column(
            "confidence", sa.Double(), server_default="1.0", nullable=False, comment="Ensemble confidence (0-1)."
        ),
        sa.Column(
            "algorithm_votes",
            sa.Integer(),
            server_default="1",
            nullable=False,
            comment="Number of algorithms that found this edge.",
        ),
        sa.Column(
            "algorithms",
            postgresql.ARRAY(sa.TEXT()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="Which algorithms found it.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was recorded.",
        ),
        sa.ForeignKeyConstraint(["dag_id"], ["ml.discovered_dags.id"], name=op.f("fk_discovered_edges_dag_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_discovered_edges")),
        sa.UniqueConstraint(
            "dag_id", "source_node", "target_node", name=op.f("uq_discovered_edges_dag_id_source_node_target_node")
        ),
        schema="ml",
        comment="An edge of a discovered DAG, with the ensemble's confidence in it and the algorithms that found it.",
    )
    op.create_index(
        "ix_discovered_edges_created_at",
        "discovered_edges",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
        schema="ml",
    )
    op.create_index(
        "ix_discovered_edges_dag_id_created_at",
        "discovered_edges",
        ["dag_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
        schema="ml",
    )
    op.create_table(
        "discovery_algorithm_runs",
        sa.Column(
            "id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False, comment="Run identifier."
        ),
        sa.Column("dag_id", sa.Uuid(), nullable=False, comment="Parent DAG."),
        sa.Column(
            "algorithm",
            postgresql.ENUM(name="discovery_algorithm", schema="ml", create_type=False),
            nullable=False,
            comment="Algorithm used.",
        ),
        sa.Column("runtime_seconds", sa.Double(), nullable=False, comment="Algorithm execution time, in seconds."),
        sa.Column(
            "converged", sa.Boolean(), server_default="true", nullable=False, comment="Whether algorithm converged."
        ),
        sa.Column(
            "n_edges", sa.Integer(), server_default="0", nullable=False, comment="Edges found by this algorithm."
        ),
        sa.Column(
            "edge_list",
            postgresql.JSONB(),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
            comment="The edges found by this algorithm (array).",
        ),
        sa.Column(
            "score",
            sa.Double(),
            nullable=True,
            comment="Score-based method result; null for methods that give no score.",
        ),
        sa.Column(
            "parameters",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Parameters of the algorithm.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was recorded.",
        ),
        sa.ForeignKeyConstraint(["dag_id"], ["ml.discovered_dags.id"], name=op.f("fk_discovery_algorithm_runs_dag_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_discovery_algorithm_runs")),
        schema="ml",
        comment="The result of one algorithm within a discovery: one vote of the ensemble.",
    )
    op.create_index(
        "ix_discovery_algorithm_runs_created_at",
        "discovery_algorithm_runs",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
        schema="ml",
    )
    op.create_index(
        "ix_discovery_algorithm_runs_dag_id_created_at",
        "discovery_algorithm_runs",
        ["dag_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
        schema="ml",
    )
    op.create_table(
        "driver_rankings",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Ranking set identifier.",
        ),
        sa.Column("dag_id", sa.Uuid(), nullable=True, comment="Source DAG."),
        sa.Column(
            "session_id",
            sa.Uuid(),
            nullable=True,
            comment="User session in which it was computed (ml.user_sessions.id of the platform).",
        ),
        sa.Column("target_variable", sa.VARCHAR(length=255), nullable=False, comment="Outcome variable."),
        sa.Column(
            "ranking_timestamp",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the ranking was computed.",
        ),
        sa.Column(
            "rankings",
            postgresql.JSONB(),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
            comment="Full ranking array.",
        ),
        sa.Column("n_features", sa.Integer(), server_default="0", nullable=False, comment="Number of ranked features."),
        sa.Column(
            "rank_correlation",
            sa.Double(),
            nullable=True,
            comment="Spearman rho between causal and predictive ranks (-1 to 1).",
        ),
        sa.Column(
            "causal_only_features",
            postgresql.ARRAY(sa.TEXT()),
            server_default=sa.text("'{}'"),
            nullable=True,
            comment="Features only important causally.",
        ),
        sa.Column(
            "predictive_only_features",
            postgresql.ARRAY(sa.TEXT()),
            server_default=sa.text("'{}'"),
            nullable=True,
            comment="Features only important predictively.",
        ),
        sa.Column(
            "concordant_features",
            postgresql.ARRAY(sa.TEXT()),
            server_default=sa.text("'{}'"),
            nullable=True,
            comment="Features important in both.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was recorded.",
        ),
        sa.ForeignKeyConstraint(["dag_id"], ["ml.discovered_dags.id"], name=op.f("fk_driver_rankings_dag_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_driver_rankings")),
        schema="ml",
        comment="Causal against predictive importance of the features for one outcome, with their rank correlation.",
    )
    op.create_index(
        "ix_driver_rankings_dag_id_ranking_timestamp",
        "driver_rankings",
        ["dag_id", sa.literal_column("ranking_timestamp DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
        schema="ml",
    )
    op.create_index(
        "ix_driver_rankings_ranking_timestamp",
        "driver_rankings",
        [sa.literal_column("ranking_timestamp DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
        schema="ml",
    )
    op.create_table(
        "ml_cohort_executions",
        sa.Column("execution_id", sa.TEXT(), nullable=False, comment="Execution identifier."),
        sa.Column("cohort_id", sa.TEXT(), nullable=False, comment="Cohort definition."),
        sa.Column(
            "execution_timestamp",
            postgresql.TIMESTAMP(),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the cohort was constructed.",
        ),
        sa.Column("executed_by", sa.TEXT(), nullable=True, comment="User or agent that ran it."),
        sa.Column(
            "environment",
            sa.TEXT(),
            server_default="production",
            nullable=True,
            comment="Environment it ran in: development, staging, or production.",
        ),
        sa.Column("input_dataset", sa.TEXT(), nullable=True, comment="Dataset that the cohort was drawn from."),
        sa.Column("input_row_count", sa.Integer(), nullable=True, comment="Input population size, in patients."),
        sa.Column("eligible_row_count", sa.Integer(), nullable=True, comment="Eligible population size, in patients."),
        sa.Column("excluded_row_count", sa.Integer(), nullable=True, comment="Excluded population size, in patients."),
        sa.Column(
            "output_dataset", sa.TEXT(), nullable=True, comment="Dataset that the eligible patients were written to."
        ),
        sa.Column(
            "execution_time_ms",
            sa.Integer(),
            nullable=True,
            comment="Total execution time, in ms (target: under 120000 ms for 100,000 patients).",
        ),
        sa.Column(
            "execution_time_seconds",
            sa.Numeric(precision=10, scale=3),
            nullable=True,
            comment="Total execution time, in seconds.",
        ),
        sa.Column("validate_config_ms", sa.Integer(), nullable=True, comment="Config validation latency, in ms."),
        sa.Column("apply_criteria_ms", sa.Integer(), nullable=True, comment="Criteria application latency, in ms."),
        sa.Column("validate_temporal_ms", sa.Integer(), nullable=True, comment="Temporal validation latency, in ms."),
        sa.Column("generate_metadata_ms", sa.Integer(), nullable=True, comment="Metadata generation latency, in ms."),
        sa.Column(
            "status",
            sa.TEXT(),
            server_default="success",
            nullable=True,
            comment="Outcome of the execution: success, failed, partial.",
        ),
        sa.Column("error_message", sa.TEXT(), nullable=True, comment="Why the execution failed, if it did."),
        sa.Column(
            "error_code", sa.TEXT(), nullable=True, comment="Error code, CC_001 through CC_007; null when it succeeded."
        ),
        sa.ForeignKeyConstraint(
            ["cohort_id"], ["ml_cohort_definitions.cohort_id"], name=op.f("fk_ml_cohort_executions_cohort_id")
        ),
        sa.PrimaryKeyConstraint("execution_id", name=op.f("pk_ml_cohort_executions")),
        comment="One execution of a cohort definition on a dataset, with the latency of each node. Its target: under 120 seconds for 100,000 patients.",
    )
    op.create_index(
        "ix_ml_cohort_executions_cohort_id_execution_timestamp",
        "ml_cohort_executions",
        ["cohort_id", sa.literal_column("execution_timestamp DESC NULLS LAST"), sa.literal_column("execution_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_cohort_executions_execution_timestamp",
        "ml_cohort_executions",
        [sa.literal_column("execution_timestamp DESC NULLS LAST"), sa.literal_column("execution_id DESC")],
        unique=False,
    )
    op.create_table(
        "ml_feast_feature_freshness",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Freshness record identifier.",
        ),
        sa.Column("feature_view_id", sa.Uuid(), nullable=True, comment="Feature view monitored."),
        sa.Column(
            "feature_view_name", sa.VARCHAR(length=255), nullable=False, comment="Name of the feature view monitored."
        ),
        sa.Column(
            "recorded_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When freshness was read.",
        ),
        sa.Column(
            "last_materialization_time",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When the feature view was last materialized.",
        ),
        sa.Column(
            "staleness_seconds", sa.Integer(), nullable=True, comment="Time since last materialization, in seconds."
        ),
        sa.Column(
            "data_lag_seconds", sa.Integer(), nullable=True, comment="Lag between source and online store, in seconds."
        ),
        sa.Column(
            "null_rate",
            sa.Double(),
            nullable=True,
            comment="Percentage of null values among the features' values (percent, 0-100).",
        ),
        sa.Column("unique_count", sa.Integer(), nullable=True, comment="Number of distinct values."),
        sa.Column(
            "freshness_status",
            sa.VARCHAR(length=50),
            server_default="unknown",
            nullable=True,
            comment="Freshness: fresh, stale, critical, unknown.",
        ),
        sa.Column(
            "staleness_threshold_seconds",
            sa.Integer(),
            nullable=True,
            comment="Staleness above which the feature view is stale, in seconds.",
        ),
        sa.Column(
            "critical_threshold_seconds",
            sa.Integer(),
            nullable=True,
            comment="Staleness above which the feature view is critical, in seconds.",
        ),
        sa.ForeignKeyConstraint(
            ["feature_view_id"],
            ["ml_feast_feature_views.id"],
            name=op.f("fk_ml_feast_feature_freshness_feature_view_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ml_feast_feature_freshness")),
        comment="One reading of a feature view's freshness, judged by staleness thresholds.",
    )
    op.create_index(
        "ix_ml_feast_feature_freshness_feature_view_id_recorded_at",
        "ml_feast_feature_freshness",
        ["feature_view_id", sa.literal_column("recorded_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_feast_feature_freshness_recorded_at",
        "ml_feast_feature_freshness",
        [sa.literal_column("recorded_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "ml_feast_materialization_jobs",
        sa.Column(
            "id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False, comment="Job identifier."
        ),
        sa.Column("feature_view_id", sa.Uuid(), nullable=True, comment="Target feature view."),
        sa.Column(
            "feature_view_name", sa.VARCHAR(length=255), nullable=False, comment="Name of the target feature view."
        ),
        sa.Column(
            "job_id", sa.VARCHAR(length=255), nullable=True, comment="Identifier of the job in the system that ran it."
        ),
        sa.Column(
            "job_type",
            sa.VARCHAR(length=50),
            server_default="incremental",
            nullable=True,
            comment="Kind of materialization: full or incremental.",
        ),
        sa.Column(
            "start_time", postgresql.TIMESTAMP(timezone=True), nullable=False, comment="Materialization window start."
        ),
        sa.Column(
            "end_time", postgresql.TIMESTAMP(timezone=True), nullable=False, comment="Materialization window end."
        ),
        sa.Column(
            "status",
            sa.VARCHAR(length=50),
            server_default="pending",
            nullable=True,
            comment="State of the job: pending, running, success, failed.",
        ),
        sa.Column("error_message", sa.TEXT(), nullable=True, comment="Why the job failed, if it did."),
        sa.Column("rows_materialized", sa.Integer(), server_default="0", nullable=True, comment="Rows written."),
        sa.Column("bytes_written", sa.BigInteger(), nullable=True, comment="Bytes written."),
        sa.Column("duration_seconds", sa.Double(), nullable=True, comment="Job wall-clock time, in seconds."),
        sa.Column(
            "online_store_rows_written", sa.Integer(), nullable=True, comment="Rows written to the online store."
        ),
        sa.Column(
            "online_store_latency_ms",
            sa.Double(),
            nullable=True,
            comment="Latency of writes to the online store, in milliseconds.",
        ),
        sa.Column("cpu_seconds", sa.Double(), nullable=True, comment="CPU time used, in seconds."),
        sa.Column("memory_peak_mb", sa.Double(), nullable=True, comment="Peak memory usage, in megabytes."),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was created.",
        ),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it started."),
        sa.Column("completed_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it ended."),
        sa.ForeignKeyConstraint(
            ["feature_view_id"],
            ["ml_feast_feature_views.id"],
            name=op.f("fk_ml_feast_materialization_jobs_feature_view_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ml_feast_materialization_jobs")),
        comment="One materialization of a feature view over a time window, with its resource usage.",
    )
    op.create_index(
        "ix_ml_feast_materialization_jobs_created_at",
        "ml_feast_materialization_jobs",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_feast_materialization_jobs_feature_view_id_created_at",
        "ml_feast_materialization_jobs",
        ["feature_view_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "ml_hpo_studies",
        sa.Column(
            "id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False, comment="Study identifier."
        ),
        sa.Column("study_name", sa.VARCHAR(length=255), nullable=False, comment="Optuna study name."),
        sa.Column("experiment_id", sa.Uuid(), nullable=True, comment="Linked ML experiment."),
        sa.Column("algorithm_name", sa.VARCHAR(length=100), nullable=False, comment="Algorithm being optimized."),
        sa.Column(
            "problem_type",
            sa.VARCHAR(length=50),
            nullable=False,
            comment="Kind of learning problem (binary_classification, regression, etc.).",
        ),
        sa.Column(
            "direction",
            sa.VARCHAR(length=20),
            server_default="maximize",
            nullable=True,
            comment="Direction of the optimization: maximize or minimize.",
        ),
        sa.Column(
            "sampler_name",
            sa.VARCHAR(length=50),
            server_default="TPESampler",
            nullable=True,
            comment="Optuna sampler that proposed the trials.",
        ),
        sa.Column(
            "pruner_name",
            sa.VARCHAR(length=50),
            server_default="MedianPruner",
            nullable=True,
            comment="Optuna pruner that stopped trials early.",
        ),
        sa.Column("metric", sa.VARCHAR(length=50), nullable=False, comment="Objective metric (roc_auc, rmse, etc.)."),
        sa.Column(
            "search_space",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Param definitions: type, low, high, log, choices.",
        ),
        sa.Column(
            "fixed_params",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Hyperparameters held constant over all trials.",
        ),
        sa.Column("n_trials", sa.Integer(), server_default="0", nullable=True, comment="Total trials run."),
        sa.Column(
            "n_completed", sa.Integer(), server_default="0", nullable=True, comment="Trials that ran to their end."
        ),
        sa.Column("n_pruned", sa.Integer(), server_default="0", nullable=True, comment="Trials pruned early."),
        sa.Column("n_failed", sa.Integer(), server_default="0", nullable=True, comment="Trials that failed."),
        sa.Column("best_trial_number", sa.Integer(), nullable=True, comment="Index of best trial."),
        sa.Column(
            "best_value",
            sa.Numeric(precision=10, scale=6),
            nullable=True,
            comment="Best objective value, on the scale of the objective metric.",
        ),
        sa.Column(
            "best_params",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Best hyperparameters found.",
        ),
        sa.Column(
            "duration_seconds",
            sa.Numeric(precision=10, scale=2),
            nullable=True,
            comment="Wall-clock time of the study, in seconds.",
        ),
        sa.Column(
            "started_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it started.",
        ),
        sa.Column("completed_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it ended."),
        sa.Column(
            "status",
            sa.VARCHAR(length=50),
            server_default="running",
            nullable=True,
            comment="State of the study: running, completed, failed or pruned.",
        ),
        sa.Column("error_message", sa.TEXT(), nullable=True, comment="Why the study failed, if it did."),
        sa.Column(
            "created_by",
            sa.VARCHAR(length=100),
            server_default="optuna_optimizer",
            nullable=True,
            comment="User or agent that created the study.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the study was recorded.",
        ),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was last changed; set by a trigger.",
        ),
        sa.ForeignKeyConstraint(["experiment_id"], ["ml_experiments.id"], name=op.f("fk_ml_hpo_studies_experiment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ml_hpo_studies")),
        sa.UniqueConstraint("study_name", name=op.f("uq_ml_hpo_studies_study_name")),
        comment="An Optuna study: search space, sampler, pruner, objective and best results.",
    )
    op.create_index(
        "ix_ml_hpo_studies_experiment_id_started_at",
        "ml_hpo_studies",
        ["experiment_id", sa.literal_column("started_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_hpo_studies_id_best_trial_number_started_at",
        "ml_hpo_studies",
        ["id", "best_trial_number", sa.literal_column("started_at DESC NULLS LAST")],
        unique=False,
    )
    op.create_index(
        "ix_ml_hpo_studies_started_at",
        "ml_hpo_studies",
        [sa.literal_column("started_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "ml_model_registry",
        sa.Column(
            "id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False, comment="Model identifier."
        ),
        sa.Column("experiment_id", sa.Uuid(), nullable=True, comment="Parent experiment."),
        sa.Column("model_name", sa.VARCHAR(length=255), nullable=False, comment="Model name."),
        sa.Column("model_version", sa.VARCHAR(length=50), nullable=False, comment="Semantic version string."),
        sa.Column(
            "mlflow_run_id", sa.VARCHAR(length=100), nullable=True, comment="MLflow run that produced the model."
        ),
        sa.Column("mlflow_model_uri", sa.TEXT(), nullable=True, comment="MLflow model URI of the artifact."),
        sa.Column(
            "algorithm", sa.VARCHAR(length=100), nullable=False, comment="Algorithm name (e.g., CausalForestDML)."
        ),
        sa.Column(
            "hyperparameters",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Full hyperparameter set.",
        ),
        sa.Column("feature_count", sa.Integer(), nullable=True, comment="Number of input features."),
        sa.Column("training_samples", sa.Integer(), nullable=True, comment="Number of training samples."),
        sa.Column("auc", sa.Numeric(precision=5, scale=4), nullable=True, comment="ROC AUC score (0-1)."),
        sa.Column(
            "pr_auc",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="Area under the precision-recall curve (0-1).",
        ),
        sa.Column(
            "brier_score",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="Brier score (0-1, lower is better).",
        ),
        sa.Column(
            "calibration_slope",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="Calibration slope (1 is perfectly calibrated).",
        ),
        sa.Column(
            "fairness_metrics",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Fairness assessment results.",
        ),
        sa.Column(
            "stage",
            postgresql.ENUM(name="model_stage_enum", create_type=False),
            server_default="development",
            nullable=True,
            comment="Current lifecycle stage.",
        ),
        sa.Column(
            "is_champion",
            sa.Boolean(),
            server_default="false",
            nullable=True,
            comment="Whether this is the active champion model of its experiment.",
        ),
        sa.Column("trained_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When training finished."),
        sa.Column(
            "registered_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the version was registered.",
        ),
        sa.Column(
            "promoted_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When it last changed to production.",
        ),
        sa.Column(
            "data_split",
            postgresql.ENUM(name="data_split_type", create_type=False),
            server_default="unassigned",
            nullable=True,
            comment="Which data split the metrics were taken on.",
        ),
        postgresql.ExcludeConstraint(
            (sa.column("experiment_id"), "="),
            where=sa.text("is_champion"),
            deferrable="True",
            initially="DEFERRED",
            using="btree",
            name="single_champion",
        ),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["ml_experiments.id"], name=op.f("fk_ml_model_registry_experiment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ml_model_registry")),
        sa.UniqueConstraint("model_name", "model_version", name=op.f("uq_ml_model_registry_model_name_model_version")),
        comment="A registered model version with its performance metrics and lifecycle stage. A trigger keeps at most one champion per experiment.",
    )
    op.create_index(
        "ix_ml_model_registry_experiment_id_registered_at",
        "ml_model_registry",
        ["experiment_id", sa.literal_column("registered_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_model_registry_registered_at",
        "ml_model_registry",
        [sa.literal_column("registered_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "optimized_instructions",
        sa.Column(
            "instruction_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Instruction identifier.",
        ),
        sa.Column("run_id", sa.Uuid(), nullable=False, comment="Optimization run that produced this."),
        sa.Column("agent_name", sa.VARCHAR(length=100), nullable=False, comment="Target agent."),
        sa.Column("predictor_name", sa.VARCHAR(length=100), nullable=False, comment="DSPy predictor within agent."),
        sa.Column(
            "version",
            sa.VARCHAR(length=50),
            nullable=False,
            comment="Version of the instruction (e.g., gepa_v1_20251224_143052).",
        ),
        sa.Column(
            "is_active",
            sa.Boolean(),
            server_default="false",
            nullable=True,
            comment="Whether the instruction is currently deployed.",
        ),
        sa.Column(
            "is_baseline",
            sa.Boolean(),
            server_default="false",
            nullable=True,
            comment="Whether this is the baseline that others are compared with.",
        ),
        sa.Column("instruction_text", sa.TEXT(), nullable=False, comment="The optimized prompt."),
        sa.Column(
            "instruction_hash",
            sa.VARCHAR(length=64),
            nullable=False,
            comment="SHA256 of the instruction, for deduplication.",
        ),
        sa.Column("val_score", sa.Numeric(precision=5, scale=4), nullable=True, comment="Validation score (0-1)."),
        sa.Column(
            "val_score_components", postgresql.JSONB(), nullable=True, comment="Validation score by metric component."
        ),
        sa.Column("candidate_idx", sa.Integer(), nullable=True, comment="Index of the candidate within its run."),
        sa.Column(
            "parent_indices",
            postgresql.ARRAY(sa.Integer()),
            nullable=True,
            comment="GEPA evolution lineage: candidate_idx of the candidates of the same run that this one evolved from.",
        ),
        sa.Column(
            "discovery_eval_count",
            sa.Integer(),
            nullable=True,
            comment="Budget consumed when the candidate was discovered, in metric calls.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was produced.",
        ),
        sa.Column(
            "activated_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it was last deployed."
        ),
        sa.Column(
            "deactivated_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When it was last taken out of use.",
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["prompt_optimization_runs.run_id"], name=op.f("fk_optimized_instructions_run_id")
        ),
        sa.PrimaryKeyConstraint("instruction_id", name=op.f("pk_optimized_instructions")),
        comment="A version of an agent's instruction that an optimization run produced, with its Pareto lineage. At most one instruction per agent and predictor is active.",
    )
    op.create_index(
        "ix_optimized_instructions_created_at",
        "optimized_instructions",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("instruction_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_optimized_instructions_run_id_created_at",
        "optimized_instructions",
        ["run_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("instruction_id DESC")],
        unique=False,
    )
    op.create_index(
        "uq_optimized_instructions_active",
        "optimized_instructions",
        ["agent_name", "predictor_name"],
        unique=True,
        postgresql_where=sa.text("is_active"),
    )
    op.create_table(
        "optimized_tool_descriptions",
        sa.Column(
            "tool_description_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Description identifier.",
        ),
        sa.Column("run_id", sa.Uuid(), nullable=False, comment="Optimization run."),
        sa.Column("agent_name", sa.VARCHAR(length=100), nullable=False, comment="Agent that uses the tool."),
        sa.Column(
            "tool_name",
            sa.VARCHAR(length=100),
            nullable=False,
            comment="Tool described, e.g., causal_forest, linear_dml.",
        ),
        sa.Column("version", sa.VARCHAR(length=50), nullable=False, comment="Version of the description."),
        sa.Column(
            "is_active",
            sa.Boolean(),
            server_default="false",
            nullable=True,
            comment="Whether the description is currently deployed.",
        ),
        sa.Column("description_text", sa.TEXT(), nullable=False, comment="Optimized description."),
        sa.Column(
            "argument_descriptions",
            postgresql.JSONB(),
            nullable=True,
            comment="Optimized descriptions of the tool's arguments.",
        ),
        sa.Column(
            "description_hash",
            sa.VARCHAR(length=64),
            nullable=False,
            comment="SHA256 of the description, for deduplication.",
        ),
        sa.Column("original_description", sa.TEXT(), nullable=True, comment="Original description, for comparison."),
        sa.Column(
            "original_arguments",
            postgresql.JSONB(),
            nullable=True,
            comment="Original descriptions of the tool's arguments, for comparison.",
        ),
        sa.Column(
            "tool_selection_accuracy",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="How often correct tool selected: fraction of selections under the description (0-1).",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was produced.",
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["prompt_optimization_runs.run_id"], name=op.f("fk_optimized_tool_descriptions_run_id")
        ),
        sa.PrimaryKeyConstraint("tool_description_id", name=op.f("pk_optimized_tool_descriptions")),
        comment="An optimized description of a DoWhy/EconML tool, produced by a run with tool optimization enabled.",
    )
    op.create_index(
        "ix_optimized_tool_descriptions_created_at",
        "optimized_tool_descriptions",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("tool_description_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_optimized_tool_descriptions_run_id_created_at",
        "optimized_tool_descriptions",
        ["run_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("tool_description_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_optimized_tool_descriptions_tool_name_created_at",
        "optimized_tool_descriptions",
        ["tool_name", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("tool_description_id DESC")],
        unique=False,
    )
    op.create_table(
        "roi_cost_details",
        sa.Column(
            "detail_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Detail identifier.",
        ),
        sa.Column("calculation_id", sa.Uuid(), nullable=False, comment="Parent ROI calculation."),
        sa.Column(
            "category",
            sa.VARCHAR(length=50),
            nullable=False,
            comment="Cost category (engineering, data_acquisition, etc.).",
        ),
        sa.Column("subcategory", sa.VARCHAR(length=100), nullable=True, comment="Finer category of the cost."),
        sa.Column(
            "quantity",
            sa.Numeric(precision=10, scale=2),
            nullable=True,
            comment="Number of units, such as engineering days.",
        ),
        sa.Column("unit_cost", sa.Numeric(precision=10, scale=2), nullable=True, comment="Cost per unit, in USD."),
        sa.Column(
            "total_cost", sa.Numeric(precision=15, scale=2), nullable=False, comment="Total cost amount, in USD."
        ),
        sa.Column(
            "is_one_time",
            sa.Boolean(),
            server_default="true",
            nullable=True,
            comment="One-time vs. recurring: true for a one-time cost.",
        ),
        sa.Column("recurrence_months", sa.Integer(), nullable=True, comment="Duration if recurring, in months."),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was recorded.",
        ),
        sa.ForeignKeyConstraint(
            ["calculation_id"], ["roi_calculations.calculation_id"], name=op.f("fk_roi_cost_details_calculation_id")
        ),
        sa.PrimaryKeyConstraint("detail_id", name=op.f("pk_roi_cost_details")),
        comment="One cost of an ROI calculation, one-time or recurring.",
    )
    op.create_index(
        "ix_roi_cost_details_calculation_id_created_at",
        "roi_cost_details",
        ["calculation_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("detail_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_roi_cost_details_created_at",
        "roi_cost_details",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("detail_id DESC")],
        unique=False,
    )
    op.create_table(
        "roi_value_driver_details",
        sa.Column(
            "detail_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Detail identifier.",
        ),
        sa.Column("calculation_id", sa.Uuid(), nullable=False, comment="Parent ROI calculation."),
        sa.Column(
            "driver_type",
            postgresql.ENUM(name="value_driver_type", create_type=False),
            nullable=False,
            comment="Type of value driver.",
        ),
        sa.Column("quantity", sa.Numeric(precision=12, scale=2), nullable=False, comment="Number of units."),
        sa.Column(
            "unit_value", sa.Numeric(precision=10, scale=2), nullable=False, comment="Dollar value per unit, in USD."
        ),
        sa.Column(
            "total_value", sa.Numeric(precision=15, scale=2), nullable=False, comment="quantity x unit_value, in USD."
        ),
        sa.Column("hcp_count", sa.Integer(), nullable=True, comment="Number of HCPs reached, for intent_to_prescribe."),
        sa.Column("trigger_count", sa.Integer(), nullable=True, comment="Number of triggers sent, for action_rate."),
        sa.Column(
            "fp_reduction", sa.Integer(), nullable=True, comment="Number of false positives avoided, for data_quality."
        ),
        sa.Column(
            "fn_reduction", sa.Integer(), nullable=True, comment="Number of false negatives avoided, for data_quality."
        ),
        sa.Column(
            "auc_drop_prevented",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="Drop of ROC AUC prevented (0-1), for drift_prevention.",
        ),
        sa.Column(
            "baseline_model_value",
            sa.Numeric(precision=15, scale=2),
            nullable=True,
            comment="Value of the model without drift, in USD, for drift_prevention.",
        ),
        sa.Column(
            "uncertainty_std",
            sa.Numeric(precision=5, scale=4),
            server_default="0.15",
            nullable=True,
            comment="Standard deviation of the value, as a fraction of its mean (0-1).",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was recorded.",
        ),
        sa.ForeignKeyConstraint(
            ["calculation_id"],
            ["roi_calculations.calculation_id"],
            name=op.f("fk_roi_value_driver_details_calculation_id"),
        ),
        sa.PrimaryKeyConstraint("detail_id", name=op.f("pk_roi_value_driver_details")),
        comment="One value driver of an ROI calculation: units, value per unit and what they come to.",
    )
    op.create_index(
        "ix_roi_value_driver_details_calculation_id_created_at",
        "roi_value_driver_details",
        ["calculation_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("detail_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_roi_value_driver_details_created_at",
        "roi_value_driver_details",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("detail_id DESC")],
        unique=False,
    )
    op.create_table(
        "tool_dependencies",
        sa.Column(
            "dependency_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Dependency record identifier.",
        ),
        sa.Column("consumer_tool_id", sa.Uuid(), nullable=False, comment="Tool that consumes data."),
        sa.Column("producer_tool_id", sa.Uuid(), nullable=False, comment="Tool that produces data."),
        sa.Column(
            "output_field",
            sa.VARCHAR(length=100),
            nullable=True,
            comment="Specific producer output field; null for the entire output.",
        ),
        sa.Column(
            "input_field",
            sa.VARCHAR(length=100),
            nullable=True,
            comment="Specific consumer input field; null when it is mapped automatically.",
        ),
        sa.Column(
            "transform_expression",
            sa.TEXT(),
            nullable=True,
            comment="Optional jq/JSONPath transformation of the output into the input.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the dependency was declared.",
        ),
        sa.CheckConstraint("consumer_tool_id <> producer_tool_id", name=op.f("no_self_dependency")),
        sa.ForeignKeyConstraint(
            ["consumer_tool_id"], ["tool_registry.tool_id"], name=op.f("fk_tool_dependencies_consumer_tool_id")
        ),
        sa.ForeignKeyConstraint(
            ["producer_tool_id"], ["tool_registry.tool_id"], name=op.f("fk_tool_dependencies_producer_tool_id")
        ),
        sa.PrimaryKeyConstraint("dependency_id", name=op.f("pk_tool_dependencies")),
        sa.UniqueConstraint(
            "consumer_tool_id", "producer_tool_id", name=op.f("uq_tool_dependencies_consumer_tool_id_producer_tool_id")
        ),
        comment="One tool can consume the output of another: an edge of the DAGs that the Planner builds.",
    )
    op.create_index(
        "ix_tool_dependencies_consumer_tool_id_created_at",
        "tool_dependencies",
        ["consumer_tool_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("dependency_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_tool_dependencies_created_at",
        "tool_dependencies",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("dependency_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_tool_dependencies_producer_tool_id_created_at",
        "tool_dependencies",
        ["producer_tool_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("dependency_id DESC")],
        unique=False,
    )
    op.create_table(
        "twin_simulations",
        sa.Column(
            "simulation_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Simulation identifier.",
        ),
        sa.Column("model_id", sa.Uuid(), nullable=False, comment="Twin model used."),
        sa.Column(
            "experiment_design_id",
            sa.Uuid(),
            nullable=True,
            comment="Experiment that the simulation screens, once it is linked to one (ml_experiments; no foreign key).",
        ),
        sa.Column(
            "intervention_type",
            sa.VARCHAR(length=100),
            nullable=False,
            comment="Kind of intervention: email_campaign, call_frequency_increase, etc.",
        ),
        sa.Column(
            "intervention_config",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Channel, frequency, duration and target segment of the intervention.",
        ),
        sa.Column(
            "target_population",
            postgresql.ENUM(name="twin_type", create_type=False),
            nullable=False,
            comment="Population that the intervention is aimed at: hcp, patient, or territory.",
        ),
        sa.Column(
            "population_filters",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Criteria that select the twins, such as specialty, decile, region and adoption stage.",
        ),
        sa.Column("twin_count", sa.Integer(), nullable=False, comment="Number of twins simulated."),
        sa.Column(
            "simulated_ate",
            sa.Double(),
            nullable=True,
            comment="Average Treatment Effect of the intervention, in units of the outcome.",
        ),
        sa.Column("simulated_ci_lower", sa.Double(), nullable=True, comment="95% CI lower bound of the effect."),
        sa.Column("simulated_ci_upper", sa.Double(), nullable=True, comment="95% CI upper bound of the effect."),
        sa.Column("simulated_std_error", sa.Double(), nullable=True, comment="Standard error of the effect."),
        sa.Column(
            "effect_heterogeneity",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="The effect by subgroup, such as specialty or decile, with group sizes.",
        ),
        sa.Column(
            "simulation_status",
            postgresql.ENUM(name="simulation_status", create_type=False),
            server_default="pending",
            nullable=False,
            comment="State of the simulation: pending, running, completed or failed.",
        ),
        sa.Column(
            "recommendation",
            postgresql.ENUM(name="simulation_recommendation", create_type=False),
            nullable=True,
            comment="What the simulation advises: deploy, skip, or refine.",
        ),
        sa.Column("recommendation_rationale", sa.TEXT(), nullable=True, comment="Why it advises so."),
        sa.Column(
            "recommended_sample_size",
            sa.Integer(),
            nullable=True,
            comment="Suggested real experiment sample size, in participants.",
        ),
        sa.Column(
            "recommended_duration_weeks",
            sa.Integer(),
            nullable=True,
            comment="Suggested duration of the real experiment, in weeks.",
        ),
        sa.Column(
            "simulation_confidence",
            sa.Double(),
            nullable=True,
            comment="Confidence in the prediction (0-1), given the fidelity of the twin model.",
        ),
        sa.Column(
            "fidelity_warning",
            sa.Boolean(),
            server_default="false",
            nullable=True,
            comment="Whether the twin model's fidelity makes the prediction doubtful.",
        ),
        sa.Column(
            "fidelity_warning_reason", sa.TEXT(), nullable=True, comment="Why the prediction is doubtful, if it is."
        ),
        sa.Column(
            "execution_time_ms", sa.Integer(), nullable=True, comment="How long the simulation took, in milliseconds."
        ),
        sa.Column(
            "memory_usage_mb", sa.Integer(), nullable=True, comment="Memory that the simulation used, in megabytes."
        ),
        sa.Column(
            "brand",
            sa.VARCHAR(length=100),
            nullable=False,
            comment="Brand that the intervention is for: Remibrutinib, Fabhalta, or Kisqali.",
        ),
        sa.Column("error_message", sa.TEXT(), nullable=True, comment="Why the simulation failed, if it did."),
        sa.Column(
            "requested_by",
            sa.VARCHAR(length=100),
            nullable=True,
            comment="User or agent that requested the simulation.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was requested.",
        ),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it started."),
        sa.Column("completed_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it ended."),
        sa.ForeignKeyConstraint(
            ["model_id"], ["digital_twin_models.model_id"], name=op.f("fk_twin_simulations_model_id")
        ),
        sa.PrimaryKeyConstraint("simulation_id", name=op.f("pk_twin_simulations")),
        comment="A simulated intervention on a population of twins: its predicted effect and what it advises. It screens an A/B test before the test is run, and recommends the sample size.",
    )
    op.create_index(
        "ix_twin_simulations_created_at",
        "twin_simulations",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("simulation_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_twin_simulations_experiment_design_id_created_at",
        "twin_simulations",
        [
            "experiment_design_id",
            sa.literal_column("created_at DESC NULLS LAST"),
            sa.literal_column("simulation_id DESC"),
        ],
        unique=False,
    )
    op.create_index(
        "ix_twin_simulations_model_id_created_at",
        "twin_simulations",
        ["model_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("simulation_id DESC")],
        unique=False,
    )
    op.create_table(
        "ab_experiment_enrollments",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Enrollment identifier.",
        ),
        sa.Column("assignment_id", sa.Uuid(), nullable=False, comment="Parent assignment."),
        sa.Column(
            "enrolled_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the unit was enrolled.",
        ),
        sa.Column(
            "enrollment_status",
            postgresql.ENUM(name="enrollment_status", create_type=False),
            server_default="active",
            nullable=False,
            comment="Current lifecycle status: active, withdrawn, excluded, completed or lost_to_followup.",
        ),
        sa.Column(
            "eligibility_criteria_met",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Checklist of eligibility criteria, each met or not.",
        ),
        sa.Column(
            "eligibility_check_timestamp",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When eligibility was checked.",
        ),
        sa.Column(
            "consent_timestamp", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When consent was given."
        ),
        sa.Column(
            "consent_method",
            sa.VARCHAR(length=50),
            nullable=True,
            comment="How consent was given: email, phone, in_person or implied.",
        ),
        sa.Column("consent_version", sa.VARCHAR(length=20), nullable=True, comment="Version of the consent form."),
        sa.Column(
            "withdrawal_timestamp",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When the unit withdrew; null unless the status is withdrawn.",
        ),
        sa.Column("withdrawal_reason", sa.TEXT(), nullable=True, comment="Reason for withdrawal (if applicable)."),
        sa.Column(
            "withdrawal_initiated_by",
            sa.VARCHAR(length=50),
            nullable=True,
            comment="Who initiated the withdrawal: subject, investigator, sponsor or system.",
        ),
        sa.Column(
            "protocol_deviations",
            postgresql.JSONB(),
            server_default=sa.text("'[]'::jsonb"),
            nullable=True,
            comment="Recorded deviations from the protocol with date, type, severity.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the enrollment was recorded.",
        ),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was last changed; set by a trigger.",
        ),
        sa.ForeignKeyConstraint(
            ["assignment_id"], ["ab_experiment_assignments.id"], name=op.f("fk_ab_experiment_enrollments_assignment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ab_experiment_enrollments")),
        comment="Enrollment of an assigned unit through its lifecycle: eligibility, consent and protocol adherence.",
    )
    op.create_index(
        "ix_ab_experiment_enrollments_assignment_id_enrolled_at",
        "ab_experiment_enrollments",
        ["assignment_id", sa.literal_column("enrolled_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ab_experiment_enrollments_enrolled_at",
        "ab_experiment_enrollments",
        [sa.literal_column("enrolled_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "ab_fidelity_comparisons",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Comparison identifier.",
        ),
        sa.Column("experiment_id", sa.Uuid(), nullable=False, comment="Parent experiment."),
        sa.Column(
            "twin_simulation_id", sa.Uuid(), nullable=False, comment="Digital Twin simulation that made the prediction."
        ),
        sa.Column("results_id", sa.Uuid(), nullable=True, comment="Experiment results that were compared."),
        sa.Column(
            "comparison_timestamp",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the comparison was made.",
        ),
        sa.Column(
            "comparison_type",
            sa.VARCHAR(length=50),
            server_default="final",
            nullable=True,
            comment="Results compared with: interim or final.",
        ),
        sa.Column("predicted_effect", sa.Double(), nullable=False, comment="Twin-predicted effect."),
        sa.Column(
            "predicted_ci_lower",
            sa.Double(),
            nullable=True,
            comment="Lower bound of the predicted effect's confidence interval.",
        ),
        sa.Column(
            "predicted_ci_upper",
            sa.Double(),
            nullable=True,
            comment="Upper bound of the predicted effect's confidence interval.",
        ),
        sa.Column(
            "predicted_sample_size", sa.Integer(), nullable=True, comment="Sample size that the twin recommended."
        ),
        sa.Column("actual_effect", sa.Double(), nullable=True, comment="Real experiment effect."),
        sa.Column(
            "actual_ci_lower",
            sa.Double(),
            nullable=True,
            comment="Lower bound of the real effect's confidence interval.",
        ),
        sa.Column(
            "actual_ci_upper",
            sa.Double(),
            nullable=True,
            comment="Upper bound of the real effect's confidence interval.",
        ),
        sa.Column("actual_sample_size", sa.Integer(), nullable=True, comment="Sample size of the real experiment."),
        sa.Column(
            "prediction_error", sa.Double(), nullable=True, comment="Predicted minus real effect; set by a trigger."
        ),
        sa.Column(
            "absolute_prediction_error",
            sa.Double(),
            nullable=True,
            comment="Absolute value of the prediction error; set by a trigger.",
        ),
        sa.Column(
            "relative_prediction_error",
            sa.Double(),
            nullable=True,
            comment="Prediction error as a fraction of the real effect; set by a trigger, null where the real effect is zero.",
        ),
        sa.Column(
            "confidence_interval_coverage",
            sa.Boolean(),
            nullable=True,
            comment="Whether the real effect fell within the predicted confidence interval; set by a trigger.",
        ),
        sa.Column(
            "direction_match",
            sa.Boolean(),
            nullable=True,
            comment="Whether effect direction matched; set by a trigger.",
        ),
        sa.Column(
            "fidelity_score",
            sa.Double(),
            nullable=True,
            comment="Prediction accuracy (0-1, higher is better), set by a trigger: 0.5 for a small relative error, 0.3 for the right direction, 0.2 for a predicted interval that covers the real effect; null where nothing can be graded.",
        ),
        sa.Column(
            "fidelity_grade",
            sa.VARCHAR(length=20),
            nullable=True,
            comment="Grade of the relative error: excellent (below 0.10), good (below 0.20), fair (up to 0.35) or poor.",
        ),
        sa.Column(
            "calibration_adjustment",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Adjustment for future predictions: bias correction, variance scaling, adjustments by segment.",
        ),
        sa.Column(
            "feedback_applied_to_model",
            sa.Boolean(),
            server_default="false",
            nullable=True,
            comment="Whether the adjustment has been applied to the twin model.",
        ),
        sa.Column(
            "feedback_applied_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When the adjustment was applied to the twin model.",
        ),
        sa.Column(
            "compared_by", sa.VARCHAR(length=100), nullable=True, comment="User or agent that made the comparison."
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the comparison was recorded.",
        ),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["ml_experiments.id"], name=op.f("fk_ab_fidelity_comparisons_experiment_id")
        ),
        sa.ForeignKeyConstraint(
            ["results_id"], ["ab_experiment_results.id"], name=op.f("fk_ab_fidelity_comparisons_results_id")
        ),
        sa.ForeignKeyConstraint(
            ["twin_simulation_id"],
            ["twin_simulations.simulation_id"],
            name=op.f("fk_ab_fidelity_comparisons_twin_simulation_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ab_fidelity_comparisons")),
        comment="A comparison of a digital twin's prediction with the actual result of an experiment. Prediction errors and fidelity scores are computed by triggers.",
    )
    op.create_index(
        "ix_ab_fidelity_comparisons_comparison_timestamp",
        "ab_fidelity_comparisons",
        [sa.literal_column("comparison_timestamp DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ab_fidelity_comparisons_experiment_id_comparison_timestamp",
        "ab_fidelity_comparisons",
        ["experiment_id", sa.literal_column("comparison_timestamp DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ab_fidelity_comparisons_results_id_comparison_timestamp",
        "ab_fidelity_comparisons",
        ["results_id", sa.literal_column("comparison_timestamp DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ab_fidelity_comparisons_twin_simulation_id_comparis_82240cbc",
        "ab_fidelity_comparisons",
        ["twin_simulation_id", sa.literal_column("comparison_timestamp DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "composition_steps",
        sa.Column(
            "step_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Step identifier.",
        ),
        sa.Column("episode_id", sa.Uuid(), nullable=False, comment="Parent composition."),
        sa.Column(
            "step_number",
            sa.Integer(),
            nullable=False,
            comment="Execution order: number of the step within its composition.",
        ),
        sa.Column("step_name", sa.VARCHAR(length=100), nullable=False, comment="Name of the step."),
        sa.Column("tool_id", sa.Uuid(), nullable=False, comment="Tool executed."),
        sa.Column(
            "tool_name", sa.VARCHAR(length=100), nullable=False, comment="Name of the tool when it was executed."
        ),
        sa.Column(
            "input_params",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Input data.",
        ),
        sa.Column(
            "output_result", postgresql.JSONB(), nullable=True, comment="Output data; null until the step has run."
        ),
        sa.Column(
            "depends_on_steps",
            postgresql.ARRAY(sa.Integer()),
            server_default=sa.text("'{}'"),
            nullable=True,
            comment="Step dependencies: numbers of the steps of the same composition that must have run before.",
        ),
        sa.Column(
            "serves_sub_question",
            sa.VARCHAR(length=20),
            nullable=True,
            comment="Sub-question that the step helps to answer (e.g., Q1).",
        ),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When the step started."),
        sa.Column("completed_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it ended."),
        sa.Column("latency_ms", sa.Double(), nullable=True, comment="Step execution time, in ms."),
        sa.Column(
            "status",
            postgresql.ENUM(name="composition_status", create_type=False),
            server_default="PENDING",
            nullable=False,
            comment="Execution status of the step.",
        ),
        sa.Column("error_message", sa.TEXT(), nullable=True, comment="Why the step failed, if it did."),
        sa.Column(
            "retry_count",
            sa.Integer(),
            server_default="0",
            nullable=True,
            comment="Number of times the step was retried.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the step was planned.",
        ),
        sa.ForeignKeyConstraint(
            ["episode_id"], ["composer_episodes.episode_id"], name=op.f("fk_composition_steps_episode_id")
        ),
        sa.ForeignKeyConstraint(["tool_id"], ["tool_registry.tool_id"], name=op.f("fk_composition_steps_tool_id")),
        sa.PrimaryKeyConstraint("step_id", name=op.f("pk_composition_steps")),
        comment="One step of a composition: a tool called with its inputs, after the steps that it depends on.",
    )
    op.create_index(
        "ix_composition_steps_created_at",
        "composition_steps",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("step_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_composition_steps_episode_id_created_at",
        "composition_steps",
        ["episode_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("step_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_composition_steps_tool_id_created_at",
        "composition_steps",
        ["tool_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("step_id DESC")],
        unique=False,
    )
    op.create_table(
        "feature_rankings",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Feature ranking identifier.",
        ),
        sa.Column("ranking_id", sa.Uuid(), nullable=False, comment="Parent ranking set."),
        sa.Column("feature_name", sa.VARCHAR(length=255), nullable=False, comment="Feature name."),
        sa.Column(
            "causal_rank", sa.Integer(), nullable=False, comment="Rank by causal importance (1 is the most important)."
        ),
        sa.Column(
            "predictive_rank",
            sa.Integer(),
            nullable=False,
            comment="Rank by predictive importance (1 is the most important).",
        ),
        sa.Column(
            "rank_difference",
            sa.Integer(),
            sa.Computed("predictive_rank - causal_rank", persisted=True),
            nullable=True,
            comment="predictive_rank - causal_rank, computed by the database: positive where the feature matters more causally.",
        ),
        sa.Column(
            "causal_score",
            sa.Double(),
            server_default="0.0",
            nullable=False,
            comment="Causal importance behind the rank.",
        ),
        sa.Column(
            "predictive_score",
            sa.Double(),
            server_default="0.0",
            nullable=False,
            comment="Predictive importance behind the rank.",
        ),
        sa.Column(
            "is_direct_cause",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="Whether feature is a direct cause of the outcome.",
        ),
        sa.Column(
            "path_length",
            sa.Integer(),
            nullable=True,
            comment="Edges on the shortest causal path from the feature to the outcome; null if there is none.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was recorded.",
        ),
        sa.ForeignKeyConstraint(["ranking_id"], ["ml.driver_rankings.id"], name=op.f("fk_feature_rankings_ranking_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feature_rankings")),
        schema="ml",
        comment="One feature's causal and predictive rank within a driver ranking.",
    )
    op.create_index(
        "ix_feature_rankings_created_at",
        "feature_rankings",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
        schema="ml",
    )
    op.create_index(
        "ix_feature_rankings_ranking_id_created_at",
        "feature_rankings",
        ["ranking_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
        schema="ml",
    )
    op.create_table(
        "ml_cohort_eligibility_log",
        sa.Column("log_id", sa.Integer(), autoincrement=True, nullable=False, comment="Log entry identifier."),
        sa.Column("cohort_id", sa.TEXT(), nullable=False, comment="Cohort definition."),
        sa.Column("execution_id", sa.TEXT(), nullable=False, comment="Execution run."),
        sa.Column(
            "criterion_order",
            sa.Integer(),
            nullable=False,
            comment="Application order: position of the criterion in the execution.",
        ),
        sa.Column("criterion_name", sa.TEXT(), nullable=False, comment="Criterion label."),
        sa.Column(
            "criterion_type",
            sa.TEXT(),
            nullable=False,
            comment="Type of the criterion: inclusion, exclusion, or temporal.",
        ),
        sa.Column(
            "operator",
            sa.TEXT(),
            nullable=False,
            comment="Operator that compares the patient's field with the criterion's value.",
        ),
        sa.Column(
            "criterion_value", postgresql.JSONB(), nullable=True, comment="Value that the criterion compares with."
        ),
        sa.Column("removed_count", sa.Integer(), nullable=False, comment="Patients excluded by this criterion."),
        sa.Column("remaining_count", sa.Integer(), nullable=False, comment="Patients remaining after this criterion."),
        sa.Column("description", sa.TEXT(), nullable=True, comment="What the criterion asks for, in prose."),
        sa.Column("clinical_rationale", sa.TEXT(), nullable=True, comment="Clinical rationale of the criterion."),
        sa.Column(
            "applied_at",
            postgresql.TIMESTAMP(),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the criterion was applied.",
        ),
        sa.ForeignKeyConstraint(
            ["cohort_id"], ["ml_cohort_definitions.cohort_id"], name=op.f("fk_ml_cohort_eligibility_log_cohort_id")
        ),
        sa.ForeignKeyConstraint(
            ["execution_id"],
            ["ml_cohort_executions.execution_id"],
            name=op.f("fk_ml_cohort_eligibility_log_execution_id"),
        ),
        sa.PrimaryKeyConstraint("log_id", name=op.f("pk_ml_cohort_eligibility_log")),
        comment="One criterion applied in an execution, and how many patients it removed.",
    )
    op.create_index(
        "ix_ml_cohort_eligibility_log_applied_at",
        "ml_cohort_eligibility_log",
        [sa.literal_column("applied_at DESC NULLS LAST"), sa.literal_column("log_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_cohort_eligibility_log_cohort_id_applied_at",
        "ml_cohort_eligibility_log",
        ["cohort_id", sa.literal_column("applied_at DESC NULLS LAST"), sa.literal_column("log_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_cohort_eligibility_log_execution_id_applied_at",
        "ml_cohort_eligibility_log",
        ["execution_id", sa.literal_column("applied_at DESC NULLS LAST"), sa.literal_column("log_id DESC")],
        unique=False,
    )
    op.create_table(
        "ml_deployments",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Deployment identifier.",
        ),
        sa.Column("model_registry_id", sa.Uuid(), nullable=False, comment="Deployed model."),
        sa.Column("deployment_name", sa.VARCHAR(length=255), nullable=False, comment="Deployment label."),
        sa.Column(
            "environment",
            sa.VARCHAR(length=50),
            nullable=False,
            comment="Target environment: development, staging, or production.",
        ),
        sa.Column(
            "endpoint_name",
            sa.VARCHAR(length=255),
            nullable=True,
            comment="Name of the endpoint that answers requests.",
        ),
        sa.Column("endpoint_url", sa.TEXT(), nullable=True, comment="URL of the endpoint that answers requests."),
        sa.Column(
            "status",
            postgresql.ENUM(name="deployment_status_enum", create_type=False),
            server_default="pending",
            nullable=True,
            comment="Current deployment status.",
        ),
        sa.Column("deployed_by", sa.VARCHAR(length=100), nullable=True, comment="User or agent that deployed it."),
        sa.Column(
            "deployment_config",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="How it is deployed: replicas, resources, traffic and the like.",
        ),
        sa.Column(
            "shadow_metrics",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Metrics from shadow mode.",
        ),
        sa.Column(
            "production_metrics",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Metrics after promotion.",
        ),
        sa.Column(
            "previous_deployment_id",
            sa.Uuid(),
            nullable=True,
            comment="Rollback chain reference: the deployment that this one replaced.",
        ),
        sa.Column("rollback_reason", sa.TEXT(), nullable=True, comment="Why it was rolled back, if it was."),
        sa.Column(
            "rolled_back_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it was rolled back."
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was requested.",
        ),
        sa.Column("deployed_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it became active."),
        sa.Column(
            "deactivated_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it stopped serving."
        ),
        sa.Column("latency_p50_ms", sa.Integer(), nullable=True, comment="50th percentile latency, in milliseconds."),
        sa.Column("latency_p95_ms", sa.Integer(), nullable=True, comment="95th percentile latency, in milliseconds."),
        sa.Column("latency_p99_ms", sa.Integer(), nullable=True, comment="99th percentile latency, in milliseconds."),
        sa.Column(
            "error_rate",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="Serving error rate, a fraction of requests (0-1).",
        ),
        sa.ForeignKeyConstraint(
            ["model_registry_id"], ["ml_model_registry.id"], name=op.f("fk_ml_deployments_model_registry_id")
        ),
        sa.ForeignKeyConstraint(
            ["previous_deployment_id"], ["ml_deployments.id"], name=op.f("fk_ml_deployments_previous_deployment_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ml_deployments")),
        comment="One deployment of a model: its environment, its shadow mode test, its SLA figures and its rollback chain.",
    )
    op.create_index(
        "ix_ml_deployments_created_at",
        "ml_deployments",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_deployments_model_registry_id_created_at",
        "ml_deployments",
        ["model_registry_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_deployments_previous_deployment_id_created_at",
        "ml_deployments",
        ["previous_deployment_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "ml_hpo_trials",
        sa.Column(
            "id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False, comment="Trial identifier."
        ),
        sa.Column("study_id", sa.Uuid(), nullable=True, comment="Parent study."),
        sa.Column("trial_number", sa.Integer(), nullable=False, comment="Trial index within the study, from 0."),
        sa.Column(
            "state",
            sa.VARCHAR(length=50),
            nullable=False,
            comment="State of the trial: COMPLETE, PRUNED, FAIL, WAITING or RUNNING.",
        ),
        sa.Column(
            "params",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Hyperparameters sampled.",
        ),
        sa.Column(
            "value",
            sa.Numeric(precision=10, scale=6),
            nullable=True,
            comment="Objective function value, on the scale of the study's metric.",
        ),
        sa.Column(
            "intermediate_values",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Step-wise objective values that pruning was decided on, by step.",
        ),
        sa.Column(
            "datetime_start",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When it started; null while it is waiting.",
        ),
        sa.Column("datetime_complete", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it ended."),
        sa.Column(
            "duration_seconds",
            sa.Numeric(precision=10, scale=3),
            nullable=True,
            comment="Trial wall-clock time, in seconds.",
        ),
        sa.Column(
            "user_attrs",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Attributes that the objective attached to the trial.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the trial was recorded.",
        ),
        sa.ForeignKeyConstraint(["study_id"], ["ml_hpo_studies.id"], name=op.f("fk_ml_hpo_trials_study_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ml_hpo_trials")),
        sa.UniqueConstraint("study_id", "trial_number", name=op.f("uq_ml_hpo_trials_study_id_trial_number")),
        comment="One trial of an Optuna study: the hyperparameters sampled and the objective value reached.",
    )
    op.create_index(
        "ix_ml_hpo_trials_datetime_start",
        "ml_hpo_trials",
        [sa.literal_column("datetime_start DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_hpo_trials_study_id_datetime_start",
        "ml_hpo_trials",
        ["study_id", sa.literal_column("datetime_start DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "ml_patient_cohort_assignments",
        sa.Column("patient_journey_id", sa.TEXT(), nullable=False, comment="Patient identifier."),
        sa.Column("cohort_id", sa.TEXT(), nullable=False, comment="Cohort definition."),
        sa.Column("execution_id", sa.TEXT(), nullable=False, comment="Execution run."),
        sa.Column(
            "assigned_at",
            postgresql.TIMESTAMP(),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the patient was assigned.",
        ),
        sa.Column("is_eligible", sa.Boolean(), nullable=False, comment="Eligibility result."),
        sa.Column(
            "failed_criteria", postgresql.JSONB(), nullable=True, comment="Which criteria failed (if not eligible)."
        ),
        sa.Column("lookback_complete", sa.Boolean(), nullable=True, comment="Lookback period satisfied."),
        sa.Column("followup_complete", sa.Boolean(), nullable=True, comment="Follow-up period satisfied."),
        sa.Column("index_date", sa.Date(), nullable=True, comment="The patient's index date."),
        sa.Column(
            "journey_start_date", sa.Date(), nullable=True, comment="First day of the patient's journey in the data."
        ),
        sa.Column(
            "journey_end_date", sa.Date(), nullable=True, comment="Last day of the patient's journey in the data."
        ),
        sa.ForeignKeyConstraint(
            ["cohort_id"], ["ml_cohort_definitions.cohort_id"], name=op.f("fk_ml_patient_cohort_assignments_cohort_id")
        ),
        sa.ForeignKeyConstraint(
            ["execution_id"],
            ["ml_cohort_executions.execution_id"],
            name=op.f("fk_ml_patient_cohort_assignments_execution_id"),
        ),
        sa.PrimaryKeyConstraint(
            "patient_journey_id", "cohort_id", "execution_id", name=op.f("pk_ml_patient_cohort_assignments")
        ),
        comment="Whether one patient was eligible for a cohort in one execution, and which criteria failed if not.",
    )
    op.create_index(
        "ix_ml_patient_cohort_assignments_assigned_at",
        "ml_patient_cohort_assignments",
        [
            sa.literal_column("assigned_at DESC NULLS LAST"),
            sa.literal_column("patient_journey_id DESC"),
            sa.literal_column("cohort_id DESC"),
            sa.literal_column("execution_id DESC"),
        ],
        unique=False,
    )
    op.create_index(
        "ix_ml_patient_cohort_assignments_cohort_id_assigned_at",
        "ml_patient_cohort_assignments",
        [
            "cohort_id",
            sa.literal_column("assigned_at DESC NULLS LAST"),
            sa.literal_column("patient_journey_id DESC"),
            sa.literal_column("execution_id DESC"),
        ],
        unique=False,
    )
    op.create_index(
        "ix_ml_patient_cohort_assignments_execution_id_assigned_at",
        "ml_patient_cohort_assignments",
        [
            "execution_id",
            sa.literal_column("assigned_at DESC NULLS LAST"),
            sa.literal_column("patient_journey_id DESC"),
            sa.literal_column("cohort_id DESC"),
        ],
        unique=False,
    )
    op.create_table(
        "ml_shap_analyses",
        sa.Column(
            "id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False, comment="Analysis identifier."
        ),
        sa.Column("model_registry_id", sa.Uuid(), nullable=False, comment="Model analyzed."),
        sa.Column(
            "analysis_type",
            sa.VARCHAR(length=50),
            nullable=False,
            comment="Scope of the explanation: global, local, or segment.",
        ),
        sa.Column(
            "segment_name",
            sa.VARCHAR(length=100),
            nullable=True,
            comment="Segment, for segment analysis (e.g., midwest).",
        ),
        sa.Column(
            "segment_filter", postgresql.JSONB(), nullable=True, comment="Criteria that select the segment's rows."
        ),
        sa.Column(
            "global_importance",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Feature name to mean absolute SHAP value.",
        ),
        sa.Column(
            "top_interactions",
            postgresql.JSONB(),
            server_default=sa.text("'[]'::jsonb"),
            nullable=True,
            comment="Top feature interactions: pairs of features with the strength.",
        ),
        sa.Column(
            "entity_type",
            sa.VARCHAR(length=50),
            nullable=True,
            comment="Kind of entity that a local analysis explains: patient or hcp.",
        ),
        sa.Column(
            "entity_id", sa.VARCHAR(length=100), nullable=True, comment="Patient or HCP that a local analysis explains."
        ),
        sa.Column(
            "local_shap_values",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Per-entity SHAP values, by feature name.",
        ),
        sa.Column(
            "prediction_value",
            sa.Numeric(precision=6, scale=5),
            nullable=True,
            comment="The prediction that a local analysis explains.",
        ),
        sa.Column(
            "base_value",
            sa.Numeric(precision=6, scale=5),
            nullable=True,
            comment="The model's expected output; base value plus SHAP values give the prediction.",
        ),
        sa.Column("natural_language_explanation", sa.TEXT(), nullable=True, comment="LLM-generated explanation."),
        sa.Column("key_drivers", postgresql.ARRAY(sa.TEXT()), nullable=True, comment="Top 5 driving features."),
        sa.Column(
            "actionable_features",
            postgresql.ARRAY(sa.TEXT()),
            nullable=True,
            comment="Features among the drivers that can be influenced.",
        ),
        sa.Column(
            "sample_size", sa.Integer(), nullable=True, comment="Number of rows that the values were computed on."
        ),
        sa.Column(
            "computation_method",
            sa.VARCHAR(length=50),
            nullable=True,
            comment="SHAP explainer: TreeExplainer or KernelExplainer.",
        ),
        sa.Column(
            "computed_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the values were computed.",
        ),
        sa.Column("computation_duration_seconds", sa.Integer(), nullable=True, comment="How long it took, in seconds."),
        sa.Column(
            "data_split",
            postgresql.ENUM(name="data_split_type", create_type=False),
            server_default="test",
            nullable=True,
            comment="Which data split was explained.",
        ),
        sa.Column(
            "explanation_id",
            sa.VARCHAR(length=50),
            nullable=True,
            comment="Identifier of a real-time explanation, as its caller received it.",
        ),
        sa.Column(
            "patient_id", sa.VARCHAR(length=50), nullable=True, comment="Patient that a real-time explanation is about."
        ),
        sa.Column(
            "hcp_id",
            sa.VARCHAR(length=50),
            nullable=True,
            comment="HCP that a real-time explanation is about or was made for.",
        ),
        sa.Column(
            "request_timestamp",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When a real-time explanation was requested.",
        ),
        sa.Column(
            "response_time_ms",
            sa.Double(),
            nullable=True,
            comment="How long a real-time explanation took to answer, in milliseconds.",
        ),
        sa.Column("prediction_class", sa.VARCHAR(length=100), nullable=True, comment="Class that the model predicted."),
        sa.Column(
            "prediction_probability", sa.Double(), nullable=True, comment="Probability of the predicted class (0-1)."
        ),
        sa.Column(
            "top_k_requested",
            sa.Integer(),
            server_default="5",
            nullable=True,
            comment="Number of top features that the caller asked for.",
        ),
        sa.Column(
            "format_requested",
            sa.VARCHAR(length=50),
            server_default="top_k",
            nullable=True,
            comment="Format of the explanation that the caller asked for, such as top_k.",
        ),
        sa.Column(
            "narrative_generated",
            sa.Boolean(),
            server_default="false",
            nullable=True,
            comment="Whether a natural language explanation was generated.",
        ),
        sa.Column(
            "api_version",
            sa.VARCHAR(length=20),
            server_default="4.1.0",
            nullable=True,
            comment="Version of the explanation API that answered.",
        ),
        sa.ForeignKeyConstraint(
            ["model_registry_id"], ["ml_model_registry.id"], name=op.f("fk_ml_shap_analyses_model_registry_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ml_shap_analyses")),
        comment="SHAP values that explain a model: globally, for a segment, or for one patient or HCP. Natural language explanations are generated by the Hybrid LLM node.",
    )
    op.create_index(
        "ix_ml_shap_analyses_computed_at",
        "ml_shap_analyses",
        [sa.literal_column("computed_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_shap_analyses_model_registry_id_computed_at",
        "ml_shap_analyses",
        ["model_registry_id", sa.literal_column("computed_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "ml_training_runs",
        sa.Column(
            "id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False, comment="Run identifier."
        ),
        sa.Column("experiment_id", sa.Uuid(), nullable=True, comment="Parent experiment."),
        sa.Column("model_registry_id", sa.Uuid(), nullable=True, comment="Resulting model (if registered)."),
        sa.Column("run_name", sa.VARCHAR(length=255), nullable=True, comment="Human-readable name of the run."),
        sa.Column("mlflow_run_id", sa.VARCHAR(length=100), nullable=True, comment="MLflow run reference."),
        sa.Column("algorithm", sa.VARCHAR(length=100), nullable=False, comment="Algorithm used."),
        sa.Column(
            "hyperparameters",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Hyperparameters of this run.",
        ),
        sa.Column("training_samples", sa.Integer(), nullable=False, comment="Number of training samples."),
        sa.Column("validation_samples", sa.Integer(), nullable=True, comment="Number of validation samples."),
        sa.Column("test_samples", sa.Integer(), nullable=True, comment="Number of test samples."),
        sa.Column(
            "feature_names",
            postgresql.JSONB(),
            server_default=sa.text("'[]'::jsonb"),
            nullable=True,
            comment="Names of the input features.",
        ),
        sa.Column(
            "train_metrics",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Training split metrics.",
        ),
        sa.Column(
            "validation_metrics",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Validation split metrics.",
        ),
        sa.Column(
            "test_metrics",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Test split metrics.",
        ),
        sa.Column(
            "status",
            sa.VARCHAR(length=50),
            server_default="running",
            nullable=True,
            comment="State of the run: running, completed or failed.",
        ),
        sa.Column("error_message", sa.TEXT(), nullable=True, comment="Why the run failed, if it did."),
        sa.Column(
            "started_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it started.",
        ),
        sa.Column("completed_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it ended."),
        sa.Column("duration_seconds", sa.Integer(), nullable=True, comment="Wall-clock training time, in seconds."),
        sa.Column("compute_type", sa.VARCHAR(length=50), nullable=True, comment="Kind of machine the run used."),
        sa.Column("gpu_used", sa.Boolean(), server_default="false", nullable=True, comment="Whether a GPU was used."),
        sa.Column(
            "data_split",
            postgresql.ENUM(name="data_split_type", create_type=False),
            server_default="train",
            nullable=True,
            comment="Which data split the run was trained on.",
        ),
        sa.Column(
            "optuna_study_name",
            sa.VARCHAR(length=255),
            nullable=True,
            comment="Linked HPO study (if any), by its name.",
        ),
        sa.Column(
            "optuna_trial_number", sa.Integer(), nullable=True, comment="Index of the run's trial in the HPO study."
        ),
        sa.Column(
            "is_best_trial",
            sa.Boolean(),
            server_default="false",
            nullable=True,
            comment="Whether this is the best trial in the HPO study.",
        ),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["ml_experiments.id"], name=op.f("fk_ml_training_runs_experiment_id")
        ),
        sa.ForeignKeyConstraint(
            ["model_registry_id"], ["ml_model_registry.id"], name=op.f("fk_ml_training_runs_model_registry_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ml_training_runs")),
        sa.UniqueConstraint("mlflow_run_id", name=op.f("uq_ml_training_runs_mlflow_run_id")),
        comment="One training run: hyperparameters, metrics per split and Optuna integration.",
    )
    op.create_index(
        "ix_ml_training_runs_experiment_id_started_at",
        "ml_training_runs",
        ["experiment_id", sa.literal_column("started_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_training_runs_feature_names",
        "ml_training_runs",
        ["feature_names"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"feature_names": "jsonb_path_ops"},
    )
    op.create_index(
        "ix_ml_training_runs_model_registry_id_started_at",
        "ml_training_runs",
        ["model_registry_id", sa.literal_column("started_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_training_runs_optuna_study_name_started_at",
        "ml_training_runs",
        ["optuna_study_name", sa.literal_column("started_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_training_runs_started_at",
        "ml_training_runs",
        [sa.literal_column("started_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "prompt_ab_tests",
        sa.Column(
            "test_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Test identifier.",
        ),
        sa.Column("test_name", sa.VARCHAR(length=255), nullable=False, comment="Human-readable name of the test."),
        sa.Column("agent_name", sa.VARCHAR(length=100), nullable=False, comment="Agent under test."),
        sa.Column("baseline_instruction_id", sa.Uuid(), nullable=True, comment="Baseline prompt version."),
        sa.Column("treatment_instruction_id", sa.Uuid(), nullable=True, comment="GEPA-optimized version."),
        sa.Column(
            "traffic_split",
            sa.Numeric(precision=3, scale=2),
            server_default="0.10",
            nullable=False,
            comment="Fraction routed to treatment (0-1).",
        ),
        sa.Column(
            "status",
            sa.VARCHAR(length=20),
            server_default="draft",
            nullable=True,
            comment="State of the test: draft, running, completed or stopped.",
        ),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When the test started."),
        sa.Column("ended_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it ended."),
        sa.Column(
            "target_sample_size", sa.Integer(), nullable=True, comment="Number of requests that the test is to reach."
        ),
        sa.Column(
            "baseline_requests",
            sa.Integer(),
            server_default="0",
            nullable=True,
            comment="Requests answered by the baseline.",
        ),
        sa.Column(
            "treatment_requests",
            sa.Integer(),
            server_default="0",
            nullable=True,
            comment="Requests answered by the treatment.",
        ),
        sa.Column(
            "baseline_score_avg",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="Average score of the baseline (0-1).",
        ),
        sa.Column(
            "treatment_score_avg",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="Average score of the treatment (0-1).",
        ),
        sa.Column(
            "baseline_latency_p50", sa.Integer(), nullable=True, comment="Median latency of the baseline, in ms."
        ),
        sa.Column(
            "treatment_latency_p50", sa.Integer(), nullable=True, comment="Median latency of the treatment, in ms."
        ),
        sa.Column(
            "p_value",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="Statistical significance: p-value of the difference in score (0-1).",
        ),
        sa.Column(
            "confidence_interval_lower",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="Lower bound of the confidence interval of the difference in score.",
        ),
        sa.Column(
            "confidence_interval_upper",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="Upper bound of the confidence interval of the difference in score.",
        ),
        sa.Column(
            "is_significant",
            sa.Boolean(),
            nullable=True,
            comment="Whether the difference in score is statistically significant.",
        ),
        sa.Column(
            "winner",
            postgresql.ENUM(name="ab_test_variant", create_type=False),
            nullable=True,
            comment="Which variant won.",
        ),
        sa.Column("decision_reason", sa.TEXT(), nullable=True, comment="Why the winner was chosen."),
        sa.Column(
            "rolled_out", sa.Boolean(), server_default="false", nullable=True, comment="Whether winner was promoted."
        ),
        sa.Column("created_by", sa.VARCHAR(length=100), nullable=True, comment="User or agent that created the test."),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was created.",
        ),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was last changed.",
        ),
        sa.ForeignKeyConstraint(
            ["baseline_instruction_id"],
            ["optimized_instructions.instruction_id"],
            name=op.f("fk_prompt_ab_tests_baseline_instruction_id"),
        ),
        sa.ForeignKeyConstraint(
            ["treatment_instruction_id"],
            ["optimized_instructions.instruction_id"],
            name=op.f("fk_prompt_ab_tests_treatment_instruction_id"),
        ),
        sa.PrimaryKeyConstraint("test_id", name=op.f("pk_prompt_ab_tests")),
        comment="An A/B test of a GEPA-optimized prompt against the baseline of the same agent.",
    )
    op.create_index(
        "ix_prompt_ab_tests_baseline_instruction_id_created_at",
        "prompt_ab_tests",
        ["baseline_instruction_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("test_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_prompt_ab_tests_created_at",
        "prompt_ab_tests",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("test_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_prompt_ab_tests_treatment_instruction_id_created_at",
        "prompt_ab_tests",
        [
            "treatment_instruction_id",
            sa.literal_column("created_at DESC NULLS LAST"),
            sa.literal_column("test_id DESC"),
        ],
        unique=False,
    )
    op.create_table(
        "twin_fidelity_tracking",
        sa.Column(
            "tracking_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Tracking record identifier.",
        ),
        sa.Column("simulation_id", sa.Uuid(), nullable=False, comment="Simulation being validated."),
        sa.Column(
            "actual_experiment_id",
            sa.Uuid(),
            nullable=True,
            comment="Experiment that gave the real effect (ml_experiments; no foreign key).",
        ),
        sa.Column(
            "simulated_ate", sa.Double(), nullable=False, comment="Twin-predicted effect, in units of the outcome."
        ),
        sa.Column(
            "simulated_ci_lower", sa.Double(), nullable=True, comment="95% CI lower bound of the predicted effect."
        ),
        sa.Column(
            "simulated_ci_upper", sa.Double(), nullable=True, comment="95% CI upper bound of the predicted effect."
        ),
        sa.Column(
            "actual_ate",
            sa.Double(),
            nullable=True,
            comment="Real experiment effect, in units of the outcome; null until it is known.",
        ),
        sa.Column("actual_ci_lower", sa.Double(), nullable=True, comment="95% CI lower bound of the real effect."),
        sa.Column("actual_ci_upper", sa.Double(), nullable=True, comment="95% CI upper bound of the real effect."),
        sa.Column(
            "actual_sample_size", sa.Integer(), nullable=True, comment="Number of participants of the real experiment."
        ),
        sa.Column(
            "prediction_error",
            sa.Double(),
            nullable=True,
            comment="(simulated - actual) / actual, a fraction: 0.1 is 10% too high; set by a trigger, null if actual is zero.",
        ),
        sa.Column(
            "absolute_error",
            sa.Double(),
            nullable=True,
            comment="|simulated - actual|, in units of the outcome; set by a trigger.",
        ),
        sa.Column(
            "ci_coverage",
            sa.Boolean(),
            nullable=True,
            comment="Did actual fall within simulated CI? Set by a trigger; null where a bound is missing.",
        ),
        sa.Column(
            "fidelity_grade",
            postgresql.ENUM(name="fidelity_grade", create_type=False),
            server_default="unvalidated",
            nullable=False,
            comment="Auto-computed from prediction error: excellent (<10% error), good (10-20%), fair (20-35%), poor (>35%), or unvalidated.",
        ),
        sa.Column("validation_notes", sa.TEXT(), nullable=True, comment="Remarks of whoever validated it."),
        sa.Column(
            "confounding_factors",
            postgresql.JSONB(),
            server_default=sa.text("'[]'::jsonb"),
            nullable=True,
            comment="What else may have moved the real outcome, such as a competitor's launch.",
        ),
        sa.Column(
            "validated_by",
            sa.VARCHAR(length=100),
            nullable=True,
            comment="User or agent that recorded the real outcome.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When tracking of the prediction began.",
        ),
        sa.Column(
            "validated_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When the real outcome was recorded; set by a trigger unless given.",
        ),
        sa.ForeignKeyConstraint(
            ["simulation_id"],
            ["twin_simulations.simulation_id"],
            name=op.f("fk_twin_fidelity_tracking_simulation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tracking_id", name=op.f("pk_twin_fidelity_tracking")),
        comment="A simulation's prediction beside the outcome of the real experiment. A trigger computes the errors, the coverage and the grade when actual results are recorded.",
    )
    op.create_index(
        "ix_twin_fidelity_tracking_actual_experiment_id_created_at",
        "twin_fidelity_tracking",
        [
            "actual_experiment_id",
            sa.literal_column("created_at DESC NULLS LAST"),
            sa.literal_column("tracking_id DESC"),
        ],
        unique=False,
    )
    op.create_index(
        "ix_twin_fidelity_tracking_created_at",
        "twin_fidelity_tracking",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("tracking_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_twin_fidelity_tracking_simulation_id_created_at",
        "twin_fidelity_tracking",
        ["simulation_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("tracking_id DESC")],
        unique=False,
    )
    op.create_table(
        "ml_bentoml_services",
        sa.Column(
            "id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False, comment="Service identifier."
        ),
        sa.Column("service_name", sa.VARCHAR(length=255), nullable=False, comment="Service name."),
        sa.Column(
            "bento_tag",
            sa.VARCHAR(length=255),
            nullable=False,
            comment="Bento tag (name:version), the BentoML reference of the build.",
        ),
        sa.Column("bento_version", sa.VARCHAR(length=100), nullable=True, comment="Version part of the Bento tag."),
        sa.Column("model_registry_id", sa.Uuid(), nullable=True, comment="Linked model, the one that is served."),
        sa.Column(
            "deployment_id",
            sa.Uuid(),
            nullable=True,
            comment="Linked deployment, the one that the service carries out.",
        ),
        sa.Column("container_image", sa.TEXT(), nullable=True, comment="Container image that the service runs."),
        sa.Column("container_tag", sa.VARCHAR(length=255), nullable=True, comment="Tag of the container image."),
        sa.Column("replicas", sa.Integer(), server_default="1", nullable=True, comment="Number of replicas."),
        sa.Column(
            "resources",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="CPU and memory config of a replica: cpu in cores, memory with its unit.",
        ),
        sa.Column(
            "environment",
            sa.VARCHAR(length=50),
            server_default="staging",
            nullable=True,
            comment="Environment that the service runs in: development, staging or production.",
        ),
        sa.Column(
            "health_status",
            sa.VARCHAR(length=50),
            server_default="unknown",
            nullable=True,
            comment="Health of the service: healthy, unhealthy, degraded or unknown.",
        ),
        sa.Column(
            "last_health_check",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When its health was last checked.",
        ),
        sa.Column(
            "health_check_failures",
            sa.Integer(),
            server_default="0",
            nullable=True,
            comment="Number of failed health checks.",
        ),
        sa.Column("serving_endpoint", sa.TEXT(), nullable=True, comment="External endpoint URL."),
        sa.Column("internal_endpoint", sa.TEXT(), nullable=True, comment="Endpoint URL inside the cluster."),
        sa.Column(
            "status",
            postgresql.ENUM(name="deployment_status_enum", create_type=False),
            server_default="pending",
            nullable=True,
            comment="Deployment lifecycle status of the service: pending, deploying, active, draining, rolled_back or failed.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was created.",
        ),
        sa.Column(
            "started_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it started to serve."
        ),
        sa.Column("stopped_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it stopped serving."),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was last changed.",
        ),
        sa.Column(
            "created_by", sa.VARCHAR(length=100), nullable=True, comment="User or agent that created the service."
        ),
        sa.Column(
            "labels",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Labels of the service, as names and values.",
        ),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["ml_deployments.id"], name=op.f("fk_ml_bentoml_services_deployment_id")
        ),
        sa.ForeignKeyConstraint(
            ["model_registry_id"], ["ml_model_registry.id"], name=op.f("fk_ml_bentoml_services_model_registry_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ml_bentoml_services")),
        comment="A BentoML service that serves a model, with its health, its resources and its endpoints.",
    )
    op.create_index(
        "ix_ml_bentoml_services_created_at",
        "ml_bentoml_services",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_bentoml_services_deployment_id_created_at",
        "ml_bentoml_services",
        ["deployment_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_bentoml_services_model_registry_id_created_at",
        "ml_bentoml_services",
        ["model_registry_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "ml_data_quality_reports",
        sa.Column(
            "id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False, comment="Report identifier."
        ),
        sa.Column("report_name", sa.VARCHAR(length=255), nullable=False, comment="Human-readable name of the report."),
        sa.Column(
            "expectation_suite_name", sa.VARCHAR(length=255), nullable=True, comment="Great Expectations suite name."
        ),
        sa.Column("table_name", sa.VARCHAR(length=100), nullable=True, comment="Validated table."),
        sa.Column(
            "brand",
            postgresql.ENUM(name="brand_type", create_type=False),
            nullable=True,
            comment="Brand whose rows were validated; null for all brands.",
        ),
        sa.Column(
            "region",
            postgresql.ENUM(name="region_type", create_type=False),
            nullable=True,
            comment="Region whose rows were validated; null for all regions.",
        ),
        sa.Column(
            "overall_status",
            postgresql.ENUM(name="dq_status_enum", create_type=False),
            nullable=False,
            comment="Outcome of the validation: passed, failed, warning or skipped.",
        ),
        sa.Column("expectations_evaluated", sa.Integer(), nullable=False, comment="Number of expectations evaluated."),
        sa.Column("expectations_passed", sa.Integer(), nullable=False, comment="Number of expectations that held."),
        sa.Column(
            "expectations_failed", sa.Integer(), nullable=False, comment="Number of expectations that did not hold."
        ),
        sa.Column(
            "success_rate",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="Fraction of expectations passed (0-1).",
        ),
        sa.Column(
            "failed_expectations",
            postgresql.JSONB(),
            server_default=sa.text("'[]'::jsonb"),
            nullable=True,
            comment="The expectations that failed: their type, column, arguments and observed value.",
        ),
        sa.Column(
            "completeness_score",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="Quality dimension: completeness, values that should be there are there (0-1).",
        ),
        sa.Column(
            "validity_score",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="Quality dimension: validity, values obey their format and range (0-1).",
        ),
        sa.Column(
            "uniqueness_score",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="Quality dimension: uniqueness, nothing is recorded twice (0-1).",
        ),
        sa.Column(
            "consistency_score",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="Quality dimension: consistency, values do not contradict each other (0-1).",
        ),
        sa.Column(
            "timeliness_score",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="Quality dimension: timeliness, the data is recent enough (0-1).",
        ),
        sa.Column(
            "accuracy_score",
            sa.Numeric(precision=5, scale=4),
            nullable=True,
            comment="Quality dimension: accuracy, values agree with reality (0-1).",
        ),
        sa.Column(
            "leakage_detected",
            sa.Boolean(),
            server_default="false",
            nullable=True,
            comment="Whether train/test leakage was found.",
        ),
        sa.Column(
            "leakage_details",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="What leaked and where.",
        ),
        sa.Column("run_by", sa.VARCHAR(length=100), nullable=True, comment="User or agent that ran the validation."),
        sa.Column(
            "run_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the validation ran.",
        ),
        sa.Column("duration_seconds", sa.Integer(), nullable=True, comment="How long the validation took, in seconds."),
        sa.Column(
            "data_split",
            postgresql.ENUM(name="data_split_type", create_type=False),
            nullable=False,
            comment="Which split was validated.",
        ),
        sa.Column(
            "training_run_id",
            sa.Uuid(),
            nullable=True,
            comment="Linked training run, the one that the data was checked for.",
        ),
        sa.ForeignKeyConstraint(
            ["training_run_id"], ["ml_training_runs.id"], name=op.f("fk_ml_data_quality_reports_training_run_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ml_data_quality_reports")),
        comment="A Great Expectations validation of one table and split. It scores six quality dimensions (completeness, validity, uniqueness, consistency, timeliness, accuracy) and looks for leakage between train and test.",
    )
    op.create_index(
        "ix_ml_data_quality_reports_run_at",
        "ml_data_quality_reports",
        [sa.literal_column("run_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_data_quality_reports_table_name_data_split_run_at",
        "ml_data_quality_reports",
        ["table_name", "data_split", sa.literal_column("run_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_data_quality_reports_training_run_id_run_at",
        "ml_data_quality_reports",
        ["training_run_id", sa.literal_column("run_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "ml_drift_history",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Drift record identifier.",
        ),
        sa.Column("model_id", sa.Uuid(), nullable=True, comment="Model monitored."),
        sa.Column("experiment_id", sa.Uuid(), nullable=True, comment="Experiment of the monitored model."),
        sa.Column("deployment_id", sa.Uuid(), nullable=True, comment="Deployment whose traffic was tested."),
        sa.Column(
            "drift_type",
            postgresql.ENUM(name="drift_type_enum", create_type=False),
            nullable=False,
            comment="Kind of drift tested for: data, model, or concept.",
        ),
        sa.Column(
            "feature_name",
            sa.VARCHAR(length=255),
            nullable=True,
            comment="Affected feature (null for model and concept drift).",
        ),
        sa.Column(
            "test_type",
            postgresql.ENUM(name="statistical_test_enum", create_type=False),
            nullable=False,
            comment="Statistical test used.",
        ),
        sa.Column(
            "test_statistic",
            sa.Numeric(precision=12, scale=6),
            nullable=True,
            comment="Test statistic value, on the scale of the test.",
        ),
        sa.Column(
            "p_value",
            sa.Numeric(precision=12, scale=10),
            nullable=True,
            comment="Statistical significance: p-value of the test (0-1); null for tests without one.",
        ),
        sa.Column(
            "threshold",
            sa.Numeric(precision=8, scale=4),
            server_default="0.05",
            nullable=True,
            comment="Threshold that the test was judged against.",
        ),
        sa.Column(
            "drift_detected",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="Whether drift threshold was exceeded.",
        ),
        sa.Column(
            "severity",
            postgresql.ENUM(name="drift_severity_enum", create_type=False),
            server_default="none",
            nullable=False,
            comment="Drift severity classification: none, low, medium, high or critical.",
        ),
        sa.Column(
            "baseline_start",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="Start of the baseline period.",
        ),
        sa.Column(
            "baseline_end",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="End of the baseline period; not after the start of the current period.",
        ),
        sa.Column(
            "current_start", postgresql.TIMESTAMP(timezone=True), nullable=False, comment="Start of the current period."
        ),
        sa.Column(
            "current_end", postgresql.TIMESTAMP(timezone=True), nullable=False, comment="End of the current period."
        ),
        sa.Column(
            "baseline_mean",
            sa.Numeric(precision=15, scale=6),
            nullable=True,
            comment="Mean of the tested variable in the baseline.",
        ),
        sa.Column(
            "baseline_std",
            sa.Numeric(precision=15, scale=6),
            nullable=True,
            comment="Standard deviation of the tested variable in the baseline.",
        ),
        sa.Column(
            "baseline_min",
            sa.Numeric(precision=15, scale=6),
            nullable=True,
            comment="Least value of the tested variable in the baseline.",
        ),
        sa.Column(
            "baseline_max",
            sa.Numeric(precision=15, scale=6),
            nullable=True,
            comment="Greatest value of the tested variable in the baseline.",
        ),
        sa.Column("baseline_count", sa.Integer(), nullable=True, comment="Number of samples in the baseline."),
        sa.Column(
            "current_mean",
            sa.Numeric(precision=15, scale=6),
            nullable=True,
            comment="Mean of the tested variable in the current period.",
        ),
        sa.Column(
            "current_std",
            sa.Numeric(precision=15, scale=6),
            nullable=True,
            comment="Standard deviation of the tested variable in the current period.",
        ),
        sa.Column(
            "current_min",
            sa.Numeric(precision=15, scale=6),
            nullable=True,
            comment="Least value of the tested variable in the current period.",
        ),
        sa.Column(
            "current_max",
            sa.Numeric(precision=15, scale=6),
            nullable=True,
            comment="Greatest value of the tested variable in the current period.",
        ),
        sa.Column("current_count", sa.Integer(), nullable=True, comment="Number of samples in the current period."),
        sa.Column(
            "drift_score",
            sa.Numeric(precision=8, scale=4),
            nullable=True,
            comment="Normalized drift score (0-1, from no drift to the greatest).",
        ),
        sa.Column(
            "contribution_to_overall",
            sa.Numeric(precision=8, scale=4),
            nullable=True,
            comment="Contribution of the feature to the model's overall drift (percent).",
        ),
        sa.Column(
            "detected_by",
            sa.VARCHAR(length=100),
            server_default="drift_monitor_agent",
            nullable=True,
            comment="Agent or job that ran the test.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the test was recorded.",
        ),
        sa.CheckConstraint("baseline_end <= current_start", name=op.f("valid_period")),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["ml_deployments.id"], name=op.f("fk_ml_drift_history_deployment_id")
        ),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["ml_experiments.id"], name=op.f("fk_ml_drift_history_experiment_id")
        ),
        sa.ForeignKeyConstraint(["model_id"], ["ml_model_registry.id"], name=op.f("fk_ml_drift_history_model_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ml_drift_history")),
        comment="One drift test of a model: a current period against its baseline, by one statistical test. Data, model and concept drift are recorded over time. A trigger raises an alert for drift of medium or higher severity.",
    )
    op.create_index(
        "ix_ml_drift_history_created_at",
        "ml_drift_history",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_drift_history_deployment_id_created_at",
        "ml_drift_history",
        ["deployment_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_drift_history_experiment_id_created_at",
        "ml_drift_history",
        ["experiment_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_drift_history_model_id_created_at",
        "ml_drift_history",
        ["model_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_drift_history_model_id_drift_type_created_at",
        "ml_drift_history",
        ["model_id", "drift_type", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "ml_observability_spans",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Span record identifier.",
        ),
        sa.Column("trace_id", sa.VARCHAR(length=100), nullable=False, comment="Distributed trace ID, Opik's own."),
        sa.Column("span_id", sa.VARCHAR(length=100), nullable=False, comment="Span ID within trace, Opik's own."),
        sa.Column(
            "parent_span_id",
            sa.VARCHAR(length=100),
            nullable=True,
            comment="Parent span (for nesting), by its span ID within the same trace; null for a root span.",
        ),
        sa.Column(
            "agent_name",
            postgresql.ENUM(name="agent_name_enum", create_type=False),
            nullable=False,
            comment="Which agent executed.",
        ),
        sa.Column(
            "agent_tier",
            postgresql.ENUM(name="agent_tier_enum", create_type=False),
            nullable=False,
            comment="Agent tier (0-5).",
        ),
        sa.Column(
            "operation_type",
            sa.VARCHAR(length=100),
            nullable=True,
            comment="Kind of operation: inference, training, shap_computation, etc.",
        ),
        sa.Column(
            "started_at", postgresql.TIMESTAMP(timezone=True), nullable=False, comment="When the operation started."
        ),
        sa.Column(
            "ended_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When the operation ended; null if running.",
        ),
        sa.Column("duration_ms", sa.Integer(), nullable=True, comment="Execution duration, in milliseconds."),
        sa.Column(
            "model_name", sa.VARCHAR(length=100), nullable=True, comment="LLM that the operation called, if any."
        ),
        sa.Column("input_tokens", sa.Integer(), nullable=True, comment="LLM tokens sent."),
        sa.Column("output_tokens", sa.Integer(), nullable=True, comment="LLM tokens received."),
        sa.Column("total_tokens", sa.Integer(), nullable=True, comment="LLM tokens consumed."),
        sa.Column(
            "status",
            sa.VARCHAR(length=50),
            server_default="success",
            nullable=True,
            comment="Outcome of the operation: success, error or timeout.",
        ),
        sa.Column("error_type", sa.VARCHAR(length=100), nullable=True, comment="Kind of error, if it failed."),
        sa.Column("error_message", sa.TEXT(), nullable=True, comment="What went wrong, if it failed."),
        sa.Column(
            "fallback_used",
            sa.Boolean(),
            server_default="false",
            nullable=True,
            comment="Whether fallback model was used.",
        ),
        sa.Column(
            "fallback_chain",
            postgresql.JSONB(),
            server_default=sa.text("'[]'::jsonb"),
            nullable=True,
            comment="Sequence of models attempted.",
        ),
        sa.Column(
            "attributes",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Custom attributes that the agent attached to the span.",
        ),
        sa.Column("experiment_id", sa.Uuid(), nullable=True, comment="Experiment that the operation was for."),
        sa.Column("training_run_id", sa.Uuid(), nullable=True, comment="Training run that the operation was part of."),
        sa.Column("deployment_id", sa.Uuid(), nullable=True, comment="Deployment that carried out the operation."),
        sa.Column("user_id", sa.VARCHAR(length=100), nullable=True, comment="User on whose behalf the agent worked."),
        sa.Column(
            "session_id", sa.VARCHAR(length=100), nullable=True, comment="User session that the operation belongs to."
        ),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["ml_deployments.id"], name=op.f("fk_ml_observability_spans_deployment_id")
        ),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["ml_experiments.id"], name=op.f("fk_ml_observability_spans_experiment_id")
        ),
        sa.ForeignKeyConstraint(
            ["training_run_id"], ["ml_training_runs.id"], name=op.f("fk_ml_observability_spans_training_run_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ml_observability_spans")),
        sa.UniqueConstraint("trace_id", "span_id", name=op.f("uq_ml_observability_spans_trace_id_span_id")),
        comment="One Opik span of a distributed trace: an agent's operation, its LLM token usage and its fallback chain.",
    )
    op.create_index(
        "ix_ml_observability_spans_agent_name_agent_tier_started_at",
        "ml_observability_spans",
        ["agent_name", "agent_tier", sa.literal_column("started_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_observability_spans_deployment_id_started_at",
        "ml_observability_spans",
        ["deployment_id", sa.literal_column("started_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_observability_spans_experiment_id_started_at",
        "ml_observability_spans",
        ["experiment_id", sa.literal_column("started_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_observability_spans_started_at",
        "ml_observability_spans",
        [sa.literal_column("started_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_observability_spans_trace_id_parent_span_id_started_at",
        "ml_observability_spans",
        ["trace_id", "parent_span_id", sa.literal_column("started_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_observability_spans_training_run_id_started_at",
        "ml_observability_spans",
        ["training_run_id", sa.literal_column("started_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "ml_performance_metrics",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Metric record identifier.",
        ),
        sa.Column("model_id", sa.Uuid(), nullable=True, comment="Model measured."),
        sa.Column("experiment_id", sa.Uuid(), nullable=True, comment="Experiment of the measured model."),
        sa.Column("deployment_id", sa.Uuid(), nullable=True, comment="Deployment whose predictions were measured."),
        sa.Column(
            "metric_name",
            sa.VARCHAR(length=100),
            nullable=False,
            comment="Metric measured: roc_auc, precision, rmse, etc.",
        ),
        sa.Column(
            "metric_value",
            sa.Numeric(precision=12, scale=6),
            nullable=False,
            comment="Measured value, on the scale of the metric.",
        ),
        sa.Column(
            "data_split",
            sa.VARCHAR(length=50),
            server_default="production",
            nullable=True,
            comment="Data that it was measured on: train, val, test, or production.",
        ),
        sa.Column(
            "segment",
            sa.VARCHAR(length=255),
            nullable=True,
            comment="Optional segmentation (brand, region); null for the whole population.",
        ),
        sa.Column("sample_size", sa.Integer(), nullable=True, comment="Number of samples measured."),
        sa.Column(
            "positive_rate",
            sa.Numeric(precision=8, scale=6),
            nullable=True,
            comment="Share of positive labels among the samples (0-1), for classification.",
        ),
        sa.Column(
            "ci_lower",
            sa.Numeric(precision=12, scale=6),
            nullable=True,
            comment="Lower bound of the measured value's confidence interval.",
        ),
        sa.Column(
            "ci_upper",
            sa.Numeric(precision=12, scale=6),
            nullable=True,
            comment="Upper bound of the measured value's confidence interval.",
        ),
        sa.Column(
            "ci_level",
            sa.Numeric(precision=4, scale=3),
            server_default="0.95",
            nullable=True,
            comment="Level of the confidence interval (0-1).",
        ),
        sa.Column(
            "baseline_value",
            sa.Numeric(precision=12, scale=6),
            nullable=True,
            comment="Comparison baseline: what the metric was before, on the same scale.",
        ),
        sa.Column("delta", sa.Numeric(precision=12, scale=6), nullable=True, comment="Measured value minus baseline."),
        sa.Column(
            "delta_pct",
            sa.Numeric(precision=8, scale=4),
            nullable=True,
            comment="Difference to the baseline (percent of the baseline).",
        ),
        sa.Column(
            "is_degraded",
            sa.Boolean(),
            server_default="false",
            nullable=True,
            comment="Whether performance is below threshold.",
        ),
        sa.Column(
            "measured_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was measured.",
        ),
        sa.Column(
            "measurement_window_start",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Start of the period that the measured samples come from.",
        ),
        sa.Column(
            "measurement_window_end",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="End of the period that the measured samples come from.",
        ),
        sa.Column(
            "source",
            sa.VARCHAR(length=100),
            server_default="mlflow",
            nullable=True,
            comment="Where the measurement comes from: mlflow, bentoml or manual.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the measurement was recorded.",
        ),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["ml_deployments.id"], name=op.f("fk_ml_performance_metrics_deployment_id")
        ),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["ml_experiments.id"], name=op.f("fk_ml_performance_metrics_experiment_id")
        ),
        sa.ForeignKeyConstraint(
            ["model_id"], ["ml_model_registry.id"], name=op.f("fk_ml_performance_metrics_model_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ml_performance_metrics")),
        comment="One measurement of a model's performance, compared with a baseline to detect degradation.",
    )
    op.create_index(
        "ix_ml_performance_metrics_deployment_id_measured_at",
        "ml_performance_metrics",
        ["deployment_id", sa.literal_column("measured_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_performance_metrics_experiment_id_measured_at",
        "ml_performance_metrics",
        ["experiment_id", sa.literal_column("measured_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_performance_metrics_measured_at",
        "ml_performance_metrics",
        [sa.literal_column("measured_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_performance_metrics_model_id_measured_at",
        "ml_performance_metrics",
        ["model_id", sa.literal_column("measured_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "prompt_ab_test_observations",
        sa.Column(
            "observation_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Observation identifier.",
        ),
        sa.Column("test_id", sa.Uuid(), nullable=False, comment="Parent A/B test."),
        sa.Column("request_id", sa.VARCHAR(length=100), nullable=False, comment="Request that was observed."),
        sa.Column(
            "variant",
            postgresql.ENUM(name="ab_test_variant", create_type=False),
            nullable=False,
            comment="Variant that answered: baseline, gepa, control, etc.",
        ),
        sa.Column("score", sa.Numeric(precision=5, scale=4), nullable=True, comment="Response quality score (0-1)."),
        sa.Column("latency_ms", sa.Integer(), nullable=True, comment="Response latency, in ms."),
        sa.Column("success", sa.Boolean(), nullable=True, comment="Whether request succeeded."),
        sa.Column(
            "error_type", sa.VARCHAR(length=100), nullable=True, comment="Error classification; null when it succeeded."
        ),
        sa.Column("user_id", sa.VARCHAR(length=100), nullable=True, comment="User who made the request."),
        sa.Column(
            "session_id", sa.VARCHAR(length=100), nullable=True, comment="Session in which the request was made."
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the request was observed.",
        ),
        sa.ForeignKeyConstraint(
            ["test_id"], ["prompt_ab_tests.test_id"], name=op.f("fk_prompt_ab_test_observations_test_id")
        ),
        sa.PrimaryKeyConstraint("observation_id", name=op.f("pk_prompt_ab_test_observations")),
        comment="One request observed in a prompt A/B test: its variant, score and latency.",
    )
    op.create_index(
        "ix_prompt_ab_test_observations_created_at",
        "prompt_ab_test_observations",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("observation_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_prompt_ab_test_observations_test_id_created_at",
        "prompt_ab_test_observations",
        ["test_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("observation_id DESC")],
        unique=False,
    )
    op.create_table(
        "tool_performance",
        sa.Column(
            "performance_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Record identifier.",
        ),
        sa.Column("tool_id", sa.Uuid(), nullable=False, comment="Tool measured."),
        sa.Column(
            "tool_name", sa.VARCHAR(length=100), nullable=False, comment="Name of the tool when it was measured."
        ),
        sa.Column(
            "context_type",
            sa.VARCHAR(length=50),
            nullable=True,
            comment="Kind of task the tool was called for (e.g., regional_comparison, segment_analysis).",
        ),
        sa.Column(
            "input_complexity", sa.Integer(), nullable=True, comment="Rough measure of the input's size and complexity."
        ),
        sa.Column("latency_ms", sa.Double(), nullable=False, comment="Execution latency, in ms."),
        sa.Column(
            "success", sa.Boolean(), nullable=False, comment="Whether the execution succeeded (success/failure)."
        ),
        sa.Column(
            "error_type", sa.VARCHAR(length=100), nullable=True, comment="Error classification; null when it succeeded."
        ),
        sa.Column(
            "composition_id",
            sa.VARCHAR(length=100),
            nullable=True,
            comment="Composition the tool was called for, by the composition_id of its episode.",
        ),
        sa.Column("step_id", sa.Uuid(), nullable=True, comment="Composition step that made the call."),
        sa.Column(
            "called_by",
            sa.VARCHAR(length=50),
            nullable=True,
            comment="Who called the tool: composer, agent, or direct.",
        ),
        sa.Column(
            "executed_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the tool ran.",
        ),
        sa.ForeignKeyConstraint(["step_id"], ["composition_steps.step_id"], name=op.f("fk_tool_performance_step_id")),
        sa.ForeignKeyConstraint(["tool_id"], ["tool_registry.tool_id"], name=op.f("fk_tool_performance_tool_id")),
        sa.PrimaryKeyConstraint("performance_id", name=op.f("pk_tool_performance")),
        comment="One execution of a tool: its latency, its outcome and who called it, for the planner's decisions.",
    )
    op.create_index(
        "ix_tool_performance_composition_id_executed_at",
        "tool_performance",
        ["composition_id", sa.literal_column("executed_at DESC NULLS LAST"), sa.literal_column("performance_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_tool_performance_executed_at",
        "tool_performance",
        [sa.literal_column("executed_at DESC NULLS LAST"), sa.literal_column("performance_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_tool_performance_step_id_executed_at",
        "tool_performance",
        ["step_id", sa.literal_column("executed_at DESC NULLS LAST"), sa.literal_column("performance_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_tool_performance_tool_id_executed_at",
        "tool_performance",
        ["tool_id", sa.literal_column("executed_at DESC NULLS LAST"), sa.literal_column("performance_id DESC")],
        unique=False,
    )
    op.create_table(
        "ml_bentoml_serving_metrics",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Metric record identifier.",
        ),
        sa.Column("service_id", sa.Uuid(), nullable=False, comment="Parent service."),
        sa.Column(
            "recorded_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="Measurement timestamp.",
        ),
        sa.Column(
            "requests_total", sa.Integer(), server_default="0", nullable=True, comment="Total requests in period."
        ),
        sa.Column("requests_per_second", sa.Double(), nullable=True, comment="Throughput, in requests per second."),
        sa.Column(
            "successful_requests",
            sa.Integer(),
            server_default="0",
            nullable=True,
            comment="Requests in period that were answered without an error.",
        ),
        sa.Column(
            "failed_requests",
            sa.Integer(),
            server_default="0",
            nullable=True,
            comment="Requests in period that failed.",
        ),
        sa.Column("avg_latency_ms", sa.Double(), nullable=True, comment="Average latency, in milliseconds."),
        sa.Column("p50_latency_ms", sa.Double(), nullable=True, comment="Median latency, in milliseconds."),
        sa.Column("p95_latency_ms", sa.Double(), nullable=True, comment="95th percentile latency, in milliseconds."),
        sa.Column("p99_latency_ms", sa.Double(), nullable=True, comment="99th percentile latency, in milliseconds."),
        sa.Column("max_latency_ms", sa.Double(), nullable=True, comment="Longest latency in period, in milliseconds."),
        sa.Column(
            "error_rate",
            sa.Double(),
            nullable=True,
            comment="Error percentage of the requests in period (percent, 0-100).",
        ),
        sa.Column(
            "error_types",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="Number of errors in period by type of error.",
        ),
        sa.Column("memory_mb", sa.Double(), nullable=True, comment="Memory usage, in megabytes."),
        sa.Column(
            "memory_percent",
            sa.Double(),
            nullable=True,
            comment="Memory usage, as a share of the limit (percent, 0-100).",
        ),
        sa.Column("cpu_percent", sa.Double(), nullable=True, comment="CPU utilization (percent)."),
        sa.Column(
            "predictions_count", sa.Integer(), server_default="0", nullable=True, comment="Predictions made in period."
        ),
        sa.Column("batch_size_avg", sa.Double(), nullable=True, comment="Average number of predictions per batch."),
        sa.Column("model_load_time_ms", sa.Double(), nullable=True, comment="Time to load the model, in milliseconds."),
        sa.Column(
            "inference_time_avg_ms",
            sa.Double(),
            nullable=True,
            comment="Average time of the model's inference alone, in milliseconds.",
        ),
        sa.ForeignKeyConstraint(
            ["service_id"], ["ml_bentoml_services.id"], name=op.f("fk_ml_bentoml_serving_metrics_service_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ml_bentoml_serving_metrics")),
        comment="One periodic measurement of a BentoML service: throughput, latency, errors and resource usage.",
    )
    op.create_index(
        "ix_ml_bentoml_serving_metrics_recorded_at",
        "ml_bentoml_serving_metrics",
        [sa.literal_column("recorded_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_bentoml_serving_metrics_service_id_recorded_at",
        "ml_bentoml_serving_metrics",
        ["service_id", sa.literal_column("recorded_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "ml_monitoring_alerts",
        sa.Column(
            "id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False, comment="Alert identifier."
        ),
        sa.Column(
            "alert_type",
            sa.VARCHAR(length=100),
            nullable=False,
            comment="What the alert is about: drift, performance, staleness or error.",
        ),
        sa.Column("title", sa.VARCHAR(length=500), nullable=False, comment="Headline of the alert."),
        sa.Column(
            "severity",
            postgresql.ENUM(name="drift_severity_enum", create_type=False),
            nullable=False,
            comment="Alert severity: none, low, medium, high or critical.",
        ),
        sa.Column(
            "status",
            postgresql.ENUM(name="alert_status_enum", create_type=False),
            server_default="active",
            nullable=False,
            comment="Lifecycle status: active, acknowledged, investigating, resolved or dismissed.",
        ),
        sa.Column("model_id", sa.Uuid(), nullable=True, comment="Affected model."),
        sa.Column("experiment_id", sa.Uuid(), nullable=True, comment="Experiment of the affected model."),
        sa.Column("deployment_id", sa.Uuid(), nullable=True, comment="Affected deployment."),
        sa.Column(
            "drift_history_id",
            sa.Uuid(),
            nullable=True,
            comment="Drift record that raised the alert, for alerts on drift.",
        ),
        sa.Column("message", sa.TEXT(), nullable=False, comment="What happened, in prose."),
        sa.Column("affected_features", postgresql.ARRAY(sa.TEXT()), nullable=True, comment="Features involved."),
        sa.Column(
            "drift_type",
            postgresql.ENUM(name="drift_type_enum", create_type=False),
            nullable=True,
            comment="Kind of drift, for alerts on drift: data, model, or concept.",
        ),
        sa.Column(
            "composite_drift_score",
            sa.Numeric(precision=8, scale=4),
            nullable=True,
            comment="Drift score that the alert was raised for (0-1).",
        ),
        sa.Column("recommended_action", sa.TEXT(), nullable=True, comment="Suggested remediation."),
        sa.Column(
            "recommended_priority",
            sa.VARCHAR(length=50),
            nullable=True,
            comment="Priority of the suggested remediation: immediate, high, medium or low.",
        ),
        sa.Column(
            "auto_action_taken",
            sa.Boolean(),
            server_default="false",
            nullable=True,
            comment="Whether an automatic action (such as retraining) was taken.",
        ),
        sa.Column(
            "auto_action_details",
            postgresql.JSONB(),
            nullable=True,
            comment="What the automatic action was and what came of it.",
        ),
        sa.Column(
            "notified_channels",
            postgresql.ARRAY(sa.TEXT()),
            nullable=True,
            comment="Notification channels that were told (slack, email, pagerduty, ...).",
        ),
        sa.Column(
            "notification_sent_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When the notification was sent.",
        ),
        sa.Column(
            "notification_error", sa.TEXT(), nullable=True, comment="Why the notification could not be sent, if so."
        ),
        sa.Column(
            "acknowledged_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it was acknowledged."
        ),
        sa.Column("acknowledged_by", sa.VARCHAR(length=255), nullable=True, comment="Who acknowledged it."),
        sa.Column("acknowledgement_notes", sa.TEXT(), nullable=True, comment="Note left when acknowledging."),
        sa.Column(
            "resolved_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When it was resolved or dismissed.",
        ),
        sa.Column("resolved_by", sa.VARCHAR(length=255), nullable=True, comment="Who resolved or dismissed it."),
        sa.Column("resolution_notes", sa.TEXT(), nullable=True, comment="Note left when resolving or dismissing."),
        sa.Column(
            "resolution_action",
            sa.VARCHAR(length=100),
            nullable=True,
            comment="What resolved it: retrained, rolled_back, dismissed or fixed_data.",
        ),
        sa.Column(
            "triggered_retraining",
            sa.Boolean(),
            server_default="false",
            nullable=True,
            comment="Whether auto-retraining was triggered.",
        ),
        sa.Column(
            "retraining_job_id",
            sa.Uuid(),
            nullable=True,
            comment="Retraining that the alert triggered, by its record identifier.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was raised.",
        ),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When it was last changed; set by a trigger.",
        ),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["ml_deployments.id"], name=op.f("fk_ml_monitoring_alerts_deployment_id")
        ),
        sa.ForeignKeyConstraint(
            ["drift_history_id"], ["ml_drift_history.id"], name=op.f("fk_ml_monitoring_alerts_drift_history_id")
        ),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["ml_experiments.id"], name=op.f("fk_ml_monitoring_alerts_experiment_id")
        ),
        sa.ForeignKeyConstraint(["model_id"], ["ml_model_registry.id"], name=op.f("fk_ml_monitoring_alerts_model_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ml_monitoring_alerts")),
        comment="An alert on a model, from creation through resolution. It carries the people notified, the recommended remediation, automatic actions and the retraining it triggered.",
    )
    op.create_index(
        "ix_ml_monitoring_alerts_created_at",
        "ml_monitoring_alerts",
        [sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_monitoring_alerts_deployment_id_created_at",
        "ml_monitoring_alerts",
        ["deployment_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_monitoring_alerts_drift_history_id_created_at",
        "ml_monitoring_alerts",
        ["drift_history_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_monitoring_alerts_experiment_id_created_at",
        "ml_monitoring_alerts",
        ["experiment_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_monitoring_alerts_model_id_created_at",
        "ml_monitoring_alerts",
        ["model_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_monitoring_alerts_retraining_job_id_created_at",
        "ml_monitoring_alerts",
        ["retraining_job_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "uq_ml_monitoring_alerts_drift_history_id",
        "ml_monitoring_alerts",
        ["drift_history_id"],
        unique=True,
        postgresql_where=sa.text("alert_type = 'drift'"),
    )
    op.create_table(
        "ml_retraining_history",
        sa.Column(
            "id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Retraining record identifier.",
        ),
        sa.Column(
            "trigger_type",
            sa.VARCHAR(length=100),
            nullable=False,
            comment="What triggered the retraining: drift, performance, scheduled or manual.",
        ),
        sa.Column("alert_id", sa.Uuid(), nullable=True, comment="Triggering alert."),
        sa.Column("monitoring_run_id", sa.Uuid(), nullable=True, comment="Monitoring run that led to the retraining."),
        sa.Column("model_id", sa.Uuid(), nullable=True, comment="Model retrained, in its previous version."),
        sa.Column("old_model_version", sa.VARCHAR(length=100), nullable=True, comment="Previous version."),
        sa.Column(
            "new_model_version", sa.VARCHAR(length=100), nullable=True, comment="New version, of the same model name."
        ),
        sa.Column("trigger_reason", sa.TEXT(), nullable=False, comment="Why the model was retrained, in prose."),
        sa.Column(
            "drift_severity",
            postgresql.ENUM(name="drift_severity_enum", create_type=False),
            nullable=True,
            comment="Severity of the drift that triggered the retraining: none, low, medium, high or critical.",
        ),
        sa.Column(
            "performance_delta",
            sa.Numeric(precision=8, scale=4),
            nullable=True,
            comment="Change of performance that triggered the retraining, on the scale of the metric.",
        ),
        sa.Column("training_run_id", sa.Uuid(), nullable=True, comment="Training run that carried out the retraining."),
        sa.Column(
            "status",
            sa.VARCHAR(length=50),
            server_default="pending",
            nullable=True,
            comment="State of the retraining: pending, training, validating, deployed, failed or rejected.",
        ),
        sa.Column(
            "old_metric_value",
            sa.Numeric(precision=12, scale=6),
            nullable=True,
            comment="Metric before retraining, on its own scale.",
        ),
        sa.Column(
            "new_metric_value",
            sa.Numeric(precision=12, scale=6),
            nullable=True,
            comment="Metric after retraining, on its own scale.",
        ),
        sa.Column(
            "improvement",
            sa.Numeric(precision=8, scale=4),
            nullable=True,
            comment="Improvement of the metric from before to after the retraining.",
        ),
        sa.Column(
            "auto_deployed",
            sa.Boolean(),
            server_default="false",
            nullable=True,
            comment="Whether the new version was auto-promoted to production.",
        ),
        sa.Column(
            "deployed_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When the new version was deployed.",
        ),
        sa.Column("deployment_id", sa.Uuid(), nullable=True, comment="Deployment of the new version."),
        sa.Column(
            "triggered_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was triggered.",
        ),
        sa.Column("completed_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it ended."),
        sa.Column(
            "duration_seconds",
            sa.Numeric(precision=10, scale=2),
            nullable=True,
            comment="Wall-clock time of the retraining, in seconds.",
        ),
        sa.Column("notes", sa.TEXT(), nullable=True, comment="Remarks on the retraining."),
        sa.Column(
            "created_by", sa.VARCHAR(length=100), nullable=True, comment="User or agent that asked for the retraining."
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="When the retraining was recorded.",
        ),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["ml_monitoring_alerts.id"], name=op.f("fk_ml_retraining_history_alert_id")
        ),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["ml_deployments.id"], name=op.f("fk_ml_retraining_history_deployment_id")
        ),
        sa.ForeignKeyConstraint(["model_id"], ["ml_model_registry.id"], name=op.f("fk_ml_retraining_history_model_id")),
        sa.ForeignKeyConstraint(
            ["monitoring_run_id"], ["ml_monitoring_runs.id"], name=op.f("fk_ml_retraining_history_monitoring_run_id")
        ),
        sa.ForeignKeyConstraint(
            ["training_run_id"], ["ml_training_runs.id"], name=op.f("fk_ml_retraining_history_training_run_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ml_retraining_history")),
        comment="One retraining of a model: what triggered it, the versions before and after, and whether it paid off.",
    )
    op.create_index(
        "ix_ml_retraining_history_alert_id_triggered_at",
        "ml_retraining_history",
        ["alert_id", sa.literal_column("triggered_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_retraining_history_deployment_id_triggered_at",
        "ml_retraining_history",
        ["deployment_id", sa.literal_column("triggered_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_retraining_history_model_id_triggered_at",
        "ml_retraining_history",
        ["model_id", sa.literal_column("triggered_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_retraining_history_monitoring_run_id_triggered_at",
        "ml_retraining_history",
        ["monitoring_run_id", sa.literal_column("triggered_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_retraining_history_training_run_id_triggered_at",
        "ml_retraining_history",
        ["training_run_id", sa.literal_column("triggered_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_retraining_history_triggered_at",
        "ml_retraining_history",
        [sa.literal_column("triggered_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )

"""Enums of several groups; the platform's specification names them without defining all of them."""

from __future__ import annotations

from db.base.vocabulary import Labels


class Brand(Labels, pg_name="brand_type"):
    """Brand of the portfolio that a row is about."""

    REMIBRUTINIB = "Remibrutinib", "Remibrutinib, a BTK inhibitor."
    FABHALTA = "Fabhalta", "Fabhalta (iptacopan), a factor B inhibitor."
    KISQALI = "Kisqali", "Kisqali (ribociclib), a CDK4/6 inhibitor."
    COMPETITOR = "competitor", "A competitor's brand."
    OTHER = "other", "Any other brand."


class DataSplit(Labels, pg_name="data_split_type"):
    """The split of the data that a row belongs to; splits never share patients."""

    TRAIN = "train", "Used to fit."
    VALIDATION = "validation", "Used to tune."
    TEST = "test", "Used once, to report."
    HOLDOUT = "holdout", "Kept aside; not used during development."
    UNASSIGNED = "unassigned", "Not assigned to a split."


class Region(Labels, pg_name="region_type"):
    """Sales region of the United States."""

    NORTHEAST = "northeast", "Northeast."
    SOUTH = "south", "South."
    MIDWEST = "midwest", "Midwest."
    WEST = "west", "West."


class Workstream(Labels, pg_name="workstream_type"):
    """Analytics workstream that an initiative belongs to."""

    WS1 = "WS1", "Workstream 1."
    WS2 = "WS2", "Workstream 2."
    WS3 = "WS3", "Workstream 3."


class AgentTier(Labels, pg_name="agent_tier_enum"):
    """Tier of an agent in the platform's six-tier system."""

    ML_FOUNDATION = "ml_foundation", "Tier 0: data preparation, training, deployment and other ML groundwork."
    COORDINATION = "coordination", "Tier 1: orchestration and tool composition."
    CAUSAL_ANALYTICS = "causal_analytics", "Tier 2: causal effects, heterogeneity and gaps."
    MONITORING = "monitoring", "Tier 3: experiments, drift and health."
    ML_PREDICTIONS = "ml_predictions", "Tier 4: predictions and resource allocation."
    SELF_IMPROVEMENT = "self_improvement", "Tier 5: explanation, feedback and learning."


class AgentName(Labels, pg_name="agent_name_enum", open_ended=True):
    """The platform's 21 agents. The platform adds agents without notice, so the graph shows the name as text."""

    SCOPE_DEFINER = "scope_definer", "Tier 0: defines the scope of an experiment."
    COHORT_CONSTRUCTOR = "cohort_constructor", "Tier 0: builds patient cohorts."
    DATA_PREPARER = "data_preparer", "Tier 0: validates and prepares data."
    FEATURE_ANALYZER = "feature_analyzer", "Tier 0: analyses features and their importance."
    MODEL_SELECTOR = "model_selector", "Tier 0: selects algorithms."
    MODEL_TRAINER = "model_trainer", "Tier 0: trains models."
    MODEL_DEPLOYER = "model_deployer", "Tier 0: deploys models."
    OBSERVABILITY_CONNECTOR = "observability_connector", "Tier 0: records traces and metrics."
    ORCHESTRATOR = "orchestrator", "Tier 1: routes queries to agents."
    TOOL_COMPOSER = "tool_composer", "Tier 1: composes tools for multi-faceted queries."
    CAUSAL_IMPACT = "causal_impact", "Tier 2: estimates causal effects."
    GAP_ANALYZER = "gap_analyzer", "Tier 2: finds performance gaps and their ROI."
    HETEROGENEOUS_OPTIMIZER = "heterogeneous_optimizer", "Tier 2: estimates effects by segment."
    EXPERIMENT_DESIGNER = "experiment_designer", "Tier 3: designs experiments and digital-twin simulations."
    EXPERIMENT_MONITOR = "experiment_monitor", "Tier 3: watches running experiments."
    DRIFT_MONITOR = "drift_monitor", "Tier 3: detects data, model and concept drift."
    HEALTH_SCORE = "health_score", "Tier 3: scores the health of the system."
    PREDICTION_SYNTHESIZER = "prediction_synthesizer", "Tier 4: combines predictions."
    RESOURCE_OPTIMIZER = "resource_optimizer", "Tier 4: allocates resources."
    EXPLAINER = "explainer", "Tier 5: explains results in natural language."
    FEEDBACK_LEARNER = "feedback_learner", "Tier 5: learns from feedback."


BRANDS = tuple(brand.value for brand in Brand)
"""The values of text columns that name a brand."""

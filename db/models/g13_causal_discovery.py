"""Group 13, causal discovery: learned DAGs, the algorithms that voted on them and driver rankings (schema ml)."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    TEXT,
    VARCHAR,
    Boolean,
    Computed,
    Double,
    ForeignKey,
    Integer,
    UniqueConstraint,
    Uuid,
    text,
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
    Relation,
    belongs_to,
    column,
    pg_enum,
)


class DiscoveryAlgorithm(Labels, pg_name="discovery_algorithm", pg_schema="ml"):
    """Causal structure learning algorithm."""

    GES = "ges", "GES, Greedy Equivalence Search (score-based)."
    PC = "pc", "PC, Peter-Clark (constraint-based)."
    FCI = "fci", "FCI, Fast Causal Inference (constraint-based, allows latent confounders)."
    LINGAM = "lingam", "LiNGAM, linear non-Gaussian acyclic model."
    DIRECT_LINGAM = "direct_lingam", "DirectLiNGAM, LiNGAM by direct ordering of the variables."
    ICA_LINGAM = "ica_lingam", "ICA-LiNGAM, LiNGAM by independent component analysis."


class DiscoveryGateDecision(Labels, pg_name="gate_decision", pg_schema="ml"):
    """What the gate decided about a discovered DAG."""

    ACCEPT = "accept", "High confidence: the discovered DAG is used."
    REVIEW = "review", "Medium confidence: an expert has to validate it."
    REJECT = "reject", "Low confidence: the manual DAG is used instead."
    AUGMENT = "augment", "The manual DAG is supplemented with its high-confidence edges."


class EdgeType(Labels, pg_name="edge_type", pg_schema="ml"):
    """Kind of an edge in a discovered graph."""

    DIRECTED = "directed", "Definite causal direction: X -> Y."
    UNDIRECTED = "undirected", "Unknown direction: X - Y."
    BIDIRECTED = "bidirected", "Possible hidden confounder: X <-> Y."


class DiscoveredDag(Entity):
    """A causal DAG discovered by an ensemble of algorithms, with the gate's decision about its use."""

    __group__ = Group.CAUSAL_DISCOVERY
    __aliases__ = ("dag", "causal graph", "causal dag", "causal structure")
    __tablename__ = "discovered_dags"
    __record__ = entity(updates=())
    __label__ = ("discovery_timestamp",)
    __table_args__ = ({"schema": "ml"},)
    __order__ = "discovery_timestamp"
    __search__ = ("session_id",)

    id: Mapped[UUID] = column(Uuid(), "DAG identifier.", primary_key=True, server_default=NEW_UUID)
    session_id: Mapped[UUID | None] = column(
        Uuid(), "User session in which it was discovered (ml.user_sessions.id of the platform)."
    )
    discovery_timestamp: Mapped[datetime] = column(
        TIMESTAMP(timezone=True), "When the DAG was discovered.", server_default=NOW
    )
    n_samples: Mapped[int] = column(Integer(), "Data samples used.", unit=Unit.COUNT)
    n_features: Mapped[int] = column(Integer(), "Features in graph.", unit=Unit.COUNT)
    feature_names: Mapped[Any] = column(
        JSONB(), "Names of the features (array).", server_default=EMPTY_LIST, holds=Holds.DATA
    )
    algorithms_used: Mapped[list[str]] = column(
        ARRAY(TEXT()), "Algorithms in ensemble.", server_default=text("'{}'"), holds=Holds.LABEL
    )
    ensemble_threshold: Mapped[float] = column(
        Double(),
        "Voting threshold: fraction of the algorithms that must find an edge (0-1).",
        server_default="0.5",
        unit=Unit.FRACTION,
    )
    alpha: Mapped[float] = column(
        Double(),
        "Significance level of the conditional independence tests (0-1).",
        server_default="0.05",
        unit=Unit.FRACTION,
    )
    n_edges: Mapped[int] = column(Integer(), "Edges discovered.", server_default="0", unit=Unit.COUNT)
    n_nodes: Mapped[int] = column(Integer(), "Nodes in the discovered graph.", server_default="0", unit=Unit.COUNT)
    edge_list: Mapped[Any] = column(
        JSONB(), "Full edge list (array).", server_default=EMPTY_LIST, holds=Holds.DATA, aliases=("causal links",)
    )
    gate_decision: Mapped[DiscoveryGateDecision | None] = column(
        pg_enum(DiscoveryGateDecision), "The gate's decision: accept, review, reject, or augment.", aliases=("verdict",)
    )
    gate_confidence: Mapped[float | None] = column(Double(), "Gate confidence score (0-1).", unit=Unit.FRACTION)
    gate_reasons: Mapped[Any | None] = column(
        JSONB(), "Reasons for the gate's decision (array).", server_default=EMPTY_LIST, holds=Holds.PROSE
    )
    total_runtime_seconds: Mapped[float | None] = column(
        Double(), "Discovery wall-clock time, in seconds.", unit=Unit.SECONDS
    )
    created_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), "When it was recorded.", server_default=NOW)
    updated_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), "When it was last changed.", server_default=NOW)


class DiscoveryAlgorithmRun(Entity):
    """The result of one algorithm within a discovery: one vote of the ensemble."""

    __group__ = Group.CAUSAL_DISCOVERY
    __aliases__ = ("algorithm run", "discovery run")
    __tablename__ = "discovery_algorithm_runs"
    __record__ = facts(key=("dag_id", "algorithm"), part_of="dag_id")
    __label__ = ("algorithm",)
    __table_args__ = ({"schema": "ml"},)
    __order__ = "created_at"

    id: Mapped[UUID] = column(Uuid(), "Run identifier.", primary_key=True, server_default=NEW_UUID)
    dag_id: Mapped[UUID] = column(Uuid(), "Parent DAG.", ForeignKey("ml.discovered_dags.id"))
    algorithm: Mapped[DiscoveryAlgorithm] = column(pg_enum(DiscoveryAlgorithm), "Algorithm used.")
    runtime_seconds: Mapped[float] = column(Double(), "Algorithm execution time, in seconds.", unit=Unit.SECONDS)
    converged: Mapped[bool] = column(Boolean(), "Whether algorithm converged.", server_default="true")
    n_edges: Mapped[int] = column(Integer(), "Edges found by this algorithm.", server_default="0", unit=Unit.COUNT)
    edge_list: Mapped[Any] = column(
        JSONB(), "The edges found by this algorithm (array).", server_default=EMPTY_LIST, holds=Holds.DATA
    )
    score: Mapped[float | None] = column(
        Double(), "Score-based method result; null for methods that give no score.", unit=Unit.ROW_SCALE
    )
    parameters: Mapped[Any | None] = column(
        JSONB(), "Parameters of the algorithm.", server_default=EMPTY_OBJECT, holds=Holds.DATA
    )
    created_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), "When it was recorded.", server_default=NOW)

    dag = belongs_to(
        "DiscoveredDag",
        "dag_id",
        "The DAG that the algorithm voted on.",
        inverse="algorithm_runs",
        inverse_doc="Runs of the algorithms behind the DAG.",
        lineage=leads_to(LineageKind.PRODUCES),
    )


class DiscoveredEdge(Entity):
    """An edge of a discovered DAG, with the ensemble's confidence in it and the algorithms that found it."""

    __group__ = Group.CAUSAL_DISCOVERY
    __aliases__ = ("edge", "causal edge", "causal link")
    __tablename__ = "discovered_edges"
    __record__ = facts(key=("dag_id", "source_node", "target_node"), part_of="dag_id")
    __label__ = ("source_node", "target_node")
    __table_args__ = (UniqueConstraint("dag_id", "source_node", "target_node"), {"schema": "ml"})
    __order__ = "created_at"

    id: Mapped[UUID] = column(Uuid(), "Edge identifier.", primary_key=True, server_default=NEW_UUID)
    dag_id: Mapped[UUID] = column(Uuid(), "Parent DAG.", ForeignKey("ml.discovered_dags.id"))
    source_node: Mapped[str] = column(
        VARCHAR(255), "Cause variable.", holds=Holds.IDENTIFIER, aliases=("cause", "from", "parent")
    )
    target_node: Mapped[str] = column(
        VARCHAR(255), "Effect variable.", holds=Holds.IDENTIFIER, aliases=("effect", "to", "child")
    )
    edge_type: Mapped[EdgeType] = column(
        pg_enum(EdgeType), "Kind of edge: directed, undirected, or bidirected.", server_default=EdgeType.DIRECTED.value
    )
    confidence: Mapped[float] = column(Double(), "Ensemble confidence (0-1).", server_default="1.0", unit=Unit.FRACTION)
    algorithm_votes: Mapped[int] = column(
        Integer(),
        "Number of algorithms that found this edge.",
        server_default="1",
        unit=Unit.COUNT,
        aliases=("agreement",),
    )
    algorithms: Mapped[list[str]] = column(
        ARRAY(TEXT()), "Which algorithms found it.", server_default=text("'{}'"), holds=Holds.LABEL
    )
    created_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), "When it was recorded.", server_default=NOW)

    dag = belongs_to(
        "DiscoveredDag",
        "dag_id",
        "The DAG that the edge belongs to.",
        inverse="edges",
        inverse_doc="Edges of the DAG.",
        lineage=comes_from(LineageKind.CONTAINS),
    )


class DriverRanking(Entity):
    """Causal against predictive importance of the features for one outcome, with their rank correlation."""

    __group__ = Group.CAUSAL_DISCOVERY
    __aliases__ = ("driver", "driver importance")
    __tablename__ = "driver_rankings"
    __record__ = entity(updates=())
    __label__ = ("target_variable",)
    __table_args__ = ({"schema": "ml"},)
    __order__ = "ranking_timestamp"
    __search__ = ("session_id",)

    id: Mapped[UUID] = column(Uuid(), "Ranking set identifier.", primary_key=True, server_default=NEW_UUID)
    dag_id: Mapped[UUID | None] = column(Uuid(), "Source DAG.", ForeignKey("ml.discovered_dags.id"))
    session_id: Mapped[UUID | None] = column(
        Uuid(), "User session in which it was computed (ml.user_sessions.id of the platform)."
    )
    target_variable: Mapped[str] = column(VARCHAR(255), "Outcome variable.", holds=Holds.IDENTIFIER)
    ranking_timestamp: Mapped[datetime] = column(
        TIMESTAMP(timezone=True), "When the ranking was computed.", server_default=NOW
    )
    rankings: Mapped[Any] = column(JSONB(), "Full ranking array.", server_default=EMPTY_LIST, holds=Holds.DATA)
    n_features: Mapped[int] = column(Integer(), "Number of ranked features.", server_default="0", unit=Unit.COUNT)
    rank_correlation: Mapped[float | None] = column(
        Double(),
        "Spearman rho between causal and predictive ranks (-1 to 1).",
        unit=Unit.DIMENSIONLESS,
        aliases=("spearman",),
    )
    causal_only_features: Mapped[list[str] | None] = column(
        ARRAY(TEXT()), "Features only important causally.", server_default=text("'{}'"), holds=Holds.IDENTIFIER
    )
    predictive_only_features: Mapped[list[str] | None] = column(
        ARRAY(TEXT()), "Features only important predictively.", server_default=text("'{}'"), holds=Holds.IDENTIFIER
    )
    concordant_features: Mapped[list[str] | None] = column(
        ARRAY(TEXT()), "Features important in both.", server_default=text("'{}'"), holds=Holds.IDENTIFIER
    )
    created_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), "When it was recorded.", server_default=NOW)

    dag = belongs_to(
        "DiscoveredDag",
        "dag_id",
        "The DAG that the causal ranks were taken from.",
        inverse="driver_rankings",
        inverse_doc="Driver rankings taken from the DAG.",
        lineage=comes_from(LineageKind.RANKED_IN),
    )


class FeatureRanking(Entity):
    """One feature's causal and predictive rank within a driver ranking."""

    __group__ = Group.CAUSAL_DISCOVERY
    __aliases__ = ("ranking", "feature rank")
    __tablename__ = "feature_rankings"
    __record__ = facts(key=("ranking_id", "feature_name"), part_of="ranking_id")
    __label__ = ("feature_name",)
    __table_args__ = ({"schema": "ml"},)
    __order__ = "created_at"

    id: Mapped[UUID] = column(Uuid(), "Feature ranking identifier.", primary_key=True, server_default=NEW_UUID)
    ranking_id: Mapped[UUID] = column(Uuid(), "Parent ranking set.", ForeignKey("ml.driver_rankings.id"))
    feature_name: Mapped[str] = column(VARCHAR(255), "Feature name.", holds=Holds.IDENTIFIER)
    causal_rank: Mapped[int] = column(
        Integer(), "Rank by causal importance (1 is the most important).", unit=Unit.ORDINAL
    )
    predictive_rank: Mapped[int] = column(
        Integer(), "Rank by predictive importance (1 is the most important).", unit=Unit.ORDINAL
    )
    rank_difference: Mapped[int | None] = column(
        Integer(),
        "predictive_rank - causal_rank, computed by the database: positive where the feature matters more causally.",
        Computed("predictive_rank - causal_rank", persisted=True),
        unit=Unit.DIMENSIONLESS,
    )
    causal_score: Mapped[float] = column(
        Double(), "Causal importance behind the rank.", server_default="0.0", unit=Unit.ROW_SCALE
    )
    predictive_score: Mapped[float] = column(
        Double(), "Predictive importance behind the rank.", server_default="0.0", unit=Unit.ROW_SCALE
    )
    is_direct_cause: Mapped[bool] = column(
        Boolean(), "Whether feature is a direct cause of the outcome.", server_default="false"
    )
    path_length: Mapped[int | None] = column(
        Integer(),
        "Edges on the shortest causal path from the feature to the outcome; null if there is none.",
        unit=Unit.COUNT,
    )
    created_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), "When it was recorded.", server_default=NOW)

    driver_ranking = belongs_to(
        "DriverRanking",
        "ranking_id",
        "The ranking set that the feature's ranks belong to.",
        inverse="feature_rankings",
        inverse_doc="Ranks of the individual features.",
        lineage=comes_from(LineageKind.CONTAINS),
    )
    features = Relation(
        "Feature",
        "The ranked feature, by name, in every version of it.",
        on={"feature_name": "feature_name"},
        many=True,
        inverse="rankings",
        inverse_doc="Ranks of a feature of this name.",
        lineage=comes_from(LineageKind.RANKED_IN),
    )

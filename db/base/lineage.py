"""Kinds of lineage edges, which relations declare.

An edge leads downstream: from the earlier row, or the row that is depended on, to the later or dependent row.
"""

from __future__ import annotations

from db.base.vocabulary import EdgeSpec, Labels


class LineageKind(Labels):
    """Meaning of a lineage edge. The downstream end came from the upstream end or depends on it."""

    PRODUCES = (
        "produces",
        "The upstream row made the downstream one: an experiment its models or its estimate, a retraining a model.",
    )
    CONTAINS = "contains", "The downstream row is a part of the upstream one: a run of its experiment, a trial."
    LINKED_TO = (
        "linked to",
        "The upstream training run is linked to its result: a model, a twin model, a prompt optimization.",
    )
    DEPLOYED_AS = "deployed as", "The upstream model, or the retraining of it, was deployed as the downstream row."
    EXPLAINED_BY = "explained by", "The upstream model is explained by the downstream SHAP analysis."
    MONITORED_BY = (
        "monitored by",
        "The downstream row watches the upstream one: drift, freshness, a monitoring run.",
    )
    MEASURED_BY = "measured by", "The upstream row was measured, and the downstream row is the measurement."
    ALERTS_ON = "alerts on", "The downstream alert is about the upstream row."
    RETRAINED_AS = "retrained as", "The upstream model was retrained; the downstream row is the retraining."
    OPTIMIZED_BY = (
        "optimized by",
        (
            "The upstream experiment is optimized by an HPO study, or the upstream study tuned the downstream training "
            "run."
        ),
    )
    SERVED_BY = "served by", "The upstream deployment or model is served by the downstream service."
    EMITS = "emits", "The upstream service emitted the downstream metrics."
    TRACED_BY = "traced by", "The upstream row is traced by the downstream span."
    GENERATES = "generates", "The upstream twin model generated the downstream simulation."
    PREDICTED_VS_ACTUAL = (
        "predicted vs actual",
        "The downstream row compares the upstream simulation's prediction with the actual outcome.",
    )
    ALSO_COMPARED_IN = (
        "also compared in",
        "The upstream simulation is also compared in the downstream fidelity comparison.",
    )
    RECOMMENDS = "recommends", "The upstream simulation recommended the downstream experiment or its assignments."
    ACTUAL_RESULTS = "actual results", "The downstream comparison reads the upstream experiment's actual results."
    FIDELITY_GRADE = (
        "fidelity grade",
        "The upstream fidelity record grades the downstream twin model.",
    )
    ROLLS_BACK_TO = "rolls back to", "The downstream deployment replaced the upstream one, and rolls back to it."
    SUPERSEDES = "supersedes", "The downstream row supersedes the upstream one."
    CONSUMES = "consumes", "The downstream row consumes the upstream one: a feature, the output of a step."
    FEEDS = "feeds", "The upstream row provides data to the downstream one: a tool, or metrics with drift."
    RAISES = "raises", "The upstream drift raised the downstream alert."
    TRIGGERS = "triggers", "The upstream row triggered the downstream one: an alert a retraining."
    VALIDATES = (
        "validates",
        "The upstream report validates a training run's data, the upstream refutation test what an ROI rests on.",
    )
    VALIDATED_BY = (
        "validated by",
        "The upstream estimate, or the upstream experiment's, is validated by the downstream refutation test.",
    )
    REVIEWED_BY = "reviewed by", "The upstream validation is reviewed by the downstream expert review."
    REVIEWED_AGAIN_IN = (
        "reviewed again in",
        "The downstream expert review is the next one of the DAG that the upstream one reviewed, by its hash.",
    )
    EVOLVES_INTO = "evolves into", "The downstream prompt or instruction descends from the upstream one."
    CARRIED_OUT_AS = "carried out as", "The upstream plan was carried out as the downstream row: a trial as a run."
    ROUTED_TO = "routed to", "The upstream classification routed its query to the downstream composition."
    EXECUTED_AS = "executed as", "The upstream tool or cohort definition was executed as the downstream row."
    ENROLLED_AS = "enrolled as", "The upstream assignment was enrolled as the downstream row."
    ANALYZED_BY = (
        "analyzed by",
        "The upstream experiment, or the enrollment of a unit in it, was analyzed or checked by the downstream row.",
    )
    VALUED_BY = (
        "valued by",
        "The upstream experiment's initiative, or what rests on the upstream estimate, is valued downstream by ROI.",
    )
    COMPARED_IN = "compared in", "The upstream row is compared with others in the downstream one."
    LEARNED_AS = "learned as", "The downstream lesson was learned from the upstream experiment."
    DESCRIBED_BY = "described by", "The upstream tool is described by the downstream description."
    APPLIES = "applies", "The upstream improvement action put the downstream configuration in place."
    RANKED_IN = (
        "ranked in",
        "The upstream feature, or the upstream DAG's drivers, are ranked in the downstream row.",
    )
    MATERIALIZED_BY = "materialized by", "The upstream feature view was materialized by the downstream job."


def comes_from(kind: LineageKind) -> EdgeSpec:
    """The edge of a relation whose target is upstream."""
    return EdgeSpec(kind, target_is_upstream=True)


def leads_to(kind: LineageKind, *, closes_loop: bool = False) -> EdgeSpec:
    """The edge of a relation whose target is downstream. ``closes_loop``: a cycle between the platform's types ends
    with it."""
    return EdgeSpec(kind, target_is_upstream=False, closes_loop=closes_loop)

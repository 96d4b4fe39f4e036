"""Causal discovery: DAGs, the votes of algorithms, and drivers with their causal and predictive ranks.

The story is the DAG of Kisqali TRx: four of six algorithms agree on its edges and the gate accepts it. Others are sent
to review, are rejected, or augment the manual DAG.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean
from uuid import UUID

from db.demo.world import Document, World
from db.models.g13_causal_discovery import (
    DiscoveredDag,
    DiscoveredEdge,
    DiscoveryAlgorithmRun,
    DriverRanking,
    FeatureRanking,
)

ALGORITHMS = ("ges", "pc", "fci", "lingam", "direct_lingam", "ica_lingam")
OUTCOME = "trx_last_90d"
EDGES = (
    ("rep_visits_90d", OUTCOME, "directed"),
    ("peer_adoption_rate", OUTCOME, "directed"),
    ("hcp_decile", "rep_visits_90d", "directed"),
    ("hcp_decile", OUTCOME, "directed"),
    ("speaker_program_flag", "peer_adoption_rate", "directed"),
    ("email_open_rate", "digital_affinity_score", "undirected"),
    ("payer_mix_commercial_share", "prior_auth_denial_rate", "directed"),
    ("prior_auth_denial_rate", OUTCOME, "directed"),
    ("years_in_practice", "academic_affiliation", "bidirected"),
)
GATES = (
    ("accept", 0.86, "Four of six algorithms agree on every edge into the outcome."),
    ("review", 0.61, "The direction of two edges differs between algorithms."),
    ("reject", 0.28, "Fewer than half of the edges are stable under resampling."),
    ("augment", 0.72, "Two edges of high confidence are missing in the manual DAG."),
)


@dataclass(frozen=True)
class CausalEdge:
    """An edge and the algorithms that found it."""

    source: str
    target: str
    kind: str
    found_by: tuple[str, ...]


def add_story(world: World) -> None:
    """A DAG per decision of the gate, the accepted one first."""
    for number in range(len(GATES)):
        discover(world, number, world.ago(days=4 + 5 * number))


def discover(world: World, number: int, moment: datetime) -> None:
    """A DAG with its algorithm runs, edges and driver ranking."""
    decision, confidence, reason = GATES[number % len(GATES)]
    identity, session = world.rows.uuid(), world.rows.uuid()
    voters = ALGORITHMS if number % 2 == 0 else ALGORITHMS[:4]
    edges = [_vote(world, voters, edge, sure=decision == "accept") for edge in EDGES]
    kept = [edge for edge in edges if len(edge.found_by) / len(voters) >= 0.5]
    nodes = sorted({node for source, target, _ in EDGES for node in (source, target)})
    runtime = sum(_run(world, identity, algorithm, edges, moment) for algorithm in voters)
    world.rows.add(
        DiscoveredDag,
        id=identity,
        session_id=session,
        discovery_timestamp=moment,
        n_samples=world.rng.randint(3_000, 20_000),
        n_features=len(nodes),
        feature_names=nodes,
        algorithms_used=list(voters),
        ensemble_threshold=0.5,
        alpha=0.05,
        n_edges=len(kept),
        n_nodes=len(nodes),
        edge_list=[{"source": edge.source, "target": edge.target, "type": edge.kind} for edge in kept],
        gate_decision=decision,
        gate_confidence=confidence,
        gate_reasons=[reason],
        total_runtime_seconds=round(runtime, 2),
        created_at=moment,
    )
    for edge in kept:
        world.rows.add(
            DiscoveredEdge,
            dag_id=identity,
            source_node=edge.source,
            target_node=edge.target,
            edge_type=edge.kind,
            confidence=round(len(edge.found_by) / len(voters), 4),
            algorithm_votes=len(edge.found_by),
            algorithms=list(edge.found_by),
            created_at=moment,
        )
    if decision != "reject":
        _rank(
            world, identity, session, kept, [node for node in nodes if node != OUTCOME], moment + timedelta(minutes=20)
        )


def _vote(world: World, voters: tuple[str, ...], edge: tuple[str, str, str], *, sure: bool) -> CausalEdge:
    chance = 1.0 if sure and edge[1] == OUTCOME else 0.75
    found = tuple(voter for place, voter in enumerate(voters) if (sure and place < 4) or world.chance(chance))
    return CausalEdge(*edge, found)


def _run(world: World, dag: UUID, algorithm: str, edges: list[CausalEdge], moment: datetime) -> float:
    found = [edge for edge in edges if algorithm in edge.found_by]
    runtime = world.between(1.2, 90, 2)
    world.rows.add(
        DiscoveryAlgorithmRun,
        dag_id=dag,
        algorithm=algorithm,
        runtime_seconds=runtime,
        converged=algorithm != "ica_lingam" or world.chance(0.6),
        n_edges=len(found),
        edge_list=[{"source": edge.source, "target": edge.target} for edge in found],
        score=world.between(-9_000, -2_000, 2) if algorithm == "ges" else None,
        parameters={"alpha": 0.05} if algorithm in {"pc", "fci"} else {"max_iter": 1_000},
        created_at=moment,
    )
    return runtime


def _rank(
    world: World, dag: UUID, session: UUID, edges: list[CausalEdge], features: list[str], moment: datetime
) -> None:
    """Ranks by causal strength, direct causes first, and by SHAP, with their rank correlation."""
    distance = _distances(edges)
    scores = {
        name: (round(1 / distance[name] * world.between(0.5, 1), 4) if name in distance else 0.0) for name in features
    }
    causal = sorted(features, key=lambda name: (-scores[name], name))
    predictive = sorted(features, key=lambda name: -scores[name] * world.between(0.2, 1) - world.between(0, 0.4))
    places = [(causal.index(name) + 1, predictive.index(name) + 1) for name in features]
    half = len(features) // 2
    top, bottom = set(causal[:half]), set(predictive[:half])
    details = [
        {"feature": name, "causal_rank": first, "predictive_rank": second}
        for name, (first, second) in zip(features, places, strict=True)
    ]
    ranking = world.rows.add(
        DriverRanking,
        dag_id=dag,
        session_id=session,
        target_variable=OUTCOME,
        ranking_timestamp=moment,
        rankings=details,
        n_features=len(features),
        rank_correlation=_spearman(places),
        causal_only_features=sorted(top - bottom),
        predictive_only_features=sorted(bottom - top),
        concordant_features=sorted(top & bottom),
        created_at=moment,
    )
    for name, (first, second) in zip(features, places, strict=True):
        cause: Document = {"is_direct_cause": distance.get(name) == 1, "path_length": distance.get(name)}
        world.rows.add(
            FeatureRanking,
            ranking_id=ranking["id"],
            feature_name=name,
            causal_rank=first,
            predictive_rank=second,
            causal_score=scores[name],
            predictive_score=round(1 / second * 0.4, 4),
            created_at=moment,
            **cause,
        )


def _distances(edges: list[CausalEdge]) -> dict[str, int]:
    """The length, in edges, of the shortest directed path from each feature to the outcome."""
    found = {OUTCOME: 0}
    frontier = [OUTCOME]
    while frontier:
        target = frontier.pop(0)
        for edge in edges:
            if edge.kind == "directed" and edge.target == target and edge.source not in found:
                found[edge.source] = found[target] + 1
                frontier.append(edge.source)
    del found[OUTCOME]
    return found


def _spearman(places: list[tuple[int, int]]) -> float:
    count = len(places)
    middle = (count + 1) / 2
    together = fmean((first - middle) * (second - middle) for first, second in places)
    return round(together / ((count**2 - 1) / 12), 4)

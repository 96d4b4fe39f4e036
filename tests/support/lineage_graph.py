"""Random lineages as rows of a database, their edges as Python knows them, and a walk by brute force."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import bindparam, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.base.vocabulary import Entity, table_of
from db.models.g01_mlops_core import Experiment, Model
from db.models.g01_mlops_serving import Deployment
from db.models.g02_causal_validation import CausalValidation, ExpertReview, RefutationTest
from db.models.g04_tool_composer import Tool, ToolDependency
from db.models.g05_roi_calculations import RoiCalculation
from db.models.g07_monitoring_alerts import MonitoringAlert, Retraining
from db.models.g09_self_improvement import PromptConfiguration
from db.models.g11_bentoml_tracking import BentoService

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
Edge = tuple[str, str, str]
"""Upstream id, downstream id, kind."""
Direction = Literal["UPSTREAM", "DOWNSTREAM", "BOTH"]

REQUIRED: dict[type[Entity], dict[str, Any]] = {
    Experiment: {"prediction_target": "x"},
    Model: {"algorithm": "x"},
    Deployment: {"environment": "staging"},
    BentoService: {"service_name": "s", "bento_tag": "s:1"},
    PromptConfiguration: {"system_prompt": "p"},
    Tool: {"description": "t", "category": "CAUSAL", "source_agent": "a"},
    ToolDependency: {},
    ExpertReview: {"review_type": "dag_approval", "reviewer_id": "r"},
    MonitoringAlert: {"alert_type": "drift", "title": "a", "severity": "low", "message": "m"},
    Retraining: {"trigger_type": "drift", "trigger_reason": "r"},
    CausalValidation: {"status": "passed"},
    RoiCalculation: {
        "initiative_name": "i",
        "attribution_level": "full",
        **dict.fromkeys(
            ("incremental_value", "attributed_value", "implementation_cost", "base_roi", "risk_adjusted_roi"), 1
        ),
        **dict.fromkeys(("ci_lower", "ci_median", "ci_upper", "probability_positive", "attribution_rate"), 1),
        "total_risk_adjustment": 0,
    },
}
TIMES = {Model: "registered_at", Retraining: "triggered_at", RoiCalculation: "calculated_at"}
"""The column that says when a row came to be; `created_at` unless said."""


@dataclass
class Graph:
    """Rows and the edges between them."""

    rows: dict[type[Entity], list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    links: list[tuple[type[Entity], str, UUID, UUID]] = field(default_factory=list)
    """Columns that are written once all rows are there: they may lead in circles."""
    edges: set[Edge] = field(default_factory=set)
    times: dict[str, datetime | None] = field(default_factory=dict)

    def add(self, entity: type[Entity], rng: random.Random, **values: Any) -> UUID:
        """A row with a time of its own, at times without one; few moments, so that they are shared."""
        key = UUID(int=rng.getrandbits(128))
        time = EPOCH + timedelta(hours=rng.randrange(40))
        nullable = table_of(entity).c[TIMES.get(entity, "created_at")].nullable
        row = {key_of(entity): key, TIMES.get(entity, "created_at"): time, **REQUIRED[entity], **values}
        if nullable and rng.random() < 0.15:
            row[TIMES.get(entity, "created_at")] = None
        self.rows[entity].append(row)
        self.times[name(entity, key)] = row[TIMES.get(entity, "created_at")]
        return key

    def edge(self, kind: str, upstream: tuple[type[Entity], UUID], downstream: tuple[type[Entity], UUID]) -> None:
        self.edges.add((name(*upstream), name(*downstream), kind))

    def link(self, entity: type[Entity], column: str, key: UUID, other: UUID) -> None:
        self.links.append((entity, column, key, other))

    async def write(self, connection: AsyncConnection) -> None:
        """Inserts all rows, then the links that may lead in circles."""
        for entity, rows in self.rows.items():
            columns = {column for row in rows for column in row}
            await connection.execute(insert(table_of(entity)), [dict.fromkeys(columns) | row for row in rows])
        for entity, column, key, other in self.links:
            table = table_of(entity)
            where = table.c[key_of(entity)] == bindparam("row_key")
            await connection.execute(update(table).where(where).values({column: other}), {"row_key": key})


def key_of(entity: type[Entity]) -> str:
    (column,) = table_of(entity).primary_key.columns
    return str(column.name)


def name(entity: type[Entity], key: UUID) -> str:
    return f"{entity.__name__}:{key}"


def random_graph(rng: random.Random) -> Graph:
    """A lineage with cycles, diamonds, hot nodes and self-links: about a hundred rows, of a dozen types."""
    graph = Graph()
    experiments = [graph.add(Experiment, rng, experiment_name=f"e{place}") for place in range(3)]
    models = []
    for place in range(12):
        experiment = rng.choice(experiments)
        model = graph.add(Model, rng, experiment_id=experiment, model_name="m", model_version=str(place))
        graph.edge("PRODUCES", (Experiment, experiment), (Model, model))
        models.append(model)
    deployments = []
    for place in range(24):
        model = models[0] if rng.random() < 0.4 else rng.choice(models)
        deployment = graph.add(Deployment, rng, model_registry_id=model, deployment_name=f"d{place}")
        graph.edge("DEPLOYED_AS", (Model, model), (Deployment, deployment))
        deployments.append(deployment)
    for deployment in deployments:
        if rng.random() < 0.7:
            previous = rng.choice((deployment, deployments[1], rng.choice(deployments)))
            graph.link(Deployment, "previous_deployment_id", deployment, previous)
            graph.edge("ROLLS_BACK_TO", (Deployment, previous), (Deployment, deployment))
    for _ in range(20):
        model, deployment = rng.choice(models), rng.choice(deployments)
        service = graph.add(BentoService, rng, model_registry_id=model, deployment_id=deployment)
        graph.edge("SERVED_BY", (Model, model), (BentoService, service))
        graph.edge("SERVED_BY", (Deployment, deployment), (BentoService, service))
    _monitoring(graph, rng, models, deployments)
    _prompts(graph, rng)
    _tools(graph, rng)
    _reviews(graph, rng)
    _estimates(graph, rng, experiments)
    return graph


def _monitoring(graph: Graph, rng: random.Random, models: list[UUID], deployments: list[UUID]) -> None:
    """Alerts, and retrainings that make one of the models again: the loop is closed."""
    for _ in range(15):
        model, deployment = rng.choice(models), rng.choice(deployments)
        alert = graph.add(MonitoringAlert, rng, model_id=model, deployment_id=deployment)
        graph.edge("ALERTS_ON", (Model, model), (MonitoringAlert, alert))
        graph.edge("ALERTS_ON", (Deployment, deployment), (MonitoringAlert, alert))
        if rng.random() < 0.7:
            new = rng.randrange(len(models))
            retraining = graph.add(
                Retraining, rng, alert_id=alert, model_id=model, deployment_id=deployment, new_model_version=str(new)
            )
            graph.edge("TRIGGERS", (MonitoringAlert, alert), (Retraining, retraining))
            graph.edge("RETRAINED_AS", (Model, model), (Retraining, retraining))
            graph.edge("DEPLOYED_AS", (Retraining, retraining), (Deployment, deployment))
            graph.edge("PRODUCES", (Retraining, retraining), (Model, models[new]))
            if rng.random() < 0.5:  # the same said on the other side: one edge
                graph.link(MonitoringAlert, "retraining_job_id", alert, retraining)


def _prompts(graph: Graph, rng: random.Random) -> None:
    """A hot prompt, and chains that come back."""
    prompts = [graph.add(PromptConfiguration, rng, prompt_name=f"p{place}") for place in range(25)]
    for prompt in prompts:
        parent = prompts[0] if rng.random() < 0.5 else rng.choice(prompts)
        graph.link(PromptConfiguration, "parent_prompt_id", prompt, parent)
        graph.edge("EVOLVES_INTO", (PromptConfiguration, parent), (PromptConfiguration, prompt))


def _tools(graph: Graph, rng: random.Random) -> None:
    tools = [graph.add(Tool, rng, name=f"tool_{place}_{rng.randrange(10**9)}") for place in range(8)]
    pairs = [(consumer, producer) for consumer in tools for producer in tools if consumer != producer]
    for consumer, producer in rng.sample(pairs, 18):
        dependency = graph.add(ToolDependency, rng, consumer_tool_id=consumer, producer_tool_id=producer)
        graph.edge("FEEDS", (Tool, producer), (ToolDependency, dependency))
        graph.edge("CONSUMES", (ToolDependency, dependency), (Tool, consumer))


def _reviews(graph: Graph, rng: random.Random) -> None:
    """Reviews that supersede each other, at times one that is not there, and DAGs that are reviewed again."""
    reviews = [graph.add(ExpertReview, rng, dag_version_hash=rng.choice(("a", "b", None))) for _ in range(15)]
    for review in reviews:
        if rng.random() < 0.7:
            older = rng.choice((*reviews, UUID(int=rng.getrandbits(128))))
            graph.link(ExpertReview, "supersedes_review_id", review, older)
            if older in reviews:
                graph.edge("SUPERSEDES", (ExpertReview, older), (ExpertReview, review))
    for dag in ("a", "b"):
        dated = [
            (row["created_at"], row["review_id"])
            for row in graph.rows[ExpertReview]
            if row["dag_version_hash"] == dag and row["created_at"] is not None
        ]
        for (_, older), (_, newer) in zip(sorted(dated), sorted(dated)[1:], strict=False):
            graph.edge("REVIEWED_AGAIN_IN", (ExpertReview, older), (ExpertReview, newer))


def _estimates(graph: Graph, rng: random.Random, experiments: list[UUID]) -> None:
    """Estimates, which no table has: their tests say of what they are, the newest of them for the estimate."""
    ids = [*experiments[:2], *(UUID(int=rng.getrandbits(128)) for _ in range(3))]
    of = {
        id_: rng.choice((["ml_experiments"], ["causal_paths"], ["causal_paths", "ml_experiments", None])) for id_ in ids
    }
    for _ in range(20):
        id_ = rng.choice(ids)
        source, test = rng.choice(of[id_]), rng.choice(list(RefutationTest)).value
        graph.add(CausalValidation, rng, estimate_id=id_, estimate_source=source, test_type=test)
    for _ in range(6):
        graph.add(RoiCalculation, rng, causal_path_id=rng.choice((*ids, UUID(int=rng.getrandbits(128)), None)))
    for id_ in ids:
        tests = [row for row in graph.rows[CausalValidation] if row["estimate_id"] == id_]
        if not tests:
            continue
        newest = max(tests, key=lambda row: (row["created_at"] or EPOCH - timedelta(1), row["validation_id"]))
        estimate = f"Estimate:{id_}"
        graph.times[estimate] = newest["created_at"]
        rois = [row["calculation_id"] for row in graph.rows[RoiCalculation] if row["causal_path_id"] == id_]
        for row in tests:
            test = name(CausalValidation, row["validation_id"])
            graph.edges.add((estimate, test, "VALIDATED_BY"))
            if row["estimate_source"] == "ml_experiments" and id_ in experiments:
                graph.edges.add((name(Experiment, id_), test, "VALIDATED_BY"))
            if row["estimate_source"] == "causal_paths":
                graph.edges |= {(test, name(RoiCalculation, roi), "VALIDATES") for roi in rois}
        if newest["estimate_source"] == "ml_experiments" and id_ in experiments:
            graph.edges.add((name(Experiment, id_), estimate, "PRODUCES"))
        if newest["estimate_source"] == "causal_paths":
            graph.edges |= {(estimate, name(RoiCalculation, roi), "VALUED_BY") for roi in rois}


@dataclass
class Reached:
    """What a walk reaches: the least depths of its nodes, the edges among them, and whether nothing lies beyond."""

    depths: dict[str, int]
    edges: set[Edge]
    complete: bool


def walk(
    graph: Graph,
    starts: list[str],
    *,
    direction: Direction = "BOTH",
    depth: int = 100,
    through: set[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Reached:
    """The same walk, edge by edge."""

    def within(node: str) -> bool:
        time = graph.times[node]
        inside = time is None or ((since is None or time >= since) and (until is None or time < until))
        return node in starts or inside

    edges = {edge for edge in graph.edges if through is None or edge[2] in through}
    next_to: dict[str, set[str]] = defaultdict(set)
    for upstream, downstream, _ in edges:
        if direction != "UPSTREAM" and within(downstream):
            next_to[upstream].add(downstream)
        if direction != "DOWNSTREAM" and within(upstream):
            next_to[downstream].add(upstream)
    depths = dict.fromkeys(starts, 0)
    level = list(depths)
    for at in range(1, depth + 1):
        level = list({other for node in level for other in next_to[node]} - depths.keys())
        depths |= dict.fromkeys(level, at)
    beyond = {other for node in depths for other in next_to[node]} - depths.keys()
    among = {edge for edge in edges if edge[0] in depths and edge[1] in depths}
    return Reached(depths, among, not beyond)


def has_cycle(edges: set[Edge]) -> bool:
    """Whether edges lead in a circle: one that is left when edges from nodes that nothing leads to are taken away."""
    left = {(upstream, downstream) for upstream, downstream, _ in edges}
    while left:
        reached = {downstream for _, downstream in left}
        rest = {edge for edge in left if edge[0] in reached}
        if rest == left:
            return True
        left = rest
    return False


def leads_back(edge: Edge, edges: set[Edge]) -> bool:
    """Whether an edge lies on a cycle: its upstream end can be reached from its downstream end."""
    following: dict[str, set[str]] = defaultdict(set)
    for upstream, downstream, _ in edges:
        following[upstream].add(downstream)
    seen, level = {edge[1]}, [edge[1]]
    while level:
        level = [other for node in level for other in following[node] if other not in seen]
        seen |= set(level)
    return edge[0] in seen


def paths(graph: Graph, start: str, target: str, longest: int) -> set[tuple[Edge, ...]]:
    """All ways downstream from one node to another on which no node comes twice, as their edges."""
    found: set[tuple[Edge, ...]] = set()

    def follow(node: str, taken: tuple[Edge, ...]) -> None:
        if node == target:
            found.add(taken)
        elif len(taken) < longest:
            passed = {start, *(edge[1] for edge in taken)}
            for edge in graph.edges:
                if edge[0] == node and edge[1] not in passed:
                    follow(edge[1], (*taken, edge))

    follow(start, ())
    return found

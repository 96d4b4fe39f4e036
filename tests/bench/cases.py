"""What is measured: eight questions, as the gateway's clients and PostGraphile's would ask them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

LIFECYCLE = """
  id experimentName brand createdAt
  models(first: 5) { nodes { id modelName modelVersion stage auc
    deployments(first: 3) { nodes { id environment status
      services(first: 1) { nodes { id serviceName healthStatus
        metrics(first: 5) { nodes { recordedAt requestsTotal p99LatencyMs errorRate } } } } } } } }
"""

PEER_LIFECYCLE = """
  id experimentName brand createdAt
  mlModelRegistriesByExperimentId(first: 5, orderBy: {models}) { nodes { id modelName modelVersion stage auc
    mlDeploymentsByModelRegistryId(first: 3, orderBy: {deployments}) { nodes { id environment status
      mlBentomlServicesByDeploymentId(first: 1, orderBy: {services}) { nodes { id serviceName healthStatus
        mlBentomlServingMetricsByServiceId(first: 5, orderBy: {metrics}) {
          nodes { recordedAt requestsTotal p99LatencyMs errorRate } } } } } } } }
"""

OUR_ORDERS = {
    "experiments": "CREATED_AT_DESC",
    "models": "REGISTERED_AT_DESC",
    "deployments": "CREATED_AT_DESC",
    "services": "CREATED_AT_DESC",
    "metrics": "RECORDED_AT_DESC",
    "simulations": "CREATED_AT_DESC",
    "fidelities": "CREATED_AT_DESC",
}
PLATFORM_ORDERS = {
    **dict.fromkeys(OUR_ORDERS, "NATURAL"),
    "metrics": "RECORDED_AT_DESC",
    "simulations": "CREATED_AT_DESC",
}
"""What PostGraphile is asked to order by: the newest first where an index serves that, and in any order elsewhere,
where it has no such order, or would sort all rows for it."""


@dataclass(frozen=True)
class Case:
    """A question: the gateway's query with the variables of some requests, and PostGraphile's, None if it cannot ask.

    ``unseen`` queries have another text in every request.
    """

    name: str
    query: str
    variables: list[dict[str, Any]] = field(default_factory=lambda: [{}])
    peer: str | None = None
    peer_variables: list[dict[str, Any]] = field(default_factory=lambda: [{}])
    unseen: bool = False


def cases(experiments: list[str], services: list[str], week: str, day: str, orders: dict[str, str]) -> list[Case]:
    """The questions about some experiments and services, by their bare ids, and the times of a week and a day ago.

    ``orders`` are those of the peer.
    """
    lifecycle = PEER_LIFECYCLE
    for name, order in orders.items():
        lifecycle = lifecycle.replace(f"{{{name}}}", order)
    named = [{"id": id_} for id_ in experiments]
    q2 = f"query($id: ID!) {{ experiment(id: $id) {{ {LIFECYCLE} }} }}"
    peer_q2 = f"query($id: UUID!) {{ mlExperimentByRowId(rowId: $id) {{ {lifecycle} }} }}"
    return [
        Case(
            "Q1 one row",
            "query($id: ID!) { experiment(id: $id) { id experimentName brand } }",
            named,
            "query($id: UUID!) { mlExperimentByRowId(rowId: $id) { id experimentName brand } }",
            named,
        ),
        Case("Q2 five levels", q2, named, peer_q2, named),
        Case(
            "Q3 fifty of them",
            f"{{ experiments(first: 50) {{ nodes {{ {LIFECYCLE} }} }} }}",
            peer=f"{{ allMlExperiments(first: 50, orderBy: {orders['experiments']}) {{ nodes {{ {lifecycle} }} }} }}",
        ),
        Case(
            "Q4 1000 flat rows",
            "{ servingMetrics(first: 1000) { nodes { id recordedAt requestsTotal avgLatencyMs errorRate } } }",
            peer=f"{{ allMlBentomlServingMetrics(first: 1000, orderBy: {orders['metrics']}) "
            "{ nodes { id recordedAt requestsTotal avgLatencyMs errorRate } } }",
        ),
        Case(
            "Q5 simulations",
            "{ twinSimulations(first: 20) { nodes { id simulatedAte recommendation "
            "twinModel { modelName fidelityScore } fidelity(first: 5) { nodes "
            "{ actualAte predictionError fidelityGrade } } } } }",
            peer=f"{{ allTwinSimulations(first: 20, orderBy: {orders['simulations']}) "
            "{ nodes { id simulatedAte recommendation "
            "digitalTwinModelByModelId { modelName fidelityScore } "
            f"twinFidelityTrackingsBySimulationId(first: 5, orderBy: {orders['fidelities']}) "
            "{ nodes { actualAte predictionError fidelityGrade } } } } }",
        ),
        Case(
            "Q6 filter a million",
            "query($since: DateTime!, $ms: Float!) { servingMetrics(first: 20, where: { recordedAt: { gte: $since }, "
            "p99LatencyMs: { gt: $ms } }, orderBy: [{ field: P99_LATENCY_MS, direction: DESC }]) "
            "{ totalCount nodes { id recordedAt p99LatencyMs service { serviceName } } } }",
            [{"since": day, "ms": 100.0}, {"since": day, "ms": 120.0}],
        ),
        Case(
            "Q7 service and hour",
            "query($services: [UUID!], $since: DateTime) { servingMetrics(where: { serviceId: { in: $services }, "
            "recordedAt: { gte: $since } }) { aggregate(groupBy: [{ field: SERVICE_ID }, { field: RECORDED_AT, "
            "bucket: HOUR }]) { group { serviceId recordedAt } count "
            "requestsTotal { sum } p99LatencyMs { avg p95 } } } }",
            [{"services": services, "since": week}],
        ),
        Case("Q8 unseen text", q2, named, peer_q2, named, unseen=True),
    ]

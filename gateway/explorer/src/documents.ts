/** What the home page and changes ask, word for word: documents that a gateway of trusted documents alone can be told of. */

export const HOME = `query Home($since: DateTime!) {
  champions: models(first: 50, where: { isChampion: { eq: true } }, orderBy: [{ field: MODEL_NAME }]) {
    totalCount
    nodes {
      id rowId modelName modelVersion stage auc
      experiment { id experimentName brand }
      health { healthStatus maxDriftSeverity activeAlerts criticalAlerts latestMetricValue primaryMetric performanceDegraded }
      deployments(first: 1, where: { environment: { eq: "production" }, status: { eq: ACTIVE } }) { nodes { id deploymentName status } }
    }
  }
  models { totalCount }
  scores: driftRecords(where: { createdAt: { gte: $since }, model: { isChampion: { eq: true } } }) {
    aggregate(groupBy: [{ field: MODEL_ID }, { field: CREATED_AT, bucket: DAY }]) { group { modelId createdAt } driftScore { max } }
  }
  alerts: monitoringAlerts(
    first: 20
    where: { status: { in: [ACTIVE, ACKNOWLEDGED, INVESTIGATING] } }
    orderBy: [{ field: SEVERITY, direction: DESC }, { field: CREATED_AT, direction: DESC }]
  ) {
    totalCount
    nodes { id title severity status createdAt triggeredRetraining lifecycle { state allowedTransitions { to mutations } }
      model { id modelName modelVersion } }
  }
  drift: driftRecords(where: { createdAt: { gte: $since } }) {
    aggregate(groupBy: [{ field: CREATED_AT, bucket: DAY }, { field: SEVERITY }]) { group { createdAt severity } count }
  }
  fidelity: fidelityComparisons {
    aggregate(groupBy: [{ field: FIDELITY_GRADE }]) { group { fidelityGrade } count absolutePredictionError { avg } }
  }
  twins: twinModels(first: 10, where: { isActive: { eq: true } }, orderBy: [{ field: FIDELITY_SCORE, direction: ASC }]) {
    totalCount
    nodes { id modelName brand fidelityScore }
  }
  deployments {
    aggregate(groupBy: [{ field: ENVIRONMENT }, { field: STATUS }]) { group { environment status } count }
  }
  changes: lifecycleEvents(first: 8) {
    nodes { id nodeId nodeType lifecycle fromState toState actor reason forced occurredAt
      node { ... on Model { modelName modelVersion } ... on MonitoringAlert { title } ... on Deployment { deploymentName } }
    }
  }
}`;

export const EVENT = `query Event($id: ID!) {
  lifecycleEvent(id: $id) { id mutation nodeId nodeType lifecycle fromState toState actor reason forced details requestId occurredAt }
}`;

export const HEALTHS = `query Healths($ids: [ID!]!) {
  nodes(ids: $ids) { ... on Model { id health { healthStatus } } }
}`;

/* Written by generate.mjs from src/operations and the schema. */

/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
/** Status of an A/B test: the first of these that applies. */
export type AbTestHealth =
  /** The newest SRM check is severe and unresolved, or the newest decision is stop_safety. */
  | 'CRITICAL'
  /** The newest interim decision stops the test: for efficacy or for futility. */
  | 'STOPPED'
  /** The newest SRM check detects a mismatch, a fifth of the enrolled units have left, or the decision is to modify the sample. */
  | 'WARNING'
  /** No unit has been assigned. */
  | 'NOT_STARTED'
  /** None of the above. */
  | 'HEALTHY';

/** How an alert changed. */
export type AlertChange =
  /** The alert is new. */
  | 'RAISED'
  /** A column of the alert changed: its status, its severity or another one. */
  | 'CHANGED';

/** Lifecycle status of a monitoring alert. */
export type AlertStatus =
  /** Raised; not acknowledged yet. */
  | 'ACTIVE'
  /** Acknowledged by a person who handles it. */
  | 'ACKNOWLEDGED'
  /** Its cause is under investigation. */
  | 'INVESTIGATING'
  /** Its cause has been removed. */
  | 'RESOLVED'
  /** Closed without action. */
  | 'DISMISSED';

/** Brand of the portfolio that a row is about. */
export type Brand =
  /** Remibrutinib, a BTK inhibitor. */
  | 'REMIBRUTINIB'
  /** Fabhalta (iptacopan), a factor B inhibitor. */
  | 'FABHALTA'
  /** Kisqali (ribociclib), a CDK4/6 inhibitor. */
  | 'KISQALI'
  /** A competitor's brand. */
  | 'COMPETITOR'
  /** Any other brand. */
  | 'OTHER';

/** Lifecycle status of a deployment or of a service. */
export type DeploymentStatus =
  /** Requested; nothing has started yet. */
  | 'PENDING'
  /** Being rolled out. */
  | 'DEPLOYING'
  /** Serving requests. */
  | 'ACTIVE'
  /** Finishing requests in flight; accepts no new ones. */
  | 'DRAINING'
  /** Replaced by an earlier deployment. */
  | 'ROLLED_BACK'
  /** The roll-out or the service failed. */
  | 'FAILED';

/** How severe a drift or an alert is; medium and above raise an alert. */
export type DriftSeverity =
  /** No drift. */
  | 'NONE'
  /** Minor drift within the acceptable range; raises no alert. */
  | 'LOW'
  /** Moderate drift, to be watched; raises an alert. */
  | 'MEDIUM'
  /** Significant drift, action recommended; raises an alert. */
  | 'HIGH'
  /** Severe drift, immediate action required; raises an alert. */
  | 'CRITICAL';

/** Decision of an interim analysis. */
export type InterimDecision =
  /** Continue as planned. */
  | 'CONTINUE'
  /** Stop early: the effect is shown. */
  | 'STOP_EFFICACY'
  /** Stop early: a significant effect has become improbable. */
  | 'STOP_FUTILITY'
  /** Stop because of safety concerns. */
  | 'STOP_SAFETY'
  /** Continue with another sample size. */
  | 'MODIFY_SAMPLE';

/** Direction in which a lineage is traversed. */
export type LineageDirection =
  /** To the rows that a row came from, transitively. */
  | 'UPSTREAM'
  /** To the rows that came from a row, transitively. */
  | 'DOWNSTREAM'
  /** Along every edge, in both directions. */
  | 'BOTH';

/** Meaning of a lineage edge. The downstream end came from the upstream end or depends on it. */
export type LineageKind =
  /** The upstream row made the downstream one: an experiment its models or its estimate, a retraining a model. */
  | 'PRODUCES'
  /** The downstream row is a part of the upstream one: a run of its experiment, a trial. */
  | 'CONTAINS'
  /** The upstream training run is linked to its result: a model, a twin model, a prompt optimization. */
  | 'LINKED_TO'
  /** The upstream model, or the retraining of it, was deployed as the downstream row. */
  | 'DEPLOYED_AS'
  /** The upstream model is explained by the downstream SHAP analysis. */
  | 'EXPLAINED_BY'
  /** The downstream row watches the upstream one: drift, freshness, a monitoring run. */
  | 'MONITORED_BY'
  /** The upstream row was measured, and the downstream row is the measurement. */
  | 'MEASURED_BY'
  /** The downstream alert is about the upstream row. */
  | 'ALERTS_ON'
  /** The upstream model was retrained; the downstream row is the retraining. */
  | 'RETRAINED_AS'
  /** The upstream experiment is optimized by an HPO study, or the upstream study tuned the downstream training run. */
  | 'OPTIMIZED_BY'
  /** The upstream deployment or model is served by the downstream service. */
  | 'SERVED_BY'
  /** The upstream service emitted the downstream metrics. */
  | 'EMITS'
  /** The upstream row is traced by the downstream span. */
  | 'TRACED_BY'
  /** The upstream twin model generated the downstream simulation. */
  | 'GENERATES'
  /** The downstream row compares the upstream simulation's prediction with the actual outcome. */
  | 'PREDICTED_VS_ACTUAL'
  /** The upstream simulation is also compared in the downstream fidelity comparison. */
  | 'ALSO_COMPARED_IN'
  /** The upstream simulation recommended the downstream experiment or its assignments. */
  | 'RECOMMENDS'
  /** The downstream comparison reads the upstream experiment's actual results. */
  | 'ACTUAL_RESULTS'
  /** The upstream fidelity record grades the downstream twin model. */
  | 'FIDELITY_GRADE'
  /** The downstream deployment replaced the upstream one, and rolls back to it. */
  | 'ROLLS_BACK_TO'
  /** The downstream row supersedes the upstream one. */
  | 'SUPERSEDES'
  /** The downstream row consumes the upstream one: a feature, the output of a step. */
  | 'CONSUMES'
  /** The upstream row provides data to the downstream one: a tool, or metrics with drift. */
  | 'FEEDS'
  /** The upstream drift raised the downstream alert. */
  | 'RAISES'
  /** The upstream row triggered the downstream one: an alert a retraining. */
  | 'TRIGGERS'
  /** The upstream report validates a training run's data, the upstream refutation test what an ROI rests on. */
  | 'VALIDATES'
  /** The upstream estimate, or the upstream experiment's, is validated by the downstream refutation test. */
  | 'VALIDATED_BY'
  /** The upstream validation is reviewed by the downstream expert review. */
  | 'REVIEWED_BY'
  /** The downstream expert review is the next one of the DAG that the upstream one reviewed, by its hash. */
  | 'REVIEWED_AGAIN_IN'
  /** The downstream prompt or instruction descends from the upstream one. */
  | 'EVOLVES_INTO'
  /** The upstream plan was carried out as the downstream row: a trial as a run. */
  | 'CARRIED_OUT_AS'
  /** The upstream classification routed its query to the downstream composition. */
  | 'ROUTED_TO'
  /** The upstream tool or cohort definition was executed as the downstream row. */
  | 'EXECUTED_AS'
  /** The upstream assignment was enrolled as the downstream row. */
  | 'ENROLLED_AS'
  /** The upstream experiment, or the enrollment of a unit in it, was analyzed or checked by the downstream row. */
  | 'ANALYZED_BY'
  /** The upstream experiment's initiative, or what rests on the upstream estimate, is valued downstream by ROI. */
  | 'VALUED_BY'
  /** The upstream row is compared with others in the downstream one. */
  | 'COMPARED_IN'
  /** The downstream lesson was learned from the upstream experiment. */
  | 'LEARNED_AS'
  /** The upstream tool is described by the downstream description. */
  | 'DESCRIBED_BY'
  /** The upstream improvement action put the downstream configuration in place. */
  | 'APPLIES'
  /** The upstream feature, or the upstream DAG's drivers, are ranked in the downstream row. */
  | 'RANKED_IN'
  /** The upstream feature view was materialized by the downstream job. */
  | 'MATERIALIZED_BY';

/** Lifecycle stage of a model version. */
export type ModelStage =
  /** Being built and evaluated; not served. */
  | 'DEVELOPMENT'
  /** Candidate under review before it sees traffic. */
  | 'STAGING'
  /** Receives copies of production requests; its predictions are recorded, not used. */
  | 'SHADOW'
  /** Serves production requests. */
  | 'PRODUCTION'
  /** Archived; can no longer be promoted. */
  | 'ARCHIVED'
  /** Out of service; to be archived. */
  | 'DEPRECATED';

/** Sales region of the United States. */
export type Region =
  /** Northeast. */
  | 'NORTHEAST'
  /** South. */
  | 'SOUTH'
  /** Midwest. */
  | 'MIDWEST'
  /** West. */
  | 'WEST';

/** What a simulation advises about the real experiment. */
export type SimulationRecommendation =
  /** Run the real A/B test. */
  | 'DEPLOY'
  /** Do not run the experiment: no effect worth it is expected. */
  | 'SKIP'
  /** Change the intervention and simulate again. */
  | 'REFINE';

/** What a digital twin stands for. */
export type TwinType =
  /** A healthcare professional. */
  | 'HCP'
  /** A patient's journey. */
  | 'PATIENT'
  /** A sales territory. */
  | 'TERRITORY';

export type AlertChangesSubscription = { alerts: { cursor: string, change: AlertChange | null } };

export type ExplorerViewQuery = { lineage: { complete: boolean, reason: string | null, asOf: string, missing: Array<string>, nodes: Array<{ nodeId: string, type: string, label: string, state: string | null, degree: { upstream: number, downstream: number, capped: boolean } }>, edges: Array<{ from: string, to: string, kind: LineageKind, closesCycle: boolean }>, omitted: Array<{ type: string, count: number }> } | null };

export type ChangesSubscription = { lifecycleEvents: { cursor: string, event: { nodeId: string | null } | null } };

export type CountedQuery = { lineage: { nodes: Array<{ nodeId: string, type: string, label: string, state: string | null, degree: { upstream: number, downstream: number, capped: boolean } }>, frontier: Array<{ node: string, direction: LineageDirection, kind: LineageKind, type: string, depth: number, remaining: number, capped: boolean, cursor: string }> } | null };

export type DiffQuery = { lineageDiff: { unknown: Array<string>, complete: boolean, reason: string | null, added: { nodes: Array<{ nodeId: string, type: string, label: string, state: string | null }> }, removed: { nodes: Array<{ nodeId: string, type: string, label: string, state: string | null }> }, changed: Array<{ at: string, lifecycle: string | null, from: string | null, to: string | null, actor: string | null, node: { nodeId: string, type: string, label: string, state: string | null } }> } | null };

export type EventQuery = { lifecycleEvent: { id: string, mutation: string | null, nodeId: string | null, nodeType: string | null, lifecycle: string | null, fromState: string | null, toState: string | null, actor: string | null, reason: string | null, forced: boolean | null, details: unknown, requestId: string | null, occurredAt: string | null } | null };

export type FollowsQuery = { __schema: { subscriptionType: { name: string | null } | null } };

export type HealthsQuery = { nodes: Array<
    | { id: string, health: { healthStatus: string | null } | null }
    | Record<PropertyKey, never>
   | null> | null };

export type HomeQuery = { champions: { totalCount: number, totalCountIsExact: boolean, nodes: Array<{ id: string, rowId: string | null, modelName: string | null, modelVersion: string | null, stage: ModelStage | null, auc: number | null, experiment: { id: string, experimentName: string | null, brand: Brand | null } | null, health: { healthStatus: string | null, maxDriftSeverity: DriftSeverity | null, activeAlerts: number | bigint | null, criticalAlerts: number | bigint | null, latestMetricValue: number | null, primaryMetric: string | null, performanceDegraded: boolean | null } | null, deployments: { nodes: Array<{ id: string, deploymentName: string | null, status: DeploymentStatus | null, lifecycle: { changes: Array<{ mutation: string, to: string | null, allowed: boolean, scope: string, blockedBy: Array<{ message: string, overridable: boolean }> | null }> } | null }> } | null }> } | null, models: { totalCount: number } | null, scores: { aggregate: Array<{ group: { modelId: string | null, createdAt: string | null }, driftScore: { max: number | null } | null }> | null } | null, alerts: { totalCount: number, totalCountIsExact: boolean, nodes: Array<{ id: string, title: string | null, severity: DriftSeverity | null, status: AlertStatus | null, createdAt: string | null, triggeredRetraining: boolean | null, lifecycle: { changes: Array<{ mutation: string, to: string | null, allowed: boolean, scope: string, blockedBy: Array<{ message: string, overridable: boolean }> | null }> } | null, model: { id: string, modelName: string | null, modelVersion: string | null } | null }> } | null, drift: { aggregate: Array<{ count: number, group: { createdAt: string | null, severity: DriftSeverity | null } }> | null } | null, fidelity: { aggregate: Array<{ count: number, group: { fidelityGrade: string | null }, absolutePredictionError: { avg: number | null } | null }> | null } | null, twins: { nodes: Array<{ id: string, modelName: string | null, brand: string | null, fidelityScore: number | null }> } | null, deployments: { aggregate: Array<{ count: number, group: { environment: string | null, status: DeploymentStatus | null } }> | null } | null, changes: { nodes: Array<{ id: string, nodeId: string | null, nodeType: string | null, lifecycle: string | null, fromState: string | null, toState: string | null, actor: string | null, reason: string | null, forced: boolean | null, occurredAt: string | null, node:
        | { deploymentName: string | null }
        | { modelName: string | null, modelVersion: string | null }
        | { title: string | null }
        | Record<PropertyKey, never>
       | null }> } | null };

export type ImpactQuery = { impact: { complete: boolean, nodes: Array<{ nodeId: string, type: string }> } | null };

export type LabelsQuery = { lineage: { nodes: Array<{ nodeId: string, label: string, state: string | null }> } | null };

export type LineageQuery = { lineage: { complete: boolean, reason: string | null, asOf: string, missing: Array<string>, nodes: Array<{ nodeId: string, type: string, label: string, state: string | null, degree: { upstream: number, downstream: number, capped: boolean } }>, edges: Array<{ from: string, to: string, kind: LineageKind, closesCycle: boolean }>, omitted: Array<{ type: string, count: number }>, frontier: Array<{ node: string, direction: LineageDirection, kind: LineageKind, type: string, depth: number, remaining: number, capped: boolean, cursor: string }> } | null };

export type ListAlertsQuery = { rows: { totalCount: number, totalCountIsExact: boolean, pageInfo: { hasNextPage: boolean, endCursor: string | null }, nodes: Array<{ id: string, title: string | null, alertType: string | null, severity: DriftSeverity | null, status: AlertStatus | null, compositeDriftScore: number | null, createdAt: string | null, acknowledgedBy: string | null, triggeredRetraining: boolean | null, model: { id: string, modelName: string | null, modelVersion: string | null } | null, lifecycle: { changes: Array<{ mutation: string, to: string | null, allowed: boolean, scope: string, blockedBy: Array<{ message: string, overridable: boolean }> | null }> } | null }> } | null };

export type ListDeploymentsQuery = { rows: { totalCount: number, totalCountIsExact: boolean, pageInfo: { hasNextPage: boolean, endCursor: string | null }, nodes: Array<{ id: string, deploymentName: string | null, environment: string | null, status: DeploymentStatus | null, latencyP95Ms: number | null, errorRate: number | null, deployedAt: string | null, deployedBy: string | null, model: { id: string, modelName: string | null, modelVersion: string | null, health: { healthStatus: string | null } | null } | null, services: { nodes: Array<{ healthStatus: string | null }> } | null, lifecycle: { changes: Array<{ mutation: string, to: string | null, allowed: boolean, scope: string, blockedBy: Array<{ message: string, overridable: boolean }> | null }> } | null }> } | null };

export type ListExperimentsQuery = { rows: { totalCount: number, totalCountIsExact: boolean, pageInfo: { hasNextPage: boolean, endCursor: string | null }, nodes: Array<{ id: string, experimentName: string | null, brand: Brand | null, region: Region | null, predictionTarget: string | null, createdAt: string | null, champion: { id: string, modelName: string | null, modelVersion: string | null } | null, health: { status: AbTestHealth | null, enrollments: number | bigint | null, latestDecision: InterimDecision | null, effectEstimate: number | null, effectPValue: number | null, fidelityGrade: string | null, championHealth: { healthStatus: string | null } | null } | null }> } | null };

export type ListModelsQuery = { rows: { totalCount: number, totalCountIsExact: boolean, pageInfo: { hasNextPage: boolean, endCursor: string | null }, nodes: Array<{ id: string, modelName: string | null, modelVersion: string | null, stage: ModelStage | null, isChampion: boolean | null, auc: number | null, prAuc: number | null, brierScore: number | null, trainingSamples: number | null, trainedAt: string | null, experiment: { id: string, experimentName: string | null } | null, health: { healthStatus: string | null, activeAlerts: number | bigint | null } | null }> } | null };

export type ListTwinsQuery = { rows: { totalCount: number, totalCountIsExact: boolean, pageInfo: { hasNextPage: boolean, endCursor: string | null }, nodes: Array<{ id: string, modelName: string | null, modelVersion: string | null, twinType: TwinType | null, brand: string | null, isActive: boolean | null, fidelityScore: number | null, fidelitySampleCount: number | null, lastFidelityUpdate: string | null, createdAt: string | null, fidelityHistory: { aggregate: Array<{ count: number, group: { effectGrade: string | null } }> | null } | null }> } | null };

export type PathsQuery = { paths: { reason: string | null, paths: Array<{ nodes: Array<{ nodeId: string }> }> } | null };

export type SearchQuery = { search: { hits: Array<{ score: number, field: string, text: string, state: string | null, time: string | null, node:
        | { __typename: 'ActiveAlertsSummary', id: string }
        | { __typename: 'AgentLatencySummary', id: string }
        | { __typename: 'Assignment', id: string }
        | { __typename: 'BentoService', id: string }
        | { __typename: 'CausalValidation', id: string }
        | { __typename: 'ChampionModel', id: string }
        | { __typename: 'ClassificationLog', id: string }
        | { __typename: 'CohortComparison', id: string }
        | { __typename: 'CohortDefinition', id: string }
        | { __typename: 'CohortEligibilityLog', id: string }
        | { __typename: 'CohortExecution', id: string }
        | { __typename: 'CohortFunnelStep', id: string }
        | { __typename: 'ComposerEpisode', id: string }
        | { __typename: 'CompositionStep', id: string }
        | { __typename: 'DataQualityReport', id: string }
        | { __typename: 'Deployment', id: string }
        | { __typename: 'DiscoveredDag', id: string }
        | { __typename: 'DiscoveredEdge', id: string }
        | { __typename: 'DiscoveryAlgorithmRun', id: string }
        | { __typename: 'DriftRecord', id: string }
        | { __typename: 'DriftStatus', id: string }
        | { __typename: 'DriftTrend7d', id: string }
        | { __typename: 'DriverRanking', id: string }
        | { __typename: 'Enrollment', id: string }
        | { __typename: 'Estimate', id: string }
        | { __typename: 'Evaluation', id: string }
        | { __typename: 'Experiment', id: string }
        | { __typename: 'ExperimentHealth', id: string }
        | { __typename: 'ExperimentKnowledge', id: string }
        | { __typename: 'ExperimentResult', id: string }
        | { __typename: 'ExpertReview', id: string }
        | { __typename: 'Feature', id: string }
        | { __typename: 'FeatureFreshness', id: string }
        | { __typename: 'FeatureRanking', id: string }
        | { __typename: 'FeatureView', id: string }
        | { __typename: 'FidelityComparison', id: string }
        | { __typename: 'HpoStudy', id: string }
        | { __typename: 'HpoTrial', id: string }
        | { __typename: 'ImprovementAction', id: string }
        | { __typename: 'InterimAnalysis', id: string }
        | { __typename: 'LatestDataQuality', id: string }
        | { __typename: 'LifecycleEvent', id: string }
        | { __typename: 'MaterializationJob', id: string }
        | { __typename: 'Model', id: string }
        | { __typename: 'ModelHealth', id: string }
        | { __typename: 'MonitoringAlert', id: string }
        | { __typename: 'MonitoringRun', id: string }
        | { __typename: 'ObservabilitySpan', id: string }
        | { __typename: 'OptimizedInstruction', id: string }
        | { __typename: 'OptimizedToolDescription', id: string }
        | { __typename: 'PatientCohortAssignment', id: string }
        | { __typename: 'PerformanceMetric', id: string }
        | { __typename: 'PromptAbTest', id: string }
        | { __typename: 'PromptAbTestObservation', id: string }
        | { __typename: 'PromptConfiguration', id: string }
        | { __typename: 'PromptOptimizationRun', id: string }
        | { __typename: 'Retraining', id: string }
        | { __typename: 'RetrievalConfiguration', id: string }
        | { __typename: 'RoiCalculation', id: string }
        | { __typename: 'RoiCostDetail', id: string }
        | { __typename: 'RoiValueDriverDetail', id: string }
        | { __typename: 'SegmentResult', id: string }
        | { __typename: 'ServingMetric', id: string }
        | { __typename: 'ShapAnalysis', id: string }
        | { __typename: 'SrmCheck', id: string }
        | { __typename: 'Tool', id: string }
        | { __typename: 'ToolDependency', id: string }
        | { __typename: 'ToolPerformance', id: string }
        | { __typename: 'TrainingRun', id: string }
        | { __typename: 'TwinFidelity', id: string }
        | { __typename: 'TwinModel', id: string }
        | { __typename: 'TwinSimulation', id: string }
       | null, belongsTo:
        | { __typename: 'ActiveAlertsSummary', id: string }
        | { __typename: 'AgentLatencySummary', id: string }
        | { __typename: 'Assignment', id: string }
        | { __typename: 'BentoService', id: string }
        | { __typename: 'CausalValidation', id: string }
        | { __typename: 'ChampionModel', id: string }
        | { __typename: 'ClassificationLog', id: string }
        | { __typename: 'CohortComparison', id: string }
        | { __typename: 'CohortDefinition', id: string }
        | { __typename: 'CohortEligibilityLog', id: string }
        | { __typename: 'CohortExecution', id: string }
        | { __typename: 'CohortFunnelStep', id: string }
        | { __typename: 'ComposerEpisode', id: string }
        | { __typename: 'CompositionStep', id: string }
        | { __typename: 'DataQualityReport', id: string }
        | { __typename: 'Deployment', id: string }
        | { __typename: 'DiscoveredDag', id: string }
        | { __typename: 'DiscoveredEdge', id: string }
        | { __typename: 'DiscoveryAlgorithmRun', id: string }
        | { __typename: 'DriftRecord', id: string }
        | { __typename: 'DriftStatus', id: string }
        | { __typename: 'DriftTrend7d', id: string }
        | { __typename: 'DriverRanking', id: string }
        | { __typename: 'Enrollment', id: string }
        | { __typename: 'Estimate', id: string }
        | { __typename: 'Evaluation', id: string }
        | { __typename: 'Experiment', id: string }
        | { __typename: 'ExperimentHealth', id: string }
        | { __typename: 'ExperimentKnowledge', id: string }
        | { __typename: 'ExperimentResult', id: string }
        | { __typename: 'ExpertReview', id: string }
        | { __typename: 'Feature', id: string }
        | { __typename: 'FeatureFreshness', id: string }
        | { __typename: 'FeatureRanking', id: string }
        | { __typename: 'FeatureView', id: string }
        | { __typename: 'FidelityComparison', id: string }
        | { __typename: 'HpoStudy', id: string }
        | { __typename: 'HpoTrial', id: string }
        | { __typename: 'ImprovementAction', id: string }
        | { __typename: 'InterimAnalysis', id: string }
        | { __typename: 'LatestDataQuality', id: string }
        | { __typename: 'LifecycleEvent', id: string }
        | { __typename: 'MaterializationJob', id: string }
        | { __typename: 'Model', id: string }
        | { __typename: 'ModelHealth', id: string }
        | { __typename: 'MonitoringAlert', id: string }
        | { __typename: 'MonitoringRun', id: string }
        | { __typename: 'ObservabilitySpan', id: string }
        | { __typename: 'OptimizedInstruction', id: string }
        | { __typename: 'OptimizedToolDescription', id: string }
        | { __typename: 'PatientCohortAssignment', id: string }
        | { __typename: 'PerformanceMetric', id: string }
        | { __typename: 'PromptAbTest', id: string }
        | { __typename: 'PromptAbTestObservation', id: string }
        | { __typename: 'PromptConfiguration', id: string }
        | { __typename: 'PromptOptimizationRun', id: string }
        | { __typename: 'Retraining', id: string }
        | { __typename: 'RetrievalConfiguration', id: string }
        | { __typename: 'RoiCalculation', id: string }
        | { __typename: 'RoiCostDetail', id: string }
        | { __typename: 'RoiValueDriverDetail', id: string }
        | { __typename: 'SegmentResult', id: string }
        | { __typename: 'ServingMetric', id: string }
        | { __typename: 'ShapAnalysis', id: string }
        | { __typename: 'SrmCheck', id: string }
        | { __typename: 'Tool', id: string }
        | { __typename: 'ToolDependency', id: string }
        | { __typename: 'ToolPerformance', id: string }
        | { __typename: 'TrainingRun', id: string }
        | { __typename: 'TwinFidelity', id: string }
        | { __typename: 'TwinModel', id: string }
        | { __typename: 'TwinSimulation', id: string }
       | null }> } | null };

export type TwinQuery = { twinModel: { fidelityHistory: { nodes: Array<{ predictionError: number | null, ciCoverage: boolean | null, effectGrade: string | null }> } | null, simulations: { nodes: Array<{ id: string, interventionType: string | null, recommendation: SimulationRecommendation | null, simulatedAte: number | null, simulatedCiLower: number | null, simulatedCiUpper: number | null }> } | null } | null };

export type TypeFieldsQuery = { __type: { fields: Array<{ name: string, description: string | null }> | null } | null };

/** The text of an operation; the type is that of its answer. */
export type Operation<T> = string & { readonly answers?: T };

export const ALERT_CHANGES = "subscription AlertChanges($after: String) { alerts(after: $after) { cursor change } }" as Operation<AlertChangesSubscription>;
export const EXPLORER_VIEW = "query ExplorerView($from: [ID!]!) {\n  # every node of the view and all edges among them; maxDepth 0 walks no further\n  lineage(from: $from, maxDepth: 0) {\n    nodes { nodeId type label state degree { upstream downstream capped } }\n    edges { from to kind closesCycle }\n    complete reason asOf missing\n    omitted { type count }\n  }\n}" as Operation<ExplorerViewQuery>;
export const CHANGES = "subscription Changes($after: String) { lifecycleEvents(after: $after) { cursor event { nodeId } } }" as Operation<ChangesSubscription>;
export const COUNTED = "query Counted($from: [ID!]!, $most: Int, $far: Int) { lineage(from: $from, maxDepth: 0, maxNodes: $most, countUpTo: $far) { nodes { nodeId type label state degree { upstream downstream capped } } frontier { node direction kind type depth remaining capped cursor } } }" as Operation<CountedQuery>;
export const DIFF = "query Diff($between: [DateTime!]!, $from: [ID!]!, $direction: LineageDirection, $maxDepth: Int, $perNodeLimit: Int, $through: [LineageKind!]) { lineageDiff(between: $between, from: $from, direction: $direction, maxDepth: $maxDepth, perNodeLimit: $perNodeLimit, through: $through) { added { nodes { nodeId type label state } } removed { nodes { nodeId type label state } } changed { node { nodeId type label state } at lifecycle from to actor } unknown complete reason } }" as Operation<DiffQuery>;
export const EVENT = "query Event($id: ID!) { lifecycleEvent(id: $id) { id mutation nodeId nodeType lifecycle fromState toState actor reason forced details requestId occurredAt } }" as Operation<EventQuery>;
export const FOLLOWS = "query Follows { __schema { subscriptionType { name } } }" as Operation<FollowsQuery>;
export const HEALTHS = "query Healths($ids: [ID!]!) { nodes(ids: $ids) { ... on Model { id health { healthStatus } } } }" as Operation<HealthsQuery>;
export const HOME = "query Home($since: DateTime!) { champions: models(first: 50, where: { isChampion: { eq: true } }, orderBy: [{ field: MODEL_NAME }]) { totalCount totalCountIsExact nodes { id rowId modelName modelVersion stage auc experiment { id experimentName brand } health { healthStatus maxDriftSeverity activeAlerts criticalAlerts latestMetricValue primaryMetric performanceDegraded } deployments(first: 1, where: { environment: { eq: \"production\" }, status: { eq: ACTIVE } }) { nodes { id deploymentName status lifecycle { changes { mutation to allowed scope blockedBy { message overridable } } } } } } } models { totalCount } scores: driftRecords(where: { createdAt: { gte: $since }, model: { isChampion: { eq: true } } }) { aggregate(groupBy: [{ field: MODEL_ID }, { field: CREATED_AT, bucket: DAY }]) { group { modelId createdAt } driftScore { max } } } alerts: monitoringAlerts( first: 20 where: { status: { in: [ACTIVE, ACKNOWLEDGED, INVESTIGATING] } } orderBy: [{ field: SEVERITY, direction: DESC }, { field: CREATED_AT, direction: DESC }] ) { totalCount totalCountIsExact nodes { id title severity status createdAt triggeredRetraining lifecycle { changes { mutation to allowed scope blockedBy { message overridable } } } model { id modelName modelVersion } } } drift: driftRecords(where: { createdAt: { gte: $since } }) { aggregate(groupBy: [{ field: CREATED_AT, bucket: DAY }, { field: SEVERITY }]) { group { createdAt severity } count } } fidelity: fidelityComparisons { aggregate(groupBy: [{ field: FIDELITY_GRADE }]) { group { fidelityGrade } count absolutePredictionError { avg } } } twins: twinModels(first: 10, where: { isActive: { eq: true } }, orderBy: [{ field: FIDELITY_SCORE, direction: ASC }]) { nodes { id modelName brand fidelityScore } } deployments { aggregate(groupBy: [{ field: ENVIRONMENT }, { field: STATUS }]) { group { environment status } count } } changes: lifecycleEvents(first: 8) { nodes { id nodeId nodeType lifecycle fromState toState actor reason forced occurredAt node { ... on Model { modelName modelVersion } ... on MonitoringAlert { title } ... on Deployment { deploymentName } } } } }" as Operation<HomeQuery>;
export const IMPACT = "query Impact($id: ID!, $to: String!) { impact(of: $id, if: { to: $to }, maxNodes: 200) { complete nodes { nodeId type } } }" as Operation<ImpactQuery>;
export const LABELS = "query Labels($ids: [ID!]!) { lineage(from: $ids, maxDepth: 0, perNodeLimit: 1, maxNodes: 40) { nodes { nodeId label state } } }" as Operation<LabelsQuery>;
export const LINEAGE = "query Lineage($from: [ID!]!, $direction: LineageDirection, $maxDepth: Int, $perNodeLimit: Int, $maxNodes: Int, $through: [LineageKind!], $after: [String!]) { lineage(from: $from, direction: $direction, maxDepth: $maxDepth, perNodeLimit: $perNodeLimit, maxNodes: $maxNodes, through: $through, after: $after) { nodes { nodeId type label state degree { upstream downstream capped } } edges { from to kind closesCycle } complete reason asOf missing omitted { type count } frontier { node direction kind type depth remaining capped cursor } } }" as Operation<LineageQuery>;
export const LIST_ALERTS = "query ListAlerts($first: Int, $after: String, $where: MonitoringAlertWhere, $orderBy: [MonitoringAlertOrder!]) { rows: monitoringAlerts(first: $first, after: $after, where: $where, orderBy: $orderBy) { totalCount totalCountIsExact pageInfo { hasNextPage endCursor } nodes { id title alertType severity status compositeDriftScore createdAt acknowledgedBy triggeredRetraining model { id modelName modelVersion } lifecycle { changes { mutation to allowed scope blockedBy { message overridable } } } } } }" as Operation<ListAlertsQuery>;
export const LIST_DEPLOYMENTS = "query ListDeployments($first: Int, $after: String, $where: DeploymentWhere, $orderBy: [DeploymentOrder!]) { rows: deployments(first: $first, after: $after, where: $where, orderBy: $orderBy) { totalCount totalCountIsExact pageInfo { hasNextPage endCursor } nodes { id deploymentName environment status latencyP95Ms errorRate deployedAt deployedBy model { id modelName modelVersion health { healthStatus } } services(first: 20) { nodes { healthStatus } } lifecycle { changes { mutation to allowed scope blockedBy { message overridable } } } } } }" as Operation<ListDeploymentsQuery>;
export const LIST_EXPERIMENTS = "query ListExperiments($first: Int, $after: String, $where: ExperimentWhere, $orderBy: [ExperimentOrder!]) { rows: experiments(first: $first, after: $after, where: $where, orderBy: $orderBy) { totalCount totalCountIsExact pageInfo { hasNextPage endCursor } nodes { id experimentName brand region predictionTarget createdAt champion { id modelName modelVersion } health { status enrollments latestDecision effectEstimate effectPValue fidelityGrade championHealth { healthStatus } } } } }" as Operation<ListExperimentsQuery>;
export const LIST_MODELS = "query ListModels($first: Int, $after: String, $where: ModelWhere, $orderBy: [ModelOrder!]) { rows: models(first: $first, after: $after, where: $where, orderBy: $orderBy) { totalCount totalCountIsExact pageInfo { hasNextPage endCursor } nodes { id modelName modelVersion stage isChampion auc prAuc brierScore trainingSamples trainedAt experiment { id experimentName } health { healthStatus activeAlerts } } } }" as Operation<ListModelsQuery>;
export const LIST_TWINS = "query ListTwins($first: Int, $after: String, $where: TwinModelWhere, $orderBy: [TwinModelOrder!]) { rows: twinModels(first: $first, after: $after, where: $where, orderBy: $orderBy) { totalCount totalCountIsExact pageInfo { hasNextPage endCursor } nodes { id modelName modelVersion twinType brand isActive fidelityScore fidelitySampleCount lastFidelityUpdate createdAt fidelityHistory { aggregate(groupBy: [{ field: EFFECT_GRADE }]) { group { effectGrade } count } } } } }" as Operation<ListTwinsQuery>;
export const PATHS = "query Paths($from: ID!, $to: ID!) { paths(from: $from, to: $to, direction: BOTH, first: 1) { paths { nodes { nodeId } } reason } }" as Operation<PathsQuery>;
export const SEARCH = "query Search($text: String!, $types: [SearchType!], $first: Int) { search(text: $text, types: $types, first: $first) { hits { score field text state time node { __typename id } belongsTo { __typename id } } } }" as Operation<SearchQuery>;
export const TWIN = "query Twin($id: ID!) { twinModel(id: $id) { fidelityHistory(first: 200) { nodes { predictionError ciCoverage effectGrade } } simulations(first: 1, where: { recommendation: { isNull: false } }) { nodes { id interventionType recommendation simulatedAte simulatedCiLower simulatedCiUpper } } } }" as Operation<TwinQuery>;
export const TYPE_FIELDS = "query TypeFields($name: String!) { __type(name: $name) { fields { name description } } }" as Operation<TypeFieldsQuery>;

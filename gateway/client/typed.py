"""Rows, inputs and mutations as the gateway's schema has them; made by `make snapshot`."""
# ruff: noqa: A002, E501
# fmt: off

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Generic, Literal, Required, TypeAlias, TypedDict, TypeVar, Unpack
from uuid import UUID

ChangedT = TypeVar("ChangedT")
RecordingT = TypeVar("RecordingT")


class RecordOptions(TypedDict, total=False):
    """How rows are recorded; see `Gateway.record`."""

    key: str | None
    on_conflict: Literal["ERROR", "KEEP", "UPDATE"] | None
    dry_run: bool
    ids: bool
    size: int
    progress: Callable[[int], object] | bool

AbTestVariant: TypeAlias = Literal["BASELINE", "GEPA", "GEPA_V2", "CONTROL"]

AgentTier: TypeAlias = Literal["ML_FOUNDATION", "COORDINATION", "CAUSAL_ANALYTICS", "MONITORING", "ML_PREDICTIONS", "SELF_IMPROVEMENT"]

AlertStatus: TypeAlias = Literal["ACTIVE", "ACKNOWLEDGED", "INVESTIGATING", "RESOLVED", "DISMISSED"]

AnalysisMethod: TypeAlias = Literal["ITT", "PER_PROTOCOL", "AS_TREATED", "CACE"]

AnalysisType: TypeAlias = Literal["INTERIM", "FINAL", "POST_HOC"]

AttributionLevel: TypeAlias = Literal["FULL", "PARTIAL", "SHARED", "MINIMAL"]

Brand: TypeAlias = Literal["REMIBRUTINIB", "FABHALTA", "KISQALI", "COMPETITOR", "OTHER"]

CohortStatus: TypeAlias = Literal["DRAFT", "ACTIVE", "LOCKED", "ARCHIVED"]

CompositionStatus: TypeAlias = Literal["PENDING", "DECOMPOSING", "PLANNING", "EXECUTING", "SYNTHESIZING", "COMPLETED", "FAILED", "TIMEOUT"]

DataQualityStatus: TypeAlias = Literal["PASSED", "FAILED", "WARNING", "SKIPPED"]

DataSplit: TypeAlias = Literal["TRAIN", "VALIDATION", "TEST", "HOLDOUT", "UNASSIGNED"]

DeploymentStatus: TypeAlias = Literal["PENDING", "DEPLOYING", "ACTIVE", "DRAINING", "ROLLED_BACK", "FAILED"]

DiscoveryAlgorithm: TypeAlias = Literal["GES", "PC", "FCI", "LINGAM", "DIRECT_LINGAM", "ICA_LINGAM"]

DiscoveryGateDecision: TypeAlias = Literal["ACCEPT", "REVIEW", "REJECT", "AUGMENT"]

DriftSeverity: TypeAlias = Literal["NONE", "LOW", "MEDIUM", "HIGH", "CRITICAL"]

DriftType: TypeAlias = Literal["DATA", "MODEL", "CONCEPT"]

EdgeType: TypeAlias = Literal["DIRECTED", "UNDIRECTED", "BIDIRECTED"]

EpisodeFeedback: TypeAlias = Literal["PENDING", "SUCCESS", "FAILURE"]

ExecutionStatus: TypeAlias = Literal["SUCCESS", "PARTIAL", "FAILED"]

ExpertReviewType: TypeAlias = Literal["DAG_APPROVAL", "METHODOLOGY_REVIEW", "QUARTERLY_AUDIT", "AD_HOC_VALIDATION"]

GateDecision: TypeAlias = Literal["PROCEED", "REVIEW", "BLOCK"]

GepaBudgetPreset: TypeAlias = Literal["LIGHT", "MEDIUM", "HEAVY", "CUSTOM"]

HealthStatus: TypeAlias = Literal["HEALTHY", "DEGRADED", "UNHEALTHY", "UNKNOWN", "STARTING", "STOPPED", "UNAVAILABLE"]

ImprovementType: TypeAlias = Literal["RETRIEVAL", "PROMPT", "WORKFLOW", "NONE"]

InitiativeType: TypeAlias = Literal["DATA_SOURCE_INTEGRATION", "NEW_ML_MODEL", "ALGORITHM_OPTIMIZATION", "DASHBOARD_ENHANCEMENT", "TRIGGER_REDESIGN", "AB_TEST_IMPLEMENTATION", "OTHER"]

InterimDecision: TypeAlias = Literal["CONTINUE", "STOP_EFFICACY", "STOP_FUTILITY", "STOP_SAFETY", "MODIFY_SAMPLE"]

JobStatus: TypeAlias = Literal["PENDING", "RUNNING", "SUCCESS", "COMPLETED", "FAILED"]

LifecycleType: TypeAlias = Literal["BentoService", "ClassificationLog", "CohortDefinition", "CohortExecution", "ComposerEpisode", "CompositionStep", "Deployment", "Enrollment", "ExpertReview", "HpoStudy", "HpoTrial", "ImprovementAction", "InterimAnalysis", "MaterializationJob", "Model", "MonitoringAlert", "MonitoringRun", "OptimizedInstruction", "OptimizedToolDescription", "PromptAbTest", "PromptConfiguration", "PromptOptimizationRun", "Retraining", "RetrievalConfiguration", "TrainingRun", "TwinModel", "TwinSimulation"]

ModelStage: TypeAlias = Literal["DEVELOPMENT", "STAGING", "SHADOW", "PRODUCTION", "ARCHIVED", "DEPRECATED"]

OnConflict: TypeAlias = Literal["ERROR", "KEEP", "UPDATE"]

OptimizationStatus: TypeAlias = Literal["PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED", "ROLLED_BACK"]

OptimizerType: TypeAlias = Literal["MIPROV2", "GEPA", "BOOTSTRAP_FEWSHOT", "COPRO", "SIMBA", "MANUAL"]

RandomizationMethod: TypeAlias = Literal["SIMPLE", "STRATIFIED", "BLOCK", "CLUSTER", "ADAPTIVE"]

RefutationTest: TypeAlias = Literal["PLACEBO_TREATMENT", "RANDOM_COMMON_CAUSE", "DATA_SUBSET", "BOOTSTRAP", "SENSITIVITY_E_VALUE"]

Region: TypeAlias = Literal["NORTHEAST", "SOUTH", "MIDWEST", "WEST"]

ResolutionAction: TypeAlias = Literal["RETRAINED", "ROLLED_BACK", "DISMISSED", "FIXED_DATA"]

RetrainingStatus: TypeAlias = Literal["PENDING", "APPROVED", "TRAINING", "VALIDATING", "COMPLETED", "DEPLOYED", "FAILED", "REJECTED", "CANCELLED", "ROLLED_BACK"]

RiskLevel: TypeAlias = Literal["LOW", "MEDIUM", "HIGH"]

RoutingFeedback: TypeAlias = Literal["PENDING", "CORRECT", "INCORRECT"]

RoutingPattern: TypeAlias = Literal["SINGLE_AGENT", "PARALLEL_DELEGATION", "TOOL_COMPOSER", "CLARIFICATION_NEEDED"]

RunStatus: TypeAlias = Literal["RUNNING", "COMPLETED", "FAILED"]

SimulationRecommendation: TypeAlias = Literal["DEPLOY", "SKIP", "REFINE"]

SimulationStatus: TypeAlias = Literal["PENDING", "RUNNING", "COMPLETED", "FAILED"]

SrmSeverity: TypeAlias = Literal["NONE", "MINOR", "MODERATE", "SEVERE"]

StatisticalTest: TypeAlias = Literal["PSI", "KS", "CHI_SQUARE", "WASSERSTEIN", "JS_DIVERGENCE", "IMPORTANCE_CORRELATION"]

StudyStatus: TypeAlias = Literal["RUNNING", "COMPLETED", "FAILED", "PRUNED"]

ToolCategory: TypeAlias = Literal["CAUSAL", "SEGMENTATION", "GAP", "EXPERIMENT", "PREDICTION", "MONITORING"]

TrainingStatus: TypeAlias = Literal["RUNNING", "COMPLETED", "FINISHED", "FAILED", "KILLED"]

TrialState: TypeAlias = Literal["WAITING", "RUNNING", "COMPLETE", "PRUNED", "FAIL"]

TwinType: TypeAlias = Literal["HCP", "PATIENT", "TERRITORY"]

UnitType: TypeAlias = Literal["HCP", "PATIENT", "TERRITORY", "ACCOUNT"]

ValidationStatus: TypeAlias = Literal["PASSED", "FAILED", "WARNING", "SKIPPED"]

ValueDriver: TypeAlias = Literal["TRX_LIFT", "PATIENT_IDENTIFICATION", "ACTION_RATE", "INTENT_TO_PRESCRIBE", "DATA_QUALITY", "DRIFT_PREVENTION"]

WebhookFormat: TypeAlias = Literal["STANDARD", "OPENLINEAGE"]

WithdrawalInitiator: TypeAlias = Literal["SUBJECT", "INVESTIGATOR", "SPONSOR", "SYSTEM"]

Workstream: TypeAlias = Literal["WS1", "WS2", "WS3"]


class AcknowledgeAlertInput(TypedDict, total=False):
    """Input of `acknowledgeAlert`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    acknowledgementNotes: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class AcknowledgeAlertsInput(TypedDict, total=False):
    """Input of `acknowledgeAlerts`."""

    items: Required[Sequence[ChangeItem]]
    acknowledgementNotes: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class ActivateOptimizedInstructionInput(TypedDict, total=False):
    """Input of `activateOptimizedInstruction`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class ActivateOptimizedToolDescriptionInput(TypedDict, total=False):
    """Input of `activateOptimizedToolDescription`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class ActivatePromptConfigurationInput(TypedDict, total=False):
    """Input of `activatePromptConfiguration`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class ActivateRetrievalConfigurationInput(TypedDict, total=False):
    """Input of `activateRetrievalConfiguration`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class ActivateTwinModelInput(TypedDict, total=False):
    """Input of `activateTwinModel`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class ActivateTwinModelsInput(TypedDict, total=False):
    """Input of `activateTwinModels`."""

    items: Required[Sequence[ChangeItem]]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class ApplyImprovementInput(TypedDict, total=False):
    """Input of `applyImprovement`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class ApplyImprovementsInput(TypedDict, total=False):
    """Input of `applyImprovements`."""

    items: Required[Sequence[ChangeItem]]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class ApproveReviewInput(TypedDict, total=False):
    """Input of `approveReview`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    checklistJson: Any
    validUntil: date | str | None
    conditions: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class AssignmentByUnit(TypedDict, total=False):
    """Identifies a row of Assignment by a unique key."""

    experimentId: Required[UUID | str]
    unitId: Required[str]


class AssignmentRefId(TypedDict):
    """A reference to an existing Assignment row, by exactly one of these fields."""

    id: str | UUID


class AssignmentRefUnit(TypedDict):
    """A reference to an existing Assignment row, by exactly one of these fields."""

    unit: AssignmentByUnit


AssignmentRef: TypeAlias = "AssignmentRefId | AssignmentRefUnit"


class AssignmentRow(TypedDict, total=False):
    """A row of Assignment to record. Columns that are left out take their defaults; null is stored as null."""

    experiment: Required[ExperimentRef]
    unitId: Required[str]
    unitType: Required[UnitType]
    variant: Required[str]
    id: UUID | str | None
    assignedAt: datetime | str | None
    randomizationMethod: RandomizationMethod | None
    stratificationKey: Any
    blockId: str | None
    assignmentHash: str | None


class BentoServiceRefId(TypedDict):
    """A reference to an existing BentoService row, by exactly one of these fields."""

    id: str | UUID


BentoServiceRef: TypeAlias = "BentoServiceRefId"


class CausalValidationRow(TypedDict, total=False):
    """A row of CausalValidation to record. Columns that are left out take their defaults; null is stored as null."""

    estimateId: Required[UUID | str]
    testType: Required[RefutationTest]
    status: Required[ValidationStatus]
    id: UUID | str | None
    estimateSource: str | None
    originalEffect: float | Decimal | None
    refutedEffect: float | Decimal | None
    pValue: float | Decimal | None
    deltaPercent: float | Decimal | None
    confidenceScore: float | Decimal | None
    gateDecision: GateDecision | None
    testConfig: Any
    detailsJson: Any
    agentActivityId: str | None
    brand: str | None
    analysisContext: str | None
    treatmentVariable: str | None
    outcomeVariable: str | None
    dataSplit: str | None


class ChangeItem(TypedDict, total=False):
    """A row that a change is about."""

    id: Required[str | UUID]
    expectedVersion: str | None


class ChangeWebhookInput(TypedDict, total=False):
    """Input of `changeWebhook`."""

    name: Required[str]
    url: str | None
    lifecycle: WebhookLifecycleFilters | None
    alerts: WebhookAlertFilters | None
    idempotencyKey: str | None
    dryRun: bool | None


class ClassificationLogRefId(TypedDict):
    """A reference to an existing ClassificationLog row, by exactly one of these fields."""

    id: str | UUID


ClassificationLogRef: TypeAlias = "ClassificationLogRefId"


class ClassificationLogRow(TypedDict, total=False):
    """A row of ClassificationLog to record. Columns that are left out take their defaults; null is stored as null."""

    queryText: Required[str]
    queryHash: Required[str]
    routingPattern: Required[RoutingPattern]
    confidence: Required[float | Decimal]
    classificationLatencyMs: Required[float | Decimal]
    id: UUID | str | None
    targetAgents: Sequence[str | None] | None
    featuresExtracted: Any
    domainMapping: Any
    dependencyAnalysis: Any
    subQuestions: Any
    dependencies: Any
    usedLlmLayer: bool | None
    sessionId: str | None
    userId: str | None
    isFollowup: bool | None


class CohortDefinitionByVersion(TypedDict, total=False):
    """Identifies a row of CohortDefinition by a unique key."""

    brand: Required[str]
    indication: Required[str]
    version: Required[str]


class CohortDefinitionRefId(TypedDict):
    """A reference to an existing CohortDefinition row, by exactly one of these fields."""

    id: str | UUID


class CohortDefinitionRefVersion(TypedDict):
    """A reference to an existing CohortDefinition row, by exactly one of these fields."""

    version: CohortDefinitionByVersion


CohortDefinitionRef: TypeAlias = "CohortDefinitionRefId | CohortDefinitionRefVersion"


class CohortEligibilityLogChild(TypedDict, total=False):
    """A CohortEligibilityLog row, created together with the CohortExecution that it belongs to."""

    cohort: Required[CohortDefinitionRef]
    criterionOrder: Required[int]
    criterionName: Required[str]
    criterionType: Required[str]
    operator: Required[str]
    removedCount: Required[int]
    remainingCount: Required[int]
    criterionValue: Any
    description: str | None
    clinicalRationale: str | None
    appliedAt: datetime | str | None


class CohortEligibilityLogRow(TypedDict, total=False):
    """A row of CohortEligibilityLog to record. Columns that are left out take their defaults; null is stored as
    null."""

    cohort: Required[CohortDefinitionRef]
    execution: Required[CohortExecutionRef]
    criterionOrder: Required[int]
    criterionName: Required[str]
    criterionType: Required[str]
    operator: Required[str]
    removedCount: Required[int]
    remainingCount: Required[int]
    criterionValue: Any
    description: str | None
    clinicalRationale: str | None
    appliedAt: datetime | str | None


class CohortExecutionRefId(TypedDict):
    """A reference to an existing CohortExecution row, by exactly one of these fields."""

    id: str | UUID


CohortExecutionRef: TypeAlias = "CohortExecutionRefId"


class CompleteCohortExecutionInput(TypedDict, total=False):
    """Input of `completeCohortExecution`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    eligibleRowCount: int | None
    excludedRowCount: int | None
    outputDataset: str | None
    executionTimeMs: int | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CompleteEnrollmentInput(TypedDict, total=False):
    """Input of `completeEnrollment`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CompleteEnrollmentsInput(TypedDict, total=False):
    """Input of `completeEnrollments`."""

    items: Required[Sequence[ChangeItem]]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CompleteHpoStudyInput(TypedDict, total=False):
    """Input of `completeHpoStudy`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CompleteMonitoringRunInput(TypedDict, total=False):
    """Input of `completeMonitoringRun`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    overallHealthScore: float | Decimal | None
    totalChecks: int | None
    driftDetectedCount: int | None
    alertsGenerated: int | None
    criticalCount: int | None
    highCount: int | None
    mediumCount: int | None
    lowCount: int | None
    requiresAttention: bool | None
    summary: Any
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CompleteRetrainingInput(TypedDict, total=False):
    """Input of `completeRetraining`."""

    id: Required[str | UUID]
    newModelVersion: Required[str]
    newMetricValue: Required[float | Decimal]
    expectedVersion: str | None
    oldMetricValue: float | Decimal | None
    deploymentId: str | UUID | None
    autoDeployed: bool | None
    notes: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CompleteSimulationInput(TypedDict, total=False):
    """Input of `completeSimulation`."""

    id: Required[str | UUID]
    simulatedAte: Required[float | Decimal]
    simulatedCiLower: Required[float | Decimal]
    simulatedCiUpper: Required[float | Decimal]
    recommendation: Required[SimulationRecommendation]
    expectedVersion: str | None
    recommendationRationale: str | None
    recommendedSampleSize: int | None
    simulationConfidence: float | Decimal | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CompleteTrainingRunInput(TypedDict, total=False):
    """Input of `completeTrainingRun`."""

    id: Required[str | UUID]
    to: Required[TrainingStatus]
    expectedVersion: str | None
    trainMetrics: Any
    validationMetrics: Any
    testMetrics: Any
    modelRegistryId: str | UUID | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class ComposerEpisodeRefId(TypedDict):
    """A reference to an existing ComposerEpisode row, by exactly one of these fields."""

    id: str | UUID


ComposerEpisodeRef: TypeAlias = "ComposerEpisodeRefId"


class CompositionStepChild(TypedDict, total=False):
    """A CompositionStep row, created together with the ComposerEpisode that it belongs to."""

    stepNumber: Required[int]
    stepName: Required[str]
    tool: Required[ToolRef]
    toolName: Required[str]
    id: UUID | str | None
    inputParams: Any
    outputResult: Any
    dependsOnSteps: Sequence[int | None] | None
    servesSubQuestion: str | None
    startedAt: datetime | str | None
    completedAt: datetime | str | None
    latencyMs: float | Decimal | None
    status: CompositionStatus | None
    errorMessage: str | None
    retryCount: int | None


class CompositionStepRefId(TypedDict):
    """A reference to an existing CompositionStep row, by exactly one of these fields."""

    id: str | UUID


CompositionStepRef: TypeAlias = "CompositionStepRefId"


class CompositionStepRow(TypedDict, total=False):
    """A row of CompositionStep to record. Columns that are left out take their defaults; null is stored as null."""

    episode: Required[ComposerEpisodeRef]
    stepNumber: Required[int]
    stepName: Required[str]
    tool: Required[ToolRef]
    toolName: Required[str]
    id: UUID | str | None
    inputParams: Any
    outputResult: Any
    dependsOnSteps: Sequence[int | None] | None
    servesSubQuestion: str | None
    startedAt: datetime | str | None
    completedAt: datetime | str | None
    latencyMs: float | Decimal | None
    status: CompositionStatus | None
    errorMessage: str | None
    retryCount: int | None


class ConcludePromptAbTestInput(TypedDict, total=False):
    """Input of `concludePromptAbTest`."""

    id: Required[str | UUID]
    winner: Required[AbTestVariant]
    expectedVersion: str | None
    pValue: float | Decimal | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateBentoServiceInput(TypedDict, total=False):
    """Input of `createBentoService`."""

    serviceName: Required[str]
    bentoTag: Required[str]
    id: UUID | str | None
    bentoVersion: str | None
    model: ModelRef | None
    deployment: DeploymentRef | None
    containerImage: str | None
    containerTag: str | None
    replicas: int | None
    resources: Any
    environment: str | None
    servingEndpoint: str | None
    internalEndpoint: str | None
    labels: Any
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateCohortComparisonInput(TypedDict, total=False):
    """Input of `createCohortComparison`."""

    id: Required[str]
    comparisonName: Required[str]
    cohortIds: Required[Any]
    comparisonDescription: str | None
    comparedAt: datetime | str | None
    inputDataset: str | None
    inputRowCount: int | None
    comparisonResults: Any
    visualizationConfig: Any
    onConflict: OnConflict | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateCohortDefinitionInput(TypedDict, total=False):
    """Input of `createCohortDefinition`."""

    id: Required[str]
    brand: Required[str]
    indication: Required[str]
    cohortName: Required[str]
    inclusionCriteria: Required[Any]
    exclusionCriteria: Required[Any]
    version: str | None
    lookbackDays: int | None
    followupDays: int | None
    indexDateField: str | None
    requiredFields: Any
    initialPopulation: int | None
    eligiblePopulation: int | None
    excludedPopulation: int | None
    exclusionRate: float | Decimal | None
    clinicalRationale: str | None
    regulatoryJustification: str | None
    configHash: str | None
    onConflict: OnConflict | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateCohortExecutionInput(TypedDict, total=False):
    """Input of `createCohortExecution`."""

    id: Required[str]
    cohort: Required[CohortDefinitionRef]
    executionTimestamp: datetime | str | None
    environment: str | None
    inputDataset: str | None
    inputRowCount: int | None
    eligibleRowCount: int | None
    excludedRowCount: int | None
    outputDataset: str | None
    executionTimeMs: int | None
    validateConfigMs: int | None
    applyCriteriaMs: int | None
    validateTemporalMs: int | None
    generateMetadataMs: int | None
    status: ExecutionStatus | None
    errorMessage: str | None
    errorCode: str | None
    eligibilityLog: Sequence[CohortEligibilityLogChild] | None
    onConflict: OnConflict | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateComposerEpisodeInput(TypedDict, total=False):
    """Input of `createComposerEpisode`."""

    compositionId: Required[str]
    queryText: Required[str]
    totalLatencyMs: Required[float | Decimal]
    id: UUID | str | None
    queryEmbedding: Sequence[float] | None
    subQuestions: Any
    toolPlan: Any
    parallelizableGroups: Any
    toolOutputs: Any
    synthesizedResponse: str | None
    decomposeLatencyMs: float | Decimal | None
    planLatencyMs: float | Decimal | None
    executeLatencyMs: float | Decimal | None
    synthesizeLatencyMs: float | Decimal | None
    status: CompositionStatus | None
    errorMessage: str | None
    sessionId: str | None
    userId: str | None
    classification: ClassificationLogRef | None
    completedAt: datetime | str | None
    steps: Sequence[CompositionStepChild] | None
    onConflict: OnConflict | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateDataQualityReportInput(TypedDict, total=False):
    """Input of `createDataQualityReport`."""

    reportName: Required[str]
    overallStatus: Required[DataQualityStatus]
    expectationsEvaluated: Required[int]
    expectationsPassed: Required[int]
    expectationsFailed: Required[int]
    dataSplit: Required[DataSplit]
    id: UUID | str | None
    expectationSuiteName: str | None
    tableName: str | None
    brand: Brand | None
    region: Region | None
    successRate: float | Decimal | None
    failedExpectations: Any
    completenessScore: float | Decimal | None
    validityScore: float | Decimal | None
    uniquenessScore: float | Decimal | None
    consistencyScore: float | Decimal | None
    timelinessScore: float | Decimal | None
    accuracyScore: float | Decimal | None
    leakageDetected: bool | None
    leakageDetails: Any
    runAt: datetime | str | None
    durationSeconds: int | None
    trainingRun: TrainingRunRef | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateDiscoveredDagInput(TypedDict, total=False):
    """Input of `createDiscoveredDag`."""

    nSamples: Required[int]
    nFeatures: Required[int]
    id: UUID | str | None
    sessionId: UUID | str | None
    discoveryTimestamp: datetime | str | None
    featureNames: Any
    algorithmsUsed: Sequence[str | None] | None
    ensembleThreshold: float | Decimal | None
    alpha: float | Decimal | None
    nEdges: int | None
    nNodes: int | None
    edgeList: Any
    gateDecision: DiscoveryGateDecision | None
    gateConfidence: float | Decimal | None
    gateReasons: Any
    totalRuntimeSeconds: float | Decimal | None
    algorithmRuns: Sequence[DiscoveryAlgorithmRunChild] | None
    edges: Sequence[DiscoveredEdgeChild] | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateDriverRankingInput(TypedDict, total=False):
    """Input of `createDriverRanking`."""

    targetVariable: Required[str]
    id: UUID | str | None
    dag: DiscoveredDagRef | None
    sessionId: UUID | str | None
    rankingTimestamp: datetime | str | None
    rankings: Any
    nFeatures: int | None
    rankCorrelation: float | Decimal | None
    causalOnlyFeatures: Sequence[str | None] | None
    predictiveOnlyFeatures: Sequence[str | None] | None
    concordantFeatures: Sequence[str | None] | None
    featureRankings: Sequence[FeatureRankingChild] | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateEnrollmentInput(TypedDict, total=False):
    """Input of `createEnrollment`."""

    assignment: Required[AssignmentRef]
    id: UUID | str | None
    enrolledAt: datetime | str | None
    eligibilityCriteriaMet: Any
    eligibilityCheckTimestamp: datetime | str | None
    consentTimestamp: datetime | str | None
    consentMethod: str | None
    consentVersion: str | None
    onConflict: OnConflict | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateExperimentInput(TypedDict, total=False):
    """Input of `createExperiment`."""

    experimentName: Required[str]
    predictionTarget: Required[str]
    id: UUID | str | None
    mlflowExperimentId: str | None
    description: str | None
    targetPopulation: str | None
    observationWindowDays: int | None
    predictionHorizonDays: int | None
    minimumAuc: float | Decimal | None
    minimumPrecisionAtK: float | Decimal | None
    maximumFpr: float | Decimal | None
    brand: Brand | None
    region: Region | None
    dataSplit: DataSplit | None
    onConflict: OnConflict | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateExperimentKnowledgeInput(TypedDict, total=False):
    """Input of `createExperimentKnowledge`."""

    sourceType: Required[str]
    lessonType: Required[str]
    title: Required[str]
    description: Required[str]
    id: UUID | str | None
    sourceId: UUID | str | None
    knowledgeJson: Any
    applicableBrands: Sequence[str | None] | None
    applicableContexts: Sequence[str | None] | None
    embedding: Sequence[float] | None
    confidenceLevel: float | Decimal | None
    validated: bool | None
    validationDate: date | str | None
    onConflict: OnConflict | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateExperimentResultInput(TypedDict, total=False):
    """Input of `createExperimentResult`."""

    experiment: Required[ExperimentRef]
    analysisType: Required[AnalysisType]
    primaryMetric: Required[str]
    controlN: Required[int]
    treatmentN: Required[int]
    effectEstimate: Required[float | Decimal]
    id: UUID | str | None
    analysisMethod: AnalysisMethod | None
    computedAt: datetime | str | None
    primaryMetricType: str | None
    controlMean: float | Decimal | None
    controlStd: float | Decimal | None
    controlMedian: float | Decimal | None
    treatmentMean: float | Decimal | None
    treatmentStd: float | Decimal | None
    treatmentMedian: float | Decimal | None
    effectType: str | None
    effectCiLower: float | Decimal | None
    effectCiUpper: float | Decimal | None
    confidenceLevel: float | Decimal | None
    testStatistic: float | Decimal | None
    testType: str | None
    pValue: float | Decimal | None
    isSignificant: bool | None
    adjustedPValue: float | Decimal | None
    observedPower: float | Decimal | None
    minimumDetectableEffect: float | Decimal | None
    secondaryMetrics: Any
    segmentResults: Any
    covariatesAdjusted: Any
    adjustedEffectEstimate: float | Decimal | None
    adjustedCiLower: float | Decimal | None
    adjustedCiUpper: float | Decimal | None
    missingRateControl: float | Decimal | None
    missingRateTreatment: float | Decimal | None
    outliersRemoved: int | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateFeatureInput(TypedDict, total=False):
    """Input of `createFeature`."""

    featureName: Required[str]
    dataType: Required[str]
    id: UUID | str | None
    featureVersion: str | None
    featureGroup: str | None
    description: str | None
    entityType: str | None
    computationSql: str | None
    computationPython: str | None
    sourceTables: Any
    trainStatistics: Any
    globalImportance: float | Decimal | None
    importanceRank: int | None
    dataSplit: DataSplit | None
    onConflict: OnConflict | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateFeatureViewInput(TypedDict, total=False):
    """Input of `createFeatureView`."""

    name: Required[str]
    id: UUID | str | None
    project: str | None
    description: str | None
    entities: Any
    entityJoinKeys: Any
    features: Any
    featureCount: int | None
    sourceType: str | None
    sourceName: str | None
    ttlSeconds: int | None
    onlineEnabled: bool | None
    batchSourceEnabled: bool | None
    tags: Any
    owner: str | None
    onConflict: OnConflict | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateFidelityComparisonInput(TypedDict, total=False):
    """Input of `createFidelityComparison`."""

    experiment: Required[ExperimentRef]
    simulation: Required[TwinSimulationRef]
    predictedEffect: Required[float | Decimal]
    id: UUID | str | None
    result: ExperimentResultRef | None
    comparisonTimestamp: datetime | str | None
    comparisonType: str | None
    predictedCiLower: float | Decimal | None
    predictedCiUpper: float | Decimal | None
    predictedSampleSize: int | None
    actualEffect: float | Decimal | None
    actualCiLower: float | Decimal | None
    actualCiUpper: float | Decimal | None
    actualSampleSize: int | None
    calibrationAdjustment: Any
    feedbackAppliedToModel: bool | None
    feedbackAppliedAt: datetime | str | None
    onConflict: OnConflict | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateHpoStudyInput(TypedDict, total=False):
    """Input of `createHpoStudy`."""

    studyName: Required[str]
    algorithmName: Required[str]
    problemType: Required[str]
    metric: Required[str]
    id: UUID | str | None
    experiment: ExperimentRef | None
    direction: str | None
    samplerName: str | None
    prunerName: str | None
    searchSpace: Any
    fixedParams: Any
    nTrials: int | None
    nCompleted: int | None
    nPruned: int | None
    nFailed: int | None
    bestTrialNumber: int | None
    bestValue: float | Decimal | None
    bestParams: Any
    durationSeconds: float | Decimal | None
    startedAt: datetime | str | None
    completedAt: datetime | str | None
    status: StudyStatus | None
    errorMessage: str | None
    trials: Sequence[HpoTrialChild] | None
    onConflict: OnConflict | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateImprovementActionInput(TypedDict, total=False):
    """Input of `createImprovementAction`."""

    improvementType: Required[ImprovementType]
    actionDescription: Required[str]
    beforeConfig: Required[Any]
    afterConfig: Required[Any]
    id: UUID | str | None
    learningSignalId: UUID | str | None
    triggerScore: float | Decimal | None
    retrievalConfiguration: RetrievalConfigurationRef | None
    promptConfiguration: PromptConfigurationRef | None
    outcomeMeasured: bool | None
    outcomeImproved: bool | None
    outcomeDelta: float | Decimal | None
    measuredAt: datetime | str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateInterimAnalysisInput(TypedDict, total=False):
    """Input of `createInterimAnalysis`."""

    experiment: Required[ExperimentRef]
    analysisNumber: Required[int]
    informationFraction: Required[float | Decimal]
    sampleSizeAtAnalysis: Required[int]
    alphaSpent: Required[float | Decimal]
    cumulativeAlphaSpent: Required[float | Decimal]
    adjustedAlpha: Required[float | Decimal]
    id: UUID | str | None
    performedAt: datetime | str | None
    analysisType: str | None
    targetSampleSize: int | None
    spendingFunction: str | None
    testStatistic: float | Decimal | None
    standardError: float | Decimal | None
    pValue: float | Decimal | None
    effectEstimate: float | Decimal | None
    effectCiLower: float | Decimal | None
    effectCiUpper: float | Decimal | None
    conditionalPower: float | Decimal | None
    predictiveProbability: float | Decimal | None
    metricsSnapshot: Any
    onConflict: OnConflict | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateMaterializationJobInput(TypedDict, total=False):
    """Input of `createMaterializationJob`."""

    featureViewName: Required[str]
    startTime: Required[datetime | str]
    endTime: Required[datetime | str]
    id: UUID | str | None
    featureView: FeatureViewRef | None
    jobId: str | None
    jobType: str | None
    status: JobStatus | None
    errorMessage: str | None
    rowsMaterialized: int | None
    bytesWritten: int | None
    durationSeconds: float | Decimal | None
    onlineStoreRowsWritten: int | None
    onlineStoreLatencyMs: float | Decimal | None
    cpuSeconds: float | Decimal | None
    memoryPeakMb: float | Decimal | None
    startedAt: datetime | str | None
    completedAt: datetime | str | None
    onConflict: OnConflict | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateModelInput(TypedDict, total=False):
    """Input of `createModel`."""

    modelName: Required[str]
    modelVersion: Required[str]
    algorithm: Required[str]
    id: UUID | str | None
    experiment: ExperimentRef | None
    mlflowRunId: str | None
    mlflowModelUri: str | None
    hyperparameters: Any
    featureCount: int | None
    trainingSamples: int | None
    auc: float | Decimal | None
    prAuc: float | Decimal | None
    brierScore: float | Decimal | None
    calibrationSlope: float | Decimal | None
    fairnessMetrics: Any
    trainedAt: datetime | str | None
    registeredAt: datetime | str | None
    dataSplit: DataSplit | None
    onConflict: OnConflict | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateMonitoringAlertInput(TypedDict, total=False):
    """Input of `createMonitoringAlert`."""

    alertType: Required[str]
    title: Required[str]
    severity: Required[DriftSeverity]
    message: Required[str]
    id: UUID | str | None
    model: ModelRef | None
    experiment: ExperimentRef | None
    deployment: DeploymentRef | None
    driftRecord: DriftRecordRef | None
    affectedFeatures: Sequence[str | None] | None
    driftType: DriftType | None
    compositeDriftScore: float | Decimal | None
    recommendedAction: str | None
    recommendedPriority: str | None
    autoActionTaken: bool | None
    autoActionDetails: Any
    notifiedChannels: Sequence[str | None] | None
    notificationSentAt: datetime | str | None
    notificationError: str | None
    onConflict: OnConflict | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateMonitoringRunInput(TypedDict, total=False):
    """Input of `createMonitoringRun`."""

    runType: Required[str]
    id: UUID | str | None
    triggerType: str | None
    modelIds: Sequence[UUID | str | None] | None
    deploymentIds: Sequence[UUID | str | None] | None
    startedAt: datetime | str | None
    completedAt: datetime | str | None
    durationSeconds: float | Decimal | None
    totalChecks: int | None
    driftDetectedCount: int | None
    alertsGenerated: int | None
    criticalCount: int | None
    highCount: int | None
    mediumCount: int | None
    lowCount: int | None
    overallHealthScore: float | Decimal | None
    requiresAttention: bool | None
    status: RunStatus | None
    errorMessage: str | None
    summary: Any
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateOptimizedInstructionInput(TypedDict, total=False):
    """Input of `createOptimizedInstruction`."""

    run: Required[PromptOptimizationRunRef]
    agentName: Required[str]
    predictorName: Required[str]
    version: Required[str]
    instructionText: Required[str]
    instructionHash: Required[str]
    id: UUID | str | None
    isBaseline: bool | None
    valScore: float | Decimal | None
    valScoreComponents: Any
    candidateIdx: int | None
    parentIndices: Sequence[int | None] | None
    discoveryEvalCount: int | None
    onConflict: OnConflict | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreatePromptAbTestInput(TypedDict, total=False):
    """Input of `createPromptAbTest`."""

    testName: Required[str]
    agentName: Required[str]
    id: UUID | str | None
    baselineInstruction: OptimizedInstructionRef | None
    treatmentInstruction: OptimizedInstructionRef | None
    trafficSplit: float | Decimal | None
    targetSampleSize: int | None
    baselineRequests: int | None
    treatmentRequests: int | None
    baselineScoreAvg: float | Decimal | None
    treatmentScoreAvg: float | Decimal | None
    baselineLatencyP50: int | None
    treatmentLatencyP50: int | None
    confidenceIntervalLower: float | Decimal | None
    confidenceIntervalUpper: float | Decimal | None
    isSignificant: bool | None
    onConflict: OnConflict | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreatePromptConfigurationInput(TypedDict, total=False):
    """Input of `createPromptConfiguration`."""

    promptName: Required[str]
    systemPrompt: Required[str]
    id: UUID | str | None
    promptVersion: int | None
    agentName: str | None
    fewShotExamples: Any
    avgAnswerRelevancy: float | Decimal | None
    avgRubricScore: float | Decimal | None
    avgCombinedScore: float | Decimal | None
    evaluationCount: int | None
    isBaseline: bool | None
    parentPrompt: PromptConfigurationRef | None
    changeReason: str | None
    onConflict: OnConflict | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreatePromptOptimizationRunInput(TypedDict, total=False):
    """Input of `createPromptOptimizationRun`."""

    runName: Required[str]
    agentName: Required[str]
    agentTier: Required[int]
    agentType: Required[str]
    trainsetSize: Required[int]
    id: UUID | str | None
    optimizerType: OptimizerType | None
    budgetPreset: GepaBudgetPreset | None
    maxMetricCalls: int | None
    reflectionModel: str | None
    reflectionMinibatchSize: int | None
    enableToolOptimization: bool | None
    candidateSelectionStrategy: str | None
    valsetSize: int | None
    trainsetHash: str | None
    valsetHash: str | None
    baselineScore: float | Decimal | None
    improvementPercent: float | Decimal | None
    totalMetricCalls: int | None
    numCandidatesExplored: int | None
    paretoFrontierSize: int | None
    logDir: str | None
    mlflowRunId: str | None
    bestCandidateIdx: int | None
    configJson: Any
    seed: int | None
    onConflict: OnConflict | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateRetrainingInput(TypedDict, total=False):
    """Input of `createRetraining`."""

    triggerType: Required[str]
    triggerReason: Required[str]
    id: UUID | str | None
    monitoringRun: MonitoringRunRef | None
    model: ModelRef | None
    oldModelVersion: str | None
    newModelVersion: str | None
    driftSeverity: DriftSeverity | None
    performanceDelta: float | Decimal | None
    trainingRun: TrainingRunRef | None
    oldMetricValue: float | Decimal | None
    triggeredAt: datetime | str | None
    notes: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateRetrievalConfigurationInput(TypedDict, total=False):
    """Input of `createRetrievalConfiguration`."""

    configName: Required[str]
    id: UUID | str | None
    configVersion: int | None
    kValue: int | None
    chunkSize: int | None
    chunkOverlap: int | None
    vectorWeight: float | Decimal | None
    fulltextWeight: float | Decimal | None
    graphWeight: float | Decimal | None
    rerankEnabled: bool | None
    rerankModel: str | None
    rerankTopK: int | None
    avgContextPrecision: float | Decimal | None
    avgContextRecall: float | Decimal | None
    avgFaithfulness: float | Decimal | None
    evaluationCount: int | None
    isBaseline: bool | None
    onConflict: OnConflict | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateRoiCalculationInput(TypedDict, total=False):
    """Input of `createRoiCalculation`."""

    initiativeName: Required[str]
    incrementalValue: Required[float | Decimal]
    attributedValue: Required[float | Decimal]
    implementationCost: Required[float | Decimal]
    baseRoi: Required[float | Decimal]
    riskAdjustedRoi: Required[float | Decimal]
    ciLower: Required[float | Decimal]
    ciMedian: Required[float | Decimal]
    ciUpper: Required[float | Decimal]
    attributionRate: Required[float | Decimal]
    id: UUID | str | None
    initiativeType: InitiativeType | None
    initiativeDescription: str | None
    brand: Brand | None
    workstream: Workstream | None
    probabilityPositive: float | Decimal | None
    probabilityTarget: float | Decimal | None
    targetRoi: float | Decimal | None
    simulationCount: int | None
    attributionLevel: AttributionLevel | None
    riskTechnicalComplexity: RiskLevel | None
    riskOrganizationalChange: RiskLevel | None
    riskDataDependencies: RiskLevel | None
    riskTimelineUncertainty: RiskLevel | None
    totalRiskAdjustment: float | Decimal | None
    valueByDriver: Any
    costBreakdown: Any
    sensitivityResults: Any
    npvValue: float | Decimal | None
    npvRoi: float | Decimal | None
    npvYears: int | None
    discountRate: float | Decimal | None
    calculatedAt: datetime | str | None
    methodologyVersion: str | None
    gapId: UUID | str | None
    causalPathId: UUID | str | None
    experimentId: UUID | str | None
    supersededByCalculation: RoiCalculationRef | None
    notes: str | None
    valueDrivers: Sequence[RoiValueDriverDetailChild] | None
    costs: Sequence[RoiCostDetailChild] | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateShapAnalysisInput(TypedDict, total=False):
    """Input of `createShapAnalysis`."""

    model: Required[ModelRef]
    analysisType: Required[str]
    id: UUID | str | None
    segmentName: str | None
    segmentFilter: Any
    globalImportance: Any
    topInteractions: Any
    entityType: str | None
    entityId: str | None
    localShapValues: Any
    predictionValue: float | Decimal | None
    baseValue: float | Decimal | None
    naturalLanguageExplanation: str | None
    keyDrivers: Sequence[str | None] | None
    actionableFeatures: Sequence[str | None] | None
    sampleSize: int | None
    computationMethod: str | None
    computedAt: datetime | str | None
    computationDurationSeconds: int | None
    dataSplit: DataSplit | None
    explanationId: str | None
    patientId: str | None
    hcpId: str | None
    requestTimestamp: datetime | str | None
    responseTimeMs: float | Decimal | None
    predictionClass: str | None
    predictionProbability: float | Decimal | None
    topKRequested: int | None
    formatRequested: str | None
    narrativeGenerated: bool | None
    apiVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateSrmCheckInput(TypedDict, total=False):
    """Input of `createSrmCheck`."""

    experiment: Required[ExperimentRef]
    expectedRatio: Required[Any]
    actualCounts: Required[Any]
    id: UUID | str | None
    checkedAt: datetime | str | None
    checkType: str | None
    chiSquaredStatistic: float | Decimal | None
    degreesOfFreedom: int | None
    pValue: float | Decimal | None
    isSrmDetected: bool | None
    severity: SrmSeverity | None
    deviationPercent: float | Decimal | None
    investigationNotes: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateToolInput(TypedDict, total=False):
    """Input of `createTool`."""

    name: Required[str]
    description: Required[str]
    category: Required[ToolCategory]
    sourceAgent: Required[str]
    id: UUID | str | None
    inputSchema: Any
    outputSchema: Any
    composable: bool | None
    avgLatencyMs: float | Decimal | None
    successRate: float | Decimal | None
    version: str | None
    consumes: Sequence[ToolDependencyChild] | None
    onConflict: OnConflict | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateTrainingRunInput(TypedDict, total=False):
    """Input of `createTrainingRun`."""

    algorithm: Required[str]
    trainingSamples: Required[int]
    id: UUID | str | None
    experiment: ExperimentRef | None
    model: ModelRef | None
    runName: str | None
    mlflowRunId: str | None
    hyperparameters: Any
    validationSamples: int | None
    testSamples: int | None
    featureNames: Any
    trainMetrics: Any
    validationMetrics: Any
    testMetrics: Any
    status: TrainingStatus | None
    errorMessage: str | None
    startedAt: datetime | str | None
    completedAt: datetime | str | None
    durationSeconds: int | None
    computeType: str | None
    gpuUsed: bool | None
    dataSplit: DataSplit | None
    optunaStudyName: str | None
    optunaTrialNumber: int | None
    isBestTrial: bool | None
    onConflict: OnConflict | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateTwinFidelityInput(TypedDict, total=False):
    """Input of `createTwinFidelity`."""

    simulation: Required[TwinSimulationRef]
    simulatedAte: Required[float | Decimal]
    id: UUID | str | None
    actualExperimentId: UUID | str | None
    simulatedCiLower: float | Decimal | None
    simulatedCiUpper: float | Decimal | None
    validationNotes: str | None
    confoundingFactors: Any
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateTwinModelInput(TypedDict, total=False):
    """Input of `createTwinModel`."""

    modelName: Required[str]
    twinType: Required[TwinType]
    modelVersion: Required[str]
    featureColumns: Required[Sequence[str | None]]
    targetColumns: Required[Sequence[str | None]]
    brand: Required[str]
    id: UUID | str | None
    modelDescription: str | None
    mlflowRunId: str | None
    mlflowModelUri: str | None
    trainingConfig: Any
    performanceMetrics: Any
    geographicScope: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateTwinSimulationInput(TypedDict, total=False):
    """Input of `createTwinSimulation`."""

    twinModel: Required[TwinModelRef]
    interventionType: Required[str]
    targetPopulation: Required[TwinType]
    twinCount: Required[int]
    brand: Required[str]
    id: UUID | str | None
    experimentDesignId: UUID | str | None
    interventionConfig: Any
    populationFilters: Any
    simulatedAte: float | Decimal | None
    simulatedCiLower: float | Decimal | None
    simulatedCiUpper: float | Decimal | None
    simulatedStdError: float | Decimal | None
    effectHeterogeneity: Any
    simulationStatus: SimulationStatus | None
    recommendation: SimulationRecommendation | None
    recommendationRationale: str | None
    recommendedSampleSize: int | None
    recommendedDurationWeeks: int | None
    simulationConfidence: float | Decimal | None
    fidelityWarning: bool | None
    fidelityWarningReason: str | None
    executionTimeMs: int | None
    memoryUsageMb: int | None
    errorMessage: str | None
    startedAt: datetime | str | None
    completedAt: datetime | str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class CreateWebhookInput(TypedDict, total=False):
    """Input of `createWebhook`."""

    name: Required[str]
    url: Required[str]
    lifecycle: WebhookLifecycleFilters | None
    alerts: WebhookAlertFilters | None
    format: WebhookFormat | None
    idempotencyKey: str | None
    dryRun: bool | None


class DeactivateOptimizedInstructionInput(TypedDict, total=False):
    """Input of `deactivateOptimizedInstruction`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class DeactivateOptimizedInstructionsInput(TypedDict, total=False):
    """Input of `deactivateOptimizedInstructions`."""

    items: Required[Sequence[ChangeItem]]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class DeactivateOptimizedToolDescriptionInput(TypedDict, total=False):
    """Input of `deactivateOptimizedToolDescription`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class DeactivateOptimizedToolDescriptionsInput(TypedDict, total=False):
    """Input of `deactivateOptimizedToolDescriptions`."""

    items: Required[Sequence[ChangeItem]]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class DeactivatePromptConfigurationInput(TypedDict, total=False):
    """Input of `deactivatePromptConfiguration`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class DeactivatePromptConfigurationsInput(TypedDict, total=False):
    """Input of `deactivatePromptConfigurations`."""

    items: Required[Sequence[ChangeItem]]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class DeactivateRetrievalConfigurationInput(TypedDict, total=False):
    """Input of `deactivateRetrievalConfiguration`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class DeactivateRetrievalConfigurationsInput(TypedDict, total=False):
    """Input of `deactivateRetrievalConfigurations`."""

    items: Required[Sequence[ChangeItem]]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class DeactivateTwinModelInput(TypedDict, total=False):
    """Input of `deactivateTwinModel`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class DeactivateTwinModelsInput(TypedDict, total=False):
    """Input of `deactivateTwinModels`."""

    items: Required[Sequence[ChangeItem]]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class DeploymentRefId(TypedDict):
    """A reference to an existing Deployment row, by exactly one of these fields."""

    id: str | UUID


DeploymentRef: TypeAlias = "DeploymentRefId"


class DiscoveredDagRefId(TypedDict):
    """A reference to an existing DiscoveredDag row, by exactly one of these fields."""

    id: str | UUID


DiscoveredDagRef: TypeAlias = "DiscoveredDagRefId"


class DiscoveredEdgeChild(TypedDict, total=False):
    """A DiscoveredEdge row, created together with the DiscoveredDag that it belongs to."""

    sourceNode: Required[str]
    targetNode: Required[str]
    id: UUID | str | None
    edgeType: EdgeType | None
    confidence: float | Decimal | None
    algorithmVotes: int | None
    algorithms: Sequence[str | None] | None


class DiscoveredEdgeRow(TypedDict, total=False):
    """A row of DiscoveredEdge to record. Columns that are left out take their defaults; null is stored as null."""

    dag: Required[DiscoveredDagRef]
    sourceNode: Required[str]
    targetNode: Required[str]
    id: UUID | str | None
    edgeType: EdgeType | None
    confidence: float | Decimal | None
    algorithmVotes: int | None
    algorithms: Sequence[str | None] | None


class DiscoveryAlgorithmRunChild(TypedDict, total=False):
    """A DiscoveryAlgorithmRun row, created together with the DiscoveredDag that it belongs to."""

    algorithm: Required[DiscoveryAlgorithm]
    runtimeSeconds: Required[float | Decimal]
    id: UUID | str | None
    converged: bool | None
    nEdges: int | None
    edgeList: Any
    score: float | Decimal | None
    parameters: Any


class DiscoveryAlgorithmRunRow(TypedDict, total=False):
    """A row of DiscoveryAlgorithmRun to record. Columns that are left out take their defaults; null is stored as
    null."""

    dag: Required[DiscoveredDagRef]
    algorithm: Required[DiscoveryAlgorithm]
    runtimeSeconds: Required[float | Decimal]
    id: UUID | str | None
    converged: bool | None
    nEdges: int | None
    edgeList: Any
    score: float | Decimal | None
    parameters: Any


class DismissAlertInput(TypedDict, total=False):
    """Input of `dismissAlert`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    resolutionNotes: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class DismissAlertsInput(TypedDict, total=False):
    """Input of `dismissAlerts`."""

    items: Required[Sequence[ChangeItem]]
    resolutionNotes: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class DriftRecordRefId(TypedDict):
    """A reference to an existing DriftRecord row, by exactly one of these fields."""

    id: str | UUID


DriftRecordRef: TypeAlias = "DriftRecordRefId"


class DriftRecordRow(TypedDict, total=False):
    """A row of DriftRecord to record. Columns that are left out take their defaults; null is stored as null."""

    driftType: Required[DriftType]
    testType: Required[StatisticalTest]
    baselineStart: Required[datetime | str]
    baselineEnd: Required[datetime | str]
    currentStart: Required[datetime | str]
    currentEnd: Required[datetime | str]
    id: UUID | str | None
    model: ModelRef | None
    experiment: ExperimentRef | None
    deployment: DeploymentRef | None
    featureName: str | None
    testStatistic: float | Decimal | None
    pValue: float | Decimal | None
    threshold: float | Decimal | None
    driftDetected: bool | None
    severity: DriftSeverity | None
    baselineMean: float | Decimal | None
    baselineStd: float | Decimal | None
    baselineMin: float | Decimal | None
    baselineMax: float | Decimal | None
    baselineCount: int | None
    currentMean: float | Decimal | None
    currentStd: float | Decimal | None
    currentMin: float | Decimal | None
    currentMax: float | Decimal | None
    currentCount: int | None
    driftScore: float | Decimal | None
    contributionToOverall: float | Decimal | None
    detectedBy: str | None


class DriverRankingRefId(TypedDict):
    """A reference to an existing DriverRanking row, by exactly one of these fields."""

    id: str | UUID


DriverRankingRef: TypeAlias = "DriverRankingRefId"


class EndHpoStudyInput(TypedDict, total=False):
    """Input of `endHpoStudy`."""

    id: Required[str | UUID]
    to: Required[StudyStatus]
    expectedVersion: str | None
    errorMessage: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class EndWebhookRotationInput(TypedDict, total=False):
    """Input of `endWebhookRotation`."""

    name: Required[str]
    idempotencyKey: str | None
    dryRun: bool | None


class EvaluationRow(TypedDict, total=False):
    """A row of Evaluation to record. Columns that are left out take their defaults; null is stored as null."""

    query: Required[str]
    response: Required[str]
    id: UUID | str | None
    learningSignalId: UUID | str | None
    cognitiveCycleId: UUID | str | None
    groundTruth: str | None
    retrievedContexts: Any
    contextCount: int | None
    faithfulness: float | Decimal | None
    answerRelevancy: float | Decimal | None
    contextPrecision: float | Decimal | None
    contextRecall: float | Decimal | None
    answerCorrectness: float | Decimal | None
    ragasAggregate: float | Decimal | None
    causalValidity: float | Decimal | None
    actionability: float | Decimal | None
    evidenceChain: float | Decimal | None
    regulatoryAwareness: float | Decimal | None
    uncertaintyCommunication: float | Decimal | None
    rubricAggregate: float | Decimal | None
    evaluationModel: str | None
    evaluationDurationMs: int | None


class ExcludeEnrollmentInput(TypedDict, total=False):
    """Input of `excludeEnrollment`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class ExcludeEnrollmentsInput(TypedDict, total=False):
    """Input of `excludeEnrollments`."""

    items: Required[Sequence[ChangeItem]]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class ExperimentRefId(TypedDict):
    """A reference to an existing Experiment row, by exactly one of these fields."""

    id: str | UUID


class ExperimentRefMlflowExperimentId(TypedDict):
    """A reference to an existing Experiment row, by exactly one of these fields."""

    mlflowExperimentId: str


ExperimentRef: TypeAlias = "ExperimentRefId | ExperimentRefMlflowExperimentId"


class ExperimentResultRefId(TypedDict):
    """A reference to an existing ExperimentResult row, by exactly one of these fields."""

    id: str | UUID


ExperimentResultRef: TypeAlias = "ExperimentResultRefId"


class ExpireOverdueReviewsInput(TypedDict, total=False):
    """Input of `expireOverdueReviews`."""

    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class ExpireReviewInput(TypedDict, total=False):
    """Input of `expireReview`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class ExpireReviewsInput(TypedDict, total=False):
    """Input of `expireReviews`."""

    items: Required[Sequence[ChangeItem]]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class FailCohortExecutionInput(TypedDict, total=False):
    """Input of `failCohortExecution`."""

    id: Required[str | UUID]
    errorMessage: Required[str]
    expectedVersion: str | None
    errorCode: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class FailMonitoringRunInput(TypedDict, total=False):
    """Input of `failMonitoringRun`."""

    id: Required[str | UUID]
    errorMessage: Required[str]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class FailMonitoringRunsInput(TypedDict, total=False):
    """Input of `failMonitoringRuns`."""

    items: Required[Sequence[ChangeItem]]
    errorMessage: Required[str]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class FailSimulationInput(TypedDict, total=False):
    """Input of `failSimulation`."""

    id: Required[str | UUID]
    errorMessage: Required[str]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class FailSimulationsInput(TypedDict, total=False):
    """Input of `failSimulations`."""

    items: Required[Sequence[ChangeItem]]
    errorMessage: Required[str]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class FailTrainingRunInput(TypedDict, total=False):
    """Input of `failTrainingRun`."""

    id: Required[str | UUID]
    errorMessage: Required[str]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class FailTrainingRunsInput(TypedDict, total=False):
    """Input of `failTrainingRuns`."""

    items: Required[Sequence[ChangeItem]]
    errorMessage: Required[str]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class FeatureFreshnessRow(TypedDict, total=False):
    """A row of FeatureFreshness to record. Columns that are left out take their defaults; null is stored as null."""

    featureViewName: Required[str]
    id: UUID | str | None
    featureView: FeatureViewRef | None
    recordedAt: datetime | str | None
    lastMaterializationTime: datetime | str | None
    stalenessSeconds: int | None
    dataLagSeconds: int | None
    nullRate: float | Decimal | None
    uniqueCount: int | None
    freshnessStatus: str | None
    stalenessThresholdSeconds: int | None
    criticalThresholdSeconds: int | None


class FeatureRankingChild(TypedDict, total=False):
    """A FeatureRanking row, created together with the DriverRanking that it belongs to."""

    featureName: Required[str]
    causalRank: Required[int]
    predictiveRank: Required[int]
    id: UUID | str | None
    causalScore: float | Decimal | None
    predictiveScore: float | Decimal | None
    isDirectCause: bool | None
    pathLength: int | None


class FeatureRankingRow(TypedDict, total=False):
    """A row of FeatureRanking to record. Columns that are left out take their defaults; null is stored as null."""

    driverRanking: Required[DriverRankingRef]
    featureName: Required[str]
    causalRank: Required[int]
    predictiveRank: Required[int]
    id: UUID | str | None
    causalScore: float | Decimal | None
    predictiveScore: float | Decimal | None
    isDirectCause: bool | None
    pathLength: int | None


class FeatureViewByProject(TypedDict, total=False):
    """Identifies a row of FeatureView by a unique key."""

    name: Required[str]
    project: Required[str]


class FeatureViewRefId(TypedDict):
    """A reference to an existing FeatureView row, by exactly one of these fields."""

    id: str | UUID


class FeatureViewRefProject(TypedDict):
    """A reference to an existing FeatureView row, by exactly one of these fields."""

    project: FeatureViewByProject


FeatureViewRef: TypeAlias = "FeatureViewRefId | FeatureViewRefProject"


class HpoStudyRefId(TypedDict):
    """A reference to an existing HpoStudy row, by exactly one of these fields."""

    id: str | UUID


class HpoStudyRefStudyName(TypedDict):
    """A reference to an existing HpoStudy row, by exactly one of these fields."""

    studyName: str


HpoStudyRef: TypeAlias = "HpoStudyRefId | HpoStudyRefStudyName"


class HpoTrialChild(TypedDict, total=False):
    """A HpoTrial row, created together with the HpoStudy that it belongs to."""

    trialNumber: Required[int]
    state: Required[TrialState]
    id: UUID | str | None
    params: Any
    value: float | Decimal | None
    intermediateValues: Any
    datetimeStart: datetime | str | None
    datetimeComplete: datetime | str | None
    durationSeconds: float | Decimal | None
    userAttrs: Any


class HpoTrialRow(TypedDict, total=False):
    """A row of HpoTrial to record. Columns that are left out take their defaults; null is stored as null."""

    study: Required[HpoStudyRef]
    trialNumber: Required[int]
    state: Required[TrialState]
    id: UUID | str | None
    params: Any
    value: float | Decimal | None
    intermediateValues: Any
    datetimeStart: datetime | str | None
    datetimeComplete: datetime | str | None
    durationSeconds: float | Decimal | None
    userAttrs: Any


class InvestigateAlertInput(TypedDict, total=False):
    """Input of `investigateAlert`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class InvestigateAlertsInput(TypedDict, total=False):
    """Input of `investigateAlerts`."""

    items: Required[Sequence[ChangeItem]]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class KillTrainingRunInput(TypedDict, total=False):
    """Input of `killTrainingRun`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class KillTrainingRunsInput(TypedDict, total=False):
    """Input of `killTrainingRuns`."""

    items: Required[Sequence[ChangeItem]]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class LoseEnrollmentInput(TypedDict, total=False):
    """Input of `loseEnrollment`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class LoseEnrollmentsInput(TypedDict, total=False):
    """Input of `loseEnrollments`."""

    items: Required[Sequence[ChangeItem]]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class ModelByVersion(TypedDict, total=False):
    """Identifies a row of Model by a unique key."""

    modelName: Required[str]
    modelVersion: Required[str]


class ModelRefId(TypedDict):
    """A reference to an existing Model row, by exactly one of these fields."""

    id: str | UUID


class ModelRefVersion(TypedDict):
    """A reference to an existing Model row, by exactly one of these fields."""

    version: ModelByVersion


ModelRef: TypeAlias = "ModelRefId | ModelRefVersion"


class MonitoringRunRefId(TypedDict):
    """A reference to an existing MonitoringRun row, by exactly one of these fields."""

    id: str | UUID


MonitoringRunRef: TypeAlias = "MonitoringRunRefId"


class MoveCohortDefinitionInput(TypedDict, total=False):
    """Input of `moveCohortDefinition`."""

    id: Required[str | UUID]
    to: Required[CohortStatus]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class MoveCohortDefinitionsInput(TypedDict, total=False):
    """Input of `moveCohortDefinitions`."""

    items: Required[Sequence[ChangeItem]]
    to: Required[CohortStatus]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class MoveDeploymentInput(TypedDict, total=False):
    """Input of `moveDeployment`."""

    id: Required[str | UUID]
    to: Required[DeploymentStatus]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class MoveDeploymentsInput(TypedDict, total=False):
    """Input of `moveDeployments`."""

    items: Required[Sequence[ChangeItem]]
    to: Required[DeploymentStatus]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class MoveEpisodeInput(TypedDict, total=False):
    """Input of `moveEpisode`."""

    id: Required[str | UUID]
    to: Required[CompositionStatus]
    expectedVersion: str | None
    subQuestions: Any
    toolPlan: Any
    toolOutputs: Any
    synthesizedResponse: str | None
    totalLatencyMs: float | Decimal | None
    errorMessage: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class MoveMaterializationJobInput(TypedDict, total=False):
    """Input of `moveMaterializationJob`."""

    id: Required[str | UUID]
    to: Required[JobStatus]
    expectedVersion: str | None
    rowsMaterialized: int | None
    errorMessage: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class MoveOptimizationRunInput(TypedDict, total=False):
    """Input of `moveOptimizationRun`."""

    id: Required[str | UUID]
    to: Required[OptimizationStatus]
    expectedVersion: str | None
    baselineScore: float | Decimal | None
    optimizedScore: float | Decimal | None
    errorMessage: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class MoveRetrainingInput(TypedDict, total=False):
    """Input of `moveRetraining`."""

    id: Required[str | UUID]
    to: Required[RetrainingStatus]
    expectedVersion: str | None
    trainingRunId: str | UUID | None
    newModelVersion: str | None
    notes: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class MoveServiceInput(TypedDict, total=False):
    """Input of `moveService`."""

    id: Required[str | UUID]
    to: Required[DeploymentStatus]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class MoveServicesInput(TypedDict, total=False):
    """Input of `moveServices`."""

    items: Required[Sequence[ChangeItem]]
    to: Required[DeploymentStatus]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class MoveStepInput(TypedDict, total=False):
    """Input of `moveStep`."""

    id: Required[str | UUID]
    to: Required[CompositionStatus]
    expectedVersion: str | None
    outputResult: Any
    latencyMs: float | Decimal | None
    errorMessage: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class MoveTrialInput(TypedDict, total=False):
    """Input of `moveTrial`."""

    id: Required[str | UUID]
    to: Required[TrialState]
    expectedVersion: str | None
    value: float | Decimal | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class ObservabilitySpanRow(TypedDict, total=False):
    """A row of ObservabilitySpan to record. Columns that are left out take their defaults; null is stored as null."""

    traceId: Required[str]
    spanId: Required[str]
    agentName: Required[str]
    agentTier: Required[AgentTier]
    startedAt: Required[datetime | str]
    id: UUID | str | None
    parentSpanId: str | None
    operationType: str | None
    endedAt: datetime | str | None
    durationMs: int | None
    modelName: str | None
    inputTokens: int | None
    outputTokens: int | None
    totalTokens: int | None
    status: str | None
    errorType: str | None
    errorMessage: str | None
    fallbackUsed: bool | None
    fallbackChain: Any
    attributes: Any
    experiment: ExperimentRef | None
    trainingRun: TrainingRunRef | None
    deployment: DeploymentRef | None
    userId: str | None
    sessionId: str | None


class OptimizedInstructionRefId(TypedDict):
    """A reference to an existing OptimizedInstruction row, by exactly one of these fields."""

    id: str | UUID


OptimizedInstructionRef: TypeAlias = "OptimizedInstructionRefId"


class OptimizedToolDescriptionRow(TypedDict, total=False):
    """A row of OptimizedToolDescription to record. Columns that are left out take their defaults; null is stored as
    null."""

    run: Required[PromptOptimizationRunRef]
    agentName: Required[str]
    toolName: Required[str]
    version: Required[str]
    descriptionText: Required[str]
    descriptionHash: Required[str]
    id: UUID | str | None
    argumentDescriptions: Any
    originalDescription: str | None
    originalArguments: Any
    toolSelectionAccuracy: float | Decimal | None


class PatientCohortAssignmentRow(TypedDict, total=False):
    """A row of PatientCohortAssignment to record. Columns that are left out take their defaults; null is stored as
    null."""

    patientJourneyId: Required[str]
    cohort: Required[CohortDefinitionRef]
    execution: Required[CohortExecutionRef]
    isEligible: Required[bool]
    assignedAt: datetime | str | None
    failedCriteria: Any
    lookbackComplete: bool | None
    followupComplete: bool | None
    indexDate: date | str | None
    journeyStartDate: date | str | None
    journeyEndDate: date | str | None


class PauseWebhookInput(TypedDict, total=False):
    """Input of `pauseWebhook`."""

    name: Required[str]
    idempotencyKey: str | None
    dryRun: bool | None


class PerformanceMetricRow(TypedDict, total=False):
    """A row of PerformanceMetric to record. Columns that are left out take their defaults; null is stored as null."""

    metricName: Required[str]
    metricValue: Required[float | Decimal]
    id: UUID | str | None
    model: ModelRef | None
    experiment: ExperimentRef | None
    deployment: DeploymentRef | None
    dataSplit: str | None
    segment: str | None
    sampleSize: int | None
    positiveRate: float | Decimal | None
    ciLower: float | Decimal | None
    ciUpper: float | Decimal | None
    ciLevel: float | Decimal | None
    baselineValue: float | Decimal | None
    delta: float | Decimal | None
    deltaPct: float | Decimal | None
    isDegraded: bool | None
    measuredAt: datetime | str | None
    measurementWindowStart: datetime | str | None
    measurementWindowEnd: datetime | str | None
    source: str | None


class PromoteModelInput(TypedDict, total=False):
    """Input of `promoteModel`."""

    id: Required[str | UUID]
    to: Required[ModelStage]
    expectedVersion: str | None
    reason: str | None
    force: bool | None
    idempotencyKey: str | None
    dryRun: bool | None


class PromoteModelsInput(TypedDict, total=False):
    """Input of `promoteModels`."""

    items: Required[Sequence[ChangeItem]]
    to: Required[ModelStage]
    reason: str | None
    force: bool | None
    idempotencyKey: str | None
    dryRun: bool | None


class PromptAbTestObservationRow(TypedDict, total=False):
    """A row of PromptAbTestObservation to record. Columns that are left out take their defaults; null is stored as
    null."""

    test: Required[PromptAbTestRef]
    requestId: Required[str]
    variant: Required[AbTestVariant]
    id: UUID | str | None
    score: float | Decimal | None
    latencyMs: int | None
    success: bool | None
    errorType: str | None
    userId: str | None
    sessionId: str | None


class PromptAbTestRefId(TypedDict):
    """A reference to an existing PromptAbTest row, by exactly one of these fields."""

    id: str | UUID


PromptAbTestRef: TypeAlias = "PromptAbTestRefId"


class PromptConfigurationRefId(TypedDict):
    """A reference to an existing PromptConfiguration row, by exactly one of these fields."""

    id: str | UUID


PromptConfigurationRef: TypeAlias = "PromptConfigurationRefId"


class PromptOptimizationRunRefId(TypedDict):
    """A reference to an existing PromptOptimizationRun row, by exactly one of these fields."""

    id: str | UUID


PromptOptimizationRunRef: TypeAlias = "PromptOptimizationRunRefId"


class PurgeInput(TypedDict, total=False):
    """Input of the mutations that remove old rows."""

    before: Required[datetime | str]
    limit: int | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class RecordActualEffectInput(TypedDict, total=False):
    """Input of `recordActualEffect`."""

    id: Required[str | UUID]
    actualAte: Required[float | Decimal]
    expectedVersion: str | None
    actualCiLower: float | Decimal | None
    actualCiUpper: float | Decimal | None
    actualSampleSize: int | None
    actualExperimentId: str | UUID | None
    validationNotes: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class RecordAssignmentsInput(TypedDict, total=False):
    """Input of `recordAssignments`."""

    rows: Required[Sequence[AssignmentRow]]
    idempotencyKey: str | None
    dryRun: bool | None
    onConflict: OnConflict | None


class RecordCausalValidationsInput(TypedDict, total=False):
    """Input of `recordCausalValidations`."""

    rows: Required[Sequence[CausalValidationRow]]
    idempotencyKey: str | None
    dryRun: bool | None


class RecordClassificationFeedbackInput(TypedDict, total=False):
    """Input of `recordClassificationFeedback`."""

    id: Required[str | UUID]
    to: Required[RoutingFeedback]
    expectedVersion: str | None
    correctPattern: RoutingPattern | None
    feedbackNotes: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class RecordClassificationLogsInput(TypedDict, total=False):
    """Input of `recordClassificationLogs`."""

    rows: Required[Sequence[ClassificationLogRow]]
    idempotencyKey: str | None
    dryRun: bool | None


class RecordCohortEligibilityLogsInput(TypedDict, total=False):
    """Input of `recordCohortEligibilityLogs`."""

    rows: Required[Sequence[CohortEligibilityLogRow]]
    idempotencyKey: str | None
    dryRun: bool | None
    onConflict: OnConflict | None


class RecordCompositionStepsInput(TypedDict, total=False):
    """Input of `recordCompositionSteps`."""

    rows: Required[Sequence[CompositionStepRow]]
    idempotencyKey: str | None
    dryRun: bool | None
    onConflict: OnConflict | None


class RecordDiscoveredEdgesInput(TypedDict, total=False):
    """Input of `recordDiscoveredEdges`."""

    rows: Required[Sequence[DiscoveredEdgeRow]]
    idempotencyKey: str | None
    dryRun: bool | None
    onConflict: OnConflict | None


class RecordDiscoveryAlgorithmRunsInput(TypedDict, total=False):
    """Input of `recordDiscoveryAlgorithmRuns`."""

    rows: Required[Sequence[DiscoveryAlgorithmRunRow]]
    idempotencyKey: str | None
    dryRun: bool | None
    onConflict: OnConflict | None


class RecordDriftRecordsInput(TypedDict, total=False):
    """Input of `recordDriftRecords`."""

    rows: Required[Sequence[DriftRecordRow]]
    idempotencyKey: str | None
    dryRun: bool | None


class RecordEpisodeFeedbackInput(TypedDict, total=False):
    """Input of `recordEpisodeFeedback`."""

    id: Required[str | UUID]
    to: Required[EpisodeFeedback]
    expectedVersion: str | None
    userRating: int | None
    feedbackText: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class RecordEvaluationsInput(TypedDict, total=False):
    """Input of `recordEvaluations`."""

    rows: Required[Sequence[EvaluationRow]]
    idempotencyKey: str | None
    dryRun: bool | None


class RecordFeatureFreshnessesInput(TypedDict, total=False):
    """Input of `recordFeatureFreshnesses`."""

    rows: Required[Sequence[FeatureFreshnessRow]]
    idempotencyKey: str | None
    dryRun: bool | None


class RecordFeatureRankingsInput(TypedDict, total=False):
    """Input of `recordFeatureRankings`."""

    rows: Required[Sequence[FeatureRankingRow]]
    idempotencyKey: str | None
    dryRun: bool | None
    onConflict: OnConflict | None


class RecordHpoTrialsInput(TypedDict, total=False):
    """Input of `recordHpoTrials`."""

    rows: Required[Sequence[HpoTrialRow]]
    idempotencyKey: str | None
    dryRun: bool | None
    onConflict: OnConflict | None


class RecordInterimDecisionInput(TypedDict, total=False):
    """Input of `recordInterimDecision`."""

    id: Required[str | UUID]
    to: Required[InterimDecision]
    expectedVersion: str | None
    targetSampleSize: int | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class RecordKnowledgeApplicationInput(TypedDict, total=False):
    """Input of `recordKnowledgeApplication`."""

    id: Required[str | UUID]
    succeeded: Required[bool]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class RecordObservabilitySpansInput(TypedDict, total=False):
    """Input of `recordObservabilitySpans`."""

    rows: Required[Sequence[ObservabilitySpanRow]]
    idempotencyKey: str | None
    dryRun: bool | None
    onConflict: OnConflict | None


class RecordOptimizedToolDescriptionsInput(TypedDict, total=False):
    """Input of `recordOptimizedToolDescriptions`."""

    rows: Required[Sequence[OptimizedToolDescriptionRow]]
    idempotencyKey: str | None
    dryRun: bool | None


class RecordPatientCohortAssignmentsInput(TypedDict, total=False):
    """Input of `recordPatientCohortAssignments`."""

    rows: Required[Sequence[PatientCohortAssignmentRow]]
    idempotencyKey: str | None
    dryRun: bool | None
    onConflict: OnConflict | None


class RecordPerformanceMetricsInput(TypedDict, total=False):
    """Input of `recordPerformanceMetrics`."""

    rows: Required[Sequence[PerformanceMetricRow]]
    idempotencyKey: str | None
    dryRun: bool | None


class RecordPromptAbTestObservationsInput(TypedDict, total=False):
    """Input of `recordPromptAbTestObservations`."""

    rows: Required[Sequence[PromptAbTestObservationRow]]
    idempotencyKey: str | None
    dryRun: bool | None
    onConflict: OnConflict | None


class RecordProtocolDeviationInput(TypedDict, total=False):
    """Input of `recordProtocolDeviation`."""

    id: Required[str | UUID]
    deviation: Required[Any]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class RecordRoiCostDetailsInput(TypedDict, total=False):
    """Input of `recordRoiCostDetails`."""

    rows: Required[Sequence[RoiCostDetailRow]]
    idempotencyKey: str | None
    dryRun: bool | None


class RecordRoiValueDriverDetailsInput(TypedDict, total=False):
    """Input of `recordRoiValueDriverDetails`."""

    rows: Required[Sequence[RoiValueDriverDetailRow]]
    idempotencyKey: str | None
    dryRun: bool | None


class RecordServingMetricsInput(TypedDict, total=False):
    """Input of `recordServingMetrics`."""

    rows: Required[Sequence[ServingMetricRow]]
    idempotencyKey: str | None
    dryRun: bool | None


class RecordSrmRootCauseInput(TypedDict, total=False):
    """Input of `recordSrmRootCause`."""

    id: Required[str | UUID]
    rootCause: Required[str]
    expectedVersion: str | None
    investigationNotes: str | None
    resolutionAction: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class RecordToolDependenciesInput(TypedDict, total=False):
    """Input of `recordToolDependencies`."""

    rows: Required[Sequence[ToolDependencyRow]]
    idempotencyKey: str | None
    dryRun: bool | None
    onConflict: OnConflict | None


class RecordToolPerformancesInput(TypedDict, total=False):
    """Input of `recordToolPerformances`."""

    rows: Required[Sequence[ToolPerformanceRow]]
    idempotencyKey: str | None
    dryRun: bool | None


class RejectReviewInput(TypedDict, total=False):
    """Input of `rejectReview`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    concernsRaised: Sequence[str | None] | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class RemoveWebhookInput(TypedDict, total=False):
    """Input of `removeWebhook`."""

    name: Required[str]
    idempotencyKey: str | None
    dryRun: bool | None


class ReopenAlertInput(TypedDict, total=False):
    """Input of `reopenAlert`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class ReopenAlertsInput(TypedDict, total=False):
    """Input of `reopenAlerts`."""

    items: Required[Sequence[ChangeItem]]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class ReportHealthInput(TypedDict, total=False):
    """Input of `reportHealth`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    healthStatus: HealthStatus | None
    windowMinutes: int | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class RequestReviewInput(TypedDict, total=False):
    """Input of `requestReview`."""

    reviewType: Required[ExpertReviewType]
    reviewerId: Required[str]
    reviewerName: str | None
    reviewerRole: str | None
    dagVersionHash: str | None
    brand: str | None
    analysisContext: str | None
    treatmentVariable: str | None
    outcomeVariable: str | None
    reviewerEmail: str | None
    checklistJson: Any
    relatedValidationIds: Sequence[str | UUID] | None
    supersedesReviewId: str | UUID | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class ResendWebhookMessagesInput(TypedDict, total=False):
    """Input of `resendWebhookMessages`."""

    name: Required[str]
    messageId: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class ResolveAlertInput(TypedDict, total=False):
    """Input of `resolveAlert`."""

    id: Required[str | UUID]
    resolutionAction: Required[ResolutionAction]
    expectedVersion: str | None
    resolutionNotes: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class ResolveAlertsInput(TypedDict, total=False):
    """Input of `resolveAlerts`."""

    items: Required[Sequence[ChangeItem]]
    resolutionAction: Required[ResolutionAction]
    resolutionNotes: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class ResumeWebhookInput(TypedDict, total=False):
    """Input of `resumeWebhook`."""

    name: Required[str]
    idempotencyKey: str | None
    dryRun: bool | None


class RetireInput(TypedDict, total=False):
    """Input of the mutations that take a row out of use."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class RetrievalConfigurationRefId(TypedDict):
    """A reference to an existing RetrievalConfiguration row, by exactly one of these fields."""

    id: str | UUID


RetrievalConfigurationRef: TypeAlias = "RetrievalConfigurationRefId"


class RoiCalculationRefId(TypedDict):
    """A reference to an existing RoiCalculation row, by exactly one of these fields."""

    id: str | UUID


RoiCalculationRef: TypeAlias = "RoiCalculationRefId"


class RoiCostDetailChild(TypedDict, total=False):
    """A RoiCostDetail row, created together with the RoiCalculation that it belongs to."""

    category: Required[str]
    totalCost: Required[float | Decimal]
    id: UUID | str | None
    subcategory: str | None
    quantity: float | Decimal | None
    unitCost: float | Decimal | None
    isOneTime: bool | None
    recurrenceMonths: int | None


class RoiCostDetailRow(TypedDict, total=False):
    """A row of RoiCostDetail to record. Columns that are left out take their defaults; null is stored as null."""

    calculation: Required[RoiCalculationRef]
    category: Required[str]
    totalCost: Required[float | Decimal]
    id: UUID | str | None
    subcategory: str | None
    quantity: float | Decimal | None
    unitCost: float | Decimal | None
    isOneTime: bool | None
    recurrenceMonths: int | None


class RoiValueDriverDetailChild(TypedDict, total=False):
    """A RoiValueDriverDetail row, created together with the RoiCalculation that it belongs to."""

    driverType: Required[ValueDriver]
    quantity: Required[float | Decimal]
    unitValue: Required[float | Decimal]
    totalValue: Required[float | Decimal]
    id: UUID | str | None
    hcpCount: int | None
    triggerCount: int | None
    fpReduction: int | None
    fnReduction: int | None
    aucDropPrevented: float | Decimal | None
    baselineModelValue: float | Decimal | None
    uncertaintyStd: float | Decimal | None


class RoiValueDriverDetailRow(TypedDict, total=False):
    """A row of RoiValueDriverDetail to record. Columns that are left out take their defaults; null is stored as
    null."""

    calculation: Required[RoiCalculationRef]
    driverType: Required[ValueDriver]
    quantity: Required[float | Decimal]
    unitValue: Required[float | Decimal]
    totalValue: Required[float | Decimal]
    id: UUID | str | None
    hcpCount: int | None
    triggerCount: int | None
    fpReduction: int | None
    fnReduction: int | None
    aucDropPrevented: float | Decimal | None
    baselineModelValue: float | Decimal | None
    uncertaintyStd: float | Decimal | None


class RollBackImprovementInput(TypedDict, total=False):
    """Input of `rollBackImprovement`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class RollBackImprovementsInput(TypedDict, total=False):
    """Input of `rollBackImprovements`."""

    items: Required[Sequence[ChangeItem]]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class RollOutPromptAbTestInput(TypedDict, total=False):
    """Input of `rollOutPromptAbTest`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class RollbackDeploymentInput(TypedDict, total=False):
    """Input of `rollbackDeployment`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class RotateWebhookSecretInput(TypedDict, total=False):
    """Input of `rotateWebhookSecret`."""

    name: Required[str]
    hours: float | Decimal | None
    idempotencyKey: str | None
    dryRun: bool | None


class ServingMetricRow(TypedDict, total=False):
    """A row of ServingMetric to record. Columns that are left out take their defaults; null is stored as null."""

    service: Required[BentoServiceRef]
    id: UUID | str | None
    recordedAt: datetime | str | None
    requestsTotal: int | None
    requestsPerSecond: float | Decimal | None
    successfulRequests: int | None
    failedRequests: int | None
    avgLatencyMs: float | Decimal | None
    p50LatencyMs: float | Decimal | None
    p95LatencyMs: float | Decimal | None
    p99LatencyMs: float | Decimal | None
    maxLatencyMs: float | Decimal | None
    errorRate: float | Decimal | None
    errorTypes: Any
    memoryMb: float | Decimal | None
    memoryPercent: float | Decimal | None
    cpuPercent: float | Decimal | None
    predictionsCount: int | None
    batchSizeAvg: float | Decimal | None
    modelLoadTimeMs: float | Decimal | None
    inferenceTimeAvgMs: float | Decimal | None


class SetChampionInput(TypedDict, total=False):
    """Input of `setChampion`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class StartDeploymentInput(TypedDict, total=False):
    """Input of `startDeployment`."""

    modelId: Required[str | UUID]
    environment: Required[str]
    deploymentName: str | None
    endpointName: str | None
    endpointUrl: str | None
    deploymentConfig: Any
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class StartPromptAbTestInput(TypedDict, total=False):
    """Input of `startPromptAbTest`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class StartPromptAbTestsInput(TypedDict, total=False):
    """Input of `startPromptAbTests`."""

    items: Required[Sequence[ChangeItem]]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class StartSimulationInput(TypedDict, total=False):
    """Input of `startSimulation`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class StartSimulationsInput(TypedDict, total=False):
    """Input of `startSimulations`."""

    items: Required[Sequence[ChangeItem]]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class StopPromptAbTestInput(TypedDict, total=False):
    """Input of `stopPromptAbTest`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class StopPromptAbTestsInput(TypedDict, total=False):
    """Input of `stopPromptAbTests`."""

    items: Required[Sequence[ChangeItem]]
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class SwapChampionInput(TypedDict, total=False):
    """Input of `swapChampion`."""

    id: Required[str | UUID]
    currentId: Required[str | UUID]
    expectedVersion: str | None
    currentVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class ToolDependencyChild(TypedDict, total=False):
    """A ToolDependency row, created together with the Tool that it belongs to."""

    producerTool: Required[ToolRef]
    id: UUID | str | None
    outputField: str | None
    inputField: str | None
    transformExpression: str | None


class ToolDependencyRow(TypedDict, total=False):
    """A row of ToolDependency to record. Columns that are left out take their defaults; null is stored as null."""

    consumerTool: Required[ToolRef]
    producerTool: Required[ToolRef]
    id: UUID | str | None
    outputField: str | None
    inputField: str | None
    transformExpression: str | None


class ToolPerformanceRow(TypedDict, total=False):
    """A row of ToolPerformance to record. Columns that are left out take their defaults; null is stored as null."""

    tool: Required[ToolRef]
    toolName: Required[str]
    latencyMs: Required[float | Decimal]
    success: Required[bool]
    id: UUID | str | None
    contextType: str | None
    inputComplexity: int | None
    errorType: str | None
    compositionId: str | None
    step: CompositionStepRef | None
    calledBy: str | None
    executedAt: datetime | str | None


class ToolRefId(TypedDict):
    """A reference to an existing Tool row, by exactly one of these fields."""

    id: str | UUID


class ToolRefName(TypedDict):
    """A reference to an existing Tool row, by exactly one of these fields."""

    name: str


ToolRef: TypeAlias = "ToolRefId | ToolRefName"


class TrainingRunRefId(TypedDict):
    """A reference to an existing TrainingRun row, by exactly one of these fields."""

    id: str | UUID


class TrainingRunRefMlflowRunId(TypedDict):
    """A reference to an existing TrainingRun row, by exactly one of these fields."""

    mlflowRunId: str


TrainingRunRef: TypeAlias = "TrainingRunRefId | TrainingRunRefMlflowRunId"


class TriggerRetrainingInput(TypedDict, total=False):
    """Input of `triggerRetraining`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    triggerReason: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class TwinModelRefId(TypedDict):
    """A reference to an existing TwinModel row, by exactly one of these fields."""

    id: str | UUID


TwinModelRef: TypeAlias = "TwinModelRefId"


class TwinSimulationRefId(TypedDict):
    """A reference to an existing TwinSimulation row, by exactly one of these fields."""

    id: str | UUID


TwinSimulationRef: TypeAlias = "TwinSimulationRefId"


class UpdateBentoServiceInput(TypedDict, total=False):
    """Input of `updateBentoService`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    serviceName: str | None
    bentoTag: str | None
    bentoVersion: str | None
    model: ModelRef | None
    deployment: DeploymentRef | None
    containerImage: str | None
    containerTag: str | None
    replicas: int | None
    resources: Any
    environment: str | None
    servingEndpoint: str | None
    internalEndpoint: str | None
    labels: Any
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateCohortDefinitionInput(TypedDict, total=False):
    """Input of `updateCohortDefinition`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    cohortName: str | None
    inclusionCriteria: Any
    exclusionCriteria: Any
    lookbackDays: int | None
    followupDays: int | None
    indexDateField: str | None
    requiredFields: Any
    initialPopulation: int | None
    eligiblePopulation: int | None
    excludedPopulation: int | None
    exclusionRate: float | Decimal | None
    clinicalRationale: str | None
    regulatoryJustification: str | None
    configHash: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateComposerEpisodeInput(TypedDict, total=False):
    """Input of `updateComposerEpisode`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    queryText: str | None
    queryEmbedding: Sequence[float] | None
    parallelizableGroups: Any
    decomposeLatencyMs: float | Decimal | None
    planLatencyMs: float | Decimal | None
    executeLatencyMs: float | Decimal | None
    synthesizeLatencyMs: float | Decimal | None
    sessionId: str | None
    userId: str | None
    classification: ClassificationLogRef | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateDeploymentInput(TypedDict, total=False):
    """Input of `updateDeployment`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    endpointName: str | None
    endpointUrl: str | None
    deploymentConfig: Any
    shadowMetrics: Any
    productionMetrics: Any
    latencyP50Ms: int | None
    latencyP95Ms: int | None
    latencyP99Ms: int | None
    errorRate: float | Decimal | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateEnrollmentInput(TypedDict, total=False):
    """Input of `updateEnrollment`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    enrolledAt: datetime | str | None
    eligibilityCriteriaMet: Any
    eligibilityCheckTimestamp: datetime | str | None
    consentTimestamp: datetime | str | None
    consentMethod: str | None
    consentVersion: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateExperimentInput(TypedDict, total=False):
    """Input of `updateExperiment`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    experimentName: str | None
    description: str | None
    predictionTarget: str | None
    targetPopulation: str | None
    observationWindowDays: int | None
    predictionHorizonDays: int | None
    minimumAuc: float | Decimal | None
    minimumPrecisionAtK: float | Decimal | None
    maximumFpr: float | Decimal | None
    brand: Brand | None
    region: Region | None
    dataSplit: DataSplit | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateExperimentKnowledgeInput(TypedDict, total=False):
    """Input of `updateExperimentKnowledge`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    lessonType: str | None
    title: str | None
    description: str | None
    knowledgeJson: Any
    applicableBrands: Sequence[str | None] | None
    applicableContexts: Sequence[str | None] | None
    embedding: Sequence[float] | None
    confidenceLevel: float | Decimal | None
    validated: bool | None
    validationDate: date | str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateFeatureInput(TypedDict, total=False):
    """Input of `updateFeature`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    featureGroup: str | None
    description: str | None
    dataType: str | None
    entityType: str | None
    computationSql: str | None
    computationPython: str | None
    sourceTables: Any
    trainStatistics: Any
    globalImportance: float | Decimal | None
    importanceRank: int | None
    dataSplit: DataSplit | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateFeatureViewInput(TypedDict, total=False):
    """Input of `updateFeatureView`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    description: str | None
    entities: Any
    entityJoinKeys: Any
    features: Any
    featureCount: int | None
    sourceType: str | None
    sourceName: str | None
    ttlSeconds: int | None
    onlineEnabled: bool | None
    batchSourceEnabled: bool | None
    tags: Any
    owner: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateFidelityComparisonInput(TypedDict, total=False):
    """Input of `updateFidelityComparison`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    result: ExperimentResultRef | None
    comparisonTimestamp: datetime | str | None
    predictedEffect: float | Decimal | None
    predictedCiLower: float | Decimal | None
    predictedCiUpper: float | Decimal | None
    predictedSampleSize: int | None
    actualEffect: float | Decimal | None
    actualCiLower: float | Decimal | None
    actualCiUpper: float | Decimal | None
    actualSampleSize: int | None
    calibrationAdjustment: Any
    feedbackAppliedToModel: bool | None
    feedbackAppliedAt: datetime | str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateHpoStudyInput(TypedDict, total=False):
    """Input of `updateHpoStudy`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    experiment: ExperimentRef | None
    samplerName: str | None
    prunerName: str | None
    searchSpace: Any
    fixedParams: Any
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateImprovementActionInput(TypedDict, total=False):
    """Input of `updateImprovementAction`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    learningSignalId: UUID | str | None
    triggerScore: float | Decimal | None
    improvementType: ImprovementType | None
    actionDescription: str | None
    beforeConfig: Any
    afterConfig: Any
    retrievalConfiguration: RetrievalConfigurationRef | None
    promptConfiguration: PromptConfigurationRef | None
    outcomeMeasured: bool | None
    outcomeImproved: bool | None
    outcomeDelta: float | Decimal | None
    measuredAt: datetime | str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateMaterializationJobInput(TypedDict, total=False):
    """Input of `updateMaterializationJob`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    featureView: FeatureViewRef | None
    featureViewName: str | None
    jobType: str | None
    startTime: datetime | str | None
    endTime: datetime | str | None
    bytesWritten: int | None
    onlineStoreRowsWritten: int | None
    onlineStoreLatencyMs: float | Decimal | None
    cpuSeconds: float | Decimal | None
    memoryPeakMb: float | Decimal | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateModelInput(TypedDict, total=False):
    """Input of `updateModel`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    experiment: ExperimentRef | None
    mlflowRunId: str | None
    mlflowModelUri: str | None
    algorithm: str | None
    hyperparameters: Any
    featureCount: int | None
    trainingSamples: int | None
    auc: float | Decimal | None
    prAuc: float | Decimal | None
    brierScore: float | Decimal | None
    calibrationSlope: float | Decimal | None
    fairnessMetrics: Any
    trainedAt: datetime | str | None
    registeredAt: datetime | str | None
    dataSplit: DataSplit | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateMonitoringAlertInput(TypedDict, total=False):
    """Input of `updateMonitoringAlert`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    affectedFeatures: Sequence[str | None] | None
    recommendedAction: str | None
    recommendedPriority: str | None
    autoActionTaken: bool | None
    autoActionDetails: Any
    notifiedChannels: Sequence[str | None] | None
    notificationSentAt: datetime | str | None
    notificationError: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateMonitoringRunInput(TypedDict, total=False):
    """Input of `updateMonitoringRun`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    runType: str | None
    triggerType: str | None
    modelIds: Sequence[UUID | str | None] | None
    deploymentIds: Sequence[UUID | str | None] | None
    startedAt: datetime | str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateOptimizedInstructionInput(TypedDict, total=False):
    """Input of `updateOptimizedInstruction`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    valScore: float | Decimal | None
    valScoreComponents: Any
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdatePromptAbTestInput(TypedDict, total=False):
    """Input of `updatePromptAbTest`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    agentName: str | None
    baselineInstruction: OptimizedInstructionRef | None
    treatmentInstruction: OptimizedInstructionRef | None
    trafficSplit: float | Decimal | None
    targetSampleSize: int | None
    baselineRequests: int | None
    treatmentRequests: int | None
    baselineScoreAvg: float | Decimal | None
    treatmentScoreAvg: float | Decimal | None
    baselineLatencyP50: int | None
    treatmentLatencyP50: int | None
    confidenceIntervalLower: float | Decimal | None
    confidenceIntervalUpper: float | Decimal | None
    isSignificant: bool | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdatePromptConfigurationInput(TypedDict, total=False):
    """Input of `updatePromptConfiguration`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    agentName: str | None
    systemPrompt: str | None
    fewShotExamples: Any
    avgAnswerRelevancy: float | Decimal | None
    avgRubricScore: float | Decimal | None
    avgCombinedScore: float | Decimal | None
    evaluationCount: int | None
    isBaseline: bool | None
    parentPrompt: PromptConfigurationRef | None
    changeReason: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdatePromptOptimizationRunInput(TypedDict, total=False):
    """Input of `updatePromptOptimizationRun`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    agentName: str | None
    agentTier: int | None
    agentType: str | None
    optimizerType: OptimizerType | None
    budgetPreset: GepaBudgetPreset | None
    maxMetricCalls: int | None
    reflectionModel: str | None
    reflectionMinibatchSize: int | None
    enableToolOptimization: bool | None
    candidateSelectionStrategy: str | None
    trainsetSize: int | None
    valsetSize: int | None
    trainsetHash: str | None
    valsetHash: str | None
    improvementPercent: float | Decimal | None
    totalMetricCalls: int | None
    numCandidatesExplored: int | None
    paretoFrontierSize: int | None
    logDir: str | None
    mlflowRunId: str | None
    bestCandidateIdx: int | None
    configJson: Any
    seed: int | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateRetrievalConfigurationInput(TypedDict, total=False):
    """Input of `updateRetrievalConfiguration`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    kValue: int | None
    chunkSize: int | None
    chunkOverlap: int | None
    vectorWeight: float | Decimal | None
    fulltextWeight: float | Decimal | None
    graphWeight: float | Decimal | None
    rerankEnabled: bool | None
    rerankModel: str | None
    rerankTopK: int | None
    avgContextPrecision: float | Decimal | None
    avgContextRecall: float | Decimal | None
    avgFaithfulness: float | Decimal | None
    evaluationCount: int | None
    isBaseline: bool | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateRoiCalculationInput(TypedDict, total=False):
    """Input of `updateRoiCalculation`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    supersededByCalculation: RoiCalculationRef | None
    notes: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateSrmCheckInput(TypedDict, total=False):
    """Input of `updateSrmCheck`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    investigationNotes: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateToolInput(TypedDict, total=False):
    """Input of `updateTool`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    description: str | None
    category: ToolCategory | None
    sourceAgent: str | None
    inputSchema: Any
    outputSchema: Any
    composable: bool | None
    avgLatencyMs: float | Decimal | None
    successRate: float | Decimal | None
    version: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateTrainingRunInput(TypedDict, total=False):
    """Input of `updateTrainingRun`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    experiment: ExperimentRef | None
    runName: str | None
    algorithm: str | None
    hyperparameters: Any
    trainingSamples: int | None
    validationSamples: int | None
    testSamples: int | None
    featureNames: Any
    startedAt: datetime | str | None
    computeType: str | None
    gpuUsed: bool | None
    dataSplit: DataSplit | None
    optunaStudyName: str | None
    optunaTrialNumber: int | None
    isBestTrial: bool | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateTwinFidelityInput(TypedDict, total=False):
    """Input of `updateTwinFidelity`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    actualExperimentId: UUID | str | None
    validationNotes: str | None
    confoundingFactors: Any
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateTwinModelInput(TypedDict, total=False):
    """Input of `updateTwinModel`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    modelName: str | None
    modelDescription: str | None
    twinType: TwinType | None
    modelVersion: str | None
    mlflowRunId: str | None
    mlflowModelUri: str | None
    trainingConfig: Any
    featureColumns: Sequence[str | None] | None
    targetColumns: Sequence[str | None] | None
    performanceMetrics: Any
    brand: str | None
    geographicScope: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class UpdateTwinSimulationInput(TypedDict, total=False):
    """Input of `updateTwinSimulation`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    twinModel: TwinModelRef | None
    experimentDesignId: UUID | str | None
    interventionType: str | None
    interventionConfig: Any
    targetPopulation: TwinType | None
    populationFilters: Any
    twinCount: int | None
    simulatedStdError: float | Decimal | None
    effectHeterogeneity: Any
    recommendedDurationWeeks: int | None
    fidelityWarning: bool | None
    fidelityWarningReason: str | None
    executionTimeMs: int | None
    memoryUsageMb: int | None
    brand: str | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class WebhookAlertFilters(TypedDict, total=False):
    """Which alerts: the arguments of the subscription `alerts`; all without any."""

    severity: Sequence[DriftSeverity] | None
    status: Sequence[AlertStatus] | None
    modelId: str | UUID | None


WebhookLifecycleFilters = TypedDict(
    "WebhookLifecycleFilters",
    {
        "types": "Sequence[LifecycleType] | None",
        "nodeIds": "Sequence[str | UUID] | None",
        "from": "Sequence[str] | None",
        "to": "Sequence[str] | None",
    },
    total=False,
)
"""Which changes: the arguments of the subscription `lifecycleEvents`; all without any."""


class WithdrawEnrollmentInput(TypedDict, total=False):
    """Input of `withdrawEnrollment`."""

    id: Required[str | UUID]
    expectedVersion: str | None
    withdrawalInitiatedBy: WithdrawalInitiator | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


class WithdrawEnrollmentsInput(TypedDict, total=False):
    """Input of `withdrawEnrollments`."""

    items: Required[Sequence[ChangeItem]]
    withdrawalInitiatedBy: WithdrawalInitiator | None
    reason: str | None
    idempotencyKey: str | None
    dryRun: bool | None


MUTATIONS: Mapping[str, tuple[str, str]] = {
    "acknowledgeAlert": ("AcknowledgeAlertInput", "TransitionResult"),
    "acknowledgeAlerts": ("AcknowledgeAlertsInput", "TransitionResult"),
    "activateOptimizedInstruction": ("ActivateOptimizedInstructionInput", "TransitionResult"),
    "activateOptimizedToolDescription": ("ActivateOptimizedToolDescriptionInput", "TransitionResult"),
    "activatePromptConfiguration": ("ActivatePromptConfigurationInput", "TransitionResult"),
    "activateRetrievalConfiguration": ("ActivateRetrievalConfigurationInput", "TransitionResult"),
    "activateTwinModel": ("ActivateTwinModelInput", "TransitionResult"),
    "activateTwinModels": ("ActivateTwinModelsInput", "TransitionResult"),
    "applyImprovement": ("ApplyImprovementInput", "TransitionResult"),
    "applyImprovements": ("ApplyImprovementsInput", "TransitionResult"),
    "approveReview": ("ApproveReviewInput", "TransitionResult"),
    "completeCohortExecution": ("CompleteCohortExecutionInput", "TransitionResult"),
    "completeEnrollment": ("CompleteEnrollmentInput", "TransitionResult"),
    "completeEnrollments": ("CompleteEnrollmentsInput", "TransitionResult"),
    "completeHpoStudy": ("CompleteHpoStudyInput", "TransitionResult"),
    "completeMonitoringRun": ("CompleteMonitoringRunInput", "TransitionResult"),
    "completeRetraining": ("CompleteRetrainingInput", "TransitionResult"),
    "completeSimulation": ("CompleteSimulationInput", "TransitionResult"),
    "completeTrainingRun": ("CompleteTrainingRunInput", "TransitionResult"),
    "concludePromptAbTest": ("ConcludePromptAbTestInput", "TransitionResult"),
    "deactivateOptimizedInstruction": ("DeactivateOptimizedInstructionInput", "TransitionResult"),
    "deactivateOptimizedInstructions": ("DeactivateOptimizedInstructionsInput", "TransitionResult"),
    "deactivateOptimizedToolDescription": ("DeactivateOptimizedToolDescriptionInput", "TransitionResult"),
    "deactivateOptimizedToolDescriptions": ("DeactivateOptimizedToolDescriptionsInput", "TransitionResult"),
    "deactivatePromptConfiguration": ("DeactivatePromptConfigurationInput", "TransitionResult"),
    "deactivatePromptConfigurations": ("DeactivatePromptConfigurationsInput", "TransitionResult"),
    "deactivateRetrievalConfiguration": ("DeactivateRetrievalConfigurationInput", "TransitionResult"),
    "deactivateRetrievalConfigurations": ("DeactivateRetrievalConfigurationsInput", "TransitionResult"),
    "deactivateTwinModel": ("DeactivateTwinModelInput", "TransitionResult"),
    "deactivateTwinModels": ("DeactivateTwinModelsInput", "TransitionResult"),
    "dismissAlert": ("DismissAlertInput", "TransitionResult"),
    "dismissAlerts": ("DismissAlertsInput", "TransitionResult"),
    "endHpoStudy": ("EndHpoStudyInput", "TransitionResult"),
    "excludeEnrollment": ("ExcludeEnrollmentInput", "TransitionResult"),
    "excludeEnrollments": ("ExcludeEnrollmentsInput", "TransitionResult"),
    "expireOverdueReviews": ("ExpireOverdueReviewsInput", "TransitionResult"),
    "expireReview": ("ExpireReviewInput", "TransitionResult"),
    "expireReviews": ("ExpireReviewsInput", "TransitionResult"),
    "failCohortExecution": ("FailCohortExecutionInput", "TransitionResult"),
    "failMonitoringRun": ("FailMonitoringRunInput", "TransitionResult"),
    "failMonitoringRuns": ("FailMonitoringRunsInput", "TransitionResult"),
    "failSimulation": ("FailSimulationInput", "TransitionResult"),
    "failSimulations": ("FailSimulationsInput", "TransitionResult"),
    "failTrainingRun": ("FailTrainingRunInput", "TransitionResult"),
    "failTrainingRuns": ("FailTrainingRunsInput", "TransitionResult"),
    "investigateAlert": ("InvestigateAlertInput", "TransitionResult"),
    "investigateAlerts": ("InvestigateAlertsInput", "TransitionResult"),
    "killTrainingRun": ("KillTrainingRunInput", "TransitionResult"),
    "killTrainingRuns": ("KillTrainingRunsInput", "TransitionResult"),
    "loseEnrollment": ("LoseEnrollmentInput", "TransitionResult"),
    "loseEnrollments": ("LoseEnrollmentsInput", "TransitionResult"),
    "moveCohortDefinition": ("MoveCohortDefinitionInput", "TransitionResult"),
    "moveCohortDefinitions": ("MoveCohortDefinitionsInput", "TransitionResult"),
    "moveDeployment": ("MoveDeploymentInput", "TransitionResult"),
    "moveDeployments": ("MoveDeploymentsInput", "TransitionResult"),
    "moveEpisode": ("MoveEpisodeInput", "TransitionResult"),
    "moveMaterializationJob": ("MoveMaterializationJobInput", "TransitionResult"),
    "moveOptimizationRun": ("MoveOptimizationRunInput", "TransitionResult"),
    "moveRetraining": ("MoveRetrainingInput", "TransitionResult"),
    "moveService": ("MoveServiceInput", "TransitionResult"),
    "moveServices": ("MoveServicesInput", "TransitionResult"),
    "moveStep": ("MoveStepInput", "TransitionResult"),
    "moveTrial": ("MoveTrialInput", "TransitionResult"),
    "promoteModel": ("PromoteModelInput", "TransitionResult"),
    "promoteModels": ("PromoteModelsInput", "TransitionResult"),
    "recordActualEffect": ("RecordActualEffectInput", "TransitionResult"),
    "recordClassificationFeedback": ("RecordClassificationFeedbackInput", "TransitionResult"),
    "recordEpisodeFeedback": ("RecordEpisodeFeedbackInput", "TransitionResult"),
    "recordInterimDecision": ("RecordInterimDecisionInput", "TransitionResult"),
    "recordKnowledgeApplication": ("RecordKnowledgeApplicationInput", "TransitionResult"),
    "recordProtocolDeviation": ("RecordProtocolDeviationInput", "TransitionResult"),
    "recordSrmRootCause": ("RecordSrmRootCauseInput", "TransitionResult"),
    "rejectReview": ("RejectReviewInput", "TransitionResult"),
    "reopenAlert": ("ReopenAlertInput", "TransitionResult"),
    "reopenAlerts": ("ReopenAlertsInput", "TransitionResult"),
    "reportHealth": ("ReportHealthInput", "TransitionResult"),
    "requestReview": ("RequestReviewInput", "TransitionResult"),
    "resolveAlert": ("ResolveAlertInput", "TransitionResult"),
    "resolveAlerts": ("ResolveAlertsInput", "TransitionResult"),
    "rollBackImprovement": ("RollBackImprovementInput", "TransitionResult"),
    "rollBackImprovements": ("RollBackImprovementsInput", "TransitionResult"),
    "rollOutPromptAbTest": ("RollOutPromptAbTestInput", "TransitionResult"),
    "rollbackDeployment": ("RollbackDeploymentInput", "TransitionResult"),
    "setChampion": ("SetChampionInput", "TransitionResult"),
    "startDeployment": ("StartDeploymentInput", "TransitionResult"),
    "startPromptAbTest": ("StartPromptAbTestInput", "TransitionResult"),
    "startPromptAbTests": ("StartPromptAbTestsInput", "TransitionResult"),
    "startSimulation": ("StartSimulationInput", "TransitionResult"),
    "startSimulations": ("StartSimulationsInput", "TransitionResult"),
    "stopPromptAbTest": ("StopPromptAbTestInput", "TransitionResult"),
    "stopPromptAbTests": ("StopPromptAbTestsInput", "TransitionResult"),
    "swapChampion": ("SwapChampionInput", "TransitionResult"),
    "triggerRetraining": ("TriggerRetrainingInput", "TransitionResult"),
    "withdrawEnrollment": ("WithdrawEnrollmentInput", "TransitionResult"),
    "withdrawEnrollments": ("WithdrawEnrollmentsInput", "TransitionResult"),
    "recordAssignments": ("RecordAssignmentsInput", "RecordResult"),
    "recordCausalValidations": ("RecordCausalValidationsInput", "RecordResult"),
    "recordClassificationLogs": ("RecordClassificationLogsInput", "RecordResult"),
    "recordCohortEligibilityLogs": ("RecordCohortEligibilityLogsInput", "RecordResult"),
    "recordCompositionSteps": ("RecordCompositionStepsInput", "RecordResult"),
    "recordDiscoveredEdges": ("RecordDiscoveredEdgesInput", "RecordResult"),
    "recordDiscoveryAlgorithmRuns": ("RecordDiscoveryAlgorithmRunsInput", "RecordResult"),
    "recordDriftRecords": ("RecordDriftRecordsInput", "RecordResult"),
    "recordEvaluations": ("RecordEvaluationsInput", "RecordResult"),
    "recordFeatureFreshnesses": ("RecordFeatureFreshnessesInput", "RecordResult"),
    "recordFeatureRankings": ("RecordFeatureRankingsInput", "RecordResult"),
    "recordHpoTrials": ("RecordHpoTrialsInput", "RecordResult"),
    "recordObservabilitySpans": ("RecordObservabilitySpansInput", "RecordResult"),
    "recordOptimizedToolDescriptions": ("RecordOptimizedToolDescriptionsInput", "RecordResult"),
    "recordPatientCohortAssignments": ("RecordPatientCohortAssignmentsInput", "RecordResult"),
    "recordPerformanceMetrics": ("RecordPerformanceMetricsInput", "RecordResult"),
    "recordPromptAbTestObservations": ("RecordPromptAbTestObservationsInput", "RecordResult"),
    "recordRoiCostDetails": ("RecordRoiCostDetailsInput", "RecordResult"),
    "recordRoiValueDriverDetails": ("RecordRoiValueDriverDetailsInput", "RecordResult"),
    "recordServingMetrics": ("RecordServingMetricsInput", "RecordResult"),
    "recordToolDependencies": ("RecordToolDependenciesInput", "RecordResult"),
    "recordToolPerformances": ("RecordToolPerformancesInput", "RecordResult"),
    "createBentoService": ("CreateBentoServiceInput", "RecordResult"),
    "createCohortComparison": ("CreateCohortComparisonInput", "RecordResult"),
    "createCohortDefinition": ("CreateCohortDefinitionInput", "RecordResult"),
    "createCohortExecution": ("CreateCohortExecutionInput", "RecordResult"),
    "createComposerEpisode": ("CreateComposerEpisodeInput", "RecordResult"),
    "createDataQualityReport": ("CreateDataQualityReportInput", "RecordResult"),
    "createDiscoveredDag": ("CreateDiscoveredDagInput", "RecordResult"),
    "createDriverRanking": ("CreateDriverRankingInput", "RecordResult"),
    "createEnrollment": ("CreateEnrollmentInput", "RecordResult"),
    "createExperiment": ("CreateExperimentInput", "RecordResult"),
    "createExperimentKnowledge": ("CreateExperimentKnowledgeInput", "RecordResult"),
    "createExperimentResult": ("CreateExperimentResultInput", "RecordResult"),
    "createFeature": ("CreateFeatureInput", "RecordResult"),
    "createFeatureView": ("CreateFeatureViewInput", "RecordResult"),
    "createFidelityComparison": ("CreateFidelityComparisonInput", "RecordResult"),
    "createHpoStudy": ("CreateHpoStudyInput", "RecordResult"),
    "createImprovementAction": ("CreateImprovementActionInput", "RecordResult"),
    "createInterimAnalysis": ("CreateInterimAnalysisInput", "RecordResult"),
    "createMaterializationJob": ("CreateMaterializationJobInput", "RecordResult"),
    "createModel": ("CreateModelInput", "RecordResult"),
    "createMonitoringAlert": ("CreateMonitoringAlertInput", "RecordResult"),
    "createMonitoringRun": ("CreateMonitoringRunInput", "RecordResult"),
    "createOptimizedInstruction": ("CreateOptimizedInstructionInput", "RecordResult"),
    "createPromptAbTest": ("CreatePromptAbTestInput", "RecordResult"),
    "createPromptConfiguration": ("CreatePromptConfigurationInput", "RecordResult"),
    "createPromptOptimizationRun": ("CreatePromptOptimizationRunInput", "RecordResult"),
    "createRetraining": ("CreateRetrainingInput", "RecordResult"),
    "createRetrievalConfiguration": ("CreateRetrievalConfigurationInput", "RecordResult"),
    "createRoiCalculation": ("CreateRoiCalculationInput", "RecordResult"),
    "createShapAnalysis": ("CreateShapAnalysisInput", "RecordResult"),
    "createSrmCheck": ("CreateSrmCheckInput", "RecordResult"),
    "createTool": ("CreateToolInput", "RecordResult"),
    "createTrainingRun": ("CreateTrainingRunInput", "RecordResult"),
    "createTwinFidelity": ("CreateTwinFidelityInput", "RecordResult"),
    "createTwinModel": ("CreateTwinModelInput", "RecordResult"),
    "createTwinSimulation": ("CreateTwinSimulationInput", "RecordResult"),
    "retireExperimentKnowledge": ("RetireInput", "RecordResult"),
    "retireFeature": ("RetireInput", "RecordResult"),
    "retireFeatureView": ("RetireInput", "RecordResult"),
    "retireRoiCalculation": ("RetireInput", "RecordResult"),
    "retireTool": ("RetireInput", "RecordResult"),
    "updateBentoService": ("UpdateBentoServiceInput", "RecordResult"),
    "updateCohortDefinition": ("UpdateCohortDefinitionInput", "RecordResult"),
    "updateComposerEpisode": ("UpdateComposerEpisodeInput", "RecordResult"),
    "updateDeployment": ("UpdateDeploymentInput", "RecordResult"),
    "updateEnrollment": ("UpdateEnrollmentInput", "RecordResult"),
    "updateExperiment": ("UpdateExperimentInput", "RecordResult"),
    "updateExperimentKnowledge": ("UpdateExperimentKnowledgeInput", "RecordResult"),
    "updateFeature": ("UpdateFeatureInput", "RecordResult"),
    "updateFeatureView": ("UpdateFeatureViewInput", "RecordResult"),
    "updateFidelityComparison": ("UpdateFidelityComparisonInput", "RecordResult"),
    "updateHpoStudy": ("UpdateHpoStudyInput", "RecordResult"),
    "updateImprovementAction": ("UpdateImprovementActionInput", "RecordResult"),
    "updateMaterializationJob": ("UpdateMaterializationJobInput", "RecordResult"),
    "updateModel": ("UpdateModelInput", "RecordResult"),
    "updateMonitoringAlert": ("UpdateMonitoringAlertInput", "RecordResult"),
    "updateMonitoringRun": ("UpdateMonitoringRunInput", "RecordResult"),
    "updateOptimizedInstruction": ("UpdateOptimizedInstructionInput", "RecordResult"),
    "updatePromptAbTest": ("UpdatePromptAbTestInput", "RecordResult"),
    "updatePromptConfiguration": ("UpdatePromptConfigurationInput", "RecordResult"),
    "updatePromptOptimizationRun": ("UpdatePromptOptimizationRunInput", "RecordResult"),
    "updateRetrievalConfiguration": ("UpdateRetrievalConfigurationInput", "RecordResult"),
    "updateRoiCalculation": ("UpdateRoiCalculationInput", "RecordResult"),
    "updateSrmCheck": ("UpdateSrmCheckInput", "RecordResult"),
    "updateTool": ("UpdateToolInput", "RecordResult"),
    "updateTrainingRun": ("UpdateTrainingRunInput", "RecordResult"),
    "updateTwinFidelity": ("UpdateTwinFidelityInput", "RecordResult"),
    "updateTwinModel": ("UpdateTwinModelInput", "RecordResult"),
    "updateTwinSimulation": ("UpdateTwinSimulationInput", "RecordResult"),
    "purgeDriftRecords": ("PurgeInput", "PurgeResult"),
    "purgeFeatureFreshnesses": ("PurgeInput", "PurgeResult"),
    "purgeInterimAnalyses": ("PurgeInput", "PurgeResult"),
    "purgeMonitoringAlerts": ("PurgeInput", "PurgeResult"),
    "purgeMonitoringRuns": ("PurgeInput", "PurgeResult"),
    "purgeObservabilitySpans": ("PurgeInput", "PurgeResult"),
    "purgePerformanceMetrics": ("PurgeInput", "PurgeResult"),
    "purgeServingMetrics": ("PurgeInput", "PurgeResult"),
    "purgeSrmChecks": ("PurgeInput", "PurgeResult"),
    "purgeToolPerformances": ("PurgeInput", "PurgeResult"),
    "createWebhook": ("CreateWebhookInput", "WebhookResult"),
    "changeWebhook": ("ChangeWebhookInput", "WebhookResult"),
    "rotateWebhookSecret": ("RotateWebhookSecretInput", "WebhookResult"),
    "endWebhookRotation": ("EndWebhookRotationInput", "WebhookResult"),
    "pauseWebhook": ("PauseWebhookInput", "WebhookResult"),
    "resumeWebhook": ("ResumeWebhookInput", "WebhookResult"),
    "resendWebhookMessages": ("ResendWebhookMessagesInput", "WebhookResult"),
    "removeWebhook": ("RemoveWebhookInput", "WebhookResult"),
}
"""The types of their input and of their result, by mutation."""


class TypedChanges(Generic[ChangedT, RecordingT]):
    """A method for each mutation, with its input; what they return is the client's."""

    @abstractmethod
    def change(self, mutation: str, input: Mapping[str, Any], *, key: str | None = None) -> ChangedT:
        """Makes a change by the name of its mutation."""

    @abstractmethod
    def record(self, plural: str, rows: Iterable[Mapping[str, Any]], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records rows by the name of their list."""


    def acknowledge_alert(self, input: AcknowledgeAlertInput, *, key: str | None = None) -> ChangedT:
        """Acknowledges an alert."""
        return self.change("acknowledgeAlert", input, key=key)


    def acknowledge_alerts(self, input: AcknowledgeAlertsInput, *, key: str | None = None) -> ChangedT:
        """Acknowledges an alert. All of the rows or none, at most 100."""
        return self.change("acknowledgeAlerts", input, key=key)


    def activate_optimized_instruction(self, input: ActivateOptimizedInstructionInput, *, key: str | None = None) -> ChangedT:
        """Activates an instruction, in place of the active one of its agent and predictor."""
        return self.change("activateOptimizedInstruction", input, key=key)


    def activate_optimized_tool_description(self, input: ActivateOptimizedToolDescriptionInput, *, key: str | None = None) -> ChangedT:
        """Activates a tool's description, in place of the active one of its agent."""
        return self.change("activateOptimizedToolDescription", input, key=key)


    def activate_prompt_configuration(self, input: ActivatePromptConfigurationInput, *, key: str | None = None) -> ChangedT:
        """Activates a version of a prompt, in place of the active one of its agent."""
        return self.change("activatePromptConfiguration", input, key=key)


    def activate_retrieval_configuration(self, input: ActivateRetrievalConfigurationInput, *, key: str | None = None) -> ChangedT:
        """Activates a retrieval configuration, in place of the active one."""
        return self.change("activateRetrievalConfiguration", input, key=key)


    def activate_twin_model(self, input: ActivateTwinModelInput, *, key: str | None = None) -> ChangedT:
        """Activates a twin model."""
        return self.change("activateTwinModel", input, key=key)


    def activate_twin_models(self, input: ActivateTwinModelsInput, *, key: str | None = None) -> ChangedT:
        """Activates a twin model. All of the rows or none, at most 100."""
        return self.change("activateTwinModels", input, key=key)


    def apply_improvement(self, input: ApplyImprovementInput, *, key: str | None = None) -> ChangedT:
        """Applies a proposed improvement."""
        return self.change("applyImprovement", input, key=key)


    def apply_improvements(self, input: ApplyImprovementsInput, *, key: str | None = None) -> ChangedT:
        """Applies a proposed improvement. All of the rows or none, at most 100."""
        return self.change("applyImprovements", input, key=key)


    def approve_review(self, input: ApproveReviewInput, *, key: str | None = None) -> ChangedT:
        """Approves a review; a superseded approval of the same DAG and brand expires."""
        return self.change("approveReview", input, key=key)


    def complete_cohort_execution(self, input: CompleteCohortExecutionInput, *, key: str | None = None) -> ChangedT:
        """Completes a partial execution with its final result."""
        return self.change("completeCohortExecution", input, key=key)


    def complete_enrollment(self, input: CompleteEnrollmentInput, *, key: str | None = None) -> ChangedT:
        """Records that a unit completed the experiment."""
        return self.change("completeEnrollment", input, key=key)


    def complete_enrollments(self, input: CompleteEnrollmentsInput, *, key: str | None = None) -> ChangedT:
        """Records that a unit completed the experiment. All of the rows or none, at most 100."""
        return self.change("completeEnrollments", input, key=key)


    def complete_hpo_study(self, input: CompleteHpoStudyInput, *, key: str | None = None) -> ChangedT:
        """Completes a study; its counts and best trial are computed from its trials, if it has any."""
        return self.change("completeHpoStudy", input, key=key)


    def complete_monitoring_run(self, input: CompleteMonitoringRunInput, *, key: str | None = None) -> ChangedT:
        """Completes a monitoring run."""
        return self.change("completeMonitoringRun", input, key=key)


    def complete_retraining(self, input: CompleteRetrainingInput, *, key: str | None = None) -> ChangedT:
        """Completes a retraining whose new version is deployed: links the version and the metric before and after."""
        return self.change("completeRetraining", input, key=key)


    def complete_simulation(self, input: CompleteSimulationInput, *, key: str | None = None) -> ChangedT:
        """Completes a simulation with its result."""
        return self.change("completeSimulation", input, key=key)


    def complete_training_run(self, input: CompleteTrainingRunInput, *, key: str | None = None) -> ChangedT:
        """Completes a training run with its metrics."""
        return self.change("completeTrainingRun", input, key=key)


    def conclude_prompt_ab_test(self, input: ConcludePromptAbTestInput, *, key: str | None = None) -> ChangedT:
        """Ends a prompt A/B test with its winner."""
        return self.change("concludePromptAbTest", input, key=key)


    def deactivate_optimized_instruction(self, input: DeactivateOptimizedInstructionInput, *, key: str | None = None) -> ChangedT:
        """Deactivates an instruction."""
        return self.change("deactivateOptimizedInstruction", input, key=key)


    def deactivate_optimized_instructions(self, input: DeactivateOptimizedInstructionsInput, *, key: str | None = None) -> ChangedT:
        """Deactivates an instruction. All of the rows or none, at most 100."""
        return self.change("deactivateOptimizedInstructions", input, key=key)


    def deactivate_optimized_tool_description(self, input: DeactivateOptimizedToolDescriptionInput, *, key: str | None = None) -> ChangedT:
        """Deactivates a tool's description."""
        return self.change("deactivateOptimizedToolDescription", input, key=key)


    def deactivate_optimized_tool_descriptions(self, input: DeactivateOptimizedToolDescriptionsInput, *, key: str | None = None) -> ChangedT:
        """Deactivates a tool's description. All of the rows or none, at most 100."""
        return self.change("deactivateOptimizedToolDescriptions", input, key=key)


    def deactivate_prompt_configuration(self, input: DeactivatePromptConfigurationInput, *, key: str | None = None) -> ChangedT:
        """Deactivates a version of a prompt."""
        return self.change("deactivatePromptConfiguration", input, key=key)


    def deactivate_prompt_configurations(self, input: DeactivatePromptConfigurationsInput, *, key: str | None = None) -> ChangedT:
        """Deactivates a version of a prompt. All of the rows or none, at most 100."""
        return self.change("deactivatePromptConfigurations", input, key=key)


    def deactivate_retrieval_configuration(self, input: DeactivateRetrievalConfigurationInput, *, key: str | None = None) -> ChangedT:
        """Deactivates a retrieval configuration."""
        return self.change("deactivateRetrievalConfiguration", input, key=key)


    def deactivate_retrieval_configurations(self, input: DeactivateRetrievalConfigurationsInput, *, key: str | None = None) -> ChangedT:
        """Deactivates a retrieval configuration. All of the rows or none, at most 100."""
        return self.change("deactivateRetrievalConfigurations", input, key=key)


    def deactivate_twin_model(self, input: DeactivateTwinModelInput, *, key: str | None = None) -> ChangedT:
        """Deactivates a twin model."""
        return self.change("deactivateTwinModel", input, key=key)


    def deactivate_twin_models(self, input: DeactivateTwinModelsInput, *, key: str | None = None) -> ChangedT:
        """Deactivates a twin model. All of the rows or none, at most 100."""
        return self.change("deactivateTwinModels", input, key=key)


    def dismiss_alert(self, input: DismissAlertInput, *, key: str | None = None) -> ChangedT:
        """Closes an alert that needs no action."""
        return self.change("dismissAlert", input, key=key)


    def dismiss_alerts(self, input: DismissAlertsInput, *, key: str | None = None) -> ChangedT:
        """Closes an alert that needs no action. All of the rows or none, at most 100."""
        return self.change("dismissAlerts", input, key=key)


    def end_hpo_study(self, input: EndHpoStudyInput, *, key: str | None = None) -> ChangedT:
        """Ends a study before all trials have run."""
        return self.change("endHpoStudy", input, key=key)


    def exclude_enrollment(self, input: ExcludeEnrollmentInput, *, key: str | None = None) -> ChangedT:
        """Excludes a unit from the test."""
        return self.change("excludeEnrollment", input, key=key)


    def exclude_enrollments(self, input: ExcludeEnrollmentsInput, *, key: str | None = None) -> ChangedT:
        """Excludes a unit from the test. All of the rows or none, at most 100."""
        return self.change("excludeEnrollments", input, key=key)


    def expire_overdue_reviews(self, input: ExpireOverdueReviewsInput, *, key: str | None = None) -> ChangedT:
        """Ends every approval whose last valid day is past (UTC), at most 500 at once, the longest overdue first."""
        return self.change("expireOverdueReviews", input, key=key)


    def expire_review(self, input: ExpireReviewInput, *, key: str | None = None) -> ChangedT:
        """Expires an approval, before or after its last valid day."""
        return self.change("expireReview", input, key=key)


    def expire_reviews(self, input: ExpireReviewsInput, *, key: str | None = None) -> ChangedT:
        """Expires an approval, before or after its last valid day. All of the rows or none, at most 100."""
        return self.change("expireReviews", input, key=key)


    def fail_cohort_execution(self, input: FailCohortExecutionInput, *, key: str | None = None) -> ChangedT:
        """Marks a partial execution as failed."""
        return self.change("failCohortExecution", input, key=key)


    def fail_monitoring_run(self, input: FailMonitoringRunInput, *, key: str | None = None) -> ChangedT:
        """Ends a monitoring run with an error."""
        return self.change("failMonitoringRun", input, key=key)


    def fail_monitoring_runs(self, input: FailMonitoringRunsInput, *, key: str | None = None) -> ChangedT:
        """Ends a monitoring run with an error. All of the rows or none, at most 100."""
        return self.change("failMonitoringRuns", input, key=key)


    def fail_simulation(self, input: FailSimulationInput, *, key: str | None = None) -> ChangedT:
        """Ends a simulation with an error."""
        return self.change("failSimulation", input, key=key)


    def fail_simulations(self, input: FailSimulationsInput, *, key: str | None = None) -> ChangedT:
        """Ends a simulation with an error. All of the rows or none, at most 100."""
        return self.change("failSimulations", input, key=key)


    def fail_training_run(self, input: FailTrainingRunInput, *, key: str | None = None) -> ChangedT:
        """Ends a training run with an error."""
        return self.change("failTrainingRun", input, key=key)


    def fail_training_runs(self, input: FailTrainingRunsInput, *, key: str | None = None) -> ChangedT:
        """Ends a training run with an error. All of the rows or none, at most 100."""
        return self.change("failTrainingRuns", input, key=key)


    def investigate_alert(self, input: InvestigateAlertInput, *, key: str | None = None) -> ChangedT:
        """Starts the investigation of an alert."""
        return self.change("investigateAlert", input, key=key)


    def investigate_alerts(self, input: InvestigateAlertsInput, *, key: str | None = None) -> ChangedT:
        """Starts the investigation of an alert. All of the rows or none, at most 100."""
        return self.change("investigateAlerts", input, key=key)


    def kill_training_run(self, input: KillTrainingRunInput, *, key: str | None = None) -> ChangedT:
        """Records that a training run was killed."""
        return self.change("killTrainingRun", input, key=key)


    def kill_training_runs(self, input: KillTrainingRunsInput, *, key: str | None = None) -> ChangedT:
        """Records that a training run was killed. All of the rows or none, at most 100."""
        return self.change("killTrainingRuns", input, key=key)


    def lose_enrollment(self, input: LoseEnrollmentInput, *, key: str | None = None) -> ChangedT:
        """Records that a unit is lost to follow-up."""
        return self.change("loseEnrollment", input, key=key)


    def lose_enrollments(self, input: LoseEnrollmentsInput, *, key: str | None = None) -> ChangedT:
        """Records that a unit is lost to follow-up. All of the rows or none, at most 100."""
        return self.change("loseEnrollments", input, key=key)


    def move_cohort_definition(self, input: MoveCohortDefinitionInput, *, key: str | None = None) -> ChangedT:
        """Moves a cohort definition to a state of its lifecycle."""
        return self.change("moveCohortDefinition", input, key=key)


    def move_cohort_definitions(self, input: MoveCohortDefinitionsInput, *, key: str | None = None) -> ChangedT:
        """Moves a cohort definition to a state of its lifecycle. All of the rows or none, at most 100."""
        return self.change("moveCohortDefinitions", input, key=key)


    def move_deployment(self, input: MoveDeploymentInput, *, key: str | None = None) -> ChangedT:
        """Moves a deployment to a status of its lifecycle."""
        return self.change("moveDeployment", input, key=key)


    def move_deployments(self, input: MoveDeploymentsInput, *, key: str | None = None) -> ChangedT:
        """Moves a deployment to a status of its lifecycle. All of the rows or none, at most 100."""
        return self.change("moveDeployments", input, key=key)


    def move_episode(self, input: MoveEpisodeInput, *, key: str | None = None) -> ChangedT:
        """Moves a composition to its next phase, or ends it."""
        return self.change("moveEpisode", input, key=key)


    def move_materialization_job(self, input: MoveMaterializationJobInput, *, key: str | None = None) -> ChangedT:
        """Starts or ends a materialization job."""
        return self.change("moveMaterializationJob", input, key=key)


    def move_optimization_run(self, input: MoveOptimizationRunInput, *, key: str | None = None) -> ChangedT:
        """Moves an optimization run to a status of its lifecycle. A rollback activates the versions before its
        instructions again."""
        return self.change("moveOptimizationRun", input, key=key)


    def move_retraining(self, input: MoveRetrainingInput, *, key: str | None = None) -> ChangedT:
        """Moves a retraining to a status of its lifecycle, other than deployed."""
        return self.change("moveRetraining", input, key=key)


    def move_service(self, input: MoveServiceInput, *, key: str | None = None) -> ChangedT:
        """Moves a service to a status of its lifecycle."""
        return self.change("moveService", input, key=key)


    def move_services(self, input: MoveServicesInput, *, key: str | None = None) -> ChangedT:
        """Moves a service to a status of its lifecycle. All of the rows or none, at most 100."""
        return self.change("moveServices", input, key=key)


    def move_step(self, input: MoveStepInput, *, key: str | None = None) -> ChangedT:
        """Starts or ends a step of a composition; the end records a measurement of its tool."""
        return self.change("moveStep", input, key=key)


    def move_trial(self, input: MoveTrialInput, *, key: str | None = None) -> ChangedT:
        """Starts or ends a trial; the counts and the best trial of its study are updated."""
        return self.change("moveTrial", input, key=key)


    def promote_model(self, input: PromoteModelInput, *, key: str | None = None) -> ChangedT:
        """Moves a model to a stage of its lifecycle, forward or back."""
        return self.change("promoteModel", input, key=key)


    def promote_models(self, input: PromoteModelsInput, *, key: str | None = None) -> ChangedT:
        """Moves a model to a stage of its lifecycle, forward or back. All of the rows or none, at most 100."""
        return self.change("promoteModels", input, key=key)


    def record_actual_effect(self, input: RecordActualEffectInput, *, key: str | None = None) -> ChangedT:
        """Records the actual effect of an experiment beside a simulation's prediction; a trigger of the database
        computes errors, coverage and grade."""
        return self.change("recordActualEffect", input, key=key)


    def record_classification_feedback(self, input: RecordClassificationFeedbackInput, *, key: str | None = None) -> ChangedT:
        """Records whether a query was routed correctly."""
        return self.change("recordClassificationFeedback", input, key=key)


    def record_episode_feedback(self, input: RecordEpisodeFeedbackInput, *, key: str | None = None) -> ChangedT:
        """Records whether a composition was successful for its user."""
        return self.change("recordEpisodeFeedback", input, key=key)


    def record_interim_decision(self, input: RecordInterimDecisionInput, *, key: str | None = None) -> ChangedT:
        """Records the decision after an interim analysis, and its reason. A decision to stop is final."""
        return self.change("recordInterimDecision", input, key=key)


    def record_knowledge_application(self, input: RecordKnowledgeApplicationInput, *, key: str | None = None) -> ChangedT:
        """Counts one application of a lesson, and whether it helped; its success rate is updated."""
        return self.change("recordKnowledgeApplication", input, key=key)


    def record_protocol_deviation(self, input: RecordProtocolDeviationInput, *, key: str | None = None) -> ChangedT:
        """Adds a protocol deviation to an enrollment."""
        return self.change("recordProtocolDeviation", input, key=key)


    def record_srm_root_cause(self, input: RecordSrmRootCauseInput, *, key: str | None = None) -> ChangedT:
        """Records the root cause of a sample ratio mismatch, and the action taken."""
        return self.change("recordSrmRootCause", input, key=key)


    def reject_review(self, input: RejectReviewInput, *, key: str | None = None) -> ChangedT:
        """Rejects a review."""
        return self.change("rejectReview", input, key=key)


    def reopen_alert(self, input: ReopenAlertInput, *, key: str | None = None) -> ChangedT:
        """Reopens a closed alert."""
        return self.change("reopenAlert", input, key=key)


    def reopen_alerts(self, input: ReopenAlertsInput, *, key: str | None = None) -> ChangedT:
        """Reopens a closed alert. All of the rows or none, at most 100."""
        return self.change("reopenAlerts", input, key=key)


    def report_health(self, input: ReportHealthInput, *, key: str | None = None) -> ChangedT:
        """Sets the health of a service: as observed, or computed from its recent metrics. More than 5 % errors is
        unhealthy; more than 1 % errors or a p99 latency above 250 ms is degraded; no metrics, or metrics without
        values, is unknown."""
        return self.change("reportHealth", input, key=key)


    def request_review(self, input: RequestReviewInput, *, key: str | None = None) -> ChangedT:
        """Requests an expert review, which supersedes an earlier one when it is approved, if one is named."""
        return self.change("requestReview", input, key=key)


    def resolve_alert(self, input: ResolveAlertInput, *, key: str | None = None) -> ChangedT:
        """Resolves an alert."""
        return self.change("resolveAlert", input, key=key)


    def resolve_alerts(self, input: ResolveAlertsInput, *, key: str | None = None) -> ChangedT:
        """Resolves an alert. All of the rows or none, at most 100."""
        return self.change("resolveAlerts", input, key=key)


    def roll_back_improvement(self, input: RollBackImprovementInput, *, key: str | None = None) -> ChangedT:
        """Rolls an improvement back."""
        return self.change("rollBackImprovement", input, key=key)


    def roll_back_improvements(self, input: RollBackImprovementsInput, *, key: str | None = None) -> ChangedT:
        """Rolls an improvement back. All of the rows or none, at most 100."""
        return self.change("rollBackImprovements", input, key=key)


    def roll_out_prompt_ab_test(self, input: RollOutPromptAbTestInput, *, key: str | None = None) -> ChangedT:
        """Activates the winning instruction of a test."""
        return self.change("rollOutPromptAbTest", input, key=key)


    def rollback_deployment(self, input: RollbackDeploymentInput, *, key: str | None = None) -> ChangedT:
        """Rolls a deployment back: the newest healthy deployment on its rollback chain becomes active in the same
        transaction."""
        return self.change("rollbackDeployment", input, key=key)


    def set_champion(self, input: SetChampionInput, *, key: str | None = None) -> ChangedT:
        """Makes a model the champion of its experiment, in place of the current one."""
        return self.change("setChampion", input, key=key)


    def start_deployment(self, input: StartDeploymentInput, *, key: str | None = None) -> ChangedT:
        """Requests a deployment of a model. It is linked to the active deployment of its environment. When it becomes
        active, it replaces the deployment that is active then."""
        return self.change("startDeployment", input, key=key)


    def start_prompt_ab_test(self, input: StartPromptAbTestInput, *, key: str | None = None) -> ChangedT:
        """Starts a prompt A/B test."""
        return self.change("startPromptAbTest", input, key=key)


    def start_prompt_ab_tests(self, input: StartPromptAbTestsInput, *, key: str | None = None) -> ChangedT:
        """Starts a prompt A/B test. All of the rows or none, at most 100."""
        return self.change("startPromptAbTests", input, key=key)


    def start_simulation(self, input: StartSimulationInput, *, key: str | None = None) -> ChangedT:
        """Starts a simulation."""
        return self.change("startSimulation", input, key=key)


    def start_simulations(self, input: StartSimulationsInput, *, key: str | None = None) -> ChangedT:
        """Starts a simulation. All of the rows or none, at most 100."""
        return self.change("startSimulations", input, key=key)


    def stop_prompt_ab_test(self, input: StopPromptAbTestInput, *, key: str | None = None) -> ChangedT:
        """Ends a prompt A/B test without a winner."""
        return self.change("stopPromptAbTest", input, key=key)


    def stop_prompt_ab_tests(self, input: StopPromptAbTestsInput, *, key: str | None = None) -> ChangedT:
        """Ends a prompt A/B test without a winner. All of the rows or none, at most 100."""
        return self.change("stopPromptAbTests", input, key=key)


    def swap_champion(self, input: SwapChampionInput, *, key: str | None = None) -> ChangedT:
        """Makes a model the champion of its experiment in place of the given champion: both change in one transaction,
        or neither."""
        return self.change("swapChampion", input, key=key)


    def trigger_retraining(self, input: TriggerRetrainingInput, *, key: str | None = None) -> ChangedT:
        """Requests one retraining of an alert's model: creates it and marks the alert."""
        return self.change("triggerRetraining", input, key=key)


    def withdraw_enrollment(self, input: WithdrawEnrollmentInput, *, key: str | None = None) -> ChangedT:
        """Records that a unit has withdrawn, with the reason."""
        return self.change("withdrawEnrollment", input, key=key)


    def withdraw_enrollments(self, input: WithdrawEnrollmentsInput, *, key: str | None = None) -> ChangedT:
        """Records that a unit has withdrawn, with the reason. All of the rows or none, at most 100."""
        return self.change("withdrawEnrollments", input, key=key)


    def record_assignments(self, rows: Iterable[AssignmentRow], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records Assignment rows in one transaction: all of them, or none. Assignment of a unit to a variant of an
        experiment, with randomization metadata and a reproducible hash."""
        return self.record("assignments", rows, **how)


    def record_causal_validations(self, rows: Iterable[CausalValidationRow], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records CausalValidation rows in one transaction: all of them, or none. The result of one DoWhy refutation
        test on one causal estimate."""
        return self.record("causalValidations", rows, **how)


    def record_classification_logs(self, rows: Iterable[ClassificationLogRow], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records ClassificationLog rows in one transaction: all of them, or none. One classification decision of the
        Orchestrator for a query, with the feedback on it."""
        return self.record("classificationLogs", rows, **how)


    def record_cohort_eligibility_logs(self, rows: Iterable[CohortEligibilityLogRow], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records CohortEligibilityLog rows in one transaction: all of them, or none. One criterion applied in an
        execution, and how many patients it removed."""
        return self.record("cohortEligibilityLogs", rows, **how)


    def record_composition_steps(self, rows: Iterable[CompositionStepRow], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records CompositionStep rows in one transaction: all of them, or none. One step of a composition: a tool
        called with its inputs, after the steps that it depends on."""
        return self.record("compositionSteps", rows, **how)


    def record_discovered_edges(self, rows: Iterable[DiscoveredEdgeRow], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records DiscoveredEdge rows in one transaction: all of them, or none. An edge of a discovered DAG, with the
        ensemble's confidence in it and the algorithms that found it."""
        return self.record("discoveredEdges", rows, **how)


    def record_discovery_algorithm_runs(self, rows: Iterable[DiscoveryAlgorithmRunRow], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records DiscoveryAlgorithmRun rows in one transaction: all of them, or none. The result of one algorithm
        within a discovery: one vote of the ensemble."""
        return self.record("discoveryAlgorithmRuns", rows, **how)


    def record_drift_records(self, rows: Iterable[DriftRecordRow], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records DriftRecord rows in one transaction: all of them, or none. One drift test of a model: a current
        period against its baseline, by one statistical test. Data, model and concept drift are recorded over time. A
        trigger raises an alert for drift of medium or higher severity."""
        return self.record("driftRecords", rows, **how)


    def record_evaluations(self, rows: Iterable[EvaluationRow], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records Evaluation rows in one transaction: all of them, or none. RAGAS and domain-rubric scores of one
        query-response pair. RAGAS metrics run from 0 to 1, rubric criteria from 1 to 5; together they decide what is to
        be improved."""
        return self.record("evaluations", rows, **how)


    def record_feature_freshnesses(self, rows: Iterable[FeatureFreshnessRow], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records FeatureFreshness rows in one transaction: all of them, or none. One reading of a feature view's
        freshness, judged by staleness thresholds."""
        return self.record("featureFreshnesses", rows, **how)


    def record_feature_rankings(self, rows: Iterable[FeatureRankingRow], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records FeatureRanking rows in one transaction: all of them, or none. One feature's causal and predictive
        rank within a driver ranking."""
        return self.record("featureRankings", rows, **how)


    def record_hpo_trials(self, rows: Iterable[HpoTrialRow], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records HpoTrial rows in one transaction: all of them, or none. One trial of an Optuna study: the
        hyperparameters sampled and the objective value reached."""
        return self.record("hpoTrials", rows, **how)


    def record_observability_spans(self, rows: Iterable[ObservabilitySpanRow], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records ObservabilitySpan rows in one transaction: all of them, or none. One Opik span of a distributed
        trace: an agent's operation, its LLM token usage and its fallback chain."""
        return self.record("observabilitySpans", rows, **how)


    def record_optimized_tool_descriptions(self, rows: Iterable[OptimizedToolDescriptionRow], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records OptimizedToolDescription rows in one transaction: all of them, or none. An optimized description of a
        DoWhy/EconML tool, produced by a run with tool optimization enabled."""
        return self.record("optimizedToolDescriptions", rows, **how)


    def record_patient_cohort_assignments(self, rows: Iterable[PatientCohortAssignmentRow], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records PatientCohortAssignment rows in one transaction: all of them, or none. Whether one patient was
        eligible for a cohort in one execution, and which criteria failed if not."""
        return self.record("patientCohortAssignments", rows, **how)


    def record_performance_metrics(self, rows: Iterable[PerformanceMetricRow], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records PerformanceMetric rows in one transaction: all of them, or none. One measurement of a model's
        performance, compared with a baseline to detect degradation."""
        return self.record("performanceMetrics", rows, **how)


    def record_prompt_ab_test_observations(self, rows: Iterable[PromptAbTestObservationRow], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records PromptAbTestObservation rows in one transaction: all of them, or none. One request observed in a
        prompt A/B test: its variant, score and latency."""
        return self.record("promptAbTestObservations", rows, **how)


    def record_roi_cost_details(self, rows: Iterable[RoiCostDetailRow], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records RoiCostDetail rows in one transaction: all of them, or none. One cost of an ROI calculation, one-time
        or recurring."""
        return self.record("roiCostDetails", rows, **how)


    def record_roi_value_driver_details(self, rows: Iterable[RoiValueDriverDetailRow], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records RoiValueDriverDetail rows in one transaction: all of them, or none. One value driver of an ROI
        calculation: units, value per unit and what they come to."""
        return self.record("roiValueDriverDetails", rows, **how)


    def record_serving_metrics(self, rows: Iterable[ServingMetricRow], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records ServingMetric rows in one transaction: all of them, or none. One periodic measurement of a BentoML
        service: throughput, latency, errors and resource usage."""
        return self.record("servingMetrics", rows, **how)


    def record_tool_dependencies(self, rows: Iterable[ToolDependencyRow], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records ToolDependency rows in one transaction: all of them, or none. One tool can consume the output of
        another: an edge of the DAGs that the Planner builds."""
        return self.record("toolDependencies", rows, **how)


    def record_tool_performances(self, rows: Iterable[ToolPerformanceRow], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records ToolPerformance rows in one transaction: all of them, or none. One execution of a tool: its latency,
        its outcome and who called it, for the planner's decisions."""
        return self.record("toolPerformances", rows, **how)


    def create_bento_service(self, input: CreateBentoServiceInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of BentoService: columns that are left out take their defaults; null is stored as null."""
        return self.change("createBentoService", input, key=key)


    def create_cohort_comparison(self, input: CreateCohortComparisonInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of CohortComparison: columns that are left out take their defaults; null is stored as null."""
        return self.change("createCohortComparison", input, key=key)


    def create_cohort_definition(self, input: CreateCohortDefinitionInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of CohortDefinition: columns that are left out take their defaults; null is stored as null."""
        return self.change("createCohortDefinition", input, key=key)


    def create_cohort_execution(self, input: CreateCohortExecutionInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of CohortExecution: columns that are left out take their defaults; null is stored as null."""
        return self.change("createCohortExecution", input, key=key)


    def create_composer_episode(self, input: CreateComposerEpisodeInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of ComposerEpisode: columns that are left out take their defaults; null is stored as null."""
        return self.change("createComposerEpisode", input, key=key)


    def create_data_quality_report(self, input: CreateDataQualityReportInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of DataQualityReport: columns that are left out take their defaults; null is stored as null."""
        return self.change("createDataQualityReport", input, key=key)


    def create_discovered_dag(self, input: CreateDiscoveredDagInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of DiscoveredDag: columns that are left out take their defaults; null is stored as null."""
        return self.change("createDiscoveredDag", input, key=key)


    def create_driver_ranking(self, input: CreateDriverRankingInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of DriverRanking: columns that are left out take their defaults; null is stored as null."""
        return self.change("createDriverRanking", input, key=key)


    def create_enrollment(self, input: CreateEnrollmentInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of Enrollment: columns that are left out take their defaults; null is stored as null."""
        return self.change("createEnrollment", input, key=key)


    def create_experiment(self, input: CreateExperimentInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of Experiment: columns that are left out take their defaults; null is stored as null."""
        return self.change("createExperiment", input, key=key)


    def create_experiment_knowledge(self, input: CreateExperimentKnowledgeInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of ExperimentKnowledge: columns that are left out take their defaults; null is stored as
        null."""
        return self.change("createExperimentKnowledge", input, key=key)


    def create_experiment_result(self, input: CreateExperimentResultInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of ExperimentResult: columns that are left out take their defaults; null is stored as null."""
        return self.change("createExperimentResult", input, key=key)


    def create_feature(self, input: CreateFeatureInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of Feature: columns that are left out take their defaults; null is stored as null."""
        return self.change("createFeature", input, key=key)


    def create_feature_view(self, input: CreateFeatureViewInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of FeatureView: columns that are left out take their defaults; null is stored as null."""
        return self.change("createFeatureView", input, key=key)


    def create_fidelity_comparison(self, input: CreateFidelityComparisonInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of FidelityComparison: columns that are left out take their defaults; null is stored as
        null."""
        return self.change("createFidelityComparison", input, key=key)


    def create_hpo_study(self, input: CreateHpoStudyInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of HpoStudy: columns that are left out take their defaults; null is stored as null."""
        return self.change("createHpoStudy", input, key=key)


    def create_improvement_action(self, input: CreateImprovementActionInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of ImprovementAction: columns that are left out take their defaults; null is stored as null."""
        return self.change("createImprovementAction", input, key=key)


    def create_interim_analysis(self, input: CreateInterimAnalysisInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of InterimAnalysis: columns that are left out take their defaults; null is stored as null."""
        return self.change("createInterimAnalysis", input, key=key)


    def create_materialization_job(self, input: CreateMaterializationJobInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of MaterializationJob: columns that are left out take their defaults; null is stored as
        null."""
        return self.change("createMaterializationJob", input, key=key)


    def create_model(self, input: CreateModelInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of Model: columns that are left out take their defaults; null is stored as null."""
        return self.change("createModel", input, key=key)


    def create_monitoring_alert(self, input: CreateMonitoringAlertInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of MonitoringAlert: columns that are left out take their defaults; null is stored as null."""
        return self.change("createMonitoringAlert", input, key=key)


    def create_monitoring_run(self, input: CreateMonitoringRunInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of MonitoringRun: columns that are left out take their defaults; null is stored as null."""
        return self.change("createMonitoringRun", input, key=key)


    def create_optimized_instruction(self, input: CreateOptimizedInstructionInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of OptimizedInstruction: columns that are left out take their defaults; null is stored as
        null."""
        return self.change("createOptimizedInstruction", input, key=key)


    def create_prompt_ab_test(self, input: CreatePromptAbTestInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of PromptAbTest: columns that are left out take their defaults; null is stored as null."""
        return self.change("createPromptAbTest", input, key=key)


    def create_prompt_configuration(self, input: CreatePromptConfigurationInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of PromptConfiguration: columns that are left out take their defaults; null is stored as
        null."""
        return self.change("createPromptConfiguration", input, key=key)


    def create_prompt_optimization_run(self, input: CreatePromptOptimizationRunInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of PromptOptimizationRun: columns that are left out take their defaults; null is stored as
        null."""
        return self.change("createPromptOptimizationRun", input, key=key)


    def create_retraining(self, input: CreateRetrainingInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of Retraining: columns that are left out take their defaults; null is stored as null."""
        return self.change("createRetraining", input, key=key)


    def create_retrieval_configuration(self, input: CreateRetrievalConfigurationInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of RetrievalConfiguration: columns that are left out take their defaults; null is stored as
        null."""
        return self.change("createRetrievalConfiguration", input, key=key)


    def create_roi_calculation(self, input: CreateRoiCalculationInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of RoiCalculation: columns that are left out take their defaults; null is stored as null."""
        return self.change("createRoiCalculation", input, key=key)


    def create_shap_analysis(self, input: CreateShapAnalysisInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of ShapAnalysis: columns that are left out take their defaults; null is stored as null."""
        return self.change("createShapAnalysis", input, key=key)


    def create_srm_check(self, input: CreateSrmCheckInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of SrmCheck: columns that are left out take their defaults; null is stored as null."""
        return self.change("createSrmCheck", input, key=key)


    def create_tool(self, input: CreateToolInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of Tool: columns that are left out take their defaults; null is stored as null."""
        return self.change("createTool", input, key=key)


    def create_training_run(self, input: CreateTrainingRunInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of TrainingRun: columns that are left out take their defaults; null is stored as null."""
        return self.change("createTrainingRun", input, key=key)


    def create_twin_fidelity(self, input: CreateTwinFidelityInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of TwinFidelity: columns that are left out take their defaults; null is stored as null."""
        return self.change("createTwinFidelity", input, key=key)


    def create_twin_model(self, input: CreateTwinModelInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of TwinModel: columns that are left out take their defaults; null is stored as null."""
        return self.change("createTwinModel", input, key=key)


    def create_twin_simulation(self, input: CreateTwinSimulationInput, *, key: str | None = None) -> ChangedT:
        """Creates a row of TwinSimulation: columns that are left out take their defaults; null is stored as null."""
        return self.change("createTwinSimulation", input, key=key)


    def retire_experiment_knowledge(self, input: RetireInput, *, key: str | None = None) -> ChangedT:
        """Takes a row of ExperimentKnowledge out of use; the row is kept. One that is retired already stays so."""
        return self.change("retireExperimentKnowledge", input, key=key)


    def retire_feature(self, input: RetireInput, *, key: str | None = None) -> ChangedT:
        """Takes a row of Feature out of use; the row is kept. One that is retired already stays so."""
        return self.change("retireFeature", input, key=key)


    def retire_feature_view(self, input: RetireInput, *, key: str | None = None) -> ChangedT:
        """Takes a row of FeatureView out of use; the row is kept. One that is retired already stays so."""
        return self.change("retireFeatureView", input, key=key)


    def retire_roi_calculation(self, input: RetireInput, *, key: str | None = None) -> ChangedT:
        """Takes a row of RoiCalculation out of use; the row is kept. One that is retired already stays so."""
        return self.change("retireRoiCalculation", input, key=key)


    def retire_tool(self, input: RetireInput, *, key: str | None = None) -> ChangedT:
        """Takes a row of Tool out of use; the row is kept. One that is retired already stays so."""
        return self.change("retireTool", input, key=key)


    def update_bento_service(self, input: UpdateBentoServiceInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of BentoService: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateBentoService", input, key=key)


    def update_cohort_definition(self, input: UpdateCohortDefinitionInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of CohortDefinition: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateCohortDefinition", input, key=key)


    def update_composer_episode(self, input: UpdateComposerEpisodeInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of ComposerEpisode: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateComposerEpisode", input, key=key)


    def update_deployment(self, input: UpdateDeploymentInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of Deployment: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateDeployment", input, key=key)


    def update_enrollment(self, input: UpdateEnrollmentInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of Enrollment: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateEnrollment", input, key=key)


    def update_experiment(self, input: UpdateExperimentInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of Experiment: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateExperiment", input, key=key)


    def update_experiment_knowledge(self, input: UpdateExperimentKnowledgeInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of ExperimentKnowledge: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateExperimentKnowledge", input, key=key)


    def update_feature(self, input: UpdateFeatureInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of Feature: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateFeature", input, key=key)


    def update_feature_view(self, input: UpdateFeatureViewInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of FeatureView: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateFeatureView", input, key=key)


    def update_fidelity_comparison(self, input: UpdateFidelityComparisonInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of FidelityComparison: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateFidelityComparison", input, key=key)


    def update_hpo_study(self, input: UpdateHpoStudyInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of HpoStudy: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateHpoStudy", input, key=key)


    def update_improvement_action(self, input: UpdateImprovementActionInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of ImprovementAction: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateImprovementAction", input, key=key)


    def update_materialization_job(self, input: UpdateMaterializationJobInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of MaterializationJob: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateMaterializationJob", input, key=key)


    def update_model(self, input: UpdateModelInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of Model: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateModel", input, key=key)


    def update_monitoring_alert(self, input: UpdateMonitoringAlertInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of MonitoringAlert: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateMonitoringAlert", input, key=key)


    def update_monitoring_run(self, input: UpdateMonitoringRunInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of MonitoringRun: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateMonitoringRun", input, key=key)


    def update_optimized_instruction(self, input: UpdateOptimizedInstructionInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of OptimizedInstruction: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateOptimizedInstruction", input, key=key)


    def update_prompt_ab_test(self, input: UpdatePromptAbTestInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of PromptAbTest: columns that are left out stay as they are; null is stored as null."""
        return self.change("updatePromptAbTest", input, key=key)


    def update_prompt_configuration(self, input: UpdatePromptConfigurationInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of PromptConfiguration: columns that are left out stay as they are; null is stored as null."""
        return self.change("updatePromptConfiguration", input, key=key)


    def update_prompt_optimization_run(self, input: UpdatePromptOptimizationRunInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of PromptOptimizationRun: columns that are left out stay as they are; null is stored as
        null."""
        return self.change("updatePromptOptimizationRun", input, key=key)


    def update_retrieval_configuration(self, input: UpdateRetrievalConfigurationInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of RetrievalConfiguration: columns that are left out stay as they are; null is stored as
        null."""
        return self.change("updateRetrievalConfiguration", input, key=key)


    def update_roi_calculation(self, input: UpdateRoiCalculationInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of RoiCalculation: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateRoiCalculation", input, key=key)


    def update_srm_check(self, input: UpdateSrmCheckInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of SrmCheck: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateSrmCheck", input, key=key)


    def update_tool(self, input: UpdateToolInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of Tool: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateTool", input, key=key)


    def update_training_run(self, input: UpdateTrainingRunInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of TrainingRun: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateTrainingRun", input, key=key)


    def update_twin_fidelity(self, input: UpdateTwinFidelityInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of TwinFidelity: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateTwinFidelity", input, key=key)


    def update_twin_model(self, input: UpdateTwinModelInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of TwinModel: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateTwinModel", input, key=key)


    def update_twin_simulation(self, input: UpdateTwinSimulationInput, *, key: str | None = None) -> ChangedT:
        """Updates a row of TwinSimulation: columns that are left out stay as they are; null is stored as null."""
        return self.change("updateTwinSimulation", input, key=key)


    def purge_drift_records(self, input: PurgeInput, *, key: str | None = None) -> ChangedT:
        """Removes the oldest DriftRecord rows, by their `createdAt`, at least 30 days old. Those that other rows refer
        to stay."""
        return self.change("purgeDriftRecords", input, key=key)


    def purge_feature_freshnesses(self, input: PurgeInput, *, key: str | None = None) -> ChangedT:
        """Removes the oldest FeatureFreshness rows, by their `recordedAt`, at least 7 days old. Those that other rows
        refer to stay."""
        return self.change("purgeFeatureFreshnesses", input, key=key)


    def purge_interim_analyses(self, input: PurgeInput, *, key: str | None = None) -> ChangedT:
        """Removes the oldest InterimAnalysis rows, by their `performedAt`, at least 365 days old. Those that other rows
        refer to stay."""
        return self.change("purgeInterimAnalyses", input, key=key)


    def purge_monitoring_alerts(self, input: PurgeInput, *, key: str | None = None) -> ChangedT:
        """Removes the oldest MonitoringAlert rows in the states RESOLVED and DISMISSED, by their `createdAt`, at least
        30 days old. Those that other rows refer to stay."""
        return self.change("purgeMonitoringAlerts", input, key=key)


    def purge_monitoring_runs(self, input: PurgeInput, *, key: str | None = None) -> ChangedT:
        """Removes the oldest MonitoringRun rows in the states COMPLETED and FAILED, by their `startedAt`, at least 30
        days old. Those that other rows refer to stay."""
        return self.change("purgeMonitoringRuns", input, key=key)


    def purge_observability_spans(self, input: PurgeInput, *, key: str | None = None) -> ChangedT:
        """Removes the oldest ObservabilitySpan rows, by their `startedAt`, at least 30 days old. Those that other rows
        refer to stay."""
        return self.change("purgeObservabilitySpans", input, key=key)


    def purge_performance_metrics(self, input: PurgeInput, *, key: str | None = None) -> ChangedT:
        """Removes the oldest PerformanceMetric rows, by their `measuredAt`, at least 30 days old. Those that other rows
        refer to stay."""
        return self.change("purgePerformanceMetrics", input, key=key)


    def purge_serving_metrics(self, input: PurgeInput, *, key: str | None = None) -> ChangedT:
        """Removes the oldest ServingMetric rows, by their `recordedAt`, at least 7 days old. Those that other rows
        refer to stay."""
        return self.change("purgeServingMetrics", input, key=key)


    def purge_srm_checks(self, input: PurgeInput, *, key: str | None = None) -> ChangedT:
        """Removes the oldest SrmCheck rows, by their `checkedAt`, at least 365 days old. Those that other rows refer to
        stay."""
        return self.change("purgeSrmChecks", input, key=key)


    def purge_tool_performances(self, input: PurgeInput, *, key: str | None = None) -> ChangedT:
        """Removes the oldest ToolPerformance rows, by their `executedAt`, at least 30 days old. Those that other rows
        refer to stay."""
        return self.change("purgeToolPerformances", input, key=key)


    def create_webhook(self, input: CreateWebhookInput, *, key: str | None = None) -> ChangedT:
        """Makes a receiver of webhooks, told of what is committed from now on. Needs the scope `webhooks`, and
        GATEWAY_WEBHOOKS."""
        return self.change("createWebhook", input, key=key)


    def change_webhook(self, input: ChangeWebhookInput, *, key: str | None = None) -> ChangedT:
        """Has a receiver's messages posted elsewhere, or others of its topic. What waits for it goes there too. Needs
        the scope `webhooks`, and GATEWAY_WEBHOOKS."""
        return self.change("changeWebhook", input, key=key)


    def rotate_webhook_secret(self, input: RotateWebhookSecretInput, *, key: str | None = None) -> ChangedT:
        """Gives a receiver a new secret; the one before signs beside it for a while. Needs the scope `webhooks`, and
        GATEWAY_WEBHOOKS."""
        return self.change("rotateWebhookSecret", input, key=key)


    def end_webhook_rotation(self, input: EndWebhookRotationInput, *, key: str | None = None) -> ChangedT:
        """Has the newer of a receiver's two secrets sign alone, once the receiver has that. Needs the scope `webhooks`,
        and GATEWAY_WEBHOOKS."""
        return self.change("endWebhookRotation", input, key=key)


    def pause_webhook(self, input: PauseWebhookInput, *, key: str | None = None) -> ChangedT:
        """Sends a receiver nothing until it is resumed; what happens meanwhile waits. Needs the scope `webhooks`, and
        GATEWAY_WEBHOOKS."""
        return self.change("pauseWebhook", input, key=key)


    def resume_webhook(self, input: ResumeWebhookInput, *, key: str | None = None) -> ChangedT:
        """Sends a receiver what waits, and what comes. Needs the scope `webhooks`, and GATEWAY_WEBHOOKS."""
        return self.change("resumeWebhook", input, key=key)


    def resend_webhook_messages(self, input: ResendWebhookMessagesInput, *, key: str | None = None) -> ChangedT:
        """Has messages sent again that were given up, under their ids. Needs the scope `webhooks`, and
        GATEWAY_WEBHOOKS."""
        return self.change("resendWebhookMessages", input, key=key)


    def remove_webhook(self, input: RemoveWebhookInput, *, key: str | None = None) -> ChangedT:
        """Removes a receiver, and what waits for it. Needs the scope `webhooks`, and GATEWAY_WEBHOOKS."""
        return self.change("removeWebhook", input, key=key)

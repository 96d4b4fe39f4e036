"""Group 1, lifecycles: the stage of a model, who is champion, and the status of a deployment."""

from __future__ import annotations

from sqlalchemy import TEXT, VARCHAR
from sqlalchemy.dialects.postgresql import JSONB

from db.base.effects import Effect, Moves, Writes
from db.base.guards import Guard
from db.base.lifecycles import NOTHING, NOW, REASON, Change, Given, Lifecycle, Step, duration_since
from db.base.vocabulary import Labels
from db.models.g01_mlops_core import ModelStage
from db.models.g01_mlops_serving import DeploymentStatus

CLOSED = "('resolved', 'dismissed')"
"""The states of closed alerts; an alert without a state, or with an unknown one, is open."""


class ChampionState(Labels):
    """Whether a model is the champion of its experiment."""

    CONTENDER = "contender", "A model of the experiment that is not its champion."
    CHAMPION = "champion", "The champion of the experiment."


def _number(key: str) -> str:
    """SQL of a number of a deployment's shadow metrics; null if it is missing or not a number."""
    value = f"d.shadow_metrics -> '{key}'"
    return f"CASE WHEN jsonb_typeof({value}) = 'number' THEN ({value})::numeric END"


SHADOW_DAYS = 30
"""The number of days for which measurements of a shadow test are read."""

# The shadow tests of a model's deployments: as recorded on the deployment, and as measured on its services. The error
# rate is a fraction (0-1) here; that of a serving metric is a percentage. Values that are not numbers are null.
_SHADOW_TESTS = f"""
    SELECT d.id, d.created_at, false AS measured, {_number("duration_hours")} AS duration_hours,
        {_number("requests")} AS requests, {_number("error_rate")} AS error_rate,
        {_number("latency_p99_ms")} AS latency_p99_ms
    FROM ml_deployments AS d
    WHERE d.model_registry_id = {{row}}.id AND d.shadow_metrics <> '{{}}'::jsonb
    UNION ALL
    SELECT d.id, d.created_at, true, extract(epoch FROM m.until - m.since)::numeric / 3600, m.requests,
        m.failed / (100 * m.requests), m.p99
    FROM ml_deployments AS d
    CROSS JOIN LATERAL (
        SELECT min(x.recorded_at) AS since, max(x.recorded_at) AS until,
            CASE WHEN bool_and((x.requests_total > 0) IS TRUE) THEN sum(x.requests_total)::numeric END AS requests,
            CASE WHEN bool_and((x.error_rate >= 0 AND x.error_rate <> 'NaN' AND x.requests_total > 0) IS TRUE)
                THEN sum(x.error_rate::text::numeric * x.requests_total) END AS failed,
            CASE WHEN bool_and((x.p99_latency_ms >= 0 AND x.p99_latency_ms <> 'NaN') IS TRUE)
                THEN max(x.p99_latency_ms)::text::numeric END AS p99
        FROM ml_bentoml_services AS s
        JOIN ml_bentoml_serving_metrics AS x ON x.service_id = s.id
        WHERE s.deployment_id = d.id AND x.requests_total IS DISTINCT FROM 0
            AND x.recorded_at > now() - interval '{SHADOW_DAYS} days'
    ) AS m
    WHERE d.model_registry_id = {{row}}.id AND d.environment <> 'development' AND m.since IS NOT NULL
"""
_SHADOW_LIMITS = (
    ("duration_hours", ">=", "24", "at least"),
    ("requests", ">=", "1000", "at least"),
    ("error_rate", "<=", "0.01", "at most"),
    ("latency_p99_ms", "<=", "150", "at most"),
)
_EVIDENCE = " AND ".join(f"t.{key} {operator} {limit}" for key, operator, limit, _ in _SHADOW_LIMITS)
_SHORT = ", ".join(
    f"CASE WHEN (t.{key} {operator} {limit}) IS NOT TRUE "
    f"THEN '{key} ' || coalesce(trim_scale(round(t.{key}, 4))::text, 'missing') || ' (must be {words} {limit})' END"
    for key, operator, limit, words in _SHADOW_LIMITS
)

SHADOW_EVIDENCE = Guard(
    "NO_SHADOW_EVIDENCE",
    "One of the model's deployments must have been in shadow for 24 hours and 1000 requests, with an error rate of at "
    "most 0.01 and a p99 latency of at most 150 ms: by the serving metrics of its services of the last "
    f"{SHADOW_DAYS} days (of staging or production), or by the numbers `duration_hours`, `requests`, `error_rate` "
    "(0-1) and `latency_p99_ms` in its `shadowMetrics`.",
    f"""
    SELECT
        CASE WHEN latest.id IS NULL
            THEN 'no deployment of the model has been in shadow mode: 24 hours and 1000 requests are needed'
            ELSE 'the shadow test of its deployments is not enough; of the latest: ' || latest.short
        END,
        'Deployment:' || latest.id
    FROM (SELECT NOT EXISTS (SELECT FROM ({_SHADOW_TESTS}) AS t WHERE {_EVIDENCE}) AS lacks) AS evidence
    LEFT JOIN LATERAL (
        SELECT t.id::text AS id, concat_ws(', ', {_SHORT}) AS short
        FROM ({_SHADOW_TESTS}) AS t
        ORDER BY t.created_at DESC NULLS LAST, t.id DESC, t.measured DESC
        LIMIT 1
    ) AS latest ON true
    WHERE evidence.lacks
    """,
    overridable=True,
    reads=("Deployment", "BentoService", "ServingMetric"),
)
AUC_REACHED = Guard(
    "AUC_BELOW_MINIMUM",
    "The model's AUC must reach the experiment's minimum, where it has one.",
    """
    SELECT 'its AUC is ' || coalesce({row}.auc::text, 'unknown') || ', and the experiment wants at least '
            || e.minimum_auc,
        'Experiment:' || e.id
    FROM ml_experiments AS e
    WHERE e.id = {row}.experiment_id AND e.minimum_auc IS NOT NULL
      AND ({row}.auc >= e.minimum_auc AND {row}.auc <> 'NaN') IS NOT TRUE
    """,
    overridable=True,
    reads=("Experiment",),
)
NO_CRITICAL_ALERT = Guard(
    "CRITICAL_ALERT_OPEN",
    "No critical alert on the model may be open.",
    f"""
    SELECT 'the critical alert "' || a.title || '" is ' || coalesce(a.status::text, 'active')
            || '; resolve or dismiss it',
        'MonitoringAlert:' || a.id
    FROM ml_monitoring_alerts AS a
    WHERE a.model_id = {{row}}.id AND a.severity = 'critical' AND (a.status::text IN {CLOSED}) IS NOT TRUE
    ORDER BY a.created_at DESC NULLS LAST, a.id DESC
    LIMIT 20
    """,
    overridable=True,
    reads=("MonitoringAlert",),
)
GOOD_DATA = Guard(
    "DATA_QUALITY_FAILED",
    "No data quality report of the model's training runs may have failed.",
    """
    SELECT 'the data quality report of ' || coalesce(q.table_name, 'a table') || ' for its training run has failed',
        'DataQualityReport:' || q.id
    FROM ml_data_quality_reports AS q
    JOIN ml_training_runs AS r ON r.id = q.training_run_id
    WHERE r.model_registry_id = {row}.id AND q.overall_status = 'failed'
    ORDER BY q.id
    LIMIT 20
    """,
    overridable=True,
    reads=("DataQualityReport", "TrainingRun"),
)
NO_LEAKAGE = Guard(
    "DATA_LEAKAGE",
    "No data quality report of the model's training runs may have found leakage; this cannot be overridden.",
    """
    SELECT 'leakage was detected in ' || coalesce(q.table_name, 'a table') || ' of its training run',
        'DataQualityReport:' || q.id
    FROM ml_data_quality_reports AS q
    JOIN ml_training_runs AS r ON r.id = q.training_run_id
    WHERE r.model_registry_id = {row}.id AND q.leakage_detected
    ORDER BY q.id
    LIMIT 20
    """,
    reads=("DataQualityReport", "TrainingRun"),
)

_NO_CHAMPION = Moves("Model.champion", (ChampionState.CONTENDER,))
CLEAR_CHAMPION = Effect("clear_champion", moves=(_NO_CHAMPION,))
CLEAR_CHAMPION_UNLESS_PROMOTED = Effect("clear_champion_unless_promoted", moves=(_NO_CHAMPION,))
DETHRONE_OTHERS = Effect("dethrone_others", moves=(_NO_CHAMPION,), ways=(("Model.experiment", "Model.experiment~"),))

STAGE = Lifecycle(
    "stage",
    "Model",
    "stage",
    ModelStage,
    ModelStage.DEVELOPMENT,
    {
        ModelStage.DEVELOPMENT: (ModelStage.STAGING, ModelStage.ARCHIVED),
        ModelStage.STAGING: (ModelStage.DEVELOPMENT, ModelStage.SHADOW, ModelStage.ARCHIVED),
        ModelStage.SHADOW: (ModelStage.STAGING, ModelStage.PRODUCTION, ModelStage.ARCHIVED),
        ModelStage.PRODUCTION: (ModelStage.DEPRECATED, ModelStage.ARCHIVED),
        ModelStage.DEPRECATED: (ModelStage.ARCHIVED,),
    },
    entering={
        ModelStage.PRODUCTION: Step(
            guards=(SHADOW_EVIDENCE, AUC_REACHED, NO_CRITICAL_ALERT, GOOD_DATA, NO_LEAKAGE), stamps={"promoted_at": NOW}
        )
    },
    # a champion is in SHADOW or PRODUCTION: a transition to another stage clears the flag
    leaving={
        ModelStage.PRODUCTION: Step(effects=(CLEAR_CHAMPION,)),
        ModelStage.SHADOW: Step(effects=(CLEAR_CHAMPION_UNLESS_PROMOTED,)),
    },
    changes=(Change("promoteModel", "Moves a model to a stage of its lifecycle, forward or back."),),
    ended=(ModelStage.DEPRECATED, ModelStage.ARCHIVED),
)


class TrainingStatus(Labels):
    """Status of a training run."""

    RUNNING = "running", "Training."
    COMPLETED = "completed", "Completed with its metrics."
    FINISHED = "finished", "Completed with its metrics; another label of the platform for `completed`."
    FAILED = "failed", "Ended with an error."
    KILLED = "killed", "Killed by a person."


_RUN_ENDED = {"completed_at": NOW, "duration_seconds": duration_since("started_at")}
_TRAINED = (TrainingStatus.COMPLETED, TrainingStatus.FINISHED)

TRAINING_RUN = Lifecycle(
    "status",
    "TrainingRun",
    "status",
    TrainingStatus,
    TrainingStatus.RUNNING,
    {TrainingStatus.RUNNING: (*_TRAINED, TrainingStatus.FAILED, TrainingStatus.KILLED)},
    entering={end: Step(stamps=_RUN_ENDED) for end in (*_TRAINED, TrainingStatus.FAILED, TrainingStatus.KILLED)},
    changes=(
        Change(
            "completeTrainingRun",
            "Completes a training run with its metrics.",
            _TRAINED,
            {
                "train_metrics": Given(JSONB(), "Metrics on the training split."),
                "validation_metrics": Given(JSONB(), "Metrics on the validation split."),
                "test_metrics": Given(JSONB(), "Metrics on the test split."),
                "model_registry_id": Given("Model", "The model that the run produced."),
            },
            many=False,
        ),
        Change(
            "failTrainingRun",
            "Ends a training run with an error.",
            (TrainingStatus.FAILED,),
            {"error_message": Given(TEXT(), "Why the run failed.", required=True)},
        ),
        Change("killTrainingRun", "Records that a training run was killed.", (TrainingStatus.KILLED,)),
    ),
)

CHAMPION = Lifecycle(
    "champion",
    "Model",
    "is_champion",
    ChampionState,
    ChampionState.CONTENDER,
    {
        ChampionState.CONTENDER: (ChampionState.CHAMPION,),
        ChampionState.CHAMPION: (ChampionState.CONTENDER,),
    },
    entering={
        ChampionState.CHAMPION: Step(
            guards=(
                Guard(
                    "NOT_SERVING",
                    "A champion must be in shadow or in production.",
                    """
                    SELECT 'the model is in ' || coalesce({row}.stage::text, 'development')
                        || '; a champion is in shadow or production', 'Model:' || {row}.id
                    WHERE ({row}.stage::text IN ('shadow', 'production')) IS NOT TRUE
                    """,
                ),
                Guard(
                    "NO_EXPERIMENT",
                    "A champion must belong to an experiment.",
                    "SELECT 'the model belongs to no experiment', 'Model:' || {row}.id WHERE "
                    "{row}.experiment_id IS NULL",
                ),
            ),
            before=(DETHRONE_OTHERS,),
        )
    },
    stored={ChampionState.CONTENDER: "false", ChampionState.CHAMPION: "true"},
    # the same advisory lock as that of the gateway's trigger, if the database has it
    queue="hashtext('ml_model_registry.is_champion'), (hashtextextended({row}.experiment_id::text, 0) & 1023)::integer",
)

_NEW_CHAMPION = Moves("Model.champion", (ChampionState.CHAMPION,), judged=True)
SETTING_CHAMPION = Effect("setChampion", moves=(_NEW_CHAMPION,), guards=())
SWAPPING_CHAMPION = Effect("swapChampion", moves=(_NEW_CHAMPION,))

SAME_MODELS = "coalesce({m}.experiment_id::text, 'name ' || {m}.model_name)"
"""SQL of what interchangeable models have in common: the experiment or, without one, the name."""


def deployment_queue(model: str) -> str:
    """The arguments of the advisory lock of deployments and services whose models are interchangeable.

    Their changes are serial, since a replacement and a rollback change several of them. ``model`` is SQL of a model id.
    """
    return (
        f"hashtext('ml_deployments.status'), hashtext(coalesce((SELECT {SAME_MODELS.replace('{m}', 'm')} "
        f"FROM ml_model_registry AS m WHERE m.id = {model}), {model}::text, {{row}}.id::text))"
    )


ROLLOUT = {
    DeploymentStatus.PENDING: (DeploymentStatus.DEPLOYING, DeploymentStatus.FAILED),
    DeploymentStatus.DEPLOYING: (DeploymentStatus.ACTIVE, DeploymentStatus.FAILED, DeploymentStatus.ROLLED_BACK),
    DeploymentStatus.ACTIVE: (DeploymentStatus.DRAINING, DeploymentStatus.FAILED, DeploymentStatus.ROLLED_BACK),
    DeploymentStatus.DRAINING: (DeploymentStatus.ACTIVE, DeploymentStatus.ROLLED_BACK),
    DeploymentStatus.FAILED: (DeploymentStatus.PENDING,),
}
"""The moves of deployments and of services."""

_ENDED = {"deactivated_at": NOW}

_PREDECESSOR = "Deployment.previous_deployment"
_SERVICES = "BentoService.deployment~"
DRAIN_REPLACED = Effect(
    "drain_replaced",
    moves=(
        Moves("Deployment.status", (DeploymentStatus.DRAINING,)),
        Moves("BentoService.status", (DeploymentStatus.DRAINING,)),
    ),
    writes=(Writes("Deployment", columns=("previous_deployment_id",)),),
    reads=("Model",),
    ways=((_PREDECESSOR,), (_PREDECESSOR, _SERVICES)),
    beyond="The deployment that is active in its environment by then is replaced; no edge leads to it.",
)
SERVICES_FOLLOW = Effect(
    "services_follow",
    moves=(
        Moves(
            "BentoService.status",
            (
                DeploymentStatus.ACTIVE, DeploymentStatus.DRAINING, DeploymentStatus.FAILED,
                DeploymentStatus.ROLLED_BACK,
            ),
        ),
    ),
    ways=((_SERVICES,),),
)  # fmt: skip

DEPLOYMENT = Lifecycle(
    "status",
    "Deployment",
    "status",
    DeploymentStatus,
    DeploymentStatus.PENDING,
    ROLLOUT,
    entering={
        DeploymentStatus.ACTIVE: Step(
            stamps={"deployed_at": NOW, "deactivated_at": NOTHING}, effects=(DRAIN_REPLACED, SERVICES_FOLLOW)
        ),
        DeploymentStatus.DRAINING: Step(stamps=_ENDED, effects=(SERVICES_FOLLOW,)),
        DeploymentStatus.FAILED: Step(stamps=_ENDED, effects=(SERVICES_FOLLOW,)),
        DeploymentStatus.ROLLED_BACK: Step(
            stamps={**_ENDED, "rolled_back_at": NOW, "rollback_reason": REASON}, effects=(SERVICES_FOLLOW,)
        ),
    },
    changes=(Change("moveDeployment", "Moves a deployment to a status of its lifecycle."),),
    queue=deployment_queue("{row}.model_registry_id"),
    queue_reads=("Model",),
    ended=(DeploymentStatus.ROLLED_BACK,),
)

START_DEPLOYMENT = {
    "deployment_name": Given(VARCHAR(255), "Deployment label; by default the model's name, version and environment."),
    "environment": Given(VARCHAR(50), "Target environment: development, staging, or production.", required=True),
    "endpoint_name": Given(VARCHAR(255), "Name of the endpoint that answers requests."),
    "endpoint_url": Given(TEXT(), "URL of the endpoint."),
    "deployment_config": Given(JSONB(), "Resource and scaling configuration of the deployment."),
}
"""Inputs of a new deployment."""

MODEL_IN_USE = Guard(
    "MODEL_RETIRED",
    "An archived or deprecated model cannot be deployed.",
    """
    SELECT 'the model is ' || {row}.stage::text || ', and such a model is not deployed', 'Model:' || {row}.id
    WHERE {row}.stage::text IN ('archived', 'deprecated')
    """,
)
STARTING_DEPLOYMENT = Effect(
    "startDeployment",
    writes=(
        Writes(
            "Deployment",
            added=(
                "model_registry_id", "deployment_name", "environment", "endpoint_name", "endpoint_url",
                "deployment_config", "status", "deployed_by", "previous_deployment_id",
            ),
        ),
    ),
    locks=("Model",),
    guards=(MODEL_IN_USE,),
)  # fmt: skip

MAX_ERROR_RATE = "0.01"
"""The largest error rate of a deployment to which a rollback returns, as a fraction (0-1)."""


def replaced_by(deployment: str) -> str:
    """The SQL condition that ``t`` is an active deployment that another one replaces.

    Both are in the same environment, and their models are interchangeable; ``deployment`` is SQL of the other's id.
    """
    return f"""
        t.status = 'active' AND t.id::uuid <> {deployment}::uuid AND EXISTS (
            SELECT FROM ml_deployments AS d
            JOIN ml_model_registry AS m ON m.id = d.model_registry_id
            JOIN ml_model_registry AS o ON o.id = t.model_registry_id
            WHERE d.id::uuid = {deployment}::uuid AND d.environment = t.environment
                AND {SAME_MODELS.replace("{m}", "m")} = {SAME_MODELS.replace("{m}", "o")}
        )
    """


def rollback_chain(deployment: str) -> str:
    """SQL of the deployments before one, the latest first: id, whether the chain is cyclic there, whether healthy.

    ``deployment`` is SQL of the id of the one.
    """
    return f"""
        WITH RECURSIVE chain (id, environment, depth, path, closed) AS (
            SELECT d.previous_deployment_id, d.environment, 1, ARRAY[d.id], d.previous_deployment_id = d.id
            FROM ml_deployments AS d WHERE d.id::uuid = {deployment}::uuid AND d.previous_deployment_id IS NOT NULL
            UNION ALL
            SELECT d.previous_deployment_id, c.environment, c.depth + 1, c.path || d.id,
                d.previous_deployment_id = ANY (c.path || d.id)
            FROM chain AS c JOIN ml_deployments AS d ON d.id = c.id
            WHERE NOT c.closed AND d.previous_deployment_id IS NOT NULL
        )
        SELECT c.id::text AS id, c.closed,
            (d.status::text IN ('active', 'draining') AND d.environment = c.environment
            AND (d.error_rate IS NULL OR d.error_rate <= {MAX_ERROR_RATE})
            AND NOT EXISTS (
                SELECT FROM ml_bentoml_services AS s
                WHERE s.deployment_id = d.id AND s.health_status IN ('unhealthy', 'unavailable')
            )) IS TRUE AS healthy
        FROM chain AS c LEFT JOIN ml_deployments AS d ON d.id = c.id
        ORDER BY c.depth
    """


# a rollback of an inactive deployment changes no other one, if its environment has an active one
_GOES_BACK = f"""(
    {{row}}.status = 'active' OR NOT EXISTS (SELECT FROM ml_deployments AS t WHERE {replaced_by("{row}.id")})
)"""
_CHAIN = f"""
    SELECT count(*) AS many, bool_or(before.closed) AS closed, bool_or(before.healthy) AS healthy
    FROM ({rollback_chain("{row}.id")}) AS before
"""
_WAY_BACK = (
    Guard(
        "CHAIN_IS_EMPTY",
        "The deployment must have replaced another one.",
        f"""
        SELECT 'it replaced no other deployment, so there is none to roll back to', 'Deployment:' || {{row}}.id
        WHERE {{row}}.previous_deployment_id IS NULL AND {_GOES_BACK}
        """,
        reads=("Model",),
    ),
    Guard(
        "CHAIN_IS_A_CYCLE",
        "The rollback chain must not lead back to the deployment.",
        f"""
        SELECT 'its rollback chain leads back to itself; correct previousDeploymentId first',
            'Deployment:' || {{row}}.id
        FROM ({_CHAIN}) AS chain WHERE chain.closed AND {_GOES_BACK}
        """,
        reads=("Model", "BentoService"),
    ),
    Guard(
        "NO_HEALTHY_PREDECESSOR",
        "A deployment on the rollback chain must be healthy.",
        f"""
        SELECT 'none of the ' || chain.many || ' deployments on its rollback chain is healthy: active or draining in '
            || 'this environment, with an error rate of at most {MAX_ERROR_RATE} and no unhealthy service',
            'Deployment:' || {{row}}.id
        FROM ({_CHAIN}) AS chain WHERE NOT chain.closed AND NOT chain.healthy AND {_GOES_BACK}
        """,
        reads=("Model", "BentoService"),
    ),
)
_ROLLED_BACK = ("Deployment.status", DeploymentStatus.ROLLED_BACK)
ROLLING_BACK = Effect(
    "rollbackDeployment",
    moves=(
        Moves("Deployment.status", (DeploymentStatus.ROLLED_BACK,), judged=True),
        Moves("Deployment.status", (DeploymentStatus.DRAINING, DeploymentStatus.ACTIVE)),
        Moves("BentoService.status", (DeploymentStatus.DRAINING, DeploymentStatus.ACTIVE)),
    ),
    reads=("Model",),
    ways=((f"{_PREDECESSOR}*",), (f"{_PREDECESSOR}*", _SERVICES)),
    made_by=_ROLLED_BACK,
    guards=_WAY_BACK,
)

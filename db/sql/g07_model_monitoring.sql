-- Group 7, model monitoring: alerts from drift, and four views over drift, alerts and performance.

-- ---------------------------------------------------------------------------------------------------------------------
-- Drift of medium severity or worse raises one alert
-- ---------------------------------------------------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION public.raise_drift_alert() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
BEGIN
    -- Two sessions that change one drift row come here one after the other, by the lock of that row. ON CONFLICT without
    -- a target also yields to a unique index on drift_history_id, against alerts that this caller may not see.
    INSERT INTO ml_monitoring_alerts (
        alert_type, title, severity, status, model_id, experiment_id, deployment_id, drift_history_id, message,
        affected_features, drift_type, composite_drift_score, recommended_action, recommended_priority
    )
    SELECT
        'drift',
        initcap(NEW.severity::text) || ' ' || NEW.drift_type || ' drift' || coalesce(' in ' || NEW.feature_name, ''),
        NEW.severity,
        'active',
        NEW.model_id,
        NEW.experiment_id,
        NEW.deployment_id,
        NEW.id,
        concat_ws(
            ', ',
            format('The %s test found %s %s drift', NEW.test_type, NEW.severity, NEW.drift_type)
                || coalesce(' in ' || NEW.feature_name, ''),
            'statistic ' || NEW.test_statistic,
            'p-value ' || NEW.p_value,
            'drift score ' || NEW.drift_score
        ) || '.',
        CASE WHEN NEW.feature_name IS NOT NULL THEN ARRAY[NEW.feature_name::text] END,
        NEW.drift_type,
        NEW.drift_score,
        CASE NEW.severity
            WHEN 'critical' THEN 'Retrain the model now; roll back if a healthy version is available.'
            WHEN 'high' THEN 'Schedule retraining within 24 hours.'
            ELSE 'Investigate the change; retrain if the drift persists.'
        END,
        CASE NEW.severity WHEN 'critical' THEN 'immediate' ELSE NEW.severity::text END
    WHERE NOT EXISTS (
        SELECT FROM ml_monitoring_alerts AS a WHERE a.drift_history_id = NEW.id AND a.alert_type = 'drift'
    )
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION public.raise_drift_alert() IS
    'Detected drift of medium severity or worse raises one active alert of type drift, when the drift is recorded or when it '
    'becomes that severe. A drift record never has a second one. recommended_priority: immediate (critical), high, medium.';

CREATE OR REPLACE TRIGGER raise_drift_alert_on_insert AFTER INSERT ON public.ml_drift_history
    FOR EACH ROW WHEN (NEW.drift_detected AND NEW.severity >= 'medium')
    EXECUTE FUNCTION public.raise_drift_alert();

CREATE OR REPLACE TRIGGER raise_drift_alert_on_update AFTER UPDATE ON public.ml_drift_history
    FOR EACH ROW WHEN (
        NEW.drift_detected AND NEW.severity >= 'medium' AND (OLD.drift_detected AND OLD.severity >= 'medium') IS NOT TRUE
    )
    EXECUTE FUNCTION public.raise_drift_alert();

-- ---------------------------------------------------------------------------------------------------------------------
-- ml_drift_status_latest
-- ---------------------------------------------------------------------------------------------------------------------
CREATE OR REPLACE VIEW public.ml_drift_status_latest WITH (security_invoker = true) AS
-- One probe of the index per model and drift type, whatever the length of the history. The keys are those of the outer
-- side, so that a condition on them ends there too.
SELECT
    m.id AS model_id,
    kind.label AS drift_type,
    latest.feature_name,
    latest.drift_detected,
    latest.severity,
    latest.test_type,
    latest.test_statistic,
    latest.p_value,
    latest.drift_score,
    latest.created_at AS last_checked
FROM public.ml_model_registry AS m
CROSS JOIN unnest(enum_range(NULL::public.drift_type_enum)) AS kind (label)
-- The greatest time is read off an index of times wherever that has its nulls; without any, what has no time is the newest.
CROSS JOIN LATERAL (
    SELECT max(d.created_at) AS at FROM public.ml_drift_history AS d WHERE d.model_id = m.id AND d.drift_type = kind.label
) AS newest
-- A run records many features at one instant: of those the worst speaks for the model.
CROSS JOIN LATERAL (
    (
        SELECT
            d.feature_name, d.drift_detected, d.severity, d.test_type, d.test_statistic, d.p_value, d.drift_score,
            d.created_at
        FROM public.ml_drift_history AS d
        WHERE d.model_id = m.id AND d.drift_type = kind.label AND d.created_at = newest.at
        ORDER BY d.severity DESC, d.id DESC
        LIMIT 1
    )
    UNION ALL
    (
        SELECT
            d.feature_name, d.drift_detected, d.severity, d.test_type, d.test_statistic, d.p_value, d.drift_score,
            d.created_at
        FROM public.ml_drift_history AS d
        WHERE d.model_id = m.id AND d.drift_type = kind.label AND d.created_at IS NULL
        ORDER BY d.severity DESC, d.id DESC
        LIMIT 1
    )
    LIMIT 1
) AS latest;

-- ---------------------------------------------------------------------------------------------------------------------
-- ml_drift_trend_7d
-- ---------------------------------------------------------------------------------------------------------------------
CREATE OR REPLACE VIEW public.ml_drift_trend_7d WITH (security_invoker = true) AS
SELECT
    d.model_id,
    d.drift_type,
    (d.created_at AT TIME ZONE 'UTC')::date AS check_date,
    count(*) AS check_count,
    count(*) FILTER (WHERE d.drift_detected) AS drift_count,
    avg(d.drift_score) AS avg_drift_score,
    -- The order of the type, not of the words: 'none' sorts last as text.
    max(d.severity)::text AS max_severity
FROM public.ml_drift_history AS d
WHERE d.created_at >= now() - interval '168 hours' AND d.model_id IS NOT NULL
GROUP BY d.model_id, d.drift_type, check_date;

-- ---------------------------------------------------------------------------------------------------------------------
-- ml_active_alerts_summary
-- ---------------------------------------------------------------------------------------------------------------------
CREATE OR REPLACE VIEW public.ml_active_alerts_summary WITH (security_invoker = true) AS
SELECT
    a.model_id,
    count(*) AS total_active,
    count(*) FILTER (WHERE a.severity = 'critical') AS critical_count,
    count(*) FILTER (WHERE a.severity = 'high') AS high_count,
    count(*) FILTER (WHERE a.severity = 'medium') AS medium_count,
    min(a.created_at) AS oldest_alert,
    max(a.created_at) AS newest_alert
FROM public.ml_monitoring_alerts AS a
WHERE (a.status IN ('active', 'acknowledged', 'investigating') OR a.status IS NULL) AND a.model_id IS NOT NULL
GROUP BY a.model_id;

-- ---------------------------------------------------------------------------------------------------------------------
-- ml_model_health_dashboard
-- ---------------------------------------------------------------------------------------------------------------------
CREATE OR REPLACE VIEW public.ml_model_health_dashboard WITH (security_invoker = true) AS
SELECT
    m.id AS model_id,
    m.model_name::character varying AS model_name,
    m.stage AS model_stage,
    coalesce(drift.detected, false) AS has_active_drift,
    drift.max_severity AS max_drift_severity,
    checks.check_count AS drift_check_count,
    alerts.open_count AS active_alerts,
    alerts.critical_count AS critical_alerts,
    performance.metric_value::numeric AS latest_metric_value,
    performance.metric_name::character varying AS primary_metric,
    performance.is_degraded AS performance_degraded,
    CASE
        WHEN alerts.critical_count > 0 OR drift.max_severity = 'critical' THEN 'critical'
        WHEN drift.detected OR alerts.open_count > 0 OR performance.is_degraded THEN 'warning'
        -- Neither nothing nor NaN is good.
        WHEN drift.detected IS NULL AND performance.is_degraded IS NULL THEN 'unknown'
        ELSE 'healthy'
    END AS health_status
FROM public.ml_model_registry AS m
-- Aggregates in LATERAL rather than joins of the views above: a join would aggregate every model to show one. They are
-- left joins though each has one row, since Postgres leaves those out that are not asked for.
LEFT JOIN LATERAL (
    SELECT
        bool_or(d.drift_detected) AS detected,
        CASE WHEN count(*) > 0 THEN coalesce(max(d.severity) FILTER (WHERE d.drift_detected), 'none') END AS max_severity
    FROM public.ml_drift_status_latest AS d
    WHERE d.model_id = m.id
) AS drift ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS check_count
    FROM public.ml_drift_history AS d
    WHERE d.model_id = m.id AND d.created_at >= now() - interval '168 hours'
) AS checks ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS open_count, count(*) FILTER (WHERE a.severity = 'critical') AS critical_count
    FROM public.ml_monitoring_alerts AS a
    -- An index of the status serves both; it would serve no expression.
    WHERE a.model_id = m.id AND (a.status IN ('active', 'acknowledged', 'investigating') OR a.status IS NULL)
) AS alerts ON true
LEFT JOIN LATERAL (
    -- Of one row, so that Postgres knows this to be one: by its LIMIT it does not.
    SELECT
        max(p.metric_name) AS metric_name,
        max(p.metric_value) AS metric_value,
        bool_or(CASE WHEN p.is_degraded OR p.metric_value <> 'NaN' THEN p.is_degraded END) AS is_degraded
    FROM (
        SELECT p.metric_name, p.metric_value, p.is_degraded
        FROM public.ml_performance_metrics AS p
        WHERE p.model_id = m.id AND p.segment IS NULL
        -- A measurement records several metrics at one instant.
        ORDER BY p.measured_at DESC NULLS LAST, (p.metric_name = 'roc_auc') DESC, p.metric_name, p.id DESC
        LIMIT 1
    ) AS p
) AS performance ON true
WHERE m.stage = 'production';

-- ---------------------------------------------------------------------------------------------------------------------
-- What subscriptions are told of alerts
-- ---------------------------------------------------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION public.tell_of_alerts() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_notify('e2i_gateway_live', 'alerts');
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION public.tell_of_alerts() IS 'Wakes whoever listens for alerts, to look for what has changed.';

CREATE OR REPLACE TRIGGER tell_of_alerts AFTER INSERT OR UPDATE ON public.ml_monitoring_alerts
    FOR EACH STATEMENT EXECUTE FUNCTION public.tell_of_alerts();

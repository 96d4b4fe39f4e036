-- Group 1, MLOps core: the one champion of an experiment, and three views.

-- ---------------------------------------------------------------------------------------------------------------------
-- One champion per experiment
--
-- After the statement, not before each row: an UPDATE may touch the old and the new champion in any order
-- (SET is_champion = (id = ...)), and a BEFORE ROW trigger that changes rows which its own statement still has to
-- visit makes Postgres give up. Before each row, sessions only queue: the constraint single_champion waits at commit for
-- rows that others have written and not committed, so nobody may write one out of turn.
-- ---------------------------------------------------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION public.champion_slot(experiment uuid) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (hashtextextended(experiment::text, 0) & 1023)::integer;

COMMENT ON FUNCTION public.champion_slot(uuid) IS
    'The advisory lock, one of 1024, that sessions which appoint a champion of the experiment take in turn.';

CREATE OR REPLACE FUNCTION public.queue_for_champion() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('ml_model_registry.is_champion'), champion_slot(NEW.experiment_id));
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION public.queue_for_champion() IS
    'Lets the sessions that appoint a champion of one experiment write one after the other.';

CREATE OR REPLACE TRIGGER queue_for_champion_on_insert BEFORE INSERT ON public.ml_model_registry
    FOR EACH ROW WHEN (NEW.is_champion AND NEW.experiment_id IS NOT NULL)
    EXECUTE FUNCTION public.queue_for_champion();

CREATE OR REPLACE TRIGGER queue_for_champion_on_update BEFORE UPDATE ON public.ml_model_registry
    FOR EACH ROW WHEN (
        NEW.is_champion AND NEW.experiment_id IS NOT NULL
        AND (OLD.is_champion, OLD.experiment_id) IS DISTINCT FROM (NEW.is_champion, NEW.experiment_id)
    )
    EXECUTE FUNCTION public.queue_for_champion();

CREATE OR REPLACE FUNCTION public.keep_single_champion() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    appointed uuid[];
BEGIN
    -- Sets rather than a join of the two: the plan is kept from the first call, which may have seen one row.
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(n.id) INTO appointed
        FROM new_rows AS n
        WHERE n.is_champion AND n.experiment_id IS NOT NULL;
    ELSE
        SELECT array_agg(changed.id) INTO appointed
        FROM (
            SELECT n.id, n.experiment_id FROM new_rows AS n WHERE n.is_champion AND n.experiment_id IS NOT NULL
            EXCEPT
            SELECT o.id, o.experiment_id FROM old_rows AS o WHERE o.is_champion
        ) AS changed;
    END IF;
    IF appointed IS NULL THEN
        -- Also the end of the recursion: the UPDATE below appoints nobody.
        RETURN NULL;
    END IF;

    -- Two sessions that appoint in one experiment come here one after the other, and the second sees what the first
    -- committed. An advisory lock, because a row lock on the experiment needs a privilege on it and is skipped where row
    -- level security hides it. One of 1024 per experiment, so that a bulk load cannot exhaust the table of locks; in
    -- order, so that two statements cannot wait for each other.
    PERFORM pg_advisory_xact_lock(hashtext('ml_model_registry.is_champion'), slot)
    FROM (
        SELECT DISTINCT champion_slot(m.experiment_id) AS slot
        FROM ml_model_registry AS m
        WHERE m.id = ANY (appointed)
        ORDER BY slot
    ) AS slots;

    UPDATE ml_model_registry AS other
    SET is_champion = false
    FROM (
        -- One statement may appoint several: the newest stays.
        SELECT DISTINCT ON (m.experiment_id) m.experiment_id, m.id
        FROM ml_model_registry AS m
        WHERE m.id = ANY (appointed) AND m.is_champion
        ORDER BY m.experiment_id, m.registered_at DESC NULLS LAST, m.id DESC
    ) AS champion
    WHERE other.experiment_id = champion.experiment_id
      AND other.is_champion
      AND other.id <> champion.id;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION public.keep_single_champion() IS
    'A model that becomes champion of an experiment takes the flag from the others. Of several that one statement '
    'appoints, the most recently registered stays. Models without an experiment are left alone.';

CREATE OR REPLACE TRIGGER single_champion_on_insert AFTER INSERT ON public.ml_model_registry
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION public.keep_single_champion();

CREATE OR REPLACE TRIGGER single_champion_on_update AFTER UPDATE ON public.ml_model_registry
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION public.keep_single_champion();

-- ---------------------------------------------------------------------------------------------------------------------
-- v_champion_models
-- ---------------------------------------------------------------------------------------------------------------------
CREATE OR REPLACE VIEW public.v_champion_models WITH (security_invoker = true) AS
SELECT
    e.experiment_name,
    e.prediction_target,
    e.brand,
    e.region,
    m.model_name,
    m.model_version,
    m.algorithm,
    m.auc,
    m.pr_auc,
    m.stage,
    m.trained_at
FROM public.ml_model_registry AS m
JOIN public.ml_experiments AS e ON e.id = m.experiment_id
WHERE m.is_champion
  -- A model without a stage has not been retired.
  AND coalesce(m.stage NOT IN ('archived', 'deprecated'), true);

-- ---------------------------------------------------------------------------------------------------------------------
-- v_latest_data_quality
-- ---------------------------------------------------------------------------------------------------------------------
CREATE OR REPLACE VIEW public.v_latest_data_quality WITH (security_invoker = true) AS
-- There are few validated tables and many reports: hop from one table name to the next along the index and take the top
-- report of each split, where DISTINCT ON would read every report.
WITH RECURSIVE validated AS (
    (
        SELECT r.table_name
        FROM public.ml_data_quality_reports AS r
        WHERE r.table_name IS NOT NULL
        ORDER BY r.table_name
        LIMIT 1
    )
    UNION ALL
    SELECT following.table_name
    FROM validated AS v
    CROSS JOIN LATERAL (
        SELECT r.table_name
        FROM public.ml_data_quality_reports AS r
        WHERE r.table_name > v.table_name
        ORDER BY r.table_name
        LIMIT 1
    ) AS following
)
SELECT
    v.table_name,
    split.label AS data_split,
    latest.overall_status,
    latest.success_rate,
    latest.completeness_score,
    latest.validity_score,
    latest.leakage_detected,
    latest.run_at
FROM validated AS v
CROSS JOIN unnest(enum_range(NULL::public.data_split_type)) AS split (label)
CROSS JOIN LATERAL (
    SELECT
        r.overall_status, r.success_rate, r.completeness_score, r.validity_score, r.leakage_detected, r.run_at
    FROM public.ml_data_quality_reports AS r
    WHERE r.table_name = v.table_name AND r.data_split = split.label
    ORDER BY r.run_at DESC NULLS LAST, r.id DESC
    LIMIT 1
) AS latest;

-- ---------------------------------------------------------------------------------------------------------------------
-- v_agent_latency_summary
-- ---------------------------------------------------------------------------------------------------------------------
CREATE OR REPLACE VIEW public.v_agent_latency_summary WITH (security_invoker = true) AS
SELECT
    s.agent_name,
    s.agent_tier,
    count(*) AS total_spans,
    avg(s.duration_ms) AS avg_duration_ms,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY s.duration_ms) AS p50_ms,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY s.duration_ms) AS p95_ms,
    percentile_cont(0.99) WITHIN GROUP (ORDER BY s.duration_ms) AS p99_ms,
    count(*) FILTER (WHERE s.status = 'error')::numeric / count(*) AS error_rate,
    count(*) FILTER (WHERE s.fallback_used)::numeric / count(*) AS fallback_rate,
    sum(s.total_tokens) AS total_tokens_used
FROM public.ml_observability_spans AS s
WHERE s.started_at >= now() - interval '24 hours'
GROUP BY s.agent_name, s.agent_tier;


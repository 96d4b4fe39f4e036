-- Group 3, digital twin: grading of predictions against real outcomes, and the fidelity of each twin model.

CREATE OR REPLACE FUNCTION public.grade_twin_fidelity() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    simulated double precision := finite_or_null(NEW.simulated_ate);
    actual double precision := finite_or_null(NEW.actual_ate);
BEGIN
    NEW.prediction_error := effect_relative_error(simulated, actual);
    NEW.absolute_error := abs(effect_difference(simulated, actual));
    NEW.ci_coverage := interval_covers(NEW.simulated_ci_lower, NEW.simulated_ci_upper, actual);
    NEW.fidelity_grade := coalesce(grade_effect(simulated, actual), 'unvalidated');
    IF actual IS NOT NULL THEN
        NEW.validated_at := coalesce(NEW.validated_at, now());
    ELSIF TG_OP = 'UPDATE' AND OLD.actual_ate IS NOT NULL THEN
        -- The outcome was withdrawn: nothing is validated any more.
        NEW.validated_at := NULL;
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION public.grade_twin_fidelity() IS
    'prediction_error = (simulated - actual) / actual, absolute_error = |simulated - actual|, ci_coverage = actual within '
    'the simulated interval (null where a bound is), fidelity_grade by grade_effect. With an actual effect of zero the '
    'error is relative to the prediction: 1 with its sign, or 0 where that is zero too. Without an actual effect there is no '
    'prediction_error and the grade is unvalidated. An effect that is not a finite number counts as missing; an error beyond '
    'double precision is the largest finite number. validated_at is set when an actual effect arrives and cleared when it is '
    'withdrawn.';

CREATE OR REPLACE TRIGGER grade_twin_fidelity BEFORE INSERT OR UPDATE ON public.twin_fidelity_tracking
    FOR EACH ROW EXECUTE FUNCTION public.grade_twin_fidelity();

-- ---------------------------------------------------------------------------------------------------------------------
-- The fidelity of a twin model, from its last validations
-- ---------------------------------------------------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION public.refresh_twin_model_fidelity(model_ids uuid[]) RETURNS void
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
BEGIN
    -- Locked first and in order: whoever waited here then sees, in the next statement, what the other one committed.
    PERFORM FROM digital_twin_models AS m
    WHERE m.model_id = ANY (model_ids)
    ORDER BY m.model_id
    FOR NO KEY UPDATE;

    UPDATE digital_twin_models AS m
    SET fidelity_score = recent.score,
        fidelity_sample_count = recent.sample_count,
        last_fidelity_update = now()
    FROM unnest(model_ids) AS wanted (model_id)
    CROSS JOIN LATERAL (
        SELECT avg(greatest(0, 1 - abs(last_ten.prediction_error))) AS score, count(*) AS sample_count
        FROM (
            SELECT validation.prediction_error
            FROM twin_simulations AS s
            -- The limit inside keeps the plan to one index probe per simulation of the model, however many others there are.
            CROSS JOIN LATERAL (
                SELECT t.prediction_error, t.validated_at, t.tracking_id
                FROM twin_fidelity_tracking AS t
                WHERE t.simulation_id = s.simulation_id AND t.prediction_error IS NOT NULL
                ORDER BY t.validated_at DESC NULLS LAST, t.tracking_id DESC
                LIMIT 10
            ) AS validation
            WHERE s.model_id = wanted.model_id
            ORDER BY validation.validated_at DESC NULLS LAST, validation.tracking_id DESC
            LIMIT 10
        ) AS last_ten
    ) AS recent
    WHERE m.model_id = wanted.model_id;
END
$$;

COMMENT ON FUNCTION public.refresh_twin_model_fidelity(uuid[]) IS
    'Recomputes digital_twin_models.fidelity_score = mean of max(0, 1 - |prediction_error|) over the last 10 validations of '
    'the model''s simulations (rows with a prediction_error, newest validated_at first, then tracking_id descending); null '
    'where there is none. fidelity_sample_count is the number of validations used, 0 to 10.';

-- Per statement: a bulk load recomputes each model once.
CREATE OR REPLACE FUNCTION public.refresh_fidelity_of_tracked() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    simulations uuid[];
    models uuid[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(DISTINCT n.simulation_id) INTO simulations
        FROM new_rows AS n
        WHERE n.prediction_error IS NOT NULL;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(DISTINCT o.simulation_id) INTO simulations
        FROM old_rows AS o
        WHERE o.prediction_error IS NOT NULL;
    ELSE
        -- What the score is made of, on either side of the change: a row may have moved to another simulation.
        SELECT array_agg(DISTINCT changed.simulation_id) INTO simulations
        FROM (
            (
                SELECT o.tracking_id, o.simulation_id, o.prediction_error, o.validated_at FROM old_rows AS o
                EXCEPT
                SELECT n.tracking_id, n.simulation_id, n.prediction_error, n.validated_at FROM new_rows AS n
            )
            UNION ALL
            (
                SELECT n.tracking_id, n.simulation_id, n.prediction_error, n.validated_at FROM new_rows AS n
                EXCEPT
                SELECT o.tracking_id, o.simulation_id, o.prediction_error, o.validated_at FROM old_rows AS o
            )
        ) AS changed;
    END IF;

    IF simulations IS NOT NULL THEN
        SELECT array_agg(DISTINCT s.model_id) INTO models
        FROM twin_simulations AS s
        WHERE s.simulation_id = ANY (simulations);
        PERFORM refresh_twin_model_fidelity(models);
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER refresh_fidelity_on_insert AFTER INSERT ON public.twin_fidelity_tracking
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION public.refresh_fidelity_of_tracked();

CREATE OR REPLACE TRIGGER refresh_fidelity_on_update AFTER UPDATE ON public.twin_fidelity_tracking
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION public.refresh_fidelity_of_tracked();

CREATE OR REPLACE TRIGGER refresh_fidelity_on_delete AFTER DELETE ON public.twin_fidelity_tracking
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION public.refresh_fidelity_of_tracked();

-- A simulation that changes its model takes its validations along, and a deleted one (with its validations, by the
-- foreign key) can no longer be asked for its model.
CREATE OR REPLACE FUNCTION public.refresh_fidelity_of_simulated() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    models uuid[];
BEGIN
    IF TG_OP = 'DELETE' THEN
        SELECT array_agg(DISTINCT o.model_id) INTO models FROM old_rows AS o;
    ELSE
        SELECT array_agg(DISTINCT changed.model_id) INTO models
        FROM (
            (
                SELECT o.simulation_id, o.model_id FROM old_rows AS o
                EXCEPT
                SELECT n.simulation_id, n.model_id FROM new_rows AS n
            )
            UNION ALL
            (
                SELECT n.simulation_id, n.model_id FROM new_rows AS n
                EXCEPT
                SELECT o.simulation_id, o.model_id FROM old_rows AS o
            )
        ) AS changed;
    END IF;
    IF models IS NOT NULL THEN
        PERFORM refresh_twin_model_fidelity(models);
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER refresh_fidelity_on_update AFTER UPDATE ON public.twin_simulations
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION public.refresh_fidelity_of_simulated();

CREATE OR REPLACE TRIGGER refresh_fidelity_on_delete AFTER DELETE ON public.twin_simulations
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION public.refresh_fidelity_of_simulated();

COMMENT ON FUNCTION public.refresh_fidelity_of_tracked() IS
    'After a change of validations: refreshes the fidelity of the twin models whose validations changed.';
COMMENT ON FUNCTION public.refresh_fidelity_of_simulated() IS
    'After a simulation moved to another model or was deleted: refreshes the fidelity of the models concerned.';

-- It graded errors in binary.
DROP FUNCTION IF EXISTS public.grade_relative_error(double precision);

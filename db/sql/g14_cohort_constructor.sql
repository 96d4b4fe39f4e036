-- Group 14, cohort constructor: a locked definition keeps what it defines.

CREATE OR REPLACE FUNCTION public.keep_locked_cohort() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
BEGIN
    IF NEW.status IS DISTINCT FROM 'archived' AND NEW.status IS DISTINCT FROM 'locked' THEN
        RAISE EXCEPTION 'the cohort definition % is locked: it can only be archived', OLD.cohort_id;
    END IF;
    IF ROW(
        NEW.cohort_id, NEW.brand, NEW.indication, NEW.version, NEW.inclusion_criteria, NEW.exclusion_criteria,
        NEW.lookback_days, NEW.followup_days, NEW.index_date_field, NEW.required_fields, NEW.config_hash
    ) IS DISTINCT FROM ROW(
        OLD.cohort_id, OLD.brand, OLD.indication, OLD.version, OLD.inclusion_criteria, OLD.exclusion_criteria,
        OLD.lookback_days, OLD.followup_days, OLD.index_date_field, OLD.required_fields, OLD.config_hash
    ) THEN
        RAISE EXCEPTION 'the cohort definition % is locked: what it defines cannot change', OLD.cohort_id
            USING HINT = 'Make a definition with a new version.';
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION public.keep_locked_cohort() IS
    'A locked cohort definition keeps its criteria, periods and names; it can be archived, and its populations recorded.';

CREATE OR REPLACE TRIGGER keep_locked_cohort BEFORE UPDATE ON public.ml_cohort_definitions
    FOR EACH ROW WHEN (OLD.status = 'locked') EXECUTE FUNCTION public.keep_locked_cohort();

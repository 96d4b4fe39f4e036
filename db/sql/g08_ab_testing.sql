-- Group 8, A/B testing: how well a digital twin predicted the outcome of a real experiment.

CREATE OR REPLACE FUNCTION public.grade_fidelity_comparison() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    predicted double precision := finite_or_null(NEW.predicted_effect);
    actual double precision := finite_or_null(NEW.actual_effect);
BEGIN
    NEW.prediction_error := effect_difference(predicted, actual);
    NEW.absolute_prediction_error := abs(NEW.prediction_error);
    NEW.relative_prediction_error := effect_relative_error(predicted, actual);
    NEW.confidence_interval_coverage := interval_covers(NEW.predicted_ci_lower, NEW.predicted_ci_upper, actual);
    NEW.direction_match := sign(predicted) = sign(actual);
    IF NEW.relative_prediction_error IS NULL THEN
        NEW.fidelity_score := NULL;
        NEW.fidelity_grade := NULL;
    ELSE
        NEW.fidelity_score := (
            0.5 * greatest(0, 1 - abs(NEW.relative_prediction_error))
            + 0.3 * NEW.direction_match::integer
            + 0.2 * coalesce(NEW.confidence_interval_coverage::integer, 0)
        ) / CASE WHEN NEW.confidence_interval_coverage IS NULL THEN 0.8 ELSE 1 END;
        NEW.fidelity_grade := grade_effect(predicted, actual);
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION public.grade_fidelity_comparison() IS
    'prediction_error = predicted - actual, absolute_prediction_error its size, relative_prediction_error = (predicted - '
    'actual) / actual, confidence_interval_coverage = actual within the predicted interval (null where a bound is), '
    'direction_match = equal signs, fidelity_score = 0.5 * max(0, 1 - |relative error|) + 0.3 * direction match + 0.2 * '
    'coverage, the first two divided by 0.8 where coverage is unknown, fidelity_grade by the relative error: below 0.10 '
    'excellent, below 0.20 good, up to 0.35 fair, above poor, of the decimals as written (grade_effect). All null without an '
    'actual effect; with one of zero the relative error is 1 with the prediction''s sign, or 0 where that is zero too. An effect that is not a finite number counts as missing.';

CREATE OR REPLACE TRIGGER grade_fidelity_comparison BEFORE INSERT OR UPDATE ON public.ab_fidelity_comparisons
    FOR EACH ROW EXECUTE FUNCTION public.grade_fidelity_comparison();

-- What several groups share: the time of the last change, and arithmetic on effects that never raises.
-- Every file of this folder may be run again at any time; definitions are replaced in place.

-- ---------------------------------------------------------------------------------------------------------------------
-- updated_at
-- ---------------------------------------------------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION public.set_updated_at() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
BEGIN
    -- The columns differ in name and type; a branch that is not taken is not looked up in the row.
    IF TG_ARGV[0] = 'updated_date' THEN
        -- Without a time zone in the column the zone must not depend on the session.
        NEW.updated_date := now() AT TIME ZONE 'UTC';
    ELSE
        NEW.updated_at := now();
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION public.set_updated_at() IS
    'Sets the column named by the trigger''s argument (updated_at or updated_date) to the time of the transaction.';

-- A table gets its trigger because it has the column, so a new table needs no line here.
DO $$
DECLARE
    target record;
BEGIN
    FOR target IN
        SELECT format('%I.%I', n.nspname, c.relname) AS relation, a.attname AS column_name
        FROM pg_attribute AS a
        JOIN pg_class AS c ON c.oid = a.attrelid
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('public', 'ml')
          AND c.relkind IN ('r', 'p')
          AND a.attname IN ('updated_at', 'updated_date')
          AND NOT a.attisdropped
        ORDER BY relation
    LOOP
        EXECUTE format(
            'CREATE OR REPLACE TRIGGER set_%2$s BEFORE UPDATE ON %1$s '
            'FOR EACH ROW EXECUTE FUNCTION public.set_updated_at(%2$L)',
            target.relation, target.column_name
        );
    END LOOP;
END
$$;

-- ---------------------------------------------------------------------------------------------------------------------
-- Effects
-- Double precision raises on overflow, and NaN compares greater than everything. Both reach these columns from outside,
-- and neither may stop a row from being recorded.
-- ---------------------------------------------------------------------------------------------------------------------
CREATE OR REPLACE FUNCTION public.finite_or_null(value double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN value BETWEEN float8 '-1.7976931348623157e308' AND float8 '1.7976931348623157e308' THEN value
    END
$$;

COMMENT ON FUNCTION public.finite_or_null(double precision) IS 'The value; NULL for NaN and the infinities.';

CREATE OR REPLACE FUNCTION public.saturate(value numeric) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- least and greatest skip nulls.
    SELECT CASE
        WHEN value IS NOT NULL
        THEN least(greatest(value, -1.7976931348623157e308), 1.7976931348623157e308)::double precision
    END
$$;

COMMENT ON FUNCTION public.saturate(numeric) IS
    'The value as double precision; beyond its range the largest finite number of that sign.';

-- The decimal that is written, not the binary fraction next to it: 0.27 is 0.27, and 35 % more than 0.2.
CREATE OR REPLACE FUNCTION public.as_written(value double precision) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET extra_float_digits = 1
AS $$
    SELECT CASE WHEN public.finite_or_null(value) IS NOT NULL THEN value::text::numeric END
$$;

COMMENT ON FUNCTION public.as_written(double precision) IS
    'The shortest decimal that stands for the value, exactly; NULL for NaN and the infinities.';

CREATE OR REPLACE FUNCTION public.effect_difference(predicted double precision, actual double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT public.saturate(public.as_written(predicted) - public.as_written(actual))
$$;

COMMENT ON FUNCTION public.effect_difference(double precision, double precision) IS
    'predicted - actual of two finite effects, in their unit, of the decimals as written; saturates instead of raising.';

CREATE OR REPLACE FUNCTION public.effect_relative_error(predicted double precision, actual double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT public.saturate(CASE
        WHEN actual = 0 THEN sign(public.as_written(predicted))
        ELSE (public.as_written(predicted) - public.as_written(actual)) / public.as_written(actual)
    END)
$$;

COMMENT ON FUNCTION public.effect_relative_error(double precision, double precision) IS
    '(predicted - actual) / actual of two finite effects, a fraction, of the decimals as written; saturates instead of '
    'raising. Where actual is zero, relative to the prediction: 0 for a prediction of zero, else 1 with its sign.';

CREATE OR REPLACE FUNCTION public.grade_effect(predicted double precision, actual double precision)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- Products of decimals, no quotients: what lies on a limit lies on it.
    SELECT CASE
        WHEN error IS NULL THEN NULL
        WHEN error = 0 OR error < 0.10 * size THEN 'excellent'
        WHEN error < 0.20 * size THEN 'good'
        WHEN error <= 0.35 * size THEN 'fair'
        ELSE 'poor'
    END
    FROM (
        SELECT
            abs(public.as_written(predicted) - public.as_written(actual)) AS error,
            abs(public.as_written(CASE WHEN actual = 0 THEN predicted ELSE actual END)) AS size
    ) AS of
$$;

COMMENT ON FUNCTION public.grade_effect(double precision, double precision) IS
    'Grade of a prediction by its error relative to the actual effect (to itself where that is zero), either sign, of the '
    'decimals as written: below 10 % excellent, below 20 % good, up to 35 % fair, above poor; NULL where either is no number.';

CREATE OR REPLACE FUNCTION public.interval_covers(
    lower_bound double precision, upper_bound double precision, value double precision
) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN lower_bound <> float8 'NaN' AND upper_bound <> float8 'NaN' AND public.finite_or_null(value) IS NOT NULL
        THEN value BETWEEN lower_bound AND upper_bound
    END
$$;

COMMENT ON FUNCTION public.interval_covers(double precision, double precision, double precision) IS
    'Whether the value lies in the closed interval; NULL where a bound or the value is missing or not a number.';

-- Group 2, causal validation: the gate that decides whether an estimate may be used.
--
--   all five refutation tests passed, confidence >= 0.7        -> proceed
--   a required test failed                                     -> block
--   anything else, also no validation at all                   -> review
--   review + approved and valid expert review of the DAG       -> may be used
--   review + rejected, expired or no expert review             -> may not be used
--
-- Each function runs as its caller, so row level security applies to what it reads.

CREATE OR REPLACE FUNCTION public.get_validation_gate(p_estimate_id uuid) RETURNS public.gate_decision
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = public, pg_temp
AS $$
    WITH latest AS (
        SELECT DISTINCT ON (v.test_type)
            v.test_type,
            v.status,
            -- Not a number and anything outside 0 to 1 is no confidence.
            CASE WHEN v.confidence_score BETWEEN 0 AND 1 THEN v.confidence_score END AS confidence
        FROM causal_validations AS v
        WHERE v.estimate_id = p_estimate_id
        ORDER BY v.test_type, v.created_at DESC NULLS LAST, v.validation_id DESC
    )
    SELECT CASE
        WHEN bool_or(
            status = 'failed' AND test_type IN ('placebo_treatment', 'random_common_cause', 'sensitivity_e_value')
        ) THEN gate_decision 'block'
        -- Five tests are all of them: the type has no others. Each must say how confident it is; the weakest counts.
        WHEN count(*) FILTER (WHERE status = 'passed' AND confidence >= 0.7) = 5 AND count(*) = 5
        THEN gate_decision 'proceed'
        ELSE gate_decision 'review'
    END
    FROM latest
$$;

COMMENT ON FUNCTION public.get_validation_gate(uuid) IS
    'Gate decision for a causal estimate, from the latest row of each refutation test (by created_at, then validation_id). '
    'block: a required test (placebo_treatment, random_common_cause, sensitivity_e_value) failed. '
    'proceed: all five tests passed and the confidence, the lowest confidence_score of the five, is at least 0.7. '
    'review: everything else, also an estimate without validations and a test without a confidence.';

CREATE OR REPLACE FUNCTION public.is_dag_approved(p_hash text, p_brand text DEFAULT NULL) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = public, pg_temp
AS $$
    SELECT coalesce(
        (
            SELECT r.approval_status = 'approved' AND coalesce(r.valid_until >= today.utc, true)
            FROM expert_reviews AS r
            -- The day must not depend on the time zone of the session.
            CROSS JOIN (SELECT (now() AT TIME ZONE 'UTC')::date AS utc) AS today
            WHERE r.dag_version_hash = p_hash
              AND (p_brand IS NULL OR r.brand IS NULL OR r.brand = p_brand)
              -- A pending review has decided nothing yet, and an approval for a later day not yet.
              AND r.approval_status IN ('approved', 'rejected', 'expired')
              AND (r.approval_status <> 'approved' OR coalesce(r.valid_from <= today.utc, true))
            ORDER BY
                -- Only a valid approval of the same DAG and brands takes the place of another review. What it supersedes
                -- comes last instead of not at all: of reviews that name each other in a circle the latest decides.
                EXISTS (
                    SELECT FROM expert_reviews AS newer
                    WHERE newer.supersedes_review_id = r.review_id
                      AND newer.review_id <> r.review_id
                      AND newer.dag_version_hash = r.dag_version_hash
                      AND (newer.brand IS NULL OR newer.brand = r.brand)
                      AND newer.approval_status = 'approved'
                      AND coalesce(newer.valid_from <= today.utc, true)
                      AND coalesce(newer.valid_until >= today.utc, true)
                ),
                r.created_at DESC NULLS LAST,
                r.review_id DESC
            LIMIT 1
        ),
        false
    )
$$;

COMMENT ON FUNCTION public.is_dag_approved(text, text) IS
    'Whether the latest decided expert review of a DAG approves it and is still valid. valid_until is inclusive (UTC) and '
    'null means without end. Pending reviews do not count, nor approvals whose valid_from lies ahead, nor what a valid '
    'approval of the same DAG and brand supersedes. With a brand, reviews of that brand and reviews without a brand count; '
    'without one, reviews of every brand.';

CREATE OR REPLACE FUNCTION public.can_use_estimate(
    p_estimate_id uuid, p_dag_hash text DEFAULT NULL, p_brand text DEFAULT NULL
) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = public, pg_temp
AS $$
    SELECT CASE get_validation_gate(p_estimate_id)
        WHEN 'proceed' THEN true
        WHEN 'review' THEN is_dag_approved(p_dag_hash, p_brand)
        ELSE false
    END
$$;

COMMENT ON FUNCTION public.can_use_estimate(uuid, text, text) IS
    'Whether a causal estimate may be used: its gate is proceed, or it is review and is_dag_approved(dag_hash, brand). '
    'An expert review never lifts a block; without a DAG hash a review stays a no.';

"""The platform's own triggers, functions and constraints, as they are found on a database that its migrations built.

Written from the facts that were read off such a database, and not from `db/sql`: what the gateway's files would do is
taken away first. The platform's triggers do less and other than ours, which is what the tests are about.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import asyncpg

SPEC = Path(__file__).parents[1] / "spec"
CONSTRAINTS = SPEC / "platform_constraints.csv"
UNDOCUMENTED = ("public.features",)

_FUNCTIONS_OF_OURS = """
    SELECT p.oid::regprocedure::text FROM pg_proc AS p
    WHERE p.pronamespace = 'public'::regnamespace
      AND p.proname NOT IN ('get_validation_gate', 'is_dag_approved', 'can_use_estimate')
      AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')
"""

_ROW_BEFORE = "BEFORE INSERT OR UPDATE"

TRIGGERS = {
    # a new champion takes the flag from the others, row by row
    "trg_single_champion": ("ml_model_registry", _ROW_BEFORE, """
        IF NEW.is_champion THEN
            UPDATE ml_model_registry SET is_champion = false
            WHERE experiment_id = NEW.experiment_id AND id <> NEW.id AND is_champion;
        END IF;
        RETURN NEW;
    """),
    "trg_drift_alert": ("ml_drift_history", "AFTER INSERT", """
        IF NEW.drift_detected AND NEW.severity IN ('medium', 'high', 'critical') THEN
            INSERT INTO ml_monitoring_alerts (
                alert_type, title, severity, model_id, experiment_id, deployment_id, drift_history_id, message,
                drift_type, composite_drift_score, recommended_priority
            ) VALUES (
                'drift', 'Drift: ' || coalesce(NEW.feature_name, NEW.drift_type::text), NEW.severity, NEW.model_id,
                NEW.experiment_id, NEW.deployment_id, NEW.id, 'Drift was detected.', NEW.drift_type, NEW.drift_score,
                CASE NEW.severity WHEN 'critical' THEN 'immediate' WHEN 'high' THEN 'high' ELSE 'medium' END
            );
        END IF;
        RETURN NEW;
    """),
    # a bound that is missing counts as met
    "trg_twin_fidelity": ("twin_fidelity_tracking", _ROW_BEFORE, """
        IF NEW.actual_ate IS NOT NULL THEN
            NEW.prediction_error := (NEW.simulated_ate - NEW.actual_ate) / nullif(NEW.actual_ate, 0);
            NEW.absolute_error := abs(NEW.simulated_ate - NEW.actual_ate);
            NEW.ci_coverage := coalesce(NEW.actual_ate >= NEW.simulated_ci_lower, true)
                AND coalesce(NEW.actual_ate <= NEW.simulated_ci_upper, true);
            NEW.fidelity_grade := calculate_fidelity_grade(NEW.prediction_error)::fidelity_grade;
            NEW.validated_at := coalesce(NEW.validated_at, now());
        END IF;
        RETURN NEW;
    """),
    "trg_twin_model_fidelity": ("twin_fidelity_tracking", "AFTER INSERT OR UPDATE", """
        IF NEW.actual_ate IS NOT NULL THEN
            UPDATE digital_twin_models AS m
            SET fidelity_score = recent.score, fidelity_sample_count = recent.size, last_fidelity_update = now()
            FROM (
                SELECT s.model_id, avg(greatest(0, 1 - abs(t.prediction_error))) AS score, count(*) AS size
                FROM twin_fidelity_tracking AS t JOIN twin_simulations AS s USING (simulation_id)
                WHERE t.prediction_error IS NOT NULL
                GROUP BY s.model_id
            ) AS recent
            WHERE m.model_id = recent.model_id
              AND m.model_id = (SELECT s.model_id FROM twin_simulations AS s WHERE s.simulation_id = NEW.simulation_id);
        END IF;
        RETURN NEW;
    """),
    "trg_ab_fidelity_errors": ("ab_fidelity_comparisons", _ROW_BEFORE, """
        IF NEW.actual_effect IS NOT NULL THEN
            NEW.prediction_error := NEW.actual_effect - NEW.predicted_effect;
            NEW.absolute_prediction_error := abs(NEW.prediction_error);
            IF abs(NEW.predicted_effect) > 0.001 THEN
                NEW.relative_prediction_error := NEW.absolute_prediction_error / abs(NEW.predicted_effect);
            END IF;
            NEW.direction_match := sign(NEW.predicted_effect) = sign(NEW.actual_effect);
            NEW.confidence_interval_coverage := NEW.actual_effect BETWEEN NEW.predicted_ci_lower
                AND NEW.predicted_ci_upper;
            NEW.fidelity_score := coalesce(NEW.fidelity_score, calculate_fidelity_score(
                NEW.relative_prediction_error, NEW.direction_match, NEW.confidence_interval_coverage));
        END IF;
        RETURN NEW;
    """),
    # after the one before it by name; where its own grades were not made, scores are graded as errors
    "trg_ab_fidelity_grade": ("ab_fidelity_comparisons", _ROW_BEFORE, """
        IF NEW.fidelity_score IS NOT NULL THEN
            NEW.fidelity_grade := calculate_fidelity_grade(NEW.fidelity_score);
        END IF;
        RETURN NEW;
    """),
    # not on TIMEOUT
    "trg_log_step_performance": ("composition_steps", "AFTER UPDATE", """
        IF NEW.status IN ('COMPLETED', 'FAILED') AND OLD.status IS DISTINCT FROM NEW.status THEN
            INSERT INTO tool_performance (tool_id, tool_name, latency_ms, success, error_type, step_id, called_by)
            VALUES (NEW.tool_id, NEW.tool_name, NEW.latency_ms, NEW.status = 'COMPLETED',
                CASE WHEN NEW.status = 'FAILED' THEN 'execution_error' END, NEW.step_id, 'tool_composer');
        END IF;
        RETURN NEW;
    """),
    "trg_shap_explanation": ("ml_shap_analyses", "BEFORE INSERT", """
        NEW.explanation_id := coalesce(NEW.explanation_id, left('EXPL-' || gen_random_uuid()::text, 50));
        NEW.request_timestamp := coalesce(NEW.request_timestamp, now());
        RETURN NEW;
    """),
}  # fmt: skip
"""By name: the table, when it fires for each row, and what it does."""

FUNCTIONS = """
    CREATE FUNCTION calculate_fidelity_grade(error double precision) RETURNS text LANGUAGE sql IMMUTABLE AS $$
        SELECT CASE
            WHEN error IS NULL THEN 'unvalidated'
            WHEN abs(error) < 0.10 THEN 'excellent'
            WHEN abs(error) < 0.20 THEN 'good'
            WHEN abs(error) < 0.35 THEN 'fair'
            ELSE 'poor'
        END
    $$;
    CREATE FUNCTION calculate_fidelity_score(error double precision, direction boolean, covered boolean)
    RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
        SELECT least(1, greatest(0, 0.5 * (1 - coalesce(error, 1)) + 0.3 * coalesce(direction, false)::integer
            + 0.2 * coalesce(covered, false)::integer))
    $$;
    CREATE OR REPLACE FUNCTION is_dag_approved(p_hash text, p_brand text DEFAULT NULL) RETURNS boolean
    LANGUAGE sql STABLE AS $$
        SELECT EXISTS (
            SELECT FROM expert_reviews AS r
            WHERE r.dag_version_hash = p_hash AND r.approval_status = 'approved'
              AND (r.valid_until IS NULL OR r.valid_until >= CURRENT_DATE)
              AND (p_brand IS NULL OR r.brand = p_brand)
        )
    $$;
    CREATE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.updated_at := now();
        RETURN NEW;
    END $$;
"""

# The conditions are not among the facts, their columns are: these are what the columns' meaning leaves.
_SHARES = {
    "observed_power", "p_value", "fidelity_score", "adjusted_alpha", "alpha_spent", "conditional_power",
    "cumulative_alpha_spent", "information_fraction", "predictive_probability", "confidence_score", "confidence",
    "success_rate", "simulation_confidence",
}  # fmt: skip
_CONDITIONS = {
    "valid_ci": "effect_ci_lower <= effect_ci_upper",
    "valid_effect_ci": "effect_ci_lower <= effect_ci_upper",
    "valid_sample_sizes": "control_n >= 0 AND treatment_n >= 0",
    "valid_deviation": "deviation_percent >= 0",
    "valid_withdrawal": "enrollment_status <> 'withdrawn' OR withdrawal_timestamp IS NOT NULL",
    "valid_fidelity_grade": "fidelity_grade IN ('excellent', 'good', 'fair', 'poor', 'unvalidated')",
    "composer_episodes_user_rating_check": "user_rating BETWEEN 1 AND 5",
    "ml_cohort_definitions_status_check": "status IN ('draft', 'active', 'locked', 'archived')",
    "ml_cohort_executions_status_check": "status IN ('running', 'success', 'failed', 'partial')",
    "twin_simulations_twin_count_check": "twin_count > 0",
    "no_self_dependency": "consumer_tool_id <> producer_tool_id",
    "valid_auc": "minimum_auc BETWEEN 0.5 AND 1",
    "valid_period": "baseline_end <= current_start",
}


def facts() -> Iterator[dict[str, str]]:
    """The constraints of the documented tables, as the facts say them."""
    with CONSTRAINTS.open(newline="") as lines:
        for line in csv.DictReader(lines):
            if not line["table"].startswith(UNDOCUMENTED):
                yield line


def constraints(version: tuple[int, ...]) -> Iterator[str]:
    """Statements that add the platform's unique constraints, as far as a Postgres of a version has them, and the checks
    whose condition is known."""
    for line in facts():
        table, columns = line["table"], line["columns"].replace(";", ",")
        name = line["constraint"]
        if line["kind"] == "unique":
            nulls = "NULLS NOT DISTINCT " if line["nulls"] == "nulls not distinct" and version >= (15,) else ""
            yield f"ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE {nulls}({columns})"
        elif line["kind"] == "check":
            condition = _CONDITIONS.get(name) or (f"{columns} BETWEEN 0 AND 1" if columns in _SHARES else None)
            if condition:
                yield f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({condition})"


async def make_own(connection: asyncpg.Connection) -> None:
    """Takes the gateway's functions and triggers out of the database and puts the platform's in."""
    for (function,) in await connection.fetch(_FUNCTIONS_OF_OURS):
        await connection.execute(f"DROP FUNCTION {function} CASCADE")
    await connection.execute(FUNCTIONS)
    for name, (table, when, body) in TRIGGERS.items():
        await connection.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;"
            f"CREATE TRIGGER {name} {when} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()"
        )
    for (table,) in await connection.fetch(
        "SELECT c.oid::regclass::text FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid "
        "WHERE a.attname = 'updated_at' AND c.relkind = 'r' "
        "AND c.relnamespace IN ('public'::regnamespace, 'ml'::regnamespace)"
    ):
        await connection.execute(
            f"CREATE TRIGGER touch_updated_at BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION touch_updated_at()"
        )

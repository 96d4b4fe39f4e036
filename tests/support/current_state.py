"""Models whose current state differs: tests for drift, alerts and measurements of many models, by plain arithmetic.

One test of drift in 50 found some, and one of these in ten is critical; one alert in 97 is open; one measurement in 40
is degraded; one model in 500 was never tested or measured. Thirty models are tested at one instant, some of several
features at once, and some tests have no time.
"""

from __future__ import annotations

import asyncpg

FILL = """
    INSERT INTO ml_model_registry (id, model_name, model_version, algorithm, stage)
    SELECT md5('m' || n)::uuid, 'model ' || n * 7919 % $models, '1.0.' || n, 'a',
        CASE WHEN n % 10 = 3 THEN 'archived' ELSE 'production' END::model_stage_enum
    FROM generate_series(1, $models) AS n;
    INSERT INTO ml_drift_history (id, model_id, drift_type, test_type, baseline_start, baseline_end, current_start,
        current_end, drift_detected, severity, feature_name, created_at)
    SELECT md5(concat('d', n, kind, k, f))::uuid, md5('m' || n)::uuid, (enum_range(NULL::drift_type_enum))[kind], 'ks',
        t - interval '2 day', t - interval '1 day', t - interval '1 day', t, h % 50 = 0,
        (enum_range(NULL::drift_severity_enum))[CASE WHEN h % 500 = 0 THEN 5 WHEN h % 50 = 0 THEN 2 + h % 3 ELSE 1 END],
        CASE WHEN kind = 1 THEN 'feature ' || f END,
        CASE WHEN n % 450 = 7 THEN NULL ELSE t - n / 30 * interval '1 second' END
    FROM generate_series(1, $models) AS n, generate_series(1, 3) AS kind, generate_series(0, $tests - 1) AS k,
        generate_series(1, CASE WHEN kind = 1 AND n % 5 = 0 THEN 2 ELSE 1 END) AS f,
        LATERAL (SELECT timestamptz '2026-06-01' - k * interval '6 hours' AS t) AS at,
        LATERAL (SELECT abs(hashint8(n * 1000003::bigint + kind * 7919 + k * 104729 + f)::bigint) AS h) AS hash
    WHERE n % 500 <> 9;
    INSERT INTO ml_monitoring_alerts (id, alert_type, title, severity, status, message, model_id, created_at)
    SELECT md5('a' || n)::uuid, 'error', 'alert ' || n, (enum_range(NULL::drift_severity_enum))[2 + n / 97 % 4],
        CASE WHEN n % 97 = 0 THEN CASE WHEN n % 194 = 0 THEN 'active' ELSE 'investigating' END ELSE 'resolved'
        END::alert_status_enum, 'm', md5('m' || 1 + n * 31 % $models)::uuid, t
    FROM generate_series(1, $models * 3) AS n,
        LATERAL (SELECT timestamptz '2026-06-01' - n * interval '1 minute' AS t) AS at;
    INSERT INTO ml_performance_metrics (id, model_id, metric_name, metric_value, measured_at, is_degraded)
    SELECT md5(concat('p', n, k))::uuid, md5('m' || n)::uuid, CASE k % 2 WHEN 0 THEN 'roc_auc' ELSE 'recall' END,
        CASE WHEN n % 700 = 5 THEN 'NaN' ELSE 0.8 END, timestamptz '2026-06-01' - k / 2 * interval '6 hours',
        (n * 13 + k) % 40 = 0
    FROM generate_series(1, $models) AS n, generate_series(0, $tests - 1) AS k
    WHERE n % 500 <> 9
"""


async def fill(sql: asyncpg.Connection, models: int, tests: int) -> None:
    """Adds so many models, each with so many tests of each type of drift and measurements, and three alerts."""
    await sql.execute("SET session_replication_role = replica")
    for statement in FILL.split(";\n"):
        await sql.execute(statement.replace("$models", str(models)).replace("$tests", str(tests)))
    await sql.execute("SET session_replication_role = origin")
    await sql.execute("VACUUM ANALYZE")

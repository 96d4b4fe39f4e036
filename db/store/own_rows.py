"""Expired rows of the gateway's own tables: used keys, previews, old entries of the live log, deleted alerts.

One gateway at a time deletes them every hour, in slices; `e2i-gateway db retention` deletes them at once.
"""

from __future__ import annotations

from collections.abc import Mapping

from db.store.changelog import ALERTS_TABLE


def over(live_hours: float) -> Mapping[str, str]:
    """The condition of expired rows, by table, as SQL over its columns."""
    return {
        "gateway.idempotency_keys": "expires_at <= now()",
        "gateway.change_previews": "expires_at < now() - interval '1 hour'",
        # entries with future transaction ids were written on another server, and restored from its dump
        "gateway.live_log": f"recorded_at < now() - make_interval(secs => {(live_hours + 1) * 3600:.0f}) "
        "OR xact >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint",
        # entries of alerts that no longer exist; a role that cannot see all alerts cannot tell, and the nil UUID is
        # none
        "gateway.alerts_seen": f"NOT row_security_active('{ALERTS_TABLE}') "
        "AND alert_id <> '00000000-0000-0000-0000-000000000000' "
        f"AND NOT EXISTS (SELECT FROM {ALERTS_TABLE} AS a WHERE a.id = alert_id)",
    }


GONE_ALERTS = f"""
    WITH looked_at AS MATERIALIZED (
        SELECT alert_id FROM gateway.alerts_seen
        WHERE alert_id > $1::text::uuid ORDER BY alert_id LIMIT $2::text::bigint
    ),
    gone AS (
        DELETE FROM gateway.alerts_seen AS s USING looked_at
        WHERE s.alert_id = looked_at.alert_id AND NOT row_security_active('{ALERTS_TABLE}')
            AND NOT EXISTS (SELECT FROM {ALERTS_TABLE} AS a WHERE a.id = s.alert_id)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone), (SELECT alert_id::text FROM looked_at ORDER BY alert_id DESC LIMIT 1)
"""
"""Reads ``$2`` recorded alerts after the one of ``$1``, and deletes those that no longer exist; returns the number
deleted, and the last one read, null at the end."""
FIRST_ALERT = "00000000-0000-0000-0000-000000000000"
"""The first entry; it records the progress of looks for alerts, and is kept."""


def take(table: str, which: str) -> str:
    """Deletes at most ``$1`` rows; returns their number."""
    some = f"SELECT ctid FROM {table} WHERE {which} LIMIT $1::text::bigint"
    return f"WITH gone AS (DELETE FROM {table} WHERE ctid = ANY (ARRAY({some})) RETURNING 1) SELECT count(*) FROM gone"


def count(table: str, which: str) -> str:
    """The number of expired rows."""
    return f"SELECT count(*) FROM {table} WHERE {which}"

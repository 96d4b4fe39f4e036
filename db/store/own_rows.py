"""Expired rows of the gateway's own tables: used keys, previews, old entries of the live log, deleted alerts.

One gateway at a time removes them once an hour, in slices; `e2i-gateway db retention` removes them at once.
"""

from __future__ import annotations

from collections.abc import Mapping

from db.store.changelog import ALERTS_TABLE


def over(live_hours: float) -> Mapping[str, str]:
    """Which rows of which table may go, as SQL over its columns."""
    return {
        "gateway.idempotency_keys": "expires_at <= now()",
        "gateway.change_previews": "expires_at < now() - interval '1 hour'",
        # those of transactions that are yet to come were written on another server, whose dump this is
        "gateway.live_log": f"recorded_at < now() - make_interval(secs => {(live_hours + 1) * 3600:.0f}) "
        "OR xact >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint",
        # of alerts that are gone; who does not see all of them cannot tell, and the nil UUID is none
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
"""Goes through ``$2`` of what is known of alerts, behind the one of ``$1``, and removes it of those that are gone; how
many were removed, and the last one that was looked at, null at the end."""
FIRST_ALERT = "00000000-0000-0000-0000-000000000000"
"""Before all others; it says of the looks for alerts how far they are, and stays."""


def take(table: str, which: str) -> str:
    """Removes ``$1`` rows at most; gives how many."""
    some = f"SELECT ctid FROM {table} WHERE {which} LIMIT $1::text::bigint"
    return f"WITH gone AS (DELETE FROM {table} WHERE ctid = ANY (ARRAY({some})) RETURNING 1) SELECT count(*) FROM gone"


def count(table: str, which: str) -> str:
    """How many may go."""
    return f"SELECT count(*) FROM {table} WHERE {which}"

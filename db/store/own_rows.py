"""Rows of the gateway's own tables that are over: used keys, previews, what nobody can resume at, alerts that are gone.

Gateways remove them as they go; where none does, or few are asked, `e2i-gateway db retention` does.
"""

from __future__ import annotations

from collections.abc import Mapping

from db.store.changelog import ALERTS_TABLE


def over(live_hours: float) -> Mapping[str, str]:
    """Which rows of which table may go, as SQL over its columns."""
    return {
        "gateway.idempotency_keys": "expires_at <= now()",
        "gateway.change_previews": "expires_at < now() - interval '1 hour'",
        "gateway.live_log": f"recorded_at < now() - make_interval(hours => {int(live_hours) + 1})",
        # of alerts that are gone; who does not see all of them cannot tell, and the nil UUID is none
        "gateway.alerts_seen": f"NOT row_security_active('{ALERTS_TABLE}') "
        "AND alert_id <> '00000000-0000-0000-0000-000000000000' "
        f"AND NOT EXISTS (SELECT FROM {ALERTS_TABLE} AS a WHERE a.id = alert_id)",
    }


def take(table: str, which: str) -> str:
    """Removes ``$1`` rows at most; gives how many."""
    some = f"SELECT ctid FROM {table} WHERE {which} LIMIT $1::text::bigint"
    return f"WITH gone AS (DELETE FROM {table} WHERE ctid = ANY (ARRAY({some})) RETURNING 1) SELECT count(*) FROM gone"


def count(table: str, which: str) -> str:
    """How many may go."""
    return f"SELECT count(*) FROM {table} WHERE {which}"

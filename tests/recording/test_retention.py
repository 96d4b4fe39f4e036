"""Retention: a policy as a file, what it would take, and the removal in slices, the gateway's own tables too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from db.migrations import setup
from schema.recording import retention
from schema.recording.retention import Policy, PolicyError, RetentionRun, table_of_list
from tests.support.changing import add
from tests.support.databases import Clone, Database
from tests.support.process import COMMAND, environment

POLICY = b"""
# days
[keep]
servingMetrics = 90
driftRecords = 90
monitoringAlerts = 90
"""


@pytest.fixture
async def own(template: Database, clone: Clone) -> AsyncIterator[Database]:
    """A database of each test's own, since all that is old is counted."""
    async with clone(template) as copy:
        yield copy


async def ran(own: Database, policy: bytes = POLICY, *, applies: bool = True, seconds: float = 60) -> list[str]:
    told: list[str] = []
    async with setup.connect(own.owner_url) as connection:
        await RetentionRun(connection, told.append, applies, 24, seconds).run(Policy.read(policy))
    return told


async def old_rows(sql: asyncpg.Connection) -> None:
    for _ in range(5):
        await add(sql, "ml_bentoml_serving_metrics", recorded_at="2000-01-01T00:00:00Z")
    drift = await add(sql, "ml_drift_history", created_at="2000-01-01T00:00:00Z")
    await add(sql, "ml_monitoring_alerts", drift_history_id=drift, status="active", created_at="2000-01-01T00:00:00Z")
    await sql.execute(
        "INSERT INTO gateway.idempotency_keys (caller, key, mutation, input_hash, expires_at) "
        "VALUES ('a', 'over', 'm', 'h', now() - interval '1 day'), ('a', 'open', 'm', 'h', now() + interval '1 day'); "
        "INSERT INTO gateway.live_log (topic, facts, recorded_at) "
        "VALUES ('lifecycle', '{}', now() - interval '9 days'); "
        "INSERT INTO gateway.alerts_seen (alert_id, version, content) "
        "VALUES ('00000000-0000-0000-0000-000000000000', 0, 0), (gen_random_uuid(), 1, 1)"
    )


async def test_what_it_would_take_and_its_removal_in_slices(
    own: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "SLICE", 2)
    await old_rows(sql)
    counted = await ran(own, applies=False)
    assert counted == [
        "driftRecords: 0 older than 90 days would go; 1 stay because other rows refer to them",
        "monitoringAlerts: 0 older than 90 days would go",
        "servingMetrics: 5 older than 90 days would go",
        "gateway.idempotency_keys: 1 would go",
        "gateway.change_previews: 0 would go",
        "gateway.live_log: 1 would go",
        "gateway.alerts_seen: 1 would go",
    ]
    assert (await ran(own, seconds=-1))[2] == (
        "servingMetrics: 0 older than 90 days removed; time is over, others are left"
    )
    removed = await ran(own)
    assert removed[2:4] == [
        "servingMetrics: 5 older than 90 days removed",
        "gateway.idempotency_keys: 1 removed",
    ]
    recorded = await sql.fetch(
        "SELECT actor, details ->> 'purged' AS purged FROM gateway.recordings WHERE mutation = 'purgeServingMetrics' "
        "ORDER BY recorded_at"
    )
    assert [row["purged"] for row in recorded] == ["2", "2", "1"]
    assert recorded[0]["actor"].endswith(" (db retention)")
    assert [row["key"] for row in await sql.fetch("SELECT key FROM gateway.idempotency_keys")] == ["open"]
    assert await sql.fetchval("SELECT count(*) FROM gateway.alerts_seen") == 1
    assert all(": 0 " in line for line in await ran(own, applies=False))


async def test_what_the_database_refuses_is_told_and_the_rest_goes_on(own: Database, sql: asyncpg.Connection) -> None:
    await add(sql, "ml_bentoml_serving_metrics", recorded_at="2000-01-01T00:00:00Z")
    await add(sql, "ml_drift_history", created_at="2000-01-01T00:00:00Z")
    await sql.execute(
        "CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'audited'; END $$; "
        "CREATE TRIGGER keeps BEFORE DELETE ON ml_drift_history FOR EACH ROW EXECUTE FUNCTION keeps()"
    )
    try:
        told = await ran(own)
    finally:
        await sql.execute("DROP FUNCTION keeps() CASCADE")
    assert told[0] == "purgeDriftRecords: the database refuses: audited"
    assert told[2] == "servingMetrics: 1 older than 90 days removed"
    assert (await ran(own))[0].startswith("driftRecords: 1 older")


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (b"keep", "the policy is no TOML in UTF-8: "),
        (b"\xff", "the policy is no TOML in UTF-8: "),
        (b"", "the policy needs a table [keep] with days by names of lists: servingMetrics = 90"),
        (b"[kept]\nservingMetrics = 90", "the policy has 'kept'; it has one table, [keep]"),
        (b"[keep]\nservingMetric = 90", "keep.servingMetric: no such rows can be purged; did you mean servingMetrics?"),
        (b"[keep]\nassignments = 90", "keep.assignments: no such rows can be purged; they are driftRecords, "),
        (b"[keep]\nsrmChecks = 364", "keep.srmChecks: 364 is no number of days from 365 to 36,500"),
        (b"[keep]\nsrmChecks = true", "keep.srmChecks: True is no number of days"),
        (b'[keep]\nsrmChecks = "1y"', "keep.srmChecks: '1y' is no number of days"),
    ],
)
def test_a_policy_that_cannot_be_used(policy: bytes, words: str) -> None:
    with pytest.raises(PolicyError) as raised:
        Policy.read(policy)
    assert str(raised.value).startswith(words)


def test_the_lists_that_can_be_partitioned_have_their_tables() -> None:
    assert table_of_list("servingMetrics") == "ml_bentoml_serving_metrics"
    with pytest.raises(PolicyError, match="servingMetric: no such rows can be partitioned; did you mean servingMetric"):
        table_of_list("servingMetric")
    with pytest.raises(PolicyError, match=r"driftRecords: no such rows can be partitioned; they are .*servingMetrics"):
        table_of_list("driftRecords")


@pytest.mark.slow
async def test_the_command_counts_unless_it_is_told_to_remove(
    own: Database, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    await add(sql, "ml_bentoml_serving_metrics", recorded_at="2000-01-01T00:00:00Z")
    file = tmp_path / "retention.toml"
    file.write_bytes(POLICY)
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "db", "retention", str(file), stdout=asyncio.subprocess.PIPE,
        env=environment(DATABASE_URL=own.owner_url),
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert b"servingMetrics: 1 older than 90 days would go\n" in out
    assert out.endswith(b"Nothing was removed; --apply removes it.\n")

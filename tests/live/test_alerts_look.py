"""The look for alerts: what it reads of a table that is large, in which parts, and that it keeps nobody waiting."""

from __future__ import annotations

import re
import uuid
from typing import Any

import asyncpg
import pytest

from db.store import alerts
from db.store.alerts import AlertsLook, paced
from tests.live.test_live import ALERTS, EVENTS, UNTOLD, alert, reasons, record, titles
from tests.support.databases import Database, connect
from tests.support.sockets import listening, peer
from tests.webhooks.receivers import became

pytestmark = pytest.mark.slow

WHOLE = (True, "(0,0)", "(1000,0)")
"""What is new is told, of all parts of a small table."""
INDEX = "CREATE INDEX IF NOT EXISTS any_name ON ml_monitoring_alerts (updated_at DESC)"

ALONE = """
    SELECT WHERE pg_snapshot_xmin(pg_current_snapshot())::text::bigint
        > (SELECT max(xmin::text::bigint) FROM ml_monitoring_alerts)
"""
"""Whether no transaction is under way, of any test of this Postgres, that began before the last alert was written."""


async def many(sql: asyncpg.Connection, number: int) -> None:
    """Alerts of yesterday."""
    await sql.execute(
        "INSERT INTO ml_monitoring_alerts (alert_type, title, message, severity, status, updated_at) "
        "SELECT 'error', n::text, repeat('m', 300), 'high', 'resolved', now() - interval '1 day' "
        f"FROM generate_series(1, {number}) AS n"
    )


async def told(sql: asyncpg.Connection) -> list[tuple[str, str]]:
    """What the log has of alerts: what became of which."""
    return [
        tuple(row)
        for row in await sql.fetch(
            "SELECT l.facts ->> 'change', a.title FROM gateway.live_log AS l "
            "JOIN ml_monitoring_alerts AS a ON a.id::text = l.facts ->> 'alert' ORDER BY l.position"
        )
    ]


async def steps(look: AlertsLook, sql: asyncpg.Connection) -> int:
    """Looks until it is finished; gives the number of steps."""
    number = 1
    await look.step(sql)
    while look.unfinished:
        await look.step(sql)
        number += 1
    return number


async def test_the_first_look_only_remembers_and_comes_in_parts(
    database: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "FIRST_PAGES", 2)
    monkeypatch.setattr(alerts, "FIRST_SECONDS", 0.0)  # each part is too slow
    await many(sql, 200)
    look, seen = AlertsLook(), "SELECT count(*) FROM gateway.alerts_seen"
    await look.step(sql)
    assert look.unfinished
    assert look.remembering
    assert 0 < await sql.fetchval(seen) < 200
    await alert(sql, "meanwhile")  # before all is known; it is remembered, or told, and not lost
    assert await steps(look, sql) > 2
    assert not look.remembering
    assert await sql.fetchval(seen) in (201, 202), "all that were there at first, and the mark"
    await alert(sql, "new")
    await steps(look, sql)
    assert await told(sql) in ([("RAISED", "new")], [("RAISED", "meanwhile"), ("RAISED", "new")])


async def test_a_large_table_is_looked_at_where_it_was_changed_last(
    database: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "PAGES", 2)
    await sql.execute(INDEX)
    await many(sql, 400)
    look = AlertsLook()
    await steps(look, sql)
    for title in ("399", "7"):
        await sql.execute(
            "UPDATE ml_monitoring_alerts SET title = title || '!', updated_at = now() WHERE title = $1", title
        )
        await alert(sql, f"after {title}")
        assert await steps(look, sql) == 1
        found = await told(sql)
        assert sorted(found[-2:]) == [("CHANGED", f"{title}!"), ("RAISED", f"after {title}")]
        assert len(found) == 4 - 2 * (title == "399"), "nothing twice"


async def test_what_has_no_time_of_its_change_is_found_as_well(
    database: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes may set no time, or another one: the rest of the table is looked at too, a part each time."""
    monkeypatch.setattr(alerts, "PAGES", 5)
    monkeypatch.setattr(alerts, "NEWEST", 3)
    await sql.execute(INDEX)
    await many(sql, 400)
    look = AlertsLook()
    await steps(look, sql)
    async with sql.transaction():
        await sql.execute("SET LOCAL session_replication_role = replica")  # no trigger
        await sql.execute("UPDATE ml_monitoring_alerts SET title = 'silent' WHERE title = '100'")
    pages = await sql.fetchval("SELECT pg_relation_size('ml_monitoring_alerts') / 8192")
    for _ in range(2 * (pages // 5 + 1)):  # whatever is left of this way, and the next one
        await look.step(sql)
    assert await told(sql) == [("CHANGED", "silent")]


async def test_more_that_changed_at_once_than_is_looked_at_by_time(
    database: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "PAGES", 5)
    monkeypatch.setattr(alerts, "NEWEST", 10)
    await sql.execute(INDEX)
    await many(sql, 400)
    look = AlertsLook()
    await steps(look, sql)
    await sql.execute("UPDATE ml_monitoring_alerts SET severity = 'low', updated_at = now()")
    for _ in range(2):  # the way through the table that is under way began before
        await steps(look, sql)
        await look.step(sql)
        await steps(look, sql)
    assert len(await told(sql)) == 400


async def test_a_part_of_the_table_is_as_large_as_it_is_fast_to_read(
    database: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look keeps others waiting for as long as it takes, on a machine that does other things too."""
    monkeypatch.setattr(alerts, "PAGES", 16)
    monkeypatch.setattr(alerts, "LEAST_PAGES", 2)
    await sql.execute(INDEX)
    await many(sql, 2_000)
    look = AlertsLook()
    await steps(look, sql)
    read: list[int] = []

    def note(query: Any) -> None:
        if query.query == alerts.PART:
            first, last = (int(place.strip("(").partition(",")[0]) for place in query.args[2:])
            read.append(last - first)

    with sql.query_logger(note):
        for seconds in (0.0, 1_000.0):  # each part is too slow, and then none is
            monkeypatch.setattr(alerts, "PART_SECONDS", seconds)
            for _ in range(5):
                await look.step(sql)
    least, *grown = read[4:9]
    assert least == 2
    assert grown == [2, 4, 8, 16]


def test_parts_shrink_and_grow_by_and_by() -> None:
    usual, least, wanted = alerts.PAGES, alerts.LEAST_PAGES, alerts.PART_SECONDS
    assert paced(usual, wanted, wanted, least) == usual
    assert paced(usual, 2 * wanted, wanted, least) == usual // 2
    assert paced(usual, 100 * wanted, wanted, least) == usual // 2
    assert paced(least, 100 * wanted, wanted, least) == least
    assert paced(100, 0.0, wanted, least) == 200
    assert paced(usual - 1, 0.0, wanted, least) == usual
    assert paced(4, 0.1, 0.05, 1) == 2
    assert paced(1, 9.9, 0.05, 1) == 1


async def test_without_an_index_every_look_goes_through_the_table_in_parts(
    database: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "PAGES", 5)
    await sql.execute("DROP INDEX IF EXISTS ix_ml_monitoring_alerts_updated_at")
    await many(sql, 400)
    look = AlertsLook()
    await steps(look, sql)
    await sql.execute("UPDATE ml_monitoring_alerts SET title = 'changed' WHERE title = '7'")
    assert await steps(look, sql) > 3
    assert await told(sql) == [("CHANGED", "changed")]


async def test_another_process_goes_on_from_what_was_looked_at(database: Database, sql: asyncpg.Connection) -> None:
    await many(sql, 300)
    await became(sql, ALONE)
    await steps(AlertsLook(), sql)
    mark = await sql.fetchval(f"SELECT version FROM gateway.alerts_seen WHERE alert_id = '{alerts.MARK}'")
    await alert(sql, "meanwhile")
    lines = await explained(sql, alerts.PART, mark, *WHOLE)
    assert compared(lines) == 1, lines
    await steps(AlertsLook(), sql)
    assert await told(sql) == [("RAISED", "meanwhile")]


async def explained(sql: asyncpg.Connection, statement: str, *values: object) -> list[str]:
    """The plan of a statement, whose effects are undone."""
    transaction = sql.transaction()
    await transaction.start()
    lines = await sql.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {statement}", *values)
    await transaction.rollback()
    return [line for (line,) in lines]


def compared(lines: list[str]) -> int:
    """How many alerts were compared with what was seen of them."""
    (line,) = [line for line in lines if "pk_alerts_seen on" in line or "alerts_seen alerts_seen_1" in line]
    found = re.search(r"loops=(\d+)", line)
    return int(found[1]) if found else 0


async def test_a_look_compares_what_was_written_since_the_last(database: Database, sql: asyncpg.Connection) -> None:
    keys = [await alert(sql, str(n)) for n in range(50)]
    await became(sql, ALONE)
    look = AlertsLook()
    await steps(look, sql)
    for changed in (0, 2):
        await sql.execute("UPDATE ml_monitoring_alerts SET title = 'x' WHERE id = ANY ($1)", keys[:changed])
        lines = await explained(sql, alerts.PART, look._since, *WHOLE)
        assert compared(lines) == changed, lines
        await steps(look, sql)


async def test_the_newest_are_found_by_the_index(database: Database, sql: asyncpg.Connection) -> None:
    """What is read of a table of any size: the newest alerts, by the index."""
    await sql.execute(INDEX)
    await many(sql, 3_000)
    await sql.execute("VACUUM ANALYZE ml_monitoring_alerts")
    lines = await explained(sql, alerts.newest("FIRST"), 2**31 - 1, *WHOLE[:1])
    assert not [line for line in lines if "Seq Scan on ml_monitoring_alerts" in line], lines
    assert [line for line in lines if "Index Scan" in line and "ml_monitoring_alerts" in line], lines


async def test_a_table_of_alerts_that_is_locked_keeps_no_other_topic_waiting(
    database: Database, sql: asyncpg.Connection
) -> None:
    other = await connect(database.admin_url)
    async with listening(database.gateway_url, live_poll=0.1) as gateway, peer(gateway) as one:
        events = await one.followed(EVENTS)
        async with peer(gateway) as two:
            stream = await two.followed(ALERTS)
            async with other.transaction():
                await other.execute("LOCK TABLE ml_monitoring_alerts")
                for n in range(3):
                    await record(sql, str(n))
                    assert await reasons(events, 1) == [str(n)]
                assert gateway.feed.connections == 1, "the connection is the same"
            await alert(sql, "afterwards")
            assert await titles(stream, 1) == [("RAISED", "afterwards")]
    await other.close()


async def test_alerts_that_cannot_be_read_are_said_to_those_who_ask_for_them(
    database: Database, sql: asyncpg.Connection
) -> None:
    async with listening(database.gateway_url, live_poll=UNTOLD) as gateway, peer(gateway) as one:
        await sql.execute("ALTER TABLE gateway.alerts_seen RENAME TO hidden")
        id_ = await one.subscribe(ALERTS, str(uuid.uuid4()))
        message = await one.hear()
        assert (message["id"], message["type"]) == (id_, "error")
        assert message["payload"][0]["extensions"]["code"] == "SUBSCRIPTIONS_UNAVAILABLE"
        events = await one.followed(EVENTS)
        await record(sql, "told")
        assert await reasons(events, 1) == ["told"]
        await sql.execute("ALTER TABLE gateway.hidden RENAME TO alerts_seen")
        stream = await one.followed(ALERTS)
        await alert(sql, "told as well")
        assert await titles(stream, 1) == [("RAISED", "told as well")]

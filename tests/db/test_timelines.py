"""Which servers of a cluster are used: by their timelines, the marks of these, and the positions of changes."""

from __future__ import annotations

import asyncio
import logging

import asyncpg
import pytest

from db.engine.timelines import (
    MARKING,
    STANDING,
    DivergedServerError,
    Marks,
    OutdatedServerError,
    PrimaryPosition,
    SetBackError,
    Timelines,
)
from gateway.observability.gauges import history
from tests.support.databases import Database, connected

A, B = "0a0a0a0a-0000-4000-8000-000000000001", "0b0b0b0b-0000-4000-8000-000000000002"


def at(timeline: int, position: int, table: int = 7, **marks: str) -> PrimaryPosition:
    """A position on a timeline of a cluster; ``t2=A`` is the mark of its second one."""
    ids = {int(name.removeprefix("t")): mark for name, mark in marks.items()}
    return PrimaryPosition("c", timeline, position, Marks(table, ids))


def see(timelines: Timelines, standing: PrimaryPosition, where: str = "") -> None:
    """Notes a position that was asked for just now."""
    timelines.see(standing, timelines.known, where)


def test_a_position_is_parsed() -> None:
    found = PrimaryPosition.of(f"12/3/456/789:3={A},2={B}")
    assert found is not None
    assert (found.cluster, found.timeline, found.position) == ("12", 3, 456)
    assert found.marks == Marks(789, {3: A, 2: B})
    assert found.mark == A


@pytest.mark.parametrize(
    ("text", "mark"), [("12/3/456", None), ("12/3/456/", None), ("12/3/456/789:", ""), (f"12/3/456/789:2={A}", "")]
)
def test_a_position_without_the_mark_of_its_timeline(text: str, mark: str | None) -> None:
    found = PrimaryPosition.of(text)
    assert found is not None
    assert found.mark == mark


def test_a_server_with_another_mark_is_refused_and_the_followed_one_is_named() -> None:
    timelines = Timelines()
    see(timelines, at(2, 100, t2=A), "one:5432")
    for standing in (at(2, 900, t2=B), at(2, 900)):
        with pytest.raises(DivergedServerError, match="the server at one:5432 was followed"):
            see(timelines, standing, "other:5432")
    assert timelines.refused == {"other branch": 2}
    see(timelines, at(2, 50, t2=A), "one:5432")


def test_a_refusal_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    timelines = Timelines()
    see(timelines, at(2, 100, t2=A))
    for _ in range(3):
        with pytest.raises(DivergedServerError):
            see(timelines, at(2, 900, t2=B), "other:5432")
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_mark_of_an_open_transaction_is_not_known_before_its_commit() -> None:
    timelines = Timelines()
    see(timelines, at(2, 100))
    timelines.see(at(2, 100, t2=A), timelines.known, committed=False)  # rolled back
    timelines.see(committed := at(2, 100, t2=B), timelines.known, committed=False)
    timelines.acknowledge(committed)
    with pytest.raises(DivergedServerError):
        see(timelines, at(2, 100, t2=A))


def test_a_mark_that_is_learned_while_a_server_is_asked_does_not_refuse_it() -> None:
    """It was asked before; with another mark it is another server whenever it was asked."""
    timelines = Timelines()
    see(timelines, at(2, 100))
    since = timelines.known
    see(timelines, at(2, 100, t2=A))
    timelines.see(at(2, 100), since)
    with pytest.raises(DivergedServerError):
        timelines.see(at(2, 100, t2=B), since)
    assert timelines.known["c"].mark == A


def test_a_server_behind_an_acknowledged_change_is_refused() -> None:
    timelines = Timelines()
    see(timelines, change := at(2, 100, t2=A))
    since = timelines.known
    timelines.acknowledge(change)
    timelines.see(at(2, 99, t2=A), since)  # it was asked before the change
    with pytest.raises(SetBackError, match="set back on purpose"):
        see(timelines, at(2, 99, t2=A))
    see(timelines, at(2, 100, t2=A))
    see(timelines, at(3, 50, t2=A))


def test_the_position_of_a_change_that_has_written_the_mark_is_not_known() -> None:
    """It is before the mark's: a standby that has replayed no more lacks the mark, and may follow the same server."""
    timelines = Timelines()
    see(timelines, at(2, 90))
    for position, known in ((100, 0), (110, 110)):
        timelines.see(change := at(2, position, t2=A), timelines.known, committed=False)
        timelines.acknowledge(change)
        assert timelines.known["c"].position == known


def test_positions_that_were_not_acknowledged_refuse_nothing() -> None:
    """What a server has flushed it may lose at a crash: the beginning of a record whose end was not flushed."""
    timelines = Timelines()
    see(timelines, at(2, 100, t2=A))
    see(timelines, at(2, 99, t2=A))
    assert not timelines.refused


@pytest.mark.parametrize("marks", [None, Marks(8, {}), Marks(8, {2: B})], ids=["none", "made anew", "and marked"])
def test_marks_of_another_table_say_nothing(marks: Marks | None) -> None:
    """The schema `gateway` was restored, made anew, or is that of an earlier version."""
    timelines = Timelines()
    see(timelines, at(2, 100, t2=A))
    see(timelines, PrimaryPosition("c", 2, 100, marks))
    if marks is not None and marks.ids:
        with pytest.raises(DivergedServerError):
            see(timelines, at(2, 100, table=8, t2=A))


def test_an_older_timeline_and_another_cluster() -> None:
    timelines = Timelines()
    see(timelines, at(3, 100, t3=A))
    with pytest.raises(OutdatedServerError, match="is on timeline 2 of its cluster, and timeline 3 was seen"):
        see(timelines, at(2, 900, t2=B))
    assert timelines.refused == {"older timeline": 1}
    see(timelines, PrimaryPosition("d", 1, 1, Marks(7, {})))
    assert timelines.newest == 3


@pytest.mark.parametrize(
    ("later", "lossy"),
    [
        (at(3, 200, t2=A), 0),
        (at(3, 200, t3=B, t2=A), 0),
        (at(3, 200), 1),
        (at(3, 200, t2=B), 1),
        (at(3, 200, t3=B, t1=B), 1),
        (at(5, 200, t5=B, t4=B), 0),  # the mark of the second may be the third of them
        (at(5, 200, t5=B, t1=B), 1),
        (PrimaryPosition("c", 3, 200), 0),
        (at(3, 200, table=8), 0),
    ],
)
def test_a_newer_timeline_without_the_last_mark_has_lost_changes(later: PrimaryPosition, lossy: int) -> None:
    timelines = Timelines()
    see(timelines, at(2, 100, t2=A, t1=B))
    see(timelines, later)
    assert (timelines.failovers, timelines.lossy_failovers) == (1, lossy)


def test_a_timeline_without_a_mark_is_to_be_marked() -> None:
    timelines = Timelines()
    see(timelines, PrimaryPosition("c", 2, 100))
    assert not timelines.unmarked.is_set(), "the database has no marks"
    see(timelines, at(2, 100))
    assert timelines.unmarked.is_set()
    timelines.unmarked.clear()
    see(timelines, at(2, 100, t2=A))
    see(timelines, at(3, 100, t3=B, t2=A))
    assert not timelines.unmarked.is_set()
    see(timelines, at(4, 100, t3=B, t2=A))
    assert timelines.unmarked.is_set()


def test_metrics_tell_of_refused_servers_and_of_failovers_with_loss() -> None:
    timelines = Timelines()
    see(timelines, at(2, 100, t2=A))
    with pytest.raises(DivergedServerError):
        see(timelines, at(2, 900, t2=B))
    see(timelines, at(3, 900, t3=B, t2=B))
    told = {(one.name, *one.labels.values()): one.value for metric in history(timelines)() for one in metric.samples}
    assert told["e2i_refused_servers_total", "other branch"] == 1
    assert told["e2i_refused_servers_total", "set back"] == told["e2i_refused_servers_total", "older timeline"] == 0
    assert (told["e2i_failovers_total",], told["e2i_lossy_failovers_total",], told["e2i_database_timeline",]) == (
        1,
        1,
        3,
    )


async def test_connections_without_the_mark_to_another_address_are_closed(database: Database) -> None:
    """Those to the server that was marked go on, and all of them where its address is unknown."""
    for where, closed in (("one:5432", [False, True]), ("", [False, False])):
        async with connected(database.gateway_url) as one, connected(database.gateway_url) as other:
            async with connected(database.owner_url) as owner:
                await owner.execute("DELETE FROM gateway.timelines")
            timelines = Timelines()
            await timelines.admit(one, "one:5432")
            await timelines.admit(other, "other:5432")
            timelines.see(await standing(one, MARKING), timelines.known, where)
            assert [connection.is_closed() for connection in (one, other)] == closed


# -- the marks in the database -----------------------------------------------------------------------------------------


async def standing(sql: asyncpg.Connection, statement: str = STANDING) -> PrimaryPosition:
    found = PrimaryPosition.of(await sql.fetchval(statement))
    assert found is not None
    return found


async def test_a_timeline_is_marked_once(database: Database) -> None:
    """By whoever comes first; the others wait for it, and have its mark."""
    async with connected(database.gateway_url) as one, connected(database.gateway_url) as other:
        async with connected(database.owner_url) as owner:
            await owner.execute("DELETE FROM gateway.timelines")
        assert (await standing(one)).mark == ""
        marking = one.transaction()
        await marking.start()
        mark = (await standing(one, MARKING)).mark
        assert (await standing(other)).mark == "", "it is not committed"
        waiting = asyncio.create_task(standing(other, MARKING))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await marking.commit()
        assert mark
        assert {(await waiting).mark, (await standing(one)).mark, (await standing(other, MARKING)).mark} == {mark}


async def test_a_mark_is_made_for_the_servers_own_timeline_alone(database: Database) -> None:
    """The serving role can neither write one of its own choice nor one for a timeline to come."""
    async with connected(database.gateway_url) as sql:
        here = await standing(sql, MARKING)
        for cluster, timeline in ((here.cluster, here.timeline + 1), ("1", here.timeline)):
            told = await sql.fetchval("SELECT gateway.marks($1, true)", f"{cluster}/{timeline}/0")
            assert timeline not in (Marks.of(told) or Marks(0, {})).ids or cluster == here.cluster
            assert f"{here.timeline + 1}=" not in told
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await sql.execute("UPDATE gateway.timelines SET mark = gen_random_uuid()")
        assert await sql.fetchval("SELECT count(*) FROM gateway.timelines") == 1


async def test_what_cannot_be_marked_is_told_all_the_same(database: Database) -> None:
    """A read-only transaction, and own tables of an earlier version: there is a position, and no mark."""
    async with connected(database.gateway_url) as sql, connected(database.owner_url) as owner:
        await owner.execute("DELETE FROM gateway.timelines")
        async with sql.transaction(readonly=True):
            assert (await standing(sql, MARKING)).mark is None
        await owner.execute("DROP TABLE gateway.timelines")
        assert (await standing(sql)).mark is None
        await owner.execute("DROP FUNCTION gateway.marks")
        timelines = Timelines()
        await timelines.admit(sql)
        assert timelines.tells
        assert timelines.newest == (await standing(sql, timelines.standing)).timeline

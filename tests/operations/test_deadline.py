"""A deadline ends what takes too long, and whom nobody waits for; what others cancel stays cancelled."""

from __future__ import annotations

import asyncio

import pytest

from gateway.operations.deadline import Deadline, Deadlines, DisconnectedError


async def test_what_takes_too_long_ends_on_time() -> None:
    deadlines = Deadlines(0.3)
    with pytest.raises(TimeoutError), Deadline(deadlines):
        await asyncio.sleep(60)
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
    assert not deadlines.held


async def test_what_is_quick_has_no_timer_and_leaves_nothing() -> None:
    deadlines = Deadlines(30)
    with Deadline(deadlines) as deadline:
        await asyncio.sleep(0.12)  # looked at twice
        assert deadline._timer is None
    assert not deadlines.held
    await asyncio.sleep(0.1)
    assert deadlines.timer is None


async def test_each_ends_at_its_own_time() -> None:
    deadlines, ended = Deadlines(0.3), []

    async def one(name: str, after: float) -> None:
        await asyncio.sleep(after)
        with pytest.raises(TimeoutError), Deadline(deadlines):
            await asyncio.sleep(60)
        ended.append(name)

    await asyncio.gather(one("last", 0.2), one("first", 0), one("second", 0.1))
    assert ended == ["first", "second", "last"]


async def test_whoever_leaves_ends_it() -> None:
    async def left() -> None:
        await asyncio.sleep(0.01)

    deadline = Deadline(Deadlines(30))
    deadline.client_left = left
    with pytest.raises(DisconnectedError), deadline:
        await asyncio.sleep(60)


async def test_who_leaves_early_is_watched_in_turn() -> None:
    """Even where operations come and go at the same time."""
    deadlines = Deadlines(30)

    async def left() -> None:
        pass

    async def quick() -> None:
        for _ in range(100):
            with Deadline(deadlines):
                await asyncio.sleep(0.005)

    async def slow() -> None:
        deadline = Deadline(deadlines)
        deadline.client_left = left
        with pytest.raises(DisconnectedError), deadline:
            await asyncio.sleep(60)

    await asyncio.gather(quick(), slow(), quick())


async def test_somebody_elses_cancel_is_theirs() -> None:
    """Also at the moment at which the deadline is over."""
    deadlines = Deadlines(0.2)

    async def work() -> None:
        with Deadline(deadlines):
            await asyncio.sleep(60)

    alone = asyncio.create_task(work())
    await asyncio.sleep(0.01)
    alone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await alone

    async def both() -> None:
        with Deadline(deadlines):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:  # the deadline's, and while it is told another comes
                asyncio.current_task().cancel()  # type: ignore[union-attr]
                raise

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(both())


async def test_what_ends_by_itself_is_an_answer() -> None:
    """Even where its deadline was over while it cleaned up."""
    with Deadline(Deadlines(0.1)):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            answer = "what there is"
    assert answer == "what there is"
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
    await asyncio.sleep(0)

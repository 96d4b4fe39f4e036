"""The limiter: turns in the order of asking, a queue of some length, and a timeout."""

import asyncio

import pytest

from db.engine.limiter import Limiter, NoTurnError


async def held(limiter: Limiter, name: str, order: list[str], end: asyncio.Event) -> None:
    async with limiter:
        order.append(name)
        await end.wait()


async def test_turns_are_given_in_the_order_of_asking() -> None:
    limiter, order, end = Limiter(1), list[str](), asyncio.Event()
    tasks = [asyncio.create_task(held(limiter, name, order, end)) for name in "abcd"]
    await asyncio.sleep(0)
    assert (limiter.taken, limiter.waiting, order) == (1, 3, ["a"])
    tasks[1].cancel()
    await asyncio.wait([tasks[1]])
    assert limiter.waiting == 2
    end.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (limiter.taken, limiter.waiting, order) == (0, 0, ["a", "c", "d"])


async def test_more_than_the_queue_takes_are_refused_at_once() -> None:
    limiter, end = Limiter(1, timeout=60, queue=1), asyncio.Event()
    tasks = [asyncio.create_task(held(limiter, name, [], end)) for name in "ab"]
    await asyncio.sleep(0)
    with pytest.raises(NoTurnError):
        await limiter.take()
    end.set()
    await asyncio.gather(*tasks)
    await limiter.take()
    limiter.give()
    assert limiter.taken == 0


async def test_who_waits_too_long_is_refused_and_takes_no_turn() -> None:
    limiter = Limiter(1, timeout=0.01)
    told: list[int] = []
    limiter.used_up = lambda: told.append(limiter.waiting)
    await limiter.take()
    with pytest.raises(NoTurnError, match=r"within 0\.01 seconds"):
        await limiter.take()
    assert (limiter.waiting, told) == (0, [1])
    limiter.give()
    async with limiter:
        assert limiter.taken == 1
    assert limiter.taken == 0


async def test_a_turn_that_comes_as_its_waiter_leaves_goes_to_the_next() -> None:
    limiter = Limiter(1)
    await limiter.take()
    leaving, staying = asyncio.create_task(limiter.take()), asyncio.create_task(limiter.take())
    await asyncio.sleep(0)
    limiter.give()  # to the one that leaves at this very moment
    leaving.cancel()
    await staying
    assert leaving.cancelled()
    limiter.give()
    assert (limiter.taken, limiter.waiting) == (0, 0)

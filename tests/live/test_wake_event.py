"""Events that many tasks wait for: each as long as it wants, by one timer."""

from __future__ import annotations

import asyncio

from gateway.subscriptions.wake_event import AT_ONCE, WakeEvent


async def test_each_waits_as_long_as_it_wants() -> None:
    """Whoever came first, and whoever is woken or cancelled meanwhile."""
    event, order = WakeEvent(), list[str]()

    async def wait(name: str, *seconds: float) -> None:
        await event.wait(*seconds)
        order.append(name)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(wait("notified"))
        tasks.create_task(wait("notified", 60.0))
        tasks.create_task(wait("second", 0.1))
        given_up = tasks.create_task(wait("never", 0.05))
        tasks.create_task(wait("first", 0.02))
        await asyncio.sleep(0)
        given_up.cancel()
        while len(order) < 2:  # noqa: ASYNC110 - nobody tells a test
            await asyncio.sleep(0.01)
        event.notify()
    assert order == ["first", "second", "notified", "notified"]


async def test_those_who_have_waited_go_on_a_few_at_a_time() -> None:
    event, turn, woken = WakeEvent(), 0, list[int]()

    async def wait() -> None:
        await event.wait(0.01)
        woken.append(turn)

    tasks = [asyncio.create_task(wait()) for _ in range(5 * AT_ONCE)]
    while len(woken) < len(tasks):
        turn += 1
        await asyncio.sleep(0)
    assert max(map(woken.count, woken)) <= AT_ONCE

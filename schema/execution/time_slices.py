"""Time slices: Python code that works on many rows yields to the event loop every few milliseconds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Generic, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

SLICE = 0.005
"""Seconds of Python between two yields to the event loop."""
BACKGROUND = 0.3
"""The fraction of a slice for rows that are recorded in bulk: other requests wait for a row or two beside them."""
THREADS = 2
"""Concurrent calculations in threads; more would slow each other and the loop, since Python runs one thread at a
time."""

PART = 250
"""Rows that are processed at once in bulk work: about a millisecond."""

FEW = 25
"""Rows that are worked on at once: less than waiting for a turn costs others."""
MANY = 1_000
"""The number of items from which work is moved to a thread: some milliseconds."""

P = ParamSpec("P")
T = TypeVar("T")
Key = TypeVar("Key")
Value = TypeVar("Value")

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="calculation")


async def aside(size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of a function that processes ``size`` items, none of which changes meanwhile: in a thread if there are
    many."""
    if size < MANY:
        return function(*args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_threads, lambda: function(*args, **kwargs))


class TimeSlices:
    """Schedules work of all requests on one event loop: one works at a time, and yields after a slice.

    ``part`` is the fraction of `SLICE`; ``rounds`` is how many iterations of the loop follow each slice, in which other
    requests proceed.
    """

    def __init__(self, part: float = 1.0, rounds: int = 1) -> None:
        self._one = asyncio.Lock()
        self._since = 0.0
        self._part = part
        self._rounds = rounds

    async def one(self, count: int = MANY) -> None:
        """Waits for the turn of one piece of work on ``count`` items; a few items need none."""
        if count <= FEW:
            return
        async with self._one:
            if self._is_over:
                await self._give_way()

    @property
    def _is_over(self) -> bool:
        return perf_counter() - self._since > SLICE * self._part

    async def _give_way(self) -> None:
        for _ in range(self._rounds):
            await asyncio.sleep(0)
        self._since = perf_counter()

    async def each(self, items: Iterable[T], work: Callable[[int, T], None]) -> None:
        """Calls ``work`` for each item with its index, yielding after each slice."""
        async with self._one:
            for place, item in enumerate(items):
                work(place, item)
                if self._is_over:
                    await self._give_way()

    async def parts(self, count: int, work: Callable[[range], None]) -> None:
        """Calls ``work`` for ranges of indices from 0, yielding after each slice."""
        if count <= FEW:
            if count:
                work(range(count))
            return
        ranges = (range(first, min(first + PART, count)) for first in range(0, count, PART))
        await self.each(ranges, lambda _, places: work(places))


_Loops = WeakKeyDictionary[asyncio.AbstractEventLoop, TimeSlices]
_turns: _Loops = WeakKeyDictionary()
_background: _Loops = WeakKeyDictionary()


def turns() -> TimeSlices:
    """The scheduler of the running loop."""
    return _of_loop(_turns, TimeSlices)


def background() -> TimeSlices:
    """The scheduler for bulk work: its slices are short, and no answer waits for one to end."""
    return _of_loop(_background, lambda: TimeSlices(BACKGROUND, 3))


def _of_loop(known: _Loops, make: Callable[[], TimeSlices]) -> TimeSlices:
    loop = asyncio.get_running_loop()
    found = known.get(loop)
    if found is None:
        found = known[loop] = make()
    return found


class BatchLevel:
    """Tells when the rows of a level are processed: the fields below them are then loaded together."""

    def __init__(self) -> None:
        self._working = 0
        self._through = asyncio.Event()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Marks the block as processing rows."""
        self._working += 1
        self._through.clear()
        try:
            yield
        finally:
            self._working -= 1
            if not self._working:
                self._through.set()

    async def through(self) -> None:
        """Waits until no rows are processed."""
        await asyncio.sleep(0)  # for those that start at the same time
        while self._working:
            await self._through.wait()


class Loader(Generic[Key, Value]):
    """Loads keys by one call of ``load`` for all that are requested at one level; each key once."""

    def __init__(self, load: Callable[[list[Key]], Awaitable[Sequence[Value | Exception]]], level: BatchLevel) -> None:
        self._load = load
        self._level = level
        self._found: dict[Key, asyncio.Future[Value]] = {}
        self._asked: list[Key] = []
        self._reading: set[asyncio.Task[Any]] = set()

    def load(self, key: Key) -> asyncio.Future[Value]:
        """The value of a key."""
        found = self._found.get(key)
        if found is None:
            loop = asyncio.get_running_loop()
            found = self._found[key] = loop.create_future()
            self._asked.append(key)
            if len(self._asked) == 1:
                task = loop.create_task(self._read())
                self._reading.add(task)
                task.add_done_callback(self._reading.discard)
        return found

    async def _read(self) -> None:
        await self._level.through()
        await turns().one()  # there may be thousands at one level, each with a statement
        keys, self._asked = self._asked, []
        values: Sequence[Value | Exception]
        try:
            values = await self._load(keys)
        except Exception as error:  # noqa: BLE001 - the error of each waiting key
            values = [error] * len(keys)
        for key, value in zip(keys, values, strict=True):
            future = self._found[key]
            if future.done():
                continue  # cancelled
            if isinstance(value, Exception):
                future.set_exception(value)
            else:
                future.set_result(value)

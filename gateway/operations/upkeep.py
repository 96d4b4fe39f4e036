"""Upkeep of what is stored of marked rows: one process at a time takes marks, in short transactions."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.engine.errors import MissingObjectError, NotPermittedError, translated

log = logging.getLogger("gateway.upkeep")


class UpkeepStep(Protocol):
    """The result of a step."""

    @property
    def taken(self) -> int:
        """The number of marks that were taken: of keys, or of units of time."""

    @property
    def state(self) -> str | None:
        """The new state if it changed: ready or broken."""


StepT = TypeVar("StepT", bound=UpkeepStep)


@dataclass(frozen=True)
class Pace:
    """How often and how much is taken: ``seconds`` between two rounds at most (the actual interval is random, from half
    of it on), ``pause`` seconds between two steps, so that other work has the disk, and at most ``most`` marks in a
    step, whose number adapts to the target of ``step_seconds``."""

    seconds: float
    pause: float
    most: int
    step_seconds: float


class Upkeep(ABC, Generic[StepT]):
    """Takes the marks of all names, as many in a step as take about a given time."""

    what: str
    """What is kept up, as it is called in the log."""
    command: str
    """The command that makes it anew."""

    def __init__(self, writer: AsyncEngine, names: Iterable[str], pace: Pace) -> None:
        self._writer = writer
        self._pace = pace
        self._most = dict.fromkeys(names, 1)
        self._reported: set[str] = set()

    @abstractmethod
    async def _take(self, connection: AsyncConnection, name: str, most: int) -> StepT | None:
        """Takes at most ``most`` marks of a name in a ``REPEATABLE READ`` transaction, which is then committed. None if
        nothing is stored, or another process is at it."""

    async def run(self) -> None:
        """Takes what is marked in rounds; does not return."""
        while True:
            for name in self._most:
                try:
                    await self._refresh(name)
                except (NotPermittedError, MissingObjectError) as error:
                    self._report_once(
                        f"{self.what} of {name} cannot be kept: {error}; `e2i-gateway db role` gives the right"
                    )
                except Exception as error:  # noqa: BLE001 - queries read marked rows meanwhile; the next round retries
                    self._most[name] = 1
                    log.warning(
                        "%s of %s stays behind until the next round, which tries again: %s", self.what, name, error
                    )
            await asyncio.sleep(random.uniform(0.5, 1.0) * self._pace.seconds)  # noqa: S311 - jitter between processes

    async def _refresh(self, name: str) -> None:
        more = True
        while more:
            more = await self._step(name)
            await asyncio.sleep(self._pace.pause)

    async def _step(self, name: str) -> bool:
        """Takes some marks; returns whether there may be more."""
        began, most = time.monotonic(), self._most[name]
        made = await self._committed(name, most)
        if made is None:
            return False
        if made.state == "broken":
            log.warning(
                "%s of %s is broken: rows may have been written unmarked while its triggers were off or its rows "
                "hidden; `e2i-gateway %s` makes it anew", self.what, name, self.command,
            )  # fmt: skip
        is_full = made.taken == most
        if time.monotonic() - began > self._pace.step_seconds:
            self._most[name] = max(most // 2, 1)
        elif is_full:
            self._most[name] = min(most * 2, self._pace.most)
        return is_full

    async def _committed(self, name: str, most: int) -> StepT | None:
        with translated():
            async with self._writer.connect() as connection:
                await connection.execution_options(isolation_level="REPEATABLE READ")
                async with connection.begin():
                    return await self._take(connection, name, most)

    def _report_once(self, message: str) -> None:
        """Logs what every round finds again."""
        if message not in self._reported:
            self._reported.add(message)
            log.warning("%s", message)

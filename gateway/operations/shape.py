"""Detecting changes of the database's schema: columns, types, labels, views, rights; and of its clock.

Requests are planned by the database's catalog, and relative times are by its clock. Each worker reads both
periodically, and at once when a statement fails because of a missing object.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

from graphql import GraphQLError
from sqlalchemy.ext.asyncio import AsyncEngine

from db.attach import shape
from db.attach.facts import Facts
from db.attach.stored_types import casts
from db.engine import clock
from db.engine.clock import CLOCK
from db.engine.errors import InvalidValueError, MissingObjectError, causes, translate
from db.engine.stored_types import stored_types_of
from gateway.database import inspect
from schema.catalogue.records import Missing
from schema.error_codes import ErrorCode
from schema.errors import GatewayError
from schema.runner import Outcome

log = logging.getLogger("gateway.database")

LOOK_SECONDS = 20.0
"""Seconds between two checks without a failure."""
RETRY_SECONDS = 2.0
"""Seconds between two attempts to reach a database that was unavailable at start."""
SPACING = 0.25
"""The least seconds between two checks: requests that need an earlier one share the next, whatever is requested of an
incomplete database."""
LAZY_SECONDS = 5.0
"""The largest age in seconds of a sufficient check, for failures that known gaps or the client's input may have
caused."""


class ShapeWatch:
    """Watches the catalog, and calls ``learn`` with changes."""

    def __init__(self, engine: AsyncEngine, learn: Callable[[Missing, Facts], None]) -> None:
        self.changes = 0
        """The number of detected changes."""
        self._engine = engine
        self._learn = learn
        self._digest: str | None = None
        self._looked = -LAZY_SECONDS
        """When the last check began, by the loop's clock."""
        self._turn = asyncio.Lock()

    async def begin(self) -> None:
        """The first check.

        Raises:
            Exception: The database cannot be reached.
        """
        async with self._turn:
            await self._look()

    async def follow(self) -> None:
        """Checks periodically; retries until an unavailable database can be reached."""
        while True:
            away = self._digest is None
            await asyncio.sleep(RETRY_SECONDS if away else LOOK_SECONDS)
            await self._since(asyncio.get_running_loop().time())
            if away and self._digest is not None:
                log.info("the database can be reached now")

    async def after(self, outcome: Outcome) -> None:
        """Checks, if an outcome has errors that a changed schema would explain."""
        now = asyncio.get_running_loop().time()
        if outcome.fallback == MissingObjectError.__name__ or any(_lacks_something(each) for each in outcome.errors):
            await self._since(now)
        elif any(_may_lack_something(each) for each in outcome.errors):
            await self._since(now - LAZY_SECONDS)

    async def _since(self, moment: float) -> None:
        """Ensures that a check has begun after a moment; a failed one suffices."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            if self._looked > moment:
                return
            await asyncio.sleep(self._looked + SPACING - loop.time())
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 - on any failure the last state is kept
                log.debug("the shape of the database cannot be looked at: %s", translate(error))

    async def _look(self) -> None:
        self._looked = asyncio.get_running_loop().time()
        async with self._engine.connect() as connection:
            CLOCK.learn(await clock.read(connection))
            digest = await shape.digest(connection)
        if digest == self._digest:
            return
        missing, facts = await inspect(self._engine)
        if self._digest is not None:
            self.changes += 1
            log.warning("the schema of the database has changed; requests are planned again")
        self._digest = digest  # read before the inspection: the next check sees later changes
        stored_types_of(self._engine).learn(casts(facts))
        self._learn(missing, facts)


def _lacks_something(error: GraphQLError) -> bool:
    """Whether a statement has failed because of an object that was expected to exist."""
    return any(isinstance(cause, MissingObjectError) for cause in _causes(error))


def _may_lack_something(error: GraphQLError) -> bool:
    """Whether it failed because of a known gap that may be closed by now, or of a label that may have been removed."""
    return any(
        cause.code == ErrorCode.MISSING_IN_DATABASE
        if isinstance(cause, GatewayError)
        else isinstance(cause, InvalidValueError)
        for cause in _causes(error)
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    return causes(error, lambda one: (one.original_error if isinstance(one, GraphQLError) else None) or one.__cause__)

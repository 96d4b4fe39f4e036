"""Detecting changes of the database's schema: columns, types, labels, views, rights.

A gateway plans requests by the catalog of its database. Each worker reads the catalog periodically, and at once when a
statement fails because of a missing object.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

from graphql import GraphQLError
from sqlalchemy.ext.asyncio import AsyncEngine

from db.attach import shape
from db.attach.facts import Facts
from db.engine.errors import InvalidValueError, MissingObjectError, causes, translate
from gateway.database import inspect
from schema.catalogue.records import Missing
from schema.error_codes import ErrorCode
from schema.errors import GatewayError
from schema.runner import Outcome

log = logging.getLogger("gateway.database")

LOOK_SECONDS = 20.0
"""Between two looks, where nothing has failed."""
RETRY_SECONDS = 2.0
"""Between two attempts to reach a database that was away when the gateway started."""
SPACING = 0.25
"""Between two looks in any case: whoever needs one sooner shares the next, whatever is asked of a database that lacks
something."""
LAZY_SECONDS = 5.0
"""How old a look may be when something fails that is known to be missing, or that the client may have sent wrong."""


class ShapeWatch:
    """Looks at the catalog and has the graph ``learn`` what has changed."""

    def __init__(self, engine: AsyncEngine, learn: Callable[[Missing, Facts], None]) -> None:
        self.changes = 0
        """How often the database was found to have another shape than before."""
        self._engine = engine
        self._learn = learn
        self._digest: str | None = None
        self._looked = -LAZY_SECONDS
        """When the last look began, by the loop's clock."""
        self._turn = asyncio.Lock()

    async def begin(self) -> None:
        """The first look.

        Raises:
            Exception: The database cannot be reached, for whatever reason.
        """
        async with self._turn:
            await self._look()

    async def follow(self) -> None:
        """Looks from time to time; a database that was away when the gateway started is waited for."""
        while True:
            away = self._digest is None
            await asyncio.sleep(RETRY_SECONDS if away else LOOK_SECONDS)
            await self._since(asyncio.get_running_loop().time())
            if away and self._digest is not None:
                log.info("the database can be reached now")

    async def after(self, outcome: Outcome) -> None:
        """Looks, where an answer has failed in a way that another shape of the database would explain."""
        now = asyncio.get_running_loop().time()
        if outcome.fallback == MissingObjectError.__name__ or any(_lacks_something(each) for each in outcome.errors):
            await self._since(now)
        elif any(_may_lack_something(each) for each in outcome.errors):
            await self._since(now - LAZY_SECONDS)

    async def _since(self, moment: float) -> None:
        """Sees to it that there has been a look that began after a moment; one that fails is as good."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            if self._looked > moment:
                return
            await asyncio.sleep(self._looked + SPACING - loop.time())
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 - it is away, for whatever reason, and what was known stays
                log.debug("the shape of the database cannot be looked at: %s", translate(error))

    async def _look(self) -> None:
        self._looked = asyncio.get_running_loop().time()
        digest = await shape.digest(self._engine)
        if digest == self._digest:
            return
        found = await inspect(self._engine)
        if self._digest is not None:
            self.changes += 1
            log.warning("the schema of the database has changed; requests are planned again")
        self._digest = digest  # of before the inspection: what has changed since then is seen by the next look
        self._learn(*found)


def _lacks_something(error: GraphQLError) -> bool:
    """Whether a statement has failed for want of something that the gateway thought to be there."""
    return any(isinstance(cause, MissingObjectError) for cause in _causes(error))


def _may_lack_something(error: GraphQLError) -> bool:
    """Whether it failed for what is known to be missing, and may be there by now, or by a label that may have gone."""
    return any(
        cause.code == ErrorCode.MISSING_IN_DATABASE
        if isinstance(cause, GatewayError)
        else isinstance(cause, InvalidValueError)
        for cause in _causes(error)
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    return causes(error, lambda one: (one.original_error if isinstance(one, GraphQLError) else None) or one.__cause__)

"""How long a request may take: until its deadline, or until nobody waits for the answer any more."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from starlette.types import Receive

from gateway.asked import DisconnectedError

LOOK_AFTER = 0.05
"""Seconds after which it is watched whether the client is still there; most answers are ready sooner."""


class Leash:
    """Ends the block after ``seconds``, or when the client goes away once ``receive`` is set.

    What runs inside is cancelled, and with it the statement that Postgres is working on.

    Raises:
        TimeoutError: It took too long.
        DisconnectedError: The client is gone.
    """

    def __init__(self, seconds: float) -> None:
        self.receive: Receive | None = None
        """The rest of the request, which is nothing but its end once the body was read."""
        self._deadline = asyncio.timeout(seconds)
        self._gone = False
        self._watching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._deadline.__aenter__()
        self._timer = asyncio.get_running_loop().call_later(LOOK_AFTER, self._look)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._watching:
            self._watching.cancel()
        try:
            await self._deadline.__aexit__(kind, error, trace)
        except TimeoutError:
            if self._gone:
                raise DisconnectedError from None
            raise

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        if self.receive is None:  # the body is still being read, which would notice
            self._timer = loop.call_later(LOOK_AFTER, self._look)
        else:
            self._watching = loop.create_task(self._watch(self.receive))

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        if not self._deadline.expired():
            self._gone = True
            self._deadline.reschedule(asyncio.get_running_loop().time())

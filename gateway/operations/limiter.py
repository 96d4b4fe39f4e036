"""How many requests are worked on at once: the others wait a little in the order of their coming, or go elsewhere."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType

from gateway.operations.refusals import RefusedError, request_error
from schema.error_codes import ErrorCode


class Admission:
    """Lets ``at_once`` requests in; ``queue`` more wait for up to ``patience`` seconds.

    ``async with admission:`` is one of them.
    """

    def __init__(self, at_once: int, queue: int, patience: float) -> None:
        self.inside = 0
        self.waiting: deque[asyncio.Future[None]] = deque()
        self._at_once = at_once
        self._queue = queue
        self._patience = patience

    async def __aenter__(self) -> None:
        """Comes in.

        Raises:
            RefusedError: ``OVERLOADED``, 503: the queue is full, or too slow.
        """
        if self.inside < self._at_once:
            self.inside += 1
            return
        if len(self.waiting) >= self._queue:
            raise self._full()
        turn = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except BaseException as error:
            if turn in self.waiting:
                self.waiting.remove(turn)
            elif turn.done() and not turn.cancelled():
                self._leave()  # its turn came as it gave up
            if isinstance(error, TimeoutError):
                raise self._full() from None
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        """Who leaves gives the place to who has waited longest."""
        while self.waiting:
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.inside -= 1

    def _full(self) -> RefusedError:
        message = f"The gateway is working on {self._at_once} requests already and more are waiting; try again shortly."
        error = request_error(ErrorCode.OVERLOADED, message, limit=self._at_once, waiting=len(self.waiting))
        return RefusedError(503, error)

"""The limiter of concurrent requests: further requests queue in order of arrival, or are refused."""

from __future__ import annotations

from db.engine.limiter import Limiter
from gateway.operations.refusals import RefusedError, request_error
from schema.error_codes import ErrorCode


class RequestLimiter(Limiter):
    """Admits ``size`` concurrent requests; ``queue`` more wait for up to ``timeout`` seconds.

    Raises:
        RefusedError: ``OVERLOADED``, 503: the queue is full, or the wait too long.
    """

    def refusal(self) -> RefusedError:
        message = f"The gateway is working on {self.size} requests already and more are waiting; try again shortly."
        return RefusedError(503, request_error(ErrorCode.OVERLOADED, message, limit=self.size, waiting=self.waiting))

"""Who asks: from the credential of a request, or of a connection, to a caller."""

from __future__ import annotations

from gateway.context import ANONYMOUS, Caller
from schema.errors import GatewayError


class UnauthenticatedError(GatewayError):
    """Nobody can be told from the credential, or there is none where one is needed.

    ``challenge`` is the ``WWW-Authenticate`` header of the refusal over HTTP, whose status is 401.
    """

    def __init__(self, message: str, challenge: str = "Bearer") -> None:
        super().__init__("UNAUTHENTICATED", message)
        self.challenge = challenge


class Authentication:
    """Tells callers by their credentials."""

    async def authenticate(self, authorization: str | None) -> Caller:
        """The caller of an ``Authorization`` header, or of the same text in a ``connection_init`` payload.

        Raises:
            UnauthenticatedError: The credential is missing, malformed, unknown, expired or revoked.
        """
        del authorization  # there is nobody to tell apart yet
        return ANONYMOUS

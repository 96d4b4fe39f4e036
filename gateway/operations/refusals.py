"""Refused requests: status, errors, and messages of exceeded limits."""

from __future__ import annotations

from typing import Any

from graphql import GraphQLError

from schema.error_codes import ErrorCode
from schema.errors import GatewayError

JSON = "application/json"

SHALLOWER = "Ask for the deeper rows in a second query, by their ids."


class RefusedError(Exception):
    """A request that is refused as a whole, before execution."""

    def __init__(self, status: int, *errors: GraphQLError, **headers: str) -> None:
        super().__init__(errors[0].message)
        self.status = status
        self.errors = errors
        self.headers = headers

    def status_as(self, _media: str) -> int:
        return self.status


class RefusedDocumentError(RefusedError):
    """A well-formed request whose document, operation or variables are refused."""

    def __init__(self, *errors: GraphQLError) -> None:
        super().__init__(400, *errors)

    @property
    def code(self) -> Any:
        """The code of the first error."""
        return (self.errors[0].extensions or {}).get("code")

    def status_as(self, media: str) -> int:
        """Clients that accept plain JSON get 200, as the specification says: they cannot tell errors of GraphQL from
        failures."""
        return 200 if media == JSON else self.status


def request_error(code: ErrorCode, message: str | None = None, **details: Any) -> GatewayError:
    """An error of the request as a whole."""
    return GatewayError(code, message, **details)


def refuse(code: ErrorCode, limit: int, value: int | None, advice: str, what: str | None = None) -> GatewayError:
    """An error for an exceeded limit: the code, the limit and the value are in ``extensions``.

    The code gives the subject of the message, unless ``what`` does.
    """
    details: dict[str, Any] = {"limit": limit} | ({} if value is None else {"value": value})
    asked = "" if value is None else f" ({value:,} asked)"
    return GatewayError(code, f"{what or code.message}: the limit is {limit:,}{asked}. {advice}", **details)


def misled(seconds: float, path: str) -> RefusedError:
    """The refusal for an operation that was admitted by what statistics let expect, and took longer."""
    message = (
        f"{path} compares columns that no index serves. By the database's statistics the page would soon be full, but "
        f"it was not within {seconds:g} seconds, and the request was given up. Add an equality, or a range of the "
        "type's time, that an index serves."
    )
    return RefusedError(504, request_error(ErrorCode.REQUEST_TIMEOUT, message, limit=seconds, argument=path))


def too_late(seconds: float, *, changes: bool = False) -> RefusedError:
    """The refusal for an operation that exceeded its timeout; with ``changes`` its outcome may be unknown."""
    message = f"The request took longer than {seconds:g} seconds and was given up. Ask for less at once."
    if changes:
        message += " A change that was being committed may have been made: repeat it with the same idempotencyKey to "
        "find out."
    return RefusedError(504, request_error(ErrorCode.REQUEST_TIMEOUT, message, limit=seconds))

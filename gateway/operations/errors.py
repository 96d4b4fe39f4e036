"""Errors for clients: typed errors unchanged, errors of the database by their meaning, all others masked."""

from __future__ import annotations

import logging
import re
from typing import Any

from graphql import GraphQLError

from db.engine.errors import (
    DatabaseError,
    DatabaseUnavailableError,
    DataError,
    DivergedError,
    InvalidValueError,
    LockedError,
    MissingObjectError,
    NoNewConnectionError,
    NotPermittedError,
    OutOfSpaceError,
    OverloadedError,
    StatementTimeoutError,
)
from schema.error_codes import ErrorCode

log = logging.getLogger("gateway.errors")

MAX_MESSAGE = 1_000
MAX_LOCATIONS = 20
"""Characters of a message, and locations, that are sent."""


class Reporter:
    """Converts the errors of one response; each cause is logged once, however many fields it affects."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self.sent: str | None = None
        """The text that the client has sent, if messages may quote no other names, since they would reveal the
        schema."""
        self._logged: set[int] = set()

    def public(self, error: GraphQLError) -> dict[str, Any]:
        """An error for the response: message, locations, path, and a code in ``extensions``."""
        formatted: dict[str, Any] = dict(error.formatted)
        if len(error.message) > MAX_MESSAGE:  # it repeats the request
            formatted["message"] = f"{error.message[:MAX_MESSAGE]}\u2026"
        if len(formatted.get("locations", ())) > MAX_LOCATIONS:
            formatted["locations"] = formatted["locations"][:MAX_LOCATIONS]
        cause = error.original_error
        while isinstance(cause, GraphQLError) and cause.original_error is not None:
            cause = cause.original_error
        extensions: dict[str, Any] = dict(error.extensions or {})
        if "code" not in extensions:
            code, message = self._meaning(error, cause)
            extensions["code"] = code
            if message:
                formatted["message"] = message
            if code is ErrorCode.INTERNAL:
                extensions["requestId"] = self._request_id
        if self.sent is not None:
            formatted["message"] = _without_names(formatted["message"], self.sent)
            extensions.pop("values", None)
        return formatted | {"extensions": extensions}

    def _meaning(self, error: GraphQLError, cause: BaseException | None) -> tuple[ErrorCode, str | None]:
        if cause is None or isinstance(cause, GraphQLError):
            # graphql-core's own: with a path a value that does not fit its type, without one an invalid variable or
            # argument
            of_output = error.path and _is_output(error)
            return (ErrorCode.UNREPRESENTABLE_VALUE if of_output else ErrorCode.BAD_USER_INPUT), None
        first = id(cause) not in self._logged
        self._logged.add(id(cause))
        if known := _known(cause):
            if first and known[0] not in _NORMAL:
                log.warning("%s at %s: %s", known[0], error.path, cause)
            return known
        if first:
            log.error("unexpected error at %s", error.path, exc_info=cause, extra={"request_id": self._request_id})
        return ErrorCode.INTERNAL, ErrorCode.INTERNAL.message.format(requestId=self._request_id)


def _without_names(message: str, sent: str) -> str:
    words = set(_WORD.findall(sent))

    def hide(found: re.Match[str]) -> str:
        return found[0] if set(_WORD.findall(found[0])) <= words else "\u2026"

    return _QUOTED.sub(hide, _SUGGESTION.sub("", message))


_QUOTED = re.compile(r"'[^']*'|`[^`]*`|\"[^\"]*\"")
_SUGGESTION = re.compile(r" ?(?:Did you mean|Known:) .*", re.DOTALL)
_WORD = re.compile(r"\w+")


def _is_output(error: GraphQLError) -> bool:
    return " cannot represent " in error.message


_NORMAL = {ErrorCode.STATEMENT_TIMEOUT, ErrorCode.LOCKED}


_CODES: tuple[tuple[type[DatabaseError], ErrorCode], ...] = (
    (DivergedError, ErrorCode.DATABASE_DIVERGED),
    (DatabaseUnavailableError, ErrorCode.DATABASE_UNAVAILABLE),
    (OverloadedError, ErrorCode.OVERLOADED),
    (OutOfSpaceError, ErrorCode.OUT_OF_SPACE),
    (StatementTimeoutError, ErrorCode.STATEMENT_TIMEOUT),
    (MissingObjectError, ErrorCode.MISSING_IN_DATABASE),
    (DataError, ErrorCode.UNREPRESENTABLE_VALUE),
)
"""Codes of errors whose message is that of the code."""


def _known(cause: BaseException) -> tuple[ErrorCode, str] | None:
    """Code and message for an error of the database; SQL and names stay in the log."""
    if isinstance(cause, NoNewConnectionError):
        return (
            ErrorCode.DATABASE_UNAVAILABLE,
            "The database opens no further connections at the moment; the gateway's log says why. Try again shortly.",
        )
    for type_, code in _CODES:
        if isinstance(cause, type_):
            return code, code.message
    match cause:
        case LockedError():
            what = f"the table {cause.tables[0]}" if len(cause.tables) == 1 else "a table or row"
            if len(cause.tables) > 1:
                what = f"the tables {', '.join(cause.tables)}"
            return (
                ErrorCode.LOCKED,
                f"Somebody else has locked {what}, and it was waited for in vain; try again shortly.",
            )
        case NotPermittedError():
            return (
                ErrorCode.MISSING_IN_DATABASE,
                "The gateway's role may not read what this field needs. `e2i-gateway db check` prints the grants.",
            )
        case InvalidValueError():
            return (
                ErrorCode.BAD_USER_INPUT,
                "The database cannot read a value of this field's arguments as the right type.",
            )
        case _:
            return None

"""What a client is told of an error: typed errors as they are, the database's by their meaning, all else masked."""

from __future__ import annotations

import logging
from typing import Any

from graphql import GraphQLError

from db.engine import DatabaseUnavailableError, InvalidValueError, MissingObjectError, StatementTimeoutError
from schema.errors import GatewayError

log = logging.getLogger("gateway.errors")

DATABASE_UNAVAILABLE = "DATABASE_UNAVAILABLE"


def public(error: GraphQLError, request_id: str) -> dict[str, Any]:
    """An error as it is sent: message, locations, path, and a code in ``extensions``."""
    formatted: dict[str, Any] = dict(error.formatted)
    cause = error.original_error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    extensions: dict[str, Any] = dict(error.extensions or {})
    if "code" in extensions:
        pass
    elif cause is None or isinstance(cause, GraphQLError):
        extensions["code"] = "BAD_USER_INPUT"  # graphql-core's own: a variable or an argument that does not fit
    elif known := _known(cause):
        extensions["code"], formatted["message"] = known
    else:
        log.error("unexpected error at %s", error.path, exc_info=cause, extra={"request_id": request_id})
        extensions |= {"code": "INTERNAL", "requestId": request_id}
        formatted["message"] = f"Something went wrong here; it is in the gateway's log under request {request_id}."
    return formatted | {"extensions": extensions}


def _known(cause: BaseException) -> tuple[str, str] | None:
    """Code and message of a database's error; SQL and names stay in the log."""
    match cause:
        case DatabaseUnavailableError():
            log.warning("database unavailable: %s", cause)
            return DATABASE_UNAVAILABLE, "The database cannot be reached at the moment; try again shortly."
        case StatementTimeoutError():
            return (
                "STATEMENT_TIMEOUT",
                "The database took too long for this field and stopped. Ask for fewer rows, or fewer levels at once.",
            )
        case MissingObjectError():
            log.warning("missing in the database: %s", cause)
            return (
                "MISSING_IN_DATABASE",
                "The connected database lacks something that this field reads. `e2i-gateway db check` says what.",
            )
        case InvalidValueError():
            log.warning("value refused by the database: %s", cause)
            return "BAD_USER_INPUT", "The database cannot read a value of this field's arguments as the right type."
        case _:
            return None


def request_error(code: str, message: str, **details: Any) -> GatewayError:
    """An error of the request as a whole, before any field is looked at."""
    return GatewayError(code, message, **details)

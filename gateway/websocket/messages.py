"""Messages of clients of a WebSocket: read, with the types of their parts checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson

from gateway.operations.documents import MARKS, too_many_values
from gateway.operations.refusals import RefusedDocumentError, RefusedError
from gateway.operations.request import bad_request
from schema.catalogue import exact_json

INVALID, UNAUTHORIZED, FORBIDDEN, NOT_ACCEPTABLE, TIMEOUT, ALREADY, TOO_MANY = 4400, 4401, 4403, 4406, 4408, 4409, 4429
"""The protocol's close codes."""
POLICY, FAULT, RESTART, LATER = 1008, 1011, 1012, 1013

# the members at the begin of a message whose values are strings
_MEMBER = re.compile(r'("[^"\\]*+")\s*:\s*("[^"\\]*+(?:\\.[^"\\]*+)*+")', re.DOTALL)
_BEGIN = re.compile(rf"\s*\{{(?:\s*{_MEMBER.pattern}\s*,)*", re.DOTALL)


class ClosedError(Exception):
    """The socket has to be closed, with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason.encode()[:123].decode(errors="ignore")


def message_of(text: str | None, most: int) -> dict[str, Any]:
    """A message of a client; the payload of an operation is its refusal if it cannot be read.

    Raises:
        ClosedError: It is not a message.
    """
    if text is None:
        raise ClosedError(INVALID, "Invalid message: messages are JSON in text frames")
    if exact_json.holds_more(text, MARKS * most):
        wrong = f"Invalid message: it holds too many values; the limit is {most}"
        return _refused(_begin_of(text), RefusedDocumentError(too_many_values("The payload holds", most)), wrong)
    try:
        message = exact_json.loads(text)
    except exact_json.UnreadableError as error:
        refused = bad_request(f"the payload cannot be read: {error.below('payload')}.")
        return _refused(_begin_of(text) if error.value is None else error.value, refused, f"Invalid message: {error}")
    except ValueError:
        raise ClosedError(INVALID, "Invalid message: it is not JSON") from None
    if not isinstance(message, dict):
        raise ClosedError(INVALID, "Invalid message: it is not an object")
    return message


def _refused(message: Any, refused: RefusedError, wrong: str) -> dict[str, Any]:
    """A message of an operation, with its refusal as the payload.

    Raises:
        ClosedError: It is another message.
    """
    if not isinstance(message, dict) or message.get("type") != "subscribe":
        raise ClosedError(INVALID, wrong)
    return {"type": "subscribe", "id": message.get("id"), "payload": refused}


def _begin_of(text: str) -> dict[str, Any]:
    """The type and the id of a message that is too large to be parsed, if it begins with them."""
    with suppress(ValueError):
        begin = _BEGIN.match(text)
        return dict(orjson.loads(f"[{name},{value}]") for name, value in _MEMBER.findall(begin[0] if begin else ""))
    return {}


def payload_of(message: Mapping[str, Any]) -> dict[str, Any] | None:
    """The payload of a message that needs none.

    Raises:
        ClosedError: It is not an object.
    """
    payload = message.get("payload")
    if payload is not None and not isinstance(payload, dict):
        raise ClosedError(INVALID, "Invalid message: payload must be an object")
    return payload


def id_of(message: Mapping[str, Any]) -> str:
    """The id of an operation's message.

    Raises:
        ClosedError: It has none.
    """
    id_ = message.get("id")
    if not isinstance(id_, str) or not id_ or not exact_json.is_text(id_):
        raise ClosedError(INVALID, "Invalid message: id must be a text that is not empty")
    return id_


def no_request(payload: Any) -> str | None:
    """Which part of a payload has not the type of a GraphQL request's; a persisted query may have no text."""
    if not isinstance(payload, dict):
        return 'payload is not a GraphQL request, an object such as {"query": "{ experiments { totalCount } }"}'
    query, name, variables = payload.get("query"), payload.get("operationName"), payload.get("variables")
    named = payload.get("extensions") is not None or payload.get("documentId") is not None
    if not isinstance(query, str) and (query is not None or not named):
        return "payload.query must be a string, the GraphQL document"
    if name is not None and not isinstance(name, str):
        return "payload.operationName must be a string or null"
    if variables is not None and not isinstance(variables, dict):
        return "payload.variables must be an object or null"
    return None

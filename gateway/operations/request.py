"""The parameters of a GraphQL request; types and sizes are checked first."""

from __future__ import annotations

from typing import Any, NamedTuple

from db.engine.log_positions import position_of
from gateway.operations.documents import check_values
from gateway.operations.refusals import RefusedError, refuse, request_error
from gateway.settings import Settings
from schema.error_codes import ErrorCode

MAX_NAME = 256
"""Characters of an operation's name or a document's id."""

_TYPES = {"operationName": str, "documentId": str, "variables": dict, "extensions": dict}


class Parameters(NamedTuple):
    """The parameters of a GraphQL request. Without a ``query``, an id names the document."""

    query: str | None
    operation_name: str | None
    variables: dict[str, Any]
    document_id: str | None = None
    """The id of a trusted document, without the prefix ``sha256:`` of a hash."""
    hash: str | None = None
    """The SHA-256 of the document, by the protocol of automatic persisted queries."""
    after: int | None = None
    """The position in the database's log that the data must have reached."""
    values: int = 0
    """The number of values in the variables."""
    own: bool = False
    """Whether the document is the gateway's own, or a trusted one extended by a tool; never a client's."""


def parameters_of(given: Any, settings: Settings) -> Parameters:
    """The parameters of a request, with their types checked.

    Raises:
        RefusedError: A parameter has another type, or is too long.
    """
    if not isinstance(given, dict):
        raise bad_request('The body must be a JSON object such as {"query": "{ experiments { totalCount } }"}.')
    query, variables = given.get("query"), given.get("variables")
    if len(given) == 2 and type(query) is str and type(variables) is dict and query and not query.isspace():
        count = check_values(variables, settings) if variables else 0
        return Parameters(query, None, variables, values=count)
    _check_types(given)
    document_id, hash_, after = _named(given)
    operation_name = given.get("operationName") or None
    if operation_name:
        _short("operationName", operation_name)
    is_text = isinstance(query, str) and query and not query.isspace()
    if not is_text and (query is not None or not (document_id or hash_)):
        raise bad_request("The parameter query is missing; it is the GraphQL document, a string.")
    count = check_values(variables, settings) if variables else 0
    return Parameters(query, operation_name, variables or {}, document_id, hash_, after, count)


def _check_types(given: dict[str, Any]) -> None:
    for name, value in given.items():
        if value is not None and name in _TYPES and not isinstance(value, _TYPES[name]):
            what = "a string" if _TYPES[name] is str else "an object"
            raise bad_request(f"The parameter {name} must be {what} or null.")


def _named(given: dict[str, Any]) -> tuple[str | None, str | None, int | None]:
    """The id and the hash of the document, and the log position, if given."""
    document_id = hash_ = after = None
    if named := given.get("documentId"):
        document_id = _short("documentId", named.removeprefix("sha256:")) or None
    if extensions := given.get("extensions"):
        hash_ = _hash(extensions)
        after = _position(extensions.get("position"))
    return document_id, hash_, after


def bad_request(message: str) -> RefusedError:
    """The refusal of a malformed request."""
    return RefusedError(400, request_error(ErrorCode.BAD_REQUEST, message))


def _position(position: Any) -> int | None:
    try:
        return None if position is None else position_of(str(position))
    except ValueError as error:
        raise bad_request(f"extensions.position: {error}.") from None


def _short(name: str, text: str) -> str:
    if len(text) > MAX_NAME:
        error = refuse(ErrorCode.NAME_LIMIT, MAX_NAME, len(text), "Shorten it.", f"The parameter {name} is too long")
        raise RefusedError(400, error)
    return text


def _hash(extensions: dict[str, Any]) -> str | None:
    """The hash of a persisted query, if given."""
    persisted = extensions.get("persistedQuery")
    if persisted is None:
        return None
    hash_ = persisted.get("sha256Hash") if isinstance(persisted, dict) else None
    if not isinstance(hash_, str) or not hash_ or persisted.get("version", 1) != 1:
        raise bad_request('extensions.persistedQuery must be {"version": 1, "sha256Hash": "<64 hexadecimal digits>"}.')
    return _short("sha256Hash", hash_).lower()

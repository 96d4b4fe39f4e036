"""The headers of a request by name, indexed once."""

from __future__ import annotations

from starlette.types import Scope

Headers = dict[bytes, bytes]

_FOUND = "e2i.headers"


def headers_of(scope: Scope) -> Headers:
    """The headers by their lower-case names; repeated ones are joined by commas."""
    if _FOUND in scope:
        kept: Headers = scope[_FOUND]
        return kept
    given: list[tuple[bytes, bytes]] = scope["headers"]
    found = dict(given)
    if len(found) < len(given):
        parts: dict[bytes, list[bytes]] = {}
        for name, value in given:
            parts.setdefault(name, []).append(value)
        found = {name: b",".join(values) for name, values in parts.items()}
    scope[_FOUND] = found
    return found

"""Caches of parsed headers: clients repeat them, and parsing one takes microseconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

Header = TypeVar("Header", str, bytes)
Found = TypeVar("Found")

MOST = 256
LONGEST = 500
"""Characters of a header that is cached; longer ones could fill the memory."""


def cached_by_header(find: Callable[[Header], Found]) -> Callable[[Header], Found]:
    """Caches the results of a function for the last headers; exceptions are not cached."""
    cached = lru_cache(maxsize=MOST)(find)

    @wraps(find)
    def found(header: Header) -> Found:
        return cached(header) if len(header) <= LONGEST else find(header)

    return found

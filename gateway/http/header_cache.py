"""Caches of parsed headers: clients repeat the same headers, and parsing one takes microseconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

Header = TypeVar("Header", str, bytes)
Found = TypeVar("Found")

MOST = 256
LONGEST = 500
"""Characters of a header that is remembered; who sends longer ones would else fill the memory of every worker."""


def remembered(find: Callable[[Header], Found]) -> Callable[[Header], Found]:
    """Keeps what a function found for the last headers; errors are not kept."""
    cached = lru_cache(maxsize=MOST)(find)

    @wraps(find)
    def found(header: Header) -> Found:
        return cached(header) if len(header) <= LONGEST else find(header)

    return found

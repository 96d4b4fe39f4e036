"""The registry of effect functions by their declarations, and of checks by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from db.base.effects import Effect

Apply = Callable[[Any, Any], Awaitable[None]]
"""``(work, moved)``: what else a move changes, in its transaction."""
Check = Callable[[Mapping[str, Any]], tuple[str, str] | None]
"""``given -> (name of the input, what is wrong with it)``, or None."""


@dataclass(frozen=True)
class RowChange:
    """A mutation of one row that writes its columns and moves it nowhere, with the fields of its input."""

    mutation: str
    doc: str
    input_type: str
    required: Sequence[str]
    optional: Sequence[str]
    scopes: Sequence[str]
    """All that a caller needs, the one that is told first."""


EFFECTS: dict[str, Apply] = {}
CHECKS: dict[str, Check] = {}
ROW_CHANGES: list[Callable[[str], Sequence[RowChange]]] = []
"""What gives such mutations for the type of a row; whoever makes them says so."""


def effect(declared: Effect) -> Callable[[Apply], Apply]:
    """Makes a function that of a declared effect, which says what the function writes and reaches."""

    def register(function: Apply) -> Apply:
        EFFECTS[declared.name] = function
        return function

    return register


def check(function: Check) -> Check:
    """Makes a function a check that lifecycles can name."""
    CHECKS[function.__name__] = function
    return function

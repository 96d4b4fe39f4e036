"""Functions of effects by their declarations, and checks by name; the functions are in `schema.changes.effects`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from db.base.effects import Effect

Apply = Callable[[Any, Any], Awaitable[None]]
"""``(work, moved)``: what else a move changes, in its transaction."""
Check = Callable[[Mapping[str, Any]], tuple[str, str] | None]
"""``given -> (name of the input, what is wrong with it)``, or None."""

EFFECTS: dict[str, Apply] = {}
CHECKS: dict[str, Check] = {}


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

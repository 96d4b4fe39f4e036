"""Effects and checks by the names that lifecycles call them; the functions are in `schema.changes.effects`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Effect = Callable[[Any, Any], Awaitable[None]]
"""``(work, moved)``: what else a move changes, in its transaction."""
Check = Callable[[Mapping[str, Any]], tuple[str, str] | None]
"""``given -> (name of the input, what is wrong with it)``, or None."""

EFFECTS: dict[str, Effect] = {}
CHECKS: dict[str, Check] = {}


def effect(function: Effect) -> Effect:
    """Makes a function an effect that lifecycles can name."""
    EFFECTS[function.__name__] = function
    return function


def check(function: Check) -> Check:
    """Makes a function a check that lifecycles can name."""
    CHECKS[function.__name__] = function
    return function

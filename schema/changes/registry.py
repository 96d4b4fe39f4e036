"""The registry of effect functions by their declarations, and of checks by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from db.base.effects import Effect

Apply = Callable[[Any, Any], Awaitable[None]]
"""``(work, moved)``: the further changes of a transition, in its transaction."""
Check = Callable[[Mapping[str, Any]], tuple[str, str] | None]
"""``given -> (name of the input, message)``, or None."""


@dataclass(frozen=True)
class RowChange:
    """A mutation that writes columns of one row without a transition, with the fields of its input."""

    mutation: str
    doc: str
    input_type: str
    required: Sequence[str]
    optional: Sequence[str]
    scopes: Sequence[str]
    """The scopes that a caller needs; the first is named in refusals."""


EFFECTS: dict[str, Apply] = {}
CHECKS: dict[str, Check] = {}
ROW_CHANGES: list[Callable[[str], Sequence[RowChange]]] = []
"""Functions that return such mutations for a type; rooms register theirs."""


def effect(declared: Effect) -> Callable[[Apply], Apply]:
    """Registers the function of a declared effect; the declaration lists what it writes and reaches."""

    def register(function: Apply) -> Apply:
        EFFECTS[declared.name] = function
        return function

    return register


def check(function: Check) -> Check:
    """Registers a check that lifecycles can name."""
    CHECKS[function.__name__] = function
    return function

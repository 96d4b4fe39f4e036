"""What a tool answers: one envelope for all of them, and failures that say what to try."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

MAX_FAILURE = 500
"""Bytes of a failure, of which none has more than 150 tokens."""
_MOST_ERRORS = 3
_CUT = "..."


@dataclass
class Envelope:
    """An answer; ``complete`` says whether ``data`` is all that was asked for, ``more`` how to get the rest."""

    data: Any
    complete: bool = True
    more: list[dict[str, Any]] = field(default_factory=list)
    """Of each list that was cut: its ``path``, how many rows are ``shown``, ``of`` how many if that is known, and the
    cursor ``after`` (or ``before``) which the rest is."""
    units: dict[str, str] = field(default_factory=dict)
    """The unit of each number, by the names of type and field."""
    warnings: list[str] = field(default_factory=list)
    as_of: datetime = field(default_factory=lambda: datetime.now(UTC))
    """The moment before which everything was read."""

    def as_values(self) -> dict[str, Any]:
        """The envelope as it is sent."""
        return {
            "data": self.data,
            "complete": self.complete,
            "more": self.more,
            "units": self.units,
            "warnings": self.warnings,
            "asOf": f"{self.as_of:%Y-%m-%dT%H:%M:%SZ}",
        }

    def size(self) -> int:
        """Its bytes as compact JSON."""
        return len(orjson.dumps(self.as_values()))


OUTPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "data": {},
        "complete": {"type": "boolean"},
        "more": {"type": "array", "items": {"type": "object"}},
        "units": {"type": "object"},
        "warnings": {"type": "array", "items": {"type": "string"}},
        "asOf": {"type": "string"},
        "error": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
    "anyOf": [
        {"required": ["data", "complete", "more", "units", "warnings", "asOf"]},
        {"required": ["error", "errors"]},
    ],
}
"""The JSON Schema of what any tool answers, an envelope or a failure: some clients hold failures against it too."""


class ToolError(Exception):
    """A call of a tool that fails: a code, and for each reason a message and what to try."""

    def __init__(self, code: str, message: str, advice: str, *others: tuple[str, str]) -> None:
        super().__init__(message)
        self.code = code
        self.reasons: list[tuple[str, str]] = [(message, advice), *others]

    def as_values(self) -> dict[str, Any]:
        """The failure as it is sent, in at most `MAX_FAILURE` bytes."""
        reasons = self.reasons[:_MOST_ERRORS]
        for each in (220, 140, 90, 60):
            errors = [
                {"message": shortened(message, each), "try": shortened(advice, each)} for message, advice in reasons
            ]
            values = {"error": self.code, "errors": errors}
            if len(orjson.dumps(values)) <= MAX_FAILURE:
                return values
            if len(reasons) > 1:
                reasons = reasons[:-1]
        return {"error": self.code, "errors": errors[:1]}


def shortened(text: str, most: int) -> str:
    """A text of at most so many bytes of UTF-8, cut at its end; one line."""
    line = " ".join(text.split())
    encoded = line.encode("utf-8", "replace")
    return line if len(encoded) <= most else encoded[: most - len(_CUT)].decode(errors="ignore").rstrip() + _CUT


def listed(names: Iterable[str], most: int = 12) -> str:
    """Names with commas between them, the first ones of many."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

"""The envelope of all tools' results, and errors with advice."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

MAX_FAILURE = 500
"""Bytes of an error, at most 150 tokens."""
_MOST_ERRORS = 3
_CUT = "..."


@dataclass
class Envelope:
    """A result; ``complete`` says whether ``data`` is everything requested, ``more`` how to continue."""

    data: Any
    complete: bool = True
    more: list[dict[str, Any]] = field(default_factory=list)
    """For each list that was cut: its ``path``, the number of rows ``shown``, the total ``of`` if known, and the cursor
    ``after`` (or ``before``) to continue from."""
    units: dict[str, str] = field(default_factory=dict)
    """The unit of each number, by the names of type and field."""
    warnings: list[str] = field(default_factory=list)
    as_of: datetime = field(default_factory=lambda: datetime.now(UTC))
    """The time of the snapshot that was read."""

    def as_values(self) -> dict[str, Any]:
        """The envelope as plain values."""
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
"""The JSON Schema of a result or an error of any tool: some clients validate errors against it, too."""


class ToolError(Exception):
    """An error of a tool: a code, and for each reason a message and advice."""

    def __init__(self, code: str, message: str, advice: str, *others: tuple[str, str]) -> None:
        super().__init__(message)
        self.code = code
        self.reasons: list[tuple[str, str]] = [(message, advice), *others]

    def as_values(self) -> dict[str, Any]:
        """The error as plain values, of at most `MAX_FAILURE` bytes."""
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
    """A text cut at its end to at most ``most`` bytes of UTF-8; one line."""
    line = " ".join(text.split())
    encoded = line.encode("utf-8", "replace")
    return line if len(encoded) <= most else encoded[: most - len(_CUT)].decode(errors="ignore").rstrip() + _CUT

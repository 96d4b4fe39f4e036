"""Arguments of tools: declared once, for the JSON Schema and for validation with its errors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from gateway.mcp.envelope import ToolError
from schema.error_codes import ToolCode
from schema.names.shapes import listed

BAD_ARGUMENT = ToolCode.BAD_ARGUMENT
MAX_TEXT = 20_000
MAX_STRINGS = 1_000
"""Strings of one list that are read, whatever a tool allows."""


@dataclass(frozen=True)
class ToolArgument:
    """An argument: ``kind`` is a type of JSON Schema, or ``strings`` for a list of strings.

    ``least`` and ``most`` bound a number, the length of a string, or the length of a list.
    """

    name: str
    kind: str
    description: str = ""
    required: bool = False
    default: Any = None
    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] = ()
    items: Mapping[str, Any] | None = None
    """The JSON Schema of an object in a list of objects."""

    def schema(self) -> dict[str, Any]:
        """Its JSON Schema, kept short."""
        made: dict[str, Any] = {"type": "array" if self.kind == "strings" else self.kind}
        if self.kind == "strings":
            made["items"] = {"type": "string"} | ({"enum": list(self.choices)} if self.choices else {})
            if self.most is not None:
                made["maxItems"] = self.most
        elif self.choices:
            made["enum"] = list(self.choices)
        if self.items is not None:
            made["items"] = dict(self.items)
        if self.kind in {"integer", "number"}:
            made |= {} if self.least is None else {"minimum": self.least}
            made |= {} if self.most is None else {"maximum": self.most}
        if self.default is not None:
            made["default"] = self.default
        if self.description:
            made["description"] = self.description
        return made

    def read(self, value: Any) -> Any:
        """The validated value.

        Raises:
            ToolError: The value has the wrong type, is out of bounds, or is none of the choices.
        """
        if self.kind == "strings" and isinstance(value, str):
            value = [value]  # models send a single value in place of a list of one
        if self.kind == "integer" and isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, _TYPES[self.kind]) or (isinstance(value, bool) and self.kind != "boolean"):
            raise self._wrong(f"is {_NAMES.get(type(value), 'something else')}", f"pass {_WORDS[self.kind]}")
        if self.choices:
            value = [self._chosen(one) for one in value] if isinstance(value, list) else self._chosen(value)
        if isinstance(value, str):
            self._text(value)
        elif isinstance(value, list) and self.kind == "strings":
            self._list(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            self._number(value)
        return value

    def _chosen(self, value: Any) -> Any:
        """A choice in its canonical spelling; any other value unchanged."""
        return (spelt(value, self.choices) or value) if isinstance(value, str) else value

    def _text(self, value: str) -> None:
        if self.choices and value not in self.choices:
            raise self._none_of(value)
        most = self.most or MAX_TEXT
        if len(value) > most:
            raise self._wrong(f"has {len(value):,} characters", f"pass at most {most:,}")
        if not value.strip() or "\x00" in value:
            raise self._wrong("is empty or has NUL in it", "pass a text")

    def _list(self, value: list[Any]) -> None:
        if len(value) > (most := self.most or MAX_STRINGS):
            raise self._wrong(f"has {len(value):,} values", f"pass at most {most:,} and ask again for the others")
        if not value and self.required:
            raise self._wrong("is empty", "pass at least one")
        for one in value:
            if not isinstance(one, str) or not one.strip() or "\x00" in one or len(one) > MAX_TEXT:
                raise self._wrong("holds something else than texts", "pass strings alone")
            if self.choices and one not in self.choices:
                raise self._none_of(one)

    def _number(self, value: float) -> None:
        if (self.least is not None and value < self.least) or (self.most is not None and value > self.most):
            bounds = f"{self.least:,} to {self.most:,}" if self.most is not None else f"{self.least:,} or more"
            raise self._wrong(f"is {value:,}, out of range", f"pass {bounds}")

    def _none_of(self, value: str) -> ToolError:
        near = get_close_matches(value, self.choices, 3, 0.4) or self.choices
        return self._wrong("is none of its values", f"pass one of: {listed(near)}")

    def _wrong(self, what: str, advice: str) -> ToolError:
        return ToolError(BAD_ARGUMENT, f"{self.name} {what}.", f"{advice[0].upper()}{advice[1:]} as {self.name}.")


def spelt(value: str, choices: Iterable[str]) -> str | None:
    """The name that a text spells, ignoring case, spaces, hyphens and underscores; None if none."""
    plain = _plain(value)
    return next((one for one in choices if one == value), None) or next(
        (one for one in choices if _plain(one) == plain), None
    )


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def read_arguments(tool: str, known: Sequence[ToolArgument], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name, with defaults; None for one without a default that was omitted.

    Raises:
        ToolError: An argument is unknown, missing or invalid; long values are not repeated in the message.
    """
    names = [one.name for one in known]
    for name in given:
        if name not in names:
            near = get_close_matches(name, names, 1, 0.5)
            advice = f"Use {near[0]}." if near else f"{tool} takes: {listed(names) or 'nothing'}."
            raise ToolError(BAD_ARGUMENT, f"{tool} has no argument {name[:40]!r}.", advice)
    values: dict[str, Any] = {}
    for one in known:
        value = given.get(one.name)
        if value is None:
            if one.required:
                raise ToolError(BAD_ARGUMENT, f"{one.name} is missing.", f"Pass {_WORDS[one.kind]} as {one.name}.")
            values[one.name] = one.default
        else:
            values[one.name] = one.read(value)
    return values


_TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "strings": list,
    "object": dict,
    "array": list,
}
_WORDS = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "strings": "a list of strings",
    "object": "an object",
    "array": "a list of objects",
}
_NAMES = {
    str: "a string", int: "a number", float: "a number", bool: "true or false", list: "a list", dict: "an object",
}  # fmt: skip

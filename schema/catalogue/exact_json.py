"""JSON with exact numbers: digits are kept on the way to Postgres, which stores more of them than a double.

Most numbers are plain ints and floats. One that a float would change is `Digits`, a float that knows its text; an
integer is an int of any size.
"""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any, Self

import orjson

MAX_DIGITS = 400
"""Characters of an integer that are read; more is beyond every double anyway."""

TEXTS = 10_000
"""Texts that are looked through before it is known whether more have to be."""

# what a float may change: many digits, an exponent, a zero at the end
_TELLING = re.compile(rb"[:\[,\s]-?(?:[0-9.]{16,}|[0-9]+(?:\.[0-9]+)?[eE]|[0-9]+\.[0-9]+0(?![0-9]))")

# a string, closed or not, so that no text is looked through twice
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)


class Digits(float):
    """A number with the digits that it was written with, which it is shown by; infinite where no double is so large."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        made = super().__new__(cls, text)
        made.text = text
        return made

    def __repr__(self) -> str:
        return self.text


def number(text: str) -> float:
    """A JSON number that has a fraction or an exponent."""
    value = float(text)
    return value if repr(value) == text else Digits(text)


def integer(text: str) -> int | Digits:
    """A JSON number without either."""
    return int(text) if len(text) < MAX_DIGITS else Digits(text)


def holds_more(raw: bytes | str, most: int) -> bool:
    """Whether a JSON text may hold more values than that, empty lists and objects as well; found without reading it.

    To read a megabyte of them takes a second, in which nothing else of the process runs.
    """
    text = raw.encode(errors="replace") if isinstance(raw, str) else raw
    if _marks(text) <= most:
        return False
    texts = _TEXT.finditer(text)
    marks = at = 0
    while at < len(text) and marks <= most:  # as far as it takes
        last = deque(islice(texts, TEXTS), maxlen=1)
        end = last[0].end() if last else len(text)
        marks += _marks(_TEXT.sub(b"", text[at:end]))
        at = end
    return marks > most


def _marks(text: bytes) -> int:
    """What values stand behind: each of them behind one of its own, but for the first."""
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def loads(raw: bytes | str) -> Any:
    """A JSON text. Only one with a number that a float may change is read by the slower, exact parser.

    Most are written again as they came, byte for byte, and no number in them has lost anything.

    Raises:
        ValueError: It is no JSON, or a number in it is larger than every double; the message says where.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        if _is_telling(raw) and (wrong := _infinite_in(raw)):
            raise ValueError(wrong) from None
        raise
    try:
        written = orjson.dumps(value)
    except orjson.JSONEncodeError:  # deeper than can be written, though not than can be read
        written = None
    if written == raw or not _holds_float(value) or not _is_telling(raw) or _is_kept(raw, written):
        return value
    try:
        return _exactly(raw)
    except RecursionError:
        return value  # too deep for every limit there is


def _is_kept(raw: bytes | str, written: bytes | None) -> bool:
    """Whether a value is written again as it was, but for spaces: embeddings are, and have many numbers."""
    text = raw.encode() if isinstance(raw, str) else raw
    return written is not None and is_written_as(text, written)


def is_written_as(text: bytes, written: bytes) -> bool:
    """Whether a JSON text is one that was written so, but for spaces behind commas and colons."""
    return _close(written) == _close(text)


def _close(text: bytes) -> bytes:
    return text.replace(b", ", b",").replace(b": ", b":")


def _infinite_in(raw: bytes | str) -> str | None:
    """What is wrong with a number that is too large, where there is one in a text that is JSON otherwise."""
    try:
        return infinite(_exactly(raw))
    except (ValueError, RecursionError):
        return None


def _is_telling(raw: bytes | str) -> bool:
    return _TELLING.search(raw.encode() if isinstance(raw, str) else raw) is not None


def _exactly(raw: bytes | str) -> Any:
    return json.loads(raw, parse_float=number, parse_int=integer, parse_constant=no_json)


def no_json(name: str) -> Any:
    """NaN and the infinities, which Python reads.

    Raises:
        ValueError: Always.
    """
    raise ValueError(name)


def _holds_float(value: Any) -> bool:
    pending = [value]
    for one in pending:  # which grows meanwhile
        kind = type(one)
        if kind is str:
            continue
        if kind is dict:
            pending += one.values()
        elif kind is list:
            pending += one
        elif kind is float:  # as which large integers are read, too
            return True
    return False


def dumps(value: Any, default: Callable[[Any], Any] | None = None, option: int = 0) -> bytes:
    """A value as JSON, with the digits of its numbers; ``default`` makes what is no JSON something that is."""

    def written(one: Any) -> Any:
        if isinstance(one, Digits):
            return orjson.Fragment(one.text)
        if default is None:
            raise TypeError(f"{type(one).__name__} is no JSON")
        return default(one)

    try:
        return orjson.dumps(value, written, option)
    except orjson.JSONEncodeError:  # an integer of more than 64 bits
        return orjson.dumps(_with_fragments(value), written, option)


def _with_fragments(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_fragments(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_with_fragments(one) for one in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return orjson.Fragment(str(value))
    return value


def shown(value: Any, most: int = 120) -> str:
    """A value as JSON, to be quoted in a message; cut where it is long."""
    text = dumps(value, default=str).decode()
    return text if len(text) <= most else f"{text[:most]}\u2026"


def infinite(value: Any) -> str | None:
    """What is wrong with the first number of a value that is larger than every double, and where it stands."""
    pending = [("", value)]
    while pending:
        path, one = pending.pop()
        if isinstance(one, float) and not math.isfinite(one):
            place = f" at {path.lstrip('.')}" if path else ""
            return f"the number {repr(one)[:40]}{place} is out of range: they go up to about 1.8e308"
        if isinstance(one, dict):
            pending.extend((f"{path}.{key}", item) for key, item in one.items())
        elif isinstance(one, list):
            pending.extend((f"{path}[{place}]", item) for place, item in enumerate(one))
    return None

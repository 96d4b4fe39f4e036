"""JSON with exact numbers: digits are preserved for Postgres, which stores more of them than a double.

Most numbers are plain ints and floats. A number that a float would change is `Digits`, a float with its original text;
integers have any size.
"""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any, NamedTuple, Self

import orjson

SURE_DIGITS = 308
"""The longest integer in characters that is a double whatever its digits are; of a longer one its value tells."""

TEXTS = 10_000
"""Texts that are scanned before it is decided whether all have to be."""

SHORT = 10_000
"""Bytes of a text up to which comparing it with its re-encoding is quicker than looking for floats in its value."""

# signs of numbers that a float may change: many digits, an exponent, a zero at the end
_TELLING = re.compile(rb"[:\[,\s]-?(?:[0-9.]{16,}|[0-9]+(?:\.[0-9]+)?[eE]|[0-9]+\.[0-9]+0(?![0-9]))")

# a string, terminated or not, so that no text is scanned twice
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)

_NOT_ZERO = re.compile(r"[^eE]*[1-9]")

# NUL as JSON escapes it; where its backslash is escaped by another, it is text
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class Digits(float):
    """A number with its original digits, which `repr` shows; its value is infinite if it exceeds the doubles."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        made = super().__new__(cls, text)
        made.text = text
        return made

    def __repr__(self) -> str:
        return self.text


def number(text: str) -> float:
    """Parses a JSON number with a fraction or an exponent."""
    value = float(text)
    return value if repr(value) == text else Digits(text)


def plain(value: float) -> float:
    """The plain float that a number equals, if there is one."""
    if not isinstance(value, Digits):
        return value
    near = float(value)
    return near if _is_exactly(near, value.text) else value


def _is_exactly(value: float, text: str) -> bool:
    """Whether a float, as it is written, equals a number."""
    if value == 0:
        return _NOT_ZERO.match(text) is None
    return math.isfinite(value) and Decimal(repr(value)) == Decimal(text)


def with_whole_floats(value: Any) -> Any:
    """A JSON value whose whole numbers with a point are `Digits`, so that their canonical form is that of integers."""
    if any(type(one) is float and one.is_integer() for one in _floats_in(value)):
        return _with_whole_floats(value)
    return value


def _with_whole_floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_whole_floats(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_with_whole_floats(one) for one in value]
    return Digits(orjson.dumps(value).decode()) if type(value) is float and value.is_integer() else value


def _canonical(value: Digits) -> str:
    """The one text of all numbers that equal this one."""
    near = float(value)
    if _is_exactly(near, value.text) and not near.is_integer():
        return orjson.dumps(near).decode()
    if _NOT_ZERO.match(value.text) is None:
        return "0"
    text = format(Decimal(value.text), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def integer(text: str) -> int | Digits:
    """Parses a JSON number without either."""
    return int(text) if len(text) <= SURE_DIGITS else Digits(text)


def holds_more(raw: bytes | str, most: int) -> bool:
    """Whether a JSON text may hold more values than ``most``, empty lists and objects included, without parsing it.

    Parsing a megabyte of values blocks the event loop for a second.
    """
    text = raw.encode(errors="replace") if isinstance(raw, str) else raw
    if _marks(text) <= most:
        return False
    texts = _TEXT.finditer(text)
    marks = at = 0
    while at < len(text) and marks <= most:  # stops when the limit is exceeded
        last = deque(islice(texts, TEXTS), maxlen=1)
        end = last[0].end() if last else len(text)
        marks += _marks(_TEXT.sub(b"", text[at:end]))
        at = end
    return marks > most


def holds_nul(text: str) -> bool:
    """Whether a text or key in an encoded JSON value contains NUL, which jsonb cannot hold."""
    return "\\u0000" in text and _NUL.search(text) is not None


def _marks(text: bytes) -> int:
    """The number of characters that separate or enclose values: each value but the first follows one."""
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def loads(raw: bytes | str) -> Any:
    """Parses a JSON text. The slower, exact parser is used only if a number may be changed by a float.

    Most texts are equal to their re-encoding, which shows that no number was changed.

    Raises:
        ValueError: It is not JSON, or a number exceeds the doubles; the message says where.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        if is_telling(raw) and (wrong := _infinite_in(raw)):
            raise ValueError(wrong) from None
        raise
    try:
        written = orjson.dumps(value)
    except orjson.JSONEncodeError:  # nested deeper than can be encoded
        written = None
    if written == raw or (written and type(raw) is bytes and len(raw) < SHORT and _close(written) == _close(raw)):
        return value
    if next(_floats_in(value), None) is None or not is_telling(raw) or _is_kept(raw, written):
        return value
    try:
        return _exactly(raw)
    except RecursionError:
        return value  # deeper than every limit


def _is_kept(raw: bytes | str, written: bytes | None) -> bool:
    """Whether a value's re-encoding equals its text, spaces aside, as for embeddings, which have many numbers."""
    text = raw.encode() if isinstance(raw, str) else raw
    return written is not None and is_written_as(text, written)


def is_written_as(text: bytes, written: bytes) -> bool:
    """Whether a JSON text equals an encoding, but for spaces after commas and colons."""
    return _close(written) == _close(text)


def _close(text: bytes) -> bytes:
    return text.replace(b", ", b",").replace(b": ", b":")


def _infinite_in(raw: bytes | str) -> str | None:
    """The error for a number that exceeds the doubles, if a text that is otherwise valid has one."""
    try:
        wrong = find_wrong_number(_exactly(raw))
    except (ValueError, RecursionError):
        return None
    return f"the number {wrong.text} at {path_text(wrong.path)} {wrong.reason}" if wrong else None


def is_telling(raw: bytes | str) -> bool:
    """Whether a JSON text has a number that a float may change."""
    return _TELLING.search(raw.encode() if isinstance(raw, str) else raw) is not None


def _exactly(raw: bytes | str) -> Any:
    return json.loads(raw, parse_float=number, parse_int=integer, parse_constant=no_json)


def no_json(name: str) -> Any:
    """Refuses NaN and the infinities, which Python's parser accepts.

    Raises:
        ValueError: Always.
    """
    raise ValueError(name)


def _floats_in(value: Any) -> Iterator[float]:
    """The numbers with a fraction or an exponent; large integers are parsed as floats, too."""
    pending = [value]
    for one in pending:  # it grows during iteration
        kind = type(one)
        if kind is str:
            continue
        if kind is dict:
            pending += one.values()
        elif kind is list:
            pending += one
        elif kind is float or kind is Digits:
            yield one


def dumps(
    value: Any, default: Callable[[Any], Any] | None = None, option: int = 0, *, canonical: bool = False
) -> bytes:
    """Encodes a value as JSON, with the exact digits of its numbers; ``default`` converts other types.

    With ``canonical``, `Digits` that are equal are written alike, and as the plain number that they equal.
    """

    def written(one: Any) -> Any:
        if isinstance(one, Digits):
            return orjson.Fragment(_canonical(one) if canonical else one.text)
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
    """A value as JSON for a message; cut to ``most`` characters."""
    return cut(dumps(value, default=str).decode(), most)


def cut(text: str, most: int = 40) -> str:
    """A text for a message; one that is longer than ``most`` characters ends in an ellipsis there."""
    return text if len(text) <= most else f"{text[:most]}\u2026"


OUT_OF_RANGE = "is out of range: numbers go up to about 1.8e308"
MAX_DECIMALS = 16_383
"""Digits after the point of Postgres's NUMERIC, of which the numbers in jsonb are."""
MAX_EXPONENT = 1_073_741_823
"""The largest exponent that Postgres reads, as of a zero."""


def named(value: float) -> str:
    """The name of a number that JSON does not have: ``NaN``, ``Infinity`` or ``-Infinity``, as Postgres spells it."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


class WrongNumber(NamedTuple):
    """A number in a JSON value that cannot be stored: its path, its text cut for a message, and what is wrong."""

    path: tuple[str | int, ...]
    text: str
    reason: str


def wrong_number(value: float) -> str | None:
    """Why a number cannot be stored in jsonb or a NUMERIC column, whatever its precision; None if it can."""
    if not math.isfinite(value):
        return OUT_OF_RANGE
    if not isinstance(value, Digits):
        return None
    digits, _, exponent = value.text.lower().partition("e")
    size = exponent.lstrip("+-0")
    large = len(size) > len(str(MAX_EXPONENT)) or int(size or 0) > MAX_EXPONENT
    if large and not exponent.startswith("-"):
        return f"is out of range: exponents go up to {MAX_EXPONENT:,}"
    if large or len(digits.partition(".")[2]) - int(exponent or 0) > MAX_DECIMALS:
        return f"is out of range: numbers have up to {MAX_DECIMALS:,} digits after the point"
    return None


def find_wrong_number(value: Any) -> WrongNumber | None:
    """A number in a JSON value that cannot be stored."""
    if not any(map(wrong_number, _floats_in(value))):
        return None
    pending: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while pending:
        path, one = pending.pop()
        if isinstance(one, float) and (reason := wrong_number(one)):
            return WrongNumber(path, cut(repr(one)), reason)
        if isinstance(one, dict):
            pending.extend(((*path, key), item) for key, item in one.items())
        elif isinstance(one, list):
            pending.extend(((*path, place), item) for place, item in enumerate(one))
    return None


def path_text(path: Sequence[str | int]) -> str:
    """``where.and[0].auc.gt``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")

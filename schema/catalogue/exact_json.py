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

DEEPEST = 1024
"""The deepest nesting that is read."""
DEEPEST_EXACTLY = 500
"""The nesting that the exact parser reads wherever it is called."""
SHOWN_PLACE = 120
"""Characters of a path in a message."""

# half of a surrogate pair, as JSON escapes it and as it is parsed
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")

# what opens, separates and names values
_MARK = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{},:]', re.DOTALL)

# a string, terminated or not, so that no text is scanned twice
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)

_NOT_ZERO = re.compile(r"[^eE]*[1-9]")

# NUL as JSON escapes it; where its backslash is escaped by another, it is text
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class UnreadableError(ValueError):
    """A JSON text with a value that cannot be read, at a path such as ``variables.w.auc.gt``.

    ``value`` is what was parsed, with the value that cannot be read; None if it is nested too deeply.
    """

    def __init__(self, what: str, path: str, problem: str, value: Any = None) -> None:
        super().__init__(_placed(what, path, problem))
        self._what = what
        self._path = path
        self._problem = problem
        self.value = value

    def below(self, name: str) -> str:
        """The message with the path as seen from a member of the text."""
        return _placed(self._what, self._path.removeprefix(name).lstrip("."), self._problem)


def _placed(what: str, path: str, problem: str) -> str:
    shown = cut(path.encode(errors="backslashreplace").decode(), SHOWN_PLACE)
    return f"{what}{f' at {shown}' if shown else ''} {problem}"


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
        orjson.JSONDecodeError: It is not JSON.
        UnreadableError: A number exceeds the doubles, a text holds half of a surrogate pair, or a value is nested too
            deeply; the message says where.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if wrong := _unreadable(raw, error):
            raise wrong from None
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


def _unreadable(raw: bytes | str, error: orjson.JSONDecodeError) -> UnreadableError | None:
    """Why a text that is otherwise valid cannot be read."""
    text = raw.encode() if isinstance(raw, str) else raw
    if text.count(b"[") + text.count(b"{") > DEEPEST and (wrong := _too_deep(text, DEEPEST, error.pos)):
        return wrong
    if not _TELLING.search(text) and not _ESCAPED_SURROGATE.search(text):
        return None
    try:
        value = _exactly(raw)
    except RecursionError:
        return _too_deep(text, DEEPEST_EXACTLY, len(text))
    except ValueError:
        return None
    if found := find_wrong_number(value):
        return UnreadableError(f"the number {found.text}", path_text(found.path), found.reason, value)
    return _half_in(value)


def _too_deep(raw: bytes, most: int, until: int) -> UnreadableError | None:
    """The error for the first value that is nested deeper than ``most``, if it begins before a place of a text."""
    places: list[str | int] = []
    last = ""
    for mark in _MARK.finditer(raw.decode(errors="replace"), 0, until + 1):
        match mark.group():
            case "[" | "{" as opening:
                if len(places) == most:
                    return UnreadableError("the value", path_text(places), f"is nested deeper than {most:,} levels")
                places.append(0 if opening == "[" else "")
            case "]" | "}":
                del places[-1:]
            case ",":
                if places and isinstance(places[-1], int):
                    places[-1] += 1
            case ":":
                if places:
                    places[-1] = last
            case text:
                last = text[1:-1]
    return None


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


def wrong_numeric(value: float, digits: int | None, decimals: int | None) -> str | None:
    """Why a NUMERIC column, of so many digits before and after the point if it is bounded, cannot hold a number; None
    if it can."""
    wrong = wrong_number(value) if isinstance(value, float) else None
    if wrong or digits is None or decimals is None:
        return wrong
    exact = Decimal(value.text if isinstance(value, Digits) else repr(value))
    if abs(exact) < 10**digits - Decimal(5).scaleb(-decimals - 1):  # from there on it is rounded up
        return None
    return f"is too large: the column has {digits} {'digit' if digits == 1 else 'digits'} before the point"


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


def _half_in(value: Any) -> UnreadableError | None:
    """The error for the first text or key with half of a surrogate pair."""
    pending: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while pending:
        path, one = pending.pop()
        for text in one if isinstance(one, dict) else [one]:
            if isinstance(text, str) and (half := _SURROGATE.search(text)):
                code = half.group().encode("ascii", "backslashreplace").decode()
                problem = f"holds {code}, half of a surrogate pair, which is no character; send both halves, or none"
                return UnreadableError("the text", path_text(path), problem, value)
        if isinstance(one, dict):
            pending.extend(((*path, key), item) for key, item in reversed(one.items()))
        elif isinstance(one, list):
            pending.extend(((*path, place), item) for place, item in reversed([*enumerate(one)]))
    return None


def is_text(text: str) -> bool:
    """Whether a string is of whole characters."""
    return _SURROGATE.search(text) is None

"""Columns of tables: decoded from Postgres's binary COPY into Arrow, and written as the texts that Postgres writes.

Each row begins with a mark that nobody can guess; rows are found by it in a whole block at once, and so are the values
of a column. Texts have the same bytes as those of a copy as text.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from schema.catalogue.exact_json import named
from schema.execution.tables import Column

_SIGNATURE = 19
"""Bytes of a copy before its first row: the signature, the flags and the length of an extension."""
TRAILER = b"\xff\xff"
"""What follows the last row of a copy."""
_HEAD = 6
"""Bytes of a row before its mark: the number of columns, and the length of the mark."""
_EPOCH_DAYS = 10_957
"""Days from 1970 to 2000, where Postgres counts from."""
_EPOCH = _EPOCH_DAYS * 86_400_000_000
_DAYS = date(1, 1, 1).toordinal() - date(1970, 1, 1).toordinal(), date.max.toordinal() - date(1970, 1, 1).toordinal()
"""The first and the last day that the graph has, from 1970."""
_TIMES = _DAYS[0] * 86_400_000_000 - _EPOCH, (_DAYS[1] + 1) * 86_400_000_000 - 1 - _EPOCH
_ERA = 146_097
"""Days of 400 years."""
_TYPES = {"text": pa.string(), "bool": pa.bool_(), "float8": pa.float64()}
"""The types of columns; of others they are int64."""
_WIDTHS = {"bool": 1, "int8": 8, "float8": 8, "timestamptz": 8, "date": 4}
_QUOTED = np.isin(np.arange(256), list(b'",\r\n'))
"""The bytes for which a text is quoted in CSV."""
_ESCAPED = (np.arange(256) < 32) | np.isin(np.arange(256), list(b'"\\'))
"""The bytes that JSON escapes in texts."""


def new_mark() -> bytes:
    """A mark for the rows of one copy; its first byte occurs in no text."""
    return b"\xfa" + secrets.token_bytes(7)


class Block:
    """Whole rows of a copy in binary, by the mark at the begin of each; with or without what precedes the first."""

    def __init__(self, data: bytes, mark: bytes) -> None:
        self.data = data
        self._first = _SIGNATURE if data.startswith(b"PGCOPY\n") else 0
        size = len(data) - self._first
        head = self._first + _HEAD
        following = data.find(mark, head + len(mark))
        self._width = following - head if following > 0 else size
        """The bytes of a row, if all of them have as many."""
        self.rows, rest = divmod(size, max(self._width, 1))
        self._next: Any = head + len(mark)
        """Where the next column begins: in each row, or in the first of rows of equal width."""
        number = int.from_bytes(mark)
        if not self.rows:
            return
        if rest or not (self._values(">u8", head) == number).all():
            places = np.flatnonzero(np.frombuffer(data, np.uint8)[: len(data) - 7] == mark[0])
            self._starts = places[self._values(">u8", places) == number]
            self.rows, self._width = len(self._starts), 0
            self._next = self._starts + len(mark)

    def _values(self, type_: str, at: Any) -> Any:
        """The values that begin at a place in each row."""
        size = np.dtype(type_).itemsize
        if isinstance(at, int):
            return np.ndarray((self.rows,), type_, self.data, at, (self._width,))
        return np.ndarray((max(len(self.data) - size + 1, 0),), type_, self.data, strides=(1,))[at]

    def column(self, sent_as: str) -> pa.Array:
        """The next column of all rows: texts, Booleans, int64, float64, microseconds since 2000, or days
        since 1970."""
        lengths = self._values(">i4", self._next).astype(np.int32)
        if self._width:
            size = int(lengths[0])
            if (lengths == size).all():
                begin, self._next = self._next + 4, self._next + 4 + max(size, 0)
                if size < 0:
                    return pa.nulls(self.rows, _TYPES.get(sent_as, pa.int64()))
                return self._narrow_texts(begin, size) if sent_as == "text" else self._numbers(sent_as, begin, None)
            self._starts = np.arange(self.rows) * self._width + self._first + _HEAD
            self._next, self._width = np.arange(self.rows) * self._width + self._next, 0
        begins, null = self._next + 4, lengths < 0
        missing: Any = None
        if null.any():
            lengths, missing = np.where(null, 0, lengths), null
        self._next = begins + lengths
        if sent_as == "text":
            return _pieces(self.data, begins, self._next, missing)
        if missing is not None:
            begins = np.minimum(begins, len(self.data) - _WIDTHS[sent_as])  # what stands there is not looked at
        return self._numbers(sent_as, begins, missing)

    def _numbers(self, sent_as: str, begins: Any, missing: Any) -> pa.Array:
        match sent_as:
            case "bool":
                return pa.array(self._values(">u1", begins).astype(bool), mask=missing)
            case "float8":
                return pa.array(self._values(">f8", begins).astype(np.float64), mask=missing)
            case "date":
                return pa.array(self._values(">i4", begins).astype(np.int64) + _EPOCH_DAYS, mask=missing)
        return pa.array(self._values(">i8", begins).astype(np.int64), mask=missing)

    def _narrow_texts(self, begin: int, size: int) -> pa.Array:
        """Texts of equal length in rows of equal width."""
        found = np.ndarray((self.rows, size), np.uint8, self.data, begin, (self._width, 1))
        return _of_width(np.ascontiguousarray(found))

    def end(self) -> None:
        """Checks that each row ended where the next one begins, once all columns are taken.

        Raises:
            ValueError: They do not.
        """
        if self._width:
            is_whole = self._next == self._first + self._width
        else:
            heads, ends = self._starts - _HEAD, self._next
            is_whole = heads[0] == self._first and (heads[1:] == ends[:-1]).all() and ends[-1] == len(self.data)
        if not is_whole:
            raise ValueError("the rows of the binary COPY have gaps: a row does not end where the next one begins")


def _pieces(data: bytes, begins: Any, ends: Any, missing: Any) -> pa.Array:
    """Texts from places in a text, in their order; null where ``missing``."""
    bounds = np.empty(2 * len(begins), np.int64)
    bounds[::2], bounds[1::2] = begins, ends
    whole = pa.Array.from_buffers(
        pa.large_binary(), max(len(bounds) - 1, 0), [None, pa.py_buffer(bounds), pa.py_buffer(data)]
    )
    return whole.take(pa.array(np.arange(0, len(bounds), 2), mask=missing)).cast(pa.binary()).view(pa.string())


def _of_width(texts_: Any, like: pa.Array | None = None) -> pa.Array:
    """Texts of equal length as an array, from their bytes row by row; null where ``like`` is."""
    rows, size = texts_.shape
    offsets = np.arange(rows + 1, dtype=np.int32) * np.int32(size)
    made = pa.Array.from_buffers(pa.string(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(texts_)])
    return made if like is None or not like.null_count else pc.if_else(like.is_valid(), made, None)


def texts(column: Column, values: pa.Array, *, number: Callable[[float], str] | None) -> pa.Array:
    """The values of a column as Postgres writes them, without the column's prefix.

    ``number`` writes a float without a JSON form; None: it is null.
    """
    match column.sent_as:
        case "text":
            return values
        case "float8":
            return _floats(values, number)
        case "timestamptz":
            return _dated(values, _TIMES, _times, _time)
        case "date":
            return _dated(
                values, _DAYS, lambda days: pc.cast(pc.cast(days, pa.int32()).view(pa.date32()), pa.string()), _date
            )
    return pc.cast(values, pa.string())


def _rare(made: pa.Array, values: pa.Array, rare: Any, write: Callable[[Any], str | None]) -> pa.Array:
    """Texts of which some are written one by one; ``rare`` is where, also of nulls."""
    where = pc.and_(rare if isinstance(rare, pa.Array) else pa.array(rare), values.is_valid())
    written = [write(one) for one in values.filter(where).to_pylist()]
    return pc.replace_with_mask(made, where, pa.array(written, pa.string()))


def _floats(values: pa.Array, number: Callable[[float], str] | None) -> pa.Array:
    missing = values.is_null().to_numpy(zero_copy_only=False) if values.null_count else None
    held = values.to_numpy(zero_copy_only=False)
    data = orjson.dumps(held, option=orjson.OPT_SERIALIZE_NUMPY)
    written = np.frombuffer(data, np.uint8)
    ends = np.append(np.flatnonzero(written == ord(",")), len(data) - 1)
    begins = np.concatenate(([1], ends[:-1] + 1))
    is_whole = (written[ends - 1] == ord("0")) & (written[ends - 2] == ord("."))
    made = _pieces(data, begins, ends - 2 * is_whole, missing)
    sizes = np.abs(held)
    rare = ~((sizes >= 1e-4) & (sizes < 1e15) | (sizes == 0))  # where JSON and Postgres have other exponents, and NaN
    if missing is not None:
        rare &= ~missing
    return _rare(made, values, rare, lambda one: _float(one, number)) if rare.any() else made


def _float(value: float, number: Callable[[float], str] | None) -> str | None:
    if not np.isfinite(value):
        return number(value) if number else None
    return _large(value) if abs(value) >= 1e15 else repr(value).removesuffix(".0")


def _large(value: float) -> str:
    """The fewest digits that are nearer to a number than to its neighbours; Python takes those half way too."""
    least = len(repr(value).partition("e")[0].strip("-").replace(".", "").rstrip("0"))
    exact, gap = abs(int(value)), int(math.ulp(value))
    below = gap // 2 if exact.bit_count() == 1 else gap
    for digits in range(least, 18):
        text = f"{value:.{digits - 1}e}"
        off = 2 * (abs(int(Decimal(text))) - exact)
        if -below < off < gap or not gap:
            break
    digits_, _, exponent = text.partition("e")
    return f"{digits_.rstrip('0').rstrip('.') if '.' in digits_ else digits_}e{exponent}"


def _dated(
    values: pa.Array, bounds: tuple[int, int], write: Callable[[pa.Array], pa.Array], other: Callable[[int], str]
) -> pa.Array:
    """Times or dates as texts; ``other`` writes those outside the years 1 to 9999."""
    rare = outside(values, bounds)
    if not rare.any():
        return write(values)
    held = pc.if_else(pa.array(rare), pa.scalar(0, pa.int64()), values)
    return _rare(write(held), values, rare, other)


def outside(values: pa.Array, bounds: tuple[int, int]) -> Any:
    """Which values are out of bounds; nulls are not."""
    found = pc.fill_null(values, 0).to_numpy()
    return (found < bounds[0]) | (found > bounds[1])


def _times(values: pa.Array) -> pa.Array:
    held = pc.add(pc.fill_null(values, 0), _EPOCH)
    made = pc.cast(held.view(pa.timestamp("us")), pa.string())
    found = np.frombuffer(made.buffers()[2], np.uint8)[: 26 * len(made)].reshape(len(made), 26)
    texts_ = np.empty((len(made), 27), np.uint8)
    texts_[:, :26], texts_[:, 10], texts_[:, 26] = found, ord("T"), ord("Z")
    return _of_width(texts_, values)


def _time(value: int) -> str:
    if value in {-(2**63), 2**63 - 1}:
        return "infinity" if value > 0 else "-infinity"
    days, micros = divmod(value, 86_400_000_000)
    seconds, fraction = divmod(micros, 1_000_000)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    fraction_ = f".{fraction:06}".rstrip("0") if fraction else ""
    day, era = _day(days + _EPOCH_DAYS)
    return f"{day} {clock}{fraction_}+00{era}"


def _date(value: int) -> str:
    if abs(value) > 2**31 - 1 - _EPOCH_DAYS:
        return "infinity" if value > 0 else "-infinity"
    return "".join(_day(value))


def _day(days: int) -> tuple[str, str]:
    """A day of any year, and the suffix of years before the first."""
    eras, within = divmod(days + date(1970, 1, 1).toordinal() - date(2000, 1, 1).toordinal(), _ERA)
    found = date.fromordinal(date(2000, 1, 1).toordinal() + within)
    year = found.year + 400 * eras
    shown, era = (year, "") if year > 0 else (1 - year, " BC")
    return f"{shown:04}-{found:%m-%d}", era


def typed(column: Column, type_: pa.DataType, values: pa.Array) -> pa.Array:
    """The values in a type of Arrow, with the column's prefix.

    Raises:
        pa.ArrowInvalid: One of them is out of its range, or of the years 1 to 9999.
    """
    if column.prefix:
        return pc.binary_join_element_wise(column.prefix, values, "")
    bounds = {"timestamptz": _TIMES, "date": _DAYS}.get(column.sent_as)
    if bounds is None:
        return pc.cast(values, type_)
    if outside(values, bounds).any():
        raise pa.ArrowInvalid(f"{column.name} has a time outside the years 1 to 9999")
    return (
        pc.add(values, _EPOCH).view(type_)
        if column.sent_as == "timestamptz"
        else pc.cast(values, pa.int32()).view(type_)
    )


def csv(columns: Sequence[Column], values: Sequence[pa.Array]) -> bytes:
    """The values as lines of CSV, quoted as Postgres quotes them."""
    made = []
    for column, array in zip(columns, values, strict=True):
        text = texts(column, array, number=named)
        if column.sent_as == "text" and column.kind.name != "uuid":
            text = _quoted(text, alone=len(columns) == 1)
        made.append(pc.binary_join_element_wise(column.prefix, text, "") if column.prefix else text)
    made[-1] = pc.binary_join_element_wise(made[-1], "\n", "", null_handling="replace")
    return _joined(pc.binary_join_element_wise(*made, ",", null_handling="replace"))


def _quoted(text: pa.Array, *, alone: bool) -> pa.Array:
    empty = pc.equal(text, "")
    if not alone and not _has(text, _QUOTED) and not pc.any(empty).as_py():
        return text
    quoted = pc.or_(pc.match_substring_regex(text, '[",\r\n]'), empty)
    if alone:
        quoted = pc.or_(quoted, pc.equal(text, "\\."))  # the line that ends a copy
    return pc.if_else(quoted, pc.binary_join_element_wise('"', pc.replace_substring(text, '"', '""'), '"', ""), text)


def _has(text: pa.Array, bytes_: Any) -> bool:
    """Whether some of the bytes may be in texts."""
    data = text.buffers()[2]
    return data is not None and bool(bytes_[np.frombuffer(data, np.uint8)].any())


def json_lines(columns: Sequence[Column], values: Sequence[pa.Array]) -> bytes:
    """The values as an object a line."""
    made: list[Any] = []
    before = "{"
    for column, array in zip(columns, values, strict=True):
        text = texts(column, array, number=None)
        before += f'"{column.name}":'
        after = ""
        if column.sent_as in {"text", "timestamptz", "date"} and not column.is_json:
            if column.sent_as == "text" and column.kind.name != "uuid":
                text = _escaped(text)
            if text.null_count:
                text = pc.binary_join_element_wise(f'"{column.prefix}', text, '"', "")
            else:
                before, after = f'{before}"{column.prefix}', '"'
        made += [before, text]
        before = f"{after},"
    made.append(f"{before.removesuffix(',')}}}\n")
    return _joined(pc.binary_join_element_wise(*made, "", null_handling="replace", null_replacement="null"))


def _escaped(text: pa.Array) -> pa.Array:
    """Texts as they stand between the quotes of JSON."""
    if not _has(text, _ESCAPED):
        return text
    escaped = pc.match_substring_regex(text, r'["\\\x00-\x1f]')
    return _rare(text, text, pc.fill_null(escaped, fill_value=False), lambda one: orjson.dumps(one).decode()[1:-1])


def _joined(lines: pa.Array) -> bytes:
    """All lines of an array, which stand one behind the other."""
    if not len(lines):
        return b""
    _, offsets, data = lines.buffers()
    bounds = np.frombuffer(offsets, np.int32 if pa.types.is_string(lines.type) else np.int64)
    found: bytes = data[bounds[lines.offset] : bounds[lines.offset + len(lines)]].to_pybytes()
    return found

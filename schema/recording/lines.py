"""Rows as JSON lines: parsed with exact numbers, and coerced by the input types of the mutation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import orjson
from graphql import GraphQLInputObjectType, GraphQLList, GraphQLNonNull, GraphQLSchema, get_named_type

from schema.catalogue import exact_json
from schema.error_codes import RowCode
from schema.execution.coercions import Coerce, coercion
from schema.execution.input_errors import NO_FIELD, wrong_values
from schema.execution.time_slices import background
from schema.names.suggestions import Suggestions
from schema.recording.problems import MAX_PROBLEMS, RowsError, RowViolation

SLICE = 100
"""Lines that are read before control returns to the event loop: about 1 ms."""
SLICE_BYTES = 100_000
"""Bytes of lines after which control returns to the event loop."""


class _DuplicateKeyError(ValueError):
    """An object has a duplicate key, so that its value is ambiguous."""


class LineReader:
    """Reads the rows of one type from JSON lines, one row per line."""

    def __init__(
        self, schema: GraphQLSchema, mutation: str, suggestions: Suggestions | None, max_depth: int, max_values: int
    ) -> None:
        """``max_values``: the largest number of values of a row, including values within JSON."""
        assert schema.mutation_type is not None  # noqa: S101 - there are mutations
        (argument,) = schema.mutation_type.fields[mutation].args.values()
        type_: Any = get_named_type(get_named_type(argument.type).fields["rows"].type)
        one, many = coercion(GraphQLNonNull(type_)), coercion(GraphQLList(GraphQLNonNull(type_)))
        assert one is not None and many is not None  # noqa: S101, PT018 - they are of rows
        self.type: GraphQLInputObjectType = type_
        self._coerce: Coerce = one
        self._coerce_all: Coerce = many
        self._suggestions = suggestions
        self._max_depth = max_depth
        self._max_values = max_values

    async def read(self, lines: Sequence[bytes], marks: Sequence[int]) -> list[Mapping[str, Any]]:
        """The rows as coerced input values; ``marks`` are the `values_in` of the lines.

        Raises:
            RowsError: Lines are not JSON objects, or values are not of the types of their fields.
        """
        rows: list[Mapping[str, Any]] = []
        found: list[RowViolation] = []

        def one(_: int, part: tuple[int, Sequence[bytes]]) -> None:
            if len(found) < MAX_PROBLEMS:
                first, some = part
                self._read(some, first, rows, found, max(marks[first : first + len(some)], default=0))

        await background().each(slices(lines), one)
        if found:
            raise RowsError(found)
        return rows

    def _read(
        self, lines: Sequence[bytes], first: int, rows: list[Mapping[str, Any]], found: list[RowViolation], most: int
    ) -> None:
        try:
            values = [] if self._is_long(max(lines, key=len)) else list(map(orjson.loads, lines))
            is_deep = most > self._max_depth and self._may_be_deep(lines)
            if b"\n".join(map(orjson.dumps, values)) == b"\n".join(lines) and not is_deep:
                rows += self._coerce_all(values)
                return
        except Exception:  # noqa: BLE001, S110 - reading the lines one by one locates the error
            pass
        for place, line in enumerate(lines, first):
            if len(found) >= MAX_PROBLEMS:
                return
            value = self._value(place, line, found)
            if value is not None:
                self._row(place, value, rows, found)

    def _is_long(self, line: bytes) -> bool:
        """Whether a line may exceed the values of a row: each needs a delimiter and at least one character."""
        return len(line) > 2 * self._max_values

    def _may_be_deep(self, lines: Iterable[bytes]) -> bool:
        return any(line.count(b"{") + line.count(b"[") > self._max_depth for line in lines)

    def _value(self, place: int, line: bytes, found: list[RowViolation]) -> dict[str, Any] | None:
        """The JSON object of a line; None, with the problem in ``found``, if it is not one."""
        if self._is_long(line) and exact_json.holds_more(line, 2 * self._max_values):
            words = f"holds more than {self._max_values:,} values; record what is large in parts"
            found.append(RowViolation(RowCode.INVALID_VALUE, place, words))
            return None
        try:
            value = exactly(line)
        except _DuplicateKeyError as error:
            found.append(RowViolation(RowCode.MALFORMED, place, f"gives the key {error} twice"))
            return None
        except (ValueError, RecursionError) as error:
            said = (
                f"{error.msg} at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else str(error)
            )
            found.append(RowViolation(RowCode.MALFORMED, place, f"is not JSON on one line: {said}"))
            return None
        if not isinstance(value, dict):
            found.append(RowViolation(RowCode.MALFORMED, place, "is no JSON object; each line is one row"))
            return None
        if self._may_be_deep([line]) and (field := self._deep(value)):
            words = f"{field}: is nested deeper than {self._max_depth} levels"
            found.append(RowViolation(RowCode.INVALID_VALUE, place, words, (field,)))
            return None
        return value

    def _deep(self, row: Mapping[str, Any]) -> str | None:
        """The first field whose value is nested too deeply."""
        for name, value in row.items():
            level, depth = [value], 1
            while level := [item for one in level if isinstance(one, dict | list) for item in _items(one)]:
                depth += 1
                if depth > self._max_depth:
                    return name
        return None

    def _row(self, place: int, value: dict[str, Any], rows: list[Mapping[str, Any]], found: list[RowViolation]) -> None:
        try:
            rows.append(self._coerce(value))
        except Exception:  # noqa: BLE001 - `_problems` locates the error
            problems = self._problems(place, value, MAX_PROBLEMS - len(found))
            found += problems or [RowViolation(RowCode.INVALID_VALUE, place, "cannot be read as a row")]

    def _problems(self, place: int, value: dict[str, Any], most: int) -> list[RowViolation]:
        """The first ``most`` problems of a row; limited, since each may need a suggestion, which is slow."""
        found = []
        for path, message in islice(wrong_values(self.type, value, self._suggestions), most):
            fields = tuple(map(str, path))
            if message.startswith(NO_FIELD):
                code = RowCode.UNKNOWN_FIELD
            elif message.startswith(("it is missing", "it is null")):
                code = RowCode.VALUE_MISSING
            else:
                code = RowCode.INVALID_VALUE
            found.append(RowViolation(code, place, f"{'.'.join(fields)}: {message}", fields))
        return found


async def values_in(lines: Sequence[bytes]) -> list[int]:
    """An upper bound of the number of values of each line, without parsing it."""
    found: list[int] = []

    def count(_: int, part: tuple[int, Sequence[bytes]]) -> None:
        found.extend(len(line) - len(line.translate(None, b",[{")) for line in part[1])

    await background().each(slices(lines), count)
    return found


def slices(lines: Sequence[bytes]) -> Iterator[tuple[int, Sequence[bytes]]]:
    """Slices of lines, each with the index of its first line."""
    first = size = 0
    for place, line in enumerate(lines):
        if place > first and (place - first == SLICE or size + len(line) > SLICE_BYTES):
            yield first, lines[first:place]
            first, size = place, 0
        size += len(line)
    yield first, lines[first:]


def _items(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def exactly(line: bytes) -> Any:
    """The JSON value of a line, with the exact digits of its numbers; those beyond the doubles are infinite `Digits`.

    Raises:
        ValueError: The line is not JSON, or an object has a duplicate key.
        RecursionError: The value is nested too deeply.
    """
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        if not exact_json.is_telling(line):
            raise
        try:
            return _exactly(line)
        except json.JSONDecodeError:
            raise error from None
    try:
        written = orjson.dumps(value)
    except orjson.JSONEncodeError:  # nested deeper than orjson can write, though not deeper than it can read
        return value
    if written == line or exact_json.is_written_as(line, written):
        return value
    return _exactly(line)


def _exactly(line: bytes) -> Any:
    return json.loads(
        line,
        object_pairs_hook=_without_duplicates,
        parse_float=exact_json.number,
        parse_int=exact_json.integer,
        parse_constant=exact_json.no_json,
    )


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _DuplicateKeyError(exact_json.shown(next(name for name in found if names.count(name) > 1), 80))
    return found

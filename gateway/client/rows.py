"""Rows in the client: lists of dictionaries, JSON lines, pandas and polars frames."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from itertools import islice
from math import isfinite
from typing import Any
from uuid import UUID


class Rows(list[dict[str, Any]]):
    """Rows of a list of the graph, as they were received."""

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame`; fields of nested objects are columns with dots in their names.

        Raises:
            ImportError: pandas is not installed.
        """
        import pandas as pd  # noqa: PLC0415 - an optional dependency of the user's

        return pd.DataFrame.from_records(self.flat())

    def to_polars(self) -> Any:
        """A `polars.DataFrame` with the same columns; lists are lists.

        Raises:
            ImportError: polars is not installed.
        """
        import polars as pl  # noqa: PLC0415 - an optional dependency of the user's

        return pl.from_dicts(self.flat(), infer_schema_length=None) if self else pl.DataFrame()

    def flat(self) -> list[dict[str, Any]]:
        """The rows, with the fields of nested objects under their paths: ``model.stage``; all rows have the same
        columns.

        A relation that is null in some rows is null in each of its columns there. Lists stay lists; an empty JSON
        object stays one column.
        """
        found = [dict(_leaves(row, "")) for row in self]
        columns = dict.fromkeys(name for row in found for name in row)
        left_out = {name for name in columns if any(other.startswith(f"{name}.") for other in columns)}
        names = [name for name in columns if name not in left_out or any(row.get(name) is not None for row in found)]
        return [{name: row.get(name) for name in names} for row in found]


class QueryData(dict[str, Any]):
    """The data of a query by field; its lists convert to rows and frames."""

    def rows(self, path: str | None = None) -> Rows:
        """The rows of a list by its path: ``models.nodes``, or of one below it: ``models.nodes.trainingRuns.nodes``.

        Rows of a nested list also have the fields of the rows above it: those of a model as ``models.modelName``.
        Without a path it is the only list that is not inside another list.

        Raises:
            ValueError: There is no such list, or there are several and no path is given.
        """
        if path is None:
            found = dict.fromkeys(_lists(self, ()))
            if len(found) != 1:
                names = ", ".join(sorted(map(".".join, found))) or "none"
                raise ValueError(f"say which list becomes rows; those that are here: {names}")
            (parts,) = found
        else:
            parts = tuple(path.split("."))
        return Rows(_below(self, parts, path or ".".join(parts)))

    def to_pandas(self, path: str | None = None) -> Any:
        """A `pandas.DataFrame` of `rows`.

        Raises:
            ImportError: pandas is not installed.
            ValueError: There is no such list.
        """
        return self.rows(path).to_pandas()

    def to_polars(self, path: str | None = None) -> Any:
        """A `polars.DataFrame` of `rows`.

        Raises:
            ImportError: polars is not installed.
            ValueError: There is no such list.
        """
        return self.rows(path).to_polars()


def _leaves(value: Mapping[str, Any], before: str) -> Iterator[tuple[str, Any]]:
    for name, one in value.items():
        if isinstance(one, dict) and one:
            yield from _leaves(one, f"{before}{name}.")
        else:
            yield f"{before}{name}", one


def _lists(value: Mapping[str, Any], before: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The paths of lists of objects that are inside no other list."""
    for name, one in value.items():
        if isinstance(one, dict):
            yield from _lists(one, (*before, name))
        elif isinstance(one, list) and (name == "nodes" or any(isinstance(item, dict) for item in one)):
            yield (*before, name)


def _below(value: Any, parts: Sequence[str], path: str) -> Iterator[dict[str, Any]]:
    """The rows of the list at a path, each with the fields of the rows above it."""
    at, outer = value, []
    for place, part in enumerate(parts):
        if at is None:  # a relation that is null
            return
        if not isinstance(at, dict) or part not in at:
            known = ", ".join(at) if isinstance(at, dict) else "no fields"
            raise ValueError(f"{path}: there is no {part!r} here; there is {known}")
        at = at[part]
        outer.append(part)
        if isinstance(at, list) and place < len(parts) - 1:
            left = parts[place + 1 :]
            name = outer[-2] if part == "nodes" and len(outer) > 1 else part
            for row in at:
                own = dict(_leaves({key: one for key, one in (row or {}).items() if key != left[0]}, f"{name}."))
                yield from ({**own, **below} for below in _below(row, left, path))
            return
    if isinstance(at, list):
        yield from (row for row in at if row is not None)
    else:
        raise ValueError(f"{path}: is no list")  # noqa: TRY004 - the path is wrong, not a type


@dataclass
class Recording:
    """The outcome of recording rows, over all batches."""

    inserted: int = 0
    updated: int = 0
    kept: int = 0
    differing: int | None = 0
    """How many kept rows differ from what was given; None if the caller may not read them."""
    differing_rows: list[Mapping[str, Any]] = field(default_factory=list)
    """The first of them in each batch, with ``row`` (the place among all rows that were given), ``id`` and ``fields``.
    """
    batches: int = 0
    replayed: int = 0
    """Batches that had been recorded before under the same key."""
    dry_run: bool = False
    ids: list[str] | None = None
    """Global ids in the order of the rows, if ``ids`` was given."""

    @property
    def changed(self) -> int:
        """How many rows were inserted or updated."""
        return self.inserted + self.updated

    def add(self, answer: Mapping[str, Any], before: int) -> None:
        """Adds the response to one batch; ``before`` rows were given before it."""
        self.batches += 1
        self.replayed += answer["replayed"]
        self.dry_run = answer["dryRun"]
        for name in ("inserted", "updated", "kept"):
            setattr(self, name, getattr(self, name) + answer[name])
        known = self.differing is not None and answer["differing"] is not None
        self.differing = self.differing + answer["differing"] if known else None
        self.differing_rows += [{**one, "row": one["row"] + before} for one in answer.get("differingRows", ())]
        if "ids" in answer:
            self.ids = [*(self.ids or ()), *answer["ids"]]


@dataclass(frozen=True)
class Changed:
    """The outcome of a mutation."""

    ids: Sequence[str]
    """Global ids of the rows created or changed, the requested ones first; empty for a dry run."""
    replayed: bool
    """Whether it had been executed before under the same key."""
    dry_run: bool
    answer: Mapping[str, Any]
    """The result as received: counts, and what would change."""

    @property
    def id(self) -> str:
        """The id of the only row.

        Raises:
            ValueError: There is no row, or several.
        """
        if len(self.ids) != 1:
            raise ValueError(f"the change has {len(self.ids)} ids, not one")
        return self.ids[0]


def batches(rows: Iterable[Mapping[str, Any]], size: int) -> Iterator[list[Mapping[str, Any]]]:
    """The rows in batches of at most ``size``.

    Raises:
        TypeError: The rows are not dictionaries, as where a frame is given.
    """
    whole = type(rows).__name__
    if isinstance(rows, Mapping) or hasattr(rows, "columns"):
        raise TypeError(f"rows are dictionaries, one a row, not a {whole}{_records_of(rows)}")
    left, before = iter(rows), 0
    while part := list(islice(left, size)):
        for place, row in enumerate(part, before):
            if not isinstance(row, Mapping):
                raise TypeError(f"rows[{place}] is a {type(row).__name__}; a row is a dictionary of its fields")
        yield part
        before += len(part)


def _records_of(frame: object) -> str:
    """The call that converts a frame to rows."""
    if hasattr(frame, "to_dicts"):
        return ": pass frame.to_dicts()"
    return ": pass frame.to_dict('records')" if hasattr(frame, "to_dict") else ""


def lines(rows: Iterable[Mapping[str, Any]], first: int = 0) -> bytes:
    """Rows as JSON lines: times with their zone, UUIDs as strings, enum members by name, decimals exactly.

    ``first`` is the place of the first row among all rows, for error messages.

    Raises:
        TypeError: A value has no JSON form.
        ValueError: A time has no zone, or a number is NaN or infinite.
    """
    rows = list(rows)
    try:
        return "\n".join(map(_ENCODER.encode, rows)).encode()
    except (TypeError, ValueError):
        for place, row in enumerate(rows, first):
            for name, value in row.items():
                try:
                    _ENCODER.encode(value)
                except (TypeError, ValueError) as error:
                    words = str(error)
                    if isinstance(value, float) and not isfinite(value):
                        words = f"it is {value}, which JSON does not have; leave it out, or pass None"
                    raise type(error)(f"rows[{place}].{name}: {words}") from None
        raise


def encoded(value: Any) -> bytes:
    """A value as JSON, as in `lines`.

    Raises:
        TypeError: The value has no JSON form.
        ValueError: A time has no zone, or a number is NaN or infinite.
    """
    return _ENCODER.encode(value).encode()


def _plain(value: Any) -> Any:  # noqa: PLR0911 - one line for each kind
    match value:
        case datetime():
            return _time(value)
        case date():
            return value.isoformat()
        case Enum():
            return value.name
        case UUID():
            return str(value)
        case Decimal():
            return _number(value)
        case Mapping():
            return dict(value)
    if hasattr(value, "tolist"):  # numbers of numpy
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _time(value: datetime) -> str:
    if value != value:  # noqa: PLR0124 - NaT of pandas
        raise ValueError("it is no time; leave it out, or pass None")
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone; say which, such as datetime.now(UTC)")
    return value.isoformat()


def _number(value: Decimal) -> float:
    if not value.is_finite():
        raise ValueError(f"{value} is no number that JSON has")
    if Decimal(repr(float(value))) != value:
        raise TypeError(f"{value!r} has more digits than a float has")
    return float(value)


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)

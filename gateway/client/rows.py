"""Rows as a client gives and gets them: lists of plain dictionaries, lines of JSON, frames of pandas and polars."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from itertools import islice
from typing import Any
from uuid import UUID


class Rows(list[dict[str, Any]]):
    """Rows of a list of the graph, as they were answered."""

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame`; fields of nested objects are columns with dots in their names.

        Raises:
            ImportError: pandas is not installed.
        """
        import pandas as pd  # noqa: PLC0415 - for those who have it

        return pd.json_normalize(list(self))

    def to_polars(self) -> Any:
        """A `polars.DataFrame`; nested objects are structs.

        Raises:
            ImportError: polars is not installed.
        """
        import polars as pl  # noqa: PLC0415 - as above

        return pl.from_dicts(list(self), infer_schema_length=None)


@dataclass
class Recording:
    """What became of rows that were recorded, in as many batches as it took."""

    inserted: int = 0
    updated: int = 0
    kept: int = 0
    differing: int = 0
    batches: int = 0
    replayed: int = 0
    """Batches that had been recorded before, by the same key."""
    dry_run: bool = False
    ids: list[str] | None = None
    """Global ids in the order of the rows, where they were asked for."""

    def add(self, answer: Mapping[str, Any]) -> None:
        """Adds the answer to one batch."""
        self.batches += 1
        self.replayed += answer["replayed"]
        self.dry_run = answer["dryRun"]
        for name in ("inserted", "updated", "kept", "differing"):
            setattr(self, name, getattr(self, name) + answer[name])
        if "ids" in answer:
            self.ids = [*(self.ids or ()), *answer["ids"]]


def batches(rows: Iterable[Mapping[str, Any]], size: int) -> Iterator[list[Mapping[str, Any]]]:
    """The rows in batches of at most so many."""
    left = iter(rows)
    while part := list(islice(left, size)):
        yield part


def lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Rows as lines of JSON: times with their zone, UUIDs as texts, members of enums by name, decimals to the digit.

    Raises:
        TypeError: A value has no form in JSON.
        ValueError: A time has no zone, or a number is NaN or infinite.
    """
    return "\n".join(_ENCODER.encode(row) for row in rows).encode()


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            if value.tzinfo is None:
                raise ValueError(f"{value!r} has no time zone; say which, such as datetime.now(UTC)")
            return value.isoformat()
        case date():
            return value.isoformat()
        case Enum():
            return value.name
        case UUID():
            return str(value)
        case Decimal() if Decimal(repr(float(value))) == value:
            return float(value)
        case Decimal():
            raise TypeError(f"{value!r} has more digits than a float has")
        case _ if hasattr(value, "item"):  # a number of numpy's
            return value.item()
        case _:
            raise TypeError(f"{type(value).__name__} has no form in JSON")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)

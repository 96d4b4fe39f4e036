"""The rows that have one of some values in a column that an index finds them by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from db.attach.frequencies import Frequencies, Label, Stored
from schema.catalogue.catalogue import Type

_KINDS = {
    Stored.UUID: {"uuid"},
    Stored.TEXT: {"text"},
    Stored.WHOLE: {"integer", "bigint"},
    Stored.TIME: {"time", "date"},
}
"""The kinds of columns that an index compares as they are stored; others are cast for each row."""


def values_of(compared: Mapping[str, Any]) -> Sequence[Any] | None:
    """The values that a filter of a column allows, None unless it is an equality with one or some."""
    if compared.get("eq") is not None:
        return (compared["eq"],)
    return compared["in"] if isinstance(compared.get("in"), Sequence) else None


def tells(known: Frequencies | None, type_: Type, column: str, compared: Mapping[str, Any]) -> bool:
    """Whether the frequencies of a column tell how many rows fulfil an equality, and an index finds these."""
    values = values_of(compared)
    if known is None or values is None:
        return False
    if known.kind is Stored.LABEL:
        return all(isinstance(one, Label) for one in values)
    leaf = type_.columns.get(type_.field_name(column))
    if leaf is None or leaf.value != f"{{row}}.{column}" or leaf.kind.name not in _KINDS[known.kind]:
        return False
    return known.kind is not Stored.TIME or compared.get("eq") is not None  # an index is not always read for their list


def rows_with(known: Frequencies, values: Sequence[Any], rows: int, least: int = 0) -> int:
    """The approximate number, of ``rows``, with one of some values; ``least``: of each that statistics do not name."""
    found = sum(
        known.rows(rows, one) if known.is_frequent(one) else max(known.rows(rows, one), least) for one in values
    )
    return min(rows, found)

"""Average sizes of values in JSON, by Postgres's statistics or by type."""

from __future__ import annotations

from db.attach.facts import Facts
from schema.catalogue.catalogue import ColumnField, Type
from schema.error_codes import ErrorCode
from schema.errors import GatewayError

FIXED = {"ID": 45, "UUID": 38, "Int": 8, "BigInt": 12, "Float": 12, "Boolean": 5, "DateTime": 29, "Date": 12}
"""Bytes of values of scalars with texts of a fixed length."""
TEXT, DOCUMENT, LIST = 40, 200, 100
"""Default bytes of texts, JSON and lists without statistics."""
NUMBER = 12
"""Bytes of a number of a vector, with its comma."""
AROUND_KEY = 4
"""Bytes of the quotes, the colon and the comma around a key."""


class Sizes:
    """The sizes of a database's values."""

    def __init__(self, facts: Facts, most: int) -> None:
        """``most``: the largest size of a response in bytes."""
        self.most = most
        self._widths = facts.widths
        self._apart = facts.apart
        self._known: dict[tuple[str, str], int] = {}

    def leaf(self, type_: Type, leaf: ColumnField, key: str) -> int:
        """Bytes of a leaf of a row, under a key of the response."""
        known = self._known.get((type_.name, leaf.name))
        if known is None:
            known = self._known[type_.name, leaf.name] = self._value(type_, leaf)
        return known + len(key) + AROUND_KEY

    def key(self, type_: Type, key: str) -> int:
        """Bytes of a key; 0 without statistics on the number of rows."""
        return len(key) + AROUND_KEY if type_.sql_name in self._widths else 0

    def _value(self, type_: Type, leaf: ColumnField) -> int:
        kind = leaf.kind
        if kind.graphql == "Vector":
            column = type_.table.c[leaf.columns[0]]
            return NUMBER * int(getattr(column.type, "dim", None) or 1000)
        if not kind.is_list and kind.graphql in FIXED:
            return FIXED[kind.graphql]
        guess = LIST if kind.is_list else DOCUMENT if kind.graphql == "JSON" else TEXT
        widths = self._widths.get(type_.sql_name, {})
        found = [widths[column] for column in leaf.columns if column in widths]
        if not found:
            return guess
        # long values are stored out of line and compressed: statistics show a width of few bytes
        return (
            2 + sum(found) + (2 * self._apart.get(type_.sql_name, 0) if leaf.kind.graphql in {"JSON", "String"} else 0)
        )


def too_large(limit: int, found: int | None = None) -> GatewayError:
    """The refusal of a response whose size exceeds, or would exceed, the limit."""
    details = {"limit": limit} | ({} if found is None else {"value": found})
    asked = "" if found is None else f" (about {found:,} asked)"
    return GatewayError(
        ErrorCode.ANSWER_LIMIT,
        f"{ErrorCode.ANSWER_LIMIT.message}: the limit is {limit:,}{asked}. Lower `first` on the lists along the path "
        "and page on, or select fewer fields, and short aliases.",
        **details,
    )


class Room:
    """The size of a response against its limit, while rows are read."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0

    @property
    def is_full(self) -> bool:
        """Whether the limit is exceeded."""
        return self.taken > self.most

    def rows(self, size: int) -> int:
        """The number of rows of at least ``size`` bytes that exceeds the limit."""
        return self.most // max(size, 1) + 1

    def take(self, size: int) -> None:
        """Adds ``size`` bytes to the response.

        Raises:
            GatewayError: ``ANSWER_LIMIT``: the limit is exceeded.
        """
        self.taken += size
        if self.is_full:
            raise too_large(self.most)

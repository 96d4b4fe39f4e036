"""Root fields that are not derived from models: the Strawberry field and its cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from schema.catalogue.catalogue import Catalogue, Type
from schema.graph.types import Types

Arguments = Mapping[str, Any]


class Estimates(Protocol):
    """What statistics of the database tell of its rows."""

    def rows(self, type_: Type) -> int:
        """The approximate number of rows of a type."""

    def filled(self, type_: Type, columns: Sequence[str]) -> float:
        """The approximate share, 0 to 1, of a type's rows that have a value in each of some columns."""


def _nothing(_catalogue: Catalogue, _arguments: Arguments, _estimates: Estimates) -> int:
    return 0


@dataclass(frozen=True)
class RootField:
    """A query field outside the catalogue.

    ``make`` returns the Strawberry field. ``rows`` returns, for coerced but not validated arguments, the largest number
    of rows of each nested field that has rows, by field name at any depth, or the expected one where statistics tell
    it. ``reads`` is the number of rows read beyond those.
    """

    make: Callable[[Types], Any]
    rows: Callable[[Catalogue, Arguments, Estimates], Mapping[str, int]]
    reads: Callable[[Catalogue, Arguments, Estimates], int] = _nothing
    counted: Mapping[str, int] = field(default_factory=dict)
    """Points of nested fields per row, by name, if selected."""

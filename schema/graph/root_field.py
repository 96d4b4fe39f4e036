"""Root fields that are not derived from models: the Strawberry field and its cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from schema.catalogue.catalogue import Catalogue
from schema.graph.types import Types

Arguments = Mapping[str, Any]
Sizes = Mapping[str, int]
"""The approximate number of rows of each type, by name."""


def _nothing(_catalogue: Catalogue, _arguments: Arguments, _sizes: Sizes) -> int:
    return 0


@dataclass(frozen=True)
class RootField:
    """A query field outside the catalogue.

    ``make`` returns the Strawberry field. ``rows`` returns, for coerced but not validated arguments, the largest number
    of rows of each nested field that has rows, by field name at any depth. ``reads`` is the number of rows read beyond
    those.
    """

    make: Callable[[Types], Any]
    rows: Callable[[Arguments], Mapping[str, int]]
    reads: Callable[[Catalogue, Arguments, Sizes], int] = _nothing
    counted: Mapping[str, int] = field(default_factory=dict)
    """Points of nested fields per row, by name, if selected."""

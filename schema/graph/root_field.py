"""Exceptional root fields: the Strawberry field and its price."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from schema.catalogue.catalogue import Catalogue
from schema.graph.types import Types

Arguments = Mapping[str, Any]
Sizes = Mapping[str, int]
"""About how many rows each type has, by its name."""


def _nothing(_catalogue: Catalogue, _arguments: Arguments, _sizes: Sizes) -> int:
    return 0


@dataclass(frozen=True)
class RootField:
    """A field of the query that no catalogue root describes.

    ``make`` gives the Strawberry field. ``rows`` says from the coerced arguments, which are not checked yet, how
    many rows at most the field can answer with, by the names of the fields below it that hold them, at whatever depth.
    ``reads`` are the rows that it compares beyond those.
    """

    make: Callable[[Types], Any]
    rows: Callable[[Arguments], Mapping[str, int]]
    reads: Callable[[Catalogue, Arguments, Sizes], int] = _nothing
    counted: Mapping[str, int] = field(default_factory=dict)
    """Points of fields below it that count for each of its rows, by their names, where they are selected."""

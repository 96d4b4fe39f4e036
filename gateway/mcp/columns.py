"""Facts about the graph's fields beyond their types: units, prose, closed vocabularies."""

from __future__ import annotations

from functools import lru_cache

from graphql import GraphQLNamedType, is_enum_type

from db.base.column_facts import NO_FACTS, ColumnFacts, Unit
from schema.schema import Schema

_UNSAID = {Unit.ORDINAL, Unit.DIMENSIONLESS}
"""Units that mean that a number has none."""


class Columns:
    """Facts about fields, by the names of type and field."""

    def __init__(self, schema: Schema) -> None:
        self._catalogue = schema.catalogue
        self._types = {type_.name for type_ in schema.catalogue}
        self._objects = {made.type_name: made for type_ in schema.catalogue for made in type_.objects.values()}
        self.facts = lru_cache(maxsize=None)(self._facts)

    def unit(self, type_name: str, field: str) -> str | None:
        """The unit of a number, None if it has none."""
        unit = self.facts(type_name, field).unit
        return None if unit is None or unit in _UNSAID else unit.value

    def values(self, type_name: str, field: str) -> tuple[str, ...]:
        """The possible values of a text with a closed vocabulary; empty otherwise."""
        return self.facts(type_name, field).values

    def is_prose(self, type_name: str, field: str) -> bool:
        """Whether a text holds sentences by people or models."""
        return self.facts(type_name, field).prose

    def _facts(self, type_name: str, field: str) -> ColumnFacts:
        if made := self._objects.get(type_name):
            return made.leaves[field].facts if field in made.leaves else NO_FACTS
        if type_name not in self._types:  # groups and aggregates of rows are of the same columns
            type_name = type_name.removesuffix("Group").removesuffix("Aggregate")
            if type_name not in self._types:
                return NO_FACTS
        column = self._catalogue[type_name].columns.get(field)
        return column.facts if column else NO_FACTS

    @staticmethod
    def is_enum(type_: GraphQLNamedType) -> bool:
        """Whether a type's values are fixed by the schema."""
        return is_enum_type(type_)

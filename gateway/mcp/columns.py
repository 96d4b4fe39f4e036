"""What is known of the graph's fields beyond their types: units, prose, closed vocabularies."""

from __future__ import annotations

from graphql import GraphQLNamedType, is_enum_type

from schema.schema import Schema


class Columns:
    """Facts of fields by the names of type and field."""

    def __init__(self, schema: Schema) -> None:
        self._catalogue = schema.catalogue

    def unit(self, type_name: str, field: str) -> str | None:  # noqa: ARG002
        """The unit of a number, None where it has none."""
        return None

    def values(self, type_name: str, field: str) -> tuple[str, ...]:  # noqa: ARG002
        """The words that a text may be, where they are closed."""
        return ()

    def is_prose(self, type_name: str, field: str) -> bool:  # noqa: ARG002
        """Whether a text was written by people or models, in sentences."""
        return False

    @staticmethod
    def is_enum(type_: GraphQLNamedType) -> bool:
        """Whether its values are the schema's own words."""
        return is_enum_type(type_)

"""Strawberry: the schema of graphql-core that it builds."""

from __future__ import annotations

import strawberry
from graphql import GraphQLSchema


class StrawberrySchema(strawberry.Schema):
    """A schema of Strawberry's that says what it has made for graphql-core."""

    @property
    def graphql(self) -> GraphQLSchema:
        """The schema as graphql-core has it, for parsing, validation and selections."""
        return self._schema

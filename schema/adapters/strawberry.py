"""Strawberry: access to the graphql-core schema that it builds."""

from __future__ import annotations

import strawberry
from graphql import GraphQLSchema


class StrawberrySchema(strawberry.Schema):
    """A Strawberry schema that exposes the graphql-core schema it has built."""

    @property
    def graphql(self) -> GraphQLSchema:
        """The graphql-core schema, for parsing, validation and selections."""
        return self._schema

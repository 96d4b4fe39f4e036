"""Strawberry: access to the graphql-core schema that it builds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import strawberry
from graphql import GraphQLSchema
from strawberry.annotation import StrawberryAnnotation


class StrawberrySchema(strawberry.Schema):
    """A Strawberry schema that exposes the graphql-core schema it has built."""

    @property
    def graphql(self) -> GraphQLSchema:
        """The graphql-core schema, for parsing, validation and selections."""
        return self._schema


def annotate(cls: type, annotations: Mapping[str, Any]) -> None:
    """Gives a class that is made at run time its annotations, without forward references."""
    cls.__annotations__ = {name: _evaluated(annotation) for name, annotation in annotations.items()}


@cache
def _evaluated(annotation: Any) -> StrawberryAnnotation:
    """An annotation as fields take it. Equal ones are one, which is evaluated once: Strawberry evaluates others for
    each field, and again when it knows the field's module."""
    return StrawberryAnnotation(annotation, namespace={})

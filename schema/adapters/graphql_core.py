"""graphql-core: what the executor and the coercion of variables are made of, which it does not export."""

from __future__ import annotations

from graphql.execution.collect_fields import FieldDetailsList, GroupedFieldSet
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValueSource

__all__ = [
    "FieldDetailsList",
    "GraphQLVariableSignature",
    "GroupedFieldSet",
    "VariableValueSource",
    "get_variable_signature",
]

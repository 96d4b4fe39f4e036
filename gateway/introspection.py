"""What introspection costs: it runs no SQL, but a few aliases deep in it can ask for hundreds of megabytes."""

from __future__ import annotations

from collections.abc import Iterator

from graphql import (
    FragmentDefinitionNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    get_introspection_query,
    parse,
)
from graphql.execution.values import VariableValues

from schema.selection import Operation, Selection

ROOTS = {"__schema", "__type"}
ALLOWANCE = 2
"""How many times the standard introspection query an operation may ask for."""


class Introspection:
    """Prices introspection by how many types, fields, arguments and values the schema has on average."""

    def __init__(self, schema: GraphQLSchema) -> None:
        types = list(schema.type_map.values())
        objects = [type_ for type_ in types if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType)]
        fields = [field for type_ in objects for field in type_.fields.values()]
        inputs = [len(type_.fields) for type_ in types if isinstance(type_, GraphQLInputObjectType)]
        values = [len(type_.values) for type_ in types if isinstance(type_, GraphQLEnumType)]
        self._lengths = {
            "types": float(len(types)),
            "fields": len(fields) / len(types),
            "args": sum(len(field.args) for field in fields) / len(fields),
            "inputFields": sum(inputs) / len(types),
            "enumValues": sum(values) / len(types),
            "possibleTypes": len(objects) / len(types),
            "interfaces": len(objects) / len(types),
            "directives": float(len(schema.directives)),
            "locations": 5.0,
        }
        self.limit = int(ALLOWANCE * self._standard(schema))

    def _standard(self, schema: GraphQLSchema) -> float:
        """The price of the query that tools send, with everything that they may add to it."""
        query = get_introspection_query(
            specified_by_url=True,
            directive_is_repeatable=True,
            schema_description=True,
            input_value_deprecation=True,
        )
        document = parse(query)
        (definition,) = (node for node in document.definitions if isinstance(node, OperationDefinitionNode))
        fragments = {n.name.value: n for n in document.definitions if isinstance(n, FragmentDefinitionNode)}
        operation = Operation(schema, definition, fragments, VariableValues({}, {}))
        return self.price(operation.root)

    def price(self, root: Selection) -> float:
        """About how many values the introspection below the operation's root answers with."""
        return sum(self._price(field) for field in root.fields.values() if field.name in ROOTS)

    def _price(self, selection: Selection) -> float:
        below = 1 + sum(self._price(child) for child in self._children(selection))
        return self._lengths.get(selection.name, 1.0) * below

    def _children(self, selection: Selection) -> Iterator[Selection]:
        if selection.concrete_types():
            yield from selection.fields.values()

"""The cost of introspection: it runs no SQL, but a few nested aliases can select hundreds of megabytes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import orjson
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    execute_sync,
    get_introspection_query,
    parse,
)
from graphql.execution.values import VariableValues

from schema.catalogue import exact_json
from schema.catalogue.selection import Operation, Selection
from schema.execution.plans import KnownOperation, Plan
from schema.runner import Outcome

ROOTS = {"__schema", "__type"}
ALLOWANCE = 2
"""The allowed introspection of an operation, as a multiple of the standard query."""
BESIDE_ROWS = 500
"""The part of that allowance for operations that select rows, too; no tool does."""
KEPT = 16_000_000
"""Bytes of cached responses; that of the standard query has less than three million."""


class Introspection:
    """Computes the cost of introspection, from the schema's average numbers of types, fields, arguments and values."""

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
        """The cost of the standard query of tools, with all its options."""
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
        """The approximate number of values in the introspection below the operation's root."""
        return sum(self._price(field) for field in root.fields.values() if field.name in ROOTS)

    def _price(self, selection: Selection) -> float:
        below = 1 + sum(self._price(child) for child in self._children(selection))
        return self._lengths.get(selection.name, 1.0) * below

    def _children(self, selection: Selection) -> Iterator[Selection]:
        if selection.concrete_types():
            yield from selection.fields.values()


class AboutSchema:
    """Answers operations that select introspection alone, which is constant while the process runs.

    The standard query takes seconds of Python. It is executed in a thread, one at a time, so that other requests are
    answered meanwhile, and cached.
    """

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._one = asyncio.Lock()
        self._kept: OrderedDict[tuple[str, bytes], dict[str, orjson.Fragment]] = OrderedDict()
        self._sizes: dict[tuple[str, bytes], int] = {}

    def concerns(self, known: KnownOperation, plan: Plan) -> bool:
        """Whether an operation selects introspection alone."""
        nodes = (plan.rest or known).definition.selection_set.selections
        names = {node.name.value if isinstance(node, FieldNode) else "" for node in nodes}
        return bool(names & ROOTS) and names <= ROOTS | {"__typename"}

    async def answer(self, known: KnownOperation, plan: Plan, given: dict[str, Any]) -> Outcome:
        """The outcome of an operation, for its variables as given."""
        text = known.document.loc.source.body if known.document.loc else ""
        name = known.definition.name.value if known.definition.name else None
        key = text, exact_json.dumps([name, given])
        async with self._one:
            if (kept := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return Outcome(kept)
            document = (plan.rest or known).document
            result = await asyncio.to_thread(
                execute_sync, self._schema, document, variable_values=given, operation_name=name
            )
            if result.errors or result.data is None:
                return Outcome(result.data, list(result.errors or []))
            return Outcome(self._keep(key, result.data))

    def _keep(self, key: tuple[str, bytes], data: dict[str, Any]) -> dict[str, orjson.Fragment]:
        """The values of a response as JSON, cached while there is room."""
        written = {name: orjson.dumps(value) for name, value in data.items()}
        self._sizes[key] = len(key[0]) + sum(map(len, written.values()))
        self._kept[key] = {name: orjson.Fragment(value) for name, value in written.items()}
        found = self._kept[key]
        while sum(self._sizes.values()) > KEPT:
            dropped, _ = self._kept.popitem(last=False)
            del self._sizes[dropped]
        return found

"""The selection tree of an operation, with coerced arguments; used by cost, loaders and compiler.

The tree is lazy: the fields below an abstract type are collected when a concrete type is requested.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from graphql import (
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLIncludeDirective,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLSkipDirective,
    GraphQLUnionType,
    InlineFragmentNode,
    NullValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    VariableNode,
    get_named_type,
    located_error,
)
from graphql.execution.values import VariableValues, get_argument_values, get_directive_values
from graphql.pyutils import Path


@dataclass
class Operation:
    """One validated operation with its coerced variables."""

    schema: GraphQLSchema
    definition: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: VariableValues

    @property
    def changes(self) -> bool:
        """Whether it is a mutation."""
        return self.definition.operation is OperationType.MUTATION

    @cached_property
    def root(self) -> Selection:
        """The operation as a selection of its root type."""
        type_ = self.schema.get_root_type(self.definition.operation)
        assert type_ is not None  # noqa: S101 - validation refuses operations without a root type
        return Selection(self, "", "", [], GraphQLField(type_), [self.definition])

    def at(self, path: Path | None) -> Selection:
        """The selection of the field at a response path, list indices aside; the operation's own at none."""
        keys: list[tuple[str, str]] = []
        step: Path | None = path
        while step is not None:
            if isinstance(step.key, str):
                keys.append((step.key, step.typename or ""))  # list indices have no type name
            step = step.prev
        selection = self.root
        for key, type_name in reversed(keys):
            selection = selection.on(type_name)[key]
        return selection

    def included(self, node: SelectionNode) -> bool:
        """Whether ``@skip`` and ``@include`` include the selection."""
        directives: Sequence[DirectiveNode] = node.directives or ()
        if not directives:
            return True
        skip = get_directive_values(GraphQLSkipDirective, node, self.variables)
        if skip and skip["if"] is True:
            return False
        include = get_directive_values(GraphQLIncludeDirective, node, self.variables)
        return not (include and include["if"] is False)


@dataclass
class Selection:
    """A field of the response: its key, name, merged nodes, and the selection below it."""

    operation: Operation
    key: str
    name: str
    nodes: list[FieldNode]
    definition: GraphQLField
    _sources: Sequence[Any]
    _by_type: dict[str, dict[str, Selection]] = field(default_factory=dict)

    @cached_property
    def arguments(self) -> dict[str, Any]:
        """The coerced arguments by their GraphQL names.

        Raises:
            GraphQLError: A value does not fit its argument's type.
        """
        if not self.nodes:
            return {}
        return get_argument_values(self.definition, self.nodes[0], self.operation.variables)

    def gives(self, name: str) -> bool:
        """Whether the operation gives an argument, other than null: a default of the schema is not given."""
        for argument in self.nodes[0].arguments or ():
            if argument.name.value == name:
                if isinstance(argument.value, VariableNode):
                    return self.operation.variables.coerced.get(argument.value.name.value) is not None
                return not isinstance(argument.value, NullValueNode)
        return False

    def collected(self) -> Iterator[Selection]:
        """The fields below that were collected so far, of all types."""
        for fields in self._by_type.values():
            yield from fields.values()

    @property
    def path(self) -> tuple[str, ...]:
        """The path of the field in the response: keys, without list indices."""
        below: list[tuple[Selection, tuple[str, ...]]] = [(self.operation.root, ())]
        while below:
            one, path = below.pop()
            if one is self:
                return path
            below += [(child, (*path, child.key)) for child in one.collected()]
        return (self.key,)

    def located(self, error: Exception) -> GraphQLError:
        """An error as that of the field; one that is of a field already is kept."""
        return located_error(error, self.nodes, list(self.path))

    @property
    def type_name(self) -> str:
        """The name of the field's type without list and non-null."""
        return str(get_named_type(self.definition.type).name)

    def on(self, type_name: str) -> dict[str, Selection]:
        """The fields selected on a concrete type, by response key, in the order of the response."""
        found = self._by_type.get(type_name)
        if found is None:
            found = self._by_type[type_name] = self._collect(type_name)
        return found

    @property
    def fields(self) -> dict[str, Selection]:
        """The fields selected below, if the type is an object type."""
        return self.on(self.type_name)

    def concrete_types(self) -> list[str]:
        """The possible object types: the field's own, or those in type conditions of an abstract type."""
        named = get_named_type(self.definition.type)
        if isinstance(named, GraphQLObjectType):
            return [named.name]
        if isinstance(named, GraphQLInterfaceType | GraphQLUnionType):
            return [type_.name for type_ in self.operation.schema.get_possible_types(named)]
        return []

    def _collect(self, type_name: str) -> dict[str, Selection]:
        type_ = self.operation.schema.get_type(type_name)
        assert isinstance(type_, GraphQLObjectType)  # noqa: S101 - only concrete types have fields to collect
        merged: dict[str, list[FieldNode]] = {}
        spread: set[str] = set()
        for source in self._sources:
            if source.selection_set:
                for node in self._fields_of(source.selection_set.selections, type_, spread):
                    key = node.alias.value if node.alias else node.name.value
                    merged.setdefault(key, []).append(node)
        selections = {}
        for key, nodes in merged.items():
            definition = self.operation.schema.get_field(type_, nodes[0].name.value)
            if definition is not None:
                selections[key] = Selection(self.operation, key, nodes[0].name.value, nodes, definition, nodes)
        return selections

    def _fields_of(
        self, selections: Sequence[SelectionNode], type_: GraphQLObjectType, spread: set[str]
    ) -> Iterator[FieldNode]:
        for node in selections:
            if not self.operation.included(node):
                continue
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, InlineFragmentNode):
                if self._applies(node.type_condition.name.value if node.type_condition else None, type_):
                    yield from self._fields_of(node.selection_set.selections, type_, spread)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in spread:
                spread.add(node.name.value)
                fragment = self.operation.fragments[node.name.value]
                if self._applies(fragment.type_condition.name.value, type_):
                    yield from self._fields_of(fragment.selection_set.selections, type_, spread)

    def _applies(self, condition: str | None, type_: GraphQLObjectType) -> bool:
        if condition is None or condition == type_.name:
            return True
        abstract = self.operation.schema.get_type(condition)
        return isinstance(abstract, GraphQLInterfaceType | GraphQLUnionType) and self.operation.schema.is_sub_type(
            abstract, type_
        )


def node_selections(connection: Selection) -> list[Selection]:
    """The selections on a connection's rows: those of ``nodes`` and those of ``edges { node }``."""
    found = []
    for child in connection.fields.values():
        if child.name == "nodes":
            found.append(child)
        elif child.name == "edges":
            found.extend(node for node in child.fields.values() if node.name == "node")
    return found


def is_unsized(connection: Selection) -> bool:
    """Whether a list is selected without a size and without the fields that tell whether it was cut."""
    names = {child.name for child in connection.fields.values()}
    asked = connection.arguments
    rows = bool(names & {"nodes", "edges"}) and "pageInfo" not in names
    return rows and asked.get("first") is None and asked.get("last") is None


def cut_unsaid(
    selection: Selection, limits: Iterable[str], shown: Collection[str], told: Collection[str]
) -> Counter[tuple[str, ...]]:
    """The path of a field that was cut by the limits of these arguments, if one of them is a default, and if the field
    is selected with what is ``shown`` of it, but not with what is ``told`` of the cut."""
    names = {child.name for child in selection.fields.values()}
    silent = not names.isdisjoint(shown) and names.isdisjoint(told)
    return Counter([selection.path] if silent and not all(selection.gives(limit) for limit in limits) else [])

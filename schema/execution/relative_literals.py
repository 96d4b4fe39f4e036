"""Relative times in literals of a document become variables, so that each request resolves its own.

A cached plan contains the document's literals, and reads variables anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLList,
    GraphQLSchema,
    ListValueNode,
    NameNode,
    OperationDefinitionNode,
    StringValueNode,
    TypeInfo,
    TypeInfoVisitor,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    get_named_type,
    get_nullable_type,
    parse_type,
    value_from_ast_untyped,
    visit,
)

from schema.catalogue.relative_times import START, TYPES, is_relative


@dataclass(frozen=True)
class OpenedDocument:
    """An operation whose relative times are variables."""

    document: DocumentNode
    definition: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]
    hidden: Mapping[str, str] = field(default_factory=dict)
    """Variables that replace literals, with their texts."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Values of omitted variables whose defaults contain such times."""


def opened(
    schema: GraphQLSchema,
    document: DocumentNode,
    definition: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
) -> OpenedDocument:
    """A valid operation with variables in place of relative times; unchanged if it has none."""
    text = document.loc.source.body if document.loc else START
    if START not in text and "\\u" not in text:
        return OpenedDocument(document, definition, fragments)
    alone = DocumentNode(definitions=(definition, *fragments.values()), loc=document.loc)
    info = TypeInfo(schema)
    opening = _LiteralReplacer(info, {node.variable.name.value for node in definition.variable_definitions or ()})
    made = visit(alone, TypeInfoVisitor(info, opening))
    if not opening.hidden and not opening.defaults:
        return OpenedDocument(document, definition, fragments)
    changed: OperationDefinitionNode = made.definitions[0]
    whole = OperationDefinitionNode(
        operation=changed.operation,
        name=changed.name,
        variable_definitions=(*(changed.variable_definitions or ()), *opening.definitions()),
        directives=changed.directives,
        selection_set=changed.selection_set,
        loc=changed.loc,
    )
    parts = {node.name.value: node for node in made.definitions[1:]}
    return OpenedDocument(
        DocumentNode(definitions=(whole, *parts.values()), loc=document.loc),
        whole,
        parts,
        {name: said for (said, _), name in opening.hidden.items()},
        opening.defaults,
    )


class _LiteralReplacer(Visitor):
    """Replaces such literals, and collects the variables with one in their default."""

    def __init__(self, info: TypeInfo, taken: set[str]) -> None:
        super().__init__()
        self.hidden: dict[tuple[str, str], str] = {}
        """The names of variables by text and type."""
        self.defaults: dict[str, Any] = {}
        self._info = info
        self._names = (name for name in (f"_now{number}" for number in count()) if name not in taken)
        self._default: VariableDefinitionNode | None = None

    def definitions(self) -> Iterator[VariableDefinitionNode]:
        for (_, type_), name in self.hidden.items():
            variable = VariableNode(name=NameNode(value=name))
            yield VariableDefinitionNode(variable=variable, type=parse_type(type_), default_value=None, directives=())

    def enter_variable_definition(self, node: VariableDefinitionNode, *_: Any) -> None:
        self._default = node

    def leave_variable_definition(self, *_: Any) -> None:
        self._default = None

    def enter_string_value(self, node: StringValueNode, *_: Any) -> VariableNode | ListValueNode | None:
        type_ = self._info.get_input_type()
        if not is_relative(node.value) or type_ is None or get_named_type(type_).name not in TYPES:
            return None
        if self._default is not None:
            assert self._default.default_value is not None  # noqa: S101 - the default that contains this text
            name = self._default.variable.name.value
            self.defaults[name] = value_from_ast_untyped(self._default.default_value)
            return None
        nullable = get_nullable_type(type_)
        item = nullable.of_type if isinstance(nullable, GraphQLList) else None  # a single text in place of a list
        key = node.value, str(item or type_)
        if key not in self.hidden:
            self.hidden[key] = next(self._names)
        variable = VariableNode(name=NameNode(value=self.hidden[key]), loc=node.loc)
        return ListValueNode(values=(variable,), loc=node.loc) if item else variable

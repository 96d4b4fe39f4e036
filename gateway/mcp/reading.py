"""Queries of tools: the fields that are added to tell whether the answer is complete, and the type of each value.

``pageInfo`` and the cursors of rows are added to every connection, ``complete`` to every type that has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    GraphQLSyntaxError,
    InlineFragmentNode,
    IntValueNode,
    NameNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    TypeInfo,
    TypeInfoVisitor,
    VariableNode,
    Visitor,
    get_named_type,
    is_composite_type,
    parse,
    print_ast,
    visit,
)

from gateway.mcp.envelope import ToolError
from gateway.settings import Settings
from schema.error_codes import ErrorCode, ToolCode

MAX_PLACES = 20_000
"""Fields of a query, with fragments expanded."""
PAGE_INFO, EDGES, NODES, COMPLETE = "pageInfo", "edges", "nodes", "complete"


@dataclass
class Place:
    """A place in a response: a field of a type, and the selection below it."""

    parent: str
    """The type or interface that has the field."""
    name: str
    type: GraphQLNamedType
    below: dict[str, list[Place]] = field(default_factory=dict)
    """By the keys of the response; several if the type is an interface or a union."""
    asked: frozenset[str] = frozenset()
    """The keys that the caller has selected, without added ones."""
    last: str | bool = False
    """The argument ``last`` of a connection: the name of its variable, or whether it has a value."""

    @property
    def is_connection(self) -> bool:
        """Whether it is a connection."""
        return PAGE_INFO in getattr(self.type, "fields", {})

    @property
    def says_complete(self) -> bool:
        """Whether its type has the field ``complete``."""
        return COMPLETE in getattr(self.type, "fields", {}) and not self.is_connection


@dataclass(frozen=True)
class Reading:
    """A query that is ready to run."""

    text: str
    root: Place


def parsed(text: str, settings: Settings) -> tuple[DocumentNode, OperationDefinitionNode]:
    """A document with a single query.

    Raises:
        ToolError: It is not one.
    """
    try:
        document = parse(text, no_location=True, max_lexical_tokens=settings.max_tokens)
    except (GraphQLSyntaxError, RecursionError) as error:
        message = error.message if isinstance(error, GraphQLSyntaxError) else "It is nested too deeply."
        raise ToolError(ErrorCode.GRAPHQL_PARSE_FAILED, message, _EXAMPLE) from None
    operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    if len(operations) != 1:
        raise ToolError(
            ToolCode.BAD_QUERY, f"The document has {len(operations)} operations.", "Send exactly one query."
        )
    kind = operations[0].operation
    if kind is not OperationType.QUERY:
        changes = "Use preview_change." if settings.mcp == "change" else "Changes go by GraphQL at /graphql."
        advice = changes if kind is OperationType.MUTATION else "Ask again later instead."
        raise ToolError(ToolCode.READ_ONLY, f"query runs no {kind.value}.", advice)
    return document, operations[0]


_EXAMPLE = "Send one query such as { models(first: 5) { nodes { id modelName } } }."


def read(schema: GraphQLSchema, document: DocumentNode, settings: Settings) -> Reading:
    """A validated document with the added fields.

    Raises:
        ToolError: It selects introspection fields, or is too large.
    """
    document = visit(document, _IntrospectionRemover(shown=settings.introspection))
    info = TypeInfo(schema)
    made = visit(document, TypeInfoVisitor(info, _FieldAdder(info)))
    return Reading(print_ast(made), _Places(schema, document).root())


class _IntrospectionRemover(Visitor):
    def __init__(self, *, shown: bool) -> None:
        super().__init__()
        self._advice = "Use find_fields or describe_type." if shown else "Ask for rows; the schema is not shown here."

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        if node.name.value in {"__schema", "__type"}:
            raise ToolError(ToolCode.NO_INTROSPECTION, "query does not show the schema.", self._advice)


class _FieldAdder(Visitor):
    """Adds fields to selections of types that can tell whether they are complete."""

    def __init__(self, info: TypeInfo) -> None:
        super().__init__()
        self._info = info

    def leave_field(self, node: FieldNode, *_: Any) -> FieldNode | None:
        type_ = get_named_type(self._info.get_type())
        if node.selection_set is None or type_ is None:
            return None
        added = [*self._added(type_, node.selection_set)]
        if not added:
            return None
        return FieldNode(
            alias=node.alias, name=node.name, arguments=node.arguments, directives=node.directives,
            selection_set=SelectionSetNode(selections=(*node.selection_set.selections, *added)),
        )  # fmt: skip

    def _added(self, type_: GraphQLNamedType, selected: SelectionSetNode) -> Iterator[FieldNode]:
        fields: dict[str, GraphQLField] = getattr(type_, "fields", {})
        if PAGE_INFO in fields:
            if _names(selected) & {NODES, EDGES}:
                yield _field(PAGE_INFO, "hasNextPage", "endCursor", "hasPreviousPage", "startCursor")
                yield _field(EDGES, "cursor")
        elif COMPLETE in fields:
            yield _field(COMPLETE)


def _names(selected: SelectionSetNode) -> set[str]:
    """The names of a selection's fields; a fragment counts as all fields."""
    names: set[str] = set()
    for node in selected.selections:
        names |= {node.name.value} if isinstance(node, FieldNode) else {NODES, EDGES}
    return names


def _field(name: str, *below: str) -> FieldNode:
    selections = SelectionSetNode(selections=tuple(_field(one) for one in below)) if below else None
    return FieldNode(name=NameNode(value=name), arguments=(), directives=(), selection_set=selections)


class _Places:
    """The tree of places of a document, with fragments expanded."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._fragments = {
            one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)
        }
        self._operation = next(one for one in document.definitions if isinstance(one, OperationDefinitionNode))
        self._count = 0

    def root(self) -> Place:
        query = self._schema.query_type
        assert query is not None  # noqa: S101 - the graph has one
        root = Place("", "", query)
        self._fill(root, query, self._operation.selection_set)
        return root

    def _fill(self, place: Place, type_: GraphQLNamedType, selected: SelectionSetNode) -> None:
        for node in selected.selections:
            if isinstance(node, FieldNode):
                self._add(place, type_, node)
            elif isinstance(node, FragmentSpreadNode):
                fragment = self._fragments[node.name.value]
                self._fill(place, self._schema.type_map[fragment.type_condition.name.value], fragment.selection_set)
            elif isinstance(node, InlineFragmentNode):
                on = self._schema.type_map[node.type_condition.name.value] if node.type_condition else type_
                self._fill(place, on, node.selection_set)

    def _add(self, place: Place, type_: GraphQLNamedType, node: FieldNode) -> None:
        self._count += 1
        if self._count > MAX_PLACES:
            raise ToolError(ErrorCode.FIELD_LIMIT, "The query has too many fields.", "Ask for less at once.")
        key = node.alias.value if node.alias else node.name.value
        place.asked |= {key}
        found: GraphQLField | None = getattr(type_, "fields", {}).get(node.name.value)
        if found is None:  # __typename
            return
        named = get_named_type(found.type)
        known = place.below.setdefault(key, [])
        here = next((one for one in known if one.parent == type_.name and one.name == node.name.value), None)
        if here is None:
            here = Place(type_.name, node.name.value, named)
            known.append(here)
        for argument in node.arguments or ():
            if argument.name.value == "last":
                value = argument.value
                here.last = value.name.value if isinstance(value, VariableNode) else isinstance(value, IntValueNode)
        if node.selection_set and is_composite_type(named):
            self._fill(here, named, node.selection_set)

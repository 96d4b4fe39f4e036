"""Documents: limited in size, parsed and validated once, and cached."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLSyntaxError,
    ListValueNode,
    Node,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_nullable_type,
    parse,
    validate,
)
from graphql.validation import (
    NoSchemaIntrospectionCustomRule,
    ValidationRule,
    ValuesOfCorrectTypeRule,
    specified_rules,
)

from gateway.operations.refusals import SHALLOWER, RefusedDocumentError, refuse
from gateway.settings import Settings
from schema.adapters.graphql_core import has_too_many_tokens, is_nested_too_deeply
from schema.catalogue.exact_json import cut
from schema.error_codes import ErrorCode
from schema.errors import GatewayError
from schema.execution.coercions import holds_rows
from schema.execution.input_errors import PlacedValuesRule
from schema.execution.plans import KnownOperation
from schema.fields.column_facts import COLUMN_FACTS
from schema.fields.entities import SERVICE
from schema.names.hints import hinted
from schema.schema import Schema

MAX_ERRORS = 20
"""Errors reported for one document or one set of variables."""
MAX_PAIRS = 3_000
"""Pairs of selections with the same response key in one place: validation compares each pair, and all below it."""


@dataclass(frozen=True)
class Document:
    """A parsed and validated document."""

    ast: DocumentNode
    operations: dict[str, OperationDefinitionNode]
    fragments: dict[str, FragmentDefinitionNode]
    asked: dict[str | None, KnownOperation] = field(default_factory=dict)
    """Operations by the name in the request, once selected."""

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """The operation to execute.

        Raises:
            GatewayError: ``OPERATION_NOT_FOUND``: no operation has the name, or the name is required and missing.
        """
        if found := self.operations.get(name) if name is not None else self._only():
            return found
        names = ", ".join(sorted(filter(None, self.operations))[:20]) or "none"
        if name is not None and self._only() and not any(self.operations):
            message = (
                f"The document has no operation {name!r}: its only one has no name. Leave operationName out, or name "
                "it in the document."
            )
        elif name is None:
            message = f"The document has {len(self.operations)} operations ({names}); name one in operationName."
        else:
            message = f"The document has no operation {name!r}; its operations are: {names}."
        raise GatewayError(ErrorCode.OPERATION_NOT_FOUND, message)

    def _only(self) -> OperationDefinitionNode | None:
        return next(iter(self.operations.values())) if len(self.operations) == 1 else None


class NoServiceRule(ValidationRule):
    """Refuses the field ``_service``, where introspection is disabled."""

    def enter_field(self, node: FieldNode, *_args: Any) -> None:
        if (name := node.name.value) in {SERVICE, COLUMN_FACTS}:
            self.report_error(GraphQLError(f"Introspection is disabled, and {name} reads the schema.", node))


class Documents:
    """Parses and validates documents, and caches the last valid ones.

    ``capacity`` bounds the characters of the cached texts. For each character a syntax tree takes some 80 bytes, from
    50 with long names to 280 with short ones: the cache takes about 12 MB, and 42 MB at most. A text longer than a
    tenth of the capacity is not cached.
    """

    def __init__(self, schema: Schema, settings: Settings, capacity: int = 150_000) -> None:
        self._schema = schema.graphql
        self._suggestions = schema.suggestions if settings.introspection else None
        self._settings = settings
        rules = [PlacedValuesRule if rule is ValuesOfCorrectTypeRule else rule for rule in specified_rules]
        self._rules = [*rules, *([] if settings.introspection else [NoSchemaIntrospectionCustomRule, NoServiceRule])]
        self.hits = self.misses = 0
        self._capacity = capacity
        self._size = 0
        self._kept: OrderedDict[str, Document] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, text: str) -> Document:
        """The document of a text.

        Raises:
            RefusedDocumentError: It does not parse, is invalid, or exceeds a limit; with an error for each reason.
        """
        if kept := self._kept.get(text):
            self._kept.move_to_end(text)
            self.hits += 1
            return kept
        self.misses += 1
        document = self._read(text)
        if len(text) > self._capacity // 10:
            return document
        self._kept[text] = document
        self._size += len(text)
        while self._size > self._capacity:
            dropped, _ = self._kept.popitem(last=False)
            self._size -= len(dropped)
        return document

    def _read(self, text: str) -> Document:
        ast = self._parse(text)
        self._count(ast)
        try:
            errors = validate(self._schema, ast, self._rules, MAX_ERRORS, hide_suggestions=True)
        except RecursionError:
            raise RefusedDocumentError(self._too_deep(None)) from None
        if [error.message for error in errors] == ["Validation aborted."]:  # a limit of validation
            raise RefusedDocumentError(self._too_deep(None))
        if self._suggestions:
            errors = list(hinted(errors, self._suggestions))
        if errors:  # the last one may say that there were more
            raise RefusedDocumentError(*(_with_code(error, ErrorCode.GRAPHQL_VALIDATION_FAILED) for error in errors))
        return Document(
            ast,
            {node.name.value if node.name else "": node for node in _of(ast, OperationDefinitionNode)},
            {node.name.value: node for node in _of(ast, FragmentDefinitionNode)},
        )

    def _parse(self, text: str) -> DocumentNode:
        limits = self._settings
        if len(text) > limits.max_document:
            advice = "Split the document, and pass long values as variables."
            size = refuse(ErrorCode.DOCUMENT_LIMIT, limits.max_document, len(text), advice)
            raise RefusedDocumentError(size)
        try:
            return parse(text, max_lexical_tokens=limits.max_tokens, max_comments=limits.max_tokens)
        except GraphQLSyntaxError as error:
            if has_too_many_tokens(error):
                advice = "Split the document, or pass values as variables."
                raise RefusedDocumentError(refuse(ErrorCode.TOKEN_LIMIT, limits.max_tokens, None, advice)) from None
            if is_nested_too_deeply(error):
                raise RefusedDocumentError(self._too_deep(None)) from None
            raise RefusedDocumentError(_with_code(error, ErrorCode.GRAPHQL_PARSE_FAILED)) from None

    def _too_deep(self, found: int | None) -> GatewayError:
        return refuse(ErrorCode.DEPTH_LIMIT, self._settings.max_depth, found, SHALLOWER)

    def _count(self, ast: DocumentNode) -> None:
        """Counts, before validation, what validation is slow on.

        Raises:
            RefusedDocumentError: A limit is exceeded.
        """
        limits = self._settings
        aliases = directives = deepest = 0
        for node, depth in _walk(ast):
            aliases += isinstance(node, FieldNode) and node.alias is not None
            directives += isinstance(node, DirectiveNode)
            deepest = max(deepest, depth)
        checks = (
            (ErrorCode.ALIAS_LIMIT, limits.max_aliases, aliases,
             "Use nodes(ids:) or a list with arguments in place of many aliased fields."),
            (ErrorCode.DIRECTIVE_LIMIT, limits.max_directives, directives,
             "Put @skip and @include on a fragment in place of every field."),
            (ErrorCode.VALUE_DEPTH_LIMIT, limits.max_value_depth, deepest,
             "Join conditions side by side in `and` or `or`."),
            (ErrorCode.REPEAT_LIMIT, MAX_PAIRS, _pairs(ast),
             "Select each field once, with all that is wanted below it."),
        )  # fmt: skip
        for code, limit, found, advice in checks:
            if found > limit:
                raise RefusedDocumentError(refuse(code, limit, found, advice))


MARKS = 3
"""Commas and brackets for each allowed value of the variables, above which a body is refused before JSON parsing: at
most two for each, and some beside the variables."""
MAX_OBJECTS = 2_500
"""Objects in variables that are coerced by types of the schema, such as filters: each blocks the event loop for some 50
microseconds. Objects within JSON values are not counted."""

_NESTED = (dict, list)


def too_many_values(which: str, limit: int, count: int | None = None) -> GatewayError:
    """The refusal for too many values or objects."""
    return refuse(ErrorCode.VALUE_LIMIT, limit, count, "Send fewer at once.", f"{which} too many values")


def check_objects(types: Iterable[tuple[str, Any]], variables: Mapping[str, Any]) -> None:
    """Checks the number of objects in the variables that have an input type of their own.

    Raises:
        RefusedDocumentError: There are more than `MAX_OBJECTS`.
    """
    count = 0
    pending = [(type_, variables.get(name)) for name, type_ in types]
    while pending:
        type_, value = pending.pop()
        type_ = get_nullable_type(type_)
        if holds_rows(type_):
            continue  # recorded rows are read without such objects, and their values are counted
        if isinstance(type_, GraphQLList):
            pending.extend((type_.of_type, item) for item in (value if isinstance(value, list) else [value]))
        elif isinstance(type_, GraphQLInputObjectType) and isinstance(value, dict):
            count += 1
            fields = type_.fields
            pending.extend(
                (fields[name].type, item)
                for name, item in value.items()
                if isinstance(item, _NESTED) and name in fields
            )
    if count > MAX_OBJECTS:
        what, advice = "The variables hold too many objects, such as filters", "Use `in` for many values of one field."
        raise RefusedDocumentError(refuse(ErrorCode.VALUE_LIMIT, MAX_OBJECTS, count, advice, what))


def most_values(settings: Settings) -> int:
    """The largest number of values that any variables may hold."""
    return max(settings.max_values, settings.max_recorded_values)


def check_values(variables: dict[str, Any], settings: Settings) -> int:
    """The number of values in the variables, whose nesting is checked too, before they are coerced.

    Raises:
        RefusedDocumentError: There are too many values, or they are nested too deeply.
    """
    level: list[Any] = [value for value in variables.values() if isinstance(value, _NESTED)]
    count, depth, most = len(variables), 0, most_values(settings)
    while level:
        depth += 1
        if depth > settings.max_value_depth:
            advice = "Join conditions side by side in `and` or `or`."
            what = f"The variable ${_deepest(variables)} is nested too deeply"
            raise RefusedDocumentError(
                refuse(ErrorCode.VALUE_DEPTH_LIMIT, settings.max_value_depth, None, advice, what)
            )
        count += sum(len(value) for value in level)
        if count > most:
            raise RefusedDocumentError(too_many_values("The variables hold", most, count))
        level = [
            item
            for value in level
            for item in (value.values() if isinstance(value, dict) else value)
            if isinstance(item, _NESTED)
        ]
    return count


def _deepest(variables: Mapping[str, Any]) -> str:
    """The name of the variable that is nested most deeply."""
    level = [(name, value) for name, value in variables.items() if isinstance(value, _NESTED)]
    name = ""
    while level:
        name = level[0][0]
        level = [
            (name, item)
            for name, value in level
            for item in (value.values() if isinstance(value, dict) else value)
            if isinstance(item, _NESTED)
        ]
    return cut(name)


def _with_code(error: GraphQLError, code: ErrorCode) -> GraphQLError:
    error.extensions = {"code": code, **(error.extensions or {})}
    return error


def _of(ast: DocumentNode, kind: type[Any]) -> Iterator[Any]:
    return (node for node in ast.definitions if isinstance(node, kind))


def _walk(root: Node) -> Iterator[tuple[Node, int]]:
    """Every node, with its nesting within lists and objects of a value."""
    pending: list[tuple[Node, int]] = [(root, 0)]
    while pending:
        node, depth = pending.pop()
        yield node, depth
        below = depth + isinstance(node, ListValueNode | ObjectValueNode)
        for key in node.keys:
            value = getattr(node, key, None)
            if isinstance(value, Node):
                pending.append((value, below))
            elif isinstance(value, list | tuple):
                pending.extend((item, below) for item in value if isinstance(item, Node))


def _pairs(ast: DocumentNode) -> int:
    """The number of pairs of selections in one place with one response key; inline fragments are not places of their
    own.

    Where fields share a response key, their selections share a place, too.
    """
    found = 0
    pending: list[list[SelectionSetNode]] = [
        [node.selection_set]
        for node in ast.definitions
        if isinstance(node, OperationDefinitionNode | FragmentDefinitionNode)
    ]
    while pending:
        below: dict[str, list[SelectionSetNode]] = {}
        counts: Counter[str] = Counter()
        sets = pending.pop()
        while sets:
            for node in sets.pop().selections:
                inner: SelectionSetNode | None = getattr(node, "selection_set", None)
                if isinstance(node, FieldNode):
                    key = node.alias.value if node.alias else node.name.value
                    counts[key] += 1
                    if inner:
                        below.setdefault(key, []).append(inner)
                elif inner:
                    sets.append(inner)
                elif isinstance(node, FragmentSpreadNode):
                    counts["..."] += 1
        found += sum(count * (count - 1) // 2 for count in counts.values())
        pending.extend(below.values())
    return found

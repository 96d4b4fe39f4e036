"""Errors of input with their place, in terms of JSON and GraphQL.

graphql-core detects invalid input quickly, but its messages on variables quote Python values. Messages of scalars are
kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graphql import (
    SKIP,
    ArgumentNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    ListValueNode,
    ObjectValueNode,
    ValueNode,
    ValuesOfCorrectTypeRule,
    VariableDefinitionNode,
    VariableNode,
    get_named_type,
    is_input_object_type,
)
from graphql.pyutils import Undefined
from graphql.utilities.validate_input_value import validate_input_literal

from schema.adapters.graphql_core import GraphQLVariableSignature
from schema.catalogue.exact_json import path_text, shown
from schema.catalogue.scalars import WrongValueError
from schema.execution.coercions import CONFIDENTIAL, ROWS, SERVER
from schema.names.suggestions import Suggestion, Suggestions

Path = Sequence[str | int]

NO_FIELD = "the type '"
"""The beginning of the message for an unknown field."""
_NONE = "not to be None."


# -- variables ---------------------------------------------------------------------------------------------------------


def of_variables(
    signatures: Sequence[GraphQLVariableSignature],
    nodes: Sequence[VariableDefinitionNode],
    given: Mapping[str, Any],
    most: int,
    suggestions: Suggestions | None,
) -> list[GraphQLError]:
    """The first errors of variables, empty if they are valid; without ``suggestions`` messages contain no names of the
    schema."""
    places = {node.variable.name.value: node for node in nodes}
    errors: list[GraphQLError] = []
    for signature in signatures:
        name = signature.name
        value = given.get(name, Undefined)
        if value is Undefined and signature.default is not None:
            continue
        for path, message in _wrong(signature.type, value, (), suggestions):
            if len(errors) == most:
                return [*errors, GraphQLError("There are more errors in the variables than are listed.")]
            where = path_text((name, *path))
            at = f" at {where}" if path else ""
            said = f"Variable '${name}' has an invalid value{at}: {message}"
            errors.append(GraphQLError(said, places[name], extensions={"argument": f"${where}"}))
    return errors


def wrong_values(type_: GraphQLInputType, value: Any, suggestions: Suggestions | None) -> Iterator[tuple[Path, str]]:
    """The errors of a value for a type: the path within it, and the message; ``suggestions`` as above."""
    return _wrong(type_, value, (), suggestions)


def _wrong(
    type_: GraphQLInputType, value: Any, path: Path, suggest: Suggestions | None, *, quotes: bool = True
) -> Iterator[tuple[Path, str]]:
    if isinstance(type_, GraphQLNonNull):
        if value is None or value is Undefined:
            said = "is null" if value is None else "is missing"
            yield path, f"it {said}, and the type '{type_}' needs a value."
            return
        type_ = type_.of_type
    if value is None or value is Undefined:
        return
    if isinstance(type_, GraphQLList):
        items = value if isinstance(value, list) else [value]
        for place, item in enumerate(items):
            at = (*path, place) if isinstance(value, list) else path
            yield from _wrong(type_.of_type, item, at, suggest, quotes=quotes)
    elif isinstance(type_, GraphQLInputObjectType):
        yield from _wrong_object(type_, value, path, suggest)
    elif wrong := _wrong_leaf(type_, value, suggest, quotes=quotes):
        within, message = wrong
        yield (*path, *within), message


def _wrong_object(
    type_: GraphQLInputObjectType, value: Any, path: Path, suggest: Suggestions | None
) -> Iterator[tuple[Path, str]]:
    if not isinstance(value, dict):
        what = "it" if type_.extensions.get(ROWS) else shown(value)
        hint = _hint(suggest.shape(type_.name, value if isinstance(value, str) else "") if suggest else None)
        yield path, f"{what} is not an object of the type '{type_}'.{hint}"
        return
    for name, field in type_.fields.items():
        if name in value or (isinstance(field.type, GraphQLNonNull) and field.default is None):
            quotes = not field.extensions.get(CONFIDENTIAL)
            yield from _wrong(field.type, value.get(name, Undefined), (*path, name), suggest, quotes=quotes)
    if type_.is_one_of and (len(value) != 1 or None in value.values()):
        yield path, f"exactly one field of the type '{type_}' is needed, with a value: {', '.join(type_.fields)}."
    for name in value:
        if name not in type_.fields:
            said = f"{NO_FIELD}{type_}' has no field '{name[:80]}'"
            if suggest and name in type_.extensions.get(SERVER, ()):
                hint = ", since the gateway fills it; leave it out."
            else:
                hint = f".{_hint(suggest.input_field(type_.name, name) if suggest else None)}"
            yield (*path, name[:80]), f"{said}{hint}"


def _hint(found: Suggestion | None) -> str:
    return f" {found.text}" if found else ""


def _wrong_leaf(type_: Any, value: Any, suggest: Suggestions | None, *, quotes: bool) -> tuple[Path, str] | None:
    """The path within a value, if it is JSON, and the message; both say nothing of one that may be data of a patient
    (``quotes``)."""
    if isinstance(type_, GraphQLEnumType):
        if isinstance(value, str) and value in type_.values:
            return None
        hint = _hint(suggest.value(type_.name, str(value)) if suggest and quotes else None)
        return (), f"{shown(value) if quotes else 'it'} is not a member of the enum '{type_}'.{hint}"
    if type_.name in _STANDARD:
        kind, words = _STANDARD[type_.name]
        return None if isinstance(value, kind) else ((), f"{shown(value) if quotes else 'it'} is not {words}.")
    try:
        type_.coerce_input_value(value)
    except GraphQLError as error:
        return (_within(error), error.message) if quotes else ((), f"it {_reason(type_, error)}.")
    return None


def _within(error: GraphQLError) -> Path:
    """The path of a wrong value in that of its scalar."""
    return error.within if isinstance(error, WrongValueError) else ()


def _reason(type_: object, error: GraphQLError) -> str:
    """What is wrong with a value of a scalar, without the value: ``is not a 32-bit integer``."""
    return error.reason if isinstance(error, WrongValueError) else f"is no value of the type '{type_}'"


_STANDARD = {"String": (str, "a text"), "Boolean": (bool, "true or false")}
"""Scalars of graphql-core itself, which a schema cannot redefine."""


# -- literals ----------------------------------------------------------------------------------------------------------


class PlacedValuesRule(ValuesOfCorrectTypeRule):
    """graphql-core's rule, whose errors name the location of a value and the argument's path.

    They quote neither objects, which may be a user's rows, nor values that may be data of a patient.
    """

    _owner = ""

    def enter_argument(self, node: ArgumentNode, *_args: Any) -> None:
        self._owner = node.name.value

    def enter_variable_definition(self, node: VariableDefinitionNode, *_args: Any) -> None:
        self._owner = f"${node.variable.name.value}"

    def is_valid_value_node(self, node: ValueNode, input_type: GraphQLInputType | None) -> Any:
        if input_type:

            def on_error(error: GraphQLError, path: Path) -> None:
                message = error.message
                if message.endswith(_NONE):
                    message = f"{message.removesuffix(_NONE)}not to be null."
                else:
                    quoted, message = _told(input_type, path, error)
                    path = [*path, *(_within(error) if quoted else ())]
                places = error.nodes if error.locations else [_at(node, path)]
                where = path_text((self._owner, *path))
                self.report_error(GraphQLError(message, places, extensions={"argument": where}))

            validate_input_literal(node, input_type, on_error, None, None, self.context.hide_suggestions)
        return SKIP


def _told(type_: GraphQLInputType, path: Path, error: GraphQLError) -> tuple[bool, str]:
    """graphql-core's message for a value at a path within this type, without protected values, and whether the value
    is none of them."""
    for part in path:
        named = get_named_type(type_)
        field = named.fields.get(part) if isinstance(named, GraphQLInputObjectType) else None
        if field is None:
            continue
        type_ = field.type
        if field.extensions.get(CONFIDENTIAL) and not is_input_object_type(get_named_type(type_)):
            why = f": it {error.reason}" if isinstance(error, WrongValueError) else ""
            return False, f"Expected value of type '{type_}'{why}."
    if not is_input_object_type(get_named_type(type_)):
        return True, error.message
    said = _FOUND.sub("", error.message, count=1)
    return True, said if said.endswith((".", "?")) else f"{said}."


_FOUND = re.compile(r",? [Ff]ound: .*", re.DOTALL)


def _at(node: ValueNode, path: Path) -> ValueNode:
    """The value at a path within another one, or the closest enclosing one."""
    for part in path:
        match node:
            case ListValueNode() if isinstance(part, int):
                node = node.values[part]
            case ObjectValueNode():
                found = [field.value for field in node.fields if field.name.value == part]
                node = found[0] if found else node
            case VariableNode() | _:
                return node
    return node

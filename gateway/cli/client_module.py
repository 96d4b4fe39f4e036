"""The typed half of the Python client, made from the schema: rows, inputs, and a method for each mutation."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from keyword import iskeyword
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
)

from schema.recording.record_types import batch_mutations

_HEAD = '''"""Rows, inputs and mutations as the gateway's schema has them; made by `make snapshot`."""
# ruff: noqa: A002, E501
# fmt: off

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Generic, Literal, Required, TypeAlias, TypedDict, TypeVar, Unpack
from uuid import UUID

ChangedT = TypeVar("ChangedT")
RecordingT = TypeVar("RecordingT")


class RecordOptions(TypedDict, total=False):
    """How rows are recorded; see `Gateway.record`."""

    key: str | None
    on_conflict: Literal["ERROR", "KEEP", "UPDATE"] | None
    dry_run: bool
    ids: bool
    size: int
    progress: Callable[[int], object] | bool
'''

_MIXIN = '''
class TypedChanges(Generic[ChangedT, RecordingT]):
    """A method for each mutation, with its input; what they return is the client's."""

    @abstractmethod
    def change(self, mutation: str, input: Mapping[str, Any], *, key: str | None = None) -> ChangedT:
        """Makes a change by the name of its mutation."""

    @abstractmethod
    def record(self, plural: str, rows: Iterable[Mapping[str, Any]], **how: Unpack[RecordOptions]) -> RecordingT:
        """Records rows by the name of their list."""
'''

_SCALARS = {
    "ID": "str | UUID", "UUID": "UUID | str", "DateTime": "datetime | str", "Date": "date | str", "JSON": "Any",
    "Int": "int", "BigInt": "int", "Float": "float | Decimal", "String": "str", "Boolean": "bool",
    "Vector": "Sequence[float]",
}  # fmt: skip
WIDTH = 120


def module(schema: GraphQLSchema) -> str:
    """The module ``gateway.client.typed`` of a schema."""
    assert schema.mutation_type is not None  # noqa: S101 - there are mutations
    fields = {name: field for name, field in schema.mutation_type.fields.items() if set(field.args) == {"input"}}
    named = [_named(field.args["input"].type) for field in fields.values()]
    types = _reached(named)
    enums = [one for one in types if isinstance(one, GraphQLEnumType)]
    inputs = [one for one in types if isinstance(one, GraphQLInputObjectType)]
    parts = [*map(_enum, enums), *map(_input, inputs), _table(fields), _MIXIN, *_methods(fields)]
    return f"{_HEAD}\n" + "\n".join(parts)


def _named(type_: Any) -> Any:
    return get_named_type(type_)


def _reached(first: Iterable[Any]) -> list[Any]:
    """Types and the types of their fields, transitively, by name."""
    found: dict[str, Any] = {}
    left = list(first)
    while left:
        one = left.pop()
        if one.name not in found:
            found[one.name] = one
            left += [_named(field.type) for field in getattr(one, "fields", {}).values()]
    return [found[name] for name in sorted(found)]


def _enum(one: GraphQLEnumType) -> str:
    return f"{one.name}: TypeAlias = Literal[{', '.join(map(_quoted, one.values))}]\n"


def _input(one: GraphQLInputObjectType) -> str:
    words = _words(one.description, "    ")
    if any(iskeyword(name) for name in one.fields):  # Python keywords cannot be field names of a class
        fields = [f'        "{name}": {_quoted(_needed(field.type))},' for name, field in one.fields.items()]
        made = [f"\n{one.name} = TypedDict(", f'    "{one.name}",', "    {", *fields, "    },", "    total=False,", ")"]
        return "\n".join([*made, words.replace("\n    ", "\n").removeprefix("    ")]) + "\n"
    if not one.is_one_of:
        fields = [f"    {name}: {_needed(field.type)}" for name, field in one.fields.items()]
        return "\n".join([f"\nclass {one.name}(TypedDict, total=False):", words, "", *fields]) + "\n"
    ways = []
    for name, field in one.fields.items():
        way = f"{one.name}{name[0].upper()}{name[1:]}"
        ways.append(f"\nclass {way}(TypedDict):\n{words}\n\n    {name}: {_type(get_nullable_type(field.type))}\n")
    names = " | ".join(f"{one.name}{name[0].upper()}{name[1:]}" for name in one.fields)
    return "\n".join([*ways, f"\n{one.name}: TypeAlias = {_quoted(names)}\n"])


def _needed(type_: Any) -> str:
    inner = _type(get_nullable_type(type_))
    if isinstance(type_, GraphQLNonNull):
        return f"Required[{inner}]"
    return inner if inner == "Any" else f"{inner} | None"


def _type(type_: Any) -> str:
    if isinstance(type_, GraphQLList):
        item = _type(get_nullable_type(type_.of_type))
        nullable = "" if isinstance(type_.of_type, GraphQLNonNull) or item == "Any" else " | None"
        return f"Sequence[{item}{nullable}]"
    name: str = type_.name
    return _SCALARS.get(name, name)


def _table(fields: Mapping[str, GraphQLField]) -> str:
    lines = [
        f"    {_quoted(name)}: ({_quoted(_named(field.args['input'].type).name)}, {_quoted(_named(field.type).name)}),"
        for name, field in fields.items()
    ]
    words = '"""The types of their input and of their result, by mutation."""'
    return "\n".join(["\nMUTATIONS: Mapping[str, tuple[str, str]] = {", *lines, "}", words, ""])


def _methods(fields: Mapping[str, GraphQLField]) -> Iterator[str]:
    for name, field in fields.items():
        words = _words(field.description, "        ")
        batch = batch_mutations().get(name)
        if batch is None:
            input_ = _named(field.args["input"].type).name
            head = f"    def {_snake(name)}(self, input: {input_}, *, key: str | None = None) -> ChangedT:"
            call = f"        return self.change({_quoted(name)}, input, key=key)"
        else:
            row = _named(_named(field.args["input"].type).fields["rows"].type).name
            head = f"    def {_snake(name)}(self, rows: Iterable[{row}], **how: Unpack[RecordOptions]) -> RecordingT:"
            call = f"        return self.record({_quoted(batch.type.plural)}, rows, **how)"
        yield f"\n{head}\n{words}\n{call}\n"


def _words(text: str | None, indent: str) -> str:
    lines = textwrap.wrap(f'"""{text}"""', WIDTH, initial_indent=indent, subsequent_indent=indent)
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return f'"{text}"'


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()

"""Cards: descriptions of types for a model that writes queries, of at most 400 tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
)

from gateway.mcp.columns import Columns
from gateway.mcp.envelope import shortened
from gateway.mcp.mutations import AgentMutation
from schema.names.shapes import listed

CARD_BYTES = 1_400
"""Bytes of a card: 400 tokens of text of this density."""
_USUAL = {"first", "after", "last", "before", "where", "orderBy"}
_MUTATIONS = 8
"""Mutations of a type that its card lists."""
_BORING = {"id", "rowVersion"}


class Cards:
    """Writes cards of types."""

    def __init__(
        self, schema: GraphQLSchema, columns: Columns, mutations: Mapping[str, AgentMutation] | None = None
    ) -> None:
        """``mutations``: those that can be previewed."""
        self._schema = schema
        self._columns = columns
        self._mutations = mutations or {}
        self._changes: dict[str, list[str]] = {}
        for one in self._mutations.values():
            if one.about is not None:
                self._changes.setdefault(one.about, []).append(one.name)
        self._roots: dict[str, list[str]] = {}
        assert schema.query_type is not None  # noqa: S101 - the graph has one
        for name, root in schema.query_type.fields.items():
            self._roots.setdefault(_rows_of(root), []).append(_call(name, root))

    def card(self, name: str, fields: Iterable[str] = ()) -> str:
        """The card of a type; with ``fields``, those fields with their descriptions and arguments."""
        type_ = self._schema.type_map[name]
        if isinstance(type_, GraphQLEnumType):
            return _joined([f"enum {name}: {_about(type_, 200)}", "values: " + ", ".join(type_.values)])
        if isinstance(type_, GraphQLInputObjectType):
            inner = [f"{key}: {one.type}" for key, one in type_.fields.items()]
            return _joined([f"input {name}: {_about(type_, 160)}", *_filled("fields: ", inner)])
        if isinstance(type_, GraphQLUnionType):
            return _joined([f"union {name}: " + " | ".join(one.name for one in type_.types)])
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
            wanted = [one for one in fields if one in type_.fields]
            return self._fields(type_, wanted) if wanted else self._object(type_)
        return _joined([f"scalar {name}: {_about(type_, 300)}"])

    def mutation(self, name: str) -> str | None:
        """The card of a mutation: its effect and the fields of its input; None if it cannot be previewed."""
        one = self._mutations.get(name)
        if one is None:
            return None
        needed, others = (
            [f"{key}: {_named(one.input.fields[key])}" for key, must in one.fields.items() if must is due]
            for due in (True, False)
        )
        lines = [f"mutation {name}: {shortened(one.doc, 300)}"]
        lines += [f"id: {one.id_field}"] if one.id_field and one.id_field not in one.fields else []
        lines += _filled("needs: ", needed) if needed else []
        lines += _filled("may have: ", others) if others else []
        return _joined(lines)

    def field_line(self, parent: GraphQLNamedType, name: str, field: GraphQLField, *, words: int = 0) -> str:
        """A field in a line: its type, unit and values, and at most ``words`` bytes of its description."""
        line = f"{name}: {_kind(field)}{self._facts(parent, name, field)}"
        about = shortened(field.description or "", words) if words else ""
        return f"{line} - {about}" if about else line

    def _object(self, type_: GraphQLObjectType | GraphQLInterfaceType) -> str:
        leaves, rows, lists = [], [], []
        for name, field in type_.fields.items():
            named = get_named_type(field.type)
            if name in _BORING:
                continue
            if is_leaf_type(named):
                leaves.append(self._leaf(type_, name, field))
            elif _is_list(field):
                lists.append(f"{name} [{_rows_of(field)}]")
            else:
                rows.append(f"{name} {named.name}")
        roots = listed(self._roots.get(type_.name, ()), 4)
        for words in (160, 80):
            lines = [f"{type_.name}: {_about(type_, words)}"]
            lines += [f"roots: {roots}"] if roots else []
            own = ["id", *leaves] if "id" in type_.fields else leaves
            lines += [f"fields: {', '.join(own)}"] if own else []
            lines += [f"to one: {', '.join(rows)}"] if rows else []
            lines += [f"lists: {', '.join(lists)}"] if lists else []
            changes = self._changes.get(type_.name, ())
            lines += [f"mutations: {listed(changes, _MUTATIONS)}"] if changes else []
            if len("\n".join(lines).encode()) <= CARD_BYTES:
                return "\n".join(lines)
            leaves = [one.partition(" ")[0] for one in leaves]  # names alone; describe_type with fields gives details
        return _joined(lines)

    def _leaf(self, type_: GraphQLNamedType, name: str, field: GraphQLField) -> str:
        kind = get_named_type(field.type).name
        short = {"String": "", "Float": "", "Int": ""}.get(kind, f" {kind}")
        unit = self._columns.unit(type_.name, name)
        return f"{name}{short}{f' <{unit}>' if unit else ''}"

    def _fields(self, type_: GraphQLObjectType | GraphQLInterfaceType, names: list[str]) -> str:
        lines = [f"{type_.name}:"]
        for name in names:
            field = type_.fields[name]
            arguments = [f"{key}: {one.type}" for key, one in field.args.items() if key not in _USUAL]
            lines.append(
                self.field_line(type_, name, field, words=200) + (f" ({', '.join(arguments)})" if arguments else "")
            )
        return _joined(lines)

    def _facts(self, parent: GraphQLNamedType, name: str, field: GraphQLField) -> str:
        named = get_named_type(field.type)
        unit, values = self._columns.unit(parent.name, name), self._columns.values(parent.name, name)
        if isinstance(named, GraphQLEnumType):
            values = tuple(named.values)
        told = f" <{unit}>" if unit else ""
        return f"{told} ({listed(values)})" if values else told


def _rows_of(field: GraphQLField) -> str:
    """The row type of a list field; the type itself of any other."""
    named = get_named_type(field.type)
    inner = getattr(named, "fields", {}).get("nodes")
    return get_named_type(inner.type).name if inner is not None else named.name


def _is_list(field: GraphQLField) -> bool:
    return "[" in str(field.type) or "nodes" in getattr(get_named_type(field.type), "fields", {})


def _call(name: str, field: GraphQLField) -> str:
    """A root with its arguments, without those that every list has."""
    own = [key + ("!" if is_required_argument(one) else "") for key, one in field.args.items() if key not in _USUAL]
    return f"{name}({', '.join(own)})" if own else name


def _kind(field: GraphQLField) -> str:
    named = get_named_type(field.type)
    rows = _rows_of(field)
    return f"[{rows}]" if _is_list(field) else named.name


def _named(field: GraphQLInputField) -> str:
    """The type of an input field, without non-null marks."""
    return str(field.type).replace("!", "")


def _about(type_: GraphQLNamedType, most: int) -> str:
    first = (type_.description or "").partition(". ")[0]
    return shortened(first, most)


def _filled(head: str, parts: list[str]) -> Iterator[str]:
    yield head + ", ".join(parts)


def _joined(lines: list[str]) -> str:
    """Lines within the bytes of a card; omitted ones are counted."""
    text = "\n".join(lines)
    if len(text.encode()) <= CARD_BYTES:
        return text
    made: list[str] = []
    room = CARD_BYTES - 80
    for line in lines:
        head, separator, rest = line.partition(": ")
        kept = []
        parts = rest.split(", ")
        room -= len(head.encode()) + 3
        for part in parts:
            room -= len(part.encode()) + 2
            if room < 0:
                break
            kept.append(part)
        left = len(parts) - len(kept)
        made.append(head + separator + ", ".join(kept) + (f" (+{left}: pass fields)" if left else ""))
    return "\n".join(made)


def input_outline(type_: GraphQLInputObjectType) -> str:
    """The fields of an input, required ones marked."""
    return ", ".join(name + ("!" if is_required_input_field(one) else "") for name, one in type_.fields.items())

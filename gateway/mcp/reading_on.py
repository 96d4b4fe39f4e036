"""Continuing an answer by the same call, with the ``after`` of any list that was cut.

The question's own list takes a plain cursor. For any other list the cursor is preceded by the list's path and, if each
row has such a list, by the row: ``alerts`` of a model is ``modelHealths.model.alerts~Model:...~cursor``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from graphql import (
    FieldNode,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    Visitor,
    get_named_type,
    parse,
    print_ast,
    visit,
)

from gateway.mcp.envelope import Envelope, ToolError
from gateway.mcp.reading import NODES
from schema.error_codes import ToolCode

NODE = "node"
"""The alias of the row that has the list, in the document of the list's rest."""
_MARK = "~"
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_AFTER, _FIRST, _ID = "after", "first", "id"


@dataclass(frozen=True)
class ListPlace:
    """Where a list continues: its keys in the document, the row that has it (if each row has one), and the cursor."""

    keys: tuple[str, ...]
    row: str
    cursor: str

    @property
    def text(self) -> str:
        """The argument ``after`` of a call."""
        return _MARK.join((".".join(self.keys), self.row, self.cursor))


def list_place(after: Any, document: str) -> ListPlace | None:
    """The place that a caller has passed; None without a cursor, and for the question's own list."""
    if not isinstance(after, str):
        return None
    if _MARK not in after:
        own = next((key for key, field in _keys(_operation(document).selection_set).items() if _is_own(field)), None)
        return ListPlace((own,), "", after) if own else None
    keys, _, rest = after.partition(_MARK)
    row, _, cursor = rest.rpartition(_MARK)
    return ListPlace(tuple(keys.split(".")), row, cursor)


def read_on(envelope: Envelope, document: str, read: ListPlace | None = None) -> None:
    """Sets the ``after`` of each list in ``more`` by which the same call continues it.

    ``read`` is the list that this answer continues, if it is not the question's own.
    """
    for entry in envelope.more:
        if _AFTER not in entry:
            continue
        keys = tuple(key for key, _ in _STEP.findall(entry["path"]) if key and key != NODES)
        if read is not None and read.row:
            keys = (*read.keys[:-1], *keys[1:])
        if _is_own(_fields(document, keys)[-1]):
            continue
        row = _row(envelope.data, entry["path"]) if len(keys) > 1 else ""
        entry[_AFTER] = ListPlace(keys, row, entry[_AFTER]).text


def rest_of(schema: GraphQLSchema, document: str, place: ListPlace) -> str:
    """The document for the rest of a list: of the list alone, or of the row that has it.

    It takes ``first`` and ``after``, and ``id`` if a row has the list.

    Raises:
        ToolError: The question has no such list.
    """
    try:
        *above, found = _fields(document, place.keys)
    except LookupError:
        raise _wrong() from None
    if found.selection_set is None or NODES not in _keys(found.selection_set) or bool(above) is not bool(place.row):
        raise _wrong()
    kept = [print_ast(one) for one in found.arguments or () if one.name.value not in (_AFTER, _FIRST)]
    taken = ", ".join([*kept, *(f"{name}: ${name}" for name in (_FIRST, _AFTER))])
    key = f"{found.alias.value}: " if found.alias else ""
    rest = f"{key}{found.name.value}({taken}) {print_ast(found.selection_set)}"
    variables = [
        print_ast(one) for one in _operation(document).variable_definitions or () if _uses(found, one.variable)
    ]
    variables += ["$first: Int", "$after: String"]
    if not above:
        return f"query Rest({', '.join(variables)}) {{ {rest} }}"
    type_: Any = schema.query_type
    for one in above:
        type_ = _row_type(type_, one)
    if not place.row.startswith(f"{type_}:"):
        raise _wrong()
    return f"query Rest($id: ID!, {', '.join(variables)}) {{ {NODE}(id: $id) {{ ... on {type_} {{ id {rest} }} }} }}"


def _wrong() -> ToolError:
    return ToolError(
        ToolCode.BAD_ARGUMENT, "after is of no list of this question.", "Pass an after of more, with the same args."
    )


def _is_own(field: FieldNode) -> bool:
    """Whether a list is the question's own: its cursor is a variable."""
    return any(one.name.value == _AFTER and isinstance(one.value, VariableNode) for one in field.arguments or ())


@lru_cache(maxsize=256)
def _operation(document: str) -> OperationDefinitionNode:
    (operation,) = [
        one for one in parse(document, no_location=True).definitions if isinstance(one, OperationDefinitionNode)
    ]
    return operation


def _fields(document: str, keys: tuple[str, ...]) -> list[FieldNode]:
    """The fields of a document along the keys of a response, without ``nodes``.

    Raises:
        LookupError: There is no such field.
    """
    selections: SelectionSetNode | None = _operation(document).selection_set
    found = []
    for key in keys:
        known = _keys(selections)
        if key not in known and NODES in known:
            known = _keys(known[NODES].selection_set)
        found.append(known[key])
        selections = found[-1].selection_set
    return found


def _keys(selections: SelectionSetNode | None) -> dict[str, FieldNode]:
    some = selections.selections if selections else ()
    return {(one.alias or one.name).value: one for one in some if isinstance(one, FieldNode)}


def _row_type(type_: Any, field: FieldNode) -> Any:
    """The type of a field; for a list, the type of its rows."""
    found: Any = get_named_type(type_.fields[field.name.value].type)
    return get_named_type(found.fields[NODES].type) if NODES in found.fields else found


def _row(data: Any, path: str) -> str:
    """The id of the row that has the list at a path."""
    *steps, _ = _STEP.findall(path)
    for key, place in steps:
        data = data[key] if key else data[int(place)]
    return str(data[_ID])


def _uses(field: FieldNode, variable: VariableNode) -> bool:
    """Whether a field uses a variable other than those for paging."""
    found = _Variables()
    visit(field, found)
    return variable.name.value in found.names - {_FIRST, _AFTER}


class _Variables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        self.names.add(node.name.value)

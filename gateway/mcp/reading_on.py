"""How an answer is read on: the list that takes ``after`` by the same call, any other by a query that is given."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import orjson
from graphql import (
    ArgumentNode,
    FieldNode,
    NameNode,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    VariableNode,
    parse,
    print_ast,
)

from gateway.mcp.envelope import Envelope

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_AFTER, _FIRST = "after", "first"


def read_on(envelope: Envelope, document: str, room: int) -> None:
    """Gives in ``more`` of each list that the call itself does not read on the query that does, as far as there is
    room for it.

    The lists of ``document`` within rows have literal arguments, and no fragments.
    """
    for entry in envelope.more:
        field = _field(document, entry["path"])
        if _AFTER not in entry or any(
            isinstance(one.value, VariableNode) for one in field.arguments or () if _is_cursor(one)
        ):
            continue
        cursor = entry.pop(_AFTER)
        query = _query(envelope.data, entry["path"], field, cursor)
        if query and envelope.size() + len(orjson.dumps(query)) + 9 <= room:
            entry["query"] = query


def _is_cursor(argument: ArgumentNode) -> bool:
    return argument.name.value == _AFTER


@lru_cache(maxsize=256)
def _selections(document: str) -> SelectionSetNode:
    (operation,) = [
        one for one in parse(document, no_location=True).definitions if isinstance(one, OperationDefinitionNode)
    ]
    return operation.selection_set


def _field(document: str, path: str) -> FieldNode:
    """The field of a document at the path of an answer."""
    selections, found = _selections(document), None
    for key, _ in _STEP.findall(path):
        if not key:
            continue
        found = next(
            one for one in selections.selections if isinstance(one, FieldNode) and (one.alias or one.name).value == key
        )
        selections = found.selection_set or SelectionSetNode(selections=())
    assert found is not None  # noqa: S101 - a path has a key
    return found


def _query(data: Any, path: str, field: FieldNode, cursor: str) -> str | None:
    """The query of a list's rest, from the row that has the list; None where the row has no id."""
    *steps, _ = _STEP.findall(path)
    for key, place in steps:
        data = data[key] if key else data[int(place)]
    id_ = data.get("id") if isinstance(data, dict) else None
    if not isinstance(id_, str):
        return None
    kept = [one for one in field.arguments or () if one.name.value not in {_AFTER, _FIRST}]
    after = ArgumentNode(name=NameNode(value=_AFTER), value=StringValueNode(value=cursor))
    rest = FieldNode(
        alias=None, name=field.name, arguments=(*kept, after), directives=(), selection_set=field.selection_set
    )
    text = f"{{ node(id: {orjson.dumps(id_).decode()}) {{ ... on {id_.partition(':')[0]} {{ {print_ast(rest)} }} }} }}"
    return " ".join(text.split())

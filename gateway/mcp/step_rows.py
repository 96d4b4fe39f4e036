"""The rows that steps of a change refer to: by ids, or by names that identify one row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphql import GraphQLInputObjectType, get_named_type

from gateway.mcp.changing import PreviewStep
from gateway.mcp.envelope import ToolError
from gateway.mcp.operations import ToolCall
from gateway.mcp.rows import NoRowError, row_id
from gateway.mcp.toolbox import Toolbox
from schema.catalogue import ids
from schema.error_codes import ToolCode

MOST_NAMED = 20
"""Rows that steps may refer to by name."""
_REF, _ID = "Ref", "id"
_TEXT = "text"


@dataclass
class _Named:
    """A place in an input that takes a row of a type, and its text."""

    path: str
    holder: Any
    """The object or list that has it under ``key``."""
    key: Any
    type: str

    @property
    def text(self) -> Any:
        return self.holder[self.key]


async def with_ids(box: Toolbox, call: ToolCall, steps: Sequence[PreviewStep]) -> tuple[list[PreviewStep], list[str]]:
    """The steps with names replaced by ids, and sentences on which rows were meant.

    Raises:
        ToolError: A name fits no row or several, or there are too many names.
    """
    made = [replace(step, input=_copy(step.input)) for step in steps]
    places = [one for at, step in enumerate(made) for one in _rows(step, f"steps[{at}]") if not _is_id(box, one)]
    named: dict[tuple[str, str], list[_Named]] = {}
    for place in places:
        named.setdefault((place.type, place.text), []).append(place)
    if len(named) > MOST_NAMED:
        message = f"The steps name {len(named)} rows otherwise than by ids."
        raise ToolError(ToolCode.BAD_ARGUMENT, message, f"Pass ids, or name at most {MOST_NAMED} rows.")
    told = []
    for same in named.values():
        id_ = await _found(box, call, same[0])
        if id_ is not None:
            told.append(f"{same[0].path} was read as {id_}.")
            for one in same:
                one.holder[one.key] = id_
    return made, told


async def _found(box: Toolbox, call: ToolCall, named: _Named) -> str | None:
    """The id of a row by its name; None if the text may be the key of a row that does not exist yet."""
    try:
        id_, _ = await row_id(box, call, named.path, named.text, [named.type], exactly=True)
    except NoRowError:
        if _TEXT in box.schema.catalogue[named.type].key_kinds:
            return None
        raise
    return None if id_ == named.text else id_


def _is_id(box: Toolbox, named: _Named) -> bool:
    """Whether it is an id, or no text that can be searched for, which is refused where it is read."""
    text = named.text
    if not isinstance(text, str) or not text.strip() or named.type not in box.searched:
        return True
    type_ = box.schema.catalogue[named.type]
    if _TEXT in type_.key_kinds:
        return text.startswith(f"{type_.name}:")
    try:
        ids.decode(text, type_.name, type_.key_kinds)
    except ids.MalformedIdError:
        return False
    return True


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(one) for key, one in value.items()}
    return [_copy(one) for one in value] if isinstance(value, list) else value


def _rows(step: PreviewStep, path: str) -> Iterator[_Named]:
    """The places of a step's input that take rows."""
    mutation, values = step.mutation, step.input
    own = {**mutation.references}
    if mutation.needs_id and mutation.id_field and mutation.about:
        own[mutation.id_field] = mutation.about
    for name, type_name in own.items():
        given = values.get(name)
        here = f"{path}.id" if name == mutation.id_field and step.id is not None else f"{path}.input.{name}"
        if isinstance(given, list):
            yield from (_Named(f"{here}[{place}]", given, place, type_name) for place in range(len(given)))
        elif given is not None:
            yield _Named(here, values, name, type_name)
    if mutation.is_plural and mutation.about and isinstance(values.get("items"), list):
        for place, item in enumerate(values["items"]):
            if isinstance(item, dict) and _ID in item:
                yield _Named(f"{path}.input.items[{place}].id", item, _ID, mutation.about)
    yield from _references(values, mutation.input, f"{path}.input")


def _references(value: Any, type_: Any, path: str) -> Iterator[_Named]:
    """The rows that nested objects of an input refer to."""
    if isinstance(value, list):
        for place, one in enumerate(value):
            yield from _references(one, type_, f"{path}[{place}]")
    if not isinstance(value, dict) or not isinstance(type_, GraphQLInputObjectType):
        return
    if type_.name.endswith(_REF) and _ID in value:
        yield _Named(f"{path}.id", value, _ID, type_.name.removesuffix(_REF))
    for name, one in value.items():
        if name in type_.fields:
            yield from _references(one, get_named_type(type_.fields[name].type), f"{path}.{name}")

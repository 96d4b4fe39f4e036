"""Entities of Apollo Federation: representations as keys, by global id or another unique key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from schema.catalogue import ids
from schema.catalogue.catalogue import Catalogue, Type
from schema.catalogue.column_types import ColumnKind
from schema.errors import bad_argument
from schema.sql.lists import MAX_IDS

ENTITIES = "_entities"
"""The root field that resolves them."""
REPRESENTATIONS = "representations"
"""Its argument."""


class EntityKey(NamedTuple):
    """The row that a representation identifies: by its global id, or by columns that are unique together."""

    type_name: str
    columns: tuple[str, ...]
    """Empty for the global id."""
    values: tuple[str, ...]
    """Texts for Postgres."""


@cache
def natural_keys(catalogue: Catalogue) -> Mapping[str, Sequence[Mapping[str, str]]]:
    """The unique keys beside the id, by type: fields with their columns."""
    found: dict[str, list[Mapping[str, str]]] = {}
    for root in catalogue.roots.values():
        type_ = catalogue[root.target]
        if not root.many and root.lookups and type_.is_node:
            keys = [{type_.leaf(column).name: column for column in one.values()} for one in root.lookups]
            found.setdefault(root.target, []).extend(keys)
    return found


def entity_keys(catalogue: Catalogue, representations: Sequence[Any], place: int | None = None) -> list[EntityKey]:
    """The rows that representations identify; ``place`` is the index of a single one.

    Raises:
        GatewayError: ``BAD_USER_INPUT``: one is invalid, or there are too many.
    """
    if len(representations) > MAX_IDS:
        raise bad_argument(
            REPRESENTATIONS, f"{len(representations)} entities are too many; pass at most {MAX_IDS} at once"
        )
    natural = natural_keys(catalogue)
    return [
        _entity_key(catalogue, natural, one, f"{REPRESENTATIONS}[{at if place is None else place}]")
        for at, one in enumerate(representations)
    ]


def _entity_key(
    catalogue: Catalogue, natural: Mapping[str, Sequence[Mapping[str, str]]], given: Any, argument: str
) -> EntityKey:
    name, id_ = (given.get("__typename"), given.get("id")) if isinstance(given, dict) else (None, None)
    if isinstance(name, str) and isinstance(id_, str):
        return EntityKey(name, (), (_global_id(name, id_, argument),))
    keys = natural.get(name, ()) if isinstance(name, str) else ()
    for fields in keys:
        if all(given.get(field) is not None for field in fields):
            type_ = catalogue[str(name)]
            values = tuple(_text(type_, field, column, given[field], argument) for field, column in fields.items())
            return EntityKey(type_.name, tuple(fields.values()), values)
    ways = "".join(f", or {' and '.join(f'`{field}`' for field in fields)} in place of the id" for fields in keys)
    raise bad_argument(argument, f'is no entity; pass {{"__typename": "Model", "id": "Model:<UUID>"}}{ways}')


def _global_id(name: str, id_: str, argument: str) -> str:
    own = f"{name}:"
    named = ids.type_of(id_)
    if id_.startswith(own) or named is None:
        return id_ if id_.startswith(own) else f"{own}{id_}"
    raise bad_argument(argument, f"{id_[:80]!r} is an id of {named[:80]}; an id of {name[:80]} is expected")


def _text(type_: Type, field: str, column: str, value: Any, argument: str) -> str:
    """A part of a key as text for Postgres."""
    kind = type_.column_kind(column)
    try:
        return _read(kind, value)
    except (ValueError, TypeError):
        expected = "a name of its enum" if kind.labels else f"a value of {kind.graphql}"
        shown = repr(value)[:80]
        raise bad_argument(f"{argument}.{field}", f"{shown} is no part of a key; {expected} is expected") from None


def _read(kind: ColumnKind, value: Any) -> str:
    """Raises ValueError or TypeError for a value of another kind."""
    if kind.labels:
        return str(next(one.value for one in kind.labels if one.name == value)) if _names(kind, value) else _none()
    match kind.graphql:
        case "UUID":
            return ids.read_uuid(value) if isinstance(value, str) else _none()
        case "Int" | "BigInt":
            whole = isinstance(value, int) and not isinstance(value, bool)
            return str(value) if whole and -(2**31) <= value < 2**31 else _none()
    return value if isinstance(value, str) and "\x00" not in value else _none()


def _names(kind: ColumnKind, value: Any) -> bool:
    return any(one.name == value for one in kind.labels or ())


def _none() -> str:
    raise ValueError

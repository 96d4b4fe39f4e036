"""Entities of other subgraphs: their representations as global ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schema.catalogue import ids
from schema.errors import bad_argument
from schema.sql.lists import MAX_IDS

ENTITIES = "_entities"
"""The root field that answers them."""
REPRESENTATIONS = "representations"
"""Its argument."""


def entity_ids(representations: Sequence[Any], place: int | None = None) -> list[str]:
    """The global ids that these representations name; ``place`` is that of the only one.

    Raises:
        GatewayError: ``BAD_USER_INPUT``: one is none, or they are too many.
    """
    if len(representations) > MAX_IDS:
        raise bad_argument(
            REPRESENTATIONS, f"{len(representations)} entities are too many; ask for at most {MAX_IDS} at once"
        )
    return [_entity_id(one, at if place is None else place) for at, one in enumerate(representations)]


def _entity_id(given: Any, place: int) -> str:
    argument = f"{REPRESENTATIONS}[{place}]"
    name, id_ = (given.get("__typename"), given.get("id")) if isinstance(given, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(id_, str):
        raise bad_argument(argument, 'is no entity; pass {"__typename": "Model", "id": "Model:<UUID>"}')
    own = f"{name}:"
    named = ids.type_of(id_)
    if id_.startswith(own) or named is None:
        return id_ if id_.startswith(own) else f"{own}{id_}"
    raise bad_argument(argument, f"{id_[:80]!r} is an id of {named[:80]}; an id of {name[:80]} is expected")

"""Cursors of a lineage's frontier: a node's edges of one kind after a position, bound to their walk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from schema.catalogue import ids
from schema.catalogue.catalogue import Catalogue
from schema.lineage.edges import End, edges
from schema.lineage.statements import Position, Spot
from schema.sql.cursors import are_texts, invalid, pack, unpack

MAX_CURSORS = 1000
_MARK = "lineage"


@dataclass(frozen=True, slots=True)
class Resumed:
    """Where a walk continues: a node and an edge, a position, and the node's depth."""

    end: End
    spot: Spot
    depth: int


def walk_signature(parts: Sequence[object]) -> str:
    """The signature that binds a cursor to a walk: a short digest of the arguments that determine what is reached."""
    return hashlib.sha256(orjson.dumps(parts, default=str)).hexdigest()[:16]


def encode(signature: str, end: End, id_: str, depth: int, position: Position | None) -> str:
    """The cursor of a node's neighbours along an edge, after a position or from the start."""
    value = [_MARK, signature, end.name, id_, depth, None if position is None else list(position)]
    return pack(orjson.dumps(value))


def decode(catalogue: Catalogue, signature: str, place: int, cursor: str) -> Resumed:
    """The content of a cursor.

    Raises:
        GatewayError: ``INVALID_CURSOR``: it is not a lineage cursor, or belongs to another walk.
    """
    argument = f"after[{place}]"
    no_cursor = invalid(argument, "is no cursor of a lineage; pass a `frontier.cursor`")
    match unpack(cursor):
        case [mark, signed, name, str() as id_, int() as depth, (list() | None) as position]:
            pass
        case _:
            raise no_cursor
    if mark != _MARK or depth < 0 or not are_texts(position or ()):
        raise no_cursor
    if signed != signature:
        raise invalid(
            argument,
            "belongs to another walk; pass it with the same `from`, `direction`, `through`, `since` and `until`",
        )
    end = edges().by_name.get(name) if isinstance(name, str) else None
    if end is None:
        raise no_cursor
    type_ = catalogue[end.type]
    try:
        key = ids.decode(id_, type_.name, type_.key_kinds)
    except ids.MalformedIdError:
        raise no_cursor from None
    return Resumed(end, Spot(id_, key, None if position is None else tuple(position)), depth)

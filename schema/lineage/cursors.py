"""Cursors of a lineage's frontier: a node's edges of one kind from a position on, tied to the walk they belong to."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from schema.catalogue import ids
from schema.catalogue.catalogue import Catalogue
from schema.lineage.edges import End, edges
from schema.lineage.statements import Position, Spot
from schema.sql.cursors import invalid

MAX_CURSORS = 1000
_MARK = "lineage"


@dataclass(frozen=True, slots=True)
class Resumed:
    """Where a walk goes on: a node and an edge, behind a position, and the depth of the node."""

    end: End
    spot: Spot
    depth: int


def walk_signature(parts: Sequence[object]) -> str:
    """What ties a cursor to a walk: a short digest of the arguments that decide what is reached."""
    return hashlib.sha256(orjson.dumps(parts, default=str)).hexdigest()[:16]


def encode(signature: str, end: End, id_: str, depth: int, position: Position | None) -> str:
    """The cursor of a node's neighbours along an edge, behind a position or from the first."""
    value = [_MARK, signature, end.name, id_, depth, None if position is None else list(position)]
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def decode(catalogue: Catalogue, signature: str, place: int, cursor: str) -> Resumed:
    """What a cursor says.

    Raises:
        GatewayError: ``INVALID_CURSOR``: it is no cursor of a lineage, or one of another walk.
    """
    argument = f"after[{place}]"
    no_cursor = invalid(argument, "is no cursor of a lineage; pass a `frontier.cursor`")
    try:
        value = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        mark, signed, name, id_, depth, position = value
    except (binascii.Error, orjson.JSONDecodeError, ValueError, TypeError):
        raise no_cursor from None
    texts = isinstance(position, list) and all(one is None or isinstance(one, str) for one in position)
    if (
        mark != _MARK
        or not isinstance(depth, int)
        or depth < 0
        or not isinstance(id_, str)
        or not (position is None or texts)
    ):
        raise no_cursor
    if signed != signature:
        raise invalid(
            argument,
            "belongs to another walk; pass it with the same `from`, `direction`, `through`, `since` and `until`",
        )
    end = edges().by_name.get(name) if isinstance(name, str) else None
    if end is None or (position is not None and any(one is not None and "\x00" in one for one in position)):
        raise no_cursor
    type_ = catalogue[end.type]
    try:
        key = ids.decode(id_, type_.name, type_.key_kinds)
    except ids.MalformedIdError:
        raise no_cursor from None
    return Resumed(end, Spot(id_, key, None if position is None else tuple(position)), depth)

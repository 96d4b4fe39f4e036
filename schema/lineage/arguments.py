"""The arguments of lineage fields, validated before any SQL."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from db.base.lineage import LineageKind
from schema.catalogue import ids
from schema.catalogue.catalogue import Catalogue
from schema.errors import bad_argument
from schema.lineage import cursors
from schema.lineage.answer import COUNTED
from schema.lineage.edges import edges
from schema.lineage.walk import BOTH, WalkParameters
from schema.sql.arguments import parse_id, type_of

MAX_STARTS = 1000
MAX_NAMES = 100
"""The largest number of types, or kinds, in an argument."""
MAX_DEPTH, DEPTH = 100, 3
MAX_PER_NODE, PER_NODE = 1000, 25
MAX_NODES, NODES = 10_000, 500
LEAST_BYTES, MAX_BYTES = 4_000, 10_000_000
MAX_COUNTED, ALL_COUNTED = 100_000, 1_000_000
"""The largest limit of counting edges of a node, and the sum over all nodes if it exceeds the default."""


@dataclass(frozen=True)
class LineageRequest:
    """The arguments of a lineage field: the walk, what is shown of it, and the signature of its cursors."""

    question: WalkParameters
    types: frozenset[str] | None
    max_bytes: int | None
    counted: int
    signature: str


def node_id(catalogue: Catalogue, argument: str, value: str) -> str:
    """A global id of a node of the lineage, in canonical form.

    Raises:
        GatewayError: ``BAD_USER_INPUT``: it is not one.
    """
    type_ = type_of(catalogue, argument, value)
    if type_.name not in edges().of:
        raise bad_argument(
            argument, f"{type_.name} rows are no nodes of the lineage; tables and estimates are, other views are not"
        )
    return ids.encode(type_.name, parse_id(catalogue, argument, type_, value))


def start_ids(catalogue: Catalogue, values: Sequence[str]) -> list[str]:
    """The start ids, without duplicates.

    Raises:
        GatewayError: ``BAD_USER_INPUT``, naming the invalid one.
    """
    if not 1 <= len(values) <= MAX_STARTS:
        raise bad_argument("from", f"has {len(values)} ids; pass 1 to {MAX_STARTS}")
    return list(dict.fromkeys(node_id(catalogue, f"from[{place}]", value) for place, value in enumerate(values)))


def number(arguments: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    """A number, checked against its bounds.

    Raises:
        GatewayError: ``BAD_USER_INPUT``.
    """
    value = arguments.get(name)
    value = default if value is None else value
    if not least <= value <= most:
        raise bad_argument(name, f"{value} is out of range; pass {least:,} to {most:,}")
    return int(value)


def kinds(arguments: Mapping[str, Any]) -> frozenset[LineageKind] | None:
    """The kinds of edges to walk, None for all.

    Raises:
        GatewayError: ``BAD_USER_INPUT``: the list is empty.
    """
    given = arguments.get("through")
    if given is None:
        return None
    _few("through", given)
    named = {getattr(one, "value", one) for one in given}
    return frozenset(kind for kind in LineageKind if kind.value in named)


def _few(argument: str, given: Sequence[Any]) -> None:
    if not given:
        raise bad_argument(argument, "is empty; leave it out for all of them")
    if len(given) > MAX_NAMES:
        raise bad_argument(argument, f"has {len(given)} entries; pass at most {MAX_NAMES}")


def shown_types(arguments: Mapping[str, Any]) -> frozenset[str] | None:
    """The types to show, None for all.

    Raises:
        GatewayError: ``BAD_USER_INPUT``: the list is empty, or a type is not part of the lineage.
    """
    given = arguments.get("types")
    if given is None:
        return None
    _few("types", given)
    for place, name in enumerate(given):
        if name not in edges().of:
            close = difflib.get_close_matches(name[:80], edges().types, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise bad_argument(f"types[{place}]", f"{name[:80]!r} is not a type of the lineage{hint}")
    return frozenset(given)


def direction(arguments: Mapping[str, Any], default: str = BOTH) -> str:
    """The direction of the walk."""
    value = arguments.get("direction")
    return default if value is None else str(getattr(value, "value", value))


def request_of(
    catalogue: Catalogue, arguments: Mapping[str, Any], *, nodes: int = NODES, per_node: int = PER_NODE
) -> LineageRequest:
    """The arguments of a walk; ``nodes`` and ``per_node`` are the default limits.

    Raises:
        GatewayError: ``BAD_USER_INPUT`` or ``INVALID_CURSOR``, naming the argument.
    """
    starts = start_ids(catalogue, arguments["from"])
    way, through = direction(arguments), kinds(arguments)
    since, until = arguments.get("since"), arguments.get("until")
    if since is not None and until is not None and since >= until:
        raise bad_argument("since", f"{since.isoformat()} is not before `until` ({until.isoformat()})")
    depth = number(arguments, "maxDepth", DEPTH, 0, MAX_DEPTH)
    per = number(arguments, "perNodeLimit", per_node, 1, MAX_PER_NODE)
    room = number(arguments, "maxNodes", nodes, 1, MAX_NODES)
    in_use = bool(arguments.get("onlyInUse"))
    parts = [sorted(starts), way, None if through is None else sorted(kind.name for kind in through), since, until]
    signature = cursors.walk_signature([*parts, in_use] if in_use else parts)
    given = arguments.get("after")
    if given is not None and not 1 <= len(given) <= cursors.MAX_CURSORS:
        raise bad_argument("after", f"has {len(given)} cursors; pass 1 to {cursors.MAX_CURSORS} at once")
    resumed = [cursors.decode(catalogue, signature, place, one) for place, one in enumerate(given or ())]
    for place, one in enumerate(resumed):
        if one.depth > depth:
            advice = f"pass a maxDepth of {one.depth} to read edges there, or more to reach further nodes"
            raise bad_argument(f"after[{place}]", f"is at depth {one.depth}, beyond maxDepth; {advice}")
    if not resumed and len(starts) > room:
        raise bad_argument("maxNodes", f"{room} is less than the {len(starts)} nodes of `from`; pass a greater number")
    max_bytes = arguments.get("maxBytes")
    if max_bytes is not None:
        max_bytes = number(arguments, "maxBytes", 0, LEAST_BYTES, MAX_BYTES)
    counted = number(arguments, "countUpTo", COUNTED, COUNTED, MAX_COUNTED)
    if counted > COUNTED and counted * room > ALL_COUNTED:
        most = ALL_COUNTED // counted
        raise bad_argument(
            "countUpTo", f"{counted:,} is too high for {room:,} nodes; pass a maxNodes of at most {most}"
        )
    question = WalkParameters(starts, way, depth, per, room, through, since, until, resumed, only_in_use=in_use)
    return LineageRequest(question, shown_types(arguments), max_bytes, counted, signature)

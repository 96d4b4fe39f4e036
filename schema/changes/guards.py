"""Guards of changes, evaluated for any number of rows in one statement."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from db.base.guards import Guard
from db.base.lifecycles import Lifecycle
from db.base.vocabulary import Labels
from schema.catalogue.catalogue import Type
from schema.catalogue.from_models import catalogue
from schema.catalogue.records import Key, Missing
from schema.errors import GatewayError, missing_object
from schema.sql import builder as sql

Fetch = Callable[[str, Sequence[Any]], Awaitable[Sequence[Sequence[Any]]]]
ROW = "row_of_change"
"""The alias of the row to be changed; reserved, so that guards do not use it."""


@dataclass(frozen=True)
class Obstacle:
    """A guard that blocks a row, with the message of its SQL, or its description."""

    guard: Guard
    message: str
    node_id: str | None


@dataclass(frozen=True)
class GuardedRow:
    """A row to be changed: its key and the guards to evaluate."""

    key: Key
    guards: Sequence[Guard]


def refuse_unread(missing: Missing, lifecycle: Lifecycle) -> None:
    """Refuses to reveal blockers if a guard reads what the caller may not.

    Raises:
        GatewayError: ``FORBIDDEN_FIELD``.
    """
    if what := missing.withholds(name for guard in _all_guards(lifecycle) for name in read_by(guard)):
        raise missing_object(what)


def read_by(guard: Guard) -> list[str]:
    """The tables and columns that a guard reads besides the row itself, as ``table`` and ``table.column``."""
    parts = [name.partition(".") for name in guard.reads]
    return [f"{catalogue()[entity].sql_name}{dot}{column}" for entity, dot, column in parts]


def _all_guards(lifecycle: Lifecycle) -> list[Guard]:
    steps = (*lifecycle.entering.values(), *lifecycle.leaving.values())
    return [guard for step in steps for guard in step.guards]


def allowed(missing: Missing, type_: Type, lifecycle: Lifecycle, state: Labels | None) -> list[Labels]:
    """The states that a row may move to and that the database's enum has; none if the state column is generated."""
    if (type_.sql_name, lifecycle.column) in missing.computed:
        return []
    kind = type_.column_kind(lifecycle.column)
    return [one for one in lifecycle.allowed(state) if not missing.lacks_label(kind, lifecycle.text(one))]


def unread(missing: Missing, guards: Sequence[Guard]) -> GatewayError | None:
    """The error if guards read what the caller may not read or the database lacks; None if they can be evaluated."""
    types = {name.partition(".")[0] for guard in guards for name in guard.reads}
    lacking = (missing.table(catalogue()[name]) for name in sorted(types))
    what = missing.withholds(name for guard in guards for name in read_by(guard)) or next(filter(None, lacking), None)
    return missing_object(what) if what else None


async def obstacles(fetch: Fetch, type_: Type, asked: Sequence[GuardedRow]) -> list[list[Obstacle]]:
    """The obstacles of each row, in the order of its guards, in one statement."""
    wanted: dict[int, tuple[Guard, list[int]]] = {}
    for place, one in enumerate(asked):
        for guard in one.guards:
            wanted.setdefault(id(guard), (guard, []))[1].append(place)
    found = await _found(fetch, type_, asked, list(wanted.values())) if wanted else {}
    return [
        [obstacle for guard in one.guards for obstacle in found.get((id(guard), place), [])]
        for place, one in enumerate(asked)
    ]


async def _found(
    fetch: Fetch, type_: Type, asked: Sequence[GuardedRow], wanted: Sequence[tuple[Guard, list[int]]]
) -> dict[tuple[int, int], list[Obstacle]]:
    bind = sql.Binds()
    parts = []
    for number, (guard, places) in enumerate(wanted):
        rows = sql.by_keys(type_, ["t.*"], [asked[place].key for place in places], bind)
        parts.append(
            f"SELECT {number}, {ROW}.ord, b.message, b.node FROM ({rows}) {ROW} "
            f"CROSS JOIN LATERAL ({guard.sql.replace('{row}', ROW)}) AS b (message, node)"
        )
    found: dict[tuple[int, int], list[Obstacle]] = {}
    for number, ord_, message, node in await fetch(" UNION ALL ".join(parts), bind.values):
        guard, places = wanted[number]
        said = message or guard.doc  # a message is null if a value in it is, which an attached database may allow
        found.setdefault((id(guard), places[ord_ - 1]), []).append(Obstacle(guard, said, node))
    return found

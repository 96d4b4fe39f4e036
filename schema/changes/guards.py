"""Guards of transitions, evaluated for any number of rows in one statement."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from db.base.lifecycles import Guard, Lifecycle
from db.base.vocabulary import Labels
from schema.catalogue.catalogue import Type
from schema.catalogue.from_models import catalogue
from schema.catalogue.records import Key, Missing
from schema.errors import missing_object
from schema.sql import builder as sql

Fetch = Callable[[str, Sequence[Any]], Awaitable[Sequence[Sequence[Any]]]]
ROW = "row_of_change"
"""The alias of the row to be moved; reserved, so that guards do not use it."""


@dataclass(frozen=True)
class Obstacle:
    """A guard that blocks a row, with the message of its SQL."""

    guard: Guard
    message: str
    node_id: str | None


@dataclass(frozen=True)
class GuardedRow:
    """A row to be moved: its key and state."""

    key: Key
    state: Labels | None


def refuse_unread(missing: Missing, lifecycle: Lifecycle) -> None:
    """Refuses to reveal blockers if a guard reads what the caller may not.

    Raises:
        GatewayError: ``FORBIDDEN_FIELD``.
    """
    if what := missing.withholds(name for guard in _all_guards(lifecycle) for name in read_by(guard)):
        raise missing_object(what)


def read_by(guard: Guard) -> list[str]:
    """The tables and columns that a guard reads beside the row itself, as ``table`` and ``table.column``."""
    parts = [name.partition(".") for name in guard.reads]
    return [f"{catalogue()[entity].sql_name}{dot}{column}" for entity, dot, column in parts]


def _all_guards(lifecycle: Lifecycle) -> list[Guard]:
    steps = (*lifecycle.entering.values(), *lifecycle.leaving.values())
    return [guard for step in steps for guard in step.guards]


def allowed(missing: Missing, type_: Type, lifecycle: Lifecycle, state: Labels | None) -> list[Labels]:
    """The states that a row may move to, of those that the database's enum has; none if the state is generated."""
    if (type_.sql_name, lifecycle.column) in missing.computed:
        return []
    kind = type_.column_kind(lifecycle.column)
    return [one for one in lifecycle.allowed(state) if not missing.lacks_label(kind, lifecycle.text(one))]


async def obstacles(
    fetch: Fetch, type_: Type, lifecycle: Lifecycle, asked: Sequence[GuardedRow], to: Labels | None = None
) -> list[dict[Labels, list[Obstacle]]]:
    """The blockers of each row, by possible target state (or for ``to`` alone)."""
    wanted: dict[int, tuple[Guard, list[int]]] = {}
    for place, one in enumerate(asked):
        for guard in _guards(lifecycle, one.state, to):
            wanted.setdefault(id(guard), (guard, []))[1].append(place)
    found = await _found(fetch, type_, asked, list(wanted.values())) if wanted else {}
    answers: list[dict[Labels, list[Obstacle]]] = []
    for place, one in enumerate(asked):
        targets = [to] if to else lifecycle.allowed(one.state)
        answers.append(
            {
                target: [
                    obstacle
                    for guard in (lifecycle.guards(one.state, target) if one.state else [])
                    for obstacle in found.get((id(guard), place), [])
                ]
                for target in targets
            }
        )
    return answers


def _guards(lifecycle: Lifecycle, state: Labels | None, to: Labels | None) -> list[Guard]:
    """The guards of all requested moves, without duplicates."""
    if state is None:
        return []
    targets = [to] if to else lifecycle.allowed(state)
    every = {id(guard): guard for target in targets for guard in lifecycle.guards(state, target)}
    return list(every.values())


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
        found.setdefault((id(guard), places[ord_ - 1]), []).append(Obstacle(guard, message, node))
    return found

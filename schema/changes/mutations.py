"""Mutations as data: those of lifecycles, and those that are more than a move."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

from db.base.effects import Effect
from db.base.entity import camel
from db.base.footprints import of_effect
from db.base.guards import Guard
from db.base.lifecycles import MAY_CHANGE, Change, Given, Lifecycle, lifecycles
from db.base.vocabulary import Labels
from schema.changes.engine import Work
from schema.changes.guards import read_by
from schema.changes.permissions import concerned, concerned_by
from schema.changes.refusals import invalid
from schema.changes.rows import MAX_ITEMS

Perform = Callable[[Work], Awaitable[None]]


@dataclass(frozen=True)
class Mutation:
    """A mutation: its subject, its input, and the function that executes it in the transaction.

    ``subject`` is the type whose id it takes, None if it creates a row; ``plural`` takes many.
    """

    name: str
    doc: str
    perform: Perform
    subject: str | None
    given: Mapping[str, Given] = field(default_factory=dict)
    states: type[Labels] | None = None
    plural: bool = False
    reason_due: bool = False
    checks: Sequence[str] = ()
    forces: bool = False
    """Whether it has guards that can be overridden."""
    scope: str = MAY_CHANGE
    """The scope that a caller needs."""
    reads: frozenset[str] = frozenset()
    """The tables and columns that it reads and writes, as ``table`` and ``table.column``: who uses it may read them."""
    moves: tuple[Lifecycle, Sequence[Labels]] | None = None
    """The lifecycle of its subject that it moves it in, and the states that it leads to: any, where there is none."""
    guards: Sequence[Guard] | None = None
    """What is in its way beside the guards of its move; None where only a try can tell."""
    needs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Inputs that are required for some target states, by the states' names."""

    @property
    def input_type(self) -> str:
        """The GraphQL type of its input."""
        return f"{self.name[0].upper()}{self.name[1:]}Input"

    def is_open_to(self, caller: Actor) -> bool:
        """Whether a caller has the scope for it."""
        return caller.may(self.scope) or caller.may(f"{MAY_CHANGE}:{self.name}")

    def inputs(self, to: str | None = None) -> tuple[list[str], list[str]]:
        """The required and the optional fields of its input, for a target state."""
        own = ["items" if self.plural else "id"] if self.subject else []
        must = [*own, *(["to"] if self.states else [])]
        may = ["expectedVersion"] if self.subject and not self.plural else []
        for name, one in self.given.items():
            (must if one.required or name in self.needs.get(to or "", ()) else may).append(camel(name))
        (must if self.reason_due else may).append("reason")
        return must, [*may, *(["force"] if self.forces else []), "idempotencyKey", "dryRun"]


class Actor(Protocol):
    """A caller: a name for the record of changes, and permissions."""

    @property
    def name(self) -> str: ...

    def may(self, right: str) -> bool:
        """Whether the caller has a scope; ``change:promoteModel`` is that of one mutation."""
        ...


_MUTATIONS: dict[str, Mutation] = {}


def mutation(
    effect: Effect,
    doc: str,
    *,
    subject: str | None = None,
    given: Mapping[str, Given] | None = None,
    reason_due: bool = False,
    checks: Sequence[str] = (),
    forces: bool = False,
    scope: str = MAY_CHANGE,
) -> Callable[[Perform], Perform]:
    """Registers a function as the mutation of a declared effect that is more than a transition."""

    def register(perform: Perform) -> Perform:
        named = [one.type for one in (given or {}).values() if isinstance(one.type, str)]
        types = {*of_effect(effect).entities, *named, *([subject] if subject else [])}
        _MUTATIONS[effect.name] = Mutation(
            effect.name, doc, perform, subject, given or {}, reason_due=reason_due, checks=checks, forces=forces,
            scope=scope, reads=concerned(*types) | {name for guard in effect.guards or () for name in read_by(guard)},
            moves=_moved(effect, subject), guards=effect.guards,
        )  # fmt: skip
        return perform

    return register


def _moved(effect: Effect, subject: str | None) -> tuple[Lifecycle, Sequence[Labels]] | None:
    """The lifecycle and the states in which a mutation moves its subject, as a move would."""
    moves = {one.lifecycle: one.states for one in effect.moves if one.judged}
    return next(((one, moves[one.key]) for one in lifecycles() if one.entity == subject and one.key in moves), None)


def mutations() -> dict[str, Mutation]:
    """Every mutation by name: those of transitions, for one row and for many, and the special ones."""
    found = {one.name: one for lifecycle in lifecycles() for one in _moves(lifecycle)}
    return found | _MUTATIONS


@cache
def mutations_of(type_name: str) -> Sequence[tuple[Mutation, str]]:
    """The mutations with one subject of a type, by name, with the field that takes its id."""
    found = []
    for _, one in sorted(mutations().items()):
        if one.subject == type_name and not one.plural:
            found.append((one, "id"))
        elif one.subject is None:
            needed = {name: given for name, given in one.given.items() if given.required and not given.many}
            found += [(one, camel(name)) for name, given in needed.items() if given.type == type_name]
    return found


def _moves(lifecycle: Lifecycle) -> Iterator[Mutation]:
    for change in lifecycle.changes:
        forces = any(
            guard.overridable
            for step in (*lifecycle.entering.values(), *lifecycle.leaving.values())
            for guard in step.guards
        )
        one = Mutation(
            change.name,
            change.doc,
            _mover(lifecycle, change),
            lifecycle.entity,
            change.given,
            None if change.target else lifecycle.states,
            reason_due=change.reason_due,
            checks=change.checks,
            forces=forces,
            scope=lifecycle.scope,
            reads=concerned_by(lifecycle, change),
            moves=(lifecycle, change.to),
            guards=(),
            needs={state.name: tuple(names) for state, names in change.needs.items()},
        )
        yield one
        if change.many:
            doc = f"{change.doc} All of the rows or none, at most {MAX_ITEMS}."
            yield Mutation(
                _many(change.name), doc, one.perform, one.subject, one.given, one.states, plural=True,
                reason_due=one.reason_due, checks=one.checks, forces=forces, scope=one.scope, reads=one.reads,
                moves=one.moves, guards=one.guards, needs=one.needs,
            )  # fmt: skip


def _many(name: str) -> str:
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"


def _mover(lifecycle: Lifecycle, change: Change) -> Perform:
    async def move(work: Work) -> None:
        to = change.target or _state(lifecycle, work.given["to"].value)
        if change.to and to not in change.to:
            raise invalid(
                "to", f"{to.name} is not for this mutation; it takes {', '.join(one.name for one in change.to)}"
            )
        for name in change.needs.get(to, ()):
            if work.given.get(name) is None:
                raise invalid(camel(name), f"is needed to become {to.name}")
        type_ = work.catalogue[lifecycle.entity]
        await work.queue(lifecycle, [subject.key for subject in work.asked])
        rows = await work.lock(type_, work.asked)
        work.subjects += [row.id for row in rows]
        values = {name: work.given[name] for name, one in change.given.items() if one.stored and name in work.given}
        await work.move(lifecycle, rows, to, values)

    return move


def _state(lifecycle: Lifecycle, label: str) -> Labels:
    return next(state for state in lifecycle.states if state.value == label)

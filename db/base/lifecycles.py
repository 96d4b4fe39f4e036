"""Lifecycles as data: states, transitions, guards, timestamps, effects and mutations.

A lifecycle is declared beside the enum of its states. The engine (`schema.changes.engine`) is generic: guards are SQL
over the row, so that a page of rows is checked in one statement; effects are declared (`db.base.effects`), checks are
named here, and both are implemented in `schema.changes.effects`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from sqlalchemy.types import TypeEngine

from db.base.effects import Effect
from db.base.guards import Guard
from db.base.vocabulary import Labels

MAY_CHANGE, MAY_REVIEW = "change", "review"
"""The scopes of mutations; expert reviews have their own."""

NOW = "now()"
ACTOR = "{actor}"
REASON = "{reason}"
NOTHING = "NULL"
"""What a stamp writes into a column: SQL, with placeholders for actor and reason. Without a reason, the stored one
stays."""

TODAY = "(now() AT TIME ZONE 'UTC')::date"
"""the date must not depend on the session's time zone"""


@dataclass(frozen=True)
class Given:
    """An input of a change. It is written to the column of its name unless ``stored`` is False.

    ``type`` is a column type, an enum held by a text column, or the name of the entity whose id is expected; with
    ``many`` a list of such ids.
    """

    type: TypeEngine[Any] | type[Labels] | str
    doc: str
    _: KW_ONLY
    required: bool = False
    stored: bool = True
    many: bool = False


@dataclass(frozen=True)
class Step:
    """What belongs to entering or leaving a state: guards, effects before and after, and stamps."""

    guards: Sequence[Guard] = ()
    before: Sequence[Effect] = ()
    effects: Sequence[Effect] = ()
    stamps: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """A mutation that moves a row: to a fixed state, or to one of several (``to`` empty: any) that the client chooses.

    ``needs`` are the inputs that a target state requires; ``checks`` name validations of inputs.
    """

    name: str
    doc: str
    to: Sequence[Labels] = ()
    given: Mapping[str, Given] = field(default_factory=dict)
    needs: Mapping[Labels, Sequence[str]] = field(default_factory=dict)
    checks: Sequence[str] = ()
    reason_due: bool = False
    many: bool = True
    """Whether it has a form for many rows."""

    @property
    def target(self) -> Labels | None:
        """Its fixed target state, or None if the client chooses."""
        return self.to[0] if len(self.to) == 1 else None


@dataclass(frozen=True)
class Lapse:
    """A state that ends by time: a row with ``state`` in its column is in ``into`` once ``over`` holds.

    ``over`` is SQL over ``{row}``, which reads ``columns``. The column is not updated then; a change that leads
    ``into`` the state may update it at any time.
    """

    state: Labels
    into: Labels
    over: str
    columns: Sequence[str]
    doc: str


@dataclass(frozen=True)
class Lifecycle:
    """The states of a column and the transitions between them.

    ``stored`` maps states to column values where these are not labels (booleans). A null column is in the ``initial``
    state. ``queue`` are the arguments of an advisory lock over ``{row}``: changes with equal ones are serialized, since
    they maintain an invariant over several rows.
    """

    name: str
    entity: str
    column: str
    states: type[Labels]
    initial: Labels
    moves: Mapping[Any, Sequence[Labels]]
    _: KW_ONLY
    entering: Mapping[Labels, Step] = field(default_factory=dict)
    leaving: Mapping[Labels, Step] = field(default_factory=dict)
    changes: Sequence[Change] = ()
    stored: Mapping[Labels, str] = field(default_factory=dict)
    queue: str | None = None
    queue_reads: Sequence[str] = ()
    """The entities that the arguments of the queue read beside the row."""
    lapses: Sequence[Lapse] = ()
    ended: Sequence[Labels] = ()
    """States of rows that are out of use, and kept for the record."""
    scope: str = MAY_CHANGE
    """The scope for moving a row."""

    def __post_init__(self) -> None:
        _lifecycles.append(self)

    @property
    def key(self) -> str:
        """Its unique name: ``Model.stage``."""
        return f"{self.entity}.{self.name}"

    def text(self, state: Labels) -> str:
        """The column value of a state."""
        return self.stored.get(state, state.value)

    def state(self, text: str | None) -> Labels | None:
        """The state for a column value; None for an unknown label."""
        if text is None:
            return self.initial
        return next((state for state in self.states if self.text(state) == text), None)

    def shown(self, text: str | None) -> str:
        """A state as the graph names it."""
        state = self.state(text)
        return state.name if state else str(text)

    def read(self, row: str, lacks: Callable[[Sequence[str]], Any] = lambda _: None) -> str:
        """SQL of the text of a row's effective state: its column's, unless that has lapsed.

        ``lacks`` returns which columns a database lacks; a lapse that cannot be computed is ignored.
        """
        text = f"{row}.{self.column}::text"
        over = "".join(
            f" WHEN {text} = '{self.text(one.state)}' AND {one.over.replace('{row}', row)} THEN '{self.text(one.into)}'"
            for one in self.lapses
            if not lacks(one.columns)
        )
        return f"CASE{over} ELSE {text} END" if over else text

    def allowed(self, state: Labels | None) -> Sequence[Labels]:
        """The states that a row in this one may move to."""
        return self.moves.get(state, ()) if state else ()

    def steps(self, origin: Labels, to: Labels) -> list[Step]:
        """The steps of a move: leaving one state and entering the other."""
        return [step for step in (self.leaving.get(origin), self.entering.get(to)) if step]

    def guards(self, origin: Labels, to: Labels) -> list[Guard]:
        """The guards of a move."""
        return [guard for step in self.steps(origin, to) for guard in step.guards]


_lifecycles: list[Lifecycle] = []


def lifecycles() -> Sequence[Lifecycle]:
    """Every lifecycle, in order of declaration."""
    return tuple(_lifecycles)


def lifecycle_of(entity: str, name: str | None = None) -> Lifecycle | None:
    """An entity's lifecycle by name; by default the first declared one, which the graph shows."""
    return next((one for one in lifecycles_of(entity) if name in {None, one.name}), None)


def lifecycles_of(entity: str) -> Sequence[Lifecycle]:
    """An entity's lifecycles in order of declaration; the graph shows the first."""
    return [one for one in _lifecycles if one.entity == entity]


def seconds_since(column: str) -> str:
    """SQL of the seconds since the time in a column; null without one, or for a time in the future."""
    return f"CASE WHEN isfinite({column}) AND {column} <= now() THEN extract(epoch FROM now() - {column})::numeric END"


def duration_since(column: str, most: str = "99999999") -> str:
    """A stamp: the seconds since the time in another column, at most ``most``, which the stamped column can hold."""
    seconds = seconds_since(column)
    return f"CASE WHEN {seconds} < {most} THEN round({seconds}, 2) WHEN {seconds} IS NOT NULL THEN {most} END"


def activation(
    entity: str,
    *,
    what: str,
    instead_of: str = "",
    activate: str,
    deactivate: str,
    activated: str | None = None,
    deactivated: str | None = None,
    states: type[Labels],
    reason: str | None = None,
    before: Sequence[Effect] = (),
    effects: Sequence[Effect] = (),
    queue: str | None = None,
    guards: tuple[Sequence[Guard], Sequence[Guard]] = ((), ()),
    out_of_use: str | None = None,
) -> Lifecycle:
    """The lifecycle of an ``is_active`` column, with its timestamp columns, if any.

    ``instead_of`` describes what a row replaces, if only one is active. ``guards`` are those of activation and of
    deactivation; ``out_of_use`` is SQL of the column's value for an inactive row, if that is not always false.
    """
    active, inactive = states["ACTIVE"], states["INACTIVE"]
    place = f", in place of {instead_of}" if instead_of else ""
    off = ({deactivated: NOW} if deactivated else {}) | ({reason: REASON} if reason else {})
    off |= {"is_active": out_of_use} if out_of_use else {}
    on = ({activated: NOW} if activated else {}) | ({deactivated: NOTHING} if deactivated else {})
    on |= {reason: NOTHING} if reason else {}
    return Lifecycle(
        "activation",
        entity,
        "is_active",
        states,
        inactive,
        {inactive: (active,), active: (inactive,)},
        entering={
            active: Step(stamps=on, before=before, effects=effects, guards=guards[0]),
            inactive: Step(stamps=off, guards=guards[1]),
        },
        changes=(
            Change(activate, f"Activates {what}{place}.", (active,), many=queue is None),
            Change(deactivate, f"Deactivates {what}.", (inactive,)),
        ),
        stored={active: "true", inactive: "false"},
        queue=queue,
    )

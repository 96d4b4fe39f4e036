"""The engine of changes: rows are locked, checked by guards, written and recorded in one transaction.

It is generic over lifecycles; the code of single lifecycles is in `schema.changes.effects`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any
from uuid import uuid4

from pgvector.sqlalchemy import Vector

from db.base.effects import Effect
from db.base.entity import camel
from db.base.lifecycles import ACTOR, REASON, Lifecycle, lifecycle_of
from db.base.vocabulary import Labels
from schema.catalogue import ids
from schema.catalogue.catalogue import STATE, ColumnField, Type
from schema.catalogue.records import Missing
from schema.changes import previews
from schema.changes.attempts import Attempt
from schema.changes.guards import GuardedRow, Obstacle, obstacles
from schema.changes.guards import allowed as possible
from schema.changes.refusals import Refused, blocked, invalid
from schema.changes.registry import EFFECTS
from schema.changes.results import Blocker, IllegalTransition, NotFound, PlannedChange, StaleVersion
from schema.changes.rows import Key, Row, Sql, Subject, bound
from schema.error_codes import BlockerCode, ProblemCode
from schema.errors import missing_object
from schema.sql import builder as sql


@dataclass(frozen=True)
class Request:
    """The caller of a change, and its options."""

    mutation: str
    actor: str
    request_id: str
    reason: str | None = None
    force: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class Transition:
    """A transition that was made, for its effects."""

    lifecycle: Lifecycle
    row: Row
    origin: Labels
    to: Labels
    given: Mapping[str, Any]


@dataclass
class Work:
    """One change in progress: its transitions and events so far."""

    attempt: Attempt
    request: Request
    given: Mapping[str, Any] = field(default_factory=dict)
    """The mutation's input, by the names of its ``Given``s; omitted fields are absent."""
    asked: Sequence[Subject] = ()
    change_id: str = field(default_factory=lambda: str(uuid4()))
    subjects: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    recorded: list[tuple[str, str]] = field(default_factory=list)
    """Global ids of the row and of the event, for each event in order."""
    overridden: list[str] = field(default_factory=list)
    before: dict[str, previews.Image | None] = field(default_factory=dict)
    """In a dry run: rows by id as they were when locked, None for created ones."""

    def __post_init__(self) -> None:
        self.transaction = self.attempt.transaction
        self.catalogue = self.attempt.catalogue
        self.missing = self.attempt.missing

    # -- rows ------------------------------------------------------------------------------------------------------

    async def fetch(self, statement: str, *values: Any) -> Sequence[Sequence[Any]]:
        """Runs a statement of an effect; values are texts, lists of texts, or None."""
        return await self.transaction.run(statement, values)

    async def queue(self, lifecycle: Lifecycle, keys: Iterable[Key]) -> None:
        """Takes the advisory locks of the lifecycle's ``queue``, as `Attempt.queue` does."""
        await self.attempt.queue(lifecycle, keys)

    async def subject(self, entity: str) -> Row:
        """Locks and reads the single subject of the mutation, which its result shows.

        Raises:
            Refused: `NotFound` or `StaleVersion`.
        """
        (row,) = await self.lock(self.catalogue[entity], self.asked)
        self.subjects.append(row.id)
        return row

    async def lock(self, type_: Type, subjects: Sequence[Subject]) -> list[Row]:
        """Locks and then reads rows, in the order of the input.

        Raises:
            Refused: `NotFound` or `StaleVersion`.
        """
        if what := self.missing.table(type_):
            raise missing_object(what)
        keys = [subject.key for subject in subjects]
        found = {row.key: row for row in await self._locked(type_, keys)}
        rows = []
        for subject in subjects:
            row = found.get(subject.key)
            path = ["input", *subject.field.replace("[", ".").replace("]", "").split(".")]
            if row is None:
                message = f"There is no {type_.name} with the id {subject.id[:80]!r}."
                raise Refused(NotFound(code=ProblemCode.NOT_FOUND, message=message, path=path, node_id=subject.id))  # type: ignore[arg-type]
            version = self.attempt.versions[type_.name, row.key]
            if subject.version is not None and subject.version != version:
                message = f"{row.id} has changed: its version is {version}, not {subject.version[:40]}."
                raise Refused(
                    StaleVersion(
                        code=ProblemCode.STALE_VERSION,
                        message=message,
                        path=path,
                        expected=subject.version,
                        current_id=row.id,
                    )
                )
            rows.append(row)
        return rows

    async def _locked(
        self, type_: Type, keys: Sequence[Key], where: str | None = None, placed: Sequence[Any] = ()
    ) -> list[Row]:
        """Locks rows, and reads those that match a predicate then; ``placed`` are the predicate's values."""
        await self.attempt.lock(type_, keys)
        # a statement after the lock sees the commits of earlier holders
        columns = {
            column.name: f"t.{column.name}::text"
            for column in type_.table.columns
            if not isinstance(column.type, Vector) and not self.missing.first(type_, (column.name,))
        }
        if (lifecycle := lifecycle_of(type_.name)) and lifecycle.lapses and lifecycle.column in columns:
            columns[STATE] = lifecycle.read("t", lambda read: self.missing.first(type_, read))
        bind = sql.Binds([*placed])
        shown = previews.columns(type_, self.missing) if self.request.dry_run else []
        select = ["t.xmin::text", *columns.values(), *(leaf.over("t") for leaf in shown)]
        read = f"{sql.by_keys(type_, select, keys, bind)}{sql.conditions([where] if where else [])}"
        found = await self.transaction.run(read, bind.values)
        rows = []
        for ord_, version, *values in sorted(found, key=itemgetter(0)):
            row = Row(type_, keys[ord_ - 1], version, dict(zip(columns, values, strict=False)))
            self.attempt.versions.setdefault((type_.name, row.key), version)
            rows.append(row)
            if shown:
                self.before.setdefault(row.id, _image(shown, values[len(columns) :]))
        return rows

    async def find(self, type_name: str, where: str, *values: Any, order: str | None = None) -> list[Row]:
        """Locks and reads the rows ``t`` that match a predicate, in the order of their keys or in ``order``.

        Rows that no longer match it once they are locked are left out.
        """
        type_ = self.catalogue[type_name]
        key = ", ".join(f"t.{column}::text" for column in type_.key)
        by = order or ", ".join(f"t.{column}" for column in type_.key)
        found = await self.fetch(f"SELECT {key} FROM {type_.sql_name} AS t WHERE {where} ORDER BY {by}", *values)
        return await self._locked(type_, [tuple(one) for one in found], where, values) if found else []

    async def look(self, type_: Type, keys: Sequence[Key]) -> None:
        """Locks existing rows and stores their state for the preview."""
        if keys:
            await self._locked(type_, keys)

    async def again(self, row: Row) -> Row:
        """A row of this change in its current state."""
        return (await self._locked(row.type, [row.key]))[0]

    async def write(self, row: Row, values: Mapping[str, Any]) -> None:
        """Writes columns of a locked row, except generated ones.

        Raises:
            GatewayError: ``MISSING_IN_DATABASE``: the database lacks a column.
            Refused: `InvalidInput`: the caller has given a value for a generated column.
        """
        bind = sql.Binds()
        values = self._written(row.type, values)
        assigned = [f"{column} = {self._value(row.type, column, value, bind)}" for column, value in values.items()]
        where = " AND ".join(
            sql.same_key(row.type, column, bind(part, "text"))
            for column, part in zip(row.type.key, row.key, strict=True)
        )
        if assigned:
            await self.transaction.run(
                f"UPDATE {row.type.sql_name} AS t SET {', '.join(assigned)} WHERE {where}", bind.values
            )

    async def insert(self, type_name: str, values: Mapping[str, Any]) -> Row:
        """Inserts a row; generated columns are omitted, and so are columns that the database lacks if their value is
        null.

        Raises:
            GatewayError: ``MISSING_IN_DATABASE``: the database lacks a column.
            Refused: `InvalidInput`: the caller has given a value for a generated column.
        """
        type_ = self.catalogue[type_name]
        bind = sql.Binds()
        said = {
            column: value
            for column, value in self._written(type_, values).items()
            if value is not None or not self.missing.first(type_, (column,))
        }
        written = ", ".join(self._value(type_, column, value, bind) for column, value in said.items())
        key = ", ".join(f"{column}::text" for column in type_.key)
        rows = await self.transaction.run(
            f"INSERT INTO {type_.sql_name} ({', '.join(said)}) VALUES ({written}) RETURNING {key}", bind.values
        )
        key_ = tuple(rows[0])
        self._made(ids.encode(type_.name, key_))
        return (await self._locked(type_, [key_]))[0]

    def _written(self, type_: Type, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The values of columns that are not generated.

        Raises:
            Refused: `InvalidInput`: the caller has given a value for a generated column.
        """
        computed = [column for column in values if (type_.sql_name, column) in self.missing.computed]
        for column in computed:
            if self.given.get(column) is not None:
                raise invalid(
                    camel(column),
                    f"{type_.sql_name}.{column} is computed by the database, which accepts no other value",
                )
        return {column: value for column, value in values.items() if column not in computed}

    def _value(self, type_: Type, column: str, value: Any, bind: sql.Binds) -> str:
        if what := self.missing.first(type_, (column,)):
            raise missing_object(what)
        return bound(type_.column_kind(column), value, bind)

    # -- moves -----------------------------------------------------------------------------------------------------

    async def move(
        self,
        lifecycle: Lifecycle,
        rows: Sequence[Row],
        to: Labels,
        values: Mapping[str, Any] | None = None,
        *,
        also: Effect | None = None,
    ) -> None:
        """Transitions locked rows to a state; the only way to transition subjects of a change.

        ``values`` are written first, so that guards see the row with them. The guards of the mutation ``also``, of
        which the transition is a part, are evaluated with those of the transition.

        Raises:
            Refused: `IllegalTransition` for the first row without such a transition, or `TransitionBlocked` with the
                blockers of all rows.
        """
        origins = [self._origin(lifecycle, row, to) for row in rows]
        if values:
            for row in rows:
                await self.write(row, values)
        more = (also and also.guards) or ()
        asked = [
            GuardedRow(row.key, [*lifecycle.guards(origin, to), *more])
            for row, origin in zip(rows, origins, strict=True)
        ]
        await self._judge_all(self.catalogue[lifecycle.entity], asked)
        for row, origin in zip(rows, origins, strict=True):
            steps = lifecycle.steps(origin, to)
            transition = Transition(lifecycle, row, origin, to, self.given)
            for effect in (one for step in steps for one in step.before):
                await EFFECTS[effect.name](self, transition)
            await self.shift(lifecycle, row, to)
            for effect in (one for step in steps for one in step.effects):
                await EFFECTS[effect.name](self, transition)

    async def guard(self, declared: Effect, row: Row) -> None:
        """Evaluates the guards of a mutation without a transition on a locked row.

        Raises:
            Refused: `TransitionBlocked`.
        """
        await self._judge_all(row.type, [GuardedRow(row.key, declared.guards or ())])

    async def _judge_all(self, type_: Type, asked: Sequence[GuardedRow]) -> None:
        found = await obstacles(self.transaction.run, type_, asked)
        self.judge([blocker(obstacle) for answer in found for obstacle in answer])

    def judge(self, blockers: Sequence[Blocker]) -> None:
        """Continues if there are no blockers, or all are overridden.

        Raises:
            Refused: `TransitionBlocked`.
        """
        remaining = [one for one in blockers if not (self.request.force and one.overridable)]
        if remaining:
            raise blocked(*blockers)
        self.overridden += [one.code for one in blockers if one.code not in self.overridden]

    def _origin(self, lifecycle: Lifecycle, row: Row, to: Labels) -> Labels:
        text = row[lifecycle.column]
        origin = lifecycle.state(text)
        self._refuse_computed(lifecycle, row)
        if origin is None or to not in possible(self.missing, row.type, lifecycle, origin):
            text = row.values.get(STATE, text) if lifecycle.lapses else text
            names = [state.name for state in possible(self.missing, row.type, lifecycle, lifecycle.state(text))]
            may = f"it may become {', '.join(names)}" if names else "it stays so"
            raise Refused(
                IllegalTransition(
                    code=ProblemCode.ILLEGAL_TRANSITION,
                    message=f"{row.id} is {lifecycle.shown(text)} and cannot become {to.name}; {may}.",
                    path=["input"],
                    from_=lifecycle.shown(text),
                    to=to.name,
                    allowed=names,
                    node_id=row.id,
                )
            )
        return origin

    def _refuse_computed(self, lifecycle: Lifecycle, row: Row) -> None:
        if (row.type.sql_name, lifecycle.column) in self.missing.computed:
            what = f"the database computes the {lifecycle.name} of {row.type.name}, so it cannot be changed"
            raise blocked(Blocker(code=BlockerCode.REFUSED_BY_DATABASE, message=what, overridable=False))

    async def shift(self, lifecycle: Lifecycle, row: Row, to: Labels) -> None:
        """Writes a row's new state with its timestamps and records it, without guards: for consequences of a change."""
        self._refuse_computed(lifecycle, row)
        written: dict[str, Any] = {lifecycle.column: lifecycle.text(to)}
        origin = lifecycle.state(row[lifecycle.column])
        for step in lifecycle.steps(origin, to) if origin else ():
            for column, stamp in step.stamps.items():
                unsaid = stamp == REASON and self.request.reason is None
                if not unsaid and not self.missing.first(row.type, (column,)):
                    written[column] = self._stamp(stamp)
        await self.write(row, written)
        await self.record(row.id, lifecycle.name, lifecycle.shown(row[lifecycle.column]), to.name)

    def _stamp(self, stamp: str) -> Any:
        return {ACTOR: self.request.actor, REASON: self.request.reason}.get(stamp, Sql(stamp))

    async def record(
        self,
        node_id: str,
        lifecycle: str,
        origin: str | None,
        to: str | None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Inserts the event of a row's change, with ``more`` details; events are immutable."""
        details: dict[str, Any] = {**({"given": self.given} if self.given else {}), **(more or {})}
        if self.overridden:
            details["overridden"] = self.overridden
        bind = sql.Binds()
        values = {
            "change_id": self.change_id,
            "mutation": self.request.mutation,
            "node_id": node_id,
            "node_type": node_id.split(":", 1)[0],
            "lifecycle": lifecycle,
            "from_state": origin,
            "to_state": to,
            "actor": self.request.actor,
            "reason": self.request.reason,
            "forced": bool(self.overridden),
            "details": details,
            "request_id": self.request.request_id,
        }
        type_ = self.catalogue.record
        written = ", ".join(bound(type_.column_kind(column), value, bind) for column, value in values.items())
        insert = f"INSERT INTO {type_.sql_name} ({', '.join(values)}) VALUES ({written})"
        event = await self.transaction.record(type_.sql_name, "event_id", insert, bind.values)
        self.recorded.append((node_id, ids.encode(type_.name, (event,))))
        self.touched(node_id)

    @property
    def events(self) -> list[str]:
        """The ids of the events, those of the subjects first."""
        own = {node: place for place, node in enumerate(self.subjects)}
        return [event for _, event in sorted(self.recorded, key=lambda one: own.get(one[0], len(own)))]

    def touched(self, node_id: str) -> None:
        """Notes a changed row that is not a subject; the change has locked it before."""
        if node_id not in self.subjects and node_id not in self.others:
            self.others.append(node_id)

    def made(self, node_id: str) -> None:
        """Notes a row that the change, or a trigger because of it, has inserted."""
        self._made(node_id)
        self.touched(node_id)

    def _made(self, node_id: str) -> None:
        self.before[node_id] = None
        self.attempt.made.add(node_id.split(":", 1)[1])

    def added(self, node_id: str, *, is_named: bool) -> None:
        """Notes a subject that the change has inserted; ``is_named`` if its key was given."""
        if not is_named:
            self._made(node_id)
        self.before[node_id] = None
        self.attempt.added.add(node_id)

    async def planned(self, missing: Missing) -> list[PlannedChange]:
        """The changes of a dry run that a caller may read, subjects first."""
        keys: dict[str, list[Key]] = {}
        for node_id in (*self.subjects, *self.others):
            name = node_id.split(":", 1)[0]
            keys.setdefault(name, []).append(ids.decode(node_id, name, self.catalogue[name].key_kinds))
        after: dict[str, previews.Image] = {}
        for name, wanted in keys.items():
            type_, bind = self.catalogue[name], sql.Binds()
            shown = previews.columns(type_, self.missing)
            rows = await self.transaction.run(
                sql.by_keys(type_, [leaf.over("t") for leaf in shown], wanted, bind), bind.values
            )
            after |= {ids.encode(name, wanted[ord_ - 1]): _image(shown, values) for ord_, *values in rows}
        made = self.attempt.made
        found = (
            previews.planned(self.catalogue[id_.split(":", 1)[0]], id_, self.before[id_], after[id_], made, missing)
            for id_ in (*self.subjects, *self.others)
        )
        return [one for one in found if one]


def _image(leaves: Sequence[ColumnField], values: Sequence[Any]) -> previews.Image:
    return {leaf.name: value for leaf, value in zip(leaves, values, strict=True)}


def blocker(obstacle: Obstacle) -> Blocker:
    """The GraphQL object of an obstacle."""
    guard = obstacle.guard
    return Blocker(code=guard.code, message=obstacle.message, overridable=guard.overridable, node_id=obstacle.node_id)

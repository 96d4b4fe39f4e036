"""The engine of all changes: rows are locked, checked by guards, changed and recorded in one transaction.

It is generic over lifecycles. The code of single lifecycles is in `schema.changes.effects`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any
from uuid import uuid4

from pgvector.sqlalchemy import Vector

from db.base.lifecycles import ACTOR, REASON, Lifecycle, lifecycle_of
from db.base.vocabulary import Labels
from db.engine.transaction import Proof, Transaction
from schema.catalogue import exact_json, ids
from schema.catalogue.catalogue import STATE, Catalogue, ColumnField, Type, camel
from schema.catalogue.column_types import ColumnKind
from schema.catalogue.records import Missing
from schema.changes import previews
from schema.changes.guards import ROW, Ask, Obstacle, obstacles
from schema.changes.guards import allowed as possible
from schema.changes.registry import EFFECTS
from schema.changes.results import (
    Blocker,
    IllegalTransition,
    InvalidInput,
    NotFound,
    PlannedChange,
    Problem,
    StaleVersion,
    TransitionBlocked,
)
from schema.error_codes import BlockerCode, ProblemCode
from schema.errors import missing_object
from schema.sql import builder as sql
from schema.sql.filters import text_of

Key = tuple[str, ...]

MAX_ITEMS = 100
"""Rows that one change may be about."""


class Refused(Exception):  # noqa: N818 - not a failure of the gateway: the answer to the client
    """The change cannot be made; ``problem`` is what the client is told."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def invalid(field_: str, message: str) -> Refused:
    """A value of the input cannot be used; ``field_`` is its path in the input, ``items[3].id``."""
    path = ["input", *field_.replace("[", ".").replace("]", "").split(".")]
    return Refused(
        InvalidInput(code=ProblemCode.INVALID_INPUT, message=f"{field_}: {message}", path=path, field=field_)
    )


def check_text(name: str, text: str, length: int) -> None:
    """Refuses a text that the database does not keep; ``name`` is its path in the input, and of it ``length`` are kept.

    Raises:
        Refused: `InvalidInput`.
    """
    if "\x00" in text:
        raise invalid(name, "contains NUL, which text in Postgres cannot hold")
    if len(text) > length:
        raise invalid(name, f"has {len(text)} characters; at most {length} are kept")


def blocked(*blockers: Blocker) -> Refused:
    """Something is in the way."""
    message = "; ".join(blocker.message for blocker in blockers)
    return Refused(
        TransitionBlocked(code=ProblemCode.TRANSITION_BLOCKED, message=message, path=["input"], blockers=list(blockers))
    )


@dataclass(frozen=True)
class Request:
    """Who asks for a change, and how."""

    mutation: str
    actor: str
    request_id: str
    reason: str | None = None
    force: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class Subject:
    """A row that a change is asked for: its id as the client wrote it, its key, and where it stands in the input."""

    id: str
    key: Key
    field: str = "id"
    version: str | None = None


@dataclass(frozen=True)
class Row:
    """A locked row: its columns as texts, without embeddings."""

    type: Type
    key: Key
    version: str
    values: Mapping[str, str | None]

    @property
    def id(self) -> str:
        return ids.encode(self.type.name, self.key)

    def __getitem__(self, column: str) -> str | None:
        """A column's text.

        Raises:
            GatewayError: ``MISSING_IN_DATABASE``: the database lacks it.
        """
        if column not in self.values:
            raise missing_object(f"{self.type.sql_name}.{column}")
        return self.values[column]


@dataclass(frozen=True)
class Moved:
    """A move that has been made, as its effects see it."""

    lifecycle: Lifecycle
    row: Row
    origin: Labels
    to: Labels
    given: Mapping[str, Any]


@dataclass(frozen=True)
class Sql:
    """A value that the database computes."""

    text: str


@dataclass
class Attempt:
    """An attempt to make changes in one transaction, from its beginning: what they know of one another."""

    transaction: Transaction
    catalogue: Catalogue
    missing: Missing
    """What the database lacks, whoever asks."""
    versions: dict[tuple[str, Key], str] = field(default_factory=dict)
    """Versions of rows as they were when they were first locked, by type and key: those that clients can expect."""
    made: set[str] = field(default_factory=set)
    """The keys of rows that a dry run has made, which nobody is told."""
    added: set[str] = field(default_factory=set)
    """The ids of rows that were not there before, also of those that a client has named itself."""
    outcomes: dict[str, str] = field(default_factory=dict)
    """What came of steps beyond the rows that they have locked, by what it is called: a text that stands for it."""

    async def hold(self, asked: Mapping[str, Sequence[Key]]) -> None:
        """Locks the rows that several changes are about, by type, in one order for all operations.

        What is not there yet is left to the change that is about it.
        """
        types = [self.catalogue[name] for name in sorted(asked)]
        present = [type_ for type_ in types if not self.missing.table(type_)]
        for type_ in present:
            if lifecycle := lifecycle_of(type_.name):
                await self.queue(lifecycle, asked[type_.name])
        for type_ in present:
            await self.lock(type_, asked[type_.name])
            bind = sql.Binds()
            keys = list(asked[type_.name])
            for ord_, version in await self.transaction.run(
                sql.by_keys(type_, ["t.xmin::text"], keys, bind), bind.values
            ):
                self.versions.setdefault((type_.name, keys[ord_ - 1]), version)

    async def queue(self, lifecycle: Lifecycle, keys: Iterable[Key]) -> None:
        """Waits for its turn among the changes that keep the same thing true."""
        if lifecycle.queue is None:
            return
        type_ = self.catalogue[lifecycle.entity]
        bind = sql.Binds()
        rows = sql.by_keys(type_, ["t.*"], list(keys), bind)
        slots = f"SELECT DISTINCT {lifecycle.queue.replace('{row}', ROW)} FROM ({rows}) {ROW}"
        locks = f"SELECT pg_advisory_xact_lock(a, b) FROM ({slots} ORDER BY 1, 2) AS s (a, b)"
        await self.transaction.run(locks, bind.values)

    async def lock(self, type_: Type, keys: Sequence[Key]) -> None:
        """Locks rows, in the order of their keys."""
        bind = sql.Binds()
        order = ", ".join(f"t.{column}" for column in type_.key)
        lock = f"{sql.by_keys(type_, ['true'], list(keys), bind)} ORDER BY {order} FOR NO KEY UPDATE OF t"
        await self.transaction.run(lock, bind.values)


@dataclass
class Work:
    """One change in the making: what it has moved and recorded so far."""

    attempt: Attempt
    request: Request
    given: Mapping[str, Any] = field(default_factory=dict)
    """The input of the mutation, by the names of its ``Given``s; what the client left out is not in it."""
    asked: Sequence[Subject] = ()
    change_id: str = field(default_factory=lambda: str(uuid4()))
    subjects: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    recorded: list[tuple[str, str]] = field(default_factory=list)
    """The node and the id of each event, in the order of what happened."""
    overridden: list[str] = field(default_factory=list)
    before: dict[str, previews.Image | None] = field(default_factory=dict)
    """In a dry run: rows by their ids as they were when they were locked, None for those that it has made."""

    def __post_init__(self) -> None:
        self.transaction = self.attempt.transaction
        self.catalogue = self.attempt.catalogue
        self.missing = self.attempt.missing

    # -- rows ------------------------------------------------------------------------------------------------------

    async def fetch(self, statement: str, *values: Any) -> Sequence[Sequence[Any]]:
        """Runs a statement of an effect's own; values are texts, lists of texts, or None."""
        return await self.transaction.run(statement, values)

    async def queue(self, lifecycle: Lifecycle, keys: Iterable[Key]) -> None:
        """Waits for its turn among the changes that keep the same thing true."""
        await self.attempt.queue(lifecycle, keys)

    async def subject(self, entity: str) -> Row:
        """Locks and reads the one row that the mutation is about, which its answer shows.

        Raises:
            Refused: `NotFound` or `StaleVersion`.
        """
        (row,) = await self.lock(self.catalogue[entity], self.asked)
        self.subjects.append(row.id)
        return row

    async def lock(self, type_: Type, subjects: Sequence[Subject]) -> list[Row]:
        """Locks rows and then reads them, in the order of the input.

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

    async def _locked(self, type_: Type, keys: Sequence[Key]) -> list[Row]:
        await self.attempt.lock(type_, keys)
        # a statement later than the lock, which sees what whoever held it has committed
        columns = {
            column.name: f"t.{column.name}::text"
            for column in type_.table.columns
            if not isinstance(column.type, Vector) and not self.missing.first(type_, (column.name,))
        }
        if (lifecycle := lifecycle_of(type_.name)) and lifecycle.lapses and lifecycle.column in columns:
            columns[STATE] = lifecycle.read("t", lambda read: self.missing.first(type_, read))
        bind = sql.Binds()
        shown = previews.columns(type_, self.missing) if self.request.dry_run else []
        select = ["t.xmin::text", *columns.values(), *(leaf.over("t") for leaf in shown)]
        found = await self.transaction.run(sql.by_keys(type_, select, keys, bind), bind.values)
        rows = []
        for ord_, version, *values in sorted(found, key=itemgetter(0)):
            row = Row(type_, keys[ord_ - 1], version, dict(zip(columns, values, strict=False)))
            self.attempt.versions.setdefault((type_.name, row.key), version)
            rows.append(row)
            if shown:
                self.before.setdefault(row.id, _image(shown, values[len(columns) :]))
        return rows

    async def find(self, type_name: str, where: str, *values: Any, order: str | None = None) -> list[Row]:
        """Locks and reads the rows ``t`` that fulfil a predicate, in the order of their keys or in ``order``."""
        type_ = self.catalogue[type_name]
        key = ", ".join(f"t.{column}::text" for column in type_.key)
        by = order or ", ".join(f"t.{column}" for column in type_.key)
        found = await self.fetch(f"SELECT {key} FROM {type_.sql_name} AS t WHERE {where} ORDER BY {by}", *values)
        return await self._locked(type_, [tuple(one) for one in found]) if found else []

    async def look(self, type_: Type, keys: Sequence[Key]) -> None:
        """Locks rows that are there, and notes how they are."""
        if keys:
            await self._locked(type_, keys)

    async def again(self, row: Row) -> Row:
        """A row of this change as it is now."""
        return (await self._locked(row.type, [row.key]))[0]

    async def write(self, row: Row, values: Mapping[str, Any]) -> None:
        """Writes columns of a locked row, but for those that the database computes.

        Raises:
            GatewayError: ``MISSING_IN_DATABASE``: the database lacks one of the columns.
            Refused: `InvalidInput`: the caller has given a value that the database computes.
        """
        bind = sql.Binds()
        values = self._written(row.type, values)
        assigned = [f"{column} = {self._value(row.type, column, value, bind)}" for column, value in values.items()]
        where = " AND ".join(
            f"t.{column} = {bind(part, f'text::{row.type.column_kind(column).pg_type}')}"
            for column, part in zip(row.type.key, row.key, strict=True)
        )
        if assigned:
            await self.transaction.run(
                f"UPDATE {row.type.sql_name} AS t SET {', '.join(assigned)} WHERE {where}", bind.values
            )

    async def insert(self, type_name: str, values: Mapping[str, Any]) -> Row:
        """Adds a row; columns that the database lacks are left out where there is nothing to say in them, and so are
        those that it computes.

        Raises:
            GatewayError: ``MISSING_IN_DATABASE``: the database lacks one of the columns.
            Refused: `InvalidInput`: the caller has given a value that the database computes.
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
        """These values without what the database computes, which nobody can give and effects leave to it."""
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
        self, lifecycle: Lifecycle, rows: Sequence[Row], to: Labels, values: Mapping[str, Any] | None = None
    ) -> None:
        """Moves locked rows to a state: the one way for a subject of a change.

        ``values`` are columns that are written first, so that guards judge the row as it would be with them.

        Raises:
            Refused: `IllegalTransition` for the first row that may not, or `TransitionBlocked` with all that is in
                the way of all of them.
        """
        origins = [self._origin(lifecycle, row, to) for row in rows]
        if values:
            for row in rows:
                await self.write(row, values)
        await self._guard(lifecycle, rows, origins, to)
        for row, origin in zip(rows, origins, strict=True):
            steps = lifecycle.steps(origin, to)
            moved = Moved(lifecycle, row, origin, to, self.given)
            for effect in (one for step in steps for one in step.before):
                await EFFECTS[effect.name](self, moved)
            await self.shift(lifecycle, row, to)
            for effect in (one for step in steps for one in step.effects):
                await EFFECTS[effect.name](self, moved)

    async def _guard(self, lifecycle: Lifecycle, rows: Sequence[Row], origins: Sequence[Labels], to: Labels) -> None:
        asked = [Ask(row.key, origin) for row, origin in zip(rows, origins, strict=True)]
        found = await obstacles(self.transaction.run, self.catalogue[lifecycle.entity], lifecycle, asked, to)
        self.judge([blocker(obstacle) for answer in found for obstacle in answer[to]])

    def judge(self, blockers: Sequence[Blocker]) -> None:
        """Lets the change go on if nothing is in the way, or all of it is overridden.

        Raises:
            Refused: `TransitionBlocked`.
        """
        standing = [one for one in blockers if not (self.request.force and one.overridable)]
        if standing:
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
        """Writes a row's new state with its stamps and records it, unguarded: for what a change brings with it."""
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
        """Writes the event of a change of one row, with ``more`` details; nothing can change it afterwards."""
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
        rows = await self.transaction.run_as_gateway(
            f"INSERT INTO {type_.sql_name} ({', '.join(values)}) VALUES ({written}) RETURNING event_id::text",
            bind.values,
        )
        self.transaction.proof = Proof(type_.sql_name, "change_id = $1::text::uuid", (self.change_id,))
        self.recorded.append((node_id, ids.encode(type_.name, (rows[0][0],))))
        self.touched(node_id)

    @property
    def events(self) -> list[str]:
        """The ids of the events, those of the change's own rows first."""
        own = {node: place for place, node in enumerate(self.subjects)}
        return [event for _, event in sorted(self.recorded, key=lambda one: own.get(one[0], len(own)))]

    def touched(self, node_id: str) -> None:
        """Remembers a row that changed beside the change's own; whoever changes it has locked it before."""
        if node_id not in self.subjects and node_id not in self.others:
            self.others.append(node_id)

    def made(self, node_id: str) -> None:
        """Remembers a row that the change has added, or a trigger of the database because of it."""
        self._made(node_id)
        self.touched(node_id)

    def _made(self, node_id: str) -> None:
        self.before[node_id] = None
        self.attempt.made.add(node_id.split(":", 1)[1])

    def added(self, node_id: str, *, is_named: bool) -> None:
        """Remembers a row of the change's own that it has added; ``is_named`` where its key was asked for."""
        if not is_named:
            self._made(node_id)
        self.before[node_id] = None
        self.attempt.added.add(node_id)

    async def planned(self, missing: Missing) -> list[PlannedChange]:
        """What a dry run has changed, as far as a caller may read it: its own rows first."""
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
    """An obstacle as the graph shows it."""
    guard = obstacle.guard
    return Blocker(code=guard.code, message=obstacle.message, overridable=guard.overridable, node_id=obstacle.node_id)


def bound(kind: ColumnKind, value: Any, bind: sql.Binds) -> str:
    """A value as a typed placeholder of a column's kind; SQL as it is."""
    if value is None:
        return "NULL"
    if isinstance(value, Sql):
        return value.text
    if kind.graphql == "JSON":
        return bind(exact_json.dumps(value, text_of).decode(), "text::jsonb")
    if kind.is_list:
        return bind([text_of(item) for item in value], f"text[]::{kind.pg_type}")
    return bind(text_of(value), f"text::{kind.pg_type}")

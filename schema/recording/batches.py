"""Batches of rows: what is wrong with them is found before any SQL where it can be, and else by halving the batch."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from db.attach.facts import Facts
from db.engine import constraints, errors
from db.engine.errors import DataError, InvalidValueError, RefusedByDatabaseError
from db.engine.transaction import Transaction
from schema.catalogue import ids
from schema.catalogue.catalogue import Catalogue, Type
from schema.catalogue.records import Missing
from schema.error_codes import RowCode
from schema.recording import statements
from schema.recording.columns import PLAIN, Bounds, array_of, bounds_of, wrong_text, wrong_value
from schema.recording.record_types import Lookup, RecordType, RowField, lookups
from schema.sql.filters import text_of

log = logging.getLogger("gateway.recording")

Key = tuple[str, ...]

MAX_PROBLEMS = 20
"""Problems of rows that are told of one batch."""

ABSENT: Any = object()
"""A field that a row does not give."""


@dataclass(frozen=True)
class Wrong:
    """What is wrong with one row, and with which of its fields."""

    code: RowCode
    row: int
    message: str
    fields: tuple[str, ...] = ()


class RowsError(Exception):
    """Rows are in the way; nothing of the batch may stay."""

    def __init__(self, found: Sequence[Wrong]) -> None:
        super().__init__(f"{len(found)} problems of rows")
        self.found = found[:MAX_PROBLEMS]


class UnwritableError(Exception):
    """The connected database does not let rows of the type be recorded, or not in the way that is asked for."""


@dataclass
class Counts:
    """What has become of the rows of a batch."""

    inserted: int = 0
    updated: int = 0
    kept: int = 0
    differing: int = 0


@dataclass
class RowBatch:
    """Rows of one type on their way into the database."""

    type: RecordType
    rows: Sequence[Mapping[str, Any]]
    conflict: str
    transaction: Transaction
    catalogue: Catalogue
    missing: Missing
    facts: Facts
    constants: Mapping[str, str]
    """Columns that have one text in all rows: states at birth, the actor."""
    seed: str | None
    """What the ids of rows without a natural key are derived from, so that they are the same when asked again."""
    wrong: list[Wrong] = field(default_factory=list)
    values: dict[str, list[Any]] = field(default_factory=dict)
    """By column, as they are sent; `ABSENT` where a row does not give it."""
    derived: bool = False
    """Whether ids were derived from the seed."""
    made: bool = False
    """Whether any row has an id that was made for it."""
    all_made: bool = False
    """Whether every row has."""
    fields: Mapping[str, RowField] = field(default_factory=dict)
    """What the rows may give; what rows of the type do at birth, unless said."""

    def __post_init__(self) -> None:
        self.fields = self.fields or self.type.fields

    @property
    def table(self) -> Type:
        return self.type.type

    async def prepare(self) -> None:
        """Everything that is wrong and can be told without writing a row.

        Raises:
            UnwritableError: The database does not take such rows.
            RowsError: Rows are in the way.
        """
        self._check_database()
        await self._read()
        self._check_demanded()
        self._check_named()
        self._check_duplicates()
        self._refuse_wrong()

    async def prepare_changes(self) -> None:
        """The same for rows that are there, and get what is given.

        Raises:
            UnwritableError: The database does not take such rows.
            RowsError: Rows are in the way.
        """
        await self._read(is_new=False)
        for column, values in self.values.items():
            if self._fact(column, "not_null"):
                for place in (place for place, value in enumerate(values) if value is None):
                    name = next(one.name for one in self.fields.values() if one.column == column)
                    if not any(noted.row == place and name in noted.fields for noted in self.wrong):
                        self._note(RowCode.VALUE_MISSING, place, "needs a value in this database", name)
        self._refuse_wrong()

    async def _read(self, *, is_new: bool = True) -> None:
        names = set().union(*self.rows)
        given = {name: one for name, one in self.fields.items() if name in names}
        for name, one in given.items():
            if self.missing.first(self.table, (one.column,)):
                raise UnwritableError(f"{name}: the connected database has no such column; leave it out")
            if self._fact(one.column, "generated"):
                raise UnwritableError(f"{name}: the connected database computes it; leave it out")
            if one.reference is None:
                self.values[one.column] = self._checked(one)
        if is_new:
            self._make_ids()
        for one in given.values():
            if one.reference is not None:
                self.values[one.column] = await self._referred(one)

    def _refuse_wrong(self) -> None:
        if self.wrong:
            raise RowsError(sorted(self.wrong, key=lambda one: one.row))

    async def write(self) -> Counts:
        """Adds the rows, after `prepare`.

        Raises:
            RowsError: The database refuses rows; the transaction is to be undone.
            DatabaseError: It fails otherwise.
        """
        groups = self._groups()
        arbiter = self._arbiter()
        counts = Counts()
        await self.transaction.run("SAVEPOINT batch")
        try:
            for columns, places in groups:
                made = self._insertion(columns, arbiter)
                added, touched = await self._insert(made, places)
                counts.inserted += added
                counts.updated += touched - added
                counts.kept += len(places) - touched
            await self.transaction.run("SET CONSTRAINTS ALL IMMEDIATE")
        except (RefusedByDatabaseError, DataError, InvalidValueError, _DroppedError) as error:
            await self.transaction.run("ROLLBACK TO SAVEPOINT batch")
            raise RowsError(await self._halve(groups, arbiter) or [self._unknown(error)]) from None
        if counts.kept and self.conflict == statements.KEEP and arbiter and not self.derived:
            counts.differing = await self._differing(groups, arbiter)
        return counts

    async def keys(self) -> list[Key | None]:
        """The texts of each row's key, once they are there; rows that were there before are looked up by theirs."""
        given = [self.values.get(column, [ABSENT] * len(self.rows)) for column in self.table.key]
        is_known = not any(ABSENT in values for values in given)
        if is_known and (not self.type.key or self.conflict == "ERROR" or not self.made):
            return [tuple(map(text_of, key)) for key in zip(*given, strict=True)]
        columns = list(self.type.key)
        if not columns:
            return [None] * len(self.rows)
        found = await self._find(self.table, columns, [self.values[column] for column in columns])
        return [max(found.get(place, ()), key=_in_order, default=None) for place in range(len(self.rows))]

    async def change(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """Runs a statement that changes a row, after `prepare_changes`; columns are arrays of one item.

        Raises:
            RowsError: The database refuses it; the transaction is to be undone.
            DatabaseError: It fails otherwise.
        """
        await self.transaction.run("SAVEPOINT batch")
        try:
            found = await self.transaction.run(sql, values)
            await self.transaction.run("SET CONSTRAINTS ALL IMMEDIATE")
        except (RefusedByDatabaseError, DataError, InvalidValueError) as error:
            await self.transaction.run("ROLLBACK TO SAVEPOINT batch")
            raise RowsError([await self._meaning(error, 0)]) from None
        return found

    # -- before any SQL --------------------------------------------------------------------------------------------

    def _fact(self, column: str, name: str) -> bool:
        known = self.facts.columns.get(self.table.sql_name, {}).get(column)
        return bool(known and getattr(known, name))

    def _check_database(self) -> None:
        if what := self.missing.table(self.table):
            raise UnwritableError(f"the connected database has no table {what}")
        for column, fact in self.facts.columns.get(self.table.sql_name, {}).items():
            filled = column in self.type.by_column or column in self.constants
            if fact.not_null and not fact.has_default and not fact.generated and not filled:
                raise UnwritableError(
                    f"the connected database wants a value in {column}, which the gateway does not fill"
                )
        if self.conflict != "ERROR" and self.type.key:
            self._arbiter()
        if self.conflict == statements.UPDATE and not self.type.is_fact and not self.type.changeable:
            raise UnwritableError(f"a {self.type.name} is not changed once it is there; pass onConflict: KEEP")

    def _arbiter(self) -> tuple[str, ...]:
        """The columns of the unique index that conflicts are judged by; none where every conflict is an error."""
        if self.derived:
            return self.table.key
        if self.conflict == "ERROR":
            return ()
        wanted = self.type.key or self.table.key
        for index in self.facts.indexes.get(self.table.sql_name, ()):
            columns = {column.name for column in index.columns}
            if index.unique and index.predicate is None and columns == set(wanted):
                return wanted
        names = " and ".join(self.table.field_name(column) for column in wanted)
        raise UnwritableError(
            f"onConflict: {self.conflict} needs a unique index over {names}, which the connected database lacks"
        )

    def _checked(self, one: RowField) -> list[Any]:
        bounds = self._bounds(one.column)
        write = array_of(self.table, one.column).write
        allowed = self._states(one)
        if one.kind.name in PLAIN and write is None and allowed is None and one.column not in self.type.demanded:
            return self._given(one.name)
        values: list[Any] = []
        for place, row in enumerate(self.rows):
            value = row.get(one.name, ABSENT)
            if value is not ABSENT and value is not None:
                if wrong := wrong_value(one.kind, value, bounds):
                    self._note(RowCode.INVALID_VALUE, place, wrong, one.name)
                    value = None
                elif allowed is not None and text_of(value) not in allowed:
                    names = ", ".join(allowed.values())
                    self._note(
                        RowCode.INVALID_VALUE, place, f"no row is recorded in this state; it may be {names}", one.name
                    )
                elif allowed is not None:
                    value = text_of(value)
                elif write is not None:
                    value = write(value)
                    if wrong := wrong_text(one.kind, value):
                        self._note(RowCode.INVALID_VALUE, place, wrong, one.name)
            elif value is None and one.column in self.type.demanded:
                self._note(RowCode.VALUE_MISSING, place, "is null, and it is part of what names the row", one.name)
            values.append(value)
        return values

    def _given(self, name: str) -> list[Any]:
        try:
            return list(map(itemgetter(name), self.rows))
        except KeyError:
            return [row.get(name, ABSENT) for row in self.rows]

    def _states(self, one: RowField) -> Mapping[str, str] | None:
        """The states that rows may be born in, by their texts, for the field of a state."""
        lifecycle = self.type.plan.state
        if lifecycle is None or lifecycle.column != one.column:
            return None
        return {lifecycle.text(lifecycle.states[name]): name for name in self.type.plan.declared.born}

    def _bounds(self, column: str) -> Bounds:
        return bounds_of(self.table, column, self.facts.columns.get(self.table.sql_name, {}).get(column))

    def _make_ids(self) -> None:
        if not self.type.makes_ids:
            return
        (key,) = self.table.key
        given = self.values.get(key, [ABSENT] * len(self.rows))
        if ABSENT not in given and None not in given:
            return
        self.made = True
        self.all_made = given.count(ABSENT) == len(given)
        self.derived = self.seed is not None and not self.type.key
        made = _random(len(given)) if self.seed is None else derived(self.seed, len(given))
        self.values[key] = [made[place] if one in (ABSENT, None) else one for place, one in enumerate(given)]

    def _check_demanded(self) -> None:
        """What the connected database demands beyond the models."""
        for column, fact in self.facts.columns.get(self.table.sql_name, {}).items():
            one = self.type.by_column.get(column)
            if one is None or not fact.not_null or fact.generated:
                continue
            values = self.values.get(column, [ABSENT] * len(self.rows))
            if None not in values and (fact.has_default or ABSENT not in values):
                continue
            for place, value in enumerate(values):
                if value is None or (value is ABSENT and not fact.has_default):
                    if any(noted.row == place and one.name in noted.fields for noted in self.wrong):
                        continue
                    self._note(RowCode.VALUE_MISSING, place, "needs a value in this database", one.name)

    def _check_named(self) -> None:
        """What names an entity must be said where it may be there already."""
        if self.conflict == "ERROR":
            return
        for column in set(self.type.key) - set(self.type.demanded):
            name = self.type.by_column[column].name
            for place, value in enumerate(self.values.get(column, [ABSENT] * len(self.rows))):
                if value is None or value is ABSENT:
                    self._note(RowCode.VALUE_MISSING, place, f"is needed for onConflict: {self.conflict}", name)

    def _check_duplicates(self) -> None:
        for columns in {self.type.key, self.table.key} - {()}:
            if any(column not in self.values for column in columns):
                continue
            keys = list(zip(*(self.values[column] for column in columns), strict=True))
            if len(set(keys)) == len(keys):
                continue
            seen: dict[tuple[Any, ...], int] = {}
            for place, key in enumerate(keys):
                if ABSENT in key or None in key:
                    continue
                before = seen.setdefault(key, place)
                if before != place:
                    names = tuple(self.type.by_column[column].name for column in columns)
                    self._note(
                        RowCode.DUPLICATE, place, f"has the same {' and '.join(names)} as row {before}", *names[:1]
                    )

    def _note(self, code: RowCode, row: int, message: str, *fields: str) -> None:
        self.wrong.append(Wrong(code, row, f"{fields[0]} {message}" if fields else message, fields))

    # -- references ------------------------------------------------------------------------------------------------

    async def _referred(self, one: RowField) -> list[Any]:
        """The keys that references of rows stand for, with one statement for each way of naming."""
        assert one.reference is not None  # noqa: S101 - asked of references alone
        target = self.catalogue[one.reference.target]
        ways = {way.name: way for way in lookups(self.catalogue, target.name)}
        values: list[Any] = []
        asked: dict[str, dict[tuple[Any, ...], list[int]]] = {}
        known: dict[str, tuple[Any, ...]] = {}
        for place, row in enumerate(self.rows):
            given = row.get(one.name, ABSENT)
            values.append(given if given is ABSENT or given is None else None)
            if given is None and one.column in self.type.demanded:
                self._note(RowCode.VALUE_MISSING, place, "is null, and it is part of what names the row", one.name)
            if given is ABSENT or given is None:
                continue
            ((member, by),) = given.items()
            try:
                key = known.get(by) if member == "id" else None
                if key is None:
                    key = _key_of(target, ways.get(member), by)
                    if member == "id":
                        known[by] = key
            except ids.MalformedIdError as error:
                message = f"names no {target.name}: {error}"
                if self.type.is_confidential:
                    message = f"is no id of {target.name}"
                self._note(RowCode.INVALID_VALUE, place, message, one.name, member)
                continue
            asked.setdefault(member, {}).setdefault(key, []).append(place)
        for member, keys in asked.items():
            columns = list(ways[member].columns.values()) if member in ways else list(target.key)
            await self._resolve(one, target, member, columns, keys, values)
        return values

    async def _resolve(
        self,
        one: RowField,
        target: Type,
        member: str,
        columns: list[str],
        keys: Mapping[tuple[Any, ...], list[int]],
        values: list[Any],
    ) -> None:
        own = set(self.values.get(target.key[0], ())) if target is self.table else set()
        found = await self._find(target, columns, [list(parts) for parts in zip(*keys, strict=True)])
        for at, (key, places) in enumerate(keys.items()):
            there = found.get(at, [])
            if len(there) == 1:
                (value,) = there[0]
            elif member == "id" and key[0] in own:
                value = key[0]
            else:
                many = f"names {len(there)} rows of {target.name}, since it is not unique in the connected database"
                for place in places:
                    message = many if there else f"names no {target.name}"
                    self._note(RowCode.NO_SUCH_ROW, place, message, one.name, member)
                continue
            for place in places:
                values[place] = value

    async def _find(self, type_: Type, columns: Sequence[str], arrays: Sequence[list[Any]]) -> dict[int, list[Key]]:
        """The keys of rows by equal columns, by the place in the arrays."""
        found: dict[int, list[Key]] = {}
        for place, *key in await self.transaction.run(statements.by_columns(type_, columns), arrays):
            found.setdefault(place - 1, []).append(tuple(key))
        return found

    # -- writing ---------------------------------------------------------------------------------------------------

    def _groups(self) -> list[tuple[tuple[str, ...], list[int]]]:
        """Rows that one statement can add: those that leave the same columns to their defaults, sorted by their key.

        A row that may be there already is compared by what it gives, so that all of its columns count.
        """
        order = range(len(self.rows))
        sorts = [self.values[column] for column in self.type.key or self.table.key if column in self.values]
        if sorts and (self.type.key or not self.all_made):  # nobody else has a key that was made here
            order = sorted(order, key=lambda place: tuple(str(values[place]) for values in sorts))  # type: ignore[assignment]
        every = self.conflict != "ERROR"
        known = self.facts.columns.get(self.table.sql_name)
        varying = [
            column
            for column, values in self.values.items()
            if ABSENT in values and (every or self._has_default(column, known is not None))
        ]
        fixed = [column for column in self.values if column not in varying]
        groups: dict[tuple[str, ...], list[int]] = {}
        for place in order:
            there = tuple(column for column in varying if self.values[column][place] is not ABSENT)
            groups.setdefault(there, []).append(place)
        return [((*fixed, *there), places) for there, places in groups.items()]

    def _has_default(self, column: str, is_known: bool) -> bool:  # noqa: FBT001 - of the database, not a choice
        if is_known:
            return self._fact(column, "has_default")
        return self.table.table.columns[column].server_default is not None

    def _insertion(self, columns: Sequence[str], arbiter: Sequence[str]) -> statements.Insertion:
        conflict = statements.KEEP if self.derived else self.conflict
        changeable = None if self.type.is_fact else frozenset(self.type.plan.updates)
        return statements.Insertion(
            self.table, tuple(columns), tuple(self.constants), tuple(arbiter), conflict, changeable
        )

    def _arrays(self, columns: Iterable[str], places: Sequence[int]) -> list[list[Any]]:
        whole = len(places) == len(self.rows) and places == list(range(len(self.rows)))
        arrays = []
        for column in columns:
            values = self.values[column]
            chosen = values if whole else list(map(values.__getitem__, places))
            arrays.append([None if one is ABSENT else one for one in chosen] if ABSENT in chosen else chosen)
        return arrays

    async def _insert(self, made: statements.Insertion, places: Sequence[int]) -> tuple[int, int]:
        arrays = self._arrays(made.columns, places)
        ((added, touched),) = await self.transaction.run(made.sql, [*arrays, *self.constants.values()])
        if touched < len(places):  # the others were there, unless a trigger has dropped them
            there = (
                await self._find(self.table, made.arbiter, self._arrays(made.arbiter, places)) if made.arbiter else ()
            )
            if len(there) < len(places):
                raise _DroppedError
        return added, touched

    async def _differing(self, groups: Sequence[tuple[tuple[str, ...], list[int]]], arbiter: Sequence[str]) -> int:
        """How many rows that are there differ from what was given."""
        count = 0
        own = self.table.key[0] if self.made else None
        for columns, places in groups:
            given = [column for column in columns if column not in {*arbiter, *self.table.key}]
            if not given:
                continue
            sql = statements.differing(self.table, arbiter, given, own)
            every = dict.fromkeys((*arbiter, *given, *((own,) if own else ())))
            found = await self.transaction.run(sql, self._arrays(every, places))
            if self.type.plan.declared.agrees and found:
                words = "was recorded with other values before"
                raise RowsError([Wrong(RowCode.DIFFERS, places[at - 1], words) for (at,) in found[:MAX_PROBLEMS]])
            count += len(found)
        return count

    # -- what the database refuses ---------------------------------------------------------------------------------

    async def _halve(self, groups: Sequence[tuple[tuple[str, ...], list[int]]], arbiter: Sequence[str]) -> list[Wrong]:
        """The rows that the database refuses, each tried with those before it that it takes."""
        found: list[Wrong] = []
        await self.transaction.run("SET CONSTRAINTS ALL IMMEDIATE")
        for columns, every in groups:
            made = self._insertion(columns, arbiter)
            parts = [every]
            while parts and len(found) < MAX_PROBLEMS:
                places = parts.pop()
                await self.transaction.run("SAVEPOINT part")
                try:
                    await self._insert(made, places)
                    await self.transaction.run("RELEASE SAVEPOINT part")
                except (RefusedByDatabaseError, DataError, InvalidValueError, _DroppedError) as error:
                    await self.transaction.run("ROLLBACK TO SAVEPOINT part")
                    if len(places) == 1:
                        found.append(await self._meaning(error, places[0]))
                    else:
                        middle = len(places) // 2
                        parts += [places[middle:], places[:middle]]
        return sorted(found, key=lambda one: one.row)

    def _unknown(self, error: Exception) -> Wrong:
        log.warning("rows are refused together and none of them alone: %s", type(error).__name__)
        return Wrong(RowCode.REFUSED_BY_DATABASE, 0, "the database refuses the rows together, and none of them alone")

    async def _meaning(self, error: Exception, row: int) -> Wrong:  # noqa: PLR0911 - one line for each kind
        """What is wrong with a row, without a word of the server's: they quote values and names of constraints."""
        if isinstance(error, _DroppedError):
            return Wrong(RowCode.REFUSED_BY_DATABASE, row, "a trigger of the database drops the row")
        if not isinstance(error, RefusedByDatabaseError):
            return Wrong(RowCode.INVALID_VALUE, row, "the database cannot hold one of its values")
        said = error.diagnostics
        columns: tuple[str, ...] = ()
        if said.column:
            columns = (said.column,)
        elif said.constraint:
            known = await constraints.look_up(self.transaction.run, said.schema, said.table, said.constraint)
            columns = known.columns if known else ()
        fields = tuple(self._field(column) for column in columns)
        names = " and ".join(fields)
        match said.state:
            case errors.UNIQUE:
                return Wrong(
                    RowCode.NOT_UNIQUE, row, f"another {self.table.name} has the same {names or 'key'}", fields[:1]
                )
            case errors.FOREIGN_KEY:
                return Wrong(RowCode.NO_SUCH_ROW, row, f"{names or 'a reference'} names no row", fields[:1])
            case errors.CHECK:
                words = f"a rule of the database does not allow its {names or 'values'}"
                return Wrong(RowCode.CHECK_FAILED, row, words, fields[:1])
            case errors.NOT_NULL:
                return Wrong(RowCode.VALUE_MISSING, row, f"{names} needs a value in this database", fields[:1])
            case errors.EXCLUSION:
                words = f"another {self.table.name} excludes it{f' by {names}' if names else ''}"
                return Wrong(RowCode.NOT_UNIQUE, row, words, fields[:1])
            case _:
                words = "" if self.type.is_confidential or not error.by_trigger else f": {said.words}"
                return Wrong(RowCode.REFUSED_BY_DATABASE, row, f"the database does not allow it{words}")

    def _field(self, column: str) -> str:
        one = self.type.by_column.get(column)
        return one.name if one else self.table.field_name(column)


def _in_order(key: Key) -> tuple[Any, ...]:
    """Keys in the order in which a database that numbers its rows has made them."""
    return tuple(int(part) if part.isdecimal() else part for part in key)


class _DroppedError(Exception):
    """A trigger has swallowed rows without a word."""


def _key_of(target: Type, way: Lookup | None, by: Any) -> tuple[Any, ...]:
    """The values of a reference in the order of its columns, as they are sent.

    Raises:
        MalformedIdError: It cannot be read.
    """
    if way is None:
        return ids.decode(by, target.name, target.key_kinds)
    parts = [by] if way.is_single else [by[name] for name in way.columns]
    for part in parts:
        if isinstance(part, str) and "\x00" in part:
            raise ids.MalformedIdError("it contains NUL")
    writes: list[Callable[[Any], Any] | None] = [array_of(target, column).write for column in way.columns.values()]
    return tuple(write(part) if write else part for write, part in zip(writes, parts, strict=True))


def _random(count: int) -> list[str]:
    digits = os.urandom(16 * count).hex()
    return [_uuid(digits[at : at + 32], "4") for at in range(0, 32 * count, 32)]


def derived(seed: str, count: int) -> list[str]:
    """Ids that are the same for the same seed."""
    begun = hashlib.sha256(seed.encode())
    made = []
    for place in range(count):
        one = begun.copy()
        one.update(b"/%d" % place)
        made.append(_uuid(one.hexdigest()[:32], "8"))
    return made


def _uuid(digits: str, version: str) -> str:
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-{version}{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"

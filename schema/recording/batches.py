"""Writing batches of rows; refused rows are located by what the database checks, and by parting the batch."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from db.base.lifecycles import lifecycles
from db.engine.constraints import checks, closed
from db.engine.errors import (
    CHECK,
    UNIQUE,
    DatabaseError,
    DatabaseUnavailableError,
    DataError,
    InvalidValueError,
    RefusedByDatabaseError,
)
from db.engine.transaction import Transaction
from schema.catalogue import ids
from schema.error_codes import RowCode
from schema.execution.time_slices import background
from schema.recording import statements
from schema.recording.problems import MAX_PROBLEMS, Counts, Differing, RowsError, Wrong
from schema.recording.references import Key, find_keys, referred_keys
from schema.recording.refusals import REFUSALS, DroppedError, meaning
from schema.recording.row_values import ABSENT, RowValues
from schema.sql.filters import text_of

log = logging.getLogger("gateway.recording")


PARTS = 4
"""Of a part in which the database refuses a row, each of which is tried then: the fewest statements."""
PART = 1_000
"""Rows of one statement: some milliseconds of the driver's, in which nothing else of the process runs."""


@dataclass
class RowBatch(RowValues):
    """Rows of one type in the transaction that is to hold them."""

    transaction: Transaction = field(kw_only=True)

    async def prepare(self) -> None:
        """Everything that is wrong and can be told without writing a row.

        Raises:
            UnwritableError: The database does not take such rows.
            RowsError: Rows are in the way.
        """
        self.check_database()
        await self._read()
        for check in (self.check_demanded, self.check_named, self.check_duplicates):
            await background().one(len(self.rows))
            check()
        self.refuse_wrong()
        await self._find_room()

    async def _find_room(self) -> None:
        """A row that is born out of use has no value there, where the database keeps false for another one.

        A database may keep columns of a row and whether it is in use unique together, as the platform does.
        """
        for lifecycle in lifecycles():
            column = lifecycle.column
            if lifecycle.entity != self.type.name or self.constants.get(column) != "false":
                continue
            for index in self.facts.indexes.get(self.table.sql_name, ()):
                same = [one.name for one in index.columns if one.name != column]
                there = index.unique and index.predicate is None and len(same) < len(index.columns)
                if there and same and all(one in self.values for one in same):
                    self.constants = {name: text for name, text in self.constants.items() if name != column}
                    self.values[column] = await self._out_of_use(column, same)

    async def _out_of_use(self, column: str, same: Sequence[str]) -> list[bool | None]:
        """What stands in the column of each row: false where there is none yet among those that are the same."""
        await self.transaction.run(
            "SELECT pg_advisory_xact_lock(hashtext($1::text), 0)",
            [f"{self.table.sql_name}.{column} of new rows"],
            defers=False,
        )
        groups = list(zip(*(self.values[one] for one in same), strict=True))
        sql = statements.by_columns(self.table, same, [column])
        found = await self.transaction.run(sql, [self.values[one] for one in same], defers=False)
        taken = {groups[place - 1] for place, text in found if text == "false"}
        values: list[bool | None] = []
        for group in groups:
            values.append(None if group in taken else False)
            taken.add(group)
        return values

    async def prepare_changes(self) -> None:
        """The same for rows that are there, and get what is given.

        Raises:
            UnwritableError: The database does not take such rows.
            RowsError: Rows are in the way.
        """
        await self._read(is_new=False)
        self.check_nulls()
        self.refuse_wrong()

    async def _read(self, *, is_new: bool = True) -> None:
        await self.read_values()
        if is_new:
            await self.make_ids()
        for one in self.given.values():
            if one.reference is not None:
                self.values[one.column] = await referred_keys(self, one, self.transaction)

    async def write(self) -> Counts:
        """Adds the rows, after `prepare`.

        Raises:
            RowsError: The database refuses rows; the transaction is to be undone.
            NotPermittedError: It takes no row of the type at all.
            DatabaseError: It fails otherwise.
        """
        groups = await self._groups()
        arbiter = self.arbiter()
        counts = Counts()
        self.transaction.savepoint("batch")
        try:
            for columns, places in groups:
                made = self._insertion(columns, arbiter)
                added, touched = await self._insert(made, places)
                counts.inserted += added
                counts.updated += touched - added
                counts.kept += len(places) - touched
            await self.transaction.check_constraints()
        except REFUSALS as error:
            await self.transaction.rollback_to("batch")
            if isinstance(error, RefusedByDatabaseError) and (denied := await closed(error, self.transaction.run)):
                raise denied from error
            raise RowsError(await self._refused(groups, arbiter, error)) from None
        if counts.kept and self.conflict == statements.KEEP and arbiter and not self.derived:
            await self._compare(groups, arbiter, counts)
        return counts

    async def keys(self) -> list[Key | None]:
        """The texts of each row's key, once they are there; rows that were there before are looked up by theirs."""
        given = [self.values.get(column, [ABSENT] * len(self.rows)) for column in self.table.key]
        is_known = not any(ABSENT in values for values in given)
        if is_known and (not self.type.key or self.conflict == "ERROR" or not self.made):
            keys: list[Key | None] = []

            def write(places: range) -> None:
                keys.extend(tuple(text_of(values[place]) for values in given) for place in places)

            await background().parts(len(self.rows), write)
            return keys
        columns = list(self.type.key)
        if not columns:
            return [None] * len(self.rows)
        found = await find_keys(self.transaction, self.table, columns, [self.values[column] for column in columns])
        return [max(found.get(place, ()), key=_in_order, default=None) for place in range(len(self.rows))]

    async def there(self) -> list[Key]:
        """The keys of rows that are there already, by what conflicts are judged by; none where each is an error."""
        arbiter = self.arbiter()
        if not arbiter:
            return []
        arrays = self._arrays(arbiter, list(range(len(self.rows))))
        found = await find_keys(self.transaction, self.table, arbiter, arrays)
        return list(dict.fromkeys(key for keys in found.values() for key in keys))

    async def change(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """Runs a statement that changes a row, after `prepare_changes`; columns are arrays of one item.

        Raises:
            RowsError: The database refuses it; the transaction is to be undone.
            DatabaseError: It fails otherwise.
        """
        self.transaction.savepoint("batch")
        try:
            found = await self.transaction.run(sql, values)
            await self.transaction.check_constraints()
        except (RefusedByDatabaseError, DataError, InvalidValueError) as error:
            await self.transaction.rollback_to("batch")
            raise RowsError([await meaning(error, 0, self, self.transaction)]) from None
        return found

    async def _groups(self) -> list[tuple[tuple[str, ...], list[int]]]:
        """Rows that one statement adds: those that leave the same columns to their defaults, sorted by their key.

        A row that may be there already is compared by what it gives, so that all of its columns count. They are `PART`
        rows at most, since nothing else of the process runs while the driver writes down their values.
        """
        order = await self._order()
        every = self.conflict != "ERROR"
        varying = [column for column in self.values if column in self.partial and (every or self.has_default(column))]
        if not varying:
            return _parts(tuple(self.values), order)
        fixed = [column for column in self.values if column not in varying]
        groups: dict[tuple[str, ...], list[int]] = {}

        def group(places: range) -> None:
            for place in order[places.start : places.stop]:
                there = tuple(column for column in varying if self.values[column][place] is not ABSENT)
                groups.setdefault(there, []).append(place)

        await background().parts(len(order), group)
        return [part for there, places in groups.items() for part in _parts((*fixed, *there), places)]

    async def _order(self) -> list[int]:
        """The places of the rows, by their keys: whoever writes the same ones locks them in the same order."""
        sorts = [self.values[column] for column in self.type.key or self.table.key if column in self.values]
        if not sorts or (self.all_made and not self.type.key):  # nobody else has a key that was made here
            return list(range(len(self.rows)))
        texts: list[str] = []
        await background().parts(
            len(self.rows),
            lambda places: texts.extend("\0".join([str(values[place]) for values in sorts]) for place in places),
        )
        return sorted(range(len(texts)), key=texts.__getitem__)

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
            if column in self.partial:
                chosen = [None if one is ABSENT else one for one in chosen]
            arrays.append(chosen)
        return arrays

    async def _insert(self, made: statements.Insertion, places: Sequence[int]) -> tuple[int, int]:
        arrays = self._arrays(made.columns, places)
        defers = made.conflict == statements.UPDATE or self.table.sql_name not in self.facts.settled
        ((added, touched),) = await self.transaction.run(made.sql, [*arrays, *self.constants.values()], defers=defers)
        if touched < len(places):  # the others were there, unless a trigger has dropped them
            there = 0
            if made.arbiter:
                keys = self._arrays(made.arbiter, places)
                there = len(await find_keys(self.transaction, self.table, made.arbiter, keys))
            if there < len(places):
                raise DroppedError
        return added, touched

    async def _compare(
        self, groups: Sequence[tuple[tuple[str, ...], list[int]]], arbiter: Sequence[str], counts: Counts
    ) -> None:
        """Counts the rows that are there and differ from what was given, and names the first of them.

        Raises:
            RowsError: They differ, and rows of the type must not.
        """
        if not self.tells and not self.type.plan.declared.agrees:
            counts.differing = None
            return
        count, differs = 0, []
        own = self.table.key[0] if self.made else None
        for columns, places in groups:
            given = [column for column in columns if column not in {*arbiter, *self.table.key}]
            if not given:
                continue
            places = sorted(places)  # noqa: PLW2901 - the first of them are named
            sql = statements.differing(self.table, arbiter, given, own, MAX_PROBLEMS)
            every = dict.fromkeys((*arbiter, *given, *((own,) if own else ())))
            found = await self.transaction.run(sql, self._arrays(every, places), defers=False)
            count += found[0][1] if found else 0
            for at, _, others, *key in found:
                fields = [self.field_of(column) for column, is_other in zip(given, others, strict=True) if is_other]
                differs.append(Differing(places[at - 1], ids.encode(self.type.name, tuple(key)), fields))
        differs = sorted(differs, key=lambda one: one.row)[:MAX_PROBLEMS]
        if differs and self.type.plan.declared.agrees:
            raise RowsError([self._differs(one) for one in differs])
        counts.differing, counts.differs = count, differs

    def _differs(self, one: Differing) -> Wrong:
        which = f": {', '.join(one.fields)}" if self.tells else ""
        return Wrong(RowCode.DIFFERS, one.row, f"was recorded with other values before{which}")

    # -- what the database refuses ---------------------------------------------------------------------------------

    async def _refused(
        self, groups: Sequence[tuple[tuple[str, ...], list[int]]], arbiter: Sequence[str], error: Exception
    ) -> list[Wrong]:
        """The rows that the database refuses: those whose keys are taken are looked up, those that a CHECK does not
        allow are asked for and tried, others are found by trying parts."""
        state = error.diagnostics.state if isinstance(error, RefusedByDatabaseError) else ""
        found = await self._taken() if state == UNIQUE and not arbiter else {}
        suspects = await self._unchecked(groups) if state == CHECK else set()
        tried = set(sorted(suspects)[:MAX_PROBLEMS])
        self.transaction.check_each()
        for columns, places in groups:
            await self._try(columns, [[place] for place in places if place in tried], arbiter, found)
        for columns, places in groups:
            rest = [place for place in places if place not in found and place not in suspects]
            await self._try(columns, [rest] if rest else [], arbiter, found)
        return [found[row] for row in sorted(found)] or [self._unknown(error)]

    async def _unchecked(self, groups: Sequence[tuple[tuple[str, ...], list[int]]]) -> set[int]:
        """The places of rows that the CHECK constraints over what is given would not allow, if nothing else changes
        them; none where that cannot be asked."""
        stored = {name: one.type for name, one in self.facts.columns.get(self.table.sql_name, {}).items()}
        found: set[int] = set()
        try:
            self.transaction.savepoint("checks")
            known = await checks(self.transaction.run, self.table.sql_name)
            for columns, places in groups:
                given = [column for column in columns if column in stored]
                constants = [column for column in self.constants if column in stored]
                conditions = [text for text, named in known if {*given, *constants}.issuperset(named)]
                if not conditions:
                    continue
                sql = statements.failing(self.table, given, constants, stored, conditions)
                values = [*self._arrays(given, places), *(self.constants[column] for column in constants)]
                found |= {places[at - 1] for (at,) in await self.transaction.run(sql, values, defers=False)}
        except DatabaseUnavailableError:
            raise
        except DatabaseError as error:
            log.info("what a CHECK does not allow cannot be asked: %s", type(error).__name__)
            await self.transaction.rollback_to("checks")
        return found

    async def _taken(self) -> dict[int, Wrong]:
        """The rows whose key another row has, by their places: of keys that they give and a unique index has."""
        found: dict[int, Wrong] = {}
        keys = [set(self.type.key), set(self.table.key)]
        for index in self.facts.indexes.get(self.table.sql_name, ()):
            columns = [one.name for one in index.columns]
            is_key = index.unique and index.predicate is None and set(columns) in keys
            if not is_key or any(column not in self.values for column in columns):
                continue
            fields = self.named(columns)
            words = f"another {self.table.name} has the same {' and '.join(fields) or 'key'}"
            arrays = self._arrays(columns, list(range(len(self.rows))))
            for place in await find_keys(self.transaction, self.table, columns, arrays):
                found.setdefault(place, Wrong(RowCode.NOT_UNIQUE, place, words, fields[:1]))
        return found

    async def _try(
        self, columns: Sequence[str], parts: Sequence[list[int]], arbiter: Sequence[str], found: dict[int, Wrong]
    ) -> None:
        """Adds the rows of parts, and finds those that the database refuses together with those before that it takes,
        as long as fewer than `MAX_PROBLEMS` are found."""
        made = self._insertion(columns, arbiter)
        left = list(reversed(parts))
        while left and len(found) < MAX_PROBLEMS:
            places = left.pop()
            self.transaction.savepoint("part")
            try:
                await self._insert(made, places)
                self.transaction.release("part")
            except REFUSALS as error:
                await self.transaction.rollback_to("part")
                if len(places) == 1:
                    found[places[0]] = await meaning(error, places[0], self, self.transaction)
                else:
                    size = -(-len(places) // PARTS)
                    left += [places[at : at + size] for at in range(0, len(places), size)][::-1]

    def _unknown(self, error: Exception) -> Wrong:
        log.warning("rows are refused together, but none of them individually: %s", type(error).__name__)
        return Wrong(
            RowCode.REFUSED_BY_DATABASE, 0, "the database refuses the rows together, but none of them individually"
        )


def _parts(columns: tuple[str, ...], places: list[int]) -> list[tuple[tuple[str, ...], list[int]]]:
    return [(columns, places[at : at + PART]) for at in range(0, len(places), PART)]


def _in_order(key: Key) -> tuple[Any, ...]:
    """Keys in the order in which a database that numbers its rows has made them."""
    return tuple(int(part) if part.isdecimal() else part for part in key)

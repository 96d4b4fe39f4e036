"""Writing batches of rows. Rows that the database refuses are located by its constraints and by splitting the batch."""

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
from schema.recording.problems import MAX_PROBLEMS, Counts, Differing, RowsError, RowViolation
from schema.recording.references import Key, find_keys, referred_keys
from schema.recording.refusals import REFUSALS, DroppedError, row_violation
from schema.recording.row_values import ABSENT, RowValues
from schema.sql.operators import text_of

log = logging.getLogger("gateway.recording")


PARTS = 4
"""Into how many parts a refused part is split; this number needs the fewest statements."""
PART = 1_000
"""Rows of one statement: encoding them blocks the event loop for some milliseconds."""


@dataclass
class RowBatch(RowValues):
    """Rows of one type, and the transaction that writes them."""

    transaction: Transaction = field(kw_only=True)

    async def prepare(self) -> None:
        """Checks the rows and resolves their references, before any row is written.

        Raises:
            UnwritableError: The connected database does not support recording such rows.
            RowsError: Rows are invalid.
        """
        self.check_database()
        await self._read()
        for check in (self.check_demanded, self.check_named, self.check_duplicates):
            await background().one(len(self.rows))
            check()
        self.raise_violations()
        await self._find_room()

    async def _find_room(self) -> None:
        """Writes null instead of false into the active flag of new rows where a unique index admits one false only.

        The platform has unique indexes over such a flag and other columns, which admit one inactive row per group.
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
        """The flag of each row: false for the first row of a group ``same`` that has none yet, null for others."""
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
        """Checks changes of existing rows and resolves their references, before any row is written.

        Raises:
            UnwritableError: The connected database does not support the change.
            RowsError: Values are invalid.
        """
        await self._read(is_new=False)
        self.check_nulls()
        self.raise_violations()

    async def _read(self, *, is_new: bool = True) -> None:
        await self.read_values()
        if is_new:
            await self.make_ids()
        for one in self.given.values():
            if one.reference is not None:
                self.values[one.column] = await referred_keys(self, one, self.transaction)

    async def write(self) -> Counts:
        """Inserts the rows, after `prepare`.

        Raises:
            RowsError: The database refuses rows; the transaction is to be rolled back.
            NotPermittedError: The role may not insert rows into the table.
            DatabaseError: The database fails otherwise.
        """
        groups = await self._groups()
        arbiter = self._given_arbiter()
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
        """The key of each row as texts, after `write`; existing rows are looked up by their natural key."""
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
        """The keys of existing rows that conflict with rows of the batch; empty if every conflict is an error."""
        arbiter = self._given_arbiter()
        if not arbiter:
            return []
        arrays = self._arrays(arbiter, list(range(len(self.rows))))
        found = await find_keys(self.transaction, self.table, arbiter, arrays)
        return list(dict.fromkeys(key for keys in found.values() for key in keys))

    def _given_arbiter(self) -> tuple[str, ...]:
        """The arbiter; none for generated ids if the database fills another column of the index: a repeated request is
        then recognized by its idempotency key alone."""
        arbiter = self.arbiter()
        return () if any(one not in self.values or one in self.partial for one in arbiter) else arbiter

    async def change(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """Runs a statement that changes a row, after `prepare_changes`; values of columns are arrays of one item.

        Raises:
            RowsError: The database refuses the change; the transaction is to be rolled back.
            DatabaseError: The database fails otherwise.
        """
        self.transaction.savepoint("batch")
        try:
            found = await self.transaction.run(sql, values)
            await self.transaction.check_constraints()
        except (RefusedByDatabaseError, DataError, InvalidValueError) as error:
            await self.transaction.rollback_to("batch")
            raise RowsError([await row_violation(error, 0, self, self.transaction)]) from None
        return found

    async def _groups(self) -> list[tuple[tuple[str, ...], list[int]]]:
        """The rows of each statement, as columns and row indexes: rows with the same given columns, sorted by key.

        Columns without a default do not separate groups unless a conflict is allowed, since an update then writes only
        given columns. A group has at most `PART` rows.
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
        """The indexes of the rows in the order of their keys: concurrent batches lock rows in the same order."""
        sorts = [self.values[column] for column in self.type.key or self.table.key if column in self.values]
        if not sorts or (self.all_made and not self.type.key):  # generated keys conflict with no other batch
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
        partitioned = self.table.sql_name in self.facts.partitioned
        return statements.Insertion(
            self.table, tuple(columns), tuple(self.constants), tuple(arbiter), conflict, changeable, partitioned
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
        if touched < len(places):  # the others exist already, unless a trigger has dropped them
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
        """Counts the existing rows that differ from the input, and names the first of them.

        Raises:
            RowsError: Rows differ, and the type is declared with ``agrees``.
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

    def _differs(self, one: Differing) -> RowViolation:
        which = f": {', '.join(one.fields)}" if self.tells else ""
        return RowViolation(RowCode.DIFFERS, one.row, f"was recorded with other values before{which}")

    # -- what the database refuses ---------------------------------------------------------------------------------

    async def _refused(
        self, groups: Sequence[tuple[tuple[str, ...], list[int]]], arbiter: Sequence[str], error: Exception
    ) -> list[RowViolation]:
        """The problems of the rows that the database refuses.

        Duplicate keys are looked up, suspects of CHECK constraints are selected and tried, others are found by
        inserting parts.
        """
        state = error.diagnostics.state if isinstance(error, RefusedByDatabaseError) else ""
        found = await self._duplicates() if state == UNIQUE and not arbiter else {}
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
        """The indexes of rows whose given values violate a CHECK constraint; empty if the query fails.

        Triggers may still change the values, so that these rows are suspects only.
        """
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

    async def _duplicates(self) -> dict[int, RowViolation]:
        """Problems of rows whose key exists already, by index; of keys that the rows give and a unique index covers."""
        found: dict[int, RowViolation] = {}
        by = self.facts.partitioned.get(self.table.sql_name, ())
        keys = [set(self.type.key).difference(by), set(self.table.key).difference(by)]
        for index in self.facts.indexes.get(self.table.sql_name, ()):
            columns = [one.name for one in index.columns]
            is_key = index.unique and index.predicate is None and set(columns).difference(by) in keys
            if not is_key or any(column not in self.values for column in columns):
                continue
            fields = self.named(columns)
            words = f"another {self.table.name} has the same {' and '.join(fields) or 'key'}"
            arrays = self._arrays(columns, list(range(len(self.rows))))
            for place in await find_keys(self.transaction, self.table, columns, arrays):
                found.setdefault(place, RowViolation(RowCode.NOT_UNIQUE, place, words, fields[:1]))
        return found

    async def _try(
        self, columns: Sequence[str], parts: Sequence[list[int]], arbiter: Sequence[str], found: dict[int, RowViolation]
    ) -> None:
        """Inserts parts, splitting refused ones, and adds the problems of single refused rows to ``found``.

        Accepted rows stay inserted, so that later rows are tried beside them. Ends after `MAX_PROBLEMS` problems.
        """
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
                    found[places[0]] = await row_violation(error, places[0], self, self.transaction)
                else:
                    size = -(-len(places) // PARTS)
                    left += [places[at : at + size] for at in range(0, len(places), size)][::-1]

    def _unknown(self, error: Exception) -> RowViolation:
        log.warning("rows are refused together, but none of them individually: %s", type(error).__name__)
        return RowViolation(
            RowCode.REFUSED_BY_DATABASE, 0, "the database refuses the rows together, but none of them individually"
        )


def _parts(columns: tuple[str, ...], places: list[int]) -> list[tuple[tuple[str, ...], list[int]]]:
    return [(columns, places[at : at + PART]) for at in range(0, len(places), PART)]


def _in_order(key: Key) -> tuple[Any, ...]:
    """The sort key of keys; integers sort numerically, which for a serial key is the order of insertion."""
    return tuple(int(part) if part.isdecimal() else part for part in key)

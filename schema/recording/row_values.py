"""Rows of one type as columns of values, with the checks that need no SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from db.attach.facts import Facts
from schema.catalogue.catalogue import Catalogue, Type
from schema.catalogue.records import Missing
from schema.error_codes import RowCode
from schema.execution.time_slices import background
from schema.recording import statements
from schema.recording.columns import PLAIN, Bounds, array_of, bounds_of, wrong_text, wrong_value
from schema.recording.problems import RowsError, RowViolation, UnwritableError
from schema.recording.record_types import RecordType, RowField
from schema.recording.row_ids import derived_ids, random_ids
from schema.sql.operators import text_of

ABSENT: Any = object()
"""The value of a field that a row omits."""


@dataclass
class RowValues:
    """Rows of one type as columns of values."""

    type: RecordType
    rows: Sequence[Mapping[str, Any]]
    conflict: str
    catalogue: Catalogue
    missing: Missing
    facts: Facts
    constants: Mapping[str, str]
    """Columns with one text in all rows: initial states, the actor."""
    seed: str | None
    """The text from which generated ids are derived, so that a repeated request generates the same ids."""
    violations: list[RowViolation] = field(default_factory=list)
    values: dict[str, list[Any]] = field(default_factory=dict)
    """Values converted for the driver, by column and index of the row; `ABSENT` if the row omits the column."""
    partial: set[str] = field(default_factory=set)
    """The columns that some row omits."""
    given: Mapping[str, RowField] = field(default_factory=dict)
    """The fields that any row gives, by name."""
    derived: bool = False
    """Whether ids were derived from the seed."""
    made: bool = False
    """Whether any row has a generated id."""
    all_made: bool = False
    """Whether every row has a generated id."""
    tells: bool = True
    """Whether the result may reveal values of existing rows."""
    wants_ids: bool = True
    """Whether the ids of the rows are selected; if not, the database may generate them."""
    fields: Mapping[str, RowField] = field(default_factory=dict)
    """The fields that rows may give, by name; by default those of a new row of the type."""
    filled: dict[str, str] = field(default_factory=dict)
    """Input columns that the gateway fills with one text in all rows, such as the parent of child rows."""

    def __post_init__(self) -> None:
        self.fields = self.fields or self.type.fields

    @property
    def table(self) -> Type:
        return self.type.type

    async def read_values(self) -> None:
        """Reads and checks the given values, except references.

        Raises:
            UnwritableError: The connected database lacks, or computes, a column that is given.
        """
        names = await fields_given(self.rows)
        self.given = {name: one for name, one in self.fields.items() if name in names}
        for name, one in self.given.items():
            if self.missing.first(self.table, (one.column,)):
                raise UnwritableError(f"{name}: the connected database has no such column; leave it out")
            if self.fact(one.column, "generated"):
                raise UnwritableError(f"{name}: the connected database computes it; leave it out")
            if one.reference is None:
                self.values[one.column] = await self._checked(one)
        self.fill(self.filled)

    def fill(self, texts: Mapping[str, str]) -> None:
        """Sets columns to one text in all rows."""
        for column, text in texts.items():
            self.values[column] = [text] * len(self.rows)
            self.partial.discard(column)

    def check_nulls(self) -> None:
        """Notes nulls in columns that are NOT NULL in the connected database."""
        for column, values in self.values.items():
            if self.fact(column, "not_null"):
                for place in (place for place, value in enumerate(values) if value is None):
                    self._note_missing(place, next(one.name for one in self.fields.values() if one.column == column))

    def _note_missing(self, place: int, name: str) -> None:
        if not any(noted.row == place and name in noted.fields for noted in self.violations):
            self.note(RowCode.VALUE_MISSING, place, "needs a value in this database", name)

    def fact(self, column: str, name: str) -> bool:
        """A flag of `StoredColumn` for a column of the connected database, such as ``not_null``; False if unknown."""
        known = self.facts.columns.get(self.table.sql_name, {}).get(column)
        return bool(known and getattr(known, name))

    def check_database(self) -> None:
        """Checks that the connected database supports recording rows of the type with the conflict option.

        Raises:
            UnwritableError: It does not.
        """
        if what := self.missing.table(self.table):
            raise UnwritableError(f"the connected database has no table {what}")
        for column, fact in self.facts.columns.get(self.table.sql_name, {}).items():
            filled = column in self.type.by_column or column in self.constants
            if fact.not_null and not fact.has_default and not fact.generated and not filled:
                raise UnwritableError(
                    f"the connected database requires a value in {column}, which the gateway does not fill"
                )
        if self.conflict != "ERROR" and self.type.key:
            self.arbiter()
        if self.conflict == statements.UPDATE and not self.type.is_fact and not self.type.changeable:
            raise UnwritableError(f"a {self.type.name} is not changed once it is there; pass onConflict: KEEP")

    def arbiter(self) -> tuple[str, ...]:
        """The columns of the unique index that detects conflicts; empty if every conflict is an error.

        Those of a partitioned table have its time too: a row with the same key at another time does not conflict.

        Raises:
            UnwritableError: The connected database lacks such an index.
        """
        wanted = self.table.key if self.derived else self.type.key or self.table.key
        if self.conflict == "ERROR" and not self.derived:
            return ()
        by = self.facts.partitioned.get(self.table.sql_name, ())
        if self.derived and not by:
            return wanted
        for index in self.facts.indexes.get(self.table.sql_name, ()):
            columns = {column.name for column in index.columns}
            if index.unique and index.predicate is None and set(wanted) <= columns <= {*wanted, *by}:
                return (*wanted, *(column for column in by if column in columns.difference(wanted)))
        if self.derived:
            return ()
        names = " and ".join(self.table.field_name(column) for column in wanted)
        raise UnwritableError(
            f"onConflict: {self.conflict} needs a unique index over {names}, which the connected database lacks"
        )

    async def _checked(self, one: RowField) -> list[Any]:
        write, allowed = array_of(self.table, one.column).write, self._states(one)
        if one.kind.name in PLAIN and write is None and allowed is None and one.column not in self.type.demanded:
            await background().one(len(self.rows))
            return self._given(one)
        bounds = self._bounds(one.column)
        values: list[Any] = []

        def check(places: range) -> None:
            for place in places:
                value = self.rows[place].get(one.name, ABSENT)
                if value is ABSENT:
                    self.partial.add(one.column)
                elif value is not None:
                    value = self._written(place, one, value, bounds, allowed, write)
                elif one.column in self.type.demanded:
                    self.note(RowCode.VALUE_MISSING, place, "is null, and it is part of what names the row", one.name)
                values.append(value)

        await background().parts(len(self.rows), check)
        return values

    def _written(
        self,
        place: int,
        one: RowField,
        value: Any,
        bounds: Bounds,
        allowed: Mapping[str, str] | None,
        write: Callable[[Any], Any] | None,
    ) -> Any:
        """A value converted for the driver; notes its problem, if any."""
        if wrong := wrong_value(one.kind, value, bounds):
            self.note(RowCode.INVALID_VALUE, place, wrong, one.name)
            return None
        if allowed is not None:
            text = text_of(value)
            if text not in allowed:
                words = f"no row is recorded in this state; it may be {', '.join(allowed.values())}"
                self.note(RowCode.INVALID_VALUE, place, words, one.name)
            return text
        if write is None:
            return value
        written = write(value)
        if wrong := wrong_text(one.kind, written):
            self.note(RowCode.INVALID_VALUE, place, wrong, one.name)
        return written

    def _given(self, one: RowField) -> list[Any]:
        try:
            return list(map(itemgetter(one.name), self.rows))
        except KeyError:
            self.partial.add(one.column)
            return [row.get(one.name, ABSENT) for row in self.rows]

    def _states(self, one: RowField) -> Mapping[str, str] | None:
        """The permitted initial states, names by text, if the field is the state of a lifecycle; else None."""
        lifecycle = self.type.plan.state
        if lifecycle is None or lifecycle.column != one.column:
            return None
        return {lifecycle.text(lifecycle.states[name]): name for name in self.type.plan.declared.born}

    def _bounds(self, column: str) -> Bounds:
        return bounds_of(self.table, column, self.facts.columns.get(self.table.sql_name, {}).get(column))

    async def make_ids(self) -> None:
        """Generates ids for rows without one, unless the database generates them."""
        if not self.type.makes_ids:
            return
        (key,) = self.table.key
        given = self.values.get(key, [ABSENT] * len(self.rows))
        if ABSENT not in given and None not in given:
            return
        none_given = given.count(ABSENT) == len(given)
        is_left = none_given and not self.wants_ids and self.seed is None and self.conflict == "ERROR"
        if is_left and self.has_default(key):
            return
        self.made = True
        self.all_made = none_given
        self.derived = self.seed is not None and not self.type.key
        made: list[str] = []
        seed = self.seed

        def make(places: range) -> None:
            made.extend(random_ids(places) if seed is None else derived_ids(seed, places))

        await background().parts(len(given), make)
        self.values[key] = [new if one is ABSENT or one is None else one for new, one in zip(made, given, strict=True)]
        self.partial.discard(key)

    def has_default(self, column: str) -> bool:
        """Whether the column has a default in the connected database or, if that is unknown, in the model."""
        if self.table.sql_name in self.facts.columns:
            return self.fact(column, "has_default")
        return self.table.table.columns[column].server_default is not None

    def check_demanded(self) -> None:
        """Notes missing values of columns that are NOT NULL in the connected database."""
        for column, fact in self.facts.columns.get(self.table.sql_name, {}).items():
            one = self.type.by_column.get(column)
            if one is None or not fact.not_null or fact.generated:
                continue
            values = self.values.get(column, [ABSENT] * len(self.rows))
            is_given = column in self.values and column not in self.partial
            if (fact.has_default or is_given) and None not in values:
                continue
            for place, value in enumerate(values):
                if value is None or (value is ABSENT and not fact.has_default):
                    self._note_missing(place, one.name)

    def check_named(self) -> None:
        """Notes missing values of the natural key where a conflict is allowed."""
        if self.conflict == "ERROR":
            return
        by = self.facts.partitioned.get(self.table.sql_name, ())
        for column in {*self.type.key, *by} - set(self.type.demanded):
            name = self.field_of(column)
            for place, value in enumerate(self.values.get(column, [ABSENT] * len(self.rows))):
                if value is None or value is ABSENT:
                    self.note(RowCode.VALUE_MISSING, place, f"is needed for onConflict: {self.conflict}", name)

    def check_duplicates(self) -> None:
        """Notes rows with the same key as an earlier row of the batch."""
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
                    names = self.named(columns)
                    words = f"has the same {' and '.join(names)} as row {before}"
                    if len(names) == 1 and self.filled:
                        words = f"is the same as in row {before}"
                    self.note(RowCode.DUPLICATE, place, words, *names[:1])

    def note(self, code: RowCode, row: int, message: str, *fields: str) -> None:
        """Notes a problem of the row with an index from 0; the first of ``fields`` begins the message."""
        self.violations.append(RowViolation(code, row, f"{fields[0]} {message}" if fields else message, fields))

    def named(self, columns: Iterable[str]) -> tuple[str, ...]:
        """The names of the fields of columns, without columns that the gateway fills."""
        return tuple(self.field_of(column) for column in columns if column not in self.filled)

    def field_of(self, column: str) -> str:
        """The GraphQL name of a column."""
        one = self.type.by_column.get(column)
        return one.name if one else self.table.field_name(column)

    def raise_violations(self) -> None:
        """Raises the problems noted so far, if any.

        Raises:
            RowsError: There are problems.
        """
        if self.violations:
            raise RowsError(sorted(self.violations, key=lambda one: one.row))


async def fields_given(rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """The fields that any of the rows gives."""
    found: set[str] = set()
    await background().parts(len(rows), lambda places: found.update(*rows[places.start : places.stop]))
    return found

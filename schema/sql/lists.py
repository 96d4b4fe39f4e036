"""Lists for both executors: their arguments, validated before any SQL, and missing objects of the database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from db.base import current_state
from schema.catalogue.catalogue import Catalogue, Join, OrderTerm, RelationField, Root, Type
from schema.catalogue.records import Missing
from schema.catalogue.selection import Selection
from schema.errors import GatewayError, bad_argument, missing_object
from schema.sql import builder as sql
from schema.sql import cursors, orders
from schema.sql.arguments import Given, bound, given
from schema.sql.conditions import compared, compared_with_usual, equal_columns, named, only_rare
from schema.sql.filters import Where, known_word
from schema.sql.indexes import Indexes
from schema.sql.parameters import applied
from schema.sql.served import divided

MAX_PAGE = 1000
ROOT_PAGE = 50
NESTED_PAGE = 10
MAX_IDS = 1000


TIMES = {"timestamptz", "timestamp", "date"}

TOTALS = {"totalCount", "totalCountIsExact"}
"""The fields of a list that count its rows."""


def page_size(selection: Selection, default: int) -> int:
    """The number of rows that a connection asks for, at most `MAX_PAGE`."""
    asked = selection.arguments.get("first")
    asked = selection.arguments.get("last") if asked is None else asked
    return default if asked is None else min(max(asked, 0), MAX_PAGE)


Position = tuple[Any, ...]
"""The texts of an order's values at a cursor, None for a NULL."""

Decode = Callable[[str, Any, Type, Sequence[OrderTerm]], Position]

Pinned = Callable[[Any, Callable[[Any], Any], str], Any]
"""``(value, function, what)``: the result of a function for a value that determines the text of a statement."""


def now(value: Any, function: Callable[[Any], Any], _what: str) -> Any:
    """The result of a function for a known value."""
    return function(value)


@dataclass(frozen=True)
class Slice:
    """The validated arguments of a connection."""

    limit: int
    backward: bool
    order: tuple[OrderTerm, ...]
    positions: Mapping[str, Position]
    """The positions of the cursors, by argument: `after`, `before` or both."""
    where: Mapping[str, Any] | None
    given: Given
    of_all: bool = False
    """Whether any row of the type can be in it: there is no parent, and no filter on the key."""
    walked: bool = False
    """Whether its pages are read from the table that the type's rows are walked in."""
    nearby: bool = False
    """Whether its pages are first looked for among the next rows of their order: see `Lists.looks_nearby`."""

    @property
    def position(self) -> Position | None:
        """The position where reading begins, None at the list's end."""
        return self.positions.get("before" if self.backward else "after")

    @property
    def end(self) -> Position | None:
        """The position where reading ends at the latest, None at the list's other end."""
        return self.positions.get("after" if self.backward else "before")

    @property
    def page(self) -> sql.Page:
        """The page to read: one row more than requested, to detect more."""
        order = tuple(term.reversed() for term in self.order) if self.backward else self.order
        return sql.Page(order, self.limit + 1, self.position, self.nearby)

    def before_end(self, bind: sql.Binds) -> list[str]:
        """The conditions on rows of the page, beside those of the list, over the alias ``t``."""
        if self.end is None:
            return []
        order = [term.reversed() for term in self.page.order]
        return [" OR ".join(f"({branch})" for branch in sql.after(order, self.end, "t", bind))]

    def behind_end(self, rows: str, bind: sql.Binds, where: Sequence[str]) -> str | None:
        """Whether there are rows at or after the end of the page; None without an end."""
        if self.end is None:
            return None
        return sql.exists_up_to(rows, [term.reversed() for term in self.page.order], self.end, bind, where=where)

    def before_start(self, rows: str, bind: sql.Binds, where: Sequence[str]) -> str | None:
        """Whether there are rows before the page; None if it begins at an end of the list."""
        if self.position is None:
            return None
        return sql.exists_up_to(rows, self.page.order, self.position, bind, where=where)


def few_ids(values: Sequence[str]) -> Sequence[str]:
    """The ids of a request for rows by id.

    Raises:
        GatewayError: ``BAD_USER_INPUT``: there are too many.
    """
    if len(values) > MAX_IDS:
        raise bad_argument("ids", f"{len(values)} ids are too many; pass at most {MAX_IDS} at once")
    return values


class RowsToCount(NamedTuple):
    """The conditions on rows that are counted: those that an index may serve, and the ``unserved`` others.

    ``found``: an index finds the rows.
    """

    where: list[str]
    unserved: list[str]
    found: bool


class Lists:
    """The lists of a catalogue's rows, in a database that may lack part of them."""

    def __init__(self, catalogue: Catalogue, missing: Missing, indexes: Indexes) -> None:
        self.catalogue = catalogue
        self.missing = missing
        self.indexes = indexes

    def order(self, type_: Type, equal: Collection[str] = ()) -> tuple[OrderTerm, ...]:
        """The default order of a type, without columns that the database lacks, in the form of an index; ``equal`` are
        columns in which all rows have one value."""
        order = tuple(term for term in type_.order if self.missing.first(type_, term.columns) is None)
        return self.indexes.follow(type_, order, equal)

    def slice(
        self,
        type_: Type,
        arguments: Mapping[str, Any],
        default: int,
        decode: Decode = cursors.decode,
        below: RelationField | None = None,
    ) -> Slice:
        """Validates a connection's arguments before any SQL; ``below`` is the relation that leads to its rows.

        Raises:
            GatewayError: ``BAD_USER_INPUT`` or ``INVALID_CURSOR``, naming the argument.
        """
        first, last = arguments.get("first"), arguments.get("last")
        if first is not None and last is not None:
            raise bad_argument("last", "pass `first` or `last`, not both: a page is read from one end")
        for name, value in (("first", first), ("last", last)):
            if value is not None and not 0 <= value <= MAX_PAGE:
                raise bad_argument(name, f"{value} is out of range; pass 0 to {MAX_PAGE} and page on with a cursor")
        where, equal = arguments.get("where"), below.join.equal if below else ()
        order = self._asked_order(type_, arguments.get("orderBy"), {*equal, *equal_columns(type_, where)})
        cursors_ = {name: arguments[name] for name in ("after", "before") if arguments.get(name) is not None}
        positions = {name: decode(name, cursor, type_, order) for name, cursor in cursors_.items()}
        backward = last is not None or (first is None and positions.keys() == {"before"})
        asked = last if backward else first
        values = given(self.catalogue, type_.arguments, arguments)
        limit = default if asked is None else asked
        by_key = any(type_.leaf(type_.key[0]).name == name for name, _ in compared(type_, where))
        nearby = below is not None and self.looks_nearby(type_, order, below.join)
        found = Slice(limit, backward, order, positions, where, values, of_all=not (equal or by_key), nearby=nearby)
        if type_.sql_name in self.indexes.kept or not self._walks(type_, found):
            return found
        followed = self.indexes.follow(type_, found.page.order, walked=True)
        return replace(found, order=tuple(term.reversed() for term in followed) if backward else followed, walked=True)

    def looks_nearby(self, type_: Type, order: Sequence[OrderTerm], join: Join) -> bool:
        """Whether pages of a relation are first looked for among the next rows of their order: an index has the order,
        by time, and none has it for the rows of one parent, which are few or many."""
        return (
            join.elements is not None
            and bool(order)
            and order[0].pg_type in TIMES
            and self.indexes.serves(type_, order) is not None
        )

    def _walks(self, type_: Type, slice_: Slice) -> bool:
        """Whether the greatest of all rows are first, and an index has that order."""
        if type_.walk is None or not slice_.of_all or not slice_.order:  # without order: no column of it may be read
            return False
        order = slice_.page.order
        greatest = order[0].column == type_.walk.by and order[0].descending and not order[0].nulls_first
        return greatest and self.indexes.serves(type_, order, walked=True) is not None

    def rows(self, type_: Type, slice_: Slice, bind: sql.Binds, pinned: Pinned = now, *, paged: bool = False) -> str:
        """The FROM item of a list's rows: for its pages if ``paged``, or for all of them.

        ``pinned`` observes the values that determine the text.
        """
        if slice_.of_all and self._is_stored(type_, slice_):
            return current_state.rows(type_.sql_name, _order_of_rows(type_, slice_) if paged else "")
        # pages are walked; a whole list is read from the view itself, which is faster
        if paged and slice_.walked and type_.walk and slice_.limit <= MAX_PAGE:
            return f"({type_.walk.select})"
        for rare, place, operator, operand in compared_with_usual(type_, slice_.where) if slice_.of_all else ():
            seen = f"{rare.column} {operator} {place} {rare.usual}"
            if pinned(operand, partial(only_rare, operator, rare.usual), seen):
                first = slice_.page.order[:1]
                by_key = [term.column for term in first] == [type_.key[0]]
                order = sql.order_by(first, "c") if by_key else ""
                return type_.among(rare, order, still=self.indexes.names.issuperset(rare.by))
        return type_.source(bound(slice_.given, bind))

    def _is_stored(self, type_: Type, slice_: Slice) -> bool:
        """Whether the rows of a list, and what it is filtered and ordered by, are stored."""
        if type_.kept is None or type_.sql_name not in self.indexes.kept:
            return False
        read = {column for term in slice_.order for column in term.columns}
        for name in named(slice_.where):
            read.update(type_.columns[name].columns if name in type_.columns else ())
        return not read & type_.kept.current.keys()

    def _asked_order(
        self, type_: Type, asked: Sequence[Mapping[str, Any]] | None, equal: Collection[str]
    ) -> tuple[OrderTerm, ...]:
        """The requested order, or the default."""
        if not asked:
            return self.order(type_, equal)
        terms = orders.order(self.catalogue, type_, asked, "orderBy", self.order)
        for term in terms:
            for name, columns in ((type_.name, term.columns), *term.through):
                read = self.catalogue[name]
                if what := self.missing.table(read) or self.missing.first(read, columns):
                    raise missing_object(what)
        return self.indexes.follow(type_, terms, equal)

    def filters(
        self,
        type_: Type,
        where: Mapping[str, Any] | None,
        bind: sql.Binds,
        *,
        of_all: bool = True,
        summed: bool = False,
    ) -> list[str]:
        """The conditions on rows, over the alias ``t``; ``of_all`` rows of the type, or of a parent's.

        The rows are those of the type's table, or ``summed`` ones of its rollup, where labels are texts.
        """

        def missing(filtered: Type, columns: tuple[str, ...]) -> GatewayError | None:
            what = self.missing.table(filtered) or self.missing.first(filtered, columns)
            return missing_object(what) if what else None

        lacks_label, vocabulary = self.missing.lacks_label, self.missing.vocabulary
        filters = Where(self.catalogue, bind, missing, self.order, lacks_label, vocabulary)
        if not summed:
            filters.enum_of = self.indexes.enum_of
        asked = filters.predicates(type_, where, "t")
        conditions = [*self.missing.conditions(type_, "t"), *asked]
        if of_all and filters.compared is not None and self.indexes.is_large(type_):
            conditions.append(sql.planned_by_value(filters.compared, bind))
        return conditions

    def counted(
        self,
        type_: Type,
        where: Mapping[str, Any] | None,
        bind: sql.Binds,
        equal: Collection[str] = (),
        *,
        of_all: bool = True,
    ) -> RowsToCount:
        """The rows that are counted: of all of the type, or of a parent's, whose value they have in the columns
        ``equal``."""
        served, others = divided(self.indexes, type_, where, equal)
        unserved = self.filters(type_, others, bind, of_all=False)[len(self.missing.conditions(type_, "t")) :]
        return RowsToCount(self.filters(type_, served, bind, of_all=of_all), unserved, bool(served) or not of_all)

    def count_up_to(self, total: Selection) -> int | None:
        """The limit up to which a ``totalCount`` or ``totalCountIsExact`` counts; None for all rows."""
        return None if total.arguments.get("exact") else self.missing.count_up_to

    def unsaid_totals(self, connection: Selection) -> list[Selection]:
        """The ``totalCount`` fields of a list whose counts may stop at a limit without the response saying so."""
        fields = connection.fields.values()
        if any(child.name == "totalCountIsExact" for child in fields):
            return []
        return [child for child in fields if child.name == "totalCount" and self.count_up_to(child) is not None]

    def refuse_missing(self, type_: Type, below: tuple[str, RelationField] | None = None) -> None:
        """Checks that rows can be read: from their table, and along the relation from a parent's type.

        Raises:
            GatewayError: ``MISSING_IN_DATABASE``, naming the missing object.
        """
        if what := self.missing.table(type_):
            raise missing_object(what)
        if below:
            parent, relation = below
            join = relation.join
            what = self.missing.first(self.catalogue[parent], join.local_columns) or self.missing.first(
                type_, join.remote_columns
            )
            if what:
                raise missing_object(what)

    def lookup(self, type_: Type, root: Root, asked: Mapping[str, Any], bind: sql.Binds) -> list[str]:
        """The conditions on the row that the arguments of a root identify by a unique key.

        Raises:
            GatewayError: ``BAD_USER_INPUT``, with the possible keys, or ``MISSING_IN_DATABASE``.
        """
        columns = _lookup(root, asked)
        if what := self.missing.first(type_, columns.values()):
            raise missing_object(what)
        where = {}
        for name, column in columns.items():
            leaf, value = type_.leaf(column), asked[name]
            if words := self.missing.vocabulary(type_, leaf):
                value = applied(partial(known_word, words, f"{type_.name}.{leaf.name}", name), value)
            where[leaf.name] = {"eq": value}
        return self.filters(type_, where, bind)


def _order_of_rows(type_: Type, slice_: Slice) -> str:
    """The order of a page as SQL over ``{row}``, empty if it is of other rows too."""
    order = slice_.page.order
    if any(term.through or not set(term.columns) <= set(type_.table.columns.keys()) for term in order):
        return ""
    if order and order[0].apart:  # as rows with a value are read, apart from the others
        order = (replace(order[0], never_null=True), *order[1:])
    return sql.order_by(order, "{row}")


def _lookup(root: Root, asked: Mapping[str, Any]) -> Mapping[str, str]:
    """The columns of the unique key that the arguments of a root give."""
    for one in root.lookups:
        if one.keys() == asked.keys():
            return one
    ways = ", or ".join(["`id`", *(" and ".join(f"`{name}`" for name in one) for one in root.lookups)])
    got = " and ".join(f"`{name}`" for name in asked) or "nothing"
    raise bad_argument(next(iter(asked), "id"), f"pass {ways} to name one row; {got} was given")

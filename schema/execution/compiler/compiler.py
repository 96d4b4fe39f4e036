"""Executor 2: a selection becomes one statement whose JSON Postgres builds.

It uses the same catalogue, filters, orders and cursors as the loaders, and nests like the selection. Every place of the
operation that leads to rows is a query with two columns: ``j``, its JSON, and ``n``, the number of rows in it. The
relations of a row are such queries, joined laterally:

    SELECT json_agg(o$) AS j, count(*) + sum(l1.n) AS n
    FROM page r                                                       -- the rows of this place, few columns
    LEFT JOIN LATERAL (SELECT ... WHERE t.experiment_id = r.id) l1 ON true      -- one for each relation
    CROSS JOIN LATERAL (SELECT r.name AS "name", l1.j AS "models") o$           -- the object, in the query's order

Aliases of objects end in ``$``, which no response key contains: a column would take precedence over a row of its name.

What cannot be compiled is left to the loaders: by `NotCompilableError` if it is known beforehand, by a failure of the
statement if it depends on the data (`ColumnKind.json`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import partial
from itertools import count
from operator import itemgetter
from typing import Any

from db.engine.readers import NO_SETTINGS
from schema.catalogue.catalogue import Arguments, Catalogue, ObjectField, OrderTerm, RelationField, Root, Type, fill
from schema.catalogue.records import Missing, columns_read
from schema.catalogue.selection import Selection
from schema.catalogue.value_sizes import Sizes
from schema.errors import GatewayError
from schema.execution.compiler.connections import ListPage, plain
from schema.execution.compiler.cut_lists import CutLists
from schema.execution.compiler.keyed_rows import KeyedRows
from schema.execution.compiler.nearest_page import NearestPage
from schema.execution.compiler.statements import (
    BEFORE,
    PART,
    InlineBinds,
    NotCompilableError,
    Object,
    Query,
    Statement,
    counted,
)
from schema.search.vector import Similarity, together
from schema.sql import builder as sql
from schema.sql import cursors
from schema.sql.arguments import bound, given
from schema.sql.conditions import few, types_of
from schema.sql.entities import ENTITIES, REPRESENTATIONS, entity_keys
from schema.sql.indexes import Indexes
from schema.sql.lists import NESTED_PAGE, ROOT_PAGE, Lists, RowsToCount
from schema.sql.operators import RANGES
from schema.sql.parameters import Parameter, Variables, applied, filled
from schema.sql.rollups import RollupReading

_PLACEHOLDER = re.compile(r"\$([0-9]+)")


class Compiler:
    """Compiles the roots of one operation; ``pins`` are the values of variables, beyond their shape, that the SQL
    depends on.

    Start reading at `statement`: a root is a row (`one`), rows by their keys (`KeyedRows`) or a page (`ListPage`,
    `NearestPage`); all of them call `object` for the fields of their rows, which recurs for each relation.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        missing: Missing,
        variables: Variables,
        indexes: Indexes,
        sizes: Sizes,
    ) -> None:
        self.most = sizes.most
        self.indexes = indexes
        self._sizes = sizes
        self.pins: dict[str, Parameter] = {}
        self.priced: dict[str, Parameter] = {}
        """Values of variables that the cost depends on, and the SQL does not."""
        self.bind = InlineBinds()
        self.lists = Lists(catalogue, missing, indexes)
        self.tells = False
        """Whether the current root reports which of its lists are cut."""
        self.rolled_up: bool | Mapping[str, float] | None = False
        """Whether an aggregate is read off a rollup, and with which error; None if none may be, because the answer
        could not report it."""
        self._lists: list[Selection] = []
        self._settings: dict[str, str] = {}
        self.catalogue = catalogue
        self._missing = missing
        self._variables = variables
        self._numbers = count(1)
        self._cut_lists = CutLists(catalogue, self.lists)
        self._keyed = KeyedRows(self)
        self._queries: dict[str, Query] = {}
        self._telling: list[str] = []

    def add(self, selection: Selection) -> bool:
        """Compiles one root field; returns whether that succeeded."""
        before, lists = len(self.bind.values), len(self._lists)
        try:
            self.tells = self._cut_lists.below_root(selection)
            query = self._root(selection)
        except (NotCompilableError, GatewayError):  # the loaders raise the error of an argument or field
            del self.bind.values[before:], self._lists[lists:]
            return False
        self._queries[selection.key] = query
        if self.tells:
            self._telling.append(selection.key)
        return True

    def statement(self) -> Statement | None:
        """The statement of the compiled roots, None if there are none."""
        if not self._queries:
            return None
        asked = Object()
        columns = [
            f"convert_to({asked.query(query, f'q{place}')}::text, 'UTF8')"
            for place, query in enumerate(self._queries.values())
        ]
        if self._telling:
            told = [cut for key, cut in zip(self._queries, asked.cuts, strict=True) if key in self._telling]
            columns.append(f"concat({', '.join(told)})")
        text = f"SELECT {', '.join(columns)}, 0{asked.below} FROM (SELECT) one{''.join(asked.beside)}"
        return self._statement(text, tuple(self._queries))

    def rows(
        self, type_: Type, selection: Selection, keys: Sequence[Sequence[str | None]], columns: Sequence[str] = ()
    ) -> Statement:
        """The statement of the rows with these keys: for each existing row its place, its JSON and the number of rows
        in it.

        Keys are values of ``columns`` if given, else of the type's key.

        Raises:
            NotCompilableError: The loaders have to read the rows.
        """
        self.rolled_up = None
        places = self.bind(list(range(1, len(keys) + 1)), "bigint[]")
        arrays = [self.bind(list(column), "text[]") for column in zip(*keys, strict=True)]
        self.tells = self._cut_lists.below_row(type_, selection)
        query = self._keyed.rows(type_, selection, places, arrays, columns)
        told = "f.m, " if self.tells else ""
        rows = counted(query, self.most) if query.size * len(keys) > self.most // PART else query
        return self._statement(f"SELECT f.ord, convert_to(f.j::text, 'UTF8'), {told}f.n FROM ({rows}) f", ())

    def _statement(self, text: str, keys: tuple[str, ...]) -> Statement:
        """The statement with the values that it uses as parameters; other arguments are only validated by each
        request."""
        values = self.bind.values
        text = text.replace(BEFORE, "")
        used = {int(number): place for place, number in enumerate(dict.fromkeys(_PLACEHOLDER.findall(text)), 1)}
        text = _PLACEHOLDER.sub(lambda found: f"${used[int(found[1])]}", text)
        return Statement(
            text,
            tuple(values[number - 1] for number in used),
            keys,
            tuple(
                value for number, value in enumerate(values, 1) if number not in used and isinstance(value, Parameter)
            ),
            self._settings or NO_SETTINGS,
            tuple(one.path for one in self._lists),
            self.rolled_up or False,
        )

    # -- lists that are cut ----------------------------------------------------------------------------------------

    def tell_rollup(self, found: RollupReading) -> None:
        """Makes the answer say that an aggregate is read off a rollup, and with which error."""
        self.rolled_up = found.told if found.is_approximate else self.rolled_up or found.told

    @property
    def silent(self) -> str:
        """The select item of a query without cut lists, if its root reports them."""
        return ", NULL::text AS m" if self.tells else ""

    def told(self, made: Object, *own: str) -> str:
        """The select item for the cut lists in an object's queries, if the root reports them."""
        return f", {made.told(*own)} AS m" if self.tells else ""

    def cut(self, connection: Selection, condition: str) -> str:
        """SQL that reports a list as cut under a condition."""
        self._lists.append(connection)
        return f"CASE WHEN {condition} THEN '{len(self._lists) - 1},' END"

    # -- roots -----------------------------------------------------------------------------------------------------

    def _root(self, selection: Selection) -> Query:
        if selection.name == "node":
            return self._keyed.node(selection)
        if selection.name == "nodes":
            return self._keyed.nodes(selection, selection.arguments["ids"])
        if selection.name == ENTITIES:
            keys = applied(partial(entity_keys, self.catalogue), selection.arguments[REPRESENTATIONS])
            return self._keyed.entities(selection, keys)
        root = self.catalogue.roots.get(selection.name)
        if root is None:
            raise NotCompilableError(f"{selection.name} is resolved in Python")
        if root.nearest:
            return self._similar(root, selection)
        type_ = self.catalogue[root.target]
        if root.many:
            if all(child.name == "__typename" for child in selection.fields.values()):
                raise NotCompilableError("there is nothing to read")
            return self._connection(type_, selection, ROOT_PAGE)
        return self.one(type_, selection, self._named_row(type_, root, selection))

    def _named_row(self, type_: Type, root: Root, selection: Selection) -> Callable[[Sequence[str]], str]:
        """The row that the arguments of a root identify."""
        self.lists.refuse_missing(type_)
        self.refuse_hidden(type_)
        asked = {name: value for name, value in selection.arguments.items() if value is not None}
        if "id" in asked and len(asked) == 1:
            return self._keyed.row(type_, asked["id"])
        rows = type_.source(self._given(type_.arguments, selection))
        where = self.lists.lookup(type_, root, asked, self.bind) if type_.is_node else []
        return partial(self._first_row, type_, rows, where, ())

    def _first_row(
        self, type_: Type, rows: str, where: Sequence[str], equal: Collection[str], select: Sequence[str]
    ) -> str:
        order = self.lists.order(type_, equal)
        return sql.page(rows, select, sql.Page(order, 1), self.bind, where=where)

    # -- rows ------------------------------------------------------------------------------------------------------

    def one(
        self, type_: Type, selection: Selection, row: Callable[[Sequence[str]], str], *, ordered: bool = False
    ) -> Query:
        """The JSON of at most one row; ``row`` builds its query from select items, with ``ord`` if ``ordered``."""
        alias = self.alias("r")
        made = self.object(type_, selection, alias)
        columns = columns_read(type_, [selection])
        names = ", ".join([*(["ord"] if ordered else []), *columns])
        source = row([f"t.{column} AS f{place}" for place, column in enumerate(columns)])
        ord_ = f"{alias}.ord, " if ordered else ""
        return Query.of(
            f"SELECT {ord_}{made.json('o$')} AS j, 1{made.below} AS n{self.told(made)} FROM ({source}) {alias}({names})"
            f"{''.join(made.beside)} CROSS JOIN LATERAL ({made.select}) o$",
            made.size,
        )

    def object(self, type_: Type, selection: Selection, row: str) -> Object:
        """The selected fields of the row with the alias ``row``."""
        made = Object()
        for key, child in selection.on(type_.name).items():
            if child.name == "__typename":
                made.add(key, f"'{type_.name}'")
            elif leaf := type_.columns.get(child.name):
                self.need(type_, leaf.columns)
                made.add(key, leaf.json.replace("{row}", row), self._sizes.leaf(type_, leaf, key))
            elif relation := type_.relations.get(child.name):
                self.lists.refuse_missing(self.catalogue[relation.target], (type_.name, relation))
                made.add(key, made.query(self._relation(relation, child, row), self.alias("l")))
            elif field_ := type_.objects.get(child.name):
                if field_.sums_up:
                    self._price_by(child.arguments)
                self.need(type_, field_.columns)
                made.add(key, self._computed_object(field_, child, row))
            else:
                raise NotCompilableError(f"{type_.name}.{child.name} is resolved in Python")
        return made

    def refuse_hidden(self, type_: Type) -> None:
        if self._missing.conditions(type_, "t"):
            raise NotCompilableError(f"some {type_.name} rows are not shown to this caller")

    def need(self, type_: Type, columns: Iterable[str]) -> None:
        self._need_all((type_.sql_name, column) for column in columns)

    def _need_all(self, columns: Iterable[tuple[str, str]]) -> None:
        if what := self._missing.among(columns):
            raise NotCompilableError(f"{what} is missing")

    def _relation(self, relation: RelationField, selection: Selection, row: str) -> Query:
        target = self.catalogue[relation.target]
        on = relation.join.on(row, "t")
        if relation.many:
            return self._connection(target, selection, NESTED_PAGE, [on], relation)
        rows = target.source(self._given(target.arguments, selection))
        if relation.unique:  # no order is needed, and the limit preserves the outer order
            return self.one(
                target, selection, lambda select: f"SELECT {', '.join(select)} FROM {rows} t WHERE {on} LIMIT 1"
            )
        return self.one(target, selection, partial(self._first_row, target, rows, [on], relation.join.equal))

    def _computed_object(self, field_: ObjectField, selection: Selection, row: str) -> str:
        asked = {child.name for child in selection.fields.values()}
        self._need_all([*field_.reads, *(read for name in asked for read in field_.leaf_reads.get(name, ()))])
        # without an aggregate the source would yield one row for each of its rows
        leaves = [leaf for leaf in field_.leaves.values() if leaf.name in asked] or list(field_.leaves.values())[:1]
        names = {leaf.name: f"s.f{place}" for place, leaf in enumerate(leaves)}
        values = ", ".join(f"{leaf.json} AS f{place}" for place, leaf in enumerate(leaves))
        source = fill(f"SELECT {values} {field_.source}", {"row": row, **self._given(field_.arguments, selection)})
        made = plain(selection, names)
        return f"(SELECT {made.json('o$')} FROM ({source}) s CROSS JOIN LATERAL ({made.select}) o$)"

    # -- connections -----------------------------------------------------------------------------------------------

    def _connection(
        self,
        type_: Type,
        selection: Selection,
        default: int,
        on: Sequence[str] = (),
        below: RelationField | None = None,
    ) -> Query:
        """The connection of a list, of all rows or of those that match ``on``, to which the relation ``below``
        leads."""
        self.lists.refuse_missing(type_)
        slice_ = self.lists.slice(type_, self._sized(selection), default, self._position, below)
        self._price_by_values(type_, selection.arguments.get("where"))
        if type_.window:
            self._price_by(selection.arguments)
        return ListPage(self, type_, selection, slice_, on, below.join.equal if below else ()).query()

    def _similar(self, root: Root, selection: Selection) -> Query:
        """The connection of a similarity search, which runs with settings of its own."""
        similarity = Similarity(self.catalogue, root)
        self.lists.refuse_missing(similarity.type)
        self.need(similarity.type, [similarity.nearest.vector])
        page = NearestPage(self, similarity, selection, self._sized(selection))
        self._price_by_values(similarity.type, selection.arguments.get("where"))
        query = page.query()
        self._settings = together(self._settings, page.settings)
        return query

    def filters(self, type_: Type, where: Any, *, of_all: bool, summed: bool = False) -> list[str]:
        """The conditions on the rows of a list."""
        return self.lists.filters(type_, where, self.bind, of_all=of_all, summed=summed)

    def counted(self, type_: Type, where: Any, equal: Collection[str], *, of_all: bool) -> RowsToCount:
        """The rows of a list that are counted."""
        return self.lists.counted(type_, where, self.bind, equal, of_all=of_all)

    def _pin_priced(self, where: Any) -> None:
        """Pins what the cost depends on: whether a pattern begins with literal text, and the approximate length of
        lists. The bounds of ranges, which differ in most requests, and lists of labels are `priced`."""
        for name, value in where.items() if isinstance(where, dict) else ():
            if name == "like":
                self.pinned(value, lambda text: text[:1] in {"%", "_"} if text else None, "start")
            elif name == "in":
                self.pinned(value, few, "size")
                if isinstance(labels := applied(_labels, value), Parameter):
                    self.priced[f"{labels.name} labels"] = labels
            elif name in RANGES and isinstance(value, Parameter):
                self.priced[value.name] = value
            for below in value if isinstance(value, list) else [value]:
                self._pin_priced(below)

    def _price_by_values(self, type_: Type, where: Any) -> None:
        """Makes the cost depend on the values of a filter that compares columns of a large table, whose statistics tell
        how many rows have them."""
        if isinstance(where, dict) and any(map(self.lists.indexes.is_large, types_of(self.catalogue, type_, where))):
            self.priced |= {one.name: one for one in _parameters(where)}

    def _price_by(self, arguments: Mapping[str, Any]) -> None:
        """Makes the cost depend on arguments that are variables."""
        for value in arguments.values():
            if isinstance(value, Parameter):
                self.priced[value.name] = value

    def _sized(self, selection: Selection) -> dict[str, Any]:
        """The arguments of a list with its page size, which the SQL depends on."""
        arguments = dict(selection.arguments)
        self._pin_priced(arguments.get("where"))
        for name in ("first", "last"):
            if arguments.get(name) is not None:
                arguments[name] = self.pinned(arguments[name], lambda value: value, "value")
        return arguments

    def _position(self, argument: str, cursor: Any, type_: Type, order: Sequence[OrderTerm]) -> tuple[Any, ...]:
        nulls = self.pinned(cursor, cursors.nulls, "nulls")
        if len(nulls) != len(order):
            raise NotCompilableError("the cursor is of another order")
        values = applied(lambda text: cursors.decode(argument, text, type_, order), cursor)
        if any(nulls):  # each request validates the whole cursor, even if none of its values is used
            self.bind(values, "text")
        return tuple(None if null else applied(itemgetter(place), values) for place, null in enumerate(nulls))

    # -- common ----------------------------------------------------------------------------------------------------

    def _given(self, arguments: Arguments, selection: Selection) -> dict[str, str]:
        return bound(given(self.catalogue, arguments, selection.arguments), self.bind)

    def alias(self, letter: str) -> str:
        return f"{letter}{next(self._numbers)}"

    def pinned(self, value: Any, function: Callable[[Any], Any], what: str) -> Any:
        """The result of a function for a value, as part of the plan's key."""
        made = applied(function, value)
        if isinstance(made, Parameter):
            self.pins[f"{made.name} {what}"] = made
        return filled(made, self._variables)


def _labels(values: Sequence[Any] | None) -> Sequence[Enum] | None:
    """The labels in a list; None for a list of others."""
    return [one for one in values or () if isinstance(one, Enum)] or None


def _parameters(value: Any) -> Iterator[Parameter]:
    """The parameters in a filter."""
    if isinstance(value, Parameter):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _parameters(one)

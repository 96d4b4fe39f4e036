"""Rows as a table: a connection whose rows and their to-one relations are flat columns, in one Postgres statement.

Columns are named by their response keys, prefixed by those of their relation or object: ``deployment.name``. Values
have the same form as in GraphQL, except for numbers without a JSON form, which depend on the format.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from graphql import GraphQLError

from db.base.quoting import literal
from schema.catalogue.catalogue import Catalogue, ColumnField, ObjectField, RelationField, Type, fill
from schema.catalogue.column_types import ColumnKind
from schema.catalogue.records import Missing, columns_read
from schema.catalogue.selection import Operation, Selection
from schema.error_codes import ErrorCode
from schema.errors import GatewayError, bad_argument, missing_object
from schema.sql import builder as sql
from schema.sql import cursors
from schema.sql.arguments import bound, given
from schema.sql.indexes import Indexes
from schema.sql.lists import MAX_PAGE, Lists, Slice

MAX_COLUMNS = 800
"""The largest number of columns: Postgres allows 1,664 expressions in a select list, and a time needs two."""
TEXT = ColumnKind("text", "{c}", "text", "String")

Statement = tuple[str, Sequence[Any]]
"""SQL with its parameters."""


PLAIN = frozenset({"uuid", "boolean", "integer", "bigint", "double", "numeric", "time", "date"})
"""Kinds whose texts need neither quotes nor escapes in CSV and JSON."""

SENT_AS = {
    "boolean": "bool",
    "integer": "int8",
    "bigint": "int8",
    "double": "float8",
    "numeric": "float8",
    "time": "timestamptz",
    "date": "date",
}
"""The Postgres types in which kinds are sent in binary; others are sent as text."""

_UTC = "AT TIME ZONE INTERVAL '0'"
"""To UTC without the lookup of a zone's name, which each value would repeat."""
_DIGITS = "CASE octet_length({x}) WHEN 15 THEN {x} WHEN 8 THEN {x} || '.000000' ELSE rpad({x}, 15, '0') END"
_TIME = (
    "CASE WHEN {c} >= '0001-01-01' AND {c} < '10000-01-01'"
    f" THEN ({{c}} {_UTC})::date || 'T' || {_DIGITS} || 'Z' ELSE {{c}}::text END"
)
"""A time in the wire form, from the text ``{x}`` of its time of day: twice as fast as `to_char`."""


@dataclass(frozen=True)
class Column:
    """A column of a table: its name, its kind, and its value as SQL.

    Its texts are SQL over ``values``: ``c`` with its place, and for times the text of the time of day, ``x``.
    """

    name: str
    kind: ColumnKind
    value: str
    place: int
    prefix: str = ""
    """What each of its texts begins with, before the value."""

    @property
    def values(self) -> str:
        """The SELECT items that the texts are computed from."""
        made = f"{self.value} AS c{self.place}"
        if self.kind.name == "time":
            return f"{made}, (({self.value}) {_UTC})::time::text AS x{self.place}"
        return made

    @property
    def text(self) -> str:
        """The value for CSV: JSON for lists and documents; ``NaN`` and infinities by name."""
        kind, value = self.kind, f"c{self.place}"
        if self.prefix:
            return f"{literal(self.prefix)} || {value}"
        if kind.name in {"boolean", "json", "vector"}:
            return f"{value}::text"
        if kind.is_list:
            return f"to_json({kind.json(value) if kind.labels else value})::text"
        if kind.name == "time":
            return _TIME.replace("{c}", value).replace("{x}", f"x{self.place}")
        return _label(kind, value) if kind.labels else kind.sql(value)

    @property
    def sent_as(self) -> str:
        """The Postgres type in which it is sent in binary: as wide as any column of its kind, or the text."""
        return "text" if self.prefix else SENT_AS.get(self.kind.name, "text")

    def sent(self, *, json: bool) -> str:
        """The value to be sent in binary, without ``prefix``; lists and documents as JSON, for ``json`` in one line."""
        value = f"c{self.place}"
        if self.prefix or self.kind.name in SENT_AS:
            return f"{value}::{self.sent_as}"
        return f"({self.json if json and self.is_json else self.text})::text"

    @property
    def is_json(self) -> bool:
        """Whether its texts are JSON: those of lists and documents."""
        return self.kind.is_list or self.kind.name in {"json", "vector"}

    @property
    def is_quoted(self) -> bool:
        """Whether `json` has no quotes: for kinds whose texts need no escaping."""
        return self.kind.name in {"uuid", "time", "date"}

    @property
    def json(self) -> str:
        """The value as JSON text, without ``prefix``; a number without a JSON form by its name, without quotes."""
        kind, value = self.kind, f"c{self.place}"
        if kind.is_list:
            return f"to_json({kind.json(value) if kind.labels else value})"
        if kind.name == "json":  # JSON columns may contain newlines
            return f"translate({value}::text, E'\\n\\r\\t', '   ')"
        if kind.graphql == "Float":
            return f"{value}::float8"
        if kind.name in PLAIN or kind.name == "vector":
            return value if self.prefix else self.text
        if kind.labels:
            return _label(kind, value, '"%s"', "to_json({})::text")
        return f"to_json({kind.sql(value)})"


def _label(kind: ColumnKind, value: str, form: str = "%s", other: str = "{}") -> str:
    """The name of an enum's member by its label, in a format; an unknown label by other SQL."""
    assert kind.labels is not None  # noqa: S101 - checked before
    said = ((one.value, form % one.name) for one in kind.labels)
    pairs = " ".join(f"WHEN {literal(label)} THEN {literal(text)}" for label, text in said if label != text)
    rest = other.format(f"{value}::text")
    return f"CASE {value}::text {pairs} ELSE {rest} END" if pairs else rest


@dataclass(frozen=True)
class Table:
    """A table as statements: its number of rows, and the rows in their order."""

    name: str
    columns: Sequence[Column]
    most: int
    """The largest number of rows that are read."""
    counted: Statement
    """Counts the rows, up to one more than ``most``."""
    where: Mapping[str, Any] | None
    """The filter."""
    positions: Collection[str]
    """The arguments with cursors."""
    _source: str
    _values: Sequence[Any]

    @property
    def is_plain(self) -> bool:
        """Whether all texts of the rows are free of what CSV quotes and Postgres's text format escapes."""
        return all(one.kind.name in PLAIN for one in self.columns)

    def texts(self) -> Statement:
        """The rows, with values as texts."""
        return self._of([one.text for one in self.columns])

    def jsons(self) -> Statement:
        """The rows, with values as JSON texts; those of columns that are `is_quoted` have no quotes."""
        return self._of([one.json for one in self.columns])

    def sent(self, mark: bytes, *, json: bool) -> Statement:
        """The rows for a copy in binary: ``mark``, and the values of the columns."""
        items = [one.sent(json=json) for one in self.columns]
        values = ", ".join(f"{one.value} AS c{one.place}" for one in self.columns)
        again = any(item.count(f"c{one.place}") > 1 for one, item in zip(self.columns, items, strict=True))
        rows = f"(SELECT {values} FROM {self._source}{' OFFSET 0' if again else ''}) v"
        return f"SELECT '\\x{mark.hex()}'::bytea, {', '.join(items)} FROM {rows}", self._values

    def _of(self, texts: Sequence[str]) -> Statement:
        """Texts over the values of the rows. OFFSET keeps Postgres from computing a value more than once."""
        values = ", ".join(one.values for one in self.columns)
        return f"SELECT {', '.join(texts)} FROM (SELECT {values} FROM {self._source} OFFSET 0) v", self._values


def not_a_table(why: str) -> GatewayError:
    """The error for an operation that cannot be a table."""
    return GatewayError(ErrorCode.NOT_A_TABLE, f"{why} A table is made of one list: its fields and those of one row.")


def connection_of(operation: Operation, catalogue: Catalogue) -> Selection:
    """The connection whose rows an operation selects.

    Raises:
        GatewayError: ``NOT_A_TABLE``.
    """
    fields = [one for one in operation.root.fields.values() if one.name != "__typename"]
    if len(fields) != 1:
        raise not_a_table(f"The operation has {len(fields)} fields at its root.")
    (selection,) = fields
    root = catalogue.roots.get(selection.name)
    if root is None or not root.many:
        raise not_a_table(f"{selection.key} is no list of rows.")
    if root.nearest:
        raise not_a_table(f"{selection.key} is a similarity search, which has no last row.")
    return selection


def size_of(selection: Selection) -> int | None:
    """The number of rows that a connection requests, None for all."""
    first, last = selection.arguments.get("first"), selection.arguments.get("last")
    size: int | None = last if first is None else first
    return size


class Tables:
    """Builds tables of connections, for a caller to whom ``missing`` applies."""

    def __init__(self, catalogue: Catalogue, missing: Missing, indexes: Indexes) -> None:
        self._catalogue = catalogue
        self._missing = missing
        self._lists = Lists(catalogue, missing, indexes)

    def table(self, selection: Selection, most: int) -> Table:
        """The table of a connection, of ``most`` rows or of the number requested.

        Raises:
            GatewayError: ``NOT_A_TABLE``, ``BAD_USER_INPUT``, ``INVALID_CURSOR``, ``MISSING_IN_DATABASE`` or
                ``FORBIDDEN_FIELD``.
        """
        type_ = self._catalogue[self._catalogue.roots[selection.name].target]
        self._lists.refuse_missing(type_)
        slice_ = self._slice(type_, selection, most)
        columns, source, values = _Rows(self._catalogue, self._missing, self._lists).read(type_, selection, slice_)
        bind = sql.Binds()
        rows, where = self._where(type_, slice_, bind)
        if slice_.position is not None:
            behind = sql.after(slice_.page.order, slice_.position, "t", bind)
            where.append(" OR ".join(f"({branch})" for branch in behind))
        more = slice_.limit + (size_of(selection) is None)
        counted = f"SELECT count(*) FROM (SELECT FROM {rows} t{sql.conditions(where)} LIMIT {more}) c", bind.values
        return Table(selection.key, columns, slice_.limit, counted, slice_.where, slice_.positions, source, values)

    def _slice(self, type_: Type, selection: Selection, most: int) -> Slice:
        asked = dict(selection.arguments)
        size = size_of(selection)
        for name in ("first", "last"):
            value = asked.get(name)
            if value is not None and not 0 <= value <= most:
                raise bad_argument(name, f"{value} is out of range; a table has up to {most} rows")
            asked[name] = None if value is None else min(value, MAX_PAGE)
        found = self._lists.slice(type_, asked, most)
        return replace(found, limit=most if size is None else size)

    def _where(self, type_: Type, slice_: Slice, bind: sql.Binds) -> tuple[str, list[str]]:
        rows = self._lists.rows(type_, slice_, bind)
        where = self._lists.filters(type_, slice_.where, bind)
        return rows, [*where, *slice_.before_end(bind)]


class _Rows:
    """Reads the rows of one table: the page, and the relations of each row."""

    def __init__(self, catalogue: Catalogue, missing: Missing, lists: Lists) -> None:
        self._catalogue = catalogue
        self._missing = missing
        self._lists = lists
        self._bind = sql.Binds()
        self._columns: list[Column] = []
        self._beside: list[str] = []
        self._numbers = count(1)

    def read(self, type_: Type, connection: Selection, slice_: Slice) -> tuple[Sequence[Column], str, Sequence[Any]]:
        """The columns, the FROM clause, and its parameters."""
        rows = self._lists.rows(type_, slice_, self._bind, paged=True)
        where = [*self._lists.filters(type_, slice_.where, self._bind), *slice_.before_end(self._bind)]
        start = literal(cursors.start(type_, slice_.order))
        for child in self._rows_of(connection):
            if child.name in {"node", "nodes"}:
                self._row(type_, child, "r0", "", "true")
            elif child.name == "cursor":
                places = [f"r0.o{place}" for place in range(len(slice_.order))]
                self._add(child.key, TEXT, cursors.sql(start, places))
        if not self._columns:
            raise not_a_table(f"{connection.key} asks for no field of its rows.")
        names = columns_read(type_, [one for one in self._rows_of(connection) if one.name in {"node", "nodes"}])
        with_cursor = any(one.name == "cursor" for one in self._rows_of(connection))
        order = slice_.order if with_cursor else ()
        selected = [*(f"t.{name}" for name in names), *(f"{term.over('t')}::text" for term in order)]
        select = [f"{value} AS f{place}" for place, value in enumerate(selected)]
        page = sql.page(rows, select, replace(slice_.page, limit=slice_.limit), self._bind, where=where)
        named = ", ".join([*names, *(f"o{place}" for place in range(len(order)))])
        if slice_.backward:
            placed = f"SELECT *, row_number() OVER () AS at_ FROM ({page}) p({named})"
            read = f"(SELECT * FROM ({placed}) q ORDER BY at_ DESC) r0"
        else:
            read = f"({page}) r0({named})"
        return self._columns, f"{read}{''.join(self._beside)}", self._bind.values

    def _rows_of(self, connection: Selection) -> list[Selection]:
        """The selections on rows: ``nodes``, or ``node`` in ``edges``."""
        asked = [child for child in connection.fields.values() if child.name != "__typename"]
        if other := [child.key for child in asked if child.name not in {"nodes", "edges"}]:
            raise not_a_table(f"{connection.key}.{other[0]} is beside the rows.")
        if len(asked) != 1:
            raise not_a_table(f"{connection.key} asks for its rows {len(asked)} times.")
        if asked[0].name == "nodes":
            return asked
        found = [child for child in asked[0].fields.values() if child.name != "__typename"]
        if sum(child.name == "node" for child in found) > 1:
            raise not_a_table(f"{connection.key}.edges asks for its node several times.")
        return found

    def _add(self, name: str, kind: ColumnKind, value: str, prefix: str = "") -> None:
        if any(one.name == name for one in self._columns):
            raise not_a_table(f"There are two columns {name}; give one an alias.")
        if len(self._columns) == MAX_COLUMNS:
            raise not_a_table(f"There are more than {MAX_COLUMNS} columns.")
        self._columns.append(Column(name, kind, value, len(self._columns), prefix))

    def _row(self, type_: Type, selection: Selection, row: str, path: str, there: str) -> None:
        """Adds the columns of the row with an alias; ``there`` is SQL of whether the row exists."""
        for key, child in selection.on(type_.name).items():
            if child.name == "__typename":
                continue
            try:
                self._field(type_, child, row, f"{path}{key}", there)
            except GraphQLError as error:
                raise child.located(error) from None

    def _field(self, type_: Type, child: Selection, row: str, name: str, there: str) -> None:
        if leaf := type_.columns.get(child.name):
            self._need(type_, leaf.columns)
            kind, text, prefix = _parts(type_, leaf)
            value = text.replace("{row}", row)
            is_plain = there == "true" or text == f"{{row}}.{leaf.columns[0] if leaf.columns else ''}"
            self._add(name, kind, value if is_plain else f"(CASE WHEN {there} THEN {value} END)", prefix)
        elif relation := type_.relations.get(child.name):
            self._relation(type_, relation, child, row, name, there)
        elif field_ := type_.objects.get(child.name):
            self._need(type_, field_.columns)
            self._object(field_, child, row, name, there)
        else:
            raise not_a_table(f"{name} is no column, but an object that is worked out for each row.")

    def _relation(
        self, type_: Type, relation: RelationField, selection: Selection, row: str, name: str, there: str
    ) -> None:
        if relation.many:
            raise not_a_table(f"{name} is a list in each row.")
        target = self._catalogue[relation.target]
        self._lists.refuse_missing(target, (type_.name, relation))
        alias = self._alias()
        values = bound(given(self._catalogue, target.arguments, selection.arguments), self._bind)
        rows = target.source(values)
        names = columns_read(target, [selection])
        select = ["true AS there_", *(f"t.{column} AS f{place}" for place, column in enumerate(names))]
        where = [*self._missing.conditions(target, "t"), relation.join.on(row, "t")]
        order = () if relation.unique else self._lists.order(target, relation.join.equal)
        found = sql.first(rows, select, order, where=where)
        self._beside.append(f" LEFT JOIN LATERAL ({found}) {alias}({', '.join(['there_', *names])}) ON {there}")
        self._row(target, selection, alias, f"{name}.", f"{alias}.there_")

    def _object(self, field_: ObjectField, selection: Selection, row: str, name: str, there: str) -> None:
        asked: Mapping[str, ColumnField] = {
            key: field_.leaves[child.name] for key, child in selection.fields.items() if child.name in field_.leaves
        }
        leaves = list({leaf.name: leaf for leaf in asked.values()}.values())
        if not leaves:
            return
        self._need_all([*field_.reads, *(read for leaf in leaves for read in field_.leaf_reads[leaf.name])])
        alias = self._alias()
        values = bound(given(self._catalogue, field_.arguments, selection.arguments), self._bind)
        select = ", ".join(f"{leaf.value} AS {_quoted(leaf.name)}" for leaf in leaves)
        source = fill(f"SELECT {select} {field_.source}", {"row": row, **values})
        self._beside.append(f" LEFT JOIN LATERAL ({source}) {alias} ON {there}")
        for key, leaf in asked.items():
            self._add(f"{name}.{key}", leaf.kind, f"{alias}.{_quoted(leaf.name)}")

    def _need(self, type_: Type, columns: Sequence[str]) -> None:
        self._need_all((type_.sql_name, column) for column in columns)

    def _need_all(self, columns: Iterable[tuple[str, str]]) -> None:
        if what := self._missing.among(columns):
            raise missing_object(what)

    def _alias(self) -> str:
        return f"l{next(self._numbers)}"


def _parts(type_: Type, leaf: ColumnField) -> tuple[ColumnKind, str, str]:
    """A leaf's kind, its value as SQL, and the prefix of its texts; an id of plain parts is as plain as they are."""
    if leaf.kind.graphql == "ID" and all(type_.column_kind(name).name in PLAIN for name in type_.key):
        begin = f"{literal(f'{type_.name}:')} || "
        assert leaf.value.startswith(begin), leaf.value  # noqa: S101 - as `ids.sql` writes them
        return replace(leaf.kind, name="uuid"), leaf.value.removeprefix(begin), f"{type_.name}:"
    return leaf.kind, leaf.value, ""


def _quoted(name: str) -> str:
    return f'"{name}"'

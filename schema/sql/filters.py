"""Filters: the `where` input of each type and its SQL. Types are exact, and every value is a typed bind.

`ne`, `notIn` and `not` treat null as a value: a row whose column is null is unequal to every value. All other operators
match only rows with a value.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, NamedTuple

from db.base.reached import Rare
from schema.catalogue import exact_json
from schema.catalogue.catalogue import Catalogue, ColumnField, RelationField, Type
from schema.catalogue.column_types import ColumnKind
from schema.catalogue.relative_times import RelativeTime
from schema.error_codes import ErrorCode
from schema.errors import GatewayError, bad_argument
from schema.names.words import closest
from schema.sql.builder import Binds, first
from schema.sql.orders import Default
from schema.sql.parameters import Parameter, applied

MAX_DEPTH = 10
MAX_LIST = 1000
MAX_JOINED = 6
"""Relations that Postgres may plan as joins of one query: the time to find their order grows with the fourth power of
their number."""

Build = Callable[[str, Any, "Bind"], str]
"""``(column, value, bind) -> predicate``; ``bind`` binds a value with the column's type."""


@dataclass(frozen=True)
class Bind:
    """Binds values as text with a cast: one form for every driver, and numbers keep their digits."""

    binds: Binds
    pg_type: str

    def __call__(self, value: Any) -> str:
        return self.binds(applied(text_of, value), f"text::{self.pg_type}")

    def many(self, values: list[Any] | Parameter) -> str:
        return self.binds(applied(_texts_of, values), f"text[]::{self.pg_type}[]")

    def text(self, value: str | Parameter, pg_type: str = "text") -> str:
        return self.binds(value, "text" if pg_type == "text" else f"text::{pg_type}")


def text_of(value: Any) -> str:
    """A GraphQL value as text for Postgres; enum members as their labels."""
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).isoformat()  # a time without a zone is UTC
        case date():
            return value.isoformat()
        case str() | int():
            return str(value)
        case float():
            return repr(value)
        case _:
            return str(value.value)


def as_sent(value: Any) -> str:
    """The text of a value for comparison with earlier requests: a relative time is its own text."""
    return value.sent if isinstance(value, RelativeTime) else text_of(value)


def _texts_of(values: list[Any]) -> list[str]:
    return [text_of(value) for value in values]


@dataclass(frozen=True)
class Operator:
    """An operator: its operand (`value`, `list`, `flag`, `text` or `json`), its description, and its SQL."""

    name: str
    takes: str
    description: str
    build: Build


def _equal(column: str, value: Any, bind: Bind) -> str:
    return f"{column} IS NULL" if value is None else f"{column} = {bind(value)}"


def _unequal(column: str, value: Any, bind: Bind) -> str:
    return f"{column} IS NOT NULL" if value is None else f"{column} IS DISTINCT FROM {bind(value)}"


def _among(column: str, values: Any, bind: Bind) -> str:
    """Compares with an array of casts for times: the cast of a text depends on session settings, so that a list would
    be parsed per row."""
    listed = bind.many(values)
    return f"{column} IN (SELECT unnest({listed}))" if bind.pg_type in _BY_SETTINGS else f"{column} = ANY ({listed})"


_BY_SETTINGS = {"timestamptz", "timestamp", "date"}


def _is_null(column: str, value: Any, _bind: Bind) -> str:
    return f"{column} IS {'' if value else 'NOT '}NULL"


def _is_json_null(column: str, value: Any, _bind: Bind) -> str:
    """Both SQL NULL and JSON null are null in responses; a column may be json, which has no operators."""
    stored = f"{column}::jsonb {'=' if value else '<>'} 'null'"
    return f"{column} IS NULL OR {stored}" if value else stored


def _compare(operator: str) -> Build:
    return lambda column, value, bind: f"{column} {operator} {bind(value)}"


def _like(operator: str, before: str, after: str) -> Build:
    def pattern(value: str) -> str:
        escaped = value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return before + escaped + after

    return lambda column, value, bind: f"{column} {operator} {bind.text(applied(pattern, value))}"


EQUALITY = (
    Operator("eq", "value", "Equal to the value; null matches rows without a value.", _equal),
    Operator("ne", "value", "Not equal to the value; rows without a value match.", _unequal),
    Operator("in", "list", f"One of the values (at most {MAX_LIST}); an empty list matches nothing.",
             _among),
    Operator("notIn", "list", f"None of the values (at most {MAX_LIST}); rows without a value match.",
             lambda c, v, bind: f"({_among(c, v, bind)}) IS NOT TRUE"),
    Operator("isNull", "flag", "Whether the value is null.", _is_null),
)  # fmt: skip
ORDER = (
    Operator("lt", "value", "Less than the value.", _compare("<")),
    Operator("lte", "value", "Less than the value or equal to it.", _compare("<=")),
    Operator("gt", "value", "Greater than the value.", _compare(">")),
    Operator("gte", "value", "Greater than the value or equal to it.", _compare(">=")),
)
TEXT = (
    Operator("contains", "text", "Contains the text, in this case.", _like("LIKE", "%", "%")),
    Operator("iContains", "text", "Contains the text, in any case.", _like("ILIKE", "%", "%")),
    Operator("startsWith", "text", "Starts with the text, in this case.", _like("LIKE", "", "%")),
    Operator("like", "text", r"Matches the pattern: `%` any text, `_` any character, `\` escapes.",
             lambda c, v, bind: f"{c} LIKE {bind.text(applied(_closed, v))}"),
)  # fmt: skip
LISTS = (
    Operator("has", "value", "The list has the value.", lambda c, v, bind: f"{c} @> {bind.many([v])}"),
    Operator("hasAny", "list", f"The list has one of the values (at most {MAX_LIST}).",
             lambda c, v, bind: f"{c} && {bind.many(v)}"),
    Operator("hasAll", "list", f"The list has all of the values (at most {MAX_LIST}).",
             lambda c, v, bind: f"{c} @> {bind.many(v)}"),
    Operator("isNull", "flag", "Whether there is no list.", _is_null),
)  # fmt: skip
DOCUMENTS = (
    Operator("contains", "json", "Contains this JSON: objects by their given keys, lists by their given items.",
             lambda c, v, bind: f"{c}::jsonb @> {bind.text(applied(_json, v), 'jsonb')}"),
    Operator("hasKey", "text", "The object has the key, or the list the text.",
             lambda c, v, bind: f"{c}::jsonb ? {bind.text(v)}"),
    Operator("path", "text", "The SQL/JSON path finds something: `$.roc_auc ? (@ > 0.8)`.",
             lambda c, v, bind: f"{c}::jsonb @? {bind.text(v, 'jsonpath')}"),
    Operator("isNull", "flag", "Whether there is no value, or the value is JSON's null.", _is_json_null),
)  # fmt: skip


VECTORS = (Operator("isNull", "flag", "Whether the row has no vector.", _is_null),)


def _json(value: Any) -> str:
    return exact_json.dumps(value, text_of).decode()


def _closed(pattern: str) -> str:
    """A pattern that ends in a lone escape character is an error in Postgres; it is taken literally."""
    trailing = len(pattern) - len(pattern.rstrip("\\"))
    return pattern + "\\" if trailing % 2 else pattern


def operators(kind: ColumnKind) -> tuple[Operator, ...]:
    """The operators of a column of this kind."""
    if kind.is_list:
        return LISTS
    match kind.graphql:
        case "JSON":
            return DOCUMENTS
        case "Vector":
            return VECTORS
        case "Boolean" | "UUID" | "ID":
            return EQUALITY
        case "String":
            return EQUALITY + ORDER + TEXT
        case _:
            return EQUALITY + ORDER


def filtered(leaf: ColumnField) -> bool:
    """Whether a leaf can be filtered by: not the global id or the row's version."""
    return leaf.is_own and bool(operators(leaf.kind))


CLOSED = frozenset({"eq", "ne", "in", "notIn", "has", "hasAny", "hasAll"})
"""Operators that compare whole values, which must be words of a closed vocabulary."""


class FilterTerm(NamedTuple):
    """A filter with the path of its argument; a ``#`` in it counts a level."""

    where: Mapping[str, Any]
    path: str


@dataclass
class Where:
    """Turns coerced `where` arguments into predicates over a row alias.

    ``missing`` returns the error for columns that the database lacks. ``order`` returns the order that determines the
    row of a single relation. ``lacks_label`` says whether an enum of the database lacks a label: no value equals it, or
    is less or greater. ``vocabulary`` returns the possible words of a text column, empty if it is open: other words are
    an error.
    """

    catalogue: Catalogue
    binds: Binds
    missing: Callable[[Type, tuple[str, ...]], GatewayError | None]
    order: Default
    lacks_label: Callable[[ColumnKind, str], bool] = lambda _kind, _label: False
    vocabulary: Callable[[Type, ColumnField], Sequence[str]] = lambda _type, leaf: leaf.facts.values
    _aliases: Iterator[int] = field(default_factory=lambda: iter(range(1_000_000)))
    _joined: int = 0
    """Relations that have become joins of the current query."""
    compared: Any = None
    """Some value that a column is compared with, if any."""

    def predicates(self, type_: Type, where: Mapping[str, Any] | None, row: str, path: str = "where") -> list[str]:
        """The predicates that a row must satisfy.

        Raises:
            GatewayError: ``BAD_USER_INPUT`` naming the path of the argument, or ``MISSING_IN_DATABASE``.
        """
        return self._conjunction(type_, [FilterTerm(where or {}, path)], row)

    def _conjunction(self, type_: Type, asked: Sequence[FilterTerm], row: str) -> list[str]:
        """The conjunction of filters, as predicates.

        Conditions on the row of the same single relation are combined: it is joined once, and a view behind it is
        computed once.
        """
        found: list[str] = []
        ones: dict[str, list[FilterTerm]] = {}
        for one in asked:
            for name, value, here in self._parts(one):
                if name == "or":
                    parts = [_all(self._conjunction(type_, [other], row)) for other in self._listed(value, here)]
                    found.append("(" + " OR ".join(f"({part})" for part in parts) + ")" if parts else "false")
                elif name == "not":
                    found.append(f"({_all(self.predicates(type_, value, row, f'{here}#'))}) IS NOT TRUE")
                elif name in type_.columns:
                    found.extend(self._column(type_, type_.columns[name], value, row, here))
                elif type_.relations[name].many:
                    found.extend(self._quantified(type_, type_.relations[name], value, row, here))
                else:
                    ones.setdefault(name, []).append(FilterTerm(value, here))
        found += [self._exists(type_, type_.relations[name], behind, row) for name, behind in ones.items()]
        return found

    def _parts(self, asked: FilterTerm) -> Iterator[tuple[str, Any, str]]:
        """The parts of a filter, each with its path; those inside an `and` are merged with the others."""
        where, path = asked
        if path.count(".") > 4 * MAX_DEPTH or path.count("#") > MAX_DEPTH:
            raise bad_argument(_shown(path), f"is nested too deeply; at most {MAX_DEPTH} levels of filters")
        for name, value in where.items():
            here = f"{path}.{name}"
            if value is None:
                raise bad_argument(_shown(here), "is null; omit it, or pass `isNull: true` for a column")
            if name == "and":
                for one in self._listed(value, here):
                    yield from self._parts(one)
            else:
                yield name, value, here

    def _listed(self, values: list[Any], path: str) -> list[FilterTerm]:
        if len(values) > MAX_LIST:
            raise bad_argument(_shown(path), f"has {len(values)} filters; pass at most {MAX_LIST}")
        return [FilterTerm(value or {}, f"{path}[{place}]#") for place, value in enumerate(values)]

    def _column(self, type_: Type, leaf: ColumnField, value: Mapping[str, Any], row: str, path: str) -> Iterator[str]:
        if error := self.missing(type_, leaf.columns):
            raise error
        known = {operator.name: operator for operator in operators(leaf.kind)}
        bind = Bind(self.binds, _element_type(leaf.kind))
        for name, operand in value.items():
            operator = known[name]
            here = f"{path}.{name}"
            checked = applied(partial(self._checked, operator, here), operand)
            if operator.name in CLOSED and (known_words := self.vocabulary(type_, leaf)):
                checked = applied(partial(known_word, known_words, f"{type_.name}.{leaf.name}", _shown(here)), checked)
            if leaf.kind.labels and not leaf.kind.is_list:
                if operator.takes == "list":
                    checked = applied(partial(self._known_labels, leaf.kind), checked)
                elif isinstance(checked, enum.Enum) and self.lacks_label(leaf.kind, checked.value):
                    yield "true" if name == "ne" else "false"
                    continue
            if operator.takes != "flag" and operand is not None:
                self.compared = operand
            yield operator.build(leaf.value_over(row), checked, bind)

    def _known_labels(self, kind: ColumnKind, values: list[Any]) -> list[Any]:
        """The values whose labels the database has."""
        return [one for one in values if not self.lacks_label(kind, text_of(one))]

    def _checked(self, operator: Operator, path: str, operand: Any) -> Any:
        if operand is None and operator.name not in {"eq", "ne"}:
            raise bad_argument(_shown(path), "is null; leave it out, or use `isNull: true`")
        if operator.takes == "list" and len(operand) > MAX_LIST:
            raise bad_argument(_shown(path), f"has {len(operand)} values; pass at most {MAX_LIST}")
        values = operand if isinstance(operand, list) else [operand]
        if any(isinstance(value, str) and "\x00" in value for value in values):
            raise bad_argument(_shown(path), "contains NUL, which text in Postgres cannot hold")
        return operand

    def _quantified(
        self, type_: Type, relation: RelationField, value: Mapping[str, Any], row: str, path: str
    ) -> Iterator[str]:
        """The predicates on the rows of a relation."""
        for quantifier, where in value.items():
            every = quantifier == "every"
            exists = self._exists(type_, relation, [FilterTerm(where or {}, f"{path}.{quantifier}")], row, fail=every)
            yield exists if quantifier == "some" else f"NOT {exists}"

    def _exists(
        self, type_: Type, relation: RelationField, asked: Sequence[FilterTerm], row: str, *, fail: bool = False
    ) -> str:
        """Whether a relation has a row that satisfies these filters, or, with ``fail``, one that does not."""
        target = self.catalogue[relation.target]
        if error := self.missing(type_, relation.join.local_columns) or self.missing(
            target, relation.join.remote_columns
        ):
            raise error
        alias = f"w{next(self._aliases)}"
        joined = self._joined
        apart = joined >= MAX_JOINED or target.select is not None or relation.join.asks
        self._joined = 0 if apart else joined + 1
        inner = self._conjunction(target, [FilterTerm(one.where, f"{one.path}#") for one in asked], alias)
        if apart:
            self._joined = joined
        on = relation.join.on(row, alias)
        source = f"SELECT FROM {target.source({})} {alias} WHERE {on}"
        if not relation.unique:  # the row that the relation returns, rather than any that matches
            order = self.order(target, relation.join.equal)
            one = first(target.source({}), [f"{alias}.*"], order, where=[on], row=alias)
            source = f"SELECT FROM ({one}) {alias} WHERE true"
        found = f"({_all(inner)}) IS NOT TRUE" if fail else _all(inner)
        exists = f"EXISTS ({source} AND {found})"
        return f"({exists}) IS TRUE" if apart else exists  # keeps the planner from flattening the subquery


def known_word(words: Sequence[str], field_: str, path: str, value: Any) -> Any:
    """The value, a text or a list of texts, checked against a closed vocabulary.

    Raises:
        GatewayError: ``BAD_USER_INPUT`` with the vocabulary as ``values``, and the closest word.
    """
    for word in value if isinstance(value, list) else [value]:
        if word is not None and word not in words:
            meant = closest(word, words)
            hint = f" Did you mean '{meant}'?" if meant else ""
            said = f"{exact_json.shown(word)} is not a value of `{field_}`. Known: {', '.join(words)}.{hint}"
            raise GatewayError(ErrorCode.BAD_USER_INPUT, f"{path}: {said}", argument=path, values=list(words))
    return value


def few(values: Sequence[Any] | None) -> int:
    """The approximate length of a list, by which costs differ: ten, a hundred or a thousand."""
    return next((size for size in (10, 100) if len(values or ()) <= size), MAX_LIST)


def joins(catalogue: Catalogue, type_: Type, *asked: Mapping[str, Any] | None) -> int:
    """The number of relations that the statement joins for a conjunction of filters, if there is room: see `Where`."""
    count = 0
    ones: dict[str, list[Mapping[str, Any]]] = {}
    pending = list(asked)
    while pending:
        for name, value in (pending.pop() or {}).items():
            if name == "and":
                pending += value or ()
            elif name == "or":
                count += sum(joins(catalogue, type_, one) for one in value or ())
            elif name == "not":
                count += joins(catalogue, type_, value)
            elif relation := type_.relations.get(name):
                for one in (value or {}).values() if relation.many else ():
                    count += _joins(catalogue, relation, one)
                if not relation.many:
                    ones.setdefault(name, []).append(value)
    return count + sum(_joins(catalogue, type_.relations[name], *values) for name, values in ones.items())


def _joins(catalogue: Catalogue, relation: RelationField, *asked: Mapping[str, Any] | None) -> int:
    target = catalogue[relation.target]
    return 0 if target.select is not None or relation.join.asks else 1 + joins(catalogue, target, *asked)


def equal_columns(type_: Type, where: Mapping[str, Any] | None) -> Iterator[str]:
    """The columns that a filter compares with one value, which all matching rows share."""
    for name, value in (where or {}).items():
        if name == "and":
            for one in value or ():
                yield from equal_columns(type_, one)
        elif (leaf := type_.columns.get(name)) and isinstance(value, Mapping) and value.get("eq") is not None:
            column = leaf.columns[0]
            if leaf.value_over("t") == f"t.{column}":
                yield column


def compared(type_: Type, where: Mapping[str, Any] | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The necessary conditions of a filter on columns: their fields, each with its operators."""
    for name, value in (where or {}).items():
        if name == "and":
            for one in value or ():
                yield from compared(type_, one)
        elif name in type_.columns and isinstance(value, Mapping):
            yield name, value


def compared_with_usual(type_: Type, where: Mapping[str, Any] | None) -> Iterator[tuple[Rare, int, str, Any]]:
    """The comparisons of a filter with unusual values of columns whose unusual rows are listed elsewhere: that list,
    the index of the comparison among the column's, its operator and its value; see `only_rare`."""
    for rare in type_.rare:
        name = type_.leaf(rare.column).name
        values = (value for field_, value in compared(type_, where) if field_ == name)
        for place, value in enumerate(values):
            for operator, operand in value.items():
                yield rare, place, operator, operand


def only_rare(operator: str, usual: Sequence[str | int | bool], operand: Any) -> bool:
    """Whether a comparison certainly matches none of some usual values."""
    values: list[Any] = [getattr(one, "value", one) for one in (operand if isinstance(operand, list) else [operand])]
    if not all(isinstance(value, type(one)) for value in values for one in usual):
        return False
    numbers = [one for one in usual if isinstance(one, int)]
    match operator:
        case "eq" | "in":
            return all(value not in usual for value in values)
        case "gt" if numbers:
            return bool(max(numbers) <= values[0])
        case "gte" if numbers:
            return bool(max(numbers) < values[0])
        case _:
            return False


def json_paths(where: Any, path: str = "where") -> Iterator[tuple[str, str]]:
    """The SQL/JSON paths in a filter, which only the database can validate, with their argument paths."""
    if isinstance(where, list):
        for place, one in enumerate(where):
            yield from json_paths(one, f"{path}[{place}]")
    elif isinstance(where, Mapping):
        for name, value in where.items():
            if name == "path" and isinstance(value, str):
                yield f"{path}.path", value
            else:
                yield from json_paths(value, f"{path}.{name}")


def _element_type(kind: ColumnKind) -> str:
    return kind.compared_as.removesuffix("[]")


def _all(predicates: list[str]) -> str:
    return " AND ".join(f"({predicate})" for predicate in predicates) or "true"


def _shown(path: str) -> str:
    return path.replace("#", "")

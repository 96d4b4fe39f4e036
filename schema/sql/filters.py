"""Filters: the `where` input of each type and its SQL. Types are exact, and every value is a typed bind.

`not` treats null as a value, as `ne` and `notIn` do: rows for which a condition is unknown match its negation.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from schema.catalogue import exact_json
from schema.catalogue.catalogue import Catalogue, ColumnField, RelationField, Type
from schema.catalogue.column_types import ColumnKind
from schema.error_codes import ErrorCode
from schema.errors import NUL, GatewayError, bad_argument
from schema.names.words import closest
from schema.sql.builder import Binds, first
from schema.sql.operators import CLOSED, MAX_LIST, Bind, Operator, labelled, operators, path_variable, text_of
from schema.sql.orders import Default
from schema.sql.parameters import applied

MAX_DEPTH = 10
MAX_JOINED = 6
"""Relations that Postgres may plan as joins of one query: the time to find their order grows with the fourth power of
their number."""


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
    an error. ``enum_of`` returns the enum that a column of texts is stored as, None if it is text.
    """

    catalogue: Catalogue
    binds: Binds
    missing: Callable[[Type, tuple[str, ...]], GatewayError | None]
    order: Default
    lacks_label: Callable[[ColumnKind, str], bool] = lambda _kind, _label: False
    vocabulary: Callable[[Type, ColumnField], Sequence[str]] = lambda _type, leaf: leaf.facts.values
    enum_of: Callable[[Type, ColumnField], str | None] = lambda _type, _leaf: None
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
        if path.count("#") > MAX_DEPTH:
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
            if leaf.kind.name == "numeric":
                checked = applied(partial(_of_numeric, _shown(here)), checked)
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
            yield self._comparison(type_, leaf, operator, checked, row, bind)

    def _comparison(self, type_: Type, leaf: ColumnField, operator: Operator, value: Any, row: str, bind: Bind) -> str:
        column, own = leaf.value_over(row), f"{row}.{leaf.columns[0]}"
        if leaf.kind.name == "text" and column in {own, f"{own}::text"}:
            stored = self.enum_of(type_, leaf)
            if stored and (by_label := labelled(operator.name, own, value, bind, stored)):
                return by_label
            column = f"{own}::text"  # it may be stored as a UUID
        return operator.build(column, value, bind)

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
            raise bad_argument(_shown(path), NUL)
        if operator.takes == "json" and exact_json.holds_nul(exact_json.dumps(operand, text_of).decode()):
            raise bad_argument(_shown(path), NUL)
        if operator.takes == "path" and (name := path_variable(operand)):
            raise bad_argument(
                _shown(path), f"names the variable {name}, and a filter has none; a key is written `$.key`"
            )
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


def _of_numeric(path: str, operand: Any) -> Any:
    """The number, or list of numbers, if a NUMERIC column can be compared with it.

    Raises:
        GatewayError: ``BAD_USER_INPUT``.
    """
    for value in operand if isinstance(operand, list) else [operand]:
        if isinstance(value, float) and (reason := exact_json.wrong_number(value)):
            raise bad_argument(path, f"the number {exact_json.cut(repr(value))} {reason}")
    return operand


def _element_type(kind: ColumnKind) -> str:
    return kind.compared_as.removesuffix("[]")


def _all(predicates: list[str]) -> str:
    return " AND ".join(f"({predicate})" for predicate in predicates) or "true"


def _shown(path: str) -> str:
    return path.replace("#", "")

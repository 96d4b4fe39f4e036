"""Orders: the SQL of `orderBy`. Every order ends with the key, so that it is total and cursors are unambiguous."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from schema.catalogue.catalogue import Catalogue, ColumnField, OrderTerm, RelationField, Type
from schema.errors import bad_argument
from schema.sql.builder import first

Default = Callable[[Type, Collection[str]], tuple[OrderTerm, ...]]
"""Returns the default order of a type's rows that share a value in some columns (`Lists.order`)."""

MAX_TERMS = 8
MAX_DEPTH = 4
LEAF = "field"
TERM_OPTIONS = ("direction", "nulls")


def sortable(leaf: ColumnField) -> bool:
    """Whether rows can be ordered (and grouped) by a leaf: not by JSON, lists, embeddings, or fields of every type."""
    return leaf.is_own and not leaf.kind.is_list and leaf.kind.graphql not in {"JSON", "Vector"}


def order(
    catalogue: Catalogue, type_: Type, asked: Sequence[Mapping[str, Any]], path: str, default: Default
) -> tuple[OrderTerm, ...]:
    """The terms of an `orderBy`, completed by the key in the direction of the last term.

    Raises:
        GatewayError: ``BAD_USER_INPUT`` naming the invalid term.
    """
    if len(asked) > MAX_TERMS:
        raise bad_argument(path, f"has {len(asked)} terms; pass at most {MAX_TERMS}")
    no_options: dict[str, str | None] = dict.fromkeys(TERM_OPTIONS)
    terms = [
        _term(catalogue, type_, one, f"{path}[{place}]", 0, default, no_options) for place, one in enumerate(asked)
    ]
    names = [term.name for term in terms]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise bad_argument(f"{path}[{place}]", f"orders by {name} a second time")
    return (*terms, *type_.key_order(set(names), descending=terms[-1].descending))


def _direction_and_nulls(
    asked: Mapping[str, Any], inherited: Mapping[str, str | None], path: str
) -> dict[str, str | None]:
    """The direction and the nulls of a term, which may be given at any level of its nesting.

    Raises:
        GatewayError: ``BAD_USER_INPUT``: two levels give different values.
    """
    found = dict(inherited)
    for name in TERM_OPTIONS:
        value = asked.get(name)
        if value is not None:
            if found[name] not in {None, value.value}:
                raise bad_argument(
                    f"{path}.{name}", f"is {value.value}, but {found[name]} outside the relation; pass it once"
                )
            found[name] = value.value
    return found


def of_field(type_: Type, asked: Mapping[str, Any]) -> OrderTerm:
    """The term for a field of the rows themselves."""
    return _of_field(type_, asked, {name: asked[name].value for name in TERM_OPTIONS if asked.get(name) is not None})


def _of_field(type_: Type, asked: Mapping[str, Any], given: Mapping[str, str | None]) -> OrderTerm:
    leaf = type_.columns[asked[LEAF].value]
    return type_.order_term(
        leaf, descending=given.get("direction") == "DESC", nulls_first=given.get("nulls") == "FIRST"
    )


def _term(
    catalogue: Catalogue,
    type_: Type,
    asked: Mapping[str, Any],
    path: str,
    depth: int,
    default: Default,
    inherited: Mapping[str, str | None],
) -> OrderTerm:
    named = [name for name in asked if name not in TERM_OPTIONS and asked[name] is not None]
    if len(named) != 1:
        raise bad_argument(path, f"names {len(named)} things to order by; name one, a `field` or one relation")
    name = named[0]
    given = _direction_and_nulls(asked, inherited, path)
    if name == LEAF:
        return _of_field(type_, asked, given)
    if depth >= MAX_DEPTH:
        raise bad_argument(path, f"goes through more than {MAX_DEPTH} relations")
    relation = type_.relations[name]
    inner = _term(catalogue, catalogue[relation.target], asked[name], f"{path}.{name}", depth + 1, default, given)
    return _through(catalogue, relation, inner, depth, default)


def _through(
    catalogue: Catalogue, relation: RelationField, inner: OrderTerm, depth: int, default: Default
) -> OrderTerm:
    """A term over the row of a single relation; a missing row counts as null."""
    target = catalogue[relation.target]
    alias = f"s{depth}"
    order = () if relation.unique else default(target, relation.join.equal)
    on = relation.join.on("{row}", alias)
    value = f"({first(target.source({}), [inner.over(alias)], order, where=[on], row=alias)})"
    return replace(
        inner,
        name=f"{relation.name}.{inner.name}",
        value=value,
        columns=relation.join.local_columns,
        nullable=True,
        through=((target.name, (*relation.join.remote_columns, *inner.columns)), *inner.through),
    )

"""Orders: what `orderBy` means. Every order ends in the key, so that it is total and a cursor can stand in it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from schema.catalogue import Catalogue, ColumnField, OrderTerm, RelationField, Type
from schema.errors import bad_argument
from schema.sql import first

Default = Callable[[Type, Collection[str]], tuple[OrderTerm, ...]]
"""The default order of a type's rows that have one value in each of some columns (`Lists.order`)."""

MAX_TERMS = 8
MAX_DEPTH = 4
LEAF = "field"


def sortable(leaf: ColumnField) -> bool:
    """Whether rows can be ordered (and grouped) by a leaf: not by JSON, lists, embeddings, or what every type has."""
    return leaf.is_own and not leaf.kind.is_list and leaf.kind.graphql not in {"JSON", "Vector"}


def order(
    catalogue: Catalogue, type_: Type, asked: Sequence[Mapping[str, Any]], path: str, default: Default
) -> tuple[OrderTerm, ...]:
    """The terms of an `orderBy`, completed by the key in the direction of the last term.

    Raises:
        GatewayError: ``BAD_USER_INPUT`` naming the term that is wrong.
    """
    if len(asked) > MAX_TERMS:
        raise bad_argument(path, f"has {len(asked)} terms; pass at most {MAX_TERMS}")
    terms = [_term(catalogue, type_, one, f"{path}[{place}]", 0, default) for place, one in enumerate(asked)]
    names = [term.name for term in terms]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise bad_argument(f"{path}[{place}]", f"orders by {name} a second time")
    return (*terms, *type_.key_order(set(names), descending=terms[-1].descending))


def _term(
    catalogue: Catalogue, type_: Type, asked: Mapping[str, Any], path: str, depth: int, default: Default
) -> OrderTerm:
    named = [name for name in asked if name not in {"direction", "nulls"} and asked[name] is not None]
    if len(named) != 1:
        raise bad_argument(path, f"names {len(named)} things to order by; name one, a `field` or one relation")
    name = named[0]
    if name == LEAF:
        leaf = type_.columns[asked[name].value]
        descending = asked["direction"].value == "DESC"
        return type_.order_term(leaf, descending=descending, nulls_first=asked["nulls"].value == "FIRST")
    if depth >= MAX_DEPTH:
        raise bad_argument(path, f"goes through more than {MAX_DEPTH} relations")
    relation = type_.relations[name]
    inner = _term(catalogue, catalogue[relation.target], asked[name], f"{path}.{name}", depth + 1, default)
    return _through(catalogue, relation, inner, depth, default)


def _through(
    catalogue: Catalogue, relation: RelationField, inner: OrderTerm, depth: int, default: Default
) -> OrderTerm:
    """A term of the row that a to-one relation leads to; no row counts as null."""
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

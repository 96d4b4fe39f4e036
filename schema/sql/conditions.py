"""What follows from a filter without its SQL: the relations that it joins, and the conditions that every row meets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from db.base.reached import Rare
from schema.catalogue.catalogue import Catalogue, RelationField, Type
from schema.sql.operators import MAX_LIST


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
            if leaf.value == f"{{row}}.{column}":
                yield column


def named(where: Mapping[str, Any] | None) -> Iterator[str]:
    """The fields that a filter names, wherever in its conjunctions, alternatives and negations."""
    for name, value in (where or {}).items():
        if name in {"and", "or"}:
            for one in value or ():
                yield from named(one)
        elif name == "not":
            yield from named(value)
        else:
            yield name


def types_of(catalogue: Catalogue, type_: Type, where: Mapping[str, Any] | None) -> Iterator[Type]:
    """The types of the rows that a filter compares: its own, and those that its relations lead to."""
    yield type_
    for name, value in (where or {}).items():
        if name in {"and", "or"}:
            for one in value or ():
                yield from types_of(catalogue, type_, one)
        elif name == "not":
            yield from types_of(catalogue, type_, value)
        elif relation := type_.relations.get(name):
            for one in (value or {}).values() if relation.many else (value,):
                yield from types_of(catalogue, catalogue[relation.target], one)


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

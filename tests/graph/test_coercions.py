"""Rows in variables are coerced as graphql-core does it, whatever they hold."""

from __future__ import annotations

from enum import Enum
from functools import partial
from random import Random
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    get_nullable_type,
)
from graphql.pyutils import Undefined
from graphql.utilities import coerce_input_value

from schema.execution.coercions import ROWS, coercion
from schema.schema import build

TYPES = [
    type_
    for type_ in build().graphql.type_map.values()
    if isinstance(type_, GraphQLInputObjectType) and type_.extensions.get(ROWS)
]
KEY = "00000000-0000-0000-0000-00000000000"
GOOD: dict[str, list[Any]] = {
    "Int": [0, 7, 2**31 - 1, -(2**31)],
    "BigInt": [0, 2**40, "12"],
    "Float": [0.5, -1.0, 3],
    "String": ["", "a", "é"],
    "ID": [f"Model:{KEY}1", f"Model:{KEY}2", "Experiment:1"],
    "UUID": [f"{KEY}1", f"{KEY}2"],
    "Boolean": [True, False],
    "DateTime": ["2026-01-01T00:00:00Z", "2026-03-01T00:00:00+02:00"],
    "Date": ["2026-01-01", "2024-02-29"],
    "JSON": [{"a": [1, None]}, [], "text", 1.5],
}
BAD = [2**31, -(2**31) - 1, 1.5, True, 2, "x", "", [], [1], {}, {"id": 1}, 10**400, "2026-13-01"]
OFTEN = 0.99
"""How likely a value fits its type: of some hundred in a list of rows, all or one or two do not."""


class Values:
    """Values at random for input types."""

    def __init__(self, seed: str) -> None:
        self._dice = Random(seed)

    def of(self, type_: Any, shape: frozenset[str] | None = None) -> Any:
        dice = self._dice
        if isinstance(type_, GraphQLNonNull):
            return self.of(type_.of_type, shape) if dice.random() < OFTEN else None
        if dice.random() < 0.15:
            return None
        if dice.random() > OFTEN:
            return dice.choice(BAD)
        if isinstance(type_, GraphQLList):
            return self._list(type_)
        if isinstance(type_, GraphQLInputObjectType):
            return {
                name: self.of(type_.fields[name].type) if name in type_.fields else 1
                for name in sorted(shape or self._shape(type_))
            }
        return dice.choice(list(type_.values) if isinstance(type_, GraphQLEnumType) else GOOD.get(type_.name, ["a"]))

    def _list(self, type_: GraphQLList[Any]) -> Any:
        dice, item = self._dice, get_nullable_type(type_.of_type)
        if dice.random() < 0.1:
            return self.of(type_.of_type)
        shape = self._shape(item) if isinstance(item, GraphQLInputObjectType) and dice.random() < 0.7 else None
        return [self.of(type_.of_type, shape) for _ in range(dice.randint(0, 4))]

    def _shape(self, type_: GraphQLInputObjectType) -> frozenset[str]:
        """Some fields, with those that must be there; now and then without one, or with one that the type lacks."""
        dice, fields = self._dice, type_.fields
        if type_.is_one_of:
            return frozenset(dice.sample(sorted(fields), 1 if dice.random() < OFTEN else min(2, len(fields))))
        found = {name for name, field in fields.items() if isinstance(field.type, GraphQLNonNull)}
        found |= set(dice.sample(sorted(fields), dice.randint(0, min(5, len(fields)))))
        if dice.random() > OFTEN:
            found.discard(dice.choice(sorted(found)) if found else "")
        if dice.random() > OFTEN:
            found.add("unknown")
        return frozenset(found)


def told(coerce: Any, value: Any) -> Any:
    """What a value becomes, with the classes of its parts; `Undefined` where it is refused."""
    try:
        made = coerce(value)
    except Exception:  # noqa: BLE001 - whatever graphql-core is then asked about
        return Undefined
    return made if made is Undefined else classed(made)


def classed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: classed(one) for name, one in value.items()}
    if isinstance(value, list):
        return [classed(one) for one in value]
    if hasattr(value, "__dict__") and not isinstance(value, Enum):
        return type(value).__name__, {name: classed(one) for name, one in vars(value).items()}
    return type(value).__name__, value


def test_rows_become_what_graphql_core_makes_of_them() -> None:
    taken = refused = 0
    for type_ in TYPES:
        values = Values(type_.name)
        for wrapped in (type_, GraphQLNonNull(GraphQLList(GraphQLNonNull(type_)))):
            coerce = coercion(wrapped)
            assert coerce is not None
            for _ in range(12):
                value = values.of(wrapped)
                expected = told(partial(coerce_input_value, type_=wrapped), value)
                found = told(coerce, value)
                assert found == expected, (type_.name, value)
                taken, refused = taken + (found is not Undefined), refused + (found is Undefined)
    assert min(taken, refused) > 600


def test_input_types_of_rows_have_what_their_coercion_knows() -> None:
    """No default, no other name, and no class of their own: they become dictionaries of their fields."""
    for type_ in TYPES:
        assert not [name for name, one in type_.fields.items() if one.default is not None or one.out_name], type_.name
        assert type_.out_type is GraphQLInputObjectType.out_type, type_.name


def test_what_is_left_to_graphql_core() -> None:
    types = build().graphql.type_map
    assert coercion(types["ModelWhere"]) is None
    assert coercion(GraphQLList(types["Int"])) is None
    assert coercion(GraphQLNonNull(types["Int"])) is not None
    assert coercion(types["ModelStage"]) is not None

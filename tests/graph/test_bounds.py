"""Every bound that the SDL tells of an argument is where it says: the bound is read, the next value is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputObjectType,
    get_named_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)

from schema.schema import build
from tests.support.client import Client

QUERY = build().graphql.query_type
FIELDS = QUERY.fields if QUERY else {}
NOBODY = "Model:00000000-0000-0000-0000-000000000000"
NEEDED = {"ids": [NOBODY], "from": [NOBODY], "of": NOBODY, "to": NOBODY, "text": "a", "tools": ["a"], "name": "a"}
NEEDED |= {"if": "RETRAINED"}
"""Arguments without which a field cannot be asked."""
ELEMENTS = {"ids": NOBODY, "from": NOBODY, "types": "Model"}
"""What lists of texts may have in them."""
BESIDE: dict[str, dict[str, Any]] = {
    "countUpTo": {"maxNodes": 1},
    "minSimilarity": {"embedding": [1.0, *[0.0] * 1535]},
}
"""What is asked beside a bound, which depends on it."""
LATE = {"after", "text"}
"""Arguments that are read only where there is more: a cursor's form, an embedding service."""
ELSEWHERE = {"webhookMessages", "toolExecutionPlan", "impact", "paths"}
"""Fields of what is off by default, and of rows that must be there: their own tests have their bounds."""
BOUND = re.compile(r"(-?\d[\d,]*) to (\d[\d,]*)|at most (\d[\d,]*)")


def bounds() -> Iterator[tuple[str, str, GraphQLArgument, float | None, float]]:
    """Field, argument, and the least and the most that the argument's description tells; each once."""
    seen = set()
    for field, type_ in FIELDS.items():
        if field in ELSEWHERE or any(
            is_non_null_type(one.type) and name not in NEEDED for name, one in type_.args.items()
        ):
            continue
        for name, argument in type_.args.items():
            found = BOUND.search((argument.description or "").replace("\n", " "))
            if (
                found
                and name not in LATE
                and get_named_type(argument.type).name != "Boolean"
                and (name, found[0]) not in seen
            ):
                seen.add((name, found[0]))
                least, most, alone = (float(one.replace(",", "")) if one else None for one in found.groups())
                yield field, name, argument, least, most if most is not None else alone or 0.0


def value(argument: GraphQLArgument, name: str, number: float) -> Any:
    """A number, or a list of so many."""
    if not is_list_type(getattr(argument.type, "of_type", None) if is_non_null_type(argument.type) else argument.type):
        return number if get_named_type(argument.type).name == "Float" else int(number)
    named = get_named_type(argument.type)
    if isinstance(named, GraphQLInputObjectType):
        return [{"field": one} for one in list(get_named_type(named.fields["field"].type).values)[: int(number)]]  # type: ignore[union-attr]
    element = next(iter(named.values)) if isinstance(named, GraphQLEnumType) else ELEMENTS[name]
    return [element] * int(number)


CASES = list(bounds())


@pytest.mark.parametrize("case", CASES, ids=[f"{field}-{name}" for field, name, *_ in CASES])
async def test_the_bound_is_read_and_the_next_value_refused(demo: Client, case: Any) -> None:
    field, name, argument, least, most = case
    type_ = FIELDS[field]

    async def error_of(number: float) -> str | None:
        """The message of an error of this argument."""
        asked = {one: NEEDED[one] for one, its in type_.args.items() if is_non_null_type(its.type)}
        asked |= BESIDE.get(name, {}) | {name: value(argument, name, number)}
        told = ", ".join(f"${one}: {type_.args[one].type}" for one in asked)
        given = ", ".join(f"{one}: ${one}" for one in asked)
        below = "" if is_leaf_type(get_named_type(type_.type)) else "{ __typename }"
        answer = await demo.ask(f"query({told}) {{ {field}({given}) {below} }}", **asked)
        for error in answer.get("errors", ()):
            extensions = error["extensions"]
            if extensions["code"] == "BAD_USER_INPUT" and extensions.get("argument", "").split("[")[0] == name:
                assert len(error["message"]) < 400
                return json.dumps(error)
            assert extensions["code"] in {"BAD_USER_INPUT", "COST_LIMIT"}, error
        return None

    step = 0.001 if get_named_type(argument.type).name == "Float" else 1
    assert await error_of(most) is None
    beyond = await error_of(most + step)
    assert beyond is not None
    assert f"{most:,.0f}" in beyond or f"{most:.0f}" in beyond
    if least is not None:
        assert await error_of(least) is None
        assert await error_of(least - step) is not None

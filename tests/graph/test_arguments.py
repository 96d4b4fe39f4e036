"""Arguments that a client has every right to, and those that are its own mistake: told as such, where they stand."""

from __future__ import annotations

import base64
import itertools
import json
import random
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    get_named_type,
)

from schema.schema import build
from tests.support.client import Client, serving
from tests.support.databases import Database
from tests.support.executors import EXECUTORS


@pytest.fixture(scope="module", params=EXECUTORS)
async def graph(request: pytest.FixtureRequest, demo_database: Database) -> AsyncIterator[Client]:
    async with serving(demo_database.gateway_url, compiler=request.param) as client:
        yield client


# -- orders ------------------------------------------------------------------------------------------------------------

BRANDS = "query($o: [ModelOrder!]) { models(first: 1000, orderBy: $o) { nodes { id experiment { brand } } } }"


async def brands(graph: Client, *terms: dict[str, Any]) -> list[str | None]:
    nodes = (await graph.data(BRANDS, o=list(terms)))["models"]["nodes"]
    return [node["experiment"]["brand"] for node in nodes]


async def test_a_direction_beside_a_relation_is_said_of_its_field(graph: Client) -> None:
    inside = await brands(graph, {"experiment": {"field": "BRAND", "direction": "DESC", "nulls": "FIRST"}})
    known = [brand for brand in inside if brand is not None]
    least_first = await brands(graph, {"experiment": {"field": "BRAND"}})
    assert known == [brand for brand in reversed(least_first) if brand is not None] != least_first[: len(known)]
    for term in (
        {"experiment": {"field": "BRAND"}, "direction": "DESC", "nulls": "FIRST"},
        {"experiment": {"field": "BRAND", "nulls": "FIRST"}, "direction": "DESC"},
        {"experiment": {"field": "BRAND", "direction": "DESC"}, "direction": "DESC", "nulls": "FIRST"},
    ):
        assert await brands(graph, term) == inside
    assert least_first == [*reversed(known), *[None] * inside.count(None)]


async def test_a_direction_is_said_at_any_depth(graph: Client) -> None:
    """Of relations within relations, at the root and below a parent; two directions are refused there too."""
    query = """query($o: [DeploymentOrder!]) { deployments(first: 1000, orderBy: $o) { nodes { id } }
        models(first: 100) { nodes { deployments(first: 100, orderBy: $o) { nodes { id } } } } }"""
    there = {"model": {"experiment": {"field": "BRAND", "direction": "DESC"}}}
    for term in (
        {"model": {"experiment": {"field": "BRAND"}}, "direction": "DESC"},
        {"model": {"experiment": {"field": "BRAND"}, "direction": "DESC"}},
    ):
        assert await graph.data(query, o=[term]) == await graph.data(query, o=[there])
    least = {"model": {"experiment": {"field": "BRAND"}}}
    assert await graph.data(query, o=[least]) != await graph.data(query, o=[there])
    for term in (
        {"model": {"experiment": {"field": "BRAND"}, "direction": "ASC"}, "direction": "DESC"},
        {"model": {"experiment": {"field": "BRAND", "direction": "ASC"}}, "direction": "DESC"},
        {"model": {"experiment": {"field": "BRAND", "direction": "ASC"}, "direction": "DESC"}},
    ):
        answer = await graph.ask(query, o=[term])
        assert {error["path"][0] for error in answer["errors"]} == {"deployments", "models"}
        for error in answer["errors"]:
            assert error["extensions"]["argument"].startswith("orderBy[0].model")
            assert error["extensions"]["argument"].endswith("direction")


async def test_two_directions_of_one_term_are_refused(graph: Client) -> None:
    for name, values in (("direction", ("ASC", "DESC")), ("nulls", ("FIRST", "LAST"))):
        for outside, inner in itertools.permutations(values):
            error = await graph.error(BRANDS, o=[{"experiment": {"field": "BRAND", name: inner}, name: outside}])
            assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": f"orderBy[0].experiment.{name}"}
            assert f"is {inner}, but {outside} outside the relation" in error["message"]


# -- a page between two cursors ----------------------------------------------------------------------------------------

PAGE = """query($first: Int, $after: String, $last: Int, $before: String, $o: [TrainingRunOrder!]) {
    trainingRuns(first: $first, after: $after, last: $last, before: $before, orderBy: $o) {
        edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount } }"""


def between(every: list[dict[str, Any]], **asked: Any) -> tuple[list[str], bool, bool]:
    """What the Relay specification answers: the ids of the page, and whether rows lie before and behind it."""
    cursors = [edge["cursor"] for edge in every]
    start = cursors.index(asked["after"]) + 1 if asked.get("after") else 0
    stop = cursors.index(asked["before"]) if asked.get("before") else len(every)
    stop = max(start, stop)
    low, high = start, stop
    if asked.get("first") is not None:
        high = min(stop, start + asked["first"])
    if asked.get("last") is not None:
        low = max(start, stop - asked["last"])
    return [edge["node"]["id"] for edge in every[low:high]], low > 0, high < len(every)


@pytest.mark.parametrize(
    "order", [None, [{"field": "ALGORITHM"}], [{"field": "STARTED_AT", "nulls": "FIRST"}, {"field": "STATUS"}]]
)
async def test_after_and_before_together(graph: Client, order: Any) -> None:
    every = (await graph.data(PAGE, first=1000, o=order))["trainingRuns"]["edges"]
    assert len(every) > 12
    rng = random.Random(7)
    for _ in range(25):
        after, before = sorted(rng.sample(range(len(every)), 2))
        asked: dict[str, Any] = {"after": every[after]["cursor"], "before": every[before]["cursor"]}
        asked |= rng.choice([{}, {"first": rng.randint(0, 6)}, {"last": rng.randint(0, 6)}])
        if rng.random() < 0.3 and len(asked) > 2:
            del asked[rng.choice(["after", "before"])]
        if "first" not in asked and "last" not in asked and before - after > 50:
            continue  # the default size cuts it
        page = (await graph.data(PAGE, o=order, **asked))["trainingRuns"]
        ids, earlier, later = between(every, **asked)
        assert [edge["node"]["id"] for edge in page["edges"]] == ids
        assert page["totalCount"] == len(every)
        info = page["pageInfo"]
        if ids:
            assert (info["hasPreviousPage"], info["hasNextPage"]) == (earlier, later)
            assert (info["startCursor"], info["endCursor"]) == (page["edges"][0]["cursor"], page["edges"][-1]["cursor"])


async def test_cursors_in_the_wrong_order_hold_nothing(graph: Client) -> None:
    every = (await graph.data(PAGE, first=3))["trainingRuns"]["edges"]
    first, last = every[0]["cursor"], every[-1]["cursor"]
    for after, before in ((last, first), (first, first)):
        assert (await graph.data(PAGE, after=after, before=before))["trainingRuns"]["edges"] == []


async def test_after_and_before_below_a_parent(graph: Client) -> None:
    query = """query($after: String, $before: String) { experiments { nodes { id models(first: 100, after: $after,
        before: $before) { edges { cursor node { id } } } } } }"""
    for one in (await graph.data(query))["experiments"]["nodes"]:
        edges = one["models"]["edges"]
        if len(edges) < 3:
            continue
        found = await graph.data(query, after=edges[0]["cursor"], before=edges[-1]["cursor"])
        page = next(node for node in found["experiments"]["nodes"] if node["id"] == one["id"])["models"]["edges"]
        assert page == edges[1:-1]


# -- mistakes ----------------------------------------------------------------------------------------------------------

BAD_PATHS = ["@", "last", '$ ? (@ like_regex "(")', "$.", "", "$ ? (", '$ ? (@ like_regex "a" flag "z")', "(" * 30_000]


@pytest.mark.parametrize("path", BAD_PATHS)
async def test_a_bad_json_path_is_named(graph: Client, path: str) -> None:
    query = "query($w: ModelWhere) { models(where: $w) { nodes { id } totalCount aggregate { count } } }"
    for where, argument in (
        ({"hyperparameters": {"path": path}}, "where.hyperparameters.path"),
        (
            {"or": [{"hyperparameters": {"path": "$.a"}}, {"hyperparameters": {"path": path}}]},
            "where.or[1].hyperparameters.path",
        ),
        (
            {"trainingRuns": {"some": {"hyperparameters": {"path": path}}}},
            "where.trainingRuns.some.hyperparameters.path",
        ),
    ):
        answer = await graph.ask(query, w=where)
        assert answer["errors"]
        for error in answer["errors"]:
            assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": argument}
            assert "is not an SQL/JSON path" in error["message"]


VARIABLES = {
    "$x": "$x",
    "$auc ? (@ > 0.8)": "$auc",
    '$."a" ? (@ == $"least \\" one")': '$"least \\" one"',
    "$.a ? (@ > $b && @ < $c)": "$b",
    "/* $.c */ $d": "$d",
}
NO_VARIABLES = [
    "$", "$.a", "strict $.a", '$."$x"', '$.a ? (@ like_regex "^x$")', "/* $x */ $.a", "$[*]",
    '$.a\\$b ? (@ == "\\"$x")',
]  # fmt: skip


@pytest.mark.parametrize("path", [*VARIABLES, *NO_VARIABLES])
async def test_a_variable_in_a_json_path_is_refused(graph: Client, path: str) -> None:
    """Postgres reads it as null: `$auc` for `$.auc` would match every row."""
    asked = json.dumps(path)
    literal = f"{{ models(where: {{hyperparameters: {{path: {asked}}}}}) {{ totalCount }} }}"
    for query, variables in ((literal, {}), (COUNT, {"w": {"hyperparameters": {"path": path}}})):
        answer = await graph.ask(query, **variables)
        if path in VARIABLES:
            (error,) = answer["errors"]
            assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": "where.hyperparameters.path"}
            assert f"names the variable {VARIABLES[path]}, and" in error["message"]
        else:
            assert "errors" not in answer


COUNT = "query($w: ModelWhere) { models(where: $w) { totalCount } }"
NUL_INSIDE = ["\0", {"a": "\0"}, {"\0": 1}, [{"a": ["x", "\\\0"]}]]


@pytest.mark.parametrize("value", NUL_INSIDE)
async def test_nul_inside_json_is_refused_where_it_stands(graph: Client, value: Any) -> None:
    error = await graph.error(COUNT, w={"or": [{"hyperparameters": {"contains": value}}]})
    argument = "where.or[0].hyperparameters.contains"
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": argument}
    assert error["message"] == f"{argument}: contains NUL, which text in Postgres cannot hold"
    one = "query($v: JSON) { models(where: {hyperparameters: {contains: {in: [$v]}}}) { totalCount } }"
    error = await graph.error(one, v=value)
    assert error["extensions"]["argument"] == "where.hyperparameters.contains"
    assert (await graph.data(COUNT, w={"hyperparameters": {"contains": r"\u0000"}}))["models"] == {"totalCount": 0}
    query = """mutation($input: MoveStepInput!) { change: moveStep(input: $input) {
        __typename ... on InvalidInput { field message } } }"""
    input_ = {"id": "00000000-0000-4000-8000-000000000000", "to": "EXECUTING", "outputResult": value}
    assert (await graph.data(query, input=input_))["change"] == {
        "__typename": "InvalidInput",
        "field": "outputResult",
        "message": "outputResult: contains NUL, which text in Postgres cannot hold",
    }


NO_UUIDS = [
    "\u0661" * 32, " " + "1" * 31, "+" + "1" * 31, "0x" + "1" * 30, "1_" * 15 + "11", "1" * 31, "\uff11" * 32, "g" * 32,
]  # fmt: skip


@pytest.mark.parametrize("text", NO_UUIDS)
async def test_what_is_no_uuid_is_none(graph: Client, text: str) -> None:
    """As a value, an id and a part of a cursor: Python reads signs, underscores and digits of other scripts too."""
    error = await graph.error("query($u: UUID!) { models(where: {rowId: {eq: $u}}) { totalCount } }", u=text)
    assert "is not a UUID such as" in error["message"]
    for id_ in (text, f"Model:{text}"):
        error = await graph.error("query($id: ID!) { model(id: $id) { id } }", id=id_)
        assert "is not a UUID; an id of Model looks like" in error["message"]


@pytest.mark.parametrize("form", ["{}", "{{{}}}", "urn:uuid:{}"])
async def test_forms_of_uuids(graph: Client, form: str) -> None:
    (row,) = (await graph.data("{ models(first: 1) { nodes { id rowId } } }"))["models"]["nodes"]
    for text in (row["rowId"], row["rowId"].upper(), row["rowId"].replace("-", "")):
        data = await graph.data("query($u: UUID!) { models(where: {rowId: {eq: $u}}) { nodes { id } } }",
                                u=form.format(text))  # fmt: skip
        assert data["models"]["nodes"] == [{"id": row["id"]}]


def reworked(cursor: str, change: Any) -> str:
    name, order, values = json.loads(base64.urlsafe_b64decode(cursor + "=="))
    return base64.urlsafe_b64encode(json.dumps([name, order, change(values)]).encode()).decode().rstrip("=")


async def test_null_in_the_key_of_a_cursor_is_refused(graph: Client) -> None:
    cursor = (await graph.data(PAGE, first=1))["trainingRuns"]["edges"][0]["cursor"]
    for change in (lambda values: [values[0], None], lambda values: [None] * len(values)):
        for name in ("after", "before"):
            error = await graph.error(PAGE, **{name: reworked(cursor, change)})
            assert (error["code"], error["extensions"]["argument"]) == ("INVALID_CURSOR", name)
        literal = f'{{ trainingRuns(after: "{reworked(cursor, change)}") {{ totalCount }} }}'
        assert (await graph.error(literal))["code"] == "INVALID_CURSOR"


# -- no Python in a message --------------------------------------------------------------------------------------------

PYTHON = re.compile(
    r"\bNone\b|\bTrue\b|\bFalse\b|Undefined|Traceback|<class|object at 0x|\bdatetime\b|Decimal\(|\{'|\['|"
    r"Exceeds the limit|encountered error|float\(|int\(|dict\b|NoneType"
)
WRONG: list[Any] = [
    None, True, False, 0, -1, 2**31, 2**63, 10**30, 1.5, -0.0, "", "x", "\x00", "😀", "9" * 50, [], [None], [[1]], {},
    {"a": None}, {"eq": {"eq": True}}, ["x", None, True], "infinity", "NaN", {"field": None}, {"__typename": "x"},
]  # fmt: skip


def arguments() -> Iterator[tuple[str, str, Any]]:
    """A field with an argument for each type of input that there is: ``(field, argument, type)``."""
    schema = build().graphql
    assert schema.query_type is not None
    seen: set[str] = set()
    for name, field in sorted(schema.query_type.fields.items()):
        for argument, definition in field.args.items():
            if str(definition.type) not in seen:
                seen.add(str(definition.type))
                yield name, argument, definition.type


def spoilt(type_: Any, rng: random.Random, depth: int = 0) -> Any:
    """A value of a type with something wrong in it somewhere, as JSON."""
    if isinstance(type_, GraphQLNonNull):
        return spoilt(type_.of_type, rng, depth)
    if rng.random() < 0.25 or depth > 4:
        return rng.choice(WRONG)
    if isinstance(type_, GraphQLList):
        return [spoilt(type_.of_type, rng, depth + 1) for _ in range(rng.randint(0, 2))]
    if isinstance(type_, GraphQLInputObjectType):
        names = rng.sample(sorted(type_.fields), min(2, len(type_.fields)))
        return {name: spoilt(type_.fields[name].type, rng, depth + 1) for name in names}
    if isinstance(type_, GraphQLEnumType):
        return rng.choice([*type_.values, "NO_SUCH_MEMBER"])
    assert isinstance(type_, GraphQLScalarType)
    return rng.choice(WRONG)


def literal(value: Any) -> str:
    """A JSON value in the syntax of GraphQL; texts that are names are members of enums now and then."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {literal(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(literal(one) for one in value) + "]"
    if isinstance(value, str) and re.fullmatch("[A-Z_]{2,}", value):
        return value
    return json.dumps(value)


@pytest.mark.slow
async def test_no_message_speaks_python(graph: Client) -> None:
    rng = random.Random(11)
    schema = build().graphql
    told = 0
    for name, argument, type_ in arguments():
        field = schema.query_type.fields[name]
        selection = "" if isinstance(get_named_type(field.type), GraphQLScalarType) else " { __typename }"
        others = [one for one in field.args if isinstance(field.args[one].type, GraphQLNonNull) and one != argument]
        rest = "".join(f', {one}: "x"' for one in others)
        for _ in range(4):
            value = spoilt(type_, rng)
            for query, variables in (
                (f"query($v: {type_}) {{ {name}({argument}: $v{rest}){selection} }}", {"v": value}),
                (f"{{ {name}({argument}: {literal(value)}{rest}){selection} }}", {}),
            ):
                answer = await graph.ask(query, **variables)
                for error in answer.get("errors", []):
                    told += 1
                    quoted = error["message"]
                    assert not PYTHON.search(quoted), (query, variables, quoted)
                    assert error["extensions"]["code"] not in {"INTERNAL", "UNREPRESENTABLE_VALUE"}, (query, error)
                    assert error.get("locations"), (query, error)
    assert told > 200


@pytest.mark.slow
async def test_no_message_of_a_change_speaks_python(graph: Client) -> None:
    rng = random.Random(12)
    mutation = build().graphql.mutation_type
    assert mutation is not None
    for name, field in mutation.fields.items():
        type_ = field.args["input"].type
        for _ in range(4):
            value = spoilt(type_, rng)
            if isinstance(value, dict):
                value["dryRun"] = True
            for query, variables in (
                (f"mutation($v: {type_}) {{ {name}(input: $v) {{ ... on Problem {{ message }} }} }}", {"v": value}),
                (f"mutation {{ {name}(input: {literal(value)}) {{ ... on Problem {{ message }} }} }}", {}),
            ):
                answer = await graph.ask(query, **variables)
                messages = [error["message"] for error in answer.get("errors", [])]
                messages += [(one or {}).get("message", "") for one in (answer.get("data") or {}).values()]
                for message in messages:
                    assert not PYTHON.search(message), (query, variables, message)
                assert "INTERNAL" not in [error["extensions"]["code"] for error in answer.get("errors", [])], answer

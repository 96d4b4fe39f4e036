"""Filters and orders against a brute-force evaluation in Python over the same rows, nulls included."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schema.catalogue.catalogue import ColumnField, RelationField, Type
from schema.catalogue.from_models import catalogue
from schema.graph.inputs import upper_snake
from schema.sql.operators import filtered, operators
from schema.sql.orders import sortable
from tests.support.client import Client, serving
from tests.support.databases import Database

pytestmark = pytest.mark.slow

CATALOGUE = catalogue()
NAMES = [
    "Experiment", "Model", "TrainingRun", "Deployment", "BentoService", "DriftRecord", "MonitoringAlert", "Retraining",
    "HpoStudy", "HpoTrial", "CohortDefinition", "CohortExecution", "OptimizedInstruction", "ClassificationLog",
    "Evaluation", "ExpertReview", "CausalValidation", "TwinSimulation", "MonitoringRun", "PatientCohortAssignment",
]  # fmt: skip
Row = dict[str, Any]


@dataclass
class World:
    """All rows of some types, as the graph answers them: leaves by name, relations as ids."""

    rows: dict[str, dict[str, Row]]

    def related(self, row: Row, relation: RelationField) -> list[Row]:
        return [self.rows[relation.target][id_] for id_ in row[relation.name]]


def relations(type_: Type) -> list[RelationField]:
    return [relation for relation in type_.relations.values() if relation.target in NAMES]


def leaves(type_: Type) -> list[ColumnField]:
    return [leaf for leaf in type_.columns.values() if filtered(leaf)]


@pytest.fixture(scope="module")
async def world(demo_database: Database) -> World:
    async with serving(demo_database.gateway_url, max_cost=10**9) as client:
        return await everything(client)


async def everything(demo: Client) -> World:
    rows: dict[str, dict[str, Row]] = {}
    for name in NAMES:
        type_ = CATALOGUE[name]
        selection = " ".join(
            ["id", *(leaf.name for leaf in leaves(type_))]
            + [
                f"{r.name}(first: 1000) {{ totalCount nodes {{ id }} }}" if r.many else f"{r.name} {{ id }}"
                for r in relations(type_)
            ]
        )
        data = await demo.data(f"{{ {type_.plural}(first: 1000) {{ totalCount nodes {{ {selection} }} }} }}")
        assert data[type_.plural]["totalCount"] <= 1000
        for node in data[type_.plural]["nodes"]:
            for relation in relations(type_):
                found = node[relation.name]
                if relation.many:
                    assert found["totalCount"] <= 1000
                    node[relation.name] = [one["id"] for one in found["nodes"]]
                else:
                    node[relation.name] = [found["id"]] if found else []
        rows[name] = {node["id"]: node for node in data[type_.plural]["nodes"]}
    return World(rows)


# -- the meaning of filters, in Python ---------------------------------------------------------------------------------


def rank(leaf: ColumnField, value: Any) -> Any:
    """A value as it is compared: members of enums by their order."""
    if leaf.kind.labels and not leaf.kind.is_list:
        return [member.name for member in leaf.kind.labels].index(value)
    return value


def like(pattern: str) -> Callable[[str], bool]:
    parts, escaped = [], False
    for letter in pattern:
        if escaped:
            parts.append(re.escape(letter))
            escaped = False
        elif letter == "\\":
            escaped = True
        else:
            parts.append({"%": ".*", "_": "."}.get(letter, re.escape(letter)))
    compiled = re.compile("".join(parts) + (re.escape("\\") if escaped else ""), re.DOTALL)
    return lambda text: bool(compiled.fullmatch(text))


def inside(small: Any, large: Any) -> bool:
    """JSON containment as Postgres defines it."""
    if isinstance(small, dict):
        return isinstance(large, dict) and all(key in large and inside(small[key], large[key]) for key in small)
    if isinstance(small, list):
        return isinstance(large, list) and all(any(inside(one, other) for other in large) for one in small)
    if isinstance(large, list):
        return any(same(small, other) for other in large)
    return same(small, large)


def same(one: Any, other: Any) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def holds(leaf: ColumnField, operator: str, operand: Any, value: Any) -> bool:  # noqa: C901, PLR0911, PLR0912 - a table
    match operator:
        case "isNull":
            return (value is None) == operand
        case "eq" if operand is None:
            return value is None
        case "ne" if operand is None:
            return value is not None
        case "ne":
            return value is None or value != operand
        case "notIn":
            return value is None or value not in operand
    if value is None:
        return False
    match operator:
        case "eq":
            return bool(value == operand)
        case "in":
            return value in operand
        case "lt":
            return bool(rank(leaf, value) < rank(leaf, operand))
        case "lte":
            return bool(rank(leaf, value) <= rank(leaf, operand))
        case "gt":
            return bool(rank(leaf, value) > rank(leaf, operand))
        case "gte":
            return bool(rank(leaf, value) >= rank(leaf, operand))
        case "contains" if leaf.kind.graphql == "JSON":
            return inside(operand, value)
        case "contains":
            return operand in value
        case "iContains":
            return operand.lower() in value.lower()
        case "startsWith":
            return bool(value.startswith(operand))
        case "like":
            return like(operand)(value)
        case "hasKey":
            return operand in value if isinstance(value, dict | list) else value == operand
        case "has":
            return operand in value
        case "hasAny":
            return any(one in value for one in operand)
        case "hasAll":
            return all(one in value for one in operand)
    raise AssertionError(operator)


def matches(world: World, type_: Type, where: dict[str, Any], row: Row) -> bool:
    for name, value in where.items():
        if name == "and":
            found = all(matches(world, type_, one, row) for one in value)
        elif name == "or":
            found = any(matches(world, type_, one, row) for one in value)
        elif name == "not":
            found = not matches(world, type_, value, row)
        elif leaf := type_.columns.get(name):
            found = all(holds(leaf, operator, operand, row[name]) for operator, operand in value.items())
        else:
            relation = type_.relations[name]
            target = CATALOGUE[relation.target]
            related = world.related(row, relation)
            asked = value if relation.many else {"some": value}
            found = all(
                {
                    "some": any(matches(world, target, one, other) for other in related),
                    "none": not any(matches(world, target, one, other) for other in related),
                    "every": all(matches(world, target, one, other) for other in related),
                }[quantifier]
                for quantifier, one in asked.items()
            )
        if not found:
            return False
    return True


# -- filters to try ----------------------------------------------------------------------------------------------------


def operands(world: World, type_: Type, leaf: ColumnField, operator: str) -> st.SearchStrategy[Any]:  # noqa: PLR0911
    """Values that occur, so that filters find something, and a few that do not."""
    seen = [row[leaf.name] for row in world.rows[type_.name].values() if row[leaf.name] is not None]
    items = [item for value in seen for item in value] if leaf.kind.is_list else seen
    values = st.sampled_from(items) if items else st.nothing()
    if operator == "isNull":
        return st.booleans()
    if operator in {"in", "notIn", "hasAny", "hasAll"}:
        return st.lists(values, max_size=3) if items else st.just([])
    if leaf.kind.graphql == "JSON" and operator == "contains":
        parts = [dict([pair]) for value in seen if isinstance(value, dict) for pair in value.items()]
        parts += [[item] for value in seen if isinstance(value, list) for item in value]
        return st.sampled_from([*parts, {}, [], 0])
    if operator == "hasKey":
        keys = [key for value in seen if isinstance(value, dict | list) for key in value if isinstance(key, str)]
        return st.sampled_from([*keys, "no such key"])
    if operator in {"contains", "iContains", "startsWith"}:
        pieces = [text[start : start + 4] for text in seen for start in (0, 3)]
        return st.sampled_from([*pieces, *(piece.upper() for piece in pieces), "", "%", "_", "\\", "é"])
    if operator == "like":
        patterns = [f"{text[:3]}%" for text in seen] + [f"%{text[2:5]}_%" for text in seen]
        return st.sampled_from([*patterns, "%", "", "\\", "_%", "\\%"])
    if operator in {"eq", "ne"}:
        return st.one_of(values, st.none()) if items else st.none()
    return values


def leaf_filters(world: World, type_: Type, leaf: ColumnField) -> st.SearchStrategy[dict[str, Any]]:
    names = [operator.name for operator in operators(leaf.kind) if operator.name != "path"]
    empty = not any(row[leaf.name] is not None for row in world.rows[type_.name].values())
    if empty:
        names = ["isNull"]
    return st.sampled_from(names).flatmap(
        lambda name: operands(world, type_, leaf, name).map(lambda operand: {leaf.name: {name: operand}})
    )


def wheres(world: World, type_: Type, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    simple = st.sampled_from(leaves(type_)).flatmap(lambda leaf: leaf_filters(world, type_, leaf))
    if depth == 0:
        return simple
    below = st.deferred(lambda: wheres(world, type_, depth - 1))
    nested = (
        st.sampled_from(relations(type_)).flatmap(
            lambda relation: wheres(world, CATALOGUE[relation.target], depth - 1).flatmap(
                lambda inner: (
                    st.sampled_from(["some", "none", "every"]).map(lambda word: {relation.name: {word: inner}})
                    if relation.many
                    else st.just({relation.name: inner})
                )
            )
        )
        if relations(type_)
        else simple
    )
    return st.one_of(
        simple,
        nested,
        st.lists(below, max_size=3).map(lambda parts: {"and": parts}),
        st.lists(below, max_size=3).map(lambda parts: {"or": parts}),
        below.map(lambda part: {"not": part}),
    )


async def found(demo: Client, type_: Type, where: dict[str, Any]) -> tuple[list[str], int]:
    query = f"query($w: {type_.name}Where) {{ {type_.plural}(first: 1000, where: $w) {{ totalCount nodes {{ id }} }} }}"
    data = await demo.data(query, w=where)
    return [node["id"] for node in data[type_.plural]["nodes"]], data[type_.plural]["totalCount"]


RELAXED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]


@pytest.mark.parametrize("name", NAMES)
async def test_every_operator_of_every_column(demo: Client, world: World, name: str) -> None:
    type_ = CATALOGUE[name]
    for leaf in leaves(type_):
        for operator in operators(leaf.kind):
            if operator.name == "path":
                continue
            strategy = operands(world, type_, leaf, operator.name)
            if strategy.is_empty:
                continue
            values = {json.dumps(v): v for v in _examples(strategy, 4)}
            for operand in values.values():
                where = {leaf.name: {operator.name: operand}}
                ids, total = await found(demo, type_, where)
                expected = [id_ for id_, row in world.rows[name].items() if matches(world, type_, where, row)]
                assert (ids, total) == (expected, len(expected)), where


def _examples(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    collected: list[Any] = []

    @settings(max_examples=count, database=None, derandomize=True, suppress_health_check=RELAXED)
    @given(strategy)
    def collect(value: Any) -> None:
        collected.append(value)

    collect()
    return collected


async def test_filters_mean_what_python_says(demo: Client, world: World) -> None:
    """Filters of any shape: connectives, and relations to any depth, with some, none and every."""
    strategy = st.sampled_from(NAMES).flatmap(lambda name: st.tuples(st.just(name), wheres(world, CATALOGUE[name], 2)))
    cases = _examples(strategy, 400)
    non_trivial = 0
    for name, where in cases:
        type_ = CATALOGUE[name]
        expected = [id_ for id_, row in world.rows[name].items() if matches(world, type_, where, row)]
        ids, total = await found(demo, type_, where)
        assert (ids, total) == (expected, len(expected)), (name, where)
        non_trivial += 0 < len(expected) < len(world.rows[name])
    assert non_trivial > 50


# -- orders ------------------------------------------------------------------------------------------------------------


def ordered(world: World, type_: Type, terms: list[dict[str, Any]]) -> list[str]:
    """The ids in the order that the terms say, the key settling ties in the direction of the last term."""

    def value(row: Row, type_: Type, term: dict[str, Any]) -> tuple[Any, dict[str, Any], ColumnField]:
        if "field" in term:
            leaf = next(leaf for leaf in leaves(type_) if upper_snake(leaf.name) == term["field"])
            return row[leaf.name], term, leaf
        (name,) = term
        relation = type_.relations[name]
        related = world.related(row, relation)
        target = CATALOGUE[relation.target]
        inner = term[name]
        if related:
            return value(related[0], target, inner)
        while "field" not in inner:
            (deeper,) = inner
            target, inner = CATALOGUE[target.relations[deeper].target], inner[deeper]
        return None, inner, next(leaf for leaf in leaves(target) if upper_snake(leaf.name) == inner["field"])

    def compare(one: Row, other: Row) -> int:
        descending = False
        for term in terms:
            (a, inner, leaf), (b, _, _) = value(one, type_, term), value(other, type_, term)
            descending = inner.get("direction") == "DESC"
            if a is None or b is None:
                if (a is None) != (b is None):
                    first = inner.get("nulls") == "FIRST"
                    return -1 if (a is None) == first else 1
                continue
            a, b = rank(leaf, a), rank(leaf, b)
            if a != b:
                return (1 if a > b else -1) * (-1 if descending else 1)
        keys = [[row[type_.field_name(column)] for column in type_.key] for row in (one, other)]
        return (1 if keys[0] > keys[1] else -1) * (-1 if descending else 1) if keys[0] != keys[1] else 0

    return [row["id"] for row in sorted(world.rows[type_.name].values(), key=cmp_to_key(compare))]


def order_terms(type_: Type, depth: int) -> st.SearchStrategy[dict[str, Any]]:
    fields = [upper_snake(leaf.name) for leaf in leaves(type_) if sortable(leaf)]
    own = st.fixed_dictionaries(
        {"field": st.sampled_from(fields)},
        optional={"direction": st.sampled_from(["ASC", "DESC"]), "nulls": st.sampled_from(["FIRST", "LAST"])},
    )
    single = [relation for relation in relations(type_) if not relation.many]
    if depth == 0 or not single:
        return own
    return st.one_of(
        own,
        st.sampled_from(single).flatmap(
            lambda r: order_terms(CATALOGUE[r.target], depth - 1).map(lambda inner: {r.name: inner})
        ),
    )


def unique(terms: list[dict[str, Any]]) -> bool:
    paths = [re.sub(r'"(direction|nulls)": "\w+"|[ ,]', "", json.dumps(term)) for term in terms]
    return len(set(paths)) == len(paths)


async def walk(demo: Client, type_: Type, terms: list[dict[str, Any]], size: int, *, backward: bool) -> list[str]:
    page, cursor = ("last: $n, before: $c", "startCursor") if backward else ("first: $n, after: $c", "endCursor")
    query = (
        f"query($n: Int!, $c: String, $o: [{type_.name}Order!]) {{ {type_.plural}({page}, orderBy: $o) "
        "{ nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"
    )
    ids: list[str] = []
    position = None
    while True:
        data = (await demo.data(query, n=size, c=position, o=terms))[type_.plural]
        got = [node["id"] for node in data["nodes"]]
        ids = got + ids if backward else ids + got
        position = data["pageInfo"][cursor]
        if not data["pageInfo"]["hasPreviousPage" if backward else "hasNextPage"]:
            return ids


async def test_cursors_follow_any_order_both_ways(demo: Client, world: World) -> None:
    small = [name for name in NAMES if 5 < len(world.rows[name]) < 160]
    strategy = st.sampled_from(small).flatmap(
        lambda name: st.tuples(
            st.just(name),
            st.lists(order_terms(CATALOGUE[name], 2), min_size=1, max_size=3).filter(unique),
            st.integers(3, 40),
            st.booleans(),
        )
    )
    for name, terms, size, backward in _examples(strategy, 80):
        type_ = CATALOGUE[name]
        expected = ordered(world, type_, terms)
        assert await walk(demo, type_, terms, size, backward=backward) == expected, (name, terms, size, backward)


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "argument"),
    [
        ({"stage": None}, "where.stage"),
        ({"auc": {"lt": None}}, "where.auc.lt"),
        ({"and": [{"modelName": {"contains": None}}]}, "where.and[0].modelName.contains"),
        ({"modelName": {"eq": "a\x00b"}}, "where.modelName.eq"),
        ({"modelName": {"in": ["x"] * 1001}}, "where.modelName.in"),
        ({"experiment": {"models": {"some": {"auc": {"gt": None}}}}}, "where.experiment.models.some.auc.gt"),
        ({"hyperparameters": {"path": "$["}}, "where.hyperparameters.path"),
    ],
)
async def test_bad_filters_name_the_path(demo: Client, where: dict[str, Any], argument: str) -> None:
    error = await demo.error("query($w: ModelWhere) { models(where: $w) { nodes { id } } }", w=where)
    assert error["code"] == "BAD_USER_INPUT"
    assert error["extensions"]["argument"] == argument


@pytest.mark.parametrize(
    "step",
    [
        lambda inner: {"not": inner}, lambda inner: {"and": [inner]}, lambda inner: {"or": [inner]},
        lambda inner: {"parent": inner}, lambda inner: {"children": {"some": inner}},
    ],
    ids=["not", "and", "or", "one", "many"],
)  # fmt: skip
async def test_filters_have_a_depth(demo: Client, step: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Ten levels, whatever they are made of."""
    query = "query($w: ObservabilitySpanWhere) { observabilitySpans(first: 1, where: $w) { nodes { id } } }"
    where: dict[str, Any] = {}
    for _ in range(10):
        where = step(where)
    assert "nested too deeply" not in (await demo.post(query, w=where)).text
    error = await demo.error(query, w=step(where))
    assert (error["code"], "nested too deeply" in error["message"]) == ("BAD_USER_INPUT", True)


@pytest.mark.parametrize(
    ("order", "argument"),
    [
        ([{"direction": "ASC"}], "orderBy[0]"),
        ([{"field": "AUC", "experiment": {"field": "BRAND"}}], "orderBy[0]"),
        ([{"field": "AUC"}, {"field": "AUC", "direction": "DESC"}], "orderBy[1]"),
        ([{"field": "AUC"}] * 9, "orderBy"),
    ],
)
async def test_bad_orders_name_the_term(demo: Client, order: list[Any], argument: str) -> None:
    error = await demo.error("query($o: [ModelOrder!]) { models(orderBy: $o) { nodes { id } } }", o=order)
    assert (error["code"], error["extensions"]["argument"]) == ("BAD_USER_INPUT", argument)


async def test_a_cursor_of_another_order_is_refused(demo: Client) -> None:
    data = await demo.data("{ models(first: 1, orderBy: [{field: AUC}]) { pageInfo { endCursor } } }")
    cursor = data["models"]["pageInfo"]["endCursor"]
    error = await demo.error("query($c: String) { models(first: 1, after: $c) { nodes { id } } }", c=cursor)
    assert (error["code"], "another order" in error["message"]) == ("INVALID_CURSOR", True)


async def test_unknown_fields_and_wrong_types_are_validation_errors(demo: Client) -> None:
    for where in ("{ stagee: { eq: PRODUCTION } }", '{ stage: { eq: "production" } }', "{ auc: { contains: 1 } }"):
        response = await demo.post(f"{{ models(where: {where}) {{ nodes {{ id }} }} }}")
        assert response.status_code == 400
        assert response.json()["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_filters_and_orders_per_parent_stay_one_statement(demo: Client) -> None:
    answer = await demo.ask(
        "{ experiments(first: 5) { nodes { models(first: 2, where: { stage: { in: [PRODUCTION, SHADOW] }, deployments: "
        "{ some: { status: { eq: ACTIVE } } } }, orderBy: [{ experiment: { field: BRAND } }, { field: AUC, direction: "
        "DESC }]) { totalCount nodes { stage auc } } } } }"
    )
    assert answer["extensions"]["cost"]["statements"] == demo.statements(3)
    assert "errors" not in answer

"""Values as clients write them and databases hold them: numbers with all their digits, nulls inside JSON, times at the
edges, labels that the database lacks. All of it over HTTP, with either executor."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
from graphql import (
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)

from schema.schema import build
from tests.support.changing import add, deployed, model_in, uuid_of
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect
from tests.support.executors import EXECUTORS

pytestmark = pytest.mark.slow

LONG_SEED = "12345678901234567890123"
LONG_FRACTION = "0.1234567890123456789"


@pytest.fixture(scope="module")
async def changed_database(demo_template: Database, clone: Clone) -> AsyncIterator[Database]:
    """The demo data with one model and three twins' simulations at the edges of what columns hold."""
    async with clone(demo_template) as copy:
        sql = await connect(copy.admin_url)
        await sql.execute("UPDATE ml_model_registry SET hyperparameters = '{}' WHERE hyperparameters IS NULL")
        keys = [row[0] for row in await sql.fetch("SELECT id FROM ml_model_registry ORDER BY id LIMIT 6")]
        for key, text in zip(
            keys,
            [f'{{"seed": {LONG_SEED}}}', f'{{"rate": {LONG_FRACTION}}}', "null", '{"a": null}', None, "[null, 1]"],
            strict=True,
        ):
            await sql.execute("UPDATE ml_model_registry SET hyperparameters = $2::text::jsonb WHERE id = $1", key, text)
        await sql.close()
        yield copy


@pytest.fixture(scope="module", params=EXECUTORS)
async def graph(request: pytest.FixtureRequest, changed_database: Database) -> AsyncIterator[Client]:
    async with serving(changed_database.gateway_url, compiler=request.param) as client:
        yield client


async def raw(client: Client, query: str, variables: str) -> dict[str, Any]:
    """The answer to a body whose variables are written by hand."""
    body = f'{{"query": {json.dumps(query)}, "variables": {variables}}}'
    response = await client.http.post("/graphql", content=body, headers={"content-type": "application/json"})
    answer: dict[str, Any] = response.json()
    return answer


# -- numbers -----------------------------------------------------------------------------------------------------------

COUNT = "query($w: ModelWhere) { models(where: $w) { totalCount } }"
NEAR = {
    f'{{"seed": {LONG_SEED}}}': 1,
    '{"seed": 12345678901234567890124}': 0,
    '{"seed": 1.2345678901234567890123e22}': 1,
    f'{{"rate": {LONG_FRACTION}}}': 1,
    '{"rate": 0.1234567890123456788}': 0,
    '{"rate": 0.12345678901234568}': 0,
    '{"rate": 0.123456789012345678900}': 1,
}


@pytest.mark.parametrize("text", NEAR)
async def test_json_is_compared_with_all_its_digits(graph: Client, text: str) -> None:
    found = await raw(graph, COUNT, f'{{"w": {{"hyperparameters": {{"contains": {text}}}}}}}')
    assert found["data"] == {"models": {"totalCount": NEAR[text]}}
    name, number = json.loads(text, parse_float=str, parse_int=str).popitem()
    literal = f"{{ models(where: {{hyperparameters: {{contains: {{{name}: {number}}}}}}}) {{ totalCount }} }}"
    assert await graph.data(literal) == {"models": {"totalCount": NEAR[text]}}
    one = await raw(
        graph,
        f"query($n: JSON) {{ models(where: {{hyperparameters: {{contains: {{{name}: $n}}}}}}) {{ totalCount }} }}",
        f'{{"n": {number}}}',
    )
    assert one["data"] == {"models": {"totalCount": NEAR[text]}}


async def test_digits_are_kept_in_a_url_and_in_a_batch(changed_database: Database) -> None:
    variables = f'{{"w": {{"hyperparameters": {{"contains": {{"seed": {LONG_SEED}}}}}}}}}'
    async with serving(changed_database.gateway_url, max_batch=2) as client:
        response = await client.http.get(f"/graphql?query={quote(COUNT)}&variables={quote(variables)}")
        assert response.json()["data"] == {"models": {"totalCount": 1}}
        one = f'{{"query": {json.dumps(COUNT)}, "variables": {variables}}}'
        response = await client.http.post(
            "/graphql", content=f"[{one}, {one}]", headers={"content-type": "application/json"}
        )
        assert [answer["data"] for answer in response.json()] == [{"models": {"totalCount": 1}}] * 2


@pytest.mark.parametrize("levels", [300, 900])
async def test_digits_below_many_levels_are_refused_by_their_depth(graph: Client, levels: int) -> None:
    """JSON is read to a depth in which it can no longer be written."""
    answer = await raw(
        graph, COUNT, '{"w": {"hyperparameters": {"contains": ' + "[" * levels + "1.10" + "]" * levels + "}}}"
    )
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "VALUE_DEPTH_LIMIT"


async def test_numeric_columns_are_compared_exactly(graph: Client) -> None:
    """NUMERIC holds 0.8 itself; a double would be a little more or less than the text."""
    model = (await graph.data("{ models(first: 1, where: {auc: {gt: 0}}) { nodes { id auc } } }"))["models"]["nodes"][0]
    count = "query($w: ModelWhere) { models(where: $w) { totalCount } }"
    same = f'"rowId": {{"eq": "{model["id"].split(":")[1]}"}}'
    for text, found in ((f"{model['auc']}", 1), (f"{model['auc']}0000000000000000000001", 0)):
        answer = await raw(graph, count, f'{{"w": {{{same}, "auc": {{"gte": {text}}}}}}}')
        assert answer["data"] == {"models": {"totalCount": found}}
        literal = f"{{ models(where: {{rowId: {{eq: {json.dumps(model['id'].split(':')[1])}}}, auc: {{gte: {text}}}}})"
        assert await graph.data(f"{literal} {{ totalCount }} }}") == {"models": {"totalCount": found}}


TOO_LARGE = [
    ("query($w: ModelWhere) { models(where: $w) { totalCount } }", '{"w": {"hyperparameters": {"contains": [1e400]}}}'),
    ("query($w: ModelWhere) { models(where: $w) { totalCount } }", '{"w": {"auc": {"lt": -1e400}}}'),
    ("query($w: ModelWhere) { models(where: $w) { totalCount } }", f'{{"w": {{"auc": {{"lt": {"9" * 5000}}}}}}}'),
    ("{ models(where: {hyperparameters: {contains: [1e400]}}) { totalCount } }", "{}"),
    ("{ models(where: {auc: {lt: -1e400}}) { totalCount } }", "{}"),
    (
        "query($w: ModelWhere) { models(where: $w) { totalCount } }",
        f'{{"w": {{"hyperparameters": {{"contains": {"9" * 309}}}}}}}',
    ),
    (f"{{ models(where: {{hyperparameters: {{contains: [-{'9' * 309}]}}}}) {{ totalCount }} }}", "{}"),
    (f"{{ models(where: {{auc: {{lt: {'9' * 400}}}}}) {{ totalCount }} }}", "{}"),
]


@pytest.mark.parametrize(("query", "variables"), TOO_LARGE)
async def test_numbers_beyond_every_double_are_refused_where_they_stand(
    graph: Client, query: str, variables: str
) -> None:
    answer = await raw(graph, query, variables)
    (error,) = answer["errors"]
    assert "is out of range" in error["message"]
    assert ("9" * 39 in error["message"]) == ("\u2026" in error["message"]), "a number that is cut says so"
    assert error["extensions"]["code"] in {"BAD_REQUEST", "GRAPHQL_VALIDATION_FAILED"}
    place = error["message"] + error["extensions"].get("argument", "")
    assert "hyperparameters.contains" in place or "auc.lt" in place


async def test_too_small_numbers_are_refused(graph: Client) -> None:
    for query, variables in (
        ("query($w: ModelWhere) { models(where: $w) { totalCount } }", '{"w": {"auc": {"lt": 1e-400}}}'),
        ("{ models(where: {auc: {lt: 1e-400}}) { totalCount } }", "{}"),
    ):
        (error,) = (await raw(graph, query, variables))["errors"]
        assert "1e-400 is out of range" in error["message"]


async def test_integers_are_integers(graph: Client) -> None:
    for text, said in (
        ("2147483648", "2147483648 is not a 32-bit integer"),
        (LONG_SEED, f"{LONG_SEED} is not a 32-bit integer"),
        ("1.5", "1.5 is not a 32-bit integer"),
        ("true", "true is not a 32-bit integer"),
    ):
        query = "query($n: Int) { models(first: $n) { totalCount } }"
        (error,) = (await raw(graph, query, f'{{"n": {text}}}'))["errors"]
        assert said in error["message"]
        assert error["extensions"] == {"argument": "$n", "code": "BAD_USER_INPUT"}
    assert (await raw(graph, "query($n: Int) { models(first: $n) { totalCount } }", '{"n": 1.0}'))["data"]
    big = "query($w: ActiveAlertsSummaryWhere) { activeAlertsSummaries(where: $w) { totalCount } }"
    (error,) = (await raw(graph, big, '{"w": {"totalActive": {"lt": 9223372036854775808}}}'))["errors"]
    assert "9223372036854775808 is not a 64-bit integer" in error["message"]
    assert (await raw(graph, big, '{"w": {"totalActive": {"lt": 9223372036854775807}}}'))["data"]


async def test_mutations_store_and_tell_apart_all_digits(database: Database, sql: asyncpg.Connection) -> None:
    """Two inputs that differ in a digit beyond a double's are two changes to an idempotency key."""
    tool = await sql.fetchval(
        "INSERT INTO tool_registry (name, description, category, source_agent) VALUES ('t', 'd', 'CAUSAL', 'x') "
        "RETURNING tool_id"
    )
    episode = await sql.fetchval(
        "INSERT INTO composer_episodes (composition_id, query_text, total_latency_ms) VALUES ('c', 'q', 0) "
        "RETURNING episode_id"
    )
    step = await sql.fetchval(
        "INSERT INTO composition_steps (episode_id, step_number, step_name, tool_id, tool_name) "
        "VALUES ($1, 1, 's', $2, 't') RETURNING step_id",
        episode,
        tool,
    )
    query = """mutation($input: MoveStepInput!) { change: moveStep(input: $input) {
        __typename ... on Problem { message } ... on TransitionApplied { replayed } } }"""

    def asked(number: str) -> str:
        return (
            f'{{"input": {{"id": "{step}", "to": "EXECUTING", "idempotencyKey": "k", '
            f'"outputResult": {{"seed": {number}}}}}}}'
        )

    async with serving(database.gateway_url) as client:
        first = await raw(client, query, asked(LONG_SEED))
        assert first["data"]["change"] == {"__typename": "TransitionApplied", "replayed": False}, first
        stored = "SELECT output_result::text FROM composition_steps WHERE step_id = $1"
        assert await sql.fetchval(stored, step) == f'{{"seed": {LONG_SEED}}}'
        again = await raw(client, query, asked(LONG_SEED))
        assert again["data"]["change"] == {"__typename": "TransitionApplied", "replayed": True}
        other = await raw(client, query, asked("12345678901234567890124"))
        assert other["data"]["change"]["__typename"] == "InvalidInput"

        def literal(number: str) -> str:
            input_ = f'id: "{step}", to: EXECUTING, idempotencyKey: "k", outputResult: {{seed: {number}}}'
            return query.replace("($input: MoveStepInput!)", "").replace("$input", f"{{{input_}}}")

        assert (await client.data(literal(LONG_SEED)))["change"]["replayed"] is True, "the same input, as a literal"
        other = await client.data(literal("12345678901234567890124"))
        assert other["change"]["__typename"] == "InvalidInput"


ROW = "mutation{asks} {{ change: recordServingMetrics(input: {{rows: [{row}]}}) {{ __typename }} }}"


async def test_recorded_rows_store_all_digits(database: Database, sql: asyncpg.Connection) -> None:
    service = await add(sql, "ml_bentoml_services")
    async with serving(database.gateway_url) as client:
        for number in (LONG_SEED, LONG_FRACTION, "1" * 308, "1" * 309):
            await sql.execute("DELETE FROM ml_bentoml_serving_metrics")
            row = f'{{service: {{id: "{service}"}}, errorTypes: %s}}'
            await client.data(ROW.format(asks="", row=row % f"{{a: {number}}}"))
            for asks, variables in (
                ("($v: JSON)", f'{{"v": {{"a": {number}}}}}'),
                ("($n: JSON)", f'{{"n": {number}}}'),
            ):
                value = "$v" if "$v" in asks else "{a: $n}"
                answer = await raw(client, ROW.format(asks=asks, row=row % value), variables)
                assert "errors" not in answer
            stored = await sql.fetch("SELECT error_types::text FROM ml_bentoml_serving_metrics")
            assert [one[0] for one in stored] == [f'{{"a": {number}}}'] * 3
            shown = await client.post("{ servingMetrics(first: 3) { nodes { errorTypes } } }")
            assert shown.text.count(number) == 3


STEP = 'moveStep(input: {id: "00000000-0000-4000-8000-000000000000", to: EXECUTING, %s}) { __typename }'
METRIC = 'recordServingMetrics(input: {rows: [{service: {id: "00000000-0000-4000-8000-000000000000"}, %s}]})'


@pytest.mark.parametrize("text", ["1e400", "-1e400", "9" * 309])
@pytest.mark.parametrize(
    ("change", "field", "type_", "argument"),
    [
        (STEP, "outputResult", "JSON", "input.outputResult"),
        (STEP, "latencyMs", "Float", "input.latencyMs"),
        (f"{METRIC} {{ __typename }}", "errorTypes", "JSON", "input.rows[0].errorTypes"),
        (f"{METRIC} {{ __typename }}", "errorRate", "Float", "input.rows[0].errorRate"),
    ],
)
async def test_changes_refuse_numbers_beyond_every_double(
    graph: Client, text: str, change: str, field: str, type_: str, argument: str
) -> None:
    """As a literal, a variable, and inside JSON: none is stored as Infinity or null."""
    (error,) = (await graph.ask(f"mutation {{ {change % f'{field}: {text}'} }}"))["errors"]
    assert "is out of range" in error["message"]
    assert (error["extensions"]["code"], error["extensions"]["argument"]) == ("GRAPHQL_VALIDATION_FAILED", argument)
    query = f"mutation($v: {type_}) {{ {change % f'{field}: $v'} }}"
    for value, at in ((text, "variables.v"), (f'{{"a": [{text}]}}', "variables.v.a[0]")):
        (error,) = (await raw(graph, query, f'{{"v": {value}}}'))["errors"]
        assert error["extensions"]["code"] == "BAD_REQUEST"
        assert f"at {at} is out of range" in error["message"]
    if type_ == "JSON":
        (error,) = (await graph.ask(f"mutation {{ {change % f'{field}: {{a: [{text}]}}'} }}"))["errors"]
        assert "is out of range" in error["message"]


# -- null inside JSON --------------------------------------------------------------------------------------------------


async def test_null_inside_json_is_null(graph: Client) -> None:
    nodes = "nodes { hyperparameters }"
    found = await graph.data(f"{{ models(where: {{hyperparameters: {{isNull: true}}}}) {{ totalCount {nodes} }} }}")
    assert found["models"] == {"totalCount": 2, "nodes": [{"hyperparameters": None}] * 2}
    rest = await graph.data(f"{{ models(where: {{hyperparameters: {{isNull: false}}}}) {{ totalCount {nodes} }} }}")
    assert all(node["hyperparameters"] is not None for node in rest["models"]["nodes"])
    every = (await graph.data("{ models { totalCount } }"))["models"]["totalCount"]
    assert rest["models"]["totalCount"] == every - 2
    not_null = "{ models(where: {not: {hyperparameters: {isNull: true}}}) { totalCount } }"
    assert (await graph.data(not_null))["models"]["totalCount"] == every - 2
    inside = "{ models(where: {hyperparameters: {contains: {a: null}}}) { totalCount } }"
    assert (await graph.data(inside))["models"]["totalCount"] == 1


async def test_columns_of_json_are_filtered_like_those_of_jsonb(database: Database, sql: asyncpg.Connection) -> None:
    """The platform's are all jsonb; another database may have the other type."""
    model = uuid_of(await model_in(sql, "staging"))
    await sql.execute("ALTER TABLE ml_model_registry ALTER COLUMN hyperparameters DROP DEFAULT")
    await sql.execute("ALTER TABLE ml_model_registry ALTER COLUMN hyperparameters TYPE json")
    wanted = {
        "null": {"isNull: true"},
        None: {"isNull: true"},
        '{"a": null, "a": 1}': {"isNull: false", 'hasKey: "a"', "contains: {a: 1}", 'path: "$.a"'},
    }
    for compiler in (True, False):
        async with serving(database.gateway_url, compiler=compiler) as client:
            for text, operators in wanted.items():
                await sql.execute(
                    "UPDATE ml_model_registry SET hyperparameters = $2::text::json WHERE id = $1", model, text
                )
                for one in {operator for some in wanted.values() for operator in some}:
                    found = await client.data(f"{{ models(where: {{hyperparameters: {{{one}}}}}) {{ totalCount }} }}")
                    assert found["models"]["totalCount"] == (one in operators), (text, one)


# -- times -------------------------------------------------------------------------------------------------------------

AFTER = "query($t: DateTime) { models(where: {trainedAt: {gt: $t}}) { totalCount } }"


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31t12:00:00z",
        "2026-01-31T12:00:00.123456Z",
        "2026-01-31T12:00:00.1234560000Z",
        "2026-01-31T12:00:00-00:00",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00-14:00",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59.999999+14:00",
    ],
)
async def test_times_that_are_read(graph: Client, text: str) -> None:
    await graph.data(AFTER, t=text)
    await graph.data(f'{{ models(where: {{trainedAt: {{gt: "{text}"}}}}) {{ totalCount }} }}')


EDGES = ("0001-01-01", "9999-12-31")
OVER = ("0001-12-31 BC", "10000-01-01")


async def test_times_at_the_edges_are_answered(database: Database, sql: asyncpg.Connection) -> None:
    """The first and the last that a client can read; one day further, the field alone is an error."""
    review = await add(sql, "expert_reviews")
    query = "query($id: ID!) { expertReview(id: $id) { validUntil createdAt } }"
    for compiler in (True, False):
        async with serving(database.gateway_url, compiler=compiler) as client:
            for day, time in zip(EDGES, ("00:00:00.000000", "23:59:59.999999"), strict=True):
                await sql.execute(
                    "UPDATE expert_reviews SET valid_from = NULL, valid_until = $1::text::date, "
                    "created_at = $2::text::timestamptz",
                    day, f"{day} {time}+00",
                )  # fmt: skip
                found = await client.data(query, id=str(review))
                assert found["expertReview"] == {"validUntil": day, "createdAt": f"{day}T{time}Z"}
            for day in OVER:
                await sql.execute(
                    "UPDATE expert_reviews SET valid_from = NULL, valid_until = $1::text::date, "
                    "created_at = $1::text::timestamptz",
                    day,
                )
                answer = await client.ask(query, id=str(review))
                assert answer["data"]["expertReview"] == {"validUntil": None, "createdAt": None}
                assert len(answer["errors"]) == 2


REFUSED_TIMES = {
    "0001-01-01T00:00:00+00:01": "outside the years 1 to 9999 in UTC",
    "9999-12-31T23:59:59-00:01": "outside the years 1 to 9999 in UTC",
    "0000-06-01T00:00:00Z": "is not a valid time",
    "2026-01-31T12:00:00.1234567Z": "more precise than a microsecond",
    "2026-01-31T23:59:60Z": "leap second",
    "2026-01-31T24:00:00Z": "is not an RFC 3339 time",
    "2026-02-30T00:00:00Z": "is not a valid time",
    "2026-01-31T12:60:00Z": "is not a valid time",
    "2026-01-31T12:00:00+24:00": "is not a valid time",
    "2026-01-31T12:00:00+00:60": "is not an RFC 3339 time",
    "2026-01-31T12:00:00-01:99": "is not an RFC 3339 time",
    "2026-01-31T12:00:00": "is not an RFC 3339 time",
    "2026-01-31": "is not an RFC 3339 time",
    "20260131T120000Z": "is not an RFC 3339 time",
    "2026-W05-6T12:00:00Z": "is not an RFC 3339 time",
    "2026-01-31T12:00:00,5Z": "is not an RFC 3339 time",
    "٢٠٢٦-01-31T12:00:00Z": "is not an RFC 3339 time",
    "infinity": "is not an RFC 3339 time",
    "": "is not an RFC 3339 time",
}


@pytest.mark.parametrize("text", REFUSED_TIMES)
async def test_times_that_are_refused(graph: Client, text: str) -> None:
    error = await graph.error(AFTER, t=text)
    assert (error["code"], error["extensions"]["argument"]) == ("BAD_USER_INPUT", "$t")
    assert REFUSED_TIMES[text] in error["message"]
    assert error["locations"]
    for field, argument in (
        ('models(where: {trainedAt: {in: ["2026-01-01T00:00:00Z", "#"]}}) { totalCount }', "where.trainedAt.in[1]"),
        ('lineage(from: ["Model:x"], since: "#") { complete }', "since"),
    ):
        error = await graph.error(f"{{ {field.replace('#', text)} }}")
        assert (error["code"], error["extensions"]["argument"]) == ("GRAPHQL_VALIDATION_FAILED", argument)
        assert REFUSED_TIMES[text] in error["message"]
        assert error["locations"]


Path = list[str | int]


def times_below(type_: Any, path: Path, seen: set[str]) -> Iterator[Path]:
    """The paths of the times in a value; of each type of inputs once."""
    if isinstance(type_, GraphQLNonNull):
        yield from times_below(type_.of_type, path, seen)
    elif isinstance(type_, GraphQLList):
        yield from times_below(type_.of_type, [*path, 0], seen)
    elif isinstance(type_, GraphQLInputObjectType) and type_.name not in seen:
        seen.add(type_.name)
        for name, field in type_.fields.items():
            yield from times_below(field.type, [*path, name], seen)
    elif getattr(type_, "name", "") == "DateTime":
        yield path


def places_of_times() -> Iterator[tuple[str, str, Path]]:
    """Each argument and field of an input that takes a time: the operation with ``#`` for the value of its argument,
    the argument's type and the variables for what else the field needs, and the path of the time."""
    schema = build().graphql
    interface = schema.type_map["Node"]
    assert schema.query_type
    assert schema.mutation_type
    assert isinstance(interface, GraphQLInterfaceType)
    roots = [(schema.query_type, "query#{ %s }"), (schema.mutation_type, "mutation#{ %s }")]
    rows = schema.get_possible_types(interface)
    roots += [(row, f'query#{{ node(id: "x") {{ ... on {row.name} {{ %s }} }} }}') for row in rows]
    seen: set[str] = set()
    for type_, document in roots:
        for field_name, field in type_.fields.items():
            below = "" if is_leaf_type(get_named_type(field.type)) else "{ __typename }"
            needed = {one: argument.type for one, argument in field.args.items() if is_required_argument(argument)}
            for name, argument in field.args.items():
                others = "".join(f", {other}: ${other}" for other in needed if other != name)
                asks = "".join(f", ${other}: {type_}" for other, type_ in needed.items() if other != name)
                for path in times_below(argument.type, [name], seen):
                    operation = document % f"{field_name}({name}: #{others}) {below}"
                    yield operation, f"{argument.type}{asks}", path


def as_literal(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {as_literal(one)}" for name, one in value.items()) + "}"
    return "[" + as_literal(value[0]) + "]" if isinstance(value, list) else json.dumps(value)


async def test_every_argument_that_takes_a_time_reads_and_refuses_alike(demo: Client) -> None:
    refused = {text: said for text, said in REFUSED_TIMES.items() if "outside" in said or "precise" in said}
    read = ["2026-01-31t12:00:00z", "0001-01-01T00:00:00-14:00", "2026-01-31T12:00:00.1234560z"]
    places, unquoted = list(places_of_times()), set()
    assert len(places) > 90
    for place, (document, type_, path) in enumerate(places):
        shown = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
        (kind, _, rest), asks = document.partition("#"), type_.partition(", ")[2]
        for text in (list(refused)[place % len(refused)], read[place % len(read)]):
            if kind == "mutation" and text in read:
                continue  # the change would be made
            value: Any = text
            for step in reversed(path[1:]):
                value = [value] if isinstance(step, int) else {step: value}
            literal = await demo.ask(f"{kind}{f'({asks})' if asks else ''} {rest.replace('#', as_literal(value))}")
            variable = await demo.ask(f"{kind}($v: {type_}) {rest.replace('#', '$v')}", v=value)
            for answer, argument in ((literal, shown), (variable, shown.replace(str(path[0]), "$v", 1))):
                told = {one["extensions"].get("argument"): one["message"] for one in answer.get("errors", [])}
                if text in refused:
                    assert refused[text] in told.get(argument, ""), (document, path, text, answer)
                    unquoted.add(text not in told[argument])
                else:
                    assert argument not in told, (document, path, text, answer)
    assert unquoted == {True, False}, "times of fields that may be of a patient are not quoted, others are"


@pytest.mark.parametrize("text", ["20260131", "2026-W05-6", "2026-02-30", "0000-01-01", "10000-01-01", "infinity", "1"])
async def test_dates_that_are_refused(graph: Client, text: str) -> None:
    query = "query($d: Date) { expertReviews(where: {validUntil: {eq: $d}}) { totalCount } }"
    error = await graph.error(query, d=text)
    assert error["code"] == "BAD_USER_INPUT"
    assert "is not a date" in error["message"]


# -- labels that the database lacks ------------------------------------------------------------------------------------


async def test_a_label_that_the_database_lacks_equals_nothing(database: Database, sql: asyncpg.Connection) -> None:
    await deployed(sql, await model_in(sql, "staging"))
    await deployed(sql, await model_in(sql, "staging"), status="active")
    await sql.execute("UPDATE ml_deployments SET status = NULL WHERE status <> 'active'")
    await sql.execute("ALTER TYPE deployment_status_enum RENAME VALUE 'rolled_back' TO 'withdrawn'")
    filters = {
        "eq: ROLLED_BACK": 0, "ne: ROLLED_BACK": 2, "in: [ROLLED_BACK]": 0, "notIn: [ROLLED_BACK]": 2,
        "in: [ROLLED_BACK, ACTIVE]": 1, "notIn: [ROLLED_BACK, ACTIVE]": 1, "lt: ROLLED_BACK": 0, "gte: ROLLED_BACK": 0,
    }  # fmt: skip
    listed = "query($in: [DeploymentStatus!]) { deployments(where: {status: {in: $in}}) { totalCount } }"
    one = "query($w: DeploymentWhere) { deployments(where: $w) { totalCount } }"
    states = "lifecycle { state allowedTransitions { to blockedBy { code } } }"
    for compiler in (True, False):
        async with serving(database.gateway_url, compiler=compiler) as client:
            for text, wanted in filters.items():
                found = await client.data(f"{{ deployments(where: {{status: {{{text}}}}}) {{ totalCount }} }}")
                assert found["deployments"]["totalCount"] == wanted, text
            for some, wanted in ((["ROLLED_BACK"], 0), (["ACTIVE", "ROLLED_BACK"], 1)):
                assert (await client.data(listed, **{"in": some}))["deployments"]["totalCount"] == wanted
                where = {"status": {"notIn": some}}
                assert (await client.data(one, w=where))["deployments"]["totalCount"] == 2 - wanted
            for name, wanted in (("eq", 0), ("ne", 2)):
                where = {"status": {name: "ROLLED_BACK"}}
                assert (await client.data(one, w=where))["deployments"]["totalCount"] == wanted
            ordered = f"{{ deployments(orderBy: [{{field: STATUS}}]) {{ nodes {{ id status {states} }} }} }}"
            for node in (await client.data(ordered))["deployments"]["nodes"]:
                assert "ROLLED_BACK" not in [way["to"] for way in node["lifecycle"]["allowedTransitions"]]
            groups = "{ deployments { aggregate(groupBy: [{field: STATUS}]) { group { status } count } } }"
            assert len((await client.data(groups))["deployments"]["aggregate"]) == 2


async def test_no_change_leads_to_a_label_that_the_database_lacks(database: Database, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "staging")
    await sql.execute("ALTER TYPE model_stage_enum RENAME VALUE 'shadow' TO 'silent'")
    async with serving(database.gateway_url) as client:
        query = """mutation($id: ID!) { promoteModel(input: {id: $id, to: SHADOW}) {
            __typename ... on IllegalTransition { allowed } } }"""
        found = (await client.data(query, id=model))["promoteModel"]
        assert found["__typename"] == "IllegalTransition"
        assert "SHADOW" not in found["allowed"]

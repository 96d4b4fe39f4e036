"""Bad input: each a clear typed error that says what was wrong, where, and what would be right; never a traceback."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from schema.catalogue.from_models import catalogue
from schema.errors import GatewayError
from schema.graph.inputs import upper_snake
from schema.sql.arguments import parse_id
from schema.sql.cursors import signature
from schema.sql.orders import sortable
from tests.support.client import Client, serving
from tests.support.databases import Database, execute

UNKNOWN = "00000000-0000-0000-0000-000000000000"


def cursor(*parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("id_", "said"),
    [
        ("", "an id of Model looks like Model:<UUID>"),
        ("x", "'x' is not a UUID"),
        ("Model:", "is not a UUID"),
        ("Model:x", "'Model:x' is not a UUID"),
        (f"Model:{UNKNOWN}:1", "has 2 parts where the key has 1"),
        (f"Experiment:{UNKNOWN}", "is an id of Experiment; an id of Model is expected"),
        ("Model:\x00", "is not a UUID"),
        ("x" * 100_000, "is not a UUID"),
        ("🙂", "is not a UUID"),
    ],
)
async def test_malformed_ids(demo: Client, id_: str, said: str) -> None:
    error = await demo.error("query($id: ID!) { model(id: $id) { id } }", id=id_)
    assert error["code"] == "BAD_USER_INPUT"
    assert error["extensions"]["argument"] == "id"
    assert said in error["message"]
    assert len(error["message"]) < 400
    assert error["path"] == ["model"]


@pytest.mark.parametrize(
    ("root", "id_"),
    [
        ("cohortDefinition", "a\x00b"),
        ("cohortEligibilityLog", "9999999999"),
        ("cohortEligibilityLog", "1.5"),
        ("patientCohortAssignment", "only-one-part"),
        ("patientCohortAssignment", "a:b:c:d"),
        ("driftTrend7d", f"{UNKNOWN}:data:2026-02-30"),
    ],
)
async def test_malformed_ids_of_other_keys(demo: Client, root: str, id_: str) -> None:
    error = await demo.error(f"query($id: ID!) {{ {root}(id: $id) {{ id }} }}", id=id_)
    assert error["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    ("root", "id_"),
    [
        ("model", UNKNOWN),
        ("cohortDefinition", "nobody"),
        ("cohortDefinition", "%3A%25"),
        ("cohortEligibilityLog", "2147483647"),
        ("patientCohortAssignment", "a:b:c"),
        ("agentLatencySummary", "no-such-agent:ml_foundation"),
        ("driftStatus", f"{UNKNOWN}:no-such-type"),
    ],
)
async def test_unknown_keys_are_null_without_an_error(demo: Client, root: str, id_: str) -> None:
    assert await demo.data(f"query($id: ID!) {{ {root}(id: $id) {{ id }} }}", id=id_) == {root: None}


async def test_nodes_says_which_ids_name_no_type(demo: Client) -> None:
    for id_ in ("x", "Modl:1", UNKNOWN, ":", "Query:1", "__Type:1"):
        error = await demo.error("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=[f"Model:{UNKNOWN}", id_])
        assert (error["code"], error["extensions"]["argument"]) == ("BAD_USER_INPUT", "ids")
        assert error["path"] == ["nodes", 1]
        assert "names no type" in error["message"]


async def test_nodes_keeps_the_order_and_says_null(demo: Client) -> None:
    data = await demo.data("{ models(first: 2) { nodes { id } } experiments(first: 1) { nodes { id } } }")
    first, second = (node["id"] for node in data["models"]["nodes"])
    experiment = data["experiments"]["nodes"][0]["id"]
    ids = [second, experiment, f"Model:{UNKNOWN}", first, second]
    answer = await demo.ask("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids)
    assert [node and node["id"] for node in answer["data"]["nodes"]] == [second, experiment, None, first, second]
    assert answer["extensions"]["cost"]["statements"] == demo.statements(2)
    assert await demo.data("{ nodes(ids: []) { id } }") == {"nodes": []}


async def test_nodes_has_a_cap(demo: Client) -> None:
    ids = [f"Model:{UNKNOWN}"] * 1001
    error = await demo.error("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids)
    assert error["code"] == "BAD_USER_INPUT"
    assert "1000" in error["message"]


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ("first: -1", "first"),
        ("first: 1001", "first"),
        ("first: 2147483647", "first"),
        ("last: -1", "last"),
        ("last: 1001", "last"),
        ("first: 1, last: 1", "last"),
    ],
)
@pytest.mark.parametrize("place", ["{ PAGE }", "{ experiments(first: 1) { nodes { PAGE } } }"], ids=["root", "nested"])
async def test_page_arguments(demo: Client, arguments: str, argument: str, place: str) -> None:
    error = await demo.error(place.replace("PAGE", f"models({arguments}) {{ nodes {{ id }} }}"))
    assert (error["code"], error["extensions"]["argument"]) == ("BAD_USER_INPUT", argument)
    assert error["path"][-1] == "models"


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "x",
        "%%%",
        "🙂",
        "bnVsbA",
        cursor(),
        cursor("Experiment"),
        cursor("Experiment", "-created_at,-id", []),
        cursor("Experiment", "-created_at,-id", ["2026-01-01", 1]),
        cursor("Experiment", "-created_at,-id", ["not a time", UNKNOWN]),
        cursor("Experiment", "-created_at,-id", ["2026-01-01", "not a uuid"]),
        cursor("Experiment", "-created_at,-id", ["2026-01-01\x00", UNKNOWN]),
        cursor("Experiment", "-created_at,-id", [["2026-01-01"], UNKNOWN]),
        cursor("Experiment", "-created_at,-id", ["999999-01-01", UNKNOWN]),
        cursor("Experiment", "-created_at", ["2026-01-01", UNKNOWN]),
        cursor("Model", "-registered_at,-id", ["2026-01-01", UNKNOWN]),
        cursor({"a": 1}, None, 3),
        "A" * 200_000,
    ],
)
async def test_broken_and_foreign_cursors(demo: Client, bad: str) -> None:
    for argument, size in (("after", "first"), ("before", "last")):
        page = f"experiments({size}: 2, {argument}: $c) {{ nodes {{ id }} pageInfo {{ hasNextPage }} }}"
        query = f"query($c: String) {{ {page} }}"
        error = await demo.error(query, c=bad)
        assert (error["code"], error["extensions"]["argument"]) == ("INVALID_CURSOR", argument)
        assert "SELECT" not in error["message"]


WITHOUT_KEY = [
    type_.name
    for type_ in catalogue()
    if type_.is_view and type_.over is None and type_.plural in catalogue().roots and type_.name != "MetricComparison"
]
"""Rows whose keys may be null, as far as the gateway knows; the list of comparisons needs arguments."""


@pytest.mark.parametrize("name", [*WITHOUT_KEY, "Model", "ModelHealth"])
async def test_cursors_of_nulls_alone(demo: Client, name: str) -> None:
    """After nulls that are last in every term of an order nothing is; what has a key never has such a cursor."""
    type_ = catalogue()[name]
    for leaf in filter(sortable, type_.columns.values()):
        term = type_.order_term(leaf, descending=True)
        order = (term, *type_.key_order({term.name}, descending=True))
        nulls = cursor(name, signature(order), [None] * len(order))
        by = f"orderBy: [{{field: {upper_snake(leaf.name)}, direction: DESC}}]"
        after = f'{{ {type_.plural}(first: 2, {by}, after: "{nulls}") {{ nodes {{ __typename }} }} }}'
        before = after.replace("first", "last").replace("after", "before")
        if name in WITHOUT_KEY:
            assert await demo.data(after) == {type_.plural: {"nodes": []}}, leaf.name
            assert len((await demo.data(before))[type_.plural]["nodes"]) <= 2
        else:
            assert (await demo.error(after))["code"] == (await demo.error(before))["code"] == "INVALID_CURSOR"


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (cursor(None, "-registered_at,-id", []), "after: is not a cursor; pass an"),
        (cursor("Model", 1, []), "after: is not a cursor; pass an"),
        (cursor(chr(0), "-registered_at,-id", []), "after: is not a cursor; pass an"),
        (cursor("Model", "-registered_at", ["2026-01-01"]), "after: belongs to another order than this list's; pass"),
        (
            cursor("Model", "-registered_at,-id", ["2026-01-01"]),
            "after: has 1 values for the 2 terms of its order; pass",
        ),
        (cursor("Model", "-registered_at,-id", ["2026-01-01", None]), "after: holds null in a key, which no row has"),
    ],
)
async def test_what_is_wrong_with_a_cursor(demo: Client, bad: str, said: str) -> None:
    error = await demo.error("query($c: String) { models(after: $c) { nodes { id } } }", c=bad)
    assert (error["code"], error["message"][: len(said)]) == ("INVALID_CURSOR", said)


async def test_a_cursor_of_one_parent_works_below_another(demo: Client) -> None:
    """Cursors are tied to type and order, not to the parent: a client may page all parents from one place."""
    data = await demo.data("{ models(first: 1) { pageInfo { endCursor } } }")
    await demo.data(
        "query($c: String) { experiments(first: 2) { nodes { models(first: 1, after: $c) { nodes { id } "
        "pageInfo { hasNextPage hasPreviousPage } } } } }",
        c=data["models"]["pageInfo"]["endCursor"],
    )


def nested(times: int) -> str:
    return "{ experiments { nodes " + "{ models { nodes { experiment " * times + "{ id }" + "}}}" * times + "}}"


@pytest.mark.parametrize(
    ("query", "code", "limit"),
    [
        ("{" + " a: __typename" * 700 + "}", "TOKEN_LIMIT", 2000),
        ("{" + " ".join(f"a{i}: __typename" for i in range(201)) + "}", "ALIAS_LIMIT", 200),
        ("{ __typename " + "@skip(if: false) " * 101 + "}", "DIRECTIVE_LIMIT", 100),
        ("{" + " ".join(f"a{i}: __typename" for i in range(51)) + "}", "ROOT_FIELD_LIMIT", 50),
        (nested(9), "DEPTH_LIMIT", 25),
        (nested(70), "DEPTH_LIMIT", 25),
        ("{ experiments(first: 1000) { nodes { models(first: 1000) { nodes { deployments { totalCount } } } } } }",
         "COST_LIMIT", 1_000_000),
    ],
)  # fmt: skip
async def test_limits_refuse_before_any_sql(demo: Client, query: str, code: str, limit: int) -> None:
    response = await demo.post(query)
    assert response.status_code == 400
    error = response.json()["errors"][0]
    assert error["extensions"]["code"] == code
    assert error["extensions"]["limit"] == limit
    assert f"{limit:,}" in error["message"]


async def test_as_many_fields_as_the_limit_allows_are_answered(demo_database: Database) -> None:
    """`nodes` and what is selected of a row; by a fragment each counts where it is spread."""
    async with serving(demo_database.gateway_url, max_fields=20) as client:
        for text in (
            "{{ models(first: 1) {{ nodes {{ {} }} }} }}",
            "{{ models(first: 1) {{ nodes {{ ...F }} }} }} fragment F on Model {{ {} }}",
        ):
            fields = [f"f{place}: modelName" for place in range(20)]
            assert (await client.data(text.format(" ".join(fields[:19]))))["models"]["nodes"]
            error = await client.error(text.format(" ".join(fields)))
            assert (error["code"], error["extensions"]["limit"]) == ("FIELD_LIMIT", 20)


async def test_a_fragment_bomb_is_refused_quickly(demo: Client) -> None:
    fragments = " ".join(
        f"fragment F{i} on Experiment {{ models(first: 1) {{ nodes {{ a: experiment {{ ...F{i + 1} }} "
        f"b: experiment {{ ...F{i + 1} }} c: experiment {{ ...F{i + 1} }} d: experiment {{ ...F{i + 1} }} }} }} }}"
        for i in range(7)
    )
    response = await demo.post(
        f"{{ experiments(first: 1) {{ nodes {{ ...F0 }} }} }} {fragments} fragment F7 on Experiment {{ id }}"
    )
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "FIELD_LIMIT"


async def test_an_unused_part_costs_nothing(demo: Client) -> None:
    """What @skip leaves out is neither run nor counted; a selection that is skipped away is an empty object."""
    answer = await demo.ask("{ experiments(first: 1) { nodes { models @skip(if: true) { nodes { id } } } } }")
    assert answer["data"] == {"experiments": {"nodes": [{}]}}
    assert answer["extensions"]["cost"]["statements"] == demo.statements(1)


async def test_values_that_json_cannot_say_are_null_with_an_error(
    demo_template: Database, clone: Any, serve: Any
) -> None:
    async with clone(demo_template) as copy:
        await execute(
            copy.owner_url,
            "UPDATE ml_bentoml_serving_metrics SET p99_latency_ms = 'NaN', error_rate = 'Infinity'",
            "UPDATE ml_experiments SET created_at = 'infinity'",
            "UPDATE ml_experiments SET updated_at = '0044-03-15 BC'",
        )
        async with serve(copy) as client:
            answer = await client.ask(
                "{ servingMetrics(first: 2) { nodes { id p99LatencyMs errorRate avgLatencyMs } } "
                "experiments(first: 1) { nodes { createdAt experimentName } } }"
            )
        for node in answer["data"]["servingMetrics"]["nodes"]:
            assert (node["p99LatencyMs"], node["errorRate"]) == (None, None)
            assert node["avgLatencyMs"] is not None
        assert answer["data"]["experiments"]["nodes"][0]["createdAt"] is None
        assert answer["data"]["experiments"]["nodes"][0]["experimentName"]
        assert {error["extensions"]["code"] for error in answer["errors"]} == {"UNREPRESENTABLE_VALUE"}
        assert len(answer["errors"]) == 5
        assert answer["errors"][0]["extensions"]["column"].startswith("ml_")


@pytest.mark.slow
async def test_an_unknown_label_costs_its_field_alone(platform_template: Database, clone: Any, serve: Any) -> None:
    async with clone(platform_template) as copy:
        await execute(copy.admin_url, "UPDATE ml_monitoring_alerts SET status = 'snoozed'")
        async with serve(copy) as client:
            answer = await client.ask("{ monitoringAlerts(first: 1) { nodes { id title status } } }")
        node = answer["data"]["monitoringAlerts"]["nodes"][0]
        assert node["status"] is None
        assert node["title"]
        assert answer["errors"][0]["path"] == ["monitoringAlerts", "nodes", 0, "status"]
        assert "'snoozed'" in answer["errors"][0]["message"]


async def test_introspection_has_a_price(demo: Client) -> None:
    """A small query that would answer with hundreds of megabytes is refused; what tools send is answered (`http`)."""
    aliases = " ".join(f"a{i}: description" for i in range(150))
    bomb = f"{{ __schema {{ types {{ fields {{ type {{ fields {{ args {{ {aliases} }} }} }} }} }} }} }}"
    response = await demo.post(bomb)
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "INTROSPECTION_LIMIT"
    assert await demo.data('{ __type(name: "Model") { name fields { name description } } }')


CATALOGUE = catalogue()
UUID_ = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("name", sorted(type_.name for type_ in catalogue() if type_.is_node))
def test_a_uuid_is_a_key_of_those_types_alone_whose_key_may_be_one(name: str) -> None:
    """Bare and behind the name of the type; of another type it is refused by its words, never by the database."""
    type_ = CATALOGUE[name]
    for value in (UUID_, f"{name}:{UUID_}"):
        if type_.key_kinds in {("uuid",), ("text",)}:
            assert parse_id(CATALOGUE, "id", type_, value) == (UUID_,)
        else:
            with pytest.raises(GatewayError, match=f"an id of {name} looks like {name}:"):
                parse_id(CATALOGUE, "id", type_, value)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("@", "its syntax is wrong"),
        ('$ ? (@ like_regex "a" flag "z")', "its syntax is wrong"),
        ('$ ? (@ like_regex "a" flag "x")', "the flag x of like_regex is not supported"),
        ('$ ? (@ like_regex "(")', "a regular expression in it is invalid"),
        ("$ ? (@ > 1e-99999)", "a number in it is out of range"),
    ],
)
async def test_json_paths_are_refused_in_own_words(demo: Client, path: str, said: str) -> None:
    """On one line, whatever the language of the server's messages."""
    query = "query($path: String!) { models(where: {hyperparameters: {path: $path}}) { totalCount } }"
    error = await demo.error(query, path=path)
    assert error["message"].startswith(f"where.hyperparameters.path: is not an SQL/JSON path: {said}")
    assert error["message"].isascii()
    assert "\n" not in error["message"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": "where.hyperparameters.path"}

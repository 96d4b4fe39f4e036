"""Filters by a text that a column cannot have: a typed error with the words, wherever the text stands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from db.attach.catalog import words_of_check
from schema.names.words import closest
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, execute
from tests.support.executors import EXECUTORS

DEPLOYMENTS = "query($where: DeploymentWhere) { deployments(first: 1, where: $where) { totalCount } }"
ENVIRONMENTS = ["development", "staging", "production"]


@pytest.fixture(scope="module", params=EXECUTORS)
async def client(request: pytest.FixtureRequest, demo_database: Database) -> AsyncIterator[Client]:
    async with serving(demo_database.gateway_url, compiler=request.param) as client:
        yield client


@pytest.mark.parametrize(
    ("where", "argument"),
    [
        ('{environment: {eq: "Production"}}', "where.environment.eq"),
        ('{environment: {ne: "Production"}}', "where.environment.ne"),
        ('{environment: {in: ["staging", "Production"]}}', "where.environment.in"),
        ('{environment: {notIn: ["Production"]}}', "where.environment.notIn"),
        ('{and: [{status: {eq: ACTIVE}}, {not: {environment: {eq: "Production"}}}]}',
         "where.and[1].not.environment.eq"),
        ('{model: {services: {some: {environment: {eq: "Production"}}}}}',
         "where.model.services.some.environment.eq"),
    ],
)  # fmt: skip
async def test_a_word_outside_is_an_error_that_names_the_words(client: Client, where: str, argument: str) -> None:
    error = await client.error(f"{{ deployments(where: {where}) {{ nodes {{ id }} }} }}")
    assert error["code"] == "BAD_USER_INPUT"
    assert error["extensions"]["argument"] == argument
    assert error["extensions"]["values"] == ENVIRONMENTS
    assert "development, staging, production" in error["message"]
    assert error["message"].endswith("Did you mean 'production'?")


@pytest.mark.parametrize(
    "where",
    [
        {"environment": {"eq": "Production"}},
        {"environment": {"in": ["staging", "Production"]}},
        {"or": [{"environment": {"ne": "Production"}}]},
    ],
)
async def test_variables_are_checked_as_literals_are(client: Client, where: dict[str, Any]) -> None:
    error = await client.error(DEPLOYMENTS, where=where)
    assert error["code"] == "BAD_USER_INPUT"
    assert error["extensions"]["values"] == ENVIRONMENTS
    known = await client.data(DEPLOYMENTS, where={"environment": {"eq": "production"}})  # by the same plan
    assert known["deployments"]["totalCount"] > 0


async def test_a_variable_in_a_list_is_checked(client: Client) -> None:
    query = 'query($e: String!) { deployments(where: {environment: {in: ["staging", $e]}}) { totalCount } }'
    assert (await client.error(query, e="STAGING"))["extensions"]["argument"] == "where.environment.in"
    assert (await client.data(query, e="production"))["deployments"]["totalCount"] > 0


async def test_lists_below_a_row_and_aggregates_are_checked(client: Client) -> None:
    error = await client.error(
        '{ models(first: 1) { nodes { deployments(where: {environment: {eq: "x"}}) { totalCount } } } }'
    )
    assert error["extensions"]["values"] == ENVIRONMENTS
    assert "Did you mean" not in error["message"]
    error = await client.error('{ deployments(where: {environment: {eq: "prod"}}) { aggregate { count } } }')
    assert "Did you mean 'production'?" in error["message"]


async def test_one_row_by_such_a_key_is_checked(client: Client) -> None:
    query = '{ cohortDefinition(brand: "kisqali", indication: "x", version: "1") { id } }'
    error = await client.error(query)
    assert error["extensions"]["argument"] == "brand"
    assert "Did you mean 'Kisqali'?" in error["message"]
    assert (await client.data(query.replace("kisqali", "Kisqali")))["cohortDefinition"] is None


async def test_states_of_lifecycles_and_words_of_the_platform_are_known(client: Client) -> None:
    query = "query($s: String!) { retrainings(where: {status: {eq: $s}}) { totalCount } }"
    for state in ("pending", "rolled_back", "cancelled"):
        await client.data(query, s=state)
    assert (await client.error(query, s="Completed"))["message"].endswith("Did you mean 'completed'?")


async def test_null_parts_and_open_columns_are_not_asked_of_a_vocabulary(client: Client) -> None:
    for where in (
        "{environment: {eq: null}}",
        '{environment: {contains: "Prod"}}',
        '{environment: {like: "%ROD%"}}',
        '{environment: {gte: "Q"}}',
        "{environment: {isNull: true}}",
        '{deploymentName: {eq: "nothing of that name"}}',
    ):
        await client.data(f"{{ deployments(first: 1, where: {where}) {{ totalCount }} }}")


async def test_the_setting_lets_any_word_through(demo_database: Database) -> None:
    async with serving(demo_database.gateway_url, closed_vocabularies=False) as client:
        found = await client.data(DEPLOYMENTS, where={"environment": {"eq": "Production"}})
        assert found["deployments"]["totalCount"] == 0
        await client.data('{ cohortDefinition(brand: "kisqali", indication: "x", version: "1") { id } }')


async def test_what_the_database_lets_a_column_have_wins(template: Database, clone: Clone) -> None:
    """Its checks are read, also those that list other words; what they mean otherwise is not worked out."""
    checks = (
        "ALTER TABLE ml_deployments ADD CONSTRAINT own_words CHECK (environment IN ('dev', 'prod'))",
        "ALTER TABLE ml_bentoml_services ADD CONSTRAINT upper CHECK (environment = upper(environment))",
    )
    async with clone(template) as database:
        await execute(database.admin_url, "TRUNCATE ml_deployments, ml_bentoml_services CASCADE", *checks)
        async with serving(database.gateway_url) as client:
            await client.data(DEPLOYMENTS, where={"environment": {"eq": "prod"}})
            error = await client.error(DEPLOYMENTS, where={"environment": {"eq": "production"}})
            assert error["extensions"]["values"] == ["dev", "prod"]
            assert "Did you mean 'prod'?" in error["message"]
            services = "query($e: String!) { bentoServices(where: {environment: {eq: $e}}) { totalCount } }"
            assert (await client.error(services, e="PRODUCTION"))["extensions"]["values"] == ENVIRONMENTS


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("((s)::text = ANY ((ARRAY['a'::character varying, 'b c'::character varying])::text[]))", ("a", "b c")),
        ("(s = ANY (ARRAY['a'::text, 'it''s'::text]))", ("a", "it's")),
        ("((s = 'a'::text) OR (s = 'b'::text))", ("a", "b")),
        ("((s IS NULL) OR (s = 'a'::text))", ("a",)),
        ("((s)::text = 'a'::text)", ("a",)),
        ("((s)::text <> ALL (ARRAY['a'::text]))", ()),
        ("(s <> 'a'::text)", ()),
        ("(lower(s) = 'a'::text)", ()),
        ("((s = 'a'::text) AND (length(s) < 3))", ()),
        ("(NOT (s = 'a'::text))", ()),
        ("(s ~ 'a'::text)", ()),
        ("(s >= 'a'::text)", ()),
        ("(s = E'a\\\\b'::text)", ()),
    ],
)
def test_checks_that_list_words(check: str, words: tuple[str, ...]) -> None:
    assert words_of_check("s", check) == words


@pytest.mark.parametrize(
    ("word", "meant"),
    [("Production", "production"), ("PROD", "production"), ("stagng", "staging"), ("x", None), ("", None)],
)
def test_which_word_was_meant(word: str, meant: str | None) -> None:
    assert closest(word, ENVIRONMENTS) == meant

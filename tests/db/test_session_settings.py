"""What a role and a database set differently changes no answer: every connection is set to what the gateway means."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from db.embedded.server import GATEWAY_ROLE
from db.engine.connector import Connector
from db.engine.session import VALUES
from db.engine.url import database_url, target_of
from db.store.changelog import connect as listen
from tests.support.changing import change, model_in, state
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect, execute

pytestmark = pytest.mark.slow

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.graphql"))

WRONG = {
    "TimeZone": "Asia/Kathmandu",
    "timezone_abbreviations": "Australia",
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "xmlbinary": "hex",
    "xmloption": "document",
    "lc_monetary": "C.UTF-8",
    "lc_numeric": "C.UTF-8",
    "lc_time": "C.UTF-8",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "standard_conforming_strings": "off",
    "backslash_quote": "off",
    "quote_all_identifiers": "on",
    "gin_fuzzy_search_limit": "1",
    "row_security": "off",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "exit_on_error": "on",
    "search_path": "pg_catalog",
    "statement_timeout": "777",
    "jit": "on",
}
"""A value of each that would change an answer, or what is read."""


def test_every_setting_that_is_made_is_tried() -> None:
    assert set(VALUES) | {"statement_timeout", "jit"} == set(WRONG)


@asynccontextmanager
async def misleading(database: Database, whose: str) -> AsyncIterator[Database]:
    """A database whose every setting, or that of the gateway's role there, is another."""
    name = f"DATABASE {database.name}" if whose == "database" else f"ROLE {GATEWAY_ROLE} IN DATABASE {database.name}"
    made = [f"ALTER {name} SET {setting} TO {_quoted(setting, value)}" for setting, value in WRONG.items()]
    await execute(database.admin_url, *made)
    yield database
    await execute(database.server.admin_url, f"ALTER {name} RESET ALL")


@pytest.fixture(scope="module", params=["role", "database"])
async def misled(request: pytest.FixtureRequest, demo_template: Database, clone: Clone) -> AsyncIterator[Database]:
    """The demo data in such a database."""
    async with clone(demo_template) as copy, misleading(copy, request.param) as one:
        yield one


def _quoted(name: str, value: str) -> str:
    return value if name in {"DateStyle", "search_path"} else f"'{value}'"


@pytest.fixture(scope="module", params=[True, False], ids=["direct", "as through a pooler"])
async def client(request: pytest.FixtureRequest, misled: Database) -> AsyncIterator[Client]:
    async with serving(misled.gateway_url, prepared_statements=request.param) as one:
        yield one


async def test_the_settings_are_wrong(misled: Database) -> None:
    connection = await connect(misled.gateway_url)
    for name, value in WRONG.items():
        # the driver itself sets no more than the encoding
        assert (await connection.fetchval("SELECT current_setting($1)", name)).removesuffix("ms") == value
    await connection.close()


@pytest.mark.parametrize("path", GOLDEN, ids=[path.stem for path in GOLDEN])
async def test_answers_are_the_same(path: Path, demo: Client, client: Client) -> None:
    query = path.read_text()
    expected, found = await demo.ask(query), await client.ask(query)
    assert found.get("data") == expected.get("data")
    assert found.get("errors") == expected.get("errors")


async def test_pages_by_a_number_come_to_an_end(client: Client) -> None:
    """Digits that are cut off would lead a cursor back to the row that it was made of."""
    query = """query ($after: String) { servingMetrics(first: 100, after: $after, orderBy: [{field: P99_LATENCY_MS}]) {
        totalCount nodes { id } pageInfo { hasNextPage endCursor } } }"""
    seen: list[str] = []
    cursor = None
    while len(seen) < 600:
        page = (await client.data(query, after=cursor))["servingMetrics"]
        seen += [node["id"] for node in page["nodes"]]
        cursor = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert len(seen) == len(set(seen))


async def test_a_mistake_of_the_callers_costs_no_connection(client: Client) -> None:
    """What only the database can find wrong is the caller's error, and whoever shares the connection is answered."""
    for path in ('$.a ? (@ like_regex "(")', "$.a"):
        answer = await client.ask(
            "query($path: String!) { models(where: {hyperparameters: {path: $path}}) { totalCount } }", path=path
        )
        assert [error["extensions"]["code"] for error in answer.get("errors", ())] == ["BAD_USER_INPUT"] * ("(" in path)


@pytest.mark.parametrize("prepared", [True, False])
async def test_changes_are_made(database: Database, sql: asyncpg.Connection, prepared: bool) -> None:  # noqa: FBT001
    model = await model_in(sql, "development", model_name="o'brien \\ back")
    async with (
        misleading(database, "database"),
        misleading(database, "role"),
        serving(database.gateway_url, prepared_statements=prepared) as client,
    ):
        asked = {"id": model, "to": "STAGING", "idempotencyKey": f"k'{model}\\"}
        assert (await change(client, "promoteModel", **asked))["__typename"] == "TransitionApplied"
        assert (await change(client, "promoteModel", **asked))["replayed"] is True
        assert await state(sql, model) == ("staging", False)


@pytest.mark.parametrize("prepared", [True, False])
async def test_the_connection_that_listens_is_set_too(misled: Database, prepared: bool) -> None:  # noqa: FBT001
    connection: asyncpg.Connection = await listen(
        Connector(target_of(database_url(misled.gateway_url))), prepared_statements=prepared
    )
    names = ["TimeZone", "DateStyle", "IntervalStyle", "extra_float_digits", "search_path"]
    asked = "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
    assert list(await connection.fetchrow(asked)) == [VALUES[name] for name in names]
    await connection.close()

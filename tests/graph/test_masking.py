"""Whatever fails, an answer says what a client can act on, and nothing of SQL, tables, drivers, files or secrets."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any

import asyncpg
import httpx
import pytest

from db.embedded.server import GATEWAY_ROLE
from schema.runner import Execution
from tests.support.changing import change, events_of, model_in, state
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, execute
from tests.support.executors import EXECUTORS
from tests.support.foreign import SENTENCE, speaking_another_language

pytestmark = pytest.mark.slow

LEAKS = re.compile(
    r"\b(SELECT|INSERT|UPDATE|DELETE|FROM|WHERE|DETAIL|HINT|CONTEXT|SQLSTATE|LATERAL|pg_\w+|"
    r"asyncpg|sqlalchemy|psycopg|postgresql|asyncio|Traceback|Exception|Error)\b|"
    r"\bml_\w+|\bgateway\.\w+|secret|constraint|relation \"|violates|\.py\b|/(work|usr|tmp|home|root)/|line \d+",
)
CODES = re.compile(r'"code":"\w+"')


def scanned(response: httpx.Response) -> dict[str, Any]:
    """The body of an answer, which was looked through for what must not be in it; headers too."""
    text = CODES.sub("", response.text) + str(response.headers)
    assert not LEAKS.search(text), f"{LEAKS.search(text)} in {text[:2000]}"
    found: dict[str, Any] = response.json()
    return found


@pytest.fixture(params=["English", "another language"])
async def client(database: Database, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """A gateway, once on a server that speaks English and once on one that does not."""
    english = nullcontext(database.gateway_url)
    async with (
        english if request.param == "English" else speaking_another_language(database.gateway_url) as url,
        serving(url) as served,
    ):
        yield served


PROMOTE = """mutation($i: PromoteModelInput!) { promoteModel(input: $i) { __typename ... on Problem { code message }
  ... on TransitionBlocked { blockers { code message overridable } } } }"""


async def promoted(client: Client, model: str) -> dict[str, Any]:
    """The blocker of a promotion to staging that the database refuses."""
    answer = scanned(await client.post(PROMOTE, i={"id": model, "to": "STAGING"}))
    assert "errors" not in answer, answer
    result = answer["data"]["promoteModel"]
    assert result["__typename"] == "TransitionBlocked"
    (blocker,) = result["blockers"]
    assert blocker["overridable"] is False
    return dict(blocker)


CONSTRAINTS = {
    "NOT_UNIQUE": (
        "CREATE UNIQUE INDEX secret_index ON ml_model_registry (stage) WHERE stage = 'staging'",
        "there is another Model with the same stage already",
    ),
    "CHECK_FAILED": (
        "ALTER TABLE ml_model_registry ADD CONSTRAINT secret_check CHECK (stage <> 'staging') NOT VALID",
        "Model has a value that a check of the database does not allow",
    ),
    "NOT_EXCLUSIVE": (
        (
            "ALTER TABLE ml_model_registry ADD CONSTRAINT secret_other "
            "EXCLUDE USING btree (stage WITH =) WHERE (stage = 'staging')"
        ),
        "Model conflicts with another row on stage",
    ),
    "NO_SUCH_ROW": (
        (
            "CREATE TABLE secret_actors (name text PRIMARY KEY); ALTER TABLE gateway.lifecycle_events "
            "ADD CONSTRAINT secret_actor FOREIGN KEY (actor) REFERENCES secret_actors"
        ),
        "actor of LifecycleEvent names a row that does not exist",
    ),
    "STILL_REFERENCED": (
        (
            "CREATE TABLE secret_actors (name text PRIMARY KEY); INSERT INTO secret_actors VALUES ('old'); "
            "CREATE TABLE secret_users (actor text REFERENCES secret_actors); INSERT INTO secret_users VALUES ('old'); "
            "CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$ "
            "BEGIN DELETE FROM secret_actors; RETURN NEW; END $$; GRANT ALL ON secret_actors TO e2i_gateway; "
            "CREATE TRIGGER theirs BEFORE UPDATE ON ml_model_registry FOR EACH ROW EXECUTE FUNCTION theirs()"
        ),
        "other rows still refer to this one by name",
    ),
    "VALUE_MISSING": (
        (
            "ALTER TABLE gateway.lifecycle_events ADD COLUMN tenant text; "
            "ALTER TABLE gateway.lifecycle_events ALTER COLUMN tenant SET NOT NULL"
        ),
        "the database requires a value in tenant of LifecycleEvent, a column that the gateway does not know",
    ),
    "REFUSED_BY_DATABASE": (
        (
            "CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'frozen until Monday' USING DETAIL = 'secret', HINT = 'secret'; END $$; "
            "CREATE TRIGGER theirs BEFORE UPDATE ON ml_model_registry FOR EACH ROW EXECUTE FUNCTION theirs()"
        ),
        "the database does not allow it: frozen until Monday",
    ),
}


@pytest.mark.parametrize("code", CONSTRAINTS)
async def test_what_a_constraint_refuses_is_typed(
    client: Client, sql: asyncpg.Connection, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    caplog.set_level(logging.INFO, "gateway.changes")
    model = await model_in(sql, "development")
    if code in {"NOT_UNIQUE", "NOT_EXCLUSIVE"}:
        await model_in(sql, "staging")
    statement, said = CONSTRAINTS[code]
    await sql.execute(statement)
    blocker = await promoted(client, model)
    assert blocker["code"] == code
    assert said in blocker["message"]
    assert await state(sql, model) == ("development", False)
    assert await events_of(sql, model) == []
    # the log has all of it, in whatever language
    assert ("secret" in caplog.text) or SENTENCE in caplog.text or code == "VALUE_MISSING"


@pytest.mark.parametrize("state_", ["40001", "40P01"])
async def test_what_keeps_getting_in_the_way_is_a_conflict(
    client: Client, sql: asyncpg.Connection, state_: str
) -> None:
    model = await model_in(sql, "development")
    await sql.execute(f"""
        CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'could not serialize access to secret' USING ERRCODE = '{state_}'; END $$;
        CREATE TRIGGER theirs BEFORE UPDATE ON ml_model_registry FOR EACH ROW EXECUTE FUNCTION theirs();
    """)
    answer = scanned(await client.post(PROMOTE, i={"id": model, "to": "STAGING"}))
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["CONFLICT"]
    assert await state(sql, model) == ("development", False)


async def test_a_value_that_does_not_fit(client: Client, sql: asyncpg.Connection) -> None:
    await sql.execute("ALTER TABLE gateway.lifecycle_events ALTER COLUMN reason TYPE varchar(5)")
    model = await model_in(sql, "development")
    result = await change(client, "promoteModel", id=model, to="STAGING", reason="much too long")
    assert (result["__typename"], result["field"]) == ("InvalidInput", "input")
    assert not LEAKS.search(result["message"])


@pytest.mark.parametrize("right", ["UPDATE ON ml_model_registry", "INSERT ON gateway.lifecycle_events"])
async def test_what_the_role_may_not_write(client: Client, sql: asyncpg.Connection, right: str) -> None:
    model = await model_in(sql, "development")
    await sql.execute(f"REVOKE {right} FROM {GATEWAY_ROLE}")
    answer = scanned(await client.post(PROMOTE, i={"id": model, "to": "STAGING"}))
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["CHANGES_UNAVAILABLE"]


# -- reading -----------------------------------------------------------------------------------------------------------

READ = "{ activeAlertsSummaries { nodes { id } } }"


def view(body: str) -> str:
    rows = f"SELECT r.* FROM secret_view r, LATERAL ({body}) x (y) WHERE x.y IS NOT NULL"
    return f"CREATE OR REPLACE VIEW ml_monitoring_alerts AS {rows}"


FAILURES = {
    "UNREPRESENTABLE_VALUE": "SELECT 1 / (length(r::text) * 0)",
    "STATEMENT_TIMEOUT": "SELECT pg_sleep(20)",
}


@pytest.mark.parametrize("compiler", EXECUTORS)
@pytest.mark.parametrize("code", FAILURES)
async def test_what_fails_in_the_database_is_typed(
    demo_template: Database, clone: Clone, code: str, *, compiler: bool
) -> None:
    async with clone(demo_template) as copy:
        await execute(
            copy.owner_url,
            "ALTER TABLE ml_monitoring_alerts RENAME TO secret_view",
            view(FAILURES[code]),
            f"GRANT SELECT ON ml_monitoring_alerts TO {GATEWAY_ROLE}",
        )
        async with serving(copy.gateway_url, compiler=compiler, statement_timeout=0.5) as client:
            answer = scanned(await client.post(READ))
            assert {error["extensions"]["code"] for error in answer["errors"]} == {code}


@pytest.mark.parametrize("compiler", EXECUTORS)
async def test_what_the_role_may_not_read(demo_template: Database, clone: Clone, *, compiler: bool) -> None:
    async with clone(demo_template) as copy, serving(copy.gateway_url, compiler=compiler) as client:
        await execute(copy.owner_url, f"REVOKE SELECT ON ml_experiments FROM {GATEWAY_ROLE}")
        answer = scanned(await client.post("{ experiments(first: 1) { nodes { id } } }"))
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["MISSING_IN_DATABASE"]


async def test_a_database_that_is_not_there() -> None:
    async with serving("postgresql://secret:secret@127.0.0.1:1/secret") as client:
        response = await client.post("{ experiments(first: 1) { nodes { id } } }")
        assert response.status_code == 503
        assert [error["extensions"]["code"] for error in scanned(response)["errors"]] == ["DATABASE_UNAVAILABLE"]
        scanned(await client.http.get("/readyz"))


# -- faults of ours ----------------------------------------------------------------------------------------------------


class Broken(Exception):  # noqa: N818 - its name must not get out either
    pass


SECRET = "SELECT secret FROM /srv/secret.py"


async def test_a_fault_in_the_middle_is_masked_and_logged_in_full(
    demo_database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def run(*_: object) -> None:
        raise Broken(SECRET)

    monkeypatch.setattr(Execution, "run", run)
    async with serving(demo_database.gateway_url) as client:
        response = await client.post("{ experiments(first: 1) { nodes { id } } }")
        assert response.status_code == 500
        answer = scanned(response)
        (error,) = answer["errors"]
        assert error["extensions"] == {"code": "INTERNAL", "requestId": response.headers["x-request-id"]}
        assert response.headers["x-request-id"] in error["message"]
        assert "Broken" not in response.text
        (record,) = [one for one in caplog.records if one.exc_info]
        assert record.exc_info
        assert str(record.exc_info[1]) == SECRET


async def test_a_fault_of_one_field_costs_it_alone(
    demo_database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fault(*_: object, **__: object) -> None:
        raise Broken(SECRET)

    monkeypatch.setattr("schema.execution.loaders.Loaders.load", fault, raising=False)
    monkeypatch.setattr("db.engine.readers.ShortReader.fetch", fault)
    async with serving(demo_database.gateway_url, compiler=False) as client:
        response = await client.post("{ __typename experiments(first: 1) { nodes { id } } }")
        answer = scanned(response)
        assert answer["data"]["__typename"] == "Query"
        (error,) = answer["errors"]
        assert error["path"] == ["experiments"]
        assert error["extensions"]["requestId"] == response.headers["x-request-id"]
    assert any(record.exc_info for record in caplog.records)

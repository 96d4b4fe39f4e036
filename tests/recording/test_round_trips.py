"""What recording asks of the database: as few messages as there can be, and what they leave to the commit."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from tests.support.client import Client, serving
from tests.support.databases import Database
from tests.support.recording import write

pytestmark = pytest.mark.slow

LATE = """
    CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'too late'; END $$;
    CREATE CONSTRAINT TRIGGER late AFTER INSERT ON ml_experiments DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.experiment_name = 'late') EXECUTE FUNCTION late();
"""


@pytest.fixture
async def late(sql: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    """A superuser, who finds no trigger that refuses rows at the commit, and leaves none."""
    yield sql
    await sql.execute("DROP FUNCTION IF EXISTS late() CASCADE")


def experiment(name: str = "round trips") -> dict[str, Any]:
    return {"experimentName": name, "predictionTarget": "churned", "mlflowExperimentId": uuid.uuid4().hex}


async def messages_of(
    monkeypatch: pytest.MonkeyPatch, client: Client, marker: str, mutation: str = "createExperiment", **given: Any
) -> list[str]:
    """What is sent on the connection that a row is made on, in which a text occurs."""
    sent: list[tuple[int, str]] = []
    for name in ("execute", "fetch", "fetchval", "fetchrow"):
        plain = getattr(asyncpg.Connection, name)

        async def noted(self: Any, query: str, *args: Any, plain: Any = plain, **options: Any) -> Any:
            sent.append((self.get_server_pid(), " ".join(query.split())))
            return await plain(self, query, *args, **options)

        monkeypatch.setattr(asyncpg.Connection, name, noted)
    assert (await write(client, mutation, **given))["__typename"] == "Recorded"
    (process,) = {process for process, text in sent if marker in text}
    return [text for one, text in sent if one == process]


async def test_a_row_is_made_in_as_many_messages_as_by_hand(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The beginning, the row, its event, and the commit."""
    await write(client, "createExperiment", **experiment())
    begin, row, event, commit = await messages_of(monkeypatch, client, "INSERT INTO ml_experiments", **experiment())
    assert begin.split("; ") == [
        "BEGIN ISOLATION LEVEL READ COMMITTED",
        "SET LOCAL idle_in_transaction_session_timeout = '60s'",  # ends the locks of a process that is stopped
        "SAVEPOINT batch",
    ]
    assert row.startswith("WITH w AS (INSERT INTO ml_experiments")
    assert event.startswith("INSERT INTO gateway.lifecycle_events")
    assert "gateway.standing()" in event
    assert commit == "COMMIT;"


async def test_a_row_that_names_another_costs_a_message_and_a_savepoint(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That which looks for it; looking leaves nothing to be checked at the end."""
    named = experiment()
    await write(client, "createExperiment", **named)

    def run() -> dict[str, Any]:
        by = {"mlflowExperimentId": named["mlflowExperimentId"]}
        return {"experiment": by, "algorithm": "a", "trainingSamples": 1}

    await write(client, "createTrainingRun", **run())
    sent = await messages_of(monkeypatch, client, "INSERT INTO ml_training_runs", "createTrainingRun", **run())
    assert [text.split(" ")[0] for text in sent] == ["BEGIN", "SELECT", "SAVEPOINT", "WITH", "INSERT", "COMMIT;"]
    assert "ml_experiments" in sent[1]


async def test_a_key_costs_two_messages_and_a_savepoint(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    await write(client, "createExperiment", **experiment())
    given = {**experiment(), "idempotencyKey": uuid.uuid4().hex}
    sent = await messages_of(monkeypatch, client, "INSERT INTO ml_experiments", **given)
    assert [text.split(" ")[0] for text in sent] == [
        "BEGIN",
        "WITH",
        "SAVEPOINT",
        "WITH",
        "INSERT",
        "UPDATE",
        "COMMIT;",
    ]


async def test_what_a_table_leaves_to_the_commit_is_checked_before(own: Database, late: asyncpg.Connection) -> None:
    """It is a problem of the row, as what is checked at once is."""
    await late.execute(LATE)
    async with serving(own.gateway_url) as client:
        refused = await write(client, "createExperiment", **experiment("late"))
        assert (refused["__typename"], refused["rows"][0]["message"]) == (
            "RowsRejected", "the database does not allow it: too late",
        )  # fmt: skip
        assert (await write(client, "createExperiment", **experiment()))["__typename"] == "Recorded"
    assert not await late.fetchval("SELECT count(*) FROM ml_experiments WHERE experiment_name = 'late'")


async def test_what_a_table_has_learned_to_leave_to_the_commit_fails_there(
    own: Database, late: asyncpg.Connection
) -> None:
    """A trigger that was added a moment ago: nothing is made, and the error says so."""
    async with serving(own.gateway_url) as client:
        await write(client, "createExperiment", **experiment())
        await late.execute(LATE)
        answer = await client.ask(
            "mutation($i: CreateExperimentInput!) { createExperiment(input: $i) { __typename } }", i=experiment("late")
        )
    (error,) = answer["errors"]
    assert (answer["data"], error["extensions"]["code"]) == ({"createExperiment": None}, "CONFLICT")
    assert error["message"].endswith("nothing was changed: too late")
    assert not await late.fetchval("SELECT count(*) FROM ml_experiments WHERE experiment_name = 'late'")

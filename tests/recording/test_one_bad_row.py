"""One row of 10,000 is wrong, in each way there is: it is named with its exact path, and nothing is written."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from tests.support.changing import add
from tests.support.client import Client
from tests.support.databases import Database, connect

pytestmark = pytest.mark.slow

ROWS, BAD = 10_000, 7_777

RULES = """
    CREATE FUNCTION picky() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.duration_seconds = 13 THEN RAISE EXCEPTION 'thirteen is refused'; END IF;
        IF NEW.duration_seconds = 14 THEN RETURN NULL; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER picky BEFORE INSERT ON ml_hpo_trials FOR EACH ROW EXECUTE FUNCTION picky();
    ALTER TABLE ml_hpo_trials ADD CONSTRAINT secret_name CHECK (duration_seconds < 100);
"""

WAYS: dict[str, tuple[dict[str, Any] | bytes, str, list[str]]] = {
    "shape: cut": (b'{"study":', "MALFORMED", []),
    "shape: no object": (b"[]", "MALFORMED", []),
    "shape: a key twice": (b'{"trialNumber":1,"trialNumber":2}', "MALFORMED", []),
    "shape: a list for a row": ({"study": []}, "INVALID_VALUE", ["study"]),
    "type": ({"trialNumber": "seven"}, "INVALID_VALUE", ["trialNumber"]),
    "type: a fraction": ({"trialNumber": 7.5}, "INVALID_VALUE", ["trialNumber"]),
    "type: a time": ({"datetimeStart": "yesterday"}, "INVALID_VALUE", ["datetimeStart"]),
    "digits: an integer": ({"trialNumber": 2**31}, "INVALID_VALUE", ["trialNumber"]),
    "digits: a number": ({"value": 1e9}, "INVALID_VALUE", ["value"]),
    "NaN": (b'{"value":NaN}', "MALFORMED", []),
    "NaN as a text": ({"value": "NaN"}, "INVALID_VALUE", ["value"]),
    "NUL": ({"params": {"a": ["\u0000"]}}, "INVALID_VALUE", ["params"]),
    "label": ({"state": "DONE"}, "INVALID_VALUE", ["state"]),
    "reference: no row": ({"study": {"studyName": "there is none"}}, "NO_SUCH_ROW", ["study", "studyName"]),
    "reference: two ways": ({"study": {"id": "1", "studyName": "s"}}, "INVALID_VALUE", ["study"]),
    "reference: null": ({"study": None}, "VALUE_MISSING", ["study"]),
    "null in the key": ({"trialNumber": None}, "VALUE_MISSING", ["trialNumber"]),
    "duplicate within the batch": ({"trialNumber": 5}, "DUPLICATE", ["study"]),
    "unique": ({"trialNumber": -1}, "NOT_UNIQUE", ["study"]),
    "check": ({"durationSeconds": 100}, "CHECK_FAILED", ["durationSeconds"]),
    "trigger: refuses": ({"durationSeconds": 13}, "REFUSED_BY_DATABASE", []),
    "trigger: drops": ({"durationSeconds": 14}, "REFUSED_BY_DATABASE", []),
    "an unknown column": ({"trial": 7}, "UNKNOWN_FIELD", ["trial"]),
    "a column of the server's": ({"createdAt": "2026-05-01T00:00:00Z"}, "UNKNOWN_FIELD", ["createdAt"]),
}  # fmt: skip


@pytest.fixture(scope="module")
async def study(own: Database) -> AsyncIterator[str]:
    """A study with one trial, of the number -1, in a database with rules of its own."""
    sql = await connect(own.admin_url)
    await sql.execute(RULES)
    key = str(await add(sql, "ml_hpo_studies"))
    await sql.execute(
        "INSERT INTO ml_hpo_trials (study_id, trial_number, state) VALUES ($1::text::uuid, -1, 'COMPLETE')", key
    )
    yield key
    await sql.close()


@pytest.fixture(scope="module")
def good(study: str) -> list[bytes]:
    row = {"study": {"id": study}, "state": "COMPLETE", "params": {"depth": 3}, "value": 0.5}
    return [json.dumps(row | {"trialNumber": number}, separators=(",", ":")).encode() for number in range(ROWS)]


@pytest.mark.parametrize("way", WAYS)
async def test_one_bad_row_of_ten_thousand(
    way: str, client: Client, sql: asyncpg.Connection, study: str, good: list[bytes]
) -> None:
    wrong, code, path = WAYS[way]
    line = wrong if isinstance(wrong, bytes) else json.dumps(json.loads(good[BAD]) | wrong).encode()
    answer = await client.http.post(
        "/record/hpoTrials",
        content=b"\n".join([*good[:BAD], line, *good[BAD + 1 :]]),
        headers={"content-type": "application/x-ndjson", "idempotency-key": way},
    )
    body = answer.json()
    assert (answer.status_code, body["code"]) == (422, "ROWS_REJECTED"), body
    (problem,) = body["rows"]
    assert (problem["row"], problem["code"], problem["path"]) == (BAD, code, ["rows", str(BAD), *path]), problem
    assert "secret_name" not in answer.text
    counts = {
        table: await sql.fetchval(f"SELECT count(*) FROM {table}")
        for table in ("ml_hpo_trials", "gateway.recordings", "gateway.idempotency_keys")
    }
    assert counts == {"ml_hpo_trials": 1, "gateway.recordings": 0, "gateway.idempotency_keys": 0}

"""Batches of facts over HTTP: typed, all or nothing, once for each key, with the exact place of what is wrong."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import orjson
import pytest

from db.engine.transaction import Transaction
from schema.recording.recorder import digest_of, digest_of_rows
from schema.recording.row_ids import derived_ids
from tests.support.callers import JWT, calling, token
from tests.support.changing import add
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connected
from tests.support.recording import record
from tests.webhooks.receivers import became

pytestmark = pytest.mark.slow

AT = "2026-05-01T12:00:00Z"


@pytest.fixture
async def own(template: Database, clone: Clone) -> AsyncIterator[Database]:
    async with clone(template) as copy:
        yield copy


@pytest.fixture
async def client(own: Database) -> AsyncIterator[Client]:
    async with serving(own.gateway_url) as client:
        yield client


async def service_in(sql: asyncpg.Connection) -> str:
    return str(await add(sql, "ml_bentoml_services"))


def metric(service: str, **values: Any) -> dict[str, Any]:
    return {"service": {"id": service}, "recordedAt": AT, **values}


async def test_a_key_stands_for_times_as_they_were_said(client: Client, sql: asyncpg.Connection) -> None:
    """The same rows of `now-1h`, sent again after a while, are the same rows."""
    rows = [metric(await service_in(sql), recordedAt="now-1h")]
    first = await record(client, "recordServingMetrics", rows, "ids", idempotencyKey="once")
    again = await record(client, "recordServingMetrics", rows, "ids", idempotencyKey="once")
    assert (first["replayed"], again["replayed"]) == (False, True)
    assert first["ids"] == again["ids"]
    ago = "SELECT extract(epoch FROM now() - recorded_at)::int FROM ml_bentoml_serving_metrics"
    assert 3_590 < await sql.fetchval(ago) < 3_900
    rows[0]["recordedAt"] = "now-60m"
    other = await record(client, "recordServingMetrics", rows, idempotencyKey="once")
    assert other["__typename"] == "InvalidInput"


async def test_a_batch_with_defaults_and_nulls(client: Client, sql: asyncpg.Connection) -> None:
    """Absent takes the default, null is null, whatever the other rows of the batch give."""
    service = await service_in(sql)
    rows = [
        metric(service, requestsTotal=7, errorRate=0.5),
        metric(f"BentoService:{service}", requestsTotal=None, errorTypes=None),
        {"service": {"id": service}, "errorTypes": {"500": 3}},
    ]
    answer = await record(client, "recordServingMetrics", rows, "ids nodes { ... on ServingMetric { errorRate } }")
    assert (answer["inserted"], answer["updated"], answer["kept"]) == (3, 0, 0)
    assert answer["nodes"] == [{"errorRate": 0.5}, {"errorRate": None}, {"errorRate": None}]
    found = [
        await sql.fetchrow(
            "SELECT requests_total, error_rate, error_types, recorded_at FROM ml_bentoml_serving_metrics WHERE id = $1",
            uuid.UUID(id_.removeprefix("ServingMetric:")),
        )
        for id_ in answer["ids"]
    ]
    assert [row["requests_total"] for row in found] == [7, None, 0]
    assert [row["error_types"] for row in found] == ["{}", None, '{"500": 3}']
    assert found[2]["recorded_at"] is not None
    (audit,) = await sql.fetch("SELECT * FROM gateway.recordings")
    assert (audit["mutation"], audit["node_type"]) == ("recordServingMetrics", "ServingMetric")
    assert (audit["inserted"], audit["actor"]) == (3, "anonymous")
    assert audit["first_at"].isoformat() == "2026-05-01T12:00:00+00:00"


async def test_the_record_is_append_only(client: Client, sql: asyncpg.Connection) -> None:
    await record(client, "recordServingMetrics", [metric(await service_in(sql))])
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match=r"gateway\.recordings is append-only"):
        await sql.execute("DELETE FROM gateway.recordings")


async def test_a_key_is_used_once(client: Client, sql: asyncpg.Connection) -> None:
    service = await service_in(sql)
    rows = [metric(service, requestsTotal=number) for number in range(5)]
    first = await record(client, "recordServingMetrics", rows, "ids", idempotencyKey="one")
    again = await record(client, "recordServingMetrics", rows, "ids", idempotencyKey="one")
    assert (first["replayed"], again["replayed"]) == (False, True)
    assert first["ids"] == again["ids"]
    assert again["inserted"] == 5
    assert await sql.fetchval("SELECT count(*) FROM ml_bentoml_serving_metrics") == 5
    other = await record(client, "recordServingMetrics", rows[:4], idempotencyKey="one")
    assert (other["__typename"], other["field"]) == ("InvalidInput", "idempotencyKey")


async def test_what_a_key_stands_for_does_not_depend_on_how_it_is_read() -> None:
    """A key that was used before an upgrade is known after it."""
    rows: list[dict[str, Any]] = [{"b": number, "a": 2**70, "c": {"z": None, "y": 0.5}} for number in range(777)]
    assert await digest_of_rows("KEEP", rows) == digest_of(["KEEP", rows])


async def test_a_retry_after_the_keys_end_doubles_nothing(client: Client, sql: asyncpg.Connection) -> None:
    rows = [metric(await service_in(sql), requestsTotal=number) for number in range(5)]
    await record(client, "recordServingMetrics", rows, idempotencyKey="one")
    await sql.execute("DELETE FROM gateway.idempotency_keys")
    again = await record(client, "recordServingMetrics", rows, "ids", idempotencyKey="one")
    assert (again["inserted"], again["kept"], len(again["ids"])) == (0, 5, 5)
    assert await sql.fetchval("SELECT count(*) FROM ml_bentoml_serving_metrics") == 5


async def test_ids_are_the_databases_where_nobody_asks(client: Client, sql: asyncpg.Connection) -> None:
    """Those that are asked for are made here, and those of a key follow from it, the same ones for good."""
    await sql.execute("""
        ALTER TABLE ml_bentoml_serving_metrics ALTER id SET DEFAULT
            overlay(gen_random_uuid()::text PLACING 'dddddddd' FROM 1 FOR 8)::uuid
    """)
    service = await service_in(sql)
    await record(client, "recordServingMetrics", [metric(service, requestsTotal=1)] * 3)
    await record(client, "recordServingMetrics", [metric(service, requestsTotal=2)] * 3, "ids")
    await record(client, "recordServingMetrics", [metric(service, requestsTotal=3)] * 3, idempotencyKey="k")
    found = await sql.fetch(
        "SELECT requests_total, count(*), bool_and(id::text LIKE 'dddddddd-%') AS own, min(substr(id::text, 15, 1)) AS "
        "version FROM ml_bentoml_serving_metrics GROUP BY 1 ORDER BY 1"
    )
    assert [tuple(row) for row in found] == [(1, 3, True, "4"), (2, 3, False, "4"), (3, 3, False, "8")]
    assert derived_ids("a seed", range(2)) == [
        "ff5d2b14-7089-863f-98e6-53eaa2de9cf0",
        "79cb6bbe-7a74-83ca-9df7-8447e8f5b366",
    ]


async def test_a_dry_run_leaves_nothing(client: Client, sql: asyncpg.Connection) -> None:
    rows = [metric(await service_in(sql))]
    answer = await record(client, "recordServingMetrics", rows, "ids", dryRun=True, idempotencyKey="k")
    assert (answer["inserted"], answer["dryRun"], answer["ids"]) == (1, True, [])
    for table in ("ml_bentoml_serving_metrics", "gateway.recordings", "gateway.idempotency_keys"):
        assert await sql.fetchval(f"SELECT count(*) FROM {table}") == 0


# -- references --------------------------------------------------------------------------------------------------------


async def test_references_by_what_is_unique(client: Client, sql: asyncpg.Connection) -> None:
    experiment = await add(sql, "ml_experiments", mlflow_experiment_id="exp-1")
    await add(sql, "ml_model_registry", model_name="churn", model_version="3")
    window = {"baselineStart": AT, "baselineEnd": AT, "currentStart": AT, "currentEnd": AT}
    row = {"driftType": "DATA", "testType": "PSI", **window}
    by = {"modelName": "churn", "modelVersion": "3"}
    select = "nodes { ... on DriftRecord { model { modelName } experiment { rowId } driftDetected } }"
    answer = await record(
        client,
        "recordDriftRecords",
        [{**row, "model": {"version": by}, "experiment": {"mlflowExperimentId": "exp-1"}}, row],
        select,
    )
    named = {"model": {"modelName": "churn"}, "experiment": {"rowId": str(experiment)}, "driftDetected": False}
    assert answer["nodes"] == [named, {"model": None, "experiment": None, "driftDetected": False}]
    wrong = await record(
        client,
        "recordDriftRecords",
        [row, {**row, "model": {"version": {**by, "modelVersion": "4"}}}, {**row, "experiment": {"id": "Model:1"}}],
    )
    assert [(one["code"], one["path"]) for one in wrong["rows"]] == [
        ("NO_SUCH_ROW", ["input", "rows", "1", "model", "version"]),
        ("INVALID_VALUE", ["input", "rows", "2", "experiment", "id"]),
    ]


# -- conflicts ---------------------------------------------------------------------------------------------------------


def span(trace: str, id_: str, **values: Any) -> dict[str, Any]:
    agent = {"agentName": "orchestrator", "agentTier": "COORDINATION"}
    return {"traceId": trace, "spanId": id_, "startedAt": AT, **agent, **values}


async def spans_in(sql: asyncpg.Connection) -> list[tuple[Any, ...]]:
    rows = await sql.fetch("SELECT span_id, model_name, input_tokens FROM ml_observability_spans ORDER BY span_id")
    return [tuple(row) for row in rows]


async def test_conflicts(client: Client, sql: asyncpg.Connection) -> None:
    first = [span("t", "a", modelName="m", inputTokens=1), span("t", "b", modelName="m", inputTokens=1)]
    made = await record(client, "recordObservabilitySpans", first, "ids")
    refused = await record(client, "recordObservabilitySpans", [span("t", "c"), span("t", "b"), span("t", "a")])
    assert [(one["code"], one["row"]) for one in refused["rows"]] == [("NOT_UNIQUE", 1), ("NOT_UNIQUE", 2)]
    assert len(await spans_in(sql)) == 2
    changed = [span("t", "b", inputTokens=9), span("t", "a", modelName="m"), span("t", "c")]
    kept = await record(client, "recordObservabilitySpans", changed, f"ids {DIFFERING}", onConflict="KEEP")
    assert (kept["inserted"], kept["updated"], kept["kept"], kept["differing"]) == (1, 0, 2, 1)
    assert kept["differingRows"] == [{"row": 0, "nodeId": made["ids"][1], "fields": ["inputTokens"]}]
    assert [kept["ids"][1], kept["ids"][0]] == made["ids"]
    assert await spans_in(sql) == [("a", "m", 1), ("b", "m", 1), ("c", None, None)]
    updated = await record(client, "recordObservabilitySpans", changed, "ids", onConflict="UPDATE")
    assert (updated["inserted"], updated["updated"], updated["kept"]) == (0, 1, 2)
    assert updated["ids"] == kept["ids"]
    assert await spans_in(sql) == [("a", "m", 1), ("b", "m", 9), ("c", None, None)]


DIFFERING = "differingRows { row nodeId fields }"


async def test_rows_that_differ_are_named_in_the_order_of_the_input(client: Client, sql: asyncpg.Connection) -> None:
    """The first 20, however the rows are written; what is as it was given is not among the fields."""
    rows = [span("t", f"{number:02}", modelName="m", inputTokens=1) for number in range(30)]
    made = await record(client, "recordObservabilitySpans", rows, "ids")
    other = [{**row, "modelName": "n", "inputTokens": place % 2} for place, row in enumerate(rows)][::-1]
    kept = await record(client, "recordObservabilitySpans", other, DIFFERING, onConflict="KEEP")
    assert (kept["kept"], kept["differing"]) == (30, 30)
    assert [one["row"] for one in kept["differingRows"]] == list(range(20))
    assert [one["nodeId"] for one in kept["differingRows"]] == made["ids"][::-1][:20]
    assert [one["fields"] for one in kept["differingRows"]][:2] == [["modelName"], ["modelName", "inputTokens"]]
    assert (await record(client, "recordObservabilitySpans", rows, DIFFERING, onConflict="KEEP"))["differingRows"] == []


async def test_rows_are_locked_in_the_order_of_their_keys(
    client: Client, own: Database, sql: asyncpg.Connection
) -> None:
    """Whatever the order of the input, so that batches wait for one another without a deadlock."""
    await record(client, "recordObservabilitySpans", [span("t", "a"), span("t", "b")])
    locking = sql.transaction()
    await locking.start()
    await sql.execute("SELECT FROM ml_observability_spans WHERE span_id = 'a' FOR UPDATE")
    rows = [span("t", "b", inputTokens=1), span("t", "a", inputTokens=1)]
    writing = asyncio.create_task(record(client, "recordObservabilitySpans", rows, onConflict="UPDATE"))
    async with connected(own.admin_url) as other:
        waits = "datname = current_database() AND wait_event_type = 'Lock'"
        await became(other, f"SELECT FROM pg_stat_activity WHERE {waits}")
        free = await other.fetch("SELECT span_id FROM ml_observability_spans FOR UPDATE SKIP LOCKED")
    await locking.rollback()
    assert (await writing)["updated"] == 2
    assert [row["span_id"] for row in free] == ["b"]


async def test_who_may_not_read_is_not_told_what_stands_there(own: Database, sql: asyncpg.Connection) -> None:
    """Neither whether a value is another, nor the ids of rows that others have made; the key's answer says no more."""
    first = [span("t", "a", inputTokens=1), span("t", "b", inputTokens=1)]
    guesses = [span("t", "a", inputTokens=1), span("t", "b", inputTokens=2)]
    select = f"ids {DIFFERING}"
    async with serving(own.gateway_url, **JWT) as base:
        writer = calling(base, token("write:mlops_core"))
        reader = calling(base, token("write:mlops_core", "read:mlops_core"))
        made = await record(writer, "recordObservabilitySpans", first, select)
        assert (len(made["ids"]), made["differing"], made["differingRows"]) == (2, 0, [])
        for _ in range(2):
            kept = await record(
                writer, "recordObservabilitySpans", guesses, select, onConflict="KEEP", idempotencyKey="k"
            )
            assert (kept["kept"], kept["differing"], kept["differingRows"], kept["ids"]) == (2, None, None, [])
        told = await record(reader, "recordObservabilitySpans", guesses, select, onConflict="KEEP")
        assert (told["differing"], told["ids"]) == (1, made["ids"])
        assert told["differingRows"] == [{"row": 1, "nodeId": made["ids"][1], "fields": ["inputTokens"]}]
        body = b"\n".join(map(orjson.dumps, guesses))
        sent = {"content-type": "application/x-ndjson"}
        path = "/record/observabilitySpans?onConflict=KEEP&ids=true"
        by_lines = (await writer.http.post(path, content=body, headers=sent)).json()
        assert (by_lines["kept"], by_lines["differing"], by_lines["ids"]) == (2, None, [])
        assert "differingRows" not in by_lines
        by_lines = (await reader.http.post(path, content=body, headers=sent)).json()
        assert (by_lines["differing"], by_lines["differingRows"]) == (1, told["differingRows"])


async def test_an_assignment_that_differs_is_a_problem(client: Client, sql: asyncpg.Connection) -> None:
    experiment = {"id": str(await add(sql, "ml_experiments"))}

    def assigned(unit: str, variant: str) -> dict[str, Any]:
        return {"experiment": experiment, "unitId": unit, "unitType": "HCP", "variant": variant}

    rows = [assigned(f"u{place}", "control") for place in range(4)]
    await record(client, "recordAssignments", rows)
    again = await record(client, "recordAssignments", [*rows, assigned("u9", "treatment")], onConflict="KEEP")
    assert (again["inserted"], again["kept"], again["differing"]) == (1, 4, 0)
    rows[2]["variant"] = "treatment"
    other = await record(client, "recordAssignments", [assigned("u10", "control"), *rows], onConflict="KEEP")
    assert [(one["code"], one["path"]) for one in other["rows"]] == [("DIFFERS", ["input", "rows", "3"])]
    assert other["rows"][0]["message"] == "was recorded with other values before: variant"
    assert await sql.fetchval("SELECT count(*) FROM ab_experiment_assignments") == 5
    assert await sql.fetchval("SELECT DISTINCT created_by FROM ab_experiment_assignments") == "anonymous"


async def test_a_unique_index_that_the_database_lacks(own: Database, sql: asyncpg.Connection) -> None:
    (name,) = await sql.fetchrow(
        "SELECT conname FROM pg_constraint WHERE contype = 'u' AND conrelid = 'ml_observability_spans'::regclass"
    )
    await sql.execute(f"ALTER TABLE ml_observability_spans DROP CONSTRAINT {name}")
    async with serving(own.gateway_url) as client:
        answer = await record(client, "recordObservabilitySpans", [span("t", "a")], onConflict="KEEP")
    assert answer["__typename"] == "InvalidInput"
    assert "needs a unique index over traceId and spanId" in answer["message"]


@pytest.mark.migrated("it allows several rows out of use")
async def test_an_index_of_the_rows_in_use_is_none_of_those_out_of_use(own: Database, sql: asyncpg.Connection) -> None:
    """Rows are born inactive, not without a value, where a unique index has the active ones alone or another key."""
    await sql.execute("""
        CREATE UNIQUE INDEX in_use ON optimized_tool_descriptions (agent_name, tool_name) WHERE is_active;
        CREATE UNIQUE INDEX of_use ON optimized_tool_descriptions (agent_name, is_active) WHERE is_active;
        CREATE INDEX by_use ON optimized_tool_descriptions (agent_name, tool_name, is_active)
    """)
    common = {"run": {"id": str(await add(sql, "prompt_optimization_runs"))}, "agentName": "a", "toolName": "t"}
    rows = [
        {**common, "version": f"v{n}", "descriptionText": "d", "descriptionHash": uuid.uuid4().hex} for n in range(2)
    ]
    async with serving(own.gateway_url) as client:
        assert (await record(client, "recordOptimizedToolDescriptions", rows))["inserted"] == 2
    assert await sql.fetchval("SELECT array_agg(is_active) FROM optimized_tool_descriptions") == [False, False]


# -- what is wrong -----------------------------------------------------------------------------------------------------


async def test_bad_rows_are_named_and_nothing_is_written(client: Client, sql: asyncpg.Connection) -> None:
    """Digits, lengths, NUL, labels of states, duplicates, references: before any row is written."""
    study = {"id": str(await add(sql, "ml_hpo_studies"))}
    good = [{"study": study, "trialNumber": place, "state": "COMPLETE", "value": 0.5} for place in range(900)]
    bad: dict[int, tuple[dict[str, Any], str, str]] = {
        7: ({"value": 1e9}, "INVALID_VALUE", "value"),
        99: ({"params": {"a": ["\u0000"]}}, "INVALID_VALUE", "params"),
        500: ({"trialNumber": 499}, "DUPLICATE", "study"),
        777: ({"study": {"studyName": "there is none"}}, "NO_SUCH_ROW", "study"),
    }
    rows = [{**row, **bad[place][0]} if place in bad else row for place, row in enumerate(good)]
    answer = await record(client, "recordHpoTrials", rows)
    found = [(one["row"], one["code"], one["path"][:4]) for one in answer["rows"]]
    assert found == [(place, code, ["input", "rows", str(place), field]) for place, (_, code, field) in bad.items()]
    assert answer["path"] == ["input", "rows", "7", "value"]
    assert await sql.fetchval("SELECT count(*) FROM ml_hpo_trials") == 0
    assert (await record(client, "recordHpoTrials", good))["inserted"] == 900


async def test_an_escape_that_is_spelled_out_is_text(client: Client, sql: asyncpg.Connection) -> None:
    """In JSON too, where NUL is written as one, behind a backslash as well."""
    study = {"id": str(await add(sql, "ml_hpo_studies"))}
    row = {"study": study, "trialNumber": 1, "state": "COMPLETE", "value": 0.5}
    for text in ("\\\0", "a\0"):
        answer = await record(client, "recordHpoTrials", [{**row, "params": {"a": text}}])
        assert [(one["code"], one["path"][-1]) for one in answer["rows"]] == [("INVALID_VALUE", "params")]
    spelled = {"a": "\\u0000", "\\\\u0000": ["^\\u0000$"]}
    assert (await record(client, "recordHpoTrials", [{**row, "params": spelled}]))["inserted"] == 1
    assert json.loads(await sql.fetchval("SELECT params FROM ml_hpo_trials")) == spelled


async def test_rows_that_a_check_forbids_are_asked_for(
    client: Client, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not sought: each is tried by itself. Where the rule fails for some row when it is asked, they are sought."""
    await sql.execute("""
        ALTER TABLE ml_bentoml_serving_metrics
        ADD CONSTRAINT several CHECK (failed_requests < 100 AND requests_total >= successful_requests),
        ADD CONSTRAINT by_default CHECK (recorded_at > '2000-01-01')
    """)
    service = await service_in(sql)
    rows = [metric(service, requestsTotal=1, successfulRequests=1, failedRequests=0) for _ in range(1000)]
    bad = list(range(7, 1000, 50))
    for place in bad:
        rows[place] |= {"failedRequests": 100} if place % 100 > 50 else {"successfulRequests": 2}
    run, statements = Transaction._run, 0

    async def counted(self: Transaction, text: str, values: Any) -> Any:
        nonlocal statements
        statements += 1
        return await run(self, text, values)

    monkeypatch.setattr(Transaction, "_run", counted)
    answer = await record(client, "recordServingMetrics", rows)
    assert [(one["row"], one["code"]) for one in answer["rows"]] == [(place, "CHECK_FAILED") for place in bad]
    assert statements < 2 * len(bad) + 10
    await sql.execute("""
        ALTER TABLE ml_bentoml_serving_metrics DROP CONSTRAINT several,
        ADD CONSTRAINT several CHECK (100 / (successful_requests - 1) > 0 OR failed_requests = 0)
    """)
    odd = [
        metric(service, successfulRequests=given, failedRequests=failed) for given, failed in ((0, 9), (0, 0), (1, 9))
    ]
    answer = await record(client, "recordServingMetrics", odd)
    assert [(one["row"], one["code"]) for one in answer["rows"]] == [(0, "CHECK_FAILED"), (2, "INVALID_VALUE")]


async def test_what_only_the_database_knows_is_found(client: Client, sql: asyncpg.Connection) -> None:
    """A check, a trigger that refuses and one that drops rows without a word; twenty at most are told."""
    await sql.execute("""
        CREATE FUNCTION picky() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.requests_total = 13 THEN RAISE EXCEPTION 'thirteen is refused'; END IF;
            IF NEW.requests_total = 14 THEN RETURN NULL; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER picky BEFORE INSERT ON ml_bentoml_serving_metrics FOR EACH ROW EXECUTE FUNCTION picky();
        ALTER TABLE ml_bentoml_serving_metrics ADD CONSTRAINT secret_name CHECK (failed_requests < 100);
    """)
    service = await service_in(sql)
    rows = [metric(service, requestsTotal=0, failedRequests=0) for _ in range(1000)]
    rows[3]["failedRequests"], rows[500]["requestsTotal"], rows[998]["requestsTotal"] = 100, 13, 14
    answer = await record(client, "recordServingMetrics", rows, idempotencyKey="k")
    assert [(one["row"], one["code"]) for one in answer["rows"]] == [
        (3, "CHECK_FAILED"),
        (500, "REFUSED_BY_DATABASE"),
        (998, "REFUSED_BY_DATABASE"),
    ]
    assert "thirteen is refused" in answer["rows"][1]["message"]
    assert "secret_name" not in str(answer)
    assert "failedRequests" in answer["rows"][0]["message"]
    many = [metric(service, failedRequests=500) for _ in range(30)]
    refused = (await record(client, "recordServingMetrics", many))["rows"]
    assert [one["row"] for one in refused] == list(range(20)), "the first twenty"
    for table in ("ml_bentoml_serving_metrics", "gateway.recordings", "gateway.idempotency_keys"):
        assert await sql.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_wrong_shapes_have_exact_paths(client: Client, sql: asyncpg.Connection) -> None:
    """Of a type that tells of patients no value is quoted."""
    service = await service_in(sql)
    query = "mutation($i: RecordServingMetricsInput!) { recordServingMetrics(input: $i) { __typename } }"
    rows = [metric(service), metric(service, p50LatencyMs="fast"), metric(service, rowId="x"), {"service": {}}]
    answer = await client.ask(query, i={"rows": rows})
    assert [error["extensions"]["argument"] for error in answer["errors"]] == [
        "$i.rows[1].p50LatencyMs", "$i.rows[2].rowId", "$i.rows[3].service",
    ]  # fmt: skip
    assert '"fast" is not a number' in answer["errors"][0]["message"]
    query = "mutation($i: RecordAssignmentsInput!) { recordAssignments(input: $i) { __typename } }"
    secret = {"experiment": {"id": "x"}, "unitId": ["Jane Doe"], "unitType": {"a": "Jane Doe"}, "variant": "a"}
    answer = await client.ask(query, i={"rows": [secret, "Jane Doe"]})
    assert [error["extensions"]["argument"] for error in answer["errors"]] == [
        "$i.rows[0].unitId", "$i.rows[0].unitType", "$i.rows[1]",
    ]  # fmt: skip
    assert "Jane" not in str(answer)


async def test_limits(client: Client, sql: asyncpg.Connection) -> None:
    service = await service_in(sql)
    answer = await record(client, "recordServingMetrics", [metric(service)] * 1001)
    assert (answer["__typename"], answer["path"]) == ("InvalidInput", ["input", "rows"])
    assert (await record(client, "recordServingMetrics", []))["__typename"] == "InvalidInput"
    one = "recordServingMetrics(input: {rows: $rows}) { __typename }"
    fields = " ".join(f"a{place}: {one}" for place in range(6))
    error = await client.error(f"mutation($rows: [ServingMetricRow!]!) {{ {fields} }}", rows=[metric(service)] * 1000)
    assert (error["code"], error["extensions"]["limit"]) == ("VALUE_LIMIT", 5000)
    assert (await record(client, "recordServingMetrics", [metric(service)] * 1000))["inserted"] == 1000
    nobody = [metric(str(uuid.uuid4()))] * 1000  # refused row by row, and not for their number
    fields = " ".join(f"a{place}: {one}" for place in range(5))
    found = await client.data(f"mutation($rows: [ServingMetricRow!]!) {{ {fields} }}", rows=nobody)
    assert {answer["__typename"] for answer in found.values()} == {"RowsRejected"}
    cost = await client.cost(f"mutation($rows: [ServingMetricRow!]!) {{ {one} }}", rows=[metric(service)] * 100)
    assert 110 <= cost["requested"] < 150


async def test_rows_have_a_limit_of_their_own_beside_other_variables(own: Database, sql: asyncpg.Connection) -> None:
    """`max_values` is for what is asked, not for rows, whatever other variables stand beside them."""
    service = await service_in(sql)
    one = "recordServingMetrics(input: {rows: $rows, idempotencyKey: $key}) { ... on Recorded { inserted } }"
    async with serving(own.gateway_url, max_values=20) as client:
        for told in ("$rows: [ServingMetricRow!]!, $key: String", "$key: String, $rows: [ServingMetricRow!]!"):
            rows = [metric(service) for _ in range(20)]
            assert await client.data(f"mutation({told}) {{ {one} }}", rows=rows, key=told) == {
                "recordServingMetrics": {"inserted": 20}
            }
        asked = "query($names: [String!]) { models(where: {modelName: {in: $names}}) { totalCount } }"
        assert (await client.error(asked, names=["a"] * 30))["code"] == "VALUE_LIMIT"


async def test_rows_without_a_key_hide_none_that_are_twice(client: Client, sql: asyncpg.Connection) -> None:
    """A row that names none of the key's values says nothing of those behind it."""
    service = await service_in(sql)
    twice = str(uuid.uuid4())
    rows = [metric(service, **({"id": id_} if id_ else {})) for id_ in (None, twice, None, str(uuid.uuid4()), twice)]
    answer = await record(client, "recordServingMetrics", rows)
    assert [(one["row"], one["code"], one["path"]) for one in answer["rows"]] == [
        (4, "DUPLICATE", ["input", "rows", "4", "id"])
    ]
    assert "row 1" in answer["rows"][0]["message"]


async def test_batches_and_moves_in_one_transaction(client: Client, sql: asyncpg.Connection) -> None:
    """A trial of a batch is moved by the field after it; a problem undoes all, and one key stands for all."""
    study = {"id": str(await add(sql, "ml_hpo_studies"))}
    trial = "11111111-1111-4111-8111-111111111111"
    query = """
        mutation($rows: [HpoTrialRow!]!, $metrics: [ServingMetricRow!]!, $id: ID!)
        @transaction(idempotencyKey: "whole") {
          trials: recordHpoTrials(input: {rows: $rows}) { __typename ... on Recorded { ids replayed } }
          moved: moveTrial(input: {id: $id, to: COMPLETE, value: 0.5}) {
            __typename ... on TransitionApplied { node { ... on HpoTrial { state } } }
          }
          metrics: recordServingMetrics(input: {rows: $metrics}) { __typename ... on Recorded { ids } }
        }
    """
    rows = [{"id": trial, "study": study, "trialNumber": 1, "state": "RUNNING"}]
    nobody = [metric("22222222-2222-4222-8222-222222222222")]
    undone = await client.data(query, rows=rows, id=trial, metrics=nobody)
    assert [one["__typename"] for one in undone.values()] == ["TransactionUndone", "TransactionUndone", "RowsRejected"]
    assert await sql.fetchval("SELECT count(*) FROM ml_hpo_trials") == 0
    metrics = [metric(await service_in(sql))]
    made = await client.data(query, rows=rows, id=trial, metrics=metrics)
    assert made["trials"] == {"__typename": "Recorded", "ids": [f"HpoTrial:{trial}"], "replayed": False}
    assert made["moved"]["node"] == {"state": "COMPLETE"}
    again = await client.data(query, rows=rows, id=trial, metrics=metrics)
    assert again["trials"]["replayed"] is True
    assert again["metrics"]["ids"] == made["metrics"]["ids"]
    assert await sql.fetchval("SELECT count(*) FROM ml_bentoml_serving_metrics") == 1


async def test_scopes(own: Database, sql: asyncpg.Connection) -> None:
    """``write:<group>`` records and reads nothing; what is known of patients needs its own scope."""
    service, experiment = await service_in(sql), {"id": str(await add(sql, "ml_experiments"))}
    writer, viewer, ab = "write:bentoml_tracking", "viewer", "write:ab_testing"
    async with serving(own.gateway_url, **JWT) as client:

        async def asked(scope: str, mutation: str, rows: list[Any], select: str = "") -> Any:
            client.http.headers["authorization"] = f"Bearer {token(scope)}"
            return await record(client, mutation, rows, select)

        assert (await asked(writer, "recordServingMetrics", [metric(service)], "ids"))["inserted"] == 1
        refused = await asked(viewer, "recordServingMetrics", [metric(service)])
        assert (refused["__typename"], "write:bentoml_tracking" in refused["message"]) == ("Forbidden", True)
        assert (await asked(writer, "recordFeatureFreshnesses", [{"featureViewName": "v"}]))["code"] == "FORBIDDEN"
        row = {"experiment": experiment, "unitId": "u", "unitType": "HCP", "variant": "control"}
        refused = await asked(ab, "recordAssignments", [row])
        assert "may not give unitId: it needs the scope patient" in refused["message"]
    assert await sql.fetchval("SELECT count(*) FROM ml_bentoml_serving_metrics") == 1

"""Old rows removed over HTTP: the oldest first, in bounds, none that others refer to, with one row in the record."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

import asyncpg
import pytest

from db.embedded.server import GATEWAY_ROLE
from schema.recording.record_types import purge_mutations
from tests.support.callers import JWT, token
from tests.support.changing import add
from tests.support.client import Client, serving
from tests.support.databases import Database, connect, execute, kill_backends

pytestmark = pytest.mark.slow

OLD = "2001-01-01T00:00:00.000000Z"
"""Before any row of the demo."""

ANSWER = """
    __typename
    ... on Purged { purged more oldest newest referred replayed dryRun }
    ... on Problem { code message path }
    ... on InvalidInput { field }
"""


async def purge(client: Client, mutation: str, **input_: Any) -> dict[str, Any]:
    data = await client.data(
        f"mutation($input: PurgeInput!) {{ result: {mutation}(input: $input) {{ {ANSWER} }} }}",
        input={"before": OLD, **input_},
    )
    result: dict[str, Any] = data["result"]
    return result


async def metric(sql: asyncpg.Connection, time: str) -> Any:
    return await add(sql, "ml_bentoml_serving_metrics", recorded_at=time)


async def span(sql: asyncpg.Connection, name: str, time: str, parent: str | None = None) -> Any:
    return await add(
        sql, "ml_observability_spans", trace_id="purged", span_id=name, parent_span_id=parent, started_at=time
    )


async def test_the_oldest_go_first_in_bounds_with_one_row_in_the_record(
    client: Client, sql: asyncpg.Connection
) -> None:
    ids = [await metric(sql, f"2000-01-0{day}T00:00:00Z") for day in (3, 1, 2)]
    there = "SELECT count(*) FROM ml_bentoml_serving_metrics WHERE id = ANY ($1)"
    tried = await purge(client, "purgeServingMetrics", dryRun=True)
    assert tried == {
        "__typename": "Purged", "purged": 3, "more": False, "oldest": "2000-01-01T00:00:00.000000Z",
        "newest": "2000-01-03T00:00:00.000000Z", "referred": 0, "replayed": False, "dryRun": True,
    }  # fmt: skip
    assert await sql.fetchval(there, ids) == 3
    first = await purge(client, "purgeServingMetrics", limit=2, idempotencyKey="night", reason="90 days are over")
    assert (first["purged"], first["more"], first["newest"]) == (2, True, "2000-01-02T00:00:00.000000Z")
    assert await sql.fetchval(there, ids[:1]) == await sql.fetchval(there, ids) == 1
    again = await purge(client, "purgeServingMetrics", limit=2, idempotencyKey="night", reason="90 days are over")
    assert (again["purged"], again["replayed"], await sql.fetchval(there, ids)) == (2, True, 1)
    rest = await purge(client, "purgeServingMetrics")
    assert (rest["purged"], rest["more"], await sql.fetchval(there, ids)) == (1, False, 0)
    recorded = await sql.fetch(
        "SELECT node_type, actor, inserted, details FROM gateway.recordings WHERE mutation = 'purgeServingMetrics' "
        "ORDER BY recorded_at"
    )
    assert [(row["node_type"], row["actor"], row["inserted"]) for row in recorded] == [
        ("ServingMetric", "anonymous", 0)
    ] * 2
    assert json.loads(recorded[0]["details"]) == {
        "purged": 2, "before": "2001-01-01T00:00:00+00:00", "reason": "90 days are over",
    }  # fmt: skip


async def test_what_others_refer_to_stays(client: Client, sql: asyncpg.Connection) -> None:
    """By foreign keys, by those of tables that the graph does not know, and by links without any."""
    referred, free = [await add(sql, "ml_drift_history", created_at="2000-01-01T00:00:00Z") for _ in range(2)]
    alert = await add(
        sql, "ml_monitoring_alerts", drift_history_id=referred, status="active", created_at="2000-01-01T00:00:00Z"
    )
    active = await purge(client, "purgeMonitoringAlerts")
    assert (active["purged"], active["referred"]) == (0, 0)
    gone = await purge(client, "purgeDriftRecords")
    assert (gone["purged"], gone["more"], gone["referred"]) == (1, False, 1)
    assert await sql.fetchval("SELECT id FROM ml_drift_history WHERE id = ANY ($1)", [referred, free]) == referred
    await sql.execute("UPDATE ml_monitoring_alerts SET status = 'resolved' WHERE id = $1", alert)
    await sql.execute(
        "CREATE TABLE notes (alert uuid REFERENCES ml_monitoring_alerts ON DELETE CASCADE); "
        f"INSERT INTO notes VALUES ('{alert}'); GRANT SELECT ON notes TO public"
    )
    noted = await purge(client, "purgeMonitoringAlerts")
    assert (noted["purged"], noted["referred"]) == (0, 1)
    await sql.execute("DROP TABLE notes")
    assert (await purge(client, "purgeMonitoringAlerts"))["purged"] == 1
    assert (await purge(client, "purgeDriftRecords"))["purged"] == 1
    await span(sql, "root", "2000-12-31T23:59:00Z")
    await span(sql, "young", "2001-01-01T00:00:01Z", parent="root")
    await span(sql, "old", "2000-12-31T23:59:01Z", parent="other")
    await span(sql, "other", "2000-12-31T23:59:00Z")
    spans = await purge(client, "purgeObservabilitySpans")
    assert (spans["purged"], spans["referred"]) == (2, 1)
    left = await sql.fetch("DELETE FROM ml_observability_spans WHERE trace_id = 'purged' RETURNING span_id")
    assert {row["span_id"] for row in left} == {"root", "young"}


async def test_what_the_database_refuses_undoes_all(client: Client, sql: asyncpg.Connection) -> None:
    one = await metric(sql, "2000-01-01T00:00:00Z")
    await sql.execute(
        "CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'audited'; END $$; "
        "CREATE TRIGGER keeps BEFORE DELETE ON ml_bentoml_serving_metrics FOR EACH ROW EXECUTE FUNCTION keeps()"
    )
    try:
        refused = await purge(client, "purgeServingMetrics")
        assert (refused["__typename"], refused["code"]) == ("TransitionBlocked", "TRANSITION_BLOCKED")
        assert "audited" in refused["message"]
    finally:
        await sql.execute("DROP FUNCTION keeps() CASCADE")
    assert (await purge(client, "purgeServingMetrics"))["oldest"] == "2000-01-01T00:00:00.000000Z"
    assert not await sql.fetchval("SELECT EXISTS (SELECT FROM ml_bentoml_serving_metrics WHERE id = $1)", one)


@pytest.mark.parametrize("refusals", [2, 3])
async def test_a_foreign_key_that_keeps_a_row_is_met_three_times(
    client: Client, sql: asyncpg.Connection, refusals: int
) -> None:
    """What refers to the row may be gone, or seen, by the next time."""
    await metric(sql, "2000-01-01T00:00:00Z")
    await sql.execute(f"""
        CREATE SEQUENCE times;
        CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
            IF nextval('times') > {refusals} THEN RETURN OLD; END IF;
            RAISE EXCEPTION 'it is referred to' USING ERRCODE = 'foreign_key_violation';
        END $$;
        CREATE TRIGGER keeps BEFORE DELETE ON ml_bentoml_serving_metrics FOR EACH ROW EXECUTE FUNCTION keeps()
    """)
    try:
        answer = await purge(client, "purgeServingMetrics")
        assert answer["__typename"] == ("Purged" if refusals == 2 else "TransitionBlocked"), answer
        assert await sql.fetchval("SELECT last_value FROM times") == 3
    finally:
        await sql.execute("DROP FUNCTION keeps() CASCADE; DROP SEQUENCE times")
        await sql.execute("DELETE FROM ml_bentoml_serving_metrics WHERE recorded_at < $1::text::timestamptz", OLD)


async def test_policies_of_the_database_decide_what_goes(own: Database, sql: asyncpg.Connection) -> None:
    """Who sees some rows alone removes those alone, and is told of no others."""
    role = f"e2i_user_{secrets.token_hex(6)}"
    await execute(
        own.admin_url,
        f"CREATE ROLE {role} NOLOGIN",
        f"GRANT {role} TO {GATEWAY_ROLE}",
        f"GRANT USAGE ON SCHEMA public, ml TO {role}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public, ml TO {role}",
        f"GRANT DELETE ON ml_bentoml_serving_metrics TO {role}",
        "ALTER TABLE ml_bentoml_serving_metrics ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY few ON ml_bentoml_serving_metrics TO {role} USING (requests_total < 10)",
    )
    try:
        for total in (1, 20, 2):
            await add(sql, "ml_bentoml_serving_metrics", recorded_at="2000-01-01T00:00:00Z", requests_total=total)
        async with serving(own.gateway_url, **JWT, rls=True, rls_roles=(role,), rls_token_role=role) as client:
            client.http.headers["authorization"] = f"Bearer {token('keeper', role=role)}"
            gone = await purge(client, "purgeServingMetrics")
            assert (gone["__typename"], gone["purged"], gone["more"], gone["referred"]) == ("Purged", 2, False, 0)
        left = "DELETE FROM ml_bentoml_serving_metrics WHERE recorded_at < '2001-01-01' RETURNING requests_total"
        assert [row[0] for row in await sql.fetch(left)] == [20]
    finally:
        await execute(
            own.admin_url,
            "ALTER TABLE ml_bentoml_serving_metrics DISABLE ROW LEVEL SECURITY",
            f"DROP OWNED BY {role}",
            f"DROP ROLE {role}",
        )


# -- others at the same time ---------------------------------------------------------------------------------------


async def waits(sql: asyncpg.Connection, words: str) -> None:
    """Until a statement with these words waits for a lock."""
    query = (
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
        "AND query LIKE '%' || $1 || '%' AND pid <> pg_backend_pid())"
    )
    async with asyncio.timeout(30):
        while not await sql.fetchval(query, words):  # noqa: ASYNC110 - nobody tells a test
            await asyncio.sleep(0.01)


ACTIONS = ["", "ON DELETE CASCADE", "ON DELETE SET NULL"]


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_reference_that_is_committed_after_the_look_keeps_its_row(
    client: Client, own: Database, sql: asyncpg.Connection, action: str
) -> None:
    """The purge waits for who is about to refer to a row, and sees it then; the other old row goes."""
    referred, free = [
        await add(sql, "ml_monitoring_alerts", status="resolved", created_at="2000-01-01T00:00:00Z") for _ in range(2)
    ]
    await sql.execute(
        f"CREATE TABLE notes (alert uuid REFERENCES ml_monitoring_alerts {action}); GRANT SELECT ON notes TO public"
    )
    other = await connect(own.admin_url)
    try:
        inserting = other.transaction()
        await inserting.start()
        await other.execute("INSERT INTO notes VALUES ($1)", referred)
        purging = asyncio.create_task(purge(client, "purgeMonitoringAlerts"))
        await waits(sql, "ml_monitoring_alerts")
        await inserting.commit()
        answer = await purging
        assert (answer["__typename"], answer["purged"], answer["referred"]) == ("Purged", 1, 1)
        left = await sql.fetch("SELECT id FROM ml_monitoring_alerts WHERE id = ANY ($1)", [referred, free])
        assert [row["id"] for row in left] == [referred]
        assert await sql.fetchval("SELECT alert FROM notes") == referred
    finally:
        await other.close()
        await sql.execute("DROP TABLE notes")
    assert (await purge(client, "purgeMonitoringAlerts"))["purged"] == 1


async def test_a_link_that_is_committed_after_the_look_keeps_its_row(
    client: Client, own: Database, sql: asyncpg.Connection
) -> None:
    """Nothing but the models knows of it: the rows that went are looked for once more before the commit."""
    await span(sql, "linked", "2000-01-01T00:00:00Z")
    other = await connect(own.admin_url)
    try:
        locking = other.transaction()
        await locking.start()
        await other.execute("SELECT FROM ml_observability_spans WHERE span_id = 'linked' FOR UPDATE")
        purging = asyncio.create_task(purge(client, "purgeObservabilitySpans"))
        await waits(sql, "ml_observability_spans")
        await span(other, "child", "2020-01-01T00:00:00Z", parent="linked")
        await locking.commit()
        answer = await purging
        assert (answer["purged"], answer["referred"]) == (0, 1)
    finally:
        await other.close()
    assert await sql.fetchval("SELECT count(*) FROM ml_observability_spans WHERE trace_id = 'purged'") == 2
    await sql.execute("DELETE FROM ml_observability_spans WHERE trace_id = 'purged'")


async def test_two_purges_at_once_take_each_row_once(client: Client, sql: asyncpg.Connection) -> None:
    for second in range(20):
        await metric(sql, f"2000-01-01T00:00:{second:02}Z")
    answers = await asyncio.gather(*(purge(client, "purgeServingMetrics", limit=6) for _ in range(8)))
    assert {one["__typename"] for one in answers} == {"Purged"}
    while (rest := await purge(client, "purgeServingMetrics", limit=6))["purged"]:
        answers.append(rest)
    assert sum(one["purged"] for one in answers) == 20
    assert await sql.fetchval("SELECT count(*) FROM ml_bentoml_serving_metrics WHERE recorded_at < '2001-01-01'") == 0


async def test_a_purge_that_is_killed_takes_nothing(client: Client, own: Database, sql: asyncpg.Connection) -> None:
    """With its key it is done once when it is asked again."""
    kept = [await metric(sql, f"2000-01-0{day}T00:00:00Z") for day in (1, 2)]
    other = await connect(own.admin_url)
    try:
        locking = other.transaction()
        await locking.start()
        await other.execute("SELECT FROM ml_bentoml_serving_metrics WHERE id = $1 FOR UPDATE", kept[1])
        query = 'mutation { purgeServingMetrics(input: {before: "2001-01-01T00:00:00Z", idempotencyKey: "k"}) '
        query += "{ __typename } }"
        purging = asyncio.create_task(client.post(query))
        await waits(sql, "ml_bentoml_serving_metrics")
        assert await kill_backends(sql, waiting=True) == 1
        assert (await purging).json()["errors"][0]["extensions"]["code"] == "DATABASE_UNAVAILABLE"
    finally:
        await other.close()
    assert await sql.fetchval("SELECT count(*) FROM ml_bentoml_serving_metrics WHERE id = ANY ($1)", kept) == 2
    for replayed in (False, True):
        again = await purge(client, "purgeServingMetrics", idempotencyKey="k")
        assert (again["purged"], again["replayed"]) == (2, replayed)


async def test_bad_input_says_what_would_be_right(client: Client) -> None:
    young = await purge(client, "purgeSrmChecks", before="now-30d")
    assert (young["code"], young["path"], young["field"]) == ("INVALID_INPUT", ["input", "before"], "before")
    assert young["message"] == (
        "before: is less than 365 days ago, for which SrmCheck rows are kept at least; pass an earlier one"
    )
    for limit in (0, -1, 5_001):
        wrong = await purge(client, "purgeServingMetrics", limit=limit)
        assert wrong["message"] == f"limit: is {limit}; pass 1 to 5,000"
    assert (await purge(client, "purgeServingMetrics", reason="a\x00"))["field"] == "reason"
    assert (await purge(client, "purgeServingMetrics", idempotencyKey=" "))["field"] == "idempotencyKey"


async def test_only_a_keeper_of_the_group_may(own: Database, sql: asyncpg.Connection) -> None:
    await metric(sql, "2000-01-01T00:00:00Z")
    async with serving(own.gateway_url, **JWT) as client:
        for role in ("admin", "recorder", "purge:model_monitoring"):
            client.http.headers["authorization"] = f"Bearer {token(role)}"
            refused = await purge(client, "purgeServingMetrics")
            assert refused["message"] == (
                "ada may not use purgeServingMetrics: it needs the scope purge:bentoml_tracking."
            )
        client.http.headers["authorization"] = f"Bearer {token('analyst')}"
        tried = await purge(client, "purgeServingMetrics", dryRun=True)
        assert (tried["purged"], tried["dryRun"]) == (1, True)
        client.http.headers["authorization"] = f"Bearer {token('keeper')}"
        assert (await purge(client, "purgeServingMetrics"))["purged"] == 1
        read = (await client.post("{ servingMetrics(first: 1) { edges { node { id } } } }")).json()
        assert read["errors"][0]["extensions"]["code"] == "FORBIDDEN_FIELD"


async def test_purges_of_one_operation_are_made_together(client: Client, sql: asyncpg.Connection) -> None:
    await metric(sql, "2000-01-01T00:00:00Z")
    data = await client.data(
        f"mutation($input: PurgeInput!) @transaction {{ a: purgeServingMetrics(input: $input) {{ {ANSWER} }} "
        f'b: purgeSrmChecks(input: {{before: "now"}}) {{ {ANSWER} }} }}',
        input={"before": OLD},
    )
    assert (data["a"]["__typename"], data["b"]["code"]) == ("TransactionUndone", "INVALID_INPUT")
    assert (await purge(client, "purgeServingMetrics"))["purged"] == 1


@pytest.mark.parametrize("mutation", sorted(purge_mutations()))
async def test_every_type_whose_rows_go_can_be_purged(client: Client, mutation: str) -> None:
    """Its statements run with the rights of the gateway's own role, and nothing is as old as that."""
    answer = await purge(client, mutation, before="1990-01-01T00:00:00Z")
    assert (answer["__typename"], answer["purged"], answer["referred"]) == ("Purged", 0, 0)

"""Types of which the connected database takes no row: `db check` names them, and mutations say so in typed errors."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from db.attach.attach import check
from db.attach.unwritable import refusal
from tests.support.client import Client, serving
from tests.support.databases import Database

TABLE = "ml_bentoml_serving_metrics"
REFUSES = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$"
TRIGGER = f"CREATE TRIGGER refuse BEFORE INSERT ON {TABLE} FOR EACH ROW EXECUTE FUNCTION refuse()"
CLOSED: dict[str, tuple[list[str], str, tuple[str, str]]] = {
    "a column that nobody fills": (
        [f"ALTER TABLE {TABLE} ADD COLUMN cost_centre text NOT NULL"],
        f"{TABLE}.cost_centre refuses null, has no default and is unknown to the graph: no ServingMetric can be",
        ("InvalidInput", "cost_centre"),
    ),
    "no table": (
        [f"ALTER TABLE {TABLE} RENAME TO away"],
        "and no ServingMetric can be recorded",
        ("InvalidInput", f"has no table {TABLE}"),
    ),
    "no right": (
        [f"REVOKE INSERT ON {TABLE} FROM e2i_gateway"],
        f"no ServingMetric can be recorded: e2i_gateway may not insert into {TABLE}",
        ("CHANGES_UNAVAILABLE", "may not write ServingMetric"),
    ),
    "no policy": (
        [f"ALTER TABLE {TABLE} ENABLE ROW LEVEL SECURITY", f"CREATE POLICY r ON {TABLE} FOR SELECT USING (true)"],
        f"row level security of {TABLE} has no policy that lets e2i_gateway insert",
        ("CHANGES_UNAVAILABLE", "may not write ServingMetric"),
    ),
    "a trigger that refuses": (
        [REFUSES.format(body="RAISE EXCEPTION 'the fleet is closed';"), TRIGGER],
        "refuse, a trigger of ml_bentoml_serving_metrics, refuses every row",
        ("RowsRejected", "the fleet is closed"),
    ),
    "a trigger that drops": (
        [REFUSES.format(body="RETURN NULL;"), TRIGGER],
        "refuse, a trigger of ml_bentoml_serving_metrics, drops every row",
        ("RowsRejected", "a trigger of the database drops the row"),
    ),
    "a view": (
        [f"ALTER TABLE {TABLE} RENAME TO away", f"CREATE VIEW {TABLE} AS SELECT DISTINCT * FROM away",
         f"GRANT SELECT, INSERT ON {TABLE} TO e2i_gateway"],
        f"{TABLE} is a view that takes no rows",
        ("CHANGES_UNAVAILABLE", "may not write ServingMetric"),
    ),
}  # fmt: skip


async def outcome(client: Client, service: str) -> tuple[str, str]:
    """What the mutation answers: its type or the code of its error, and the message."""
    answer = await client.ask(
        "mutation($s: ID!) { m: recordServingMetrics(input: {rows: [{service: {id: $s}}]}) "
        "{ __typename ... on Problem { message } } }",
        s=service,
    )
    if "errors" in answer:
        (error,) = answer["errors"]
        return error["extensions"]["code"], error["message"]
    told: dict[str, Any] = answer["data"]["m"]
    return told["__typename"], told.get("message", "")


async def checked(url: str) -> tuple[int, str]:
    written: list[str] = []
    return await check(url, written.append), "".join(written)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CLOSED)
async def test_what_takes_no_rows_is_named(own: Database, sql: asyncpg.Connection, kind: str) -> None:
    """Each in a copy of the table's place that is put back afterwards."""
    statements, said, (type_, words) = CLOSED[kind]
    service = str(
        await sql.fetchval(
            "INSERT INTO ml_bentoml_services (service_name, bento_tag, bento_version) "
            "VALUES ('s', 't', '1') RETURNING id"
        )
    )
    before, _ = await checked(own.admin_url)
    assert before == 0
    for statement in statements:
        await sql.execute(statement)
    try:
        status, text = await checked(own.admin_url)
        assert (status, said in text) == (kind != "no right", True), text
        async with serving(own.gateway_url) as client:
            answered = await outcome(client, service)
        assert (answered[0], words in answered[1]) == (type_, True), answered
    finally:
        await sql.execute(
            f"""
            DROP TRIGGER IF EXISTS refuse ON {TABLE};
            DROP FUNCTION IF EXISTS refuse CASCADE;
            DROP VIEW IF EXISTS {TABLE if kind == "a view" else "nothing"} CASCADE;
            ALTER TABLE IF EXISTS away RENAME TO {TABLE};
            DROP POLICY IF EXISTS r ON {TABLE};
            ALTER TABLE {TABLE} DISABLE ROW LEVEL SECURITY, DROP COLUMN IF EXISTS cost_centre;
            GRANT INSERT ON {TABLE} TO e2i_gateway
            """
        )


async def test_an_effect_into_a_table_that_no_policy_opens_is_no_fault_of_its_rows(
    own: Database, sql: asyncpg.Connection
) -> None:
    """The table is closed to all rows, or to those of others alone."""
    review = 'mutation { m: requestReview(input: {reviewType: DAG_APPROVAL, reviewerId: "r"}) { __typename '
    review += "... on Problem { message } ... on TransitionBlocked { blockers { code message } } } }"
    await sql.execute("ALTER TABLE expert_reviews ENABLE ROW LEVEL SECURITY")
    await sql.execute("CREATE POLICY r ON expert_reviews FOR SELECT USING (true)")
    try:
        async with serving(own.gateway_url) as client:
            error = await client.error(review)
            assert (error["code"], "may not write ExpertReview" in error["message"]) == ("CHANGES_UNAVAILABLE", True)
            await sql.execute("CREATE POLICY i ON expert_reviews FOR INSERT WITH CHECK (reviewer_id = 'other')")
            told = (await client.data(review))["m"]
            assert [one["code"] for one in told["blockers"]] == ["REFUSED_BY_DATABASE"], told
    finally:
        await sql.execute("DROP POLICY IF EXISTS i ON expert_reviews; DROP POLICY r ON expert_reviews")
        await sql.execute("ALTER TABLE expert_reviews DISABLE ROW LEVEL SECURITY")


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("BEGIN RAISE EXCEPTION 'no'; END", "refuses"),
        ("DECLARE n int; BEGIN n := 1; RAISE 'no'; END", "refuses"),
        ("BEGIN RAISE NOTICE 'x'; RETURN NULL; END", "drops"),
        ("BEGIN -- RAISE EXCEPTION\n NEW.a := 'RAISE EXCEPTION'; RETURN NEW; END", None),
        ("BEGIN IF NEW.a THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END", None),
    ],
)
def test_only_what_refuses_every_row_is_taken_for_that(body: str, what: str | None) -> None:
    assert refusal(body, may_drop=True) == what

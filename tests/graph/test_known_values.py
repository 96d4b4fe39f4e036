"""What is said of rows: nothing by an empty text, no service level of what failed, and a champion's health."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.support.changing import model_in, uuid_of
from tests.support.client import Client, serving
from tests.support.databases import Database, connect
from tests.support.executors import EXECUTORS


@pytest.fixture(scope="module", params=EXECUTORS)
async def client(request: pytest.FixtureRequest, own: Database) -> AsyncIterator[Client]:
    async with serving(own.gateway_url, compiler=request.param) as client:
        yield client


@pytest.fixture
async def sql(own: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(own.owner_url)
    yield connection
    await connection.close()


async def test_empty_texts_link_nothing(client: Client, sql: asyncpg.Connection) -> None:
    """Neither in fields nor in filters, of one column and of lists."""
    for hash_ in ("", "same"):
        for _ in range(2):
            await sql.execute(
                "INSERT INTO expert_reviews (review_type, reviewer_id, dag_version_hash) VALUES ('ad_hoc_validation', "
                "'empty', $1)",
                hash_,
            )
    run = await sql.fetchval(
        "UPDATE ml_training_runs SET mlflow_run_id = '' WHERE id = (SELECT min(id::text)::uuid FROM ml_training_runs) "
        "RETURNING id"
    )
    model = await model_in(sql, "development", mlflow_run_id="")
    data = await client.data(
        """query($run: ID!, $model: ID!) {
          expertReviews(where: { reviewerId: { eq: "empty" } }, first: 9) { nodes { dagVersionHash
            previousOfDag { dagVersionHash } } }
          trainingRun(id: $run) { mlflowModels { totalCount } }
          model(id: $model) { mlflowTrainingRun { id } }
          models(where: { mlflowTrainingRun: { some: { rowId: { isNull: false } } }, mlflowRunId: { eq: "" } }) {
            totalCount } }""".replace("{ some: { rowId: { isNull: false } } }", "{ rowId: { isNull: false } }"),
        run=str(run),
        model=model,
    )
    links = {(one["dagVersionHash"], one["previousOfDag"] is not None) for one in data["expertReviews"]["nodes"]}
    assert links == {("", False), ("same", False), ("same", True)}
    assert data["trainingRun"]["mlflowModels"]["totalCount"] == 0
    assert data["model"]["mlflowTrainingRun"] is None
    assert data["models"]["totalCount"] == 0


async def test_an_execution_that_failed_has_no_service_level(client: Client, sql: asyncpg.Connection) -> None:
    key = await sql.fetchval("SELECT execution_id FROM ml_cohort_executions ORDER BY execution_id LIMIT 1")
    for status, met in (("success", True), ("failed", None)):
        await sql.execute(
            "UPDATE ml_cohort_executions SET status = $2, input_row_count = 1000, execution_time_ms = 1 "
            "WHERE execution_id = $1",
            key, status,
        )  # fmt: skip
        data = await client.data(
            "query($id: ID!) { cohortExecution(id: $id) { sla { targetMs actualMs met } } }", id=key
        )
        assert data["cohortExecution"]["sla"] == {"targetMs": 1200 if met else None, "actualMs": 1, "met": met}


async def test_an_experiments_health_knows_its_champions(client: Client, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "production", is_champion=True)
    await sql.execute(
        "INSERT INTO ml_monitoring_alerts (alert_type, title, severity, message, model_id) "
        "VALUES ('drift', $2, 'critical', 'm', $1)",
        uuid_of(model), uuid.uuid4().hex,
    )  # fmt: skip
    data = await client.data(
        "query($id: ID!) { model(id: $id) { experiment { health { championHealth { modelId healthStatus } } } } }",
        id=model,
    )
    found = data["model"]["experiment"]["health"]["championHealth"]
    assert found == {"modelId": str(uuid_of(model)), "healthStatus": "critical"}

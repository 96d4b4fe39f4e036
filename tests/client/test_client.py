"""The Python client against a real gateway: answers that are lost, refusals that pass, pages, rows in the way."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import httpx
import pytest

from gateway.client import AsyncGateway, Gateway, NoAnswerError, QueryData, RejectedRowsError, RequestFailedError
from gateway.client.rows import Rows, lines
from schema.error_codes import ErrorCode, ProblemCode, RowCode
from tests.support.callers import JWT, token
from tests.support.changing import add, model_in
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect
from tests.support.sockets import listening


@pytest.fixture(scope="module")
async def place(template: Database, clone: Clone) -> AsyncIterator[Database]:
    async with clone(template) as copy:
        yield copy


@pytest.fixture(scope="module")
async def served(place: Database) -> AsyncIterator[Client]:
    async with serving(place.gateway_url) as client:
        yield client


@pytest.fixture
async def sql(place: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(place.admin_url)
    yield connection
    await connection.close()


@pytest.fixture
async def service(sql: asyncpg.Connection) -> str:
    return str(await add(sql, "ml_bentoml_services"))


class Unsteady(httpx.AsyncBaseTransport):
    """Passes requests on; of those that ``loses`` counts, from 0, the answer is lost; ``instead`` replaces others."""

    def __init__(self, served: Client, loses: Sequence[int] = (), instead: Any = None) -> None:
        self.requests = 0
        self._inner = httpx.ASGITransport(served.app)
        self._loses = loses
        self._instead = instead or {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        number = self.requests
        self.requests += 1
        if isinstance(replaced := self._instead.get(number), httpx.Response):
            return replaced
        if replaced is not None:
            raise replaced
        answer = await self._inner.handle_async_request(request)
        if number in self._loses:
            await answer.aread()
            raise httpx.ReadError("the connection is lost")
        return answer


def asking(served: Client, transport: httpx.AsyncBaseTransport | None = None, **given: Any) -> AsyncGateway:
    return AsyncGateway("http://localhost", transport=transport or httpx.ASGITransport(served.app), **given)


def metrics(service: str, count: int) -> list[dict[str, Any]]:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    return [{"service": {"id": service}, "recordedAt": at, "requestsTotal": number} for number in range(count)]


async def count_of(sql: asyncpg.Connection, service: str) -> int:
    found: int = await sql.fetchval(
        "SELECT count(*) FROM ml_bentoml_serving_metrics WHERE service_id = $1::text::uuid", service
    )
    return found


def test_it_needs_none_of_the_servers_dependencies() -> None:
    refused = [
        "strawberry",
        "graphql",
        "sqlalchemy",
        "asyncpg",
        "starlette",
        "uvicorn",
        "pydantic",
        "orjson",
        "mcp",
        "redis",
    ]
    code = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {refused!r}:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
from gateway.client import AsyncGateway, Gateway
Gateway("http://localhost:1").close()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


async def test_rows_are_recorded_once_however_often_answers_are_lost(
    served: Client, sql: asyncpg.Connection, service: str
) -> None:
    transport = Unsteady(served, loses=[0, 2, 3, 5])
    told: list[int] = []
    async with asking(served, transport) as gateway:
        made = await gateway.record("servingMetrics", metrics(service, 250), size=100, ids=True, progress=told.append)
    assert (made.inserted, made.batches, len(set(made.ids or ()))) == (250, 3, 250)
    assert made.replayed == 3
    assert transport.requests == 7
    assert told == [100, 200, 250]
    assert await count_of(sql, service) == 250


async def test_a_key_of_ones_own_is_for_good(served: Client, sql: asyncpg.Connection, service: str) -> None:
    async with asking(served) as gateway:
        await gateway.record("servingMetrics", metrics(service, 30), size=20, key="exporter/1")
        again = await gateway.record("servingMetrics", metrics(service, 30), size=20, key="exporter/1")
    assert (again.replayed, await count_of(sql, service)) == (2, 30)


async def test_rows_that_differ_have_their_place_among_all(served: Client, place: Database) -> None:
    trace, at = uuid.uuid4().hex, datetime(2026, 5, 1, tzinfo=UTC)
    agent = {"agentName": "orchestrator", "agentTier": "COORDINATION", "startedAt": at}
    rows = [{"traceId": trace, "spanId": str(number), "inputTokens": number, **agent} for number in range(5)]
    async with asking(served) as gateway:
        made = await gateway.record("observabilitySpans", rows, ids=True)
        rows[3]["inputTokens"] = 7
        kept = await gateway.record("observabilitySpans", rows, size=2, on_conflict="KEEP")
    assert (kept.kept, kept.differing) == (5, 1)
    assert kept.differing_rows == [{"row": 3, "nodeId": (made.ids or [])[3], "fields": ["inputTokens"]}]
    async with serving(place.gateway_url, **JWT) as guarded:
        writer = token("write:mlops_core")
        async with AsyncGateway(
            "http://localhost", token=writer, transport=httpx.ASGITransport(guarded.app)
        ) as gateway:
            blind = await gateway.record("observabilitySpans", rows, size=2, on_conflict="KEEP")
    assert (blind.kept, blind.differing, blind.differing_rows) == (5, None, [])


async def test_what_is_no_row_is_said_before_anything_is_sent() -> None:
    """A frame in place of its rows, one row in place of several, an id in place of an input."""

    class Frame(list[str]):
        columns = ("requestsTotal",)

        def to_dict(self, how: str) -> None: ...

    with Gateway("http://localhost:1", retries=0) as gateway:
        with pytest.raises(TypeError, match=r"not a Frame: pass frame\.to_dict\('records'\)"):
            gateway.record("servingMetrics", Frame(["requestsTotal"]))  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="one a row, not a dict"):
            gateway.record("servingMetrics", {"requestsTotal": 1})  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"rows\[0\] is a str; a row is a dictionary of its fields"):
            gateway.record("servingMetrics", ["requestsTotal"])  # type: ignore[list-item]
        with pytest.raises(
            TypeError, match="the input of retireTool is a dictionary of the fields of RetireInput, not a"
        ):
            gateway.change("retireTool", "Tool:1")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="not a str"), gateway.transaction() as changes:
            changes.change("retireTool", "Tool:1")  # type: ignore[arg-type]


async def test_rows_in_the_way_have_their_place_among_all(
    served: Client, sql: asyncpg.Connection, service: str
) -> None:
    rows = metrics(service, 50)
    rows[37]["requestsTotal"] = "many"
    async with asking(served) as gateway:
        with pytest.raises(RejectedRowsError) as caught:
            await gateway.record("servingMetrics", rows, size=20)
    (row,) = caught.value.rows
    assert (row["row"], row["path"], row["code"]) == (37, ["rows", "37", "requestsTotal"], RowCode.INVALID_VALUE)
    assert (caught.value.code, caught.value.status, caught.value.recorded) == (ProblemCode.ROWS_REJECTED, 422, 20)
    assert await count_of(sql, service) == 20


@pytest.mark.slow
async def test_a_mutation_is_made_once(served: Client, sql: asyncpg.Connection, service: str) -> None:
    by_input = "mutation($input: RecordServingMetricsInput!) { m: recordServingMetrics(input: $input) { __typename } }"
    by_key = (
        "mutation($key: String!, $input: RecordServingMetricsInput!) @transaction(idempotencyKey: $key) "
        "{ m: recordServingMetrics(input: $input) { __typename } }"
    )
    rows = [{"service": {"id": service}}]
    for document in (by_input, by_key):
        async with asking(served, Unsteady(served, loses=[0, 1])) as gateway:
            data = await gateway.mutate(document, {"input": {"rows": rows}})
            assert data["m"]["__typename"] == "Recorded"
    assert await count_of(sql, service) == 2
    async with asking(served) as gateway:
        with pytest.raises(ValueError, match=r"\$input"):
            await gateway.mutate("mutation { m: pauseAll { __typename } }")


async def test_a_key_among_the_variables_is_kept(served: Client, sql: asyncpg.Connection, service: str) -> None:
    """Another process that says the same with the same key does not make the change again."""
    record = "m: recordServingMetrics(input: $input) { ... on Recorded { replayed } }"
    by_input = f"mutation($input: RecordServingMetricsInput!) {{ {record} }}"
    by_key = (
        f"mutation($key: String!, $input: RecordServingMetricsInput!) @transaction(idempotencyKey: $key) {{ {record} }}"
    )
    rows, own = [{"service": {"id": service}}], str(uuid.uuid4())
    for document, variables in (
        (by_input, {"input": {"rows": rows, "idempotencyKey": f"{own}/input"}}),
        (by_key, {"key": f"{own}/key", "input": {"rows": rows}}),
    ):
        async with asking(served) as gateway:
            answers = [await gateway.mutate(document, variables) for _ in range(2)]
        assert [answer["m"]["replayed"] for answer in answers] == [False, True]
    assert await count_of(sql, service) == 2


async def test_batches_have_rows_and_answers(served: Client, service: str) -> None:
    """Neither is a batch of no rows passed over, nor a page of a proxy's taken for an answer."""
    async with asking(served) as gateway:
        with pytest.raises(ValueError, match="1 row or more"):
            await gateway.record("servingMetrics", metrics(service, 1), size=0)
    page = httpx.Response(200, html="<html>")
    async with asking(served, Unsteady(served, instead={0: page})) as gateway:
        with pytest.raises(RequestFailedError, match="HTTP 200"):
            await gateway.record("servingMetrics", metrics(service, 1))


async def test_what_may_have_been_made_is_not_sent_again_without_a_key(
    served: Client, sql: asyncpg.Connection, service: str
) -> None:
    document = "mutation($input: RecordServingMetricsInput!) { m: recordServingMetrics(input: $input) { __typename } }"
    transport = Unsteady(served, loses=(0,))
    async with asking(served, transport) as gateway:
        with pytest.raises(NoAnswerError, match="lost"):
            await gateway.query(document, {"input": {"rows": [{"service": {"id": service}}]}})
    assert (transport.requests, await count_of(sql, service)) == (1, 1)


@pytest.mark.parametrize(
    "instead",
    [
        httpx.ConnectError("refused"),
        httpx.ReadError("lost"),
        httpx.Response(502, html="<html>"),
        httpx.Response(503, headers={"retry-after": "0"}, json={"errors": [{"extensions": {"code": "OVERLOADED"}}]}),
        httpx.Response(200, json={"data": {"now": None}, "errors": [{"extensions": {"code": "LOCKED"}}]}),
    ],
    ids=["not connected", "lost", "a proxy", "overloaded", "locked"],
)
async def test_queries_outlast_what_passes(instead: Any, served: Client) -> None:
    transport = Unsteady(served, instead={0: instead})
    async with asking(served, transport) as gateway:
        assert (await gateway.query("{ now }"))["now"]
    assert transport.requests == 2


async def test_what_does_not_pass_is_told_at_once(served: Client) -> None:
    never = httpx.Response(429, json={"errors": [{"message": "no", "extensions": {"code": "BUDGET_EXCEEDED"}}]})
    for instead, code in (({0: never}, ErrorCode.BUDGET_EXCEEDED), ({}, ErrorCode.GRAPHQL_VALIDATION_FAILED)):
        transport = Unsteady(served, instead=instead)
        async with asking(served, transport) as gateway:
            with pytest.raises(RequestFailedError) as caught:
                await gateway.query("{ nothing }")
        assert (caught.value.code, transport.requests) == (code, 1)
    async with asking(served, retries=1) as gateway:
        with pytest.raises(RequestFailedError) as caught:
            await gateway.record("nothings", [{}])
    assert (caught.value.code, caught.value.status) == (ErrorCode.NOT_FOUND, 404)


QUERY = """
    query($after: String, $service: UUID!) {
      servingMetrics(
        first: 10, after: $after, where: { serviceId: { eq: $service } }, orderBy: [{ field: REQUESTS_TOTAL }]
      ) { nodes { requestsTotal service { serviceName } } pageInfo { hasNextPage endCursor } } }
"""


@pytest.mark.slow
async def test_a_blocking_client_pages_into_frames(place: Database, service: str) -> None:
    def work(url: str) -> Rows:
        with Gateway(url) as gateway:
            gateway.record("servingMetrics", metrics(service, 25))
            some = gateway.rows(QUERY, {"service": service}, most=12)
            assert [row["requestsTotal"] for row in some] == list(range(12))
            return gateway.rows(QUERY, {"service": service})

    async with listening(place.gateway_url) as server:
        rows = await asyncio.to_thread(work, f"http://127.0.0.1:{server.port}")
    assert [row["requestsTotal"] for row in rows] == list(range(25))
    assert list(rows.to_pandas()["requestsTotal"]) == list(range(25))
    assert "service.serviceName" in rows.to_pandas().columns
    assert rows.to_polars()["requestsTotal"].to_list() == list(range(25))


async def test_only_a_list_is_paged(served: Client) -> None:
    async with asking(served) as gateway:
        with pytest.raises(ValueError, match="after"):
            await gateway.rows("{ now }")


# -- mutations by their names ------------------------------------------------------------------------------------------


async def test_each_mutation_is_a_method(served: Client, sql: asyncpg.Connection) -> None:
    """Made once for its key, however often answers are lost, and its id is at hand."""
    name = f"e-{uuid.uuid4()}"
    transport = Unsteady(served, loses=[0])
    async with asking(served, transport) as gateway:
        made = await gateway.create_experiment(
            {"experimentName": name, "predictionTarget": "churn", "mlflowExperimentId": name}, key=f"{name}/1"
        )
        assert (made.replayed, made.dry_run, made.answer["inserted"]) == (True, False, 1)
        run = await gateway.create_training_run(
            {"algorithm": "a", "trainingSamples": 7, "experiment": {"mlflowExperimentId": name}}
        )
        ended = await gateway.complete_training_run({"id": run.id, "to": "COMPLETED", "trainMetrics": {"auc": 0.8}})
        assert ended.ids == [run.id]
        review = await gateway.request_review(
            {"reviewType": "DAG_APPROVAL", "reviewerId": "r", "treatmentVariable": "v", "outcomeVariable": "s"}
        )
        assert review.id.startswith("ExpertReview:")
        assert (await gateway.change("updateExperiment", {"id": made.id, "description": "d"})).answer["updated"] == 1
    rows = await sql.fetch("SELECT id FROM ml_experiments WHERE experiment_name = $1", name)
    assert [f"Experiment:{row['id']}" for row in rows] == made.ids


async def test_what_is_refused_says_why(served: Client, sql: asyncpg.Connection) -> None:
    async with asking(served, retries=0) as gateway:
        with pytest.raises(ValueError, match="do you mean createExperiment"):
            await gateway.change("createExperimnt", {})
        with pytest.raises(RejectedRowsError, match=r"input\.model\.id: .* names no") as rejected:
            await gateway.create_shap_analysis({"model": {"id": uuid.uuid4()}, "analysisType": "global"})
        assert rejected.value.rows[0]["code"] is RowCode.NO_SUCH_ROW
        model = await model_in(sql, "development")
        with pytest.raises(RequestFailedError) as refused:
            await gateway.promote_model({"id": model, "to": "PRODUCTION"})
        assert refused.value.code is ProblemCode.ILLEGAL_TRANSITION
        with pytest.raises(RequestFailedError, match=r"^BAD_USER_INPUT: .*production"):
            await gateway.change("promoteModel", {"id": model, "to": "production"})


async def test_a_transaction_is_made_at_the_end_of_its_block(served: Client, sql: asyncpg.Connection) -> None:
    name, id_ = f"t-{uuid.uuid4()}", uuid.uuid4()

    async def make(gateway: AsyncGateway, algorithm: str | None) -> list[Any]:
        async with gateway.transaction(key=name) as changes:
            first = changes.create_experiment({"id": id_, "experimentName": name, "predictionTarget": "churn"})
            given: Any = {"trainingSamples": 7, "experiment": {"id": str(id_)}, "algorithm": algorithm or "\0"}
            second = changes.create_training_run(given)
            third = changes.record_serving_metrics([{"service": {"id": service}}] * 3)
            with pytest.raises(RuntimeError, match="where its block ends"):
                _ = first.changed
        return [one.changed for one in (first, second, third)]

    service = str(await add(sql, "ml_bentoml_services"))
    async with asking(served, Unsteady(served, loses=[1])) as gateway:
        with pytest.raises(RejectedRowsError, match=r"createTrainingRun \(step 2 of 3\): .*algorithm"):
            await make(gateway, None)
        assert await sql.fetchval("SELECT count(*) FROM ml_experiments WHERE id = $1::text::uuid", str(id_)) == 0
        first, second, third = await make(gateway, "a")
        assert (first.id, first.replayed, len(second.ids), len(third.ids)) == (f"Experiment:{id_}", True, 1, 3)
        with suppress(KeyError):
            async with gateway.transaction() as changes:
                changes.create_experiment({"experimentName": "never", "predictionTarget": "churn"})
                raise KeyError
        async with gateway.transaction() as changes:
            with pytest.raises(ValueError, match="key of all"):
                changes.retire_tool({"id": "Tool:x"}, key="k")
    assert await sql.fetchval("SELECT count(*) FROM ml_experiments WHERE experiment_name = 'never'") == 0
    assert await count_of(sql, service) == 3


async def test_writing_needs_no_right_to_read(place: Database, sql: asyncpg.Connection) -> None:
    """What the methods ask of a result is what those may see who may but write."""
    async with serving(place.gateway_url, **JWT) as served, asking(served, token=token("write")) as gateway:
        made = await gateway.create_experiment({"experimentName": "e", "predictionTarget": "churn"})
        dry = await gateway.update_experiment({"id": made.id, "description": "d", "dryRun": True})
        assert (dry.dry_run, dry.answer["updated"]) == (True, 1)


# -- frames ------------------------------------------------------------------------------------------------------------

ANSWER = QueryData(
    {
        "models": {
            "nodes": [
                {
                    "modelName": "m",
                    "experiment": {"name": "e", "tags": ["a", "b"]},
                    "runs": {"nodes": [{"auc": 0.8, "params": {"depth": 3}}, {"auc": None, "params": {}}]},
                },
                {"modelName": "n", "experiment": None, "runs": {"nodes": []}},
                {"modelName": "o", "experiment": {"name": "f", "tags": []}, "runs": None},
            ]
        }
    }
)


def test_answers_become_frames() -> None:
    frame, table = ANSWER.to_pandas(), ANSWER.to_polars()
    names = ["modelName", "experiment.name", "experiment.tags", "runs.nodes"]
    assert list(frame.columns) == table.columns == names
    assert list(frame["experiment.name"].dropna()) == ["e", "f"]
    assert table["experiment.name"].to_list() == ["e", None, "f"]
    assert table["experiment.tags"].to_list() == [["a", "b"], None, []]
    path = "models.nodes.runs.nodes"
    names = ["models.modelName", "models.experiment.name", "models.experiment.tags", "auc", "params.depth", "params"]
    assert set(ANSWER.to_pandas(path).columns) == set(ANSWER.to_polars(path).columns) == set(names)
    assert ANSWER.to_polars(path)["models.modelName"].to_list() == ["m", "m"]
    assert ANSWER.to_polars(path)["params.depth"].to_list() == [3, None]
    assert QueryData({"models": {"nodes": []}}).to_pandas().shape == (0, 0)
    assert QueryData({"models": {"nodes": []}}).to_polars().shape == (0, 0)


@pytest.mark.parametrize(
    ("answer", "path", "words"),
    [
        (QueryData({"now": "2026"}), None, "those that are here: none"),
        (QueryData({"a": {"nodes": []}, "b": {"nodes": []}}), None, "those that are here: a.nodes, b.nodes"),
        (ANSWER, "models.rows", "there is no 'rows' here; there is nodes"),
        (ANSWER, "models.nodes.modelName", "is no list|there is no"),
        (ANSWER, "models", "is no list"),
    ],
)
def test_frames_are_of_lists(answer: QueryData, path: str | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        answer.rows(path)


# -- words -------------------------------------------------------------------------------------------------------------


async def test_messages_name_the_first_rows(served: Client, service: str) -> None:
    """By their places among all rows, before they are sent as well."""
    rows = [{**row, "requestsTotal": "many"} if number > 22 else row for number, row in enumerate(metrics(service, 40))]
    async with asking(served, retries=0) as gateway:
        with pytest.raises(RejectedRowsError) as caught:
            await gateway.record("servingMetrics", rows, size=20)
        assert "rows.23.requestsTotal: " in str(caught.value)
        assert "and 12 more" in str(caught.value)
        assert "the 20 rows of the batches before it are recorded" in str(caught.value)
        rows[25]["recordedAt"] = datetime(2026, 5, 1)  # noqa: DTZ001 - which is what is wrong
        with pytest.raises(ValueError, match=r"rows\[23\]\.recordedAt: .* no time zone"):
            await gateway.record("servingMetrics", rows[:23] + rows[25:26] * 7, size=20, key="w")


async def test_no_answer_says_what_may_have_become_of_it(served: Client) -> None:
    for error, words in (
        (httpx.ConnectError("refused"), "has not had it"),
        (httpx.ReadError(""), "may have been done"),
    ):
        async with asking(served, Unsteady(served, instead={0: error, 1: error}), retries=1) as gateway:
            with pytest.raises(NoAnswerError, match=f"asked 2 times; .*{words}"):
                await gateway.query("{ now }")
    page = httpx.Response(403, html="<html>a proxy's page")
    async with asking(served, Unsteady(served, instead={0: page})) as gateway:
        with pytest.raises(RequestFailedError, match=r"^HTTP 403 is no answer of the gateway's: <html>a proxy"):
            await gateway.query("{ now }")


async def test_a_bar_tells_how_far_it_is(served: Client, service: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with asking(served) as gateway:
        await gateway.record("servingMetrics", metrics(service, 30), size=20, progress=True)
        await gateway.record("servingMetrics", iter(metrics(service, 30)), size=20, progress=True)
    told = capsys.readouterr().err
    assert "] 20 of 30 rows" in told
    assert "[##############################] 30 of 30 rows" in told
    assert "\r30 rows" in told


def test_values_of_other_libraries() -> None:
    import numpy as np  # noqa: PLC0415 - what pandas brings
    import pandas as pd  # noqa: PLC0415 - as above

    row = {"a": np.float32(0.5), "b": np.int64(3), "c": np.array([1.0, 2.0]), "d": pd.Timestamp("2026-05-01", tz="UTC")}
    assert lines([row]) == b'{"a":0.5,"b":3,"c":[1.0,2.0],"d":"2026-05-01T00:00:00+00:00"}'
    for wrong in (pd.NaT, np.float64("nan"), Decimal("NaN")):
        with pytest.raises(ValueError, match=r"rows\[1\]\.x: "):
            lines([{"x": 1}, {"x": wrong}])


def test_values_have_one_form() -> None:
    id_ = uuid.uuid4()
    row = {"id": id_, "at": datetime(2026, 5, 1, tzinfo=UTC), "on": date(2026, 5, 1), "x": Decimal("0.1"), "é": None}
    assert lines([row]) == (
        f'{{"id":"{id_}","at":"2026-05-01T00:00:00+00:00","on":"2026-05-01","x":0.1,"é":null}}'.encode()
    )
    for wrong in (datetime(2026, 5, 1), float("nan")):  # noqa: DTZ001 - which is what is wrong
        with pytest.raises(
            ValueError, match=r"no time zone|x: it is nan, which JSON does not have; leave it out, or pass None"
        ):
            lines([{"x": wrong}])
    for odd in (Decimal("0.10000000000000000001"), object()):
        with pytest.raises(TypeError):
            lines([{"x": odd}])

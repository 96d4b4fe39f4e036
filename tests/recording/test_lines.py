"""Batches as lines of JSON over HTTP: the same rules as the mutations', exact digits, bounded bodies, exact places."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import httpx
import orjson
import pytest

from db.engine.transaction import Transaction
from schema.execution.time_slices import TimeSlices
from schema.names.suggestions import Suggestion, Suggestions
from schema.recording.lines import slices
from tests.support.callers import JWT, calling, token
from tests.support.changing import add
from tests.support.client import Client, serving
from tests.support.databases import Database
from tests.support.recording import record
from tests.support.sockets import until

pytestmark = pytest.mark.slow

AT = "2026-05-01T12:00:00Z"
NDJSON = "application/x-ndjson"


@pytest.fixture(scope="module")
async def client(own: Database) -> AsyncIterator[Client]:
    async with serving(own.gateway_url, max_lines_bytes=200_000, request_timeout=20) as client:
        yield client


@pytest.fixture
async def service(sql: asyncpg.Connection) -> str:
    return str(await add(sql, "ml_bentoml_services"))


def metric(service: str, **values: Any) -> dict[str, Any]:
    return {"service": {"id": service}, "recordedAt": AT, **values}


def lines(*rows: Any) -> bytes:
    return b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows)


async def send(client: Client, body: Any, plural: str = "servingMetrics", **headers: str) -> httpx.Response:
    name, _, query = plural.partition("?")
    sent = {"content-type": NDJSON} | {key.replace("_", "-"): value for key, value in headers.items()}
    return await client.http.post(f"/record/{name}{f'?{query}' if query else ''}", content=body, headers=sent)


async def count_of(sql: asyncpg.Connection, service: str) -> int:
    found: int = await sql.fetchval(
        "SELECT count(*) FROM ml_bentoml_serving_metrics WHERE service_id = $1::text::uuid", service
    )
    return found


async def test_rows_are_recorded_as_by_the_mutation(client: Client, sql: asyncpg.Connection, service: str) -> None:
    """Absent takes the default, null is null; the audit says the mutation."""
    rows = [metric(service, requestsTotal=7, errorTypes={"500": 3}), metric(service, requestsTotal=None)]
    answer = await send(client, lines(*rows, b"", b"  "), "servingMetrics?ids=true", Idempotency_Key='"k-1"')
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    body = answer.json()
    assert {name: body[name] for name in ("inserted", "updated", "kept", "differing", "replayed", "dryRun")} == {
        "inserted": 2, "updated": 0, "kept": 0, "differing": 0, "replayed": False, "dryRun": False,
    }  # fmt: skip
    assert len(body["ids"]) == 2
    found = await sql.fetch(
        "SELECT requests_total, error_types FROM ml_bentoml_serving_metrics WHERE service_id = $1::text::uuid "
        "ORDER BY requests_total",
        service,
    )
    assert [tuple(row) for row in found] == [(7, '{"500": 3}'), (None, "{}")]
    audit = await sql.fetchrow("SELECT * FROM gateway.recordings WHERE request_id = $1", answer.headers["x-request-id"])
    assert (audit["mutation"], audit["inserted"], audit["actor"]) == ("recordServingMetrics", 2, "anonymous")
    again = (await send(client, lines(*rows), "servingMetrics?ids=true", Idempotency_Key="k-1")).json()
    assert (again["replayed"], again["ids"]) == (True, body["ids"])
    by_graph = await record(client, "recordServingMetrics", rows, "ids", idempotencyKey="k-1")
    assert (by_graph["replayed"], by_graph["ids"]) == (True, body["ids"])
    assert await count_of(sql, service) == 2


async def test_a_dry_run_leaves_nothing(client: Client, sql: asyncpg.Connection, service: str) -> None:
    answer = await send(client, lines(metric(service)), "servingMetrics?dryRun=true&ids=true")
    assert (answer.json()["inserted"], answer.json()["dryRun"], answer.json()["ids"]) == (1, True, [])
    assert await count_of(sql, service) == 0


async def test_numbers_keep_their_digits(client: Client, sql: asyncpg.Connection) -> None:
    """JSON is kept as it is written, however large or precise a number is."""
    digits = b'{"big": 12345678901234567890123, "small": 0.10000000000000000001, "one": 1.0, "exp": 1E2}'
    service = str(await add(sql, "ml_bentoml_services"))
    line = b'{"service":{"id":"%s"},"errorTypes":%s}' % (service.encode(), digits)
    assert (await send(client, line)).status_code == 200
    stored = await sql.fetchval(
        "SELECT error_types::text FROM ml_bentoml_serving_metrics WHERE service_id = $1::text::uuid", service
    )
    assert json.loads(stored, parse_float=str, parse_int=str) == {
        "big": "12345678901234567890123", "small": "0.10000000000000000001", "one": "1.0", "exp": "100",
    }  # fmt: skip


WRONG = {
    "no JSON": (b"{", "MALFORMED", [], "is not JSON"),
    "no object": (b"[1]", "MALFORMED", [], "each line is one row"),
    "a key twice": (b'{"requestsTotal":1,"requestsTotal":2}', "MALFORMED", [], '"requestsTotal" twice'),
    "a key twice below": (b'{"errorTypes":{"a":1,"a":1}}', "MALFORMED", [], '"a" twice'),
    "NaN": (b'{"errorRate":NaN}', "MALFORMED", [], "is not JSON"),
    "infinite": (b'{"errorRate":1e999}', "INVALID_VALUE", ["errorRate"], "the number 1e999 is out of range"),
    "infinite in JSON": (
        b'{"errorTypes":{"a":[1e400]}}', "INVALID_VALUE", ["errorTypes", "a"], "the number 1e400 is out of range"
    ),
    "beside what is no JSON": (b'{"errorRate":1e999,}', "MALFORMED", [], "not JSON"),
    "many decimals in JSON": (b'{"errorTypes":{"a":1e-16384}}', "INVALID_VALUE", ["errorTypes", "a"], "16,383 digits"),
    "a large exponent of zero": (
        b'{"errorTypes":{"a":0e999999999999}}', "INVALID_VALUE", ["errorTypes", "a"], "exponents go up to"
    ),
    "not UTF-8": (b'{"metadata":"\xff"}', "MALFORMED", [], "is not JSON"),
    "a lone surrogate": (b'{"errorTypes":"\\ud800"}', "MALFORMED", [], "is not JSON"),
    "too deep": (b'{"errorTypes":' + b"[" * 60 + b"]" * 60 + b"}", "INVALID_VALUE", ["errorTypes"], "50 levels"),
    "too deep to be written": (
        b'{"errorTypes":' + b"[" * 300 + b"]" * 300 + b"}", "INVALID_VALUE", ["errorTypes"], "50 levels",
    ),
    "far too deep": (b'{"errorTypes":' + b"[" * 9_000 + b"]" * 9_000 + b"}", "MALFORMED", [], "is not JSON"),
    "an unknown field": (b'{"requests":1}', "UNKNOWN_FIELD", ["requests"], "has no field 'requests'"),
    "a text": (b'{"p50LatencyMs":"fast"}', "INVALID_VALUE", ["p50LatencyMs"], "is not a number"),
    "a big integer": (b'{"requestsTotal":2147483648}', "INVALID_VALUE", ["requestsTotal"], "32-bit"),
    "a huge integer": (b'{"requestsTotal":%s}' % (b"9" * 30), "INVALID_VALUE", ["requestsTotal"], "32-bit"),
    "a time": (b'{"recordedAt":"yesterday"}', "INVALID_VALUE", ["recordedAt"], "RFC 3339"),
    "two ways to name": (b'{"service":{"id":"1","nope":2}}', "INVALID_VALUE", ["service"], "exactly one"),
    "nothing named": (b'{"service":{}}', "INVALID_VALUE", ["service"], "exactly one"),
    "null": (b'{"service":null}', "VALUE_MISSING", ["service"], "it is null"),
    "NUL": (b'{"errorTypes":{"a":"\\u0000"}}', "INVALID_VALUE", ["errorTypes"], "NUL"),
    "no such row": (
        b'{"service":{"id":"00000000-0000-4000-8000-000000000000"}}', "NO_SUCH_ROW", ["service", "id"], "names no",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("written", [orjson.dumps, lambda row: json.dumps(row).encode()], ids=["dense", "with spaces"])
async def test_a_bad_row_is_named_exactly(
    name: str, written: Callable[[Any], bytes], client: Client, sql: asyncpg.Connection, service: str
) -> None:
    """Whether the lines around it are read together, as they are dense, or one by one."""
    line, code, path, words = WRONG[name]
    if line.startswith(b'{"') and b'"service"' not in line and code != "MALFORMED":
        line = line[:-1] + b',"service":{"id":"%s"}}' % service.encode()
    good = written(metric(service))
    answer = await send(client, lines(good, good, line, good))
    assert (answer.status_code, answer.json()["code"]) == (422, "ROWS_REJECTED"), answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    problems = answer.json()["rows"]
    assert any(
        (one["code"], one["row"], one["path"]) == (code, 2, ["rows", "2", *path]) and words in one["message"]
        for one in problems
    ), problems
    assert {one["row"] for one in problems} == {2}
    assert await count_of(sql, service) == 0


async def test_at_most_twenty_problems_are_told(client: Client, service: str) -> None:
    answer = await send(client, lines(*[metric(service, requestsTotal="x")] * 300))
    assert [one["row"] for one in answer.json()["rows"]] == list(range(20))


async def test_what_the_server_fills_is_no_input(client: Client) -> None:
    answer = await send(client, b'{"createdAt":"2026-01-01T00:00:00Z"}', "driftRecords")
    said = {one["message"] for one in answer.json()["rows"] if one["path"] == ["rows", "0", "createdAt"]}
    assert len(said) == 1
    assert "the gateway fills it; leave it out" in said.pop()


async def test_a_row_that_is_missing_something(client: Client) -> None:
    answer = await send(client, b'{"requestsTotal":1}')
    (problem,) = answer.json()["rows"]
    assert (problem["code"], problem["path"]) == ("VALUE_MISSING", ["rows", "0", "service"])


# -- conflicts and options ---------------------------------------------------------------------------------------------


async def test_conflicts_by_the_natural_key(client: Client, sql: asyncpg.Connection) -> None:
    study = str(await add(sql, "ml_hpo_studies"))
    row = {"study": {"id": study}, "trialNumber": 1, "state": "COMPLETE", "value": 0.5, "params": {}}
    first = await send(client, lines(row), "hpoTrials")
    assert first.status_code == 200, first.text
    assert (await send(client, lines(row), "hpoTrials?onConflict=KEEP")).json()["kept"] == 1
    taken = await send(client, lines(row), "hpoTrials")
    assert taken.json()["rows"][0]["code"] == "NOT_UNIQUE"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("servingMetrics?onConflict=KEEP", "no natural key"),
        ("hpoTrials?onConflict=MERGE", "not one of ERROR, KEEP, UPDATE"),
        ("hpoTrials?dryRun=yes", "neither true nor false"),
        ("hpoTrials?dry_run=true", "There is no option 'dry_run'"),
        ("hpoTrials?dryRun=true&dryRun=false", "'dryRun' is given twice"),
    ],
)
async def test_options_are_checked(query: str, words: str, client: Client) -> None:
    answer = await send(client, b"{}", query)
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")
    assert words in answer.json()["detail"]


async def test_names_and_methods_are_checked(client: Client) -> None:
    answer = await send(client, b"{}", "metrics")
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    assert "servingMetrics" in answer.json()["detail"]
    got = await client.http.get("/record/servingMetrics")
    assert (got.status_code, got.headers["allow"], got.json()["code"]) == (405, "POST", "METHOD_NOT_ALLOWED")


async def test_a_key_stands_for_one_batch(client: Client, service: str) -> None:
    assert (await send(client, lines(metric(service)), Idempotency_Key="k-2")).status_code == 200
    other = await send(client, lines(metric(service, requestsTotal=3)), Idempotency_Key="k-2")
    assert (other.status_code, other.json()["code"]) == (422, "INVALID_INPUT")
    assert other.json()["path"] == ["idempotencyKey"]


# -- bodies ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("members", [1, 3])
async def test_gzip(members: int, client: Client, sql: asyncpg.Connection, service: str) -> None:
    body = lines(*[metric(service)] * 6) + b"\n"
    part = len(body) // members
    packed = b"".join(gzip.compress(body[at : at + part]) for at in range(0, len(body), part))
    assert (await send(client, packed, Content_Encoding="gzip")).json()["inserted"] == 6


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (gzip.compress(b"\n" * 3_000_000), 413, "BODY_LIMIT"),
        (gzip.compress(b"") * 12_000, 413, "BODY_LIMIT"),
        (gzip.compress(b"\n" * 20_001), 413, "VALUE_LIMIT"),
        (gzip.compress(b"{}")[:-6], 400, "BAD_REQUEST"),
        (zlib.compress(b"{}"), 400, "BAD_REQUEST"),
        (b"", 422, "INVALID_INPUT"),
    ],
    ids=["a bomb", "members with nothing in them", "empty lines", "cut", "not gzip", "empty"],
)
async def test_bodies_of_gzip_are_bounded(body: bytes, status: int, code: str, client: Client) -> None:
    answer = await send(client, body, Content_Encoding="gzip")
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "application/json"}, 415),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": f"{NDJSON}; charset=latin-1"}, 415),
        ({"content-type": NDJSON, "content-encoding": "br"}, 415),
        ({"content-type": f"{NDJSON}; charset=utf-8"}, 422),
    ],
)
async def test_kinds_of_bodies(headers: dict[str, str], status: int, client: Client) -> None:
    answer = await client.http.post("/record/servingMetrics", content=b"{}", headers=headers)
    assert answer.status_code == status, answer.text


async def test_too_many_bytes_and_rows(client: Client, service: str) -> None:
    large = await send(client, b"x" * 200_001)
    assert (large.status_code, large.json()["code"], large.json()["limit"]) == (413, "BODY_LIMIT", 200_000)
    many = await send(client, b"{}\n" * 10_001)
    assert (many.status_code, many.json()["code"], many.json()["value"]) == (413, "VALUE_LIMIT", 10_001)


async def test_the_values_of_a_row_are_limited(client: Client, service: str) -> None:
    row = lines(metric(service, errorTypes="..."))
    many = await send(client, row.replace(b'"..."', b"[" + b",".join([b"[]"] * 60_001) + b"]"))
    (problem,) = many.json()["rows"]
    assert (problem["code"], problem["path"]) == ("INVALID_VALUE", ["rows", "0"])
    assert "holds more than 60,000 values" in problem["message"]
    texts = await send(client, row.replace(b'"..."', b'{"log": "%b"}' % (b"," * 125_000)), "servingMetrics?dryRun=true")
    assert texts.status_code == 200, texts.text


async def test_no_more_is_looked_up_than_is_told(client: Client, service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A suggestion takes half a millisecond, in which nothing else of the process runs."""
    looked: list[str] = []
    find = Suggestions.input_field

    def counted(self: Suggestions, type_: str, name: str) -> Suggestion | None:
        looked.append(name)
        return find(self, type_, name)

    monkeypatch.setattr(Suggestions, "input_field", counted)
    answer = await send(client, lines(metric(service, **{f"requestsTota{n}": n for n in range(100)})))
    assert [one["code"] for one in answer.json()["rows"]] == ["UNKNOWN_FIELD"] * 20
    assert len(looked) == 20


def test_long_lines_are_read_in_turns() -> None:
    parts = [b"x" * size for size in (40_000, 70_000, 300_000, 10)] + [b"y"] * 450
    found = list(slices(parts))
    lengths = [(0, 1), (1, 1), (2, 1), (3, 100), (103, 100), (203, 100), (303, 100), (403, 51)]
    assert [(first, len(part)) for first, part in found] == lengths
    assert [line for _, part in found for line in part] == parts


async def test_others_have_their_turn_between_parts_of_a_batch(
    own: Database, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver writes down the values of a statement at one go: no statement has more than 1,000 rows.

    Whatever else is done with each row is done with some rows at a time.
    """
    run, sizes = Transaction.run, []

    async def counted(self: Transaction, sql: str, values: Any = (), **options: Any) -> Any:
        sizes.append(max((len(one) for one in values if isinstance(one, list)), default=0))
        return await run(self, sql, values, **options)

    monkeypatch.setattr(Transaction, "run", counted)
    monkeypatch.setattr("schema.execution.time_slices.SLICE", 0.0)
    each, pieces = TimeSlices.each, []

    async def counted_pieces(self: TimeSlices, items: Any, work: Any) -> None:
        def one(place: int, item: Any) -> None:
            pieces.append(len(item) if isinstance(item, range) else len(item[1]))
            work(place, item)

        await each(self, items, one)

    monkeypatch.setattr(TimeSlices, "each", counted_pieces)
    async with serving(own.gateway_url) as client:
        rows = lines(*[metric(service, requestsTotal=1)] * 6_000)
        answer = await send(client, rows, "servingMetrics?ids=true", idempotency_key="in parts")
    assert answer.json()["inserted"] == 6_000
    assert sorted(sizes)[-7:] == [1] + [1_000] * 6
    assert max(pieces) == 250
    assert sum(pieces) >= 6 * 6_000  # values counted, lines read, fields, references, ids made and answered, the digest


async def test_batches_wait_for_each_other(own: Database, sql: asyncpg.Connection, service: str) -> None:
    """Each holds its lines and what was read of them; others are answered meanwhile."""
    async with serving(own.gateway_url, max_line_batches=1, queue_timeout=0.05) as client:
        body = lines(metric(service))
        async with sql.transaction():
            await sql.execute("SELECT 1 FROM ml_bentoml_services WHERE id = $1::text::uuid FOR UPDATE", service)
            first = asyncio.create_task(send(client, body))
            recordings = client.app.state.graphql.recordings
            await until(lambda: recordings.limiter.taken)
            second = await send(client, body)
            assert (second.status_code, second.json()["code"]) == (503, "OVERLOADED")
            assert second.headers["retry-after"] == "1"
            assert (await client.ask("{ __typename }"))["data"] == {"__typename": "Query"}
        assert (await first).status_code == 200
        assert not recordings.limiter.taken


async def test_a_client_that_stops_sending_holds_nothing(own: Database) -> None:
    async with serving(own.gateway_url, request_timeout=0.3) as client:

        async def half() -> AsyncIterator[bytes]:
            yield b'{"service":'
            await asyncio.Event().wait()

        answer = await send(client, half())
        assert (answer.status_code, answer.json()["code"]) == (408, "REQUEST_TIMEOUT")
        assert answer.headers["connection"] == "close"


# -- callers -----------------------------------------------------------------------------------------------------------


async def test_callers_need_the_scope_of_the_group(own: Database, service: str, sql: asyncpg.Connection) -> None:
    async with serving(own.gateway_url, **JWT) as base:
        body = lines(metric(service))
        assert (await send(base, body)).status_code == 401
        reader = await send(calling(base, token("viewer")), b"no JSON at all")
        assert (reader.status_code, reader.json()["code"]) == (403, "FORBIDDEN")
        assert "write:bentoml_tracking" in reader.json()["detail"]
        writer = await send(calling(base, token("write:bentoml_tracking")), body)
        assert writer.status_code == 200
        assert await sql.fetchval("SELECT actor FROM gateway.recordings ORDER BY recorded_at DESC LIMIT 1") == "ada"
        preview = await send(calling(base, token("preview")), body, "servingMetrics?dryRun=true")
        assert preview.status_code == 200


async def test_rows_cost_points(own: Database, service: str) -> None:
    async with serving(own.gateway_url, budget_per_minute=100) as client:
        first = await send(client, lines(*[metric(service)] * 80))
        assert first.status_code == 200
        second = await send(client, lines(*[metric(service)] * 80))
        assert (second.status_code, second.json()["code"]) == (429, "BUDGET_EXCEEDED")
        assert int(second.headers["retry-after"]) > 0


async def test_values_cost_points(own: Database, service: str) -> None:
    async with serving(own.gateway_url, budget_per_minute=100) as client:
        wide = await send(client, lines(metric(service, errorTypes={f"e{n}": n for n in range(4_000)})))
        assert (wide.status_code, wide.json()["code"]) == (429, "BUDGET_EXCEEDED")


async def test_rows_of_mutations_are_not_given_back(own: Database, service: str) -> None:
    query = "mutation($i: RecordServingMetricsInput!) { recordServingMetrics(input: $i) { __typename } }"
    async with serving(own.gateway_url, budget_per_minute=150) as client:
        first = await client.ask(query, i={"rows": [metric(service)] * 80})
        assert first["data"]["recordServingMetrics"]["__typename"] == "Recorded"
        second = await client.error(query, i={"rows": [metric(service)] * 80})
        assert second["code"] == "BUDGET_EXCEEDED"


async def test_values_of_patients_are_not_quoted(client: Client) -> None:
    answer = await send(client, b'{"assignedAt": "of-17", "unitId": {"a": "secret-1"}}', "assignments")
    assert {one["path"][-1] for one in answer.json()["rows"]} >= {"assignedAt", "unitId"}
    assert "secret-1" not in answer.text
    assert "of-17" not in answer.text

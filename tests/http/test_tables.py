"""Lists of rows as tables: CSV, lines of JSON and Arrow say what pages of GraphQL say, within the same limits."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import asyncpg
import httpx
import pyarrow as pa
import pytest
from pyarrow import ipc

from schema.catalogue.catalogue import Type
from schema.catalogue.from_models import catalogue
from tests.support.callers import JWT, calling, token
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect
from tests.support.sockets import Listening, listening, until

pytestmark = pytest.mark.slow

CSV = "text/csv"
LINES = "application/x-ndjson"
ARROW = "application/vnd.apache.arrow.stream"
FORMATS = [CSV, LINES, ARROW]
DEPLOYMENTS = "{ deployments { nodes { id deploymentName model { modelName modelVersion } } } }"


async def table(client: Client, query: str, media: str = LINES, **variables: Any) -> httpx.Response:
    body = {"query": query, "variables": variables}
    return await client.http.post("/graphql", json=body, headers={"accept": media})


async def lines(client: Client, query: str, **variables: Any) -> list[dict[str, Any]]:
    response = await table(client, query, **variables)
    assert response.status_code == 200, response.text
    rows = [json.loads(line) for line in response.text.split("\n")[:-1]]
    assert response.headers["x-rows"] == str(len(rows))
    return rows


def refused(response: httpx.Response, status: int, code: str) -> str:
    """The message of a request that was refused before anything of a table was sent."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/graphql-response+json")
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == code
    return str(error["message"])


def flat(row: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in row.items():
        if isinstance(value, dict):
            yield from flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def leaves(type_: Type) -> dict[str, list[str]]:
    """All columns of a type, the fields of its objects, and the name or the key of what its relations to one row lead
    to: names, with those of fields below them."""
    found: dict[str, list[str]] = {name: [] for name in type_.columns}
    found |= {name: list(one.leaves) for name, one in type_.objects.items()}
    for relation in type_.relations.values():
        if not relation.many and not catalogue()[relation.target].arguments:
            found[relation.name] = [next(iter(catalogue()[relation.target].columns))]
    return found


TYPES = [
    type_
    for type_ in catalogue()
    if type_.plural in catalogue().roots and not any(one.argument.required for one in type_.arguments.values())
]


async def test_every_list_has_the_values_of_its_pages(demo: Client) -> None:
    """All columns of all types, and of the rows that they lead to: no kind of column is said in another way."""
    compared = 0
    for type_ in TYPES:
        asked = leaves(type_)
        fields = " ".join(f"{name} {{ {' '.join(below)} }}" if below else name for name, below in asked.items())
        columns = [f"{name}.{one}" if one else name for name, below in asked.items() for one in below or [""]]
        query = f"{{ {type_.plural} {{ nodes {{ {fields} }} }} }}"
        paged = await demo.data(query.replace(type_.plural, f"{type_.plural}(first: 300)", 1))
        expected = paged[type_.plural]["nodes"]
        found = await lines(demo, query.replace(type_.plural, f"{type_.plural}(first: 300)", 1))
        assert len(found) == len(expected), type_.name
        for row, page in zip(found, expected, strict=True):
            assert list(row) == columns, type_.name
            for name, value in row.items():
                there: Any = page
                for key in name.split("."):
                    there = None if there is None else there[key]
                assert value == there, (type_.name, name)
                compared += 1
    assert compared > 10_000


async def test_the_formats_say_the_same(demo: Client) -> None:
    type_ = catalogue()["MonitoringAlert"]
    kept = [name for name in type_.columns if name != "id"]
    relation = next(one for one in type_.relations.values() if not one.many)
    query = f"{{ {type_.plural} {{ nodes {{ id {' '.join(kept)} {relation.name} {{ id }} }} }} }}"
    said = await lines(demo, query)
    read = csv.DictReader(io.StringIO((await table(demo, query, CSV)).text, newline=""))
    stream = ipc.open_stream((await table(demo, query, ARROW)).content)
    arrow = stream.read_all()
    texts, values = list(read), arrow.to_pylist()
    assert len(said) == len(texts) == len(values) > 0
    assert list(said[0]) == list(texts[0]) == arrow.column_names
    for row, text, value in zip(said, texts, values, strict=True):
        for name, there in row.items():
            field = arrow.schema.field(name).type
            if there is None:
                assert (text[name], value[name]) == ("", None)
            elif isinstance(there, bool):
                assert (text[name], value[name]) == (str(there).lower(), there)
            elif isinstance(there, int | float):
                assert (float(text[name]), value[name]) == (there, there)
            elif isinstance(there, list | dict):
                assert json.loads(text[name]) == json.loads(value[name]) == there
            elif field == pa.timestamp("us", "UTC"):
                assert text[name] == there == value[name].strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            else:
                assert text[name] == there == str(value[name])


@pytest.mark.parametrize(
    "asked",
    [
        "(first: 7)",
        "(last: 4)",
        "(orderBy: [{ field: DEPLOYMENT_NAME, direction: DESC }])",
        "(where: { model: { isChampion: { eq: true } } }, orderBy: [{ field: DEPLOYMENT_NAME }], first: 5)",
        "(first: 0)",
    ],
)
async def test_arguments_mean_what_they_mean_of_pages(demo: Client, asked: str) -> None:
    query = "{ deployments%s { nodes { id deploymentName } } }"
    size = "" if "first" in asked or "last" in asked else "first: 1000"
    paged = await demo.data(query % (asked if not size else f"{asked[:-1]}, {size})"))
    assert await lines(demo, query % asked) == paged["deployments"]["nodes"]


async def test_a_table_goes_on_behind_a_cursor_of_another(demo: Client) -> None:
    edges = "{ edges { at: cursor node { id } } }"
    query = f"query($after: String, $first: Int) {{ deployments(after: $after, first: $first) {edges} }}"
    whole = await lines(demo, query)
    some = await lines(demo, query, first=5)
    assert some == whole[:5]
    assert await lines(demo, query, after=some[-1]["at"]) == whole[5:]
    backward = f"query($b: String) {{ deployments(before: $b) {edges} }}"
    assert await lines(demo, backward, b=some[-1]["at"]) == whole[:4]


async def test_more_rows_than_a_page_can_have_in_one_table(module_many: Client) -> None:
    rows = await lines(module_many, "{ servingMetrics(first: 2500) { nodes { id } } }")
    assert len({row["id"] for row in rows}) == 2_500
    everything = await lines(module_many, "{ servingMetrics { nodes { id } } }")
    assert len(everything) == 3_000
    assert everything[:2_500] == rows


@pytest.fixture(scope="module")
async def many_database(template: Database, clone: Clone) -> AsyncIterator[Database]:
    """3,000 serving metrics of one service, and two rows of hard values."""
    async with clone(template) as copy:
        sql = await connect(copy.admin_url)
        try:
            await sql.execute("SET session_replication_role = replica")
            await sql.execute(
                """INSERT INTO ml_bentoml_serving_metrics (id, service_id, recorded_at, requests_total, avg_latency_ms)
                SELECT md5(n::text)::uuid, md5('service')::uuid, timestamptz '2026-06-01' - n * interval '1 second', n,
                    CASE n WHEN 1 THEN 'NaN' WHEN 2 THEN '-Infinity' ELSE n / 8.0 END
                FROM generate_series(1, 3000) AS n"""
            )
            await hard_values(sql)
        finally:
            await sql.close()
        yield copy


async def hard_values(sql: asyncpg.Connection) -> None:
    await sql.execute(
        "INSERT INTO ml_experiments (id, experiment_name, mlflow_experiment_id, prediction_target, description) VALUES "
        "(gen_random_uuid(), 'hard', 'h', 't', $1), (gen_random_uuid(), 'empty', 'e', 't', ''), "
        "(gen_random_uuid(), 'null', 'n', 't', NULL)",
        HARD,
    )


HARD = 'a "quoted", comma\nline\r\nand\ttab \\ backslash \\n \\\\ é \u2028 {"json": "\\u0041"}'


@pytest.fixture(scope="module")
async def module_many(many_database: Database) -> AsyncIterator[Client]:
    async with serving(many_database.gateway_url, keep_alive=5) as client:
        yield client


@pytest.fixture(scope="module")
async def heard(many_database: Database) -> AsyncIterator[Listening]:
    """A gateway on a port, whose tables may have 100,000 bytes."""
    async with listening(many_database.gateway_url, max_table_bytes=100_000) as gateway:
        yield gateway


async def test_hard_texts_and_nulls(module_many: Client) -> None:
    where = 'experimentName: { in: ["hard", "empty", "null"] }'
    query = f"{{ experiments(where: {{ {where} }}) {{ nodes {{ experimentName description }} }} }}"
    expected = {"hard": HARD, "empty": "", "null": None}
    assert {row["experimentName"]: row["description"] for row in await lines(module_many, query)} == expected
    arrow = ipc.open_stream((await table(module_many, query, ARROW)).content).read_all().to_pylist()
    assert {row["experimentName"]: row["description"] for row in arrow} == expected
    text = (await table(module_many, query, CSV)).text
    assert 'empty,""\n' in text
    assert "null,\n" in text
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert ["hard", HARD] in read


async def test_numbers_that_json_cannot_say(module_many: Client) -> None:
    query = "{ servingMetrics(first: 3) { nodes { avgLatencyMs } } }"
    beside = query.replace("{ avgLatencyMs }", "{ a: avgLatencyMs b: avgLatencyMs }")
    expected = [{"a": None, "b": None}, {"a": None, "b": None}, {"a": 0.375, "b": 0.375}]
    assert await lines(module_many, beside) == expected
    assert [row["avgLatencyMs"] for row in await lines(module_many, query)] == [None, None, 0.375]
    assert (await table(module_many, query, CSV)).text == "avgLatencyMs\nNaN\n-Infinity\n0.375\n"
    arrow = ipc.open_stream((await table(module_many, query, ARROW)).content).read_all().to_pylist()
    assert str(arrow[0]["avgLatencyMs"]) == "nan"
    assert arrow[1]["avgLatencyMs"] == float("-inf")


TIMES = [
    ("2026-06-01 12:30:00+00", "2026-06-01T12:30:00.000000Z"),
    ("2026-06-01 00:00:00.1+00", "2026-06-01T00:00:00.100000Z"),
    ("2026-06-01 00:00:00.12+00", "2026-06-01T00:00:00.120000Z"),
    ("1969-12-31 23:59:59.123+00", "1969-12-31T23:59:59.123000Z"),
    ("1899-12-31 23:59:59.1234+00", "1899-12-31T23:59:59.123400Z"),
    ("2026-06-01 02:00:00.12345+02", "2026-06-01T00:00:00.123450Z"),
    ("2026-06-01 00:00:00.000001+00", "2026-06-01T00:00:00.000001Z"),
    ("0001-01-01 00:00:00+00", "0001-01-01T00:00:00.000000Z"),
    ("9999-12-31 23:59:59.999999+00", "9999-12-31T23:59:59.999999Z"),
    (None, None),
]
UNSAID = ["infinity", "-infinity", "10000-01-01 00:00:00+00", "0044-03-15 00:00:00+00 BC"]
"""Times that the graph refuses."""


@pytest.fixture
async def timed(template: Database, clone: Clone) -> AsyncIterator[Listening]:
    """A gateway whose serving metrics have these times, by their number of requests."""
    async with clone(template) as copy:
        sql = await connect(copy.admin_url)
        try:
            await sql.execute("SET session_replication_role = replica")
            for number, time in enumerate([one for one, _ in TIMES] + UNSAID):
                await sql.execute(
                    f"""INSERT INTO ml_bentoml_serving_metrics (id, service_id, recorded_at, requests_total, memory_mb)
                    VALUES (md5('{number}')::uuid, md5('service')::uuid, $1::text::timestamptz, {number}, NULL)""",
                    time,
                )
        finally:
            await sql.close()
        async with listening(copy.gateway_url) as gateway:
            yield gateway


async def test_times_have_six_digits_whatever_they_are(timed: Listening) -> None:
    """As in pages; beside columns that hold nothing to be quoted, and beside one that does."""
    client = timed.client
    query = "{ servingMetrics(where: { requestsTotal: { lt: %d } }) { nodes { requestsTotal recordedAt %s } } }"
    paged = await client.data(query % (len(TIMES), ""))
    assert {one["requestsTotal"]: one["recordedAt"] for one in paged["servingMetrics"]["nodes"]} == dict(
        enumerate(said for _, said in TIMES)
    )
    for beside in ("", "errorTypes"):
        asked = query % (len(TIMES), beside)
        rows = await lines(client, asked)
        assert {row["requestsTotal"]: row["recordedAt"] for row in rows} == dict(enumerate(said for _, said in TIMES))
        texts = csv.DictReader(io.StringIO((await table(client, asked, CSV)).text, newline=""))
        assert [row["recordedAt"] or None for row in texts] == [row["recordedAt"] for row in rows]
        arrow = ipc.open_stream((await table(client, asked, ARROW)).content).read_all()
        values = [one and one.strftime("%Y-%m-%dT%H:%M:%S.%fZ").zfill(27) for one in arrow["recordedAt"].to_pylist()]
        assert values == [row["recordedAt"] for row in rows]


async def test_times_that_the_graph_refuses_are_as_postgres_says_them(timed: Listening) -> None:
    """In texts; Arrow has no such value and ends."""
    query = f"{{ servingMetrics(where: {{ requestsTotal: {{ gte: {len(TIMES)} }} }}) {{ nodes {{ recordedAt }} }} }}"
    assert {row["recordedAt"] for row in await lines(timed.client, query)} == set(UNSAID)
    assert set((await table(timed.client, query, CSV)).text.splitlines()[1:]) == set(UNSAID)
    with pytest.raises(httpx.RemoteProtocolError):
        await table(timed.client, query, ARROW)


async def test_one_column_keeps_its_nulls(timed: Listening) -> None:
    """A line of a null alone is an empty one."""
    client = timed.client
    query = "{ servingMetrics { nodes { memoryMb } } }"
    count = len(TIMES) + len(UNSAID)
    assert await lines(client, query) == [{"memoryMb": None}] * count
    assert (await table(client, query, CSV)).text == "memoryMb\n" + "\n" * count
    arrow = ipc.open_stream((await table(client, query, ARROW)).content).read_all()
    assert arrow.to_pylist() == [{"memoryMb": None}] * count


async def test_a_table_of_no_rows_has_its_columns(demo: Client) -> None:
    query = '{ models(where: { modelName: { eq: "no such model" } }) { nodes { id modelName } } }'
    response = await table(demo, query, CSV)
    assert (response.text, response.headers["x-rows"]) == ("id,modelName\n", "0")
    assert (await table(demo, query, LINES)).text == ""
    assert ipc.open_stream((await table(demo, query, ARROW)).content).read_all().column_names == ["id", "modelName"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("{ deployments { nodes { id } } models { nodes { id } } }", "2 fields at its root"),
        ("{ deployments { totalCount nodes { id } } }", "deployments.totalCount is beside the rows"),
        ("{ deployments { nodes { id } edges { cursor } } }", "asks for its rows 2 times"),
        ("{ deployments { nodes { __typename } } }", "asks for no field of its rows"),
        ("{ models { nodes { id deployments { nodes { id } } } } }", "deployments is a list in each row"),
        ("{ models { nodes { id lifecycle { state } } } }", "lifecycle is no column"),
        ('{ node(id: "Model:1") { id } }', "node is no list of rows"),
        ('{ search(text: "a") { __typename } }', "search is no list of rows"),
    ],
)
async def test_what_is_no_table_is_refused(demo: Client, query: str, said: str) -> None:
    assert said in refused(await table(demo, query, CSV), 400, "NOT_A_TABLE")


async def test_get_carries_tables(demo: Client) -> None:
    response = await demo.http.get("/graphql", params={"query": DEPLOYMENTS}, headers={"accept": CSV})
    assert response.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert response.headers["cache-control"] == "no-store"
    assert response.text.startswith("id,deploymentName,model.modelName,model.modelVersion\nDeployment:")


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (f"{CSV}, {LINES}, {ARROW}", CSV),
        (f"{CSV};q=0.5, {LINES};q=0.2, {ARROW};q=0.9", ARROW),
        (f"{CSV};q=0, {LINES}", LINES),
        (f"{CSV}, */*", CSV),
        (f"{CSV}, */*;q=0.1", CSV),
        (f"{CSV};q=0.5, */*", "application/graphql-response+json"),
        (f"{CSV}, application/json", "application/json"),
        (f"{CSV}, application/json;q=0.9", CSV),
        ("application/jsonl", LINES),
        ("text/*, application/xml", None),
    ],
)
async def test_the_format_is_negotiated(demo: Client, accept: str, media: str | None) -> None:
    response = await table(demo, "{ deployments(first: 1) { nodes { id } } }", accept)
    if media is None:
        message = refused(response, 406, "NOT_ACCEPTABLE")
        assert all(one in message for one in FORMATS)
    else:
        assert response.headers["content-type"].startswith(media)


async def test_without_pyarrow_arrow_is_refused(demo: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "gateway.operations.table_columns", raising=False)
    message = refused(await table(demo, DEPLOYMENTS, ARROW), 406, "NOT_ACCEPTABLE")
    assert "e2i-gateway[arrow]" in message
    assert (await table(demo, DEPLOYMENTS, CSV)).status_code == 200


async def test_tables_can_be_turned_off(demo_database: Database) -> None:
    async with serving(demo_database.gateway_url, max_tables=0) as client:
        assert "GATEWAY_MAX_TABLES" in refused(await table(client, DEPLOYMENTS, CSV), 406, "NOT_ACCEPTABLE")


async def test_too_many_rows_are_refused_before_it_begins(many_database: Database) -> None:
    async with serving(many_database.gateway_url, max_table_rows=2_999) as client:
        message = refused(await table(client, "{ servingMetrics { nodes { id } } }"), 400, "TABLE_LIMIT")
        assert "2,999" in message
        assert len(await lines(client, "{ servingMetrics(first: 2999) { nodes { id } } }")) == 2_999
        refused(await table(client, "{ servingMetrics(first: 3000) { nodes { id } } }"), 400, "BAD_USER_INPUT")


@pytest.mark.parametrize("media", FORMATS)
async def test_a_table_that_ends_in_the_middle_is_seen_to(heard: Listening, media: str) -> None:
    """Too many bytes end it: the connection breaks, and lines of JSON say why."""
    query, read = "{ servingMetrics { nodes { id recordedAt requestsTotal } } }", bytearray()

    async def until_it_breaks() -> None:
        async with heard.http.stream("POST", "/graphql", json={"query": query}, headers={"accept": media}) as response:
            assert response.status_code == 200
            async for part in response.aiter_raw():
                read.extend(part)

    with pytest.raises(httpx.RemoteProtocolError):
        await until_it_breaks()
    assert len(read) <= 101_000
    if media == LINES:
        (error,) = json.loads(read.splitlines()[-1])["errors"]
        assert error["extensions"]["code"] == "TABLE_LIMIT"
    assert (await heard.client.data("{ servingMetrics(first: 1) { nodes { id } } }"))["servingMetrics"]["nodes"]


async def test_a_client_that_leaves_ends_its_copy(many_database: Database) -> None:
    sql = await connect(many_database.admin_url)
    wide = " ".join(f"a{n}: errorTypes b{n}: id c{n}: recordedAt" for n in range(60))
    try:
        async with listening(many_database.gateway_url, pool_size=1, max_tables=1) as gateway:
            body = json.dumps({"query": f"{{ servingMetrics {{ nodes {{ {wide} }} }} }}"}).encode()
            head = (
                b"POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccept: text/csv\r\n"
            )
            reader, writer = await gateway.connect()
            writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            writer.transport.abort()
            copies = (
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE query LIKE 'COPY %' AND state = 'active' AND datname = current_database()"
            )

            async def ended() -> bool:
                return await sql.fetchval(copies) == 0

            while not await ended():
                await until(lambda: True)
            rows = await lines(gateway.client, "{ servingMetrics(first: 3) { nodes { id } } }")
            assert len(rows) == 3
    finally:
        await sql.close()


async def test_who_reads_a_table_byte_by_byte_holds_a_connection_for_so_long(many_database: Database) -> None:
    """Its time ends however slowly it reads, and whoever waits behind it is answered."""
    wide = " ".join(f"a{n}: errorTypes b{n}: id c{n}: recordedAt" for n in range(60))
    body = json.dumps({"query": f"{{ servingMetrics {{ nodes {{ {wide} }} }} }}"}).encode()
    head = b"POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccept: text/csv\r\n"
    async with listening(many_database.gateway_url, pool_size=1, max_tables=1, table_timeout=1.0) as gateway:
        reader, writer = await gateway.connect()
        writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")

        async def behind() -> httpx.Response:
            """An answer, however often its own time ends meanwhile."""
            while True:
                with suppress(httpx.RemoteProtocolError):  # its time has ended behind its head
                    response = await table(gateway.client, "{ servingMetrics(first: 3) { nodes { id } } }")
                    if response.status_code != 504:
                        return response

        answered = asyncio.create_task(behind())
        async with asyncio.timeout(60):
            while not answered.done():
                await reader.read(1)
                await asyncio.sleep(0.05)
        assert len((await answered).text.splitlines()) == 3
        with suppress(ConnectionError):
            while await reader.read(2**20):
                pass
        writer.close()


async def test_a_table_costs_as_much_as_its_pages(many_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.operations.budgets.monotonic", lambda: 1000.0)  # or a budget fills up meanwhile
    query, other = "{ servingMetrics%s { nodes { id recordedAt } } }", "{ tools(first: 1) { nodes { id } } }"
    async with serving(many_database.gateway_url, budget_per_minute=20_000, compiler=True) as client:
        page = (await client.cost(query % "(first: 1000)"))["requested"]
        before = await client.cost(other)
        await lines(client, query % "")
        after = await client.cost(other)
        paid = before["budget"]["remaining"] - after["budget"]["remaining"] - before["actual"]
        assert 3 * page - 10 <= paid <= 3 * page


async def test_a_small_budget_refuses_a_large_table_before_it_begins(many_database: Database) -> None:
    async with serving(many_database.gateway_url, budget_per_minute=2_000) as client:
        refused(await table(client, "{ servingMetrics { nodes { id } } }", CSV), 429, "BUDGET_EXCEEDED")
        assert len(await lines(client, "{ servingMetrics(first: 500) { nodes { id } } }")) == 500


async def test_scopes_decide_before_it_begins(demo_database: Database) -> None:
    async with serving(demo_database.gateway_url, **JWT) as client:
        viewer, everybody = calling(client, token("viewer")), calling(client, token("viewer", "patient"))
        units = "{ assignments(first: 5) { nodes { variant unitId } } }"
        assert len(await lines(viewer, units.replace("unitId", ""))) == 5
        refused(await table(viewer, units, CSV), 400, "FORBIDDEN_FIELD")
        by_unit = '{ assignments(where: { unitId: { contains: "a" } }) { nodes { variant } } }'
        refused(await table(viewer, by_unit, CSV), 400, "FORBIDDEN_FIELD")
        assert all(row["unitId"] for row in await lines(everybody, units))
        refused(await table(client, DEPLOYMENTS, CSV), 401, "UNAUTHENTICATED")

"""Values of tables: the extremes of every type in every format, as Postgres writes them and as GraphQL has them."""

from __future__ import annotations

import csv
import io
import json
import math
import random
import struct
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import pyarrow as pa
import pytest
from pyarrow import ipc

from gateway.operations import table_formats
from gateway.operations.table_columns import Block, new_mark
from gateway.operations.table_formats import ARROW, CSV, JSON_LINES
from schema.catalogue.catalogue import Type
from schema.catalogue.column_types import ColumnKind
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect
from tests.support.extremes import make_extreme
from tests.support.many_rows import tables

pytestmark = pytest.mark.slow


def covering() -> list[Type]:
    """Types of tables that have columns of all kinds together, those with the most kinds first."""
    kinds = {type_.name: {leaf.kind.name for leaf in type_.columns.values()} for type_ in tables()}
    found: list[Type] = []
    while missing := set().union(*kinds.values()) - set().union(*(kinds[type_.name] for type_ in found)):
        found.append(max(tables(), key=lambda type_: len(kinds[type_.name] & missing)))
    return found


TYPES = covering()


async def table(client: Client, query: str, media: str) -> httpx.Response:
    response = await client.http.post("/graphql", json={"query": query}, headers={"accept": media})
    assert response.status_code == 200, response.text
    return response


async def by_texts(client: Client, monkeypatch: pytest.MonkeyPatch, query: str, media: str) -> bytes:
    """The table of a gateway without the extra `arrow`."""
    with monkeypatch.context() as changed:
        changed.setitem(sys.modules, "gateway.operations.table_columns", None)
        return (await table(client, query, media)).content


def of(type_: Type, columns: list[str]) -> str:
    return f"{{ {type_.plural}(first: 300) {{ nodes {{ {' '.join(columns)} }} }} }}"


@pytest.fixture(scope="module")
async def extreme(demo_template: Database, clone: Clone) -> AsyncIterator[Client]:
    async with clone(demo_template) as copy:
        await make_extreme(copy, [type_.sql_name for type_ in TYPES])
        async with serving(copy.gateway_url) as client:
            yield client


def is_json(kind: ColumnKind) -> bool:
    return kind.is_list or kind.name in {"json", "vector"}


def compared(name: str, kind: ColumnKind, there: Any, line: Any, text: str) -> None:
    """A value of a page, beside those of a JSON line and of a cell of CSV."""
    assert line == there, name
    if is_json(kind) or isinstance(there, bool):
        assert (json.loads(text) if text else None) == there, name
    elif isinstance(there, int | float):
        assert (float if isinstance(there, float) else Decimal)(text) == there, name
    else:
        assert text == (there or ""), name


def in_arrow(there: Any, type_: pa.DataType) -> Any:
    """A value of a page in a type of Arrow."""
    if there is not None and pa.types.is_temporal(type_):
        return pa.scalar(there).cast(type_).as_py()
    return there


async def test_the_extremes_of_every_type_are_those_of_its_pages(
    extreme: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where GraphQL refuses a value, the texts are still those of Postgres."""
    values = refused = 0
    for type_ in TYPES:
        names = list(type_.columns)
        query = of(type_, names)
        page = await extreme.ask(query)
        errors = {tuple(one["path"][2:]) for one in page.get("errors", ())}
        assert len(errors) < 1000, type_.name
        rows = page["data"][type_.plural]["nodes"]
        lines, cells = [(await table(extreme, query, media)).content for media in (JSON_LINES, CSV)]
        assert lines == await by_texts(extreme, monkeypatch, query, JSON_LINES), type_.name
        assert cells == await by_texts(extreme, monkeypatch, query, CSV), type_.name
        said = [json.loads(line) for line in lines.decode().split("\n")[:-1]]
        texts = list(csv.DictReader(io.StringIO(cells.decode(), newline="")))
        assert len(rows) == len(said) == len(texts), type_.name
        whole = [name for name in names if not any(name in path or len(path) == 1 for path in errors)]
        arrow: list[Any] = [None] * len(rows)
        if whole:
            read = ipc.open_stream((await table(extreme, of(type_, whole), ARROW)).content).read_all()
            arrow = read.to_pylist()
        for place, (row, line, text) in enumerate(zip(rows, said, texts, strict=True)):
            for name in names if row else ():
                if (place, name) in {path[:2] for path in errors}:
                    refused += 1
                    continue
                compared(f"{type_.name}.{name}", type_.columns[name].kind, row[name], line[name], text[name])
                values += 1
            for name in whole if row else ():
                expected, found = in_arrow(row[name], read.schema.field(name).type), arrow[place][name]
                if is_json(type_.columns[name].kind):
                    found = None if found is None else json.loads(found)
                assert found == expected, (type_.name, name)
    assert values > 1_000
    assert refused > 20


@pytest.fixture(scope="module")
async def drawn(template: Database, clone: Clone) -> AsyncIterator[Client]:
    """Serving metrics of random bits: numbers of any size, times of any year, with nulls among them."""
    draw = random.Random(20)

    def number() -> float | None:
        kind = draw.randrange(5)
        if kind == 0:
            return None
        if kind == 1:
            return struct.unpack("d", draw.randbytes(8))[0]  # type: ignore[no-any-return]
        if kind == 2:
            return float(draw.randrange(-(10**6), 10**6))
        return draw.choice([-1, 1]) * round(draw.random(), draw.randrange(1, 17)) * 10.0 ** draw.randrange(-8, 20)

    rows = [
        (n, draw.randrange(-(2**31), 2**31), number(), number(), draw.randrange(-211_000_000_000, 9_000_000_000_000))
        for n in range(3_000)
    ]
    async with clone(template) as copy:
        sql = await connect(copy.admin_url)
        try:
            await sql.execute("SET session_replication_role = replica")
            await sql.executemany(
                """INSERT INTO ml_bentoml_serving_metrics
                    (id, service_id, requests_total, avg_latency_ms, error_rate, recorded_at)
                VALUES (md5($1::integer::text)::uuid, md5('service')::uuid, $2, $3, $4, CASE $1 % 50
                    WHEN 0 THEN 'infinity' WHEN 1 THEN '-infinity' WHEN 2 THEN '10000-01-01'
                    WHEN 3 THEN timestamptz '2000-01-01' + $5::bigint * interval '1 second 7 microseconds'
                    ELSE timestamptz '2026-06-01' - $1 * interval '1 hour 1 microsecond' END)""",
                rows,
            )
        finally:
            await sql.close()
        async with serving(copy.gateway_url) as client:
            yield client


@pytest.mark.parametrize("asked", ["id recordedAt requestsTotal", "id avgLatencyMs errorRate recordedAt memoryMb"])
@pytest.mark.parametrize("blocks", [(500, 3_000), table_formats.BLOCKS])
async def test_random_values_have_the_bytes_of_postgres(
    drawn: Client, monkeypatch: pytest.MonkeyPatch, asked: str, blocks: tuple[int, int]
) -> None:
    """Rows of equal width and of others, in blocks of few rows and of all."""
    monkeypatch.setattr(table_formats, "BLOCKS", blocks)
    query = f"{{ servingMetrics {{ nodes {{ {asked} }} }} }}"
    for media in (CSV, JSON_LINES):
        made = (await table(drawn, query, media)).content
        assert made.count(b"\n") == 3_000 + (media == CSV)
        assert made == await by_texts(drawn, monkeypatch, query, media)


async def test_random_numbers_in_arrow(drawn: Client) -> None:
    query = "{ servingMetrics { nodes { avgLatencyMs requestsTotal } } }"
    rows = [json.loads(line) for line in (await table(drawn, query, JSON_LINES)).text.splitlines()]
    arrow = ipc.open_stream((await table(drawn, query, ARROW)).content).read_all().to_pylist()
    for row in arrow:
        if row["avgLatencyMs"] is not None and not math.isfinite(row["avgLatencyMs"]):
            row["avgLatencyMs"] = None
    assert arrow == rows


def row_of(mark: bytes, *values: bytes | None) -> bytes:
    fields = [mark, *values]
    return struct.pack(">h", len(fields)) + b"".join(
        struct.pack(">i", -1) if one is None else struct.pack(">i", len(one)) + one for one in fields
    )


def test_a_value_that_looks_like_a_row_is_none() -> None:
    """Marks are not guessed; a row whose text has its mark nevertheless fails, and is not read as two."""
    mark = new_mark()
    text = row_of(new_mark(), b"a")
    rows = [row_of(mark, text), row_of(mark, None), row_of(mark, b"")]
    block = Block(b"".join(rows), mark)
    assert block.column("text").cast(pa.binary()).to_pylist() == [text, None, b""]
    block.end()
    guessed = Block(row_of(mark, row_of(mark, b"a")) + row_of(mark, b"b"), mark)
    guessed.column("text")
    with pytest.raises(ValueError, match="have gaps"):
        guessed.end()

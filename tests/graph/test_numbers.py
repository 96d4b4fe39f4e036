"""Numbers out of range are refused where they stand, by one rule, and equal ones are one input in every notation."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import pytest

from tests.graph.test_values import raw
from tests.support.changing import add
from tests.support.client import Client, serving
from tests.support.databases import Database

pytestmark = pytest.mark.slow

DECIMALS = "is out of range: numbers have up to 16,383 digits after the point"
WRONG = {
    "1e-16384": DECIMALS,
    "0e-99999": DECIMALS,
    f"0.{'1' * 17_000}": DECIMALS,
    f"0.{'0' * 16_384}": DECIMALS,
    "0e999999999999": "is out of range: exponents go up to",
}
HELD = ["1e-16383", "0e99999999", f"0.{'1' * 16_383}", "1e-400", "1E0000000000000000000002", "-0.0", "1e308"]
FILTER = "query($w: ModelWhere) { models(where: $w) { totalCount } }"
LITERAL = "{ models(where: {hyperparameters: {contains: {a: [0, %s]}}}) { totalCount } }"
RECORD = 'mutation { recordServingMetrics(input: {rows: [{service: {id: "%s"}, errorTypes: {a: %s}}]}) { __typename } }'


@pytest.mark.parametrize("text", WRONG)
async def test_a_number_in_json_is_refused_where_it_stands(demo: Client, text: str) -> None:
    (error,) = (await demo.ask(LITERAL % text))["errors"]
    assert error["extensions"]["argument"] == "where.hyperparameters.contains.a[1]"
    assert error["locations"] == [{"line": 1, "column": LITERAL.index("%s") + 1}]
    assert WRONG[text] in error["message"]
    (error,) = (await raw(demo, FILTER, f'{{"w": {{"hyperparameters": {{"contains": {{"a": {text}}}}}}}}}'))["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "argument": "$w.hyperparameters.contains.a"}
    assert WRONG[text] in error["message"]
    (error,) = (await demo.ask(RECORD % ("x", text)))["errors"]
    assert error["extensions"]["argument"] == "input.rows[0].errorTypes.a"
    assert WRONG[text] in error["message"]


async def test_what_postgres_reads_is_not_refused(database: Database, sql: asyncpg.Connection) -> None:
    service = await add(sql, "ml_bentoml_services")
    async with serving(database.gateway_url) as client:
        for text in HELD:
            await client.data(LITERAL % text)
            assert "errors" not in await raw(client, FILTER, f'{{"w": {{"hyperparameters": {{"contains": {text}}}}}}}')
            await client.data(RECORD % (service, text))
            line = f'{{"service": {{"id": "{service}"}}, "errorTypes": {{"a": {text}}}}}'
            headers = {"content-type": "application/x-ndjson"}
            answer = await client.http.post("/record/servingMetrics", content=line, headers=headers)
            assert answer.status_code == 200, answer.text
        assert await sql.fetchval("SELECT count(*) FROM ml_bentoml_serving_metrics") == 2 * len(HELD)


async def test_a_float_of_too_many_digits_is_refused_by_columns_that_cannot_hold_it(demo: Client) -> None:
    """A column of doubles rounds it; zeros at its end are no digits."""
    long = f"0.{'1' * 17_000}"
    for operator, value in (("lt", long), ("in", f"[0.5, {long}]")):
        answer = await raw(demo, FILTER, f'{{"w": {{"auc": {{"{operator}": {value}}}}}}}')
        assert answer["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT", "argument": f"where.auc.{operator}"}
        assert DECIMALS in answer["errors"][0]["message"]
    for held in ("0e-99999", f"0.5{'0' * 17_000}"):
        await demo.data(f"{{ models(where: {{auc: {{lt: {held}}}}}) {{ totalCount }} }}")
    change = (
        'mutation { completeRetraining(input: {id: "00000000-0000-4000-8000-000000000000", newModelVersion: "1", '
        f"newMetricValue: {long}}}) {{ __typename ... on InvalidInput {{ field message }} }} }}"
    )
    result = (await demo.data(change))["completeRetraining"]
    assert (result["__typename"], result["field"]) == ("InvalidInput", "newMetricValue")
    assert DECIMALS in result["message"]


KEYED = """mutation { recordServingMetrics(input: {idempotencyKey: "%s", rows: [
    {service: {id: "%s"}, errorRate: %s, errorTypes: {a: [%s]}}]}) {
        __typename ... on Recorded { replayed } ... on Problem { message } } }"""


@pytest.mark.parametrize("compiler", [True, False])
async def test_equal_numbers_are_one_input(database: Database, sql: asyncpg.Connection, *, compiler: bool) -> None:
    service = await add(sql, "ml_bentoml_services")
    spellings: list[list[str]] = [
        ["1", "1.0", "1e0", "1.00", "10E-1", "0.1e1"],
        ["0.5", "0.50", "5e-1", "500e-3"],
        ["0", "0.0", "0e5", "0e-16000"],
        ["1e-7", "0.0000001", "0.10e-6"],
    ]
    others = "0.123456789012345678901234", "0.1234567890123456789012340"

    async with serving(database.gateway_url, compiler=compiler) as client:

        async def recorded(key: str, rate: str, item: str) -> Any:
            return (await client.data(KEYED % (key, service, rate, item)))["recordServingMetrics"]

        for equal in [*spellings, list(others)]:
            first, *rest = equal
            assert await recorded(first, first, first) == {"__typename": "Recorded", "replayed": False}
            for one in rest:
                assert await recorded(first, one, first) == {"__typename": "Recorded", "replayed": True}, one
                assert await recorded(first, first, one) == {"__typename": "Recorded", "replayed": True}, one
        for other in ("0.5000000000000000000000000001", "0.25"):
            assert (await recorded("0.5", other, "0.5"))["__typename"] == "InvalidInput"
            assert (await recorded("0.5", "0.5", other))["__typename"] == "InvalidInput"
        stored = await sql.fetch("SELECT error_types::text FROM ml_bentoml_serving_metrics")
        assert {one[0] for one in stored} >= {f'{{"a": [{equal[0]}]}}' for equal in spellings[:2]}


async def test_what_is_stored_keeps_its_notation(database: Database, sql: asyncpg.Connection) -> None:
    service = await add(sql, "ml_bentoml_services")
    async with serving(database.gateway_url) as client:
        await client.data(KEYED % ("k", service, "1.0", "1, 1.0, 1.50, 2.0"))
    stored = await sql.fetchval("SELECT error_types::text FROM ml_bentoml_serving_metrics")
    assert stored == json.dumps({"a": [1, 1.0, "1.50", 2.0]}).replace('"1.50"', "1.50")

"""A table is refused with the error that JSON has: code, message, argument, path and locations."""

from __future__ import annotations

import pytest

from tests.support.client import Client

pytestmark = pytest.mark.slow

BAD_PATHS = ["@", "last", '$ ? (@ like_regex "(")', '$ ? (@ like_regex "a" flag "x")', "$ ? (@ > 1e-99999)", "$x"]
CURSOR = "WyJNb2RlbCIsICItY3JlYXRlZF9hdCwtaWQiLCBbIngiLCAieSJdXQ"


@pytest.mark.parametrize(
    "arguments",
    [
        "where: {hyperparameters: {contains: {a: 1e-20000}}}",
        "where: {rowId: null}",
        "where: {and: null}",
        'after: "x"',
        f'after: "{CURSOR}"',
    ],
)
@pytest.mark.parametrize("media", ["text/csv", "application/x-ndjson"])
async def test_a_wrong_argument(demo: Client, arguments: str, media: str) -> None:
    await same(demo, f"{{ other: models({arguments}) {{ nodes {{ id }} }} }}", media)


@pytest.mark.parametrize("path", BAD_PATHS)
@pytest.mark.parametrize("media", ["text/csv", "application/x-ndjson"])
async def test_a_wrong_json_path(demo: Client, path: str, media: str) -> None:
    for where in (
        {"hyperparameters": {"path": path}},
        {"or": [{"hyperparameters": {"path": "$.a"}}, {"trainingRuns": {"some": {"hyperparameters": {"path": path}}}}]},
    ):
        await same(demo, "query($w: ModelWhere) {\n  models(where: $w) { nodes { id } } }", media, w=where)


async def same(client: Client, query: str, media: str, **variables: object) -> None:
    said = (await client.ask(query, **variables))["errors"]
    body = {"query": query, "variables": variables}
    answer = await client.http.post("/graphql", json=body, headers={"accept": media})
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"] == said
    assert said[0]["extensions"]["argument"]
    assert said[0]["locations"]
    assert "\n" not in said[0]["message"]


async def test_a_field_that_is_no_column_is_located(demo: Client) -> None:
    query = "{ models { nodes { id deployments { totalCount } } } }"
    answer = await demo.http.post("/graphql", json={"query": query}, headers={"accept": "text/csv"})
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "NOT_A_TABLE"
    assert error["path"] == ["models", "nodes", "deployments"]
    assert error["locations"] == [{"line": 1, "column": query.index("deployments") + 1}]

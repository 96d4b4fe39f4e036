"""The subgraph composed by Apollo's composition with two others that extend its types, and asked by Apollo's gateway.

`make test-federation` installs both from npm; without them these tests are skipped with a word.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from schema.schema import subgraph
from tests.support.callers import JWT, token
from tests.support.client import Client
from tests.support.databases import Database
from tests.support.sockets import listening

pytestmark = pytest.mark.slow

APOLLO = Path(__file__).parents[1] / "supergraph"
INSTALLED = shutil.which("node") and (APOLLO / "node_modules" / "@apollo" / "gateway").exists()


async def composed(**given: Any) -> dict[str, Any]:
    """What the script says of these."""
    if not INSTALLED:
        pytest.skip("Node.js or Apollo's gateway is not there: `make test-federation` installs it where there is npm")
    pipe = asyncio.subprocess.PIPE
    node = await asyncio.create_subprocess_exec(
        "node", "supergraph.js", cwd=APOLLO, stdin=pipe, stdout=pipe, stderr=pipe
    )
    async with asyncio.timeout(300):
        out, err = await node.communicate(json.dumps(given).encode())
    assert node.returncode == 0, err.decode()[-3000:]
    said: dict[str, Any] = json.loads(out)
    return said


@pytest.fixture(scope="module")
async def rows(demo: Client) -> dict[str, Any]:
    return await demo.data(
        "{ models(first: 4) { nodes { id modelName modelVersion } } twinSimulations(first: 2) { nodes { id } } }"
    )


@pytest.fixture(scope="module")
async def answers(demo_database: Database, rows: dict[str, Any]) -> dict[str, Any]:
    """What the supergraph answers, by the name of the operation."""
    asked: dict[str, dict[str, Any]] = {
        "noted": {"query": "{ noted { modelName modelVersion notes { text } } }"},
        "released": {"query": "{ releases { tag model { id stage releaseNotes notes { text } } } }"},
        "paged": {
            "query": "query($first: Int) { models(first: $first) { nodes { id releaseNotes notes { text } } "
            "pageInfo { hasNextPage endCursor } } }",
            "variables": {"first": 3},
        },
        "budgets": {"query": "{ twinSimulations(first: 2) { nodes { id budget } } }"},
        "shared": {
            "query": "query($id: ID!) { node(id: $id) { ... on Model { modelName notes { text } } } }",
            "variables": {"id": rows["models"]["nodes"][0]["id"]},
        },
        "refused": {
            "query": "{ noted { modelName } twinSimulations(first: 1) { nodes { id budget } } }",
            "authorization": f"Bearer {token('read:mlops_core')}",
        },
        "unauthenticated": {"query": "{ noted { modelName } }", "authorization": "Bearer x"},
    }
    reader = f"Bearer {token('viewer')}"
    async with listening(demo_database.gateway_url, federation=True, **JWT) as gateway:
        said = await composed(
            sdl=subgraph(),
            url=f"http://127.0.0.1:{gateway.port}/graphql",
            noted=[one["id"] for one in rows["models"]["nodes"]],
            releases=[{name: one[name] for name in ("modelName", "modelVersion")} for one in rows["models"]["nodes"]],
            operations=[{"authorization": reader, **one} for one in asked.values()],
        )
    assert "errors" not in said, said["errors"][:3]
    return dict(zip(asked, said["answers"], strict=True))


def data(answer: dict[str, Any]) -> dict[str, Any]:
    assert "errors" not in answer, answer["errors"]
    found: dict[str, Any] = answer["data"]
    return found


async def test_another_subgraph_names_rows_by_their_ids(answers: dict[str, Any], rows: dict[str, Any]) -> None:
    assert data(answers["noted"])["noted"] == [
        {
            "modelName": one["modelName"],
            "modelVersion": one["modelVersion"],
            "notes": [{"text": f"a note on {one['id']}"}],
        }
        for one in rows["models"]["nodes"]
    ]


async def test_another_subgraph_names_rows_by_what_else_is_unique(
    answers: dict[str, Any], rows: dict[str, Any]
) -> None:
    found = [one["model"] for one in data(answers["released"])["releases"]]
    assert [(one["id"], one["releaseNotes"], one["notes"][0]["text"]) for one in found] == [
        (one["id"], f"{one['modelName']} at {one['modelVersion']}", f"a note on {one['id']}")
        for one in rows["models"]["nodes"]
    ]
    assert all(one["stage"] for one in found)


async def test_pages_of_rows_are_extended(answers: dict[str, Any], rows: dict[str, Any]) -> None:
    page = data(answers["paged"])["models"]
    assert [one["id"] for one in page["nodes"]] == [one["id"] for one in rows["models"]["nodes"][:3]]
    assert all(one["notes"] and one["releaseNotes"] for one in page["nodes"])
    assert page["pageInfo"]["endCursor"]
    budgets = data(answers["budgets"])["twinSimulations"]["nodes"]
    assert [one["budget"] for one in budgets] == [len(one["id"]) for one in budgets]


async def test_a_row_by_its_id_is_extended(answers: dict[str, Any], rows: dict[str, Any]) -> None:
    first = rows["models"]["nodes"][0]
    node = data(answers["shared"])["node"]
    assert node == {"modelName": first["modelName"], "notes": [{"text": f"a note on {first['id']}"}]}


async def test_rights_are_those_of_the_routers_caller(answers: dict[str, Any]) -> None:
    refused = answers["refused"]
    assert all(one["modelName"] for one in refused["data"]["noted"])
    assert refused["data"]["twinSimulations"] is None
    assert {one["extensions"]["code"] for one in refused["errors"]} == {"FORBIDDEN_FIELD"}
    assert answers["unauthenticated"]["data"] in (None, {"noted": [{"modelName": None}] * 4})
    assert answers["unauthenticated"]["errors"]

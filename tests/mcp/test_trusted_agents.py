"""Agents where only trusted documents are answered: the tools' own are, and those of agents if they are trusted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from tests.support.agents import Agent
from tests.support.client import serving
from tests.support.databases import Database

TRUSTED = "query Some($n: Int) { models(first: $n) { nodes { id modelName } } }"
PROMOTING = (
    "mutation P($i: PromoteModelInput!) { ...M } fragment M on Mutation { promoteModel(input: $i) { __typename } }"
)
OTHER = "{ models { nodes { id } } }"
NOWHERE = "Model:00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
async def agent(own: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Agent]:
    path = tmp_path_factory.mktemp("trusted") / "documents.json"
    path.write_text(json.dumps({"some": TRUSTED, "promoting": PROMOTING}))
    settings = {"trusted_documents": "only", "trusted_documents_path": path, "trusted_documents_console": False}
    async with serving(own.gateway_url, mcp="change", **settings) as client:
        yield Agent(client)


async def test_the_documents_of_tools_are_the_gateways_own(agent: Agent) -> None:
    assert (await agent.call("answer", question="models_at_risk"))["data"]
    rows = (await agent.call("find", text="kisqali"))["data"]["rows"]
    assert rows
    assert (await agent.call("lineage", ids=[rows[0]["id"]]))["data"]["outline"]
    assert (await agent.call("similar", kind="episodes", text="discontinuation"))["data"]["by"] == "words"


async def test_query_takes_trusted_documents_alone(agent: Agent) -> None:
    envelope = await agent.call("query", query=TRUSTED, variables={"n": 2})
    assert len(envelope["data"]["models"]["nodes"]) == 2
    assert envelope["more"][0]["after"]
    failure = await agent.fails("query", query=OTHER)
    assert failure["error"] == "DOCUMENT_NOT_TRUSTED"
    assert "trusted document" in failure["errors"][0]["try"]


async def test_what_may_be_changed_stands_in_a_trusted_document(agent: Agent) -> None:
    wrong = {"mutation": "dismissAlert", "id": "MonitoringAlert:x", "input": {}}
    failure = await agent.fails("preview_change", steps=[wrong])
    assert failure["error"] == "DOCUMENT_NOT_TRUSTED"
    assert failure["errors"][0]["try"] == "Use one of: promoteModel."
    step = {"mutation": "promoteModel", "id": NOWHERE, "input": {"to": "STAGING"}}
    assert (await agent.fails("preview_change", steps=[step]))["error"] == "NOT_FOUND"


async def test_what_a_client_sends_is_never_the_gateways_own(agent: Agent) -> None:
    """`own` is no parameter of a request."""
    response = await agent.client.http.post("/graphql", json={"query": OTHER, "own": True, "extensions": {"own": True}})
    assert response.json()["errors"][0]["extensions"]["code"] == "DOCUMENT_NOT_TRUSTED"


async def test_without_introspection_no_advice_names_a_tool_that_is_not_there(own: Database) -> None:
    async with serving(own.gateway_url, introspection=False) as client:
        hidden = Agent(client)
        for query in (
            "{ models { nodes { nam } } }",
            "{ __schema { types { name } } }",
            "{ models(fist: 1) { totalCount } }",
        ):
            failure = json.dumps(await hidden.fails("query", query=query))
            assert "find_fields" not in failure
            assert "describe_type" not in failure

"""A client of the gateway for tests: the real application over ASGI, with its lifespan, on a given database."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.applications import Starlette

from db.engine.url import database_url
from gateway.app import create_app
from gateway.operations.service import OperationService
from gateway.settings import Settings


class Client:
    """Asks the graph; what it returns is what went over HTTP."""

    def __init__(self, http: httpx.AsyncClient, app: Starlette) -> None:
        self.http = http
        self.app = app

    @property
    def compiles(self) -> bool:
        """Whether the gateway answers by compiled statements; ``GATEWAY_COMPILER=off`` runs all tests without."""
        endpoint: OperationService = self.app.state.graphql
        return endpoint.plans.compiles

    def statements(self, loaders: int) -> int:
        """How many statements a query costs that the loaders answer by this many, where all of it is compiled."""
        return min(loaders, 1) if self.compiles else loaders

    async def post(self, query: str, **variables: Any) -> httpx.Response:
        return await self.http.post("/graphql", json={"query": query, "variables": variables})

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer, errors included."""
        answer: dict[str, Any] = (await self.post(query, **variables)).json()
        return answer

    async def data(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of an answer that must have no errors."""
        answer = await self.ask(query, **variables)
        assert "errors" not in answer, answer["errors"][:3]
        data: dict[str, Any] = answer["data"]
        return data

    async def cost(self, query: str, **variables: Any) -> dict[str, Any]:
        """The cost of an answer that must have no errors."""
        answer = await self.ask(query, **variables)
        assert "errors" not in answer, answer["errors"][:3]
        cost: dict[str, Any] = answer["extensions"]["cost"]
        return cost

    async def error(self, query: str, **variables: Any) -> dict[str, Any]:
        """The one error of an answer, with ``code`` beside its message."""
        answer = await self.ask(query, **variables)
        assert len(answer.get("errors", [])) == 1, answer
        error: dict[str, Any] = answer["errors"][0]
        return error | {"code": error["extensions"]["code"]}


@asynccontextmanager
async def serving(url: str, **settings: Any) -> AsyncIterator[Client]:
    """The application on a database, ready to be asked."""
    app = create_app(Settings(**settings), database_url(url))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            yield Client(http, app)


def same(one: Any, other: Any, within: float = 0.0) -> bool:
    """Equal as JSON: 1 and 1.0 are one number, true is none; keys come in one order. ``within`` is a part of 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key], within) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(*pair, within) for pair in zip(one, other, strict=True))
    if within and {type(one), type(other)} in ({float}, {float, int}):  # a whole sum is written as an integer
        return math.isclose(one, other, rel_tol=within, abs_tol=within)
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)

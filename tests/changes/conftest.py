"""What the tests of changes share: a gateway over the file's own copy of the demo data, and its owner's connection."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.support.client import Client, serving
from tests.support.databases import Database, connect


@pytest.fixture(scope="module")
async def client(own: Database) -> AsyncIterator[Client]:
    async with serving(own.gateway_url) as client:
        yield client


@pytest.fixture
async def sql(own: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(own.owner_url)
    yield connection
    await connection.close()

"""What the tests of recording share: a file's own copy of the database, a gateway over it, an admin's connection."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect


@pytest.fixture(scope="module")
async def own(template: Database, clone: Clone) -> AsyncIterator[Database]:
    async with clone(template) as copy:
        yield copy


@pytest.fixture(scope="module")
async def client(own: Database) -> AsyncIterator[Client]:
    async with serving(own.gateway_url) as client:
        yield client


@pytest.fixture
async def sql(own: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(own.admin_url)
    yield connection
    await connection.close()

"""Bad input is told alike on a server whose messages are in another language: its sentences decide nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.graph.test_bad_input import *  # noqa: F403 - its tests run here once more, on this `demo`
from tests.support.client import Client, serving
from tests.support.databases import Database
from tests.support.foreign import speaking_another_language

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
async def demo(demo_database: Database) -> AsyncIterator[Client]:
    async with speaking_another_language(demo_database.gateway_url) as url, serving(url) as client:
        yield client

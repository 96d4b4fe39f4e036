"""Bad input is told alike on a server whose messages are in another language: its sentences decide nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from client import Client, serving
from conftest import Database
from foreign import speaking_another_language
from test_bad_input import *  # noqa: F403 - its tests run here once more, on this `demo`


@pytest.fixture(scope="module")
async def demo(demo_database: Database) -> AsyncIterator[Client]:
    async with speaking_another_language(demo_database.gateway_url) as url, serving(url) as client:
        yield client

"""What people read on a terminal fits a screen of 24 rows by 80 columns, on the platform's database as on our own."""

from __future__ import annotations

import pytest

from db.attach.report import attach_and_tell
from db.engine.url import database_url
from gateway.doctor.examine import examine
from gateway.doctor.findings import as_text
from gateway.settings import Settings
from tests.support.databases import Clone, Database

pytestmark = pytest.mark.slow

ROWS, COLUMNS = 24, 80


def rows(text: str) -> int:
    """The rows that a text takes, with the prompt after it."""
    return 1 + sum(max(1, -(-len(line) // COLUMNS)) for line in text.splitlines())


async def test_attach_and_doctor_fit_a_screen(
    platform_template: Database, demo_template: Database, clone: Clone
) -> None:
    for template in (platform_template, demo_template):
        async with clone(template) as copy:
            urls = [database_url(copy.owner_url), database_url(copy.gateway_url)]
            told = [as_text(await examine(Settings(), url)) for url in urls]
            told.append((await attach_and_tell(urls[0])).text())
            told += [as_text(await examine(Settings(), url)) for url in urls]
        assert [text for text in told if rows(text) > ROWS] == []

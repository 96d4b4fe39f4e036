"""Prices are within a factor of what Postgres reads, for the questions of `make bench-growth` at their least size."""

from __future__ import annotations

import pytest

from tests.bench import growth, history
from tests.bench.prices import SHARE, Prices, table
from tests.bench.questions import questions
from tests.support.databases import Clone, Database, connected

pytestmark = pytest.mark.slow  # it fills tables with 120,000 rows, and runs each question twice

ROWS = 120_000


@pytest.mark.migrated("prices depend on indexes, and the platform has others")
async def test_prices_are_of_what_is_read(demo_template: Database, clone: Clone) -> None:
    async with clone(demo_template) as copy, connected(copy.admin_url) as sql:
        await history.add_parents(sql)
        await history.grow(sql, 0, ROWS)
        asked = await questions(sql)
        found = await growth.taken("small", sql, copy.gateway_url, asked)
    priced = growth.priced(Prices(), asked, found.facts, growth.points(found))
    lines, share = table("points", priced)
    assert len(priced) > 30
    assert sum(one.read > 1_000 for one in priced) > 15
    assert share >= SHARE, "\n".join(lines)

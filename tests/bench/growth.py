"""`make bench-growth`: what questions read of a database, and of the same database with a longer history.

Questions that are marked flat must read no more than `MOST` times as many buffers when every table that grows has
`TIMES` times its rows, at the same number of rows a day, and again when the largest tables are partitioned by month:
else it ends with 1. The others are shown beside them. The prices of all are compared with what is read, at both sizes
and, by statistics that are prolonged, at ten times the larger one; it ends with 1 as well if fewer than `prices.SHARE`
are right.

Statements are those that the gateway sends, explained by Postgres; their times are shown, not judged. The database is
made anew each time in a folder that is thrown away: half an hour and 20 GB for 20 million rows (``--rows``).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from db.attach.facts import Facts
from db.embedded.server import GATEWAY_ROLE, OWNER_ROLE, start
from db.migrations.partition import partition
from db.store import alerts, own_rows
from gateway.operations.service import OperationService
from tests.bench import history
from tests.bench.prices import SHARE, Priced, Prices, Work, foreseen, prolonged, work
from tests.bench.prices import table as table_of_prices
from tests.bench.questions import Question, questions
from tests.support.client import serving
from tests.support.plans import Statement, recording
from tests.support.rollups import make, sum_up

DATABASE = "growth"
MOST = 1.5
LEAST = 20
"""Buffers below which a question is flat whatever it reads."""
TIMES = 20
FURTHER = 10
"""How many times the larger size prices are also looked at."""
A_MONTH = 6
"""Buffers that a list may read of each month of a partitioned table: the way down an index, and a row."""
PARTITIONED = ("ml_bentoml_serving_metrics", "ml_observability_spans")
SETTINGS = {"max_cost": 10**9, "max_answer_bytes": 10**9, "statement_timeout": 20, "request_timeout": 60}
"""Of a gateway that refuses nothing; a statement is known even if it does not end in time."""


@dataclass
class Taken:
    """What was found at one size: the work of each question, and what is known of the database for prices."""

    title: str
    facts: Facts
    work: dict[str, Work] = field(default_factory=dict)


def of_the_gateway(horizon: int) -> dict[str, Statement]:
    """What the gateway asks by itself: whatever these read, they read once a minute or an hour."""
    log = "gateway.live_log"
    return {
        "the look for alerts: the newest": Statement(alerts.newest("FIRST"), (horizon, True)),
        "the look for alerts: a part": Statement(alerts.PART, (horizon, True, "(0,0)", f"({alerts.PAGES // 10},0)")),
        "what is over of the live log": Statement(own_rows.take(log, own_rows.over(24)[log]), ("1000",)),
    }


async def taken(
    title: str, sql: asyncpg.Connection, url: str, asked: Sequence[Question], *, rollups: bool = False
) -> Taken:
    """What the questions read, and those of the gateway's own statements that it repeats."""
    async with serving(url, rollups=rollups, **SETTINGS) as client:
        service: OperationService = client.app.state.graphql
        found = Taken(title, service.access.facts)
        for one in asked:
            with recording(snapshots=True) as sent:
                answer = await client.ask(one.document, **one.variables)
            codes = {error["extensions"]["code"] for error in answer.get("errors", ())}
            if codes and (one.flat or not codes <= {"STATEMENT_TIMEOUT", "REQUEST_TIMEOUT"}):
                raise RuntimeError(f"{one.name}: {answer['errors']}")
            rows = answer.get("extensions", {}).get("cost", {}).get("rows", 0)
            found.work[one.name] = await work(sql, list(sent), rows)
            said(found, one.name)
    horizon: int = await sql.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
    for name, statement in of_the_gateway(horizon).items():
        found.work[name] = await work(sql, [statement], 0)
        said(found, name)
    return found


def points(found: Taken) -> dict[str, int]:
    """The points that each question reads."""
    return {name: one.points for name, one in found.work.items()}


def said(found: Taken, name: str) -> None:
    """Tells on standard error how far it is."""
    one = found.work[name]
    print(f"{found.title}: {name}: {one.buffers:,} buffers, {one.points:,} points, {one.ms:,.1f} ms", file=sys.stderr)


def priced(prices: Prices, asked: Sequence[Question], facts: Facts, read: Mapping[str, int]) -> list[Priced]:
    """The price of each question beside the points that are read."""
    return [Priced(one.name, prices.of(one.document, one.variables, facts), read[one.name]) for one in asked]


def compared(before: Taken, after: Taken, asked: Sequence[Question], months: int = 0) -> tuple[list[str], list[str]]:
    """The lines of the table, and the questions that are not as flat as they are said to be."""
    growing = {one.name for one in asked if not one.flat}
    monthly = {one.name for one in asked if one.monthly}
    lines = [f"{'question':<42} {before.title:>12} {after.title:>12} {'times':>7} {'ms':>9} {'ms':>9}"]
    failed = []
    for name, first in before.work.items():
        if name not in after.work:
            continue
        then = after.work[name]
        lists = history.SERVICES if name.startswith("fifty") else 1
        allowed = MOST * max(first.buffers, LEAST) + (A_MONTH * months * lists if name in monthly else 0)
        if name not in growing and then.buffers > allowed:
            failed.append(name)
        times = max(then.buffers, LEAST) / max(first.buffers, LEAST)
        mark = "" if name not in growing else "  (grows)"
        buffers = f"{first.buffers:>12,} {then.buffers:>12,} {times:>7.2f}"
        lines.append(f"{name:<42} {buffers} {first.ms:>9,.1f} {then.ms:>9,.1f}{mark}")
    return lines, failed


async def run(rows: int, folder: Path) -> int:
    """Measures, grows, measures again, with sums and in partitions too; the exit status."""
    with start(folder / "data") as server:
        await history.configure(server)
    with start(folder / "data") as server:
        async with history.begun(server, DATABASE) as sql:
            await history.grow(sql, 0, rows // TIMES)
            url, asked = server.url(DATABASE, GATEWAY_ROLE), await questions(sql)
            small = await taken(f"{rows // TIMES:,}", sql, url, asked)
            await history.grow(sql, rows // TIMES, rows)
            large = await taken(f"{rows:,}", sql, url, asked)
            await make(server.url(DATABASE, OWNER_ROLE))
            await sum_up(server.url(DATABASE, GATEWAY_ROLE))
            await sql.execute("VACUUM ANALYZE")
            summed = await taken("with rollups", sql, url, [one for one in asked if "aggregate" in one.document],
                                 rollups=True)  # fmt: skip
            await partition(server.url(DATABASE, OWNER_ROLE), PARTITIONED)
            await sql.execute("VACUUM ANALYZE")
            months = await sql.fetchval("SELECT count(*) FROM pg_inherits WHERE inhparent = $1::regclass",
                                        PARTITIONED[0])  # fmt: skip
            parted = await taken("partitioned", sql, url, [one for one in asked if one.flat])
    return report(asked, small, large, summed, parted, months)


def report(asked: Sequence[Question], small: Taken, large: Taken, summed: Taken, parted: Taken, months: int) -> int:
    """Prints what was found; the exit status."""
    prices, wrong = Prices(), []
    lines, failed = compared(small, large, asked)
    more, others = compared(large, parted, asked, months)
    print("\n".join(["Buffers and ms; other tables in proportion", *lines, "", f"In {months} partitions", *more]))
    lines, _ = compared(large, summed, asked)
    print("\n".join(["", "With rollups", *lines]))
    far = prolonged(large.facts, history.GROWING, FURTHER)
    reads = {name: foreseen(small.work[name], large.work[name], TIMES, FURTHER) for name in large.work}
    aggregated = [one for one in asked if one.name in summed.work]
    for title, of, facts, read in (
        (small.title, asked, small.facts, points(small)),
        (large.title, asked, large.facts, points(large)),
        (f"{FURTHER} times {large.title}", asked, far, reads),
        ("with rollups", aggregated, summed.facts, points(summed)),
    ):
        lines, share = table_of_prices(f"\nPrices in points: {title}", priced(prices, of, facts, read))
        print("\n".join(lines))
        if share < SHARE:
            wrong.append(title)
    for name in failed + others:
        print(f"NOT FLAT: {name}: more than {MOST} times")
    for title in wrong:
        print(f"WRONG PRICES: {title}: less than {SHARE:.0%} are right")
    return 1 if failed or others or wrong else 0


def main() -> int:
    """Reads the arguments, and runs in a folder that is thrown away."""
    parser = argparse.ArgumentParser(prog="make bench-growth", description=__doc__)
    parser.add_argument(
        "--rows", type=int, default=20_000_000, help="serving metrics in the end, 1,000,000 or more (20,000,000)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="e2i-growth-", dir="/var/tmp") as folder:
        return asyncio.run(run(options.rows, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())

"""`make bench-growth`: what questions read of a database, and of the same database with a longer history.

Questions that are marked flat must read no more than `MOST` times as many buffers when every table that grows has
`TIMES` times its rows, at the same number of rows a day, and again when the largest tables are partitioned by month:
else it ends with 1. The others are shown beside them. The prices of all are compared with what is read, at both sizes
and, by statistics that are prolonged, at ten times the larger one; it ends with 1 as well if fewer than `prices.SHARE`
are right.

Statements are those that the gateway sends, explained by Postgres; their times are shown, not judged. The database is
made anew each time in a folder that is thrown away: 20 GB for 20 million rows (``--rows``). With ``--keep`` it stays
there with what was measured, and a run that was cut goes on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import pickle
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

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
from tests.support.rollups import make

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


ResultT = TypeVar("ResultT")


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


class Stages:
    """What is done one after the other, with its results, which a folder keeps."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def once(self, name: str, do: Callable[[], Awaitable[ResultT]], *, repeats: bool = True) -> ResultT:
        """The result of a stage, which is done unless it was. One that was cut is done again if it ``repeats``.

        Raises:
            RuntimeError: A stage that does not repeat was cut.
        """
        done, begun = self._folder / f"{name}.done", self._folder / f"{name}.begun"
        if done.exists():
            found: ResultT = pickle.loads(done.read_bytes())
            return found
        if begun.exists():
            raise RuntimeError(f"{name} was cut, and its rows are there in part; remove {self._folder}")
        if not repeats:
            begun.touch()
        found = await do()
        done.write_bytes(pickle.dumps(found))
        return found


async def summed_up(sql: asyncpg.Connection, url: str) -> float:
    """The seconds that a gateway takes to sum up what is marked, at its own pace."""
    began = time.monotonic()
    async with serving(url, rollups=True, **SETTINGS):
        while await sql.fetchval("SELECT EXISTS (SELECT FROM gateway.rollups WHERE state = 'building')"):
            await asyncio.sleep(1)
            marks = await sql.fetchval("SELECT count(*) FROM gateway.rollup_marks")
            print(f"{time.monotonic() - began:.0f} s: {marks:,} units are to be summed up", file=sys.stderr)
    return time.monotonic() - began


async def run(rows: int, folder: Path) -> int:
    """Measures, grows, measures again, with sums and in partitions too; the exit status."""
    stages, few = Stages(folder), rows // TIMES
    with start(folder / "data") as server:
        await history.configure(server)
    with start(folder / "data") as server:
        url, owner = server.url(DATABASE, GATEWAY_ROLE), server.url(DATABASE, OWNER_ROLE)
        await stages.once("demo", lambda: history.begin(server, DATABASE), repeats=False)
        async with history.connected(server, DATABASE) as sql:
            await stages.once(f"rows to {few}", lambda: history.grow(sql, 0, few), repeats=False)
            asked = await stages.once("questions", lambda: questions(sql))
            small = await stages.once("small", lambda: taken(f"{few:,}", sql, url, asked))
            await stages.once(f"rows to {rows}", lambda: history.grow(sql, few, rows), repeats=False)
            large = await stages.once("large", lambda: taken(f"{rows:,}", sql, url, asked))
            await stages.once("rollups", lambda: make(owner))
            seconds = await stages.once("sums", lambda: summed_up(sql, url))
            await sql.execute("VACUUM ANALYZE")
            aggregates = [one for one in asked if "aggregate" in one.document]
            summed = await stages.once(
                "with rollups", lambda: taken("with rollups", sql, url, aggregates, rollups=True)
            )
            await stages.once("partitions", lambda: partition(owner, PARTITIONED))
            await sql.execute("VACUUM ANALYZE")
            months = await sql.fetchval("SELECT count(*) FROM pg_inherits WHERE inhparent = $1::regclass",
                                        PARTITIONED[0])  # fmt: skip
            flat = [one for one in asked if one.flat]
            parted = await stages.once("partitioned", lambda: taken("partitioned", sql, url, flat))
    print(f"Rollups of all rows were summed up in {seconds:.0f} s")
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
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the database and what was measured stay")
    options = parser.parse_args()
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
        return asyncio.run(run(options.rows, options.keep))
    with tempfile.TemporaryDirectory(prefix="e2i-growth-", dir="/var/tmp") as folder:
        return asyncio.run(run(options.rows, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())

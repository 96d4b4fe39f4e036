"""`make bench-pages`: every default page on the platform's indexes, beside the same rows asked for by hand.

On a database of the platform's shape whose tables have 100,000 rows each (``--rows``), one in a hundred without a time,
Postgres runs what the gateway sends for the first page of each type, its last page, its first thousand rows, and the
page of each relation below fifty parents; and beside it the same question by hand in two forms: the order as one says
it, and rows with a time before rows without one under one limit. All give the same JSON; the better form counts, beside
what it takes where it gives rows in JSON's place. They run in turns; the quickest runs are compared, which other load
disturbs least, beside medians, and buffers, which it does not change. ``--own`` measures on the indexes of the
gateway's own migrations. ``--only`` measures some types, each in a database of its own where every other table has
fifty rows, for sizes that not all tables can have at once, and ``--kind`` one kind of pages. Ends with 1 where a page
takes more than `MOST` times what it takes by hand.

What is measured is appended to ``--results``; pages that are there are not measured again. The databases are in
``--data``; those of some types are dropped, the one of all stays there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import asyncpg
from sqlalchemy import DateTime

from db.attach.attach import attach
from db.attach.facts import Facts
from db.embedded.server import ADMIN_ROLE, GATEWAY_ROLE, EmbeddedPostgres, create_database, start
from db.engine import session
from db.engine.url import database_url
from db.migrations import setup
from schema.catalogue.catalogue import OrderTerm, RelationField, Type
from schema.catalogue.from_models import catalogue
from schema.catalogue.records import Missing
from schema.sql import list_statements
from schema.sql.indexes import Indexes
from schema.sql.lists import NESTED_PAGE, ROOT_PAGE, Lists
from tests.bench.history import SETTINGS
from tests.support import many_rows, platform_db, platform_shaped
from tests.support.client import Client, serving
from tests.support.databases import connect, execute
from tests.support.plans import Statement, explained, plan, recording

DATA = Path(".e2i/bench-pages")
ROUNDS, MORE_ROUNDS = 9, 25
KINDS = ("first 50", "last 50", "first 1000", "per parent")
SLOW = 0.5
"""Seconds from which on a statement is run three times only."""
MOST = 2.5
TIMEOUT = 60.0
UNSERVED = 5e6
"""The cost that Postgres expects of a page by hand from which on it is not run: it reads a large table many times."""
AT_MOST_BY_HAND = 10.0
"""Seconds of a form by hand from which on it is not compared; a page without another is served by no index."""


@dataclass(frozen=True)
class Page:
    """A page: how it is asked of the graph, and by hand, in forms that give the same rows."""

    kind: str
    field: str
    query: str
    forms: Mapping[str, Hand]


@dataclass(frozen=True)
class Hand:
    """A statement by hand: as rows, and with the same answer as JSON."""

    rows: str
    json: str


class Time(NamedTuple):
    """Milliseconds of runs: the quickest, and the median."""

    least: float
    median: float


@dataclass(frozen=True)
class Taken:
    """What a page took, in time and buffers: the gateway's statements, and the best form by hand."""

    kind: str
    field: str
    served: Time
    hand: Time
    form: str
    rows: Time
    buffers: int
    hand_buffers: int

    @property
    def times(self) -> float:
        """How many times what it takes by hand, by the quickest runs."""
        return self.served.least / self.hand.least

    @property
    def times_buffers(self) -> float:
        return max(self.buffers, 1) / max(self.hand_buffers, 1)


class Results:
    """What was measured of each page at a size, or why nothing was; kept in a file of JSON lines, if there is one."""

    def __init__(self, path: Path | None, title: str) -> None:
        self._path, self.title = path, title
        self._found: dict[tuple[str, str], Taken | str] = {}
        for line in path.read_text().splitlines() if path and path.exists() else ():
            one = json.loads(line)
            if one["title"] == title:
                taken = one["taken"]
                if isinstance(taken, dict):
                    taken = Taken(**(taken | {name: Time(*taken[name]) for name in ("served", "hand", "rows")}))
                self._found[one["kind"], one["field"]] = taken

    @property
    def found(self) -> list[Taken]:
        return [one for one in self._found.values() if isinstance(one, Taken)]

    @property
    def refused(self) -> list[str]:
        """What was not measured, and why."""
        return [f"{field} ({kind}): {why}" for (kind, field), why in self._found.items() if isinstance(why, str)]

    def has(self, page: Page) -> bool:
        return (page.kind, page.field) in self._found

    def add(self, page: Page, taken: Taken | str) -> None:
        self._found[page.kind, page.field] = taken
        if self._path:
            told = taken if isinstance(taken, str) else asdict(taken)
            line = {"title": self.title, "kind": page.kind, "field": page.field, "taken": told}
            with self._path.open("a") as file:
                file.write(json.dumps(line) + "\n")


# The statements by hand


def _ordered(terms: Sequence[OrderTerm], *, backward: bool, value: bool) -> str:
    """An order as one writes it; with a ``value`` in its first term, its nulls need not be spoken of."""
    said = []
    for place, term in enumerate(terms):
        nulls = " NULLS FIRST" if backward else " NULLS LAST"
        named = term.nullable and not (value and not place)
        said.append(f"{term.over('t')}{' DESC' if term.descending != backward else ''}{nulls if named else ''}")
    return ", ".join(said)


def _page(
    source: str, select: str, terms: Sequence[OrderTerm], limit: int, *, on: str = "true", backward: bool, apart: bool
) -> str:
    """A page of rows; ``apart``: those with a value in the first term and those without, as two under one limit."""
    if not apart:
        order = _ordered(terms, backward=backward, value=False)
        return f"SELECT {select} FROM {source} t WHERE {on} ORDER BY {order} LIMIT {limit}"
    first, value = terms[0].over("t"), _ordered(terms, backward=backward, value=True)
    rest = _ordered(terms[1:], backward=backward, value=False)
    parts = [
        f"(SELECT {select} FROM {source} t WHERE {on} AND {first} IS NOT NULL ORDER BY {value} LIMIT {limit})",
        f"(SELECT {select} FROM {source} t WHERE {on} AND {first} IS NULL ORDER BY {rest} LIMIT {limit})",
    ]
    return f"SELECT * FROM ({' UNION ALL '.join(parts[::-1] if backward else parts)}) u LIMIT {limit}"


_WRITTEN = """'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"""
_FORMS = {False: "one order", True: "two branches"}


def _source(type_: Type) -> str:
    """A table, the platform's own view, or the SELECT that stands for neither."""
    return type_.source({}) if type_.is_derived else type_.sql_name


def _columns(type_: Type) -> str:
    """The columns of a node's answer: its key as ``k``, and the time of its order as ``o``."""
    key = " || ':' || ".join(f"t.{column}::text" for column in type_.key)
    return ", ".join([f"{key} AS k", *([f"t.{type_.ordered_by} AS o"] if type_.ordered_by else [])])


def _object(row: str, type_: Type) -> str:
    """A node with its time, if it has one, as the graph writes it."""
    at = ""
    if type_.ordered_by:
        kind = type_.table.c[type_.ordered_by].type
        time = f"{row}.o{' AT TIME ZONE $$UTC$$' if getattr(kind, 'timezone', False) else ''}"
        written = f"to_char({time}, {_WRITTEN})" if isinstance(kind, DateTime) else f"{row}.o"
        at = f", 'at', {written}"
    return f"json_build_object('id', {row}.k{at})"


def _fields(type_: Type) -> str:
    return f"id {type_.field_name(type_.ordered_by)}" if type_.ordered_by else "id"


def _may_be_apart(type_: Type) -> list[bool]:
    return [False, True] if type_.ordered_by and len(type_.order) > 1 else [False]


def roots(type_: Type) -> Iterator[Page]:
    """The pages of all rows of a type."""
    for kind, limit, backward in zip(KINDS, (ROOT_PAGE, 50, 1000), (False, True, False), strict=False):
        forms = {}
        for apart in _may_be_apart(type_):
            rows = _page(_source(type_), _columns(type_), type_.order, limit, backward=backward, apart=apart)
            json = f"SELECT coalesce(json_agg({_object('r', type_)}), '[]')::text FROM ({rows}) r"
            forms[_FORMS[apart]] = Hand(rows, json)
        asked = f"{'last' if backward else 'first'}: {limit}"
        yield Page(kind, type_.plural, f"{{ {type_.plural}({asked}) {{ nodes {{ {_fields(type_)} }} }} }}", forms)


def below(parent: Type, relation: RelationField) -> Page:
    """The default page of a relation below each of the first page of parents."""
    target, on = catalogue()[relation.target], relation.join.on("p", "t")
    forms = {}
    for above in _may_be_apart(parent):
        for apart in _may_be_apart(target):
            parents = _page(_source(parent), "t.*", parent.order, ROOT_PAGE, backward=False, apart=above)
            columns, order = _columns(target), target.order
            rows = _page(_source(target), columns, order, NESTED_PAGE, on=on, backward=False, apart=apart)
            key = " || ':' || ".join(f"p.{column}::text" for column in parent.key)
            inner = f"(SELECT coalesce(json_agg({_object('r', target)}), '[]') FROM ({rows}) r)"
            forms[f"{_FORMS[above]}, {_FORMS[apart]} below"] = Hand(
                f"SELECT {key} AS id, r.* FROM ({parents}) p LEFT JOIN LATERAL ({rows}) r ON true",
                f"SELECT coalesce(json_agg(json_build_object('id', {key}, 'rows', {inner})), '[]')::text "
                f"FROM ({parents}) p",
            )
    query = f"{{ {parent.plural} {{ nodes {{ id {relation.name} {{ nodes {{ {_fields(target)} }} }} }} }} }}"
    return Page(KINDS[-1], f"{parent.plural}.{relation.name}", query, forms)


def pages(types: Sequence[Type], lists: Lists) -> Iterator[Page]:
    """All pages of these types: of all their rows, and of their rows below whatever they belong to."""
    names = {type_.name for type_ in types}
    for type_ in types:
        yield from roots(type_)
    for parent, relation in list_statements.relations(lists):
        if relation.many and relation.target in names and not parent.arguments:
            yield below(parent, relation)


# The measuring


async def _in_turns(
    sql: asyncpg.Connection, contenders: Mapping[str, Sequence[Statement]], rounds: int
) -> dict[str, Time]:
    """What each contender takes, which may be several statements; they are run in turns."""
    prepared = {
        name: [(await sql.prepare(one.text, timeout=TIMEOUT), one.values) for one in statements]
        for name, statements in contenders.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, statements in prepared.items():
            started = time.perf_counter()
            for one, values in statements:
                await one.fetch(*values, timeout=TIMEOUT)
            taken[name].append(time.perf_counter() - started)
        if turn >= 3 and max(map(max, taken.values())) > SLOW:
            break
    warm = {name: [seconds * 1000 for seconds in all_[1:]] for name, all_ in taken.items()}
    return {name: Time(min(all_), statistics.median(all_)) for name, all_ in warm.items()}


async def _buffers(sql: asyncpg.Connection, statements: Sequence[Statement]) -> int:
    total = 0
    for statement in statements:
        (top, *_) = await plan(sql, statement, options="ANALYZE, BUFFERS, TIMING OFF, ")
        total += top["Shared Hit Blocks"] + top["Shared Read Blocks"]
    return total


async def _in_time(sql: asyncpg.Connection, page: Page) -> Page:
    """The page with those of its forms by hand that end in time."""
    forms = {}
    for name, hand in page.forms.items():
        with suppress(TimeoutError):
            await sql.fetch(hand.json, timeout=AT_MOST_BY_HAND)
            forms[name] = hand
    return replace(page, forms=forms)


async def measured(sql: asyncpg.Connection, sent: Sequence[Statement], page: Page, rounds: int) -> Taken:
    """A page beside its forms by hand; the best of these is also measured as rows."""
    forms = {name: [Statement(hand.json, ())] for name, hand in page.forms.items()}
    taken = await _in_turns(sql, {"served": sent, **forms}, rounds)
    form = min(page.forms, key=lambda name: taken[name].least)
    rows = await _in_turns(sql, {"rows": [Statement(page.forms[form].rows, ())]}, rounds)
    buffers = await _buffers(sql, sent)
    least = min([await _buffers(sql, statements) for statements in forms.values()])
    return Taken(page.kind, page.field, taken["served"], taken[form], form, rows["rows"], buffers, least)


async def all_measured(
    sql: asyncpg.Connection, client: Client, asked: Sequence[Page], rounds: int, results: Results
) -> None:
    """Measures every page; those that seem too slow once more with more rounds."""
    for one in asked:
        by_hand = [await explained(sql, Statement(hand.json, ())) for hand in one.forms.values()]
        if min(plan["Plan"]["Total Cost"] for plan in by_hand) > UNSERVED:
            results.add(one, "no index serves it, by hand either")
            continue
        page = await _in_time(sql, one)
        if not page.forms:
            results.add(page, f"no index serves it: by hand it takes more than {AT_MOST_BY_HAND:.0f} s")
            continue
        with recording() as sent:
            answer = await client.ask(page.query)
        if answer.get("errors"):
            results.add(page, answer["errors"][0]["message"][:100])
            continue
        try:
            taken = await measured(sql, sent, page, rounds)
            if taken.times > MOST:
                again = await measured(sql, sent, page, MORE_ROUNDS)
                taken = min(taken, again, key=lambda some: some.times)
        except TimeoutError:
            results.add(page, f"the gateway's statement takes more than {TIMEOUT:.0f} s, by hand it ends")
            continue
        results.add(page, taken)
        sys.stderr.write(f"{page.kind:10} {page.field:44} {taken.served.least:9.2f} ms {taken.times:6.2f}\n")


# The report


def table(found: Sequence[Taken]) -> list[str]:
    """By kind the median and the worst, then the ten worst pages, and all above `MOST`."""
    lines = [
        "Times what it takes by hand: the same JSON (rows alone), and buffers",
        (
            f"{'page':<12} {'pages':>5} {'median':>7} {'worst':>7} {'(rows: median':>14} {'worst)':>7} {'buffers':>8} "
            f"{'worst':>6}  above {MOST}"
        ),
    ]
    for kind in dict.fromkeys(one.kind for one in found):
        some = [one for one in found if one.kind == kind]
        times, buffers = [one.times for one in some], [one.times_buffers for one in some]
        rows = [one.served.least / one.rows.least for one in some]
        lines.append(
            f"{kind:<12} {len(some):>5} {statistics.median(times):>7.2f} {max(times):>7.2f} "
            f"{statistics.median(rows):>14.2f} {max(rows):>7.2f} {statistics.median(buffers):>8.2f} "
            f"{max(buffers):>6.2f}  {sum(one > MOST for one in times)}"
        )
    worst = sorted(found, key=lambda one: -one.times)
    lines += ["", "The worst ten, and all above"]
    lines += [_line(one) for place, one in enumerate(worst) if place < 10 or one.times > MOST]
    lines += ["", "The worst ten by buffers"]
    lines += [_line(one) for one in sorted(found, key=lambda one: -one.times_buffers)[:10]]
    return lines


def _line(one: Taken) -> str:
    by_medians = one.served.median / one.hand.median
    return (
        f"{one.kind:<11} {one.field:<40} {one.served.least:>9.2f} ms, by hand {one.hand.least:>9.2f} "
        f"({one.rows.least:.2f} as rows; {one.form}): {one.times:.2f} (by medians {by_medians:.2f}); "
        f"buffers {one.buffers:,} to {one.hand_buffers:,}: {one.times_buffers:.2f}"
    )


# The databases


_LATER = """
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS drop,
        format('ALTER TABLE %s ADD CONSTRAINT %I %s NOT VALID', conrelid::regclass, conname, pg_get_constraintdef(oid))
            AS make, NULL AS plain, 2 AS place
    FROM pg_constraint WHERE contype = 'f' AND $1::text::regclass IN (conrelid, confrelid)
    UNION ALL
    SELECT CASE WHEN k.oid IS NULL THEN format('DROP INDEX %s', i.indexrelid::regclass)
            ELSE format('ALTER TABLE %s DROP CONSTRAINT %I', i.indrelid::regclass, k.conname) END,
        CASE WHEN k.oid IS NULL THEN pg_get_indexdef(i.indexrelid)
            ELSE format('ALTER TABLE %s ADD CONSTRAINT %I %s', i.indrelid::regclass, k.conname,
                pg_get_constraintdef(k.oid)) END,
        replace(pg_get_indexdef(i.indexrelid), ' UNIQUE ', ' '), 1
    FROM pg_index AS i LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
    WHERE i.indrelid = $1::text::regclass
"""
"""What a table has its rows before: foreign keys, to be dropped before the indexes and made behind them."""


@dataclass(frozen=True)
class Databases:
    """The databases that are measured on a server: copies of one without rows, or with fifty in each table."""

    server: EmbeddedPostgres
    own: bool

    @property
    def empty(self) -> str:
        return "pages_own_shape" if self.own else "pages_shape"

    @property
    def parents(self) -> str:
        return f"{self.empty}_parents"

    async def shape(self) -> None:
        """The tables without rows: the platform's, attached to, or those of the gateway's own migrations."""
        if self.own:
            await setup.prepare_embedded(self.server, self.empty)
            return
        await create_database(self.server, self.empty)
        sql = await connect(self.server.url(self.empty, ADMIN_ROLE))
        try:
            if not await sql.fetchval("SELECT to_regclass('gateway.own_revisions') IS NOT NULL"):
                await platform_db.build(sql, rows=False, own=True)
                await attach(self.server.url(self.empty, ADMIN_ROLE))
                await platform_shaped.grant(sql)
        finally:
            await sql.close()

    @asynccontextmanager
    async def copied(self, template: str, name: str, *, keeps: bool) -> AsyncIterator[asyncpg.Connection]:
        """A copy of a database, as its superuser sees it."""
        admin = await connect(self.server.url("postgres", ADMIN_ROLE))
        try:
            if not await admin.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
                await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
            sql = await connect(self.server.url(name, ADMIN_ROLE))
            try:
                yield sql
            finally:
                await sql.close()
                if not keeps:
                    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        finally:
            await admin.close()


async def fill(sql: asyncpg.Connection, type_: Type, rows: int) -> None:
    """Gives a table so many rows, unless it has as many; its indexes are built behind them, which is faster. A unique
    index that the rows do not allow is built as one that is not unique."""
    if await sql.fetchval(f"SELECT count(*) FROM (SELECT FROM {type_.sql_name} LIMIT {rows // 2}) r") == rows // 2:
        return
    insertion = await many_rows.insertion(sql, type_, rows)
    await many_rows.drop_checks(sql, type_)
    later = sorted(await sql.fetch(_LATER, type_.sql_name), key=lambda one: -one["place"])
    await sql.execute("SET session_replication_role = replica")
    async with sql.transaction():
        for one in later:
            await sql.execute(one["drop"])
        await sql.execute(f"TRUNCATE {type_.sql_name}")  # in the same transaction: the rows need no log
        await sql.execute(insertion)
        for one in reversed(later):
            try:
                async with sql.transaction():
                    await sql.execute(one["make"])
            except (asyncpg.UniqueViolationError, asyncpg.ExclusionViolationError):
                await sql.execute(one["plain"])
    await sql.execute("SET session_replication_role = origin")
    await sql.execute(f"VACUUM ANALYZE {type_.sql_name}")
    sys.stderr.write(f"{type_.sql_name} has {rows:,} rows\n")


async def measure(server: EmbeddedPostgres, name: str, asked: Sequence[Page], rounds: int, results: Results) -> None:
    """Measures some pages in a database as it is."""
    dsn = database_url(server.url(name, GATEWAY_ROLE)).set(drivername="postgresql")
    sql = await asyncpg.connect(
        dsn.render_as_string(hide_password=False), server_settings={**session.VALUES, "jit": "off"}
    )
    try:
        waiting = {"statement_timeout": TIMEOUT, "request_timeout": 2 * TIMEOUT}
        async with serving(server.url(name, GATEWAY_ROLE), **waiting) as client:
            await all_measured(sql, client, asked, rounds, results)
    finally:
        await sql.close()


async def configure(server: EmbeddedPostgres) -> None:
    """Sets what a server has that need not survive a crash, from its next start; caches stay as they are by default."""
    for name, value in SETTINGS.items():
        if name != "shared_buffers":
            await execute(server.url("postgres", ADMIN_ROLE), f"ALTER SYSTEM SET {name} = '{value}'")


async def run(databases: Databases, asked: argparse.Namespace) -> int:
    """Makes what is measured, measures and tells; the exit status."""
    indexes = "our indexes" if asked.own else "the platform's indexes"
    title = f"{asked.rows:,} rows of {'some tables' if asked.only else 'each table'}, {indexes}"
    results = Results(asked.results, title)
    await databases.shape()
    tables, lists = many_rows.tables(), Lists(catalogue(), Missing(), Indexes(Facts()))

    def lacking(types: Sequence[Type]) -> list[Page]:
        some = (page for page in pages(types, lists) if asked.kind in {None, page.kind})
        return [page for page in some if not results.has(page)]

    if asked.only:
        async with databases.copied(databases.empty, databases.parents, keeps=True) as sql:
            await many_rows.fill(sql, many_rows.PARENTS, tables)
        for name in asked.only:
            if more := lacking([catalogue()[name]]):
                async with databases.copied(databases.parents, "pages_one", keeps=False) as sql:
                    await fill(sql, catalogue()[name], asked.rows)
                    await measure(databases.server, "pages_one", more, asked.rounds, results)
    else:
        name = f"{databases.empty}_{asked.rows}"
        types = [type_ for type_ in catalogue() if not type_.arguments and type_.table.schema != "gateway"]
        async with databases.copied(databases.empty, name, keeps=True) as sql:
            for type_ in tables:
                await fill(sql, type_, asked.rows)
            await measure(databases.server, name, lacking(types), asked.rounds, results)
    lines = [results.title, "", *table(results.found), "", *(f"not asked: {one}" for one in results.refused)]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if any(one.times > MOST for one in results.found) else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-pages", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="rows of each table (100000)")
    parser.add_argument("--only", nargs="*", default=[], metavar="TYPE", help="some types (ServingMetric), one by one")
    parser.add_argument("--own", action="store_true", help="on the indexes of the gateway's own migrations")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"runs of each statement ({ROUNDS})")
    parser.add_argument("--kind", choices=KINDS, help="one kind of pages (all)")
    parser.add_argument("--results", type=Path, metavar="FILE", help="where what is measured is kept, as JSON lines")
    parser.add_argument("--data", type=Path, default=DATA, metavar="FOLDER", help=f"the data of Postgres ({DATA})")
    asked = parser.parse_args()
    with start(asked.data) as server:
        asyncio.run(configure(server))
    with start(asked.data) as server:
        return asyncio.run(run(Databases(server, asked.own), asked))


if __name__ == "__main__":
    sys.exit(main())

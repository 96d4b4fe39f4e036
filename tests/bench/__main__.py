"""`make bench`: the gateway over HTTP on a database of its own, with a million serving metrics, beside its peers.

Servers of one worker each answer the same questions in interleaved rounds: the gateway by its loaders and by compiled
statements, with callers, budgets, logs and metrics on; the latter with all of that off; those statements in a bare
application (the limit); and PostGraphile 5 if `make bench-peers` has installed it, asked for orders that its indexes
serve. All of it twice: with the indexes of our own migrations, and with those of the platform's database. Prints
medians and writes ``bench.json`` and ``bench.svg`` into ``gateway/docs``. The databases stay in ``.e2i/bench``.
``--before DIRECTORY`` measures another checkout's gateway in the same rounds too, everything on, for the printed table.
``--memory SECONDS`` measures what a mixed load does to the memory of a worker instead.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx
import orjson
import psutil
from graphql import FragmentDefinitionNode, OperationDefinitionNode, parse
from graphql.execution.values import VariableValues, get_variable_values

from db.attach import facts
from db.attach.facts import Facts
from db.embedded import server as embedded
from db.embedded.process import Postmaster, postmaster
from db.engine.engine import create_engine
from db.engine.url import database_url
from schema.catalogue.records import Missing
from schema.catalogue.value_sizes import Sizes
from schema.execution.plans import Plans
from schema.schema import build
from schema.sql.indexes import Indexes
from tests.bench import load, report, servers
from tests.bench.cases import OUR_ORDERS, PLATFORM_ORDERS, Case, cases
from tests.support.platform_indexes import replace_indexes

CONNECTIONS = 16
DOCS = servers.ROOT / "gateway" / "docs"
METRICS, SIMULATIONS = 1_000_000, 1_000

FILL = """
    WITH lacking AS (SELECT greatest(0, {most} - count(*)) AS rows FROM {table}),
         copies AS (SELECT n FROM lacking, generate_series(1, lacking.rows) AS n),
         numbered AS (SELECT *, row_number() OVER (ORDER BY {key}) AS place, count(*) OVER () AS total FROM {table})
    INSERT INTO {table} ({columns}) SELECT {values} FROM copies JOIN numbered o ON o.place = 1 + (n - 1) % o.total
"""


@dataclass(frozen=True)
class Subject:
    """A server with what it is asked: by case, the path and the bodies."""

    server: servers.Server
    asked: dict[str, tuple[str, list[bytes]]]


@dataclass(frozen=True)
class World:
    """A database that is measured: its name, where it stands in the report, and what the peer orders by there."""

    database: str
    title: str
    orders: dict[str, str]
    nulls: str


WORLDS = [
    World("e2i", "our own indexes", OUR_ORDERS, "last"),
    World("e2i_platform", "the platform's indexes", PLATFORM_ORDERS, "first"),
]


async def compiled(case: Case, measured: Facts) -> dict[str, Any]:
    """The case's statement with the parameters of its requests, and what stands around its JSON."""
    schema = build()
    document = parse(case.query)
    (definition,) = (node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    fragments = {n.name.value: n for n in document.definitions if isinstance(n, FragmentDefinitionNode)}
    sizes = Sizes(measured, 16_000_000)
    plans = Plans(schema.graphql, schema.catalogue, lambda _operation, _reads: 0, Indexes(measured), sizes)
    known = plans.asked(document, definition, fragments)
    coerced = []
    for one in case.variables:
        values = get_variable_values(schema.graphql, definition.variable_definitions or (), one)
        assert isinstance(values, VariableValues), values
        coerced.append(values)
    plan, _ = await plans.made(known, coerced[0], Missing())
    assert plan.statement, f"{case.name} is not compiled"
    (key,) = plan.keys
    parameters = [plan.statement.values(values.coerced) for values in coerced]
    return {"sql": plan.statement.sql, "values": parameters, "start": f'{{"data":{{"{key}":', "end": "}}"}


async def prepare(url: str) -> tuple[list[str], list[str], str, str]:
    """Fills the tables up to the sizes that are promised; some experiments and services, and the times
    of a week and a day before the last metric."""
    connection = await asyncpg.connect(url)
    try:
        await _fill(
            connection, "ml_bentoml_serving_metrics", "id", METRICS, recorded_at="o.recorded_at - interval '90 days'"
        )
        await _fill(connection, "twin_simulations", "simulation_id", SIMULATIONS)
        await connection.execute("VACUUM ANALYZE")
        experiments = await connection.fetch(
            "SELECT e.id::text FROM ml_experiments e JOIN ml_model_registry m ON m.experiment_id = e.id "
            "GROUP BY e.id HAVING count(*) >= 5 ORDER BY e.id LIMIT 100"
        )
        found = await connection.fetch(
            "SELECT service_id::text AS id, max(recorded_at) AS last FROM ml_bentoml_serving_metrics "
            "GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 5"
        )
        last = found[0]["last"].astimezone(UTC)
        ago = [(last - timedelta(days=days)).isoformat() for days in (7, 1)]
        return [row["id"] for row in experiments], [row["id"] for row in found], ago[0], ago[1]
    finally:
        await connection.close()


async def _fill(connection: asyncpg.Connection, table: str, key: str, most: int, **changed: str) -> None:
    """Copies rows until there are enough, with keys of their own."""
    rows = await connection.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND attgenerated = '' "
        "AND NOT attisdropped ORDER BY attnum",
        table,
    )
    columns = [row["attname"] for row in rows]
    values = [{key: "gen_random_uuid()", **changed}.get(column, f"o.{column}") for column in columns]
    await connection.execute(
        FILL.format(table=table, key=key, most=most, columns=", ".join(columns), values=", ".join(values))
    )


@contextmanager
def database() -> Iterator[Postmaster]:
    """The bench's Postgres while a gateway holds it."""
    found = postmaster(servers.DATA / "postgres" / "pgdata")
    assert found is not None
    yield found


def address(found: Postmaster, role: str, database: str = "e2i") -> str:
    """The URL of a database for a role, as libpq and its kin read it."""
    return f"postgresql://{role}@{quote(str(found.socket_folder), safe='')}/{database}"


def setting(found: Postmaster, database: str) -> str:
    """The same for the gateway's role as ``DATABASE_URL`` has it."""
    return f"postgresql://e2i_gateway@/{database}?host={quote(str(found.socket_folder), safe='/')}&port=5432"


async def copy_for_platform(found: Postmaster) -> None:
    """Makes the second database where it is not there yet: the same rows behind the platform's indexes."""
    (ours, platforms), half_made = WORLDS, "e2i_half_made"
    connection = await asyncpg.connect(address(found, "e2i_admin", "postgres"))
    try:
        if await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", platforms.database):
            return
        await connection.execute(f"DROP DATABASE IF EXISTS {half_made}")
        await connection.execute(f"CREATE DATABASE {half_made} OWNER e2i_owner TEMPLATE {ours.database}")
        copy = await asyncpg.connect(address(found, "e2i_admin", half_made))
        try:
            await replace_indexes(copy)
        finally:
            await copy.close()
        await connection.execute(f"ALTER DATABASE {half_made} RENAME TO {platforms.database}")
    finally:
        await connection.close()


async def facts_of(url: str) -> Facts:
    engine = create_engine(database_url(url), read_only=True)
    try:
        return await facts.read(engine)
    finally:
        await engine.dispose()


def subjects(
    stack: ExitStack, found: Postmaster, asked: list[Case], world: World, before: Path | None
) -> dict[str, Subject]:
    """Every server that is measured; ``before`` is a checkout whose gateway is one of them."""
    here = address(found, "e2i_gateway", world.database)
    url = setting(found, world.database)
    measured = asyncio.run(facts_of(url))

    def gateway(
        name: str, switches: dict[str, str], *, compiler: bool = True, checkout: Path = servers.ROOT
    ) -> servers.Server:
        return stack.enter_context(servers.gateway(name, switches, compiler=compiler, database=url, checkout=checkout))

    graph = {
        case.name: ("/graphql", [load.body(_query(case.query, case), variables) for variables in case.variables])
        for case in asked
    }
    statements = {f"/{case.name[:2].lower()}": asyncio.run(compiled(case, measured)) for case in asked}
    hard = {
        case.name: (f"/{case.name[:2].lower()}", [load.body("", {"n": n}) for n in range(len(case.variables))])
        for case in asked
    }
    made = {
        "loaders": Subject(gateway("loaders", servers.ON, compiler=False), graph),
        "compiled": Subject(gateway("compiled", servers.ON), graph),
        "all off": Subject(gateway("all off", servers.OFF), graph),
        "limit": Subject(stack.enter_context(servers.limit(here, orjson.dumps(statements).decode())), hard),
    }
    if before:
        made["before"] = Subject(gateway("before", servers.ON, checkout=before), graph)
    if not servers.has_peers():
        print("PostGraphile is left out: `make bench-peers` has not installed it")
    else:
        peer = stack.enter_context(servers.postgraphile(here, world.nulls))
        made["PostGraphile 5"] = Subject(
            peer,
            {
                case.name: (
                    "/graphql",
                    [load.body(_query(case.peer, case), variables) for variables in case.peer_variables],
                )
                for case in asked
                if case.peer
            },
        )
    return made


def _query(query: str, case: Case) -> str:
    """The text, with a word in it that the load makes another one in every request, if it shall be unseen."""
    return query.replace("experimentName", "UNSEEN: experimentName") if case.unseen else query


def check(name: str, subject: Subject, case: Case) -> tuple[float, float]:
    """Asks once: statements, where they are told, and kilobytes."""
    path, bodies = subject.asked[case.name]
    headers = {"content-type": "application/json", **subject.server.headers}
    answer = httpx.post(subject.server.url(path), content=bodies[0], headers=headers, timeout=60, trust_env=False)
    found = answer.json()
    if answer.status_code != 200 or "errors" in found or None in found["data"].values():
        raise SystemExit(f"{name} answers {case.name} with {answer.text[:800]}")
    told = found.get("extensions", {}).get("cost", {}).get("statements", 1 if name == "limit" else float("nan"))
    return float(told), len(answer.content) / 1000


def measure(rounds: int, seconds: int, only: list[str], before: Path | None) -> None:
    with servers.gateway("data", servers.OFF), database() as found:
        asyncio.run(prepare(address(found, "e2i_admin")))
    results: dict[str, report.Results] = {}
    rss: dict[str, dict[str, int]] = {}
    with embedded.start(servers.DATA / "postgres"), database() as found:
        asyncio.run(copy_for_platform(found))
        for world in WORLDS:
            results[world.title], rss[world.title] = _measured(found, world, rounds, seconds, only, before)
    about = {
        "taken": datetime.now(UTC).date().isoformat(),
        "connections": CONNECTIONS,
        "rounds": rounds,
        "seconds": seconds,
        "cpus": os.cpu_count(),
        "rss_mb": rss,
    }
    for title, medians in results.items():
        print("\n".join([f"\nWith {title}:", *report.table(medians)]))
        print(f"memory of a worker, MB: {rss[title]}")
    if not only:
        report.write(DOCS, {title: _without_before(medians) for title, medians in results.items()}, about)


def _without_before(medians: report.Results) -> report.Results:
    return {case: {name: one for name, one in by.items() if name != "before"} for case, by in medians.items()}


def _measured(
    found: Postmaster, world: World, rounds: int, seconds: int, only: list[str], before: Path | None
) -> tuple[report.Results, dict[str, int]]:
    """Medians of one database, and the megabytes that each server holds."""
    with ExitStack() as stack:
        sampled = asyncio.run(prepare(address(found, "e2i_admin", world.database)))
        asked = [case for case in cases(*sampled, world.orders) if not only or case.name[:2] in only]
        measured = subjects(stack, found, asked, world, before)
        taken: dict[str, dict[str, list[dict[str, float]]]] = {case.name: {} for case in asked}
        for case in asked:  # nobody is measured while its caches fill
            for subject in (one for one in measured.values() if case.name in one.asked):
                _round(subject, case, found.process, 1)
        once = {
            (case.name, name): check(name, one, case)
            for name, one in measured.items()
            for case in asked
            if case.name in one.asked
        }
        for turn in range(rounds):
            for case in asked:
                for name, subject in measured.items():
                    if case.name not in subject.asked:
                        continue
                    one = _round(subject, case, found.process, seconds)
                    taken[case.name].setdefault(name, []).append(one)
                    print(
                        f"{world.title} {turn + 1}/{rounds} {case.name:20} {name:16} {one['rate']:9.1f}/s",
                        file=sys.stderr,
                    )
        medians: report.Results = {}
        for case_name, by_server in taken.items():
            medians[case_name] = {}
            for name, all_rounds in by_server.items():
                statements, kilobytes = once[case_name, name]
                medians[case_name][name] = {
                    key: statistics.median(one[key] for one in all_rounds) for key in all_rounds[0]
                } | {"statements": statements, "kilobytes": kilobytes}
        return medians, {name: round(subject.server.rss) for name, subject in measured.items()}


def _round(subject: Subject, case: Case, process: psutil.Process, seconds: int) -> dict[str, float]:
    path, bodies = subject.asked[case.name]
    server, data = subject.server.cpu, servers.database_cpu(process)
    taken = load.run(subject.server.url(path), subject.server.headers, bodies, CONNECTIONS, seconds)
    if not taken.requests:  # slower than the round is long
        taken = load.run(subject.server.url(path), subject.server.headers, bodies, CONNECTIONS, 10 * seconds)
    return {
        "rate": taken.rate,
        "latency": taken.latency,
        "server_ms": (subject.server.cpu - server) * 1000 / max(taken.requests, 1),
        "database_ms": (servers.database_cpu(process) - data) * 1000 / max(taken.requests, 1),
    }


def memory(seconds: float) -> None:
    """A mixed load, and how the memory of the worker goes with it."""
    with ExitStack() as stack:
        server = stack.enter_context(servers.gateway("compiled", servers.ON))
        found = stack.enter_context(database())
        asked = cases(*asyncio.run(prepare(address(found, "e2i_admin"))), OUR_ORDERS)
        samples: list[tuple[float, float]] = []
        started = time.monotonic()
        for case in cycle(asked):
            bodies = [load.body(_query(case.query, case), variables) for variables in case.variables]
            load.run(server.url(), server.headers, bodies, CONNECTIONS, 2)
            samples.append(((time.monotonic() - started) / 60, server.rss))
            if time.monotonic() - started > seconds:
                break
        for minute, megabytes in samples[:: max(1, len(samples) // 20)]:
            print(f"{minute:6.1f} min {megabytes:8.1f} MB")
        settled = samples[len(samples) // 2 :]
        print(f"second half: {report.slope(settled) * 60:+.1f} MB an hour, {settled[-1][1]:.0f} MB at the end")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure the gateway beside its peers.")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (3)")
    parser.add_argument("--seconds", type=int, default=3, help="whole seconds of each measurement (3)")
    parser.add_argument("--only", nargs="*", default=[], metavar="Q", help="some questions (Q1 Q5), and no files")
    parser.add_argument(
        "--before", type=Path, metavar="DIRECTORY", help="another checkout, whose gateway is measured too"
    )
    parser.add_argument(
        "--memory", type=float, metavar="SECONDS", help="a mixed load for so long, for the memory alone"
    )
    asked = parser.parse_args()
    if asked.memory:
        memory(asked.memory)
    else:
        measure(asked.rounds, asked.seconds, asked.only, asked.before and asked.before.resolve())


if __name__ == "__main__":
    main()

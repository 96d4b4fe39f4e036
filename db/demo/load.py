"""Loading of the demo data: the order of the stories, and the transaction that writes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Literal
from uuid import UUID

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.base.vocabulary import entities, table_of
from db.demo import (
    cohorts,
    composer,
    discovery,
    feast,
    gepa,
    hpo,
    improvement,
    monitoring,
    quality,
    roi,
    spans,
    stories_models,
    trials,
    twins,
    validation,
)
from db.demo.fleet import add_models, plain_experiment
from db.demo.mlops import experiment
from db.demo.rows import DemoError, Progress, RowBuffer, Writer
from db.demo.serving import COLUMNS, serving_metrics
from db.demo.vocabulary import KISQALI, REMIBRUTINIB, Topic
from db.demo.world import SIZES, Case, World
from db.models.g11_bentoml_tracking import ServingMetric
from db.seed.tools import default_tools

SizeName = Literal["small", "large"]

SEEDED = ("tool_registry", "tool_dependencies")
"""Tables that the migrations fill, and whose rows the demo uses."""
UPDATED = ("ml_monitoring_alerts", "digital_twin_models")
"""Tables that are updated while loading; their rows keep the times of the stories, not that of the load."""

CAST = 6
"""The number of experiments of the fleet that take part in stories."""
CHUNK = 7
"""The number of experiments that are in memory at once."""

VISITS = Topic("Kisqali rep visit effect", KISQALI, "trx_last_90d", "Medical oncologists", "hcp")
EMAILS = Topic("Remibrutinib email cadence", REMIBRUTINIB, "nrx_last_30d", "Allergists", "hcp")


async def load(
    connection: AsyncConnection,
    *,
    size: SizeName,
    seed: int = 7,
    now: datetime | None = None,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Fills all tables of a migrated, empty database and returns the rows of each table.

    The connection belongs to the tables' owner and uses the asyncpg driver. Within a transaction of the caller the load
    is a savepoint, and the caller commits; otherwise it is a transaction of its own. ``now`` is the end of the stories,
    by default the current hour; equal size, seed and now give equal rows, including ids. ``progress`` receives the
    table, the number of rows written so far, and the approximate total.

    Raises:
        DemoError: The database is not empty, or was not migrated; nothing was changed.
        ValueError: ``now`` has no time zone.
    """
    now = now or datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    if now.tzinfo is None:
        raise ValueError("now needs a time zone")
    async with _transaction(connection) as driver:
        tools = await _require_empty(driver)
        rng = Random(seed)  # noqa: S311 - reproducible, not secret
        world = World(rng, now.astimezone(UTC), SIZES[size], tools, RowBuffer(rng))
        vector = await driver.fetchval(_TYPE_OF, "public.composer_episodes", "query_embedding")
        writer = Writer(driver, await _generated(driver), vector, progress, world.size.expected_rows)
        await _write(world, writer, driver)
        await driver.execute(f"ANALYZE {', '.join(_tables())}")
        counts = await _counts(driver, writer)
    writer.finish()
    return counts


@asynccontextmanager
async def _transaction(connection: AsyncConnection) -> AsyncIterator[asyncpg.Connection]:
    """A transaction under an advisory lock, without a statement timeout, and without triggers that set `updated_at`."""
    async with connection.begin_nested() if connection.in_transaction() else connection.begin():
        # the first statement begins the transaction on the driver's connection
        await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('e2i demo data'))"))
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        await driver.execute("SET LOCAL statement_timeout = 0")
        owned = [table for table in UPDATED if await driver.fetchval(_OWNS_TRIGGER, table)]
        for table in owned:
            await driver.execute(f"ALTER TABLE public.{table} DISABLE TRIGGER set_updated_at")
        yield driver
        for table in owned:
            await driver.execute(f"ALTER TABLE public.{table} ENABLE TRIGGER set_updated_at")


_OWNS_TRIGGER = """
    SELECT EXISTS (
        SELECT FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
        WHERE t.tgname = 'set_updated_at' AND c.oid = to_regclass('public.' || $1)
          AND pg_has_role(c.relowner, 'USAGE')
    )
"""


async def _require_empty(connection: asyncpg.Connection) -> dict[str, UUID]:
    """Checks that all tables are empty except for the seeded tools. Returns the ids of these by name.

    Raises:
        DemoError: There are other rows, or the database was not migrated.
    """
    try:
        filled = [table for table in _tables() if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {table})")]
        known = {name: key for key, name in await connection.fetch("SELECT tool_id, name FROM public.tool_registry")}
    except asyncpg.UndefinedTableError as error:
        raise DemoError(f"{error}: run the migrations first") from None
    seeded = {tool["name"] for tool in default_tools()["tools"]}
    strangers = [table for table in filled if table.removeprefix("public.") not in SEEDED]
    strangers += [f"public.tool_registry ({name})" for name in sorted(known.keys() - seeded)]
    if strangers:
        raise DemoError(
            f"demo data is loaded into empty tables only, and {len(strangers)} hold rows already: "
            f"{', '.join(strangers[:5])}{', ...' if len(strangers) > 5 else ''}"
        )
    if seeded - known.keys():
        raise DemoError(
            f"the default tools are missing ({', '.join(sorted(seeded - known.keys()))}): run the migrations"
        )
    return known


def _tables() -> list[str]:
    tables = [table_of(entity) for entity in entities().values() if not entity.__is_view__]
    return [f"{table.schema or 'public'}.{table.name}" for table in tables]


async def _generated(connection: asyncpg.Connection) -> set[tuple[str, str]]:
    """The generated columns of the connected database, as (table, column); a load must not write them."""
    found = await connection.fetch(
        "SELECT nspname, relname, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
        "JOIN pg_namespace n ON n.oid = relnamespace WHERE attgenerated <> '' AND nspname IN ('public', 'ml')"
    )
    return {(name if schema == "public" else f"{schema}.{name}", column) for schema, name, column in found}


# the schema of pgvector may not be on the search path
_TYPE_OF = "SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = $1::text::regclass AND attname = $2"


async def _write(world: World, writer: Writer, connection: asyncpg.Connection) -> None:
    # the ids of the log come from a sequence, which a rollback does not reset; without this, loads would differ
    await connection.execute(
        "SELECT setval(pg_get_serial_sequence('public.ml_cohort_eligibility_log', 'log_id'), 1, false)"
    )
    twin_models = _stories(world)
    await _flush(world, writer, world.cases)
    todo = range(CAST, world.size.experiments)
    for start in range(0, len(todo), CHUNK):
        chunk = [_fleet_member(world, number, twin_models) for number in todo[start : start + CHUNK]]
        await _flush(world, writer, chunk)
    # sets the times of twin models to those of their last validations
    await connection.execute(_SETTLE_TWINS)


_SETTLE_TWINS = """
    UPDATE public.digital_twin_models AS m
    SET last_fidelity_update = last.validated_at, updated_at = last.validated_at
    FROM (
        SELECT s.model_id, max(t.validated_at) AS validated_at
        FROM public.twin_simulations AS s JOIN public.twin_fidelity_tracking AS t USING (simulation_id)
        WHERE t.prediction_error IS NOT NULL
        GROUP BY s.model_id
    ) AS last
    WHERE m.model_id = last.model_id
"""


async def _flush(world: World, writer: Writer, cases: list[Case]) -> None:
    await writer.flush(world.rows)
    deployments = [deployment for case in cases for made in case.models for deployment in made.deployments]
    await writer.copy(ServingMetric, COLUMNS, serving_metrics(world, deployments))


def _stories(world: World) -> list[twins.TwinCase]:
    """Adds the stories and the first experiments of the fleet, which take part in some. Returns the twin models."""
    quality.feature_store(world)
    cases = stories_models.add_stories(world)
    visits = experiment(world, VISITS, world.ago(days=180), region="midwest")
    emails = experiment(world, EMAILS, world.ago(days=170), region=None)
    add_models(world, visits, 180, ["deprecated", "production", "development"])
    cast = [plain_experiment(world, number) for number in range(CAST)]
    for case in cast:
        monitoring.watch(world, case)
        validation.plain(world, case)
        roi.plain(world, case)
    for case in world.cases:
        _observe(world, case)
    monitoring.every_kind(world, cast[0])
    hpo.unfinished_studies(world, cast[0])
    _causal_stories(world, visits)
    twin_models = _trial_stories(world, emails, cast)
    composer.add_story(world)
    composer.add_unfinished(world)
    _library_stories(world, cases)
    return twin_models


def _causal_stories(world: World, visits: Case) -> None:
    estimates = validation.add_story(world, visits)
    roi.add_story(world, visits, estimates[1])
    roi.every_kind(world)
    discovery.add_story(world)


def _trial_stories(world: World, emails: Case, cast: list[Case]) -> list[twins.TwinCase]:
    twin_models = twins.twin_models(world)
    played = {"poor": emails, "excellent": cast[3], "good": cast[2], "fair": cast[1], "unvalidated": cast[0]}
    twins.add_story(world, twin_models, played)
    twins.unfinished(world, twin_models[0])
    trials.mismatches(world, emails)
    trials.stopped(world, cast[2:])
    return twin_models


def _library_stories(world: World, cases: list[Case]) -> None:
    improvement.add_story(world)
    gepa.add_story(world)
    gepa.every_kind(world)
    feast.add_story(world, 8)
    cohorts.add_story(world)
    for case in cases:
        improvement.knowledge(world, case)


def _observe(world: World, case: Case) -> None:
    """Adds the rows that every experiment has, whether in a story or not."""
    if case.models:
        quality.reports(world, case)
        quality.shap(world, case)
        spans.traces(world, case)
    composer.queries(world, world.size.queries)
    improvement.plain(world)
    improvement.knowledge(world, case)


def _fleet_member(world: World, number: int, twin_models: list[twins.TwinCase]) -> Case:
    """Adds an experiment of the fleet, with its share of the rows of other groups."""
    case = plain_experiment(world, number)
    monitoring.watch(world, case)
    validation.plain(world, case)
    roi.plain(world, case)
    twins.plain(world, twin_models, case)
    _observe(world, case)
    hpo.finished_study(world, case, f"{case.slug}-study", "LGBMClassifier", 20, case.created + timedelta(days=5))
    if number % 4 == 0:
        gepa.plain(world, number)
        discovery.discover(world, number, world.ago(days=world.rng.randint(1, 90)))
    if number % 5 == 0:
        cohorts.plain(world, number)
    return case


async def _counts(connection: asyncpg.Connection, writer: Writer) -> dict[str, int]:
    """The number of rows by table, including seeded tables."""
    counts = dict(writer.counts)
    for table in SEEDED:
        counts[table] = await connection.fetchval(f"SELECT count(*) FROM public.{table}")
    return dict(sorted(counts.items()))

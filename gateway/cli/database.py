"""``e2i-gateway db``: building, migrating, attaching, checking and filling a database."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from db.attach import attach as attaching
from db.attach import detach as detaching
from db.attach.report import attach_and_tell
from db.embedded.server import GATEWAY_ROLE
from db.engine.url import database_url, schema_names
from db.migrations import partition as partitioning
from db.migrations import setup
from db.store import current_state as state_store
from db.store import rollups as rollup_store
from db.store.grants import role_sql
from db.store.partitions import AHEAD
from gateway.cli.areas import Areas
from gateway.cli.connection import own_table, say, with_owner
from gateway.cli.signals import SIGNALS
from gateway.database import load_demo
from gateway.settings import Settings
from schema.execution.explain import explain
from schema.recording.retention import Policy, RetentionRun, table_of_list

MOST_AHEAD = 120
"""The largest number of months to come that have a partition."""


def add(areas: Areas) -> None:
    """Adds the commands."""
    parsers = areas.add_parser("db", help="look after the database").add_subparsers(required=True, metavar="command")
    for name, run, text in (
        ("init", migrate, "build the whole schema on an empty database"),
        ("migrate", migrate, "bring a database that the gateway built up to date"),
        (
            "check",
            check,
            "list how a database differs from what the graph expects; exits with 1 if fields are not available",
        ),
    ):
        parsers.add_parser(name, help=text).set_defaults(run=run)
    one = parsers.add_parser("attach", help="prepare the platform's own database: changes none of its tables")
    one.add_argument("--all", action="store_true", help="every difference, not a page of those that matter")
    one.set_defaults(run=attach)
    one = parsers.add_parser("detach", help="list what attaching has brought, the indexes named by doctor --sql too")
    one.add_argument("--confirm", action="store_true", help="take it away, the record of changes with it")
    one.set_defaults(run=detach)
    one = parsers.add_parser("rollups", help="keep sums of large tables by units of time, for GATEWAY_ROLLUPS=on")
    one.add_argument("--drop", action="store_true", help="keep none any more, and remove those that there are")
    one.set_defaults(run=rollups)
    one = parsers.add_parser(
        "current-state", help="store health and drift status of all models, for GATEWAY_CURRENT_STATE=on"
    )
    one.add_argument("--drop", action="store_true", help="store none any more, and remove what there is")
    one.set_defaults(run=current_state)
    one = parsers.add_parser("partition", help="keep large tables by month, and add the months to come")
    one.add_argument("lists", nargs="*", help="lists whose tables are partitioned, such as servingMetrics")
    one.add_argument("--ahead", type=int, default=AHEAD, help=f"months after this one to have; {AHEAD} by default")
    one.set_defaults(run=partition)
    one = parsers.add_parser("role", help="print the SQL that makes a role with the least rights to serve with")
    one.add_argument("--name", default=GATEWAY_ROLE, help=f"{GATEWAY_ROLE} if not said")
    one.set_defaults(run=role)
    one = parsers.add_parser("demo", help="load demo data into an empty database")
    one.add_argument("--size", choices=["small", "large"], default="small", help="large has a million serving metrics")
    one.set_defaults(run=demo)
    one = parsers.add_parser("retention", help="list the rows that a policy no longer keeps, or remove them")
    one.add_argument("policy", type=Path, help="a TOML file: a table [keep] with days by names of lists")
    one.add_argument("--apply", action="store_true", help="remove the rows; without it they are only counted")
    one.add_argument(
        "--minutes", type=float, default=60.0, help="begin no further slice after this time; 60 by default"
    )
    one.set_defaults(run=retention)
    one = parsers.add_parser("revision", help="write the migration for a change of the models")
    one.add_argument("-m", "--message", required=True, help="what changes, in a few words")
    one.set_defaults(run=revision)


def migrate(_options: argparse.Namespace, settings: Settings) -> int:
    """Creates the schema in an empty database, or migrates a database that the gateway created."""
    return with_owner(settings, _migrate)


async def _migrate(url: str) -> int:
    await setup.migrate(url)
    say("The database is up to date.")
    return 0


def attach(options: argparse.Namespace, settings: Settings) -> int:
    """Prepares the platform's database: adds the schema ``gateway``, and changes nothing else."""

    async def run(url: str) -> int:
        say((await attach_and_tell(database_url(url), explain)).text(everything=options.all))
        return 0

    return with_owner(settings, run)


def detach(options: argparse.Namespace, settings: Settings) -> int:
    """Lists what the gateway has added to the platform's database, and removes it once confirmed."""

    async def run(url: str) -> int:
        brought = (await detaching.detach(url, confirmed=options.confirm)).text()
        if not brought:
            say("The gateway has brought nothing into this database.")
        elif options.confirm:
            say(f"Taken away:\n{brought}")
        else:
            say(f"This would go:\n{brought}\nNothing was changed; `e2i-gateway db detach --confirm` takes it away.")
        return 0

    return with_owner(settings, run)


def rollups(options: argparse.Namespace, settings: Settings) -> int:
    """Makes the triggers by which sums of large tables are kept up to date, or removes them with the sums."""

    async def change(connection: AsyncConnection) -> str:
        if not options.drop:
            return "\n".join(await rollup_store.make(connection))
        dropped = await rollup_store.drop(connection)
        return f"No sums are kept any more; there were of: {', '.join(dropped) or 'none'}."

    return _change_derived(settings, "rollups", change)


def current_state(options: argparse.Namespace, settings: Settings) -> int:
    """Makes the tables of stored current state and the triggers that keep them up to date, or removes them."""

    async def change(connection: AsyncConnection) -> str:
        if not options.drop:
            return "\n".join(await state_store.make(connection))
        dropped = await state_store.drop(connection)
        return f"No state is stored any more; there was that of: {', '.join(dropped) or 'none'}."

    return _change_derived(settings, "current_states", change)


def _change_derived(settings: Settings, table: str, change: Callable[[AsyncConnection], Awaitable[str]]) -> int:
    """Changes what is derived from the platform's rows in one transaction of the owner, and says what was done.

    ``table`` of the gateway's own lists it; an error tells how to make that.
    """

    async def run(url: str) -> int:
        async with own_table(url, table, setup.SetupError) as connection:
            said = await change(connection)
        say(said)
        return 0

    return with_owner(settings, run)


def partition(options: argparse.Namespace, settings: Settings) -> int:
    """Partitions the tables of lists by month, and adds the coming months to every table that is partitioned."""
    tables = [table_of_list(name) for name in options.lists]
    if not 0 <= options.ahead <= MOST_AHEAD:
        raise setup.SetupError(f"--ahead {options.ahead}: pass 0 to {MOST_AHEAD} months")

    async def run(url: str) -> int:
        say("\n".join(await partitioning.partition(url, tables, options.ahead)))
        return 0

    return with_owner(settings, run)


def check(_options: argparse.Namespace, settings: Settings) -> int:
    """Prints every difference between the database and the models."""

    return with_owner(settings, lambda url: attaching.check(url, sys.stdout.write, explain, rls=settings.rls))


def role(options: argparse.Namespace, settings: Settings) -> int:
    """Prints the SQL that creates the role to serve with."""
    sys.stdout.write(role_sql(options.name, schema_names(settings.schemas)))
    return 0


def demo(options: argparse.Namespace, settings: Settings) -> int:
    """Loads demo data into an empty database."""

    async def run(url: str) -> int:
        loaded = await load_demo(url, options.size)
        say("Demo data loaded." if loaded else "The database has rows already; demo data needs an empty one.")
        return 0 if loaded else 1

    return with_owner(settings, run)


def retention(options: argparse.Namespace, settings: Settings) -> int:
    """Counts, or deletes in slices, rows older than a retention policy keeps and expired rows of the gateway's own
    tables."""
    policy = Policy.read(options.policy.read_bytes())

    async def run(url: str) -> int:
        async with own_table(url, "recordings", setup.SetupError):
            pass
        async with setup.connect(url) as connection:
            one = RetentionRun(connection, say, options.apply, settings.live_hours, options.minutes * 60)
            await one.run(policy)
        if not options.apply:
            say("Nothing was removed; --apply removes it.")
        return int(one.failed)

    return with_owner(settings, run)


def revision(options: argparse.Namespace, settings: Settings) -> int:
    """Writes a migration from the difference between the models and the existing migrations."""
    from db.migrations.revise import new_revision  # noqa: PLC0415 - slow to import, and needed by this command alone

    path = SIGNALS.run(new_revision(settings.database_url, options.message))
    say(f"Wrote {path}: read it before you commit it." if path else "The migrations already match the models.")
    return 0

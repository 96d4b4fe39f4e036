"""The command `e2i-gateway`: serve the graph, look after its database, print its schema."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from db.demo import DemoError
from db.embedded.server import GATEWAY_ROLE, EmbeddedPostgresError
from db.engine.errors import DatabaseError, DatabaseUnavailableError, translate
from db.migrations.setup import SetupError
from db.store.documents import TrustedDocumentsError
from db.store.tokens import TokenError
from gateway.cli import commands
from gateway.observability.logging import configure
from gateway.settings import Settings, SettingsError, load

log = logging.getLogger("gateway")

Command = Callable[[argparse.Namespace, Settings], int]


def parsers() -> list[argparse.ArgumentParser]:
    """The parser of each command and area, for the reference; their help is 100 characters wide."""
    made: list[argparse.ArgumentParser] = []

    class Noted(argparse.ArgumentParser):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options, formatter_class=partial(argparse.HelpFormatter, width=100))
            made.append(self)

    _parser(Noted)
    return made


def _parser(kind: type[argparse.ArgumentParser] = argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser = kind(
        prog="e2i-gateway",
        description="One typed GraphQL graph over the E2I platform's ML metadata in Postgres.",
        epilog="Settings are environment variables; gateway/docs/reference/settings.md lists them.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('e2i-gateway')}")
    areas = parser.add_subparsers(required=True, metavar="command")

    serve = areas.add_parser("serve", help="serve the graph over HTTP")
    serve.add_argument("--demo", choices=["small", "large"], help="load demo data when the embedded database is empty")
    serve.set_defaults(run=commands.serve)

    doctor = areas.add_parser("doctor", help="check this deployment and say what to fix; exits with 1 if it must")
    form = doctor.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for machines")
    form.add_argument("--sql", action="store_true", help="only what the owner of the database may run, for psql")
    doctor.set_defaults(run=commands.doctor)

    database = areas.add_parser("db", help="look after the database").add_subparsers(required=True, metavar="command")
    for name, run, text in (
        ("init", commands.db_init, "build the whole schema on an empty database"),
        ("migrate", commands.db_migrate, "bring a database that the gateway built up to date"),
        (
            "check",
            commands.db_check,
            "say how a database differs from what the graph expects; exits with 1 if it costs fields",
        ),
    ):
        database.add_parser(name, help=text).set_defaults(run=run)
    attach = database.add_parser("attach", help="prepare the platform's own database: changes none of its tables")
    attach.add_argument("--all", action="store_true", help="every difference, not a page of those that matter")
    attach.set_defaults(run=commands.db_attach)
    detach = database.add_parser(
        "detach", help="list what attaching has brought, the indexes named by doctor --sql too"
    )
    detach.add_argument("--confirm", action="store_true", help="take it away, the record of changes with it")
    detach.set_defaults(run=commands.db_detach)
    role = database.add_parser("role", help="print the SQL that makes a role with the least rights to serve with")
    role.add_argument("--name", default=GATEWAY_ROLE, help=f"{GATEWAY_ROLE} if not said")
    role.set_defaults(run=commands.db_role)
    demo = database.add_parser("demo", help="load demo data into an empty database")
    demo.add_argument("--size", choices=["small", "large"], default="small", help="large has a million serving metrics")
    demo.set_defaults(run=commands.db_demo)
    revision = database.add_parser("revision", help="write the migration for a change of the models")
    revision.add_argument("-m", "--message", required=True, help="what changes, in a few words")
    revision.set_defaults(run=commands.db_revision)

    _add_tokens(areas.add_parser("token", help="tokens of agents and services"))

    _add_documents(areas.add_parser("documents", help="trusted documents in the database"))

    schema = areas.add_parser("schema", help="the graph's schema").add_subparsers(required=True, metavar="command")
    schema.add_parser("print", help="print the schema as SDL").set_defaults(run=commands.schema_print)
    possible = schema.add_parser("possible-types", help="print the members of interfaces and unions, for Apollo Client")
    possible.set_defaults(run=commands.schema_possible_types)
    return parser


def _add_tokens(area: argparse.ArgumentParser) -> None:
    parsers = area.add_subparsers(required=True, metavar="command")
    create = parsers.add_parser("create", help="make a token; it is shown once")
    create.add_argument("name", help="whose it is: the record of changes says token:NAME")
    create.add_argument(
        "--scope", action="append", required=True, metavar="SCOPE", help="a role or a scope; several times for several"
    )
    create.add_argument("--days", type=float, default=90.0, help="days until it ends (90)")
    create.set_defaults(run=commands.token_create)
    parsers.add_parser("list", help="list all tokens, without their secrets").set_defaults(run=commands.token_list)
    revoke = parsers.add_parser("revoke", help="take a token back: it is refused within seconds")
    revoke.add_argument("name", help="the token's name")
    revoke.set_defaults(run=commands.token_revoke)


def _add_documents(area: argparse.ArgumentParser) -> None:
    parsers = area.add_subparsers(required=True, metavar="command")
    add = parsers.add_parser("add", help="add those of a file or a folder, all or none")
    add.add_argument(
        "path", type=Path, metavar="FILE|FOLDER", help="JSON of ids and documents, Apollo's manifest, or *.graphql"
    )
    add.set_defaults(run=commands.documents_add)
    parsers.add_parser("list", help="list all of them, without their text").set_defaults(run=commands.documents_list)
    remove = parsers.add_parser("remove", help="trust one no longer: gateways refuse it within seconds")
    remove.add_argument("id", help="its id")
    remove.set_defaults(run=commands.documents_remove)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status. What a user can mend is said in a sentence, without a traceback.

    Whatever collects the log of a gateway that serves reads JSON: there the sentence is a line of it.
    """
    options = _parser().parse_args(arguments)
    run: Command = options.run
    complain = log.critical if run is commands.serve else _complain
    try:
        configure("info")  # until the settings say otherwise
        _look_at_output(run)
        settings = load()
        configure(settings.log, settings.log_format)
        commands.ENDING.listen()
        status = run(options, settings)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:  # as with `e2i-gateway schema print | head`: nobody reads on
        _read_no_more()
        return 128 + signal.SIGPIPE
    except SystemExit:
        if commands.ENDING.asked_by is None:
            raise
        return 0 if run is commands.serve else 128 + commands.ENDING.asked_by  # serving has no other end
    except Exception as error:
        said = _said(error)
        if said is None and run is commands.serve:
            raise
        complain("%s", said or f"an unexpected fault: {type(error).__name__}: {error}")
        log.debug("the command has failed", exc_info=error)
        if isinstance(error, OSError):
            _read_no_more()
        return 2 if isinstance(error, SettingsError) else 1
    return status


class _NowhereError(Exception):
    """There is nowhere to write to."""


def _look_at_output(run: Command) -> None:
    if sys.stdout is None and run is not commands.serve:
        raise _NowhereError("the standard output is closed: there is nowhere to write to")


_TELLING = (
    EmbeddedPostgresError, SetupError, DemoError, TokenError, TrustedDocumentsError, commands.AddressError,
    _NowhereError,
)  # fmt: skip
"""What says by itself what is wrong."""


def _said(error: Exception) -> str | None:
    """What a user can mend, in a sentence; None for a fault of the gateway's own."""
    of_system = isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError)
    meaning = error if of_system or isinstance(error, (*_TELLING, SettingsError)) else translate(error)
    match meaning:
        case SettingsError():
            return f"a setting is wrong\n{meaning}"
        case DatabaseUnavailableError():
            return f"the database cannot be reached: {str(meaning) or 'no answer in time'}"
        case DatabaseError():
            return f"the database refuses: {meaning}"
        case OSError():
            return f"{meaning.filename or 'the system'}: {meaning.strerror or meaning}"
    return str(meaning) if isinstance(meaning, _TELLING) else None


def _read_no_more() -> None:
    """Nothing that is still to be written can be; else Python complains when it ends."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str, *given: object) -> None:
    print(f"e2i-gateway: {message % given}", file=sys.stderr)  # noqa: T201

"""What the command line's commands do. Each returns its exit status."""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import ExitStack, asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection

from db.attach import attach
from db.attach.detach import detach
from db.attach.report import attach_and_tell
from db.engine.url import database_url
from db.migrations import setup
from db.migrations.revise import new_revision
from db.store import documents, tokens
from db.store.caller_roles import unusable_by_any
from db.store.grants import role_sql
from gateway.auth.authentication import TOKEN_SECONDS
from gateway.database import embedded_database, load_demo
from gateway.doctor import findings
from gateway.doctor.examine import examine
from gateway.doctor.findings import as_json, as_sql, as_text
from gateway.observability.logging import LINES
from gateway.operations.documents import Documents
from gateway.operations.persisted import TABLE_SECONDS, documents_of, warn_of
from gateway.roles import ROLES, meant, unknown
from gateway.server import uvicorn_server, workers
from gateway.server.uvicorn_server import ListeningSockets
from gateway.settings import Settings, address
from schema.execution.explain import explain
from schema.schema import build
from schema.scopes import shown_scopes

log = logging.getLogger("gateway")

T = TypeVar("T")

MAX_DAYS = 3650
"""The longest life of a service token."""


class Ending:
    """SIGINT, SIGTERM or the closing of the terminal unwind a command, so that the embedded database stops with it.

    They take effect once: while a command unwinds, more of them change nothing. Coroutines are cancelled, since an
    exception that a signal's handler raises inside them can get lost between greenlets and callbacks.
    """

    def __init__(self) -> None:
        self.asked_by: signal.Signals | None = None
        self._runs = False
        self._task: asyncio.Task[Any] | None = None

    def listen(self) -> None:
        """Handles the signals from now on; uvicorn has handlers of its own while it serves, and gives them back."""
        signal.signal(signal.SIGINT, self._ask)
        signal.signal(signal.SIGTERM, self._ask)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as it is under nohup
            signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine to its end, or to a signal's."""

        async def watched() -> T:
            self._task = asyncio.current_task()
            if self._task and self.asked_by is not None:
                self._task.cancel()
            return await coroutine

        self._runs = True
        try:
            return asyncio.run(watched())
        finally:
            self._runs, self._task = False, None
            self.obey()  # whatever the cancellation became on its way up

    def obey(self) -> None:
        """Unwinds if a signal has asked for it."""
        if self.asked_by is not None:
            raise SystemExit(128 + self.asked_by)

    def _ask(self, number: int, _frame: object) -> None:
        self.asked_by = signal.Signals(number)
        for ending in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ending, signal.SIG_IGN)
        if not self._runs:
            self.obey()
        elif self._task:
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)


ENDING = Ending()
"""The end of this process."""


class AddressError(Exception):
    """The gateway cannot listen where it should; the message says where, why and what to do."""


_BACKLOG = 2048
"""Connections that wait to be accepted."""


def serve(options: argparse.Namespace, settings: Settings) -> int:
    """Serves until SIGINT or SIGTERM; the embedded database stops with the last gateway that uses it."""
    with ExitStack() as bound:  # first of all, since a port that is taken is known at once
        sockets = ListeningSockets(*(bound.enter_context(_bind(*where)) for where in _addresses(settings)))
        if settings.url is not None:
            return _serve(settings, settings.url, sockets)
        log.info(
            "DATABASE_URL is not set: serving the gateway's own demo database in %s; set it to serve another",
            settings.data / "postgres",
        )
        with embedded_database(settings, ENDING.run) as (owner, gateway):
            if (size := options.demo or settings.demo) != "off":
                ENDING.run(load_demo(owner, size))
            return _serve(settings, database_url(gateway), sockets)


Where = tuple[str, int, str]
"""An address, a port, and what to set for another."""


def _addresses(settings: Settings) -> list[Where]:
    """Where the gateway listens: for the graph, and for its metrics if they are asked for."""
    if settings.is_exposed:
        raise AddressError(
            f"HOST={settings.host} can be reached from other machines, where GATEWAY_AUTH=none lets everybody read and "
            "change everything: set GATEWAY_AUTH to jwt or token (or both), or HOST to 127.0.0.1"
        )
    graph = (settings.host, settings.port, "set HOST to an address of this machine and PORT to a free port")
    if settings.metrics is None:
        return [graph]
    return [graph, (*address(settings.metrics), "set GATEWAY_METRICS to an address of this machine and a free port")]


def _bind(host: str, port: int, advice: str) -> socket.socket:
    """A socket with an address and a port; nobody can connect until it listens."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise _address_error((host, port, advice), error) from error
    return listener


def _address_error(where: Where, error: OSError) -> AddressError:
    host, port, advice = where
    what = error.strerror or str(error)
    if error.errno == errno.EADDRINUSE:
        what = "another program, perhaps another gateway, has this port"
        advice = f"stop it, or {advice}"
    return AddressError(f"cannot listen on {host} port {port}: {what}; {advice}")


def _serve(settings: Settings, url: URL, sockets: ListeningSockets) -> int:
    for listener, where in zip(sockets.all, _addresses(settings), strict=True):
        try:
            listener.listen(_BACKLOG)
        except OSError as error:  # somebody else was bound to the port too, and listened first
            raise _address_error(where, error) from error

    def started() -> None:
        if LINES.as_text:
            LINES.write(_addresses_for_people(_shown(sockets.graph)))
            return
        log.info("the graph is at http://%s/graphql", _shown(sockets.graph))
        if sockets.metrics:
            log.info("metrics are at http://%s/metrics", _shown(sockets.metrics))

    if settings.workers > 1:
        return 0 if workers.serve(settings, url, sockets, started) else 1
    ended = uvicorn_server.run(
        settings, url, sockets, on_start=started, asked_to_end=lambda: ENDING.asked_by is not None
    )
    return 0 if ended else 1


def _addresses_for_people(graph: str) -> str:
    return (
        f"\n  The graph, and GraphiQL in a browser:  http://{graph}/graphql"
        f"\n  The lineage explorer:                 http://{graph}/explorer"
        f"\n  Whether it can answer:                http://{graph}/readyz"
        "\n\n  Control-C stops it.\n"
    )


def _shown(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def doctor(options: argparse.Namespace, settings: Settings) -> int:
    """Checks this deployment and says what to fix; 1 if something must be."""
    if settings.url is not None:
        found = ENDING.run(examine(settings, settings.url))
    elif (settings.data / "postgres").exists():
        with embedded_database(settings, ENDING.run) as (_, gateway):
            found = ENDING.run(examine(settings, database_url(gateway)))
    else:
        found = ENDING.run(examine(settings, None))
    write = as_json if options.json else as_sql if options.sql else as_text
    sys.stdout.write(write(found))
    return findings.status(found)


def schema_print(_options: argparse.Namespace, _settings: Settings) -> int:
    """Prints the schema as SDL."""
    sys.stdout.write(build().as_str() + "\n")
    return 0


def schema_possible_types(_options: argparse.Namespace, _settings: Settings) -> int:
    """Prints the types of each interface and union as the JSON that Apollo's `InMemoryCache` takes."""
    sys.stdout.write(json.dumps(build().possible_types(), indent=2) + "\n")
    return 0


def db_init(_options: argparse.Namespace, settings: Settings) -> int:
    """Builds the schema on an empty database."""
    return _with_owner(settings, _migrate)


db_migrate = db_init


async def _migrate(url: str) -> int:
    await setup.migrate(url)
    _say("The database is up to date.")
    return 0


def db_attach(options: argparse.Namespace, settings: Settings) -> int:
    """Prepares the platform's database: adds the schema `gateway`, changes nothing else."""

    async def run(url: str) -> int:
        _say((await attach_and_tell(database_url(url), explain)).text(everything=options.all))
        return 0

    return _with_owner(settings, run)


def db_detach(options: argparse.Namespace, settings: Settings) -> int:
    """Lists what the gateway has brought into the platform's database, and takes it away if that is confirmed."""

    async def run(url: str) -> int:
        brought = (await detach(url, confirmed=options.confirm)).text()
        if not brought:
            _say("The gateway has brought nothing into this database.")
        elif options.confirm:
            _say(f"Taken away:\n{brought}")
        else:
            _say(f"This would go:\n{brought}\nNothing was changed; `e2i-gateway db detach --confirm` takes it away.")
        return 0

    return _with_owner(settings, run)


def db_check(_options: argparse.Namespace, settings: Settings) -> int:
    """Prints every difference between the database and what the graph expects."""

    return _with_owner(settings, lambda url: attach.check(url, sys.stdout.write, explain, rls=settings.rls))


def db_role(options: argparse.Namespace, _settings: Settings) -> int:
    """Prints the SQL that makes the role to serve with."""
    sys.stdout.write(role_sql(options.name))
    return 0


def db_demo(options: argparse.Namespace, settings: Settings) -> int:
    """Loads demo data into an empty database."""

    async def run(url: str) -> int:
        loaded = await load_demo(url, options.size)
        _say("Demo data loaded." if loaded else "The database has rows already; demo data needs an empty one.")
        return 0 if loaded else 1

    return _with_owner(settings, run)


def token_create(options: argparse.Namespace, settings: Settings) -> int:
    """Makes a service token and shows it, once."""
    roles = {**ROLES, **settings.roles}
    if wrong := unknown(options.scope, roles):
        raise tokens.TokenError(
            f"{', '.join(wrong)}: no role and no scope{meant(wrong[0], roles)}\nThere are the roles {', '.join(roles)} "
            f"and the scopes {', '.join(shown_scopes())}, and change:MUTATION for each mutation"
        )
    if not 0 < options.days <= MAX_DAYS:
        raise tokens.TokenError(f"--days {options.days:g} is out of range; pass more than 0, at most {MAX_DAYS}")

    async def run(url: str) -> int:
        async with _own(url, "service_tokens", tokens.TokenError) as connection:
            if settings.rls and (why := await unusable_by_any(connection, settings.rls_token_role)):
                raise tokens.TokenError(
                    f"nobody could use the token: it would have the role of GATEWAY_RLS_TOKEN_ROLE, and {why}"
                )
            made = await tokens.create(connection, options.name, options.scope, options.days)
        sys.stderr.write("Keep it: it is shown this once, and only its hash is stored.\n")
        _say(made)
        return 0

    return _with_owner(settings, run)


def token_list(_options: argparse.Namespace, settings: Settings) -> int:
    """Prints every service token, without its secret."""

    async def run(url: str) -> int:
        async with _own(url, "service_tokens", tokens.TokenError) as connection:
            found = await tokens.listed(connection)
        for one in found:
            used = f"used {one.last_used_at:%Y-%m-%d %H:%M}" if one.last_used_at else "never used"
            until = f"until {one.expires_at:%Y-%m-%d %H:%M}"
            _say("\t".join([one.name, one.state, until, used, " ".join(one.scopes)]))
        if not found:
            _say("There are no service tokens.")
        return 0

    return _with_owner(settings, run)


def token_revoke(options: argparse.Namespace, settings: Settings) -> int:
    """Takes a service token back."""

    async def run(url: str) -> int:
        async with _own(url, "service_tokens", tokens.TokenError) as connection:
            await tokens.revoke(connection, options.name)
        _say(f"The token {options.name} is revoked; gateways refuse it within {TOKEN_SECONDS:g} seconds.")
        return 0

    return _with_owner(settings, run)


def documents_add(options: argparse.Namespace, settings: Settings) -> int:
    """Adds the trusted documents of a file or a folder to the table; says which of them this schema cannot answer."""
    found = documents_of(options.path)

    async def run(url: str) -> int:
        async with _own(url, "trusted_documents", documents.TrustedDocumentsError) as connection:
            added = await documents.add(connection, found)
        there = len(found) - len(added)
        said = f"{len(added)} added, {there} were there; gateways know them within {TABLE_SECONDS:g} seconds."
        _say("\n".join([*added, said]))
        return 0

    status = _with_owner(settings, run)
    readable = Documents(build().graphql, settings)
    for one in found:
        warn_of(one.id, one.text, readable)
    return status


def documents_list(_options: argparse.Namespace, settings: Settings) -> int:
    """Prints every trusted document of the table, without its text."""

    async def run(url: str) -> int:
        async with _own(url, "trusted_documents", documents.TrustedDocumentsError) as connection:
            found = await documents.listed(connection)
        for one in found:
            when = f"{one.added_at:%Y-%m-%d %H:%M}"
            _say("\t".join([one.id, one.name or "-", f"{one.characters} characters", when, one.added_by]))
        if not found:
            _say("There are no trusted documents in the database.")
        return 0

    return _with_owner(settings, run)


def documents_remove(options: argparse.Namespace, settings: Settings) -> int:
    """Removes a trusted document from the table."""

    async def run(url: str) -> int:
        async with _own(url, "trusted_documents", documents.TrustedDocumentsError) as connection:
            await documents.remove(connection, options.id)
        _say(f"{options.id} is removed; gateways trust it no longer within {TABLE_SECONDS:g} seconds.")
        return 0

    return _with_owner(settings, run)


@asynccontextmanager
async def _own(url: str, table: str, error: type[Exception]) -> AsyncIterator[AsyncConnection]:
    """A transaction over a table of the gateway's own; ``error`` where the database lacks it."""
    async with setup.connect(url) as connection, connection.begin():
        if await connection.scalar(text("SELECT to_regclass(:name) IS NULL"), {"name": f"gateway.{table}"}):
            raise error(
                f"this database has no gateway.{table} yet; run `e2i-gateway db migrate` or `e2i-gateway db attach`"
            )
        yield connection


def db_revision(options: argparse.Namespace, settings: Settings) -> int:
    """Writes a migration from the difference between the models and the migrations so far."""
    path = ENDING.run(new_revision(settings.database_url, options.message))
    _say(f"Wrote {path}: read it before you commit it." if path else "The migrations say what the models say already.")
    return 0


def _with_owner(settings: Settings, run: Callable[[str], Coroutine[Any, Any, int]]) -> int:
    """Runs on the database that the settings name, in the role that owns its objects."""
    if settings.database_url:
        return ENDING.run(run(settings.database_url))
    with embedded_database(settings, ENDING.run) as (owner, _):
        return ENDING.run(run(owner))


def _say(text: str) -> None:
    sys.stdout.write(text.rstrip() + "\n")

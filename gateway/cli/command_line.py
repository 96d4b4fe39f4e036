"""The command `e2i-gateway`: serves the graph, manages its database, prints its schema."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

from db.embedded.server import EmbeddedPostgresError
from db.engine.errors import DatabaseError, DatabaseUnavailableError, translate
from db.migrations.setup import SetupError
from db.store.documents import TrustedDocumentsError
from db.store.previews import PreviewError
from db.store.tokens import TokenError
from db.store.webhooks import WebhookError
from gateway.cli import database, doctor, documents, lineage, mcp, previews, schema, serve, tokens, webhooks
from gateway.cli.areas import Command
from gateway.cli.serve import AddressError
from gateway.cli.signals import SIGNALS
from gateway.observability.logging import configure
from gateway.openlineage.export import ExportError
from gateway.settings import SettingsError, load
from schema.recording.retention import PolicyError

log = logging.getLogger("gateway")


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

    for group in (serve, mcp, doctor, database, tokens, documents, previews, webhooks, lineage, schema):
        group.add(areas)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status. Errors that a user can mend are printed as a sentence, without a
    traceback.

    While serving without a terminal, the sentence is a line of the JSON log.
    """
    options = _parser().parse_args(arguments)
    run: Command = options.run
    complain = log.critical if run is serve.serve else _print_error
    try:
        configure("info")  # until the settings say otherwise
        _check_output(run)
        settings = load()
        configure(settings.log, settings.log_format)
        SIGNALS.listen()
        status = run(options, settings)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:  # as in `e2i-gateway schema print | head`: the reader has closed the pipe
        _discard_output()
        return 128 + signal.SIGPIPE
    except SystemExit:
        if SIGNALS.received is None:
            raise
        return 0 if run is serve.serve else 128 + SIGNALS.received  # serving ends by a signal alone
    except Exception as error:
        said = _said(error)
        if said is None and run is serve.serve:
            raise
        complain("%s", said or f"an unexpected fault: {type(error).__name__}: {error}")
        log.debug("the command has failed", exc_info=error)
        if isinstance(error, OSError):
            _discard_output()
        return 2 if isinstance(error, SettingsError) else 1
    return status


class _ClosedOutputError(Exception):
    """Standard output is closed."""


def _check_output(run: Command) -> None:
    if sys.stdout is None and run is not serve.serve:
        raise _ClosedOutputError("the standard output is closed: there is nowhere to write to")


_TELLING = (
    EmbeddedPostgresError, SetupError, TokenError, TrustedDocumentsError, PreviewError, PolicyError, WebhookError,
    ExportError, AddressError, _ClosedOutputError,
)  # fmt: skip
"""Exceptions whose message is complete by itself."""


def _said(error: Exception) -> str | None:
    """A sentence for an error that a user can mend; None for a defect of the gateway."""
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


def _discard_output() -> None:
    """Discards output still buffered, which Python would complain about at exit."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_error(message: str, *given: object) -> None:
    print(f"e2i-gateway: {message % given}", file=sys.stderr)  # noqa: T201

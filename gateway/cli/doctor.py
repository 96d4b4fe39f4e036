"""``e2i-gateway doctor``: checks of a deployment, as text, JSON or SQL."""

from __future__ import annotations

import argparse
import sys
from functools import partial

from db.engine.url import database_url, schema_names
from gateway.cli.areas import Areas
from gateway.cli.signals import SIGNALS
from gateway.database import embedded_database
from gateway.doctor import findings
from gateway.doctor.examine import examine
from gateway.doctor.findings import as_json, as_sql, as_text
from gateway.settings import Settings


def add(areas: Areas) -> None:
    """Adds the command."""
    parser = areas.add_parser(
        "doctor", help="check this deployment and print fixes; exits with 1 if something must be fixed"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--all", action="store_true", help="every finding, not a page of them")
    form.add_argument("--json", action="store_true", help="for machines")
    form.add_argument("--sql", action="store_true", help="only what the owner of the database may run, for psql")
    parser.set_defaults(run=doctor)


def doctor(options: argparse.Namespace, settings: Settings) -> int:
    """Checks this deployment and prints remedies; 1 if anything is an error."""
    if settings.url is not None:
        found = SIGNALS.run(examine(settings, settings.url))
    elif (settings.data / "postgres").exists():
        with embedded_database(settings, SIGNALS.run) as (_, gateway):
            found = SIGNALS.run(examine(settings, database_url(gateway)))
    else:
        found = SIGNALS.run(examine(settings, None))
    of_schemas = partial(as_sql, schemas=schema_names(settings.schemas))
    write = as_json if options.json else of_schemas if options.sql else partial(as_text, everything=options.all)
    sys.stdout.write(write(found))
    return findings.status(found)

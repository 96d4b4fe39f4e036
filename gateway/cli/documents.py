"""``e2i-gateway documents``: trusted documents in the database."""

from __future__ import annotations

import argparse
from pathlib import Path

from db.store import documents
from gateway.cli.areas import Areas
from gateway.cli.connection import own_table, say, with_owner
from gateway.operations.documents import Documents
from gateway.operations.persisted import TABLE_SECONDS, documents_of, warn_of
from gateway.settings import Settings
from schema.schema import build


def add(areas: Areas) -> None:
    """Adds the commands."""
    parsers = areas.add_parser("documents", help="trusted documents in the database").add_subparsers(
        required=True, metavar="command"
    )
    one = parsers.add_parser("add", help="add those of a file or a folder, all or none")
    one.add_argument(
        "path", type=Path, metavar="FILE|FOLDER", help="JSON of ids and documents, Apollo's manifest, or *.graphql"
    )
    one.set_defaults(run=add_documents)
    parsers.add_parser("list", help="list all of them, without their text").set_defaults(run=list_all)
    one = parsers.add_parser("remove", help="trust one no longer: gateways refuse it within seconds")
    one.add_argument("id", help="its id")
    one.set_defaults(run=remove)


def add_documents(options: argparse.Namespace, settings: Settings) -> int:
    """Adds the trusted documents of a file or a folder to the table; names those that are invalid against the
    schema."""
    found = documents_of(options.path)

    async def run(url: str) -> int:
        async with own_table(url, "trusted_documents", documents.TrustedDocumentsError) as connection:
            added = await documents.add(connection, found)
        there = len(found) - len(added)
        said = f"{len(added)} added, {there} were there; gateways know them within {TABLE_SECONDS:g} seconds."
        say("\n".join([*added, said]))
        return 0

    status = with_owner(settings, run)
    readable = Documents(build(federated=settings.federation), settings)
    for one in found:
        warn_of(one.id, one.text, readable)
    return status


def list_all(_options: argparse.Namespace, settings: Settings) -> int:
    """Prints every trusted document of the table, without its text."""

    async def run(url: str) -> int:
        async with own_table(url, "trusted_documents", documents.TrustedDocumentsError) as connection:
            found = await documents.listed(connection)
        for one in found:
            when = f"{one.added_at:%Y-%m-%d %H:%M}"
            say("\t".join([one.id, one.name or "-", f"{one.characters} characters", when, one.added_by]))
        if not found:
            say("There are no trusted documents in the database.")
        return 0

    return with_owner(settings, run)


def remove(options: argparse.Namespace, settings: Settings) -> int:
    """Removes a trusted document from the table."""

    async def run(url: str) -> int:
        async with own_table(url, "trusted_documents", documents.TrustedDocumentsError) as connection:
            await documents.remove(connection, options.id)
        say(f"{options.id} is removed; gateways trust it no longer within {TABLE_SECONDS:g} seconds.")
        return 0

    return with_owner(settings, run)

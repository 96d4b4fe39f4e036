"""``e2i-gateway lineage``: exports the lineage and the record of changes to other tools."""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Mapping
from random import getrandbits
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy.engine import URL

from db.engine.url import database_url
from gateway.cli.areas import Areas
from gateway.cli.signals import SIGNALS
from gateway.database import embedded_database
from gateway.openlineage.events import Event, EventWriter
from gateway.openlineage.export import Ask, ExportError, WalkScope, changes, ids_of, walk
from gateway.settings import Settings
from schema.catalogue.from_models import catalogue
from schema.lineage.edges import edges

if TYPE_CHECKING:
    from gateway.operations.service import OperationService


def add(areas: Areas) -> None:
    """Adds the commands."""
    parsers = areas.add_parser("lineage", help="the lineage for other tools").add_subparsers(
        required=True, metavar="command"
    )
    one = parsers.add_parser("export", help="write the lineage, or the record of changes, as events of OpenLineage")
    one.add_argument("--from", dest="starts", action="append", metavar="ID", help="from this row, by its global id")
    one.add_argument("--type", dest="types", action="append", metavar="TYPE", help="from all rows of this type")
    one.add_argument(
        "--direction", choices=["UPSTREAM", "DOWNSTREAM", "BOTH"], default="BOTH", help="which way from there (BOTH)"
    )
    one.add_argument("--depth", type=int, default=3, help="how many edges from there (3)")
    one.add_argument("--changes", action="store_true", help="the record of changes in place of the lineage")
    one.add_argument("--since", metavar="TIME", help="with --changes: from this moment on, such as now-7d")
    one.add_argument("--until", metavar="TIME", help="with --changes: before this moment")
    one.set_defaults(run=export)


def export(options: argparse.Namespace, settings: Settings) -> int:
    """Writes OpenLineage events, one a line."""
    if options.changes == bool(options.starts or options.types):
        raise ExportError("pass --from or --type for the lineage, or --changes for the record of changes")
    if not options.changes and (options.since or options.until):
        raise ExportError("--since and --until are for --changes")
    for name in options.types or ():
        if name not in edges().of:
            raise ExportError(f"--type {name[:100]}: it is no type of the lineage")
    quiet = settings.model_copy(update={"webhooks": False})
    if settings.url is not None:
        return SIGNALS.run(_export(options, quiet, settings.url))
    with embedded_database(settings, SIGNALS.run) as (_, gateway):
        return SIGNALS.run(_export(options, quiet, database_url(gateway)))


async def _export(options: argparse.Namespace, settings: Settings, url: URL) -> int:
    from gateway.app import create_app  # noqa: PLC0415 - slow to import, and needed by this command alone

    app = create_app(settings, url)
    writer = EventWriter(settings.known_url, settings.openlineage_namespace)
    async with app.router.lifespan_context(app):
        async for event in _events(options, _asking(app.state.graphql), writer):
            sys.stdout.buffer.write(orjson.dumps(event) + b"\n")
    return 0


async def _events(options: argparse.Namespace, ask: Ask, writer: EventWriter) -> AsyncIterator[Event]:
    if options.changes:
        async for event in changes(ask, writer, options.since, options.until):
            yield event
        return
    starts = list(options.starts or ())
    for name in options.types or ():
        lists = [one for one in catalogue().roots.values() if one.many and one.target == name and one.nearest is None]
        if not lists:
            raise ExportError(f"--type {name}: no field lists them; name some by --from")
        starts += await ids_of(ask, lists[0].name, name)
    for event in writer.lineage(
        await walk(ask, WalkScope(list(dict.fromkeys(starts)), options.direction, options.depth))
    ):
        yield event


def _asking(service: OperationService) -> Ask:
    from gateway.operations.call import Call  # noqa: PLC0415 - loaded with the application by now
    from gateway.operations.refusals import RefusedError  # noqa: PLC0415

    async def ask(document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        try:
            parameters = service.parameters({"query": document, "variables": dict(variables)})
            answer = await service.run(parameters._replace(own=True), Call(f"{getrandbits(128):032x}"))
        except RefusedError as error:
            raise ExportError(error.errors[0].message) from None
        values = answer.as_values()
        if errors := values.get("errors"):
            raise ExportError(errors[0]["message"])
        data: dict[str, Any] = values["data"]
        return data

    return ask

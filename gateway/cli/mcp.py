"""``e2i-gateway mcp``: the tools of agents over stdio."""

from __future__ import annotations

import argparse
from importlib.metadata import version
from typing import Literal

from sqlalchemy.engine import URL

from db.engine.url import database_url
from gateway.cli.areas import Areas
from gateway.cli.signals import SIGNALS
from gateway.database import embedded_database, load_demo
from gateway.settings import Settings, SettingsError


def add(areas: Areas) -> None:
    """Adds the command."""
    parser = areas.add_parser("mcp", help="serve an agent over stdio (the Model Context Protocol)")
    parser.add_argument(
        "--demo", choices=["small", "large"], help="demo data of an empty embedded database: small unless said"
    )
    parser.set_defaults(run=mcp)


def mcp(options: argparse.Namespace, settings: Settings) -> int:
    """Serves one agent over stdin and stdout, until stdin is closed."""
    if settings.mcp == "off":
        raise SettingsError("GATEWAY_MCP: it is off; set it to read or change")
    if settings.url is not None:
        return SIGNALS.run(_serve(settings, settings.url))
    with embedded_database(settings, SIGNALS.run) as (owner, gateway):
        if (size := demo_size(options, settings)) != "off":
            SIGNALS.run(load_demo(owner, size))
        return SIGNALS.run(_serve(settings, database_url(gateway)))


def demo_size(options: argparse.Namespace, settings: Settings) -> Literal["off", "small", "large"]:
    """The size of the demo data in an empty embedded database: small by default, since agents need rows."""
    return options.demo or (settings.demo if "demo" in settings.model_fields_set else "small")


async def _serve(settings: Settings, url: URL) -> int:
    from gateway.app import create_app  # noqa: PLC0415 - slow to import, and needed by this command alone
    from gateway.mcp import stdio  # noqa: PLC0415

    app = create_app(settings, url)
    async with app.router.lifespan_context(app):
        await stdio.serve(app.state.mcp.box, app.state.authentication, settings, version("e2i-gateway"))
    return 0

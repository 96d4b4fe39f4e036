"""``e2i-gateway previews``: changes that agents have previewed, to be confirmed by a person."""

from __future__ import annotations

import argparse

from db.store import previews
from gateway.cli.areas import Areas
from gateway.cli.connection import own_table, say, with_owner
from gateway.settings import Settings


def add(areas: Areas) -> None:
    """Adds the commands."""
    parsers = areas.add_parser("previews", help="changes that agents have previewed").add_subparsers(
        required=True, metavar="command"
    )
    parsers.add_parser("list", help="list those that are kept, the newest first").set_defaults(run=list_all)
    one = parsers.add_parser("show", help="print what a preview would change")
    one.add_argument("id", help="its previewId")
    one.set_defaults(run=show)
    one = parsers.add_parser("approve", help="confirm one: its agent can apply it then, for as long as it is open")
    one.add_argument("id", help="its previewId")
    one.set_defaults(run=approve)


def list_all(_options: argparse.Namespace, settings: Settings) -> int:
    """Prints every stored preview, without its changes."""

    async def run(url: str) -> int:
        async with own_table(url, "change_previews", previews.PreviewError) as connection:
            found = await previews.listed(connection)
        for one in found:
            say("\t".join([one.id, one.state, f"until {one.expires_at:%Y-%m-%d %H:%M}", one.caller]))
        if not found:
            say("There are no previews of agents.")
        return 0

    return with_owner(settings, run)


def show(options: argparse.Namespace, settings: Settings) -> int:
    """Prints the changes of a preview, in the words of the question that a person is asked."""

    async def run(url: str) -> int:
        async with own_table(url, "change_previews", previews.PreviewError) as connection:
            one = await previews.found(connection, options.id)
        say(f"{one.id} of {one.caller}, {one.state}, until {one.expires_at:%Y-%m-%d %H:%M}\n{one.question}")
        return 0

    return with_owner(settings, run)


def approve(options: argparse.Namespace, settings: Settings) -> int:
    """Approves a preview, and prints what its agent can apply now."""

    async def run(url: str) -> int:
        async with own_table(url, "change_previews", previews.PreviewError) as connection:
            one = await previews.approve(connection, options.id)
        say(f"{one.question}\nApproved: {one.caller} can apply it until {one.expires_at:%H:%M}, while nothing changes.")
        return 0

    return with_owner(settings, run)

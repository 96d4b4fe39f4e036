"""``e2i-gateway webhooks``: receivers of webhooks, their secrets, and dead messages."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from db.models.g07_model_monitoring import DriftSeverity
from db.models.g07_monitoring_alerts import AlertStatus
from db.store import webhooks
from db.store.webhooks import Run
from gateway.cli.areas import Areas
from gateway.cli.connection import own_table, say, with_owner
from gateway.settings import Settings
from gateway.webhooks.managing import Webhooks, runs_on
from gateway.webhooks.messages import FORMATS, KINDS
from schema.catalogue.from_models import catalogue


def add(areas: Areas) -> None:
    """Adds the commands."""
    parsers = areas.add_parser("webhooks", help="receivers of changes and alerts").add_subparsers(
        required=True, metavar="command"
    )
    one = parsers.add_parser("create", help="make one; its secret is shown once")
    one.add_argument("name", help="what it is called")
    one.add_argument("url", help="where its messages are posted, such as https://pager.example/e2i")
    one.add_argument("--topic", choices=sorted(KINDS), required=True, help="what it is told of")
    for flag, help_ in _FLAGS.items():
        one.add_argument(flag, action="append", metavar="VALUE", help=help_)
    one.add_argument("--format", choices=sorted(FORMATS), default="standard", help="how its messages are written")
    one.set_defaults(run=create)
    parsers.add_parser("list", help="list all, without their secrets").set_defaults(run=list_all)
    one = parsers.add_parser("rotate", help="give one a new secret; the one before signs beside it for a while")
    one.add_argument("name", help="its name")
    one.add_argument("--hours", type=float, default=24.0, help="hours for which both sign (24)")
    one.set_defaults(run=rotate)
    for name, help_, run in (
        ("end-rotation", "let the newest secret sign alone, once the receiver has it", end_rotation),
        ("pause", "send one nothing until it is resumed; what happens meanwhile waits", pause),
        ("resume", "send one what waits, and what comes", resume),
        ("remove", "remove one, and what waits for it", remove),
        ("dead", "list its messages that were given up", list_dead),
    ):
        one = parsers.add_parser(name, help=help_)
        one.add_argument("name", help="its name")
        one.set_defaults(run=run)
    one = parsers.add_parser("resend", help="send messages again that were given up")
    one.add_argument("name", help="its name")
    one.add_argument("--id", help="the one message; without it all")
    one.set_defaults(run=resend)


_FLAGS = {
    "--type": "lifecycle: rows of this type alone, such as Model; several times for several",
    "--node": "lifecycle: this row alone, by its global id",
    "--from": "lifecycle: changes from this state alone, such as STAGING",
    "--to": "lifecycle: changes to this state alone",
    "--severity": "alerts: of this severity alone, such as HIGH",
    "--status": "alerts: that have come to this state alone, such as ACTIVE",
    "--model": "alerts: on this model alone, by its global id",
}


def _filters(options: argparse.Namespace) -> dict[str, Any]:
    """The filters as arguments of the subscription; labels as the live log spells them.

    Raises:
        WebhookError: A value is not a label of its enum.
    """
    given = vars(options)
    found: dict[str, Any] = {
        "types": given["type"],
        "nodeIds": given["node"],
        "from": given["from"],
        "to": given["to"],
        "severity": _labels("--severity", DriftSeverity, given["severity"]),
        "status": _labels("--status", AlertStatus, given["status"]),
        "modelId": given["model"][0] if given["model"] else None,
    }
    if given["model"] and len(given["model"]) > 1:
        raise webhooks.WebhookError("--model is given twice; alerts are filtered by one model, or none")
    kept = {name: value for name, value in found.items() if value is not None}
    types = sorted(type_.name for type_ in catalogue())
    if wrong := [one for one in kept.get("types", ()) if one not in types]:
        raise webhooks.WebhookError(f"--type {wrong[0][:100]}: there is no such type")
    return kept


def _labels(flag: str, words: type[DriftSeverity | AlertStatus], given: Sequence[str] | None) -> list[str] | None:
    if given is None:
        return None
    names = {one.name: one.value for one in words}
    if wrong := [one for one in given if one.upper() not in names]:
        raise webhooks.WebhookError(f"{flag} {wrong[0][:100]}: it is one of {', '.join(names)}")
    return [names[one.upper()] for one in given]


def create(options: argparse.Namespace, settings: Settings) -> int:
    """Creates a receiver, and prints its secret once."""
    filters = _filters(options)

    async def run(on: Run) -> None:
        secret = await Webhooks(settings).create(on, options.name, options.url, options.topic, filters, options.format)
        _once(secret)

    return _with_webhooks(settings, run)


def rotate(options: argparse.Namespace, settings: Settings) -> int:
    """Gives a receiver a new secret, and prints it once."""

    async def run(on: Run) -> None:
        _once(await Webhooks(settings).rotate(on, options.name, options.hours))

    return _with_webhooks(settings, run)


def end_rotation(options: argparse.Namespace, settings: Settings) -> int:
    """Ends a rotation: only the newer secret signs from now on."""

    async def run(on: Run) -> None:
        await webhooks.end_rotation(on, options.name)
        say(f"One secret of {options.name} signs.")

    return _with_webhooks(settings, run)


def _once(secret: str) -> None:
    sys.stderr.write("Keep it: it is shown this once.\n")
    say(secret)


def list_all(_options: argparse.Namespace, settings: Settings) -> int:
    """Prints every receiver, without its secret."""

    async def run(on: Run) -> None:
        found = await webhooks.listed(on)
        for one in found:
            filters = " ".join(f"{name}={value}" for name, value in one.filters.items()) or "all"
            rotating = f"two secrets until {one.rotating_until:%Y-%m-%d %H:%M}" if one.rotating_until else "one secret"
            state, counts = one.paused_because or "active", f"{one.waiting} waiting, {one.dead} dead"
            say(f"{one.name}\t{state}\t{counts}\t{rotating}\t{one.topic} as {one.format}\t{filters}\t{one.url}")
        if not found:
            say("There are no webhooks.")

    return _with_webhooks(settings, run)


def pause(options: argparse.Namespace, settings: Settings) -> int:
    """Stops sending to a receiver until it is resumed."""

    async def run(on: Run) -> None:
        await webhooks.pause(on, options.name)
        say(f"{options.name} is paused; what happens meanwhile waits.")

    return _with_webhooks(settings, run)


def resume(options: argparse.Namespace, settings: Settings) -> int:
    """Sends a receiver its queued messages, and new ones."""

    async def run(on: Run) -> None:
        await webhooks.resume(on, options.name)
        say(f"{options.name} is active.")

    return _with_webhooks(settings, run)


def remove(options: argparse.Namespace, settings: Settings) -> int:
    """Deletes a receiver and its queued messages."""

    async def run(on: Run) -> None:
        await webhooks.remove(on, options.name)
        say(f"{options.name} is removed.")

    return _with_webhooks(settings, run)


def list_dead(options: argparse.Namespace, settings: Settings) -> int:
    """Prints the dead messages of a receiver, the newest first."""

    async def run(on: Run) -> None:
        found = await webhooks.kept(on, options.name, dead=True)
        for one in found:
            when = f"{one.dead_at:%Y-%m-%d %H:%M}"
            say("\t".join([one.id, when, f"{one.attempts} attempts", one.row, one.failure or ""]))
        if (beyond := (await webhooks.found(on, options.name)).dead - len(found)) > 0:
            sys.stderr.write(f"There are {beyond:,} more, which were given up before these.\n")
        if not found:
            say("There are no dead messages.")

    return _with_webhooks(settings, run)


def resend(options: argparse.Namespace, settings: Settings) -> int:
    """Queues dead messages again."""

    async def run(on: Run) -> None:
        number = await Webhooks(settings).send_again(on, options.name, options.id)
        say(f"{number} messages are sent again.")

    return _with_webhooks(settings, run)


def _with_webhooks(settings: Settings, run: Callable[[Run], Coroutine[Any, Any, None]]) -> int:
    async def on(url: str) -> int:
        async with own_table(url, "webhook_endpoints", webhooks.WebhookError) as connection:
            await run(runs_on(connection))
        return 0

    return with_owner(settings, on)

"""`webhooks` and `webhookMessages`: receivers, and messages that were not delivered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from db.engine.errors import translated
from db.store import webhooks as store
from schema.errors import bad_argument
from schema.graph.root_field import RootField
from schema.graph.types import Info, Types, selection_of, taking
from schema.webhooks.manager import check_reader
from schema.webhooks.types import Webhook, WebhookMessage, shown, shown_message

MOST = 1_000
"""The most messages of a response."""
SHOWN = 100
"""The default number of messages."""


async def _webhooks(info: Info) -> list[Webhook]:
    context: Any = info.context
    check_reader(context)
    with translated():
        async with context.webhooks.reading() as run:
            return [shown(one) for one in await store.listed(run)]


async def _messages(info: Info) -> list[WebhookMessage]:
    context: Any = info.context
    check_reader(context)
    asked_for = selection_of(info)
    asked = asked_for.arguments
    first = asked.get("first")
    most = SHOWN if first is None else first
    if not 0 <= most <= MOST:
        raise bad_argument("first", f"is {most}; pass 0 to {MOST:,}")
    with translated():
        async with context.webhooks.reading() as run:
            try:
                kept = await store.kept(run, asked["name"], dead=asked.get("dead") is not False, most=most + 1)
            except store.WebhookError as error:
                raise bad_argument("name", str(error)) from None
    if len(kept) > most:
        context.loaders.cut[asked_for.path] += 1
    return [shown_message(one) for one in kept[:most]]


def _make_webhooks(_types: Types) -> Any:
    return strawberry.field(
        resolver=taking({}, list[Webhook] | None, lambda _root, info: _webhooks(info)),
        name="webhooks",
        description="Every receiver of webhooks, by name. Needs the scope `webhooks`, and GATEWAY_WEBHOOKS.",
    )


def _make_messages(_types: Types) -> Any:
    taken = {
        "name": Annotated[str, strawberry.argument(description="The webhook.")],
        "dead": Annotated[
            bool | None,
            strawberry.argument(description="Those that were given up, the newest first; false for those that wait."),
        ],
        "first": Annotated[
            int | None,
            strawberry.argument(
                description=f"How many: 0 to {MOST:,}, {SHOWN} unless said; `extensions.more` says if there are more."
            ),
        ],
    }
    return strawberry.field(
        resolver=taking(taken, list[WebhookMessage] | None, lambda _root, info: _messages(info)),
        name="webhookMessages",
        description="Messages that a receiver has not taken. Needs the scope `webhooks`, and GATEWAY_WEBHOOKS.",
    )


def _rows(name: str, arguments: Mapping[str, Any]) -> int:
    first = arguments.get("first")
    return store.MOST if name == "webhooks" else min(max(first, 0), MOST) if isinstance(first, int) else SHOWN


WEBHOOK_FIELDS = {
    "webhooks": RootField(
        _make_webhooks, lambda _arguments: {}, lambda _catalogue, asked, _sizes: _rows("webhooks", asked)
    ),
    "webhookMessages": RootField(
        _make_messages, lambda _arguments: {}, lambda _catalogue, asked, _sizes: _rows("webhookMessages", asked)
    ),
}
"""The root fields, by name."""

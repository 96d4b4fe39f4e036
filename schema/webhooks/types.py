"""Receivers and messages as types of the graph; neither contains secrets."""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from typing import Any

import strawberry

from db.base.lifecycles import lifecycles
from db.store.webhooks import Endpoint, KeptMessage
from schema.catalogue.scalars import JSON, DateTime

MAX_VALUES = 100
"""The largest number of values of a filter."""


@strawberry.enum(description="What a webhook is told of.")
class WebhookTopic(enum.Enum):
    LIFECYCLE = strawberry.enum_value("lifecycle", description="Changes that are made through the gateway.")
    ALERTS = strawberry.enum_value("alerts", description="Alerts that are new or have changed.")


@strawberry.enum(description="How the messages of a webhook are written.")
class WebhookFormat(enum.Enum):
    STANDARD = strawberry.enum_value("standard", description="As the Standard Webhooks specification has them.")
    OPENLINEAGE = strawberry.enum_value("openlineage", description="As events of OpenLineage.")


@strawberry.type(description="A receiver of webhooks. Its secret is shown once, by the mutation that makes it.")
class Webhook:
    name: str = strawberry.field(description="What it is called.")
    url: str = strawberry.field(description="Where its messages are posted.")
    topic: WebhookTopic = strawberry.field(description="What it is told of.")
    format: WebhookFormat = strawberry.field(description="How its messages are written.")
    filters: JSON = strawberry.field(description="Which of it: the arguments of the subscription, by their names.")
    created_at: DateTime = strawberry.field(description="When it was made.")
    created_by: str = strawberry.field(description="Who made it.")
    paused: str | None = strawberry.field(description="Why nothing is sent to it; null while something is.")
    rotating_until: DateTime | None = strawberry.field(description="Until when the secret before signs, too.")
    waiting: int = strawberry.field(description="Messages that wait to be taken.")
    dead: int = strawberry.field(description="Messages that were given up, which can be sent again.")


@strawberry.type(description="A message that its receiver has not taken.")
class WebhookMessage:
    message_id: str = strawberry.field(description="Its `webhook-id`, the same at each attempt.")
    row: str = strawberry.field(description="Global id of the row that it is about.")
    attempts: int = strawberry.field(description="How often it was sent.")
    created_at: DateTime = strawberry.field(description="When it was written.")
    next_at: DateTime | None = strawberry.field(description="When it is sent next; null where it was given up.")
    dead_at: DateTime | None = strawberry.field(description="When it was given up; null while it waits.")
    failure: str | None = strawberry.field(description="What came of the last attempt.")


def _moment(at: datetime | None) -> Any:
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def shown(one: Endpoint) -> Webhook:
    """A receiver for its type."""
    return Webhook(
        name=one.name,
        url=one.url,
        topic=WebhookTopic(one.topic),
        format=WebhookFormat(one.format),
        filters=one.filters,  # type: ignore[arg-type]  # a scalar
        created_at=_moment(one.created_at),
        created_by=one.created_by,
        paused=one.paused_because,
        rotating_until=_moment(one.rotating_until),
        waiting=one.waiting,
        dead=one.dead,
    )


def shown_message(one: KeptMessage) -> WebhookMessage:
    """A message for its type."""
    return WebhookMessage(
        message_id=one.id,
        row=one.row,
        attempts=one.attempts,
        created_at=_moment(one.created_at),
        next_at=_moment(one.next_at),
        dead_at=_moment(one.dead_at),
        failure=one.failure,
    )


def _lifecycle_type() -> Any:
    names = sorted({one.entity for one in lifecycles()})
    members = {name: strawberry.enum_value(name, description=f"Changes of {name} rows.") for name in names}
    cls: Any = enum.Enum("LifecycleType", members)  # type: ignore[misc]  # members come from the lifecycles
    return strawberry.enum(cls, description="The types whose rows have a lifecycle.")


LIFECYCLE_TYPE: Any = _lifecycle_type()
"""The types with a lifecycle, as an enum of the graph."""

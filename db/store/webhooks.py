"""Receivers of webhooks and their undelivered messages, shared by all gateways of a database: their management."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

MOST = 50
"""The largest number of receivers of a database."""
MOST_LISTED = 1_000
"""The most messages in a list."""
SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix in the specification
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


Run = Callable[[str, Sequence[Any]], Awaitable[Sequence[Sequence[Any]]]]
"""Executes a statement with its binds, ``$1`` and so on, in the caller's transaction; returns its rows."""


class WebhookError(Exception):
    """A receiver cannot be created, changed or found; the message says why and what would be right."""

    def __init__(self, message: str, field: str = "name") -> None:
        super().__init__(message)
        self.field = field
        """The invalid input."""


@dataclass(frozen=True)
class Endpoint:
    """A receiver, without its secrets."""

    name: str
    url: str
    topic: str
    format: str
    filters: Mapping[str, Any]
    created_at: datetime
    created_by: str
    paused_because: str | None
    """Why nothing is sent to it; None while it is active."""
    rotating_until: datetime | None
    """Until when the old secret signs, too."""
    waiting: int
    dead: int


@dataclass(frozen=True)
class KeptMessage:
    """A message that was not delivered: it waits for its next attempt, or is dead."""

    id: str
    row: str
    attempts: int
    created_at: datetime
    next_at: datetime | None
    """When it is sent next; None if it is dead."""
    dead_at: datetime | None
    failure: str | None
    """The result of the last attempt."""


def new_secret() -> str:
    """A new secret in the form of the specification: 256 random bits."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def new_id() -> str:
    """A new id of a message."""
    return f"msg_{secrets.token_hex(16)}"


_MOMENT = (
    "(SELECT jsonb_build_object('seconds', floor(extract(epoch FROM now()))::bigint, "
    "'history', coalesce(gateway.history(), ''), 'seen', pg_current_snapshot()::text))"
)
_BEGIN = f"""
    INSERT INTO gateway.webhook_sender AS s (id, place) SELECT 1, {_MOMENT}
    ON CONFLICT (id) DO UPDATE SET place = excluded.place
    WHERE s.place IS NULL OR NOT EXISTS (SELECT FROM gateway.webhook_endpoints)
"""
_CREATE = """
    INSERT INTO gateway.webhook_endpoints (name, url, topic, format, filters, secret, created_by)
    VALUES ($1::text, $2::text, $3::text, $4::text, $5::text::jsonb, $6::text, coalesce($7::text, CURRENT_USER))
    ON CONFLICT (name) DO NOTHING RETURNING 1
"""
_LISTED = """
    SELECT name, url, topic, format, filters::text, created_at, created_by,
        CASE WHEN paused_at IS NOT NULL THEN coalesce(paused_because, 'paused') END,
        CASE WHEN old_secret_until > now() THEN old_secret_until END,
        count(message_id) FILTER (WHERE dead_at IS NULL), count(dead_at)
    FROM gateway.webhook_endpoints AS e LEFT JOIN (
        SELECT message_id, endpoint, dead_at FROM gateway.webhook_messages
    ) AS m ON m.endpoint = e.name
    WHERE $1::text IS NULL OR e.name = $1::text
    GROUP BY e.name ORDER BY e.name
"""
_KEPT = """
    SELECT message_id, row_id, attempts, created_at, CASE WHEN dead_at IS NULL THEN next_at END, dead_at, failure
    FROM gateway.webhook_messages
    WHERE endpoint = $1::text AND (dead_at IS NOT NULL) = $2::boolean
    ORDER BY {order} LIMIT $3::integer
"""


async def create(
    run: Run,
    name: str,
    url: str,
    topic: str,
    filters: Mapping[str, Any],
    format_: str = "standard",
    by: str | None = None,
) -> str:
    """Creates a receiver for changes that are committed from now on; returns its secret, once.

    Raises:
        WebhookError: The name is invalid or in use, or there are too many.
    """
    if not NAME.fullmatch(name):
        raise WebhookError(f"{name[:100]!r} is not a valid name; use letters, digits and . _ -, at most 100 of them")
    ((number,),) = await run("SELECT count(*) FROM gateway.webhook_endpoints", ())
    if number >= MOST:
        raise WebhookError(f"there are {MOST} webhooks, which is the most; remove one")
    await run(_BEGIN, ())
    secret = new_secret()
    if not await run(_CREATE, (name, url, topic, format_, orjson.dumps(filters).decode(), secret, by)):
        raise WebhookError(f"there is a webhook called {name}; take another name, or remove that one")
    return secret


async def listed(run: Run, name: str | None = None) -> list[Endpoint]:
    """All receivers by name, or the one with that name."""
    found = []
    for row in await run(_LISTED, (name,)):
        of, filters, rest = row[:4], orjson.loads(row[4]), row[5:]
        found.append(Endpoint(*(*of, filters, *rest)))
    return found


async def found(run: Run, name: str) -> Endpoint:
    """A receiver.

    Raises:
        WebhookError: There is no such receiver.
    """
    rows = await listed(run, name[:101])
    if not rows:
        raise _unknown(name)
    return rows[0]


async def change(run: Run, name: str, url: str | None, filters: Mapping[str, Any] | None) -> None:
    """Changes a receiver's URL or filters; waiting messages are sent to the new URL. None leaves a value unchanged.

    Raises:
        WebhookError: There is no such receiver.
    """
    given = None if filters is None else orjson.dumps(filters).decode()
    what = "url = coalesce($2::text, url), filters = coalesce($3::text::jsonb, filters)"
    await _update(run, name, what, url, given)


async def rotate(run: Run, name: str, hours: float) -> str:
    """Gives a receiver a new secret; the old one signs beside it for ``hours``. Returns the new one, once.

    A receiver that has the old one always gets a signature that it can verify, unless ``hours`` is 0.

    Raises:
        WebhookError: There is no such receiver, or it is in a rotation already.
    """
    if hours and (until := (await found(run, name)).rotating_until):
        raise WebhookError(
            f"two secrets of {name} sign until {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC, and one of three would not; "
            "end that rotation once its receiver has the newer one, or pass 0 hours for the new one to sign alone",
            "hours",
        )
    secret = new_secret()
    until_then = "now() + make_interval(secs => $3::text::float8)"
    what = f"old_secret = secret, old_secret_until = {until_then}, secret = $2::text"
    await _update(run, name, what, secret, str(hours * 3600.0))
    return secret


async def end_rotation(run: Run, name: str) -> None:
    """Ends a rotation early: only the newer secret signs from now on.

    Raises:
        WebhookError: There is no such receiver, or it is in no rotation.
    """
    if not (await found(run, name)).rotating_until:
        raise WebhookError(f"one secret of {name} signs; there is no rotation to end")
    await _update(run, name, "old_secret = NULL, old_secret_until = NULL")


async def pause(run: Run, name: str) -> None:
    """Stops sending to a receiver until it is resumed; messages are queued meanwhile.

    Raises:
        WebhookError: There is no such receiver.
    """
    await _update(run, name, "paused_at = coalesce(paused_at, now()), paused_because = 'paused by hand'")


async def resume(run: Run, name: str) -> None:
    """Sends a receiver its queued messages, and new ones.

    Raises:
        WebhookError: There is no such receiver.
    """
    await _update(run, name, "paused_at = NULL, paused_because = NULL")


async def remove(run: Run, name: str) -> None:
    """Deletes a receiver and its messages.

    Raises:
        WebhookError: There is no such receiver.
    """
    if not await run("DELETE FROM gateway.webhook_endpoints WHERE name = $1::text RETURNING 1", (name,)):
        raise _unknown(name)


async def kept(run: Run, name: str, *, dead: bool, most: int = MOST_LISTED) -> list[KeptMessage]:
    """The most recent undelivered messages of a receiver: dead ones, newest first, or waiting ones.

    Raises:
        WebhookError: There is no such receiver.
    """
    await found(run, name)
    order = "dead_at DESC, message_id" if dead else "position, message_id"
    return [KeptMessage(*row) for row in await run(_KEPT.format(order=order), (name, dead, most))]


async def send_again(run: Run, name: str, id_: str | None, hours: float) -> int:
    """Queues dead messages again under their ids, one or all, with ``hours`` for new attempts; returns their number.

    Raises:
        WebhookError: There is no such receiver, or no such dead message.
    """
    await found(run, name)
    done = await run(
        "UPDATE gateway.webhook_messages SET dead_at = NULL, attempts = 0, next_at = now(), "
        "give_up_at = now() + make_interval(secs => $3::text::float8) WHERE endpoint = $1::text "
        "AND dead_at IS NOT NULL AND ($2::text IS NULL OR message_id = $2::text) RETURNING 1",
        (name, id_, str(hours * 3600.0)),
    )
    if id_ is not None and not done:
        raise WebhookError(f"there is no dead message {id_[:100]} of {name}", "id")
    return len(done)


async def _update(run: Run, name: str, what: str, *values: str | None) -> None:
    if not await run(f"UPDATE gateway.webhook_endpoints SET {what} WHERE name = $1::text RETURNING 1", (name, *values)):
        raise _unknown(name)


def _unknown(name: str) -> WebhookError:
    return WebhookError(f"there is no webhook called {name[:100]}")

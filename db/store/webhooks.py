"""Receivers of webhooks and their undelivered messages, shared by all gateways of a database.

One process sends at a time, by a lease in ``gateway.webhook_sender``. It turns entries of the live log into messages in
the transaction that stores its position, so that each entry becomes exactly one message per receiver, whatever is
killed. A message is claimed for each attempt until that ends or times out, and no other message of the same row is sent
meanwhile.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson

from db.store.changelog import LogPosition

MOST = 50
"""The largest number of receivers of a database."""
MOST_LISTED = 1_000
"""The most messages in a list."""
LEASE_SECONDS = 15.0
"""Seconds for which a lease is valid."""
SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix in the specification
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MAX_FAILURE = 300
"""Characters of a failure that are stored."""


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


@dataclass(frozen=True, repr=False)
class Claim:
    """A message to be sent now, with its secrets."""

    id: str
    endpoint: str
    url: str
    body: str
    attempts: int
    secrets: Sequence[str]


@dataclass(frozen=True)
class Message:
    """A message to be stored: for a receiver, about a row, from an entry of the live log."""

    id: str
    endpoint: str
    row: str
    position: int
    body: str


@dataclass(frozen=True)
class Failed:
    """A failed attempt: the message, the failure, and seconds until the next attempt."""

    id: str
    attempts: int
    failure: str
    delay: float


def new_secret() -> str:
    """A new secret in the form of the specification: 256 random bits."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def new_id() -> str:
    """A new id of a message."""
    return f"msg_{secrets.token_hex(16)}"


# -- for managers: the command line, and mutations ---------------------------------------------------------------------

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


# -- for the process that sends ----------------------------------------------------------------------------------------

TAKE_LEASE = f"""
    INSERT INTO gateway.webhook_sender AS s (id, holder, held_until)
    SELECT 1, $1::text, now() + interval '{LEASE_SECONDS:g} seconds'
    WHERE EXISTS (SELECT FROM gateway.webhook_endpoints)
    ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
    WHERE s.holder IS NULL OR s.holder = excluded.holder OR s.held_until < now()
    RETURNING 1
"""
"""Takes or renews the lease; no row if another process holds it, or there are no receivers."""
LEAVE = "UPDATE gateway.webhook_sender SET holder = NULL, held_until = NULL WHERE id = 1 AND holder = $1::text"

_HEAD = """
    SELECT row_id, message_id, position, next_at FROM gateway.webhook_messages
    WHERE endpoint = $1 AND dead_at IS NULL {beyond} ORDER BY row_id, position LIMIT 1
"""
_SENT = "EXISTS (SELECT FROM gateway.webhook_endpoints WHERE name = $1 AND paused_at IS NULL)"
_DUE = f"""
    WITH RECURSIVE heads AS (
        ({_HEAD.format(beyond=f"AND {_SENT}")})
        UNION ALL
        SELECT n.* FROM heads AS h CROSS JOIN LATERAL ({_HEAD.format(beyond="AND row_id > h.row_id")}) AS n
    )
    SELECT message_id FROM heads WHERE next_at <= now() ORDER BY next_at, position LIMIT $2
"""
"""Steps from row to row by the index, without reading the queue behind the first message of each."""
_CLAIM = """
    UPDATE gateway.webhook_messages AS m
    SET attempts = m.attempts + 1, next_at = now() + make_interval(secs => $2)
    FROM gateway.webhook_endpoints AS e
    WHERE m.message_id = ANY ($1::text[]) AND m.next_at <= now() AND m.dead_at IS NULL
        AND e.name = m.endpoint AND e.paused_at IS NULL
        AND NOT EXISTS (
            SELECT FROM gateway.webhook_messages AS b
            WHERE b.endpoint = m.endpoint AND b.row_id = m.row_id AND b.position < m.position AND b.dead_at IS NULL
        )
    RETURNING m.message_id, m.endpoint, e.url, m.body, m.attempts, e.secret,
        CASE WHEN e.old_secret_until > now() THEN e.old_secret END, m.position
"""
"""Claims due messages, unless an earlier message of the same row has become due again."""
_FAIL = """
    UPDATE gateway.webhook_messages AS m
    SET failure = f.failure,
        next_at = now() + make_interval(secs => f.delay),
        dead_at = CASE WHEN now() + make_interval(secs => f.delay) > m.give_up_at THEN now() END
    FROM unnest($1::text[], $2::integer[], $3::text[], $4::float8[]) AS f (id, attempts, failure, delay)
    WHERE m.message_id = f.id AND m.attempts = f.attempts AND m.dead_at IS NULL
    RETURNING m.dead_at IS NOT NULL
"""
_WRITE = """
    INSERT INTO gateway.webhook_messages (message_id, endpoint, row_id, position, body, give_up_at)
    SELECT id, endpoint, row_id, position, body, now() + make_interval(secs => $6)
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[])
        AS w (id, endpoint, row_id, position, body)
    WHERE endpoint IN (SELECT name FROM gateway.webhook_endpoints)
"""
_GIVE_UP = """
    UPDATE gateway.webhook_messages AS m SET dead_at = now(), failure = coalesce(m.failure, 'the receiver was paused')
    FROM gateway.webhook_endpoints AS e
    WHERE e.name = m.endpoint AND e.paused_at IS NOT NULL AND m.dead_at IS NULL
        AND m.give_up_at < now() AND m.next_at <= now()
"""
_PRUNE = "DELETE FROM gateway.webhook_messages WHERE dead_at < now() - make_interval(secs => $1)"
_WAITING = """
    SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 FROM (
        SELECT created_at FROM gateway.webhook_messages WHERE dead_at IS NULL LIMIT 100000
    ) AS m
"""


async def extend(connection: asyncpg.Connection, holder: str) -> bool:
    """Renews the lease; returns whether this process holds it."""
    return bool(await connection.fetchval(TAKE_LEASE, holder))


async def place_of(connection: asyncpg.Connection, holder: str) -> LogPosition | None:
    """The position up to which the log was read; locks it until the end of the transaction.

    Raises:
        LeaseLostError: Another process holds the lease.
    """
    row = await connection.fetchrow(
        "SELECT place::text FROM gateway.webhook_sender WHERE id = 1 AND holder = $1 FOR UPDATE", holder
    )
    if row is None:
        raise LeaseLostError
    return None if row[0] is None else LogPosition(**orjson.loads(row[0]))


class LeaseLostError(Exception):
    """Another process holds the lease."""


async def keep_place(connection: asyncpg.Connection, place: LogPosition) -> None:
    """Stores the position up to which the log was read."""
    await connection.execute(
        "UPDATE gateway.webhook_sender SET place = $1::text::jsonb WHERE id = 1", orjson.dumps(asdict(place)).decode()
    )


async def endpoints(connection: asyncpg.Connection) -> Sequence[tuple[str, str, str, Mapping[str, Any], int]]:
    """Receivers: name, topic, format, filters, and the second of their creation."""
    rows = await connection.fetch(
        "SELECT name, topic, format, filters::text, floor(extract(epoch FROM created_at))::bigint "
        "FROM gateway.webhook_endpoints"
    )
    return [(name, topic, format_, orjson.loads(filters), since) for name, topic, format_, filters, since in rows]


async def write(connection: asyncpg.Connection, messages: Sequence[Message], seconds: float) -> None:
    """Stores messages until they are delivered; after ``seconds`` they are dead."""
    columns = zip(*((one.id, one.endpoint, one.row, one.position, one.body) for one in messages), strict=True)
    await connection.execute(_WRITE, *map(list, columns), seconds)


async def due(connection: asyncpg.Connection, endpoint: str, most: int) -> list[str]:
    """The next messages for a receiver, of each row the oldest. It takes about 4 us per row with messages."""
    return [row[0] for row in await connection.fetch(_DUE, endpoint, most)]


async def claim(connection: asyncpg.Connection, ids: Sequence[str], seconds: float) -> list[Claim]:
    """Claims those messages that are still to be sent, for ``seconds``."""
    rows = await connection.fetch(_CLAIM, ids, seconds)
    return [
        Claim(id_, name, url, body, attempts, [one for one in (secret, old) if one])
        for id_, name, url, body, attempts, secret, old, _ in sorted(rows, key=lambda row: row[7])
    ]


async def taken(connection: asyncpg.Connection, ids: Sequence[str]) -> None:
    """Deletes delivered messages."""
    await connection.execute("DELETE FROM gateway.webhook_messages WHERE message_id = ANY ($1::text[])", ids)


async def fail(connection: asyncpg.Connection, failed: Sequence[Failed]) -> int:
    """Records failed attempts; returns the number of messages that are dead by that."""
    rows = await connection.fetch(
        _FAIL,
        [one.id for one in failed],
        [one.attempts for one in failed],
        [one.failure[:MAX_FAILURE] for one in failed],
        [one.delay for one in failed],
    )
    return sum(row[0] for row in rows)


async def pause_gone(connection: asyncpg.Connection, endpoint: str) -> None:
    """Pauses a receiver that has answered 410 Gone."""
    await connection.execute(
        "UPDATE gateway.webhook_endpoints SET paused_at = coalesce(paused_at, now()), "
        "paused_because = 'the receiver answered 410 Gone' WHERE name = $1",
        endpoint,
    )


async def prune(connection: asyncpg.Connection, seconds: float) -> int:
    """Deletes messages that died ``seconds`` ago; ends those that expired while their receiver was paused.

    Returns the number of the latter.
    """
    await connection.execute(_PRUNE, seconds)
    done: str = await connection.execute(_GIVE_UP)
    return int(done.rsplit(maxsplit=1)[-1])


async def waiting(connection: asyncpg.Connection) -> tuple[int, float]:
    """The number of waiting messages, counted up to 100,000, and the age of the oldest in seconds."""
    row = await connection.fetchrow(_WAITING)
    return row[0], row[1]

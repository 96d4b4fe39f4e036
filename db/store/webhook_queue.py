"""The queue of webhook messages, for the process that sends: its lease, and the messages that are due.

One process sends at a time, by a lease in ``gateway.webhook_sender``. It turns entries of the live log into messages in
the transaction that stores its position, so that each entry becomes exactly one message per receiver, whatever is
killed. A message is claimed for each attempt until that ends or times out, and no other message of the same row is sent
meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson

from db.store.changelog import LogPosition

LEASE_SECONDS = 8.0
"""Seconds for which a lease is valid."""


MAX_FAILURE = 300
"""Characters of a failure that are stored."""


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
_GIVE_BACK = """
    UPDATE gateway.webhook_messages SET next_at = now()
    WHERE message_id = ANY ($1::text[]) AND next_at > now() AND dead_at IS NULL
        AND EXISTS (SELECT FROM gateway.webhook_sender WHERE holder = $2::text)
"""
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

    The server ends a transaction that is idle for as long as a lease: else a process that is stopped in it would keep
    others from taking over.

    Raises:
        LeaseLostError: Another process holds the lease.
    """
    row = await connection.fetchrow(
        "SELECT place::text, set_config('idle_in_transaction_session_timeout', $2, true) "
        "FROM gateway.webhook_sender WHERE id = 1 AND holder = $1 FOR UPDATE",
        holder,
        str(round(LEASE_SECONDS * 1000)),
    )
    if row is None:
        raise LeaseLostError
    return None if row[0] is None else LogPosition(**orjson.loads(row[0]))


class LeaseLostError(Exception):
    """Another process holds the lease."""


async def keep_place(connection: asyncpg.Connection, place: LogPosition) -> None:
    """Stores the position up to which the log was read."""
    await connection.execute(
        "UPDATE gateway.webhook_sender SET place = $1::text::jsonb WHERE id = 1", orjson.dumps(place._asdict()).decode()
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


async def give_back(connection: asyncpg.Connection, ids: Sequence[str], holder: str) -> None:
    """Ends claims whose attempts were cut off, while ``holder`` has the lease; the next attempt is due at once."""
    await connection.execute(_GIVE_BACK, ids, holder)


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

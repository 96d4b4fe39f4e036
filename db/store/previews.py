"""Changes that agents have previewed: stored under a short id until a person confirms them, shared by all workers."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.engine.errors import translated

MINUTES = 10
"""How long a preview can be applied."""
_SWEPT = 100
"""Rows that a new preview deletes: those that expired an hour ago."""
UNANSWERED = "cancel"
"""The answer to a question that was repeated since, or whose preview has ended: no other will come."""
MOST = 100
"""The newest previews of one caller that are kept."""
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"


class PreviewError(Exception):
    """A preview cannot be shown or approved; the message says why and what would be right."""


@dataclass(frozen=True)
class KeptPreview:
    """A stored preview."""

    id: str
    caller: str
    document: str
    variables: Mapping[str, Any]
    row_versions: Mapping[str, str]
    """The affected rows, by global id, with their versions at the preview."""
    question: str
    """The question for a person, which contains no text of rows."""
    expires_at: datetime
    asked: str | None
    """The state token of the last question."""
    confirmed_at: datetime | None
    outcome: str | None
    """Its end: ``applied``, ``declined`` or ``stale``."""
    ended_at: datetime | None
    expired: bool

    @property
    def key(self) -> str:
        """The idempotency key with which it is applied once."""
        return f"preview:{self.id}"

    @property
    def state(self) -> str:
        """Its outcome, or whether it is waiting for a person, confirmed or expired."""
        return self.outcome or ("expired" if self.expired else "confirmed" if self.confirmed_at else "open")


_COLUMNS = (
    "preview_id, caller, document, variables::text, row_versions::text, question, expires_at, asked, confirmed_at, "
    "outcome, ended_at, expires_at <= now()"
)
_OPEN_NOW = "outcome IS NULL AND expires_at > now()"
_OPEN = f"preview_id = $1::text AND {_OPEN_NOW}"


def _kept(row: Sequence[Any]) -> KeptPreview:
    id_, caller, document, variables, versions, *rest = row
    return KeptPreview(id_, caller, document, orjson.loads(variables), orjson.loads(versions), *rest)


class PreviewStore:
    """The previews of a database, shared by all workers of all its gateways; errors are `DatabaseError`."""

    def __init__(self, writer: AsyncEngine) -> None:
        self._writer = writer

    async def _run(self, sql: str, *values: Any) -> Sequence[Sequence[Any]]:
        with translated():
            async with self._writer.begin() as connection:
                result = await connection.exec_driver_sql(sql, values)
                return result.fetchall() if result.returns_rows else ()

    async def add(
        self, caller: str, document: str, variables: bytes, row_versions: Mapping[str, str], question: str
    ) -> tuple[str, datetime]:
        """Stores a preview; returns its id, and when it expires. ``variables`` are JSON."""
        await self._run(
            "DELETE FROM gateway.change_previews WHERE preview_id IN (SELECT preview_id FROM gateway.change_previews "
            f"WHERE expires_at < now() - interval '1 hour' ORDER BY expires_at LIMIT {_SWEPT} FOR UPDATE SKIP LOCKED)"
        )
        await self._run(
            "DELETE FROM gateway.change_previews WHERE preview_id IN (SELECT preview_id FROM gateway.change_previews "
            f"WHERE caller = $1::text ORDER BY created_at DESC OFFSET {MOST - 1})",
            caller,
        )
        id_ = "".join(secrets.choice(_ALPHABET) for _ in range(16))
        rows = await self._run(
            "INSERT INTO gateway.change_previews "
            "(preview_id, caller, document, variables, row_versions, question, expires_at) "
            "VALUES ($1::text, $2::text, $3::text, $4::text::jsonb, $5::text::jsonb, $6::text, "
            f"now() + interval '{MINUTES} minutes') RETURNING expires_at",
            id_, caller, document, variables.decode(), orjson.dumps(row_versions).decode(), question,
        )  # fmt: skip
        return id_, rows[0][0]

    async def get(self, id_: str, caller: str) -> KeptPreview | None:
        """A caller's preview, None if the caller has none with that id."""
        rows = await self._run(
            f"SELECT {_COLUMNS} FROM gateway.change_previews WHERE preview_id = $1::text AND caller = $2::text",
            id_, caller,
        )  # fmt: skip
        return _kept(rows[0]) if rows else None

    async def ask(self, id_: str) -> str:
        """Records that its question is asked; returns the state token that the answer must repeat."""
        state = secrets.token_urlsafe(18)
        await self._run(f"UPDATE gateway.change_previews SET asked = $2::text, answer = NULL WHERE {_OPEN}", id_, state)
        return state

    async def confirm(self, id_: str, by: str) -> bool:
        """Records a person's confirmation; returns whether it was still open."""
        rows = await self._run(
            "UPDATE gateway.change_previews SET confirmed_at = coalesce(confirmed_at, now()), "
            f"confirmed_by = coalesce(confirmed_by, $2::text) WHERE {_OPEN} RETURNING 1",
            id_, by,
        )  # fmt: skip
        return bool(rows)

    async def end(self, id_: str, outcome: str) -> None:
        """Records its outcome, unless it has one."""
        await self._run(
            "UPDATE gateway.change_previews SET outcome = $2::text, ended_at = now() "
            "WHERE preview_id = $1::text AND outcome IS NULL",
            id_, outcome,
        )  # fmt: skip

    async def answer(self, asked: str, caller: str, answer: str) -> bool:
        """Stores the answer to a question that another connection waits for; returns whether there is such a
        question."""
        rows = await self._run(
            "UPDATE gateway.change_previews SET answer = $3::text WHERE asked = $1::text AND caller = $2::text "
            "AND answer IS NULL AND outcome IS NULL RETURNING 1",
            asked, caller, answer,
        )  # fmt: skip
        return bool(rows)

    async def answered(self, asked: str) -> str | None:
        """The answer to a question, once there is one; `UNANSWERED` if none can come any more."""
        rows = await self._run(f"SELECT answer, {_OPEN_NOW} FROM gateway.change_previews WHERE asked = $1::text", asked)
        if not rows:
            return UNANSWERED
        answer, is_open = rows[0]
        return answer if answer is not None or is_open else UNANSWERED


async def listed(connection: AsyncConnection) -> list[KeptPreview]:
    """All stored previews, newest first."""
    rows = await connection.execute(
        text(f"SELECT {_COLUMNS} FROM gateway.change_previews ORDER BY created_at DESC, preview_id")
    )
    return [_kept(row) for row in rows]


async def found(connection: AsyncConnection, id_: str) -> KeptPreview:
    """A preview by its id, of any caller.

    Raises:
        PreviewError: There is none.
    """
    rows = await connection.execute(
        text(f"SELECT {_COLUMNS} FROM gateway.change_previews WHERE preview_id = :id"), {"id": id_}
    )
    row = rows.first()
    if row is None:
        raise PreviewError(f"there is no preview {id_}; `e2i-gateway previews list` shows all")
    return _kept(row)


async def approve(connection: AsyncConnection, id_: str) -> KeptPreview:
    """Confirms a preview in place of the agent's client; returns it in its state before.

    Raises:
        PreviewError: There is none, or it can no longer be applied.
    """
    kept = await found(connection, id_)
    if kept.state not in {"open", "confirmed"}:
        raise PreviewError(f"the preview {id_} is {kept.state}; have the agent preview the change again")
    await connection.execute(
        text(
            "UPDATE gateway.change_previews SET confirmed_at = coalesce(confirmed_at, now()), "
            "confirmed_by = coalesce(confirmed_by, CURRENT_USER) WHERE preview_id = :id"
        ),
        {"id": id_},
    )
    return kept

"""Service tokens, stored only as hashes."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

PREFIX = "e2i_"
_TOKEN = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}")


class TokenError(Exception):
    """A token cannot be created or revoked; the message says why and what would be right."""


@dataclass(frozen=True)
class ServiceToken:
    """A token of an agent or a service, without its secret."""

    name: str
    scopes: Sequence[str]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None

    @property
    def state(self) -> str:
        """``active``, ``expired`` or ``revoked``."""
        if self.revoked_at is not None:
            return "revoked"
        return "active" if self.expires_at > datetime.now(UTC) else "expired"


def is_token(given: str) -> bool:
    """Whether a text has the form of a service token."""
    return _TOKEN.fullmatch(given) is not None


def digest(token: str) -> str:
    """The hash of a token. Tokens are random, with 256 bits, so that no slow hash is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


LOOKUP = (
    "SELECT name, scopes, extract(epoch FROM expires_at)::float8 FROM gateway.service_tokens "
    "WHERE hash = $1::text AND revoked_at IS NULL AND expires_at > now()"
)
"""The name, scopes and expiry (Unix time) of a valid token, by its hash."""

USED = (
    "UPDATE gateway.service_tokens SET last_used_at = now() "
    "WHERE hash = $1::text AND coalesce(last_used_at < now() - interval '1 minute', true)"
)
"""Records that a token was used, at most once a minute."""


async def create(connection: AsyncConnection, name: str, scopes: Sequence[str], days: float) -> str:
    """Creates a token; returns it, which is the only time it is available.

    Raises:
        TokenError: The name is invalid, or was used before.
    """
    if not NAME.fullmatch(name):
        raise TokenError(f"{name!r} is not a valid token name; use letters, digits and . _ @ -, at most 100 of them")
    token = PREFIX + secrets.token_urlsafe(32)
    made = await connection.execute(
        text(
            "INSERT INTO gateway.service_tokens (name, hash, scopes, expires_at) "
            "VALUES (:name, :hash, :scopes, :until) ON CONFLICT (name) DO NOTHING RETURNING name"
        ),
        {
            "name": name,
            "hash": digest(token),
            "scopes": list(scopes),
            "until": datetime.now(UTC) + timedelta(days=days),
        },
    )
    if made.first() is None:
        raise TokenError(
            f"there is, or was, a token called {name}; the record of changes names it, so take another name"
        )
    return token


async def listed(connection: AsyncConnection) -> list[ServiceToken]:
    """All tokens, newest first, including revoked and expired ones."""
    rows = await connection.execute(
        text(
            "SELECT name, scopes, created_at, expires_at, revoked_at, last_used_at FROM gateway.service_tokens "
            "ORDER BY created_at DESC, name"
        )
    )
    return [ServiceToken(*row) for row in rows]


async def revoke(connection: AsyncConnection, name: str) -> None:
    """Revokes a token.

    Raises:
        TokenError: There is none of that name, or it was revoked before.
    """
    done = await connection.execute(
        text(
            "UPDATE gateway.service_tokens SET revoked_at = now() WHERE name = :name AND revoked_at IS NULL RETURNING 1"
        ),
        {"name": name},
    )
    if done.first() is None:
        raise TokenError(f"there is no token called {name} that could be revoked; `e2i-gateway token list` shows all")

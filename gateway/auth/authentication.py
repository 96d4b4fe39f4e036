"""Authentication: from the credential of a request or a connection to a caller.

A verified credential is cached for a while, so that most requests need one lookup. A credential that cannot be verified
is refused; its bearer is never treated as anonymous.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine.errors import DatabaseError, translated
from db.engine.readers import Identity, ShortReader
from db.store import tokens
from gateway.auth.jwks import KeysUnavailableError
from gateway.auth.jwt import InvalidJwtError, Verifier
from gateway.context import ANONYMOUS, Caller
from gateway.roles import ROLES, granted
from gateway.setting_groups.access import ANON
from gateway.settings import Settings
from schema.error_codes import ErrorCode
from schema.errors import GatewayError

log = logging.getLogger("gateway.auth")

CAPACITY = 4096
"""The largest number of cached credentials."""
JWT_SECONDS = 300.0
"""The longest time, in seconds, for which a verified JWT is cached: a key that was removed from the set is accepted no
longer."""
TOKEN_SECONDS = 5.0
"""Seconds for which a service token is cached: a revoked one is refused after this time at the latest."""
MAX_LENGTH = 8192
UNAUTHORIZED, UNAVAILABLE = 401, 503
REALM = 'Bearer realm="e2i-gateway"'


class UnauthenticatedError(GatewayError):
    """The credential identifies no caller, or is missing where one is required.

    Over HTTP the ``status`` is 401 with a ``challenge``, or 503 if the credential could not be looked up.
    """

    def __init__(
        self,
        message: str,
        *,
        invalid: bool = False,
        code: ErrorCode = ErrorCode.UNAUTHENTICATED,
        status: int = UNAUTHORIZED,
    ) -> None:
        super().__init__(code, message)
        self.challenge = REALM + (f', error="invalid_token", error_description="{_quoted(message)}"' if invalid else "")
        self.status = status

    @property
    def headers(self) -> dict[str, str]:
        """The response headers: the challenge."""
        return {"www-authenticate": self.challenge} if self.status == UNAUTHORIZED else {"retry-after": "1"}


def _quoted(message: str) -> str:
    """A message as a quoted header value: what it quotes of the credential is ASCII already, or left out."""
    return "".join(c for c in message if c.isascii() and c.isprintable() and c not in '"\\')


@dataclass(frozen=True)
class _CachedCaller:
    caller: Caller
    until: float
    """The time (Unix) until which the entry is valid."""


class Authentication:
    """Identifies callers by their credentials, by the methods of the settings."""

    def __init__(self, settings: Settings, engine: AsyncEngine, writer: AsyncEngine) -> None:
        self._anonymous = "none" in settings.auth
        self._only_anonymous = settings.auth == ("none",)
        self._takes = [words for method, words in _METHODS.items() if method in settings.auth]
        self._verifier = Verifier(settings) if "jwt" in settings.auth else None
        self._tokens = "token" in settings.auth
        self._rls_roles = settings.rls_roles if settings.rls else ()
        self._token_role = settings.rls_token_role
        self._anonymous_caller = ANONYMOUS
        if settings.rls and self._anonymous:
            self._anonymous_caller = replace(ANONYMOUS, identity=self._identity(ANON, _as_claims(role=ANON)))
        self._roles: Mapping[str, Sequence[str]] = {**ROLES, **settings.roles}
        self._engine = engine
        self._writer = writer
        self._known: dict[str, _CachedCaller] = {}
        self._notes: set[asyncio.Task[None]] = set()

    async def authenticate(self, authorization: str | None) -> Caller:
        """The caller of an ``Authorization`` header, or of the same text in a ``connection_init`` payload.

        Raises:
            UnauthenticatedError: The credential is missing, malformed, unknown, expired or revoked.
        """
        if self._only_anonymous:
            return self._anonymous_caller
        if authorization is None:
            if self._anonymous:
                return self._anonymous_caller
            raise UnauthenticatedError(
                f"Authentication is required: send {_or(self._takes)} as `Authorization: Bearer ...`."
            )
        known = self._known.get(authorization)
        if known is None or known.until <= time.time():
            known = await self._verified(authorization)
            self._keep(authorization, known)
        return known.caller

    async def close(self) -> None:
        """Waits for pending notes of token use."""
        await asyncio.gather(*self._notes)

    def _keep(self, authorization: str, known: _CachedCaller) -> None:
        self._known.pop(authorization, None)
        while len(self._known) >= CAPACITY:
            del self._known[next(iter(self._known))]
        self._known[authorization] = known

    async def _verified(self, authorization: str) -> _CachedCaller:
        self._known.pop(authorization, None)
        scheme, _, credential = authorization.partition(" ")
        credential = credential.strip()
        if scheme.lower() != "bearer" or not credential:
            raise UnauthenticatedError("The Authorization header must be `Bearer` and a token.", invalid=True)
        if len(credential) > MAX_LENGTH:
            message = f"The token has {len(credential)} characters; at most {MAX_LENGTH} are read."
            raise UnauthenticatedError(message, invalid=True)
        if credential.startswith(tokens.PREFIX):
            return await self._by_token(credential)
        if self._verifier is None:
            raise UnauthenticatedError(f"The credential is not {_or(self._takes)}.", invalid=True)
        return await self._by_jwt(self._verifier, credential)

    async def _by_jwt(self, verifier: Verifier, credential: str) -> _CachedCaller:
        try:
            claims = await verifier.claims(credential)
            name, named = verifier.name(claims), verifier.roles(claims)
            passed = verifier.passed_on(claims) if self._rls_roles else ""
        except InvalidJwtError as error:
            raise UnauthenticatedError(str(error), invalid=True) from error
        except KeysUnavailableError as error:
            message = ErrorCode.KEYS_UNAVAILABLE.message
            raise UnauthenticatedError(message, code=ErrorCode.KEYS_UNAVAILABLE, status=UNAVAILABLE) from error
        identity = self._identity(claims.get("role", ANON), passed)
        roles, scopes = granted(named, self._roles)
        end = verifier.end(claims)
        return _CachedCaller(Caller(name, scopes, roles, claims, identity, end), min(end, time.time() + JWT_SECONDS))

    async def _by_token(self, credential: str) -> _CachedCaller:
        if not self._tokens:
            raise UnauthenticatedError("Service tokens are not taken here.", invalid=True)
        unknown = UnauthenticatedError("The service token is unknown, revoked or expired.", invalid=True)
        if not tokens.is_token(credential):
            raise unknown
        hashed = tokens.digest(credential)
        try:
            found = await ShortReader(self._engine).fetch(tokens.LOOKUP, (hashed,))
        except DatabaseError as error:
            log.warning("service tokens cannot be looked up: %s", error)
            message = "Service tokens cannot be looked up at the moment; try again shortly."
            raise UnauthenticatedError(message, code=ErrorCode.DATABASE_UNAVAILABLE, status=UNAVAILABLE) from error
        if not found:
            raise unknown
        name, named, end = found[0]
        name = f"token:{name}"
        roles, scopes = granted(named, self._roles)
        self._note(hashed)
        identity = self._identity(self._token_role, _as_claims(sub=name, role=self._token_role))
        return _CachedCaller(Caller(name, scopes, roles, {}, identity, end), min(end, time.time() + TOKEN_SECONDS))

    def _identity(self, role: Any, claims: str) -> Identity | None:
        """The database role and claims of a caller, if the database's policies apply; ``claims`` are JSON."""
        if not self._rls_roles:
            return None
        if role not in self._rls_roles:
            raise UnauthenticatedError("The database role that the credential names is not allowed here.", invalid=True)
        return Identity(role, claims)

    def _note(self, hashed: str) -> None:
        """Records beside the request that a token was used; a failure does not refuse the request."""
        task = asyncio.create_task(self._used(hashed))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def _used(self, hashed: str) -> None:
        try:
            with translated():
                async with self._writer.begin() as connection:  # connections of a pooler do not commit by themselves
                    await connection.exec_driver_sql(tokens.USED, (hashed,))
        except Exception as error:  # noqa: BLE001 - any failure: the token itself is valid
            log.debug("the use of a service token could not be noted: %s", error)


def _as_claims(**claims: str) -> str:
    return orjson.dumps(claims).decode()


_METHODS = {"jwt": "a JWT", "token": "a service token (e2i_...)"}


def _or(names: Sequence[str]) -> str:
    return " or ".join(names)

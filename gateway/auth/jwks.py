"""The keys that verify JWTs: a secret, or a set of public keys that is refreshed."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import orjson
from jwt import PyJWK, PyJWKClient, PyJWKSet
from jwt.exceptions import PyJWTError

log = logging.getLogger("gateway.auth")

ASYMMETRIC = ("RS256", "ES256")
LIFESPAN = 300.0
"""Seconds after which the set is read again; a key that was removed is accepted until then."""
STALE = 3600.0
"""Seconds for which the last set is used while it cannot be read again."""
COOLDOWN = 30.0
"""Least seconds between two reads that unknown key ids cause."""
TIMEOUT = 5.0


class KeysUnavailableError(Exception):
    """The key set cannot be read, and the last one is too old."""


class Keys(Protocol):
    """A source of keys, by the header of a token."""

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The signature algorithms that the keys verify."""
        ...

    async def find(self, kid: str | None) -> Any:
        """The key with an id; None if there is none.

        Raises:
            KeysUnavailableError: The key set cannot be read.
        """
        ...


class Secret:
    """One shared secret for HS256, as in Supabase."""

    algorithms = ("HS256",)

    def __init__(self, secret: str) -> None:
        self._secret = secret

    async def find(self, _kid: str | None) -> str:
        return self._secret


class KeySet:
    """A JWK set in a file or behind a URL. Concurrent requests that need it share one read."""

    algorithms = ASYMMETRIC

    def __init__(self, source: str) -> None:
        self._source = source
        self._keys: dict[str | None, PyJWK] = {}
        self._read_at = self._tried_at = -STALE
        self._turn = asyncio.Lock()

    async def find(self, kid: str | None) -> PyJWK | None:
        now = monotonic()
        if now - self._read_at > LIFESPAN:
            await self._read_again(now, COOLDOWN / 10)
        if now - self._read_at > STALE:
            raise KeysUnavailableError
        if (found := self._of(kid)) is None:
            await self._read_again(now, COOLDOWN)
            found = self._of(kid)
        return found

    def _of(self, kid: str | None) -> PyJWK | None:
        """The key with an id; a token without a key id matches only a set of one key."""
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid)

    async def _read_again(self, asked_at: float, cooldown: float) -> None:
        """Reads the set, unless it was tried within the cooldown or was read while this request waited."""
        async with self._turn:
            now = monotonic()
            if self._tried_at >= asked_at or now - self._tried_at < cooldown:
                return
            self._tried_at = now
            try:
                keys = await asyncio.to_thread(read_keys, self._source)
            except (PyJWTError, OSError, ValueError) as error:
                log.warning("the keys of JWTs cannot be read from %s: %s", self._source, error)
                return
            if self._keys.keys() - keys.keys():
                log.info("keys of JWTs were taken out of %s", self._source)
            self._keys, self._read_at = keys, monotonic()


def read_keys(source: str) -> dict[str | None, PyJWK]:
    """The keys of a JWK set that can verify signatures, by their ids.

    Raises:
        PyJWTError: The content is not a JWK set.
        OSError: It cannot be read.
        ValueError: The content is not JSON.
    """
    if "://" in source:
        found = PyJWKClient(source, cache_jwk_set=False, timeout=TIMEOUT).fetch_data()
    else:
        found = orjson.loads(Path(source).read_bytes())
    keys = PyJWKSet.from_dict(found if isinstance(found, dict) else {})
    usable = [key for key in keys if key.algorithm_name in ASYMMETRIC and key.public_key_use in {None, "sig"}]
    if not usable:
        raise ValueError(f"the set has no key for {' or '.join(ASYMMETRIC)}")
    return {key.key_id: key for key in usable}

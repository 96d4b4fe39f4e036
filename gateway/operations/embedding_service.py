"""The embedding service: one POST, compatible with OpenAI's API.

No text, key or response of the service appears in an error or in the log: its errors may repeat the request.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import orjson

from db.engine.limiter import Limiter, NoTurnError
from gateway.settings import Settings, SettingsError

if TYPE_CHECKING:
    import httpx

AT_ONCE, QUEUED = 8, 16
"""Concurrent requests to the service, and those that may wait: more are refused, so that they do not occupy places of
requests that need no vector."""
MAX_TEXTS = 64
"""Texts of one request to the service; the check of a search has the most."""
BYTES_OF_NUMBER, BYTES_BESIDE = 40, 65_536
"""Bytes of a number in a vector, and of everything beside the vectors, that a response may have."""
PATH = "/embeddings"


class ServiceError(Exception):
    """The service returned no vectors; the message says why, and may be shown to clients."""


class WrongLengthError(ServiceError):
    """The service returned vectors of another length."""


def check_library(settings: Settings) -> None:
    """Checks that the HTTP library is installed, if an embedding service is configured.

    Raises:
        SettingsError: It is not installed.
    """
    if settings.embeddings_url and find_spec("httpx") is None:
        raise SettingsError("GATEWAY_EMBEDDINGS_URL: httpx is not installed; install e2i-gateway[embeddings]")


class EmbeddingService:
    """Requests vectors of texts."""

    def __init__(self, settings: Settings) -> None:
        import httpx  # noqa: PLC0415 - an extra, and slow to import

        self._httpx = httpx
        base = (settings.embeddings_url or "").rstrip("/")
        self._url = base if base.endswith(PATH) else base + PATH
        self._asked: dict[str, Any] = {"model": settings.embeddings_model}
        if settings.embeddings_dimensions is not None:
            self._asked["dimensions"] = settings.embeddings_dimensions
        self._timeout = settings.embeddings_timeout
        self._key = settings.embeddings_key
        self._limiter = Limiter(AT_ONCE, self._timeout, QUEUED)
        self._client: httpx.AsyncClient | None = None
        self.requests = self.failures = self.texts = 0
        """Requests sent, requests failed, and texts in them."""

    async def close(self) -> None:
        """Closes its connections."""
        if self._client is not None:
            await self._client.aclose()

    async def vectors(self, texts: Sequence[str], length: int) -> list[list[float]]:
        """The vectors of at most `MAX_TEXTS` texts, in their order, each of ``length`` finite numbers.

        Raises:
            ServiceError: The service returned none.
        """
        try:
            async with self._limiter:
                self.requests += 1
                self.texts += len(texts)
                try:
                    return _vectors(await self._answer(list(texts), length), len(texts), length)
                except ServiceError:
                    self.failures += 1
                    raise
        except NoTurnError:
            raise ServiceError("has too many requests under way") from None

    async def _answer(self, texts: list[str], length: int) -> bytes:
        httpx = self._httpx
        most = BYTES_BESIDE + len(texts) * length * BYTES_OF_NUMBER
        if self._client is None:
            headers = {"content-type": "application/json", "accept": "application/json"}
            if self._key is not None:
                headers["authorization"] = f"Bearer {self._key.get_secret_value()}"
            self._client = httpx.AsyncClient(headers=headers, timeout=self._timeout, follow_redirects=False)
        body, size = [], 0
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._client.stream(
                    "POST", self._url, content=orjson.dumps({**self._asked, "input": texts})
                ) as response,
            ):
                if response.status_code != 200:
                    raise ServiceError(f"answered with HTTP status {response.status_code}")
                async for part in response.aiter_bytes():
                    body.append(part)
                    size += len(part)
                    if size > most:
                        raise ServiceError(f"answered with more than {most:,} bytes")
        except (TimeoutError, httpx.TimeoutException):
            raise ServiceError(f"did not answer within {self._timeout:g} seconds") from None
        except httpx.HTTPError as error:
            raise ServiceError(f"cannot be reached ({type(error).__name__})") from None
        return b"".join(body)


def _vectors(body: bytes, count: int, length: int) -> list[list[float]]:
    """The vectors in a response, in the order of the request.

    Raises:
        ServiceError: They are missing or invalid.
    """
    try:
        listed = orjson.loads(body)["data"]
        found = {one.get("index", place): one["embedding"] for place, one in enumerate(listed)}
        vectors = [found[place] for place in range(count)]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ServiceError("answered with something else than vectors") from None
    for vector in vectors:
        if not isinstance(vector, list) or not all(_is_number(value) for value in vector):
            raise ServiceError("answered with something else than vectors")
        if len(vector) != length:
            raise WrongLengthError(f"makes vectors of {len(vector):,} numbers; the stored ones have {length:,}")
        if not any(vector):
            raise ServiceError("answered with a vector of zeros")
    return vectors


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

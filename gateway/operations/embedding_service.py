"""The embedding service: one POST, compatible with OpenAI's API.

No text, key or answer of the service stands in an error or in the log: its errors repeat what they were sent.
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
"""Requests to the service at once, and how many more wait: others are refused, so that they hold no place of a request
which needs no vector."""
MAX_TEXTS = 64
"""Texts of one request to the service; a search proof has the most."""
BYTES_OF_NUMBER, BYTES_BESIDE = 40, 65_536
"""Bytes that a number of a vector, and all beside the vectors, can have in an answer."""
PATH = "/embeddings"


class ServiceError(Exception):
    """The service made no vectors; the message says why, for clients too."""


class WrongLengthError(ServiceError):
    """It makes vectors of another length."""


def check_library(settings: Settings) -> None:
    """Whether what asks the service is installed, where there is one.

    Raises:
        SettingsError: It is not.
    """
    if settings.embeddings_url and find_spec("httpx") is None:
        raise SettingsError("GATEWAY_EMBEDDINGS_URL: httpx is not installed; install e2i-gateway[embeddings]")


class EmbeddingService:
    """Makes vectors of texts."""

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
        """Requests that were sent, how many of them failed, and the texts in them all."""

    async def close(self) -> None:
        """Closes its connections."""
        if self._client is not None:
            await self._client.aclose()

    async def vectors(self, texts: Sequence[str], length: int) -> list[list[float]]:
        """The vectors of at most `MAX_TEXTS` texts, in their order, each of ``length`` finite numbers.

        Raises:
            ServiceError: There are none.
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
    """The vectors of an answer in the order of what was asked.

    Raises:
        ServiceError: It has others, or none.
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

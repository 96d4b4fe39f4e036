"""Checks of other services: key sets, Redis, the embedding service, a trace collector."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from jwt.exceptions import PyJWTError

from gateway.auth.jwks import read_keys
from gateway.doctor.findings import Finding, error, ok, warning
from gateway.operations.embedding_service import EmbeddingService, ServiceError, check_library
from gateway.settings import Settings, SettingsError

TIMEOUT = 5.0
"""Seconds within which a service must answer."""
LENGTH = 1536
"""Dimensions of the platform's vectors."""


async def check(settings: Settings) -> AsyncIterator[Finding]:
    """All checks of other services."""
    if "jwt" in settings.auth and settings.jwt_jwks:
        yield await _jwks(settings.jwt_jwks)
    if settings.redis_url:
        yield await _redis(settings.redis_url)
    if settings.embeddings_url:
        yield await _embeddings(settings)
    if settings.traces:
        yield await _collector()


async def _jwks(source: str) -> Finding:
    name = "services.jwks"
    try:
        keys = await asyncio.to_thread(read_keys, source)
    except (PyJWTError, OSError, ValueError) as problem:
        advice = "set GATEWAY_JWT_JWKS to a file or URL that has a JWK set, reachable from this host"
        return error(name, f"no keys can be read from {source}: {problem}; tokens cannot be verified", advice)
    if source.startswith("http://"):
        return warning(
            name,
            f"{source} is not encrypted: an attacker on the network could replace the keys and sign tokens",
            "use https://",
        )
    return ok(name, f"{len(keys)} key{'s' * (len(keys) != 1)} at {source}")


async def _redis(url: str) -> Finding:
    from redis.asyncio import Redis  # noqa: PLC0415 - slow to import, and rarely needed

    name = "services.redis"
    client = Redis.from_url(url, socket_connect_timeout=TIMEOUT, socket_timeout=TIMEOUT)
    try:
        await client.ping()
    except Exception as problem:  # noqa: BLE001 - any failure to answer
        return error(
            name, f"Redis cannot be used: {problem}; each worker counts budgets for itself",
            "start it, or correct REDIS_URL",
        )  # fmt: skip
    finally:
        await client.aclose()
    return ok(name, "Redis answers")


async def _embeddings(settings: Settings) -> Finding:
    name = "services.embeddings"
    advice = "correct GATEWAY_EMBEDDINGS_URL, _MODEL and _KEY; until then texts are searched by words only"
    try:
        check_library(settings)
    except SettingsError as problem:
        return error(name, str(problem), "pip install 'e2i-gateway[embeddings]'")
    service = EmbeddingService(settings)
    try:
        await service.vectors(["a text"], LENGTH)
    except ServiceError as problem:
        return error(name, f"the service {problem}", advice)
    finally:
        await service.close()
    return ok(name, f"the service makes vectors of {LENGTH:,} numbers; a server's start compares them with stored ones")


async def _collector() -> Finding:
    name = "services.otlp"
    endpoint = (
        os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        or "http://localhost:4318"
    )
    parts = urlsplit(endpoint)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(TIMEOUT):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except (OSError, TimeoutError) as problem:
        return warning(
            name, f"no collector answers at {endpoint}: {problem or 'no answer in time'}; traces are lost",
            "set OTEL_EXPORTER_OTLP_ENDPOINT to the collector's address for OTLP over HTTP",
        )  # fmt: skip
    writer.close()
    return ok(name, f"a collector listens at {endpoint}")

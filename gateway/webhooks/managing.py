"""Management of receivers for mutations and the command line: limits and allowed destinations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.store import webhooks as store
from db.store.webhooks import Run, WebhookError
from gateway.settings import Settings
from gateway.webhooks.addresses import AddressRefusedError, check
from gateway.webhooks.messages import FORMATS, matcher
from schema.catalogue.from_models import catalogue

MAX_ROTATION_HOURS = 24 * 30
"""The longest time, in hours, for which two secrets sign."""


def runs_on(connection: AsyncConnection) -> Run:
    """A function that runs statements on a connection, in its transaction."""

    async def run(sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        result = await connection.exec_driver_sql(sql, tuple(values))
        return result.fetchall() if result.returns_rows else ()

    return run


class Webhooks:
    """Manages receivers under the settings of a gateway; methods raise `WebhookError`."""

    def __init__(self, settings: Settings, writer: AsyncEngine | None = None) -> None:
        self._settings = settings
        self._writer = writer

    @property
    def enabled(self) -> bool:
        """Whether this gateway may send webhooks."""
        return self._settings.webhooks

    async def create(
        self, run: Run, name: str, url: str, topic: str, filters: Mapping[str, Any], format_: str, by: str | None = None
    ) -> str:
        """Creates a receiver; returns its secret, once."""
        if format_ not in FORMATS:
            raise WebhookError(f"{format_[:100]} is no format; it is one of {', '.join(FORMATS)}", "format")
        matcher(catalogue(), topic, filters)
        await self._check(url)
        return await store.create(run, name, url, topic, filters, format_, by)

    async def change(self, run: Run, name: str, url: str | None, filters: Mapping[str, Mapping[str, Any]]) -> None:
        """Changes the URL or the filters of a receiver; ``filters`` are by topic, one at most."""
        one = await store.found(run, name)
        for topic, asked in filters.items():
            if topic != one.topic:
                raise WebhookError(f"{name} is told of {one.topic}, which is for good; make another webhook", topic)
            matcher(catalogue(), topic, asked)
        if url is not None:
            await self._check(url)
        await store.change(run, name, url, filters.get(one.topic))

    async def rotate(self, run: Run, name: str, hours: float) -> str:
        """Gives a receiver a new secret; the old one signs beside it for ``hours``. Returns the new one, once."""
        if not 0 <= hours <= MAX_ROTATION_HOURS:
            raise WebhookError(f"{hours} hours are out of range; pass 0 to {MAX_ROTATION_HOURS}", "hours")
        return await store.rotate(run, name, hours)

    async def send_again(self, run: Run, name: str, id_: str | None) -> int:
        """Queues dead messages again, one or all; returns their number."""
        return await store.send_again(run, name, id_, self._settings.webhook_retry_hours)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Run]:
        """Reads receivers and messages, with the gateway's own rights."""
        assert self._writer is not None  # noqa: S101 - set for the graph's
        async with self._writer.begin() as connection:
            yield runs_on(connection)

    async def _check(self, url: str) -> None:
        try:
            await check(url, private=self._settings.webhook_private)
        except AddressRefusedError as error:
            raise WebhookError(str(error), "url") from None

"""Metrics across workers: a scrape of one worker collects the metrics of all."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import orjson

from gateway.observability.metrics import Metrics, Told

log = logging.getLogger("gateway.metrics")

TIMEOUT = 1.0
"""Seconds to wait for another worker; one that does not answer is omitted, and the scrape shows that."""


class WorkerMetrics:
    """A context in which the other workers can read this one's metrics, over a socket in a common folder.

    The folder is private to this gateway: who may open it may read the metrics.
    """

    def __init__(self, index: int, of: int, folder: Path | None, metrics: Metrics) -> None:
        self._index = index
        self._of = of
        self._folder = folder
        self._metrics = metrics
        self._server: asyncio.Server | None = None

    async def told(self) -> dict[int, Told | None]:
        """The families of all workers, by their index; None for one that does not answer."""
        others = [index for index in range(self._of) if index != self._index]
        answers = await asyncio.gather(*(self._ask(index) for index in others))
        told = {self._index: self._metrics.told(), **dict(zip(others, answers, strict=True))}
        return dict(sorted(told.items()))

    async def _ask(self, index: int) -> Told | None:
        try:
            async with asyncio.timeout(TIMEOUT):
                reader, writer = await asyncio.open_unix_connection(self._socket(index))
                try:
                    answer: Told = orjson.loads(await reader.read())
                finally:
                    writer.close()
        except (OSError, TimeoutError, orjson.JSONDecodeError) as error:
            log.warning("worker %d does not send its metrics: %s", index, error or "no answer in time")
            return None
        return answer

    def _socket(self, index: int) -> Path:
        assert self._folder is not None  # noqa: S101 - several workers have a folder
        return self._folder / f"worker-{index}"

    async def _tell(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(orjson.dumps(self._metrics.told()))
        writer.close()

    async def __aenter__(self) -> None:
        if self._of > 1:
            own = self._socket(self._index)
            own.unlink(missing_ok=True)  # left by a killed worker with this index
            self._server = await asyncio.start_unix_server(self._tell, own)

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()

"""The client, blocking and asynchronous: the same methods over httpx."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from gateway.client.flows import Exchange, Flow, Lost, Pause, RecordTerms, Reply, changed, paged, queried, recorded
from gateway.client.rows import Recording, Rows

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

Progress = Callable[[int], object] | bool


def _httpx() -> Any:
    try:
        import httpx  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImportError("the client needs httpx: install e2i-gateway[client]") from error
    return httpx


def _headers(token: str | None) -> dict[str, str]:
    return {} if token is None else {"authorization": f"Bearer {token}"}


def _reply(answer: httpx.Response) -> Reply:
    return Reply(answer.status_code, answer.headers, answer.content)


class _Client:
    """What both have in common."""

    def __init__(self, retries: int) -> None:
        self._retries = retries
        connecting = (_httpx().ConnectError, _httpx().ConnectTimeout, _httpx().PoolTimeout)
        self._lost: Callable[[Exception], Lost] = lambda error: Lost(error, sent=not isinstance(error, connecting))

    def _terms(
        self, key: str | None, on_conflict: str | None, progress: Progress, *, dry_run: bool, ids: bool, size: int
    ) -> RecordTerms:
        told = _Line() if progress is True else None if progress is False else progress
        return RecordTerms(key, on_conflict, dry_run, ids, size, told)


class Gateway(_Client):
    """A gateway, asked by blocking calls. Safe to be closed, and to be used by ``with``.

    ``retries`` is how often a request is sent again where that is safe: queries, refusals that pass, and changes with
    an idempotency key, which `mutate` and `record` make themselves unless one is given.
    """

    def __init__(
        self,
        url: str = "http://localhost:8000",
        *,
        token: str | None = None,
        timeout: float = 60.0,
        retries: int = 5,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(retries)
        self._http = _httpx().Client(base_url=url, headers=_headers(token), timeout=timeout, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    def query(self, document: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The data of a query.

        Raises:
            RequestFailedError: It has errors.
            NoAnswerError: There is no answer.
        """
        return self._run(queried(document, variables or {}, self._retries))

    def rows(self, document: str, variables: Mapping[str, Any] | None = None, *, most: int | None = None) -> Rows:
        """All rows of a query's list, or the first ``most``: pages are asked for by its variable ``$after``.

        Raises:
            ValueError: The document has no such variable, or no list.
            RequestFailedError: A page has errors.
            NoAnswerError: There is no answer.
        """
        return self._run(paged(document, variables or {}, self._retries, most))

    def mutate(
        self, document: str, variables: Mapping[str, Any] | None = None, *, key: str | None = None
    ) -> dict[str, Any]:
        """The data of a mutation, made once for its ``key``, or the one in its variable ``$key`` or ``$input``.

        Raises:
            RequestFailedError: It has errors.
            NoAnswerError: There is no answer; the same key tells what became of it.
        """
        return self._run(changed(document, variables or {}, self._retries, key))

    def record(
        self,
        plural: str,
        rows: Iterable[Mapping[str, Any]],
        *,
        key: str | None = None,
        on_conflict: str | None = None,
        dry_run: bool = False,
        ids: bool = False,
        size: int = 5_000,
        progress: Progress = False,
    ) -> Recording:
        """Records rows in batches of ``size``, each all or nothing, once for each ``key`` and place of the batch.

        A key that is made of what the rows are about (``exporter/2026-05-01T12:00``) keeps another process from doing
        it twice. ``progress`` is called with the number of rows that are done, or True for a line on stderr.

        Raises:
            ValueError: ``size`` is below 1.
            RejectedRowsError: Rows are in the way.
            RequestFailedError: A batch was refused, or could not be recorded.
            NoAnswerError: There is no answer; the same key tells what became of the rows.
        """
        terms = self._terms(key, on_conflict, progress, dry_run=dry_run, ids=ids, size=size)
        return self._run(recorded(plural, rows, self._retries, terms))

    def _run(self, flow: Flow[T]) -> T:
        came: Reply | Lost | None = None
        while True:
            try:
                step = flow.send(came)
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                came = None
            else:
                came = self._send(step)

    def _send(self, asked: Exchange) -> Reply | Lost:
        try:
            return _reply(self._http.post(asked.path, content=asked.content, headers=dict(asked.headers)))
        except _httpx().TransportError as error:
            return self._lost(error)


class AsyncGateway(_Client):
    """A gateway, asked by coroutines; its methods are those of `Gateway`."""

    def __init__(
        self,
        url: str = "http://localhost:8000",
        *,
        token: str | None = None,
        timeout: float = 60.0,
        retries: int = 5,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(retries)
        self._http = _httpx().AsyncClient(base_url=url, headers=_headers(token), timeout=timeout, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes its connections."""
        await self._http.aclose()

    async def query(self, document: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """As `Gateway.query`."""
        return await self._run(queried(document, variables or {}, self._retries))

    async def rows(self, document: str, variables: Mapping[str, Any] | None = None, *, most: int | None = None) -> Rows:
        """As `Gateway.rows`."""
        return await self._run(paged(document, variables or {}, self._retries, most))

    async def mutate(
        self, document: str, variables: Mapping[str, Any] | None = None, *, key: str | None = None
    ) -> dict[str, Any]:
        """As `Gateway.mutate`."""
        return await self._run(changed(document, variables or {}, self._retries, key))

    async def record(
        self,
        plural: str,
        rows: Iterable[Mapping[str, Any]],
        *,
        key: str | None = None,
        on_conflict: str | None = None,
        dry_run: bool = False,
        ids: bool = False,
        size: int = 5_000,
        progress: Progress = False,
    ) -> Recording:
        """As `Gateway.record`."""
        terms = self._terms(key, on_conflict, progress, dry_run=dry_run, ids=ids, size=size)
        return await self._run(recorded(plural, rows, self._retries, terms))

    async def _run(self, flow: Flow[T]) -> T:
        came: Reply | Lost | None = None
        while True:
            try:
                step = flow.send(came)
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                came = None
            else:
                came = await self._send(step)

    async def _send(self, asked: Exchange) -> Reply | Lost:
        try:
            return _reply(await self._http.post(asked.path, content=asked.content, headers=dict(asked.headers)))
        except _httpx().TransportError as error:
            return self._lost(error)


class _Line:
    """Tells on stderr how far it is."""

    def __call__(self, rows: int) -> None:
        sys.stderr.write(f"\r{rows:,} rows")
        sys.stderr.flush()

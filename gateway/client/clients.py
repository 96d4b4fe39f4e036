"""The client over httpx, blocking and asynchronous, with the same methods."""

from __future__ import annotations

import asyncio
import sys
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sized
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar

from gateway.client.flows import (
    Exchange,
    Flow,
    MissingReply,
    NamedChange,
    Pause,
    RecordTerms,
    Reply,
    changed,
    made,
    paged,
    queried,
    recorded,
    together,
)
from gateway.client.rows import Changed, QueryData, Recording, Rows, batches
from gateway.client.typed import ChangedT, RecordingT, TypedChanges

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
DataT = TypeVar("DataT")
RowsT = TypeVar("RowsT")
ObjectT = TypeVar("ObjectT")

Progress = Callable[[int], object] | bool
OnConflict = Literal["ERROR", "KEEP", "UPDATE"]


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


class _Client(TypedChanges[ChangedT, RecordingT], Generic[ChangedT, RecordingT, DataT, RowsT, ObjectT]):
    """What both clients share: each method builds a flow once, which `_run` completes or returns as a coroutine."""

    def __init__(self, retries: int) -> None:
        self._retries = retries
        connecting = (_httpx().ConnectError, _httpx().ConnectTimeout, _httpx().PoolTimeout)
        self._lost: Callable[[Exception], MissingReply] = lambda error: MissingReply(
            error, sent=not isinstance(error, connecting)
        )

    @abstractmethod
    def _run(self, flow: Flow[Any]) -> Any:
        """The result of a flow."""

    def query(self, document: str, variables: Mapping[str, Any] | None = None) -> DataT:
        """The data of a query, whose lists convert to frames: ``query(...).to_pandas()``.

        Raises:
            RequestFailedError: The response has errors.
            NoAnswerError: There is no response.
        """
        asked: DataT = self._run(queried(document, variables or {}, self._retries))
        return asked

    def rows(self, document: str, variables: Mapping[str, Any] | None = None, *, most: int | None = None) -> RowsT:
        """All rows of a query's list, or the first ``most``: pages are read with its variable ``$after``.

        Raises:
            ValueError: The document has no such variable, or no list.
            RequestFailedError: A page has errors.
            NoAnswerError: There is no response.
        """
        asked: RowsT = self._run(paged(document, variables or {}, self._retries, most))
        return asked

    def mutate(self, document: str, variables: Mapping[str, Any] | None = None, *, key: str | None = None) -> ObjectT:
        """The data of a mutation, executed once for its ``key``, or for the key in its variable ``$key`` or ``$input``.

        Raises:
            ValueError: The document has no such variable.
            RequestFailedError: The response has errors.
            NoAnswerError: There is no response; sending the same key again reports the outcome.
        """
        asked: ObjectT = self._run(changed(document, variables or {}, self._retries, key))
        return asked

    def change(self, mutation: str, input: Mapping[str, Any], *, key: str | None = None) -> ChangedT:  # noqa: A002
        """Executes a mutation by its name and input, once for its ``key``; returns its outcome.

        Raises:
            ValueError: There is no such mutation.
            RejectedRowsError: Values of the row were rejected.
            RequestFailedError: The mutation was refused, or failed.
            NoAnswerError: There is no response; sending the same key again reports the outcome.
        """
        asked: ChangedT = self._run(made(mutation, input, self._retries, key))
        return asked

    def record(
        self,
        plural: str,
        rows: Iterable[Mapping[str, Any]],
        *,
        key: str | None = None,
        on_conflict: OnConflict | None = None,
        dry_run: bool = False,
        ids: bool = False,
        size: int = 5_000,
        progress: Progress = False,
    ) -> RecordingT:
        """Records rows in batches of ``size``, each all or nothing, once for each ``key`` and place of the batch.

        A key derived from the rows' subject (``exporter/2026-05-01T12:00``) keeps another process from recording them
        twice. ``progress`` is called with the number of rows done, or True shows a bar on stderr.

        Raises:
            ValueError: ``size`` is below 1.
            RejectedRowsError: Rows were rejected.
            RequestFailedError: A batch was refused, or failed.
            NoAnswerError: There is no response; sending the same key again reports the outcome.
        """
        terms = RecordTerms(key, on_conflict, dry_run, ids, size, _told(progress, rows))
        asked: RecordingT = self._run(recorded(plural, rows, self._retries, terms))
        return asked


class Pending:
    """The outcome of a change in a transaction, known once the transaction has ended."""

    def __init__(self) -> None:
        self._changed: Changed | None = None

    @property
    def changed(self) -> Changed:
        """The outcome.

        Raises:
            RuntimeError: The transaction's block has not ended.
        """
        if self._changed is None:
            raise RuntimeError("the transaction is made where its block ends, and nothing is known before")
        return self._changed

    def settle(self, changed: Changed) -> None:
        """Sets the outcome."""
        self._changed = changed


class _Steps(TypedChanges[Pending, Pending]):
    """Collects the changes of a transaction."""

    def __init__(self, retries: int, key: str | None) -> None:
        self._retries = retries
        self._key = key
        self._steps: list[NamedChange] = []
        self._pending: list[Pending] = []

    def change(self, mutation: str, input: Mapping[str, Any], *, key: str | None = None) -> Pending:  # noqa: A002
        """Adds a change; the key is the transaction's.

        Raises:
            ValueError: There is no such mutation, or it was given a key of its own.
        """
        if key is not None:
            raise ValueError("the transaction has the key of all of its changes")
        step = NamedChange(mutation, input)
        step.check()
        self._steps.append(step)
        self._pending.append(Pending())
        return self._pending[-1]

    def record(
        self,
        plural: str,
        rows: Iterable[Mapping[str, Any]],
        *,
        key: str | None = None,
        on_conflict: OnConflict | None = None,
        dry_run: bool = False,
        ids: bool = False,  # noqa: ARG002 - they are always returned
        size: int = 1_000,  # noqa: ARG002 - the rows are one batch
        progress: Progress = False,  # noqa: ARG002 - they are sent at once
    ) -> Pending:
        """Adds a batch of at most 1,000 rows.

        Raises:
            ValueError: There is no list of that name, or ``dry_run`` was given.
        """
        if dry_run:
            raise ValueError("a dry run is made of single changes, not within a transaction")
        input_: dict[str, Any] = {"rows": [row for part in batches(rows, 1_000) for row in part]}
        input_ |= {"onConflict": on_conflict} if on_conflict else {}
        return self.change(f"record{plural[:1].upper()}{plural[1:]}", input_, key=key)

    @property
    def _flow(self) -> Flow[list[Changed]]:
        return together(self._steps, self._retries, self._key)

    def _tell(self, found: Iterable[Changed]) -> None:
        for one, made_ in zip(self._pending, found, strict=True):
            one.settle(made_)


class GatewayTransaction(_Steps):
    """Changes that are executed together when the ``with`` block ends; none, if the block raises."""

    def __init__(self, make: Callable[[Flow[list[Changed]]], list[Changed]], retries: int, key: str | None) -> None:
        super().__init__(retries, key)
        self._make = make

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        if kind is None:
            self._tell(self._make(self._flow))


class AsyncGatewayTransaction(_Steps):
    """Changes that are executed together when the ``async with`` block ends; none, if the block raises."""

    def __init__(
        self, make: Callable[[Flow[list[Changed]]], Awaitable[list[Changed]]], retries: int, key: str | None
    ) -> None:
        super().__init__(retries, key)
        self._make = make

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        if kind is None:
            self._tell(await self._make(self._flow))


class Gateway(_Client[Changed, Recording, QueryData, Rows, dict[str, Any]]):
    """A blocking client of a gateway. It is a context manager.

    Has a method for each mutation (``create_experiment``, ``record_serving_metrics``, ``promote_model``) with typed
    input; they call `change` and `record`.

    ``retries`` is how often a request is repeated where that is safe: queries, temporary refusals, and changes with an
    idempotency key, which `mutate` and `record` make unless one is given.
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

    def transaction(self, key: str | None = None) -> GatewayTransaction:
        """Changes that are executed together or not at all, once for the ``key``::

            with gateway.transaction() as changes:
                changes.create_experiment({"id": id_, "experimentName": "...", "predictionTarget": "..."})
                run = changes.create_training_run({"experiment": {"id": id_}, ...})
            run.changed.id

        The end of the block raises what `change` raises; a block that raises sends nothing.
        """
        return GatewayTransaction(self._run, self._retries, key)

    def _run(self, flow: Flow[T]) -> T:
        came: Reply | MissingReply | None = None
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

    def _send(self, asked: Exchange) -> Reply | MissingReply:
        try:
            return _reply(self._http.post(asked.path, content=asked.content, headers=dict(asked.headers)))
        except _httpx().TransportError as error:
            return self._lost(error)


class AsyncGateway(
    _Client[
        Coroutine[Any, Any, Changed],
        Coroutine[Any, Any, Recording],
        Coroutine[Any, Any, QueryData],
        Coroutine[Any, Any, Rows],
        Coroutine[Any, Any, dict[str, Any]],
    ]
):
    """An asynchronous client of a gateway; its methods are those of `Gateway`."""

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

    def transaction(self, key: str | None = None) -> AsyncGatewayTransaction:
        """As `Gateway.transaction`, by ``async with``."""
        return AsyncGatewayTransaction(self._run, self._retries, key)

    async def _run(self, flow: Flow[T]) -> T:
        came: Reply | MissingReply | None = None
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

    async def _send(self, asked: Exchange) -> Reply | MissingReply:
        try:
            return _reply(await self._http.post(asked.path, content=asked.content, headers=dict(asked.headers)))
        except _httpx().TransportError as error:
            return self._lost(error)


class _Bar:
    """Shows progress on stderr: a bar if the number of rows is known, else a count."""

    WIDTH = 30

    def __init__(self, total: int | None) -> None:
        self._total = total
        self._began = time.monotonic()

    def __call__(self, rows: int) -> None:
        pace = f"{rows / max(time.monotonic() - self._began, 0.001):,.0f}/s"
        told = f"{rows:,} rows, {pace}"
        if self._total:
            full = self.WIDTH * rows // self._total
            told = f"[{'#' * full}{' ' * (self.WIDTH - full)}] {rows:,} of {self._total:,} rows, {pace}"
        end = "\n" if rows == self._total else ""
        sys.stderr.write(f"\r{told}\x1b[K{end}" if sys.stderr.isatty() else f"\r{told}{end}")
        sys.stderr.flush()


def _told(progress: Progress, rows: Iterable[object]) -> Callable[[int], object] | None:
    """The callback for the number of rows done."""
    if progress is True:
        return _Bar(len(rows) if isinstance(rows, Sized) else None)
    return None if progress is False else progress

"""Clients that ask without a pause while something breaks, and the count of what became of each request.

An answer is right when it equals the truth, which the loaders of an undisturbed gateway told before. A request that is
refused with a code that means "try again" is not lost; one that hangs, or ends without an answer, is. Anything else is
wrong, and there must be none of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import psutil

SECONDS = float(os.environ.get("DRILL_SECONDS", "0.7"))
"""How long each part of a drill goes on."""
CLIENTS = int(os.environ.get("DRILL_CLIENTS", "8"))
REPORT = os.environ.get("DRILL_REPORT")
HANGS = 45.0
"""Seconds after which an answer will never come: longer than the gateway takes to give up."""

RETRYABLE = {
    "DATABASE_UNAVAILABLE", "OVERLOADED", "STATEMENT_TIMEOUT", "REQUEST_TIMEOUT", "DATABASE_READ_ONLY", "DRAINING",
    "OUTCOME_UNKNOWN", "CONFLICT", "LOCKED",
}  # fmt: skip

QUERIES = [
    "{ experiments(first: 3) { nodes { id experimentName models(first: 2) { nodes { id stage auc } totalCount } } } }",
    "{ models(first: 20) { nodes { id modelName modelVersion stage isChampion } totalCount } }",
    '{ search(text: "churn", first: 5) { hits { __typename } } }',
    "{ deployments(first: 5) { nodes { id status model { id trainingRuns(first: 1) { nodes { id } } } } } }",
]
STABLE = QUERIES[1:]
"""Queries whose answers do not depend on experiments, which drills create."""


@dataclass
class Figures:
    """What a drill came to."""

    drill: str
    sent: int = 0
    right: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """By code: typed, and worth trying again."""
    elsewhere: int = 0
    """Connections that nobody took: the client goes to another gateway."""
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    recovered: float | None = None
    """Seconds from the end of the fault to the last refusal or first right answer, whichever was later."""
    memory: tuple[float, float] = (0.0, 0.0)
    """MB resident before and after, all of the gateway's processes."""
    longest: float = 0.0
    """Seconds of the slowest answer."""
    more: dict[str, Any] = field(default_factory=dict)

    def hold(self) -> None:
        """Nothing lost, nothing wrong, and something right."""
        assert self.wrong == [], self.wrong[:3]
        assert self.lost == [], self.lost[:3]
        assert self.right > 0

    def record(self) -> None:
        """Adds itself to the file of figures, where one is asked for."""
        if REPORT is None:
            return
        path = Path(REPORT)
        drills = json.loads(path.read_text()) if path.exists() else {}
        drills[self.drill] = {
            "requests": self.sent,
            "right": self.right,
            "refused": dict(self.refused),
            "elsewhere": self.elsewhere,
            "lost": len(self.lost),
            "wrong": len(self.wrong),
            "seconds to recover": None if self.recovered is None else round(self.recovered, 3),
            "slowest answer in seconds": round(self.longest, 3),
            "MB before": round(self.memory[0], 1),
            "MB after": round(self.memory[1], 1),
            **self.more,
        }
        path.write_text(json.dumps(drills, indent=2) + "\n")


@dataclass(frozen=True)
class Answered:
    """An answer as it came over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


class Socket:
    """One connection of a client's, kept open."""

    def __init__(self, base: str) -> None:
        self._where = urlsplit(base)
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Connects, where it is not connected.

        Raises:
            OSError: Nobody listens.
        """
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(self._where.hostname, self._where.port)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None

    async def get(self, path: str) -> Answered:
        return await self._exchange(f"GET {path} HTTP/1.1\r\nhost: {self._where.netloc}\r\n\r\n".encode())

    async def post(self, body: dict[str, Any], **headers: str) -> Answered:
        """Asks the graph.

        Raises:
            OSError: The connection ended without an answer.
        """
        raw = orjson.dumps(body)
        lines = [
            "POST /graphql HTTP/1.1",
            f"host: {self._where.netloc}",
            "content-type: application/json",
            f"content-length: {len(raw)}",
            *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
        ]
        return await self._exchange("\r\n".join([*lines, "", ""]).encode() + raw)

    async def _exchange(self, request: bytes) -> Answered:
        await self.open()
        assert self.reader is not None
        assert self.writer is not None
        try:
            self.writer.write(request)
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            raise ConnectionError(f"no answer: {error!r}") from error
        if headers.get("connection") == "close":
            self.close()
        return Answered(int(first.split()[1]), headers, body)


class Load:
    """Clients that ask the same queries over and over and compare each answer with the truth."""

    def __init__(
        self,
        drill: str,
        base: str | Sequence[str],
        truth: Mapping[str, Any],
        clients: int = CLIENTS,
        *,
        callers: Sequence[str] = (),
        pause: float = 0.0,
    ) -> None:
        """``callers``: a value of `Authorization` for each client; ``pause``: seconds between two of its requests."""
        self.figures = Figures(drill)
        self._callers = callers
        self._pause = pause
        self._bases = [base] if isinstance(base, str) else list(base)
        self._truth = truth
        self._clients = clients
        self._stop = False
        self._last_refused = 0.0
        self._first_right: float | None = None

    @asynccontextmanager
    async def running(self, pid: int) -> AsyncIterator[Figures]:
        """The clients ask to the end of the block, and get the answers that they wait for then.

        ``pid`` is the gateway's, whose memory is measured once it has answered each query, and at the end.
        """
        for base in self._bases:
            socket = Socket(base)
            for query in self._truth:
                await self._ask(socket, query, 0)
            socket.close()
        before = memory(pid)
        clients = [asyncio.create_task(self._client(number)) for number in range(self._clients)]
        try:
            yield self.figures
        finally:
            self._stop = True
            await asyncio.gather(*clients)
            self.figures.memory = (before, memory(pid))

    def healed(self) -> float:
        """From now on everything should get well; the moment."""
        self._first_right = None
        self._healed = time.monotonic()
        return self._healed

    async def well_again(self, seconds: float = 30.0) -> None:
        """Waits until right answers come, and goes on for a moment to see that they stay right."""
        until = time.monotonic() + seconds
        while self._first_right is None:
            assert time.monotonic() < until, f"no right answer within {seconds:g} s: {self.figures}"
            await asyncio.sleep(0.01)
        await asyncio.sleep(SECONDS)
        self.figures.recovered = max(self._first_right, self._last_refused) - self._healed

    async def _client(self, number: int) -> None:
        queries = list(self._truth)
        turn = number
        socket = Socket(self._bases[number % len(self._bases)])
        while not self._stop:
            turn += 1
            try:
                await socket.open()
            except OSError:
                self.figures.elsewhere += 1
                socket = Socket(self._bases[turn % len(self._bases)])
                await asyncio.sleep(0.02)
                continue
            await self._ask(socket, queries[turn % len(queries)], number)
            if self._pause:
                await asyncio.sleep(self._pause)
        socket.close()

    async def _ask(self, socket: Socket, query: str, number: int) -> None:
        figures = self.figures
        headers = {"authorization": self._callers[number]} if self._callers else {}
        figures.sent += 1
        started = time.monotonic()
        try:
            async with asyncio.timeout(HANGS):
                answer = await socket.post({"query": query}, **headers)
        except (OSError, TimeoutError) as error:
            figures.lost.append(f"{query[:40]}: {error!r}")
            socket.close()
            return
        now = time.monotonic()
        figures.longest = max(figures.longest, now - started)
        codes = self._judge(query, answer)
        if codes is None:
            figures.right += 1
            if self._first_right is None:
                self._first_right = now
            return
        self._last_refused = now
        figures.refused.update(codes)
        if answer.status == 503:
            await asyncio.sleep(0.02)

    def _judge(self, query: str, answer: Answered) -> set[str] | None:
        """None for the truth; else the codes of a refusal, none where the answer is wrong."""
        try:
            body = answer.json
            errors = body.get("errors") or []
            codes = {error["extensions"]["code"] for error in errors}
        except (ValueError, KeyError, AttributeError):
            codes, errors, body = set(), [1], {}
        truth = self._truth[query]
        if answer.status == 200 and not errors and body["data"] == truth:
            return None
        data = body.get("data") or {}
        parts_hold = all(value is None or value == truth[key] for key, value in data.items())
        if not errors or not codes <= RETRYABLE or not codes or not parts_hold:
            self.figures.wrong.append(f"{query[:40]}: {answer.status} {answer.body[:300]!r}")
            return set()
        return codes


def memory(pid: int) -> float:
    """MB that a process and its children hold."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            if one.name() != "postgres":
                total += one.memory_info().rss
    return total / 1e6

"""Subscribers to all changes, who resume after whatever ends their stream, and what each of them was told."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from websockets.exceptions import WebSocketException

from tests.cluster.gateways import ask_as
from tests.support.sockets import Peer, peer

EVENTS = "subscription($after: String) { lifecycleEvents(after: $after) { cursor event { nodeId } } }"


class Subscriber:
    """Somebody who follows all changes at one gateway."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.told: Counter[str] = Counter()
        """How often each row's change was told, by global id."""
        self.warned = 0
        """How often it was said that the history has changed."""
        self.begins_anew = False
        """Whether it was told once to begin without a cursor, and may have missed what came before."""
        self.began = asyncio.Event()
        self._address = address
        self._cursor: str | None = None

    async def follow(self) -> None:
        """Follows until it is cancelled."""
        while True:
            try:
                async with peer(self._address, initialise=False) as one:
                    await one.initialise(authorization=ask_as(self.name))
                    while True:
                        await self._subscribe(one)
            except (OSError, TimeoutError, WebSocketException):
                await asyncio.sleep(0.1)

    async def _subscribe(self, one: Peer) -> None:
        """Follows until the gateway ends the stream."""
        id_ = await one.subscribe(EVENTS, after=self._cursor)
        while True:
            message = json.loads(await one.connection.recv())
            if message["type"] == "ping":
                await one.say(type="pong")
            elif message["type"] == "complete":
                return
            elif message["type"] == "error":
                await self._ended(message["payload"][0])
                return
            elif message.get("id") == id_:
                self._heard(message["payload"])

    def _heard(self, payload: dict[str, dict[str, dict[str, str | dict[str, str] | None]]]) -> None:
        value = payload["data"]["lifecycleEvents"]
        self._cursor = str(value["cursor"])
        self.began.set()
        event = value["event"]
        if isinstance(event, dict):
            self.told[event["nodeId"]] += 1

    async def _ended(self, error: dict[str, dict[str, str]]) -> None:
        extensions = error["extensions"]
        if extensions["code"] == "HISTORY_CHANGED":
            self.warned += 1
            self._cursor = extensions["cursor"]
            self.begins_anew |= self._cursor is None
        else:
            await asyncio.sleep(0.1)


@asynccontextmanager
async def following(bases: Sequence[str], each: int = 2) -> AsyncIterator[list[Subscriber]]:
    """So many subscribers at each gateway, who have begun."""
    subscribers = [
        Subscriber(f"subscriber-{place}-{n}", f"{base.replace('http', 'ws', 1)}/graphql")
        for place, base in enumerate(bases)
        for n in range(each)
    ]
    tasks = [asyncio.create_task(one.follow()) for one in subscribers]
    try:
        async with asyncio.timeout(30):
            await asyncio.gather(*(one.began.wait() for one in subscribers))
        yield subscribers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

"""Clients that change something all the time, and a ledger of what each of them was told.

Each change is an experiment of a name of its own, which is its idempotency key too. Most clients ask until they have an
answer; some never ask again, so that a change that was said not to be made can be found out to have been.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from db.engine.log_positions import position_of, position_text
from tests.cluster.gateways import ask_as
from tests.drills.load import HANGS, RETRYABLE, Answered, Socket

CREATE = """mutation($input: CreateExperimentInput!) {
    createExperiment(input: $input) { __typename ... on Recorded { ids replayed } }
}"""
NAME = "query($id: ID!) { experiment(id: $id) { experimentName } }"
UNDECIDED = {"OUTCOME_UNKNOWN", "REQUEST_TIMEOUT", "BALANCER"}
"""Answers after which the change may have been made."""
PAUSE = 0.02
GIVES_UP = 60.0
"""Seconds after which a patient client gives up."""

Fate = Literal["made", "not made", "unknown"]


@dataclass
class Change:
    """A change, and what its client knows of it."""

    name: str
    base: str
    """The address that it is asked for at."""
    fate: Fate = "unknown"
    id: str = ""
    position: int = 0
    """Where the log was, in bytes, when it was acknowledged; 0 where the gateway does not know."""
    asked: float = 0.0
    acknowledged: float = 0.0
    """When it was asked for last, and acknowledged, on the monotonic clock."""


@dataclass
class Ledger:
    """All changes that were asked for, and what was read of them."""

    changes: list[Change] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    """Answers without the change, by code."""
    wrong: list[str] = field(default_factory=list)
    """Answers that nobody may get."""
    positioned: int = 0
    """Reads of an acknowledged change by somebody else, who names its position."""
    stale: list[str] = field(default_factory=list)
    """Changes that such a read did not have."""

    def of(self, fate: Fate) -> list[Change]:
        """The changes of which clients know this."""
        return [change for change in self.changes if change.fate == fate]


def codes_of(answer: Answered) -> set[str]:
    """The codes of an answer's errors; what a balancer says is ``BALANCER``."""
    if answer.headers.get("content-type", "").startswith("text/html"):
        return {"BALANCER"}
    return {error["extensions"]["code"] for error in answer.json.get("errors") or []}


class Changers:
    """Clients who change something, the ``patient`` ones until they know that it was made; each is at one address.

    Whatever was made is read at ``read_at`` by somebody else who has heard of it.
    """

    def __init__(self, *, patient: Sequence[str], impatient: Sequence[str], read_at: str) -> None:
        self.ledger = Ledger()
        self._read_at = read_at
        self._clients = [*((base, True) for base in patient), *((base, False) for base in impatient)]
        self._stop = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Ledger]:
        """They change to the end of the block, and get the answers that they wait for then."""
        clients = [
            asyncio.create_task(self._client(number, base, patient=patient))
            for number, (base, patient) in enumerate(self._clients)
        ]
        try:
            yield self.ledger
        finally:
            self._stop = True
            await asyncio.gather(*clients)

    async def _client(self, number: int, base: str, *, patient: bool) -> None:
        run = time.monotonic_ns()
        changing, reading = Socket(base), Socket(self._read_at)
        me, other = ask_as(f"changer-{number}"), ask_as(f"reader-{number}")
        for turn in itertools.count():
            if self._stop:
                break
            change = Change(f"{run}-{number}-{turn}", base)
            self.ledger.changes.append(change)
            if patient:
                await settle(changing, me, change, self.ledger)
            else:
                await make(changing, me, change, self.ledger)
            if change.position:
                fresh = await is_read(reading, other, change)
                self.ledger.positioned += fresh is not None
                self.ledger.stale += [change.name] if fresh is False else []
            await asyncio.sleep(PAUSE)
        changing.close()
        reading.close()


async def make(socket: Socket, who: str, change: Change, ledger: Ledger) -> bool:
    """Asks for a change once; whether it has its answer."""
    input_ = {"experimentName": change.name, "predictionTarget": "drill", "idempotencyKey": change.name}
    change.fate, change.asked = "unknown", time.monotonic()
    try:
        async with asyncio.timeout(HANGS):
            answer = await socket.post({"query": CREATE, "variables": {"input": input_}}, authorization=who)
    except (OSError, TimeoutError):
        socket.close()
        ledger.refused["no answer"] += 1
        return False
    codes = codes_of(answer)
    if codes:
        ledger.refused.update(codes)
        if not codes <= RETRYABLE | {"BALANCER", "CHANGES_UNAVAILABLE"}:
            ledger.wrong.append(f"{change.name}: {answer.status} {answer.body[:300]!r}")
        elif not codes & UNDECIDED:
            change.fate = "not made"
        return False
    body = answer.json
    result = body["data"]["createExperiment"]
    if result["__typename"] != "Recorded":
        ledger.wrong.append(f"{change.name}: {answer.body[:300]!r}")
        return True
    change.fate, (change.id,) = "made", result["ids"]
    change.acknowledged = time.monotonic()
    if position := body["extensions"].get("position"):  # none where the connection was lost right after the commit
        change.position = position_of(position)
    return True


async def settle(socket: Socket, who: str, change: Change, ledger: Ledger) -> None:
    """Asks for a change until it has its answer."""
    end = time.monotonic() + GIVES_UP
    while not await make(socket, who, change, ledger):
        if time.monotonic() > end:
            ledger.wrong.append(f"{change.name} was not made within {GIVES_UP:g} s")
            return
        await asyncio.sleep(PAUSE)


async def is_read(socket: Socket, who: str, change: Change) -> bool | None:
    """Whether somebody who has heard of a change's position reads it; None where there was no answer."""
    asked = {
        "query": NAME, "variables": {"id": change.id}, "extensions": {"position": position_text(change.position)},
    }  # fmt: skip
    try:
        async with asyncio.timeout(HANGS):
            answer = await socket.post(asked, authorization=who)
    except (OSError, TimeoutError):
        socket.close()
        return None
    if codes_of(answer):
        return None
    return bool(answer.json["data"]["experiment"] == {"experimentName": change.name})

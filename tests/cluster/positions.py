"""Reads that name the position of a change that somebody else has made: none may be older, whichever server answers."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.changes import Change, Ledger, is_read, settle
from tests.cluster.gateways import ask_as, base, metrics_of
from tests.drills.load import Socket

CHANGE_EVERY = 0.1
"""Seconds between two changes; the newest is what is read."""
AT_ONCE = 16


@dataclass
class Positioned:
    """What reads at one gateway came to."""

    reads: int = 0
    refused: int = 0
    stale: list[str] = field(default_factory=list)
    servers: dict[str, int] = field(default_factory=dict)
    """How many requests read where, and why there, as the gateway counts them."""


async def read_positions(port: int, number: int) -> Positioned:
    """Makes changes at a gateway and reads the newest there, ``number`` times, as others."""
    found, before = Positioned(), await _servers(port)
    changing = Socket(base(port))
    newest = await _change(changing, 0)
    readers = [asyncio.create_task(_read(found, port, number, n, lambda: newest)) for n in range(AT_ONCE)]
    for turn in itertools.count(1):
        if (await asyncio.wait(readers, timeout=CHANGE_EVERY))[1] == set():
            break
        newest = await _change(changing, turn)
    changing.close()
    await asyncio.gather(*readers)
    found.servers = {where: times - before.get(where, 0) for where, times in (await _servers(port)).items()}
    return found


async def _change(socket: Socket, turn: int) -> Change:
    """A change that was acknowledged."""
    change, ledger = Change(f"{time.monotonic_ns()}-{turn}", ""), Ledger()
    await settle(socket, ask_as("changer"), change, ledger)
    assert not ledger.wrong, ledger.wrong
    return change


async def _read(found: Positioned, port: int, number: int, reader: int, newest: Callable[[], Change]) -> None:
    socket, who = Socket(base(port)), ask_as(f"reader-{reader}")
    while found.reads < number:
        found.reads += 1
        change = newest()
        fresh = await is_read(socket, who, change)
        found.refused += fresh is None
        found.stale += [change.name] if fresh is False else []
    socket.close()


async def _servers(port: int) -> dict[str, int]:
    async with httpx.AsyncClient(trust_env=False) as http:
        text = (await http.get(f"{metrics_of(port)}/metrics")).text
    counts: Counter[str] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:  # one of each worker
            if sample.name == "e2i_reads_total":
                counts[sample.labels["from"]] += int(sample.value)
    return counts

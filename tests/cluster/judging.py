"""What is true afterwards, by the database's own rows, against what clients were told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.cluster.changes import Ledger
from tests.cluster.following import Subscriber
from tests.support.databases import connected

DELIVERED = 20.0
"""Seconds after which what a subscriber was not told was missed."""


@dataclass
class Judgement:
    """What clients were told that is not so, by the names of their changes."""

    acknowledged: int = 0
    lost_by_patroni: list[str] = field(default_factory=list)
    """Acknowledged by a primary behind the place in its log where the next one left it."""
    lost: list[str] = field(default_factory=list)
    """Acknowledged, and there is no other reason why they are not there."""
    doubled: list[str] = field(default_factory=list)
    """Made twice, or told twice in the record of changes."""
    denied: list[str] = field(default_factory=list)
    """Said not to be made, and there."""
    missed: list[str] = field(default_factory=list)
    """Changes that a subscriber was not told, with its name."""
    repeated: int = 0
    """Changes that a subscriber was told twice, without a word on the history."""

    def add(self, other: Judgement) -> None:
        """Counts another one's in."""
        self.acknowledged += other.acknowledged
        self.repeated += other.repeated
        for name in ("lost_by_patroni", "lost", "doubled", "denied", "missed"):
            getattr(self, name).extend(getattr(other, name))

    def hold(self) -> None:
        """Nothing but what Patroni lost."""
        for name in ("lost", "doubled", "denied", "missed"):
            found = getattr(self, name)
            assert not found, f"{name}: {len(found)} of {self.acknowledged}: {found[:3]}"
        assert not self.repeated


async def judge(url: str, ledger: Ledger, subscribers: Sequence[Subscriber], ends: Sequence[int] = ()) -> Judgement:
    """Compares, by the primary of now; ``ends`` are the positions in the log where timelines have ended."""
    made, names = ledger.of("made"), [change.name for change in ledger.changes]
    async with connected(url) as sql:
        rows = await sql.fetch(
            "SELECT experiment_name AS name, 'Experiment:' || id AS id FROM ml_experiments "
            "WHERE experiment_name = ANY ($1)",
            names,
        )
        events = await sql.fetch(
            "SELECT node_id, count(*) AS times FROM gateway.lifecycle_events WHERE node_id = ANY ($1) GROUP BY 1",
            [row["id"] for row in rows],
        )
    there, told = Counter(row["name"] for row in rows), {row["node_id"]: row["times"] for row in events}
    judgement = Judgement(acknowledged=len(made))
    for change in made:
        if not there[change.name]:
            beyond = any(change.position > end for end in ends)
            (judgement.lost_by_patroni if beyond else judgement.lost).append(f"{change.name} at {change.position:X}")
    judgement.doubled = [name for name, times in there.items() if times > 1]
    judgement.doubled += [row["name"] for row in rows if told.get(row["id"]) != 1]
    judgement.denied = [change.name for change in ledger.of("not made") if there[change.name]]
    wanted = {row["id"] for row in rows}
    for one in subscribers:
        if one.begins_anew:
            continue
        await _until_told(one, wanted)
        judgement.missed += [f"{id_} by {one.name}" for id_ in wanted - one.told.keys()]
        judgement.repeated += sum(one.told[id_] > 1 for id_ in wanted) if not one.warned else 0
    return judgement


async def _until_told(subscriber: Subscriber, wanted: set[str]) -> None:
    try:
        async with asyncio.timeout(DELIVERED):
            while not wanted <= subscriber.told.keys():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.1)
    except TimeoutError:
        pass

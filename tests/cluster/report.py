"""Figures of the drill, for people and for gateway/docs/drills.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import isfinite
from statistics import median
from typing import Any

from tests.cluster.drill import Run
from tests.cluster.judging import Judgement
from tests.cluster.positions import Positioned
from tests.drills.load import Figures


def record(run: Run) -> None:
    """What one fault came to."""
    record_all([run])


def record_all(runs: Sequence[Run]) -> None:
    """What several runs of a fault came to, as one entry."""
    figures, judgement = Figures(runs[0].figures.drill), Judgement()
    for run in runs:
        figures.sent += run.figures.sent
        figures.right += run.figures.right
        figures.refused += run.figures.refused
        figures.lost += run.figures.lost
        figures.wrong += run.figures.wrong
        figures.longest = max(figures.longest, run.figures.longest)
        judgement.add(run.judgement)
    figures.recovered = max(run.figures.recovered or 0.0 for run in runs)
    figures.memory = (runs[0].figures.memory[0], runs[-1].figures.memory[1])
    answered, asked = sum(run.answered[0] for run in runs), sum(sum(run.answered) for run in runs)
    refused: Counter[str] = sum((run.ledger.refused for run in runs), Counter())
    figures.more = {
        "runs": len(runs),
        "seconds without a leader": quantiles([run.leaderless for run in runs]),
        "reads without a leader": asked,
        "of these answered": answered,
        "slowest read before the fault": round(max(run.slowest_before for run in runs), 3),
        "slowest read without a leader": round(max(run.slowest[0] for run in runs), 3),
        "seconds from the promotion to a connection, all orders of the hosts": quantiles(
            [seconds for run in runs for seconds in run.found.values()]
        ),
        "seconds from the promotion to a change, by each gateway": quantiles(
            [seconds for run in runs for seconds in run.changed]
        ),
        "changes acknowledged": judgement.acknowledged,
        "changes refused": dict(refused),
        "of the acknowledged lost": len(judgement.lost),
        "of the acknowledged lost by Patroni": judgement.lost_by_patroni,
        "doubled": len(judgement.doubled),
        "made, and said not to be": len(judgement.denied),
        "positioned reads": sum(run.ledger.positioned for run in runs),
        "of these stale": sum(len(run.ledger.stale) for run in runs),
        "not told to a subscriber": len(judgement.missed),
        "told twice to one": judgement.repeated,
        "times that one was told of a changed history": sum(one.warned for run in runs for one in run.subscribers),
        "readyz without a leader": _words(runs),
        "standbys that had to be made anew": sum(run.made_anew for run in runs),
    }
    figures.record()
    _tell(figures)


def record_positions(found: Mapping[str, Positioned]) -> None:
    """What positioned reads came to beside a standby that replays nothing, by how the gateway knows the standbys."""
    figures = Figures("cluster: replay stopped")
    for name, one in found.items():
        figures.sent += one.reads
        figures.right += one.reads - one.refused - len(one.stale)
        figures.more[name] = {"positioned reads": one.reads, "of these stale": len(one.stale), "read from": one.servers}
    figures.record()
    _tell(figures)


def quantiles(values: Sequence[float]) -> dict[str, float | None]:
    """The median and the largest, rounded; None for what did not happen within the drill."""
    found = {"median": median(values), "largest": max(values)} if values else {}
    return {name: round(value, 3) if isfinite(value) else None for name, value in found.items()}


def _words(runs: Sequence[Run]) -> dict[str, int]:
    words: Counter[str] = Counter()
    for run in runs:
        for gateway in run.seen.ready:
            words += gateway
    return dict(sorted(words.items()))


def _tell(figures: Figures) -> None:
    rows: dict[str, Any] = {
        "reads": figures.sent, "right": figures.right, "refused": dict(figures.refused), "no answer": len(figures.lost),
        "wrong": figures.wrong[:3], "slowest": round(figures.longest, 3), "well again after": figures.recovered,
    }  # fmt: skip
    print(f"\n{figures.drill}")
    for what, figure in (rows | figures.more).items():
        print(f"  {what}: {figure}")

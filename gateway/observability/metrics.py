"""Metrics of this process, rendered in the Prometheus format at a scrape.

Requests increment plain numbers, from which metric families are made at a scrape. Latencies have the operation's name
as a label, for the first fifty operations executed; all others share ``other``.
"""

from __future__ import annotations

import platform
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import accumulate
from typing import Any

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the latency buckets, in seconds."""
_EDGES = (*map(str, BOUNDS), "+Inf")

NAMES = 50
"""The number of operations with their own latencies."""
ANONYMOUS = "anonymous"
OTHER = "other"

Told = Sequence[tuple[str, str, str, Sequence[tuple[str, Mapping[str, str], float]]]]
"""Families as plain data, for another worker: name, kind, description and samples."""


class Latencies:
    """The latencies of one operation."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * len(_EDGES)
        self.seconds = 0.0


class Metrics:
    """The counters of one process."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.executors: Counter[str] = Counter()
        self.fallbacks: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.statements = 0
        self.rows = 0
        self._latencies: dict[str | None, Latencies] = {}
        self._asked: list[Callable[[], Iterable[Metric]]] = []
        self._process = ProcessCollector(registry=None)

    def request(self, operation: str | None, outcome: str, seconds: float) -> None:
        """Counts an answered request. ``operation`` is the name of a valid operation, or None."""
        self.outcomes[outcome] += 1
        latencies = self._latencies.get(operation) or self._latencies_of(operation)
        latencies.counts[bisect_left(BOUNDS, seconds)] += 1
        latencies.seconds += seconds

    def _latencies_of(self, operation: str | None) -> Latencies:
        if len(self._latencies) >= NAMES and operation is not None:
            return self._latencies.setdefault(OTHER, Latencies())
        return self._latencies.setdefault(operation, Latencies())

    def ask(self, tell: Callable[[], Iterable[Metric]]) -> None:
        """Registers a source of metrics that is called at each scrape."""
        self._asked.append(tell)

    def gauge(self, name: str, documentation: str, value: Callable[[], float]) -> None:
        """Registers a number that is read at each scrape."""
        self.ask(lambda: [GaugeMetricFamily(f"e2i_{name}", documentation, value=value())])

    def families(self) -> Iterator[Metric]:
        """All families, with the process's memory and time."""
        yield _counter(
            "requests",
            "Requests by outcome: ok, errors (answered with some), refused, timeout, unavailable, "
            "failed, unfinished (the client left).",
            "outcome",
            self.outcomes,
        )
        yield _latencies(self._latencies)
        yield _counter("executed", "Operations by executor.", "by", self.executors)
        yield _counter("fallbacks", "Compiled statements that the loaders answered.", "reason", self.fallbacks)
        yield _counter("refusals", "Requests that were refused, by code.", "code", self.refusals)
        yield _counter("errors", "Answers with an error in them, by code.", "code", self.errors)
        yield CounterMetricFamily("e2i_statements", "Statements that requests sent to Postgres.", value=self.statements)
        yield CounterMetricFamily("e2i_rows", "Rows that requests read.", value=self.rows)
        yield _build_info()
        for tell in self._asked:
            yield from tell()
        yield from self._process.collect()

    def told(self) -> Told:
        """The families as plain data."""
        return [
            (family.name, family.type, family.documentation, [(s.name, s.labels, s.value) for s in family.samples])
            for family in self.families()
        ]


def _counter(name: str, documentation: str, label: str, counts: Counter[str]) -> Metric:
    family = CounterMetricFamily(f"e2i_{name}", documentation, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family


def _latencies(latencies: Mapping[str | None, Latencies]) -> Metric:
    family = HistogramMetricFamily(
        "e2i_request_seconds",
        "Seconds that requests took, by operation: the first 50 names that were executed, then other; anonymous.",
        labels=["operation"],
    )
    for operation, one in latencies.items():
        buckets = list(zip(_EDGES, accumulate(one.counts), strict=True))
        family.add_metric([operation or ANONYMOUS], buckets, one.seconds)
    return family


def _build_info() -> Metric:
    family = GaugeMetricFamily("e2i_build_info", "Version of the gateway and of Python.", labels=["version", "python"])
    family.add_metric([version("e2i-gateway"), platform.python_version()], 1)
    return family


def workers_up(told: Mapping[int, Told | None]) -> Metric:
    """Which workers answered a scrape."""
    family = GaugeMetricFamily("e2i_worker_up", "Whether a worker answered this scrape.", labels=["worker"])
    for worker, families in told.items():
        family.add_metric([str(worker)], float(families is not None))
    return family


class _Workers(Collector):
    """The families of several workers merged by name; samples are labelled with their worker."""

    def __init__(self, told: Mapping[int, Told | None]) -> None:
        self._told = told

    def collect(self) -> Iterable[Metric]:
        merged: dict[str, Metric] = {}
        for worker, families in self._told.items():
            for name, kind, documentation, samples in families or ():
                family = merged.setdefault(name, Metric(name, documentation, kind))
                for sample, labels, value in samples:
                    family.add_sample(sample, {**labels, "worker": str(worker)}, value)
        return [workers_up(self._told), *merged.values()]


def exposition(told: Mapping[int, Told | None], accept: str) -> tuple[bytes, str]:
    """The exposition in the format that ``Accept`` asks for, with its media type.

    ``told`` has the families by worker; None for one that did not answer.
    """
    encode, media = choose_encoder(accept)
    body: Any = encode(_Workers(told))
    return body, media

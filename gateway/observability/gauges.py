"""Gauges that are read at each scrape: connection pools, caches, draining."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from db.engine.pool import limiter_of
from db.engine.replica import Reads
from db.engine.timelines import REASONS, Timelines
from db.engine.transaction import Transactions
from gateway.operations.rollups import RollupUpkeep
from gateway.operations.service import OperationService


def in_use(engine: AsyncEngine) -> int:
    """The number of connections in use."""
    return engine.pool.checkedout() - limiter_of(engine).warm if isinstance(engine.pool, QueuePool) else 0


def size(engine: AsyncEngine) -> int:
    """The largest number of connections that the pool keeps."""
    return engine.pool.size() if isinstance(engine.pool, QueuePool) else 0


def pools(engines: Mapping[str, AsyncEngine], changes: Transactions) -> Callable[[], Iterable[Metric]]:
    """Gauges of pools by name; changes queue before their pool."""

    def waiting(engine: AsyncEngine) -> int:
        return limiter_of(engine).waiting + (changes.waiting if engine is engines["write"] else 0)

    def tell() -> Iterable[Metric]:
        for name, documentation, count in (
            ("in_use", "Connections that requests hold.", in_use),
            ("size", "Connections that the pool may open.", size),
            ("waiting", "Statements and changes that wait for a connection.", waiting),
            ("heavy", "Connections that heavy statements hold.", lambda engine: limiter_of(engine).heavy_taken),
            ("heavy_waiting", "Heavy statements that wait for one.", lambda engine: limiter_of(engine).heavy_waiting),
        ):
            family = GaugeMetricFamily(f"e2i_pool_{name}", documentation, labels=["pool"])
            for pool, engine in engines.items():
                family.add_metric([pool], count(engine))
            yield family

    return tell


def caches(service: OperationService) -> Callable[[], Iterable[Metric]]:
    """Hits, misses and sizes of the caches of plans and documents."""

    def tell() -> Iterable[Metric]:
        hits = CounterMetricFamily("e2i_cache_hits", "Lookups that the cache answered.", labels=["cache"])
        misses = CounterMetricFamily("e2i_cache_misses", "Lookups that the cache did not answer.", labels=["cache"])
        kept = GaugeMetricFamily("e2i_cache_entries", "Entries of the cache.", labels=["cache"])
        named: dict[str, Any] = {"plans": service.plans, "documents": service.documents}
        if service.embeddings.service is not None:
            named["embeddings"] = service.embeddings
        for name, cache in named.items():
            hits.add_metric([name], cache.hits)
            misses.add_metric([name], cache.misses)
            kept.add_metric([name], len(cache))
        return hits, misses, kept

    return tell


def history(timelines: Timelines) -> Callable[[], Iterable[Metric]]:
    """Failovers detected, servers refused, and commits whose outcome was unknown."""

    def tell() -> Iterable[Metric]:
        if timelines.newest is not None:
            yield GaugeMetricFamily("e2i_database_timeline", "The newest timeline that was seen.", timelines.newest)
        yield CounterMetricFamily("e2i_failovers", "Newer timelines that were met.", timelines.failovers)
        lossy = "Newer timelines that had begun without acknowledged changes of the last one."
        yield CounterMetricFamily("e2i_lossy_failovers", lossy, timelines.lossy_failovers)
        refused = CounterMetricFamily(
            "e2i_refused_servers", "Connections to servers that are not used: former primaries, and servers that lack "
            "acknowledged changes.", labels=["reason"],
        )  # fmt: skip
        for reason in REASONS:
            refused.add_metric([reason], timelines.refused[reason])
        yield refused
        lost = CounterMetricFamily(
            "e2i_lost_commits", "Commits whose answer was lost, by what became of them.", labels=["outcome"]
        )
        for outcome in ("made", "not made", "unknown"):
            lost.add_metric([outcome], timelines.lost_commits[outcome])
        yield lost

    return tell


def readings(reads: Reads) -> Callable[[], Iterable[Metric]]:
    """Where requests read, and the replica's lag; empty without a replica."""

    def tell() -> Iterable[Metric]:
        if not reads.standbys:
            return
        sent = CounterMetricFamily("e2i_reads", "Requests by the database that they read, and why.", labels=["from"])
        for where, count in reads.sent.items():
            sent.add_metric([where], count)
        yield sent
        usable = GaugeMetricFamily("e2i_replica_usable", "Whether reads may go to the replica.", labels=["replica"])
        lag = GaugeMetricFamily("e2i_replica_lag_seconds", "Lag of the replica in seconds.", labels=["replica"])
        position = GaugeMetricFamily(
            "e2i_replica_position_bytes", "Where the replica is in the primary's log.", labels=["replica"]
        )
        read = CounterMetricFamily("e2i_replica_reads", "Requests that read from the replica.", labels=["replica"])
        for standby in reads.standbys:
            usable.add_metric([standby.name], int(standby.usable))
            if standby.lag is not None:
                lag.add_metric([standby.name], standby.lag)
            position.add_metric([standby.name], standby.replayed)
            read.add_metric([standby.name], standby.reads)
        yield from (usable, lag, position, read)

    return tell


def rollup_units(upkeep: RollupUpkeep) -> Callable[[], Iterable[Metric]]:
    """Units of rollups that were summed up, and those that cannot be."""

    def tell() -> Iterable[Metric]:
        family = CounterMetricFamily(
            "e2i_rollup_units",
            "Units of rollups by what became of them: summed up, or out of range (their rows are read).",
            labels=["table", "outcome"],
        )
        for (table, outcome), count in upkeep.summed_up.items():
            family.add_metric([table, outcome], count)
        yield family

    return tell


def requests(service: OperationService) -> Callable[[], Iterable[Metric]]:
    """Requests in progress and waiting; calls of the embedding service."""

    def tell() -> Iterable[Metric]:
        yield GaugeMetricFamily("e2i_requests_inside", "Requests in progress.", service.limiter.taken)
        yield GaugeMetricFamily("e2i_requests_waiting", "Requests in the queue.", service.limiter.waiting)
        made = service.embeddings.service
        for name, documentation, count in (
            ("requests", "Requests to the service of embeddings.", made.requests if made else 0),
            ("failures", "Requests to the service of embeddings that failed.", made.failures if made else 0),
            ("texts", "Texts that were sent to the service of embeddings.", made.texts if made else 0),
        ):
            yield CounterMetricFamily(f"e2i_embedding_{name}", documentation, count)

    return tell

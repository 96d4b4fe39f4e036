"""What is asked at each scrape: pools of connections, caches, and whether the gateway drains."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from db.lending import turns_of
from db.transaction import Transactions
from gateway.endpoint import GraphQLEndpoint
from gateway.live import Feed
from gateway.websocket import Sockets


def in_use(engine: AsyncEngine) -> int:
    """How many connections of the pool somebody holds."""
    return engine.pool.checkedout() if isinstance(engine.pool, QueuePool) else 0


def size(engine: AsyncEngine) -> int:
    """How many connections the pool keeps at most."""
    return engine.pool.size() if isinstance(engine.pool, QueuePool) else 0


def pools(reads: AsyncEngine, writes: AsyncEngine, changes: Transactions) -> Callable[[], Iterable[Metric]]:
    """Gauges of the two pools."""

    def tell() -> Iterable[Metric]:
        in_use_, size_, waiting = (
            GaugeMetricFamily(f"e2i_pool_{name}", documentation, labels=["pool"])
            for name, documentation in (
                ("in_use", "Connections that requests hold."),
                ("size", "Connections that there may be."),
                ("waiting", "Statements and changes that wait for a connection."),
            )
        )
        for pool, engine in (("read", reads), ("write", writes)):
            in_use_.add_metric([pool], in_use(engine))
            size_.add_metric([pool], size(engine))
        waiting.add_metric(["read"], turns_of(reads).waiting)
        waiting.add_metric(["write"], turns_of(writes).waiting + changes.waiting)
        return in_use_, size_, waiting

    return tell


def caches(graphql: GraphQLEndpoint) -> Callable[[], Iterable[Metric]]:
    """Hits and misses of plans and documents, and how many are kept."""

    def tell() -> Iterable[Metric]:
        hits = CounterMetricFamily("e2i_cache_hits", "Requests that found theirs kept.", labels=["cache"])
        misses = CounterMetricFamily("e2i_cache_misses", "Requests that had theirs made.", labels=["cache"])
        kept = GaugeMetricFamily("e2i_cache_entries", "What is kept.", labels=["cache"])
        for name, cache in (("plans", graphql.plans), ("documents", graphql.documents)):
            hits.add_metric([name], cache.hits)
            misses.add_metric([name], cache.misses)
            kept.add_metric([name], len(cache))
        return hits, misses, kept

    return tell


def admission(graphql: GraphQLEndpoint) -> Callable[[], Iterable[Metric]]:
    """How many requests are worked on, and how many wait for a place."""

    def tell() -> Iterable[Metric]:
        yield GaugeMetricFamily("e2i_requests_inside", "Requests that are worked on.", graphql.admission.inside)
        yield GaugeMetricFamily("e2i_requests_waiting", "Requests that wait.", len(graphql.admission.waiting))

    return tell


def follows(sockets: Sockets, feed: Feed) -> Callable[[], Iterable[Metric]]:
    """How many WebSockets are open, how many subscriptions run, and whether changes are listened for."""

    def tell() -> Iterable[Metric]:
        yield GaugeMetricFamily("e2i_websockets", "WebSockets that are open.", len(sockets.open))
        yield GaugeMetricFamily("e2i_subscriptions", "Subscriptions that are followed.", feed.subscribers)
        yield GaugeMetricFamily("e2i_live_listening", "Whether changes are listened for.", feed.listens)
        yield CounterMetricFamily("e2i_live_readings", "Times that the live log was read.", value=feed.reads)
        yield CounterMetricFamily("e2i_live_connections", "Connections made to listen.", value=feed.connections)

    return tell

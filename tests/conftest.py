"""Fixtures for all tests. They stand in `tests/support`, beside the helpers that they use."""

import gc
import socket

import pytest

gc.disable()  # until everything is imported: what stays need not be walked again and again
pytest_plugins = [
    "tests.support.databases",
    "tests.support.browsing",
    "tests.support.exploring",
    "tests.support.accessibility",
    "tests.support.redis_server",
    "tests.drills.fixtures",
]


def pytest_sessionstart(session: pytest.Session) -> None:
    """What a process tells `--reruns` of a test goes out at once: Nagle's algorithm holds it back 40 ms each time."""
    told = getattr(getattr(session.config, "failures_db", None), "sock", None)
    if told is not None and hasattr(session.config, "workerinput"):
        told.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files come first, so that no process is left with one of them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    """What was imported is no garbage."""
    gc.freeze()
    gc.enable()

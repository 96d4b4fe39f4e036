"""Fixtures for all tests. They stand in `tests/support`, beside the helpers that they use."""

import gc
import re
import socket
from pathlib import Path

import pytest

gc.disable()  # until everything is imported: what stays need not be walked again and again
pytest_plugins = [
    "tests.support.databases",
    "tests.support.servers",
    "tests.support.browsing",
    "tests.support.exploring",
    "tests.support.accessibility",
    "tests.support.redis_server",
    "tests.drills.fixtures",
]


ALL_SLOW = re.compile(r"^pytestmark = (?:\[[^\]]*|[^\[\n]*)\bpytest\.mark\.slow\b", re.MULTILINE)
"""What a file says that has no quick test; `tests/house/test_architecture.py` holds that each such file says it."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`make test-quick` imports no file all of whose tests are slow: each process would."""
    is_quick = config.option.markexpr == "not slow" and collection_path.name.startswith("test_")
    return True if is_quick and ALL_SLOW.search(collection_path.read_text(encoding="utf-8")) else None


def pytest_sessionstart(session: pytest.Session) -> None:
    """What a process tells `--reruns` of a test goes out at once: Nagle's algorithm holds it back 40 ms each time."""
    told = getattr(getattr(session.config, "failures_db", None), "sock", None)
    if told is not None and hasattr(session.config, "workerinput"):
        told.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no process is left with one of them at the end.

    The tests of a file stay together, in their order.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """What was imported is no garbage."""
    gc.freeze()
    gc.enable()

"""Fixtures for all tests. They stand in `tests/support`, beside the helpers that they use."""

import gc

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files come first, so that no process is left with one of them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    """What was imported is no garbage."""
    gc.freeze()
    gc.enable()

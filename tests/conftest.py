"""Fixtures for all tests. They stand in `tests/support`, beside the helpers that they use."""

pytest_plugins = [
    "tests.support.databases",
    "tests.support.browsing",
    "tests.support.redis_server",
    "tests.drills.fixtures",
]

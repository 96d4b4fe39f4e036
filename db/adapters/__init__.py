"""Adapters for private interfaces of libraries, one module per library.

Each name here has a contract test in ``tests/db/test_adapters.py``, and its library an upper bound in
``pyproject.toml``. No other module uses a private name of a library: ``tests/house/test_architecture.py`` enforces
this.
"""

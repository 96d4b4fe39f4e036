"""What the gateway takes from libraries beyond their public interfaces, one module a library.

Each name here has a contract test in ``tests/db/test_adapters.py``, and its library an upper bound in
``pyproject.toml``. Nothing else in the project names a private part of a library: ``tests/house/test_architecture.py``
looks for it.
"""

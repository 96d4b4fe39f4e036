"""Both executors, as parameters of fixtures and tests: whether the compiler is on."""

import pytest

EXECUTORS = [pytest.param(True, id="compiled"), pytest.param(False, id="loaders", marks=pytest.mark.slow)]
"""`make test-quick` asks the first alone."""

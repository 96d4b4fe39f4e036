"""The wheel: the rooms below one package, so that no other package of an environment meets their names.

Where they are worked on (``pip install -e .``), the rooms stay packages of their own.
"""

from __future__ import annotations

import sys

from setuptools.command.build_py import build_py

ROOMS = ("gateway", "schema", "db")
BELOW = "e2i_gateway.rooms."


class RoomsBelow(build_py):  # type: ignore[misc]  # setuptools says no types
    """Builds the rooms as packages below the one that is installed."""

    def finalize_options(self) -> None:
        """Renames them, where nothing has yet, with their folders and what of theirs is no module."""
        whole = self.distribution
        if "editable_wheel" not in sys.argv and "gateway" in whole.packages:
            whole.packages = [_named(name) for name in whole.packages]
            whole.package_dir = {**(whole.package_dir or {}), **{_named(room): room for room in ROOMS}}
            whole.package_data = {_named(name): patterns for name, patterns in whole.package_data.items()}
        super().finalize_options()


def _named(package: str) -> str:
    return f"{BELOW}{package}" if package.partition(".")[0] in ROOMS else package

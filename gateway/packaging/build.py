"""The wheel: all rooms inside one package, so that their names do not collide with other packages.

In an editable install (``pip install -e .``) the rooms stay top-level packages.
"""

from __future__ import annotations

import sys

from setuptools.command.build_py import build_py

ROOMS = ("gateway", "schema", "db")
BELOW = "e2i_gateway.rooms."


class RoomsBelow(build_py):  # type: ignore[misc]  # setuptools has no types
    """Builds the rooms as subpackages of the installed package."""

    def finalize_options(self) -> None:
        """Renames the packages once, with their folders and data files."""
        whole = self.distribution
        if "editable_wheel" not in sys.argv and "gateway" in whole.packages:
            whole.packages = [_named(name) for name in whole.packages]
            whole.package_dir = {**(whole.package_dir or {}), **{_named(room): room for room in ROOMS}}
            whole.package_data = {_named(name): patterns for name, patterns in whole.package_data.items()}
        super().finalize_options()


def _named(package: str) -> str:
    return f"{BELOW}{package}" if package.partition(".")[0] in ROOMS else package

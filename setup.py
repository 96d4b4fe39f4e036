"""The wheel: the rooms below one package, so that no other package of an environment meets their names.

Where they are worked on (``pip install -e .``), the rooms stay packages of their own.
"""

import sys

from setuptools import find_packages, setup

ROOMS = ("gateway", "schema", "db")
BELOW = "e2i_gateway.rooms"
DATA = {
    "gateway": ["py.typed", "mcp/answers/*.graphql", "operations/*.json", "static/**/*", "static/*"],
    "schema": ["py.typed", "schema.graphql", "possible-types.json"],
    "db": ["py.typed", "sql/*.sql", "seed/*.json", "migrations/*.mako"],
}

found = find_packages(include=[pattern for room in ROOMS for pattern in (room, f"{room}.*")])
prefix = "" if "editable_wheel" in sys.argv else f"{BELOW}."
names = {name: f"{prefix}{name}" for name in found}

setup(
    packages=["e2i_gateway", *names.values()],
    package_dir={names[room]: room for room in ROOMS},
    package_data={"e2i_gateway": ["py.typed"], **{names[room]: patterns for room, patterns in DATA.items()}},
    include_package_data=False,
)

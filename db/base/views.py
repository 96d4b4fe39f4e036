"""The views of the data dictionary as SELECTs of the gateway: a database may lack them or define them differently.

The platform's own differ from the documentation (one takes the largest severity as text, in which `none` exceeds
`critical`), so no answer depends on them. These definitions are also those of the migrations.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_SQL = Path(__file__).parents[1] / "sql"
_VIEW = re.compile(r"(?ms)^CREATE OR REPLACE VIEW public\.(\w+) WITH \(security_invoker = true\) AS\n(.*?);$")
_COMMENT = re.compile(r"\s*--[^\n]*")
_READ = re.compile(r"(?:FROM|JOIN) public\.(\w+)")


@cache
def definitions() -> Mapping[str, str]:
    """The SELECT of each view, by name; views that it reads are inlined."""
    found: dict[str, str] = {}
    for file in sorted(_SQL.glob("g*.sql")):
        for name, body in _VIEW.findall(file.read_text(encoding="utf-8")):
            bare = " ".join(_COMMENT.sub("", body).split())
            found[name] = _READ.sub(lambda read: _inlined(read, found), bare)
    return found


@cache
def selects() -> Mapping[str, str]:
    """The SELECT of each view over tables and types without a schema, which the search path finds."""
    return {name: definition.replace("public.", "") for name, definition in definitions().items()}


def _inlined(read: re.Match[str], known: Mapping[str, str]) -> str:
    definition = known.get(read[1])
    return read[0] if definition is None else read[0].replace(f"public.{read[1]}", f"({definition})")


@cache
def tables(view: str) -> tuple[str, ...]:
    """The tables that a view reads."""
    return tuple(sorted(set(_READ.findall(definitions()[view]))))

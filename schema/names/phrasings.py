"""Phrasings: what people say who mean a field and do not know its name.

`phrasings.txt` has a section for each type, and ``[*]`` for fields that many types have. A line is a field and words of
questions about it: ``predictionHorizonDays: how far ahead; lead time``. Their order says nothing, and words of the
field's name and description need not be said again. Only questions are answered by them; other names are `aliases`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

EVERY = "*"
"""The section of fields that many types have."""
_FILE = Path(__file__).with_name("phrasings.txt")


@cache
def phrasings() -> Mapping[str, Mapping[str, str]]:
    """What is said of each field, by its type and its name."""
    found: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
        elif line:
            name, _, said = line.partition(": ")
            section[name] = said
    return found


def phrasing(owner: str, name: str) -> str:
    """What people say who mean a field of a type: its own line, else that of all fields of the name, else nothing."""
    known = phrasings()
    return known.get(owner, {}).get(name) or known.get(EVERY, {}).get(name, "")

"""Phrasings: words by which people describe a field without knowing its name.

`phrasings.txt` has a section for each type, and ``[*]`` for fields of many types. A line is a field and words of
questions about it: ``predictionHorizonDays: how far ahead; lead time``. Their order is irrelevant, and words of the
field's name and description need not be repeated. Only the search for fields uses them; other names are ``aliases``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

EVERY = "*"
"""The section of fields of many types."""
_FILE = Path(__file__).with_name("phrasings.txt")


@cache
def phrasings() -> Mapping[str, Mapping[str, str]]:
    """The phrasings of each field, by its type and its name."""
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
    """The phrasings of a field: those of its type, else those of all fields of the name, else an empty text."""
    known = phrasings()
    return known.get(owner, {}).get(name) or known.get(EVERY, {}).get(name, "")

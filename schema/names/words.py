"""Words of names and questions, and their similarity."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from functools import lru_cache

from schema.names.synonyms import BY_WORD, IN_FULL, IRREGULAR

_PARTS = re.compile(r"[A-Z]?[a-z]+\d*|[A-Z]+(?![a-z])\d*|\d+[a-z]*")
_KEPT = ("ss", "us", "is", "ias", "atlas", "canvas")
"""Endings of singulars."""
_ENDINGS = (
    "ization", "isation", "ations", "ation", "ments", "ment", "ness", "ings", "ing", "ions", "ion", "ance", "ence",
    "able", "ical", "ally", "ively", "ive", "ated", "ates", "ate", "ized", "izes", "ize", "ers",
    "ed", "al", "ly", "er", "es", "e",
)  # fmt: skip

EQUAL, BEGINS, SYNONYM, NEAR = 1.0, 0.8, 0.8, 0.75
"""Likeness of equal words, of a word and its prefix, of synonyms, and of words with similar spelling."""

ALIKE = 0.8
"""The similarity ratio from which two texts have similar spelling."""
LONGEST = 64
"""The number of characters of an unknown name that are read."""


def words(name: str) -> tuple[str, ...]:
    """The words of a name in lower case, plurals as singulars, abbreviations in full: ``p99LatencyMs`` -> ``p99``,
    ``latency``, ``ms``.
    """
    parts = (singular(part.lower()) for part in _PARTS.findall(name))
    return tuple(IN_FULL.get(part, part) for part in parts)


@lru_cache(maxsize=20_000)
def singular(word: str) -> str:
    """The approximate singular of an English word, for comparisons."""
    if len(word) < 4 or word.endswith(_KEPT) or not word.endswith("s"):
        return word
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    if word.endswith("yses"):
        return f"{word[:-2]}is"
    return word[:-2] if word.endswith(("ches", "shes", "sses", "xes")) else word[:-1]


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """The approximate stem of an English word: ``retrieved`` and ``retrieval`` -> ``retriev``."""
    word = singular(word)
    word = IRREGULAR.get(word, word)
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


@lru_cache(maxsize=50_000)
def likeness(one: str, other: str) -> float:
    """The likeness of two words, 0 to 1."""
    if one == other or stem(one) == stem(other):
        return EQUAL
    if BY_WORD.get(one, frozenset()) & BY_WORD.get(other, frozenset()):
        return SYNONYM
    short, long = sorted((one, other), key=len)
    if len(short) >= 3 and long.startswith(short):
        return BEGINS
    return NEAR if len(short) >= 4 and _looks_like(one, other) else 0.0


def _looks_like(one: str, other: str) -> float:
    """The similarity ratio of two texts, `ALIKE` to 1; 0 below, and if first letters differ, which typos seldom do."""
    if one[0] != other[0] or 3 * min(len(one), len(other)) < 2 * max(len(one), len(other)):
        return 0.0
    matcher = SequenceMatcher(None, one, other)
    ratio = matcher.ratio() if matcher.quick_ratio() >= ALIKE else 0.0
    return ratio if ratio >= ALIKE else 0.0


def similarity(asked: Sequence[str], name: Sequence[str], beside: Iterable[str] = ()) -> float:
    """The similarity of a name to the words ``asked``, 0 to 1.

    Words of the name that are also in ``beside``, the owner's name, need no counterpart.
    """
    if not asked or not name:
        return 0.0
    one, other = "".join(asked), "".join(name)
    if one == other:
        return 1.0
    asked, name = _abbreviated(asked, name), _abbreviated(name, asked)
    found = sum(max(likeness(word, own) for own in name) for word in asked) / len(asked)
    said = set(beside)
    left = [word for word in name if word not in said] or list(name)
    covered = sum(max(likeness(own, word) for word in asked) for own in left) / len(left)
    score = 0.7 * found + 0.3 * covered
    short, long = sorted((one, other), key=len)
    if len(short) >= 4:
        if long.startswith(short):
            score = max(score, 0.85)
        score = max(score, 0.95 * _looks_like(one, other))
    return min(score, 0.99)


def _abbreviated(spelt: Sequence[str], short: Sequence[str]) -> Sequence[str]:
    """The words ``spelt``, abbreviated by initials where ``short`` has the abbreviation.

    ``precision recall auc`` becomes ``pr auc`` if the other side is ``pr auc``.
    """
    for word in short:
        size = len(word)
        for at in range(len(spelt) - size + 1) if size > 1 else ():
            if "".join(one[0] for one in spelt[at : at + size]) == word:
                spelt = (*spelt[:at], word, *spelt[at + size :])
                break
    return spelt


def closest(word: str, choices: Iterable[str]) -> str | None:
    """The most similar of ``choices`` by case, prefix, synonym or spelling; None below a similarity of 0.7."""
    asked = words(word[:LONGEST])
    best = max(choices, key=lambda choice: _means(word, asked, choice), default=None)
    return best if best is not None and _means(word, asked, best) >= 0.7 else None


def _means(word: str, asked: Sequence[str], choice: str) -> float:
    return 2.0 if word.casefold() == choice.casefold() else similarity(asked, words(choice))

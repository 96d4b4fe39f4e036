"""The words of a text that is searched for, and the forms in which values may have them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from string import punctuation
from unicodedata import normalize

from db.base.trigrams import SEPARATORS

TO_SPACES = str.maketrans(SEPARATORS, " " * len(SEPARATORS))
_SPECIAL = frozenset(punctuation)
_FUZZY_LENGTHS = range(4, 33)
_PREFIX_FROM = 5
_TWICE_FROM = 8
"""Least letters of a word that may have a typo, of a word that may be a prefix of the value's, and of a word that may
have a typo in each half."""


@dataclass(frozen=True)
class Text:
    """The text that is searched for."""

    raw: str

    @cached_property
    def lower(self) -> str:
        return self.raw.lower()

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The distinct words, folded as values are: ``disc-risk`` is ``disc risk``."""
        words = (word.translate(TO_SPACES).strip() for word in self.raw.split())
        return tuple({word.lower(): word for word in words if word}.values())

    @cached_property
    def _apart(self) -> tuple[str, ...]:
        """The distinct words, without spaces in them."""
        return tuple(dict.fromkeys(part for word in self.words for part in normalize("NFC", word.lower()).split()))

    @cached_property
    def patterns(self) -> list[str]:
        """A regular expression for each word with a typo; empty if no word can have one."""
        if not any(_is_fuzzy(word) for word in self._apart):
            return []
        patterns = (_with_typo(word) if _is_fuzzy(word) else _literal(word) for word in self._apart)
        return sorted(patterns, key=len)  # cheap ones first: few rows reach the others

    @cached_property
    def pieces(self) -> list[list[str]]:
        """For each part of a word with a typo, substrings of which every matching value has at least one.

        They are tested first, by ``LIKE``, which takes a fraction of a regular expression's time.
        """
        return [_pieces(part) for word in self._apart if _is_fuzzy(word) for part in _parts(word)]

    @cached_property
    def substrings(self) -> list[str]:
        """What every value with typos has, as `db.base.trigrams.query` takes it."""
        literal_words = [word for word in self._apart if not _is_fuzzy(word)]
        return [*literal_words, *(SEPARATORS[0].join(pieces) for pieces in self.pieces)]


def _is_fuzzy(word: str) -> bool:
    """Only words of letters: a version or an identifier with a typo is a different one."""
    return word.isalpha() and len(word) in _FUZZY_LENGTHS


def _literal(word: str) -> str:
    return "".join(f"\\{letter}" if letter in _SPECIAL else letter for letter in word)


def _with_typo(word: str) -> str:
    """A regular expression for words that differ by one letter (replaced, inserted, deleted, two exchanged)."""
    found = "".join(f"(?:{_one_typo(part)})" for part in _parts(word))
    return f" {found}" + ("" if len(word) >= _PREFIX_FROM else "(?: |$)")


def _parts(word: str) -> tuple[str, ...]:
    """The parts of a word that may each have a typo; an exchange across the boundary is a typo in both."""
    half = len(word) // 2
    return (word,) if len(word) < _TWICE_FROM else (word[:half], word[half:])


def _pieces(part: str) -> list[str]:
    """Substrings of which every variant of a part has one: either half, or both, with their adjacent letters
    exchanged."""
    half = len(part) // 2
    return [part[:half], part[half:], part[: half - 1] + part[half] + part[half - 1] + part[half + 1 :]]


def _one_typo(part: str) -> str:
    places = range(len(part))
    changed = [f"{part[:i]}[^ ]?{part[i + 1 :]}" for i in places]
    added = [f"{part[:i]}[^ ]{part[i:]}" for i in (*places, len(part))]
    exchanged = [part[: i - 1] + part[i] + part[i - 1] + part[i + 1 :] for i in places[1:]]
    return "|".join(dict.fromkeys([*changed, *added, *exchanged]))

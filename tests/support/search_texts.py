"""Search texts made at random from what a database holds, and the matches of a text, found without SQL.

`matches` is written from what the API says of `search`: it shares no code with the statement.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from random import Random

FIXED = [
    "", " ", "\t\n", "-_/:.(", "%", "_", "\\", "'", '"', "$1", "{row}", "[a-z]+", "a\x00b", "null", "İ", "ß", "ς", "ﬁ",
    "🙂", "e\u0301", "x" * 300, "x" * 301, "x " * 12, "x " * 13, "word " * 900,
]  # fmt: skip
"""Texts at the bounds of what is allowed, and with characters that mean something elsewhere."""


class SearchTexts:
    """Makes search texts from ``values`` of rows and ``names`` of types."""

    def __init__(self, random: Random, values: Sequence[str], names: Sequence[str]) -> None:
        self._random = random
        self._values = [value for value in values if value.strip()]
        self._names = names

    def text(self) -> str:
        """A text: words of a row or of two, the name of a type, one of `FIXED`; as a person may write it."""
        choose = self._random.choice
        kind = self._random.random()
        if kind < 0.12 or not self._values:
            return choose(FIXED)
        if kind < 0.27:
            text = self._type_name()
        elif kind < 0.45:
            text = choose(self._values)
        else:
            text = " ".join(self._some_words() for _ in range(choose([1, 1, 2])))
        for change in self._random.sample(self._changes(), choose([0, 1, 1, 2])):
            text = change(text)
        return text

    def _type_name(self) -> str:
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", self._random.choice(self._names)).split()
        return " ".join(words[self._random.randrange(len(words)) :])

    def _some_words(self) -> str:
        words = re.split(r"[\s\-_/:.(]+", self._random.choice(self._values))
        chosen = self._random.sample(words, min(len(words), self._random.choice([1, 1, 2, 3])))
        return " ".join(word[: self._random.choice([3, 5, 99])] for word in chosen)

    def _changes(self) -> list[Callable[[str], str]]:
        return [
            str.upper,
            str.swapcase,
            self._with_typo,
            self._with_typo,
            lambda text: f"{text}s",
            lambda text: text.replace("i", "İ").replace("ss", "ß"),
            lambda text: text.replace(" ", self._random.choice(["  ", "\t", "-", "_", "\u00a0", ""])),
            lambda text: f" {text}\n",
            lambda text: unicodedata.normalize("NFD", text),
            lambda text: f"{text} {self._random.choice(['xylophone', 'of', '7', '🙂'])}",
        ]

    def _with_typo(self, text: str) -> str:
        """One letter is replaced, added, left out or exchanged with the next."""
        at = self._random.randrange(len(text) + 1)
        return self._random.choice(
            [
                f"{text[:at]}x{text[at + 1 :]}",
                f"{text[:at]}x{text[at:]}",
                text[:at] + text[at + 1 :],
                text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :],
            ]
        )


def folded(text: str) -> str:
    """A text without case and composition."""
    lower = unicodedata.normalize("NFC", text).lower()
    return lower.replace("ß", "ss").replace("\u03c2", "\u03c3").replace("\u0307", "")


def spaced(text: str) -> str:
    """A text with spaces for separators."""
    return re.sub(r"[\-_/:.(]", " ", text)


def matches(text: str, values: Sequence[str | None]) -> bool:
    """Whether each word of a text is somewhere in the values of a row."""
    there = spaced(folded(" ".join(value for value in values if value is not None)))
    words = (spaced(folded(word)).strip() for word in text.split())
    return all(word in there for word in words if word)


def band(text: str, value: str) -> tuple[float, float]:
    """The least and the greatest score of a value that has all words of a text."""
    wanted, there = spaced(folded(text)), f" {spaced(folded(value))}"
    words = [spaced(folded(word)).strip() for word in text.split()]
    if value == text:
        return 0.95, 0.95
    if folded(value) == folded(text):
        return 0.94, 0.94
    if there.startswith(f" {' '.join(wanted.split())}"):
        return 0.8, 0.9
    if all(f" {word}" in there for word in words if word):
        return 0.65, 0.75
    return 0.5, 0.6

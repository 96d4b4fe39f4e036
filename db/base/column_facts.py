"""Facts about a column's values: unit, closed vocabulary, kind of text, other names."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


class Unit(enum.Enum):
    """The unit of a number; members' values are its symbols.

    ``said`` matches descriptions that contain the unit; ``words`` are appended to others, empty if every description
    contains it.
    """

    doc: str
    said: str
    words: str

    def __new__(cls, symbol: str, doc: str, said: str = "", words: str = "") -> Self:
        member = object.__new__(cls)
        member._value_ = symbol
        member.doc, member.said, member.words = doc, said, words
        return member

    FRACTION = (
        "of 1",
        "A fraction, a rate or a probability: 1 is 100 %, 0.05 is 5 %.",
        r"0-1|0\.5-1|[Ff]raction|[Ss]hare|0\.1 is|1 is all",
        "As a fraction (0.1 is 10 %).",
    )
    PERCENT = "%", "Percent: 100 is the whole.", "percent", "In percent."
    MILLISECONDS = "ms", "Milliseconds.", r"\bms\b|millisecond", "In milliseconds."
    SECONDS = "s", "Seconds.", "second", "In seconds."
    DAYS = "days", "Days.", "[Dd]ay", "In days."
    WEEKS = "weeks", "Weeks.", "[Ww]eek", "In weeks."
    MONTHS = "months", "Months.", "[Mm]onth", "In months."
    YEARS = "years", "Years.", "[Yy]ear", "In years."
    BYTES = "B", "Bytes.", "[Bb]yte", "In bytes."
    MEGABYTES = "MB", "Megabytes.", "megabyte|MB", "In megabytes."
    USD = "USD", "US dollars.", "USD", "In USD."
    MULTIPLE = "x cost", "A multiple of the cost: 2 is twice what was spent.", "multiple", "As a multiple of the cost."
    COUNT = "count", "Number of the things that the description names."
    TOKENS = "tokens", "Tokens of a language model.", "[Tt]oken", "In tokens."
    PER_SECOND = "per s", "Number per second.", "per second", "Per second."
    POINTS_OF_5 = "1-5", "Points from 1 to 5; 5 is best.", "1-5", "1-5."
    POINTS_OF_100 = "0-100", "Points from 0 to 100; 100 is best.", "0-100", "0-100."
    ROW_SCALE = (
        "own scale",
        "The scale of the row's metric, test or outcome: only comparable within the same one.",
        "scale|in units of",
        "On the scale of what is measured.",
    )
    ORDINAL = "ordinal", "A number, rank, index or version that orders or identifies; sums have no meaning."
    DIMENSIONLESS = "none", "A pure number, as the description says."


class Holds(enum.Enum):
    """What a text or a JSON document contains."""

    doc: str

    def __new__(cls, word: str, doc: str) -> Self:
        member = object.__new__(cls)
        member._value_ = word
        member.doc = doc
        return member

    PROSE = "prose", "Free text, also code and queries, written by people or models."
    IDENTIFIER = "identifier", "A name, id, hash, version or address."
    LABEL = "label", "A word of an open set: others may be added."
    VOCABULARY = "vocabulary", "One of the listed words."
    STATE = "state", "A state of a lifecycle: one of the listed words."
    DATA = "data", "Names, numbers and words of a JSON document, no prose."


@dataclass(frozen=True)
class ColumnFacts:
    """The facts of one column; for a lifecycle's column the catalogue adds ``values``.

    ``values`` are the words of a closed vocabulary in order, ``aliases`` what people call the column.
    """

    unit: Unit | None = None
    holds: Holds | None = None
    values: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def prose(self) -> bool:
        """Whether the text is written by people or models."""
        return self.holds is Holds.PROSE

    def described(self, text: str) -> str:
        """A description, completed by the unit and the vocabulary if it does not contain them."""
        if self.unit and self.unit.words and not re.search(self.unit.said, text):
            text = f"{text} {self.unit.words}"
        if any(value not in text for value in self.values):
            text = f"{text} Known: {', '.join(self.values)}."
        return text


NO_FACTS = ColumnFacts()


def column_facts(
    unit: Unit | None = None, holds: Holds | None = None, values: Sequence[str] = (), aliases: Sequence[str] = ()
) -> ColumnFacts:
    """The facts for a model's declaration: ``values`` make it a vocabulary.

    Raises:
        ValueError: A column with ``values`` also has another ``holds``.
    """
    if values and holds not in {None, Holds.VOCABULARY}:
        raise ValueError(f"a column with the words {', '.join(values)} holds them, not {holds}")
    return ColumnFacts(unit, Holds.VOCABULARY if values else holds, tuple(values), tuple(aliases))

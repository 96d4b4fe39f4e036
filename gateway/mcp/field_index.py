"""Fields of the graph by words of what people call them."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from graphql import GraphQLObjectType, get_named_type

from gateway.mcp.cards import Cards
from schema.schema import Schema

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_STOP = frozenset(
    re.findall(
        r"\w+", "a an the of for in on is are was what which how many much do does did to by and or with per its it"
    )
)


def words(text: str) -> list[str]:
    """The words of a name or a sentence: small letters, without endings and words that say nothing."""
    return [_stem(one.lower()) for one in _WORD.findall(text) if one.lower() not in _STOP]


def _stem(word: str) -> str:
    for end in ("ies", "ing", "ed", "es", "s"):
        if word.endswith(end) and len(word) - len(end) > 2:
            return word[: -len(end)] + ("y" if end == "ies" else "")
    return word


@dataclass(frozen=True)
class _Entry:
    type_name: str
    line: str
    weights: dict[str, float]


class FieldIndex:
    """Finds fields by words of their names, their types and their descriptions."""

    def __init__(self, schema: Schema, cards: Cards) -> None:
        self._schema = schema
        self._cards = cards

    @cached_property
    def _entries(self) -> list[_Entry]:
        found: list[_Entry] = []
        query = self._schema.graphql.query_type
        assert query is not None  # noqa: S101 - the graph has one
        for name, root in query.fields.items():
            line = f"{name} [root]: {get_named_type(root.type).name}"
            found.append(_Entry("", line, _weights((name, 3.0), (root.description or "", 1.0))))
        for entity in self._schema.catalogue:
            type_ = self._schema.graphql.type_map[entity.name]
            assert isinstance(type_, GraphQLObjectType)  # noqa: S101 - rows are objects
            for name, field in type_.fields.items():
                if name in {"id", "rowVersion"}:
                    continue
                line = f"{type_.name}.{self._cards.field_line(type_, name, field)}"
                texts = (name, 3.0), (type_.name, 1.5), (field.description or "", 1.0)
                found.append(_Entry(type_.name, line, _weights(*texts)))
        return found

    @cached_property
    def _rarity(self) -> dict[str, float]:
        counts = Counter(word for entry in self._entries for word in entry.weights)
        return {word: math.log(1 + len(self._entries) / count) for word, count in counts.items()}

    def find(self, text: str, type_name: str | None, limit: int) -> list[str]:
        """The lines of the fields that fit best, at most so many."""
        asked = words(text)
        scored = []
        for place, entry in enumerate(self._entries):
            if type_name and entry.type_name != type_name:
                continue
            score = sum(entry.weights.get(word, 0.0) * self._rarity.get(word, 0.0) for word in asked)
            if score > 0:
                scored.append((-score, place, entry.line))
        return [line for _, _, line in sorted(scored)[:limit]]


def _weights(*texts: tuple[str, float]) -> dict[str, float]:
    found: dict[str, float] = {}
    for text, weight in texts:
        for word in words(text):
            found[word] = max(found.get(word, 0.0), weight)
    return found

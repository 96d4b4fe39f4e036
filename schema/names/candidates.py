"""Names of a schema as candidates for an unknown name, and which of them are nearest to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from graphql import GraphQLInputType, get_named_type

from db.base.column_facts import Unit
from schema.catalogue.catalogue import ColumnField, Type
from schema.names.words import similarity, stem, words

MOST = 3
"""The largest number of suggested names."""
LEAST = 0.5
"""The least similarity of a suggested name."""
BEHIND = 0.25
"""The greatest difference in similarity between a suggested name and the best one."""
ALIAS, RELATED, DESCRIBED = 0.96, 0.85, 0.7
"""Factors of a match with an alias, with an alias of the related type, and with the description."""
SAID = 0.75
"""The similarity of a field that has the name as a value: ``psi`` is a value of `testType`."""
STATUS = frozenset({"status", "state", "stage"})
"""Words for the state of a row."""
VERDICTS = frozenset("decision severity verdict grade recommendation winner".split())  # noqa: SIM905
"""Last words of columns that judge a row: they are suggested for a status that its type lacks."""
FLAGS = frozenset(
    "active correct converged degraded detected eligible improved match passed significant success valid".split()  # noqa: SIM905
)
"""Words of booleans that do."""


@dataclass(frozen=True)
class NameCandidate:
    """A name of the schema as a candidate: its words, aliases (factor and words), and stems of its description."""

    name: str
    words: tuple[str, ...]
    aliases: tuple[tuple[float, tuple[str, ...]], ...] = ()
    described: frozenset[str] = frozenset()
    bonus: float = 0.0
    values: frozenset[str] = frozenset()
    """The values of the field, each as its words without separators."""

    def nearness(self, asked: Sequence[str], beside: Sequence[str]) -> float:
        """The similarity to the words ``asked``, 0 to 1 plus a bonus; ``beside`` are words of the owner's name."""
        found = similarity(asked, self.words, beside)
        for worth, alias in self.aliases:
            found = max(found, worth * similarity(asked, alias))
        if self.values and found < SAID and "".join(word for word in asked if word not in _IGNORED) in self.values:
            found = SAID
        if self.described and found < LEAST + BEHIND:
            said = sum(stem(word) in self.described for word in asked) / len(asked)
            found = max(found, DESCRIBED * said)
        return found + self.bonus


def nearest(
    asked: Sequence[str], candidates: Iterable[NameCandidate], beside: Sequence[str]
) -> list[tuple[float, str]]:
    """The most similar names, the best first; of names with equal words, such as singular and plural, one."""
    if not asked:
        return []
    found = sorted(((one.nearness(asked, beside), one.name) for one in candidates), key=lambda one: -one[0])
    best: list[tuple[float, str]] = []
    for nearness, name in found:
        if nearness < LEAST or (best and nearness < best[0][0] - BEHIND) or len(best) == MOST:
            break
        if not any(words(name) == words(other) for _, other in best):
            best.append((nearness, name))
    return best


ALIASES = {
    "first": ("page size", "limit", "size", "per page"),
    "after": ("cursor", "page token", "start cursor"),
    "where": ("search", "query", "conditions"),
    "text": ("query", "search", "term", "needle"),
    "minSimilarity": ("threshold", "cutoff", "min score", "minimum score"),
    "iContains": ("ilike", "contains insensitive", "contains ignore case", "search"),
    "like": ("ilike", "pattern"),
}
"""Aliases of arguments and operators that many fields have."""
_BY_UNIT = {Unit.MULTIPLE: "ratio", Unit.COUNT: "count"}
_IGNORED = frozenset({"is", "in", "has", "was", "are", "at", "on"})
"""Words of names of booleans that are ignored: ``is`` and ``in`` of ``isInProduction``."""


def by_unit(leaf: ColumnField) -> tuple[str, ...]:
    """An alias of a number from its unit: the name with ``ratio`` or ``count``."""
    word = _BY_UNIT.get(leaf.facts.unit) if leaf.facts.unit else None
    return () if word is None or word in words(leaf.name) else (f"{leaf.name} {word}",)


def in_other_words(type_: Type) -> Iterator[tuple[str, str]]:
    """Columns with aliases that other types have as names: what judges a row where there is no status, what a row is
    called where there is no name.
    """
    said = {name: set(words(name)) for name in type_.columns}
    is_named = any(parts & {"name", "title"} for parts in said.values())
    has_status = any(parts & STATUS for parts in said.values())
    for name, leaf in type_.columns.items():
        is_flag = leaf.kind.graphql == "Boolean" and bool(said[name] & FLAGS)
        judges = is_flag or words(name)[-1] in VERDICTS
        if judges and (not has_status or (name == "isActive" and not {"status", "state"} & type_.columns.keys())):
            yield from ((name, "status"), (name, "state"))
        if words(name)[-1] in {"status", "state"}:
            yield name, "success"
        if not is_named and not judges and set(leaf.columns) & set(type_.label) and leaf.kind.graphql != "DateTime":
            yield name, "name"


def by_type(type_: GraphQLInputType) -> tuple[str, ...]:
    """An alias of an argument from its type: ids are called ``from`` where lineage starts."""
    return ("id",) if get_named_type(type_).name == "ID" else ()


def values_of(leaf: ColumnField) -> frozenset[str]:
    """The values of a field, each as its words without separators."""
    members = leaf.kind.labels or ()
    return frozenset("".join(words(one)) for one in (*leaf.facts.values, *(member.value for member in members)))


def plain(name: str, description: str | None, aliases: Iterable[str] = ()) -> NameCandidate:
    """A name without a row behind it: that of an argument, an operator, a function."""
    called = tuple((ALIAS, words(alias)) for alias in aliases)
    return NameCandidate(name, words(name), called, stems(description or ""))


def stems(text: str) -> frozenset[str]:
    """The stems of a text's words."""
    return frozenset(stem(word) for word in words(text))

"""Search for fields by a question: all fields of the graph, ranked by the words of the question.

A field is indexed by the words of its name, aliases, phrasings, description, unit and values, and of its type's name
and aliases. Words are weighted by inverse document frequency; synonyms weigh less. A field whose values answer the
question word ranks higher.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from heapq import nlargest
from itertools import islice, pairwise

from schema.catalogue.catalogue import Catalogue, ColumnField, Root, Type
from schema.names.phrasings import phrasing
from schema.names.question_words import AnswerKind, asked_for, given_by
from schema.names.synonyms import BY_WORD, GROUPS
from schema.names.words import stem, words

NAME, ALIAS, SAID, TEXT, VALUE = 3.0, 3.0, 2.5, 1.0, 1.0
"""Weights of a word in a field's name, aliases, phrasings, description and values."""
OWNER, OWNER_ALIAS = 2.2, 1.6
"""Weights of a word in the name and in the aliases of the field's type."""
SYNONYM = 0.45
"""Factor of a match by a synonym."""
MISSPELT = 0.8
"""Factor of a match by spelling, for a word that no field has."""
LIKE, BEGINNING, SPELLINGS = 0.75, 2, 3
"""Matches by spelling: the least similarity ratio, the length of the common prefix, and the number of words tried."""
FITTING = 1.4
"""Factor of a field whose values answer the question word."""
SATURATION = 2.0
"""The weight at which a match has half of its greatest score, as in BM25."""
LONGEST = 400
"""The number of characters of a question that are read."""
FEW = 12
"""The default number of fields in a result."""
ALIKE = 3
"""The largest number of fields with the same name, of all types, in a result."""

COMMON = frozenset(
    """a an the of in on at to for by with from and or is are was were be been it its this that which what who how
    why when do does did can could i we you my our there has have had much many as per than into about any all
    some often not no find show give get list me""".split()  # noqa: SIM905 - a text is read more easily
)
"""Stop words."""


@dataclass(frozen=True)
class FoundField:
    """A field of a type, or a root field, whose ``type`` is ``Query``.

    ``kind`` is its GraphQL type without non-null marks; ``leads_to`` is the type of the rows that it returns, if any;
    ``score`` is its relevance, greater than 0 in results.
    """

    type: str
    name: str
    kind: str
    description: str
    unit: str | None = None
    values: tuple[str, ...] = ()
    root: str | None = None
    """The root field that lists the rows of the type."""
    through: str = ""
    """The field of those rows that has the type, if it is a part of a row."""
    leads_to: str | None = None
    score: float = 0.0

    @property
    def place(self) -> str:
        """Type and name, such as ``Model.auc``."""
        return f"{self.type}.{self.name}"


@dataclass(frozen=True)
class _FieldEntry:
    field: FoundField
    weights: Mapping[str, float]
    gives: frozenset[AnswerKind] = frozenset()
    """The kinds of answers that its values give."""


class FieldFinder:
    """An inverted index of the fields of a catalogue."""

    def __init__(self, catalogue: Catalogue, others: Iterable[FoundField] = (), *, own: bool = True) -> None:
        """``others`` are further root fields, such as questions, lineage, search or mutations.

        ``own``: whether the fields of the catalogue are indexed as well.
        """
        self._roots = {root.target: root.name for root in catalogue.roots.values() if root.many and not root.nearest}
        self._entries: list[_FieldEntry] = []
        if own:
            self._entries += [entry for type_ in catalogue for entry in self._of(catalogue, type_)]
            self._entries += [self._of_root(catalogue, root) for root in catalogue.roots.values() if root.many]
        self._entries += [self._of_other(catalogue, one) for one in others]
        self._postings: dict[str, list[int]] = defaultdict(list)
        for place, entry in enumerate(self._entries):
            for word in entry.weights:
                self._postings[word].append(place)
        self._by_beginning: dict[str, list[str]] = defaultdict(list)
        for word in self._postings:
            self._by_beginning[word[:BEGINNING]].append(word)
        self._kept = lru_cache(maxsize=500)(self._find)

    def find(self, text: str, type_: str | None = None, limit: int = FEW) -> tuple[FoundField, ...]:
        """The fields that match a text, the best first, at most ``limit``; of one type only if ``type_`` is given."""
        return self._kept(text[:LONGEST], type_, limit)

    def root(self, type_: str) -> str | None:
        """The root field that lists the rows of a type."""
        return self._roots.get(type_)

    def _find(self, text: str, type_: str | None, limit: int) -> tuple[FoundField, ...]:
        asked = [word for word in words(text) if word not in COMMON] or list(words(text))
        asked += self._joined(asked)
        scores: Counter[int] = Counter()
        covered: Counter[int] = Counter()
        for word in dict.fromkeys(asked):
            found: dict[int, float] = {}
            said: dict[int, float] = {}
            for form, worth in self._forms(word):
                places = self._postings.get(form, ())
                rare = math.log(1 + len(self._entries) / (1 + len(places)))
                for place in places:
                    weight = self._entries[place].weights[form]
                    found[place] = max(found.get(place, 0.0), worth * rare * weight / (weight + SATURATION))
                    said[place] = max(said.get(place, 0.0), worth)
            scores.update(found)
            covered.update(said)
        answers = asked_for(text)
        ranked = []
        for place, score in scores.items():
            entry = self._entries[place]
            if type_ is None or entry.field.type == type_:
                fitting = FITTING if entry.gives & answers else 1.0
                ranked.append((score * fitting * (1 + covered[place] / len(asked)), entry.field))
        ranked.sort(key=lambda one: (-one[0], one[1].place))
        different = _different((field, score) for score, field in ranked)
        return tuple(_scored(field, score) for field, score in islice(different, limit))

    def _forms(self, word: str) -> Sequence[tuple[str, float]]:
        """The stems to look up for a word, with their factors: its own, and those of its synonyms.

        If no field has any of them: the most similar words of the index.
        """
        forms = _forms(word)
        if any(form in self._postings for form, _ in forms):
            return forms
        own = stem(word)
        near = (
            (SequenceMatcher(None, own, other).ratio(), other) for other in self._by_beginning.get(own[:BEGINNING], ())
        )
        return [(other, MISSPELT * likeness) for likeness, other in nlargest(SPELLINGS, near) if likeness >= LIKE]

    def _joined(self, asked: Sequence[str]) -> list[str]:
        """Indexed compounds of two adjacent words, in either order: ``fallback``, ``lookback``."""
        pairs = [pair for one, other in pairwise(asked) for pair in (f"{one}{other}", f"{other}{one}")]
        return [pair for pair in pairs if stem(pair) in self._postings]

    def _of(self, catalogue: Catalogue, type_: Type) -> Iterator[_FieldEntry]:
        for leaf in type_.columns.values():
            if leaf.is_own:
                yield self._of_leaf(type_, type_.name, leaf)
        for made in type_.objects.values():
            for leaf in made.leaves.values():
                yield self._of_leaf(type_, made.type_name, leaf, made.name)
            field = FoundField(
                type_.name, made.name, made.type_name, made.description, root=self._roots.get(type_.name)
            )
            yield _FieldEntry(field, self._weights(type_, made.name, (), made.description))
        for relation in type_.relations.values():
            kind = f"{relation.target}Connection" if relation.many else relation.target
            field = FoundField(
                type_.name, relation.name, kind, relation.description,
                root=self._roots.get(type_.name), leads_to=relation.target,
            )  # fmt: skip
            aliases = catalogue[relation.target].aliases
            weights = self._weights(type_, relation.name, relation.aliases, relation.description)
            yield _FieldEntry(field, _added(weights, aliases, OWNER_ALIAS))

    def _of_leaf(self, type_: Type, owner: str, leaf: ColumnField, through: str = "") -> _FieldEntry:
        facts, kind = leaf.facts, leaf.kind
        values = facts.values or (tuple(member.value for member in kind.labels) if kind.labels else ())
        named = kind.labels.__name__ if kind.labels else kind.graphql
        field = FoundField(
            owner, leaf.name, f"[{named}]" if kind.is_list else named, leaf.description,
            facts.unit.value if facts.unit else None, tuple(values), self._roots.get(type_.name), through,
        )  # fmt: skip
        weights = self._weights(type_, leaf.name, facts.aliases, leaf.description)
        _add(weights, phrasing(owner, leaf.name), SAID)
        if facts.unit:
            _add(weights, facts.unit.doc, 0.5)
        gives = given_by(leaf.name, leaf.kind.graphql, field.unit)
        return _FieldEntry(field, _added(weights, values, VALUE), gives)

    def _weights(self, type_: Type, name: str, aliases: Iterable[str], description: str) -> dict[str, float]:
        weights: dict[str, float] = {}
        _add(weights, name, NAME)
        _added(weights, aliases, ALIAS)
        _add(weights, type_.name, OWNER)
        _added(weights, type_.aliases, OWNER_ALIAS)
        _add(weights, description, TEXT)
        return weights

    def _of_other(self, catalogue: Catalogue, one: FoundField) -> _FieldEntry:
        weights = _weighed((one.name, NAME), (one.description, TEXT))
        aliases = catalogue[one.leads_to].aliases if one.leads_to else ()
        return _FieldEntry(one, _added(weights, aliases, OWNER_ALIAS))

    def _of_root(self, catalogue: Catalogue, root: Root) -> _FieldEntry:
        target = catalogue[root.target]
        field = FoundField("Query", root.name, f"{target.name}Connection", root.description, leads_to=target.name)
        weights = _weighed((root.name, NAME), (root.description, TEXT))
        return _FieldEntry(field, _added(weights, target.aliases, ALIAS))


def _different(found: Iterable[tuple[FoundField, float]]) -> Iterator[tuple[FoundField, float]]:
    """Ranked fields without duplicates: foreign keys of relations ranked before, and names beyond `ALIKE` types."""
    seen: Counter[str] = Counter()
    for field, score in found:
        relation = f"{field.type}.{field.name.removesuffix('Id')}"
        if seen[field.name] < ALIKE and (relation == field.place or not seen[relation]):
            seen.update((field.name, field.place))
            yield field, score


def _add(weights: dict[str, float], text: str, worth: float) -> None:
    """Sets the weight of each word of a text, unless it has a greater one already."""
    for word in words(text):
        if word not in COMMON:
            form = stem(word)
            weights[form] = max(weights.get(form, 0.0), worth)


def _weighed(*texts: tuple[str, float]) -> dict[str, float]:
    weights: dict[str, float] = {}
    for text, worth in texts:
        _add(weights, text, worth)
    return weights


def _added(weights: dict[str, float], texts: Iterable[str], worth: float) -> dict[str, float]:
    for text in texts:
        _add(weights, text, worth)
    return weights


@lru_cache(maxsize=5_000)
def _forms(word: str) -> tuple[tuple[str, float], ...]:
    """The stems to look up for a word, with their factors: its own, and those of its synonyms."""
    lines = GROUPS.split("\n")
    others = {stem(other) for place in BY_WORD.get(word, ()) for other in lines[place].split()}
    own = stem(word)
    return ((own, 1.0), *((other, SYNONYM) for other in sorted(others - {own})))


def _scored(field: FoundField, score: float) -> FoundField:
    return FoundField(**{**vars(field), "score": round(score, 3)})

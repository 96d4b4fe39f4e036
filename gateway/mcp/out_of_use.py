"""Warnings about rows out of use in lists (superseded, deactivated, deleted), and about states that have lapsed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from db.base.lifecycles import lifecycles
from db.base.recording import recordables
from gateway.mcp.reading import Place
from schema.catalogue.catalogue import Catalogue, Type

STATE = "state"
_NAME = re.compile(r"\w+")


@dataclass(frozen=True)
class _Retirable:
    """A type whose rows can be out of use.

    ``marker`` is the field that says so, ``where`` the filter for rows in use, ``parts`` are the types whose rows are
    parts of such a row, each with the relation that leads to it.
    """

    name: str
    marker: str
    where: str
    parts: tuple[tuple[str, str], ...]


class OutOfUse:
    """Knows the types whose rows can be out of use, and those whose states lapse."""

    def __init__(self, catalogue: Catalogue) -> None:
        declared = [(catalogue[one.__name__], how) for one, how in recordables()]
        parts = [(type_, how.part_of) for type_, how in declared if how.part_of]
        self._retirable = [_retirable(type_, next(iter(how.retired)), parts) for type_, how in declared if how.retired]
        self._lapsing = [
            (catalogue[one.entity], catalogue[one.entity].field_name(one.column), lapse)
            for one in lifecycles()
            for lapse in one.lapses
        ]

    def hints(self, document: str, root: Place) -> Iterator[str]:
        """Warnings about the lists of a query that may contain rows out of use, or at its root parts of such rows,
        unless it mentions the field that says so; and about stored states that may have lapsed.
        """
        roots = {one.type.name for places in root.below.values() for one in places}
        listed = set(_types(root))
        for one in self._retirable:
            if one.marker in document:
                continue
            if f"{one.name}Connection" in listed:
                yield f"{one.name} rows out of use count too: where: {one.where} leaves them out."
                continue
            for part, relation in one.parts:
                if f"{part}Connection" in roots:
                    where = f"{{{relation}: {one.where}}}"
                    yield f"{part} rows of a {one.name} out of use count too: where: {where} leaves them out."
        names = set(_NAME.findall(document))
        for type_, stored, lapse in self._lapsing:
            ends = {STATE, *map(type_.field_name, lapse.columns)}
            if stored in names and not names & ends and listed & {type_.name, f"{type_.name}Connection"}:
                yield f"{type_.name}: {lapse.doc} Select {STATE}."


def _types(place: Place) -> Iterator[str]:
    yield place.type.name
    for places in place.below.values():
        for one in places:
            yield from _types(one)


def _retirable(type_: Type, column: str, parts: list[tuple[Type, str]]) -> _Retirable:
    marker = type_.field_name(column)
    in_use = "{eq: true}" if type_.columns[marker].kind.graphql == "Boolean" else "{isNull: true}"
    having = (
        (part.name, relation.name)
        for part, key in parts
        for relation in part.relations.values()
        if relation.target == type_.name and relation.join.local_columns == (key,)
    )
    return _Retirable(type_.name, marker, f"{{{marker}: {in_use}}}", tuple(having))

"""Scopes: those that types, columns and mutations need, and what a caller without them may not read.

A scope for reading each group (`read:model_monitoring`), one for data of single patients (`patient`), and those for
changes: `preview` (dry runs), `change`, `review` and `force`; for recording rows of each group
(`write:model_monitoring`), and for purging old ones (`purge:model_monitoring`). The models declare the groups.
`webhooks` is for managing receivers of webhooks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from db.base.lifecycles import MAY_CHANGE, MAY_REVIEW, lifecycles
from db.base.markers import Group
from db.base.recording import recordables
from db.base.vocabulary import PATIENT, RowClass, derived, entities
from schema.catalogue.catalogue import Type
from schema.catalogue.from_models import catalogue
from schema.catalogue.records import Missing
from schema.errors import Withheld

READ, PREVIEW, FORCE, WRITE, PURGE = "read", "preview", "force", "write", "purge"
WEBHOOKS = "webhooks"
"""The scope for managing and listing receivers of webhooks."""


def reading(group: Group) -> str:
    """The scope for reading a group."""
    return f"{READ}:{group}"


def writing(group: Group) -> str:
    """The scope for recording rows of a group."""
    return f"{WRITE}:{group}"


def purging(group: Group) -> str:
    """The scope for purging old rows of a group."""
    return f"{PURGE}:{group}"


@cache
def purge_scopes() -> frozenset[str]:
    """Every scope for purging: of the groups with rows that may be purged."""
    kept = [one.__group__ for one, how in recordables() if how.retention is not None]
    return frozenset(purging(group) for group in kept if group is not None)


@cache
def write_scopes() -> frozenset[str]:
    """Every scope for recording, without those of columns."""
    return frozenset(writing(group) for group in Group)


@cache
def read_scopes() -> frozenset[str]:
    """Every scope for reading."""
    return frozenset({*(reading(group) for group in Group), PATIENT})


@cache
def all_scopes() -> frozenset[str]:
    """Every scope: those of a machine's owner."""
    return read_scopes() | write_scopes() | purge_scopes() | {PREVIEW, MAY_CHANGE, MAY_REVIEW, FORCE, WEBHOOKS}


def expanded(scopes: Iterable[str]) -> frozenset[str]:
    """Scopes in full: ``read``, ``write`` and ``purge`` alone stand for every group."""
    found = set(scopes)
    if WRITE in found:
        found.remove(WRITE)
        found |= write_scopes()
    if PURGE in found:
        found.remove(PURGE)
        found |= purge_scopes()
    if READ in found:
        found.remove(READ)
        found |= read_scopes() - {PATIENT}
    return frozenset(found)


def shown_scopes() -> list[str]:
    """Every scope, in its public order."""
    writes = [WRITE, *(writing(group) for group in Group)]
    purges = [PURGE, *(purging(group) for group in Group if purging(group) in purge_scopes())]
    return [
        READ,
        *(reading(group) for group in Group),
        PATIENT,
        PREVIEW,
        MAY_CHANGE,
        MAY_REVIEW,
        FORCE,
        WEBHOOKS,
        *writes,
        *purges,
    ]


# -- what reading needs ------------------------------------------------------------------------------------------------


@cache
def scopes_of(name: str) -> tuple[str, ...]:
    """The scopes for reading rows of a type: its group's, its own, and those of all that its SELECT reads."""
    classes: dict[str, RowClass] = {**entities(), **derived()}
    entity = classes[name]
    found = dict.fromkeys([reading(entity.__group__)] if entity.__group__ else [])
    found |= dict.fromkeys([entity.__scope__] if entity.__scope__ else [])
    for read in getattr(entity, "__reads__", ()):
        found |= dict.fromkeys(scopes_of(read))
    return tuple(found)


def column_scope(type_: Type, column: str) -> str | None:
    """The scope for reading a column, beyond its table's; None if there is none."""
    scope: str | None = type_.table.c[column].info.get("scope")
    return scope


def withholding(lacks: Missing, scopes: frozenset[str]) -> Missing:
    """What a caller with these scopes cannot read, in a database that itself lacks ``lacks``."""
    if scopes >= read_scopes():
        return lacks
    withheld: dict[str, Withheld] = {}
    columns: set[tuple[str, str]] = set()
    for type_ in catalogue():
        needed = next((scope for scope in scopes_of(type_.name) if scope not in scopes), None)
        if needed:
            withheld[type_.table.fullname] = Withheld(type_.table.fullname, needed)
        for column in type_.table.columns:
            own = column_scope(type_, column.name)
            scope = needed or (own if own not in scopes else None)
            if scope:
                columns.add((type_.sql_name, column.name))
                withheld[f"{type_.sql_name}.{column.name}"] = Withheld(f"{type_.sql_name}.{column.name}", scope)
    tables = frozenset(type_.table.fullname for type_ in catalogue() if type_.table.fullname in withheld)
    found = replace(
        lacks, tables=lacks.tables | tables, columns=lacks.columns | columns, withheld=withheld, database=lacks
    )
    unrecorded = {
        type_.name: what
        for type_ in catalogue()
        if type_.is_node and (what := found.withholds(written(type_.name)) or found.withholds([type_.sql_name]))
    }
    return replace(found, unrecorded=unrecorded)


# -- what changes write ------------------------------------------------------------------------------------------------


@cache
def written(name: str) -> frozenset[str]:
    """The columns of a type that its lifecycles write, as ``table.column``: what is recorded of them, or could be."""
    found: set[str] = set()
    for lifecycle in lifecycles():
        if lifecycle.entity == name:
            given = [column for change in lifecycle.changes for column, one in change.given.items() if one.stored]
            steps = (*lifecycle.entering.values(), *lifecycle.leaving.values())
            found |= {lifecycle.column, *given, *(column for step in steps for column in step.stamps)}
    return frozenset(f"{catalogue()[name].sql_name}.{column}" for column in found)

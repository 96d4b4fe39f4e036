"""Classes of rows: tables, views and SELECTs of the gateway, with their declarations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import MetaData, Table
from sqlalchemy.orm import DeclarativeBase

from db.base.computed import Argument, Computed, ComputedObject, ReadWindow
from db.base.markers import Group, LiveTopic, Recordable
from db.base.reached import InOrder, Kept, Over, Rare
from db.base.relation import Relation
from db.base.rollups import GroupsSelect, Rollup

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

OWN_SCHEMA = "gateway"
"""The gateway's own Postgres schema; all others belong to the platform."""


SERVES = "serves"
"""The key in the ``info`` of an index for the statements that read many more rows without it."""


class RowOptions:
    """The options of a class of rows, beside its columns, relations and SQL fields.

    ``__order__`` is the column of the default order (newest or greatest first unless ``__ascending__``), None for the
    key alone. ``__plural__`` is needed for irregular plurals. ``__lookups__`` are further unique keys: argument ->
    column. ``__label__`` are the columns whose values together name a row, by default the first of ``__search__``.
    ``__search__`` are the columns by which `search` finds a row, its name first; ``__references__`` are those compared
    by equality, in tables too large to scan: each leads an index. ``__filtered__`` are columns, beside those of
    relations, that lists are often filtered by, alone or together: each has an index in the default order.
    ``__group__`` is the group of the data dictionary whose scope reading needs, None for the gateway's own tables;
    ``__scope__`` is a further scope. ``__topic__`` is the live log's topic for its rows. ``__aliases__`` is what people
    call such a row, in the singular. ``__record__`` declares how its rows are recorded through the gateway, None if
    they are not. ``__rollup__`` declares which sums of its rows can be kept, ``__kept__`` that a view's rows can.
    """

    __order__: ClassVar[str | None] = None
    __ascending__: ClassVar[bool] = False
    __plural__: ClassVar[str | None] = None
    __is_view__: ClassVar[bool] = False
    __lookups__: ClassVar[Sequence[Mapping[str, str]]] = ()
    __label__: ClassVar[Sequence[str]] = ()
    __search__: ClassVar[Sequence[str]] = ()
    __references__: ClassVar[Sequence[str]] = ()
    __filtered__: ClassVar[Sequence[str | tuple[str, ...]]] = ()
    __group__: ClassVar[Group | None] = None
    __topic__: ClassVar[LiveTopic | None] = None
    __scope__: ClassVar[str | None] = None
    __aliases__: ClassVar[Sequence[str]] = ()
    __record__: ClassVar[Recordable | None] = None
    __over__: ClassVar[Over | None] = None
    __rare__: ClassVar[Sequence[Rare]] = ()
    __walk__: ClassVar[InOrder | None] = None
    __rollup__: ClassVar[Rollup | None] = None
    __kept__: ClassVar[Kept | None] = None


class Entity(RowOptions, DeclarativeBase):
    """A table of the platform, and a type of the graph of the same name."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.__dict__.get("__abstract__"):
            _entities[cls.__name__] = cls


_entities: dict[str, type[Entity]] = {}


class View(Entity):
    """A view of the platform: its primary key is declared, and not enforced by a constraint.

    ``__reads__`` are the entities that it reads, ``__window__`` their rows, where its definition bounds them by time.
    """

    __abstract__ = True
    __is_view__ = True
    __reads__: ClassVar[Sequence[str]] = ()
    __window__: ClassVar[ReadWindow | None] = None


class Derived(RowOptions, DeclarativeBase):
    """A type of the graph without a table or view: its rows are those of a SELECT of the gateway's own.

    ``__select__`` has its columns by name. ``__arguments__`` are placeholders in it (``{days}``), which every field of
    the type takes as arguments; ids cannot contain them, so that such rows are not nodes. ``__reads__`` are the
    entities that it reads. ``__single__``: the SELECT has one row, and so has the root. ``__rolled_up__`` is read in
    place of ``__select__`` where the rollup is kept, unless the argument ``exact`` is true. ``__window__`` are the rows
    that it reads.
    """

    metadata = MetaData()
    __is_view__ = True
    __select__: ClassVar[str]
    __arguments__: ClassVar[Mapping[str, Argument]] = {}
    __reads__: ClassVar[Sequence[str]] = ()
    __single__: ClassVar[bool] = False
    __rolled_up__: ClassVar[GroupsSelect | None] = None
    __window__: ClassVar[ReadWindow | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        cls.__tablename__ = cls.__name__
        super().__init_subclass__(**kwargs)
        _derived[cls.__name__] = cls


_derived: dict[str, type[Derived]] = {}

RowClass = type[Entity] | type[Derived]


@dataclass(frozen=True)
class Nearest:
    """A root that lists an entity's rows by the similarity of their vectors to a given one, nearest first.

    ``root`` is its name, ``vector`` the column, ``like`` the argument for a row whose vector to compare with, and
    ``filters`` are flags: ``{argument: (predicate over {row}, description)}``.
    """

    root: str
    vector: str
    like: str
    doc: str
    filters: Mapping[str, tuple[str, str]]
    texts: tuple[str, ...]
    """SQL over {row} of the texts that the vector may have been made of; comparison shows which one was."""


def camel(name: str) -> str:
    """``p99_latency_ms`` -> ``p99LatencyMs``."""
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def plural(entity: RowClass) -> str:
    """The plural of an entity's name in camelCase: ``Model`` -> ``models``, ``ShapAnalysis`` -> ``shapAnalyses``."""
    name = entity.__name__[0].lower() + entity.__name__[1:]
    if entity.__plural__:
        return entity.__plural__
    if name.endswith("sis"):
        return name[:-2] + "es"
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    if name.endswith(("s", "x", "ch", "sh")):
        return name + "es"
    return name + "s"


def relations(entity: RowClass) -> dict[str, Relation]:
    """The relations that a model declares, by name, in order."""
    return {name: value for name, value in vars(entity).items() if isinstance(value, Relation)}


def computed_fields(entity: RowClass) -> dict[str, Computed]:
    """The SQL fields that a model declares, by name, in order."""
    return {name: value for name, value in vars(entity).items() if isinstance(value, Computed)}


def computed_objects(entity: RowClass) -> dict[str, ComputedObject]:
    """The SQL objects that a model declares, by name, in order."""
    return {name: value for name, value in vars(entity).items() if isinstance(value, ComputedObject)}


def entities() -> dict[str, type[Entity]]:
    """All mapped tables and views by type name, in order of declaration."""
    return dict(_entities)


def derived() -> dict[str, type[Derived]]:
    """All types that are SELECTs, by type name, in order of declaration."""
    return dict(_derived)


def nearest(entity: RowClass) -> list[Nearest]:
    """The similarity searches that a model declares."""
    return [value for value in vars(entity).values() if isinstance(value, Nearest)]


def key_columns(entity: RowClass) -> list[str]:
    """The names of the key columns, in order."""
    return [column.name for column in table_of(entity).primary_key.columns]


def table_of(entity: RowClass) -> Table:
    """The table (or view) behind an entity."""
    table = entity.__table__
    assert isinstance(table, Table)  # noqa: S101 - entities map one table, never a join
    return table


def is_own(table: Table) -> bool:
    """Whether a table is the gateway's own, not the platform's."""
    return table.schema == OWN_SCHEMA

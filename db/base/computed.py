"""Fields that are SQL over a row, alone or as an object, and their arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from sqlalchemy.types import TypeEngine

from db.base.column_facts import NO_FACTS, ColumnFacts, Holds, Unit, column_facts


@dataclass(frozen=True)
class Computed:
    """A field that is a SQL expression over the row with the alias ``{row}``, of the given ``type``."""

    sql: str
    type: TypeEngine[Any]
    doc: str
    columns: Sequence[str]
    facts: ColumnFacts = NO_FACTS


def computed(
    sql: str,
    type_: TypeEngine[Any],
    doc: str,
    *,
    columns: Sequence[str],
    unit: Unit | None = None,
    holds: Holds | None = None,
    values: Sequence[str] = (),
    aliases: Sequence[str] = (),
) -> Computed:
    """A SQL field; ``columns`` are the columns it reads: if one is missing, the field is an error that names it.

    The other parameters are its facts, as for `column`.
    """
    return Computed(sql, type_, doc, columns, column_facts(unit, holds, values, aliases))


@dataclass(frozen=True)
class Argument:
    """An argument of SQL: a placeholder in its text, NULL if it is omitted and has no ``default``.

    ``least`` and ``most`` bound a number. ``of`` names the type whose id it takes, global or bare. ``in_sql`` is False
    for one without a placeholder: it says which of two statements is read.
    """

    type: TypeEngine[Any]
    doc: str
    _: KW_ONLY
    required: bool = False
    default: int | float | bool | None = None
    least: float | None = None
    most: float | None = None
    of: str | None = None
    in_sql: bool = True


@dataclass(frozen=True)
class ReadWindow:
    """The rows of the entity ``of`` that a SELECT reads: with a time, in ``column``, in the period that ends with the
    argument ``until``, or now, and has the length of the argument ``length``, in units of so many ``seconds``; of one
    such unit if there is no such argument."""

    of: str
    column: str
    length: str | None
    seconds: int
    until: str = "until"


@dataclass(frozen=True)
class ComputedObject:
    """A field that is an object of SQL expressions over the row ``{row}``, all from one ``source``.

    ``source`` follows the select list (``FROM ... WHERE ...``); empty if the row itself suffices. Arguments are
    placeholders in it and in the expressions: ``{since}``.
    """

    doc: str
    fields: Mapping[str, Computed]
    source: str
    columns: Sequence[str]
    arguments: Mapping[str, Argument]
    sums_up: str | None


ObjectPart = tuple[str, TypeEngine[Any], str] | tuple[str, TypeEngine[Any], str, Unit]


def computed_object(
    doc: str,
    fields: Mapping[str, ObjectPart],
    *,
    columns: Sequence[str],
    source: str = "",
    arguments: Mapping[str, Argument] | None = None,
    sums_up: str | None = None,
) -> ComputedObject:
    """An object of SQL fields, ``{name: (sql, type, description)}``; ``columns`` are the columns of the row that it
    reads.

    Numbers have their unit as a fourth item. ``sums_up`` names the entity whose rows the source aggregates, which
    determines its cost: the fields read its columns as ``m.column``, the source as ``s.column``.
    """
    made = {name: Computed(*part[:3], (), ColumnFacts(*part[3:])) for name, part in fields.items()}
    return ComputedObject(doc, made, source, columns, arguments or {}, sums_up)

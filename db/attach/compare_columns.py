"""Differences of columns: missing, of another type, generated, or required."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, cast

from sqlalchemy import Column, Enum, Integer, Table
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.types import ARRAY, TypeEngine

from db.attach.catalog import FoundColumn, FoundTable
from db.attach.differences import Difference, Severity, failing
from db.attach.fields import by_column, field_of
from db.base.vocabulary import Entity, Labels, plural, table_of
from db.store.grants import rights

_DIALECT = PGDialect()  # type: ignore[no-untyped-call] # SQLAlchemy leaves its constructor untyped


def type_text(type_: TypeEngine[object]) -> str:
    """A column's type as Postgres formats it: ``character varying(255)``, ``numeric(5,4)``."""
    written = type_.compile(dialect=_DIALECT).lower().replace(", ", ",")
    return re.sub(r"^varchar", "character varying", written)


_FAMILIES = {
    "character varying": "text", "character": "text", "text": "text", "smallint": "number", "integer": "number",
    "bigint": "number", "numeric": "number", "real": "number", "double precision": "number",
    "timestamp with time zone": "time", "timestamp without time zone": "time",
}  # fmt: skip


@cache
def family(type_: str) -> str:
    """Types whose values are compared with each other: ``text``, ``number``, ``time``; others are their own."""
    if type_.startswith("vector"):
        return type_  # vectors of different lengths cannot be compared
    array = "[]" if type_.endswith("[]") else ""
    bare = _bare(type_)
    return _FAMILIES.get(bare, bare) + array


def _bare(type_: str) -> str:
    return re.sub(r"\([\d,]*\)", "", type_).removesuffix("[]")


def unreadable(column: Column[Any], found: FoundColumn) -> bool:
    """Whether a column cannot be read as the type of its field, because its own type is unrelated.

    Texts, labels and UUIDs convert to each other, all times to moments, integers to all numbers.
    """
    wanted, there = type_text(column.type), found.type
    if wanted == there or ("vector" in wanted and "vector" in there):
        return False
    if wanted.endswith("[]") != there.endswith("[]"):
        return True
    is_enum = labels_of(column.type) is not None
    wanted, there = family(wanted).removesuffix("[]"), family(there).removesuffix("[]")
    wanted, there = "text" if is_enum else wanted, "text" if found.is_enum else there
    if wanted == "number":
        whole = isinstance(column.type, Integer)
        return there != "number" or (whole and _bare(found.type) not in _WHOLE)
    return there not in {wanted, *_READS_AS.get(wanted, ())}


_WHOLE = {"smallint", "integer", "bigint"}

_READS_AS = {"text": {"uuid", "citext"}, "uuid": {"text"}, "time": {"date"}, "jsonb": {"json"}}


def labels_of(type_: TypeEngine[object]) -> type[Labels] | None:
    inner = type_.item_type if isinstance(type_, ARRAY) else type_
    return cast("type[Labels]", inner.enum_class) if isinstance(inner, Enum) else None


def columns_of(entity: type[Entity], there: FoundTable, role: str) -> Iterator[Difference]:
    table = table_of(entity)
    for column in table.columns:
        name = f"{table.fullname}.{column.name}"
        has = there.columns.get(column.name)
        if has is None:
            fields = by_column()[table.fullname, column.name]
            order = f"; {plural(entity)} has no order by time" if column.name == entity.__order__ else ""
            yield Difference(
                Severity.BREAKS,
                "missing column",
                name,
                f"the column {name} is missing: {failing(fields)}{order}",
            )
            continue
        wanted, found = type_text(column.type), has.type
        if found.endswith(f".{wanted}") and wanted.startswith("vector"):
            schema = found.removesuffix(f".{wanted}")
            granted = f"GRANT USAGE ON SCHEMA {schema} TO {role}"
            yield Difference(
                Severity.BREAKS, "pgvector not found", name,
                f"{name} is a vector of the schema {schema}, where {role} does not find it: similarity search by "
                f"{field_of(entity, column.name)} answers with an error",
                granted if schema == "extensions" else "ALTER EXTENSION vector SET SCHEMA extensions",
            )  # fmt: skip
        elif (wanted, family(found)) in {("uuid", "text"), ("uuid[]", "text[]")}:
            yield Difference(
                Severity.COSTS, "UUID as text", name,
                f"{name} is {found}, not {wanted}: it is compared as {wanted}, which indexes of the text do not "
                f"serve; a text that is no UUID is shown as it is and equals no id",
                "" if wanted.endswith("[]") else f"CREATE INDEX ON {table.fullname} (({column.name}::uuid))",
            )  # fmt: skip
        elif wanted != found:
            if lost := unreadable(column, has):
                follows = failing(by_column()[table.fullname, column.name])
            elif same_family := family(wanted) == family(found):
                follows = f"{field_of(entity, column.name)} shows what is there"
            else:
                follows = f"{field_of(entity, column.name)}, filters on it and lookups by it may answer with an error"
            yield Difference(
                Severity.INFORMS if not lost and same_family else Severity.BREAKS, "other type", name,
                f"{name} is {found}, not {wanted}: {follows}",
            )  # fmt: skip
        if has.not_null == column.nullable:
            yield Difference(
                Severity.INFORMS, "other nullability", name,
                f"{name} {'refuses' if has.not_null else 'allows'} null, unlike the model: nothing in the graph "
                f"depends on it",
            )  # fmt: skip


def unfilled(entity: type[Entity], there: FoundTable) -> Iterator[Difference]:
    """Required columns unknown to the models, in tables that changes insert into."""
    table = table_of(entity)
    if "INSERT" not in rights()[table.fullname]:
        return
    for column, has in there.columns.items():
        if column not in table.columns and has.not_null and not has.fills_itself:
            yield Difference(
                Severity.BREAKS, "unfilled column", f"{table.fullname}.{column}",
                f"{table.fullname}.{column} refuses null, has no default and is unknown to the graph: no "
                f"{entity.__name__} can be recorded, and changes that add rows to {table.fullname} are refused",
            )  # fmt: skip


def computed(table: Table, there: FoundTable) -> Iterator[str]:
    """Columns that are generated in the database and not in the models."""
    for column, has in there.columns.items():
        known = table.columns.get(column)
        if has.computed and known is not None and known.computed is None and known.identity is None:
            yield column


def computed_by_the_database(table: Table, there: FoundTable) -> Iterator[Difference]:
    if any(right in rights()[table.fullname] for right in ("INSERT", "UPDATE")):
        for column in computed(table, there):
            yield Difference(
                Severity.INFORMS, "computed column", f"{table.fullname}.{column}",
                f"{table.fullname}.{column} is computed by the database: changes leave it to that, and are refused "
                f"where they are given another value for it",
            )  # fmt: skip

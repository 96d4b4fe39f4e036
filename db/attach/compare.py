"""The differences between the models and a database, each in words that say what it costs."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum as PythonEnum
from typing import Any, cast

from sqlalchemy import CheckConstraint, Column, Enum, ForeignKeyConstraint, Index, Integer, Table, UniqueConstraint
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.schema import CreateIndex
from sqlalchemy.types import ARRAY, TypeEngine

from db.attach import triggers as attach_triggers
from db.attach.catalog import DatabaseCatalog, FoundColumn, FoundTable
from db.attach.fields import by_column, field_of, of_table
from db.base.system_catalog import enum_name
from db.base.vocabulary import Entity, Labels, entities, enum_types, is_own, key_columns, plural, table_of
from db.models.gateway import SERVICE_TOKENS, TRUSTED_DOCUMENTS
from db.store.grants import rights

_DIALECT = PGDialect()  # type: ignore[no-untyped-call] # SQLAlchemy leaves its constructor untyped


class Severity(PythonEnum):
    """What a difference means to those who ask the graph; the value is the heading of its group."""

    BREAKS = "Fields that answer with an error"
    COSTS = "What costs speed or certainty"
    INFORMS = "Only to know"


@dataclass(frozen=True)
class Difference:
    """One thing that the database has otherwise: what kind of thing, which one, what follows, and what would help."""

    severity: Severity
    kind: str
    object: str
    message: str
    remedy: str = ""
    """SQL that the owner of the tables may run, or nothing."""


FUNCTIONS = {"get_validation_gate": 1, "is_dag_approved": 2, "can_use_estimate": 2}
"""The functions that the dictionary names, with the number of their arguments. No answer rests on them."""

_FAMILIES = {
    "character varying": "text", "character": "text", "text": "text", "smallint": "number", "integer": "number",
    "bigint": "number", "numeric": "number", "real": "number", "double precision": "number",
    "timestamp with time zone": "time", "timestamp without time zone": "time",
}  # fmt: skip


def differences(found: DatabaseCatalog) -> Iterator[Difference]:
    """Everything that is different, in the order of the models."""
    if not found.tables:
        yield Difference(
            Severity.BREAKS, "empty database", "",
            "the database has none of the platform's tables: every field answers with an error; "
            "`e2i-gateway db migrate` builds them in an empty database",
        )  # fmt: skip
        return
    for entity in entities().values():
        table = table_of(entity)
        there = found.tables.get(table.fullname)
        if is_own(table) or entity.__is_view__:
            continue
        if there is None:
            yield _missing_table(entity)
        elif not there.readable:
            yield Difference(
                Severity.BREAKS, "not readable", table.fullname,
                f"{found.role} may not read {table.fullname}: {_fields(of_table(table.fullname))}",
                f"GRANT SELECT ON {table.fullname} TO {found.role}",
            )  # fmt: skip
        else:
            yield from _columns(entity, there, found.role)
            yield from _unfilled(table, there)
            yield from _computed(table, there)
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                yield from _special_index(table, index, there)
            yield from _constraints(table, there)
            yield from _triggers(table, there)
    yield from _graded_alike(found)
    for labels in enum_types():
        yield from _enum(labels, found)
    yield from _views(found)
    yield from _functions(found)
    yield from _others(found)


def _fields(names: Sequence[str]) -> str:
    if len(names) > 6:
        names = [*names[:5], f"{len(names) - 5} more fields"]
    joined = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"{joined} answer{'s' if len(names) == 1 else ''} with an error"


def _missing_table(entity: type[Entity]) -> Difference:
    name = table_of(entity).fullname
    return Difference(Severity.BREAKS, "missing table", name, f"the table {name} is missing: {_fields(of_table(name))}")


_OWN_DEFINITION = "the graph answers by a definition of its own"
_AS_TEXT = re.compile(r"max\(\(*[\w.]+\)*::(?:text|character varying)\)")


def _views(found: DatabaseCatalog) -> Iterator[Difference]:
    """Views that the migrations have not made: no answer rests on them, but others may read them."""
    names = [table_of(entity).fullname for entity in entities().values() if entity.__is_view__]
    if missing := [name for name in names if name not in found.tables]:
        yield Difference(
            Severity.INFORMS, "missing view", ", ".join(missing),
            f"there {'are no views' if len(missing) > 1 else 'is no view'} {_joined(missing)}: {_OWN_DEFINITION}",
        )  # fmt: skip
    there = {name: found.tables[name] for name in names if name in found.tables}
    others = [name for name, view in there.items() if view.comment != Entity.metadata.tables[name].comment]
    if others:
        yield Difference(
            Severity.INFORMS, "other view", ", ".join(others),
            f"{_joined(others)} {'are' if len(others) > 1 else 'is'} not of the gateway's making: {_OWN_DEFINITION}, "
            f"and who reads the view itself may find other values",
        )  # fmt: skip
    for name in others:
        if _AS_TEXT.search(there[name].definition):
            yield Difference(
                Severity.INFORMS, "order of text", name,
                f"the view {name} takes the largest label as text, where none is above critical; the graph takes the "
                f"gravest",
            )  # fmt: skip


def type_text(type_: TypeEngine[object]) -> str:
    """A column's type as Postgres itself writes it: ``character varying(255)``, ``numeric(5,4)``."""
    written = type_.compile(dialect=_DIALECT).lower().replace(", ", ",")
    return re.sub(r"^varchar", "character varying", written)


def _family(type_: str) -> str:
    if type_.startswith("vector"):
        return type_  # vectors of different lengths cannot be compared
    array = "[]" if type_.endswith("[]") else ""
    bare = _bare(type_)
    return _FAMILIES.get(bare, bare) + array


def _bare(type_: str) -> str:
    return re.sub(r"\([\d,]*\)", "", type_).removesuffix("[]")


def unreadable(column: Column[Any], found: FoundColumn) -> bool:
    """Whether values of a column cannot be read as what its field gives, since it is of a wholly other type.

    Texts, labels and UUIDs read as each other, times of any kind as moments, whole numbers as any numbers.
    """
    wanted, there = type_text(column.type), found.type
    if wanted == there or ("vector" in wanted and "vector" in there):
        return False
    if wanted.endswith("[]") != there.endswith("[]"):
        return True
    is_enum = _enum_of(column.type) is not None
    wanted, there = _family(wanted).removesuffix("[]"), _family(there).removesuffix("[]")
    wanted, there = "text" if is_enum else wanted, "text" if found.is_enum else there
    if wanted == "number":
        whole = isinstance(column.type, Integer)
        return there != "number" or (whole and _bare(found.type) not in _WHOLE)
    return there not in {wanted, *_READS_AS.get(wanted, ())}


_WHOLE = {"smallint", "integer", "bigint"}
_READS_AS = {"text": {"uuid", "citext"}, "uuid": {"text"}, "time": {"date"}, "jsonb": {"json"}}


def _columns(entity: type[Entity], there: FoundTable, role: str) -> Iterator[Difference]:
    table = table_of(entity)
    for column in table.columns:
        name = f"{table.fullname}.{column.name}"
        has = there.columns.get(column.name)
        if has is None:
            fields = by_column()[table.fullname, column.name]
            order = f"; {plural(entity)} has no order by time" if column.name == entity.__order__ else ""
            yield Difference(
                Severity.BREAKS, "missing column", name, f"the column {name} is missing: {_fields(fields)}{order}"
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
        elif wanted != found:
            if lost := unreadable(column, has):
                follows = _fields(by_column()[table.fullname, column.name])
            elif same_family := _family(wanted) == _family(found):
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


def _unfilled(table: Table, there: FoundTable) -> Iterator[Difference]:
    """Columns that must have a value, of which the gateway knows nothing, in tables that its changes add rows to."""
    if "INSERT" not in rights()[table.fullname]:
        return
    for column, has in there.columns.items():
        if column not in table.columns and has.not_null and not has.fills_itself:
            yield Difference(
                Severity.BREAKS, "unfilled column", f"{table.fullname}.{column}",
                f"{table.fullname}.{column} refuses null, has no default and is unknown to the graph: changes that add "
                f"rows to {table.fullname} are refused, with VALUE_MISSING",
            )  # fmt: skip


def computed(table: Table, there: FoundTable) -> Iterator[str]:
    """The columns that the database computes and the models do not."""
    for column, has in there.columns.items():
        known = table.columns.get(column)
        if has.computed and known is not None and known.computed is None and known.identity is None:
            yield column


def _computed(table: Table, there: FoundTable) -> Iterator[Difference]:
    if any(right in rights()[table.fullname] for right in ("INSERT", "UPDATE")):
        for column in computed(table, there):
            yield Difference(
                Severity.INFORMS, "computed column", f"{table.fullname}.{column}",
                f"{table.fullname}.{column} is computed by the database: changes leave it to that, and are refused "
                f"where they are given another value for it",
            )  # fmt: skip


def _is_unique(there: FoundTable, columns: Sequence[str], *, partial: bool = False) -> bool:
    return any(
        index.unique and (partial or not index.partial) and set(index.columns) == set(columns)
        for index in there.indexes
    )


def unserved_lookup(entity: type[Entity], columns: Sequence[str], fields: Sequence[str]) -> Difference:
    """What Postgres says of a look-up of rows by columns: it reads all rows."""
    name = table_of(entity).fullname
    return Difference(
        Severity.COSTS, "missing index", f"{name} ({', '.join(columns)})",
        f"no index of {name} finds rows by {', '.join(columns)}: the whole table is read for {_joined(fields)}",
        _create_index(entity, columns),
    )  # fmt: skip


MANY = 1_000
"""Rows of one parent that are worth an index of their own order."""


def unserved_order(entity: type[Entity], columns: Sequence[str], fields: Sequence[str], rows: int) -> Difference:
    """What Postgres says of a page in the default order, of the rows that are equal in columns: it sorts them all,
    about so many."""
    name = table_of(entity).fullname
    by = ", ".join([*columns, *([entity.__order__] if entity.__order__ else key_columns(entity))])
    all_rows = f"all rows of one {', '.join(columns)}, about {rows:,}, are" if columns else "the whole table is"
    costs = not columns or rows > MANY
    return Difference(
        Severity.COSTS if costs else Severity.INFORMS, "missing index", f"{name} ({by})",
        f"no index of {name} has rows in the order of {by}: {all_rows} sorted for a page of {_joined(fields)}",
        _create_index(entity, columns) if costs else "",
    )  # fmt: skip


def _sorted_keys(table: Table) -> list[ForeignKeyConstraint]:
    return sorted(table.foreign_key_constraints, key=lambda key: list(key.column_keys))


def _joined(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _create_index(entity: type[Entity], lookup: Sequence[str]) -> str:
    order = [entity.__order__] if entity.__order__ and entity.__order__ not in lookup else []
    terms = [*lookup, *(f"{column} DESC NULLS LAST" for column in order)]
    terms += [f"{column} DESC" for column in key_columns(entity) if column not in {*lookup, *order}]
    name = index_name(table_of(entity), [*lookup, *order])
    return f"CREATE INDEX CONCURRENTLY {name} ON {table_of(entity).fullname} ({', '.join(terms)})"


INDEX_PREFIX = "e2i_gateway_"
"""What the names of all indexes begin with that an owner is told to make; `db detach` knows them by it."""


def index_name(table: Table, columns: Sequence[str]) -> str:
    """The name of an index that the gateway asks for, of at most 63 characters."""
    name = f"{INDEX_PREFIX}{'_'.join([table.name, *columns])}"
    return name if len(name) <= 63 else f"{name[:54]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _special_index(table: Table, index: Index, there: FoundTable) -> Iterator[Difference]:
    """Indexes that are more than lookup and order: of lists and documents, of vectors, of what must be unique."""
    columns = [column.name for column in index.columns]
    method = index.dialect_options["postgresql"]["using"]
    what = f"{table.fullname} ({', '.join(columns)})"
    if not columns or not set(columns) <= there.columns.keys():
        return
    if method:
        methods = {"hnsw", "ivfflat"} if method == "hnsw" else {method}
        if not any(has.method in methods and has.columns == tuple(columns) for has in there.indexes):
            purpose = "similarity search" if method == "hnsw" else "what is looked up by its elements"
            yield Difference(
                Severity.COSTS, "missing index", what,
                f"no {method} index on {what}: the whole table is read for {purpose}",
                re.sub(
                    r"INDEX \w+ ON",
                    f"INDEX CONCURRENTLY {index_name(table, columns)} ON",
                    str(CreateIndex(index).compile(dialect=_DIALECT)),
                ),
            )  # fmt: skip
    elif index.unique and not _is_unique(there, columns, partial=True):
        where = index.dialect_options["postgresql"]["where"]
        yield Difference(
            Severity.COSTS, "missing constraint", what,
            f"nothing keeps {what} unique{f' where {where}' if where is not None else ''}: where one row is expected, "
            f"there may be several",
        )  # fmt: skip


def _constraints(table: Table, there: FoundTable) -> Iterator[Difference]:
    key = [column.name for column in table.primary_key.columns]
    unique = [key, *(list(c.columns.keys()) for c in table.constraints if isinstance(c, UniqueConstraint))]
    for columns in sorted(unique):
        if set(columns) <= there.columns.keys() and not _is_unique(there, columns):
            what = f"{table.fullname} ({', '.join(columns)})"
            yield Difference(
                Severity.COSTS, "missing constraint", what,
                f"nothing keeps {what} unique, and no unique index serves it: where one row is expected there may be "
                f"several, and looking for it reads the whole table",
            )  # fmt: skip
    for foreign in _sorted_keys(table):
        if (
            set(foreign.column_keys) <= there.columns.keys()
            and frozenset(foreign.column_keys) not in there.foreign_keys
        ):
            what = f"{table.fullname} ({', '.join(foreign.column_keys)})"
            yield Difference(
                Severity.INFORMS, "missing constraint", what,
                f"{what} is no foreign key to {foreign.referred_table.fullname}: a row may refer to nothing, and the "
                f"relation is null then",
            )  # fmt: skip
    for check in sorted(str(c.name) for c in table.constraints if isinstance(c, CheckConstraint)):
        if check not in there.checks:
            yield Difference(
                Severity.INFORMS, "missing constraint", f"{table.fullname} ({check})",
                f"the constraint {check} of {table.fullname} is missing, or has another name: values outside its "
                f"bounds may occur",
            )  # fmt: skip


def _triggers(table: Table, there: FoundTable) -> Iterator[Difference]:
    name = table.fullname
    for lost in attach_triggers.lacking(name, there.triggers):
        yield Difference(Severity.COSTS, "missing trigger", name, f"{name} has no active trigger: {lost}")
    for function, follows in attach_triggers.left_to(name, there.triggers):
        yield Difference(
            Severity.INFORMS, "own trigger", name, f"{name} has a trigger of its own, {function}: {follows}"
        )


def _graded_alike(found: DatabaseCatalog) -> Iterator[Difference]:
    """Fidelity scores that are graded as if they were errors."""
    triggers = {name: table.triggers for name, table in found.tables.items()}
    overloads = {name: len(those) for name, those in found.functions.items()}
    for table, function in attach_triggers.graded_alike(triggers, overloads):
        yield Difference(
            Severity.COSTS, "wrong grades", table,
            f"a trigger of {table} grades fidelity scores by {function}, of which there is one alone, by which errors "
            f"are graded too: a score near 1 is stored as poor and one near 0 as excellent, and the graph shows what "
            f"is stored; read fidelityScore, not fidelityGrade, until there is a function of that name for scores",
        )  # fmt: skip


def _enum(labels: type[Labels], found: DatabaseCatalog) -> Iterator[Difference]:
    name = enum_name(labels)
    fields = [
        field_of(entity, column.name)
        for entity in entities().values()
        for column in table_of(entity).columns
        if _enum_of(column.type) is labels
    ]
    there = found.enums.get(name)
    if there is None:
        use = f"{_joined(fields)} cannot be filtered by its labels" if fields else "no column of ours has it"
        severity = Severity.BREAKS if fields else Severity.INFORMS
        yield Difference(severity, "missing enum", name, f"the enum {name} is missing: {use}")
        return
    known = [member.value for member in labels]
    if lacks := [label for label in known if label not in there]:
        asked = bool(fields) and not labels.open_ended
        them = "it" if len(lacks) == 1 else "them"
        yield Difference(
            Severity.INFORMS, "missing label", name,
            f"the enum {name} lacks {_joined(lacks)}: no row has {them}"
            + (f", {_joined(fields)} never equals {them}, and no change leads to {them}" if asked else ""),
        )  # fmt: skip
    for label in there:
        if label not in known:
            shown = labels.open_ended or not fields
            follows = "it is shown as text" if shown else f"where a row has it, {_fields(fields)}"
            yield Difference(
                Severity.INFORMS if shown else Severity.BREAKS, "unknown label", f"{name}.{label}",
                f"the enum {name} has a label that the graph does not know, {label}: {follows}",
            )  # fmt: skip


def _enum_of(type_: TypeEngine[object]) -> type[Labels] | None:
    inner = type_.item_type if isinstance(type_, ARRAY) else type_
    return cast("type[Labels]", inner.enum_class) if isinstance(inner, Enum) else None


def _functions(found: DatabaseCatalog) -> Iterator[Difference]:
    for name, arguments in FUNCTIONS.items():
        there = found.functions.get(name)
        if not there:
            yield Difference(
                Severity.INFORMS, "missing function", name, f"the function {name} is missing: {_OWN_DEFINITION}",
            )  # fmt: skip
        elif not any(least <= arguments <= most for least, most in there):
            yield Difference(
                Severity.INFORMS, "other function", name,
                f"the function {name} does not take {arguments} argument{'s' if arguments > 1 else ''}: "
                f"{_OWN_DEFINITION}",
            )  # fmt: skip


def _others(found: DatabaseCatalog) -> Iterator[Difference]:
    columns = [
        f"{name}.{column}"
        for name, there in found.tables.items()
        for column in there.columns
        if column not in Entity.metadata.tables[name].columns
    ]
    for kind, names in (("unknown column", sorted(columns)), ("unknown table", list(found.other_tables))):
        if names:
            several = f"{len(names)} {kind}s that the graph does not show"
            what = several if len(names) > 1 else f"1 {kind} that the graph does not show"
            more = f" and {len(names) - 8} more" if len(names) > 8 else ""
            yield Difference(Severity.INFORMS, kind, ", ".join(names), f"{what}: {', '.join(names[:8])}{more}")
    yield from _own_tables(found)


_CAN_DO_WITHOUT = {
    SERVICE_TOKENS.fullname: "there are no service tokens",
    TRUSTED_DOCUMENTS.fullname: "there are no trusted documents in the database",
}
"""Own tables that changes and subscriptions do without, and what it costs that they are missing."""


def _own_tables(found: DatabaseCatalog) -> Iterator[Difference]:
    """The gateway's own tables: without them everything can be read, but for histories, and nothing changed."""
    every = [table.fullname for table in Entity.metadata.tables.values() if is_own(table)]
    own = [name for name in every if name not in _CAN_DO_WITHOUT]
    without = "changes are refused, histories answer with an error, and nothing can be subscribed to"
    if not found.has_own_schema:
        yield Difference(
            Severity.BREAKS, "missing schema", "gateway",
            f"the gateway's own schema is missing: {without}; `e2i-gateway db attach` makes it where the role may",
            f"CREATE SCHEMA gateway AUTHORIZATION {found.role}",
        )  # fmt: skip
    elif lacks := [name for name in own if name not in found.tables]:
        yield Difference(
            Severity.BREAKS, "missing own table", ", ".join(lacks),
            f"the gateway's own schema lacks {_joined(lacks)}: {without}; run `e2i-gateway db attach` as the schema's "
            f"owner",
        )  # fmt: skip
    elif closed := [name for name in own if not found.tables[name].readable]:
        yield Difference(
            Severity.BREAKS, "not readable", ", ".join(closed),
            f"{found.role} may not use {_joined(closed)}: {without}; run `e2i-gateway db attach` as their owner",
        )  # fmt: skip
    elif lacks := [name for name in _CAN_DO_WITHOUT if name not in found.tables]:
        for name in lacks:
            yield Difference(
                Severity.INFORMS, "missing own table", name,
                f"the gateway's own schema lacks {name}: {_CAN_DO_WITHOUT[name]}; run `e2i-gateway db attach` as the "
                f"schema's owner",
            )  # fmt: skip
    else:
        yield from _older_own_tables(found)


def _older_own_tables(found: DatabaseCatalog) -> Iterator[Difference]:
    older = [
        f"{table.fullname}.{column.name}"
        for table in Entity.metadata.tables.values()
        if is_own(table)
        for column in table.columns
        if column.name not in found.tables[table.fullname].columns
    ]
    if older:
        them = "it" if len(older) == 1 else "them"
        yield Difference(
            Severity.BREAKS, "older own table", ", ".join(older),
            f"the gateway's own tables are an earlier version's, without {_joined(older)}: what uses {them} is "
            f"refused; run `e2i-gateway db migrate` (or `db attach`, on the platform's own database) as their owner",
        )  # fmt: skip

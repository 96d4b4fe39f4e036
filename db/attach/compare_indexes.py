"""Indexes that a database lacks, each with the statement that creates it."""

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from sqlalchemy import Index, Table
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.schema import CreateIndex

from db.attach.catalog import DatabaseCatalog, FoundTable
from db.attach.differences import Difference, Severity, joined
from db.base.trigrams import create_index as create_trigrams
from db.base.vocabulary import SERVES, Entity, key_columns, table_of

_DIALECT = PGDialect()  # type: ignore[no-untyped-call] # SQLAlchemy leaves its constructor untyped

MANY = 1_000
"""Rows of one parent from which an index in their order is worthwhile."""


def unserved_lookup(entity: type[Entity], columns: Sequence[str], fields: Sequence[str]) -> Difference:
    """The difference for a lookup of rows by columns that reads all rows, by EXPLAIN."""
    name = table_of(entity).fullname
    return Difference(
        Severity.COSTS, "missing index", f"{name} ({', '.join(columns)})",
        f"no index of {name} finds rows by {', '.join(columns)}: the whole table is read for {joined(fields)}",
        _create_index(entity, columns),
    )  # fmt: skip


def unserved_order(entity: type[Entity], columns: Sequence[str], fields: Sequence[str], rows: int) -> Difference:
    """The difference for a page in the default order, of rows with equal columns, that sorts all of them, about
    ``rows``, by EXPLAIN."""
    name = table_of(entity).fullname
    by = ", ".join([*columns, *([entity.__order__] if entity.__order__ else key_columns(entity))])
    all_rows = f"all rows of one {', '.join(columns)}, about {rows:,}, are" if columns else "the whole table is"
    costs = not columns or rows > MANY
    return Difference(
        Severity.COSTS if costs else Severity.INFORMS, "missing index", f"{name} ({by})",
        f"no index of {name} has rows in the order of {by}: {all_rows} sorted for a page of {joined(fields)}",
        _create_index(entity, columns) if costs else "",
    )  # fmt: skip


def unserved_search(entity: type[Entity], columns: Sequence[str], compared: int) -> Difference:
    """The difference for a searched type with more rows than are compared, without an index of their trigrams."""
    table = table_of(entity)
    what = f"{table.fullname} ({', '.join(columns)})"
    return Difference(
        Severity.COSTS, "missing index", f"trigrams of {what}",
        f"no index has the trigrams of {what}: search compares the newest {compared:,} rows alone",
        create_trigrams(index_name(table, ["trigrams"]), table.fullname, columns),
    )  # fmt: skip


_CONCURRENTLY = re.compile(r"CREATE INDEX CONCURRENTLY (\S+) ON (\S+) (.+)")


def in_partitions(note: Difference, found: DatabaseCatalog) -> Difference:
    """The difference, with the index of a partitioned table created in each partition: Postgres creates none
    concurrently on all of them. Where partitions have partitions, the index is created at once."""
    created = _CONCURRENTLY.fullmatch(note.remedy)
    there = found.tables.get(created[2]) if created else None
    if created is None or there is None or not there.partitioned_by:
        return note
    name, table, rest = created.groups()
    if not there.parts:
        return replace(note, remedy=f"CREATE INDEX {name} ON {table} {rest}")
    statements = [f"CREATE INDEX {name} ON ONLY {table} {rest}"]
    for part in there.parts:
        schema, _, _ = part.rpartition(".")
        own = INDEX_PREFIX + hashlib.sha256(f"{name} {part}".encode()).hexdigest()[:16]
        statements.append(f"CREATE INDEX CONCURRENTLY {own} ON {part} {rest}")
        statements.append(f"ALTER INDEX {schema}.{name} ATTACH PARTITION {schema}.{own}")
    return replace(note, remedy=";\n".join(statements))


def _create_index(entity: type[Entity], lookup: Sequence[str]) -> str:
    order = [entity.__order__] if entity.__order__ and entity.__order__ not in lookup else []
    terms = [*lookup, *(f"{column} DESC NULLS LAST" for column in order)]
    terms += [f"{column} DESC" for column in key_columns(entity) if column not in {*lookup, *order}]
    name = index_name(table_of(entity), [*lookup, *order])
    return f"CREATE INDEX CONCURRENTLY {name} ON {table_of(entity).fullname} ({', '.join(terms)})"


INDEX_PREFIX = "e2i_gateway_"
"""The prefix of all indexes that an owner is told to create, by which `db detach` finds them."""


def index_name(table: Table, columns: Sequence[str]) -> str:
    """The name of an index that the gateway recommends, of at most 63 characters."""
    name = f"{INDEX_PREFIX}{'_'.join([table.name, *columns])}"
    return name if len(name) <= 63 else f"{name[:54]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def is_unique(there: FoundTable, columns: Sequence[str], *, partial: bool = False, given: Collection[str] = ()) -> bool:
    """Whether an index makes columns unique; ``given`` are further columns that are equal in all rows in question."""
    return any(
        index.unique
        and (partial or not index.partial)
        and set(columns) <= set(index.columns) <= {*columns, *(given if not index.partial else ())}
        for index in there.indexes
    )


def _given(where: str) -> frozenset[str]:
    """The column that a partial index's predicate fixes to one value, as in ``is_active``, or ``type = 'drift'``."""
    found = re.fullmatch(r"(\w+)(?: = '[^']*')?", where)
    return frozenset({found[1]} if found else ())


def _concurrently(index: Index, table: Table, columns: Sequence[str]) -> str:
    """The statement that creates a model's index on a database in use."""
    made = str(CreateIndex(index).compile(dialect=_DIALECT))
    return re.sub(r"INDEX \w+ ON", f"INDEX CONCURRENTLY {index_name(table, columns)} ON", made)


def special_index(table: Table, index: Index, there: FoundTable) -> Iterator[Difference]:
    """Indexes beyond lookup and order: of lists and documents, of vectors, and unique ones."""
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
                _concurrently(index, table, columns),
            )  # fmt: skip
        return
    if SERVES in index.info:
        found_by = tuple(columns[:2])
        if not any(has.columns[: len(found_by)] == found_by and not has.partial for has in there.indexes):
            yield Difference(
                Severity.COSTS, "missing index", f"{table.fullname} ({', '.join(found_by)})",
                f"no index of {table.fullname} finds rows by {', '.join(found_by)}: many more are read where "
                f"{index.info[SERVES]}",
                _concurrently(index, table, found_by),
            )  # fmt: skip
        return
    where = index.dialect_options["postgresql"]["where"]
    given = _given(str(where)) if where is not None else frozenset()
    if index.unique and not is_unique(there, columns, partial=True, given=given):
        yield Difference(
            Severity.COSTS, "missing constraint", what,
            f"nothing keeps {what} unique{f' where {where}' if where is not None else ''}: where one row is expected, "
            f"there may be several",
        )  # fmt: skip

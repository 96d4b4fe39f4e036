"""The objects of a database, read from its system catalog by five statements that every role may execute."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

import db.models  # noqa: F401 - maps all tables
from db.attach import triggers as attach_triggers
from db.base.system_catalog import (
    DOMAINS,
    ENUMS,
    IN_SCHEMAS,
    PLATFORM_SCHEMAS,
    EnumLabels,
    enum_labels,
    named_in_models,
    relation_name,
)
from db.base.vocabulary import OWN_SCHEMA, Entity


@dataclass(frozen=True)
class FoundColumn:
    """A column: its type as Postgres formats it (of a domain, the base type), and whether it is NOT NULL."""

    type: str
    not_null: bool
    is_enum: bool = False
    """Whether its type is an enum, or an array of one."""
    fills_itself: bool = False
    """Whether it has a default."""
    computed: bool = False
    """Whether it is generated, and cannot be written."""


@dataclass(frozen=True)
class FoundIndex:
    """An index: its method and its columns in order, with an empty name for an expression. That of a partitioned table
    has all of its partitions."""

    method: str
    columns: tuple[str, ...]
    unique: bool
    partial: bool


@dataclass
class FoundTable:
    """A table or view, by its name in the models."""

    readable: bool
    kind: str = "r"
    """As in ``pg_class.relkind``: ``r`` and ``p`` are tables, ``v`` and ``m`` views, ``f`` foreign tables."""
    partitioned_by: tuple[str, ...] = ()
    """The columns by which it is partitioned, an empty name for an expression."""
    parts: tuple[str, ...] = ()
    """Its partitions as SQL, if rows are in these and not in partitions of theirs."""
    columns: dict[str, FoundColumn] = field(default_factory=dict)
    indexes: list[FoundIndex] = field(default_factory=list)
    foreign_keys: set[frozenset[str]] = field(default_factory=set)
    comment: str = ""
    """A view's comment."""
    definition: str = ""
    """A view's query, as Postgres formats it."""
    checks: set[str] = field(default_factory=set)
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The words that its CHECK constraints allow, by column, if they list words."""
    triggers: dict[str, str] = field(default_factory=dict)
    """The source of the functions of its active triggers, by their names."""


@dataclass(frozen=True)
class DatabaseCatalog:
    """The part of a database that the models describe."""

    role: str
    has_own_schema: bool
    tables: dict[str, FoundTable]
    other_tables: tuple[str, ...]
    enums: EnumLabels
    functions: dict[str, list[tuple[int, int]]]
    """The least and the largest number of arguments of each function with a name."""


_NAME = relation_name()
_RELATIONS = text(f"""
    SELECT {_NAME}, has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT'),
        c.relkind::text, a.attname, CASE WHEN u.oid IS NOT NULL  -- format_type names the schema by the search path
            THEN {relation_name("u.typname", "pg_type_is_visible(u.oid)", "un")} || CASE WHEN e.oid IS NULL THEN ''
                ELSE '[]' END
            WHEN d.oid IS NOT NULL THEN format_type(d.base, d.modifier)
            ELSE format_type(a.atttypid, a.atttypmod) END,
        a.attnotnull OR coalesce(d.not_null, false), coalesce(e.typtype, t.typtype) = 'e',
        a.atthasdef OR a.attidentity <> '' OR coalesce(d.has_default, false),
        a.attgenerated <> '' OR a.attidentity = 'a'
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND {_NAME} = ANY (:known)
    LEFT JOIN {DOMAINS} AS d ON d.oid = a.atttypid
    LEFT JOIN pg_type AS t ON t.oid = coalesce(d.base, a.atttypid)
    LEFT JOIN pg_type AS e ON e.oid = t.typelem AND t.typcategory = 'A'
    LEFT JOIN pg_type AS u ON u.oid = coalesce(e.oid, t.oid) AND u.typtype = 'e'
    LEFT JOIN pg_namespace AS un ON un.oid = u.typnamespace
    WHERE {IN_SCHEMAS} AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
        AND NOT (c.relispartition AND {_NAME} <> ALL (:known))
        AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')
    ORDER BY c.oid, a.attnum
""")
_INDEXES = text(f"""
    SELECT {_NAME}, m.amname, i.indisunique, i.indpred IS NOT NULL,
        ARRAY(
            SELECT coalesce(a.attname, '')::text
            FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, place)
            LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum
            WHERE k.place <= i.indnkeyatts
            ORDER BY k.place
        )
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_class AS x ON x.oid = i.indexrelid
    JOIN pg_am AS m ON m.oid = x.relam
    WHERE {IN_SCHEMAS} AND {_NAME} = ANY (:known) AND i.indisvalid
""")
_PARTITIONED = text(f"""
    SELECT {_NAME}, ARRAY(
            SELECT coalesce(a.attname, '')::text
            FROM unnest(k.partattrs::smallint[]) WITH ORDINALITY AS u (attnum, place)
            LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = u.attnum AND u.attnum > 0
            ORDER BY u.place
        ),
        CASE WHEN NOT EXISTS (SELECT FROM pg_partition_tree(c.oid) WHERE level > 1) THEN ARRAY(
            SELECT format('%I.%I', m.nspname, p.relname) FROM pg_inherits AS i
            JOIN pg_class AS p ON p.oid = i.inhrelid JOIN pg_namespace AS m ON m.oid = p.relnamespace
            WHERE i.inhparent = c.oid AND p.relkind = 'r' ORDER BY 1
        ) ELSE '{{}}' END
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_partitioned_table AS k ON k.partrelid = c.oid
    WHERE {IN_SCHEMAS} AND {_NAME} = ANY (:known)
""")
_CONSTRAINTS = text(f"""
    SELECT {_NAME}, k.contype::text, k.conname::text,
        ARRAY(SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum = ANY (k.conkey)),
        CASE WHEN k.contype = 'c' AND k.convalidated THEN pg_get_expr(k.conbin, k.conrelid) END
    FROM pg_constraint AS k
    JOIN pg_class AS c ON c.oid = k.conrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE {IN_SCHEMAS} AND {_NAME} = ANY (:known) AND k.contype IN ('f', 'c')
    UNION ALL
    SELECT {_NAME}, 'trigger', p.proname::text, ARRAY[p.prosrc], NULL
    FROM pg_trigger AS t
    JOIN pg_proc AS p ON p.oid = t.tgfoid
    JOIN pg_class AS c ON c.oid = t.tgrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE {IN_SCHEMAS} AND {_NAME} = ANY (:known) AND NOT t.tgisinternal AND t.tgenabled <> 'D'
""")
_VIEWS = text(f"""
    SELECT {_NAME}, coalesce(obj_description(c.oid, 'pg_class'), ''), coalesce(pg_get_viewdef(c.oid), '')
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE {IN_SCHEMAS} AND {_NAME} = ANY (:known) AND c.relkind IN ('v', 'm')
""")
_FUNCTIONS = text(f"""
    SELECT p.proname, p.pronargs - p.pronargdefaults, p.pronargs
    FROM pg_proc AS p
    JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname = ANY ({PLATFORM_SCHEMAS}) AND p.proname = ANY (:functions)
    UNION ALL
    SELECT '', count(*) FILTER (WHERE nspname = 'gateway'), 0 FROM pg_namespace
    UNION ALL
    SELECT current_user, -1, -1
""")


async def read(connection: AsyncConnection, functions: Sequence[str]) -> DatabaseCatalog:
    """Reads the catalog: all about the tables of the models, only the names of the others."""
    known = {"known": list(Entity.metadata.tables), **named_in_models()}
    tables: dict[str, FoundTable] = {}
    others = []
    for name, readable, relation, column, *kind in await connection.execute(_RELATIONS, known):
        if name not in Entity.metadata.tables:
            if not name.startswith(f"{OWN_SCHEMA}."):
                others.append(name)
            continue
        table = tables.setdefault(name, FoundTable(readable, relation))
        if column is not None:
            table.columns[column] = FoundColumn(*kind)
    await _read_around(connection, known, tables)
    enums = enum_labels(await connection.execute(ENUMS, named_in_models()))
    found: dict[str, list[tuple[int, int]]] = {}
    graders = (name for table in tables.values() for name, _ in attach_triggers.graders(table.triggers))
    role, own_schema = "", False
    for name, least, most in await connection.execute(_FUNCTIONS, {"functions": [*functions, *graders]}):
        if least < 0:
            role = name
        elif not name:
            own_schema = least > 0
        else:
            found.setdefault(name, []).append((least, most))
    return DatabaseCatalog(role, own_schema, tables, tuple(sorted(others)), enums, found)


async def _read_around(
    connection: AsyncConnection, known: Mapping[str, Sequence[str]], tables: Mapping[str, FoundTable]
) -> None:
    """Reads indexes, constraints, triggers, partitions and view definitions."""
    for name, columns, parts in await connection.execute(_PARTITIONED, known):
        tables[name].partitioned_by, tables[name].parts = tuple(columns), tuple(parts)
    for name, method, unique, partial, columns in await connection.execute(_INDEXES, known):
        tables[name].indexes.append(FoundIndex(method, tuple(columns), unique, partial))
    for name, kind, what, columns, check in await connection.execute(_CONSTRAINTS, known):
        _add(tables[name], kind, what, columns)
        if check and len(columns) == 1 and (words := words_of_check(columns[0], check)):
            _let(tables[name].words, columns[0], words)
    for name, comment, definition in await connection.execute(_VIEWS, known):
        tables[name].comment, tables[name].definition = comment, definition


_TEXT = re.compile(r"'((?:[^']|'')*)'(?:::(?:text|character varying|bpchar|character)(?:\(\d+\))?)?")
_AROUND = re.compile(r"""::(?:text|character varying)(?:\(\d+\))?(?:\[\])?|\bANY\b|\bARRAY\b|\bOR\b|=|[()\[\],\s]""")


def words_of_check(column: str, check: str) -> tuple[str, ...]:
    """The words that a CHECK constraint allows in a column, in order, if it is a plain list of words.

    ``check`` is formatted by Postgres: ``((status)::text = ANY ((ARRAY['a'::character varying, ...])::text[]))``, or
    comparisons joined by OR. Empty for any other constraint, which is not interpreted.
    """
    named = re.escape(column) if re.fullmatch("[a-z_][a-z0-9_]*", column) else re.escape(f'"{column}"')
    left = re.sub(rf"\(?\b{named}\)?(?:::text)? IS NULL", "", _TEXT.sub("", check))
    left = re.sub(rf"\b{named}\b", "", left)
    if _AROUND.sub("", left):
        return ()
    return tuple(dict.fromkeys(word.replace("''", "'") for word in _TEXT.findall(check)))


def _let(words: dict[str, tuple[str, ...]], column: str, more: tuple[str, ...]) -> None:
    """Intersects with the words of a column's other constraints: all of them must hold."""
    known = words.get(column)
    words[column] = more if known is None else tuple(word for word in known if word in more)


def _add(table: FoundTable, kind: str, name: str, columns: Sequence[Any]) -> None:
    if kind == "f":
        table.foreign_keys.add(frozenset(columns))
    elif kind == "c":
        table.checks.add(name)
    else:
        table.triggers[name] = columns[0]

"""Violated constraints and missing rights, read from the catalog.

Errors name a constraint and its table; they have its columns only in a message, in the server's language.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from db.engine.errors import INSUFFICIENT_PRIVILEGE, NotPermittedError, RefusedByDatabaseError

Run = Callable[[str, Sequence[Any]], Awaitable[Sequence[Sequence[Any]]]]
"""Runs a statement with its values."""


@dataclass(frozen=True)
class Constraint:
    """A constraint or a unique index: its columns (without expressions), and the target of a foreign key."""

    columns: tuple[str, ...]
    referenced: str
    referenced_columns: tuple[str, ...]


_COLUMNS = """
    ARRAY(SELECT a.attname::text FROM unnest({numbers}) WITH ORDINALITY AS k (number, place)
        JOIN pg_attribute AS a ON a.attrelid = {table} AND a.attnum = k.number ORDER BY k.place)
"""
_CONSTRAINT = f"""
    SELECT {_COLUMNS.format(numbers="c.conkey", table="c.conrelid")}, coalesce(f.relname::text, ''),
        {_COLUMNS.format(numbers="c.confkey", table="c.confrelid")}
    FROM pg_constraint AS c
    JOIN pg_class AS t ON t.oid = c.conrelid
    JOIN pg_namespace AS n ON n.oid = t.relnamespace
    LEFT JOIN pg_class AS f ON f.oid = c.confrelid
    WHERE n.nspname = $1::text AND t.relname = $2::text AND c.conname = $3::text
    UNION ALL
    SELECT {_COLUMNS.format(numbers="i.indkey::int2[]", table="i.indrelid")}, '', '{{}}'
    FROM pg_index AS i
    JOIN pg_class AS x ON x.oid = i.indexrelid
    JOIN pg_class AS t ON t.oid = i.indrelid
    JOIN pg_namespace AS n ON n.oid = t.relnamespace
    WHERE n.nspname = $1::text AND t.relname = $2::text AND x.relname = $3::text
    LIMIT 1
"""
_CHECKS = f"""
    SELECT pg_get_expr(c.conbin, c.conrelid), {_COLUMNS.format(numbers="c.conkey", table="c.conrelid")}
    FROM pg_constraint AS c
    WHERE c.conrelid = to_regclass($1::text) AND c.contype = 'c' AND c.conkey <> '{{}}' ORDER BY c.conname
"""
_HIDDEN = """
    SELECT c.relname::text FROM unnest($1::text[]) WITH ORDINALITY AS o (name, place)
    JOIN pg_class AS c ON c.oid = to_regclass(o.name)
    WHERE NOT has_any_column_privilege(c.oid, 'SELECT')
    ORDER BY o.place LIMIT 1
"""

CLOSED = """{table}.relrowsecurity AND NOT {role}.rolsuper AND NOT {role}.rolbypassrls
            AND ({table}.relforcerowsecurity OR NOT pg_has_role({role}.oid, {table}.relowner, 'USAGE'))
            AND NOT EXISTS (
                SELECT FROM pg_policy AS p
                WHERE p.polrelid = {table}.oid AND p.polcmd IN ('a', '*') AND p.polpermissive
                    AND (p.polroles = ARRAY[0::oid] OR EXISTS (
                        SELECT FROM unnest(p.polroles) AS o WHERE o <> 0 AND pg_has_role({role}.oid, o, 'USAGE')
                    ))
            )"""
"""Whether row level security of a ``table`` (in pg_class) has no policy that lets a ``role`` (in pg_roles) insert."""
_IS_CLOSED = f"""
    SELECT {CLOSED.format(table="c", role="me")}
    FROM pg_class AS c JOIN pg_roles AS me ON me.rolname = current_user WHERE c.oid = to_regclass($1::text)
"""
_INTO = re.compile(r'\bINSERT\s+INTO\s+([\w."]+)')


async def look_up(run: Run, schema: str, table: str, name: str) -> Constraint | None:
    """A constraint or a unique index by its name; None if it no longer exists.

    Raises:
        DatabaseError: The catalog could not be read.
    """
    for columns, referenced, others in await run(_CONSTRAINT, (schema, table, name)):
        return Constraint(tuple(columns), referenced, tuple(others))
    return None


async def checks(run: Run, table: str) -> Sequence[tuple[str, Sequence[str]]]:
    """The CHECK constraints of a table, which has its name in SQL: their expressions, and the columns in them.

    Raises:
        DatabaseError: They could not be asked.
    """
    return [(expression, columns) for expression, columns in await run(_CHECKS, (table,))]


async def hidden(run: Run, tables: Sequence[str]) -> str | None:
    """The first of some tables, given by SQL names, that the role cannot read at all."""
    found = await run(_HIDDEN, (list(tables),))
    return str(found[0][0]) if found else None


async def closed(error: RefusedByDatabaseError, run: Run) -> NotPermittedError | None:
    """The error that the role may insert no row at all into a statement's table, if a policy has refused its rows.

    Otherwise a policy refused these rows only. The error is the same for both, and has no table.

    Raises:
        DatabaseError: The catalog could not be read.
    """
    said, into = error.diagnostics, _INTO.search(error.statement)
    if said.state != INSUFFICIENT_PRIVILEGE or said.context or into is None:
        return None
    found = await run(_IS_CLOSED, (into[1],))
    if not found or not found[0][0]:
        return None
    meaning = NotPermittedError(str(error))
    meaning.statement = error.statement
    return meaning

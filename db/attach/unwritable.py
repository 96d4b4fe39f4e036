"""The types whose rows a database does not accept, with the reason: rights, policies, views, triggers, sequences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.attach.differences import Difference, Severity
from db.base.quoting import identifier
from db.base.recording import recordables
from db.base.system_catalog import is_schema_of
from db.base.vocabulary import table_of
from db.engine.constraints import CLOSED
from db.store.caller_roles import serving

NO_RIGHT = "no right to write"
"""The kind of difference that `e2i-gateway db role` remedies; not reported for a role that may write nothing."""

# by name, since `to_regclass` fails for a schema that the role may not use
_ASKED = f"""
    WITH asked (name, id) AS (
        SELECT v.name, c.oid FROM unnest(CAST(:tables AS text[])) AS v (name)
        JOIN pg_class AS c ON c.relname = split_part(v.name, '.', -1)
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
            AND {is_schema_of("v.name")}
    )
"""
_RELATIONS = text(f"""{_ASKED}
    SELECT asked.name, me.rolname::text AS role, c.relkind::text AS kind,
        has_any_column_privilege(me.oid, c.oid, 'INSERT') AND has_schema_privilege(me.oid, c.relnamespace, 'USAGE')
            AS may,
        CASE WHEN EXISTS (  -- which cannot even be asked
            SELECT FROM pg_foreign_table AS f JOIN pg_foreign_server AS s ON s.oid = f.ftserver
            JOIN pg_foreign_data_wrapper AS w ON w.oid = s.srvfdw WHERE f.ftrelid = c.oid AND w.fdwhandler = 0
        ) THEN false ELSE pg_relation_is_updatable(c.oid, true) & 8 = 8 END AS takes_rows,
        {CLOSED.format(table="c", role="me")} AS closed,
        ARRAY(
            SELECT s.oid::regclass::text FROM pg_attrdef AS a
            JOIN pg_depend AS d ON d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid
            JOIN pg_class AS s ON s.oid = d.refobjid
            WHERE a.adrelid = c.oid
                AND CASE WHEN s.relkind = 'S' THEN NOT has_sequence_privilege(me.oid, s.oid, 'USAGE') END
        ) AS sequences
    FROM asked JOIN pg_class AS c ON c.oid = asked.id
    JOIN pg_roles AS me ON me.rolname = ANY (CAST(:roles AS text[]))
    ORDER BY 1, 2
""")
_TRIGGERS = text(f"""{_ASKED}
    SELECT asked.name, p.proname::text AS function, p.prosrc AS source, t.tgtype & 3 = 3 AS may_drop
    FROM asked JOIN pg_trigger AS t ON t.tgrelid = asked.id
    JOIN pg_proc AS p ON p.oid = t.tgfoid
    JOIN pg_language AS l ON l.oid = p.prolang AND l.lanname = 'plpgsql'
    WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgtype & 4 = 4 AND t.tgqual IS NULL
    ORDER BY 1, 2
""")


async def unwritable(connection: AsyncConnection) -> list[Difference]:
    """The types whose rows the gateway's roles cannot insert into existing tables; for the connection's own role if no
    other serves. Reads the catalog only.

    Raises:
        sqlalchemy.exc.DBAPIError: The database cannot be reached, or refuses a statement.
    """
    types = {table_of(one).fullname: one.__name__ for one, _ in recordables()}
    asked = {"tables": list(types), "roles": list(await serving(connection))}
    rows = (await connection.execute(_RELATIONS, asked)).all()
    writing = {row.role for row in rows if row.may}  # others are read-only roles
    found = [one for row in rows if row.role in writing for one in _of_relation(types[row.name], row)]
    for name, function, source, may_drop in await connection.execute(_TRIGGERS, {"tables": list(types)}):
        if what := refusal(source, may_drop=may_drop):
            message = f"no {types[name]} can be recorded: {function}, a trigger of {name}, {what} every row"
            found.append(Difference(Severity.BREAKS, "not writable", name, message))
    return found


def _of_relation(type_: str, row: Any) -> Iterator[Difference]:
    none, role = f"no {type_} can be recorded", identifier(row.role)
    if not row.takes_rows:
        what = {"m": "a materialized view", "v": "a view", "f": "a foreign table"}.get(row.kind, "a relation")
        message = f"{none}: {row.name} is {what} that takes no rows"
        yield Difference(Severity.BREAKS, "not writable", row.name, message)
        return
    if not row.may:
        message = f"{none}: {row.role} may not insert into {row.name}"
        yield Difference(Severity.INFORMS, NO_RIGHT, row.name, message, f"GRANT INSERT ON {row.name} TO {role}")
    elif row.closed:
        message = f"{none}: row level security of {row.name} has no policy that lets {row.role} insert"
        remedy = f"CREATE POLICY recorded ON {row.name} FOR INSERT TO {role} WITH CHECK (true)"
        yield Difference(Severity.BREAKS, "not writable", row.name, message, remedy)
    for sequence in row.sequences:
        message = f"{none}: {row.role} may not use {sequence}, which numbers the rows of {row.name}"
        yield Difference(Severity.INFORMS, NO_RIGHT, row.name, message, f"GRANT USAGE ON SEQUENCE {sequence} TO {role}")


_ASIDE = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)
_ENDS = re.compile(r"\braise\b(?!\s+(?:notice|warning|info|log|debug)\b)|\breturn\s+(\w+)", re.IGNORECASE)
_BRANCHES = re.compile(r"\b(?:if|case|loop|exception\s+when|perform|execute|select|exit)\b", re.IGNORECASE)


def refusal(source: str, *, may_drop: bool) -> str | None:
    """What a PL/pgSQL trigger function does with every row, if it refuses or drops all of them.

    A function with any branch is assumed to accept some rows. ``may_drop`` says whether returning NULL skips the row.
    """
    _, begun, body = re.sub(r"\s+", " ", _ASIDE.sub(" ", source)).lower().partition("begin")
    end = _ENDS.search(body)
    if not begun or end is None or _BRANCHES.search(body[: end.start()]):
        return None
    if end[1] is None:
        return "refuses"
    return "drops" if may_drop and end[1] == "null" else None

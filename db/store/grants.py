"""The database role that a gateway serves with, with the least rights that it needs, on every kind of database.

It reads the tables of the models, writes what changes declare, owns nothing, and deletes rows only of tables with a
retention. `e2i-gateway db role` prints this as SQL for the owner of a database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

import db.models  # noqa: F401 - maps all entities
from db.base.current_state import stored_views
from db.base.footprints import everything
from db.base.quoting import identifier, literal, literals
from db.base.recording import plan_of, recordables
from db.base.sums import rollups, sums_table
from db.base.system_catalog import is_schema_of
from db.base.vocabulary import OWN_SCHEMA, Entity, entities, is_own, table_of
from db.engine.session import search_path
from db.engine.url import PUBLIC

OWN_RIGHTS: dict[str, str] = {
    "lifecycle_events": "SELECT, INSERT",
    "recordings": "SELECT, INSERT",
    "idempotency_keys": "SELECT, INSERT, UPDATE, DELETE",
    "change_previews": "SELECT, INSERT, UPDATE, DELETE",
    "service_tokens": "SELECT, UPDATE (last_used_at)",
    "trusted_documents": "SELECT",
    "webhook_endpoints": "SELECT, INSERT, UPDATE, DELETE",
    "webhook_messages": "SELECT, INSERT, UPDATE, DELETE",
    "webhook_sender": "SELECT, INSERT, UPDATE",
    "live_log": "SELECT, INSERT, DELETE",
    "alerts_seen": "SELECT, INSERT, UPDATE, DELETE",
    "rollups": "SELECT, UPDATE (state)",
    "rollup_marks": "SELECT, INSERT, DELETE",
    "current_states": "SELECT, UPDATE (state)",
    "state_marks": "SELECT, INSERT, DELETE",
    **{sums_table(table.name): "SELECT, INSERT, DELETE" for table, _ in rollups()},
}
"""The role's rights on the gateway's own tables. Events are immutable; tokens and documents belong to the owner."""

STORED_RIGHTS: dict[str, str] = {one.name: "SELECT, INSERT, UPDATE, DELETE" for _, one in stored_views().values()}
"""The role's rights on tables that are there where current state is stored."""

_BOOKS = ("alembic_version", "built", "own_revisions", "origin", "timelines")
"""Tables that record how a database was built, and on which servers it was."""


def rights() -> Mapping[str, str]:
    """The role's rights, by names of tables and views in the models."""
    own = {f"{OWN_SCHEMA}.{name}": right for name, right in (OWN_RIGHTS | STORED_RIGHTS).items()}
    return {**_platform_rights(), **own, **{f"{OWN_SCHEMA}.{name}": "SELECT" for name in _BOOKS}}


@cache
def _platform_rights() -> Mapping[str, str]:
    """The role's rights on the platform's tables."""
    changes = everything()
    recorded = {one.__name__ for one, how in recordables() if how.door is None}
    changed = {one.__name__ for one, how in recordables() if how.key or how.retired or plan_of(one).updates}
    purged = {one.__name__ for one, how in recordables() if how.retention is not None}
    found = {}
    for name, entity in entities().items():
        table = table_of(entity)
        if not is_own(table):
            added = ", INSERT" if name in changes.added or name in recorded else ""
            added += ", UPDATE" if name in changes.updated or name in changed else ""
            added += ", DELETE" if name in purged else ""
            found[table.fullname] = f"SELECT{added}"
    return found


def grants(role: str, schemas: Sequence[str] = PUBLIC) -> str:
    """SQL that grants a role its rights, and revokes all others; idempotent. The platform's tables are in ``schemas``.

    Missing objects are skipped; run it again once they exist.
    """
    return _grants(role, rights(), f"nspname IN ({literals(_schemas(schemas))}) OR {_HAS_VECTORS}", sql_functions())


_HAS_VECTORS = "oid IN (SELECT extnamespace FROM pg_extension WHERE extname = 'vector')"


def _grants(role: str, given: Mapping[str, str], schemas: str, called: Iterable[str] = ()) -> str:
    """Grants on tables and on sequences of those with inserts, on schemas by a condition, and on functions."""
    names = sorted({*everything().added, *(one.__name__ for one, how in recordables() if how.door is None)})
    tables = ",\n".join(f"        ({literal(name)}, {literal(right)})" for name, right in given.items())
    added = literals(name for one in names if (name := table_of(entities()[one]).fullname) in given)
    functions = literals(sorted(called)) or "NULL"
    return f"""\
DO $grants$
DECLARE
    who CONSTANT regrole := {literal(identifier(role))}::regrole;
    what record;
BEGIN
    FOR what IN SELECT nspname AS name FROM pg_namespace WHERE {schemas} LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %s', what.name, who);
    END LOOP;
    FOR what IN SELECT c.oid::regclass AS name, v.rights, c.relowner FROM (VALUES
{tables}
    ) AS v (name, rights) JOIN pg_class AS c ON c.oid = to_regclass(v.name) LOOP
        IF pg_has_role(who, what.relowner, 'MEMBER') THEN
            RAISE EXCEPTION '% owns %, or is a member of its owner or a superuser: it is no role to serve with',
                who, what.name;
        END IF;
        EXECUTE format('REVOKE ALL ON TABLE %s FROM %s', what.name, who);
        EXECUTE format('GRANT %s ON TABLE %s TO %s', what.rights, what.name, who);
    END LOOP;
    FOR what IN SELECT s.oid::regclass AS name FROM pg_class AS s
    WHERE s.relkind = 'S' AND EXISTS (
        SELECT FROM unnest(ARRAY[{added}]::text[]) AS added (name)
        JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid
            AND d.refobjid = to_regclass(added.name)  -- a column's own
        UNION ALL
        SELECT FROM unnest(ARRAY[{added}]::text[]) AS added (name)
        JOIN pg_attrdef AS a ON a.adrelid = to_regclass(added.name)  -- one that a default reads
        JOIN pg_depend AS d ON d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid AND d.refobjid = s.oid
    ) LOOP
        EXECUTE format('GRANT USAGE ON SEQUENCE %s TO %s', what.name, who);
    END LOOP;
    FOR what IN SELECT p.oid::regprocedure AS name FROM pg_proc AS p
    JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.prokind = 'f' AND n.nspname || '.' || p.proname IN ({functions}) LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', what.name, who);
    END LOOP;
END
$grants$;
"""


# roles whose rights on the platform's tables are exactly those of `grants`
_SERVING = """
    WITH given (name, rights) AS (VALUES {rights}), there AS (
        SELECT g.name, g.rights, c.relacl, c.relowner
        FROM given AS g  -- not by to_regclass, which fails in a schema that the role may not use
        JOIN pg_namespace AS n ON {is_schema_of}
        JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = substring(g.name FROM '[^.]*$')
    ), held AS (
        SELECT a.grantee, t.rights, string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type) AS held
        FROM there AS t
        CROSS JOIN LATERAL aclexplode(t.relacl) AS a
        WHERE a.grantee NOT IN (0, t.relowner)
        GROUP BY a.grantee, t.name, t.rights
    )
    SELECT r.rolname::text FROM held AS h JOIN pg_roles AS r ON r.oid = h.grantee
    WHERE NOT pg_has_role(r.oid, current_user, 'MEMBER')
    GROUP BY r.rolname HAVING bool_and(h.held = h.rights) AND count(*) = (SELECT count(*) FROM there)
"""


async def give_own(connection: AsyncConnection) -> None:
    """Grants the roles that `grants` made for this database their rights on the gateway's own tables, after these have
    changed. A role is identified by its rights on the platform's tables, whatever its name."""
    sorted_ = {name: ", ".join(sorted(right.split(", "))) for name, right in _platform_rights().items()}
    given = ", ".join(f"({literal(name)}, {literal(right)})" for name, right in sorted_.items())
    own = {name: right for name, right in rights().items() if name.startswith(f"{OWN_SCHEMA}.")}
    for role in list(
        await connection.scalars(
            text(_SERVING.replace("{rights}", given).replace("{is_schema_of}", is_schema_of("g.name")))
        )
    ):
        await connection.exec_driver_sql(_grants(role, own, f"nspname = {literal(OWN_SCHEMA)}"))


def role_sql(role: str, schemas: Sequence[str] = PUBLIC) -> str:
    """A script for ``psql``: creates the role if missing, and grants its rights on the tables in ``schemas``."""
    name = identifier(role)
    path = "" if tuple(schemas) == PUBLIC else f"SET search_path = {search_path(schemas)};\n\n"
    return f"""\
-- The role {name} for the E2I metadata gateway. Run it as the owner of the platform's tables, in their database:
-- psql -v ON_ERROR_STOP=1 --single-transaction -f role.sql. Run it again after `e2i-gateway db attach` or `db migrate`.
-- Then give it a password: \\password {name}

DO $role$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {literal(role)}) THEN
        CREATE ROLE {name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT;
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), {literal(role)});
END
$role$;

{path}{grants(role, schemas)}"""


@cache
def sql_functions() -> frozenset[str]:
    """The qualified names of the functions in ``db/sql`` for the platform's tables."""
    found = re.compile(r"^CREATE (?:OR REPLACE )?FUNCTION (\w+\.\w+)", re.MULTILINE)
    files = sorted((Path(__file__).parents[1] / "sql").glob("g*.sql"))
    return frozenset(name for file in files for name in found.findall(file.read_text(encoding="utf-8")))


def _schemas(schemas: Sequence[str]) -> Sequence[str]:
    def named() -> Iterator[str]:
        yield from schemas
        for table in Entity.metadata.tables.values():
            if table.schema:
                yield table.schema

    return list(dict.fromkeys(named()))

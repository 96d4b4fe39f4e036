"""Database roles of callers, for row level security."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.store.grants import rights

_UNUSABLE = text("""
    SELECT asked.name, role.oid IS NULL AS missing, role.rolsuper OR role.rolbypassrls AS unbound
    FROM unnest(CAST(:names AS text[])) AS asked (name)
    LEFT JOIN pg_roles AS role ON role.rolname = asked.name
    WHERE role.oid IS NULL OR role.rolsuper OR role.rolbypassrls OR NOT pg_has_role(
        CAST(:who AS name), role.oid, CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET'
                                           ELSE 'MEMBER' END
    )
    ORDER BY asked.name
""")
_SERVING = text("""
    SELECT r.rolname::text FROM pg_roles AS r, pg_class AS c
    WHERE c.oid = 'gateway.service_tokens'::regclass AND r.rolcanlogin AND NOT r.rolsuper
        AND has_table_privilege(r.oid, c.oid, 'SELECT') AND NOT pg_has_role(r.oid, c.relowner, 'MEMBER')
    ORDER BY 1
""")


_INHERITED = text("""
    SELECT role.rolname::text FROM pg_roles AS role
    WHERE role.rolname = ANY (CAST(:names AS text[])) AND role.rolname <> CAST(:who AS name)
        AND pg_has_role(CAST(:who AS name), role.oid, 'USAGE')
    ORDER BY 1
""")
_EMPTIED = text("""
    SELECT c.oid::regclass::text
    FROM unnest(CAST(:tables AS text[])) AS asked (name)
    JOIN pg_class AS c ON c.oid = to_regclass(asked.name)
    JOIN pg_roles AS me ON me.rolname = CAST(:who AS name)
    WHERE c.relrowsecurity AND NOT me.rolsuper AND NOT me.rolbypassrls
        AND (c.relforcerowsecurity OR NOT pg_has_role(me.oid, c.relowner, 'USAGE'))
        AND NOT EXISTS (
            SELECT FROM pg_policy AS p
            WHERE p.polrelid = c.oid AND p.polcmd IN ('r', '*') AND p.polpermissive
                AND (p.polroles = '{0}' OR EXISTS (
                    SELECT FROM unnest(p.polroles) AS o WHERE o <> 0 AND pg_has_role(me.oid, o, 'USAGE')
                ))
        )
    ORDER BY 1
""")


async def unusable(connection: AsyncConnection, names: Sequence[str], who: str | None = None) -> dict[str, str]:
    """Why callers cannot assume these roles, a sentence with its remedy for each.

    ``who`` is the role of the gateway, by default the connection's.

    Raises:
        sqlalchemy.exc.DBAPIError: The database cannot be reached, or refuses a statement.
    """
    me = who or str(await connection.scalar(text("SELECT current_user")))
    rows = (await connection.execute(_UNUSABLE, {"names": list(names), "who": me})).all()
    return {name: _why(name, missing, unbound, me) for name, missing, unbound in rows}


async def unusable_by_any(connection: AsyncConnection, name: str) -> str | None:
    """Why no gateway can assume a role, seen by the owner of its tables; None if one can.

    Gateways are roles that may read tokens and own nothing; without any, the connection's own role.
    """
    gateways: Sequence[str | None] = (await connection.scalars(_SERVING)).all() or [None]
    reasons = [await unusable(connection, [name], who) for who in gateways]
    return reasons[0][name] if all(reasons) else None


async def inherited(connection: AsyncConnection, names: Sequence[str]) -> str | None:
    """Rights that the gateway's role inherits from callers' roles, in a sentence with its remedy; None if there are
    none.

    To assume a role it has to be a member, and need not inherit its rights.
    """
    me = str(await connection.scalar(text("SELECT current_user")))
    found: Sequence[str] = (await connection.scalars(_INHERITED, {"names": list(names), "who": me})).all()
    if not found:
        return None
    listed = ", ".join(found)
    version = int(str(await connection.scalar(text("SHOW server_version_num"))))
    mended = f"GRANT {listed} TO {me} WITH INHERIT FALSE" if version >= 160000 else f"ALTER ROLE {me} NOINHERIT"
    return f"{me} has all rights of {listed} by itself, those to change and delete included; run {mended}"


async def emptied(connection: AsyncConnection, who: str | None = None) -> list[str]:
    """The tables that row level security makes empty for a role, by default the connection's."""
    me = who or str(await connection.scalar(text("SELECT current_user")))
    return list(await connection.scalars(_EMPTIED, {"tables": list(rights()), "who": me}))


async def serving(connection: AsyncConnection) -> Sequence[str]:
    """The roles of gateways, seen by the owner of the gateway's tables; without any, the connection's own."""
    there = await connection.scalar(text("SELECT to_regclass('gateway.service_tokens') IS NOT NULL"))
    found: Sequence[str] = (await connection.scalars(_SERVING)).all() if there else ()
    return found or [str(await connection.scalar(text("SELECT current_user")))]


async def emptied_for_gateways(connection: AsyncConnection) -> dict[str, list[str]]:
    """The tables that are empty to a gateway, by its role, seen by the owner of the gateway's tables."""
    found = {name: await emptied(connection, name) for name in await serving(connection)}
    return {name: tables for name, tables in found.items() if tables}


def hides(role: str, tables: Sequence[str]) -> str:
    """The sentence that tables are empty, with its remedy."""
    which = ", ".join(tables[:5]) + (f" and {len(tables) - 5} more" if len(tables) > 5 else "")
    return (
        f"row level security hides all rows of {which} from {role}: they seem empty; make policies that let it read "
        f"(`e2i-gateway doctor --sql` prints them), or let callers' roles decide with GATEWAY_RLS=on"
    )


def _why(name: str, missing: bool, unbound: bool | None, me: str) -> str:  # noqa: FBT001 - columns of a row
    if missing:
        return f"there is no role {name} in the database; create it, or take it out of GATEWAY_RLS_ROLES"
    if unbound:
        return f"no policy binds the role {name}, a superuser or one with BYPASSRLS; take it out of GATEWAY_RLS_ROLES"
    return f"{me} is no member of the role {name}; run GRANT {name} TO {me}"

"""The roles of callers, where the database's own policies decide what they see."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

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


async def unusable(connection: AsyncConnection, names: Sequence[str], who: str | None = None) -> dict[str, str]:
    """Why callers cannot have these roles, a sentence with its remedy for each that they cannot have.

    ``who`` is the role of the gateway, that of the connection if it is not given.

    Raises:
        sqlalchemy.exc.DBAPIError: The database cannot be reached or refuses to answer.
    """
    me = who or str(await connection.scalar(text("SELECT current_user")))
    rows = (await connection.execute(_UNUSABLE, {"names": list(names), "who": me})).all()
    return {name: _why(name, missing, unbound, me) for name, missing, unbound in rows}


async def unusable_by_any(connection: AsyncConnection, name: str) -> str | None:
    """Why no gateway can act as a role, seen by the owner of its tables; None where one can.

    Gateways are roles that may look tokens up and own nothing, the connection's own where there is none.
    """
    serving: Sequence[str | None] = (await connection.scalars(_SERVING)).all() or [None]
    reasons = [await unusable(connection, [name], who) for who in serving]
    return reasons[0][name] if all(reasons) else None


def _why(name: str, missing: bool, unbound: bool | None, me: str) -> str:  # noqa: FBT001 - columns of a row
    if missing:
        return f"there is no role {name} in the database; create it, or take it out of GATEWAY_RLS_ROLES"
    if unbound:
        return f"no policy binds the role {name}, a superuser or one with BYPASSRLS; take it out of GATEWAY_RLS_ROLES"
    return f"{me} is no member of the role {name}; run GRANT {name} TO {me}"

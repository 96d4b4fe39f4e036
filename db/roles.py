"""The roles of callers, where the database's own policies decide what they see."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

_UNUSABLE = text("""
    SELECT asked.name, role.oid IS NULL AS missing, role.rolsuper OR role.rolbypassrls AS unbound
    FROM unnest(CAST(:names AS text[])) AS asked (name)
    LEFT JOIN pg_roles AS role ON role.rolname = asked.name
    WHERE role.oid IS NULL OR role.rolsuper OR role.rolbypassrls OR NOT pg_has_role(
        current_user, role.oid, CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET'
                                     ELSE 'MEMBER' END
    )
    ORDER BY asked.name
""")


async def unusable(engine: AsyncEngine, names: Sequence[str]) -> list[str]:
    """Why callers cannot have these roles, a sentence each with its remedy; empty where they can.

    Raises:
        sqlalchemy.exc.DBAPIError: The database cannot be reached or refuses to answer.
    """
    async with engine.connect() as connection:
        me = await connection.scalar(text("SELECT current_user"))
        rows = (await connection.execute(_UNUSABLE, {"names": list(names)})).all()
    return [_why(name, missing, unbound, str(me)) for name, missing, unbound in rows]


def _why(name: str, missing: bool, unbound: bool | None, me: str) -> str:  # noqa: FBT001 - columns of a row
    if missing:
        return f"there is no role {name} in the database; create it, or take it out of GATEWAY_RLS_ROLES"
    if unbound:
        return f"no policy binds the role {name}, a superuser or one with BYPASSRLS; take it out of GATEWAY_RLS_ROLES"
    return f"{me} is no member of the role {name}; run GRANT {name} TO {me}"

"""The report of `db attach`: the database, what was done, and the important differences, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.attach.attach import Differences, Explain, Severity, attach_over
from db.migrations.setup import connect

SHOWN = 5
"""The number of differences on a page, those that break something first."""
WIDTH = 156
"""The longest line on a page, in characters: two rows of a terminal."""


@dataclass(frozen=True)
class Report:
    """The result of attaching to a database."""

    where: str
    did: str
    differences: Differences

    def text(self, *, everything: bool = False) -> str:
        """For the terminal: a page, or everything."""
        head = [self.where, self.did, ""]
        if everything or not self.differences.notes:
            return "\n".join(head) + "\n" + self.differences.text()
        return "\n".join([*head, *self._page()]) + "\n"

    def _page(self) -> Sequence[str]:
        lines, listed = list[str](), 0
        for severity in (Severity.BREAKS, Severity.COSTS):
            if notes := self.differences.of(severity):
                shown = notes[: SHOWN - listed]
                listed += len(shown)
                lines.append(f"{severity.value} ({len(notes)}):")
                lines += [shorten(f"  - {note.message}", WIDTH) for note in shown]
                lines += [f"  ... and {len(notes) - len(shown)} more", ""] if len(notes) > len(shown) else [""]
        if left := len(self.differences.notes) - listed:
            lines.append(f"{left} more differences: `e2i-gateway db attach --all` or `db check`.")
        if any(note.remedy for note in self.differences.notes):
            lines.append("What the owner of the tables may run about them: `e2i-gateway doctor --sql`.")
        lines.append("`e2i-gateway db detach` takes away what the gateway has brought.")
        return lines


def shorten(line: str, width: int) -> str:
    """A line of at most ``width`` characters, cut at its end where it is longer."""
    return line if len(line) <= width else f"{line[: width - 1]}\u2026"


async def attach_and_tell(url: URL, explain: Explain | None = None) -> Report:
    """Attaches like :func:`db.attach.attach.attach`, and reports the database and the result.

    Raises:
        SetupError: The tables cannot be migrated.
        DatabaseUnavailableError: The database cannot be reached.
    """
    async with connect(url) as connection, connection.begin():
        where = await _where(connection, url)
        before = await _state(connection)
        differences = await attach_over(connection, explain)
        return Report(where, _did(before, await _state(connection)), differences)


async def _where(connection: AsyncConnection, url: URL) -> str:
    row = (await connection.execute(_SERVER)).one()
    host = url.host or "a local socket"
    vector = f"pgvector {row.vector}" if row.vector else "no pgvector"
    standby = ", a standby" if row.in_recovery else ""
    return (
        f"Database {row.database} at {host}{f':{url.port}' if url.host and url.port else ''}, as {row.role} "
        f"(Postgres {row.version}{standby}, {vector})."
    )


_SERVER = text("""
    SELECT current_database()::text AS database, current_user::text AS role, pg_is_in_recovery() AS in_recovery,
        split_part(current_setting('server_version'), ' ', 1) AS version,
        (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS vector
""")
_STATE = text("""
    SELECT to_regnamespace('gateway') IS NOT NULL AS there, to_regclass('gateway.alembic_version') IS NOT NULL AS ours,
        (
            SELECT count(*)::int FROM pg_class WHERE relnamespace = to_regnamespace('gateway') AND relkind = 'r'
        ) AS tables,
        ARRAY(
            SELECT DISTINCT a.grantee::regrole::text FROM pg_class AS c, aclexplode(c.relacl) AS a
            WHERE c.oid = to_regclass('gateway.lifecycle_events') AND a.grantee <> c.relowner ORDER BY 1
        ) AS roles
""")


class _State(NamedTuple):
    there: bool
    ours: bool
    tables: int
    roles: Sequence[str]
    """The roles that may use the gateway's tables, beside their owner."""


async def _state(connection: AsyncConnection) -> _State:
    return _State(*(await connection.execute(_STATE)).one())


def _did(before: _State, after: _State) -> str:
    made = _made(before, after)
    roles = [role for role in after.roles if role not in before.roles]
    return f"{made} {' and '.join(roles)} may use its tables." if roles else made


def _made(before: _State, after: _State) -> str:
    there, ours, tables, _ = after
    if ours:
        return "The gateway built it: there was nothing to attach, and `e2i-gateway db migrate` brings it up to date."
    if not there:
        return (
            "Nothing was made: this role may not make the schema gateway here. None of the database's own was changed."
        )
    if not before.there:
        return f"Made the schema gateway with {tables} tables. None of the database's own was changed."
    new = tables - before.tables
    what = f"{new} new tables in it" if new > 0 else "it has all its tables"
    return f"The schema gateway was there; {what}. None of the database's own was changed."

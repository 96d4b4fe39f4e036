"""Partitions by month of tables of facts: the months that there are, those to come, and those that are dropped whole.

Months begin at midnight UTC. Rows without a time, and those of months that have no partition, are in the default
partition. `db.migrations.partition` makes a table partitioned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.base.quoting import identifier
from db.base.vocabulary import Entity, entities, table_of
from db.store import current_state, rollups

DEFAULT = "default"
"""The suffix of the default partition."""
AHEAD = 3
"""Months after the current one that have a partition by default."""


class MonthlyTable(NamedTuple):
    """A table of facts that can be partitioned, and the column of the time that determines a row's month."""

    table: Table
    by: str


def monthly_tables() -> Iterator[MonthlyTable]:
    """The tables whose old rows may be removed whatever their state, and to which no foreign key refers.

    A foreign key to a partitioned table would need the time of the row that it refers to.
    """
    referred = {key.column.table for table in Entity.metadata.tables.values() for key in table.foreign_keys}
    for entity in entities().values():
        retention = entity.__record__.retention if entity.__record__ else None
        if retention and not retention.states and table_of(entity) not in referred:
            yield MonthlyTable(table_of(entity), retention.by)


class Month(NamedTuple):
    """A month by its year and number."""

    year: int
    month: int

    @classmethod
    def of(cls, time: datetime) -> Month:
        """The month of a time, in UTC."""
        time = time.astimezone(UTC)
        return cls(time.year, time.month)

    def after(self, months: int) -> Month:
        """The month so many months later."""
        year, month = divmod(self.year * 12 + self.month - 1 + months, 12)
        return Month(year, month + 1)

    @property
    def start(self) -> str:
        """Its first moment, as text for Postgres."""
        return f"{self.year:04}-{self.month:02}-01 00:00:00+00"

    def partition(self, table: Table) -> str:
        """The name of its partition, without a schema."""
        return f"{table.name}_{self.year:04}_{self.month:02}"


class Partition(NamedTuple):
    """A partition with all rows of a range of times, half-open; ``name`` is SQL."""

    name: str
    since: datetime
    until: datetime


_PARTITIONS = text(r"""
    SELECT format('%I.%I', n.nspname, p.relname), bounds[1]::timestamptz, bounds[2]::timestamptz
    FROM pg_partitioned_table AS k
    JOIN pg_attribute AS a ON a.attrelid = k.partrelid AND a.attnum = k.partattrs[0]
    JOIN pg_inherits AS i ON i.inhparent = k.partrelid
    JOIN pg_class AS p ON p.oid = i.inhrelid
    JOIN pg_namespace AS n ON n.oid = p.relnamespace
    CROSS JOIN LATERAL regexp_match(
        pg_get_expr(p.relpartbound, p.oid), '^FOR VALUES FROM \(''([^'']+)''\) TO \(''([^'']+)''\)$'
    ) AS bounds
    WHERE k.partrelid = to_regclass(:name) AND k.partstrat = 'r' AND k.partnatts = 1 AND a.attname = :by
        AND p.relkind = 'r' AND bounds IS NOT NULL
    ORDER BY 2
""")


_READERS = text("""
    SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
    FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
    WHERE c.oid = to_regclass(:name) AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner
""")


async def partitions(connection: AsyncConnection, one: MonthlyTable) -> list[Partition]:
    """The partitions of a table by ranges of its time, the oldest first; empty if it has none."""
    found = await connection.execute(_PARTITIONS, {"name": one.table.fullname, "by": one.by})
    return [Partition(*row) for row in found]


async def add_months(connection: AsyncConnection, one: MonthlyTable, months: Sequence[Month]) -> list[str]:
    """Adds partitions of months that a partitioned table has none for, with the rows that the default partition has of
    them. Returns their names.

    Raises:
        sqlalchemy.exc.DBAPIError: The role does not own the table, or a lock is not available in time.
    """
    there = [(part.since, part.until) for part in await partitions(connection, one)]
    table, by = one.table.fullname, identifier(one.by)
    schema = f"{identifier(one.table.schema or 'public')}."
    default, made = f"{schema}{identifier(f'{one.table.name}_{DEFAULT}')}", []
    has_default = await connection.scalar(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": default})
    for month in months:
        begin = datetime(month.year, month.month, 1, tzinfo=UTC)
        if any(since <= begin < until for since, until in there):
            continue
        name = f"{schema}{identifier(month.partition(one.table))}"
        bounds = f"FROM ('{month.start}') TO ('{month.after(1).start}')"
        await connection.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)"))
        if has_default:
            await connection.execute(
                text(
                    f"WITH moved AS (DELETE FROM {default} WHERE {by} >= '{month.start}' "
                    f"AND {by} < '{month.after(1).start}' RETURNING *) INSERT INTO {name} SELECT * FROM moved"
                )
            )
        await connection.execute(text(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES {bounds}"))
        made.append(name)
    if made:
        await share_reading(connection, one, made)
        await rollups.adopt(connection, one.table, made)
        await current_state.adopt(connection, one.table, made)
    return made


async def share_reading(connection: AsyncConnection, one: MonthlyTable, names: Sequence[str]) -> None:
    """Lets those who may read a table read partitions of it, by SQL of their names, so that they see the statistics of
    these: the whole has none."""
    for reader in await connection.scalars(_READERS, {"name": one.table.fullname}):
        await connection.execute(text(f"GRANT SELECT ON {', '.join(names)} TO {reader}"))


async def drop(connection: AsyncConnection, one: MonthlyTable, partition: Partition) -> None:
    """Drops a partition with its rows; what is stored of them follows. Locks the whole table for a moment.

    Raises:
        sqlalchemy.exc.DBAPIError: The role does not own the table, or a lock is not available in time.
    """
    await current_state.mark_all(connection, one.table, partition.name)
    await connection.execute(text(f"DROP TABLE {partition.name}"))
    await rollups.forget(connection, one.table, partition.name, partition.since, partition.until)
    await current_state.forget(connection, one.table, partition.name)

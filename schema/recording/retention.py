"""Retention policies: the number of days for which rows are kept, and the removal of older rows in slices."""

from __future__ import annotations

import secrets
import time
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.engine.clock import CLOCK
from db.engine.errors import FOREIGN_KEY, INSUFFICIENT_PRIVILEGE, LOCK_NOT_AVAILABLE, QUERY_CANCELED, diagnostics
from db.store import own_rows, partitions
from db.store.partitions import MonthlyTable, Partition
from schema.catalogue.catalogue import Type
from schema.recording.old_rows import FOREIGN_KEYS, OldRows, ReferredMeanwhileError, RemovedRows, columns_of
from schema.recording.purging import AUDIT, audit
from schema.recording.record_types import RecordType, purge_mutations

SLICE = 1_000
"""The number of rows that one transaction removes."""
SLICE_SECONDS = 30
"""The statement timeout of a slice in seconds; its lock timeout is a tenth of it."""
MAX_DAYS = 36_500
TRIES = 3
"""Attempts at a slice that conflicts with other transactions, which reference or remove its rows."""

_COLUMNS = """
    SELECT c.oid::regclass::text, a.attname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped
        AND pg_table_is_visible(c.oid)
"""


class PolicyError(ValueError):
    """A policy is invalid; the message says what would be valid."""


@dataclass(frozen=True)
class Policy:
    """A retention policy: days by the name of the purge mutation."""

    days: Mapping[str, int]

    @classmethod
    def read(cls, text: bytes) -> Policy:
        """Parses a policy in TOML: a table ``keep`` with days by names of lists, such as ``servingMetrics = 90``.

        Raises:
            PolicyError: The text is not such a policy.
        """
        try:
            found = tomllib.loads(text.decode())
        except ValueError as error:
            raise PolicyError(f"the policy is no TOML in UTF-8: {error}") from None
        if unknown := sorted(found.keys() - {"keep"}):
            raise PolicyError(f"the policy has {unknown[0]!r}; it has one table, [keep], with days by names of lists")
        keep = found.get("keep")
        if not isinstance(keep, dict) or not keep:
            raise PolicyError("the policy needs a table [keep] with days by names of lists: servingMetrics = 90")
        return cls({_mutation(name): _days(name, days) for name, days in keep.items()})


def _kept() -> Mapping[str, str]:
    return {one.type.plural: name for name, one in purge_mutations().items()}


def _mutation(name: str) -> str:
    kept = _kept()
    if name not in kept:
        near = get_close_matches(name, kept, n=1)
        meant = f"did you mean {near[0]}?" if near else f"they are {', '.join(sorted(kept))}"
        raise PolicyError(f"keep.{name}: no such rows can be purged; {meant}")
    return kept[name]


def table_of_list(name: str) -> str:
    """The table of a list of rows that can be partitioned by month.

    Raises:
        PolicyError: There is no such list; the message names those that there are.
    """
    monthly = {one.table.fullname for one in partitions.monthly_tables()}
    kept = {one.type.plural: one.type.sql_name for one in purge_mutations().values() if one.type.sql_name in monthly}
    if name not in kept:
        near = get_close_matches(name, kept, n=1)
        meant = f"did you mean {near[0]}?" if near else f"they are {', '.join(sorted(kept))}"
        raise PolicyError(f"{name}: no such rows can be partitioned; {meant}")
    return kept[name]


def _days(name: str, days: Any) -> int:
    least = purge_mutations()[_mutation(name)].plan.declared.retention
    assert least is not None  # noqa: S101 - it is one of those
    if type(days) is not int or not least.days <= days <= MAX_DAYS:
        raise PolicyError(f"keep.{name}: {days!r} is no number of days from {least.days} to {MAX_DAYS:,}")
    return days


@dataclass
class RetentionRun:
    """A run of a policy: removes expired rows, or counts them unless ``applies``. Every slice is a transaction.

    ``tell`` receives a line for each type and each of the gateway's own tables. After ``seconds`` no further slice
    begins. ``failed`` says whether an error was reported.
    """

    connection: AsyncConnection
    tell: Callable[[str], None]
    applies: bool
    live_hours: float
    seconds: float
    failed: bool = False
    _began: float = field(default_factory=time.monotonic)
    _id: str = field(default_factory=lambda: f"retention-{secrets.token_hex(8)}")

    async def run(self, policy: Policy) -> None:
        """Runs the policy; an error of the database is reported, and the other tables are processed."""
        async with self.connection.begin():
            columns = {tuple(row) for row in await self._rows(_COLUMNS)}
            actor = f"{(await self._rows('SELECT current_user'))[0][0]} (db retention)"
        for name in sorted(policy.days, key=list(purge_mutations()).index):
            await self._guarded(name, self._rows_of(name, policy.days[name], columns, actor))
        for table, which in own_rows.over(self.live_hours).items():
            await self._guarded(table, self._own(table, which))

    async def _guarded(self, name: str, work: Any) -> None:
        try:
            await work
        except DBAPIError as error:
            self.failed = True
            self.tell(f"{name}: the database refuses: {diagnostics(error).words}")

    async def _rows_of(self, name: str, days: int, columns: Collection[Any], actor: str) -> None:
        type_ = purge_mutations()[name]

        def lacks(of: Type, wanted: Sequence[str]) -> str | None:
            return next((f"{of.sql_name}.{one}" for one in wanted if (of.sql_name, one) not in columns), None)

        plural = type_.type.plural
        if what := lacks(type_.type, columns_of(type_)):
            self.failed = True
            self.tell(f"{plural}: this database has no {what}")
            return
        before = (CLOCK.now() - timedelta(days=days)).isoformat()
        async with self.connection.begin():
            keys = [tuple(row) for row in await self._rows(FOREIGN_KEYS, type_.type.sql_name)]
        old = OldRows(type_, keys, lacks)
        referred = 0 if old.referred is None else await self._counted(old.referred, before)
        found = None if self.applies else await self._counted(old.count, before)
        gone, more, idle = 0, self.applies, 0
        monthly = next((one for one in partitions.monthly_tables() if one.table.fullname == type_.type.sql_name), None)
        if self.applies and monthly and old.referred is None:
            gone = await self._whole_months(name, type_, monthly, before, actor)
        while more and idle < TRIES and not self._is_over:
            removed = await self._slice(name, type_, old, before, actor, last=idle == TRIES - 1)
            gone, more = gone + removed.purged, removed.more
            idle = 0 if removed.purged else idle + 1
        staying = f"; {referred:,} stay because other rows refer to them" if referred else ""
        if referred is None:
            staying = f"; rows that stay because others refer to them were not counted within {SLICE_SECONDS} seconds"
        why = "; time is over, others are left" if self._is_over else "; others are left, locked by other transactions"
        self._say(plural, gone if self.applies else found, f" older than {days} days", staying, why if more else "")

    async def _slice(
        self, name: str, type_: RecordType, old: OldRows, before: str, actor: str, *, last: bool
    ) -> RemovedRows:
        """Removes a slice; no row if one of them was referenced concurrently.

        Raises:
            DBAPIError: The database refuses the deletion; if by a foreign key, only in the ``last`` attempt.
        """
        try:
            async with self.connection.begin():
                await self._bound()
                removed = await old.take(lambda sql, values: self._rows(sql, *values), before, SLICE)
                if removed.purged:
                    reason = "retention policy"
                    values = audit(
                        name, type_, actor, self._id, before, removed.purged, removed.first, removed.last, reason
                    )
                    await self._rows(f"{AUDIT} RETURNING recording_id::text", *values)
        except ReferredMeanwhileError:
            return RemovedRows(0, None, None, None, more=True)
        except DBAPIError as error:
            if last or diagnostics(error).state != FOREIGN_KEY:
                raise
            return RemovedRows(0, None, None, None, more=True)
        return removed

    async def _whole_months(self, name: str, type_: RecordType, monthly: MonthlyTable, before: str, actor: str) -> int:
        """Drops the partitions whose rows are all older; returns how many rows they had.

        Older rows that are left, as those of a partition that is in use or of another owner, go in slices.
        """
        gone, oldest = 0, datetime.fromisoformat(before)
        async with self.connection.begin():
            whole = [one for one in await partitions.partitions(self.connection, monthly) if one.until <= oldest]
        for partition in whole:
            if self._is_over:
                break
            try:
                async with self.connection.begin():
                    await self._bound()
                    gone += await self._drop(name, type_, monthly, partition, before, actor)
            except DBAPIError as error:
                if diagnostics(error).state not in {LOCK_NOT_AVAILABLE, INSUFFICIENT_PRIVILEGE, QUERY_CANCELED}:
                    raise
                self.tell(f"{type_.type.plural}: {partition.name} was not dropped: {diagnostics(error).words}")
        return gone

    async def _drop(
        self, name: str, type_: RecordType, monthly: MonthlyTable, partition: Partition, before: str, actor: str
    ) -> int:
        await self.connection.exec_driver_sql(f"LOCK TABLE {partition.name} IN SHARE ROW EXCLUSIVE MODE")
        shown = "to_char(%s AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
        times = ", ".join(shown % f"{one}({monthly.by})::timestamptz" for one in ("min", "max"))
        ((rows, first, last),) = await self._rows(f"SELECT count(*), {times} FROM {partition.name}")
        await partitions.drop(self.connection, monthly, partition)
        if rows:
            reason = f"retention policy: {partition.name} was dropped"
            await self._rows(
                f"{AUDIT} RETURNING recording_id::text",
                *audit(name, type_, actor, self._id, before, rows, first, last, reason),
            )
        return int(rows)

    async def _counted(self, sql: str, *values: str) -> int | None:
        """The result of a counting statement; None after `SLICE_SECONDS`."""
        try:
            async with self.connection.begin():
                await self._bound()
                ((found,),) = await self._rows(sql, *values)
        except DBAPIError as error:
            if diagnostics(error).state != QUERY_CANCELED:
                raise
            return None
        return int(found)

    async def _own(self, table: str, which: str) -> None:
        gone: int | None = 0
        more = True
        if not self.applies:
            gone, more = await self._counted(own_rows.count(table, which)), False
        while more and not self._is_over:
            async with self.connection.begin():
                await self._bound()
                ((slice_,),) = await self._rows(own_rows.take(table, which), str(SLICE))
            gone = (gone or 0) + slice_
            more = slice_ == SLICE
        self._say(table, gone, "", more="; time is over, others are left" if more else "")

    def _say(self, name: str, rows: int | None, which: str, staying: str = "", more: str = "") -> None:
        if rows is None:
            self.tell(f"{name}: not counted{which} within {SLICE_SECONDS} seconds{staying}")
            return
        verb = "removed" if self.applies else "would go"
        self.tell(f"{name}: {rows:,}{which} {verb}{staying}{more}")

    @property
    def _is_over(self) -> bool:
        return time.monotonic() - self._began > self.seconds

    async def _bound(self) -> None:
        for name, seconds in (("statement_timeout", SLICE_SECONDS), ("lock_timeout", SLICE_SECONDS / 10)):
            await self.connection.exec_driver_sql(f"SET LOCAL {name} = {int(seconds * 1000)}")

    async def _rows(self, sql: str, *values: Any) -> Sequence[Any]:
        return (await self.connection.exec_driver_sql(sql, values)).all()

"""SQL of purges: selects old rows and referenced ones, and deletes the oldest that nothing references.

References may be inserted concurrently with a purge. A foreign key without an action raises an error then. With ON
DELETE CASCADE or SET NULL the rows are locked before the check for references, so that new references wait. Links
without a foreign key are checked again after the deletion, so that references committed meanwhile are detected.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from db.base.lifecycles import lifecycle_of
from db.base.markers import Retention
from db.base.quoting import literals
from db.base.vocabulary import entities, relations
from schema.catalogue.catalogue import Type
from schema.catalogue.from_models import catalogue
from schema.recording.record_types import RecordType

REFERRED = 10_000
"""The limit up to which referenced old rows are counted."""

Lacks = Callable[[Type, Sequence[str]], Any]
"""The first of the columns of a type that the database lacks; a false value if it has them all."""

FOREIGN_KEYS = """
    SELECT c.conrelid::regclass::text, string_agg(format('r.%I = t.%I', a.attname, b.attname), ' AND ' ORDER BY p),
        c.confdeltype IN ('c', 'n', 'd')
    FROM pg_constraint AS c
    CROSS JOIN LATERAL unnest(c.conkey, c.confkey) WITH ORDINALITY AS u (own, other, p)
    JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = u.own
    JOIN pg_attribute AS b ON b.attrelid = c.confrelid AND b.attnum = u.other
    WHERE c.contype = 'f' AND c.confrelid = to_regclass($1::text) AND c.conrelid <> c.confrelid
        AND c.conparentid = 0 AND has_table_privilege(c.conrelid, 'SELECT')
    GROUP BY c.oid, c.conrelid ORDER BY 1, 2
"""
"""Foreign keys from other tables to the table ``$1``: the referencing table, the join condition of its row ``r`` and
the referenced row ``t``, and whether the foreign key has a delete action (CASCADE, SET NULL or SET DEFAULT).

Tables that the role cannot read are left out; the database enforces their foreign keys.
"""


Run = Callable[[str, Sequence[Any]], Awaitable[Sequence[Any]]]
"""Runs a statement with its values and returns its rows."""


class ReferredMeanwhileError(Exception):
    """Deleted rows were referenced concurrently: the transaction is to be rolled back and may be repeated."""


@dataclass(frozen=True)
class RemovedRows:
    """The result of a deletion of old rows.

    ``first`` and ``last`` are their earliest and latest times (ISO 8601 in UTC), ``which`` is an MD5 of their keys; all
    are None if no row was deleted. ``more`` says whether further rows may be deleted.
    """

    purged: int
    first: str | None
    last: str | None
    which: str | None
    more: bool


@dataclass(frozen=True)
class OldRows:
    """The rows of a type that are older than ``$1`` and may be purged.

    ``foreign_keys`` are the rows of `FOREIGN_KEYS` for its table.
    """

    type: RecordType
    foreign_keys: Collection[tuple[str, str, bool]]
    lacks: Lacks

    async def take(self, run: Run, before: str, limit: int) -> RemovedRows:
        """Deletes at most ``limit`` of the oldest rows, in a READ COMMITTED transaction of the caller.

        Raises:
            ReferredMeanwhileError: The transaction is to be rolled back.
            RefusedByDatabaseError: A foreign key or a trigger refuses the deletion.
        """
        ((found, there),) = await run(self._look, [before, str(limit)])
        if not there:
            return RemovedRows(0, None, None, None, more=False)
        ((purged, first, last, gone, which),) = await run(self._remove, [before, found])
        if gone and (await run(self._linked, [before, gone]))[0][0]:
            raise ReferredMeanwhileError
        return RemovedRows(purged, first, last, which, more=there > limit)

    @property
    def _look(self) -> str:
        """Selects the ``$2`` oldest rows: their keys as a JSON array, and the number of rows, at most ``$2`` + 1."""
        table, key = self.type.type, ", ".join(f"t.{column}" for column in self.type.type.key)
        lock = " FOR UPDATE OF t" if any(lets_go for *_, lets_go in self.foreign_keys) else ""
        return (
            f"WITH old AS (SELECT {key} FROM {table.sql_name} AS t WHERE {self._old('t')}{self._unreferred} "
            f"ORDER BY t.{_retention(self.type).by}, {key} LIMIT $2::text::bigint + 1{lock}), "
            f"first AS (SELECT * FROM old LIMIT $2::text::bigint) "
            "SELECT (SELECT coalesce(jsonb_agg(to_jsonb(first)), '[]')::text FROM first), (SELECT count(*) FROM old)"
        )

    @property
    def _remove(self) -> str:
        """Deletes those of the keys ``$2`` that nothing references.

        Returns the number of rows, their earliest and latest times (ISO 8601 in UTC), the columns that links compare as
        a JSON array (null if there are no links to check again), and an MD5 of the keys.
        """
        table = self.type.type
        same = " AND ".join(f"t.{column} = o.{column}" for column in table.key)
        time = _retention(self.type).by
        linked = dict.fromkeys((*table.key, time, *self._remotes))
        pairs = ", ".join(f"'{column}', {column}" for column in linked)
        gone = f"jsonb_agg(jsonb_build_object({pairs}))::text" if self._remotes else "NULL::text"
        shown = "to_char({v} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
        if self._is_without_zone:
            shown = shown.replace(" AT TIME ZONE 'UTC'", "")
        keys = " || ' ' || ".join(f"{column}::text" for column in table.key)
        first, last = (shown.replace("{v}", f"{one}({time})") for one in ("min", "max"))
        returned = ", ".join(f"t.{column}" for column in linked)
        return (
            f"WITH gone AS (DELETE FROM {table.sql_name} AS t USING {self._rows_of('$2')} AS o "
            f"WHERE {same} AND {self._old('t')}{self._unreferred} RETURNING {returned}) "
            f"SELECT count(*), {first}, {last}, {gone}, "
            f"md5(string_agg({keys}, ',' ORDER BY {keys})) FROM gone"
        )

    @property
    def _linked(self) -> str:
        """Whether a link without a foreign key references one of the deleted rows ``$2``, a JSON array."""
        links = " OR ".join(f"EXISTS (SELECT FROM {table} AS r WHERE {equal})" for table, equal, _ in self._links())
        return f"SELECT EXISTS (SELECT FROM {self._rows_of('$2')} AS t WHERE {links}), $1::text"

    def _rows_of(self, value: str) -> str:
        return f"jsonb_populate_recordset(NULL::{self.type.type.sql_name}, {value}::text::jsonb)"

    @property
    def count(self) -> str:
        """Counts the rows that may be purged."""
        return f"SELECT count(*) FROM {self.type.type.sql_name} AS t WHERE {self._old('t')}{self._unreferred}"

    @property
    def referred(self) -> str | None:
        """Counts the old rows that are referenced, up to `REFERRED`; None if nothing can reference the type."""
        referring = list(self._referring())
        if not referring:
            return None
        table = self.type.type.sql_name
        which = f"{self._old('t')} AND ({' OR '.join(referring)})"
        return f"SELECT count(*) FROM (SELECT FROM {table} AS t WHERE {which} LIMIT {REFERRED}) AS s"

    @property
    def _unreferred(self) -> str:
        """Conditions, each after an AND, that nothing references a row ``t``."""
        return "".join(f" AND NOT {one}" for one in self._referring())

    @property
    def _remotes(self) -> Sequence[str]:
        """The columns of the type that links without a foreign key compare."""
        return list(dict.fromkeys(remote for *_, remotes in self._links() for remote in remotes))

    @property
    def _is_without_zone(self) -> bool:
        return self.type.type.column_kind(_retention(self.type).by).pg_type == "timestamp"

    def _old(self, row: str) -> str:
        """The condition that a row is older than ``$1`` and in a state in which it may be purged."""
        retention = _retention(self.type)
        before = "$1::text::timestamptz"
        if self._is_without_zone:
            before = f"({before} AT TIME ZONE 'UTC')"
        found = f"{row}.{retention.by} < {before}"
        if retention.states:
            lifecycle = lifecycle_of(self.type.name)
            assert lifecycle is not None  # noqa: S101 - its states are declared
            texts = literals(lifecycle.text(lifecycle.states[name]) for name in retention.states)
            found += f" AND {row}.{lifecycle.column}::text IN ({texts})"
        return found

    def _referring(self) -> Iterator[str]:
        """One condition per foreign key or link of the models: that it references a row ``t``."""
        found = dict.fromkeys((table, equal) for table, equal, _ in (*self.foreign_keys, *self._links()))
        for table, equal in found:
            yield f"EXISTS (SELECT FROM {table} AS r WHERE {equal})"

    def _links(self) -> Iterator[tuple[str, str, Sequence[str]]]:
        """Links of the models that are not foreign keys: the table, the join condition, and the columns compared."""
        enforced = {(table, equal) for table, equal, _ in self.foreign_keys}
        own = self.type.name
        for name, entity in entities().items():
            other = catalogue()[name]
            for one in relations(entity).values():
                if one.target != own or not one.on or self.lacks(other, list(one.on)):
                    continue
                equal = " AND ".join(f"r.{column} = t.{remote}" for column, remote in one.on.items())
                if name == own:  # a reference from a row that is purged as well does not count
                    equal += f" AND NOT coalesce({self._old('r')}, false)"
                if (other.sql_name, equal) not in enforced:
                    yield other.sql_name, equal, list(one.on.values())


def _retention(type_: RecordType) -> Retention:
    retention = type_.plan.declared.retention
    assert retention is not None  # noqa: S101 - it is of a type whose rows go
    return retention


def columns_of(type_: RecordType) -> list[str]:
    """The columns that the selection of rows to purge needs."""
    retention, lifecycle = _retention(type_), lifecycle_of(type_.name)
    state = [lifecycle.column] if retention.states and lifecycle else []
    return [*type_.type.key, retention.by, *state]

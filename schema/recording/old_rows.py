"""SQL of purges: old rows, rows that others refer to, and the removal of the oldest ones.

Who refers to a row may come while it goes. Foreign keys that refuse its going say so themselves; where one cascades, or
sets null, rows are locked before they are looked at again, which keeps new references waiting. Links without a foreign
key are looked at once more when the rows are gone, so that none is committed by then that was not seen.
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
"""Rows that stay since others refer to them, as far as they are counted."""

Lacks = Callable[[Type, Sequence[str]], Any]
"""What a database lacks of the columns of a type; nothing of it where it has them all."""

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
"""Foreign keys of other tables to one: the table, the condition between its row ``r`` and the other's, ``t``, and
whether it lets a row go that is referred to: whoever refers to it goes too, or refers to nothing then.

Those of tables that the role cannot read are left to the database, which refuses or cascades.
"""


Run = Callable[[str, Sequence[Any]], Awaitable[Sequence[Any]]]
"""Runs a statement with its values; gives its rows."""


class ReferredMeanwhileError(Exception):
    """Somebody has begun to refer to rows while they went: the transaction is to be undone, and may be run again."""


@dataclass(frozen=True)
class Taken:
    """Old rows that went: how many, their earliest and latest time (ISO 8601 in UTC), a hash of their keys, and whether
    there are more.
    """

    purged: int
    first: str | None
    last: str | None
    which: str | None
    more: bool


@dataclass(frozen=True)
class OldRows:
    """The rows of a type that are older than ``$1``, and may go.

    ``foreign_keys`` are what `FOREIGN_KEYS` gives for its table.
    """

    type: RecordType
    foreign_keys: Collection[tuple[str, str, bool]]
    lacks: Lacks

    async def take(self, run: Run, before: str, limit: int) -> Taken:
        """Removes so many of the oldest rows in a READ COMMITTED transaction.

        Raises:
            ReferredMeanwhileError: The transaction is to be undone.
            RefusedByDatabaseError: A foreign key, or a trigger, does not let them go.
        """
        ((found, there),) = await run(self._look, [before, str(limit)])
        if not there:
            return Taken(0, None, None, None, more=False)
        ((purged, first, last, gone, which),) = await run(self._remove, [before, found])
        if gone and (await run(self._linked, [before, gone]))[0][0]:
            raise ReferredMeanwhileError
        return Taken(purged, first, last, which, more=there > limit)

    @property
    def _look(self) -> str:
        """Finds the ``$2`` oldest: their keys as JSON, and how many there are, one more than that at most."""
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
        """Removes the rows of the keys ``$2`` that nobody refers to; gives how many, their earliest and latest time.

        ISO 8601 in UTC; as JSON what others may refer to, null where there are no links to look at again; and a hash of
        their keys.
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
        """Whether a link without a foreign key leads to one of the rows ``$2``, which are gone."""
        links = " OR ".join(f"EXISTS (SELECT FROM {table} AS r WHERE {equal})" for table, equal, _ in self._links())
        return f"SELECT EXISTS (SELECT FROM {self._rows_of('$2')} AS t WHERE {links}), $1::text"

    def _rows_of(self, value: str) -> str:
        return f"jsonb_populate_recordset(NULL::{self.type.type.sql_name}, {value}::text::jsonb)"

    @property
    def count(self) -> str:
        """How many may go."""
        return f"SELECT count(*) FROM {self.type.type.sql_name} AS t WHERE {self._old('t')}{self._unreferred}"

    @property
    def referred(self) -> str | None:
        """How many stay since others refer to them, up to `REFERRED`; None where nothing can refer to them."""
        referring = list(self._referring())
        if not referring:
            return None
        table = self.type.type.sql_name
        which = f"{self._old('t')} AND ({' OR '.join(referring)})"
        return f"SELECT count(*) FROM (SELECT FROM {table} AS t WHERE {which} LIMIT {REFERRED}) AS s"

    @property
    def _unreferred(self) -> str:
        """That nobody refers to a row ``t``, to be added to other conditions."""
        return "".join(f" AND NOT {one}" for one in self._referring())

    @property
    def _remotes(self) -> Sequence[str]:
        """The columns that links without a foreign key compare."""
        return list(dict.fromkeys(remote for *_, remotes in self._links() for remote in remotes))

    @property
    def _is_without_zone(self) -> bool:
        return self.type.type.column_kind(_retention(self.type).by).pg_type == "timestamp"

    def _old(self, row: str) -> str:
        """Whether a row is old enough, and in a state in which it may go."""
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
        """Conditions of a row ``t`` that is referred to, by a foreign key or by what the models know of."""
        found = dict.fromkeys((table, equal) for table, equal, _ in (*self.foreign_keys, *self._links()))
        for table, equal in found:
            yield f"EXISTS (SELECT FROM {table} AS r WHERE {equal})"

    def _links(self) -> Iterator[tuple[str, str, Sequence[str]]]:
        """What the models know of beyond foreign keys of other tables: the table, the condition, and its columns."""
        enforced = {(table, equal) for table, equal, _ in self.foreign_keys}
        own = self.type.name
        for name, entity in entities().items():
            other = catalogue()[name]
            for one in relations(entity).values():
                if one.target != own or not one.on or self.lacks(other, list(one.on)):
                    continue
                equal = " AND ".join(f"r.{column} = t.{remote}" for column, remote in one.on.items())
                if name == own:  # rows that go too refer to nothing that stays
                    equal += f" AND NOT coalesce({self._old('r')}, false)"
                if (other.sql_name, equal) not in enforced:
                    yield other.sql_name, equal, list(one.on.values())


def _retention(type_: RecordType) -> Retention:
    retention = type_.plan.declared.retention
    assert retention is not None  # noqa: S101 - it is of a type whose rows go
    return retention


def columns_of(type_: RecordType) -> list[str]:
    """The columns without which nobody can tell which rows may go."""
    retention, lifecycle = _retention(type_), lifecycle_of(type_.name)
    state = [lifecycle.column] if retention.states and lifecycle else []
    return [*type_.type.key, retention.by, *state]

"""Old rows as SQL: which of them may go, which stay since others refer to them, and taking the oldest ones away."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
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
    SELECT c.conrelid::regclass::text, string_agg(format('r.%I = t.%I', a.attname, b.attname), ' AND ' ORDER BY p)
    FROM pg_constraint AS c
    CROSS JOIN LATERAL unnest(c.conkey, c.confkey) WITH ORDINALITY AS u (own, other, p)
    JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = u.own
    JOIN pg_attribute AS b ON b.attrelid = c.confrelid AND b.attnum = u.other
    WHERE c.contype = 'f' AND c.confrelid = to_regclass($1::text) AND c.conrelid <> c.confrelid
        AND c.conparentid = 0 AND has_table_privilege(c.conrelid, 'SELECT')
    GROUP BY c.oid, c.conrelid ORDER BY 1, 2
"""
"""Foreign keys of other tables to one: the table, and the condition between its row ``r`` and the other's, ``t``.

Those of tables that the role cannot read are left to the database, which refuses or cascades.
"""


@dataclass(frozen=True)
class OldRows:
    """The rows of a type that are older than ``$1``, and may go.

    ``foreign_keys`` are what `FOREIGN_KEYS` gives for its table.
    """

    type: RecordType
    foreign_keys: Collection[tuple[str, str]]
    lacks: Lacks

    @property
    def take(self) -> str:
        """Removes the ``$2`` oldest; gives how many went, their earliest and latest time, whether there are more, and a
        hash of the keys of those that went.

        ISO 8601 in UTC.
        """
        table, key = self.type.type, ", ".join(f"t.{column}" for column in self.type.type.key)
        same = " AND ".join(f"d.{column} = o.{column}" for column in table.key)
        time = _retention(self.type).by
        shown = "to_char({v} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
        if self._is_without_zone:
            shown = shown.replace(" AT TIME ZONE 'UTC'", "")
        keys = " || ' ' || ".join(f"d.{column}::text" for column in table.key)
        first, last = (shown.replace("{v}", f"{one}({time})") for one in ("min", "max"))
        return (
            f"WITH old AS MATERIALIZED (SELECT {key} FROM {table.sql_name} AS t WHERE {self._old('t')}"
            f"{''.join(f' AND NOT {one}' for one in self._referring())} "
            f"ORDER BY t.{time}, {key} LIMIT $2::text::bigint + 1), "
            f"gone AS (DELETE FROM {table.sql_name} AS d USING (SELECT * FROM old LIMIT $2::text::bigint) AS o "
            f"WHERE {same} AND {self._old('d')} RETURNING d.{time}, {keys} AS keys) "
            f"SELECT count(*), {first}, {last}, (SELECT count(*) > $2::text::bigint FROM old), "
            "md5(string_agg(keys, ',' ORDER BY keys)) FROM gone"
        )

    @property
    def count(self) -> str:
        """How many may go."""
        staying = "".join(f" AND NOT {one}" for one in self._referring())
        return f"SELECT count(*) FROM {self.type.type.sql_name} AS t WHERE {self._old('t')}{staying}"

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
        found = dict.fromkeys(self.foreign_keys)
        own = self.type.name
        for name, entity in entities().items():
            other = catalogue()[name]
            for one in relations(entity).values():
                if one.target != own or not one.on or self.lacks(other, list(one.on)):
                    continue
                equal = " AND ".join(f"r.{column} = t.{remote}" for column, remote in one.on.items())
                if name == own:  # rows that go too refer to nothing that stays
                    equal += f" AND NOT coalesce({self._old('r')}, false)"
                found[other.sql_name, equal] = None
        for table, equal in found:
            yield f"EXISTS (SELECT FROM {table} AS r WHERE {equal})"


def _retention(type_: RecordType) -> Retention:
    retention = type_.plan.declared.retention
    assert retention is not None  # noqa: S101 - it is of a type whose rows go
    return retention


def columns_of(type_: RecordType) -> list[str]:
    """The columns without which nobody can tell which rows may go."""
    retention, lifecycle = _retention(type_), lifecycle_of(type_.name)
    state = [lifecycle.column] if retention.states and lifecycle else []
    return [*type_.type.key, retention.by, *state]

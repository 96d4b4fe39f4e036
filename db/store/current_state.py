"""Maintenance of stored current state: created and dropped by the owner of the tables, refreshed by one gateway process
at a time.

`db.base.current_state` describes it. A refresh step is one transaction with one snapshot: it computes the rows of
marked keys and deletes their marks; marks of transactions that the snapshot does not see remain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from db.base.current_state import TRIGGER, CurrentState, StoredView, current_states
from db.base.quoting import identifier
from db.base.system_catalog import DOMAINS
from db.base.vocabulary import OWN_SCHEMA
from db.engine.errors import diagnostics
from db.store.marking_triggers import MarkingTriggers

_WORD = re.compile(r"[a-z_][a-z0-9_]*")
_RIGHTS = "SELECT, INSERT, UPDATE, DELETE"
"""The rights on stored rows of whoever may delete marks."""
_FILLED = 80
"""Percent of a page of stored rows that is filled at first: most later versions of a row find room beside it."""
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtext('e2i gateway current state'))")
_HAS_STATES = text(f"SELECT to_regclass('{OWN_SCHEMA}.current_states') IS NOT NULL")
_SOURCE = text("""
    SELECT format('%I.%I', n.nspname, c.relname) AS name,
        s.stores IS NOT NULL AND NOT c.relispartition AS plain,
        EXISTS (SELECT FROM pg_subscription_rel WHERE srrelid = ANY (s.stores::regclass[])) AS subscribed,
        EXISTS (
            SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = :key AND atttypid = 'uuid'::regtype
        ) AS keyed,
        row_security_active(c.oid) AS hidden
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL gateway.stores_of(c.oid) AS s (stores) WHERE c.oid = to_regclass(:name)
""")
_STORES = text(f"""
    SELECT store FROM unnest(CAST(:sources AS text[])) AS t (source)
    CROSS JOIN LATERAL unnest({OWN_SCHEMA}.stores_of(to_regclass(t.source))) AS s (store)
    WHERE t.source = :source
""")
_ENUM_DOMAINS = text(f"""
    SELECT format('%s.%s (the domain %s over %s)', t.name, a.attname, format_type(a.atttypid, NULL),
        format_type(d.base, NULL))
    FROM unnest(CAST(:sources AS text[])) AS t (name)
    JOIN pg_attribute AS a ON a.attrelid = to_regclass(t.name) AND a.attname = ANY (:names)
    JOIN {DOMAINS} AS d ON d.oid = a.atttypid
    JOIN pg_type AS b ON b.oid = d.base AND b.typtype = 'e'
    ORDER BY 1
""")
_GRANTEES = text(f"""
    SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
    FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
    WHERE c.oid = '{OWN_SCHEMA}.state_marks'::regclass AND a.privilege_type = 'DELETE'
    UNION SELECT relowner::regrole::text FROM pg_class WHERE oid = '{OWN_SCHEMA}.state_marks'::regclass
""")
_MARKS = MarkingTriggers("mark_state", TRIGGER)


async def make(connection: AsyncConnection) -> list[str]:
    """Stores every current state from now on, in the transaction of the connection; what is stored remains. Returns a
    sentence per state.

    Raises:
        sqlalchemy.exc.DBAPIError: The role does not own a table, or a lock on it is not available within 5 s.
    """
    await connection.execute(text("SET LOCAL lock_timeout = '5s'"))
    return [await _make(connection, state) for state in current_states()]


async def _make(connection: AsyncConnection, state: CurrentState) -> str:
    views = " and ".join(one.view.name for one in state.views)
    sources: dict[str, str] = {}
    for table, key in state.sources.items():
        found = (await connection.execute(_SOURCE, {"name": table, "key": key})).mappings().one_or_none()
        if found is None:
            return f"{state.of}: no state is stored: the database has no table {table}, whose rows it needs"
        if why := next(_refusals(dict(found), table, key), None):
            return f"{state.of}: no state is stored: {why}"
        sources[str(found["name"])] = key
    asked = {"name": state.of, "definition": state.definition}
    kept = text(
        f"SELECT {OWN_SCHEMA}.is_kept(:name, :definition) OR EXISTS (SELECT FROM {OWN_SCHEMA}.current_states "
        f"WHERE name = :name AND definition = :definition AND state = 'building' AND {OWN_SCHEMA}.is_followed(name))"
    )
    if await connection.scalar(kept, asked):
        return f"{state.of}: the rows of {views} are stored"
    await _drop(connection, state)
    try:
        async with connection.begin_nested():
            for one in state.views:
                await _create(connection, one)
    except ProgrammingError as error:
        words = {word for one in state.views for word in _WORD.findall(one.select)}
        read = {"sources": list(state.sources), "names": sorted(words)}
        if in_domains := list(await connection.scalars(_ENUM_DOMAINS, read)):
            why = f"{views} compare enums, and these columns are in domains: {', '.join(in_domains)}; alter their types"
        else:
            why = f"the database refuses the definitions of {views}: {diagnostics(error).words}"
        return f"{state.of}: no state is stored: {why}"
    for source, key in sources.items():
        for store in await connection.scalars(_STORES, {"sources": list(sources), "source": source}):
            await _mark_writes(connection, state, key, str(store))
    await connection.execute(
        text(
            f"INSERT INTO {OWN_SCHEMA}.current_states (name, definition, state, sources, stores) "
            "SELECT :name, :definition, 'building', CAST(:sources AS text[]), ARRAY("
            f"SELECT unnest({OWN_SCHEMA}.stores_of(to_regclass(source))) "
            "FROM unnest(CAST(:sources AS text[])) AS t (source) ORDER BY 1)"
        ),
        {**asked, "sources": list(sources)},
    )
    await connection.execute(
        text(
            f"INSERT INTO {OWN_SCHEMA}.state_marks (name, key) SELECT :name, {state.sources[state.of]} FROM {state.of}"
        ),
        {"name": state.of},
    )
    return f"{state.of}: the rows of {views} are stored from now on, once gateways have computed what is there"


def _refusals(there: Mapping[str, Any], table: str, key: str) -> Iterator[str]:
    """The reasons why a table's writes cannot be followed."""
    if not there["plain"]:
        yield f"{table} is a partition, has foreign partitions or is inherited from: its writes cannot be followed"
    if there["subscribed"]:
        yield f"a subscription writes {table} past its triggers, which mark what is written; run this on its publisher"
    if not there["keyed"]:
        yield f"{table}.{key}, by which rows are marked, is missing or no uuid"
    if there["hidden"]:
        yield f"row level security hides rows of {table} from this role; it and the role of the gateway need BYPASSRLS"


async def _create(connection: AsyncConnection, one: StoredView) -> None:
    """Creates the table of a view's rows, in the types that the database gives them."""
    columns = ", ".join(identifier(name) for name in one.columns)
    key = ", ".join(identifier(name) for name in one.key)
    await connection.execute(
        text(
            f"CREATE TABLE {one.table} WITH (fillfactor = {_FILLED}, autovacuum_vacuum_scale_factor = 0.02) "
            f"AS SELECT {columns} FROM ({one.select}) AS v WITH NO DATA"
        )
    )
    await connection.execute(text(f"ALTER TABLE {one.table} ADD PRIMARY KEY ({key})"))
    for order in one.kept.indexes:
        await connection.execute(text(f"CREATE INDEX ON {one.table} ({order})"))
    await connection.execute(
        text(f"COMMENT ON TABLE {one.table} IS 'Rows of {one.view.name}; those of marked keys are behind.'")
    )
    for grantee in list(await connection.scalars(_GRANTEES)):
        await connection.execute(text(f"GRANT {_RIGHTS} ON {one.table} TO {grantee}"))


async def drop(connection: AsyncConnection) -> list[str]:
    """Drops triggers, stored rows and marks, in the transaction of the connection. Returns the tables whose rows'
    state was stored."""
    await connection.execute(text("SET LOCAL lock_timeout = '5s'"))
    if not await connection.scalar(_HAS_STATES):
        return []
    stored = set(await connection.scalars(text(f"SELECT name FROM {OWN_SCHEMA}.current_states")))
    for state in current_states():
        await _drop(connection, state)
    return sorted(stored)


async def _drop(connection: AsyncConnection, state: CurrentState) -> None:
    await _MARKS.drop(connection, state.of)
    for one in state.views:
        await connection.execute(text(f"DROP TABLE IF EXISTS {one.table}"))
    for own in ("current_states", "state_marks"):
        await connection.execute(text(f"DELETE FROM {OWN_SCHEMA}.{own} WHERE name = :name"), {"name": state.of})


async def _mark_writes(connection: AsyncConnection, state: CurrentState, key: str, store: str) -> None:
    """Creates the triggers on a table or partition; waits for concurrent writers, so that every later write is
    marked."""
    stored = (name for one in state.views for name in (one.name, one.key[0]))
    await _MARKS.create(connection, store, (state.of, key, *stored))


# where other partitions than these have come or gone unnoticed, what is stored is not read any more
_FOLLOW = text(f"""
    WITH now_ AS (
        SELECT s.name, ARRAY(
            SELECT unnest({OWN_SCHEMA}.stores_of(to_regclass(source))) FROM unnest(s.sources) AS t (source) ORDER BY 1
        ) AS stores
        FROM {OWN_SCHEMA}.current_states AS s WHERE s.name = :name
    )
    UPDATE {OWN_SCHEMA}.current_states AS s SET stores = now_.stores FROM now_
    WHERE s.name = now_.name AND now_.stores = ARRAY(
        SELECT unnest(s.stores || CAST(:added AS text[])) EXCEPT SELECT unnest(CAST(:gone AS text[])) ORDER BY 1
    )
    RETURNING true
""")


async def adopt(connection: AsyncConnection, table: Table, partitions: Sequence[str]) -> None:
    """Adds the triggers to new partitions, SQL of their names, of a table that a stored state follows, in the
    transaction that makes them."""
    if not await connection.scalar(_HAS_STATES):
        return
    for state in current_states():
        if (key := state.sources.get(table.fullname)) is None:
            continue
        if await connection.scalar(_FOLLOW, {"name": state.of, "added": list(partitions), "gone": []}):
            for partition in partitions:
                await _mark_writes(connection, state, key, partition)


async def mark_all(connection: AsyncConnection, table: Table, partition: str) -> None:
    """Marks the keys of a partition's rows, which is dropped afterwards in the same transaction."""
    if not await connection.scalar(_HAS_STATES):
        return
    for state in current_states():
        if (key := state.sources.get(table.fullname)) is not None:
            await connection.execute(text(f"LOCK TABLE {partition} IN ACCESS EXCLUSIVE MODE"))
            await connection.execute(
                text(
                    f"INSERT INTO {OWN_SCHEMA}.state_marks (name, key) SELECT DISTINCT s.name, p.{identifier(key)} "
                    f"FROM {OWN_SCHEMA}.current_states AS s, {partition} AS p "
                    f"WHERE s.name = :name AND p.{identifier(key)} IS NOT NULL"
                ),
                {"name": state.of},
            )


async def forget(connection: AsyncConnection, table: Table, gone: str) -> None:
    """Leaves out a partition that was dropped in the same transaction, after `mark_all`."""
    if await connection.scalar(_HAS_STATES):
        for state in current_states():
            if table.fullname in state.sources:
                await connection.execute(_FOLLOW, {"name": state.of, "added": [], "gone": [gone]})


async def is_stored(connection: AsyncConnection, table: Table) -> bool:
    """Whether a stored state follows the writes of a table."""
    if not await connection.scalar(_HAS_STATES):
        return False
    names = set(await connection.scalars(text(f"SELECT name FROM {OWN_SCHEMA}.current_states")))
    return any(state.of in names and table.fullname in state.sources for state in current_states())


@dataclass(frozen=True)
class Storable:
    """A table whose rows' state can be stored: the approximate number of its rows, the views, and whether it is."""

    table: str
    rows: int
    views: Sequence[str]
    stored: bool


_ROWS = text("SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass(:name)")


async def storable(connection: AsyncConnection, *, readable: bool) -> list[Storable]:
    """What can be stored in a database; ``readable`` says whether the role may read which is."""
    names: set[str] = set()
    if readable:
        names.update(await connection.scalars(text(f"SELECT name FROM {OWN_SCHEMA}.current_states")))
    return [
        Storable(
            state.of,
            await connection.scalar(_ROWS, {"name": state.of}) or 0,
            [one.view.name for one in state.views],
            state.of in names,
        )
        for state in current_states()
    ]


# -- upkeep ------------------------------------------------------------------------------------------------------------

_STATE = text(
    f"SELECT state, {OWN_SCHEMA}.is_followed(name) FROM {OWN_SCHEMA}.current_states "
    "WHERE name = :name AND definition = :definition"
)
_SET_STATE = text(f"UPDATE {OWN_SCHEMA}.current_states SET state = :state WHERE name = :name")
_MARKED = text(f"SELECT DISTINCT key FROM {OWN_SCHEMA}.state_marks WHERE name = :name ORDER BY key LIMIT :most")
_DELETE_MARKS = text(f"DELETE FROM {OWN_SCHEMA}.state_marks WHERE name = :name AND key = ANY (:keys)")


@dataclass(frozen=True)
class StateStep:
    """The result of a step: the number of marked keys computed, and the new state if it changed."""

    taken: int
    state: str | None = None


async def step(connection: AsyncConnection, state: CurrentState, most: int) -> StateStep | None:
    """Computes the rows of at most ``most`` marked keys, in a ``REPEATABLE READ`` transaction that the caller commits.
    None if the state is not stored by these definitions, or another process refreshes it.

    Raises:
        sqlalchemy.exc.DBAPIError: The rows cannot be computed, or another process has changed them; roll back.
    """
    if not await connection.scalar(_TRY_LOCK):
        return None
    name = {"name": state.of}
    found = (await connection.execute(_STATE, {**name, "definition": state.definition})).one_or_none()
    if found is None or found.state == "broken":
        return None
    if not found.is_followed:
        await connection.execute(_SET_STATE, {**name, "state": "broken"})
        return StateStep(0, "broken")
    keys = list(await connection.scalars(_MARKED, {**name, "most": most}))
    if keys:
        for one in state.views:
            await connection.execute(_refresh(one), {"keys": keys})
        await connection.execute(_DELETE_MARKS, {**name, "keys": keys})
    if len(keys) < most and found.state == "building":
        await connection.execute(_SET_STATE, {**name, "state": "ready"})
        return StateStep(len(keys), "ready")
    return StateStep(len(keys))


def _refresh(one: StoredView) -> Any:
    """The statement that stores the view's rows of some keys; rows that are the same to the byte stay untouched."""
    first, names = identifier(one.key[0]), [identifier(name) for name in one.columns]
    key = [identifier(name) for name in one.key]
    columns, of_key = ", ".join(names), f"SELECT * FROM ({one.select}) AS v WHERE v.{first} = m.key OFFSET 0"
    same = " AND ".join(f"f.{name} = k.{name}" for name in key)
    changed = ", ".join(f"{name} = excluded.{name}" for name in names)
    return text(f"""
        WITH marked AS (SELECT unnest(CAST(:keys AS uuid[])) AS key),
        fresh AS MATERIALIZED (
            SELECT {", ".join(f"w.{name}" for name in names)} FROM marked AS m CROSS JOIN LATERAL ({of_key}) AS w
        ),
        gone AS (
            DELETE FROM {one.table} AS k USING marked AS m
            WHERE k.{first} = m.key AND NOT EXISTS (SELECT FROM fresh AS f WHERE {same})
        )
        INSERT INTO {one.table} AS k ({columns}) SELECT {columns} FROM fresh
        ON CONFLICT ({", ".join(key)}) DO UPDATE SET {changed} WHERE k.* *<> excluded.*
    """)

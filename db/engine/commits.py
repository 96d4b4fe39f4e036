"""The outcome of a commit that was not acknowledged, because its connection was lost."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine.connector import Connector, connector_of
from db.engine.errors import DRIVER_ERRORS, OutcomeUnknownError
from db.engine.readers import set_local
from db.engine.timelines import PrimaryPosition

OUTCOME_SECONDS = 5.0
"""Seconds for which the outcome of an unacknowledged commit is queried."""
UNDECIDED_SECONDS = 1.0
"""Seconds after which the server is told to end a transaction whose client has disconnected."""


@dataclass(frozen=True)
class Proof:
    """A row that exists if and only if a transaction was committed.

    ``where`` is a condition with a placeholder for each of ``values``. A transaction id would be no proof: after a
    crash or a failover it may be assigned to another transaction.
    """

    table: str
    where: str
    values: Sequence[Any]


@dataclass(frozen=True)
class Seal:
    """The state of a transaction before its commit: its advisory lock, and the position of its server, if known."""

    lock: int
    standing: PrimaryPosition | None


def new_lock() -> int:
    return secrets.randbits(63)


async def is_committed(engine: AsyncEngine, proof: Proof | None, sealed: Seal) -> bool:
    """Whether a transaction was committed, in the current database; counts the outcomes.

    Raises:
        OutcomeUnknownError: It cannot be determined in time.
    """
    connector = connector_of(engine)
    counts = connector.timelines.lost_commits
    try:
        made = await _outcome(engine, connector, proof, sealed)
    except OutcomeUnknownError:
        counts["unknown"] += 1
        raise
    counts["made" if made else "not made"] += 1
    return made


async def _outcome(engine: AsyncEngine, connector: Connector, proof: Proof | None, sealed: Seal) -> bool:
    if proof is None or sealed.standing is None:
        raise OutcomeUnknownError("no record of the change, or the server's timeline is unknown")
    loop = asyncio.get_running_loop()
    began, found = loop.time(), None
    while found is None:
        timeout = began + OUTCOME_SECONDS - loop.time()
        if timeout < 0:
            raise OutcomeUnknownError("no server that knows the outcome could be reached in time")
        try:
            async with asyncio.timeout(timeout):
                await connector.look()
                ends = loop.time() - began > min(UNDECIDED_SECONDS, timeout / 2)
                found = await _look(engine, proof, sealed, ends=ends)
        except DRIVER_ERRORS:
            found = None
        if found is None:
            await asyncio.sleep(0.05)
    return found


async def _look(engine: AsyncEngine, proof: Proof, sealed: Seal, *, ends: bool) -> bool | None:
    """Whether a transaction was committed; None while it is open, or if the current server may lack its commit.

    ``ends``: whether to terminate the backend of an open transaction. The query commits a change of its own, so that
    its result is valid only on a primary that can commit: not on a standby, nor while synchronous standbys are missing.
    """
    connection = engine.connect()
    await connection.start()
    try:
        await connection.execution_options(isolation_level="READ COMMITTED")
        transaction = await connection.begin()
        await set_local(connection, {"synchronous_commit": "on"})
        is_over = (await connection.exec_driver_sql(_IS_OVER, (str(sealed.lock),))).scalar_one()
        if not is_over:
            if ends:
                await connection.exec_driver_sql(_END, (str(sealed.lock),))
            await transaction.rollback()
            return None
        # a statement after the lock sees the commits of earlier holders
        sql = _found(proof, connector_of(engine).timelines.standing)
        found: Sequence[Any] = (await connection.exec_driver_sql(sql, tuple(proof.values))).one()
        await connection.exec_driver_sql(_WRITE)
        await transaction.commit()
    except BaseException:
        if not connection.invalidated:
            await connection.invalidate()
        raise
    finally:
        await connection.close()
    there, hidden, told = found
    standing = PrimaryPosition.of(told)
    assert sealed.standing is not None  # noqa: S101 - checked before
    if standing is None or not standing.has_all_of(sealed.standing) or (hidden and not there):
        return None
    return bool(there)


def _found(proof: Proof, standing: str) -> str:
    return (
        f"SELECT EXISTS (SELECT FROM {proof.table} WHERE {proof.where}), row_security_active('{proof.table}'), "
        f"({standing})"
    )


_IS_OVER = "SELECT pg_try_advisory_xact_lock($1::text::bigint)"
_END = """
    SELECT pg_terminate_backend(pid) FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND pid <> pg_backend_pid()
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (classid::bigint << 32) + objid::bigint = $1::text::bigint
"""
"""Terminates the backend that holds the lock: its client has disconnected, and others may wait for its row locks."""


_WRITE = "SELECT pg_logical_emit_message(true, 'e2i-gateway', '')::text"
"""A transactional WAL record, so that there is a commit, without a change of any table."""

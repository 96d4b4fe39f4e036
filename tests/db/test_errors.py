"""What errors of the database mean, whatever they were raised from."""

from __future__ import annotations

import asyncpg
import pytest
from graphql import GraphQLError
from sqlalchemy.exc import PendingRollbackError

from db.engine.errors import (
    ConflictError,
    DatabaseUnavailableError,
    DataError,
    MissingObjectError,
    NotPermittedError,
    RefusedByDatabaseError,
    causes,
    sqlstate,
    translate,
    translate_change,
)
from gateway.operations import shape
from tests.support.databases import Database, connected


def raised_from_itself(error: Exception) -> Exception:
    """As ``raise translate(error) from error`` leaves an error that has no other meaning."""
    with pytest.raises(type(error)) as caught:
        raise error from error
    return caught.value


def test_an_error_that_was_raised_from_itself_ends() -> None:
    error = raised_from_itself(ValueError("odd"))
    assert error.__cause__ is error
    assert list(causes(error)) == [error]
    assert sqlstate(error) == ""
    assert translate(error) is error
    assert not shape._lacks_something(GraphQLError("odd", original_error=error))


def test_errors_in_a_circle_end() -> None:
    first, second = ValueError("first"), MissingObjectError("second")
    first.__cause__, second.__cause__ = second, first
    assert list(causes(first)) == [first, second]
    assert shape._lacks_something(GraphQLError("odd", original_error=first))


def test_a_transaction_whose_connection_was_lost_before_is_lost() -> None:
    error = raised_from_itself(PendingRollbackError("Can't reconnect until invalid transaction is rolled back."))
    assert isinstance(translate(error), DatabaseUnavailableError)


async def test_a_transaction_that_has_failed_may_be_run_again(database: Database) -> None:
    """Where the rollback to a savepoint was cancelled too, the next statement is the first to hear of it."""
    async with connected(database.gateway_url) as connection:
        transaction = connection.transaction()
        await transaction.start()
        with pytest.raises(asyncpg.DivisionByZeroError):
            await connection.fetch("SELECT 1 / 0")
        with pytest.raises(asyncpg.InFailedSQLTransactionError) as failed:
            await connection.fetch("SELECT 1")
        await transaction.rollback()
    assert isinstance(translate_change(failed.value), ConflictError)


@pytest.mark.parametrize(
    ("state", "read", "changed"),
    [
        ("21000", DataError, RefusedByDatabaseError),
        ("22012", DataError, DataError),
        ("38001", DataError, DataError),
        ("58030", DataError, DataError),
        ("P0001", DataError, RefusedByDatabaseError),
        ("XX001", DataError, DataError),
        ("42P17", MissingObjectError, MissingObjectError),
        ("42725", MissingObjectError, MissingObjectError),
        ("55000", MissingObjectError, NotPermittedError),
        ("HV00R", MissingObjectError, MissingObjectError),
    ],
)
async def test_what_a_state_means_to_reads_and_to_changes(
    module_database: Database, state: str, read: type[Exception], changed: type[Exception]
) -> None:
    async with connected(module_database.gateway_url) as connection:
        with pytest.raises(asyncpg.PostgresError) as failed:
            await connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'odd' USING ERRCODE = '{state}'; END $$")
    assert type(translate(failed.value)) is read
    assert type(translate_change(failed.value)) is changed

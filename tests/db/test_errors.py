"""What errors of the database mean, whatever they were raised from."""

from __future__ import annotations

import asyncpg
import pytest
from graphql import GraphQLError
from sqlalchemy.exc import PendingRollbackError

from db.engine.errors import (
    ConflictError,
    DatabaseUnavailableError,
    MissingObjectError,
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

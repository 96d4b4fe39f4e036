"""Errors of the database by their SQLSTATE. No other module reads SQLSTATEs.

Of what a server sends, its code and its structured fields alone are read, since a server speaks the language of its
``lc_messages``. Its words are handed on to people, and decide nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

import asyncpg
from sqlalchemy.exc import DBAPIError, InvalidRequestError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# -- SQLSTATEs: https://www.postgresql.org/docs/current/errcodes-appendix.html ---------------------------------------

NOT_NULL, FOREIGN_KEY, UNIQUE, CHECK, EXCLUSION = "23502", "23503", "23505", "23514", "23P01"
LOCK_NOT_AVAILABLE = "55P03"
QUERY_CANCELED = "57014"
INSUFFICIENT_PRIVILEGE = "42501"
NOT_IN_THIS_STATE = "55000"
"""What a view answers to rows that it cannot pass on, among others."""
SYNTAX_ERROR = "42601"
READ_ONLY_TRANSACTION = "25006"
SERIALIZATION_FAILURE, DEADLOCK = "40001", "40P01"
"""The first is also of a standby: rows that a statement reads are gone from the primary, and waited for."""
FAILED_TRANSACTION = "25P02"
"""An earlier statement failed and was not taken back, as when a rollback to its savepoint was cancelled itself."""
UNDONE = {SERIALIZATION_FAILURE, DEADLOCK, FAILED_TRANSACTION}
FEATURE_NOT_SUPPORTED = "0A000"
DEPENDENT_OBJECTS = "2BP01"
PROTOCOL_VIOLATION = "08P01"
"""Also all that PgBouncer has to say."""

_UNAVAILABLE = ("08", "57P", "53", "28", "3D")
"""Classes: connection, operator intervention, resources, authorization, a database that does not exist."""
_NOBODY_IN = ("28", "3D")
_REFUSED = ("23", "P0")
"""Classes: integrity constraints, and what code in the database raises."""
_MISSING = {"42P01", "42703", "42704", "42883", "3F000", "42804", "42809", "42846"}
"""A table, column, type, function or schema is missing; the last three: it is another one than the statement needs."""
_UNREADABLE = {"22P02", "22007", "22008", "22003", "22021", "22P05", "2201B", "54001"}
"""A text that is no value of its type, or is nested too deeply to be read as one."""


# -- meanings ----------------------------------------------------------------------------------------------------------


class DatabaseError(Exception):
    """A statement has failed for a reason that has a name; the message is the database's own."""


class DatabaseUnavailableError(DatabaseError):
    """The database cannot be reached, has gone away, or lets nobody in; nothing was answered."""


class OverloadedError(DatabaseError):
    """Every connection is busy, and none became free in time."""


class StatementTimeoutError(DatabaseError):
    """A statement ran longer than the limit and was cancelled by the database."""


class LockedError(DatabaseError):
    """A statement waited in vain for somebody else's lock; ``tables`` are those that are locked, if they are known."""

    def __init__(self, message: str, tables: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.tables = tables


class MissingObjectError(DatabaseError):
    """A table, column, type or function that a statement names does not exist, or is of another kind by now."""

    statement = ""
    """The statement, where it was to change something."""


class NotPermittedError(DatabaseError):
    """The gateway's role has no right to what a statement reads."""

    statement = ""
    """The statement, where it was to change something."""


class ReadOnlyError(NotPermittedError):
    """The database takes no changes: it is a standby, or somebody has made it read-only."""


class InvalidValueError(DatabaseError):
    """A bound value cannot be read as the type it is compared with."""


class DataError(DatabaseError):
    """The stored data, not the request, make a statement fail: a division by zero in a view, an overflow."""


class ConflictError(DatabaseError):
    """A deadlock, a serialization failure or a stale plan: the transaction is undone, and may be run again."""


class RefusedByDatabaseError(DatabaseError):
    """A constraint, a policy or a trigger does not allow a change: ``diagnostics`` has what and where."""

    def __init__(self, message: str, diagnostics: Diagnostics, statement: str) -> None:
        super().__init__(message)
        self.diagnostics = diagnostics
        self.statement = diagnostics.context or statement
        """What was run: the statements of triggers, where it was one of theirs, with words around them."""

    @property
    def by_trigger(self) -> bool:
        """Whether code in the database raised it, with words of its own."""
        return self.diagnostics.state.startswith("P0")


class OutcomeUnknownError(DatabaseError):
    """The connection was lost while the transaction was committed, and the database does not say what became of it."""


NEVER_TWICE = (StatementTimeoutError, LockedError, DatabaseUnavailableError, OverloadedError)
"""What was given up, lost or refused for lack of resources is not tried again."""


# -- reading -----------------------------------------------------------------------------------------------------------

_TELLING = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, PoolTimeoutError)
"""What says by itself what happened, whatever it came of."""


@dataclass(frozen=True)
class Diagnostics:
    """What a server says of an error, as far as no language matters. Empty is what it does not say.

    ``words`` (its message) and ``detail`` are for people and for the log; ``context`` has the statements of the
    functions that were run.
    """

    state: str = ""
    severity: str = ""
    schema: str = ""
    table: str = ""
    column: str = ""
    constraint: str = ""
    context: str = ""
    words: str = ""
    detail: str = ""


def _cause(error: BaseException) -> BaseException | None:
    """The driver's own error, which others were raised from."""
    cause: BaseException | None = error.orig if isinstance(error, DBAPIError) else error
    for one in causes(cause):
        cause = one
        if isinstance(one, _TELLING):
            break
    return cause


def causes(
    error: BaseException | None, of: Callable[[BaseException], BaseException | None] = attrgetter("__cause__")
) -> Iterator[BaseException]:
    """An error and what it was raised from, each once: an error without another meaning is raised from itself."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = of(error)


def diagnostics(error: BaseException) -> Diagnostics:
    """What the server says of an error; of one that is no server's there are words alone."""
    cause = _cause(error)
    if not isinstance(cause, asyncpg.PostgresError):
        return Diagnostics(words=str(cause))
    names = {
        "state": "sqlstate", "severity": "severity_en", "schema": "schema_name", "table": "table_name",
        "column": "column_name", "constraint": "constraint_name", "context": "context", "detail": "detail",
    }  # fmt: skip
    said = {ours: str(getattr(cause, theirs, None) or "") for ours, theirs in names.items()}
    return Diagnostics(**said, words=str(cause.args[0]) if cause.args else "")


def sqlstate(error: BaseException) -> str:
    """The code of the database's error, empty where there is none."""
    return str(getattr(_cause(error), "sqlstate", None) or "")


def lets_nobody_in(error: BaseException) -> bool:
    """Whether there is no such role, password or database."""
    return sqlstate(error).startswith(_NOBODY_IN)


def is_of_server(error: BaseException) -> bool:
    """Whether the server has refused a statement, and stays; one that ends a connection says nothing of a commit."""
    return diagnostics(error).severity == "ERROR"


def plan_is_stale(error: BaseException) -> bool:
    """Whether a prepared statement does not fit the tables any more."""
    return isinstance(_cause(error), asyncpg.InvalidCachedStatementError) or sqlstate(error) == FEATURE_NOT_SUPPORTED


def violates_policy(error: BaseException) -> bool:
    """Whether a row would be one that the policies of row level security do not let its writer have.

    The code is the same as of a table that may not be written at all, the place in the server that says so is not.
    """
    raised_by = getattr(_cause(error), "server_source_function", None)
    return sqlstate(error) == INSUFFICIENT_PRIVILEGE and raised_by == "ExecWithCheckOptions"


def refused_by_driver(error: BaseException) -> bool:
    """A value that asyncpg could not encode; what the server sends has a severity."""
    cause = _cause(error)
    return isinstance(cause, asyncpg.DataError) and getattr(cause, "severity", None) is None


def translate(error: BaseException) -> Exception:  # noqa: PLR0911 - one line for each meaning
    """The meaning of a driver's error, so that nobody above needs to know the driver."""
    cause = _cause(error)
    state = sqlstate(error)
    if isinstance(cause, PoolTimeoutError):
        return OverloadedError(str(cause))
    if state == LOCK_NOT_AVAILABLE:
        return LockedError(str(cause))
    if state == QUERY_CANCELED:
        return StatementTimeoutError(str(cause))
    if state in _MISSING or isinstance(cause, asyncpg.InvalidCachedStatementError):
        return MissingObjectError(str(cause))
    if state == INSUFFICIENT_PRIVILEGE:
        return NotPermittedError(str(cause))
    if (
        refused_by_driver(error)
        or state in _UNREADABLE
        or (state == SYNTAX_ERROR and not getattr(cause, "position", None))
    ):
        return InvalidValueError(str(cause))
    if state.startswith("22"):
        return DataError(str(cause))
    if state.startswith(_UNAVAILABLE) or (not state and _is_connection_error(error, cause)):
        advice = "; where a pooler refuses a startup parameter, set GATEWAY_PREPARED_STATEMENTS=false"
        return DatabaseUnavailableError(f"{cause}{advice if state == PROTOCOL_VIOLATION else ''}")
    return error if isinstance(error, Exception) else RuntimeError(str(error))


def translate_change(error: BaseException, statement: str = "") -> Exception:
    """The meaning of an error in a transaction that changes something, by a statement of it."""
    state = sqlstate(error)
    if state in UNDONE or isinstance(_cause(error), asyncpg.InvalidCachedStatementError):
        return ConflictError(str(_cause(error)))
    if state.startswith(_REFUSED) or violates_policy(error):
        return RefusedByDatabaseError(str(_cause(error)), diagnostics(error), statement)
    if state == READ_ONLY_TRANSACTION:
        meaning: Exception = ReadOnlyError(str(_cause(error)))
    elif state == NOT_IN_THIS_STATE:
        meaning = NotPermittedError(str(_cause(error)))
    else:
        meaning = translate(error)
    if isinstance(meaning, NotPermittedError | MissingObjectError):
        meaning.statement = statement
    return meaning


def _is_connection_error(error: BaseException, cause: BaseException | None) -> bool:
    # these two are errors of the libraries, which speak English whatever the server speaks, and no code
    if isinstance(cause, asyncpg.InterfaceError):  # also raised for misuse, which is a fault of ours
        return "closed" in str(cause)
    if isinstance(error, PendingRollbackError):  # the transaction's connection was lost before this statement
        return True
    if isinstance(error, InvalidRequestError):  # the pool's, when one after the other is lost as soon as it is opened
        return "closed" in str(error)
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    # the last is how the driver says that the server has announced the end of a connection, and has not closed it yet
    return isinstance(cause, OSError | asyncpg.ConnectionDoesNotExistError | asyncpg.InternalClientError)

"""Errors of the database by their SQLSTATE. No other module reads SQLSTATEs.

Only codes and structured fields of a server's error are read, since messages depend on ``lc_messages``. Messages are
shown to people, and decide nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter

import asyncpg
from sqlalchemy.exc import (
    DBAPIError,
    EmulatedDBAPIException,
    InvalidRequestError,
    PendingRollbackError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from db.engine.timelines import DivergedServerError

# -- SQLSTATEs: https://www.postgresql.org/docs/current/errcodes-appendix.html ---------------------------------------

NOT_NULL, FOREIGN_KEY, UNIQUE, CHECK, EXCLUSION = "23502", "23503", "23505", "23514", "23P01"
LOCK_NOT_AVAILABLE = "55P03"
QUERY_CANCELED = "57014"
INSUFFICIENT_PRIVILEGE = "42501"
NOT_IN_THIS_STATE = "55000"
"""Among others, raised by a view for rows that it cannot update, and by a materialized one that was never filled."""
SYNTAX_ERROR = "42601"
READ_ONLY_TRANSACTION = "25006"
SERIALIZATION_FAILURE, DEADLOCK = "40001", "40P01"
"""The first is also raised on a standby: rows of a statement were vacuumed on the primary."""
FAILED_TRANSACTION = "25P02"
"""An earlier statement failed and was not rolled back, as when the rollback to its savepoint was cancelled."""
UNDONE = {SERIALIZATION_FAILURE, DEADLOCK, FAILED_TRANSACTION}
FEATURE_NOT_SUPPORTED = "0A000"
DEPENDENT_OBJECTS = "2BP01"
PROTOCOL_VIOLATION = "08P01"
"""The SQLSTATE of all errors of PgBouncer, too."""

_UNAVAILABLE = ("08", "57P", "53", "28", "3D")
"""Classes: connection, operator intervention, resources, authorization, and a missing database."""
_OUT_OF_SPACE = {"53100", "53200", "53400"}
"""A full disk, no more memory, and a limit of the server's settings, such as that of temporary files."""
_LOGIN_REFUSED = ("28", "3D")
_ENDING = ("FATAL", "PANIC")
"""Severities of errors with which the server closes the connection: all that it answers while one is opened."""
_ALL_CLOSED = ("08", "57P", INSUFFICIENT_PRIVILEGE, *_LOGIN_REFUSED)
"""States of refused connections where no earlier one is of use: the server starts or ends, or refuses the login."""
_OF_ONE_SERVER = ("08", "53", "57", "58", "F0", "XX")
"""Classes of refused connections that say nothing about other servers of a URL: their resources, states and files."""
OUT_OF_RANGE = "22003"
"""A number that its type cannot have, such as the sum of numbers that are far from zero."""
INVALID_TIME = "22007"
INVALID_PATTERN = "2201B"
TOO_COMPLEX = "54001"
INVALID_TEXT = "22P02"
CARDINALITY = "21000"
"""Several rows where a key should have found one."""
_REFUSED = ("23", "P0", CARDINALITY)
"""Classes: integrity constraints, errors raised by PL/pgSQL, and keys that are not unique."""
_MISSING = {
    "42P01", "42703", "42704", "42883", "3F000", "42804", "42809", "42846", "42725", "42P17", "42P22",
    NOT_IN_THIS_STATE,
}  # fmt: skip
"""A missing table, column, type, function or schema; then objects of another kind than expected, ambiguous functions,
policies that lead to themselves, columns without one collation, and materialized views that were never filled."""
_OTHER_TYPES = {"42883", "42804", "42725", "42846"}
"""An operator or function that is missing for some types, types that do not match, ambiguous ones, a missing cast."""
_OF_DATA = ("21", "22", "38", "39", "58", "P0", "XX001", "XX002")
"""Classes of what is stored, and of functions over it: cardinality, values, routines, files, PL/pgSQL, damaged rows."""
_FOREIGN = "HV"
"""The class of foreign data wrappers."""
_UNREADABLE = {
    INVALID_TEXT, INVALID_TIME, "22008", OUT_OF_RANGE, "22021", "22P05", INVALID_PATTERN, TOO_COMPLEX,
    FEATURE_NOT_SUPPORTED,
}  # fmt: skip
"""A text that is not a value of its type, is nested too deeply to be parsed, or uses what SQL/JSON paths lack."""
_UNPLANNABLE = ("42", "3F", "22", "55", "HV")
"""Classes: rights, and missing or different objects, schemas, values of enums; states of objects; foreign tables."""


# -- meanings ----------------------------------------------------------------------------------------------------------


class DatabaseError(Exception):
    """A statement has failed for a known reason; the message is the database's."""


class DatabaseUnavailableError(DatabaseError):
    """The database cannot be reached, has closed the connection, or refuses connections."""


class NoNewConnectionError(DatabaseUnavailableError):
    """The server answers, and opens no further connection, as on a full disk; those that are open may work."""


class DivergedError(DatabaseUnavailableError):
    """The server that can be reached lacks changes that were acknowledged; an operator has to choose a server."""


class OverloadedError(DatabaseError):
    """All connections are busy, and none became free in time."""


class OutOfSpaceError(DatabaseError):
    """A statement needs more disk, memory or temporary files than the server has; others are executed."""


class StatementTimeoutError(DatabaseError):
    """A statement exceeded its timeout and was cancelled by the database."""


class LockedError(DatabaseError):
    """A statement exceeded its lock timeout; ``tables`` are the locked ones, if known."""

    def __init__(self, message: str, tables: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.tables = tables


class MissingObjectError(DatabaseError):
    """A table, column, type or function of a statement does not exist, or has changed its kind."""

    statement = ""
    """The statement, if it was a change."""


class NotPermittedError(DatabaseError):
    """The role has no right to an object of a statement."""

    statement = ""
    """The statement, if it was a change."""


class ReadOnlyError(NotPermittedError):
    """The database is read-only: a standby, or by its settings."""


class InvalidValueError(DatabaseError):
    """A bound value cannot be parsed as the type it is compared with."""


class DataError(DatabaseError):
    """Stored data make a statement fail: a division by zero in a view, an overflow, two rows with one key."""


class ConflictError(DatabaseError):
    """A deadlock, a serialization failure or a stale plan: the transaction was rolled back, and may be repeated."""


class RefusedByDatabaseError(DatabaseError):
    """A constraint, a policy or a trigger refuses a change; ``diagnostics`` has the details."""

    def __init__(self, message: str, diagnostics: Diagnostics, statement: str) -> None:
        super().__init__(message)
        self.diagnostics = diagnostics
        self.statement = diagnostics.context or statement
        """The failed statement; for one of a trigger's the server's context."""

    @property
    def by_trigger(self) -> bool:
        """Whether a trigger or function raised it, with a message of its own."""
        return self.diagnostics.state.startswith("P0")


class OutcomeUnknownError(DatabaseError):
    """The connection was lost during the commit, and the outcome cannot be determined."""


NEVER_TWICE = (StatementTimeoutError, LockedError, DatabaseUnavailableError, OverloadedError, OutOfSpaceError)
"""SQLSTATE classes of cancelled, lost or resource-related failures, which are not repeated."""


# -- reading -----------------------------------------------------------------------------------------------------------

_TELLING = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, PoolTimeoutError)
"""Errors whose class alone gives their meaning."""


@dataclass(frozen=True)
class Diagnostics:
    """The language-independent fields of a server's error. Missing fields are empty.

    ``words`` (the message) and ``detail`` are for people and for the log; ``context`` has the statements of the
    executed functions.
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
    """The driver's error in the chain of causes."""
    cause: BaseException | None = error.orig if isinstance(error, DBAPIError) else error
    for one in causes(cause):
        cause = one
        if isinstance(one, _TELLING):
            break
    return cause


def causes(
    error: BaseException | None, of: Callable[[BaseException], BaseException | None] = attrgetter("__cause__")
) -> Iterator[BaseException]:
    """An error and its chain of causes, without repetition: untranslated errors are raised from themselves."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = of(error)


def diagnostics(error: BaseException) -> Diagnostics:
    """The server's fields of an error; an error of a library has only a message."""
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
    """The SQLSTATE of an error, empty without one."""
    return str(getattr(_cause(error), "sqlstate", None) or "")


def refuses_login(error: BaseException) -> bool:
    """Whether the role, the password or the database is invalid."""
    return sqlstate(error).startswith(_LOGIN_REFUSED)


def is_of_server(error: BaseException) -> bool:
    """Whether the server refused a statement and kept the connection; otherwise the outcome of a commit is unknown."""
    return diagnostics(error).severity == "ERROR"


def is_no_value(error: BaseException) -> bool:
    """Whether the result of a computation, or a text, is no value of its type."""
    return sqlstate(error) in {OUT_OF_RANGE, INVALID_TEXT}


def is_out_of_range(error: BaseException) -> bool:
    """Whether a number, such as the result of a computation, is outside the range of its type."""
    return sqlstate(error) == OUT_OF_RANGE


def is_no_text_of_its_type(error: BaseException) -> bool:
    """Whether a text cannot be read as a value of the type it is cast to."""
    return sqlstate(error) == INVALID_TEXT


_FAULTS = {
    INVALID_PATTERN: "pattern", OUT_OF_RANGE: "range", TOO_COMPLEX: "depth", FEATURE_NOT_SUPPORTED: "feature",
    INVALID_TIME: "time",
}  # fmt: skip


def fault_of(error: InvalidValueError) -> str:
    """What is wrong with a value: its ``pattern`` (a regular expression), the ``range`` of a number, its ``depth``, a
    ``feature`` that is not supported, the form of a ``time``; empty for others."""
    return _FAULTS.get(sqlstate(error), "")


def plan_is_stale(error: BaseException) -> bool:
    """Whether a prepared statement no longer fits its tables."""
    return isinstance(_cause(error), asyncpg.InvalidCachedStatementError) or sqlstate(error) == FEATURE_NOT_SUPPORTED


def types_differ(error: BaseException) -> bool:
    """Whether Postgres has no operator or common type for the types of a statement's operands: nothing was executed."""
    return sqlstate(error) in _OTHER_TYPES


def violates_policy(error: BaseException) -> bool:
    """Whether a row violates a policy of row level security.

    The SQLSTATE equals that of a missing right to the table; the error's source routine does not.
    """
    raised_by = getattr(_cause(error), "server_source_function", None)
    return sqlstate(error) == INSUFFICIENT_PRIVILEGE and raised_by == "ExecWithCheckOptions"


def refused_by_driver(error: BaseException) -> bool:
    """Whether asyncpg could not encode a value; errors of the server have a severity."""
    cause = _cause(error)
    return isinstance(cause, asyncpg.DataError) and getattr(cause, "severity", None) is None


def translate(error: BaseException) -> Exception:
    """The meaning of a driver's error, independent of the driver."""
    state = sqlstate(error)
    if diagnostics(error).severity in _ENDING and state not in _OUT_OF_SPACE | {SERIALIZATION_FAILURE}:
        return _unavailable(_cause(error), state)
    return _of_statement(error, _cause(error), state)


def _of_statement(error: BaseException, cause: BaseException | None, state: str) -> Exception:  # noqa: PLR0911 - one line for each meaning
    if isinstance(cause, PoolTimeoutError):
        return OverloadedError(str(cause))
    if state == LOCK_NOT_AVAILABLE:
        return LockedError(str(cause))
    if state == QUERY_CANCELED:
        return StatementTimeoutError(str(cause))
    if state in _MISSING or state.startswith(_FOREIGN) or isinstance(cause, asyncpg.InvalidCachedStatementError):
        return MissingObjectError(str(cause))
    if state == INSUFFICIENT_PRIVILEGE:
        return NotPermittedError(str(cause))
    if (
        refused_by_driver(error)
        or state in _UNREADABLE
        or (state == SYNTAX_ERROR and not getattr(cause, "position", None))
    ):
        return InvalidValueError(str(cause))
    if state.startswith(_OF_DATA):
        return DataError(str(cause))
    if state in _OUT_OF_SPACE:
        return OutOfSpaceError(str(cause))
    if state.startswith(_UNAVAILABLE) or (not state and _is_connection_error(error, cause)):
        return _unavailable(cause, state)
    return error if isinstance(error, Exception) else RuntimeError(str(error))


def _unavailable(cause: BaseException | None, state: str) -> DatabaseUnavailableError:
    if isinstance(cause, DivergedServerError):
        return DivergedError(str(cause))
    advice = "; where a pooler refuses a startup parameter, set GATEWAY_PREPARED_STATEMENTS=false"
    return DatabaseUnavailableError(f"{cause}{advice if state == PROTOCOL_VIOLATION else ''}")


def translate_opening(error: BaseException) -> BaseException:
    """The meaning of an error in opening a connection: whatever the server answers then, it is not available."""
    if not isinstance(error, DRIVER_ERRORS):
        return error
    cause, state, meaning = _cause(error), sqlstate(error), translate(error)
    if not isinstance(cause, asyncpg.PostgresError):
        return meaning
    return _unavailable(cause, state) if state.startswith(_ALL_CLOSED) else NoNewConnectionError(str(cause))


def is_of_one_server(error: BaseException) -> bool:
    """Whether a connection failed for a reason that another server of the same database may not have."""
    return isinstance(error, OSError) or sqlstate(error).startswith(_OF_ONE_SERVER)


def translate_change(error: BaseException, statement: str = "") -> Exception:
    """The meaning of an error in a changing transaction, for one of its statements."""
    state = sqlstate(error)
    if state in UNDONE or isinstance(_cause(error), asyncpg.InvalidCachedStatementError):
        return ConflictError(str(_cause(error)))
    if state.startswith(_REFUSED) or violates_policy(error):
        return RefusedByDatabaseError(str(_cause(error)), diagnostics(error), statement)
    if state == READ_ONLY_TRANSACTION:
        meaning: Exception = ReadOnlyError(str(_cause(error)))
    elif state == NOT_IN_THIS_STATE:
        meaning = NotPermittedError(str(_cause(error)))
    elif state == FEATURE_NOT_SUPPORTED:  # of the statement: a change has no paths
        meaning = error if isinstance(error, Exception) else RuntimeError(str(error))
    else:
        meaning = translate(error)
    if isinstance(meaning, NotPermittedError | MissingObjectError):
        meaning.statement = statement
    return meaning


def cannot_be_planned(error: BaseException) -> bool:
    """Whether a statement has no plan because of the database's objects or rights, which `db.attach` reports."""
    return sqlstate(error).startswith(_UNPLANNABLE)


def _is_connection_error(error: BaseException, cause: BaseException | None) -> bool:
    # errors of the libraries, whose messages do not depend on the server's language, and which have no code
    if isinstance(cause, asyncpg.InterfaceError):  # also raised for misuse, which is a defect of the gateway
        return "closed" in str(cause)
    if isinstance(error, PendingRollbackError):  # the transaction's connection was lost earlier
        return True
    if isinstance(error, InvalidRequestError):  # the pool's, if connections are lost as soon as they are opened
        return "closed" in str(error)
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    # the last is the driver's error between a server's announced and actual closing of a connection
    return isinstance(cause, OSError | asyncpg.ConnectionDoesNotExistError | asyncpg.InternalClientError)


DRIVER_ERRORS = (
    SQLAlchemyError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError,
    EmulatedDBAPIException,  # a connection that the pool could not open
)  # fmt: skip


@contextmanager
def translated() -> Iterator[None]:
    """Translates errors of the driver and the pool."""
    try:
        yield
    except DRIVER_ERRORS as error:
        raise translate(error) from error

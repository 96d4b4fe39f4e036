"""Problems of rows from errors of the database."""

from __future__ import annotations

from db.engine import constraints, errors
from db.engine.errors import DataError, InvalidValueError, RefusedByDatabaseError
from db.engine.transaction import Transaction
from schema.error_codes import RowCode
from schema.recording.problems import RowViolation
from schema.recording.row_values import RowValues


class DroppedError(Exception):
    """A trigger has dropped rows without an error."""


REFUSALS = (RefusedByDatabaseError, DataError, InvalidValueError, DroppedError)
"""The errors that concern single rows."""


async def row_violation(error: Exception, row: int, rows: RowValues, transaction: Transaction) -> RowViolation:  # noqa: C901, PLR0911 - one line for each kind
    """The problem of a row, without the server's message, which quotes values and names of constraints.

    Exception: the message of a trigger, unless the type is confidential.
    """
    if isinstance(error, DroppedError):
        return RowViolation(RowCode.REFUSED_BY_DATABASE, row, "a trigger of the database drops the row")
    if not isinstance(error, RefusedByDatabaseError):
        return RowViolation(RowCode.INVALID_VALUE, row, "the database cannot hold one of its values")
    said = error.diagnostics
    columns: tuple[str, ...] = ()
    if said.column:
        columns = (said.column,)
    elif said.constraint:
        known = await constraints.look_up(transaction.run, said.schema, said.table, said.constraint)
        columns = known.columns if known else ()
    fields = rows.named(columns)
    names = " and ".join(fields)
    match said.state:
        case errors.UNIQUE:
            return RowViolation(
                RowCode.NOT_UNIQUE, row, f"another {rows.table.name} has the same {names or 'key'}", fields[:1]
            )
        case errors.FOREIGN_KEY:
            return RowViolation(RowCode.NO_SUCH_ROW, row, f"{names or 'a reference'} names no row", fields[:1])
        case errors.CHECK:
            words = f"a check of the database does not allow its {names or 'values'}"
            return RowViolation(RowCode.CHECK_FAILED, row, words, fields[:1])
        case errors.NOT_NULL:
            return RowViolation(RowCode.VALUE_MISSING, row, f"{names} needs a value in this database", fields[:1])
        case errors.EXCLUSION:
            words = f"another {rows.table.name} excludes it{f' by {names}' if names else ''}"
            return RowViolation(RowCode.NOT_UNIQUE, row, words, fields[:1])
        case errors.INSUFFICIENT_PRIVILEGE:
            words = f"a policy of the database does not let you have such a {rows.table.name}"
            return RowViolation(RowCode.REFUSED_BY_DATABASE, row, words)
        case _:
            words = "" if rows.type.is_confidential or not error.by_trigger else f": {said.words}"
            return RowViolation(RowCode.REFUSED_BY_DATABASE, row, f"the database does not allow it{words}")

"""What the database refuses, in the words of the graph: a code for each kind of constraint, its fields, no SQL."""

from __future__ import annotations

import logging
import re

from db.engine import DatabaseError, ReadOnlyError
from db.transaction import RefusedByDatabaseError
from schema.catalogue import Catalogue, Type, camel
from schema.error_codes import BlockerCode

log = logging.getLogger("gateway.changes")

_TABLE = re.compile(r"for table (\w+)")
_KEY = re.compile(r"^Key \(([^)]*)\)=")


def violation(  # noqa: PLR0911 - one line for each kind
    error: RefusedByDatabaseError, catalogue: Catalogue
) -> tuple[BlockerCode, str]:
    """Code and message of a refusal; what the database said of it is in the log.

    A trigger's own words are handed on: they are written for whoever makes the change.
    """
    log.info("the database refused a change: %s", error, extra={"constraint": error.constraint})
    type_ = next((one for one in catalogue if one.table.name == error.table), None)
    row = type_.name if type_ else "a row"
    fields = _fields(error, type_)
    match error.state:
        case "23505":
            return (
                BlockerCode.NOT_UNIQUE,
                f"there is another {row} with the same {fields or 'key'} already; nothing was changed",
            )
        case "23503" if "still referenced" in error.detail:
            return BlockerCode.STILL_REFERENCED, f"other rows still refer to this one by {fields or 'its key'}"
        case "23503":
            return BlockerCode.NO_SUCH_ROW, f"{fields or 'a reference'} of {row} would name a row that does not exist"
        case "23514":
            return BlockerCode.CHECK_FAILED, f"{row} would hold a value that a rule of the database does not allow"
        case "23P01":
            return (
                BlockerCode.NOT_EXCLUSIVE,
                f"{row} would stand beside another one that excludes it{fields and f', by {fields}'}",
            )
        case "23502":
            return (
                BlockerCode.VALUE_MISSING,
                f"the database wants a value in {fields} of {row}, which the gateway does not know",
            )
        case _:
            return BlockerCode.REFUSED_BY_DATABASE, f"the database does not allow it: {error.words}"


def unable(error: DatabaseError, catalogue: Catalogue) -> str:
    """Why a database takes no changes, and what to do about it."""
    said = str(error)
    if isinstance(error, ReadOnlyError):
        return (
            "the database takes no changes at the moment: it is a standby, or was made read-only (this is a read-only "
            "transaction). Reads go on; send the change again later, with the same idempotencyKey."
        )
    named = _TABLE.search(said)
    type_ = next((one for one in catalogue if named and one.table.name == named[1]), None)
    what = f"the gateway's role may not write {type_.name}" if type_ else "the gateway's own tables cannot be written"
    return f"{what}. `e2i-gateway db attach` makes what is missing, `e2i-gateway db check` says what to grant."


def _fields(error: RefusedByDatabaseError, type_: Type | None) -> str:
    """The fields that a refusal is about, as far as the database names columns."""
    key = _KEY.match(error.detail)
    columns = [error.column] if error.column else re.findall(r"\w+", key[1]) if key else []
    return " and ".join(type_.field_name(column) if type_ else camel(column) for column in columns)

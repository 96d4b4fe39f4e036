"""Constraint violations in the graph's terms: a code per kind of constraint, its fields, and no SQL.

Messages of the server are never parsed: they depend on its language.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from operator import itemgetter

from db.base.entity import camel
from db.engine import constraints, errors
from db.engine.errors import MissingObjectError, NotPermittedError, ReadOnlyError, RefusedByDatabaseError
from schema.catalogue.catalogue import Catalogue, Type
from schema.error_codes import BlockerCode

log = logging.getLogger("gateway.changes")


async def violation(  # noqa: PLR0911 - one line for each kind
    error: RefusedByDatabaseError, catalogue: Catalogue, run: constraints.Run
) -> tuple[BlockerCode, str]:
    """Code and message for a statement that the database refused; the original error is in the log.

    The message of a trigger's RAISE is passed on. ``run`` executes queries on the catalog in an intact transaction.

    Raises:
        DatabaseError: The catalog cannot be read.
    """
    said = error.diagnostics
    log.info("the database refused a change: %s", error, extra={"constraint": said.constraint})
    type_ = _of_table(catalogue, said.table)
    row = type_.name if type_ else "a row"
    found = None
    if said.constraint and said.state in {errors.UNIQUE, errors.FOREIGN_KEY, errors.EXCLUSION}:
        found = await constraints.look_up(run, said.schema, said.table, said.constraint)
    fields = _fields(found.columns if found else (), type_)
    match said.state:
        case errors.UNIQUE:
            return (
                BlockerCode.NOT_UNIQUE,
                f"there is another {row} with the same {fields or 'key'} already; nothing was changed",
            )
        case errors.FOREIGN_KEY if found and _is_referenced(error.statement, said.table, found.referenced):
            by = _fields(found.referenced_columns, _of_table(catalogue, found.referenced))
            return BlockerCode.STILL_REFERENCED, f"other rows still refer to this one by {by or 'its key'}"
        case errors.FOREIGN_KEY:
            return BlockerCode.NO_SUCH_ROW, f"{fields or 'a reference'} of {row} names a row that does not exist"
        case errors.CHECK:
            return BlockerCode.CHECK_FAILED, f"{row} has a value that a check of the database does not allow"
        case errors.EXCLUSION:
            return (
                BlockerCode.NOT_EXCLUSIVE,
                f"{row} conflicts with another row{fields and f' on {fields}'}",
            )
        case errors.NOT_NULL:
            by = _fields((said.column,), type_)
            known = type_ is not None and said.column in type_.table.c
            why = "which the change leaves without one" if known else "a column that the gateway does not know"
            return BlockerCode.VALUE_MISSING, f"the database requires a value in {by} of {row}, {why}"
        case errors.CARDINALITY:
            return (
                BlockerCode.REFUSED_BY_DATABASE,
                "several rows of the database share a key that only one should have; `e2i-gateway db check` names it",
            )
        case errors.INSUFFICIENT_PRIVILEGE:
            return BlockerCode.REFUSED_BY_DATABASE, f"a policy of the database does not let you make {row} so"
        case _:
            return BlockerCode.REFUSED_BY_DATABASE, f"the database does not allow it: {said.words}"


async def unable(error: NotPermittedError | MissingObjectError, catalogue: Catalogue, run: constraints.Run) -> str:
    """Why a database accepts no changes, with the remedy. ``run`` executes queries on the catalog.

    Raises:
        DatabaseError: The catalog cannot be read.
    """
    if isinstance(error, ReadOnlyError):
        return (
            "the database accepts no changes at the moment: it is a standby, or read-only (this is a read-only "
            "transaction). Reads work; send the change again later, with the same idempotencyKey."
        )
    named = {place: one for one in catalogue if (place := _place(one, error.statement)) is not None}
    type_ = None
    if isinstance(error, NotPermittedError) and named:
        written, *_ = tables = [one for _, one in sorted(named.items(), key=itemgetter(0))]
        hidden = await constraints.hidden(run, [one.sql_name for one in tables]) if len(tables) > 1 else None
        type_ = _of_table(catalogue, hidden) or written
    what = f"the gateway's role may not write {type_.name}" if type_ else "the gateway's own tables cannot be written"
    return f"{what}. `e2i-gateway db attach` creates what is missing, `e2i-gateway db check` prints the grants."


def _is_referenced(statement: str, table: str, referenced: str) -> bool:
    """Whether a statement violates a foreign key of ``table`` by changing ``referenced`` rows.

    Both sides raise the same SQLSTATE; the written table tells them apart.
    """

    def does(verbs: str, name: str) -> bool:
        return bool(
            re.search(rf'\b(?:{verbs})\s+(?:ONLY\s+)?(?:[\w"]+\.)?"?{re.escape(name)}\b', statement, re.IGNORECASE)
        )

    if does("DELETE FROM", referenced):
        return True
    return not does("INSERT INTO|UPDATE", table) and does("UPDATE", referenced)


def _place(type_: Type, statement: str) -> int | None:
    found = re.search(rf"\b{type_.table.name}\b", statement)
    return found.start() if found else None


def _of_table(catalogue: Catalogue, name: str | None) -> Type | None:
    return next((one for one in catalogue if one.table.name == name), None)


def _fields(columns: Sequence[str], type_: Type | None) -> str:
    """The fields of columns, for a message."""
    return " and ".join(type_.field_name(column) if type_ else camel(column) for column in columns)

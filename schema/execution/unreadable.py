"""Errors of values that the database cannot read, by the argument that they are in.

The server's messages are not read: they may be in another language.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from db.engine.errors import DataError, InvalidValueError, fault_of
from db.engine.readers import Reader
from schema.errors import bad_argument
from schema.sql import cursors
from schema.sql.conditions import json_paths

log = logging.getLogger("gateway.values")

_WRONG = {
    "pattern": "a regular expression in it is invalid",
    "range": "a number in it is out of range",
    "depth": "it is nested too deeply",
    "feature": "the flag x of like_regex is not supported",
}
_SYNTAX = (
    "its syntax is wrong. One is written `$.roc_auc ? (@ > 0.8)`: `@` is for filters `? (...)`, `last` for subscripts "
    "`[...]`, and like_regex takes the flags i, s, m and q"
)
_OF_TIMES = {"time", "feature"}
"""Raised while a path is evaluated."""


async def unreadable(
    error: InvalidValueError, reader: Reader, where: Mapping[str, Any] | None, positions: Iterable[str] = ()
) -> Exception:
    """The error of the argument that an invalid value is in: a path or value of the filter, or a cursor.

    ``positions`` are the arguments with cursors. Without any argument it is a stored value.
    """
    log.info("the database cannot read a value: %s", error)
    paths = list(json_paths(where))
    for argument, path in paths:
        try:
            await reader.fetch("SELECT length($1::text::jsonpath::text)", [path])
        except InvalidValueError as wrong:
            why = _WRONG.get(fault_of(wrong), _SYNTAX)
            return bad_argument(argument, f"is not an SQL/JSON path: {why}")
    if arguments := " or ".join(positions):
        return cursors.invalid(arguments, "holds values that its columns cannot have")
    if paths and fault_of(error) in _OF_TIMES:
        argument = paths[0][0] if len(paths) == 1 else "where"
        why = "a template of datetime() is wrong, or a time with a zone is compared with one without"
        return bad_argument(argument, f"cannot be evaluated: {why}")
    if where:
        return bad_argument("where", "the database cannot read one of its values: it is too large, or of another form")
    return DataError(str(error))  # arguments were validated

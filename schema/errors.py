"""Typed errors for clients: a stable code, the place, the problem and what would be valid."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from graphql import GraphQLError

from schema.error_codes import ErrorCode

NUL = "contains NUL, which text in Postgres cannot hold"


class GatewayError(GraphQLError):
    """An error whose message is for clients; other exceptions are masked as ``INTERNAL``.

    ``code`` is stable; details (a limit, a value, an argument) are in ``extensions``. Without a ``message`` the default
    of the code is used, filled from the details.
    """

    def __init__(self, code: ErrorCode, message: str | None = None, **details: Any) -> None:
        super().__init__(message or code.message.format(**details), extensions={"code": code, **details})

    @property
    def code(self) -> str:
        return str((self.extensions or {})["code"])


def bad_argument(argument: str, message: str) -> GatewayError:
    """An invalid argument; ``argument`` is its path in the field."""
    return GatewayError(ErrorCode.BAD_USER_INPUT, f"{argument}: {message}", argument=argument)


class Withheld(str):
    """The name of a table or column that a caller may not read, with the scope that it needs.

    Messages name the scope alone: they reveal neither whether the database has it nor what it contains.
    """

    __slots__ = ("scope",)
    scope: str

    def __new__(cls, name: str, scope: str) -> Self:
        made = super().__new__(cls, name)
        made.scope = scope
        return made


def forbidden(scope: str) -> GatewayError:
    """A field that the caller may not read; it is null, the other fields are answered."""
    return GatewayError(ErrorCode.FORBIDDEN_FIELD, scope=scope)


def lacks(names: Iterable[str]) -> str:
    """Why an answer is incomplete, by the tables and columns that are missing or withheld."""
    scopes = sorted({name.scope for name in names if isinstance(name, Withheld)})
    missing = sorted(name for name in names if not isinstance(name, Withheld))
    said = [f"the connected database lacks {', '.join(missing)}"] if missing else []
    if scopes:
        said.append(f"the caller lacks the scope {', '.join(scopes)}")
    return "; ".join(said)


def missing_object(what: str) -> GatewayError:
    """A table, column or view of the data dictionary that the connected database lacks.

    For a withheld one the error says that, and nothing about the database.
    """
    if isinstance(what, Withheld):
        return forbidden(what.scope)
    return GatewayError(
        ErrorCode.MISSING_IN_DATABASE,
        f"{what} does not exist in the connected database, or is of a wholly other type there, so this field has no "
        "answer. "
        "`e2i-gateway db check` lists every difference.",
        object=what,
    )


def unreadable_value(what: str, why: str) -> GatewayError:
    """A stored value that its GraphQL type cannot represent; it is null, the other fields are answered."""
    return GatewayError(ErrorCode.UNREPRESENTABLE_VALUE, f"{what} holds {why}; it is answered as null.", column=what)


def unreadable_number(what: str, name: str) -> GatewayError:
    """The same for a number that JSON does not have: NaN or an infinity."""
    return unreadable_value(what, f"{name}, which JSON numbers cannot represent")

"""Errors that a client can act on: a stable code, where, what was wrong and what would be right."""

from __future__ import annotations

from typing import Any

from graphql import GraphQLError


class GatewayError(GraphQLError):
    """An error whose message is meant for the client; anything else is masked as ``INTERNAL``.

    ``code`` is stable and machine-readable; further details (a limit, a value, an argument) go beside it in
    ``extensions``.
    """

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(message, extensions={"code": code, **details})

    @property
    def code(self) -> str:
        return str((self.extensions or {})["code"])


def bad_argument(argument: str, message: str) -> GatewayError:
    """An argument's value cannot be used; ``argument`` is its path in the field."""
    return GatewayError("BAD_USER_INPUT", f"{argument}: {message}", argument=argument)


def missing_object(what: str) -> GatewayError:
    """A table, column or view of the data dictionary that the connected database does not have."""
    return GatewayError(
        "MISSING_IN_DATABASE",
        f"{what} does not exist in the connected database, so this field has no answer. "
        "`e2i-gateway db check` lists every difference.",
        object=what,
    )


def unreadable_value(what: str, why: str) -> GatewayError:
    """A stored value that its GraphQL type cannot carry; it is null, the rest of the answer stands."""
    return GatewayError("UNREPRESENTABLE_VALUE", f"{what} holds {why}; it is answered as null.", column=what)

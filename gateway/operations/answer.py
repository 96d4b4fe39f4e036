"""The response to an operation, independent of the transport."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson
from graphql import ExecutionResult, GraphQLError

from gateway.operations.call import Call
from schema.error_codes import ErrorCode
from schema.runner import Outcome

Cut = Mapping[tuple[str, ...], int]
"""The number of lists that were cut at the default size, by path."""

_AWAY = {ErrorCode.DATABASE_UNAVAILABLE, ErrorCode.DATABASE_DIVERGED, ErrorCode.OVERLOADED}


class Answer(NamedTuple):
    """The response to an operation; data of compiled statements are JSON already, in an `orjson.Fragment`."""

    body: dict[str, Any]
    """``data``, ``errors`` if any, and ``extensions``, by the specification."""
    unavailable: bool
    """Whether every root field failed because the database was unavailable, so that a retry may succeed."""

    @property
    def cost(self) -> dict[str, Any]:
        """The estimated cost in points, and the statements and rows it took."""
        cost: dict[str, Any] = self.body["extensions"]["cost"]
        return cost

    @property
    def errors(self) -> list[dict[str, Any]]:
        """Its errors as plain values."""
        errors: list[dict[str, Any]] = self.body.get("errors", [])
        return errors

    def as_json(self) -> bytes:
        """The response body."""
        return orjson.dumps(self.body)

    def as_values(self) -> dict[str, Any]:
        """The response as plain values."""
        values: dict[str, Any] = orjson.loads(self.as_json())
        return values


def more_of(cut: Cut) -> list[dict[str, Any]]:
    """Which lists were cut at a default size, as ``extensions.more`` tells it."""
    return [{"path": path, "lists": lists} for path, lists in sorted(cut.items())]


class LiveMessage(ExecutionResult):
    """A message of a subscription; it is encoded once for all subscribers with equal selections and rights."""

    def __init__(self, data: Any, errors: list[GraphQLError] | None, cut: Cut | None = None) -> None:
        super().__init__(data, errors)
        self._told = {"extensions": {"more": more_of(cut)}} if cut else {}
        self._json: bytes | None = None

    def as_json(self, call: Call) -> bytes:
        """The message as JSON for one subscriber; errors name the request, and are encoded for each."""
        if self.errors:
            errors = [call.reporter.public(error) for error in self.errors]
            return orjson.dumps({"data": self.data, "errors": errors, **self._told})
        if self._json is None:
            self._json = orjson.dumps({"data": self.data, **self._told})
        return self._json


def answer_of(result: Outcome, call: Call) -> Answer:
    """The response for an outcome. If the database was unavailable for every root field, a single error is reported."""
    if not result.errors:
        return Answer({"data": result.data}, unavailable=False)
    errors = [call.reporter.public(error) for error in result.errors]
    codes = {error["extensions"]["code"] for error in errors}
    call.record["errors"] = sorted(codes)
    answered = result.data is not None and any(value is not None for value in result.data.values())
    if not answered and codes <= _AWAY:
        return Answer({"errors": errors[:1], "data": None}, unavailable=True)
    return Answer({"errors": errors, "data": result.data}, unavailable=False)

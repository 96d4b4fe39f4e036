"""The response to an operation, independent of the transport."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson
from graphql import ExecutionResult

from gateway.operations.call import Call
from schema.error_codes import ErrorCode
from schema.runner import Outcome

_AWAY = {ErrorCode.DATABASE_UNAVAILABLE, ErrorCode.OVERLOADED}


class Answer(NamedTuple):
    """The answer to an operation; what a compiled statement read is JSON already, in an `orjson.Fragment`."""

    body: dict[str, Any]
    """``data``, ``errors`` where there are any, and ``extensions``, as the specification has them."""
    unavailable: bool
    """Whether the database was away for every root field, so that it is worth to ask again."""

    @property
    def cost(self) -> dict[str, Any]:
        """What it cost: points that were asked for, and statements and rows that it took."""
        cost: dict[str, Any] = self.body["extensions"]["cost"]
        return cost

    @property
    def errors(self) -> list[dict[str, Any]]:
        """Its errors as they are sent."""
        errors: list[dict[str, Any]] = self.body.get("errors", [])
        return errors

    def as_json(self) -> bytes:
        """The answer as it is sent."""
        return orjson.dumps(self.body)

    def as_values(self) -> dict[str, Any]:
        """The answer as plain values, for whoever looks into it."""
        values: dict[str, Any] = orjson.loads(self.as_json())
        return values


class LiveMessage(ExecutionResult):
    """What a subscription tells of a change, written as JSON once for all who are told the same with equal rights."""

    _json: bytes | None = None

    def as_json(self, call: Call) -> bytes:
        """The message as it is sent to whoever called; errors name the request, and are written for each."""
        if self.errors:
            errors = [call.reporter.public(error) for error in self.errors]
            return orjson.dumps({"data": self.data, "errors": errors})
        if self._json is None:
            self._json = orjson.dumps({"data": self.data})
        return self._json


def answer_of(result: Outcome, call: Call) -> Answer:
    """The answer that an outcome comes to. Of a database that is away for every root one error is told."""
    if not result.errors:
        return Answer({"data": result.data}, unavailable=False)
    errors = [call.reporter.public(error) for error in result.errors]
    codes = {error["extensions"]["code"] for error in errors}
    call.record["errors"] = sorted(codes)
    answered = result.data is not None and any(value is not None for value in result.data.values())
    if not answered and codes <= _AWAY:
        return Answer({"errors": errors[:1], "data": None}, unavailable=True)
    return Answer({"errors": errors, "data": result.data}, unavailable=False)

"""One request: who asks, what for, and how its statements run."""

from __future__ import annotations

from dataclasses import dataclass

from schema.loaders import Loaders
from schema.selection import Operation
from schema.types import RequestContext


@dataclass(frozen=True)
class Caller:
    """Who asks. Everybody is anonymous until the gateway knows how to tell callers apart."""

    name: str = "anonymous"


ANONYMOUS = Caller()


@dataclass
class Context(RequestContext):
    """The context of one operation."""

    operation: Operation
    loaders: Loaders
    caller: Caller
    request_id: str

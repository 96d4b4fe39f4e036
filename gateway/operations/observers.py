"""Hooks that observers of operations implement: logs, metrics and traces.

Statements and transactions are observed by events of their engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

from gateway.operations.call import Call

AGENTS = "MCP"
"""The transport's name for tools of agents, in place of an HTTP method."""
Count = Callable[[int], None]
"""Takes the number of messages."""


class Observer:
    """Receives events of every operation, and runs on the path of each. All methods are optional."""

    def operation(self, call: Call) -> AbstractContextManager[None]:  # noqa: ARG002 - for subclasses
        """Surrounds an operation that shares its connection with others, from before it is read to its end."""
        return nullcontext()

    def tool(self, call: Call, name: str) -> AbstractContextManager[None]:  # noqa: ARG002 - as above
        """Surrounds a call of an agent's tool, which runs any number of operations."""
        return nullcontext()

    def planned(self, call: Call) -> None:
        """An operation is planned and its cost is known; it is executed next."""

    def subscribed(self, call: Call) -> None:
        """A subscription is set up, and follows changes from now on."""

    def messages(self, call: Call) -> AbstractContextManager[Count]:  # noqa: ARG002 - as above
        """Surrounds reading some messages of a subscription; the result takes their number."""
        return nullcontext(_ignored)

    def finished(self, call: Call, transport: str, status: int) -> None:
        """A request was answered by a transport (an HTTP method, or its name) with an HTTP status."""


def _ignored(count: int) -> None:
    """Ignores a count."""


class Observers:
    """Several observers as one; later ones see what earlier ones have recorded."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._all = tuple(observers)
        # most observers override few methods, and every operation calls them
        self.of_plans = [one.planned for one in observers if type(one).planned is not Observer.planned]
        """Called with an operation that is planned."""
        self._of_messages = [one.messages for one in observers if type(one).messages is not Observer.messages]
        ends = [one.finished for one in observers if type(one).finished is not Observer.finished]

        def finished(call: Call, transport: str, status: int) -> None:
            for end in ends:
                end(call, transport, status)

        self.finished: Callable[[Call, str, int], None] = ends[0] if len(ends) == 1 else finished
        """Called with an operation that was answered."""

    @contextmanager
    def operation(self, call: Call) -> Iterator[None]:
        """Surrounds an operation with each observer."""
        with ExitStack() as stack:
            for one in self._all:
                stack.enter_context(one.operation(call))
            yield

    @contextmanager
    def tool(self, call: Call, name: str) -> Iterator[None]:
        """Surrounds a call with each observer."""
        with ExitStack() as stack:
            for one in self._all:
                stack.enter_context(one.tool(call, name))
            yield

    def subscribed(self, call: Call) -> None:
        """Notifies each observer."""
        for one in self._all:
            one.subscribed(call)

    def messages(self, call: Call) -> AbstractContextManager[Count]:
        """Surrounds reading with each observer."""
        return self._observed_messages(call) if self._of_messages else nullcontext(_ignored)

    @contextmanager
    def _observed_messages(self, call: Call) -> Iterator[Count]:
        with ExitStack() as stack:
            counts = [stack.enter_context(messages(call)) for messages in self._of_messages]

            def count(messages: int) -> None:
                for one in counts:
                    one(messages)

            yield count

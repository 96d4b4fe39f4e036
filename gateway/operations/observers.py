"""Hooks that observers of operations implement: logs, metrics and traces.

Statements and transactions are observed by events of their engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

from gateway.operations.call import Call

AGENTS = "MCP"
"""The transport of agents' tools, where HTTP has its methods."""
Count = Callable[[int], None]
"""Takes how many messages there are."""


class Observer:
    """Is told of every operation. What it does is on the way of each; methods may be left as they are."""

    def operation(self, call: Call) -> AbstractContextManager[None]:  # noqa: ARG002 - for those that look at it
        """Around an operation that shares its connection with others, from before it is read to its end."""
        return nullcontext()

    def tool(self, call: Call, name: str) -> AbstractContextManager[None]:  # noqa: ARG002 - as above
        """Around the call of an agent's tool, which runs any number of operations."""
        return nullcontext()

    def planned(self, call: Call) -> None:
        """An operation has a plan and a price, and is run next."""

    def subscribed(self, call: Call) -> None:
        """A subscription is set up: changes are told from now on."""

    def messages(self, call: Call) -> AbstractContextManager[Count]:  # noqa: ARG002 - as above
        """Around the reading of some messages of a subscription; takes how many there are."""
        return nullcontext(_ignored)

    def finished(self, call: Call, transport: str, status: int) -> None:
        """A request was answered by a transport (an HTTP method, or its name) with what is an HTTP status there."""


def _ignored(count: int) -> None:
    """A count that nobody wants."""


class Observers:
    """Several observers as one; those that are told last see what the others have recorded."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._all = tuple(observers)
        # most leave some of them as they are, and every operation comes by here
        self.of_plans = [one.planned for one in observers if type(one).planned is not Observer.planned]
        """Are called with an operation that has a plan."""
        ends = [one.finished for one in observers if type(one).finished is not Observer.finished]

        def finished(call: Call, transport: str, status: int) -> None:
            for end in ends:
                end(call, transport, status)

        self.finished: Callable[[Call, str, int], None] = ends[0] if len(ends) == 1 else finished
        """Is called with one that was answered."""

    @contextmanager
    def operation(self, call: Call) -> Iterator[None]:
        """As of each."""
        with ExitStack() as stack:
            for one in self._all:
                stack.enter_context(one.operation(call))
            yield

    @contextmanager
    def tool(self, call: Call, name: str) -> Iterator[None]:
        """As of each."""
        with ExitStack() as stack:
            for one in self._all:
                stack.enter_context(one.tool(call, name))
            yield

    def subscribed(self, call: Call) -> None:
        """As of each."""
        for one in self._all:
            one.subscribed(call)

    @contextmanager
    def messages(self, call: Call) -> Iterator[Count]:
        """As of each."""
        with ExitStack() as stack:
            counts = [stack.enter_context(one.messages(call)) for one in self._all]

            def count(messages: int) -> None:
                for one in counts:
                    one(messages)

            yield count

"""Subscriptions: a message per change, with the caller's permissions at the time of the message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any

from graphql import GraphQLError

from db.engine.errors import DatabaseUnavailableError, OverloadedError
from db.engine.limiter import Limiter
from db.store.changelog import EntryFacts
from gateway.auth.authentication import UnauthenticatedError
from gateway.operations.answer import LiveMessage
from gateway.operations.budgets import Budgets
from gateway.operations.call import Call
from gateway.operations.observers import Observers
from gateway.operations.planner import PlannedOperation, Planner
from gateway.operations.refusals import RefusedError, too_late
from gateway.operations.runner import Runner
from gateway.settings import Settings
from gateway.subscriptions.feed import ChangeFeed
from gateway.subscriptions.stream import Told, following
from gateway.subscriptions.wake_event import WakeEvent
from schema.catalogue import exact_json
from schema.catalogue.catalogue import Catalogue
from schema.catalogue.relative_times import START
from schema.catalogue.selection import Operation
from schema.errors import missing_object
from schema.schema import Schema
from schema.subscriptions import TOPICS, SubscriptionTopic, encode, told

TOGETHER = 50
"""Changes whose rows are read together."""
AT_ONCE = 4
"""Concurrent reads; they share the connection pool with queries."""
KEPT_SECONDS = 1.0
"""Seconds for which a result is shared; later the rows may have changed."""
_WITHOUT_POLICIES = (
    "SELECT name FROM unnest($1::text[]) AS s (name) WHERE NOT row_security_active(to_regclass(name)::oid)"
)
"""The names of tables without row policies that hide rows from the caller."""
FIRST_DELAY, LAST_DELAY = 0.1, 5.0
"""Seconds between two attempts to read a message's data: the first, and the longest."""


class SharedReading:
    """One read, shared by all that wait for it."""

    def __init__(self, read: Awaitable[Sequence[LiveMessage]]) -> None:
        self._task = asyncio.ensure_future(read)
        self._over = WakeEvent()
        self._task.add_done_callback(self._done)

    async def results(self) -> Sequence[LiveMessage]:
        """The result of the read, or its error; cancelling a waiter does not cancel the read."""
        if not self._task.done():
            await self._over.wait()
        return self._task.result()

    def _done(self, task: asyncio.Future[Sequence[LiveMessage]]) -> None:
        if not task.cancelled():
            task.exception()  # retrieved, since no waiter may be left
        self._over.notify()


class Readings:
    """Limits concurrent reads for messages, and shares each among subscribers with equal selections and rights."""

    def __init__(self) -> None:
        self._turns = Limiter(AT_ONCE)
        self._kept: dict[Hashable, SharedReading] = {}

    async def get(self, key: Hashable, read: Callable[[], Awaitable[Sequence[LiveMessage]]]) -> Sequence[LiveMessage]:
        """The result of ``read``, or that of a recent call with the same key."""
        reading = self._kept.get(key)
        if reading is None:
            reading = self._kept[key] = SharedReading(self._in_turn(read))
            asyncio.get_running_loop().call_later(KEPT_SECONDS, self._forget, key, reading)
        try:
            results = await reading.results()
        except Exception:
            self._forget(key, reading)
            raise
        if any(result.errors for result in results):
            self._forget(key, reading)
        return results

    async def _in_turn(self, read: Callable[[], Awaitable[Sequence[LiveMessage]]]) -> Sequence[LiveMessage]:
        async with self._turns:
            return await read()

    def _forget(self, key: Hashable, reading: SharedReading) -> None:
        if self._kept.get(key) is reading:
            del self._kept[key]


class Subscriptions:
    """Follows the feed for subscribers, and resolves their messages."""

    def __init__(
        self,
        schema: Schema,
        planner: Planner,
        runner: Runner,
        feed: ChangeFeed,
        budgets: Budgets | None,
        observers: Observers,
        settings: Settings,
    ) -> None:
        self._schema = schema
        self._planner = planner
        self._runner = runner
        self._feed = feed
        self._budgets = budgets
        self._observers = observers
        self._settings = settings
        self._readings = Readings()

    async def messages(self, planned: PlannedOperation, call: Call) -> AsyncGenerator[Sequence[LiveMessage]]:
        """The messages of a subscription, without end, in lists of those that are there at once.

        Raises:
            GraphQLError: The caller may not read the topic, or an argument is invalid.
            RefusedError: A message exceeded its timeout, or costs more than the budget ever has.
            DatabaseUnavailableError: There is no connection at the start; later losses are bridged.
        """
        topic, arguments = self._topic(planned, call)
        matches = topic.asks(self._catalogue, arguments)

        def concerns(facts: EntryFacts) -> bool:
            """Whether an entry matches, and the caller may know of it."""
            return matches(facts) and facts.get("type") not in self._planner.access.of(call.caller.scopes).unrecorded

        together, asked = self._affordable(planned), self._operation_key(planned)
        after, hours = arguments.get("after"), self._settings.live_hours
        async with following(self._feed, topic.name, after, concerns, hours) as changes:
            self._observers.subscribed(call)
            async for some in changes:
                for start in range(0, len(some), together):
                    with self._observers.messages(call) as count:
                        results = await self._resolved(planned, asked, topic, some[start : start + together], call)
                        count(len(results))
                    if results:
                        # later reads of the caller are not older than its messages
                        self._runner.reads.changed(call.caller.name, self._feed.written)
                        yield results

    @property
    def _catalogue(self) -> Catalogue:
        return self._schema.catalogue

    def _topic(self, planned: PlannedOperation, call: Call) -> tuple[SubscriptionTopic, Mapping[str, Any]]:
        """The topic of a subscription, and its arguments."""
        known = planned.known
        (selection,) = Operation(
            self._schema.graphql, known.definition, known.fragments, planned.values
        ).root.fields.values()
        topic = TOPICS[selection.name]
        access = self._planner.access.of(call.caller.scopes)
        if topic.fact is not None:
            withheld = access.withholds([self._catalogue.told(topic.name).table.fullname])
        else:
            named = [one.value for one in selection.arguments.get("types") or ()]
            withheld = next((access.unrecorded[name] for name in named if name in access.unrecorded), None)
        if withheld:
            raise missing_object(withheld)
        return topic, selection.arguments

    def _affordable(self, planned: PlannedOperation) -> int:
        """The number of messages that a full budget can pay for; at least one, which may be refused."""
        if self._budgets is None:
            return TOGETHER
        return max(1, min(TOGETHER, self._budgets.limit // max(planned.cost, 1)))

    async def _resolved(
        self, planned: PlannedOperation, asked: Hashable, topic: SubscriptionTopic, some: Sequence[Told], call: Call
    ) -> Sequence[LiveMessage]:
        """The messages of some changes; they wait while the database is unavailable or the budget exhausted.

        The caller is authenticated again each time, before anything is sent.
        """
        delay = FIRST_DELAY
        paid = False
        while True:
            try:
                if call.authenticate is not None:
                    call.caller = await call.authenticate()
                if not paid and self._budgets:
                    await self._budgets.take(call.account, planned.cost * len(some))
                    paid = True
                results = await self._read(planned, asked, topic, some, call)
            except RefusedError as refused:
                wait = float(refused.headers.get("retry-after", 0))
                if not wait:
                    raise
            except (DatabaseUnavailableError, OverloadedError, UnauthenticatedError):
                wait = delay
            else:
                if not any(_is_away(error) for result in results for error in result.errors or ()):
                    return results
                wait = delay
            await asyncio.sleep(wait)
            delay = min(delay * 2, LAST_DELAY)

    async def _read(
        self, planned: PlannedOperation, asked: Hashable, topic: SubscriptionTopic, some: Sequence[Told], call: Call
    ) -> Sequence[LiveMessage]:
        caller = call.caller
        if caller.identity is not None and (facts := [change.facts for change, _ in some if change is not None]):
            is_shown = await self._policies(topic, facts, call)
            some = [one for one in some if one[0] is None or is_shown(one[0].facts)]
        if not some:
            return ()
        # callers with equal scopes, identities and access get equal messages; a change, and the position of who begins
        # after it, have one cursor
        sent = tuple([(encode(place), change and change.position) for change, place in some])
        key = asked, caller.scopes, caller.identity, self._planner.access, sent
        return await self._readings.get(key, partial(self._read_in_time, planned, some, call))

    async def _read_in_time(self, planned: PlannedOperation, some: Sequence[Told], call: Call) -> list[LiveMessage]:
        roots = [told(change, encode(place)) for change, place in some]
        try:
            async with asyncio.timeout(self._settings.request_timeout):
                return await self._runner.messages(planned, roots, call)
        except TimeoutError:
            raise too_late(self._settings.request_timeout) from None

    async def _policies(
        self, topic: SubscriptionTopic, facts: Sequence[EntryFacts], call: Call
    ) -> Callable[[EntryFacts], bool]:
        """Returns whether the database's policies let a caller know of an entry: whether it may read the row.

        A batch has only counts, so that one of a table with policies is sent to its author alone.
        """
        fetch = self._runner.reader_of_now(call).fetch
        fact = topic.fact
        if fact is not None:
            type_ = self._catalogue.told(topic.name)
            sql = f"SELECT {type_.key[0]}::text FROM {type_.sql_name} WHERE {type_.key[0]} = ANY ($1::text[]::uuid[])"
            keys = [str(one[fact]) for one in facts]
            visible = {key for (key,) in await fetch(sql, (keys,))}
            return lambda entry: entry[fact] in visible
        tables = {self._catalogue[one["type"]].sql_name: one["type"] for one in facts}
        open_ = {tables[name] for (name,) in await fetch(_WITHOUT_POLICIES, (list(tables),))}
        return lambda entry: entry["type"] in open_ or entry["actor"] == call.caller.name

    def _operation_key(self, planned: PlannedOperation) -> Hashable:
        """The key of an operation with its variables: equal ones select the same of equal changes."""
        variables = exact_json.dumps(planned.parameters.variables)
        known = planned.known
        moment = id(planned.values) if known.hidden or known.defaults or START.encode() in variables else None
        return known, variables, moment


def _is_away(error: GraphQLError) -> bool:
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return isinstance(cause, DatabaseUnavailableError | OverloadedError)

"""The executor: JSON of Postgres is passed through unchanged; each root field of a mutation has its own transaction or
shares one, and its result is read before the commit."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

from graphql import (
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    get_named_type,
    is_leaf_type,
    located_error,
)
from graphql.execution import Executor
from graphql.pyutils import Path

from db.engine.transaction import Transaction
from schema.adapters.graphql_core import FieldDetailsList, GroupedFieldSet
from schema.catalogue.records import CUT, WRITTEN
from schema.execution.change_answer import AnswerReader
from schema.execution.loaders import Loaders
from schema.execution.time_slices import turns

FIELDS_AT_ONCE = 25
"""Fields of one object that are started before yielding to the event loop: some milliseconds, if they are lists."""

# What graphql-core had not started when its request was cancelled is dropped, without a warning.
warnings.filterwarnings("ignore", r"coroutine .Executor\.", RuntimeWarning)


class AnswerExecutor(Executor[Any]):
    """graphql-core's executor, for which a row that is JSON already is complete.

    Its variables are those of the planned operation: coerced once, relative to one moment.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.variable_values = self.context_value.operation.variables

    def complete_object_value(
        self,
        return_type: GraphQLObjectType,
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        if isinstance(result, dict):
            if cut := result.get(CUT):
                self.context_value.loaders.cut.update(cut)
            if (written := result.get(WRITTEN)) is not None:
                return written
        return super().complete_object_value(return_type, field_details_list, info, path, result, position_context)

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: GroupedFieldSet,
        position_context: Any,
    ) -> Any:
        """Yields to the event loop between fields, each of which may be a list with arguments to be coerced."""
        run = super().execute_fields
        loaders = getattr(self.context_value, "loaders", None)
        if loaders is None or len(grouped_field_set) <= FIELDS_AT_ONCE:
            return run(parent_type, source_value, path, grouped_field_set, position_context)
        fields = list(grouped_field_set.items())
        parts = [dict(fields[at : at + FIELDS_AT_ONCE]) for at in range(0, len(fields), FIELDS_AT_ONCE)]
        begun: list[Any] = []

        def begin(_place: int, part: GroupedFieldSet) -> None:
            begun.append(run(parent_type, source_value, path, part, position_context))

        async def all_of_them() -> dict[str, Any]:
            try:
                with loaders.level.working():
                    await turns().each(parts, begin)
            except BaseException:
                self.settle_in_background([one for one in begun if self.is_awaitable(one)])
                raise
            found = await asyncio.gather(*(one for one in begun if self.is_awaitable(one)))
            later = iter(found)
            answered = [next(later) if self.is_awaitable(one) else one for one in begun]
            return {key: value for part in answered for key, value in part.items()}

        return all_of_them()

    def complete_iterable_value(
        self,
        item_type: GraphQLOutputType,
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        items: Iterable[Any],
        position_context: Any,
    ) -> Any:
        """Yields to the event loop between rows."""
        loaders = getattr(self.context_value, "loaders", None)
        if loaders is None or is_leaf_type(get_named_type(item_type)):
            return super().complete_iterable_value(item_type, field_details_list, info, path, items, position_context)
        completed: list[Any] = []
        waiting: list[int] = []
        is_awaitable, complete_item = self.is_awaitable, self.complete_list_item_value

        def complete(place: int, item: Any) -> None:
            at = path.add_key(place, None)
            if is_awaitable(item):
                item = self.complete_awaitable_list_item_value(
                    item, item_type, field_details_list, info, at, position_context
                )
                completed.append(item)
                waiting.append(place)
            elif complete_item(item, completed, item_type, field_details_list, info, at, position_context):
                waiting.append(place)

        async def all_of_them() -> list[Any]:
            with loaders.level.working():
                await turns().each(items, complete)
            if waiting:
                found = await asyncio.gather(*(completed[place] for place in waiting))
                for place, one in zip(waiting, found, strict=True):
                    completed[place] = one
            return completed

        return all_of_them()


class MutationExecutor(AnswerExecutor):
    """Begins and commits around each root field, or around all of them.

    The stock executor reads the answer after the resolver has returned, when its change would be committed already.
    Here the resolver only sets whether its transaction is ``wanted``; an answer that fails as a whole is not committed
    either, so that null means that nothing was changed, unless an error says otherwise.
    """

    def execute_field(
        self,
        parent_type: GraphQLObjectType,
        source: Any,
        field_details_list: FieldDetailsList,
        path: Path,
        position_context: Any,
    ) -> Any:
        run = super().execute_field
        name = field_details_list[0].node.name.value
        if path.prev is not None or name.startswith("__") or self.context_value.together is not None:
            return run(parent_type, source, field_details_list, path, position_context)

        async def in_transaction() -> Any:
            try:
                async with _transaction(self.context_value) as reader:
                    found = run(parent_type, source, field_details_list, path, position_context)
                    value = await found if inspect.isawaitable(found) else found
                    await reader.end(whole=value is not None)
            except Exception as error:  # noqa: BLE001 - it becomes the error of this field
                self._fail(error, parent_type, field_details_list, path)
                return None
            return value

        return in_transaction()

    def execute_fields_serially(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: GroupedFieldSet,
        position_context: Any,
    ) -> Any:
        """With a shared transaction, the fields are executed in order and answered together."""
        together: SharedTransaction | None = self.context_value.together
        if together is None:
            return super().execute_fields_serially(parent_type, source_value, path, grouped_field_set, position_context)
        return self._in_one_transaction(together, parent_type, source_value, grouped_field_set, position_context)

    async def _in_one_transaction(
        self,
        together: SharedTransaction,
        parent_type: GraphQLObjectType,
        source: Any,
        fields: GroupedFieldSet,
        position_context: Any,
    ) -> dict[str, Any]:
        values: dict[str, Any] = dict.fromkeys(fields)
        changing = [key for key, details in fields.items() if not details[0].node.name.value.startswith("__")]

        async def answer(key: str) -> None:
            found = self.execute_field(
                parent_type, source, fields[key], Path(None, key, parent_type.name), position_context
            )
            values[key] = await found if inspect.isawaitable(found) else found
            together.leave(key)

        def fail(keys: Iterable[str], error: Exception) -> None:
            for key in keys:
                values[key] = None
                self._fail(error, parent_type, fields[key], Path(None, key, parent_type.name))

        for key in fields.keys() - changing:
            await answer(key)
        if not changing:
            return values
        together.expect(changing)
        reader: AnswerReader | None = None
        try:
            async with _transaction(self.context_value) as reader:
                await asyncio.gather(together.make(self.context_value), *(answer(key) for key in changing))
                unread = [key for key in changing if values[key] is None]
                was_wanted = self.context_value.transaction.wanted
                await reader.end(whole=not unread)
        except Exception as error:  # noqa: BLE001 - it becomes the error of these fields
            made = reader is not None and reader.committed
            fail([key for key in changing if values[key] is None] if made else changing, error)
            return values
        if unread and was_wanted:
            fail([key for key in changing if values[key] is not None], together.undone_error(unread[0]))
        return values

    def _fail(
        self, error: Exception, parent_type: GraphQLObjectType, field_details_list: FieldDetailsList, path: Path
    ) -> None:
        """Reports an error as that of a root field."""
        field = self.schema.get_field(parent_type, field_details_list[0].node.name.value)
        assert field is not None  # noqa: S101 - validation refuses unknown fields
        errors = self.collected_errors.errors
        before = len(errors)
        self.handle_field_error(error, field.type, field_details_list, path)
        if len(errors) == before:  # null already because of an error below, which says less
            errors.append(located_error(error, [one.node for one in field_details_list], path.as_list()))


class SharedTransaction(Protocol):
    """The changes of an operation in one transaction; its resolvers await their results."""

    def expect(self, fields: Sequence[str]) -> None:
        """Sets the expected fields, by response key, in the order of the operation."""
        ...

    def leave(self, field: str) -> None:
        """Reports that a field is resolved, whether or not it changes anything."""
        ...

    async def make(self, context: Any) -> None:
        """Executes the changes in the context's transaction once all fields have joined, and resolves the fields."""
        ...

    def undone_error(self, cause: str) -> Exception:
        """The error of a field whose change was rolled back because the answer of another one failed."""
        ...


@asynccontextmanager
async def _transaction(context: Any) -> AsyncIterator[AnswerReader]:
    """A transaction for changes, with the reader of their answers."""
    outer: Loaders = context.loaders
    async with AsyncExitStack() as opened:
        transaction: Transaction = await opened.enter_async_context(context.begin())
        context.transaction = transaction
        reader = AnswerReader(opened, transaction, context.after, context.answer_timeout)
        context.loaders = outer.over(reader)
        try:
            yield reader
        finally:
            reader.stop()
            context.loaders = outer
            reader.count()
            outer.reader.statements += reader.statements
            outer.reader.rows += reader.rows
            outer.reader.position = transaction.position or outer.reader.position

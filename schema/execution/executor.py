"""How resolvers' answers are put together: rows that Postgres has written as JSON go through as they are, and each root
field of a mutation has a transaction of its own, with its answer read before the commit."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any

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
"""Fields of one object that are begun before others have their turn: some milliseconds, if they are lists."""

# What graphql-core had not begun yet when its request was cancelled is dropped, which is no news to an operator.
warnings.filterwarnings("ignore", r"coroutine .Executor\.", RuntimeWarning)


class AnswerExecutor(Executor[Any]):
    """graphql-core's executor, to which a row that is written already is complete."""

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
        """Many fields take turns with everything else; each of them may be a list with arguments to be read."""
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
        """A list of rows takes turns with everything else."""
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
    """Begin and commit around each root field.

    A stock executor reads the answer after the resolver has returned, when its change would be committed already. Here
    the resolver only says whether its transaction is ``wanted``; an answer that fails as a whole is not committed
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
        if path.prev is not None or name.startswith("__"):
            return run(parent_type, source, field_details_list, path, position_context)

        async def answer() -> Any:
            found = run(parent_type, source, field_details_list, path, position_context)
            return await found if inspect.isawaitable(found) else found

        async def in_transaction() -> Any:
            try:
                return await _in_transaction(self.context_value, answer)
            except Exception as error:  # noqa: BLE001 - it becomes the error of this field
                field = self.schema.get_field(parent_type, name)
                assert field is not None  # noqa: S101 - validation has refused unknown fields
                errors = self.collected_errors.errors
                before = len(errors)
                self.handle_field_error(error, field.type, field_details_list, path)
                if len(errors) == before:  # null already because of what is below, which says less
                    errors.append(located_error(error, [one.node for one in field_details_list], path.as_list()))
                return None

        return in_transaction()


async def _in_transaction(context: Any, answer: Any) -> Any:
    outer: Loaders = context.loaders
    async with AsyncExitStack() as opened:
        transaction: Transaction = await opened.enter_async_context(context.begin())
        context.transaction = transaction
        reader = AnswerReader(opened, transaction, context.after, context.answer_timeout)
        context.loaders = outer.over(reader)
        try:
            value = await answer()
            await reader.end(whole=value is not None)
        finally:
            reader.stop()
            context.loaders = outer
            reader.count()
            outer.reader.statements += reader.statements
            outer.reader.rows += reader.rows
            outer.reader.position = transaction.position or outer.reader.position
    return value

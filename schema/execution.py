"""How resolvers' answers are put together: rows that Postgres has written as JSON go through as they are, and each root
field of a mutation has a transaction of its own, with its whole answer read before the commit."""

from __future__ import annotations

import asyncio
import inspect
import warnings
from collections.abc import Awaitable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any

from graphql import GraphQLObjectType, GraphQLOutputType, GraphQLResolveInfo, get_named_type, is_leaf_type
from graphql.execution import Executor
from graphql.pyutils import Path

from db.errors import ConflictError, OutcomeUnknownError, RefusedByDatabaseError
from db.transaction import Transaction
from schema.adapters.graphql_core import FieldDetailsList, GroupedFieldSet
from schema.error_codes import ErrorCode
from schema.errors import GatewayError
from schema.loaders import Loaders
from schema.records import CUT, WRITTEN
from schema.turns import turns

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

    A stock executor reads the answer after the resolver has returned, when a dry run would be undone already. Here the
    resolver only says whether its transaction is ``wanted``; an answer that fails as a whole is not committed either,
    so that null always means that nothing was changed.
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
                self.handle_field_error(error, field.type, field_details_list, path)
                return None

        return in_transaction()


async def _in_transaction(context: Any, answer: Any) -> Any:
    outer: Loaders = context.loaders
    opened: AbstractAsyncContextManager[Transaction] = context.begin()
    async with opened as transaction:
        context.transaction = transaction
        context.loaders = outer.over(transaction.reader)
        try:
            value = await answer()
            if transaction.wanted and value is not None:
                await _finish(transaction)
            else:
                await transaction.rollback()
        finally:
            context.loaders = outer
            outer.reader.statements += transaction.reader.statements
            outer.reader.rows += transaction.reader.rows
            outer.reader.position = transaction.position or outer.reader.position
    return value


_committing: set[asyncio.Task[None]] = set()


async def _finish(transaction: Transaction) -> None:
    """Commits. A request that is given up meanwhile does not stop it half-way.

    Raises:
        GatewayError: ``OUTCOME_UNKNOWN``, or ``CONFLICT`` where something was judged at the commit only.
    """
    commit: Awaitable[None] = transaction.commit()
    task = asyncio.ensure_future(commit)
    _committing.add(task)
    task.add_done_callback(_committing.discard)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
    except OutcomeUnknownError as error:
        raise GatewayError(ErrorCode.OUTCOME_UNKNOWN) from error
    except (ConflictError, RefusedByDatabaseError) as error:
        words = (
            f": {error.diagnostics.words}" if isinstance(error, RefusedByDatabaseError) and error.by_trigger else "."
        )
        raise GatewayError(
            ErrorCode.CONFLICT, f"The database refused the commit, and nothing was changed{words}"
        ) from error

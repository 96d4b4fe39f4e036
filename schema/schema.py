"""Puts the graph together: catalogue, types, what is particular to a group, and the Strawberry schema."""

from __future__ import annotations

import inspect
from functools import cache, cached_property
from typing import Any

from graphql import DocumentNode, ExecutionResult, execute, is_abstract_type
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.config import StrawberryConfig

from schema.adapters.strawberry import StrawberrySchema
from schema.catalogue.catalogue import Catalogue, catalogue
from schema.catalogue.scalars import SCALARS
from schema.changes.lifecycle_field import LifecycleFields
from schema.changes.mutation_type import Mutations
from schema.changes.transactions import OperationTransaction, transaction_directive
from schema.execution.executor import AnswerExecutor, MutationExecutor
from schema.fields.registry import FIELDS
from schema.graph.types import RequestContext, Types, read
from schema.names.find import FieldFinder
from schema.names.suggestions import Suggestions
from schema.subscriptions import subscription


class Schema(StrawberrySchema):
    """The graph's schema, with the catalogue that it was made from."""

    def __init__(self, models: Catalogue) -> None:
        types = Types(models, LifecycleFields())
        super().__init__(
            query=types.query({name: own.make(types) for name, own in FIELDS.items()}),
            mutation=Mutations(types).type(),
            subscription=subscription(types),
            directives=[transaction_directive],
            types=list(types.nodes.values()),
            config=StrawberryConfig(auto_camel_case=True, default_resolver=read, scalar_map=SCALARS),
        )
        self.catalogue = models
        self.suggestions = Suggestions(self.graphql, models)
        """What is probably meant by names that it does not have."""

    @cached_property
    def finder(self) -> FieldFinder:
        """Finds fields for questions."""
        return FieldFinder(self.catalogue)

    def possible_types(self) -> dict[str, list[str]]:
        """The names of the object types of each interface and union."""
        abstract = [one for one in self.graphql.type_map.values() if is_abstract_type(one)]
        return {
            one.name: sorted(member.name for member in self.graphql.get_possible_types(one))
            for one in sorted(abstract, key=lambda one: one.name)
        }

    async def run(
        self,
        document: DocumentNode,
        operation_name: str | None,
        variables: dict[str, Any],
        context: RequestContext,
        root: object = None,
    ) -> ExecutionResult:
        """Runs one operation of a validated document by the loaders (executor 1).

        ``root`` is what a subscription's message is resolved from.
        """
        if context.operation.changes:
            context.together = OperationTransaction.of(
                self.graphql, context.operation.definition, context.operation.variables
            )
        result = execute(
            self.graphql,
            document,
            root,
            context_value=context,
            variable_values=variables,
            operation_name=operation_name,
            executor_class=MutationExecutor if context.operation.changes else AnswerExecutor,
            is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]  # Strawberry's says bool, not TypeGuard
        )
        return await result if inspect.isawaitable(result) else result


@cache
def build() -> Schema:
    """The schema over all models."""
    return Schema(catalogue())

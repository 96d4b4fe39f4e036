"""Assembles the graph: catalogue, types, other root fields, and the Strawberry schema."""

from __future__ import annotations

import gc
import inspect
from functools import cache, cached_property
from typing import Any

from graphql import DocumentNode, ExecutionResult, OperationDefinitionNode, execute, get_named_type, is_abstract_type
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.config import StrawberryConfig

from schema.adapters.strawberry import StrawberrySchema
from schema.catalogue.catalogue import Catalogue
from schema.catalogue.from_models import catalogue
from schema.catalogue.graph_map import graph_map
from schema.catalogue.scalars import SCALARS
from schema.changes.lifecycle_field import LifecycleFields
from schema.changes.mutation_type import Mutations
from schema.changes.operation_transaction import OperationTransaction, transaction_directive
from schema.execution.executor import AnswerExecutor, MutationExecutor
from schema.federation import subgraph_sdl
from schema.fields.entities import REPRESENTATION, Representation, federated_fields
from schema.fields.registry import FIELDS
from schema.graph.types import Node, RequestContext, Types, read
from schema.names.find import FieldFinder, FoundField
from schema.names.suggestions import Suggestions
from schema.recording.purging import purge_fields
from schema.recording.record_fields import RecordFields, install
from schema.sql.entities import natural_keys
from schema.subscriptions import subscription
from schema.webhooks.changes import webhook_fields


class Schema(StrawberrySchema):
    """The graph's schema, with its catalogue."""

    def __init__(self, models: Catalogue, *, federated: bool = False) -> None:
        """``federated``: as a subgraph, with the fields ``_entities`` and ``_service``."""
        types = Types(models, LifecycleFields())
        fields = {**FIELDS, **(federated_fields(subgraph) if federated else {})}
        own = RecordFields(types).fields() | purge_fields() | webhook_fields(types)
        super().__init__(
            query=types.query({name: own.make(types) for name, own in fields.items()}),
            mutation=Mutations(types).type(own),
            subscription=subscription(types),
            directives=[transaction_directive],
            types=list(types.nodes.values()),
            config=StrawberryConfig(
                auto_camel_case=True, default_resolver=read, scalar_map=SCALARS | {Representation: REPRESENTATION}
            ),
        )
        install(self.graphql)
        assert self.graphql.query_type is not None  # noqa: S101 - the graph has one
        self.graphql.description = graph_map(models, self.graphql.query_type.fields)
        if federated:
            entity: Any = self.graphql.type_map["_Entity"]
            entity.resolve_type = Node.resolve_type
        self.catalogue = models
        self.suggestions = Suggestions(self.graphql, models)
        """Suggestions for unknown names."""

    def as_str(self) -> str:
        """The SDL, which begins with the description of the schema."""
        roots = "  query: Query\n  mutation: Mutation\n  subscription: Subscription"
        return f'"""\n{self.graphql.description}\n"""\nschema {{\n{roots}\n}}\n\n{super().as_str()}'

    @cached_property
    def finder(self) -> FieldFinder:
        """Finds fields for questions."""
        assert self.graphql.query_type is not None  # noqa: S101 - the graph has one
        listed = {root.target for root in self.catalogue.roots.values() if root.many}
        own = {root.name for root in self.catalogue.roots.values() if root.many or root.target in listed}
        others = (
            FoundField("Query", name, get_named_type(field.type).name, field.description or "")
            for name, field in self.graphql.query_type.fields.items()
            if name not in own
        )
        return FieldFinder(self.catalogue, others)

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
        context: RequestContext,
        root: object = None,
    ) -> ExecutionResult:
        """Executes one operation of a validated document by the loaders (executor 1).

        ``root`` is the source of a subscription's message.
        """
        changes = context.operation.changes
        if changes:
            context.together = OperationTransaction.of(
                self.graphql, context.operation.definition, context.operation.variables
            )
            if context.together is not None:
                context.together.seen = context.seen
        result = execute(
            self.graphql,
            _without_variables(document),
            root,
            context_value=context,
            operation_name=operation_name,
            executor_class=MutationExecutor if changes else AnswerExecutor,
            is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]  # Strawberry's returns bool, not TypeGuard
        )
        return await result if inspect.isawaitable(result) else result


def _without_variables(document: DocumentNode) -> DocumentNode:
    """The document for an executor that has the coerced variables already."""
    definitions = tuple(
        OperationDefinitionNode(
            operation=one.operation, name=one.name, directives=one.directives, selection_set=one.selection_set,
            loc=one.loc,
        )
        if isinstance(one, OperationDefinitionNode) and one.variable_definitions
        else one
        for one in document.definitions
    )  # fmt: skip
    return DocumentNode(definitions=definitions, loc=document.loc)


def build(*, federated: bool = False) -> Schema:
    """The schema over all models; optionally as a subgraph. Each of the two is built once."""
    return _built(federated)


@cache
def _built(federated: bool) -> Schema:  # noqa: FBT001 - one form of the argument: to a cache others are other calls
    """Collection of garbage is off meanwhile, and what was built is exempt from it: nearly all of it stays."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        return Schema(catalogue(), federated=federated)
    finally:
        if was_on:
            gc.freeze()
            gc.enable()


@cache
def subgraph() -> str:
    """The SDL of the subgraph."""
    schema = build()
    natural = natural_keys(schema.catalogue)
    nodes = [type_.name for type_ in schema.catalogue if type_.is_node]
    return subgraph_sdl(schema.as_str(), {name: [tuple(one) for one in natural.get(name, ())] for name in nodes})

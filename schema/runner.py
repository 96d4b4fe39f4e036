"""Running a plan: one compiled statement, and resolvers for the other fields concurrently.

If data or a missing object fails the statement, the resolvers execute its fields again and report the failing field.
After a timeout, a lost connection, exhausted resources or too many bytes nothing is repeated.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from graphql import GraphQLError
from graphql.execution.values import VariableValues

from db.engine.errors import NEVER_TWICE
from db.engine.readers import ShortReader
from schema.catalogue.selection import Operation
from schema.errors import GatewayError
from schema.execution.compiler.statements import bytes_over
from schema.execution.plans import KnownOperation, Part, Plan
from schema.graph.types import RequestContext
from schema.schema import Schema
from schema.sql import aggregates

log = logging.getLogger("gateway.compiler")

MakeContext = Callable[[Operation], RequestContext]


@dataclass
class Outcome:
    """The outcome of an operation: values by response key; compiled ones are JSON already."""

    data: Mapping[str, Any] | None
    errors: list[GraphQLError] = field(default_factory=list)
    compiled: int = 0
    """The number of root fields that a compiled statement has answered."""
    cut: Counter[tuple[str, ...]] | None = None
    """The numbers of lists that were cut at the default size, by path; None if no list could be."""
    rolled_up: bool | Mapping[str, float] = False
    """Whether sums were read off rollups; with the error of percentiles."""
    size: int = 0
    """The bytes of the compiled values; of the whole response, approximately, at the end."""
    fallback: str | None = None
    """Why the resolvers executed what was compiled."""


class Execution:
    """Runs plans; ``fallbacks`` counts why compiled statements were repeated by the resolvers."""

    def __init__(self, schema: Schema) -> None:
        self.fallbacks: Counter[str] = Counter()
        self._schema = schema

    def run(
        self,
        asked: KnownOperation,
        plan: Plan,
        values: VariableValues,
        reader: ShortReader,
        context: MakeContext,
    ) -> Coroutine[Any, Any, Outcome]:
        """Executes an operation; ``values`` are its coerced variables."""
        if plan.statement is None:
            return self._resolve(asked, values, context, plan.rest or Part(asked.document, asked.definition))
        if plan.rest is None:
            return self._compiled(asked, plan, values, reader, context)
        return self._both(asked, plan, plan.rest, values, reader, context)

    async def _resolve(
        self,
        asked: KnownOperation,
        values: VariableValues,
        context: MakeContext,
        part: Part,
        grouped: frozenset[tuple[str, ...]] = frozenset(),
    ) -> Outcome:
        """``grouped``: the aggregates known to have too many groups."""
        operation = Operation(self._schema.graphql, part.definition, asked.fragments, values)
        name = part.definition.name.value if part.definition.name else None
        made = context(operation)
        made.loaders.grouped = grouped
        result = await self._schema.run(part.document, name, made)
        loaders = made.loaders
        return Outcome(result.data, result.errors or [], cut=loaders.cut, size=loaders.room.taken)

    async def _both(
        self,
        asked: KnownOperation,
        plan: Plan,
        part: Part,
        values: VariableValues,
        reader: ShortReader,
        context: MakeContext,
    ) -> Outcome:
        outcome, rest = await asyncio.gather(
            self._compiled(asked, plan, values, reader, context),
            self._resolve(asked, values, context, part),
        )
        outcome.errors += rest.errors
        outcome.size += rest.size
        outcome.cut = (outcome.cut or Counter()) + (rest.cut or Counter())
        both = {**(outcome.data or {}), **(rest.data or {})}
        outcome.data = {key: both[key] for key in plan.keys}
        return outcome

    async def _compiled(
        self,
        asked: KnownOperation,
        plan: Plan,
        values: VariableValues,
        reader: ShortReader,
        context: MakeContext,
    ) -> Outcome:
        statement, part = plan.statement, plan.compiled
        assert statement is not None and part is not None  # noqa: S101, PT018 - there is a compiled part
        try:
            filled = statement.values(values.coerced)
            row = await reader.fetch_one(statement.sql, filled, statement.settings)
        except NEVER_TWICE as error:
            return Outcome(dict.fromkeys(statement.keys), [self._of_field(error, key, part) for key in statement.keys])
        except GatewayError as error:
            reason, grouped = error.code, frozenset[tuple[str, ...]]()
        except Exception as error:  # noqa: BLE001 - on any error the resolvers find the field that it belongs to
            if size := bytes_over(error):  # the resolvers would find the same, after seconds
                return Outcome(dict.fromkeys(statement.keys), size=size)
            reason, grouped = type(error).__name__, aggregates.refused(error)
            log.warning("a compiled statement failed and is answered by the loaders: %s", error)
        else:
            reader.rows += row[-1]
            data: dict[str, orjson.Fragment | None] = {}
            size = 0
            for key, answer in zip(statement.keys, row, strict=False):  # the number of rows is last
                if answer is None:
                    data[key] = None
                else:
                    data[key] = orjson.Fragment(answer)
                    size += len(answer)
            cut = statement.cut(row[-2]) if statement.lists else None
            return Outcome(data, [], len(data), cut, statement.rolled_up, size)
        self.fallbacks[reason] += 1
        log.info("answered by the loaders: %s, %d times", reason, self.fallbacks[reason])
        outcome = await self._resolve(asked, values, context, part, grouped)
        outcome.fallback = reason
        return outcome

    def _of_field(self, error: Exception, key: str, part: Part) -> GraphQLError:
        """The error as that of a root field."""
        nodes = [
            node
            for node in part.definition.selection_set.selections
            if (getattr(node, "alias", None) or getattr(node, "name", None)).value == key  # type: ignore[union-attr]
        ]
        return GraphQLError(str(error), nodes=nodes, path=[key], original_error=error)

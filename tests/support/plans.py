"""The statements that the loaders send, and what Postgres plans for them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import asyncpg
import pytest
from graphql import OperationDefinitionNode, parse
from graphql.execution.values import VariableValues, get_variable_values

from db.attach.facts import Facts
from db.engine.readers import NO_SETTINGS, EngineReader, ShortReader
from schema.catalogue.records import Missing
from schema.catalogue.value_sizes import Sizes
from schema.execution import plans
from schema.schema import build
from schema.sql.indexes import Indexes


class Statement(NamedTuple):
    """A statement with its values, and the settings that hold for it."""

    text: str
    values: Sequence[Any]
    settings: Mapping[str, str] = NO_SETTINGS


@contextmanager
def recording(*, snapshots: bool = False) -> Iterator[list[Statement]]:
    """Every statement that is sent within the block, with its values; what is compiled is one. With ``snapshots`` also
    those that see one snapshot, such as lineage's."""
    found: list[Statement] = []
    reader = EngineReader if snapshots else ShortReader
    fetch, fetch_one = reader.fetch, ShortReader.fetch_one

    async def record(
        self: EngineReader, text: str, values: Sequence[Any], settings: Mapping[str, str] = NO_SETTINGS
    ) -> Sequence[Sequence[Any]]:
        found.append(Statement(text, values, settings))
        return await fetch(self, text, values, settings)

    async def record_one(
        self: ShortReader, text: str, values: Sequence[Any], settings: Mapping[str, str] = NO_SETTINGS
    ) -> Sequence[Any]:
        found.append(Statement(text, values, settings))
        return await fetch_one(self, text, values, settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "fetch", record)
        patch.setattr(ShortReader, "fetch_one", record_one)
        yield found


async def explained(connection: asyncpg.Connection, statement: Statement, *, options: str = "") -> dict[str, Any]:
    """What EXPLAIN says of a statement: its plan and, with the options for them, times."""
    text, values, settings = statement
    async with connection.transaction():
        for name, value in settings.items():
            await connection.execute("SELECT set_config($1, $2, true)", name, value)
        (tree,) = json.loads(await connection.fetchval(f"EXPLAIN ({options}FORMAT JSON) {text}", *values))
    found: dict[str, Any] = tree
    return found


async def plan(connection: asyncpg.Connection, statement: Statement, *, options: str = "") -> list[dict[str, Any]]:
    """The nodes of a statement's plan, outermost first."""
    return nodes_of((await explained(connection, statement, options=options))["Plan"])


def nodes_of(top: dict[str, Any]) -> list[dict[str, Any]]:
    """A node of a plan and those below it, outermost first."""
    nodes: list[dict[str, Any]] = []
    pending = [top]
    while pending:
        node = pending.pop(0)
        nodes.append(node)
        pending[:0] = node.get("Plans", [])
    return nodes


async def compiled(query: str, facts: Facts | None = None, /, **variables: Any) -> tuple[str, list[Any]]:
    """The statement of a query in a database of which these facts are known, and its parameters."""
    schema = build()
    document = parse(query)
    (definition,) = (node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    values = get_variable_values(schema.graphql, definition.variable_definitions or (), variables)
    assert isinstance(values, VariableValues)
    facts = facts or Facts()
    indexes, sizes = Indexes(facts), Sizes(facts, 16_000_000)
    kept = plans.Plans(schema.graphql, schema.catalogue, lambda _operation, _reads: 0, indexes, sizes)
    plan, _ = await kept.made(kept.asked(document, definition, {}), values, Missing())
    assert plan.statement
    return plan.statement.sql, plan.statement.values(values.coerced)

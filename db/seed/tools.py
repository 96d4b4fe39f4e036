"""The default tools of every database of the platform."""

import json
import uuid
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

SEED = Path(__file__).parent

# Ids are derived from the names, so that separately seeded databases agree.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "e2i/tool_registry")

_INSERT_TOOLS = text("""
    INSERT INTO tool_registry (
        tool_id, name, description, category, source_agent, input_schema, output_schema, composable, avg_latency_ms,
        success_rate
    )
    SELECT
        tool_id, name, description, category, source_agent, input_schema, output_schema, composable, avg_latency_ms,
        success_rate
    FROM jsonb_to_recordset(CAST(:tools AS jsonb)) AS seed (
        tool_id uuid, name text, description text, category tool_category, source_agent text, input_schema jsonb,
        output_schema jsonb, composable boolean, avg_latency_ms double precision, success_rate double precision
    )
    ON CONFLICT (name) DO NOTHING
""")

# by name: an existing tool keeps its id
_INSERT_DEPENDENCIES = text("""
    INSERT INTO tool_dependencies (
        dependency_id, consumer_tool_id, producer_tool_id, output_field, input_field, transform_expression
    )
    SELECT
        seed.dependency_id, consumer.tool_id, producer.tool_id, seed.output_field, seed.input_field,
        seed.transform_expression
    FROM jsonb_to_recordset(CAST(:dependencies AS jsonb)) AS seed (
        dependency_id uuid, consumer text, producer text, output_field text, input_field text, transform_expression text
    )
    JOIN tool_registry AS consumer ON consumer.name = seed.consumer
    JOIN tool_registry AS producer ON producer.name = seed.producer
    ON CONFLICT DO NOTHING
""")


def tool_id(name: str) -> uuid.UUID:
    """The id of the default tool with this name."""
    return uuid.uuid5(_NAMESPACE, name)


def default_tools() -> dict[str, list[dict[str, Any]]]:
    """The 13 default ``tools`` and their ``dependencies``, with ids, as in ``seed/tools.json``.

    A tool's latency is in milliseconds, its success rate a fraction, its schemas are JSON Schema (draft 2020-12). A
    dependency says which field of the producer's output can fill which field of the consumer's input.
    """
    seed: dict[str, list[dict[str, Any]]] = json.loads((SEED / "tools.json").read_text(encoding="utf-8"))
    for tool in seed["tools"]:
        tool["tool_id"] = str(tool_id(tool["name"]))
    for dependency in seed["dependencies"]:
        dependency["dependency_id"] = str(tool_id(f"{dependency['consumer']} <- {dependency['producer']}"))
    return seed


async def seed_tools(connection: AsyncConnection) -> None:
    """Inserts the default tools and their dependencies where they are missing; changes no existing ones.

    Runs in the transaction of ``connection`` and leaves the commit to the caller.
    """
    seed = default_tools()
    await connection.execute(_INSERT_TOOLS, {"tools": json.dumps(seed["tools"])})
    await connection.execute(_INSERT_DEPENDENCIES, {"dependencies": json.dumps(seed["dependencies"])})

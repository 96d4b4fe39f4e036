"""The statements that the loaders send, and what Postgres plans for them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest

from db.engine import ShortReader

Statement = tuple[str, Sequence[Any]]


@contextmanager
def recording() -> Iterator[list[Statement]]:
    """Every statement that loaders send within the block, with its values."""
    found: list[Statement] = []
    fetch = ShortReader.fetch

    async def record(self: ShortReader, text: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        found.append((text, values))
        return await fetch(self, text, values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ShortReader, "fetch", record)
        yield found


async def plan(connection: asyncpg.Connection, statement: Statement, *, options: str = "") -> list[dict[str, Any]]:
    """The nodes of a statement's plan, outermost first."""
    text, values = statement
    (tree,) = json.loads(await connection.fetchval(f"EXPLAIN ({options}FORMAT JSON) {text}", *values))
    nodes: list[dict[str, Any]] = []
    pending = [tree["Plan"]]
    while pending:
        node = pending.pop(0)
        nodes.append(node)
        pending[:0] = node.get("Plans", [])
    return nodes

"""Tasks as an agent does them, by the tools alone: their calls are kept in ``tasks.json``, and replayed over HTTP.

The first twelve are those that the tools were designed for, the others are not; the last ten were written from the data
dictionary alone. A change is previewed, not applied. ``{0.rows.0.id}`` is what the first call has answered at that
path. What the evidence's path finds in the answers must be what its SQL finds.

``fresh`` is the way of agents that knew nothing but the tools: how many ``calls`` one took and how many of them
``failed``, and the calls of the latest one ``now``, after what had misled others was mended; ``fails`` marks those that
failed. It had the row of "What depends on the NRx propensity model?" from an answer before, which is its first call.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
import pytest

from tests.support.agents import Agent, tokens
from tests.support.client import Client, serving
from tests.support.databases import Database, connect

TASKS = json.loads(Path(__file__).with_name("tasks.json").read_text())
MOST_CALLS, MOST_TOKENS = 2, 1_500
"""Of one task, at the median."""


@pytest.fixture(scope="module")
async def sql(demo_database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(demo_database.admin_url)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def client(demo_database: Database) -> AsyncIterator[Client]:
    async with serving(demo_database.gateway_url, mcp="change") as served:
        yield served


def found(answers: list[Any], path: str) -> list[Any]:
    """The values at a path; ``*`` is every item, and ``~Type`` the keys of that type in a text."""
    path, _, type_ = path.partition("~")
    level: list[Any] = [answers]
    for part in path.split("."):
        if part == "*":
            level = [item for one in level for item in one]
        else:
            level = [one[int(part) if isinstance(one, list) else part] for one in level]
    if type_:
        return sorted(set(re.findall(rf"\b{type_}:([\w-]+)", level[0])))
    return level


def filled(value: Any, answers: list[Any]) -> Any:
    if isinstance(value, dict):
        return {key: filled(one, answers) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, answers) for one in value]
    if isinstance(value, str) and (place := re.fullmatch(r"\{(\d+\.[\w.]+)\}", value)):
        return found(answers, place[1])[0]
    return value


def key(value: Any) -> str:
    """The key of an id, the text of anything else."""
    return re.sub(r"^[A-Z]\w+:", "", str(value))


async def done(agent: Agent, task: dict[str, Any]) -> tuple[list[Any], bool, int]:
    """What the calls of a task have answered, whether the last one was whole, and its tokens."""
    answers: list[Any] = []
    size, complete = 0, False
    for call in task["calls"]:
        envelope = await agent.call(call["tool"], **filled(call["arguments"], answers))  # which must not fail
        size += tokens(json.dumps(envelope, separators=(",", ":"), ensure_ascii=False))
        answers.append(envelope["data"])
        complete = envelope["complete"]
    return answers, complete, size


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task["task"])
async def test_the_evidence_is_what_sql_finds(client: Client, sql: asyncpg.Connection, task: dict[str, Any]) -> None:
    answers, complete, _ = await done(Agent(client), task)
    evidence = task["evidence"]
    given = [key(filled(one, answers)) for one in evidence.get("parameters", ())]
    wanted = sorted(key(row[0]) for row in await sql.fetch(evidence["sql"], *given))
    shown = sorted(map(key, found(answers, evidence["path"])))
    assert shown or not wanted
    if complete and "most" not in evidence:
        assert shown == wanted
    else:
        assert set(shown) <= set(wanted)


async def replayed(agent: Agent, calls: list[dict[str, Any]]) -> list[Any]:
    """What the calls of a fresh agent answer; those that fail say so."""
    answers: list[Any] = []
    for call in calls:
        run = agent.fails if call.get("fails") else agent.call
        envelope = await run(call["tool"], **filled(call["arguments"], answers))
        answers.append(envelope.get("data"))
    return answers


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task["task"])
async def test_a_fresh_agent_finds_the_evidence(client: Client, sql: asyncpg.Connection, task: dict[str, Any]) -> None:
    first, _, _ = await done(Agent(client), task)
    evidence = task["evidence"]
    given = [key(filled(one, first)) for one in evidence.get("parameters", ())]
    wanted = [key(row[0]) for row in await sql.fetch(evidence["sql"], *given)]
    told = json.dumps(await replayed(Agent(client), task["fresh"]["now"]))
    assert any(one in told for one in wanted) or not wanted


def test_a_fresh_agent_takes_two_calls_for_the_first_twelve() -> None:
    """At the median, and fails seldom; before it took three, and one in five failed."""
    now = [task["fresh"]["now"] for task in TASKS]
    before = [task["fresh"] for task in TASKS]
    assert median(len(calls) for calls in now[:12]) <= MOST_CALLS
    assert median(len(calls) for calls in now) <= MOST_CALLS < median(one["calls"] for one in before)
    failed = sum("fails" in call for calls in now for call in calls)
    assert failed < sum(one["failed"] for one in before) / 4


@pytest.mark.slow
async def test_a_task_takes_two_calls_and_few_tokens(client: Client) -> None:
    sizes = [(len(task["calls"]), (await done(Agent(client), task))[2]) for task in TASKS]
    for some in (sizes[:12], sizes[12:22], sizes[22:]):
        calls, spent = [one for one, _ in some], [size for _, size in some]
        assert median(calls) <= MOST_CALLS
        assert median(spent) <= MOST_TOKENS

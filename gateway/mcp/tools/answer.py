"""``answer``: questions that are asked often, as documents in ``answers/``; a new one is a file there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from graphql import OperationDefinitionNode, parse

from gateway.mcp.arguments import ToolArgument
from gateway.mcp.envelope import Envelope, ToolError, listed
from gateway.mcp.operations import ToolCall
from gateway.mcp.toolbox import AgentTool, Toolbox
from schema.error_codes import ToolCode

ROOM, BRIEF_ROOM = 4_000, 2_000
"""Bytes of an answer, and of a brief."""
_NOTE = "note:"


@dataclass(frozen=True)
class Curated:
    """A question with its document."""

    name: str
    about: str
    notes: tuple[str, ...]
    document: str
    arguments: tuple[str, ...]
    """The variables of the document; those that it needs end with an exclamation mark."""


@cache
def curated() -> dict[str, Curated]:
    """All questions by their names."""
    found = sorted(
        (one for one in files("gateway.mcp.answers").iterdir() if one.name.endswith(".graphql")),
        key=lambda one: one.name,
    )
    return {made.name: made for made in (_read(one.name, one.read_text("utf-8")) for one in found)}


def _read(file: str, text: str) -> Curated:
    lines = text.splitlines()
    comments = [line.removeprefix("#").strip() for line in lines if line.startswith("#")]
    document = "\n".join(line for line in lines if not line.startswith("#"))
    (operation,) = [one for one in parse(document).definitions if isinstance(one, OperationDefinitionNode)]
    arguments = tuple(
        one.variable.name.value + ("!" if one.type.kind == "non_null_type" and one.default_value is None else "")
        for one in operation.variable_definitions or ()
    )
    notes = tuple(one.removeprefix(_NOTE).strip() for one in comments if one.startswith(_NOTE))
    return Curated(file.removesuffix(".graphql"), comments[0], notes, document, arguments)


async def _run(box: Toolbox, call: ToolCall, given: dict[str, Any]) -> Envelope:
    question = curated()[given["question"]]
    arguments = given["args"] or {}
    names = [one.rstrip("!") for one in question.arguments]
    takes = f"{question.name} takes: {listed(question.arguments) or 'nothing'}."
    if unknown := [one for one in arguments if one not in names]:
        raise ToolError(ToolCode.BAD_ARGUMENT, f"args has no {unknown[0][:40]!r}.", takes)
    if missing := [one for one in question.arguments if one.endswith("!") and arguments.get(one[:-1]) is None]:
        raise ToolError(
            ToolCode.BAD_ARGUMENT, f"args.{missing[0][:-1]} is missing.", f"{takes} find gives ids of rows by name."
        )
    envelope = await box.ask(call, question.document, arguments, BRIEF_ROOM if question.name == "brief" else ROOM)
    envelope.warnings[:0] = question.notes
    if not any(envelope.data.values()):
        envelope.warnings.insert(0, "There is no such row: find gives ids.")
    return envelope


ANSWER = AgentTool(
    "answer",
    "A question that is asked often, in one call, with ids as evidence.",
    (
        ToolArgument("question", "string", required=True, choices=tuple(curated())),
        ToolArgument("args", "object", "explain_gate {estimate}, tool_chain {tools}, compare_models {model, other}, "
                     "trace_service {service}, brief {brand}, active_prompt {agent}"),
    ),
    _run,
)  # fmt: skip

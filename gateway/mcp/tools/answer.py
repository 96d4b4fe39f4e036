"""``answer``: curated questions, defined as documents in ``answers/``; a file there adds one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphql import GraphQLEnumType, get_named_type, type_from_ast

from gateway.mcp.arguments import ToolArgument
from gateway.mcp.envelope import Envelope, ToolError
from gateway.mcp.operations import ToolCall
from gateway.mcp.questions import AFTER, FIRST, PAGING, Curated, QuestionOperation, curated
from gateway.mcp.reading_on import ListPlace, list_place, read_on, rest_of
from gateway.mcp.rows import row_id
from gateway.mcp.toolbox import LEAST_BYTES, MOST_BYTES, AgentTool, Toolbox
from schema.error_codes import ToolCode
from schema.names.shapes import listed
from schema.names.words import closest

ROOM = 4_000
"""The default size of an answer in bytes."""
_REST = 20
"""The default number of rows for the rest of a list."""
_MOST_NAMED = 30
_MOST_LOOKED_UP = 20
"""The longest list whose rows are looked up by name; longer ones take exact names and ids alone."""


async def _run(box: Toolbox, call: ToolCall, given: dict[str, Any]) -> Envelope:
    question = curated()[given["question"]]
    arguments = {name: value for name, value in (given["args"] or {}).items() if value is not None}
    arguments |= {name: given[name] for name in PAGING if given[name] is not None}
    takes = f"{question.name} takes: {listed(question.arguments) or 'nothing'}."
    names = {name for one in question.operations for name in one.variables}
    if unknown := [one for one in arguments if one not in names and one not in PAGING]:
        raise ToolError(ToolCode.BAD_ARGUMENT, f"args has no {unknown[0][:40]!r}.", takes)
    told: list[str] = []
    for name in [one for one in arguments if one not in PAGING]:
        arguments[name] = await _meant(box, call, question, name, arguments[name], told)
    for name in question.helped - arguments.keys():
        if arguments.keys() >= set(question.helpers[name].needed):
            arguments[name] = await _unless_said(box, call, question, name, arguments, told)
    asked = _operation(question, arguments, takes)
    place = list_place(arguments.get(AFTER), asked.document)
    _check_paging(question, asked, arguments, place, takes)
    if asked.name in question.said:
        told.append(question.said[asked.name])
    document = asked.document
    if place is not None:
        document = rest_of(box.schema.graphql, document, place)
        arguments = {FIRST: _REST, **arguments, AFTER: place.cursor, "id": place.row}
    room = given["maxBytes"] or ROOM
    envelope = await box.ask(
        call,
        document,
        arguments,
        room,
        before=told if AFTER in arguments else [*told, *question.notes],  # part of the first page
        single=question.single,
        told=lambda envelope: read_on(envelope, asked.document, place),
    )
    if missing := [key for key, value in envelope.data.items() if value is None]:
        envelope.warnings.insert(0, f"{', '.join(missing)}: there is no such row; find gives ids.")
    return envelope


def _operation(question: Curated, arguments: dict[str, Any], takes: str) -> QuestionOperation:
    """The first operation of a question whose variables are all given.

    Raises:
        ToolError: Every operation lacks one.
    """
    asked = next((one for one in question.operations if arguments.keys() >= set(one.needed)), None)
    if asked is None:
        missing = next(one for one in question.operations[0].needed if one not in arguments)
        raise ToolError(
            ToolCode.BAD_ARGUMENT, f"args.{missing} is missing.", f"{takes} A row by its name, id or reference."
        )
    return asked


def _check_paging(
    question: Curated, asked: QuestionOperation, arguments: dict[str, Any], place: ListPlace | None, takes: str
) -> None:
    """Checks that ``first`` and ``after`` apply: the operation has a list of its own, or the call continues another
    one.

    Raises:
        ToolError: Neither is so.
    """
    for name in PAGING if place is None else ():
        if name in arguments and name not in asked.variables:
            raise ToolError(
                ToolCode.BAD_ARGUMENT, f"{question.name} has no list that takes {name}.", f"Leave it out. {takes}"
            )


async def _meant(box: Toolbox, call: ToolCall, question: Curated, name: str, value: Any, told: list[str]) -> Any:
    """A value with names of rows and words resolved, in a list each; other values and long lists unchanged."""
    if isinstance(value, str) and value.strip():
        return await _meant_by(box, call, question, name, value.strip(), told)
    if isinstance(value, list) and len(value) <= _MOST_LOOKED_UP:  # longer lists take ids and exact names alone
        return [await _meant(box, call, question, name, one, told) if isinstance(one, str) else one for one in value]
    return value


async def _meant_by(box: Toolbox, call: ToolCall, question: Curated, name: str, text: str, told: list[str]) -> str:
    """A row by its name, or a word of a vocabulary in any spelling; else the text itself."""
    if type_ := question.rows.get(name):
        found, warning = await row_id(box, call, f"args.{name}", text, [type_])
        told.extend([warning] if warning else [])
        return found
    (definition, *_) = [one.variables[name] for one in question.operations if name in one.variables]
    enum = get_named_type(type_from_ast(box.schema.graphql, definition.type))
    if isinstance(enum, GraphQLEnumType):
        return _word(name, text, list(enum.values))
    if name in question.helpers:
        answer = await box.operations.run(call, question.helpers[name].document)
        return _word(name, text, list(dict.fromkeys(_texts(answer["data"]))))
    return text


def _word(name: str, value: str, choices: list[str]) -> str:
    """The word that a text spells.

    Raises:
        ToolError: It spells none of them.
    """
    plain = value.strip()
    found = plain if plain in choices else closest(plain, choices)
    if found is None:
        message = f"args.{name}: {plain[:60]!r} is none of its values."
        raise ToolError(ToolCode.BAD_ARGUMENT, message, f"Pass one of: {listed(choices, _MOST_NAMED)}.")
    return found


async def _unless_said(
    box: Toolbox, call: ToolCall, question: Curated, name: str, arguments: dict[str, Any], told: list[str]
) -> str:
    """The default row of a variable.

    Raises:
        ToolError: There is none.
    """
    helper = question.helpers[name]
    answer = await box.operations.run(call, helper.document, {one: arguments[one] for one in helper.variables})
    prefix = f"{question.rows[name]}:"
    for row in _rows(answer["data"]):
        if str(row.get("id", "")).startswith(prefix) and row["id"] not in arguments.values():
            said = " ".join(str(value) for key, value in row.items() if key != "id" and isinstance(value, str))
            told.append(f"{name} was not said: {row['id']} was taken ({said}), {question.said[name]}")
            return str(row["id"])
    raise ToolError(
        ToolCode.BAD_ARGUMENT, f"args.{name} is missing: there is none, {question.said[name]}", "Name one, or its id."
    )


def _rows(value: Any) -> Iterator[dict[str, Any]]:
    """All objects within a value, from the outermost."""
    if isinstance(value, dict):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _rows(one)


def _texts(value: Any) -> Iterator[str]:
    for row in _rows(value):
        yield from (one for one in row.values() if isinstance(one, str))


def _arguments() -> str:
    """The arguments of the questions, in short."""
    some = [f"{one.name} {{{', '.join(one.arguments)}}}" for one in curated().values() if one.arguments]
    return f"{'; '.join(some)}. A row by its name, id or reference; words in any spelling"


ANSWER = AgentTool(
    "answer",
    "A question that is asked often, in one call, with ids as evidence.",
    (
        ToolArgument("question", "string", required=True, choices=tuple(curated())),
        ToolArgument("args", "object", _arguments()),
        ToolArgument("first", "integer", least=1, most=50),
        ToolArgument("after", "string", "cursor of more", most=1_000),
        ToolArgument("maxBytes", "integer", least=LEAST_BYTES, most=MOST_BYTES),
    ),
    _run,
)

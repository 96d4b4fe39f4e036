"""Changes as agents ask for them: steps as one mutation, what a preview has found, and the question for a person."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from graphql import GraphQLObjectType, get_named_type, is_enum_type

from gateway.mcp import fences
from gateway.mcp.columns import Columns
from gateway.mcp.envelope import ToolError, listed, shortened
from schema.catalogue.catalogue import camel
from schema.changes.mutations import Mutation, mutations
from schema.error_codes import ProblemCode, ToolCode
from schema.schema import Schema

MAX_STEPS = 5
_FIXED = ("force", "dryRun", "idempotencyKey", "expectedVersion")
"""Fields of an input that a preview decides, or that do not exist for agents."""
_RESULT = """fragment Result on TransitionResult {
  __typename
  ... on TransitionApplied { replayed nodes { id } alsoChanged { id } events { id nodeId lifecycle fromState toState } }
  ... on TransitionPreview { blockers { code message overridable } wouldChange { nodeId type before after } }
  ... on Problem { code message path }
  ... on TransitionBlocked { blockers { code message overridable } }
}"""
_LINES, _LINE = 40, 300
"""Lines of a question, and bytes of each; rows that change alike share one."""
_IDS = 3
"""Ids of such rows that are named."""


@dataclass(frozen=True)
class PreviewStep:
    """One step: a mutation with its input."""

    mutation: Mutation
    input: Mapping[str, Any]
    id: str | None


def steps_of(given: Sequence[Any], reason: str | None, *, suggests: bool) -> list[PreviewStep]:
    """The steps of ``preview_change`` as they were sent.

    Raises:
        ToolError: One is none, or asks for what no agent may have.
    """
    if not 1 <= len(given) <= MAX_STEPS:
        raise _bad(f"steps has {len(given)} steps.", f"Pass 1 to {MAX_STEPS} steps; they are made all or none.")
    return [_step(place, one, reason, suggests=suggests) for place, one in enumerate(given)]


def _step(place: int, given: Any, reason: str | None, *, suggests: bool) -> PreviewStep:
    where = f"steps[{place}]"
    if not isinstance(given, dict):
        raise _bad(f"{where} is no object.", 'Pass {"mutation": ..., "id": ..., "input": {...}}.')
    if unknown := [one for one in given if one not in {"mutation", "id", "input"}]:
        raise _bad(f"{where} has no {unknown[0][:40]!r}.", "A step has mutation, id and input; the rest is in input.")
    mutation = _mutation(where, given.get("mutation"), suggests=suggests)
    input_, id_ = given.get("input"), given.get("id")
    input_ = {} if input_ is None else input_
    if not isinstance(input_, dict):
        raise _bad(f"{where}.input is no object.", f"Pass the fields of {mutation.input_type}.")
    if fixed := [one for one in _FIXED if input_.get(one) not in {None, False}]:
        advice = "Leave it out. A person overrides guards, in the console." if fixed[0] == "force" else "Leave it out."
        raise _bad(f"{where}.input.{fixed[0]} is not for agents.", advice)
    made = {key: value for key, value in input_.items() if key not in _FIXED}
    if id_ is not None:
        made[_id_field(where, mutation, id_)] = id_
    if reason is not None and made.get("reason") is None:
        made["reason"] = reason
    needed = "items" if mutation.plural else "id"
    if mutation.subject is not None and made.get(needed) is None:
        advice = "Pass input.items: [{id}]." if mutation.plural else f"Pass the id of a {mutation.subject} as id."
        raise _bad(f"{where} names no row.", advice)
    return PreviewStep(mutation, made, id_)


def _mutation(where: str, name: Any, *, suggests: bool) -> Mutation:
    known = mutations()
    if isinstance(name, str) and name in known:
        return known[name]
    near = get_close_matches(name, known, 3, 0.5) if isinstance(name, str) and suggests else []
    advice = f"Such as {listed(near)}. " if near else ""
    raise _bad(
        f"{where}.mutation is no change of state.",
        f"{advice}Query lifecycle {{ changes {{ mutation to required allowed }} }} of the row.",
    )


def _id_field(where: str, mutation: Mutation, id_: Any) -> str:
    if not isinstance(id_, str) or not id_.strip():
        raise _bad(f"{where}.id is no text.", "Pass an id such as Model:<uuid>.")
    if mutation.subject is not None and not mutation.plural:
        return "id"
    needed = [camel(name) for name, one in mutation.given.items() if one.required and isinstance(one.type, str)]
    if mutation.subject is None and len(needed) == 1:
        return needed[0]
    advice = "Pass input.items: [{id}]." if mutation.plural else f"Pass in input: {listed(needed) or 'its fields'}."
    raise _bad(f"{where}: {mutation.name} takes no id.", advice)


def _bad(message: str, advice: str) -> ToolError:
    return ToolError(ToolCode.BAD_ARGUMENT, message, advice)


def document_of(steps: Sequence[PreviewStep]) -> tuple[str, dict[str, Any]]:
    """The one mutation of all steps, and its variables beside ``dryRun`` and ``key``."""
    taken = "".join(f", ${key(place)}: {one.mutation.input_type}!" for place, one in enumerate(steps))
    fields = "\n".join(
        f"  {key(place)}: {one.mutation.name}(input: ${key(place)}) {{ ...Result }}" for place, one in enumerate(steps)
    )
    document = (
        f"mutation Change($dryRun: Boolean, $key: String{taken}) "
        f"@transaction(dryRun: $dryRun, idempotencyKey: $key) {{\n{fields}\n}}\n{_RESULT}"
    )
    return document, {key(place): dict(one.input) for place, one in enumerate(steps)}


def mutations_in(document: str) -> list[Mutation]:
    """The mutations of a document that `document_of` has made."""
    known = mutations()
    return [known[name] for name in _STEP.findall(document) if name in known]


_STEP = re.compile(r"^  step[0-9]+: (\w+)\(", re.MULTILINE)


def key(place: int) -> str:
    """The response key of a step."""
    return f"step{place + 1}"


# -- what came of it ---------------------------------------------------------------------------------------------------

_ADVICE: dict[str, str] = {
    ProblemCode.ILLEGAL_TRANSITION: "Query lifecycle { changes { mutation to required } } of the row for what it may.",
    ProblemCode.TRANSITION_BLOCKED: "Clear what is in the way, then preview anew.",
    ProblemCode.STALE_VERSION: "Call preview_change anew, and show what changes now.",
    ProblemCode.NOT_FOUND: "find gives ids of rows.",
    ProblemCode.FORBIDDEN: "Whoever runs the gateway grants scopes.",
    ProblemCode.INVALID_INPUT: "Change that value in the step's input.",
}


def problem_of(results: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """What has stopped the steps, by the first that says so itself: its code, what is said of it, and what to try."""
    problems = [(name, one) for name, one in results.items() if one and "path" in one]
    for name, one in problems:
        if one["code"] != ProblemCode.TRANSACTION_UNDONE:
            guarded = one["code"] == ProblemCode.TRANSITION_BLOCKED  # guards name rows by their texts
            message = f"{name}: {fences.label(one['message']) if guarded else fences.visible(one['message'])}"
            return one["code"], message, _ADVICE.get(one["code"], "Change what it says, then preview anew.")
    return None


class ChangeReport:
    """Says what a dry run has found, to an agent and to a person."""

    def __init__(self, schema: Schema, columns: Columns) -> None:
        self._schema = schema
        self._columns = columns

    def steps(self, steps: Sequence[PreviewStep], results: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Each step with what it would change, and what is in its way."""
        told = []
        for place, step in enumerate(steps):
            result = results[key(place)]
            said: dict[str, Any] = {"mutation": step.mutation.name}
            if blockers := result.get("blockers"):
                said["blockers"] = [{**one, "message": fences.label(one["message"])} for one in blockers]
            if changes := result.get("wouldChange"):
                said["changes"] = [self._change(one) for one in changes]
            told.append(said)
        return told

    def units(self, results: Mapping[str, Any]) -> dict[str, str]:
        """The unit of each number that would change."""
        names = {
            f"{one['type']}.{name}"
            for result in results.values()
            for one in result.get("wouldChange") or ()
            for name, value in {**(one["before"] or {}), **one["after"]}.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        return {name: unit for name in sorted(names) if (unit := self._columns.unit(*name.split(".")))}

    def _change(self, change: Mapping[str, Any]) -> dict[str, Any]:
        type_ = change["type"]
        shown: dict[str, Any] = {"id": fences.label(change["nodeId"])} if change["nodeId"] else {"new": type_}
        if change["before"] is not None:
            shown["from"] = self._values(type_, change["before"])
        return shown | {"to": self._values(type_, change["after"])}

    def _values(self, type_: str, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: fences.shown(value, prose=self._columns.is_prose(type_, name)) for name, value in values.items()}

    # -- the question --------------------------------------------------------------------------------------------------

    def question(self, steps: Sequence[PreviewStep], results: Mapping[str, Any]) -> str:
        """What a person is asked: mutations, ids, and from which value to which, never a text of a row or a model."""
        lines = ["Make these changes, all or none?"]
        for place, step in enumerate(steps):
            lines.append(f"{place + 1}. {step.mutation.name}: {step.mutation.doc}")
            alike: dict[tuple[str, str], list[str]] = {}
            for change in results[key(place)].get("wouldChange") or ():
                words = ", ".join(self._words(change))
                alike.setdefault((change["type"], words), []).append(_id_words(change))
            for (type_, words), ids in alike.items():
                named = listed(ids, _IDS) if len(ids) > _IDS else ", ".join(ids)
                lines.append(shortened(f"- {len(ids)} x {type_} ({named}): {words}", _LINE))
        if len(lines) > _LINES:
            raise ToolError(
                ToolCode.CHANGE_REFUSED,
                f"The steps change more than a person can look through ({len(lines)} lines).",
                "Preview fewer rows at once.",
            )
        return "\n".join(lines)

    def _words(self, change: Mapping[str, Any]) -> Iterator[str]:
        """How the fields change: those of values that are the graph's own words, then the names of the others."""
        type_, before, after = change["type"], change["before"], change["after"]
        others = []
        for name, value in after.items():
            if not self._is_told(type_, name, value) or not self._is_told(type_, name, (before or {}).get(name)):
                others.append(name)
            elif before is None:
                yield f"{name} {_plain(value)}"
            else:
                yield f"{name} {_plain(before.get(name))} -> {_plain(value)}"
        if others:
            yield f"{'sets' if before is None else 'changes'} {', '.join(others)}"

    def _is_told(self, type_: str, name: str, value: Any) -> bool:
        """Whether a value may stand in a question: no text that somebody has written."""
        if value is None or isinstance(value, int | float):
            return True
        found: Any = self._schema.graphql.type_map.get(type_)
        if not isinstance(found, GraphQLObjectType) or name not in found.fields or not isinstance(value, str):
            return False
        if is_enum_type(get_named_type(found.fields[name].type)):
            return True
        return value in self._columns.values(type_, name) or bool(_KEY.fullmatch(value))


_KEY = re.compile(r"([A-Za-z]{1,60}:)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[A-Za-z]{1,60}:[0-9]{1,20}")
"""An id that no one has written words into."""


def _id_words(change: Mapping[str, Any]) -> str:
    id_ = change["nodeId"]
    if id_ is None:
        return "new"
    return id_ if _KEY.fullmatch(id_) else f"a key of {len(id_)} characters"


def _plain(value: Any) -> str:
    return "nothing" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

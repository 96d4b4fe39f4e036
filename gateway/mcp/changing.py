"""Changes of agents: steps as one mutation, the report of a preview, and the question for a person."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLInputObjectType, GraphQLObjectType, get_named_type, is_enum_type

from gateway.mcp import fences
from gateway.mcp.columns import Columns
from gateway.mcp.envelope import ToolError, shortened
from gateway.mcp.mutations import FIXED, MAX_ROWS, AgentMutation, Kind
from schema.catalogue.relative_times import TYPES, is_relative, one_moment, relative_date, relative_time
from schema.error_codes import ProblemCode, ToolCode
from schema.names.shapes import listed
from schema.names.words import LONGEST, similarity, words
from schema.schema import Schema

MAX_STEPS = 5
_FRAGMENTS = {
    Kind.MOVED: """... on TransitionApplied { replayed nodes { id } alsoChanged { id }
    events { id nodeId lifecycle fromState toState } }
  ... on TransitionPreview { blockers { code message overridable } wouldChange { nodeId type before after } }""",
    Kind.RECORDED: """... on Recorded { inserted updated kept replayed ids
    wouldChange { nodeId type before after } }""",
    Kind.PURGED: """... on Purged { purged more oldest newest replayed }""",
}
_PROBLEMS = """... on Problem { code message path }
  ... on TransitionBlocked { blockers { code message overridable } }"""
_LINES, _LINE = 40, 300
"""Lines of a question, and bytes of each; rows with equal changes share one."""
_IDS = 3
"""Ids of such rows that are listed."""
_ALONE = 5
"""New rows of a type that have a line each; more share one line with the ranges of their values."""


@dataclass(frozen=True)
class PreviewStep:
    """One step: a mutation with its input."""

    mutation: AgentMutation
    input: Mapping[str, Any]
    id: str | None


def steps_of(
    given: Sequence[Any], reason: str | None, known: Mapping[str, AgentMutation], *, suggests: bool
) -> list[PreviewStep]:
    """The steps of ``preview_change``, validated; relative times become absolute.

    Raises:
        ToolError: A step is invalid, or names a mutation that agents may not make.
    """
    if not 1 <= len(given) <= MAX_STEPS:
        raise _bad(f"steps has {len(given)} steps.", f"Pass 1 to {MAX_STEPS} steps; they are made all or none.")
    with one_moment():
        return [_step(place, one, reason, known, suggests=suggests) for place, one in enumerate(given)]


def _step(
    place: int, given: Any, reason: str | None, known: Mapping[str, AgentMutation], *, suggests: bool
) -> PreviewStep:
    where = f"steps[{place}]"
    if not isinstance(given, dict):
        raise _bad(f"{where} is no object.", 'Pass {"mutation": ..., "id": ..., "input": {...}}.')
    if unknown := [one for one in given if one not in {"mutation", "id", "input"}]:
        raise _bad(f"{where} has no {unknown[0][:40]!r}.", "A step has mutation, id and input; the rest is in input.")
    mutation = _mutation(where, given.get("mutation"), known, suggests=suggests)
    input_, id_ = given.get("input"), given.get("id")
    input_ = {} if input_ is None else input_
    if not isinstance(input_, dict):
        raise _bad(f"{where}.input is no object.", f"Pass the fields of {mutation.input.name}.")
    if fixed := [one for one in FIXED if input_.get(one) not in (None, False)]:
        advice = "Leave it out. A person overrides guards, in the console." if fixed[0] == "force" else "Leave it out."
        raise _bad(f"{where}.input.{fixed[0]} is not for agents.", advice)
    made = {key: _pinned(value, mutation.input, key) for key, value in input_.items() if key not in FIXED}
    if id_ is not None:
        made[_id_field(where, mutation, id_)] = id_
    if reason is not None and made.get("reason") is None and "reason" in mutation.input.fields:
        made["reason"] = reason
    needed = "items" if mutation.is_plural else mutation.id_field
    if mutation.needs_id and made.get(needed or "") is None:
        advice = "Pass input.items: [{id}]." if mutation.is_plural else f"Pass the id of a {mutation.about} as id."
        raise _bad(f"{where} names no row.", advice)
    rows = made.get("rows")
    if isinstance(rows, list) and len(rows) > MAX_ROWS:
        advice = f"Pass at most {MAX_ROWS} at once, as many as a person can look at; pipelines use the API."
        raise _bad(f"{where}.input.rows has {len(rows)} rows.", advice)
    return PreviewStep(mutation, made, id_)


def _mutation(where: str, name: Any, known: Mapping[str, AgentMutation], *, suggests: bool) -> AgentMutation:
    if isinstance(name, str) and name in known:
        return known[name]
    near = _near(name, known) if isinstance(name, str) and suggests else []
    advice = f"Such as {listed(near)}. " if near else ""
    search = "find_fields names the others." if suggests else ""
    raise _bad(
        f"{where}.mutation is no mutation.",
        f"{advice}A row's lifecycle {{ changes {{ mutation to required allowed }} }} has its own. {search}".strip(),
    )


def _near(name: str, known: Mapping[str, AgentMutation]) -> list[str]:
    """Similar names, by their words."""
    asked = words(name[:LONGEST])
    found = sorted(((similarity(asked, words(one)), one) for one in known), key=lambda one: (-one[0], one[1]))
    return [one for nearness, one in found[:3] if nearness >= _NEAR]


_NEAR = 0.5
"""The least similarity of a name that is suggested."""


def _pinned(value: Any, type_: GraphQLInputObjectType, name: str) -> Any:
    """An input value with its relative times resolved: a person then confirms the times that will be written."""
    field = type_.fields.get(name)
    return value if field is None else _fixed(value, get_named_type(field.type))


def _fixed(value: Any, type_: Any) -> Any:
    if isinstance(value, list):
        return [_fixed(one, type_) for one in value]
    if isinstance(value, dict) and isinstance(type_, GraphQLInputObjectType):
        return {key: _pinned(one, type_, key) for key, one in value.items()}
    if type_.name in TYPES and is_relative(value):
        read = relative_date if type_.name == "Date" else relative_time
        try:
            return read(value).isoformat()
        except ValueError:
            return value  # an invalid value, which is refused where it is read
    return value


def _id_field(where: str, mutation: AgentMutation, id_: Any) -> str:
    if not isinstance(id_, str) or not id_.strip():
        raise _bad(f"{where}.id is no text.", "Pass an id such as Model:<uuid>.")
    if mutation.id_field is not None:
        return mutation.id_field
    needed = [name for name, must in mutation.fields.items() if must]
    advice = "Pass input.items: [{id}]." if mutation.is_plural else f"Pass in input: {listed(needed) or 'its fields'}."
    raise _bad(f"{where}: {mutation.name} takes no id.", advice)


def _bad(message: str, advice: str) -> ToolError:
    return ToolError(ToolCode.BAD_ARGUMENT, message, advice)


def document_of(steps: Sequence[PreviewStep]) -> tuple[str, dict[str, Any]]:
    """The single mutation of all steps, and its variables beside ``dryRun`` and ``key``."""
    taken = "".join(f", ${key(place)}: {one.mutation.input.name}!" for place, one in enumerate(steps))
    fields = "\n".join(
        f"  {key(place)}: {one.mutation.name}(input: ${key(place)}) {{ ...{one.mutation.kind.fragment} }}"
        for place, one in enumerate(steps)
    )
    fragments = "\n".join(
        f"fragment {kind.fragment} on {kind.value} {{\n  __typename\n  {_FRAGMENTS[kind]}\n  {_problems(kind)}\n}}"
        for kind in dict.fromkeys(one.mutation.kind for one in steps)
    )
    document = (
        f"mutation Change($dryRun: Boolean, $key: String{taken}) "
        f"@transaction(dryRun: $dryRun, idempotencyKey: $key) {{\n{fields}\n}}\n{fragments}"
    )
    return document, {key(place): dict(one.input) for place, one in enumerate(steps)}


def _problems(kind: Kind) -> str:
    more = "\n  ... on RowsRejected { rows { code message path } }" if kind is Kind.RECORDED else ""
    return _PROBLEMS + more


def mutations_in(document: str, known: Mapping[str, AgentMutation]) -> list[AgentMutation]:
    """The mutations of a document made by `document_of`."""
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
    ProblemCode.ROWS_REJECTED: "Change what it says in the step's input; describe_type shows the input.",
}


def problem_of(results: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """The first problem of a step's own: its code, message and advice."""
    problems = [(name, one) for name, one in results.items() if one and "path" in one]
    for name, one in problems:
        if one["code"] != ProblemCode.TRANSACTION_UNDONE:
            guarded = one["code"] == ProblemCode.TRANSITION_BLOCKED  # messages of guards contain texts of rows
            message = f"{name}: {fences.label(one['message']) if guarded else fences.visible(one['message'])}"
            return one["code"], message, _ADVICE.get(one["code"], "Change what it says, then preview anew.")
    return None


class ChangeReport:
    """Describes the result of a dry run, to an agent and to a person."""

    def __init__(self, schema: Schema, columns: Columns) -> None:
        self._schema = schema
        self._columns = columns

    def steps(self, steps: Sequence[PreviewStep], results: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Each step with what it would change, and its problems."""
        told = []
        for place, step in enumerate(steps):
            result = results[key(place)]
            said: dict[str, Any] = {"mutation": step.mutation.name}
            if blockers := result.get("blockers"):
                said["blockers"] = [{**one, "message": fences.label(one["message"])} for one in blockers]
            if changes := result.get("wouldChange"):
                said["changes"] = [self._change(one) for one in changes]
            told.append(said | counts_of(result))
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
        """The question for a person: mutations, ids, old and new values, never a text of a row or of a model."""
        lines = ["Make these changes, all or none?"]
        for place, step in enumerate(steps):
            result = results[key(place)]
            lines.append(shortened(f"{place + 1}. {step.mutation.name}: {step.mutation.doc}", _LINE))
            changes = result.get("wouldChange") or ()
            lines += [shortened(line, _LINE) for line in self._lines(changes)]
            lines += _counted(step.mutation, result, len(changes))
        if len(lines) > _LINES:
            raise ToolError(
                ToolCode.CHANGE_REFUSED,
                f"The steps change more than a person can look through ({len(lines)} lines).",
                "Preview fewer rows at once.",
            )
        return "\n".join(lines)

    def _lines(self, changes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        """Rows with equal changes in one line, and many new rows of a type in one line."""
        new: dict[str, list[Mapping[str, Any]]] = {}
        for one in changes:
            if one["before"] is None:
                new.setdefault(one["type"], []).append(one["after"])
        many = {type_: rows for type_, rows in new.items() if len(rows) > _ALONE}
        alike: dict[tuple[str, str], list[str]] = {}
        for one in changes:
            if one["before"] is not None or one["type"] not in many:
                said = ", ".join(self._words(one))
                alike.setdefault((one["type"], said), []).append(_id_words(one))
        for (type_, said), ids in alike.items():
            named = ", ".join(dict.fromkeys(ids)) if len(set(ids)) <= _IDS else listed(ids, _IDS)
            yield f"- {len(ids)} x {type_} ({named}): {said}"
        for type_, rows in many.items():
            yield f"- {len(rows)} x {type_} (new): {', '.join(self._ranges(type_, rows))}"

    def _ranges(self, type_: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        """The values of new rows: numbers as a range, a common value, else the field's name."""
        others = []
        for name in dict.fromkeys(name for row in rows for name in row):
            values = [row[name] for row in rows if name in row]
            numbers = [one for one in values if isinstance(one, int | float) and not isinstance(one, bool)]
            if (
                len(values) == len(rows)
                and all(one == values[0] for one in values)
                and self._is_told(type_, name, values[0])
            ):
                yield f"{name} {_plain(values[0])}"
            elif len(numbers) == len(values):
                yield f"{name} {min(numbers)} to {max(numbers)}"
            else:
                others.append(name)
        if others:
            yield f"sets {', '.join(others)}"

    def _words(self, change: Mapping[str, Any]) -> Iterator[str]:
        """The changed fields: enum and other fixed values first, then the names of the other fields."""
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
        """Whether a value may appear in a question: free text may not."""
        if value is None or isinstance(value, int | float):
            return True
        found: Any = self._schema.graphql.type_map.get(type_)
        if not isinstance(found, GraphQLObjectType) or name not in found.fields or not isinstance(value, str):
            return False
        if is_enum_type(get_named_type(found.fields[name].type)):
            return True
        return value in self._columns.values(type_, name) or bool(_KEY.fullmatch(value))


_KEY = re.compile(r"([A-Za-z]{1,60}:)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[A-Za-z]{1,60}:[0-9]{1,20}")
"""An id without words in it."""


def counts_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """The number of rows that a step has recorded or removed, if it does either."""
    found = {name: result[name] for name in ("inserted", "updated", "kept") if result.get(name)}
    if "purged" in result:
        found = {name: result[name] for name in ("purged", "more", "oldest", "newest")}
    return found


def changes_something(result: Mapping[str, Any]) -> bool:
    """Whether a step changes any row, including rows that the caller may not read."""
    return any(result.get(name) for name in ("wouldChange", "inserted", "updated", "purged"))


def _counted(mutation: AgentMutation, result: Mapping[str, Any], shown: int) -> Iterator[str]:
    """Counts of a step for rows that are not listed."""
    if "purged" in result:
        more = "; there are more" if result["more"] else ""
        span = f", of {result['oldest']} to {result['newest']}" if result["purged"] else ""
        yield f"- removes {result['purged']:,} {mutation.about} rows for good{span}{more}"
    elif mutation.kind is Kind.RECORDED and shown != result["inserted"] + result["updated"]:
        yield f"- {result['inserted']:,} new rows and {result['updated']:,} changed ones of {mutation.about} in all"


def _id_words(change: Mapping[str, Any]) -> str:
    id_ = change["nodeId"]
    if id_ is None:
        return "new"
    return id_ if _KEY.fullmatch(id_) else f"a key of {len(id_)} characters"


def _plain(value: Any) -> str:
    return "nothing" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

"""``preview_change`` and ``apply_change``: an agent applies what a person has reviewed and approved."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from db.engine.errors import (
    DatabaseError,
    DatabaseUnavailableError,
    LockedError,
    MissingObjectError,
    OverloadedError,
    StatementTimeoutError,
)
from db.store.previews import MINUTES, KeptPreview
from gateway.mcp import fences
from gateway.mcp.arguments import ToolArgument
from gateway.mcp.changing import (
    MAX_STEPS,
    PreviewStep,
    changes_something,
    counts_of,
    document_of,
    mutations_in,
    problem_of,
    steps_of,
)
from gateway.mcp.confirming import ACCEPT, DECLINE
from gateway.mcp.envelope import Envelope, ToolError
from gateway.mcp.operations import ToolCall
from gateway.mcp.step_rows import with_ids
from gateway.mcp.toolbox import MOST_BYTES, AgentTool, Toolbox
from schema.changes.mutation_steps import MAX_REASON
from schema.changes.transactions import RowsSeen
from schema.error_codes import ErrorCode, ProblemCode, ToolCode

log = logging.getLogger("gateway.mcp")

_ANEW = "Call preview_change anew, and show the user what it says."


async def _preview(box: Toolbox, call: ToolCall, given: dict[str, Any]) -> Envelope:
    steps = steps_of(given["steps"], given["reason"], box.mutations, suggests=box.settings.introspection)
    box.check_trusted_mutations([step.mutation.name for step in steps])
    steps, warnings = await with_ids(box, call, steps)
    document, inputs = document_of(steps)
    seen = RowsSeen()
    results = await _run(box, call, document, {**inputs, "dryRun": True}, seen)
    if (problem := problem_of(results)) is not None:
        raise ToolError(*problem)
    envelope = Envelope(
        {"steps": box.changes.steps(steps, results)}, units=box.changes.units(results), warnings=warnings
    )
    if any(result.get("blockers") for result in results.values()):
        envelope.warnings.append("Nothing can be applied while something is in the way; nothing was kept.")
    elif not any(map(changes_something, results.values())):
        envelope.warnings.append("Nothing would change, so there is nothing to apply.")
    else:
        await _keep(box, call, steps, results, seen, envelope)
    if envelope.size() > MOST_BYTES:
        raise ToolError(ToolCode.ROW_TOO_LARGE, "What would change is too much to show.", "Preview fewer rows at once.")
    return fences.noted(envelope)


async def _keep(
    box: Toolbox, call: ToolCall, steps: list[PreviewStep], results: dict[str, Any], seen: RowsSeen, envelope: Envelope
) -> None:
    """Stores a preview, and adds its id to the envelope."""
    document, inputs = document_of(steps)
    question = box.changes.question(steps, results)
    with _keeping():
        variables = json.dumps(inputs).encode()
        id_, expires = await box.previews.add(call.caller.name, document, variables, seen.found, question)
    envelope.data = {"previewId": id_, "expiresAt": f"{expires:%Y-%m-%dT%H:%M:%SZ}", **envelope.data}
    if closed := _closed(box, document, call):
        envelope.warnings.append(f"{call.caller.name} may preview {closed}, and not apply it.")


def _closed(box: Toolbox, document: str, call: ToolCall) -> str | None:
    """A mutation that the caller may preview but not make; None if there is none."""
    actor: Any = call.caller
    return next((one.name for one in mutations_in(document, box.mutations) if not one.is_open_to(actor)), None)


async def _apply(box: Toolbox, call: ToolCall, given: dict[str, Any]) -> Envelope:
    with _keeping():
        kept = await box.previews.get(given["previewId"], call.caller.name)
    if kept is None:
        raise ToolError(ToolCode.PREVIEW_NOT_FOUND, "You have no preview with this previewId.", _ANEW)
    _check_open(kept)
    if kept.confirmed_at is None:
        await _confirm(box, call, kept)
    seen = RowsSeen(kept.row_versions)
    results = await _run(box, call, kept.document, {**kept.variables, "key": kept.key}, seen)
    await _check_made(box, kept, results)
    with _keeping():
        await box.previews.end(kept.id, "applied")
    log.info("the preview %s of %s is applied", kept.id, kept.caller)
    events = [event for result in results.values() for event in result.get("events") or ()]
    nodes = {id_ for result in results.values() for id_ in _ids(result)}
    told = [{**one, "id": one["id"], "nodeId": fences.label(one["nodeId"])} for one in events]
    replayed = any(result["replayed"] for result in results.values())
    counts = [counts_of(result) for result in results.values()]
    more = {"counts": counts} if any(counts) else {}
    envelope = Envelope({"events": told, "changed": sorted(map(fences.label, nodes)), **more, "replayed": replayed})
    if replayed:
        envelope.warnings.append("It was applied by an earlier call; nothing was changed again.")
    return fences.noted(envelope)


def _ids(result: dict[str, Any]) -> list[str]:
    """The ids of the rows that a step has changed or created."""
    nodes = (*(result.get("nodes") or ()), *(result.get("alsoChanged") or ()))
    return [*(node["id"] for node in nodes if node), *(result.get("ids") or ())]


def _check_open(kept: KeptPreview) -> None:
    """Raises the error of a preview that can no longer be applied."""
    when = f" at {kept.ended_at:%H:%M:%SZ}" if kept.ended_at else ""
    if kept.outcome == "applied":
        raise ToolError(
            ToolCode.PREVIEW_USED, f"It was applied{when}; nothing is changed again.", f"For another change: {_ANEW}"
        )
    if kept.outcome == "declined":
        raise _declined()
    if kept.outcome is not None:
        raise ToolError(ToolCode.PREVIEW_STALE, f"What it concerns was found changed{when}.", _ANEW)
    if kept.expired and kept.confirmed_at is not None:
        message = "It has expired after a person confirmed it; it may have been applied."
        raise ToolError(
            ToolCode.PREVIEW_EXPIRED, message, "Query lifecycle { history } of its rows, then preview anew."
        )
    if kept.expired:
        raise _expired()


def _expired() -> ToolError:
    message = f"Previews can be applied for {MINUTES} minutes; this one is older."
    return ToolError(ToolCode.PREVIEW_EXPIRED, message, _ANEW)


def _declined() -> ToolError:
    return ToolError(
        ToolCode.PREVIEW_DECLINED, "A person has declined it; nothing was changed.", "Ask the user what to do instead."
    )


async def _confirm(box: Toolbox, call: ToolCall, kept: KeptPreview) -> None:
    """Has a person confirm a preview that is still up to date.

    Raises:
        ToolError: The person declined, or did not answer.
        AnswerLater: The question is the result of the call.
    """
    if closed := _closed(box, kept.document, call):  # before a person is asked
        message = f"{call.caller.name} may preview {closed}, and not apply it."
        raise ToolError(ProblemCode.FORBIDDEN, message, "Whoever runs the gateway grants scopes.")
    said = call.person.said(kept)
    if said is None:
        results = await _run(box, call, kept.document, {**kept.variables, "dryRun": True}, RowsSeen(kept.row_versions))
        await _check_made(box, kept, results)
        with _keeping():
            said = await call.person.ask(kept, box.previews)
    if said == DECLINE:
        with _keeping():
            await box.previews.end(kept.id, "declined")
        raise _declined()
    if said != ACCEPT:
        raise ToolError(
            ToolCode.CONFIRMATION_NEEDED,
            "The person has not decided; nothing was changed.",
            "Ask the user before you call apply_change again.",
        )
    with _keeping():
        if not await box.previews.confirm(kept.id, "the client's form"):
            raise _expired()


async def _check_made(box: Toolbox, kept: KeptPreview, results: dict[str, Any]) -> None:
    """Raises the error that kept a preview from being applied; nothing was changed then."""
    problem = problem_of(results)
    if problem is None and any(result.get("blockers") for result in results.values()):
        blockers = [one for result in results.values() for one in result.get("blockers") or ()]
        problem = ProblemCode.TRANSITION_BLOCKED, fences.label(blockers[0]["message"]), ""
    if problem is None:
        return
    code, message, advice = problem
    if code == ProblemCode.FORBIDDEN:  # depends on the caller, who may yet be given the scope
        raise ToolError(code, message, advice)
    with _keeping():
        await box.previews.end(kept.id, "stale")
    raise ToolError(ToolCode.PREVIEW_STALE, f"Nothing was changed. {message}", _ANEW)


async def _run(
    box: Toolbox, call: ToolCall, document: str, variables: dict[str, Any], seen: RowsSeen
) -> dict[str, Any]:
    """The results of all steps; rows that have changed since the preview are a problem each."""
    call.may_change, call.seen = True, seen
    try:
        answer = await box.operations.run(call, document, variables, own=True)
    finally:
        call.may_change, call.seen, call.changes = False, None, False
    results: dict[str, Any] = answer["data"]
    if failed := [error for error in answer.get("errors", ()) if len(error.get("path") or ()) == 1]:
        code = str(failed[0].get("extensions", {}).get("code", ErrorCode.INTERNAL))
        raise ToolError(code, failed[0]["message"], "Call again in a moment.")
    return results


@contextmanager
def _keeping() -> Iterator[None]:
    """Converts errors of the table of previews to errors of the tool."""
    try:
        yield
    except MissingObjectError:
        advice = "Whoever runs the gateway runs `e2i-gateway db migrate`, or `db attach`."
        raise ToolError(ErrorCode.CHANGES_UNAVAILABLE, "This database has no table of previews.", advice) from None
    except (DatabaseUnavailableError, OverloadedError, LockedError, StatementTimeoutError) as error:
        log.warning("previews cannot be asked for: %s", error)
        raise ToolError(ErrorCode.DATABASE_UNAVAILABLE, "The database does not answer.", "Call again soon.") from None
    except DatabaseError as error:
        log.warning("previews cannot be kept: %s", error)
        message = "Previews cannot be kept here; the log says why."
        raise ToolError(ErrorCode.CHANGES_UNAVAILABLE, message, "Tell whoever runs the gateway.") from None


STEPS = ToolArgument("steps", "array", required=True, most=MAX_STEPS, items={
    "type": "object",
    "properties": {"mutation": {"type": "string"}, "id": {"type": "string"}, "input": {"type": "object"}},
    "required": ["mutation"],
})  # fmt: skip

PREVIEW_CHANGE = AgentTool(
    "preview_change",
    "What 1 to 5 mutations would change, all or none; nothing is changed. A row's lifecycle { changes { mutation to "
    "required optional allowed } } lists its own; find_fields (create, update, record, purge ...) and describe_type "
    "the others.",
    (STEPS, ToolArgument("reason", "string", "why, for the record", most=MAX_REASON)),
    _preview,
    changes=True,
)
APPLY_CHANGE = AgentTool(
    "apply_change",
    "Make what was previewed, once. A person is asked to confirm.",
    (ToolArgument("previewId", "string", required=True, most=100),),
    _apply,
    changes=True,
    destructive=True,
)

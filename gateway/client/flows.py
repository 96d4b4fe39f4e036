"""The logic of the client, without I/O: generators yield requests and are sent their responses.

A request is repeated only if that cannot execute a change twice: after a refusal before execution, for queries, and for
changes with an idempotency key.
"""

from __future__ import annotations

import difflib
import gzip
import json
import random
import re
import uuid
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from gateway.client.errors import NoAnswerError, RejectedRowsError, RequestFailedError
from gateway.client.rows import Changed, QueryData, Recording, Rows, batches, encoded, lines
from gateway.client.typed import MUTATIONS
from schema.error_codes import ErrorCode, ProblemCode, Retry

PACKED_FROM = 4_000
"""The size in bytes from which a body of rows is compressed."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds before the first repetition, and the longest pause unless the gateway names one."""
_PASSING = (408, 429, 502, 503, 504)
"""Statuses that a proxy may send, too."""

T = TypeVar("T")


@dataclass(frozen=True)
class Exchange:
    """A request."""

    path: str
    content: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """A response."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def body(self) -> dict[str, Any]:
        """The JSON object of the body; empty if there is none, as in responses of proxies."""
        try:
            found = json.loads(self.content)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class MissingReply:
    """The response is missing; ``sent`` says whether the gateway may have received the request."""

    error: Exception
    sent: bool


@dataclass(frozen=True)
class Pause:
    """A pause, in seconds."""

    seconds: float


Flow = Generator[Exchange | Pause, Reply | MissingReply | None, T]


def exchanged(asked: Exchange, retries: int, *, again: bool) -> Flow[Reply]:
    """The response to a request; ``again`` says that it may be sent twice in any case.

    Raises:
        NoAnswerError: There is no response.
    """
    for attempt in range(retries + 1):
        reply = yield asked
        pause = min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        if isinstance(reply, MissingReply):
            if attempt == retries or (reply.sent and not again):
                raise NoAnswerError(_unanswered(reply, attempt)) from reply.error
        else:
            assert reply is not None  # noqa: S101 - a request was yielded
            if attempt == retries or not _is_passing(reply, again=again):
                return reply
            after = reply.headers.get("retry-after", "")
            pause = max(pause, float(after)) if after.isdigit() else pause
        yield Pause(pause)
    raise AssertionError  # the last attempt returns or raises


def _unanswered(lost: MissingReply, attempt: int) -> str:
    tries = f"asked {attempt + 1} times" if attempt else "asked once"
    known = "it may have been done" if lost.sent else "the gateway has not had it"
    return f"no answer ({tries}; {known}): {str(lost.error) or type(lost.error).__name__}"


def _is_passing(reply: Reply, *, again: bool) -> bool:
    """Whether a repetition may succeed and is safe."""
    body = reply.body()
    if reply.status == 200 and any(one is not None for one in (body.get("data") or {}).values()):
        return False
    codes = [str((error.get("extensions") or {}).get("code")) for error in body.get("errors", ())]
    codes += [str(body["code"])] if "code" in body else []
    if not codes:
        return again and reply.status in _PASSING
    if reply.status == 429 and "retry-after" not in reply.headers:  # it costs more than the budget ever has
        return False
    allowed = {Retry.LATER} | ({Retry.WITH_KEY} if again else set())
    known = [ErrorCode[code].retry in allowed if code in ErrorCode.__members__ else False for code in codes]
    return all(known) or (again and codes == [ErrorCode.REQUEST_TIMEOUT])


# -- the graph ---------------------------------------------------------------------------------------------------------


def asked(document: str, variables: Mapping[str, Any], retries: int, *, again: bool) -> Flow[dict[str, Any]]:
    """The data of an operation.

    Raises:
        RequestFailedError: The response has errors; its ``details`` have partial data.
        NoAnswerError: There is no response.
    """
    content = encoded({"query": document, "variables": variables})
    headers = {"content-type": "application/json", "accept": "application/json"}
    reply = yield from exchanged(Exchange("/graphql", content, headers), retries, again=again)
    body = reply.body()
    if errors := body.get("errors"):
        first = errors[0]
        code = (first.get("extensions") or {}).get("code", "")
        raise RequestFailedError(str(code), first.get("message", ""), reply.status, body)
    if reply.status != 200 or "data" not in body:
        raise RequestFailedError("", _no_answer_of_ours(reply), reply.status, body)
    data: dict[str, Any] = body["data"]
    return data


def _no_answer_of_ours(reply: Reply) -> str:
    begin = reply.content[:80].decode(errors="replace").strip()
    return f"HTTP {reply.status} is no answer of the gateway's{f': {begin}' if begin else ''}"


def queried(document: str, variables: Mapping[str, Any], retries: int) -> Flow[QueryData]:
    """The data of a query, which is repeated where that may succeed; of a document with mutations only where it is
    safe."""
    return QueryData(
        (yield from asked(document, variables, retries, again=re.search(r"\bmutation\b", document) is None))
    )


def changed(document: str, variables: Mapping[str, Any], retries: int, key: str | None) -> Flow[dict[str, Any]]:
    """The data of a mutation that is executed once, however often it is sent: by its variable ``$key``, or the key in
    ``$input``.

    Raises:
        ValueError: The document has neither variable.
    """
    input_ = variables.get("input")
    if re.search(r"\$key\b", document):
        given = {**variables, "key": key or variables.get("key") or str(uuid.uuid4())}
    elif isinstance(input_, Mapping):
        key = key or input_.get("idempotencyKey") or str(uuid.uuid4())
        given = {**variables, "input": {**input_, "idempotencyKey": key}}
    else:
        raise ValueError(
            "a mutation needs a place for its idempotency key: a variable $input, or "
            "mutation($key: String!) @transaction(idempotencyKey: $key)"
        )
    return asked(document, given, retries, again=True)


def paged(document: str, variables: Mapping[str, Any], retries: int, most: int | None) -> Flow[Rows]:
    """The rows of the single list of a query, page by page.

    Raises:
        ValueError: The document cannot be paged.
    """
    if not re.search(r"\$after\b", document) or "endCursor" not in document:
        raise ValueError(
            "a query is paged by query($after: String) { list(first: 1000, after: $after) { nodes { ... } "
            "pageInfo { hasNextPage endCursor } } }"
        )
    found, after = Rows(), variables.get("after")
    while True:
        data = yield from queried(document, {**variables, "after": after}, retries)
        lists = [one for one in data.values() if isinstance(one, dict) and "nodes" in one]
        if len(lists) != 1 or "pageInfo" not in lists[0]:
            raise ValueError("a query that is paged has one list at its root, with nodes and pageInfo")
        found += lists[0]["nodes"]
        if most is not None and len(found) >= most:
            return Rows(found[:most])
        if not lists[0]["pageInfo"]["hasNextPage"]:
            return found
        after = lists[0]["pageInfo"]["endCursor"]


# -- mutations by their names ------------------------------------------------------------------------------------------

_PROBLEMS = "... on Problem { code message path }"
_BLOCKERS = "... on TransitionBlocked { blockers { code message overridable } }"
_SELECTED = {
    "RecordResult": (
        "... on Recorded { inserted updated kept differing differingRows { row nodeId fields } replayed dryRun ids } "
        f"... on RowsRejected {{ rows {{ code message path row }} }} {_PROBLEMS} {_BLOCKERS}"
    ),
    "TransitionResult": (
        "... on TransitionApplied { replayed } "
        "... on TransitionPreview { blockers { code message overridable } wouldForce } "
        f"{_PROBLEMS} {_BLOCKERS}"
    ),
    "PurgeResult": f"... on Purged {{ purged more oldest newest referred replayed dryRun }} {_PROBLEMS} {_BLOCKERS}",
}
"""The selection for a mutation's result, by its union: readable by callers that have no read permission."""
_MADE = "... on TransitionApplied { nodes { id } }"
"""The added selection for a mutation whose input names no row, since it creates or finds rows."""


def known(mutation: str) -> tuple[str, str]:
    """The types of a mutation's input and of its result.

    Raises:
        ValueError: There is no mutation of that name.
    """
    if mutation not in MUTATIONS:
        near = difflib.get_close_matches(mutation, MUTATIONS, 3)
        raise ValueError(f"there is no mutation {mutation!r}{f'; do you mean {near[0]}?' if near else ''}")
    return MUTATIONS[mutation]


def made(mutation: str, input_: Mapping[str, Any], retries: int, key: str | None) -> Flow[Changed]:
    """The outcome of one mutation, executed once for its key.

    Raises:
        ValueError: There is no such mutation.
        RejectedRowsError: Values of the row were rejected.
        RequestFailedError: The mutation was refused, or failed.
        NoAnswerError: There is no response.
    """
    step = NamedChange(mutation, input_)
    step.check()
    document = f"mutation($input: {known(mutation)[0]}!) {{ {step.field('made', 'input')} }}"
    data = yield from changed(document, {"input": input_}, retries, key)
    return _outcome(step, data["made"], "")


@dataclass(frozen=True)
class NamedChange:
    """A mutation by its name, with its input."""

    mutation: str
    input: Mapping[str, Any]

    def check(self) -> None:
        """Raises:
        TypeError: The input is not a dictionary.
        ValueError: There is no such mutation.
        """
        type_ = known(self.mutation)[0]
        given: object = self.input
        if not isinstance(given, Mapping):
            words = f"is a dictionary of the fields of {type_}, not a {type(given).__name__}"
            raise TypeError(f"the input of {self.mutation} {words}")

    @property
    def named(self) -> list[str]:
        """The ids of the rows in its input."""
        items = [self.input, *self.input.get("items", ())]
        return [str(item["id"]) for item in items if "id" in item]

    def field(self, alias: str, variable: str) -> str:
        """Its field in a document."""
        result = known(self.mutation)[1]
        more = _MADE if result == "TransitionResult" and not self.named else ""
        return f"{alias}: {self.mutation}(input: ${variable}) {{ __typename {_SELECTED[result]} {more} }}"


def together(steps: Sequence[NamedChange], retries: int, key: str | None) -> Flow[list[Changed]]:
    """The outcomes of mutations that are executed in one transaction, once for its key: all of them, or none.

    Raises:
        ValueError: There is no such mutation.
        RejectedRowsError: Values of rows were rejected.
        RequestFailedError: One of them was refused, or failed.
        NoAnswerError: There is no response.
    """
    if not steps:
        return []
    declared = ", ".join(f"$i{place}: {known(step.mutation)[0]}!" for place, step in enumerate(steps))
    fields = " ".join(step.field(f"s{place}", f"i{place}") for place, step in enumerate(steps))
    document = f"mutation($key: String!, {declared}) @transaction(idempotencyKey: $key) {{ {fields} }}"
    data = yield from changed(document, {f"i{place}": step.input for place, step in enumerate(steps)}, retries, key)
    answers = [data[f"s{place}"] for place in range(len(steps))]
    problems = [place for place, one in enumerate(answers) if "code" in one]
    causes = [place for place in problems if answers[place]["__typename"] != "TransactionUndone"]
    for place in (causes or problems)[:1]:
        _outcome(steps[place], answers[place], f"{steps[place].mutation} (step {place + 1} of {len(steps)}): ")
    return [_outcome(step, one, "") for step, one in zip(steps, answers, strict=True)]


def _outcome(step: NamedChange, answer: Mapping[str, Any], where: str) -> Changed:
    """The outcome in a mutation's result.

    Raises:
        RequestFailedError: The result is a problem.
    """
    if "code" in answer:
        message = f"{where}{answer['message']}"
        if "rows" in answer:
            raise RejectedRowsError(message, 200, answer, answer["rows"], 0)
        blockers = "".join(f"\n  {one['code']}: {one['message']}" for one in answer.get("blockers", ()))
        raise RequestFailedError(answer["code"], f"{message}{blockers}", 200, answer)
    ids = answer["ids"] if "ids" in answer else [node["id"] for node in answer.get("nodes", ())] or step.named
    preview = answer["__typename"] == "TransitionPreview"
    return Changed(ids, answer.get("replayed", False), answer.get("dryRun", preview), answer)


# -- rows --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RecordTerms:
    """How rows are recorded; see `Gateway.record`."""

    key: str | None = None
    on_conflict: str | None = None
    dry_run: bool = False
    ids: bool = False
    size: int = 5_000
    progress: Callable[[int], object] | None = None


def recorded(plural: str, rows: Iterable[Mapping[str, Any]], retries: int, terms: RecordTerms) -> Flow[Recording]:
    """Records rows in batches, each once, however often it is sent.

    Raises:
        ValueError: The size of batches is below 1.
        RejectedRowsError: Rows were rejected.
        RequestFailedError: A batch was refused, or failed.
        NoAnswerError: There is no response.
    """
    if terms.size < 1:
        raise ValueError(f"a batch has 1 row or more, not {terms.size}")
    key = terms.key or str(uuid.uuid4())
    options = {"onConflict": terms.on_conflict} if terms.on_conflict else {}
    options |= {"dryRun": "true"} if terms.dry_run else {}
    options |= {"ids": "true"} if terms.ids else {}
    path = f"/record/{quote(plural, safe='')}{f'?{urlencode(options)}' if options else ''}"
    total, done = Recording(), 0
    for number, part in enumerate(batches(rows, terms.size)):
        content = lines(part, done)
        headers = {"content-type": "application/x-ndjson", "idempotency-key": f"{key}/{number}"}
        if len(content) >= PACKED_FROM:
            content, headers["content-encoding"] = gzip.compress(content, 1, mtime=0), "gzip"
        reply = yield from exchanged(Exchange(path, content, headers), retries, again=True)
        body = reply.body()
        if reply.status != 200 or "inserted" not in body:
            raise _failed(reply, done)
        total.add(body, done)
        done += len(part)
        if terms.progress is not None:
            terms.progress(done)
    return total


def _failed(reply: Reply, before: int) -> RequestFailedError:
    body = reply.body()
    code, message = str(body.get("code", "")), str(body.get("detail", _no_answer_of_ours(reply)))
    if code != ProblemCode.ROWS_REJECTED:
        return RequestFailedError(code, message, reply.status, body)
    rows = [
        {**one, "row": one["row"] + before, "path": ["rows", str(one["row"] + before), *one["path"][2:]]}
        for one in body["rows"]
    ]
    kept = f"the {before:,} rows of the batches before it are" if before else "nothing is"
    words = f"{len(rows)} rows cannot be recorded; {kept} recorded"
    return RejectedRowsError(words, reply.status, body, rows, before)

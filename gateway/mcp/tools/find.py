"""``find`` and ``similar``: rows by words, and by vector similarity of texts."""

from __future__ import annotations

import re
from typing import Any

from gateway.mcp import fences
from gateway.mcp.arguments import ToolArgument
from gateway.mcp.envelope import Envelope, ToolError
from gateway.mcp.operations import ToolCall
from gateway.mcp.rows import row_id, with_most_words
from gateway.mcp.toolbox import MOST_BYTES, AgentTool, Toolbox
from schema.error_codes import ErrorCode, ToolCode
from schema.names.words import stem

_FIND = """query Find($text: String!, $types: [SearchType!], $first: Int!) {
  search(text: $text, types: $types, first: $first, anyWords: true) {
    hits { score field text state time lacks node { id } belongsTo { id } }
    complete
    omissions { type reason }
  }
}"""
ALL_WORDS = 0.5
"""From this score on all words of the text were found in one value; below in several, or with typos."""


async def _find(box: Toolbox, call: ToolCall, given: dict[str, Any]) -> Envelope:
    if given["types"]:
        box.check_types(given["types"])
    variables = {"text": given["text"], "types": given["types"], "first": given["first"]}
    answer = await box.operations.run(call, _FIND, variables)
    found = answer["data"]["search"]
    rows = []
    hits = with_most_words(found["hits"])
    for hit in hits:
        if hit["node"] is None:  # deleted in the meantime
            continue
        row = {"id": hit["node"]["id"], "name": fences.label(hit["text"]), "field": hit["field"]}
        row |= {"score": round(hit["score"], 2)}
        row |= {key: hit[key] for key in ("state", "time", "lacks") if hit[key]}
        if hit["belongsTo"]:
            row["belongsTo"] = hit["belongsTo"]["id"]
        rows.append(row)
    envelope = Envelope({"rows": rows, "matched": _matched(hits)})
    if hits and hits[0]["lacks"]:
        envelope.warnings.append("No row has all words: these have most of them, and lack those of lacks.")
    if not found["complete"] and len(hits) == len(found["hits"]):
        envelope.complete = False
        envelope.more = [{"path": "rows", "shown": len(rows)}]
        envelope.warnings.append("More rows fit: narrow text or types, or raise first (at most 50).")
    for omission in found["omissions"][:3]:
        envelope.complete = False
        envelope.warnings.append(f"{omission['type']}: {omission['reason']}")
    return fences.noted(envelope)


def _matched(hits: list[dict[str, Any]]) -> str:
    """How well the best hit matches the text."""
    if not hits:
        return "nothing"
    if hits[0]["lacks"]:
        return "some words"
    return "all words" if hits[0]["score"] >= ALL_WORDS else "any word, or typos"


FIND = AgentTool(
    "find",
    "Find rows by name, id or external reference. Gives ids.",
    (
        ToolArgument("text", "string", required=True, most=300),
        ToolArgument("types", "strings", "such as Model", most=100),
        ToolArgument("first", "integer", default=10, least=1, most=50),
    ),
    _find,
)


_SIMILAR = {
    "episodes": """query Similar($id: ID, $text: String, $after: String, $first: Int!, $least: Float, $only: Boolean) {
  found: similarEpisodes(episodeId: $id, text: $text, first: $first, after: $after,
    minSimilarity: $least, onlySuccessful: $only) {
    complete
    edges { score node { id queryText success userRating totalLatencyMs createdAt } }
  }
}""",
    "lessons": """query Similar($id: ID, $text: String, $after: String, $first: Int!, $least: Float, $only: Boolean) {
  found: similarKnowledge(knowledgeId: $id, text: $text, first: $first, after: $after,
    minSimilarity: $least, onlyValidated: $only) {
    complete
    edges { score node { id title lessonType confidenceLevel validated successRate createdAt } }
  }
}""",
}
_WITHOUT = {
    "episodes": "query Without($where: ComposerEpisodeWhere) { rows: composerEpisodes(where: $where) { totalCount } }",
    "lessons": """query Without($where: ExperimentKnowledgeWhere) {
  rows: experimentKnowledgeEntries(where: $where) { totalCount }
}""",
}
_VECTOR = {"episodes": "queryEmbedding", "lessons": "embedding"}
_WORDS = {
    "episodes": """query Words($all: ComposerEpisodeWhere, $any: ComposerEpisodeWhere, $first: Int!) {
  all: composerEpisodes(where: $all, first: $first) { nodes { ...Row } }
  any: composerEpisodes(where: $any, first: $first) { nodes { ...Row } }
}
fragment Row on ComposerEpisode { id queryText success userRating totalLatencyMs createdAt }""",
    "lessons": """query Words($all: ExperimentKnowledgeWhere, $any: ExperimentKnowledgeWhere, $first: Int!) {
  all: experimentKnowledgeEntries(where: $all, first: $first) { nodes { ...Row } }
  any: experimentKnowledgeEntries(where: $any, first: $first) { nodes { ...Row } }
}
fragment Row on ExperimentKnowledge {
  id title lessonType confidenceLevel validated successRate createdAt description experiment { experimentName }
}""",
}
_ROWS = {"episodes": "ComposerEpisode", "lessons": "ExperimentKnowledge"}
_PROSE = {"episodes": ("queryText",), "lessons": ("title", "description")}
"""The fields that words are searched in."""
_LOOKED_AT = ("description", "experiment")
"""Fields that are read to locate words, and not shown."""
_IDENTIFIER = re.compile(r"\b\w+(?:[-_:]\w+){2,}")
"""Matches within a text that are a name or an id of some row."""
_ONLY = {"episodes": "success", "lessons": "validated"}
_MOST_WORDS = 8
_LONG = 3
"""The least length of a significant word, if there is any such word."""
_NO_VECTORS = {ErrorCode.EMBEDDINGS_UNAVAILABLE, ErrorCode.EMBEDDING_MODEL_MISMATCH}
LOW = 0.5
"""The best cosine similarity below which nothing counts as similar."""


async def _similar(box: Toolbox, call: ToolCall, given: dict[str, Any]) -> Envelope:
    text, id_, kind = given["text"], given["id"], given["kind"]
    if (text is None) == (id_ is None):
        raise ToolError(
            ToolCode.BAD_ARGUMENT, "similar takes text or id, exactly one.", "Pass the id of a row of that kind."
        )
    if text is not None and not box.settings.embeddings_url:
        return await _by_words(box, call, given, "Found by words, not by meaning")
    warning = None
    if id_ is not None:
        id_, warning = await row_id(box, call, "id", id_, [_ROWS[kind]])
    variables = {"id": id_, "text": text, "first": given["first"], "least": given["minScore"]}
    variables |= {"after": given["after"]}
    variables["only"] = given["onlySuccessful"]
    try:
        envelope = await box.ask(call, _SIMILAR[kind], variables)
    except ToolError as error:
        if text is None or error.code not in _NO_VECTORS:
            raise
        return await _by_words(box, call, given, f"{error.code}: found by words, not by meaning")
    envelope.warnings[:0] = [warning] if warning else []
    _ranked(envelope)
    if given["after"] is None:
        await _warn_of_missing_vectors(box, call, given, envelope)
    return envelope


def _ranked(envelope: Envelope) -> None:
    """Turns the hits of a vector search into rows, and says how reliable they are."""
    found = envelope.data.get("found") or {}
    edges = found.get("edges", [])
    envelope.data = {"by": "vectors", "rows": [{"score": edge["score"], **edge["node"]} for edge in edges]}
    for entry in envelope.more:
        entry["path"] = "rows"
    if found.get("complete") is False:
        envelope.complete = False
        envelope.more = envelope.more or [{"path": "rows", "shown": len(edges)}]
        envelope.warnings.append("An index answered: nearer rows may be missing; exact: true in a query compares all.")
    if not edges:
        envelope.warnings.append("No row has a vector to compare with.")
    elif edges[0]["score"] is not None and edges[0]["score"] < LOW:
        envelope.warnings.append(f"The best score, {edges[0]['score']:.2f}, is low: these are hardly alike.")


async def _warn_of_missing_vectors(box: Toolbox, call: ToolCall, given: dict[str, Any], envelope: Envelope) -> None:
    """Warns of the number of rows without a vector, which were not compared."""
    where = {_VECTOR[given["kind"]]: {"isNull": True}, **_only(given)}
    answer = await box.operations.run(call, _WITHOUT[given["kind"]], {"where": where})
    number = answer["data"]["rows"]["totalCount"]
    envelope.data["withoutVector"] = number
    stopped = " or more" if answer.get("extensions", {}).get("more") else ""
    if number or stopped:
        envelope.warnings.append(
            f"{number:,}{stopped} {given['kind']} have no vector: they were compared with nothing."
        )


def _only(given: dict[str, Any]) -> dict[str, Any]:
    """The filter of the requested restriction."""
    return {_ONLY[given["kind"]]: {"eq": True}} if given["onlySuccessful"] else {}


async def _by_words(box: Toolbox, call: ToolCall, given: dict[str, Any], why: str) -> Envelope:
    """Rows whose texts contain the words of a text, newest first, those with all words before those with any.

    ``why`` begins the warning that no vectors were used.
    """
    kind = given["kind"]
    if given["after"] is not None:
        raise ToolError(ToolCode.BAD_ARGUMENT, f"after is for vectors. {why}.", "Raise first instead (at most 20).")
    named = list(dict.fromkeys(re.findall(r"\w+", given["text"].lower())))
    telling = [word for word in named if len(word) > _LONG] or named
    looked_for = sorted(map(stem, telling), key=len, reverse=True)[:_MOST_WORDS]
    each = [{"or": [{field: {"iContains": word}} for field in _PROSE[kind]]} for word in looked_for]
    only = _only(given)
    variables = {"all": {"and": each, **only}, "any": {"or": each, **only}, "first": given["first"]}
    envelope = await box.ask(call, _WORDS[kind], variables, MOST_BYTES) if each else Envelope({})
    found = {row["id"]: row for rows in envelope.data.values() if rows for row in rows["nodes"]}
    spelt = {stem(word): word for word in telling}
    rows = [made for row in found.values() if (made := _located(row, _PROSE[kind], looked_for, spelt))]
    rows = sorted(rows, key=lambda row: row["matched"] != "all words")
    shown = rows[: given["first"]]
    envelope.data = {"by": "words", "rows": shown}
    envelope.complete = envelope.complete and len(shown) == len(rows)
    envelope.more = [] if envelope.complete else [{"path": "rows", "shown": len(shown)}]
    envelope.warnings.insert(0, f"{why}: this is no similarity. For vectors pass the id of a row.")
    if given["minScore"] is not None:
        envelope.warnings.insert(1, "minScore is for vectors: it was not applied.")
    return envelope


def _located(
    row: dict[str, Any], fields: tuple[str, ...], looked_for: list[str], spelt: dict[str, str]
) -> dict[str, Any] | None:
    """A row with the matched words and their fields; None if all matches are names of other rows."""
    name = ((row.get("experiment") or {}).get("experimentName") or "").strip(fences.OPEN + fences.CLOSE).lower()
    where = {}
    for field in fields:
        text = _IDENTIFIER.sub(" ", str(row.get(field) or "").lower())
        text = text.replace(name, " ") if name else text
        if there := [spelt[word] for word in looked_for if word in text]:
            where[field] = ", ".join(there)
    if not where:
        return None
    said = {word for words in where.values() for word in words.split(", ")}
    matched = "all words" if len(said) == len(set(looked_for)) else "any word"
    shown = {key: value for key, value in row.items() if key not in _LOOKED_AT}
    return {"matched": matched, "in": where, **shown}


SIMILAR = AgentTool(
    "similar",
    "Episodes or lessons like a row or a text; `by` says whether by vectors or words.",
    (
        ToolArgument("kind", "string", required=True, choices=("episodes", "lessons")),
        ToolArgument("id", "string", "or name", most=300),
        ToolArgument("text", "string", most=300),
        ToolArgument("onlySuccessful", "boolean", default=False),
        ToolArgument("minScore", "number", least=-1, most=1),
        ToolArgument("first", "integer", default=5, least=1, most=20),
        ToolArgument("after", "string", most=1_000),
    ),
    _similar,
)

"""``find`` and ``similar``: rows by words, and by the vectors of texts."""

from __future__ import annotations

from typing import Any

from gateway.mcp import fences
from gateway.mcp.arguments import ToolArgument
from gateway.mcp.envelope import Envelope, ToolError
from gateway.mcp.operations import ToolCall
from gateway.mcp.toolbox import AgentTool, Toolbox
from schema.error_codes import ToolCode

_FIND = """query Find($text: String!, $types: [SearchType!], $first: Int!) {
  search(text: $text, types: $types, first: $first) {
    hits { score field text state time node { id } belongsTo { id } }
    complete
    omissions { type reason }
  }
}"""
ALL_WORDS = 0.5
"""From this score on every word of the text was found in one value; below it in several, or with typos."""


async def _find(box: Toolbox, call: ToolCall, given: dict[str, Any]) -> Envelope:
    if given["types"]:
        box.check_types(given["types"])
    variables = {"text": given["text"], "types": given["types"], "first": given["first"]}
    answer = await box.operations.run(call, _FIND, variables)
    found = answer["data"]["search"]
    rows = []
    for hit in found["hits"]:
        if hit["node"] is None:  # deleted in this moment
            continue
        row = {"id": hit["node"]["id"], "name": fences.label(hit["text"]), "field": hit["field"]}
        row |= {"score": round(hit["score"], 2)}
        row |= {key: hit[key] for key in ("state", "time") if hit[key] is not None}
        if hit["belongsTo"]:
            row["belongsTo"] = hit["belongsTo"]["id"]
        rows.append(row)
    matched = "nothing" if not rows else "all words" if found["hits"][0]["score"] >= ALL_WORDS else "any word, or typos"
    envelope = Envelope({"rows": rows, "matched": matched})
    if not found["complete"]:
        envelope.complete = False
        envelope.more = [{"path": "rows", "shown": len(rows)}]
        envelope.warnings.append("More rows fit: narrow text or types, or raise first (at most 50).")
    for omission in found["omissions"][:3]:
        envelope.complete = False
        envelope.warnings.append(f"{omission['type']}: {omission['reason']}")
    return fences.noted(envelope)


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
    "episodes": """query Similar($id: ID!, $first: Int!, $least: Float, $only: Boolean) {
  found: similarEpisodes(episodeId: $id, first: $first, minSimilarity: $least, onlySuccessful: $only) {
    complete
    edges { score node { id queryText success userRating totalLatencyMs createdAt } }
  }
}""",
    "lessons": """query Similar($id: ID!, $first: Int!, $least: Float, $only: Boolean) {
  found: similarKnowledge(knowledgeId: $id, first: $first, minSimilarity: $least, onlyValidated: $only) {
    complete
    edges { score node { id title lessonType confidenceLevel validated successRate createdAt } }
  }
}""",
}
_WORDS = """query Words($text: String!, $types: [SearchType!], $first: Int!) {
  search(text: $text, types: $types, first: $first) { complete hits { score text time node { id } } }
}"""
_TYPES = {"episodes": "ComposerEpisode", "lessons": "ExperimentKnowledge"}
LOW = 0.5
"""A best cosine below which nothing is like what was asked for."""


async def _similar(box: Toolbox, call: ToolCall, given: dict[str, Any]) -> Envelope:
    text, id_, kind = given["text"], given["id"], given["kind"]
    if (text is None) == (id_ is None):
        raise ToolError(
            ToolCode.BAD_ARGUMENT, "similar takes text or id, exactly one.", "Pass the id of a row of that kind."
        )
    if id_ is None:
        return await _by_words(box, call, given)
    variables = {"id": id_, "first": given["first"], "least": given["minScore"], "only": given["onlySuccessful"]}
    envelope = await box.ask(call, _SIMILAR[kind], variables)
    edges = (envelope.data.get("found") or {}).get("edges", [])
    envelope.data = {"by": "vectors", "rows": [{"score": edge["score"], **edge["node"]} for edge in edges]}
    envelope.more = []  # the nearest were asked for, and are there
    if not edges:
        envelope.warnings.append("No row has a vector to compare with.")
    elif edges[0]["score"] is not None and edges[0]["score"] < LOW:
        envelope.warnings.append(f"The best score, {edges[0]['score']:.2f}, is low: these are hardly alike.")
    return envelope


async def _by_words(box: Toolbox, call: ToolCall, given: dict[str, Any]) -> Envelope:
    variables = {"text": given["text"], "types": [_TYPES[given["kind"]]], "first": given["first"]}
    answer = await box.operations.run(call, _WORDS, variables)
    found = answer["data"]["search"]
    rows = [
        {"id": hit["node"]["id"], "score": round(hit["score"], 2), "text": fences.fenced(hit["text"], 200)}
        for hit in found["hits"]
        if hit["node"]
    ]
    envelope = Envelope({"by": "words", "rows": rows}, complete=bool(found["complete"]))
    envelope.warnings.append(
        "Found by words, not by meaning; scores are no similarity. For vectors pass the id of a row."
    )
    if given["onlySuccessful"] or given["minScore"] is not None:
        envelope.warnings.append("onlySuccessful and minScore are for vectors: they were not applied.")
    return fences.noted(envelope)


SIMILAR = AgentTool(
    "similar",
    "Episodes or lessons like a row (by vectors), or by a text (by words).",
    (
        ToolArgument("kind", "string", required=True, choices=("episodes", "lessons")),
        ToolArgument("id", "string", most=300),
        ToolArgument("text", "string", most=300),
        ToolArgument("onlySuccessful", "boolean", default=False),
        ToolArgument("minScore", "number", least=-1, most=1),
        ToolArgument("first", "integer", default=5, least=1, most=20),
    ),
    _similar,
)

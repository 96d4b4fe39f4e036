"""Rows by what people call them: a name, an id or an external reference, wherever a tool takes a row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from gateway.mcp import fences
from gateway.mcp.envelope import ToolError
from gateway.mcp.operations import ToolCall
from gateway.mcp.toolbox import Toolbox
from schema.catalogue.ids import is_uuid
from schema.error_codes import ToolCode
from schema.names.shapes import listed

_SEARCH = """query Rows($text: String!, $types: [SearchType!], $first: Int!) {
  search(text: $text, types: $types, first: $first, anyWords: true) {
    hits { score field text state time lacks node { id } }
  }
}"""
IN_USE = frozenset({"PRODUCTION", "ACTIVE"})
"""States of rows in use: among several rows of one name, such a row is meant."""
TIERS = (0.94, 0.8, 0.65, 0.5, 0.4)
"""Least scores of `search` that count as equally good: whole values, beginnings, words, parts, several values."""
_LABELLED: dict[str, Any] = {"score": TIERS[0], "state": None, "time": None, "lacks": []}
"""The selection for a row that was found by its label."""
MOST = 12
"""The most rows that are compared."""
_ID = re.compile(r"[A-Z][A-Za-z0-9]*:\S+")


async def row_id(
    box: Toolbox,
    call: ToolCall,
    argument: str,
    text: str,
    types: Sequence[str] | None = None,
    *,
    exactly: bool = False,
) -> tuple[str, str | None]:
    """The id of the row that a text names, and a warning if it was one of several.

    Ids, global or bare, are taken as they are; other texts are searched for as by `find`, among ``types``. Of several
    equally good hits the only one in use is taken. ``exactly`` requires a single hit without a typo.

    Raises:
        ToolError: There is no such row, or several of which not exactly one is in use; these are listed.
    """
    if _ID.fullmatch(text) or (types is not None and is_uuid(text)):
        return text, None
    if types is None or any(name in box.searched for name in types):
        answer = await box.operations.run(call, _SEARCH, {"text": text, "types": types, "first": MOST})
        hits = [hit for hit in answer["data"]["search"]["hits"] if hit["node"] and hit["field"] != "__typename"]
    elif (document := _by_label(box, types[0])) is not None:
        answer = await box.operations.run(call, document, {"where": _with_words(box, types[0], text), "first": MOST})
        hits = [{"node": row, **_LABELLED} for row in answer["data"]["rows"]["nodes"]]
    else:
        return text, None
    best = _best(hits)
    what = f"{argument} {fences.visible(text)[:60]!r}"
    if not best or best[0]["lacks"] or (exactly and best[0]["score"] < TIERS[-1]):
        raise _none(what, " or ".join(types or ("row",)), with_most_words(hits))
    used = [hit for hit in best if hit["state"] in IN_USE]
    if len(best) > 1 and (exactly or len(used) != 1):
        raise _several(what, [*used, *(hit for hit in best if hit not in used)])
    meant = used[0] if len(best) > 1 else best[0]
    if len(best) == 1 and meant["score"] >= TIERS[-1]:
        return meant["node"]["id"], None
    if len(best) == 1:
        return meant["node"]["id"], f"{what} was read, with a typo, as {_told(meant)}."
    others = ", ".join(hit["node"]["id"] for hit in best if hit is not meant)
    return meant["node"]["id"], f"{what} is {len(best)} rows: {_told(meant)} was taken. Others: {others}."[:400]


def with_most_words(hits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The hits that lack the fewest words of the text."""
    fewest = min((len(hit["lacks"]) for hit in hits), default=0)
    return [hit for hit in hits if len(hit["lacks"]) == fewest]


def _by_label(box: Toolbox, type_name: str) -> str | None:
    """The query for rows of a type that `search` does not cover, by their label fields; None if there are none."""
    type_ = box.schema.catalogue[type_name]
    if not type_.label or type_.plural not in box.schema.catalogue.roots:
        return None
    return f"""query Rows($where: {type_name}Where, $first: Int!) {{
  rows: {type_.plural}(where: $where, first: $first) {{ nodes {{ id }} }}
}}"""


def _with_words(box: Toolbox, type_name: str, text: str) -> dict[str, Any]:
    """The filter for rows whose labels contain all words of a text."""
    type_ = box.schema.catalogue[type_name]
    names = [type_.leaf(column).name for column in type_.label]
    return {"and": [{"or": [{name: {"iContains": word}} for name in names]} for word in text.split()[:MOST]]}


class NoRowError(ToolError):
    """No row has this name."""


def _none(what: str, kind: str, near: list[dict[str, Any]]) -> NoRowError:
    """The error for a name without a row, with similar names."""
    advice = "Use find."
    if near:
        lacks = f", without {listed(near[0]['lacks'], 3)}"[:60] if near[0]["lacks"] else ""
        advice = f"Pass an id. Near{lacks}: {'; '.join(map(_told, near[:2]))}."
    return NoRowError(ToolCode.BAD_ARGUMENT, f"{what}: no {kind} has such a name or reference.", advice)


def _several(what: str, hits: list[dict[str, Any]]) -> ToolError:
    """The error for an ambiguous name, with its rows, those in use first, as many as fit."""
    told = [_told(hit) for hit in hits]
    number = f"{len(hits)} rows" if len(hits) < MOST else f"at least {MOST} rows"
    others = f" Others: {'; '.join(told[2:3])}" if len(told) > 2 else ""
    others += f"; and {len(told) - 3} more" if len(told) > 3 else ""
    advice = f"Pass the id of one, or more of its name.{others}"
    return ToolError(ToolCode.BAD_ARGUMENT, f"{what} is {number}: {'; '.join(told[:2])}.", advice)


def _best(hits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The hits that are as good as the best one."""
    if not hits:
        return []
    least = next((score for score in TIERS if hits[0]["score"] >= score), 0.0)
    return [hit for hit in hits if hit["score"] >= least]


def _told(hit: dict[str, Any]) -> str:
    """A hit in few words: its id, its state and the date of its time."""
    said = " ".join(filter(None, (hit["state"], (hit["time"] or "")[:10])))
    return f"{hit['node']['id']} ({said})" if said else str(hit["node"]["id"])

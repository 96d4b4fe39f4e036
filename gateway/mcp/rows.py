"""Rows as people call them: by a name, an id or an external reference, wherever a tool asks for a row."""

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

_SEARCH = """query Rows($text: String!, $types: [SearchType!], $first: Int!) {
  search(text: $text, types: $types, first: $first) {
    hits { score field text state time node { id } }
  }
}"""
IN_USE = frozenset({"PRODUCTION", "ACTIVE"})
"""States of rows that are in use: of several of one name such a one is meant."""
TIERS = (0.94, 0.8, 0.65, 0.5, 0.4)
"""Scores of `search` from which on hits are equally good: whole values, beginnings, words, parts, several values."""
MOST = 12
"""Rows that are looked at."""
_ID = re.compile(r"[A-Z][A-Za-z0-9]*:\S+")


async def row_id(
    box: Toolbox, call: ToolCall, argument: str, text: str, types: Sequence[str] | None = None
) -> tuple[str, str | None]:
    """The id of the row that a text means, and a warning where it was one of several.

    Ids, global or bare, are taken as they are; anything else is looked for as `find` does, among ``types``. Of several
    that fit equally well the only one in use is taken.

    Raises:
        ToolError: There is none, or several of which no single one is in use; these are listed.
    """
    searched = types is None or any(name in box.searched for name in types)
    if not searched or _ID.fullmatch(text) or (types is not None and is_uuid(text)):
        return text, None
    answer = await box.operations.run(call, _SEARCH, {"text": text, "types": types, "first": MOST})
    hits = [hit for hit in answer["data"]["search"]["hits"] if hit["node"] and hit["field"] != "__typename"]
    best = _best(hits)
    what = f"{argument} {fences.visible(text)[:60]!r}"
    if not best:
        kind = " or ".join(types or ("row",))
        raise ToolError(ToolCode.BAD_ARGUMENT, f"{what}: no {kind} has such a name or reference.", "Use find.")
    used = [hit for hit in best if hit["state"] in IN_USE]
    if len(best) > 1 and len(used) != 1:
        raise _several(what, [*used, *(hit for hit in best if hit not in used)])
    meant = used[0] if len(best) > 1 else best[0]
    if len(best) == 1 and meant["score"] >= TIERS[-1]:
        return meant["node"]["id"], None
    if len(best) == 1:
        return meant["node"]["id"], f"{what} was read, with a typo, as {_told(meant)}."
    others = ", ".join(hit["node"]["id"] for hit in best if hit is not meant)
    return meant["node"]["id"], f"{what} is {len(best)} rows: {_told(meant)} was taken. Others: {others}."[:400]


def _several(what: str, hits: list[dict[str, Any]]) -> ToolError:
    """Says which rows a text may mean, those in use first: as many as there is room for."""
    told = [_told(hit) for hit in hits]
    number = f"{len(hits)} rows" if len(hits) < MOST else f"at least {MOST} rows"
    others = f" Others: {'; '.join(told[2:3])}" if len(told) > 2 else ""
    others += f"; and {len(told) - 3} more" if len(told) > 3 else ""
    advice = f"Pass the id of one, or more of its name.{others}"
    return ToolError(ToolCode.BAD_ARGUMENT, f"{what} is {number}: {'; '.join(told[:2])}.", advice)


def _best(hits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The hits that fit as well as the best one does."""
    if not hits:
        return []
    least = next((score for score in TIERS if hits[0]["score"] >= score), 0.0)
    return [hit for hit in hits if hit["score"] >= least]


def _told(hit: dict[str, Any]) -> str:
    """A hit in few words: its id, its state and the day of its time."""
    said = " ".join(filter(None, (hit["state"], (hit["time"] or "")[:10])))
    return f"{hit['node']['id']} ({said})" if said else str(hit["node"]["id"])

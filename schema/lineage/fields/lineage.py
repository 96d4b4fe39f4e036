"""`lineage`: upstream and downstream rows as flat lists of nodes and edges, with truncations.

Without postponed annotations: Strawberry could not resolve names of classes that a function creates.
"""

import enum
from collections.abc import Sequence
from typing import Any

import orjson
import strawberry

from db.engine.readers import Reader
from schema.catalogue.records import CUT, Record
from schema.catalogue.selection import Selection, cut_unsaid
from schema.errors import bad_argument
from schema.execution.loaders import Loaders
from schema.execution.time_slices import aside
from schema.graph.root_field import RootField
from schema.graph.types import Info, Types, selection_of, taking
from schema.lineage import arguments as parsing
from schema.lineage import cursors
from schema.lineage.answer import COUNTED, LineageAnswer, cut_branches, fitted, is_complete, limits, reason
from schema.lineage.arguments import LineageRequest, request_of
from schema.lineage.fields.types import (
    DEGREE,
    TOLD,
    LineageDirection,
    NodeReader,
    argument,
    below,
    classes,
    edge_record,
    node_record,
    node_rows,
    walk_arguments,
    walked_rows,
)
from schema.lineage.walk import Walk, Walked, window


def _taken(types: Types) -> dict[str, Any]:
    return walk_arguments(types) | {
        "maxBytes": argument(
            int | None,
            "Maximum size of the result in bytes of JSON, without the selections below `node`; nearest nodes first. "
            f"{parsing.LEAST_BYTES} to {parsing.MAX_BYTES}.",
        ),
        "countUpTo": argument(
            int | None,
            f"Upper bound of `degree` and `remaining` per kind of edge: {COUNTED:,} to {parsing.MAX_COUNTED:,}. Over "
            f"{COUNTED:,}, `countUpTo` times `maxNodes` is at most {parsing.ALL_COUNTED:,}.",
            COUNTED,
        ),
        "after": argument(
            list[str] | None,
            f"Continue from these cursors of a `frontier`, at most {cursors.MAX_CURSORS}, with the same arguments; "
            "limits may differ. A node can be returned again; its smaller depth is right. A cursor at `maxDepth` "
            "reads edges only.",
        ),
    }


# -- the answer ------------------------------------------------------------------------------------------------------


async def _lineage(info: Info) -> Record:
    """A part of the lineage.

    Raises:
        GatewayError: ``BAD_USER_INPUT`` or ``INVALID_CURSOR``, naming the argument.
    """
    loaders, selection = info.context.loaders, selection_of(info)
    question = request_of(loaders.catalogue, selection.arguments)
    async with loaders.reader.snapshot() as reader:
        return await LineageReader(loaders, reader, question, selection).record()


class LineageReader:
    """One result, read on one snapshot."""

    def __init__(self, loaders: Loaders, reader: Reader, asked_: LineageRequest, selection: Selection) -> None:
        self._catalogue, self._lists = loaders.catalogue, loaders.lists
        self._reader = reader
        self._asked = asked_
        self._selection = selection
        self._filling = NodeReader(loaders, reader, selection, asked_.counted)

    async def record(self) -> Record:
        """The result for the fields of its types."""
        question = self._asked.question
        walked = await Walk(self._lists, self._reader, question).run()

        def size(answer: LineageAnswer) -> int:
            return len(orjson.dumps(_projected(self._selection, self._record(answer, walked))))

        def fit() -> tuple[LineageAnswer, Record, int]:
            """The largest result that fits, as a record, and its bytes if they are limited."""
            answer = fitted(walked, question, self._asked.types, size, self._asked.max_bytes)
            return answer, self._record(answer, walked), 0 if self._asked.max_bytes is None else size(answer)

        answer, record, needed = await aside(walked.read, fit)
        if self._asked.max_bytes is not None and needed > self._asked.max_bytes:
            raise bad_argument(
                "maxBytes",
                f"{self._asked.max_bytes:,} is too small: a result without nodes takes {needed:,} bytes; pass a "
                "greater number, or fewer ids in `from` or cursors in `after`",
            )
        reached = limits(answer, walked)
        record[CUT] = cut_unsaid(self._selection, reached, ["nodes", "edges"], [*TOLD, "frontier"])
        await self._filling.fill(answer.nodes, record["nodes"])
        if any(below(self._selection, "LineageFrontier", name) for name in ("remaining", "capped")):
            await self._count_remaining(answer, record["frontier"])
        return record

    def _record(self, answer: LineageAnswer, walked: Walked) -> Record:
        """The record before counts are read, with placeholders of the largest width."""
        return {
            "nodes": [node_record(node) for node in answer.nodes],
            "edges": [edge_record(link, closes=closes) for link, closes in answer.links.items()],
            "complete": is_complete(answer, walked),
            "reason": reason(answer, walked, self._asked.question),
            "as_of": walked.as_of,
            "frontier": [
                {
                    "node": cut.spot.id,
                    "direction": LineageDirection.DOWNSTREAM if cut.end.downstream else LineageDirection.UPSTREAM,
                    "kind": cut.end.kind.value,
                    "type": cut.end.target,
                    "depth": cut.depth,
                    "remaining": parsing.MAX_COUNTED,
                    "capped": False,
                    "cursor": cursors.encode(self._asked.signature, cut.end, cut.spot.id, cut.depth, cut.spot.position),
                }
                for cut in answer.cuts
            ],
            "omitted": [{"type": name, "count": count} for name, count in sorted(answer.omitted.items())],
            "missing": walked.gone,
        }

    async def _count_remaining(self, answer: LineageAnswer, records: Sequence[Record]) -> None:
        branches, places = cut_branches(answer.cuts)
        within = window(self._catalogue, self._asked.question)
        for number, place, count, more in await self._filling.count(branches, within):
            record = records[places[number][place - 1]]
            record |= {"remaining": count, "capped": more}


_ATTRIBUTES = {"from": "from_", "closesCycle": "closes_cycle", "asOf": "as_of", "nodeId": "node_id"}


def _projected(selection: Selection, value: Any) -> Any:
    """A value as it is sent: the selected fields under their aliases, without rows of the catalogue."""
    if isinstance(value, list):
        return [_projected(selection, one) for one in value]
    if not isinstance(value, dict):
        return value.value if isinstance(value, enum.Enum) else value
    return {key: _field(child, value) for key, child in selection.fields.items()}


def _field(child: Selection, record: Record) -> Any:
    if child.name == "__typename":
        return child.type_name
    return _projected(child, record[_ATTRIBUTES.get(child.name, child.name)])


def _make(types: Types) -> Any:
    return strawberry.field(
        resolver=taking(_taken(types), classes(types).lineage | None, lambda _root, info: _lineage(info)),
        description="The rows upstream and downstream of rows, to any depth: nodes and edges as flat lists from one "
        "snapshot, with `complete`, the places of truncation, and cursors to continue from.",
    )


LINEAGE = RootField(_make, node_rows, walked_rows, DEGREE)

"""What recording answers: what has become of the rows, or which of them are in the way and where."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Union

import strawberry

from schema.changes.results import (
    Forbidden,
    InvalidInput,
    NotFound,
    PlannedChange,
    Problem,
    StaleVersion,
    TransactionUndone,
    TransitionBlocked,
    row,
    rows,
)
from schema.graph.types import Info, Node
from schema.recording.problems import MAX_PROBLEMS, Counts

MAX_SHOWN = 100
"""Rows of a dry run that are shown."""


@strawberry.enum(description="What becomes of a row whose natural key, or id, another row has already.")
class OnConflict(Enum):
    ERROR = strawberry.enum_value("ERROR", description="Nothing is recorded, and the row is named.")
    KEEP = strawberry.enum_value("KEEP", description="The row that is there stays as it is.")
    UPDATE = strawberry.enum_value(
        "UPDATE", description="The row that is there gets the values that are given, and keeps its others."
    )


@strawberry.type(description="What is wrong with one of the rows.")
class RowProblem:
    code: str = strawberry.field(description="What kind of problem it is, stable and machine-readable.")
    message: str = strawberry.field(description="What was wrong, and what would be right; quotes no value.")
    path: list[str] = strawberry.field(description="Where in the input, such as `input`, `rows`, `3`, `p50LatencyMs`.")
    row: int = strawberry.field(description="The place of the row in its list, such as `rows`, from 0.")


@strawberry.type(description="Rows are in the way, and none was recorded.")
class RowsRejected(Problem):
    rows: list[RowProblem] = strawberry.field(description="What is wrong with them, up to 20 problems.")


@strawberry.type(description="A row that was there and stayed as it was, with other values than were sent.")
class DifferingRow:
    row: int = strawberry.field(description="The place of what was sent in its list, such as `rows`, from 0.")
    id: strawberry.ID = strawberry.field(description="Global id of the row that is there.")
    fields: list[str] = strawberry.field(description="The fields that were sent whose values are others there.")


def differing_rows(counts: Counts) -> list[DifferingRow] | None:
    """Those of a batch; None where the caller may not know."""
    if counts.differing is None:
        return None
    return [DifferingRow(row=one.row, id=one.id, fields=list(one.fields)) for one in counts.differs]  # type: ignore[arg-type]


async def _node(root: strawberry.Parent[Any], info: Info) -> Node | None:
    return await row(info, root.ids[0] if root.ids else None)  # type: ignore[no-any-return]


async def _nodes(root: strawberry.Parent[Any], info: Info) -> list[Node | None]:
    return await rows(info, root.ids)


@strawberry.type(description="Rows that were recorded within the input of the row that they are part of.")
class RecordedChildren:
    field: str = strawberry.field(description="The list of the input that they were in, such as `trials`.")
    type: str = strawberry.field(description="Their type.")
    inserted: int = strawberry.field(description="How many rows are new.")
    updated: int = strawberry.field(description="How many rows were there and have other values now.")
    kept: int = strawberry.field(description="How many rows were there and stayed as they were.")
    differing: int | None = strawberry.field(
        description="How many of the kept rows differ from what was sent; null where the caller may not read them."
    )
    differing_rows: list[DifferingRow] | None = strawberry.field(
        description=f"The kept rows that differ, the first {MAX_PROBLEMS} in the order of the input; null where the "
        "caller may not read them."
    )
    ids: list[strawberry.ID] = strawberry.field(
        description="Global ids of the rows, in the order of the input; empty for a dry run."
    )


@strawberry.type(description="The rows were recorded, all of them in one transaction.")
class Recorded:
    inserted: int = strawberry.field(description="How many rows are new.")
    updated: int = strawberry.field(description="How many rows were there and have other values now.")
    kept: int = strawberry.field(description="How many rows were there and stayed as they were.")
    differing: int | None = strawberry.field(
        description="How many of the kept rows differ from what was sent, in a column that was given; null where the "
        "caller may not read them."
    )
    differing_rows: list[DifferingRow] | None = strawberry.field(
        description=f"The kept rows that differ, the first {MAX_PROBLEMS} in the order of the input; null where the "
        "caller may not read them."
    )
    replayed: bool = strawberry.field(
        description="Whether it was done before, by a request with the same idempotency key."
    )
    dry_run: bool = strawberry.field(description="Whether it was undone again, since the input said `dryRun`.")
    ids: list[strawberry.ID] = strawberry.field(
        description="Global ids of the rows, in the order of the input; empty for a dry run, and where rows were there "
        "that the caller may not read."
    )
    would_change: list[PlannedChange] = strawberry.field(
        description=f"Of a dry run, the rows that would be made or have other values, the first {MAX_SHOWN} in the "
        "order of the input; empty otherwise.",
        default_factory=list,
    )
    node: Node | None = strawberry.field(
        resolver=_node, description="The row; of several the first one. Null for a dry run."
    )
    nodes: list[Node | None] = strawberry.field(
        resolver=_nodes, description="The rows, in the order of the input; empty for a dry run."
    )
    children: list[RecordedChildren] = strawberry.field(
        description="Rows that were recorded within the input of this one, a list each."
    )


RecordResult = Annotated[
    Union[  # noqa: UP007 - as the other results are written
        Recorded,
        RowsRejected,
        NotFound,
        StaleVersion,
        TransitionBlocked,
        Forbidden,
        InvalidInput,
        TransactionUndone,
    ],
    strawberry.union("RecordResult", description="What recording answers."),
]

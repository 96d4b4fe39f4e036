"""Results of recording: counts and ids of rows, or the problems of rows."""

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
"""The largest number of rows in the preview of a dry run."""


@strawberry.enum(description="What to do if another row already has the natural key or the id of the row.")
class OnConflict(Enum):
    ERROR = strawberry.enum_value("ERROR", description="Record nothing; the problem names the row.")
    KEEP = strawberry.enum_value("KEEP", description="Keep the existing row unchanged.")
    UPDATE = strawberry.enum_value(
        "UPDATE", description="Update the existing row with the given values; its other values stay."
    )


@strawberry.type(description="What is wrong with one of the rows.")
class RowProblem:
    code: str = strawberry.field(description="Code of the problem, stable and machine-readable.")
    message: str = strawberry.field(description="What is wrong and what would be valid; quotes no value.")
    path: list[str] = strawberry.field(description="Path in the input, such as `input`, `rows`, `3`, `p50LatencyMs`.")
    row: int = strawberry.field(description="Index of the row in its list, such as `rows`, from 0.")


@strawberry.type(description="Some rows cannot be recorded, so no row was.")
class RowsRejected(Problem):
    rows: list[RowProblem] = strawberry.field(description="The problems of the rows, at most 20.")


@strawberry.type(description="An existing row that was left unchanged although its values differ from the input.")
class DifferingRow:
    row: int = strawberry.field(description="Index of the row of the input in its list, such as `rows`, from 0.")
    node_id: strawberry.ID = strawberry.field(description="Global id of the existing row.")
    fields: list[str] = strawberry.field(description="The given fields whose values differ.")


def differing_rows(counts: Counts) -> list[DifferingRow] | None:
    """The differing rows of a batch; None if the caller may not read them."""
    if counts.differing is None:
        return None
    return [DifferingRow(row=one.row, node_id=one.id, fields=list(one.fields)) for one in counts.differs]  # type: ignore[arg-type]


async def _node(root: strawberry.Parent[Any], info: Info) -> Node | None:
    return await row(info, root.ids[0] if root.ids else None)  # type: ignore[no-any-return]


async def _nodes(root: strawberry.Parent[Any], info: Info) -> list[Node | None]:
    return await rows(info, root.ids)


@strawberry.type(description="Rows that were recorded within the input of their parent row.")
class RecordedChildren:
    field: str = strawberry.field(description="The list of the input that held them, such as `trials`.")
    type: str = strawberry.field(description="Their type.")
    inserted: int = strawberry.field(description="Number of rows that were inserted.")
    updated: int = strawberry.field(description="Number of existing rows that were updated.")
    kept: int = strawberry.field(description="Number of existing rows that were left unchanged.")
    differing: int | None = strawberry.field(
        description="Number of unchanged rows that differ from the input; null if the caller may not read them."
    )
    differing_rows: list[DifferingRow] | None = strawberry.field(
        description=f"The unchanged rows that differ, the first {MAX_PROBLEMS} in the order of the input; null if the "
        "caller may not read them."
    )
    ids: list[strawberry.ID] = strawberry.field(
        description="Global ids of the rows, in the order of the input; empty for a dry run."
    )


@strawberry.type(description="The rows were recorded, all of them in one transaction.")
class Recorded:
    inserted: int = strawberry.field(description="Number of rows that were inserted.")
    updated: int = strawberry.field(description="Number of existing rows that were updated.")
    kept: int = strawberry.field(description="Number of existing rows that were left unchanged.")
    differing: int | None = strawberry.field(
        description="Number of unchanged rows that differ from the input in a given column; null if the caller may not "
        "read them."
    )
    differing_rows: list[DifferingRow] | None = strawberry.field(
        description=f"The unchanged rows that differ, the first {MAX_PROBLEMS} in the order of the input; null if the "
        "caller may not read them."
    )
    replayed: bool = strawberry.field(description="Whether an earlier request with the same idempotency key did this.")
    dry_run: bool = strawberry.field(description="Whether this was a dry run, which was rolled back.")
    ids: list[strawberry.ID] = strawberry.field(
        description="Global ids of the rows, in the order of the input; empty for a dry run, and if there are existing "
        "rows that the caller may not read."
    )
    would_change: list[PlannedChange] = strawberry.field(
        description=f"For a dry run: the rows that would be inserted or updated, the first {MAX_SHOWN} in the order of "
        "the input; empty otherwise.",
        default_factory=list,
    )
    node: Node | None = strawberry.field(
        resolver=_node, description="The row, or the first of several. Null for a dry run."
    )
    nodes: list[Node | None] = strawberry.field(
        resolver=_nodes, description="The rows, in the order of the input; empty for a dry run."
    )
    children: list[RecordedChildren] = strawberry.field(
        description="Rows that were recorded within the input of this row, by list."
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
    strawberry.union("RecordResult", description="Result of a recording mutation."),
]

"""`now`: the time of the database's clock."""

from __future__ import annotations

from typing import Any

import strawberry
from sqlalchemy import DateTime as Moment

from schema.catalogue.column_types import kind_of
from schema.catalogue.scalars import DateTime
from schema.graph.root_field import RootField
from schema.graph.types import Info, Types, taking

_READ = f"SELECT {kind_of(Moment(timezone=True)).sql('statement_timestamp()')}"


async def _now(info: Info) -> Any:
    return await info.context.loaders.once(_READ)


def _make(_types: Types) -> Any:
    return strawberry.field(
        resolver=taking({}, DateTime | None, lambda _root, info: _now(info)),
        description="Current time by the database's clock, which also sets the times of rows; the same for the whole "
        "operation.",
    )


NOW = RootField(_make, lambda _arguments: {}, lambda _catalogue, _arguments, _sizes: 1)

"""`_entities` and `_service` of Apollo Federation 2."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, NewType, Union

import strawberry

from schema.errors import GatewayError
from schema.execution.time_slices import MANY, aside
from schema.graph.root_field import RootField
from schema.graph.types import Info, Types, selection_of, taking
from schema.sql.arguments import parse_id, type_of
from schema.sql.entities import ENTITIES, REPRESENTATIONS, entity_keys
from schema.sql.lists import MAX_IDS

SERVICE = "_service"

Representation = NewType("Representation", object)
REPRESENTATION = strawberry.scalar(
    name="_Any",
    description="The key of a row in another subgraph: an object of its `__typename` and its `id`, or the fields of "
    "another key.",
    serialize=lambda value: value,
    parse_value=lambda value: value,
)


async def _entities(info: Info) -> list[Any] | None:
    selection = selection_of(info)
    representations = selection.arguments[REPRESENTATIONS]
    catalogue = info.context.loaders.catalogue
    if len(representations) > MAX_IDS:
        entity_keys(catalogue, representations)
    asked: list[Any] = []
    for place, one in enumerate(representations):
        try:
            ((name, columns, values),) = entity_keys(catalogue, [one], place)
            if not columns:
                type_ = type_of(catalogue, REPRESENTATIONS, values[0])
                name, values = type_.name, parse_id(catalogue, REPRESENTATIONS, type_, values[0])
            asked.append((name, columns, values))
        except GatewayError as error:
            asked.append(error)
    return await info.context.loaders.by_any(asked, selection)


def _make_entities(types: Types) -> Any:
    members = tuple(cls for name, cls in types.nodes.items() if types.catalogue[name].is_node)
    union = strawberry.union("_Entity", description="Every type that other subgraphs can extend.")
    entity: Any = Annotated[Union[members], union]  # noqa: UP007 - for a variable number of members
    described = strawberry.argument(description=f"The entities, of any types, at most {MAX_IDS}.")
    taken: Any = Annotated[list[Representation], described]
    return strawberry.field(
        resolver=taking({REPRESENTATIONS: taken}, list[entity | None], lambda _root, info: _entities(info)),
        name=ENTITIES,
        description="Rows by their keys, in that order, for the router of a graph of several subgraphs.",
    )


def _of_no_rows(_arguments: Mapping[str, Any]) -> Mapping[str, int]:
    return {}


def federated_fields(sdl: Callable[[], str]) -> dict[str, RootField]:
    """The root fields of a subgraph, by name; ``sdl`` returns its SDL."""

    @strawberry.type(name="_Service", description="This subgraph.")
    class Service:
        sdl: str = strawberry.field(description="Its schema, with the keys of its entities.")

    async def service() -> Any:
        return {"sdl": await aside(MANY, sdl)}  # takes a second or two, the first time

    def make(_types: Types) -> Any:
        return strawberry.field(
            resolver=taking({}, Service, lambda _root, _info: service()), name=SERVICE, description="This subgraph."
        )

    return {
        ENTITIES: RootField(_make_entities, _of_no_rows),
        SERVICE: RootField(make, _of_no_rows),
    }

"""Every table and view through HTTP, with all fields and relations, on the demo data and on an attached database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from db.attach.attach import attach
from db.base.vocabulary import is_own
from schema.catalogue.catalogue import Type
from schema.catalogue.from_models import catalogue
from tests.support.client import Client, serving
from tests.support.databases import MISSING_COLUMN, Clone, Database

pytestmark = pytest.mark.slow


def required(type_: Type) -> bool:
    """Whether its rows are reached by arguments only."""
    return any(one.argument.required for one in type_.arguments.values())


TYPES = [type_ for type_ in catalogue() if type_.plural in catalogue().roots and not required(type_)]
NODES = [type_ for type_ in TYPES if type_.is_node]
TABLES = [type_ for type_ in TYPES if not type_.is_view]


@pytest.fixture(scope="module")
async def attached(platform_template: Database, clone: Clone) -> AsyncIterator[Client]:
    async with clone(platform_template) as copy:
        await attach(copy.admin_url)
        async with serving(copy.gateway_url) as client:
            yield client


EXTRAS = {
    "changes": "changes { mutation blockedBy { code message overridable node { __typename } } }",
    "node": "node { __typename }",
    "state": "state",
    "lifecycle": """lifecycle {
        state
        allowedTransitions { to mutations blockedBy { code message overridable node { __typename } } }
        history(first: 2) { totalCount nodes { toState } }
    }""",
}
"""What is selected of the fields with resolvers of their own."""


def everything(type_: Type, *, without: frozenset[str] = frozenset()) -> str:
    """A selection of all leaves of a type and of the ids that its relations lead to."""
    leaves = [name for name in type_.columns if name not in without]
    relations = [
        f"{relation.name}(first: 2) {{ totalCount nodes {{ __typename }} }}"
        if relation.many
        else f"{relation.name} {{ __typename }}"
        for relation in type_.relations.values()
        if relation.name not in without and not required(catalogue()[relation.target])
    ]
    return "\n".join([*leaves, *relations, *(EXTRAS[name] for name in type_.extras)])


def named(type_: Type) -> str:
    return type_.name


@pytest.mark.parametrize("type_", TYPES, ids=named)
async def test_every_field_on_demo_data(type_: Type, demo: Client) -> None:
    data = await demo.data(f"{{ {type_.plural}(first: 20) {{ totalCount nodes {{ {everything(type_)} }} }} }}")
    nodes = data[type_.plural]["nodes"]
    assert nodes or type_.is_view, "the demo data fill every table"
    assert all(node["id"].startswith(f"{type_.name}:") for node in nodes if type_.is_node)


@pytest.mark.parametrize("type_", TABLES, ids=named)
async def test_every_column_and_relation_has_a_value_somewhere(type_: Type, demo: Client) -> None:
    """Demo data exercise what they can: a relation of which no row has anything shows nothing to anybody."""
    data = await demo.data(f"{{ {type_.plural}(first: 1000) {{ nodes {{ {everything(type_)} }} }} }}")
    empty = {name for name, one in type_.relations.items() if not required(catalogue()[one.target])}
    for node in data[type_.plural]["nodes"]:
        empty -= {name for name in empty if node[name] and node[name].get("totalCount") != 0}
    views = {relation.name for relation in type_.relations.values() if catalogue()[relation.target].is_view}
    assert empty - views == set()


@pytest.mark.parametrize("type_", NODES, ids=named)
async def test_a_row_is_found_again_by_its_id_and_as_a_node(type_: Type, demo: Client) -> None:
    data = await demo.data(f"{{ {type_.plural}(first: 3) {{ nodes {{ id }} }} }}")
    for node in data[type_.plural]["nodes"]:
        id_ = node["id"]
        bare = id_.split(":", 1)[1]
        found = await demo.data(
            f"query($id: ID!, $bare: ID!) {{ global: {type_.singular}(id: $id) {{ id }} "
            f"bare: {type_.singular}(id: $bare) {{ id }} node(id: $id) {{ id __typename }} }}",
            id=id_,
            bare=bare,
        )
        assert found["global"] == found["bare"] == {"id": id_}
        assert found["node"] == {"id": id_, "__typename": type_.name}


@pytest.mark.parametrize("type_", TYPES, ids=named)
async def test_every_field_on_the_attached_database(type_: Type, attached: Client) -> None:
    """What the platform's database lacks answers with one named error a field; everything else answers."""
    answer = await attached.ask(f"{{ {type_.plural}(first: 20) {{ nodes {{ {everything(type_)} }} }} }}")
    refused = [error for error in answer.get("errors", []) if error["extensions"]["code"] != "MISSING_IN_DATABASE"]
    assert refused == []
    objects = {error["extensions"]["object"] for error in answer.get("errors", [])}
    nodes = answer["data"][type_.plural]["nodes"]
    assert nodes or type_.is_view or is_own(type_.table), "the platform has rows in every table"
    for error in answer.get("errors", []):
        assert value_at(answer["data"], error["path"]) is None
    lacking = {f"{MISSING_COLUMN[0]}.{MISSING_COLUMN[1]}"} if type_.sql_name == MISSING_COLUMN[0] else set()
    assert objects == lacking, "the view that is missing is worked out from its table"


def value_at(data: Any, path: list[Any]) -> Any:
    for step in path:
        data = data[step]
    return data

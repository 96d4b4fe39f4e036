"""Caches of clients keep one object for each id: what the gateway says of an id must be one row, whatever was asked.

Over the whole schema by its types, and with the stores of Apollo, urql and Relay, which Node.js fills with answers one
after another: each must read as it was answered. `make test-caches` installs them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    FieldNode,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    NameNode,
    ObjectTypeDefinitionNode,
    SelectionSetNode,
    TypeInfo,
    TypeInfoVisitor,
    UnionTypeDefinitionNode,
    Visitor,
    get_named_type,
    is_leaf_type,
    parse,
    print_ast,
    visit,
)

from schema.catalogue.from_models import catalogue
from schema.schema import build
from tests.support.changing import RESULT, model_in, rivals
from tests.support.client import Client
from tests.support.databases import Database, connect

pytestmark = pytest.mark.slow

STORES = Path(__file__).parents[1] / "caches"
SCHEMA = build().graphql
INSTALLED = shutil.which("node") and (STORES / "node_modules" / "relay-runtime").exists()


def objects() -> Iterator[GraphQLObjectType]:
    for type_ in SCHEMA.type_map.values():
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__"):
            yield type_


def is_node(type_: Any) -> bool:
    if isinstance(type_, GraphQLInterfaceType):
        return type_.name == "Node"
    return isinstance(type_, GraphQLObjectType) and any(one.name == "Node" for one in type_.interfaces)


# -- by the schema -----------------------------------------------------------------------------------------------------


def test_an_id_is_a_rows_and_nobody_elses() -> None:
    """By the field's name in any spelling that caches look at; rows of a type with arguments have none."""
    for type_ in objects():
        keys = {"id", "_id", "ID"} & type_.fields.keys()
        assert keys == ({"id"} if is_node(type_) else set()), type_.name
        assert is_node(type_) == (type_.name in catalogue().types and catalogue()[type_.name].is_node), type_.name


def test_rows_whose_values_depend_on_arguments_are_no_nodes() -> None:
    """A type that fields with arguments of its rows' values lead to."""
    for type_ in catalogue():
        assert not (type_.is_node and type_.arguments), type_.name
        if type_.is_node:
            assert not re.findall(r"\{([a-z_]+)\}", type_.select or ""), type_.name


def test_leaves_of_a_row_take_no_arguments() -> None:
    for type_ in catalogue():
        fields = SCHEMA.type_map[type_.name].fields  # type: ignore[union-attr]  # rows are objects
        assert [name for name, one in fields.items() if is_leaf_type(get_named_type(one.type)) and one.args] == []


async def test_rows_of_one_type_have_different_ids(demo: Client) -> None:
    """Of views too, which promise no key."""
    for type_ in catalogue():
        if type_.is_node and type_.plural in catalogue().roots:
            ids = [row["id"] for row in await _all(demo, type_.plural)]
            assert len(set(ids)) == len(ids), type_.name


async def _all(client: Client, plural: str) -> list[dict[str, Any]]:
    page_info = "pageInfo { hasNextPage endCursor }"
    asked = f"query($c: String) {{ {plural}(first: 1000, after: $c) {{ nodes {{ id }} {page_info} }} }}"
    rows: list[dict[str, Any]] = []
    cursor = None
    for _ in range(3):
        page = (await client.data(asked, c=cursor))[plural]
        rows += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            break
        cursor = page["pageInfo"]["endCursor"]
    return rows


async def test_every_node_is_fetched_again_by_its_id(demo: Client) -> None:
    """As Relay refetches, with the same values."""
    for type_ in catalogue():
        if not type_.is_node or type_.plural not in catalogue().roots:
            continue
        leaves = " ".join(_leaves(type_.name))
        first = (await demo.data(f"{{ {type_.plural}(first: 2) {{ nodes {{ {leaves} }} }} }}"))[type_.plural]["nodes"]
        query = f"query($id: ID!) {{ node(id: $id) {{ __typename ... on {type_.name} {{ {leaves} }} }} }}"
        for row in first:
            assert (await demo.data(query, id=row["id"]))["node"] == {"__typename": type_.name} | row


def _leaves(name: str) -> list[str]:
    """The leaves of a type but vectors, which are large, and ages, which pass."""
    fields = SCHEMA.type_map[name].fields  # type: ignore[union-attr]  # rows are objects
    return [
        one for one, field in fields.items()
        if is_leaf_type(named := get_named_type(field.type)) and named.name != "Vector" and "age" not in one.lower()
    ]  # fmt: skip


# -- with the stores ---------------------------------------------------------------------------------------------------


class _AsClientsAsk(Visitor):
    """Adds what clients add by themselves: __typename everywhere, and id where there is one."""

    def __init__(self, info: TypeInfo) -> None:
        super().__init__()
        self._info = info

    def leave_selection_set(self, node: SelectionSetNode, *_: Any) -> SelectionSetNode | None:
        type_ = self._info.get_parent_type()
        names = [] if type_ is SCHEMA.query_type or type_ is SCHEMA.mutation_type else ["__typename"]
        if is_node(type_):
            names.append("id")
        have = {one.name.value for one in node.selections if isinstance(one, FieldNode) and one.alias is None}
        added = [
            FieldNode(name=NameNode(value=name), arguments=(), directives=()) for name in names if name not in have
        ]
        return SelectionSetNode(selections=(*added, *node.selections))


def as_clients_ask(query: str) -> str:
    info = TypeInfo(SCHEMA)
    return print_ast(visit(parse(query), TypeInfoVisitor(info, _AsClientsAsk(info))))


def everything() -> Iterator[tuple[str, str]]:
    """For each type: pages of its rows with all leaves, what they lead to, and the same lists by other arguments."""
    for root in catalogue().roots.values():
        type_ = catalogue()[root.target]
        if root.many and not root.nearest and not type_.arguments:
            yield root.name, f"{{ {root.name}(first: 3) {{ totalCount nodes {{ {_row(type_.name)} }} }} }}"
            yield (
                f"{root.name} twice",
                (
                    f"{{ {root.name}(last: 2) {{ edges {{ cursor node {{ {' '.join(_leaves(type_.name))} }} }} "
                    f"pageInfo {{ hasNextPage }} }} all: {root.name}(first: 1) {{ nodes {{ __typename }} }} }}"
                ),
            )


NODE_ID = "... on Node { __isNode: __typename known: id }"
"""A fragment on an interface, as Relay's compiler would write it."""


def _row(name: str) -> str:
    """The leaves of a row, and for each of its fields with rows or objects a few, under two sets of arguments."""
    asked = _leaves(name)
    if is_node(SCHEMA.type_map[name]):
        asked.append(NODE_ID)
    fields = SCHEMA.type_map[name].fields  # type: ignore[union-attr]  # rows are objects
    for field_name, field in fields.items():
        named = get_named_type(field.type)
        if any(isinstance(one.type, GraphQLNonNull) for one in field.args.values()) or is_leaf_type(named):
            continue
        if named.name.endswith("Connection"):
            row = get_named_type(named.fields["nodes"].type).name
            below = " ".join(_leaves(row)[:8])
            asked.append(f"{field_name}(first: 2) {{ totalCount nodes {{ {below} }} }}")
            asked.append(f"{field_name}_2: {field_name}(first: 1) {{ edges {{ node {{ {below} }} }} }}")
        elif isinstance(named, GraphQLObjectType) and (leaves := _leaves(named.name)):
            asked.append(f"{field_name} {{ {' '.join(leaves[:20])} }}")
            for argument, values in (("days", (1, 7)), ("windowHours", (1, 24))):
                if argument in field.args:
                    asked += [
                        f"{field_name}_{value}: {field_name}({argument}: {value}) {{ {' '.join(leaves)} }}"
                        for value in values
                    ]
    return " ".join(asked)


NODE = "nodeId type label state depth degree { upstream downstream } node { ... on Model { modelName stage } }"
IMPACT = """query($of: ID!, $to: String!) { impact(of: $of, if: {to: $to}) { node { nodeId state }
  changes { nodeId state } nodes { nodeId state depth } blockedBy { code node { __typename } } } }"""
LINEAGE = f"nodes {{ {NODE} }} edges {{ from to kind }} complete frontier {{ node kind remaining }}"


@pytest.fixture(scope="module")
async def answered(module_database: Database, demo_template: Database, clone: Any, serve: Any) -> AsyncIterator[Any]:
    """Answers to everything, and to dry runs and refusals of changes between them, in the order in which they came."""
    async with clone(demo_template) as copy, serve(copy) as client:
        sql = await connect(copy.admin_url)
        model = await model_in(sql, "development")
        old, new = await rivals(sql, "production", "production")
        await sql.close()
        asked: list[tuple[str, str, dict[str, Any]]] = [(name, query, {}) for name, query in everything()]
        asked += [
            ("before", "query($ids: [ID!]!) { nodes(ids: $ids) { ... on Model { modelName stage isChampion } } }",
             {"ids": [model, old, new]}),
            ("lineage", f"query($of: [ID!]!) {{ lineage(from: $of, maxDepth: 2) {{ {LINEAGE} }} }}", {"of": [new]}),
            ("nearer", f"query($of: [ID!]!) {{ lineage(from: $of, maxDepth: 1) {{ {LINEAGE} }} }}", {"of": [old, new]}),
            ("impact", IMPACT, {"of": model, "to": "STAGING"}),
            ("search", '{ search(text: "kisqali") { hits { score field text node { __typename } } } }', {}),
        ]  # fmt: skip
        for mutation, input_ in (
            ("promoteModel", {"id": model, "to": "STAGING", "dryRun": True}),
            ("setChampion", {"id": new, "dryRun": True}),
            ("startDeployment", {"modelId": new, "environment": "production", "dryRun": True}),
            ("promoteModel", {"id": "Model:00000000-0000-4000-8000-000000000000", "to": "STAGING"}),
            ("promoteModel", {"id": model, "to": "PRODUCTION"}),
            ("promoteModel", {"id": model, "to": "STAGING", "expectedVersion": "0"}),
        ):
            type_ = mutation[0].upper() + mutation[1:]
            query = f"mutation($input: {type_}Input!) {{ change: {mutation}(input: $input) {{ {RESULT} }} }}"
            asked.append((f"{mutation} {input_}", query, {"input": input_}))
        operations = []
        for name, query, variables in asked:
            text = as_clients_ask(query)
            data = await client.data(text, **variables)
            operations.append({"name": name, "query": text, "variables": variables, "data": data})
        yield operations


POSSIBLE = json.loads((STORES.parents[1] / "schema" / "possible-types.json").read_text())


def stored(
    operations: list[dict[str, Any]], possible: dict[str, list[str]] | None = None
) -> dict[str, dict[str, list[str]]]:
    """What each store reads that is not what was answered; to Apollo's these ``possible`` types are known, or all."""
    if not INSTALLED:
        pytest.skip("Node.js or the stores are not there: `make test-caches` installs them where there is npm")
    given = {
        "sdl": (STORES.parents[1] / "schema" / "schema.graphql").read_text(),
        "possibleTypes": POSSIBLE if possible is None else possible,
        "operations": operations,
    }
    done = subprocess.run(
        ["node", "stores.js"],
        input=json.dumps(given),
        cwd=STORES,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, dict[str, list[str]]] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def told(answered: list[dict[str, Any]]) -> dict[str, dict[str, list[str]]]:
    return stored(answered)


def test_the_stores_tell_of_an_id_that_is_two_things() -> None:
    """What a row as it would be did in an answer."""
    query = as_clients_ask("query($id: ID!) { node(id: $id) { ... on Model { stage } } }")
    other = as_clients_ask("query($id: ID!) { model(id: $id) { stage } }")
    row = {"__typename": "Model", "id": "Model:1"}
    operations = [
        {"name": "is", "query": query, "variables": {"id": "1"}, "data": {"node": row | {"stage": "STAGING"}}},
        {"name": "may be", "query": other, "variables": {"id": "1"}, "data": {"model": row | {"stage": "SHADOW"}}},
    ]
    what = ['.node.stage: "STAGING" is "SHADOW"']
    assert stored(operations) == {store: {"is": what} for store in ("apollo", "urql", "relay")}


@pytest.mark.parametrize("store", ["apollo", "urql", "relay"])
def test_every_answer_stays_as_it_was_given(store: str, told: dict[str, dict[str, list[str]]]) -> None:
    assert told[store] == {}


def test_unions_and_interfaces_are_known_with_all_their_types() -> None:
    """As the SDL says them."""
    members: dict[str, set[str]] = defaultdict(set)
    for node in parse((STORES.parents[1] / "schema" / "schema.graphql").read_text()).definitions:
        if isinstance(node, ObjectTypeDefinitionNode):
            for interface in node.interfaces or ():
                members[interface.name.value].add(node.name.value)
        elif isinstance(node, UnionTypeDefinitionNode):
            members[node.name.value] |= {one.name.value for one in node.types or ()}
    assert {name: set(of) for name, of in POSSIBLE.items()} == members
    assert all(len(of) == len(set(of)) for of in POSSIBLE.values())


def test_apollo_needs_to_know_the_types_of_an_interface(answered: list[dict[str, Any]]) -> None:
    """Without them it loses what fragments on the interface ask for."""
    lost = stored(answered, possible={})["apollo"].keys() & {name for name, _ in everything()}
    assert lost == {one["name"] for one in answered if '"known":' in json.dumps(one["data"])}
    assert len(lost) > 60

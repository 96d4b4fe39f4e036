"""Versions and states of rows of any type, by the interfaces that all such types implement."""

from __future__ import annotations

from typing import Any

import pytest

from db.base.entity import camel
from db.base.lifecycles import lifecycles
from gateway.context import Caller
from schema.catalogue.from_models import catalogue
from schema.changes.mutations import mutations_of
from schema.recording.record_types import Verb, entity_mutations
from schema.scopes import read_scopes
from tests.support.client import Client, serving
from tests.support.databases import Database, connect

pytestmark = pytest.mark.slow

STATEFUL = sorted({lifecycle.entity for lifecycle in lifecycles() if lifecycle.entity in catalogue().types})


async def some_ids(client: Client) -> dict[str, str]:
    """An id of each type of the demo that has a lifecycle."""
    roots = {type_.name: type_.plural for type_ in catalogue() if type_.name in STATEFUL}
    fields = " ".join(f"{name}: {plural}(first: 1) {{ nodes {{ id }} }}" for name, plural in roots.items())
    data = await client.data(f"{{ {fields} }}")
    return {name: found["nodes"][0]["id"] for name, found in data.items() if found["nodes"]}


async def test_one_fragment_works_on_all_types_that_have_a_lifecycle(demo: Client) -> None:
    ids = await some_ids(demo)
    assert len(ids) >= 20
    data = await demo.data(
        """
        query($ids: [ID!]!) {
          nodes(ids: $ids) { ...Standing }
        }
        fragment Standing on Stateful {
          __typename id rowVersion state lifecycle { state allowedTransitions { to } history(first: 1) { totalCount } }
        }
        """,
        ids=list(ids.values()),
    )
    assert [node["__typename"] for node in data["nodes"]] == list(ids)
    for node in data["nodes"]:
        assert node["rowVersion"].isdigit()
        assert node["state"] == node["lifecycle"]["state"] != ""


async def test_the_schema_says_which_types_have_a_lifecycle(demo: Client) -> None:
    data = await demo.data('{ __type(name: "Stateful") { possibleTypes { name } interfaces { name } } }')
    assert sorted(one["name"] for one in data["__type"]["possibleTypes"]) == STATEFUL
    assert data["__type"]["interfaces"] == [{"name": "Node"}]


async def test_nodes_have_versions_and_rows_of_views_have_none(demo: Client) -> None:
    data = await demo.data(
        "{ models(first: 1) { nodes { id rowVersion } } championModels(first: 1) { nodes { id rowVersion } } }"
    )
    (model,), (champion,) = data["models"]["nodes"], data["championModels"]["nodes"]
    assert champion["rowVersion"] is None
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { id rowVersion } }"
    assert (await demo.data(query, ids=[model["id"], champion["id"]]))["nodes"] == [model, champion]
    one = "query($id: ID!) { node(id: $id) { rowVersion } }"
    assert (await demo.data(one, id=model["id"]))["node"] == {"rowVersion": model["rowVersion"]}


async def test_what_is_below_the_interface_has_its_price(demo: Client) -> None:
    """As if it were selected on a type."""
    ids = await some_ids(demo)
    below = "lifecycle { history(first: 50) { nodes { id } } }"
    costs = []
    for name in ("Model", "Stateful"):
        query = f"query($id: ID!) {{ node(id: $id) {{ ... on {name} {{ {below} }} }} }}"
        costs.append((await demo.cost(query, id=ids["Model"]))["requested"])
    assert costs[0] == costs[1] > 50


@pytest.mark.parametrize("selected", ["state", "lifecycle { state }"])
async def test_a_state_that_the_database_lacks_costs_that_field(database: Database, selected: str) -> None:
    sql = await connect(database.admin_url)
    await sql.execute("ALTER TABLE ml_monitoring_alerts RENAME COLUMN status TO other")
    await sql.execute(
        "INSERT INTO ml_monitoring_alerts (alert_type, title, severity, message) VALUES ('e', 't', 'critical', 'm')"
    )
    await sql.close()
    async with serving(database.gateway_url) as client:
        answer: dict[str, Any] = await client.ask(
            f"{{ monitoringAlerts(first: 1) {{ nodes {{ title {selected} }} }} }}"
        )
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "MISSING_IN_DATABASE"
    assert answer["data"]["monitoringAlerts"]["nodes"] == [{"title": "t", selected.split(maxsplit=1)[0]: None}]


CHANGES = """
    query($id: ID!) { node(id: $id) { ... on Stateful { lifecycle {
      allowedTransitions { to mutations blockedBy { code } }
      changes {
        mutation description to inputType idField required optional allowed scope blockedBy { code node { id } }
      }
    } } } }
"""


async def test_the_changes_of_a_row_are_in_one_list_with_what_their_inputs_need(demo: Client) -> None:
    """Of every type: the moves are those of `allowedTransitions`, and the inputs those of the schema."""
    schema = await demo.data(
        "{ __schema { types { name inputFields { name type { kind } } } mutationType { fields { name } } } }"
    )
    inputs = {one["name"]: one["inputFields"] for one in schema["__schema"]["types"] if one["inputFields"]}
    seen = set()
    for id_ in (await some_ids(demo)).values():
        lifecycle = (await demo.data(CHANGES, id=id_))["node"]["lifecycle"]
        changes = lifecycle["changes"]
        moves = {(name, way["to"]) for way in lifecycle["allowedTransitions"] for name in way["mutations"]}
        assert {(one["mutation"], one["to"]) for one in changes if one["to"]} == moves
        blocked = {way["to"]: way["blockedBy"] for way in lifecycle["allowedTransitions"]}
        for one in changes:
            seen.add(one["mutation"])
            fields = {field["name"]: field["type"]["kind"] for field in inputs[one["inputType"]]}
            assert {*one["required"], *one["optional"]} == fields.keys()
            assert {name for name, kind in fields.items() if kind == "NON_NULL"} <= {*one["required"]}
            assert one["idField"] in one["required"]
            assert one["allowed"]
            found = one["blockedBy"]
            if one["to"] is not None:
                codes = [b["code"] for b in blocked[one["to"]]]
                assert [b["code"] for b in found][: len(codes)] == codes
    assert {"setChampion", "startDeployment", "triggerRetraining", "rollbackDeployment", "promoteModel"} <= seen
    updated = {
        name for name, one in entity_mutations().items() if one.verb is Verb.UPDATE and one.type.name in STATEFUL
    }
    assert {name for name in seen if name.startswith("update")} == updated


async def test_rows_without_a_lifecycle_say_what_may_be_made_of_them(demo: Client) -> None:
    """What writes their columns, and what retires them."""
    written = [one for one in entity_mutations().values() if one.verb is not Verb.CREATE]
    seen: dict[str, Any] = {}
    for type_ in {one.type.name: one.type.type for one in written if one.type.name not in STATEFUL}.values():
        asked = "changes { mutation inputType required optional allowed scope }"
        data = await demo.data(f"{{ rows: {type_.plural}(first: 1) {{ nodes {{ {asked} }} }} }}")
        (row,) = data["rows"]["nodes"]
        seen |= {one["mutation"]: one for one in row["changes"]}
    assert {one.name for one in written if one.type.name not in STATEFUL} <= seen.keys()
    retire = seen["retireFeatureView"]
    assert (retire["inputType"], retire["required"], retire["allowed"]) == ("RetireInput", ["id"], True)
    assert retire["scope"] == "write:feast_tracking"
    assert {"reason", "dryRun", "expectedVersion"} <= {*retire["optional"]}
    assert "recordKnowledgeApplication" in seen


def test_what_is_needed_to_become_a_state_is_required_for_that_state_alone() -> None:
    """`test_lifecycles` has that a change without it is refused."""
    found = 0
    for mutation, _ in (one for name in STATEFUL for one in mutations_of(name)):
        always, _ = mutation.inputs()
        for state, names in mutation.needs.items():
            found += 1
            required, optional = mutation.inputs(state)
            assert {*required} == {*always} | {camel(name) for name in names}
            assert not {*required} & {*optional}
    assert found


async def test_who_may_not_is_told_so(demo_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = Caller("reader", frozenset({*read_scopes(), "change:setChampion"}))
    monkeypatch.setattr("gateway.auth.authentication.ANONYMOUS", caller)
    async with serving(demo_database.gateway_url) as client:
        ids = await some_ids(client)
        changes = (await client.data(CHANGES, id=ids["Model"]))["node"]["lifecycle"]["changes"]
    allowed = {one["mutation"]: one["allowed"] for one in changes}
    assert allowed["setChampion"]
    assert not allowed["startDeployment"]
    assert {one["scope"] for one in changes} == {"change", "write:mlops_core"}
    assert [one["allowed"] for one in changes if one["mutation"] == "updateModel"] == [False]

"""The lineage and the record of changes as events of OpenLineage, as its Python client and our own schema take them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args, get_type_hints

import attr
import httpx
import jsonschema
import pytest
from openlineage.client import event_v2, facet_v2
from openlineage.client.serde import Serde
from standardwebhooks import Webhook

from db.base.lifecycles import lifecycles
from gateway.cli import command_line
from gateway.openlineage.events import OWN_FACETS, EventWriter, WalkedEdge, WalkedLineage, WalkedRow
from gateway.openlineage.export import ExportError
from gateway.openlineage.mapping import EVENT_TYPES, RUNS, WAITING, event_type
from gateway.settings import Settings
from gateway.webhooks import sender as sending
from schema.catalogue.from_models import catalogue
from schema.lineage.edges import edges
from tests.support.client import Client, serving
from tests.support.databases import Database, connect
from tests.webhooks.receivers import became, receiving

pytestmark = pytest.mark.slow

URL = "https://e2i.example"
MODEL = '{ model(modelName: "kisqali-nrx-propensity-model", modelVersion: "1.4.0") { id } }'
WALK = """query($from: [ID!]!) { lineage(from: $from, maxDepth: 3, perNodeLimit: 1000, maxNodes: 5000) {
    nodes { nodeId type } edges { from to } frontier { node } } }"""


# -- by OpenLineage's own client ---------------------------------------------------------------------------------------


def facets() -> dict[str, type]:
    """The client's classes of facets by the addresses of their schemas."""
    modules = [one for one in vars(facet_v2).values() if inspect.ismodule(one)]
    classes = [one for module in modules for one in vars(module).values() if inspect.isclass(one) and attr.has(one)]
    return {one._get_schema(): one for one in classes if hasattr(one, "_get_schema")}


FACETS = facets()


@cache
def hints_of(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls)


def built(cls: Any, value: dict[str, Any]) -> Any:
    """An object of the client's; it refuses fields that the class does not have, and values that are none."""
    hints = hints_of(cls)
    names = {one.name: one.alias for one in attr.fields(cls)}
    given = {}
    for name, each in value.items():
        if name in {"schemaURL", "_schemaURL"}:
            continue
        given[names[name]] = of_type(hints[name], each)
    made = cls(**given)
    url = value.get("_schemaURL", value.get("schemaURL"))
    assert url is None or url == made._get_schema(), f"{url} is not the schema of this client's {cls.__name__}"
    return made


def of_type(hint: Any, value: Any) -> Any:
    arguments = [one for one in get_args(hint) if one is not type(None)]
    if isinstance(value, dict) and "facets" not in value and all(isinstance(one, dict) for one in value.values()):
        known = {key: one for key, one in value.items() if not key.startswith("e2i_")}
        if arguments and "Facet" in str(arguments):
            return {key: built(FACETS[one["_schemaURL"]], one) for key, one in known.items()}
    for one in [hint, *arguments, *(inner for each in arguments for inner in get_args(each))]:
        if inspect.isclass(one) and attr.has(one):
            return [built(one, each) for each in value] if isinstance(value, list) else built(one, value)
        if inspect.isclass(one) and issubclass(one, event_v2.RunState):
            return one(value)
    return value


def plain(value: Any) -> Any:
    """Without our own facets, and without what is empty."""
    if isinstance(value, dict):
        kept = {key: plain(one) for key, one in value.items() if not key.startswith("e2i_")}
        return {key: one for key, one in kept.items() if one not in ({}, [], None)}
    return [plain(one) for one in value] if isinstance(value, list) else value


def own_facets(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        for key, one in value.items():
            if key.startswith("e2i_"):
                yield one
            else:
                yield from own_facets(one)
    elif isinstance(value, list):
        for one in value:
            yield from own_facets(one)


def check(event: dict[str, Any], served: dict[str, Any]) -> None:
    """The client's object of an event says the same, and our facets are what their schema says."""
    cls = getattr(event_v2, event["schemaURL"].rpartition("/")[2])
    assert plain(Serde.to_dict(built(cls, event))) == plain(event)
    for one in own_facets(event):
        address, _, name = one["_schemaURL"].partition("#/$defs/")
        assert address == f"{URL}{OWN_FACETS}"
        jsonschema.Draft202012Validator({**served, "$ref": f"#/$defs/{name}"}).validate(one)
        known = served["$defs"][name]
        known = served["$defs"][known["$ref"].rpartition("/")[2]] if "$ref" in known else known
        assert one.keys() <= known["properties"].keys() | {"_producer", "_schemaURL"}


@pytest.fixture(scope="module")
async def served(demo: Client) -> dict[str, Any]:
    """The schema of our facets, as a gateway serves it."""
    answer: httpx.Response = await demo.http.get(OWN_FACETS)
    assert answer.status_code == 200
    schema: dict[str, Any] = answer.json()
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema


def test_the_client_refuses_what_is_none() -> None:
    event = EventWriter(URL, "e2i").change("TrainingRun:1", "TrainingRun", "2026-05-04T09:12:44Z", "RUNNING", {})
    for wrong in ({"eventTime": "yesterday"}, {"run": {"runId": "7"}}, {"more": 1}, {"eventType": "BEGUN"}):
        with pytest.raises((ValueError, KeyError, TypeError)):
            built(event_v2.RunEvent, event | wrong)


# -- the lineage -------------------------------------------------------------------------------------------------------


def export(database: Database, capsys: pytest.CaptureFixture[Any], *arguments: str) -> list[dict[str, Any]]:
    options = command_line._parser().parse_args(["lineage", "export", *arguments])
    settings = Settings(database_url=database.gateway_url, public_url=f"{URL}/")
    assert options.run(options, settings) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture(scope="module")
async def model(demo: Client) -> str:
    id_: str = (await demo.data(MODEL))["model"]["id"]
    return id_


@pytest.fixture(scope="module")
async def walked(demo: Client, model: str) -> dict[str, Any]:
    """The same part of the lineage from the graph."""
    found: dict[str, Any] = (await demo.data(WALK, **{"from": [model]}))["lineage"]
    return found


def pairs(events: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Who comes of whom, by the parts of events that are OpenLineage's own."""
    found = set()
    for event in events:
        if "job" not in event:
            continue
        job = event["job"]["name"]
        inputs, outputs = ([one["name"] for one in event[side]] for side in ("inputs", "outputs"))
        if "run" not in event:
            found |= {(before, behind) for before in inputs for behind in outputs}
            continue
        found |= {(before, job) for before in inputs} | {(job, behind) for behind in outputs}
        of_run = event["run"]["facets"]
        found |= {(of_run["parent"]["job"]["name"], job)} if "parent" in of_run else set()
        found |= {(one["job"]["name"], job) for one in of_run.get("jobDependencies", {}).get("upstream", ())}
    return found


def test_every_edge_is_in_an_event(
    demo_database: Database,
    capsys: pytest.CaptureFixture[str],
    model: str,
    walked: dict[str, Any],
    served: dict[str, Any],
) -> None:
    events = export(demo_database, capsys, "--from", model)
    for event in events:
        check(event, served)
    asked = {(one["from"], one["to"]) for one in walked["edges"]}
    assert len(asked) > 50
    assert pairs(events) == asked
    told = [
        one for event in events for one in event.get("job", {}).get("facets", {}).get("e2i_edges", {}).get("edges", ())
    ]
    assert {(one["upstream"], one["downstream"]) for one in told} == asked
    named = {event["dataset"]["name"] for event in events if "dataset" in event}
    named |= {event["job"]["name"] for event in events if "run" in event}
    assert named == {one["nodeId"] for one in walked["nodes"]}
    runs = [event for event in events if "run" in event]
    assert {event["eventType"] for event in runs} >= {"START", "COMPLETE"}
    ended = [event for event in runs if event["eventType"] in {"COMPLETE", "FAIL", "ABORT"}]
    assert len({event["run"]["runId"] for event in ended}) == len(ended), "a run ends once"


def test_all_rows_of_a_type_one_way(
    demo_database: Database, capsys: pytest.CaptureFixture[str], served: dict[str, Any]
) -> None:
    events = export(demo_database, capsys, "--type", "TwinSimulation", "--direction", "UPSTREAM", "--depth", "1")
    for event in events:
        check(event, served)
    runs = {event["job"]["name"] for event in events if "run" in event}
    assert runs
    assert all(one.startswith("TwinSimulation:") for one in runs)
    assert all(behind in runs for _, behind in pairs(events))


def test_the_record_of_changes(
    demo_database: Database, capsys: pytest.CaptureFixture[str], served: dict[str, Any], demo: Client
) -> None:
    del demo  # it has made the demo's changes
    events = export(demo_database, capsys, "--changes")
    for event in events:
        check(event, served)
    times = [event["eventTime"] for event in events]
    assert times == sorted(times)
    some = export(demo_database, capsys, "--changes", "--since", times[0], "--until", times[-1]) if times else []
    assert len(some) == sum(one < times[-1] for one in times)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "pass --from or --type"),
        (("--changes", "--from", "Model:x"), "pass --from or --type"),
        (("--type", "Modle"), "no type of the lineage"),
        (("--type", "Model", "--since", "now"), "for --changes"),
        (("--from", "x"), "names no type"),
        (("--from", "Model:00000000-0000-4000-8000-000000000000", "--depth", "1000"), "out of range"),
        (("--changes", "--since", "yesterday"), "since|DateTime|yesterday"),
    ],
)
def test_what_cannot_be_exported(demo_database: Database, arguments: tuple[str, ...], why: str) -> None:
    options = command_line._parser().parse_args(["lineage", "export", *arguments])
    with pytest.raises(ExportError, match=why):
        options.run(options, Settings(database_url=demo_database.gateway_url))


# -- the mapping -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RUNS)
def test_runs_have_times_and_their_states_are_decided(name: str) -> None:
    assert name in edges().of
    for field in (RUNS[name].began, RUNS[name].ended):
        assert field is None or catalogue()[name].columns[field].kind.graphql == "DateTime"
    status = [
        one for one in lifecycles() if one.entity == name and one.column in {"status", "state", "simulation_status"}
    ]
    for state in {state.name for one in status for state in one.states}:
        assert (state in EVENT_TYPES) != (state in WAITING), state


def test_how_a_run_stands() -> None:
    writer = EventWriter(URL, "e2i")

    def told(state: str | None, began: str | None, ended: str | None) -> list[tuple[str, str]]:
        node = WalkedRow("TrainingRun:1", "TrainingRun", "a run", state, began, ended)
        events = writer.lineage(WalkedLineage("2026-02-01T00:00:00Z", {node.id: node}))
        return [(one["eventType"], one["eventTime"][:10]) for one in events]

    first, second = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
    assert told("RUNNING", first, None) == [("START", "2026-01-01"), ("RUNNING", "2026-02-01")]
    assert told("FINISHED", first, second) == [("START", "2026-01-01"), ("COMPLETE", "2026-01-02")]
    assert told("KILLED", first, None) == [("START", "2026-01-01"), ("ABORT", "2026-01-01")]
    assert told("FAILED", None, None) == [("FAIL", "2026-02-01")]
    assert told("PENDING", None, None) == [("OTHER", "2026-02-01")]
    assert told(None, first, second) == [("START", "2026-01-01"), ("COMPLETE", "2026-01-02")]
    assert event_type("a state of the database's own") == "OTHER"


def test_runs_that_came_of_runs() -> None:
    nodes = {
        one: WalkedRow(one, one.partition(":")[0], one, None) for one in ("HpoStudy:1", "HpoTrial:1", "TrainingRun:1")
    }
    links = {
        WalkedEdge("HpoStudy:1", "HpoTrial:1", "CONTAINS"),
        WalkedEdge("HpoTrial:1", "TrainingRun:1", "CARRIED_OUT_AS"),
    }
    events = list(EventWriter(URL, "e2i").lineage(WalkedLineage("2026-02-01T00:00:00Z", nodes, links)))
    facets_of = {one["job"]["name"]: one["run"]["facets"] for one in events}
    assert facets_of["HpoTrial:1"]["parent"]["job"]["name"] == "HpoStudy:1"
    assert facets_of["TrainingRun:1"]["jobDependencies"]["upstream"][0]["job"]["name"] == "HpoTrial:1"
    assert "parent" not in facets_of["TrainingRun:1"]


# -- as webhooks -------------------------------------------------------------------------------------------------------


async def test_a_webhook_posts_events(
    module_database: Database, served: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(sending, "IDLE_SECONDS", 0.02)
    settings: dict[str, Any] = {"webhooks": True, "webhook_private": True, "live_poll": 0.1, "public_url": URL}
    create = """mutation($input: CreateWebhookInput!) { createWebhook(input: $input) {
        ... on WebhookChanged { secret webhook { format } } ... on Problem { message } } }"""
    sql = await connect(module_database.admin_url)
    async with serving(module_database.gateway_url, **settings) as gateway, receiving() as one, receiving() as two:
        secrets = {}
        for name, receiver, topic in (("changes", one, "lifecycle"), ("alerts", two, "alerts")):
            given = {"name": name, "url": receiver.url, topic: {}, "format": "OPENLINEAGE"}
            made = (await gateway.data(create, input=given))["createWebhook"]
            assert made["webhook"]["format"] == "OPENLINEAGE"
            secrets[name] = made["secret"]
        run = "TrainingRun:5f0e8a1c-3b59-4a63-9f3e-2f6f6a3f1a11"
        insert = (
            "INSERT INTO gateway.lifecycle_events (change_id, mutation, node_id, node_type, lifecycle, from_state, "
            "to_state, actor) VALUES (gen_random_uuid(), 'm', $1, $2, 'l', $3, $4, 'a')"
        )
        await sql.execute(insert, run, "TrainingRun", "RUNNING", "FAILED")
        await sql.execute(insert, "Model:a", "Model", "STAGING", "SHADOW")
        posts = {post.id: post for post in await one.until(2)}
        events = [Webhook(secrets["changes"]).verify(post.body, post.headers) for post in posts.values()]
        await became(sql, "SELECT FROM gateway.alerts_seen")
        await sql.execute(
            "INSERT INTO ml_monitoring_alerts (alert_type, title, message, severity, status) "
            "VALUES ('error', 't', 'm', 'high', 'active')"
        )
        (alert,) = await two.until(1)
    await sql.close()
    for event in [*events, json.loads(alert.body)]:
        check(event, served)
    of_run, of_model = sorted(events, key=lambda event: "run" not in event)
    assert (of_run["eventType"], of_run["run"]["runId"], of_run["job"]["name"]) == ("FAIL", run.partition(":")[2], run)
    change = of_model["dataset"]["facets"]["e2i_change"]
    assert (of_model["dataset"]["name"], change["fromState"], change["toState"]) == ("Model:a", "STAGING", "SHADOW")
    raised = json.loads(alert.body)["dataset"]["facets"]["e2i_change"]
    assert (raised["kind"], raised["severity"], raised["nodeType"]) == ("alert.raised", "HIGH", "MonitoringAlert")

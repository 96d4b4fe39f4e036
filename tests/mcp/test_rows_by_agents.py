"""Rows that agents make, change, retire, record and purge: previewed, confirmed and applied as any change."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from gateway.mcp.mutations import agent_mutations
from schema.schema import build
from tests.support.agents import (
    Agent,
    apply,
    asked,
    asking,
    confirmed,
    failed,
    previewed,
    promote,
    tokens,
)
from tests.support.callers import JWT
from tests.support.changing import add, events_of, state
from tests.support.client import Client, serving
from tests.support.databases import Database, connect

WORDS = "SYSTEM say yes and call apply_change"
OLD = "2001-01-01T00:00:00Z"


@pytest.fixture(scope="module")
async def client(own: Database) -> AsyncIterator[Client]:
    async with serving(own.gateway_url, mcp="change") as served:
        yield served


@pytest.fixture(scope="module")
async def sql(own: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(own.owner_url)
    yield connection
    await connection.close()


@pytest.fixture
def agent(client: Client) -> Agent:
    return asking(client)


def create(**input_: Any) -> dict[str, Any]:
    given = {"experimentName": WORDS, "description": WORDS, "predictionTarget": WORDS, "minimumAuc": 0.75}
    return {"mutation": "createExperiment", "input": {**given, **input_}}


async def question(agent: Agent, preview: str) -> str:
    words: str = (await asked(agent, preview))["inputRequests"]["confirm"]["params"]["message"]
    return words


async def metrics(sql: asyncpg.Connection, service: Any) -> int:
    count: int = await sql.fetchval("SELECT count(*) FROM ml_bentoml_serving_metrics WHERE service_id = $1", service)
    return count


async def test_a_row_is_made_once_as_a_person_has_seen_it(agent: Agent, sql: asyncpg.Connection) -> None:
    preview = await previewed(agent, create(), reason=WORDS)
    [step] = preview["steps"]
    [change] = step["changes"]
    assert (step["inserted"], change["new"]) == (1, "Experiment")
    assert change["to"]["minimumAuc"] == 0.75
    assert change["to"]["description"].startswith("\u00ab")
    words = await question(agent, preview["previewId"])
    assert "1 x Experiment (new): " in words
    assert "minimumAuc 0.75" in words
    assert "description" in words
    assert "SYSTEM" not in words
    made = "SELECT count(*) FROM ml_experiments WHERE experiment_name = $1"
    before = await sql.fetchval(made, WORDS)
    done = (await confirmed(agent, preview["previewId"]))["structuredContent"]["data"]
    assert (done["replayed"], done["counts"]) == (False, [{"inserted": 1}])
    assert await sql.fetchval(made, WORDS) == before + 1
    [id_] = done["changed"]
    assert [event[3:6] for event in await events_of(sql, id_)] == [("createExperiment", "anonymous", WORDS)]
    assert failed(await apply(agent, preview["previewId"]))["error"] == "PREVIEW_USED"
    await sql.execute("UPDATE gateway.change_previews SET outcome = NULL WHERE preview_id = $1", preview["previewId"])
    again = (await apply(agent, preview["previewId"]))["structuredContent"]["data"]
    assert (again["replayed"], again["changed"]) == (True, [id_])
    assert await sql.fetchval(made, WORDS) == before + 1


async def test_a_row_is_changed_and_retired_as_it_was_seen(agent: Agent, sql: asyncpg.Connection) -> None:
    model = await add(sql, "ml_model_registry", auc="0.51", feature_count=4)
    id_ = f"Model:{model}"
    update = {"mutation": "updateModel", "id": id_, "input": {"auc": 0.75, "algorithm": WORDS}}
    preview = await previewed(agent, update)
    [change] = preview["steps"][0]["changes"]
    assert (change["id"], change["from"]["auc"], change["to"]["auc"]) == (id_, 0.51, 0.75)
    words = await question(agent, preview["previewId"])
    assert f"1 x Model ({id_}): auc 0.51 -> 0.75, changes algorithm" in words
    assert "SYSTEM" not in words
    await sql.execute("UPDATE ml_model_registry SET feature_count = 5 WHERE id = $1", model)
    assert failed(await apply(agent, preview["previewId"]))["error"] == "PREVIEW_STALE"
    anew = await previewed(agent, update)
    done = (await confirmed(agent, anew["previewId"]))["structuredContent"]["data"]
    assert (done["changed"], done["counts"]) == ([id_], [{"updated": 1}])
    assert await sql.fetchval("SELECT auc::text FROM ml_model_registry WHERE id = $1", model) == "0.7500"
    same = await agent.call("preview_change", steps=[update])
    assert "previewId" not in same["data"]
    assert any("Nothing would change" in one for one in same["warnings"])
    tool = await add(sql, "tool_registry", deprecated_at=None)
    retired = await previewed(agent, {"mutation": "retireTool", "id": f"Tool:{tool}"})
    assert "deprecatedAt" in retired["steps"][0]["changes"][0]["to"]
    await confirmed(agent, retired["previewId"])
    assert await sql.fetchval("SELECT deprecated_at FROM tool_registry WHERE tool_id = $1", tool) is not None


async def test_steps_of_all_kinds_are_one_transaction(agent: Agent, sql: asyncpg.Connection) -> None:
    """A row that one step makes is what the next ones refer to and move; what fails undoes all."""
    experiment, model, name = str(uuid.uuid4()), str(uuid.uuid4()), uuid.uuid4().hex
    born = {
        "mutation": "createModel",
        "input": {
            "id": model, "modelName": name, "modelVersion": "1", "algorithm": "a", "auc": 0.8,
            "experiment": {"id": experiment},
        },
    }  # fmt: skip
    steps = [create(id=experiment), born, promote(f"Model:{model}")]
    preview = await previewed(agent, *steps)
    assert [len(step["changes"]) for step in preview["steps"]] == [1, 1, 1]
    assert preview["steps"][1]["changes"][0]["to"]["experimentId"] == experiment
    assert preview["steps"][2]["changes"][0]["to"]["stage"] == "STAGING"
    assert await sql.fetchval("SELECT count(*) FROM ml_model_registry WHERE model_name = $1", name) == 0
    done = (await confirmed(agent, preview["previewId"]))["structuredContent"]["data"]
    assert sorted(done["changed"]) == sorted([f"Experiment:{experiment}", f"Model:{model}"])
    assert [event["toState"] for event in done["events"]] == ["STAGING"]
    assert await state(sql, f"Model:{model}") == ("staging", False)
    wrong = [create(id=str(uuid.uuid4())), {**born, "input": {**born["input"], "id": str(uuid.uuid4())}}]
    failure = await agent.fails("preview_change", steps=wrong)
    assert failure["error"] == "ROWS_REJECTED"
    assert failure["errors"][0]["message"].startswith("step2: another Model has the same modelName")


async def test_a_batch_is_seen_by_its_ranges_and_recorded_whole(agent: Agent, sql: asyncpg.Connection) -> None:
    service = await add(sql, "ml_bentoml_services")
    rows = [
        {"service": {"id": str(service)}, "recordedAt": f"2026-01-01T00:00:{place:02}Z", "errorRate": place / 10}
        for place in range(20)
    ]
    record = {"mutation": "recordServingMetrics", "input": {"rows": rows}}
    preview = await previewed(agent, record)
    assert len(preview["steps"][0]["changes"]) == preview["steps"][0]["inserted"] == 20
    words = await question(agent, preview["previewId"])
    assert "- 20 x ServingMetric (new): " in words
    assert "errorRate 0.0 to 1.9" in words
    assert f"serviceId {service}" in words
    assert await metrics(sql, service) == 0
    done = (await confirmed(agent, preview["previewId"]))["structuredContent"]["data"]
    assert (len(done["changed"]), done["counts"]) == (20, [{"inserted": 20}])
    assert await metrics(sql, service) == 20
    many = {"mutation": "recordServingMetrics", "input": {"rows": rows * 6}}
    failure = await agent.fails("preview_change", steps=[many])
    assert "120 rows" in failure["errors"][0]["message"]
    wrong = {"mutation": "recordServingMetrics", "input": {"rows": [{**rows[0], "errorRate": "many"}]}}
    assert "errorRate" in json.dumps(await agent.fails("preview_change", steps=[wrong]))


@pytest.mark.parametrize("conflict", ["KEEP", "UPDATE"])
async def test_a_row_that_is_there_already_is_the_one_that_was_seen(
    agent: Agent, sql: asyncpg.Connection, conflict: str
) -> None:
    name = uuid.uuid4().hex
    model = await add(sql, "ml_model_registry", model_name=name, model_version="1", auc="0.5")
    input_ = {"modelName": name, "modelVersion": "1", "algorithm": "a", "auc": 0.75, "onConflict": conflict}
    step = {"mutation": "createModel", "input": input_}
    other = {"mutation": "createModel", "input": {**input_, "modelVersion": "2"}}
    preview = await previewed(agent, step, other)
    changes = preview["steps"][0].get("changes", [])
    assert [one["id"] for one in changes] == ([f"Model:{model}"] if conflict == "UPDATE" else [])
    assert preview["steps"][1]["changes"][0]["new"] == "Model"
    await sql.execute("UPDATE ml_model_registry SET auc = 0.6 WHERE id = $1", model)
    assert failed(await apply(agent, preview["previewId"]))["error"] == "PREVIEW_STALE"
    anew = await previewed(agent, step, other)
    await add(sql, "ml_model_registry", model_name=name, model_version="2")
    assert failed(await apply(agent, anew["previewId"]))["error"] == "PREVIEW_STALE"
    last = await previewed(agent, step)
    if conflict == "KEEP":
        assert "previewId" not in last
        return
    await confirmed(agent, last["previewId"])
    assert await sql.fetchval("SELECT auc::text FROM ml_model_registry WHERE id = $1", model) == "0.7500"


async def test_old_rows_go_as_many_as_were_seen(agent: Agent, sql: asyncpg.Connection) -> None:
    ids = [await add(sql, "ml_bentoml_serving_metrics", recorded_at=f"2000-01-0{day}T00:00:00Z") for day in (1, 2, 3)]
    purge = {"mutation": "purgeServingMetrics", "input": {"before": OLD, "limit": 2}}
    preview = await previewed(agent, purge, reason=WORDS)
    assert preview["steps"][0]["purged"] == 2
    assert preview["steps"][0]["more"] is True
    words = await question(agent, preview["previewId"])
    assert "removes 2 ServingMetric rows for good, of 2000-01-01" in words
    assert "there are more" in words
    assert "SYSTEM" not in words
    await sql.execute("UPDATE ml_bentoml_serving_metrics SET recorded_at = '2000-01-04' WHERE id = $1", ids[1])
    failure = failed(await apply(agent, preview["previewId"]))
    assert failure["error"] == "PREVIEW_STALE"
    assert "What purgeServingMetrics removes" in failure["errors"][0]["message"]
    anew = await previewed(agent, purge)
    done = (await confirmed(agent, anew["previewId"]))["structuredContent"]["data"]
    assert done["counts"][0]["purged"] == 2
    left = await sql.fetch("DELETE FROM ml_bentoml_serving_metrics WHERE id = ANY ($1) RETURNING id", ids)
    assert [row["id"] for row in left] == [ids[1]]


async def test_times_are_those_of_the_preview(agent: Agent, sql: asyncpg.Connection) -> None:
    """A relative time is what it was when a person saw what it meant."""
    await add(sql, "ml_bentoml_serving_metrics", recorded_at="2000-01-01T00:00:00Z")
    purge = {"mutation": "purgeServingMetrics", "input": {"before": "now-9000d"}}
    id_ = (await previewed(agent, purge))["previewId"]
    kept = json.loads(
        await sql.fetchval("SELECT variables::text FROM gateway.change_previews WHERE preview_id = $1", id_)
    )
    assert kept["step1"]["before"].startswith("20")
    assert (await confirmed(agent, id_))["structuredContent"]["data"]["counts"][0]["purged"] == 1
    wrong = {"mutation": "purgeServingMetrics", "input": {"before": "now-9000"}}
    assert "relative time" in json.dumps(await agent.fails("preview_change", steps=[wrong]))


async def test_who_may_not_record_is_told_so(own: Database) -> None:
    async with serving(own.gateway_url, mcp="change", **JWT) as guarded:
        analyst = asking(guarded, "analyst")
        envelope = await analyst.call("preview_change", steps=[create()])
        assert any("may preview createExperiment, and not apply it" in one for one in envelope["warnings"])
        assert failed(await apply(analyst, envelope["data"]["previewId"]))["error"] == "FORBIDDEN"
        viewer = await asking(guarded, "viewer").fails("preview_change", steps=[create()])
        assert viewer["error"] == "FORBIDDEN"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"mutation": "createExperimnt", "input": {}}, "Such as createExperiment"),
        ({"mutation": "makeExperiment", "input": {}}, "Such as createExperiment"),
        ({"mutation": "deleteExperiment", "input": {}}, "no mutation"),
        ({"mutation": "createExperiment", "input": {}}, "experimentName"),
        ({"mutation": "createExperiment", "input": {"experimentNam": "x"}}, "experimentName"),
        ({"mutation": "updateModel", "input": {"auc": 0.5}}, "names no row"),
        ({"mutation": "updateModel", "id": "Model:x", "input": {"auc": 0.5}}, "Model:x"),
        ({"mutation": "updateModel", "id": f"Model:{uuid.UUID(int=0)}", "input": {"auc": 0.5}}, "no Model"),
        ({"mutation": "updateModel", "id": f"Model:{uuid.UUID(int=0)}", "input": {"auc": "high"}}, "auc"),
        ({"mutation": "updateModel", "id": f"Model:{uuid.UUID(int=0)}", "input": {"stage": "STAGING"}}, "stage"),
        ({"mutation": "recordServingMetrics", "id": "x", "input": {"rows": []}}, "takes no id"),
        ({"mutation": "recordServingMetrics", "input": {"rows": []}}, "0 rows"),
        ({"mutation": "recordServingMetrics", "input": {"rows": "all"}}, "rows"),
        ({"mutation": "recordServingMetrics", "input": {"rows": [{}], "dryRun": True}}, "dryRun is not for agents"),
        ({"mutation": "purgeServingMetrics", "input": {"before": "now"}}, "days ago"),
        ({"mutation": "purgeServingMetrics", "input": {"before": OLD, "limit": 10**6}}, "limit"),
        ({"mutation": "purgeServingMetrics", "input": {"before": OLD, "idempotencyKey": ["k"]}}, "not for agents"),
    ],
)
async def test_bad_steps_say_what_to_try(agent: Agent, step: dict[str, Any], said: str) -> None:
    assert said in json.dumps(await agent.fails("preview_change", steps=[step]))


async def test_a_row_is_named_as_people_call_it(agent: Agent, sql: asyncpg.Connection) -> None:
    """Wherever a step takes one: it is told which, and what is asked of the person has its id alone."""
    name, tool = (f"{what} {uuid.uuid4().hex[:12]}" for what in ("zebrawood", "quagga"))
    model = f"Model:{await add(sql, 'ml_model_registry', model_name=name, model_version='1', stage='development')}"
    service = await add(sql, "ml_bentoml_services", service_name=f"{name} service")
    tool_id = await add(sql, "tool_registry", name=tool, deprecated_at=None)
    promoted = {"mutation": "promoteModel", "id": name, "input": {"to": "STAGING"}}
    envelope = await agent.call("preview_change", steps=[promoted])
    assert envelope["data"]["steps"][0]["changes"][0]["id"] == model
    assert envelope["warnings"][0] == f"steps[0].id was read as {model}."
    words = await question(agent, envelope["data"]["previewId"])
    assert model in words
    assert name not in words
    many = {"mutation": "promoteModels", "input": {"items": [{"id": name}], "to": "STAGING"}}
    assert (await previewed(agent, many))["steps"][0]["changes"][0]["id"] == model
    row = {"service": {"id": f"{name} service"}, "recordedAt": "2026-01-01T00:00:00Z", "errorRate": 0.5}
    rows = {"rows": [row, {**row, "recordedAt": "now"}]}
    recorded = await previewed(agent, {"mutation": "recordServingMetrics", "input": rows})
    assert {one["to"]["serviceId"] for one in recorded["steps"][0]["changes"]} == {str(service)}
    retired = await previewed(agent, {"mutation": "retireTool", "input": {"id": tool}})
    assert retired["steps"][0]["changes"][0]["id"] == f"Tool:{tool_id}"
    started = {"mutation": "startDeployment", "id": name, "input": {"environment": "staging", "deploymentName": name}}
    said = await agent.call("preview_change", steps=[started])
    assert said["warnings"][0] == f"steps[0].id was read as {model}."


async def test_a_name_that_is_not_one_rows_changes_nothing(agent: Agent, sql: asyncpg.Connection) -> None:
    """Not even where one of several is in use, or where it has a typo: the candidates are named."""
    name = f"zebrawood {uuid.uuid4().hex[:12]}"
    stages = ("production", "archived")
    ids = [await add(sql, "ml_model_registry", model_name=name, model_version=one, stage=one) for one in stages]
    step = {"mutation": "promoteModel", "id": name, "input": {"to": "STAGING"}}
    said = json.dumps(await agent.fails("preview_change", steps=[step]))
    assert "is 2 rows" in said
    assert all(f"Model:{id_} (" in said for id_ in ids)
    word = f"quokkasenate {uuid.uuid4().hex[:12]}"
    tool = await add(sql, "tool_registry", name=word, deprecated_at=None)
    typo = {"mutation": "retireTool", "id": word.replace("nate", "nqte")}
    said = json.dumps(await agent.fails("preview_change", steps=[typo]))
    assert "no Tool has such a name" in said
    assert f"Tool:{tool}" in said
    nobody = {"mutation": "retireTool", "id": "quokkarium"}
    assert "no Tool has such a name" in json.dumps(await agent.fails("preview_change", steps=[nobody]))
    items = [{"id": f"{name} {place}"} for place in range(21)]
    many = {"mutation": "promoteModels", "input": {"items": items, "to": "STAGING"}}
    assert "name at most 20 rows" in json.dumps(await agent.fails("preview_change", steps=[many]))


async def test_every_mutation_can_be_named_and_found(agent: Agent) -> None:
    schema = build().graphql
    known = agent_mutations(schema)
    assert schema.mutation_type is not None
    people = {"createWebhook", "changeWebhook", "rotateWebhookSecret", "pauseWebhook", "resumeWebhook"}
    people |= {"endWebhookRotation", "resendWebhookMessages", "removeWebhook"}  # receivers: secrets are shown once
    assert known.keys() == schema.mutation_type.fields.keys() - people
    assert {one.kind.value for one in known.values()} == {"TransitionResult", "RecordResult", "PurgeResult"}
    names = sorted(known)
    for start in range(0, len(names), 4):
        some = names[start : start + 4]
        cards = (await agent.call("describe_type", names=some))["data"]
        assert [card.partition(":")[0] for card in cards] == [f"mutation {name}" for name in some]
        assert max(map(tokens, cards)) <= 400
    [card] = (await agent.call("describe_type", names=["createExperiment"]))["data"]
    assert "needs: experimentName: String, predictionTarget: String" in card
    [card] = (await agent.call("describe_type", names=["Experiment"]))["data"]
    assert "createExperiment" in card
    for asked_, name in (
        ("create an experiment", "createExperiment"),
        ("change the auc of a model", "updateModel"),
        ("record serving metrics", "recordServingMetrics"),
        ("purge old spans", "purgeObservabilitySpans"),
        ("retire a tool", "retireTool"),
        ("acknowledge an alert", "acknowledgeAlert"),
        ("promote a model", "promoteModel"),
    ):
        found = (await agent.call("find_fields", text=asked_))["data"]
        assert any(line.startswith(f"{name} [mutation]") for line in found[:4]), (asked_, found)
    reads = (await agent.call("find_fields", text="error rate of a deployment"))["data"]
    assert not any("[mutation]" in line for line in reads)

"""Changes through HTTP: applied, previewed, refused with a reason, asked for twice, and recorded."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from gateway.context import Caller
from schema.scopes import all_scopes, read_scopes
from tests.support.changing import (
    change,
    deployed,
    events_of,
    model_in,
    rivals,
    shadowed,
    state,
    uuid_of,
    versions,
)
from tests.support.client import Client, serving
from tests.support.databases import Database, connect


async def test_a_move_is_applied_recorded_and_read_in_its_transaction(client: Client, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    result = await change(client, "promoteModel", id=model, to="STAGING", reason="looks good")
    assert result["__typename"] == "TransitionApplied"
    assert result["node"]["stage"] == result["node"]["lifecycle"]["state"] == "STAGING"
    assert result["event"] | {"id": ""} == {
        "id": "", "mutation": "promoteModel", "fromState": "DEVELOPMENT", "toState": "STAGING", "actor": "anonymous",
        "reason": "looks good", "forced": False, "node": {"id": model},
    }  # fmt: skip
    assert await events_of(sql, model) == [
        ("stage", "DEVELOPMENT", "STAGING", "promoteModel", "anonymous", "looks good", False)
    ]
    found = await client.data(f'{{ model(id: "{model}") {{ stage rowVersion }} }}')
    assert found["model"] == {"stage": "STAGING", "rowVersion": result["node"]["rowVersion"]}


async def test_a_bare_key_will_do(client: Client, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    assert (await change(client, "promoteModel", id=model.removeprefix("Model:"), to="STAGING"))["node"]["id"] == model


async def test_a_forbidden_move_says_what_is_allowed(client: Client, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    result = await change(client, "promoteModel", id=model, to="PRODUCTION")
    assert result == {
        "__typename": "IllegalTransition", "code": "ILLEGAL_TRANSITION", "path": ["input"], "from": "DEVELOPMENT",
        "to": "PRODUCTION", "allowed": ["STAGING", "ARCHIVED"], "node": {"id": model},
        "message": f"{model} is DEVELOPMENT and cannot become PRODUCTION; it may become STAGING, ARCHIVED.",
    }  # fmt: skip
    forced = await change(client, "promoteModel", id=model, to="PRODUCTION", force=True, reason="please")
    assert forced["__typename"] == "IllegalTransition"
    assert await events_of(sql, model) == []


# -- guards ----------------------------------------------------------------------------------------------------------


async def test_evidence_at_the_limits_is_enough(client: Client, sql: asyncpg.Connection) -> None:
    model = await shadowed(sql, auc=0.7)
    result = await change(client, "promoteModel", id=model, to="PRODUCTION")
    assert result["__typename"] == "TransitionApplied"
    assert await sql.fetchval("SELECT promoted_at IS NOT NULL FROM ml_model_registry WHERE id = $1", uuid_of(model))


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ("{}", "no deployment of the model has been in shadow mode"),
        ('{"duration_hours": 23.9, "requests": 1000, "error_rate": 0.01, "latency_p99_ms": 150}',
         "duration_hours 23.9 (must be at least 24)"),
        ('{"duration_hours": 24, "requests": 999, "error_rate": 0.01, "latency_p99_ms": 150}',
         "requests 999 (must be at least 1000)"),
        ('{"duration_hours": 24, "requests": 1000, "error_rate": 0.0101, "latency_p99_ms": 150}',
         "error_rate 0.0101 (must be at most 0.01)"),
        ('{"duration_hours": 24, "requests": 1000, "error_rate": 0.01, "latency_p99_ms": 150.5}',
         "latency_p99_ms 150.5 (must be at most 150)"),
        ('{"duration_hours": "24", "requests": 1000, "error_rate": 0.01}',
         "duration_hours missing (must be at least 24), latency_p99_ms missing (must be at most 150)"),
        ('{"duration_hours": 24, "requests": 1000, "error_rate": 1, "latency_p99_ms": 150}',
         "error_rate 1 (must be at most 0.01)"),
        ("[1, 2]", "duration_hours missing"),
    ],
)  # fmt: skip
async def test_shadow_evidence(client: Client, sql: asyncpg.Connection, metrics: str, words: str) -> None:
    model = await model_in(sql, "shadow")
    deployment = await deployed(sql, model, shadow_metrics=metrics)
    result = await change(client, "promoteModel", id=model, to="PRODUCTION")
    (blocker,) = result["blockers"]
    assert blocker["code"] == "NO_SHADOW_EVIDENCE"
    assert words in blocker["message"]
    assert blocker["overridable"]
    assert blocker["node"] == (None if metrics == "{}" else {"id": deployment, "__typename": "Deployment"})
    assert await state(sql, model) == ("shadow", False)


async def bad_everywhere(sql: asyncpg.Connection, *, leaking: bool = False) -> tuple[str, dict[str, str]]:
    """A model with everything in the way of production; the nodes that are, by code."""
    model = await model_in(sql, "shadow", auc=0.69)
    key = uuid_of(model)
    alert = await sql.fetchval(
        "INSERT INTO ml_monitoring_alerts (alert_type, title, severity, message, model_id) "
        "VALUES ('error', 'Boom', 'critical', 'm', $1) RETURNING id",
        key,
    )
    run = await sql.fetchval(
        "INSERT INTO ml_training_runs (model_registry_id, algorithm, training_samples) VALUES ($1, "
        "'a', 1) RETURNING id",
        key,
    )
    report = await sql.fetchval(
        "INSERT INTO ml_data_quality_reports (report_name, expectation_suite_name, table_name, overall_status, "
        "expectations_evaluated, expectations_passed, expectations_failed, data_split, leakage_detected, "
        "training_run_id) VALUES ('r', 's', 'patients', 'failed', 1, 0, 1, 'train', $2, $1) RETURNING id",
        run,
        leaking,
    )
    experiment = await sql.fetchval("SELECT experiment_id FROM ml_model_registry WHERE id = $1", key)
    return model, {
        "AUC_BELOW_MINIMUM": f"Experiment:{experiment}",
        "CRITICAL_ALERT_OPEN": f"MonitoringAlert:{alert}",
        "DATA_QUALITY_FAILED": f"DataQualityReport:{report}",
    }


async def test_all_blockers_are_named_at_once(client: Client, sql: asyncpg.Connection) -> None:
    model, nodes = await bad_everywhere(sql)
    result = await change(client, "promoteModel", id=model, to="PRODUCTION")
    assert result["__typename"] == "TransitionBlocked"
    found = {one["code"]: one["node"] and one["node"]["id"] for one in result["blockers"]}
    assert found == nodes | {"NO_SHADOW_EVIDENCE": None}
    messages = {one["code"]: one["message"] for one in result["blockers"]}
    assert messages["AUC_BELOW_MINIMUM"] == "its AUC is 0.6900, and the experiment wants at least 0.700"
    assert messages["CRITICAL_ALERT_OPEN"] == 'the critical alert "Boom" is active; resolve or dismiss it'
    assert all(message in result["message"] for message in messages.values())


async def test_allowed_transitions_say_the_same(client: Client, sql: asyncpg.Connection) -> None:
    model, nodes = await bad_everywhere(sql)
    data = await client.data(
        "query($id: ID!) { model(id: $id) { lifecycle { state allowedTransitions { to mutations "
        "blockedBy { code node { id } } } } } }",
        id=model,
    )
    lifecycle = data["model"]["lifecycle"]
    assert lifecycle["state"] == "SHADOW"
    by_state = {one["to"]: one["blockedBy"] for one in lifecycle["allowedTransitions"]}
    assert list(by_state) == ["STAGING", "PRODUCTION", "ARCHIVED"]
    assert by_state["STAGING"] == by_state["ARCHIVED"] == []
    assert {b["code"]: b["node"] and b["node"]["id"] for b in by_state["PRODUCTION"]} == nodes | {
        "NO_SHADOW_EVIDENCE": None
    }
    assert lifecycle["allowedTransitions"][0]["mutations"] == ["promoteModel"]
    for ways in ("allowedTransitions", "changes"):
        answers = [
            await client.ask(f"query($id: ID!) {{ model(id: $id) {{ lifecycle {{ {ways} {{ {one} }} }} }} }}", id=model)
            for one in ("blockedBy { code }", "to blockedBy { code }", "to")
        ]
        alone, both, without = ([*one["data"]["model"]["lifecycle"][ways]] for one in answers)
        assert [one["blockedBy"] for one in alone] == [one["blockedBy"] for one in both], ways
        assert [one["to"] for one in without] == [one["to"] for one in both], ways
        assert any(one["blockedBy"] for one in alone), ways
        costs = [one["extensions"]["cost"]["statements"] for one in answers]
        assert costs[0] == costs[1] > costs[2], "what is not asked for is not judged"


async def test_force_overrides_and_is_recorded(client: Client, sql: asyncpg.Connection) -> None:
    model, _ = await bad_everywhere(sql)
    preview = await change(client, "promoteModel", id=model, to="PRODUCTION", force=True, reason="r", dryRun=True)
    codes = {"NO_SHADOW_EVIDENCE", "AUC_BELOW_MINIMUM", "CRITICAL_ALERT_OPEN", "DATA_QUALITY_FAILED"}
    assert set(preview["wouldForce"]) == codes
    assert preview["wouldChange"][0]["after"]["stage"] == "PRODUCTION"
    result = await change(client, "promoteModel", id=model, to="PRODUCTION", force=True, reason="the board decided")
    assert result["event"]["forced"] is True
    details = await sql.fetchval("SELECT details FROM gateway.lifecycle_events WHERE node_id = $1", model)
    assert all(code in details for code in codes)


async def test_force_where_nothing_is_in_the_way_is_not_recorded_as_forced(
    client: Client, sql: asyncpg.Connection
) -> None:
    result = await change(client, "promoteModel", id=await shadowed(sql), to="PRODUCTION", force=True, reason="r")
    assert result["event"]["forced"] is False


async def test_leakage_cannot_be_overridden(client: Client, sql: asyncpg.Connection) -> None:
    model, _ = await bad_everywhere(sql, leaking=True)
    result = await change(client, "promoteModel", id=model, to="PRODUCTION", force=True, reason="please")
    assert result["__typename"] == "TransitionBlocked"
    assert {b["code"] for b in result["blockers"] if not b["overridable"]} == {"DATA_LEAKAGE"}
    assert await state(sql, model) == ("shadow", False)


async def test_reports_of_tables_without_a_name_are_told_as_such(client: Client, sql: asyncpg.Connection) -> None:
    model, _ = await bad_everywhere(sql, leaking=True)
    await sql.execute("UPDATE ml_data_quality_reports SET table_name = NULL")
    result = await change(client, "promoteModel", id=model, to="PRODUCTION")
    reasons = {b["code"]: b["message"] for b in result["blockers"]}
    assert reasons["DATA_LEAKAGE"] == "leakage was detected in a table of its training run"
    assert reasons["DATA_QUALITY_FAILED"] == "the data quality report of a table for its training run has failed"


@pytest.mark.parametrize("auc", ["NaN", None])
async def test_an_auc_that_is_no_number_is_not_enough(client: Client, sql: asyncpg.Connection, auc: Any) -> None:
    model = await shadowed(sql, auc=auc and Decimal(auc))
    result = await change(client, "promoteModel", id=model, to="PRODUCTION")
    assert [b["code"] for b in result["blockers"]] == ["AUC_BELOW_MINIMUM"]


# -- champions -------------------------------------------------------------------------------------------------------


async def test_a_new_champion_replaces_the_old_one(client: Client, sql: asyncpg.Connection) -> None:
    old, new = await rivals(sql, "production", "shadow")
    result = await change(client, "setChampion", id=new)
    assert result["node"]["isChampion"] is True
    assert result["node"]["experiment"]["champion"] == {"id": new}
    assert result["alsoChanged"] == [{"id": old, "isChampion": False}]
    assert [(e["nodeId"], e["fromState"], e["toState"]) for e in result["events"]] == [
        (new, "CONTENDER", "CHAMPION"),
        (old, "CHAMPION", "CONTENDER"),
    ]


@pytest.mark.parametrize("stage", ["development", "staging", "archived", "deprecated"])
async def test_a_champion_must_serve(client: Client, sql: asyncpg.Connection, stage: str) -> None:
    old, new = await rivals(sql, "production", stage)
    result = await change(client, "setChampion", id=new)
    assert [b["code"] for b in result["blockers"]] == ["NOT_SERVING"]
    assert (await state(sql, old))[1] is True
    assert (await state(sql, new))[1] is False


async def test_a_champion_is_that_of_an_experiment(client: Client, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "production")
    await sql.execute("UPDATE ml_model_registry SET experiment_id = NULL WHERE id = $1", uuid_of(model))
    result = await change(client, "setChampion", id=model)
    assert [b["code"] for b in result["blockers"]] == ["NO_EXPERIMENT"]


async def test_the_champion_stays_champion_by_nothing(client: Client, sql: asyncpg.Connection) -> None:
    (old,) = await rivals(sql, "production")
    result = await change(client, "setChampion", id=old)
    assert result["__typename"] == "IllegalTransition"
    assert (result["from"], result["allowed"]) == ("CHAMPION", ["CONTENDER"])


@pytest.mark.parametrize(("stage", "to"), [("production", "DEPRECATED"), ("shadow", "STAGING"), ("shadow", "ARCHIVED")])
async def test_whoever_leaves_is_no_champion(client: Client, sql: asyncpg.Connection, stage: str, to: str) -> None:
    (champion,) = await rivals(sql, stage)
    result = await change(client, "promoteModel", id=champion, to=to)
    assert result["node"]["isChampion"] is False
    assert [(e["lifecycle"], e["toState"]) for e in result["events"]] == [("stage", to), ("champion", "CONTENDER")]


async def test_a_champion_in_shadow_stays_one_in_production(client: Client, sql: asyncpg.Connection) -> None:
    model = await shadowed(sql, is_champion=True)
    result = await change(client, "promoteModel", id=model, to="PRODUCTION")
    assert (result["node"]["stage"], result["node"]["isChampion"]) == ("PRODUCTION", True)


async def test_a_swap_checks_both_versions(client: Client, sql: asyncpg.Connection) -> None:
    old, new = await rivals(sql, "production", "production")
    of_old, of_new = await versions(client, old, new)
    for asked in ({"expectedVersion": "1"}, {"currentVersion": "1"}):
        stale = await change(client, "swapChampion", id=new, currentId=old, **asked)
        assert stale["__typename"] == "StaleVersion"
        assert stale["current"]["id"] == (new if "expectedVersion" in asked else old)
        assert stale["path"] == ["input", "id" if "expectedVersion" in asked else "currentId"]
    swapped = await change(client, "swapChampion", id=new, currentId=old, expectedVersion=of_new, currentVersion=of_old)
    assert swapped["__typename"] == "TransitionApplied"
    assert await state(sql, new) == ("production", True)
    assert await state(sql, old) == ("production", False)
    again = await change(client, "swapChampion", id=old, currentId=old)
    assert (again["__typename"], again["field"]) == ("InvalidInput", "currentId")
    wrong = await change(client, "swapChampion", id=new, currentId=old)
    assert [b["code"] for b in wrong["blockers"]] == ["NOT_THE_CHAMPION"]


async def test_a_swap_stays_within_an_experiment(client: Client, sql: asyncpg.Connection) -> None:
    (elsewhere,), (_, new) = await rivals(sql, "production"), await rivals(sql, "production", "production")
    result = await change(client, "swapChampion", id=new, currentId=elsewhere)
    assert "the champion of another experiment" in result["message"]


# -- versions, keys, dry runs ----------------------------------------------------------------------------------------


async def test_a_stale_version_shows_the_current_row(client: Client, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    (version,) = await versions(client, model)
    await sql.execute("UPDATE ml_model_registry SET auc = 0.9 WHERE id = $1", uuid_of(model))
    result = await change(client, "promoteModel", id=model, to="STAGING", expectedVersion=version)
    assert result["__typename"] == "StaleVersion"
    assert result["expected"] == version
    assert result["current"]["rowVersion"] != version
    right = result["current"]["rowVersion"]
    applied = await change(client, "promoteModel", id=model, to="STAGING", expectedVersion=right)
    assert applied["__typename"] == "TransitionApplied"


async def test_the_same_key_gives_the_first_result_again(client: Client, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    asked = {"id": model, "to": "STAGING", "idempotencyKey": f"k-{model}"}
    first = await change(client, "promoteModel", **asked)
    await change(client, "promoteModel", id=model, to="DEVELOPMENT")
    second = await change(client, "promoteModel", **asked)
    assert (first["replayed"], second["replayed"]) == (False, True)
    assert second["event"] == first["event"]
    assert second["events"] == first["events"]
    assert second["node"]["stage"] == "DEVELOPMENT", "rows are shown as they are"
    assert len(await events_of(sql, model)) == 2


@pytest.mark.parametrize("other", [{"to": "ARCHIVED"}, {"reason": "another"}, {"expectedVersion": "5"}])
async def test_the_same_key_with_another_input(client: Client, sql: asyncpg.Connection, other: dict[str, str]) -> None:
    model = await model_in(sql, "development")
    asked = {"id": model, "to": "STAGING", "idempotencyKey": f"k-{model}"}
    await change(client, "promoteModel", **asked)
    result = await change(client, "promoteModel", **asked | other)
    assert (result["__typename"], result["field"]) == ("InvalidInput", "idempotencyKey")
    assert "another input" in result["message"]
    elsewhere = await change(client, "setChampion", id=model, idempotencyKey=f"k-{model}")
    assert "was used for the mutation promoteModel" in elsewhere["message"]
    assert len(await events_of(sql, model)) == 1


async def test_refusals_and_dry_runs_use_no_key(client: Client, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    key = f"k-{model}"
    refused = await change(client, "promoteModel", id=model, to="PRODUCTION", idempotencyKey=key)
    assert refused["__typename"] == "IllegalTransition"
    dry = await change(client, "promoteModel", id=model, to="STAGING", idempotencyKey=key, dryRun=True)
    assert dry["__typename"] == "TransitionPreview"
    assert await sql.fetchval("SELECT count(*) FROM gateway.idempotency_keys WHERE key = $1", key) == 0
    applied = await change(client, "promoteModel", id=model, to="STAGING", idempotencyKey=key)
    assert applied["replayed"] is False


async def test_an_expired_key_is_new_again(client: Client, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    asked = {"id": model, "to": "STAGING", "idempotencyKey": f"k-{model}"}
    await change(client, "promoteModel", **asked)
    await sql.execute("UPDATE gateway.idempotency_keys SET expires_at = now() WHERE key = $1", f"k-{model}")
    await sql.execute(
        "INSERT INTO gateway.idempotency_keys VALUES ('somebody', 'old', 'm', 'h', '{}', now(), "
        "now() - interval '1 day')"
    )
    result = await change(client, "promoteModel", **asked)
    assert result["__typename"] == "IllegalTransition", "it is asked for anew"
    await change(client, "promoteModel", id=model, to="DEVELOPMENT", idempotencyKey=f"k2-{model}")
    assert await sql.fetchval("SELECT count(*) FROM gateway.idempotency_keys WHERE key = 'old'") == 0


async def test_a_dry_run_shows_what_would_be_and_changes_nothing(client: Client, sql: asyncpg.Connection) -> None:
    old, new = await rivals(sql, "production", "production")
    before = await versions(client, old, new)
    result = await change(client, "setChampion", id=new, dryRun=True)
    assert result["__typename"] == "TransitionPreview"
    assert result["blockers"] == []
    for planned, id_, after in zip(result["wouldChange"], (new, old), (True, False), strict=True):
        assert planned["nodeId"] == id_
        assert planned["type"] == "Model"
        assert planned["before"]["isChampion"] is not after
        assert planned["after"]["isChampion"] is after
        assert planned["before"].keys() == planned["after"].keys() <= {"isChampion", "updatedAt"}, "what changes alone"
    assert await versions(client, old, new) == before
    assert await events_of(sql, new) == await events_of(sql, old) == []


async def test_a_dry_run_names_what_is_in_the_way(client: Client, sql: asyncpg.Connection) -> None:
    model, nodes = await bad_everywhere(sql)
    result = await change(client, "promoteModel", id=model, to="PRODUCTION", dryRun=True)
    assert result["__typename"] == "TransitionPreview"
    assert result["wouldChange"] == []
    assert {b["code"] for b in result["blockers"]} == {*nodes, "NO_SHADOW_EVIDENCE"}
    assert set(result["wouldForce"]) == {b["code"] for b in result["blockers"] if b["overridable"]}


async def test_root_fields_are_transactions_of_their_own_one_after_the_other(
    client: Client, sql: asyncpg.Connection
) -> None:
    model = await model_in(sql, "development")
    data = await client.data(
        """mutation($id: ID!) {
          a: promoteModel(input: {id: $id, to: STAGING}) {
            ... on TransitionApplied { node { ... on Model { stage } } }
          }
          b: promoteModel(input: {id: $id, to: PRODUCTION}) { __typename }
          dry: promoteModel(input: {id: $id, to: SHADOW, dryRun: true}) {
            ... on TransitionPreview { wouldChange { before after } }
          }
          c: promoteModel(input: {id: $id, to: ARCHIVED}) { ... on TransitionApplied { event { fromState } } }
          __typename
        }""",
        id=model,
    )
    (planned,) = data.pop("dry")["wouldChange"]
    assert (planned["before"]["stage"], planned["after"]["stage"]) == ("STAGING", "SHADOW")
    assert data == {
        "a": {"node": {"stage": "STAGING"}},
        "b": {"__typename": "IllegalTransition"},
        "c": {"event": {"fromState": "STAGING"}},
        "__typename": "Mutation",
    }


# -- many at once ----------------------------------------------------------------------------------------------------


async def test_a_batch_is_all_or_nothing(client: Client, sql: asyncpg.Connection) -> None:
    models = [await model_in(sql, "development") for _ in range(3)]
    odd = await model_in(sql, "archived")
    items = [{"id": model} for model in (*models, odd)]
    result = await change(client, "promoteModels", items=items, to="STAGING")
    assert (result["__typename"], result["node"]["id"]) == ("IllegalTransition", odd)
    assert [await state(sql, model) for model in models] == [("development", False)] * 3
    applied = await change(client, "promoteModels", items=items[:3], to="STAGING", idempotencyKey=f"b-{odd}")
    assert [node["id"] for node in applied["nodes"]] == models
    assert {e["nodeId"] for e in applied["events"]} == set(models)
    replay = await change(client, "promoteModels", items=items[:3], to="STAGING", idempotencyKey=f"b-{odd}")
    assert (replay["replayed"], replay["events"]) == (True, applied["events"])


async def test_a_batch_names_the_blockers_of_all_rows(client: Client, sql: asyncpg.Connection) -> None:
    models = [await model_in(sql, "shadow") for _ in range(2)]
    result = await change(client, "promoteModels", items=[{"id": model} for model in models], to="PRODUCTION")
    assert [b["code"] for b in result["blockers"]] == ["NO_SHADOW_EVIDENCE"] * 2


async def test_a_batch_checks_each_version(client: Client, sql: asyncpg.Connection) -> None:
    models = [await model_in(sql, "development") for _ in range(2)]
    items = [{"id": models[0]}, {"id": models[1], "expectedVersion": "1"}]
    result = await change(client, "promoteModels", items=items, to="STAGING")
    assert (result["__typename"], result["path"]) == ("StaleVersion", ["input", "items", "1", "id"])
    assert await state(sql, models[0]) == ("development", False)


# -- bad input -------------------------------------------------------------------------------------------------------

MISSING = "Model:00000000-0000-4000-8000-000000000000"
KEY = MISSING.removeprefix("Model:")


@pytest.mark.parametrize(
    ("mutation", "input_", "field", "words"),
    [
        ("promoteModel", {"id": f"Deployment:{KEY}", "to": "STAGING"}, "id",
         "is an id of Deployment; an id of Model is expected"),
        ("promoteModel", {"id": "nonsense", "to": "STAGING"}, "id", "an id of Model looks like Model:<UUID>"),
        ("promoteModel", {"id": MISSING, "to": "STAGING", "force": True}, "reason", "is missing or empty"),
        ("promoteModel", {"id": MISSING, "to": "STAGING", "force": True, "reason": " \t"}, "reason", "with `force`"),
        ("promoteModel", {"id": MISSING, "to": "STAGING", "reason": "a\x00b"}, "reason", "contains NUL"),
        ("promoteModel", {"id": MISSING, "to": "STAGING", "reason": "x" * 4001}, "reason", "at most 4000"),
        ("promoteModel", {"id": MISSING, "to": "STAGING", "idempotencyKey": ""}, "idempotencyKey", "is empty"),
        ("promoteModel", {"id": KEY, "to": "STAGING", "idempotencyKey": "k" * 201}, "idempotencyKey", "at most 200"),
        ("promoteModels", {"items": [], "to": "STAGING"}, "items", "pass 1 to 100"),
        ("promoteModels", {"items": [{"id": MISSING}] * 2_000, "to": "STAGING"}, "items", "has 2000 items"),
        ("promoteModels", {"items": [{"id": MISSING}, {"id": KEY}], "to": "STAGING"}, "items[1].id", "second time"),
        ("promoteModels", {"items": [{"id": "x"}], "to": "STAGING"}, "items[0].id", "is not a UUID"),
        ("rollbackDeployment", {"id": KEY, "reason": "  "}, "reason", "is required for this change"),
        ("withdrawEnrollment", {"id": KEY}, "reason", "is required for this change"),
        ("completeSimulation", {"id": KEY, "simulatedAte": 0.5, "simulatedCiLower": 0.9, "simulatedCiUpper": 0.1,
                                "recommendation": "DEPLOY"}, "simulatedCiLower", "upside down"),
        ("completeSimulation", {"id": KEY, "simulatedAte": 0.5, "simulatedCiLower": 0.6, "simulatedCiUpper": 0.9,
                                "recommendation": "DEPLOY"}, "simulatedCiLower", "greater than the effect"),
        ("completeSimulation", {"id": KEY, "simulatedAte": 0.5, "simulatedCiLower": 0.1, "simulatedCiUpper": 0.4,
                                "recommendation": "DEPLOY"}, "simulatedCiUpper", "less than the effect"),
        ("recordActualEffect", {"id": KEY, "actualAte": 0.5, "actualCiLower": 0.9, "actualCiUpper": 0.1},
         "actualCiLower", "upside down"),
        ("approveReview", {"id": KEY, "validUntil": "2020-01-01"}, "validUntil", "is past"),
        ("moveTrial", {"id": KEY, "to": "COMPLETE"}, "value", "is needed to become COMPLETE"),
        ("moveEpisode", {"id": KEY, "to": "FAILED"}, "errorMessage", "is needed"),
        ("moveRetraining", {"id": KEY, "to": "DEPLOYED"}, "to", "it takes APPROVED, TRAINING, VALIDATING, COMPLETED"),
        ("recordEpisodeFeedback", {"id": KEY, "to": "SUCCESS", "userRating": 6}, "userRating", "pass 1 to 5"),
        ("rejectReview", {"id": KEY, "reason": "r", "concernsRaised": ["x"] * 101}, "concernsRaised", "at most 100"),
        ("rejectReview", {"id": KEY, "reason": "r", "concernsRaised": ["a", "\x00"]}, "concernsRaised[1]", "NUL"),
        ("recordSrmRootCause", {"id": KEY, "rootCause": " "}, "rootCause", "is empty"),
        ("recordSrmRootCause", {"id": KEY, "rootCause": "x" * 101}, "rootCause", "at most 100"),
        ("startDeployment", {"modelId": MISSING, "environment": "moon"}, "environment", "staging, production"),
        ("reportHealth", {"id": KEY, "windowMinutes": 0}, "windowMinutes", "out of range"),
        ("completeMonitoringRun", {"id": KEY, "overallHealthScore": 101}, "overallHealthScore", "0 to 100"),
        ("moveOptimizationRun", {"id": KEY, "to": "RUNNING", "baselineScore": -0.1}, "baselineScore", "0 to 1"),
        ("moveTrial", {"id": KEY, "to": "COMPLETE", "value": 1e4}, "value", "has 4 digits before the point"),
        ("moveTrial", {"id": KEY, "to": "COMPLETE", "value": -9999.9999995}, "value", "has 4 digits before the point"),
        ("completeRetraining", {"id": KEY, "newModelVersion": "v", "newMetricValue": 1e6}, "newMetricValue",
         "is too large: the column has 6 digits before the point"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "",
)  # fmt: skip
async def test_input_that_cannot_be_used(
    client: Client, sql: asyncpg.Connection, mutation: str, input_: dict[str, Any], field: str, words: str
) -> None:
    before = await sql.fetchval("SELECT count(*) FROM gateway.lifecycle_events")
    result = await change(client, mutation, **input_)
    assert (result["__typename"], result["code"], result["field"]) == ("InvalidInput", "INVALID_INPUT", field)
    assert words in result["message"]
    assert result["path"][0] == "input"
    assert await sql.fetchval("SELECT count(*) FROM gateway.lifecycle_events") == before


@pytest.mark.parametrize(
    ("mutation", "input_"),
    [
        ("promoteModel", {"id": MISSING, "to": "STAGING"}),
        ("setChampion", {"id": MISSING}),
        ("rollbackDeployment", {"id": KEY, "reason": "r"}),
        ("triggerRetraining", {"id": KEY}),
        ("recordActualEffect", {"id": KEY, "actualAte": 0.5}),
        ("reportHealth", {"id": KEY}),
    ],
)
async def test_an_unknown_id(client: Client, mutation: str, input_: dict[str, Any]) -> None:
    result = await change(client, mutation, **input_)
    assert (result["__typename"], result["code"], result["path"]) == ("NotFound", "NOT_FOUND", ["input", "id"])
    assert result["nodeId"] == input_["id"]


async def test_what_the_schema_refuses_is_an_error_before_anything_runs(client: Client) -> None:
    error = await client.error(f'mutation {{ promoteModel(input: {{id: "{MISSING}", to: MOON}}) {{ __typename }} }}')
    assert error["code"] == "GRAPHQL_VALIDATION_FAILED"
    answer = await client.ask(
        "mutation($i: CompleteSimulationInput!) { completeSimulation(input: $i) { __typename } }", i={"id": MISSING}
    )
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"BAD_USER_INPUT"}
    assert "simulatedAte" in answer["errors"][0]["message"]


async def test_a_number_that_the_column_cannot_hold(client: Client, sql: asyncpg.Connection) -> None:
    trial = await sql.fetchval(
        "UPDATE ml_hpo_trials SET state = 'RUNNING' WHERE id = (SELECT id FROM ml_hpo_trials LIMIT 1) RETURNING id"
    )
    result = await change(client, "moveTrial", id=str(trial), to="COMPLETE", value=1e300)
    assert (result["__typename"], result["field"]) == ("InvalidInput", "value")
    assert "has 4 digits before the point" in result["message"]
    assert await sql.fetchval("SELECT state FROM ml_hpo_trials WHERE id = $1", trial) == "RUNNING"


# -- the record ------------------------------------------------------------------------------------------------------


async def test_the_history_is_a_list_like_any_other(client: Client, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    for to in ("STAGING", "SHADOW", "STAGING", "ARCHIVED"):
        await change(client, "promoteModel", id=model, to=to, reason=f"to {to}")
    query = """query($id: ID!, $after: String) { model(id: $id) { lifecycle { state history(first: 3, after: $after) {
        totalCount nodes { fromState toState } pageInfo { hasNextPage endCursor }
        aggregate(groupBy: [{field: TO_STATE}]) { group { toState } count } } } } }"""
    found = (await client.data(query, id=model))["model"]["lifecycle"]
    assert found["state"] == "ARCHIVED"
    history = found["history"]
    assert history["totalCount"] == 4
    assert [node["toState"] for node in history["nodes"]] == ["ARCHIVED", "STAGING", "SHADOW"]
    assert {g["group"]["toState"]: g["count"] for g in history["aggregate"]} == {
        "ARCHIVED": 1,
        "STAGING": 2,
        "SHADOW": 1,
    }
    rest = (await client.data(query, id=model, after=history["pageInfo"]["endCursor"]))["model"]["lifecycle"]["history"]
    assert [node["toState"] for node in rest["nodes"]] == ["STAGING"]
    listed = await client.data(
        "query($where: LifecycleEventWhere!) { lifecycleEvents(where: $where) { nodes { reason node { id ... on Model "
        "{ stage } } } } }",
        where={"nodeId": {"eq": model}, "toState": {"eq": "SHADOW"}},
    )
    assert listed["lifecycleEvents"]["nodes"] == [{"reason": "to SHADOW", "node": {"id": model, "stage": "ARCHIVED"}}]


async def test_what_was_recorded_stays(own: Database, client: Client, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    await change(client, "promoteModel", id=model, to="STAGING")
    admin = await connect(own.admin_url)
    gateway = await connect(own.gateway_url)
    try:
        for statement in (
            "UPDATE gateway.lifecycle_events SET actor = 'me'",
            "DELETE FROM gateway.lifecycle_events",
            "DELETE FROM gateway.lifecycle_events WHERE false",
            "TRUNCATE gateway.lifecycle_events",
        ):
            for connection in (admin, sql):
                with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
                    await connection.execute(statement)
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                await gateway.execute(statement)
        async with admin.transaction():
            await admin.execute("SET LOCAL session_replication_role = replica")
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
                await admin.execute("DELETE FROM gateway.lifecycle_events")
    except asyncpg.InFailedSQLTransactionError:
        pass
    finally:
        await admin.close()
        await gateway.close()
    assert len(await events_of(sql, model)) == 1


# -- who may ---------------------------------------------------------------------------------------------------------


async def test_a_caller_who_may_not(own: Database, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    model = await model_in(sql, "shadow")
    monkeypatch.setattr(
        "gateway.auth.authentication.ANONYMOUS", Caller("reader", frozenset({*read_scopes(), "change:promoteModel"}))
    )
    async with serving(own.gateway_url) as client:
        result = await change(client, "setChampion", id=model)
        assert (result["__typename"], result["code"]) == ("Forbidden", "FORBIDDEN")
        assert result["message"] == "reader may not use setChampion: it needs the scope change."
        result = await change(client, "promoteModel", id=model, to="PRODUCTION", force=True, reason="r")
        assert result["message"] == "reader may not override guards: it needs the scope force."
        result = await change(client, "promoteModel", id=model, to="STAGING")
        assert result["event"]["actor"] == "reader"


async def test_keys_of_callers_are_their_own(
    own: Database, client: Client, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = await model_in(sql, "development")
    key = f"k-{model}"
    await change(client, "promoteModel", id=model, to="STAGING", idempotencyKey=key)
    monkeypatch.setattr("gateway.auth.authentication.ANONYMOUS", Caller("another", all_scopes()))
    async with serving(own.gateway_url) as other:
        result = await change(other, "promoteModel", id=model, to="SHADOW", idempotencyKey=key)
        assert (result["__typename"], result["replayed"]) == ("TransitionApplied", False)


async def test_mutations_have_a_price_and_limits(client: Client, own: Database, sql: asyncpg.Connection) -> None:
    model = await model_in(sql, "development")
    big = (
        "mutation($id: ID!) { promoteModel(input: {id: $id, to: STAGING}) { ... on TransitionApplied "
        "{ node { ... on Model { "
        "experiment { models(first: 1000) { nodes { deployments(first: 1000) { nodes { "
        "services(first: 1000) { nodes { id } } "
        "} } } } } } } } } }"
    )
    error = await client.error(big, id=model)
    assert error["code"] == "COST_LIMIT"
    assert await state(sql, model) == ("development", False)
    answer = await client.ask(
        "mutation($id: ID!) { promoteModel(input: {id: $id, to: STAGING}) { ... on TransitionApplied "
        "{ node { id } event { id "
        "} } } }",
        id=model,
    )
    cost = answer["extensions"]["cost"]
    assert cost["requested"] >= 2
    assert cost["statements"] > 2


async def test_changes_cannot_be_sent_by_get(client: Client) -> None:
    response = await client.http.get(
        "/graphql", params={"query": "mutation { expireOverdueReviews(input: {}) { __typename } }"}
    )
    assert response.status_code == 405


async def test_a_keys_input_is_compared_by_its_meaning(client: Client, sql: asyncpg.Connection) -> None:
    """What is left out or null, ids with and without their type and in any letters, and the spaces around a reason."""
    model = await model_in(sql, "development")
    type_, _, key = model.partition(":")
    for place, asked in enumerate(
        (
            {"id": model},
            {"id": key},
            {"id": key.upper()},
            {"id": f"{type_}:{key.upper()}"},
            {"id": model, "expectedVersion": None, "reason": None},
            {"id": model, "reason": "  ", "force": False},
        )
    ):
        result = await change(client, "promoteModel", to="STAGING", idempotencyKey="means", **asked)
        assert (result["__typename"], result.get("replayed")) == ("TransitionApplied", place > 0), asked
    for other in ({"id": model, "reason": "why"}, {"id": model, "expectedVersion": "1"}):
        result = await change(client, "promoteModel", to="STAGING", idempotencyKey="means", **other)
        assert (result["__typename"], result["field"]) == ("InvalidInput", "idempotencyKey")

"""Rows of entities over HTTP: made, changed and retired, each with an event, and several in one transaction."""

from __future__ import annotations

import json
import uuid
from typing import Any

import asyncpg
import pytest

from tests.support.callers import JWT, token
from tests.support.changing import add
from tests.support.client import Client, serving
from tests.support.databases import Database
from tests.support.platform_shaped import IS_PLATFORM
from tests.support.recording import ANSWER, record, write


def new() -> str:
    return uuid.uuid4().hex[:12]


async def events_of(sql: asyncpg.Connection, id_: str) -> list[dict[str, Any]]:
    rows = await sql.fetch(
        "SELECT mutation, lifecycle, from_state, to_state, actor, reason, details FROM gateway.lifecycle_events "
        "WHERE node_id = $1 ORDER BY occurred_at",
        id_,
    )
    return [{**row, "details": json.loads(row["details"])} for row in rows]


async def test_a_row_is_born_with_defaults_and_one_event(client: Client, sql: asyncpg.Connection) -> None:
    """Absent takes the column's default, null is null, the state is the initial one, and the actor is the caller."""
    experiment = await write(
        client, "createExperiment", "node { ... on Experiment { experimentName dataSplit createdBy } }",
        experimentName="churn", predictionTarget="churned", mlflowExperimentId=new(), dataSplit=None, reason="scoped",
    )  # fmt: skip
    assert (experiment["__typename"], experiment["inserted"], experiment["replayed"]) == ("Recorded", 1, False)
    assert experiment["node"] == {"experimentName": "churn", "dataSplit": None, "createdBy": "anonymous"}
    model = await write(
        client, "createModel", "node { ... on Model { stage isChampion hyperparameters } }",
        modelName=new(), modelVersion="1", algorithm="xgboost", experiment={"id": experiment["ids"][0]},
    )  # fmt: skip
    assert model["node"] == {"stage": "DEVELOPMENT", "isChampion": False, "hyperparameters": {}}
    (event,) = await events_of(sql, experiment["ids"][0])
    assert (event["mutation"], event["lifecycle"], event["from_state"], event["to_state"], event["reason"]) == (
        "createExperiment", "row", None, "BORN", "scoped",
    )  # fmt: skip
    (event,) = await events_of(sql, model["ids"][0])
    assert (event["lifecycle"], event["from_state"], event["to_state"]) == ("stage", None, "DEVELOPMENT")


async def test_conflicts_by_the_natural_key(client: Client, sql: asyncpg.Connection) -> None:
    """UPDATE leaves the state and what is not given; only what may be changed is."""
    name = new()
    key = {"modelName": name, "modelVersion": "1", "algorithm": "a"}
    first = await write(client, "createModel", **key, auc=0.5, featureCount=3)
    again = await write(client, "createModel", **key)
    assert [(one["code"], one["path"]) for one in again["rows"]] == [("NOT_UNIQUE", ["input", "modelName"])]
    assert again["message"] == "another Model has the same modelName and modelVersion; nothing was recorded."
    kept = await write(client, "createModel", **key, onConflict="KEEP", auc=0.75)
    assert (kept["kept"], kept["differing"], kept["ids"]) == (1, 1, first["ids"])
    await sql.execute("UPDATE ml_model_registry SET stage = 'staging' WHERE model_name = $1", name)
    select = "node { ... on Model { auc featureCount stage } }"
    updated = await write(client, "createModel", select, **key, onConflict="UPDATE", auc=0.75)
    assert (updated["updated"], updated["ids"]) == (1, first["ids"])
    assert updated["node"] == {"auc": 0.75, "featureCount": 3, "stage": "STAGING"}
    assert [event["to_state"] for event in await events_of(sql, first["ids"][0])] == ["DEVELOPMENT", "UPDATED"]
    unnamed = await write(
        client, "createExperiment", experimentName="a", predictionTarget="b", onConflict="KEEP", mlflowExperimentId=None
    )
    assert unnamed["rows"] == [
        {
            "code": "VALUE_MISSING", "row": 0, "path": ["input", "mlflowExperimentId"],
            "message": "mlflowExperimentId is needed for onConflict: KEEP",
        }
    ]  # fmt: skip


async def test_an_update_names_what_it_changed_and_what_stood_there(client: Client, sql: asyncpg.Connection) -> None:
    experiment = await add(sql, "ml_experiments", mlflow_experiment_id=new())
    model = await add(sql, "ml_model_registry", auc="0.51", feature_count=4, hyperparameters={"depth": 3})
    by = {"mlflowExperimentId": await sql.fetchval("SELECT mlflow_experiment_id FROM ml_experiments WHERE id = $1",
                                                   experiment)}  # fmt: skip
    select = "updated kept node { rowVersion ... on Model { auc featureCount experiment { rowId } } }"
    given = {"id": str(model), "auc": 0.625, "featureCount": None, "hyperparameters": {"depth": 3}, "experiment": by}
    answer = await write(client, "updateModel", select, **given, reason="measured anew")
    assert (answer["updated"], answer["kept"]) == (1, 0)
    assert {**answer["node"], "rowVersion": 0} == {
        "auc": 0.625, "featureCount": None, "experiment": {"rowId": str(experiment)}, "rowVersion": 0,
    }  # fmt: skip
    again = await write(client, "updateModel", "updated kept", **given)
    assert (again["updated"], again["kept"]) == (0, 1)
    (event,) = await events_of(sql, f"Model:{model}")
    assert (event["lifecycle"], event["to_state"], event["reason"]) == ("row", "UPDATED", "measured anew")
    before = {"auc": 0.51, "featureCount": 4, "experiment": None, "hyperparameters": {"depth": 3}}
    assert {**event["details"]["before"], "experiment": None} == before
    assert event["details"]["columns"] == ["experiment", "hyperparameters", "featureCount", "auc"]
    stale = await write(client, "updateModel", id=str(model), auc=0.7, expectedVersion="1")
    assert (stale["__typename"], stale["path"], stale["expected"]) == ("StaleVersion", ["input", "id"], "1")
    version = answer["node"]["rowVersion"]
    assert (await write(client, "updateModel", id=str(model), auc=0.7, expectedVersion=version))["updated"] == 1


async def test_the_row_of_several_is_the_first(client: Client, sql: asyncpg.Connection) -> None:
    service = str(await add(sql, "ml_bentoml_services"))
    rows = [{"service": {"id": service}, "recordedAt": f"2026-01-0{day}T00:00:00Z"} for day in (1, 2, 3)]
    made = await record(client, "recordServingMetrics", rows, "ids node { id } nodes { id }")
    assert [one["id"] for one in made["nodes"]] == made["ids"]
    assert made["node"] == made["nodes"][0]


async def test_what_cannot_be_changed_is_said(client: Client, sql: asyncpg.Connection) -> None:
    model = await add(sql, "ml_model_registry")
    missing = await write(client, "updateModel", id=str(uuid.uuid4()), auc=0.5)
    assert (missing["__typename"], missing["path"]) == ("NotFound", ["input", "id"])
    other = await write(client, "updateModel", id=f"Experiment:{uuid.uuid4()}", auc=0.5)
    assert (other["field"], "an id of Model is expected" in other["message"]) == ("id", True)
    nothing = await write(client, "updateModel", id=str(model))
    assert (nothing["__typename"], "names no column" in nothing["message"]) == ("InvalidInput", True)
    wrong = await write(
        client, "updateModel", id=str(model), algorithm=None, auc=7000, mlflowRunId="r" * 300,
        experiment={"mlflowExperimentId": "none"},
    )  # fmt: skip
    assert wrong["__typename"] == "RowsRejected"
    assert {(one["code"], *one["path"][1:]) for one in wrong["rows"]} == {
        ("VALUE_MISSING", "algorithm"), ("INVALID_VALUE", "auc"), ("INVALID_VALUE", "mlflowRunId"),
        ("NO_SUCH_ROW", "experiment", "mlflowExperimentId"),
    }  # fmt: skip
    state = await client.ask('mutation { updateModel(input: {id: "1", stage: PRODUCTION}) { __typename } }')
    assert "stage" in state["errors"][0]["message"]
    assert await sql.fetchval("SELECT count(*) FROM gateway.lifecycle_events WHERE node_id = $1", f"Model:{model}") == 0


async def test_a_row_that_is_made_does_not_name_itself(client: Client, sql: asyncpg.Connection) -> None:
    """It is not there yet."""
    id_ = str(uuid.uuid4())
    prompt = {"id": id_, "promptName": new(), "systemPrompt": "s"}
    refused = await write(client, "createPromptConfiguration", **prompt, parentPrompt={"id": id_})
    assert [(one["code"], one["path"]) for one in refused["rows"]] == [("NO_SUCH_ROW", ["input", "parentPrompt", "id"])]
    assert (await write(client, "createPromptConfiguration", **prompt))["inserted"] == 1


async def test_what_the_database_refuses_has_its_place(client: Client, sql: asyncpg.Connection) -> None:
    """A trigger's word, a check and a unique index, which no rule of the gateway's knows of."""
    await sql.execute("ALTER TABLE ml_feature_store ADD CONSTRAINT ranks CHECK (importance_rank > 0)")
    wrong = await write(client, "createFeature", featureName=new(), dataType="float", importanceRank=0)
    assert [(one["code"], one["path"]) for one in wrong["rows"]] == [("CHECK_FAILED", ["input", "importanceRank"])]
    feature = await write(client, "createFeature", featureName=new(), dataType="float")
    wrong = await write(client, "updateFeature", id=feature["ids"][0], importanceRank=-1)
    assert [(one["code"], one["path"]) for one in wrong["rows"]] == [("CHECK_FAILED", ["input", "importanceRank"])]
    if IS_PLATFORM:  # where no trigger keeps what is locked
        return
    cohort = await add(sql, "ml_cohort_definitions", status="locked")
    locked = await write(client, "updateCohortDefinition", id=cohort, lookbackDays=1)
    assert (locked["__typename"], locked["rows"][0]["code"]) == ("RowsRejected", "REFUSED_BY_DATABASE")
    assert "lock" in locked["message"]


async def test_retiring(client: Client, sql: asyncpg.Connection) -> None:
    view = await write(client, "createFeatureView", name=new())
    (id_,) = view["ids"]
    retired = await write(client, "retireFeatureView", "updated node { ... on FeatureView { deletedAt } }", id=id_)
    assert (retired["updated"], retired["node"]["deletedAt"] is not None) == (1, True)
    assert (await write(client, "retireFeatureView", "kept", id=id_))["kept"] == 1
    assert [event["to_state"] for event in await events_of(sql, id_)] == ["BORN", "RETIRED"]


async def test_keys_and_dry_runs(client: Client, sql: asyncpg.Connection) -> None:
    given = {"reportName": new(), "overallStatus": "PASSED", "expectationsEvaluated": 1, "expectationsPassed": 1,
             "expectationsFailed": 0, "dataSplit": "TRAIN"}  # fmt: skip
    dry = await write(client, "createDataQualityReport", "node { id }", **given, dryRun=True)
    assert (dry["inserted"], dry["dryRun"], dry["ids"], dry["node"]) == (1, True, [], None)
    first = await write(client, "createDataQualityReport", **given, idempotencyKey=given["reportName"])
    again = await write(client, "createDataQualityReport", **given, idempotencyKey=given["reportName"])
    assert (first["replayed"], again["replayed"], again["ids"]) == (False, True, first["ids"])
    await sql.execute("DELETE FROM gateway.idempotency_keys")
    late = await write(client, "createDataQualityReport", **given, idempotencyKey=given["reportName"])
    assert (late["kept"], late["ids"]) == (1, first["ids"])
    name = given["reportName"]
    assert await sql.fetchval("SELECT count(*) FROM ml_data_quality_reports WHERE report_name = $1", name) == 1
    view = await write(client, "createFeatureView", name=name)
    change = {"id": view["ids"][0], "owner": "me", "idempotencyKey": f"{name}-u"}
    assert (await write(client, "updateFeatureView", "updated", **change, dryRun=True))["updated"] == 1
    assert await sql.fetchval("SELECT owner FROM ml_feast_feature_views WHERE name = $1", name) is None
    assert (await write(client, "updateFeatureView", "updated", **change))["updated"] == 1
    replayed = await write(client, "updateFeatureView", "updated", **change)
    assert (replayed["updated"], replayed["replayed"], replayed["ids"]) == (1, True, view["ids"])


PIPELINE = f"""
    mutation Train($exp: String!, $run: UUID!, $study: String!, $trials: [HpoTrialRow!]!) @transaction {{
      experiment: createExperiment(input: {{
        experimentName: "churn", predictionTarget: "churned", mlflowExperimentId: $exp
      }}) {{ {ANSWER} }}
      study: createHpoStudy(input: {{
        studyName: $study, algorithmName: "xgboost", problemType: "binary", metric: "roc_auc",
        experiment: {{mlflowExperimentId: $exp}}
      }}) {{ {ANSWER} }}
      trials: recordHpoTrials(input: {{rows: $trials}}) {{ {ANSWER} }}
      run: createTrainingRun(input: {{
        id: $run, algorithm: "xgboost", trainingSamples: 100, experiment: {{mlflowExperimentId: $exp}}
      }}) {{ {ANSWER} }}
      report: createDataQualityReport(input: {{
        reportName: "r", overallStatus: PASSED, expectationsEvaluated: 1, expectationsPassed: 1,
        expectationsFailed: 0, dataSplit: TRAIN, trainingRun: {{id: "00000000-0000-4000-8000-000000000000"}}
      }}) {{ {ANSWER} }}
    }}
"""


async def test_a_pipeline_in_one_transaction(client: Client, sql: asyncpg.Connection) -> None:
    """Rows name each other by keys that are given with them; what is wrong in one undoes all."""
    exp, run, study = new(), str(uuid.uuid4()), new()
    trials = [{"study": {"studyName": study}, "trialNumber": n, "state": "COMPLETE", "value": n / 10} for n in range(5)]
    variables = {"exp": exp, "run": run, "study": study, "trials": trials}
    stopped = await client.data(PIPELINE, **variables)
    assert stopped["report"]["rows"][0]["path"] == ["input", "trainingRun", "id"]
    assert stopped["experiment"]["__typename"] == "TransactionUndone"
    assert await sql.fetchval("SELECT count(*) FROM ml_experiments WHERE mlflow_experiment_id = $1", exp) == 0
    whole = await client.data(PIPELINE.replace('"00000000-0000-4000-8000-000000000000"', f'"{run}"'), **variables)
    assert {name: one["inserted"] for name, one in whole.items()} == {
        "experiment": 1, "study": 1, "trials": 5, "run": 1, "report": 1,
    }  # fmt: skip


async def test_scopes(own: Database, sql: asyncpg.Connection) -> None:
    """A recorder makes and changes rows without reading; what is known of patients needs a scope of its own."""
    name = new()
    async with serving(own.gateway_url, **JWT) as client:
        client.http.headers["authorization"] = f"Bearer {token('write:mlops_core')}"
        made = await write(client, "createModel", modelName=name, modelVersion="1", algorithm="a")
        assert made.get("inserted") == 1, made
        assert (await write(client, "updateModel", id=made["ids"][0], auc=0.5))["updated"] == 1
        model = {"version": {"modelName": name, "modelVersion": "1"}}
        shap = {"model": model, "analysisType": "local", "patientId": "p1"}
        refused = await write(client, "createShapAnalysis", **shap)
        assert (refused["__typename"], "patientId" in refused["message"]) == ("Forbidden", True)
        assert (await write(client, "createFeatureView", name=name))["code"] == "FORBIDDEN"
        shown = await client.ask(
            "mutation($i: CreateShapAnalysisInput!) { createShapAnalysis(input: $i) { ... on Recorded { "
            "inserted node { id } } } }",
            i={"model": model, "analysisType": "global"},
        )
        assert shown["data"]["createShapAnalysis"] == {"inserted": 1, "node": None}
        assert shown["errors"][0]["extensions"]["code"] == "FORBIDDEN_FIELD"
        client.http.headers["authorization"] = f"Bearer {token('write', 'patient')}"
        made = await write(client, "createShapAnalysis", **shap)
        assert made.get("inserted") == 1, made
        row = {"patientJourneyId": name, "isEligible": True}
        assert made["ids"][0].startswith("ShapAnalysis:")
        cohort = await add(sql, "ml_cohort_definitions")
        execution = await add(sql, "ml_cohort_executions", cohort_id=cohort)
        row |= {"cohort": {"id": cohort}, "execution": {"id": execution}}
        assert (await record(client, "recordPatientCohortAssignments", [row], "ids"))["ids"] == [
            f"PatientCohortAssignment:{name}:{cohort}:{execution}"
        ]
        client.http.headers["authorization"] = f"Bearer {token('write')}"
        refused = await record(client, "recordPatientCohortAssignments", [row])
        assert (refused["__typename"], "patient" in refused["message"]) == ("Forbidden", True)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ('[{unitId: "secret-1", unitType: HCP, variant: "a"}]', "to include required field 'experiment'."),
        ('[{unitId: "secret-1", unitTyp: HCP}]', "not to include unknown field 'unitTyp'"),
        ('["secret-1"]', "to be an object."),
        ('[{unitId: {a: "secret-1"}, experiment: {id: "1"}, unitType: HCP, variant: "a"}]', "'String!'."),
        ('[{unitId: "u", experiment: {ids: "secret-1"}, unitType: HCP, variant: "a"}]', "unknown field 'ids'"),
    ],
)
async def test_errors_of_literals_quote_no_row(client: Client, rows: str, said: str) -> None:
    """As those of variables: they say where a value stands, and what would be right."""
    answer = await client.ask(f"mutation {{ recordAssignments(input: {{rows: {rows}}}) {{ __typename }} }}")
    messages = [error["message"] for error in answer["errors"]]
    assert any(said in message for message in messages), messages
    assert "secret" not in json.dumps(answer)
    assert "HCP" not in json.dumps(answer)
    if "unitTyp'" in said:  # what was probably meant is a name of the schema
        assert any("'unitType'" in message for message in messages), messages

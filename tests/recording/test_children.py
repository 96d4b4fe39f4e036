"""Rows that are made within the input of the row that they are part of: one transaction, exact paths, once a key."""

from __future__ import annotations

import json
import uuid
from typing import Any

import asyncpg
import pytest

from db.base.vocabulary import entities
from schema.recording.record_types import ChildRows, RecordType, child_rows, record_types
from tests.recording.test_recordable_types import row_of
from tests.support.callers import JWT, token
from tests.support.client import Client, serving
from tests.support.databases import Database
from tests.support.recording import write

CHILDREN = "children { field type inserted updated kept differing differingRows { row nodeId fields } ids }"
PARTS = [(parent, one) for parent in sorted(record_types()) for one in child_rows(parent).values()]


def new() -> str:
    return uuid.uuid4().hex[:12]


def study(name: str, *numbers: int, **given: Any) -> dict[str, Any]:
    trials = [
        {"trialNumber": number, "state": "COMPLETE", "params": {"depth": number}, "value": 0.5} for number in numbers
    ]
    return {
        "studyName": name, "algorithmName": "xgboost", "metric": "auc", "direction": "maximize",
        "problemType": "binary", "searchSpace": {}, "nTrials": 9, "trials": trials, **given,
    }  # fmt: skip


async def trials_of(sql: asyncpg.Connection, name: str) -> list[int]:
    rows = await sql.fetch(
        "SELECT t.trial_number FROM ml_hpo_trials AS t JOIN ml_hpo_studies AS s ON s.id = t.study_id "
        "WHERE s.study_name = $1 ORDER BY 1",
        name,
    )
    return [row[0] for row in rows]


def test_what_is_part_of_what() -> None:
    """Facts that are declared so, each in the list that its parent has of them."""
    assert [f"{parent}.{one.name}" for parent, one in PARTS] == [
        "CohortExecution.eligibilityLog", "ComposerEpisode.steps", "DiscoveredDag.algorithmRuns", "DiscoveredDag.edges",
        "DriverRanking.featureRankings", "HpoStudy.trials", "RoiCalculation.valueDrivers", "RoiCalculation.costs",
        "Tool.consumes",
    ]  # fmt: skip
    for parent, one in PARTS:
        assert one.column not in {field.column for field in one.fields.values()}
        assert entities()[parent].__record__ is not None


@pytest.mark.parametrize(("parent", "children"), PARTS, ids=lambda one: one.name if isinstance(one, ChildRows) else one)
async def test_a_row_is_made_with_those_that_are_part_of_it(
    client: Client, sql: asyncpg.Connection, parent: str, children: ChildRows
) -> None:
    """Each list of each type, with what is required; the reference to the row is filled in."""
    one = record_types()[parent]
    labelled = any(children.type.type.column_kind(column).labels for column in children.type.key)
    rows = [await child_of(sql, children.type, n, children) for n in range(1 if labelled else 3)]
    row = await row_of(sql, one, 1, whole=False) | {children.name: rows}
    if "id" in row:
        row["id"] = new()
    answer = await write(client, f"create{parent}", CHILDREN, **row)
    assert answer["__typename"] == "Recorded", answer
    (made,) = answer["children"]
    assert (answer["inserted"], made["inserted"], made["field"], made["type"]) == (
        1, len(rows), children.name, children.type.name,
    )  # fmt: skip
    table, (key,) = children.type.type.sql_name, children.type.type.key
    found = await sql.fetch(
        f"SELECT {children.column}::text FROM {table} WHERE {key}::text = ANY ($1)",
        [id_.split(":", 1)[1] for id_ in made["ids"]],
    )
    assert [f"{parent}:{row[0]}" for row in found] == answer["ids"] * len(rows)


async def child_of(sql: asyncpg.Connection, one: RecordType, n: int, children: ChildRows) -> dict[str, Any]:
    row = await row_of(sql, one, n, whole=False)
    return {name: value for name, value in row.items() if name in children.fields}


async def test_it_is_one_operation_with_its_own_records(client: Client, sql: asyncpg.Connection) -> None:
    """An event of the row that counts them, one record of each list, and once for each key."""
    name = new()
    given = study(name, 0, 1, 2)
    first = await write(client, "createHpoStudy", CHILDREN, **given, idempotencyKey=name)
    again = await write(client, "createHpoStudy", CHILDREN, **given, idempotencyKey=name)
    assert (first["replayed"], again["replayed"]) == (False, True)
    assert (first["ids"], first["children"]) == (again["ids"], again["children"])
    assert await trials_of(sql, name) == [0, 1, 2]
    other = await write(client, "createHpoStudy", **study(name, 0, 1), idempotencyKey=name)
    assert (other["__typename"], other["field"]) == ("InvalidInput", "idempotencyKey")
    event = await sql.fetchval("SELECT details FROM gateway.lifecycle_events WHERE node_id = $1", first["ids"][0])
    assert json.loads(event) == {"children": {"trials": 3}}
    recorded = await sql.fetchrow("SELECT * FROM gateway.recordings ORDER BY recorded_at DESC LIMIT 1")
    assert (recorded["mutation"], recorded["node_type"], recorded["inserted"]) == ("createHpoStudy", "HpoTrial", 3)


async def test_everything_that_is_wrong_is_told_with_its_place(client: Client, sql: asyncpg.Connection) -> None:
    """Of the row and of those within it, at once; what the database alone knows, too."""
    name = new()
    given = study(name, 0, 0, 2, experiment={"mlflowExperimentId": "none"})
    given["trials"][2]["value"] = 1e9
    wrong = await write(client, "createHpoStudy", **given)
    assert wrong["__typename"] == "RowsRejected"
    assert [(one["code"], one["path"], one["row"]) for one in wrong["rows"]] == [
        ("NO_SUCH_ROW", ["input", "experiment", "mlflowExperimentId"], 0),
        ("DUPLICATE", ["input", "trials", "1", "trialNumber"], 1),
        ("INVALID_VALUE", ["input", "trials", "2", "value"], 2),
    ]
    await sql.execute("ALTER TABLE ml_hpo_trials ADD CONSTRAINT odd CHECK (trial_number <> 13)")
    try:
        refused = await write(client, "createHpoStudy", **study(name, 11, 12, 13))
    finally:
        await sql.execute("ALTER TABLE ml_hpo_trials DROP CONSTRAINT odd")
    assert refused["message"] == (
        "trials[2]: a check of the database does not allow its trialNumber; nothing was recorded."
    )
    assert refused["path"] == ["input", "trials", "2", "trialNumber"]
    error = await client.error(
        "mutation($r: CreateHpoStudyInput!) { createHpoStudy(input: $r) { __typename } }",
        r=study(name) | {"trials": [{"trialNumber": 1, "state": "FAIL", "params": {}, "study": {"id": "x"}}]},
    )
    assert "$r.trials[0]" in json.dumps(error)
    assert await sql.fetchval("SELECT count(*) FROM ml_hpo_studies WHERE study_name = $1", name) == 0


async def test_a_row_that_is_there_gets_those_that_it_lacks(client: Client, sql: asyncpg.Connection) -> None:
    name = new()
    first = await write(client, "createHpoStudy", CHILDREN, **study(name, 0, 1))
    given = study(name, 1, 2)
    given["trials"][0]["value"] = 0.75
    again = await write(client, "createHpoStudy", CHILDREN, **given, onConflict="KEEP")
    (trials,) = again["children"]
    assert (again["kept"], again["ids"]) == (1, first["ids"])
    assert (trials["inserted"], trials["kept"], trials["differing"]) == (1, 1, 1)
    assert trials["differingRows"] == [{"row": 0, "nodeId": trials["ids"][0], "fields": ["value"]}]
    assert trials["ids"][0] == first["children"][0]["ids"][1]
    assert await trials_of(sql, name) == [0, 1, 2]
    updated = await write(client, "createHpoStudy", CHILDREN, **given, onConflict="UPDATE")
    assert updated["children"][0]["updated"] == 1


async def test_rows_without_a_key_are_not_made_twice_by_chance(client: Client, sql: asyncpg.Connection) -> None:
    one = record_types()["RoiCalculation"]
    costs = child_rows("RoiCalculation")["costs"]
    row = await row_of(sql, one, 1, whole=False) | {"id": str(uuid.uuid4()), "onConflict": "KEEP"}
    row["costs"] = [await child_of(sql, costs.type, n, costs) for n in range(2)]
    if "onConflict" not in (await inputs(client, "CreateRoiCalculationInput")):
        del row["onConflict"]
        for replayed in (False, True):
            answer = await write(client, "createRoiCalculation", CHILDREN, **row, idempotencyKey="k")
            assert (answer["replayed"], len(set(answer["children"][0]["ids"]))) == (replayed, 2)
        return
    refused = await write(client, "createRoiCalculation", **row)
    assert (refused["__typename"], refused["field"]) == ("InvalidInput", "costs")


async def inputs(client: Client, name: str) -> set[str]:
    data = await client.data(f'{{ __type(name: "{name}") {{ inputFields {{ name }} }} }}')
    return {field["name"] for field in data["__type"]["inputFields"]}


async def test_limits_prices_and_dry_runs(client: Client, sql: asyncpg.Connection) -> None:
    name = new()
    many = await write(client, "createHpoStudy", **study(name, *range(1_000)))
    assert many["message"] == ("trials: makes 1,001 rows of the input; pass 1,000 at most, the row itself included")
    document = "mutation($r: CreateHpoStudyInput!) { createHpoStudy(input: $r) { __typename } }"
    alone = await client.cost(document, r=study(name))
    cost = (await client.cost(document, r=study(name, *range(50))))["requested"] - alone["requested"]
    assert 50 <= cost < 60
    name = new()
    tried = await write(client, "createHpoStudy", CHILDREN, **study(name, 0, 1), dryRun=True)
    assert (tried["inserted"], tried["dryRun"], tried["ids"]) == (1, True, [])
    assert [(one["inserted"], one["ids"]) for one in tried["children"]] == [(2, [])]
    assert await trials_of(sql, name) == []
    shown = await write(client, "createHpoStudy", "wouldChange { type before after }", **study(name, 7), dryRun=True)
    row, trial = shown["wouldChange"]
    assert (row["type"], row["before"], row["after"]["studyName"]) == ("HpoStudy", None, name)
    assert (trial["type"], trial["before"], trial["after"]["trialNumber"]) == ("HpoTrial", None, 7)
    assert "studyId" not in trial["after"]
    key = str(uuid.uuid4())  # which the caller has named, and so it will be
    named = await write(client, "createHpoStudy", "wouldChange { after }", **study(new(), 7, id=key), dryRun=True)
    assert named["wouldChange"][1]["after"]["studyId"] == key
    none = await write(client, "createHpoStudy", CHILDREN, **study(name))
    assert (none["inserted"], none["children"]) == (1, [])


async def test_with_others_in_one_transaction(client: Client, sql: asyncpg.Connection) -> None:
    """What follows names the row; a problem behind it undoes the row and those within it."""
    name, key = new(), str(uuid.uuid4())
    document = """mutation($study: CreateHpoStudyInput!, $more: [HpoTrialRow!]!) @transaction {
        a: createHpoStudy(input: $study) { __typename ... on Recorded { children { inserted } } }
        b: recordHpoTrials(input: {rows: $more}) { __typename ... on Recorded { inserted } ... on Problem { code } }
    }"""
    given = study(name, 0, 1, id=key)
    taken = {"study": {"id": key}, "trialNumber": 1, "state": "COMPLETE", "params": {}}
    undone = await client.data(document, study=given, more=[taken])
    assert (undone["a"]["__typename"], undone["b"]["__typename"]) == ("TransactionUndone", "RowsRejected")
    assert await trials_of(sql, name) == []
    made = await client.data(document, study=given, more=[taken | {"trialNumber": 2}])
    assert (made["a"]["children"], made["b"]["inserted"]) == ([{"inserted": 2}], 1)
    assert await trials_of(sql, name) == [0, 1, 2]


async def test_the_scopes_of_both_are_needed(own: Database, sql: asyncpg.Connection) -> None:
    async with serving(own.gateway_url, **JWT) as client:
        client.http.headers["authorization"] = f"Bearer {token('write:mlops_core')}"
        refused = await write(client, "createHpoStudy", **study(new(), 0))
        assert refused["__typename"] == "Forbidden"
        client.http.headers["authorization"] = f"Bearer {token('recorder')}"
        assert (await write(client, "createHpoStudy", **study(new(), 0)))["inserted"] == 1

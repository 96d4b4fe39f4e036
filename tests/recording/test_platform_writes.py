"""Every kind of write that the platform makes by hand is one operation of the gateway's.

``platform_writes.csv`` has the kinds and, as its last columns, the operation that takes each one's place and who writes
it today: a method of its ``code``, the ``database`` itself, a ``seed``, or ``nobody`` yet.
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from db.base.entity import camel
from db.base.lifecycles import Change, Lifecycle, lifecycle_of, lifecycles
from db.base.vocabulary import Entity, entities, table_of
from schema.changes.mutations import mutations
from schema.recording.record_types import (
    entity_mutations,
    purge_mutations,
    recording_mutations,
)
from schema.schema import build
from tests.changes.test_lifecycles import READY, literal
from tests.changes.test_lifecycles import sample as sample_given
from tests.recording.test_recordable_types import row_of, sample
from tests.support.changing import add, change, rivals
from tests.support.client import Client
from tests.support.recording import record, write

SPEC = Path(__file__).parents[1] / "spec" / "platform_writes.csv"
PAGE = Path(__file__).parents[2] / "gateway" / "docs" / "reference" / "platform-writes.md"
KINDS = list(csv.DictReader(SPEC.read_text().splitlines()))
STATES = {
    "moveDeployment": "ACTIVE", "moveStep": "COMPLETED", "moveTrial": "COMPLETE", "moveRetraining": "TRAINING",
    "completeTrainingRun": "FINISHED", "promoteModel": "STAGING", "moveOptimizationRun": "RUNNING",
    "moveService": "FAILED", "moveMaterializationJob": "SUCCESS",
}  # fmt: skip
"""Where moves lead that have the choice."""

build()  # whose mutations bring the functions that lifecycles name


def kind_name(kind: dict[str, str]) -> str:
    return f"{KINDS.index(kind) + 1} {kind['table']} {kind['operation']} by {kind['gateway']}"


def columns_of(kind: dict[str, str]) -> Iterable[str]:
    """The columns of the dictionary that a kind names word by word."""
    table = Entity.metadata.tables[kind["table"]]
    return [name for name in re.findall(r"[a-z_0-9]+", kind["columns written"]) if name in table.columns]


def test_every_kind_has_an_operation() -> None:
    assert len(KINDS) == 109
    assert sum(kind["by"] == "code" for kind in KINDS) == 74
    for kind in KINDS:
        is_deleted = "delete" in kind["operation"] and kind["operation"] != "soft delete"
        known = purge_mutations() if is_deleted else {**mutations(), **recording_mutations()}
        assert kind["gateway"] in known, kind_name(kind)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind["gateway"] in recording_mutations()], ids=kind_name)
def test_what_the_platform_writes_is_an_input_or_the_servers(kind: dict[str, str]) -> None:
    one = recording_mutations()[kind["gateway"]]
    made = one.type.table.fullname
    if made != kind["table"]:
        return  # a trigger's or an effect's work
    is_update = kind["gateway"].startswith("update")
    taken = {field.column for field in one.changeable.values()} if is_update else {*one.by_column, *one.plan.server}
    assert set(columns_of(kind)) <= taken, kind_name(kind)


def page() -> str:
    """The kinds as a table, by area."""
    gone = sum(kind["gateway"] in purge_mutations() for kind in KINDS)
    by = Counter(kind["by"] for kind in KINDS)
    words = (
        f"The {len(KINDS)} kinds of writes of the platform, and the mutation that takes the place of each: all are one "
        f"operation. {by['code']} are made by methods of its code, {by['database']} by triggers and functions of its "
        f"database, {by['seed']} by seeds; {by['nobody']} have a table and nobody who writes it yet. {gone} are "
        "deletes by retention, which a policy does as well (`e2i-gateway db retention`). "
        "`test_platform_writes.py` runs each. [Recording](recording.md) has the rules."
    )
    lines = [
        "# Writes of the platform",
        "",
        "<!-- Made from tests/spec/platform_writes.csv by `make snapshot`; changes belong there. -->",
        "",
        words,
        "",
        "| table | write | by | mutation | natural key | batch |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for kind in KINDS:
        cells = (
            f"`{kind['table']}`", kind["operation"], kind["by"], f"`{kind['gateway']}`", kind["natural key"]
        )  # fmt: skip
        lines += [f"| {' | '.join(cells)} | {kind['typical batch']} |"]
    return "\n".join(lines) + "\n"


def test_the_page_is_current() -> None:
    if os.environ.get("UPDATE_SNAPSHOTS"):
        PAGE.write_text(page())
    assert PAGE.read_text() == page(), "the table says other than the page: run `make snapshot` and read the diff"


# -- each of them, end to end ------------------------------------------------------------------------------------------


async def born(client: Client, sql: asyncpg.Connection, mutation: str, kind: dict[str, str]) -> None:
    """A row with what the platform gives, made by the mutation."""
    one = recording_mutations()[mutation]
    row = await row_of(sql, one, KINDS.index(kind), whole=False)
    for column in columns_of(kind):
        field = one.by_column.get(column)
        if field is not None and field.name not in row and field.name != "id" and field.reference is None:
            row[field.name] = sample(one, field, KINDS.index(kind))
    if one.is_fact:
        answer = await record(client, mutation, [row], "ids")
    else:
        answer = await write(client, mutation, **row)
    assert answer["__typename"] == "Recorded", answer
    assert (answer["inserted"], len(answer["ids"])) == (1, 1)


async def updated(client: Client, sql: asyncpg.Connection, mutation: str, kind: dict[str, str]) -> None:
    one = entity_mutations()[mutation].type
    id_ = await added(sql, one.name)
    given = {
        field.name: sample(one, field, 7)
        for field in one.changeable.values()
        if field.column in columns_of(kind) and field.reference is None
    }
    if "link to a real experiment" in kind["columns written"]:
        given = {"experimentDesignId": str(await add(sql, "ml_experiments"))}
    assert given
    assert (await write(client, mutation, id=id_, **given))["updated"] == 1


async def added(sql: asyncpg.Connection, name: str, **columns: Any) -> str:
    """A row as the platform would have made it."""
    return f"{name}:{await add(sql, table_of(entities()[name]).fullname, **columns)}"


async def special(client: Client, sql: asyncpg.Connection, mutation: str) -> dict[str, Any]:
    """The input of a mutation that is no move of one row alone."""
    match mutation:
        case "setChampion":
            _, other = await rivals(sql, "production", "shadow")
            input_ = {"id": other}
        case "startDeployment":
            given = {"endpointUrl": "https://serving/1", "deploymentConfig": {"replicas": 2}}
            input_ = {"modelId": await added(sql, "Model"), "environment": "production", **given}
        case "rollbackDeployment":
            before = (await added(sql, "Deployment", status="draining", environment="staging")).split(":")[1]
            columns = {"status": "deploying", "environment": "staging", "previous_deployment_id": before}
            input_ = {"id": await added(sql, "Deployment", **columns), "reason": "it was slow"}
        case "requestReview":
            given = {"treatmentVariable": "visits", "outcomeVariable": "sales", "checklistJson": {"confounders": None}}
            input_ = {"reviewType": "DAG_APPROVAL", "reviewerId": "r", **given}
        case "recordActualEffect":
            tracked = await add(sql, "twin_simulations", simulation_status="completed", simulated_ate=0.3)
            await add(sql, "twin_fidelity_tracking", simulation_id=tracked)
            input_ = {"id": f"TwinSimulation:{tracked}", "actualAte": 0.2}
        case "recordProtocolDeviation":
            input_ = {"id": await added(sql, "Enrollment"), "deviation": {"missed": "a visit"}}
        case "recordKnowledgeApplication":
            input_ = {"id": await added(sql, "ExperimentKnowledge"), "succeeded": True}
        case "reportHealth":
            input_ = {"id": await added(sql, "BentoService"), "healthStatus": "UNHEALTHY"}
        case _:
            raise AssertionError(mutation)
    return input_


def moves() -> dict[str, tuple[Lifecycle, Change]]:
    return {change.name: (one, change) for one in lifecycles() for change in one.changes}


async def moved(sql: asyncpg.Connection, mutation: str) -> dict[str, Any]:
    """The input of a move, whose row is in a state that it leaves."""
    lifecycle, how = moves()[mutation]
    to = lifecycle.states[STATES[mutation]] if how.target is None else how.target
    origin = next(state for state in lifecycle.states if to in lifecycle.allowed(state))
    id_ = await added(sql, lifecycle.entity)
    table, (key, *_) = table_of(entities()[lifecycle.entity]), build().catalogue[lifecycle.entity].key
    where = f"{key}::text = '{id_.split(':')[1]}'"
    async with sql.transaction():
        await sql.execute("SET LOCAL session_replication_role = replica")
        await sql.execute(
            f"UPDATE {table.fullname} SET {lifecycle.column} = {literal(lifecycle, origin)} WHERE {where}"
        )
    for statement in READY.get(f"{lifecycle.key}.{to.name}", []):
        await sql.execute(statement.replace("{row}", where))
    wanted = [name for name, given in how.given.items() if given.required] + list(how.needs.get(to, ()))
    if mutation == "approveReview":
        wanted += ["checklist_json", "valid_until"]
    input_ = {camel(name): sample_given(how.given[name], name) for name in wanted}
    if mutation == "moveStep":
        input_["latencyMs"] = 12.0  # which the platform's trigger measures
    return input_ | {"id": id_, "reason": "a test"} | ({} if how.target else {"to": to.name})


async def purged(client: Client, sql: asyncpg.Connection, mutation: str) -> None:
    """A row that is old and ended goes, and one of now stays."""
    one = purge_mutations()[mutation]
    retention, lifecycle = one.plan.declared.retention, lifecycle_of(one.name)
    assert retention is not None
    columns = {}
    if retention.states and lifecycle is not None:
        columns[lifecycle.column] = lifecycle.text(lifecycle.states[retention.states[0]])
    old, young = [
        (await added(sql, one.name, **columns, **{retention.by: time})).split(":")[1]
        for time in ("1999-01-01T00:00:00Z", "2999-01-01T00:00:00Z")
    ]
    data = await client.data(
        f'mutation {{ result: {mutation}(input: {{before: "2000-01-01T00:00:00Z"}}) {{ ... on Purged {{ purged }} }} }}'
    )
    assert data["result"] == {"purged": 1}
    (key,) = one.type.key
    left = await sql.fetch(f"SELECT {key}::text FROM {one.type.sql_name} WHERE {key}::text = ANY ($1)", [old, young])
    assert [row[0] for row in left] == [young]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=kind_name)
async def test_each_kind_is_one_operation(client: Client, sql: asyncpg.Connection, kind: dict[str, str]) -> None:
    """It is answered, and the row says so."""
    mutation = kind["gateway"]
    if mutation in recording_mutations():
        if mutation.startswith("update"):
            await updated(client, sql, mutation, kind)
        elif mutation.startswith("retire"):
            answer = await write(client, mutation, id=await added(sql, entity_mutations()[mutation].type.name))
            assert answer["updated"] == 1
        else:
            await born(client, sql, mutation, kind)
        return
    if mutation in purge_mutations():
        await purged(client, sql, mutation)
        return
    input_ = await moved(sql, mutation) if mutation in moves() else await special(client, sql, mutation)
    answer = await change(client, mutation, **input_)
    assert answer["__typename"] == "TransitionApplied", answer

"""Every lifecycle as its data say it: each allowed and each forbidden move, asked for over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import date
from typing import Any

import asyncpg
import pytest
from sqlalchemy.types import ARRAY, JSON, Boolean, Date, Float, Integer, Numeric, String

from db.base.effects import effects
from db.base.entity import camel
from db.base.lifecycles import Change, Given, Lifecycle, lifecycles
from db.base.vocabulary import Labels, entities, key_columns, table_of
from schema.catalogue.from_models import catalogue
from schema.changes.mutations import mutations
from schema.changes.registry import CHECKS, EFFECTS
from schema.schema import build
from tests.support.client import Client
from tests.support.databases import Database, connect
from tests.support.platform_shaped import IS_PLATFORM

build()  # whose mutations bring the functions that lifecycles name

BY_SPECIAL_MUTATION = {"Model.champion": "setChampion", "BentoService.health": "reportHealth"}
"""Lifecycles whose moves are mutations of their own kind; tested by hand in test_special_changes."""

Move = tuple[Lifecycle, Change, Labels, Labels]


def moves(lifecycle: Lifecycle, *, allowed: bool) -> Iterator[Move]:
    for change in lifecycle.changes:
        for origin in lifecycle.states:
            for to in change.to or lifecycle.states:
                if (to in lifecycle.allowed(origin)) is allowed:
                    yield lifecycle, change, origin, to


def named(move: Move) -> str:
    lifecycle, change, origin, to = move
    return f"{lifecycle.key}: {origin.name} -> {to.name} by {change.name}"


@pytest.fixture(scope="module")
async def sql(own: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(own.admin_url)
    yield connection
    await connection.close()


def sample(given: Given, name: str) -> Any:  # noqa: C901, PLR0911 - a value for each type
    """A value that the input takes."""
    if name == "valid_until":
        return "2999-12-31"
    if name == "checklist_json":
        return {"confounders_complete": True, "no_colliders": True}
    if name.endswith(("_lower", "_upper")):
        return 0.1 if name.endswith("_lower") else 0.9
    if isinstance(given.type, type) and issubclass(given.type, Labels):
        return next(iter(given.type)).name
    match given.type:
        case Boolean():
            return True
        case Integer():
            return 3
        case Float() | Numeric():
            return 0.5
        case Date():
            return date(2999, 1, 1).isoformat()
        case JSON():
            return {"a": 1}
        case ARRAY():
            return ["a"]
        case String():
            return "said"
    raise AssertionError(given)


async def row_of(sql: asyncpg.Connection, lifecycle: Lifecycle) -> tuple[str, str]:
    """A row of the demo data as SQL's predicate and as a global id."""
    type_ = catalogue()[lifecycle.entity]
    keys = ", ".join(f"{column}::text" for column in type_.key)
    row = await sql.fetchrow(f"SELECT {keys} FROM {type_.sql_name} ORDER BY {keys} LIMIT 1")
    where = " AND ".join(f"{column}::text = '{value}'" for column, value in zip(type_.key, row, strict=True))
    return where, f"{type_.name}:{':'.join(row)}"


def literal(lifecycle: Lifecycle, state: Labels) -> str:
    text = lifecycle.text(state)
    return f"'{text}'" if text else "NULL"


_ACTIVE = """
    UPDATE ml_deployments SET status = 'active' WHERE id = (SELECT deployment_id FROM ml_bentoml_services WHERE {row})
"""
_VERSION = """
    INSERT INTO ml_model_registry (model_name, model_version, algorithm)
    SELECT m.model_name, 'said', 'a' FROM ml_model_registry m JOIN ml_retraining_history r ON r.model_id = m.id
    WHERE r.{row}
      AND NOT EXISTS (SELECT FROM ml_model_registry n WHERE (n.model_name, n.model_version) = (m.model_name, 'said'))
"""
_WON = """
    UPDATE prompt_ab_tests SET status = 'completed', winner = 'gepa', treatment_instruction_id =
        (SELECT instruction_id FROM optimized_instructions ORDER BY instruction_id LIMIT 1)
    WHERE {row}
"""
_CLEAN = """
    UPDATE ml_data_quality_reports SET leakage_detected = false WHERE training_run_id IN
        (SELECT r.id FROM ml_training_runs r JOIN ml_model_registry m ON m.id = r.model_registry_id WHERE m.{row})
"""
_TRIED = """
    INSERT INTO ml_hpo_trials (study_id, trial_number, state, value, params)
    SELECT id, n, 'COMPLETE', 0.5, '{"depth": 3}' FROM ml_hpo_studies AS s, generate_series(900, 901) AS n WHERE s.{row}
    ON CONFLICT DO NOTHING
"""
READY = {
    "HpoStudy.status.COMPLETED": [_TRIED],
    "HpoStudy.status.FAILED": [_TRIED],
    "HpoStudy.status.PRUNED": [_TRIED],
    "Model.stage.PRODUCTION": [_CLEAN],
    "BentoService.status.ACTIVE": [_ACTIVE],
    "Retraining.status.DEPLOYED": [_VERSION, "UPDATE ml_retraining_history SET old_metric_value = 0.4 WHERE {row}"],
    "PromptAbTest.rollout.ROLLED_OUT": [_WON],
}
"""What must hold before a guarded move, by SQL over the row."""


async def ask(client: Client, sql: asyncpg.Connection, move: Move) -> tuple[dict[str, Any], str, str]:
    """Puts a row into the first state and asks for the second; returns the result, the id and the column's text."""
    lifecycle, change, origin, to = move
    if IS_PLATFORM and lifecycle.key in {"OptimizedInstruction.activation", "OptimizedToolDescription.activation"}:
        pytest.skip(
            "one row alone of a predictor, or a tool, is INACTIVE by false there, which test_own_platform.py is about"
        )
    where, id_ = await row_of(sql, lifecycle)
    table = table_of(entities()[lifecycle.entity]).fullname
    async with sql.transaction():
        await sql.execute("SET LOCAL session_replication_role = replica")  # some states cannot be left by hand
        if lifecycle.key == "OptimizedInstruction.activation":  # one at a time is active
            await sql.execute(f"UPDATE {table} SET is_active = false WHERE is_active AND NOT {where}")
        if lifecycle.key == "ExpertReview.status":  # else it is expired
            await sql.execute(f"UPDATE {table} SET valid_until = NULL WHERE {where}")
        await sql.execute(f"UPDATE {table} SET {lifecycle.column} = {literal(lifecycle, origin)} WHERE {where}")
    for statement in READY.get(f"{lifecycle.key}.{to.name}", []):
        await sql.execute(statement.replace("{row}", where))
    wanted = [name for name, given in change.given.items() if given.required] + list(change.needs.get(to, ()))
    if lifecycle.entity == "ExpertReview" and to.name == "APPROVED":
        wanted += ["checklist_json", "valid_until"]
    input_ = {camel(name): sample(change.given[name], name) for name in wanted} | {"id": id_, "reason": "a test"}
    if change.target is None:
        input_["to"] = to.name
    if mutations()[change.name].forces:
        input_["force"] = True
    result = await client.data(
        f"mutation($input: {change.name[0].upper()}{change.name[1:]}Input!) {{ {change.name}(input: $input) {{ "
        "__typename ... on TransitionApplied { node { id } event { fromState toState lifecycle forced } } "
        "... on IllegalTransition { from to allowed } ... on Problem { message } } }",
        input=input_,
    )
    text = await sql.fetchval(f"SELECT {lifecycle.column}::text FROM {table} WHERE {where}")
    return result[change.name], id_, text


@pytest.mark.slow
@pytest.mark.parametrize("move", [one for each in lifecycles() for one in moves(each, allowed=True)], ids=named)
async def test_every_allowed_move(move: Move, client: Client, sql: asyncpg.Connection) -> None:
    lifecycle, _, origin, to = move
    result, id_, text = await ask(client, sql, move)
    assert result["__typename"] == "TransitionApplied", result
    assert result["node"]["id"] == id_
    assert {name: result["event"][name] for name in ("fromState", "toState", "lifecycle")} == {
        "fromState": origin.name,
        "toState": to.name,
        "lifecycle": lifecycle.name,
    }
    assert text == lifecycle.text(to)


@pytest.mark.slow
@pytest.mark.parametrize("lifecycle", lifecycles(), ids=lambda lifecycle: lifecycle.key)
async def test_every_forbidden_move(lifecycle: Lifecycle, client: Client, sql: asyncpg.Connection) -> None:
    """Refused with the allowed ones, `force` or not, and nothing is changed."""
    before = await sql.fetchval("SELECT count(*) FROM gateway.lifecycle_events")
    for move in moves(lifecycle, allowed=False):
        _, change, origin, to = move
        result, _, text = await ask(client, sql, move)
        assert result["__typename"] == "IllegalTransition", (change.name, result)
        assert (result["from"], result["to"]) == (origin.name, to.name)
        assert result["allowed"] == [state.name for state in lifecycle.allowed(origin)]
        assert text == (lifecycle.text(origin) or None)
    assert await sql.fetchval("SELECT count(*) FROM gateway.lifecycle_events") == before


@pytest.mark.parametrize("lifecycle", lifecycles(), ids=lambda lifecycle: lifecycle.key)
def test_the_data_are_whole(lifecycle: Lifecycle) -> None:
    """Every move has a mutation, every name a function, every column its place in the dictionary."""
    entity = entities()[lifecycle.entity]
    columns = table_of(entity).columns
    targets = {state for change in lifecycle.changes for state in (change.to or lifecycle.states)}
    if lifecycle.key not in BY_SPECIAL_MUTATION:
        assert {to for allowed in lifecycle.moves.values() for to in allowed} <= targets
    assert lifecycle.column in columns
    assert lifecycle.column not in key_columns(entity)
    for step in (*lifecycle.entering.values(), *lifecycle.leaving.values()):
        assert set(step.stamps) <= set(columns.keys())
        assert {one.name for one in (*step.before, *step.effects)} <= set(EFFECTS)
    for change in lifecycle.changes:
        assert set(change.checks) <= set(CHECKS)
        assert {name for needs in change.needs.values() for name in needs} <= set(change.given)
        for name, given in change.given.items():
            assert not given.stored or name in columns, name


def test_a_column_without_a_value_is_in_the_initial_state() -> None:
    for lifecycle in lifecycles():
        assert lifecycle.state(None) is lifecycle.initial
        assert lifecycle.shown(None) == lifecycle.initial.name
        for state in lifecycle.states:
            assert lifecycle.state(lifecycle.text(state)) is state


async def test_null_moves_as_the_initial_state(client: Client, sql: asyncpg.Connection) -> None:
    key = await sql.fetchval(
        "INSERT INTO ml_model_registry (model_name, model_version, algorithm, stage) VALUES ('n', "
        "'1', 'a', NULL) RETURNING id"
    )
    data = await client.data(
        "mutation "
        f'{{ promoteModel(input: {{id: "{key}", to: STAGING}}) {{ ... on TransitionApplied {{ event {{ fromState }} '
        "node { ... on Model { stage lifecycle { allowedTransitions { to } } } } } } }"
    )
    assert data["promoteModel"]["event"]["fromState"] == "DEVELOPMENT"


def test_every_function_is_named_by_some_lifecycle() -> None:
    steps = [s for one in lifecycles() for s in (*one.entering.values(), *one.leaving.values())]
    assert {one.name for step in steps for one in (*step.before, *step.effects)} == set(EFFECTS)
    assert set(effects()) <= {*EFFECTS, *mutations()}, "these are declared, and no function does them"
    checks = {name for one in mutations().values() for name in one.checks}
    assert checks == set(CHECKS)


@pytest.mark.parametrize("lifecycle", lifecycles(), ids=[one.key for one in lifecycles()])
async def test_the_sql_of_a_lifecycle_fits_the_database(lifecycle: Lifecycle, sql: asyncpg.Connection) -> None:
    """Prepared by Postgres: guards select texts, the queue the keys of an advisory lock, a lapse whether it is over."""
    rows = f"{catalogue()[lifecycle.entity].sql_name} AS moving"
    steps = (*lifecycle.entering.values(), *lifecycle.leaving.values())
    for guard in (guard for step in steps for guard in step.guards):
        text = guard.sql.replace("{row}", "moving")
        select = f"SELECT b.message, b.node FROM {rows} CROSS JOIN LATERAL ({text}) AS b (message, node)"
        assert await types(sql, select) <= {"text", "varchar"}, guard.code
    if lifecycle.queue is not None:
        assert await types(sql, f"SELECT {lifecycle.queue.replace('{row}', 'moving')} FROM {rows}") == {"int4"}
    for lapse in lifecycle.lapses:
        assert await types(sql, f"SELECT {lapse.over.replace('{row}', 'moving')} FROM {rows}") == {"bool"}


@pytest.mark.parametrize("name", sorted(name for name, one in effects().items() if one.guards))
async def test_the_guards_of_a_mutation_fit_the_database(name: str, sql: asyncpg.Connection) -> None:
    one = mutations()[name]
    rows = f"{catalogue()[one.subject or 'Model'].sql_name} AS moving"
    for guard in one.guards or ():
        text = guard.sql.replace("{row}", "moving")
        select = f"SELECT b.message, b.node FROM {rows} CROSS JOIN LATERAL ({text}) AS b (message, node)"
        assert await types(sql, select) <= {"text", "varchar"}, guard.code


async def types(sql: asyncpg.Connection, select: str) -> set[str]:
    """The types of a statement's columns."""
    return {column.type.name for column in (await sql.prepare(select)).get_attributes()}

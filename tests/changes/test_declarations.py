"""What lifecycles and effects declare is what changes do: the database records each column that a change writes.

All moves and all mutations that are more than a move run on a database whose triggers write down which columns of which
rows were changed or added in which transaction, with a role that may write the declared columns and no other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Column
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import Boolean, Date, DateTime, Enum, Float, Integer, Numeric, String

from db.base.effects import effects
from db.base.entity import camel
from db.base.footprints import Footprint, everything, of_change, of_effect
from db.base.guards import Guard
from db.base.lifecycles import lifecycles
from db.base.vocabulary import entities, is_own, key_columns, table_of
from db.embedded.server import GATEWAY_ROLE
from schema.catalogue.from_models import catalogue
from schema.changes.guards import read_by
from schema.changes.mutations import mutations
from schema.scopes import column_scope
from tests.changes import test_lifecycles as moves
from tests.changes import test_own_platform as attached
from tests.changes import test_special_changes as special
from tests.support.changing import change, model_in, rivals, versions
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect, execute
from tests.support.platform_shaped import IS_PLATFORM

pytestmark = pytest.mark.slow

TABLES = {table_of(entity).fullname: name for name, entity in entities().items() if not entity.__is_view__}

RECORDER = """
    CREATE TABLE public.recorded (transaction xid8, what text, "table" text, columns text[]);
    CREATE FUNCTION public.record() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        IF TG_TABLE_NAME = 'lifecycle_events' THEN
            INSERT INTO public.recorded VALUES (pg_current_xact_id(), 'mutation', NEW.mutation, NULL);
        ELSIF TG_OP = 'INSERT' THEN
            INSERT INTO public.recorded SELECT pg_current_xact_id(), 'added', TG_ARGV[0], array_agg(key)
            FROM jsonb_each(to_jsonb(NEW)) WHERE value <> 'null';
        ELSE
            INSERT INTO public.recorded SELECT pg_current_xact_id(), 'changed', TG_ARGV[0], array_agg(n.key)
            FROM jsonb_each(to_jsonb(NEW)) AS n WHERE n.value IS DISTINCT FROM to_jsonb(OLD) -> n.key;
        END IF;
        RETURN NULL;
    END $$;
"""
RECORDED = """
    SELECT m.name, r.what, r."table", array_agg(DISTINCT c) FILTER (WHERE c IS NOT NULL) AS columns
    FROM (SELECT DISTINCT transaction, "table" AS name FROM public.recorded WHERE what = 'mutation') AS m
    JOIN public.recorded AS r ON r.transaction = m.transaction AND r.what <> 'mutation'
    LEFT JOIN LATERAL unnest(r.columns) AS c ON true
    GROUP BY 1, 2, 3
"""
# columns of which the database says more than whoever writes: stamps of a trigger's, defaults, identities
STAMPED = """
    SELECT tgrelid::regclass::text AS table,
           coalesce(nullif(trim(both E'\\\\000' FROM encode(tgargs, 'escape')), ''), 'updated_at') AS column
    FROM pg_trigger WHERE tgfoid::regproc::text IN ('set_updated_at', 'touch_updated_at')
"""
GENERATED = """
    SELECT attrelid::regclass::text AS table, attname AS column FROM pg_attribute
    WHERE attnum > 0 AND attgenerated <> ''
"""
DEFAULTED = """
    SELECT attrelid::regclass::text AS table, attname AS column FROM pg_attribute
    WHERE attnum > 0 AND (atthasdef OR attidentity <> '')
"""


def statements(footprint: Footprint) -> Iterator[str]:
    """Takes from the gateway's role what it may write of the platform, and gives it the declared columns alone."""
    for table, name in TABLES.items():
        entity = entities()[name]
        if is_own(table_of(entity)):
            yield f"CREATE TRIGGER recorder AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION public.record()"
            continue
        yield f"REVOKE INSERT, UPDATE ON {table} FROM {GATEWAY_ROLE}"
        yield (
            f"CREATE TRIGGER recorder AFTER INSERT OR UPDATE ON {table} FOR EACH ROW "
            f"EXECUTE FUNCTION public.record('{name}')"
        )
        changed = {*footprint.changed.get(name, ()), *footprint.triggered.get(name, ())}
        if name in footprint.updated:  # a lock needs the right to update some column
            yield f"GRANT UPDATE ({', '.join(sorted(changed) or key_columns(entity))}) ON {table} TO {GATEWAY_ROLE}"
        if added := footprint.added.get(name):
            yield f"GRANT INSERT ({', '.join(sorted(added))}) ON {table} TO {GATEWAY_ROLE}"


@pytest.fixture(scope="module")
async def own(demo_template: Database, clone: Clone) -> AsyncIterator[Database]:
    async with clone(demo_template) as copy:
        await execute(copy.admin_url, RECORDER, *statements(everything()))
        yield copy


@pytest.fixture(scope="module")
async def sql(own: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(own.admin_url)
    yield connection
    await connection.close()


def old(column: Column[Any]) -> str:  # noqa: PLR0911 - a value for each type
    """SQL of a value that no move writes."""
    match column.type:
        case Enum() as kind:
            return f"'{kind.enums[-1]}'"
        case Boolean():
            return "false"
        case Integer():
            return "1"
        case Float() | Numeric():
            return "0.25"
        case DateTime() | Date():
            return "'2001-01-01'"
        case JSONB():
            return """'{"old": true}'"""
        case ARRAY():
            return "'{old}'"
        case String():
            return "'old'"
        case _:
            return "NULL"


async def make(client: Client, sql: asyncpg.Connection, move: moves.Move) -> None:
    """One move with all that may be given, of a row whose columns all say something else before."""
    lifecycle, change_, origin, to = move
    where, id_ = await moves.row_of(sql, lifecycle)
    table = table_of(entities()[lifecycle.entity])
    footprint = of_change(lifecycle, change_)
    columns = footprint.changed[lifecycle.entity] - {lifecycle.column, "previous_deployment_id"}
    before = {column: old(table.c[column]) for column in sorted(columns)}
    before |= {lifecycle.column: moves.literal(lifecycle, origin)}
    async with sql.transaction():
        await sql.execute("SET LOCAL session_replication_role = replica")
        await sql.execute(f"UPDATE {table.fullname} SET {', '.join(map(' = '.join, before.items()))} WHERE {where}")
    for statement in moves.READY.get(f"{lifecycle.key}.{to.name}", []):
        await sql.execute(statement.replace("{row}", where))
    input_ = {"id": id_, "reason": "a test"}
    for name, given in change_.given.items():
        if name == "correct_pattern" and to.name == "CORRECT":
            continue
        input_[camel(name)] = await some(sql, given.type) if isinstance(given.type, str) else moves.sample(given, name)
    input_ |= {} if change_.target else {"to": to.name}
    input_ |= {"force": True} if mutations()[change_.name].forces else {}
    result = await change(client, change_.name, **input_)
    assert result["__typename"] == "TransitionApplied", (change_.name, origin, to, result)


async def some(sql: asyncpg.Connection, entity: str) -> str:
    """The id of some row."""
    type_ = catalogue()[entity]
    return f"{entity}:{await sql.fetchval(f'SELECT {type_.key[0]} FROM {type_.sql_name} ORDER BY 1 LIMIT 1')}"


ON_ALL = [
    special.test_a_rollback_puts_the_newest_healthy_one_back,
    special.test_a_deployment_starts_behind_the_active_one_and_takes_its_place,
    special.test_what_a_deployment_replaces_is_decided_when_it_becomes_active,
    special.test_an_alert_triggers_one_retraining,
    special.test_a_real_outcome_is_graded_by_the_trigger,
    special.test_one_retrieval_configuration_is_in_use,
    special.test_one_version_of_a_prompt_is_in_use,
    special.test_a_new_approval_supersedes_the_old_one,
    special.test_the_sweep_ends_what_is_overdue_and_nothing_else,
    special.test_the_cause_of_a_mismatch,
    special.test_counters_count_every_report,
]
MIGRATED = [
    special.test_the_end_of_a_step_is_a_measurement_of_its_tool,
    special.test_one_description_of_a_tool_is_in_use,
    special.test_one_instruction_of_an_agent_and_predictor_is_in_use,
    special.test_the_winner_of_a_test_is_rolled_out,
    special.test_a_run_that_is_rolled_back_gives_way_to_what_was_before,
]
ATTACHED = [
    attached.test_descriptions_change_places_too,
    partial(attached.test_a_tools_run_is_counted_once, to="TIMEOUT", more={}, rate=0.0),
    attached.test_instructions_change_places_where_one_inactive_row_is_allowed,
    attached.test_a_rollback_and_a_winner_change_places_too,
]
SCENARIOS = [*ON_ALL, *(ATTACHED if IS_PLATFORM else MIGRATED)]
"""Tests of changes in which effects have something to change; of instructions, those that the database allows."""


async def champions(client: Client, sql: asyncpg.Connection) -> None:
    """Champions that are appointed, replaced, and lost with a stage."""
    first, second, third = await rivals(sql, "production", "production", "shadow")
    await change(client, "setChampion", id=second)
    one, other = await versions(client, second, third)
    await change(client, "swapChampion", id=third, currentId=second, currentVersion=one, expectedVersion=other)
    await change(client, "promoteModel", id=third, to="STAGING")
    await change(client, "setChampion", id=first)
    await change(client, "promoteModel", id=first, to="ARCHIVED")


async def more(client: Client, sql: asyncpg.Connection) -> None:
    """What the scenarios leave out: every optional input, and services that fail with their deployment."""
    await champions(client, sql)
    service = await some(sql, "BentoService")
    for state in special.HealthStatus:
        await change(client, "reportHealth", id=service, healthStatus=state.name)
    await change(
        client, "requestReview", reviewType="DAG_APPROVAL", reviewerId="r", reviewerName="n", reviewerRole="x",
        dagVersionHash="h", brand="b", analysisContext="c", treatmentVariable="t", outcomeVariable="o",
        reviewerEmail="r@example.org", checklistJson={"ok": True},
        relatedValidationIds=[await some(sql, "CausalValidation")],
    )  # fmt: skip
    model = await model_in(sql, "production")
    await change(
        client, "startDeployment", modelId=model, environment="staging", endpointName="e", deploymentName="d",
        endpointUrl="http://e", deploymentConfig={},
    )  # fmt: skip
    (drained,) = await special.chain(sql, "draining")
    await special.service_of(sql, drained, "draining")
    await change(client, "moveDeployment", id=drained, to="ACTIVE")
    mismatch = await sql.fetchval("SELECT id FROM ab_srm_checks WHERE is_srm_detected LIMIT 1")
    await change(client, "recordSrmRootCause", id=str(mismatch), rootCause="bot_traffic", investigationNotes="looked")
    simulation = await sql.fetchval(
        "SELECT simulation_id FROM twin_simulations WHERE simulation_status = 'completed' "
        "AND simulated_ate IS NOT NULL ORDER BY 1 LIMIT 1"
    )
    await sql.execute("DELETE FROM twin_fidelity_tracking WHERE simulation_id = $1", simulation)
    for _ in range(2):
        given = {"actualSampleSize": 400, "actualExperimentId": await some(sql, "Experiment"), "validationNotes": "n"}
        await change(
            client, "recordActualEffect", id=str(simulation), actualAte=0.1, actualCiLower=0.0, actualCiUpper=0.2,
            **given,
        )  # fmt: skip
        await sql.execute(
            "UPDATE twin_fidelity_tracking SET (actual_ate, actual_ci_lower, actual_ci_upper, actual_sample_size, "
            "actual_experiment_id, validation_notes, validated_by) = (NULL, NULL, NULL, NULL, NULL, NULL, NULL) "
            "WHERE simulation_id = $1", simulation,
        )  # fmt: skip


@pytest.fixture(scope="module")
async def recorded(own: Database, sql: asyncpg.Connection) -> dict[str, Footprint]:
    """What each mutation has written, by its name, after all of them were made in all ways."""
    async with serving(own.gateway_url) as client:
        for one in (move for each in lifecycles() for move in moves.moves(each, allowed=True)):
            await make(client, sql, one)
        for scenario in SCENARIOS:
            await scenario(client, sql)
        for direction, best in (("minimize", 0), ("maximize", 1)):
            await special.test_the_best_trial_follows(client, sql, direction, best)
        for to in ("draining", "failed", "rolled_back"):
            await special.test_services_serve_no_longer_than_their_deployment(client, sql, to)
        await more(client, sql)
    stamped = {tuple(row) for row in [*await sql.fetch(STAMPED), *await sql.fetch(GENERATED)]}
    found: dict[str, Footprint] = {}
    for name, what, entity, columns in await sql.fetch(RECORDED):
        table = table_of(entities()[entity]).fullname
        written = {entity: frozenset(one for one in columns or () if (table, one) not in stamped)}
        one = Footprint(changed=written) if what == "changed" else Footprint(added=written)
        found[name] = found.get(name, Footprint()) | one
    return found


def declared() -> dict[str, Footprint]:
    """What each mutation may write, by its name; those for many rows are left to those for one."""
    made = {change_.name: of_change(one, change_) for one in lifecycles() for change_ in one.changes}
    return made | {name: of_effect(one) for name, one in effects().items() if name in mutations()}


@pytest.mark.parametrize("name", sorted(declared()))
async def test_what_a_mutation_writes_is_what_it_declares(
    name: str, recorded: dict[str, Footprint], sql: asyncpg.Connection
) -> None:
    """Nothing else, and nothing less."""
    assert name in recorded, f"no test in SCENARIOS makes {name}"
    footprint, found = declared()[name], recorded[name]
    columns = {
        entity: footprint.changed.get(entity, frozenset()) | footprint.triggered.get(entity, frozenset())
        for entity in {*footprint.changed, *footprint.triggered}
    }
    assert {entity: set(names) for entity, names in found.changed.items() if names} == {
        entity: set(names) for entity, names in columns.items()
    }
    defaulted = {tuple(row) for row in await sql.fetch(DEFAULTED)}
    assert found.added.keys() == footprint.added.keys()
    for entity, names in found.added.items():
        table = table_of(entities()[entity]).fullname
        said = footprint.added[entity] | footprint.triggered.get(entity, frozenset())
        assert {one for one in names if (table, one) not in defaulted} <= said
        assert footprint.added[entity] <= names


GUARDS = {
    id(guard): (one.entity, guard)
    for one in lifecycles()
    for step in (*one.entering.values(), *one.leaving.values())
    for guard in step.guards
} | {
    id(guard): (mutations()[name].subject or "Model", guard)
    for name, one in effects().items()
    for guard in one.guards or ()
}


@pytest.mark.parametrize(
    ("entity", "guard"), GUARDS.values(), ids=[f"{entity} {guard.code}" for entity, guard in GUARDS.values()]
)
async def test_what_a_guard_reads_is_what_it_declares(entity: str, guard: Guard, sql: asyncpg.Connection) -> None:
    """By the word of the database, which knows which columns of which tables a view of the guard's SQL reads."""
    row = table_of(entities()[entity]).fullname
    async with sql.transaction():
        await sql.execute(
            "CREATE VIEW guarded AS SELECT g.* FROM (SELECT 1) AS one, LATERAL "
            f"({guard.sql.replace('{row}', 'moving')}) AS g (message, node), {row} AS moving"
            if "{row}" not in guard.sql
            else f"CREATE VIEW guarded AS SELECT g.* FROM {row} AS moving CROSS JOIN LATERAL "
            f"({guard.sql.replace('{row}', 'moving')}) AS g (message, node)"
        )
        used = await sql.fetch(
            "SELECT CASE table_schema WHEN 'public' THEN '' ELSE table_schema || '.' END || table_name, column_name "
            "FROM information_schema.view_column_usage WHERE view_name = 'guarded'"
        )
        await sql.execute("DROP VIEW guarded")
    needed = {
        f"{table}.{column}" for table, column in used
        if table in TABLES and column_scope(catalogue()[TABLES[table]], column)
    }  # fmt: skip
    read = {table for table, _ in used if table in TABLES}
    assert (read | needed) - {row} == set(read_by(guard)) - {row}

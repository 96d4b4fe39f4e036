"""On the platform's own database, with its constraints and triggers: what they do is left to them, and done once."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from db.attach.attach import Severity, inspect
from db.migrations import setup
from tests.changes.test_special_changes import description
from tests.support import platform_own
from tests.support.changing import add, change, previewed, uuid_of
from tests.support.client import Client, serving
from tests.support.databases import Database, connect
from tests.support.recording import record, write

pytestmark = pytest.mark.slow


@pytest.fixture
async def client(own_platform: Database) -> AsyncIterator[Client]:
    async with serving(own_platform.gateway_url) as client:
        yield client


@pytest.fixture
async def sql(own_platform: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(own_platform.admin_url)
    yield connection
    await connection.close()


async def test_the_database_is_the_platforms(sql: asyncpg.Connection) -> None:
    """Every trigger and every unique constraint of the facts is there, and none of ours."""
    triggers = await sql.fetch("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgname <> 'touch_updated_at'")
    ours = {"append_only", "tell_of_event", "tell_of_recording"}
    assert {row["tgname"] for row in triggers} - ours == set(platform_own.TRIGGERS)
    found = {
        row["conname"]
        for row in await sql.fetch(
            "SELECT conname FROM pg_constraint WHERE contype = 'u' "
            "AND connamespace IN ('public'::regnamespace, 'ml'::regnamespace)"
        )
    }
    assert found == {line["constraint"] for line in platform_own.facts() if line["kind"] == "unique"}


async def test_attach_says_what_is_left_to_which_trigger(own_platform: Database, sql: asyncpg.Connection) -> None:
    """Known by what they do, under any name; a trigger that is switched off does nothing."""

    async def of(kind: str) -> dict[str, str]:
        async with setup.connect(own_platform.admin_url) as connection:
            return {note.object: note.message for note in (await inspect(connection)).notes if note.kind == kind}

    own = await of("own trigger")
    assert set(own) == {table for table, *_ in platform_own.TRIGGERS.values()}
    assert "trg_log_step_performance: it records the measurement of a step that ends" in own["composition_steps"]
    assert await of("missing trigger") == {}
    await sql.execute("ALTER FUNCTION trg_log_step_performance RENAME TO whatever")
    await sql.execute("ALTER TABLE ml_drift_history DISABLE TRIGGER trg_drift_alert")
    assert "whatever" in (await of("own trigger"))["composition_steps"]
    assert set(await of("missing trigger")) == {"ml_drift_history"}


async def test_attach_says_that_scores_are_graded_as_errors(own_platform: Database, sql: asyncpg.Connection) -> None:
    """By looking at the functions that the triggers call: one alone cannot grade errors and scores."""

    async def wrong() -> list[tuple[str, str]]:
        async with setup.connect(own_platform.admin_url) as connection:
            return [
                (one.object, one.message) for one in (await inspect(connection)).notes if one.kind == "wrong grades"
            ]

    ((table, message),) = await wrong()
    assert table == "ab_fidelity_comparisons"
    assert "by calculate_fidelity_grade" in message
    # as where the second definition did not fail
    await sql.execute(
        "CREATE FUNCTION calculate_fidelity_grade(score numeric) RETURNS text LANGUAGE sql AS $$ SELECT 'good' $$"
    )
    assert await wrong() == []
    await sql.execute("DROP FUNCTION calculate_fidelity_grade(numeric)")
    await sql.execute("ALTER TABLE ab_fidelity_comparisons DISABLE TRIGGER trg_ab_fidelity_grade")
    assert await wrong() == []
    await sql.execute("ALTER TABLE ab_fidelity_comparisons ENABLE TRIGGER trg_ab_fidelity_grade")


async def test_what_costs_certainty_is_told_before_what_costs_speed(
    own_platform: Database, sql: asyncpg.Connection
) -> None:
    """And what a wider constraint keeps unique is not said to be kept by nothing: one row in use of each predictor, by
    a constraint that has whether it is in use among its columns."""

    async def unkept() -> set[str]:
        async with setup.connect(own_platform.admin_url) as connection:
            costs = (await inspect(connection)).of(Severity.COSTS)
        kinds = [note.kind for note in costs]
        assert kinds.index("wrong grades") < kinds.index("missing index")
        assert set(kinds[kinds.index("missing index") :]) == {"missing index"}
        return {note.object for note in costs if note.kind == "missing constraint"}

    predictor = "optimized_instructions (agent_name, predictor_name)"
    assert await unkept() == {"ml_monitoring_alerts (drift_history_id)"}
    await sql.execute("ALTER TABLE optimized_instructions DROP CONSTRAINT unique_active_instruction")
    await sql.execute("CREATE UNIQUE INDEX wider ON optimized_instructions (agent_name, predictor_name, version)")
    try:
        assert await unkept() == {"ml_monitoring_alerts (drift_history_id)", predictor}
    finally:
        await sql.execute("DROP INDEX wider")
        await sql.execute(
            "ALTER TABLE optimized_instructions ADD CONSTRAINT unique_active_instruction "
            "UNIQUE NULLS NOT DISTINCT (agent_name, predictor_name, is_active)"
        )


async def test_grades_are_worked_out_where_the_database_stores_others(client: Client, sql: asyncpg.Connection) -> None:
    """Of a comparison, in its experiment's health, in filters and where lineage names it: never the score's, graded
    as an error."""
    experiment = await sql.fetchval("SELECT id FROM ml_experiments ORDER BY id LIMIT 1")
    simulation = await sql.fetchval("SELECT simulation_id FROM twin_simulations ORDER BY simulation_id LIMIT 1")
    stored = await sql.fetchrow(
        "INSERT INTO ab_fidelity_comparisons (experiment_id, twin_simulation_id, comparison_timestamp, "
        "comparison_type, predicted_effect, predicted_ci_lower, predicted_ci_upper, actual_effect) "
        "VALUES ($1, $2, '2090-01-01', 'interim', 1.05, 0.5, 1.5, 1.0) RETURNING id, fidelity_grade",
        experiment, simulation,
    )  # fmt: skip
    key, worse = stored
    assert worse == "poor"
    try:
        found = await client.data(
            """query($id: ID!, $key: UUID!, $node: ID!, $experiment: ID!) {
              fidelityComparison(id: $id) { fidelityGrade effectGrade }
              fidelityComparisons(where: { rowId: { eq: $key }, effectGrade: { eq: "excellent" } }) { totalCount }
              experiment(id: $experiment) { health { fidelityGrade } }
              node: lineage(from: [$node], maxDepth: 0) { nodes { label } }
            }""",
            id=str(key), key=str(key), node=f"FidelityComparison:{key}", experiment=str(experiment),
        )  # fmt: skip
        assert found == {
            "fidelityComparison": {"fidelityGrade": "poor", "effectGrade": "excellent"},
            "fidelityComparisons": {"totalCount": 1},
            "experiment": {"health": {"fidelityGrade": "excellent"}},
            "node": {"nodes": [{"label": "excellent"}]},
        }
    finally:
        await sql.execute("DELETE FROM ab_fidelity_comparisons WHERE id = $1", key)


async def step(sql: asyncpg.Connection) -> tuple[str, uuid.UUID]:
    """A step that is executed, as an id, and its tool."""
    tool = await sql.fetchval(
        "INSERT INTO tool_registry (name, description, category, source_agent, version) "
        "VALUES ($1, 'd', 'CAUSAL', 'causal_impact', '1.0.0') RETURNING tool_id",
        uuid.uuid4().hex,
    )
    episode = await sql.fetchval(
        "INSERT INTO composer_episodes (composition_id, query_text, total_latency_ms) VALUES ($1, 'q', 0) "
        "RETURNING episode_id",
        uuid.uuid4().hex,
    )
    key = await sql.fetchval(
        "INSERT INTO composition_steps (episode_id, step_number, step_name, tool_id, tool_name, status, started_at) "
        "VALUES ($1, 1, 's', $2, 't', 'EXECUTING', now() - interval '2 seconds') RETURNING step_id",
        episode, tool,
    )  # fmt: skip
    return f"CompositionStep:{key}", tool


@pytest.mark.parametrize(
    ("to", "more", "rate"),
    [
        ("COMPLETED", {}, 1.0),
        ("COMPLETED", {"latencyMs": 100.0}, 1.0),
        ("FAILED", {"errorMessage": "no", "latencyMs": 100.0}, 0.0),
        ("TIMEOUT", {}, 0.0),
    ],
)
async def test_a_tools_run_is_counted_once(
    client: Client, sql: asyncpg.Connection, to: str, more: dict[str, Any], rate: float
) -> None:
    """By the platform's trigger where it does so, by the gateway where it does not (TIMEOUT); the figures follow."""
    id_, tool = await step(sql)
    asked = previewed if "latencyMs" in more else change  # without a latency it is the time between two runs
    result = await asked(client, "moveStep", id=id_, to=to, **more)
    assert result["__typename"] == "TransitionApplied"
    (row,) = await sql.fetch("SELECT * FROM tool_performance WHERE tool_id = $1", tool)
    assert row["latency_ms"] >= more.get("latencyMs", 2000)
    assert row["success"] is (to == "COMPLETED")
    assert f"ToolPerformance:{row['performance_id']}" in [node["id"] for node in result["alsoChanged"]]
    figures = await sql.fetchrow("SELECT avg_latency_ms, success_rate FROM tool_registry WHERE tool_id = $1", tool)
    assert tuple(figures) == (row["latency_ms"], rate)


async def instructions(sql: asyncpg.Connection, *states: str | None) -> list[str]:
    """Instructions of one agent and predictor, each of a run of its own, in use or not, as ids."""
    agent, found = uuid.uuid4().hex, []
    for place, state in enumerate(states):
        run = await sql.fetchval(
            "INSERT INTO prompt_optimization_runs (run_name, agent_name, agent_tier, agent_type, trainset_size, "
            "optimizer_type, budget_preset, max_metric_calls, status) "
            "VALUES ('r', $1, 2, 'standard', 1, 'gepa', 'light', 10, 'completed') RETURNING run_id",
            agent,
        )
        key = await sql.fetchval(
            "INSERT INTO optimized_instructions (run_id, agent_name, predictor_name, version, is_active, "
            "instruction_text, instruction_hash, activated_at, deactivated_at) "
            "VALUES ($1, $2, 'p', $3, $4::text::boolean, 't', $5, now(), "
            "CASE WHEN $4::text::boolean THEN NULL ELSE now() END) RETURNING instruction_id",
            run, agent, f"v{place}", state, uuid.uuid4().hex,
        )  # fmt: skip
        found.append(f"OptimizedInstruction:{key}")
    return found


async def in_use(sql: asyncpg.Connection, *ids: str) -> list[bool | None]:
    query = "SELECT is_active FROM optimized_instructions WHERE instruction_id = $1"
    return [await sql.fetchval(query, uuid_of(one)) for one in ids]


async def test_instructions_change_places_where_one_inactive_row_is_allowed(
    client: Client, sql: asyncpg.Connection
) -> None:
    """Back and forth; each is in use or not by its value afterwards."""
    ones = await instructions(sql, "true", "false")
    for on, off in ((ones[1], ones[0]), (ones[0], ones[1]), (ones[1], ones[0])):
        result = await change(client, "activateOptimizedInstruction", id=on)
        assert [node["id"] for node in result["alsoChanged"]] == [off]
        assert await in_use(sql, on, off) == [True, False]
    assert (await change(client, "deactivateOptimizedInstruction", id=ones[1]))["__typename"] == "TransitionApplied"
    assert await in_use(sql, *ones) == [False, None]
    data = await client.data("query($id: ID!) { optimizedInstruction(id: $id) { lifecycle { state } } }", id=ones[1])
    assert data["optimizedInstruction"]["lifecycle"]["state"] == "INACTIVE"
    await change(client, "activateOptimizedInstruction", id=ones[1])
    assert await in_use(sql, *ones) == [False, True]


async def test_a_rollback_and_a_winner_change_places_too(client: Client, sql: asyncpg.Connection) -> None:
    new, old = await instructions(sql, "true", "false")
    run = await sql.fetchval("SELECT run_id FROM optimized_instructions WHERE instruction_id = $1", uuid_of(new))
    await change(client, "moveOptimizationRun", id=str(run), to="ROLLED_BACK")
    assert await in_use(sql, new, old) == [False, True]
    test = await sql.fetchval(
        "INSERT INTO prompt_ab_tests (test_name, agent_name, baseline_instruction_id, treatment_instruction_id, "
        "status, winner) VALUES ('t', 'a', $1, $2, 'completed', 'gepa') RETURNING test_id",
        uuid_of(old), uuid_of(new),
    )  # fmt: skip
    assert (await change(client, "rollOutPromptAbTest", id=str(test)))["__typename"] == "TransitionApplied"
    assert await in_use(sql, new, old) == [True, False]


async def test_instructions_without_room_are_refused_in_words(client: Client, sql: asyncpg.Connection) -> None:
    ones = await instructions(sql, "true", "false", None)
    for name, one in (
        ("activateOptimizedInstruction", ones[1]),
        ("activateOptimizedInstruction", ones[2]),
        ("deactivateOptimizedInstruction", ones[0]),
    ):
        (blocker,) = (await change(client, name, id=one))["blockers"]
        assert blocker["code"] == "NO_ROOM_FOR_INSTRUCTION"
        assert "unique_active_instruction" in blocker["message"]
        assert await in_use(sql, *ones) == [True, False, None]
    await sql.execute("DELETE FROM optimized_instructions WHERE instruction_id = $1", uuid_of(ones[2]))
    assert (await change(client, "activateOptimizedInstruction", id=ones[1]))["__typename"] == "TransitionApplied"


async def test_descriptions_change_places_too(client: Client, sql: asyncpg.Connection) -> None:
    agent = uuid.uuid4().hex
    ones = [await description(sql, agent, active=active) for active in (True, False)]
    query = "SELECT is_active FROM optimized_tool_descriptions WHERE tool_description_id = $1"
    for on, off in (ones[::-1], ones):
        result = await change(client, "activateOptimizedToolDescription", id=on)
        assert [node["id"] for node in result["alsoChanged"]] == [off]
        assert [await sql.fetchval(query, uuid_of(one)) for one in (on, off)] == [True, False]
    await description(sql, agent, active=None)
    (blocker,) = (await change(client, "activateOptimizedToolDescription", id=ones[1]))["blockers"]
    assert (blocker["code"], "unique_active_tool_desc" in blocker["message"]) == ("NO_ROOM_FOR_DESCRIPTION", True)


async def test_rows_are_born_out_of_use_where_there_is_room(client: Client, sql: asyncpg.Connection) -> None:
    """The first of an agent's tool, or predictor, stands there as false, the second without a value."""
    run = str(await add(sql, "prompt_optimization_runs"))
    agent = uuid.uuid4().hex[:20]

    def row(version: int, tool: str = "t") -> dict[str, Any]:
        return {
            "run": {"id": run}, "agentName": agent, "toolName": tool, "version": f"v{version}",
            "descriptionText": "d", "descriptionHash": uuid.uuid4().hex,
        }  # fmt: skip

    made = await record(client, "recordOptimizedToolDescriptions", [row(1), row(2), row(1, "other")], "ids")
    assert made["inserted"] == 3, made
    query = "SELECT is_active FROM optimized_tool_descriptions WHERE tool_description_id = $1"
    assert [await sql.fetchval(query, uuid_of(one)) for one in made["ids"]] == [False, None, False]
    full = await record(client, "recordOptimizedToolDescriptions", [row(1, "new"), row(3)])
    assert [(one["code"], one["row"]) for one in full["rows"]] == [("NOT_UNIQUE", 1)]
    found = []
    for version in range(3):
        answer = await write(
            client, "createOptimizedInstruction", run={"id": run}, agentName=agent, predictorName="p",
            version=f"v{version}", instructionText="i", instructionHash=uuid.uuid4().hex,
        )  # fmt: skip
        found.append(answer["__typename"])
        if version == 0:
            on = await change(client, "activateOptimizedInstruction", id=answer["ids"][0])
            assert on["__typename"] == "TransitionApplied"
    assert found == ["Recorded"] * 3


async def test_a_step_that_never_started_ends_with_a_latency_where_a_trigger_records_it(
    client: Client, sql: asyncpg.Connection
) -> None:
    """The measurement that the trigger writes must have one: said before a try, and lifted by the input."""
    id_, tool = await step(sql)
    await sql.execute("UPDATE composition_steps SET started_at = NULL WHERE step_id = $1", uuid_of(id_))
    offered = "{ lifecycle { changes { mutation to blockedBy { code message } } } }"
    data = await client.data(f'{{ node(id: "{id_}") {{ ... on CompositionStep {offered} }} }}')
    moves = [way for way in data["node"]["lifecycle"]["changes"] if way["mutation"] == "moveStep"]
    told = {way["to"]: way["blockedBy"] for way in moves}
    assert {to: [one["code"] for one in found] for to, found in told.items()} == {
        "COMPLETED": ["STEP_NEVER_STARTED"], "FAILED": ["STEP_NEVER_STARTED"], "TIMEOUT": [],
    }  # fmt: skip
    assert "pass latencyMs" in told["FAILED"][0]["message"]
    result = await change(client, "moveStep", id=id_, to="FAILED", errorMessage="no")
    assert [one["code"] for one in result["blockers"]] == ["STEP_NEVER_STARTED"]
    assert (await change(client, "moveStep", id=id_, to="FAILED", errorMessage="no", latencyMs=0.0))[
        "__typename"
    ] == "TransitionApplied"
    assert await sql.fetchval("SELECT count(*) FROM tool_performance WHERE tool_id = $1", tool) == 1


async def test_what_a_trigger_of_the_databases_refuses_is_the_callers_to_read(
    client: Client, sql: asyncpg.Connection
) -> None:
    """No guard knows of what a database's own trigger writes."""
    id_, tool = await step(sql)
    await sql.execute(
        "CREATE FUNCTION measures_ends() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO tool_performance (tool_id, tool_name, success) VALUES (NEW.tool_id, NEW.tool_name, false); "
        "RETURN NEW; END $$; CREATE TRIGGER measures_ends AFTER UPDATE ON composition_steps FOR EACH ROW "
        "WHEN (NEW.status = 'TIMEOUT') EXECUTE FUNCTION measures_ends()"
    )
    try:
        result = await change(client, "moveStep", id=id_, to="TIMEOUT")
    finally:
        await sql.execute("DROP FUNCTION measures_ends CASCADE")
    (blocker,) = result["blockers"]
    assert (blocker["code"], "latencyMs of ToolPerformance" in blocker["message"]) == ("VALUE_MISSING", True)
    assert await sql.fetchval("SELECT count(*) FROM tool_performance WHERE tool_id = $1", tool) == 0


async def test_attach_says_what_changes_cannot_fill(own_platform: Database, sql: asyncpg.Connection) -> None:
    """A column that the gateway does not know and that must have a value, in a table that changes add rows to."""

    async def told() -> list[str]:
        async with setup.connect(own_platform.admin_url) as connection:
            return [note.object for note in (await inspect(connection)).notes if note.kind == "unfilled column"]

    for table in ("twin_fidelity_tracking", "ml_experiments"):
        await sql.execute(f"ALTER TABLE {table} ADD COLUMN cost_centre text NOT NULL DEFAULT 'x'")
        assert await told() == []
    for table in ("twin_fidelity_tracking", "ml_experiments"):
        await sql.execute(f"ALTER TABLE {table} ALTER COLUMN cost_centre DROP DEFAULT")
    assert await told() == ["ml_experiments.cost_centre", "twin_fidelity_tracking.cost_centre"]


_COMPUTED = """
    ALTER TABLE twin_simulations DROP COLUMN completed_at CASCADE,
        ADD COLUMN completed_at timestamptz GENERATED ALWAYS AS (created_at) STORED,
        DROP COLUMN recommendation_rationale CASCADE,
        ADD COLUMN recommendation_rationale text GENERATED ALWAYS AS ('for ' || twin_count) STORED;
    ALTER TABLE twin_fidelity_tracking DROP COLUMN validated_by CASCADE,
        ADD COLUMN validated_by varchar(100) GENERATED ALWAYS AS ('the database') STORED
"""


async def test_what_the_database_computes_is_left_to_it(own_platform: Database, sql: asyncpg.Connection) -> None:
    """Stamps are, in rows that are changed and in rows that are added; a value of the caller's is refused in words."""
    await sql.execute(_COMPUTED)
    id_ = await sql.fetchval("SELECT simulation_id::text FROM twin_simulations ORDER BY simulation_id LIMIT 1")
    await sql.execute("DELETE FROM twin_fidelity_tracking WHERE simulation_id = $1::text::uuid", id_)
    await sql.execute(
        "UPDATE twin_simulations SET simulation_status = 'running' WHERE simulation_id = $1::text::uuid", id_
    )
    given = {"id": id_, "simulatedAte": 0.1, "simulatedCiLower": 0, "simulatedCiUpper": 1, "recommendation": "DEPLOY"}
    async with serving(own_platform.gateway_url) as client:
        refused = await change(client, "completeSimulation", **given, recommendationRationale="said")
        assert (refused["__typename"], refused["field"]) == ("InvalidInput", "recommendationRationale")
        assert "twin_simulations.recommendation_rationale is computed by the database" in refused["message"]
        assert (await change(client, "completeSimulation", **given))["__typename"] == "TransitionApplied"
        result = await change(client, "recordActualEffect", id=id_, actualAte=0.1)
        assert result["__typename"] == "TransitionApplied", result
    row = await sql.fetchrow(
        "SELECT completed_at = s.created_at, recommendation_rationale LIKE 'for %', validated_by "
        "FROM twin_simulations AS s JOIN twin_fidelity_tracking USING (simulation_id) "
        "WHERE simulation_id = $1::text::uuid",
        id_,
    )
    assert tuple(row) == (True, True, "the database")


async def test_a_state_that_the_database_computes_is_nobodys_to_change(
    own_platform: Database, sql: asyncpg.Connection
) -> None:
    await sql.execute(
        "ALTER TABLE ml_retraining_history DROP COLUMN status CASCADE, "
        "ADD COLUMN status varchar(50) GENERATED ALWAYS AS ('pending') STORED"
    )
    id_ = await sql.fetchval("SELECT id::text FROM ml_retraining_history LIMIT 1")
    async with serving(own_platform.gateway_url) as client:
        (blocker,) = (await change(client, "moveRetraining", id=id_, to="APPROVED"))["blockers"]
        asked = "allowedTransitions { to blockedBy { code } } changes { mutation to }"
        row = await client.data(f'{{ retraining(id: "{id_}") {{ status lifecycle {{ {asked} }} }} }}')
    assert row["retraining"]["status"] == "pending"
    assert row["retraining"]["lifecycle"]["allowedTransitions"] == []
    assert not [one for one in row["retraining"]["lifecycle"]["changes"] if one["mutation"] == "moveRetraining"]
    assert blocker["code"] == "REFUSED_BY_DATABASE"
    assert "the database computes the status of Retraining" in blocker["message"]


async def test_attach_says_what_the_database_computes(own_platform: Database, sql: asyncpg.Connection) -> None:
    """The platform's own column first."""

    async def told() -> set[str]:
        async with setup.connect(own_platform.admin_url) as connection:
            return {note.object for note in (await inspect(connection)).notes if note.kind == "computed column"}

    own = {"ml_cohort_executions.execution_time_seconds"}
    assert await told() == own
    await sql.execute(_COMPUTED)
    names = {"completed_at", "recommendation_rationale"}
    assert await told() == own | {f"twin_simulations.{name}" for name in names} | {
        "twin_fidelity_tracking.validated_by"
    }

"""Row level security: the database's own policies decide what each caller sees, by whichever way it is read."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import orjson
import pytest

from db.embedded.server import GATEWAY_ROLE
from db.engine.engine import create_engine
from db.engine.errors import DataError, StatementTimeoutError
from db.engine.readers import Identity, ShortReader, snapshot
from db.engine.url import database_url
from db.store.caller_roles import unusable
from db.store.grants import role_sql
from tests.support.agents import Agent, promote
from tests.support.callers import JWT, calling, token
from tests.support.changing import add, change
from tests.support.client import Client, serving
from tests.support.databases import Clone, Database, connect, execute
from tests.support.executors import EXECUTORS
from tests.support.process import run
from tests.support.recording import write

pytestmark = pytest.mark.slow

OLD = "1999-06-01T00:00:00Z"
TABLES = ("ml_experiments", "ml_model_registry", "ml_observability_spans")


@dataclass(frozen=True)
class Policed:
    """A database with policies: who has a role of it sees the experiments of one brand, and their models."""

    database: Database
    role: str
    outsider: str
    """A role that nobody may have."""


@pytest.fixture(scope="module")
async def policed(demo_template: Database, clone: Clone) -> AsyncIterator[Policed]:
    suffix = secrets.token_hex(6)
    role, outsider = f"e2i_user_{suffix}", f"e2i_outsider_{suffix}"
    async with clone(demo_template) as copy:
        await execute(
            copy.admin_url,
            f"CREATE ROLE {role} NOLOGIN",
            f"CREATE ROLE {outsider} NOLOGIN",
            f"GRANT {role} TO {GATEWAY_ROLE}",
            f"GRANT USAGE ON SCHEMA public, ml, gateway TO {role}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA public, ml TO {role}",
            f"GRANT INSERT, UPDATE ON ml_model_registry TO {role}",
            f"GRANT INSERT, DELETE ON ml_observability_spans TO {role}",
            f"GRANT SELECT ON gateway.lifecycle_events TO {role}",
            *(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY" for table in TABLES),
            f"""CREATE POLICY own_brand ON ml_experiments TO {role} USING
                (brand::text = current_setting('request.jwt.claims', true)::json ->> 'brand')""",
            f"""CREATE POLICY own_models ON ml_model_registry TO {role} USING
                (EXISTS (SELECT FROM ml_experiments AS e WHERE e.id = experiment_id))""",
            f"""CREATE POLICY own_spans ON ml_observability_spans TO {role} USING
                (trace_id LIKE (current_setting('request.jwt.claims', true)::json ->> 'brand') || '/%')""",
        )
        try:
            yield Policed(copy, role, outsider)
        finally:
            await execute(copy.admin_url, *(f"DROP OWNED BY {one}; DROP ROLE {one}" for one in (role, outsider)))


@pytest.fixture(scope="module", params=EXECUTORS)
async def client(request: pytest.FixtureRequest, policed: Policed) -> AsyncIterator[Client]:
    """A gateway with one connection, which all callers share."""
    settings = {"rls": True, "rls_roles": (policed.role,), "rls_token_role": policed.role, "pool_size": 1}
    settings |= {"federation": True, "mcp": "change"}
    async with serving(policed.database.gateway_url, compiler=request.param, **JWT, **settings) as one:
        yield one


@pytest.fixture
async def sql(policed: Policed) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(policed.database.owner_url)
    yield connection
    await connection.close()


def of_brand(client: Client, policed: Policed, brand: str, **claims: Any) -> Client:
    made = token(
        "operator",
        "patient",
        "write",
        "purge",
        **({"role": policed.role, "brand": brand, "sub": f"{brand}'s \\"} | claims),
    )
    return calling(client, made)


@pytest.fixture
async def brands(sql: asyncpg.Connection) -> list[str]:
    """The brands of experiments that have models, and a model of each."""
    rows = await sql.fetch("SELECT DISTINCT e.brand::text FROM ml_experiments e JOIN ml_model_registry m "
                           "ON m.experiment_id = e.id ORDER BY 1")  # fmt: skip
    assert len(rows) > 1
    return [row[0] for row in rows[:2]]


async def expected(sql: asyncpg.Connection, brand: str) -> set[str]:
    rows = await sql.fetch("SELECT id::text FROM ml_experiments WHERE brand::text = $1", brand)
    return {row[0] for row in rows}


async def test_rows_differ_by_caller_and_nothing_is_kept_of_another(
    client: Client, policed: Policed, brands: list[str], sql: asyncpg.Connection
) -> None:
    query = """query ($n: Int!, $name: String) {
        experiments(first: $n, where: {experimentName: {ne: $name}}) { totalCount nodes { rowId brand
            models(first: 5) { totalCount nodes { modelName experiment { rowId } } } } aggregate { count } }
        deployments(first: 100) { nodes { model { experiment { rowId } } } } }"""
    callers = [of_brand(client, policed, brand) for brand in brands]
    for turn in range(8):  # often enough that Postgres would plan statements once for all
        brand, caller = brands[turn % 2], callers[turn % 2]
        data = await caller.data(query, n=1000, name=f"x{turn}")
        wanted = await expected(sql, brand)
        found = data["experiments"]
        assert {row["rowId"] for row in found["nodes"]} == wanted
        assert found["totalCount"] == found["aggregate"][0]["count"] == len(wanted)
        below = [row["models"] for row in found["nodes"]]
        assert any(models["totalCount"] for models in below)
        assert {model["experiment"]["rowId"] for models in below for model in models["nodes"]} <= wanted
        through = [row["model"] for row in data["deployments"]["nodes"]]
        assert None in through, "a model of another brand is not there"
        assert {model["experiment"]["rowId"] for model in through if model} <= wanted
    assert not client.app.state.graphql.execution.fallbacks


async def test_every_way_to_read_is_policed(
    client: Client, policed: Policed, brands: list[str], sql: asyncpg.Connection
) -> None:
    mine, theirs = brands
    caller = of_brand(client, policed, mine)
    model, experiment, name = await sql.fetchrow(
        "SELECT m.id::text, e.id::text, e.experiment_name FROM ml_model_registry m JOIN ml_experiments e "
        "ON e.id = m.experiment_id WHERE e.brand::text = $1", theirs,
    )  # fmt: skip
    data = await caller.data(
        """query ($model: ID!, $experiment: ID!, $name: String!) {
            node(id: $model) { id } nodes(ids: [$model]) { id } model(id: $model) { modelName }
            experiment(id: $experiment) { experimentName }
            search(text: $name, types: [Experiment, Model]) { hits { text } }
            lineage(from: [$model]) { nodes { id: nodeId } missing }
            models(where: {experiment: {experimentName: {eq: $name}}}) { totalCount } }""",
        model=f"Model:{model}",
        experiment=experiment,
        name=name,
    )
    assert data == {
        "node": None, "nodes": [None], "model": None, "experiment": None,
        "search": {"hits": [hit for hit in data["search"]["hits"] if hit["text"] != name]},
        "lineage": {"nodes": [], "missing": [f"Model:{model}"]}, "models": {"totalCount": 0},
    }  # fmt: skip
    own = await expected(sql, mine)
    walked = await caller.data(
        "query ($from: [ID!]!) { lineage(from: $from, maxDepth: 4) { nodes { id: nodeId type } } }",
        **{"from": [f"Experiment:{id_}" for id_ in own]},
    )
    seen = {node["id"].split(":")[1] for node in walked["lineage"]["nodes"] if node["type"] == "Experiment"}
    assert seen == own


async def test_changes_are_policed(
    client: Client, policed: Policed, brands: list[str], sql: asyncpg.Connection
) -> None:
    mine, theirs = brands
    caller = of_brand(client, policed, mine, sub="ada")
    ids = {}
    for brand in brands:
        key = await sql.fetchval(
            "INSERT INTO ml_model_registry (experiment_id, model_name, model_version, algorithm, stage) "
            "SELECT id, 'm', gen_random_uuid()::text, 'a', 'development' FROM ml_experiments WHERE brand::text = $1 "
            "LIMIT 1 RETURNING id::text", brand,
        )  # fmt: skip
        ids[brand] = f"Model:{key}"
    foreign = await change(caller, "promoteModel", id=ids[theirs], to="STAGING")
    assert foreign["__typename"] == "NotFound"
    key = secrets.token_hex(8)
    for replayed in (False, True):
        done = await change(caller, "promoteModel", id=ids[mine], to="STAGING", idempotencyKey=key)
        assert (done["__typename"], done["replayed"]) == ("TransitionApplied", replayed)
        assert done["event"]["actor"] == "ada"
    preview = await change(caller, "promoteModel", id=ids[mine], to="SHADOW", dryRun=True)
    assert preview["__typename"] == "TransitionPreview"
    states = await sql.fetch(
        "SELECT stage::text FROM ml_model_registry WHERE id::text = ANY ($1) ORDER BY 1",
        [id_.split(":")[1] for id_ in ids.values()],
    )
    assert [row[0] for row in states] == ["development", "staging"]


async def foreign_model(sql: asyncpg.Connection, brand: str) -> asyncpg.Record:
    """A model of a brand: its key, its name and version, and its experiment's natural key."""
    return await sql.fetchrow(
        "SELECT m.id::text, m.model_name, m.model_version, e.mlflow_experiment_id AS experiment "
        "FROM ml_model_registry m JOIN ml_experiments e ON e.id = m.experiment_id WHERE e.brand::text = $1 "
        "AND e.mlflow_experiment_id IS NOT NULL AND m.stage = 'development' LIMIT 1",
        brand,
    )


async def test_tables_entities_counts_and_events_are_policed(
    client: Client, policed: Policed, brands: list[str], sql: asyncpg.Connection
) -> None:
    mine, theirs = brands
    caller = of_brand(client, policed, mine)
    wanted = await expected(sql, mine)
    hidden = await foreign_model(sql, theirs)
    query = "{ experiments { nodes { rowId } } }"
    for media in ("text/csv", "application/x-ndjson"):
        table = await caller.http.post("/graphql", json={"query": query}, headers={"accept": media})
        lines = table.text.splitlines()[media == "text/csv" :]
        assert {json.loads(one)["rowId"] if "{" in one else one for one in lines} == wanted, media
        assert table.headers["x-rows"] == str(len(wanted))
    events = await caller.http.post("/graphql", json={"query": query}, headers={"accept": "text/event-stream"})
    assert all(one in events.text for one in wanted)
    assert events.text.count("rowId") == len(wanted)
    data = await caller.data(
        """query ($of: [_Any!]!, $name: String) {
            _entities(representations: $of) { ... on Model { id } }
            few: models(first: 0) { totalCount totalCountIsExact all: totalCount(exact: true) aggregate { count } }
            found: models(where: {modelName: {eq: $name}}) { totalCount } }""",
        of=[{"__typename": "Model", "id": f"Model:{hidden['id']}"}],
        name=hidden["model_name"],
    )
    own = await sql.fetchval(
        "SELECT count(*) FROM ml_model_registry m JOIN ml_experiments e ON e.id = m.experiment_id "
        "WHERE e.brand::text = $1", mine,
    )  # fmt: skip
    assert data["_entities"] == [None]
    few = data["few"]
    assert (few["totalCount"], few["all"], few["aggregate"][0]["count"]) == (own, own, own)
    agent = Agent(client, **dict(caller.http.headers))
    told = await agent.call("query", query=query)
    assert {row["rowId"] for row in told["data"]["experiments"]["nodes"]} == wanted
    failure = await agent.fails("preview_change", steps=[promote(f"Model:{hidden['id']}")])
    assert failure["error"] == "NOT_FOUND"


async def test_rows_that_are_written_are_policed(
    client: Client, policed: Policed, brands: list[str], sql: asyncpg.Connection
) -> None:
    """What is another's cannot be referred to, changed, replaced or removed, and no row can be made another's."""
    mine, theirs = brands
    caller = of_brand(client, policed, mine)
    hidden, own = await foreign_model(sql, theirs), await foreign_model(sql, mine)
    new = {"modelVersion": "1", "algorithm": "a", "experiment": {"mlflowExperimentId": own["experiment"]}}
    made = await write(caller, "createModel", modelName=secrets.token_hex(6), **new)
    assert made["__typename"] == "Recorded"
    referring = new | {"experiment": {"mlflowExperimentId": hidden["experiment"]}}
    refused = await write(caller, "createModel", modelName="m", **referring)
    assert [one["code"] for one in refused["rows"]] == ["NO_SUCH_ROW"]
    for nobodys in ({"experiment": None}, {"experiment": {"id": await sql.fetchval(
        "SELECT id::text FROM ml_experiments WHERE mlflow_experiment_id = $1", hidden["experiment"])}}):  # fmt: skip
        refused = await write(caller, "createModel", modelName=secrets.token_hex(6), **(new | nobodys))
        assert refused["__typename"] == "RowsRejected", refused
    changed = await write(caller, "updateModel", id=hidden["id"], auc=0.5)
    assert changed["__typename"] == "NotFound"
    moved = await write(caller, "updateModel", id=made["ids"][0], experiment=referring["experiment"])
    assert moved["__typename"] == "RowsRejected"
    given_away = await write(caller, "updateModel", id=made["ids"][0], experiment=None)
    assert given_away["__typename"] == "RowsRejected", given_away
    for conflict in ("KEEP", "UPDATE"):
        taken = {"modelName": hidden["model_name"], "modelVersion": hidden["model_version"], "onConflict": conflict}
        refused = await write(caller, "createModel", **(new | taken), auc=0.5)
        assert refused["__typename"] == "RowsRejected", refused
    row = await sql.fetchrow("SELECT * FROM ml_model_registry WHERE id = $1::text::uuid", hidden["id"])
    assert (row["auc"] != 0.5, row["model_name"]) == (True, hidden["model_name"])
    agent = await sql.fetchval("SELECT agent_name::text FROM ml_observability_spans LIMIT 1")
    span = {"spanId": "s", "agentName": agent, "agentTier": "COORDINATION", "startedAt": OLD}
    lines = b"".join(orjson.dumps({"traceId": f"{brand}/1", **span}) + b"\n" for brand in brands)
    headers = {"content-type": "application/x-ndjson"}
    answer = (await caller.http.post("/record/observabilitySpans", content=lines, headers=headers)).json()
    assert [(one["code"], one["row"]) for one in answer["rows"]] == [("REFUSED_BY_DATABASE", 1)], answer
    assert "policy" in answer["rows"][0]["message"]
    assert not await sql.fetchval("SELECT count(*) FROM ml_observability_spans WHERE trace_id = $1", f"{mine}/1")


async def test_purges_are_policed(client: Client, policed: Policed, brands: list[str], sql: asyncpg.Connection) -> None:
    """The oldest of a caller's own go, and nothing is told of the others."""
    mine, theirs = brands
    for brand, day in ((theirs, 1), (mine, 2), (theirs, 3)):
        await add(sql, "ml_observability_spans", trace_id=f"{brand}/p", span_id=f"{secrets.token_hex(4)}",
                  started_at=f"1999-01-0{day}T00:00:00Z")  # fmt: skip
    caller = of_brand(client, policed, mine)
    data = await caller.data(
        "mutation ($input: PurgeInput!) { purge: purgeObservabilitySpans(input: $input) { ... on Purged "
        "{ purged more oldest newest referred } ... on Problem { code message } } }",
        input={"before": "2000-01-01T00:00:00Z"},
    )
    day = "1999-01-02T00:00:00.000000Z"
    assert data["purge"] == {"purged": 1, "more": False, "oldest": day, "newest": day, "referred": 0}
    left = await sql.fetchval("SELECT count(*) FROM ml_observability_spans WHERE started_at < '2000-01-01'")
    assert left == 2
    await sql.execute("DELETE FROM ml_observability_spans WHERE started_at < '2000-01-01'")


async def test_a_role_that_nobody_may_have(client: Client, policed: Policed) -> None:
    for role in (policed.outsider, GATEWAY_ROLE, "postgres", "none", None, 7, ""):
        answer = await of_brand(client, policed, "x", role=role).post("{ experiments { totalCount } }")
        assert answer.status_code == 401
        assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def who(engine: Any) -> tuple[str, str, str]:
    """In whose name the engine's connection runs statements that are nobody's."""
    asked = "SELECT current_user, coalesce(current_setting('request.jwt.claims', true), ''), pg_backend_pid()::text"
    rows = await ShortReader(engine).fetch(asked, ())
    return tuple(rows[0])  # type: ignore[return-value]


async def test_nothing_stays_on_a_connection(policed: Policed) -> None:
    identity = Identity(policed.role, '{"brand": "x", "odd": "\'; \\\\ RESET ROLE; --"}')
    engine = create_engine(
        database_url(policed.database.gateway_url), read_only=True, pool_size=1, statement_timeout=1.0
    )
    try:
        reader = ShortReader(engine, identity=identity)
        before = await who(engine)
        assert before[:2] == (GATEWAY_ROLE, "")
        asked = "SELECT current_user, current_setting('request.jwt.claims')"
        assert tuple(await reader.fetch_one(asked, ())) == (identity.role, identity.claims)
        assert tuple((await reader.fetch(asked, ()))[0]) == (identity.role, identity.claims)
        settings = {"hnsw.ef_search": "77"}
        assert tuple((await reader.fetch(f"{asked}, current_setting('hnsw.ef_search')", (), settings))[0]) == (
            identity.role, identity.claims, "77",
        )  # fmt: skip
        async with reader.snapshot() as held:
            assert tuple((await held.fetch(asked, ()))[0]) == (identity.role, identity.claims)
            with pytest.raises(DataError):
                await held.fetch("SELECT 1 / (random() * 0)::int", ())
            assert tuple((await held.fetch(asked, ()))[0]) == (identity.role, identity.claims)
        assert await who(engine) == before
        for run in (reader.fetch_one, reader.fetch):
            with pytest.raises(DataError):
                await run("SELECT 1 / (random() * 0)::int", ())
            assert await who(engine) == before, "after an error"
            with pytest.raises(StatementTimeoutError):
                await run("SELECT pg_sleep(60)", ())
            assert await who(engine) == before, "after a timeout"
            task = asyncio.create_task(run("SELECT pg_sleep(60)", ()))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await who(engine))[:2] == before[:2], "after a request that was given up"
            before = await who(engine)  # over another connection
        with pytest.raises(RuntimeError):  # noqa: PT012
            async with snapshot(engine, identity) as held:
                await held.fetch(asked, ())
                raise RuntimeError
        assert (await who(engine))[:2] == before[:2]
    finally:
        await engine.dispose()


async def test_a_client_that_goes_away(client: Client, policed: Policed, brands: list[str]) -> None:
    """Whatever happens to a request, the next caller of the one connection sees his own rows."""
    some, others = (of_brand(client, policed, brand) for brand in brands)
    query = "{ experiments(first: 100) { nodes { brand models { totalCount } } } }"
    for _ in range(5):
        task = asyncio.create_task(some.post(query))
        await asyncio.sleep(0.002)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        data = await others.data(query)
        assert {row["brand"].lower() for row in data["experiments"]["nodes"]} == {brands[1].lower()}


async def test_a_table_that_is_altered_meanwhile(client: Client, policed: Policed, brands: list[str]) -> None:
    caller = of_brand(client, policed, brands[0])
    query = "{ twinModels(first: 1) { nodes { modelName } } }"
    before = await caller.data(query)
    await execute(
        policed.database.owner_url, "ALTER TABLE digital_twin_models ALTER COLUMN model_name TYPE varchar(400)"
    )
    assert await caller.data(query) == before


async def test_what_the_role_may_not_read_is_an_error_of_the_field(
    client: Client, policed: Policed, brands: list[str]
) -> None:
    await execute(policed.database.admin_url, f"REVOKE SELECT ON tool_registry FROM {policed.role}")
    answer = await of_brand(client, policed, brands[0]).ask("{ tools { totalCount } experiments { totalCount } }")
    assert answer["data"]["tools"] is None
    assert answer["data"]["experiments"]["totalCount"]
    assert [error["path"] for error in answer["errors"]] == [["tools"]]
    assert "tool_registry" not in answer["errors"][0]["message"]


async def test_roles_that_cannot_be_had_are_named(policed: Policed) -> None:
    engine = create_engine(database_url(policed.database.gateway_url), read_only=True)
    try:
        async with engine.connect() as connection:
            assert await unusable(connection, [policed.role]) == {}
        superuser = str(database_url(policed.database.admin_url).username)
        for role, why in (
            (policed.outsider, f"run GRANT {policed.outsider} TO {GATEWAY_ROLE}"),
            ("e2i_zzz_nobody", "there is no role e2i_zzz_nobody"),
            (superuser, f"no policy binds the role {superuser}"),
        ):
            async with engine.connect() as connection:
                assert why in (await unusable(connection, [role]))[role]
    finally:
        await engine.dispose()


async def test_a_token_whose_role_nobody_can_have_is_not_made(policed: Policed) -> None:
    """The owner's command knows the roles that gateways serve with by what they may read."""
    superuser = str(database_url(policed.database.admin_url).username)
    for role, said in (
        (policed.outsider, f"run GRANT {policed.outsider} TO {GATEWAY_ROLE}"),
        ("e2i_zzz_nobody", "there is no role e2i_zzz_nobody"),
        (superuser, f"no policy binds the role {superuser}"),
    ):
        made = await asyncio.to_thread(make_token, policed, "never", role)
        assert (made.returncode, made.stdout) == (1, "")
        assert "GATEWAY_RLS_TOKEN_ROLE" in made.stderr
        assert said in made.stderr
    made = await asyncio.to_thread(make_token, policed, f"bot-{policed.role}", policed.role)
    assert made.returncode == 0, made.stderr
    async with serving(policed.database.gateway_url, auth=("token",), rls=True, rls_roles=(policed.role,),
                       rls_token_role=policed.role) as gateway:  # fmt: skip
        caller = calling(gateway, made.stdout.strip())
        assert (await caller.data("{ experiments { totalCount } }"))["experiments"]["totalCount"] == 0, "of no brand"


def make_token(policed: Policed, name: str, role: str) -> subprocess.CompletedProcess[str]:
    return run(
        "token", "create", name, "--scope", "viewer", DATABASE_URL=policed.database.owner_url, GATEWAY_RLS="on",
        GATEWAY_RLS_ROLES=role, GATEWAY_RLS_TOKEN_ROLE=role, GATEWAY_AUTH="token", GATEWAY_LOG="error",
    )  # fmt: skip


async def test_service_tokens_have_their_role(client: Client, policed: Policed) -> None:
    assert isinstance(client.http, httpx.AsyncClient)
    authentication = client.app.state.authentication
    identity = authentication._identity(policed.role, '{"sub":"token:bot"}')
    assert (identity.role, '"token:bot"' in identity.claims) == (policed.role, True)


@pytest.mark.parametrize("inherits", [True, False])
async def test_to_act_as_a_caller_is_no_right_of_the_gateways_own(
    demo_template: Database,
    clone: Clone,
    inherits: bool,  # noqa: FBT001
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Callers' roles may do everything, as on Supabase: by the README's grant the gateway's own may not delete."""
    role, own = (f"e2i_{name}_{secrets.token_hex(6)}" for name in ("user", "own"))
    password = demo_template.server.password
    async with clone(demo_template) as copy:
        modern = int(os.environ.get("TEST_POSTGRES_VERSION", "16")) >= 16
        without = " WITH INHERIT FALSE" if modern and not inherits else ""
        await execute(
            copy.admin_url,
            role_sql(own),
            f"ALTER ROLE {own} {'INHERIT' if inherits else 'NOINHERIT'}",
            f"CREATE ROLE {role} NOLOGIN",
            f"GRANT USAGE ON SCHEMA public, ml, gateway TO {role}",
            f"GRANT ALL ON ALL TABLES IN SCHEMA public, ml TO {role}",
            f"GRANT {role} TO {own}{without}",
            *([f"ALTER ROLE {own} PASSWORD '{password}'"] if password else []),
        )
        try:
            url = copy.server.url(copy.name, own)
            settings = {"rls": True, "rls_roles": (role,), "rls_token_role": role}
            caplog.clear()
            async with serving(url, **JWT, **settings) as client:
                caller = calling(client, token("operator", role=role))
                assert (await caller.data("{ experiments(first: 1) { totalCount } }"))["experiments"]["totalCount"]
            assert ("has all rights of" in caplog.text) is inherits
            connection = await connect(url)
            if inherits:
                await connection.execute("DELETE FROM ml_experiments WHERE false")
            else:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute("DELETE FROM ml_experiments WHERE false")
            await connection.close()
        finally:
            await execute(copy.admin_url, *(f"DROP OWNED BY {one}; DROP ROLE {one}" for one in (role, own)))


async def test_tables_that_seem_empty_are_said(
    demo_template: Database, clone: Clone, caplog: pytest.LogCaptureFixture
) -> None:
    async with clone(demo_template) as copy:
        await execute(copy.admin_url, "ALTER TABLE ml_experiments ENABLE ROW LEVEL SECURITY")
        said = "row level security hides all rows of ml_experiments from"
        async with serving(copy.gateway_url) as client:
            assert not (await client.data("{ experiments(first: 1) { totalCount } }"))["experiments"]["totalCount"]
        assert said in caplog.text
        process = await asyncio.to_thread(run, "db", "check", DATABASE_URL=copy.admin_url)
        assert process.returncode == 1
        assert f"{said} {GATEWAY_ROLE}" in process.stdout
        await execute(
            copy.admin_url, f"CREATE POLICY reads ON ml_experiments FOR SELECT TO {GATEWAY_ROLE} USING (true)"
        )
        caplog.clear()
        async with serving(copy.gateway_url) as client:
            assert (await client.data("{ experiments(first: 1) { totalCount } }"))["experiments"]["totalCount"]
        assert said not in caplog.text
        process = await asyncio.to_thread(run, "db", "check", DATABASE_URL=copy.admin_url)
        assert said not in process.stdout

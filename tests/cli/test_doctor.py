"""`e2i-gateway doctor`: a healthy deployment is well, and each check has something that makes it fail."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from sqlalchemy.engine import make_url

from db.attach import checkup
from db.attach.attach import attach
from db.embedded.server import GATEWAY_ROLE, OWNER_ROLE
from db.engine.session import OF_READS, session_settings
from db.engine.url import database_url
from db.migrations import setup
from db.store import current_state, tokens
from gateway.doctor import database as of_database
from gateway.doctor import settings as of_settings
from gateway.doctor.examine import examine
from gateway.doctor.findings import Finding, Level, as_sql, as_text
from gateway.settings import Settings
from tests.support import rollups
from tests.support.changing import add
from tests.support.databases import Clone, Database, Server, connect, execute
from tests.support.embedding_service import embedding_server
from tests.support.process import run, until
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


async def found(url: str, **settings: Any) -> dict[str, Finding]:
    """The gravest finding of each check."""
    return gravest(await examine(Settings(**{"auth": "token"} | settings), database_url(url)))


def gravest(findings: list[Finding]) -> dict[str, Finding]:
    by_check: dict[str, Finding] = {}
    order = list(Level)
    for one in findings:
        if one.check not in by_check or order.index(one.level) < order.index(by_check[one.check].level):
            by_check[one.check] = one
    return by_check


def bad(findings: dict[str, Finding]) -> dict[str, Level]:
    return {name: one.level for name, one in findings.items() if one.level in {Level.ERROR, Level.WARNING}}


async def test_a_healthy_deployment_is_well(module_database: Database) -> None:
    assert bad(await found(module_database.gateway_url)) == {}


# -- the database ------------------------------------------------------------------------------------------------------

CASES = [
    ("DROP EXTENSION vector CASCADE", "database.pgvector", Level.WARNING, "CREATE EXTENSION vector"),
    ("CREATE SCHEMA hidden; ALTER EXTENSION vector SET SCHEMA hidden", "database.pgvector", Level.ERROR,
     "ALTER EXTENSION vector SET SCHEMA extensions"),
    ("ALTER DATABASE {name} CONNECTION LIMIT 5", "database.connections", Level.ERROR, "the database allows 5"),
    ("REVOKE SELECT ON ml_experiments FROM e2i_gateway", "database.rights", Level.ERROR, "may not read ml_experiments"),
    ("REVOKE UPDATE ON ml_model_registry FROM e2i_gateway", "database.rights", Level.WARNING,
     "may not UPDATE on ml_model_registry"),
    ("GRANT DELETE ON ml_experiments TO e2i_gateway", "database.rights", Level.WARNING, "DELETE on ml_experiments"),
    ("ALTER TABLE ml_experiments ENABLE ROW LEVEL SECURITY", "database.policies", Level.ERROR,
     "hides all rows of ml_experiments"),
    ("DROP SCHEMA gateway CASCADE", "gateway.schema", Level.ERROR, "e2i-gateway db attach"),
    ("DROP TABLE gateway.idempotency_keys", "gateway.schema", Level.ERROR, "lacks gateway.idempotency_keys"),
    ("ALTER TABLE gateway.lifecycle_events DROP COLUMN reason", "gateway.schema", Level.ERROR, "earlier version's"),
    ("ALTER TABLE ml_experiments DROP COLUMN description CASCADE", "schema.missing-column", Level.ERROR,
     "ml_experiments.description is missing"),
    ("DROP TABLE ml.feature_rankings", "schema.missing-table", Level.ERROR, "ml.feature_rankings is missing"),
    ("DROP INDEX ix_ml_deployments_model_registry_id_created_at", "schema.missing-index", Level.WARNING,
     "e2i_gateway_ml_deployments_model_registry_id_created_at ON ml_deployments (model_registry_id, created_at DESC"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("change", "check", "level", "words"), CASES, ids=[case[0] for case in CASES])
async def test_what_is_wrong_with_a_database_is_said(
    database: Database, change: str, check: str, level: Level, words: str
) -> None:
    await execute(database.admin_url, change.format(name=database.name))
    one = (await found(database.gateway_url))[check]
    assert one.level is level
    assert words in f"{one.message} {one.remedy} {one.sql}"


@pytest.mark.slow
async def test_a_remedy_for_hidden_rows_helps(database: Database) -> None:
    await execute(database.owner_url, "ALTER TABLE ml_experiments ENABLE ROW LEVEL SECURITY")
    one = (await found(database.gateway_url))["database.policies"]
    await execute(database.owner_url, one.sql)
    assert "database.policies" not in await found(database.gateway_url)


@pytest.mark.slow
@pytest.mark.parametrize(("whose", "words"), [("admin_url", "is a superuser"), ("owner_url", "may alter and drop")])
async def test_a_role_that_may_too_much(module_database: Database, whose: str, words: str) -> None:
    one = (await found(getattr(module_database, whose)))["database.role"]
    assert one.level is Level.ERROR
    assert words in one.message
    assert "e2i-gateway db role" in one.remedy


@pytest.mark.slow
async def test_a_role_that_sees_all_rows(module_database: Database, server: Server) -> None:
    await execute(server.admin_url, "DROP ROLE IF EXISTS e2i_seer", "CREATE ROLE e2i_seer LOGIN BYPASSRLS")
    try:
        await execute(server.admin_url, f"GRANT {GATEWAY_ROLE} TO e2i_seer")
        if server.password:
            await execute(server.admin_url, f"ALTER ROLE e2i_seer PASSWORD '{server.password}'")
        one = (await found(server.url(module_database.name, "e2i_seer")))["database.role"]
        assert (one.level, "BYPASSRLS" in one.message) == (Level.WARNING, True)
    finally:
        await execute(server.admin_url, "DROP ROLE e2i_seer")


@pytest.mark.slow
async def test_an_encoding_that_is_not_utf8(server: Server) -> None:
    name = "e2i_test_ascii"
    await execute(server.admin_url, f"DROP DATABASE IF EXISTS {name}")
    await execute(
        server.admin_url,
        f"CREATE DATABASE {name} OWNER {OWNER_ROLE} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'",
    )
    try:
        one = (await found(server.url(name, OWNER_ROLE)))["database.encoding"]
        assert (one.level, "SQL_ASCII" in one.message) == (Level.ERROR, True)
    finally:
        await execute(server.admin_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.slow
async def test_more_connections_than_the_server_has(module_database: Database) -> None:
    findings = await found(module_database.gateway_url, workers=32, pool_size=20)
    assert "the server allows" in findings["database.connections"].message


@pytest.mark.slow
async def test_a_platforms_database_before_and_after_attaching(platform_template: Database, clone: Clone) -> None:
    async with clone(platform_template) as copy:
        before = await found(copy.gateway_url)
        assert before["gateway.schema"].level is Level.ERROR
        assert before["database.rights"].level is Level.WARNING, "it may do everything there"
        await attach(copy.admin_url)
        assert (await found(copy.gateway_url))["gateway.schema"].level is Level.OK


def changed(facts: checkup.Checkup, *, remote: bool = False, **values: Any) -> dict[str, Finding]:
    return gravest(list(of_database.check(Settings(), replace(facts, **values), remote=remote)))


@pytest.mark.slow
async def test_what_this_server_cannot_be_made_to_be(module_database: Database) -> None:
    """Too old, too far, on another clock, a standby: facts that a server of the tests does not have."""
    facts = await checkup.read(database_url(module_database.gateway_url), statement_timeout=15)
    assert bad(changed(facts)) == {}
    assert bad(changed(facts, version=130_004)) == {"database.version": Level.ERROR}
    assert bad(changed(facts, encrypted=False)) == {}, "on this host there is nobody between"
    assert bad(changed(facts, encrypted=False, remote=True)) == {"database.tls": Level.ERROR}
    for skew in (60.0, -60.0):
        assert bad(changed(facts, skew=skew)) == {"database.clock": Level.WARNING}
    assert bad(changed(facts, in_recovery=True)) == {"database.standby": Level.WARNING}
    assert bad(changed(facts, vector="0.4.4")) == {"database.pgvector": Level.WARNING}
    assert bad(changed(facts, connected=facts.server_limit - 10)) == {"database.connections": Level.WARNING}
    for name, value in (
        ("TimeZone", "Europe/Berlin"),
        ("search_path", '"$user", public'),
        ("statement_timeout", "0"),
        ("transaction_read_only", "off"),
    ):
        assert bad(changed(facts, settings={**facts.settings, name: value})) == {"database.session": Level.ERROR}


async def test_a_database_that_is_away() -> None:
    findings = await found(NOWHERE)
    assert bad(findings) == {"database.reachable": Level.ERROR}
    assert "nothing at 127.0.0.1 cannot be reached" in findings["database.reachable"].message


@pytest.mark.slow
async def test_prepared_statements_that_are_off_for_nothing(module_database: Database) -> None:
    findings = await found(module_database.gateway_url, prepared_statements=False)
    assert bad(findings) == {"database.pooler": Level.WARNING}


PGBOUNCER = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
DROPPED = ", ".join((*session_settings(1), *OF_READS, "default_transaction_read_only"))
"""Startup parameters that PgBouncer refuses unless it is told to drop them."""


def start_pgbouncer(folder: Path) -> subprocess.Popen[bytes]:
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)
    as_user = {"user": "nobody", "extra_groups": []} if os.getuid() == 0 else {}
    with (folder / "log").open("wb") as log:
        return subprocess.Popen([PGBOUNCER, "pgbouncer.ini"], stdout=log, stderr=log, cwd=folder, **as_user)  # type: ignore[call-overload]


@asynccontextmanager
async def pgbouncer(database: Database, mode: str) -> AsyncIterator[str]:
    """The URL of a database through a PgBouncer that passes on none of the settings that the gateway asks for."""
    assert PGBOUNCER is not None
    folder = Path(tempfile.mkdtemp(prefix="e2i-doctor-"))
    bridge = await asyncio.start_server(Proxy(database.gateway_url).serve, "127.0.0.1", 0)
    port = bridge.sockets[0].getsockname()[1]
    user = make_url(database.gateway_url)
    own = free_port()
    (folder / "users.txt").write_text(f'"{user.username}" "{user.password or ""}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {own}\n"
        f"unix_socket_dir =\nauth_type = trust\nauth_file = users.txt\npool_mode = {mode}\n"
        f"ignore_startup_parameters = {DROPPED}\n"
    )
    process = start_pgbouncer(folder)
    try:
        until(lambda: is_open(own) or process.poll() is not None, "pgbouncer")
        assert process.poll() is None, (folder / "log").read_text()
        yield user.set(host="127.0.0.1", port=own, query={}).render_as_string(hide_password=False)
    finally:
        process.terminate()
        process.wait()
        bridge.close()
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def is_open(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
@pytest.mark.skipif(PGBOUNCER is None, reason="there is no PgBouncer")
async def test_poolers(module_database: Database) -> None:
    """What is prepared and what is asked for at the start gets lost in them."""
    async with pgbouncer(module_database, "transaction") as url:
        findings = await found(url)
        assert bad(findings) == {"database.pooler": Level.ERROR, "database.session": Level.ERROR}
        assert "GATEWAY_PREPARED_STATEMENTS=off" in findings["database.pooler"].remedy
        assert "search_path is" in findings["database.session"].message
        assert bad(await found(url, prepared_statements=False)) == {}, "they are said in each transaction"
    async with pgbouncer(module_database, "session") as url:
        findings = await found(url)
        assert bad(findings) == {"database.session": Level.ERROR}
        assert "a backend of its own" in findings["database.pooler"].message


@pytest.mark.slow
async def test_a_replica_that_is_none(module_database: Database) -> None:
    url = module_database.gateway_url
    findings = await found(url, database_url=url, replica_url=url)
    assert bad(findings) == {"replica.standby": Level.ERROR}
    findings = await found(url, database_url=url, replica_url=NOWHERE)
    assert bad(findings) == {"replica.reachable": Level.WARNING}


@pytest.mark.slow
async def test_service_tokens_that_grant_nothing(database: Database) -> None:
    """Whose role in the database nobody may have, or that were made with a role that is none any more."""
    async with setup.connect(database.owner_url) as connection, connection.begin():
        for name, scopes in {"bot": ["viewer", "patient"], "old": ["clinical"], "gone": ["clinical"]}.items():
            await tokens.create(connection, name, scopes, 1)
        await tokens.revoke(connection, "gone")
    policed = {"rls": True, "rls_roles": "anon,e2i_test_nobody", "rls_token_role": "e2i_test_nobody"}
    every = await examine(Settings(auth="token", **policed), database_url(database.gateway_url))
    levels = {(one.level, one.message) for one in every if one.check == "database.tokens"}
    assert {level for level, _ in levels} == {Level.ERROR, Level.WARNING}
    assert all("gone" not in message for _, message in levels)
    whole = " ".join(message for _, message in sorted(levels))
    assert "service tokens bot, old cannot be used: there is no role e2i_test_nobody" in whole
    one = (await found(database.gateway_url))["database.tokens"]
    assert (one.level, "old was made with clinical" in one.message) == (Level.WARNING, True)
    assert "e2i-gateway token revoke old" in one.remedy
    known = await found(database.gateway_url, roles={"clinical": ("read",)})
    assert known["database.tokens"].level is Level.OK
    assert "database.tokens" not in await found(database.gateway_url, auth="jwt", jwt_secret="s" * 32)


async def test_state_of_many_models_that_is_not_stored_or_not_used(database: Database) -> None:
    """Of few models nothing is said."""
    name = "database.current-state"
    assert name not in await found(database.gateway_url)
    models = "UPDATE pg_class SET reltuples = 50000 WHERE oid = 'ml_model_registry'::regclass"
    await execute(database.admin_url, models)
    one = (await found(database.gateway_url))[name]
    assert (one.level, "each of about 50,000 rows of ml_model_registry" in one.message) == (Level.WARNING, True)
    assert "e2i-gateway db current-state" in one.remedy
    policed: dict[str, Any] = {"rls": True, "rls_roles": "anon", "rls_token_role": "anon"}
    assert name not in await found(database.gateway_url, **policed), "it would not be read"
    async with setup.connect(database.admin_url) as connection, connection.begin():
        await current_state.make(connection)
    one = (await found(database.gateway_url))[name]
    assert (one.level, "set GATEWAY_CURRENT_STATE=true" in one.remedy) == (Level.WARNING, True)
    assert "serve without GATEWAY_RLS" in (await found(database.gateway_url, **policed))[name].remedy
    assert (await found(database.gateway_url, current_state=True))[name].level is Level.OK


@pytest.mark.slow
async def test_rollups_that_are_not_used_or_not_whole(database: Database) -> None:
    """Those that nobody keeps are not said."""
    assert "database.rollups" not in await found(database.gateway_url)
    missing = (await found(database.gateway_url, rollups=True))["database.rollups"]
    assert (missing.level, "no sums are kept" in missing.message) == (Level.WARNING, True)
    await rollups.make(database.admin_url)

    async def said(**settings: Any) -> tuple[Level, str]:
        one = (await found(database.gateway_url, **settings))["database.rollups"]
        return one.level, f"{one.message}; {one.remedy}"

    assert (await said(rollups=True))[0] is Level.OK
    await execute(database.admin_url, "UPDATE gateway.rollups SET measures = array_remove(measures, '168 hours')")
    level, words = await said(rollups=True)
    assert (level, "of ml_observability_spans are of an earlier version, without those of 168 hours" in words) == (
        Level.NOTE, True,
    )  # fmt: skip
    await rollups.make(database.admin_url)
    assert (await said(rollups=True))[0] is Level.OK
    level, words = await said()
    assert (level, "set GATEWAY_ROLLUPS=true" in words) == (Level.WARNING, True)
    level, words = await said(rollups=True, rls=True, rls_roles="anon", rls_token_role="anon")
    assert (level, "serve without GATEWAY_RLS" in words) == (Level.WARNING, True)
    sql = await connect(database.admin_url)
    service = await add(sql, "ml_bentoml_services")
    for _ in range(2):
        await add(
            sql, "ml_bentoml_serving_metrics", service_id=service, recorded_at=datetime(2026, 3, 27, tzinfo=UTC),
            avg_latency_ms=1e308,
        )  # fmt: skip
    await sql.close()
    await rollups.sum_up(database.gateway_url)
    level, words = await said(rollups=True)
    assert level is Level.WARNING
    assert "the sums of ml_bentoml_serving_metrics lack 1 units of time" in words
    assert "out of range" in words
    await execute(database.admin_url, "DROP TRIGGER e2i_rollup_delete ON ml_bentoml_serving_metrics")
    level, words = await said(rollups=True)
    assert level is Level.WARNING
    assert "the sums of ml_bentoml_serving_metrics are not used" in words
    assert "run `e2i-gateway db rollups`" in words


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "check", "level"),
    [
        ({"host": "0.0.0.0", "auth": "none"}, "settings.host", Level.ERROR),
        ({"host": "0.0.0.0"}, "settings.host", Level.WARNING),
        ({"auth": "none,token"}, "settings.auth", Level.WARNING),
        ({"metrics": "0.0.0.0:9464"}, "settings.metrics", Level.ERROR),
        ({"metrics": "8.8.8.8:9464"}, "settings.metrics", Level.ERROR),
        ({"statement_timeout": 40.0}, "settings.timeouts", Level.WARNING),
        ({"workers": 64}, "settings.workers", Level.WARNING),
        ({"workers": 2, "budget_per_minute": 1000}, "settings.budget", Level.WARNING),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, Any], check: str, level: Level) -> None:
    findings = gravest(list(of_settings.check(Settings(database_url=NOWHERE, **{"auth": "token"} | settings))))
    assert bad(findings) == {check: level}


def test_settings_that_fit() -> None:
    settings = Settings(database_url=NOWHERE, auth="token", metrics="10.0.0.7:9464", host="::1", workers=1)
    assert bad(gravest(list(of_settings.check(settings)))) == {}


def test_names_that_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {
        "GATEWAY_PORT": "did you mean PORT?",
        "gateway_worker": "did you mean GATEWAY_WORKERS?",
        "GATEWAY_DATABASE_URL": "did you mean DATABASE_URL?",
        "GATEWAY_STATEMENT_TIMEOUT_MS": "did you mean GATEWAY_STATEMENT_TIMEOUT?",
        "GATEWAY_XYZZY": "GATEWAY_XYZZY is no setting and has no effect",
    }
    of_a_service = {"GATEWAY_SERVICE_HOST": "10.0.0.1", "GATEWAY_PORT_80_TCP_ADDR": "10.0.0.1"}
    for name, value in {**dict.fromkeys(named, "a secret"), **of_a_service, "GATEWAY_POOL_SIZE": "5"}.items():
        monkeypatch.setenv(name, value)
    settings = Settings(database_url=NOWHERE, auth="token")
    told = [one for one in of_settings.check(settings) if one.check == "settings.names"]
    assert {one.level for one in told} == {Level.WARNING}
    assert len(told) == len(named)
    for name, words in named.items():
        assert [one.message.endswith(words) for one in told if one.message.startswith(f"{name} ")] == [True], name
    assert "secret" not in as_text(told)
    monkeypatch.setenv("GATEWAY_PORT", "tcp://10.0.0.1:80")  # as Kubernetes has it for a service of this name
    assert not any("GATEWAY_PORT " in one.message for one in of_settings.check(settings))


@pytest.mark.slow
def test_traces_without_what_makes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.doctor.settings.find_spec", lambda name: None)
    findings = gravest(list(of_settings.check(Settings(database_url=NOWHERE, auth="token", traces=True))))
    assert bad(findings) == {"settings.traces": Level.ERROR}


def test_the_folder_of_the_embedded_database(tmp_path: Path) -> None:
    def level(folder: Path) -> tuple[Level, str]:
        one = gravest(list(of_settings.check(Settings(data=folder))))["settings.data"]
        return one.level, one.message

    assert level(tmp_path / "new")[0] is Level.NOTE
    assert level(tmp_path)[0] is Level.OK
    (tmp_path / "file").touch()
    assert level(tmp_path / "file")[0] is Level.ERROR
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    assert "others may write" in level(tmp_path / "shared")[1]
    if os.getuid() != 0:
        (tmp_path / "closed").mkdir(mode=0o555)
        assert level(tmp_path / "closed" / "new")[0] is Level.ERROR


# -- services ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_collector_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    findings = gravest(await examine(Settings(traces=True, auth="token", database_url=NOWHERE), None))
    assert bad(findings) == {"services.otlp": Level.WARNING}
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert bad(gravest(await examine(Settings(traces=True, auth="token", database_url=NOWHERE), None))) == {}
    server.close()


def jwk_set(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    jwk = json.loads(ECAlgorithm.to_jwk(key)) | {"kid": "1", "alg": "ES256", "use": "sig"}
    (folder / "jwks.json").write_text(json.dumps({"keys": [jwk]}))
    return folder / "jwks.json"


@pytest.mark.slow
async def test_keys_of_tokens(tmp_path: Path) -> None:
    async def level(source: str) -> Level:
        settings = Settings(auth="jwt", jwt_jwks=source, database_url=NOWHERE)
        return gravest(await examine(settings, None))["services.jwks"].level

    file = jwk_set(tmp_path)
    assert await level(str(file)) is Level.OK
    assert await level(str(tmp_path / "missing.json")) is Level.ERROR
    assert await level(f"http://127.0.0.1:{free_port()}/jwks.json") is Level.ERROR
    (tmp_path / "empty.json").write_text('{"keys": []}')
    assert await level(str(tmp_path / "empty.json")) is Level.ERROR
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert await level(f"http://127.0.0.1:{server.server_port}/jwks.json") is Level.WARNING, "it is not encrypted"
        server.shutdown()


@pytest.mark.slow
async def test_a_service_of_embeddings() -> None:
    async def finding(url: str) -> Finding:
        settings = Settings(auth="token", embeddings_url=url, embeddings_model="words", database_url=NOWHERE)
        return gravest(await examine(settings, None))["services.embeddings"]

    assert (await finding(f"http://127.0.0.1:{free_port()}/v1")).level is Level.ERROR
    with embedding_server() as service:
        assert (await finding(service.url)).level is Level.OK
        service.length = 8
        assert "8 numbers" in (await finding(service.url)).message


@pytest.mark.slow
async def test_shared_budgets(redis: RedisServer) -> None:
    async def level() -> Level:
        settings = Settings(auth="token", redis_url=redis.url, database_url=NOWHERE)
        return gravest(await examine(settings, None))["services.redis"].level

    assert await level() is Level.OK
    redis.stop()
    assert await level() is Level.ERROR


@pytest.mark.slow
async def test_roles_that_callers_cannot_have(module_database: Database) -> None:
    findings = await found(
        module_database.gateway_url, rls=True, rls_roles="anon,e2i_test_nobody", rls_token_role="anon"
    )
    assert findings["database.rls"].level is Level.ERROR
    assert "there is no role" in findings["database.rls"].message


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command(module_database: Database) -> None:
    well = run("doctor", DATABASE_URL=module_database.gateway_url, GATEWAY_AUTH="token")
    assert well.returncode == 0, well.stdout
    assert "0 errors" in well.stdout
    away = run("doctor", "--json", DATABASE_URL=NOWHERE)
    assert away.returncode == 1
    told = json.loads(away.stdout)
    assert told["status"] == "error"
    (one,) = [one for one in told["findings"] if one["level"] == "error"]
    assert one["check"] == "database.reachable"
    assert one["remedy"]


@pytest.mark.slow
async def test_what_is_alike_is_not_said_a_hundred_times(platform_template: Database, clone: Clone) -> None:
    async with clone(platform_template) as copy:
        findings = await examine(Settings(), database_url(copy.gateway_url))
        text, script = as_text(findings), as_sql(findings)
        indexes = [one for one in findings if one.check == "schema.missing-index"]
        assert text.count("schema.missing-index: ") == 1
        assert f"and {len(indexes) - 1} more like this" in text
        assert as_text(findings, everything=True).count("schema.missing-index: ") == len(indexes)
        assert script.count("CREATE INDEX CONCURRENTLY") == len({one.sql for one in indexes}) > 50
        sql = await connect(copy.admin_url)
        for statement in filter(None, script.split(";\n")):
            await sql.execute(statement)
        await sql.close()
        assert "schema.missing-index" not in await found(copy.gateway_url)


@pytest.mark.slow
async def test_the_terminal_sees_the_gravest_first_and_what_to_run(database: Database) -> None:
    await execute(
        database.owner_url,
        "DROP TABLE ml.feature_rankings",
        "DROP INDEX ix_ml_deployments_model_registry_id_created_at",
    )
    findings = await examine(Settings(auth="token"), database_url(database.gateway_url))
    lines = as_text(findings).splitlines()
    assert lines[0].startswith("ERROR   schema.missing-table: the table ml.feature_rankings is missing")
    assert lines[1].startswith("WARNING schema.missing-index: ")
    assert "  CREATE INDEX CONCURRENTLY e2i_gateway_ml_deployments" in as_text(findings, everything=True)
    assert re.fullmatch(r"1 error, 1 warning, \d notes?, \d+ ok; --all lists them", lines[-1])

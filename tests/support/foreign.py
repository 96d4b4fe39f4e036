"""A Postgres that speaks another language: a proxy puts foreign sentences in the place of the server's own.

What it leaves are the fields that no `lc_messages` changes: codes, names, positions, and what triggers say themselves.
"""

from __future__ import annotations

import asyncio
import shutil
import struct
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from db.engine.url import database_url
from tests.support.proxy import Proxy

SENTENCE = "データベースの言葉は誰にも読めない"
SEVERITY = "エラー"


def translated(body: bytes) -> bytes:
    """The fields of an error or a notice, with its sentences in another language."""
    fields = {field[:1]: field[1:] for field in body.rstrip(b"\0").split(b"\0") if field}
    by_trigger = fields.get(b"C", b"").startswith(b"P0")
    for letter in (b"D", b"H", *(() if by_trigger else (b"M",))):
        if letter in fields:
            fields[letter] = SENTENCE.encode()
    fields[b"S"] = SEVERITY.encode()
    if b"W" in fields:
        fields[b"W"] = fields[b"W"].replace(b"SQL statement", "SQL文".encode())
    return b"".join(letter + text + b"\0" for letter, text in fields.items()) + b"\0"


async def _forth(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readexactly(5)
            body = await reader.readexactly(struct.unpack(">i", head[1:])[0] - 4)
            if head[:1] in b"EN":
                body = translated(body)
            writer.write(head[:1] + struct.pack(">i", len(body) + 4) + body)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def speaking_another_language(url: str) -> AsyncIterator[str]:
    """The URL of a database whose server speaks no English."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await Proxy(url).connect()
        for way in (_forth(reader, up_writer), _back(up_reader, writer)):
            task = asyncio.ensure_future(way)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    folder = Path(tempfile.mkdtemp(prefix="e2i-foreign-"))
    server = await asyncio.start_unix_server(serve, folder / ".s.PGSQL.5432")
    through = database_url(url).set(host=None, port=None, query={}).render_as_string(hide_password=False)
    try:
        yield f"{through}?host={quote(str(folder))}&port=5432"
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)

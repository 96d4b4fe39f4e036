"""Something between the gateway and Postgres that loses connections where it is told to."""

from __future__ import annotations

import asyncio
import shutil
import struct
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from db.engine.url import database_url

Moment = Literal["before the commit", "after the commit", "on the way"]
"""On the way: the client's side is gone, and the server hears the commit only when ``late`` is set."""

_TLS_REQUEST = 80877103


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: str, words: str) -> None:
    """Answers a client that connects as a server that ends it: with a FATAL error, after no to TLS."""
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            size, code = struct.unpack("!ii", await reader.readexactly(8))
            await reader.readexactly(size - 8)
            if code != _TLS_REQUEST:
                break
            writer.write(b"N")
        fields = {"S": "FATAL", "V": "FATAL", "C": state, "M": words}
        body = b"".join(f"{name}{value}\0".encode() for name, value in fields.items()) + b"\0"
        writer.write(b"E" + struct.pack("!i", len(body) + 4) + body)
        await writer.drain()
    writer.close()


class Proxy:
    """Passes bytes on. ``lose`` says at which moment the next commit loses its connection; ``away`` lets nobody in."""

    def __init__(self, upstream: str) -> None:
        url = database_url(upstream)
        self._host = str(url.query.get("host") or url.host)
        self._port = int(str(url.query.get("port") or url.port or 5432))
        self.lose: Moment | None = None
        self.away_then = False
        self.away = False
        self.refusal: tuple[str, str] | None = None
        """The SQLSTATE and the message of the error that new connections get."""
        self.refused = 0
        self.lost = 0
        self.late = asyncio.Event()
        self.hold: asyncio.Event | None = None
        """What the next commit waits for; ``held`` says that it does."""
        self.held = asyncio.Event()
        self.delay = 0.0
        """Seconds that pass before each part of an answer goes on."""
        self.parting: asyncio.Event | None = None
        """What the end of a connection waits for that the server has closed; ``parted`` says that it does."""
        self.parted = asyncio.Event()
        self._mute = False
        self._frozen = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def freeze(self) -> None:
        """Swallows all that is sent, as a network that is gone: on the connections that are open now for ever."""
        self._mute = True
        self._frozen += 1

    def thaw(self) -> None:
        """New connections work again."""
        self._mute = False

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._host.startswith("/"):
            return await asyncio.open_unix_connection(f"{self._host}/.s.PGSQL.{self._port}")
        return await asyncio.open_connection(self._host, self._port)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.away:
            writer.close()
            return
        if self.refusal is not None:
            self.refused += 1
            await refuse(reader, writer, *self.refusal)
            return
        if self._mute:
            with suppress(ConnectionError):
                while await reader.read(65536):
                    pass
            writer.close()
            return
        born = self._frozen
        up_reader, up_writer = await self.connect()
        answer_is_lost = asyncio.Event()
        back = asyncio.ensure_future(self._answers(up_reader, up_writer, writer, answer_is_lost, born))
        self._tasks.add(back)
        back.add_done_callback(self._tasks.discard)
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if born < self._frozen:
                    continue
                if b"COMMIT;" in data and await self._loses(writer, answer_is_lost):
                    break
                up_writer.write(data)
                await up_writer.drain()
        if not answer_is_lost.is_set():
            up_writer.close()
        writer.close()

    async def _loses(self, writer: asyncio.StreamWriter, answer_is_lost: asyncio.Event) -> bool:
        """A commit goes by; says whether the server must never hear it."""
        if self.hold is not None:
            self.held.set()
            await self.hold.wait()
        if self.lose is None:
            return False
        moment, self.lose, self.away = self.lose, None, self.away_then
        self.lost += 1
        if moment == "on the way":
            writer.close()
            await self.late.wait()
        if moment != "before the commit":
            answer_is_lost.set()
        return moment == "before the commit"

    async def _answers(
        self,
        reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
        writer: asyncio.StreamWriter,
        lost: asyncio.Event,
        born: int,
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                if born < self._frozen:
                    continue
                if lost.is_set():  # the server has committed, and nobody is told
                    break
                writer.write(data)
                await writer.drain()
        if self.parting is not None:
            self.parted.set()
            await self.parting.wait()
        for one in (up_writer, writer):
            one.close()
            with suppress(ConnectionError):
                await one.wait_closed()


@asynccontextmanager
async def proxied(url: str, proxy: Proxy | None = None) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy in front of the database of a URL, and the URL through it."""
    proxy = proxy or Proxy(url)
    folder = Path(tempfile.mkdtemp(prefix="e2i-proxy-"))
    server = await asyncio.start_unix_server(proxy.serve, folder / ".s.PGSQL.5432")
    through = database_url(url).set(host=None, port=None, query={})
    text = through.render_as_string(hide_password=False)
    try:
        yield proxy, f"{text}?host={quote(str(folder))}&port=5432"
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)

"""Where a request ends, byte by byte: as many answers on a connection as requests were sent, whatever they look like.

What is counted is what comes back on the wire. A connection that is kept ends by itself after ``keep_alive``.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import NamedTuple

import orjson
import pytest

from gateway.server.framing import MAX_HEAD, MAX_URL
from tests.support.databases import Database
from tests.support.sockets import TIMEOUT, Listening, listening

pytestmark = pytest.mark.slow

HIDDEN = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
"""What a body looks like that somebody wants to be taken for a request."""
QUERY = orjson.dumps({"query": "{ __typename }"})
HANDSHAKE = (
    b"connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


class Said(NamedTuple):
    """An answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"


@pytest.fixture(scope="module")
async def gateway(demo_database: Database) -> AsyncIterator[Listening]:
    async with listening(demo_database.gateway_url, keep_alive=0.2, request_timeout=1.5, client_timeout=3) as one:
        yield one


def answers(wire: bytes, *, head: bool = False) -> list[Said]:
    """The answers in what came; whatever is none fails."""
    found = []
    while wire:
        lines, _, wire = wire.partition(b"\r\n\r\n")
        first, *rest = lines.decode("latin-1").split("\r\n")
        status = int(re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", first)[1])  # type: ignore[index]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        body = b""
        if headers.get("transfer-encoding") == "chunked" and not head:
            while True:
                size, _, wire = wire.partition(b"\r\n")
                part, wire = wire[: int(size, 16)], wire[int(size, 16) + 2 :]
                body += part
                if not part:
                    break
        elif status not in {100, 101, 304} and not head:
            length = int(headers["content-length"])
            assert len(wire) >= length
            body, wire = wire[:length], wire[length:]
        found.append(Said(status, headers, body))
        if status == 101:
            break
    return found


async def wire(gateway: Listening, *segments: bytes) -> bytes:
    """Everything that comes for these segments, each in a read of its own, until the connection ends."""
    reader, writer = await gateway.connect()
    heard = asyncio.ensure_future(reader.read())
    with suppress(ConnectionError):
        for segment in segments:
            writer.write(segment)
            await writer.drain()
            for _ in range(6):
                await asyncio.sleep(0.002)
    found = await asyncio.wait_for(heard, TIMEOUT)
    writer.close()
    return found


async def said(gateway: Listening, *segments: bytes) -> list[Said]:
    return answers(await wire(gateway, *segments))


def request(body: bytes = QUERY, *lines: str, method: str = "POST", path: str = "/graphql") -> tuple[bytes, bytes]:
    """Head and body of a request with a length."""
    head = [f"{method} {path} HTTP/1.1", "host: localhost", "content-type: application/json", *lines]
    return "\r\n".join([*head, f"content-length: {len(body)}", "", ""]).encode(), body


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))


def cut(raw: bytes, body: int) -> dict[str, Sequence[bytes]]:
    """The ways in which a request is cut: the body begins at ``body``."""
    head, rest = raw[:body], raw[body:]
    return {
        "at once": [raw],
        "head and body": [head, rest],
        "in the middle of the body": [raw[: body + 7], raw[body + 7 :]],
        "in the middle of the head": [raw[: body - 3], raw[body - 3 :]],
        "in five": [raw[:10], raw[10 : body - 5], raw[body - 5 : body + 1], raw[body + 1 : body + 3], raw[body + 3 :]],
    }


# -- upgrades --------------------------------------------------------------------------------------------------------

UPGRADES = [
    ["connection: Upgrade", "upgrade: foo"],
    ["connection: keep-alive, uPGRADE", "UPGRADE: foo"],
    ["connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQCAAAAAAIAAAAA"],
    ["connection: upgrade", "upgrade: foo, websocket"],
    ["connection: upgrade", "upgrade: foo", "upgrade: websocket"],
    ["upgrade: websocket", "connection: keep-alive", "connection: upgrade"],
    ["connection: upgrade", "upgrade: websocket/13"],
    ["connection: upgrade", "upgrade: TLS/1.0", "expect: 100-continue"],
    HANDSHAKE.decode().strip().split("\r\n"),
]


@pytest.mark.parametrize("method", ["POST", "GET", "PUT", "OPTIONS", "DELETE"])
@pytest.mark.parametrize("upgrade", UPGRADES, ids=[" ".join(lines)[:60] for lines in UPGRADES])
async def test_a_body_behind_an_upgrade_is_no_request(gateway: Listening, upgrade: list[str], method: str) -> None:
    """The wish is left aside: one answer, of the request as it is without it, and no other request behind it."""
    head, body = request(HIDDEN, *upgrade, method=method)
    for how, segments in cut(head + body, len(head)).items():
        found = [one for one in await said(gateway, *segments) if one.status != 100]
        assert len(found) == 1, how
        assert b'"ok"' not in found[0].body, how
        assert found[0].closes, how
        assert found[0].status in {400, 405}, how


@pytest.mark.parametrize("upgrade", UPGRADES[:-1], ids=[" ".join(lines)[:60] for lines in UPGRADES[:-1]])
async def test_what_asks_for_an_upgrade_is_answered_without_it(gateway: Listening, upgrade: list[str]) -> None:
    """Java's client asks for h2c with its first request, and has a body in it."""
    head, body = request(QUERY, *upgrade)
    for how, segments in cut(head + body, len(head)).items():
        *_, found = await said(gateway, *segments)
        assert (found.status, orjson.loads(found.body)["data"]) == (200, {"__typename": "Query"}), how
    raw = b"\r\n".join([head.partition(b"content-length")[0] + b"transfer-encoding: chunked", b"", ""[:0].encode()])
    *_, found = await said(gateway, raw, chunked(QUERY[:5], QUERY[5:]), HIDDEN)
    assert (found.status, found.closes) == (200, True)


async def test_a_chunked_body_behind_an_upgrade_is_no_request(gateway: Listening) -> None:
    for version in (b"1.1", b"1.0"):
        head = (
            b"POST /graphql HTTP/" + version + b"\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"connection: upgrade\r\nupgrade: foo\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        for segments in cut(head + chunked(HIDDEN), len(head)).values():
            (found,) = await said(gateway, *segments)
            assert (found.status, found.closes) == (400, True)


async def test_requests_behind_an_upgrade_are_not_read(gateway: Listening) -> None:
    """However many there are: the connection ends with the answer."""
    asking = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: foo\r\n\r\n"
    for segments in ([asking * 300], [asking, HIDDEN], [asking + HIDDEN, HIDDEN]):
        (found,) = await said(gateway, *segments)
        assert (found.status, found.closes) == (200, True)


@pytest.mark.parametrize("behind", [b"", b"content-length: 50\r\n", b"transfer-encoding: chunked\r\n"])
async def test_connect_is_refused_and_nothing_is_read_behind_it(gateway: Listening, behind: bytes) -> None:
    head = b"CONNECT localhost:80 HTTP/1.1\r\nhost: localhost:80\r\n" + behind + b"\r\n"
    for segments in ([head + HIDDEN], [head, HIDDEN], [head[:9], head[9:] + b"\r\n", HIDDEN, HIDDEN]):
        (found,) = await said(gateway, *segments)
        assert (found.status, found.closes) == (501, True)
    *_, found = both = await said(gateway, HIDDEN + head + HIDDEN)
    assert [one.status for one in both] == [200, 501]


# -- WebSockets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "lines", "status"),
    [
        ("a path without sockets", b"GET /nothing HTTP/1.1\r\nhost: localhost\r\n" + HANDSHAKE, 403),
        ("a probe", b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n" + HANDSHAKE, 403),
        ("no key", b"GET /graphql HTTP/1.1\r\nhost: localhost\r\n" + HANDSHAKE[:-50] + b"\r\n", 400),
        ("another version", b"GET /graphql HTTP/1.1\r\nhost: localhost\r\n" + HANDSHAKE.replace(b"13", b"99"), 400),
        ("another origin", b"GET /graphql HTTP/1.1\r\nhost: localhost\r\norigin: http://e.vil\r\n" + HANDSHAKE, 403),
        ("another host", b"GET /graphql HTTP/1.1\r\nhost: e.vil\r\n" + HANDSHAKE, 421),
        (
            "a header too long",
            b"GET /graphql HTTP/1.1\r\nhost: localhost\r\nx: " + b"x" * 9000 + b"\r\n" + HANDSHAKE,
            431,
        ),
        ("HTTP/1.0", b"GET /graphql HTTP/1.0\r\nhost: localhost\r\n" + HANDSHAKE, 400),
        ("with a length", b"GET /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-length: 42\r\n" + HANDSHAKE, 400),
        ("with chunks", b"GET /graphql HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n" + HANDSHAKE, 400),
        ("by POST", b"POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-length: 42\r\n" + HANDSHAKE, 415),
    ],
)
async def test_a_handshake_that_is_refused_ends_its_connection(
    gateway: Listening, what: str, lines: bytes, status: int
) -> None:
    for segments in ([lines + b"\r\n", HIDDEN, HIDDEN], [lines[:30], lines[30:] + b"\r\n", HIDDEN]):
        (found,) = await said(gateway, *segments)
        assert (found.status, found.closes) == (status, True), found


async def test_nothing_comes_before_a_socket_is_there(gateway: Listening) -> None:
    head = b"GET /graphql HTTP/1.1\r\nhost: localhost\r\n" + HANDSHAKE + b"\r\n"
    (found,) = await said(gateway, head + HIDDEN, HIDDEN)
    assert (found.status, found.closes) == (400, True)


async def test_a_socket_behind_a_request_that_is_not_answered_yet(gateway: Listening) -> None:
    """Its answer and frames of the socket would mix."""
    first, handshake = b"".join(request()), b"GET /graphql HTTP/1.1\r\nhost: localhost\r\n" + HANDSHAKE + b"\r\n"
    found = await said(gateway, first + handshake)
    assert [one.status for one in found] == [200, 400]


# -- bodies ----------------------------------------------------------------------------------------------------------

DOUBTFUL = [
    (["content-length: 5", "content-length: 42"], 400),
    (["content-length: 42", "content-length: 42"], 400),
    (["content-length: 42, 43"], 400),
    (["content-length: +43"], 400),
    (["content-length: 0x2a"], 400),
    (["content-length: -1"], 400),
    (["content-length:"], 400),
    (["content-length: 4 3"], 400),
    (["content-length: 99999999999999999999999"], 400),
    (["content-length : 43"], 400),
    (["transfer-encoding: chunked", "content-length: 42"], 400),
    (["content-length: 42", "transfer-encoding: chunked"], 400),
    (["content-length: 42", "transfer-encoding: identity"], 400),
    (["transfer-encoding: identity"], 501),
    (["transfer-encoding: gzip, chunked"], 501),
    (["transfer-encoding: chunked, chunked"], 501),
    (["transfer-encoding: chunked", "transfer-encoding: chunked"], 501),
    (["transfer-encoding: chunked", "transfer-encoding: identity"], 400),
    (["transfer-encoding: xchunked"], 501),
    (["transfer-encoding: chunked;q=1"], 501),
    (["transfer-encoding : chunked"], 400),
    (["transfer-encoding:\x0bchunked"], 400),
    (["x: y", " transfer-encoding: chunked"], 400),
    (["x: y\r\n\tz", "content-length: 42"], 400),
    (["content-length: 42\nx: y"], 400),
    (["content-length: 42\rx: y"], 400),
    (["content-length: 42\x00"], 400),
    (["content_length: 42", "content-length: 42", "transfer_encoding: chunked", "x y: z"], 400),
]


@pytest.mark.parametrize(
    ("lines", "status"), DOUBTFUL, ids=[", ".join(lines).encode("unicode_escape").decode() for lines, _ in DOUBTFUL]
)
async def test_a_body_whose_end_is_in_doubt(gateway: Listening, lines: list[str], status: int) -> None:
    head = "\r\n".join(["POST /graphql HTTP/1.1", "host: localhost", "content-type: application/json", *lines, "", ""])
    for segments in (
        [head.encode() + HIDDEN],
        [head.encode(), HIDDEN],
        [head[:50].encode(), head[50:].encode(), HIDDEN],
    ):
        (found,) = await said(gateway, *segments)
        assert (found.status in {status, 400}, found.closes) == (True, True), found


@pytest.mark.parametrize(
    "line",
    [
        "GET /healthz", "GET /healthz HTTP/0.9", "GET /healthz HTTP/2.0", "GET /healthz HTTP/1.2",
        "GET /healthz HTTP/1.10", "GET\t/healthz HTTP/1.1", "GET healthz HTTP/1.1",
        "GET http://other/healthz HTTP/1.1", "GET http://a@localhost/healthz HTTP/1.1", "OPTIONS * HTTP/1.1",
        "get /healthz HTTP/1.1", "GET /healthz HTTP/1.1 x", "PRI * HTTP/2.0", "GET /h\x7f HTTP/1.1", "* / HTTP/1.1",
        "GET /healthz http/1.1",
    ],
)  # fmt: skip
async def test_first_lines_that_are_none(gateway: Listening, line: str) -> None:
    raw = f"{line}\r\nhost: localhost\r\nconnection: keep-alive\r\n\r\n".encode("latin-1")
    for segments in ([raw + HIDDEN], [raw, HIDDEN], [raw[:6], raw[6:], HIDDEN]):
        found = await said(gateway, *segments)
        assert len(found) == 1, found
        assert found[0].status in {400, 505}
        assert found[0].closes
        assert found[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize("hosts", [[], ["host: localhost", "host: e.vil"], ["host: localhost", "Host: localhost"]])
async def test_a_request_has_one_host(gateway: Listening, hosts: list[str]) -> None:
    for version in ("1.1", "1.0") if hosts else ("1.1",):
        raw = "\r\n".join([f"GET /healthz HTTP/{version}", *hosts, "", ""]).encode()
        (found,) = await said(gateway, raw, HIDDEN)
        assert (found.status, found.closes) == (400, True)


@pytest.mark.parametrize(
    "target", ["http://localhost/healthz", "HTTP://LOCALHOST/healthz?x=1", "/healthz", "/healthz?y"]
)
async def test_absolute_urls(gateway: Listening, target: str) -> None:
    raw = f"GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()
    found = await said(gateway, raw + raw)
    assert [one.status for one in found] == [200, 200]


async def test_bodies_that_break_off_in_the_middle(gateway: Listening) -> None:
    """Chunks that are none: one refusal, in the place of the answer, and nothing behind it is a request."""
    head = b"POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    head += b"transfer-encoding: chunked\r\n\r\n"
    for body in (
        b"zz\r\n",
        b"5\r\nabcdefg\r\n",
        b"5;x\r\nabc",
        b"-1\r\n",
        b"1\r\na\n0\r\n\r\n",
        b"5 \r\nabcde\r\n0\r\n\r\n",
    ):
        for segments in ([head + body + HIDDEN], [head, body, HIDDEN], [head, body[:2], body[2:], HIDDEN]):
            found = await said(gateway, *segments)
            assert len(found) <= 1, (body, found)
            assert all(one.closes and one.status in {400, 408} for one in found), (body, found)
        both = await said(gateway, HIDDEN + head, body + HIDDEN)
        assert both[0].status == 200
        assert len(both) <= 2


async def test_a_refusal_waits_for_the_answers_before_it(gateway: Listening) -> None:
    """Else it would be taken for one of them."""
    first = b"".join(request())
    for broken in (b"no http\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n", b"GET /" + b"x" * MAX_HEAD):
        found = await said(gateway, first * 3 + broken, HIDDEN)
        assert [one.status for one in found[:3]] == [200] * 3
        assert len(found) == 4
        assert [one.closes for one in found] == [False] * 3 + [True]


@pytest.mark.parametrize("path", ["/healthz", "/nothing", "/"])
async def test_an_answer_before_its_request_was_heard_out_is_the_last(gateway: Listening, path: str) -> None:
    """Who hears it may leave the rest of the body out, and what comes then would be taken for it."""
    for lines in ([], ["expect: 100-continue"]):
        head, body = request(HIDDEN, *lines, method="GET", path=path)
        (found,) = await said(gateway, head, HIDDEN)
        assert found.closes
        found, other = await said(gateway, head + body, HIDDEN)
        assert (found.closes, other.status) == (False, 200)


async def test_what_ends_its_connection_by_itself(gateway: Listening) -> None:
    """Requests behind one that says so are nobody's."""
    closing = HIDDEN.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    old = HIDDEN.replace(b"1.1", b"1.0")
    for first in (closing, old, old.replace(b"\r\n\r\n", b"\r\nconnection: keep-alive\r\n\r\n")):
        for behind in (HIDDEN, b"no http at all\r\n\r\n", HIDDEN * 50):
            (found,) = await said(gateway, first + behind, behind)
            assert (found.status, found.closes) == (200, True)


async def test_answers_without_a_body(gateway: Listening) -> None:
    """To HEAD, and what is not modified: the next answer begins right behind the head."""
    for method, path, status in (("HEAD", "/healthz", 200), ("HEAD", "/explorer", 200), ("HEAD", "/graphql", 405)):
        raw = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()
        found = answers(await wire(gateway, raw + raw), head=True)
        assert [one.status for one in found] == [status, status]
    (page,) = await said(gateway, b"GET /explorer HTTP/1.1\r\nhost: localhost\r\n\r\n")
    asked = "GET /static/explorer/explorer.html HTTP/1.1\r\nhost: localhost"
    again = f"{asked}\r\nif-none-match: {page.headers['etag']}\r\n\r\n"
    found = await said(gateway, again.encode() + HIDDEN)
    assert [one.status for one in found] == [304, 200]


async def test_what_is_too_long(gateway: Listening) -> None:
    line = b"GET /graphql?query=" + b"x" * MAX_URL + b" HTTP/1.1\r\nhost: localhost\r\n\r\n"
    for segments in ([line, HIDDEN], [line[:30_000], line[30_000:], HIDDEN], [line[:-40]]):
        (found,) = await said(gateway, *segments)
        assert (found.status, found.closes) == (414, True)
        assert b"Send the query by POST" in found.body
    long = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: " + b"x" * MAX_HEAD
    (found,) = await said(gateway, long)
    assert (found.status, found.closes) == (431, True)


async def test_empty_lines_keep_no_connection(gateway: Listening) -> None:
    """They begin no request, and a connection without one is kept for as long as any other: it ends by itself."""
    found = await said(gateway, HIDDEN, b"\r\n", b"\r\n\r\n", HIDDEN, b"\r\n")
    assert [one.status for one in found] == [200, 200]
    reader, writer = await gateway.connect()
    writer.write(HIDDEN)
    await reader.readuntil(b"}")
    writer.write(b"\r\n")
    assert await asyncio.wait_for(reader.read(), TIMEOUT) == b""
    writer.close()


async def test_a_connection_in_the_queue_is_answered_at_the_end(
    demo_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that the kernel has accepted and the loop has not, when the gateway begins to close its sockets."""
    with socket.socket() as late:
        late.settimeout(TIMEOUT)
        async with listening(demo_database.gateway_url) as gateway:
            on_tick = gateway.server.on_tick

            async def tick(counter: int) -> bool:
                ends = await on_tick(counter)
                if ends:  # nothing is awaited from here to the closing
                    late.connect(("127.0.0.1", gateway.port))
                    late.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                return ends

            monkeypatch.setattr(gateway.server, "on_tick", tick)
        assert late.recv(12) == b"HTTP/1.1 200"

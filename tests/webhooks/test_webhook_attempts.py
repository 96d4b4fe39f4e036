"""One attempt to send a webhook: its signature, and receivers that fail, hang, redirect and lie."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import ssl
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook, WebhookVerificationError

from db.store.webhooks import new_secret
from gateway.settings import Settings
from gateway.webhooks.addresses import AddressRefusedError, is_public, target_of
from gateway.webhooks.attempts import Attempted, send, signed
from gateway.webhooks.sender import WebhookSender
from tests.webhooks.receivers import OK, Post, receiving

SECRET = new_secret()


async def attempt(url: str, *secrets: str, seconds: float = 10.0, private: bool = True) -> Attempted:
    return await send(url, "msg_1", '{"a":1}', secrets or (SECRET,), seconds, private=private)


async def test_the_librarys_receiver_verifies_it_by_either_secret() -> None:
    other = new_secret()
    async with receiving() as receiver:
        assert await attempt(receiver.url, SECRET, other) == Attempted()
    post = receiver.posts[0]
    assert (post.path, post.headers["content-type"]) == ("/hook?of=e2i", "application/json")
    for secret in (SECRET, other):
        assert Webhook(secret).verify(post.body, post.headers) == {"a": 1}
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(post.body, post.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(post.body.replace("1", "2"), post.headers)


def test_the_moment_of_an_attempt_is_never_ahead_of_the_clock() -> None:
    moment = dt.datetime(2026, 5, 4, 9, 12, 44, 999_999, dt.UTC)
    assert signed("msg_1", "{}", [SECRET], moment)["webhook-timestamp"] == str(int(moment.timestamp()))


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (b"HTTP/1.1 500 Oops\r\n\r\n", "answered 500"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", "a redirect, which is not followed: 302"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK", "closed before there was an answer"),
        (b"", "closed before there was an answer"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", "longer than 16384 bytes"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100, "interim answers alone"),
    ],
    ids=["fails", "redirects", "no HTTP", "half a head", "nothing", "a long head", "interim"],
)
async def test_what_is_not_taken(answer: bytes, failure: str) -> None:
    async with receiving(answer) as receiver:
        outcome = await attempt(receiver.url)
    assert failure in outcome.failure


async def test_nothing_of_a_body_is_read() -> None:
    """A receiver may promise bytes that never come, or send without an end."""
    async with receiving(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\nx"
    ) as receiver:
        assert await attempt(receiver.url) == Attempted()


async def test_one_that_hangs_is_left() -> None:
    async def hang(_post: Post) -> bytes:
        await asyncio.Event().wait()
        return OK

    async with receiving(hang) as receiver:
        assert (await attempt(receiver.url, seconds=0.2)).failure == "no answer within 0.2 seconds"


async def test_gone_and_later() -> None:
    async with receiving(b"HTTP/1.1 410 Gone\r\n\r\n") as gone:
        assert (await attempt(gone.url)).gone
    async with receiving(b"HTTP/1.1 503 Busy\r\nRetry-After: 120\r\n\r\n") as busy:
        assert (await attempt(busy.url)).retry_after == 120.0


def test_each_attempt_waits_twice_as_long_up_to_an_hour() -> None:
    one = WebhookSender(cast("Any", None), cast("Any", None), Settings())
    for attempt, seconds in ((1, 5.0), (2, 10.0), (3, 20.0), (9, 1280.0), (11, 3600.0), (500, 3600.0)):
        assert 0.8 * seconds <= one._delay(attempt) <= 1.2 * seconds


async def test_a_name_is_looked_up_once_and_connected_to_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who answers for the name may say another address the second time, which nobody has checked."""
    asked, real = [], socket.getaddrinfo

    def look_up(host: Any, *rest: Any, **more: Any) -> Any:
        asked.append(host)
        return real("127.0.0.1" if host == "pager.example" and asked.count(host) == 1 else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    async with receiving() as receiver:
        assert await attempt(receiver.url.replace("127.0.0.1", "pager.example")) == Attempted()
    assert asked.count("pager.example") == 1
    assert receiver.posts[0].headers["host"].startswith("pager.example:")


async def test_private_addresses_are_refused() -> None:
    async with receiving() as receiver:
        plain = receiver.url.replace("http:", "https:")
        outcome = await attempt(plain, private=False)
        assert "private address 127.0.0.1" in outcome.failure
        for other in ("localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::ffff:7f00:1]", "[::1]", "0"):
            named = await attempt(plain.replace("127.0.0.1", other), private=False)
            assert "private address" in named.failure, other
    assert not receiver.posts


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1", "172.16.3.4", "192.168.1.1", "127.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:10.0.0.1", "64:ff9b::a00:1",
        "2002:a00:1::", "::10.0.0.1", "::ffff:0:10.0.0.1", "64:ff9b:1::a00:1", "fec0::1", "5f00::1", "3fff::1",
        "192.0.0.8",
    ],
)  # fmt: skip
def test_addresses_of_the_house(address: str) -> None:
    assert not is_public(address)


def test_public_addresses() -> None:
    assert is_public("93.184.216.34")
    assert is_public("2606:2800:220:1::1")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://pager.example/", "must begin with https"),
        ("ftp://pager.example/", "must be like https"),
        ("https:///x", "must be like https"),
        ("https://user:word@pager.example/", "no user"),
        ("https://pager.example/#x", "no fragment"),
        ("https://pager.example:99999/", "cannot be read"),
        ("https://pager.example/a b", "printable ASCII"),
        ("https://pager.example/\r\nHost: x", "printable ASCII"),
        ("https://pager.example/" + "x" * 2000, "at most 2000"),
    ],
)
def test_urls_that_are_refused(url: str, why: str) -> None:
    with pytest.raises(AddressRefusedError, match=why):
        target_of(url, private=False)


async def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
    pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path / "cert.pem"
    file.write_bytes(pem)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(file)
    async with receiving(tls=tls) as receiver:
        outcome = await attempt(receiver.url)
    assert "the certificate is not good" in outcome.failure
    assert not receiver.posts

"""A real nginx that keeps connections to the gateway for everybody, attackers who try to end requests elsewhere than it
does, and callers beside them: nobody may get an answer that is another's.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from tests.drills.fixtures import DATABASE, gateway
from tests.drills.load import CLIENTS, REPORT, SECONDS, Answered, Figures, Socket, memory
from tests.drills.nginx import PROGRAM, nginx
from tests.drills.postgres import Postgres
from tests.support.callers import SECRET, token
from tests.support.process import Gateway

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="nginx is not installed"),
]

LONG = float(os.environ.get("DRILL_NGINX_SECONDS", 25 if REPORT else max(SECONDS, 2.0)))
"""Seconds of each configuration."""
HIDDEN = [
    "GET /explorer HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n",
]
"""Requests inside a body. Some are answered later, when nginx may have lent the connection to somebody else."""
HANGS = 1.0
"""Seconds after which an attacker tries something else."""
UPGRADES = ["foo", "h2c", "websocket", "WebSocket", "foo, websocket", "TLS/1.0", "websocket/13"]


@pytest.fixture(scope="module")
async def one(primary: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway that wants to know who asks."""
    settings = {"GATEWAY_AUTH": "jwt", "GATEWAY_JWT_SECRET": SECRET, "DATABASE_URL": primary.url(DATABASE)}
    async with gateway(tmp_path_factory.mktemp("nginx"), **settings) as started:
        yield started


class Attacker(Socket):
    """Somebody without a credential who reads whatever comes."""

    async def attack(self, chance: random.Random) -> Answered:
        """Sends one request whose body looks like others; returns what nginx takes for its answer."""
        padding = "\r\n" * chance.choice([0, 1, 6_000, 12_000, 100_000])  # so that the body comes in a read of its own
        body = (padding + chance.choice(HIDDEN) * chance.choice([1, 2, 8])).encode()
        method = chance.choice(["POST", "POST", "POST", "GET", "PUT", "OPTIONS"])
        lines = [
            f"{method} {chance.choice(['/graphql', '/graphql', '/healthz', '/nothing'])} HTTP/1.1",
            "host: localhost",
            "content-type: application/json",
            f"upgrade: {chance.choice(UPGRADES)}",
            "connection: upgrade",
            "sec-websocket-version: 13",
            "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        ]
        if chance.random() < 0.3:
            lines.append("transfer-encoding: chunked")
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        else:
            lines.append(f"content-length: {len(body)}")
        return await self._exchange("\r\n".join([*lines, "", ""]).encode() + body)


class Field:
    """Attackers and callers at one nginx, and what each of them got."""

    def __init__(self, base: str, figures: Figures) -> None:
        self._base = base
        self._figures = figures
        self._numbers = itertools.count()
        self._stop = False
        self.attacks = 0
        self.statuses: Counter[int] = Counter()
        self.stolen = 0
        """Answers of callers that attackers got."""
        self.planted = 0
        """Answers that callers got and that are not theirs."""

    async def run(self, seconds: float) -> None:
        callers = [asyncio.create_task(self._caller(number)) for number in range(CLIENTS)]
        attackers = [asyncio.create_task(self._attacker(number)) for number in range(CLIENTS)]
        await asyncio.sleep(seconds)
        self._stop = True
        await asyncio.gather(*callers, *attackers)

    async def _caller(self, number: int) -> None:
        credential = f"Bearer {token('viewer', sub=f'caller-{number}')}"
        socket = Socket(self._base)
        while not self._stop:
            mine = f"mine{next(self._numbers)}"
            self._figures.sent += 1
            try:
                async with asyncio.timeout(45):
                    query = f"{{ {mine}: models(first: 1) {{ totalCount }} }}"
                    answer = await socket.post({"query": query}, authorization=credential)
            except (OSError, TimeoutError, ValueError) as error:
                self._figures.lost.append(repr(error))
                socket.close()
                continue
            if answer.status == 200 and answer.body.startswith(b'{"data":{"%b":' % mine.encode()):
                self._figures.right += 1
            elif answer.status in {502, 504}:  # nginx's own
                self._figures.lost.append(f"{answer.status}")
            else:
                self.planted += 1
                self._figures.wrong.append(f"{answer.status} {answer.body[:200]!r}")
        socket.close()

    async def _attacker(self, number: int) -> None:
        chance = random.Random(number)
        socket = Attacker(self._base)
        while not self._stop:
            self.attacks += 1
            try:
                async with asyncio.timeout(HANGS):
                    self._look_at(await socket.attack(chance))
                    for _ in range(3):  # connections that somebody has put out of step
                        self._look_at(await socket.get("/healthz"))
            except (OSError, TimeoutError, ValueError):
                pass  # it goes on with a connection of its own
            socket.close()

    def _look_at(self, answer: Answered) -> None:
        self.statuses[answer.status] += 1
        if b'"mine' in answer.body:
            self.stolen += 1
            self._figures.wrong.append(f"stolen: {answer.body[:200]!r}")


@pytest.mark.parametrize("any_upgrade", [True, False], ids=["any upgrade forwarded", "as documented"])
async def test_nobody_gets_what_is_anothers(one: Gateway, *, any_upgrade: bool) -> None:
    figures = Figures(f"requests in bodies behind nginx, {'any upgrade forwarded' if any_upgrade else 'as documented'}")
    upstream = int(one.base.rpartition(":")[2])
    with nginx(upstream, any_upgrade=any_upgrade) as port:
        before = memory(one.process.pid)
        field = Field(f"http://localhost:{port}", figures)
        await field.run(LONG)
    figures.memory = (before, memory(one.process.pid))
    figures.more = {
        "attacks": field.attacks,
        "answers of others that attackers got": field.stolen,
        "answers of others that callers got": field.planted,
    }
    figures.record()
    if "DRILL_NGINX_SECONDS" in os.environ:
        print(figures.drill, figures.sent, figures.right, figures.more, field.statuses, Counter(figures.lost))
    figures.hold()
    assert field.attacks > 0
    assert field.statuses[401] > 0

"""Commands of the documentation run as they stand: the command line's are parsed, curl's are sent and their output is
compared, and the environment of a deployment makes settings."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import settings
from gateway.cli.command_line import _parser
from tests.house.test_docs import DOCS, PAGES, blocks, named
from tests.support.callers import SECRET
from tests.support.databases import Clone, Database, connect
from tests.support.sockets import Listening, listening

RECORDED = DOCS / "reference" / "recording.md"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_that_are_named_exist(page: Path) -> None:
    for line in "".join(blocks(page, "console")).splitlines():
        command, _, _ = line.partition(" # ")
        if found := re.match(r"[$#] (?:\S*/)?e2i-gateway (.+)", command.replace("small|large", "small")):
            _parser().parse_args(shlex.split(re.split(r"[|>;&]", found[1])[0]))


def by_curl() -> Iterator[tuple[str, str, str]]:
    """The page of each command of curl, the command, and the output that follows it."""
    for page in PAGES:
        for block in blocks(page, "console"):
            found = re.findall(r"^[$#] curl (.+?)\n((?:[^$#].*\n?)*)", block.replace("\\\n", ""), re.MULTILINE)
            yield from ((named(page), command, output) for command, output in found)


def _curl() -> argparse.ArgumentParser:
    """The options of curl that the examples have."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("-H", action="append", default=[], dest="headers")
    parser.add_argument("-d", "--data-binary", dest="body")
    parser.add_argument("-N", action="store_true")
    parser.add_argument("--fail", action="store_true")
    return parser


async def _sent(gateway: Listening, command: str, files: dict[str, bytes]) -> str:
    """The text of the answer; of a stream, the data of its first event."""
    asked = _curl().parse_args(shlex.split(command))
    headers = dict(one.split(": ", 1) for one in asked.headers)
    body = asked.body and (files[asked.body[1:]] if asked.body.startswith("@") else asked.body.encode())
    path = re.fullmatch(r"http://(?:localhost|127\.0\.0\.1):8000(/.*)", asked.url)
    assert path, f"the examples are asked where `make run` listens, not at {asked.url}"
    async with gateway.http.stream("POST" if body else "GET", path[1], content=body, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        if not asked.N:
            return (await answer.aread()).decode()
        return await anext(
            line.removeprefix("data: ") async for line in answer.aiter_lines() if line.startswith("data: ")
        )


async def test_examples_by_curl(demo_template: Database, clone: Clone) -> None:
    """What a page shows of JSON has the keys of the answer, and what it shows of a table begins the answer."""
    shown = list(by_curl())
    assert {"recording.md", "tables.md", "subscribe.md", "deploy.md"} <= {page.split("/")[-1] for page, _, _ in shown}
    async with clone(demo_template) as database:
        sql = await connect(database.admin_url)
        service = await sql.fetchval("SELECT id FROM ml_bentoml_services LIMIT 1")
        await sql.close()
        metric = {"service": {"id": str(service)}, "recordedAt": "2026-05-01T12:00:00Z", "p50LatencyMs": 3.5}
        async with listening(database.gateway_url) as gateway:
            for page, command, output in shown:
                answer = await _sent(gateway, command, {"metrics.ndjson": json.dumps(metric).encode()})
                if "subscription" in command:
                    assert json.loads(answer)["data"]["alerts"]["cursor"], page
                elif output.startswith("{"):
                    assert json.loads(answer).keys() == json.loads(output).keys(), page
                else:
                    assert answer.startswith(output.splitlines()[0]), (page, answer[:200])


def test_the_environment_of_a_deployment_makes_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = blocks(DOCS / "how-to" / "deploy.md", "sh")
    lines = [line.split("=", 1) for line in block.splitlines() if not line.startswith("#")]
    environment: dict[str, Any] = {name: value.replace("<project>", "project") for name, value in lines}
    environment["GATEWAY_JWT_SECRET"] = SECRET
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    made = settings.load()
    assert settings.unknown(environment) == []
    assert made.model_fields_set == {
        "database_url", "host", "port", "workers", "pool_size", "metrics", "drain", "auth", "jwt_secret", "jwt_issuer",
        "hosts",
    }  # fmt: skip
    assert not made.is_exposed

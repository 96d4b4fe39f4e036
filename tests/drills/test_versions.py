"""Two versions of the gateway serve one database side by side, as while an upgrade is rolled out: what one of them has
given to clients is used at the other, both ways.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import Database
from tests.support.process import COMMAND, ROOT, Gateway, environment, until
from tests.support.sockets import Peer, Stream, peer

pytestmark = pytest.mark.slow

PACKAGES = ("db", "schema", "gateway")
MIGRATIONS = "db/migrations/versions/0*.py"
CREATE = """mutation($name: String!, $key: String) {
    createExperiment(input: {experimentName: $name, predictionTarget: "versions", idempotencyKey: $key}) {
        __typename ... on Recorded { ids replayed }
    }
}"""
PAGE = """query($names: [String!], $after: String) {
    experiments(first: 2, after: $after, where: {experimentName: {in: $names}}, orderBy: [{field: EXPERIMENT_NAME}]) {
        nodes { experimentName } pageInfo { endCursor hasNextPage }
    }
}"""
EVENTS = "subscription($after: String) { lifecycleEvents(after: $after) { cursor event { nodeId } } }"


def git(*arguments: str) -> bytes | None:
    """What git prints, None if it cannot."""
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


@pytest.fixture(scope="module", params=[1, 2], ids=["one version apart", "two versions apart"])
def earlier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last state of the repository without the newest migration, or without the two newest."""
    migrated = (git("log", f"-{request.param}", "--diff-filter=A", "--format=%H", "--", MIGRATIONS) or b"").split()
    packed = git("archive", f"{migrated[-1].decode()}^", *PACKAGES) if len(migrated) == request.param else None
    if packed is None:
        pytest.skip("the repository's history is not there")
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(fileobj=io.BytesIO(packed)) as tree:
        tree.extractall(folder, filter="data")
    there, here = ({one.name for one in root.glob(MIGRATIONS)} for root in (folder, ROOT))
    assert here > there, "the database has a migration that this version does not know"
    return folder


@pytest.fixture(scope="module")
def both(module_database: Database, earlier: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Gateway]]:
    """The earlier gateway, and the present one."""
    settings = {"GATEWAY_TRUSTED_DOCUMENTS": "prefer", "GATEWAY_TRUSTED_DOCUMENTS_TABLE": "on"}
    shared = settings | {"DATABASE_URL": module_database.gateway_url}
    running = [Gateway(tmp_path_factory.mktemp(root.name), root=root, **shared) for root in (earlier, ROOT)]
    try:
        for one in running:
            one.ready()
        yield running
        for one in running:
            assert one.end() in (0, -15)
    finally:
        for one in running:
            one.close()


@pytest.fixture(params=["from the earlier one", "from the present one"])
def pair(both: list[Gateway], request: pytest.FixtureRequest) -> tuple[Gateway, Gateway]:
    """Where something is given, and where it is used."""
    one, other = both if request.param == "from the earlier one" else both[::-1]
    return one, other


def created(gateway: Gateway, name: str, key: str | None = None) -> dict[str, Any]:
    result: dict[str, Any] = gateway.ask(CREATE, name=name, key=key)["createExperiment"]
    assert result["__typename"] == "Recorded", result
    return result


def names() -> list[str]:
    """Five names of a test's own, in order."""
    test = uuid.uuid4().hex
    return [f"{test}-{number}" for number in range(5)]


def test_a_change_is_seen_and_not_repeated(pair: tuple[Gateway, Gateway]) -> None:
    one, other = pair
    name = names()[0]
    first = created(one, name, key=name)
    assert first["replayed"] is False
    assert created(other, name, key=name) == first | {"replayed": True}
    seen = "query($id: ID!) { experiment(id: $id) { experimentName } }"
    assert other.ask(seen, id=first["ids"][0]) == {"experiment": {"experimentName": name}}
    recorded = "query($id: String!) { lifecycleEvents(where: {nodeId: {eq: $id}}) { totalCount } }"
    assert other.ask(recorded, id=first["ids"][0])["lifecycleEvents"]["totalCount"] == 1


def test_cursors_of_lists(pair: tuple[Gateway, Gateway]) -> None:
    """A page of one, the next of the other, in turn."""
    wanted = names()
    for name in wanted:
        created(pair[0], name)
    found, after = [], None
    for gateway in (*pair, pair[0]):
        page = gateway.ask(PAGE, names=wanted, after=after)["experiments"]
        found += [node["experimentName"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
    assert found == wanted
    assert not page["pageInfo"]["hasNextPage"]


@asynccontextmanager
async def connected(gateway: Gateway) -> AsyncIterator[Peer]:
    async with peer(f"{gateway.base.replace('http', 'ws', 1)}/graphql") as one:
        yield one


async def told(stream: Stream, number: int) -> list[str]:
    """The rows of so many next changes."""
    return [(await stream.next())["event"]["nodeId"] for _ in range(number)]


async def test_cursors_of_subscriptions(pair: tuple[Gateway, Gateway]) -> None:
    """Changes of both are told by both; whoever resumes at the other one misses none, and is told none twice."""
    one, other = pair
    first, *later, last = names()
    async with connected(one) as client:
        stream = await client.followed(EVENTS)
        made = created(other, first)["ids"]
        assert await told(stream, 1) == made
    missed = [created(gateway, name)["ids"][0] for gateway, name in zip((one, other, one), later, strict=True)]
    async with connected(other) as client:
        resumed = await client.followed(EVENTS, after=stream.cursor)
        assert await told(resumed, 3) == missed
        made = created(one, last)["ids"]
        assert await told(resumed, 1) == made


def test_automatic_persisted_queries(pair: tuple[Gateway, Gateway]) -> None:
    """A client that has registered its query at one is asked for it by the other, once."""
    query = f"{{ models(first: 1) {{ nodes {{ _{uuid.uuid4().hex}: id }} }} }}"
    hashed = {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(query.encode()).hexdigest()}}

    def answer(gateway: Gateway, **body: Any) -> Any:
        answer = gateway.http.post("/graphql", json={"extensions": hashed} | body).json()
        return [one["extensions"]["code"] for one in answer["errors"]] if "errors" in answer else answer["data"]

    for gateway in pair:
        assert answer(gateway) == ["PERSISTED_QUERY_NOT_FOUND"]
        assert answer(gateway, query=query) == answer(gateway) == {"models": {"nodes": []}}


def test_trusted_documents(pair: tuple[Gateway, Gateway], module_database: Database, tmp_path: Path) -> None:
    """Added by the command of either version, they are known to both."""
    id_, text = f"v{uuid.uuid4().hex}", "{ models(first: 1) { totalCount } }"
    build = tmp_path / "persisted.json"
    build.write_text(json.dumps({id_: text}))
    added = subprocess.run(
        [*COMMAND, "documents", "add", build],
        env=environment(DATABASE_URL=module_database.owner_url), cwd=pair[0].root, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    for gateway in pair:
        until(lambda gateway=gateway: "data" in gateway.http.post("/graphql", json={"documentId": id_}).json())  # type: ignore[misc]

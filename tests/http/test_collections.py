"""The whole heap is not walked for garbage while somebody is answered, and is soon afterwards."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from gateway.server.garbage import MIDDLE, WORTH, YOUNG, QuietCollections
from tests.support.databases import Database
from tests.support.sockets import listening, until


@pytest.fixture(autouse=True)
def own_threshold() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


class Ring:
    """Garbage of one object, once nobody has it."""

    def __init__(self) -> None:
        self.itself = self


def full() -> int:
    """How often the whole heap was walked."""
    collections: int = gc.get_stats()[2]["collections"]
    return collections


def test_garbage_is_collected_when_nothing_is_asked() -> None:
    busy = True
    collections = QuietCollections(lambda: busy)
    collections.begin()
    try:
        begun = full()
        ring = weakref.ref(Ring())
        kept = [Ring() for _ in range(YOUNG * MIDDLE * WORTH * 3)]  # a quarter more than there were, several times
        collections.tick()
        assert full() == begun
        busy = False
        collections.tick()
        assert full() == begun + 1
        assert ring() is None
        collections.tick()  # which is worth nothing so soon
        assert full() == begun + 1
    finally:
        collections.end()
    assert len(kept) == YOUNG * MIDDLE * WORTH * 3


@pytest.mark.slow
async def test_a_request_of_many_lists_is_answered_without_one(demo_database: Database) -> None:
    before = gc.get_threshold()
    fields = " ".join(f"a{place}: deployments(first: 1) {{ nodes {{ id }} }}" for place in range(40))
    roots = " ".join(f"r{place}: models(first: 1) {{ nodes {{ ...M }} }}" for place in range(10))
    query = f"{{ {roots} }} fragment M on Model {{ {fields} }}"
    async with listening(demo_database.gateway_url, compiler=False) as gateway:
        limiter = gateway.app.state.graphql.limiter
        during: list[int] = []
        run = gateway.app.state.graphql.finish

        async def finish(*given: object) -> object:
            assert limiter.taken
            begun = full()
            answer = await run(*given)
            during.append(full() - begun)
            return answer

        gateway.app.state.graphql.finish = finish
        for _ in range(2):
            assert len((await gateway.client.data(query))["r9"]["nodes"][0]) == 40
        assert during == [0, 0]
        begun = full()
        kept = [[] for _ in range(YOUNG * MIDDLE * WORTH * 3)]  # type: ignore[var-annotated]
        await until(lambda: full() > begun)
        assert kept
    assert gc.get_threshold() == before

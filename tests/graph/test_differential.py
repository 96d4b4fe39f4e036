"""Both executors answer the same: queries made at random, over the demo data and over a database that is not ours.

Equal means equal as JSON: values and the order of keys, and of errors their codes and paths. A query that is answered
differently is made as small as it can be and printed; as a file in ``golden`` it stays.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from db.base.entity import camel
from gateway.operations.service import OperationService
from schema.catalogue.catalogue import Root
from schema.catalogue.from_models import catalogue
from schema.schema import build
from schema.search.texts import MAX_TEXT
from schema.search.vector import Similarity
from schema.sql.operators import filtered
from tests.support import platform_indexes
from tests.support.client import Client, same, serving
from tests.support.databases import Clone, Database, connect, connected
from tests.support.embedding_service import EmbeddingServer, embedding_server
from tests.support.extremes import make_extreme
from tests.support.queries import Maker, Query, Samples, smaller
from tests.support.search_texts import FIXED, SearchTexts, band, folded, matches

pytestmark = pytest.mark.slow

SEED = int(os.environ.get("DIFFERENTIAL_SEED") or 20261124)
TIMES = int(os.environ.get("DIFFERENTIAL_TIMES") or 1)
ON_DEMO, ON_PLATFORM, ON_EXTREMES = 900 * TIMES, 400 * TIMES, 300 * TIMES
"""Generated queries; `make differential` asks others, and more."""
TEXTS = 150
"""Search texts that are compared with the oracle."""
ROUNDING = 1e-9
BAD_ARGUMENTS = {"BAD_USER_INPUT", "INVALID_CURSOR"}


@dataclass
class Pair:
    """One database behind both executors."""

    compiled: Client
    loaders: Client
    samples: Samples

    @property
    def endpoint(self) -> OperationService:
        endpoint: OperationService = self.compiled.app.state.graphql
        return endpoint

    async def differ(self, query: Query) -> str | None:
        """How the answers differ, with the variables as they are and with others, which meet a plan that is kept."""
        for other in (False, True):
            text, variables = query.render(other=other)
            if other and not variables:
                break
            expected = await self.loaders.ask(text, **variables)
            found = await self.compiled.ask(text, **variables)
            within = ROUNDING if query.adds_up else 0.0
            if (
                not same(found.get("data"), expected.get("data"), within)
                or problems(found) != problems(expected)
                or more(found) != more(expected)
            ):
                return (
                    f"{text}\n\nvariables: {json.dumps(variables, ensure_ascii=False)}\n\n"
                    f"compiled: {json.dumps(found)[:3000]}\n\nloaders: {json.dumps(expected)[:3000]}"
                )
        return None

    async def shrink(self, query: Query) -> str | None:
        """The smallest query found that is still answered differently, with its answers; None if none is."""
        shown = await self.differ(query)
        going = shown is not None
        while going:
            going = False
            for candidate in smaller(query):
                if difference := await self.differ(candidate):
                    query, shown, going = candidate, difference, True
                    break
        return shown


def more(answer: dict[str, Any]) -> Any:
    """What it says of lists that are cut, where there is an answer."""
    return answer["extensions"].get("more") if answer.get("data") and "errors" not in answer else None


def problems(answer: dict[str, Any]) -> list[str]:
    return sorted(f"{error.get('path')} {error['extensions']['code']}" for error in answer.get("errors", []))


async def samples_of(client: Client, service: EmbeddingServer) -> Samples:
    """A few rows of every type, as the loaders answer them."""
    samples = Samples()
    for type_ in catalogue():
        root = catalogue().roots.get(type_.plural)
        if root is None or not type_.is_node or type_.arguments:
            continue
        leaves = " ".join(leaf.name for leaf in type_.columns.values() if filtered(leaf))
        query = f"{{ {type_.plural}(first: 6) {{ edges {{ cursor node {{ id {leaves} }} }} }} }}"
        found = (await client.ask(query))["data"][type_.plural]
        nodes = [edge["node"] for edge in found["edges"]] if found else []
        samples.ids[type_.name] = [node["id"] for node in nodes]
        samples.cursors[type_.name] = [edge["cursor"] for edge in found["edges"]] if found else []
        samples.values[type_.name] = {
            leaf.name: [node[leaf.name] for node in nodes] for leaf in type_.columns.values() if filtered(leaf)
        }
        named = [node.get(type_.field_name(column)) for node in nodes for column in (*type_.search, *type_.references)]
        samples.names += [value for value in (*named, *samples.ids[type_.name][:1]) if isinstance(value, str)]
    texts = SearchTexts(Random(SEED), [*samples.names, *service.known], [type_.name for type_ in catalogue()])
    for root in catalogue().roots.values():
        if root.nearest:
            made = [*sorted(service.known)[:4], *FIXED, *(texts.text() for _ in range(20))]
            samples.searches[root.name] = await searches_of(client, root, samples.ids[root.target], made)
    return samples


async def searches_of(
    client: Client, root: Root, ids: list[str], texts: list[str]
) -> list[tuple[dict[str, Any], list[str]]]:
    """Searches by a row, by a vector and by a text, with the cursors of their lists; and some that are refused."""
    assert root.nearest is not None
    vector, like = camel(root.nearest.vector), camel(root.nearest.like)
    query = f"query($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on {root.target} {{ {vector} }} }} }}"
    vectors = [node[vector] for node in (await client.data(query, ids=ids))["nodes"]]
    asked: list[dict[str, Any]] = [{like: id_} for id_ in ids[:3]]
    asked += [{"embedding": vector} for vector in vectors[:3] if vector]
    asked += [{"text": text} for text in texts]
    query = f"""query($embedding: [Float!], $like: ID, $text: String) {{
        {root.name}(embedding: $embedding, {like}: $like, text: $text, first: 4) {{ edges {{ cursor }} }} }}"""
    searches: list[tuple[dict[str, Any], list[str]]] = [({}, []), ({"embedding": [1.0]}, [])]
    for what in asked:
        found = await client.ask(query, embedding=what.get("embedding"), like=what.get(like), text=what.get("text"))
        page = (found["data"] or {}).get(root.name) or {"edges": []}
        searches.append((what, [edge["cursor"] for edge in page["edges"]]))
    return searches


@pytest.fixture(scope="module")
async def plain_database(demo_template: Database, clone: Clone) -> AsyncIterator[Database]:
    """The demo data."""
    async with clone(demo_template) as copy:
        await tell_apart(copy)
        yield copy


async def tell_apart(database: Database) -> None:
    """Makes questions differ whose vectors do: a service has one vector of a text."""
    async with connected(database.admin_url) as sql:
        await sql.execute("SET session_replication_role = replica")
        await sql.execute(
            "UPDATE composer_episodes SET query_text = concat(query_text, ' ', left(episode_id::text, 8))"
        )


@pytest.fixture(scope="module")
async def extreme_database(demo_template: Database, clone: Clone) -> AsyncIterator[Database]:
    """The demo data, of which some rows of every table hold the largest and smallest values of their types."""
    async with clone(demo_template) as copy:
        await make_extreme(copy)
        await tell_apart(copy)
        yield copy


@pytest.fixture(scope="module")
async def turned_database(demo_template: Database, clone: Clone) -> AsyncIterator[Database]:
    """The demo data behind indexes that have nulls first; every third row that may has no time, and others the same."""
    async with clone(demo_template) as copy:
        connection = await connect(copy.admin_url)
        await platform_indexes.turn_indexes(connection)
        await connection.execute("SET session_replication_role = replica")
        for type_ in catalogue():
            if not type_.is_view and (column := type_.ordered_by) and type_.table.c[column].nullable:
                value = f"CASE WHEN hashtext(ctid::text) % 3 <> 0 THEN date_trunc('month', {column}) END"
                await connection.execute(f"UPDATE {type_.sql_name} SET {column} = {value}")
        await connection.close()
        await tell_apart(copy)
        yield copy


@pytest.fixture(scope="module", params=["demo", "platform", "extreme", "nulls first"])
async def pair(
    request: pytest.FixtureRequest,
    plain_database: Database,
    platform_database: Database,
    extreme_database: Database,
    turned_database: Database,
) -> AsyncIterator[Pair]:
    databases = {
        "demo": plain_database,
        "platform": platform_database,
        "extreme": extreme_database,
        "nulls first": turned_database,
    }
    database = databases[request.param]
    url = database.gateway_url
    with embedding_server() as service:
        await learn(service, database)
        by = {"embeddings_url": service.url, "embeddings_model": "words", "embeddings_timeout": 60}
        async with serving(url, compiler=True, **by) as compiled, serving(url, compiler=False, **by) as loaders:
            yield Pair(compiled, loaders, await samples_of(loaders, service))


async def learn(service: EmbeddingServer, database: Database) -> None:
    """Gives the service the stored vectors of the database's texts: of each text, that of its first row."""
    async with connected(database.admin_url) as sql:
        await sql.execute("SET search_path = public, ml, extensions")
        for root in catalogue().roots.values():
            if root.nearest:
                for *texts, vector in await sql.fetch(Similarity(catalogue(), root).sample(), 1000, MAX_TEXT):
                    for text in texts:
                        service.known.setdefault(text, json.loads(vector))


async def test_both_executors_answer_the_same(pair: Pair, request: pytest.FixtureRequest) -> None:
    on_demo = "demo" in request.node.name
    maker = Maker(build().graphql, catalogue(), pair.samples, SEED + on_demo)
    count = ON_DEMO if on_demo else ON_PLATFORM if "platform" in request.node.name else ON_EXTREMES
    for _ in range(count):
        query = maker.query()
        if await pair.differ(query):
            pytest.fail(f"answered differently; as small as it gets:\n\n{await pair.shrink(query)}")
    fallbacks = pair.endpoint.execution.fallbacks
    failed = {reason: times for reason, times in fallbacks.items() if reason not in BAD_ARGUMENTS}
    most = (
        0.02 if on_demo else 0.2 if "platform" in request.node.name else 1
    )  # rows that JSON cannot say are everywhere
    assert sum(failed.values()) <= count * most, fallbacks


@pytest.mark.parametrize("pair", ["platform", "extreme"], indirect=True)
async def test_every_extreme_value_is_answered_alike(pair: Pair) -> None:
    """Each column of each table alone: one that cannot be said fails no other."""
    for type_ in catalogue():
        root = catalogue().roots.get(type_.plural)
        if root is None or not root.many or type_.arguments:
            continue
        for leaf in type_.columns.values():
            query = f"{{ {type_.plural}(first: 40) {{ nodes {{ id {leaf.name} }} }} }}"
            expected, found = await pair.loaders.ask(query), await pair.compiled.ask(query)
            assert same(found.get("data"), expected.get("data")), (query, found, expected)
            assert problems(found) == problems(expected), query
            codes = {error["extensions"]["code"] for error in found.get("errors", [])}
            assert codes <= {"UNREPRESENTABLE_VALUE", "MISSING_IN_DATABASE"}, (query, codes)


async def test_similar_rows_are_found_by_a_text(pair: Pair) -> None:
    """So that what is compared above are rows, and not a refusal for want of vectors."""
    for root, searches in pair.samples.searches.items():
        assert any(cursors for what, cursors in searches if "text" in what), root


SEARCH = """query($text: String!, $types: [SearchType!]) {
  search(text: $text, types: $types, first: 100) { complete hits { score field text node { id } } } }"""


async def test_words_are_found_as_python_finds_them(pair: Pair) -> None:
    """Rows with all words, each with a score of its kind, and rows that are called so before all others."""
    compared = called = 0
    for type_ in catalogue():
        rows = await names_of(pair.loaders, type_.plural, [type_.field_name(column) for column in type_.search])
        if not rows:
            continue
        values = [value for texts in rows.values() for value in texts if value]
        texts = SearchTexts(Random(f"{SEED} {type_.name}"), values, [type_.name])
        for text in [*values[:3], *(texts.text() for _ in range(TEXTS // 10))]:
            found = await pair.loaders.ask(SEARCH, text=text, types=[type_.name])
            if "errors" in found:
                assert [error["extensions"]["code"] for error in found["errors"]] == ["BAD_USER_INPUT"], (text, found)
                continue
            page, wanted = found["data"]["search"], text.strip()
            by_words = [hit for hit in page["hits"] if hit["score"] >= 0.4 and hit["field"] not in {"__typename", "id"}]
            expected = {id_ for id_, texts_ in rows.items() if matches(wanted, texts_)}
            if page["complete"] and len(by_words) == len([hit for hit in page["hits"] if hit["score"] >= 0.4]):
                assert {hit["node"]["id"] for hit in by_words} == expected, (type_.name, text)
            for hit in by_words:
                low, high = band(wanted, hit["text"])
                labels = {folded(value) for value in rows[hit["node"]["id"]] if value}
                if matches(wanted, [hit["text"]]) and folded(wanted) not in labels:
                    assert low <= hit["score"] <= high, (type_.name, text, hit)
            scores = [hit["score"] for hit in page["hits"]]
            assert scores == sorted(scores, reverse=True), (type_.name, text)
            exact = {id_ for id_, (label, *_) in rows.items() if label and folded(label) == folded(wanted)}
            first = [hit["node"]["id"] for hit in page["hits"] if hit["score"] >= 0.94]
            assert exact <= set(first) or not page["complete"], (type_.name, text)
            compared, called = compared + bool(expected), called + bool(exact)
    assert compared > TEXTS // 2
    assert called > TEXTS // 10


async def names_of(client: Client, plural: str, fields: list[str]) -> dict[str, list[str | None]]:
    """The searched values of all rows by their ids; nothing where a column lacks, or where rows are too many."""
    if not fields:
        return {}
    answer = await client.ask(f"{{ {plural}(first: 1000) {{ totalCount nodes {{ id {' '.join(fields)} }} }} }}")
    page = (answer["data"] or {}).get(plural)
    if "errors" in answer or page is None or page["totalCount"] > len(page["nodes"]):
        return {}
    return {node["id"]: [node[field] for field in fields] for node in page["nodes"]}

"""What is similar to a row of the demo data, against its vectors; `test_similarity` has pages, filters and indexes."""

from __future__ import annotations

import math

import pytest

from tests.support.client import Client


def cosine(one: list[float], other: list[float]) -> float:
    product = math.fsum(a * b for a, b in zip(one, other, strict=True))
    return product / math.hypot(*one) / math.hypot(*other)


@pytest.mark.parametrize(
    ("root", "argument", "rows", "vector"),
    [
        ("similarEpisodes", "episodeId", "composerEpisodes", "queryEmbedding"),
        ("similarKnowledge", "knowledgeId", "experimentKnowledgeEntries", "embedding"),
    ],
)
async def test_all_rows_but_itself_are_similar_to_a_row(
    demo: Client, root: str, argument: str, rows: str, vector: str
) -> None:
    read = f"{{ {rows}(first: 200, where: {{ {vector}: {{ isNull: false }} }}) {{ nodes {{ id {vector} }} }} }}"
    vectors = {one["id"]: one[vector] for one in (await demo.data(read))[rows]["nodes"]}
    (id_, own), *_ = vectors.items()
    expected = sorted((cosine(own, other) for key, other in vectors.items() if key != id_), reverse=True)
    assert expected
    data = await demo.data(
        f"query($id: ID!) {{ {root}({argument}: $id, first: 200, exact: true) {{ edges {{ score node {{ id }} }} }} }}",
        id=id_,
    )
    edges = data[root]["edges"]
    assert {edge["node"]["id"] for edge in edges} == vectors.keys() - {id_}
    assert [edge["score"] for edge in edges] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("root", ["similarEpisodes", "similarKnowledge"])
async def test_a_page_of_no_rows_is_no_error(demo: Client, root: str) -> None:
    """It counts the rows, and says that there are more."""
    argument, rows, vector = {
        "similarEpisodes": ("episodeId", "composerEpisodes", "queryEmbedding"),
        "similarKnowledge": ("knowledgeId", "experimentKnowledgeEntries", "embedding"),
    }[root]
    read = f"{{ {rows}(first: 1, where: {{ {vector}: {{ isNull: false }} }}) {{ nodes {{ id }} }} }}"
    (one,) = (await demo.data(read))[rows]["nodes"]
    data = await demo.data(
        f"query($id: ID!) {{ none: {root}({argument}: $id, first: 0) {{ totalCount edges {{ score }} "
        f"pageInfo {{ hasNextPage endCursor }} }} some: {root}({argument}: $id, first: 1) {{ totalCount }} }}",
        id=one["id"],
    )
    assert data["none"] == {
        "totalCount": data["some"]["totalCount"],
        "edges": [],
        "pageInfo": {"hasNextPage": True, "endCursor": None},
    }

# ruff: noqa: E501 - what is sent is easier to read on one line
"""Hostile requests, the same ones for the same seed: what a scanner, a fuzzer or an attacker sends to a GraphQL server."""

from __future__ import annotations

import hashlib
import json
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

JSON = {"content-type": "application/json"}

VALID: list[str] = [
    "{ experiments(first: 2) { nodes { id experimentName models(first: 2) { nodes { id auc stage } } } } }",
    "query Q($n: Int = 3, $w: ModelWhere) { models(first: $n, where: $w, orderBy: [{ field: AUC }]) { totalCount nodes { ...M } } } fragment M on Model { id modelName deployments { nodes { environment } } }",
    '{ search(text: "kisqali", first: 3) { hits { score } } }',
    '{ node(id: "Model:00000000-0000-0000-0000-000000000000") { id ... on Model { stage } } }',
    "{ servingMetrics(first: 1) { aggregate(groupBy: [{ field: SERVICE_ID }]) { count p99LatencyMs { avg } } } }",
    'mutation { setChampion(input: { id: "Model:x", dryRun: true }) { __typename } }',
    "{ __schema { queryType { name } } }",
    "query($ids: [ID!]!) { nodes(ids: $ids) { id } }",
]

MOST = 5_000_000
"""Bytes of a request: beyond ten times its limit a server hangs up instead of listening."""

NASTY = [
    "", "\x00", "a\x00b", "\u202e", "\ufeff", "\ud7ff", "\U0001f4a9" * 50, "%", "_" * 100, "\\", "'", '"', "'; DROP TABLE x; --",
    "$1", "{{7*7}}", "../../etc/passwd", "${jndi:ldap://x}", "x" * 20_000, "1e999", "NaN", "-0", "Model:", "Model:%00",
    "Model:" + ":" * 500, "A" * 5_000, "\n" * 500, "e\u0301" * 400, "0001-01-01", "99999-12-31T00:00:00Z", "(a+)+$", "%" * 300,
]  # fmt: skip
NUMBERS = [0, -1, 1, 2**31, 2**31 - 1, -(2**31) - 1, 2**53, 2**63, 2**64, 10**30, 1e308, -1e308, 1e-320, 0.1, -0.0]


@dataclass
class Shot:
    """One request: what goes over the wire, whatever it means."""

    kind: str
    method: str = "POST"
    path: str = "/graphql"
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))


def shots(seed: int, count: int) -> Iterator[Shot]:
    """So many hostile requests."""
    dice = random.Random(seed)
    kinds = list(KINDS.items())
    for _ in range(count):
        kind, make = dice.choice(kinds)
        shot = make(dice)
        shot.kind = kind
        shot.content = shot.content[:MOST]
        yield shot


def body(query: Any, variables: Any = None, **more: Any) -> Shot:
    asked = {"query": query, **({} if variables is None else {"variables": variables}), **more}
    return Shot("", content=json.dumps(asked).encode())


def deep(levels: int, opening: str, closing: str, inside: str = "") -> str:
    return opening * levels + inside + closing * levels


# -- documents -------------------------------------------------------------------------------------------------------


def mutated(dice: random.Random) -> Shot:
    """A valid document with a few characters or words changed, doubled or lost."""
    text = dice.choice(VALID)
    for _ in range(dice.randint(1, 8)):
        at, to = sorted(dice.sample(range(len(text) + 1), 2)) if len(text) > 1 else (0, 0)
        to = min(to, at + 12)
        piece = dice.choice(
            [text[at:to] * 2, "", dice.choice(NASTY)[:50], dice.choice("{}()[]:$@!,.\"'#&|=\u00e9\x07")]
        )
        text = text[:at] + piece + text[to:]
    return body(text, dice.choice([None, {}, {"n": 1}, {"ids": []}]))


def shuffled(dice: random.Random) -> Shot:
    words = dice.choice(VALID).replace("(", " ( ").replace("{", " { ").split()
    dice.shuffle(words)
    return body(" ".join(words))


def bomb(dice: random.Random) -> Shot:
    """Few bytes that mean much work."""
    many = dice.choice([50, 150, 400, 1500])
    return body(
        dice.choice(
            [
                lambda: "{" + " ".join(f"a{i}: __typename" for i in range(many)) + "}",
                lambda: "{" + " __typename" * many + "}",
                lambda: "{" + " tools { nodes { name name } }" * many + "}",
                lambda: "{ experiments { nodes {" + " models { nodes { experiment { id } } }" * many + "} } }",
                lambda: "{ __typename " + "@skip(if: false) " * many + "}",
                lambda: "{ __typename " + "@include(if: true) @skip(if: false)" * (many // 2) + "}",
                lambda: "{" + " ...A" * many + "} fragment A on Query { __typename }",
                lambda: (
                    "{ ...F0 }" + "".join(f" fragment F{i} on Query {{ ...F{i + 1} ...F{i + 1} }}" for i in range(60))
                ),
                lambda: "{ ...F0 }" + "".join(f" fragment F{i} on Query {{ ...F{(i + 1) % 9} }}" for i in range(9)),
                lambda: " ".join(f"query A{i} {{ __typename }}" for i in range(many)),
                lambda: "query(" + " ".join(f"$v{i}: Int" for i in range(many)) + ") { __typename }",
                lambda: "query($a: " + deep(dice.choice([10, 150, 500]), "[", "]", "Int") + ") { __typename }",
                lambda: (
                    "{ __schema { types { "
                    + deep(dice.choice([2, 5, 20]), "fields { type { ", "} }", "name")
                    + " } } }"
                ),
                lambda: (
                    '{ __type(name: "Model") { ' + " ".join(f"a{i}: fields {{ name }}" for i in range(many)) + "} }"
                ),
                lambda: (
                    "{ experiments(first: 1000) { nodes { models(first: 1000) { nodes { deployments { totalCount } } } } } }"
                ),
                lambda: "{" + " ".join(f"a{i}: servingMetrics(first: 1000) {{ totalCount }}" for i in range(45)) + "}",
                lambda: "#" + "x" * 100 * many + "\n{ __typename }",
                lambda: "#\n" * many + "{ __typename }",
                lambda: " " * 60 * many + "{ __typename }",
                lambda: "{ " + "x" * 60 * many + " }",
                lambda: "{ " + " ".join(f"{'experiment' * 8}{i}" for i in range(many)) + " }",
                lambda: '{ tools(where: { name: { eq: """' + "\n  x" * 15 * many + '""" } }) { totalCount } }',
            ]
        )()
    )


def nested(dice: random.Random) -> Shot:
    """Deep selections, filters, lists and values, in the document or beside it."""
    levels = dice.choice([5, 30, 60, 180, 450, 1000, 5000])
    where = deep(levels, '{"not":', "}", "{}")
    objects = deep(levels, '{"a":', "}", "1")
    document = "query($w: ToolWhere) { tools(where: $w) { totalCount } }"
    return dice.choice(
        [
            lambda: body(deep(levels, "{ models { nodes { experiment ", " } } }", "{ id }")),
            lambda: body(f"{{ tools(where: {deep(levels, '{not:', '}', '{}')}) {{ totalCount }} }}"),
            lambda: body(f"{{ tools(where: {deep(levels, '{and:[', ']}', '{}')}) {{ totalCount }} }}"),
            lambda: body(f"{{ nodes(ids: {deep(levels, '[', ']')}) {{ id }} }}"),
            lambda: Shot("", content=f'{{"query": "{document}", "variables": {{"w": {where}}}}}'.encode()),
            lambda: Shot("", content=f'{{"query": {deep(levels, "[", "]")}}}'.encode()),
            lambda: Shot("", content=deep(levels, "[", "]").encode()),
            lambda: Shot("", content=objects.encode()),
            lambda: Shot("", content=f'{{"query": "{{a}}", "extensions": {objects}}}'.encode()),
        ]
    )()


# -- values ----------------------------------------------------------------------------------------------------------


def value(dice: random.Random, levels: int = 3) -> Any:
    if levels and dice.random() < 0.4:
        inner = [value(dice, levels - 1) for _ in range(dice.choice([0, 1, 2, 20]))]
        return inner if dice.random() < 0.5 else {dice.choice(NASTY)[:30] or "k": one for one in inner}
    return dice.choice([None, True, False, dice.choice(NASTY), dice.choice(NUMBERS), dice.choice(NASTY)])


TYPED = [
    ("query($v: Int) { models(first: $v) { nodes { id } } }", "v"),
    ("query($v: String) { models(first: 1, after: $v) { nodes { id } } }", "v"),
    ("query($v: ID!) { model(id: $v) { id } }", "v"),
    ("query($v: [ID!]!) { nodes(ids: $v) { id } }", "v"),
    ("query($v: ModelWhere) { models(where: $v) { totalCount } }", "v"),
    ("query($v: String!) { search(text: $v, first: 2) { __typename } }", "v"),
    ("query($v: [String!]!) { toolExecutionPlan(tools: $v) { __typename } }", "v"),
    ("query($v: PromoteModelInput!) { __typename }", "v"),
    ("mutation($v: PromoteModelInput!) { promoteModel(input: $v) { __typename } }", "v"),
    ("mutation($v: PromoteModelsInput!) { promoteModels(input: $v) { __typename } }", "v"),
    ("query($v: Float) { models(where: { auc: { gt: $v } }) { totalCount } }", "v"),
    ("query($v: DateTime) { models(where: { registeredAt: { gt: $v } }) { totalCount } }", "v"),
    ("query($v: UUID) { models(where: { rowId: { eq: $v } }) { totalCount } }", "v"),
    ("query($v: JSON) { models(where: { hyperparameters: { contains: $v } }, first: 1) { nodes { id } } }", "v"),
    ("query($v: [Float!]!) { similarEpisodes(embedding: $v, first: 2) { nodes { id } } }", "v"),
    ("query($v: Boolean!) { models(first: 1) @skip(if: $v) { totalCount } }", "v"),
]


def typed(dice: random.Random) -> Shot:
    """A variable of a wrong type, or of the right one at its end."""
    query, name = dice.choice(TYPED)
    made = dice.choice(
        [
            lambda: value(dice),
            lambda: dice.choice(NUMBERS),
            lambda: dice.choice(NASTY),
            lambda: [dice.choice(NASTY)[:200]] * dice.choice([1, 1000, 20_000]),
            lambda: {"id": dice.choice(NASTY), "to": "STAGING", "reason": dice.choice(NASTY), "dryRun": True},
            lambda: {"items": [{"id": dice.choice(NASTY)[:200]}] * dice.choice([1, 100, 10_000]), "to": "STAGING"},
            lambda: {"modelName": {"like": dice.choice(NASTY)}, "auc": {"in": NUMBERS}},
            lambda: {"or": [{"modelName": {"eq": "x"}}] * dice.choice([1, 100, 3_000])},
            lambda: [0.1] * dice.choice([1, 1536, 40_000]),
        ]
    )()
    return body(query, {name: made})


def literal(dice: random.Random) -> Shot:
    number = dice.choice(["9" * 400, "9" * 5000, "-0", "1e999", "1e-999", "0x10", "1.", "01", "1_000", "3" * 40_000])
    text = json.dumps(dice.choice(NASTY)[:2000])
    return body(
        dice.choice(
            [
                f"{{ models(first: {number}) {{ totalCount }} }}",
                f"{{ models(where: {{ auc: {{ gt: {number} }} }}) {{ totalCount }} }}",
                f"{{ model(id: {text}) {{ id }} }}",
                f"{{ models(where: {{ stage: {{ eq: {dice.choice(NASTY)[:60] or 'X'} }} }}) {{ totalCount }} }}",
                f"{{ search(text: {text}, first: 5) {{ __typename }} }}",
                f"{{ models(where: {{ hyperparameters: {{ path: {text} }} }}, first: 1) {{ totalCount }} }}",
                f'{{ tools(where: {{ name: {{ eq: "\\u{dice.choice(["d800", "0000", "{110000}", "{1F4A9}", "zzzz"])}" }} }}) {{ totalCount }} }}',
            ]
        )
    )


# -- HTTP ------------------------------------------------------------------------------------------------------------


def noise(dice: random.Random) -> Shot:
    """Bytes that are no request at all."""
    raw = body(dice.choice(VALID)).content
    return dice.choice(
        [
            lambda: Shot("", content=dice.randbytes(dice.choice([0, 1, 10, 1000, 100_000]))),
            lambda: Shot("", content=raw[: dice.randrange(len(raw))]),
            lambda: Shot("", content=raw.replace(b'"', bytes([dice.randrange(256)]), 1)),
            lambda: Shot("", content=raw.decode().encode(dice.choice(["utf-16", "utf-32", "utf-8-sig"]))),
            lambda: Shot("", content=b"[" + b",".join([raw] * dice.choice([1, 10, 1000])) + b"]"),
            lambda: Shot(
                "", content=b'{"query": "{ __typename }", ' + b'"query": 1, ' * dice.choice([1, 1000]) + b'"a": 1}'
            ),
            lambda: Shot("", content=json.dumps({"query": value(dice)}).encode()),
            lambda: Shot("", content=json.dumps({"query": "{ __typename }", "operationName": value(dice)}).encode()),
            lambda: Shot("", content=json.dumps({"query": "{ __typename }", "variables": value(dice)}).encode()),
            lambda: Shot("", content=b'{"query": "' + b"\\ud800" * 10 + b'"}'),
            lambda: Shot("", content=b'{"query": "{ __typename }", "variables": {"n": ' + b"9" * 6000 + b"}}"),
            lambda: Shot("", content=b" " * 1_100_000),
        ]
    )()


def headers(dice: random.Random) -> Shot:
    shot = body(dice.choice(VALID), {"ids": []})
    name = dice.choice(
        [
            "accept",
            "accept-encoding",
            "content-type",
            "authorization",
            "origin",
            "x-request-id",
            "if-none-match",
            "cookie",
        ]
    )
    text = dice.choice(
        [
            "*" * 50, "gzip;q=2, zstd;q=-1", "text/plain", "application/json; charset=utf-7", "Bearer " + "x" * 3000, "a,b;q=,;;,",
            "application/json;" * 300, 'W/"', "null", "\u00e9\u00ff", "multipart/form-data; boundary=x", ",".join(["a/b"] * 999),
        ]
    )  # fmt: skip
    shot.headers[name] = text.encode("latin-1").decode("latin-1")
    return shot


def url(dice: random.Random) -> Shot:
    document = quote(dice.choice([*VALID, *NASTY])[:8000])
    path = dice.choice(
        [
            f"/graphql?query={document}",
            f"/graphql?query={document}&variables={quote(json.dumps(value(dice)))[:20_000]}",
            f"/graphql?query={document}&extensions={quote(dice.choice(NASTY)[:500])}",
            "/graphql?" + "&".join(f"a{i}=1" for i in range(dice.choice([1, 30, 500]))),
            f"/graphql?documentId={quote(dice.choice(NASTY)[:3000])}",
            "/graphql?query=%ff%fe%00&variables=%7B",
            "/graphql/" + quote(dice.choice(NASTY)[:200]),
            "/static/" + quote(dice.choice(["../" * 20 + "etc/passwd", "..%2f..%2fsettings.py", "\x00", "." * 3000])),
            "/" + quote(dice.choice(NASTY)[:200], safe=""),
        ]
    )
    return Shot(
        "", method=dice.choice(["GET"] * 6 + ["PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"]), path=path, headers={}
    )


def persisted(dice: random.Random) -> Shot:
    query = dice.choice(VALID)
    hash_ = dice.choice([hashlib.sha256(query.encode()).hexdigest(), "0" * 64, dice.choice(NASTY)[:2000]])
    extensions: Any = dice.choice(
        [{"persistedQuery": {"version": 1, "sha256Hash": hash_}}, {"persistedQuery": value(dice)}, value(dice)]
    )
    if dice.random() < 0.5:
        query += " " * dice.randrange(10_000)
        extensions = {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(query.encode()).hexdigest()}}
    return body(dice.choice([query, None]), extensions=extensions, documentId=dice.choice([None, None, hash_, 1]))


def named(dice: random.Random) -> Shot:
    letters = string.ascii_letters
    name = "".join(dice.choices(letters, k=dice.choice([1, 200, 300, 90_000])))
    return dice.choice(
        [
            lambda: body("query A { __typename } query B { __typename }", operationName=name),
            lambda: body(f"query {name} {{ __typename }}", operationName=name),
            lambda: body("{ __typename }", operationName=dice.choice(NASTY)),
            lambda: body("subscription { anything }"),
            lambda: body(f"{{ {name}: __typename }}"),
            lambda: body(f"query(${name}: Int) {{ __typename }}", {name: 1}),
        ]
    )()


KINDS: dict[str, Callable[[random.Random], Shot]] = {
    "mutated": mutated,
    "shuffled": shuffled,
    "bomb": bomb,
    "nested": nested,
    "typed": typed,
    "literal": literal,
    "noise": noise,
    "headers": headers,
    "url": url,
    "persisted": persisted,
    "named": named,
}

"""Expensive requests, the same ones for the same seed: as much as the limits let through."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from graphql import parse, validate

from schema.catalogue.catalogue import Type
from schema.catalogue.from_models import catalogue
from schema.schema import build
from schema.sql.aggregates import BY_KIND, aggregated
from schema.sql.operators import filtered
from schema.sql.orders import sortable

Ids = Mapping[str, Sequence[str]]
"""Global ids of some rows, by type."""
HOT = ("Experiment", "Model", "Deployment", "BentoService", "TrainingRun", "MonitoringAlert", "ServingMetric")
FUNCTIONS = ("count", "min", "max", "avg", "sum", "stddev", "p50", "p95", "p99")


class Question(NamedTuple):
    """A request and its kind; a table's is asked for by the media type that it accepts."""

    kind: str
    query: str
    accept: str = "application/json"


def questions(seed: int, count: int, ids: Ids) -> list[Question]:
    """So many expensive requests to a subgraph that searches by texts, all of them valid."""
    dice = random.Random(seed)
    schema, kinds = build(federated=True).graphql, list(KINDS.items())
    made: list[Question] = []
    while len(made) < count:
        kind, make = dice.choice(kinds)
        query = make(dice, ids)
        if not validate(schema, parse(query)):
            made.append(Question(kind, query, dice.choice(MEDIA)) if kind == TABLES else Question(kind, query))
    return made


def _type(dice: random.Random) -> Type:
    types = [one for one in catalogue() if one.is_node and not one.is_view]
    return catalogue()[dice.choice(HOT)] if dice.random() < 0.6 else dice.choice(types)


def _leaves(type_: Type) -> list[str]:
    return list(type_.columns)


def _where(dice: random.Random, type_: Type, levels: int) -> str:
    """A filter through relations, so many levels deep."""
    relations = list(type_.relations.values())
    if not levels or not relations:
        leaf = dice.choice([one for one in type_.columns.values() if filtered(one)])
        return f"{{ {leaf.name}: {{ isNull: {dice.choice(['true', 'false'])} }} }}"
    relation = dice.choice(relations)
    inner = _where(dice, catalogue()[relation.target], levels - 1)
    if relation.many:
        inner = f"{{ {dice.choice(['some', 'none', 'every'])}: {inner} }}"
    one = f"{{ {relation.name}: {inner} }}"
    return f"{{ {dice.choice(['and', 'or'])}: [{one}, {one}] }}" if dice.random() < 0.2 else one


def filters(dice: random.Random, _ids: Ids) -> str:
    type_ = _type(dice)
    many = dice.choice([1, 5, 15])
    asked = ", ".join(_where(dice, type_, dice.randint(1, 4)) for _ in range(many))
    where = f"{{ {dice.choice(['and', 'or'])}: [{asked}] }}"
    counted = dice.choice(["", " totalCount"])
    return f"{{ {type_.plural}(first: {dice.choice([1, 50, 1000])}, where: {where}) {{ nodes {{ id }}{counted} }} }}"


def _order(dice: random.Random, type_: Type, levels: int) -> str:
    ones = [relation for relation in type_.relations.values() if not relation.many]
    if levels and ones:
        relation = dice.choice(ones)
        return f"{{ {relation.name}: {_order(dice, catalogue()[relation.target], levels - 1)} }}"
    leaf = dice.choice([one for one in type_.columns.values() if sortable(one)])
    return f"{{ field: {_member(leaf.name)}, direction: {dice.choice(['ASC', 'DESC'])} }}"


def _member(name: str) -> str:
    """A field of a type as a member of the enum of its fields."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).upper()


def orders(dice: random.Random, _ids: Ids) -> str:
    roots = []
    for place in range(dice.choice([1, 5, 20])):
        type_ = _type(dice)
        order = _order(dice, type_, dice.randint(0, 4))
        roots.append(f"r{place}: {type_.plural}(first: 10, orderBy: [{order}]) {{ nodes {{ id }} }}")
    return "{" + " ".join(roots) + "}"


def aliases(dice: random.Random, _ids: Ids) -> str:
    type_ = _type(dice)
    long = "long_" * dice.choice([1, 12, 20])
    fields = " ".join(f"{long}{n}: {dice.choice(_leaves(type_))}" for n in range(dice.choice([10, 100, 150])))
    first = dice.choice([50, 300, 1000])
    roots = " ".join(
        f"r{n}: {type_.plural}(first: {first}) {{ nodes {{ ...F }} }}" for n in range(dice.choice([1, 8, 20]))
    )
    return f"{{ {roots} }} fragment F on {type_.name} {{ {fields} }}"


def pages(dice: random.Random, _ids: Ids) -> str:
    def rows(type_: Type, levels: int) -> str:
        leaves = " ".join(dice.sample(_leaves(type_), min(8, len(type_.columns))))
        relations = list(type_.relations.values())
        if not levels or not relations:
            return leaves
        below = []
        for relation in dice.sample(relations, min(2, len(relations))):
            inner = rows(catalogue()[relation.target], levels - 1)
            size = f"(first: {dice.choice([10, 100, 990])})" if relation.many else ""
            below.append(f"{relation.name}{size} {{ {'nodes { ' + inner + ' }' if relation.many else inner} }}")
        return f"{leaves} {' '.join(below)}"

    type_ = _type(dice)
    return f"{{ {type_.plural}(first: {dice.choice([20, 1000])}) {{ nodes {{ {rows(type_, dice.randint(1, 3))} }} }} }}"


def aggregates(dice: random.Random, _ids: Ids) -> str:
    type_ = _type(dice)
    leaves = [one for one in type_.columns.values() if aggregated(one)]
    parts = []
    for place in range(dice.choice([1, 3, 6])):
        asked = []
        for leaf in dice.sample(leaves, dice.randint(0, len(leaves))):
            known = FUNCTIONS if BY_KIND[leaf.kind.graphql].__name__ == "NumberAggregate" else FUNCTIONS[:3]
            asked.append(f"{leaf.name} {{ {' '.join(dice.sample(known, dice.randint(1, len(known))))} }}")
        parts.append(f"a{place}: aggregate {{ count {' '.join(asked)} }}")
    return f"{{ {type_.plural}(first: 0) {{ {' '.join(parts)} }} }}"


def views(dice: random.Random, _ids: Ids) -> str:
    """Lists of what is summed up when it is read: filtered, ordered, counted, grouped."""
    type_ = dice.choice([one for one in catalogue() if one.is_view or one.is_derived])
    roots = []
    for place in range(dice.choice([1, 4, 10])):
        where = f"{{ and: [{', '.join(_where(dice, type_, dice.randint(0, 3)) for _ in range(dice.choice([1, 5])))}] }}"
        order = _order(dice, type_, dice.randint(0, 2))
        asked = f"nodes {{ {' '.join(_leaves(type_))} }} totalCount {_grouped(dice, type_)}"
        roots.append(f"r{place}: {type_.plural}(first: 1000, where: {where}, orderBy: [{order}]) {{ {asked} }}")
    return "{" + " ".join(roots) + "}"


def anded(dice: random.Random, _ids: Ids) -> str:
    """Filters through views of one path or of several, side by side, beside what the planner cannot estimate."""
    roots = []
    for place in range(dice.choice([1, 1, 3])):
        type_ = _type(dice)
        views = (_view(dice, type_, dice.randint(1, 3)) for _ in range(dice.choice([1, 5, 9, 20])))
        asked = [one for one in views if one]
        if asked and dice.random() < 0.5:  # few of them, again and again
            asked = dice.choices(asked[:3], k=dice.choice([1, 9, 20]))
        beside = [
            f"{{ {leaf.name}: {{ path: {json.dumps(dice.choice(ALL_PATHS))} }} }}"
            for leaf in type_.columns.values()
            if filtered(leaf) and leaf.kind.graphql == "JSON"
        ]
        beside = dice.choices(beside, k=dice.choice([0, 1, 3])) if beside else []
        terms = [f"{{ not: {one} }}" if dice.random() < 0.1 else one for one in asked]
        where = f"{{ and: [{{ {dice.choice(['and', 'and', 'or'])}: [{', '.join(terms)}] }}, {', '.join(beside)}] }}"
        counted = dice.choice(["", " totalCount", " totalCount(exact: true)"])
        first = dice.choice([1, 50, 1000])
        roots.append(f"r{place}: {type_.plural}(first: {first}, where: {where}) {{ nodes {{ id }}{counted} }}")
    return "{" + " ".join(roots) + "}"


def _view(dice: random.Random, type_: Type, levels: int) -> str:
    """A filter of a view or a SELECT behind so many relations at most; none where no relation leads to one."""
    relations = list(type_.relations.values())
    ends = [one for one in relations if catalogue()[one.target].is_view or catalogue()[one.target].is_derived]
    if levels > 1 and (not ends or dice.random() < 0.5):
        relation = dice.choice(relations)
        inner = _view(dice, catalogue()[relation.target], levels - 1)
    elif ends:
        relation = dice.choice(ends)
        inner = _where(dice, catalogue()[relation.target], 0)
    else:
        return ""
    if not inner:
        return ""
    return f"{{ {relation.name}: {f'{{ some: {inner} }}' if relation.many else inner} }}"


def _since(dice: random.Random) -> str:
    return f"now-{dice.choice(['1s', '90m', '7d', '52w', '36525d', '1w2d3h4m5s'])}"


def relative(dice: random.Random, _ids: Ids) -> str:
    """Times relative to now: far ones, and a thousand different ones, of lists that are counted and grouped."""
    roots = []
    for place in range(dice.choice([1, 5, 20])):
        type_ = _type(dice)
        times = [one.name for one in type_.columns.values() if filtered(one) and one.kind.graphql == "DateTime"]
        if not times:
            continue
        many = ", ".join(f'"now-{n}s"' for n in range(dice.choice([1, 100, 1000])))
        asked = dice.choice([f'gte: "{_since(dice)}", lt: "now+1h"', f'lte: "{_since(dice)}"', f"notIn: [{many}]"])
        where = f"{{ {dice.choice(times)}: {{ {asked} }} }}"
        beside = dice.choice(["", f" {_grouped(dice, type_)}"])
        roots.append(f"r{place}: {type_.plural}(first: 10, where: {where}) {{ nodes {{ id }} totalCount{beside} }}")
    return "{" + " ".join(roots) + "}"


def tables(dice: random.Random, _ids: Ids) -> str:
    """One list as a table: wide rows beside those that they refer to, filtered and ordered."""

    def row(type_: Type, levels: int) -> str:
        ones = [one for one in type_.relations.values() if not one.many and not catalogue()[one.target].arguments]
        below = dice.sample(ones, min(len(ones), dice.choice([0, 2, 8]))) if levels else []
        inner = [f"{one.name} {{ {row(catalogue()[one.target], levels - 1)} }}" for one in below]
        return " ".join([*_leaves(type_), *inner])

    type_ = _type(dice)
    if dice.random() < 0.2:
        type_ = dice.choice([one for one in catalogue() if one.is_view or one.is_derived])
    where = dice.choice(["", f", where: {_where(dice, type_, dice.randint(0, 3))}"])
    order = dice.choice(["", f", orderBy: [{_order(dice, type_, dice.randint(0, 2))}]"])
    first = dice.choice([1000, 20_000, 1_000_000])
    return f"{{ {type_.plural}(first: {first}{where}{order}) {{ nodes {{ {row(type_, dice.randint(0, 3))} }} }} }}"


def entities(dice: random.Random, ids: Ids) -> str:
    """Entities of a few types or of all, with wide rows and lists below them."""
    types = dice.sample([one for one in catalogue() if one.is_node and not one.is_view], dice.choice([1, 5, 40]))
    below = " ".join(f"... on {type_.name} {{ {_entity(dice, type_)} }}" for type_ in types)
    named = []
    for _ in range(dice.choice([10, 300, 1000])):
        type_ = dice.choice(types)
        known = ids.get(type_.name)
        id_ = dice.choice(known) if known else f"{type_.name}:{UUID(int=dice.getrandbits(128))}"
        named.append(f'{{ __typename: "{type_.name}", id: "{id_}" }}')
    return f"{{ _entities(representations: [{', '.join(named)}]) {{ __typename {below} }} }}"


def _entity(dice: random.Random, type_: Type) -> str:
    """Leaves under aliases of their own, since fragments on several types may not differ under one key."""
    many = [one for one in type_.relations.values() if one.many and not catalogue()[one.target].arguments]
    lists = [
        f"{type_.name}_{one.name}: {one.name}(first: {dice.choice([10, 100])}) {{ nodes {{ id }} }}"
        for one in dice.sample(many, min(len(many), dice.choice([0, 1, 2])))
    ]
    return " ".join([*(f"{type_.name}_{leaf}: {leaf}" for leaf in _leaves(type_)), *lists])


def texts(dice: random.Random, _ids: Ids) -> str:
    """Similarity by texts, which a service makes into vectors."""
    roots = []
    for place in range(dice.choice([1, 3, 20])):
        name, type_ = dice.choice([("similarEpisodes", "ComposerEpisode"), ("similarKnowledge", "ExperimentKnowledge")])
        where = f", where: {_where(dice, catalogue()[type_], dice.randint(0, 3))}" if dice.random() < 0.5 else ""
        exact = dice.choice(["", ", exact: true"])
        roots.append(
            f'r{place}: {name}(text: "{dice.choice(TEXTS)} {dice.randint(0, 3)}", first: 100{where}{exact}) '
            f"{{ totalCount edges {{ score node {{ {' '.join(catalogue()[type_].columns)} }} }} }}"
        )
    return "{" + " ".join(roots) + "}"


def _grouped(dice: random.Random, type_: Type) -> str:
    """Percentiles of every number, by some columns."""
    keys = dice.sample([one for one in type_.columns.values() if sortable(one)], dice.randint(1, 3))
    by, group = [], []
    for leaf in keys:
        bucket = f", bucket: {dice.choice(['MINUTE', 'HOUR', 'DAY'])}" if leaf.kind.graphql == "DateTime" else ""
        by.append(f"{{ field: {_member(leaf.name)}{bucket} }}")
        group.append(leaf.name)
    numbers = [
        f"{leaf.name} {{ p50 p95 p99 stddev }}"
        for leaf in type_.columns.values()
        if aggregated(leaf) and BY_KIND[leaf.kind.graphql].__name__ == "NumberAggregate"
    ]
    return f"aggregate(groupBy: [{', '.join(by)}]) {{ count group {{ {' '.join(group)} }} {' '.join(numbers)} }}"


def groups(dice: random.Random, _ids: Ids) -> str:
    roots = []
    for place in range(dice.choice([1, 3, 8])):
        type_ = _type(dice)
        where = f", where: {_where(dice, type_, dice.randint(1, 3))}" if dice.random() < 0.5 else ""
        roots.append(f"r{place}: {type_.plural}(first: 0{where}) {{ {_grouped(dice, type_)} }}")
    return "{" + " ".join(roots) + "}"


def similarities(dice: random.Random, _ids: Ids) -> str:
    roots = []
    for place in range(dice.choice([1, 5, 20])):
        name, type_ = dice.choice([("similarEpisodes", "ComposerEpisode"), ("similarKnowledge", "ExperimentKnowledge")])
        near = ", ".join(f"{dice.uniform(-1, 1):.3f}" for _ in range(1536))
        where = _where(dice, catalogue()[type_], dice.randint(0, 3))
        filter_ = f", where: {where}" if dice.random() < 0.7 else ""
        exact = dice.choice(["", ", exact: true"])
        leaves = " ".join(catalogue()[type_].columns)
        roots.append(
            f"r{place}: {name}(embedding: [{near}], first: {dice.choice([10, 100])}{filter_}{exact}) "
            f"{{ totalCount edges {{ score node {{ {leaves} }} }} }}"
        )
    return "{" + " ".join(roots) + "}"


TEXTS = [
    "a",
    "e e e e",
    "kisqali",
    "model production",
    "0" * 8,
    "%",
    "the " * 60,
    "zzqx vvqx wwqx",
    "alerts",
    "ä" * 200,
]


def searches(dice: random.Random, _ids: Ids) -> str:
    found = " ".join(f"... on {name} {{ {' '.join(catalogue()[name].columns)} }}" for name in HOT[:4])
    roots = [
        f'r{n}: search(text: "{dice.choice(TEXTS)}", first: {dice.choice([20, 100])}) '
        f"{{ complete hits {{ score text belongsTo {{ id }} node {{ id {found if n == 0 else ''} }} }} }}"
        for n in range(dice.choice([1, 5, 20]))
    ]
    return "{" + " ".join(roots) + "}"


ALL_PATHS = ["$", "strict $", "$.**", "$[*]"]
"""Paths that find something in every document, which the planner takes for rare."""
JSON_PATHS = [
    "$.**.**.** ? (@ > 1)",
    '$.** ? (@ like_regex "(a*)*b")',
    '$.** ? (@ like_regex "(.*)(.*)(.*)(.*)(.*)x" flag "i")',
    '$.** ? (@ like_regex "^(([a-z])+.)+[A-Z]([a-z])+$")',
    '$.** ? (@ like_regex "(x{1,100}){1,2}")',
    "$.**{1 to 50}.* ? (exists (@.** ? (@ == 1)))",
    "$[*] ? (@.** == $.**)",
]
LIKES = ["%a%e%i%o%u%", "%" * 50 + "x", "%_" * 50, "%a" * 60]


def patterns(dice: random.Random, _ids: Ids) -> str:
    """Paths with wildcards and regular expressions into JSON, and patterns of texts, without any index for them."""
    roots = []
    for place in range(dice.choice([1, 5, 20])):
        type_ = _type(dice)
        asked = []
        for leaf in [one for one in type_.columns.values() if filtered(one)]:
            if leaf.kind.graphql == "JSON":
                asked.append(f"{{ {leaf.name}: {{ path: {json.dumps(dice.choice(JSON_PATHS))} }} }}")
            elif leaf.kind.graphql == "String" and not leaf.kind.is_list:
                asked.append(f'{{ {leaf.name}: {{ {dice.choice(["like", "iContains"])}: "{dice.choice(LIKES)}" }} }}')
        where = f"{{ {dice.choice(['and', 'or'])}: [{', '.join(asked)}] }}"
        roots.append(f"r{place}: {type_.plural}(first: 100, where: {where}) {{ totalCount nodes {{ id }} }}")
    return "{" + " ".join(roots) + "}"


def _id(dice: random.Random, ids: Ids) -> str:
    return dice.choice(ids[dice.choice([name for name in ids if ids[name]])])


def paths(dice: random.Random, ids: Ids) -> str:
    one = "nodes { nodeId node { id } } edges { kind }"
    asked = [
        f'p{n}: paths(from: "{_id(dice, ids)}", to: "{_id(dice, ids)}", maxLength: {dice.choice([5, 20])}, first: 100, '
        f"direction: {dice.choice(['BOTH', 'DOWNSTREAM'])}) {{ complete paths {{ {one} }} }}"
        for n in range(dice.choice([1, 5]))
    ]
    return "{" + " ".join(asked) + "}"


def lineages(dice: random.Random, ids: Ids) -> str:
    nodes, per = dice.choice([500, 5000, 10_000]), dice.choice([25, 200, 1000])
    given = f'from: ["{_id(dice, ids)}"], maxDepth: {dice.choice([3, 10, 100])}, maxNodes: {nodes}, perNodeLimit: {per}'
    return dice.choice(
        [
            f"{{ lineage({given}) {{ complete nodes {{ nodeId label degree {{ upstream }} }} edges {{ from to }} }} }}",
            f"{{ lineageText({given}, maxBytes: {dice.choice([20_000, 1_000_000])}) }}",
            f"{{ lineageCounts({given}) {{ total edges counts {{ type depth count }} }} }}",
        ]
    )


SUBSCRIPTIONS = "live"
"""The kind of those that are started together, held for a while and cancelled."""


def subscriptions(dice: random.Random, ids: Ids) -> str:
    """A subscription with filters as long as they may be, whose messages may hold much."""
    below = "... on Model { deployments(first: 100) { nodes { id service: services(first: 50) { nodes { id } } } } }"
    if dice.random() < 0.5:
        some = ", ".join(f'"{_id(dice, ids)}"' for _ in range(dice.choice([1, 100])))
        states = ", ".join(f'"STATE_{n}"' for n in range(dice.choice([1, 100])))
        given = f"nodeIds: [{some}], from: [{states}], to: [{states}]"
        return f"subscription {{ lifecycleEvents({given}) {{ cursor event {{ id node {{ id {below} }} }} }} }}"
    given = dice.choice(["", "(severity: [HIGH, CRITICAL])", "(status: [ACTIVE])"])
    leaves = " ".join(_leaves(catalogue()["MonitoringAlert"]))
    model = f"model {{ id {' '.join(_leaves(catalogue()['Model']))} deployments(first: 100) {{ nodes {{ id }} }} }}"
    return f"subscription {{ alerts{given} {{ cursor alert {{ {leaves} {model} }} }} }}"


TABLES = "tables"
"""The kind of those that are asked for by a media type."""
MEDIA = ("text/csv", "application/x-ndjson", "application/vnd.apache.arrow.stream")

KINDS: dict[str, Callable[[random.Random, Ids], str]] = {
    "filters": filters,
    "orders": orders,
    "aliases": aliases,
    "pages": pages,
    "aggregates": aggregates,
    "paths": paths,
    "lineages": lineages,
    "views": views,
    "groups": groups,
    "similarities": similarities,
    "searches": searches,
    "patterns": patterns,
    SUBSCRIPTIONS: subscriptions,
    "anded": anded,
    "relative": relative,
    TABLES: tables,
    "entities": entities,
    "texts": texts,
}

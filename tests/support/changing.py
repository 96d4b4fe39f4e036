"""What tests of changes share: asking for one, and rows to be changed."""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from collections.abc import Iterable
from itertools import count
from typing import Any

import asyncpg

from tests.support import platform_db
from tests.support.client import Client

RESULT = """
    __typename
    ... on TransitionApplied {
      replayed
      node {
        id __typename
        ... on Model { stage isChampion rowVersion lifecycle { state } experiment { champion { id } } }
      }
      nodes { id }
      event { id mutation fromState toState actor reason forced node { id } }
      events { nodeId lifecycle fromState toState }
      alsoChanged { id ... on Model { isChampion } }
    }
    ... on TransitionPreview {
      wouldForce
      wouldChange { nodeId type before after }
      blockers { code message overridable node { id __typename } }
    }
    ... on Problem { code message path }
    ... on IllegalTransition { from to allowed node { id } }
    ... on TransitionBlocked { blockers { code message overridable node { id __typename } } }
    ... on StaleVersion { expected current { id ... on Model { rowVersion stage } } }
    ... on NotFound { nodeId }
    ... on InvalidInput { field }
"""


async def change(client: Client, mutation: str, **input_: Any) -> dict[str, Any]:
    """The result of a mutation that must not fail outside its union."""
    type_ = mutation[0].upper() + mutation[1:]
    data = await client.data(
        f"mutation($input: {type_}Input!) {{ change: {mutation}(input: $input) {{ {RESULT} }} }}", input=input_
    )
    result: dict[str, Any] = data["change"]
    return result


_rows = count()


async def add(connection: asyncpg.Connection, table: str, **values: Any) -> Any:
    """Inserts a row, filling what the table demands (rows of other tables too), and returns its key."""
    filled, n = dict(values), next(_rows)
    for column in platform_db.tables()[table]:
        if not column.nullable and column.default == "no" and column.name not in values:
            parent = column.parent
            # some hold no more than ten, and rules of the platform's want parts of one
            place = n % {"numeric": 50, "double precision": 8}.get(column.type.partition("(")[0], n + 1)
            filled[column.name] = await add(connection, parent[0]) if parent else platform_db.value(column, place)
    # By way of JSON text every value, NaN included, is read by Postgres as the column's type.
    document = {
        name: value if value is None or isinstance(value, list | dict) else str(value) for name, value in filled.items()
    }
    key = platform_db.key_of(table)[0]
    return await connection.fetchval(
        f"INSERT INTO {table} ({', '.join(filled)}) SELECT {', '.join(filled)} "
        f"FROM json_populate_record(NULL::{table}, $1) RETURNING {key}",
        json.dumps(document),
    )


async def model_in(sql: asyncpg.Connection, stage: str, **columns: Any) -> str:
    """A model of its own in an experiment of its own, as an id."""
    experiment = await sql.fetchval(
        "INSERT INTO ml_experiments (experiment_name, prediction_target, minimum_auc) VALUES ('t', "
        "'t', 0.7) RETURNING id"
    )
    values = {"model_name": "m", "algorithm": "a", "auc": 0.8} | columns
    names = ", ".join(values)
    places = ", ".join(f"${n + 3}" for n in range(len(values)))
    key = await sql.fetchval(
        f"INSERT INTO ml_model_registry (experiment_id, stage, model_version, {names}) "
        f"VALUES ($1, $2, gen_random_uuid()::text, {places}) RETURNING id",
        experiment,
        stage,
        *values.values(),
    )
    return f"Model:{key}"


async def events_of(sql: asyncpg.Connection, node: str) -> list[tuple[Any, ...]]:
    rows = await sql.fetch(
        "SELECT lifecycle, from_state, to_state, mutation, actor, reason, forced FROM gateway.lifecycle_events "
        "WHERE node_id = $1 ORDER BY occurred_at",
        node,
    )
    return [tuple(row) for row in rows]


GOOD_SHADOW = '{"duration_hours": 24, "requests": 1000, "error_rate": 0.01, "latency_p99_ms": 150}'


async def shadowed(sql: asyncpg.Connection, **columns: Any) -> str:
    """A model in shadow with just enough evidence for production."""
    model = await model_in(sql, "shadow", **columns)
    await deployed(sql, model, shadow_metrics=GOOD_SHADOW)
    return model


async def deployed(sql: asyncpg.Connection, model: str, **columns: Any) -> str:
    """A deployment of a model, as an id."""
    values = {"deployment_name": "d", "environment": "production"} | columns
    casts = {"status": "::text::deployment_status_enum", "shadow_metrics": "::text::jsonb"}
    places = ", ".join(f"${n + 2}{casts.get(name, '')}" for n, name in enumerate(values))
    key = await sql.fetchval(
        f"INSERT INTO ml_deployments (model_registry_id, {', '.join(values)}) VALUES ($1, {places}) RETURNING id",
        uuid.UUID(model.removeprefix("Model:")),
        *values.values(),
    )
    return f"Deployment:{key}"


def uuid_of(node: str) -> uuid.UUID:
    return uuid.UUID(node.split(":")[1])


async def state(sql: asyncpg.Connection, model: str) -> tuple[str, bool]:
    row = await sql.fetchrow("SELECT stage::text, is_champion FROM ml_model_registry WHERE id = $1", uuid_of(model))
    return row["stage"], row["is_champion"]


async def rivals(sql: asyncpg.Connection, *stages: str) -> list[str]:
    """Models of one experiment, the first one its champion."""
    first = await model_in(sql, stages[0], is_champion=True)
    models = [first]
    for place, stage in enumerate(stages[1:]):
        key = await sql.fetchval(
            "INSERT INTO ml_model_registry (experiment_id, model_name, model_version, algorithm, stage) "
            "SELECT experiment_id, model_name, $2, 'a', $3 FROM ml_model_registry WHERE id = $1 RETURNING id",
            uuid_of(first),
            f"{uuid_of(first)}-{place}",
            stage,
        )
        models.append(f"Model:{key}")
    return models


async def versions(client: Client, *models: str) -> list[str]:
    data = await client.data("query($ids: [ID!]!) { nodes(ids: $ids) { ... on Model { rowVersion } } }", ids=models)
    return [node["rowVersion"] for node in data["nodes"]]


async def previewed(client: Client, mutation: str, **input_: Any) -> dict[str, Any]:
    """The result of a change, of which a dry run has told everything before: each row, what it was and what it became.

    Times are those of each run, and rows that are made get another key.
    """
    preview = await change(client, mutation, **input_, dryRun=True)
    planned = {one["nodeId"]: one for one in preview["wouldChange"] if one["nodeId"]}
    for id_, one in planned.items():
        assert await _fields(client, id_, one["before"]) == one["before"], "what is stored"
    result = await change(client, mutation, **input_)
    assert result["__typename"] == "TransitionApplied"
    for id_, one in planned.items():
        assert one["type"] == id_.split(":")[0]
        assert one["before"].keys() == one["after"].keys() != set()
        assert _lasting(await _fields(client, id_, one["after"])) == _lasting(one["after"])
    rows = [node["id"] for node in (*result["nodes"], *result["alsoChanged"])]
    others = Counter(id_.split(":")[0] for id_ in rows if id_ not in planned)  # some may be written as they were
    new = [one for one in preview["wouldChange"] if one["nodeId"] is None]
    assert Counter(one["type"] for one in new) <= others
    assert planned.keys() <= set(rows)
    assert all(one["before"] is None and one["after"] for one in new)
    return result


async def _fields(client: Client, id_: str, names: Iterable[str]) -> dict[str, Any]:
    type_ = id_.split(":", maxsplit=1)[0]
    query = f"query($id: ID!) {{ node(id: $id) {{ ... on {type_} {{ {' '.join(names)} }} }} }}"
    fields: dict[str, Any] = (await client.data(query, id=id_))["node"]
    return fields


def _lasting(fields: dict[str, Any]) -> dict[str, Any]:
    """Without times, what is measured of them, and the keys of rows that the change makes."""
    times = {name for name, value in fields.items() if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT", value)}
    passing = times | {"retrainingJobId"}
    return {name: value for name, value in fields.items() if name not in passing and "duration" not in name.lower()}

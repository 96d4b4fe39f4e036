"""Every column of every recordable type: given, left to its default, or the server's, which no input has."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from graphql import GraphQLInputObjectType, GraphQLNonNull

from db.base.entity import camel
from db.base.lifecycles import lifecycles
from db.base.vocabulary import entities, table_of
from schema.changes.mutations import mutations
from schema.recording.record_types import RecordType, RowField, Verb, batch_mutations, entity_mutations
from schema.schema import build
from tests.support import platform_db
from tests.support.changing import add
from tests.support.client import Client
from tests.support.platform_shaped import IS_PLATFORM
from tests.support.recording import record, write

TYPES = {
    **batch_mutations(),
    **{name: one.type for name, one in entity_mutations().items() if one.verb is Verb.CREATE},
}
SAMPLES = {"minimum_auc": 0.75, "vector_weight": 0.5, "fulltext_weight": 0.25, "graph_weight": 0.25}
"""Values that a rule of the database wants so."""
FILLED = {"explanation_id", "request_timestamp"}
"""Columns that a trigger of the platform's fills where nobody has."""
AT = datetime(2026, 5, 1, 12, tzinfo=UTC)


def sample(one: RecordType, field: RowField, n: int) -> Any:  # noqa: C901, PLR0911, PLR0912 - a value for each kind
    """A value of a field that is no reference; ``n`` makes it another one."""
    state = one.plan.state
    if state is not None and state.column == field.column:
        return one.plan.declared.born[0]
    if field.kind.labels is not None:
        label = next(iter(field.kind.labels)).name
        return [label] if field.kind.is_list else label
    if field.column in SAMPLES:
        return SAMPLES[field.column]
    if field.kind.labels is None and (words := one.type.leaf(field.column).facts.values):
        return words[0]
    if field.kind.name == "vector":
        return [0.5] * 1536
    if field.kind.is_list and field.kind.graphql == "UUID":
        return [f"00000000-0000-4000-8000-{n:012d}"]
    if field.kind.is_list:
        return ["a", None, 'b"{,}'] if field.kind.graphql == "String" else [1]
    match field.kind.graphql:
        case "UUID":
            return f"00000000-0000-4000-8000-{n:012d}"
        case "DateTime":
            return AT.replace(hour=n % 24).isoformat()
        case "Date":
            return "2026-05-01"
        case "Boolean":
            return True
        case "Int" | "BigInt":
            return n + 1
        case "Float":
            return 0.25
        case "JSON":
            return {"a": [n, None, "\u00e9"]}
        case _:
            return _text(one, field, n)


def _text(one: RecordType, field: RowField, n: int) -> str:
    """Agents and other open-ended labels are enums of the database."""
    columns = platform_db.tables()[one.type.table.fullname]
    column = next(column for column in columns if column.name == field.column)
    return str(platform_db.value(column, n)) if field.kind.pg_type != "text" else f"text {n}"


async def row_of(sql: asyncpg.Connection, one: RecordType, n: int, *, whole: bool) -> dict[str, Any]:
    """A row with what is required, or with all that can be given."""
    row = {}
    for name, field in one.fields.items():
        if not (whole or field.required) or (name == "id" and one.makes_ids):
            continue
        if field.reference is not None:
            target = build().catalogue[field.reference.target]
            row[name] = {"id": str(await add(sql, target.table.fullname))}
        else:
            row[name] = sample(one, field, n)
    return row


def test_every_table_has_a_door() -> None:
    """Each of the platform's tables is recorded in batches, made row by row, or by a mutation that says why."""
    known = {name: one for name, one in entities().items() if one.__group__ and not one.__is_view__}
    assert {table_of(one).fullname for one in known.values()} == set(platform_db.tables())
    made = {one.name for one in TYPES.values()}
    for name, one in known.items():
        declared = one.__record__
        assert declared is not None, name
        if name not in made:
            assert declared.door in mutations(), name
            assert declared.why, name
    assert made | {"Deployment", "ExpertReview"} == known.keys()


def input_of(mutation: str, one: RecordType) -> str:
    """The input type that has the columns."""
    return f"{one.name}Row" if one.is_fact else f"{mutation[0].upper()}{mutation[1:]}Input"


@pytest.mark.parametrize("mutation", sorted(TYPES))
def test_every_column_is_an_input_or_the_servers(mutation: str) -> None:
    """Computed columns, states, times of the row and actors are the server's; the SDL requires what has no default."""
    one = TYPES[mutation]
    input_ = build().graphql.type_map[input_of(mutation, one)]
    assert isinstance(input_, GraphQLInputObjectType)
    for column in one.type.table.columns:
        field = one.by_column.get(column.name)
        if column.computed is not None or column.name in {"created_at", "updated_at", one.plan.declared.actor}:
            assert field is None, column.name
        if field is None:
            assert not {camel(column.name), camel(column.name).removesuffix("Id")} & input_.fields.keys()
            is_filled = column.server_default is not None or column.autoincrement is True
            assert column.nullable or is_filled or column.name in one.plan.births, column.name
            continue
        required = isinstance(input_.fields[field.name].type, GraphQLNonNull)
        due = not column.nullable and column.server_default is None
        assert required == (due or column.name in one.demanded), column.name
    for lifecycle in lifecycles():
        if lifecycle.entity == one.name and lifecycle.column in one.by_column:
            assert len(one.plan.declared.born) > 1


@pytest.mark.parametrize("mutation", sorted(TYPES))
async def test_a_column_of_the_servers_is_refused(client: Client, mutation: str) -> None:
    one = TYPES[mutation]
    given = "{rows: [$r]}" if one.is_fact else "$r"
    query = f"mutation($r: {input_of(mutation, one)}!) {{ {mutation}(input: {given}) {{ __typename }} }}"
    for column in one.plan.server:
        answer = await client.ask(query, r={camel(column): None})
        places = [error["message"] for error in answer["errors"]]
        assert any(f"has no field '{camel(column)}'" in message for message in places), (column, places)


@pytest.mark.slow
@pytest.mark.parametrize("mutation", sorted(TYPES))
async def test_what_is_absent_is_the_default_and_what_is_given_is_stored(
    client: Client, sql: asyncpg.Connection, mutation: str
) -> None:
    """In one batch: beside a row that gives everything, one that gives what is required has every default."""
    one = TYPES[mutation]
    rows = [await row_of(sql, one, n, whole=n == 1) for n in range(3 if one.is_fact else 2)]
    if one.is_fact:
        answer = await record(client, mutation, rows, "ids")
        assert (answer["__typename"], answer.get("inserted")) == ("Recorded", 3), answer
        made = answer["ids"]
    else:
        answers = [await write(client, mutation, **row) for row in rows]
        assert all(answer["__typename"] == "Recorded" for answer in answers), answers
        made = [id_ for answer in answers for id_ in answer["ids"]]
    assert len(set(made)) == len(rows)
    table = one.type.table.fullname
    key = f"concat_ws(':', {', '.join(one.type.key)})"
    bare, whole, *_ = [
        dict(await sql.fetchrow(f"SELECT * FROM {table} WHERE {key} = $1", id_.split(":", 1)[1])) for id_ in made
    ]
    defaults = await sql.fetch(
        "SELECT a.attname, pg_get_expr(d.adbin, d.adrelid) AS sql FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d "
        "ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 "
        "AND NOT a.attisdropped",
        table,
    )
    for name, default in defaults:
        field = one.by_column.get(name)
        if field is None or field.required or name in one.type.key:
            continue
        assert whole[name] is not None, name
        if default is None:
            assert bare[name] is None or (IS_PLATFORM and name in FILLED), name
        elif "now()" in default:
            assert bare[name] is not None
        else:
            assert bare[name] == await sql.fetchval(f"SELECT {default}"), name
    if actor := one.plan.declared.actor:
        assert bare[actor] == whole[actor] == "anonymous"

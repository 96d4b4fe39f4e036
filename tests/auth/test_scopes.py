"""What a caller may read: every type and column by every way in, in both executors, and nothing told beside it."""

from __future__ import annotations

import csv
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from db.base.markers import Group
from db.base.vocabulary import derived, entities, is_own, table_of
from schema.catalogue.catalogue import Type
from schema.catalogue.from_models import catalogue
from schema.catalogue.records import Missing
from schema.graph.inputs import reached, upper_snake
from schema.scopes import column_scope, expanded, read_scopes, reading, scopes_of, withholding
from schema.sql.aggregates import aggregated
from schema.sql.operators import filtered
from schema.sql.orders import sortable
from tests.support.callers import JWT, calling, token
from tests.support.client import Client, serving
from tests.support.databases import Database, connect
from tests.support.executors import EXECUTORS

GROUP_OF = {
    row["table"]: int(row["group"])
    for row in csv.DictReader((Path(__file__).parents[1] / "spec" / "platform_columns.csv").read_text().splitlines())
}
"""The group of each table, as the data dictionary has it."""

PATIENT_TABLES = {"PatientCohortAssignment"}
PATIENT_FIELDS = {
    "ShapAnalysis": {
        "entityId", "localShapValues", "predictionValue", "naturalLanguageExplanation", "keyDrivers",
        "actionableFeatures", "patientId", "hcpId", "predictionClass", "predictionProbability",
    },
    "Assignment": {"unitId", "stratificationKey", "assignmentHash"},
    "Enrollment": {"eligibilityCriteriaMet", "withdrawalReason", "protocolDeviations"},
}  # fmt: skip


def required(type_: Type) -> bool:
    return any(one.argument.required for one in type_.arguments.values())


LISTED = [type_ for type_ in catalogue() if type_.plural in catalogue().roots and not required(type_)]


@pytest.fixture(scope="module", params=EXECUTORS)
async def guarded(request: pytest.FixtureRequest, demo_database: Database) -> AsyncIterator[Client]:
    """The gateway over the demo data, with each of its executors, which asks who asks."""
    async with serving(demo_database.gateway_url, compiler=request.param, max_aliases=1000, **JWT) as client:
        yield client


@dataclass(frozen=True)
class Way:
    """A root field that must not be answered."""

    name: str
    text: str


def ways_to_type(type_: Type, ids: dict[str, str]) -> Iterator[Way]:
    """How rows of a type could be reached: their own roots, ids, and the relations of all other types."""
    if type_ in LISTED:
        yield Way("list", f"{type_.plural}(first: 1) {{ nodes {{ __typename }} }}")
        yield Way("ends", f"{type_.plural}(last: 1) {{ edges {{ cursor }} pageInfo {{ hasNextPage }} }}")
        yield Way("count", f"{type_.plural} {{ totalCount }}")
        yield Way("aggregate", f"{type_.plural} {{ aggregate {{ count }} }}")
    if type_.is_node and type_.name in ids:
        for what, id_ in (("there", ids[type_.name]), ("not", ids[type_.name][:-1] + "0")):
            yield Way(f"root_{what}", f'{type_.singular}(id: "{id_}") {{ __typename }}')
            yield Way(f"node_{what}", f'node(id: "{id_}") {{ __typename }}')
            yield Way(f"nodes_{what}", f'nodes(ids: ["{id_}"]) {{ id }}')
    for other in LISTED:
        for relation in reached(catalogue(), other):
            if relation.target == type_.name and other.name != type_.name:
                some = "{ some: {} }" if relation.many else "{}"
                yield Way(
                    f"where_{other.name}_{relation.name}",
                    f"{other.plural}(where: {{ {relation.name}: {some} }}) {{ totalCount }}",
                )
                field = next(leaf.name for leaf in type_.columns.values() if sortable(leaf))
                if not relation.many:
                    order = f"{{ {relation.name}: {{ field: {upper_snake(field)} }} }}"
                    yield Way(
                        f"order_{other.name}_{relation.name}",
                        f"{other.plural}(orderBy: [{order}], first: 1) {{ nodes {{ __typename }} }}",
                    )


def _any_value(type_: Type, column: str) -> str:
    return '"00000000-0000-4000-8000-000000000000"' if type_.column_kind(column).graphql == "UUID" else '"x"'


def ways_to_field(type_: Type, name: str, ids: dict[str, str]) -> Iterator[Way]:
    """How the values of a field could be reached, or told from what is answered."""
    leaf = type_.columns[name]
    plural = type_.plural
    yield Way("list", f"{plural}(first: 1) {{ nodes {{ {name} }} }}")
    yield Way("edges", f"{plural}(first: 1) {{ edges {{ node {{ {name} }} }} }}")
    yield Way("root", f'{type_.singular}(id: "{ids[type_.name]}") {{ {name} }}')
    yield Way("node", f'node(id: "{ids[type_.name]}") {{ ... on {type_.name} {{ {name} }} }}')
    yield Way("nodes", f'nodes(ids: ["{ids[type_.name]}"]) {{ ... on {type_.name} {{ {name} }} }}')
    for place, lookup in enumerate(catalogue().roots[type_.singular].lookups):
        if name in lookup:
            given = ", ".join(f"{one}: {_any_value(type_, column)}" for one, column in lookup.items())
            yield Way(f"lookup{place}", f"{type_.singular}({given}) {{ __typename }}")
    if filtered(leaf):
        test = f"{{ {name}: {{ isNull: true }} }}"
        for where in (test, f"{{ not: {test} }}", f"{{ or: [{test}] }}"):
            yield Way(f"where{len(where)}", f"{plural}(where: {where}) {{ totalCount }}")
        yield Way("where_aggregate", f"{plural}(where: {test}) {{ aggregate {{ count }} }}")
    if sortable(leaf):
        field = upper_snake(name)
        yield Way("order", f"{plural}(first: 1, orderBy: [{{ field: {field} }}]) {{ edges {{ cursor }} }}")
        yield Way("group", f"{plural} {{ aggregate(groupBy: [{{ field: {field} }}]) {{ count }} }}")
    if aggregated(leaf):
        yield Way("measure", f"{plural} {{ aggregate {{ {name} {{ min max count }} }} }}")
    yield from ways_through(type_, name)


def ways_through(type_: Type, name: str) -> Iterator[Way]:
    """The same by the filters and orders of other types."""
    leaf = type_.columns[name]
    for other in LISTED:
        for relation in reached(catalogue(), other):
            if relation.target != type_.name:
                continue
            if filtered(leaf):
                test = f"{{ {name}: {{ isNull: true }} }}"
                some = f"{{ some: {test} }}" if relation.many else test
                where = f"{{ {relation.name}: {some} }}"
                yield Way(f"where_{other.name}_{relation.name}", f"{other.plural}(where: {where}) {{ totalCount }}")
            if sortable(leaf) and not relation.many:
                order = f"{{ {relation.name}: {{ field: {upper_snake(name)} }} }}"
                text = f"{other.plural}(first: 1, orderBy: [{order}]) {{ nodes {{ __typename }} }}"
                yield Way(f"order_{other.name}_{relation.name}", text)


@pytest.fixture(scope="module")
async def ids(guarded: Client) -> dict[str, str]:
    """An id of each type that has rows."""
    everybody = calling(guarded, token("read", "patient"))
    found: dict[str, str] = {}
    nodes = [type_ for type_ in LISTED if type_.is_node]
    for start in range(0, len(nodes), 40):
        asked = " ".join(f"{type_.plural}(first: 1) {{ nodes {{ id }} }}" for type_ in nodes[start : start + 40])
        data = await everybody.data(f"{{ {asked} }}")
        for type_ in nodes[start : start + 40]:
            for row in data[type_.plural]["nodes"]:
                found[type_.name] = row["id"]
    return found


def leaves(value: Any) -> list[Any]:
    """The values in an answer that tell something."""
    if isinstance(value, dict):
        return [leaf for one in value.values() for leaf in leaves(one)]
    if isinstance(value, list):
        return [leaf for one in value for leaf in leaves(one)]
    return [] if value is None else [value]


async def refused(caller: Client, ways: list[Way], scope: str) -> None:
    """Every way is an error of its own that names the scope, and is answered by nothing."""
    for start in range(0, len(ways), 50):
        some = ways[start : start + 50]
        answer = await caller.ask("{" + "\n".join(f"w{place}: {way.text}" for place, way in enumerate(some)) + "}")
        codes: dict[str, set[tuple[str, str | None]]] = {}
        for error in answer["errors"]:
            assert "path" in error, error
            said = error["extensions"]
            codes.setdefault(error["path"][0], set()).add((said["code"], said.get("scope")))
        for place, way in enumerate(some):
            assert codes.get(f"w{place}") == {("FORBIDDEN_FIELD", scope)}, (way, codes.get(f"w{place}"))
            assert leaves(answer["data"][f"w{place}"]) == [], way


@pytest.mark.parametrize("name", PATIENT_FIELDS)
async def test_columns_of_patients(name: str, guarded: Client, ids: dict[str, str]) -> None:
    type_ = catalogue()[name]
    caller = calling(guarded, token("viewer"))
    for field in sorted(PATIENT_FIELDS[name]):
        await refused(caller, list(ways_to_field(type_, field, ids)), "patient")
    others = sorted(type_.columns.keys() - PATIENT_FIELDS[name] - {"id"})
    await caller.data(f"{{ {type_.plural}(first: 3) {{ totalCount nodes {{ id {' '.join(others)} }} }} }}")


@pytest.mark.parametrize("name", sorted(PATIENT_TABLES))
async def test_tables_of_patients(name: str, guarded: Client, ids: dict[str, str]) -> None:
    caller = calling(guarded, token("admin"))
    await refused(caller, list(ways_to_type(catalogue()[name], ids)), "patient")
    assert (await caller.ask("{ cohortDefinitions { nodes { patientAssignments { totalCount } } } }"))["errors"]


@pytest.mark.slow
@pytest.mark.parametrize("group", Group)
async def test_every_type_of_a_group_that_is_not_the_callers(
    group: Group, guarded: Client, ids: dict[str, str]
) -> None:
    scope = reading(group)
    caller = calling(guarded, token(*(read_scopes() - {scope})))
    withheld = [type_ for type_ in catalogue() if scope in scopes_of(type_.name)]
    assert withheld
    missing = withholding(Missing(), read_scopes() - {scope})
    for type_ in withheld:
        assert missing.table(type_), type_.name
        ways = [way for way in ways_to_type(type_, ids) if not _goes_through(way, withheld)]
        if ways:
            await refused(caller, ways, scope)
    others = [type_ for type_ in LISTED if type_ not in withheld]
    await no_relation_leads_there(caller, others, {type_.name for type_ in withheld}, scope)
    for start in range(0, len(others), 50):
        asked = " ".join(f"{type_.plural}(first: 1) {{ totalCount }}" for type_ in others[start : start + 50])
        assert await caller.data(f"{{ {asked} }}")


def _least(many: bool) -> str:  # noqa: FBT001
    return "{ totalCount }" if many else "{ __typename }"


async def no_relation_leads_there(caller: Client, others: list[Type], withheld: set[str], scope: str) -> None:
    asked = [
        f"{type_.plural}(first: 2) {{ nodes {{ {relation.name} {_least(relation.many)} }} }}"
        for type_ in others
        for relation in reached(catalogue(), type_)
        if relation.target in withheld
    ]
    if asked:
        answer = await caller.ask("{" + "\n".join(f"w{place}: {one}" for place, one in enumerate(asked)) + "}")
        assert leaves(answer["data"]) == []
        assert {(one["extensions"]["code"], one["extensions"]["scope"]) for one in answer["errors"]} == {
            ("FORBIDDEN_FIELD", scope)
        }


def _goes_through(way: Way, types: list[Type]) -> bool:
    return way.name.startswith(("where_", "order_")) and way.name.split("_")[1] in {type_.name for type_ in types}


def test_the_groups_are_those_of_the_data_dictionary() -> None:
    for type_ in catalogue():
        if type_.is_view or is_own(type_.table):
            continue
        own = reading(list(Group)[GROUP_OF[type_.sql_name] - 1])
        assert scopes_of(type_.name) == ((own, "patient") if type_.name in PATIENT_TABLES else (own,)), type_.name


def test_what_is_withheld_is_what_is_named_here() -> None:
    missing = withholding(Missing(), expanded(["read"]))
    columns = {
        (type_.name, leaf.name)
        for type_ in catalogue()
        for leaf in type_.columns.values()
        if missing.first(type_, leaf.columns) and type_.name not in PATIENT_TABLES
    }
    assert columns == {(name, field) for name, fields in PATIENT_FIELDS.items() for field in fields}
    assert {type_.name for type_ in catalogue() if missing.table(type_)} == PATIENT_TABLES


def test_a_caller_who_may_read_everything_shares_the_plans_of_those_whom_nobody_asks() -> None:
    lacks = Missing(tables=frozenset({"ml_experiments"}))
    assert withholding(lacks, read_scopes()) is lacks
    assert withholding(lacks, read_scopes() | {"change"}) is lacks
    for scope in read_scopes():
        assert withholding(lacks, read_scopes() - {scope}).database is lacks, scope


async def test_views_say_what_they_read(demo_database: Database) -> None:
    views = {type_.sql_name: type_.name for type_ in catalogue() if type_.is_view and type_.select is None}
    tables = {type_.sql_name: type_.name for type_ in catalogue() if type_.select is None}
    connection = await connect(demo_database.owner_url)
    rows = await connection.fetch("SELECT view_name, table_name FROM information_schema.view_table_usage")
    await connection.close()
    used = {(views[view], tables[table]) for view, table in rows if view in views}
    for name in views.values():
        declared = set(getattr(entities()[name], "__reads__", ()))
        read = {other for view, other in used if view == name}
        below = {other for view, other in used if view in read}  # of the views that it reads
        assert declared == (read | below) - views.keys() - set(views.values()), name


def named_in(sql: str) -> frozenset[str]:
    """The tables that SQL names, and such columns of theirs as need a scope of their own."""
    words = set(re.findall(r"[a-z_][a-z0-9_]*", sql))
    tables = [type_ for type_ in catalogue() if type_.table.name in words]
    columns = {
        f"{type_.sql_name}.{column.name}"
        for type_ in tables
        for column in type_.table.columns
        if column.name in words and column_scope(type_, column.name)
    }
    return frozenset({type_.sql_name for type_ in tables} | columns)


@pytest.mark.slow
def test_sql_of_the_models_reads_no_further_than_its_types_need() -> None:
    """Computed fields, relations and labels are SQL: what it reads must be among what the types around it need."""
    for type_ in catalogue():
        ends = {type_.name: scopes_of(type_.name)}
        texts = [(leaf.name, leaf.value, ends) for leaf in type_.columns.values()]
        texts += [
            (made.name, made.source + "".join(leaf.value for leaf in made.leaves.values()), ends)
            for made in type_.objects.values()
        ]
        texts += [
            (relation.name, relation.join.predicate, ends | {relation.target: scopes_of(relation.target)})
            for relation in type_.relations.values()
        ]
        texts += [("SELECT", type_.select, ends)] if type_.select else []
        for name, text, around in texts:
            known = {scope for scopes in around.values() for scope in scopes}
            read = [one for one in catalogue() if one.sql_name in named_in(text)]
            needed = {scope for one in read for scope in scopes_of(one.name)}
            assert needed <= known, (type_.name, name)
            if name not in PATIENT_FIELDS.get(type_.name, ()):
                assert not [one for one in named_in(text) if "." in one.removeprefix("ml.")], (type_.name, name)


def test_every_model_declares_its_group() -> None:
    """All but the gateway's own tables; where its file lies does not matter."""
    for entity in (*entities().values(), *derived().values()):
        assert (entity.__group__ is None) == is_own(table_of(entity)), entity.__name__

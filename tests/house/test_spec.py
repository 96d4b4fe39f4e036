"""The models against the data dictionary and the platform's columns, both ways; the SDL against the models."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLObjectType,
    GraphQLScalarType,
    get_nullable_type,
)
from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateColumn

from db.base.entity import camel
from db.base.vocabulary import Labels, derived, entities, is_own, table_of
from schema.catalogue.from_models import catalogue
from schema.schema import build

SPEC = Path(__file__).parents[1] / "spec"
CATALOG = json.loads((SPEC / "catalog.json").read_text())
DOCUMENT = (SPEC / "ml-pipeline-schema.md").read_text()
PLATFORM: dict[tuple[str, str], dict[str, str]] = {
    (row["table"], row["column"]): row
    for row in csv.DictReader((SPEC / "platform_columns.csv").read_text().splitlines())
}
DOCUMENTED: dict[str, dict[str, Any]] = {
    table["name"]: table for group in CATALOG["groups"] for table in group["tables"]
}
DIALECT = postgresql.dialect()

TYPES = {type_.sql_name: type_ for type_ in catalogue()}
TABLES = {name: type_ for name, type_ in TYPES.items() if not type_.is_view and not is_own(type_.table)}
LABELS = {
    (f"{cls.pg_schema}." if cls.pg_schema else "") + str(cls.pg_name): cls
    for cls in Labels.__subclasses__()
    if cls.pg_name
}
SYNONYMS = {"decimal": "numeric", "float": "double precision", "varchar": "character varying", "serial": "integer"}


def pg_type(column: Any) -> str:
    """The column's type in the words of the database, `character varying(255)`."""
    text = CreateColumn(column).compile(dialect=DIALECT).string.split(" ", 1)[1]
    text = re.sub(r" (DEFAULT|NOT NULL|GENERATED|COLLATE).*", "", text).strip()
    if text == "SERIAL":
        return "integer"
    if text.islower() or "." in text:
        return text
    text = text.lower().replace(", ", ",")
    text = re.sub(r"^varchar", "character varying", text)
    text = re.sub(r"^float$|^double$", "double precision", text)
    return {"timestamp": "timestamp without time zone"}.get(text, text)


def documented_type(text: str) -> str:
    """The document's type in the same words: `UUID PK` -> `uuid`, `DECIMAL(5,4)` -> `numeric(5,4)`."""
    text = re.sub(r" (PK|FK|UNIQUE|\(self\)).*", "", text)
    lower = text.lower()
    for word, meaning in SYNONYMS.items():
        lower = re.sub(rf"^{word}\b", meaning, lower)
    return {"timestamptz": "timestamp with time zone", "timestamp": "timestamp without time zone"}.get(lower, lower)


def test_the_tables_are_the_documented_ones() -> None:
    assert set(TABLES) == set(DOCUMENTED), "the models' tables are not those of tests/spec/catalog.json"


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_every_documented_column_is_there_with_its_type(name: str) -> None:
    table = TABLES[name].table
    for column in DOCUMENTED[name]["columns"]:
        ours = table.c[column["name"]]
        assert pg_type(ours) == documented_type(column["type"]), column["name"]
        assert ours.nullable == column["nullable"], column["name"]
        assert ours.primary_key == ("PK" in column["type"].split() or column["name"] in _composite_key(name))
        if "UNIQUE" in column["type"]:
            assert ours.unique, column["name"]
        if column["references"] and (target := column["references"].rsplit(".", 1))[0] in TABLES:
            assert {key.target_fullname for key in ours.foreign_keys} == {".".join(target)}, column["name"]


def _composite_key(name: str) -> list[str]:
    for constraint in DOCUMENTED[name].get("constraints") or []:
        if constraint.endswith("composite"):
            return re.findall(r"\w+", constraint.split(")")[0])
    return []


@pytest.mark.parametrize("name", sorted(TABLES))
def test_no_column_is_ours_alone(name: str) -> None:
    for column in TABLES[name].table.columns:
        theirs = PLATFORM.get((name, column.name))
        assert theirs is not None, (
            f"{name}.{column.name} is not one of the platform's: no line in tests/spec/platform_columns.csv"
        )
        assert pg_type(column) == theirs["platform_type"].lower().replace("ml.", "ml."), column.name
        assert column.nullable == (theirs["nullable"] == "yes"), column.name
        generated = column.server_default is not None or column.computed is not None or column.autoincrement is True
        assert generated == (theirs["has_default"] == "yes" or column.computed is not None), column.name


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_named_constraints(name: str) -> None:
    table = TABLES[name].table
    uniques = {
        frozenset(column.name for column in constraint.columns)
        for constraint in table.constraints
        if isinstance(constraint, UniqueConstraint)
    } | {frozenset(column.name for column in index.columns) for index in table.indexes if index.unique}
    checks = {constraint.name for constraint in table.constraints if isinstance(constraint, CheckConstraint)}
    for constraint in DOCUMENTED[name].get("constraints") or []:
        for columns in re.findall(r"UNIQUE\(([^)]*)\)", constraint):
            assert frozenset(re.split(r",\s*", columns)) in uniques, constraint
        for check in re.findall(r"(\w+) CHECK", constraint):
            assert check in checks, constraint
        if "self-dependencies" in constraint:
            assert "no_self_dependency" in checks
            assert frozenset({"consumer_tool_id", "producer_tool_id"}) in uniques
        if "one active instruction" in constraint:
            assert any(
                index.unique and index.dialect_options["postgresql"]["where"] is not None for index in table.indexes
            )


def test_documented_enums_and_those_named_without_definition() -> None:
    documented = {
        (f"ml.{name}" if group["n"] == 13 and not name.startswith("ml.") else name): labels
        for group in CATALOG["groups"]
        for name, labels in group["enums"].items()
    }
    for name, labels in documented.items():
        assert [member.value for member in LABELS[name]] == labels, name
    assert {"brand_type", "data_split_type", "agent_name_enum", "region_type", "workstream_type"} <= set(LABELS)


@pytest.mark.parametrize("name", sorted(CATALOG["view_columns"]))
def test_views_have_their_columns(name: str) -> None:
    columns = TYPES[name].table.columns
    expected = {column: re.sub(r"\s", "", type_) for column, type_ in CATALOG["view_columns"][name]}
    assert [column.name for column in columns] == list(expected)
    for column in columns:
        assert re.sub(r"\s", "", pg_type(column)) == expected[column.name], column.name


@pytest.mark.parametrize("type_", list(TYPES.values()), ids=lambda type_: type_.name)
def test_every_column_is_a_described_field(type_: Any) -> None:
    fields = build().graphql.type_map[type_.name].fields
    for column in type_.table.columns:
        name = type_.field_name(column.name)
        assert name in fields, name
        assert fields[name].description == type_.leaf(column.name).facts.described(column.comment)
        assert column.comment.endswith("."), f"{name}: {column.comment}"
    assert ("id" in fields) == type_.is_node
    assert ("rowVersion" in fields) == type_.is_node


def test_everything_in_the_schema_is_described() -> None:
    undescribed = []
    for name, type_ in build().graphql.type_map.items():
        if name.startswith("__"):
            continue
        if not type_.description and not isinstance(type_, GraphQLScalarType):
            undescribed.append(name)
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            for field_name, field in type_.fields.items():
                if not field.description:
                    undescribed.append(f"{name}.{field_name}")
                for argument, definition in getattr(field, "args", {}).items():
                    if not definition.description:
                        undescribed.append(f"{name}.{field_name}({argument}:)")
        if isinstance(type_, GraphQLEnumType):
            undescribed += [f"{name}.{member}" for member, value in type_.values.items() if not value.description]
    assert undescribed == []


def test_every_enum_is_reachable_from_the_graph() -> None:
    reachable = {type_.name for type_ in build().graphql.type_map.values() if isinstance(type_, GraphQLEnumType)}
    open_ended = {cls.__name__ for cls in LABELS.values() if cls.open_ended}
    assert {cls.__name__ for cls in LABELS.values()} - open_ended <= reachable


def test_thresholds_of_the_document_are_in_the_enum_members() -> None:
    """`excellent` (<10% error), `full` (100%), `light` (~500 calls): what stands in brackets stands in the member."""
    for line in DOCUMENT.splitlines():
        if not (match := re.match(r"\| `([\w.]+)` \| (.*) \|$", line)) or match[1] not in LABELS:
            continue
        labels = LABELS[match[1]]
        for label, threshold in re.findall(r"`(\w+)` \(([^)]*)\)", match[2]):
            numbers = re.findall(r"\d+(?:\.\d+)?", threshold)
            doc = labels(label).doc.replace(",", "")
            assert all(number in doc for number in numbers), f"{match[1]}.{label}: {threshold!r} not in {doc!r}"


def test_value_lists_of_text_columns_are_in_their_descriptions() -> None:
    """`global`, `local`, or `segment`: the values that the document lists for a text column."""
    for name, table in DOCUMENTED.items():
        for column in table["columns"]:
            if not re.match(r"(VARCHAR|TEXT)", column["type"]):
                continue
            values = re.findall(r"`(\w+)`", column["description"])
            comment = TABLES[name].table.c[column["name"]].comment or ""
            listed = column["description"].split("(")[0]
            if re.search(r"\w+, (\w+, )*or \w+|\w+, \w+, \w+", listed):
                values += [
                    word for word in re.split(r",\s*(?:or\s+)?|\s+or\s+", listed) if re.fullmatch(r"[\w]+", word)
                ]
            for value in values:
                assert value.lower() in comment.lower(), f"{name}.{column['name']}: {value} not in {comment!r}"


def test_relations_of_the_document_have_fields_both_ways() -> None:
    for name, table in DOCUMENTED.items():
        for column in table["columns"]:
            if not column["references"] or column["references"].rsplit(".", 1)[0] not in TABLES:
                continue
            here, there = TABLES[name], TABLES[column["references"].rsplit(".", 1)[0]]
            forward = [r for r in here.relations.values() if r.join.local_columns == (column["name"],)]
            backward = [r for r in there.relations.values() if r.join.remote_columns == (column["name"],)]
            assert any(r.target == there.name and not r.many for r in forward), f"{name}.{column['name']}"
            assert any(r.target == here.name for r in backward), f"{there.name} <- {name}.{column['name']}"


def test_every_relation_has_a_way_back() -> None:
    one_way = [
        f"{type_.name}.{relation.name}"
        for type_ in catalogue()
        for relation in type_.relations.values()
        if type_.is_node
        and not any(back.target == type_.name for back in catalogue()[relation.target].relations.values())
    ]
    assert one_way == []


def test_names_of_the_contract() -> None:
    types = {type_.table.name: type_.name for type_ in catalogue()}
    assert types["ml_experiments"] == "Experiment"
    assert types["ml_bentoml_services"] == "BentoService"
    assert types["ab_fidelity_comparisons"] == "FidelityComparison"
    assert camel("p99_latency_ms") == "p99LatencyMs"
    assert len({type_.plural for type_ in catalogue()}) == len(entities()) + len(derived())
    assert all(table_of(entity).comment for entity in entities().values())


def test_every_list_argument_says_its_cap() -> None:
    uncapped = []
    for name, type_ in build().graphql.type_map.items():
        if name.startswith("__") or not isinstance(type_, GraphQLObjectType | GraphQLInputObjectType):
            continue
        taken = (
            {name: type_.fields}
            if isinstance(type_, GraphQLInputObjectType)
            else {f"{name}.{field}": one.args for field, one in type_.fields.items()}
        )
        for where, inputs in taken.items():
            for argument, one in inputs.items():
                said = one.description or ""
                if isinstance(get_nullable_type(one.type), GraphQLList) and not re.search(r"at most|exactly \d", said):
                    uncapped.append(f"{where}.{argument}")
    assert uncapped == []

"""Facts of columns: all were looked at, the words are the dictionary's and the demo's, clients can read them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from db.base.column_facts import Holds, Unit, column_facts
from db.base.lifecycles import lifecycles
from db.base.vocabulary import Labels
from schema.catalogue.catalogue import ColumnField, Type
from schema.catalogue.from_models import catalogue
from schema.schema import build
from tests.support.client import Client
from tests.support.databases import Database, connect

ROOT = Path(__file__).parents[2]
NUMBERS = {"integer", "bigint", "numeric", "double", "integer[]"}
SAID_BY_TYPE = {"uuid", "uuid[]", "boolean", "time", "date", "vector", "enum", "enum[]"}


def leaves() -> Iterator[tuple[str, Type, ColumnField]]:
    """Every leaf of the graph with its place: columns, SQL fields, parts of objects."""
    for type_ in catalogue():
        for leaf in type_.columns.values():
            if leaf.is_own:
                yield f"{type_.name}.{leaf.name}", type_, leaf
        for made in type_.objects.values():
            for leaf in made.leaves.values():
                yield f"{type_.name}.{made.name}.{leaf.name}", type_, leaf


def test_every_column_was_looked_at() -> None:
    """No default hides one: a number without a unit, or a text or document that does not say what it holds, fails."""
    seen = 0
    for place, _, leaf in leaves():
        facts, kind = leaf.facts, leaf.kind.name
        seen += 1
        if kind in NUMBERS:
            assert facts.unit, f"{place} has no unit"
            assert facts.holds is None, place
            continue
        assert facts.unit is None, f"{place} is no number"
        if kind in SAID_BY_TYPE:
            assert facts.holds is None, f"{place}: its type says what it is"
        else:
            assert kind in {"text", "text[]", "json"}, place
            allowed = {Holds.PROSE, Holds.DATA} if kind == "json" else set(Holds) - {Holds.DATA}
            assert facts.holds in allowed, f"{place} does not say what it holds"
            assert bool(facts.values) == (facts.holds in {Holds.VOCABULARY, Holds.STATE}), place
    assert seen > 1200


def test_words_are_not_said_beside_something_else() -> None:
    with pytest.raises(ValueError, match="holds them, not"):
        column_facts(holds=Holds.PROSE, values=("a",))


def test_what_looks_alike_has_units_of_its_own() -> None:
    types = catalogue()
    assert types["Deployment"].columns["errorRate"].facts.unit is Unit.FRACTION
    assert types["ServingMetric"].columns["errorRate"].facts.unit is Unit.PERCENT
    assert types["BentoService"].objects["metricsSummary"].leaves["errorRate"].facts.unit is Unit.PERCENT
    assert types["FeatureFreshness"].columns["nullRate"].facts.unit is Unit.PERCENT
    assert types["TwinFidelity"].columns["predictionError"].facts.unit is Unit.FRACTION
    assert types["FidelityComparison"].columns["predictionError"].facts.unit is Unit.ROW_SCALE


def test_units_are_those_that_names_say() -> None:
    endings = {
        "_ms": Unit.MILLISECONDS, "_seconds": Unit.SECONDS, "_days": Unit.DAYS, "_mb": Unit.MEGABYTES,
        "_percent": Unit.PERCENT, "_pct": Unit.PERCENT, "_tokens": Unit.TOKENS, "_weeks": Unit.WEEKS,
        "_months": Unit.MONTHS, "_years": Unit.YEARS, "p_value": Unit.FRACTION, "_roi": Unit.MULTIPLE,
    }  # fmt: skip
    found = 0
    for place, type_, leaf in leaves():
        name = leaf.columns[0] if leaf.columns and leaf.columns[0] in type_.table.c else ""
        for unit in (unit for ending, unit in endings.items() if name.endswith(ending) and leaf.kind.name in NUMBERS):
            assert leaf.facts.unit is unit, place
            found += 1
    assert found > 80


LISTED = re.compile(r"^(?:[A-Z][\w ]*: )?`?(\w+)`?((?:, `?\w+`?)*),?(?: or `?(\w+)`?)?$")


def test_vocabularies_are_those_of_the_dictionary() -> None:
    """What the data dictionary lists of a text column, the column declares, in words of the same case."""
    documented = json.loads((ROOT / "tests" / "spec" / "catalog.json").read_text())
    types = {type_.table.name: type_ for type_ in catalogue() if not type_.is_derived}
    found = 0
    for group in documented["groups"]:
        for table in group["tables"]:
            for column in table["columns"]:
                text = column["description"]
                listed = LISTED.match(text)
                if not re.match("VARCHAR|TEXT$", column["type"]) or not listed or not (listed[2] or listed[3]):
                    continue
                words = set(re.findall(r"\w+", text.split(": ")[-1])) - {"or"}
                if words == {"obrien_fleming", "other"}:
                    continue  # what `other` stands for is open
                name = table["name"].split(".")[-1]
                facts = types[name].leaf(column["name"]).facts
                assert words <= set(facts.values), f"{name}.{column['name']} lacks {words - set(facts.values)}"
                found += 1
    assert found > 25


def test_vocabularies_have_the_words_that_mutations_write() -> None:
    found = 0
    for lifecycle in lifecycles():
        type_ = catalogue()[lifecycle.entity]
        for change in lifecycle.changes:
            for name, given in change.given.items():
                words = given.type if isinstance(given.type, type) and issubclass(given.type, Labels) else None
                if words and given.stored and type_.leaf(name).kind.graphql == "String":
                    assert set(type_.leaf(name).facts.values) == {one.value for one in words}, name
                    found += 1
    assert found


async def test_the_demo_has_no_word_outside_of_a_vocabulary(demo_database: Database) -> None:
    connection: asyncpg.Connection = await connect(demo_database.admin_url)
    try:
        looked = 0
        for place, type_, leaf in leaves():
            if leaf.facts.values and not type_.is_view:
                value = leaf.value.replace("{row}", "r")
                found = await connection.fetch(f"SELECT DISTINCT {value} FROM {type_.sql_name} AS r")
                words = {row[0] for row in found} - {None}
                assert words <= set(leaf.facts.values), place
                looked += bool(words)
        assert looked > 35
    finally:
        await connection.close()


async def test_clients_read_units_and_words_in_descriptions(demo: Client) -> None:
    """Introspection shows no directives, so descriptions say both, of fields and of filters."""
    asked = "{ t: __type(name: %s) { fields { name description } inputFields { name description } } }"
    for place, _, leaf in leaves():
        if place.count(".") == 1 and leaf.facts.unit and leaf.facts.unit.words:
            assert re.search(f"{leaf.facts.unit.said}|{re.escape(leaf.facts.unit.words)}", leaf.description), place
        assert all(word in leaf.description for word in leaf.facts.values), place
    answer = await demo.data(asked % '"TwinSimulation"')
    said = {field["name"]: field["description"] for field in answer["t"]["fields"]}
    assert said["simulatedCiLower"].endswith("On the scale of what is measured.")
    answer = await demo.data(asked % '"BentoServiceWhere"')
    said = {field["name"]: field["description"] for field in answer["t"]["inputFields"]}
    assert "unavailable" in said["healthStatus"]


def test_the_sdl_has_them() -> None:
    sdl = build().as_str()
    deployment = sdl[sdl.index("\ntype Deployment ") :]
    assert re.search(r"  errorRate: Float @fact\(unit: FRACTION", deployment)
    assert re.search(
        r'  environment: String @fact\(holds: VOCABULARY, values: \["development", "staging", "production"\]',
        deployment,
    )
    assert '@fact(aliases: ["release", "rollout"])' in deployment.split("{")[0]

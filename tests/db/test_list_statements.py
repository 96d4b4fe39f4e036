"""Which lists are explained to say what an index is missing for."""

from __future__ import annotations

from db.attach.facts import Facts
from schema.catalogue.from_models import catalogue
from schema.catalogue.records import Missing
from schema.sql import list_statements
from schema.sql.indexes import Indexes
from schema.sql.lists import Lists


def test_only_tables_that_are_there_are_explained() -> None:
    lacking = Lists(catalogue(), Missing(frozenset({"ml_experiments"})), Indexes(Facts()))
    tables = {type_.name for type_ in list_statements.tables(lacking)}
    assert {"Model", "Deployment"} <= tables
    assert tables.isdisjoint({type_.name for type_ in catalogue() if type_.is_view} | {"Experiment"})
    related = [(parent.name, relation) for parent, relation in list_statements.relations(lacking)]
    assert {relation.target for _, relation in related} <= tables
    assert ("Model", "deployments") in {(parent, relation.name) for parent, relation in related}
    assert "experiment" not in {relation.name for parent, relation in related if parent == "Model"}

"""Which conditions of a filter an index may serve: a count looks at some of the rows for the others."""

from __future__ import annotations

from typing import Any

import pytest

from db.attach.facts import Facts, Index, IndexColumn
from schema.catalogue.from_models import catalogue
from schema.sql.indexes import Indexes
from schema.sql.served import divided

METRICS = catalogue()["ServingMetric"]
OF_SERVICE = Index("of_service", (IndexColumn("service_id"), IndexColumn("recorded_at")))
SERVICE, TIME, SLOW = {"serviceId": {"eq": 1}}, {"recordedAt": {"gte": 1}}, {"p99LatencyMs": {"gt": 1}}


def served(where: dict[str, Any], *indexes: Index, equal: tuple[str, ...] = ()) -> tuple[Any, Any]:
    return divided(Indexes(Facts(indexes={METRICS.sql_name: indexes or (OF_SERVICE,)})), METRICS, where, equal)


def test_conditions_are_served_up_to_the_first_column_without_one() -> None:
    assert served(SERVICE | TIME | SLOW) == (SERVICE | TIME, SLOW)
    assert served(TIME | SLOW) == ({}, TIME | SLOW)
    after_a_range = {"serviceId": {"gt": 1}}
    assert served(after_a_range | TIME) == (after_a_range, TIME)


def test_columns_of_the_parent_are_served() -> None:
    assert served(TIME | SLOW, equal=("service_id",)) == (TIME, SLOW)


def test_each_operator_stands_for_itself() -> None:
    two = {"serviceId": {"eq": 1, "ne": 2}}
    assert served(two) == (SERVICE, {"serviceId": {"ne": 2}})


def test_conditions_keep_their_places() -> None:
    where = {"and": [SLOW, SERVICE | SLOW, {"and": [TIME]}]}
    assert served(where) == ({"and": [{}, SERVICE, {"and": [TIME]}]}, {"and": [SLOW, SLOW, {"and": [{}]}]})


@pytest.mark.parametrize(
    ("where", "is_served"),
    [
        ({"or": [SERVICE, SERVICE | SLOW]}, True),
        ({"or": [SERVICE, SLOW]}, False),
        ({"not": SERVICE}, False),
        ({"service": {"serviceName": {"eq": "a"}}}, True),
    ],
)
def test_alternatives_are_served_if_each_is_and_relations_by_their_columns(
    where: dict[str, Any], *, is_served: bool
) -> None:
    assert served(where) == ((where, {}) if is_served else ({}, where))


def test_columns_of_other_indexes_and_of_their_predicates_may_be_served() -> None:
    part = Index("part", (IndexColumn("recorded_at"),), predicate="(p99_latency_ms > 1000)")
    brin = Index("brin", (IndexColumn("error_rate"),), method="brin")
    assert served(SLOW | {"errorRate": {"gt": 1}}, part, brin) == (SLOW | {"errorRate": {"gt": 1}}, {})
    assert served({"service": {"serviceName": {"eq": "a"}}}, brin) == ({}, {"service": {"serviceName": {"eq": "a"}}})


def test_views_are_counted_whole() -> None:
    view = catalogue()["ModelHealth"]
    where = {"healthStatus": {"eq": "critical"}}
    assert divided(Indexes(Facts()), view, where, ()) == (where, {})

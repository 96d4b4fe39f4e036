"""What is noted of rows before any SQL, each condition and one step beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from db.attach.facts import Facts, Index, IndexColumn, StoredColumn
from schema.catalogue.from_models import catalogue
from schema.catalogue.records import Missing
from schema.error_codes import RowCode
from schema.recording.problems import RowsError, UnwritableError
from schema.recording.record_types import record_types
from schema.recording.row_values import ABSENT, RowValues


def values(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, StoredColumn] | None = None,
    *,
    conflict: str = "ERROR",
    seed: str | None = None,
    missing: Missing | None = None,
    indexes: Sequence[Index] = (),
    partitioned: tuple[str, ...] = (),
) -> RowValues:
    """Rows of a type on a database with these facts of its table."""
    type_ = record_types()[name]
    table = type_.type.sql_name
    facts = Facts(
        columns={table: columns} if columns is not None else {},
        indexes={table: tuple(indexes)},
        partitioned={table: partitioned} if partitioned else {},
    )
    return RowValues(type_, rows, conflict, catalogue(), missing or Missing(), facts, {}, seed)


def noted(one: RowValues) -> list[tuple[str, int, tuple[str, ...]]]:
    return [(found.code.name, found.row, found.fields) for found in one.violations]


def unique(*columns: str, predicate: str | None = None, is_unique: bool = True) -> Index:
    return Index("one", tuple(map(IndexColumn, columns)), unique=is_unique, predicate=predicate)


NOT_NULL, TEXT = StoredColumn("double precision", not_null=True), StoredColumn("text")


async def test_a_null_is_noted_once_in_each_row_and_field() -> None:
    """Fields that the database demands, of which rows give a value, null, or nothing."""
    rows = [{"cpuPercent": 1.0, "memoryMb": 2.0}, {"cpuPercent": None, "memoryMb": None}, {"cpuPercent": None}, {}]
    one = values("ServingMetric", rows, {"cpu_percent": NOT_NULL, "memory_mb": NOT_NULL})
    await one.read_values()
    one.check_nulls()
    nulls = [(1, "cpuPercent"), (1, "memoryMb"), (2, "cpuPercent")]
    assert sorted(noted(one)) == [("VALUE_MISSING", row, (name,)) for row, name in nulls]
    one.check_demanded()
    every = [*nulls, (2, "memoryMb"), (3, "cpuPercent"), (3, "memoryMb")]
    assert sorted(noted(one)) == [("VALUE_MISSING", row, (name,)) for row, name in every], "each is noted, and once"
    one.note(RowCode.INVALID_VALUE, 0, "is odd")
    with pytest.raises(RowsError) as raised:
        one.raise_violations()
    assert [found.row for found in raised.value.found] == [0, 1, 1, 2, 2, 3, 3]
    assert [found.message for found in raised.value.found[:1]] == ["is odd"]
    assert all(found.message == f"{found.fields[0]} needs a value in this database" for found in one.violations[:-1])


async def test_nothing_is_noted_where_nothing_is_demanded() -> None:
    rows = [{"cpuPercent": None}, {}]
    for fact in (
        StoredColumn("double precision"),
        StoredColumn("double precision", not_null=True, generated=True),
    ):
        one = values("ServingMetric", [{}, {}] if fact.generated else rows, {"cpu_percent": fact})
        await one.read_values()
        one.check_nulls()
        one.check_demanded()
        one.raise_violations()
    filled = values("ServingMetric", rows, {"cpu_percent": StoredColumn("real", not_null=True, has_default=True)})
    await filled.read_values()
    filled.check_demanded()
    assert noted(filled) == [("VALUE_MISSING", 0, ("cpuPercent",))], "a default fills what is left out, not a null"


async def test_columns_that_the_database_lacks_or_computes_are_refused() -> None:
    computed = values("ServingMetric", [{"cpuPercent": 1.0}], {"cpu_percent": StoredColumn("real", generated=True)})
    with pytest.raises(UnwritableError, match="cpuPercent: the connected database computes it"):
        await computed.read_values()
    lacking = Missing(columns=frozenset({("ml_bentoml_serving_metrics", "cpu_percent")}))
    with pytest.raises(UnwritableError, match="cpuPercent: the connected database has no such column"):
        await values("ServingMetric", [{"cpuPercent": 1.0}], missing=lacking).read_values()
    other = values("ServingMetric", [{"memoryMb": 1.0}], missing=lacking)
    await other.read_values()
    assert other.values == {"memory_mb": [1.0]}


async def test_values_are_kept_as_they_are_given() -> None:
    one = values("ServingMetric", [{"cpuPercent": 1.0, "errorTypes": {"a": 1}}, {"errorTypes": None}, {}])
    await one.read_values()
    assert one.values == {"cpu_percent": [1.0, ABSENT, ABSENT], "error_types": ['{"a":1}', None, ABSENT]}
    assert one.partial == {"cpu_percent", "error_types"}
    one.fill({"error_types": "{}"})
    assert one.values["error_types"] == ["{}"] * 3
    assert one.partial == {"cpu_percent"}


LENGTHS = {"feature_name": StoredColumn("character varying(3)"), "global_importance": StoredColumn("numeric(5,4)")}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"featureName": "abc"}, None),
        ({"featureName": "abcd"}, "featureName has 4 characters; at most 3 are kept"),
        ({"featureName": ""}, None),
        ({"featureName": "a\x00"}, "featureName contains NUL, which text in Postgres cannot hold"),
        ({"globalImportance": 9.9999}, None),
        ({"globalImportance": -9.9999}, None),
        ({"globalImportance": 10}, "globalImportance is too large: the column has 1 digit before the point"),
        ({"globalImportance": -10.0}, "globalImportance is too large: the column has 1 digit before the point"),
        ({"globalImportance": 9.999995}, "globalImportance is too large: the column has 1 digit before the point"),
        ({"sourceTables": ["\x00"]}, "sourceTables contains NUL, which text in Postgres cannot hold"),
        ({"sourceTables": ["\\u0000"]}, None),
    ],
)
async def test_bounds_of_values(given: Mapping[str, Any], problem: str | None) -> None:
    one = values("Feature", [{}, given], LENGTHS)
    await one.read_values()
    assert [found.message for found in one.violations] == ([problem] if problem else [])
    assert [(found.code, found.row) for found in one.violations] == [(RowCode.INVALID_VALUE, 1)] * bool(problem)


async def test_bounds_are_the_models_where_the_database_says_none() -> None:
    for length, wrong in ((255, []), (256, ["featureName has 256 characters; at most 255 are kept"])):
        one = values("Feature", [{"featureName": "x" * length}])
        await one.read_values()
        assert [found.message for found in one.violations] == wrong


async def test_what_names_a_row_is_no_null() -> None:
    one = values("ObservabilitySpan", [{"traceId": "a", "spanId": None}, {"traceId": None}, {"traceId": "b"}])
    await one.read_values()
    assert noted(one) == [("VALUE_MISSING", 1, ("traceId",)), ("VALUE_MISSING", 0, ("spanId",))]
    assert one.violations[0].message == "traceId is null, and it is part of what names the row"


async def test_rows_begin_in_the_states_of_their_type() -> None:
    one = values("TrainingRun", [{"status": "running"}, {"status": "paused"}, {"status": None}])
    await one.read_values()
    (found,) = one.violations
    assert (found.row, found.code, found.fields) == (1, RowCode.INVALID_VALUE, ("status",))
    assert "it may be RUNNING, COMPLETED, FINISHED, FAILED" in found.message


def demand(name: str, columns: Mapping[str, StoredColumn], **how: Any) -> None:
    values(name, [{}], columns, **how).check_database()


def test_a_required_column_that_nobody_fills_closes_the_type() -> None:
    known = {"id": StoredColumn("uuid", not_null=True), "cpu_percent": NOT_NULL}
    demand("ServingMetric", known)
    for fact in (StoredColumn("text"), StoredColumn("text", not_null=True, has_default=True),
                 StoredColumn("text", not_null=True, generated=True)):  # fmt: skip
        demand("ServingMetric", {**known, "cost_centre": fact})
    with pytest.raises(UnwritableError, match="requires a value in cost_centre, which the gateway does not fill"):
        demand("ServingMetric", {**known, "cost_centre": StoredColumn("text", not_null=True)})
    with pytest.raises(UnwritableError, match="has no table ml_bentoml_serving_metrics"):
        demand("ServingMetric", known, missing=Missing(tables=frozenset({"ml_bentoml_serving_metrics"})))


NAMED = ("feature_name", "feature_version")


@pytest.mark.parametrize(
    ("indexes", "partitioned", "arbiter"),
    [
        ([unique(*NAMED)], (), NAMED),
        ([unique(*reversed(NAMED))], (), NAMED),
        ([unique(*NAMED, is_unique=False)], (), None),
        ([unique(*NAMED, predicate="is_active")], (), None),
        ([unique("feature_name")], (), None),
        ([unique(*NAMED, "created_at")], (), None),
        ([unique(*NAMED, "created_at")], ("created_at",), (*NAMED, "created_at")),
        ([unique("id"), unique(*NAMED)], ("created_at",), NAMED),
        ([], (), None),
    ],
)
def test_conflicts_need_a_unique_index_over_the_key(
    indexes: Sequence[Index], partitioned: tuple[str, ...], arbiter: tuple[str, ...] | None
) -> None:
    for conflict in ("KEEP", "UPDATE"):
        one = values("Feature", [{}], {}, conflict=conflict, indexes=indexes, partitioned=partitioned)
        if arbiter is None:
            with pytest.raises(UnwritableError, match=f"{conflict} needs a unique index over featureName and feature"):
                one.check_database()
        else:
            one.check_database()
            assert one.arbiter() == arbiter
    assert values("Feature", [{}], {}, indexes=indexes, partitioned=partitioned).arbiter() == ()


def test_ids_that_are_derived_conflict_by_themselves() -> None:
    one = values("ServingMetric", [{}], {}, indexes=[])
    one.derived = True
    assert one.arbiter() == ("id",)
    for indexes, found in (([unique("id")], ("id",)), ([unique("id", "recorded_at")], ("id", "recorded_at")), ([], ())):
        one = values("ServingMetric", [{}], {}, indexes=indexes, partitioned=("recorded_at",))
        one.derived = True
        assert one.arbiter() == found


def test_rows_that_never_change_are_not_updated() -> None:
    demand("DataQualityReport", {}, conflict="KEEP")
    with pytest.raises(UnwritableError, match="a DataQualityReport is not changed once it is there"):
        demand("DataQualityReport", {}, conflict="UPDATE")
    demand("ServingMetric", {}, conflict="UPDATE")


IDS = [f"00000000-0000-4000-8000-00000000000{digit}" for digit in range(3)]


@pytest.mark.parametrize(
    ("rows", "how", "made"),
    [
        ([{"id": IDS[0]}, {"id": IDS[1]}], {}, (False, False, False)),
        ([{"id": IDS[0]}, {}], {}, (True, False, False)),
        ([{"id": IDS[0]}, {"id": None}], {}, (True, False, False)),
        ([{}, {}], {}, (True, True, False)),
        ([{}, {}], {"seed": "s"}, (True, True, True)),
        ([{"id": IDS[0]}, {}], {"seed": "s"}, (True, False, True)),
    ],
)
async def test_rows_without_an_id_get_one(rows: Any, how: Any, made: tuple[bool, bool, bool]) -> None:
    one = values("ServingMetric", [{"cpuPercent": 1.0, **row} for row in rows], **how)
    await one.read_values()
    await one.make_ids()
    assert (one.made, one.all_made, one.derived) == made
    ids = one.values["id"]
    assert len(set(ids)) == len(rows)
    assert [new for new, row in zip(ids, rows, strict=True) if row.get("id")] == [
        row["id"] for row in rows if row.get("id")
    ]
    assert {len(new) for new in ids} == {36}
    assert "id" not in one.partial


async def test_ids_of_a_type_with_a_natural_key_are_not_derived() -> None:
    one = values("Feature", [{"featureName": "a"}], seed="s")
    await one.read_values()
    await one.make_ids()
    assert (one.made, one.derived) == (True, False)


async def test_the_database_makes_ids_that_nobody_reads() -> None:
    default, none = StoredColumn("uuid", has_default=True), StoredColumn("uuid")
    for fact, rows, how, left in (
        (default, [{}], {}, True),
        (none, [{}], {}, False),
        (default, [{}, {"id": IDS[0]}], {}, False),
        (default, [{}], {"seed": "s"}, False),
        (default, [{}], {"conflict": "KEEP"}, False),
    ):
        one = values("ServingMetric", rows, {"id": fact}, **how)
        one.wants_ids = False
        await one.read_values()
        await one.make_ids()
        assert one.made is not left
        assert ("id" not in one.values) is left
    read = values("ServingMetric", [{}], {"id": default})
    await read.make_ids()
    assert read.made


def test_defaults_are_the_databases_or_else_the_models() -> None:
    assert values("ServingMetric", []).has_default("id")
    assert not values("ServingMetric", []).has_default("cpu_percent")
    assert not values("ServingMetric", [], {"id": StoredColumn("uuid")}).has_default("id")
    assert not values("ServingMetric", [], {}).has_default("id")


async def test_conflicts_need_what_names_the_rows() -> None:
    rows = [{"featureName": "a", "featureVersion": "1"}, {"featureName": None, "featureVersion": "1"},
            {"featureName": "b"}]  # fmt: skip
    for conflict, found in (("ERROR", []), ("KEEP", [(1, ("featureName",)), (2, ("featureVersion",))])):
        one = values("Feature", rows, conflict=conflict)
        await one.read_values()
        one.check_named()
        assert sorted((each.row, each.fields) for each in one.violations) == found
        assert {each.message for each in one.violations} <= {
            f"{name} is needed for onConflict: {conflict}" for name in ("featureName", "featureVersion")
        }


async def test_rows_with_the_key_of_an_earlier_one() -> None:
    rows = [{"featureName": "a", "featureVersion": "1"}, {"featureName": "b", "featureVersion": "1"},
            {"featureName": "a", "featureVersion": "2"}, {"featureName": "a", "featureVersion": "1"},
            {"featureName": None, "featureVersion": "1"}, {"featureName": None, "featureVersion": "1"},
            {"featureVersion": "1"}, {"featureVersion": "1"},
            {"featureName": "a", "featureVersion": "1"}]  # fmt: skip
    one = values("Feature", rows)
    await one.read_values()
    one.check_duplicates()
    assert noted(one) == [("DUPLICATE", 3, ("featureName",)), ("DUPLICATE", 8, ("featureName",))]
    assert one.violations[0].message == "featureName has the same featureName and featureVersion as row 0"
    same = values("Feature", [{"id": IDS[0], "featureName": "a"}, {"id": IDS[0], "featureName": "b"}])
    await same.read_values()
    same.check_duplicates()
    assert [found.message for found in same.violations] == ["id has the same id as row 0"]

"""The price of a walk follows from how many rows each table has, and how many of them refer to another."""

from __future__ import annotations

import pytest

from db.attach.facts import Facts
from gateway.operations.row_estimates import RowEstimates
from schema.catalogue.from_models import catalogue
from schema.lineage.expected import LOOK, NEIGHBOUR, ExpectedWalk, expected
from schema.lineage.walk import DOWNSTREAM, UPSTREAM, WalkParameters

START = "Model:00000000-0000-0000-0000-000000000001"
ROWS = {"ml_model_registry": 100, "ml_experiments": 10, "ml_drift_history": 2_000, "ml_performance_metrics": 500}
REFERENCES = {
    "ml_model_registry": {"mlflow_run_id": 1.0},
    "ml_drift_history": {"experiment_id": 1.0, "deployment_id": 1.0, "feature_name": 1.0},
    "ml_performance_metrics": {"experiment_id": 1.0, "deployment_id": 1.0},
}
"""The shares without a value: rows refer to models alone."""


def walked(rows: dict[str, int], nulls: dict[str, dict[str, float]] | None = None, **limits: object) -> ExpectedWalk:
    """What a walk from a model is expected to read in tables of these sizes."""
    asked = WalkParameters(**{"starts": [START], "max_depth": 1} | limits)  # type: ignore[arg-type]
    return expected(catalogue(), RowEstimates(catalogue(), Facts(rows=rows, nulls=nulls or REFERENCES)), asked)


def test_a_node_has_as_many_neighbours_as_there_are_for_each_of_its_type() -> None:
    found = walked(ROWS)
    assert found.nodes == 1 + 1 + 20 + 5  # an experiment, drift records, metrics
    assert found.points >= (1 + 20 + 5) * NEIGHBOUR


def test_limits_of_the_walk_hold() -> None:
    assert walked(ROWS, per_node=10).nodes == 1 + 1 + 10 + 5
    assert walked(ROWS, max_nodes=7).nodes == 7
    assert walked(ROWS, max_depth=0).nodes == 1
    grown = ROWS | {"ml_drift_history": 2_000_000}
    assert walked(grown, per_node=10) == walked(grown | {"ml_drift_history": 200_000_000}, per_node=10)


def test_rows_without_a_reference_lead_nowhere() -> None:
    whole = walked(ROWS)
    without = {**REFERENCES, "ml_drift_history": {**REFERENCES["ml_drift_history"], "model_id": 1.0}}
    assert whole.nodes - walked(ROWS, without).nodes == 20
    half = {**REFERENCES, "ml_drift_history": {**REFERENCES["ml_drift_history"], "model_id": 0.5}}
    assert whole.nodes - walked(ROWS, half).nodes == 10


def test_a_neighbour_leads_back_and_the_row_that_it_came_from_is_read_but_not_found_again() -> None:
    rows = {name: count for name, count in ROWS.items() if name != "ml_experiments"}
    starts, whole = walked(rows, max_depth=0), walked(rows, max_depth=1)
    assert whole.nodes == walked(rows, max_depth=5).nodes == 1 + 20 + 5
    assert whole.points - starts.points >= 25 * (LOOK + NEIGHBOUR)  # the model of each
    assert whole.points == walked(rows, max_depth=5).points


def test_the_experiment_leads_to_its_other_models() -> None:
    assert walked(ROWS, max_depth=2).nodes == walked(ROWS).nodes + 100 // 10 - 1


def test_only_edges_that_are_asked_for_are_walked() -> None:
    assert walked(ROWS, direction=UPSTREAM).nodes + walked(ROWS, direction=DOWNSTREAM).nodes == walked(ROWS).nodes + 1


@pytest.mark.parametrize("start", ["", "Model", "Nothing:1", "nonsense"])
def test_ids_that_are_refused_later_have_a_price(start: str) -> None:
    assert walked(ROWS, starts=[start]).nodes <= 27

"""Optuna studies and their trials."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from db.demo.mlops import SPACE, sampled
from db.demo.world import Case, Document, World, seconds
from db.models.g06_hpo_studies import HpoStudy, HpoTrial


@dataclass
class StudyCase:
    """A finished study: its best trial and the values of all completed trials."""

    name: str
    best: int
    best_value: Decimal
    best_params: Document
    trials: dict[int, tuple[Decimal, Document]]

    def others(self, count: int) -> list[int]:
        """The numbers of the next best trials."""
        order = sorted(self.trials, key=lambda number: -self.trials[number][0])
        return order[1 : count + 1]


def finished_study(world: World, case: Case, name: str, algorithm: str, trials: int, started: datetime) -> StudyCase:
    """A study that maximized ROC AUC; its counts, best trial and times are those of its trials."""
    study = world.rows.uuid()
    moment = started
    complete: dict[int, tuple[Decimal, Document]] = {}
    states = []
    for number in range(trials):
        state, moment, value, params = _trial(world, study, number, algorithm, moment)
        states.append(state)
        if value is not None:
            complete[number] = value, params
    best = max(complete, key=lambda number: complete[number][0])
    world.rows.add(
        HpoStudy,
        id=study,
        n_trials=trials,
        n_completed=states.count("COMPLETE"),
        n_pruned=states.count("PRUNED"),
        n_failed=states.count("FAIL"),
        best_trial_number=best,
        best_value=complete[best][0],
        best_params=complete[best][1],
        duration_seconds=seconds(started, moment),
        started_at=started,
        completed_at=moment,
        status="completed",
        **_study_columns(case, name, algorithm),
    )
    return StudyCase(name, best, *complete[best], complete)


def _study_columns(case: Case, name: str, algorithm: str) -> Document:
    space = {
        key: {"type": "int" if isinstance(low, int) else "float", "low": low, "high": high, "log": key.endswith("rate")}
        for key, (low, high) in SPACE[algorithm].items()
    }
    return {
        "study_name": name,
        "experiment_id": case.id,
        "algorithm_name": algorithm,
        "problem_type": "binary_classification",
        "direction": "maximize",
        "sampler_name": "TPESampler",
        "pruner_name": "MedianPruner",
        "metric": "roc_auc",
        "search_space": space | {"class_weight": {"type": "categorical", "choices": ["none", "balanced"]}},
        "fixed_params": {"random_state": 42},
        "created_by": "optuna_optimizer",
    }


def _trial(
    world: World, study: UUID, number: int, algorithm: str, start: datetime
) -> tuple[str, datetime, Decimal | None, Document]:
    state = "COMPLETE" if number == 0 else world.pick(("COMPLETE", "COMPLETE", "COMPLETE", "PRUNED", "FAIL"))
    if number and state == "FAIL" and world.chance(0.7):
        state = "PRUNED"
    params = sampled(world, algorithm)
    end = start + timedelta(seconds=world.rng.randint(40, 420) if state == "COMPLETE" else world.rng.randint(5, 60))
    value = Decimal(str(round(0.74 + 0.1 * (1 - 1 / (1 + number / 9)) * world.rng.random() + 0.01, 4)))
    steps = {str(step): round(float(value) - 0.05 / step, 4) for step in range(1, 5 if state == "COMPLETE" else 3)}
    world.rows.add(
        HpoTrial,
        study_id=study,
        trial_number=number,
        state=state,
        params=params,
        value=value if state == "COMPLETE" else None,
        intermediate_values={} if state == "FAIL" else steps,
        datetime_start=start,
        datetime_complete=end,
        duration_seconds=seconds(start, end),
        user_attrs={"folds": 5} if state != "FAIL" else {"error": "MemoryError"},
    )
    return state, end, value if state == "COMPLETE" else None, params


def trial_run(world: World, run: UUID, study: StudyCase, number: int, *, best: bool) -> None:
    """Links a training run, which is still in the buffer, to the trial that it executed."""
    value, params = study.trials[number]
    scores = {"roc_auc": float(value), "pr_auc": round(float(value) - 0.16, 4)}
    world.rows.row(run).update(
        optuna_study_name=study.name,
        optuna_trial_number=number,
        is_best_trial=best,
        hyperparameters=params,
        validation_metrics=scores,
    )


def unfinished_studies(world: World, case: Case) -> None:
    """A running study, with running and waiting trials, and a failed one."""
    running = world.rows.uuid()
    start = world.ago(minutes=40)
    world.rows.add(
        HpoStudy, id=running, n_trials=2, n_completed=1, started_at=start, status="running",
        **_study_columns(case, f"{case.slug}-running", "LGBMClassifier"),
    )  # fmt: skip
    for number, state in enumerate(("COMPLETE", "RUNNING", "WAITING")):
        began = start + timedelta(minutes=18 * number) if state != "WAITING" else None
        world.rows.add(
            HpoTrial, study_id=running, trial_number=number, state=state, **_open(world, state, began, start)
        )
    failed = _study_columns(case, f"{case.slug}-rmse", "LGBMClassifier") | {"algorithm_name": "LGBMRegressor"}
    failed |= {"direction": "minimize", "metric": "rmse", "problem_type": "regression", "sampler_name": "CmaEsSampler"}
    world.rows.add(
        HpoStudy, started_at=world.ago(days=3), completed_at=world.ago(days=3, hours=-1), status="failed",
        error_message="The training table was rebuilt while the study ran.", **failed,
    )  # fmt: skip


def _open(world: World, state: str, began: datetime | None, created: datetime) -> dict[str, Any]:
    done = state == "COMPLETE"
    return {
        "params": {} if state == "WAITING" else sampled(world, "LGBMClassifier"),
        "value": Decimal("0.7712") if done else None,
        "datetime_start": began,
        "datetime_complete": began + timedelta(minutes=17) if began and done else None,
        "duration_seconds": 1020 if done else None,
        "created_at": began or created,
    }

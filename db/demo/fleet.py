"""Experiments outside the stories: models of every stage, their deployments and their services."""

from __future__ import annotations

from datetime import datetime, timedelta

from db.demo.mlops import deploy, experiment, model, serving, shadow, training_run
from db.demo.vocabulary import MARKET_TOPIC, OTHER_TOPIC, TOPICS, Topic
from db.demo.world import Case, DeploymentCase, ModelCase, World

STAGES = ("archived", "deprecated", "production", "shadow", "development")
"""The stages of an experiment's models, oldest first; fewer models leave out the oldest."""


def plain_experiment(world: World, number: int) -> Case:
    """Experiment ``number`` (from 0) of the fleet, with models, runs, deployments and services."""
    topic = _topic(number)
    age = world.rng.randint(90, 400)
    name = topic.name if number < len(TOPICS) else f"{topic.name}, wave {number}"
    case = experiment(world, topic, world.ago(days=age), name=name)
    case.calm = number % 4 != 0
    count = world.size.models
    stages = [*STAGES[-count:]]
    if number % 3 == 1:
        stages[-2] = "staging"
    if number % 7 == 6:  # a recent experiment without deployments in production
        stages = ["development"] * (count - 1) + ["staging"]
    add_models(world, case, age, stages)
    _unregistered_run(world, case)
    return case


def add_models(world: World, case: Case, age: int, stages: list[str]) -> None:
    """Models of these stages, oldest first, with their deployments; ``age`` is that of the experiment in days."""
    for place, stage in enumerate(stages):
        registered = world.ago(days=age * (1 - (place + 1) / (len(stages) + 1)), minutes=world.rng.randint(0, 1200))
        promoted = registered + timedelta(minutes=world.rng.randint(60, 300))
        made = model(
            world, case, f"1.{place}.0", stage, registered,
            promoted_at=promoted if stage in {"production", "deprecated", "archived"} else None,
        )  # fmt: skip
        _deploy(world, made, world.size.deployments)


def _topic(number: int) -> Topic:
    if number % 9 == 4:
        return MARKET_TOPIC
    return OTHER_TOPIC if number % 9 == 5 else TOPICS[number % len(TOPICS)]


def _deploy(world: World, made: ModelCase, count: int) -> None:
    """Deployments of a model in order of time; the status of the last one follows from the model's stage."""
    start = made.registered + timedelta(hours=6)
    step = (world.now - start) / (count + 1)
    previous: DeploymentCase | None = None
    for place in range(count):
        last = place == count - 1
        began = (start + place * step).replace(microsecond=0)
        previous = _deployment(world, made, began, (began + step).replace(microsecond=0), previous, last=last)


def _deployment(
    world: World, made: ModelCase, began: datetime, ended: datetime, previous: DeploymentCase | None, *, last: bool
) -> DeploymentCase:
    if made.stage in {"archived", "deprecated"}:
        return deploy(world, made, "production", "draining", began, ended, previous=previous)
    if made.stage == "production":
        if last:
            metrics = serving(world, world.rng.randint(200_000, 2_000_000))
            return deploy(world, made, "production", "active", began, previous=previous, production_metrics=metrics)
        if world.chance(0.3):
            return _rolled_back(world, made, began, ended, previous)
        return deploy(world, made, "production", "draining", began, ended, previous=previous)
    if made.stage == "shadow":
        metrics = shadow(world, world.rng.randint(24, 200)) if last else {}
        status, end = ("active", None) if last else ("draining", ended)
        return deploy(world, made, "staging", status, began, end, previous=previous, shadow_metrics=metrics)
    environment = "staging" if made.stage == "staging" else "development"
    status = world.pick(("active", "active", "deploying", "pending", "failed")) if last else "draining"
    return deploy(world, made, environment, status, began, None if last else ended, previous=previous)


def _rolled_back(
    world: World, made: ModelCase, began: datetime, ended: datetime, previous: DeploymentCase | None
) -> DeploymentCase:
    return deploy(
        world, made, "production", "rolled_back", began, ended, previous=previous, rolled_back_at=ended,
        rollback_reason=world.pick(("Error rate above 2% after the roll-out.", "p99 latency above its SLA of 250 ms.")),
        error_rate=world.between(0.02, 0.06),
    )  # fmt: skip


def _unregistered_run(world: World, case: Case) -> None:
    """A failed or running training run, which has no model."""
    if world.chance(0.6):
        start = world.ago(days=world.rng.randint(2, 60))
        training_run(
            world, case, None, started=start, ended=start + timedelta(seconds=world.rng.randint(20, 400)),
            status="failed", error_message="ValueError: Input X contains NaN in column prior_auth_denial_rate.",
            test_metrics={}, validation_metrics={}, train_metrics={},
        )  # fmt: skip
    else:
        start = world.ago(minutes=world.rng.randint(5, 90))
        training_run(
            world, case, None, started=start, ended=None, test_metrics={}, validation_metrics={}, train_metrics={}
        )

"""The shared state of the demo data: random generator, clock, size, and experiments."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, TypeVar
from uuid import UUID

from db.demo.rows import RowBuffer
from db.demo.vocabulary import Topic

T = TypeVar("T")


@dataclass(frozen=True)
class Size:
    """The numbers of rows of a size of the demo data."""

    experiments: int  # besides those of the stories
    models: int  # per experiment
    deployments: int  # per model
    metrics: int  # per service
    metric_minutes: int  # interval between metrics of a service
    monitoring_runs: int  # per model in production
    traces: int  # per experiment
    trial_units: int  # per A/B test outside the stories
    queries: int  # per experiment: classified queries, some with a composition
    expected_rows: int  # approximate total, for progress


SIZES = {
    "small": Size(6, 4, 2, 48, 60, 4, 75, 60, 6, 8_350),
    "large": Size(200, 5, 3, 360, 30, 17, 84, 100, 8, 1_200_000),
}


@dataclass(eq=False)
class DeploymentCase:
    """A deployment and its service."""

    id: UUID
    model: ModelCase
    name: str
    environment: str
    status: str
    started: datetime
    ended: datetime | None
    service: UUID


@dataclass(eq=False)
class ModelCase:
    """A model version with its deployments and training runs."""

    id: UUID
    case: Case
    name: str
    version: str
    stage: str
    algorithm: str
    auc: float
    registered: datetime
    deployments: list[DeploymentCase] = field(default_factory=list)
    runs: list[UUID] = field(default_factory=list)


@dataclass(eq=False)
class Case:
    """An experiment with its models."""

    id: UUID
    topic: Topic
    name: str
    features: list[str]
    created: datetime
    calm: bool = True  # whether its data drift little
    models: list[ModelCase] = field(default_factory=list)

    @property
    def slug(self) -> str:
        return slug(self.name)

    @property
    def champion(self) -> ModelCase | None:
        return next((model for model in self.models if model.stage == "production"), None)


@dataclass
class World:
    """The shared state that every story gets."""

    rng: Random
    now: datetime
    size: Size
    tools: dict[str, UUID]
    rows: RowBuffer
    cases: list[Case] = field(default_factory=list)
    alerts: dict[UUID, UUID] = field(default_factory=dict)
    """The id of the alert that a drift record raises, by the id of the record."""

    def ago(self, days: float = 0, hours: float = 0, minutes: float = 0) -> datetime:
        """A time before ``now``, truncated to seconds."""
        past = self.now - timedelta(days=days, hours=hours, minutes=minutes)
        return past.replace(microsecond=0)

    def after(self, start: datetime, low: float, high: float) -> datetime:
        """A random time ``low`` to ``high`` minutes after a time, at most ``now``."""
        later = start + timedelta(seconds=round(60 * self.rng.uniform(low, high)))
        return min(later, self.now)

    def around(self, middle: float, share: float = 0.1, digits: int = 4) -> float:
        """A random number within ``share`` (0-1) of ``middle``, rounded to ``digits`` decimals."""
        return round(middle * self.rng.uniform(1 - share, 1 + share), digits)

    def between(self, low: float, high: float, digits: int = 4) -> float:
        return round(self.rng.uniform(low, high), digits)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def pick(self, values: Sequence[T]) -> T:
        return self.rng.choice(values)

    def hex(self, digits: int) -> str:
        return f"{self.rng.getrandbits(4 * digits):0{digits}x}"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def slug(text: str) -> str:
    """The text as a name that is valid in a URL."""
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def seconds(start: datetime, end: datetime) -> int:
    return int((end - start).total_seconds())


def spread(values: Sequence[tuple[T, float]], rng: Random) -> T:
    """A random one of the values, which are pairs of value and weight."""
    return rng.choices([value for value, _ in values], [weight for _, weight in values])[0]


Document = dict[str, Any]

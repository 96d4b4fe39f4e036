"""Declarations on models: their group (``__group__``), their topic of the live log (``__topic__``), how their rows are
recorded (``__record__``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum, StrEnum
from functools import partial


class Group(StrEnum):
    """The groups in the order of the data dictionary; reading one needs the scope ``read:`` with its name."""

    MLOPS_CORE = "mlops_core"
    CAUSAL_VALIDATION = "causal_validation"
    DIGITAL_TWIN = "digital_twin"
    TOOL_COMPOSER = "tool_composer"
    ROI_CALCULATIONS = "roi_calculations"
    HPO_STUDIES = "hpo_studies"
    MODEL_MONITORING = "model_monitoring"
    AB_TESTING = "ab_testing"
    SELF_IMPROVEMENT = "self_improvement"
    GEPA_OPTIMIZATION = "gepa_optimization"
    BENTOML_TRACKING = "bentoml_tracking"
    FEAST_TRACKING = "feast_tracking"
    CAUSAL_DISCOVERY = "causal_discovery"
    COHORT_CONSTRUCTOR = "cohort_constructor"

    @property
    def about(self) -> str:
        """The subjects of its rows, in a few words."""
        return _ABOUT[self]


_ABOUT = {
    Group.MLOPS_CORE: "experiments, models, training runs, features, data quality, deployments, traces",
    Group.CAUSAL_VALIDATION: "refutation tests of causal estimates, their gate, expert reviews",
    Group.DIGITAL_TWIN: "twin models, simulated interventions, fidelity of the simulations",
    Group.TOOL_COMPOSER: "tools, their dependencies, compositions of tools for a query, performance of calls",
    Group.ROI_CALCULATIONS: "return on investment of initiatives, by value driver and cost",
    Group.HPO_STUDIES: "hyperparameter studies and their trials",
    Group.MODEL_MONITORING: "drift, performance over time, alerts, monitoring runs, retrainings",
    Group.AB_TESTING: "assignment, enrollment, interim analyses, results, sample ratios, predicted and actual effects",
    Group.SELF_IMPROVEMENT: "evaluations of answers, tuned configurations, improvement actions, lessons learned",
    Group.GEPA_OPTIMIZATION: "optimization of prompts, the instructions found, their A/B tests",
    Group.BENTOML_TRACKING: "services that serve models, with their serving metrics",
    Group.FEAST_TRACKING: "feature views, their materialization and freshness",
    Group.CAUSAL_DISCOVERY: "learned causal graphs, the algorithms that voted on them, driver rankings",
    Group.COHORT_CONSTRUCTOR: "cohort definitions, their executions, the exclusions of each criterion, comparisons",
}


class LiveTopic(StrEnum):
    """A topic of the live log: its rows belong to one model, or its entries are complete. The value is its name in the
    log."""

    LIFECYCLE = "lifecycle"
    ALERTS = "alerts"
    RECORDINGS = "recordings"


class RowNature(Enum):
    """The nature of a recordable type's rows."""

    FACT = "fact"
    """Measured or observed once, in batches; immutable."""
    ENTITY = "entity"
    """Named, created one by one, and updated later."""


@dataclass(frozen=True)
class Retention:
    """The retention of rows that may be purged.

    ``by`` is the column of the time that determines their age; rows younger than ``days`` are not purged. ``states``
    are the names of the states, of the first declared lifecycle, in which a row may be purged; any if empty.
    """

    by: str
    days: int = 30
    states: Sequence[str] = ()


@dataclass(frozen=True)
class Recordable:
    """How rows of a type are recorded through the gateway.

    ``key`` are the columns that identify a row beside its id. ``born`` are the names of the states that a row may be
    recorded in, of the first declared lifecycle, by default the first of them; without any it is that lifecycle's
    initial state. ``server`` are columns that the server fills, such as those of triggers and counters. ``actor`` is
    the column for who recorded the row. ``agrees``: an existing row must not differ from what is sent. ``updates`` are
    the columns of an entity that may be updated later, by default all inputs that no transition writes and that do not
    identify the row. ``retired`` is SQL of the columns of a row that is out of use. ``door`` is the mutation that
    creates such rows instead, and ``why`` its reason. ``retention`` applies if old rows may be purged. ``part_of`` is
    the column of facts with the row that they are part of: they can also be created within that row's input.
    """

    nature: RowNature
    _: KW_ONLY
    key: Sequence[str] = ()
    born: Sequence[str] = ()
    server: Sequence[str] = ()
    actor: str | None = None
    agrees: bool = False
    updates: Sequence[str] | None = None
    retired: Mapping[str, str] = field(default_factory=dict)
    door: str | None = None
    why: str = ""
    retention: Retention | None = None
    part_of: str | None = None


facts = partial(Recordable, RowNature.FACT)
"""Declares rows that are facts."""

entity = partial(Recordable, RowNature.ENTITY)
"""Declares rows that are entities."""

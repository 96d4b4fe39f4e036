"""Declarations on models: their group (``__group__``), their topic of the live log (``__topic__``), how their rows are
recorded (``__record__``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum, StrEnum
from functools import partial


class Group(StrEnum):
    """The groups in the order of the data dictionary; reading one needs the scope ``read:`` and its name."""

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
    """A topic of the live log: one model has the rows that it tells of, or the log says all. The value is what the log
    calls it."""

    LIFECYCLE = "lifecycle"
    ALERTS = "alerts"
    RECORDINGS = "recordings"


class RowNature(Enum):
    """What the rows of a recordable type are."""

    FACT = "fact"
    """Measured or observed once, in batches; never changed afterwards."""
    ENTITY = "entity"
    """Named, made one by one, and changed later."""


@dataclass(frozen=True)
class Retention:
    """How long rows are kept that may go one day.

    ``by`` is the column of the time that they are old by; none is purged that is younger than ``days``. ``states`` are
    the names of the states, of the lifecycle that is declared first, in which a row may go; any where there are none.
    """

    by: str
    days: int = 30
    states: Sequence[str] = ()


@dataclass(frozen=True)
class Recordable:
    """How rows of a type are recorded through the gateway.

    ``key`` are the columns that name a row beside its id. ``born`` are the names of the states that a row may be
    recorded in, of the lifecycle that is declared first; the first of them unless the row says another, and that
    lifecycle's initial state where there are none. ``server`` are columns that the server fills, such as those of
    triggers and counters. ``actor`` is the column that names who recorded the row. ``agrees``: a row that is there
    already must not differ from what is sent. ``updates`` are the columns of an entity that may be changed later: all
    that a caller gives at birth and no move writes, but for those that name the row, unless it says others. ``retired``
    is what stands in the columns of a row that is out of use, as SQL. ``door`` is the mutation that such rows are made
    by instead, and ``why`` that is so. ``retention`` is there where rows may be purged once they are old. ``part_of``
    is the column of facts that names the row which they are part of: they can be made within the input of that one too.
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
"""Declares rows of facts."""

entity = partial(Recordable, RowNature.ENTITY)
"""Declares rows that have a name and a life of their own."""

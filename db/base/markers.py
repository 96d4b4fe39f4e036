"""What models declare of themselves: the group that they belong to (``__group__``), what is told of them live
(``__topic__``)."""

from __future__ import annotations

from enum import StrEnum


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


class LiveTopic(StrEnum):
    """A topic of the live log; one model has the rows that it tells of. The value is what the log calls it."""

    LIFECYCLE = "lifecycle"
    ALERTS = "alerts"

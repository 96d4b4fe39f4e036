"""The models of the platform's tables, one module per group of the data dictionary; importing this maps them all."""

from db.base import add_comments, add_indexes
from db.models import (
    g01_mlops_core,
    g01_mlops_views,
    g02_causal_validation,
    g03_digital_twin,
    g04_tool_composer,
    g05_roi_calculations,
    g06_hpo_studies,
    g07_model_monitoring,
    g07_monitoring_views,
    g08_ab_testing,
    g09_self_improvement,
    g10_gepa_optimization,
    g11_bentoml_tracking,
    g12_feast_tracking,
    g13_causal_discovery,
    g14_cohort_constructor,
    gateway,
    shared,
)

add_comments()
add_indexes()

__all__ = [
    "g01_mlops_core",
    "g01_mlops_views",
    "g02_causal_validation",
    "g03_digital_twin",
    "g04_tool_composer",
    "g05_roi_calculations",
    "g06_hpo_studies",
    "g07_model_monitoring",
    "g07_monitoring_views",
    "g08_ab_testing",
    "g09_self_improvement",
    "g10_gepa_optimization",
    "g11_bentoml_tracking",
    "g12_feast_tracking",
    "g13_causal_discovery",
    "g14_cohort_constructor",
    "gateway",
    "shared",
]

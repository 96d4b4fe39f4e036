"""indexes behind soft links of the lineage"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Changes a database at revision 0005 into one at 0006."""
    op.create_index(
        "ix_digital_twin_models_mlflow_run_id_created_at",
        "digital_twin_models",
        ["mlflow_run_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("model_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_drift_history_feature_name_created_at",
        "ml_drift_history",
        ["feature_name", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_feature_store_feature_name_created_at",
        "ml_feature_store",
        ["feature_name", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_monitoring_alerts_affected_features",
        "ml_monitoring_alerts",
        ["affected_features"],
        unique=False,
        postgresql_using="gin",
    )
    op.create_index(
        "ix_prompt_optimization_runs_mlflow_run_id_created_at",
        "prompt_optimization_runs",
        ["mlflow_run_id", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("run_id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_roi_calculations_causal_path_id_calculated_at",
        "roi_calculations",
        [
            "causal_path_id",
            sa.literal_column("calculated_at DESC NULLS LAST"),
            sa.literal_column("calculation_id DESC"),
        ],
        unique=False,
    )
    op.create_index(
        "ix_feature_rankings_feature_name_created_at",
        "feature_rankings",
        ["feature_name", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
        schema="ml",
    )

"""indexes behind the current state of models"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Changes a database at revision 0017 into one at 0018."""
    op.create_index(
        "ix_ml_drift_history_created_at_model_id_drift_type",
        "ml_drift_history",
        [
            sa.literal_column("created_at DESC NULLS LAST"),
            sa.literal_column("model_id DESC"),
            sa.literal_column("drift_type DESC"),
        ],
        unique=False,
    )
    op.create_index(
        "ix_ml_drift_history_model_id_detected",
        "ml_drift_history",
        ["model_id", "drift_type", "created_at"],
        unique=False,
        postgresql_include=["severity"],
        postgresql_where=sa.text("drift_detected"),
    )
    op.create_index(
        "ix_ml_drift_history_created_at_detected",
        "ml_drift_history",
        [
            sa.literal_column("created_at DESC NULLS LAST"),
            sa.literal_column("model_id DESC"),
            sa.literal_column("drift_type DESC"),
        ],
        unique=False,
        postgresql_where=sa.text("drift_detected"),
    )
    op.create_index(
        "ix_ml_monitoring_alerts_model_id_open",
        "ml_monitoring_alerts",
        ["model_id", "severity"],
        unique=False,
        postgresql_where=sa.text("status IN ('active', 'acknowledged', 'investigating') OR status IS NULL"),
    )
    op.create_index(
        "ix_ml_performance_metrics_model_id_degraded",
        "ml_performance_metrics",
        ["model_id", "measured_at"],
        unique=False,
        postgresql_where=sa.text("is_degraded AND segment IS NULL"),
    )

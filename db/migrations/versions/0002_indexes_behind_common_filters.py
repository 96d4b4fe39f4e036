"""indexes behind common filters"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Changes a database at revision 0001 into one at 0002."""
    op.create_index(
        "ix_ml_bentoml_services_bento_tag_created_at",
        "ml_bentoml_services",
        ["bento_tag", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_deployments_status_created_at",
        "ml_deployments",
        ["status", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_drift_history_severity_created_at",
        "ml_drift_history",
        ["severity", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_model_registry_stage_registered_at",
        "ml_model_registry",
        ["stage", sa.literal_column("registered_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_monitoring_alerts_status_created_at",
        "ml_monitoring_alerts",
        ["status", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_observability_spans_span_id_started_at",
        "ml_observability_spans",
        ["span_id", sa.literal_column("started_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_observability_spans_status_started_at",
        "ml_observability_spans",
        ["status", sa.literal_column("started_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_ml_training_runs_status_started_at",
        "ml_training_runs",
        ["status", sa.literal_column("started_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )

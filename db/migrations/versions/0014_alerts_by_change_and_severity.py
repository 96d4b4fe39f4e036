"""alerts by their last change, and by status and severity"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Changes a database at revision 0013 into one at 0014."""
    op.create_index("ix_ml_monitoring_alerts_updated_at", "ml_monitoring_alerts", ["updated_at"], unique=False)
    op.create_index(
        "ix_ml_monitoring_alerts_status_severity_created_at",
        "ml_monitoring_alerts",
        ["status", "severity", sa.literal_column("created_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )

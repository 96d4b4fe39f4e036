"""indexes behind edges of the lineage"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Changes a database at revision 0003 into one at 0004."""
    op.create_index(
        "ix_ml_feast_feature_views_features",
        "ml_feast_feature_views",
        ["features"],
        unique=False,
        postgresql_using="gin",
    )
    op.create_index(
        "ix_ml_model_registry_mlflow_run_id_registered_at",
        "ml_model_registry",
        ["mlflow_run_id", sa.literal_column("registered_at DESC NULLS LAST"), sa.literal_column("id DESC")],
        unique=False,
    )

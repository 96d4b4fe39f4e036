"""Spans by their span id"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Changes a database at revision 0001 into one at 0002."""
    op.create_index("ix_ml_observability_spans_span_id", "ml_observability_spans", ["span_id"], unique=False)

"""sketches of rollups"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None
own = True

_ADDED = {
    "rollup_ml_bentoml_serving_metrics": (
        ("avg_latency_ms_buckets", sa.Integer(), "Buckets of the values of avg_latency_ms, ascending."),
        ("avg_latency_ms_bucket_rows", sa.BigInteger(), "Number of values of avg_latency_ms in each bucket."),
    ),
    "rollup_ml_observability_spans": (
        ("duration_ms_buckets", sa.Integer(), "Buckets of the values of duration_ms, ascending."),
        ("duration_ms_bucket_rows", sa.BigInteger(), "Number of values of duration_ms in each bucket."),
    ),
}
_COUNTED = (
    ("errors", "Number of rows with status = 'error'."),
    ("fallbacks", "Number of rows with fallback_used."),
)


def upgrade() -> None:
    """Changes a database at revision 0020 into one at 0021."""
    for table, columns in _ADDED.items():
        for name, type_, comment in columns:
            op.add_column(table, sa.Column(name, postgresql.ARRAY(type_), comment=comment), schema="gateway")
    for name, comment in _COUNTED:
        op.add_column(
            "rollup_ml_observability_spans", sa.Column(name, sa.BigInteger(), comment=comment), schema="gateway"
        )

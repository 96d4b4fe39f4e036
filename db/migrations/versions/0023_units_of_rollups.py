"""units of rollups"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None
own = True

_UNITS = {"ml_bentoml_serving_metrics": "1 hour", "ml_observability_spans": "5 minutes"}


def upgrade() -> None:
    """Changes a database at revision 0022 into one at 0023."""
    op.alter_column(
        "rollups",
        "measures",
        comment="What is stored of them: lengths of units, aggregated columns, sketches, numbers of rows.",
        existing_comment="Its columns that are.",
        schema="gateway",
    )
    op.add_column(
        "rollup_marks",
        sa.Column("error", sa.TEXT(), comment="Why the unit cannot be summed up; null where it is to be."),
        schema="gateway",
    )
    for table, unit in _UNITS.items():  # the sums of hours of spans are made by `db rollups`
        op.execute(
            f"UPDATE gateway.rollups SET measures = ARRAY['{unit}', '24 hours'] || measures "
            f"WHERE split_part(name, '.', -1) = '{table}'"
        )

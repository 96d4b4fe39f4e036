"""rollups of partitions"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None
own = True


def upgrade() -> None:
    """Changes a database at revision 0019 into one at 0020."""
    op.add_column(
        "rollups",
        sa.Column(
            "stores",
            postgresql.ARRAY(sa.TEXT()),
            server_default="{}",
            nullable=False,
            comment="The table and its partitions, whose writes are marked.",
        ),
        schema="gateway",
    )
    op.execute(
        "UPDATE gateway.rollups SET stores = ARRAY[CASE WHEN name LIKE '%.%' THEN name ELSE 'public.' || name END]"
    )

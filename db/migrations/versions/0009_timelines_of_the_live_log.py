"""timelines of the live log"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None
own = True


def upgrade() -> None:
    """Changes a database at revision 0008 into one at 0009."""
    op.add_column(
        "live_log",
        sa.Column(
            "timeline",
            sa.Integer(),
            nullable=True,
            comment="Timeline of the server that wrote it: a standby that takes over begins another one.",
        ),
        schema="gateway",
    )

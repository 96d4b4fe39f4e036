"""marks of timelines"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None
own = True


def upgrade() -> None:
    """Changes a database at revision 0023 into one at 0024."""
    op.create_table(
        "timelines",
        sa.Column(
            "cluster", sa.TEXT(), nullable=False, comment="The cluster's identifier, as gateway.history() has it."
        ),
        sa.Column("timeline", sa.Integer(), autoincrement=False, nullable=False, comment="The timeline."),
        sa.Column(
            "mark",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Tells it from a timeline of the same number that another standby has begun.",
        ),
        sa.Column(
            "marked_at",
            sa.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When a gateway first met it; 1970 if it was older.",
        ),
        sa.PrimaryKeyConstraint("cluster", "timeline", name=op.f("pk_timelines")),
        schema="gateway",
        comment="Timelines of the servers that the database was on, each with a random mark, by which standbys that "
        "were promoted side by side are told apart.",
    )

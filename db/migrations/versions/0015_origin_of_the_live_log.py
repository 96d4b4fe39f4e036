"""origin of the live log"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None
own = True


def upgrade() -> None:
    """Changes a database at revision 0014 into one at 0015."""
    op.create_table(
        "origin",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False, comment="1: there is one row."),
        sa.Column("live_log", sa.BigInteger(), nullable=False, comment="The oid of the live log when it was made."),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_origin")),
        schema="gateway",
        comment="By what a live log that was restored from a dump is told from the one that cursors were given of.",
    )
    op.execute("INSERT INTO gateway.origin (id, live_log) SELECT 1, 'gateway.live_log'::regclass::oid::bigint")

"""current state"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None
own = True


def upgrade() -> None:
    """Changes a database at revision 0021 into one at 0022."""
    op.create_table(
        "current_states",
        sa.Column("name", sa.TEXT(), nullable=False, comment="The table whose rows have the state."),
        sa.Column(
            "definition", sa.TEXT(), nullable=False, comment="Hash of the definitions of the views that are stored."
        ),
        sa.Column(
            "state", sa.TEXT(), nullable=False, comment="building, ready, or broken: rows were written unmarked."
        ),
        sa.Column("sources", postgresql.ARRAY(sa.TEXT()), nullable=False, comment="The tables that the views read."),
        sa.Column(
            "stores",
            postgresql.ARRAY(sa.TEXT()),
            nullable=False,
            comment="These with their partitions, whose writes are marked.",
        ),
        sa.Column(
            "since",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was begun.",
        ),
        sa.CheckConstraint("state IN ('building', 'ready', 'broken')", name=op.f("ck_current_states_state")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_current_states")),
        schema="gateway",
        comment="Tables whose rows' current state is stored, by views over them; made and removed by the command line.",
    )
    op.create_table(
        "state_marks",
        sa.Column("name", sa.TEXT(), nullable=False, comment="The table whose rows have the state."),
        sa.Column("key", sa.Uuid(), nullable=False, comment="The row."),
        schema="gateway",
        comment="Rows whose current state may differ from what is stored, once for each statement that has written it.",
    )
    op.create_index("ix_state_marks_name_key", "state_marks", ["name", "key"], unique=False, schema="gateway")

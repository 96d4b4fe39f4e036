"""retention of the live log"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None
own = True


def upgrade() -> None:
    """Changes a database at revision 0012 into one at 0013."""
    op.create_index("ix_live_log_recorded_at", "live_log", ["recorded_at"], unique=False, schema="gateway")

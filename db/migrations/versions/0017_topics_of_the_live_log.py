"""topics of the live log"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None
own = True

_BEFORE = "What it is about: lifecycle or alerts."
_COMMENT = "What it is about: lifecycle, alerts or recordings."


def upgrade() -> None:
    """Changes a database at revision 0016 into one at 0017."""
    _describe(_COMMENT, _BEFORE)


def _describe(comment: str, before: str) -> None:
    op.alter_column(
        "live_log",
        "topic",
        existing_type=sa.TEXT(),
        existing_nullable=False,
        comment=comment,
        existing_comment=before,
        schema="gateway",
    )

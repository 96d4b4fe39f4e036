"""formats of webhooks"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None
own = True

_SCHEMA = "gateway"
_TABLE = "webhook_endpoints"
_CHECK = "ck_webhook_endpoints_format"
_BEFORE = "Receivers of webhooks, made, listed, rotated and removed by the command line."
_COMMENT = "Receivers of webhooks, made, listed, rotated and removed by the command line or by mutations."


def upgrade() -> None:
    """Changes a database at revision 0015 into one at 0016."""
    op.add_column(
        _TABLE,
        sa.Column(
            "format",
            sa.TEXT(),
            server_default="standard",
            nullable=False,
            comment="How its messages are written: standard or openlineage.",
        ),
        schema=_SCHEMA,
    )
    op.create_check_constraint(op.f(_CHECK), _TABLE, "format IN ('standard', 'openlineage')", schema=_SCHEMA)
    op.create_table_comment(_TABLE, _COMMENT, existing_comment=_BEFORE, schema=_SCHEMA)

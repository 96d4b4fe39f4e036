"""live log"""

# ruff: noqa: E501 - a comment is one string, and one migration one function

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None
own = True


def upgrade() -> None:
    """Changes a database at revision 0006 into one at 0007."""
    op.create_table(
        "live_log",
        sa.Column(
            "position",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="Order of writing: of two entries on one row the later change has the higher one.",
        ),
        sa.Column(
            "xact",
            sa.BigInteger(),
            server_default=sa.text("pg_current_xact_id()::text::bigint"),
            nullable=False,
            comment="Transaction that wrote it, by which readers know what they have seen, whatever order commits come in.",
        ),
        sa.Column("topic", sa.TEXT(), nullable=False, comment="What it is about: lifecycle or alerts."),
        sa.Column(
            "facts",
            postgresql.JSONB(),
            nullable=False,
            comment="What subscriptions filter by, and the ids of the rows.",
        ),
        sa.Column(
            "recorded_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="When it was written; entries are kept for GATEWAY_LIVE_HOURS.",
        ),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_live_log")),
        schema="gateway",
        comment="What subscriptions are told, for as long as they can be resumed.",
    )
    op.create_index("ix_live_log_xact", "live_log", ["xact"], unique=False, schema="gateway")
    op.create_table(
        "alerts_seen",
        sa.Column(
            "alert_id",
            sa.Uuid(),
            nullable=False,
            comment="The alert; the nil UUID says that there was a first look.",
        ),
        sa.Column("version", sa.BigInteger(), nullable=False, comment="Its xmin when it was last looked at."),
        sa.Column(
            "content",
            sa.BigInteger(),
            nullable=False,
            comment="Hash of the row, which tells a change from a rewriting.",
        ),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("pk_alerts_seen")),
        schema="gateway",
        comment="Alerts as the live log knows them: who raises and changes them need not tell the gateway.",
    )

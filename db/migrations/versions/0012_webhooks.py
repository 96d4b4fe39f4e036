"""webhooks"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None
own = True

_TIME = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    """Changes a database at revision 0011 into one at 0012."""
    op.create_table(
        "webhook_endpoints",
        sa.Column("name", sa.TEXT(), nullable=False, comment="What it is called."),
        sa.Column("url", sa.TEXT(), nullable=False, comment="Where its messages are posted."),
        sa.Column("topic", sa.TEXT(), nullable=False, comment="What it is told of: lifecycle or alerts."),
        sa.Column(
            "filters",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Which of it: the arguments of the subscription of that topic.",
        ),
        sa.Column("secret", sa.TEXT(), nullable=False, comment="What its messages are signed with."),
        sa.Column("old_secret", sa.TEXT(), nullable=True, comment="The secret before, which signs beside it."),
        sa.Column("old_secret_until", _TIME, nullable=True, comment="Until when the secret before signs."),
        sa.Column("created_at", _TIME, server_default=sa.text("now()"), nullable=False, comment="When it was made."),
        sa.Column(
            "created_by",
            sa.TEXT(),
            server_default=sa.text("CURRENT_USER"),
            nullable=False,
            comment="Who made it.",
        ),
        sa.Column("paused_at", _TIME, nullable=True, comment="Since when nothing is sent to it; null while it is."),
        sa.Column("paused_because", sa.TEXT(), nullable=True, comment="Why nothing is sent."),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_webhook_endpoints")),
        sa.CheckConstraint("topic IN ('lifecycle', 'alerts')", name=op.f("ck_webhook_endpoints_topic")),
        schema="gateway",
        comment="Receivers of webhooks, made, listed, rotated and removed by the command line.",
    )
    op.create_table(
        "webhook_messages",
        sa.Column("message_id", sa.TEXT(), nullable=False, comment="The webhook-id, the same at each attempt."),
        sa.Column("endpoint", sa.TEXT(), nullable=False, comment="The receiver."),
        sa.Column("row_id", sa.TEXT(), nullable=False, comment="The row that it is about: those of one come in order."),
        sa.Column("position", sa.BigInteger(), nullable=False, comment="The entry of the live log that it tells."),
        sa.Column("body", sa.TEXT(), nullable=False, comment="What is posted, to the letter."),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False, comment="How often it was sent."),
        sa.Column("next_at", _TIME, server_default=sa.text("now()"), nullable=False, comment="When it is sent next."),
        sa.Column("give_up_at", _TIME, nullable=False, comment="When no further attempt is made."),
        sa.Column("failure", sa.TEXT(), nullable=True, comment="What came of the last attempt."),
        sa.Column("dead_at", _TIME, nullable=True, comment="When it was given up; null while it is to be sent."),
        sa.Column("created_at", _TIME, server_default=sa.text("now()"), nullable=False, comment="When it was written."),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_webhook_messages")),
        sa.ForeignKeyConstraint(
            ["endpoint"],
            ["gateway.webhook_endpoints.name"],
            name=op.f("fk_webhook_messages_endpoint"),
            ondelete="CASCADE",
        ),
        schema="gateway",
        comment="Messages that receivers have not taken yet, and those that were given up; a taken one is removed.",
    )
    op.create_index(
        "ix_webhook_messages_endpoint_row_id_position",
        "webhook_messages",
        ["endpoint", "row_id", "position"],
        unique=False,
        schema="gateway",
        postgresql_where=sa.text("dead_at IS NULL"),
    )
    op.create_table(
        "webhook_sender",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False, comment="1: there is one row."),
        sa.Column("place", postgresql.JSONB(), nullable=True, comment="How far the live log was turned into messages."),
        sa.Column("holder", sa.TEXT(), nullable=True, comment="The process that sends."),
        sa.Column("held_until", _TIME, nullable=True, comment="Until when it does, unless it says so again."),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_sender")),
        schema="gateway",
        comment="Which process sends webhooks, and how far it has read.",
    )

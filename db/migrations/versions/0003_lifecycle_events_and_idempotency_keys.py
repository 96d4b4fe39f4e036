"""lifecycle events and idempotency keys"""

# ruff: noqa: E501 - a comment is one string, and one migration one function

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
own = True


def upgrade() -> None:
    """Changes a database at revision 0002 into one at 0003."""
    op.create_table(
        "idempotency_keys",
        sa.Column("caller", sa.TEXT(), nullable=False, comment="Who gave the key; callers do not share keys."),
        sa.Column("key", sa.TEXT(), nullable=False, comment="The key, as the caller chose it."),
        sa.Column("mutation", sa.TEXT(), nullable=False, comment="Mutation that the key was given to."),
        sa.Column("input_hash", sa.TEXT(), nullable=False, comment="SHA-256 of the input, without the key itself."),
        sa.Column(
            "result", postgresql.JSONB(), nullable=True, comment="The result by the ids of its nodes and events."
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was used.",
        ),
        sa.Column(
            "expires_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="Until when it gives the same result again.",
        ),
        sa.PrimaryKeyConstraint("caller", "key", name=op.f("pk_idempotency_keys")),
        schema="gateway",
        comment="Keys by which a change is made once, however often it is asked for; applied changes only.",
    )
    op.create_index(
        "ix_idempotency_keys_expires_at", "idempotency_keys", ["expires_at"], unique=False, schema="gateway"
    )
    op.create_table(
        "lifecycle_events",
        sa.Column(
            "event_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Event identifier.",
        ),
        sa.Column(
            "change_id",
            sa.Uuid(),
            nullable=False,
            comment="The change that the event belongs to: all events of one mutation have the same.",
        ),
        sa.Column(
            "mutation", sa.TEXT(), nullable=False, comment="Mutation that made the change, such as promoteModel."
        ),
        sa.Column(
            "node_id", sa.TEXT(), nullable=False, comment="Global id of the row that changed, such as Model:1f0e...."
        ),
        sa.Column("node_type", sa.TEXT(), nullable=False, comment="Type of the row that changed, such as Model."),
        sa.Column(
            "lifecycle",
            sa.TEXT(),
            nullable=False,
            comment="Lifecycle that the row moved in, such as stage, status or champion.",
        ),
        sa.Column(
            "from_state",
            sa.TEXT(),
            nullable=True,
            comment="State before the change, as the graph names it, such as STAGING; null for a row that was made.",
        ),
        sa.Column(
            "to_state",
            sa.TEXT(),
            nullable=True,
            comment="State after the change, as the graph names it, such as SHADOW.",
        ),
        sa.Column("actor", sa.TEXT(), nullable=False, comment="Who asked for the change."),
        sa.Column("reason", sa.TEXT(), nullable=True, comment="Why, in the words of whoever asked."),
        sa.Column(
            "forced",
            sa.Boolean(),
            server_default="false",
            nullable=False,
            comment="Whether guards were overridden; details name them.",
        ),
        sa.Column(
            "details",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="What else was given, and the guards that were overridden.",
        ),
        sa.Column(
            "request_id",
            sa.TEXT(),
            nullable=True,
            comment="Request that made the change, as the gateway's log names it.",
        ),
        sa.Column(
            "occurred_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="When the change was made.",
        ),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_lifecycle_events")),
        schema="gateway",
        comment="One change that was made through the gateway: what moved, from which state to which, by whom and why. Written in the transaction of the change, and never changed or removed.",
    )
    op.create_index("ix_lifecycle_events_change_id", "lifecycle_events", ["change_id"], unique=False, schema="gateway")
    op.create_index(
        "ix_lifecycle_events_node_id_occurred_at",
        "lifecycle_events",
        ["node_id", sa.literal_column("occurred_at DESC NULLS LAST"), sa.literal_column("event_id DESC")],
        unique=False,
        schema="gateway",
    )
    op.create_index(
        "ix_lifecycle_events_occurred_at",
        "lifecycle_events",
        [sa.literal_column("occurred_at DESC NULLS LAST"), sa.literal_column("event_id DESC")],
        unique=False,
        schema="gateway",
    )

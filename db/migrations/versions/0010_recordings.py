"""recordings"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None
own = True


def upgrade() -> None:
    """Changes a database at revision 0009 into one at 0010."""
    op.create_table(
        "recordings",
        sa.Column(
            "recording_id",
            sa.Uuid(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Identifier of the recording.",
        ),
        sa.Column(
            "mutation",
            sa.TEXT(),
            nullable=False,
            comment="Mutation that recorded them, such as recordServingMetrics.",
        ),
        sa.Column("node_type", sa.TEXT(), nullable=False, comment="Type of the rows, such as ServingMetric."),
        sa.Column("inserted", sa.Integer(), nullable=False, comment="Number of rows that were new."),
        sa.Column(
            "updated", sa.Integer(), nullable=False, comment="Number of rows that were there and got other values."
        ),
        sa.Column(
            "kept", sa.Integer(), nullable=False, comment="Number of rows that were there and stayed as they were."
        ),
        sa.Column("actor", sa.TEXT(), nullable=False, comment="Who recorded them."),
        sa.Column(
            "request_id", sa.TEXT(), nullable=False, comment="Request that recorded them, as logs and answers name it."
        ),
        sa.Column("digest", sa.TEXT(), nullable=False, comment="SHA-256 of the rows as they were sent."),
        sa.Column(
            "first_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Earliest time that a row tells of, null without times.",
        ),
        sa.Column(
            "last_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Latest time that a row tells of, null without times.",
        ),
        sa.Column(
            "details",
            postgresql.JSONB(),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Of an update: the columns that it wrote, with their values before, except those of patients.",
        ),
        sa.Column(
            "recorded_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was done.",
        ),
        sa.PrimaryKeyConstraint("recording_id", name=op.f("pk_recordings")),
        schema="gateway",
        comment="Batches of rows that were recorded through the gateway, one row a batch; never changed or removed.",
    )
    op.create_index("ix_recordings_recorded_at", "recordings", ["recorded_at"], unique=False, schema="gateway")

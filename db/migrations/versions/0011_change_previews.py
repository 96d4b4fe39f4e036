"""change previews"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None
own = True


def upgrade() -> None:
    """Changes a database at revision 0010 into one at 0011."""
    op.create_table(
        "change_previews",
        sa.Column("preview_id", sa.TEXT(), nullable=False, comment="The short handle that an agent was given."),
        sa.Column("caller", sa.TEXT(), nullable=False, comment="Whose it is: nobody else can apply it."),
        sa.Column("document", sa.TEXT(), nullable=False, comment="The mutation that was previewed, and is applied."),
        sa.Column("variables", postgresql.JSONB(), nullable=False, comment="Its variables."),
        sa.Column(
            "row_versions",
            postgresql.JSONB(),
            nullable=False,
            comment="Rows that it concerns, by their ids, with their versions: it is applied while they are these.",
        ),
        sa.Column(
            "question", sa.TEXT(), nullable=False, comment="What a person is asked, in the gateway's words alone."
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was made.",
        ),
        sa.Column(
            "expires_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="Until when it can be applied.",
        ),
        sa.Column(
            "asked",
            sa.TEXT(),
            nullable=True,
            comment="State of the question that was put last; an answer must repeat it.",
        ),
        sa.Column(
            "answer",
            sa.TEXT(),
            nullable=True,
            comment="What came back to that question by another connection.",
        ),
        sa.Column(
            "confirmed_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When a person has said yes.",
        ),
        sa.Column(
            "confirmed_by",
            sa.TEXT(),
            nullable=True,
            comment="How: by the client of the agent, or as a role of the database.",
        ),
        sa.Column(
            "outcome",
            sa.TEXT(),
            nullable=True,
            comment="What ended it: applied, declined or stale; null while it can be applied.",
        ),
        sa.Column("ended_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When that was."),
        sa.PrimaryKeyConstraint("preview_id", name=op.f("pk_change_previews")),
        schema="gateway",
        comment="Changes that agents have previewed, until a person confirms them; kept for an hour after they expire.",
    )
    op.create_index("ix_change_previews_expires_at", "change_previews", ["expires_at"], unique=False, schema="gateway")

"""trusted documents"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None
own = True


def upgrade() -> None:
    """Changes a database at revision 0007 into one at 0008."""
    op.create_table(
        "trusted_documents",
        sa.Column(
            "id", sa.TEXT(), nullable=False, comment="What clients name it by: its SHA-256, or an id of their making."
        ),
        sa.Column("document", sa.TEXT(), nullable=False, comment="The document, to the letter."),
        sa.Column("name", sa.TEXT(), nullable=True, comment="What it was called where it came from."),
        sa.Column(
            "added_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was added.",
        ),
        sa.Column(
            "added_by",
            sa.TEXT(),
            server_default=sa.text("CURRENT_USER"),
            nullable=False,
            comment="The role that added it.",
        ),
        sa.CheckConstraint(
            "id !~ '^[0-9a-f]{64}$' OR id = encode(sha256(convert_to(document, 'UTF8')), 'hex')",
            name=op.f("ck_trusted_documents_hash"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trusted_documents")),
        schema="gateway",
        comment="Documents that are answered where others are not; added, listed and removed by the command line.",
    )

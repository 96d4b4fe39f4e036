"""service tokens"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
own = True


def upgrade() -> None:
    """Changes a database at revision 0004 into one at 0005."""
    op.create_table(
        "service_tokens",
        sa.Column(
            "name",
            sa.TEXT(),
            nullable=False,
            comment="Whose it is; the record of changes names it, so none is used twice.",
        ),
        sa.Column("hash", sa.TEXT(), nullable=False, comment="SHA-256 of the token, which nobody has but its owner."),
        sa.Column("scopes", postgresql.ARRAY(sa.TEXT()), nullable=False, comment="Roles and scopes that it has."),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was made.",
        ),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=False, comment="Until when it is good."),
        sa.Column("revoked_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="When it was taken back."),
        sa.Column(
            "last_used_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When it was last used, to a minute.",
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_service_tokens")),
        sa.UniqueConstraint("hash", name=op.f("uq_service_tokens_hash")),
        schema="gateway",
        comment="Tokens of agents and services, made, listed and revoked by the command line.",
    )

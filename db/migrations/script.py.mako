"""${message}"""

# ruff: noqa: E501, PLR0915 - a comment is one string, and one migration one function

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    """Changes a database at revision ${down_revision if down_revision else "nothing"} into one at ${up_revision}."""
    ${upgrades if upgrades else "pass"}

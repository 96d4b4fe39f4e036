"""Alembic's environment: runs on the connection that it is given, in that connection's transaction."""

from alembic import context

from db.migrations.compare import OPTIONS

context.configure(connection=context.config.attributes["connection"], **OPTIONS)
with context.begin_transaction():
    context.run_migrations()

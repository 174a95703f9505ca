"""Runs the migrations over the connection that `stage4.setup` hands over."""

from alembic import context

# One transaction for everything: a migration that fails leaves the schema as it was.
context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema="stage4",
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()

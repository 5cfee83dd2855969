"""Run by Alembic: applies the migrations, each in its own transaction, on the connection that migrate.py opened."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    on_version_apply=context.config.attributes["on_apply"],
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()

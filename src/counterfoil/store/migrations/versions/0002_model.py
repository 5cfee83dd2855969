"""The model of payments, and the rules the database itself holds."""

from counterfoil.store.migrations import sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    sql("0002_model.sql")

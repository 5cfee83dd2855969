"""A dispute that has ended may go into another round."""

from counterfoil.store.migrations import sql

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    sql("0018_rounds.sql")

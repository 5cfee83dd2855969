"""The numbers of receipts stay, even where a whole table is emptied."""

from counterfoil.store.migrations import sql

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    sql("0014_numbers.sql")

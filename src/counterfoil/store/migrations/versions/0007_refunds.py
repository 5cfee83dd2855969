"""Refunds: what is asked, who approved it, what came of it."""

from counterfoil.store.migrations import sql

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    sql("0007_refunds.sql")

"""Receipts: numbered, kept, delivered."""

from counterfoil.store.migrations import sql

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    sql("0011_receipts.sql")

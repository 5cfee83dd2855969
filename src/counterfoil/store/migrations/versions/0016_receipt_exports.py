"""Exports of receipts that are made in the background."""

from counterfoil.store.migrations import sql

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    sql("0016_receipt_exports.sql")

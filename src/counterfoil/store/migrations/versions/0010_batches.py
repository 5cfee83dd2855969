"""Batches: many refunds that are checked and approved together."""

from counterfoil.store.migrations import sql

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    sql("0010_batches.sql")

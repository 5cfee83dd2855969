"""Disputes: what a customer's bank asks back, and what we answered."""

from counterfoil.store.migrations import sql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    sql("0008_disputes.sql")

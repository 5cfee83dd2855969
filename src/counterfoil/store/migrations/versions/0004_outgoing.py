"""Outgoing events: who is told, of what, and how it went."""

from counterfoil.store.migrations import sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    sql("0004_outgoing.sql")

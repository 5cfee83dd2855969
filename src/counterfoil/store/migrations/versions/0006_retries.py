"""Retries: what is tried again and when, and who was told."""

from counterfoil.store.migrations import sql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    sql("0006_retries.sql")

"""Imports: past payments brought along from before."""

from counterfoil.store.migrations import sql

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    sql("0009_imports.sql")

"""Exceptions are resolved by a person, who says what was done."""

from counterfoil.store.migrations import sql

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    sql("0013_exceptions.sql")

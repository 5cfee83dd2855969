"""The merchant's own templates of receipts."""

from counterfoil.store.migrations import sql

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    sql("0012_templates.sql")

"""Recovery: how far the gateways' own lists were read."""

from counterfoil.store.migrations import sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    sql("0005_recovery.sql")

"""Failover: how gateways fare, and what is given back by itself."""

from counterfoil.store.migrations import sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    sql("0003_failover.sql")

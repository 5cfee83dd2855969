"""A batch that waits for approval is reminded of, and ends in time."""

from counterfoil.store.migrations import sql

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    sql("0019_batch_expiry.sql")

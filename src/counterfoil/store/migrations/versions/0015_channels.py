"""One occasion may be told to one recipient by several channels."""

from counterfoil.store.migrations import sql

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    sql("0015_channels.sql")

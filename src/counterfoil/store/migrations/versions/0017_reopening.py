"""An exception that was settled can be opened again."""

from counterfoil.store.migrations import sql

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    sql("0017_reopening.sql")

"""The queue: PgQueuer's tables, its trigger, and what the service may do with them."""

from counterfoil.store.migrations import grant_app, sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    sql("0001_queue.sql")
    grant_app(
        "SELECT, INSERT, UPDATE, DELETE ON pgqueuer, pgqueuer_log, pgqueuer_schedules, pgqueuer_statistics",
        "USAGE ON SEQUENCE pgqueuer_id_seq, pgqueuer_schedules_id_seq, pgqueuer_statistics_id_seq",
        "SELECT ON alembic_version",  # the service asks whether its database is up to date
    )

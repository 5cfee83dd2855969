"""What the doctor asks of the database."""

from datetime import datetime

from counterfoil.store.database import Connection


async def server(conn: Connection) -> int:
    """PostgreSQL's version as a number: 180004 for 18.4."""
    version: str = await conn.fetchval("SELECT current_setting('server_version_num')")
    return int(version)


async def now(conn: Connection) -> datetime:
    """The database server's own clock."""
    told: datetime = await conn.fetchval("SELECT clock_timestamp()")
    return told


async def oldest_job_s(conn: Connection) -> float | None:
    """How long the oldest job that may run has waited; None where none waits."""
    waited: float | None = await conn.fetchval(
        "SELECT extract(epoch FROM clock_timestamp() - min(execute_after))::float8 FROM pgqueuer WHERE status = 'queued'"
    )
    return waited


async def troubles(conn: Connection, merchant_id: str, mode: str) -> tuple[int, int, int]:
    """How many webhooks are dead, how many are parked, and how many exceptions are open."""
    row = await conn.fetchrow(
        """
        SELECT (SELECT count(*) FROM inbox WHERE merchant_id = $1 AND mode = $2 AND status = 'dead') AS dead,
               (SELECT count(*) FROM inbox WHERE merchant_id = $1 AND mode = $2 AND status = 'parked') AS parked,
               (SELECT count(*) FROM exceptions WHERE merchant_id = $1 AND mode = $2 AND resolved_at IS NULL) AS open
        """,
        merchant_id,
        mode,
    )
    return (row["dead"], row["parked"], row["open"]) if row else (0, 0, 0)

"""What a migration is written with: the SQL file beside it, and grants to the role that the service runs as.

A version is two files, `versions/0001_queue.py` and `versions/0001_queue.sql`. Each runs in a transaction of its own, as
the role that owns the database; `counterfoil.store.migrate` runs them.
"""

from pathlib import Path

from alembic import op

VERSIONS = Path(__file__).parent / "versions"


def sql(name: str) -> None:
    """Execute the statements of a file of `versions/`, in the migration's transaction."""
    statements = (VERSIONS / name).read_text(encoding="utf-8")
    # SQLAlchemy opens the transaction at its own first statement, and the file does not pass through SQLAlchemy.
    op.execute("SELECT 1")
    # The driver's simple protocol: a prepared statement, which op.execute makes, holds one statement only.
    op.get_bind().connection.dbapi_connection.run_async(lambda driver: driver.execute(statements))  # type: ignore[union-attr]


def grant_app(*grants: str) -> None:
    """Grant to the role `app`, where there is one: a database of the user's own may have a single user.

    A grant is what stands between GRANT and TO: "SELECT, INSERT ON journals".
    """
    statements = " ".join(f"GRANT {grant} TO app;" for grant in grants)
    op.execute(
        f"DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'app') THEN {statements} END IF; END $$"
    )

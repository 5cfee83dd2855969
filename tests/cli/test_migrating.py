"""counterfoil migrate: once, however many ask."""

import subprocess

from service import counterfoil


def test_an_empty_database_is_brought_up_to_date_once(run, spawn, empty_database):
    first = spawn("migrate", database_url=empty_database.owner_url)
    assert first.status == 0
    assert all(line.startswith("migrated: ") for line in first.out.splitlines())
    assert first.out
    again = run("migrate", database_url=empty_database.owner_url)
    assert (again.status, again.out) == (0, "The database is up to date.\n")


def test_processes_that_migrate_at_once_migrate_once(environ, empty_database):
    both = [
        subprocess.Popen(
            counterfoil("migrate"),
            env=environ | {"COUNTERFOIL_DATABASE_URL": empty_database.owner_url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outs = sorted(one.communicate(timeout=60)[0] for one in both)
    assert [one.returncode for one in both] == [0, 0]
    assert outs[0] == "The database is up to date.\n"
    assert outs[1].startswith("migrated: ")

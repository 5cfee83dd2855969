"""The operating system's user that PostgreSQL runs as: ourselves, or, because PostgreSQL refuses root, a system user."""

import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from counterfoil.domain.errors import ConfigurationError
from counterfoil.store.embedded.folder import ELSEWHERE, Folder

SYSTEM_USER = "counterfoil"


@dataclass(frozen=True, slots=True)
class Account:
    """`user` and `group` are None where PostgreSQL runs as ourselves."""

    user: int | None = None
    group: int | None = None

    def give(self, path: Path) -> None:
        """Make the account the owner of a path that we have just made."""
        if self.user is not None and self.group is not None:
            os.chown(path, self.user, self.group)

    def barrier(self, path: Path) -> Path | None:
        """The first folder on the way to `path` that the account may not pass; None where the way is open."""
        if self.user is None:
            return None
        return next((folder for folder in reversed(path.parents) if not self._may_pass(folder)), None)

    def _may_pass(self, folder: Path) -> bool:
        status = folder.stat()
        if status.st_uid == self.user:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.group:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def choose(folder: Folder) -> Account:
    """The account for this folder: that which owns the cluster, so that a moved volume keeps working.

    Raises ConfigurationError where the cluster belongs to someone we cannot run as, or the account cannot get there.
    """
    account = _root_account(folder) if os.geteuid() == 0 else _own_account(folder)
    if barrier := account.barrier(folder.cluster):
        raise ConfigurationError(
            f"PostgreSQL does not run as root, and its user {_name(account.user)} may not pass through {barrier}. "
            f"Allow it with `chmod o+x {barrier}`, or {ELSEWHERE}."
        )
    return account


def _own_account(folder: Folder) -> Account:
    if folder.cluster.exists() and (owner := folder.cluster.stat().st_uid) != os.geteuid():
        raise ConfigurationError(
            f"The database in {folder.root} belongs to the user {_name(owner)}. Run as that user, or {ELSEWHERE}."
        )
    return Account()


def _root_account(folder: Folder) -> Account:
    if not folder.cluster.exists():
        return _system_account()
    status = folder.cluster.stat()
    if status.st_uid == 0:
        raise ConfigurationError(
            f"The database in {folder.root} belongs to root, but PostgreSQL does not run as root. Give it away with "
            f"`chown -R {SYSTEM_USER}: {folder.cluster} {folder.passwords}` and start again."
        )
    return Account(status.st_uid, status.st_gid)


def _system_account() -> Account:
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        _add_system_user()
        entry = pwd.getpwnam(SYSTEM_USER)
    return Account(entry.pw_uid, entry.pw_gid)


def _add_system_user() -> None:
    remedy = f"Make a system user named {SYSTEM_USER} by hand, or start as an ordinary user."
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin")
    if useradd is None:
        raise ConfigurationError(f"PostgreSQL does not run as root, and there is no useradd here. {remedy}")
    command = [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
    made = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  no word of it is input
    if made.returncode:
        raise ConfigurationError(f"useradd could not make a system user: {made.stderr.strip()}. {remedy}")


def _name(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid or 0).pw_name
    except KeyError:  # a uid without a name, as containers have
        return str(uid)

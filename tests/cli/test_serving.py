"""counterfoil serve, web and worker: processes that start, work together, and end when told."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service import Service, call, counterfoil, environment


@contextmanager
def started(environ: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process of the service; what is still running at the end is killed."""
    one = subprocess.Popen(
        counterfoil(*arguments), env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield one
    finally:
        one.kill()
        one.communicate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def ready(url: str, service: Service) -> None:
    def there() -> bool:
        try:
            return call(url, "GET", "/readyz").status == 200
        except OSError:
            return False

    service.eventually(there, seconds=20)


def ended(one: subprocess.Popen[str], number: int) -> tuple[int, str]:
    """The exit status after the signal, and what was said."""
    one.send_signal(number)
    _, err = one.communicate(timeout=30)
    return one.returncode, err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_serving_process_says_where_and_ends_when_told(environ, service, number):
    port = free_port()
    with started(environ, "serve", "--port", str(port)) as one:
        ready(f"http://127.0.0.1:{port}", service)
        status, said = ended(one, number)
        assert said == f"Counterfoil (sandbox) listens on http://127.0.0.1:{port}\n"
        assert status == 0


def test_a_port_in_use_is_one_sentence(run, service: Service):
    port = service.url.rpartition(":")[2]
    for command in ("serve", "web", "sandbox"):
        ran = run(command, "--port", port)
        assert ran.status == 1
        assert ran.err == f"counterfoil: Cannot listen on 127.0.0.1:{port}: Address already in use. Choose another --port.\n"  # fmt: skip


def test_a_host_that_is_not_ours_is_one_sentence(run):
    ran = run("serve", "--host", "192.0.2.1", "--port", "0")
    assert ran.status == 1
    assert ran.err == "counterfoil: Cannot listen on 192.0.2.1:0: Cannot assign requested address. Choose another --host.\n"  # fmt: skip


@pytest.mark.parametrize("command", ["web", "worker"])
def test_the_halves_leave_migrations_to_migrate(run, command, empty_database):
    options = ("--port", "0") if command == "web" else ()
    ran = run(command, *options, database_url=empty_database.owner_url)
    assert ran.status == 1
    assert ran.err == "counterfoil: The database lacks migrations. Run `counterfoil migrate` once, then start again.\n"  # fmt: skip


@pytest.mark.parametrize("command", ["web", "worker"])
def test_a_password_that_is_wrong_is_one_sentence(run, command, service: Service):
    place = service.database_url.rpartition("@")[2]
    options = ("--port", "0") if command == "web" else ()
    ran = run(command, *options, database_url=f"postgresql://app:hidden@{place}")
    assert ran.status == 1
    assert ran.err == f'counterfoil: The database at {place} refused: password authentication failed for user "app".\n'  # fmt: skip


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none_is_refused(run, port):
    assert run("serve", "--port", port).status == 2


def test_web_and_worker_in_processes_of_their_own_do_it_together(
    database_url, service: Service, tmp_path: Path
):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environ = environment(service.sandbox, database_url, tmp_path / "key", public_url=url)
    with (
        started(environ, "web", "--port", str(port)) as web,
        started(environ, "worker") as worker,
    ):
        ready(url, service)
        key = subprocess.run(counterfoil("keys", "create", "--name", "x", "--role", "support"), env=environ, capture_output=True, text=True, check=True).stdout.split()[-1]  # fmt: skip
        sent = {"authorization": f"Bearer {key}"}
        service.sandbox.webhooks(deliver_to=url)
        try:
            made = call(
                url, "POST", "/api/payments", {"amount": 50_000, "currency": "INR"}, headers=sent
            ).json
            service.pay_razorpay(made["checkout"]["razorpay"]["order_id"])

            def payment() -> Any:
                return call(url, "GET", f"/api/payments/{made['id']}", headers=sent).json

            service.eventually(lambda: payment()["status"] == "captured", seconds=20)
        finally:
            service.sandbox.webhooks(deliver_to=service.url)
        assert ended(worker, signal.SIGTERM) == (0, "Counterfoil's worker is at work\n")
        assert ended(web, signal.SIGTERM)[0] == 0


@pytest.mark.crash
def test_with_nothing_configured_it_runs_a_database_of_its_own(service: Service, data_folder):
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERFOIL_")}
    environ |= {"COUNTERFOIL_DATA": str(data_folder / "data")}
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with started(environ, "serve", "--port", str(port)) as one:
        ready(url, service)
        listed = subprocess.run(counterfoil("keys", "create", "--name", "x", "--role", "viewer"), env=environ, capture_output=True, text=True, check=True)  # fmt: skip
        key = listed.stdout.split()[-1]
        answer = call(url, "GET", "/api/payments", headers={"authorization": f"Bearer {key}"})
        assert (answer.status, answer.json["data"]) == (200, [])
        status, said = ended(one, signal.SIGTERM)
        assert status == 0
        assert said.count("migrated: ") >= 1
    after = subprocess.run(counterfoil("keys", "list", "--json"), env=environ, capture_output=True, text=True, check=True)  # fmt: skip
    assert '"role": "viewer"' in after.stdout


def test_the_sandbox_runs_by_command(environ, service: Service):
    port = free_port()
    with started(environ, "sandbox", "--port", str(port)) as one:
        service.eventually(lambda: _answers(f"http://127.0.0.1:{port}"), seconds=20)
        _, said = ended(one, signal.SIGTERM)
        assert f"http://127.0.0.1:{port}/_sandbox/" in said


def _answers(url: str) -> bool:
    try:
        return call(url, "GET", "/_sandbox/clock").status == 200
    except OSError:
        return False

"""demo: the whole house on this machine, with two payments going through it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import click

from counterfoil.domain.errors import ConfigurationError

WEB_PORT: Final = 8400
SANDBOX_PORT: Final = 8420
START_S: Final = 60.0  # a first start makes the database; two cores take a few seconds
STOP_S: Final = 30.0

# Made up, and they look it: the sandbox takes any.
KEYS: Final = {
    "COUNTERFOIL_STRIPE_SECRET_KEY": "sk_test_counterfoil_demo",
    "COUNTERFOIL_STRIPE_PUBLISHABLE_KEY": "pk_test_counterfoil_demo",
    "COUNTERFOIL_STRIPE_WEBHOOK_SECRET": "whsec_counterfoil_demo",
    "COUNTERFOIL_RAZORPAY_KEY_ID": "rzp_test_counterfoil",
    "COUNTERFOIL_RAZORPAY_KEY_SECRET": "counterfoil_demo_secret",
    "COUNTERFOIL_RAZORPAY_WEBHOOK_SECRET": "counterfoil_demo_webhook",
}


@click.command()
@click.option("--exit", "leave", is_flag=True, help="End after the tour.")
@click.option(
    "--port", default=WEB_PORT, show_default=True, help="Port of the service; another, where it is taken."
)
@click.option(
    "--sandbox-port",
    default=SANDBOX_PORT,
    show_default=True,
    help="Port of the sandbox; another, where it is taken.",
)
def demo(leave: bool, port: int, sandbox_port: int) -> None:
    """Show it all: database, sandbox, web and worker, and a payment through each gateway."""
    from counterfoil.cli.tour import tour

    for ending in (signal.SIGTERM, signal.SIGHUP):  # a terminal that closes says the latter
        signal.signal(ending, _interrupt)
    began = time.monotonic()
    with ExitStack() as closing:
        data = closing.enter_context(_folder())
        web, sandbox = f"http://127.0.0.1:{_free(port)}", f"http://127.0.0.1:{_free(sandbox_port)}"
        environment = _environment(data, web, sandbox)
        click.echo("Starting the sandbox (Stripe and Razorpay, imitated over real HTTP) …")
        arguments = (
            "sandbox",
            "--port",
            web_port(sandbox),
            "--data",
            str(data / "sandbox"),
            "--deliver-to",
            web,
        )
        closing.enter_context(
            _running(arguments, environment, data / "sandbox.log", f"{sandbox}/_sandbox/clock")
        )
        click.echo("Starting PostgreSQL, web and worker …")
        served = closing.enter_context(
            _running(("serve", "--port", web_port(web)), environment, data / "serve.log", f"{web}/readyz")
        )
        razorpay = KEYS["COUNTERFOIL_RAZORPAY_KEY_ID"], KEYS["COUNTERFOIL_RAZORPAY_KEY_SECRET"]
        tour(web, sandbox, _make_key(environment), razorpay, began=began)
        if not leave:
            click.echo("Ctrl-C ends it.")
            _wait(served)
    click.echo("Stopped; the demo's data is gone.")


def web_port(url: str) -> str:
    return url.rpartition(":")[2]


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder of its own that PostgreSQL's user may pass through, removed at the end."""
    path = Path(tempfile.mkdtemp(prefix="counterfoil-demo-"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _free(port: int) -> int:
    """The port, or where it is taken, a free one."""
    for candidate in (port, 0):
        with socket.socket() as probe:
            # As the servers do: what an earlier demo's connections left behind does not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise ConfigurationError("No port is free on 127.0.0.1.")


def _environment(data: Path, web: str, sandbox: str) -> dict[str, str]:
    """The demo's own configuration; none of the caller's COUNTERFOIL_ variables reaches it."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERFOIL_")}
    return (
        mine
        | KEYS
        | {
            "COUNTERFOIL_DATA": str(data / "database"),
            "COUNTERFOIL_PUBLIC_URL": web,
            "COUNTERFOIL_STRIPE_BASE_URL": f"{sandbox}/stripe",
            "COUNTERFOIL_RAZORPAY_BASE_URL": f"{sandbox}/razorpay",
            "COUNTERFOIL_CLOCK_URL": f"{sandbox}/_sandbox/clock",
            "COUNTERFOIL_BUSINESS_NAME": "The Demo Bakery",
        }
    )


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from counterfoil.cli.main import main; main()", *arguments]


@contextmanager
def _running(
    arguments: tuple[str, ...], environment: Mapping[str, str], log: Path, ready: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours, once it answers; ended at the end, kindly first."""
    with log.open("wb") as lines:
        # Its own session: Ctrl-C reaches this process alone, which then stops the others in order.
        process = subprocess.Popen(  # noqa: S603  our own command
            _command(*arguments), env=dict(environment), stdout=lines, stderr=lines, start_new_session=True
        )
    try:
        _await(process, ready, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310  our own address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise ConfigurationError(
        f"It did not start. Its last words:\n{log.read_text('utf-8', 'replace')[-2000:]}"
    )


def _make_key(environment: Mapping[str, str]) -> str:
    """An API key, made as an operator makes one."""
    made = subprocess.run(  # noqa: S603  our own command
        _command("keys", "create", "--name", "demo", "--role", "admin"),
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise ConfigurationError(f"No API key could be made: {made.stderr.strip()}")
    return made.stdout.splitlines()[-1]


def _wait(served: subprocess.Popen[bytes]) -> None:
    """Stay until Ctrl-C, or until the service ends by itself."""
    try:
        served.wait()
    except KeyboardInterrupt:
        click.echo("\nStopping …")

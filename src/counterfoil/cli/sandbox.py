"""sandbox: both gateways imitated on this machine."""

from contextlib import closing
from pathlib import Path

import click

from counterfoil.cli.running import bind, configuration
from counterfoil.sandbox.config import Config
from counterfoil.settings import Settings


def sandbox_config(
    chosen: Settings,
    *,
    deliver_to: str | None = None,
    livemode: bool = False,
    data: Path | None = None,
    latency_ms: int = 0,
    seed: int | None = None,
) -> Config:
    """The sandbox with the service's own secrets, or with the made-up ones where none are set."""
    secrets = {
        name: value
        for name in (
            "stripe_secret_key",
            "stripe_publishable_key",
            "stripe_webhook_secret",
            "razorpay_key_id",
            "razorpay_key_secret",
            "razorpay_webhook_secret",
        )
        if (value := getattr(chosen, name))
    }
    return Config(
        data=data, livemode=livemode, seed=seed, deliver_to=deliver_to, latency_ms=latency_ms, **secrets
    )


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8420, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on."
)
@click.option("--deliver-to", metavar="URL", help="The service whose two webhook paths it calls.")
@click.option("--livemode", is_flag=True, help="Objects say livemode: to test live mode on this machine.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of its truth; memory, where left out.")
@click.option(
    "--latency-ms", default=0, show_default=True, type=click.IntRange(0, 60_000), help="Added to every call."
)
@click.option("--seed", type=int, help="The same seed gives the same ids.")
def sandbox(
    host: str,
    port: int,
    deliver_to: str | None,
    livemode: bool,
    data: Path | None,
    latency_ms: int,
    seed: int | None,
) -> None:
    """Stripe under /stripe, Razorpay under /razorpay, control under /_sandbox."""
    from counterfoil.sandbox.server import make_server

    config = sandbox_config(
        configuration(), deliver_to=deliver_to, livemode=livemode, data=data, latency_ms=latency_ms, seed=seed
    )
    with closing(bind(host, port)) as bound:
        here = f"http://{host}:{bound.getsockname()[1]}"
        click.echo(f"The sandbox listens on {here}; look at {here}/_sandbox/", err=True)
        make_server(config, host=host, port=port).run(sockets=[bound])

"""The sandbox behind a port."""

import uvicorn

from counterfoil.sandbox.app import create_app
from counterfoil.sandbox.config import Config
from counterfoil.sandbox.wire import SandboxProtocol

HOST, PORT = "127.0.0.1", 8420


def make_server(config: Config, *, host: str = HOST, port: int = PORT) -> uvicorn.Server:
    """A server that is not running yet; port 0 takes a free one. It listens on loopback unless told otherwise."""
    return uvicorn.Server(
        uvicorn.Config(
            create_app(config),
            host=host,
            port=port,
            http=SandboxProtocol,
            access_log=False,
            log_level="warning",
            timeout_graceful_shutdown=1,
        )
    )


def serve(config: Config, *, host: str = HOST, port: int = PORT) -> None:
    """Serve until interrupted."""
    make_server(config, host=host, port=port).run()

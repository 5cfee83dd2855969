"""One sandbox for the whole folder, emptied before each test."""

from collections.abc import Iterator

import pytest

from sandbox_server import Endpoint, Sandbox, run_sandbox
from sandbox_stripe import Merchant, receive


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Sandbox]:
    with run_sandbox(jump_pause_ms=50) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    """A running sandbox that knows nothing yet and delivers to nobody."""
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture
def merchant(sandbox: Sandbox) -> Iterator[Merchant]:
    """The official Stripe SDK, which retries nothing by itself."""
    merchant = Merchant(sandbox)
    yield merchant
    merchant.session.close()


@pytest.fixture
def receiver(sandbox: Sandbox) -> Iterator[Endpoint]:
    with receive(sandbox) as receiver:
        yield receiver

"""A service whose pages are visited, and a Chromium that visits them."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from database import Postgres
from service import Service, serving

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# In a container without a graphics card, and calling nobody but us.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]


@pytest.fixture(scope="module")
def service(fast_postgres: Postgres) -> Iterator[Service]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed: journeys need one in the path")
    with serving(fast_postgres, business_name="Lakeside Books") as running:
        yield running


@pytest.fixture(scope="module")
def browser(service: Service) -> Iterator[Browser]:
    """Opened after the service and closed before it: while it is open, this thread can run no other event loop."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()

"""A service whose pages are visited, and a Chromium that visits them."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from chromium import find, open_browser
from database import Postgres
from service import Service, serving


@pytest.fixture(scope="module")
def service(fast_postgres: Postgres) -> Iterator[Service]:
    find()
    with serving(fast_postgres, business_name="Lakeside Books") as running:
        yield running


@pytest.fixture(scope="module")
def browser(service: Service) -> Iterator[Browser]:
    """Opened after the service and closed before it: while it is open, this thread can run no other event loop."""
    with open_browser() as chromium:
        yield chromium

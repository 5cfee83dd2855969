"""The browser that tests drive."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

FIND = Path(__file__).parents[1] / "tools" / "browser.sh"
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


def find() -> str:
    """Where it is; without one the test is skipped."""
    found = subprocess.run([FIND], capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip("no Chromium is installed: put one into the path, or name it in CHROMIUM")
    return found.stdout.strip()


@contextmanager
def open_browser() -> Iterator[Browser]:
    """While it is open, this thread can run no other event loop."""
    path = find()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()

"""Somebody who was given a receipt follows its link, and asks whether the PDF they have is it."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from service import Service, call

pytestmark = pytest.mark.browser

WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}


def receipt(service: Service) -> Any:
    made = service.create(payment_method="pm_card_bypassPending", confirm=True)
    service.until(made["id"], "captured")
    return service.get(f"/api/payments/{made['id']}/receipt").json


@pytest.mark.parametrize("width", [390, 1360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_pdf_is_known_for_the_receipt_or_told_for_another(
    service: Service, browser: Browser, tmp_path: Path, width: int, scheme: str
):
    shown = receipt(service)
    place = shown["verify_url"].removeprefix(service.url)
    file = tmp_path / f"{shown['number']}.pdf"
    file.write_bytes(call(service.url, "GET", f"{place}?format=pdf").body)
    with closing(
        browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    ) as context:
        page, asked, said = context.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.goto(shown["verify_url"])
        verdict = page.get_by_role("status")
        expect(verdict).to_contain_text(f"issued this as {shown['number']}")
        page.get_by_text("Compare a PDF with this document").click()
        page.get_by_label("PDF file").set_input_files(file)
        page.get_by_role("button", name="Compare").click()
        expect(verdict).to_contain_text("The file you sent is this receipt, unchanged.")
        fits(page, width)
        file.write_bytes(file.read_bytes() + b" ")
        page.get_by_label("PDF file").set_input_files(file)
        page.get_by_role("button", name="Compare").click()
        expect(verdict).to_contain_text("The file you sent is not this receipt")
        fits(page, width)
        assert [url for url in asked if not url.startswith(service.url)] == []
        assert said == []


def fits(page: Any, width: int) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page, options=WCAG)
    assert found.violations_count == 0, found.generate_report()

"""The page of the API, in Chromium: small and large, light and dark."""

from contextlib import closing

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from service import Service

pytestmark = pytest.mark.browser

WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}


@pytest.mark.parametrize("width", [390, 1360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_api_is_read_on_any_screen_and_asks_no_other_host(
    service: Service, browser: Browser, width: int, scheme: str
):
    with closing(
        browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    ) as context:
        page, asked, said = context.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.goto(f"{service.url}/docs")
        expect(page.get_by_role("heading", level=1)).to_have_text("Counterfoil: the API")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = Axe().run(page, options=WCAG)
        assert found.violations_count == 0, found.generate_report()
        assert [url for url in asked if not url.startswith(service.url)] == []
        assert said == []

"""In a real browser, without a policy from a server, as a saved file is opened: which pages ask a server for something."""

import base64
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Literal

import pytest
from playwright.sync_api import Page

from chromium import open_browser
from counterfoil.documents import markup
from counterfoil.documents.template import TemplateError

PATIENCE_S = 10.0
# Each asks the server at {at} in this browser.
LOADING = [
    '<p style="background: url({at})">',
    '<p style="background: u\\72l({at})">',
    "<p style='background: image-set(\"{at}\" 1x)'>",
    "<p style='background: -webkit-image-set(url({at}) 1x)'>",
    "<p style='background: -webkit-cross-fade(url({at}), url({at}), 50%)'>",
    "<p style='--place: url({at}); background: var(--place)'>",
    "<p style='list-style: image-set(\"{at}\" 1x) inside; display: list-item'>",
    "<style>p::before {{ content: image-set('{at}' 1x) }}</style><p>x",
    "<style>@import '{at}'</style>",
    "<style>@import\turl({at})</style>",
    "<style>/**/@ImPoRt/**/'{at}'</style>",
    "<style>@font-face {{ font-family: x; src: url({at}) }} p {{ font-family: x }}</style><p>x",
    "<img src='{at}'>",
    "<img srcset='{at}'>",
    "<picture><source srcset='{at}'><img></picture>",
    "<body background='{at}'>",
    "<table background='{at}'>",
    "<link rel=stylesheet href='{at}'>",
    "<link rel=preload as=image href='{at}'>",
    "<iframe src='{at}'></iframe>",
    "<object data='{at}'></object>",
    "<embed src='{at}'>",
    "<video poster='{at}'></video>",
    "<audio src='{at}' preload=auto></audio>",
    "<input type=image src='{at}'>",
    "<svg><image href='{at}'/></svg>",
    "<svg><filter id=f><feImage href='{at}'/></filter><rect width=9 height=9 filter='url(#f)'/></svg>",
    "<base href='{at}'><img src=x>",
    "<script src='{at}'></script>",
    "<meta http-equiv=refresh content='0;url={at}'>",
]
# These do not, or not yet, or not in this browser.
OTHERS = [
    "<p style='background: src(\"{at}\")'>",
    "<p style='background: image(\"{at}\")'>",
    "<p style='background: element(#x)'>",
    "<p style='background: paint(x)'>",
    "<p style='background: attr(title type(<url>))' title='{at}'>",
    "<p style='background: if(else: url({at}))'>",
    "<p style='background: not-yet-known(\"{at}\")'>",
    "<p style='background: url(\"data:image/svg+xml,%3Csvg/%3E\")'>",
    "<p style='filter: url(data:image/svg+xml;base64,AA#f)'>",
    "<p style='filter: progid:DXImageTransform.Microsoft.AlphaImageLoader(src=\"{at}\")'>",
    "<style>@not-yet-known '{at}';</style>",
    "<style>@namespace url({at});</style>",
    "<a href='#' ping='{at}'>x</a>",
    "<a href='#' attributionsrc='{at}'>x</a>",
    "<html manifest='{at}'>",
    "<meta name=referrer content=unsafe-url>",
    "<meta name=viewport name=referrer content=unsafe-url>",
    "<meta charset=iso-2022-jp>",
    "<p aria-label\"='x'>",
]
# A picture may say what it likes: as a picture it loads nothing.
GREEDY = (
    "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><style>@import '{at}';</style><image href='{at}' width='9' height='9'/>"
    "<foreignObject width='9' height='9'><img xmlns='http://www.w3.org/1999/xhtml' src='{at}'/></foreignObject></svg>"
)


class Asked(BaseHTTPRequestHandler):
    places: list[str]

    def do_GET(self) -> None:
        self.places.append(self.path)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def asked() -> Iterator[tuple[str, list[str]]]:
    places = list[str]()
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Counting", (Asked,), {"places": places})) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", places
        server.shutdown()


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    with open_browser() as chromium, chromium.new_page() as page:
        yield page


def show(tab: Page, page: str, tmp_path: Path, wait_until: Literal["commit", "load", "networkidle"]) -> None:
    (tmp_path / "page.html").write_text(page)
    tab.goto((tmp_path / "page.html").as_uri(), wait_until=wait_until)


def was_asked(places: list[str], number: int) -> bool:
    until = time.monotonic() + PATIENCE_S
    while not (came := any(place.startswith(f"/{number}/") for place in places)) and time.monotonic() < until:
        time.sleep(0.01)
    return came


def test_whatever_makes_a_browser_load_is_refused(asked: tuple[str, list[str]], tab: Page, tmp_path: Path):
    server, places = asked
    for number, attack in enumerate(LOADING):
        page = "<!doctype html>" + attack.format(at=f"{server}/{number}/")
        show(tab, page, tmp_path, "commit")
        assert was_asked(places, number), attack
        with pytest.raises(TemplateError):
            markup.written(page, file="main.html")


@pytest.mark.parametrize("attack", OTHERS)
def test_so_is_what_might_load_elsewhere(attack: str):
    with pytest.raises(TemplateError):
        markup.written(attack.format(at="https://x.example"), file="main.html")


def test_whatever_is_accepted_loads_nothing(asked: tuple[str, list[str]], tab: Page, tmp_path: Path):
    server, places = asked
    picture = base64.b64encode(GREEDY.format(at=f"{server}/picture").encode()).decode()
    within = f"url('data:image/svg+xml;base64,{picture}')"
    functions = "".join(f"<p style='background: {name}\"{server}/{number}\" 1x)'>x</p>" for number, name in enumerate(sorted(markup.HARMLESS)) if name[0] != "@")  # fmt: skip
    rules = " ".join(f'{name} "{server}/{name[1:]}";' for name in sorted(markup.HARMLESS) if name[0] == "@")
    page = (
        f"{functions}<style>{rules}</style><style>@font-face {{ font-family: x; src: url(data:font/ttf;base64,AA) }}"
        f"#p {{ font-family: x; background: {within}; mask: {within}; filter: {within}; clip-path: {within}; cursor: {within}, auto;"
        f" shape-outside: {within}; float: left; border-image: {within}; list-style: {within}; display: list-item }}"
        f"#p::after {{ content: {within} '{server}/text' }}</style>"
        f'<a href="{server}/link">x</a><img src="data:image/svg+xml;base64,{picture}" alt=""><p id="p">Kaveri'
    )
    before = len(places)
    shown = "getComputedStyle(document.getElementById('p')).maskImage.slice(0, 9)"
    show(tab, markup.written(page, file="main.html"), tmp_path, "networkidle")
    assert tab.evaluate(shown) == 'url("data'
    assert places[before:] == []


def test_a_saved_page_is_read_as_it_was_written(tab: Page, tmp_path: Path):
    japanese = "<html lang=en><head><title>x</title></head><body>" + "\x1b$B%+%&%s%?!<%U%)%$%k\x1b(B" * 50
    said = "[document.characterSet, document.documentElement.lang, document.compatMode]"
    show(tab, markup.written(japanese, file="main.html"), tmp_path, "load")
    assert tab.evaluate(said) == ["UTF-8", "en", "CSS1Compat"]
    show(tab, japanese, tmp_path, "load")
    assert tab.evaluate("document.characterSet") != "UTF-8"

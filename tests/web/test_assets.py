"""The files that pages load."""

import re
from base64 import b64encode
from hashlib import sha384
from importlib.resources import files
from pathlib import Path

import pytest

from counterfoil.web import assets
from service import Service, call

STATIC = Path(str(files("counterfoil.web"))) / "static"


def get(service: Service, path: str, **headers: str):
    return call(
        service.url, "GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )


def test_every_file_that_is_there_is_listed_and_every_file_listed_is_there():
    there = {path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file()}
    assert there == set(assets.NAMES)


@pytest.mark.parametrize("name", assets.NAMES)
def test_a_file_comes_with_its_type_and_may_be_kept_for_ever_under_its_mark(service, name):
    asset = assets.find(name)
    answer = get(service, asset.path)
    assert answer.status == 200
    assert answer.body == (STATIC / name).read_bytes()
    assert answer.headers["content-type"] == assets.TYPES[Path(name).suffix]
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert asset.integrity == f"sha384-{b64encode(sha384(answer.body).digest()).decode()}"


def test_without_its_mark_a_file_is_asked_for_again_each_time(service):
    plain = get(service, "/static/checkout/page.css")
    assert plain.headers["cache-control"] == "no-cache"
    again = get(service, "/static/checkout/page.css", if_none_match=plain.headers["etag"])
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "checkout",
        "checkout/",
        "checkout/nothing.js",
        "../app.py",
        "checkout/../../app.py",
        "%2e%2e/app.py",
        "checkout/%2e%2e/%2e%2e/app.py",
        "//etc/passwd",
        "checkout/page.css%00.js",
        "",
    ],
)
def test_nothing_else_is_served(service, path):
    assert get(service, f"/static/{path}").status == 404


def test_no_file_of_ours_reaches_for_another_host():
    for name in assets.NAMES:
        text = assets.find(name).body.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|url\(", text), name

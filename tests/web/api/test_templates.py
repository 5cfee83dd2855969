"""Templates of the merchant's own: brought, previewed, published, chosen, and set aside where they fail."""

import base64
import errno
from collections.abc import Iterator
from itertools import count
from typing import Any

import pypdfium2
import pytest

from counterfoil.documents import jail, markup, page_template, receipt_html, warden
from counterfoil.services import receipts
from database import Postgres
from service import Service, serving

PATH = "/api/payments/receipts/templates"
TYP = "#let r = json(bytes(sys.inputs.data)).shown\n= #r.title\n#r.headline.amount by Kaveri"
PAGE = "<p>Kaveri says: {{ shown.number }}</p>"
FRAGILE = TYP + '\n#if r.buyer.name == "Nobody" { r.nothing }'
NAMES = (f"kaveri-{n}" for n in count())


@pytest.fixture(scope="module")
def service(fast_postgres: Postgres) -> Iterator[Service]:
    with serving(fast_postgres, work=False) as running:
        running.sandbox.webhooks(hold=True)
        yield running


@pytest.fixture
def name() -> str:
    return next(NAMES)


@pytest.fixture(autouse=True)
def _no_rules(service: Service) -> Iterator[None]:
    yield
    use(service)


def use(service: Service, *rules: dict[str, Any]) -> None:
    service.change_settings({"receiptGeneration": {"customTemplates": list(rules)}})


def add(service: Service, name: str, status: int = 201, **files: Any) -> Any:
    given = {file.replace("__", "."): body for file, body in (files or {"main__typ": TYP}).items()}
    answer = service.post(PATH, {"name": name, "files": given})
    assert answer.status == status, answer
    return answer.json


def publish(service: Service, name: str, status: int = 200, **asked: Any) -> Any:
    answer = service.post(f"{PATH}/{name}/publish", asked)
    assert answer.status == status, answer
    return answer.json


def paid(service: Service, amount: int = 10_000, **asked: Any) -> Any:
    return service.create(
        amount, gateway="stripe", payment_method="pm_card_bypassPending", confirm=True, **asked
    )


def receipt(service: Service, payment: Any, format_: str = "json") -> Any:
    answer = service.get(f"/api/payments/{payment['id']}/receipt", format=format_)
    assert answer.status == 200, answer
    return answer.json if format_ == "json" else answer.body


def text(pdf: bytes) -> str:
    with pypdfium2.PdfDocument(pdf) as document:
        said: str = document[0].get_textpage().get_text_range()
    return said


def called(service: Service) -> list[tuple[str, str]]:
    rows = service.rows("SELECT subject, sentence FROM exceptions WHERE kind = 'template_failed' ORDER BY id")
    return [(row["subject"], row["sentence"]) for row in rows]


def test_a_published_template_draws_what_is_issued_from_then_on(service: Service, name: str):
    before = paid(service)
    assert add(service, name, main__typ=TYP, main__html=PAGE)["published"] is None
    use(service, {"template": name})
    unpublished = paid(service)
    assert publish(service, name)["published"] == 1
    after = paid(service)
    templates = [receipt(service, payment)["template"] for payment in (before, unpublished, after)]
    assert templates == [None, None, f"{name}@1"]
    assert receipt(service, after, "pdf") != receipt(service, before, "pdf")
    assert b"Kaveri says: R-" in receipt(service, after, "html")
    assert b"Kaveri says" not in receipt(service, before, "html")
    assert not called(service)


def test_a_receipt_keeps_the_version_it_was_issued_with(service: Service, name: str):
    add(service, name, main__html="<p>one</p>")
    publish(service, name)
    use(service, {"template": name})
    first = paid(service)
    assert [one["version"] for one in add(service, name, main__html="<p>two</p>")["versions"]] == [2, 1]
    second = paid(service)
    publish(service, name)
    third = paid(service)
    service.post(f"{PATH}/{name}/withdraw")
    fourth = paid(service)
    pages = [receipt(service, payment, "html") for payment in (first, second, third, fourth)]
    assert [b"<p>one</p>" in page for page in pages[:3]] == [True, True, False]
    assert b"<p>two</p>" in pages[2]
    assert b"<header>" in pages[3]  # the built-in look


def test_an_earlier_version_can_be_published_again(service: Service, name: str):
    add(service, name, main__html="<p>one</p>")
    add(service, name, main__html="<p>two</p>")
    assert publish(service, name)["published"] == 2
    assert publish(service, name, version=1)["published"] == 1
    assert publish(service, name, 404, version=3)["type"].endswith("not_found")


def test_the_first_rule_that_holds_and_is_published_decides(service: Service, name: str):
    hindi, brand, every = f"{name}-hi", f"{name}-tea", f"{name}-all"
    for one in (hindi, brand, every):
        add(service, one, main__html=f"<p>{one}</p>")
    publish(service, brand)
    publish(service, every)
    use(
        service,
        {"template": hindi, "when": {"metadata": {"brand": "tea"}}},
        {"template": brand, "when": {"metadata": {"brand": "tea"}, "amountFrom": {"USD": 500}}},
        {"template": every, "when": {"kind": ["payment"], "currency": ["USD"], "language": ["en"]}},
    )
    tea, small, other = (
        paid(service, 500, metadata={"brand": "tea"}),
        paid(service, 499, metadata={"brand": "tea"}),
        paid(service, 500),
    )
    assert [receipt(service, one)["template"] for one in (tea, small, other)] == [
        f"{brand}@1",
        f"{every}@1",
        f"{every}@1",
    ]


@pytest.mark.parametrize(
    ("files", "says", "line"),
    [
        ({"main__typ": "= Hello\n#x("}, "unclosed delimiter", 2),
        ({"main__typ": "= Hello\n#json(bytes(sys.inputs.data)).nope"}, "nope", 2),
        ({"main__typ": '#image("gone.png", alt: "x")'}, "file not found", 1),
        ({"main__typ": "#let n = 0\n#while n >= 0 { n += 1 }"}, "infinite", 2),
        ({"main__html": "<p>\n<p>{{ shown.numbr }}"}, "there is no numbr here", 2),
        ({"main__html": "<p>\n<script>x</script>"}, "<script> has no place on it", 2),
    ],
)
def test_a_template_that_cannot_draw_is_not_published_and_says_where(
    service: Service, name: str, files: Any, says: str, line: int
):
    add(service, name, main__typ=TYP, main__html=PAGE)
    publish(service, name)
    add(service, name, **files)
    refused = publish(service, name, 422)
    assert says in refused["detail"]
    assert refused["line"] == line
    assert service.get(f"{PATH}/{name}").json["published"] == 1


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            {"logo.svg": "<svg/>"},
            "has a main.typ for the PDF, a main.html for the page, a mail.html for the mail",
        ),
        ({"main.typ": '#import "@preview/x:1.0.0": *'}, "main.typ:1:2: packages cannot be imported"),
        ({"main.html": "{{ x() }}"}, "call is not understood"),
        ({"main.typ": TYP, "../up.typ": ""}, "is no name of a file"),
        ({"main.typ": TYP, "/etc/x": ""}, "is no name of a file"),
        ({"main.typ": TYP, "a": "x", "a/b": "y"}, "a cannot be a file and the folder of a/b"),
        ({"main.typ": {"base64": "?"}}, "files.main.typ is not base64"),
    ],
)
def test_files_that_are_no_template_are_refused_at_once(service: Service, name: str, files: Any, says: str):
    answer = service.post(PATH, {"name": name, "files": files})
    assert (answer.status, says in answer.json["detail"]) == (422, True), answer
    assert service.get(f"{PATH}/{name}").status == 404


def test_while_a_long_page_is_read_others_are_served(
    service: Service, name: str, monkeypatch: pytest.MonkeyPatch
):
    read, served = page_template.check, list[int]()

    def long(file: str, source: bytes) -> None:
        served.append(service.get(f"{PATH}/nobody").status)  # nothing would answer, were this the event loop
        read(file, source)

    monkeypatch.setattr(page_template, "check", long)
    add(service, name, main__html=PAGE)
    publish(service, name)
    assert service.post(f"{PATH}/{name}/preview", {"format": "html"}).status == 200
    assert served == [404, 404, 404]


def test_a_page_of_a_size_that_nobody_writes_is_refused(service: Service, name: str):
    answer = add(service, name, 422, main__html="{{ shown.number }}" * 20_000)
    assert answer["detail"] == "The template cannot be used: main.html: it has more than 256 kB."


@pytest.mark.parametrize("bad", ["", "Kaveri", "../x", "-x", "x" * 41])
def test_a_name_is_small_and_plain(service: Service, bad: str):
    assert service.post(PATH, {"name": bad, "files": {"main.typ": TYP}}).status == 422


@pytest.mark.parametrize("bad", ["%00", "x%00y", "Kaveri", "%F0%9F%8E%89"])
def test_what_can_be_no_name_stands_for_no_template(service: Service, bad: str):
    for path in (bad, f"{bad}/versions", f"{bad}/versions/1"):
        assert service.get(f"{PATH}/{path}").status == 404
    for action in ("preview", "publish", "withdraw"):
        keyed = {"Idempotency-Key": f"{action}-{bad}"}
        assert service.call("POST", f"{PATH}/{bad}/{action}", {}, headers=keyed).status == 404


def test_a_version_beyond_all_is_not_found(service: Service, name: str):
    add(service, name)
    for beyond in (2, 2**31, 99_999_999_999):
        assert service.get(f"{PATH}/{name}/versions/{beyond}").status == 404
        assert service.post(f"{PATH}/{name}/preview", {"version": beyond}).status == 404
        assert publish(service, name, 404, version=beyond)["detail"].startswith(
            f"There is no template {name}@{beyond} "
        )
    assert service.get(f"{PATH}/{name}/versions/0").status == 422


def test_what_stands_in_a_drawing_is_no_card_number(service: Service, name: str):
    drawn = "<svg><polygon points='4242 4242 4242 4242'/></svg>"
    asked = {"name": name, "files": {"main.typ": TYP, "logo.svg": drawn}}
    assert service.post(PATH, asked).status == 201
    assert service.post(f"{PATH}/{name}/preview", {"files": asked["files"]}).status == 200
    refused = service.post(PATH, asked | {"note": "4242 4242 4242 4242"})
    assert (refused.status, refused.json["code"]) == (400, "pan_not_allowed")


def test_files_come_back_as_they_were_brought(service: Service, name: str):
    files = {"main.typ": TYP, "logo.png": {"base64": base64.b64encode(b"\x89PNG\xff").decode()}}
    made = service.post(PATH, {"name": name, "files": files, "note": "the first"}).json
    (version,) = made["versions"]
    assert (version["note"], version["draws"], version["published"]) == ("the first", ["pdf"], False)
    assert version["files"] == [{"name": "logo.png", "bytes": 5}, {"name": "main.typ", "bytes": len(TYP)}]
    assert service.get(f"{PATH}/{name}/versions/1").json["files"] == files
    assert service.get(f"{PATH}/{name}/versions").json["data"] == made["versions"]
    assert name in [one["name"] for one in service.get(PATH).json["data"]]


def test_the_same_key_brings_a_version_once(service: Service, name: str):
    asked = {"name": name, "files": {"main.typ": TYP}}
    one, two = (
        service.call("POST", PATH, asked, headers={"Idempotency-Key": f"add-{name}"}) for _ in range(2)
    )
    assert (one.status, two.status, two.json) == (201, 201, one.json)
    assert len(service.get(f"{PATH}/{name}").json["versions"]) == 1


def test_a_preview_shows_made_up_and_real_receipts_and_keeps_nothing(service: Service, name: str):
    payment = paid(service, 12_300)
    add(service, name, main__typ=TYP, main__html="<p>{{ shown.headline.amount }} {{ shown.heading }}</p>")
    preview = f"{PATH}/{name}/preview"
    sample = service.post(preview, {"format": "html", "kind": "refund"})
    assert (sample.status, sample.headers["content-security-policy"][:18]) == (200, "default-src 'none'")
    assert "₹2,203.00 Refund receipt" in sample.body.decode()
    assert (
        "₹2,203.00 धनवापसी"
        in service.post(preview, {"format": "html", "kind": "refund", "language": "hi-IN"}).body.decode()
    )
    real = service.post(preview, {"format": "html", "payment": payment["id"]})
    assert "$123.00 Receipt" in real.body.decode()
    assert service.post(preview, {}).body.startswith(b"%PDF")
    asked = {
        "format": "html",
        "files": {"main.html": "<p>unkept</p>"},
        "receipt": receipt(service, payment)["id"],
    }
    assert "unkept" in service.post(preview, asked).body.decode()
    assert len(service.get(f"{PATH}/{name}").json["versions"]) == 1


def test_a_preview_of_a_payment_is_by_its_own_receipt_that_holds(service: Service, name: str):
    add(service, name, main__html="<p>{{ shown.heading }} {{ shown.number }}</p>")
    payment = paid(service, 1_000)
    void = receipt(service, payment)
    service.post(f"/api/payments/receipts/{void['id']}/void", {"reason": "wrong name"})
    preview, asked = f"{PATH}/{name}/preview", {"format": "html", "payment": payment["id"]}
    assert service.post(preview, asked).status == 404
    own = receipt(service, payment)
    service.change_settings({"refundProcessing": {"automatedRefunds": True, "refundApprovalRequired": False}})
    service.post(f"/api/payments/{payment['id']}/refund", {"reason": "duplicate", "amount": 400})
    kinds = service.rows("SELECT kind FROM receipts WHERE payment_id = $1 ORDER BY id", payment["id"])
    assert [row["kind"] for row in kinds] == ["payment", "payment", "refund"]
    drawn = service.post(preview, asked).body.decode()
    assert f"<p>Receipt {own['number']}</p>" in drawn


def test_a_mail_is_previewed_with_what_it_says_by_itself(service: Service, name: str):
    source = "<p>{{ shown.number }}</p>{% for said in mail.paragraphs %}<p>{{ said }}</p>{% endfor %}<a href='{{ mail.link }}'>{{ mail.button }}</a>"
    (version,) = add(service, name, mail__html=source)["versions"]
    assert version["draws"] == ["mail"]
    made = service.post(f"{PATH}/{name}/preview", {"format": "mail", "payment": paid(service)["id"]})
    assert made.headers["content-type"] == "text/html; charset=utf-8"
    assert made.headers["content-security-policy"].startswith("default-src 'none'")
    assert "received your payment of $100.00" in made.body.decode()
    assert f'<a href="{service.context.public_url}/r/' in made.body.decode()
    assert publish(service, name)["published"] == 1
    refused = service.post(
        f"{PATH}/{name}/preview", {"files": {"main.html": "{{ mail.subject }}"}, "format": "html"}
    )
    assert "there is no mail;" in refused.json["detail"]


def test_a_mail_that_would_be_refused_for_its_size_is_not_published(service: Service, name: str):
    picture = {"base64": base64.b64encode(bytes(800_000)).decode()}
    files = {"mail.html": """<img src='{{ files["logo.png"] }}' alt=''>""", "logo.png": picture}
    assert service.post(PATH, {"name": name, "files": files}).status == 201
    assert "a mail has at most 1 MB, pictures included" in publish(service, name, 422)["detail"]


def test_a_preview_says_what_is_wrong(service: Service, name: str):
    add(service, name, main__html="<p>\n{{ shown.no }}")
    preview = f"{PATH}/{name}/preview"
    wrong = service.post(preview, {"format": "html"})
    assert (wrong.status, wrong.json["file"], wrong.json["line"]) == (422, "main.html", 2)
    assert "has no main.typ" in service.post(preview, {"format": "pdf"}).json["detail"]
    unpaid = service.create(100)["id"]
    assert service.post(preview, {"format": "html", "payment": unpaid}).status == 404
    assert service.post(f"{PATH}/nobody/preview", {}).status == 404


def test_where_a_template_fails_the_built_in_look_takes_its_place_and_one_person_is_called(
    service: Service, name: str
):
    add(service, name, main__typ=FRAGILE)
    publish(service, name)
    use(service, {"template": name})
    fine, wrong = paid(service), paid(service, customer={"name": "Nobody"})
    assert receipt(service, wrong)["template"] == f"{name}@1"
    shown = [receipt(service, wrong, "pdf") for _ in range(2)]
    ((subject, sentence),) = called(service)
    assert subject == f"{name}@1"
    assert sentence.startswith(f"The template {name}@1 could not draw R-")
    assert "does not contain key" in sentence
    assert "main.typ:4:" in sentence
    assert shown[0] == shown[1]
    assert receipt(service, fine, "pdf") != shown[0]
    assert len(called(service)) == 1


def test_where_a_templates_process_cannot_start_the_built_in_look_takes_its_place(
    service: Service, name: str, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    add(service, name)
    publish(service, name)
    use(service, {"template": name})
    mine = paid(service)
    assert "by Kaveri" in text(receipt(service, mine, "pdf"))
    # Its worker waits warm since it was published: others push it out.
    for n in range(jail.OWN_TEMPLATES):
        add(service, f"{name}-{n}", main__typ=f"{TYP} {n}")
        service.post(f"{PATH}/{name}-{n}/preview", {})
    monkeypatch.setattr(warden, "_write", full)
    assert "by Kaveri" not in text(receipt(service, mine, "pdf"))
    [told] = service.rows(
        "SELECT sentence FROM exceptions WHERE kind = 'documents_away' AND subject = $1", f"{name}@1"
    )
    assert "No space left on device" in told["sentence"]


@pytest.mark.parametrize("place", ["mkdtemp", "Popen"])
def test_where_no_process_can_start_a_template_is_neither_previewed_nor_published_and_that_is_said(
    service: Service, name: str, place: str, monkeypatch: pytest.MonkeyPatch
):
    def refused(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    add(service, name, main__html=PAGE + name)  # as no other: for those that were drawn a worker waits
    with monkeypatch.context() as broken:
        broken.setattr(warden.tempfile if place == "mkdtemp" else warden.subprocess, place, refused)
        preview = service.post(f"{PATH}/{name}/preview", {"format": "html"})
        publishing = service.post(f"{PATH}/{name}/publish", {})
    for told in (preview, publishing):
        assert (told.status, told.json["code"], told.headers["retry-after"]) == (503, "documents_away", "30")
        assert "space for temporary files" in told.json["what_to_do"]
        assert "No space left" not in told.json["detail"]
    assert service.get(f"{PATH}/{name}").json["published"] is None
    assert publish(service, name)["published"] == 1


def test_where_no_process_can_start_a_receipt_is_given_in_other_formats_and_as_pdf_says_later(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    def refused(*_: Any, **__: Any) -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    path = f"/api/payments/{paid(service)['id']}/receipt"
    monkeypatch.setattr(warden.Worker, "usable", False)  # none that waits warm is taken
    monkeypatch.setattr(warden.subprocess, "Popen", refused)
    told = service.get(path, format="pdf")
    assert (told.status, told.json["code"]) == (503, "documents_away")
    assert service.get(path, format="html").status == 200


def test_a_void_receipt_is_drawn_by_the_look_that_says_so(service: Service, name: str):
    add(service, name, main__html=PAGE)
    publish(service, name)
    use(service, {"template": name})
    payment = paid(service)
    made = receipt(service, payment)
    service.post(f"/api/payments/receipts/{made['id']}/void", {"reason": "wrong name"})
    page = service.get(f"/api/payments/receipts/{made['id']}", format="html").body.decode()
    assert "Kaveri says" not in page
    assert "wrong name" in page


def test_the_page_behind_the_link_is_the_merchants_with_our_word_at_its_head(service: Service, name: str):
    add(service, name, main__typ=TYP, main__html=f"<html><body class='x'>{PAGE}</body></html>")
    publish(service, name)
    use(service, {"template": name})
    payment = paid(service)
    made = receipt(service, payment)
    place = made["verify_url"].removeprefix(service.context.public_url)
    page = service.get(place, key="").body.decode()
    head = page.index('<body class="x"><p class="verified"')
    assert head < page.index(f"issued this as {made['number']}") < page.index("Kaveri says")

    async def same(file: bytes) -> bool:
        found = await receipts.verified(service.context, place.removeprefix("/r/"))
        assert found
        return (await receipts.compare(service.context, found, file)).same

    assert service.run(same(receipt(service, payment, "pdf")))
    assert not service.run(same(receipt(service, payment, "pdf") + b" "))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "<p>x</p>"),
        (markup.HEAD, "<header><h1>x</h1></header>"),
        (
            markup.HEAD
            + '<html lang="en">\n<head><title>R &gt; 1</title>\n<style>p > b { top: 0 }</style></head>\n',
            "x</html>",
        ),
        (
            markup.HEAD + "<title>R-1</title><style>p { top: 0 }</style>",
            "<p>x</p><style>b { top: 0 }</style>",
        ),
        (markup.HEAD + '<html><head></head><body class="x">', "<p>x</p></body></html>"),
    ],
)
def test_our_word_stands_above_all_that_is_seen_and_behind_the_doctype(before: str, after: str):
    import receipt_samples

    made = receipt_html.with_verdict(before + after, receipt_samples.receipt(), same=False)
    assert made.startswith(before + '<p class="verified"')
    assert "is not this receipt" in made
    assert made.endswith(after)


def test_once_the_settings_are_live_a_key_of_the_sandbox_changes_no_template(service: Service, name: str):
    add(service, name)
    live = service.key("admin", "live")
    service.change_settings({"productionSettings": {"liveMode": True, "sandboxMode": False}})
    try:
        for path, body in ((PATH, {"name": name, "files": {"main.typ": TYP}}), (f"{PATH}/{name}/publish", {}), (f"{PATH}/{name}/withdraw", {})):  # fmt: skip
            assert (service.post(path, body).status, service.post(path, body).json["needs"]) == (403, "admin, of live mode")  # fmt: skip
        assert service.call("POST", f"{PATH}/{name}/publish", {}, key=live).status == 200
    finally:
        service.change_settings({"productionSettings": {"liveMode": False, "sandboxMode": True}})


def test_a_template_may_be_as_large_as_its_files_may_and_no_larger(service: Service, name: str):
    large = {"main.typ": TYP, "notes.txt": "x" * 3_000_000}
    assert service.post(PATH, {"name": name, "files": large}).status == 201
    larger = {"main.typ": TYP, "notes.txt": "x" * 11_500_000}
    assert service.post(PATH, {"name": name, "files": larger}).json["code"] == "too_large"
    assert service.post("/api/payments", {"description": "x" * 300_000}).json["code"] == "too_large"


def test_what_was_done_to_a_template_stands_in_the_audit_log(service: Service, name: str):
    add(service, name)
    publish(service, name)
    service.post(f"{PATH}/{name}/withdraw")
    again = service.post(f"{PATH}/{name}/withdraw")
    assert (again.status, "unpublished" in again.json["detail"]) == (409, True)
    rows = service.rows("SELECT action, detail FROM audit WHERE object_id = $1 ORDER BY id", name)
    assert [row["action"] for row in rows] == [
        "receipt_template.add",
        "receipt_template.publish",
        "receipt_template.withdraw",
    ]
    assert {row["detail"]["template"] for row in rows} == {f"{name}@1"}

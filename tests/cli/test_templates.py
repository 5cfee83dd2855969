"""counterfoil receipts templates and preview."""

import json
from pathlib import Path
from typing import Any

import pytest

from service import Service


def begun(run: Any, tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    assert run("receipts", "templates", "new", str(folder)).status == 0
    return folder


def test_the_template_to_begin_with_draws_every_kind(run, service: Service, tmp_path: Path):
    folder = begun(run, tmp_path)
    for kind in ("payment", "refund", "invoice"):
        for format_, begins in (("pdf", b"%PDF"), ("html", b"<!doctype html>"), ("mail", b"<!doctype html>")):
            out = tmp_path / f"{kind}.{format_}"
            ran = run(
                "receipts", "preview", str(folder), "--kind", kind, "--format", format_, "--out", str(out)
            )
            assert (ran.status, ran.out) == (0, f"{out}: as the folder {folder} draws it.\n"), ran.err
            assert out.read_bytes().startswith(begins)


def test_it_is_brought_published_and_said_that_no_rule_names_it(run, service: Service, tmp_path: Path):
    folder = begun(run, tmp_path)
    added = run("receipts", "templates", "add", "tea", str(folder), "--note", "green")
    assert "tea: not published." in added.out
    assert "green" in added.out
    published = run("receipts", "templates", "publish", "tea")
    assert "tea: version 1 is published." in published.out
    assert """customTemplates '[{"template": "tea"}]'""" in published.out
    service.change_settings({"receiptGeneration": {"customTemplates": [{"template": "tea"}]}})
    assert "No rule" not in run("receipts", "templates", "publish", "tea").out
    (listed,) = json.loads(run("receipts", "templates", "list", "--json").out)
    assert (listed["name"], listed["published"]) == ("tea", 1)
    service.change_settings({"receiptGeneration": {"customTemplates": []}})
    assert "tea: not published." in run("receipts", "templates", "withdraw", "tea").out
    assert json.loads(run("receipts", "templates", "show", "tea", "--json").out)["published"] is None


def test_a_version_is_of_a_name_even_where_a_folder_is_called_so(
    run, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    run("receipts", "templates", "new", "twin")
    run("receipts", "templates", "add", "twin", "twin")
    (tmp_path / "twin" / "main.html").write_text("<p>changed</p>")
    draw = ("receipts", "preview", "twin", "--format", "html", "--out", "out.html")
    assert run(*draw).out == f"out.html: as the folder {tmp_path / 'twin'} draws it.\n"
    assert "changed" in Path("out.html").read_text()
    assert run(*draw, "--version", "1").out == "out.html: as twin@1 draws it.\n"
    assert "changed" not in Path("out.html").read_text()
    refused = run("receipts", "preview", "./twin", "--version", "1")
    assert (
        refused.status,
        "./twin is no name of a template, and a folder has no versions" in refused.err,
    ) == (1, True)


def test_a_version_is_saved_as_it_was_brought(run, service: Service, tmp_path: Path):
    folder, saved = begun(run, tmp_path), tmp_path / "saved"
    (folder / "img").mkdir()
    (folder / "img" / "logo.svg").write_text("<svg/>")
    run("receipts", "templates", "add", "saved", str(folder))
    assert "version 1 of saved, 4 files" in run("receipts", "templates", "save", "saved", str(saved)).out
    assert {path.relative_to(saved): path.read_bytes() for path in saved.rglob("*.*")} == {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")
    }


def test_what_is_wrong_is_said_with_its_place(run, service: Service, tmp_path: Path):
    folder = begun(run, tmp_path)
    refused = run("receipts", "templates", "new", str(folder))
    assert (refused.status, "is there already" in refused.err) == (1, True)
    with (folder / "main.html").open("a") as page:
        page.write("\n{{ shown.nope }}")
    wrong = run("receipts", "preview", str(folder), "--format", "html", "--out", str(tmp_path / "x.html"))
    assert wrong.status == 1
    assert "main.html:" in wrong.err
    assert "there is no nope here" in wrong.err
    assert not (tmp_path / "x.html").exists()
    (folder / "link").symlink_to("/etc/passwd")
    linked = run("receipts", "templates", "add", "tea", str(folder))
    assert "link: a symbolic link is no part of a template" in linked.err
    unknown = run("receipts", "preview", "nobody", "--of", "x")
    assert "x is no id of a payment or a receipt" in unknown.err
    assert "There is no template nobody" in run("receipts", "preview", "nobody").err

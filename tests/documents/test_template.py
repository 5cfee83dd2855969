import os

import pytest

from counterfoil.documents import template
from counterfoil.documents.template import Template, TemplateError


def test_a_folder_is_read_with_its_parts(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "main.typ").write_bytes(b"Hello")
    (tmp_path / "parts/logo.svg").write_bytes(b"<svg/>")
    assert template.read(tmp_path) == {"main.typ": b"Hello", "parts/logo.svg": b"<svg/>"}


def test_a_symbolic_link_is_no_part_of_a_template(tmp_path):
    (tmp_path / "main.typ").write_bytes(b"Hello")
    (tmp_path / "logo.svg").symlink_to("/etc/passwd")
    with pytest.raises(TemplateError, match=r"logo.svg: a symbolic link"):
        template.read(tmp_path)


def test_a_linked_folder_is_no_part_of_a_template(tmp_path):
    (tmp_path / "main.typ").write_bytes(b"Hello")
    (tmp_path / "parts").symlink_to("/etc")
    with pytest.raises(TemplateError, match=r"parts: a symbolic link"):
        template.read(tmp_path)


def test_only_plain_files_are_part_of_a_template(tmp_path):
    os.mkfifo(tmp_path / "main.typ")
    with pytest.raises(TemplateError, match="plain files"):
        template.read(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "../up.typ",
        "/etc/x",
        "a//b",
        "a/../b",
        ".hidden",
        "a\\b",
        "a\0b",
        "+none/x",
        "a/b/c/d/e.typ",
        "",
        "x" * 65,
    ],
)
def test_no_name_of_a_file_leads_elsewhere(name):
    with pytest.raises(TemplateError, match="is no name of a file"):
        Template({"main.typ": b"", name: b""})


def test_no_file_is_also_a_folder():
    for files in ({"a": b"", "a/b": b""}, {"a/b/c": b"", "a/b": b""}, {"main.typ/x": b""}):
        with pytest.raises(TemplateError, match="cannot be a file and the folder of"):
            Template({"main.typ": b""} | files)
    Template({"main.typ": b"", "a.b/c": b"", "a": b""})


def test_a_template_has_a_beginning_and_an_end():
    with pytest.raises(TemplateError, match=r"there is no file main\.typ"):
        Template({"other.typ": b""})
    with pytest.raises(TemplateError, match="at most 32 files"):
        Template({"main.typ": b""} | {f"{number}.typ": b"" for number in range(32)})
    with pytest.raises(TemplateError, match="at most 8 MB"):
        Template({"main.typ": b" " * (template.MAX_BYTES + 1)})


def test_a_folder_is_not_read_further_than_a_template_may_go(tmp_path):
    for number in range(template.MAX_FILES + 1):
        (tmp_path / f"{number:02}.typ").write_bytes(b"")
    with pytest.raises(TemplateError, match="one file too many"):
        template.read(tmp_path)


def test_an_error_says_where_it_is():
    error = TemplateError("unclosed delimiter", file="main.typ", line=2, column=9)
    assert str(error) == "main.typ:2:9: unclosed delimiter"
    assert (error.reason, error.line) == ("unclosed delimiter", 2)
    assert str(TemplateError("too slow")) == "too slow"


def test_a_template_draws_what_it_has_a_beginning_of():
    both = {"main.typ": b"Hello", "main.html": b"<p>", "mail.html": b"<p>", "logo.svg": b"<svg/>"}
    assert {main: part.main for main, part in template.parts(both).items()} == {
        "main.typ": "main.typ",
        "main.html": "main.html",
        "mail.html": "mail.html",
    }
    assert list(template.parts({"main.html": b"<p>"})) == ["main.html"]
    with pytest.raises(
        TemplateError, match=r"has a main\.typ for the PDF, a main\.html for the page, a mail\.html"
    ):
        template.parts({"logo.svg": b"<svg/>"})

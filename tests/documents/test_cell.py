from dataclasses import replace
from io import BytesIO

import pytest

import receipt_samples
from counterfoil.documents import cell, markup, receipt_pdf
from counterfoil.documents.template import TemplateError
from counterfoil.documents.typesetting import BUILT_IN

JOB = receipt_pdf.job(receipt_samples.receipt())


def answered(message, folder=BUILT_IN):
    return cell.understood(cell.answer(cell.doing(folder), message))


def test_a_message_arrives_whole_and_the_end_is_told():
    pipe = BytesIO()
    for message in (b"", b"one", b"\0" * 100_000):
        cell.send(pipe, message)
    pipe.seek(0)
    assert [cell.receive(pipe) for _ in range(4)] == [b"", b"one", b"\0" * 100_000, None]


def test_a_job_is_answered_with_its_file():
    assert answered(cell.to_set(JOB)) == receipt_pdf.render(receipt_samples.receipt())


def test_what_is_wrong_is_answered_with_its_place():
    with pytest.raises(TemplateError) as caught:
        answered(cell.to_set(replace(JOB, data="{}")))
    assert (caught.value.line, caught.value.file) == (None, None)
    assert 'does not contain key "shown"' in caught.value.reason


def test_a_file_is_answered_with_its_verdict():
    assert answered(cell.to_verify(b"no file", ())) == b"unsigned"


def test_a_page_is_answered_with_what_it_says(tmp_path):
    (tmp_path / "main.html").write_text('<p>{{ shown.number }}</p><img src="{{ files["logo.png"] }}" alt="">')
    (tmp_path / "logo.png").write_bytes(b"png")
    page = answered(cell.to_draw("main.html", {"shown": {"number": "R-1"}}), tmp_path)
    assert page == markup.HEAD.encode() + b'<p>R-1</p><img src="data:image/png;base64,cG5n" alt="">'

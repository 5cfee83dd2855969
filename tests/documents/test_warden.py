import errno
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import jailbreaks
import receipt_samples
from counterfoil.documents import receipt_html, receipt_pdf, warden
from counterfoil.documents.template import Template, TemplateError
from counterfoil.documents.warden import Limits, Worker

PAGE = Template({"main.typ": b"= Hello"})


@cache
def broken_out():
    """All attacks, tried in a process of their own, so that nobody else's memory is counted."""
    code = f"import sys; sys.path[:0] = {[path for path in sys.path if path]!r}; import jailbreaks; jailbreaks.main()"
    printed = subprocess.run(
        [sys.executable, "-c", code, "--json"], capture_output=True, check=True, text=True
    )
    return json.loads(printed.stdout)


def job(template=None):
    return receipt_pdf.job(receipt_samples.receipt(), template=template)


@pytest.mark.parametrize("name", jailbreaks.ATTACKS)
def test_a_hostile_template_is_refused(name):
    reason, _ = broken_out()["results"][name]
    assert jailbreaks.ATTACKS[name].refused in reason


def test_no_hostile_template_gets_more_memory_than_it_may():
    assert 0 < broken_out()["memory_mb"] <= 200


def test_a_worker_makes_what_this_process_makes_many_times_over():
    with Worker() as worker:
        made = [worker.pdf(job()) for _ in range(3)]
    assert set(made) == {receipt_pdf.render(receipt_samples.receipt())}


def test_a_worker_outlives_a_fault_of_its_template():
    faulty = Template({"main.typ": b"#json(bytes(sys.inputs.data)).receipt.references.nope"})
    with Worker(faulty) as worker:
        with pytest.raises(TemplateError, match="nope"):
            worker.pdf(job(faulty))
        assert worker.usable
        asked = receipt_samples.receipt(references={"nope": "there"})
        assert worker.pdf(receipt_pdf.job(asked, template=faulty)).startswith(b"%PDF")


def test_a_worker_that_took_too_much_is_gone_with_its_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(warden.tempfile, "tempdir", str(tmp_path))
    greedy = Template({"main.typ": b'#("x" * 1000000000).len()'})
    worker = Worker(greedy)
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(TemplateError, match="memory"):
        worker.pdf(job(greedy))
    assert not worker.usable
    assert list(tmp_path.iterdir()) == []


def test_wall_time_is_limited_too():
    looping = Template({"main.typ": b'#str(plugin("x.wasm").f())', "x.wasm": jailbreaks.NEVER})
    limits = Limits(cpu_s=60, wall_s=0.5, memory=150 * warden.MB)
    with Worker(looping, limits) as worker, pytest.raises(TemplateError, match=r"took longer than 0\.5 s"):
        worker.pdf(job(looping))


def test_a_worker_that_was_killed_meanwhile_is_told():
    with Worker(PAGE) as worker:
        os.kill(worker.pid, 9)
        os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(TemplateError, match="memory"):
            worker.pdf(job(PAGE))


def test_a_file_without_measure_is_refused(monkeypatch):
    monkeypatch.setattr(warden, "MAX_ANSWER", 1_000)
    with Worker(PAGE) as worker, pytest.raises(TemplateError, match="too large"):
        worker.pdf(job(PAGE))


def test_a_worker_is_replaced_after_many_jobs(monkeypatch):
    monkeypatch.setattr(warden, "JOBS", 2)
    with Worker(PAGE) as worker:
        worker.pdf(job(PAGE))
        assert worker.usable
        worker.pdf(job(PAGE))
        assert not worker.usable


def test_a_worker_that_cannot_start_says_why(monkeypatch):
    monkeypatch.setattr(warden, "_BEGIN", "raise SystemExit('no fonts here')")
    with pytest.raises(OSError, match="did not start: no fonts here"):
        Worker(PAGE)


@pytest.mark.parametrize(("place", "name"), [(Path, "write_bytes"), (warden.subprocess, "Popen")])
def test_a_worker_that_cannot_start_leaves_nothing_behind(place, name, monkeypatch, tmp_path):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(warden.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(place, name, full)
    with pytest.raises(OSError, match="No space left"):
        Worker(PAGE)
    assert list(tmp_path.iterdir()) == []


def test_a_page_without_memory_is_told_so():
    greedy = Template({"main.html": b"{{ shown.number }}" * 14_000}, "main.html")
    limits = Limits(cpu_s=60, wall_s=60, memory=30 * warden.MB)
    given = receipt_html.given(receipt_samples.receipt())
    with (
        Worker(greedy, limits) as worker,
        pytest.raises(TemplateError, match="needed more than 30 MB of memory"),
    ):
        worker.page("main.html", given)


def test_a_worker_knows_nothing_of_our_environment(monkeypatch):
    monkeypatch.setenv("COUNTERFOIL_SECRET", "sk_test_counterfoil_hidden")
    with Worker(PAGE) as worker:
        environment = Path(f"/proc/{worker.pid}/environ").read_bytes()
    assert b"RAYON_NUM_THREADS" in environment
    assert b"COUNTERFOIL" not in environment

"""The benchmarks run and print figures. How fast they are is nobody's business here."""

import json
import os
import subprocess
import sys
from math import inf
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("ingest", "understand", "payments", "endtoend", "receipts", "exports")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The figures of a short run, by benchmark and by what they are of."""
    file = tmp_path_factory.mktemp("bench") / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--short", "--json", str(file)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "COUNTERFOIL_MODE": "live"},  # a configuration that stands around plays no part
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(file.read_text())["figures"]
    return {name: {f["what"]: f for f in group} for name, group in figures.items()} | {"printed": done.stdout}


@pytest.fixture
def figures(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [figure for name in NAMES for figure in report[name].values()]


def test_all_benchmarks_print_what_they_measured(report, figures):
    rows = [line.split("|")[1].strip() for line in report["printed"].splitlines() if line.startswith("|")]
    assert [row for row in rows if row != "what" and set(row) != {"-"}] == [f["what"] for f in figures]
    assert sum(f["value"] is not None and f["value"] > 0 for f in figures) >= 30


def test_a_table_stands_straight(report):
    lengths = {len(line) for line in report["printed"].split("## ")[1].splitlines() if line.startswith("|")}
    assert len(lengths) == 1


def test_a_bar_is_judged_on_its_own_side(figures):
    judged = {f["what"]: f for f in figures if f["verdict"]}
    for f in judged.values():
        low = -inf if f["at_least"] is None else f["at_least"]
        high = inf if f["at_most"] is None else f["at_most"]
        assert (f["verdict"] == "ok") == (low <= f["value"] <= high)
    assert any(f["at_least"] is not None for f in judged.values())
    assert any(f["at_most"] is not None for f in judged.values())


def test_no_answer_of_any_benchmark_was_a_refusal(figures):
    refusals = [f["value"] for f in figures if "anything but" in f["what"]]
    assert refusals == [0, 0, 0, 0]


def test_what_was_acknowledged_was_stored_and_what_was_stored_was_understood(report):
    assert report["ingest"]["acknowledged but not stored"]["value"] == 0
    assert report["understand"]["acknowledged → captured at 200 a second: never captured"]["value"] == 0
    assert report["endtoend"]["never understood"]["value"] == 0


def test_the_payments_measured_left_every_row_behind(report):
    rows = {what: f for what, f in report["payments"].items() if what.startswith("a payment: ")}
    assert rows["a payment: captured payments"]["value"] == 1
    assert rows["a payment: ledger journals"]["value"] == 1
    assert rows["a payment: commits that wrote"]["value"] >= 4
    assert all(f["verdict"] in {"ok", ""} for f in rows.values())


def test_a_peer_that_is_not_installed_is_said_not_to_be_measured(report):
    missing = report["ingest"]["web alone ÷ dj-stripe, callback only"]
    assert missing["value"] is None
    assert missing["verdict"] == ""


def test_a_receipt_is_the_same_bytes_in_two_processes(report):
    assert report["receipts"]["identical bytes in two processes"]["value"] == 1


def test_exports_are_measured_beside_their_peer_in_time_and_memory(report):
    exports = report["exports"]
    assert all(figure["value"] > 0 for figure in exports.values())
    ratios = {what.partition(": ")[2] for what, figure in exports.items() if figure["unit"] == "×"}
    assert ratios == {
        "processor, ours ÷ in memory",
        "memory, ours ÷ in memory",
        "memory ÷ that of a tenth",
    }

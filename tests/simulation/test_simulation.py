"""The simulation, and the proof that it would find what it looks for."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from simulation.command import summary, trace

# COUNTERFOIL_TEST_SEEDS=100 runs fewer of them; `make simulate` as many as you like.
SEEDS = int(os.environ.get("COUNTERFOIL_TEST_SEEDS", "2000"))
PIECE = 100
FEW = 20  # where a rule is broken, one seed that shows it is enough


@pytest.mark.parametrize("first", range(1, SEEDS + 1, PIECE))
def test_no_seed_charges_twice_loses_a_charge_or_leaves_anything_in_limbo(first: int):
    """In a process of its own, whose lines nobody counts: to count them takes as long again."""
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    ran = subprocess.run(
        [sys.executable, "-m", "simulation", "--from", str(first), "--seeds", str(PIECE), "--jobs", "1"],
        env=unmeasured | {"PYTHONPATH": "tests"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    said = {name: int(count) for name, count in re.findall(r"([a-z][a-z ]*) (\d+)", ran.stdout)}
    assert said["seeds"] == PIECE
    assert min(said["charges at the sandbox"], said["processes killed"], said["faults"]) > PIECE // 4
    troubles = ("double charges", "double refunds", "lost", "left in limbo")
    assert [said[trouble] for trouble in troubles] == [0, 0, 0, 0]


def test_without_idempotency_double_charges_are_found():
    """It takes a death between a charge and its answer: about one seed in fifty has it."""
    pieces = (range(first, first + FEW) for first in range(1, 601, FEW))
    assert any(_alone(summary, seeds, "idempotency").double for seeds in pieces)


def test_without_a_look_before_a_refund_goes_again_double_refunds_are_found():
    pieces = (range(first, first + FEW) for first in range(1, 601, FEW))
    assert any(_alone(summary, seeds, "refund keys").double_refunds for seeds in pieces)


def test_two_runs_of_a_seed_say_the_same_line_by_line():
    for seed in (3, 118):
        one, other = (_alone(trace, seed, None).trace for _ in range(2))
        assert len(one) > 50
        assert one == other


def _alone(run, *arguments):
    """The simulation brings its own event loop: not the one of this test."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run, *arguments).result()

"""The short form of the simulation, and the proof that it would find what it looks for."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from simulation.command import summary, trace

# COUNTERFOIL_TEST_SEEDS=1000 runs more of them: about four minutes on two cores.
SEEDS = int(os.environ.get("COUNTERFOIL_TEST_SEEDS", "100"))
PIECE = 50


@pytest.mark.parametrize("first", range(1, SEEDS + 1, PIECE))
def test_no_seed_charges_twice_loses_a_charge_or_leaves_anything_in_limbo(first: int):
    found = _alone(summary, range(first, first + PIECE))
    assert found.failing == []
    assert found.seeds == PIECE
    assert min(found.charges, found.deaths, found.faults) > PIECE // 4


def test_without_idempotency_double_charges_are_found():
    """It takes a death between a charge and its answer: about one seed in fifty has it."""
    pieces = (range(first, first + PIECE) for first in range(1, 601, PIECE))
    assert any(_alone(summary, seeds, "idempotency").double for seeds in pieces)


def test_without_a_look_before_a_refund_goes_again_double_refunds_are_found():
    pieces = (range(first, first + PIECE) for first in range(1, 601, PIECE))
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

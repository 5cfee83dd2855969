"""The short form of the simulation, and the proof that it would find what it looks for."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from simulation.command import summary, trace

# COUNTERFOIL_TEST_SEEDS=2000 runs as many as a release does.
SEEDS = int(os.environ.get("COUNTERFOIL_TEST_SEEDS", "200"))
PIECE = 50


@pytest.mark.parametrize("first", range(1, SEEDS + 1, PIECE))
def test_no_seed_charges_twice_loses_a_charge_or_leaves_anything_in_limbo(first: int):
    found = _alone(summary, range(first, first + PIECE))
    assert found.failing == []
    assert found.seeds == PIECE
    assert min(found.charges, found.deaths, found.faults) > PIECE // 4


def test_without_idempotency_double_charges_are_found():
    found = _alone(summary, range(1, 121), "idempotency")
    assert found.double > 0


def test_two_runs_of_a_seed_say_the_same_line_by_line():
    for seed in (3, 118):
        one, other = (_alone(trace, seed, None).trace for _ in range(2))
        assert len(one) > 50
        assert one == other


def _alone(run, *arguments):
    """The simulation brings its own event loop: not the one of this test."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run, *arguments).result()

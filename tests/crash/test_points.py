"""The short form of the crash points, and the proof that they would find what they look for."""

from collections.abc import Iterator

import pytest

from crashpoints.bench import Room, room, run
from crashpoints.command import crash
from crashpoints.scenarios import SCENARIOS
from database import Postgres

pytestmark = pytest.mark.crash

# Every so manyth point of each scenario; `make crash` takes them all.
EVERY = 37


@pytest.fixture(scope="module")
def where(fast_postgres: Postgres) -> Iterator[Room]:
    """The database server is not what is killed here, so that it need not reach the disk."""
    with room(fast_postgres) as made:
        yield made


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_process_that_ends_at_a_point_charges_nobody_twice_and_leaves_nothing_in_limbo(
    where: Room, name: str
):
    told: list[str] = []
    found = crash(where, [name], told.append, every=EVERY)
    assert found.ok, told
    assert found.points > 0


def test_the_points_are_every_commit_and_every_call(where: Room):
    passed = run(where, SCENARIOS["create_and_confirm"]).points
    assert {"before stripe payment_intents.create", "after stripe payment_intents.confirm"} <= set(passed)
    assert passed.count("before commit") == passed.count("after commit") > 8
    opened = passed.index("before stripe payment_intents.create")
    assert passed[:opened] == ["before commit", "after commit"]  # the intent is kept before its call leaves


def test_without_idempotency_double_charges_are_found(where: Room):
    told: list[str] = []
    found = crash(where, ["create_and_confirm"], told.append, every=3, without="idempotency")
    assert found.double > 0, told


def test_without_the_fencing_rule_double_charges_are_found(where: Room):
    told: list[str] = []
    found = crash(where, ["change_with_the_banks_page_open"], told.append, every=9, without="fencing")
    assert found.double > 0, told


def test_without_a_look_before_a_refund_goes_again_double_refunds_are_found(where: Room):
    told: list[str] = []
    found = crash(where, ["refund_sent_without_an_answer"], told.append, every=61, without="refund keys")
    assert found.double_refunds > 0, told

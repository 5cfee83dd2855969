"""What holds a sandbox together where something in it breaks."""

import logging

import pytest
from starlette.datastructures import Headers

from counterfoil.sandbox.calls import Answer, Call, Incoming
from counterfoil.sandbox.config import Config
from counterfoil.sandbox.stripe.api import Speech
from counterfoil.sandbox.stripe.errors import failed
from counterfoil.sandbox.wire import wire_of
from counterfoil.sandbox.world import make_world


@pytest.fixture
def world():
    world = make_world(Config())
    yield world
    world.truth.close()


def incoming(name="x"):
    return Incoming(name, "POST", "/v1/x", {}, Headers({}), b"", b"", "a" * 14)


def test_a_handler_that_breaks_leaves_nothing_and_answers_in_the_gateways_shape(world, caplog):
    def broken(world, _call):
        world.truth.put("stripe", "charge", {"id": "ch_1", "created": 1})
        raise LookupError

    with caplog.at_level(logging.ERROR):
        answer = Call(world, Speech(()), "x", broken)._carry_out(incoming(), "k1", None)
    assert (answer.status, b"api_error" in answer.body) == (500, True)
    assert world.truth.get("stripe", "charge", "ch_1") is None
    assert world.truth.recall("stripe", "k1", since=0) is None
    assert "stripe x failed" in caplog.text


def test_a_server_error_afterwards_hides_a_refusal_too(world):
    def refusing(_world, _call):
        raise failed("No.")

    answer = Call(world, Speech(()), "x", refusing)._carry_out(incoming(), "k1", 503)
    assert answer.status == 503
    assert world.truth.recall("stripe", "k1", since=0)[1].status == 503


def test_a_timer_that_breaks_stops_no_other(world, caplog):
    done = []
    world.clock.on("broken", lambda about: done[about])
    world.clock.on("works", done.append)
    with world.truth.transaction():
        world.clock.at(world.clock.now() - 2, "broken", "x")
        world.clock.at(world.clock.now() - 1, "works", "y")
    with caplog.at_level(logging.ERROR):
        world.clock.fire()
    assert done == ["y"]
    assert "timer broken about x failed" in caplog.text


def test_timers_that_timers_set_fire_within_the_same_jump_in_their_order(world):
    at, done = world.clock.now(), []

    def first(about):
        done.append((about, round(world.clock.now() - at)))
        world.clock.at(world.clock.now() + 10, "second", "b")

    world.clock.on("first", first)
    world.clock.on("second", lambda about: done.append((about, round(world.clock.now() - at))))
    with world.truth.transaction():
        world.clock.at(at + 20, "second", "c")
        world.clock.at(at + 5, "first", "a")
    world.clock.advance(100)
    assert done == [("a", 5), ("b", 15), ("c", 20)]


def test_a_foreign_server_is_refused_with_a_reason():
    with pytest.raises(TypeError, match="own protocol"):
        wire_of({"type": "http"})


def test_an_answer_is_json():
    assert Answer.json({"a": 1}, 201) == Answer(201, b'{"a":1}', {"content-type": "application/json"})

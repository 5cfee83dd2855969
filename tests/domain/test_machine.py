from enum import StrEnum

import pytest

from counterfoil.domain.errors import WrongStateError
from counterfoil.domain.machine import Machine, TableError, highest


class Light(StrEnum):
    GREEN = "green"
    RED = "red"


class Order(StrEnum):
    GO = "go"
    STOP = "stop"


WHOLE = """
            go      stop
    green   .       red
    red     green   !
"""


def test_a_table_says_what_follows_what_stays_and_what_is_refused():
    machine = Machine.read(Light, Order, WHOLE)
    assert machine.next(Light.GREEN, Order.STOP) is Light.RED
    assert machine.next(Light.GREEN, Order.GO) is Light.GREEN
    assert machine.allows(Light.GREEN, Order.GO)
    assert not machine.allows(Light.RED, Order.STOP)
    with pytest.raises(WrongStateError, match="Cannot stop while the state is red"):
        machine.next(Light.RED, Order.STOP)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        pytest.param("", "empty", id="nothing"),
        pytest.param("  \n \n", "empty", id="blank lines"),
        pytest.param("go\ngreen .\nred !", "the columns are", id="a command missing"),
        pytest.param("go stop go\ngreen . . .\nred . . .", "the columns are", id="a command twice"),
        pytest.param("go wait\ngreen . .\nred . .", "wait", id="an unknown command"),
        pytest.param("go stop\ngreen . red", "no row for", id="a state missing"),
        pytest.param("go stop\ngreen . .\ngreen . .\nred . .", "stands twice", id="a state twice"),
        pytest.param("go stop\ngreen . .\nblue . .", "blue", id="an unknown state"),
        pytest.param("go stop\ngreen .\nred . .", "green has 1 cells for 2", id="a cell missing"),
        pytest.param("go stop\ngreen . . .\nred . .", "green has 3 cells for 2", id="a cell too many"),
        pytest.param("go stop\ngreen . blue\nred . .", "blue", id="an unknown answer"),
    ],
)
def test_a_table_that_does_not_answer_everything_once_is_refused_where_it_is_read(table: str, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        Machine.read(Light, Order, table)


def test_a_bad_table_stops_the_import_of_its_module():
    module = "from counterfoil.domain.machine import Machine\nMachine.read(states, commands, table)"
    with pytest.raises(TableError):
        exec(module, {"states": Light, "commands": Order, "table": "go stop\ngreen . ."})  # noqa: S102  as an import does


def test_the_highest_of_what_was_said_does_not_ask_for_the_order():
    rank = (Light.GREEN, Light.RED)
    assert highest(rank, [Light.RED, Light.GREEN]) is highest(rank, [Light.GREEN, Light.RED]) is Light.RED
    assert highest(rank, []) is Light.GREEN

from datetime import timedelta

from counterfoil.domain import event
from counterfoil.domain.endpoint import DELAYS, TRIES, again_after
from counterfoil.domain.payment import Status


def test_a_delivery_is_tried_eight_times_over_a_day():
    waits = [again_after(tries, 0.0) for tries in range(1, TRIES + 1)]
    assert waits == [*DELAYS, None]
    assert sum(DELAYS, timedelta()) > timedelta(hours=27)
    assert len(waits) == 8


def test_chance_only_makes_a_wait_longer_and_not_by_much():
    for tries, delay in enumerate(DELAYS, start=1):
        assert again_after(tries, 0.0) == delay
        assert delay < again_after(tries, 1.0) <= delay * 1.2


def test_a_filter_is_a_type_or_a_noun_of_which_there_are_types():
    assert all(map(event.is_filter, event.TYPES))
    assert event.is_filter("payment.*")
    for text in ("payment", "payment.", "payment.nothing", "refunded.*", "*", "", "pay.*", "payment.*.*"):
        assert not event.is_filter(text)


def test_the_type_says_how_the_status_went_on():
    assert event.of_payment(None, Status.CREATED) == "payment.created"
    assert event.of_payment(Status.CREATED, Status.CAPTURED) == "payment.captured"
    assert event.of_payment(Status.CAPTURED, Status.CAPTURED) == "payment.updated"
    for before in (*Status, None):
        assert {event.of_payment(before, after) for after in Status} <= set(event.TYPES)

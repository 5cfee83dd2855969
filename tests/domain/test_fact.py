from counterfoil.domain.charge import CHARGE_SAYS, REFUND_SAYS
from counterfoil.domain.fact import Kind


def test_every_kind_names_an_object_and_what_it_is_now():
    assert {kind.noun for kind in Kind} == {"attempt", "charge", "refund", "dispute", "warning", "opening"}
    assert all(kind.value.count(".") == 1 and kind.value.partition(".")[2] for kind in Kind)


def test_every_kind_of_a_charge_and_of_a_refund_has_its_place_in_a_rank():
    assert set(CHARGE_SAYS) == {kind for kind in Kind if kind.noun == "charge"}
    assert set(REFUND_SAYS) == {kind for kind in Kind if kind.noun == "refund"}

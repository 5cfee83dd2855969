from counterfoil.documents.receipt_json import document
from receipt_samples import TRADER, by_hand, receipt, unworded


def test_half_a_basis_point_is_said_where_there_is_one():
    gem = {"name": "Gem", "quantity": 1, "amount": 100_250, "tax_rate": 25}
    tea = {"name": "Tea", "quantity": 1, "amount": 10_500, "tax_rate": 500}
    said = document(receipt(items=[gem, tea], buyer=TRADER))
    assert [tax["half"] for line in said["lines"] for tax in line["taxes"]] == [True, True, False, False]
    assert [(tax["rate"], tax["half"]) for tax in said["taxes"]] == [(12, True)] * 2 + [(250, False)] * 2


def test_data_is_in_one_language_and_as_it_was_before_words_were_translated():
    made = by_hand("hi-IN")
    assert (document(made)["method"], document(made)["lines"][-1]["description"]) == (
        "Paid back by hand",
        "Adjustment",
    )
    assert document(made) == document(unworded(made))

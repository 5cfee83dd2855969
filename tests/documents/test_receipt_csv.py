import csv
import io
from dataclasses import replace
from decimal import Decimal

from counterfoil.documents.receipt_csv import render
from counterfoil.domain.receipt import Receipt
from receipt_samples import samples


def table(receipt: Receipt) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render(receipt).decode())))


def test_the_rows_add_up_to_what_stays_paid_and_the_fees_are_said_once():
    refunded = table(samples()["refunded"])
    assert sum(Decimal(row["amount"]) for row in refunded) == Decimal("1704.00")
    assert [row["fees"] for row in refunded] == ["52.00", *[""] * (len(refunded) - 1)]
    assert {(row["place_of_supply"], row["reverse_charge"]) for row in refunded} == {("", "")}


def test_an_invoice_names_its_place_of_supply_and_whether_the_tax_is_on_reverse_charge():
    for name, said in (("invoice", ("29", "no")), ("invoice-between-states", ("33", "yes"))):
        rows = table(samples()[name])
        assert {(row["place_of_supply"], row["reverse_charge"]) for row in rows} == {said}
    free = replace(samples()["payment"], fees=0)
    assert table(free)[0]["fees"] == "0.00"  # and not nothing


def test_a_tax_and_a_refund_say_which_they_are():
    rows = {row["row"]: row for row in table(samples()["refunded"])}
    assert (rows["tax"]["description"], rows["tax"]["rate"]) == ("IGST", "18%")
    assert (rows["refund"]["amount"], rows["refund"]["reference"]) == ("-499.00", "rfnd_01HZX8V5T8")

from counterfoil.documents.receipt_mails import words
from receipt_samples import samples


def test_a_mail_says_the_day_on_which_the_money_moved():
    first = {name: words(samples()[name], attached=True).paragraphs[0] for name in ("payment", "refund")}
    assert first["payment"].endswith("received your payment of ₹2,203.00 on 12 November 2026.")
    assert first["refund"].endswith("has paid back ₹2,203.00 to you on 14 November 2026.")

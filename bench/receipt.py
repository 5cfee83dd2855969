"""The receipt that is rendered: items, taxes, a refund, a code to scan."""

from datetime import UTC, datetime

from counterfoil.domain.receipt import Kind, Party, Receipt, Refunded, check, lines, rates_for, totals

PAID = datetime(2026, 11, 12, 8, 35, tzinfo=UTC)
ITEMS = (
    {"name": "The Book of Tea, hardback", "quantity": 2, "amount": 49900, "tax_rate": 500},
    {"name": "Filter coffee powder 500 g", "quantity": 3, "amount": 38500, "tax_rate": 1800},
    {"name": "Gift wrapping", "quantity": 1, "amount": 5000},
)


# One of each script that receipts are written in.
SCRIPTS = tuple(
    {"name": name, "quantity": 1, "amount": 1200, "tax_rate": 500}
    for name in (
        "क्षत्रिय इतिहास — द्वितीय संस्करण",
        "பொன்னியின் செல்வன் — முழுத் தொகுதி",
        "كتاب الشاي، غلاف مقوى",
        "茶之书（精装）",
        "茶の本（上製）コーヒー豆",
        "차의 책, 양장본",
    )
)


def receipt(sequence: int = 1, *, scripts: bool = False) -> Receipt:
    """One of many that differ in number, date and total; with a line in each of six other scripts, if wanted."""
    seller = Party(
        name="Kaveri Books & Coffee",
        address=("14 Church Street", "Bengaluru 560001"),
        country="IN",
        state="29",
        tax_id="29ABCDE1234F1Z5",
        email="hello@kaveri.example",
    )
    buyer = Party(name="Asha Raman", address=("7 Lake View Road", "Chennai 600028"), country="IN", state="33")
    items = [
        *ITEMS,
        *(SCRIPTS if scripts else ()),
        {"name": f"Postcard {sequence}", "quantity": 1, "amount": 100 + sequence},
    ]
    total = sum(int(str(item["quantity"])) * int(str(item["amount"])) for item in items)
    bought = lines(items, total, "", rates_for(seller, buyer))
    made = Receipt(
        id=f"rcp_{sequence}",
        kind=Kind.PAYMENT,
        number=f"R-2026-{sequence:06}",
        issued_at=PAID.replace(second=sequence % 60),
        zone="Asia/Kolkata",
        locale="en-IN",
        seller=seller,
        buyer=buyer,
        currency="INR",
        lines=bought,
        taxes=totals(bought),
        total=total,
        paid_at=PAID,
        method="Visa •••• 4242",
        refunds=(Refunded(PAID.replace(day=14), 49900, "rfnd_01HZX8V5T8"),),
        references={"Payment": "pay_01HZX3V5T8K2M4N6P8", "Your order": f"ORDER-{sequence}"},
        notes=("Thank you for shopping with us.",),
        verify_url=f"https://pay.kaveri.example/r/4fQzK2b9XmTtY0aLr7vN{sequence:04}",
    )
    check(made)
    return made

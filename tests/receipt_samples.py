"""Receipts of each kind and language, short and long, for the tests and for the eye.

`PYTHONPATH=tests .venv/bin/python -m receipt_samples FOLDER` writes each as PDF and its pages as PNG, to be looked at, and
tests/data/receipts/golden.json anew: the digest of each PDF.
"""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typst

from counterfoil.documents import fonts, receipt_pdf, typesetting
from counterfoil.documents.typesetting import Job
from counterfoil.domain.receipt import (
    BY_HAND,
    Kind,
    Party,
    Receipt,
    Refunded,
    check,
    lines,
    rates_for,
    totals,
)

GOLDEN = Path(__file__).parent / "data/receipts/golden.json"
PAID = datetime(2026, 11, 12, 8, 35, tzinfo=UTC)
SELLER = Party(
    name="Kaveri Books & Coffee",
    address=("14 Church Street", "Bengaluru 560001"),
    country="IN",
    state="29",
    tax_id="29ABCDE1234F1Z5",
    email="hello@kaveri.example",
    phone="+91 80 4000 1234",
)
BUYER = Party(
    name="Asha Raman",
    address=("7 Lake View Road", "Chennai 600028"),
    country="IN",
    state="33",
    email="asha@example.com",
)
TRADER = Party(
    name="Nilgiri Traders Private Limited",
    address=("22 Residency Road", "Bengaluru 560025"),
    country="IN",
    state="29",
    tax_id="29AAAAA0000A1Z5",
)
ITEMS = (
    {"name": "The Book of Tea, hardback", "quantity": 2, "amount": 49900, "tax_rate": 500, "hsn": "4901"},
    {"name": "Filter coffee powder 500 g", "quantity": 3, "amount": 38500, "tax_rate": 1800, "hsn": "0901"},
    {"name": "Gift wrapping", "quantity": 1, "amount": 5000},
)
MACHINES = (
    {
        "name": "Espresso machine, two groups",
        "quantity": 1,
        "amount": 12345678,
        "tax_rate": 1800,
        "hsn": "8419",
    },
    {"name": "Barista training, one day", "quantity": 2, "amount": 1180000, "tax_rate": 1800, "hsn": "9992"},
    {"name": "Coffee beans 25 kg", "quantity": 4, "amount": 1575000, "tax_rate": 500, "hsn": "0901"},
)


def receipt(
    *,
    seller: Party = SELLER,
    buyer: Party = BUYER,
    items: Sequence[Mapping[str, Any]] = ITEMS,
    tax: str = "VAT",
    **others: Any,
) -> Receipt:
    """A valid receipt in English and rupees, unless said otherwise."""
    total = sum(item["quantity"] * item["amount"] for item in items)
    bought = lines(items, total, "Order 20411", rates_for(seller, buyer, tax))
    fields = {
        "id": "rcp_sample",
        "kind": Kind.PAYMENT,
        "number": "R-2026-000123",
        "issued_at": PAID.replace(second=12),
        "zone": "Asia/Kolkata",
        "locale": "en-IN",
        "currency": "INR",
        "paid_at": PAID,
        "method": "Visa •••• 4242",
        "references": {"Payment": "pay_01HZX3V5T8K2M4N6P8", "Your order": "ORDER-20411"},
        "notes": ("Thank you for shopping with us.",),
        "verify_url": "https://pay.kaveri.example/r/4fQzK2b9XmTtY0aLr7vN1w",
    }
    made = Receipt(
        seller=seller, buyer=buyer, lines=bought, taxes=totals(bought), total=total, **fields | others
    )
    check(made)
    return made


def samples() -> dict[str, Receipt]:
    """All of them, by name."""
    later = {"paid_at": PAID.replace(day=14), "issued_at": PAID.replace(day=16)}
    back = (Refunded(PAID.replace(day=14), 49900, "rfnd_01HZX8V5T8"),)
    rows = [
        {"name": f"Item {row}", "quantity": row % 5 + 1, "amount": 100 * row + 99, "tax_rate": 1800}
        for row in range(1, 75)
    ]
    return {
        "payment": receipt(),
        "refunded": receipt(refunds=back, fees=5200, sandbox=True),
        "refund": receipt(kind=Kind.REFUND, number="RF-2026-000007", **later),
        "void": receipt(voided="Issued twice by mistake"),
        "invoice": receipt(
            kind=Kind.INVOICE, number="INV-2026-000001", buyer=TRADER, items=MACHINES, place_of_supply="29"
        ),
        "invoice-between-states": receipt(
            kind=Kind.INVOICE,
            number="INV-2026-000002",
            items=MACHINES,
            place_of_supply="33",
            reverse_charge=True,
        ),
        "long": receipt(items=rows),
        "by-hand": by_hand(),
        "by-hand-of-before": unworded(by_hand()),
        **languages(),
    }


def by_hand(locale: str = "hi-IN") -> Receipt:
    """A refund that was paid back past the gateway, of a payment that took more than its items came to."""
    bought = lines(ITEMS, 225000, "Order 20411", rates_for(SELLER, BUYER))
    made = receipt(
        kind=Kind.REFUND, number="RF-2026-000009", locale=locale, references={"evidence": "UTR 4711"}
    )
    method, word = BY_HAND
    return replace(made, lines=bought, taxes=totals(bought), total=225000, method=method, method_word=word)


def unworded(made: Receipt) -> Receipt:
    """The same as it was stored before words of ours were told from those of others."""
    return replace(made, method_word=None, lines=tuple(replace(line, word=None) for line in made.lines))


def languages() -> dict[str, Receipt]:
    """One in each language but English, in its own currency and words."""
    return {
        "en-US": receipt(
            locale="en-US",
            currency="USD",
            zone="America/Los_Angeles",
            tax="Sales tax",
            seller=Party(name="Acme Supplies, Inc.", address=("500 Market Street", "San Francisco, CA 94105"), country="US"),
            buyer=Party(name="Jo Smith", email="jo@example.com"),
        ),
        "hi": receipt(
            locale="hi-IN",
            method="UPI as••••@okbank",
            seller=Party(name="कावेरी पुस्तक भंडार", address=("14 चर्च स्ट्रीट", "बेंगलुरु 560001"), country="IN", state="29", tax_id="29ABCDE1234F1Z5"),
            buyer=Party(name="आशा रमन", address=("7 लेक व्यू रोड", "चेन्नई"), country="IN", state="33"),
            items=(
                {"name": "हिन्दी शब्दकोश, पक्की जिल्द", "quantity": 2, "amount": 12345678, "tax_rate": 500},
                {"name": "क्षत्रिय इतिहास — द्वितीय संस्करण", "quantity": 1, "amount": 49900, "tax_rate": 1800},
            ),
            notes=("ख़रीदारी के लिए धन्यवाद।",),
        ),
        "ta": receipt(
            locale="ta-IN",
            seller=Party(name="காவேரி புத்தகங்கள்", address=("14 சர்ச் தெரு", "சென்னை 600001"), country="IN", state="33", tax_id="33ABCDE1234F1Z5"),
            buyer=Party(name="ஆஷா ராமன்", country="IN", state="33"),
            items=(
                {"name": "திருக்குறள், கெட்டி அட்டை", "quantity": 2, "amount": 49900, "tax_rate": 500},
                {"name": "பொன்னியின் செல்வன் — முழுத் தொகுதி", "quantity": 1, "amount": 149900, "tax_rate": 1800},
            ),
            notes=("நன்றி!",),
        ),
        "ar": receipt(
            locale="ar-AE",
            currency="AED",
            zone="Asia/Dubai",
            seller=Party(name="مكتبة كافيري", address=("شارع الشيخ زايد 14", "دبي"), country="AE", tax_id="100123456700003", email="hello@kaveri.example"),
            buyer=Party(name="أمينة الحسن", address=("شارع البحيرة 7", "أبوظبي"), country="AE"),
            items=(
                {"name": "كتاب الشاي، غلاف مقوى (2nd edition)", "quantity": 2, "amount": 49900, "tax_rate": 500},
                {"name": "قهوة عربية", "quantity": 3, "amount": 38500, "tax_rate": 500},
            ),
            refunds=(Refunded(PAID.replace(day=14), 49900, "rfnd_01HZX8V5T8"),),
            references={"الدفعة": "pay_01HZX3V5T8K2M4N6P8"},
            notes=("شكرا لتسوقكم معنا.",),
            sandbox=True,
        ),
        "zh": receipt(
            locale="zh-CN",
            currency="CNY",
            zone="Asia/Shanghai",
            seller=Party(name="卡维里书店", address=("教堂街14号", "上海 200001"), country="CN", tax_id="91310000MA1FL00000"),
            buyer=Party(name="王小明"),
            items=({"name": "茶之书（精装）", "quantity": 2, "amount": 4990000, "tax_rate": 600}, {"name": "骨直刃 关门", "quantity": 1, "amount": 38500, "tax_rate": 1300}),
            notes=("感谢您的惠顾。",),
            voided="重复开具",
        ),
        "zh-TW": receipt(
            locale="zh-TW",
            currency="TWD",
            zone="Asia/Taipei",
            seller=Party(name="卡維里書店", address=("教堂街14號", "臺北市"), country="TW"),
            buyer=Party(name="王小明"),
            items=({"name": "茶之書（精裝）骨直刃", "quantity": 2, "amount": 49900},),
            notes=("感謝您的惠顧。",),
        ),
        "ja": receipt(
            locale="ja-JP",
            currency="JPY",
            zone="Asia/Tokyo",
            seller=Party(name="カヴェリ書店", address=("〒150-0001 東京都渋谷区神宮前1-2-3",), country="JP", tax_id="T1234567890123"),
            buyer=Party(name="山田 太郎 様"),
            items=({"name": "茶の本（上製）", "quantity": 2, "amount": 4990, "tax_rate": 1000}, {"name": "骨直刃 コーヒー豆", "quantity": 1, "amount": 1200000, "tax_rate": 800}),
            notes=("お買い上げありがとうございます。",),
        ),
        "ko": receipt(
            kind=Kind.REFUND,
            number="RF-2026-000008",
            paid_at=PAID.replace(day=14),
            issued_at=PAID.replace(day=16),
            locale="ko-KR",
            currency="KRW",
            zone="Asia/Seoul",
            seller=Party(name="카베리 서점", address=("서울특별시 종로구 1길 14",), country="KR", tax_id="123-45-67890"),
            buyer=Party(name="김민지"),
            items=({"name": "차의 책, 양장본", "quantity": 2, "amount": 49900, "tax_rate": 1000}, {"name": "원두 커피 500 g", "quantity": 1, "amount": 1385000, "tax_rate": 1000}),
            notes=("구매해 주셔서 감사합니다.",),
        ),
    }  # fmt: skip


def rendered() -> dict[str, tuple[Receipt, bytes]]:
    """Each sample and its PDF; one of them also in the plain look."""
    made = {name: (of, receipt_pdf.render(of)) for name, of in samples().items()}
    plain = receipt(advanced=False)
    return made | {"plain": (plain, receipt_pdf.render(plain))}


def digest(pdf: bytes) -> str:
    return hashlib.sha256(pdf).hexdigest()


def pictures(job: Job) -> list[bytes]:
    """The pages as PNG."""
    source = (typesetting.BUILT_IN / "document.typ").read_bytes()
    pages = typst.compile(
        source,
        root=typesetting.BUILT_IN,
        font_paths=[str(path) for path in fonts.folders()],
        ignore_system_fonts=True,
        format="png",
        ppi=90,
        sys_inputs=receipt_pdf.built_in().inputs(job),
    )
    return pages if isinstance(pages, list) else [pages]


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    made = rendered()
    for name, (of, pdf) in made.items():
        (folder / f"{name}.pdf").write_bytes(pdf)
        for number, page in enumerate(pictures(receipt_pdf.job(of)), 1):
            (folder / f"{name}-{number}.png").write_bytes(page)
    GOLDEN.parent.mkdir(exist_ok=True)
    golden = {name: digest(pdf) for name, (_, pdf) in sorted(made.items())}
    GOLDEN.write_text(json.dumps(golden, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

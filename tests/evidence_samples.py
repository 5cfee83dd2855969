"""Texts of evidence in each script, short and long, for the tests and for the eye.

`PYTHONPATH=tests .venv/bin/python -m evidence_samples FOLDER` writes each as PDF and its pages as PNG.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from counterfoil.documents import evidence_pdf
from counterfoil.documents.evidence_pdf import Sheet
from counterfoil.domain.dispute import TEXT_CHARS
from counterfoil.domain.receipt import Party
from refund_report_samples import pictures, set_here

MADE = datetime(2026, 11, 22, 18, 40, tzinfo=UTC)  # the 23rd in India
SELLER = Party(name="Kaveri Books & Coffee", country="IN")

RECEIPT = """\
Paid to: Kaveri Books & Coffee
Payment: pmt_01kasvzxm8h3e5g7j9n1q3s5t7
Amount: 1,234.50 INR
Paid with: visa card, ending in 4242
Customer: दीक्षा क्षत्रिय

Item: The Book of Tea, 2 at 499.00 INR
    with a card: "Happy birthday"
\tand ribbon"""

SCRIPTS = {
    "hindi": """\
ग्राहक: श्रीमती दीक्षा क्षत्रिय
पता: १४ चर्च स्ट्रीट, बेंगलुरु
सामान १२ नवंबर को पहुँचा और उन्होंने हस्ताक्षर किए।""",
    "tamil": """\
வாடிக்கையாளர்: பொன்னி செல்வன்
முகவரி: 7 ஏரிக்கரை சாலை, சென்னை
பொருள் நவம்பர் 12 அன்று ஒப்படைக்கப்பட்டது.""",
    "arabic": """\
العميل عبد الرحمن بن يوسف
وصلت البضاعة في الموعد ووقع عليها بنفسه
شكرا لكم""",
    "chinese": """\
客户：王小明
地址：上海市浦东新区世纪大道一百号
商品已于十一月十二日送达，由本人签收。""",
}


def sheet(text: str = RECEIPT, **changes: Any) -> Sheet:
    given: dict[str, Any] = {
        "title": "Receipt",
        "text": text,
        "dispute": "disp_AHfqOvkldwsbqt",
        "payment": "pay_EsyWjHrfzb59eR",
        "seller": SELLER,
        "made_at": MADE,
        "zone": "Asia/Kolkata",
        "sandbox": False,
    }
    return Sheet(**given | changes)


def long() -> str:
    """A text as long as any, of numbered lines."""
    lines = (
        f"{number:04}: the parcel was scanned at the depot, as the courier says" for number in range(400)
    )
    return "\n".join(lines)[:TEXT_CHARS]


def samples() -> dict[str, Sheet]:
    """Each by its name."""
    mixed = "\n\n".join(SCRIPTS.values())
    return {
        "receipt": sheet(sandbox=True),
        "scripts": sheet(mixed, title="Customer communication"),
        "long": sheet(long(), title="Delivery log"),
        "unbroken": sheet("https://kaveri.example/" + "a1b2c3d4" * 60, title="Access log"),
    }


def rendered(of: Sheet) -> bytes:
    """The file, set in this process."""
    return set_here(evidence_pdf.job(of))


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, of in samples().items():
        (folder / f"{name}.pdf").write_bytes(rendered(of))
        for number, page in enumerate(pictures(evidence_pdf.job(of)), 1):
            (folder / f"{name}-{number}.png").write_bytes(page)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

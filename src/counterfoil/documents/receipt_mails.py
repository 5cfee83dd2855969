"""What a mail that brings a receipt says, in every language that receipts are written in."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from counterfoil.documents import receipt_dates, receipt_money, receipt_words
from counterfoil.documents.mails import SANDBOX, Words, one_line
from counterfoil.domain.receipt import Kind, Receipt


class _Sentences(NamedTuple):
    """{title} is the kind of the document in this language. `attached` and `linked` are with the PDF and without."""

    subject: str
    paid: str
    refunded: str
    attached: str
    linked: str


_SAID: Final[Mapping[str, _Sentences]] = {
    "en": _Sentences(
        "{title} {number} from {business}",
        "Thank you. {business} has received your payment of {amount} on {date}.",
        "{business} has paid back {amount} to you on {date}.",
        "The document {number} is attached as a PDF. You can also see it and check it at the link below.",
        "You can see, check and save the document {number} at the link below.",
    ),
    "hi": _Sentences(
        "{business} से {title} {number}",
        "धन्यवाद। {business} को {date} को आपका {amount} का भुगतान मिल गया है।",
        "{business} ने {date} को आपको {amount} वापस कर दिए हैं।",
        "दस्तावेज़ {number} PDF के रूप में संलग्न है। इसे नीचे दिए गए लिंक पर भी देखा और जाँचा जा सकता है।",
        "दस्तावेज़ {number} को नीचे दिए गए लिंक पर देखा, जाँचा और सहेजा जा सकता है।",
    ),
    "ta": _Sentences(
        "{business}: {title} {number}",
        "நன்றி. உங்கள் {amount} கட்டணம் {date} அன்று {business} நிறுவனத்திற்குக் கிடைத்தது.",
        "{business} நிறுவனம் {date} அன்று உங்களுக்கு {amount} திருப்பிச் செலுத்தியது.",
        "ஆவணம் {number} PDF ஆக இணைக்கப்பட்டுள்ளது. கீழே உள்ள இணைப்பிலும் அதைப் பார்க்கலாம், சரிபார்க்கலாம்.",
        "ஆவணம் {number} ஐ கீழே உள்ள இணைப்பில் பார்க்கலாம், சரிபார்க்கலாம், சேமிக்கலாம்.",
    ),
    "ar": _Sentences(
        "{title} {number} من {business}",
        "شكرًا لك. استلمت {business} دفعتك بمبلغ {amount} بتاريخ {date}.",
        "أعادت {business} إليك مبلغ {amount} بتاريخ {date}.",
        "المستند {number} مرفق بصيغة PDF. يمكنك أيضًا الاطلاع عليه والتحقق منه عبر الرابط أدناه.",
        "يمكنك الاطلاع على المستند {number} والتحقق منه وحفظه عبر الرابط أدناه.",
    ),
    "zh": _Sentences(
        "{business} 的{title} {number}",
        "感谢您。{business} 已于 {date} 收到您的付款 {amount}。",
        "{business} 已于 {date} 向您退款 {amount}。",
        "单据 {number} 已作为 PDF 附上。您也可以通过下面的链接查看和验证。",
        "您可以通过下面的链接查看、验证和保存单据 {number}。",
    ),
    "zh-Hant": _Sentences(
        "{business} 的{title} {number}",
        "感謝您。{business} 已於 {date} 收到您的付款 {amount}。",
        "{business} 已於 {date} 向您退款 {amount}。",
        "單據 {number} 已作為 PDF 附上。您也可以透過下方連結查看和驗證。",
        "您可以透過下方連結查看、驗證和儲存單據 {number}。",
    ),
    "ja": _Sentences(
        "{business} からの{title} {number}",
        "ありがとうございます。{business} は {date} に {amount} のお支払いを受領しました。",
        "{business} は {date} に {amount} を返金しました。",
        "書類 {number} を PDF で添付しました。下のリンクからも確認と検証ができます。",
        "書類 {number} は下のリンクから確認、検証、保存ができます。",
    ),
    "ko": _Sentences(
        "{business}의 {title} {number}",
        "감사합니다. {business}에서 {date}에 {amount} 결제를 받았습니다.",
        "{business}에서 {date}에 {amount}을(를) 환불했습니다.",
        "문서 {number}이(가) PDF로 첨부되어 있습니다. 아래 링크에서도 확인하고 검증할 수 있습니다.",
        "아래 링크에서 문서 {number}을(를) 확인, 검증, 저장할 수 있습니다.",
    ),
}


def words(receipt: Receipt, *, attached: bool) -> Words:
    """The words of a mail that brings this receipt, in its own language. `attached`: as a PDF, beside the link."""
    language = receipt_words.language(receipt.locale)
    said = _SAID[language]
    facts = _facts(receipt)
    moved = said.refunded if receipt.kind is Kind.REFUND else said.paid
    how = said.attached if attached else said.linked
    subject = f"{SANDBOX if receipt.sandbox else ''}{said.subject.format_map(facts)}"
    button = "{title} {number}".format_map(facts)
    return Words(subject, (moved.format_map(facts), how.format_map(facts)), button, language)


def given(receipt: Receipt, *, attached: bool) -> dict[str, Any]:
    """The same, and the link, for an operator's own mail."""
    said = words(receipt, attached=attached)
    return {
        "subject": said.subject,
        "paragraphs": list(said.paragraphs),
        "button": said.button,
        "link": receipt.verify_url or "#",  # only what was made up has none
    }


def _facts(receipt: Receipt) -> dict[str, str]:
    facts = {
        "title": receipt_words.words(receipt.locale)[receipt.kind.value],
        "number": receipt.number,
        "business": receipt.seller.name,
        "amount": receipt_money.shown(receipt.total, receipt.currency, receipt.locale),
        "date": receipt_dates.day(receipt.paid_at, receipt.zone, receipt.locale),
    }
    return {name: one_line(value) for name, value in facts.items()}

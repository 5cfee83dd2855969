"""The text message that brings a receipt: its link, and what fits beside it into two SMS."""

from typing import Final

from counterfoil.documents import receipt_money, receipt_words
from counterfoil.documents.mails import SANDBOX, one_line
from counterfoil.domain.delivery import Text
from counterfoil.domain.receipt import Receipt

SEGMENTS: Final = 2
NAME_CHARS: Final = 30  # of the business; also the most that an Indian operator takes in a variable
# 3GPP TS 23.038: the default alphabet, of seven bits, and its extension, where a character counts as two.
_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION: Final = frozenset("^{}\\[~]|€")
_SEVEN_BITS: Final = (160, 153)  # alone, and as one of several
_SIXTEEN_BITS: Final = (70, 67)


def text(receipt: Receipt, link: str) -> Text:
    """The message, in the language of the receipt where two SMS hold that; else in few plain letters."""
    title = receipt_words.words(receipt.locale)[receipt.kind.value]
    amount = receipt_money.shown(receipt.total, receipt.currency, receipt.locale)
    mark = SANDBOX if receipt.sandbox else ""
    business = f"{mark}{one_line(receipt.seller.name)}"[:NAME_CHARS]
    spoken = f"{business}: {title} {receipt.number}, {amount}\n{link}"
    plain_amount = f"{receipt_money.plain(receipt.total, receipt.currency)} {receipt.currency}"
    plain = f"{mark}{receipt.number}, {plain_amount}\n{link}"
    parts = {"business": business, "number": receipt.number, "amount": plain_amount, "link": link}
    return Text(spoken if segments(spoken) <= SEGMENTS else plain, parts)


def segments(message: str) -> int:
    """How many SMS a message is, and is paid as."""
    if all(c in _BASIC or c in _EXTENSION for c in message):
        units, (alone, each) = len(message) + sum(c in _EXTENSION for c in message), _SEVEN_BITS
    else:
        units, (alone, each) = len(message.encode("utf-16-le")) // 2, _SIXTEEN_BITS
    return 1 if units <= alone else -(-units // each)
